/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "store/naming.h"

/* The module of what a JVM runs, in the place of a file. */
#define JFR_JAVA_MODULE NAMING_JAVA

/*
 * What a Java method is called in a profile: "java/util/ArrayList.add", the class as the JVM has
 * it. Frames of libraries have the library in the class's place, those of the kernel none.
 *
 * The JVM makes classes as it runs, and numbers them anew each time; libraries unpack others under
 * names of chance. Such a number becomes "_", so that what is one function in the source is one in
 * profiles of all processes and days.
 */
void jfr_names_add(struct buf *buf, struct str class_name, struct str method);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/str.h"

/*
 * A compiler's name of a function to the one in its source: C++ (Itanium), Rust (legacy, without
 * its hash, and v0) and D, by libiberty; of Go's generic functions without their types. Any thread.
 */
enum {
	/* What is longer stays as it is: libiberty's memory on the stack grows with it, 300 bytes
	 * for each of a name. */
	DEMANGLE_MANGLED_SIZE_MAX = 4096,
	/* A short name may stand for a gigabyte of types. */
	DEMANGLE_TEXT_SIZE_MAX = 4096,
};

/*
 * The name in the source, written to text (not ended by a NUL); one that is too long ends with "…".
 * What is not mangled, or is so in a way that is not known, is returned as it came.
 */
struct str demangle(struct str name, char text[static DEMANGLE_TEXT_SIZE_MAX]);

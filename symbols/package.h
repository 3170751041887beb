/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"

/*
 * Which package of the host a file belongs to, so that a person can be told what to install to have
 * its names. Answers are kept. Any thread.
 */
struct packages;

enum {
	/* As "apt install libc6-dbg" or "dnf debuginfo-install /usr/lib64/libz.so.1". */
	PACKAGE_COMMAND_SIZE = 512,
	/* Files that were asked about. */
	PACKAGES_KNOWN_COUNT_MAX = 1024,
	/* One list of a package's files. */
	PACKAGE_LIST_SIZE_MAX = 16 << 20,
};

/* dpkg: where Debian's lists of files are, "/var/lib/dpkg/info"; rpm: a folder that is there where
 * packages are rpm's. */
int packages_new(const char *dpkg, const char *rpm, struct packages **ret);
struct packages *packages_free(struct packages *packages);

/*
 * The command that installs debug symbols of the file at this path of the host, if it is the one
 * with this identity. False when it is another, or belongs to no package; or when *looks is 0 and
 * nobody asked before: each new file takes one of them, and a walk over all lists, some 40 ms.
 */
bool packages_command(struct packages *packages, struct str path, const struct identity *identity,
		      unsigned *looks, char text[static PACKAGE_COMMAND_SIZE]);

DEFINE_CLEANUP(struct packages *, packages, packages_free)

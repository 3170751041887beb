/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

/*
 * What a file is, whatever it is called and wherever it lies. Names hang on identities, so that a
 * replaced executable keeps its names and two containers with one library share them.
 *
 * A weaker identity may become an alias of a better one that turns up later (symbols/symbols.h).
 */
enum identity_kind {
	IDENTITY_NONE = 0,
	IDENTITY_GNU_BUILD_ID =
		1, /* NT_GNU_BUILD_ID, 1 to 20 bytes; also the kernel's and modules' */
	IDENTITY_GO_BUILD_ID = 2, /* of Go's own: see identity_of_go(); 30 bytes */
	IDENTITY_HTLHASH = 3,	  /* OTLP's process.executable.build_id.htlhash, 16 bytes */
	IDENTITY_INODE =
		4, /* device, inode, size, mtime in ns, generation: 5 × u64, little endian */
	/* A kernel without a build id: the first bytes of its release; or a part of a kernel,
	 * derived as symbols/kernel_symbols.h says. */
	IDENTITY_KERNEL_RELEASE = 5,
	IDENTITY_PROCESS_CODE = 6, /* code that a process made: symbols/late_code.h; no file's */
};

enum { IDENTITY_SIZE_MAX = 40 };

struct identity {
	uint8_t kind;			  /* enum identity_kind */
	uint8_t size;			  /* bytes used */
	uint8_t bytes[IDENTITY_SIZE_MAX]; /* the rest is zero, so that whole structs can be compared
					   */
};

static inline bool identity_equal(const struct identity *a, const struct identity *b)
{
	return a->kind == b->kind && a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/*
 * Of a build id as Go's linker writes it, ACTION/…/CONTENT, each part 15 bytes as 20 letters of
 * base64 (cmd/go/internal/work/buildid.go): what it was made of, and what came out. False for
 * others, which a builder chose, such as "redacted", and may be the same in many files.
 */
bool identity_of_go(struct str text, struct identity *ret);

enum { IDENTITY_TEXT_SIZE = 2 * IDENTITY_SIZE_MAX + 16 };

/* "gnu:4fca…", "inode:08…": for file names, logs and the page. Returns text. */
const char *identity_text(const struct identity *identity, char text[static IDENTITY_TEXT_SIZE]);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct sqlite3;

/*
 * Reads all of a span file: its trees of pages, and every blob, each of which has a checksum. Works
 * for every version of the schema, since it asks only what is a blob and what is a frame. 0 when
 * all is sound; -EUCLEAN or -EBADMSG with words in what; -ECANCELED when *stop, which may be NULL.
 */
enum { SCRUB_TEXT_SIZE = 128 };
int scrub_file(struct sqlite3 *database, const _Atomic bool *stop,
	       char what[static SCRUB_TEXT_SIZE]);

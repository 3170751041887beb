/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sqlite3.h>

/*
 * What those share who write a closed file anew (store/join.h, store/compact.h, store/remove.h):
 * they read one that nobody writes, and make one that nobody knows yet. What a crash leaves of it
 * half-written is of no use, and nothing needs to be taken back: no journal, no sync but the last.
 */

enum {
	ANEW_PAGE_SIZE = 4096,
	/*
	 * Of what has many blobs of some thousand bytes: each leaves half a page unused, which is a
	 * twenty-fifth of a joined file where pages are large, and a hundredth where they are
	 * small. A compact file gains nothing by it, and is read for longer.
	 */
	ANEW_PAGE_SIZE_SMALL = 1024,
};

/* An empty file at path, whatever was there, with the tables of the schema, within a transaction.
 */
int anew_create(const char *path, const char *schema, int page_size, sqlite3 **ret);

/* Rows that stay as they are: what select gives is bound to insert's places, in their order. */
int anew_copy_rows(sqlite3 *from, sqlite3 *to, const char *select, const char *insert);

/* What senders and gaps there were, which goes with a span whatever becomes of its samples. */
int anew_copy_sides(sqlite3 *from, sqlite3 *to);

/* The closed file and the new one, and what is kept from one service's stacks to the next. */
struct anew_files {
	sqlite3 *from, *to;
	sqlite3_stmt *select_tree, *insert_tree, *select_blocks, *insert_block;
};

/* Closes what is open of it. */
void anew_close(struct anew_files *files);

/* All of the file is on disk; not its name. */
int anew_sync(const char *path);

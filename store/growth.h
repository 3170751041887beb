/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/columns.h"
#include "store/database.h"
#include "store/node_map.h"
#include "store/segment.h"

/*
 * A tree of a chronicle, and what a piece adds to it. A month's tree has up to millions of nodes,
 * of which a piece has some thousand: so not the month's are entered into a table, where the
 * piece's are looked for, but the piece's, and the month's go by, parents before children. A node
 * whose parent is not the piece's is passed over with one look.
 */
struct growth {
	struct tree tree; /* as it is in the file, and then what is new */
	uint32_t nodes_before, locations_before;
	uint32_t *numbers; /* by node of the piece: in the tree */
};

/*
 * Reads a scope's tree into one that is empty, row by row. row: after each of them, may end it with
 * a negative errno. build_count: of the chronicle. -EBADMSG, -ENOMEM.
 */
int growth_read_tree(sqlite3 *chronicle, struct codec *codec, int64_t scope, uint32_t build_count,
		     struct tree *tree, int (*row)(void *context), void *context);

/*
 * The same of those nodes only that are marked, and of all that they stand below: these are marked
 * as well, and numbered. Their order is that of the whole. From the last row to the first, so that
 * each is unpacked once, and none is whose nodes nobody marked: what is in memory is what is used,
 * of millions of nodes mostly a few thousand. marked: as many as the scope has nodes.
 */
int growth_read_marked(sqlite3 *chronicle, struct codec *codec, int64_t scope, uint32_t build_count,
		       struct node_map *marked, struct tree *tree, int (*row)(void *context),
		       void *context);

/* How many nodes a scope has. */
int growth_count(sqlite3 *chronicle, int64_t scope, uint32_t *ret);

/*
 * Reads a scope's tree from the chronicle and adds what the piece has beyond it. build_count: of
 * the chronicle. -ENOSPC: the tree would be too large; -EBADMSG, -ENOMEM.
 */
int growth_read(struct growth *growth, sqlite3 *chronicle, struct codec *codec, int64_t scope,
		uint32_t build_count, const struct segment *piece);

/* As a row of its own, when there is anything new. */
int growth_write(const struct growth *growth, sqlite3 *chronicle, struct codec *packer,
		 int64_t scope, uint32_t piece_number);

void growth_done(struct growth *growth);

static inline void growth_cleanup(struct growth *growth)
{
	growth_done(growth);
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/columns.h"

/*
 * What a block's entries are made of: when each node occurred, and with which series and sample
 * labels. A flame graph of a whole segment never reads it; questions about a part of its time, or
 * about one process, do. It goes with the block's entries, in their order.
 */
struct occurrence {
	uint32_t slice; /* of the segment */
	uint32_t pair;	/* of the segment */
	uint64_t count;
	uint64_t value; /* of valued blocks, else 0 */
};

struct detail_writer {
	struct buf numbers; /* how many occurrences an entry has */
	struct buf slices;
	struct buf pairs;
	struct buf counts;
	struct buf values;
	struct buf terse_numbers; /* the same, said with less; good as long as is_terse */
	struct buf terse_counts;
	bool is_terse;
	struct buf known; /* the pairs that occur, in the order in which they do */
	uint32_t known_count;
	uint32_t *places; /* by pair: its place among the known, + 1 */
	uint32_t pair_count;
};

/* pair_count: of the segment. */
int detail_writer_init(struct detail_writer *writer, uint32_t pair_count);
void detail_writer_done(struct detail_writer *writer);

/* All of one entry, ascending by slice; at least one. Their counts and values make the entry's. */
void detail_add(struct detail_writer *writer, const struct entry *entry,
		const struct occurrence *occurrences, uint32_t count, bool is_valued);

/* Packs what was added and empties the writer. */
int detail_pack(struct codec *codec, struct detail_writer *writer, struct buf *ret);

/* Reads from the codec's memory: valid until the codec is used again. */
struct detail_reader {
	struct bytes numbers;
	struct bytes slices;
	struct bytes pairs;
	struct bytes counts;
	struct bytes values;
	ARRAY(uint32_t) known; /* keeps its memory from block to block */
	struct entry entry;
	uint64_t left;
	uint32_t slice;
	bool is_single;
	bool is_terse;
	bool is_even;	     /* each occurrence is one sample */
	uint64_t count_left; /* of the entry, for those that follow */
};

void detail_reader_done(struct detail_reader *reader);

int detail_unpack(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		  struct detail_reader *reader);

/* The occurrences of the next entry follow. -EBADMSG when there are none. */
int detail_start_entry(struct detail_reader *reader, const struct entry *entry);

/* 1 for an occurrence, 0 after the last of the entry, -EBADMSG. */
int detail_next(struct detail_reader *reader, bool is_valued, struct occurrence *ret);

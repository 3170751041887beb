/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "store/array.h"
#include "store/node_map.h"
#include "store/tree.h"

/*
 * The blobs of a span file. Each is one zstd frame with its content size and a checksum; its plain
 * bytes are a version, the sizes of the columns as varints, and the columns. The reader takes every
 * count and size for hostile; numbers of series, label sets and nodes are the user's to check, who
 * knows how many there are. Errors: -EBADMSG for damage, -ENOMEM, and -EFBIG for what is too large.
 */
enum {
	/* Plain bytes of one blob: the largest window makes about 10 MB. */
	COLUMNS_PLAIN_SIZE_MAX = 64 << 20,
	COLUMNS_COUNT_MAX = 8,
};

/* Contexts and scratch memory for packing or unpacking; one thread at a time. */
struct codec;

int codec_new(struct codec **ret);
struct codec *codec_free(struct codec *codec);

/* Gives back what it works in, which grew to what the largest blob took: for one that is kept. */
void codec_rest(struct codec *codec);

/* For files with columns of their own: emptied, to be filled and then packed in their order. */
struct buf *codec_columns(struct codec *codec, size_t count);
int codec_pack_columns(struct codec *codec, size_t count, struct buf *ret);

/* The same for columns that are written in more than one way: which, from 1. */
int codec_pack_version(struct codec *codec, uint8_t version, size_t count, struct buf *ret);

/* The columns lie in the codec's memory: valid until it is used again. */
int codec_unpack_columns(struct codec *codec, const void *blob, size_t size, size_t count,
			 struct bytes columns[static COLUMNS_COUNT_MAX]);

/* version_max: the last way that the caller can read. */
int codec_unpack_version(struct codec *codec, const void *blob, size_t size, size_t count,
			 uint8_t version_max, struct bytes columns[static COLUMNS_COUNT_MAX],
			 uint8_t *ret_version);

/* How many blobs it unpacked, and their bytes as they are on disk. */
void codec_figures(const struct codec *codec, uint64_t *ret_count, uint64_t *ret_bytes);

/* How hard zstd tries from now on: 1 while writing, more for what stays. */
void codec_set_level(struct codec *codec, int level);

/* buf_add_varint() for the millions: no call as long as there is room for the longest. */
static inline void column_put(struct buf *buf, uint64_t value)
{
	enum { VARINT_SIZE_MAX = 10 };
	size_t end = buf->capacity < buf->limit ? buf->capacity : buf->limit;

	if (buf->error || end < buf->size + VARINT_SIZE_MAX) {
		buf_add_varint(buf, value);
		return;
	}

	uint8_t *room = buf->bytes + buf->size;

	while (value >= 0x80) {
		*room++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*room++ = (uint8_t)value;
	buf->size = (size_t)(room - buf->bytes);
}

/* Most numbers take one byte: not worth a call. */
static inline uint64_t column_take(struct bytes *bytes)
{
	if (bytes->left && *bytes->next < 0x80) {
		bytes->left--;
		return *bytes->next++;
	}
	return bytes_varint(bytes);
}

/* Whether a blob looks like one of ours, and whether all of it is as it was packed. */
bool codec_knows(const void *blob, size_t size);
int codec_check(struct codec *codec, const void *blob, size_t size);

/* What was recorded at one time: a batch. */
struct slice {
	int64_t start_ms;
	int64_t end_ms;
};

/* Entries of one slice, series and sample label set, and their sums. */
struct run {
	uint32_t slice; /* index */
	uint32_t series;
	uint32_t labels;
	uint32_t entry_count;
	uint64_t samples;
	uint64_t kernel_samples; /* of them with a leaf in the kernel */
	bool timed;		 /* the window has a cell for each of its samples */
	bool valued;		 /* the values are given: they are not count × period */
	uint64_t value;		 /* of valued runs only, else 0 */
	uint64_t kernel_value;
};

struct runs {
	ARRAY(struct slice) slices;
	ARRAY(struct run) runs;
};

void runs_done(struct runs *runs);

int codec_pack_runs(struct codec *codec, const struct runs *runs, struct buf *ret);

/* Empties *ret first and keeps its memory. */
int codec_unpack_runs(struct codec *codec, const void *blob, size_t size, struct runs *ret);

/*
 * Nodes with counts and, where the reader knows that there are some, values; ascending within each
 * list. What the entries of runs and the blocks are made of.
 */
struct entry {
	uint32_t node;
	uint64_t count;
	uint64_t value;
};

struct entry_writer {
	struct buf nodes;
	struct buf counts;
	struct buf values;
	uint32_t last_node;
};

void entry_writer_init(struct entry_writer *writer);
void entry_writer_done(struct entry_writer *writer);

/* Forgets what was added; memory stays. */
void entry_writer_clear(struct entry_writer *writer);

/* The next list begins; differences start at 0 again. */
void entry_writer_start_list(struct entry_writer *writer);
void entry_writer_add(struct entry_writer *writer, struct entry entry, bool valued);

/* Packs what was added and empties the writer. */
int codec_pack_entries(struct codec *codec, struct entry_writer *writer, struct buf *ret);

/* Reads from the codec's memory: valid until the codec is used again. */
struct entry_reader {
	struct bytes nodes;
	struct bytes counts;
	struct bytes values;
	uint32_t last_node;
	const struct node_map
		*map; /* the nodes are told by their numbers in it; NULL: as they are */
};

int codec_unpack_entries(struct codec *codec, const void *blob, size_t size,
			 struct entry_reader *ret);

static inline void entry_reader_start_list(struct entry_reader *reader)
{
	reader->last_node = 0;
}

/* The next entry; without a value its .value is 0. -EBADMSG when there is none. */
int entry_reader_next(struct entry_reader *reader, bool valued, struct entry *ret);

/* Skips so many. */
int entry_reader_skip(struct entry_reader *reader, uint32_t count, bool valued);

/* The tree's locations from first_location on, and its nodes from first_node on. */
int codec_pack_locations(struct codec *codec, const struct tree *tree, uint32_t first_location,
			 struct buf *ret);
int codec_pack_nodes(struct codec *codec, const struct tree *tree, uint32_t first_node,
		     struct buf *ret);

/*
 * Appends them again: they must follow directly on what the tree has. Locations come before the
 * nodes that use them. Builds are checked against build_count.
 */
int codec_unpack_locations(struct codec *codec, const void *blob, size_t size, uint32_t build_count,
			   struct tree *tree);
int codec_unpack_nodes(struct codec *codec, const void *blob, size_t size, struct tree *tree);

/*
 * A row of them by itself, in place of what another tree has; the nodes' parents and locations have
 * their numbers in the whole. first: which number the first has; location_count: of all so far.
 */
int codec_unpack_location_row(struct codec *codec, const void *blob, size_t size,
			      uint32_t build_count, struct tree *row, uint32_t *ret_first);
int codec_unpack_node_row(struct codec *codec, const void *blob, size_t size, uint32_t first,
			  uint32_t location_count, struct tree *row);

/* Which series occurred with which sample labels. */
struct pair {
	uint32_t series;
	uint32_t labels;
};

struct pairs {
	ARRAY(struct pair) pairs;
};

int codec_pack_pairs(struct codec *codec, const struct pair *pairs, size_t count, struct buf *ret);
int codec_unpack_pairs(struct codec *codec, const void *blob, size_t size, struct pairs *ret);

/* Bytes as they are: when in a window its samples were taken. */
int codec_pack_bytes(struct codec *codec, const void *bytes, size_t size, struct buf *ret);

/* Appends them. */
int codec_unpack_bytes(struct codec *codec, const void *blob, size_t size, struct buf *ret);

DEFINE_CLEANUP(struct codec *, codec, codec_free)

static inline void runs_cleanup(struct runs *runs)
{
	runs_done(runs);
}

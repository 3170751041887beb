/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blobs of a span file. The first byte says of which kind, the rest is what lies in the frame:
 * a hunt would never get past the frame's checksum, so it is made here. The same bytes as they are
 * go through as well.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

#include "store/columns.h"
#include "store/detail.h"
#include "store/shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { BUILD_COUNT = 4, PAIR_COUNT = 5, ENTRY_COUNT_MAX = 100000 };

static void check_tree(const struct tree *tree)
{
	assert(tree->builds.count == tree->addresses.count);
	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		struct tree_node node = tree->nodes.items[i];

		assert(node.parent == TREE_NO_PARENT ||
		       (node.parent < i && node.location < tree->builds.count));
	}
	for (uint32_t i = TREE_RESERVED_COUNT; i < tree->builds.count; i++)
		assert(tree->builds.items[i] < BUILD_COUNT);
}

static int read_entries(struct codec *codec, const void *blob, size_t size)
{
	struct entry_reader reader;
	struct entry entry = { 0 };
	int err = codec_unpack_entries(codec, blob, size, &reader);

	for (uint32_t i = 0; !err && i < ENTRY_COUNT_MAX; i++) {
		uint32_t before = entry.node;

		err = entry_reader_next(&reader, i % 3 == 0, &entry);
		assert(err || entry.node >= before);
	}
	return err;
}

static int read_detail(struct codec *codec, const void *blob, size_t size)
{
	struct detail_reader reader = { .left = 0 };
	struct occurrence occurrence;
	int err = detail_unpack(codec, blob, size, PAIR_COUNT, &reader);
	uint64_t total = 0;

	for (uint32_t i = 0; !err && i < ENTRY_COUNT_MAX; i++) {
		struct entry entry = { i, i, i };
		int more = 0;

		err = detail_start_entry(&reader, &entry);
		while (!err && (more = detail_next(&reader, i % 3 == 0, &occurrence)) > 0) {
			assert(occurrence.pair < PAIR_COUNT);
			total++;
		}
		err = err ? err : more;
	}
	assert(total <= size * 1000000);
	detail_reader_done(&reader);
	return err;
}

static void read_blob(struct codec *codec, unsigned kind, const void *blob, size_t size)
{
	struct runs runs = { 0 };
	struct pairs pairs = { 0 };
	struct tree tree;
	int err = tree_init(&tree);

	assert(!err);
	/* Nodes need locations. */
	for (uint64_t i = 0; kind % 7 == 3 && i < 3; i++)
		(void)tree_add_location(&tree, 1, i);
	uint32_t first = 0;

	switch (kind % 7) {
	case 0:
		err = codec_unpack_runs(codec, blob, size, &runs);
		for (uint32_t i = 0; !err && i < runs.runs.count; i++)
			assert(runs.runs.items[i].slice < runs.slices.count);
		break;
	case 1:
		err = read_entries(codec, blob, size);
		break;
	case 2:
		err = codec_unpack_locations(codec, blob, size, BUILD_COUNT, &tree);
		check_tree(&tree);
		break;
	case 3:
		err = codec_unpack_nodes(codec, blob, size, &tree);
		check_tree(&tree);
		break;
	case 4:
		err = shape_unpack(codec, blob, size, BUILD_COUNT, 9, &tree, &first);
		check_tree(&tree);
		break;
	case 5:
		err = read_detail(codec, blob, size);
		break;
	default:
		err = codec_unpack_pairs(codec, blob, size, &pairs);
		break;
	}
	assert(err == 0 || err == -EBADMSG);
	runs_done(&runs);
	array_done(&pairs.pairs);
	tree_done(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(codec) struct codec *codec = NULL;
	size_t bound = ZSTD_compressBound(size);
	autofree uint8_t *blob = malloc(bound);
	int err = codec_new(&codec);

	if (size == 0 || err || !blob)
		return 0;
	read_blob(codec, bytes[0], bytes + 1, size - 1);

	size_t packed = ZSTD_compress(blob, bound, bytes + 1, size - 1, 1);

	assert(!ZSTD_isError(packed));
	read_blob(codec, bytes[0], blob, packed);
	return 0;
}

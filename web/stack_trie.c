/* SPDX-License-Identifier: Apache-2.0 */
#include "web/stack_trie.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	/* A trie may cut each frame in two; agents make one text a frame. */
	LEVEL_COUNT_MAX = 2 * PPROF_STACK_DEPTH_MAX,
	/* Of a trie's stack, which is that of a line of folded text. */
	KEY_SIZE_MAX = 1 << 20,
};

struct level {
	uint64_t left;	     /* nodes that are to come below it */
	size_t key_size;     /* of a trie: where its name ends there */
	struct str name;     /* of a tree */
	uint32_t depth;	     /* frames that are whole with it, once it was told */
	size_t frame_begins; /* the one of a trie that may go on below it */
};

struct reader {
	struct named_stacks *stacks;
	struct bytes bytes;
	bool is_tree;
	struct level levels[LEVEL_COUNT_MAX];
	uint32_t depth;
	uint32_t told;	/* levels whose frames the stacks have: most nodes share theirs */
	struct buf key; /* of a trie */
};

static struct str key_part(const struct reader *reader, size_t begin, size_t end)
{
	return (struct str){ (const char *)reader->key.bytes + begin, end - begin };
}

/* Frames that end in the name of this level. */
static int tell_trie_level(struct reader *reader, uint32_t number)
{
	struct level *level = &reader->levels[number];
	size_t scanned = number > 0 ? reader->levels[number - 1].key_size : 0;
	int err = 0;

	level->frame_begins = number > 0 ? reader->levels[number - 1].frame_begins : 0;
	while (!err && scanned < level->key_size) {
		struct str rest = key_part(reader, scanned, level->key_size);
		const char *end = memchr(rest.text, ';', rest.size);

		if (!end)
			break;
		scanned += (size_t)(end - rest.text);
		err = named_stacks_add_frame(reader->stacks,
					     key_part(reader, level->frame_begins, scanned),
					     (struct str){ 0 }, 0);
		level->frame_begins = ++scanned;
	}
	return err;
}

static int tell_level(struct reader *reader, uint32_t number)
{
	const struct level *level = &reader->levels[number];

	if (!reader->is_tree)
		return tell_trie_level(reader, number);
	/* The root of a tree is nobody's frame, but if it has a name. */
	return number > 0 || level->name.size > 0
		       ? named_stacks_add_frame(reader->stacks, level->name, (struct str){ 0 }, 0)
		       : 0;
}

/* The stack of the node that was entered last. */
static int add_stack(struct reader *reader, uint64_t value)
{
	const struct level *leaf = &reader->levels[reader->depth - 1];
	int err = 0;

	if (value == 0)
		return 0;
	named_stacks_keep(reader->stacks,
			  reader->told > 0 ? reader->levels[reader->told - 1].depth : 0);
	for (; !err && reader->told < reader->depth; reader->told++) {
		err = tell_level(reader, reader->told);
		reader->levels[reader->told].depth = reader->stacks->depth;
	}
	if (!err && leaf->key_size > leaf->frame_begins)
		err = named_stacks_add_frame(reader->stacks,
					     key_part(reader, leaf->frame_begins, leaf->key_size),
					     (struct str){ 0 }, 0);
	return err ? err : named_stacks_add_kept(reader->stacks, value);
}

static int read_node(struct reader *reader)
{
	struct str name = bytes_sized(&reader->bytes);
	uint64_t value = bytes_varint(&reader->bytes);
	uint64_t children = bytes_varint(&reader->bytes);

	/* A node has three bytes at least. */
	if (reader->bytes.error || children > reader->bytes.left / 3)
		return -EBADMSG;
	if (reader->depth == LEVEL_COUNT_MAX)
		return -E2BIG;
	if (!reader->is_tree)
		buf_add_str(&reader->key, name);
	if (reader->key.error)
		return reader->key.error == -EFBIG ? -E2BIG : reader->key.error;
	reader->levels[reader->depth++] =
		(struct level){ .left = children, .key_size = reader->key.size, .name = name };
	return add_stack(reader, value);
}

/* Up to the next node that has something below it still. */
static void leave_finished(struct reader *reader)
{
	while (reader->depth > 0 && reader->levels[reader->depth - 1].left == 0) {
		reader->depth--;
		reader->told = reader->told < reader->depth ? reader->told : reader->depth;
		reader->key.size =
			reader->depth > 0 ? reader->levels[reader->depth - 1].key_size : 0;
	}
	if (reader->depth > 0)
		reader->levels[reader->depth - 1].left--;
}

static int read_all(struct reader *reader)
{
	int err;

	do {
		err = read_node(reader);
		leave_finished(reader);
	} while (!err && reader->depth > 0);
	return err ? err : reader->bytes.left > 0 ? -EBADMSG : 0;
}

static int read_form(struct str bytes, bool is_tree, struct named_stacks *stacks,
		     char reterr[static PPROF_ERROR_SIZE])
{
	autofree struct reader *reader = NULL;
	int err;

	reterr[0] = '\0';
	if (bytes.size == 0)
		return 0;
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->stacks = stacks;
	reader->bytes = bytes_from(bytes.text, bytes.size);
	reader->is_tree = is_tree;
	reader->key = BUF(KEY_SIZE_MAX);
	err = read_all(reader);
	assert(reader->bytes.left <= bytes.size);
	if (err == -EBADMSG)
		snprintf(reterr, PPROF_ERROR_SIZE, "byte %zu: this is no %s, or it is cut short",
			 bytes.size - reader->bytes.left, is_tree ? "tree" : "trie");
	else if (err == -E2BIG)
		snprintf(reterr, PPROF_ERROR_SIZE,
			 "byte %zu: here are more stacks, or deeper ones, than one push may have",
			 bytes.size - reader->bytes.left);
	buf_done(&reader->key);
	return err;
}

int stack_trie_read(struct str bytes, struct named_stacks *stacks,
		    char reterr[static PPROF_ERROR_SIZE])
{
	return read_form(bytes, false, stacks, reterr);
}

int stack_tree_read(struct str bytes, struct named_stacks *stacks,
		    char reterr[static PPROF_ERROR_SIZE])
{
	return read_form(bytes, true, stacks, reterr);
}

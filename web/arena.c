/* SPDX-License-Identifier: Apache-2.0 */
#include "web/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum {
	BLOCK_SIZE = 64 << 10,
	ALIGNMENT = _Alignof(max_align_t),
};

struct arena_block {
	struct arena_block *next;
	size_t size; /* of bytes */
	size_t used;
	_Alignas(max_align_t) char bytes[];
};

void arena_done(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
	*arena = ARENA(arena->limit);
}

static struct arena_block *add_block(struct arena *arena, size_t size)
{
	size_t taken = sizeof(struct arena_block) + size;

	if (taken > arena->limit - arena->size) {
		arena->error = -E2BIG;
		return NULL;
	}

	struct arena_block *block = calloc(1, taken);

	if (!block) {
		arena->error = -ENOMEM;
		return NULL;
	}
	block->size = size;
	/* A large one takes its place behind the one that has room. */
	if (arena->blocks && size > BLOCK_SIZE) {
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	} else {
		block->next = arena->blocks;
		arena->blocks = block;
	}
	arena->size += taken;
	return block;
}

void *arena_take(struct arena *arena, size_t count, size_t size)
{
	struct arena_block *block = arena->blocks;
	size_t wanted;

	if (arena->error)
		return NULL;
	if (__builtin_mul_overflow(count, size, &wanted) || wanted > arena->limit) {
		arena->error = -E2BIG;
		return NULL;
	}
	wanted = (wanted + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (!block || block->size - block->used < wanted)
		block = add_block(arena, wanted > BLOCK_SIZE ? wanted : BLOCK_SIZE);
	if (!block)
		return NULL;

	void *piece = block->bytes + block->used;

	block->used += wanted;
	return piece;
}

/* Nearly all texts are ASCII: each byte of 1 to 127. */
static bool is_plain(struct str text)
{
	unsigned char wrong = 0;

	for (size_t i = 0; i < text.size; i++)
		wrong |= (unsigned char)(text.text[i] - 1) >= 127;
	return !wrong;
}

char *arena_text(struct arena *arena, struct str text)
{
	static const char unknown[] = "\xef\xbf\xbd";
	size_t size = 0;

	if (is_plain(text)) {
		char *plain = arena_take(arena, text.size + 1, 1);

		if (plain && text.size)
			memcpy(plain, text.text, text.size);
		return plain;
	}

	for (size_t i = 0; i < text.size;) {
		size_t piece = utf8_size((const uint8_t *)text.text + i, text.size - i);
		bool is_good = piece > 0 && text.text[i] != '\0';

		size += is_good ? piece : sizeof(unknown) - 1;
		i += is_good ? piece : 1;
	}

	char *copy = arena_take(arena, size + 1, 1);
	char *next = copy;

	for (size_t i = 0; copy && i < text.size;) {
		size_t piece = utf8_size((const uint8_t *)text.text + i, text.size - i);
		bool is_good = piece > 0 && text.text[i] != '\0';

		if (is_good)
			next = mempcpy(next, text.text + i, piece);
		else
			next = mempcpy(next, unknown, sizeof(unknown) - 1);
		i += is_good ? piece : 1;
	}
	return copy;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/lines.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bpf/walk_layout.h"

enum { WORD_BITS = 64, WORD_COUNT = WALK_CHUNK_LINE_COUNT / WORD_BITS };

/* A walk takes microseconds and is not interrupted, but the host of a virtual machine may hold it
 * up in the middle. */
#define GRACE_NS (UINT64_C(200) * CLOCK_NS_PER_MS)

struct chunk {
	uint8_t *memory;
	uint32_t free_count;
	uint32_t rover; /* where the last run ended: what is before is mostly taken */
	uint64_t taken[WORD_COUNT];
};

/* A run that waits. */
struct given {
	uint64_t since_ns;
	uint32_t line;
	uint32_t count;
};

struct lines {
	lines_add_chunk *add_chunk;
	void *context;
	struct chunk *chunks[WALK_CHUNK_COUNT_MAX];
	uint32_t chunk_count;
	uint32_t chunk_count_max;
	uint64_t now_ns;
	uint64_t used_count;
	struct given *given; /* a ring */
	uint32_t given_first, given_count, given_capacity;
};

int lines_new(lines_add_chunk *add_chunk, void *context, size_t size_max, struct lines **ret)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	size_t count = (size_max + WALK_CHUNK_SIZE - 1) / WALK_CHUNK_SIZE;

	if (!lines)
		return -ENOMEM;
	lines->add_chunk = add_chunk;
	lines->context = context;
	if (count == 0)
		count = 1;
	lines->chunk_count_max =
		count < WALK_CHUNK_COUNT_MAX ? (uint32_t)count : WALK_CHUNK_COUNT_MAX;
	*ret = lines;
	return 0;
}

struct lines *lines_free(struct lines *lines)
{
	if (!lines)
		return NULL;

	for (uint32_t i = 0; i < lines->chunk_count; i++)
		free(lines->chunks[i]);
	free(lines->given);
	free(lines);
	return NULL;
}

static bool is_taken(const struct chunk *chunk, uint32_t line)
{
	return chunk->taken[line / WORD_BITS] >> (line % WORD_BITS) & 1;
}

static void mark(struct chunk *chunk, uint32_t line, uint32_t count, bool taken)
{
	for (uint32_t i = line; i < line + count; i++) {
		uint64_t bit = UINT64_C(1) << (i % WORD_BITS);

		assert(is_taken(chunk, i) != taken);
		chunk->taken[i / WORD_BITS] ^= bit;
	}
	if (taken)
		chunk->free_count -= count;
	else
		chunk->free_count += count;
}

/* The first run of count free lines from a line on, WALK_CHUNK_LINE_COUNT when there is none. */
static uint32_t find_run(const struct chunk *chunk, uint32_t from, uint32_t count)
{
	uint32_t run = 0;

	for (uint32_t line = from; line < WALK_CHUNK_LINE_COUNT;) {
		uint64_t word = chunk->taken[line / WORD_BITS];
		bool at_word = line % WORD_BITS == 0;

		if (at_word && word == UINT64_MAX) {
			run = 0;
			line += WORD_BITS;
		} else if (at_word && word == 0 && run + WORD_BITS < count) {
			run += WORD_BITS;
			line += WORD_BITS;
		} else {
			run = is_taken(chunk, line) ? 0 : run + 1;
			line++;
			if (run == count)
				return line - count;
		}
	}
	return WALK_CHUNK_LINE_COUNT;
}

static bool take_from(struct chunk *chunk, uint32_t count, uint32_t *ret)
{
	uint32_t line;

	if (chunk->free_count < count)
		return false;
	line = find_run(chunk, chunk->rover, count);
	if (line == WALK_CHUNK_LINE_COUNT)
		line = find_run(chunk, 0, count);
	if (line == WALK_CHUNK_LINE_COUNT)
		return false;
	mark(chunk, line, count, true);
	chunk->rover = line + count;
	*ret = line;
	return true;
}

static int add_chunk(struct lines *lines)
{
	if (lines->chunk_count == lines->chunk_count_max)
		return -ENOSPC;

	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk)
		return -ENOMEM;
	chunk->memory = lines->add_chunk(lines->context, lines->chunk_count);
	if (!chunk->memory) {
		free(chunk);
		return -ENOSPC;
	}
	chunk->free_count = WALK_CHUNK_LINE_COUNT;
	if (lines->chunk_count == 0)
		mark(chunk, 0, 1, true);
	lines->chunks[lines->chunk_count++] = chunk;
	return 0;
}

int lines_take(struct lines *lines, uint32_t count, uint32_t *ret_line)
{
	assert(count > 0);

	int err = count < WALK_CHUNK_LINE_COUNT ? 0 : -ENOSPC;

	while (!err) {
		for (uint32_t i = 0; i < lines->chunk_count; i++) {
			uint32_t line;

			if (!take_from(lines->chunks[i], count, &line))
				continue;
			lines->used_count += count;
			*ret_line = i << WALK_CHUNK_LINE_SHIFT | line;
			return 0;
		}
		err = add_chunk(lines);
	}
	return err;
}

static void release(struct lines *lines, uint32_t line, uint32_t count)
{
	struct chunk *chunk = lines->chunks[line >> WALK_CHUNK_LINE_SHIFT];
	uint32_t first = line & (WALK_CHUNK_LINE_COUNT - 1);

	mark(chunk, first, count, false);
	if (first < chunk->rover)
		chunk->rover = first;
	lines->used_count -= count;
}

static bool has_room(struct lines *lines)
{
	if (lines->given_count < lines->given_capacity)
		return true;

	uint32_t capacity = lines->given_capacity ? 2 * lines->given_capacity : 256;
	struct given *given = calloc(capacity, sizeof(*given));

	if (!given)
		return false;
	assert(lines->given_count == 0 || lines->given_capacity > 0);
	for (uint32_t i = 0; i < lines->given_count; i++)
		given[i] = lines->given[(lines->given_first + i) % lines->given_capacity];
	free(lines->given);
	lines->given = given;
	lines->given_first = 0;
	lines->given_capacity = capacity;
	return true;
}

void lines_give(struct lines *lines, uint32_t line, uint32_t count)
{
	assert(line != 0 && count > 0);
	assert(line >> WALK_CHUNK_LINE_SHIFT < lines->chunk_count);

	/* Without memory to remember it by it is free at once: a walk may, once, go astray. */
	if (!has_room(lines)) {
		release(lines, line, count);
		return;
	}
	lines->given[(lines->given_first + lines->given_count) % lines->given_capacity] =
		(struct given){ .since_ns = lines->now_ns, .line = line, .count = count };
	lines->given_count++;
}

void lines_settle(struct lines *lines, uint64_t now_ns)
{
	lines->now_ns = now_ns;
	while (lines->given_count > 0) {
		const struct given *given = &lines->given[lines->given_first];

		if (now_ns - given->since_ns < GRACE_NS)
			return;
		release(lines, given->line, given->count);
		lines->given_first = (lines->given_first + 1) % lines->given_capacity;
		lines->given_count--;
	}
}

const void *lines_chunk(const struct lines *lines, uint32_t line)
{
	uint32_t number = line >> WALK_CHUNK_LINE_SHIFT;

	return number < lines->chunk_count ? lines->chunks[number]->memory : NULL;
}

void *lines_at(const struct lines *lines, uint32_t line)
{
	assert(line >> WALK_CHUNK_LINE_SHIFT < lines->chunk_count);
	return lines->chunks[line >> WALK_CHUNK_LINE_SHIFT]->memory +
	       (size_t)(line & (WALK_CHUNK_LINE_COUNT - 1)) * UNWIND_LINE_SIZE;
}

void lines_stats(const struct lines *lines, struct lines_stats *ret)
{
	*ret = (struct lines_stats){
		.used = lines->used_count * UNWIND_LINE_SIZE,
		.reserved = (uint64_t)lines->chunk_count * WALK_CHUNK_SIZE,
		.size_max = (uint64_t)lines->chunk_count_max * WALK_CHUNK_SIZE,
	};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/jit_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "base/table.h"

enum { FIRST_CAPACITY = 256, TEXT_COUNT_MAX = JIT_MAP_RANGE_COUNT_MAX };

struct range {
	uint64_t start;
	uint64_t end;
	uint64_t since_ns;
	uint32_t number; /* in the order of arrival */
	uint32_t text;
};

struct jit_map {
	struct range *ranges; /* by start, then number, up to sorted_count; then as they came */
	uint64_t *ends;	      /* of each sorted one: the furthest end up to it */
	size_t count, sorted_count, capacity;
	uint32_t next_number;
	/* Those with a lower number ended then. */
	uint32_t ended_number;
	uint64_t ended_ns;
	struct buf texts;
	struct buf text_offsets; /* u32, one more than there are texts */
	struct table by_text;
};

int jit_map_new(struct jit_map **ret)
{
	struct jit_map *map = calloc(1, sizeof(*map));

	if (!map)
		return -ENOMEM;
	map->texts = BUF(JIT_MAP_NAMES_SIZE_MAX);
	map->text_offsets = BUF(sizeof(uint32_t) * (TEXT_COUNT_MAX + 1));
	table_init(&map->by_text, TEXT_COUNT_MAX);
	buf_add_u32(&map->text_offsets, 0);
	if (map->text_offsets.error) {
		jit_map_free(map);
		return -ENOMEM;
	}
	*ret = map;
	return 0;
}

struct jit_map *jit_map_free(struct jit_map *map)
{
	if (!map)
		return NULL;
	free(map->ranges);
	free(map->ends);
	buf_done(&map->texts);
	buf_done(&map->text_offsets);
	table_done(&map->by_text);
	free(map);
	return NULL;
}

/* ---- names ---- */

static struct str text_of(const struct jit_map *map, uint32_t number)
{
	uint32_t bounds[2];

	assert(number < map->by_text.count);
	memcpy(bounds, map->text_offsets.bytes + sizeof(uint32_t) * number, sizeof(bounds));
	return (struct str){ (const char *)map->texts.bytes + bounds[0], bounds[1] - bounds[0] };
}

static bool text_is(const void *context, uint32_t number, const void *key)
{
	return str_equal(text_of(context, number), *(const struct str *)key);
}

/* Optimised and compiled anew a function keeps its name. */
static int keep_text(struct jit_map *map, struct str text, uint32_t *ret)
{
	if (text.size > JIT_NAME_SIZE_MAX)
		text.size = JIT_NAME_SIZE_MAX;

	uint64_t hash = table_hash_bytes(text.text, text.size, 0);

	*ret = table_find(&map->by_text, hash, &text, text_is, map);
	if (*ret != TABLE_NONE)
		return 0;
	if (map->texts.size + text.size > JIT_MAP_NAMES_SIZE_MAX)
		return -EFBIG;

	size_t before = map->texts.size;

	buf_add_str(&map->texts, text);
	if (map->texts.error)
		return map->texts.error;
	*ret = map->by_text.count;

	int err = table_add(&map->by_text, hash);

	if (!err)
		buf_add_u32(&map->text_offsets, (uint32_t)map->texts.size);
	if (err) {
		map->texts.size = before;
		return err == -ENOSPC ? -EFBIG : err;
	}
	return map->text_offsets.error;
}

/* ---- ranges ---- */

static int reserve(struct jit_map *map)
{
	if (map->count < map->capacity)
		return 0;
	if (map->count == JIT_MAP_RANGE_COUNT_MAX)
		return -EFBIG;

	size_t capacity = map->capacity ? map->capacity * 2 : FIRST_CAPACITY;
	struct range *ranges = reallocarray(map->ranges, capacity, sizeof(ranges[0]));

	if (!ranges)
		return -ENOMEM;
	map->ranges = ranges;

	uint64_t *ends = reallocarray(map->ends, capacity, sizeof(ends[0]));

	if (!ends)
		return -ENOMEM;
	map->ends = ends;
	map->capacity = capacity;
	return 0;
}

int jit_map_add(struct jit_map *map, uint64_t start, uint64_t size, uint64_t since_ns,
		struct str name)
{
	uint32_t text;

	if (size == 0 || size > UINT64_MAX - start || name.size == 0)
		return 0;

	int err = reserve(map);

	if (!err)
		err = keep_text(map, name, &text);
	if (err)
		return err;
	map->ranges[map->count++] = (struct range){ .start = start,
						    .end = start + size,
						    .since_ns = since_ns,
						    .number = map->next_number++,
						    .text = text };
	return 0;
}

void jit_map_end(struct jit_map *map, uint64_t at_ns)
{
	map->ended_number = map->next_number;
	map->ended_ns = at_ns;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct range *a = left;
	const struct range *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

/* A second brings few: they are sorted alone and merged from behind, in the place they lie in. */
static void sort(struct jit_map *map)
{
	size_t more = map->count - map->sorted_count;

	if (more == 0)
		return;

	struct range *news = map->ranges + map->sorted_count;
	autofree struct range *copy = malloc(more * sizeof(copy[0]));

	if (copy && map->sorted_count > 0) {
		qsort(news, more, sizeof(news[0]), compare_ranges);
		memcpy(copy, news, more * sizeof(copy[0]));

		size_t left = map->sorted_count;
		size_t to = map->count;

		while (more > 0)
			if (left > 0 && compare_ranges(&map->ranges[left - 1], &copy[more - 1]) > 0)
				map->ranges[--to] = map->ranges[--left];
			else
				map->ranges[--to] = copy[--more];
	} else {
		qsort(map->ranges, map->count, sizeof(map->ranges[0]), compare_ranges);
	}
	map->sorted_count = map->count;
	for (size_t i = 0; i < map->count; i++)
		map->ends[i] = i > 0 && map->ends[i - 1] > map->ranges[i].end ? map->ends[i - 1]
									      : map->ranges[i].end;
}

static bool holds(const struct jit_map *map, const struct range *range, uint64_t address,
		  uint64_t at_ns)
{
	return range->start <= address && address < range->end && range->since_ns <= at_ns &&
	       (range->number >= map->ended_number || at_ns < map->ended_ns);
}

/* The first sorted range that begins behind an address. */
static size_t behind(const struct jit_map *map, uint64_t address)
{
	size_t first = 0;
	size_t end = map->count;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (map->ranges[middle].start <= address)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

bool jit_map_find(struct jit_map *map, uint64_t address, uint64_t at_ns, struct str *ret_name)
{
	const struct range *best = NULL;

	sort(map);
	for (size_t i = behind(map, address), steps = 0;
	     i > 0 && map->ends[i - 1] > address && steps < JIT_MAP_STEP_COUNT_MAX; i--, steps++) {
		const struct range *range = &map->ranges[i - 1];

		if (holds(map, range, address, at_ns) && (!best || range->number > best->number))
			best = range;
	}
	if (!best)
		return false;
	*ret_name = text_of(map, best->text);
	return true;
}

enum jit_meaning jit_map_meaning(struct jit_map *map, uint64_t address, uint64_t first_ns,
				 uint64_t last_ns, struct str *ret_name)
{
	struct str first;
	struct str last;

	if (!jit_map_find(map, address, last_ns, &last))
		return JIT_UNKNOWN;
	if (!jit_map_find(map, address, first_ns, &first) || !str_equal(first, last))
		return JIT_SEVERAL;
	for (size_t i = behind(map, address), steps = 0;
	     i > 0 && map->ends[i - 1] > address && steps < JIT_MAP_STEP_COUNT_MAX; i--, steps++) {
		const struct range *range = &map->ranges[i - 1];

		if (range->end > address && range->since_ns > first_ns &&
		    range->since_ns <= last_ns && !str_equal(text_of(map, range->text), last))
			return JIT_SEVERAL;
	}
	*ret_name = last;
	return JIT_ONE;
}

bool jit_map_changes(const struct jit_map *map, uint64_t from_ns, uint64_t to_ns)
{
	/* In time they come as they were made, so that the last tell. */
	for (size_t i = 0; i < map->count; i++)
		if (map->ranges[i].since_ns > from_ns && map->ranges[i].since_ns <= to_ns)
			return true;
	return false;
}

size_t jit_map_count(const struct jit_map *map)
{
	return map->count;
}

/* ---- what a name says ---- */

/* Takes ":123" off the end. */
static bool take_number(struct str *text, uint32_t *ret)
{
	const char *colon = text->size ? memrchr(text->text, ':', text->size) : NULL;
	uint64_t number;

	if (!colon)
		return false;

	struct str digits = { colon + 1, text->size - (size_t)(colon + 1 - text->text) };

	if (parse_u64(digits, &number) || number > UINT32_MAX)
		return false;
	text->size = (size_t)(colon - text->text);
	*ret = (uint32_t)number;
	return true;
}

struct jit_name jit_name_from(struct str text)
{
	struct jit_name whole = { .function = text };
	struct str rest = text;
	uint32_t last, line;
	static const char signs[] = { '*', '~', '^', '+', ' ' };
	const char *colon = memchr(text.text, ':', text.size);
	const char *space;

	/* "JS:*work", "LazyCompile:~work", "Eval:"… and a place of line and, from node 20 on,
	 * column. */
	if (!colon || !take_number(&rest, &last))
		return whole;
	if (!take_number(&rest, &line)) {
		/* Others end in a number, too: V8 tells by a sign how the code was made. */
		if (!memchr(signs, colon[1], sizeof(signs)))
			return whole;
		line = last;
	}
	space = memchr(rest.text, ' ', rest.size);
	if (!space || space < colon || space + 1 == rest.text + rest.size)
		return whole;
	return (struct jit_name){
		.function = { text.text, (size_t)(space - text.text) },
		.file = { space + 1, rest.size - (size_t)(space + 1 - rest.text) },
		.line = line,
	};
}

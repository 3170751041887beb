/* SPDX-License-Identifier: Apache-2.0 */
#include "store/descent.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/batch_private.h"

/*
 * A path is read from its root: the service, whether callers are missing, and its frames. Steps are
 * locations of the batch, raised by STEP_FRAME.
 */
enum {
	STEP_END = 0, /* so that a path comes before those that go on */
	STEP_CALLERS_MISSING = 1,
	STEP_FRAME = 2,
	SMALL = 8, /* so few are put into order one by one */
};

/* A path while they are put into order. */
struct ordered {
	const uint32_t *frames; /* the leaf first, behind the flags */
	uint32_t frame_count;
	uint32_t service;
	uint32_t path;
	/* The one that is looked at; later, how many it shares with the one before. */
	uint32_t step;
	/* How many of its steps the segment has, and the node of the last of these. */
	uint32_t known;
	uint32_t node;
	bool is_cut;
};

/* Finds what the segment has of a part of the paths, one after the other. */
struct walker {
	struct ordered *next, *end; /* next is the one that it walks */
	uint32_t *trail;	    /* nodes of the steps that it went */
	uint32_t depth;
};

struct descent {
	struct segment *segment;
	const struct batch *batch;
	const uint32_t *locations;
	descent_paths *paths;
	uint32_t count;
	ARRAY(struct ordered) ordered;
	uint32_t longest;	/* path */
	ARRAY(uint32_t) trails; /* of that length: each walker's, and that of what is added */
	uint64_t random;
};

int descent_new(struct descent **ret)
{
	struct descent *descent = calloc(1, sizeof(*descent));

	if (!descent)
		return -ENOMEM;
	*ret = descent;
	return 0;
}

struct descent *descent_free(struct descent *descent)
{
	if (!descent)
		return NULL;
	descent_give_back(descent);
	free(descent);
	return NULL;
}

void descent_give_back(struct descent *descent)
{
	array_done(&descent->ordered);
	array_done(&descent->trails);
}

size_t descent_memory(const struct descent *descent)
{
	return sizeof(*descent) + array_memory(&descent->ordered) + array_memory(&descent->trails);
}

/* ---- order ------------------------------------------------------------------------------------
 */

/* Depth 0 is the service, which the order begins with. */
static inline uint32_t step_at(const struct ordered *path, uint32_t depth)
{
	if (depth == 0)
		return path->service;
	depth -= 1;
	if (path->is_cut && depth-- == 0)
		return STEP_CALLERS_MISSING;
	return depth < path->frame_count ? path->frames[path->frame_count - depth] + STEP_FRAME
					 : STEP_END;
}

static inline uint32_t length_of(const struct ordered *path)
{
	return 1 + path->is_cut + path->frame_count;
}

/* How many steps from the root on two have in common: known ones, and most of all. */
static uint32_t common_length(const struct ordered *a, const struct ordered *b, uint32_t known,
			      uint32_t most)
{
	uint32_t shorter = length_of(a) < length_of(b) ? length_of(a) : length_of(b);
	uint32_t length = shorter < most ? shorter : most;
	uint32_t head = 1 + a->is_cut;
	uint32_t depth = known;

	while (depth < length && depth < 1 + head && step_at(a, depth) == step_at(b, depth))
		depth++;
	if (depth < 1 + head || a->is_cut != b->is_cut)
		return depth < length ? depth : length;
	/* Frames alone, from the outermost on. */
	for (const uint32_t *x = a->frames + a->frame_count - (depth - head),
			    *y = b->frames + b->frame_count - (depth - head);
	     depth < length && *x == *y; x--, y--)
		depth++;
	return depth;
}

static bool is_behind(const struct ordered *a, const struct ordered *b, uint32_t depth)
{
	depth = common_length(a, b, depth, UINT32_MAX);
	return depth < length_of(a) &&
	       (depth == length_of(b) || step_at(a, depth) > step_at(b, depth));
}

static void order_few(struct ordered *paths, uint32_t count, uint32_t depth)
{
	for (uint32_t i = 1; i < count; i++) {
		struct ordered path = paths[i];
		uint32_t place = i;

		while (place > 0 && is_behind(&paths[place - 1], &path, depth)) {
			paths[place] = paths[place - 1];
			place--;
		}
		paths[place] = path;
	}
}

static void swap(struct ordered *a, struct ordered *b)
{
	struct ordered kept = *a;

	*a = *b;
	*b = kept;
}

/* Three parts, by their step at a depth: less than the pivot, the same, more. */
struct parts {
	uint32_t same, more; /* where they begin */
};

static struct parts part(struct ordered *paths, uint32_t count, uint32_t pivot)
{
	struct parts parts = { 0, count };

	for (uint32_t i = 0; i < parts.more;) {
		if (paths[i].step < pivot)
			swap(&paths[i++], &paths[parts.same++]);
		else if (paths[i].step > pivot)
			swap(&paths[i], &paths[--parts.more]);
		else
			i++;
	}
	return parts;
}

/* Nobody can know beforehand which orders are slow. */
static uint32_t random_below(struct descent *descent, uint32_t count)
{
	descent->random ^= descent->random << 13;
	descent->random ^= descent->random >> 7;
	descent->random ^= descent->random << 17;
	return (uint32_t)(descent->random % count);
}

static uint32_t common_of_all(const struct ordered *paths, uint32_t count, uint32_t known)
{
	uint32_t common = UINT32_MAX;

	for (uint32_t i = 1; i < count && common > known; i++)
		common = common_length(&paths[0], &paths[i], known, common);
	return common;
}

/*
 * Quicksort by one step at a time: no step that paths are known to have in common is looked at
 * again. It calls itself for the smaller parts, so twenty deep at most, and goes on with the
 * largest.
 */
static void order(struct descent *descent, struct ordered *paths, uint32_t count, uint32_t depth)
{
	bool is_fresh = true; /* their steps are those of another depth */

	while (count > SMALL) {
		struct parts parts;
		uint32_t pivot, sizes[3];

		if (is_fresh) {
			depth = common_of_all(paths, count, depth);
			for (uint32_t i = 0; i < count; i++)
				paths[i].step = step_at(&paths[i], depth);
		}
		pivot = paths[random_below(descent, count)].step;
		parts = part(paths, count, pivot);
		sizes[0] = parts.same;
		sizes[1] = parts.more - parts.same;
		sizes[2] = count - parts.more;
		if (pivot == STEP_END && depth > 0)
			sizes[1] = 0;
		if (sizes[1] >= sizes[0] && sizes[1] >= sizes[2]) {
			order(descent, paths, sizes[0], depth);
			order(descent, paths + parts.more, sizes[2], depth);
			paths += parts.same;
			count = sizes[1];
			depth++;
			is_fresh = true;
			continue;
		}
		order(descent, paths + parts.same, sizes[1], depth + 1);
		if (sizes[0] < sizes[2]) {
			order(descent, paths, sizes[0], depth);
			paths += parts.more;
			count = sizes[2];
		} else {
			order(descent, paths + parts.more, sizes[2], depth);
			count = sizes[0];
		}
		is_fresh = false;
	}
	order_few(paths, count, depth);
}

static int put_into_order(struct descent *descent)
{
	if (array_reserve(&descent->ordered, descent->count) < 0)
		return -ENOMEM;
	/* An address that nobody outside knows. */
	descent->random =
		(uint64_t)(uintptr_t)descent->ordered.items * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (uint32_t i = 0; i < descent->count; i++) {
		const struct descent_path *path = &descent->paths->items[i];
		struct str item = pool_get(&descent->batch->stacks, path->stack);
		const uint32_t *numbers = (const void *)item.text;

		descent->ordered.items[i] = (struct ordered){
			.frames = numbers,
			.frame_count = (uint32_t)(item.size / sizeof(numbers[0]) - 1),
			.service = path->service,
			.path = i,
			.is_cut = numbers[0] & STACK_TRUNCATED,
		};
	}
	order(descent, descent->ordered.items, descent->count, 0);
	return 0;
}

/* ---- what the segment has ---------------------------------------------------------------------
 */

static uint32_t location_at(const struct descent *descent, const struct ordered *path,
			    uint32_t depth)
{
	uint32_t step = step_at(path, depth);

	if (depth == 0)
		return step;
	return step == STEP_CALLERS_MISSING ? (uint32_t)TREE_CALLERS_MISSING
					    : descent->locations[step - STEP_FRAME];
}

static int find_common(struct descent *descent)
{
	descent->longest = 0;
	for (uint32_t i = 0; i < descent->count; i++) {
		struct ordered *path = &descent->ordered.items[i];
		uint32_t length = length_of(path);

		path->step = i > 0 ? common_length(path - 1, path, 0, UINT32_MAX) : 0;
		if (length > descent->longest)
			descent->longest = length;
	}
	return array_reserve(&descent->trails, ((size_t)SEGMENT_TOGETHER + 1) * descent->longest);
}

static inline uint32_t parent_in(const uint32_t *trail, uint32_t depth)
{
	return depth > 0 ? trail[depth - 1] : TREE_NO_PARENT;
}

/*
 * Leaves a path, of which depth steps are there, for the next one that is to be looked for. What
 * goes on where one before it was not there is not there either. False behind the last one.
 */
static bool leave(struct walker *walker)
{
	uint32_t known = walker->depth;
	struct ordered *path = walker->next;

	for (;;) {
		path->known = known;
		path->node = parent_in(walker->trail, known);
		if (++path == walker->end)
			return false;
		if (path->step > known)
			continue;
		known = path->step;
		if (known < length_of(path))
			break;
	}
	walker->next = path;
	walker->depth = known;
	return true;
}

/* False when the walker has come to its end. */
static bool go_on(struct walker *walker, uint32_t found)
{
	if (found == TABLE_NONE)
		return leave(walker);
	walker->trail[walker->depth++] = found;
	return walker->depth < length_of(walker->next) || leave(walker);
}

/* All walkers look for a node each, and wait for memory together. */
static void walk(const struct descent *descent, struct walker *walkers, uint32_t count)
{
	struct tree_node wanted[SEGMENT_TOGETHER];
	uint32_t found[SEGMENT_TOGETHER];

	while (count > 0) {
		uint32_t left = 0;

		for (uint32_t i = 0; i < count; i++) {
			const struct walker *walker = &walkers[i];

			wanted[i] = (struct tree_node){
				parent_in(walker->trail, walker->depth),
				location_at(descent, walker->next, walker->depth),
			};
		}
		segment_find_nodes(descent->segment, wanted, count, found);
		for (uint32_t i = 0; i < count; i++)
			if (go_on(&walkers[i], found[i]))
				walkers[left++] = walkers[i];
		count = left;
	}
}

/* Each walker takes a part, and begins at the root. */
static void find_known(const struct descent *descent)
{
	struct walker walkers[SEGMENT_TOGETHER];
	uint32_t count = descent->count < SEGMENT_TOGETHER ? descent->count : SEGMENT_TOGETHER;

	for (uint32_t i = 0; i < count; i++)
		walkers[i] = (struct walker){
			.next = descent->ordered.items + (uint64_t)descent->count * i / count,
			.end = descent->ordered.items + (uint64_t)descent->count * (i + 1) / count,
			.trail = descent->trails.items + (size_t)descent->longest * i,
		};
	walk(descent, walkers, count);
}

/* ---- what it has not --------------------------------------------------------------------------
 */

/* Steps of the path that neither the segment has nor the path before. */
static inline uint32_t first_absent(const struct ordered *path)
{
	return path->known > path->step ? path->known : path->step;
}

/* Adds what is not there; its leaf's node. next is that of the next new node. */
static uint32_t add_rest(const struct descent *descent, const struct ordered *path, uint32_t *trail,
			 uint32_t *next)
{
	uint32_t length = length_of(path);
	uint32_t depth = first_absent(path);
	/* Where the path before went further it went on new nodes. */
	uint32_t node = path->known >= path->step ? path->node : trail[path->step - 1];

	for (; depth < length; depth++) {
		segment_new_node(descent->segment, node, location_at(descent, path, depth));
		node = trail[depth] = (*next)++;
	}
	return node;
}

/* New nodes in the order of the paths: most are their parent's number and one. */
static int add_absent(const struct descent *descent)
{
	struct segment *segment = descent->segment;
	uint32_t *trail = descent->trails.items + (size_t)descent->longest * SEGMENT_TOGETHER;
	uint32_t first = segment->tree.nodes.count;
	uint32_t next = first;
	uint64_t count = 0;
	int err;

	for (uint32_t i = 0; i < descent->count; i++)
		count += length_of(&descent->ordered.items[i]) -
			 first_absent(&descent->ordered.items[i]);
	if (count > TREE_NODE_COUNT_MAX)
		return -ENOSPC;
	err = segment_reserve_nodes(segment, (uint32_t)count);
	if (err)
		return err;
	for (uint32_t i = 0; i < descent->count; i++) {
		const struct ordered *path = &descent->ordered.items[i];

		descent->paths->items[path->path].node = add_rest(descent, path, trail, &next);
	}
	segment_enter_new_nodes(segment, first);
	return 0;
}

int descent_go(struct descent *descent, struct segment *segment, const struct batch *batch,
	       const uint32_t *locations, descent_paths *paths)
{
	int err;

	if (paths->count == 0)
		return 0;
	descent->segment = segment;
	descent->batch = batch;
	descent->locations = locations;
	descent->paths = paths;
	descent->count = paths->count;
	err = put_into_order(descent);
	if (!err)
		err = find_common(descent);
	if (err)
		return err;
	find_known(descent);
	return add_absent(descent);
}

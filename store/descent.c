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
	ABSENT = UINT32_MAX,
};

/* A path while they are put into order. */
struct ordered {
	const uint32_t *frames; /* the leaf first, behind the flags */
	uint32_t frame_count;
	uint32_t service;
	uint32_t path;
	/* The one that is looked at; later, how many it shares with the one before. */
	uint32_t step;
	bool is_cut;
};

/* A node of what the paths have together, parents before children. */
struct joint {
	uint32_t parent; /* of these; of a root none */
	uint32_t location;
	uint32_t depth;
	uint32_t node; /* or ABSENT */
};

struct descent {
	struct segment *segment;
	const struct batch *batch;
	const uint32_t *locations;
	descent_paths *paths;
	uint32_t count;
	struct ordered *ordered;
	/* As many as there will be, at once: to grow they would be copied, into new memory. */
	struct joint *joints;
	uint32_t joint_count;
	uint32_t *by_depth;
	ARRAY(uint32_t) depths; /* how many joints lie above each depth */
	ARRAY(uint32_t) trail;	/* joints from the root to the path before */
	uint64_t random;
};

static void descent_cleanup(struct descent *descent)
{
	free(descent->ordered);
	free(descent->joints);
	free(descent->by_depth);
	array_done(&descent->depths);
	array_done(&descent->trail);
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
	descent->ordered = calloc((size_t)descent->count + 1, sizeof(descent->ordered[0]));
	if (!descent->ordered)
		return -ENOMEM;
	/* An address that nobody outside knows. */
	descent->random = (uint64_t)(uintptr_t)descent->ordered * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (uint32_t i = 0; i < descent->count; i++) {
		const struct descent_path *path = &descent->paths->items[i];
		struct str item = pool_get(&descent->batch->stacks, path->stack);
		const uint32_t *numbers = (const void *)item.text;

		descent->ordered[i] = (struct ordered){
			.frames = numbers,
			.frame_count = (uint32_t)(item.size / sizeof(numbers[0]) - 1),
			.service = path->service,
			.path = i,
			.is_cut = numbers[0] & STACK_TRUNCATED,
		};
	}
	order(descent, descent->ordered, descent->count, 0);
	return 0;
}

/* ---- what they have together ------------------------------------------------------------------
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

/* How many joints there will be: what each path has and the one before it has not. */
static int count_joints(struct descent *descent, uint32_t *ret_longest)
{
	uint64_t count = 0;

	*ret_longest = 0;
	for (uint32_t i = 0; i < descent->count; i++) {
		struct ordered *path = &descent->ordered[i];
		uint32_t length = length_of(path);

		path->step = i > 0 ? common_length(path - 1, path, 0, UINT32_MAX) : 0;
		count += length - path->step;
		if (length > *ret_longest)
			*ret_longest = length;
	}
	/* Each will be a node of its own. */
	if (count > TREE_NODE_COUNT_MAX)
		return -ENOSPC;
	descent->joints = malloc(((size_t)count + 1) * sizeof(descent->joints[0]));
	descent->by_depth = malloc(((size_t)count + 1) * sizeof(descent->by_depth[0]));
	return descent->joints && descent->by_depth ? 0 : -ENOMEM;
}

/* Makes joints of what this path has and the one before it has not. */
static void join(struct descent *descent, const struct ordered *path)
{
	uint32_t *trail = descent->trail.items;
	uint32_t *depths = descent->depths.items;
	uint32_t length = length_of(path);

	for (uint32_t depth = path->step; depth < length; depth++) {
		descent->joints[descent->joint_count] = (struct joint){
			.parent = depth ? trail[depth - 1] : TREE_NO_PARENT,
			.location = location_at(descent, path, depth),
			.depth = depth,
			.node = ABSENT,
		};
		depths[depth + 1]++;
		trail[depth] = descent->joint_count++;
	}
	/* For now, the joint. */
	descent->paths->items[path->path].node = trail[length - 1];
}

static int join_all(struct descent *descent)
{
	uint32_t longest;
	int err = count_joints(descent, &longest);

	if (!err)
		err = array_reserve(&descent->trail, longest);
	if (!err)
		err = array_reserve(&descent->depths, (size_t)longest + 1);
	if (err)
		return err;
	descent->depths.count = longest + 1;
	memset(descent->depths.items, 0, descent->depths.count * sizeof(descent->depths.items[0]));
	for (uint32_t i = 0; i < descent->count; i++)
		join(descent, &descent->ordered[i]);
	return 0;
}

/* ---- the segment ------------------------------------------------------------------------------
 */

/* Joints by their depth, each depth in one piece: of one, none hangs on another. */
static void sort_by_depth(const struct descent *descent)
{
	uint32_t *starts = descent->depths.items;

	assert(starts);
	for (uint32_t i = 1; i < descent->depths.count; i++)
		starts[i] += starts[i - 1];
	for (uint32_t i = 0; i < descent->joint_count; i++)
		descent->by_depth[starts[descent->joints[i].depth]++] = i;
	/* starts[i] is where depth i + 1 begins now. */
}

static uint32_t parent_node(const struct descent *descent, const struct joint *joint)
{
	return joint->parent == TREE_NO_PARENT ? TREE_NO_PARENT
					       : descent->joints[joint->parent].node;
}

/* Takes those of by_depth[first, end) whose parent is there to its start; returns where they end.
 */
static uint32_t choose_known(const struct descent *descent, uint32_t first, uint32_t end)
{
	uint32_t *joints = descent->by_depth;
	uint32_t kept = first;

	for (uint32_t i = first; i < end; i++) {
		const struct joint *joint = &descent->joints[joints[i]];

		if (joint->parent == TREE_NO_PARENT || parent_node(descent, joint) != ABSENT)
			joints[kept++] = joints[i];
	}
	return kept;
}

static void find_depth(const struct descent *descent, uint32_t first, uint32_t end)
{
	const uint32_t *numbers = descent->by_depth;
	uint32_t known_end = choose_known(descent, first, end);

	while (first < known_end) {
		struct tree_node wanted[SEGMENT_TOGETHER];
		uint32_t found[SEGMENT_TOGETHER];
		uint32_t left = known_end - first;
		uint32_t count = left < SEGMENT_TOGETHER ? left : (uint32_t)SEGMENT_TOGETHER;

		for (uint32_t i = 0; i < count; i++) {
			const struct joint *joint = &descent->joints[numbers[first + i]];

			wanted[i] =
				(struct tree_node){ parent_node(descent, joint), joint->location };
		}
		segment_find_nodes(descent->segment, wanted, count, found);
		for (uint32_t i = 0; i < count; i++)
			descent->joints[numbers[first + i]].node = found[i];
		first += count;
	}
}

static void find_all(const struct descent *descent)
{
	uint32_t first = 0;

	for (uint32_t depth = 0; first < descent->joint_count; depth++) {
		uint32_t end = descent->depths.items[depth];

		find_depth(descent, first, end);
		first = end;
	}
}

/* New nodes in the order of the paths: most are their parent's number and one. */
static int add_absent(const struct descent *descent)
{
	struct segment *segment = descent->segment;
	struct joint *joints = descent->joints;
	uint32_t count = descent->joint_count;
	uint32_t first = segment->tree.nodes.count;
	uint32_t next = first;
	int err;

	for (uint32_t i = 0; i < count; i++)
		if (joints[i].node == ABSENT)
			next++;
	err = segment_reserve_nodes(segment, next - first);
	if (err)
		return err;
	next = first;
	for (uint32_t i = 0; i < count; i++) {
		if (joints[i].node != ABSENT)
			continue;
		segment_new_node(segment, parent_node(descent, &joints[i]), joints[i].location);
		joints[i].node = next++;
	}
	segment_enter_new_nodes(segment, first);
	return 0;
}

int descent_go(struct segment *segment, const struct batch *batch, const uint32_t *locations,
	       descent_paths *paths)
{
	autoclean(descent) struct descent descent = { .segment = segment,
						      .batch = batch,
						      .locations = locations,
						      .paths = paths,
						      .count = paths->count };
	int err;

	if (paths->count == 0)
		return 0;
	err = put_into_order(&descent);
	if (!err)
		err = join_all(&descent);
	if (err)
		return err;
	sort_by_depth(&descent);
	find_all(&descent);
	err = add_absent(&descent);
	for (uint32_t i = 0; !err && i < paths->count; i++)
		paths->items[i].node = descent.joints[paths->items[i].node].node;
	return err;
}

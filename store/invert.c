/* SPDX-License-Identifier: Apache-2.0 */
#include "store/invert.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/reader.h"

/* A node of the answer that was not taken apart yet, and its stacks: their ends have moved up. */
struct pending {
	uint64_t total;
	uint32_t place; /* in the answer */
	uint32_t first; /* stack */
	uint32_t count;
};

struct inversion {
	const struct merge *tree;
	struct merge *answer;
	struct inverted_stack *stacks;
	bool groups;
	ARRAY(struct pending) heap; /* the heaviest at its top */
};

/* Whether a stack has nothing more to show: its end has gone up beyond the outermost frame. */
static bool is_outside(const struct inversion *inversion, uint32_t node)
{
	return node == MERGE_ROOT ||
	       (inversion->groups && inversion->tree->nodes.items[node].parent == MERGE_ROOT);
}

/* ---- the heap -------------------------------------------------------------------------------- */

static int push(struct inversion *inversion, struct pending pending)
{
	if (array_reserve(&inversion->heap, 1) < 0)
		return -ENOMEM;

	struct pending *items = inversion->heap.items;
	uint32_t place = inversion->heap.count++;

	while (place > 0 && items[(place - 1) / 2].total < pending.total) {
		items[place] = items[(place - 1) / 2];
		place = (place - 1) / 2;
	}
	items[place] = pending;
	return 0;
}

static struct pending pop(struct inversion *inversion)
{
	struct pending *items = inversion->heap.items;
	struct pending top = items[0];
	struct pending last = items[--inversion->heap.count];
	uint32_t count = inversion->heap.count;
	uint32_t place = 0;

	while (2 * place + 1 < count) {
		uint32_t child = 2 * place + 1;

		if (child + 1 < count && items[child + 1].total > items[child].total)
			child++;
		if (items[child].total <= last.total)
			break;
		items[place] = items[child];
		place = child;
	}
	items[place] = last;
	return top;
}

/* ---- taking apart ---------------------------------------------------------------------------- */

/* By function; stacks that are at their end stand first. */
static int compare_stacks(const void *a, const void *b, void *context)
{
	const struct inversion *inversion = context;
	uint32_t x = ((const struct inverted_stack *)a)->node;
	uint32_t y = ((const struct inverted_stack *)b)->node;
	const struct merge_node *nodes = inversion->tree->nodes.items;
	bool x_outside = is_outside(inversion, x);
	bool y_outside = is_outside(inversion, y);

	if (x_outside != y_outside)
		return x_outside ? -1 : 1;
	if (nodes[x].name != nodes[y].name)
		return nodes[x].name < nodes[y].name ? -1 : 1;
	if (!inversion->answer->by_module)
		return 0;
	return (nodes[x].module > nodes[y].module) - (nodes[x].module < nodes[y].module);
}

/* Stacks from first on that have the same function at their end go below a place. */
static int add_child(struct inversion *inversion, uint32_t place, uint32_t first, uint32_t count)
{
	struct inverted_stack *stacks = inversion->stacks + first;
	const struct merge_node *nodes = inversion->tree->nodes.items;
	struct pending pending = { .first = first, .count = count };
	int64_t child = merge_child(inversion->answer, place, merge_frame(&nodes[stacks[0].node]));

	if (child < 0)
		return (int)child;
	pending.place = (uint32_t)child;
	for (uint32_t i = 0; i < count; i++) {
		pending.total = saturated_sum(pending.total, stacks[i].value);
		merge_place(inversion->answer, pending.place, merge_frame(&nodes[stacks[i].node]),
			    stacks[i].value);
		stacks[i].node = nodes[stacks[i].node].parent;
	}
	merge_weigh(inversion->answer, pending.place, 0, pending.total);
	return push(inversion, pending);
}

static int take_apart(struct inversion *inversion, struct pending pending)
{
	struct inverted_stack *stacks = inversion->stacks + pending.first;
	uint32_t i = 0;
	int err = 0;

	qsort_r(stacks, pending.count, sizeof(stacks[0]), compare_stacks, inversion);
	for (; i < pending.count && is_outside(inversion, stacks[i].node); i++)
		merge_weigh(inversion->answer, pending.place, stacks[i].value, 0);
	while (!err && i < pending.count) {
		uint32_t first = i++;

		while (i < pending.count &&
		       compare_stacks(&stacks[first], &stacks[i], inversion) == 0)
			i++;
		err = add_child(inversion, pending.place, pending.first + first, i - first);
	}
	return err;
}

/* The row that a node lies in: the node below the root. Parents stand before their children. */
static uint32_t *find_rows(const struct merge *tree)
{
	uint32_t *rows = calloc((size_t)tree->nodes.count + 1, sizeof(rows[0]));

	for (uint32_t i = 1; rows && i < tree->nodes.count; i++) {
		uint32_t parent = tree->nodes.items[i].parent;

		rows[i] = parent == MERGE_ROOT ? i : rows[parent];
	}
	return rows;
}

static int compare_rows(const void *a, const void *b, void *context)
{
	const uint32_t *rows = context;
	uint32_t x = rows[((const struct inverted_stack *)a)->node];
	uint32_t y = rows[((const struct inverted_stack *)b)->node];

	return (x > y) - (x < y);
}

/* First the rows, which stay on top. */
static int add_rows(struct inversion *inversion, uint32_t count)
{
	autofree uint32_t *rows = find_rows(inversion->tree);
	struct inverted_stack *stacks = inversion->stacks;
	int err = 0;

	if (!rows)
		return -ENOMEM;
	qsort_r(stacks, count, sizeof(stacks[0]), compare_rows, rows);
	for (uint32_t i = 0; !err && i < count;) {
		struct pending pending = { .first = i };
		uint32_t row = rows[stacks[i].node];
		int64_t place = MERGE_ROOT;

		for (; i < count && rows[stacks[i].node] == row; i++)
			pending.total = saturated_sum(pending.total, stacks[i].value);
		pending.count = i - pending.first;
		if (row != MERGE_ROOT)
			place = merge_child(inversion->answer, MERGE_ROOT,
					    merge_frame(&inversion->tree->nodes.items[row]));
		if (place < 0)
			return (int)place;
		pending.place = (uint32_t)place;
		merge_weigh(inversion->answer, MERGE_ROOT, 0, pending.total);
		if (row != MERGE_ROOT)
			merge_weigh(inversion->answer, pending.place, 0, pending.total);
		err = push(inversion, pending);
	}
	return err;
}

static int add_all(struct inversion *inversion, uint32_t count)
{
	struct pending pending = { .place = MERGE_ROOT, .count = count };

	for (uint32_t i = 0; i < count; i++)
		pending.total = saturated_sum(pending.total, inversion->stacks[i].value);
	merge_weigh(inversion->answer, MERGE_ROOT, 0, pending.total);
	return push(inversion, pending);
}

int invert(const struct merge *tree, struct inverted_stack *stacks, uint32_t count, bool groups,
	   uint32_t node_count_max, uint64_t deadline_monotonic_ns, struct merge *answer)
{
	struct inversion inversion = {
		.tree = tree, .answer = answer, .stacks = stacks, .groups = groups
	};
	uint64_t lightest = 0; /* of those that were taken apart */
	uint32_t taken_count = 0;
	int err = groups ? add_rows(&inversion, count) : add_all(&inversion, count);

	/* A node weighs no more than the one below which it stands: the heaviest come first, and
	   what is as heavy as the last of them belongs to them. */
	while (!err && inversion.heap.count > 0 &&
	       (node_count_max == 0 || taken_count <= node_count_max ||
		inversion.heap.items[0].total == lightest)) {
		struct pending pending = pop(&inversion);

		lightest = pending.total;
		taken_count++;
		err = take_apart(&inversion, pending);
		if (!err && deadline_monotonic_ns && clock_monotonic_ns() > deadline_monotonic_ns)
			err = -ETIMEDOUT;
	}
	array_done(&inversion.heap);
	return err;
}

int invert_and_lay_out(const struct merge *tree, struct naming *naming, bool groups,
		       uint32_t node_count_max, uint64_t deadline_monotonic_ns, struct flame *ret)
{
	autofree struct inverted_stack *stacks =
		calloc((size_t)tree->nodes.count + 1, sizeof(stacks[0]));
	struct merge answer = { 0 };
	uint32_t count = 0;
	int err = stacks ? merge_start(&answer, naming, tree->by_module) : -ENOMEM;

	for (uint32_t i = 0; !err && i < tree->nodes.count; i++)
		if (tree->nodes.items[i].self > 0)
			stacks[count++] = (struct inverted_stack){ i, tree->nodes.items[i].self };
	answer.sample_count = tree->sample_count;
	if (!err)
		err = invert(tree, stacks, count, groups, node_count_max, deadline_monotonic_ns,
			     &answer);
	if (!err)
		err = merge_lay_out(&answer, naming, node_count_max, ret);
	merge_done(&answer);
	return err;
}

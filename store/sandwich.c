/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sandwich.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "store/invert.h"
#include "store/reader.h"

void sandwich_mark(const struct forest *forest, const bool *holds, bool *needed)
{
	/* Downwards: what is in it or below it. */
	for (uint32_t i = 0; i < forest->count; i++) {
		struct tree_node node = forest->nodes[i];

		needed[i] = node.parent != TREE_NO_PARENT &&
			    (needed[node.parent] || holds[node.location]);
	}
	/* Upwards: its callers. A node that is below it has only such parents and its callers. */
	for (uint32_t i = forest->count; i-- > 0;) {
		uint32_t parent = forest->nodes[i].parent;

		if (needed[i] && parent != TREE_NO_PARENT && forest->total[i] > 0)
			needed[parent] = true;
	}
}

/* A graph whose root is the function; it is known what it is once a stack holds it. */
static int start_side(const struct merge *merge, struct naming *naming, struct frame_name function,
		      struct merge *side)
{
	int err = merge_start(side, naming, merge->by_module);

	if (err)
		return err;

	struct merge_node *root = &side->nodes.items[MERGE_ROOT];

	root->name = function.name;
	root->module = function.module;
	root->kind = function.kind;
	return 0;
}

enum { PLACE_ABOVE = UINT32_MAX };

/* Everything below the outermost calls of the function, as if they were one. */
static int merge_callees(const struct merge *merge, const struct sandwich_function *function,
			 uint32_t *places, struct merge *callees)
{
	places[MERGE_ROOT] = PLACE_ABOVE;
	for (uint32_t i = 1; i < merge->nodes.count; i++) {
		const struct merge_node *node = &merge->nodes.items[i];
		uint32_t place = places[node->parent];

		if (place != PLACE_ABOVE) {
			int64_t child = merge_child(callees, place, merge_frame(node));

			if (child < 0)
				return (int)child;
			place = (uint32_t)child;
			merge_place(callees, place, merge_frame(node), node->total);
		} else if (sandwich_function_is(function, merge_frame(node))) {
			place = MERGE_ROOT;
		}
		places[i] = place;
		if (place != PLACE_ABOVE)
			merge_weigh(callees, place, node->self, node->total);
	}
	return 0;
}

/* The outermost calls, as stacks that end there; *ret_first is the function as it was first met. */
static uint32_t find_calls(const struct merge *merge, const uint32_t *places,
			   struct inverted_stack *calls, uint32_t *ret_first)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < merge->nodes.count; i++) {
		const struct merge_node *node = &merge->nodes.items[i];

		if (places[i] != MERGE_ROOT || node->total == 0)
			continue;
		if (count == 0)
			*ret_first = i;
		/* The answer begins with the function: what comes next is its caller. */
		calls[count++] = (struct inverted_stack){ node->parent, node->total };
	}
	return count;
}

static int lay_out_sides(const struct merge *merge, struct naming *naming,
			 const struct sandwich_function *function, uint32_t node_count_max,
			 uint64_t deadline_monotonic_ns, struct merge *callers,
			 struct merge *callees, struct sandwich *ret)
{
	autofree uint32_t *places = calloc((size_t)merge->nodes.count + 1, sizeof(places[0]));
	autofree struct inverted_stack *calls =
		calloc((size_t)merge->nodes.count + 1, sizeof(calls[0]));
	struct frame_name frame = { .name = function->name,
				    .module = function->of_any_module ? NAMING_TEXT_EMPTY
								      : function->module };
	uint32_t first = MERGE_ROOT;
	int err = places && calls ? start_side(merge, naming, frame, callees) : -ENOMEM;

	if (!err)
		err = merge_callees(merge, function, places, callees);
	if (err)
		return err;

	uint32_t count = find_calls(merge, places, calls, &first);

	if (first != MERGE_ROOT)
		frame = merge_frame(&merge->nodes.items[first]);
	callees->nodes.items[MERGE_ROOT].module = frame.module;
	callees->nodes.items[MERGE_ROOT].kind = frame.kind;
	err = start_side(merge, naming, frame, callers);
	if (!err)
		err = invert(merge, calls, count, false, node_count_max, deadline_monotonic_ns,
			     callers);
	if (!err)
		err = merge_lay_out(callers, naming, node_count_max, &ret->callers);
	if (!err)
		err = merge_lay_out(callees, naming, node_count_max, &ret->callees);
	return err;
}

int sandwich_lay_out(const struct merge *merge, struct naming *naming,
		     const struct sandwich_function *function, uint32_t node_count_max,
		     uint64_t deadline_monotonic_ns, struct sandwich *ret)
{
	struct sandwich sandwich = { 0 };
	struct merge callers = { 0 };
	struct merge callees = { 0 };
	int err = lay_out_sides(merge, naming, function, node_count_max, deadline_monotonic_ns,
				&callers, &callees, &sandwich);

	for (uint32_t i = 1; !err && i < merge->nodes.count; i++)
		if (sandwich_function_is(function, merge_frame(&merge->nodes.items[i])))
			sandwich.self = saturated_sum(sandwich.self, merge->nodes.items[i].self);
	merge_done(&callers);
	merge_done(&callees);
	if (err)
		sandwich_done(&sandwich);
	else
		*ret = sandwich;
	return err;
}

void sandwich_done(struct sandwich *sandwich)
{
	flame_done(&sandwich->callers);
	flame_done(&sandwich->callees);
	*sandwich = (struct sandwich){ 0 };
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Diff: two profiles on top of each other. */
#include <errno.h>

#include "web/flame_diff.h"
#include "web/server.h"
#include "web/stacks.h"

enum { VALUES_PER_BAR = 7 };

/* The bars of one level; how many there are. */
static size_t take_level(struct connect_call *call, const struct flame_diff_bar *bars, size_t count,
			 Pyroscope__Level *level)
{
	size_t bar_count = 0;

	while (bar_count < count && bars[bar_count].level == bars[0].level)
		bar_count++;

	int64_t *value = arena_take(&call->arena, bar_count, VALUES_PER_BAR * sizeof(value[0]));

	pyroscope__level__init(level);
	level->values = value;
	for (size_t i = 0; value && i < bar_count; i++) {
		*value++ = (int64_t)bars[i].left.delta;
		*value++ = (int64_t)bars[i].left.total;
		*value++ = (int64_t)bars[i].left.self;
		*value++ = (int64_t)bars[i].right.delta;
		*value++ = (int64_t)bars[i].right.total;
		*value++ = (int64_t)bars[i].right.self;
		*value++ = bars[i].name;
		level->n_values += VALUES_PER_BAR;
	}
	return bar_count;
}

static void take_diff(struct connect_call *call, const struct flame_diff *diff,
		      Pyroscope__FlameGraphDiff *graph)
{
	size_t level_count = (size_t)diff->bars[diff->bar_count - 1].level + 1;
	Pyroscope__Level *items = arena_take(&call->arena, level_count, sizeof(items[0]));

	pyroscope__flame_graph_diff__init(graph);
	graph->n_names = diff->name_count;
	graph->names = querier_texts(call, diff->names, diff->name_count);
	graph->levels = arena_take(&call->arena, level_count, sizeof(graph->levels[0]));
	for (size_t i = 0; items && graph->levels && i < diff->bar_count;) {
		Pyroscope__Level *level = &items[graph->n_levels];

		i += take_level(call, &diff->bars[i], diff->bar_count - i, level);
		graph->levels[graph->n_levels++] = level;
	}
	graph->total = (int64_t)(diff->left_total + diff->right_total);
	graph->max_self = (int64_t)diff->max_self;
	graph->leftticks = (int64_t)diff->left_total;
	graph->rightticks = (int64_t)diff->right_total;
}

static bool read_side(struct stacks_question *side, struct connect_call *call, const char *name,
		      const Pyroscope__SelectMergeStacktracesRequest *asked)
{
	if (!asked) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "%s is missing", name);
		return false;
	}
	return stacks_read(side, call, asked->start, asked->end, asked->profile_typeid,
			   asked->label_selector) &&
	       stacks_read_node_count(side, call, asked->max_nodes, STACKS_NODE_COUNT_ALL) &&
	       stacks_read_profiles(side, call, asked->n_profile_id_selector,
				    asked->profile_id_selector) &&
	       stacks_read_spans(side, call, asked->n_span_selector, asked->span_selector) &&
	       stacks_read_traces(side, call, asked->n_trace_id_selector,
				  asked->trace_id_selector) &&
	       stacks_read_selector(side, call, asked->stack_trace_selector);
}

int stacks_diff(struct server *server, struct stacks_question *left, struct stacks_question *right,
		struct stacks_diff *ret)
{
	uint32_t node_count = left->options.node_count_max > right->options.node_count_max
				      ? left->options.node_count_max
				      : right->options.node_count_max;
	int err = 0;

	left->options.node_count_max = STACKS_NODE_COUNT_ALL;
	right->options.node_count_max = STACKS_NODE_COUNT_ALL;
	err = store_flame(server->store, &left->base.question, &left->options, &ret->left);
	if (!err)
		err = store_flame(server->store, &right->base.question, &right->options,
				  &ret->right);
	if (!err)
		err = flame_diff_make(&ret->left, &ret->right,
				      node_count ? node_count : STACKS_NODE_COUNT_DEFAULT,
				      &ret->diff);
	return err;
}

void stacks_diff_done(struct stacks_diff *diff)
{
	flame_diff_done(&diff->diff);
	flame_done(&diff->left);
	flame_done(&diff->right);
}

void querier_diff(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__DiffResponse answer = PYROSCOPE__DIFF_RESPONSE__INIT;
	autoclean(stacks_question) struct stacks_question left = { 0 };
	autoclean(stacks_question) struct stacks_question right = { 0 };
	autoclean(stacks_diff) struct stacks_diff diff = { 0 };
	autoclean(connect_call) struct connect_call call;
	Pyroscope__FlameGraphDiff graph;
	const Pyroscope__DiffRequest *asked =
		connect_begin(&call, request, reply, &pyroscope__diff_request__descriptor);

	if (!asked || !read_side(&left, &call, "left", asked->left) ||
	    !read_side(&right, &call, "right", asked->right))
		return;

	int err = stacks_diff(server, &left, &right, &diff);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	take_diff(&call, &diff.diff, &graph);
	answer.flamegraph = &graph;
	connect_answer(&call, &answer.base);
}

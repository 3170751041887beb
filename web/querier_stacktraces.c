/* SPDX-License-Identifier: Apache-2.0 */
/* SelectMergeStacktraces, SelectMergeProfile, SelectMergeSpanProfile: one profile of all. */
#include <errno.h>

#include "base/clock.h"
#include "web/dot.h"
#include "web/pprof.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/stacks.h"

enum {
	MEMORY_PERIOD = 524288,
	DOT_NODE_COUNT_DEFAULT = 100,
	DOT_SOURCE_COUNT_MIN = 512,
};

/* ---- answers ----------------------------------------------------------------------------------
 */

static int answer_graph(struct connect_call *call, const struct flame *flame)
{
	Pyroscope__SelectMergeStacktracesResponse answer =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;

	answer.flamegraph = stacks_graph(call, flame);
	connect_answer(call, &answer.base);
	return 0;
}

static int answer_tree(struct connect_call *call, const struct flame *flame)
{
	Pyroscope__SelectMergeStacktracesResponse answer =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;

	(void)stacks_tree(call, flame, &answer.tree);
	connect_answer(call, &answer.base);
	return 0;
}

static int answer_dot(struct connect_call *call, const struct stacks_question *question,
		      uint32_t node_count_max, const struct flame *flame)
{
	Pyroscope__SelectMergeStacktracesResponse answer =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	autoclean(buf) struct buf dot = BUF(REPLY_SIZE_MAX);
	int err = dot_write(flame, &question->base.type, node_count_max, &dot);

	if (err || dot.error)
		return err ? err : dot.error;
	answer.dot = arena_text(&call->arena, (struct str){ (const char *)dot.bytes, dot.size });
	connect_answer(call, &answer.base);
	return 0;
}

/* As Pyroscope does: the end of the range, and a period by the kind of profile. */
static Pprof__Profile *make_profile(struct connect_call *call,
				    const struct stacks_question *question, int64_t end_ms,
				    const struct flame *flame)
{
	const struct profile_type *type = &question->base.type;
	struct str name = type->parts[PROFILE_TYPE_NAME];
	struct pprof_options options = {
		.type = type,
		.time_ns = end_ms * CLOCK_NS_PER_MS,
		.period = str_equal(name, STR("process_cpu")) ? CLOCK_NS_PER_S
			  : str_equal(name, STR("memory"))    ? MEMORY_PERIOD
							      : 1,
		.kept_locations = question->kept_locations,
		.has_no_leaf_lines = question->has_no_leaf_lines,
	};

	return pprof_make(flame, &options, &call->arena);
}

static int answer_pprof(struct connect_call *call, const struct stacks_question *question,
			int64_t end_ms, const struct flame *flame)
{
	Pyroscope__SelectMergeStacktracesResponse answer =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	Pyroscope__PprofProfile profile = PYROSCOPE__PPROF_PROFILE__INIT;

	profile.profile = make_profile(call, question, end_ms, flame);
	answer.pprof = &profile;
	connect_answer(call, &answer.base);
	return 0;
}

/* ---- SelectMergeStacktraces -------------------------------------------------------------------
 */

static bool read_stacktraces(struct stacks_question *question, struct connect_call *call,
			     const Pyroscope__SelectMergeStacktracesRequest *asked)
{
	bool is_pprof = asked->format == PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_PPROF;

	if (asked->n_span_selector > 0 && asked->n_trace_id_selector > 0) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "span_selector and trace_id_selector exclude each other");
		return false;
	}
	question->options.by_module = is_pprof;
	question->options.by_line = is_pprof;
	return stacks_read(question, call, asked->start, asked->end, asked->profile_typeid,
			   asked->label_selector) &&
	       stacks_read_node_count(question, call, asked->max_nodes,
				      is_pprof ? STACKS_NODE_COUNT_ALL
					       : STACKS_NODE_COUNT_DEFAULT) &&
	       stacks_read_profiles(question, call, asked->n_profile_id_selector,
				    asked->profile_id_selector) &&
	       stacks_read_spans(question, call, asked->n_span_selector, asked->span_selector) &&
	       stacks_read_traces(question, call, asked->n_trace_id_selector,
				  asked->trace_id_selector) &&
	       stacks_read_selector(question, call, asked->stack_trace_selector);
}

/* So many nodes go into the graph of calls, whose boxes are functions. */
static uint32_t dot_source_count(int64_t asked)
{
	return asked > DOT_SOURCE_COUNT_MIN ? (uint32_t)asked : DOT_SOURCE_COUNT_MIN;
}

static int answer_stacktraces(struct server *server, struct connect_call *call,
			      struct stacks_question *question,
			      const Pyroscope__SelectMergeStacktracesRequest *asked)
{
	autoclean(flame) struct flame flame = { 0 };
	bool is_dot = asked->format == PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_DOT;
	int64_t end_ms = asked->end ? asked->end : question->base.question.to_unix_ms;

	if (is_dot)
		question->options.node_count_max = dot_source_count(asked->max_nodes);

	int err = store_flame(server->store, &question->base.question, &question->options, &flame);

	if (err)
		return err;
	switch (asked->format) {
	case PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_TREE:
		return answer_tree(call, &flame);
	case PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_DOT:
		return answer_dot(call, question,
				  asked->max_nodes ? (uint32_t)asked->max_nodes
						   : DOT_NODE_COUNT_DEFAULT,
				  &flame);
	case PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_PPROF:
		return answer_pprof(call, question, end_ms, &flame);
	default:
		/* What Pyroscope gives for a format that it does not know, too. */
		return answer_graph(call, &flame);
	}
}

void querier_select_merge_stacktraces(struct server *server, struct request *request,
				      struct reply *reply)
{
	autoclean(stacks_question) struct stacks_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__SelectMergeStacktracesRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__select_merge_stacktraces_request__descriptor);

	if (!asked || !read_stacktraces(&question, &call, asked))
		return;

	int err = answer_stacktraces(server, &call, &question, asked);

	if (err)
		connect_failure(reply, err);
}

/* ---- SelectMergeProfile -----------------------------------------------------------------------
 */

void querier_select_merge_profile(struct server *server, struct request *request,
				  struct reply *reply)
{
	autoclean(stacks_question) struct stacks_question question = {
		.options = { .by_module = true, .by_line = true },
	};
	autoclean(flame) struct flame flame = { 0 };
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__SelectMergeProfileRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__select_merge_profile_request__descriptor);

	if (!asked ||
	    !stacks_read(&question, &call, asked->start, asked->end, asked->profile_typeid,
			 asked->label_selector) ||
	    !stacks_read_node_count(&question, &call, asked->max_nodes, STACKS_NODE_COUNT_ALL) ||
	    !stacks_read_profiles(&question, &call, asked->n_profile_id_selector,
				  asked->profile_id_selector) ||
	    !stacks_read_traces(&question, &call, asked->n_trace_id_selector,
				asked->trace_id_selector) ||
	    !stacks_read_selector(&question, &call, asked->stack_trace_selector))
		return;

	int64_t end_ms = asked->end ? asked->end : question.base.question.to_unix_ms;
	int err = store_flame(server->store, &question.base.question, &question.options, &flame);
	Pprof__Profile *profile = err ? NULL : make_profile(&call, &question, end_ms, &flame);

	if (err || !profile)
		connect_failure(reply, err ? err : call.arena.error);
	else
		connect_answer(&call, &profile->base);
}

/* ---- SelectMergeSpanProfile -------------------------------------------------------------------
 */

void querier_select_merge_span_profile(struct server *server, struct request *request,
				       struct reply *reply)
{
	Pyroscope__SelectMergeSpanProfileResponse answer =
		PYROSCOPE__SELECT_MERGE_SPAN_PROFILE_RESPONSE__INIT;
	autoclean(stacks_question) struct stacks_question question = { 0 };
	autoclean(flame) struct flame flame = { 0 };
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__SelectMergeSpanProfileRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__select_merge_span_profile_request__descriptor);

	if (!asked ||
	    !stacks_read(&question, &call, asked->start, asked->end, asked->profile_typeid,
			 asked->label_selector) ||
	    !stacks_read_node_count(&question, &call, asked->max_nodes,
				    STACKS_NODE_COUNT_DEFAULT) ||
	    !stacks_read_spans(&question, &call, asked->n_span_selector, asked->span_selector))
		return;

	int err = store_flame(server->store, &question.base.question, &question.options, &flame);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	/* As a tree or as a graph, whatever else is asked for. */
	if (asked->format == PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_TREE)
		(void)stacks_tree(&call, &flame, &answer.tree);
	else
		answer.flamegraph = stacks_graph(&call, &flame);
	connect_answer(&call, &answer.base);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* SelectMergeStacktraces, SelectMergeProfile: one profile of everything that matches. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>

#include "base/clock.h"
#include "web/flame_levels.h"
#include "web/flame_tree.h"
#include "web/pprof.h"
#include "web/querier.h"
#include "web/reply.h"
#include "web/server.h"

enum {
	NODE_COUNT_DEFAULT = 8192, /* as Pyroscope's */
	NODE_COUNT_MAX = 1048576,
	NODE_COUNT_ALL = 0, /* a pprof is not cut unasked */
	MEMORY_PERIOD = 524288,
	CALL_SITE_COUNT_MAX = 1024,
	SPAN_ID_DIGIT_COUNT = 16,
	TRACE_ID_DIGIT_COUNT = 32,
	UUID_SIZE = 36,
};

/* What the calls for one profile have in common. */
struct stacks_question {
	struct querier_question base;
	struct flame_options options;
	bool asks_for_ids; /* of profiles, spans or traces */
	struct flame flame;
};

static bool read_node_count(struct stacks_question *question, struct connect_call *call,
			    int64_t count, uint32_t otherwise)
{
	if (count < 0 || count > NODE_COUNT_MAX) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "max flamegraph nodes limit %d, got %lld", NODE_COUNT_MAX,
			      (long long)count);
		return false;
	}
	static_assert(NODE_COUNT_DEFAULT <= NODE_COUNT_MAX,
		      "what is taken unasked may be asked for");
	question->options.node_count_max = count ? (uint32_t)count : otherwise;
	return true;
}

static bool is_hexadecimal(struct str text, size_t size)
{
	for (size_t i = 0; i < text.size; i++)
		if (!isxdigit((unsigned char)text.text[i]))
			return false;
	return text.size == size;
}

static bool is_uuid(struct str text)
{
	for (size_t i = 0; i < text.size; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? text.text[i] != '-' : !isxdigit((unsigned char)text.text[i]))
			return false;
	}
	return text.size == UUID_SIZE;
}

/* Whether all ids are well formed; digit_count 0: they are UUIDs. */
static bool check_ids(struct connect_call *call, const char *field, size_t digit_count,
		      size_t count, char *const *ids)
{
	for (size_t i = 0; i < count; i++) {
		struct str id = str_from(ids[i]);

		if (digit_count ? is_hexadecimal(id, digit_count) : is_uuid(id))
			continue;
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "malformed id in %s", field);
		return false;
	}
	return true;
}

/* The texts belong to the question. */
static bool read_call_site(struct stacks_question *question, struct connect_call *call,
			   const Pyroscope__StackTraceSelector *selector)
{
	struct str *names = NULL;

	if (!selector)
		return true;
	if (selector->go_pgo) {
		connect_error(call->reply, CONNECT_UNIMPLEMENTED,
			      "go_pgo needs line numbers, which are not kept");
		return false;
	}
	if (selector->n_call_site > CALL_SITE_COUNT_MAX) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "call_site: at most %d frames",
			      CALL_SITE_COUNT_MAX);
		return false;
	}
	names = arena_take(&call->arena, selector->n_call_site, sizeof(names[0]));
	if (!names) {
		connect_failure(call->reply, call->arena.error);
		return false;
	}
	for (size_t i = 0; i < selector->n_call_site; i++)
		names[i] = str_from(selector->call_site[i]->name);
	question->options.call_site = names;
	question->options.call_site_count = selector->n_call_site;
	return true;
}

/* Samples of this host carry no ids of profiles, spans or traces: who asks for one gets nothing. */
static int ask(struct server *server, struct stacks_question *question)
{
	static struct flame_node root = { .kind = FLAME_ROOT };
	static struct str names[] = { { "", 0 } };

	if (!question->asks_for_ids)
		return store_flame(server->store, &question->base.question, &question->options,
				   &question->flame);
	question->flame =
		(struct flame){ .nodes = &root, .node_count = 1, .names = names, .name_count = 1 };
	return 0;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

/* The bars of one level; how many there are. */
static size_t take_level(struct connect_call *call, const struct flame_bar *bars, size_t count,
			 Pyroscope__Level *level)
{
	size_t bar_count = 0;

	while (bar_count < count && bars[bar_count].level == bars[0].level)
		bar_count++;

	int64_t *values = arena_take(&call->arena, bar_count, 4 * sizeof(values[0]));

	pyroscope__level__init(level);
	level->values = values;
	for (size_t i = 0; values && i < bar_count; i++) {
		values[level->n_values++] = (int64_t)bars[i].delta;
		values[level->n_values++] = (int64_t)bars[i].total;
		values[level->n_values++] = (int64_t)bars[i].self;
		values[level->n_values++] = bars[i].name;
	}
	return bar_count;
}

static void take_levels(struct connect_call *call, const struct flame_levels *levels,
			Pyroscope__FlameGraph *graph)
{
	size_t level_count = (size_t)levels->bars[levels->bar_count - 1].level + 1;
	Pyroscope__Level *items = arena_take(&call->arena, level_count, sizeof(items[0]));

	assert(levels->bar_count > 0 && levels->name_count > 0);
	pyroscope__flame_graph__init(graph);
	graph->n_names = levels->name_count;
	graph->names = querier_texts(call, levels->names, levels->name_count);
	graph->levels = arena_take(&call->arena, level_count, sizeof(graph->levels[0]));
	for (size_t i = 0; items && graph->levels && i < levels->bar_count;) {
		Pyroscope__Level *level = &items[graph->n_levels];

		i += take_level(call, &levels->bars[i], levels->bar_count - i, level);
		graph->levels[graph->n_levels++] = level;
	}
	graph->total = (int64_t)levels->total;
	graph->max_self = (int64_t)levels->max_self;
}

static int answer_graph(struct connect_call *call, const struct flame *flame)
{
	Pyroscope__SelectMergeStacktracesResponse answer =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	autoclean(flame_levels) struct flame_levels levels = { 0 };
	Pyroscope__FlameGraph graph;
	int err = flame_levels_make(flame, &levels);

	if (err)
		return err;
	take_levels(call, &levels, &graph);
	answer.flamegraph = &graph;
	connect_answer(call, &answer.base);
	return 0;
}

static int answer_tree(struct connect_call *call, const struct flame *flame)
{
	Pyroscope__SelectMergeStacktracesResponse answer =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	autoclean(buf) struct buf tree = BUF(REPLY_SIZE_MAX);
	int err = flame_tree_write(flame, &tree);

	if (err || tree.error)
		return err ? err : tree.error;
	answer.tree = (ProtobufCBinaryData){ .len = tree.size, .data = tree.bytes };
	connect_answer(call, &answer.base);
	return 0;
}

/* As Pyroscope does: the end of the range, and a period by the kind of profile. */
static Pprof__Profile *make_profile(struct connect_call *call,
				    const struct stacks_question *question)
{
	const struct profile_type *type = &question->base.type;
	struct str name = type->parts[PROFILE_TYPE_NAME];
	struct pprof_options options = {
		.type = type,
		.time_ns = question->base.question.to_unix_ms * CLOCK_NS_PER_MS,
		.period = str_equal(name, STR("process_cpu")) ? CLOCK_NS_PER_S
			  : str_equal(name, STR("memory"))    ? MEMORY_PERIOD
							      : 1,
	};

	return pprof_make(&question->flame, &options, &call->arena);
}

static int answer_pprof(struct connect_call *call, const struct stacks_question *question)
{
	Pyroscope__SelectMergeStacktracesResponse answer =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	Pyroscope__PprofProfile profile = PYROSCOPE__PPROF_PROFILE__INIT;

	profile.profile = make_profile(call, question);
	answer.pprof = &profile;
	connect_answer(call, &answer.base);
	return 0;
}

static int answer(struct connect_call *call, const struct stacks_question *question, int format)
{
	switch (format) {
	case PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_TREE:
		return answer_tree(call, &question->flame);
	case PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_PPROF:
		return answer_pprof(call, question);
	default:
		/* What Pyroscope gives for a format that it does not know, too. */
		return answer_graph(call, &question->flame);
	}
}

static bool read_stacktraces(struct stacks_question *question, struct connect_call *call,
			     const Pyroscope__SelectMergeStacktracesRequest *asked)
{
	bool is_pprof = asked->format == PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_PPROF;

	if (!querier_read_range(&question->base, call, asked->start, asked->end) ||
	    !querier_read_selection(&question->base, call, asked->profile_typeid,
				    asked->label_selector) ||
	    !read_node_count(question, call, asked->max_nodes,
			     is_pprof ? NODE_COUNT_ALL : NODE_COUNT_DEFAULT) ||
	    !check_ids(call, "profile_id_selector", 0, asked->n_profile_id_selector,
		       asked->profile_id_selector) ||
	    !check_ids(call, "span_selector", SPAN_ID_DIGIT_COUNT, asked->n_span_selector,
		       asked->span_selector) ||
	    !check_ids(call, "trace_id_selector", TRACE_ID_DIGIT_COUNT, asked->n_trace_id_selector,
		       asked->trace_id_selector) ||
	    !read_call_site(question, call, asked->stack_trace_selector))
		return false;
	if (asked->n_span_selector > 0 && asked->n_trace_id_selector > 0) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "span_selector and trace_id_selector exclude each other");
		return false;
	}
	if (asked->format == PYROSCOPE__PROFILE_FORMAT__PROFILE_FORMAT_DOT) {
		connect_error(call->reply, CONNECT_UNIMPLEMENTED,
			      "PROFILE_FORMAT_DOT is not made here; ask for "
			      "PROFILE_FORMAT_FLAMEGRAPH");
		return false;
	}
	question->options.by_module = is_pprof;
	question->options.by_line = is_pprof;
	question->asks_for_ids =
		asked->n_profile_id_selector + asked->n_span_selector + asked->n_trace_id_selector >
		0;
	return true;
}

void querier_select_merge_stacktraces(struct server *server, struct request *request,
				      struct reply *reply)
{
	struct stacks_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__SelectMergeStacktracesRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__select_merge_stacktraces_request__descriptor);

	if (asked && read_stacktraces(&question, &call, asked)) {
		int err = ask(server, &question);

		if (!err)
			err = answer(&call, &question, asked->format);
		if (err)
			connect_failure(reply, err);
		flame_done(&question.flame);
	}
	querier_done(&question.base);
}

void querier_select_merge_profile(struct server *server, struct request *request,
				  struct reply *reply)
{
	struct stacks_question question = { .options = { .by_module = true, .by_line = true } };
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__SelectMergeProfileRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__select_merge_profile_request__descriptor);

	if (asked && querier_read_range(&question.base, &call, asked->start, asked->end) &&
	    querier_read_selection(&question.base, &call, asked->profile_typeid,
				   asked->label_selector) &&
	    read_node_count(&question, &call, asked->max_nodes, NODE_COUNT_ALL) &&
	    check_ids(&call, "profile_id_selector", 0, asked->n_profile_id_selector,
		      asked->profile_id_selector) &&
	    check_ids(&call, "trace_id_selector", TRACE_ID_DIGIT_COUNT, asked->n_trace_id_selector,
		      asked->trace_id_selector) &&
	    read_call_site(&question, &call, asked->stack_trace_selector)) {
		question.asks_for_ids =
			asked->n_profile_id_selector + asked->n_trace_id_selector > 0;

		int err = ask(server, &question);
		Pprof__Profile *profile = err ? NULL : make_profile(&call, &question);

		if (err || !profile)
			connect_failure(reply, err ? err : call.arena.error);
		else
			connect_answer(&call, &profile->base);
		flame_done(&question.flame);
	}
	querier_done(&question.base);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/stacks.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "store/observations.h"
#include "web/flame_levels.h"
#include "web/flame_tree.h"
#include "web/profile_id.h"

enum {
	CALL_SITE_COUNT_MAX = 1024,
	/* {trace_id=~"…|…"} */
	ID_SELECTOR_SIZE_MAX = STACKS_ID_COUNT_MAX * (STACKS_TRACE_ID_DIGIT_COUNT + 1) + 32,
};

bool stacks_read(struct stacks_question *question, struct connect_call *call, int64_t start,
		 int64_t end, const char *type, const char *selector)
{
	return querier_read_range(&question->base, call, start, end) &&
	       querier_read_selection(&question->base, call, type, selector);
}

void stacks_done(struct stacks_question *question)
{
	querier_done(&question->base);
}

bool stacks_read_node_count(struct stacks_question *question, struct connect_call *call,
			    int64_t count, uint32_t otherwise)
{
	if (count < 0 || count > STACKS_NODE_COUNT_MAX) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "max flamegraph nodes limit %d, got %lld", STACKS_NODE_COUNT_MAX,
			      (long long)count);
		return false;
	}
	static_assert(STACKS_NODE_COUNT_DEFAULT <= STACKS_NODE_COUNT_MAX,
		      "what is taken unasked may be asked for");
	question->options.node_count_max = count ? (uint32_t)count : otherwise;
	return true;
}

/* ---- ids --------------------------------------------------------------------------------------
 */

static bool refuse_id(struct connect_call *call, const char *field, const char *form)
{
	connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "malformed id in %s: it is %s", field,
		      form);
	return false;
}

static bool check_count(struct connect_call *call, const char *field, size_t count)
{
	if (count <= STACKS_ID_COUNT_MAX)
		return true;
	connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "%s: %d ids at most", field,
		      STACKS_ID_COUNT_MAX);
	return false;
}

/* Other times need not be looked at. */
static void narrow_to_profiles(struct store_question *asked)
{
	int64_t first_ms = INT64_MAX;
	int64_t last_ms = INT64_MIN;

	for (size_t i = 0; i < asked->profile_count; i++) {
		int64_t time_ms = asked->profiles[i].time_ms;

		first_ms = time_ms < first_ms ? time_ms : first_ms;
		last_ms = time_ms > last_ms ? time_ms : last_ms;
	}
	if (first_ms > asked->to_unix_ms || last_ms < asked->from_unix_ms)
		return;
	if (first_ms > asked->from_unix_ms)
		asked->from_unix_ms = first_ms;
	if (last_ms < asked->to_unix_ms)
		asked->to_unix_ms = last_ms;
	assert(asked->from_unix_ms <= asked->to_unix_ms);
}

bool stacks_read_profiles(struct stacks_question *question, struct connect_call *call, size_t count,
			  char *const *ids)
{
	struct profile_key *keys = arena_take(&call->arena, count, sizeof(keys[0]));

	if (!check_count(call, "profile_id_selector", count))
		return false;
	if (!keys) {
		connect_failure(call->reply, call->arena.error);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		if (!profile_id_read(str_from(ids[i]), &keys[i]))
			return refuse_id(call, "profile_id_selector", "a UUID");
	question->base.question.profiles = keys;
	question->base.question.profile_count = count;
	question->base.question.is_exact = count > 0;
	if (count > 0)
		narrow_to_profiles(&question->base.question);
	return true;
}

static bool is_hexadecimal(struct str text, size_t size)
{
	for (size_t i = 0; i < text.size; i++)
		if (!isxdigit((unsigned char)text.text[i]))
			return false;
	return text.size == size;
}

/* Ids of spans and traces are labels of samples: a matcher more. */
static bool add_ids(struct stacks_question *question, struct connect_call *call, const char *label,
		    size_t count, char *const *ids)
{
	autoclean(buf) struct buf text = BUF(ID_SELECTOR_SIZE_MAX);
	char error[SELECTOR_ERROR_SIZE];

	buf_add_str(&text, STR("{"));
	buf_add_str(&text, str_from(label));
	buf_add_str(&text, STR("=~\""));
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_add_u8(&text, '|');
		for (const char *digit = ids[i]; *digit; digit++)
			buf_add_u8(&text, (uint8_t)tolower((unsigned char)*digit));
	}
	buf_add_str(&text, STR("\"}"));
	assert(text.error != -EFBIG && question->base.selector);

	int err = text.error ? text.error
			     : selector_add(question->base.selector,
					    (struct str){ (const char *)text.bytes, text.size },
					    error);

	if (err)
		connect_failure(call->reply, err);
	return err == 0;
}

bool stacks_read_spans(struct stacks_question *question, struct connect_call *call, size_t count,
		       char *const *ids)
{
	if (!check_count(call, "span_selector", count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_hexadecimal(str_from(ids[i]), STACKS_SPAN_ID_DIGIT_COUNT))
			return refuse_id(call, "span_selector", "16 hexadecimal digits");
	return count == 0 || add_ids(question, call, OBSERVED_SPAN_ID, count, ids);
}

bool stacks_read_traces(struct stacks_question *question, struct connect_call *call, size_t count,
			char *const *ids)
{
	if (!check_count(call, "trace_id_selector", count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_hexadecimal(str_from(ids[i]), STACKS_TRACE_ID_DIGIT_COUNT))
			return refuse_id(call, "trace_id_selector", "32 hexadecimal digits");
	return count == 0 || add_ids(question, call, OBSERVED_TRACE_ID, count, ids);
}

/* ---- parts of stacks --------------------------------------------------------------------------
 */

bool stacks_read_selector(struct stacks_question *question, struct connect_call *call,
			  const Pyroscope__StackTraceSelector *selector)
{
	struct str *names = NULL;

	if (!selector)
		return true;
	if (selector->go_pgo) {
		question->kept_locations = selector->go_pgo->keep_locations;
		question->has_no_leaf_lines = selector->go_pgo->aggregate_callees;
		return true;
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

/* ---- answers ----------------------------------------------------------------------------------
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

Pyroscope__FlameGraph *stacks_graph(struct connect_call *call, const struct flame *flame)
{
	autoclean(flame_levels) struct flame_levels levels = { 0 };
	Pyroscope__FlameGraph *graph = arena_take(&call->arena, 1, sizeof(*graph));
	int err = flame_levels_make(flame, &levels);

	if (err || !graph) {
		call->arena.error = err ? err : call->arena.error;
		return NULL;
	}
	assert(levels.bar_count > 0 && levels.name_count > 0);

	size_t level_count = (size_t)levels.bars[levels.bar_count - 1].level + 1;
	Pyroscope__Level *items = arena_take(&call->arena, level_count, sizeof(items[0]));

	pyroscope__flame_graph__init(graph);
	graph->n_names = levels.name_count;
	graph->names = querier_texts(call, levels.names, levels.name_count);
	graph->levels = arena_take(&call->arena, level_count, sizeof(graph->levels[0]));
	for (size_t i = 0; items && graph->levels && i < levels.bar_count;) {
		Pyroscope__Level *level = &items[graph->n_levels];

		i += take_level(call, &levels.bars[i], levels.bar_count - i, level);
		graph->levels[graph->n_levels++] = level;
	}
	graph->total = (int64_t)levels.total;
	graph->max_self = (int64_t)levels.max_self;
	return call->arena.error ? NULL : graph;
}

bool stacks_tree(struct connect_call *call, const struct flame *flame, ProtobufCBinaryData *ret)
{
	autoclean(buf) struct buf tree = BUF(REPLY_SIZE_MAX);
	int err = flame_tree_write(flame, &tree);
	uint8_t *bytes = arena_take(&call->arena, tree.size, 1);

	if (err || tree.error)
		call->arena.error = err ? err : tree.error;
	if (call->arena.error)
		return false;
	if (tree.size)
		memcpy(bytes, tree.bytes, tree.size);
	*ret = (ProtobufCBinaryData){ .len = tree.size, .data = bytes };
	return true;
}

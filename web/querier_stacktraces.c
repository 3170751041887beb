/* SPDX-License-Identifier: Apache-2.0 */
/* SelectMergeStacktraces: one flame graph of everything that matches. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>

#include "web/flame_levels.h"
#include "web/json_writer.h"
#include "web/querier.h"
#include "web/server.h"

enum {
	NODE_COUNT_DEFAULT = 8192, /* as Pyroscope's */
	NODE_COUNT_MAX = 1048576,
	CALL_SITE_COUNT_MAX = 1024,
	ID_COUNT_MAX = 1024,
	SPAN_ID_DIGIT_COUNT = 16,
	TRACE_ID_DIGIT_COUNT = 32,
	UUID_SIZE = 36,
};

enum profile_format {
	FORMAT_UNSPECIFIED = 0,
	FORMAT_FLAMEGRAPH = 1,
	FORMAT_TREE = 2,
	FORMAT_DOT = 3,
	FORMAT_PPROF = 4,
	FORMAT_COUNT,
};

/* What we have is the flame graph; a format that Pyroscope does not know gives one, too. */
static bool check_format(struct querier_question *question, struct reply *reply)
{
	static const char *const names[FORMAT_COUNT] = {
		"PROFILE_FORMAT_UNSPECIFIED", "PROFILE_FORMAT_FLAMEGRAPH", "PROFILE_FORMAT_TREE",
		"PROFILE_FORMAT_DOT",	      "PROFILE_FORMAT_PPROF",
	};
	int64_t format = connect_enum(&question->fields, "format", names, FORMAT_COUNT);

	if (!connect_fields_ok(&question->fields, reply))
		return false;
	if (format >= FORMAT_TREE && format <= FORMAT_PPROF) {
		connect_error(reply, CONNECT_UNIMPLEMENTED, "%s is not made here; ask for %s",
			      names[format], names[FORMAT_FLAMEGRAPH]);
		return false;
	}
	return true;
}

static bool read_node_count(struct querier_question *question, uint32_t *ret, struct reply *reply)
{
	int64_t count = connect_int64(&question->fields, "max_nodes");

	if (!connect_fields_ok(&question->fields, reply))
		return false;
	if (count < 0 || count > NODE_COUNT_MAX) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "max flamegraph nodes limit %d, got %lld", NODE_COUNT_MAX,
			      (long long)count);
		return false;
	}
	static_assert(NODE_COUNT_DEFAULT <= NODE_COUNT_MAX,
		      "what is taken unasked may be asked for");
	*ret = count ? (uint32_t)count : NODE_COUNT_DEFAULT;
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

/* How many ids a selector has, all of them well formed; -1 when the reply tells which is not. */
static int64_t count_ids(struct querier_question *question, const char *field, size_t digit_count,
			 struct reply *reply)
{
	size_t count = connect_count(&question->fields, field, ID_COUNT_MAX);

	for (size_t i = 0; i < count; i++) {
		struct str id = connect_text_at(&question->fields, field, i);
		bool is_good = digit_count ? is_hexadecimal(id, digit_count) : is_uuid(id);

		if (!connect_fields_ok(&question->fields, reply))
			return -1;
		if (!is_good) {
			connect_error(reply, CONNECT_INVALID_ARGUMENT, "malformed id in %s", field);
			return -1;
		}
	}
	return connect_fields_ok(&question->fields, reply) ? (int64_t)count : -1;
}

/* Samples of this host carry no ids of profiles, spans or traces: who asks for one gets nothing. */
static bool read_ids(struct querier_question *question, bool *ret_asks, struct reply *reply)
{
	int64_t profiles = count_ids(question, "profile_id_selector", 0, reply);

	if (profiles < 0)
		return false;

	int64_t spans = count_ids(question, "span_selector", SPAN_ID_DIGIT_COUNT, reply);

	if (spans < 0)
		return false;

	int64_t traces = count_ids(question, "trace_id_selector", TRACE_ID_DIGIT_COUNT, reply);

	if (traces < 0)
		return false;
	if (spans > 0 && traces > 0) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "span_selector and trace_id_selector exclude each other");
		return false;
	}
	*ret_asks = profiles + spans + traces > 0;
	return true;
}

/* *ret is the caller's to free; the texts belong to the message. */
static bool read_call_site(struct querier_question *question, struct str **ret, size_t *ret_count,
			   struct reply *reply)
{
	struct connect_fields selector =
		connect_fields(connect_message(&question->fields, "stack_trace_selector"));
	size_t count = connect_count(&selector, "call_site", CALL_SITE_COUNT_MAX);
	autofree struct str *names = calloc(count + 1, sizeof(*names));

	if (!names) {
		connect_failure(reply, -ENOMEM);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct connect_fields location =
			connect_fields(connect_message_at(&selector, "call_site", i));

		names[i] = connect_text(&location, "name");
		if (!connect_fields_ok(&location, reply))
			return false;
	}
	if (!connect_fields_ok(&question->fields, reply) || !connect_fields_ok(&selector, reply))
		return false;
	*ret = TAKE(names);
	*ret_count = count;
	return true;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void write_levels(struct json_writer *json, const struct flame_levels *levels)
{
	size_t i = 0;

	assert(levels->bar_count > 0 && levels->name_count > 0);
	json_key(json, "levels");
	json_begin_array(json);
	while (i < levels->bar_count) {
		uint32_t level = levels->bars[i].level;

		json_begin_object(json);
		json_key(json, "values");
		json_begin_array(json);
		for (; i < levels->bar_count && levels->bars[i].level == level; i++) {
			assert(levels->bars[i].name < levels->name_count);
			json_u64_text(json, levels->bars[i].delta);
			json_u64_text(json, levels->bars[i].total);
			json_u64_text(json, levels->bars[i].self);
			json_u64_text(json, levels->bars[i].name);
		}
		json_end_array(json);
		json_end_object(json);
	}
	json_end_array(json);
}

static void write_answer(struct reply *reply, const struct flame_levels *levels)
{
	struct json_writer json = JSON_WRITER(&reply->body);

	json_begin_object(&json);
	json_key(&json, "flamegraph");
	json_begin_object(&json);
	json_key(&json, "names");
	json_begin_array(&json);
	for (size_t i = 0; i < levels->name_count; i++)
		json_text(&json, levels->names[i]);
	json_end_array(&json);
	write_levels(&json, levels);
	if (levels->total > 0) {
		json_key(&json, "total");
		json_u64_text(&json, levels->total);
	}
	if (levels->max_self > 0) {
		json_key(&json, "maxSelf");
		json_u64_text(&json, levels->max_self);
	}
	json_end_object(&json);
	json_end_object(&json);
}

static int write_flame(struct reply *reply, const struct flame *flame)
{
	autoclean(flame_levels) struct flame_levels levels = { 0 };
	int err = flame_levels_make(flame, &levels);

	if (!err)
		write_answer(reply, &levels);
	return err;
}

static int write_nothing(struct reply *reply)
{
	struct flame_node root = { .kind = FLAME_ROOT };
	struct str names[] = { STR("") };
	struct flame flame = { .nodes = &root, .node_count = 1, .names = names, .name_count = 1 };

	return write_flame(reply, &flame);
}

void querier_select_merge_stacktraces(struct server *server, struct request *request,
				      struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	struct flame_options options = { 0 };
	autofree struct str *call_site = NULL;
	bool asks_for_ids = false;
	struct flame flame;

	if (!querier_begin(&question, request, reply) || !querier_read_range(&question, reply) ||
	    !querier_read_selection(&question, reply) || !check_format(&question, reply) ||
	    !read_node_count(&question, &options.node_count_max, reply) ||
	    !read_ids(&question, &asks_for_ids, reply) ||
	    !read_call_site(&question, &call_site, &options.call_site_count, reply))
		return;
	options.call_site = call_site;

	int err = 0;

	if (asks_for_ids) {
		err = write_nothing(reply);
	} else {
		err = store_flame(server->store, &question.question, &options, &flame);
		if (!err) {
			err = write_flame(reply, &flame);
			flame_done(&flame);
		}
	}
	if (err)
		connect_failure(reply, err);
}

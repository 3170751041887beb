/* SPDX-License-Identifier: Apache-2.0 */
#include "web/render.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "web/attime.h"
#include "web/dot.h"
#include "web/flamebearer.h"
#include "web/json_writer.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/stacks.h"

enum {
	/* http1.c takes no longer heads; decoding only shrinks. */
	TEXTS_SIZE_MAX = REQUEST_HEAD_SIZE_MAX,
	DOT_NODE_COUNT_DEFAULT = 100,
	DOT_SOURCE_COUNT_MIN = 512,
	/* Points of a timeline that are aimed at, and the shortest step. */
	TIMELINE_POINT_COUNT = 1500,
	TIMELINE_STEP_MIN_S = 15,
};

/* One side's question, and where its texts live. */
struct render {
	struct stacks_question question;
	struct connect_call call; /* lends its arena and its way of saying what is wrong */
	struct buf texts;
};

static void render_start(struct render *render, const struct request *request, struct reply *reply)
{
	*render = (struct render){
		.call = { .request = request, .reply = reply, .arena = ARENA(ANSWER_MEMORY_MAX) },
		.texts = BUF(TEXTS_SIZE_MAX)
	};
}

static void render_cleanup(struct render *render)
{
	stacks_done(&render->question);
	arena_done(&render->call.arena);
	buf_done(&render->texts);
}

static bool parameter(struct render *render, const char *name, struct str *ret)
{
	*ret = (struct str){ 0 };
	return request_parameter(render->call.request, str_from(name), &render->texts, ret);
}

/* "TYPE{selector}": the type stands where PromQL has a metric's name. */
static bool read_query(struct render *render, const char *name, int64_t from_ms, int64_t until_ms)
{
	struct reply *reply = render->call.reply;
	struct str query;
	size_t size = 0;

	if (!parameter(render, name, &query) || query.size == 0) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "\"%s\" is required", name);
		return false;
	}
	while (size < query.size && query.text[size] != '{')
		size++;

	size_t type_size = size;

	while (type_size > 0 && query.text[type_size - 1] == ' ')
		type_size--;
	if (type_size == 0) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "\"%s\" must begin with a profile type", name);
		return false;
	}

	const char *type = arena_text(&render->call.arena, (struct str){ query.text, type_size });
	const char *selector = arena_text(&render->call.arena,
					  (struct str){ query.text + size, query.size - size });

	if (!type || !selector) {
		connect_failure(reply, render->call.arena.error);
		return false;
	}
	return stacks_read(&render->question, &render->call, from_ms, until_ms, type, selector);
}

/* What is no number means what nothing means. */
static uint32_t read_node_count(struct render *render)
{
	struct str text;
	uint64_t count = 0;

	if (!parameter(render, "max-nodes", &text) && !parameter(render, "maxNodes", &text))
		return 0;
	if (parse_u64(text, &count))
		return 0;
	return count < STACKS_NODE_COUNT_MAX ? (uint32_t)count : STACKS_NODE_COUNT_MAX;
}

static bool read_side(struct render *render, const char *query, const char *from, const char *until)
{
	int64_t now_ms = clock_unix_ms();
	struct str text;
	int64_t from_ms = parameter(render, from, &text) ? attime_parse(text, now_ms) : now_ms;
	int64_t until_ms = parameter(render, until, &text) ? attime_parse(text, now_ms) : now_ms;

	return read_query(render, query, from_ms, until_ms);
}

/* ---- timelines --------------------------------------------------------------------------------
 */

/* Steps that people find round, as Grafana takes them: up to where each is used. */
static int64_t round_step(int64_t step_ms)
{
	static const struct {
		int64_t up_to_ms;
		int64_t step_s;
	} steps[] = { { 17500, 15 },	   { 25000, 20 },	{ 45000, 30 },
		      { 90000, 60 },	   { 210000, 120 },	{ 450000, 300 },
		      { 750000, 600 },	   { 1050000, 900 },	{ 1500000, 1200 },
		      { 2700000, 1800 },   { 5400000, 3600 },	{ 9000000, 7200 },
		      { 16200000, 10800 }, { 32400000, 21600 }, { 86400000, 43200 },
		      { 604800000, 86400 } };

	if (step_ms < (int64_t)TIMELINE_STEP_MIN_S * CLOCK_MS_PER_S)
		return TIMELINE_STEP_MIN_S;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (step_ms <= steps[i].up_to_ms)
			return steps[i].step_s;
	return step_ms / CLOCK_MS_PER_S;
}

/* Begins and ends at multiples of its step. */
static void plan_timeline(struct store_question *question, struct store_grid *grid,
			  struct flamebearer_timeline *timeline)
{
	int64_t span_ms = question->to_unix_ms - question->from_unix_ms;
	int64_t step_s = round_step(span_ms / TIMELINE_POINT_COUNT);
	int64_t step_ms = step_s * CLOCK_MS_PER_S;
	int64_t first_ms = question->from_unix_ms / step_ms * step_ms;
	int64_t last_ms = question->to_unix_ms / step_ms * step_ms;

	assert(span_ms >= 0 && last_ms >= first_ms);
	*grid = (struct store_grid){ .first_ms = first_ms,
				     .step_ms = step_ms,
				     .point_count = (size_t)((last_ms - first_ms) / step_ms) + 1 };
	*timeline = (struct flamebearer_timeline){ .start_s = first_ms / CLOCK_MS_PER_S,
						   .step_s = step_s,
						   .count = grid->point_count > 1
								    ? grid->point_count - 1
								    : 1 };
	question->from_unix_ms = first_ms - step_ms;
	question->to_unix_ms = last_ms;
}

/* ---- /pyroscope/render ------------------------------------------------------------------------
 */

/* Of a row, one beside the other; NULL without memory, which the arena remembers. */
static const uint64_t *take_samples(struct render *render, const struct store_rows *rows,
				    const struct store_row *row)
{
	size_t count = rows->points->point_count;
	uint64_t *samples = arena_take(&render->call.arena, count, sizeof(samples[0]));

	for (size_t i = 0; samples && i < count; i++)
		samples[i] = store_row_point(rows, row, i);
	return samples;
}

static int write_rows(struct render *render, const struct flame *flame,
		      const struct store_rows *rows, struct flamebearer_timeline *timeline,
		      bool is_grouped)
{
	const struct profile_type *type = &render->question.base.type;
	autoclean(flame_levels) struct flame_levels levels = { 0 };
	struct flamebearer_group *groups =
		arena_take(&render->call.arena, rows->count + 1, sizeof(groups[0]));
	int err = flame_levels_make(flame, &levels);

	if (err || !groups)
		return err ? err : render->call.arena.error;
	for (size_t i = 0; is_grouped && i < rows->count; i++)
		groups[i] = (struct flamebearer_group){ .value = rows->rows[i].values[0],
							.samples = take_samples(render, rows,
										&rows->rows[i]) };
	if (rows->count == 1)
		timeline->samples =
			is_grouped ? groups[0].samples : take_samples(render, rows, &rows->rows[0]);
	if (render->call.arena.error)
		return render->call.arena.error;

	struct flamebearer flamebearer = {
		.sample_type = type->parts[PROFILE_TYPE_SAMPLE_TYPE],
		.sample_unit = type->parts[PROFILE_TYPE_SAMPLE_UNIT],
		.levels = &levels,
		.timeline = timeline,
		.groups = is_grouped ? groups : NULL,
		.group_count = rows->count,
	};

	flamebearer_write(&flamebearer, &render->call.reply->body);
	return 0;
}

static int answer_json(struct server *server, struct render *render, struct str group_by)
{
	autoclean(flame) struct flame flame = { 0 };
	struct store_question question = render->question.base.question;
	struct flamebearer_timeline timeline;
	struct store_rows rows;
	struct store_grid grid;
	int err = store_flame(server->store, &question, &render->question.options, &flame);

	if (err)
		return err;
	plan_timeline(&question, &grid, &timeline);
	err = store_series(server->store, &question, &group_by, group_by.size > 0, &grid, &rows);
	if (err)
		return err;
	err = write_rows(render, &flame, &rows, &timeline, group_by.size > 0);
	store_rows_done(&rows);
	return err;
}

static int answer_dot(struct server *server, struct render *render, uint32_t node_count)
{
	autoclean(flame) struct flame flame = { 0 };
	struct reply *reply = render->call.reply;

	render->question.options.node_count_max =
		node_count > DOT_SOURCE_COUNT_MIN ? node_count : DOT_SOURCE_COUNT_MIN;

	int err = store_flame(server->store, &render->question.base.question,
			      &render->question.options, &flame);

	if (err)
		return err;
	reply->content_type = "text/plain; charset=utf-8";
	return dot_write(&flame, &render->question.base.type,
			 node_count ? node_count : DOT_NODE_COUNT_DEFAULT, &reply->body);
}

void render_answer(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(render) struct render render;
	struct str group_by;
	struct str format;

	render_start(&render, request, reply);
	if (!read_side(&render, "query", "from", "until"))
		return;
	(void)parameter(&render, "groupBy", &group_by);
	(void)parameter(&render, "format", &format);

	uint32_t node_count = read_node_count(&render);

	render.question.options.node_count_max =
		node_count ? node_count : STACKS_NODE_COUNT_DEFAULT;

	int err = str_equal(format, STR("dot")) ? answer_dot(server, &render, node_count)
						: answer_json(server, &render, group_by);

	if (err)
		connect_failure(reply, err);
}

/* ---- /pyroscope/render-diff -------------------------------------------------------------------
 */

void render_diff_answer(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(render) struct render left;
	autoclean(render) struct render right;
	autoclean(stacks_diff) struct stacks_diff diff = { 0 };

	render_start(&left, request, reply);
	render_start(&right, request, reply);
	if (!read_side(&left, "leftQuery", "leftFrom", "leftUntil") ||
	    !read_side(&right, "rightQuery", "rightFrom", "rightUntil"))
		return;

	const struct profile_type *type = &left.question.base.type;

	if (!str_equal(type->id, right.question.base.type.id)) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "profile types must match");
		return;
	}
	left.question.options.node_count_max = read_node_count(&left);

	int err = stacks_diff(server, &left.question, &right.question, &diff);

	if (err) {
		connect_failure(reply, err);
		return;
	}

	struct flamebearer flamebearer = {
		.sample_type = type->parts[PROFILE_TYPE_SAMPLE_TYPE],
		.sample_unit = type->parts[PROFILE_TYPE_SAMPLE_UNIT],
		.diff = &diff.diff,
	};

	flamebearer_write(&flamebearer, &reply->body);
}

/* ---- /pyroscope/label-values ------------------------------------------------------------------
 */

/* Of everything that is there. __name__ means types, as the page that asked so had them. */
void render_label_values(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(render) struct render render;
	struct json_writer json = JSON_WRITER(&reply->body);
	struct store_texts values;
	struct str label;

	render_start(&render, request, reply);
	if (!parameter(&render, "label", &label) || label.size == 0) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "\"label\" is required");
		return;
	}
	if (!querier_read_range(&render.question.base, &render.call, 0, 0))
		return;

	const struct store_question *question = &render.question.base.question;
	int err = str_equal(label, STR("__name__"))
			  ? store_profile_types(server->store, question, &values)
			  : store_label_values(server->store, question, label, &values);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	json_begin_array(&json);
	for (size_t i = 0; i < values.count; i++)
		json_text(&json, values.texts[i]);
	json_end_array(&json);
	store_texts_done(&values);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* When the CPU was used: cores over time, for each value of some labels. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

enum {
	LABEL_COUNT_MAX = 8,
	POINT_COUNT_MAX = 2000,
	POINT_COUNT_DEFAULT = 180,
};

struct timeline {
	struct str labels[LABEL_COUNT_MAX];
	size_t label_count;
	int64_t from_ms; /* where the first piece begins */
	struct store_grid grid;
	struct store_rows rows;
	size_t shown_count;
	struct recorded_time recorded;
	int64_t *recorded_ms; /* of each piece; 0: nothing */
	int64_t recorded_total_ms;
	uint32_t cpu_count;
	bool is_cpu; /* what is told is CPU time */
	struct str unit;
};

static bool read_labels(struct timeline *timeline, struct page_question *question,
			const struct request *request, struct reply *reply)
{
	struct str rest = { 0 };
	struct str name;

	(void)request_parameter(request, STR("by"), &question->texts, &rest);
	while (parse_next(&rest, ',', &name)) {
		if (name.size == 0)
			continue;
		if (timeline->label_count == LABEL_COUNT_MAX) {
			reply_error(reply, 400, "by", "by: at most %d labels", LABEL_COUNT_MAX);
			return false;
		}
		timeline->labels[timeline->label_count++] = name;
	}
	return true;
}

/*
 * Pieces begin at multiples of their length, so that they stay the same ones while the range moves
 * with the clock. A window that starts with a piece belongs to it: the store counts up to and with
 * a point, so points lie 1 ms before the next piece.
 */
static bool read_grid(struct timeline *timeline, struct page_question *question,
		      const struct request *request, struct reply *reply)
{
	static const struct page_number points = { "points", POINT_COUNT_DEFAULT, 1,
						   POINT_COUNT_MAX };
	static const struct page_number steps = { "step_ms", 0, 1, UINT64_C(1) << 40 };
	int64_t span_ms = question->range.to_ms - question->range.from_ms;
	uint64_t point_count;
	uint64_t step_ms;

	if (!page_read_number(question, request, &points, &point_count, reply) ||
	    !page_read_number(question, request, &steps, &step_ms, reply))
		return false;
	if (step_ms == 0)
		step_ms = ((uint64_t)span_ms + point_count - 1) / point_count;
	if (step_ms == 0)
		step_ms = 1;

	assert(span_ms >= 0 && step_ms > 0);

	int64_t step = (int64_t)step_ms;

	timeline->from_ms = question->range.from_ms / step * step;
	point_count = (uint64_t)(question->range.to_ms - timeline->from_ms) / step_ms + 1;
	if (point_count > POINT_COUNT_MAX + 1) {
		reply_error(reply, 400, "step_ms",
			    "step_ms: %" PRIu64 " ms make more than %d points; take a longer step",
			    step_ms, POINT_COUNT_MAX);
		return false;
	}
	timeline->grid = (struct store_grid){ .first_ms = timeline->from_ms + step - 1,
					      .step_ms = step,
					      .point_count = (size_t)point_count };
	question->question.from_unix_ms = timeline->from_ms;
	return true;
}

static int measure_recorded(struct timeline *timeline, int64_t to_ms)
{
	const struct store_grid *grid = &timeline->grid;

	timeline->recorded_ms = calloc(grid->point_count, sizeof(*timeline->recorded_ms));
	if (!timeline->recorded_ms)
		return -ENOMEM;
	for (size_t i = 0; i < grid->point_count; i++) {
		int64_t from_ms = timeline->from_ms + (int64_t)i * grid->step_ms;
		int64_t end_ms = from_ms + grid->step_ms;

		timeline->recorded_ms[i] = recorded_time_ms(&timeline->recorded, from_ms,
							    end_ms < to_ms ? end_ms : to_ms);
		timeline->recorded_total_ms += timeline->recorded_ms[i];
	}
	return 0;
}

static void write_point(struct json_writer *json, const struct timeline *timeline, size_t index,
			uint64_t cpu_ns)
{
	assert(index < timeline->grid.point_count);

	int64_t recorded_ms = timeline->recorded_ms[index];

	if (recorded_ms > 0)
		json_fixed(json, page_cores(cpu_ns, recorded_ms), PAGE_CORES_DECIMALS);
	else
		json_null_value(json);
}

/* A value that is no CPU time, as it is: what its senders brought in each piece. */
static void write_value(struct json_writer *json, const struct timeline *timeline, size_t index,
			uint64_t value)
{
	if (timeline->recorded_ms[index] > 0)
		json_u64(json, value);
	else
		json_null_value(json);
}

static void write_row(struct json_writer *json, const struct timeline *timeline,
		      const struct store_row *row)
{
	json_begin_object(json);
	json_key(json, "labels");
	json_begin_object(json);
	for (size_t i = 0; i < timeline->label_count; i++) {
		if (row->values[i].size == 0)
			continue;
		json_key_text(json, timeline->labels[i]);
		json_text(json, row->values[i]);
	}
	json_end_object(json);
	json_key(json, "cores");
	json_begin_array(json);
	for (size_t i = 0; i < timeline->grid.point_count; i++)
		write_point(json, timeline, i, store_row_point(&timeline->rows, row, i));
	json_end_array(json);
	if (!timeline->is_cpu) {
		json_key(json, "values");
		json_begin_array(json);
		for (size_t i = 0; i < timeline->grid.point_count; i++)
			write_value(json, timeline, i, store_row_point(&timeline->rows, row, i));
		json_end_array(json);
	}
	json_key(json, "kernel_cores_total");
	json_fixed(json, page_cores(row->kernel_total, timeline->recorded_total_ms),
		   PAGE_CORES_DECIMALS);
	json_end_object(json);
}

/* What the rows that are not shown have together. */
static uint64_t sum_hidden(const struct timeline *timeline, size_t index)
{
	uint64_t sum = 0;

	for (size_t k = timeline->shown_count; k < timeline->rows.count; k++)
		sum += store_row_point(&timeline->rows, &timeline->rows.rows[k], index);
	return sum;
}

static void write_more(struct json_writer *json, const struct timeline *timeline)
{
	assert(timeline->shown_count <= timeline->rows.count);

	size_t hidden_count = timeline->rows.count - timeline->shown_count;

	json_key(json, "more");
	json_begin_object(json);
	json_key(json, "rows");
	json_u64(json, hidden_count);
	json_key(json, "cores");
	json_begin_array(json);
	for (size_t i = 0; hidden_count > 0 && i < timeline->grid.point_count; i++)
		write_point(json, timeline, i, sum_hidden(timeline, i));
	json_end_array(json);
	if (!timeline->is_cpu) {
		json_key(json, "values");
		json_begin_array(json);
		for (size_t i = 0; hidden_count > 0 && i < timeline->grid.point_count; i++)
			write_value(json, timeline, i, sum_hidden(timeline, i));
		json_end_array(json);
	}
	json_end_object(json);
}

static void write_timeline(struct reply *reply, const struct timeline *timeline)
{
	struct json_writer json = JSON_WRITER(&reply->body);

	json_begin_object(&json);
	json_key(&json, "from_ms");
	json_i64(&json, timeline->from_ms);
	json_key(&json, "step_ms");
	json_i64(&json, timeline->grid.step_ms);
	json_key(&json, "cpus");
	json_u64(&json, timeline->cpu_count);
	json_key(&json, "unit");
	json_text(&json, timeline->unit);
	json_key(&json, "series");
	json_begin_array(&json);
	for (size_t i = 0; i < timeline->shown_count; i++)
		write_row(&json, timeline, &timeline->rows.rows[i]);
	json_end_array(&json);
	write_more(&json, timeline);
	recorded_time_write_gaps(&timeline->recorded, &json);
	json_end_object(&json);
}

void page_timeline(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number limits = { "limit", 8, 1, 100 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct timeline timeline = { .cpu_count = page_cpu_count(server) };
	uint64_t limit = 0;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &limits, &limit, reply) ||
	    !read_labels(&timeline, &question, request, reply) ||
	    !read_grid(&timeline, &question, request, reply))
		return;
	timeline.is_cpu = str_equal(question.question.type, PROFILE_TYPE_CPU);
	timeline.unit = question.type.parts[PROFILE_TYPE_SAMPLE_UNIT];

	int err = recorded_time_init(&recorded, server->store, timeline.from_ms,
				     question.range.to_ms);

	timeline.recorded = recorded;
	recorded_time_clip(&recorded, &question.question);
	if (!err)
		err = store_series(server->store, &question.question, timeline.labels,
				   timeline.label_count, &timeline.grid, &timeline.rows);
	if (!err)
		recorded_time_learn(&timeline.recorded, &timeline.grid, &timeline.rows);
	if (!err && measure_recorded(&timeline, question.range.to_ms)) {
		store_rows_done(&timeline.rows);
		err = -ENOMEM;
	}
	if (err) {
		reply_failure(reply, err);
	} else {
		timeline.shown_count = limit < timeline.rows.count ? limit : timeline.rows.count;
		write_timeline(reply, &timeline);
		store_rows_done(&timeline.rows);
	}
	free(timeline.recorded_ms);
}

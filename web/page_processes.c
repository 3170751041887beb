/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses the CPU: processes by cores, each with a line of its recent past. */
#include <assert.h>
#include <errno.h>

#include "base/parse.h"
#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

enum column {
	COLUMN_PROCESS,
	COLUMN_PID,
	COLUMN_PROCESS_NAME,
	COLUMN_SERVICE_NAME,
	COLUMN_COUNT,
};

static const struct str columns[COLUMN_COUNT] = {
	[COLUMN_PROCESS] = { "process", 7 },
	[COLUMN_PID] = { "pid", 3 },
	[COLUMN_PROCESS_NAME] = { "process_name", 12 },
	[COLUMN_SERVICE_NAME] = { "service_name", 12 },
};

struct processes {
	struct store_rows rows;
	struct store_grid grid;
	struct recorded_time recorded;
	struct time_range range;
	int64_t recorded_ms;
	uint32_t cpu_count;
	size_t shown_count;
	bool has_points;
};

/*
 * Equal pieces from the range's start to beyond its end. A window that starts with a piece belongs
 * to it: the store counts up to and with a point, so points lie 1 ms before the next piece.
 */
static struct store_grid grid_over(const struct time_range *range, uint64_t point_count)
{
	int64_t count = point_count > 0 ? (int64_t)point_count : 1;
	int64_t step_ms = (range->to_ms - range->from_ms) / count + 1;

	assert(step_ms > 0 && range->from_ms + count * step_ms > range->to_ms);
	return (struct store_grid){
		.first_ms = range->from_ms + step_ms - 1,
		.step_ms = step_ms,
		.point_count = (size_t)count,
	};
}

static void write_cores(struct json_writer *json, const char *key, double cores)
{
	json_key(json, key);
	json_fixed(json, cores, PAGE_CORES_DECIMALS);
}

static void write_spark(struct json_writer *json, const struct processes *processes,
			const struct store_row *row)
{
	const struct store_grid *grid = &processes->grid;

	json_key(json, "spark");
	json_begin_array(json);
	for (size_t i = 0; processes->has_points && i < grid->point_count; i++) {
		int64_t end_ms = grid->first_ms + 1 + (int64_t)i * grid->step_ms;
		int64_t recorded_ms =
			recorded_time_ms(&processes->recorded, end_ms - grid->step_ms, end_ms);

		/* Before there was anything to see it was not idle: it is not known. */
		if (recorded_ms == 0)
			json_null_value(json);
		else
			json_fixed(json, page_cores(row->points[i], recorded_ms),
				   PAGE_CORES_DECIMALS);
	}
	json_end_array(json);
}

static void write_process(struct json_writer *json, const struct processes *processes,
			  const struct store_row *row)
{
	double cores = page_cores(row->total, processes->recorded_ms);

	assert(processes->cpu_count > 0);
	uint64_t pid = 0;

	json_begin_object(json);
	json_key(json, "process");
	json_text(json, row->values[COLUMN_PROCESS]);
	if (parse_u64(row->values[COLUMN_PID], &pid) == 0) {
		json_key(json, "pid");
		json_u64(json, pid);
	}
	json_key(json, "process_name");
	json_text(json, row->values[COLUMN_PROCESS_NAME]);
	json_key(json, "service_name");
	json_text(json, row->values[COLUMN_SERVICE_NAME]);
	write_cores(json, "cores", cores);
	write_cores(json, "kernel_cores", page_cores(row->kernel_total, processes->recorded_ms));
	write_cores(json, "share", cores / processes->cpu_count);
	json_key(json, "last_seen_ms");
	json_i64(json, row->last_seen_ms);
	write_spark(json, processes, row);
	json_end_object(json);
}

static void write_processes(struct reply *reply, const struct processes *processes)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	uint64_t total = 0;
	uint64_t kernel_total = 0;
	uint64_t hidden_total = 0;

	for (size_t i = 0; i < processes->rows.count; i++) {
		total += processes->rows.rows[i].total;
		kernel_total += processes->rows.rows[i].kernel_total;
		if (i >= processes->shown_count)
			hidden_total += processes->rows.rows[i].total;
	}

	assert(processes->shown_count <= processes->rows.count);
	json_begin_object(&json);
	json_key(&json, "from_ms");
	json_i64(&json, processes->range.from_ms);
	json_key(&json, "to_ms");
	json_i64(&json, processes->range.to_ms);
	json_key(&json, "cpus");
	json_u64(&json, processes->cpu_count);
	write_cores(&json, "cores", page_cores(total, processes->recorded_ms));
	write_cores(&json, "kernel_cores", page_cores(kernel_total, processes->recorded_ms));
	json_key(&json, "rows");
	json_begin_array(&json);
	for (size_t i = 0; i < processes->shown_count; i++)
		write_process(&json, processes, &processes->rows.rows[i]);
	json_end_array(&json);
	json_key(&json, "more");
	json_begin_object(&json);
	json_key(&json, "rows");
	json_u64(&json, processes->rows.count - processes->shown_count);
	write_cores(&json, "cores", page_cores(hidden_total, processes->recorded_ms));
	json_end_object(&json);
	json_end_object(&json);
}

void page_processes(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number limits = { "limit", 20, 1, 500 };
	static const struct page_number points = { "points", 30, 0, 120 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct processes processes = { .cpu_count = page_cpu_count(server) };
	uint64_t limit = 0;
	uint64_t point_count = 0;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &limits, &limit, reply) ||
	    !page_read_number(&question, request, &points, &point_count, reply))
		return;
	processes.range = question.range;
	processes.grid = grid_over(&question.range, point_count);
	processes.has_points = point_count > 0;

	int err = recorded_time_init(&recorded, server->store, question.range.from_ms,
				     question.range.to_ms);

	if (!err) {
		recorded_time_clip(&recorded, &question.question);
		err = store_series(server->store, &question.question, columns, COLUMN_COUNT,
				   &processes.grid, &processes.rows);
	}
	if (err) {
		reply_failure(reply, err);
		return;
	}

	processes.recorded = recorded;
	processes.recorded_ms =
		recorded_time_ms(&recorded, question.range.from_ms, question.range.to_ms);
	processes.shown_count = limit < processes.rows.count ? limit : processes.rows.count;
	write_processes(reply, &processes);
	store_rows_done(&processes.rows);
}

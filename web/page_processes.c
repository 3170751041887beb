/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses the CPU: processes by cores, each with a line of its recent past. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/parse.h"
#include "base/table.h"
#include "web/json_writer.h"
#include "web/living.h"
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

/* A process, or a service with all of its own. */
struct consumer {
	const struct store_row *row; /* of a service: its heaviest process */
	uint32_t process_count;
	uint64_t total;
	uint64_t kernel_total;
	int64_t first_seen_ms;
	int64_t last_seen_ms;
	uint64_t *points; /* of a service alone: the sums of its processes' */
};

struct processes {
	struct store_rows rows;
	struct consumer *consumers; /* those that match, by cores */
	size_t consumer_count;
	struct store_grid grid;
	struct recorded_time recorded;
	struct time_range range;
	int64_t recorded_ms;
	uint32_t cpu_count;
	size_t shown_count;
	bool has_points;
	bool by_service;
	bool asks_living; /* the rows are of this host, as far as we know */
};

/* ---- who is meant -----------------------------------------------------------------------------
 */

static bool is_wanted(const struct store_row *row, struct str search)
{
	return search.size == 0 || str_equal(row->values[COLUMN_PID], search) ||
	       str_holds_caseless(row->values[COLUMN_PROCESS_NAME], search) ||
	       str_holds_caseless(row->values[COLUMN_SERVICE_NAME], search);
}

static struct consumer consumer_of(const struct store_row *row)
{
	return (struct consumer){
		.row = row,
		.process_count = 1,
		.total = row->total,
		.kernel_total = row->kernel_total,
		.first_seen_ms = row->first_seen_ms,
		.last_seen_ms = row->last_seen_ms,
	};
}

static void add_points(struct consumer *service, const struct store_rows *rows,
		       const struct store_row *row)
{
	for (size_t i = 0; i < rows->points->point_count; i++)
		service->points[i] += store_row_point(rows, row, i);
}

static void add_to_service(struct consumer *service, const struct store_rows *rows,
			   const struct store_row *row)
{
	service->process_count++;
	service->total += row->total;
	service->kernel_total += row->kernel_total;
	if (row->first_seen_ms < service->first_seen_ms)
		service->first_seen_ms = row->first_seen_ms;
	if (row->last_seen_ms > service->last_seen_ms)
		service->last_seen_ms = row->last_seen_ms;
	add_points(service, rows, row);
}

static int begin_service(struct processes *processes, const struct store_row *row)
{
	struct consumer *service = &processes->consumers[processes->consumer_count];

	*service = consumer_of(row);
	service->points = calloc(processes->grid.point_count, sizeof(service->points[0]));
	if (!service->points)
		return -ENOMEM;
	add_points(service, &processes->rows, row);
	processes->consumer_count++;
	return 0;
}

static bool is_service(const void *context, uint32_t number, const void *key)
{
	const struct processes *processes = context;
	const struct str *name = key;

	const struct store_row *row = processes->consumers[number].row;

	assert(row);
	return str_equal(row->values[COLUMN_SERVICE_NAME], *name);
}

static int compare_consumers(const void *a, const void *b)
{
	const struct consumer *x = a;
	const struct consumer *y = b;

	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return str_compare(x->row->values[COLUMN_SERVICE_NAME],
			   y->row->values[COLUMN_SERVICE_NAME]);
}

static int fold_services(struct processes *processes, struct str search)
{
	struct table services;
	int err = 0;

	table_init(&services, (uint32_t)processes->rows.count + 1);
	for (size_t i = 0; !err && i < processes->rows.count; i++) {
		const struct store_row *row = &processes->rows.rows[i];
		struct str name = row->values[COLUMN_SERVICE_NAME];
		uint64_t hash = table_hash_bytes(name.text, name.size, 0);
		uint32_t number = TABLE_NONE;

		if (!is_wanted(row, search))
			continue;
		number = table_find(&services, hash, &name, is_service, processes);
		if (number != TABLE_NONE) {
			add_to_service(&processes->consumers[number], &processes->rows, row);
			continue;
		}
		err = table_add(&services, hash);
		if (!err)
			err = begin_service(processes, row);
	}
	table_done(&services);
	if (!err && processes->consumer_count > 0)
		qsort(processes->consumers, processes->consumer_count,
		      sizeof(processes->consumers[0]), compare_consumers);
	return err;
}

static int find_consumers(struct processes *processes, struct str search)
{
	processes->consumers = calloc(processes->rows.count + 1, sizeof(processes->consumers[0]));
	if (!processes->consumers)
		return -ENOMEM;
	if (processes->by_service)
		return fold_services(processes, search);
	for (size_t i = 0; i < processes->rows.count; i++)
		if (is_wanted(&processes->rows.rows[i], search))
			processes->consumers[processes->consumer_count++] =
				consumer_of(&processes->rows.rows[i]);
	return 0;
}

/* "812.5530." of "812.5530.2": what is left when a process becomes another program. */
static struct str without_exec(struct str process)
{
	while (process.size > 0 && process.text[process.size - 1] != '.')
		process.size--;
	return process;
}

/* It is over when its process is, or has become another program since. */
static enum living ask_living(const struct processes *processes, const struct store_row *row)
{
	struct str process = row->values[COLUMN_PROCESS];
	struct str prefix = without_exec(process);
	enum living living = living_ask(process);

	for (size_t i = 0; living == LIVING_RUNS && i < processes->rows.count; i++) {
		const struct store_row *other = &processes->rows.rows[i];

		if (str_starts_with(other->values[COLUMN_PROCESS], prefix) &&
		    other->first_seen_ms > row->last_seen_ms)
			living = LIVING_EXITED;
	}
	return living;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

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

/* Pieces are equal, so that the last ones may go beyond the range, where nothing was asked for. */
static int64_t piece_end(int64_t end_ms, const struct time_range *range)
{
	return end_ms < range->to_ms ? end_ms : range->to_ms;
}

static uint64_t point_of(const struct processes *processes, const struct consumer *consumer,
			 size_t point)
{
	return consumer->points ? consumer->points[point]
				: store_row_point(&processes->rows, consumer->row, point);
}

static void write_spark(struct json_writer *json, const struct processes *processes,
			const struct consumer *consumer)
{
	const struct store_grid *grid = &processes->grid;

	json_key(json, "spark");
	json_begin_array(json);
	for (size_t i = 0; processes->has_points && i < grid->point_count; i++) {
		int64_t start_ms = grid->first_ms + 1 + ((int64_t)i - 1) * grid->step_ms;
		int64_t end_ms = piece_end(start_ms + grid->step_ms, &processes->range);
		int64_t recorded_ms =
			end_ms > start_ms ? recorded_time_ms(&processes->recorded, start_ms, end_ms)
					  : 0;

		/* Before there was anything to see it was not idle: it is not known. */
		if (recorded_ms == 0)
			json_null_value(json);
		else
			json_fixed(json, page_cores(point_of(processes, consumer, i), recorded_ms),
				   PAGE_CORES_DECIMALS);
	}
	json_end_array(json);
}

static void write_who(struct json_writer *json, const struct processes *processes,
		      const struct consumer *consumer)
{
	const struct store_row *row = consumer->row;
	enum living living = LIVING_UNKNOWN;
	uint64_t pid = 0;

	if (processes->by_service) {
		json_key(json, "service_name");
		json_text(json, row->values[COLUMN_SERVICE_NAME]);
		json_key(json, "processes");
		json_u64(json, consumer->process_count);
		return;
	}
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
	if (processes->asks_living)
		living = ask_living(processes, row);
	if (living != LIVING_UNKNOWN) {
		json_key(json, "exited");
		json_boolean_value(json, living == LIVING_EXITED);
	}
}

static void write_consumer(struct json_writer *json, const struct processes *processes,
			   const struct consumer *consumer)
{
	double cores = page_cores(consumer->total, processes->recorded_ms);

	assert(processes->cpu_count > 0);
	json_begin_object(json);
	write_who(json, processes, consumer);
	write_cores(json, "cores", cores);
	write_cores(json, "kernel_cores",
		    page_cores(consumer->kernel_total, processes->recorded_ms));
	write_cores(json, "share", cores / processes->cpu_count);
	json_key(json, "first_seen_ms");
	json_i64(json, consumer->first_seen_ms);
	json_key(json, "last_seen_ms");
	json_i64(json, consumer->last_seen_ms);
	write_spark(json, processes, consumer);
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
	}
	for (size_t i = processes->shown_count; i < processes->consumer_count; i++)
		hidden_total += processes->consumers[i].total;

	assert(processes->shown_count <= processes->consumer_count);
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
		write_consumer(&json, processes, &processes->consumers[i]);
	json_end_array(&json);
	json_key(&json, "more");
	json_begin_object(&json);
	json_key(&json, "rows");
	json_u64(&json, processes->consumer_count - processes->shown_count);
	write_cores(&json, "cores", page_cores(hidden_total, processes->recorded_ms));
	json_end_object(&json);
	json_end_object(&json);
}

static bool read_by(struct page_question *question, const struct request *request,
		    bool *ret_by_service, struct reply *reply)
{
	struct str by = STR("process");

	(void)request_parameter(request, STR("by"), &question->texts, &by);
	*ret_by_service = str_equal(by, STR("service"));
	if (*ret_by_service || str_equal(by, STR("process")))
		return true;
	reply_error(reply, 400, "by", "by: it must be process or service");
	return false;
}

static int ask(struct server *server, struct page_question *question, struct str search,
	       struct processes *processes)
{
	int err = page_view_start(question, server, &processes->recorded);

	if (!err)
		err = store_series(server->store, &question->question, columns, COLUMN_COUNT,
				   &processes->grid, &processes->rows);
	if (!err)
		recorded_time_learn(&processes->recorded, &processes->grid, &processes->rows);
	return err ? err : find_consumers(processes, search);
}

void page_processes(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number limits = { "limit", 20, 1, 500 };
	static const struct page_number points = { "points", 30, 0, 120 };
	autoclean(page_question) struct page_question question = { 0 };
	struct processes processes = {
		.cpu_count = page_cpu_count(server),
		.asks_living = server->counters.collector_state != COLLECTOR_REPLAY,
	};
	struct str search = { 0 };
	uint64_t limit = 0;
	uint64_t point_count = 0;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &limits, &limit, reply) ||
	    !page_read_number(&question, request, &points, &point_count, reply) ||
	    !read_by(&question, request, &processes.by_service, reply))
		return;
	(void)request_parameter(request, STR("search"), &question.texts, &search);
	processes.range = question.range;
	processes.grid = grid_over(&question.range, point_count);
	processes.has_points = point_count > 0;

	int err = ask(server, &question, search, &processes);

	if (err) {
		reply_failure(reply, err);
	} else {
		processes.recorded_ms = recorded_time_ms(
			&processes.recorded, question.range.from_ms, question.range.to_ms);
		processes.shown_count =
			limit < processes.consumer_count ? limit : processes.consumer_count;
		write_processes(reply, &processes);
	}
	for (size_t i = 0; i < processes.consumer_count; i++)
		free(processes.consumers[i].points);
	free(processes.consumers);
	store_rows_done(&processes.rows);
	recorded_time_done(&processes.recorded);
}

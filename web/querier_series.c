/* SPDX-License-Identifier: Apache-2.0 */
/* Values over time, and which combinations of labels there are. */
#include <assert.h>
#include <errno.h>
#include <math.h>

#include "base/clock.h"
#include "web/json_writer.h"
#include "web/querier.h"
#include "web/server.h"

struct group {
	struct str names[QUERIER_GROUP_COUNT_MAX];
	size_t count;
};

/* Names of labels, each once: a second mention of one says nothing. */
static bool read_group(struct querier_question *question, const char *field, struct group *ret,
		       struct reply *reply)
{
	size_t count = connect_count(&question->fields, field, QUERIER_GROUP_COUNT_MAX);
	struct group group = { .count = 0 };

	for (size_t i = 0; i < count; i++) {
		struct str name = connect_text_at(&question->fields, field, i);
		bool is_known = false;

		for (size_t k = 0; k < group.count; k++)
			is_known |= str_equal(group.names[k], name);
		if (!is_known)
			group.names[group.count++] = name;
	}
	if (!connect_fields_ok(&question->fields, reply))
		return false;
	*ret = group;
	return true;
}

/* Everything that there is has a first and a last point. */
static void narrow_to_contents(struct store *store, struct store_question *question)
{
	struct store_status status;

	store_status(store, &status);
	if (question->from_unix_ms < status.oldest_ms)
		question->from_unix_ms = status.oldest_ms;
	if (question->to_unix_ms > status.newest_ms)
		question->to_unix_ms = status.newest_ms;
	if (question->to_unix_ms < question->from_unix_ms)
		question->to_unix_ms = question->from_unix_ms;
	assert(question->from_unix_ms >= 0);
}

/*
 * Points lie at start, start + step, … up to end, and one step before start counts for the first:
 * the clients of Pyroscope line their screens up by that.
 */
static bool read_grid(struct querier_question *question, struct store *store,
		      struct store_grid *ret, struct reply *reply)
{
	double step_ms = floor(connect_double(&question->fields, "step") * CLOCK_MS_PER_S + 1e-6);
	bool asks_for_all = connect_int64(&question->fields, "end") == 0;

	if (!connect_fields_ok(&question->fields, reply))
		return false;
	if (step_ms < 1) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "step must be >= 1ms");
		return false;
	}
	if (asks_for_all)
		narrow_to_contents(store, &question->question);

	int64_t first_ms = question->question.from_unix_ms;
	int64_t span_ms = question->question.to_unix_ms - first_ms;
	/* No profile is so far away that a longer step would make a difference. */
	int64_t step = step_ms < 1e15 ? (int64_t)step_ms : INT64_C(1000000000000000);

	if (span_ms / step >= QUERIER_POINT_COUNT_MAX) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "a step of %lld ms makes more than %d points; take a longer one",
			      (long long)step, QUERIER_POINT_COUNT_MAX);
		return false;
	}
	assert(span_ms >= 0 && step > 0);
	*ret = (struct store_grid){ .first_ms = first_ms,
				    .step_ms = step,
				    .point_count = (size_t)(span_ms / step) + 1 };
	/* What is behind the last point belongs to none. */
	question->question.from_unix_ms = first_ms - step;
	question->question.to_unix_ms = first_ms + span_ms / step * step;
	return true;
}

static void write_points(struct json_writer *json, const struct store_row *row,
			 const struct store_grid *grid)
{
	bool begun = false;

	for (size_t i = 0; i < grid->point_count; i++) {
		if (!row->present[i])
			continue;
		if (!begun) {
			json_key(json, "points");
			json_begin_array(json);
			begun = true;
		}
		json_begin_object(json);
		if (row->points[i] > 0) {
			json_key(json, "value");
			json_double(json, (double)row->points[i]);
		}
		json_key(json, "timestamp");
		json_i64_text(json, grid->first_ms + (int64_t)i * grid->step_ms);
		json_end_object(json);
	}
	if (begun)
		json_end_array(json);
}

static bool has_points(const struct store_row *row, const struct store_grid *grid)
{
	for (size_t i = 0; i < grid->point_count; i++)
		if (row->present[i])
			return true;
	return false;
}

static void write_series(struct reply *reply, const struct store_rows *rows, size_t row_count,
			 const struct group *group, const struct store_grid *grid)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	bool begun = false;

	assert(row_count <= rows->count);
	json_begin_object(&json);
	for (size_t i = 0; i < row_count; i++) {
		const struct store_row *row = &rows->rows[i];

		if (!has_points(row, grid))
			continue;
		if (!begun) {
			json_key(&json, "series");
			json_begin_array(&json);
			begun = true;
		}
		json_begin_object(&json);
		querier_write_labels(&json, group->names, row->values, group->count);
		write_points(&json, row, grid);
		json_end_object(&json);
	}
	if (begun)
		json_end_array(&json);
	json_end_object(&json);
}

enum { EXEMPLAR_TYPE_SPAN = 3 };

static bool wants_span_exemplars(struct querier_question *question)
{
	static const char *const names[] = {
		"EXEMPLAR_TYPE_UNSPECIFIED",
		"EXEMPLAR_TYPE_NONE",
		"EXEMPLAR_TYPE_INDIVIDUAL",
		"EXEMPLAR_TYPE_SPAN",
	};

	return connect_enum(&question->fields, "exemplar_type", names,
			    sizeof(names) / sizeof(names[0])) == EXEMPLAR_TYPE_SPAN;
}

void querier_select_series(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	struct store_rows rows;
	struct store_grid grid;
	struct group group;

	if (!querier_begin(&question, request, reply) || !querier_read_range(&question, reply) ||
	    !querier_read_selection(&question, reply) ||
	    !read_group(&question, "group_by", &group, reply) ||
	    !read_grid(&question, server->store, &grid, reply))
		return;

	int64_t limit = connect_int64(&question.fields, "limit");

	if (wants_span_exemplars(&question)) {
		connect_error(reply, CONNECT_UNIMPLEMENTED, "span exemplars are not kept");
		return;
	}
	if (!connect_fields_ok(&question.fields, reply))
		return;

	int err = store_series(server->store, &question.question, group.names, group.count, &grid,
			       &rows);

	if (err) {
		connect_failure(reply, err);
		return;
	}

	size_t count = limit > 0 && (uint64_t)limit < rows.count ? (size_t)limit : rows.count;

	write_series(reply, &rows, count, &group, &grid);
	store_rows_done(&rows);
}

/* ---- Series -----------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

struct label_set {
	const struct str *values;
	size_t count;
};

/* As lists of (name, value), absent ones left out: by the first difference, the shorter first. */
static int compare_sets(const void *a, const void *b)
{
	const struct label_set *first = a;
	const struct label_set *second = b;

	assert(first->count == second->count);
	for (size_t i = 0; i < first->count; i++) {
		struct str left = first->values[i];
		struct str right = second->values[i];

		if (left.size > 0 && right.size > 0) {
			int order = str_compare(left, right);

			if (order)
				return order;
			continue;
		}
		if (left.size == 0 && right.size == 0)
			continue;

		/* One has a later name here, or no more labels at all. */
		bool has_more = false;
		const struct label_set *without = left.size == 0 ? first : second;

		for (size_t k = i + 1; k < without->count; k++)
			has_more |= without->values[k].size > 0;
		return (left.size == 0) == has_more ? 1 : -1;
	}
	return 0;
}

static int write_sets(struct reply *reply, const struct store_rows *rows, const struct group *group)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	autofree struct label_set *sets = calloc(rows->count + 1, sizeof(*sets));

	if (!sets)
		return -ENOMEM;
	for (size_t i = 0; i < rows->count; i++)
		sets[i] = (struct label_set){ rows->rows[i].values, group->count };
	qsort(sets, rows->count, sizeof(*sets), compare_sets);

	json_begin_object(&json);
	if (rows->count > 0) {
		json_key(&json, "labelsSet");
		json_begin_array(&json);
		for (size_t i = 0; i < rows->count; i++) {
			json_begin_object(&json);
			querier_write_labels(&json, group->names, sets[i].values, group->count);
			json_end_object(&json);
		}
		json_end_array(&json);
	}
	json_end_object(&json);
	return 0;
}

void querier_series(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	struct store_rows rows;
	struct group group;

	if (!querier_begin(&question, request, reply) || !querier_read_range(&question, reply) ||
	    !querier_read_matchers(&question, reply) ||
	    !read_group(&question, "label_names", &group, reply))
		return;
	if (group.count == 0) {
		connect_error(reply, CONNECT_UNIMPLEMENTED, "name the labels in label_names");
		return;
	}
	qsort(group.names, group.count, sizeof(group.names[0]), compare_names);

	/* One point that holds all: which combinations there are is who used how much. */
	struct store_grid grid = {
		.first_ms = question.question.to_unix_ms,
		.step_ms = question.question.to_unix_ms - question.question.from_unix_ms + 1,
		.point_count = 1,
	};
	int err = store_series(server->store, &question.question, group.names, group.count, &grid,
			       &rows);

	if (!err) {
		err = write_sets(reply, &rows, &group);
		store_rows_done(&rows);
	}
	if (err)
		connect_failure(reply, err);
}

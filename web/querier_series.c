/* SPDX-License-Identifier: Apache-2.0 */
/* Values over time, and which combinations of labels there are. */
#include <assert.h>
#include <errno.h>
#include <math.h>

#include "base/clock.h"
#include "web/exemplars.h"
#include "web/querier.h"
#include "web/server.h"

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

bool querier_read_grid(struct querier_question *question, struct connect_call *call,
		       struct store *store, double asked_step, bool asks_for_all,
		       struct store_grid *ret)
{
	double step_ms = floor(asked_step * CLOCK_MS_PER_S + 1e-6);

	/* What is no number is no step. */
	if (!(step_ms >= 1)) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "step must be >= 1ms");
		return false;
	}
	if (asks_for_all)
		narrow_to_contents(store, &question->question);

	int64_t first_ms = question->question.from_unix_ms;
	int64_t span_ms = question->question.to_unix_ms - first_ms;
	/* No profile is so far away that a longer step would make a difference. */
	int64_t step = step_ms < 1e15 ? (int64_t)step_ms : INT64_C(1000000000000000);

	if (span_ms / step >= QUERIER_POINT_COUNT_MAX) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
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

/* exemplars: for each point, or NULL. */
static void take_points(struct connect_call *call, const struct store_rows *rows,
			const struct store_row *row, const struct store_grid *grid,
			Pyroscope__Exemplar **exemplars, Pyroscope__Series *series)
{
	size_t count = 0;

	for (size_t i = 0; i < grid->point_count; i++)
		count += store_row_has(rows, row, i);

	Pyroscope__Point *points = arena_take(&call->arena, count, sizeof(points[0]));

	series->points = arena_take(&call->arena, count, sizeof(series->points[0]));
	for (size_t i = 0; points && series->points && i < grid->point_count; i++) {
		Pyroscope__Point *point = &points[series->n_points];

		if (!store_row_has(rows, row, i))
			continue;
		pyroscope__point__init(point);
		point->value = (double)store_row_point(rows, row, i);
		point->timestamp = grid->first_ms + (int64_t)i * grid->step_ms;
		if (exemplars && exemplars[i]) {
			point->exemplars = &exemplars[i];
			point->n_exemplars = 1;
		}
		series->points[series->n_points++] = point;
	}
}

static void answer_series(struct connect_call *call, const struct store_rows *rows,
			  size_t row_count, const struct querier_group *group,
			  const struct store_grid *grid, Pyroscope__Exemplar **exemplars)
{
	Pyroscope__SelectSeriesResponse answer = PYROSCOPE__SELECT_SERIES_RESPONSE__INIT;
	Pyroscope__Series *items = arena_take(&call->arena, row_count, sizeof(items[0]));

	assert(row_count <= rows->count);
	answer.series = arena_take(&call->arena, row_count, sizeof(answer.series[0]));
	for (size_t i = 0; items && answer.series && i < row_count; i++) {
		const struct store_row *row = &rows->rows[i];
		Pyroscope__Series *series = &items[i];

		pyroscope__series__init(series);
		take_points(call, rows, row, grid,
			    exemplars ? exemplars + i * grid->point_count : NULL, series);
		if (series->n_points == 0)
			continue;
		series->labels = querier_labels(call, group->names, row->values, group->count,
						&series->n_labels);
		answer.series[answer.n_series++] = series;
	}
	connect_answer(call, &answer.base);
}

static int answer_rows(struct server *server, struct connect_call *call,
		       const struct querier_question *question, const struct querier_group *group,
		       const struct store_grid *grid, const Pyroscope__SelectSeriesRequest *asked)
{
	struct store_rows rows;
	Pyroscope__Exemplar **exemplars = NULL;
	int err = store_series(server->store, &question->question, group->names, group->count, grid,
			       &rows);

	if (err)
		return err;
	if (asked->limit > 0 && (uint64_t)asked->limit < rows.count)
		rows.count = (size_t)asked->limit;
	if (asked->exemplar_type == PYROSCOPE__EXEMPLAR_TYPE__EXEMPLAR_TYPE_INDIVIDUAL)
		err = exemplars_find(server->store, call, &question->question, group, grid, &rows,
				     &exemplars);
	if (!err)
		answer_series(call, &rows, rows.count, group, grid, exemplars);
	store_rows_done(&rows);
	return err;
}

void querier_select_series(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	struct querier_group group;
	struct store_grid grid;
	const Pyroscope__SelectSeriesRequest *asked =
		connect_begin(&call, request, reply, &pyroscope__select_series_request__descriptor);

	if (!asked || !querier_read_range(&question, &call, asked->start, asked->end) ||
	    !querier_read_selection(&question, &call, asked->profile_typeid,
				    asked->label_selector) ||
	    !querier_read_group(&group, &call, "group_by", asked->n_group_by, asked->group_by) ||
	    !querier_read_grid(&question, &call, server->store, asked->step, asked->end == 0,
			       &grid))
		return;
	if (asked->exemplar_type == PYROSCOPE__EXEMPLAR_TYPE__EXEMPLAR_TYPE_SPAN) {
		connect_error(reply, CONNECT_UNIMPLEMENTED,
			      "spans are shown by SelectHeatmap with HEATMAP_QUERY_TYPE_SPAN");
		return;
	}

	int err = answer_rows(server, &call, &question, &group, &grid, asked);

	if (err)
		connect_failure(reply, err);
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
	size_t weight; /* what goes before all else */
};

/* As lists of (name, value), absent ones left out: by the first difference, the shorter first. */
static int compare_sets(const void *a, const void *b)
{
	const struct label_set *first = a;
	const struct label_set *second = b;

	assert(first->count == second->count);
	if (first->weight != second->weight)
		return first->weight < second->weight ? -1 : 1;
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

static size_t count_labels(const struct label_set *set)
{
	size_t count = 0;

	for (size_t i = 0; i < set->count; i++)
		count += set->values[i].size > 0;
	return count;
}

/* Where names are asked for, sets with fewer of them come first; whole sets are in plain order. */
static int answer_sets(struct connect_call *call, const struct store_label_sets *found,
		       const struct querier_group *group, bool are_whole)
{
	Pyroscope__SeriesResponse answer = PYROSCOPE__SERIES_RESPONSE__INIT;
	Pyroscope__Labels *items = arena_take(&call->arena, found->count, sizeof(items[0]));
	autofree struct label_set *sets = calloc(found->count + 1, sizeof(*sets));

	if (!sets)
		return -ENOMEM;
	for (size_t i = 0; i < found->count; i++) {
		sets[i] = (struct label_set){ .values = found->values + i * group->count,
					      .count = group->count };
		sets[i].weight = are_whole ? 0 : count_labels(&sets[i]);
	}
	qsort(sets, found->count, sizeof(*sets), compare_sets);

	answer.labels_set = arena_take(&call->arena, found->count, sizeof(answer.labels_set[0]));
	for (size_t i = 0; items && answer.labels_set && i < found->count; i++) {
		pyroscope__labels__init(&items[i]);
		items[i].labels = querier_labels(call, group->names, sets[i].values, group->count,
						 &items[i].n_labels);
		answer.labels_set[answer.n_labels_set++] = &items[i];
	}
	/* Names that nothing has make no set. */
	if (answer.n_labels_set == 1 && answer.labels_set[0]->n_labels == 0)
		answer.n_labels_set = 0;
	connect_answer(call, &answer.base);
	return 0;
}

/* Who names no labels means whole sets: all that series have. */
static bool find_all_names(struct store *store, const struct querier_question *question,
			   struct connect_call *call, struct querier_group *group)
{
	struct store_texts names;
	int err = store_series_label_names(store, &question->question, &names);
	bool takes_any = querier_takes_any_name(call);

	if (err) {
		connect_failure(call->reply, err);
		return false;
	}
	group->names = arena_take(&call->arena, names.count, sizeof(group->names[0]));
	for (size_t i = 0; group->names && i < names.count; i++)
		if (takes_any || querier_is_plain_name(names.texts[i]))
			group->names[group->count++] =
				str_from(arena_text(&call->arena, names.texts[i]));
	store_texts_done(&names);
	if (call->arena.error)
		connect_failure(call->reply, call->arena.error);
	return !call->arena.error;
}

void querier_series(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	struct querier_group group;
	struct store_label_sets sets;
	const Pyroscope__SeriesRequest *asked =
		connect_begin(&call, request, reply, &pyroscope__series_request__descriptor);

	if (!asked || !querier_read_range(&question, &call, asked->start, asked->end) ||
	    !querier_read_matchers(&question, &call, asked->n_matchers, asked->matchers) ||
	    !querier_read_group(&group, &call, "label_names", asked->n_label_names,
				asked->label_names) ||
	    (group.count == 0 && !find_all_names(server->store, &question, &call, &group)))
		return;
	if (group.count > 0)
		qsort(group.names, group.count, sizeof(group.names[0]), compare_names);

	int err = store_label_sets(server->store, &question.question, group.names, group.count,
				   &sets);

	if (!err) {
		err = answer_sets(&call, &sets, &group, asked->n_label_names == 0);
		store_label_sets_done(&sets);
	}
	if (err)
		connect_failure(reply, err);
}

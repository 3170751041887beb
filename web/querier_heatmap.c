/* SPDX-License-Identifier: Apache-2.0 */
/* SelectHeatmap: how many profiles, or spans, had how much when. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "store/pool.h"
#include "web/exemplars.h"
#include "web/server.h"

enum {
	BUCKET_COUNT = 20, /* as Pyroscope's */
	/* Slots of all rows: 64 points, which is what Grafana asks for, of 4,000 rows. 80 bytes. */
	SLOT_COUNT_MAX = 1 << 18,
	ROW_COUNT_MAX = 1 << 16,
	KEY_SIZE_MAX = 1 << 20,
	ROW_UNKNOWN = UINT32_MAX,
};

struct slot {
	int32_t counts[BUCKET_COUNT];
	uint32_t count;
};

struct row {
	struct slot *slots;	  /* point_count of them */
	struct observation *best; /* likewise for each bucket, when exemplars are wanted */
	uint64_t count;
	const struct observed *any; /* whose labels are the row's */
};

struct heatmap {
	struct connect_call *call;
	const struct querier_group *group;
	struct store_grid grid;
	bool wants_exemplars;
	bool by_span;
	uint64_t least, greatest; /* of all values; least > greatest: there are none */
	struct pool keys;	  /* the values of the labels, each with its size */
	struct row *rows;	  /* in the arena */
	size_t row_count;
	uint32_t *row_of; /* each observed one's */
	size_t row_of_count;
};

/* ---- reading ----------------------------------------------------------------------------------
 */

static int find_limits(void *context, const struct observation *observation)
{
	struct heatmap *heatmap = context;
	size_t point;

	if (!store_grid_point(&heatmap->grid, observation->time_ms, &point))
		return 0;
	if (observation->value < heatmap->least)
		heatmap->least = observation->value;
	if (observation->value > heatmap->greatest)
		heatmap->greatest = observation->value;
	return 0;
}

static int64_t add_row(struct heatmap *heatmap, const struct observed *observed)
{
	autoclean(buf) struct buf key = BUF(KEY_SIZE_MAX);
	struct arena *arena = &heatmap->call->arena;
	size_t point_count = heatmap->grid.point_count;

	for (size_t i = 0; i < heatmap->group->count; i++)
		buf_add_sized(&key, observed_label(observed, heatmap->group->names[i]));

	int64_t number = key.error ? key.error : pool_add(&heatmap->keys, key.bytes, key.size);

	if (number < 0 || (size_t)number < heatmap->row_count)
		return number;
	assert((size_t)number == heatmap->row_count);
	if (heatmap->row_count >= ROW_COUNT_MAX ||
	    (heatmap->row_count + 1) * point_count > SLOT_COUNT_MAX)
		return -E2BIG;

	struct row *row = &heatmap->rows[heatmap->row_count];

	row->any = observed;
	row->slots = arena_take(arena, point_count, sizeof(row->slots[0]));
	if (heatmap->wants_exemplars)
		row->best = arena_take(arena, point_count, BUCKET_COUNT * sizeof(row->best[0]));
	heatmap->row_count++;
	return arena->error ? arena->error : number;
}

static int64_t row_of(struct heatmap *heatmap, const struct observed *observed)
{
	if (observed->number >= heatmap->row_of_count) {
		size_t count = 2 * (size_t)observed->number + 64;
		uint32_t *grown = realloc(heatmap->row_of, count * sizeof(grown[0]));

		if (!grown)
			return -ENOMEM;
		for (size_t i = heatmap->row_of_count; i < count; i++)
			grown[i] = ROW_UNKNOWN;
		heatmap->row_of = grown;
		heatmap->row_of_count = count;
	}
	if (heatmap->row_of[observed->number] == ROW_UNKNOWN) {
		int64_t row = add_row(heatmap, observed);

		if (row < 0)
			return row;
		heatmap->row_of[observed->number] = (uint32_t)row;
	}
	return heatmap->row_of[observed->number];
}

/* Where a bucket begins, as a whole number. */
static double bucket_edge(const struct heatmap *heatmap, size_t bucket)
{
	double span = (double)(heatmap->greatest - heatmap->least);

	return floor((double)heatmap->least + (double)bucket * span / BUCKET_COUNT);
}

/* All that is alike stands in the last one. */
static size_t bucket_of(const struct heatmap *heatmap, uint64_t value)
{
	size_t bucket = BUCKET_COUNT - 1;

	while (bucket > 0 && bucket_edge(heatmap, bucket) > (double)value)
		bucket--;
	return bucket;
}

static int count(void *context, const struct observation *observation)
{
	struct heatmap *heatmap = context;
	size_t point = 0;
	size_t bucket = bucket_of(heatmap, observation->value);

	if (!store_grid_point(&heatmap->grid, observation->time_ms, &point))
		return 0;

	int64_t number = row_of(heatmap, observation->of);

	if (number < 0)
		return (int)number;

	struct row *row = &heatmap->rows[number];

	row->count++;
	row->slots[point].count++;
	if (row->slots[point].counts[bucket] < INT32_MAX)
		row->slots[point].counts[bucket]++;
	if (row->best) {
		struct observation *best = &row->best[point * BUCKET_COUNT + bucket];

		if (observation->value > best->value)
			*best = *observation;
	}
	return 0;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void take_exemplars(struct heatmap *heatmap, const struct observation *best,
			   Pyroscope__HeatmapSlot *slot)
{
	struct connect_call *call = heatmap->call;

	slot->exemplars = arena_take(&call->arena, BUCKET_COUNT, sizeof(slot->exemplars[0]));
	for (size_t i = 0; slot->exemplars && i < BUCKET_COUNT; i++)
		if (best[i].value > 0)
			slot->exemplars[slot->n_exemplars++] =
				exemplar_make(call, &best[i], heatmap->group, heatmap->by_span);
}

static void take_slot(struct heatmap *heatmap, const struct row *row, size_t point, double *y_min,
		      Pyroscope__HeatmapSlot *slot)
{
	pyroscope__heatmap_slot__init(slot);
	slot->timestamp = heatmap->grid.first_ms + (int64_t)point * heatmap->grid.step_ms;
	slot->y_min = y_min;
	slot->n_y_min = BUCKET_COUNT;
	slot->counts = row->slots[point].counts;
	slot->n_counts = BUCKET_COUNT;
	if (row->best)
		take_exemplars(heatmap, &row->best[point * BUCKET_COUNT], slot);
}

static void take_row(struct heatmap *heatmap, const struct row *row, double *y_min,
		     Pyroscope__HeatmapSeries *series)
{
	struct arena *arena = &heatmap->call->arena;
	const struct querier_group *group = heatmap->group;
	size_t slot_count = 0;
	struct str *values = arena_take(arena, group->count, sizeof(values[0]));

	pyroscope__heatmap_series__init(series);
	for (size_t i = 0; values && i < group->count; i++)
		values[i] = observed_label(row->any, group->names[i]);
	if (values)
		series->labels = querier_labels(heatmap->call, group->names, values, group->count,
						&series->n_labels);
	for (size_t i = 0; i < heatmap->grid.point_count; i++)
		slot_count += row->slots[i].count > 0;

	Pyroscope__HeatmapSlot *slots = arena_take(arena, slot_count, sizeof(slots[0]));

	series->slots = arena_take(arena, slot_count, sizeof(series->slots[0]));
	for (size_t i = 0; slots && series->slots && i < heatmap->grid.point_count; i++) {
		if (row->slots[i].count == 0)
			continue;
		take_slot(heatmap, row, i, y_min, &slots[series->n_slots]);
		series->slots[series->n_slots] = &slots[series->n_slots];
		series->n_slots++;
	}
}

/* What has most comes first; of equals, what comes first by its labels. */
static int compare_rows(const void *a, const void *b, void *context)
{
	const struct querier_group *group = context;
	const struct row *x = a;
	const struct row *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	for (size_t i = 0; i < group->count; i++) {
		int order = str_compare(observed_label(x->any, group->names[i]),
					observed_label(y->any, group->names[i]));

		if (order)
			return order;
	}
	return 0;
}

static void answer(struct heatmap *heatmap, int64_t limit)
{
	Pyroscope__SelectHeatmapResponse found = PYROSCOPE__SELECT_HEATMAP_RESPONSE__INIT;
	struct arena *arena = &heatmap->call->arena;
	size_t row_count = heatmap->row_count;
	double *y_min = arena_take(arena, BUCKET_COUNT, sizeof(y_min[0]));

	qsort_r(heatmap->rows, row_count, sizeof(heatmap->rows[0]), compare_rows,
		(void *)heatmap->group);
	if (limit > 0 && (uint64_t)limit < row_count)
		row_count = (size_t)limit;

	Pyroscope__HeatmapSeries *items = arena_take(arena, row_count, sizeof(items[0]));

	found.series = arena_take(arena, row_count, sizeof(found.series[0]));
	for (size_t i = 0; y_min && i < BUCKET_COUNT; i++)
		y_min[i] = bucket_edge(heatmap, i);
	for (size_t i = 0; items && found.series && i < row_count; i++) {
		take_row(heatmap, &heatmap->rows[i], y_min, &items[i]);
		found.series[found.n_series++] = &items[i];
	}
	connect_answer(heatmap->call, &found.base);
}

/* Twice through it: how the buckets lie is known when all is known. */
static int read_and_answer(struct heatmap *heatmap, struct store *store,
			   const struct store_question *question, int64_t limit)
{
	autoclean(observations) struct observations *first = NULL;
	autoclean(observations) struct observations *second = NULL;
	struct observations_options options = { .by_span = heatmap->by_span,
						.visit = find_limits,
						.context = heatmap };
	int err = observations_read(store, question, &options, &first);

	options.visit = count;
	if (!err && heatmap->least <= heatmap->greatest)
		err = observations_read(store, question, &options, &second);
	if (!err)
		answer(heatmap, limit);
	return err;
}

static bool read_kinds(struct heatmap *heatmap, const Pyroscope__SelectHeatmapRequest *asked)
{
	bool by_span = asked->query_type == PYROSCOPE__HEATMAP_QUERY_TYPE__HEATMAP_QUERY_TYPE_SPAN;
	int matching = by_span ? PYROSCOPE__EXEMPLAR_TYPE__EXEMPLAR_TYPE_SPAN
			       : PYROSCOPE__EXEMPLAR_TYPE__EXEMPLAR_TYPE_INDIVIDUAL;

	if (!by_span &&
	    asked->query_type != PYROSCOPE__HEATMAP_QUERY_TYPE__HEATMAP_QUERY_TYPE_INDIVIDUAL) {
		connect_error(heatmap->call->reply, CONNECT_INVALID_ARGUMENT,
			      "query_type must be HEATMAP_QUERY_TYPE_INDIVIDUAL or "
			      "HEATMAP_QUERY_TYPE_SPAN");
		return false;
	}
	heatmap->by_span = by_span;
	heatmap->wants_exemplars = (int)asked->exemplar_type == matching;
	if (heatmap->wants_exemplars ||
	    asked->exemplar_type <= PYROSCOPE__EXEMPLAR_TYPE__EXEMPLAR_TYPE_NONE)
		return true;
	connect_error(heatmap->call->reply, CONNECT_INVALID_ARGUMENT,
		      "exemplar_type must be EXEMPLAR_TYPE_NONE or of the kind of query_type");
	return false;
}

/* Other than in SelectSeries, what lies behind the last whole step has a slot, too. */
static void cover_end(struct heatmap *heatmap, struct store_question *question, int64_t end_ms)
{
	struct store_grid *grid = &heatmap->grid;

	assert(end_ms >= question->to_unix_ms);
	if (end_ms > question->to_unix_ms)
		grid->point_count++;
	question->to_unix_ms = end_ms;
}

void querier_select_heatmap(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	struct querier_group group;
	struct heatmap heatmap = { .call = &call, .group = &group, .least = UINT64_MAX };
	const Pyroscope__SelectHeatmapRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__select_heatmap_request__descriptor);

	if (!asked || !querier_read_range(&question, &call, asked->start, asked->end) ||
	    !querier_read_selection(&question, &call, asked->profile_typeid,
				    asked->label_selector) ||
	    !querier_read_group(&group, &call, "group_by", asked->n_group_by, asked->group_by))
		return;

	int64_t end_ms = question.question.to_unix_ms;

	if (!querier_read_grid(&question, &call, server->store, asked->step, asked->end == 0,
			       &heatmap.grid) ||
	    !read_kinds(&heatmap, asked))
		return;
	if (asked->limit < 0) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "limit must be >= 0");
		return;
	}

	cover_end(&heatmap, &question.question, end_ms);

	size_t row_count = SLOT_COUNT_MAX / heatmap.grid.point_count;

	heatmap.rows =
		arena_take(&call.arena, row_count < ROW_COUNT_MAX ? row_count : ROW_COUNT_MAX,
			   sizeof(heatmap.rows[0]));
	pool_init(&heatmap.keys, ROW_COUNT_MAX, NULL);

	int err = heatmap.rows ? read_and_answer(&heatmap, server->store, &question.question,
						 asked->limit)
			       : call.arena.error;

	pool_done(&heatmap.keys);
	free(heatmap.row_of);
	if (err)
		connect_failure(reply, err);
}

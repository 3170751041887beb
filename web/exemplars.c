/* SPDX-License-Identifier: Apache-2.0 */
#include "web/exemplars.h"

#include <assert.h>
#include <errno.h>

#include "web/profile_id.h"

enum { ROW_UNKNOWN = UINT32_MAX - 1, ROW_NONE = UINT32_MAX };

static bool is_grouped(const struct querier_group *group, struct str name)
{
	for (size_t i = 0; i < group->count; i++)
		if (str_equal(group->names[i], name))
			return true;
	return false;
}

/* Pyroscope's order: the two that its index has, then the rest by name. */
static void take_labels(struct connect_call *call, const struct observed *observed,
			const struct querier_group *group, Pyroscope__Exemplar *exemplar)
{
	const struct str first[] = { STR("__profile_type__"), STR("__service_name__") };
	size_t count = 0;
	struct str *names = arena_take(&call->arena, observed->label_count + 2, sizeof(names[0]));
	struct str *values = arena_take(&call->arena, observed->label_count + 2, sizeof(values[0]));

	if (!names || !values)
		return;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (!is_grouped(group, first[i])) {
			names[count] = first[i];
			values[count++] = observed_label(observed, first[i]);
		}
	for (size_t i = 0; i < observed->label_count; i++) {
		struct str name = observed->labels[i].name;

		if (is_grouped(group, name) || str_equal(name, first[0]) ||
		    str_equal(name, first[1]))
			continue;
		names[count] = name;
		values[count++] = observed->labels[i].value;
	}
	exemplar->labels = querier_labels(call, names, values, count, &exemplar->n_labels);
}

Pyroscope__Exemplar *exemplar_make(struct connect_call *call, const struct observation *observation,
				   const struct querier_group *group, bool by_span)
{
	const struct observed *of = observation->of;
	Pyroscope__Exemplar *exemplar = arena_take(&call->arena, 1, sizeof(*exemplar));
	struct profile_key key = { .time_ms = observation->time_ms, .series = of->series };
	char id[PROFILE_ID_SIZE + 1];

	if (!exemplar)
		return NULL;
	pyroscope__exemplar__init(exemplar);
	exemplar->timestamp = observation->time_ms;
	exemplar->value = observation->value < INT64_MAX ? (int64_t)observation->value : INT64_MAX;
	if (by_span) {
		exemplar->span_id = arena_text(&call->arena, of->span_id);
		exemplar->trace_id = arena_text(&call->arena, of->trace_id);
	} else {
		profile_id_write(key, id);
		exemplar->profile_id = arena_text(&call->arena, str_from(id));
	}
	take_labels(call, of, group, exemplar);
	return call->arena.error ? NULL : exemplar;
}

struct finding {
	const struct querier_group *group;
	const struct store_grid *grid;
	const struct store_rows *rows;
	struct observation *best; /* of each point, value 0: none */
	uint32_t *row_of;	  /* each observed one's */
	size_t row_of_count;
};

static uint32_t find_row(const struct finding *finding, const struct observed *observed)
{
	size_t row_count = finding->rows->count;

	for (size_t row = 0; row < row_count; row++) {
		bool is_same = true;

		for (size_t i = 0; is_same && i < finding->group->count; i++)
			is_same = str_equal(finding->rows->rows[row].values[i],
					    observed_label(observed, finding->group->names[i]));
		if (is_same)
			return (uint32_t)row;
	}
	return ROW_NONE;
}

static int row_of(struct finding *finding, const struct observed *observed, uint32_t *ret)
{
	if (observed->number >= finding->row_of_count) {
		size_t count = 2 * (size_t)observed->number + 64;
		uint32_t *grown = realloc(finding->row_of, count * sizeof(grown[0]));

		if (!grown)
			return -ENOMEM;
		for (size_t i = finding->row_of_count; i < count; i++)
			grown[i] = ROW_UNKNOWN;
		finding->row_of = grown;
		finding->row_of_count = count;
	}
	if (finding->row_of[observed->number] == ROW_UNKNOWN)
		finding->row_of[observed->number] = find_row(finding, observed);
	*ret = finding->row_of[observed->number];
	return 0;
}

/* Of equal ones the first, so that twice the same question finds the same. */
static bool is_better(const struct observation *a, const struct observation *b)
{
	if (a->value != b->value)
		return a->value > b->value;
	return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->of->series < b->of->series;
}

static int visit(void *context, const struct observation *observation)
{
	struct finding *finding = context;
	uint32_t row = ROW_NONE;
	size_t point = 0;
	int err = row_of(finding, observation->of, &row);

	if (err || row == ROW_NONE ||
	    !store_grid_point(finding->grid, observation->time_ms, &point))
		return err;

	struct observation *best = &finding->best[row * finding->grid->point_count + point];

	if (best->value == 0 || is_better(observation, best))
		*best = *observation;
	return 0;
}

int exemplars_find(struct store *store, struct connect_call *call,
		   const struct store_question *question, const struct querier_group *group,
		   const struct store_grid *grid, const struct store_rows *rows,
		   Pyroscope__Exemplar ***ret)
{
	autoclean(observations) struct observations *observations = NULL;
	size_t count = rows->count * grid->point_count;
	struct finding finding = { .group = group, .grid = grid, .rows = rows };
	struct observations_options options = { .visit = visit, .context = &finding };
	int err = 0;

	*ret = NULL;
	if (count == 0 || rows->count > EXEMPLAR_COUNT_MAX / grid->point_count)
		return 0;
	finding.best = calloc(count, sizeof(finding.best[0]));

	Pyroscope__Exemplar **exemplars = arena_take(&call->arena, count, sizeof(exemplars[0]));

	if (!finding.best || !exemplars)
		err = -ENOMEM;
	if (!err)
		err = observations_read(store, question, &options, &observations);
	for (size_t i = 0; !err && i < count; i++) {
		if (finding.best[i].value == 0)
			continue;
		exemplars[i] = exemplar_make(call, &finding.best[i], group, false);
		err = call->arena.error;
	}
	free(finding.best);
	free(finding.row_of);
	if (!err)
		*ret = exemplars;
	return err;
}

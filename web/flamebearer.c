/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flamebearer.h"

#include <assert.h>

#include "web/json_writer.h"

enum {
	VERSION = 1,
	RATE_OTHERWISE = 100,
	RATE_OF_CPU = 1000000000,
};

static void write_number(struct json_writer *json, const char *name, uint64_t value)
{
	json_key(json, name);
	json_u64(json, value);
}

static void write_names(struct json_writer *json, const struct str *names, size_t count)
{
	json_key(json, "names");
	json_begin_array(json);
	for (size_t i = 0; i < count; i++)
		json_text(json, names[i]);
	json_end_array(json);
}

static void write_levels(struct json_writer *json, const struct flame_levels *levels)
{
	json_key(json, "levels");
	json_begin_array(json);
	for (size_t i = 0; i < levels->bar_count; i++) {
		const struct flame_bar *bar = &levels->bars[i];

		if (i == 0 || bar->level != levels->bars[i - 1].level) {
			if (i > 0)
				json_end_array(json);
			json_begin_array(json);
		}
		json_u64(json, bar->delta);
		json_u64(json, bar->total);
		json_u64(json, bar->self);
		json_u64(json, bar->name);
	}
	json_end_array(json);
	json_end_array(json);
}

static void write_side(struct json_writer *json, const struct flame_diff_side *side)
{
	json_u64(json, side->delta);
	json_u64(json, side->total);
	json_u64(json, side->self);
}

static void write_diff_levels(struct json_writer *json, const struct flame_diff *diff)
{
	json_key(json, "levels");
	json_begin_array(json);
	for (size_t i = 0; i < diff->bar_count; i++) {
		const struct flame_diff_bar *bar = &diff->bars[i];

		if (i == 0 || bar->level != diff->bars[i - 1].level) {
			if (i > 0)
				json_end_array(json);
			json_begin_array(json);
		}
		write_side(json, &bar->left);
		write_side(json, &bar->right);
		json_u64(json, bar->name);
	}
	json_end_array(json);
	json_end_array(json);
}

static void write_flame(struct json_writer *json, const struct flamebearer *flamebearer)
{
	const struct flame_levels *levels = flamebearer->levels;
	const struct flame_diff *diff = flamebearer->diff;

	json_key(json, "flamebearer");
	json_begin_object(json);
	if (levels) {
		write_names(json, levels->names, levels->name_count);
		write_levels(json, levels);
		write_number(json, "numTicks", levels->total);
		write_number(json, "maxSelf", levels->max_self);
	} else {
		write_names(json, diff->names, diff->name_count);
		write_diff_levels(json, diff);
		write_number(json, "numTicks", diff->left_total + diff->right_total);
		write_number(json, "maxSelf", diff->max_self);
	}
	json_end_object(json);
}

static struct str units_of(const struct flamebearer *flamebearer)
{
	static const char *const objects[] = { "inuse_objects", "alloc_objects", "goroutine",
					       "samples" };

	if (str_equal(flamebearer->sample_type, STR("cpu")))
		return STR("samples");
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		if (str_equal(flamebearer->sample_type, str_from(objects[i])))
			return STR("objects");
	return flamebearer->sample_unit;
}

static void write_metadata(struct json_writer *json, const struct flamebearer *flamebearer)
{
	bool is_cpu = str_equal(flamebearer->sample_type, STR("cpu"));

	json_key(json, "metadata");
	json_begin_object(json);
	json_key(json, "format");
	json_text(json, flamebearer->levels ? STR("single") : STR("double"));
	json_key(json, "spyName");
	json_text(json, STR(""));
	write_number(json, "sampleRate", is_cpu ? RATE_OF_CPU : RATE_OTHERWISE);
	json_key(json, "units");
	json_text(json, units_of(flamebearer));
	json_key(json, "name");
	json_text(json, flamebearer->sample_type);
	json_end_object(json);
}

static void write_timeline(struct json_writer *json, const struct flamebearer_timeline *timeline,
			   const uint64_t *samples)
{
	json_begin_object(json);
	json_key(json, "startTime");
	json_i64(json, timeline->start_s);
	json_key(json, "samples");
	json_begin_array(json);
	for (size_t i = 0; i < timeline->count; i++)
		json_u64(json, samples ? samples[i] : 0);
	json_end_array(json);
	json_key(json, "durationDelta");
	json_i64(json, timeline->step_s);
	json_key(json, "watermarks");
	json_null_value(json);
	json_end_object(json);
}

static void write_groups(struct json_writer *json, const struct flamebearer *flamebearer)
{
	json_begin_object(json);
	for (size_t i = 0; i < flamebearer->group_count; i++) {
		const struct flamebearer_group *group = &flamebearer->groups[i];

		json_key_text(json, group->value.size ? group->value : STR("*"));
		write_timeline(json, flamebearer->timeline, group->samples);
	}
	json_end_object(json);
}

void flamebearer_write(const struct flamebearer *flamebearer, struct buf *buf)
{
	struct json_writer json = JSON_WRITER(buf);

	assert(!flamebearer->levels != !flamebearer->diff);
	assert(!flamebearer->groups || flamebearer->timeline);
	json_begin_object(&json);
	write_number(&json, "version", VERSION);
	write_flame(&json, flamebearer);
	write_metadata(&json, flamebearer);
	json_key(&json, "timeline");
	if (flamebearer->timeline)
		write_timeline(&json, flamebearer->timeline, flamebearer->timeline->samples);
	else
		json_null_value(&json);
	json_key(&json, "groups");
	if (flamebearer->groups)
		write_groups(&json, flamebearer);
	else
		json_null_value(&json);
	json_key(&json, "heatmap");
	json_null_value(&json);
	if (flamebearer->diff && flamebearer->diff->left_total > 0)
		write_number(&json, "leftTicks", flamebearer->diff->left_total);
	if (flamebearer->diff && flamebearer->diff->right_total > 0)
		write_number(&json, "rightTicks", flamebearer->diff->right_total);
	json_end_object(&json);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_intake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/table.h"

enum {
	LINE_COUNT_MAX = 256,		 /* what a batch takes of one location */
	STACK_DEPTH_MAX = 4096,		 /* and of one stack */
	BATCH_MS_MAX = 60000,		 /* times in a batch are 16 bits of ms */
	BATCH_ENTRY_COUNT_MAX = 1 << 18, /* what a commit takes at ease */
	TYPE_SIZE_MAX = 512,
	CACHE_SIZE = 512, /* label sets of one profile: its threads, mostly */
	STACK_CACHE_SIZE = 8192,
	NUMBER_NONE = UINT32_MAX,
	DURATION_MS_DEFAULT = 10000, /* of a profile that does not say, as Pyroscope has it */
};

/* What the labels of samples with these attributes came to. */
struct cached {
	uint64_t profile; /* its number among all taken, from 1 */
	struct otlp_range attributes;
	uint32_t series, labels;
};

/* What a stack of these indices came to. */
struct cached_stack {
	uint64_t owner; /* of the indices, from 1 */
	struct otlp_range range;
	uint32_t number;
};

struct otlp_intake {
	struct otlp_intake_options options;
	struct batch *batch;
	struct batch_time time;
	bool has_time;
	bool is_undated; /* its profiles do not say when they were taken */
	struct otlp_labels labels;
	struct otlp_intake_totals totals;
	uint64_t profile_number;
	struct cached cache[CACHE_SIZE];
	struct cached_stack stacks[STACK_CACHE_SIZE];

	/* Numbers in the batch of the tables' locations, and of their mappings' builds;
	 * NUMBER_NONE: not added yet. */
	uint64_t tables_serial;
	ARRAY(uint32_t) locations;
	ARRAY(uint32_t) builds;
	uint64_t stacks_owner;

	/* The type of the profile that is taken. */
	struct buf type;
	uint64_t period;   /* of one sample */
	uint64_t weight;   /* of one count: values are multiplied by it */
	bool counts_times; /* its values are samples */

	ARRAY(uint16_t) times;
};

int otlp_intake_new(const struct otlp_intake_options *options, struct otlp_intake **ret)
{
	autoclean(otlp_intake) struct otlp_intake *intake = calloc(1, sizeof(*intake));
	int err;

	assert(options->add && options->now_ms > 0);
	if (!intake)
		return -ENOMEM;
	intake->options = *options;
	intake->type = BUF(TYPE_SIZE_MAX);
	otlp_labels_init(&intake->labels, options->host_name, options->is_local);
	err = batch_new(OTLP_BATCH_MEMORY_MAX, &intake->batch);
	if (err)
		return err;
	*ret = TAKE(intake);
	return 0;
}

struct otlp_intake *otlp_intake_free(struct otlp_intake *intake)
{
	if (!intake)
		return NULL;
	batch_free(intake->batch);
	otlp_labels_done(&intake->labels);
	buf_done(&intake->type);
	array_done(&intake->locations);
	array_done(&intake->builds);
	array_done(&intake->times);
	free(intake);
	return NULL;
}

struct otlp_intake_totals otlp_intake_totals(const struct otlp_intake *intake)
{
	struct otlp_intake_totals totals = intake->totals;

	totals.labels_left_out = intake->labels.left_out;
	return totals;
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static int give(struct otlp_intake *intake, bool is_last)
{
	int err = 0;

	if (batch_totals(intake->batch).entries > 0) {
		batch_set_time(intake->batch, intake->time);
		err = intake->options.add(intake->options.context, intake->batch, is_last);
	}
	batch_clear(intake->batch);
	intake->has_time = false;
	intake->tables_serial = 0;
	memset(intake->cache, 0, sizeof(intake->cache));
	memset(intake->stacks, 0, sizeof(intake->stacks));
	return err;
}

int otlp_intake_finish(struct otlp_intake *intake)
{
	return give(intake, true);
}

/* One that claims to be of 1970, or of 2100, has a clock, or a unit, that is wrong. */
static bool is_dated(const struct otlp_profile *profile)
{
	static const uint64_t year_ms = UINT64_C(365) * 24 * 3600 * CLOCK_MS_PER_S;
	uint64_t start_ms = profile->time_unix_ns / (uint64_t)CLOCK_NS_PER_MS;

	return start_ms >= year_ms && start_ms <= 130 * year_ms;
}

static struct batch_time time_of(const struct otlp_intake *intake,
				 const struct otlp_profile *profile)
{
	static const uint64_t year_ms = UINT64_C(365) * 24 * 3600 * CLOCK_MS_PER_S;
	uint64_t start_ms = profile->time_unix_ns / (uint64_t)CLOCK_NS_PER_MS;
	uint64_t duration_ms = profile->duration_ns / (uint64_t)CLOCK_NS_PER_MS;

	if (duration_ms == 0 || duration_ms > year_ms)
		duration_ms = DURATION_MS_DEFAULT;
	if (!is_dated(profile))
		start_ms = (uint64_t)intake->options.now_ms - duration_ms;
	return (struct batch_time){ (int64_t)start_ms, (int64_t)(start_ms + duration_ms) };
}

/*
 * Whether the profile finds room in the batch, in which times are 16 bits of ms. What depends on
 * the clock never shares one with what does not, so that a request that comes again falls into the
 * same parts.
 */
static bool fits_in(const struct otlp_intake *intake, struct batch_time time, bool is_undated)
{
	const struct batch_time *all = &intake->time;

	return time.end_unix_ms - all->start_unix_ms <= BATCH_MS_MAX &&
	       all->end_unix_ms - time.start_unix_ms <= BATCH_MS_MAX &&
	       is_undated == intake->is_undated &&
	       batch_totals(intake->batch).entries <= BATCH_ENTRY_COUNT_MAX;
}

/* Makes the batch's time hold the profile's, or begins another batch. */
static int fit_time(struct otlp_intake *intake, const struct otlp_profile *profile)
{
	struct batch_time time = time_of(intake, profile);
	struct batch_time *all = &intake->time;
	bool is_undated = !is_dated(profile);
	int err = 0;

	if (intake->has_time && !fits_in(intake, time, is_undated))
		err = give(intake, false);
	if (!intake->has_time) {
		*all = time;
		intake->is_undated = is_undated;
	}
	/* Until January 2026 OpenTelemetry's profiles began with their first sample each. */
	if (time.start_unix_ms < all->start_unix_ms) {
		batch_shift_times(intake->batch, all->start_unix_ms - time.start_unix_ms);
		all->start_unix_ms = time.start_unix_ms;
	}
	if (time.end_unix_ms > all->end_unix_ms)
		all->end_unix_ms = time.end_unix_ms;
	intake->has_time = true;
	return err;
}

/* ---- types ------------------------------------------------------------------------------------
 */

/* A part of a type's id: what would end it early becomes something else. */
static void add_part(struct buf *type, struct str part)
{
	if (type->size > 0)
		buf_add_u8(type, ':');
	for (size_t i = 0; i < part.size; i++)
		buf_add_u8(type, part.text[i] == ':' || (uint8_t)part.text[i] < ' '
					 ? '_'
					 : (uint8_t)part.text[i]);
}

static bool is_type(const struct otlp_value_type *type, struct str name, struct str unit)
{
	return str_equal(type->type, name) && str_equal(type->unit, unit);
}

static void find_type(struct otlp_intake *intake, const struct otlp_profile *profile)
{
	struct otlp_value_type period = profile->period_type;
	struct buf *type = &intake->type;
	struct str name = period.type.size > 0 ? period.type : profile->type.type;

	if (profile->period <= 0)
		period = (struct otlp_value_type){ 0 };
	intake->period = intake->weight = 1;
	intake->counts_times = str_equal(profile->type.unit, STR("count"));
	buf_clear(type);
	if (is_type(&profile->type, STR("samples"), STR("count")) &&
	    is_type(&period, STR("cpu"), STR("nanoseconds"))) {
		buf_add_str(type, STR("process_cpu:cpu:nanoseconds:cpu:nanoseconds"));
		intake->period = intake->weight = (uint64_t)profile->period;
		return;
	}
	/* Until September 2025 OpenTelemetry's profiler called it events. */
	if (period.type.size == 0 && (is_type(&profile->type, STR("off_cpu"), STR("nanoseconds")) ||
				      is_type(&profile->type, STR("events"), STR("nanoseconds")))) {
		buf_add_str(type, STR("off_cpu:off_cpu:nanoseconds::"));
		return;
	}
	if (period.type.size == 0)
		name = profile->type.type;
	add_part(type, name);
	add_part(type, profile->type.type);
	add_part(type, profile->type.unit);
	add_part(type, period.type);
	add_part(type, period.unit);
}

/* ---- locations --------------------------------------------------------------------------------
 */

static bool parse_identity(struct str text, enum identity_kind kind, struct identity *ret)
{
	*ret = (struct identity){ 0 };
	if (text.size < 2 || text.size % 2 != 0 || text.size / 2 > IDENTITY_SIZE_MAX)
		return false;
	for (size_t i = 0; i < text.size; i += 2) {
		uint64_t byte;

		if (parse_hex((struct str){ text.text + i, 2 }, &byte)) {
			*ret = (struct identity){ 0 };
			return false;
		}
		ret->bytes[i / 2] = (uint8_t)byte;
	}
	ret->kind = (uint8_t)kind;
	ret->size = (uint8_t)(text.size / 2);
	return true;
}

/* The best that it has. By GNU's and Go's ids we know files, too; by the third we tell them apart.
 */
static struct identity identity_of(const struct otlp_mapping *mapping)
{
	struct identity identity;

	if (!parse_identity(mapping->gnu, IDENTITY_GNU_BUILD_ID, &identity) &&
	    !identity_of_go(mapping->go, &identity) &&
	    !parse_identity(mapping->htlhash, IDENTITY_HTLHASH, &identity))
		return (struct identity){ 0 };
	return identity;
}

static bool is_kernel(const struct otlp_location *location)
{
	return str_equal(location->frame_type, STR("kernel"));
}

/* Addresses are those of the file's symbols; the store keeps offsets in the file. */
static uint64_t file_offset(const struct otlp_mapping *mapping, uint64_t address)
{
	if (address < mapping->start || (mapping->limit > 0 && address >= mapping->limit))
		return address;
	return address - mapping->start + mapping->offset;
}

/* What stands for a frame of which nothing is known but perhaps its kind: "[jvm]". */
static int64_t add_nameless(struct otlp_intake *intake, struct str frame_type)
{
	char text[64] = "[unknown]";
	struct named_line line = { .function = STR("[unknown]") };

	if (frame_type.size > 0) {
		int size = snprintf(text, sizeof(text), "[%.*s]",
				    (int)(frame_type.size < 60 ? frame_type.size : 60),
				    frame_type.text);

		line.function = (struct str){ text, (size_t)size };
	}
	return batch_add_named_location(intake->batch, &line, 1);
}

/* The binary, as the last line of named ones tells it: "kernel", "kernel/ext4", a path. */
static struct str binary_of(const struct otlp_location *location,
			    const struct otlp_mapping *mapping, char text[static 128])
{
	struct str name = mapping ? str_base_name(mapping->filename) : (struct str){ 0 };
	int size;

	if (!is_kernel(location))
		return mapping ? mapping->filename : (struct str){ 0 };
	if (name.size == 0 || str_equal(name, STR("vmlinux")) || name.size > 100)
		return STR("kernel");
	size = snprintf(text, 128, "kernel/%.*s", STR_PRINT(name));
	return (struct str){ text, (size_t)size };
}

static int64_t add_named(struct otlp_intake *intake, const struct otlp_tables *tables,
			 const struct otlp_location *location, const struct otlp_mapping *mapping)
{
	struct named_line lines[LINE_COUNT_MAX];
	uint32_t count = location->lines.count < LINE_COUNT_MAX - 1 ? location->lines.count
								    : LINE_COUNT_MAX - 1;
	char text[128];
	struct str binary = binary_of(location, mapping, text);

	for (uint32_t i = 0; i < count; i++) {
		const struct otlp_line *line = &tables->lines.items[location->lines.first + i];
		struct otlp_function nobody = { 0 };
		const struct otlp_function *function =
			line->function < tables->functions.count
				? &tables->functions.items[line->function]
				: &nobody;

		lines[i] = (struct named_line){
			.function = function->name.size ? function->name : function->system_name,
			.file = function->filename,
			.line = line->line > 0 && line->line <= UINT32_MAX ? (uint32_t)line->line
									   : 0,
		};
		if (lines[i].function.size == 0)
			lines[i].function = STR("[unknown]");
	}
	if (binary.size > 0)
		lines[count++] = (struct named_line){ .file = binary };
	return batch_add_named_location(intake->batch, lines, count);
}

static int64_t find_build(struct otlp_intake *intake, const struct otlp_mapping *mapping,
			  uint32_t place)
{
	uint32_t *number = &intake->builds.items[place];

	assert(place < intake->builds.count);
	if (*number == NUMBER_NONE) {
		struct identity identity = identity_of(mapping);
		int64_t build =
			batch_add_build(intake->batch, BUILD_FILE, &identity, mapping->filename);

		if (build < 0)
			return build;
		*number = (uint32_t)build;
	}
	return *number;
}

static int64_t add_location(struct otlp_intake *intake, const struct otlp_tables *tables,
			    const struct otlp_location *location)
{
	const struct otlp_mapping *mapping =
		location->mapping > 0 ? &tables->mappings.items[location->mapping] : NULL;
	int64_t build;

	if (location->lines.count > 0)
		return add_named(intake, tables, location, mapping);
	/* Without a file an address is an index of bytecode, or what a sender alone understands. */
	if (!mapping ||
	    (mapping->filename.size == 0 && mapping->gnu.size == 0 && mapping->go.size == 0))
		return add_nameless(intake, location->frame_type);
	build = find_build(intake, mapping, location->mapping);
	return build < 0 ? build
			 : batch_add_location(intake->batch, (uint32_t)build,
					      file_offset(mapping, location->address));
}

static int use_tables(struct otlp_intake *intake, const struct otlp_tables *tables)
{
	if (intake->tables_serial == tables->serial)
		return 0;
	intake->locations.count = intake->builds.count = 0;
	if (array_reserve(&intake->locations, tables->locations.count + 1) < 0 ||
	    array_reserve(&intake->builds, tables->mappings.count + 1) < 0)
		return -ENOMEM;
	intake->locations.count = tables->locations.count;
	intake->builds.count = tables->mappings.count;
	for (uint32_t i = 0; i < intake->locations.count; i++)
		intake->locations.items[i] = NUMBER_NONE;
	for (uint32_t i = 0; i < intake->builds.count; i++)
		intake->builds.items[i] = NUMBER_NONE;
	intake->tables_serial = tables->serial;
	return 0;
}

static int64_t find_location(struct otlp_intake *intake, const struct otlp_tables *tables,
			     uint32_t place)
{
	int64_t number;

	if (place == OTLP_NO_LOCATION)
		return add_nameless(intake, (struct str){ 0 });
	assert(place < intake->locations.count);
	if (intake->locations.items[place] != NUMBER_NONE)
		return intake->locations.items[place];
	number = add_location(intake, tables, &tables->locations.items[place]);
	if (number >= 0)
		intake->locations.items[place] = (uint32_t)number;
	return number;
}

static int64_t add_stack(struct otlp_intake *intake, const struct otlp_profile *profile,
			 struct otlp_range stack)
{
	uint32_t numbers[STACK_DEPTH_MAX];
	bool is_cut = stack.count > STACK_DEPTH_MAX;
	uint32_t count = is_cut ? STACK_DEPTH_MAX : stack.count;

	for (uint32_t i = 0; i < count; i++) {
		int64_t number = find_location(intake, profile->tables,
					       profile->stack_indices[stack.first + i]);

		if (number < 0)
			return number;
		numbers[i] = (uint32_t)number;
	}
	return batch_add_stack(intake->batch, numbers, count, is_cut ? STACK_TRUNCATED : 0);
}

/* The same stack of the table again, as of another thread, or taken as part of another profile. */
static int64_t find_stack(struct otlp_intake *intake, const struct otlp_profile *profile,
			  struct otlp_range stack)
{
	struct cached_stack *cached =
		&intake->stacks[(stack.first * UINT32_C(0x9e3779b1) >> 8) % STACK_CACHE_SIZE];
	int64_t number;

	if (cached->owner == intake->stacks_owner && cached->range.first == stack.first &&
	    cached->range.count == stack.count)
		return cached->number;
	number = add_stack(intake, profile, stack);
	if (number >= 0)
		*cached = (struct cached_stack){ intake->stacks_owner, stack, (uint32_t)number };
	return number;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

static bool is_cached(const struct cached *cached, const struct otlp_profile *profile,
		      struct otlp_range attributes)
{
	return cached->attributes.count == attributes.count &&
	       (attributes.count == 0 ||
		memcmp(profile->indices + cached->attributes.first,
		       profile->indices + attributes.first,
		       attributes.count * sizeof(profile->indices[0])) == 0);
}

static int find_labels(struct otlp_intake *intake, const struct otlp_profile *profile,
		       const struct otlp_sample *sample, struct cached *ret)
{
	int64_t series = otlp_labels_find(&intake->labels, profile, sample);
	int64_t labels = 0;

	if (series >= 0)
		series = batch_add_labels(intake->batch, intake->labels.series,
					  intake->labels.series_count);
	if (series >= 0)
		series = batch_add_series(
			intake->batch, (uint32_t)series,
			(struct str){ (const char *)intake->type.bytes, intake->type.size },
			intake->period);
	if (series >= 0)
		labels = batch_add_labels(intake->batch, intake->labels.sample,
					  intake->labels.sample_count);
	if (series < 0 || labels < 0)
		return (int)(series < 0 ? series : labels);
	*ret = (struct cached){ intake->profile_number, sample->attributes, (uint32_t)series,
				(uint32_t)labels };
	return 0;
}

/* Samples of one thread have equal labels, unless they belong to a span. */
static int cached_labels(struct otlp_intake *intake, const struct otlp_profile *profile,
			 const struct otlp_sample *sample, struct cached *ret)
{
	uint64_t hash = table_hash_bytes(
		sample->attributes.count ? profile->indices + sample->attributes.first : NULL,
		sample->attributes.count * sizeof(profile->indices[0]), 0);
	struct cached *cached = &intake->cache[hash % CACHE_SIZE];
	int err;

	if (sample->link == 0 && cached->profile == intake->profile_number &&
	    is_cached(cached, profile, sample->attributes)) {
		*ret = *cached;
		return 0;
	}
	err = find_labels(intake, profile, sample, ret);
	if (!err && sample->link == 0)
		*cached = *ret;
	return err;
}

/* Ms behind the batch's start, ascending; NULL when they do not lie in its time. */
static int find_times(struct otlp_intake *intake, const struct otlp_profile *profile,
		      struct otlp_range timestamps, const uint16_t **ret)
{
	*ret = NULL;
	intake->times.count = 0;
	if (array_reserve(&intake->times, timestamps.count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < timestamps.count; i++) {
		int64_t ms = (int64_t)(profile->timestamps[timestamps.first + i] /
				       (uint64_t)CLOCK_NS_PER_MS) -
			     intake->time.start_unix_ms;
		uint32_t place = intake->times.count++;

		if (ms < 0 || ms > BATCH_MS_MAX || place > UINT16_MAX)
			return 0;
		/* They nearly always come in order. */
		while (place > 0 && intake->times.items[place - 1] > ms && i - place < 64) {
			intake->times.items[place] = intake->times.items[place - 1];
			place--;
		}
		intake->times.items[place] = (uint16_t)ms;
	}
	if (timestamps.count > 0)
		*ret = intake->times.items;
	return 0;
}

/* How many samples a sum stands for: a type that counts them tells, else there is one. */
static bool weigh(const struct otlp_intake *intake, const struct otlp_profile *profile,
		  const struct otlp_sample *sample, struct batch_entry *entry)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < sample->values.count; i++)
		if (__builtin_add_overflow(sum, (uint64_t)profile->values[sample->values.first + i],
					   &sum))
			return false;
	entry->count = sample->timestamps.count;
	if (sample->values.count == 0)
		sum = sample->timestamps.count;
	else if (sample->timestamps.count == 0)
		entry->count = intake->counts_times ? sum : 1;
	return !__builtin_mul_overflow(sum, intake->weight, &entry->value);
}

static int take_sample(struct otlp_intake *intake, const struct otlp_profile *profile,
		       const struct otlp_sample *sample)
{
	struct batch_entry entry = { 0 };
	struct cached labels = { 0 };
	int64_t stack;
	int err = 0;

	/* What is nothing is not kept; what is more than there can be neither. */
	if (!weigh(intake, profile, sample, &entry) || entry.value == 0 || entry.count == 0)
		return 0;
	err = cached_labels(intake, profile, sample, &labels);
	if (err)
		return err;
	stack = find_stack(intake, profile, sample->stack);
	if (stack < 0)
		return (int)stack;
	entry.series = labels.series;
	entry.sample_labels = labels.labels;
	entry.stack = (uint32_t)stack;
	err = find_times(intake, profile, sample->timestamps, &entry.times_ms);
	if (!err)
		err = batch_add_entry(intake->batch, &entry);
	intake->totals.samples += err ? 0 : entry.count;
	return err;
}

int otlp_intake_take(void *context, const struct otlp_profile *profile)
{
	struct otlp_intake *intake = context;
	int err = fit_time(intake, profile);

	intake->profile_number++;
	find_type(intake, profile);
	if (intake->type.error == -EFBIG)
		return -E2BIG;
	if (!err)
		err = intake->type.error;
	if (!err)
		err = use_tables(intake, profile->tables);
	/* Either all profiles share the tables' stacks, or each has its own. */
	intake->stacks_owner = profile->stack_indices == profile->tables->indices.items
				       ? UINT64_MAX
				       : intake->profile_number;
	for (size_t i = 0; !err && i < profile->sample_count; i++)
		err = take_sample(intake, profile, &profile->samples[i]);
	return err;
}

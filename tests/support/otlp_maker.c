/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/otlp_maker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/pprof_maker.h"

enum { PART_SIZE_MAX = 64 << 20, TIME_COUNT_MAX = 4 };

/* Where the revisions differ. 0: it has no such field. */
struct numbers {
	struct {
		unsigned type, sample, time, duration, period_type, period, id, places;
	} profile;
	struct {
		unsigned mapping, location, function, string, attribute, unit, link, stack;
	} table;
	struct {
		unsigned start, length, stack, value, attribute, link, time;
	} sample;
	struct {
		unsigned mapping, address, line, attribute;
	} location;
	struct {
		unsigned start, limit, offset, file, attribute;
	} mapping;
	unsigned function_name; /* and what follows it */
	bool is_fixed;		/* times have eight bytes */
};

static const struct numbers revisions[OTLP_REVISION_COUNT] = {
	[OTLP_R1_3] = { { 1, 2, 0, 0, 11, 12, 0, 15 },
			{ 3, 4, 5, 6, 16, 17, 18, 0 },
			{ 7, 8, 0, 2, 10, 12, 13 },
			{ 2, 3, 4, 7 },
			{ 2, 3, 4, 5, 12 },
			2,
			false },
	[OTLP_R1_4] = { { 1, 2, 11, 12, 13, 14, 17, 5 },
			{ 3, 4, 6, 10, 7, 8, 9, 0 },
			{ 1, 2, 0, 3, 4, 5, 6 },
			{ 1, 2, 3, 5 },
			{ 1, 2, 3, 4, 5 },
			1,
			false },
	[OTLP_R1_5] = { { 1, 2, 11, 12, 13, 14, 17, 5 },
			{ 3, 4, 6, 10, 7, 8, 9, 0 },
			{ 1, 2, 0, 3, 4, 5, 6 },
			{ 1, 2, 3, 5 },
			{ 1, 2, 3, 4, 5 },
			1,
			false },
	[OTLP_R1_6] = { { 1, 2, 4, 5, 6, 7, 10, 3 },
			{ 2, 3, 4, 6, 7, 8, 5, 0 },
			{ 1, 2, 0, 3, 4, 5, 6 },
			{ 1, 2, 3, 5 },
			{ 1, 2, 3, 4, 5 },
			1,
			false },
	[OTLP_R1_7] = { { 1, 2, 4, 5, 6, 7, 10, 3 },
			{ 1, 2, 3, 5, 6, 7, 4, 0 },
			{ 1, 2, 0, 3, 4, 5, 6 },
			{ 1, 2, 3, 5 },
			{ 1, 2, 3, 4, 5 },
			1,
			false },
	[OTLP_R1_8] = { { 1, 2, 3, 4, 5, 6, 8, 0 },
			{ 1, 2, 3, 5, 6, 0, 4, 7 },
			{ 0, 0, 1, 2, 3, 4, 5 },
			{ 1, 2, 3, 4 },
			{ 1, 2, 3, 4, 5 },
			1,
			true },
	[OTLP_R1_9] = { { 1, 2, 3, 4, 5, 6, 7, 0 },
			{ 1, 2, 3, 5, 6, 0, 4, 7 },
			{ 0, 0, 1, 2, 3, 4, 5 },
			{ 1, 2, 3, 4 },
			{ 1, 2, 3, 4, 5 },
			1,
			true },
	[OTLP_R1_10] = { { 1, 2, 3, 4, 5, 6, 7, 0 },
			 { 1, 2, 3, 5, 6, 0, 4, 7 },
			 { 0, 0, 1, 4, 2, 3, 5 },
			 { 1, 2, 3, 4 },
			 { 1, 2, 3, 4, 5 },
			 1,
			 true },
};

struct maker {
	enum otlp_revision revision;
	unsigned flags;
	const struct numbers *numbers;
};

static bool is_old(const struct maker *maker)
{
	return maker->revision <= OTLP_R1_7;
}

/* ---- the model --------------------------------------------------------------------------------
 */

static const char *const texts[] = {
	"",
	"samples",
	"count",
	"cpu",
	"nanoseconds",
	"off_cpu",
	"alloc_space",
	"bytes",
	"prog",
	"vmlinux",
	"main",
	"main.c",
	"work",
	"_Zwork",
	"work.c",
	"inner",
	"work.h",
	"vfs_read",
	"run",
	"app.py",
	"thread.name",
	"thread.id",
	"latency",
	"ms",
	"worker",
	"process.executable.build_id.gnu",
	"0102030405",
	"profile.frame.type",
	"native",
	"kernel",
	"cpython",
	"aabbccdd",
};

static uint64_t text_number(const char *text)
{
	uint64_t number = 0;

	while (strcmp(texts[number], text) != 0) {
		number++;
		assert(number < sizeof(texts) / sizeof(texts[0]));
	}
	return number;
}

enum { TYPE_TEXT, TYPE_INTEGER, TYPE_NUMBER };

/* Numbers below are places in these tables, from 1; 0 is nothing. */
static const struct {
	const char *key, *text;
	int64_t integer;
	double number;
	const char *unit;
	int type;
} attributes[] = {
	{ "process.executable.build_id.gnu", "0102030405", 0, 0, NULL, TYPE_TEXT },
	{ "process.executable.build_id.gnu", "aabbccdd", 0, 0, NULL, TYPE_TEXT },
	{ "profile.frame.type", "native", 0, 0, NULL, TYPE_TEXT },
	{ "profile.frame.type", "kernel", 0, 0, NULL, TYPE_TEXT },
	{ "profile.frame.type", "cpython", 0, 0, NULL, TYPE_TEXT },
	{ "thread.name", "worker", 0, 0, NULL, TYPE_TEXT },
	{ "thread.id", NULL, 7, 0, NULL, TYPE_INTEGER },
	{ "latency", NULL, 0, 1.5, "ms", TYPE_NUMBER },
};

static const struct {
	uint64_t start, limit, offset;
	const char *file;
	uint64_t attribute;
} mappings[] = {
	{ 0x1000, 0x9000, 0x400, "prog", 1 },
	{ 0, 0, 0, "vmlinux", 2 },
};

static const struct {
	const char *name, *system_name, *file;
	uint64_t start_line;
} functions[] = {
	{ "main", "", "main.c", 3 },  { "work", "_Zwork", "work.c", 20 },
	{ "inner", "", "work.h", 0 }, { "vfs_read", "", "", 0 },
	{ "run", "", "app.py", 1 },
};

static const struct {
	uint64_t mapping, address;
	struct {
		uint64_t function, line, column;
	} lines[2];
	uint64_t attribute;
} locations[] = {
	{ 1, 0x2340, { { 0 } }, 3 },	    { 1, 0x3000, { { 3, 22, 7 }, { 2, 30, 0 } }, 3 },
	{ 2, 0x77, { { 4, 0, 0 } }, 4 },    { 0, 0, { { 5, 5, 2 } }, 5 },
	{ 1, 0x3100, { { 1, 10, 0 } }, 3 },
};

static const struct {
	uint64_t places[3];
	size_t count;
} stacks[] = { { { 3, 2, 5 }, 3 }, { { 1, 5 }, 2 }, { { 4 }, 1 } };

/* Times are ms behind the start of the profile. */
static const struct {
	int profile; /* of a process: 0, 1, 2 */
	uint64_t stack;
	uint64_t attributes[3];
	size_t attribute_count;
	uint64_t link;
	uint64_t values[2];
	size_t value_count;
	uint64_t times[TIME_COUNT_MAX];
	size_t time_count;
} samples[] = {
	{ 0, 1, { 6, 7 }, 2, 0, { 0 }, 0, { 50, 250, 900 }, 3 },
	{ 0, 2, { 6 }, 1, 1, { 0 }, 0, { 100 }, 1 },
	{ 0, 3, { 6, 7, 8 }, 3, 0, { 0 }, 0, { 150, 200 }, 2 },
	{ 1, 2, { 6 }, 1, 0, { 100000, 200000 }, 2, { 300, 400 }, 2 },
	{ 2, 1, { 0 }, 0, 0, { 4096 }, 1, { 0 }, 0 },
};

static const struct {
	const char *type, *unit, *period_type, *period_unit;
	uint64_t period;
} profiles[] = {
	{ "samples", "count", "cpu", "nanoseconds", 50000000 },
	{ "off_cpu", "nanoseconds", NULL, NULL, 0 },
	{ "alloc_space", "bytes", NULL, NULL, 0 },
};

static const char trace_id[16] = "trace-of-sixteen";
static const char span_id[8] = "-span-id";

/* ---- writing ----------------------------------------------------------------------------------
 */

static void add_part(struct buf *buf, unsigned field, const struct buf *part)
{
	if (part->error)
		buf->error = part->error;
	pprof_sized(buf, field, (struct str){ (const char *)part->bytes, part->size });
}

static void add_nonzero(struct buf *buf, unsigned field, uint64_t value)
{
	if (field > 0 && value > 0)
		pprof_number(buf, field, value);
}

static void add_list(const struct maker *maker, struct buf *buf, unsigned field,
		     const uint64_t *values, size_t count)
{
	if (!(maker->flags & OTLP_MAKER_UNPACKED)) {
		if (count > 0)
			pprof_list(buf, field, values, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		pprof_number(buf, field, values[i]);
}

static void add_times(const struct maker *maker, struct buf *buf, unsigned field,
		      const uint64_t *values, size_t count)
{
	autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

	if (!maker->numbers->is_fixed) {
		add_list(maker, buf, field, values, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (maker->flags & OTLP_MAKER_UNPACKED) {
			buf_add_varint(buf, (uint64_t)field << 3 | 1);
			buf_add_u64(buf, values[i]);
		} else {
			buf_add_u64(&part, values[i]);
		}
	}
	if (part.size > 0)
		add_part(buf, field, &part);
}

/* A varint, eight bytes, some bytes, four bytes and a group with one within, of numbers that
 * nobody has. */
static void add_unknown(const struct maker *maker, struct buf *buf)
{
	enum { NUMBER = 1000, START = 3, END = 4 };

	if (!(maker->flags & OTLP_MAKER_UNKNOWN))
		return;
	pprof_number(buf, NUMBER, 7);
	buf_add_varint(buf, NUMBER << 3 | 1);
	buf_add_u64(buf, 7);
	pprof_sized(buf, NUMBER, STR("seven"));
	buf_add_varint(buf, NUMBER << 3 | 5);
	buf_add_u32(buf, 7);
	buf_add_varint(buf, NUMBER << 3 | START);
	pprof_sized(buf, 1, STR("within"));
	buf_add_varint(buf, (NUMBER + 1) << 3 | START);
	buf_add_varint(buf, (NUMBER + 1) << 3 | END);
	buf_add_varint(buf, NUMBER << 3 | END);
}

/* The place of an entry of a table: old revisions count from 0 without one that is nothing. */
static uint64_t place_of(const struct maker *maker, uint64_t number)
{
	assert(number > 0);
	return is_old(maker) ? number - 1 : number;
}

static void add_places(const struct maker *maker, struct buf *buf, unsigned field,
		       const uint64_t *numbers, size_t count)
{
	uint64_t places[8];

	assert(count <= 8);
	for (size_t i = 0; i < count; i++)
		places[i] = place_of(maker, numbers[i]);
	add_list(maker, buf, field, places, count);
}

/* ---- tables -----------------------------------------------------------------------------------
 */

static void add_value(struct buf *buf, unsigned field, size_t number)
{
	autoclean(buf) struct buf value = BUF(PART_SIZE_MAX);
	uint64_t bits;

	if (attributes[number].type == TYPE_TEXT) {
		pprof_sized(&value, 1, str_from(attributes[number].text));
	} else if (attributes[number].type == TYPE_INTEGER) {
		pprof_number(&value, 3, (uint64_t)attributes[number].integer);
	} else {
		memcpy(&bits, &attributes[number].number, sizeof(bits));
		buf_add_varint(&value, 4 << 3 | 1);
		buf_add_u64(&value, bits);
	}
	add_part(buf, field, &value);
}

static void add_attributes(const struct maker *maker, struct buf *tables)
{
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);
		const char *unit = attributes[i].unit;

		if (is_old(maker))
			pprof_sized(&part, 1, str_from(attributes[i].key));
		else
			pprof_number(&part, 1, text_number(attributes[i].key));
		add_value(&part, 2, i);
		if (unit && !is_old(maker))
			pprof_number(&part, 3, text_number(unit));
		add_unknown(maker, &part);
		add_part(tables, maker->numbers->table.attribute, &part);
		if (unit && is_old(maker)) {
			autoclean(buf) struct buf pair = BUF(PART_SIZE_MAX);

			pprof_number(&pair, 1, text_number(attributes[i].key));
			pprof_number(&pair, 2, text_number(unit));
			add_part(tables, maker->numbers->table.unit, &pair);
		}
	}
}

static void add_mappings(const struct maker *maker, struct buf *tables)
{
	for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
		autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

		add_nonzero(&part, maker->numbers->mapping.start, mappings[i].start);
		add_nonzero(&part, maker->numbers->mapping.limit, mappings[i].limit);
		add_nonzero(&part, maker->numbers->mapping.offset, mappings[i].offset);
		pprof_number(&part, maker->numbers->mapping.file, text_number(mappings[i].file));
		add_places(maker, &part, maker->numbers->mapping.attribute, &mappings[i].attribute,
			   1);
		add_part(tables, maker->numbers->table.mapping, &part);
	}
}

static void add_functions(const struct maker *maker, struct buf *tables)
{
	unsigned name = maker->numbers->function_name;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

		pprof_number(&part, name, text_number(functions[i].name));
		add_nonzero(&part, name + 1, text_number(functions[i].system_name));
		add_nonzero(&part, name + 2, text_number(functions[i].file));
		add_nonzero(&part, name + 3, functions[i].start_line);
		add_unknown(maker, &part);
		add_part(tables, maker->numbers->table.function, &part);
	}
}

static void add_locations(const struct maker *maker, struct buf *tables)
{
	for (size_t i = 0; i < sizeof(locations) / sizeof(locations[0]); i++) {
		autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

		/* 1.3 can't say that there is none: one beyond the table. */
		if (locations[i].mapping > 0)
			pprof_number(&part, maker->numbers->location.mapping,
				     place_of(maker, locations[i].mapping));
		else if (maker->revision == OTLP_R1_3)
			pprof_number(&part, maker->numbers->location.mapping, 99);
		add_nonzero(&part, maker->numbers->location.address, locations[i].address);
		for (size_t k = 0; k < 2 && locations[i].lines[k].function > 0; k++) {
			autoclean(buf) struct buf line = BUF(PART_SIZE_MAX);

			pprof_number(&line, 1, place_of(maker, locations[i].lines[k].function));
			add_nonzero(&line, 2, locations[i].lines[k].line);
			add_nonzero(&line, 3, locations[i].lines[k].column);
			add_part(&part, maker->numbers->location.line, &line);
		}
		add_places(maker, &part, maker->numbers->location.attribute,
			   &locations[i].attribute, 1);
		add_unknown(maker, &part);
		add_part(tables, maker->numbers->table.location, &part);
	}
}

static void add_stacks(const struct maker *maker, struct buf *tables)
{
	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
		autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

		add_places(maker, &part, 1, stacks[i].places, stacks[i].count);
		add_part(tables, maker->numbers->table.stack, &part);
	}
}

static void add_nothing(const struct maker *maker, struct buf *tables)
{
	const unsigned numbers[] = {
		maker->numbers->table.mapping,	 maker->numbers->table.location,
		maker->numbers->table.function,	 maker->numbers->table.link,
		maker->numbers->table.attribute, maker->numbers->table.stack,
	};

	for (size_t i = 0; !is_old(maker) && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		pprof_sized(tables, numbers[i], STR(""));
}

/* The first half: texts, and what names them; the second: what names that. */
static void add_tables(const struct maker *maker, struct buf *first, struct buf *second)
{
	autoclean(buf) struct buf link = BUF(PART_SIZE_MAX);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		pprof_sized(first, maker->numbers->table.string, str_from(texts[i]));
	add_nothing(maker, first);
	add_attributes(maker, first);
	add_mappings(maker, first);
	add_functions(maker, first);
	add_locations(maker, second);
	/* In 1.3 0 is no link, so that one goes before ours. */
	if (maker->revision == OTLP_R1_3)
		pprof_sized(second, maker->numbers->table.link, STR(""));
	pprof_sized(&link, 1, (struct str){ trace_id, sizeof(trace_id) });
	pprof_sized(&link, 2, (struct str){ span_id, sizeof(span_id) });
	add_part(second, maker->numbers->table.link, &link);
	if (!is_old(maker))
		add_stacks(maker, second);
}

/* ---- profiles ---------------------------------------------------------------------------------
 */

static void add_type(struct buf *buf, unsigned field, const char *type, const char *unit)
{
	autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

	pprof_number(&part, 1, text_number(type));
	pprof_number(&part, 2, text_number(unit));
	add_part(buf, field, &part);
}

static void add_stack(const struct maker *maker, size_t number, struct buf *sample)
{
	uint64_t start = 0;

	if (!is_old(maker)) {
		pprof_number(sample, maker->numbers->sample.stack, number);
		return;
	}
	for (size_t i = 0; i + 1 < number; i++)
		start += stacks[i].count;
	add_nonzero(sample, maker->numbers->sample.start, start);
	pprof_number(sample, maker->numbers->sample.length, stacks[number - 1].count);
}

static void add_sample(const struct maker *maker, size_t number, uint64_t base_ns, struct buf *buf)
{
	autoclean(buf) struct buf sample = BUF(PART_SIZE_MAX);
	uint64_t times[TIME_COUNT_MAX];
	uint64_t one = maker->flags & OTLP_MAKER_SUMS ? samples[number].time_count : 1;

	for (size_t i = 0; i < samples[number].time_count; i++)
		times[i] = base_ns + samples[number].times[i] * 1000000;
	add_stack(maker, samples[number].stack, &sample);
	if (is_old(maker) && samples[number].value_count == 0)
		add_list(maker, &sample, maker->numbers->sample.value, &one, 1);
	add_list(maker, &sample, maker->numbers->sample.value, samples[number].values,
		 samples[number].value_count);
	add_places(maker, &sample, maker->numbers->sample.attribute, samples[number].attributes,
		   samples[number].attribute_count);
	if (samples[number].link > 0)
		pprof_number(&sample, maker->numbers->sample.link,
			     maker->revision == OTLP_R1_3 ? 1
							  : place_of(maker, samples[number].link));
	add_times(maker, &sample, maker->numbers->sample.time, times, samples[number].time_count);
	add_unknown(maker, &sample);
	add_part(buf, maker->numbers->profile.sample, &sample);
}

static void add_fixed(struct buf *buf, unsigned field, uint64_t value)
{
	buf_add_varint(buf, (uint64_t)field << 3 | 1);
	buf_add_u64(buf, value);
}

static void add_profile_id(const struct maker *maker, int process, int number, struct buf *buf)
{
	char id[16] = "id-of-a-profile";

	id[15] = (char)('A' + 3 * process + number);
	if (maker->revision == OTLP_R1_3)
		pprof_sized(buf, 1, (struct str){ id, sizeof(id) });
	else
		pprof_sized(buf, maker->numbers->profile.id, (struct str){ id, sizeof(id) });
}

static void add_places_of_stacks(const struct maker *maker, struct buf *profile)
{
	uint64_t places[8];
	size_t count = 0;

	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++)
		for (size_t k = 0; k < stacks[i].count; k++)
			places[count++] = stacks[i].places[k];
	add_places(maker, profile, maker->numbers->profile.places, places, count);
}

static void add_profile(const struct maker *maker, int process, int number, struct buf *scope)
{
	const struct numbers *numbers = maker->numbers;
	autoclean(buf) struct buf profile = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf container = BUF(PART_SIZE_MAX);
	uint64_t start_ns = OTLP_MAKER_TIME_NS;
	uint64_t duration_ns = 1000000000;

	add_type(&profile, numbers->profile.type, profiles[number].type, profiles[number].unit);
	if (maker->revision <= OTLP_R1_5 && (maker->flags & OTLP_MAKER_TABLES_FIRST))
		add_tables(maker, &profile, &profile);
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		if (samples[i].profile == number)
			add_sample(maker, i, start_ns, &profile);
	if (is_old(maker))
		add_places_of_stacks(maker, &profile);
	if (maker->revision <= OTLP_R1_5 && !(maker->flags & OTLP_MAKER_TABLES_FIRST))
		add_tables(maker, &profile, &profile);
	if (numbers->is_fixed)
		add_fixed(&profile, numbers->profile.time, start_ns);
	else
		add_nonzero(&profile, numbers->profile.time, start_ns);
	add_nonzero(&profile, numbers->profile.duration, duration_ns);
	if (profiles[number].period_type)
		add_type(&profile, numbers->profile.period_type, profiles[number].period_type,
			 profiles[number].period_unit);
	add_nonzero(&profile, numbers->profile.period, profiles[number].period);
	add_unknown(maker, &profile);
	if (maker->revision != OTLP_R1_3) {
		add_profile_id(maker, process, number, &profile);
		add_part(scope, 2, &profile);
		return;
	}
	add_profile_id(maker, process, number, &container);
	add_fixed(&container, 2, start_ns);
	add_fixed(&container, 3, start_ns + duration_ns);
	add_part(&container, 8, &profile);
	add_part(scope, 2, &container);
}

static void add_key_value(struct buf *buf, unsigned field, const char *key, const char *text,
			  uint64_t number)
{
	autoclean(buf) struct buf value = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf pair = BUF(PART_SIZE_MAX);

	if (text)
		pprof_sized(&value, 1, str_from(text));
	else
		pprof_number(&value, 3, number);
	pprof_sized(&pair, 1, str_from(key));
	add_part(&pair, 2, &value);
	add_part(buf, field, &pair);
}

static void add_process(const struct maker *maker, int process, struct buf *request)
{
	autoclean(buf) struct buf resource = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf scope = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf scope_profiles = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf resource_profiles = BUF(PART_SIZE_MAX);
	char name[16];

	snprintf(name, sizeof(name), "prog-%d", process);
	add_key_value(&resource, 1, "process.pid", NULL, 101 + (uint64_t)process);
	add_key_value(&resource, 1, "process.executable.name", name, 0);
	if (process == 1)
		add_key_value(&resource, 1, "service.name", "shop", 0);
	add_unknown(maker, &resource);
	add_part(&resource_profiles, 1, &resource);
	pprof_sized(&scope, 1, STR("profiler"));
	pprof_sized(&scope, 2, STR("v1"));
	add_part(&scope_profiles, 1, &scope);
	for (int number = 0; number < 3; number++)
		add_profile(maker, process, number, &scope_profiles);
	add_unknown(maker, &scope_profiles);
	add_part(&resource_profiles, 2, &scope_profiles);
	pprof_sized(&resource_profiles, 3, STR("https://opentelemetry.io/schemas/1.37.0"));
	add_part(request, 1, &resource_profiles);
}

static void add_dictionary(const struct maker *maker, struct buf *request)
{
	autoclean(buf) struct buf first = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf second = BUF(PART_SIZE_MAX);
	bool is_split = maker->flags & OTLP_MAKER_TABLES_SPLIT;

	if (maker->revision <= OTLP_R1_5)
		return;
	if (maker->revision == OTLP_R1_6) {
		add_tables(maker, request, request);
		return;
	}
	add_tables(maker, &first, is_split ? &second : &first);
	add_part(request, 2, &first);
	if (is_split)
		add_part(request, 2, &second);
}

void otlp_make(enum otlp_revision revision, unsigned flags, struct buf *buf)
{
	struct maker maker = { revision, flags, &revisions[revision] };

	assert(revision > OTLP_REVISION_NONE && revision < OTLP_REVISION_COUNT);
	if (flags & OTLP_MAKER_TABLES_FIRST)
		add_dictionary(&maker, buf);
	for (int process = 0; process < OTLP_MAKER_PROCESS_COUNT; process++)
		add_process(&maker, process, buf);
	if (!(flags & OTLP_MAKER_TABLES_FIRST))
		add_dictionary(&maker, buf);
	add_unknown(&maker, buf);
}

/* ---- a large one ------------------------------------------------------------------------------
 */

enum {
	LARGE_FUNCTION_COUNT = 4000,
	LARGE_DEPTH = 24,
	LARGE_PROCESS_COUNT = 40,
	STEADY_PROCESS_COUNT = 4,
	LARGE_THREAD_COUNT = 8, /* attributes 1 to 16: a name and an id each */
	LARGE_STACK_COUNT = 3000,
	LARGE_TABLES_SIZE = 620 << 10,
	LARGE_SAMPLE_SIZE = 21,
};

static uint64_t draw(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void add_large_tables(uint64_t *state, struct buf *tables)
{
	static const char *const keys[] = { "",		 "samples",	"count",
					    "cpu",	 "nanoseconds", "thread.name",
					    "thread.id", "a/file.c" };
	enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

	for (size_t i = 0; i < KEY_COUNT; i++)
		pprof_sized(tables, 5, str_from(keys[i]));
	for (uint64_t i = 0; i < LARGE_FUNCTION_COUNT; i++) {
		autoclean(buf) struct buf name = BUF(PART_SIZE_MAX);
		autoclean(buf) struct buf function = BUF(PART_SIZE_MAX);
		autoclean(buf) struct buf location = BUF(PART_SIZE_MAX);
		autoclean(buf) struct buf line = BUF(PART_SIZE_MAX);

		buf_printf(&name,
			   "company::service::package_of_some_length::Class<int, std::string>"
			   "::function_%u(const Request &)",
			   (unsigned)i);
		pprof_sized(tables, 5, (struct str){ (char *)name.bytes, name.size });
		if (i > 0) {
			pprof_number(&function, 1, KEY_COUNT + i);
			pprof_number(&function, 3, 7);
			pprof_number(&line, 1, i);
			pprof_number(&line, 2, i);
			add_part(&location, 3, &line);
		}
		add_part(tables, 3, &function);
		add_part(tables, 2, &location);
	}
	pprof_sized(tables, 6, STR(""));
	for (int i = 0; i < LARGE_THREAD_COUNT; i++) {
		autoclean(buf) struct buf value = BUF(PART_SIZE_MAX);
		autoclean(buf) struct buf name = BUF(PART_SIZE_MAX);
		autoclean(buf) struct buf id = BUF(PART_SIZE_MAX);
		autoclean(buf) struct buf number = BUF(PART_SIZE_MAX);

		buf_printf(&name, "worker-%d", i);
		pprof_sized(&value, 1, (struct str){ (char *)name.bytes, name.size });
		buf_clear(&name);
		pprof_number(&name, 1, 5);
		add_part(&name, 2, &value);
		add_part(tables, 6, &name);
		pprof_number(&number, 3, 1000 + (uint64_t)i);
		pprof_number(&id, 1, 6);
		add_part(&id, 2, &number);
		add_part(tables, 6, &id);
	}
	pprof_sized(tables, 7, STR(""));
	for (size_t i = 1; i < LARGE_STACK_COUNT; i++) {
		autoclean(buf) struct buf stack = BUF(PART_SIZE_MAX);
		uint64_t places[LARGE_DEPTH];

		/* The roots are few, and the leaves many. */
		for (uint64_t k = 0; k < LARGE_DEPTH; k++)
			places[k] = 1 + draw(state) % (LARGE_FUNCTION_COUNT - 1) / (1 + k * k);
		pprof_list(&stack, 1, places, LARGE_DEPTH);
		add_part(tables, 7, &stack);
	}
}

static void add_large_process(uint64_t process, size_t count, unsigned times, uint64_t time_ns,
			      uint64_t *state, struct buf *request)
{
	autoclean(buf) struct buf resource = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf scope = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf profile = BUF(PART_SIZE_MAX);
	autoclean(buf) struct buf all = BUF(PART_SIZE_MAX);
	char name[24];

	snprintf(name, sizeof(name), "service-%u", (unsigned)process);
	add_key_value(&resource, 1, "service.name", name, 0);
	pprof_sized(&profile, 1, STR("\x08\x01\x10\x02"));
	for (size_t i = 0; i < count; i++) {
		autoclean(buf) struct buf sample = BUF(PART_SIZE_MAX);
		uint64_t thread = draw(state) % LARGE_THREAD_COUNT;
		uint64_t indices[] = { 1 + 2 * thread, 2 + 2 * thread };

		pprof_number(&sample, 1, 1 + draw(state) % (LARGE_STACK_COUNT - 1));
		pprof_list(&sample, 2, indices, 2);
		buf_add_varint(&sample, 5 << 3 | 2);
		buf_add_varint(&sample, 8 * (uint64_t)times);
		for (unsigned k = 0; k < times; k++)
			buf_add_u64(&sample, time_ns + draw(state) % 5000 * UINT64_C(1000000));
		add_part(&profile, 2, &sample);
	}
	add_fixed(&profile, 3, time_ns);
	pprof_number(&profile, 4, UINT64_C(5000000000));
	pprof_sized(&profile, 5, STR("\x08\x03\x10\x04"));
	pprof_number(&profile, 6, 50000000);
	add_part(&scope, 2, &profile);
	add_part(&all, 1, &resource);
	add_part(&all, 2, &scope);
	add_part(request, 1, &all);
}

static void make_large(size_t size, uint64_t processes, unsigned times, uint64_t seed,
		       uint64_t time_ns, struct buf *buf)
{
	autoclean(buf) struct buf tables = BUF(PART_SIZE_MAX);
	uint64_t state = seed;
	uint64_t program = 1; /* the same for all seeds */
	size_t sample_size = LARGE_SAMPLE_SIZE + 8 * (size_t)(times - 1);
	size_t sample_count =
		size > LARGE_TABLES_SIZE ? (size - LARGE_TABLES_SIZE) / sample_size : 100;

	add_large_tables(&program, &tables);
	for (uint64_t process = 0; process < processes; process++)
		add_large_process(process, 1 + sample_count / processes, times, time_ns, &state,
				  buf);
	add_part(buf, 2, &tables);
}

void otlp_make_large(size_t size, uint64_t seed, uint64_t time_ns, struct buf *buf)
{
	make_large(size, LARGE_PROCESS_COUNT, 1, seed, time_ns, buf);
}

void otlp_make_steady(size_t size, uint64_t seed, uint64_t time_ns, struct buf *buf)
{
	make_large(size, STEADY_PROCESS_COUNT, OTLP_MAKER_STEADY_TIMES, seed, time_ns, buf);
}

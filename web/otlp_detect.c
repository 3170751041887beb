/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_detect.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "web/otlp_wire.h"

/*
 * Messages whose fields are told apart, by where they stand; numbers below are those of the wire.
 * Every revision keeps 1: resources, 2: scopes, 2: profiles, 2: samples.
 */
enum place {
	PLACE_REQUEST,
	PLACE_PROFILE, /* what stands in a scope; of 1.3 a container */
	PLACE_SAMPLE,
	PLACE_ATTRIBUTE, /* dictionary, 6 */
	PLACE_SEVEN,	 /* dictionary, 7: units or stacks */
	PLACE_VALUE_TYPE,
	PLACE_KEY_VALUE, /* of resources and scopes */
	PLACE_COUNT,
};

enum {
	TYPE_COUNT = 6,
	/* What tells whether a sender still speaks as it did before: resources and samples. */
	BRIEF_RESOURCE_COUNT = 32,
	BRIEF_SAMPLE_COUNT = 256,
};

/* Years: no duration is so long, and no time so early. */
#define TIME_NS_MIN UINT64_C(100000000000000000)

struct detection;

typedef int look_at(struct detection *detection, struct str message);

/* What the numbers in samples would be, were they indices of attributes. */
struct keys_told {
	uint64_t of_samples, of_others, other; /* by their keys */
	uint64_t referenced, orphans;	       /* by whether something else has them */
};

struct detection {
	struct str bytes;
	enum otlp_revision believed;
	bool is_brief; /* looks at the first resources and at no table */
	struct otlp_finding *finding;
	char *reason;
	uint64_t seen[PLACE_COUNT][TYPE_COUNT]; /* bit: the field's number */
	bool has_time_4, has_time_11;		/* varints that can only be times */
	bool has_many_10;			/* of one profile: texts */
	bool has_id_7, has_other_7;		/* sized, as an id is or is not */
	bool samples_repeat;			/* a number field occurs twice in one sample */
	uint64_t samples;

	/* For the last resort: attributes, and who refers to them. */
	ARRAY(struct str) attributes;
	ARRAY(struct str) strings;
	uint8_t *is_referenced; /* by others than samples */
	bool has_tables;	/* these three */
	struct keys_told keys;
	look_at *ask; /* each sample */
};

static bool has(const struct detection *detection, enum place place, unsigned number,
		enum otlp_wire_type type)
{
	return detection->seen[place][type] >> number & 1;
}

static void note(struct detection *detection, enum place place, const struct otlp_wire_field *field)
{
	if (field->number < 64)
		detection->seen[place][field->type] |= UINT64_C(1) << field->number;
}

__attribute__((format(printf, 2, 3))) static int refuse(struct detection *detection,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(detection->reason, OTLP_ERROR_SIZE, format, args);
	va_end(args);
	return -EBADMSG;
}

__attribute__((format(printf, 3, 4))) static int
decide(struct detection *detection, enum otlp_revision revision, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(detection->finding->why, OTLP_ERROR_SIZE, format, args);
	va_end(args);
	detection->finding->revision = revision;
	return 0;
}

/* ---- walking ----------------------------------------------------------------------------------
 */

static int broken(struct detection *detection, struct str message)
{
	return refuse(detection,
		      "byte %zu: this is no message of protobuf, or it is cut short "
		      "(in a piece of %zu bytes)",
		      message.size ? (size_t)(message.text - detection->bytes.text) : 0,
		      message.size);
}

/* Each sized field of this number. */
static int each(struct detection *detection, struct str message, uint64_t number, look_at *look)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	int more;
	int err = 0;

	while (!err && (more = otlp_wire_next(&wire, &field)) != 0) {
		if (more < 0)
			return broken(detection, message);
		if (field.number == number && field.type == OTLP_WIRE_SIZED)
			err = look(detection, field.bytes);
	}
	return err;
}

/* Notes what there is; what is no message is not looked into any further. */
static void note_all(struct detection *detection, enum place place, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;

	while (otlp_wire_next(&wire, &field) > 0)
		note(detection, place, &field);
}

static bool samples_tell(const struct detection *detection)
{
	return has(detection, PLACE_SAMPLE, 3, OTLP_WIRE_SIZED) ||
	       has(detection, PLACE_SAMPLE, 4, OTLP_WIRE_VARINT) ||
	       has(detection, PLACE_SAMPLE, 3, OTLP_WIRE_VARINT) ||
	       has(detection, PLACE_SAMPLE, 4, OTLP_WIRE_SIZED);
}

static int look_at_sample(struct detection *detection, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	uint64_t numbers = 0;
	int more;

	detection->samples++;
	while ((more = otlp_wire_next(&wire, &field)) > 0) {
		uint64_t bit = field.number < 64 ? UINT64_C(1) << field.number : 0;

		if (field.type == OTLP_WIRE_VARINT && (numbers & bit))
			detection->samples_repeat = true;
		if (field.type == OTLP_WIRE_VARINT)
			numbers |= bit;
		note(detection, PLACE_SAMPLE, &field);
	}
	return more < 0 ? broken(detection, message) : 0;
}

/* Once they tell what they can, a few of each profile do. looked: at those before, of this one. */
static bool asks_sample(const struct detection *detection, uint64_t looked)
{
	return detection->is_brief ? detection->samples < BRIEF_SAMPLE_COUNT
				   : !samples_tell(detection) || looked < 8;
}

static int look_at_profile(struct detection *detection, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	unsigned tens = 0;
	uint64_t looked = 0;
	int more;
	int err = 0;

	while (!err && (more = otlp_wire_next(&wire, &field)) != 0) {
		if (more < 0)
			return broken(detection, message);
		note(detection, PLACE_PROFILE, &field);
		if (field.type == OTLP_WIRE_VARINT && field.value > TIME_NS_MIN) {
			detection->has_time_4 |= field.number == 4;
			detection->has_time_11 |= field.number == 11;
		}
		if (field.type != OTLP_WIRE_SIZED)
			continue;
		if (field.number == 1)
			note_all(detection, PLACE_VALUE_TYPE, field.bytes);
		if (field.number == 2 && asks_sample(detection, looked)) {
			err = look_at_sample(detection, field.bytes);
			looked += samples_tell(detection);
		} else if (field.number == 2) {
			detection->samples++;
		}
		if (field.number == 7) {
			detection->has_id_7 |= field.bytes.size == 0 || field.bytes.size == 16;
			detection->has_other_7 |= field.bytes.size != 0 && field.bytes.size != 16;
		}
		tens += field.number == 10;
	}
	detection->has_many_10 |= tens > 1;
	return err;
}

static int look_at_key_value(struct detection *detection, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;

	while (otlp_wire_next(&wire, &field) > 0) {
		if (field.number == 3 && field.value > 0)
			note(detection, PLACE_KEY_VALUE, &field);
		if (field.number == 2 && field.type == OTLP_WIRE_SIZED) {
			struct otlp_wire inner = otlp_wire_from(field.bytes);

			while (otlp_wire_next(&inner, &field) > 0)
				if (field.number == 8)
					note(detection, PLACE_KEY_VALUE, &field);
		}
	}
	return 0;
}

static int look_at_resource(struct detection *detection, struct str message)
{
	return each(detection, message, 1, look_at_key_value);
}

static int look_at_scope(struct detection *detection, struct str message)
{
	return each(detection, message, 3, look_at_key_value);
}

static int look_at_scope_profiles(struct detection *detection, struct str message)
{
	int err = each(detection, message, 1, look_at_scope);

	return err ? err : each(detection, message, 2, look_at_profile);
}

static int look_at_resource_profiles(struct detection *detection, struct str message)
{
	int err = each(detection, message, 1, look_at_resource);

	return err ? err : each(detection, message, 2, look_at_scope_profiles);
}

static void skip_same(struct otlp_wire *wire, uint8_t tag)
{
	struct str bytes;

	while (otlp_wire_same(wire, tag, &bytes))
		;
}

/* In 1.6 this number is a mapping's, in which nothing of this is found. */
static void look_at_dictionary(struct detection *detection, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;

	while (otlp_wire_next(&wire, &field) > 0) {
		if (field.type != OTLP_WIRE_SIZED)
			continue;
		if (field.number == 6)
			note_all(detection, PLACE_ATTRIBUTE, field.bytes);
		else if (field.number == 7)
			note_all(detection, PLACE_SEVEN, field.bytes);
		else if (field.number < 16)
			skip_same(&wire, (uint8_t)(field.number << 3 | OTLP_WIRE_SIZED));
	}
}

static int look(struct detection *detection)
{
	struct otlp_wire wire = otlp_wire_from(detection->bytes);
	struct otlp_wire_field field;
	uint64_t looked = 0;
	int more;
	int err = 0;

	while (!err && (more = otlp_wire_next(&wire, &field)) != 0) {
		if (more < 0)
			return broken(detection, detection->bytes);
		note(detection, PLACE_REQUEST, &field);
		if (field.type != OTLP_WIRE_SIZED)
			continue;
		if (field.number == 1 && (!detection->is_brief || looked++ < BRIEF_RESOURCE_COUNT))
			err = look_at_resource_profiles(detection, field.bytes);
		else if (field.number == 2 && !detection->is_brief)
			look_at_dictionary(detection, field.bytes);
	}
	return err;
}

/* ---- 1.9 or 1.10, when fields alone do not tell -----------------------------------------------
 */

static int keep_string(struct detection *detection, struct str text)
{
	if (detection->strings.count >= OTLP_ITEM_COUNT_MAX ||
	    array_reserve(&detection->strings, 1) < 0)
		return -ENOMEM;
	detection->strings.items[detection->strings.count++] = text;
	return 0;
}

static int keep_attribute(struct detection *detection, struct str message)
{
	if (detection->attributes.count >= OTLP_ITEM_COUNT_MAX ||
	    array_reserve(&detection->attributes, 1) < 0)
		return -ENOMEM;
	detection->attributes.items[detection->attributes.count++] = message;
	return 0;
}

static int keep_tables(struct detection *detection, struct str dictionary)
{
	int err = each(detection, dictionary, 5, keep_string);

	return err ? err : each(detection, dictionary, 6, keep_attribute);
}

/* Nearly all requests are told without. */
static int need_tables(struct detection *detection)
{
	int err = 0;

	if (detection->has_tables)
		return 0;
	err = each(detection, detection->bytes, 2, keep_tables);
	if (err)
		return err;
	detection->is_referenced = calloc(detection->attributes.count + 1, 1);
	if (!detection->is_referenced)
		return -ENOMEM;
	detection->has_tables = true;
	return 0;
}

static struct str key_of(const struct detection *detection, uint64_t attribute)
{
	struct otlp_wire wire = otlp_wire_from(detection->attributes.items[attribute]);
	struct otlp_wire_field field;

	while (otlp_wire_next(&wire, &field) > 0)
		if (field.number == 1 && field.type == OTLP_WIRE_VARINT &&
		    field.value < detection->strings.count)
			return detection->strings.items[field.value];
	return (struct str){ 0 };
}

/* Marks what a packed list refers to. */
static void mark_list(struct detection *detection, struct str list)
{
	struct otlp_wire wire = otlp_wire_from(list);
	uint64_t index = 0;

	while (wire.next < wire.end && otlp_wire_varint(&wire, &index))
		if (index < detection->attributes.count)
			detection->is_referenced[index] = 1;
}

static int mark_location(struct detection *detection, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;

	while (otlp_wire_next(&wire, &field) > 0)
		if (field.number == 4 && field.type == OTLP_WIRE_SIZED)
			mark_list(detection, field.bytes);
	return 0;
}

static int mark_mapping(struct detection *detection, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;

	while (otlp_wire_next(&wire, &field) > 0)
		if (field.number == 5 && field.type == OTLP_WIRE_SIZED)
			mark_list(detection, field.bytes);
	return 0;
}

static int mark_tables(struct detection *detection, struct str dictionary)
{
	int err = each(detection, dictionary, 1, mark_mapping);

	return err ? err : each(detection, dictionary, 2, mark_location);
}

/* Of one sample: the numbers of its second field, and how many timestamps it has. */
struct second_field {
	struct str list; /* packed; the last of several */
	uint64_t count, timestamps;
	uint64_t greatest;
	bool is_there, has_zero;
	bool has_repeated;
};

static void read_second(struct str sample, struct second_field *ret)
{
	struct otlp_wire wire = otlp_wire_from(sample);
	struct otlp_wire_field field;
	uint64_t before = 0;
	uint64_t index = 0;

	*ret = (struct second_field){ 0 };
	while (otlp_wire_next(&wire, &field) > 0) {
		if (field.number == 2 && field.type == OTLP_WIRE_SIZED)
			ret->list = field.bytes;
		if (field.number == 5 && field.type == OTLP_WIRE_SIZED)
			ret->timestamps += field.bytes.size / 8;
	}
	wire = otlp_wire_from(ret->list);
	while (wire.next < wire.end && otlp_wire_varint(&wire, &index)) {
		ret->has_zero |= index == 0;
		ret->greatest = index > ret->greatest ? index : ret->greatest;
		ret->has_repeated |= ret->count > 0 && index == before;
		before = index;
		ret->count++;
	}
	ret->is_there = ret->count > 0;
}

enum { TOLD_NOTHING = 0, TOLD_1_9 = 1, TOLD_1_10 = 2 };

/* 1 or 2 as soon as a sample tells. */
static int ask_sample(struct detection *detection, struct str sample)
{
	struct second_field second;
	int err;

	read_second(sample, &second);
	if (!second.is_there)
		return 0;
	if (second.timestamps == 0)
		return TOLD_1_9;
	if (second.count != second.timestamps)
		return TOLD_1_10;
	if (second.has_zero || second.has_repeated)
		return TOLD_1_9;
	/* Whether it is beyond the table. */
	err = need_tables(detection);
	if (err)
		return err;
	return second.greatest >= detection->attributes.count ? TOLD_1_9 : TOLD_NOTHING;
}

static bool is_of_samples(struct str key)
{
	static const struct str keys[] = { { "process.pid", 11 },
					   { "process.executable.name", 23 },
					   { "process.executable.path", 23 },
					   { "service.name", 12 },
					   { "container.id", 12 } };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (str_equal(key, keys[i]))
			return true;
	return str_starts_with(key, STR("thread.")) || str_starts_with(key, STR("cpu.")) ||
	       str_starts_with(key, STR("process.context.label."));
}

static bool is_of_others(struct str key)
{
	return str_starts_with(key, STR("process.executable.build_id.")) ||
	       str_equal(key, STR("profile.frame.type")) || str_starts_with(key, STR("pprof."));
}

static int weigh_sample(struct detection *detection, struct str sample)
{
	struct keys_told *keys = &detection->keys;
	struct second_field second;
	struct otlp_wire wire;
	uint64_t index = 0;

	read_second(sample, &second);
	wire = otlp_wire_from(second.list);
	while (wire.next < wire.end && otlp_wire_varint(&wire, &index)) {
		struct str key = { 0 };

		if (index >= detection->attributes.count)
			continue;
		key = key_of(detection, index);
		keys->of_samples += is_of_samples(key);
		keys->of_others += is_of_others(key);
		keys->other += !is_of_samples(key) && !is_of_others(key);
		keys->referenced += detection->is_referenced[index];
		keys->orphans += !detection->is_referenced[index];
	}
	return 0;
}

static int ask_profile(struct detection *detection, struct str message)
{
	return each(detection, message, 2, detection->ask);
}

static int ask_scope_profiles(struct detection *detection, struct str message)
{
	return each(detection, message, 2, ask_profile);
}

static int ask_resource_profiles(struct detection *detection, struct str message)
{
	return each(detection, message, 2, ask_scope_profiles);
}

static int ask_all(struct detection *detection, look_at *ask)
{
	detection->ask = ask;
	return each(detection, detection->bytes, 1, ask_resource_profiles);
}

/* By keys, then by who else refers to them, then by what the sender was known for. */
static int decide_by_keys(struct detection *detection)
{
	const struct keys_told *keys = &detection->keys;
	int err = need_tables(detection);

	if (!err)
		err = each(detection, detection->bytes, 2, mark_tables);
	if (!err)
		err = ask_all(detection, weigh_sample);
	if (err)
		return err;
	if (keys->of_others > 0)
		return decide(detection, OTLP_R1_9,
			      "field 2 of samples would name attributes of mappings or locations");
	if (keys->of_samples > 0 && keys->other == 0)
		return decide(detection, OTLP_R1_10,
			      "field 2 of samples names attributes that samples have");
	if (keys->referenced > 0 && keys->orphans == 0)
		return decide(detection, OTLP_R1_9,
			      "field 2 of samples would name attributes that others have");
	if (keys->orphans > 0 && keys->referenced == 0)
		return decide(detection, OTLP_R1_10,
			      "field 2 of samples names attributes that nothing else has");
	detection->finding->is_unsure = true;
	if (detection->believed == OTLP_R1_9 || detection->believed == OTLP_R1_10)
		return decide(detection, detection->believed,
			      "1.9 and 1.10 both make sense; it is what this sender sent before");
	return decide(detection, OTLP_R1_10, "1.9 and 1.10 both make sense");
}

static int decide_last(struct detection *detection)
{
	int told = ask_all(detection, ask_sample);

	if (told < 0)
		return told;
	if (told == TOLD_1_9)
		return decide(detection, OTLP_R1_9,
			      "field 2 of a sample can't be indices of attributes");
	if (told == TOLD_1_10)
		return decide(detection, OTLP_R1_10,
			      "field 2 of a sample has not one number for each timestamp");
	return detection->is_brief ? 0 : decide_by_keys(detection);
}

/* ---- 1.9 or 1.10, when lists come one by one --------------------------------------------------
 */

static int vote_sample(struct detection *detection, struct str sample)
{
	struct otlp_wire wire = otlp_wire_from(sample);
	struct otlp_wire_field field;
	uint64_t attributes = detection->attributes.count;

	/* orphans: what 1.10 can't be; referenced: what 1.9 can't be. */
	while (otlp_wire_next(&wire, &field) > 0) {
		bool is_index = field.value > 0 && field.value < attributes;

		if (field.type != OTLP_WIRE_VARINT)
			continue;
		detection->keys.orphans += field.number == 2 && !is_index;
		detection->keys.referenced += field.number == 3 && !is_index;
	}
	return 0;
}

static int decide_unpacked(struct detection *detection)
{
	int err = each(detection, detection->bytes, 2, keep_tables);

	if (!err)
		err = ask_all(detection, vote_sample);
	if (err)
		return err;
	if (detection->keys.orphans > 0 && detection->keys.referenced == 0)
		return decide(detection, OTLP_R1_9,
			      "lists come one by one, and field 2 of a sample is no index");
	detection->finding->is_unsure =
		detection->keys.orphans == 0 && detection->keys.referenced == 0;
	return decide(detection, OTLP_R1_10,
		      "lists come one by one, and field 2 of samples can be indices");
}

/* ---- deciding ---------------------------------------------------------------------------------
 */

static int decide_inner_tables(struct detection *detection)
{
	if (has(detection, PLACE_PROFILE, 2, OTLP_WIRE_64) ||
	    (has(detection, PLACE_PROFILE, 8, OTLP_WIRE_SIZED) &&
	     !has(detection, PLACE_PROFILE, 2, OTLP_WIRE_SIZED)))
		return decide(detection, OTLP_R1_3, "profiles stand in containers");
	if (has(detection, PLACE_PROFILE, 4, OTLP_WIRE_SIZED) || detection->has_many_10 ||
	    detection->has_time_11) {
		if (has(detection, PLACE_PROFILE, 18, OTLP_WIRE_SIZED))
			return decide(detection, OTLP_R1_4,
				      "profiles bring their tables, and have attributes inside");
		return decide(detection, OTLP_R1_5, "profiles bring their tables");
	}
	if (detection->samples == 0)
		return decide(detection, OTLP_REVISION_NONE, "there are no samples");
	return refuse(detection, "there are samples and no tables: neither a dictionary nor tables "
				 "in profiles; 1.6 has no place for them in a request");
}

/* What profiles and the dictionary say, and samples if they are to be asked. */
static const char *find_1_7(const struct detection *detection, bool asks_samples)
{
	if (has(detection, PLACE_PROFILE, 3, OTLP_WIRE_SIZED))
		return "a profile has location indices";
	if (detection->has_time_4)
		return "a profile has its time in field 4";
	if (has(detection, PLACE_PROFILE, 5, OTLP_WIRE_VARINT))
		return "a profile has its duration in field 5";
	if (has(detection, PLACE_PROFILE, 6, OTLP_WIRE_SIZED))
		return "a profile has its period's type in field 6";
	if (has(detection, PLACE_ATTRIBUTE, 1, OTLP_WIRE_SIZED))
		return "an attribute has its key as text";
	/* Field 1 alone is a stack whose locations come one by one. */
	if (has(detection, PLACE_SEVEN, 2, OTLP_WIRE_VARINT))
		return "the dictionary has units of attributes";
	if (!asks_samples)
		return NULL;
	if (has(detection, PLACE_SAMPLE, 2, OTLP_WIRE_VARINT))
		return "a sample has a length in field 2";
	if (has(detection, PLACE_SAMPLE, 5, OTLP_WIRE_VARINT))
		return "a sample has its link in field 5";
	return has(detection, PLACE_SAMPLE, 6, OTLP_WIRE_SIZED)
		       ? "a sample has timestamps in field 6"
		       : NULL;
}

static const char *find_newer(const struct detection *detection, bool asks_samples)
{
	if (has(detection, PLACE_PROFILE, 3, OTLP_WIRE_64))
		return "a profile has its time in 64 bits";
	if (has(detection, PLACE_PROFILE, 5, OTLP_WIRE_SIZED))
		return "a profile has its period's type in field 5";
	if (has(detection, PLACE_PROFILE, 6, OTLP_WIRE_VARINT))
		return "a profile has its period in field 6";
	if (has(detection, PLACE_ATTRIBUTE, 1, OTLP_WIRE_VARINT) ||
	    has(detection, PLACE_ATTRIBUTE, 3, OTLP_WIRE_VARINT))
		return "an attribute has its key by index";
	if (has(detection, PLACE_SEVEN, 1, OTLP_WIRE_SIZED))
		return "the dictionary has stacks";
	if (!asks_samples)
		return NULL;
	if (has(detection, PLACE_SAMPLE, 2, OTLP_WIRE_SIZED))
		return "a sample has a list in field 2";
	return has(detection, PLACE_SAMPLE, 5, OTLP_WIRE_SIZED)
		       ? "a sample has timestamps in field 5"
		       : NULL;
}

/* What 1.9 would read as a link stands for the only number that a sample has. */
static bool has_value_alone(const struct detection *detection)
{
	return has(detection, PLACE_SAMPLE, 4, OTLP_WIRE_VARINT) &&
	       !has(detection, PLACE_SAMPLE, 2, OTLP_WIRE_SIZED) &&
	       !has(detection, PLACE_SAMPLE, 2, OTLP_WIRE_VARINT) &&
	       !has(detection, PLACE_SAMPLE, 5, OTLP_WIRE_SIZED) &&
	       !has(detection, PLACE_SAMPLE, 5, OTLP_WIRE_64);
}

static int decide_newer(struct detection *detection, const char *newer)
{
	bool has_old_sample = has(detection, PLACE_SAMPLE, 3, OTLP_WIRE_SIZED) ||
			      has(detection, PLACE_SAMPLE, 4, OTLP_WIRE_VARINT);
	bool has_new_sample = has(detection, PLACE_SAMPLE, 3, OTLP_WIRE_VARINT) ||
			      has(detection, PLACE_SAMPLE, 4, OTLP_WIRE_SIZED);

	if (has(detection, PLACE_PROFILE, 8, OTLP_WIRE_SIZED) ||
	    has(detection, PLACE_PROFILE, 9, OTLP_WIRE_VARINT) ||
	    has(detection, PLACE_PROFILE, 12, OTLP_WIRE_SIZED) || detection->has_other_7 ||
	    has(detection, PLACE_VALUE_TYPE, 3, OTLP_WIRE_VARINT))
		return decide(detection, OTLP_R1_8, "%s, and the tail of 1.8", newer);
	if (has(detection, PLACE_KEY_VALUE, 3, OTLP_WIRE_VARINT) ||
	    has(detection, PLACE_KEY_VALUE, 8, OTLP_WIRE_VARINT))
		return decide(detection, OTLP_R1_10, "%s, and attributes refer to texts", newer);
	detection->finding->is_unpacked =
		detection->samples_repeat || has(detection, PLACE_SAMPLE, 2, OTLP_WIRE_VARINT);
	/* What follows asks for more than the first few. */
	if (detection->is_brief && (detection->finding->is_unpacked || has_value_alone(detection)))
		return 0;
	if (detection->finding->is_unpacked)
		return decide_unpacked(detection);
	if (has_value_alone(detection)) {
		/* async-profiler sends so. */
		detection->finding->is_unpacked = true;
		return decide(detection, OTLP_R1_10,
			      "%s, and no sample would count anything in 1.9", newer);
	}
	if (has_old_sample && has_new_sample)
		return refuse(detection,
			      "fields 3 and 4 of samples are those of 1.9 and of 1.10 at once");
	if (has_old_sample)
		return decide(detection, OTLP_R1_9, "%s, and samples are those of 1.9", newer);
	if (has_new_sample)
		return decide(detection, OTLP_R1_10, "%s, and samples are those of 1.10", newer);
	if (!has(detection, PLACE_SAMPLE, 2, OTLP_WIRE_SIZED))
		return detection->is_brief ? 0
					   : decide(detection, OTLP_R1_10,
						    "%s, and 1.9 and 1.10 read the same", newer);
	return decide_last(detection);
}

static int decide_dictionary(struct detection *detection)
{
	const char *older = find_1_7(detection, false);
	const char *newer = find_newer(detection, false);

	/* Samples are asked only where nothing else tells: lists that come one by one look like
	 * others' numbers. */
	if (!older && !newer) {
		older = find_1_7(detection, true);
		newer = find_newer(detection, true);
	}
	if (older && newer)
		return refuse(detection, "%s, which is 1.7, and %s, which is 1.8 or later", older,
			      newer);
	if (older)
		return decide(detection, OTLP_R1_7, "%s", older);
	if (newer)
		return decide_newer(detection, newer);
	if (detection->samples == 0)
		return decide(detection, OTLP_REVISION_NONE, "there are no samples");
	/* Samples with a stack at most, and nothing that they count. */
	return decide(detection, OTLP_R1_10, "nothing tells 1.7 from what came later");
}

static int decide_all(struct detection *detection)
{
	for (unsigned number = 3; number <= 8; number++)
		if (has(detection, PLACE_REQUEST, number, OTLP_WIRE_SIZED))
			return decide(detection, OTLP_R1_6, "tables stand at the top");
	return has(detection, PLACE_REQUEST, 2, OTLP_WIRE_SIZED) ? decide_dictionary(detection)
								 : decide_inner_tables(detection);
}

static int detect(struct str bytes, enum otlp_revision believed, bool is_brief,
		  struct otlp_finding *ret, char reterr[static OTLP_ERROR_SIZE])
{
	struct detection detection = {
		.bytes = bytes,
		.believed = believed,
		.is_brief = is_brief,
		.finding = ret,
		.reason = reterr,
	};

	reterr[0] = '\0';
	*ret = (struct otlp_finding){ 0 };

	int err = look(&detection);

	if (!err)
		err = decide_all(&detection);
	array_done(&detection.attributes);
	array_done(&detection.strings);
	free(detection.is_referenced);
	assert(err <= 0);
	return err;
}

/*
 * A sender nearly always speaks as it did before, and from 1.8 on a few profiles tell: what they
 * leave open, and what is new of it, is looked at as a whole.
 */
static bool is_as_believed(struct str bytes, enum otlp_revision believed, struct otlp_finding *ret,
			   char reterr[static OTLP_ERROR_SIZE])
{
	return believed >= OTLP_R1_8 && detect(bytes, believed, true, ret, reterr) == 0 &&
	       ret->revision == believed;
}

int otlp_detect(struct str bytes, enum otlp_revision believed, struct otlp_finding *ret,
		char reterr[static OTLP_ERROR_SIZE])
{
	assert(believed < OTLP_REVISION_COUNT);
	if (is_as_believed(bytes, believed, ret, reterr))
		return 0;
	return detect(bytes, believed, false, ret, reterr);
}

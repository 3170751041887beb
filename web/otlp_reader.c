/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "web/otlp_detect.h"
#include "web/otlp_inside.h"

static const struct {
	const char *name;
	const char *sentence;
} flaws[OTLP_FLAW_COUNT] = {
	[OTLP_FLAW_STRING_INDEX] = { "string_index", "texts that are not in their table" },
	[OTLP_FLAW_FUNCTION_INDEX] = { "function_index", "functions that are not in their table" },
	[OTLP_FLAW_LOCATION_INDEX] = { "location_index", "locations that are not in their table" },
	[OTLP_FLAW_MAPPING_INDEX] = { "mapping_index", "mappings that are not in their table" },
	[OTLP_FLAW_ATTRIBUTE_INDEX] = { "attribute_index",
					"attributes that are not in their table" },
	[OTLP_FLAW_LINK_INDEX] = { "link_index", "links that are not in their table" },
	[OTLP_FLAW_ENTRY_ZERO] = { "entry_zero", "tables whose entry 0 is something" },
	[OTLP_FLAW_LINK_ID] = { "link_id", "ids of traces and spans of a wrong size" },
	[OTLP_FLAW_VALUE_COUNT] = { "value_count",
				    "samples whose values and timestamps differ in number" },
	[OTLP_FLAW_MAPPING_RANGE] = { "mapping_range", "mappings that end before they start" },
	[OTLP_FLAW_TIME_RANGE] = { "time_range", "samples taken outside of their profile's time" },
	[OTLP_FLAW_REPEATED_KEY] = { "repeated_key", "attributes whose key stood there before" },
	[OTLP_FLAW_UNPACKED] = { "unpacked", "numbers of lists that came one by one" },
	[OTLP_FLAW_UNSURE] = { "unsure", "requests that could be of revision 1.9 or 1.10" },
	[OTLP_FLAW_LABELS] = { "labels", "attributes beyond what can be labels" },
	[OTLP_FLAW_STACK_INDEX] = { "stack_index", "samples whose stack is not there" },
	[OTLP_FLAW_NO_VALUE] = { "no_value", "samples with neither values nor timestamps" },
	[OTLP_FLAW_NEGATIVE_VALUE] = { "negative_value", "samples with a negative value" },
	[OTLP_FLAW_SAMPLE_TYPE] = { "sample_type", "profiles that do not say what they count" },
	[OTLP_FLAW_EMPTY] = { "empty", "profiles none of whose samples is of use" },
};

const char *otlp_flaw_name(enum otlp_flaw flaw)
{
	assert(flaw < OTLP_FLAW_COUNT && flaws[flaw].name);
	return flaws[flaw].name;
}

const char *otlp_flaw_sentence(enum otlp_flaw flaw)
{
	assert(flaw < OTLP_FLAW_COUNT && flaws[flaw].sentence);
	return flaws[flaw].sentence;
}

const struct otlp_attribute *otlp_find(const struct otlp_attribute *attributes, size_t count,
				       struct str key)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(attributes[i].key, key))
			return &attributes[i];
	return NULL;
}

/* ---- what the tables need, too ----------------------------------------------------------------
 */

int otlp_refuse(struct otlp_input *input, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(input->reason, OTLP_ERROR_SIZE, format, args);
	va_end(args);
	return err;
}

int otlp_too_many(struct otlp_input *input)
{
	return otlp_refuse(input, -E2BIG, "a table has more than %d entries", OTLP_ITEM_COUNT_MAX);
}

/* What says when a message is broken. */
static const char *const messages[OTLP_MESSAGE_COUNT] = {
	[OTLP_REQUEST] = "request",
	[OTLP_DICTIONARY] = "dictionary",
	[OTLP_RESOURCE_PROFILES] = "resource's profiles",
	[OTLP_RESOURCE] = "resource",
	[OTLP_SCOPE_PROFILES] = "scope's profiles",
	[OTLP_SCOPE] = "scope",
	[OTLP_CONTAINER] = "container of a profile",
	[OTLP_PROFILE] = "profile",
	[OTLP_VALUE_TYPE] = "value type",
	[OTLP_SAMPLE] = "sample",
	[OTLP_LABEL] = "label",
	[OTLP_STACK] = "stack",
	[OTLP_LOCATION] = "location",
	[OTLP_LINE] = "line",
	[OTLP_FUNCTION] = "function",
	[OTLP_MAPPING] = "mapping",
	[OTLP_LINK] = "link",
	[OTLP_KEY_VALUE] = "attribute",
	[OTLP_ATTRIBUTE] = "attribute",
	[OTLP_UNIT] = "unit",
	[OTLP_ANY_VALUE] = "value of an attribute",
	[OTLP_ARRAY] = "array",
	[OTLP_MAP] = "list of attributes",
};

size_t otlp_offset(const struct otlp_input *input, struct str message)
{
	return message.size > 0 ? (size_t)(message.text - input->reading->bytes.text) : 0;
}

void otlp_next_refused(struct otlp_input *input, enum otlp_message message, struct str whole,
		       const struct otlp_wire_field *field)
{
	if (field)
		otlp_refuse(input, -EBADMSG,
			    "byte %zu: field %" PRIu64 " of a %s is of wire type %d, which "
			    "revision %s has not; %s",
			    otlp_offset(input, whole), field->number, messages[message],
			    (int)field->type, otlp_revision_name(input->layout.revision),
			    input->report->why);
	else
		otlp_refuse(input, -EBADMSG, "byte %zu: a %s is broken, or cut short",
			    otlp_offset(input, whole), messages[message]);
}

/* ---- resources and scopes ---------------------------------------------------------------------
 */

/* Attributes of a resource or a scope; of a scope its name, too. */
static int read_owner(struct otlp_profile_input *profile, enum otlp_message kind,
		      struct str message, otlp_attribute_list *attributes)
{
	struct otlp_input *input = profile->input;
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	while (!err && (more = otlp_next(input, &wire, kind, message, &field, &row)) != 0) {
		struct otlp_attribute attribute;

		if (more < 0)
			return more;
		if (row->field == OTLP_F_NAME)
			profile->profile.scope_name = field.bytes;
		else if (row->field == OTLP_F_VERSION)
			profile->profile.scope_version = field.bytes;
		else if (row->field == OTLP_F_ATTRIBUTES &&
			 attributes->count < OTLP_OWNER_ATTRIBUTE_COUNT_MAX) {
			err = otlp_read_key_value(input, field.bytes, &attribute);
			if (!err && otlp_find(attributes->items, attributes->count, attribute.key))
				otlp_note(input, OTLP_FLAW_REPEATED_KEY);
			else if (!err)
				err = otlp_append(input, attributes, attribute);
		}
	}
	return err;
}

/* Walks twice: whose they are stands behind them where the sender likes it so. */
static int read_scope_profiles(struct otlp_profile_input *profile, struct str message)
{
	struct otlp_input *input = profile->input;
	int err = 0;

	profile->scope.count = 0;
	profile->profile.scope_name = profile->profile.scope_version = (struct str){ 0 };
	for (int walk = 0; walk < 2 && !err; walk++) {
		struct otlp_wire wire = otlp_wire_from(message);
		struct otlp_wire_field field;
		const struct otlp_row *row;
		int more;

		while (!err && (more = otlp_next(input, &wire, OTLP_SCOPE_PROFILES, message, &field,
						 &row)) != 0) {
			if (more < 0)
				return more;
			if (walk == 0 && row->field == OTLP_F_SCOPE)
				err = read_owner(profile, OTLP_SCOPE, field.bytes, &profile->scope);
			if (walk == 0 || row->field != OTLP_F_PROFILES)
				continue;
			err = otlp_profile_read(profile, row->inner, field.bytes);
		}
	}
	return err;
}

static int read_resource_profiles(struct otlp_profile_input *profile, struct str message)
{
	struct otlp_input *input = profile->input;
	int err = 0;

	input->report->resources++;
	profile->resource.count = 0;
	for (int walk = 0; walk < 2 && !err; walk++) {
		struct otlp_wire wire = otlp_wire_from(message);
		struct otlp_wire_field field;
		const struct otlp_row *row;
		int more;

		while (!err && (more = otlp_next(input, &wire, OTLP_RESOURCE_PROFILES, message,
						 &field, &row)) != 0) {
			if (more < 0)
				return more;
			if (walk == 0 && row->field == OTLP_F_RESOURCE)
				err = read_owner(profile, OTLP_RESOURCE, field.bytes,
						 &profile->resource);
			else if (walk == 1 && row->field == OTLP_F_SCOPE_PROFILES)
				err = read_scope_profiles(profile, field.bytes);
		}
	}
	return err;
}

/* ---- a request --------------------------------------------------------------------------------
 */

static int read_dictionaries(struct otlp_input *input)
{
	struct str bytes = input->reading->bytes;
	struct otlp_wire wire = otlp_wire_from(bytes);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	if (otlp_brings_tables(input))
		return 0;
	if (input->layout.revision == OTLP_R1_6)
		err = otlp_collect(input, OTLP_REQUEST, bytes);
	while (!err && input->layout.revision != OTLP_R1_6 &&
	       (more = otlp_next(input, &wire, OTLP_REQUEST, bytes, &field, &row)) != 0) {
		if (more < 0)
			return more;
		/* Several are one, cut into pieces. */
		if (row->field == OTLP_F_DICTIONARY)
			err = otlp_collect(input, OTLP_DICTIONARY, field.bytes);
	}
	return err ? err : otlp_tables_read(input);
}

static int read_request(struct otlp_profile_input *profile)
{
	struct otlp_input *input = profile->input;
	struct str bytes = input->reading->bytes;
	struct otlp_wire wire = otlp_wire_from(bytes);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = read_dictionaries(input);

	while (!err && (more = otlp_next(input, &wire, OTLP_REQUEST, bytes, &field, &row)) != 0) {
		if (more < 0)
			return more;
		if (row->field == OTLP_F_RESOURCE_PROFILES)
			err = read_resource_profiles(profile, field.bytes);
	}
	return err;
}

static int find_revision(const struct otlp_reading *reading, struct otlp_report *report,
			 char reterr[static OTLP_ERROR_SIZE])
{
	struct otlp_finding finding;
	int err;

	if (reading->known != OTLP_REVISION_NONE) {
		report->revision = reading->known;
		snprintf(report->why, sizeof(report->why), "its names tell");
		return 0;
	}
	err = otlp_detect(reading->bytes, reading->believed, &finding, reterr);
	if (err)
		return err;
	report->revision = finding.revision;
	report->flaws[OTLP_FLAW_UNSURE] += finding.is_unsure;
	snprintf(report->why, sizeof(report->why), "%s", finding.why);
	return 0;
}

struct otlp_reader {
	struct otlp_input input;
	struct otlp_profile_input profile;
};

int otlp_reader_new(struct otlp_reader **ret)
{
	struct otlp_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	reader->profile.input = &reader->input;
	*ret = reader;
	return 0;
}

struct otlp_reader *otlp_reader_free(struct otlp_reader *reader)
{
	if (!reader)
		return NULL;
	otlp_profile_done(&reader->profile);
	otlp_tables_done(&reader->input);
	free(reader);
	return NULL;
}

size_t otlp_reader_memory(const struct otlp_reader *reader)
{
	return sizeof(*reader) + otlp_tables_memory(&reader->input) +
	       otlp_profile_memory(&reader->profile);
}

/* The revision is known. */
static int read_with(struct otlp_reader *reader, const struct otlp_reading *reading,
		     struct otlp_report *report, char *reason)
{
	struct otlp_input *input = &reader->input;

	input->reading = reading;
	input->report = report;
	input->reason = reason;
	/* Without samples every revision is read alike, as far as there is something to read. */
	otlp_layout_init(&input->layout, report->revision ? report->revision : OTLP_R1_10);
	input->base = report->revision && report->revision <= OTLP_R1_7 ? 1 : 0;
	input->attribute_message = OTLP_KEY_VALUE;
	otlp_tables_clear(input);
	reader->profile.profile = (struct otlp_profile){ 0 };
	return report->revision ? read_request(&reader->profile) : 0;
}

int otlp_read(const struct otlp_reading *reading, struct otlp_report *report,
	      char reterr[static OTLP_ERROR_SIZE])
{
	autoclean(otlp_reader) struct otlp_reader *own = NULL;
	int err = 0;

	assert(reading->take && reading->known < OTLP_REVISION_COUNT);
	*report = (struct otlp_report){ 0 };
	reterr[0] = '\0';
	if (!reading->reader)
		err = otlp_reader_new(&own);
	if (!err)
		err = find_revision(reading, report, reterr);
	if (!err)
		err = read_with(reading->reader ? reading->reader : own, reading, report, reterr);
	assert(report->samples_skipped <= report->samples || err);
	return err;
}

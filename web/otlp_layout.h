/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * The wire layouts that OpenTelemetry's profiles have had: which field of which message has which
 * number, in each revision, and its names in JSON. One table, from which everything here reads.
 *
 * A revision is named by the first release of https://github.com/open-telemetry/opentelemetry-proto
 * that carries it; v1.11.0 has the layout of v1.10.0.
 */
enum otlp_revision {
	OTLP_REVISION_NONE = 0, /* not known */
	OTLP_R1_3,
	OTLP_R1_4,
	OTLP_R1_5,
	OTLP_R1_6, /* as published it has no way to send its tables; bodies of ProfilesData do */
	OTLP_R1_7,
	OTLP_R1_8,
	OTLP_R1_9,
	OTLP_R1_10,
	OTLP_REVISION_COUNT,
};

/* "1.10"; "unknown". */
const char *otlp_revision_name(enum otlp_revision revision);

enum otlp_message {
	OTLP_REQUEST = 0, /* ExportProfilesServiceRequest, which is ProfilesData, too */
	OTLP_DICTIONARY,
	OTLP_RESOURCE_PROFILES,
	OTLP_RESOURCE,
	OTLP_SCOPE_PROFILES,
	OTLP_SCOPE,
	OTLP_CONTAINER, /* of R1.3, around a profile */
	OTLP_PROFILE,
	OTLP_VALUE_TYPE,
	OTLP_SAMPLE,
	OTLP_LABEL, /* of R1.3 */
	OTLP_STACK,
	OTLP_LOCATION,
	OTLP_LINE,
	OTLP_FUNCTION,
	OTLP_MAPPING,
	OTLP_LINK,
	OTLP_KEY_VALUE,
	OTLP_ATTRIBUTE, /* KeyValueAndUnit */
	OTLP_UNIT,	/* of an attribute's key */
	OTLP_ANY_VALUE,
	OTLP_ARRAY,
	OTLP_MAP,
	OTLP_MESSAGE_COUNT,
};

/* What a field means, whatever its number: the same in all messages that have it. */
enum otlp_field {
	OTLP_NO_FIELD = 0,
	OTLP_F_RESOURCE_PROFILES,
	OTLP_F_DICTIONARY,
	OTLP_F_MAPPING_TABLE,
	OTLP_F_LOCATION_TABLE,
	OTLP_F_FUNCTION_TABLE,
	OTLP_F_LINK_TABLE,
	OTLP_F_STRING_TABLE,
	OTLP_F_ATTRIBUTE_TABLE,
	OTLP_F_ATTRIBUTE_UNITS,
	OTLP_F_STACK_TABLE,
	OTLP_F_RESOURCE,
	OTLP_F_SCOPE_PROFILES,
	OTLP_F_SCHEMA_URL,
	OTLP_F_SCOPE,
	OTLP_F_PROFILES,
	OTLP_F_PROFILE,
	OTLP_F_NAME,
	OTLP_F_SYSTEM_NAME,
	OTLP_F_FILENAME,
	OTLP_F_START_LINE,
	OTLP_F_VERSION,
	OTLP_F_ATTRIBUTES,
	OTLP_F_DROPPED_ATTRIBUTES,
	OTLP_F_SAMPLE_TYPE,
	OTLP_F_SAMPLES,
	OTLP_F_TIME,
	OTLP_F_END_TIME,
	OTLP_F_DURATION,
	OTLP_F_PERIOD_TYPE,
	OTLP_F_PERIOD,
	OTLP_F_COMMENTS,
	OTLP_F_DEFAULT_SAMPLE_TYPE,
	OTLP_F_DROP_FRAMES,
	OTLP_F_KEEP_FRAMES,
	OTLP_F_LOCATION_INDICES,
	OTLP_F_PROFILE_ID,
	OTLP_F_PAYLOAD_FORMAT,
	OTLP_F_PAYLOAD,
	OTLP_F_ATTRIBUTE_INDICES,
	OTLP_F_STACK_START,
	OTLP_F_STACK_LENGTH,
	OTLP_F_STACK_INDEX,
	OTLP_F_STACK_ID,
	OTLP_F_VALUES,
	OTLP_F_LABELS,
	OTLP_F_LINK_INDEX,
	OTLP_F_TIMESTAMPS,
	OTLP_F_TYPE,
	OTLP_F_UNIT,
	OTLP_F_TEMPORALITY,
	OTLP_F_ID,
	OTLP_F_MAPPING_INDEX,
	OTLP_F_ADDRESS,
	OTLP_F_LINES,
	OTLP_F_IS_FOLDED,
	OTLP_F_TYPE_INDEX,
	OTLP_F_FUNCTION_INDEX,
	OTLP_F_LINE,
	OTLP_F_COLUMN,
	OTLP_F_MEMORY_START,
	OTLP_F_MEMORY_LIMIT,
	OTLP_F_FILE_OFFSET,
	OTLP_F_BUILD_ID,
	OTLP_F_BUILD_ID_KIND,
	OTLP_F_FLAGS, /* has_functions and its like */
	OTLP_F_TRACE_ID,
	OTLP_F_SPAN_ID,
	OTLP_F_KEY,
	OTLP_F_KEY_INDEX,
	OTLP_F_VALUE,
	OTLP_F_TEXT,
	OTLP_F_BOOLEAN,
	OTLP_F_INTEGER,
	OTLP_F_NUMBER,
	OTLP_F_ARRAY,
	OTLP_F_MAP,
	OTLP_F_BYTES,
	OTLP_F_TEXT_INDEX,
	OTLP_FIELD_COUNT,
};

enum otlp_kind {
	OTLP_KIND_INTEGER, /* a varint */
	OTLP_KIND_BOOLEAN,
	OTLP_KIND_FIXED, /* 64 bits */
	OTLP_KIND_DOUBLE,
	OTLP_KIND_TEXT,
	OTLP_KIND_BYTES, /* base64 in JSON */
	OTLP_KIND_ID,	 /* hexadecimal in JSON, or base64 from senders that know no better */
	OTLP_KIND_MESSAGE,
};

enum {
	OTLP_NUMBER_MAX = 31, /* of a field */
	OTLP_TAG_COUNT = 128, /* of one byte: numbers up to 15, and how they come */
	OTLP_NAME_COUNT = 2,
	OTLP_ROW_NONE = 0,
};

struct otlp_row {
	enum otlp_message message;
	enum otlp_field field;
	enum otlp_kind kind;
	enum otlp_message inner;	      /* of a message */
	bool is_list;			      /* of numbers: packed, or one by one */
	const char *names[OTLP_NAME_COUNT];   /* in JSON, lowerCamelCase: of today, and of before */
	uint8_t numbers[OTLP_REVISION_COUNT]; /* 0: not there */
};

/* One revision, so that a number finds its row at once. */
struct otlp_layout {
	enum otlp_revision revision;
	uint8_t rows[OTLP_MESSAGE_COUNT][OTLP_NUMBER_MAX + 1];
	/* What the field may come as: a bit for each wire type. */
	uint8_t types[OTLP_MESSAGE_COUNT][OTLP_NUMBER_MAX + 1];
	/* Fields by the byte before them, their tag: single numbers, and what has a size. 0: any
	 * other, which must be looked at more closely. */
	uint8_t plain[OTLP_MESSAGE_COUNT][OTLP_TAG_COUNT];
};

/* By the numbers that a layout has. */
extern const struct otlp_row otlp_rows[];

void otlp_layout_init(struct otlp_layout *layout, enum otlp_revision revision);

/* NULL: this revision has no such field. */
static inline const struct otlp_row *otlp_layout_find(const struct otlp_layout *layout,
						      enum otlp_message message, uint64_t number)
{
	uint8_t row = number <= OTLP_NUMBER_MAX ? layout->rows[message][number] : OTLP_ROW_NONE;

	return row == OTLP_ROW_NONE ? NULL : &otlp_rows[row];
}

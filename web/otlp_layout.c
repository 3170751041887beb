/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_layout.h"

#include <assert.h>
#include <string.h>

#include "web/otlp_wire.h"

const char *otlp_revision_name(enum otlp_revision revision)
{
	static const char *const names[OTLP_REVISION_COUNT] = {
		"unknown", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10",
	};

	assert(revision < OTLP_REVISION_COUNT);
	return names[revision];
}

/* Numbers: of R1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9 and 1.10. */
#define ROW(message, field, kind, inner, is_list, name, older, ...)                                \
	{                                                                                          \
		OTLP_##message, OTLP_F_##field, OTLP_KIND_##kind, OTLP_##inner, is_list,           \
			{ name, older },                                                           \
		{                                                                                  \
			0, __VA_ARGS__                                                             \
		}                                                                                  \
	}
#define MESSAGE(message, field, inner, name, older, ...)                                           \
	ROW(message, field, MESSAGE, inner, false, name, older, __VA_ARGS__)
#define SINGLE(message, field, kind, name, older, ...)                                             \
	ROW(message, field, kind, REQUEST, false, name, older, __VA_ARGS__)
#define LIST(message, field, kind, name, older, ...)                                               \
	ROW(message, field, kind, REQUEST, true, name, older, __VA_ARGS__)

/* clang-format off */
const struct otlp_row otlp_rows[] = {
	[OTLP_ROW_NONE] = { 0 },

	MESSAGE(REQUEST, RESOURCE_PROFILES, RESOURCE_PROFILES, "resourceProfiles", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	MESSAGE(REQUEST, DICTIONARY, DICTIONARY, "dictionary", NULL, 0, 0, 0, 0, 2, 2, 2, 2),
	MESSAGE(REQUEST, MAPPING_TABLE, MAPPING, "mappingTable", NULL, 0, 0, 0, 2),
	MESSAGE(REQUEST, LOCATION_TABLE, LOCATION, "locationTable", NULL, 0, 0, 0, 3),
	MESSAGE(REQUEST, FUNCTION_TABLE, FUNCTION, "functionTable", NULL, 0, 0, 0, 4),
	MESSAGE(REQUEST, LINK_TABLE, LINK, "linkTable", NULL, 0, 0, 0, 5),
	SINGLE(REQUEST, STRING_TABLE, TEXT, "stringTable", NULL, 0, 0, 0, 6),
	MESSAGE(REQUEST, ATTRIBUTE_TABLE, KEY_VALUE, "attributeTable", NULL, 0, 0, 0, 7),
	MESSAGE(REQUEST, ATTRIBUTE_UNITS, UNIT, "attributeUnits", NULL, 0, 0, 0, 8),

	MESSAGE(DICTIONARY, MAPPING_TABLE, MAPPING, "mappingTable", NULL, 0, 0, 0, 0, 1, 1, 1, 1),
	MESSAGE(DICTIONARY, LOCATION_TABLE, LOCATION, "locationTable", NULL, 0, 0, 0, 0, 2, 2, 2, 2),
	MESSAGE(DICTIONARY, FUNCTION_TABLE, FUNCTION, "functionTable", NULL, 0, 0, 0, 0, 3, 3, 3, 3),
	MESSAGE(DICTIONARY, LINK_TABLE, LINK, "linkTable", NULL, 0, 0, 0, 0, 4, 4, 4, 4),
	SINGLE(DICTIONARY, STRING_TABLE, TEXT, "stringTable", NULL, 0, 0, 0, 0, 5, 5, 5, 5),
	MESSAGE(DICTIONARY, ATTRIBUTE_TABLE, KEY_VALUE, "attributeTable", NULL, 0, 0, 0, 0, 6),
	MESSAGE(DICTIONARY, ATTRIBUTE_TABLE, ATTRIBUTE, "attributeTable", NULL, 0, 0, 0, 0, 0, 6, 6, 6),
	MESSAGE(DICTIONARY, ATTRIBUTE_UNITS, UNIT, "attributeUnits", NULL, 0, 0, 0, 0, 7),
	MESSAGE(DICTIONARY, STACK_TABLE, STACK, "stackTable", NULL, 0, 0, 0, 0, 0, 7, 7, 7),

	MESSAGE(RESOURCE_PROFILES, RESOURCE, RESOURCE, "resource", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	MESSAGE(RESOURCE_PROFILES, SCOPE_PROFILES, SCOPE_PROFILES, "scopeProfiles", NULL, 2, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(RESOURCE_PROFILES, SCHEMA_URL, TEXT, "schemaUrl", NULL, 3, 3, 3, 3, 3, 3, 3, 3),
	MESSAGE(RESOURCE, ATTRIBUTES, KEY_VALUE, "attributes", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(RESOURCE, DROPPED_ATTRIBUTES, INTEGER, "droppedAttributesCount", NULL, 2, 2, 2, 2, 2, 2, 2, 2),

	MESSAGE(SCOPE_PROFILES, SCOPE, SCOPE, "scope", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	MESSAGE(SCOPE_PROFILES, PROFILES, CONTAINER, "profiles", NULL, 2),
	MESSAGE(SCOPE_PROFILES, PROFILES, PROFILE, "profiles", NULL, 0, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(SCOPE_PROFILES, SCHEMA_URL, TEXT, "schemaUrl", NULL, 3, 3, 3, 3, 3, 3, 3, 3),
	SINGLE(SCOPE, NAME, TEXT, "name", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(SCOPE, VERSION, TEXT, "version", NULL, 2, 2, 2, 2, 2, 2, 2, 2),
	MESSAGE(SCOPE, ATTRIBUTES, KEY_VALUE, "attributes", NULL, 3, 3, 3, 3, 3, 3, 3, 3),
	SINGLE(SCOPE, DROPPED_ATTRIBUTES, INTEGER, "droppedAttributesCount", NULL, 4, 4, 4, 4, 4, 4, 4, 4),

	SINGLE(CONTAINER, PROFILE_ID, ID, "profileId", NULL, 1),
	SINGLE(CONTAINER, TIME, FIXED, "startTimeUnixNano", NULL, 2),
	SINGLE(CONTAINER, END_TIME, FIXED, "endTimeUnixNano", NULL, 3),
	MESSAGE(CONTAINER, ATTRIBUTES, KEY_VALUE, "attributes", NULL, 4),
	SINGLE(CONTAINER, DROPPED_ATTRIBUTES, INTEGER, "droppedAttributesCount", NULL, 5),
	SINGLE(CONTAINER, PAYLOAD_FORMAT, TEXT, "originalPayloadFormat", NULL, 6),
	SINGLE(CONTAINER, PAYLOAD, BYTES, "originalPayload", NULL, 7),
	MESSAGE(CONTAINER, PROFILE, PROFILE, "profile", NULL, 8),

	MESSAGE(PROFILE, SAMPLE_TYPE, VALUE_TYPE, "sampleType", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	MESSAGE(PROFILE, SAMPLES, SAMPLE, "samples", "sample", 2, 2, 2, 2, 2, 2, 2, 2),
	MESSAGE(PROFILE, MAPPING_TABLE, MAPPING, "mappingTable", "mapping", 3, 3, 3),
	MESSAGE(PROFILE, LOCATION_TABLE, LOCATION, "locationTable", "location", 4, 4, 4),
	MESSAGE(PROFILE, FUNCTION_TABLE, FUNCTION, "functionTable", "function", 5, 6, 6),
	SINGLE(PROFILE, STRING_TABLE, TEXT, "stringTable", NULL, 6, 10, 10),
	MESSAGE(PROFILE, ATTRIBUTE_TABLE, KEY_VALUE, "attributeTable", NULL, 16, 7, 7),
	MESSAGE(PROFILE, ATTRIBUTE_UNITS, UNIT, "attributeUnits", NULL, 17, 8, 8),
	MESSAGE(PROFILE, LINK_TABLE, LINK, "linkTable", NULL, 18, 9, 9),
	SINGLE(PROFILE, DROP_FRAMES, INTEGER, "dropFrames", NULL, 7),
	SINGLE(PROFILE, KEEP_FRAMES, INTEGER, "keepFrames", NULL, 8),
	SINGLE(PROFILE, TIME, INTEGER, "timeNanos", NULL, 9, 11, 11, 4, 4),
	SINGLE(PROFILE, TIME, FIXED, "timeUnixNano", "timeNanos", 0, 0, 0, 0, 0, 3, 3, 3),
	SINGLE(PROFILE, DURATION, INTEGER, "durationNano", "durationNanos", 10, 12, 12, 5, 5, 4, 4, 4),
	MESSAGE(PROFILE, PERIOD_TYPE, VALUE_TYPE, "periodType", NULL, 11, 13, 13, 6, 6, 5, 5, 5),
	SINGLE(PROFILE, PERIOD, INTEGER, "period", NULL, 12, 14, 14, 7, 7, 6, 6, 6),
	LIST(PROFILE, COMMENTS, INTEGER, "commentStrindices", "comment", 13, 15, 15, 8, 8, 7),
	SINGLE(PROFILE, DEFAULT_SAMPLE_TYPE, INTEGER, "defaultSampleTypeIndex", "defaultSampleTypeStrindex", 14, 16, 16, 9, 9),
	LIST(PROFILE, LOCATION_INDICES, INTEGER, "locationIndices", NULL, 15, 5, 5, 3, 3),
	SINGLE(PROFILE, PROFILE_ID, ID, "profileId", NULL, 0, 17, 17, 10, 10, 8, 7, 7),
	MESSAGE(PROFILE, ATTRIBUTES, KEY_VALUE, "attributes", NULL, 0, 18),
	SINGLE(PROFILE, DROPPED_ATTRIBUTES, INTEGER, "droppedAttributesCount", NULL, 0, 19, 19, 11, 11, 9, 8, 8),
	SINGLE(PROFILE, PAYLOAD_FORMAT, TEXT, "originalPayloadFormat", NULL, 0, 20, 20, 12, 12, 10, 9, 9),
	SINGLE(PROFILE, PAYLOAD, BYTES, "originalPayload", NULL, 0, 21, 21, 13, 13, 11, 10, 10),
	LIST(PROFILE, ATTRIBUTE_INDICES, INTEGER, "attributeIndices", NULL, 0, 0, 22, 14, 14, 12, 11, 11),

	SINGLE(VALUE_TYPE, TYPE, INTEGER, "typeStrindex", "type", 1, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(VALUE_TYPE, UNIT, INTEGER, "unitStrindex", "unit", 2, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(VALUE_TYPE, TEMPORALITY, INTEGER, "aggregationTemporality", NULL, 3, 3, 3, 3, 3, 3),

	LIST(SAMPLE, LOCATION_INDICES, INTEGER, "locationIndex", NULL, 1),
	SINGLE(SAMPLE, STACK_START, INTEGER, "locationsStartIndex", NULL, 7, 1, 1, 1, 1),
	SINGLE(SAMPLE, STACK_LENGTH, INTEGER, "locationsLength", NULL, 8, 2, 2, 2, 2),
	SINGLE(SAMPLE, STACK_INDEX, INTEGER, "stackIndex", NULL, 0, 0, 0, 0, 0, 1, 1, 1),
	LIST(SAMPLE, VALUES, INTEGER, "values", "value", 2, 3, 3, 3, 3, 2, 2, 4),
	MESSAGE(SAMPLE, LABELS, LABEL, "label", NULL, 3),
	SINGLE(SAMPLE, STACK_ID, INTEGER, "stacktraceIdIndex", NULL, 9),
	LIST(SAMPLE, ATTRIBUTE_INDICES, INTEGER, "attributeIndices", "attributes", 10, 4, 4, 4, 4, 3, 3, 2),
	SINGLE(SAMPLE, LINK_INDEX, INTEGER, "linkIndex", "link", 12, 5, 5, 5, 5, 4, 4, 3),
	LIST(SAMPLE, TIMESTAMPS, INTEGER, "timestampsUnixNano", "timestamps", 13, 6, 6, 6, 6),
	LIST(SAMPLE, TIMESTAMPS, FIXED, "timestampsUnixNano", NULL, 0, 0, 0, 0, 0, 5, 5, 5),

	SINGLE(LABEL, KEY_INDEX, INTEGER, "key", NULL, 1),
	SINGLE(LABEL, TEXT_INDEX, INTEGER, "str", NULL, 2),
	SINGLE(LABEL, INTEGER, INTEGER, "num", NULL, 3),
	SINGLE(LABEL, UNIT, INTEGER, "numUnit", NULL, 4),
	LIST(STACK, LOCATION_INDICES, INTEGER, "locationIndices", NULL, 0, 0, 0, 0, 0, 1, 1, 1),

	SINGLE(LOCATION, ID, INTEGER, "id", NULL, 1),
	SINGLE(LOCATION, MAPPING_INDEX, INTEGER, "mappingIndex", NULL, 2, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(LOCATION, ADDRESS, INTEGER, "address", NULL, 3, 2, 2, 2, 2, 2, 2, 2),
	MESSAGE(LOCATION, LINES, LINE, "lines", "line", 4, 3, 3, 3, 3, 3, 3, 3),
	SINGLE(LOCATION, IS_FOLDED, BOOLEAN, "isFolded", NULL, 5, 4, 4, 4, 4),
	SINGLE(LOCATION, TYPE_INDEX, INTEGER, "typeIndex", NULL, 6),
	LIST(LOCATION, ATTRIBUTE_INDICES, INTEGER, "attributeIndices", "attributes", 7, 5, 5, 5, 5, 4, 4, 4),
	SINGLE(LINE, FUNCTION_INDEX, INTEGER, "functionIndex", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(LINE, LINE, INTEGER, "line", NULL, 2, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(LINE, COLUMN, INTEGER, "column", NULL, 3, 3, 3, 3, 3, 3, 3, 3),

	SINGLE(FUNCTION, ID, INTEGER, "id", NULL, 1),
	SINGLE(FUNCTION, NAME, INTEGER, "nameStrindex", "name", 2, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(FUNCTION, SYSTEM_NAME, INTEGER, "systemNameStrindex", "systemName", 3, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(FUNCTION, FILENAME, INTEGER, "filenameStrindex", "filename", 4, 3, 3, 3, 3, 3, 3, 3),
	SINGLE(FUNCTION, START_LINE, INTEGER, "startLine", NULL, 5, 4, 4, 4, 4, 4, 4, 4),

	SINGLE(MAPPING, ID, INTEGER, "id", NULL, 1),
	SINGLE(MAPPING, MEMORY_START, INTEGER, "memoryStart", NULL, 2, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(MAPPING, MEMORY_LIMIT, INTEGER, "memoryLimit", NULL, 3, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(MAPPING, FILE_OFFSET, INTEGER, "fileOffset", NULL, 4, 3, 3, 3, 3, 3, 3, 3),
	SINGLE(MAPPING, FILENAME, INTEGER, "filenameStrindex", "filename", 5, 4, 4, 4, 4, 4, 4, 4),
	SINGLE(MAPPING, BUILD_ID, INTEGER, "buildId", NULL, 6),
	SINGLE(MAPPING, BUILD_ID_KIND, INTEGER, "buildIdKind", NULL, 11),
	SINGLE(MAPPING, FLAGS, BOOLEAN, "hasFunctions", NULL, 7, 6, 6, 6, 6),
	SINGLE(MAPPING, FLAGS, BOOLEAN, "hasFilenames", NULL, 8, 7, 7, 7, 7),
	SINGLE(MAPPING, FLAGS, BOOLEAN, "hasLineNumbers", NULL, 9, 8, 8, 8, 8),
	SINGLE(MAPPING, FLAGS, BOOLEAN, "hasInlineFrames", NULL, 10, 9, 9, 9, 9),
	LIST(MAPPING, ATTRIBUTE_INDICES, INTEGER, "attributeIndices", "attributes", 12, 5, 5, 5, 5, 5, 5, 5),
	SINGLE(LINK, TRACE_ID, ID, "traceId", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(LINK, SPAN_ID, ID, "spanId", NULL, 2, 2, 2, 2, 2, 2, 2, 2),

	SINGLE(KEY_VALUE, KEY, TEXT, "key", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	MESSAGE(KEY_VALUE, VALUE, ANY_VALUE, "value", NULL, 2, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(KEY_VALUE, KEY_INDEX, INTEGER, "keyStrindex", "keyRef", 0, 0, 0, 0, 0, 0, 0, 3),
	SINGLE(ATTRIBUTE, KEY_INDEX, INTEGER, "keyStrindex", NULL, 0, 0, 0, 0, 0, 1, 1, 1),
	MESSAGE(ATTRIBUTE, VALUE, ANY_VALUE, "value", NULL, 0, 0, 0, 0, 0, 2, 2, 2),
	SINGLE(ATTRIBUTE, UNIT, INTEGER, "unitStrindex", NULL, 0, 0, 0, 0, 0, 3, 3, 3),
	SINGLE(UNIT, KEY_INDEX, INTEGER, "attributeKeyStrindex", "attributeKey", 1, 1, 1, 1, 1),
	SINGLE(UNIT, UNIT, INTEGER, "unitStrindex", "unit", 2, 2, 2, 2, 2),

	SINGLE(ANY_VALUE, TEXT, TEXT, "stringValue", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	SINGLE(ANY_VALUE, BOOLEAN, BOOLEAN, "boolValue", NULL, 2, 2, 2, 2, 2, 2, 2, 2),
	SINGLE(ANY_VALUE, INTEGER, INTEGER, "intValue", NULL, 3, 3, 3, 3, 3, 3, 3, 3),
	SINGLE(ANY_VALUE, NUMBER, DOUBLE, "doubleValue", NULL, 4, 4, 4, 4, 4, 4, 4, 4),
	MESSAGE(ANY_VALUE, ARRAY, ARRAY, "arrayValue", NULL, 5, 5, 5, 5, 5, 5, 5, 5),
	MESSAGE(ANY_VALUE, MAP, MAP, "kvlistValue", NULL, 6, 6, 6, 6, 6, 6, 6, 6),
	SINGLE(ANY_VALUE, BYTES, BYTES, "bytesValue", NULL, 7, 7, 7, 7, 7, 7, 7, 7),
	SINGLE(ANY_VALUE, TEXT_INDEX, INTEGER, "stringValueStrindex", "stringValueRef", 0, 0, 0, 0, 0, 0, 0, 8),
	MESSAGE(ARRAY, VALUE, ANY_VALUE, "values", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
	MESSAGE(MAP, VALUE, KEY_VALUE, "values", NULL, 1, 1, 1, 1, 1, 1, 1, 1),
};
/* clang-format on */

enum { TABLE_COUNT = sizeof(otlp_rows) / sizeof(otlp_rows[0]) };

static_assert((int)TABLE_COUNT <= (int)UINT8_MAX, "a row's number fits");

static uint8_t types_of(const struct otlp_row *row)
{
	const uint8_t list = row->is_list ? 1 << OTLP_WIRE_SIZED : 0;

	switch (row->kind) {
	case OTLP_KIND_INTEGER:
	case OTLP_KIND_BOOLEAN:
		return 1 << OTLP_WIRE_VARINT | list;
	case OTLP_KIND_FIXED:
	case OTLP_KIND_DOUBLE:
		return 1 << OTLP_WIRE_64 | list;
	default:
		return 1 << OTLP_WIRE_SIZED;
	}
}

static_assert((int)OTLP_FIELD_COUNT <= (int)UINT8_MAX, "a field's number fits");

static void enter_plain(struct otlp_layout *layout, const struct otlp_row *row, unsigned number)
{
	uint8_t *plain = layout->plain[row->message];
	uint8_t types = types_of(row);

	if (number << 3 >= OTLP_TAG_COUNT)
		return;
	if (types >> OTLP_WIRE_SIZED & 1)
		plain[number << 3 | OTLP_WIRE_SIZED] = (uint8_t)row->field;
	/* Lists that come one by one are counted. */
	if (types >> OTLP_WIRE_VARINT & 1 && !row->is_list)
		plain[number << 3 | OTLP_WIRE_VARINT] = (uint8_t)row->field;
}

void otlp_layout_init(struct otlp_layout *layout, enum otlp_revision revision)
{
	assert(revision > OTLP_REVISION_NONE && revision < OTLP_REVISION_COUNT);
	memset(layout, 0, sizeof(*layout));
	layout->revision = revision;
	for (size_t i = OTLP_ROW_NONE + 1; i < TABLE_COUNT; i++) {
		unsigned number = otlp_rows[i].numbers[revision];

		if (number == 0)
			continue;
		assert(number <= OTLP_NUMBER_MAX);
		assert(!layout->rows[otlp_rows[i].message][number]);
		layout->rows[otlp_rows[i].message][number] = (uint8_t)i;
		layout->types[otlp_rows[i].message][number] = types_of(&otlp_rows[i]);
		enter_plain(layout, &otlp_rows[i], number);
	}
}

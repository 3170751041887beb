/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "web/otlp_inside.h"

/* Which messages of a dictionary are kept to be read later; OTLP_TABLE_COUNT: no table's. */
static enum otlp_table table_of(enum otlp_field field)
{
	switch (field) {
	case OTLP_F_ATTRIBUTE_TABLE:
		return OTLP_TABLE_ATTRIBUTES;
	case OTLP_F_ATTRIBUTE_UNITS:
		return OTLP_TABLE_UNITS;
	case OTLP_F_FUNCTION_TABLE:
		return OTLP_TABLE_FUNCTIONS;
	case OTLP_F_MAPPING_TABLE:
		return OTLP_TABLE_MAPPINGS;
	case OTLP_F_LOCATION_TABLE:
		return OTLP_TABLE_LOCATIONS;
	case OTLP_F_LINK_TABLE:
		return OTLP_TABLE_LINKS;
	case OTLP_F_STACK_TABLE:
		return OTLP_TABLE_STACKS;
	default:
		return OTLP_TABLE_COUNT;
	}
}

/* Messages of a table, which begin at start and end where the next field begins. */
static int keep_run(struct otlp_input *input, enum otlp_table table, enum otlp_message message,
		    const uint8_t *start, struct otlp_wire *wire, uint8_t tag)
{
	__auto_type runs = &input->raw[table];
	uint32_t count = input->raw_count[table];
	struct str one;

	do {
		if (count++ >= OTLP_ITEM_COUNT_MAX)
			return otlp_too_many(input);
	} while (otlp_wire_same(wire, tag, &one));
	if (array_reserve(runs, 1) < 0)
		return -ENOMEM;
	input->raw_count[table] = count;
	runs->items[runs->count++] =
		(struct otlp_run){ { (const char *)start, (size_t)(wire->next - start) }, message };
	return 0;
}

int otlp_collect(struct otlp_input *input, enum otlp_message message, struct str bytes)
{
	struct otlp_wire wire = otlp_wire_from(bytes);
	const uint8_t *start = wire.next;
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	while (!err && (more = otlp_next(input, &wire, message, bytes, &field, &row)) != 0) {
		enum otlp_table table;

		if (more < 0)
			return more;
		table = table_of(row->field);
		if (row->field == OTLP_F_ATTRIBUTE_TABLE)
			input->attribute_message = row->inner;
		if (row->field == OTLP_F_STRING_TABLE)
			err = otlp_append(input, &input->tables.strings, field.bytes);
		else if (table != OTLP_TABLE_COUNT)
			err = keep_run(input, table, message, start, &wire, otlp_tag_of(&field));
		start = wire.next;
	}
	return err;
}

typedef int read_raw(struct otlp_input *input, struct str message);

/* Messages that were collected of one table; what reads them becomes part of it: there are
 * thousands. */
__attribute__((always_inline)) static inline int
read_run(struct otlp_input *input, const struct otlp_run *run, read_raw *read)
{
	struct otlp_wire wire = otlp_wire_from(run->bytes);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	while (!err &&
	       (more = otlp_next(input, &wire, run->message, run->bytes, &field, &row)) != 0) {
		uint8_t tag = otlp_tag_of(&field);

		if (more < 0)
			return more;
		do
			err = read(input, field.bytes);
		while (!err && otlp_wire_same(&wire, tag, &field.bytes));
	}
	return err;
}

__attribute__((always_inline)) static inline int read_table(struct otlp_input *input,
							    enum otlp_table table, read_raw *read)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < input->raw[table].count; i++)
		err = read_run(input, &input->raw[table].items[i], read);
	return err;
}

/* ---- attributes -------------------------------------------------------------------------------
 */

static void read_any(struct otlp_input *input, const struct otlp_row *row,
		     const struct otlp_wire_field *field, struct otlp_value *ret)
{
	*ret = (struct otlp_value){ .integer = (int64_t)field->value, .bytes = field->bytes };
	switch (row->field) {
	case OTLP_F_TEXT:
		ret->kind = OTLP_VALUE_TEXT;
		break;
	case OTLP_F_TEXT_INDEX:
		ret->kind = OTLP_VALUE_TEXT;
		ret->bytes = otlp_optional_text(input, field->value);
		break;
	case OTLP_F_BOOLEAN:
		ret->kind = OTLP_VALUE_BOOLEAN;
		break;
	case OTLP_F_INTEGER:
		ret->kind = OTLP_VALUE_INTEGER;
		break;
	case OTLP_F_NUMBER:
		ret->kind = OTLP_VALUE_NUMBER;
		memcpy(&ret->number, &field->value, sizeof(ret->number));
		break;
	case OTLP_F_BYTES:
		ret->kind = OTLP_VALUE_BYTES;
		break;
	case OTLP_F_ARRAY:
		ret->kind = OTLP_VALUE_ARRAY;
		break;
	default:
		ret->kind = OTLP_VALUE_MAP;
		break;
	}
}

/* The last of several counts, as everywhere in protobuf. */
static int read_value(struct otlp_input *input, struct str message, struct otlp_value *ret)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;

	*ret = (struct otlp_value){ 0 };
	while ((more = otlp_next(input, &wire, OTLP_ANY_VALUE, message, &field, &row)) > 0)
		read_any(input, row, &field, ret);
	return more;
}

/* A key, and a text or a number behind it: so they come by the thousand. */
static void take_plain_attribute(const struct otlp_input *input, enum otlp_message kind,
				 struct otlp_wire *wire, struct otlp_plain *ret_key,
				 struct otlp_attribute *ret)
{
	struct otlp_wire rest = *wire;
	struct otlp_plain key = { 0 };
	struct otlp_plain any = { 0 };
	struct otlp_plain value = { 0 };
	struct otlp_wire inner;
	enum otlp_field field;

	field = otlp_plain_next(input, &rest, kind, &key);
	if ((field != OTLP_F_KEY_INDEX && field != OTLP_F_KEY) ||
	    otlp_plain_next(input, &rest, kind, &any) != OTLP_F_VALUE)
		return;
	inner = otlp_wire_from(any.bytes);
	field = otlp_plain_next(input, &inner, OTLP_ANY_VALUE, &value);
	if ((field != OTLP_F_TEXT && field != OTLP_F_INTEGER) || inner.next != inner.end)
		return;
	*ret_key = key;
	ret->value = (struct otlp_value){
		.kind = field == OTLP_F_TEXT ? OTLP_VALUE_TEXT : OTLP_VALUE_INTEGER,
		.integer = (int64_t)value.value,
		.bytes = value.bytes,
	};
	*wire = rest;
}

static int read_attribute(struct otlp_input *input, enum otlp_message kind, struct str message,
			  struct otlp_attribute *ret)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	struct otlp_plain key = { 0 };
	int more;
	int err = 0;

	*ret = (struct otlp_attribute){ 0 };
	take_plain_attribute(input, kind, &wire, &key, ret);
	while (!err && (more = otlp_next(input, &wire, kind, message, &field, &row)) != 0) {
		if (more < 0)
			return more;
		if (row->field == OTLP_F_KEY)
			key.bytes = field.bytes;
		else if (row->field == OTLP_F_KEY_INDEX)
			key.value = field.value;
		else if (row->field == OTLP_F_UNIT)
			ret->unit = otlp_optional_text(input, field.value);
		else if (row->field == OTLP_F_VALUE)
			err = read_value(input, field.bytes, &ret->value);
	}
	/* Who was read back from a queue may have both. */
	ret->key = key.bytes.size > 0	    ? key.bytes
		   : kind == OTLP_ATTRIBUTE ? otlp_text(input, key.value)
					    : otlp_optional_text(input, key.value);
	return err;
}

int otlp_read_key_value(struct otlp_input *input, struct str message, struct otlp_attribute *ret)
{
	return read_attribute(input, OTLP_KEY_VALUE, message, ret);
}

/* Units stood in a table of their own, by key. */
static int read_unit(struct otlp_input *input, struct str message)
{
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	struct str key = { 0 };
	struct str unit = { 0 };
	int more;

	while ((more = otlp_next(input, &wire, OTLP_UNIT, message, &field, &row)) > 0) {
		if (row->field == OTLP_F_KEY_INDEX)
			key = otlp_text(input, field.value);
		else
			unit = otlp_text(input, field.value);
	}
	for (uint32_t i = 0; more == 0 && i < input->tables.attributes.count; i++)
		if (key.size > 0 && str_equal(input->tables.attributes.items[i].key, key))
			input->tables.attributes.items[i].unit = unit;
	return more;
}

static int read_table_attribute(struct otlp_input *input, struct str message)
{
	struct otlp_attribute attribute;
	int err = read_attribute(input, input->attribute_message, message, &attribute);

	return err ? err : otlp_append(input, &input->tables.attributes, attribute);
}

enum { UNIT_COUNT_MAX = 64 }; /* each is looked for in all attributes */

static int read_attributes(struct otlp_input *input)
{
	int err = read_table(input, OTLP_TABLE_ATTRIBUTES, read_table_attribute);

	if (!err && input->raw_count[OTLP_TABLE_UNITS] > UNIT_COUNT_MAX)
		return otlp_too_many(input);
	return err ? err : read_table(input, OTLP_TABLE_UNITS, read_unit);
}

/* ---- functions, mappings, locations -----------------------------------------------------------
 */

static int read_function(struct otlp_input *input, struct str message)
{
	struct otlp_function function = { 0 };
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	uint64_t name = 0;
	int more;

	while ((more = otlp_next(input, &wire, OTLP_FUNCTION, message, &field, &row)) > 0) {
		if (row->field == OTLP_F_NAME)
			name = field.value;
		else if (row->field == OTLP_F_SYSTEM_NAME)
			function.system_name = otlp_optional_text(input, field.value);
		else if (row->field == OTLP_F_FILENAME)
			function.filename = otlp_optional_text(input, field.value);
		else if (row->field == OTLP_F_START_LINE)
			function.start_line = (int64_t)field.value;
	}
	/* One whose name stands at 0 has it there, but entry 0 is nothing itself. */
	if (message.size > 0)
		function.name = otlp_text(input, name);
	return more < 0 ? more : otlp_append(input, &input->tables.functions, function);
}

static void take_build_id(struct otlp_mapping *mapping, const struct otlp_attribute *attribute)
{
	struct str prefix = STR("process.executable.build_id.");
	struct str kind = attribute->key;

	if (!str_starts_with(kind, prefix) || attribute->value.kind != OTLP_VALUE_TEXT)
		return;
	kind = (struct str){ kind.text + prefix.size, kind.size - prefix.size };
	if (str_equal(kind, STR("gnu")))
		mapping->gnu = attribute->value.bytes;
	else if (str_equal(kind, STR("go")))
		mapping->go = attribute->value.bytes;
	else if (str_equal(kind, STR("htlhash")) || str_equal(kind, STR("profiling")))
		mapping->htlhash = attribute->value.bytes;
}

/* The attribute that an index names, or NULL, counted. */
static const struct otlp_attribute *attribute_at(struct otlp_input *input, uint64_t index)
{
	uint64_t place = index + input->base;

	if (index < input->tables.attributes.count && place < input->tables.attributes.count)
		return &input->tables.attributes.items[place];
	otlp_note(input, OTLP_FLAW_ATTRIBUTE_INDEX);
	return NULL;
}

typedef void take_attribute(void *what, const struct otlp_attribute *attribute);

static int take_attributes(struct otlp_input *input, const struct otlp_row *row,
			   const struct otlp_wire_field *field, take_attribute *take, void *what)
{
	struct otlp_numbers numbers = otlp_numbers_of(row, field);
	uint64_t index = 0;

	while (otlp_numbers_next(&numbers, &index)) {
		const struct otlp_attribute *attribute = attribute_at(input, index);

		if (attribute)
			take(what, attribute);
	}
	return numbers.is_broken ? otlp_refuse(input, -EBADMSG,
					       "a list of attributes of a mapping or a location is "
					       "cut short")
				 : 0;
}

static void take_mapping_attribute(void *what, const struct otlp_attribute *attribute)
{
	take_build_id(what, attribute);
}

static int read_mapping(struct otlp_input *input, struct str message)
{
	struct otlp_mapping mapping = { 0 };
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	struct str build_id = { 0 };
	uint64_t build_id_kind = 0;
	int more;
	int err = 0;

	while (!err && (more = otlp_next(input, &wire, OTLP_MAPPING, message, &field, &row)) != 0) {
		if (more < 0)
			return more;
		if (row->field == OTLP_F_MEMORY_START)
			mapping.start = field.value;
		else if (row->field == OTLP_F_MEMORY_LIMIT)
			mapping.limit = field.value;
		else if (row->field == OTLP_F_FILE_OFFSET)
			mapping.offset = field.value;
		else if (row->field == OTLP_F_FILENAME)
			mapping.filename = otlp_optional_text(input, field.value);
		else if (row->field == OTLP_F_BUILD_ID)
			build_id = otlp_optional_text(input, field.value);
		else if (row->field == OTLP_F_BUILD_ID_KIND)
			build_id_kind = field.value;
		else if (row->field == OTLP_F_ATTRIBUTE_INDICES)
			err = take_attributes(input, row, &field, take_mapping_attribute, &mapping);
	}
	if (build_id.size > 0)
		*(build_id_kind == 1 ? &mapping.htlhash : &mapping.gnu) = build_id;
	if (mapping.limit > 0 && mapping.limit <= mapping.start)
		otlp_note(input, OTLP_FLAW_MAPPING_RANGE);
	return err ? err : otlp_append(input, &input->tables.mappings, mapping);
}

/* Its place among those that were told; there are few kinds, and most come again soon. */
static int find_frame_type(struct otlp_input *input, struct str text, uint32_t *ret)
{
	enum { LOOK_BACK = 8 };
	__auto_type types = &input->tables.frame_types;
	int err = 0;

	*ret = 0;
	if (text.size == 0)
		return 0;
	for (uint32_t i = types->count; i > 1 && i + LOOK_BACK > types->count; i--)
		if (str_equal(types->items[i - 1], text)) {
			*ret = i - 1;
			return 0;
		}
	if (types->count == 0)
		err = otlp_append(input, types, (struct str){ 0 });
	if (!err)
		err = otlp_append(input, types, text);
	if (!err)
		*ret = types->count - 1;
	return err;
}

/* What attributes tell of a location. */
static void take_location_attribute(void *what, const struct otlp_attribute *attribute)
{
	struct str *frame_type = what;
	static const struct {
		struct str old, now;
	} spellings[] = { { { "python", 6 }, { "cpython", 7 } },
			  { { "v8", 2 }, { "v8js", 4 } },
			  { { "phpjit", 6 }, { "php", 3 } } };

	if (!str_equal(attribute->key, STR("profile.frame.type")) ||
	    attribute->value.kind != OTLP_VALUE_TEXT)
		return;
	*frame_type = attribute->value.bytes;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		if (str_equal(*frame_type, spellings[i].old))
			*frame_type = spellings[i].now;
}

/* What it has in a list: the kind of frame, of which nearly all have no more than one. */
static inline bool take_known_list(const struct otlp_input *input, struct otlp_location *location,
				   struct str list)
{
	if (location->frame_type > 0 || list.size == 0 || !str_equal(list, input->frame_list))
		return false;
	location->frame_type = input->frame_type;
	return true;
}

/* As take_usual_location() finds it. */
static void know_list(struct otlp_input *input, struct str list, uint32_t frame_type)
{
	struct otlp_usual_location *usual = &input->usual;
	uint8_t bytes[sizeof(usual->known)] = { usual->list, (uint8_t)list.size };

	input->frame_list = list;
	input->frame_type = frame_type;
	usual->known_size = 0;
	if (usual->list == 0 || list.size > sizeof(bytes) - 2)
		return;
	memcpy(bytes + 2, list.text, list.size);
	memcpy(&usual->known, bytes, sizeof(bytes));
	memset(bytes, 0xff, list.size + 2);
	memset(bytes + list.size + 2, 0, sizeof(bytes) - list.size - 2);
	memcpy(&usual->mask, bytes, sizeof(bytes));
	usual->known_size = (uint8_t)(list.size + 2);
}

static int take_location_attributes(struct otlp_input *input, struct otlp_location *location,
				    const struct otlp_row *row, const struct otlp_wire_field *field)
{
	struct otlp_wire wire = otlp_wire_from(field->bytes);
	struct str frame_type = otlp_frame_type(&input->tables, location);
	uint64_t index = 0;
	bool is_alone = field->type == OTLP_WIRE_SIZED && otlp_wire_varint(&wire, &index) &&
			wire.next == wire.end;
	int err;

	if (is_alone && take_known_list(input, location, field->bytes))
		return 0;
	err = take_attributes(input, row, field, take_location_attribute, &frame_type);
	if (!err)
		err = find_frame_type(input, frame_type, &location->frame_type);
	/* What is not there is counted each time. */
	if (!err && is_alone && location->frame_type > 0 && index + input->base > 0 &&
	    index < input->tables.attributes.count)
		know_list(input, field->bytes, location->frame_type);
	return err;
}

static int read_line(struct otlp_input *input, struct str message)
{
	struct otlp_line line = { 0 };
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	struct otlp_plain plain = { 0 };
	uint64_t function = 0;
	int more;

	if (otlp_plain_next(input, &wire, OTLP_LINE, &plain) == OTLP_F_FUNCTION_INDEX)
		function = plain.value;
	else
		wire = otlp_wire_from(message);
	while ((more = otlp_next(input, &wire, OTLP_LINE, message, &field, &row)) > 0) {
		if (row->field == OTLP_F_FUNCTION_INDEX)
			function = field.value;
		else if (row->field == OTLP_F_LINE)
			line.line = (int64_t)field.value;
		else
			line.column = (int64_t)field.value;
	}
	line.function = otlp_index(input, function, input->tables.functions.count,
				   OTLP_FLAW_FUNCTION_INDEX);
	return more < 0 ? more : otlp_append(input, &input->tables.lines, line);
}

static int take_location_field(struct otlp_input *input, struct otlp_location *location,
			       const struct otlp_row *row, const struct otlp_wire_field *field)
{
	uint32_t mapping_count = input->tables.mappings.count;
	struct str frame_type = { 0 };

	switch (row->field) {
	case OTLP_F_MAPPING_INDEX:
		location->mapping =
			otlp_index(input, field->value, mapping_count, OTLP_FLAW_MAPPING_INDEX);
		return 0;
	case OTLP_F_ADDRESS:
		location->address = field->value;
		return 0;
	case OTLP_F_TYPE_INDEX:
		take_location_attribute(
			&frame_type,
			&(struct otlp_attribute){
				.key = STR("profile.frame.type"),
				.value = { .kind = OTLP_VALUE_TEXT,
					   .bytes = otlp_optional_text(input, field->value) } });
		return find_frame_type(input, frame_type, &location->frame_type);
	case OTLP_F_ATTRIBUTE_INDICES:
		return take_location_attributes(input, location, row, field);
	case OTLP_F_LINES:
		location->lines.count++;
		return read_line(input, field->bytes);
	default:
		return 0;
	}
}

/* Fields that nearly all have; the first other one, if any, is still to be read. */
static int take_plain_location(struct otlp_input *input, struct otlp_location *location,
			       struct otlp_wire *wire)
{
	uint32_t mapping_count = input->tables.mappings.count;
	struct otlp_plain plain = { 0 };
	struct otlp_wire rest = *wire, read = rest;
	enum otlp_field field;
	int err = 0;

	while (!err &&
	       (field = otlp_plain_next(input, &rest, OTLP_LOCATION, &plain)) != OTLP_NO_FIELD) {
		if (field == OTLP_F_ADDRESS) {
			location->address = plain.value;
		} else if (field == OTLP_F_MAPPING_INDEX && plain.value < mapping_count &&
			   plain.value + input->base < mapping_count) {
			location->mapping = (uint32_t)plain.value + input->base;
		} else if (field == OTLP_F_LINES) {
			err = read_line(input, plain.bytes);
			location->lines.count++;
		} else if (field != OTLP_F_ATTRIBUTE_INDICES ||
			   !take_known_list(input, location, plain.bytes)) {
			break;
		}
		read = rest;
	}
	*wire = read;
	return err;
}

/*
 * The three fields that most have, in their order, as far as they are as usual. Numbers are taken
 * out of eight bytes, which may be those of what follows; only near the end of the request there
 * are none.
 */
static void take_usual_location(const struct otlp_input *input, struct otlp_location *location,
				struct otlp_wire *wire)
{
	enum { READ_SIZE = 1 + 10 + 1 + 10 + OTLP_WIRE_WORD_SIZE };
	const struct otlp_usual_location *usual = &input->usual;
	struct str all = input->reading->bytes;
	const uint8_t *next = wire->next, *end = wire->end;
	struct otlp_wire_number number;
	uint64_t word;

	/* No field has the tag 0, which stands for one that is not usual. */
	if (next == end || *next == 0 || (const uint8_t *)all.text + all.size - next < READ_SIZE)
		return;
	if (*next == usual->mapping) {
		number = otlp_wire_word(next + 1);
		if (!number.end || number.end > end || number.value >= input->tables.mappings.count)
			return;
		location->mapping = (uint32_t)number.value;
		wire->next = next = number.end;
	}
	if (next < end && *next == usual->address) {
		number = otlp_wire_word(next + 1);
		if (!number.end || number.end > end)
			return;
		location->address = number.value;
		wire->next = next = number.end;
	}
	memcpy(&word, next, sizeof(word));
	if (usual->known_size > 0 && end - next == usual->known_size &&
	    (word & usual->mask) == usual->known) {
		location->frame_type = input->frame_type;
		wire->next = end;
	}
}

/* What a location has besides, and where it is not as usual; wire is what is left of it. */
__attribute__((noinline)) static int read_unusual_location(struct otlp_input *input,
							   struct otlp_location location,
							   struct otlp_wire wire,
							   struct str message)
{
	struct otlp_tables *tables = &input->tables;
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = take_plain_location(input, &location, &wire);

	while (!err &&
	       (more = otlp_next(input, &wire, OTLP_LOCATION, message, &field, &row)) != 0) {
		if (more < 0)
			return more;
		err = take_location_field(input, &location, row, &field);
		if (!err)
			err = take_plain_location(input, &location, &wire);
	}
	assert(err || location.lines.first + location.lines.count == tables->lines.count);
	return err ? err : otlp_append(input, &tables->locations, location);
}

static inline int read_location(struct otlp_input *input, struct str message)
{
	struct otlp_tables *tables = &input->tables;
	/* Not where it belongs until it is whole: what is taken of it stays in registers. */
	struct otlp_location location = { .lines = { .first = tables->lines.count } };
	struct otlp_wire wire = otlp_wire_from(message);

	/* 1.3 says nothing where it means the first one. */
	if (input->layout.revision == OTLP_R1_3 && tables->mappings.count > 1)
		location.mapping = 1;
	take_usual_location(input, &location, &wire);
	if (wire.next < wire.end)
		return read_unusual_location(input, location, wire, message);
	return otlp_append(input, &tables->locations, location);
}

/* ---- links and stacks -------------------------------------------------------------------------
 */

static bool is_zero(struct str id)
{
	for (size_t i = 0; i < id.size; i++)
		if (id.text[i])
			return false;
	return true;
}

static int read_link(struct otlp_input *input, struct str message)
{
	struct otlp_link link = { 0 };
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;

	while ((more = otlp_next(input, &wire, OTLP_LINK, message, &field, &row)) > 0)
		*(row->field == OTLP_F_TRACE_ID ? &link.trace_id : &link.span_id) = field.bytes;
	if (is_zero(link.trace_id) && is_zero(link.span_id)) {
		link = (struct otlp_link){ 0 };
	} else if (link.trace_id.size != 16 || link.span_id.size != 8) {
		otlp_note(input, OTLP_FLAW_LINK_ID);
		link = (struct otlp_link){ 0 };
	}
	return more < 0 ? more : otlp_append(input, &input->tables.links, link);
}

/* There is room for all. False when the list is cut short. */
static bool take_places(struct otlp_input *input, const struct otlp_row *row,
			const struct otlp_wire_field *field)
{
	struct otlp_tables *tables = &input->tables;
	struct otlp_numbers numbers = otlp_numbers_of(row, field);
	uint32_t *next = tables->indices.items + tables->indices.count;
	uint32_t location_count = tables->locations.count;
	uint64_t index = 0;

	assert(!numbers.is_fixed);
	while (otlp_numbers_next(&numbers, &index)) {
		if (index >= location_count) {
			otlp_note(input, OTLP_FLAW_LOCATION_INDEX);
			index = OTLP_NO_LOCATION;
		}
		*next++ = (uint32_t)index;
	}
	tables->indices.count = (uint32_t)(next - tables->indices.items);
	return !numbers.is_broken;
}

/* The same of the only field of a stack, a packed list, as nearly all are: false when it is another
 * one, and nothing was taken. */
static bool take_plain_places(struct otlp_input *input, struct str message)
{
	struct otlp_tables *tables = &input->tables;
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_plain list = { 0 };
	uint32_t location_count = tables->locations.count;
	uint32_t *next;
	uint64_t index = 0;

	if (otlp_plain_next(input, &wire, OTLP_STACK, &list) != OTLP_F_LOCATION_INDICES ||
	    wire.next != wire.end ||
	    list.bytes.size > OTLP_ITEM_COUNT_MAX - (size_t)tables->indices.count ||
	    array_reserve(&tables->indices, list.bytes.size) < 0)
		return false;
	next = tables->indices.items + tables->indices.count;
	for (wire = otlp_wire_from(list.bytes); wire.next < wire.end;) {
		if (!otlp_wire_varint(&wire, &index) || index >= location_count)
			return false;
		*next++ = (uint32_t)index;
	}
	tables->indices.count = (uint32_t)(next - tables->indices.items);
	return true;
}

static int read_stack(struct otlp_input *input, struct str message)
{
	struct otlp_tables *tables = &input->tables;
	struct otlp_range stack = { .first = tables->indices.count };
	struct otlp_wire wire = otlp_wire_from(message);
	struct otlp_wire_field field;
	const struct otlp_row *row;
	int more;
	int err = 0;

	if (take_plain_places(input, message))
		wire.next = wire.end;
	while (!err && (more = otlp_next(input, &wire, OTLP_STACK, message, &field, &row)) != 0) {
		if (more < 0)
			return more;
		err = otlp_reserve(input, &tables->indices, &field);
		if (!err && !take_places(input, row, &field))
			err = otlp_refuse(input, -EBADMSG,
					  "the locations of stack %u are cut short",
					  tables->stacks.count);
	}
	stack.count = tables->indices.count - stack.first;
	return err ? err : otlp_append(input, &tables->stacks, stack);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

/* What is nothing has place 0, in revisions that had no such place, too. */
static int add_nothing(struct otlp_input *input)
{
	struct otlp_tables *tables = &input->tables;
	int err = otlp_append(input, &tables->attributes, (struct otlp_attribute){ 0 });

	if (!err)
		err = otlp_append(input, &tables->functions, (struct otlp_function){ 0 });
	if (!err)
		err = otlp_append(input, &tables->mappings, (struct otlp_mapping){ 0 });
	if (!err)
		err = otlp_append(input, &tables->locations, (struct otlp_location){ 0 });
	return err ? err : otlp_append(input, &tables->links, (struct otlp_link){ 0 });
}

/* Where the revision says that entry 0 is nothing. */
static void check_nothing(struct otlp_input *input)
{
	const struct otlp_tables *tables = &input->tables;
	const bool is_something[] = {
		tables->strings.count > 0 && tables->strings.items[0].size > 0,
		tables->attributes.count > 0 &&
			tables->attributes.items[0].value.kind != OTLP_VALUE_NONE,
		tables->functions.count > 0 && tables->functions.items[0].name.size > 0,
		tables->mappings.count > 0 && tables->mappings.items[0].limit > 0,
		tables->locations.count > 0 && (tables->locations.items[0].lines.count > 0 ||
						tables->locations.items[0].address > 0),
		tables->links.count > 0 && tables->links.items[0].trace_id.size > 0,
		tables->stacks.count > 0 && tables->stacks.items[0].count > 0,
	};

	for (size_t i = 0; input->base == 0 && i < sizeof(is_something) / sizeof(is_something[0]);
	     i++)
		if (is_something[i])
			otlp_note(input, OTLP_FLAW_ENTRY_ZERO);
}

/* Before 1.8 a place in a table is one less than here, and nothing is usual. */
static void find_usual(struct otlp_input *input)
{
	struct otlp_usual_location *usual = &input->usual;

	*usual = (struct otlp_usual_location){ 0 };
	for (uint8_t tag = 1; input->base == 0 && tag < OTLP_TAG_COUNT; tag++) {
		enum otlp_field field = (enum otlp_field)input->layout.plain[OTLP_LOCATION][tag];

		if (field == OTLP_F_MAPPING_INDEX)
			usual->mapping = tag;
		else if (field == OTLP_F_ADDRESS)
			usual->address = tag;
		else if (field == OTLP_F_ATTRIBUTE_INDICES)
			usual->list = tag;
	}
}

/* Room for all at once: arrays that grow are copied. */
static int make_room(struct otlp_input *input)
{
	struct otlp_tables *tables = &input->tables;

	input->frame_list = (struct str){ 0 };
	input->frame_type = 0;
	find_usual(input);
	if (array_reserve(&tables->attributes, input->raw_count[OTLP_TABLE_ATTRIBUTES]) < 0 ||
	    array_reserve(&tables->functions, input->raw_count[OTLP_TABLE_FUNCTIONS]) < 0 ||
	    array_reserve(&tables->mappings, input->raw_count[OTLP_TABLE_MAPPINGS]) < 0 ||
	    array_reserve(&tables->locations, input->raw_count[OTLP_TABLE_LOCATIONS]) < 0 ||
	    array_reserve(&tables->links, input->raw_count[OTLP_TABLE_LINKS]) < 0 ||
	    array_reserve(&tables->stacks, input->raw_count[OTLP_TABLE_STACKS]) < 0)
		return -ENOMEM;
	return 0;
}

int otlp_tables_read(struct otlp_input *input)
{
	int err = input->base ? add_nothing(input) : 0;

	input->tables.serial++;
	if (!err)
		err = make_room(input);
	/* In this order, since each is checked against those before it. */
	if (!err)
		err = read_attributes(input);
	if (!err)
		err = read_table(input, OTLP_TABLE_FUNCTIONS, read_function);
	if (!err)
		err = read_table(input, OTLP_TABLE_MAPPINGS, read_mapping);
	if (!err)
		err = read_table(input, OTLP_TABLE_LOCATIONS, read_location);
	if (!err)
		err = read_table(input, OTLP_TABLE_LINKS, read_link);
	if (!err)
		err = read_table(input, OTLP_TABLE_STACKS, read_stack);
	if (!err)
		check_nothing(input);
	return err;
}

void otlp_tables_clear(struct otlp_input *input)
{
	struct otlp_tables *tables = &input->tables;

	for (size_t i = 0; i < OTLP_TABLE_COUNT; i++)
		input->raw[i].count = input->raw_count[i] = 0;
	tables->strings.count = tables->attributes.count = tables->mappings.count = 0;
	tables->functions.count = tables->lines.count = tables->locations.count = 0;
	tables->links.count = tables->stacks.count = tables->indices.count = 0;
	tables->frame_types.count = 0;
}

void otlp_tables_done(struct otlp_input *input)
{
	struct otlp_tables *tables = &input->tables;

	for (size_t i = 0; i < OTLP_TABLE_COUNT; i++)
		array_done(&input->raw[i]);
	array_done(&tables->strings);
	array_done(&tables->attributes);
	array_done(&tables->mappings);
	array_done(&tables->functions);
	array_done(&tables->lines);
	array_done(&tables->locations);
	array_done(&tables->frame_types);
	array_done(&tables->links);
	array_done(&tables->stacks);
	array_done(&tables->indices);
}

size_t otlp_tables_memory(const struct otlp_input *input)
{
	const struct otlp_tables *tables = &input->tables;
	size_t memory = 0;

	for (size_t i = 0; i < OTLP_TABLE_COUNT; i++)
		memory += array_memory(&input->raw[i]);
	return memory + array_memory(&tables->strings) + array_memory(&tables->attributes) +
	       array_memory(&tables->mappings) + array_memory(&tables->functions) +
	       array_memory(&tables->lines) + array_memory(&tables->locations) +
	       array_memory(&tables->frame_types) + array_memory(&tables->links) +
	       array_memory(&tables->stacks) + array_memory(&tables->indices);
}

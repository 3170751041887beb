/* SPDX-License-Identifier: Apache-2.0 */
#include "web/jfr_types.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum {
	/* Fields in place, within fields in place: the JDK has two. */
	DEPTH_MAX = 16,
	/* Elements of the metadata: root, metadata, class, field, annotation. */
	ELEMENT_DEPTH_MAX = 16,
	TEXT_SIZE_MAX = 1 << 20, /* one that is not UTF-8 as it stands, */
	KEPT_SIZE_MAX = 4 << 20, /* and all of them */
};

/* How a field's value lies in the file. */
enum jfr_form {
	FORM_NUMBER = 0, /* packed, or as wide as its type */
	FORM_BYTES,	 /* so many, never packed: .type is how many */
	FORM_TEXT,
	FORM_FIELDS, /* of a type, in place */
};

/* How a text does: the byte in front of it. */
enum {
	TEXT_ABSENT = 0,
	TEXT_EMPTY,
	TEXT_REFERENCE, /* to the pool of texts */
	TEXT_UTF8,
	TEXT_UTF16, /* each unit a number */
	TEXT_LATIN1,
};

/* ---- numbers and texts ------------------------------------------------------------------------
 */

/* Fewer bytes are left than a number may have: one that does not end there is none. */
uint64_t jfr_packed_near_end(struct bytes *bytes)
{
	uint64_t value = 0;

	assert(bytes->left < JFR_PACKED_SIZE_MAX);
	for (size_t i = 0; i < bytes->left; i++) {
		uint8_t byte = bytes->next[i];

		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte >= 0x80)
			continue;
		bytes->next += i + 1;
		bytes->left -= i + 1;
		return value;
	}
	bytes->error = -EBADMSG;
	bytes->left = 0;
	return 0;
}

uint64_t jfr_fixed(struct bytes *bytes, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value = value << 8 | bytes_u8(bytes);
	return value;
}

static void fail(struct jfr_bytes *bytes)
{
	bytes->bytes.error = -EBADMSG;
	bytes->bytes.left = 0;
}

static void add_character(struct buf *room, uint32_t c)
{
	if (c < 0x80) {
		buf_add_u8(room, (uint8_t)c);
		return;
	}
	if (c >= 0x10000)
		buf_add_u8(room, (uint8_t)(0xf0 | c >> 18));
	if (c >= 0x10000 || c >= 0x800)
		buf_add_u8(room, (uint8_t)((c >= 0x10000 ? 0x80 : 0xe0) | (c >> 12 & 0x3f)));
	buf_add_u8(room, (uint8_t)((c >= 0x800 ? 0x80 : 0xc0) | (c >> 6 & 0x3f)));
	buf_add_u8(room, (uint8_t)(0x80 | (c & 0x3f)));
}

/* What is half of a pair, and stands alone, is no character. */
static void add_utf16(struct buf *room, uint32_t *high, uint32_t unit)
{
	enum { NO_CHARACTER = 0xfffd };

	unit &= 0xffff;
	if (*high && unit >= 0xdc00 && unit < 0xe000) {
		add_character(room, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
		*high = 0;
		return;
	}
	if (*high)
		add_character(room, NO_CHARACTER);
	*high = unit >= 0xd800 && unit < 0xdc00 ? unit : 0;
	if (!*high)
		add_character(room, unit >= 0xdc00 && unit < 0xe000 ? NO_CHARACTER : unit);
}

static uint32_t take_character(struct jfr_bytes *bytes)
{
	return (uint32_t)(bytes->is_packed ? jfr_packed(&bytes->bytes)
					   : jfr_fixed(&bytes->bytes, 2));
}

static struct str take_utf16(struct jfr_bytes *bytes, struct buf *room)
{
	uint32_t count = jfr_types_count(bytes);
	uint32_t high = 0;

	for (uint32_t i = 0; i < count && !bytes->bytes.error; i++)
		add_utf16(room, &high, take_character(bytes));
	if (high)
		add_utf16(room, &high, 0);
	return (struct str){ (const char *)room->bytes, room->size };
}

static struct str take_latin1(struct str text, struct buf *room)
{
	size_t i = 0;

	while (i < text.size && (uint8_t)text.text[i] < 0x80)
		i++;
	if (i == text.size)
		return text;
	for (i = 0; i < text.size; i++)
		add_character(room, (uint8_t)text.text[i]);
	return (struct str){ (const char *)room->bytes, room->size };
}

struct str jfr_text(struct jfr_bytes *bytes, struct buf *room, uint64_t *ret_reference)
{
	uint8_t form = bytes_u8(&bytes->bytes);
	struct str text = { 0 };
	uint32_t size;

	*ret_reference = 0;
	buf_clear(room);
	switch (form) {
	case TEXT_ABSENT:
	case TEXT_EMPTY:
		return text;
	case TEXT_REFERENCE:
		*ret_reference = jfr_long(bytes);
		return text;
	case TEXT_UTF8:
	case TEXT_LATIN1:
		size = jfr_int(bytes);
		text.text = bytes_take(&bytes->bytes, size);
		text.size = text.text ? size : 0;
		return form == TEXT_UTF8 ? text : take_latin1(text, room);
	case TEXT_UTF16:
		return take_utf16(bytes, room);
	default:
		fail(bytes);
		return text;
	}
}

void jfr_text_skip(struct jfr_bytes *bytes)
{
	switch (bytes_u8(&bytes->bytes)) {
	case TEXT_ABSENT:
	case TEXT_EMPTY:
		return;
	case TEXT_REFERENCE:
		(void)jfr_long(bytes);
		return;
	case TEXT_UTF8:
	case TEXT_LATIN1:
		(void)bytes_take(&bytes->bytes, jfr_int(bytes));
		return;
	case TEXT_UTF16:
		for (uint32_t i = jfr_types_count(bytes); i > 0 && !bytes->bytes.error; i--)
			(void)take_character(bytes);
		return;
	default:
		fail(bytes);
	}
}

uint32_t jfr_types_count(struct jfr_bytes *bytes)
{
	uint32_t count = jfr_int(bytes);

	if (count > bytes->bytes.left) {
		fail(bytes);
		return 0;
	}
	return count;
}

/* ---- what is wanted ---------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	enum jfr_kind kind;
} kinds[] = {
	{ "jdk.types.StackTrace", JFR_STACK_TRACE },
	{ "jdk.types.Method", JFR_METHOD },
	{ "java.lang.Class", JFR_CLASS },
	{ "jdk.types.Symbol", JFR_SYMBOL },
	{ "java.lang.String", JFR_STRING },
	{ "java.lang.Thread", JFR_THREAD },
	{ "jdk.types.ThreadState", JFR_THREAD_STATE },
	{ "jdk.types.FrameType", JFR_FRAME_TYPE },
	{ "jdk.types.StackFrame", JFR_STACK_FRAME },
	{ "jdk.ExecutionSample", JFR_EXECUTION_SAMPLE },
	{ "jdk.CPUTimeSample", JFR_CPU_TIME_SAMPLE },
	{ "jdk.NativeMethodSample", JFR_NATIVE_SAMPLE },
	{ "profiler.WallClockSample", JFR_WALL_CLOCK_SAMPLE },
	{ "jdk.ObjectAllocationInNewTLAB", JFR_IN_NEW_TLAB },
	{ "jdk.ObjectAllocationOutsideTLAB", JFR_OUTSIDE_TLAB },
	{ "jdk.ObjectAllocationSample", JFR_ALLOCATION_SAMPLE },
	{ "jdk.JavaMonitorEnter", JFR_MONITOR_ENTER },
	{ "jdk.ThreadPark", JFR_THREAD_PARK },
	{ "profiler.LiveObject", JFR_LIVE_OBJECT },
	{ "profiler.Malloc", JFR_MALLOC },
	{ "jdk.ActiveSetting", JFR_SETTING },
};

/* Which kinds have which fields: from, to. */
static const struct {
	const char *name;
	enum jfr_kind from, to;
	int8_t slot;
} wanted[] = {
	{ "truncated", JFR_STACK_TRACE, JFR_STACK_TRACE, JFR_TRACE_TRUNCATED },
	{ "frames", JFR_STACK_TRACE, JFR_STACK_TRACE, JFR_TRACE_FRAMES },
	{ "method", JFR_STACK_FRAME, JFR_STACK_FRAME, JFR_FRAME_METHOD },
	{ "lineNumber", JFR_STACK_FRAME, JFR_STACK_FRAME, JFR_FRAME_LINE },
	{ "type", JFR_STACK_FRAME, JFR_STACK_FRAME, JFR_FRAME_KIND },
	{ "type", JFR_METHOD, JFR_METHOD, JFR_METHOD_CLASS },
	{ "name", JFR_METHOD, JFR_METHOD, JFR_METHOD_NAME },
	{ "name", JFR_CLASS, JFR_CLASS, JFR_NAME },
	{ "string", JFR_SYMBOL, JFR_SYMBOL, JFR_NAME },
	{ "javaName", JFR_THREAD, JFR_THREAD, JFR_NAME },
	{ "osName", JFR_THREAD, JFR_THREAD, JFR_OTHER_NAME },
	{ "name", JFR_THREAD_STATE, JFR_THREAD_STATE, JFR_NAME },
	{ "description", JFR_FRAME_TYPE, JFR_FRAME_TYPE, JFR_NAME },
	{ "id", JFR_SETTING, JFR_SETTING, JFR_SETTING_EVENT },
	{ "name", JFR_SETTING, JFR_SETTING, JFR_SETTING_NAME },
	{ "value", JFR_SETTING, JFR_SETTING, JFR_SETTING_VALUE },
	{ "stackTrace", JFR_EXECUTION_SAMPLE, JFR_MALLOC, JFR_SAMPLE_TRACE },
	{ "sampledThread", JFR_EXECUTION_SAMPLE, JFR_MALLOC, JFR_SAMPLE_THREAD },
	{ "eventThread", JFR_EXECUTION_SAMPLE, JFR_MALLOC, JFR_SAMPLE_THREAD },
	{ "state", JFR_EXECUTION_SAMPLE, JFR_WALL_CLOCK_SAMPLE, JFR_SAMPLE_STATE },
	{ "samples", JFR_WALL_CLOCK_SAMPLE, JFR_WALL_CLOCK_SAMPLE, JFR_SAMPLE_WEIGHT },
	{ "tlabSize", JFR_IN_NEW_TLAB, JFR_IN_NEW_TLAB, JFR_SAMPLE_WEIGHT },
	{ "allocationSize", JFR_OUTSIDE_TLAB, JFR_OUTSIDE_TLAB, JFR_SAMPLE_WEIGHT },
	{ "weight", JFR_ALLOCATION_SAMPLE, JFR_ALLOCATION_SAMPLE, JFR_SAMPLE_WEIGHT },
	{ "samplingPeriod", JFR_CPU_TIME_SAMPLE, JFR_CPU_TIME_SAMPLE, JFR_SAMPLE_WEIGHT },
	{ "duration", JFR_MONITOR_ENTER, JFR_THREAD_PARK, JFR_SAMPLE_WEIGHT },
	{ "size", JFR_MALLOC, JFR_MALLOC, JFR_SAMPLE_WEIGHT },
	{ "contextId", JFR_EXECUTION_SAMPLE, JFR_MALLOC, JFR_SAMPLE_CONTEXT },
	{ "spanId", JFR_EXECUTION_SAMPLE, JFR_MALLOC, JFR_SAMPLE_SPAN },
	{ "spanName", JFR_EXECUTION_SAMPLE, JFR_MALLOC, JFR_SAMPLE_SPAN_NAME },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum jfr_kind kind_of(struct str name)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (str_equal(name, str_from(kinds[i].name)))
			return kinds[i].kind;
	return JFR_OTHER;
}

static int8_t slot_of(enum jfr_kind kind, struct str name)
{
	for (size_t i = 0; i < COUNT(wanted); i++)
		if (kind >= wanted[i].from && kind <= wanted[i].to &&
		    str_equal(name, str_from(wanted[i].name)))
			return wanted[i].slot;
	return -1;
}

/* Those that have no fields but a value; 0 for others. */
static uint8_t size_of_primitive(struct str name, bool *ret_is_packed)
{
	static const struct {
		const char *name;
		uint8_t size;
		bool is_packed;
	} primitives[] = {
		{ "boolean", 1, false }, { "byte", 1, false },	 { "char", 2, true },
		{ "short", 2, true },	 { "int", 4, true },	 { "long", 8, true },
		{ "float", 4, false },	 { "double", 8, false },
	};

	for (size_t i = 0; i < COUNT(primitives); i++)
		if (str_equal(name, str_from(primitives[i].name))) {
			*ret_is_packed = primitives[i].is_packed;
			return primitives[i].size;
		}
	return 0;
}

/* ---- metadata ---------------------------------------------------------------------------------
 */

/* What an element's attributes say. */
struct element {
	struct str name;
	struct str attribute_name;
	uint64_t id, type;
	bool is_pooled, is_array;
	uint32_t child_count;
};

struct metadata {
	struct jfr_types *types;
	struct jfr_bytes bytes;
	char *reason; /* JFR_ERROR_SIZE */
	/* Children that are still to be read, of each element that is begun. */
	uint32_t left[ELEMENT_DEPTH_MAX];
	uint32_t depth;
};

static int refuse(struct metadata *metadata, int err, const char *what, uint64_t number)
{
	snprintf(metadata->reason, JFR_ERROR_SIZE, "%s %" PRIu64, what, number);
	return err;
}

/* The JDK writes its own in UTF-16, others in UTF-8, which stays where it is. */
static int keep_text(struct jfr_types *types, struct str *text)
{
	char *copy;

	if (text->size == 0 || text->text != (const char *)types->room.bytes)
		return 0;
	if (types->room.error == -ENOMEM)
		return -ENOMEM;
	copy = arena_take(&types->kept, text->size, 1);
	if (!copy)
		return types->kept.error;
	memcpy(copy, text->text, text->size);
	text->text = copy;
	return 0;
}

static int read_texts(struct metadata *metadata)
{
	struct jfr_types *types = metadata->types;
	uint32_t count = jfr_types_count(&metadata->bytes);

	if (count > JFR_TEXT_COUNT_MAX)
		return refuse(metadata, -E2BIG, "its metadata has too many texts:", count);
	if (array_reserve(&types->texts, count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && !metadata->bytes.bytes.error; i++) {
		uint64_t reference;
		struct str text = jfr_text(&metadata->bytes, &types->room, &reference);
		int err = keep_text(types, &text);

		if (err == -E2BIG)
			return refuse(metadata, err, "its metadata has too large texts:", i);
		if (err)
			return err;
		types->texts.items[types->texts.count++] = text;
	}
	return metadata->bytes.bytes.error
		       ? refuse(metadata, -EBADMSG, "its metadata ends within text",
				types->texts.count)
		       : 0;
}

static int take_text(struct metadata *metadata, struct str *ret)
{
	uint32_t number = jfr_int(&metadata->bytes);

	if (number >= metadata->types->texts.count)
		return refuse(metadata, -EBADMSG, "its metadata names a text that is not there,",
			      number);
	*ret = metadata->types->texts.items[number];
	return 0;
}

/* Those that are no number are nobody's, and 0. */
static uint64_t number_of(struct str text)
{
	bool is_negative = text.size > 1 && text.text[0] == '-';
	uint64_t number = 0;

	for (size_t i = is_negative; i < text.size; i++) {
		if (text.text[i] < '0' || text.text[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(text.text[i] - '0');
	}
	return is_negative ? -number : number;
}

static int read_attributes(struct metadata *metadata, struct element *element)
{
	uint32_t count = jfr_types_count(&metadata->bytes);

	for (uint32_t i = 0; i < count; i++) {
		struct str key = { 0 };
		struct str value = { 0 };
		int err = take_text(metadata, &key);

		if (!err)
			err = take_text(metadata, &value);
		if (err)
			return err;
		if (str_equal(key, STR("name")))
			element->attribute_name = value;
		else if (str_equal(key, STR("id")))
			element->id = number_of(value);
		else if (str_equal(key, STR("class")))
			element->type = number_of(value);
		else if (str_equal(key, STR("constantPool")))
			element->is_pooled = str_equal(value, STR("true"));
		else if (str_equal(key, STR("dimension")))
			element->is_array = number_of(value) > 0;
	}
	return 0;
}

static bool has_id(const void *context, uint32_t number, const void *key)
{
	return ((const struct jfr_types *)context)->types.items[number].id ==
	       *(const uint64_t *)key;
}

uint32_t jfr_types_find_far(const struct jfr_types *types, uint64_t id)
{
	return table_find(&types->table, table_hash_bytes(&id, sizeof(id), 0), &id, has_id, types);
}

static int add_type(struct metadata *metadata, const struct element *element)
{
	struct jfr_types *types = metadata->types;
	enum jfr_kind kind = kind_of(element->attribute_name);
	int err;

	if (jfr_types_find(types, element->id) != TABLE_NONE)
		return refuse(metadata, -EBADMSG, "its metadata has two types with the id",
			      element->id);
	if (array_reserve(&types->types, 1) < 0)
		return -ENOMEM;
	err = table_add(&types->table, table_hash_bytes(&element->id, sizeof(element->id), 0));
	if (err == -ENOSPC)
		return refuse(metadata, -E2BIG, "its metadata has more types than",
			      types->table.count_max);
	if (err)
		return err;
	if (kind != JFR_OTHER && types->of_kind[kind] == TABLE_NONE)
		types->of_kind[kind] = types->types.count;
	else
		kind = JFR_OTHER;
	if (element->id < JFR_NEAR_ID_COUNT)
		types->near[element->id] = types->types.count;
	types->types.items[types->types.count++] =
		(struct jfr_type){ .id = element->id,
				   .name = element->attribute_name,
				   .first_field = types->fields.count,
				   .kind = kind };
	return 0;
}

/* Of the type that was begun last. */
static int add_field(struct metadata *metadata, const struct element *element)
{
	struct jfr_types *types = metadata->types;

	if (types->types.count == 0)
		return refuse(metadata, -EBADMSG, "its metadata has a field of no type, at depth",
			      metadata->depth);
	if (types->fields.count == JFR_FIELD_COUNT_MAX)
		return refuse(metadata, -E2BIG, "its metadata has more fields than",
			      JFR_FIELD_COUNT_MAX);
	if (array_reserve(&types->fields, 1) < 0 || array_reserve(&types->field_types, 1) < 0)
		return -ENOMEM;

	struct jfr_type *type = &types->types.items[types->types.count - 1];

	types->field_types.items[types->field_types.count++] = element->type;
	types->fields.items[types->fields.count++] =
		(struct jfr_field){ .form = element->is_pooled ? FORM_NUMBER : FORM_FIELDS,
				    .slot = slot_of(type->kind, element->attribute_name),
				    .is_array = element->is_array };
	type->field_count++;
	assert(type->first_field + type->field_count == types->fields.count);
	return 0;
}

static int begin_element(struct metadata *metadata)
{
	struct element element = { 0 };
	int err = take_text(metadata, &element.name);

	if (!err)
		err = read_attributes(metadata, &element);
	if (!err && str_equal(element.name, STR("class")))
		err = add_type(metadata, &element);
	else if (!err && str_equal(element.name, STR("field")))
		err = add_field(metadata, &element);
	if (err)
		return err;
	if (metadata->depth == ELEMENT_DEPTH_MAX)
		return refuse(metadata, -EBADMSG, "its metadata has elements deeper than",
			      ELEMENT_DEPTH_MAX);
	metadata->left[metadata->depth++] = jfr_types_count(&metadata->bytes);
	return metadata->bytes.bytes.error
		       ? refuse(metadata, -EBADMSG, "its metadata is cut short, at depth",
				metadata->depth)
		       : 0;
}

static int read_elements(struct metadata *metadata)
{
	int err = begin_element(metadata);

	while (!err && metadata->depth > 0) {
		if (metadata->left[metadata->depth - 1] == 0) {
			metadata->depth--;
		} else {
			metadata->left[metadata->depth - 1]--;
			err = begin_element(metadata);
		}
	}
	return err;
}

/* Ids become numbers of types, or the form in which a value lies in the file. */
static int resolve_field(struct metadata *metadata, uint32_t number)
{
	struct jfr_types *types = metadata->types;
	struct jfr_field *field = &types->fields.items[number];
	uint32_t type = jfr_types_find(types, types->field_types.items[number]);
	bool is_packed = false;
	uint8_t size;

	if (field->form == FORM_NUMBER) { /* of a pool */
		field->type = 8;
		return 0;
	}
	if (type == TABLE_NONE)
		return refuse(metadata, -EBADMSG,
			      "its metadata has a field of a type that is not there,",
			      types->field_types.items[number]);
	size = size_of_primitive(types->types.items[type].name, &is_packed);
	if (size > 0)
		field->form = is_packed ? FORM_NUMBER : FORM_BYTES;
	else if (types->types.items[type].kind == JFR_STRING)
		field->form = FORM_TEXT;
	field->type = size > 0 ? size : type;
	return 0;
}

static bool takes_bytes(const struct jfr_types *types, const struct jfr_type *type)
{
	for (uint32_t i = 0; i < type->field_count; i++) {
		const struct jfr_field *field = &types->fields.items[type->first_field + i];

		if (field->form != FORM_FIELDS || field->is_array ||
		    !types->types.items[field->type].is_empty)
			return true;
	}
	return type->kind == JFR_STRING;
}

/*
 * What takes no bytes is known, so that a walk over an array of it ends. A type that is its own
 * field, at whatever distance, has no values, and counts as one of these.
 */
static void find_empty(struct jfr_types *types)
{
	bool changes = true;

	for (uint32_t i = 0; i < types->types.count; i++)
		types->types.items[i].is_empty = true;
	for (int i = 0; changes && i < DEPTH_MAX; i++) {
		changes = false;
		for (uint32_t number = 0; number < types->types.count; number++) {
			struct jfr_type *type = &types->types.items[number];

			if (!type->is_empty || !takes_bytes(types, type))
				continue;
			type->is_empty = false;
			changes = true;
		}
	}
}

static void find_packed(struct jfr_types *types)
{
	for (uint32_t i = 0; i < types->types.count; i++) {
		struct jfr_type *type = &types->types.items[i];
		uint32_t count = types->is_packed ? type->field_count : 0;

		for (uint32_t j = 0; j < type->field_count; j++) {
			const struct jfr_field *field = &types->fields.items[type->first_field + j];

			if (field->form != FORM_NUMBER || field->is_array)
				count = 0;
		}
		type->packed = count;
	}
}

/* Whoever walks over a stack's frames counts on their being frames, and taking bytes. */
static void check_frames(struct jfr_types *types)
{
	uint32_t trace = types->of_kind[JFR_STACK_TRACE];
	uint32_t frame = types->of_kind[JFR_STACK_FRAME];
	const struct jfr_type *type;

	if (trace == TABLE_NONE)
		return;
	type = &types->types.items[trace];
	for (uint32_t i = 0; i < type->field_count; i++) {
		struct jfr_field *field = &types->fields.items[type->first_field + i];

		if (field->slot == JFR_TRACE_FRAMES &&
		    (field->form != FORM_FIELDS || !field->is_array || field->type != frame ||
		     types->types.items[frame].is_empty))
			field->slot = -1;
	}
}

static int resolve(struct metadata *metadata)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < metadata->types->fields.count; i++)
		err = resolve_field(metadata, i);
	if (err)
		return err;
	find_empty(metadata->types);
	find_packed(metadata->types);
	check_frames(metadata->types);
	return 0;
}

int jfr_types_read(struct jfr_types *types, struct str event, bool is_packed,
		   char reterr[static JFR_ERROR_SIZE])
{
	struct metadata metadata = {
		.types = types,
		.bytes = { bytes_from(event.text, event.size), is_packed },
		.reason = reterr,
	};
	int err;

	reterr[0] = '\0';
	types->is_packed = is_packed;
	table_clear(&types->table);
	memset(types->near, 0xff, sizeof(types->near));
	static_assert(TABLE_NONE == UINT32_MAX, "all bits");
	types->types.count = types->fields.count = types->field_types.count = 0;
	types->texts.count = 0;
	arena_done(&types->kept);
	types->kept = ARENA(KEPT_SIZE_MAX);
	for (int i = 0; i < JFR_KIND_COUNT; i++)
		types->of_kind[i] = TABLE_NONE;
	(void)jfr_long(&metadata.bytes); /* when */
	(void)jfr_long(&metadata.bytes); /* for how long */
	(void)jfr_long(&metadata.bytes); /* its id */
	err = read_texts(&metadata);
	if (!err)
		err = read_elements(&metadata);
	if (!err)
		err = resolve(&metadata);
	return err;
}

void jfr_types_init(struct jfr_types *types)
{
	*types = (struct jfr_types){ .room = BUF(TEXT_SIZE_MAX) };
	table_init(&types->table, JFR_TYPE_COUNT_MAX);
}

void jfr_types_done(struct jfr_types *types)
{
	table_done(&types->table);
	array_done(&types->types);
	array_done(&types->fields);
	array_done(&types->texts);
	array_done(&types->field_types);
	buf_done(&types->room);
	arena_done(&types->kept);
}

/* ---- values -----------------------------------------------------------------------------------
 */

/* A type whose fields are walked over, or an array of which items are left. */
struct place {
	uint32_t type;
	uint32_t next_field;
	uint32_t left; /* values of the type, after this one */
};

static uint64_t take_number(const struct jfr_field *field, struct jfr_bytes *bytes)
{
	if (field->form == FORM_NUMBER && bytes->is_packed)
		return jfr_packed(&bytes->bytes);
	return jfr_fixed(&bytes->bytes, field->type);
}

static void skip_packed(struct bytes *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count && !bytes->error; i++)
		(void)jfr_packed(bytes);
}

/* One that is no field with fields: a text, a number, or an array of these. */
static void walk_plain(const struct jfr_field *field, struct jfr_bytes *bytes, uint64_t *ret)
{
	uint32_t count = field->is_array ? jfr_types_count(bytes) : 1;

	if (field->form == FORM_BYTES && field->is_array) {
		(void)bytes_take(&bytes->bytes, (size_t)count * field->type);
		return;
	}
	for (uint32_t i = 0; i < count && !bytes->bytes.error; i++)
		if (field->form == FORM_TEXT)
			jfr_text_skip(bytes);
		else
			*ret = take_number(field, bytes);
}

/* How many values of the field's type follow; those without bytes are walked over by this. */
static uint32_t count_values(const struct jfr_types *types, const struct jfr_field *field,
			     struct jfr_bytes *bytes)
{
	const struct jfr_type *type = &types->types.items[field->type];
	uint32_t count = 1;

	if (type->is_empty) {
		if (field->is_array)
			(void)jfr_int(bytes);
		return 0;
	}
	if (field->is_array)
		count = jfr_types_count(bytes);
	if (type->packed == 0)
		return count;
	skip_packed(&bytes->bytes, (uint64_t)count * type->packed);
	return 0;
}

/* Fields with fields in place are a stack of places, not of calls. */
static void walk_deep(const struct jfr_types *types, const struct jfr_field *first,
		      struct jfr_bytes *bytes)
{
	struct place places[DEPTH_MAX];
	uint32_t depth = 0;
	uint32_t count = count_values(types, first, bytes);

	if (count > 0)
		places[depth++] = (struct place){ .type = first->type, .left = count - 1 };
	while (depth > 0 && !bytes->bytes.error) {
		struct place *place = &places[depth - 1];
		const struct jfr_type *type = &types->types.items[place->type];
		const struct jfr_field *field;
		uint64_t number;

		if (place->next_field == type->field_count) {
			place->next_field = 0;
			depth -= place->left == 0;
			place->left -= place->left > 0;
			continue;
		}
		field = &types->fields.items[type->first_field + place->next_field++];
		if (field->form != FORM_FIELDS) {
			walk_plain(field, bytes, &number);
			continue;
		}
		count = count_values(types, field, bytes);
		if (count > 0 && depth == DEPTH_MAX)
			fail(bytes);
		else if (count > 0)
			places[depth++] = (struct place){ .type = field->type, .left = count - 1 };
	}
}

void jfr_types_walk(const struct jfr_types *types, uint32_t number, struct jfr_bytes *bytes,
		    struct jfr_value *ret)
{
	const struct jfr_type *type = &types->types.items[number];
	struct jfr_value nobody;
	/* Only written to. */
	/* cppcheck-suppress uninitvar */
	struct jfr_value *value = ret ? ret : &nobody;

	assert(number < types->types.count && bytes->is_packed == types->is_packed);
	if (type->is_empty)
		return;
	for (uint32_t i = 0; i < type->field_count; i++) {
		const struct jfr_field *field = &types->fields.items[type->first_field + i];
		uint64_t unwanted = 0;
		uint64_t *to = field->slot < 0 ? &unwanted : &value->numbers[field->slot];

		if (field->slot >= 0 && (field->form != FORM_NUMBER || field->is_array))
			value->places[field->slot] = bytes->bytes;
		if (field->form == FORM_NUMBER && !field->is_array && bytes->is_packed)
			*to = jfr_packed(&bytes->bytes);
		else if (field->form == FORM_FIELDS)
			walk_deep(types, field, bytes);
		else
			walk_plain(field, bytes, to);
	}
}

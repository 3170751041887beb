/* SPDX-License-Identifier: Apache-2.0 */
#include "web/message_json.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/parse.h"
#include "web/base64.h"

enum {
	NAME_SIZE_MAX = 64,
	NUMBER_SIZE_MAX = 32,
};

/* As protoc derives it: '_' goes, the letter behind it grows, nothing else changes. */
static void lower_camel_case(const char *name, char camel[static NAME_SIZE_MAX])
{
	size_t size = 0;

	for (; *name; name++) {
		bool after_gap = false;

		while (*name == '_') {
			after_gap = true;
			name++;
		}
		if (!*name)
			break;
		assert(size + 1 < NAME_SIZE_MAX);
		camel[size++] = after_gap ? (char)toupper((unsigned char)*name) : *name;
	}
	camel[size] = '\0';
}

/* ---- reading ----------------------------------------------------------------------------------
 */

struct reading {
	struct arena *arena;
	char *error;
	unsigned depth;
};

static int refuse(struct reading *reading, const char *what, const ProtobufCFieldDescriptor *field)
{
	snprintf(reading->error, MESSAGE_ERROR_SIZE, "%s \"%s\"", what, field->name);
	return -EBADMSG;
}

static bool read_double(const struct json_value *value, double *ret)
{
	char digits[NUMBER_SIZE_MAX];
	struct str text;
	char *end;

	if (json_value_number(value, ret))
		return true;
	if (!json_value_text(value, &text) || text.size == 0 || text.size >= sizeof(digits))
		return false;
	/* strtod() also takes hexadecimal numbers, white space and words. */
	for (size_t i = 0; i < text.size; i++)
		if (!strchr("0123456789+-.eE", text.text[i]))
			return false;
	memcpy(digits, text.text, text.size);
	digits[text.size] = '\0';
	*ret = strtod(digits, &end);
	return *end == '\0' && isfinite(*ret);
}

/* A number without a fraction, which may also be written as 1.7e12, or a text with one. */
static bool read_int64(const struct json_value *value, int64_t *ret)
{
	struct str text;
	double number;

	if (json_value_integer(value, ret))
		return true;
	if (json_value_text(value, &text) && parse_i64(text, ret) == 0)
		return true;
	/* 2^63 is the first double that does not fit. */
	if (!read_double(value, &number) || number != trunc(number) ||
	    number >= 9223372036854775808.0 || number < -9223372036854775808.0)
		return false;
	*ret = (int64_t)number;
	return true;
}

/* By number or by name; 0 for a name that is not known. */
static bool read_enum(const ProtobufCEnumDescriptor *names, const struct json_value *value,
		      int64_t *ret)
{
	struct str text;

	if (!json_value_text(value, &text))
		return read_int64(value, ret) && *ret >= INT32_MIN && *ret <= INT32_MAX;
	*ret = 0;
	for (unsigned i = 0; i < names->n_values; i++)
		if (str_equal(text, str_from(names->values[i].name)))
			*ret = names->values[i].value;
	return true;
}

static int read_text(struct reading *reading, const ProtobufCFieldDescriptor *field,
		     const struct json_value *value, char **place)
{
	struct str text;

	if (!json_value_text(value, &text))
		return refuse(reading, "no text in field", field);
	if (text.size > 0 && memchr(text.text, '\0', text.size))
		return refuse(reading, "a NUL in field", field);

	char *copy = arena_text(reading->arena, text);

	if (!copy)
		return reading->arena->error;
	*place = copy;
	return 0;
}

static int read_bytes(struct reading *reading, const ProtobufCFieldDescriptor *field,
		      const struct json_value *value, ProtobufCBinaryData *ret)
{
	struct str text;

	if (!json_value_text(value, &text))
		return refuse(reading, "no text in field", field);

	uint8_t *bytes = arena_take(reading->arena, base64_room(text.size), 1);

	if (!bytes)
		return reading->arena->error;
	if (base64_decode(text, bytes, &ret->len))
		return refuse(reading, "no base64 in field", field);
	ret->data = bytes;
	return 0;
}

static int read_message(struct reading *reading, const ProtobufCMessageDescriptor *descriptor,
			const struct json_value *json, ProtobufCMessage **ret);

/* One value, a field's or an item's of a repeated one. */
static int read_value(struct reading *reading, const ProtobufCFieldDescriptor *field,
		      const struct json_value *value, void *place)
{
	int64_t number = 0;

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		return read_text(reading, field, value, place);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(reading, field, value, place);
	case PROTOBUF_C_TYPE_INT64:
		return read_int64(value, place)
			       ? 0
			       : refuse(reading, "no 64-bit integer in field", field);
	case PROTOBUF_C_TYPE_UINT32:
		if (!read_int64(value, &number) || number < 0 || number > UINT32_MAX)
			return refuse(reading, "no 32-bit integer in field", field);
		*(uint32_t *)place = (uint32_t)number;
		return 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_double(value, place) ? 0 : refuse(reading, "no number in field", field);
	case PROTOBUF_C_TYPE_BOOL: {
		bool is_true = false;

		if (!json_value_boolean(value, &is_true))
			return refuse(reading, "neither true nor false in field", field);
		*(protobuf_c_boolean *)place = is_true;
		return 0;
	}
	case PROTOBUF_C_TYPE_ENUM:
		if (!read_enum(field->descriptor, value, &number))
			return refuse(reading, "no enum in field", field);
		*(int *)place = (int)number;
		return 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		if (!json_value_is_object(value))
			return refuse(reading, "no message in field", field);
		return read_message(reading, field->descriptor, value, place);
	default:
		assert(!"a type of the questions in proto/");
		return -EBADMSG;
	}
}

static size_t size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(uint64_t);
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_UINT32:
		return sizeof(uint32_t);
	default:
		assert(!"a type of the lists in proto/");
		return 0;
	}
}

static int read_list(struct reading *reading, const ProtobufCFieldDescriptor *field,
		     const struct json_value *value, ProtobufCMessage *message)
{
	size_t size = size_of(field->type);
	size_t count = json_value_is_array(value) ? json_value_count(value) : 0;
	uint8_t *items = NULL;
	int err = 0;

	if (!json_value_is_array(value))
		return refuse(reading, "no list in field", field);
	if (count > MESSAGE_FIELD_COUNT_MAX) {
		(void)refuse(reading, "too many items in field", field);
		return -E2BIG;
	}
	if (count == 0)
		return 0;
	items = arena_take(reading->arena, count, size);
	if (!items)
		return reading->arena->error;
	for (size_t i = 0; !err && i < count; i++)
		err = read_value(reading, field, json_value_item(value, i), items + i * size);
	*(void **)((uint8_t *)message + field->offset) = items;
	*(size_t *)((uint8_t *)message + field->quantifier_offset) = count;
	return err;
}

static int read_field(struct reading *reading, const ProtobufCFieldDescriptor *field,
		      const struct json_value *json, ProtobufCMessage *message)
{
	const struct json_value *value = json_value_member(json, field->name);
	char camel[NAME_SIZE_MAX];

	lower_camel_case(field->name, camel);
	if (strcmp(camel, field->name) != 0 && json_value_has(json, camel)) {
		if (json_value_has(json, field->name))
			return refuse(reading, "duplicate field", field);
		value = json_value_member(json, camel);
	}
	if (!value)
		return 0;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return read_list(reading, field, value, message);
	return read_value(reading, field, value, (uint8_t *)message + field->offset);
}

static int read_message(struct reading *reading, const ProtobufCMessageDescriptor *descriptor,
			const struct json_value *json, ProtobufCMessage **ret)
{
	ProtobufCMessage *message = arena_take(reading->arena, 1, descriptor->sizeof_message);
	int err = 0;

	if (!message)
		return reading->arena->error;
	/* As deep as the messages of proto/ at most, none of which holds its own kind. */
	reading->depth++;
	assert(reading->depth <= MESSAGE_DEPTH_MAX);
	protobuf_c_message_init(descriptor, message);
	for (unsigned i = 0; !err && i < descriptor->n_fields; i++)
		err = read_field(reading, &descriptor->fields[i], json, message);
	reading->depth--;
	*ret = message;
	return err;
}

int message_from_json(const ProtobufCMessageDescriptor *descriptor, const struct json_value *json,
		      struct arena *arena, const ProtobufCMessage **ret,
		      char reterr[static MESSAGE_ERROR_SIZE])
{
	struct reading reading = { .arena = arena, .error = reterr };
	ProtobufCMessage *message = NULL;
	int err = read_message(&reading, descriptor, json, &message);

	if (!err)
		*ret = message;
	else if (arena->error)
		snprintf(reterr, MESSAGE_ERROR_SIZE, "it takes more than %zu bytes to read",
			 arena->limit);
	return err;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void write_bytes(struct json_writer *json, ProtobufCBinaryData bytes)
{
	struct buf text = BUF(bytes.len / 3 * 4 + 4);

	base64_encode(bytes.data, bytes.len, true, &text);
	if (text.error)
		json->buf->error = text.error;
	json_text(json, (struct str){ (const char *)text.bytes, text.size });
	buf_done(&text);
}

static void write_enum(struct json_writer *json, const ProtobufCEnumDescriptor *names, int number)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(names, number);

	if (value)
		json_text(json, str_from(value->name));
	else
		json_i64(json, number);
}

static void write_value(struct json_writer *json, const ProtobufCFieldDescriptor *field,
			const void *place)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		json_text(json, str_from(*(char *const *)place));
		break;
	case PROTOBUF_C_TYPE_BYTES:
		write_bytes(json, *(const ProtobufCBinaryData *)place);
		break;
	case PROTOBUF_C_TYPE_INT64:
		json_i64_text(json, *(const int64_t *)place);
		break;
	case PROTOBUF_C_TYPE_UINT64:
		json_u64_text(json, *(const uint64_t *)place);
		break;
	case PROTOBUF_C_TYPE_INT32:
		json_i64(json, *(const int32_t *)place);
		break;
	case PROTOBUF_C_TYPE_UINT32:
		json_u64(json, *(const uint32_t *)place);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		json_double(json, *(const double *)place);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		json_boolean_value(json, *(const protobuf_c_boolean *)place);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		write_enum(json, field->descriptor, *(const int *)place);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		message_to_json(*(ProtobufCMessage *const *)place, json);
		break;
	default:
		assert(!"a type of proto/");
	}
}

static bool is_default(const ProtobufCFieldDescriptor *field, const void *place)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		return !*(char *const *)place || (*(char *const *)place)[0] == '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)place)->len == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return !*(void *const *)place;
	case PROTOBUF_C_TYPE_DOUBLE:
		return *(const double *)place == 0;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		return *(const uint64_t *)place == 0;
	default:
		return *(const uint32_t *)place == 0;
	}
}

static void write_list(struct json_writer *json, const ProtobufCFieldDescriptor *field,
		       const uint8_t *items, size_t count)
{
	size_t size = size_of(field->type);

	json_begin_array(json);
	if (field->type == PROTOBUF_C_TYPE_INT64)
		json_i64_texts(json, (const void *)items, count);
	for (size_t i = 0; field->type != PROTOBUF_C_TYPE_INT64 && i < count; i++)
		write_value(json, field, items + i * size);
	json_end_array(json);
}

void message_to_json(const ProtobufCMessage *message, struct json_writer *json)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	json_begin_object(json);
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		const uint8_t *place = (const uint8_t *)message + field->offset;
		bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
		size_t count = is_list ? *(const size_t *)((const uint8_t *)message +
							   field->quantifier_offset)
				       : 0;
		char camel[NAME_SIZE_MAX];

		if (is_list ? count == 0 : is_default(field, place))
			continue;
		lower_camel_case(field->name, camel);
		json_key_text(json, str_from(camel));
		if (is_list)
			write_list(json, field, *(uint8_t *const *)place, count);
		else
			write_value(json, field, place);
	}
	json_end_object(json);
}

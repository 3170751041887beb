/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_json.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "web/base64.h"
#include "web/json.h"

enum { NAME_SIZE_MAX = 64 };

struct encoder {
	struct otlp_layout layout;
	size_t limit;
	char *reason;
};

/* ---- members ----------------------------------------------------------------------------------
 */

/* "stringTable" as "string_table". */
static void to_snake_case(const char *name, char snake[static NAME_SIZE_MAX])
{
	size_t size = 0;

	for (; *name && size + 2 < NAME_SIZE_MAX; name++) {
		if (*name >= 'A' && *name <= 'Z') {
			snake[size++] = '_';
			snake[size++] = (char)(*name - 'A' + 'a');
		} else {
			snake[size++] = *name;
		}
	}
	snake[size] = '\0';
}

static const struct json_value *member(const struct json_value *object, const char *name)
{
	const struct json_value *found = json_value_member(object, name);
	char snake[NAME_SIZE_MAX];

	if (found)
		return found;
	to_snake_case(name, snake);
	return json_value_member(object, snake);
}

static const struct json_value *first_item(const struct json_value *object, const char *name)
{
	const struct json_value *list = object ? member(object, name) : NULL;

	return list && json_value_is_array(list) && json_value_count(list) > 0
		       ? json_value_item(list, 0)
		       : NULL;
}

static bool any_has(const struct json_value *list, const char *name)
{
	for (size_t i = 0; list && json_value_is_array(list) && i < json_value_count(list); i++)
		if (member(json_value_item(list, i), name))
			return true;
	return false;
}

/* ---- the revision -----------------------------------------------------------------------------
 */

/* By the first profile, since a request is of one revision. */
static enum otlp_revision find_revision(const struct json_value *request)
{
	const struct json_value *resource = first_item(request, "resourceProfiles");
	const struct json_value *scope = first_item(resource, "scopeProfiles");
	const struct json_value *profile = first_item(scope, "profiles");
	const struct json_value *dictionary = member(request, "dictionary");
	const struct json_value *type = profile ? member(profile, "sampleType") : NULL;

	if (profile && member(profile, "profile"))
		return OTLP_R1_3;
	if (profile && member(profile, "stringTable"))
		return member(profile, "attributes") ? OTLP_R1_4 : OTLP_R1_5;
	if (member(request, "stringTable"))
		return OTLP_R1_6;
	if (type && json_value_is_array(type))
		return OTLP_R1_7;
	if (profile && (member(profile, "locationIndices") || member(profile, "timeNanos")))
		return OTLP_R1_7;
	if (profile && (member(profile, "sample") || member(profile, "commentStrindices") ||
			(type && member(type, "aggregationTemporality"))))
		return OTLP_R1_8;
	if (dictionary && any_has(member(dictionary, "locationTable"), "line"))
		return OTLP_R1_8;
	/* 1.9 and 1.10 have the same names. */
	return OTLP_R1_10;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static int refuse(struct encoder *encoder, const struct otlp_row *row, const char *what)
{
	snprintf(encoder->reason, OTLP_ERROR_SIZE, "'%s' is no %s", row->names[0], what);
	return -EBADMSG;
}

static bool read_integer(const struct json_value *value, uint64_t *ret)
{
	bool is_negative = false;
	int64_t number = 0;
	struct str text;

	if (json_value_integer(value, &number)) {
		*ret = (uint64_t)number;
		return true;
	}
	if (!json_value_text(value, &text))
		return false;
	if (text.size > 0 && text.text[0] == '-') {
		is_negative = true;
		text = (struct str){ text.text + 1, text.size - 1 };
	}
	if (parse_u64(text, ret))
		return false;
	if (is_negative)
		*ret = -*ret;
	return true;
}

static bool read_double(const struct json_value *value, double *ret)
{
	struct str text;

	if (json_value_number(value, ret))
		return true;
	if (!json_value_text(value, &text))
		return false;
	if (str_equal(text, STR("NaN")))
		*ret = (double)NAN;
	else if (str_equal(text, STR("Infinity")))
		*ret = (double)INFINITY;
	else if (str_equal(text, STR("-Infinity")))
		*ret = -(double)INFINITY;
	else
		return false;
	return true;
}

static void add_tag(struct buf *bytes, unsigned number, unsigned type)
{
	buf_add_varint(bytes, (uint64_t)number << 3 | type);
}

static void add_number(const struct otlp_row *row, uint64_t value, struct buf *bytes)
{
	if (row->kind == OTLP_KIND_FIXED)
		buf_add_u64(bytes, value);
	else
		buf_add_varint(bytes, value);
}

/* Packed, as it goes over the wire. */
static int add_list(struct encoder *encoder, const struct otlp_row *row, unsigned number,
		    const struct json_value *list, struct buf *bytes)
{
	autoclean(buf) struct buf packed = BUF(encoder->limit);

	for (size_t i = 0; i < json_value_count(list); i++) {
		uint64_t value;

		if (!read_integer(json_value_item(list, i), &value))
			return refuse(encoder, row, "list of whole numbers");
		add_number(row, value, &packed);
	}
	add_tag(bytes, number, 2);
	buf_add_sized(bytes, (struct str){ (const char *)packed.bytes, packed.size });
	return packed.error;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 16 or 8 bytes, two digits each; protojson's senders write base64, in 24 or 12 letters. */
static bool decode_hex(struct str text, struct buf *bytes)
{
	if (text.size != 32 && text.size != 16)
		return false;
	for (size_t i = 0; i < text.size; i++)
		if (hex_digit(text.text[i]) < 0)
			return false;
	for (size_t i = 0; i < text.size; i += 2)
		buf_add_u8(bytes,
			   (uint8_t)(hex_digit(text.text[i]) << 4 | hex_digit(text.text[i + 1])));
	return true;
}

static int add_bytes(struct encoder *encoder, const struct otlp_row *row, unsigned number,
		     const struct json_value *value, struct buf *bytes)
{
	autoclean(buf) struct buf decoded = BUF(encoder->limit);
	struct str text;

	if (!json_value_text(value, &text))
		return refuse(encoder, row, "text");
	if (row->kind == OTLP_KIND_TEXT)
		buf_add_str(&decoded, text);
	else if (row->kind == OTLP_KIND_BYTES || !decode_hex(text, &decoded)) {
		uint8_t *room = buf_grow(&decoded, base64_room(text.size));

		if (!room)
			return decoded.error;
		if (base64_decode(text, room, &decoded.size))
			return refuse(encoder, row, "base64, and no id in hexadecimal");
	}
	add_tag(bytes, number, 2);
	buf_add_sized(bytes, (struct str){ (const char *)decoded.bytes, decoded.size });
	return decoded.error;
}

static int add_message(struct encoder *encoder, enum otlp_message message,
		       const struct json_value *object, struct buf *bytes);

static int add_inner(struct encoder *encoder, const struct otlp_row *row, unsigned number,
		     const struct json_value *value, struct buf *bytes)
{
	autoclean(buf) struct buf inner = BUF(encoder->limit);
	int err;

	if (!json_value_is_object(value))
		return refuse(encoder, row, "object");
	err = add_message(encoder, row->inner, value, &inner);
	add_tag(bytes, number, 2);
	buf_add_sized(bytes, (struct str){ (const char *)inner.bytes, inner.size });
	return err ? err : inner.error;
}

static int add_one(struct encoder *encoder, const struct otlp_row *row, unsigned number,
		   const struct json_value *value, struct buf *bytes)
{
	uint64_t integer = 0;
	double real = 0;
	bool truth = false;

	switch (row->kind) {
	case OTLP_KIND_MESSAGE:
		return add_inner(encoder, row, number, value, bytes);
	case OTLP_KIND_TEXT:
	case OTLP_KIND_BYTES:
	case OTLP_KIND_ID:
		return add_bytes(encoder, row, number, value, bytes);
	case OTLP_KIND_BOOLEAN:
		if (!json_value_boolean(value, &truth))
			return refuse(encoder, row, "true or false");
		add_tag(bytes, number, 0);
		buf_add_varint(bytes, truth);
		return 0;
	case OTLP_KIND_DOUBLE:
		if (!read_double(value, &real))
			return refuse(encoder, row, "number");
		memcpy(&integer, &real, sizeof(integer));
		add_tag(bytes, number, 1);
		buf_add_u64(bytes, integer);
		return 0;
	case OTLP_KIND_INTEGER:
	case OTLP_KIND_FIXED:
		/* Nobody here asks for it, and some write its name. */
		if (row->field == OTLP_F_TEMPORALITY)
			return 0;
		if (!read_integer(value, &integer))
			return refuse(encoder, row, "whole number");
		add_tag(bytes, number, row->kind == OTLP_KIND_FIXED ? 1 : 0);
		add_number(row, integer, bytes);
		return 0;
	}
	assert(!"a kind of the table");
	return -EBADMSG;
}

static int add_message(struct encoder *encoder, enum otlp_message message,
		       const struct json_value *object, struct buf *bytes)
{
	int err = 0;

	for (unsigned number = 1; !err && number <= OTLP_NUMBER_MAX; number++) {
		const struct otlp_row *row = otlp_layout_find(&encoder->layout, message, number);
		const struct json_value *value = NULL;

		for (size_t i = 0; row && !value && i < OTLP_NAME_COUNT && row->names[i]; i++)
			value = member(object, row->names[i]);
		if (!value)
			continue;
		if (!json_value_is_array(value)) {
			err = add_one(encoder, row, number, value, bytes);
		} else if (row->is_list) {
			err = add_list(encoder, row, number, value, bytes);
		} else {
			for (size_t i = 0; !err && i < json_value_count(value); i++)
				err = add_one(encoder, row, number, json_value_item(value, i),
					      bytes);
		}
	}
	return err ? err : bytes->error;
}

int otlp_json_encode(struct str text, struct buf *bytes, enum otlp_revision *ret_revision,
		     char reterr[static OTLP_ERROR_SIZE])
{
	autoclean(json_value) struct json_value *request = NULL;
	struct encoder encoder = { .limit = bytes->limit, .reason = reterr };
	int err;

	static_assert((int)JSON_ERROR_SIZE <= (int)OTLP_ERROR_SIZE, "one fits into the other");
	reterr[0] = '\0';
	err = json_value_parse(text, &request, reterr);
	if (err)
		return err;
	*ret_revision = find_revision(request);
	otlp_layout_init(&encoder.layout, *ret_revision);
	err = add_message(&encoder, OTLP_REQUEST, request, bytes);
	if (err == -EFBIG)
		snprintf(reterr, OTLP_ERROR_SIZE, "it is larger than %zu bytes", bytes->limit);
	return err == -EFBIG ? -E2BIG : err;
}

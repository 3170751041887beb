/* SPDX-License-Identifier: Apache-2.0 */
#include "web/json_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static_assert(JSON_DEPTH_MAX <= 32, "a bit for each depth");

/* A comma where one is due. */
static void begin_value(struct json_writer *json)
{
	uint32_t bit = json->depth ? UINT32_C(1) << (json->depth - 1) : 0;

	assert(json->depth == 0 || json->after_key == ((json->is_object & bit) != 0));
	if (!json->after_key && (json->has_items & bit))
		buf_add_u8(json->buf, ',');
	json->has_items |= bit;
	json->after_key = false;
}

static void begin(struct json_writer *json, bool is_object)
{
	assert(json->depth < JSON_DEPTH_MAX);
	begin_value(json);

	uint32_t bit = UINT32_C(1) << json->depth;

	json->depth++;
	json->has_items &= ~bit;
	json->is_object = is_object ? json->is_object | bit : json->is_object & ~bit;
	buf_add_u8(json->buf, is_object ? '{' : '[');
}

static void end(struct json_writer *json, bool is_object)
{
	assert(json->depth > 0 && !json->after_key);
	json->depth--;
	assert(((json->is_object >> json->depth) & 1) == is_object);
	buf_add_u8(json->buf, is_object ? '}' : ']');
}

void json_begin_object(struct json_writer *json)
{
	begin(json, true);
}

void json_end_object(struct json_writer *json)
{
	end(json, true);
}

void json_begin_array(struct json_writer *json)
{
	begin(json, false);
}

void json_end_array(struct json_writer *json)
{
	end(json, false);
}

/* ---- texts ------------------------------------------------------------------------------------
 */

static void add_escaped(struct buf *buf, uint8_t byte)
{
	switch (byte) {
	case '"':
		buf_add_str(buf, STR("\\\""));
		break;
	case '\\':
		buf_add_str(buf, STR("\\\\"));
		break;
	case '\n':
		buf_add_str(buf, STR("\\n"));
		break;
	case '\t':
		buf_add_str(buf, STR("\\t"));
		break;
	default:
		buf_printf(buf, "\\u%04x", byte);
	}
}

static void add_text(struct buf *buf, struct str text)
{
	const uint8_t *bytes = (const uint8_t *)text.text;
	size_t plain = 0; /* bytes before i that can go out as they are */
	size_t i = 0;

	buf_add_u8(buf, '"');
	while (i < text.size) {
		size_t size = utf8_size(bytes + i, text.size - i);
		bool is_plain = size > 1 || (size == 1 && bytes[i] >= ' ' && bytes[i] != 0x7f &&
					     bytes[i] != '"' && bytes[i] != '\\');

		if (is_plain) {
			plain += size;
			i += size;
			continue;
		}
		buf_add(buf, bytes + i - plain, plain);
		plain = 0;
		if (size == 1)
			add_escaped(buf, bytes[i]);
		else
			buf_add_str(buf, STR("\xef\xbf\xbd"));
		i++;
	}
	if (plain)
		buf_add(buf, bytes + i - plain, plain);
	buf_add_u8(buf, '"');
}

void json_key_text(struct json_writer *json, struct str name)
{
	assert(json->depth > 0 && ((json->is_object >> (json->depth - 1)) & 1));
	assert(!json->after_key);

	uint32_t bit = UINT32_C(1) << (json->depth - 1);

	if (json->has_items & bit)
		buf_add_u8(json->buf, ',');
	json->has_items |= bit;
	add_text(json->buf, name);
	buf_add_u8(json->buf, ':');
	json->after_key = true;
}

void json_key(struct json_writer *json, const char *name)
{
	json_key_text(json, str_from(name));
}

void json_text(struct json_writer *json, struct str text)
{
	begin_value(json);
	add_text(json->buf, text);
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* Flame graphs are mostly numbers: a third of the time went to printf(). */
static void add_digits(struct buf *buf, uint64_t value)
{
	char digits[20];
	size_t start = sizeof(digits);

	do {
		digits[--start] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_add(buf, digits + start, sizeof(digits) - start);
}

static void add_signed(struct buf *buf, int64_t value)
{
	if (value < 0)
		buf_add_u8(buf, '-');
	add_digits(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* "-12" with its quotes, at the end of the text; where it begins. */
enum { QUOTED_SIZE_MAX = 24 };

static size_t write_quoted(char text[static QUOTED_SIZE_MAX], bool is_negative, uint64_t value)
{
	size_t start = QUOTED_SIZE_MAX;

	text[--start] = '"';
	do {
		text[--start] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	if (is_negative)
		text[--start] = '-';
	text[--start] = '"';
	return start;
}

static uint64_t magnitude(int64_t value)
{
	return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

void json_u64(struct json_writer *json, uint64_t value)
{
	begin_value(json);
	add_digits(json->buf, value);
}

void json_i64(struct json_writer *json, int64_t value)
{
	begin_value(json);
	add_signed(json->buf, value);
}

void json_u64_text(struct json_writer *json, uint64_t value)
{
	char text[QUOTED_SIZE_MAX];
	size_t start = write_quoted(text, false, value);

	begin_value(json);
	buf_add(json->buf, text + start, sizeof(text) - start);
}

void json_i64_text(struct json_writer *json, int64_t value)
{
	char text[QUOTED_SIZE_MAX];
	size_t start = write_quoted(text, value < 0, magnitude(value));

	begin_value(json);
	buf_add(json->buf, text + start, sizeof(text) - start);
}

/* Many at once go to the buf in pieces: flame graphs have a hundred thousand. */
void json_i64_texts(struct json_writer *json, const int64_t *values, size_t count)
{
	enum { AT_ONCE = 64 };
	char piece[AT_ONCE * (QUOTED_SIZE_MAX + 1)];

	for (size_t first = 0; first < count; first += AT_ONCE) {
		size_t end = count - first < AT_ONCE ? count : first + AT_ONCE;
		size_t size = 0;

		begin_value(json);
		for (size_t i = first; i < end; i++) {
			char text[QUOTED_SIZE_MAX];
			size_t start = write_quoted(text, values[i] < 0, magnitude(values[i]));

			if (i > first)
				piece[size++] = ',';
			memcpy(piece + size, text + start, sizeof(text) - start);
			size += sizeof(text) - start;
		}
		buf_add(json->buf, piece, size);
	}
}

void json_double(struct json_writer *json, double value)
{
	char text[32];

	if (!isfinite(value)) {
		json_null_value(json);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	begin_value(json);
	buf_add_str(json->buf, str_from(text));
}

void json_fixed(struct json_writer *json, double value, int decimals)
{
	char text[400];

	assert(decimals > 0 && decimals < 18);
	if (!isfinite(value)) {
		json_null_value(json);
		return;
	}

	size_t size = (size_t)snprintf(text, sizeof(text), "%.*f", decimals, value);

	assert(size < sizeof(text));
	while (text[size - 1] == '0')
		size--;
	if (text[size - 1] == '.')
		size--;
	begin_value(json);
	buf_add(json->buf, text, size);
}

void json_boolean_value(struct json_writer *json, bool value)
{
	begin_value(json);
	buf_add_str(json->buf, value ? STR("true") : STR("false"));
}

void json_null_value(struct json_writer *json)
{
	begin_value(json);
	buf_add_str(json->buf, STR("null"));
}

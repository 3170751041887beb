/* SPDX-License-Identifier: Apache-2.0 */
#include "web/json.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

/* Requests of the APIs that we serve nest five deep. jansson recurses, up to 2,048 deep. */
enum { NESTING_MAX = 32 };

/* A json_value is a json_t under a name that nobody else needs to know. */
static const json_t *inner(const struct json_value *value)
{
	return (const json_t *)value;
}

static const struct json_value *outer(const json_t *value)
{
	return (const struct json_value *)value;
}

static bool nests_too_deep(struct str text)
{
	bool in_text = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.size; i++) {
		char c = text.text[i];

		if (in_text && c == '\\')
			i++;
		else if (c == '"')
			in_text = !in_text;
		else if (!in_text && (c == '{' || c == '[') && ++depth > NESTING_MAX)
			return true;
		else if (!in_text && (c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return false;
}

/* Our sentences, not the library's: its texts quote the request and change with its version. */
static const char *sentence(enum json_error_code code)
{
	switch (code) {
	case json_error_premature_end_of_input:
		return "it ends too early";
	case json_error_end_of_input_expected:
		return "something follows its end";
	case json_error_invalid_utf8:
		return "a text is not UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "a text holds a NUL";
	case json_error_duplicate_key:
		return "duplicate field";
	case json_error_numeric_overflow:
		return "a number is too large";
	default:
		return "syntax error";
	}
}

int json_value_parse(struct str text, struct json_value **ret, char reterr[static JSON_ERROR_SIZE])
{
	json_error_t error;

	if (text.size == 0) {
		snprintf(reterr, JSON_ERROR_SIZE, "an empty body is no JSON object");
		return -EBADMSG;
	}
	if (nests_too_deep(text)) {
		snprintf(reterr, JSON_ERROR_SIZE, "it nests more than %d deep", NESTING_MAX);
		return -EBADMSG;
	}

	json_t *value = json_loadb(text.text, text.size, JSON_REJECT_DUPLICATES, &error);

	if (!value && json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	if (!value) {
		snprintf(reterr, JSON_ERROR_SIZE, "%s (line %d, column %d)",
			 sentence(json_error_code(&error)), error.line, error.column);
		return -EBADMSG;
	}
	if (!json_is_object(value)) {
		json_decref(value);
		snprintf(reterr, JSON_ERROR_SIZE, "it is no object");
		return -EBADMSG;
	}
	*ret = (struct json_value *)value;
	return 0;
}

struct json_value *json_value_free(struct json_value *value)
{
	json_decref((json_t *)value);
	return NULL;
}

const struct json_value *json_value_member(const struct json_value *value, const char *name)
{
	const json_t *member = json_object_get(inner(value), name);

	return member && !json_is_null(member) ? outer(member) : NULL;
}

bool json_value_has(const struct json_value *value, const char *name)
{
	return json_object_get(inner(value), name) != NULL;
}

bool json_value_is_object(const struct json_value *value)
{
	return json_is_object(inner(value));
}

bool json_value_is_array(const struct json_value *value)
{
	return json_is_array(inner(value));
}

size_t json_value_count(const struct json_value *array)
{
	return json_array_size(inner(array));
}

const struct json_value *json_value_item(const struct json_value *array, size_t index)
{
	assert(index < json_value_count(array));
	return outer(json_array_get(inner(array), index));
}

bool json_value_text(const struct json_value *value, struct str *ret)
{
	if (!json_is_string(inner(value)))
		return false;
	*ret = (struct str){ json_string_value(inner(value)), json_string_length(inner(value)) };
	return true;
}

bool json_value_integer(const struct json_value *value, int64_t *ret)
{
	static_assert(sizeof(json_int_t) == sizeof(int64_t), "jansson with 64-bit integers");

	if (!json_is_integer(inner(value)))
		return false;
	*ret = json_integer_value(inner(value));
	return true;
}

bool json_value_number(const struct json_value *value, double *ret)
{
	if (!json_is_number(inner(value)))
		return false;
	*ret = json_number_value(inner(value));
	return true;
}

bool json_value_boolean(const struct json_value *value, bool *ret)
{
	if (!json_is_boolean(inner(value)))
		return false;
	*ret = json_is_true(inner(value));
	return true;
}

struct str json_member_text(const struct json_value *object, const char *name)
{
	struct str text = STR("");

	(void)json_value_text(json_value_member(object, name), &text);
	return text;
}

int64_t json_member_integer(const struct json_value *object, const char *name)
{
	int64_t value = 0;

	(void)json_value_integer(json_value_member(object, name), &value);
	return value;
}

double json_member_number(const struct json_value *object, const char *name)
{
	double value = 0;

	(void)json_value_number(json_value_member(object, name), &value);
	return value;
}

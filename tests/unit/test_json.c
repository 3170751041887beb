/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "web/json.h"
#include "web/json_writer.h"

static struct str written(struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

static void assert_written(struct buf *buf, const char *expected)
{
	buf_add_u8(buf, '\0');
	assert_string_equal(written(buf).text, expected);
	buf_clear(buf);
}

static void puts_commas_where_they_are_due(void **state)
{
	autoclean(buf) struct buf buf = BUF(1024);
	struct json_writer json = JSON_WRITER(&buf);

	(void)state;
	json_begin_object(&json);
	json_key(&json, "a");
	json_begin_array(&json);
	json_u64(&json, 1);
	json_begin_object(&json);
	json_end_object(&json);
	json_begin_array(&json);
	json_end_array(&json);
	json_text(&json, STR("x"));
	json_end_array(&json);
	json_key(&json, "b");
	json_null_value(&json);
	json_key(&json, "c");
	json_boolean_value(&json, true);
	json_end_object(&json);
	assert_written(&buf, "{\"a\":[1,{},[],\"x\"],\"b\":null,\"c\":true}");
}

static void escapes_what_is_no_plain_text(void **state)
{
	static const struct {
		struct str text;
		const char *json;
	} cases[] = {
		{ STR("plain"), "\"plain\"" },
		{ STR(""), "\"\"" },
		{ STR("q\"b\\n\n\t"), "\"q\\\"b\\\\n\\n\\t\"" },
		{ STR("\x01\x1f\x7f"), "\"\\u0001\\u001f\\u007f\"" },
		{ STR("a\0b"), "\"a\\u0000b\"" },
		{ STR("été 🎯"), "\"été 🎯\"" },
		{ STR("\xff"
		      "a"),
		  "\"\xef\xbf\xbd"
		  "a\"" },
		{ STR("\xc3"), "\"\xef\xbf\xbd\"" },
		/* An overlong '/', a surrogate, beyond the last character. */
		{ STR("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ STR("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf buf = BUF(1024);
		struct json_writer json = JSON_WRITER(&buf);

		json_text(&json, cases[i].text);
		assert_written(&buf, cases[i].json);
	}
}

static void writes_numbers_that_read_back(void **state)
{
	autoclean(buf) struct buf buf = BUF(4096);
	struct json_writer json = JSON_WRITER(&buf);

	(void)state;
	json_begin_array(&json);
	json_u64(&json, UINT64_MAX);
	json_i64(&json, INT64_MIN);
	json_u64_text(&json, 0);
	json_i64_text(&json, -7);
	json_double(&json, 0.1);
	json_double(&json, 20850000000.0);
	json_double(&json, 1.0 / 3);
	json_double(&json, NAN);
	json_fixed(&json, 0.93333, 4);
	json_fixed(&json, 2, 4);
	json_fixed(&json, 0.00001, 4);
	json_fixed(&json, INFINITY, 4);
	json_end_array(&json);
	assert_written(&buf,
		       "[18446744073709551615,-9223372036854775808,\"0\",\"-7\",0.1,20850000000,"
		       "0.3333333333333333,null,0.9333,2,0,null]");
}

static void keeps_the_first_error_of_its_buf(void **state)
{
	autoclean(buf) struct buf buf = BUF(8);
	struct json_writer json = JSON_WRITER(&buf);

	(void)state;
	json_begin_array(&json);
	json_text(&json, STR("much too long"));
	json_end_array(&json);
	assert_int_equal(buf.error, -EFBIG);
}

/* ---- both directions --------------------------------------------------------------------------
 */

/* A text of whole characters, of all sizes, some of them in need of escapes. */
static size_t random_text(char *text, size_t size)
{
	static const char *const characters[] = { "a", "\"", "\\", "\n", "\t",	 "\x01", "é",
						  "→", "🎯",  " ",  "/",	 "\x7f", "}" };
	size_t used = 0;

	while (rand() % 8) {
		const char *character =
			characters[(size_t)rand() % (sizeof(characters) / sizeof(characters[0]))];

		if (used + strlen(character) > size)
			break;
		memcpy(text + used, character, strlen(character));
		used += strlen(character);
	}
	return used;
}

static void reads_back_what_it_wrote(void **state)
{
	unsigned seed = 20261124;

	(void)state;
	srand(seed);
	for (int round = 0; round < 500; round++) {
		autoclean(buf) struct buf buf = BUF(65536);
		autoclean(json_value) struct json_value *value = NULL;
		struct json_writer json = JSON_WRITER(&buf);
		char error[JSON_ERROR_SIZE] = "";
		char texts[16][64];
		size_t sizes[16];
		int64_t number = (int64_t)(((uint64_t)rand() << 40) ^ (uint64_t)rand()) - rand();

		json_begin_object(&json);
		json_key(&json, "texts");
		json_begin_array(&json);
		for (size_t i = 0; i < 16; i++) {
			sizes[i] = random_text(texts[i], sizeof(texts[i]));
			json_text(&json, (struct str){ texts[i], sizes[i] });
		}
		json_end_array(&json);
		json_key(&json, "number");
		json_i64(&json, number);
		json_end_object(&json);

		assert_int_equal(json_value_parse(written(&buf), &value, error), 0);

		const struct json_value *list = json_value_member(value, "texts");
		int64_t read_number = 0;

		assert_int_equal(json_value_count(list), 16);
		for (size_t i = 0; i < 16; i++) {
			struct str text;

			assert_true(json_value_text(json_value_item(list, i), &text));
			if (!str_equal(text, (struct str){ texts[i], sizes[i] }))
				fail_msg("round %d of seed %u", round, seed);
		}
		assert_true(json_value_integer(json_value_member(value, "number"), &read_number));
		assert_true(read_number == number);
	}
}

/* ---- of strangers -----------------------------------------------------------------------------
 */

static void refuses_what_is_no_object(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "", "empty" },
		{ "{", "ends too early" },
		{ "{}x", "follows its end" },
		{ "[]", "no object" },
		{ "{\"a\":1,\"a\":2}", "duplicate field" },
		{ "{\"a\":\"\xff\"}", "UTF-8" },
		{ "{\"a\":99999999999999999999}", "too large" },
		{ "{'a':1}", "syntax error" },
		{ "{\"a\":NaN}", "syntax error" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[JSON_ERROR_SIZE] = "";
		struct json_value *value = NULL;

		assert_int_equal(json_value_parse(str_from(cases[i].text), &value, error),
				 -EBADMSG);
		assert_null(value);
		assert_non_null(strstr(error, cases[i].why));
	}
}

static void refuses_deep_nesting_before_it_recurses(void **state)
{
	char text[4096] = "{\"a\":";
	char error[JSON_ERROR_SIZE] = "";
	struct json_value *value = NULL;

	(void)state;
	memset(text + 5, '[', 2000);
	assert_int_equal(json_value_parse(str_from(text), &value, error), -EBADMSG);
	assert_non_null(strstr(error, "nests"));

	/* Brackets in texts are no nesting. */
	assert_int_equal(
		json_value_parse(STR("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"}"),
				 &value, error),
		0);
	json_value_free(value);
}

static void takes_null_for_absent(void **state)
{
	autoclean(json_value) struct json_value *value = NULL;
	char error[JSON_ERROR_SIZE] = "";
	double number = 0;

	(void)state;
	assert_int_equal(json_value_parse(STR("{\"a\":null,\"b\":1.5}"), &value, error), 0);
	assert_null(json_value_member(value, "a"));
	assert_true(json_value_has(value, "a"));
	assert_false(json_value_has(value, "c"));
	assert_true(json_value_number(json_value_member(value, "b"), &number));
	assert_true(number == 1.5);
	assert_null(json_value_member(NULL, "a"));
	assert_null(json_value_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_commas_where_they_are_due),
		cmocka_unit_test(escapes_what_is_no_plain_text),
		cmocka_unit_test(writes_numbers_that_read_back),
		cmocka_unit_test(keeps_the_first_error_of_its_buf),
		cmocka_unit_test(reads_back_what_it_wrote),
		cmocka_unit_test(refuses_what_is_no_object),
		cmocka_unit_test(refuses_deep_nesting_before_it_recurses),
		cmocka_unit_test(takes_null_for_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

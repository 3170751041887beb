/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/selector.h"

/* A sample with these labels, ended by a NULL name. */
struct pair {
	const char *name;
	const char *value;
};

static const struct pair checkout[] = {
	{ "service_name", "checkout" },
	{ "pid", "4711" },
	{ "__name__", "process_cpu" },
	{ "__profile_type__", "process_cpu:cpu:nanoseconds:cpu:nanoseconds" },
	{ "namé", "\"quoted\"\n\\" },
	{ NULL, NULL },
};

static struct str look_up(const void *context, struct str name)
{
	for (const struct pair *pair = context; pair->name; pair++)
		if (str_equal(name, str_from(pair->name)))
			return str_from(pair->value);
	return (struct str){ 0 };
}

static void parses_and_matches_as_prometheus_does(void **state)
{
	static const struct {
		const char *text;
		bool matches;
	} cases[] = {
		{ "", true },
		{ "  ", true },
		{ "{}", true },
		{ " { } ", true },
		{ "{service_name=\"checkout\"}", true },
		{ "{ service_name = \"checkout\" , }", true },
		{ "{service_name=\"Checkout\"}", false },
		{ "{service_name!=\"checkout\"}", false },
		{ "{service_name!=\"cart\"}", true },
		{ "{service_name=\"checkout\",pid=\"4711\"}", true },
		{ "{service_name=\"checkout\",pid=\"4712\"}", false },
		/* Anchored at both ends. */
		{ "{pid=~\"47\"}", false },
		{ "{pid=~\"47.*\"}", true },
		{ "{pid=~\"47..|1\"}", true },
		{ "{pid=~\"1|47..\"}", true },
		{ "{pid!~\"47\"}", true },
		{ "{pid!~\".*1\"}", false },
		{ "{pid=~\"\\\\d+\"}", true },
		/* What lacks the label is what has it empty. */
		{ "{pod=\"\"}", true },
		{ "{pod=~\".*\"}", true },
		{ "{pod=~\".+\"}", false },
		{ "{pod!=\"\"}", false },
		{ "{pod!~\".+\"}", true },
		{ "{pid!=\"\"}", true },
		/* Names in front, and quoted. */
		{ "process_cpu", true },
		{ "memory{}", false },
		{ "process_cpu{service_name=\"checkout\"}", true },
		{ "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}", true },
		{ "process_cpu:cpu:nanoseconds:cpu:nanoseconds:delta{}", true },
		{ "process_cpu:wall:nanoseconds:cpu:nanoseconds{}", false },
		{ "{\"process_cpu\"}", true },
		{ "{\"process_cpu\",pid=\"4711\"}", true },
		{ "{\"namé\"=\"\\\"quoted\\\"\\n\\\\\"}", true },
		{ "{'namé'='\"quoted\"\\n\\\\'}", true },
		{ "{\"nam\\u00e9\"=~`(?s)\"quoted\".\\\\`}", true },
		{ "{\"nam\\xc3\\xa9\"!=\"\"}", true },
		{ "{pid=\"\\064711\"}", true },
		{ "{pid=\"\\U00000034711\"}", true },
	};
	char error[SELECTOR_ERROR_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(selector) struct selector *selector = NULL;
		int err = selector_parse(str_from(cases[i].text), &selector, error);

		if (err || error[0])
			fail_msg("%s: %s", cases[i].text, error);
		if (selector_matches(selector, look_up, checkout) != cases[i].matches)
			fail_msg("%s: expected %d", cases[i].text, cases[i].matches);
	}
}

static void says_what_is_wrong_and_where(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} cases[] = {
		{ "{", "byte 1: expected a label name or '}'" },
		{ "}", "byte 0: expected '{' or a metric name" },
		{ "{a", "byte 2: expected =, !=, =~ or !~" },
		{ "{a=", "byte 3: expected a quoted value" },
		{ "{a=b}", "byte 3: expected a quoted value" },
		{ "{a=\"b", "byte 3: this quoted text has no end" },
		{ "{a=\"b\nc\"}", "byte 3: this quoted text has no end" },
		{ "{a=\"b\"", "byte 6: expected ',' or '}'" },
		{ "{a=\"b\" c=\"d\"}", "byte 7: expected ',' or '}'" },
		{ "{a=\"b\"} x", "byte 8: expected the end" },
		{ "{a==\"b\"}", "byte 3: expected a quoted value" },
		{ "{,}", "byte 1: expected a label name or '}'" },
		{ "{1a=\"b\"}", "byte 1: expected a label name or '}'" },
		{ "{\"\"=\"b\"}", "byte 3: a label name can't be empty" },
		{ "{a=\"\\q\"}",
		  "byte 5: no such escape; known are \\\\ \\\" \\' \\n \\t \\xHH \\uHHHH" },
		{ "{a=\"\\x4\"}", "byte 7: expected 2 digits of base 16" },
		{ "{a=\"\\ud800\"}", "byte 5: no character has this number" },
		{ "{a=\"\\400\"}", "byte 5: an octal escape ends at \\377" },
		{ "{a=~\"(\"}",
		  "byte 4: not a regular expression: missing closing parenthesis (at its byte 1)" },
	};
	char error[SELECTOR_ERROR_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selector *selector = NULL;

		assert_int_equal(selector_parse(str_from(cases[i].text), &selector, error),
				 -EINVAL);
		assert_null(selector);
		assert_string_equal(error, cases[i].error);
	}
}

static void keeps_its_limits(void **state)
{
	autoclean(selector) struct selector *selector = NULL;
	autofree char *text = malloc(20000);
	char error[SELECTOR_ERROR_SIZE];
	struct selector *other = NULL;
	size_t size = 0;

	(void)state;
	assert_non_null(text);
	text[size++] = '{';
	for (int i = 0; i < 100; i++)
		size += (size_t)snprintf(text + size, 20000 - size, "a%d=\"\",", i);
	text[size++] = '}';
	assert_int_equal(selector_parse((struct str){ text, size }, &selector, error), 0);
	assert_int_equal(selector_count(selector), 100);
	assert_int_equal(selector_add(selector, STR("{b=\"\"}"), error), -E2BIG);
	assert_non_null(strstr(error, "more than 100 matchers"));
	assert_int_equal(selector_count(selector), 100);

	memset(text, ' ', 20000);
	assert_int_equal(selector_parse((struct str){ text, 16384 }, &other, error), 0);
	other = selector_free(other);
	assert_int_equal(selector_parse((struct str){ text, 16385 }, &other, error), -E2BIG);
	assert_non_null(strstr(error, "16385 bytes"));
	assert_null(other);

	/* Parentheses beyond all use would take the stack of the compiler. */
	text[0] = '{';
	memcpy(text + 1, "a=~\"", 4);
	memset(text + 5, '(', 200);
	memset(text + 205, ')', 200);
	memcpy(text + 405, "\"}", 2);
	assert_int_equal(selector_parse((struct str){ text, 407 }, &other, error), -EINVAL);
	assert_non_null(strstr(error, "not a regular expression"));
}

/* Expressions that take for ever stop, and do not match. */
static void ends_expressions_that_run_wild(void **state)
{
	autoclean(selector) struct selector *selector = NULL;
	char error[SELECTOR_ERROR_SIZE];
	char value[201];
	struct pair sample[] = { { "pid", value }, { NULL, NULL } };
	uint64_t start = clock_monotonic_ns();

	(void)state;
	memset(value, 'a', 200);
	value[200] = '\0';
	assert_int_equal(selector_parse(STR("{pid=~\"(a|aa|aaa)+b(a|b)*\"}"), &selector, error), 0);
	for (int i = 0; i < 10; i++)
		assert_false(selector_matches(selector, look_up, sample));
	/* Without a limit this takes longer than the universe; ten seconds are enough for any. */
	assert_true(clock_monotonic_ns() - start < UINT64_C(10) * (uint64_t)CLOCK_NS_PER_S);
}

static void adds_a_second_text_and_takes_back_a_wrong_one(void **state)
{
	autoclean(selector) struct selector *selector = NULL;
	static const struct str known[] = { { "pid", 3 }, { "service_name", 12 } };
	char error[SELECTOR_ERROR_SIZE];

	(void)state;
	assert_int_equal(selector_parse(STR("{pid=\"4711\"}"), &selector, error), 0);
	assert_true(selector_uses(selector, STR("pid")));
	assert_false(selector_uses(selector, STR("service_name")));
	assert_int_equal(selector_add(selector, STR("{service_name=\"cart\", pod=}"), error),
			 -EINVAL);
	assert_int_equal(selector_count(selector), 1);
	assert_true(selector_matches(selector, look_up, checkout));
	assert_int_equal(selector_add(selector, STR("{service_name=\"cart\"}"), error), 0);
	assert_int_equal(selector_count(selector), 2);
	assert_true(selector_uses_only(selector, known, 2));
	assert_false(selector_uses_only(selector, known, 1));
	assert_false(selector_matches(selector, look_up, checkout));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_and_matches_as_prometheus_does),
		cmocka_unit_test(says_what_is_wrong_and_where),
		cmocka_unit_test(keeps_its_limits),
		cmocka_unit_test(ends_expressions_that_run_wild),
		cmocka_unit_test(adds_a_second_text_and_takes_back_a_wrong_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

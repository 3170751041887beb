/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a real Pyroscope server was pushed and asked, and what it answered: the same of an empty
 * hearth. The answers lie beside the tree, where there are any, with the program that compares
 * them. Cases that clients depend on must pass, but for those of golden_unanswered.txt, each of
 * which must fail: what is answered is taken off the list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "tests/support/hearth.h"

enum { CASE_COUNT_MAX = 1024, OUTPUT_SIZE_MAX = 1 << 20, LIST_SIZE_MAX = 64 << 10 };

static const char list_path[] = "tests/system/golden_unanswered.txt";

struct cases {
	struct str names[CASE_COUNT_MAX]; /* "query 045-series-all" */
	size_t count;
};

static bool holds(const struct cases *cases, struct str name)
{
	for (size_t i = 0; i < cases->count; i++)
		if (str_equal(cases->names[i], name))
			return true;
	return false;
}

static void add(struct cases *cases, struct str name)
{
	assert_true(cases->count < CASE_COUNT_MAX);
	if (!holds(cases, name))
		cases->names[cases->count++] = name;
}

/* A line a case; what follows two spaces says why. */
static void read_list(char *text, struct cases *ret)
{
	FILE *file = fopen(list_path, "r");
	size_t size;
	struct str rest, line;

	assert_non_null(file);
	size = fread(text, 1, LIST_SIZE_MAX, file);
	assert_true(size < LIST_SIZE_MAX);
	(void)fclose(file);
	rest = (struct str){ text, size };
	while (parse_next(&rest, '\n', &line)) {
		for (size_t i = 0; i + 1 < line.size; i++)
			if (line.text[i] == ' ' && line.text[i + 1] == ' ')
				line.size = i;
		if (line.size > 0 && line.text[0] != '#')
			add(ret, line);
	}
}

/* "FAIL  query 045-series-all [must] json+proto: .labelsSet: …" */
static void read_failures(struct str output, struct cases *ret)
{
	struct str line;

	while (parse_next(&output, '\n', &line)) {
		struct str rest = line;
		struct str head;

		if (!str_starts_with(line, STR("FAIL  ")) || !parse_next(&rest, '[', &head) ||
		    !str_starts_with(rest, STR("must]")))
			continue;
		add(ret, (struct str){ head.text + 6, head.size - 7 });
	}
}

static void skip_because(const char *reason)
{
	print_message("skipped: %s\n", reason);
	skip();
}

/* Said in full, with what was wrong. */
static void print_failure(const char *output, struct str name)
{
	const char *line = output;

	while ((line = strstr(line, "FAIL  "))) {
		line += 6;
		if (strncmp(line, name.text, name.size) == 0)
			print_error("%.*s\n", (int)strcspn(line, "\n"), line);
	}
}

static void answers_are_those_of_pyroscope(void **state)
{
	const char *options[] = { "--retention-age", "off", NULL };
	static struct hearth hearth;
	static struct cases failed, unanswered;
	static char output[OUTPUT_SIZE_MAX], list[LIST_SIZE_MAX];
	unsigned wrong = 0;

	(void)state;
	if (access("../shared/golden/manifest.json", R_OK) != 0)
		skip_because("there are no answers of Pyroscope in ../shared/golden");
	if (shell_output(output, sizeof(output), "python3 --version && curl --version") != 0)
		skip_because("there is no Python or no curl to compare them with");
	hearth_start(&hearth, "serve", options);
	/* All of them, since some ask for what those of another level stored. */
	(void)shell_output(output, sizeof(output),
			   "python3 ../shared/tools/golden/check.py --golden ../shared/golden "
			   "--url http://127.0.0.1:%u --push --wait 5",
			   hearth.port);
	if (!strstr(output, " passed, "))
		fail_msg("the answers were not compared: %.2000s", output);
	read_list(list, &unanswered);
	read_failures(str_from(output), &failed);
	for (size_t i = 0; i < unanswered.count; i++) {
		print_message("left out: %.*s\n", STR_PRINT(unanswered.names[i]));
		if (holds(&failed, unanswered.names[i]))
			continue;
		print_error("%.*s passes: take it off %s\n", STR_PRINT(unanswered.names[i]),
			    list_path);
		wrong++;
	}
	for (size_t i = 0; i < failed.count; i++) {
		if (holds(&unanswered, failed.names[i]))
			continue;
		print_failure(output, failed.names[i]);
		wrong++;
	}
	assert_int_equal(hearth_stop(&hearth), 0);
	if (wrong > 0)
		fail_msg("%u of the answers are not as they should be", wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_those_of_pyroscope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/settings.h"

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static void has_the_documented_defaults(void **state)
{
	struct settings settings;

	(void)state;
	settings_defaults(&settings);
	assert_string_equal(settings.http, "127.0.0.1:4040");
	assert_string_equal(settings.otlp_grpc, "127.0.0.1:4317");
	assert_string_equal(settings.otlp_http, "127.0.0.1:4318");
	assert_int_equal(settings.frequency_hz, 99);
	assert_int_equal(settings.window_ns, 5000000000);
	assert_int_equal(settings.retention_age_ns, 14 * UINT64_C(86400000000000));
	assert_true(settings.retention_size == SETTING_AUTO);
	assert_int_equal(settings.span_ns, 6 * UINT64_C(3600000000000));
	assert_string_equal(settings.replay, "");
	assert_false(settings.verbose);
	assert_true(settings.data[0] == '/');
}

static void reads_both_forms_of_an_option(void **state)
{
	const char *arguments[] = { "--data",	       "/tmp/x y", "--frequency=997",
				    "--retention-age", "off",	   "--retention-size=512M",
				    "--verbose",       "--http",   "127.0.0.1:0" };
	struct settings settings;
	char error[SETTINGS_ERROR_SIZE] = "";

	(void)state;
	settings_defaults(&settings);
	assert_int_equal(
		settings_parse(&settings, SETTING_OF_RUN, COUNT(arguments), arguments, error), 0);
	assert_string_equal(settings.data, "/tmp/x y");
	assert_int_equal(settings.frequency_hz, 997);
	assert_int_equal(settings.retention_age_ns, 0);
	assert_int_equal(settings.retention_size, UINT64_C(512) << 20);
	assert_true(settings.verbose);
	assert_string_equal(settings.http, "127.0.0.1:0");
}

struct refusal {
	enum setting_command command;
	const char *first, *second;
	const char *says;
};

static void refuses_in_words_that_help(void **state)
{
	static const struct refusal refusals[] = {
		{ SETTING_OF_RUN, "--frequncy", "99", "is '--frequency' meant?" },
		{ SETTING_OF_RUN, "--colour", "red", "unknown option '--colour'" },
		{ SETTING_OF_RUN, "--frequency", "0", "'0' is not a whole number from 1 to 10000" },
		{ SETTING_OF_RUN, "--frequency", "99x", "'99x' is not a whole number" },
		{ SETTING_OF_RUN, "--frequency=", NULL, "'' is not a whole number" },
		{ SETTING_OF_RUN, "--window", "10m", "is not a time from 1s to 5s" },
		{ SETTING_OF_RUN, "--retention-age", "5", "is not a time of 600s or more" },
		{ SETTING_OF_RUN, "--retention-size", "1K", "is not a size of 1M or more" },
		{ SETTING_OF_RUN, "--data", NULL, "--data wants a value: DIR" },
		{ SETTING_OF_RUN, "--data=", NULL, "--data: '' is not a text" },
		{ SETTING_OF_RUN, "--verbose=maybe", NULL,
		  "--verbose: 'maybe' is not 'yes' or 'no'" },
		{ SETTING_OF_RUN, "data", NULL, "'data' is not understood" },
		{ SETTING_OF_RUN, "--", NULL, "unknown option '--'" },
		{ SETTING_OF_COLLECT, "--http", "127.0.0.1:1", "unknown option '--http'" },
		{ SETTING_OF_RUN, "--replay", "x", "unknown option '--replay'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const char *arguments[] = { refusals[i].first, refusals[i].second };
		char error[SETTINGS_ERROR_SIZE] = "";
		struct settings settings;

		settings_defaults(&settings);
		assert_int_equal(settings_parse(&settings, refusals[i].command,
						refusals[i].second ? 2 : 1, arguments, error),
				 -EINVAL);
		if (!strstr(error, refusals[i].says))
			fail_msg("case %zu says \"%s\", not \"%s\"", i, error, refusals[i].says);
	}
}

static void refuses_a_text_that_does_not_fit(void **state)
{
	char *text = malloc(SETTING_TEXT_SIZE + 1);
	const char *arguments[] = { "--data", text };
	struct settings settings;
	char error[SETTINGS_ERROR_SIZE] = "";

	(void)state;
	assert_non_null(text);
	memset(text, 'x', SETTING_TEXT_SIZE);
	text[SETTING_TEXT_SIZE] = '\0';
	settings_defaults(&settings);
	assert_int_equal(settings_parse(&settings, SETTING_OF_RUN, 2, arguments, error), -EINVAL);
	text[SETTING_TEXT_SIZE - 1] = '\0';
	assert_int_equal(settings_parse(&settings, SETTING_OF_RUN, 2, arguments, error), 0);
	free(text);
}

static void finds_the_socket_beside_the_data(void **state)
{
	struct settings settings;
	char path[64];

	(void)state;
	settings_defaults(&settings);
	memcpy(settings.data, "/d", 3);
	assert_int_equal(settings_socket_path(&settings, path, sizeof(path)), 0);
	assert_string_equal(path, "/d/collector.sock");
	memcpy(settings.collector_socket, "/s", 3);
	assert_int_equal(settings_socket_path(&settings, path, sizeof(path)), 0);
	assert_string_equal(path, "/s");
	assert_int_equal(settings_socket_path(&settings, path, 2), -ENAMETOOLONG);
}

static void remembers_where_it_was_said(void **state)
{
	const char *arguments[] = { "--frequency", "49", "--verbose", "--verbose=no" };
	struct settings settings;
	char error[SETTINGS_ERROR_SIZE] = "";

	(void)state;
	settings_defaults(&settings);
	assert_int_equal(
		settings_parse(&settings, SETTING_OF_RUN, COUNT(arguments), arguments, error), 0);
	assert_false(settings.verbose);
	assert_int_equal(settings.sources[settings_find(STR("frequency"))].origin,
			 ORIGIN_COMMAND_LINE);
	assert_int_equal(settings.sources[settings_find(STR("verbose"))].origin,
			 ORIGIN_COMMAND_LINE);
	assert_int_equal(settings.sources[settings_find(STR("http"))].origin, ORIGIN_DEFAULT);
	assert_int_equal(settings_find(STR("htt")), -ENOENT);
	assert_string_equal(settings_nearest(STR("retention-sise"), 1), "retention-size");
	assert_null(settings_nearest(STR("retention-sise"), 0));
}

/* What SIGHUP may do, and what it may not. */
static void takes_over_what_may_change(void **state)
{
	const char *arguments[] = { "--frequency=49",	     "--window=1s",
				    "--retention-size=512M", "--retention-age=off",
				    "--http=127.0.0.1:1",    "--verbose" };
	autoclean(buf) struct buf report = BUF(65536);
	struct settings settings, loaded;
	char error[SETTINGS_ERROR_SIZE] = "";

	(void)state;
	settings_defaults(&settings);
	settings_defaults(&loaded);
	settings.command = SETTING_OF_SERVE;
	assert_int_equal(
		settings_parse(&loaded, SETTING_OF_ALL, COUNT(arguments), arguments, error), 0);
	assert_int_equal(settings_adopt(&settings, &loaded, &report), 3);
	buf_add_u8(&report, 0);
	assert_string_equal((char *)report.bytes,
			    "http: 127.0.0.1:4040 -> 127.0.0.1:1 (--http), takes a restart\n"
			    "window: 5s -> 1s (--window), takes a restart\n"
			    "retention-age: 14d -> off (--retention-age)\n"
			    "retention-size: auto -> 512M (--retention-size)\n"
			    "verbose: no -> yes (--verbose)\n");
	assert_string_equal(settings.http, "127.0.0.1:4040");
	assert_int_equal(settings.sources[settings_find(STR("http"))].origin, ORIGIN_START);
	assert_int_equal(settings.window_ns, 5000000000);
	assert_int_equal(settings.retention_age_ns, 0);
	assert_int_equal(settings.retention_size, UINT64_C(512) << 20);
	assert_true(settings.verbose);
	/* Another command's, which nobody is told of. */
	assert_int_equal(settings.frequency_hz, 49);

	buf_clear(&report);
	loaded = settings;
	assert_int_equal(settings_adopt(&settings, &loaded, &report), 0);
	assert_int_equal(report.size, 0);
}

static void shows_values_in_the_words_that_set_them(void **state)
{
	const char *arguments[] = { "--retention-age=36h", "--span=90m", "--window=1500ms",
				    "--data=/a #b" };
	const char *const lines[] = {
		"retention-age = 36h                             # --retention-age\n",
		"span = 90m                                      # --span\n",
		"window = 1500ms                                 # --window\n",
		"data = \"/a #b\"                                  # --data\n",
		"retention-size = 1536K                          # default\n",
		"frequency = 99                                  # default\n",
		"# replay =                                      # default\n",
	};
	autoclean(buf) struct buf text = BUF(65536);
	struct settings settings;
	char error[SETTINGS_ERROR_SIZE] = "";

	(void)state;
	settings_defaults(&settings);
	assert_int_equal(
		settings_parse(&settings, SETTING_OF_RUN, COUNT(arguments), arguments, error), 0);
	settings.retention_size = 1536 << 10;
	settings_show(&settings, &text);
	buf_add_u8(&text, 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr((char *)text.bytes, lines[i]))
			fail_msg("no '%s' in:\n%s", lines[i], (char *)text.bytes);
}

/* Each time that it is said is an item, and one that is empty begins anew. */
static void a_list_grows_each_time_that_it_is_said(void **state)
{
	const char *arguments[] = { "--rule", "drop {a=\"1\"}",	     "--rule=",
				    "--rule", " drop {b=\"#; 2\"} ", "--rule=limit pod 3" };
	const char *const refused[] = { "drop {a=\"", "\"a\" b", "a # b", "a\nb" };
	autoclean(buf) struct buf text = BUF(65536);
	struct settings settings, other;
	char error[SETTINGS_ERROR_SIZE] = "";

	(void)state;
	settings_defaults(&settings);
	assert_int_equal(
		settings_parse(&settings, SETTING_OF_RUN, COUNT(arguments), arguments, error), 0);
	assert_int_equal(settings.rules.count, 2);
	assert_string_equal(settings.rules.items[0], "drop {b=\"#; 2\"}");
	assert_string_equal(settings.rules.items[1], "limit pod 3");
	assert_int_equal(settings.rules.sources[1].origin, ORIGIN_COMMAND_LINE);
	settings_show(&settings, &text);
	buf_add_u8(&text, 0);
	assert_non_null(strstr((char *)text.bytes,
			       "rule = drop {b=\"#; 2\"}                          # --rule\n"
			       "rule = limit pod 3                              # --rule\n"));
	buf_clear(&text);
	settings_yaml(&settings, true, &text);
	buf_add_u8(&text, 0);
	assert_string_equal((char *)text.bytes, "rule: ['drop {b=\"#; 2\"}', 'limit pod 3']\n");
	for (int i = 0; i < COUNT(refused); i++) {
		const char *one[] = { "--rule", refused[i] };

		assert_int_equal(settings_parse(&settings, SETTING_OF_RUN, 2, one, error), -EINVAL);
		assert_non_null(strstr(error, "whose quotes are closed"));
	}
	for (int i = 2; i < SETTINGS_LIST_COUNT_MAX; i++)
		assert_int_equal(settings_parse(&settings, SETTING_OF_RUN, 1, arguments + 5, error),
				 0);
	assert_int_equal(settings_parse(&settings, SETTING_OF_RUN, 1, arguments + 5, error),
			 -EINVAL);

	settings_defaults(&other);
	other.command = SETTING_OF_SERVE;
	settings_defaults(&settings);
	assert_int_equal(settings_parse(&settings, SETTING_OF_RUN, 1, arguments + 5, error), 0);
	buf_clear(&text);
	assert_int_equal(settings_adopt(&other, &settings, &text), 1);
	buf_add_u8(&text, 0);
	assert_string_equal((char *)text.bytes, "rule: none -> [limit pod 3] (--rule)\n");
	assert_int_equal(other.rules.count, 1);
}

static void help_names_only_what_the_command_takes(void **state)
{
	autoclean(buf) struct buf text = BUF(65536);

	(void)state;
	settings_help(SETTING_OF_COLLECT, &text);
	buf_add_u8(&text, 0);
	assert_int_equal(text.error, 0);
	assert_non_null(strstr((char *)text.bytes, "--frequency HZ"));
	assert_non_null(strstr((char *)text.bytes, "(99)"));
	assert_null(strstr((char *)text.bytes, "--http"));
}

/* Files of the tree that are made of the table: each the same as what is made now. */
static void is_what_the_files_of_the_tree_say(void **state)
{
	static const struct {
		const char *path, *makes;
		void (*make)(struct buf *text);
	} files[] = {
		{ "packaging/hearth.conf", "--defaults", settings_sample },
		{ "docs/hearth.conf.5", "--manual", settings_manual },
	};

	(void)state;
	for (int i = 0; i < COUNT(files); i++) {
		autoclean(buf) struct buf made = BUF(1 << 20);
		autofree char *text = calloc(1, 1 << 20);
		FILE *file = fopen(files[i].path, "re");

		files[i].make(&made);
		assert_non_null(file);
		assert_non_null(text);

		size_t size = fread(text, 1, (1 << 20) - 1, file);

		fclose(file);
		if (size != made.size || memcmp(text, made.bytes, size) != 0)
			fail_msg("%s is not what the table says: hearth check-config %s > %s",
				 files[i].path, files[i].makes, files[i].path);
	}
}

static void has_a_units_folder_for_who_is_not_root(void **state)
{
	static const struct {
		const char *of_unit, *data;
	} cases[] = {
		{ "/var/lib/elsewhere", "/var/lib/elsewhere" },
		{ "/var/lib/a:/var/lib/b", "/home/x/hearth" },
		{ "", "/home/x/hearth" },
	};

	(void)state;
	for (int i = 0; i < COUNT(cases); i++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			struct settings settings;

			if (geteuid() == 0 && setresuid(65534, 65534, 65534))
				_exit(2);
			setenv("STATE_DIRECTORY", cases[i].of_unit, 1);
			setenv("XDG_STATE_HOME", "/home/x", 1);
			settings_defaults(&settings);
			_exit(strcmp(settings.data, cases[i].data) != 0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_the_documented_defaults),
		cmocka_unit_test(reads_both_forms_of_an_option),
		cmocka_unit_test(refuses_in_words_that_help),
		cmocka_unit_test(refuses_a_text_that_does_not_fit),
		cmocka_unit_test(finds_the_socket_beside_the_data),
		cmocka_unit_test(remembers_where_it_was_said),
		cmocka_unit_test(takes_over_what_may_change),
		cmocka_unit_test(shows_values_in_the_words_that_set_them),
		cmocka_unit_test(a_list_grows_each_time_that_it_is_said),
		cmocka_unit_test(help_names_only_what_the_command_takes),
		cmocka_unit_test(is_what_the_files_of_the_tree_say),
		cmocka_unit_test(has_a_units_folder_for_who_is_not_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

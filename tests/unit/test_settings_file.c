/* SPDX-License-Identifier: Apache-2.0 */
/* Files, environment and their order, with real files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "base/parse.h"
#include "base/settings_file.h"
#include "tests/support/hearth.h"

struct fixture {
	char folder[64];
	char path[128]; /* of the main file */
	struct buf errors;
	struct settings settings;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->folder, sizeof(f->folder), "/tmp/hearth-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/hearth.conf", f->folder);
	f->errors = BUF(1 << 20);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	folder_remove(f->folder);
	buf_done(&f->errors);
	free(f);
	return 0;
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

static int load(struct fixture *f, const char *first, const char *second)
{
	const char *arguments[] = { "--config", f->path, first, second };

	buf_clear(&f->errors);

	int err = settings_load(SETTING_OF_RUN, 2 + (first != NULL) + (second != NULL), arguments,
				&f->settings, &f->errors);

	buf_add_u8(&f->errors, 0);
	return err;
}

static unsigned read_text(struct fixture *f, struct str text)
{
	buf_clear(&f->errors);
	settings_defaults(&f->settings);

	unsigned count = settings_read(&f->settings, "a.conf", text, &f->errors);

	buf_add_u8(&f->errors, 0);
	return count;
}

static void reads_keys_sections_and_comments(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_text(f, STR("# hearth\n"
					  "; also\n"
					  "\n"
					  "frequency = 49 # Hz\r\n"
					  "  data=\"/var lib/#1;\"  ; quoted\n"
					  "http\t=\t127.0.0.1:80\n"
					  "verbose = on\n"
					  "collector-socket = /run/a#b\n"
					  "[ retention ] # of old ones\n"
					  "age = off\n"
					  "size = 5G\n"
					  "[otlp]\n"
					  "grpc = 127.0.0.1:1")),
			 0);
	assert_string_equal((char *)f->errors.bytes, "");
	assert_int_equal(f->settings.frequency_hz, 49);
	assert_string_equal(f->settings.data, "/var lib/#1;");
	assert_string_equal(f->settings.http, "127.0.0.1:80");
	assert_string_equal(f->settings.collector_socket, "/run/a#b");
	assert_string_equal(f->settings.otlp_grpc, "127.0.0.1:1");
	assert_true(f->settings.verbose);
	assert_int_equal(f->settings.retention_age_ns, 0);
	assert_int_equal(f->settings.retention_size, UINT64_C(5) << 30);

	struct setting_source source = f->settings.sources[settings_find(STR("retention-size"))];

	assert_int_equal(source.origin, ORIGIN_FILE);
	assert_int_equal(source.line, 11);
	assert_string_equal(f->settings.files[source.file], "a.conf");
}

static void says_what_is_wrong_and_where(void **state)
{
	static const struct {
		struct str text;
		const char *says;
	} cases[] = {
		{ STR("\nfrequncy = 49"),
		  "a.conf:2: there is no setting 'frequncy'; is 'frequency' meant?\n" },
		{ STR("colour = red"),
		  "a.conf:1: there is no setting 'colour'; 'hearth check-config "
		  "--show' lists all\n" },
		{ STR("[retention]\nagee = 1d"),
		  "a.conf:2: there is no setting 'retention-agee'; is 'retention-age' meant?\n" },
		{ STR("[retention]\nhttp = 127.0.0.1:1"),
		  "a.conf:2: there is no setting 'retention-http'; 'http' stands before the first "
		  "[section]\n" },
		{ STR("frequency = 0"),
		  "a.conf:1: frequency: '0' is not a whole number from 1 to 10000\n" },
		{ STR("frequency ="),
		  "a.conf:1: frequency: '' is not a whole number from 1 to 10000\n" },
		{ STR("window = 9s"),
		  "a.conf:1: window: '9s' is not a time from 1s to 5s, such as 5s\n" },
		{ STR("retention-age = 3"), "a.conf:1: retention-age: '3' is not a time of 600s or "
					    "more, such as 90s, 5m or 14d, or 'off'\n" },
		{ STR("retention-size = 5X"),
		  "a.conf:1: retention-size: '5X' is not a size of 1M or "
		  "more, such as 512M or 20G, or 'off', or 'auto'\n" },
		{ STR("verbose = loud"), "a.conf:1: verbose: 'loud' is not 'yes' or 'no'\n" },
		{ STR("http ="), "a.conf:1: http: '' is not a text of 1 to 511 bytes\n" },
		{ STR("frequency = 1\n\nfrequency = 2"),
		  "a.conf:3: frequency is set in line 1 already\n" },
		{ STR("retention-age = 1d\n[retention]\nage = 2d"),
		  "a.conf:3: retention-age is set in line 1 already\n" },
		{ STR("replay = /tmp/x"), "a.conf:1: replay: is for the command line and the "
					  "environment, not for files\n" },
		{ STR("frequency 49"),
		  "a.conf:1: 'frequency 49' is neither 'key = value' nor [section]\n" },
		{ STR("[retention"), "a.conf:1: '[retention' is no section; write [name]\n" },
		{ STR("[]"), "a.conf:1: '[]' is no section; write [name]\n" },
		{ STR("[otlp] grpc"), "a.conf:1: '[otlp] grpc' is no section; write [name]\n" },
		{ STR("data = \"/x"),
		  "a.conf:1: data: a value in '\"' ends with another '\"', and the "
		  "line with it\n" },
		{ STR("data = \"/x\" y"),
		  "a.conf:1: data: a value in '\"' ends with another '\"', and "
		  "the line with it\n" },
		{ STR("data = /x\0y"), "a.conf:1: there is a NUL byte in it\n" },
		{ STR("= 3"),
		  "a.conf:1: there is no setting ''; 'hearth check-config --show' lists "
		  "all\n" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(f, cases[i].text), 1);
		assert_string_equal((char *)f->errors.bytes, cases[i].says);
	}
}

/* A file of another kind has thousands of wrong lines. */
static void tells_of_so_many_errors_and_counts_the_rest(void **state)
{
	struct fixture *f = *state;
	autoclean(buf) struct buf text = BUF(1 << 16);

	for (int i = 0; i < 100; i++)
		buf_printf(&text, "x\n");
	assert_int_equal(read_text(f, (struct str){ (char *)text.bytes, text.size }), 100);
	assert_non_null(strstr((char *)f->errors.bytes, "a.conf:20: "));
	assert_null(strstr((char *)f->errors.bytes, "a.conf:21: "));
	assert_non_null(strstr((char *)f->errors.bytes, "a.conf: and 80 more\n"));
}

static void what_is_said_later_wins(void **state)
{
	struct fixture *f = *state;
	char folder[256];

	write_file(f, "hearth.conf",
		   "frequency = 10\nspan = 1h\nwindow = 1s\nretention-age = 1d\n");
	snprintf(folder, sizeof(folder), "%s/conf.d", f->folder);
	assert_int_equal(mkdir(folder, 0755), 0);
	write_file(f, "conf.d/10-a.conf", "frequency = 11\nspan = 2h\nwindow = 2s\n");
	write_file(f, "conf.d/20-b.conf", "span = 3h\nwindow = 3s\n");
	write_file(f, "conf.d/30-c.conf.old", "this is not read\n");
	write_file(f, "conf.d/.40.conf", "nor this\n");
	setenv("HEARTH_WINDOW", "4s", 1);
	setenv("HEARTH_SPAN", "4h", 1);
	setenv("HEARTH_RETENTION_SIZE", "", 1);
	assert_int_equal(load(f, "--span=5h", NULL), 0);
	unsetenv("HEARTH_WINDOW");
	unsetenv("HEARTH_SPAN");
	unsetenv("HEARTH_RETENTION_SIZE");
	assert_int_equal(f->settings.retention_age_ns, UINT64_C(86400000000000));
	assert_int_equal(f->settings.frequency_hz, 11);
	assert_int_equal(f->settings.window_ns, UINT64_C(4000000000));
	assert_int_equal(f->settings.span_ns, 5 * UINT64_C(3600000000000));
	assert_true(f->settings.retention_size == SETTING_AUTO);
	assert_int_equal(f->settings.file_count, 3);
	assert_string_equal(f->settings.config, f->path);

	/* And each knows by whom. */
	autoclean(buf) struct buf shown = BUF(65536);
	char expected[512];

	settings_show(&f->settings, &shown);
	buf_add_u8(&shown, 0);
	snprintf(expected, sizeof(expected), "# %s:4\n", f->path);
	assert_non_null(strstr((char *)shown.bytes, expected));
	snprintf(expected, sizeof(expected), "# %s/10-a.conf:1\n", folder);
	assert_non_null(strstr((char *)shown.bytes, expected));
	assert_non_null(strstr((char *)shown.bytes, "# HEARTH_WINDOW\n"));
	assert_non_null(strstr((char *)shown.bytes, "# --span\n"));
	assert_non_null(strstr((char *)shown.bytes, "# default\n"));

	/* What is shown can be read, and says the same. */
	struct settings settings = f->settings;

	assert_int_equal(read_text(f, (struct str){ (char *)shown.bytes, shown.size - 1 }), 0);
	assert_int_equal(f->settings.span_ns, settings.span_ns);
	assert_int_equal(f->settings.window_ns, settings.window_ns);
	assert_int_equal(f->settings.frequency_hz, 11);
}

/* Each rule that is said, in the order in which they are read, with where that was. */
static void lists_add_up(void **state)
{
	static const char *const rules[] = { "drop {a=\"b # c\"}", "set a 'it\\'s'", "limit a 3",
					     "remove b" };
	struct fixture *f = *state;
	const struct setting_list *list = &f->settings.rules;
	char folder[128];

	snprintf(folder, sizeof(folder), "%s/conf.d", f->folder);
	assert_int_equal(mkdir(folder, 0755), 0);
	write_file(f, "hearth.conf",
		   "rule = drop {a=\"b # c\"} # of a\n\n"
		   "rule=set a 'it\\'s'   ; of b\n");
	write_file(f, "conf.d/10-a.conf", "rule = \"limit a 3\" # quoted as a whole\n");
	assert_int_equal(load(f, "--rule", "remove b"), 0);
	assert_int_equal(list->count, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_string_equal(list->items[i], rules[i]);
	assert_int_equal(list->sources[1].line, 3);
	assert_int_equal(list->sources[1].file, 0);
	assert_int_equal(list->sources[2].file, 1);
	assert_int_equal(list->sources[3].origin, ORIGIN_COMMAND_LINE);
	/* A later file begins anew. */
	write_file(f, "conf.d/10-a.conf", "rule =\nrule = limit a 3\n");
	assert_int_equal(load(f, "--rule", "remove b"), 0);
	assert_int_equal(list->count, 2);
	assert_string_equal(list->items[0], rules[2]);
	/* A quote that stays open is told with its line. */
	write_file(f, "conf.d/10-a.conf", "\nrule = drop {a=\"b}\n");
	assert_int_equal(load(f, NULL, NULL), -EBADMSG);
	assert_non_null(strstr((char *)f->errors.bytes, "/conf.d/10-a.conf:2: rule: a value in "));
}

static void a_missing_file_is_an_error_when_it_was_named(void **state)
{
	struct fixture *f = *state;
	char expected[512];

	assert_int_equal(load(f, NULL, NULL), -ENOENT);
	snprintf(expected, sizeof(expected), "%s: cannot be read: No such file or directory\n",
		 f->path);
	assert_string_equal((char *)f->errors.bytes, expected);
	/* The default one may be missing. */
	buf_clear(&f->errors);
	if (access(SETTINGS_FILE, F_OK))
		assert_int_equal(settings_load(SETTING_OF_RUN, 0, NULL, &f->settings, &f->errors),
				 0);
	/* Named by the environment is named. */
	setenv("HEARTH_CONFIG", f->path, 1);
	assert_int_equal(settings_load(SETTING_OF_RUN, 0, NULL, &f->settings, &f->errors), -ENOENT);
	write_file(f, "hearth.conf", "frequency = 7\n");
	assert_int_equal(settings_load(SETTING_OF_RUN, 0, NULL, &f->settings, &f->errors), 0);
	assert_int_equal(f->settings.frequency_hz, 7);
	unsetenv("HEARTH_CONFIG");
}

static void a_huge_file_is_not_read(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(SETTINGS_FILE_SIZE_MAX + 2);
	char expected[512];

	assert_non_null(text);
	memset(text, '\n', SETTINGS_FILE_SIZE_MAX + 1);
	text[SETTINGS_FILE_SIZE_MAX + 1] = '\0';
	write_file(f, "hearth.conf", text);
	assert_int_equal(load(f, NULL, NULL), -EFBIG);
	snprintf(expected, sizeof(expected),
		 "%s: has more than the %d bytes that settings may take\n", f->path,
		 SETTINGS_FILE_SIZE_MAX);
	assert_string_equal((char *)f->errors.bytes, expected);
	text[SETTINGS_FILE_SIZE_MAX] = '\0';
	write_file(f, "hearth.conf", text);
	assert_int_equal(load(f, NULL, NULL), 0);
	free(text);
}

static void counts_its_files(void **state)
{
	struct fixture *f = *state;
	char name[128];

	write_file(f, "hearth.conf", "");
	snprintf(name, sizeof(name), "%s/conf.d", f->folder);
	assert_int_equal(mkdir(name, 0755), 0);
	for (int i = 1; i <= SETTINGS_FILE_COUNT_MAX; i++) {
		assert_int_equal(load(f, NULL, NULL), 0);
		assert_int_equal(f->settings.file_count, i);
		snprintf(name, sizeof(name), "conf.d/%02d.conf", i);
		write_file(f, name, "");
	}
	assert_int_equal(load(f, NULL, NULL), -E2BIG);
	assert_non_null(strstr((char *)f->errors.bytes, "/conf.d/32.conf: there are more than 32 "
							"files of settings\n"));
}

static void the_environment_is_checked(void **state)
{
	struct fixture *f = *state;

	write_file(f, "hearth.conf", "");
	setenv("HEARTH_FREQUNCY", "3", 1);
	assert_int_equal(load(f, NULL, NULL), -EBADMSG);
	assert_string_equal((char *)f->errors.bytes,
			    "there is no setting HEARTH_FREQUNCY; is HEARTH_FREQUENCY meant?\n");
	unsetenv("HEARTH_FREQUNCY");
	setenv("HEARTH_FREQUENCY", "many", 1);
	assert_int_equal(load(f, NULL, NULL), -EBADMSG);
	assert_string_equal((char *)f->errors.bytes,
			    "HEARTH_FREQUENCY: 'many' is not a whole number from 1 to 10000\n");
	unsetenv("HEARTH_FREQUENCY");
	/* Other programs' own. */
	setenv("HEARTH_SEED", "3", 1);
	setenv("HEARTH_REQUIRE_BPF", "1", 1);
	assert_int_equal(load(f, NULL, NULL), 0);
	unsetenv("HEARTH_SEED");
	/* The command line is judged first. */
	assert_int_equal(load(f, "--spam", "1h"), -EINVAL);
	assert_string_equal((char *)f->errors.bytes,
			    "unknown option '--spam'; is '--span' meant?\n");
}

static void reads_again_or_stays(void **state)
{
	struct fixture *f = *state;
	autoclean(buf) struct buf report = BUF(65536);
	unsigned changed = 7;
	char expected[512];

	write_file(f, "hearth.conf", "frequency = 10\nwindow = 1s\n");
	assert_int_equal(load(f, "--retention-size", "1G"), 0);

	const char *arguments[] = { "--config", f->path, "--retention-size", "1G" };

	f->settings.arguments = arguments;
	write_file(f, "hearth.conf", "\nfrequency = 20\nwindow = 2s\nretention-size = 2G\n");
	assert_int_equal(settings_reload(&f->settings, &changed, &report, &f->errors), 0);
	buf_add_u8(&report, 0);
	snprintf(expected, sizeof(expected),
		 "frequency: 10 -> 20 (%s:2)\nwindow: 1s -> 2s (%s:3), takes a restart\n", f->path,
		 f->path);
	assert_string_equal((char *)report.bytes, expected);
	assert_int_equal(changed, 1);
	assert_int_equal(f->settings.frequency_hz, 20);
	assert_int_equal(f->settings.window_ns, 1000000000);
	assert_int_equal(f->settings.retention_size, 1 << 30);

	buf_clear(&report);
	buf_clear(&f->errors);
	changed = 7;
	write_file(f, "hearth.conf", "frequency = 30\nwindow = 2x\n");
	assert_int_equal(settings_reload(&f->settings, &changed, &report, &f->errors), -EBADMSG);
	buf_add_u8(&f->errors, 0);
	snprintf(expected, sizeof(expected),
		 "%s:2: window: '2x' is not a time from 1s to 5s, such as 5s\n", f->path);
	assert_string_equal((char *)f->errors.bytes, expected);
	assert_int_equal(f->settings.frequency_hz, 20);
	assert_int_equal(report.size, 0);
	assert_int_equal(changed, 7);
}

/* With every '#' in front of a setting taken away, it says what is so anyway. */
static void the_sample_says_the_defaults(void **state)
{
	struct fixture *f = *state;
	autoclean(buf) struct buf sample = BUF(65536);
	autoclean(buf) struct buf plain = BUF(65536);
	autoclean(buf) struct buf shown = BUF(65536);
	struct settings settings;
	unsigned count = 0;

	settings_sample(&sample);
	for (size_t i = 0; i < sample.size; i++) {
		bool is_setting = sample.bytes[i] == '#' && i + 1 < sample.size &&
				  sample.bytes[i + 1] >= 'a' && sample.bytes[i + 1] <= 'z';

		if (!is_setting)
			buf_add_u8(&plain, sample.bytes[i]);
		count += is_setting;
	}
	assert_int_equal(read_text(f, (struct str){ (char *)plain.bytes, plain.size }), 0);
	assert_true(count >= 11);
	settings_defaults(&settings);
	assert_int_equal(f->settings.frequency_hz, settings.frequency_hz);
	assert_int_equal(f->settings.retention_age_ns, settings.retention_age_ns);
	assert_int_equal(f->settings.retention_size, settings.retention_size);
	assert_string_equal(f->settings.http, settings.http);
	assert_string_equal(f->settings.collector_socket, "");
	/* Every one that is not of one run stands in it. */
	settings_show(&f->settings, &shown);
	buf_add_u8(&shown, 0);

	unsigned from_file = 0;

	for (const char *at = (char *)shown.bytes; (at = strstr(at, "# a.conf:")) != NULL; at++)
		from_file++;
	assert_int_equal(from_file, count);
	from_file = 0;
	for (const char *at = (char *)shown.bytes; (at = strstr(at, "# default")) != NULL; at++)
		from_file++;
	assert_int_equal(from_file, 3); /* config, record, replay */
}

static bool file_holds(const char *path, struct str text)
{
	autoclean(buf) struct buf held = BUF(1 << 20);
	FILE *file = fopen(path, "re");
	char piece[4096];
	size_t size;

	if (!file)
		fail_msg("no %s here; tests run in the tree's top folder", path);
	while ((size = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_add(&held, piece, size);
	(void)fclose(file);
	return memmem(held.bytes, held.size, text.text, text.size) != NULL;
}

/* packaging/hearth.conf is what `hearth check-config --defaults` prints. */
static void the_packaged_file_is_the_sample(void **state)
{
	autoclean(buf) struct buf sample = BUF(65536);

	(void)state;
	settings_sample(&sample);
	if (!file_holds("packaging/hearth.conf", (struct str){ (char *)sample.bytes, sample.size }))
		fail_msg("packaging/hearth.conf is not what is in the table: "
			 "build/hearth check-config --defaults > packaging/hearth.conf");
}

static void the_manual_page_names_every_setting(void **state)
{
	struct fixture *f = *state;
	autoclean(buf) struct buf shown = BUF(65536);
	struct str lines, line;

	settings_defaults(&f->settings);
	settings_show(&f->settings, &shown);
	lines = (struct str){ (char *)shown.bytes, shown.size };
	while (parse_next(&lines, '\n', &line)) {
		autoclean(buf) struct buf name = BUF(256);
		size_t i = str_starts_with(line, STR("# ")) ? 2 : 0;

		buf_printf(&name, "\\-\\-");
		for (; i < line.size && line.text[i] != ' '; i++) {
			if (line.text[i] == '-')
				buf_add_u8(&name, '\\');
			buf_add_u8(&name, (uint8_t)line.text[i]);
		}
		if (!file_holds("docs/hearth.1", (struct str){ (char *)name.bytes, name.size }))
			fail_msg("docs/hearth.1 says nothing of %.*s", (int)name.size,
				 (char *)name.bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_keys_sections_and_comments),
		cmocka_unit_test(says_what_is_wrong_and_where),
		cmocka_unit_test(tells_of_so_many_errors_and_counts_the_rest),
		cmocka_unit_test_setup_teardown(what_is_said_later_wins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lists_add_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_missing_file_is_an_error_when_it_was_named,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_huge_file_is_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_its_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_environment_is_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_again_or_stays, set_up, tear_down),
		cmocka_unit_test(the_sample_says_the_defaults),
		cmocka_unit_test(the_packaged_file_is_the_sample),
		cmocka_unit_test(the_manual_page_names_every_setting),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

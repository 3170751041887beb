/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens as text, on disk, and as a server that runs sees them. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/settings.h"
#include "web/tokens.h"

/* SHA-256 of "abc", FIPS 180-2 B.1. */
#define HASH_OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct token_list *new_list(void)
{
	struct token_list *list = calloc(1, sizeof(*list));

	assert_non_null(list);
	return list;
}

static void reads_what_it_writes(void **state)
{
	static const char text[] = "# a comment\n\n"
				   "grafana read " HASH_OF_ABC " 1764183000 never\n"
				   "ci.1_x-2  write  " HASH_OF_ABC " 1764183001 1764183002\n"
				   "root admin " HASH_OF_ABC " 1 never";
	autofree struct token_list *list = new_list();
	autofree struct token_list *again = new_list();
	autoclean(buf) struct buf written = BUF(4096);
	char error[TOKEN_ERROR_SIZE] = "";

	(void)state;
	assert_int_equal(token_list_parse(list, STR(text), error), 0);
	assert_int_equal(list->count, 3);
	assert_string_equal(list->items[1].name, "ci.1_x-2");
	assert_int_equal(list->items[1].role, ROLE_WRITER);
	assert_int_equal(list->items[1].ends_s, 1764183002);
	assert_int_equal(list->items[0].hash[0], 0xba);
	assert_int_equal(list->items[2].hash[31], 0xad);

	token_list_write(list, &written);
	assert_int_equal(
		token_list_parse(again, (struct str){ (char *)written.bytes, written.size }, error),
		0);
	assert_memory_equal(list, again, sizeof(*list));
}

static void says_which_line_is_wrong(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "a read", "line 1 is not name, role, hash and two times" },
		{ "\na read " HASH_OF_ABC " 1 never x", "line 2 has more" },
		{ "a/b read " HASH_OF_ABC " 1 never", "line 1 begins with no name" },
		{ "a root " HASH_OF_ABC " 1 never", "role" },
		{ "a nobody " HASH_OF_ABC " 1 never", "role" },
		{ "a read 00 1 never", "SHA-256" },
		{ "a read z" HASH_OF_ABC " 1 never", "SHA-256" },
		{ "a read " HASH_OF_ABC " -1 never", "time at which" },
		{ "a read " HASH_OF_ABC " 1 0", "ends at no time" },
		{ "a read " HASH_OF_ABC " 1 soon", "ends at no time" },
		{ "a read " HASH_OF_ABC " 1 never\na admin " HASH_OF_ABC " 1 never",
		  "line 2 has a name that stands above" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autofree struct token_list *list = new_list();
		char error[TOKEN_ERROR_SIZE] = "";

		assert_int_equal(token_list_parse(list, str_from(cases[i].text), error), -EBADMSG);
		if (!strstr(error, cases[i].why))
			fail_msg("'%s' and not '%s'", error, cases[i].why);
	}
}

static void holds_so_many_and_no_more(void **state)
{
	autofree struct token_list *list = new_list();
	struct token token = { .role = ROLE_READER, .made_s = 1 };

	(void)state;
	for (int i = 0; i < TOKEN_COUNT_MAX; i++) {
		snprintf(token.name, sizeof(token.name), "t%d", i);
		assert_int_equal(token_list_add(list, &token), 0);
	}
	assert_int_equal(token_list_add(list, &token), -EEXIST);
	memcpy(token.name, "more", sizeof("more"));
	assert_int_equal(token_list_add(list, &token), -E2BIG);
	assert_int_equal(token_list_remove(list, STR("t7")), 0);
	assert_int_equal(token_list_remove(list, STR("t7")), -ENOENT);
	assert_int_equal(token_list_add(list, &token), 0);
	assert_string_equal(list->items[7].name, "t8");
}

static void makes_secrets_that_differ_and_finds_whose_they_are(void **state)
{
	autofree struct token_list *list = new_list();
	struct token token = { .name = "a", .role = ROLE_READER, .made_s = 1, .ends_s = 100 };
	char secret[TOKEN_TEXT_SIZE];
	char other[TOKEN_TEXT_SIZE];

	(void)state;
	assert_int_equal(token_make(secret), 0);
	assert_int_equal(token_make(other), 0);
	assert_int_equal(strlen(secret), TOKEN_TEXT_SIZE - 2);
	assert_string_not_equal(secret, other);
	assert_int_equal(strspn(secret + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					    "0123456789-_"),
			 43);
	assert_int_equal(token_hash(str_from(secret), token.hash), 0);
	assert_int_equal(token_list_add(list, &token), 0);
	assert_string_equal(token_list_find(list, str_from(secret), 99)->name, "a");
	assert_null(token_list_find(list, str_from(secret), 100));
	assert_null(token_list_find(list, str_from(other), 99));
	assert_null(token_list_find(list, STR(""), 99));
	assert_null(token_list_find(list, (struct str){ secret, strlen(secret) - 1 }, 99));
}

/* ---- on disk ----------------------------------------------------------------------------------
 */

struct fixture {
	struct settings settings;
	char path[600];
};

static int start(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	settings_defaults(&fixture->settings);
	snprintf(fixture->settings.data, sizeof(fixture->settings.data),
		 "/tmp/hearth-tokens-XXXXXX");
	assert_non_null(mkdtemp(fixture->settings.data));
	assert_int_equal(tokens_path(&fixture->settings, fixture->path, sizeof(fixture->path)), 0);
	*state = fixture;
	return 0;
}

static int stop(void **state)
{
	struct fixture *fixture = *state;

	(void)unlink(fixture->path);
	assert_int_equal(rmdir(fixture->settings.data), 0);
	free(fixture);
	return 0;
}

static void save_one(const struct fixture *fixture, const char *name, const char *secret)
{
	autofree struct token_list *list = new_list();
	struct token token = { .role = ROLE_WRITER, .made_s = 1 };

	snprintf(token.name, sizeof(token.name), "%s", name);
	assert_int_equal(token_hash(str_from(secret), token.hash), 0);
	assert_int_equal(token_list_add(list, &token), 0);
	assert_int_equal(tokens_save(fixture->path, list), 0);
}

static void write_text(const struct fixture *fixture, const char *text)
{
	autoclose int fd = open(fixture->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool found_within_patience(struct tokens *tokens, const char *secret, bool wanted)
{
	struct timespec pause = { .tv_nsec = 20L * 1000 * 1000 };
	struct token token;

	for (int i = 0; i < 500; i++) {
		if (tokens_find(tokens, str_from(secret), &token) == wanted)
			return true;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

static void knows_of_changes_while_it_runs(void **state)
{
	const struct fixture *fixture = *state;
	autoclean(tokens) struct tokens *tokens = NULL;
	char error[TOKEN_ERROR_SIZE] = "";
	struct token token = { .role = ROLE_NOBODY };
	struct stat status;

	assert_int_equal(tokens_open(&fixture->settings, &tokens, error), 0);
	assert_int_equal(tokens_count(tokens), 0);

	save_one(fixture, "ci", "secret of ci");
	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_true(found_within_patience(tokens, "secret of ci", true));
	assert_true(tokens_find(tokens, STR("secret of ci"), &token));
	assert_string_equal(token.name, "ci");
	assert_int_equal(token.role, ROLE_WRITER);

	save_one(fixture, "other", "secret of other");
	assert_true(found_within_patience(tokens, "secret of ci", false));
	assert_true(tokens_find(tokens, STR("secret of other"), &token));

	/* What can't be read takes nothing from anybody. */
	write_text(fixture, "nonsense\n");
	for (int i = 0; i < 3; i++) {
		struct timespec pause = { .tv_nsec = 500L * 1000 * 1000 };

		assert_true(tokens_find(tokens, STR("secret of other"), &token));
		(void)nanosleep(&pause, NULL);
	}
	assert_int_equal(unlink(fixture->path), 0);
	assert_true(found_within_patience(tokens, "secret of other", false));
}

static void does_not_start_with_a_file_that_is_no_good(void **state)
{
	const struct fixture *fixture = *state;
	struct tokens *tokens = NULL;
	char error[TOKEN_ERROR_SIZE] = "";

	write_text(fixture, "nonsense\n");
	assert_int_equal(tokens_open(&fixture->settings, &tokens, error), -EBADMSG);
	assert_null(tokens);
	assert_non_null(strstr(error, "/tokens'"));
	assert_non_null(strstr(error, "line 1"));
}

static void takes_secrets_of_a_service_manager(void **state)
{
	const struct fixture *fixture = *state;
	autoclean(tokens) struct tokens *tokens = NULL;
	struct tokens *none = NULL;
	char error[TOKEN_ERROR_SIZE] = "";
	char path[600];
	struct token token = { .role = ROLE_NOBODY };

	snprintf(path, sizeof(path), "%s/hearth-token-admin", fixture->settings.data);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", fixture->settings.data, 1), 0);

	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file, "0123456789012345678901234567890123456789\n");
	assert_int_equal(fclose(file), 0);
	assert_int_equal(tokens_open(&fixture->settings, &tokens, error), 0);
	assert_true(tokens_find(tokens, STR("0123456789012345678901234567890123456789"), &token));
	assert_int_equal(token.role, ROLE_ADMIN);
	assert_string_equal(token.name, "hearth-token-admin");
	assert_false(
		tokens_find(tokens, STR("0123456789012345678901234567890123456789\n"), &token));

	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "short\n");
	assert_int_equal(fclose(file), 0);
	assert_int_equal(tokens_open(&fixture->settings, &none, error), -EBADMSG);
	assert_non_null(strstr(error, "hearth-token-admin"));
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(says_which_line_is_wrong),
		cmocka_unit_test(holds_so_many_and_no_more),
		cmocka_unit_test(makes_secrets_that_differ_and_finds_whose_they_are),
		cmocka_unit_test_setup_teardown(knows_of_changes_while_it_runs, start, stop),
		cmocka_unit_test_setup_teardown(does_not_start_with_a_file_that_is_no_good, start,
						stop),
		cmocka_unit_test_setup_teardown(takes_secrets_of_a_service_manager, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

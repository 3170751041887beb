/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of the server while it removes from its files what was deleted: what is deleted is in no
 * answer, all else is there to the byte, and in the end the files are rid of it. HEARTH_SEED
 * repeats a run, HEARTH_DELETE_KILLS makes it longer.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "tests/support/hearth.h"
#include "tests/support/tier.h"

#define SPACE "memory:inuse_space:bytes:space:bytes"

enum {
	KILL_COUNT = 10,
	KILL_COUNT_LONG = 60,
	KEPT_COUNT = 3,
	STACK_COUNT = 4000,
	BODY_SIZE_MAX = 1 << 20,
	PAUSE_MS = 20, /* the longest into a file that is written anew, until the kill */
	BEGUN_S = 12,  /* after that long none is */
	REMOVED_S = 120,
};

struct scene {
	struct hearth hearth;
	uint64_t kills;
	int64_t from_ms;
	char socket[64];
	unsigned deleted; /* the services below this one */
};

static unsigned service_count(const struct scene *scene)
{
	return (unsigned)scene->kills + KEPT_COUNT;
}

/* Its stacks weigh a byte each, and one of them its number more. */
static uint64_t worth(unsigned service)
{
	return STACK_COUNT + service;
}

static void bring(const struct scene *scene, unsigned service)
{
	autoclean(buf) struct buf body = BUF(BODY_SIZE_MAX);
	char path[160];

	buf_printf(&body, "main;common %u\n", 1 + service);
	for (unsigned i = 1; i < STACK_COUNT; i++)
		buf_printf(&body, "main;common;step%u;of%u_%u 1\n", i % 61, service, i);
	buf_add_u8(&body, 0);
	assert_int_equal(body.error, 0);
	snprintf(path, sizeof(path), "/api/v1/import?type=" SPACE "&label=service_name=s-%u",
		 service);
	assert_int_equal(http_ask(scene->hearth.port, path, (const char *)body.bytes, NULL), 200);
}

/* By the program: over a port nobody deletes without a token. */
static void order(struct scene *scene)
{
	char program[256];
	char said[1024];

	build_path("hearth", program, sizeof(program));
	if (shell_output(said, sizeof(said),
			 "%s delete '{service_name=\"s-%u\"}' --yes --http unix:%s", program,
			 scene->deleted, scene->socket))
		fail_msg("%s", said);
	scene->deleted++;
}

/* What a selector finds of all time; "": everything. */
static uint64_t total(const struct scene *scene, const char *query)
{
	json_t *flame = hearth_get(
		&scene->hearth, "/api/v1/flame?from=%lld&to=%lld&type=" SPACE "&query=%s",
		(long long)scene->from_ms, (long long)clock_unix_ms() + 60000, query);
	uint64_t bytes = (uint64_t)json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	return bytes;
}

static void check(const struct scene *scene)
{
	json_t *labels = hearth_get(&scene->hearth, "/api/v1/labels?name=service_name&type=" SPACE);
	const json_t *values = json_object_get(labels, "values");
	uint64_t expected = 0;

	for (unsigned i = scene->deleted; i < service_count(scene); i++)
		expected += worth(i);
	assert_int_equal(total(scene, ""), expected);
	assert_int_equal(json_array_size(values), service_count(scene) - scene->deleted);
	for (size_t i = 0; i < json_array_size(values); i++) {
		unsigned service = 0;

		assert_int_equal(
			sscanf(json_string_value(json_array_get(values, i)), "s-%u", &service), 1);
		assert_in_range(service, scene->deleted, service_count(scene) - 1);
	}
	json_decref(labels);
}

/* How many deletions there are; those that are not removed yet. */
static size_t deletions(const struct scene *scene, unsigned *ret_hidden)
{
	json_t *answer = hearth_get(&scene->hearth, "/api/v1/deletions");
	const json_t *all = json_object_get(answer, "deletions");
	size_t count = json_array_size(all);

	*ret_hidden = 0;
	for (size_t i = 0; i < count; i++)
		*ret_hidden +=
			!strcmp(json_string_value(json_object_get(json_array_get(all, i), "state")),
				"hidden");
	json_decref(answer);
	return count;
}

static bool is_rewriting(const struct scene *scene)
{
	char path[512];
	DIR *entries;
	struct dirent *entry;
	bool found = false;

	snprintf(path, sizeof(path), "%s/data", scene->hearth.folder);
	entries = opendir(path);
	assert_non_null(entries);
	while ((entry = readdir(entries)))
		found |= strstr(entry->d_name, ".unfinished") != NULL;
	closedir(entries);
	return found;
}

static bool wait_for_rewriting(const struct scene *scene)
{
	double end = now_seconds() + BEGUN_S;

	while (!is_rewriting(scene)) {
		if (now_seconds() > end)
			return false;
		sleep_seconds(0.0005);
	}
	return true;
}

/* Nothing of what was deleted, nothing that a kill left, and each file is sound. */
static void check_files(const struct scene *scene)
{
	char path[512];
	DIR *entries;
	struct dirent *entry;

	snprintf(path, sizeof(path), "%s/data", scene->hearth.folder);
	entries = opendir(path);
	assert_non_null(entries);
	while ((entry = readdir(entries))) {
		sqlite3 *db = NULL;
		sqlite3_stmt *check = NULL;
		const char *end = strrchr(entry->d_name, '.');

		if (entry->d_name[0] == '.')
			continue;
		if (!end || (strcmp(end, ".db") != 0 && !strstr(end, ".db-")))
			fail_msg("'%s' was left", entry->d_name);
		if (strcmp(end, ".db") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/data/%s", scene->hearth.folder, entry->d_name);
		assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL),
				 SQLITE_OK);
		assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL),
				 SQLITE_OK);
		assert_int_equal(sqlite3_step(check), SQLITE_ROW);
		assert_string_equal((const char *)sqlite3_column_text(check, 0), "ok");
		sqlite3_finalize(check);
		sqlite3_close(db);
	}
	closedir(entries);
}

static void what_is_deleted_stays_away_and_all_else_stays(void **state)
{
	char addresses[96];
	const char *const options[] = { "--http", addresses, NULL };
	uint64_t seed = tier_seed();
	struct scene scene = { .kills = tier_number("HEARTH_DELETE_KILLS", KILL_COUNT,
						    KILL_COUNT_LONG),
			       .from_ms = clock_unix_ms() - 3600000 };
	unsigned hidden = 0, begun = 0;
	double end;

	(void)state;
	srandom((unsigned)seed);
	snprintf(scene.socket, sizeof(scene.socket), "/tmp/hearth-test-delete-%d.sock", getpid());
	snprintf(addresses, sizeof(addresses), "127.0.0.1:0,unix:%s", scene.socket);
	hearth_start(&scene.hearth, "serve", options);
	for (unsigned i = 0; i < service_count(&scene); i++)
		bring(&scene, i);
	check(&scene);
	for (uint64_t i = 0; i < scene.kills; i++) {
		order(&scene);
		check(&scene);
		begun += wait_for_rewriting(&scene);
		sleep_seconds((double)(random() % PAUSE_MS) / 1000);
		assert_int_equal(kill(scene.hearth.child.pid, SIGKILL), 0);
		assert_int_equal(child_wait(&scene.hearth.child, 20), 256 + SIGKILL);
		hearth_start_again(&scene.hearth, "serve", options);
		assert_int_equal(deletions(&scene, &hidden), scene.deleted);
		check(&scene);
	}
	end = now_seconds() + REMOVED_S;
	do {
		sleep_seconds(0.2);
		assert_int_equal(deletions(&scene, &hidden), scene.deleted);
	} while (hidden > 0 && now_seconds() < end);
	print_message("# %u of %llu kills came when a file was being written anew\n", begun,
		      (unsigned long long)scene.kills);
	assert_int_equal(hidden, 0);
	assert_true(begun > 0);
	check(&scene);
	for (unsigned i = 0; i < service_count(&scene); i++) {
		char query[64];

		snprintf(query, sizeof(query), "%%7Bservice_name%%3D%%22s-%u%%22%%7D", i);
		assert_int_equal(total(&scene, query), i < scene.deleted ? 0 : worth(i));
	}
	assert_int_equal(child_stop(&scene.hearth.child, 20), 0);
	check_files(&scene);
	folder_remove(scene.hearth.folder);
	(void)unlink(scene.socket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_deleted_stays_away_and_all_else_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

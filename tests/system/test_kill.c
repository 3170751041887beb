/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of either process at random points, many times: the other goes on, what was committed
 * stays, nothing is counted twice, every file opens. HEARTH_SEED repeats a run, HEARTH_KILLS makes
 * it longer.
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/parse.h"
#include "tests/support/hearth.h"
#include "tests/support/tier.h"

enum { KILL_COUNT = 50, KILL_COUNT_LONG = 300 };

/* Of one process: others of the host may have its name. */
static double total_until(const struct hearth *hearth, pid_t pid, int64_t from_ms, int64_t to_ms)
{
	json_t *flame = hearth_get(
		hearth, "/api/v1/flame?from=%lld&to=%lld&query=%%7Bpid%%3D%%22%d%%22%%7D",
		(long long)from_ms, (long long)to_ms, (int)pid);
	double total = json_number_value(json_object_get(flame, "total")) * 1e-9;

	json_decref(flame);
	return total;
}

static pid_t wait_for_program(const struct hearth *hearth, const char *name, pid_t not_this)
{
	double end = now_seconds() + 20;
	pid_t pid;

	do {
		pid = hearth_program(hearth, name);
		if (pid && pid != not_this)
			return pid;
		sleep_seconds(0.02);
	} while (now_seconds() < end);
	fail_msg("%s was not started again; hearth said: %s", name, hearth->child.said);
	return 0;
}

/* The supervisor keeps port 0's answer for itself: the server that starts again may get another. */
static void follow_port(struct hearth *hearth)
{
	const char *last = NULL;
	uint64_t port;

	(void)child_says(&hearth->child, "\001", 0.01);
	for (const char *at = hearth->child.said; (at = strstr(at, "ready at http://127.0.0.1:"));
	     at++)
		last = at;
	assert_non_null(last);

	struct str digits = str_from(last + strlen("ready at http://127.0.0.1:"));

	digits.size = strspn(digits.text, "0123456789");
	assert_int_equal(parse_u64(digits, &port), 0);
	hearth->port = (unsigned)port;
}

static void wait_until_answering(struct hearth *hearth)
{
	double end = now_seconds() + 20;

	do {
		follow_port(hearth);
		if (http_ask(hearth->port, "/ready", NULL, NULL) == 200)
			return;
		sleep_seconds(0.05);
	} while (now_seconds() < end);
	fail_msg("the server does not answer; hearth said: %s", hearth->child.said);
}

static void check_files(const char *folder)
{
	char path[512];
	unsigned count = 0;

	snprintf(path, sizeof(path), "%s/data", folder);

	DIR *entries = opendir(path);
	struct dirent *entry;

	assert_non_null(entries);
	while ((entry = readdir(entries))) {
		sqlite3 *db = NULL;
		sqlite3_stmt *check = NULL;
		struct str name = str_from(entry->d_name);

		if (!str_ends_with(name, STR(".db")))
			continue;
		assert_null(strstr(entry->d_name, "damaged"));
		snprintf(path, sizeof(path), "%s/data/%s", folder, entry->d_name);
		assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL),
				 SQLITE_OK);
		assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL),
				 SQLITE_OK);
		assert_int_equal(sqlite3_step(check), SQLITE_ROW);
		assert_string_equal((const char *)sqlite3_column_text(check, 0), "ok");
		sqlite3_finalize(check);
		sqlite3_close(db);
		count++;
	}
	closedir(entries);
	assert_true(count > 0);
}

static void survives_being_killed_at_any_moment(void **state)
{
	static const char *const options[] = { "--frequency", "499", "--window", "1s", NULL };
	uint64_t kills = tier_number("HEARTH_KILLS", KILL_COUNT, KILL_COUNT_LONG);
	uint64_t seed = tier_seed();
	char target[256];
	const char *arguments[] = { build_path("tests/live/targets/burn", target, sizeof(target)),
				    "100000", NULL };
	struct hearth hearth;
	struct child burn;
	double committed = 0;
	unsigned killed[2] = { 0, 0 };

	(void)state;
	need_bpf();
	srandom((unsigned)seed);
	child_start(&burn, arguments, 0);
	hearth_start(&hearth, "run", options);
	wait_for_program(&hearth, "hearth-collect", 0);
	sleep_seconds(3);

	int64_t from_ms = clock_unix_ms() - 60000;

	for (uint64_t i = 0; i < kills; i++) {
		bool kills_server = random() % 2;
		const char *name = kills_server ? "hearth-serve" : "hearth-collect";
		const char *other_name = kills_server ? "hearth-collect" : "hearth-serve";
		pid_t pid = wait_for_program(&hearth, name, 0);
		pid_t other = wait_for_program(&hearth, other_name, 0);

		assert_int_equal(kill(pid, SIGKILL), 0);
		killed[kills_server]++;
		wait_for_program(&hearth, name, pid);
		assert_int_equal(wait_for_program(&hearth, other_name, 0), other);
		if (kills_server)
			wait_until_answering(&hearth);
		/* It dies soon after its start as well as in the middle of its work. */
		sleep_seconds((double)(random() % 1800) / 1000);

		/* What is older than some seconds was committed, and must never become less. */
		if (i % 10 == 9) {
			sleep_seconds(2);

			int64_t now_ms = clock_unix_ms();
			double held = total_until(&hearth, burn.pid, from_ms, now_ms - 8000);

			if (held < committed - 0.001)
				fail_msg("after %llu kills %.3f s are left of %.3f s",
					 (unsigned long long)i + 1, held, committed);
			committed = total_until(&hearth, burn.pid, from_ms, now_ms - 8000);
		}
	}
	sleep_seconds(4);

	double sampled = total_until(&hearth, burn.pid, from_ms, clock_unix_ms());
	double used = cpu_seconds_of(burn.pid);

	print_message("# %u kills of the collector, %u of the server; %.2f s of %.2f s of CPU time "
		      "are stored\n",
		      killed[0], killed[1], sampled, used);
	/* Twice counted would be more than there was. Each kill of the collector costs its last
	 * second and the time until it samples again. */
	assert_true(sampled <= used * 1.02 + 0.1);
	assert_true(sampled >= used - 4.0 * killed[0] - 10);
	assert_true(sampled > 0);
	assert_int_equal(child_stop(&hearth.child, 20), 0);
	check_files(hearth.folder);
	kill(burn.pid, SIGKILL);
	(void)child_wait(&burn, 5);
	folder_remove(hearth.folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_being_killed_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

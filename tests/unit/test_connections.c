/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of one file that rest, are given back, and are shut, by what the process has open. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/connections.h"
#include "store/database.h"

enum { READER_COUNT = 3 };

struct fixture {
	char folder[32];
	char path[64];
	sqlite3 *writer;
	struct connections connections;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){ .folder = "/tmp/hearth-test-XXXXXX" };
	if (!mkdtemp(fixture.folder))
		return -errno;
	snprintf(fixture.path, sizeof(fixture.path), "%s/file.db", fixture.folder);
	fixture.connections.path = fixture.path;
	connections_init(&fixture.connections);
	*state = &fixture;

	int err = database_open(fixture.path, DATABASE_WRITE, &fixture.writer);

	return err ? err
		   : database_execute(fixture.writer,
				      "CREATE TABLE t (n); INSERT INTO t VALUES (41)");
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	connections_done(&fixture->connections);
	database_close(fixture->writer);
	unlink(fixture->path);
	return rmdir(fixture->folder);
}

/* How often this process has the file open, or with "-wal" its log. Of the file itself SQLite keeps
 * descriptors for the next connection as long as one has a lock. */
static unsigned count_open_with(const struct fixture *fixture, const char *suffix)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		char target[256], path[sizeof(fixture->path) + 4];
		ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

		if (size < 0)
			continue;
		target[size] = '\0';
		snprintf(path, sizeof(path), "%s%s", fixture->path, suffix);
		count += strcmp(target, path) == 0;
	}
	closedir(folder);
	return count;
}

static unsigned count_open(const struct fixture *fixture)
{
	return count_open_with(fixture, "-wal");
}

static void take(struct fixture *fixture, sqlite3 *readers[static READER_COUNT])
{
	for (int i = 0; i < READER_COUNT; i++) {
		int64_t number;

		assert_int_equal(connections_acquire(&fixture->connections, &readers[i]), 0);
		assert_int_equal(database_number(readers[i], "SELECT n FROM t", &number), 0);
		assert_int_equal(number, 41);
	}
}

static void give_back(struct fixture *fixture, sqlite3 *readers[static READER_COUNT])
{
	for (int i = 0; i < READER_COUNT; i++)
		connections_release(&fixture->connections, readers[i]);
}

static void a_few_rest_until_nobody_wants_them(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *readers[READER_COUNT];

	take(fixture, readers);
	assert_int_equal(count_open(fixture), 1 + READER_COUNT);
	give_back(fixture, readers);
	assert_int_equal(count_open(fixture), 1 + CONNECTION_RESTING_MAX);

	connections_tidy(&fixture->connections, true, clock_monotonic_ns());
	assert_int_equal(count_open(fixture), 1 + CONNECTION_RESTING_MAX);
	connections_tidy(&fixture->connections, true,
			 clock_monotonic_ns() + CONNECTION_RESTING_NS + CLOCK_NS_PER_S);
	assert_int_equal(count_open(fixture), 1);

	take(fixture, readers);
	give_back(fixture, readers);
	assert_int_equal(count_open(fixture), 1 + CONNECTION_RESTING_MAX);
}

/* One question after the other keeps one, whatever more there were in a rush. */
static void the_one_that_is_wanted_stays(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *readers[READER_COUNT], *again;

	take(fixture, readers);
	give_back(fixture, readers);

	uint64_t rushed_ns = clock_monotonic_ns();

	while (clock_monotonic_ns() < rushed_ns + 2 * CLOCK_NS_PER_MS)
		usleep(1000);
	assert_int_equal(connections_acquire(&fixture->connections, &again), 0);
	connections_release(&fixture->connections, again);
	connections_tidy(&fixture->connections, true, rushed_ns + CONNECTION_RESTING_NS + 1);
	assert_int_equal(count_open(fixture), 2);
	assert_ptr_equal(fixture->connections.resting[0].connection, again);
}

/* A month's file has no writer most of the time, and is asked about every second. */
static void descriptors_that_sqlite_keeps_are_closed(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *readers[READER_COUNT], *again;
	uint64_t later_ns = clock_monotonic_ns() + CONNECTION_RESTING_NS / 2;

	fixture->connections.all_closed_ns -= CONNECTION_RESTING_NS;
	take(fixture, readers);
	give_back(fixture, readers);
	fixture->writer = database_close(fixture->writer);
	assert_int_equal(count_open_with(fixture, ""), READER_COUNT + 1);
	assert_int_equal(count_open(fixture), CONNECTION_RESTING_MAX);

	/* Not while somebody reads or writes, and not again and again. */
	connections_tidy(&fixture->connections, true, later_ns);
	assert_int_equal(connections_acquire(&fixture->connections, &again), 0);
	connections_tidy(&fixture->connections, false, later_ns);
	assert_int_equal(count_open_with(fixture, ""), READER_COUNT + 1);
	connections_release(&fixture->connections, again);
	connections_tidy(&fixture->connections, false, later_ns);
	assert_int_equal(count_open_with(fixture, ""), 0);
	take(fixture, readers);
	give_back(fixture, readers);
	fixture->connections.resting[0].since_ns = fixture->connections.resting[1].since_ns =
		later_ns + CONNECTION_RESTING_NS;
	connections_tidy(&fixture->connections, false, later_ns + CONNECTION_RESTING_NS);
	assert_int_equal(count_open_with(fixture, ""), READER_COUNT);
	connections_tidy(&fixture->connections, false, later_ns + CONNECTION_RESTING_NS + 1);
	assert_int_equal(count_open_with(fixture, ""), 0);

	/* One alone leaves nothing behind, and stays. */
	assert_int_equal(connections_acquire(&fixture->connections, &again), 0);
	connections_release(&fixture->connections, again);
	fixture->connections.resting[0].since_ns = later_ns + 2 * CONNECTION_RESTING_NS;
	connections_tidy(&fixture->connections, false, later_ns + 3 * CONNECTION_RESTING_NS);
	assert_int_equal(fixture->connections.resting_count, 1);

	/* Who writes last takes the log away. */
	assert_int_equal(database_open(fixture->path, DATABASE_WRITE, &fixture->writer), 0);
}

static void nobody_has_one_of_a_file_that_is_shut(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *readers[READER_COUNT];

	take(fixture, readers);
	assert_false(connections_shut(&fixture->connections));
	assert_int_equal(count_open(fixture), 1 + READER_COUNT);
	give_back(fixture, readers);
	assert_true(connections_shut(&fixture->connections));
	assert_int_equal(count_open(fixture), 1);

	/* A file that is never written again has no log, and nothing rests. */
	connections_open(&fixture->connections, true);
	assert_int_equal(database_execute(fixture->writer, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
	take(fixture, readers);
	assert_int_equal(count_open(fixture), 1);
	give_back(fixture, readers);
	assert_int_equal(fixture->connections.resting_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_few_rest_until_nobody_wants_them, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_one_that_is_wanted_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(descriptors_that_sqlite_keeps_are_closed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nobody_has_one_of_a_file_that_is_shut, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

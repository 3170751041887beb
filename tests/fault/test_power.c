/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts: at every moment at which something is about to be made safe, the store is opened from
 * what a disk could hold then, where writes that nobody synced are there, lost, or torn. All that
 * was acknowledged is there, nothing is counted twice, and no file is called damaged.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/call_graph.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/store_scene.h"
#include "tests/support/tier.h"

#define START_MS   INT64_C(1764000000000)
#define EVERYTHING INT64_C(0), INT64_C(4000000000000)

enum { SAMPLES = 40, SPAN_MS = 60000, ROUNDS = 8, CUTS_PER_SYNC = 1, CUTS_PER_SYNC_LONG = 10 };

struct power {
	struct store_scene scene;
	struct store_scene after; /* what a power cut left */
	uint64_t random;
	uint64_t cuts_per_sync;
	uint64_t cuts, syncs;
	bool is_in_cut;
	char why[256]; /* what was wrong; a jump out of SQLite would leave it broken */
};

static struct power *power;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int64_t __wrap_clock_unix_ns(void);

int64_t __wrap_clock_unix_ns(void)
{
	return START_MS * CLOCK_NS_PER_MS;
}

int __wrap_fsync(int fd)
{
	char name[64], path[4096];
	ssize_t size;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	size = readlink(name, path, sizeof(path) - 1);
	if (size > 0) {
		path[size] = '\0';
		fault_vfs_synced(path);
	}
	return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
	int code = __real_rename(from, to);

	if (code == 0)
		fault_vfs_moved(from, to);
	return code;
}

int __wrap_unlink(const char *path)
{
	int code = __real_unlink(path);

	if (code == 0)
		fault_vfs_moved(path, NULL);
	return code;
}

static void note_trouble(const char *what, int64_t got, uint64_t seed)
{
	if (!power->why[0])
		snprintf(power->why, sizeof(power->why),
			 "cut %" PRIu64 " (seed %" PRIu64 "): %s: %" PRId64 "; %" PRIu64
			 " were acknowledged, %" PRIu64 " taken in",
			 power->cuts, seed, what, got, power->scene.appended - power->scene.pending,
			 power->scene.appended);
}

static void look(uint64_t seed)
{
	struct store_scene *after = &power->after;
	uint64_t acknowledged = power->scene.appended - power->scene.pending;
	struct store_status status;
	int64_t count;
	int err = store_scene_open(after);

	if (err) {
		note_trouble("the store can't be opened", err, seed);
		return;
	}
	store_status(after->store, &status);
	count = store_scene_count(after, EVERYTHING);
	if (status.damaged_count)
		note_trouble("files were called damaged", status.damaged_count, seed);
	if (count < 0 || (uint64_t)count < acknowledged ||
	    (uint64_t)count > power->scene.appended + SAMPLES)
		note_trouble("samples that are there", count, seed);
	if (store_scene_flame_count(after, EVERYTHING) != count)
		note_trouble("a flame graph has another count",
			     store_scene_flame_count(after, EVERYTHING), seed);

	/* What the sender has not been told about it sends again: it is counted once. */
	after->sequence = store_committed_sequence(after->store, STORE_SCENE_SOURCE);
	if (after->sequence * SAMPLES != (uint64_t)count)
		note_trouble("the sequence does not go with the samples", (int64_t)after->sequence,
			     seed);
	err = store_scene_append(after, START_MS + ROUNDS * SPAN_MS, SAMPLES);
	if (!err)
		err = store_scene_commit(after);
	if (err || store_scene_count(after, EVERYTHING) != count + SAMPLES)
		note_trouble("it does not go on", err, seed);
}

static void cut(void *context)
{
	(void)context;
	if (power->is_in_cut || power->why[0])
		return;
	power->is_in_cut = true;
	power->syncs++;
	for (uint64_t i = 0; i < power->cuts_per_sync; i++) {
		uint64_t seed = random_next(&power->random);
		char data[256];
		int err;

		store_scene_init(&power->after, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
		power->after.options.span_ms = SPAN_MS;
		snprintf(data, sizeof(data), "%s/data", power->after.folder);
		err = mkdir(data, 0700) ? -errno : fault_vfs_power_cut(power->after.folder, seed);
		if (err)
			note_trouble("the disk could not be copied", err, seed);
		else
			look(seed);
		store_scene_done(&power->after);
		power->cuts++;
	}
	power->is_in_cut = false;
}

static void loses_nothing_in_a_power_cut(void **state)
{
	struct store_scene *scene;
	(void)state;

	power = calloc(1, sizeof(*power));
	assert_non_null(power);
	scene = &power->scene;
	power->random = tier_seed();
	power->cuts_per_sync = tier_number("HEARTH_CUTS", CUTS_PER_SYNC, CUTS_PER_SYNC_LONG);
	store_scene_init(scene, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	scene->options.span_ms = SPAN_MS;
	fault_vfs_watch(scene->folder, cut, NULL);
	assert_int_equal(store_scene_open(scene), 0);
	for (int i = 0; i < ROUNDS && !power->why[0]; i++) {
		/* Some commits a file, the end of a segment and of the file, something late, a
		 * restart. */
		for (int k = 0; k < 4; k++) {
			int64_t at = START_MS + i * SPAN_MS + k * 10000;

			if (i > 2 && k == 2)
				at -= 100 * SPAN_MS;
			assert_int_equal(store_scene_append(scene, at, SAMPLES), 0);
			assert_int_equal(store_scene_commit(scene), 0);
		}
		assert_int_equal(store_maintain(scene->store, START_MS + i * SPAN_MS), 0);
		if (i % 4 == 3) {
			scene->store = store_close(scene->store);
			assert_int_equal(store_scene_open(scene), 0);
		}
	}
	if (power->why[0])
		fail_msg("%s", power->why);
	assert_int_equal(store_scene_count(scene, EVERYTHING), scene->appended);
	print_message("# %" PRIu64 " power cuts at %" PRIu64 " syncs\n", power->cuts, power->syncs);
	assert_true(power->syncs > 100);
	scene->store = store_close(scene->store);
	fault_vfs_watch(NULL, NULL, NULL);
	store_scene_done(scene);
	free(power);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loses_nothing_in_a_power_cut),
	};

	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

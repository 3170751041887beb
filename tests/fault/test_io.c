/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call that reads or writes fails, once and for ever, with an error of the disk and with a
 * full disk: nothing acknowledged is lost, nothing is counted twice, no sound file is called
 * damaged, and when the disk is well again all goes on.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/store_scene.h"
#include "tests/support/tier.h"

#define START_MS   INT64_C(1764000000000)
#define EVERYTHING INT64_C(0), INT64_C(4000000000000)

enum { SAMPLES = 20, SPAN_MS = 60000, CALL_COUNT_MAX = 20000, STRIDE = 7 };

static int64_t steady_ms = 5000000;

int64_t __wrap_clock_unix_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
ssize_t __real_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset);

int64_t __wrap_clock_unix_ns(void)
{
	return START_MS * CLOCK_NS_PER_MS;
}

uint64_t __wrap_clock_monotonic_ns(void)
{
	return (uint64_t)(steady_ms * CLOCK_NS_PER_MS);
}

#define FAIL_HERE(writes)                                                                          \
	do {                                                                                       \
		if (fault_vfs_call(writes)) {                                                      \
			errno = EIO;                                                               \
			return -1;                                                                 \
		}                                                                                  \
	} while (0)

int __wrap_fsync(int fd)
{
	FAIL_HERE(true);
	return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
	FAIL_HERE(true);
	return __real_rename(from, to);
}

int __wrap_chmod(const char *path, mode_t mode)
{
	FAIL_HERE(true);
	return __real_chmod(path, mode);
}

int __wrap_unlink(const char *path)
{
	FAIL_HERE(true);
	return __real_unlink(path);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	FAIL_HERE(true);
	return __real_mkdir(path, mode);
}

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
	FAIL_HERE(false);
	return __real_pread(fd, bytes, size, offset);
}

static uint64_t acknowledged(const struct store_scene *scene)
{
	return scene->appended - scene->pending;
}

static void commit(struct store_scene *scene)
{
	/* Half a minute later: after a failure it may be tried again. */
	steady_ms += 30000;
	(void)store_scene_commit(scene);
}

/* A minute of life, over the end of a file: whatever fails, it goes on with what comes next. */
static void live(struct store_scene *scene, int64_t from_ms)
{
	for (int i = 0; i < 4; i++) {
		int64_t at = from_ms + i * (SPAN_MS / 2);

		(void)store_scene_append(scene, at, SAMPLES);
		commit(scene);
		(void)store_maintain(scene->store, at + SPAN_MS + 600000 * (i == 2));
		(void)store_scene_count(scene, EVERYTHING);
		(void)store_scene_flame_count(scene, EVERYTHING);
	}
}

static void assert_sound(struct store_scene *scene, uint64_t n)
{
	struct store_status status;
	int64_t count = store_scene_count(scene, EVERYTHING);

	store_status(scene->store, &status);
	if (status.damaged_count)
		fail_msg("call %" PRIu64 ": %s was called damaged", n, status.damaged);
	if (count < 0 || (uint64_t)count < acknowledged(scene) || (uint64_t)count > scene->appended)
		fail_msg("call %" PRIu64 ": %" PRId64 " samples are there, %" PRIu64
			 " were acknowledged, %" PRIu64 " taken in",
			 n, count, acknowledged(scene), scene->appended);
	assert_int_equal(store_scene_flame_count(scene, EVERYTHING), count);
}

/* Returns whether a call failed, that is whether there were as many. */
static bool try_call(uint64_t n, enum fault_kind kind, bool for_ever)
{
	struct store_scene scene;
	bool has_failed;

	store_scene_init(&scene, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	scene.options.span_ms = SPAN_MS;
	fault_vfs_fail(n, kind, for_ever);
	if (store_scene_open(&scene) == 0) {
		live(&scene, START_MS);
		has_failed = fault_vfs_has_failed();

		/* The disk is well again. Nothing but time is needed. */
		fault_vfs_fail(0, kind, false);
		live(&scene, START_MS + 4 * SPAN_MS);
		commit(&scene);
		assert_int_equal(scene.pending, 0);
		assert_sound(&scene, n);
		/* Closing and opening are calls as well. */
		fault_vfs_fail(has_failed ? 0 : n, kind, for_ever);
		scene.store = store_close(scene.store);
		has_failed = has_failed || fault_vfs_has_failed();
	} else {
		has_failed = fault_vfs_has_failed();
		assert_true(has_failed);
	}
	if (!scene.store) {
		fault_vfs_fail(0, kind, false);
		assert_int_equal(store_scene_open(&scene), 0);
		assert_sound(&scene, n);
	}
	store_scene_done(&scene);
	return has_failed;
}

static void try_all(enum fault_kind kind, bool for_ever)
{
	uint64_t stride = tier_number("HEARTH_STRIDE", STRIDE, 1);
	uint64_t seed = tier_seed();
	uint64_t n = 1 + seed % stride;
	uint64_t tried = 0;

	while (n < CALL_COUNT_MAX && try_call(n, kind, for_ever)) {
		n += stride;
		tried++;
	}
	print_message("# %" PRIu64 " of %" PRIu64 " calls failed %s\n", tried, n,
		      for_ever ? "for ever" : "once");
	assert_in_range(tried, 20, CALL_COUNT_MAX / stride);
}

static void a_call_fails_once(void **state)
{
	(void)state;
	try_all(FAULT_IO, false);
}

static void calls_fail_for_ever(void **state)
{
	(void)state;
	try_all(FAULT_IO, true);
}

static void a_write_finds_the_disk_full(void **state)
{
	(void)state;
	try_all(FAULT_FULL, false);
}

static void writes_find_the_disk_full_for_ever(void **state)
{
	(void)state;
	try_all(FAULT_FULL, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_fails_once),
		cmocka_unit_test(calls_fail_for_ever),
		cmocka_unit_test(a_write_finds_the_disk_full),
		cmocka_unit_test(writes_find_the_disk_full_for_ever),
	};

	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

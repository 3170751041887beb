/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that runs full, in a file system of 64 MB of its own: the store sheds, then goes
 * read-only, answers all the while, loses nothing that it acknowledged, and goes on by itself when
 * there is room again.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/support/store_scene.h"

enum { SAMPLES = 2000, RECOVERY_S_MAX = 15, STEP_MS = 1000 };

#define DAY_MS	  INT64_C(86400000)
#define ALL_FROM  INT64_C(0)
#define ALL_TO(s) ((s)->now_ms + DAY_MS)

struct full_disk {
	char mount[64];
	char image[80];
	uint64_t pieces; /* that there were when the old files had gone */
	char filler[128];
	const char *why_not; /* no file system of our own could be had */
	struct store_scene scene;
	int64_t now_ms;
};

/* Seen by this process alone, and gone with it. */
static const char *mount_small(struct full_disk *disk)
{
	char command[512];

	snprintf(disk->mount, sizeof(disk->mount), "/tmp/hearth-full-XXXXXX");
	if (!mkdtemp(disk->mount))
		return "no folder could be made in /tmp";
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return "mounting is not allowed here";
	snprintf(disk->image, sizeof(disk->image), "%s.img", disk->mount);
	snprintf(command, sizeof(command),
		 "truncate -s 64M %s && mkfs.ext4 -q -F %s && mount -o loop %s %s", disk->image,
		 disk->image, disk->image, disk->mount);
	if (system(command) == 0) {
		print_message("# ext4 on a loop device\n");
		return NULL;
	}
	if (mount("hearth", disk->mount, "tmpfs", 0, "size=64m"))
		return "neither a loop device nor a tmpfs could be mounted";
	print_message("# a tmpfs, as there is no loop device\n");
	return NULL;
}

static int set_up(void **state)
{
	struct full_disk *disk = calloc(1, sizeof(*disk));

	assert_non_null(disk);
	*state = disk;
	disk->why_not = mount_small(disk);
	if (disk->why_not)
		return 0;
	snprintf(disk->filler, sizeof(disk->filler), "%s/filler", disk->mount);
	disk->now_ms = clock_unix_ms();
	store_scene_init(&disk->scene, disk->mount);
	disk->scene.options.span_ms = 6 * 3600 * 1000;
	return 0;
}

static int tear_down(void **state)
{
	struct full_disk *disk = *state;

	if (!disk->why_not)
		store_scene_done(&disk->scene);
	(void)umount2(disk->mount, MNT_DETACH);
	(void)rmdir(disk->mount);
	(void)unlink(disk->image);
	free(disk);
	return 0;
}

static uint64_t free_bytes(const struct full_disk *disk)
{
	struct statvfs status;

	assert_int_equal(statvfs(disk->mount, &status), 0);
	return (uint64_t)status.f_bavail * status.f_frsize;
}

/* Grows the filler until so much is left; 0: until nothing is. */
static void leave(const struct full_disk *disk, uint64_t bytes)
{
	static const char block[4096] = { 1 };
	int fd = open(disk->filler, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while ((bytes == 0 || free_bytes(disk) > bytes) &&
	       write(fd, block, sizeof(block)) == (ssize_t)sizeof(block))
		;
	close(fd);
}

static enum store_state state_of(struct full_disk *disk, struct store_status *ret)
{
	assert_int_equal(store_maintain(disk->scene.store, disk->now_ms), 0);
	store_status(disk->scene.store, ret);
	return ret->state;
}

static void assert_there_since(struct full_disk *disk, int64_t from_ms, uint64_t samples)
{
	assert_int_equal(store_scene_count(&disk->scene, from_ms, ALL_TO(disk)), samples);
	assert_int_equal(store_scene_flame_count(&disk->scene, from_ms, ALL_TO(disk)), samples);
}

/*
 * Today's, to the sample. Of what went before that, roll-ups may be left: of each of its windows,
 * which are segments here, all or nothing.
 */
static void assert_all_there(struct full_disk *disk, uint64_t samples)
{
	int64_t today_ms = disk->now_ms - DAY_MS;
	int64_t rolled = store_scene_count(&disk->scene, ALL_FROM, today_ms);

	assert_there_since(disk, today_ms, samples);
	assert_int_equal(rolled % SAMPLES, 0);
	assert_in_range(rolled, 0, disk->pieces * SAMPLES);
	assert_there_since(disk, ALL_FROM, samples + (uint64_t)rolled);
}

static bool has_ballast(const struct full_disk *disk)
{
	char path[sizeof(disk->scene.folder) + 16];

	snprintf(path, sizeof(path), "%s/ballast", disk->scene.folder);
	return access(path, F_OK) == 0;
}

static void goes_through_its_states_and_back(void **state)
{
	struct full_disk *disk = *state;
	struct store_scene *scene = &disk->scene;
	struct store_status status;
	uint64_t old_samples = 0, samples;
	char text[256];
	int err = 0;

	if (disk->why_not) {
		print_message("# SKIP %s\n", disk->why_not);
		skip();
	}
	assert_int_equal(store_scene_open(scene), 0);

	/* Three days ago, two files; and today. */
	for (int i = 0; i < 20; i++) {
		int64_t at = disk->now_ms - 3 * DAY_MS + i * 2000000;

		assert_int_equal(store_scene_append(scene, at, SAMPLES), 0);
		assert_int_equal(store_scene_commit(scene), 0);
	}
	old_samples = scene->appended;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(store_scene_append(scene, disk->now_ms + i * STEP_MS, SAMPLES), 0);
		assert_int_equal(store_scene_commit(scene), 0);
	}
	assert_int_equal(state_of(disk, &status), STORE_OK);
	assert_true(has_ballast(disk));
	assert_true(status.span_count >= 2);
	store_state_text(&status, text, sizeof(text));
	assert_string_equal(text, "");
	assert_there_since(disk, ALL_FROM, scene->appended);

	/* Less than a tenth: the old ones go, today stays. */
	leave(disk, status.disk_bytes / 15);
	state_of(disk, &status);
	assert_true(status.dropped_spans[STORE_DROPPED_ROOM] > 0);
	/* No more of it can be rolled up. */
	disk->pieces = status.pieces + status.is_compacting;
	print_message("# %llu pieces\n", (unsigned long long)disk->pieces);
	samples = scene->appended - old_samples;
	leave(disk, status.disk_bytes / 15);
	assert_int_equal(state_of(disk, &status), STORE_SHEDDING);
	store_state_text(&status, text, sizeof(text));
	assert_non_null(strstr(text, "MiB left"));
	assert_all_there(disk, samples);
	assert_int_equal(store_scene_append(scene, disk->now_ms + 10 * STEP_MS, SAMPLES), 0);
	assert_int_equal(store_scene_commit(scene), 0);
	samples += SAMPLES;

	/* Less than a fiftieth: nothing is taken in any more, and the ballast goes. */
	leave(disk, status.disk_bytes / 100);
	assert_int_equal(state_of(disk, &status), STORE_READ_ONLY);
	assert_int_equal(status.state_error, 0);
	assert_false(has_ballast(disk));
	assert_int_equal(store_scene_append(scene, disk->now_ms + 11 * STEP_MS, SAMPLES), -ENOSPC);
	assert_all_there(disk, samples);

	/* Room comes back, and it goes on. */
	assert_int_equal(unlink(disk->filler), 0);
	assert_int_equal(state_of(disk, &status), STORE_OK);
	assert_true(has_ballast(disk));
	assert_int_equal(store_scene_append(scene, disk->now_ms + 11 * STEP_MS, SAMPLES), 0);
	assert_int_equal(store_scene_commit(scene), 0);
	samples += SAMPLES;
	assert_all_there(disk, samples);

	/* It runs full between two looks: a write fails. */
	assert_int_equal(store_scene_append(scene, disk->now_ms + 12 * STEP_MS, SAMPLES), 0);
	leave(disk, 0);
	for (int i = 0; i < 50 && !err; i++) {
		err = store_scene_commit(scene);
		if (err)
			break;
		samples += SAMPLES;
		err = store_scene_append(scene, disk->now_ms + (13 + i) * STEP_MS, SAMPLES);
	}
	assert_int_equal(err, -ENOSPC);
	store_status(scene->store, &status);
	assert_int_equal(status.state, STORE_READ_ONLY);
	assert_int_equal(status.state_error, -ENOSPC);
	assert_false(has_ballast(disk));
	store_state_text(&status, text, sizeof(text));
	assert_non_null(strstr(text, "could not be written"));

	/* What is appended counts, committed or not. */
	assert_all_there(disk, samples + scene->pending);

	assert_int_equal(unlink(disk->filler), 0);
	uint64_t start_ns = clock_monotonic_ns();

	do {
		struct timespec pause = { .tv_nsec = 200000000 };

		assert_true(clock_monotonic_ns() - start_ns <
			    RECOVERY_S_MAX * (uint64_t)CLOCK_NS_PER_S);
		(void)nanosleep(&pause, NULL);
	} while (store_scene_commit(scene));
	assert_int_equal(state_of(disk, &status), STORE_OK);
	print_message("# %.1f s after there was room again all was on disk\n",
		      (double)(clock_monotonic_ns() - start_ns) * 1e-9);
	samples += SAMPLES;
	assert_all_there(disk, samples);

	/* And on disk it is. */
	scene->store = store_close(scene->store);
	assert_int_equal(store_scene_open(scene), 0);
	store_status(scene->store, &status);
	assert_int_equal(status.damaged_count, 0);
	assert_all_there(disk, samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(goes_through_its_states_and_back, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

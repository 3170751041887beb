/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged stores: bits flipped, pages zeroed, files cut, swapped, of another program or a later
 * version, logs missing or foreign. The store never crashes or hangs, serves every sample of every
 * file that is not damaged, never more of the others than they held, and goes on taking in.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "tests/support/call_graph.h"
#include "tests/support/store_scene.h"
#include "tests/support/tier.h"
#include "web/scrubber.h"

enum {
	SPAN_COUNT = 4, /* the last one is not sealed: its program was killed */
	SPAN_MS = 60000,
	SAMPLES = 120,
	WINDOWS_PER_SPAN = 4,
	CASE_COUNT = 150,
	CASE_COUNT_LONG = 1000,
	CASE_TIME_S = 20,
	PAGE_SIZE_OF_FILES = 4096,
	FILE_COUNT_MAX = 16,
	FILE_SIZE_MAX = 4 << 20,
};

struct file {
	char name[128];
	size_t size;
	uint8_t *bytes;
	int span; /* which one it belongs to, from 0; -1: none */
};

struct damage {
	struct store_scene origin;
	int64_t start_ms;
	struct file files[FILE_COUNT_MAX];
	size_t file_count;
	uint64_t random;
	bool is_hit[SPAN_COUNT];
	char what[256];
};

static const char *place(void)
{
	return access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
}

static void read_files(struct damage *damage)
{
	char folder[256];
	struct dirent **entries = NULL;
	int count, span = -1;

	snprintf(folder, sizeof(folder), "%s/data", damage->origin.folder);
	count = scandir(folder, &entries, NULL, alphasort);
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		struct file *file = &damage->files[damage->file_count];
		char path[600];

		if (entries[i]->d_name[0] != '.' &&
		    !str_ends_with(str_from(entries[i]->d_name), STR("-shm"))) {
			assert_true(damage->file_count < FILE_COUNT_MAX);
			snprintf(file->name, sizeof(file->name), "%.120s", entries[i]->d_name);
			snprintf(path, sizeof(path), "%s/%s", folder, file->name);

			autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

			file->bytes = malloc(FILE_SIZE_MAX);
			assert_true(fd >= 0 && file->bytes);
			file->size = (size_t)read(fd, file->bytes, FILE_SIZE_MAX);
			/* Names ascend with the time, and a log follows its file. */
			span += str_ends_with(str_from(file->name), STR(".db"));
			file->span = span;
			damage->file_count++;
		}
		free(entries[i]);
	}
	free(entries);
	assert_int_equal(span, SPAN_COUNT - 1);
}

/* In a child that ends as if it had been killed: the last file keeps its log. */
static void make_origin(struct damage *damage)
{
	struct store_scene *scene = &damage->origin;
	pid_t child;
	int status;

	store_scene_init(scene, place());
	scene->options.span_ms = SPAN_MS;
	damage->start_ms = (clock_unix_ms() / SPAN_MS - 100) * SPAN_MS;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		int err = store_scene_open(scene);

		for (int i = 0; i < SPAN_COUNT * WINDOWS_PER_SPAN && !err; i++) {
			err = store_scene_append(
				scene, damage->start_ms + i * (SPAN_MS / WINDOWS_PER_SPAN),
				SAMPLES);
			if (!err)
				err = store_scene_commit(scene);
		}
		_exit(err != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	read_files(damage);
}

static void write_file(const char *folder, const char *name, const uint8_t *bytes, size_t size)
{
	char path[600];
	snprintf(path, sizeof(path), "%s/data/%s", folder, name);

	autoclose int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
}

static uint64_t below(struct damage *damage, uint64_t limit)
{
	return limit ? random_next(&damage->random) % limit : 0;
}

/* Damages a copy of one file; returns its new size. */
static size_t hurt(struct damage *damage, const struct file *file, uint8_t *bytes)
{
	size_t size = file->size;
	size_t page = below(damage, size / PAGE_SIZE_OF_FILES) * PAGE_SIZE_OF_FILES;
	size_t at = below(damage, size);
	const char *what = "";

	if (size == 0)
		return 0;
	switch (below(damage, 9)) {
	case 0:
		what = "a bit flipped";
		bytes[at] ^= (uint8_t)(1 << below(damage, 8));
		break;
	case 1:
		what = "bytes of noise";
		for (size_t i = at; i < size && i < at + 64; i++)
			bytes[i] = (uint8_t)below(damage, 256);
		break;
	case 2:
		what = "a page of zeros";
		memset(bytes + page, 0, size - page < 4096 ? size - page : 4096);
		break;
	case 3:
		what = "cut short";
		size = at;
		break;
	case 4:
		what = "empty";
		size = 0;
		break;
	case 5:
		what = "a page in another's place";
		memmove(bytes + page, bytes + below(damage, size / 4096) * 4096,
			size - page < 4096 ? 0 : 4096);
		break;
	case 6:
		what = "another program's file"; /* application_id */
		memcpy(bytes + (size > 72 ? 68 : 0), "Xxxx", 4);
		break;
	case 7:
		what = "of a later version"; /* user_version */
		memcpy(bytes + (size > 64 ? 60 : 0), "\0\0\x7f\x7f", 4);
		break;
	default:
		what = "all noise";
		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)below(damage, 256);
		break;
	}
	snprintf(damage->what, sizeof(damage->what), "%s: %s, at %zu of %zu", file->name, what, at,
		 file->size);
	return size;
}

static void write_damaged(struct damage *damage, const char *folder)
{
	size_t victim = below(damage, damage->file_count);
	size_t other = below(damage, damage->file_count);
	uint64_t way = below(damage, 12);
	autofree uint8_t *bytes = malloc(FILE_SIZE_MAX);

	assert_non_null(bytes);
	memset(damage->is_hit, 0, sizeof(damage->is_hit));
	for (size_t i = 0; i < damage->file_count; i++) {
		const struct file *file = &damage->files[i];
		const struct file *contents = file;
		size_t size = file->size;

		if (i != victim && !(way == 0 && i == other)) {
			write_file(folder, file->name, file->bytes, size);
			continue;
		}
		damage->is_hit[file->span] = true;
		if (way == 0) {
			contents = &damage->files[i == victim ? other : victim];
			snprintf(damage->what, sizeof(damage->what), "%s and %s changed places",
				 damage->files[victim].name, damage->files[other].name);
			damage->is_hit[contents->span] = true;
			write_file(folder, file->name, contents->bytes, contents->size);
		} else if (way == 1) {
			snprintf(damage->what, sizeof(damage->what), "%s: gone", file->name);
		} else {
			memcpy(bytes, file->bytes, file->size);
			size = hurt(damage, file, bytes);
			write_file(folder, file->name, bytes, size);
		}
	}
}

/* An answer may fail while a file is found to be damaged, but not after it was set aside. */
static int64_t ask(struct store_scene *scene, bool flame, int64_t from_ms, int64_t to_ms)
{
	int64_t count = -1;

	for (int i = 0; i <= SPAN_COUNT && count < 0; i++) {
		count = flame ? store_scene_flame_count(scene, from_ms, to_ms)
			      : store_scene_count(scene, from_ms, to_ms);
		if (count < 0)
			(void)store_maintain(scene->store, clock_unix_ms());
	}
	return count;
}

/* All files are read through, as the scrubber does in some hours, and what is damaged set aside. */
static void scrub(struct store_scene *scene)
{
	static const _Atomic bool never = false;
	int err;

	while ((err = store_scrub(scene->store, &never)) == 1)
		;
	if (err) {
		fprintf(stderr, "# scrubbing: %s\n", strerror(-err));
		_exit(1);
	}
	(void)store_maintain(scene->store, clock_unix_ms());
}

/* Exits with 1 and words when something is wrong. In a child, so that a crash is one case's. */
static void look(struct damage *damage, struct store_scene *scene)
{
	const int64_t held = SAMPLES * WINDOWS_PER_SPAN;
	int64_t now_ms = damage->start_ms + 50 * SPAN_MS;
	int err;

	alarm(CASE_TIME_S);
	err = store_scene_open(scene);
	if (err) {
		fprintf(stderr, "# the store can't be opened: %s\n", strerror(-err));
		_exit(1);
	}
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < SPAN_COUNT; i++) {
			bool flame = round % 2;
			bool is_scrubbed = round >= 2;
			int64_t from_ms = damage->start_ms + i * SPAN_MS;
			int64_t count;

			if (round == 2 && i == 0)
				scrub(scene);
			count = ask(scene, flame, from_ms, from_ms + SPAN_MS - 1);
			/* Pages that changed places are seen by reading all, not by a question. */
			if (count < 0 || (is_scrubbed && damage->is_hit[i] && count > held) ||
			    (!damage->is_hit[i] && count != held)) {
				fprintf(stderr,
					"# span %d, %s, has %" PRId64 " samples of %" PRId64 "\n",
					i, damage->is_hit[i] ? "damaged" : "sound", count, held);
				_exit(1);
			}
		}
	/* The sequence may be among what was damaged: a sender of its own. */
	scene->sequence = 1000000;
	err = store_scene_append(scene, now_ms, SAMPLES);
	if (!err)
		err = store_scene_commit(scene);
	if (err || ask(scene, true, now_ms, now_ms + SPAN_MS) != SAMPLES) {
		fprintf(stderr, "# it takes in no more: %s\n", strerror(-err));
		_exit(1);
	}
	(void)store_maintain(scene->store, now_ms + 100 * SPAN_MS);
	scene->store = store_close(scene->store);
	_exit(0);
}

static void serves_what_is_not_damaged(void **state)
{
	(void)state;
	uint64_t case_count = tier_number("HEARTH_CASES", CASE_COUNT, CASE_COUNT_LONG);
	struct damage *damage = calloc(1, sizeof(*damage));

	assert_non_null(damage);
	damage->random = tier_seed();
	make_origin(damage);
	for (uint64_t i = 0; i < case_count; i++) {
		struct store_scene scene;
		uint64_t seed = damage->random;
		char data[256];
		int status = 0;
		pid_t child;

		store_scene_init(&scene, place());
		scene.options.span_ms = SPAN_MS;
		snprintf(data, sizeof(data), "%s/data", scene.folder);
		assert_int_equal(mkdir(data, 0700), 0);
		write_damaged(damage, scene.folder);
		fflush(NULL);
		child = fork();
		if (child == 0)
			look(damage, &scene);
		assert_int_equal(waitpid(child, &status, 0), child);
		store_scene_done(&scene);
		if (status)
			fail_msg("case %" PRIu64 " (HEARTH_SEED=%" PRIu64 "), %s: %s %d", i, seed,
				 damage->what, WIFSIGNALED(status) ? "signal" : "exit",
				 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	print_message("# %" PRIu64 " damaged stores\n", case_count);
	for (size_t i = 0; i < damage->file_count; i++)
		free(damage->files[i].bytes);
	store_scene_done(&damage->origin);
	free(damage);
}

/* A byte of each packed blob of a file, on disk; some lie where nothing is any more. */
static void rot(const char *path)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	uint8_t *bytes = malloc(FILE_SIZE_MAX);
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t *found;
	ssize_t size;
	int count = 0;

	assert_true(bytes && fd >= 0);
	size = read(fd, bytes, FILE_SIZE_MAX);
	assert_true(size > 0);
	found = bytes;
	while ((found = memmem(found, (size_t)(bytes + size - found), magic, sizeof(magic)))) {
		found += 24;
		*found ^= 1;
		assert_int_equal(pwrite(fd, found, 1, found - bytes), 1);
		count++;
	}
	assert_true(count > 0);
	free(bytes);
}

static void what_rots_is_found_and_set_aside_with_its_reason(void **state)
{
	(void)state;
	static const _Atomic bool never = false;
	const int64_t start_ms = (clock_unix_ms() / SPAN_MS - 100) * SPAN_MS;
	struct store_scene scene;
	struct store_status status;
	struct dirent **entries = NULL;
	char path[600];

	store_scene_init(&scene, place());
	scene.options.span_ms = SPAN_MS;
	assert_int_equal(store_scene_open(&scene), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_scene_append(&scene, start_ms + i * SPAN_MS, SAMPLES), 0);
		assert_int_equal(store_scene_commit(&scene), 0);
	}

	/* Two are sealed. Both are read, once, and found well. */
	assert_int_equal(store_scrub(scene.store, &never), 1);
	assert_int_equal(store_scrub(scene.store, &never), 1);
	assert_int_equal(store_scrub(scene.store, &never), 0);
	store_status(scene.store, &status);
	assert_int_equal(status.checked_spans, 2);
	assert_int_equal(status.damaged_count, 0);

	/* Nobody asks for what rots in the meantime. */
	scene.store = store_close(scene.store);
	snprintf(path, sizeof(path), "%s/data", scene.folder);
	assert_true(scandir(path, &entries, NULL, alphasort) >= 5);
	snprintf(path, sizeof(path), "%s/data/%s", scene.folder, entries[2]->d_name);
	rot(path);
	assert_int_equal(store_scene_open(&scene), 0);
	store_status(scene.store, &status);
	assert_int_equal(status.damaged_count, 0);
	while (store_scrub(scene.store, &never) == 1)
		;
	assert_int_equal(store_maintain(scene.store, start_ms + 3 * SPAN_MS), 0);
	store_status(scene.store, &status);
	assert_int_equal(status.damaged_count, 1);
	assert_string_equal(status.damaged, entries[2]->d_name);
	assert_non_null(strstr(status.damage, "does not unpack"));
	/* The other sealed one, and the one that was not. */
	assert_int_equal(status.checked_spans, 2);
	assert_int_equal(store_scene_count(&scene, start_ms, start_ms + SPAN_MS - 1), 0);
	assert_int_equal(store_scene_count(&scene, start_ms + SPAN_MS, start_ms + 3 * SPAN_MS),
			 2 * SAMPLES);
	/* It is kept for whoever wants to look. */
	assert_true(access(path, F_OK) != 0);
	for (int i = 0; i < 5; i++)
		free(entries[i]);
	free(entries);
	store_scene_done(&scene);
}

/* Opening looks at what is written on only: what has grown large is read through afterwards. */
static void what_rotted_in_a_file_that_was_left_open_is_found(void **state)
{
	(void)state;
	static const _Atomic bool never = false;
	const int64_t start_ms = (clock_unix_ms() / SPAN_MS - 100) * SPAN_MS;
	struct store_scene scene;
	struct store_status status;
	struct dirent **entries = NULL;
	char path[600];

	store_scene_init(&scene, place());
	assert_int_equal(store_scene_open(&scene), 0);
	assert_int_equal(store_scene_append(&scene, start_ms, SAMPLES), 0);
	assert_int_equal(store_scene_commit(&scene), 0);
	scene.store = store_close(scene.store);
	assert_int_equal(store_scene_open(&scene), 0);
	assert_int_equal(store_scrub(scene.store, &never), 1);
	/* Once. */
	assert_int_equal(store_scrub(scene.store, &never), 0);
	store_status(scene.store, &status);
	assert_int_equal(status.checked_spans, 1);
	assert_int_equal(status.open_count, 1);
	scene.store = store_close(scene.store);
	snprintf(path, sizeof(path), "%s/data", scene.folder);
	assert_int_equal(scandir(path, &entries, NULL, alphasort), 3);
	snprintf(path, sizeof(path), "%s/data/%s", scene.folder, entries[2]->d_name);
	rot(path);
	assert_int_equal(store_scene_open(&scene), 0);
	store_status(scene.store, &status);
	assert_int_equal(status.damaged_count, 0);
	assert_int_equal(store_scrub(scene.store, &never), 1);
	assert_int_equal(store_maintain(scene.store, start_ms), 0);
	store_status(scene.store, &status);
	assert_int_equal(status.damaged_count, 1);
	assert_string_equal(status.damaged, entries[2]->d_name);
	assert_non_null(strstr(status.damage, "does not unpack"));
	for (int i = 0; i < 3; i++)
		free(entries[i]);
	free(entries);
	store_scene_done(&scene);
}

/* The oldest file of profiles. */
static void name_of_first(const struct store_scene *scene, char name[static 256],
			  char path[static 600])
{
	struct dirent **entries = NULL;
	int count;

	snprintf(path, 600, "%s/data", scene->folder);
	count = scandir(path, &entries, NULL, alphasort);
	assert_true(count > 2);
	snprintf(name, 256, "%s", entries[2]->d_name);
	snprintf(path, 600, "%s/data/%s", scene->folder, name);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
}

/* Writes it as no Hearth would, and so that every page and every checksum is right. */
static void alter(const char *path, const char *sql)
{
	sqlite3 *database = NULL;

	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* Three spans, the first two sealed. */
static void make_three(struct store_scene *scene, int64_t start_ms)
{
	store_scene_init(scene, place());
	scene->options.span_ms = SPAN_MS;
	/* A question reads each service as a part of its own. */
	scene->options.nodes_together = 1;
	assert_int_equal(store_scene_open(scene), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_scene_append(scene, start_ms + i * SPAN_MS, SAMPLES), 0);
		assert_int_equal(store_scene_commit(scene), 0);
	}
}

/* The first one says what can't be, with checksums that are right: in these blocks. */
static void make_three_with_a_wrong_one(struct store_scene *scene, int64_t start_ms,
					const char *which, char name[static 256],
					char path[static 600])
{
	char sql[128];

	make_three(scene, start_ms);
	scene->store = store_close(scene->store);
	name_of_first(scene, name, path);
	snprintf(sql, sizeof(sql), "UPDATE block SET entry_count = entry_count + 100000 WHERE %s",
		 which);
	alter(path, sql);
	assert_int_equal(store_scene_open(scene), 0);
}

/* What looks like damage may be a mistake of ours, for which nobody is to lose a file. */
static void what_fails_and_is_sound_is_left_out_and_keeps_its_name(void **state)
{
	(void)state;
	static const _Atomic bool never = false;
	const int64_t start_ms = (clock_unix_ms() / SPAN_MS - 100) * SPAN_MS;
	const int64_t end_ms = start_ms + 3 * SPAN_MS;
	struct store_scene scene;
	struct store_status status;
	char name[256], path[600];

	make_three_with_a_wrong_one(&scene, start_ms, "true", name, path);

	/* Doubted, and not asked any more. */
	(void)store_scene_flame_count(&scene, start_ms, end_ms);
	assert_int_equal(store_maintain(scene.store, end_ms), 0);
	store_status(scene.store, &status);
	assert_true(status.has_damage);
	assert_int_equal(status.damaged_count, 0);
	assert_int_equal(store_scene_flame_count(&scene, start_ms, end_ms), 2 * SAMPLES);

	/* It is the first to be read through, with others due as well. */
	assert_int_equal(store_scrub(scene.store, &never), 1);
	assert_int_equal(store_maintain(scene.store, end_ms), 0);
	store_status(scene.store, &status);
	assert_false(status.has_damage);
	assert_int_equal(status.damaged_count, 0);
	assert_int_equal(status.failing_count, 1);
	assert_string_equal(status.failing, name);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(store_scene_flame_count(&scene, start_ms, end_ms), 2 * SAMPLES);

	/* A later version knows better. */
	scene.store = store_close(scene.store);
	alter(path, "UPDATE block SET entry_count = entry_count - 100000");
	assert_int_equal(store_scene_open(&scene), 0);
	assert_int_equal(store_scene_flame_count(&scene, start_ms, end_ms), 3 * SAMPLES);
	store_scene_done(&scene);
}

/* Nobody waits until it is the file's turn. */
static void what_fails_is_read_through_at_once(void **state)
{
	(void)state;
	const int64_t start_ms = (clock_unix_ms() / SPAN_MS - 100) * SPAN_MS;
	const int64_t end_ms = start_ms + 3 * SPAN_MS;
	struct store_scene scene;
	struct store_status status = { 0 };
	struct scrubber *scrubber = NULL;
	char name[256], path[600];

	make_three_with_a_wrong_one(&scene, start_ms, "true", name, path);
	/* Which rests for a minute first; it is to be at rest when the question fails. */
	assert_int_equal(scrubber_start(scene.store, &scrubber), 0);
	usleep(300000);
	(void)store_scene_flame_count(&scene, start_ms, end_ms);
	for (int i = 0; i < 2000 && !status.failing_count; i++) {
		usleep(10000);
		assert_int_equal(store_maintain(scene.store, end_ms), 0);
		store_status(scene.store, &status);
	}
	assert_int_equal(status.failing_count, 1);
	assert_int_equal(status.checked_spans, 1);
	scrubber_stop(scrubber);
	store_scene_done(&scene);
}

/* A segment of several parts, of which the last is wrong: none of it is in the graph, nor counted.
 */
static void what_fails_in_its_last_part_is_not_counted(void **state)
{
	(void)state;
	const int64_t start_ms = (clock_unix_ms() / SPAN_MS - 100) * SPAN_MS;
	struct store_scene scene;
	char name[256], path[600];

	make_three_with_a_wrong_one(&scene, start_ms, "service = (SELECT max(service) FROM block)",
				    name, path);
	assert_int_equal(store_scene_flame_count(&scene, start_ms, start_ms + 3 * SPAN_MS),
			 2 * SAMPLES);
	store_scene_done(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_what_is_not_damaged),
		cmocka_unit_test(what_rots_is_found_and_set_aside_with_its_reason),
		cmocka_unit_test(what_rotted_in_a_file_that_was_left_open_is_found),
		cmocka_unit_test(what_fails_and_is_sound_is_left_out_and_keeps_its_name),
		cmocka_unit_test(what_fails_is_read_through_at_once),
		cmocka_unit_test(what_fails_in_its_last_part_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

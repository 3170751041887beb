/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "symbols/debug_folder.h"
#include "symbols/elf_file.h"
#include "symbols/upload_store.h"
#include "tests/support/elf_maker.h"

enum { ROOM = 1 << 20 };

struct world {
	char folder[64];
	struct upload_store *store;
	struct buf file; /* with symbols */
	struct identity identity;
};

static int set_up(void **state)
{
	static const struct elf_maker_symbol symbols[] = {
		{ "work", 0x100, 0x40, STT_FUNC, STB_GLOBAL },
	};
	struct world *world = calloc(1, sizeof(*world));
	autoclean(elf_file) struct elf_file *elf = NULL;

	assert_non_null(world);
	snprintf(world->folder, sizeof(world->folder), "/tmp/hearth-uploads-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	assert_int_equal(upload_store_open(world->folder, ROOM, &world->store), 0);
	world->file = BUF(ROOM);
	elf_maker_make(&world->file, symbols, 1);

	autoclose int fd = elf_maker_memfd(world->file.bytes, world->file.size);

	assert_int_equal(elf_file_open(fd, &elf), 0);
	world->identity = elf_file_build_id(elf);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[96];

	upload_store_close(world->store);
	buf_done(&world->file);
	snprintf(command, sizeof(command), "rm -rf %s", world->folder);
	free(world);
	return system(command);
}

/* The number of files of any kind below the folder. */
static int file_count(const struct world *world)
{
	char command[128];
	int count = -1;

	snprintf(command, sizeof(command), "find %s -type f | wc -l", world->folder);

	FILE *output = popen(command, "r");

	assert_non_null(output);
	assert_int_equal(fscanf(output, "%d", &count), 1);
	assert_int_equal(pclose(output), 0);
	return count;
}

static int take(struct world *world, const struct identity *identity, const void *bytes,
		size_t size, struct identity *found, const char **reason)
{
	struct upload *upload = NULL;
	int err = upload_begin(world->store, identity, &upload);

	/* In pieces that are no pages. */
	for (size_t done = 0; !err && done < size; done += 1000) {
		err = upload_write(upload, (const uint8_t *)bytes + done,
				   size - done < 1000 ? size - done : 1000);
		if (err)
			upload_cancel(upload);
	}
	return err ? err : upload_finish(upload, found, reason);
}

static int take_file(struct world *world)
{
	struct identity found;
	const char *reason;

	return take(world, &world->identity, world->file.bytes, world->file.size, &found, &reason);
}

static void what_is_uploaded_is_found_as_a_debug_file(void **state)
{
	struct world *world = *state;
	struct upload_info info;
	struct upload_stats stats;
	autoclose int fd = -1;
	autofree uint8_t *bytes = malloc(world->file.size);

	assert_int_equal(debug_folder_open(world->folder, &world->identity, &fd), -ENOENT);
	assert_int_equal(take_file(world), 0);
	assert_int_equal(debug_folder_open(world->folder, &world->identity, &fd), 0);
	assert_int_equal(pread(fd, bytes, world->file.size, 0), world->file.size);
	assert_memory_equal(bytes, world->file.bytes, world->file.size);
	assert_int_equal(lseek(fd, 0, SEEK_END), world->file.size);

	assert_int_equal(upload_store_find(world->store, &world->identity, &info), 0);
	upload_store_stats(world->store, &stats);
	assert_int_equal(stats.count, 1);
	assert_int_equal(stats.bytes, info.bytes);
	assert_true(identity_equal(&stats.largest.identity, &world->identity));
	/* The program's code was left out, in the middle of it. */
	assert_true(info.bytes < world->file.size + 4096);
	assert_int_equal(take_file(world), -EEXIST);
	assert_int_equal(file_count(world), 1);

	/* It is there again, and goes when it is told to. */
	world->store = upload_store_close(world->store);
	assert_int_equal(upload_store_open(world->folder, ROOM, &world->store), 0);
	upload_store_stats(world->store, &stats);
	assert_int_equal(stats.count, 1);
	assert_int_equal(upload_store_remove(world->store, &world->identity), 0);
	assert_int_equal(upload_store_remove(world->store, &world->identity), -ENOENT);
	assert_int_equal(file_count(world), 0);
	assert_int_equal(take_file(world), 0);
}

static void what_is_of_no_use_leaves_nothing(void **state)
{
	struct world *world = *state;
	struct identity other = world->identity, found;
	const char *reason;
	static const char text[] = "this is no ELF file, but long enough to be one, is it not? "
				   "sixty-four bytes at the least";

	other.bytes[3] ^= 1;
	assert_int_equal(take(world, &other, world->file.bytes, world->file.size, &found, &reason),
			 -ESTALE);
	assert_true(identity_equal(&found, &world->identity));
	assert_int_equal(take(world, &world->identity, text, sizeof(text), &found, &reason),
			 -EBADMSG);
	assert_non_null(strstr(reason, "no ELF file"));
	assert_int_equal(take(world, &world->identity, "", 0, &found, &reason), -EBADMSG);
	/* Cut anywhere it is refused: its table of sections stands at its end. */
	for (size_t size = 0; size < world->file.size; size += world->file.size / 16) {
		int err = take(world, &world->identity, world->file.bytes, size, &found, &reason);

		assert_true(err == -EBADMSG || err == -ENODATA || err == -ESTALE);
	}
	assert_int_equal(file_count(world), 0);
	assert_int_equal(take_file(world), 0);
}

static void a_file_without_symbols_is_refused(void **state)
{
	struct world *world = *state;
	struct identity found;
	const char *reason;
	Elf64_Ehdr *header = (Elf64_Ehdr *)world->file.bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(world->file.bytes + header->e_shoff);

	/* Its name is another. */
	sections[ELF_MAKER_SYMTAB_SECTION].sh_name = 0;
	assert_int_equal(
		take(world, &world->identity, world->file.bytes, world->file.size, &found, &reason),
		-ENODATA);
	assert_int_equal(file_count(world), 0);
}

static void a_full_store_takes_no_more(void **state)
{
	struct world *world = *state;
	struct upload *upload = NULL;
	autofree uint8_t *bytes = malloc(ROOM);
	int err = 0;

	memset(bytes, 7, ROOM);
	assert_int_equal(upload_begin(world->store, &world->identity, &upload), 0);
	/* Zeros take no room. */
	uint8_t zeros[8192] = { 0 };

	for (int i = 0; i < 1000; i++)
		assert_int_equal(upload_write(upload, zeros, sizeof(zeros)), 0);
	assert_int_equal(upload_write(upload, bytes, ROOM - 8192), 0);
	err = upload_write(upload, bytes, 3 * 4096);
	assert_int_equal(err, -ENOSPC);
	upload_cancel(upload);
	assert_int_equal(file_count(world), 0);

	/* What was given up has given back its room. */
	assert_int_equal(take_file(world), 0);
}

static void only_some_come_in_at_once(void **state)
{
	struct world *world = *state;
	struct upload *uploads[UPLOAD_RUNNING_MAX + 1] = { NULL };

	for (int i = 0; i < UPLOAD_RUNNING_MAX; i++)
		assert_int_equal(upload_begin(world->store, &world->identity, &uploads[i]), 0);
	assert_int_equal(upload_begin(world->store, &world->identity, &uploads[UPLOAD_RUNNING_MAX]),
			 -EBUSY);
	for (int i = 0; i < UPLOAD_RUNNING_MAX; i++)
		upload_cancel(uploads[i]);
	assert_int_equal(take_file(world), 0);
}

static void what_was_coming_in_at_the_end_is_removed(void **state)
{
	struct world *world = *state;
	struct upload *upload = NULL;
	char path[128];

	assert_int_equal(upload_begin(world->store, &world->identity, &upload), 0);
	snprintf(path, sizeof(path), "%s/.build-id/unwhole-77", world->folder);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	upload_cancel(upload);
	world->store = upload_store_close(world->store);
	assert_int_equal(upload_store_open(world->folder, ROOM, &world->store), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
}

static void reads_build_ids(void **state)
{
	static const char *const bad[] = { "",
					   "ab",
					   "abc",
					   "abcg",
					   "ab cd",
					   "../../etc",
					   "0123456789012345678901234567890123456789ab" };
	struct identity identity;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(upload_identity_from(str_from(bad[i]), &identity));
	assert_true(upload_identity_from(STR("0aFf"), &identity));
	assert_int_equal(identity.size, 2);
	assert_int_equal(identity.bytes[0], 0x0a);
	assert_int_equal(identity.bytes[1], 0xff);
	assert_true(
		upload_identity_from(STR("0123456789012345678901234567890123456789"), &identity));
	assert_int_equal(identity.size, 20);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_is_uploaded_is_found_as_a_debug_file),
		WORLD_TEST(what_is_of_no_use_leaves_nothing),
		WORLD_TEST(a_file_without_symbols_is_refused),
		WORLD_TEST(a_full_store_takes_no_more),
		WORLD_TEST(only_some_come_in_at_once),
		WORLD_TEST(what_was_coming_in_at_the_end_is_removed),
		cmocka_unit_test(reads_build_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

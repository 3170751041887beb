/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "symbols/elf_file.h"
#include "symbols/file_hash.h"
#include "symbols/symbols.h"
#include "tests/support/hearth.h"
#include "tests/support/own_file.h"

enum { SETTLE_MS = 60000, LONG_SIZE = 5000 };

static void has_hash(const void *bytes, size_t size, const char *hash)
{
	autoclose int fd = memfd_create("hashed", MFD_CLOEXEC);
	struct identity identity = { 0 };
	char text[IDENTITY_TEXT_SIZE];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(file_hash_of(fd, &identity), 0);
	assert_int_equal(identity.kind, IDENTITY_HTLHASH);
	assert_string_equal(identity_text(&identity, text), hash);
}

/* Made by Python's hashlib of what the convention describes. */
static void it_is_of_head_tail_and_length(void **state)
{
	uint8_t bytes[LONG_SIZE];
	struct identity identity;

	(void)state;
	for (size_t i = 0; i < LONG_SIZE; i++)
		bytes[i] = (uint8_t)(i % 251);
	has_hash("", 0, "htl:af5570f5a1810b7af78caf4bc70a660f");
	/* Head and tail are the same bytes then, and count twice. */
	has_hash("abc", 3, "htl:a7e79e8a85da69bad5c3fea209342ac9");
	has_hash(bytes, LONG_SIZE, "htl:8fcb735ccf036663f4dc178cf6653aac");
	assert_int_equal(file_hash_of(-1, &identity), -EBADF);
}

__attribute__((noinline, used)) static int is_named_by_the_hash(int number)
{
	return number * 7 + 1;
}

static void files_are_found_by_it(void **state)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct identity build_id, hash, other;
	struct symbols *symbols = NULL;
	char folder[] = "/tmp/hearth-hash-XXXXXX";
	uint64_t offset;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, &elf), 0);
	build_id = elf_file_build_id(elf);
	assert_int_equal(build_id.kind, IDENTITY_GNU_BUILD_ID);
	assert_int_equal(file_hash_of(fd, &hash), 0);
	offset = own_file_offset(elf, (void *)is_named_by_the_hash);
	other = hash;
	other.bytes[15] ^= 1;

	/* Asked for before anybody brought it, as samples of another profiler come first. */
	assert_int_equal(symbols_open(folder, "", &symbols), 0);
	assert_null(symbols_acquire(symbols, &hash));
	assert_int_equal(symbols_bring_file(symbols, &build_id, dup(fd)), 0);
	assert_int_equal(symbols_settle(symbols, SETTLE_MS), 0);
	own_file_has_name(symbols, &hash, offset, "is_named_by_the_hash");
	own_file_has_name(symbols, &build_id, offset, "is_named_by_the_hash");
	assert_null(symbols_acquire(symbols, &other));
	symbols_close(symbols);

	assert_int_equal(symbols_open(folder, "", &symbols), 0);
	own_file_has_name(symbols, &hash, offset, "is_named_by_the_hash");
	symbols_close(symbols);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_of_head_tail_and_length),
		cmocka_unit_test(files_are_found_by_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that another profiler names by the build id of Go's linker. This program has one, in a note
 * such as that writes.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "base/identity.h"
#include "symbols/elf_file.h"
#include "symbols/symbols.h"
#include "tests/support/hearth.h"
#include "tests/support/own_file.h"

#define GO_ID "AAAAAAAAAAAAAAAAAAAB/-_-_-_-_-_-_-_-_-_-_/zzzzzzzzzzzzzzzzzzzz/0123456789abcdefghij"

__asm__(".pushsection .note.go.buildid, \"a\", @note\n"
	".balign 4\n"
	".long 4, 2f - 1f, 4\n"
	".ascii \"Go\\0\\0\"\n"
	"1: .ascii \"" GO_ID "\"\n"
	"2: .balign 4\n"
	".popsection\n");

enum { SETTLE_MS = 60000 };

static void is_its_first_and_its_last_part(void **state)
{
	static const uint8_t first[15] = { [14] = 1 };
	static const char *const others[] = {
		"",
		"redacted",
		"AAAAAAAAAAAAAAAAAAAB",
		"AAAAAAAAAAAAAAAAAAAB/",
		"AAAAAAAAAAAAAAAAAAAB/0123456789abcdefghi",
		"AAAAAAAAAAAAAAAAAAAB 0123456789abcdefghij",
		"AAAAAAAAAAAAAAAAAAAB/x0123456789abcdefghij",
		"AAAAAAAAAAAAAAAAAAA+/0123456789abcdefghij",
		"AAAAAAAAAAAAAAAAAAAB/0123456789abcdefghi=",
	};
	struct identity identity, same;

	(void)state;
	assert_true(identity_of_go(STR(GO_ID), &identity));
	assert_int_equal(identity.kind, IDENTITY_GO_BUILD_ID);
	assert_int_equal(identity.size, 30);
	assert_memory_equal(identity.bytes, first, 15);
	/* base64 -d of 0123, and of ghij. */
	assert_memory_equal(identity.bytes + 15, "\xd3\x5d\xb7", 3);
	assert_memory_equal(identity.bytes + 27, "\x82\x18\xa3", 3);
	assert_int_equal(identity.bytes[30], 0);
	/* What a file of a package has: no parts between. */
	assert_true(identity_of_go(STR("AAAAAAAAAAAAAAAAAAAB/0123456789abcdefghij"), &same));
	assert_true(identity_equal(&identity, &same));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (identity_of_go(str_from(others[i]), &same))
			fail_msg("'%s' is taken for one", others[i]);
}

static void files_are_found_by_it(void **state)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct identity inode = { .kind = IDENTITY_INODE, .size = 40, .bytes = { 1 } };
	struct identity go, found;
	struct symbols *symbols = NULL;
	char folder[] = "/tmp/hearth-go-XXXXXX";
	uint64_t offset;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, &elf), 0);
	assert_true(identity_of_go(STR(GO_ID), &go));
	found = elf_file_go_build_id(elf);
	assert_true(identity_equal(&found, &go));
	assert_int_equal(elf_file_identify(elf, &go, &found), 0);
	offset = own_file_offset(elf, (void *)is_its_first_and_its_last_part);

	/* Asked for before anybody brought it, as samples of another profiler come first. */
	assert_int_equal(symbols_open(folder, "", &symbols), 0);
	assert_null(symbols_acquire(symbols, &go));
	assert_int_equal(symbols_bring_file(symbols, &inode, dup(fd)), 0);
	assert_int_equal(symbols_settle(symbols, SETTLE_MS), 0);
	own_file_has_name(symbols, &go, offset, "is_its_first_and_its_last_part");
	own_file_has_name(symbols, &inode, offset, "is_its_first_and_its_last_part");
	symbols_close(symbols);

	assert_int_equal(symbols_open(folder, "", &symbols), 0);
	own_file_has_name(symbols, &go, offset, "is_its_first_and_its_last_part");
	go.bytes[0] ^= 1;
	assert_null(symbols_acquire(symbols, &go));
	assert_int_not_equal(elf_file_identify(elf, &go, &found), 0);
	symbols_close(symbols);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_its_first_and_its_last_part),
		cmocka_unit_test(files_are_found_by_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "symbols/kernel_symbols.h"

static const char some_kernel[] = "0000000000000000 A fixed_percpu_data\n"
				  "ffffffff81000000 T _stext\n"
				  "ffffffff81000000 T _text\n"
				  "ffffffff81000000 T startup_64\n"
				  "ffffffff81000100 t __alias\n"
				  "ffffffff81000100 T alias\n"
				  "ffffffff81000200 W weak_function\n"
				  "ffffffff81000300 D some_data\n"
				  "ffffffff81000400 T last_function\n"
				  "ffffffff81001000 R _etext\n"
				  "ffffffff82000000 T _sinittext\n"
				  "ffffffff82000010 t init_function\n"
				  "ffffffff82000100 T _einittext\n"
				  "ffffffff83000000 T nowhere\n"
				  "not a line\n"
				  "ffffffffzz000000 T bad_address\n"
				  "ffffffff81000500 TT bad_type\n"
				  "ffffffffc0002000 t second\t[module_a]\n"
				  "ffffffffc0001000 t first\t[module_a]\n"
				  "ffffffffc0001080 d a_variable\t[module_a]\n"
				  "ffffffffc0003000 T exported\t[module_b]\n"
				  "ffffffffc0002080 t third\t[module_a]\n"
				  "ffffffffc0005000 t bpf_prog_6deef7357e7b4530_one\t[bpf]\n"
				  "ffffffffc0005040 t bpf_prog_a04f5eef06a7f555_two\t[bpf]\n"
				  "ffffffffc0005100 t broken\tno_brackets\n";

static int text_fd(const void *text, size_t size)
{
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	return fd;
}

static int read_text(const char *text, size_t size, struct kernel_symbols **ret)
{
	autoclose int fd = text_fd(text, size);

	return kernel_symbols_read(&(struct kernel_symbols_sources){ .kallsyms_fd = fd,
								     .notes_fd = -1,
								     .release = "6.1.0-test" },
				   ret);
}

static struct kernel_symbols *some(void)
{
	struct kernel_symbols *kernel = NULL;

	assert_int_equal(read_text(some_kernel, sizeof(some_kernel) - 1, &kernel), 0);
	return kernel;
}

static const struct kernel_part *part_at(const struct kernel_symbols *kernel, uint64_t address)
{
	size_t number = kernel_symbols_find(kernel, address);

	return number == SIZE_MAX ? NULL : kernel_symbols_part(kernel, number);
}

static void tells_kernel_modules_and_programs_apart(void **state)
{
	autoclean(kernel_symbols) struct kernel_symbols *kernel = some();
	const struct kernel_part *part = part_at(kernel, 0xffffffff81000123);

	(void)state;
	assert_int_equal(kernel_symbols_part_count(kernel), 5);
	assert_ptr_equal(part, kernel_symbols_part(kernel, 0));
	assert_int_equal(part->start, 0xffffffff81000000);
	assert_int_equal(part->name.size, 0);
	assert_int_equal(part->identity.kind, IDENTITY_KERNEL_RELEASE);
	assert_memory_equal(part->identity.bytes, "6.1.0-test", 10);
	assert_ptr_equal(part_at(kernel, 0xffffffff82000010), part);
	assert_null(part_at(kernel, 0xffffffff81001000));
	assert_null(part_at(kernel, 0xffffffff83000000));
	assert_null(part_at(kernel, 0xffffffff80ffffff));
	assert_null(part_at(kernel, 0));

	part = part_at(kernel, 0xffffffffc0002081);
	assert_int_equal(part->start, 0xffffffffc0001000);
	assert_true(str_equal(part->name, STR("module_a")));
	assert_null(part_at(kernel, 0xffffffffc0000fff));
	assert_true(str_equal(part_at(kernel, 0xffffffffc0003000)->name, STR("module_b")));

	part = part_at(kernel, 0xffffffffc0005000);
	assert_true(str_equal(part->name, STR("bpf")));
	assert_int_equal(part->size, 0x40);
	assert_int_equal(part_at(kernel, 0xffffffffc0005041)->start, 0xffffffffc0005040);
	assert_false(
		identity_equal(&part->identity, &part_at(kernel, 0xffffffffc0005041)->identity));
	assert_int_equal(part->identity.bytes[0], 0);
}

static void assert_name(const struct symbol_table *table, uint32_t i, const char *name,
			uint64_t start, uint64_t size)
{
	assert_true(i < table->count);

	struct str found = { (const char *)table->names.bytes + table->name_offsets[i],
			     table->name_offsets[i + 1] - table->name_offsets[i] };

	assert_true(str_equal(found, str_from(name)));
	assert_int_equal(table->base + table->starts[i], start);
	assert_int_equal(table->sizes[i], size);
}

static void gives_offsets_that_end_at_sections(void **state)
{
	autoclean(kernel_symbols) struct kernel_symbols *kernel = some();
	autoclean(symbol_table) struct symbol_table table;

	(void)state;
	symbol_table_init(&table);
	assert_int_equal(kernel_symbols_add_to(kernel, 0, &table), 0);
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.count, 5);
	assert_name(&table, 0, "startup_64", 0, 0x100);
	assert_name(&table, 1, "alias", 0x100, 0x100);
	assert_name(&table, 2, "weak_function", 0x200, 0x200);
	assert_name(&table, 3, "last_function", 0x400, 0xc00);
	assert_name(&table, 4, "init_function", 0x1000010, 0xf0);

	symbol_table_done(&table);
	assert_int_equal(kernel_symbols_add_to(kernel, 1, &table), 0);
	assert_int_equal(symbol_table_build(&table), 0);
	assert_name(&table, 0, "first", 0, 0x1000);
	assert_name(&table, 2, "third", 0x1080, 0xf80);
}

static void moves_with_the_kernel(void **state)
{
	autoclean(kernel_symbols) struct kernel_symbols *kernel = some();
	autoclean(kernel_symbols) struct kernel_symbols *moved = NULL;
	char text[sizeof(some_kernel)];

	(void)state;
	memcpy(text, some_kernel, sizeof(text));
	for (char *at = text; (at = strstr(at, "\nffffffffc")); at++)
		at[4] = 'e';
	assert_int_equal(read_text(text, sizeof(text) - 1, &moved), 0);

	const struct kernel_part *before = part_at(kernel, 0xffffffffc0002010);
	const struct kernel_part *after = part_at(moved, 0xfffeffffc0002010);

	assert_non_null(after);
	assert_true(identity_equal(&before->identity, &after->identity));
	assert_int_equal(0xffffffffc0002010 - before->start, 0xfffeffffc0002010 - after->start);
}

static void takes_the_build_id_from_the_notes(void **state)
{
	autoclean(kernel_symbols) struct kernel_symbols *kernel = NULL;
	autoclean(buf) struct buf notes = BUF(4096);
	uint8_t id[20] = { 9, 8, 7 };

	(void)state;
	buf_add_u32(&notes, 4);
	buf_add_u32(&notes, 2);
	buf_add_u32(&notes, 6);
	buf_add(&notes, "Xen\0ab\0\0", 8);
	buf_add_u32(&notes, 4);
	buf_add_u32(&notes, sizeof(id));
	buf_add_u32(&notes, NT_GNU_BUILD_ID);
	buf_add(&notes, "GNU\0", 4);
	buf_add(&notes, id, sizeof(id));

	for (size_t size = 0; size <= notes.size; size++) {
		autoclose int text = text_fd(some_kernel, sizeof(some_kernel) - 1);
		autoclose int notes_fd = text_fd(notes.bytes, size);
		struct kernel_symbols_sources sources = { .kallsyms_fd = text,
							  .notes_fd = notes_fd,
							  .release = "6.1.0-test" };

		kernel = kernel_symbols_free(kernel);
		assert_int_equal(kernel_symbols_read(&sources, &kernel), 0);
		assert_int_equal(kernel_symbols_part(kernel, 0)->identity.kind,
				 size == notes.size ? IDENTITY_GNU_BUILD_ID
						    : IDENTITY_KERNEL_RELEASE);
	}
	assert_int_equal(kernel_symbols_part(kernel, 0)->identity.size, sizeof(id));
	assert_memory_equal(kernel_symbols_part(kernel, 0)->identity.bytes, id, sizeof(id));
}

static void says_why_there_is_no_kernel(void **state)
{
	struct kernel_symbols *kernel = NULL;
	static const char hidden[] = "0000000000000000 T _text\n0000000000000000 t a\n";
	static const char modules[] = "ffffffffc0000000 T a\t[m]\n";
	autofree char *endless = malloc(1 << 20);

	(void)state;
	assert_int_equal(read_text("", 0, &kernel), -EPERM);
	assert_int_equal(read_text(hidden, sizeof(hidden) - 1, &kernel), -EPERM);
	assert_int_equal(read_text(modules, sizeof(modules) - 1, &kernel), -EBADMSG);
	assert_non_null(endless);
	memset(endless, 'f', 1 << 20);
	assert_int_equal(read_text(endless, 1 << 20, &kernel), -EBADMSG);
}

static void reads_many_symbols_and_programs(void **state)
{
	enum { FUNCTION_COUNT = 200000, PROGRAM_COUNT = 1000 };
	autoclean(buf) struct buf text = BUF(64 << 20);
	autoclean(kernel_symbols) struct kernel_symbols *kernel = NULL;
	autoclean(symbol_table) struct symbol_table table;

	(void)state;
	buf_printf(&text, "ffffffff81000000 T _text\n");
	for (unsigned i = 0; i < FUNCTION_COUNT; i++)
		buf_printf(&text, "%lx t function_%u\n", 0xffffffff81000000 + 64UL * i, i);
	for (unsigned i = 0; i < PROGRAM_COUNT; i++)
		buf_printf(&text, "%lx t bpf_prog_%u\t[bpf]\n", 0xffffffffc0000000 + 128UL * i, i);
	assert_int_equal(text.error, 0);
	assert_int_equal(read_text((char *)text.bytes, text.size, &kernel), 0);
	assert_int_equal(kernel_symbols_part_count(kernel), 1 + PROGRAM_COUNT);
	symbol_table_init(&table);
	assert_int_equal(kernel_symbols_add_to(kernel, 0, &table), 0);
	assert_int_equal(symbol_table_build(&table), 0);
	assert_int_equal(table.count, FUNCTION_COUNT);
}

static void bounds_how_many_parts_there_are(void **state)
{
	autoclean(buf) struct buf text = BUF(64 << 20);
	struct kernel_symbols *kernel = NULL;

	(void)state;
	for (unsigned i = 0; i < 2 * KERNEL_PART_COUNT_MAX; i++)
		buf_printf(&text, "%lx t a\t[module%u]\n", 0xffffffffc0000000 + i, i);
	assert_int_equal(read_text((char *)text.bytes, text.size, &kernel), -EFBIG);
}

static void reads_build_ids_of_modules(void **state)
{
	autoclean(kernel_symbols) struct kernel_symbols *kernel = NULL;
	autoclose int text = text_fd(some_kernel, sizeof(some_kernel) - 1);
	static const uint8_t note[] = {
		4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 5, 6
	};
	static const char *const below[] = { "", "/module_a", "/module_a/notes" };
	char folder[] = "/tmp/test_kernel_symbols.XXXXXX";
	char path[128];

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (size_t i = 1; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", folder, below[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof(path), "%s/module_a/notes/.note.gnu.build-id", folder);

	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, note, sizeof(note)), sizeof(note));
	assert_int_equal(
		kernel_symbols_read(&(struct kernel_symbols_sources){ .kallsyms_fd = text,
								      .notes_fd = -1,
								      .release = "6.1.0-test",
								      .modules_folder = folder },
				    &kernel),
		0);
	assert_int_equal(unlink(path), 0);
	for (size_t i = 3; i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", folder, below[i]);
		assert_int_equal(rmdir(path), 0);
	}

	const struct identity *identity = &part_at(kernel, 0xffffffffc0001000)->identity;

	assert_int_equal(identity->kind, IDENTITY_GNU_BUILD_ID);
	assert_int_equal(identity->size, 2);
	assert_int_equal(part_at(kernel, 0xffffffffc0003000)->identity.kind,
			 IDENTITY_KERNEL_RELEASE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_kernel_modules_and_programs_apart),
		cmocka_unit_test(gives_offsets_that_end_at_sections),
		cmocka_unit_test(moves_with_the_kernel),
		cmocka_unit_test(takes_the_build_id_from_the_notes),
		cmocka_unit_test(says_why_there_is_no_kernel),
		cmocka_unit_test(reads_many_symbols_and_programs),
		cmocka_unit_test(bounds_how_many_parts_there_are),
		cmocka_unit_test(reads_build_ids_of_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

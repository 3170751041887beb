/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbols/elf_file.h"
#include "symbols/symbol_file.h"
#include "symbols/symbols.h"
#include "tests/support/elf_maker.h"

static const struct elf_maker_symbol some_symbols[] = {
	{ "first", 0x100, 0x20, STT_FUNC, STB_GLOBAL },
	{ "second", 0x140, 0x10, STT_FUNC, STB_LOCAL },
	{ "data_in_text", 0x160, 8, STT_OBJECT, STB_GLOBAL },
	{ "assembly", 0x200, 0, STT_NOTYPE, STB_GLOBAL },
	{ "last", 0xff0, 0x100, STT_FUNC, STB_GLOBAL },
};
enum { SOME_COUNT = sizeof(some_symbols) / sizeof(some_symbols[0]) };

/* The names of an ELF file as they are on disk; -errno of what failed. */
static int names_of(int elf_fd, struct symbol_file **ret)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(symbol_table) struct symbol_table table;
	char path[] = "/tmp/test_elf_file.XXXXXX";
	struct symbol_file_contents contents = { .sources = SYMBOL_FILE_FROM_ELF, .table = &table };
	uint64_t size;

	symbol_table_init(&table);

	int err = elf_file_open(elf_fd, &elf);
	if (!err)
		err = elf_file_add_symbols(elf, &table);
	if (!err)
		err = symbol_table_build(&table);
	if (err)
		return err;
	contents.identity = elf_file_build_id(elf);
	contents.segments = elf_file_segments(elf, &contents.segment_count);

	autoclose int unused = mkstemp(path);

	assert_true(unused >= 0);
	assert_int_equal(symbol_file_write(path, &contents, &size), 0);

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(unlink(path), 0);
	return symbol_file_open(fd, ret);
}

static void assert_named(const struct symbol_file *file, uint64_t offset, const char *name)
{
	uint32_t function = symbol_file_find(file, offset);

	if (!name) {
		assert_int_equal(function, SYMBOL_NONE);
		return;
	}
	assert_int_not_equal(function, SYMBOL_NONE);

	struct str found = symbol_file_name(file, function);

	assert_int_equal(found.size, strlen(name));
	assert_memory_equal(found.text, name, found.size);
}

static void finds_functions_by_file_offset(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1 << 20);
	autoclean(symbol_file) struct symbol_file *file = NULL;
	const uint64_t text = ELF_MAKER_TEXT_OFFSET;

	(void)state;
	elf_maker_make(&bytes, some_symbols, SOME_COUNT);

	autoclose int fd = elf_maker_memfd(bytes.bytes, bytes.size);

	assert_int_equal(names_of(fd, &file), 0);
	assert_named(file, text + 0xff, NULL);
	assert_named(file, text + 0x100, "first");
	assert_named(file, text + 0x11f, "first");
	assert_named(file, text + 0x120, NULL);
	assert_named(file, text + 0x14f, "second");
	assert_named(file, text + 0x160, NULL);
	assert_named(file, text + 0x200, "assembly");
	assert_named(file, text + 0xfef, "assembly");
	assert_named(file, text + 0xfff, "last");
	assert_named(file, text + 0x1000, NULL);
	assert_named(file, ELF_MAKER_TEXT_VADDR + 0x100, NULL);
	assert_int_equal(symbol_file_start(file, symbol_file_find(file, text + 0x110)),
			 text + 0x100);
	assert_int_equal(symbol_file_header(file)->identity.kind, IDENTITY_GNU_BUILD_ID);
	assert_int_equal(symbol_file_header(file)->identity.size, 20);
	assert_int_equal(symbol_file_header(file)->identity.bytes[0], 0xab);
}

static void refuses_what_it_cannot_read(void **state)
{
	const struct {
		size_t offset;
		uint8_t byte;
		int err;
	} cases[] = {
		{ 0, 0, -ENOEXEC },
		{ EI_CLASS, ELFCLASS32, -ENOTSUP },
		{ EI_DATA, ELFDATA2MSB, -ENOTSUP },
		{ offsetof(Elf64_Ehdr, e_type), ET_REL, -ENOTSUP },
		{ offsetof(Elf64_Ehdr, e_phentsize), 1, -EBADMSG },
		{ offsetof(Elf64_Ehdr, e_phnum), 0, -EBADMSG },
		{ offsetof(Elf64_Ehdr, e_phnum) + 1, 0xff, -EFBIG },
		{ offsetof(Elf64_Ehdr, e_shentsize), 1, -EBADMSG },
		{ offsetof(Elf64_Ehdr, e_shnum), 0, -EFBIG },
		{ offsetof(Elf64_Ehdr, e_shnum) + 1, 0xff, -EFBIG },
		{ offsetof(Elf64_Ehdr, e_shoff) + 5, 0xff, -EBADMSG },
		{ sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz) + 7, 0xff, -EBADMSG },
		{ sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_vaddr) + 7, 0xff, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf bytes = BUF(1 << 20);
		autoclean(elf_file) struct elf_file *elf = NULL;

		elf_maker_make(&bytes, some_symbols, SOME_COUNT);
		bytes.bytes[cases[i].offset] = cases[i].byte;

		autoclose int fd = elf_maker_memfd(bytes.bytes, bytes.size);

		assert_int_equal(elf_file_open(fd, &elf), cases[i].err);
	}
}

static void says_when_there_are_no_functions(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1 << 20);
	autoclean(symbol_file) struct symbol_file *file = NULL;

	(void)state;
	elf_maker_make(&bytes, NULL, 0);

	autoclose int fd = elf_maker_memfd(bytes.bytes, bytes.size);

	assert_int_equal(names_of(fd, &file), -ENODATA);
}

static void survives_truncation_anywhere(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1 << 20);

	(void)state;
	elf_maker_make(&bytes, some_symbols, SOME_COUNT);
	for (size_t size = 0; size < bytes.size;
	     size += size < 256 || size > bytes.size - 1024 ? 1 : 61) {
		autoclean(symbol_file) struct symbol_file *file = NULL;
		autoclose int fd = elf_maker_memfd(bytes.bytes, size);

		assert_true(names_of(fd, &file) < 0);
	}
}

/* Of damage the outcome is open, but for memory, time and our own asserts. */
static void survives_random_damage(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1 << 20);
	unsigned seed = 20240607;

	(void)state;
	elf_maker_make(&bytes, some_symbols, SOME_COUNT);

	size_t behind_text = ELF_MAKER_TEXT_OFFSET + ELF_MAKER_TEXT_SIZE;
	size_t headers_size = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
	size_t interesting_size = bytes.size - behind_text + headers_size;

	for (int i = 0; i < 3000; i++) {
		autoclean(buf) struct buf damaged = BUF(1 << 20);
		autoclean(symbol_file) struct symbol_file *file = NULL;

		buf_add(&damaged, bytes.bytes, bytes.size);
		for (int n = 0; n <= i % 4; n++) {
			size_t at = (size_t)rand_r(&seed) % interesting_size;

			at = at < headers_size ? at : behind_text + at - headers_size;
			damaged.bytes[at] = (uint8_t)rand_r(&seed);
		}

		autoclose int fd = elf_maker_memfd(damaged.bytes, damaged.size);

		if (names_of(fd, &file))
			continue;
		for (uint64_t offset = 0; offset < bytes.size; offset += 7) {
			uint32_t function = symbol_file_find(file, offset);

			if (function != SYMBOL_NONE)
				assert_true(symbol_file_name(file, function).size < 1000);
		}
	}
}

/* A file of 2 GiB without content, that claims the largest tables it can. */
static void spends_little_on_a_large_hole(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1 << 20);
	autoclean(symbol_file) struct symbol_file *file = NULL;
	Elf64_Ehdr header;
	Elf64_Shdr symtab;

	(void)state;
	elf_maker_make(&bytes, some_symbols, SOME_COUNT);
	memcpy(&header, bytes.bytes, sizeof(header));

	size_t at = header.e_shoff + ELF_MAKER_SYMTAB_SECTION * sizeof(symtab);

	memcpy(&symtab, bytes.bytes + at, sizeof(symtab));
	symtab.sh_size = INT32_MAX / 24 * 24 - symtab.sh_offset / 24 * 24 - 24;
	memcpy(bytes.bytes + at, &symtab, sizeof(symtab));

	autoclose int fd = elf_maker_memfd(bytes.bytes, bytes.size);

	assert_int_equal(ftruncate(fd, INT32_MAX), 0);
	assert_int_equal(names_of(fd, &file), -EFBIG);
	assert_int_equal(ftruncate(fd, (off_t)INT32_MAX + 1), 0);
	assert_int_equal(names_of(fd, &file), -EFBIG);
}

static const char *const libc_path = "/lib/x86_64-linux-gnu/libc.so.6";

static const Elf64_Shdr *section_of(const uint8_t *bytes, uint32_t type)
{
	const Elf64_Ehdr *header = (const void *)bytes;
	const Elf64_Shdr *sections = (const void *)(bytes + header->e_shoff);

	for (unsigned i = 0; i < header->e_shnum; i++)
		if (sections[i].sh_type == type)
			return &sections[i];
	return NULL;
}

static uint64_t offset_of(const uint8_t *bytes, uint64_t vaddr)
{
	const Elf64_Ehdr *header = (const void *)bytes;
	const Elf64_Phdr *segments = (const void *)(bytes + header->e_phoff);

	for (unsigned i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && vaddr >= segments[i].p_vaddr &&
		    vaddr < segments[i].p_vaddr + segments[i].p_filesz)
			return vaddr - segments[i].p_vaddr + segments[i].p_offset;
	fail();
	return 0;
}

static void finds_every_function_of_libc(void **state)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int fd = open(libc_path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	unsigned count = 0;

	(void)state;
	if (fd < 0)
		skip(); /* another system's C library */
	assert_int_equal(fstat(fd, &status), 0);

	uint8_t *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(bytes, MAP_FAILED);
	assert_int_equal(names_of(fd, &file), 0);

	const Elf64_Shdr *dynsym = section_of(bytes, SHT_DYNSYM);
	const Elf64_Sym *symbols = (const void *)(bytes + dynsym->sh_offset);
	const Elf64_Ehdr *header = (const void *)bytes;
	const Elf64_Shdr *sections = (const void *)(bytes + header->e_shoff);
	const char *strings = (const char *)bytes + sections[dynsym->sh_link].sh_offset;
	bool has_free = false;

	for (size_t i = 0; i < dynsym->sh_size / sizeof(symbols[0]); i++) {
		unsigned type = ELF64_ST_TYPE(symbols[i].st_info);

		if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbols[i].st_shndx == 0 ||
		    symbols[i].st_size == 0)
			continue;

		uint64_t start = offset_of(bytes, symbols[i].st_value);
		uint64_t size = symbols[i].st_size;
		const uint64_t inside[] = { start, start + size / 2, start + size - 1 };
		uint32_t function = symbol_file_find(file, start);

		/* Not cfree, which is there for old programs. */
		if (strcmp(strings + symbols[i].st_name, "free") == 0) {
			assert_named(file, start, "free");
			has_free = true;
		}
		assert_int_not_equal(function, SYMBOL_NONE);
		assert_int_equal(symbol_file_start(file, function), start);
		for (size_t n = 0; n < 3; n++) {
			uint32_t found = symbol_file_find(file, inside[n]);

			/* Or one that begins inside of it. */
			assert_int_not_equal(found, SYMBOL_NONE);
			assert_true(symbol_file_start(file, found) >= start &&
				    symbol_file_start(file, found) <= inside[n]);
		}
		count++;
	}
	assert_true(count > 1000);
	assert_true(has_free);
	munmap(bytes, (size_t)status.st_size);
}

static void run(const char *program, char *const arguments[])
{
	extern char **environ;
	pid_t pid;
	int status;

	assert_int_equal(posix_spawnp(&pid, program, NULL, NULL, arguments, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void names_nothing_local_in_a_stripped_file(void **state)
{
	autoclean(symbol_file) struct symbol_file *whole = NULL;
	autoclean(symbol_file) struct symbol_file *stripped = NULL;
	char path[] = "/tmp/test_elf_file.XXXXXX";
	char own[4096];
	ssize_t size = readlink("/proc/self/exe", own, sizeof(own) - 1);
	autoclose int unused = mkstemp(path);

	(void)state;
	assert_true(size > 0 && unused >= 0);
	own[size] = '\0';
	run("strip", (char *const[]){ (char *)(uintptr_t) "strip", (char *)(uintptr_t) "-o", path,
				      own, NULL });

	autoclose int whole_fd = open(own, O_RDONLY | O_CLOEXEC);
	autoclose int stripped_fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(names_of(whole_fd, &whole), 0);
	assert_int_equal(names_of(stripped_fd, &stripped), 0);
	assert_true(symbol_file_header(stripped)->function_count <
		    symbol_file_header(whole)->function_count);

	/* Stubs are left, in both. */
	unsigned stub_count = 0;

	for (uint32_t i = 0; i < symbol_file_header(stripped)->function_count; i++)
		stub_count += str_ends_with(symbol_file_name(stripped, i), STR("@plt"));
#ifdef __x86_64__
	assert_true(stub_count > 10);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_functions_by_file_offset),
		cmocka_unit_test(refuses_what_it_cannot_read),
		cmocka_unit_test(says_when_there_are_no_functions),
		cmocka_unit_test(survives_truncation_anywhere),
		cmocka_unit_test(survives_random_damage),
		cmocka_unit_test(spends_little_on_a_large_hole),
		cmocka_unit_test(finds_every_function_of_libc),
		cmocka_unit_test(names_nothing_local_in_a_stripped_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are damaged or hostile, through the whole of what reads names and lines: whatever
 * becomes of the cell, the maker answers, and what it keeps is sound.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "symbols/debug_folder.h"
#include "symbols/elf_file.h"
#include "symbols/symbol_maker.h"
#include "symbols/symbols.h"
#include "tests/support/elf_maker.h"
#include "tests/support/script.h"
#include "tests/support/tier.h"

enum { SIZE_MAX_OF_ONE = 1 << 20, OFFSET_COUNT = 50 };

struct world {
	char root[64];
	char debug[96];
	struct symbol_folder *folder;
	struct symbol_maker *maker;
	uint8_t *whole; /* a program with DWARF */
	size_t size;
	uint64_t dwarf_start; /* its debug sections */
	uint64_t dwarf_end;
	unsigned round;
};

static const char source[] =
	"set -eu\n"
	"cd \"$1\"\n"
	"cat > p.cc <<'END'\n"
	"#include <algorithm>\n#include <vector>\n"
	"template <class T> static T twice(T x) { return x + x; }\n"
	"__attribute__((noinline)) long sum(std::vector<int> &v) {\n"
	"  std::sort(v.begin(), v.end()); long s = 0; for (int x : v) s += twice(x); return s; }\n"
	"int main(int c, char **) { std::vector<int> v(c * 100); return (int)sum(v); }\n"
	"END\n"
	"g++ -O2 -g -gdwarf-5 -Wl,--build-id p.cc -o p\n"
	"gcc -Wl,--build-id circles.s -o circles\n"
	"g++ -O2 -g -gdwarf-5 -gsplit-dwarf -Wl,--build-id p.cc -o split-5\n"
	"g++ -O2 -g -gdwarf-4 -gsplit-dwarf -Wl,--build-id p.cc -o split-4\n"
	"cp split-5-p.dwo whole-5.dwo && cp split-4-p.dwo whole-4.dwo\n"
	"head -c 200000000 /dev/zero | xz -0 > bomb.xz\n"
	"cp p bomb && strip bomb && objcopy --add-section .gnu_debugdata=bomb.xz bomb\n";

/*
 * Entries of DWARF that are their own next siblings, or described by each other: who follows them
 * never ends.
 */
/* clang-format off */
static const char circles[] =
	".file 1 \"loops.c\"\n"
	".text\n"
	".globl work\n"
	".type work, @function\n"
	"work:\n"
	".loc 1 1 0\n"
	"nop\n"
	"nop\n"
	".Lmid:\n"
	".loc 1 2 0\n"
	"nop\n"
	"ret\n"
	".Lend:\n"
	".size work, .Lend - work\n"
	".globl main\n"
	".type main, @function\n"
	"main:\n"
	"xorl %eax, %eax\n"
	"ret\n"
	".size main, . - main\n"
	".section .debug_abbrev\n"
	".uleb128 1, 0x11\n"
	".byte 1\n"
	".uleb128 0x03, 0x08, 0x11, 0x01, 0x12, 0x06, 0x10, 0x17, 0, 0\n"
	".uleb128 2, 0x2e\n"
	".byte 1\n"
	".uleb128 0x01, 0x13, 0x31, 0x13, 0x11, 0x01, 0x12, 0x06, 0, 0\n"
	".uleb128 3, 0x1d\n"
	".byte 0\n"
	".uleb128 0x01, 0x13, 0x31, 0x13, 0x11, 0x01, 0x12, 0x06, 0x58, 0x0b, 0x59, 0x0b, 0, 0\n"
	".uleb128 4, 0x2e\n"
	".byte 0\n"
	".uleb128 0x31, 0x13, 0, 0\n"
	".byte 0\n"
	".section .debug_info\n"
	".Linfo:\n"
	".long .Linfo_end - .Lversion\n"
	".Lversion:\n"
	".short 4\n"
	".long .debug_abbrev\n"
	".byte 8\n"
	".uleb128 1\n"
	".asciz \"loops.c\"\n"
	".quad work\n"
	".long .Lend - work\n"
	".long .debug_line\n"
	".Lfirst:\n"
	".uleb128 2\n"
	".long .Lfirst - .Linfo\n"
	".long .Lfirst - .Linfo\n"
	".quad work\n"
	".long .Lend - work\n"
	".Linlined:\n"
	".uleb128 3\n"
	".long .Linlined - .Linfo\n"
	".long .Lone - .Linfo\n"
	".quad .Lmid\n"
	".long .Lend - .Lmid\n"
	".byte 1, 7\n"
	".byte 0\n"
	".Lone:\n"
	".uleb128 4\n"
	".long .Ltwo - .Linfo\n"
	".Ltwo:\n"
	".uleb128 4\n"
	".long .Lone - .Linfo\n"
	".byte 0\n"
	".Linfo_end:\n"
	".section .note.GNU-stack,\"\",@progbits\n";
/* clang-format on */

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes = malloc(SIZE_MAX_OF_ONE);

	assert_true(fd >= 0);
	assert_non_null(bytes);

	ssize_t size = read(fd, bytes, SIZE_MAX_OF_ONE);

	assert_true(size > 4096 && size < SIZE_MAX_OF_ONE);
	*ret_size = (size_t)size;
	return bytes;
}

static void find_dwarf(struct world *world)
{
	const Elf64_Ehdr *header = (const void *)world->whole;
	const Elf64_Shdr *sections = (const void *)(world->whole + header->e_shoff);
	const char *names = (const char *)world->whole + sections[header->e_shstrndx].sh_offset;

	world->dwarf_start = UINT64_MAX;
	for (unsigned i = 0; i < header->e_shnum; i++) {
		if (strncmp(names + sections[i].sh_name, ".debug_", 7) != 0)
			continue;
		if (sections[i].sh_offset < world->dwarf_start)
			world->dwarf_start = sections[i].sh_offset;
		world->dwarf_end = sections[i].sh_offset + sections[i].sh_size;
	}
	assert_true(world->dwarf_start < world->dwarf_end);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	char path[128];

	snprintf(world->root, sizeof(world->root), "/tmp/hearth-test-XXXXXX");
	if (!mkdtemp(world->root))
		return -1;
	if (script_write(world->root, "circles.s", circles) ||
	    script_run(world->root, "make.sh", source, ""))
		return -1;
	snprintf(path, sizeof(path), "%s/p", world->root);
	world->whole = read_file(path, &world->size);
	find_dwarf(world);
	snprintf(path, sizeof(path), "%s/symbols", world->root);
	snprintf(world->debug, sizeof(world->debug), "%s/debug", world->root);
	if (symbol_folder_open(path, 64 << 20, &world->folder) ||
	    symbol_maker_new(world->folder, world->debug, &world->maker))
		return -1;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[128];

	symbol_maker_free(world->maker);
	symbol_folder_close(world->folder);
	free(world->whole);
	snprintf(command, sizeof(command), "rm -rf %s", world->root);

	int code = system(command);

	free(world);
	return code;
}

/* Each variant by an identity of its own. */
static struct identity next_identity(struct world *world)
{
	struct identity identity = { .kind = IDENTITY_INODE, .size = 40 };

	world->round++;
	memcpy(identity.bytes, &world->round, sizeof(world->round));
	return identity;
}

/* Reads names and lines; 0 when there were lines, else why not. */
static int read_all(struct world *world, int fd)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	struct identity wished = next_identity(world);
	struct identity identity, go;
	struct symbol_table table;
	uint64_t offsets[OFFSET_COUNT];
	int err = symbol_maker_elf(world->maker, fd, &wished, &identity, &go);

	if (!err)
		err = symbol_folder_read(world->folder, &identity, &file);
	if (err)
		return err;
	symbol_file_table(file, &table);
	for (uint32_t i = 0; i < OFFSET_COUNT; i++)
		offsets[i] = symbol_file_start(file, i * table.count / OFFSET_COUNT);
	err = symbol_maker_lines(world->maker, &identity, fd, offsets, OFFSET_COUNT);
	/* Names stand, whatever became of the lines. */
	file = symbol_file_close(file);
	assert_int_equal(symbol_folder_read(world->folder, &identity, &file), 0);
	if (!err && symbol_file_lines(file)->block_count == 0)
		err = -ENODATA;
	symbol_folder_remove(world->folder, &identity);
	return err;
}

static void damaged_files_end_in_an_answer(void **state)
{
	struct world *world = *state;
	unsigned seed = (unsigned)tier_seed();
	uint64_t count = tier_number("HEARTH_VARIANTS", 60, 1000);
	unsigned good = 0;
	unsigned bad = 0;
	autoclose int undamaged = elf_maker_memfd(world->whole, world->size);

	assert_int_equal(read_all(world, undamaged), 0);
	for (uint64_t i = 0; i < count; i++) {
		autofree uint8_t *bytes = malloc(world->size);
		size_t size = world->size;
		/* Half of them in DWARF alone, where libdw reads. */
		size_t from = i % 2 ? world->dwarf_start : 0;
		size_t range = i % 2 ? world->dwarf_end - world->dwarf_start : size;

		assert_non_null(bytes);
		memcpy(bytes, world->whole, size);
		for (unsigned n = 1U << i % 10; n > 0; n--)
			bytes[from + (size_t)rand_r(&seed) % range] =
				i % 3 ? (uint8_t)rand_r(&seed) : 0xff;
		if (i % 16 == 15)
			size = (size_t)rand_r(&seed) % size;

		autoclose int fd = elf_maker_memfd(bytes, size);

		if (read_all(world, fd))
			bad++;
		else
			good++;
	}

	struct symbol_maker_stats stats = symbol_maker_stats(world->maker);

	print_message("%u with lines, %u without; %llu cells died, %llu overran, peak %llu KiB\n",
		      good, bad, (unsigned long long)stats.died, (unsigned long long)stats.overran,
		      (unsigned long long)stats.peak >> 10);
	assert_true(good > 0 && bad > 0);
	/* And all is as before. */
	assert_int_equal(read_all(world, undamaged), 0);
}

/* Reads a program whose other half is this. */
static int read_split(struct world *world, int version, const uint8_t *bytes, size_t size)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/split-%d-p.dwo", world->root, version);

	autoclose int half = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(half >= 0);
	assert_int_equal(write(half, bytes, size), size);
	snprintf(path, sizeof(path), "%s/split-%d", world->root, version);

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return read_all(world, fd);
}

/* The program itself has its lines, unless libdw itself falls over the other half. */
static void damaged_halves_end_in_an_answer(void **state)
{
	struct world *world = *state;
	unsigned seed = (unsigned)tier_seed();
	uint64_t count = tier_number("HEARTH_VARIANTS", 60, 1000);
	uint64_t died = symbol_maker_stats(world->maker).died;
	unsigned good = 0;
	char path[96];

	for (int version = 4; version <= 5; version++) {
		size_t size = 0;

		snprintf(path, sizeof(path), "%s/whole-%d.dwo", world->root, version);

		autofree uint8_t *whole = read_file(path, &size);
		autofree uint8_t *bytes = malloc(size);

		assert_non_null(bytes);
		assert_int_equal(read_split(world, version, whole, size), 0);
		for (uint64_t i = 0; i < count / 2; i++) {
			memcpy(bytes, whole, size);
			for (unsigned n = 1U << i % 10; n > 0; n--)
				bytes[(size_t)rand_r(&seed) % size] =
					i % 3 ? (uint8_t)rand_r(&seed) : 0xff;
			good += read_split(world, version, bytes,
					   i % 16 == 15 ? (size_t)rand_r(&seed) % size : size) == 0;
		}
		assert_int_equal(read_split(world, version, whole, size), 0);
	}
	print_message("%u of %u with lines; %llu cells died\n", good, (unsigned)count / 2 * 2,
		      (unsigned long long)(symbol_maker_stats(world->maker).died - died));
	assert_true(good * 2 > count);
}

/* Sections as large as fields can say; the file has nothing of it. */
static void sections_that_claim_gigabytes_cost_nothing(void **state)
{
	struct world *world = *state;
	static const uint64_t sizes[] = { UINT64_C(4) << 30, UINT64_C(1) << 62, UINT64_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		autofree uint8_t *bytes = malloc(world->size);

		assert_non_null(bytes);
		memcpy(bytes, world->whole, world->size);

		Elf64_Ehdr *header = (void *)bytes;
		Elf64_Shdr *sections = (void *)(bytes + header->e_shoff);

		for (unsigned n = 1; n < header->e_shnum; n++)
			if (sections[n].sh_offset >= world->dwarf_start &&
			    sections[n].sh_offset < world->dwarf_end)
				sections[n].sh_size = sizes[i];

		autoclose int fd = elf_maker_memfd(bytes, world->size);

		assert_int_not_equal(read_all(world, fd), 0);
		assert_true(symbol_maker_stats(world->maker).peak < 64 << 20);
	}
}

/* Compressed sections that say they become gigabytes. */
static void packed_sections_that_claim_gigabytes_are_refused(void **state)
{
	struct world *world = *state;
	autofree uint8_t *bytes = malloc(world->size);

	assert_non_null(bytes);
	memcpy(bytes, world->whole, world->size);

	Elf64_Ehdr *header = (void *)bytes;
	Elf64_Shdr *sections = (void *)(bytes + header->e_shoff);

	for (unsigned n = 1; n < header->e_shnum; n++) {
		Elf64_Shdr *section = &sections[n];
		Elf64_Chdr packed = { .ch_type = ELFCOMPRESS_ZLIB,
				      .ch_size = UINT64_C(64) << 30,
				      .ch_addralign = 1 };

		if (section->sh_offset < world->dwarf_start ||
		    section->sh_offset >= world->dwarf_end || section->sh_size < sizeof(packed))
			continue;
		section->sh_flags |= SHF_COMPRESSED;
		memcpy(bytes + section->sh_offset, &packed, sizeof(packed));
	}

	autoclose int fd = elf_maker_memfd(bytes, world->size);

	assert_int_not_equal(read_all(world, fd), 0);
	assert_true(symbol_maker_stats(world->maker).peak < 64 << 20);
}

/* Where debug files are looked for lie pipes that nobody writes into, folders, and links in rings.
 */
static void bears_a_folder_of_pipes(void **state)
{
	struct world *world = *state;
	autoclose int fd = elf_maker_memfd(world->whole, world->size);
	autoclean(elf_file) struct elf_file *elf = NULL;
	static const char *const makers[] = { "mkfifo", "mkdir -p", "ln -s . ", "ln -sf self" };

	assert_int_equal(elf_file_open(fd, &elf), 0);

	struct identity identity = elf_file_build_id(elf);

	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		char command[512];
		char name[2 * IDENTITY_SIZE_MAX + 1] = "";

		for (unsigned n = 1; n < identity.size; n++)
			snprintf(name + 2 * (n - 1), 3, "%02x", identity.bytes[n]);
		snprintf(command, sizeof(command),
			 "rm -rf %s && mkdir -p %s/.build-id/%02x && cd %s/.build-id/%02x && %s "
			 "%s.debug",
			 world->debug, world->debug, identity.bytes[0], world->debug,
			 identity.bytes[0], makers[i], name);
		assert_int_equal(system(command), 0);
		assert_int_equal(read_all(world, fd), 0);
	}
}

/* MiniDebugInfo of 30 kB that becomes 200 MB: done without, and the program has its own names. */
static void a_bomb_is_left_out(void **state)
{
	struct world *world = *state;
	autoclean(symbol_file) struct symbol_file *file = NULL;
	struct identity wished = next_identity(world);
	struct identity identity, go;
	char path[96];

	snprintf(path, sizeof(path), "%s/bomb", world->root);

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(symbol_maker_elf(world->maker, fd, &wished, &identity, &go), 0);
	assert_int_equal(symbol_folder_read(world->folder, &identity, &file), 0);
	assert_int_equal(symbol_file_header(file)->sources & SYMBOL_FILE_FROM_MINI_DEBUG, 0);
	assert_true(symbol_file_header(file)->sources & SYMBOL_FILE_FROM_ELF);
	assert_true(symbol_maker_stats(world->maker).peak < 150 << 20);
}

static void circles_in_dwarf_end(void **state)
{
	struct world *world = *state;
	autoclean(symbol_file) struct symbol_file *file = NULL;
	struct identity wished = next_identity(world);
	struct identity identity, go;
	char path[96];

	snprintf(path, sizeof(path), "%s/circles", world->root);

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t overran = symbol_maker_stats(world->maker).overran;

	assert_true(fd >= 0);
	assert_int_equal(symbol_maker_elf(world->maker, fd, &wished, &identity, &go), 0);
	assert_int_equal(symbol_folder_read(world->folder, &identity, &file), 0);

	uint64_t work = 0;

	for (uint32_t i = 0; i < symbol_file_header(file)->function_count; i++)
		if (str_equal(symbol_file_name(file, i), STR("work")))
			work = symbol_file_start(file, i);
	assert_true(work > 0);
	file = symbol_file_close(file);
	assert_int_equal(symbol_maker_lines(world->maker, &identity, fd, &work, 1), 0);
	assert_int_equal(symbol_folder_read(world->folder, &identity, &file), 0);

	/* What makes sense of it is there: a line, and a call of something without a name. */
	struct line_row row;
	uint64_t vaddr;

	assert_true(symbol_file_vaddr(file, work + 2, &vaddr));
	assert_true(line_rows_find(symbol_file_lines(file), vaddr, &row));
	assert_int_equal(row.line, 2);
	assert_int_not_equal(row.scope, LINE_SCOPE_NONE);
	assert_int_equal(symbol_maker_stats(world->maker).overran, overran);
}

struct cutter {
	int fd;
	_Atomic bool stop;
};

/* Shrinks a file under whoever reads it, and lets it grow again. */
static void *cut(void *argument)
{
	struct cutter *cutter = argument;
	struct stat status;

	if (fstat(cutter->fd, &status))
		return NULL;
	while (!cutter->stop) {
		if (ftruncate(cutter->fd, 4096))
			break;
		usleep(500);
		if (ftruncate(cutter->fd, status.st_size))
			break;
		usleep(500);
	}
	return NULL;
}

static void a_file_that_shrinks_ends_only_its_cell(void **state)
{
	struct world *world = *state;
	autoclose int fd = elf_maker_memfd(world->whole, world->size);
	autoclose int undamaged = elf_maker_memfd(world->whole, world->size);
	struct cutter cutter = { .fd = fd };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, cut, &cutter), 0);
	for (int i = 0; i < 30; i++)
		(void)read_all(world, fd); /* any answer will do */
	cutter.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(read_all(world, undamaged), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_files_end_in_an_answer),
		cmocka_unit_test(damaged_halves_end_in_an_answer),
		cmocka_unit_test(sections_that_claim_gigabytes_cost_nothing),
		cmocka_unit_test(packed_sections_that_claim_gigabytes_are_refused),
		cmocka_unit_test(bears_a_folder_of_pipes),
		cmocka_unit_test(a_bomb_is_left_out),
		cmocka_unit_test(circles_in_dwarf_end),
		cmocka_unit_test(a_file_that_shrinks_ends_only_its_cell),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

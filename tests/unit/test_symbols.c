/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/parse.h"
#include "symbols/elf_file.h"
#include "symbols/own_vdso.h"
#include "symbols/symbols.h"
#include "tests/support/elf_maker.h"

enum { SETTLE_MS = 30000 };

struct context {
	char folder[64];
	struct symbols *symbols;
};

static int setup(void **state)
{
	struct context *context = calloc(1, sizeof(*context));

	assert_non_null(context);
	snprintf(context->folder, sizeof(context->folder), "/tmp/test_symbols.XXXXXX");
	assert_non_null(mkdtemp(context->folder));
	assert_int_equal(symbols_open(context->folder, "", &context->symbols), 0);
	*state = context;
	return 0;
}

static int teardown(void **state)
{
	struct context *context = *state;

	symbols_close(context->symbols);
	folder_remove(context->folder);
	free(context);
	return 0;
}

/* A function to be found; static, so only .symtab knows it. */
static __attribute__((noinline)) int a_static_function(int x)
{
	__asm__ volatile("" ::: "memory");
	return x + 1;
}

/* Where an address of this process lies in the file it was mapped from. */
struct mapped {
	uint64_t address;
	uint64_t offset;
	char path[512];
};

static struct mapped where_is(const void *pointer)
{
	struct mapped found = { .address = (uint64_t)(uintptr_t)pointer };
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start;
		unsigned long end;
		unsigned long offset;

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %511s", &start, &end, &offset,
			   found.path) == 4 &&
		    found.address >= start && found.address < end) {
			found.offset = found.address - start + offset;
			break;
		}
	}
	fclose(maps);
	assert_int_not_equal(found.offset, 0);
	return found;
}

static struct identity build_id_of(const char *path)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, &elf), 0);
	return elf_file_build_id(elf);
}

static struct identity inode_identity(uint8_t number)
{
	return (struct identity){ .kind = IDENTITY_INODE,
				  .size = 40,
				  .bytes = { number, 1, 2, 3 } };
}

static void bring(struct symbols *symbols, const struct identity *identity, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(symbols_bring_file(symbols, identity, fd), 0);
	assert_int_equal(symbols_settle(symbols, SETTLE_MS), 0);
}

static void assert_name(const struct symbol_module *module, uint64_t address, const char *name)
{
	uint32_t function = symbol_module_find(module, address);

	assert_int_not_equal(function, SYMBOL_NONE);

	struct str found = symbol_module_name(module, function);

	assert_int_equal(found.size, strlen(name));
	assert_memory_equal(found.text, name, found.size);
	assert_true(symbol_module_start(module, function) <= address);
}

static void names_static_functions_of_this_program(void **state)
{
	struct context *context = *state;
	struct mapped function = where_is((void *)a_static_function);
	struct identity identity = inode_identity(1);

	assert_int_equal(a_static_function(1), 2);
	bring(context->symbols, &identity, "/proc/self/exe");

	struct symbol_module *module = symbols_acquire(context->symbols, &identity);

	assert_non_null(module);
	assert_name(module, function.offset, "a_static_function");
	assert_name(module, function.offset + 1, "a_static_function");
	assert_int_equal(symbol_module_start(module, symbol_module_find(module, function.offset)),
			 function.offset);
	assert_int_equal(symbol_module_find(module, 0), SYMBOL_NONE);
	assert_int_equal(symbol_module_find(module, UINT64_MAX), SYMBOL_NONE);
	symbols_release(context->symbols, module);
}

static void names_exported_functions_of_libc(void **state)
{
	struct context *context = *state;
	struct mapped function = where_is(dlsym(RTLD_DEFAULT, "qsort"));
	struct identity identity = build_id_of(function.path);

	assert_int_equal(identity.kind, IDENTITY_GNU_BUILD_ID);
	assert_true(symbols_wants(context->symbols, &identity));
	assert_false(symbols_wants(context->symbols, &identity));
	assert_null(symbols_acquire(context->symbols, &identity));
	bring(context->symbols, &identity, function.path);
	assert_false(symbols_wants(context->symbols, &identity));

	struct symbol_module *module = symbols_acquire(context->symbols, &identity);

	assert_non_null(module);
	assert_name(module, function.offset, "qsort");
	symbols_release(context->symbols, module);
}

/* The library that is no file, in which the kernel's own calls lie. */
static void names_the_vdso(void **state)
{
	struct context *context = *state;
	struct identity identity;
	struct symbol_module *module;
	bool is_there = false;
	int fd = -1;

	if (own_vdso_open(&identity, &fd)) {
		print_message("skipped: this kernel has no vDSO\n");
		skip();
	}
	assert_int_equal(symbols_bring_file(context->symbols, &identity, fd), 0);
	assert_int_equal(symbols_settle(context->symbols, SETTLE_MS), 0);
	module = symbols_acquire(context->symbols, &identity);
	assert_non_null(module);
	for (uint64_t offset = 0; offset < 16384 && !is_there; offset += 16) {
		uint32_t function = symbol_module_find(module, offset);

		is_there =
			function != SYMBOL_NONE &&
			str_ends_with(symbol_module_name(module, function), STR("clock_gettime"));
	}
	assert_true(is_there);
	symbols_release(context->symbols, module);
}

static void keeps_names_and_aliases_over_a_restart(void **state)
{
	struct context *context = *state;
	struct mapped function = where_is(dlsym(RTLD_DEFAULT, "getenv"));
	struct identity build_id = build_id_of(function.path);
	struct identity alias = inode_identity(2);
	struct symbols_stats stats;

	bring(context->symbols, &alias, function.path);
	context->symbols = symbols_close(context->symbols);
	assert_int_equal(symbols_open(context->folder, "", &context->symbols), 0);

	symbols_stats(context->symbols, &stats);
	assert_int_equal(stats.modules, 1);
	assert_true(stats.file_bytes > 10000 && stats.file_bytes < stats.file_bytes_max);
	assert_false(symbols_wants(context->symbols, &alias));
	assert_false(symbols_wants(context->symbols, &build_id));

	struct symbol_module *by_alias = symbols_acquire(context->symbols, &alias);
	struct symbol_module *by_id = symbols_acquire(context->symbols, &build_id);

	assert_non_null(by_alias);
	assert_ptr_equal(by_alias, by_id);
	assert_name(by_id, function.offset, "getenv");
	symbols_release(context->symbols, by_alias);
	symbols_release(context->symbols, by_id);
}

/* KiB of files below the folder that are mapped, and how many of these are in our memory. */
struct mapped_size {
	long all, resident;
};

static struct mapped_size mapped_below(const char *folder)
{
	struct mapped_size size = { 0 };
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool is_below = false;
	char line[1024];
	long number;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
			is_below = strstr(line, folder) != NULL;
		if (is_below && sscanf(line, "Size: %ld", &number) == 1)
			size.all += number;
		if (is_below && sscanf(line, "Rss: %ld", &number) == 1)
			size.resident += number;
	}
	fclose(maps);
	return size;
}

enum { LARGE_COUNT = 20000, LARGE_SIZE = 64, FAULT_AROUND_KIB = 64 };

/* One whose symbol file is much larger than what Linux maps when a page is touched. */
static struct identity bring_large(struct symbols *symbols)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID,
				     .size = ELF_MAKER_BUILD_ID_SIZE,
				     .bytes = { 1, 2, 3 } };
	struct elf_maker_symbol *all = calloc(LARGE_COUNT, sizeof(all[0]));
	char(*names)[LARGE_SIZE] = calloc(LARGE_COUNT, sizeof(names[0]));
	struct buf elf = BUF(16 << 20);

	assert_true(all && names);
	for (uint32_t i = 0; i < LARGE_COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "one_of_very_many_functions_%u", i);
		all[i] = (struct elf_maker_symbol){ .name = names[i],
						    .start = (uint64_t)i * LARGE_SIZE,
						    .size = LARGE_SIZE,
						    .type = STT_FUNC,
						    .binding = STB_GLOBAL };
	}
	elf_maker_make_large(&elf, identity.bytes, (size_t)LARGE_COUNT * LARGE_SIZE, all,
			     LARGE_COUNT);
	assert_int_equal(
		symbols_bring_file(symbols, &identity, elf_maker_memfd(elf.bytes, elf.size)), 0);
	assert_int_equal(symbols_settle(symbols, SETTLE_MS), 0);
	buf_done(&elf);
	free(names);
	free(all);
	return identity;
}

/* Whoever asks all of them in turn has the pages of one. */
static void who_leaves_a_module_takes_its_pages_along(void **state)
{
	struct context *context = *state;
	struct identity identity = bring_large(context->symbols);

	symbols_tidy(context->symbols, UINT64_MAX);

	struct symbol_module *module = symbols_acquire(context->symbols, &identity);
	struct symbol_module *other = symbols_acquire(context->symbols, &identity);

	assert_name(module, ELF_MAKER_TEXT_OFFSET + 77 * LARGE_SIZE,
		    "one_of_very_many_functions_77");
	assert_true(mapped_below(context->folder).resident > 0);
	/* Somebody else is there. */
	symbols_leave(context->symbols, other);
	assert_true(mapped_below(context->folder).resident > 0);
	symbols_release(context->symbols, module);
	assert_true(mapped_below(context->folder).resident > 0);
	module = symbols_acquire(context->symbols, &identity);
	assert_name(module, ELF_MAKER_TEXT_OFFSET + 77 * LARGE_SIZE,
		    "one_of_very_many_functions_77");
	symbols_leave(context->symbols, module);
	assert_true(mapped_below(context->folder).all > 0);
	assert_int_equal(mapped_below(context->folder).resident, 0);
	assert_null(symbols_leave(context->symbols, NULL));
}

/* They may be hundreds, and large. */
static void modules_at_rest_take_no_memory(void **state)
{
	struct context *context = *state;
	struct identity identity = bring_large(context->symbols);
	uint64_t now_ns;
	struct mapped_size size;

	symbols_tidy(context->symbols, UINT64_MAX);
	assert_int_equal(mapped_below(context->folder).all, 0);

	/* All of it was looked at once, and let go. */
	struct symbol_module *module = symbols_acquire(context->symbols, &identity);

	assert_non_null(module);
	size = mapped_below(context->folder);
	print_message("# %ld KiB, of which %ld are resident\n", size.all, size.resident);
	assert_true(size.all > 10 * FAULT_AROUND_KIB);
	assert_true(size.resident < size.all);
	assert_name(module, ELF_MAKER_TEXT_OFFSET + 77 * LARGE_SIZE,
		    "one_of_very_many_functions_77");

	/* Somebody holds it; somebody did a moment ago; nobody has for long. */
	symbols_tidy(context->symbols, UINT64_MAX);
	assert_name(module, ELF_MAKER_TEXT_OFFSET + 77 * LARGE_SIZE,
		    "one_of_very_many_functions_77");
	symbols_release(context->symbols, module);
	now_ns = clock_monotonic_ns();
	symbols_tidy(context->symbols, now_ns + UINT64_C(5) * CLOCK_NS_PER_S);
	assert_true(mapped_below(context->folder).resident > 0);
	symbols_tidy(context->symbols, now_ns + UINT64_C(290) * CLOCK_NS_PER_S);
	assert_int_equal(mapped_below(context->folder).all, size.all);
	assert_int_equal(mapped_below(context->folder).resident, 0);
	module = symbols_acquire(context->symbols, &identity);
	assert_name(module, ELF_MAKER_TEXT_OFFSET + 77 * LARGE_SIZE,
		    "one_of_very_many_functions_77");
	assert_true(mapped_below(context->folder).resident > 0);
	symbols_release(context->symbols, module);
	symbols_tidy(context->symbols, now_ns + UINT64_C(290) * CLOCK_NS_PER_S);
	assert_int_equal(mapped_below(context->folder).resident, 0);
	symbols_tidy(context->symbols, now_ns + UINT64_C(301) * CLOCK_NS_PER_S);
	assert_int_equal(mapped_below(context->folder).all, 0);
	module = symbols_acquire(context->symbols, &identity);
	assert_name(module, ELF_MAKER_TEXT_OFFSET + 77 * LARGE_SIZE,
		    "one_of_very_many_functions_77");
	symbols_release(context->symbols, module);
}

static void refuses_a_file_with_another_build_id(void **state)
{
	struct context *context = *state;
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID,
				     .size = 20,
				     .bytes = { 1, 2, 3 } };
	struct symbols_stats stats;

	bring(context->symbols, &identity, where_is((void *)dlsym(RTLD_DEFAULT, "qsort")).path);
	symbols_stats(context->symbols, &stats);
	assert_int_equal(stats.failed, 1);
	assert_int_equal(stats.modules, 0);
	assert_int_equal(stats.waiting, 0);
	assert_false(symbols_wants(context->symbols, &identity));
	assert_null(symbols_acquire(context->symbols, &identity));
}

static void remembers_files_that_are_no_programs(void **state)
{
	struct context *context = *state;
	struct identity text = inode_identity(3);
	struct identity folder = inode_identity(4);
	struct identity empty = inode_identity(5);
	struct symbols_stats stats;

	bring(context->symbols, &text, "/etc/passwd");
	bring(context->symbols, &folder, "/tmp");
	bring(context->symbols, &empty, "/dev/null");
	symbols_stats(context->symbols, &stats);
	assert_int_equal(stats.failed, 3);
	assert_false(symbols_wants(context->symbols, &text));

	/* And why. */
	struct symbols_description about;

	symbols_describe(context->symbols, &text, &about);
	assert_int_equal(about.state, SYMBOLS_FAILED);
	assert_int_equal(about.error, -ENOEXEC);
	struct identity good = inode_identity(6);

	bring(context->symbols, &good, "/proc/self/exe");
	symbols_describe(context->symbols, &good, &about);
	assert_int_equal(about.state, SYMBOLS_PRESENT);
	assert_int_equal(about.error, 0);
}

static void refuses_identities_that_no_file_has(void **state)
{
	struct context *context = *state;
	struct identity none = { .kind = IDENTITY_NONE };
	struct identity release = { .kind = IDENTITY_KERNEL_RELEASE, .size = 3, .bytes = "6.1" };

	assert_false(symbols_wants(context->symbols, &none));
	assert_false(symbols_wants(context->symbols, &release));
	assert_null(symbols_acquire(context->symbols, &none));
	assert_int_equal(symbols_bring_file(context->symbols, &none, open("/dev/null", O_RDONLY)),
			 -EINVAL);
}

static void replaces_a_damaged_symbol_file(void **state)
{
	struct context *context = *state;
	struct mapped function = where_is(dlsym(RTLD_DEFAULT, "qsort"));
	struct identity identity = build_id_of(function.path);
	char text[IDENTITY_TEXT_SIZE];
	char path[256];

	bring(context->symbols, &identity, function.path);
	identity_text(&identity, text);
	snprintf(path, sizeof(path), "%s/%02x/gnu-%s.symbols", context->folder, identity.bytes[0],
		 text + 4);

	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "damage", 6, 5000), 6);
	assert_null(symbols_acquire(context->symbols, &identity));
	assert_int_equal(access(path, F_OK), -1);
	assert_true(symbols_wants(context->symbols, &identity));
	bring(context->symbols, &identity, function.path);

	struct symbol_module *module = symbols_acquire(context->symbols, &identity);

	assert_non_null(module);
	symbols_release(context->symbols, module);
}

static void bounds_how_many_files_wait(void **state)
{
	struct context *context = *state;
	int refused = 0;

	for (int i = 0; i < 4 * SYMBOLS_WAITING_COUNT_MAX; i++) {
		struct identity identity = inode_identity((uint8_t)i);

		identity.bytes[10] = (uint8_t)(i >> 8);

		int err = symbols_bring_file(context->symbols, &identity,
					     open("/proc/self/exe", O_RDONLY | O_CLOEXEC));

		assert_true(err == 0 || err == -EAGAIN);
		if (err == -EAGAIN && refused++ == 0)
			assert_true(symbols_wants(context->symbols, &identity));
	}
	assert_int_equal(symbols_settle(context->symbols, SETTLE_MS), 0);
	assert_null(context->symbols = symbols_close(context->symbols));
}

struct asker {
	pthread_t thread;
	struct symbols *symbols;
	struct identity identity;
	struct identity alias;
	uint64_t offset;
	unsigned found;
};

static void *ask(void *argument)
{
	struct asker *asker = argument;
	struct kernel_location location;

	for (int i = 0; i < 200; i++) {
		const struct identity *identity = i % 2 ? &asker->identity : &asker->alias;
		struct symbol_module *module = symbols_acquire(asker->symbols, identity);

		if (module && symbol_module_find(module, asker->offset) != SYMBOL_NONE)
			asker->found++;
		symbols_wants(asker->symbols, identity);
		symbols_kernel_location(asker->symbols, 0xffffffff81000000, &location);
		symbols_release(asker->symbols, module);
	}
	return NULL;
}

static void serves_several_threads_at_once(void **state)
{
	struct context *context = *state;
	struct mapped function = where_is(dlsym(RTLD_DEFAULT, "qsort"));
	struct asker askers[4];

	for (size_t i = 0; i < 4; i++) {
		askers[i] = (struct asker){ .symbols = context->symbols,
					    .identity = build_id_of(function.path),
					    .alias = inode_identity(9),
					    .offset = function.offset };
		assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
	}
	bring(context->symbols, &askers[0].alias, function.path);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(askers[i].thread, NULL), 0);

	ask(&askers[0]);
	assert_true(askers[0].found >= 200);
}

static uint64_t kernel_address_of(const char *name)
{
	FILE *kallsyms = fopen("/proc/kallsyms", "re");
	char line[1024];
	char found[512];
	unsigned long address = 0;

	assert_non_null(kallsyms);
	while (fgets(line, sizeof(line), kallsyms))
		if (sscanf(line, "%lx %*c %511s", &address, found) == 2 && !strcmp(found, name))
			break;
	fclose(kallsyms);
	return address;
}

static void names_functions_of_the_running_kernel(void **state)
{
	struct context *context = *state;
	uint64_t address = kernel_address_of("vfs_read");
	struct kernel_location location;

	assert_int_equal(symbols_kernel_location(context->symbols, 1, &location), -ENOENT);
	if (address == 0)
		skip(); /* addresses are hidden from who lacks CAP_SYSLOG */

	int err =
		symbols_bring_kernel(context->symbols, open("/proc/kallsyms", O_RDONLY | O_CLOEXEC),
				     open("/sys/kernel/notes", O_RDONLY | O_CLOEXEC));

	assert_int_equal(err, 0);
	assert_int_equal(symbols_kernel_location(context->symbols, address + 1, &location), 0);
	assert_int_equal(location.module.size, 0);
	assert_int_equal(location.offset, address + 1 - kernel_address_of("_text"));
	assert_int_equal(symbols_settle(context->symbols, SETTLE_MS), 0);

	struct symbol_module *module = symbols_acquire(context->symbols, &location.identity);

	assert_non_null(module);
	assert_name(module, location.offset, "vfs_read");
	symbols_release(context->symbols, module);
	assert_false(symbols_wants(context->symbols, &location.identity));
}

static void refuses_a_kernel_without_addresses(void **state)
{
	struct context *context = *state;
	static const char text[] = "0000000000000000 T _text\n0000000000000000 t startup_64\n";
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(symbols_bring_kernel(context->symbols, fd, -1), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(names_static_functions_of_this_program),
		TEST(names_exported_functions_of_libc),
		TEST(names_the_vdso),
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(names_static_functions_of_this_program),
		TEST(names_exported_functions_of_libc),
		TEST(keeps_names_and_aliases_over_a_restart),
		TEST(modules_at_rest_take_no_memory),
		TEST(who_leaves_a_module_takes_its_pages_along),
		TEST(refuses_a_file_with_another_build_id),
		TEST(remembers_files_that_are_no_programs),
		TEST(refuses_identities_that_no_file_has),
		TEST(replaces_a_damaged_symbol_file),
		TEST(bounds_how_many_files_wait),
		TEST(serves_several_threads_at_once),
		TEST(names_functions_of_the_running_kernel),
		TEST(refuses_a_kernel_without_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

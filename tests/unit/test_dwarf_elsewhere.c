/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DWARF that goes on in other files: what several share by dwz, and the halves of split units.
 * Programs are real ones, made here; the other files are missing at first, and come later.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbols/elf_file.h"
#include "symbols/symbol_file.h"
#include "symbols/symbol_problem.h"
#include "symbols/symbols.h"
#include "tests/support/script.h"

enum { TIMEOUT_MS = 30000 };

/* work() is nothing but a call that was inlined, in line 10. */
static const char source[] =
	"set -eu\n"
	"cd \"$1\"\n"
	"cat > prog.c <<'END'\n"
	"#include <stdint.h>\n"
	"volatile uint64_t sink;\n"
	"struct request { uint64_t id, size, weight; struct request *next; char name[32]; };\n"
	"static inline __attribute__((always_inline)) uint64_t mix(struct request *request, "
	"uint64_t seed) {\n"
	"	uint64_t x = request->id ^ seed;\n"
	"	for (int i = 0; i < 9; i++) { x ^= x << 7; x ^= x >> 9; sink += x; }\n"
	"	return x + request->weight;\n"
	"}\n"
	"__attribute__((noinline)) uint64_t work(struct request *request, uint64_t seed) {\n"
	"	return mix(request, seed) * 3;\n"
	"}\n"
	"#ifdef OTHER\n"
	"uint64_t other(struct request *r) { return work(r, 3) + work(r, 5); }\n"
	"#endif\n"
	"int main(int c, char **v) {\n"
	"	struct request r = { .id = (uint64_t)c, .weight = (uint64_t)v[0][0] };\n"
	"	return (int)work(&r, 9);\n"
	"}\n"
	"END\n"
	"mkdir debug\n"
	"gcc -O2 -g -gdwarf-4 -Wl,--build-id prog.c -o one\n"
	"gcc -O2 -g -gdwarf-4 -DOTHER -Wl,--build-id prog.c -o two\n"
	"dwz -m app.debug -M /usr/lib/debug/.dwz/app.debug one two\n"
	"objcopy --only-keep-debug one one.debug && strip -o stripped one\n"
	"mkdir split && gcc -O2 -g -gdwarf-5 -gsplit-dwarf -Wl,--build-id prog.c -o split/split\n"
	"mv split/*.dwo away.dwo\n";

struct world {
	char root[64];
	struct symbols *symbols;
	struct identity identity;
	struct identity shared; /* of what one and two share */
	uint64_t offset;	/* in work() */
};

static int open_in(const struct world *world, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", world->root, name);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct identity build_id_of(const struct world *world, const char *name)
{
	autoclose int fd = open_in(world, name);
	autoclean(elf_file) struct elf_file *elf = NULL;

	assert_int_equal(elf_file_open_debug(fd, &elf), 0);
	return elf_file_build_id(elf);
}

/* dwz makes a file that has nothing but sections, which is none to our reader. */
static struct identity shared_id(const struct world *world)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 20 };
	char line[160];
	unsigned byte;

	snprintf(line, sizeof(line), "readelf -n %s/app.debug | awk '/Build ID/ { print $3 }'",
		 world->root);

	FILE *file = popen(line, "r");

	assert_non_null(file);
	for (unsigned i = 0; i < identity.size; i++) {
		assert_int_equal(fscanf(file, "%2x", &byte), 1);
		identity.bytes[i] = (uint8_t)byte;
	}
	assert_int_equal(pclose(file), 0);
	return identity;
}

static void start(struct world *world)
{
	char folder[96];
	char path[96];

	snprintf(folder, sizeof(folder), "%s/symbols", world->root);
	snprintf(path, sizeof(path), "%s/debug", world->root);
	assert_int_equal(symbols_open(folder, path, &world->symbols), 0);
}

static void restart(struct world *world)
{
	symbols_close(world->symbols);
	start(world);
}

static void run(const struct world *world, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", world->root, command);
	assert_int_equal(system(line), 0);
}

/* This program, with its symbols, is what is asked about; a place in its work() as nm has it. */
static void take(struct world *world, const char *name)
{
	char line[256];
	uint64_t vaddr = 0;

	world->identity = build_id_of(world, name);
	snprintf(line, sizeof(line), "nm %s/%s | awk '$3 == \"work\" { print $1 }'", world->root,
		 name);

	FILE *file = popen(line, "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%" SCNx64, &vaddr), 1);
	assert_int_equal(pclose(file), 0);

	autoclose int fd = open_in(world, name);
	autoclean(elf_file) struct elf_file *elf = NULL;
	size_t count;

	assert_int_equal(elf_file_open(fd, &elf), 0);

	const struct elf_segment *segments = elf_file_segments(elf, &count);

	world->offset = vaddr - segments[0].vaddr + segments[0].offset + 16;
}

static void bring(const struct world *world, const char *name)
{
	assert_int_equal(symbols_bring_file(world->symbols, &world->identity, open_in(world, name)),
			 0);
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->root, sizeof(world->root), "/tmp/hearth-test-XXXXXX");
	if (!mkdtemp(world->root) || script_run(world->root, "make.sh", source, ""))
		return -1;
	world->shared = shared_id(world);
	start(world);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[96];

	symbols_close(world->symbols);
	snprintf(command, sizeof(command), "rm -rf %s", world->root);

	int code = system(command);

	free(world);
	return code;
}

/* What stands at the place: the function that was inlined there, "" for one without a name, or
 * NULL for none. Asks, waits until that was read, and asks again. */
static const char *inlined(const struct world *world)
{
	static char name[64];
	char file[128];
	struct symbol_place place = { .scope = SYMBOL_NONE };

	for (int i = 0; i < 2; i++) {
		struct symbol_module *module = symbols_acquire(world->symbols, &world->identity);

		assert_non_null(module);
		if (symbol_module_place(module, world->offset, &place) &&
		    place.scope != SYMBOL_NONE) {
			struct symbol_call call = symbol_module_call(module, place.scope);

			snprintf(name, sizeof(name), "%.*s", STR_PRINT(call.function));
			snprintf(file, sizeof(file), "%.*s", STR_PRINT(place.file));
		} else {
			(void)symbols_wish_lines(world->symbols, module, world->offset);
		}
		symbols_release(world->symbols, module);
		assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
	}
	if (place.scope == SYMBOL_NONE)
		return NULL;
	/* dwz may have moved the name of the folder, too. */
	assert_string_equal(str_base_name(str_from(file)).text, "prog.c");
	assert_in_range(place.line, 5, 7);
	return name;
}

static void search(const struct world *world)
{
	symbols_search_debug(world->symbols);
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
}

static void assert_problem(const struct world *world, const char *expected)
{
	struct symbols_description about;
	char text[SYMBOL_PROBLEM_SIZE];

	symbols_describe(world->symbols, &world->identity, &about);
	symbol_problem(&about, text);
	assert_string_equal(text, expected);
}

static const char no_shared[] = "names of inlined calls are in a file of dwz, which was not found";

/* ---- what dwz moved ---- */

static void reads_what_dwz_moved_when_it_is_installed(void **state)
{
	struct world *world = *state;

	take(world, "one");
	bring(world, "one");
	assert_string_equal(inlined(world), "");
	assert_problem(world, no_shared);
	search(world);
	assert_string_equal(inlined(world), "");
	run(world, "mkdir -p debug/.dwz/x86_64-linux-gnu && "
		   "cp app.debug debug/.dwz/x86_64-linux-gnu");
	search(world);
	assert_string_equal(inlined(world), "mix");
	assert_problem(world, "");
}

/* As the collector does, which found it in a container. */
static void bring_shared(const struct world *world, const char *name)
{
	struct symbols_debug_wish wish;

	assert_true(symbols_wants_debug(world->symbols, &world->identity, &wish));
	assert_memory_equal(&wish.identity, &world->identity, sizeof(wish.identity));
	assert_memory_equal(&wish.wanted, &world->shared, sizeof(wish.wanted));
	assert_string_equal(wish.name, "app.debug");
	assert_false(symbols_wants_debug(world->symbols, &world->identity, &wish));
	symbols_bring_debug(world->symbols, &world->shared, 0, open_in(world, name));
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
}

static void reads_what_dwz_moved_when_it_is_brought(void **state)
{
	struct world *world = *state;

	take(world, "one");
	bring(world, "one");
	/* Nobody asked. */
	symbols_bring_debug(world->symbols, &world->shared, 0, open_in(world, "app.debug"));
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
	assert_string_equal(inlined(world), "");
	bring_shared(world, "app.debug");
	assert_string_equal(inlined(world), "mix");
	assert_problem(world, "");
}

/* The program is stripped, and its debug file lies in the container as well. */
static void reads_it_for_a_debug_file_that_was_brought(void **state)
{
	struct world *world = *state;
	struct symbols_debug_wish wish;

	take(world, "one");
	bring(world, "stripped");
	assert_true(symbols_wants_debug(world->symbols, &world->identity, &wish));
	assert_memory_equal(&wish.wanted, &world->identity, sizeof(wish.wanted));
	symbols_bring_debug(world->symbols, &world->identity, 0, open_in(world, "one.debug"));
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
	assert_string_equal(inlined(world), "");
	bring_shared(world, "app.debug");
	assert_string_equal(inlined(world), "mix");
	assert_problem(world, "");
}

static void keeps_lines_whose_debug_file_is_gone(void **state)
{
	struct world *world = *state;
	struct symbols_debug_wish wish;

	take(world, "one");
	bring(world, "stripped");
	assert_true(symbols_wants_debug(world->symbols, &world->identity, &wish));
	symbols_bring_debug(world->symbols, &world->identity, 0, open_in(world, "one.debug"));
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
	assert_string_equal(inlined(world), "");
	restart(world);
	assert_string_equal(inlined(world), "");
	bring_shared(world, "app.debug");
	assert_string_equal(inlined(world), "");
}

static void bears_one_of_no_use(void **state)
{
	struct world *world = *state;

	take(world, "one");
	bring(world, "one");
	assert_string_equal(inlined(world), "");
	bring_shared(world, "two");
	assert_string_equal(inlined(world), "");
}

/* What was lacking is written beside the lines. */
static void knows_what_is_missing_over_a_restart(void **state)
{
	struct world *world = *state;

	take(world, "one");
	bring(world, "one");
	assert_string_equal(inlined(world), "");
	restart(world);
	assert_string_equal(inlined(world), "");
	assert_problem(world, no_shared);
	run(world, "mkdir -p debug/.dwz && cp app.debug debug/.dwz");
	/* The program may be gone: better lines without names than none. */
	search(world);
	assert_string_equal(inlined(world), "");
}

/* ---- split units ---- */

static void takes_no_dwo_file_of_another_build(void **state)
{
	struct world *world = *state;

	take(world, "split/split");
	bring(world, "split/split");
	assert_null(inlined(world));
	assert_problem(world, "inlined calls are in .dwo files, which were not found");
	/* One of another build. */
	run(world, "gcc -O1 -g -gdwarf-5 -gsplit-dwarf -c prog.c -o split/other.o && "
		   "mv split/other.dwo split/split-prog.dwo");
	search(world);
	assert_null(inlined(world));
	assert_problem(world, "inlined calls are in .dwo files, which were not found");
}

static void reads_a_dwo_file_that_comes_later(void **state)
{
	struct world *world = *state;

	take(world, "split/split");
	bring(world, "split/split");
	assert_null(inlined(world));
	search(world);
	assert_null(inlined(world));
	run(world, "mv away.dwo split/split-prog.dwo");
	search(world);
	assert_string_equal(inlined(world), "mix");
	assert_problem(world, "");
}

/* All halves of a program in one file beside it: of two units. */
static void try_package(struct world *world, const char *compiler, const char *packer)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "cd %s && mkdir pack && cd pack && echo 'int add(int x) { return x + 7; }' > "
		 "add.c && "
		 "%s -O2 -g -gsplit-dwarf -c add.c ../prog.c && "
		 "%s -Wl,--build-id add.o prog.o -o prog && %s -e prog -o prog.dwp && rm *.dwo",
		 world->root, compiler, compiler, packer);
	if (system(line)) {
		print_message("no such package can be made here\n");
		skip();
	}
	take(world, "pack/prog");
	bring(world, "pack/prog");

	const char *name = inlined(world);

	assert_non_null(name);
	assert_string_equal(name, "mix");
	assert_problem(world, "");
}

static void reads_a_package_of_version_4(void **state)
{
	try_package(*state, "gcc -gdwarf-4", "dwp");
}

static void reads_a_package_of_version_5(void **state)
{
	try_package(*state, "clang -gdwarf-5", "llvm-dwp");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_what_dwz_moved_when_it_is_installed),
		TEST(reads_what_dwz_moved_when_it_is_brought),
		TEST(reads_it_for_a_debug_file_that_was_brought),
		TEST(keeps_lines_whose_debug_file_is_gone),
		TEST(bears_one_of_no_use),
		TEST(knows_what_is_missing_over_a_restart),
		TEST(takes_no_dwo_file_of_another_build),
		TEST(reads_a_dwo_file_that_comes_later),
		TEST(reads_a_package_of_version_4),
		TEST(reads_a_package_of_version_5),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

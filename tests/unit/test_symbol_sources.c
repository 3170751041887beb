/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that stripping took away, from where they went: a real program, built, split and stripped
 * by the compiler's own tools as distributions do, whose functions are known from nm.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbols/dwarf_lines.h"
#include "symbols/elf_file.h"
#include "symbols/symbol_file.h"
#include "symbols/symbol_problem.h"
#include "store/leaves.h"
#include "symbols/symbols.h"
#include "tests/support/script.h"

enum { FUNCTION_COUNT = 3, TIMEOUT_MS = 20000 };

/* Two that only .symtab knows, and one that .dynsym keeps. */
static const char *const names[FUNCTION_COUNT] = { "hidden_one", "hidden_two", "exported" };

struct world {
	char root[64];
	struct identity identity;
	uint64_t offsets[FUNCTION_COUNT]; /* in the file */
	struct symbols *symbols;
};

static const char source[] =
	"#!/bin/sh\n"
	"set -eu\n"
	"cd \"$1\"\n"
	"cat > prog.c <<'END'\n"
	"__attribute__((noinline)) static int hidden_one(int x) { return x * 3 + 1; }\n"
	"__attribute__((noinline)) static int hidden_two(int x) { return hidden_one(x) ^ 77; }\n"
	"__attribute__((noinline)) int exported(int x) { return hidden_two(x) + 5; }\n"
	"int main(int argc, char **argv) { (void)argv; return exported(argc); }\n"
	"END\n"
	"cc -O1 -g -fno-inline -Wl,--build-id -Wl,-E prog.c -o whole\n"
	"nm whole | awk '$3 == \"hidden_one\" || $3 == \"hidden_two\" || $3 == \"exported\" "
	"{ print $3, $1 }' > nm\n"
	"objcopy --only-keep-debug whole whole.debug\n"
	"cp whole stripped && strip stripped\n"
	"nm -D stripped --format=posix --defined-only | awk '{ print $1 }' | sort > dynamic\n"
	"nm whole --format=posix --defined-only | awk '$2 == \"t\" || $2 == \"T\" { print $1 }' | "
	"sort |"
	" comm -13 dynamic - > kept\n"
	"objcopy -S --remove-section .comment --keep-symbols=kept whole.debug mini.debug\n"
	"xz -k mini.debug\n"
	"objcopy --add-section .gnu_debugdata=mini.debug.xz stripped mini\n"
	"cc -O1 -g -fno-inline -Wl,--build-id=none -Wl,-E prog.c -o linked\n"
	"nm linked | awk '$3 == \"hidden_one\" { print $1 }' > linked.nm\n"
	"mkdir .debug && objcopy --only-keep-debug linked .debug/linked.debug && strip linked\n"
	"objcopy --add-gnu-debuglink=.debug/linked.debug linked\n"
	"cp .debug/linked.debug good && echo >> linked.debug\n"
	"cp good elsewhere.debug && cp linked named && objcopy --remove-section .gnu_debuglink "
	"named\n"
	"objcopy --add-gnu-debuglink=elsewhere.debug named && rm elsewhere.debug\n"
	"cc -O1 -g -Wl,--build-id=0x1234 prog.c -o other && objcopy --only-keep-debug other "
	"other.debug\n"
	"readelf -n whole | awk '/Build ID/ { print $3 }' > id\n";

static int open_in(const struct world *world, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", world->root, name);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* What nm calls an address, as a place in the file. */
static void read_offsets(struct world *world)
{
	autoclose int fd = open_in(world, "whole");
	autoclean(elf_file) struct elf_file *elf = NULL;
	char path[96];
	char name[32];
	uint64_t vaddr;
	size_t segment_count;
	int found = 0;

	assert_int_equal(elf_file_open(fd, &elf), 0);
	world->identity = elf_file_build_id(elf);
	assert_int_equal(world->identity.kind, IDENTITY_GNU_BUILD_ID);

	const struct elf_segment *segments = elf_file_segments(elf, &segment_count);

	snprintf(path, sizeof(path), "%s/nm", world->root);

	FILE *file = fopen(path, "r");

	assert_non_null(file);
	while (fscanf(file, "%31s %" SCNx64, name, &vaddr) == 2)
		for (int i = 0; i < FUNCTION_COUNT; i++)
			if (strcmp(name, names[i]) == 0) {
				world->offsets[i] = vaddr - segments[0].vaddr + segments[0].offset;
				found++;
			}
	fclose(file);
	assert_int_equal(found, FUNCTION_COUNT);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	char path[96];

	snprintf(world->root, sizeof(world->root), "/tmp/hearth-test-XXXXXX");
	if (!mkdtemp(world->root) || script_run(world->root, "make.sh", source, ""))
		return -1;
	read_offsets(world);

	char folder[96];

	snprintf(folder, sizeof(folder), "%s/symbols", world->root);
	snprintf(path, sizeof(path), "%s/debug", world->root);
	if (mkdir(path, 0700) || symbols_open(folder, path, &world->symbols))
		return -1;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[128];

	symbols_close(world->symbols);
	snprintf(command, sizeof(command), "rm -rf %s", world->root);
	int code = system(command);

	free(world);
	return code;
}

/* Puts a file where the debug file of the program belongs. */
static void install(const struct world *world, const char *name)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "cd %s && id=$(cat id) && d=debug/.build-id/$(echo $id | cut -c1-2) && mkdir -p "
		 "$d && "
		 "cp %s $d/new && mv $d/new $d/$(echo $id | cut -c3-).debug",
		 world->root, name);
	assert_int_equal(system(command), 0);
}

static void bring(const struct world *world, const char *name)
{
	assert_true(symbols_wants(world->symbols, &world->identity));
	assert_int_equal(symbols_bring_file(world->symbols, &world->identity, open_in(world, name)),
			 0);
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
}

static void look_again(const struct world *world)
{
	symbols_search_debug(world->symbols);
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
}

/* Bit i: the i-th function is known by its name, at its first byte and within. */
static unsigned known(const struct world *world)
{
	struct symbol_module *module = symbols_acquire(world->symbols, &world->identity);
	unsigned bits = 0;

	for (unsigned i = 0; module && i < FUNCTION_COUNT; i++) {
		uint32_t function = symbol_module_find(module, world->offsets[i] + 1);

		if (function == SYMBOL_NONE)
			continue;
		/* Never another's name. */
		assert_true(str_equal(symbol_module_name(module, function), str_from(names[i])));
		assert_int_equal(symbol_module_start(module, function), world->offsets[i]);
		bits |= 1U << i;
	}
	symbols_release(world->symbols, module);
	return bits;
}

enum { HIDDEN = 3, EXPORTED = 4, ALL = 7 };

static void knows_what_is_left(void **state)
{
	const struct world *world = *state;

	uint64_t generation = symbols_generation(world->symbols);

	bring(world, "stripped");
	assert_int_equal(known(world), EXPORTED);
	assert_int_not_equal(symbols_generation(world->symbols), generation);
	look_again(world);
	assert_int_equal(known(world), EXPORTED);
}

static void knows_mini_debug_info(void **state)
{
	const struct world *world = *state;

	bring(world, "mini");
	assert_int_equal(known(world), ALL);
}

static void knows_a_debug_file_that_is_there(void **state)
{
	const struct world *world = *state;

	install(world, "whole.debug");
	bring(world, "stripped");
	assert_int_equal(known(world), ALL);
}

/* What was sampled before gets its names; nothing is sampled or brought again. */
static void knows_a_debug_file_that_comes_later(void **state)
{
	const struct world *world = *state;

	bring(world, "stripped");

	struct symbol_module *held = symbols_acquire(world->symbols, &world->identity);

	assert_non_null(held);

	uint64_t generation = symbols_generation(world->symbols);

	look_again(world);
	assert_int_equal(symbols_generation(world->symbols), generation);
	install(world, "whole.debug");
	look_again(world);
	assert_int_equal(known(world), ALL);
	assert_int_not_equal(symbols_generation(world->symbols), generation);
	assert_false(symbols_wants(world->symbols, &world->identity));

	/* A question that had begun ends with what it had. */
	assert_int_equal(symbol_module_find(held, world->offsets[0]), SYMBOL_NONE);
	symbols_release(world->symbols, held);
	assert_int_equal(known(world), ALL);
}

/* One that is being copied, or is another's, does no harm, and is tried again when it has changed.
 */
static void assert_problem(const struct world *world, const char *expected)
{
	struct symbols_description about;
	char problem[SYMBOL_PROBLEM_SIZE];

	symbols_describe(world->symbols, &world->identity, &about);
	symbol_problem(&about, problem);
	assert_string_equal(problem, expected);
}

static void bears_debug_files_of_no_use(void **state)
{
	const struct world *world = *state;
	char command[256];

	bring(world, "stripped");
	snprintf(command, sizeof(command),
		 "cd %s && head -c 3000 whole.debug > part && cc -O1 -x c -Wl,--build-id -o other "
		 "- <<'E'\n"
		 "int main(void) { return 3; }\nE\n ",
		 world->root);
	assert_int_equal(system(command), 0);
	assert_problem(world, "");
	install(world, "part");
	look_again(world);
	assert_int_equal(known(world), EXPORTED);
	assert_problem(world, "its debug file: damaged, or of another build");
	install(world, "other");
	look_again(world);
	assert_int_equal(known(world), EXPORTED);
	install(world, "nm");
	look_again(world);
	assert_int_equal(known(world), EXPORTED);
	install(world, "whole.debug");
	look_again(world);
	assert_int_equal(known(world), ALL);
	assert_problem(world, "");
}

static void restart(struct world *world)
{
	char folder[96];
	char path[96];

	symbols_close(world->symbols);
	snprintf(folder, sizeof(folder), "%s/symbols", world->root);
	snprintf(path, sizeof(path), "%s/debug", world->root);
	assert_int_equal(symbols_open(folder, path, &world->symbols), 0);
}

/* Where nm says that it begins, in the program without a build id. */
static uint64_t linked_hidden_one(const struct world *world)
{
	char path[96];
	uint64_t vaddr = 0;

	snprintf(path, sizeof(path), "%s/linked.nm", world->root);

	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%" SCNx64, &vaddr), 1);
	fclose(file);
	return vaddr;
}

static void keeps_them_over_a_restart(void **state)
{
	struct world *world = *state;
	char folder[96];
	char path[96];

	bring(world, "stripped");
	install(world, "whole.debug");
	look_again(world);
	symbols_close(world->symbols);
	snprintf(folder, sizeof(folder), "%s/symbols", world->root);
	snprintf(path, sizeof(path), "%s/nothing", world->root);
	assert_int_equal(symbols_open(folder, path, &world->symbols), 0);
	assert_int_equal(known(world), ALL);
}

/* As the collector does it, which found it in the root of a container. */
static void bring_debug(const struct world *world, const char *name)
{
	struct symbols_debug_wish wish;

	assert_true(symbols_wants_debug(world->symbols, &world->identity, &wish));
	/* Not again at once. */
	assert_false(symbols_wants_debug(world->symbols, &world->identity, &wish));
	symbols_bring_debug(world->symbols, &world->identity, 0, open_in(world, name));
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
}

static void takes_a_debug_file_that_is_brought(void **state)
{
	const struct world *world = *state;
	struct symbols_debug_wish wish;

	/* Nobody asked. */
	symbols_bring_debug(world->symbols, &world->identity, 0, open_in(world, "whole.debug"));
	assert_false(symbols_wants_debug(world->symbols, &world->identity, &wish));
	bring(world, "stripped");
	assert_int_equal(known(world), EXPORTED);
	bring_debug(world, "whole.debug");
	assert_int_equal(known(world), ALL);
	assert_false(symbols_wants_debug(world->symbols, &world->identity, &wish));
}

static void bears_brought_debug_files_of_no_use(void **state)
{
	const struct world *world = *state;

	bring(world, "stripped");
	bring_debug(world, "other.debug");
	assert_int_equal(known(world), EXPORTED);
}

static void has_its_own_debug_file_and_wants_none(void **state)
{
	const struct world *world = *state;
	struct symbols_debug_wish wish;

	install(world, "whole.debug");
	bring(world, "stripped");
	assert_false(symbols_wants_debug(world->symbols, &world->identity, &wish));
}

/* The file has no build id: what it calls its debug file is all there is, and its checksum decides.
 */
static void takes_a_debug_file_by_its_name(void **state)
{
	struct world *world = *state;
	struct symbols_debug_wish wish;

	world->identity = (struct identity){ .kind = IDENTITY_INODE, .size = 40, .bytes = { 8 } };
	bring(world, "named");
	assert_true(symbols_wants_debug(world->symbols, &world->identity, &wish));
	assert_string_equal(wish.name, "elsewhere.debug");

	struct symbol_module *bare = symbols_acquire(world->symbols, &world->identity);

	assert_non_null(bare);
	assert_false(symbols_may_have_lines(bare, world->offsets[0]));
	symbols_release(world->symbols, bare);
	symbols_bring_debug(world->symbols, &world->identity, 0, open_in(world, "whole.debug"));
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
	assert_int_equal(known(world) & HIDDEN, 0);
	restart(world);
	assert_true(symbols_wants_debug(world->symbols, &world->identity, &wish));
	assert_string_equal(wish.name, "elsewhere.debug");
	symbols_bring_debug(world->symbols, &world->identity, 0, open_in(world, "good"));
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);

	struct symbol_module *module = symbols_acquire(world->symbols, &world->identity);
	uint32_t function = symbol_module_find(module, linked_hidden_one(world));

	assert_int_not_equal(function, SYMBOL_NONE);
	assert_true(str_equal(symbol_module_name(module, function), STR("hidden_one")));
	symbols_release(world->symbols, module);
}

/* ---- lines ---- */

/* Asks, so that the lines of the unit are read, and asks again. */
static struct symbol_module *ask_for_lines(const struct world *world, uint64_t address)
{
	struct symbol_module *module = symbols_acquire(world->symbols, &world->identity);

	assert_non_null(module);
	(void)symbols_wish_lines(world->symbols, module, address);
	symbols_release(world->symbols, module);
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
	module = symbols_acquire(world->symbols, &world->identity);
	assert_non_null(module);
	return module;
}

/* The source has a function a line: see above. */
static void assert_line(const struct symbol_module *module, uint64_t address, uint32_t line)
{
	struct symbol_place place = { 0 };

	assert_true(symbol_module_place(module, address, &place));
	assert_int_equal(place.line, line);
	assert_int_equal(place.scope, SYMBOL_NONE);
	assert_true(str_ends_with(place.file, STR("/prog.c")));
}

static void reads_lines_of_the_file_when_they_are_asked_for(void **state)
{
	struct world *world = *state;
	struct symbol_place place;

	bring(world, "whole");

	struct symbol_module *module = symbols_acquire(world->symbols, &world->identity);

	assert_false(symbol_module_place(module, world->offsets[0], &place));
	assert_true(symbols_may_have_lines(module, world->offsets[0]));
	symbols_release(world->symbols, module);

	uint64_t generation = symbols_generation(world->symbols);

	module = ask_for_lines(world, world->offsets[1] + 3);
	assert_int_not_equal(symbols_generation(world->symbols), generation);
	/* Nothing more to come of what is known. */
	assert_false(symbols_wish_lines(world->symbols, module, world->offsets[1]));
	assert_true(symbols_may_have_lines(module, world->offsets[1]));
	for (int i = 0; i < FUNCTION_COUNT; i++)
		assert_line(module, world->offsets[i], (uint32_t)i + 1);
	symbols_release(world->symbols, module);
}

/* Where the leaf of a stack lies when its segment is settled: as before, or its function's start.
 */
static uint64_t settled_leaf(const struct world *world, uint64_t address)
{
	const struct leaf_source leaves = { .symbols = world->symbols };
	struct catalog catalog = { 0 };
	struct tree tree = { 0 };
	struct catalog_build build = { .kind = BUILD_FILE, .identity = world->identity };
	int64_t number, location;
	uint64_t found;

	assert_int_equal(catalog_init(&catalog), 0);
	assert_int_equal(tree_init(&tree), 0);
	number = catalog_add(&catalog, CATALOG_BUILD, &build, sizeof(build));
	location = tree_add_location(&tree, (uint32_t)number, address);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT, 0), 0);
	assert_int_equal(tree_add_node(&tree, 0, (uint32_t)location), 1);
	assert_int_equal(leaves_lower(&leaves, &catalog, &tree), 0);
	found = tree.addresses.items[tree.nodes.items[1].location];
	tree_done(&tree);
	catalog_done(&catalog);
	return found;
}

static void leaves_are_lowered_where_there_are_no_lines(void **state)
{
	struct world *world = *state;
	uint64_t leaf = world->offsets[0] + 3;

	/* It may have lines. */
	assert_int_equal(settled_leaf(world, leaf), leaf);
	bring(world, "mini");
	assert_int_equal(settled_leaf(world, leaf), world->offsets[0]);
	assert_int_equal(settled_leaf(world, world->offsets[0]), world->offsets[0]);
	/* In no function. */
	assert_int_equal(settled_leaf(world, 1), 1);
}

static void leaves_with_lines_stay(void **state)
{
	struct world *world = *state;
	uint64_t leaf = world->offsets[0] + 3;

	bring(world, "whole");
	assert_int_equal(settled_leaf(world, leaf), leaf);
	symbols_release(world->symbols, ask_for_lines(world, leaf));
	assert_int_equal(settled_leaf(world, leaf), leaf);
}

static void reads_lines_of_a_debug_file_that_comes_later(void **state)
{
	struct world *world = *state;
	struct symbol_place place;

	bring(world, "stripped");

	struct symbol_module *module = ask_for_lines(world, world->offsets[2]);

	assert_false(symbol_module_place(module, world->offsets[2], &place));
	symbols_release(world->symbols, module);
	install(world, "whole.debug");
	look_again(world);
	module = ask_for_lines(world, world->offsets[2]);
	assert_line(module, world->offsets[2], 3);
	symbols_release(world->symbols, module);
}

/* They are not in the symbol file yet when the server starts anew: the debug file is brought again.
 */
static void reads_lines_of_a_debug_file_that_is_brought(void **state)
{
	struct world *world = *state;

	bring(world, "stripped");
	bring_debug(world, "whole.debug");
	restart(world);

	struct symbol_module *module = ask_for_lines(world, world->offsets[1]);
	struct symbol_place place;

	assert_false(symbol_module_place(module, world->offsets[1], &place));
	symbols_release(world->symbols, module);
	bring_debug(world, "whole.debug");
	module = ask_for_lines(world, world->offsets[1]);
	assert_line(module, world->offsets[1], 2);
	symbols_release(world->symbols, module);
}

/* Names stay over a restart, the opened file does not: it is wished for
   again. */
static void wishes_for_the_file_again_for_its_lines(void **state)
{
	struct world *world = *state;

	bring(world, "whole");
	restart(world);
	assert_false(symbols_wants(world->symbols, &world->identity));

	struct symbol_module *module = ask_for_lines(world, world->offsets[0]);

	symbols_release(world->symbols, module);
	bring(world, "whole");
	assert_false(symbols_wants(world->symbols, &world->identity));
	module = ask_for_lines(world, world->offsets[0]);
	assert_line(module, world->offsets[0], 1);
	symbols_release(world->symbols, module);
}

/* The file has no build id, but says how its debug file is called; beside it lies another of that
 * name.
 */
static void follows_the_name_of_a_debug_file(void **state)
{
	struct world *world = *state;
	uint64_t vaddr = linked_hidden_one(world);

	world->identity = (struct identity){ .kind = IDENTITY_INODE, .size = 40, .bytes = { 7 } };
	bring(world, "linked");

	struct symbol_module *module = ask_for_lines(world, vaddr);

	assert_int_not_equal(symbol_module_find(module, vaddr), SYMBOL_NONE);
	assert_true(str_equal(symbol_module_name(module, symbol_module_find(module, vaddr)),
			      STR("hidden_one")));
	assert_line(module, vaddr, 1);
	symbols_release(world->symbols, module);
}

/* A file of another version, and one that decayed: neither is used, and both are made again. */
static void makes_bad_symbol_files_anew(void **state)
{
	struct world *world = *state;
	static const long places[] = { offsetof(struct symbol_file_header, version),
				       sizeof(struct symbol_file_header) + 8 };
	char folder[96];
	char command[160];
	char path[160] = "";

	snprintf(folder, sizeof(folder), "%s/symbols", world->root);
	snprintf(command, sizeof(command), "find %s -name '*.symbols'", folder);
	bring(world, "whole");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		symbols_close(world->symbols);

		FILE *found = popen(command, "r");

		assert_non_null(found);
		assert_non_null(fgets(path, sizeof(path), found));
		pclose(found);
		path[strcspn(path, "\n")] = '\0';

		autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
		uint8_t byte = 0;

		assert_int_equal(pread(fd, &byte, 1, places[i]), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, places[i]), 1);
		assert_int_equal(symbols_open(folder, "", &world->symbols), 0);
		/* Noticed by who asks, wished for, made anew. */
		assert_null(symbols_acquire(world->symbols, &world->identity));
		bring(world, "whole");

		struct symbol_module *module = symbols_acquire(world->symbols, &world->identity);

		assert_non_null(module);
		for (int n = 0; n < FUNCTION_COUNT; n++)
			assert_int_not_equal(symbol_module_find(module, world->offsets[n]),
					     SYMBOL_NONE);
		symbols_release(world->symbols, module);
	}
}

/* Another build of the program is the world's from now on, whose functions lie elsewhere. */
static void take_program(struct world *world, const char *name, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s && mv %s whole", world->root, command, name);
	assert_int_equal(system(line), 0);
	snprintf(line, sizeof(line),
		 "cd %s && nm whole | awk '$3 == \"hidden_one\" || $3 == \"hidden_two\" || "
		 "$3 == \"exported\" { print $3, $1 }' > nm",
		 world->root);
	assert_int_equal(system(line), 0);
	read_offsets(world);
}

static const char split_command[] =
	"cc -O1 -g -gdwarf-5 -gsplit-dwarf -fno-inline -Wl,--build-id -Wl,-E prog.c -o split";

static void tells_of_split_dwarf_that_is_not_there(void **state)
{
	struct world *world = *state;
	char command[256];

	snprintf(command, sizeof(command), "%s && rm *.dwo", split_command);
	take_program(world, "split", command);
	bring(world, "whole");
	assert_problem(world, "");

	struct symbol_module *module = ask_for_lines(world, world->offsets[0]);

	assert_line(module, world->offsets[0], 1);
	symbols_release(world->symbols, module);
	assert_problem(world, "inlined calls are in .dwo files, which were not found");
}

static void reads_split_dwarf(void **state)
{
	struct world *world = *state;

	take_program(world, "split", split_command);
	bring(world, "whole");

	struct symbol_module *module = ask_for_lines(world, world->offsets[0]);

	assert_line(module, world->offsets[0], 1);
	symbols_release(world->symbols, module);
	assert_problem(world, "");
}

static void reads_what_zstd_packed_where_it_can(void **state)
{
	struct world *world = *state;

	if (system("objcopy --help | grep -q zstd")) {
		print_message("this objcopy knows no zstd\n");
		skip();
	}
	take_program(world, "packed", "objcopy --compress-debug-sections=zstd whole packed");
	bring(world, "whole");

	struct symbol_module *module = ask_for_lines(world, world->offsets[1]);
	struct symbol_place place;

	if (dwarf_lines_unpack_zstd()) {
		assert_line(module, world->offsets[1], 2);
		assert_problem(world, "");
	} else {
		assert_false(symbol_module_place(module, world->offsets[1], &place));
		assert_problem(world, "its lines: packed by zstd, which the installed elfutils "
				      "can't unpack");
	}
	symbols_release(world->symbols, module);
}

/* What was read stays when another file is handed in under the same
   identity. */
static void does_not_take_lines_of_another_file(void **state)
{
	struct world *world = *state;
	struct symbol_place place;

	bring(world, "whole");
	restart(world);

	struct symbol_module *module = ask_for_lines(world, world->offsets[0]);

	symbols_release(world->symbols, module);
	assert_true(symbols_wants(world->symbols, &world->identity));
	assert_int_equal(symbols_bring_file(world->symbols, &world->identity,
					    open("/proc/self/exe", O_RDONLY | O_CLOEXEC)),
			 0);
	module = ask_for_lines(world, world->offsets[0]);
	assert_false(symbol_module_place(module, world->offsets[0], &place));
	assert_int_not_equal(symbol_module_find(module, world->offsets[0]), SYMBOL_NONE);
	symbols_release(world->symbols, module);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(knows_what_is_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(knows_mini_debug_info, set_up, tear_down),
		cmocka_unit_test_setup_teardown(knows_a_debug_file_that_is_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(knows_a_debug_file_that_comes_later, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(bears_debug_files_of_no_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_them_over_a_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(takes_a_debug_file_that_is_brought, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(bears_brought_debug_files_of_no_use, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(has_its_own_debug_file_and_wants_none, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(takes_a_debug_file_by_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_lines_of_a_debug_file_that_is_brought, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(reads_lines_of_the_file_when_they_are_asked_for,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(leaves_are_lowered_where_there_are_no_lines, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(leaves_with_lines_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_lines_of_a_debug_file_that_comes_later,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(wishes_for_the_file_again_for_its_lines, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(follows_the_name_of_a_debug_file, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(makes_bad_symbol_files_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_split_dwarf, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_of_split_dwarf_that_is_not_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(reads_what_zstd_packed_where_it_can, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(does_not_take_lines_of_another_file, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and lines of Go programs against what Go's own tool says of the same addresses, as they
 * were linked and stripped, and inlined calls against what llvm-symbolizer reads in the debug
 * information that Go writes besides. HEARTH_GO names another go than the one in the path.
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
#include "symbols/go_lines.h"
#include "symbols/line_table.h"
#include "symbols/symbols.h"
#include "tests/support/script.h"
#include "tests/support/tier.h"

enum { ADDRESS_COUNT = 2000, TIMEOUT_MS = 60000, LINE_SIZE_MAX = 4096 };

static const char program[] =
	"package main\n"
	"import (\"fmt\"; \"os\"; \"sort\"; \"strings\")\n"
	"type shape interface { area(int) int }\n"
	"type square struct{ a int }\n"
	"func small(x int) int { return x*x + 1 }\n"
	"func middle(x int) int { return small(x) + small(x+1) }\n"
	"func (s square) area(x int) int { return middle(s.a) + x }\n"
	"func (s *square) grow() func() { return func() { s.a += middle(s.a) } }\n"
	"func main() {\n"
	"	var s shape = square{len(os.Args)}\n"
	"	q := &square{s.area(2)}\n"
	"	q.grow()()\n"
	"	list := []int{3, 1, q.a}\n"
	"	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })\n"
	"	fmt.Println(strings.Repeat(\"=\", 3), list, generic())\n"
	"}\n";

static const char without_generics[] = "//go:build !go1.18\n// +build !go1.18\n\n"
				       "package main\n"
				       "func generic() int { return 1 }\n";

static const char with_generics[] =
	"//go:build go1.18\n// +build go1.18\n\n"
	"package main\n"
	"type pair[T any] struct{ a, b T }\n"
	"//go:noinline\n"
	"func sum[T int | float64](p pair[T]) T { return p.a + p.b }\n"
	"func generic() int { return sum(pair[int]{1, 2}) + int(sum(pair[float64]{1, 2})) }\n";

static const char go_script[] =
	"set -eu\n"
	"cd \"$1\"\n"
	"export GO111MODULE=off GOPATH=\"$1/path\" GOTOOLCHAIN=local GOENV=off "
	"CGO_ENABLED=0\n"
	"[ \"${HOME:-}\" ] || export GOCACHE=\"$1/cache\"\n"
	"go=${HEARTH_GO:-go}\n"
	"if [ \"$2\" = build ]; then\n"
	"	$go build -o whole .\n"
	"	$go build -ldflags='-s -w' -o stripped .\n"
	"else\n"
	"	$go tool addr2line whole < addresses > answers\n"
	"	llvm-symbolizer --obj=whole --inlines --functions=linkage "
	"< addresses > chains || rm chains\n"
	"fi\n";

struct world {
	char root[64];
	bool has_go;
	unsigned seed;
	struct symbols *symbols;
};

static int set_up(void **state)
{
	static struct world world = { .root = "/tmp/hearth-go-XXXXXX" };
	char command[256];

	world.seed = (unsigned)tier_seed();
	*state = &world;
	if (!mkdtemp(world.root))
		return -1;
	world.has_go = system("GOENV=off ${HEARTH_GO:-go} version >/dev/null 2>&1") == 0;
	if (!world.has_go)
		return 0;
	if (script_write(world.root, "main.go", program) ||
	    script_write(world.root, "without.go", without_generics) ||
	    script_write(world.root, "with.go", with_generics) ||
	    script_run(world.root, "make.sh", go_script, "build"))
		return -1;
	snprintf(command, sizeof(command), "%s/symbols", world.root);
	return symbols_open(command, "", &world.symbols);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[256];

	symbols_close(world->symbols);
	snprintf(command, sizeof(command), "chmod -R u+w %s && rm -rf %s", world->root,
		 world->root);
	return system(command);
}

/* The code of the program: where Go's functions are, by its section. */
static struct elf_bytes find_text(struct elf_file *elf)
{
	struct elf_bytes text;

	assert_int_equal(elf_file_section(elf, STR(".text"), 64 << 20, &text), 0);
	return text;
}

static uint64_t random_address(struct elf_bytes text)
{
	return text.vaddr + (((uint64_t)rand() << 16) ^ (uint64_t)rand()) % text.size;
}

static uint64_t offset_of(struct elf_file *elf, uint64_t vaddr)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(elf, &count);

	for (size_t i = 0; i < count; i++)
		if (vaddr - segments[i].vaddr < segments[i].size)
			return vaddr - segments[i].vaddr + segments[i].offset;
	return UINT64_MAX;
}

static void ask_go(const struct world *world, struct elf_bytes text)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/addresses", world->root);

	FILE *file = fopen(path, "w");

	assert_non_null(file);
	srand(world->seed);
	for (int i = 0; i < ADDRESS_COUNT; i++)
		fprintf(file, "0x%" PRIx64 "\n", random_address(text));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(script_run(world->root, "make.sh", go_script, "ask"), 0);
}

/* Two lines for each address: the function, and where it is in the source. */
static void compare(struct world *world, const char *name)
{
	char path[96];
	char function[LINE_SIZE_MAX];
	char place[LINE_SIZE_MAX];
	struct identity identity = { .kind = IDENTITY_INODE, .size = 40 };
	unsigned same = 0, without = 0;
	autoclean(elf_file) struct elf_file *elf = NULL;

	snprintf(path, sizeof(path), "%s/%s", world->root, name);
	memcpy(identity.bytes, name, strlen(name));

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, &elf), 0);

	struct elf_bytes text = find_text(elf);

	ask_go(world, text);
	assert_int_equal(symbols_bring_file(world->symbols, &identity, dup(fd)), 0);
	assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);

	struct symbol_module *module = symbols_acquire(world->symbols, &identity);

	assert_non_null(module);
	snprintf(path, sizeof(path), "%s/answers", world->root);

	FILE *answers = fopen(path, "r");

	assert_non_null(answers);
	srand(world->seed);
	while (fgets(function, sizeof(function), answers) && fgets(place, sizeof(place), answers)) {
		uint64_t address = random_address(text);
		uint32_t number = symbol_module_find(module, offset_of(elf, address));
		struct str found = { NULL, 0 };
		struct str wanted = { function, strcspn(function, "\n") };

		if (number != SYMBOL_NONE)
			found = symbol_module_name(module, number);
		/* Behind the last function. */
		if (str_equal(wanted, STR("?")))
			without++;
		if (str_equal(found, wanted) || (str_equal(wanted, STR("?")) && found.size == 0))
			same++;
		else
			print_message("# %" PRIx64 ": '%.*s', not '%.*s'\n", address,
				      STR_PRINT(wanted), STR_PRINT(found));
	}
	fclose(answers);
	symbols_release(world->symbols, module);
	print_message("# %s: %u of %u addresses have Go's name, %u have none; seed %u\n", name,
		      same, ADDRESS_COUNT, without, world->seed);
	assert_int_equal(same, ADDRESS_COUNT);
	assert_true(without < ADDRESS_COUNT / 10);
}

/* ---- lines ---- */

static void make_lines(struct world *world, const char *name, int *fd, struct elf_file **elf,
		       struct line_table *table)
{
	autoclean(go_lines) struct go_lines *go = NULL;
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", world->root, name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(elf_file_open(*fd, elf), 0);

	struct elf_bytes text = find_text(*elf);

	ask_go(world, text);
	assert_int_equal(go_lines_open(*elf, &go), 0);
	line_table_init(table);
	srand(world->seed);
	for (int i = 0; i < ADDRESS_COUNT; i++) {
		int err = go_lines_add(go, random_address(text), table);

		assert_true(err == 0 || err == -ENOENT);
	}
	assert_int_equal(line_table_build(table), 0);
}

/* "file:line" up to a column, if any. */
static bool is_place(struct str place, struct str file, uint32_t line)
{
	char text[LINE_SIZE_MAX];
	int size = snprintf(text, sizeof(text), "%.*s:%u", STR_PRINT(file), line);

	return (size_t)size < sizeof(text) && size > 0 && place.size >= (size_t)size &&
	       memcmp(place.text, text, (size_t)size) == 0 &&
	       (place.size == (size_t)size || place.text[size] == ':');
}

static void compare_lines(struct world *world, const char *name)
{
	autoclose int fd = -1;
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(line_table) struct line_table table;
	char path[96];
	char function[LINE_SIZE_MAX];
	char place[LINE_SIZE_MAX];
	unsigned same = 0, count = 0;

	make_lines(world, name, &fd, &elf, &table);

	struct line_rows rows = line_table_rows(&table);
	struct elf_bytes text = find_text(elf);

	snprintf(path, sizeof(path), "%s/answers", world->root);

	FILE *answers = fopen(path, "r");

	assert_non_null(answers);
	srand(world->seed);
	while (fgets(function, sizeof(function), answers) && fgets(place, sizeof(place), answers)) {
		uint64_t address = random_address(text);
		struct str wanted = { place, strcspn(place, "\n") };
		struct line_row row = { .line = 0 };
		bool found = line_rows_find(&rows, address, &row);

		/* Behind a function's last instruction nothing is known; Go says a negative line.
		 */
		if (str_ends_with(wanted, STR(":0")) || strstr(place, ":-")) {
			assert_false(found);
			continue;
		}
		count++;
		if (found && is_place(wanted, line_rows_text(&rows, row.file), row.line))
			same++;
		else
			print_message("# %" PRIx64 ": %.*s, not %.*s:%u\n", address,
				      STR_PRINT(wanted), STR_PRINT(line_rows_text(&rows, row.file)),
				      row.line);
	}
	fclose(answers);
	print_message("# %s: %u of %u addresses have Go's line\n", name, same, count);
	assert_true(count > ADDRESS_COUNT * 9 / 10);
	assert_int_equal(same, count);
}

/*
 * Reads one answer, to an empty line: whether ours is the same, frame by frame. The debug
 * information knows lines of what lies between functions, too: there is nothing to compare.
 */
static bool is_same_chain(FILE *chains, const struct line_rows *rows, uint64_t address,
			  unsigned *depth)
{
	char function[LINE_SIZE_MAX];
	char place[LINE_SIZE_MAX];
	struct line_row row = { .scope = LINE_SCOPE_NONE };
	bool is_between = !line_rows_find(rows, address, &row);
	bool is_same = !is_between;
	uint32_t scope = row.scope, line = row.line, file = row.file;

	*depth = 0;
	while (fgets(function, sizeof(function), chains) && function[0] != '\n') {
		assert_non_null(fgets(place, sizeof(place), chains));
		if (!is_same)
			continue;

		/* A method that the compiler made has no file; each writes that differently. */
		struct str source = line_rows_text(rows, file);

		is_same = str_equal(source, STR("<autogenerated>")) ||
			  is_place((struct str){ place, strcspn(place, "\n") }, source, line);
		if (!is_same)
			print_message("# %" PRIx64 ": %.*s, not %.*s:%u\n", address,
				      (int)strcspn(place, "\n"), place, STR_PRINT(source), line);
		if (scope == LINE_SCOPE_NONE)
			continue;

		const struct line_scope *call = &rows->scopes[scope];

		is_same &= str_equal((struct str){ function, strcspn(function, "\n") },
				     line_rows_text(rows, call->function));
		file = call->call_file;
		line = call->call_line;
		scope = call->parent;
		(*depth)++;
	}
	return is_between || (is_same && scope == LINE_SCOPE_NONE);
}

static void inlined_calls_are_those_of_the_debug_information(void **state)
{
	struct world *world = *state;
	autoclose int fd = -1;
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(line_table) struct line_table table;
	char path[96];
	unsigned same = 0, inlined = 0;

	line_table_init(&table);
	if (!world->has_go)
		skip();
	make_lines(world, "stripped", &fd, &elf, &table);
	snprintf(path, sizeof(path), "%s/chains", world->root);

	FILE *chains = fopen(path, "r");

	if (!chains) {
		print_message("# no llvm-symbolizer here\n");
		skip();
	}

	struct line_rows rows = line_table_rows(&table);
	struct elf_bytes text = find_text(elf);

	srand(world->seed);
	for (int i = 0; i < ADDRESS_COUNT; i++) {
		uint64_t address = random_address(text);
		unsigned depth;

		if (is_same_chain(chains, &rows, address, &depth))
			same++;
		inlined += depth > 0;
	}
	fclose(chains);
	print_message("# %u of %u addresses have all frames of the debug information, %u lie in "
		      "inlined calls\n",
		      same, ADDRESS_COUNT, inlined);
	assert_true(inlined > ADDRESS_COUNT / 10);
	assert_true(same >= ADDRESS_COUNT * 99 / 100);
}

/* As a question asks for them, which does not wait. */
static void a_stripped_program_shows_lines_once_they_were_asked_for(void **state)
{
	struct world *world = *state;
	struct identity identity = { .kind = IDENTITY_INODE, .size = 40 };
	autoclose int fd = -1;
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(line_table) struct line_table table;
	unsigned found = 0, wanted = 0;
	const unsigned count = 100;

	line_table_init(&table);
	if (!world->has_go)
		skip();
	memcpy(identity.bytes, "stripped", strlen("stripped"));
	make_lines(world, "stripped", &fd, &elf, &table);

	struct line_rows rows = line_table_rows(&table);
	struct elf_bytes text = find_text(elf);

	for (int round = 0; round < 2; round++) {
		struct symbol_module *module = symbols_acquire(world->symbols, &identity);

		assert_non_null(module);
		found = wanted = 0;
		srand(world->seed);
		for (unsigned i = 0; i < count; i++) {
			uint64_t address = random_address(text);
			uint64_t offset = offset_of(elf, address);
			struct symbol_place place;
			struct line_row row;

			if (!line_rows_find(&rows, address, &row))
				continue;
			wanted++;
			if (!symbol_module_place(module, offset, &place))
				(void)symbols_wish_lines(world->symbols, module, offset);
			else
				found += place.line == row.line &&
					 str_equal(place.file, line_rows_text(&rows, row.file)) &&
					 (place.scope == SYMBOL_NONE) ==
						 (row.scope == LINE_SCOPE_NONE);
		}
		symbols_release(world->symbols, module);
		assert_int_equal(symbols_settle(world->symbols, TIMEOUT_MS), 0);
	}
	print_message("# %u of %u lines of the stripped program came\n", found, wanted);
	assert_true(wanted > count / 2);
	assert_int_equal(found, wanted);
}

static void lines_are_those_that_go_gives(void **state)
{
	struct world *world = *state;

	if (!world->has_go)
		skip();
	compare_lines(world, "whole");
	compare_lines(world, "stripped");
}

static void a_go_program_has_the_names_that_go_gives(void **state)
{
	struct world *world = *state;

	if (!world->has_go) {
		print_message("# no go here\n");
		skip();
	}
	compare(world, "whole");
}

static void a_stripped_one_has_them_too(void **state)
{
	struct world *world = *state;

	if (!world->has_go)
		skip();
	compare(world, "stripped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_go_program_has_the_names_that_go_gives),
		cmocka_unit_test(a_stripped_one_has_them_too),
		cmocka_unit_test(lines_are_those_that_go_gives),
		cmocka_unit_test(a_stripped_program_shows_lines_once_they_were_asked_for),
		cmocka_unit_test(inlined_calls_are_those_of_the_debug_information),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

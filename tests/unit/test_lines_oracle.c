/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions, lines and inlined calls against those who know: at random addresses of real files,
 * what our symbol files say is compared with llvm-symbolizer, which is not libdw, and with
 * eu-addr2line, which is. Files are built here by several compilers in several ways, or are those
 * of this machine; the more of them with HEARTH_LONG=1.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "symbols/debug_folder.h"
#include "symbols/elf_file.h"
#include "symbols/symbol_maker.h"
#include "symbols/symbols.h"
#include "tests/support/script.h"
#include "tests/support/tier.h"

enum {
	ADDRESS_COUNT_LONG = 2000,
	ADDRESS_COUNT_SHORT = 200,
	DEPTH_MAX = 64,
	TEXT_MAX = 8192,
	PATH_SIZE = 512,
};

/* One address: frames from the innermost on. */
struct frame {
	char *function; /* mangled; "" when not known */
	char *file;	/* "" when not known */
	uint32_t line;
};

struct chain {
	struct frame frames[DEPTH_MAX];
	size_t count;
};

struct world {
	char root[64];
	struct symbol_folder *folder;
	struct symbol_maker *maker;
	size_t address_count;
	bool is_long;
	unsigned seed;
};

/* How one file did. */
struct score {
	size_t asked;
	size_t lined; /* we know a line */
	size_t functions;
	size_t lines;
	size_t chains;
	size_t wrong; /* another name than the one that both oracles give */
};

/* ---- what is built here ---- */

static const char source[] =
	"set -eu\n"
	"cd \"$1\"\n"
	"cat > plain.c <<'END'\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"static inline int square(int x) { return x * x; }\n"
	"static inline int cube(int x) {\n  int y = square(x);\n  return y * x; }\n"
	"static int compare(const void *a, const void *b) {\n"
	"  int x = cube(*(const int *)a), y = cube(*(const int *)b);\n"
	"  return x < y ? -1 : x > y; }\n"
	"__attribute__((noinline)) long sum(const int *v, int n) {\n  long s = 0;\n"
	"  for (int i = 0; i < n; i++)\n    if (v[i] & 1)\n      s += cube(v[i]);\n"
	"    else\n      s -= square(v[i]);\n  return s; }\n"
	"int main(int argc, char **argv) {\n  int n = argc * 100;\n  int *v = malloc(n * 4);\n"
	"  for (int i = 0; i < n; i++) v[i] = i * 7919 % 1000;\n  qsort(v, n, 4, compare);\n"
	"  printf(\"%ld %zu\\n\", sum(v, n), strlen(argv[0]));\n  free(v); }\n"
	"END\n"
	"cat > templates.cc <<'END'\n"
	"#include <algorithm>\n#include <map>\n#include <string>\n#include <vector>\n"
	"#include <memory>\n#include <cstdio>\n#include <functional>\n"
	"namespace { struct Point { double x, y; bool operator<(const Point &o) const {\n"
	"  return x < o.x || (x == o.x && y < o.y); } }; }\n"
	"template <class T> static T twice(T x) { return x + x; }\n"
	"template <class T, class F> __attribute__((noinline)) T fold(const std::vector<T> &v, F "
	"f) "
	"{\n"
	"  T s{};\n  for (const auto &x : v) s = f(s, twice(x));\n  return s; }\n"
	"struct Base { virtual ~Base() {} virtual int f(int) = 0; };\n"
	"struct Derived : Base { int f(int x) override { return twice(x) + 1; } };\n"
	"int main(int c, char **v) {\n  std::vector<int> a; std::map<std::string, Point> m;\n"
	"  for (int i = 0; i < c * 100; i++) { a.push_back(i * 7919 % 1000);\n"
	"    m[std::to_string(i)] = Point{double(i), 1.0 / (i + 1)}; }\n"
	"  std::sort(a.begin(), a.end(), std::greater<int>());\n"
	"  std::vector<Point> p; for (auto &e : m) p.push_back(e.second);\n"
	"  std::stable_sort(p.begin(), p.end());\n"
	"  std::unique_ptr<Base> b(new Derived);\n"
	"  std::function<int(int, int)> g = [&](int x, int y) { return x + b->f(y); };\n"
	"  std::printf(\"%d %d %f %s\\n\", fold(a, [](int x, int y) { return x ^ y; }), fold(a, "
	"g),\n"
	"    p[0].x, v[0]); }\n"
	"END\n"
	"gcc -O2 -g -gdwarf-5 -Wl,--build-id plain.c -o c-gcc-5\n"
	"gcc -O2 -g -gdwarf-4 -Wl,--build-id plain.c -o c-gcc-4\n"
	"gcc -O3 -g -gdwarf-2 -gstrict-dwarf -Wl,--build-id plain.c -o c-gcc-2\n"
	"gcc -O2 -g -gdwarf-3 -Wl,--build-id -static plain.c -o c-gcc-3-static\n"
	"clang -O2 -g -gdwarf-5 -Wl,--build-id plain.c -o c-clang-5\n"
	"clang -O2 -g -gdwarf-4 -Wl,--build-id plain.c -o c-clang-4\n"
	"g++ -O2 -g -gdwarf-5 -Wl,--build-id templates.cc -o cc-gcc-5\n"
	"g++ -O2 -g -gdwarf-4 -Wl,--build-id templates.cc -o cc-gcc-4\n"
	"g++ -O0 -g -gdwarf-5 -Wl,--build-id templates.cc -o cc-gcc-5-O0\n"
	"g++ -O2 -g -flto -Wl,--build-id templates.cc -o cc-gcc-lto\n"
	"clang++ -O2 -g -gdwarf-5 -Wl,--build-id templates.cc -o cc-clang-5\n"
	"g++ -O2 -g -ffunction-sections -Wl,--gc-sections,--build-id templates.cc -o "
	"cc-gcc-sections\n"
	"g++ -O2 -g -gz=zlib -Wl,--build-id templates.cc -o cc-gcc-zlib\n"
	"g++ -O2 -g -gdwarf-4 -gz=zlib-gnu -Wl,--build-id templates.cc -o cc-gcc-zlib-gnu || true\n"
	"if command -v dwz > /dev/null; then cp cc-gcc-4 cc-dwz; dwz cc-dwz;\n"
	"  g++ -O2 -g -gdwarf-4 -DOTHER -Wl,--build-id -fPIE templates.cc -o cc-dwz-shared\n"
	"  cp cc-gcc-4 other; mkdir -p debug/.dwz\n"
	"  dwz -m debug/.dwz/shared.debug -M ../.dwz/shared.debug cc-dwz-shared other; fi\n"
	"for c in gcc clang; do for v in 4 5; do d=split-$c-$v.o; mkdir $d\n"
	"  x=g++; [ $c = gcc ] || x=clang++; o=\"-O2 -g -gdwarf-$v -gsplit-dwarf\"\n"
	"  (cd $d && $c $o -Dmain=other -ffunction-sections -c ../plain.c &&\n"
	"    $x $o -c ../templates.cc)\n"
	"  $x $d/plain.o $d/templates.o -Wl,--build-id -o split-$c-$v; done; done\n"
	"p=package; cp split-gcc-4 $p-gcc-4; cp split-clang-4 $p-clang-4; cp split-clang-5 "
	"$p-clang-5\n"
	"if command -v llvm-dwp > /dev/null; then for x in gcc-4 clang-4 clang-5; do\n"
	"  d=llvm-dwp; [ $x != gcc-4 ] || d=dwp\n"
	"  (cd split-$x.o && $d plain.dwo templates.dwo -o ../$p-$x.dwp); done; fi\n"
	"objcopy --only-keep-debug cc-gcc-5 away.debug\n"
	"id=$(readelf -n cc-gcc-5 | awk '/Build ID/ { print $3 }')\n"
	"mkdir -p debug/.build-id/$(echo $id | cut -c1-2)\n"
	"cp away.debug debug/.build-id/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-).debug\n"
	"cp cc-gcc-5 cc-gcc-away && strip cc-gcc-away\n"
	"for d in /usr/lib/debug/.build-id/*; do\n"
	"  [ ! -d $d ] || [ -e debug/.build-id/${d##*/} ] || ln -s $d debug/.build-id/; done\n"
	"if command -v rustc > /dev/null; then cat > r.rs <<'END'\n"
	"use std::collections::HashMap;\n"
	"fn main() {\n    let n = std::env::args().count() * 1000;\n"
	"    let mut m: HashMap<String, usize> = HashMap::new();\n"
	"    for i in 0..n { *m.entry((i % 97).to_string()).or_insert(0) += i; }\n"
	"    let mut v: Vec<_> = m.iter().map(|(k, x)| (k.len(), *x)).collect();\n"
	"    v.sort_by(|a, b| b.cmp(a));\n    println!(\"{:?}\", &v[..3]);\n}\n"
	"END\n"
	"rustc -O -g r.rs -o rust; fi\n";

/* ---- chains ---- */

static void chain_done(struct chain *chain)
{
	for (size_t i = 0; i < chain->count; i++) {
		free(chain->frames[i].function);
		free(chain->frames[i].file);
	}
	chain->count = 0;
}

/* "/a/./b/../c" is "/a/c"; "??" is nothing. */
static char *clean_path(const char *path, size_t size)
{
	char *clean = calloc(1, size + 2);
	size_t length = 0;
	struct str rest = { path, size };
	struct str part;

	assert_non_null(clean);
	if (size == 2 && memcmp(path, "??", 2) == 0)
		return clean;
	while (parse_next(&rest, '/', &part)) {
		if (part.size == 0 || str_equal(part, STR(".")))
			continue;
		if (str_equal(part, STR("..")) && length > 0) {
			while (length > 0 && clean[--length] != '/')
				;
			clean[length] = '\0';
			continue;
		}
		clean[length++] = '/';
		memcpy(clean + length, part.text, part.size);
		length += part.size;
		clean[length] = '\0';
	}
	return clean;
}

static void add_frame(struct chain *chain, struct str function, struct str file, uint32_t line)
{
	if (chain->count == DEPTH_MAX)
		return;

	struct frame *frame = &chain->frames[chain->count++];

	if (str_equal(function, STR("??")))
		function = STR("");
	frame->function = strndup(function.text ? function.text : "", function.size);
	frame->file = line > 0 ? clean_path(file.text, file.size) : strdup("");
	frame->line = line;
	assert_non_null(frame->function);
}

/* "file:12:3" or "file:12", maybe with words behind it. */
static void add_text_frame(struct chain *chain, struct str function, char *place)
{
	uint64_t numbers[2] = { 0, 0 };
	size_t count = 0;

	place[strcspn(place, "\n")] = '\0';

	char *note = strstr(place, " (");

	if (note)
		*note = '\0';
	for (char *colon = strrchr(place, ':'); colon && count < 2; colon = strrchr(place, ':')) {
		if (parse_u64(str_from(colon + 1), &numbers[count]) && strcmp(colon + 1, "?") != 0)
			break;
		count++;
		*colon = '\0';
	}
	add_frame(chain, function, str_from(place), (uint32_t)(count > 0 ? numbers[count - 1] : 0));
}

/* ---- the oracles ---- */

/* Runs one over all addresses; its answers are pairs of lines after a line of the address. */
static void ask(const struct world *world, const char *command, const uint64_t *addresses,
		size_t count, struct chain *chains)
{
	char path[128];
	char text[PATH_SIZE + 512];
	static char name[TEXT_MAX];
	static char place[TEXT_MAX];
	struct chain *chain = NULL;
	size_t next = 0;

	snprintf(path, sizeof(path), "%s/addresses", world->root);

	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < count; i++)
		fprintf(file, "0x%llx\n", (unsigned long long)addresses[i]);
	fclose(file);
	snprintf(text, sizeof(text), "%s < %s 2>/dev/null", command, path);
	file = popen(text, "r");
	assert_non_null(file);
	while (fgets(name, sizeof(name), file)) {
		if (name[0] == '0' && name[1] == 'x') {
			chain = next < count ? &chains[next++] : NULL;
			continue;
		}
		if (name[0] == '\n' || !chain || !fgets(place, sizeof(place), file))
			continue;

		char *note = strstr(name, " inlined at ");

		name[note ? (size_t)(note - name) : strcspn(name, "\n")] = '\0';
		add_text_frame(chain, str_from(name), place);
	}
	/* Either complains by its code about what it does not know. */
	(void)pclose(file);
	assert_int_equal(next, count);
}

/* ---- ours ---- */

static void ask_ours(const struct symbol_file *file, uint64_t vaddr, uint64_t offset,
		     struct chain *chain)
{
	const struct line_rows *lines = symbol_file_lines(file);
	uint32_t function = symbol_file_find(file, offset);
	struct str name = function == SYMBOL_NONE ? STR("") : symbol_file_name(file, function);
	struct line_row row = { .scope = LINE_SCOPE_NONE };

	if (!line_rows_find(lines, vaddr, &row)) {
		add_frame(chain, name, STR(""), 0);
		return;
	}
	while (row.scope != LINE_SCOPE_NONE) {
		const struct line_scope *scope = &lines->scopes[row.scope];

		add_frame(chain, line_rows_text(lines, scope->function),
			  line_rows_text(lines, row.file), row.line);
		row = (struct line_row){ .scope = scope->parent,
					 .file = scope->call_file,
					 .line = scope->call_line };
	}
	add_frame(chain, name, line_rows_text(lines, row.file), row.line);
}

/* ---- comparing ---- */

/* Names of one address, as the symbol table has them. */
struct aliases {
	char **names;
	uint64_t *starts;
	size_t count;
};

static void read_aliases(const struct world *world, const char *path, struct aliases *aliases)
{
	char command[2 * PATH_SIZE];
	static char text[TEXT_MAX];

	snprintf(command, sizeof(command),
		 "(nm %s; nm -D %s; nm %s/debug/.build-id/$(readelf -n %s | sed -n "
		 "'s|.*Build ID: ..|&/|; s|.*Build ID: ||p').debug) 2>/dev/null",
		 path, path, world->root, path);

	FILE *file = popen(command, "r");

	assert_non_null(file);
	while (fgets(text, sizeof(text), file)) {
		uint64_t start;

		text[strcspn(text, "\n")] = '\0';
		if (strlen(text) < 20 || parse_hex((struct str){ text, 16 }, &start))
			continue;
		aliases->names = realloc(aliases->names, (aliases->count + 1) * sizeof(char *));
		aliases->starts = realloc(aliases->starts, (aliases->count + 1) * sizeof(uint64_t));
		aliases->names[aliases->count] = strdup(text + 19);
		aliases->starts[aliases->count++] = start;
	}
	pclose(file);
}

static void aliases_done(struct aliases *aliases)
{
	for (size_t i = 0; i < aliases->count; i++)
		free(aliases->names[i]);
	free(aliases->names);
	free(aliases->starts);
}

/* Without what compilers and tables put behind a name: "f.isra.0", "f@plt", "f@@GLIBC_2.2". */
static struct str stem(const char *name)
{
	size_t size = strcspn(name, "@");
	const char *dot = name[0] == '.' ? NULL : memchr(name, '.', size);

	return (struct str){ name, dot ? (size_t)(dot - name) : size };
}

/* A constructor and a destructor have several names for one code: C1, C2, C4, D0, D1, D2. */
static bool same_but_for_variant(struct str a, struct str b)
{
	if (a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++)
		if (a.text[i] != b.text[i] &&
		    !(i > 0 && strchr("CD", a.text[i - 1]) && a.text[i - 1] == b.text[i - 1] &&
		      strchr("012345", a.text[i]) && strchr("012345", b.text[i])))
			return false;
	return true;
}

/* Stubs of the PLT have no symbol: the oracles take the nearest, or none. */
static bool is_stub(const char *name)
{
	return str_ends_with(str_from(name), STR("@plt"));
}

/*
 * gcc gives no mangled name to what has types without a name to the outside; a stripped file's
 * oracles then know "__merge_adaptive<…>", where the symbol table of its debug file has all of it.
 */
static bool is_short_for(const char *ours, const char *theirs)
{
	char text[DEMANGLE_TEXT_SIZE_MAX];
	size_t size = strncmp(theirs, "operator", 8) == 0 ? strlen(theirs) : strcspn(theirs, "<");
	struct str full = { ours, strcspn(ours, "@") };

	if (size == 0 || strncmp(ours, "_Z", 2) != 0 || strncmp(theirs, "_Z", 2) == 0)
		return false;
	full = demangle(full, text);
	for (size_t i = 0; i + size < full.size; i++)
		if (memcmp(full.text + i, theirs, size) == 0 && strchr("<([ ", full.text[i + size]))
			return true;
	return false;
}

static bool same_function(const struct aliases *aliases, const char *ours, const char *theirs)
{
	if (is_stub(ours) && (theirs[0] == '\0' || strcmp(theirs, "_init") == 0))
		return true;
	if (same_but_for_variant(stem(ours), stem(theirs)) || is_short_for(ours, theirs))
		return true;
	for (size_t i = 0; i < aliases->count; i++) {
		if (!same_but_for_variant(stem(aliases->names[i]), stem(ours)))
			continue;
		for (size_t n = 0; n < aliases->count; n++)
			if (aliases->starts[n] == aliases->starts[i] &&
			    same_but_for_variant(stem(aliases->names[n]), stem(theirs)))
				return true;
	}
	return false;
}

/*
 * Both oracles put a relative folder of the compiler before itself: "stdlib/stdlib/msort.c", where
 * glibc has "stdlib/msort.c".
 */
static bool is_doubled(const char *ours, const char *theirs)
{
	size_t size = strlen(ours);
	size_t more = strlen(theirs) > size ? strlen(theirs) - size : 0;

	return more > 0 && strcmp(theirs + more, ours) == 0 && strncmp(ours, theirs, more) == 0 &&
	       ours[more] == '/';
}

static bool same_place(const struct frame *ours, const struct frame *theirs)
{
	return ours->line == theirs->line &&
	       (strcmp(ours->file, theirs->file) == 0 || is_doubled(ours->file, theirs->file));
}

static bool same_chain(const struct aliases *aliases, const struct chain *ours,
		       const struct chain *theirs)
{
	if (ours->count != theirs->count)
		return false;
	/* Where there is no DWARF and a stripped file's own symbols are gone, llvm-symbolizer knows
	 * nothing; eu-addr2line takes the line that came before. */
	if (theirs->count == 1 && theirs->frames[0].function[0] == '\0')
		return ours->count == 1 && ours->frames[0].line == 0 && theirs->frames[0].line == 0;
	for (size_t i = 0; i < ours->count; i++)
		if (!same_place(&ours->frames[i], &theirs->frames[i]) ||
		    !same_function(aliases, ours->frames[i].function, theirs->frames[i].function))
			return false;
	return true;
}

static void print_chain(const char *who, const struct chain *chain)
{
	for (size_t i = 0; i < chain->count; i++)
		print_message("    %s %s %s:%u\n", i == 0 ? who : "     ",
			      chain->frames[i].function, chain->frames[i].file,
			      chain->frames[i].line);
}

static bool is_told(void)
{
	return getenv("HEARTH_TELL") != NULL;
}

static void compare(const struct aliases *aliases, const struct chain *ours,
		    const struct chain *llvm, const struct chain *elfutils, uint64_t address,
		    struct score *score)
{
	const struct chain *theirs[] = { llvm, elfutils };
	bool functions = false;
	bool lines = false;
	bool chains = false;

	for (size_t i = 0; i < 2; i++) {
		if (theirs[i]->count == 0)
			continue;
		functions |= same_function(aliases, ours->frames[0].function,
					   theirs[i]->frames[0].function);
		lines |= same_place(&ours->frames[0], &theirs[i]->frames[0]);
		chains |= same_chain(aliases, ours, theirs[i]);
	}
	score->asked++;
	score->lined += ours->frames[0].line > 0;
	score->functions += functions;
	score->lines += lines;
	score->chains += chains;
	if (!functions && llvm->count > 0 && elfutils->count > 0 && ours->frames[0].function[0] &&
	    same_function(aliases, llvm->frames[0].function, elfutils->frames[0].function))
		score->wrong++;
	if (is_told() && !(functions && lines && chains)) {
		print_message("  %llx%s%s%s\n", (unsigned long long)address,
			      functions ? "" : " FUNCTION", lines ? "" : " LINE",
			      chains ? "" : " CHAIN");
		print_chain("ours ", ours);
		print_chain("llvm ", llvm);
		print_chain("elfut", elfutils);
	}
}

/* ---- one file ---- */

/* Addresses of code in functions, any as likely as the other. */
static void pick(struct world *world, const struct symbol_file *file, uint64_t *vaddrs,
		 uint64_t *offsets)
{
	struct symbol_table table;
	size_t segment_count;
	const struct elf_segment *segments = symbol_file_segments(file, &segment_count);
	uint64_t size = 0;

	symbol_file_table(file, &table);
	for (uint32_t i = 0; i < table.count; i++)
		size += table.sizes[i];
	assert_true(size > 0);
	for (size_t n = 0; n < world->address_count; n++) {
		uint64_t at =
			((uint64_t)rand_r(&world->seed) << 31 ^ (uint64_t)rand_r(&world->seed)) %
			size;
		uint32_t i = 0;

		while (at >= table.sizes[i])
			at -= table.sizes[i++];
		vaddrs[n] = table.base + table.starts[i] + at;
		offsets[n] = UINT64_MAX;
		for (size_t s = 0; s < segment_count; s++)
			if (vaddrs[n] - segments[s].vaddr < segments[s].size)
				offsets[n] = vaddrs[n] - segments[s].vaddr + segments[s].offset;
		if (offsets[n] == UINT64_MAX)
			n--;
	}
}

static int make_symbols(struct world *world, const char *path, struct symbol_file **ret)
{
	struct identity go, identity;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = fd < 0 ? -errno : elf_file_open(fd, &elf);

	if (err)
		return err;
	identity = elf_file_build_id(elf);
	if (identity.kind == IDENTITY_NONE) {
		identity = (struct identity){ .kind = IDENTITY_INODE, .size = 40 };
		memcpy(identity.bytes,
		       path + strlen(path) - (strlen(path) < 40 ? strlen(path) : 40),
		       strlen(path) < 40 ? strlen(path) : 40);
	}
	err = symbol_maker_elf(world->maker, fd, &identity, &identity, &go);
	return err ? err : symbol_folder_read(world->folder, &identity, ret);
}

static void ask_for_lines(struct world *world, const char *path, const uint64_t *offsets,
			  struct symbol_file **file)
{
	struct identity identity = symbol_file_header(*file)->identity;
	uint32_t sources = symbol_file_header(*file)->sources;
	autoclose int fd = -1;

	if (sources & SYMBOL_FILE_LINES_IN_ELF)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	else if (!(sources & SYMBOL_FILE_LINES_IN_DEBUG_FILE))
		return;
	assert_int_equal(
		symbol_maker_lines(world->maker, &identity, fd, offsets, world->address_count), 0);
	*file = symbol_file_close(*file);
	assert_int_equal(symbol_folder_read(world->folder, &identity, file), 0);
}

static double percent(size_t part, size_t whole)
{
	return 100.0 * (double)part / (double)whole;
}

static void check_file(struct world *world, const char *path, bool has_lines)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autofree uint64_t *vaddrs = calloc(world->address_count, sizeof(uint64_t));
	autofree uint64_t *offsets = calloc(world->address_count, sizeof(uint64_t));
	autofree struct chain *llvm = calloc(world->address_count, sizeof(struct chain));
	autofree struct chain *elfutils = calloc(world->address_count, sizeof(struct chain));
	struct aliases aliases = { 0 };
	struct score score = { 0 };
	char command[PATH_SIZE + 160];

	if (access(path, R_OK)) {
		print_message("%s: not on this machine\n", path);
		return;
	}

	int err = make_symbols(world, path, &file);

	if (err) {
		print_message("%s: %s\n", path, strerror(-err));
		assert_int_equal(err, -ENODATA);
		return;
	}
	pick(world, file, vaddrs, offsets);
	ask_for_lines(world, path, offsets, &file);
	snprintf(command, sizeof(command),
		 "llvm-symbolizer --obj=%s --debug-file-directory=%s/debug -a -i -f=linkage "
		 "--no-demangle",
		 path, world->root);
	ask(world, command, vaddrs, world->address_count, llvm);
	snprintf(command, sizeof(command),
		 "eu-addr2line -a -f -i -e %s --debuginfo-path=%s/debug:/usr/lib/debug", path,
		 world->root);
	ask(world, command, vaddrs, world->address_count, elfutils);
	read_aliases(world, path, &aliases);
	for (size_t i = 0; i < world->address_count; i++) {
		struct chain ours = { 0 };

		ask_ours(file, vaddrs[i], offsets[i], &ours);
		compare(&aliases, &ours, &llvm[i], &elfutils[i], vaddrs[i], &score);
		chain_done(&ours);
		chain_done(&llvm[i]);
		chain_done(&elfutils[i]);
	}
	aliases_done(&aliases);
	print_message("%-40s %5zu asked, %5.1f%% with lines; functions %6.2f%%, lines %6.2f%%, "
		      "chains %6.2f%%, wrong %zu\n",
		      strrchr(path, '/') + 1, score.asked, percent(score.lined, score.asked),
		      percent(score.functions, score.asked), percent(score.lines, score.asked),
		      percent(score.chains, score.asked), score.wrong);
	assert_int_equal(score.wrong, 0);
	assert_true(score.functions * 1000 >= score.asked * 999);
	assert_true(score.lines * 1000 >= score.asked * 995);
	assert_true(score.chains * 100 >= score.asked * 99);
	if (has_lines)
		assert_true(score.lined * 10 > score.asked);
}

/* ---- the tests ---- */

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	char path[128];
	static char folders[160];

	world->is_long = tier_is_long();
	world->address_count = world->is_long ? ADDRESS_COUNT_LONG : ADDRESS_COUNT_SHORT;
	world->seed = (unsigned)tier_seed();
	snprintf(world->root, sizeof(world->root), "/tmp/hearth-test-XXXXXX");
	if (!mkdtemp(world->root) || script_run(world->root, "make.sh", source, ""))
		return -1;
	snprintf(path, sizeof(path), "%s/symbols", world->root);
	snprintf(folders, sizeof(folders), "%s/debug:" DEBUG_FOLDERS_DEFAULT, world->root);
	if (symbol_folder_open(path, 256 << 20, &world->folder) ||
	    symbol_maker_new(world->folder, folders, &world->maker))
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
	snprintf(command, sizeof(command), "rm -rf %s", world->root);

	int code = getenv("HEARTH_KEEP") ? 0 : system(command);

	free(world);
	return code;
}

static void programs_of_several_compilers(void **state)
{
	static const char *const names[] = {
		"c-gcc-5",	   "cc-gcc-4",	      "cc-clang-5", "cc-gcc-zlib",
		"cc-gcc-away",	   "cc-dwz",	      "rust",	    "c-gcc-2",
		"c-gcc-4",	   "c-gcc-3-static",  "c-clang-5",  "c-clang-4",
		"cc-gcc-5",	   "cc-gcc-5-O0",     "cc-gcc-lto", "cc-dwz-shared",
		"cc-gcc-sections", "cc-gcc-zlib-gnu",
	};
	struct world *world = *state;
	size_t count = world->is_long ? sizeof(names) / sizeof(names[0]) : 7;
	char path[128];

	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", world->root, names[i]);
		/* The C library in a static program has no lines of its own. */
		check_file(world, path, !strstr(names[i], "static"));
	}
}

/* Half of it in .dwo files, which only libdw opens by itself. */
static void programs_of_split_dwarf(void **state)
{
	static const char *const names[] = { "split-gcc-4", "split-gcc-5", "split-clang-4",
					     "split-clang-5" };
	struct world *world = *state;
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", world->root, names[i]);
		check_file(world, path, true);
	}
}

/* The same in packages: what lies where it was built is not there any more. */
static void packages_of_split_dwarf(void **state)
{
	static const char *const names[] = { "package-gcc-4", "package-clang-4",
					     "package-clang-5" };
	struct world *world = *state;
	char path[128];

	snprintf(path, sizeof(path), "rm %s/split-*.o/*.dwo", world->root);
	assert_int_equal(system(path), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s.dwp", world->root, names[i]);
		if (access(path, R_OK)) {
			print_message("nobody here makes %s.dwp\n", names[i]);
			continue;
		}
		*strrchr(path, '.') = '\0';
		check_file(world, path, true);
	}
}

static void files_of_this_machine(void **state)
{
	static const char *const paths[] = {
		"/lib/x86_64-linux-gnu/libc.so.6",
		"/proc/self/exe",
		"/lib/x86_64-linux-gnu/libm.so.6",
		"/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
		"/usr/bin/python3.11",
		"/usr/lib/x86_64-linux-gnu/libsqlite3.so.0",
		"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		"/usr/lib/x86_64-linux-gnu/libzstd.so.1",
		"/usr/lib/x86_64-linux-gnu/libdw.so.1",
		"/usr/bin/perl",
		"/usr/bin/git",
		"/usr/bin/bash",
	};
	struct world *world = *state;
	size_t count = world->is_long ? sizeof(paths) / sizeof(paths[0]) : 2;
	char real[PATH_SIZE];

	for (size_t i = 0; i < count; i++) {
		ssize_t size = readlink(paths[i], real, sizeof(real) - 1);
		bool is_self = strcmp(paths[i], "/proc/self/exe") == 0;

		if (is_self && size > 0)
			real[size] = '\0';
		check_file(world, is_self ? real : paths[i], is_self);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_of_several_compilers),
		cmocka_unit_test(programs_of_split_dwarf),
		cmocka_unit_test(packages_of_split_dwarf),
		cmocka_unit_test(files_of_this_machine),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

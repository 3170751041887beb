/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of this machine's files, as the server makes them, each in a cell: how long, how much
 * memory, how large on disk, and how long one name then takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "symbols/debug_folder.h"
#include "symbols/elf_file.h"
#include "symbols/symbol_maker.h"
#include "symbols/symbols.h"

enum {
	RUN_COUNT = 5,
	MODULE_COUNT = 300,
	LOOKUP_COUNT = 2000000,
	LINE_OFFSET_COUNT = 200,
	WAIT_MS = 60000,
};

static void print_figure(const char *what, double value, double bar, const char *unit)
{
	printf("%-66s %10.2f %s (bar %g)%s\n", what, value, unit, bar, value > bar ? "  OVER" : "");
}

/* CPU time of this program: others share the machine. */
static uint64_t own_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * (uint64_t)CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

struct bench {
	char root[64];
	struct symbol_folder *folder;
	struct symbol_maker *maker;
	uint64_t symbols;
	uint64_t bytes; /* without the names */
};

static int identify(int fd, struct identity *ret)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = elf_file_open(fd, &elf);

	if (!err)
		*ret = elf_file_build_id(elf);
	return err ? err : ret->kind == IDENTITY_NONE ? -ENOENT : 0;
}

static void count_file(struct bench *bench, const struct symbol_file *file)
{
	struct symbol_table table;

	symbol_file_table(file, &table);
	bench->symbols += table.count;
	bench->bytes += sizeof(struct symbol_file_header) +
			table.count * (3 + (table.nested > 0)) * sizeof(uint32_t);
}

/* The best of some runs, since others share the machine; the file is made anew each time. */
static void time_index(struct bench *bench, const char *name, const char *path, double bar_ms)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct identity identity, go;
	uint64_t best_ns = UINT64_MAX;
	char what[128];

	if (fd < 0 || identify(fd, &identity)) {
		printf("%s: not on this machine\n", path);
		return;
	}
	for (int i = 0; i < RUN_COUNT; i++) {
		symbol_folder_remove(bench->folder, &identity);

		uint64_t start_ns = symbol_maker_stats(bench->maker).cpu_ns;
		int err = symbol_maker_elf(bench->maker, fd, &identity, &identity, &go);
		uint64_t ns = symbol_maker_stats(bench->maker).cpu_ns - start_ns;

		if (err) {
			printf("%s: %s\n", path, strerror(-err));
			return;
		}
		best_ns = ns < best_ns ? ns : best_ns;
	}

	autoclean(symbol_file) struct symbol_file *file = NULL;

	if (symbol_folder_read(bench->folder, &identity, &file))
		return;
	count_file(bench, file);
	snprintf(what, sizeof(what), "index of %s, %u functions, CPU of a cell", name,
		 symbol_file_header(file)->function_count);
	print_figure(what, (double)best_ns / 1e6, bar_ms, "ms");
}

static void time_lookups(struct bench *bench, const char *path)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct identity identity;
	size_t segment_count;
	unsigned seed = 1;
	uint64_t sum = 0;

	if (fd < 0 || identify(fd, &identity) ||
	    symbol_folder_read(bench->folder, &identity, &file))
		return;

	const struct elf_segment *segment = symbol_file_segments(file, &segment_count);
	uint64_t start_ns = own_ns();

	for (int i = 0; i < LOOKUP_COUNT; i++) {
		uint64_t offset = segment->offset + (uint64_t)rand_r(&seed) % segment->size;
		uint32_t function = symbol_file_find(file, offset);

		sum += function == SYMBOL_NONE ? 0 : symbol_file_name(file, function).size;
	}

	double ns = (double)(own_ns() - start_ns) / LOOKUP_COUNT;

	if (sum == 0)
		return;
	print_figure("a name of libLLVM, warm, at random addresses", ns, 1000, "ns");
}

/* Lines of a file with DWARF: this program. */
static void time_lines(struct bench *bench)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct identity go, identity = { .kind = IDENTITY_INODE, .size = 40, .bytes = { 1 } };
	uint64_t offsets[LINE_OFFSET_COUNT];
	struct symbol_table table;
	unsigned seed = 1;
	uint64_t sum = 0;

	if (symbol_maker_elf(bench->maker, fd, &identity, &identity, &go) ||
	    symbol_folder_read(bench->folder, &identity, &file))
		return;
	symbol_file_table(file, &table);
	for (uint32_t i = 0; i < LINE_OFFSET_COUNT; i++)
		offsets[i] = symbol_file_start(file, i * table.count / LINE_OFFSET_COUNT);

	uint64_t start_ns = symbol_maker_stats(bench->maker).cpu_ns;
	int err = symbol_maker_lines(bench->maker, &identity, fd, offsets, LINE_OFFSET_COUNT);
	uint64_t ns = symbol_maker_stats(bench->maker).cpu_ns - start_ns;

	file = symbol_file_close(file);
	if (err || symbol_folder_read(bench->folder, &identity, &file))
		return;

	const struct line_rows *lines = symbol_file_lines(file);
	size_t row_count = 0;

	for (size_t i = 0; i < lines->block_count; i++) {
		struct line_row rows[LINE_BLOCK_ROW_COUNT];

		row_count += line_rows_block(lines, i, rows);
	}
	printf("%-66s %10.2f ms\n", "lines of 200 functions of this program", (double)ns / 1e6);
	printf("%-66s %10.2f B\n", "a row of them, scopes and texts not counted",
	       (double)(lines->size + lines->block_count * sizeof(struct line_block)) /
		       (double)row_count);
	start_ns = own_ns();
	for (int i = 0; i < LOOKUP_COUNT; i++) {
		uint32_t function = (uint32_t)rand_r(&seed) % table.count;
		struct line_row row;

		symbol_file_table(file, &table);
		if (line_rows_find(lines, table.base + table.starts[function] + 1, &row))
			sum += row.line;
	}
	if (sum > 0)
		print_figure("a line, warm, at random addresses",
			     (double)(own_ns() - start_ns) / LOOKUP_COUNT, 1000, "ns");
}

/* Right after a start: so many modules are brought at once. */
static int time_modules(const char *root)
{
	char lib[] = "/usr/lib";
	char bin[] = "/usr/bin";
	char *const folders[] = { lib, bin, NULL };
	char path[96];
	struct symbols *symbols = NULL;
	unsigned count = 0;

	snprintf(path, sizeof(path), "%s/modules", root);

	int err = symbols_open(path, DEBUG_FOLDERS_DEFAULT, &symbols);

	if (err)
		return err;

	FTS *tree = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;
	uint64_t start_ns = clock_monotonic_ns();

	while (tree && count < MODULE_COUNT && (entry = fts_read(tree))) {
		struct identity identity;

		if (entry->fts_info != FTS_F || entry->fts_statp->st_size < 16 << 10)
			continue;

		int fd = open(entry->fts_accpath, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || identify(fd, &identity) || !symbols_wants(symbols, &identity)) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		while (symbols_bring_file(symbols, &identity, dup(fd)) == -EAGAIN)
			(void)symbols_settle(symbols, WAIT_MS);
		close(fd);
		count++;
	}
	if (tree)
		fts_close(tree);
	err = symbols_settle(symbols, WAIT_MS);

	struct symbols_stats stats;

	symbols_stats(symbols, &stats);
	printf("%-66s %10.2f s\n", "300 modules: CPU of all cells", (double)stats.cpu_ns / 1e9);
	print_figure("names of 300 modules, brought right after the start",
		     (double)(clock_monotonic_ns() - start_ns) / 1e9, 2, "s");
	symbols_close(symbols);
	return err;
}

int main(void)
{
	static const char llvm[] = "/usr/lib/llvm-14/lib/libLLVM-14.so.1";
	struct bench bench = { .root = "/tmp/hearth-bench-XXXXXX" };
	char path[96];
	char command[128];

	if (!mkdtemp(bench.root))
		return 1;
	snprintf(path, sizeof(path), "%s/symbols", bench.root);
	if (symbol_folder_open(path, UINT64_C(256) << 20, &bench.folder) ||
	    symbol_maker_new(bench.folder, "", &bench.maker))
		return 1;
	time_index(&bench, "libc", "/lib/x86_64-linux-gnu/libc.so.6", 20);
	time_index(&bench, "node", "/usr/bin/node", 500);
	time_index(&bench, "libLLVM", llvm, 1500);
	print_figure("the largest cell, resident",
		     (double)symbol_maker_stats(bench.maker).peak / (1 << 20), 150, "MiB");
	print_figure("on disk, a symbol, without its name",
		     (double)bench.bytes / (double)bench.symbols, 24, "B");
	time_lookups(&bench, llvm);
	time_lines(&bench);
	symbol_maker_free(bench.maker);
	symbol_folder_close(bench.folder);

	int err = time_modules(bench.root);

	snprintf(command, sizeof(command), "rm -rf %s", bench.root);
	return system(command) || err;
}

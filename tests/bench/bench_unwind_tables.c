/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind tables of this machine's ELF files: how long they take to make, and how large they are.
 * The bars: libc in 5 ms, libLLVM in 150, and 4.5 bytes a row, index included, over all files.
 *
 * bench_unwind_tables [-v] [FILE…]; without files, all ELF files below /usr, /opt and /root.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/unwind_table.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_maker.h"

struct totals {
	uint64_t files, tables, without, failed;
	uint64_t rows, functions, bytes, index_bytes, pages, blocks;
	uint64_t unsupported, overlaps, refused, rules;
	uint64_t ns;
};

static bool is_verbose;

static int make_table(int fd, struct buf *buf)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = elf_file_open(fd, &elf);

	if (err)
		return err;

	struct identity identity = elf_file_build_id(elf);

	return unwind_maker_make(elf, NULL, &identity, buf);
}

static void count_table(const struct unwind_table *table, struct totals *totals)
{
	const struct unwind_table_header *header = table->header;

	totals->tables++;
	totals->rows += header->row_count;
	totals->functions += header->function_count;
	/* What lies in the kernel: lines and page words; rules are shared between files. */
	totals->bytes += (uint64_t)header->line_count * UNWIND_LINE_SIZE +
			 header->page_count * sizeof(uint32_t);
	totals->pages += header->page_count;
	for (uint32_t i = 0; i < header->page_count; i++) {
		totals->blocks += table->pages[i] != 0;
		if (table->pages[i] & UNWIND_PAGE_HAS_INDEX)
			totals->index_bytes += UNWIND_INDEX_SIZE;
	}
	totals->unsupported += header->unsupported_count;
	totals->overlaps += header->overlap_count;
	totals->refused += header->refused_count;
	totals->rules += header->rule_count;
}

static void do_file(const char *path, struct totals *totals)
{
	autoclean(buf) struct buf buf = BUF(64 << 20);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t start_ns = clock_monotonic_ns();
	int err = fd < 0 ? -errno : make_table(fd, &buf);
	uint64_t ns = clock_monotonic_ns() - start_ns;
	struct unwind_table table;

	if (err == -ENOEXEC || err == -ENOTSUP)
		return;
	totals->files++;
	if (!err)
		err = unwind_table_check(buf.bytes, buf.size, &table);
	if (err == -ENODATA)
		totals->without++;
	else if (err)
		totals->failed++;
	if (err && is_verbose)
		printf("%s: %s\n", path, strerror(-err));
	if (err)
		return;
	totals->ns += ns;
	count_table(&table, totals);
	if (is_verbose)
		printf("%7.1f ms %8u rows %7u functions %5u rules %4u unsupported %4u overlaps "
		       "%4u refused sources %x %s\n",
		       (double)ns / 1e6, table.header->row_count, table.header->function_count,
		       table.header->rule_count, table.header->unsupported_count,
		       table.header->overlap_count, table.header->refused_count,
		       table.header->sources, path);
}

static void do_tree(char *const *roots, struct totals *totals)
{
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	while (tree && (entry = fts_read(tree)))
		if (entry->fts_info == FTS_F && entry->fts_statp->st_size > 4096)
			do_file(entry->fts_accpath, totals);
	if (tree)
		fts_close(tree);
}

/* The best of some runs: others share the machine. */
static void time_file(const char *name, const char *path)
{
	uint64_t best_ns = UINT64_MAX;
	struct totals totals = { .files = 0 };

	for (unsigned i = 0; i < 7; i++) {
		totals = (struct totals){ .files = 0 };
		do_file(path, &totals);
		if (totals.ns < best_ns)
			best_ns = totals.ns;
	}
	if (totals.tables)
		printf("%-28s %8.1f ms, %lu rows, %.2f bytes a row\n", name, (double)best_ns / 1e6,
		       totals.rows, (double)totals.bytes / (double)totals.rows);
}

int main(int argc, char **argv)
{
	static char usr[] = "/usr", opt[] = "/opt", root[] = "/root";
	static char *const everywhere[] = { usr, opt, root, NULL };
	struct totals totals = { .files = 0 };
	int first = 1;

	if (argc > 1 && strcmp(argv[1], "-v") == 0) {
		is_verbose = true;
		first++;
	}
	if (argc > first) {
		for (int i = first; i < argc; i++)
			do_file(argv[i], &totals);
	} else {
		time_file("libc (bar: 5)", "/lib/x86_64-linux-gnu/libc.so.6");
		time_file("libLLVM (bar: 150)", "/lib/x86_64-linux-gnu/libLLVM-14.so.1");
		do_tree(everywhere, &totals);
	}
	if (!totals.rows)
		return 1;
	printf("ELF files                    %8lu, of which %lu say nothing of their frames, %lu "
	       "failed\n",
	       totals.files, totals.without, totals.failed);
	printf("functions, rows              %8lu, %lu; %lu unsupported, %lu overlaps, %lu "
	       "refused\n",
	       totals.functions, totals.rows, totals.unsupported, totals.overlaps, totals.refused);
	printf("bytes a row (bar: 4.5)       %8.2f (%lu MB, %lu MB of it index; %lu blocks in %lu "
	       "pages)\n",
	       (double)totals.bytes / (double)totals.rows, totals.bytes / 1000000,
	       totals.index_bytes / 1000000, totals.blocks, totals.pages);
	printf("rows made a second           %8.1f M\n",
	       (double)totals.rows * 1e3 / (double)totals.ns);
	return 0;
}

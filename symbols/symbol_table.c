/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_CANDIDATE_COUNT = 1024,
	UNDERSCORE_COUNT_MAX = 15,
	/* So much of two names decides about their order; hostile files have millions of long ones.
	 */
	NAME_ORDER_SIZE_MAX = 64,
};

struct symbol_candidate {
	uint64_t start;
	uint64_t size;
	uint64_t end_max;
	const char *name;
	uint32_t name_size_max;
	uint32_t rank : 31; /* the lower is preferred */
	uint32_t stub : 1;
};
static_assert(sizeof(struct symbol_candidate) == 40, "SYMBOL_COUNT_MAX counts with it");

void symbol_table_init(struct symbol_table *table)
{
	*table = (struct symbol_table){ .names = BUF(SYMBOL_NAMES_SIZE_MAX) };
}

void symbol_table_done(struct symbol_table *table)
{
	free(table->candidates);
	free(table->starts);
	free(table->sizes);
	free(table->parents);
	free(table->name_offsets);
	buf_done(&table->names);
	symbol_table_init(table);
}

static uint32_t underscore_count(const char *name, size_t size)
{
	uint32_t count = 0;

	if (size >= 2 && name[0] == '_' && (name[1] == 'Z' || name[1] == 'R'))
		return 0;
	while (count < size && count < UNDERSCORE_COUNT_MAX && name[count] == '_')
		count++;
	return count;
}

static uint32_t rank_of(const struct symbol *symbol)
{
	uint32_t rank = !symbol->preferred;

	rank = rank << 1 | (symbol->binding == SYMBOL_LOCAL);
	rank = rank << 1 | symbol->stub;
	rank = rank << 4 | underscore_count(symbol->name, symbol->name_size_max);
	rank = rank << 1 | symbol->old;
	rank = rank << 1 | symbol->label;
	rank = rank << 1 | (symbol->binding == SYMBOL_WEAK);
	return rank << 1 | symbol->dynamic;
}

/* Labels of the assembler, and those that mark code and data on ARM and RISC-V: "$x", "$d.3". */
static bool is_no_name(const char *name, size_t size)
{
	if (size == 0 || name[0] == '\0')
		return true;
	if (size >= 2 && name[0] == '.' && name[1] == 'L')
		return true;
	return name[0] == '$' && size >= 2 && strchr("adtx", name[1]) &&
	       (size == 2 || name[2] == '\0' || name[2] == '.');
}

int symbol_table_add(struct symbol_table *table, const struct symbol *symbol)
{
	assert(!table->starts);
	assert(symbol->binding <= SYMBOL_LOCAL);

	if (is_no_name(symbol->name, symbol->name_size_max) || symbol->start >= symbol->end_max) {
		table->dropped++;
		return 0;
	}
	if (table->candidate_count == table->candidate_capacity) {
		size_t capacity = table->candidate_capacity ? table->candidate_capacity * 2
							    : FIRST_CANDIDATE_COUNT;
		if (capacity > SYMBOL_COUNT_MAX)
			return -EFBIG;

		void *candidates =
			reallocarray(table->candidates, capacity, sizeof(table->candidates[0]));
		if (!candidates)
			return -ENOMEM;
		table->candidates = candidates;
		table->candidate_capacity = capacity;
	}

	uint64_t size_max = symbol->end_max - symbol->start;

	table->candidates[table->candidate_count++] = (struct symbol_candidate){
		.start = symbol->start,
		.size = symbol->size < size_max ? symbol->size : size_max,
		.end_max = symbol->end_max,
		.name = symbol->name,
		.name_size_max = symbol->name_size_max,
		.rank = rank_of(symbol) & INT32_MAX,
		.stub = symbol->stub,
	};
	return 0;
}

static int compare_names(const struct symbol_candidate *a, const struct symbol_candidate *b)
{
	uint32_t size = a->name_size_max < b->name_size_max ? a->name_size_max : b->name_size_max;
	int order =
		strncmp(a->name, b->name, size < NAME_ORDER_SIZE_MAX ? size : NAME_ORDER_SIZE_MAX);

	if (order || size >= NAME_ORDER_SIZE_MAX)
		return order;
	return (a->name_size_max > b->name_size_max) - (a->name_size_max < b->name_size_max);
}

static int compare_candidates(const void *left, const void *right)
{
	const struct symbol_candidate *a = left;
	const struct symbol_candidate *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return compare_names(a, b);
}

/* Of each address the first, which is the best. */
static void drop_aliases(struct symbol_table *table)
{
	size_t kept = 1;

	for (size_t i = 1; i < table->candidate_count; i++)
		if (table->candidates[i].start != table->candidates[kept - 1].start)
			table->candidates[kept++] = table->candidates[i];
	table->candidate_count = kept;
}

static int allocate(struct symbol_table *table)
{
	size_t count = table->candidate_count;

	table->starts = calloc(count, sizeof(table->starts[0]));
	table->sizes = calloc(count, sizeof(table->sizes[0]));
	table->parents = calloc(count, sizeof(table->parents[0]));
	table->name_offsets = calloc(count + 1, sizeof(table->name_offsets[0]));
	if (!table->starts || !table->sizes || !table->parents || !table->name_offsets)
		return -ENOMEM;
	return 0;
}

static uint64_t unsized_size(const struct symbol_table *table, size_t i)
{
	const struct symbol_candidate *symbol = &table->candidates[i];
	uint64_t end = symbol->end_max;

	if (end - symbol->start > SYMBOL_UNSIZED_SIZE_MAX)
		end = symbol->start + SYMBOL_UNSIZED_SIZE_MAX;
	if (i + 1 < table->candidate_count && table->candidates[i + 1].start < end)
		end = table->candidates[i + 1].start;
	return end - symbol->start;
}

/* Without the version that .symtab puts behind a name: "glob@@GLIBC_2.27". */
static size_t name_size(const struct symbol_candidate *symbol, uint32_t size_max)
{
	size_t size = strnlen(symbol->name, size_max);
	const char *at = size > 1 ? memchr(symbol->name + 1, '@', size - 1) : NULL;

	if (!at)
		return size;

	size_t left = size - (size_t)(at - symbol->name);
	const char *version = at + (left > 1 && at[1] == '@' ? 2 : 1);

	return version < symbol->name + size && *version >= 'A' && *version <= 'Z' ? size - left
										   : size;
}

static void append(struct symbol_table *table, const struct symbol_candidate *symbol, uint64_t size,
		   uint32_t parent)
{
	uint32_t i = table->count++;
	uint32_t name_size_max = symbol->name_size_max < SYMBOL_NAME_SIZE_MAX
					 ? symbol->name_size_max
					 : SYMBOL_NAME_SIZE_MAX;

	assert(symbol->start - table->base + size <= (uint64_t)UINT32_MAX);
	table->starts[i] = (uint32_t)(symbol->start - table->base);
	table->sizes[i] = (uint32_t)size;
	table->parents[i] = parent;
	table->nested += parent != SYMBOL_PARENT_NONE;
	buf_add(&table->names, symbol->name, name_size(symbol, name_size_max));
	if (symbol->stub)
		buf_add_str(&table->names, STR("@plt"));
	table->name_offsets[i + 1] = (uint32_t)table->names.size;
}

int symbol_table_build(struct symbol_table *table)
{
	assert(!table->starts);

	if (table->candidate_count == 0)
		return -ENODATA;

	qsort(table->candidates, table->candidate_count, sizeof(table->candidates[0]),
	      compare_candidates);
	drop_aliases(table);
	table->base = table->candidates[0].start;

	int err = allocate(table);
	if (err)
		return err;

	/* Those that hold the address looked at, each inside the one before. */
	struct {
		uint64_t end;
		uint32_t number;
	} open[SYMBOL_DEPTH_MAX];
	size_t depth = 0;

	for (size_t i = 0; i < table->candidate_count && !table->names.error; i++) {
		const struct symbol_candidate *symbol = &table->candidates[i];

		while (depth > 0 && open[depth - 1].end <= symbol->start)
			depth--;
		if (symbol->size == 0 && depth > 0) {
			table->dropped++;
			continue;
		}

		uint64_t size = symbol->size ? symbol->size : unsized_size(table, i);
		uint64_t end = symbol->start + size;

		if (end - table->base > UINT32_MAX)
			return -EFBIG;
		/* What ends no later has nothing left behind this one. */
		while (depth > 0 && open[depth - 1].end <= end)
			depth--;
		if (depth == SYMBOL_DEPTH_MAX) {
			table->dropped++;
			continue;
		}
		append(table, symbol, size,
		       depth > 0 ? open[depth - 1].number : SYMBOL_PARENT_NONE);
		open[depth].end = end;
		open[depth].number = table->count - 1;
		depth++;
	}
	assert(table->count > 0 || table->names.error);
	free(TAKE(table->candidates));
	return table->names.error;
}

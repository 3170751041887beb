/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/go_lines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbols/dwarf_reader.h"
#include "symbols/go_pclntab.h"

enum {
	DATA_SIZE_MAX = 64 << 20,
	/* Functions that are asked which guess makes sense. */
	PROBE_COUNT_MAX = 64,
	/* Inlined calls of one function; a main() that everything went into has hundreds. */
	CALL_COUNT_MAX = 8192,
	NO_CALL = -1,
	/* struct moduledata: its words up to there are the same everywhere; gofunc is one of these.
	 */
	GOFUNC_WORD_MIN = 36,
	GOFUNC_WORD_MAX = 48,
};

/* Where a version keeps the trees, and what an entry is. */
struct tree_layout {
	uint8_t index_table; /* which table of values has the number of the call */
	uint8_t funcdata;    /* which of them is the tree */
	uint8_t entry_size;
	uint8_t name, parent_pc; /* within an entry; parent_pc 0: parent, file and line are in it */
};

static const struct tree_layout tree_layouts[] = {
	{ 2, 3, 16, 4, 8 },   /* 1.20 and later */
	{ 2, 3, 20, 12, 16 }, /* 1.16 to 1.19 */
	{ 2, 4, 20, 12, 16 }, /* 1.14 and 1.15 */
	{ 1, 2, 20, 12, 16 }, /* 1.12 and 1.13 */
	{ 1, 2, 16, 12, 0 },  /* 1.9 to 1.11 */
};

struct go_lines {
	struct elf_file *elf;
	struct go_pclntab table;
	struct go_layout layout;
	const struct tree_layout *trees; /* NULL: none were found */
	uint64_t gofunc;		 /* what offsets of trees count from, since 1.18 */

	/* Of the function being read: */
	struct go_function function;
	uint64_t tree;	     /* vaddr; 0: nothing is inlined */
	uint64_t call_table; /* of the numbers of calls */
	bool *added;	     /* of each function of the table */
	int64_t *scopes;     /* of each call, + 1; 0: not known yet */
	unsigned steps;
};

/* ---- tables of values ---- */

/* Pairs of a change of the value and the bytes for which it holds, from −1 on. */
struct values {
	struct dwarf_reader bytes;
	int64_t value;
	uint64_t end; /* from the start of the function; the value holds up to here */
	bool is_over;
};

static struct values values_at(const struct go_lines *go, uint64_t offset)
{
	struct values values = { .value = NO_CALL, .is_over = true };

	/* At 0 stands no table: the value is −1 all through. */
	if (offset > 0 && go->layout.values + offset < go->table.size) {
		uint64_t at = go->layout.values + offset;

		values.bytes = dwarf_reader(go->table.bytes + at, go->table.size - at);
		values.is_over = false;
	}
	return values;
}

static void next_value(struct values *values)
{
	uint64_t change = dwarf_uleb(&values->bytes);
	bool is_first = values->end == 0;

	if (values->is_over || (change == 0 && !is_first) || change > UINT32_MAX) {
		values->is_over = true;
		return;
	}

	uint64_t length = dwarf_uleb(&values->bytes);

	if (values->bytes.failed || length == 0 || length > GO_LINES_FUNCTION_SIZE_MAX) {
		values->is_over = true;
		return;
	}
	values->value += change & 1 ? -(int64_t)(change >> 1) - 1 : (int64_t)(change >> 1);
	values->end += length;
}

/* Up to the piece that holds this distance; −1 where there is none. */
static int64_t value_for(struct values *values, uint64_t distance)
{
	while (!values->is_over && values->end <= distance)
		next_value(values);
	return values->is_over ? NO_CALL : values->value;
}

/* ---- a function's record ---- */

static uint64_t word(const struct go_lines *go, uint64_t offset)
{
	return go_number_at(&go->table, go->function.data + offset, 4);
}

/* Behind the fixed part: offsets of tables of values, then what Go calls funcdata. */
static uint64_t tables_offset(const struct go_lines *go)
{
	static const uint8_t offsets[GO_VERSION_COUNT] = {
		[GO_1_2] = 32, [GO_1_16] = 36, [GO_1_18] = 36, [GO_1_20] = 40
	};

	return offsets[go->layout.version];
}

static uint64_t value_table(const struct go_lines *go, unsigned number)
{
	if (number >= word(go, GO_FUNCTION_VALUE_TABLE_COUNT))
		return 0;
	return word(go, tables_offset(go) + 4 * (uint64_t)number);
}

/* The address of funcdata of this number, by an assumed place of all of them; 0: none. */
static uint64_t funcdata(const struct go_lines *go, unsigned number, uint64_t gofunc)
{
	uint64_t count = go_number_at(&go->table, go->function.data + tables_offset(go) - 1, 1);
	uint64_t at =
		go->function.data + tables_offset(go) + 4 * word(go, GO_FUNCTION_VALUE_TABLE_COUNT);

	/* Up to 1.11 the count had four bytes. */
	if (go->layout.version == GO_1_2 && count == 0)
		count = word(go, tables_offset(go) - 4);
	if (number >= count)
		return 0;
	if (go->layout.version <= GO_1_16) {
		at = (at + 7) & ~UINT64_C(7);
		return go_number_at(&go->table, at + 8 * (uint64_t)number, 8);
	}

	uint64_t offset = go_number_at(&go->table, at + 4 * (uint64_t)number, 4);

	return offset == UINT32_MAX ? 0 : gofunc + offset;
}

/* ---- inlined calls ---- */

struct call {
	struct str name;
	uint64_t parent_pc; /* from the start of the function */
	int64_t parent;	    /* where there is no parent_pc */
	int64_t file, line;
};

static int32_t signed_at(const uint8_t *bytes)
{
	int32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static bool read_call(const struct go_lines *go, const struct tree_layout *layout, uint64_t tree,
		      int64_t number, struct call *ret)
{
	uint8_t entry[20];
	int32_t name;

	if (number < 0 || number >= CALL_COUNT_MAX ||
	    elf_file_read(go->elf, tree + (uint64_t)number * layout->entry_size, entry,
			  layout->entry_size))
		return false;
	name = signed_at(entry + layout->name);
	if (name < 0)
		return false;
	*ret = (struct call){ .name = go_text_at(&go->table, go->layout.names + (uint64_t)name) };
	if (layout->parent_pc) {
		ret->parent_pc = (uint32_t)signed_at(entry + layout->parent_pc);
		return ret->name.size > 0 && ret->parent_pc < go->function.size;
	}
	ret->parent = signed_at(entry);
	ret->file = signed_at(entry + 4);
	ret->line = signed_at(entry + 8);
	return ret->name.size > 0 && ret->parent >= NO_CALL && ret->parent < number;
}

/* A name begins behind the end of another. */
static bool is_name(const struct go_lines *go, struct str name)
{
	const uint8_t *first = (const uint8_t *)name.text;

	return first > go->table.bytes && first[-1] == 0;
}

/* Whether what lies there by this guess are trees, for some functions that should have one. */
static bool makes_sense(struct go_lines *go, const struct tree_layout *layout, uint64_t gofunc)
{
	unsigned tried = 0;

	for (uint64_t i = 0; i < go->layout.function_count && tried < PROBE_COUNT_MAX; i++) {
		struct call call;

		if (!go_function_read(&go->table, &go->layout, i, &go->function) ||
		    value_table(go, layout->index_table) == 0)
			continue;

		uint64_t tree = funcdata(go, layout->funcdata, gofunc);
		struct values values = values_at(go, value_table(go, layout->index_table));

		/* The first value that is a number; all are −1 where nothing is inlined. */
		next_value(&values);
		while (!values.is_over && values.value < 0)
			next_value(&values);
		if (values.is_over)
			continue;
		if (tree == 0 || !read_call(go, layout, tree, values.value, &call) ||
		    !is_name(go, call.name))
			return false;
		tried++;
	}
	return tried > 0;
}

/* The words of struct moduledata among which gofunc is; false when it is not there. */
static bool find_module(struct go_lines *go, struct elf_bytes data, uint64_t *words)
{
	uint64_t wanted = go->table.vaddr;
	const uint8_t *next = data.bytes;
	const uint8_t *end = data.bytes + data.size;

	while ((next = memmem(next, (size_t)(end - next), &wanted, sizeof(wanted)))) {
		uint64_t functions;

		/* Its first word, then the names: where they begin, how many bytes, and how many.
		 */
		if ((size_t)(end - next) >= (GOFUNC_WORD_MAX + 1) * sizeof(uint64_t)) {
			memcpy(&functions, next + sizeof(uint64_t), sizeof(functions));
			if (functions == go->table.vaddr + go->layout.names) {
				memcpy(words, next + GOFUNC_WORD_MIN * sizeof(uint64_t),
				       (GOFUNC_WORD_MAX - GOFUNC_WORD_MIN + 1) * sizeof(uint64_t));
				return true;
			}
		}
		next++;
	}
	return false;
}

static bool find_gofunc(struct go_lines *go, const struct tree_layout *layout)
{
	static const struct str names[] = { STR(".go.module"), STR(".noptrdata"), STR(".data"),
					    STR(".data.rel.ro") };
	uint64_t words[GOFUNC_WORD_MAX - GOFUNC_WORD_MIN + 1];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct elf_bytes data;

		if (elf_file_section(go->elf, names[i], DATA_SIZE_MAX, &data) ||
		    !find_module(go, data, words))
			continue;
		for (size_t n = 0; n < sizeof(words) / sizeof(words[0]); n++)
			if (words[n] && makes_sense(go, layout, words[n])) {
				go->gofunc = words[n];
				return true;
			}
	}
	return false;
}

static void find_trees(struct go_lines *go)
{
	for (size_t i = 0; i < sizeof(tree_layouts) / sizeof(tree_layouts[0]) && !go->trees; i++) {
		const struct tree_layout *layout = &tree_layouts[i];
		/* The first two say for themselves which they are. */
		bool fits = go->layout.version == GO_1_20   ? i == 0
			    : go->layout.version >= GO_1_16 ? i == 1
							    : i > 1;

		if (fits && (go->layout.version >= GO_1_18 ? find_gofunc(go, layout)
							   : makes_sense(go, layout, 0)))
			go->trees = layout;
	}
}

/* ---- files ---- */

static struct str file_name(const struct go_lines *go, int64_t number)
{
	uint64_t offset;

	if (number < 0)
		return (struct str){ NULL, 0 };
	if (go->layout.version == GO_1_2)
		return go_text_at(
			&go->table,
			go_number_at(&go->table, go->layout.files + 4 * (uint64_t)number, 4));
	offset = go_number_at(
		&go->table, go->layout.units + 4 * (word(go, GO_FUNCTION_UNIT) + (uint64_t)number),
		4);
	return offset == UINT32_MAX ? (struct str){ NULL, 0 }
				    : go_text_at(&go->table, go->layout.files + offset);
}

static int64_t file_text(const struct go_lines *go, struct line_table *lines, int64_t number)
{
	struct str name = file_name(go, number);

	return name.size ? line_table_text(lines, name) : LINE_TEXT_NONE;
}

/* ---- a function's lines ---- */

static int64_t value_of(struct go_lines *go, uint64_t table, uint64_t distance)
{
	struct values values = values_at(go, table);

	while (!values.is_over && values.end <= distance && go->steps++ < GO_LINES_STEP_COUNT_MAX)
		next_value(&values);
	return values.is_over || values.end <= distance ? NO_CALL : values.value;
}

/* Where a call was made, and within which other. */
static void find_caller(struct go_lines *go, struct call *call)
{
	if (!go->trees->parent_pc)
		return;
	call->parent = value_of(go, go->call_table, call->parent_pc);
	call->file = value_of(go, word(go, GO_FUNCTION_FILES), call->parent_pc);
	call->line = value_of(go, word(go, GO_FUNCTION_LINES), call->parent_pc);
}

/* The scope of a call, after those that it was made in. */
static int64_t scope_of(struct go_lines *go, int64_t number, struct line_table *lines)
{
	struct call chain[LINE_DEPTH_MAX];
	int64_t numbers[LINE_DEPTH_MAX];
	uint32_t parent = LINE_SCOPE_NONE;
	size_t depth = 0;

	while (number >= 0 && depth < LINE_DEPTH_MAX) {
		if (number < CALL_COUNT_MAX && go->scopes[number]) {
			parent = (uint32_t)(go->scopes[number] - 1);
			break;
		}
		if (!read_call(go, go->trees, go->tree, number, &chain[depth]))
			break;
		find_caller(go, &chain[depth]);
		numbers[depth] = number;
		number = chain[depth++].parent;
	}
	while (depth > 0) {
		const struct call *call = &chain[--depth];
		int64_t function = line_table_text(lines, call->name);
		int64_t file = function < 0 ? function : file_text(go, lines, call->file);

		if (file < 0)
			return file;

		int64_t scope = line_table_scope(
			lines, &(struct line_scope){
				       .parent = parent,
				       .function = (uint32_t)function,
				       .call_file = (uint32_t)file,
				       .call_line = call->line > 0 ? (uint32_t)call->line : 0,
			       });

		if (scope < 0)
			return scope;
		go->scopes[numbers[depth]] = scope + 1;
		parent = (uint32_t)scope;
	}
	return parent;
}

static int add_piece(struct go_lines *go, uint64_t from, uint64_t to, int64_t file, int64_t line,
		     int64_t call, struct line_table *lines)
{
	struct line_row row = { .scope = LINE_SCOPE_NONE,
				.line = line > 0 && line <= INT32_MAX ? (uint32_t)line : 0 };
	int64_t text = file_text(go, lines, file);
	int64_t scope = LINE_SCOPE_NONE;

	if (text < 0)
		return (int)text;
	row.file = (uint32_t)text;
	if (call >= 0 && go->tree)
		scope = scope_of(go, call, lines);
	if (scope < 0)
		return (int)scope;
	row.scope = (uint32_t)scope;
	return line_table_add(lines, go->function.vaddr + from, (uint32_t)(to - from), &row);
}

static uint64_t least(uint64_t a, const struct values *values)
{
	return !values->is_over && values->end < a ? values->end : a;
}

static int add_function(struct go_lines *go, struct line_table *lines)
{
	struct values files = values_at(go, word(go, GO_FUNCTION_FILES));
	struct values numbers = values_at(go, word(go, GO_FUNCTION_LINES));
	struct values calls = values_at(go, go->call_table);
	uint64_t distance = 0;
	int err = 0;

	while (distance < go->function.size && !err) {
		int64_t file = value_for(&files, distance);
		int64_t line = value_for(&numbers, distance);
		int64_t call = value_for(&calls, distance);
		uint64_t end = least(least(least(go->function.size, &files), &numbers), &calls);

		assert(end > distance);
		/* Behind the last line there is nothing more. */
		if (line > 0)
			err = add_piece(go, distance, end, file, line, call, lines);
		distance = end;
	}
	return err;
}

/* ---- the object ---- */

int go_lines_open(struct elf_file *elf, struct go_lines **ret)
{
	autoclean(go_lines) struct go_lines *go = calloc(1, sizeof(*go));

	if (!go)
		return -ENOMEM;
	go->elf = elf;
	go->scopes = calloc(CALL_COUNT_MAX, sizeof(go->scopes[0]));
	if (!go->scopes)
		return -ENOMEM;
	if (go_pclntab_find(elf, &go->table) || !go_layout_read(&go->table, &go->layout))
		return -ENOENT;
	go->added = calloc(go->layout.function_count, sizeof(go->added[0]));
	if (!go->added)
		return -ENOMEM;
	find_trees(go);
	*ret = TAKE(go);
	return 0;
}

struct go_lines *go_lines_close(struct go_lines *go)
{
	if (!go)
		return NULL;
	free(go->scopes);
	free(go->added);
	free(go);
	return NULL;
}

/* The last function that begins at or before an address; they are in order. */
static bool find_function(struct go_lines *go, uint64_t vaddr, uint64_t *ret_number)
{
	uint64_t first = 0;
	uint64_t end = go->layout.function_count;

	while (first < end) {
		uint64_t middle = first + (end - first) / 2;

		if (!go_function_read(&go->table, &go->layout, middle, &go->function))
			return false;
		if (go->function.vaddr <= vaddr)
			first = middle + 1;
		else
			end = middle;
	}
	*ret_number = first - 1;
	return first > 0 && go_function_read(&go->table, &go->layout, first - 1, &go->function) &&
	       vaddr - go->function.vaddr < go->function.size &&
	       go->function.size <= GO_LINES_FUNCTION_SIZE_MAX;
}

int go_lines_add(struct go_lines *go, uint64_t vaddr, struct line_table *lines)
{
	uint64_t number;

	if (!find_function(go, vaddr, &number))
		return -ENOENT;
	if (go->added[number])
		return 0;
	go->added[number] = true;

	go->steps = 0;
	go->tree = go->call_table = 0;
	if (go->trees) {
		go->tree = funcdata(go, go->trees->funcdata, go->gofunc);
		go->call_table = value_table(go, go->trees->index_table);
	}
	memset(go->scopes, 0, CALL_COUNT_MAX * sizeof(go->scopes[0]));

	int err = add_function(go, lines);

	return err ? err : line_table_cover(lines, go->function.vaddr, go->function.size);
}

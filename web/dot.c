/* SPDX-License-Identifier: Apache-2.0 */
#include "web/dot.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "store/store.h"

enum {
	FONT_SIZE_MIN = 8,
	FONT_SIZE_MAX = 24,
	VALUE_TEXT_SIZE = 32,
	ARROW_WEIGHT_MAX = 100,
};

/* A function, or a call from one to another. */
struct weighed {
	uint64_t self;
	uint64_t total;
	uint32_t open; /* so many times on the path that is walked */
	uint32_t box;  /* its number in the answer from 1, or 0 */
};

struct arrow {
	uint32_t from, to; /* names */
	struct weighed weighed;
};

struct dot {
	const struct flame *flame;
	const struct profile_type *type;
	struct buf *buf;
	struct weighed *functions; /* by name */
	struct arrow *arrows;
	uint32_t arrow_count;
	struct table arrow_table;
	uint64_t self_max; /* of the boxes */
};

/* ---- weighing ---------------------------------------------------------------------------------
 */

static bool arrow_is(const void *context, uint32_t number, const void *key)
{
	const struct arrow *arrow = &((const struct dot *)context)->arrows[number];
	const struct arrow *wanted = key;

	return arrow->from == wanted->from && arrow->to == wanted->to;
}

static struct weighed *find_arrow(struct dot *dot, uint32_t from, uint32_t to)
{
	struct arrow key = { .from = from, .to = to };
	const uint32_t names[] = { from, to };
	uint64_t hash = table_hash_bytes(names, sizeof(names), 0);
	uint32_t found = table_find(&dot->arrow_table, hash, &key, arrow_is, dot);

	if (found == TABLE_NONE) {
		if (table_add(&dot->arrow_table, hash))
			return NULL;
		found = dot->arrow_count;
		dot->arrows[dot->arrow_count++] = key;
	}
	return &dot->arrows[found].weighed;
}

static void enter(struct weighed *weighed, const struct flame_node *node)
{
	weighed->self += node->self;
	if (weighed->open++ == 0)
		weighed->total += node->total;
}

/* Nodes that stand for no function are neither boxes nor arrows. */
static bool is_function(const struct flame *flame, uint32_t node)
{
	return node > 0 && flame->nodes[node].kind != FLAME_MORE;
}

static int weigh_node(struct dot *dot, uint32_t number, int direction)
{
	const struct flame_node *node = &dot->flame->nodes[number];
	struct weighed *function = &dot->functions[node->name];
	struct weighed *arrow = NULL;

	if (!is_function(dot->flame, number))
		return 0;
	if (is_function(dot->flame, node->parent)) {
		arrow = find_arrow(dot, dot->flame->nodes[node->parent].name, node->name);
		if (!arrow)
			return -ENOMEM;
	}
	if (direction > 0) {
		enter(function, node);
		if (arrow)
			enter(arrow, node);
		return 0;
	}
	assert(function->open > 0 && (!arrow || arrow->open > 0));
	function->open--;
	if (arrow)
		arrow->open--;
	return 0;
}

/* In preorder: what is not the next node's parent has been left. */
static int weigh(struct dot *dot)
{
	const struct flame_node *nodes = dot->flame->nodes;
	uint32_t open = 0;
	int err = 0;

	for (uint32_t i = 1; !err && i < dot->flame->node_count; i++) {
		for (; !err && open != nodes[i].parent; open = nodes[open].parent)
			err = weigh_node(dot, open, -1);
		if (!err)
			err = weigh_node(dot, i, 1);
		open = i;
	}
	return err;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void add_text(struct buf *buf, const char *text)
{
	buf_add_str(buf, str_from(text));
}

/* Within double quotes. */
static void add_quoted(struct buf *buf, struct str text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (text.text[i] == '"' || text.text[i] == '\\')
			buf_add_u8(buf, '\\');
		buf_add_u8(buf, text.text[i] == '\n' || text.text[i] == '\0'
					? ' '
					: (uint8_t)text.text[i]);
	}
}

static void add_value(const struct dot *dot, uint64_t value)
{
	static const char *const sizes[] = { "B", "kB", "MB", "GB", "TB" };
	struct str unit = dot->type->parts[PROFILE_TYPE_SAMPLE_UNIT];
	char text[VALUE_TEXT_SIZE];
	double scaled = (double)value;
	size_t size = 0;

	if (str_equal(unit, STR("nanoseconds")) || str_equal(unit, STR("ns"))) {
		snprintf(text, sizeof(text), "%.2fs", scaled / 1e9);
	} else if (str_equal(unit, STR("bytes"))) {
		for (; scaled >= 1024 && size + 1 < sizeof(sizes) / sizeof(sizes[0]); size++)
			scaled /= 1024;
		snprintf(text, sizeof(text), "%.2f%s", scaled, sizes[size]);
	} else {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	}
	add_text(dot->buf, text);
}

static double share(const struct dot *dot, uint64_t value)
{
	return (double)value / (double)dot->flame->nodes[0].total;
}

static void add_share(const struct dot *dot, uint64_t value)
{
	char text[VALUE_TEXT_SIZE];

	add_value(dot, value);
	snprintf(text, sizeof(text), " (%.2f%%)", 100 * share(dot, value));
	add_text(dot->buf, text);
}

/* From grey to red. */
static void add_color(const struct dot *dot, uint64_t value)
{
	unsigned pale = (unsigned)(178 * (1 - sqrt(share(dot, value))));
	char text[VALUE_TEXT_SIZE];

	snprintf(text, sizeof(text), " color=\"#b2%02x%02x\"", pale, pale);
	add_text(dot->buf, text);
}

static void add_box(const struct dot *dot, uint32_t name)
{
	const struct weighed *function = &dot->functions[name];
	double size = dot->self_max ? sqrt((double)function->self / (double)dot->self_max) : 0;
	char text[3 * VALUE_TEXT_SIZE];

	snprintf(text, sizeof(text), "N%u [label=\"", function->box);
	add_text(dot->buf, text);
	add_quoted(dot->buf, dot->flame->names[name]);
	add_text(dot->buf, "\\n");
	if (function->self > 0)
		add_share(dot, function->self);
	if (function->total > function->self) {
		add_text(dot->buf, function->self > 0 ? "\\nof " : "0 of ");
		add_share(dot, function->total);
	}
	snprintf(text, sizeof(text), "\" id=\"node%u\" fontsize=%d shape=box", function->box,
		 FONT_SIZE_MIN + (int)ceil((FONT_SIZE_MAX - FONT_SIZE_MIN) * size));
	add_text(dot->buf, text);
	add_color(dot, function->total);
	add_text(dot->buf, "]\n");
}

static void add_arrow(const struct dot *dot, const struct arrow *arrow)
{
	const struct weighed *from = &dot->functions[arrow->from];
	const struct weighed *to = &dot->functions[arrow->to];
	char text[3 * VALUE_TEXT_SIZE];

	if (!from->box || !to->box)
		return;
	snprintf(text, sizeof(text), "N%u -> N%u [label=\" ", from->box, to->box);
	add_text(dot->buf, text);
	add_value(dot, arrow->weighed.total);
	snprintf(text, sizeof(text), "\" weight=%d",
		 1 + (int)((ARROW_WEIGHT_MAX - 1) * share(dot, arrow->weighed.total)));
	add_text(dot->buf, text);
	add_color(dot, arrow->weighed.total);
	add_text(dot->buf, "]\n");
}

static int compare_functions(const void *a, const void *b, void *context)
{
	const struct dot *dot = context;
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	uint64_t x_total = dot->functions[x].total;
	uint64_t y_total = dot->functions[y].total;

	if (x_total != y_total)
		return x_total > y_total ? -1 : 1;
	return str_compare(dot->flame->names[x], dot->flame->names[y]);
}

static int compare_arrows(const void *a, const void *b)
{
	const struct arrow *x = a;
	const struct arrow *y = b;

	if (x->weighed.total != y->weighed.total)
		return x->weighed.total > y->weighed.total ? -1 : 1;
	return x->from != y->from ? (x->from < y->from ? -1 : 1)
				  : (x->to > y->to) - (x->to < y->to);
}

static void write_head(const struct dot *dot, uint32_t box_count, uint32_t function_count)
{
	char text[3 * VALUE_TEXT_SIZE];

	add_text(dot->buf, "digraph \"");
	add_quoted(dot->buf, dot->type->parts[PROFILE_TYPE_SAMPLE_TYPE]);
	add_text(dot->buf, "\" {\nnode [style=filled fillcolor=\"#f8f8f8\"]\n"
			   "subgraph cluster_L { \"legend\" [shape=box fontsize=16 label=\"Type: ");
	add_quoted(dot->buf, dot->type->parts[PROFILE_TYPE_SAMPLE_TYPE]);
	add_text(dot->buf, "\\lTotal: ");
	add_value(dot, dot->flame->nodes[0].total);
	snprintf(text, sizeof(text), "\\lShowing %u functions of %u\\l\"] }\n", box_count,
		 function_count);
	add_text(dot->buf, text);
}

static int write_graph(struct dot *dot, uint32_t node_count_max)
{
	uint32_t name_count = dot->flame->name_count;
	autofree uint32_t *order = calloc((size_t)name_count + 1, sizeof(order[0]));
	uint32_t count = 0;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < name_count; i++)
		if (dot->functions[i].total > 0)
			order[count++] = i;
	qsort_r(order, count, sizeof(order[0]), compare_functions, dot);

	uint32_t box_count = count < node_count_max ? count : node_count_max;

	for (uint32_t i = 0; i < box_count; i++) {
		struct weighed *function = &dot->functions[order[i]];

		function->box = i + 1;
		if (function->self > dot->self_max)
			dot->self_max = function->self;
	}
	write_head(dot, box_count, count);
	for (uint32_t i = 0; i < box_count; i++)
		add_box(dot, order[i]);
	qsort(dot->arrows, dot->arrow_count, sizeof(dot->arrows[0]), compare_arrows);
	for (uint32_t i = 0; i < dot->arrow_count; i++)
		add_arrow(dot, &dot->arrows[i]);
	add_text(dot->buf, "}\n");
	return 0;
}

int dot_write(const struct flame *flame, const struct profile_type *type, uint32_t node_count_max,
	      struct buf *buf)
{
	struct dot dot = { .flame = flame, .type = type, .buf = buf };
	int err = 0;

	assert(flame->node_count > 0 && node_count_max > 0);
	if (flame->nodes[0].total == 0)
		return 0;
	dot.functions = calloc(flame->name_count, sizeof(dot.functions[0]));
	dot.arrows = calloc(flame->node_count, sizeof(dot.arrows[0]));
	table_init(&dot.arrow_table, flame->node_count);
	if (!dot.functions || !dot.arrows)
		err = -ENOMEM;
	if (!err)
		err = weigh(&dot);
	if (!err)
		err = write_graph(&dot, node_count_max);
	table_done(&dot.arrow_table);
	free(dot.functions);
	free(dot.arrows);
	return err;
}

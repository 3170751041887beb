/* SPDX-License-Identifier: Apache-2.0 */
/* Whose stacks are complete, and why the others are not. */
#include <errno.h>
#include <stdlib.h>

#include "base/window.h"
#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

enum {
	/* So that nothing is left out; the most that a flame graph may have. */
	NODE_COUNT_MAX = 100000,
	/* Each verdict, and stacks of others that don't say why. */
	CUT_COUNT_MAX = VERDICT_COUNT + 1,
};

struct cut {
	uint32_t name; /* of the node in the callers' place: the reason */
	uint64_t value;
};

struct stacks_row {
	uint32_t node;
	uint64_t total;
	unsigned cut_count;
	uint64_t cut_value; /* all of them */
	struct cut cuts[CUT_COUNT_MAX];
};

static void add_cut(struct stacks_row *row, uint32_t name, uint64_t value)
{
	unsigned i = 0;

	while (i < row->cut_count && row->cuts[i].name != name)
		i++;
	row->cut_value += value;
	if (i < row->cut_count) {
		row->cuts[i].value += value;
	} else if (i < CUT_COUNT_MAX) {
		row->cuts[row->cut_count++] = (struct cut){ name, value };
	}
}

static int heavier_row_first(const void *left, const void *right)
{
	const struct stacks_row *a = left, *b = right;

	if (a->total != b->total)
		return a->total < b->total ? 1 : -1;
	return (a->node > b->node) - (a->node < b->node);
}

static uint32_t count_rows(const struct flame *flame)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < flame->node_count; i++)
		count += flame->nodes[i].kind == FLAME_GROUP;
	return count;
}

/* As many as count_rows() says. */
static void sum_rows(const struct flame *flame, struct stacks_row *rows)
{
	struct stacks_row *row = NULL, *next = rows;

	/* Each node comes after its row and before the next one. */
	for (uint32_t i = 1; i < flame->node_count; i++) {
		const struct flame_node *node = &flame->nodes[i];

		if (node->kind == FLAME_GROUP) {
			row = next++;
			*row = (struct stacks_row){ .node = i, .total = node->total };
		} else if (node->parent == 0) {
			row = NULL;
		} else if (row && node->kind == FLAME_TRUNCATED) {
			add_cut(row, node->name, node->total);
		}
	}
	qsort(rows, (size_t)(next - rows), sizeof(rows[0]), heavier_row_first);
}

static int heavier_first(const void *left, const void *right)
{
	const struct cut *a = left, *b = right;

	return (a->value < b->value) - (a->value > b->value);
}

static void write_row(struct json_writer *json, const struct flame *flame, struct stacks_row *row,
		      const char *label)
{
	const struct flame_node *node = &flame->nodes[row->node];

	qsort(row->cuts, row->cut_count, sizeof(row->cuts[0]), heavier_first);
	json_begin_object(json);
	json_key(json, label);
	json_text(json, flame->names[node->name]);
	json_key(json, "total");
	json_u64(json, node->total);
	json_key(json, "complete");
	json_u64(json, node->total - row->cut_value);
	json_key(json, "cuts");
	json_begin_array(json);
	for (unsigned i = 0; i < row->cut_count; i++) {
		json_begin_object(json);
		json_key(json, "name");
		json_text(json, flame->names[row->cuts[i].name]);
		json_key(json, "value");
		json_u64(json, row->cuts[i].value);
		json_end_object(json);
	}
	json_end_array(json);
	json_end_object(json);
}

/* by: process, which is also what it is without one, or service. */
static bool read_by(struct page_question *question, const struct request *request,
		    const char **ret_label, struct reply *reply)
{
	struct str by = { 0 };

	(void)request_parameter(request, STR("by"), &question->texts, &by);
	*ret_label = str_equal(by, STR("service")) ? "service_name" : "process";
	if (by.size == 0 || str_equal(by, STR("service")) || str_equal(by, STR("process")))
		return true;
	reply_error(reply, 400, "by", "by: '%.*s' is neither process nor service",
		    (int)(by.size < 40 ? by.size : 40), by.text);
	return false;
}

void page_stacks(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number limits = { "limit", 200, 1, 2000 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct flame_options options = { .truncated_nodes = true,
					 .node_count_max = NODE_COUNT_MAX };
	autofree struct stacks_row *rows = NULL;
	const char *label;
	uint64_t limit = 0;
	struct flame flame;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &limits, &limit, reply) ||
	    !read_by(&question, request, &label, reply))
		return;
	options.rows_by = str_from(label);

	if (!page_ask_flame(&question, server, &recorded, &options, &flame, reply))
		return;

	struct json_writer json = JSON_WRITER(&reply->body);
	uint32_t count = count_rows(&flame);

	rows = calloc(count + 1, sizeof(rows[0]));
	if (!rows) {
		flame_done(&flame);
		reply_failure(reply, -ENOMEM);
		return;
	}
	sum_rows(&flame, rows);
	json_begin_object(&json);
	page_write_view(&json, &question, &recorded, page_cpu_count(server));
	json_key(&json, "rows");
	json_begin_array(&json);
	for (uint32_t i = 0; i < count && i < limit; i++)
		write_row(&json, &flame, &rows[i], label);
	json_end_array(&json);
	json_end_object(&json);
	flame_done(&flame);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Where the CPU time went: a flame graph in columns. */
#include <assert.h>

#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

/* Columns hold one field of all nodes: they pack and parse better than a list of objects. */
#define WRITE_COLUMN(json, flame, field, shift)                                                    \
	do {                                                                                       \
		json_key((json), #field);                                                          \
		json_begin_array(json);                                                            \
		for (uint32_t i_ = 0; i_ < (flame)->node_count; i_++)                              \
			json_u64((json), (uint64_t)(flame)->nodes[i_].field + (shift));            \
		json_end_array(json);                                                              \
	} while (0)

/* Most hosts have no debug information: two columns of zeros less. */
static bool has_places(const struct flame *flame)
{
	for (uint32_t i = 0; i < flame->node_count; i++)
		if (flame->nodes[i].file || flame->nodes[i].inlined)
			return true;
	return false;
}

static bool has_interpreted(const struct flame *flame)
{
	for (uint32_t i = 0; i < flame->node_count; i++)
		if (flame->nodes[i].interpreted)
			return true;
	return false;
}

void page_write_nodes(struct json_writer *json, const struct flame *flame, uint32_t name_shift)
{
	json_begin_object(json);
	WRITE_COLUMN(json, flame, parent, 0);
	WRITE_COLUMN(json, flame, name, name_shift);
	WRITE_COLUMN(json, flame, module, name_shift);
	WRITE_COLUMN(json, flame, kind, 0);
	WRITE_COLUMN(json, flame, self, 0);
	WRITE_COLUMN(json, flame, total, 0);
	WRITE_COLUMN(json, flame, hidden, 0);
	if (has_places(flame)) {
		WRITE_COLUMN(json, flame, file, flame->nodes[i_].file ? name_shift : 0);
		WRITE_COLUMN(json, flame, line, 0);
		WRITE_COLUMN(json, flame, inlined, 0);
	}
	if (has_interpreted(flame))
		WRITE_COLUMN(json, flame, interpreted, 0);
	json_end_object(json);
}

void page_write_view(struct json_writer *json, const struct page_question *question,
		     const struct recorded_time *recorded, uint32_t cpu_count)
{
	const struct time_range *range = &question->range;

	json_key(json, "from_ms");
	json_i64(json, range->from_ms);
	json_key(json, "to_ms");
	json_i64(json, range->to_ms);
	json_key(json, "recorded_ms");
	json_i64(json, recorded_time_ms(recorded, range->from_ms, range->to_ms));
	json_key(json, "unit");
	json_text(json, question->type.parts[PROFILE_TYPE_SAMPLE_UNIT]);
	json_key(json, "cpus");
	json_u64(json, cpu_count);
	json_key(json, "rolled_samples");
	json_u64(json, question->question.asker ? question->question.asker->rolled : 0);
}

int page_view_start(struct page_question *question, struct server *server,
		    struct recorded_time *recorded)
{
	int err = recorded_time_init(recorded, server->store, question->range.from_ms,
				     question->range.to_ms);

	if (!err)
		recorded_time_clip(recorded, &question->question);
	return err;
}

bool page_ask_flame(struct page_question *question, struct server *server,
		    struct recorded_time *recorded, const struct flame_options *options,
		    struct flame *ret, struct reply *reply)
{
	int err = page_view_start(question, server, recorded);

	if (!err)
		err = store_flame(server->store, &question->question, options, ret);
	if (err)
		reply_failure(reply, err);
	return !err;
}

static void write_flame(struct reply *reply, const struct page_question *question,
			const struct recorded_time *recorded, uint32_t cpu_count,
			const struct flame *flame)
{
	struct json_writer json = JSON_WRITER(&reply->body);

	assert(flame->node_count > 0 && flame->name_count > 0);
	json_begin_object(&json);
	page_write_view(&json, question, recorded, cpu_count);
	json_key(&json, "total");
	json_u64(&json, flame->nodes[0].total);
	json_key(&json, "samples");
	json_u64(&json, flame->sample_count);
	json_key(&json, "names");
	json_begin_array(&json);
	for (uint32_t i = 0; i < flame->name_count; i++)
		json_text(&json, flame->names[i]);
	json_end_array(&json);
	json_key(&json, "nodes");
	page_write_nodes(&json, flame, 0);
	json_key(&json, "hidden");
	json_u64(&json, flame->hidden_count);
	recorded_time_write_gaps(recorded, &json);
	json_end_object(&json);
}

/* view: top_down, which is also what it is without one, or bottom_up. */
static bool read_view(struct page_question *question, const struct request *request,
		      struct flame_options *options, struct reply *reply)
{
	struct str view = { 0 };

	(void)request_parameter(request, STR("view"), &question->texts, &view);
	options->is_bottom_up = str_equal(view, STR("bottom_up"));
	if (!options->is_bottom_up && view.size > 0 && !str_equal(view, STR("top_down"))) {
		reply_error(reply, 400, "view", "view: '%.*s' is neither top_down nor bottom_up",
			    (int)(view.size < 40 ? view.size : 40), view.text);
		return false;
	}
	if (!request_parameter(request, STR("rows"), &question->texts, &options->rows_by) &&
	    !options->is_bottom_up && !selector_uses(question->selector, STR("service_name")))
		options->rows_by = STR("service_name");
	return true;
}

void page_flame(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number counts = { "nodes", 4096, 1, 100000 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct flame_options options = { .truncated_nodes = true, .by_module = true };
	uint64_t node_count = 0;
	struct flame flame;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &counts, &node_count, reply) ||
	    !read_view(&question, request, &options, reply))
		return;
	options.node_count_max = (uint32_t)node_count;

	if (!page_ask_flame(&question, server, &recorded, &options, &flame, reply))
		return;

	write_flame(reply, &question, &recorded, page_cpu_count(server), &flame);
	flame_done(&flame);
}

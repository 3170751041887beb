/* SPDX-License-Identifier: Apache-2.0 */
/* Where the CPU time went: a flame graph in columns. */
#include <assert.h>

#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

/* Columns hold one field of all nodes: they pack and parse better than a list of objects. */
#define WRITE_COLUMN(json, flame, field)                                                           \
	do {                                                                                       \
		json_key((json), #field);                                                          \
		json_begin_array(json);                                                            \
		for (uint32_t i_ = 0; i_ < (flame)->node_count; i_++)                              \
			json_u64((json), (flame)->nodes[i_].field);                                \
		json_end_array(json);                                                              \
	} while (0)

static void write_nodes(struct json_writer *json, const struct flame *flame)
{
	json_key(json, "nodes");
	json_begin_object(json);
	WRITE_COLUMN(json, flame, parent);
	WRITE_COLUMN(json, flame, name);
	WRITE_COLUMN(json, flame, module);
	WRITE_COLUMN(json, flame, kind);
	WRITE_COLUMN(json, flame, self);
	WRITE_COLUMN(json, flame, total);
	WRITE_COLUMN(json, flame, hidden);
	json_end_object(json);
}

static void write_flame(struct reply *reply, const struct page_question *question,
			const struct recorded_time *recorded, uint32_t cpu_count,
			const struct flame *flame)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	const struct time_range *range = &question->range;

	assert(flame->node_count > 0 && flame->name_count > 0);
	json_begin_object(&json);
	json_key(&json, "from_ms");
	json_i64(&json, range->from_ms);
	json_key(&json, "to_ms");
	json_i64(&json, range->to_ms);
	json_key(&json, "recorded_ms");
	json_i64(&json, recorded_time_ms(recorded, range->from_ms, range->to_ms));
	json_key(&json, "unit");
	json_text(&json, question->type.parts[PROFILE_TYPE_SAMPLE_UNIT]);
	json_key(&json, "total");
	json_u64(&json, flame->nodes[0].total);
	json_key(&json, "samples");
	json_u64(&json, flame->sample_count);
	json_key(&json, "cpus");
	json_u64(&json, cpu_count);
	json_key(&json, "names");
	json_begin_array(&json);
	for (uint32_t i = 0; i < flame->name_count; i++)
		json_text(&json, flame->names[i]);
	json_end_array(&json);
	write_nodes(&json, flame);
	json_key(&json, "hidden");
	json_u64(&json, flame->hidden_count);
	recorded_time_write_gaps(recorded, &json);
	json_end_object(&json);
}

void page_flame(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number counts = { "nodes", 4096, 1, 100000 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct flame_options options = { .truncated_nodes = true };
	struct str service_name = STR("service_name");
	uint64_t node_count = 0;
	struct flame flame;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &counts, &node_count, reply))
		return;
	options.node_count_max = (uint32_t)node_count;
	if (!request_parameter(request, STR("rows"), &question.texts, &options.rows_by) &&
	    !selector_uses(question.selector, service_name))
		options.rows_by = service_name;

	int err = recorded_time_init(&recorded, server->store, question.range.from_ms,
				     question.range.to_ms);

	if (!err) {
		recorded_time_clip(&recorded, &question.question);
		err = store_flame(server->store, &question.question, &options, &flame);
	}
	if (err) {
		reply_failure(reply, err);
		return;
	}

	write_flame(reply, &question, &recorded, page_cpu_count(server), &flame);
	flame_done(&flame);
}

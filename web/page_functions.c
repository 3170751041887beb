/* SPDX-License-Identifier: Apache-2.0 */
/* Functions: which weigh most, and who calls one and what it calls. */
#include <assert.h>

#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

/* ---- the list ---------------------------------------------------------------------------------
 */

static void write_row(struct json_writer *json, const struct function_row *row)
{
	json_begin_object(json);
	json_key(json, "name");
	json_text(json, row->name);
	json_key(json, "module");
	json_text(json, row->module);
	json_key(json, "kind");
	json_u64(json, row->kind);
	json_key(json, "self");
	json_u64(json, row->self);
	json_key(json, "total");
	json_u64(json, row->total);
	if (row->file.size > 0) {
		json_key(json, "file");
		json_text(json, row->file);
	}
	json_end_object(json);
}

static void write_rows(struct json_writer *json, const struct functions *functions)
{
	uint64_t shown_self = 0;

	json_key(json, "rows");
	json_begin_array(json);
	for (uint32_t i = 0; i < functions->count; i++) {
		write_row(json, &functions->rows[i]);
		shown_self += functions->rows[i].self;
	}
	json_end_array(json);

	assert(functions->matched_count >= functions->count);
	json_key(json, "more");
	json_begin_object(json);
	json_key(json, "rows");
	json_u64(json, functions->matched_count - functions->count);
	json_key(json, "self");
	json_u64(json, functions->matched_self - shown_self);
	json_end_object(json);
}

static void write_matched(struct json_writer *json, const struct functions *functions)
{
	json_key(json, "matched");
	json_begin_object(json);
	json_key(json, "rows");
	json_u64(json, functions->matched_count);
	json_key(json, "self");
	json_u64(json, functions->matched_self);
	json_key(json, "total");
	json_u64(json, functions->matched_total);
	json_end_object(json);
}

static bool read_order(struct page_question *question, const struct request *request, bool *ret,
		       struct reply *reply)
{
	struct str order = STR("self");

	(void)request_parameter(request, STR("sort"), &question->texts, &order);
	*ret = str_equal(order, STR("total"));
	if (*ret || str_equal(order, STR("self")))
		return true;
	reply_error(reply, 400, "sort", "sort: it must be self or total");
	return false;
}

void page_functions(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number limits = { "limit", 200, 1, 2000 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct json_writer json = JSON_WRITER(&reply->body);
	struct functions_options options = { 0 };
	struct functions functions;
	uint64_t limit = 0;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &limits, &limit, reply) ||
	    !read_order(&question, request, &options.by_total, reply))
		return;
	options.limit = (uint32_t)limit;
	(void)request_parameter(request, STR("search"), &question.texts, &options.search);

	int err = page_view_start(&question, server, &recorded);

	if (!err)
		err = store_functions(server->store, &question.question, &options, &functions);
	if (err) {
		reply_failure(reply, err);
		return;
	}

	json_begin_object(&json);
	page_write_view(&json, &question, &recorded, page_cpu_count(server));
	json_key(&json, "total");
	json_u64(&json, functions.total);
	write_rows(&json, &functions);
	if (options.search.size > 0)
		write_matched(&json, &functions);
	json_end_object(&json);
	functions_done(&functions);
}

/* ---- one of them ------------------------------------------------------------------------------
 */

static void write_names(struct json_writer *json, const struct sandwich *sandwich)
{
	json_key(json, "names");
	json_begin_array(json);
	for (uint32_t i = 0; i < sandwich->callers.name_count; i++)
		json_text(json, sandwich->callers.names[i]);
	for (uint32_t i = 0; i < sandwich->callees.name_count; i++)
		json_text(json, sandwich->callees.names[i]);
	json_end_array(json);
}

static void write_sandwich(struct json_writer *json, const struct sandwich *sandwich)
{
	const struct flame *callers = &sandwich->callers;

	assert(callers->node_count > 0 && sandwich->callees.node_count > 0);
	json_key(json, "view_total");
	json_u64(json, sandwich->view_total);
	json_key(json, "function");
	json_text(json, callers->names[callers->nodes[0].name]);
	json_key(json, "module");
	json_text(json, callers->names[callers->nodes[0].module]);
	json_key(json, "kind");
	json_u64(json, callers->nodes[0].kind);
	json_key(json, "self");
	json_u64(json, sandwich->self);
	json_key(json, "total");
	json_u64(json, callers->nodes[0].total);
	write_names(json, sandwich);
	json_key(json, "callers");
	page_write_nodes(json, callers, 0);
	json_key(json, "callees");
	page_write_nodes(json, &sandwich->callees, callers->name_count);
}

void page_sandwich(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number counts = { "nodes", 2048, 1, 100000 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct json_writer json = JSON_WRITER(&reply->body);
	struct sandwich_options options = { 0 };
	struct sandwich sandwich;
	uint64_t node_count = 0;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &counts, &node_count, reply))
		return;
	options.node_count_max = (uint32_t)node_count;
	(void)request_parameter(request, STR("function"), &question.texts, &options.function);
	if (!request_parameter(request, STR("module"), &question.texts, &options.module))
		options.module = (struct str){ 0 };
	if (options.function.size == 0) {
		reply_error(reply, 400, "function", "function: which one? It is missing");
		return;
	}

	int err = page_view_start(&question, server, &recorded);

	if (!err)
		err = store_sandwich(server->store, &question.question, &options, &sandwich);
	if (err) {
		reply_failure(reply, err);
		return;
	}

	json_begin_object(&json);
	page_write_view(&json, &question, &recorded, page_cpu_count(server));
	write_sandwich(&json, &sandwich);
	json_end_object(&json);
	sandwich_done(&sandwich);
}

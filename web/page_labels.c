/* SPDX-License-Identifier: Apache-2.0 */
/* What one can ask for: names of labels, the values of one, or profile types. */
#include "web/json_writer.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/server.h"

void page_labels(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(page_question) struct page_question question = { 0 };
	struct json_writer json = JSON_WRITER(&reply->body);
	struct store_texts texts;
	struct str name = { 0 };

	if (!page_question_read(&question, request, reply))
		return;

	bool wants_values =
		request_parameter(request, STR("name"), &question.texts, &name) && name.size > 0;
	int err = wants_values ? store_label_values(server->store, &question.question, name, &texts)
			       : store_label_names(server->store, &question.question, &texts);

	if (err) {
		reply_failure(reply, err);
		return;
	}

	json_begin_object(&json);
	json_key(&json, wants_values ? "values" : "names");
	json_begin_array(&json);
	for (size_t i = 0; i < texts.count; i++)
		json_text(&json, texts.texts[i]);
	json_end_array(&json);
	json_end_object(&json);
	store_texts_done(&texts);
}

static void write_type(struct json_writer *json, struct str id)
{
	static const char *const keys[PROFILE_TYPE_PART_COUNT] = {
		[PROFILE_TYPE_NAME] = "name",
		[PROFILE_TYPE_SAMPLE_TYPE] = "sample_type",
		[PROFILE_TYPE_SAMPLE_UNIT] = "sample_unit",
		[PROFILE_TYPE_PERIOD_TYPE] = "period_type",
		[PROFILE_TYPE_PERIOD_UNIT] = "period_unit",
	};
	struct profile_type type;

	if (profile_type_parse(id, &type, NULL))
		return;
	json_begin_object(json);
	json_key(json, "id");
	json_text(json, type.id);
	for (size_t i = 0; i < PROFILE_TYPE_PART_COUNT; i++) {
		json_key(json, keys[i]);
		json_text(json, type.parts[i]);
	}
	json_end_object(json);
}

void page_types(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(page_question) struct page_question question = { 0 };
	struct json_writer json = JSON_WRITER(&reply->body);
	struct store_texts types;

	if (!page_question_read(&question, request, reply))
		return;
	/* Which there are is what is asked. */
	question.question.type = (struct str){ 0 };

	int err = store_profile_types(server->store, &question.question, &types);

	if (err) {
		reply_failure(reply, err);
		return;
	}

	json_begin_object(&json);
	json_key(&json, "types");
	json_begin_array(&json);
	for (size_t i = 0; i < types.count; i++)
		write_type(&json, types.texts[i]);
	json_end_array(&json);
	json_end_object(&json);
	store_texts_done(&types);
}

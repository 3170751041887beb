/* SPDX-License-Identifier: Apache-2.0 */
/* What one can ask for: names of labels, or the values of one. */
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

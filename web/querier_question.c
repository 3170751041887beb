/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>

#include "web/json_writer.h"
#include "web/querier.h"
#include "web/time_range.h"

bool querier_begin(struct querier_question *question, struct request *request, struct reply *reply)
{
	*question = (struct querier_question){
		.question = { .deadline_monotonic_ns = request->deadline_monotonic_ns },
	};
	question->message = connect_read_message(request, reply);
	question->fields = connect_fields(question->message);
	return question->message != NULL;
}

void querier_done(struct querier_question *question)
{
	question->selector = selector_free(question->selector);
	question->message = json_value_free(question->message);
}

bool querier_read_range(struct querier_question *question, struct reply *reply)
{
	assert(question->message);

	int64_t start = connect_int64(&question->fields, "start");
	int64_t end = connect_int64(&question->fields, "end");

	if (!connect_fields_ok(&question->fields, reply))
		return false;
	if (start != 0 && end == 0) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "missing time range in the query");
		return false;
	}
	if (start == 0 && end == 0)
		end = TIME_RANGE_MS_MAX;
	if (start > end) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "query start time is after end time");
		return false;
	}
	/* Beyond these there is nothing, and sums with a step can't overflow. */
	question->question.from_unix_ms = start > 0 ? start : 0;
	question->question.to_unix_ms = end < TIME_RANGE_MS_MAX ? end : TIME_RANGE_MS_MAX;
	return true;
}

static bool add_matcher(struct querier_question *question, struct str text, struct reply *reply)
{
	char error[SELECTOR_ERROR_SIZE] = "";
	assert(question->question.selector == question->selector);

	int err = question->selector ? selector_add(question->selector, text, error)
				     : selector_parse(text, &question->selector, error);

	question->question.selector = question->selector;
	if (err == -EINVAL || err == -E2BIG)
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "parse label selector: %s",
			      error[0] ? error : "it is too long");
	else if (err)
		connect_failure(reply, err);
	return err == 0;
}

bool querier_read_selection(struct querier_question *question, struct reply *reply)
{
	struct str type = connect_text(&question->fields, "profile_typeID");
	struct str selector = connect_text(&question->fields, "label_selector");
	unsigned count = 0;

	if (!connect_fields_ok(&question->fields, reply))
		return false;
	if (profile_type_parse(type, &question->type, &count)) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT,
			      "profile-type selection must be of the form %s, got(%u): \"%.*s\"",
			      PROFILE_TYPE_FORM, count, STR_PRINT(type));
		return false;
	}
	question->question.type = question->type.id;
	return add_matcher(question, selector, reply);
}

bool querier_read_matchers(struct querier_question *question, struct reply *reply)
{
	size_t count = connect_count(&question->fields, "matchers", QUERIER_MATCHER_COUNT_MAX);

	for (size_t i = 0; i < count; i++) {
		struct str text = connect_text_at(&question->fields, "matchers", i);

		if (!connect_fields_ok(&question->fields, reply) ||
		    !add_matcher(question, text, reply))
			return false;
	}
	return connect_fields_ok(&question->fields, reply);
}

void querier_write_labels(struct json_writer *json, const struct str *names,
			  const struct str *values, size_t count)
{
	bool begun = false;

	assert(count <= QUERIER_GROUP_COUNT_MAX);
	for (size_t i = 0; i < count; i++) {
		if (values[i].size == 0)
			continue;
		if (!begun) {
			json_key(json, "labels");
			json_begin_array(json);
			begun = true;
		}
		json_begin_object(json);
		json_key(json, "name");
		json_text(json, names[i]);
		json_key(json, "value");
		json_text(json, values[i]);
		json_end_object(json);
	}
	if (begun)
		json_end_array(json);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>

#include "base/parse.h"
#include "web/querier.h"
#include "web/time_range.h"

void querier_done(struct querier_question *question)
{
	question->selector = selector_free(question->selector);
}

bool querier_read_range(struct querier_question *question, struct connect_call *call, int64_t start,
			int64_t end)
{
	question->question.deadline_monotonic_ns = call->request->deadline_monotonic_ns;
	question->question.asker = call->request->asker;
	if (start != 0 && end == 0) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "missing time range in the query");
		return false;
	}
	if (start == 0 && end == 0)
		end = TIME_RANGE_MS_MAX;
	if (start > end) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "query start time is after end time");
		return false;
	}
	/* Beyond these there is nothing, and sums with a step can't overflow. */
	question->question.from_unix_ms = start > 0 ? start : 0;
	question->question.to_unix_ms = end < TIME_RANGE_MS_MAX ? end : TIME_RANGE_MS_MAX;
	return true;
}

static bool add_matcher(struct querier_question *question, struct connect_call *call,
			struct str text)
{
	char error[SELECTOR_ERROR_SIZE] = "";
	assert(question->question.selector == question->selector);

	int err = question->selector ? selector_add(question->selector, text, error)
				     : selector_parse(text, &question->selector, error);

	question->question.selector = question->selector;
	if (err == -EINVAL || err == -E2BIG)
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "parse label selector: %s",
			      error[0] ? error : "it is too long");
	else if (err)
		connect_failure(call->reply, err);
	return err == 0;
}

bool querier_read_selection(struct querier_question *question, struct connect_call *call,
			    const char *type, const char *selector)
{
	unsigned count = 0;

	if (profile_type_parse(str_from(type), &question->type, &count)) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "profile-type selection must be of the form %s, got(%u): \"%s\"",
			      PROFILE_TYPE_FORM, count, type);
		return false;
	}
	question->question.type = question->type.id;
	return add_matcher(question, call, str_from(selector));
}

static bool refuse_count(struct connect_call *call, const char *field, size_t count_max)
{
	connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
		      "too many items in field \"%s\": %zu at most", field, count_max);
	return false;
}

bool querier_read_matchers(struct querier_question *question, struct connect_call *call,
			   size_t count, char *const *matchers)
{
	if (count > QUERIER_MATCHER_COUNT_MAX)
		return refuse_count(call, "matchers", QUERIER_MATCHER_COUNT_MAX);
	for (size_t i = 0; i < count; i++)
		if (!add_matcher(question, call, str_from(matchers[i])))
			return false;
	return true;
}

/* A second mention of a name says nothing. */
bool querier_read_group(struct querier_group *group, struct connect_call *call, const char *field,
			size_t count, char *const *names)
{
	*group = (struct querier_group){ 0 };
	if (count > QUERIER_GROUP_COUNT_MAX)
		return refuse_count(call, field, QUERIER_GROUP_COUNT_MAX);
	group->names = arena_take(&call->arena, count, sizeof(group->names[0]));
	if (!group->names) {
		connect_failure(call->reply, call->arena.error);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct str name = str_from(names[i]);
		bool is_known = false;

		for (size_t k = 0; k < group->count; k++)
			is_known |= str_equal(group->names[k], name);
		if (!is_known)
			group->names[group->count++] = name;
	}
	return true;
}

bool querier_is_plain_name(struct str name)
{
	for (size_t i = 0; i < name.size; i++) {
		unsigned char c = (unsigned char)name.text[i];

		if (c > 127 || !(isalpha(c) || c == '_' || (i > 0 && isdigit(c))))
			return false;
	}
	return name.size > 0;
}

bool querier_takes_any_name(const struct connect_call *call)
{
	struct str rest = request_header(call->request, STR("accept"));
	struct str part;

	while (parse_next(&rest, ';', &part)) {
		while (part.size > 0 && part.text[0] == ' ')
			part = (struct str){ part.text + 1, part.size - 1 };
		if (str_starts_with(part, STR("allow-utf8-labelnames=true")))
			return true;
	}
	return false;
}

Pyroscope__LabelPair **querier_labels(struct connect_call *call, const struct str *names,
				      const struct str *values, size_t count, size_t *ret_count)
{
	Pyroscope__LabelPair **labels = arena_take(&call->arena, count, sizeof(labels[0]));
	Pyroscope__LabelPair *pairs = arena_take(&call->arena, count, sizeof(pairs[0]));
	size_t used = 0;

	for (size_t i = 0; labels && pairs && i < count; i++) {
		if (values[i].size == 0)
			continue;
		pyroscope__label_pair__init(&pairs[used]);
		pairs[used].name = arena_text(&call->arena, names[i]);
		pairs[used].value = arena_text(&call->arena, values[i]);
		labels[used] = &pairs[used];
		used++;
	}
	*ret_count = used;
	return labels;
}

char **querier_texts(struct connect_call *call, const struct str *texts, size_t count)
{
	char **copies = arena_take(&call->arena, count, sizeof(copies[0]));

	for (size_t i = 0; copies && i < count; i++)
		copies[i] = arena_text(&call->arena, texts[i]);
	return copies;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/server.h"

enum {
	/* http1.c takes no longer heads; decoding only shrinks. */
	TEXTS_SIZE_MAX = 16384,
};

static bool read_selector(struct page_question *question, struct str text, struct reply *reply)
{
	char error[SELECTOR_ERROR_SIZE] = "";
	int err = selector_parse(text, &question->selector, error);

	question->question.selector = question->selector;
	if (err == -EINVAL || err == -E2BIG)
		reply_error(reply, 400, "query", "query: %s", error[0] ? error : "it is too long");
	else if (err)
		reply_failure(reply, err);
	return err == 0;
}

bool page_question_read(struct page_question *question, const struct request *request,
			struct reply *reply)
{
	return page_question_read_since(question, request, (struct str){ 0 }, reply);
}

bool page_question_read_since(struct page_question *question, const struct request *request,
			      struct str since, struct reply *reply)
{
	char error[TIME_RANGE_ERROR_SIZE] = "";
	const char *parameter = NULL;
	struct str from = since;
	struct str to = { 0 };
	struct str query = { 0 };
	struct str type = PROFILE_TYPE_CPU;
	struct str names = STR("source");
	struct str exact = { 0 };

	*question = (struct page_question){
		.texts = BUF(TEXTS_SIZE_MAX),
		.question = { .deadline_monotonic_ns = request->deadline_monotonic_ns,
			      .asker = request->asker },
	};
	(void)request_parameter(request, STR("from"), &question->texts, &from);
	(void)request_parameter(request, STR("to"), &question->texts, &to);
	(void)request_parameter(request, STR("query"), &question->texts, &query);
	(void)request_parameter(request, STR("type"), &question->texts, &type);

	(void)request_parameter(request, STR("exact"), &question->texts, &exact);
	question->question.is_exact = str_equal(exact, STR("1"));

	if (time_range_parse(from, to, clock_unix_ms(), &question->range, &parameter, error)) {
		reply_error(reply, 400, parameter, "%s: %s", parameter, error);
		return false;
	}
	if (profile_type_parse(type, &question->type, NULL)) {
		reply_error(reply, 400, "type", "type: it must be of the form %s",
			    PROFILE_TYPE_FORM);
		return false;
	}
	(void)request_parameter(request, STR("names"), &question->texts, &names);
	if (!str_equal(names, STR("raw")) && !str_equal(names, STR("source"))) {
		reply_error(reply, 400, "names",
			    "names: raw, as compilers made them, or source, as people wrote them");
		return false;
	}
	question->question.raw_names = str_equal(names, STR("raw"));
	question->question.type = question->type.id;
	question->question.from_unix_ms = question->range.from_ms;
	question->question.to_unix_ms = question->range.to_ms;
	return read_selector(question, query, reply);
}

void page_question_done(struct page_question *question)
{
	question->selector = selector_free(question->selector);
	buf_done(&question->texts);
}

bool page_read_number(struct page_question *question, const struct request *request,
		      const struct page_number *number, uint64_t *ret, struct reply *reply)
{
	struct str text;
	uint64_t value = number->otherwise;

	assert(number->min <= number->max);
	if (request_parameter(request, str_from(number->name), &question->texts, &text) &&
	    (parse_u64(text, &value) || value < number->min || value > number->max)) {
		reply_error(reply, 400, number->name,
			    "%s: it must be a number from %" PRIu64 " to %" PRIu64, number->name,
			    number->min, number->max);
		return false;
	}
	assert(value == number->otherwise || (value >= number->min && value <= number->max));
	*ret = value;
	return true;
}

uint32_t page_cpu_count(const struct server *server)
{
	uint32_t count = server->counters.cpu_count;

	return count > 0 ? count : 1;
}

double page_cores(uint64_t cpu_ns, int64_t recorded_ms)
{
	assert(recorded_ms >= 0);
	if (recorded_ms == 0)
		return 0;
	return (double)cpu_ns / ((double)recorded_ms * CLOCK_NS_PER_MS);
}

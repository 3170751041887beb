/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting profiles, and what was deleted. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "web/ingest.h"
#include "web/json_writer.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/server.h"

enum { TEXTS_SIZE_MAX = 16384, SELECTOR_SIZE_MAX = 16384 };

/* All of time, in numbers that a browser can hold. */
#define TIME_MAX_MS (INT64_C(1) << 52)

struct deleting {
	struct server *server;
	struct buf texts;
	struct buf query; /* with the type as one more matcher */
	struct selector *selector;
	struct store_question question;
	struct store_deletion deletion;
	struct store_deletion_extent extent;
	uint64_t number;
	bool is_dry;
};

static void deleting_cleanup(struct deleting *deleting)
{
	selector_free(deleting->selector);
	buf_done(&deleting->texts);
	buf_done(&deleting->query);
}

/* Each time is told, or there is no end on that side. */
static bool read_times(struct deleting *deleting, const struct request *request,
		       struct reply *reply)
{
	struct store_question *question = &deleting->question;
	char error[TIME_RANGE_ERROR_SIZE] = "";
	const char *parameter = NULL;
	struct time_range range = { 0 };
	struct str from = { 0 }, to = { 0 };
	bool has_from = request_parameter(request, STR("from"), &deleting->texts, &from);
	bool has_to = request_parameter(request, STR("to"), &deleting->texts, &to);

	question->from_unix_ms = 0;
	question->to_unix_ms = TIME_MAX_MS;
	if (!has_from && !has_to)
		return true;
	if (time_range_parse(has_from ? from : STR("0"), to, clock_unix_ms(), &range, &parameter,
			     error)) {
		reply_error(reply, 400, parameter, "%s: %s", parameter, error);
		return false;
	}
	if (has_from)
		question->from_unix_ms = range.from_ms;
	if (has_to)
		question->to_unix_ms = range.to_ms;
	return true;
}

/* The type becomes a matcher, so that one text says all. */
static bool add_type(struct deleting *deleting, struct str query, const struct request *request,
		     struct reply *reply)
{
	struct profile_type type;
	struct str text = { 0 };
	char error[SELECTOR_ERROR_SIZE];

	if (!request_parameter(request, STR("type"), &deleting->texts, &text) || text.size == 0)
		return true;
	if (profile_type_parse(text, &type, NULL) || memchr(text.text, '"', text.size) ||
	    memchr(text.text, '\\', text.size)) {
		reply_error(reply, 400, "type", "type: it must be of the form %s",
			    PROFILE_TYPE_FORM);
		return false;
	}

	/* Behind the last matcher; the query was parsed, so that it ends with a brace. */
	while (query.size > 0 && query.text[query.size - 1] != '}')
		query.size--;
	buf_clear(&deleting->query);
	if (query.size > 0) {
		struct str inside = { query.text, query.size - 1 };
		size_t last = inside.size;

		while (last > 0 && inside.text[last - 1] == ' ')
			last--;
		buf_add(&deleting->query, inside.text, last);
		if (last > 0 && inside.text[last - 1] != ',' && inside.text[last - 1] != '{')
			buf_add_u8(&deleting->query, ',');
	} else {
		buf_add_u8(&deleting->query, '{');
	}
	buf_printf(&deleting->query, "__profile_type__=\"%.*s\"}", STR_PRINT(text));
	deleting->selector = selector_free(deleting->selector);
	if (deleting->query.error ||
	    selector_parse((struct str){ (char *)deleting->query.bytes, deleting->query.size },
			   &deleting->selector, error)) {
		reply_error(reply, 400, "type",
			    "type: say it in the query, as __profile_type__=\"…\"");
		return false;
	}
	return true;
}

static bool read_selector(struct deleting *deleting, const struct request *request,
			  struct reply *reply)
{
	char error[SELECTOR_ERROR_SIZE] = "";
	struct str query = { 0 };
	int err;

	(void)request_parameter(request, STR("query"), &deleting->texts, &query);
	err = selector_parse(query, &deleting->selector, error);
	if (err == -EINVAL || err == -E2BIG) {
		reply_error(reply, 400, "query", "query: %s", error[0] ? error : "it is too long");
		return false;
	}
	if (err) {
		reply_failure(reply, err);
		return false;
	}
	buf_add_str(&deleting->query, query);
	if (!add_type(deleting, query, request, reply))
		return false;
	if (selector_matches_none(deleting->selector)) {
		reply_error(reply, 400, "query",
			    "query: it must name what is deleted, as {service_name=\"web\"}; this "
			    "one matches what has none of its labels, too");
		return false;
	}
	return true;
}

static bool read_request(struct deleting *deleting, const struct request *request,
			 struct reply *reply)
{
	struct str dry = { 0 };

	*deleting = (struct deleting){
		.texts = BUF(TEXTS_SIZE_MAX),
		.query = BUF(SELECTOR_SIZE_MAX),
		.question = { .deadline_monotonic_ns = request->deadline_monotonic_ns,
			      .asker = request->asker },
	};
	(void)request_parameter(request, STR("dry"), &deleting->texts, &dry);
	deleting->is_dry = str_equal(dry, STR("1"));
	if (!read_times(deleting, request, reply) || !read_selector(deleting, request, reply))
		return false;
	deleting->question.selector = deleting->selector;
	return true;
}

static bool look(struct deleting *deleting, struct reply *reply)
{
	struct store_deletion_extent *extent = &deleting->extent;
	int err = store_deletion_extent(deleting->server->store, &deleting->question, extent);

	if (err) {
		reply_failure(reply, err);
		return false;
	}
	if (extent->is_of_samples) {
		reply_error(reply, 400, "query",
			    "query: '%s' is a label of single samples; whole series are deleted, "
			    "by labels that these have",
			    extent->label);
		return false;
	}
	return true;
}

/* On the writer's thread. */
static int delete_now(void *context)
{
	struct deleting *deleting = context;

	return store_delete(deleting->server->store, &deleting->deletion, &deleting->number);
}

static bool delete_it(struct deleting *deleting, const struct request *request, struct reply *reply)
{
	struct buf *query = &deleting->query;
	int err;

	deleting->deletion =
		(struct store_deletion){ .selector = { (char *)query->bytes, query->size },
					 .from_unix_ms = deleting->question.from_unix_ms,
					 .to_unix_ms = deleting->question.to_unix_ms,
					 .by = str_from(request->who),
					 .series = deleting->extent.series,
					 .samples = deleting->extent.samples };
	if (!deleting->server->ingest)
		err = -ECANCELED;
	else
		err = ingest_act(deleting->server->ingest, delete_now, deleting);
	if (err == -EBUSY)
		reply_error(reply, 429, NULL,
			    "%d deletions are not removed from the files yet; try again later",
			    STORE_DELETION_PENDING_MAX);
	else if (err == -ENOSPC)
		reply_error(reply, 507, NULL,
			    "there is no room on the disk to write down what is deleted");
	else if (err)
		reply_failure(reply, err);
	return err == 0;
}

static void write_what(struct json_writer *json, const struct store_deletion *deletion)
{
	json_key(json, "query");
	json_text(json, deletion->selector);
	json_key(json, "from_ms");
	json_i64(json, deletion->from_unix_ms);
	json_key(json, "to_ms");
	json_i64(json, deletion->to_unix_ms);
	json_key(json, "series");
	json_u64(json, deletion->series);
	json_key(json, "samples");
	json_u64(json, deletion->samples);
}

void page_delete(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(deleting) struct deleting deleting = { 0 };
	struct json_writer json = JSON_WRITER(&reply->body);

	if (!read_request(&deleting, request, reply))
		return;
	deleting.server = server;
	if (!look(&deleting, reply))
		return;
	/* What is not there needs no record. */
	if (!deleting.is_dry && deleting.extent.series > 0 && !delete_it(&deleting, request, reply))
		return;
	deleting.deletion = (struct store_deletion){
		.selector = { (char *)deleting.query.bytes, deleting.query.size },
		.from_unix_ms = deleting.question.from_unix_ms,
		.to_unix_ms = deleting.question.to_unix_ms,
		.series = deleting.extent.series,
		.samples = deleting.extent.samples,
	};
	json_begin_object(&json);
	json_key(&json, "deletion");
	if (deleting.number)
		json_u64(&json, deleting.number);
	else
		json_null_value(&json);
	write_what(&json, &deleting.deletion);
	json_end_object(&json);
}

static int write_deletion(void *context, const struct store_deletion *deletion)
{
	struct json_writer *json = context;

	json_begin_object(json);
	json_key(json, "deletion");
	json_u64(json, deletion->number);
	write_what(json, deletion);
	json_key(json, "deleted_ms");
	json_i64(json, deletion->deleted_ms);
	json_key(json, "by");
	json_text(json, deletion->by);
	json_key(json, "state");
	json_text(json, deletion->is_removed ? STR("removed") : STR("hidden"));
	json_key(json, "removed_ms");
	if (deletion->is_removed)
		json_i64(json, deletion->removed_ms);
	else
		json_null_value(json);
	json_end_object(json);
	return 0;
}

void page_deletions(struct server *server, struct request *request, struct reply *reply)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	int err;

	(void)request;
	json_begin_object(&json);
	json_key(&json, "deletions");
	json_begin_array(&json);
	err = store_each_deletion(server->store, write_deletion, &json);
	if (err) {
		reply_failure(reply, err);
		return;
	}
	json_end_array(&json);
	json_end_object(&json);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /ingest, by which SDKs of Pyroscope push that are older than push.v1: one profile a request, in
 * one of many forms; what it is of stands in the query.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "web/compression.h"
#include "web/connect.h"
#include "web/folded.h"
#include "web/jfr_reader.h"
#include "web/json.h"
#include "web/multipart.h"
#include "web/profile_type.h"
#include "web/push.h"
#include "web/push_name.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/speedscope.h"
#include "web/spool.h"
#include "web/stack_trie.h"
#include "web/time_range.h"

enum {
	TEXTS_SIZE_MAX = 65536,
	RATE_DEFAULT = 100,
	CONFIG_SIZE_MAX = 64 << 10, /* of sample_type_config; SDKs send 500 bytes */
	LABELS_SIZE_MAX = 16 << 20, /* of the labels of a recording, unpacked */
};

enum format {
	FORMAT_FOLDED = 0,
	FORMAT_LINES,
	FORMAT_TRIE,
	FORMAT_TREE,
	FORMAT_SPEEDSCOPE,
	FORMAT_PPROF,
	FORMAT_FORM, /* with pprof */
	FORMAT_JFR,
};

struct ingest_push {
	struct push_request request;
	struct reply *reply;
	struct buf texts; /* decoded parameters, which the others point to */
	enum format format;
	struct push_name name;
	struct push_labels labels;
	struct str spy;
	int64_t from_ms, until_ms;
	uint64_t period_ns; /* of a sample */
	struct str content_type;
};

/* ---- what is wrong ----------------------------------------------------------------------------
 */

__attribute__((format(printf, 2, 3))) static void refuse(struct reply *reply, const char *format,
							 ...)
{
	char text[PUSH_ERROR_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Clients know 422 as a profile that is no good, which has no name among Connect's. */
	connect_error(reply, CONNECT_UNKNOWN, "%s", text);
	reply->status = 422;
}

/* What these clients know is HTTP's own. */
static void set_plain_status(struct reply *reply)
{
	if (reply->limit == LIMIT_BODY_SIZE)
		reply->status = 413;
	else if (reply->limit == LIMIT_BODY_TIME)
		reply->status = 408;
}

/* ---- what is asked ----------------------------------------------------------------------------
 */

/* SDKs send seconds, or ms, µs or ns, each of which has its number of digits in our time. */
static int64_t read_time(struct str text, int64_t now_ms)
{
	static const struct {
		size_t digits;
		uint64_t divisor, factor;
	} units[] = { { 19, 1000000, 1 }, { 16, 1000, 1 }, { 13, 1, 1 }, { 0, 1, 1000 } };
	char error[TIME_RANGE_ERROR_SIZE];
	uint64_t number;
	int64_t time_ms = now_ms;

	if (parse_u64(text, &number)) {
		(void)time_range_parse_time(text, now_ms, &time_ms, error);
		return time_ms;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text.size < units[i].digits)
			continue;
		number /= units[i].divisor;
		if (number > (uint64_t)TIME_RANGE_MS_MAX / units[i].factor)
			return now_ms;
		return (int64_t)(number * units[i].factor);
	}
	return now_ms;
}

static enum format format_of(struct str name, struct str content_type)
{
	static const struct {
		const char *name;
		enum format format;
	} formats[] = {
		{ "trie", FORMAT_TRIE },   { "tree", FORMAT_TREE },
		{ "lines", FORMAT_LINES }, { "jfr", FORMAT_JFR },
		{ "pprof", FORMAT_PPROF }, { "speedscope", FORMAT_SPEEDSCOPE },
	};
	struct multipart form;

	if (str_equal(content_type, STR("binary/octet-stream+trie")))
		return FORMAT_TRIE;
	if (str_equal(content_type, STR("binary/octet-stream+tree")))
		return FORMAT_TREE;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (str_equal(name, str_from(formats[i].name)))
			return formats[i].format;
	return multipart_begin(&form, content_type, (struct str){ 0 }) ? FORMAT_FORM
								       : FORMAT_FOLDED;
}

static bool is_of_pprof(enum format format)
{
	return format == FORMAT_PPROF || format == FORMAT_FORM;
}

static bool is_binary(const struct ingest_push *push)
{
	return is_of_pprof(push->format) || push->format == FORMAT_JFR;
}

/* The application is the service, unless its labels name another. */
static int add_own_labels(struct ingest_push *push, char reason[static PUSH_LABELS_ERROR_SIZE])
{
	struct push_name *name = &push->name;
	/* The suffix tells something of text alone. */
	struct str application = is_binary(push) ? name->full : name->application;
	int err = push_labels_add(&push->labels, STR("pyroscope_spy"), push->spy, reason);

	if (!err && !name->is_named)
		err = push_labels_add(&push->labels, STR("service_name"), application, reason);
	else if (!err && !is_of_pprof(push->format))
		err = push_labels_add(&push->labels, STR("app_name"), application, reason);
	return err;
}

static bool read_name(struct ingest_push *push, struct str text)
{
	char reason[PUSH_LABELS_ERROR_SIZE] = "";
	int err = push_name_read(text, &push->name, &push->labels, reason);

	if (!err)
		err = add_own_labels(push, reason);
	if (err == -EINVAL)
		connect_error(push->reply, CONNECT_INVALID_ARGUMENT, "%s", reason);
	else if (err)
		connect_failure(push->reply, err);
	else
		push_labels_finish(&push->labels);
	return !err;
}

static bool read_parameters(struct ingest_push *push, const struct request *request)
{
	struct str name = { 0 };
	struct str format = { 0 };
	struct str from = STR("now");
	struct str until = STR("now");
	struct str rate_text = { 0 };
	uint64_t rate = 0;

	push->spy = STR("unknown");
	(void)request_parameter(request, STR("name"), &push->texts, &name);
	(void)request_parameter(request, STR("format"), &push->texts, &format);
	(void)request_parameter(request, STR("from"), &push->texts, &from);
	(void)request_parameter(request, STR("until"), &push->texts, &until);
	(void)request_parameter(request, STR("sampleRate"), &push->texts, &rate_text);
	(void)request_parameter(request, STR("spyName"), &push->texts, &push->spy);
	if (parse_u64(rate_text, &rate) || rate == 0 || rate > (uint64_t)CLOCK_NS_PER_S)
		rate = RATE_DEFAULT;
	push->period_ns = (uint64_t)CLOCK_NS_PER_S / rate;
	push->from_ms = read_time(from, clock_unix_ms());
	push->until_ms = read_time(until, clock_unix_ms());
	push->content_type = request_header(request, STR("content-type"));
	push->format = format_of(format, push->content_type);
	return read_name(push, name);
}

/* ---- profiles ---------------------------------------------------------------------------------
 */

/* What a profile's types are shown as, by the SDK that sent it. */
static struct str find_display_name(const void *context, struct str type)
{
	const struct json_value *config = context;
	char name[PUSH_LABEL_NAME_SIZE_MAX];

	if (!config || type.size >= sizeof(name))
		return (struct str){ 0 };
	(void)snprintf(name, sizeof(name), "%.*s", STR_PRINT(type));
	return json_member_text(json_value_member(config, name), "display-name");
}

static enum pprof_naming naming_of(struct str spy)
{
	if (str_equal(spy, STR("pyspy")))
		return PPROF_NAMES_WITH_RELATIVE_FILES;
	if (str_equal(spy, STR("rbspy")) || str_equal(spy, STR("scripting")))
		return PPROF_NAMES_WITH_FILES;
	return PPROF_NAMES_ALONE;
}

static struct pprof_origin origin_of(const struct ingest_push *push)
{
	return (struct pprof_origin){ .labels = push->labels.labels,
				      .label_count = push->labels.count,
				      .splits_series = true,
				      .naming = naming_of(push->spy),
				      .time_unix_ms = push->from_ms };
}

static int read_profile(struct ingest_push *push, struct str bytes, struct json_value *config,
			char reason[static PUSH_ERROR_SIZE])
{
	struct pprof_origin origin = origin_of(push);

	origin.display_name = find_display_name;
	origin.display_context = config;
	/* Not the form: its boundary is another one each time. */
	push_identify(&push->request, bytes);
	return push_pprof(&push->request, bytes, &origin, reason);
}

static int read_form(struct ingest_push *push, struct str body, char reason[static PUSH_ERROR_SIZE])
{
	autoclean(json_value) struct json_value *config = NULL;
	struct multipart_part part, profile = { 0 };
	struct multipart form;
	char error[JSON_ERROR_SIZE];
	int more;

	(void)multipart_begin(&form, push->content_type, body);
	while ((more = multipart_next(&form, &part)) > 0) {
		if (str_equal(part.name, STR("profile"))) {
			profile = part;
		} else if (str_equal(part.name, STR("prev_profile"))) {
			snprintf(
				reason, PUSH_ERROR_SIZE,
				"prev_profile: this client is too old, its profiles count from its "
				"start; use one that sends differences");
			return -EBADMSG;
		} else if (str_equal(part.name, STR("sample_type_config")) && !config &&
			   part.bytes.size <= CONFIG_SIZE_MAX &&
			   json_value_parse(part.bytes, &config, error)) {
			snprintf(reason, PUSH_ERROR_SIZE, "sample_type_config: %s", error);
			return -EBADMSG;
		}
	}
	if (more < 0 || !profile.bytes.text) {
		snprintf(reason, PUSH_ERROR_SIZE,
			 more < 0 ? "the form is cut short, or is none"
				  : "the form has no part 'profile'");
		return -EBADMSG;
	}
	return read_profile(push, profile.bytes, config, reason);
}

/* ---- recordings of Java ----------------------------------------------------------------------
 */

static int read_recording(struct ingest_push *push, struct str bytes, struct str labels,
			  char reason[static PUSH_ERROR_SIZE])
{
	const struct jfr_form form = { .labels = labels,
				       .period_ns = push->period_ns,
				       .end_unix_ms = push->until_ms > push->from_ms
							      ? push->until_ms
							      : push->from_ms + 1,
				       .has_lines = true };
	const struct pprof_origin origin = origin_of(push);

	push_identify(&push->request, bytes);
	return push_recording(&push->request, bytes, &origin, &form, reason);
}

static int unpack_labels(struct str *labels, struct buf *unpacked,
			 char reason[static PUSH_ERROR_SIZE])
{
	int err;

	if (!compression_is_gzip(*labels))
		return 0;
	err = compression_gunzip(*labels, unpacked);
	*labels = (struct str){ (const char *)unpacked->bytes, unpacked->size };
	if (err == -EBADMSG || err == -E2BIG)
		snprintf(reason, PUSH_ERROR_SIZE,
			 err == -E2BIG ? "its labels are larger than %d MiB, unpacked"
				       : "its labels are packed by gzip, and cut short or damaged",
			 LABELS_SIZE_MAX >> 20);
	return err;
}

/* In a form's part, beside its labels, or all of the body. */
static int read_recording_form(struct ingest_push *push, struct str body,
			       char reason[static PUSH_ERROR_SIZE])
{
	autoclean(buf) struct buf unpacked = BUF(LABELS_SIZE_MAX);
	struct str recording = { 0 };
	struct str labels = { 0 };
	struct multipart_part part;
	struct multipart form;
	int more;
	int err;

	if (!multipart_begin(&form, push->content_type, body))
		return read_recording(push, body, labels, reason);
	while ((more = multipart_next(&form, &part)) > 0) {
		if (str_equal(part.name, STR("jfr")))
			recording = part.bytes;
		else if (str_equal(part.name, STR("labels")))
			labels = part.bytes;
	}
	if (more < 0 || !recording.text) {
		snprintf(reason, PUSH_ERROR_SIZE,
			 more < 0 ? "the form is cut short, or is none"
				  : "the form has no part 'jfr'");
		return -EBADMSG;
	}
	err = unpack_labels(&labels, &unpacked, reason);
	return err ? err : read_recording(push, recording, labels, reason);
}

/* ---- texts and trees --------------------------------------------------------------------------
 */

static int read_nodes(const struct ingest_push *push, struct str body,
		      const struct pprof_origin *origin, struct batch *batch,
		      struct pprof_summary *ret, char reason[static PPROF_ERROR_SIZE])
{
	autofree struct named_stacks *stacks = calloc(1, sizeof(*stacks));
	int err = stacks ? named_stacks_begin(stacks, batch, origin, push->name.type,
					      push->name.is_time ? push->period_ns : 1)
			 : -ENOMEM;

	if (err)
		return err;
	err = push->format == FORMAT_TREE ? stack_tree_read(body, stacks, reason)
					  : stack_trie_read(body, stacks, reason);
	*ret = stacks->summary;
	named_stacks_done(stacks);
	return err;
}

static int read_text(const struct ingest_push *push, struct str body, struct batch *batch,
		     struct pprof_summary *ret, char reason[static PPROF_ERROR_SIZE])
{
	const struct pprof_origin origin = origin_of(push);
	const struct folded_form folded = { .is_lines = push->format == FORMAT_LINES,
					    .is_lenient = true,
					    .scale = push->name.is_time ? push->period_ns : 1 };
	const struct speedscope_form scope = {
		.type = str_equal(push->name.application, push->name.full) ? (struct str){ 0 }
									   : push->name.type,
		.period = push->name.is_time ? push->period_ns : 1,
	};

	switch (push->format) {
	case FORMAT_TRIE:
	case FORMAT_TREE:
		return read_nodes(push, body, &origin, batch, ret, reason);
	case FORMAT_SPEEDSCOPE:
		if (body.size > PUSH_JSON_SIZE_MAX) {
			snprintf(reason, PPROF_ERROR_SIZE, "it is larger than %d MiB",
				 PUSH_JSON_SIZE_MAX >> 20);
			return -E2BIG;
		}
		return speedscope_read(body, &origin, &scope, batch, ret, reason);
	default:
		return folded_read(body, &origin, push->name.type, &folded, batch, ret, reason);
	}
}

static int unpack_text(struct ingest_push *push, struct str *body, struct spool *spool,
		       char reason[static PUSH_ERROR_SIZE])
{
	int err;

	if (!compression_is_gzip(*body))
		return 0;
	*spool = SPOOL(push->request.server->settings->data, PUSH_TEXT_SIZE_MAX);
	err = compression_unpack(*body, spool_sink, spool);
	if (err == -EBADMSG || err == -E2BIG)
		snprintf(reason, PUSH_ERROR_SIZE,
			 err == -E2BIG ? "it is larger than %d MiB, unpacked"
				       : "it is packed by gzip, and cut short or damaged",
			 PUSH_TEXT_SIZE_MAX >> 20);
	return err ? err : spool_read(spool, body);
}

static int push_text(struct ingest_push *push, struct str body, char reason[static PUSH_ERROR_SIZE])
{
	autoclean(spool) struct spool spool = SPOOL(NULL, 0);
	autoclean(batch) struct batch *batch = NULL;
	struct pprof_summary summary = { 0 };
	int err = batch_new(PUSH_TEXT_BATCH_MEMORY_MAX, &batch);

	push_identify(&push->request, body);
	if (!err)
		err = unpack_text(push, &body, &spool, reason);
	if (!err)
		err = read_text(push, body, batch, &summary, reason);
	return push_batch(&push->request, batch, &summary, body.size, err, reason);
}

/* ---- the request ------------------------------------------------------------------------------
 */

static int push_body(struct ingest_push *push, struct str body, char reason[static PUSH_ERROR_SIZE])
{
	/* Some senders pack their pprof, and then what they send. */
	switch (push->format) {
	case FORMAT_PPROF:
		return read_profile(push, body, NULL, reason);
	case FORMAT_FORM:
		return read_form(push, body, reason);
	case FORMAT_JFR:
		return read_recording_form(push, body, reason);
	default:
		return push_text(push, body, reason);
	}
}

static void answer(struct ingest_push *push, int err, const char *reason)
{
	if (err == -EBADMSG || err == -E2BIG) {
		refuse(push->reply, "%s", reason);
		return;
	}
	if (!err)
		err = push_commit(&push->request);
	if (err)
		push_refuse_store(push->reply, err);
}

void push_ingest(struct server *server, struct request *request, struct reply *reply)
{
	struct ingest_push push = { .reply = reply, .texts = BUF(TEXTS_SIZE_MAX) };
	struct str body;

	reply->content_type = "text/plain";
	push_init(&push.request, server, request);
	push_labels_init(&push.labels);
	if (!push_receive(&push.request, reply)) {
		set_plain_status(reply);
	} else if (read_parameters(&push, request) && !push.name.is_exemplar &&
		   push_begin(&push.request, &body, reply)) {
		char reason[PUSH_ERROR_SIZE] = "";
		int err = push_body(&push, body, reason);

		push_leave(&push.request);
		push_count_labels(server, &push.labels);
		answer(&push, err, reason);
	}
	push_end(&push.request, reply);
	push_labels_done(&push.labels);
	buf_done(&push.texts);
}

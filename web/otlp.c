/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/table.h"
#include "store/batch.h"
#include "store/gate.h"
#include "store/store.h"
#include "web/coding.h"
#include "web/connect.h"
#include "web/grpc.h"
#include "web/ingest.h"
#include "web/json_writer.h"
#include "web/label_rules.h"
#include "web/otlp_intake.h"
#include "web/otlp_json.h"
#include "web/otlp_kits.h"
#include "web/otlp_senders.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/slots.h"
#include "web/spool.h"

enum { SENTENCE_SIZE = 400, RESPONSE_SIZE_MAX = 4096, HEALTH_SERVING = 1 };

struct export
{
	struct server *server;
	struct request *request;
	struct reply *reply;
	bool is_http, is_json;
	struct otlp_report report;
	uint64_t bytes;	 /* unpacked */
	bool has_added;	 /* something waits to be committed */
	uint64_t source; /* its hash; of the parts of this request, so that each is stored once */
	uint64_t part_count;
	enum otlp_result result;
	const char *reason;
	char sentence[SENTENCE_SIZE];
};

/* ---- answers ----------------------------------------------------------------------------------
 */

static void add_number(struct buf *buf, unsigned field, uint64_t value)
{
	buf_add_varint(buf, field << 3);
	buf_add_varint(buf, value);
}

static void add_sized(struct buf *buf, unsigned field, struct str bytes)
{
	buf_add_varint(buf, field << 3 | 2);
	buf_add_sized(buf, bytes);
}

static const char *content_type(const struct export *export)
{
	return export->is_json ? "application/json" : "application/x-protobuf";
}

/* google.rpc.Status, in the encoding of the question. */
static void write_status(const struct export *export, int code)
{
	struct buf *body = &export->reply->body;
	struct json_writer json = JSON_WRITER(body);

	buf_clear(body);
	export->reply->content_type = content_type(export);
	if (!export->is_json) {
		add_number(body, 1, (uint64_t)code);
		add_sized(body, 2, str_from(export->sentence));
		return;
	}
	json_begin_object(&json);
	json_key(&json, "code");
	json_i64(&json, code);
	json_key(&json, "message");
	json_text(&json, str_from(export->sentence));
	json_end_object(&json);
}

/* What is told to whom is at fault, and counted; status is HTTP's where the code's is another. */
struct verdict_of_export {
	enum otlp_result result;
	enum connect_code code;
	int status;
	const char *reason; /* a word for /metrics */
	enum limit limit;
	bool is_for_now; /* worth another try */
};

__attribute__((format(printf, 3, 4))) static void
refuse(struct export *export, struct verdict_of_export verdict, const char *format, ...)
{
	struct reply *reply = export->reply;
	va_list args;

	va_start(args, format);
	vsnprintf(export->sentence, sizeof(export->sentence), format, args);
	va_end(args);
	assert(verdict.reason && verdict.code > 0);
	export->result = verdict.result;
	export->reason = verdict.reason;
	if (export->is_http) {
		reply->status = verdict.status ? verdict.status : connect_code_status(verdict.code);
		write_status(export, (int)verdict.code);
	} else {
		connect_error(reply, verdict.code, "%s", export->sentence);
	}
	reply->limit = verdict.limit;
	reply->is_for_now = verdict.is_for_now;
	if (verdict.is_for_now)
		reply_add_header(reply, "Retry-After", "1");
}

static void refuse_body(struct export *export, int err)
{
	switch (err) {
	case -EOPNOTSUPP:
		refuse(export,
		       (struct verdict_of_export){ OTLP_REFUSED, CONNECT_UNIMPLEMENTED, 415,
						   "encoding", LIMIT_NONE, false },
		       "unknown compression: supported encodings are " CODING_NAMES);
		break;
	case -EBADMSG:
		refuse(export,
		       (struct verdict_of_export){ OTLP_REFUSED, CONNECT_INVALID_ARGUMENT, 400,
						   "encoding", LIMIT_NONE, false },
		       "the body can't be unpacked");
		break;
	case -E2BIG:
		refuse(export,
		       (struct verdict_of_export){ OTLP_REFUSED, CONNECT_RESOURCE_EXHAUSTED, 413,
						   "too_large", LIMIT_BODY_SIZE, false },
		       "a request is no larger than %d MiB, unpacked", OTLP_REQUEST_SIZE_MAX >> 20);
		break;
	case -ETIMEDOUT:
	case -ETIME:
		refuse(export,
		       (struct verdict_of_export){ OTLP_FAILED, CONNECT_DEADLINE_EXCEEDED, 408,
						   "slow", LIMIT_BODY_TIME, false },
		       "the body came too slowly");
		break;
	case -EPROTO:
		refuse(export,
		       (struct verdict_of_export){ OTLP_REFUSED, CONNECT_INTERNAL, 400, "frame",
						   LIMIT_NONE, false },
		       "the body is not one message");
		break;
	case -ENOSPC:
		refuse(export,
		       (struct verdict_of_export){ OTLP_FAILED, CONNECT_UNAVAILABLE, 503, "disk",
						   LIMIT_NONE, true },
		       "there is no room on the disk");
		break;
	default:
		refuse(export,
		       (struct verdict_of_export){ OTLP_FAILED, CONNECT_UNAVAILABLE, 503, "body",
						   LIMIT_NONE, true },
		       "the body could not be read");
	}
}

static void refuse_contents(struct export *export, int err, const char *reason)
{
	const char *rest = export->has_added ? "; what stands before it is stored" : "";

	if (err == -EBADMSG)
		refuse(export,
		       (struct verdict_of_export){ OTLP_REFUSED, CONNECT_INVALID_ARGUMENT, 400,
						   export->report.revision ? "broken" : "revision",
						   LIMIT_NONE, false },
		       "%s%s", reason, rest);
	else if (err == -E2BIG || err == -EINVAL)
		refuse(export,
		       (struct verdict_of_export){ OTLP_REFUSED, CONNECT_RESOURCE_EXHAUSTED, 413,
						   "too_large", LIMIT_MESSAGE, false },
		       "%s%s", reason[0] ? reason : "this is more than the store takes at once",
		       rest);
	else if (err == -ENOSPC || err == -EIO)
		refuse(export,
		       (struct verdict_of_export){ OTLP_FAILED, CONNECT_UNAVAILABLE, 503, "disk",
						   LIMIT_NONE, true },
		       "the store can't be written now, its disk is full or failing");
	else if (err == -ECANCELED)
		refuse(export,
		       (struct verdict_of_export){ OTLP_FAILED, CONNECT_UNAVAILABLE, 503,
						   "stopping", LIMIT_NONE, true },
		       "the server is stopping");
	else
		refuse(export,
		       (struct verdict_of_export){ OTLP_FAILED, CONNECT_UNAVAILABLE, 503, "memory",
						   LIMIT_NONE, true },
		       "there is no memory for it now");
}

/* What was lost, by kind. */
static void describe_losses(struct export *export)
{
	const struct otlp_report *report = &export->report;
	size_t size = 0;

	for (int flaw = OTLP_FLAW_FIRST_SKIPPED; flaw < OTLP_FLAW_COUNT; flaw++) {
		size_t room = sizeof(export->sentence) - size;
		int more = 0;

		if (report->flaws[flaw] == 0)
			continue;
		more = snprintf(export->sentence + size, room, "%s%" PRIu64 " %s",
				size ? ", " : "left out: ", report->flaws[flaw],
				otlp_flaw_sentence((enum otlp_flaw)flaw));
		size += more > 0 && (size_t)more < room ? (size_t)more : 0;
	}
	export->sentence[size] = '\0';
}

/* ExportProfilesServiceResponse: with all of it taken it is empty. */
static void answer(struct export *export)
{
	struct buf *body = &export->reply->body;
	struct json_writer json = JSON_WRITER(body);
	autoclean(buf) struct buf partial = BUF(RESPONSE_SIZE_MAX);
	uint64_t refused = export->report.profiles_refused;

	export->reply->content_type = content_type(export);
	if (export->is_json) {
		json_begin_object(&json);
		if (export->sentence[0]) {
			json_key(&json, "partialSuccess");
			json_begin_object(&json);
			json_key(&json, "rejectedProfiles");
			json_u64_text(&json, refused);
			json_key(&json, "errorMessage");
			json_text(&json, str_from(export->sentence));
			json_end_object(&json);
		}
		json_end_object(&json);
	} else if (export->sentence[0]) {
		add_number(&partial, 1, refused);
		add_sized(&partial, 2, str_from(export->sentence));
		add_sized(body, 1, (struct str){ (const char *)partial.bytes, partial.size });
	}
}

/* ---- storing ----------------------------------------------------------------------------------
 */

/*
 * A request that fails midway, or that a crash ends, leaves what was stored of it, and comes again.
 * Its parts are numbered for that, so that none is stored twice. Most have one part, which after a
 * crash is in the store whole or not at all: no file needs to know of it.
 */
static int add_batch(void *context, struct batch *batch, bool is_last)
{
	struct export *export = context;
	int err;

	if (!is_last || export->part_count > 0)
		batch_set_source(batch, export->source, ++export->part_count);
	else
		batch_set_passing_source(batch, export->source, 1);
	err = label_rules_apply(export->server->label_rules, batch);
	/* What the rules leave nothing of is taken, too, and comes no second time. */
	if (err || batch_totals(batch).entries == 0)
		return err;
	err = ingest_add(export->server->ingest, batch, false);
	if (err == -EALREADY)
		err = 0;
	export->has_added |= !err;
	return err;
}

static struct str sender_host(const struct request *request)
{
	return request->peer.host[0] ? str_from(request->peer.host) : STR("unix");
}

/* What this sender sent before. */
static enum otlp_revision believed_of(const struct export *export)
{
	return otlp_senders_believed(export->server->otlp_senders, sender_host(export->request),
				     request_header(export->request, STR("user-agent")));
}

static int read_with(struct export *export, struct otlp_kit *kit, struct str body,
		     enum otlp_revision known, char reason[static OTLP_ERROR_SIZE])
{
	struct otlp_intake_options options = {
		.host_name = export->server->host_name,
		.is_local = export->request->peer.kind != PEER_REMOTE,
		.now_ms = clock_unix_ms(),
		.add = add_batch,
		.context = export,
	};
	struct otlp_reading reading = {
		.bytes = body,
		.known = known,
		.believed = believed_of(export),
		.take = otlp_intake_take,
		.context = kit->intake,
		.reader = kit->reader,
	};
	int err;

	otlp_intake_begin(kit->intake, &options);
	err = otlp_read(&reading, &export->report, reason);
	if (!err)
		err = otlp_intake_finish(kit->intake);
	export->report.flaws[OTLP_FLAW_LABELS] += otlp_intake_totals(kit->intake).labels_left_out;
	/* Also what came before something failed: it is there, and stays. */
	if (export->has_added) {
		int written = ingest_add(export->server->ingest, NULL, true);

		err = err ? err : written;
	}
	return err;
}

static int read_profiles(struct export *export, struct str body, enum otlp_revision known,
			 char reason[static OTLP_ERROR_SIZE])
{
	struct otlp_kits *kits = export->server->otlp_kits;
	struct otlp_kit kit;
	int err = 0;

	otlp_kits_take(kits, &kit);
	if (!kit.reader)
		err = otlp_reader_new(&kit.reader);
	if (!err && !kit.intake)
		err = otlp_intake_new(&kit.intake);
	if (!err)
		err = read_with(export, &kit, body, known, reason);
	otlp_kits_give(kits, &kit, clock_monotonic_ns());
	return err;
}

/* The bytes of JSON's revision, or the body itself. */
static bool find_bytes(struct export *export, struct str body, struct buf *encoded,
		       enum otlp_revision *known, struct str *ret)
{
	char reason[OTLP_ERROR_SIZE] = "";
	int err = 0;

	*ret = body;
	*known = OTLP_REVISION_NONE;
	if (!export->is_json)
		return true;
	if (body.size > OTLP_JSON_SIZE_MAX) {
		snprintf(reason, sizeof(reason), "JSON is no larger than %d MiB; send protobuf",
			 OTLP_JSON_SIZE_MAX >> 20);
		err = -E2BIG;
	}
	if (!err)
		err = otlp_json_encode(body.size ? body : STR("{}"), encoded, known, reason);
	if (err)
		refuse_contents(export, err, reason);
	*ret = (struct str){ (const char *)encoded->bytes, encoded->size };
	return !err;
}

static void store(struct export *export, struct str body)
{
	struct otlp_senders *senders = export->server->otlp_senders;
	autoclean(buf) struct buf encoded = BUF(OTLP_REQUEST_SIZE_MAX);
	char reason[OTLP_ERROR_SIZE] = "";
	enum otlp_revision known;
	int err;

	export->bytes = body.size;
	if (!find_bytes(export, body, &encoded, &known, &body))
		return;
	export->source = table_hash_bytes(body.text, body.size, 0) | 1;
	if (body.size > 0 && otlp_senders_knows(senders, export->source)) {
		export->report.revision = believed_of(export);
		answer(export);
		return;
	}
	err = read_profiles(export, body, known, reason);
	if (err) {
		refuse_contents(export, err, reason);
		return;
	}
	describe_losses(export);
	if (export->report.profiles > 0 &&
	    export->report.profiles_refused == export->report.profiles) {
		memcpy(reason, export->sentence, sizeof(reason) - 1);
		refuse_contents(export, -EBADMSG, reason);
		return;
	}
	if (body.size > 0)
		otlp_senders_stored(senders, export->source);
	/* From here on it is known by its bytes. */
	if (export->part_count == 0)
		store_forget_source(export->server->store, export->source);
	answer(export);
}

static void refuse_crowd(struct export *export)
{
	refuse(export,
	       (struct verdict_of_export){ OTLP_FAILED, CONNECT_UNAVAILABLE, 429, "busy",
					   LIMIT_PUSHES, true },
	       "too many requests are being stored; try again later");
}

/* Slow senders hold no turn: all of the body is here first. */
static void take_turn(struct export *export, struct spool *spool)
{
	struct server *server = export->server;
	uint64_t deadline_ns = export->request->deadline_monotonic_ns;
	uint64_t taken = 0;
	struct str body;
	int err = spool_read(spool, &body);

	if (err) {
		refuse_body(export, err);
		return;
	}
	err = slots_enter(server->push_slots, deadline_ns);
	if (err) {
		refuse_crowd(export);
		return;
	}
	/* Large ones in turn: reading them takes many times their size. */
	if (gate_enter(server->otlp_gate, body.size, deadline_ns, &taken)) {
		refuse_crowd(export);
	} else {
		store(export, body);
		gate_leave(server->otlp_gate, taken);
	}
	slots_leave(server->push_slots);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void note(struct export *export)
{
	const struct request *request = export->request;

	otlp_senders_note(export->server->otlp_senders,
			  &(struct otlp_outcome){
				  .host = sender_host(request),
				  .agent = request_header(request, STR("user-agent")),
				  .way = export->is_json   ? STR("http/json")
					 : export->is_http ? STR("http")
							   : STR("grpc"),
				  .result = export->result,
				  .reason = export->reason,
				  .sentence = export->sentence,
				  .bytes = export->bytes,
				  .report = &export->report,
			  });
}

static void receive_body(struct export *export)
{
	struct otlp_kits *kits = export->server->otlp_kits;
	autoclean(spool) struct spool spool =
		SPOOL(export->server->settings->data, OTLP_REQUEST_SIZE_MAX);
	int err;

	spool.memory.limit = OTLP_BODY_MEMORY_MAX;
	otlp_kits_take_body(kits, &spool.memory);
	err = request_take_body(export->request, spool_sink, &spool);
	if (err)
		refuse_body(export, err);
	else
		take_turn(export, &spool);
	otlp_kits_give_body(kits, &spool.memory, clock_monotonic_ns());
}

/* Before any of the body is read: until then HTTP/2 keeps the sender from sending more of it. */
static void take_body(struct export *export)
{
	struct slots *places = export->server->otlp_places;
	uint64_t until_ns = clock_monotonic_ns() +
			    (uint64_t)OTLP_WAITING_SECONDS_MAX * (uint64_t)CLOCK_NS_PER_S;

	if (until_ns > export->request->deadline_monotonic_ns)
		until_ns = export->request->deadline_monotonic_ns;
	if (slots_enter(places, until_ns)) {
		refuse_crowd(export);
		return;
	}
	receive_body(export);
	slots_leave(places);
}

static bool may_take(struct export *export)
{
	export->reason = "";
	if (export->server->ingest)
		return true;
	refuse(export,
	       (struct verdict_of_export){ OTLP_FAILED, CONNECT_UNAVAILABLE, 503, "stopping",
					   LIMIT_NONE, true },
	       "nothing is taken into this store now");
	return false;
}

void otlp_export(struct server *server, struct request *request, struct reply *reply)
{
	struct export export = { .server = server, .request = request, .reply = reply };
	bool is_grpc = grpc_kind_of(request) != GRPC_NONE;
	struct grpc_message message;

	export.is_json = connect_codec_of(request) == CONNECT_CODEC_JSON;
	if (may_take(&export) &&
	    (!is_grpc || grpc_begin_message(request, &message, OTLP_REQUEST_SIZE_MAX, reply))) {
		take_body(&export);
		note(&export);
	}
	if (reply->status == 200 && !is_grpc)
		reply->content_type = export.is_json ? "application/json" : "application/proto";
}

/* The type without its parameters. */
static bool has_type(struct str type, struct str wanted)
{
	struct str name = { 0 };

	if (!parse_next(&type, ';', &name))
		return false;
	while (name.size > 0 && name.text[name.size - 1] == ' ')
		name.size--;
	return name.size == wanted.size && strncasecmp(name.text, wanted.text, name.size) == 0;
}

void otlp_export_http(struct server *server, struct request *request, struct reply *reply)
{
	struct export export = {
		.server = server, .request = request, .reply = reply, .is_http = true
	};
	struct str type = request_header(request, STR("content-type"));
	bool is_known = has_type(type, STR("application/x-protobuf")) ||
			has_type(type, STR("application/protobuf"));

	export.is_json = has_type(type, STR("application/json"));
	if (!may_take(&export)) {
		note(&export);
		return;
	}
	if (!is_known && !export.is_json) {
		refuse(&export,
		       (struct verdict_of_export){ OTLP_REFUSED, CONNECT_INVALID_ARGUMENT, 415,
						   "content_type", LIMIT_NONE, false },
		       "the content type must be application/x-protobuf or application/json");
		reply_add_header(reply, "Accept-Post", "application/x-protobuf, application/json");
	} else {
		take_body(&export);
	}
	note(&export);
}

void otlp_health(struct server *server, struct request *request, struct reply *reply)
{
	(void)request;
	if (!server->ingest) {
		connect_error(reply, CONNECT_UNAVAILABLE, "nothing is taken into this store now");
		return;
	}
	reply->content_type = "application/proto";
	add_number(&reply->body, 1, HEALTH_SERVING);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/push.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/table.h"
#include "store/store.h"
#include "web/coding.h"
#include "web/compression.h"
#include "web/connect.h"
#include "web/ingest.h"
#include "web/jfr_reader.h"
#include "web/label_rules.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/slots.h"
#include "web/spool.h"

enum {
	REPAIRS_TEXT_SIZE_MAX = 1024,
	KEY_SEED = 0x70757368, /* of requests of OTLP there are hashes, too */
	KEY_PIECE_SIZE = 1 << 20,
	SERVICE_SIZE_MAX = 60, /* of its name in the log */
};

/* Counts what was mended, and says so when it was not said lately. */
static void tell_repairs(struct server *server, struct str service, const uint64_t *repairs,
			 unsigned first, unsigned count)
{
	autoclean(buf) struct buf text = BUF(REPAIRS_TEXT_SIZE_MAX);
	char name[SERVICE_SIZE_MAX + 1] = "";

	for (unsigned i = 0; i < count; i++)
		server->counters.push_repairs[first + i] += repairs[i];
	if (!push_repairs_due(&server->push_told, service, repairs, first, count,
			      clock_monotonic_ns() / CLOCK_NS_PER_S))
		return;
	/* In plain letters, whatever it is called. */
	for (size_t i = 0; i < service.size && i < SERVICE_SIZE_MAX; i++)
		name[i] = service.text[i] > ' ' && service.text[i] < 0x7f ? service.text[i] : '?';
	push_repairs_write(repairs, first, count, &text);
	log_notice("what '%s' pushed was mended: %.*s", name, (int)text.size,
		   (const char *)text.bytes);
}

void push_count_labels(struct server *server, const struct push_labels *labels)
{
	struct str service = { 0 };

	for (size_t i = 0; i < labels->count; i++)
		if (str_equal(labels->labels[i].name, STR("service_name")))
			service = labels->labels[i].value;
	tell_repairs(server, service, labels->repairs, PPROF_REPAIR_COUNT, PUSH_LABEL_REPAIR_COUNT);
}

/* Who reads a profile. */
struct push_reader {
	struct push_request *push;
	const struct spool *spools[2]; /* one of which has its bytes, or none */
};

static void let_go(void *context, struct str bytes)
{
	const struct push_reader *reader = context;

	for (int i = 0; i < 2; i++)
		spool_let_go(reader->spools[i], bytes);
}

static int add_batch(struct push_request *push, struct batch *batch)
{
	int err;

	if (batch_totals(batch).entries == 0)
		return 0;
	push->part_count++;
	/* Of what takes several parts files remember them: it may be for long that it is not whole,
	 * and a crash then is no reason to store it twice. */
	if (push->retry.source && push->is_large)
		batch_set_source(batch, push->retry.source, push->part_count);
	else if (push->retry.source)
		batch_set_passing_source(batch, push->retry.source, push->part_count);
	err = label_rules_apply(push->server->label_rules, batch);
	if (err || batch_totals(batch).entries == 0)
		return err;
	err = ingest_add(push->server->ingest, batch, false);
	if (err == -EALREADY)
		err = 0;
	push->has_stored |= !err;
	return err;
}

static int take_batch(void *context, struct batch *batch)
{
	struct push_request *push = ((struct push_reader *)context)->push;

	push->is_large = true;
	return add_batch(push, batch);
}

static int unpack(struct server *server, struct str packed, struct spool *spool, struct str *ret,
		  char reterr[static PUSH_ERROR_SIZE])
{
	int err = 0;

	static_assert(PUSH_PROFILE_SIZE_MAX == 256 << 20, "the sentence says so");
	*ret = packed;
	*spool = SPOOL(server->settings->data, PUSH_PROFILE_SIZE_MAX);
	if (compression_is_packed(packed)) {
		err = compression_unpack(packed, spool_sink, spool);
		if (!err)
			err = spool_read(spool, ret);
	} else if (packed.size > PUSH_PROFILE_SIZE_MAX) {
		err = -E2BIG;
	}
	if (err == -E2BIG)
		snprintf(reterr, PUSH_ERROR_SIZE, "it is larger than 256 MiB, unpacked");
	else if (err == -EBADMSG)
		snprintf(reterr, PUSH_ERROR_SIZE, "it is packed by %s, and cut short or damaged",
			 compression_is_gzip(packed) ? "gzip" : "LZ4");
	return err;
}

int push_batch(struct push_request *push, struct batch *batch, const struct pprof_summary *summary,
	       size_t size, int err, char reterr[static PUSH_ERROR_SIZE])
{
	struct server *server = push->server;

	if (!err)
		err = add_batch(push, batch);
	if (err == -EBADMSG || err == -E2BIG) {
		server->counters.push_refused++;
		if (!reterr[0])
			snprintf(reterr, PUSH_ERROR_SIZE, "it is too large");
	}
	if (err)
		return err;
	server->counters.push_profiles++;
	server->counters.push_bytes += size;
	server->counters.push_stacks += summary->samples;
	server->counters.push_stacks_skipped += summary->skipped;
	tell_repairs(server, summary->service, summary->repairs, 0, PPROF_REPAIR_COUNT);
	return 0;
}

/* Of pprof, or of a recording's form. */
static int push_unpacked(struct push_request *push, struct str bytes,
			 const struct pprof_origin *origin, const struct jfr_form *form,
			 char reterr[static PUSH_ERROR_SIZE])
{
	static_assert((int)PPROF_ERROR_SIZE <= (int)PUSH_ERROR_SIZE, "one fits into the other");
	autoclean(spool) struct spool spool = SPOOL(NULL, 0);
	autoclean(batch) struct batch *batch = NULL;
	struct pprof_origin full = *origin;
	struct push_reader reader = { .push = push, .spools = { &push->spool, &spool } };
	struct pprof_summary summary = { 0 };
	struct str plain = { 0 };
	int err = batch_new(PUSH_BATCH_MEMORY_MAX, &batch);

	reterr[0] = '\0';
	assert(push->server->ingest && origin->time_unix_ms >= 0);
	full.take = take_batch;
	full.walked = let_go;
	full.context = &reader;
	if (!err)
		err = unpack(push->server, bytes, &spool, &plain, reterr);
	if (!err && plain.text != bytes.text)
		let_go(&reader, bytes);
	if (!err)
		err = form ? jfr_read(plain, &full, form, batch, &summary, reterr)
			   : pprof_read(plain, &full, batch, &summary, reterr);
	return push_batch(push, batch, &summary, plain.size, err, reterr);
}

int push_pprof(struct push_request *push, struct str bytes, const struct pprof_origin *origin,
	       char reterr[static PUSH_ERROR_SIZE])
{
	return push_unpacked(push, bytes, origin, NULL, reterr);
}

int push_recording(struct push_request *push, struct str bytes, const struct pprof_origin *origin,
		   const struct jfr_form *form, char reterr[static PUSH_ERROR_SIZE])
{
	return push_unpacked(push, bytes, origin, form, reterr);
}

int push_commit(struct push_request *push)
{
	return ingest_commit_soon(push->server->ingest);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

void push_refuse_body(struct reply *reply, int err)
{
	switch (err) {
	case -EOPNOTSUPP:
		connect_error(reply, CONNECT_UNIMPLEMENTED,
			      "unknown compression: supported encodings are " CODING_NAMES);
		break;
	case -EBADMSG:
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "the body can't be unpacked");
		break;
	case -E2BIG:
		connect_error(reply, CONNECT_RESOURCE_EXHAUSTED,
			      "a push takes no more than %d MiB, unpacked (%d MiB by gRPC)",
			      PUSH_BODY_SIZE_MAX >> 20, PUSH_GRPC_SIZE_MAX >> 20);
		reply->limit = LIMIT_BODY_SIZE;
		break;
	case -ETIMEDOUT:
	case -ETIME:
		connect_error(reply, CONNECT_DEADLINE_EXCEEDED, "the body came too slowly");
		reply->limit = LIMIT_BODY_TIME;
		break;
	case -ENOSPC:
		connect_error(reply, CONNECT_UNAVAILABLE, "there is no room on the disk");
		break;
	case -ENOMEM:
		connect_failure(reply, err);
		break;
	default:
		connect_error(reply, CONNECT_CANCELED, "the body could not be read");
	}
}

void push_refuse_store(struct reply *reply, int err)
{
	if (err == -ENOSPC || err == -EIO)
		connect_error(reply, CONNECT_UNAVAILABLE,
			      "the store can't be written now, its disk is full or failing; try "
			      "again later");
	else if (err == -ECANCELED)
		connect_error(reply, CONNECT_UNAVAILABLE, "the server is stopping");
	else
		connect_failure(reply, err);
}

/* Asked first, so that nothing is sent in vain. */
static bool may_write(const struct server *server, struct reply *reply)
{
	struct store_status status;
	char text[256];

	if (!server->ingest) {
		connect_error(reply, CONNECT_UNAVAILABLE, "nothing is taken into this store now");
		return false;
	}
	store_status(server->store, &status);
	if (status.state != STORE_READ_ONLY)
		return true;
	store_state_text(&status, text, sizeof(text));
	connect_error(reply, CONNECT_UNAVAILABLE, "nothing is stored: %s", text);
	return false;
}

void push_init(struct push_request *push, struct server *server, struct request *request)
{
	*push = (struct push_request){ .server = server,
				       .request = request,
				       .spool = SPOOL(server->settings->data, PUSH_BODY_SIZE_MAX) };
}

bool push_receive(struct push_request *push, struct reply *reply)
{
	int err;

	if (!may_write(push->server, reply))
		return false;
	err = request_take_body(push->request, spool_sink, &push->spool);
	if (err)
		push_refuse_body(reply, err);
	return !err;
}

static bool is_gone(const struct push_request *push)
{
	return push->request->is_gone && push->request->is_gone(push->request);
}

bool push_begin(struct push_request *push, struct str *ret_body, struct reply *reply)
{
	int err = spool_read(&push->spool, ret_body);

	if (err) {
		push_refuse_body(reply, err);
		return false;
	}
	err = slots_enter(push->server->push_slots, push->request->deadline_monotonic_ns);
	push->has_turn = !err;
	/* Who went before anything was stored sends it again, and that may come first. */
	if (!err && is_gone(push)) {
		push_leave(push);
		connect_error(reply, CONNECT_CANCELED, "the client has gone");
		return false;
	}
	if (!err)
		return true;
	connect_error(reply, err == -EBUSY ? CONNECT_RESOURCE_EXHAUSTED : CONNECT_DEADLINE_EXCEEDED,
		      "too many pushes are being stored; try again later");
	reply->limit = LIMIT_PUSHES;
	reply_add_header(reply, "Retry-After", "1");
	return false;
}

void push_identify(struct push_request *push, struct str content)
{
	struct str query = push->request->query;
	uint64_t key = table_hash_bytes(query.text, query.size, KEY_SEED);

	assert(!push->retry.retries && push->part_count == 0);
	/* Piece by piece, so that a large one is not in memory as a whole. */
	for (struct str piece; content.size > 0;
	     content.text += piece.size, content.size -= piece.size) {
		piece = content;
		if (piece.size > KEY_PIECE_SIZE)
			piece.size = KEY_PIECE_SIZE;
		key = table_hash_bytes(piece.text, piece.size, key);
		spool_let_go(&push->spool, piece);
	}
	push->retry = retries_begin(push->server->retries, key, push->request);
}

void push_leave(struct push_request *push)
{
	if (push->has_turn)
		slots_leave(push->server->push_slots);
	push->has_turn = false;
}

void push_end(struct push_request *push, const struct reply *reply)
{
	bool is_told = reply->status == 200 && !reply->rpc_error.code && !is_gone(push);

	push_leave(push);
	if (push->retry.retries)
		retries_end(&push->retry, is_told, push->has_stored);
	spool_done(&push->spool);
}

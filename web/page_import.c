/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles in files, of other hosts and programs, into the store. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/table.h"
#include "base/utf8.h"
#include "base/window.h"
#include "store/extract.h"
#include "store/store.h"
#include "web/compression.h"
#include "web/import_format.h"
#include "web/ingest.h"
#include "web/json_writer.h"
#include "web/page.h"
#include "web/pprof_reader.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/spool.h"

enum {
	LABEL_COUNT_MAX = 32,
	LABEL_SIZE_MAX = 2048,
	TEXTS_SIZE_MAX = 65536,
	PATH_SIZE = STORE_PATH_SIZE_MAX + 32,
};

struct import {
	struct server *server;
	struct buf texts; /* decoded parameters, which the others point to */
	struct label labels[LABEL_COUNT_MAX];
	size_t label_count;
	enum import_format format;
	struct str type; /* of folded text and speedscope; or "" */
	struct str name; /* the first part of pprof's types, or "" */
	int64_t time_ms;
	struct pprof_summary summary;
	bool was_there;
	char path[PATH_SIZE];	       /* of the file, while it is read */
	struct spool mapped, unpacked; /* the file, which is nobody's to end, and what was in it */
};

/* ---- what is asked ----------------------------------------------------------------------------
 */

static bool is_label_name(struct str name)
{
	for (size_t i = 0; i < name.size; i++)
		if (!isalnum((unsigned char)name.text[i]) && name.text[i] != '_' &&
		    name.text[i] != '.')
			return false;
	return name.size > 0 && !isdigit((unsigned char)name.text[0]) &&
	       !str_starts_with(name, STR("__"));
}

/* "host=web-03". A later one of the same name wins. */
static bool add_label(struct import *import, struct str text, struct reply *reply)
{
	struct str value = text;
	struct str name = { 0 };
	size_t place = 0;

	if (!parse_next(&value, '=', &name) || name.size == text.size || !is_label_name(name) ||
	    value.size == 0 || text.size > LABEL_SIZE_MAX || !utf8_is_valid(value)) {
		reply_error(reply, 400, "label",
			    "label: it must be NAME=VALUE, the name of letters, digits, '_' and "
			    "'.', as in host=web-03");
		return false;
	}
	while (place < import->label_count && !str_equal(import->labels[place].name, name))
		place++;
	if (place == LABEL_COUNT_MAX) {
		reply_error(reply, 400, "label", "label: there are more than %d", LABEL_COUNT_MAX);
		return false;
	}
	import->labels[place] = (struct label){ name, value };
	import->label_count += place == import->label_count;
	return true;
}

/* There may be several, which request_parameter() knows nothing of. */
static bool read_labels(struct import *import, const struct request *request, struct reply *reply)
{
	struct str rest = request->query;
	struct str part;

	while (parse_next(&rest, '&', &part)) {
		struct str key = { 0 };
		struct str value = part;

		if (!parse_next(&value, '=', &key) || !str_equal(key, STR("label")))
			continue;

		size_t start = import->texts.size;

		if (request_decode(value, true, &import->texts)) {
			reply_failure(reply, -ENOMEM);
			return false;
		}
		value = (struct str){ (const char *)import->texts.bytes + start,
				      import->texts.size - start };
		if (!add_label(import, value, reply))
			return false;
	}
	return true;
}

static bool read_format(struct import *import, struct str format, struct reply *reply)
{
	if (format.size == 0)
		return true;
	import->format = import_format_named(format);
	if (import->format != IMPORT_FORMAT_UNKNOWN)
		return true;
	reply_error(reply, 400, "format",
		    "format: it must be pprof, folded, jfr, speedscope, perf or span");
	return false;
}

static bool read_parameters(struct import *import, const struct request *request,
			    struct reply *reply)
{
	char error[TIME_RANGE_ERROR_SIZE] = "";
	struct str format = { 0 };
	struct str at = STR("now");
	struct profile_type type;

	/* Decoding only shrinks: so many bytes never move. */
	if (!buf_grow(&import->texts, 2 * request->query.size + 1)) {
		reply_failure(reply, -ENOMEM);
		return false;
	}
	buf_clear(&import->texts);
	(void)request_parameter(request, STR("format"), &import->texts, &format);
	(void)request_parameter(request, STR("at"), &import->texts, &at);
	(void)request_parameter(request, STR("type"), &import->texts, &import->type);
	(void)request_parameter(request, STR("name"), &import->texts, &import->name);
	if (time_range_parse_time(at, clock_unix_ms(), &import->time_ms, error)) {
		reply_error(reply, 400, "at", "at: %s", error);
		return false;
	}
	if (import->type.size > 0 && profile_type_parse(import->type, &type, NULL)) {
		reply_error(reply, 400, "type", "type: it must be of the form %s",
			    PROFILE_TYPE_FORM);
		return false;
	}
	return read_labels(import, request, reply) && read_format(import, format, reply);
}

/* ---- the file ---------------------------------------------------------------------------------
 */

/* One at a time, so that one name is enough; what a crash left is in nobody's way. */
static int spool(struct import *import, struct request *request, size_t *ret_size)
{
	autoclose int fd = -1;
	int64_t size;

	(void)unlink(import->path);
	fd = open(import->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	size = request_spool_body(request, fd, IMPORT_SIZE_MAX);
	if (size < 0)
		return (int)size;
	*ret_size = (size_t)size;
	return TAKE_FD(fd);
}

static void refuse_body(struct reply *reply, int err)
{
	static_assert(IMPORT_SIZE_MAX == 1 << 30, "the sentence says so");

	switch (err) {
	case -E2BIG:
		reply_error(reply, 413, NULL, "the file is larger than 1 GiB");
		reply->limit = LIMIT_BODY_SIZE;
		break;
	case -ENOSPC:
		reply_error(reply, 507, NULL, "there is no room on the disk for the file");
		break;
	case -ETIMEDOUT:
	case -ETIME:
		reply_error(reply, 408, NULL, "the file came too slowly");
		reply->limit = LIMIT_BODY_TIME;
		break;
	default:
		reply_error(reply, 400, NULL, "the file could not be read: it came in part only");
	}
}

/* The same file with the same labels is known by this number. */
static uint64_t source_of(const struct import *import, struct str bytes)
{
	uint64_t source = table_hash_bytes(bytes.text, bytes.size, 0);

	for (size_t i = 0; i < import->label_count; i++) {
		source = table_hash_bytes(import->labels[i].name.text, import->labels[i].name.size,
					  source);
		source = table_hash_bytes(import->labels[i].value.text,
					  import->labels[i].value.size, source);
	}
	return source ? source : 1;
}

/* ---- files of others, each of which is one batch
 * --------------------------------------------------------------------
 */

/* Everybody's stacks are somebody's. */
static void add_default_service(struct import *import)
{
	for (size_t i = 0; i < import->label_count; i++)
		if (str_equal(import->labels[i].name, STR("service_name")))
			return;
	if (import->label_count < LABEL_COUNT_MAX)
		import->labels[import->label_count++] =
			(struct label){ STR("service_name"), STR("imported") };
}

/* Who has the bytes: what was unpacked, or the file that is mapped. */
static void let_go(void *context, struct str bytes)
{
	const struct import *import = context;

	spool_let_go(&import->unpacked, bytes);
	spool_let_go(&import->mapped, bytes);
}

static int fill(struct import *import, struct str bytes, struct batch *batch,
		char reason[static PPROF_ERROR_SIZE])
{
	struct pprof_origin origin = { .labels = import->labels,
				       .label_count = import->label_count,
				       .name = import->name,
				       .time_unix_ms = import->time_ms,
				       .walked = let_go,
				       .context = import };

	if (import->format == IMPORT_FORMAT_UNKNOWN)
		import->format = import_format_guess(bytes);
	if (import->format == IMPORT_FORMAT_SPAN) {
		snprintf(reason, PPROF_ERROR_SIZE, "a span file is not packed by gzip");
		return -EBADMSG;
	}
	return import_format_read(import->format, bytes, &origin, import->type, batch,
				  &import->summary, reason);
}

static void refuse_contents(struct reply *reply, int err, const char *reason)
{
	if (err == -ENOMEM)
		reply_failure(reply, err);
	else
		reply_error(reply, err == -E2BIG ? 413 : 422, NULL, "nothing was imported: %s",
			    reason[0] ? reason : "the file is broken");
	if (err == -E2BIG)
		reply->limit = LIMIT_BODY_SIZE;
}

static void refuse_store(struct reply *reply, int err)
{
	if (err == -ENOSPC || err == -EIO)
		reply_error(
			reply, 507, NULL,
			"nothing was imported: the store can't be written now, its disk is full "
			"or failing");
	else if (err == -ECANCELED)
		reply_error(reply, 503, NULL, "nothing was imported: the server is stopping");
	else if (err == -E2BIG || err == -EINVAL)
		reply_error(reply, 413, NULL,
			    "nothing was imported: the store can't take so much at once");
	else
		reply_failure(reply, err);
}

/*
 * What lies between it and what is held was not recorded; else it would count as time in which
 * nobody did anything.
 */
static void mark_unrecorded(const struct import *import, struct batch *batch,
			    struct batch_time time)
{
	struct store_status status;

	store_status(import->server->store, &status);
	if (status.newest_ms == 0)
		return;
	if (time.end_unix_ms < status.oldest_ms)
		batch_add_gap(batch, time.end_unix_ms, status.oldest_ms, GAP_NOT_RUNNING);
	else if (time.start_unix_ms > status.newest_ms)
		batch_add_gap(batch, status.newest_ms, time.start_unix_ms, GAP_NOT_RUNNING);
}

static void import_bytes(struct import *import, struct str packed, struct reply *reply)
{
	autoclean(batch) struct batch *batch = NULL;
	char reason[PPROF_ERROR_SIZE] = "";
	struct str bytes = packed;
	int err = batch_new(IMPORT_BATCH_MEMORY_MAX, &batch);

	if (!err && compression_is_packed(packed)) {
		err = compression_unpack(packed, spool_sink, &import->unpacked);
		if (!err)
			err = spool_read(&import->unpacked, &bytes);
		if (err == -EBADMSG)
			snprintf(reason, sizeof(reason),
				 "it is packed by %s, and cut short or damaged",
				 compression_is_gzip(packed) ? "gzip" : "LZ4");
	} else if (packed.size > IMPORT_TEXT_SIZE_MAX) {
		err = -E2BIG;
	}
	if (err == -E2BIG)
		snprintf(reason, sizeof(reason), "it is larger than %d MiB, unpacked",
			 IMPORT_TEXT_SIZE_MAX >> 20);
	if (!err)
		err = fill(import, bytes, batch, reason);
	if (err) {
		refuse_contents(reply, err, reason);
		return;
	}
	batch_set_source(batch, source_of(import, packed), 1);
	mark_unrecorded(import, batch, import->summary.time);
	err = ingest_add(import->server->ingest, batch, true);
	import->was_there = err == -EALREADY;
	if (err && !import->was_there)
		refuse_store(reply, err);
}

/* ---- span files -------------------------------------------------------------------------------
 */

/* Appended so many at a time, then committed. */
enum { COMMIT_BATCH_COUNT = 64, COMMIT_ENTRY_COUNT = 1 << 17 };

struct span_import {
	struct import *import;
	uint64_t source;
	uint64_t sequence;
	uint64_t samples;
	uint64_t added; /* batches that were not there */
	uint32_t uncommitted, uncommitted_entries;
	struct batch_time time; /* of all of it */
	bool counts;		/* looks only */
};

static int take_batch(void *context, struct batch *batch)
{
	struct span_import *span = context;
	struct batch_totals totals = batch_totals(batch);
	bool commits;
	int err;

	if (span->samples == 0 || totals.time.start_unix_ms < span->time.start_unix_ms)
		span->time.start_unix_ms = totals.time.start_unix_ms;
	if (totals.time.end_unix_ms > span->time.end_unix_ms)
		span->time.end_unix_ms = totals.time.end_unix_ms;
	span->samples += totals.samples;
	if (span->counts)
		return 0;
	if (span->sequence == 0)
		mark_unrecorded(span->import, batch, span->import->summary.time);
	batch_set_source(batch, span->source, ++span->sequence);
	span->uncommitted_entries += totals.entries;
	commits = ++span->uncommitted == COMMIT_BATCH_COUNT ||
		  span->uncommitted_entries >= COMMIT_ENTRY_COUNT;
	if (commits)
		span->uncommitted = span->uncommitted_entries = 0;
	err = ingest_add(span->import->server->ingest, batch, commits);
	span->added += !err;
	return err == -EALREADY ? 0 : err;
}

/* Twice: what is wrong is found before anything is taken. */
static int take_span(struct span_import *span, struct store *file, struct batch *batch,
		     char reason[static PPROF_ERROR_SIZE])
{
	struct import *import = span->import;
	const struct extract_options options = { .labels = import->labels,
						 .label_count = import->label_count };
	const struct store_question question = { .to_unix_ms = INT64_MAX };
	struct store_status status;
	int err;

	span->counts = true;
	err = store_extract(file, &question, &options, batch, take_batch, span);
	store_status(file, &status);
	if (!err && (status.has_damage || span->samples == 0)) {
		snprintf(reason, PPROF_ERROR_SIZE, "%s",
			 span->samples == 0 && !status.has_damage
				 ? "there is nothing in it"
				 : "what it says of itself does not fit together");
		return -EBADMSG;
	}
	if (err)
		return err;
	import->summary.time = span->time;
	import->summary.samples = span->samples;
	span->counts = false;
	err = store_extract(file, &question, &options, batch, take_batch, span);
	if (!err && span->uncommitted > 0)
		err = ingest_add(import->server->ingest, NULL, true);
	return err;
}

static void import_span(struct import *import, struct str bytes, struct reply *reply)
{
	struct span_import span = { .import = import, .source = source_of(import, bytes) };
	autoclean(store) struct store *file = NULL;
	autoclean(batch) struct batch *batch = NULL;
	char reason[PPROF_ERROR_SIZE] = "";
	int err = batch_new(IMPORT_BATCH_MEMORY_MAX, &batch);

	static_assert((int)STORE_FILE_ERROR_SIZE == (int)PPROF_ERROR_SIZE, "one text for both");
	if (!err)
		err = store_open_file(import->path, &file, reason);
	if (!err)
		err = take_span(&span, file, batch, reason);
	import->was_there = !err && span.added == 0;
	if (err && span.added > 0)
		reply_error(
			reply, 507, NULL,
			"the store can't be written now; what came so far is kept, and the same "
			"import goes on from there when it is started again");
	else if (err == -ENOSPC || err == -EIO || err == -ECANCELED)
		refuse_store(reply, err);
	else if (err)
		refuse_contents(reply, err == -EPROTONOSUPPORT || err == -EBUSY ? -EBADMSG : err,
				reason);
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void write_answer(const struct import *import, struct reply *reply)
{
	struct json_writer json = JSON_WRITER(&reply->body);

	json_begin_object(&json);
	json_key(&json, "format");
	json_text(&json, str_from(import_format_name(import->format)));
	json_key(&json, "from_ms");
	json_i64(&json, import->summary.time.start_unix_ms);
	json_key(&json, "to_ms");
	json_i64(&json, import->summary.time.end_unix_ms);
	json_key(&json, import->format == IMPORT_FORMAT_SPAN ? "samples" : "stacks");
	json_u64(&json, import->was_there ? 0 : import->summary.samples);
	json_key(&json, "skipped");
	json_u64(&json, import->summary.skipped);
	json_key(&json, "was_there");
	json_boolean_value(&json, import->was_there);
	json_end_object(&json);
}

static void import_file(struct import *import, int fd, size_t size, struct reply *reply)
{
	void *bytes = MAP_FAILED;

	if (size == 0) {
		reply_error(reply, 422, NULL, "nothing was imported: the file is empty");
		return;
	}
	bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED) {
		reply_failure(reply, -ENOMEM);
		return;
	}
	import->mapped.mapped = bytes;
	import->mapped.size = size;
	if (import->format == IMPORT_FORMAT_SPAN ||
	    (import->format == IMPORT_FORMAT_UNKNOWN &&
	     import_format_guess((struct str){ bytes, size }) == IMPORT_FORMAT_SPAN)) {
		import->format = IMPORT_FORMAT_SPAN;
		import_span(import, (struct str){ bytes, size }, reply);
	} else {
		add_default_service(import);
		import_bytes(import, (struct str){ bytes, size }, reply);
	}
	(void)munmap(bytes, size);
	if (reply->status == 200)
		write_answer(import, reply);
}

static void spool_path(const struct settings *settings, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/import.tmp", settings->data);
}

void page_import_tidy(const struct settings *settings)
{
	char path[PATH_SIZE];

	spool_path(settings, path, sizeof(path));
	(void)unlink(path);
}

/* ---- one at a time ----------------------------------------------------------------------------
 */

static bool may_write(const struct server *server, struct reply *reply)
{
	struct store_status status;
	char text[256];

	store_status(server->store, &status);
	if (status.state != STORE_READ_ONLY)
		return true;
	store_state_text(&status, text, sizeof(text));
	reply_error(reply, 507, NULL, "nothing was imported: %s", text);
	return false;
}

void page_import(struct server *server, struct request *request, struct reply *reply)
{
	struct import import = { .server = server,
				 .texts = BUF(TEXTS_SIZE_MAX),
				 .unpacked = SPOOL(server->settings->data, IMPORT_TEXT_SIZE_MAX) };
	autoclose int fd = -1;
	size_t size = 0;
	bool is_busy;

	if (!server->ingest) {
		reply_error(reply, 503, NULL, "nothing is taken into this store now");
		return;
	}
	is_busy = atomic_exchange(&server->is_importing, true);
	if (is_busy) {
		reply_error(reply, 503, NULL, "another import is under way; try again later");
		reply_add_header(reply, "Retry-After", "5");
		return;
	}
	if (read_parameters(&import, request, reply) && may_write(server, reply)) {
		spool_path(server->settings, import.path, sizeof(import.path));
		fd = spool(&import, request, &size);
		if (fd < 0)
			refuse_body(reply, fd);
		else
			import_file(&import, fd, size, reply);
		(void)unlink(import.path);
	}
	buf_done(&import.texts);
	spool_done(&import.unpacked);
	server->is_importing = false;
}

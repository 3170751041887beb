/* SPDX-License-Identifier: Apache-2.0 */
#include "web/uploads.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "symbols/elf_file.h"
#include "symbols/symbols.h"
#include "symbols/upload_store.h"
#include "web/json_writer.h"
#include "web/reply.h"
#include "web/server.h"

enum { READ_SIZE = 64 << 10, HEX_SIZE = 2 * IDENTITY_SIZE_MAX + 1 };

static const char prefix[] = "/symbols/";

static const char *hex_of(const struct identity *identity, char text[static HEX_SIZE])
{
	text[0] = '\0';
	for (size_t i = 0; i < identity->size; i++)
		snprintf(text + 2 * i, 3, "%02x", identity->bytes[i]);
	return text;
}

static bool read_identity(const struct server *server, const struct request *request,
			  struct identity *ret, struct reply *reply)
{
	struct str text = request->path;

	assert(str_starts_with(text, STR(prefix)));
	text.text += strlen(prefix);
	text.size -= strlen(prefix);
	if (!server->uploads) {
		reply_error(reply, 503, NULL,
			    "symbols can't be handed in: see the log of hearth serve");
		return false;
	}
	if (upload_identity_from(text, ret))
		return true;
	reply_error(reply, 400, NULL,
		    "the path is %sBUILDID, 2 to 20 bytes in hexadecimal, as `readelf -n FILE` "
		    "shows it",
		    prefix);
	return false;
}

/* ---- what is wrong ---- */

static const char *mebibytes(uint64_t bytes, char text[static 32])
{
	snprintf(text, 32, "%.1f MiB", (double)bytes / (1 << 20));
	return text;
}

static void refuse_full(const struct server *server, struct reply *reply)
{
	struct upload_stats stats;
	char hex[HEX_SIZE], size[32], all[32], most[32];

	upload_store_stats(server->uploads, &stats);
	if (stats.count == 0)
		reply_error(reply, 507, NULL,
			    "there is no room for it: uploads may take %s (--upload-size), and the "
			    "disk must have it",
			    mebibytes(stats.bytes_max, most));
	else
		reply_error(reply, 507, NULL,
			    "there is no room for it: uploads take %s of %s (--upload-size); the "
			    "largest is %s with %s: `hearth symbols remove BUILDID` makes room",
			    mebibytes(stats.bytes, all), mebibytes(stats.bytes_max, most),
			    hex_of(&stats.largest.identity, hex),
			    mebibytes(stats.largest.bytes, size));
	reply->limit = LIMIT_UPLOADS_SIZE;
}

static void refuse(const struct server *server, int err, struct reply *reply)
{
	switch (err) {
	case -EEXIST:
		reply_error(reply, 409, NULL,
			    "symbols of this build id are here already; DELETE them first to "
			    "replace them");
		break;
	case -EBUSY:
		reply_error(reply, 503, NULL, "%d files are coming in already", UPLOAD_RUNNING_MAX);
		reply_add_header(reply, "Retry-After", "5");
		reply->limit = LIMIT_UPLOADS_RUNNING;
		break;
	case -EFBIG:
		reply_error(reply, 413, NULL, "a file of symbols takes no more than %d MiB",
			    UPLOAD_SIZE_MAX >> 20);
		reply->limit = LIMIT_UPLOAD_SIZE;
		break;
	case -ENOSPC:
		refuse_full(server, reply);
		break;
	case -ETIMEDOUT:
		reply_error(reply, 408, NULL, "the file must be here within %d s",
			    REQUEST_UPLOAD_SECONDS_MAX);
		reply->limit = LIMIT_BODY_TIME;
		break;
	case -ECONNRESET:
	case -EPIPE:
		reply_error(reply, 400, NULL, "the file could not be read to its end");
		break;
	default:
		reply_failure(reply, err);
	}
}

/* ---- PUT ---- */

static int read_body(struct request *request, struct upload *upload)
{
	uint8_t bytes[READ_SIZE];
	uint64_t end_ns = clock_monotonic_ns() +
			  (uint64_t)REQUEST_UPLOAD_SECONDS_MAX * (uint64_t)CLOCK_NS_PER_S;
	int64_t count;

	while ((count = request->read_body ? request->read_body(request, bytes, sizeof(bytes))
					   : 0) > 0) {
		int err = upload_write(upload, bytes, (size_t)count);

		if (!err && clock_monotonic_ns() > end_ns)
			err = -ETIMEDOUT;
		if (err)
			return err;
	}
	return (int)count;
}

static int finish(const struct identity *identity, struct upload *upload, struct reply *reply)
{
	struct identity found;
	const char *reason = "";
	char hex[HEX_SIZE];
	int err = upload_finish(upload, &found, &reason);

	if (err == -ESTALE && found.size > 0)
		reply_error(reply, 400, NULL, "the file is of build id %s", hex_of(&found, hex));
	else if (err == -ESTALE)
		reply_error(reply, 400, NULL,
			    "the file has no build id: link it with -Wl,--build-id");
	else if (err == -EBADMSG || err == -ENODATA)
		reply_error(reply, 400, NULL, "the file is of no use: %s", reason);
	if (!err)
		log_info("symbols of %s were handed in", hex_of(identity, hex));
	return err;
}

/*
 * A whole program is brought like one that runs here: nobody else may have it, as when profiles of
 * another host are pushed. A file of debug information alone waits for its program.
 */
static void bring(struct server *server, const struct identity *identity)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = -1;

	if (upload_store_read(server->uploads, identity, &fd) || elf_file_open(fd, &elf))
		return;
	elf = elf_file_close(elf);
	/* Too many wait: it is asked for again when it runs here. */
	(void)symbols_bring_file(server->symbols, identity, TAKE_FD(fd));
}

bool uploads_take(struct server *server, const struct identity *identity, struct request *request,
		  struct reply *reply)
{
	struct upload *upload = NULL;
	int err = upload_begin(server->uploads, identity, &upload);

	if (!err) {
		err = read_body(request, upload);
		if (err)
			upload = upload_cancel(upload);
		else
			err = finish(identity, upload, reply);
	}
	if (!err) {
		bring(server, identity);
		symbols_search_debug(server->symbols);
	} else if (reply->status == 200) {
		refuse(server, err, reply);
	}
	return !err;
}

static void write_info(struct reply *reply, const struct upload_info *info)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	char hex[HEX_SIZE];

	json_begin_object(&json);
	json_key(&json, "build_id");
	json_text(&json, str_from(hex_of(&info->identity, hex)));
	json_key(&json, "bytes");
	json_u64(&json, info->bytes);
	json_key(&json, "time_ms");
	json_i64(&json, info->unix_ms);
	json_end_object(&json);
}

void uploads_put(struct server *server, struct request *request, struct reply *reply)
{
	struct str encoding = request_header(request, STR("content-encoding"));
	struct identity identity;
	struct upload_info info = { 0 };

	if (!read_identity(server, request, &identity, reply))
		return;
	if (encoding.size > 0 && !str_equal(encoding, STR("identity"))) {
		reply_error(reply, 415, NULL, "send the file as it is, without Content-Encoding");
		return;
	}
	if (!uploads_take(server, &identity, request, reply))
		return;
	info.identity = identity;
	(void)upload_store_find(server->uploads, &identity, &info);
	write_info(reply, &info);
	reply->status = 201;
}

/* ---- GET, DELETE ---- */

void uploads_get(struct server *server, struct request *request, struct reply *reply)
{
	struct identity identity;
	struct upload_info info;

	if (!read_identity(server, request, &identity, reply))
		return;
	if (upload_store_find(server->uploads, &identity, &info))
		reply_error(reply, 404, NULL, "no symbols of this build id were handed in");
	else
		write_info(reply, &info);
}

void uploads_delete(struct server *server, struct request *request, struct reply *reply)
{
	struct identity identity;
	struct upload_info info;

	if (!read_identity(server, request, &identity, reply))
		return;

	int err = upload_store_find(server->uploads, &identity, &info);

	if (!err)
		err = upload_store_remove(server->uploads, &identity);
	if (err == -ENOENT)
		reply_error(reply, 404, NULL, "no symbols of this build id were handed in");
	else if (err)
		reply_failure(reply, err);
	else
		write_info(reply, &info);
}

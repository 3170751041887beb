/* SPDX-License-Identifier: Apache-2.0 */
/* The flame graph as a file, for other programs. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/limits.h"
#include "store/extract.h"
#include "web/compression.h"
#include "web/folded.h"
#include "web/message.h"
#include "web/page.h"
#include "web/pprof.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

enum { NODE_COUNT_MAX = 1000000 };

/* ---- pprof ------------------------------------------------------------------------------------
 */

/* Of our own samples; of others it is not known. */
static int64_t period_of(const struct server *server, const struct profile_type *type)
{
	uint32_t frequency_hz = server->counters.frequency_hz;

	if (frequency_hz == 0 || !str_equal(type->id, PROFILE_TYPE_CPU))
		return 0;
	return CLOCK_NS_PER_S / frequency_hz;
}

static int write_pprof(const struct server *server, const struct page_question *question,
		       const struct flame *flame, struct buf *buf)
{
	autoclean(arena) struct arena arena = ARENA(ANSWER_MEMORY_MAX);
	const struct time_range *range = &question->range;
	struct pprof_options options = {
		.type = &question->type,
		.time_ns = range->from_ms * (int64_t)CLOCK_NS_PER_MS,
		.duration_ns = (range->to_ms - range->from_ms) * (int64_t)CLOCK_NS_PER_MS,
		.period = period_of(server, &question->type),
	};
	Pprof__Profile *profile = pprof_make(flame, &options, &arena);

	if (!profile)
		return arena.error;
	message_pack(&profile->base, buf);
	return buf->error ? buf->error : compression_gzip(buf);
}

/* ---- the answer -------------------------------------------------------------------------------
 */

enum format {
	FORMAT_NONE = 0,
	FORMAT_PPROF,
	FORMAT_FOLDED,
};

static bool read_format(struct page_question *question, const struct request *request,
			enum format *ret, struct reply *reply)
{
	struct str format = { 0 };

	(void)request_parameter(request, STR("format"), &question->texts, &format);
	*ret = str_equal(format, STR("pprof"))	  ? FORMAT_PPROF
	       : str_equal(format, STR("folded")) ? FORMAT_FOLDED
						  : FORMAT_NONE;
	if (*ret == FORMAT_NONE)
		reply_error(reply, 400, "format", "format: it must be pprof or folded");
	return *ret != FORMAT_NONE;
}

/* "hearth-web-03-20261126T144000Z-900s.pb.gz": what, where, since when, how long. */
static void offer(struct reply *reply, const struct server *server, const struct time_range *range,
		  const char *ending)
{
	char host[64];
	char since[32] = "";
	time_t from = (time_t)(range->from_ms / CLOCK_MS_PER_S);
	struct tm parts;
	size_t size = 0;

	for (; size < sizeof(host) - 1 && server->host_name[size]; size++) {
		unsigned char c = (unsigned char)server->host_name[size];

		host[size] = c < 128 && (isalnum(c) || c == '-' || c == '.') ? (char)c : '-';
	}
	host[size] = '\0';
	if (gmtime_r(&from, &parts))
		(void)strftime(since, sizeof(since), "%Y%m%dT%H%M%SZ", &parts);
	reply_offer_file(reply, "hearth-%s-%s-%" PRId64 "s%s", host, since,
			 (range->to_ms - range->from_ms + CLOCK_MS_PER_S / 2) / CLOCK_MS_PER_S,
			 ending);
}

void page_export(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number counts = { "nodes", 0, 1, NODE_COUNT_MAX };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct flame_options options = { .by_module = true };
	enum format format = FORMAT_NONE;
	uint64_t node_count = 0;
	struct flame flame;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &counts, &node_count, reply) ||
	    !read_format(&question, request, &format, reply))
		return;
	options.node_count_max = (uint32_t)node_count;
	options.by_line = format == FORMAT_PPROF;

	if (!page_ask_flame(&question, server, &recorded, &options, &flame, reply))
		return;

	int err = format == FORMAT_PPROF ? write_pprof(server, &question, &flame, &reply->body)
					 : folded_write(&flame, &reply->body);
	flame_done(&flame);
	if (err) {
		reply_failure(reply, err);
		return;
	}
	reply->content_type =
		format == FORMAT_PPROF ? "application/octet-stream" : "text/plain; charset=utf-8";
	reply->is_packed = format == FORMAT_PPROF;
	offer(reply, server, &question.range, format == FORMAT_PPROF ? ".pb.gz" : ".folded.txt");
}

/* ---- span files -------------------------------------------------------------------------------
 */

enum { PATH_SIZE = STORE_PATH_SIZE_MAX + 64 };

static void export_folder(const struct settings *settings, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/export.tmp", settings->data);
}

void page_export_tidy(const struct settings *settings)
{
	char folder[PATH_SIZE];

	export_folder(settings, folder, sizeof(folder));
	folder_remove(folder);
}

static void refuse_span(struct reply *reply, int err)
{
	if (err == -ENODATA)
		reply_error(reply, 404, NULL, "nothing was recorded then, or nothing matches");
	else if (err == -EFBIG || err == -E2BIG)
		reply_error(reply, 413, NULL,
			    "that is more than one file holds; ask for a shorter time");
	else if (err == -ENOSPC)
		reply_error(reply, 507, NULL, "there is no room on the disk to make the file");
	else
		reply_failure(reply, err);
}

/* The file is open, and has no name any more, when it is sent. */
static int make_span(const struct server *server, const struct store_question *question,
		     struct reply *reply)
{
	char folder[PATH_SIZE];
	char path[PATH_SIZE];
	int err;

	export_folder(server->settings, folder, sizeof(folder));
	folder_remove(folder);
	err = store_export(server->store, question, folder, path, sizeof(path));
	if (!err) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			err = -errno;
		else
			reply_send_file(reply, fd);
	}
	folder_remove(folder);
	return err;
}

void page_export_span(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(page_question) struct page_question question = { 0 };
	struct str type = { 0 };
	bool is_busy;
	int err;

	if (!page_question_read(&question, request, reply))
		return;
	/* Every type unless one is asked for; and what is recorded at the end is wanted, too. */
	if (!request_parameter(request, STR("type"), &question.texts, &type))
		question.question.type = (struct str){ 0 };
	is_busy = atomic_exchange(&server->is_exporting, true);
	if (is_busy) {
		reply_error(reply, 503, NULL, "another export is under way; try again later");
		reply_add_header(reply, "Retry-After", "5");
		return;
	}
	err = make_span(server, &question.question, reply);
	server->is_exporting = false;
	if (err)
		refuse_span(reply, err);
	else
		offer(reply, server, &question.range, ".hearth");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The flame graph as a file, for other programs. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "web/compression.h"
#include "web/message.h"
#include "web/page.h"
#include "web/pprof.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

enum { NODE_COUNT_MAX = 1000000 };

/* ---- folded -----------------------------------------------------------------------------------
 */

/* The format has no way to write its own marks in a name. */
static void add_frame(struct buf *buf, struct str name)
{
	char *text = buf_grow(buf, name.size);

	for (size_t i = 0; text && i < name.size; i++) {
		char c = name.text[i];

		text[i] = c == ';' ? ':' : c == '\n' || c == '\r' ? ' ' : c;
	}
}

/* "main;run;burn 1230000000", one line for each node with a value of its own. */
static int write_folded(const struct flame *flame, struct buf *buf)
{
	autofree uint32_t *path = calloc(flame->node_count, sizeof(path[0]));

	if (!path)
		return -ENOMEM;
	for (uint32_t i = 0; i < flame->node_count && !buf->error; i++) {
		uint32_t depth = 0;

		if (flame->nodes[i].self == 0)
			continue;
		for (uint32_t node = i; node > 0; node = flame->nodes[node].parent)
			path[depth++] = node;
		if (depth == 0)
			buf_add_str(buf, STR("[no frames]"));
		while (depth > 0) {
			add_frame(buf, flame->names[flame->nodes[path[--depth]].name]);
			if (depth > 0)
				buf_add_u8(buf, ';');
		}
		buf_printf(buf, " %" PRIu64 "\n", flame->nodes[i].self);
	}
	return buf->error;
}

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

	for (; server->host_name[size] && size < sizeof(host) - 1; size++) {
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

	int err = page_view_start(&question, server, &recorded);

	if (!err)
		err = store_flame(server->store, &question.question, &options, &flame);
	if (err) {
		reply_failure(reply, err);
		return;
	}

	err = format == FORMAT_PPROF ? write_pprof(server, &question, &flame, &reply->body)
				     : write_folded(&flame, &reply->body);
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

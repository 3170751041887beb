/* SPDX-License-Identifier: Apache-2.0 */
#include "web/push.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/batch.h"
#include "web/compression.h"
#include "web/ingest.h"
#include "web/server.h"
#include "web/spool.h"

const char *push_repair_name(unsigned repair)
{
	static const char *const names[PUSH_REPAIR_COUNT] = {
		[PPROF_REPAIRED_TEXT] = "text",
		[PPROF_REPAIRED_TYPE] = "sample_type",
		[PPROF_REPAIRED_LABEL] = "sample_label_left_out",
		[PPROF_REPAIRED_TIME] = "time",
		[PPROF_REPAIR_COUNT + PUSH_LABEL_TEXT] = "label_text",
		[PPROF_REPAIR_COUNT + PUSH_LABEL_DUPLICATE] = "label_twice",
		[PPROF_REPAIR_COUNT + PUSH_LABEL_SERVICE] = "service_name",
	};

	assert(repair < PUSH_REPAIR_COUNT);
	return names[repair];
}

void push_count_labels(struct server *server, const struct push_labels *labels)
{
	for (unsigned i = 0; i < PUSH_LABEL_REPAIR_COUNT; i++)
		server->counters.push_repairs[PPROF_REPAIR_COUNT + i] += labels->repairs[i];
}

static int add_batch(void *context, struct batch *batch)
{
	struct server *server = context;

	return batch_totals(batch).entries > 0 ? ingest_add(server->ingest, batch, false) : 0;
}

static int unpack(struct server *server, struct str packed, struct spool *spool, struct str *ret,
		  char reterr[static PUSH_ERROR_SIZE])
{
	int err = 0;

	static_assert(PUSH_PROFILE_SIZE_MAX == 256 << 20, "the sentence says so");
	*ret = packed;
	*spool = SPOOL(server->settings->data, PUSH_PROFILE_SIZE_MAX);
	if (compression_is_gzip(packed)) {
		err = compression_unpack(packed, spool_sink, spool);
		if (!err)
			err = spool_read(spool, ret);
	} else if (packed.size > PUSH_PROFILE_SIZE_MAX) {
		err = -E2BIG;
	}
	if (err == -E2BIG)
		snprintf(reterr, PUSH_ERROR_SIZE, "it is larger than 256 MiB, unpacked");
	else if (err == -EBADMSG)
		snprintf(reterr, PUSH_ERROR_SIZE, "it is packed by gzip, and cut short or damaged");
	return err;
}

static int read_pprof(struct server *server, struct str bytes, const struct pprof_origin *origin,
		      char reterr[static PUSH_ERROR_SIZE])
{
	autoclean(batch) struct batch *batch = NULL;
	struct pprof_origin full = *origin;
	struct pprof_summary summary = { 0 };
	int err = batch_new(PUSH_BATCH_MEMORY_MAX, &batch);

	static_assert((int)PPROF_ERROR_SIZE <= (int)PUSH_ERROR_SIZE, "one fits into the other");
	full.take = add_batch;
	full.context = server;
	if (!err)
		err = pprof_read(bytes, &full, batch, &summary, reterr);
	if (!err)
		err = add_batch(server, batch);
	if (err)
		return err;
	server->counters.push_profiles++;
	server->counters.push_bytes += bytes.size;
	server->counters.push_stacks += summary.samples;
	server->counters.push_stacks_skipped += summary.skipped;
	for (unsigned i = 0; i < PPROF_REPAIR_COUNT; i++)
		server->counters.push_repairs[i] += summary.repairs[i];
	return 0;
}

int push_pprof(struct server *server, struct str bytes, const struct pprof_origin *origin,
	       char reterr[static PUSH_ERROR_SIZE])
{
	autoclean(spool) struct spool spool = SPOOL(NULL, 0);
	struct str plain;
	int err;

	reterr[0] = '\0';
	assert(server->ingest && origin->time_unix_ms >= 0);
	err = unpack(server, bytes, &spool, &plain, reterr);
	if (!err)
		err = read_pprof(server, plain, origin, reterr);
	if (err == -EBADMSG || err == -E2BIG) {
		server->counters.push_refused++;
		if (!reterr[0])
			snprintf(reterr, PUSH_ERROR_SIZE, "it is too large");
	}
	return err;
}

int push_commit(struct server *server)
{
	return ingest_add(server->ingest, NULL, true);
}

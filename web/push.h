/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "store/batch.h"
#include "web/pprof_reader.h"
#include "web/push_labels.h"
#include "web/push_repairs.h"
#include "web/request.h"

struct jfr_form;
struct server;
struct spool;

/*
 * Profiles that programs send of themselves: push.v1.PusherService of Pyroscope's API
 * (web/push_v1.c), and /ingest, which is older (web/push_ingest.c).
 */
void push_profiles(struct server *server, struct request *request, struct reply *reply);
void push_ingest(struct server *server, struct request *request, struct reply *reply);

/* ---- what these have in common ----------------------------------------------------------------
 */

enum { PUSH_ERROR_SIZE = 240 };

/*
 * Reads a profile, packed by gzip or plain, which may lie in the body that is let go, and appends
 * it to the store, in which it is once push_commit() has succeeded. -EBADMSG and -E2BIG with a
 * sentence in reterr for one that is no good, of which then nothing is stored; else what
 * store_append() and ingest_add() fail with.
 */
int push_pprof(struct server *server, const struct spool *body, struct str bytes,
	       const struct pprof_origin *origin, char reterr[static PUSH_ERROR_SIZE]);

/* The same for a Java flight recording, packed by gzip or LZ4 or plain; see jfr_reader.h. */
int push_recording(struct server *server, const struct spool *body, struct str bytes,
		   const struct pprof_origin *origin, const struct jfr_form *form,
		   char reterr[static PUSH_ERROR_SIZE]);

/*
 * The same for what another reader made a batch of: err is what it ended with, and then nothing is
 * stored; size, what it read. Returns what push_pprof() would.
 */
int push_batch(struct server *server, struct batch *batch, const struct pprof_summary *summary,
	       size_t size, int err, char reterr[static PUSH_ERROR_SIZE]);

/* Writes what was appended to disk. */
int push_commit(struct server *server);

/* Counts and tells what was mended of labels. */
void push_count_labels(struct server *server, const struct push_labels *labels);

/*
 * A request's way: all of its body is received, then it waits for its turn, so that slow senders
 * hold none; it ends before push_commit(), which waits for others. False when the reply tells what
 * is wrong; push_end() after a push_begin() that was true. The body lives as long as the spool.
 */
bool push_receive(struct server *server, struct request *request, struct spool *spool,
		  struct reply *reply);
bool push_begin(struct server *server, const struct request *request, struct spool *spool,
		struct str *ret_body, struct reply *reply);
void push_end(struct server *server);

/* What a body, or the store, failed with, as Connect tells it. */
void push_refuse_body(struct reply *reply, int err);
void push_refuse_store(struct reply *reply, int err);

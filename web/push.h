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
#include "web/retries.h"
#include "web/spool.h"

struct jfr_form;
struct server;

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
 * A request, from push_begin() to push_end(). What it stores is in numbered parts, so that one that
 * failed midway, or whose sender went before it was answered, is stored once when it comes again
 * (web/retries.h).
 */
struct push_request {
	struct server *server;
	struct request *request;
	struct spool spool; /* the body */
	struct retry retry;
	uint64_t part_count;
	bool is_large; /* a profile did not fit into one part */
	bool has_stored;
	bool has_turn;
};

void push_init(struct push_request *push, struct server *server, struct request *request);

/* What it brings besides its query, for telling one that comes again from others; said once, before
 * anything is stored. */
void push_identify(struct push_request *push, struct str content);

/*
 * Reads a profile, packed by gzip or plain, which may lie in the body that is let go, and appends
 * it to the store, in which it is once push_commit() has succeeded. -EBADMSG and -E2BIG with a
 * sentence in reterr for one that is no good, of which then nothing is stored; else what
 * store_append() and ingest_add() fail with.
 */
int push_pprof(struct push_request *push, struct str bytes, const struct pprof_origin *origin,
	       char reterr[static PUSH_ERROR_SIZE]);

/* The same for a Java flight recording, packed by gzip or LZ4 or plain; see jfr_reader.h. */
int push_recording(struct push_request *push, struct str bytes, const struct pprof_origin *origin,
		   const struct jfr_form *form, char reterr[static PUSH_ERROR_SIZE]);

/*
 * The same for what another reader made a batch of: err is what it ended with, and then nothing is
 * stored; size, what it read. Returns what push_pprof() would.
 */
int push_batch(struct push_request *push, struct batch *batch, const struct pprof_summary *summary,
	       size_t size, int err, char reterr[static PUSH_ERROR_SIZE]);

/* Writes what was appended to disk, after push_leave(). */
int push_commit(struct push_request *push);

/* Counts and tells what was mended of labels. */
void push_count_labels(struct server *server, const struct push_labels *labels);

/*
 * A request's way: all of its body is received, then it waits for its turn, so that slow senders
 * hold none; that ends before push_commit(), which waits for others. False when the reply tells
 * what is wrong. The body lives as long as the request.
 */
bool push_receive(struct push_request *push, struct reply *reply);
bool push_begin(struct push_request *push, struct str *ret_body, struct reply *reply);
void push_leave(struct push_request *push);

/* After a push_init(): what is to be remembered of it, by what the reply says. */
void push_end(struct push_request *push, const struct reply *reply);

/* What a body, or the store, failed with, as Connect tells it. */
void push_refuse_body(struct reply *reply, int err);
void push_refuse_store(struct reply *reply, int err);

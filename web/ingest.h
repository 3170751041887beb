/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/window.h"

struct batch;
struct server;

/*
 * The writer: one thread that makes batches of windows, appends them to the store, commits, and
 * keeps the store in order. It owns the store's writing side.
 */
struct ingest;

struct symbols_debug_wish;
struct ingest_options {
	struct server *server;
	/* Told after a commit, and when a file's names are missing; called on the writer's thread.
	 */
	void (*committed)(void *context, uint64_t collector, uint64_t sequence);
	void (*wish)(void *context, const struct identity *identity);
	/* Told when a debug file is missing that may lie in a container. NULL: nobody can bring it.
	 */
	void (*wish_debug)(void *context, const struct symbols_debug_wish *wish);
	/* Told when a process runs code that it made, whose names are not known. NULL: nobody can
	 * bring them. Returns whether it was sent, and is worth waiting for. */
	bool (*wish_jit)(void *context, const struct process_key *process);
	void *context;
};

int ingest_start(const struct ingest_options *options, struct ingest **ret);

/* Commits what is there and takes nothing more: who still comes is refused. */
void ingest_close(struct ingest *ingest);

/* The same, and nobody comes any more. */
struct ingest *ingest_stop(struct ingest *ingest);

/*
 * Takes the window. Waits for room up to timeout_ms: -ETIMEDOUT, and the caller still owns it and
 * tries again later, which keeps the collector from sending more.
 */
int ingest_push(struct ingest *ingest, struct window *window, int timeout_ms);

/* When the writer last went round, monotonic: once a second, if nothing holds it up. Any thread. */
uint64_t ingest_turned_ns(const struct ingest *ingest);

/*
 * A batch that does not come over the link, or NULL: has the writer append it and, with commits,
 * write all that was appended to disk; waits until that is done. -EALREADY when the batch is in the
 * store already, -ECANCELED when the writer ends, else as of store_append() and store_commit(). The
 * batch stays the caller's. Any thread.
 */
int ingest_add(struct ingest *ingest, struct batch *batch, bool commits);

/*
 * Has all that was appended written to disk with what others bring in the next moment, and waits
 * for it: who comes hundreds of times a second shares a commit.
 */
int ingest_commit_soon(struct ingest *ingest);

/*
 * Has the writer's thread call it, between two batches, and waits: what it returned, or -ECANCELED
 * when the writer ends. Any thread.
 */
int ingest_act(struct ingest *ingest, int (*act)(void *context), void *context);

DEFINE_CLEANUP(struct ingest *, ingest, ingest_stop)

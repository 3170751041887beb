/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct batch;
struct queue;
struct store;

/*
 * Batches that do not come over the link. Who brings one waits until the writer has appended it, or
 * has written it to disk; the writer lets all in that have come, and commits for many at once,
 * since a commit for each would sync the disk hundreds of times a second.
 */
enum guest_wish {
	GUEST_APPENDS = 0,
	GUEST_COMMITS,		/* at once */
	GUEST_MAY_COMMIT_LATER, /* with others: at once, or some 50 ms after the last at most */
};

struct guest;

struct guest_list {
	struct guest *first, **last;
};

struct guests {
	struct store *store;
	int (*commit)(void *context); /* writes all that was appended, theirs or not */
	void *context;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t done;
	struct guest_list arrived;
	bool is_announced; /* the guests' address is in the queue */
	bool is_closed;

	/* The writer's. */
	struct guest_list committing;
	uint32_t entries;	  /* appended since the last commit */
	uint64_t commit_ns;	  /* when the next is due */
	uint64_t paused_until_ns; /* for those who may wait */
};

void guests_init(struct guests *guests, struct store *store, int (*commit)(void *context),
		 void *context);
void guests_done(struct guests *guests);

/*
 * Any thread: brings a batch, or NULL, which stays the caller's, and waits. The guests' address in
 * the queue tells the writer. -EALREADY when the batch is in the store, -ECANCELED when the writer
 * ends, else as of store_append() and store_commit().
 */
int guests_bring(struct guests *guests, struct queue *queue, struct batch *batch,
		 enum guest_wish wish);

/* Any thread: has the writer do something, and waits; as above, else what that returned. */
int guests_act(struct guests *guests, struct queue *queue, int (*act)(void *context),
	       void *context);

/* The writer: those that have come; how long it may wait for more; what is due. */
void guests_let_in(struct guests *guests);
int guests_wait_ms(const struct guests *guests, int otherwise_ms);
void guests_commit_due(struct guests *guests);

/* Commits for those who wait, and takes nobody more. */
void guests_close(struct guests *guests);

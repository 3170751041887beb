/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/clock.h"

/*
 * The connections of one span file for reading: one for each thread that reads it, of which a few
 * rest for the next question while the file is still written to. For any thread.
 */
enum {
	/* More than two threads read one file at once when several people ask. */
	CONNECTION_RESTING_MAX = 2,
};

/* Pages that look again do so within it; opening one takes half a millisecond. */
#define CONNECTION_RESTING_NS (UINT64_C(60) * CLOCK_NS_PER_S)

struct connections {
	const char *path; /* the owner's */
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* guarded by the lock */
	struct resting_connection {
		sqlite3 *connection;
		uint64_t since_ns;	   /* monotonic */
	} resting[CONNECTION_RESTING_MAX]; /* the one that rests longest first */
	uint32_t resting_count;
	uint32_t active_count;
	bool left_descriptors;	/* one was closed beside others */
	uint64_t all_closed_ns; /* monotonic: when all were, on that account */
	bool are_shut;
	bool are_immutable; /* the file is never written again */
};

void connections_init(struct connections *connections);

/* Nobody may have one. */
void connections_done(struct connections *connections);

/* A connection for one thread; waits while they are shut. */
int connections_acquire(struct connections *connections, sqlite3 **ret);

/* Accepts NULL. */
void connections_release(struct connections *connections, sqlite3 *connection);

/*
 * Closes those that nobody has wanted for CONNECTION_RESTING_NS: each has a descriptor of the log,
 * and up to half a MiB of pages. SQLite keeps the file's own descriptor while another connection
 * has a lock on it, and one that rests has: once in that time all are closed, if nobody reads and
 * nobody writes.
 */
void connections_tidy(struct connections *connections, bool has_writer, uint64_t now_monotonic_ns);

/* Closes all, so that nobody gets one until they are opened again. False: somebody has one, and
 * nothing has changed. */
bool connections_shut(struct connections *connections);
void connections_open(struct connections *connections, bool are_immutable);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What web/front.c and web/connection.c know of each other, and nobody else: the one has the
 * thread, its sources and clocks, the other what is done with one connection.
 */
#include <netinet/in.h>
#include <pthread.h>

#include "base/clock.h"
#include "web/front.h"
#include "web/listen_address.h"
#include "web/peers.h"
#include "web/server.h"

enum { SCRATCH_SIZE = 64 << 10 };

#define seconds_ns(n) ((uint64_t)(n)*CLOCK_NS_PER_S)

struct listener {
	struct source source; /* first: epoll points here */
	struct front *front;
	struct listen_address address;
};

struct front {
	struct server *server;
	struct front_protocols protocols;
	int epoll_fd;
	struct source wake; /* an eventfd: calls came back, or it is time to stop */
	struct listener listeners[LISTEN_ADDRESS_COUNT_MAX];
	size_t listener_count;
	struct peers *peers;
	pthread_t thread;
	bool is_started;
	_Atomic uint64_t turned_ns; /* when the thread last woke, monotonic */

	struct connection *connections;
	struct connection *dead; /* to be freed when the events at hand are done */
	size_t connection_count, connection_max;
	bool is_paused; /* no descriptors: nobody is let in */
	size_t unread_size;
	uint64_t now_ns, next_tick_ns, stop_ns;

	pthread_mutex_t lock; /* of what follows */
	struct call *returned;
	bool is_stopping;

	uint8_t scratch[SCRATCH_SIZE];
};

void front_tick_soon(struct front *front);
void front_count_limit(struct front *front, enum limit limit);

/* A descriptor has come back. */
void front_resume_accepting(struct front *front);

/* Of epoll's: something can be read from the client, or written to it. */
void connection_ready(struct source *source, uint32_t events);

/* Ends it; the memory stays until front_free_dead(). */
void connection_close(struct connection *connection);
void front_free_dead(struct front *front);

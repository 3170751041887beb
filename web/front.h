/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "web/call.h"
#include "web/fifo.h"
#include "web/limit.h"
#include "web/request.h"

struct listen_addresses;
struct peer_entry;
struct server;
struct tls;
struct tls_session;

/*
 * The thread in front of everything: accepts, looks at the first bytes, moves bytes, and keeps the
 * clocks. It never blocks and runs no handler. A protocol (web/relay.h) makes calls of bytes and
 * bytes of answers.
 */
struct front;

/* What epoll points to. */
struct source {
	int fd; /* -1: closed */
	uint32_t wanted;
	void (*ready)(struct source *source, uint32_t events);
};

/* Which clock a connection stands under. The limits are in base/limits.h. */
enum front_clock {
	CLOCK_IDLE,   /* between requests */
	CLOCK_HEAD,   /* a head began */
	CLOCK_BODY,   /* a body comes: the protocol asks at every tick */
	CLOCK_WAIT,   /* the protocol waits for a thread */
	CLOCK_WORK,   /* a handler has it: its own clock counts */
	CLOCK_LINGER, /* all is said, and what the client still sends is thrown away */
};

struct connection {
	struct source source;
	struct front *front;
	struct peer peer;
	struct peer_entry *entry; /* NULL for loopback and unix sockets, which are not limited */
	const struct protocol *protocol; /* NULL until the first bytes tell */
	void *state;			 /* the protocol's; freed with the connection */

	enum front_clock clock;
	uint64_t clock_ns;    /* since when */
	uint64_t progress_ns; /* of writing: when it last went on */

	bool has_ended; /* the client sends no more */
	bool is_last;	/* closed once all is sent */
	bool is_dead;	/* freed when the events at hand are done */

	struct tls_session *tls; /* NULL: none, or not yet */
	bool tls_is_ready, tls_wants_output;
	bool is_peeked;	   /* whether it begins with TLS is known */
	uint8_t first[24]; /* that may become HTTP/2's preface */
	size_t first_size;
	unsigned idle_seconds; /* that it may be idle */

	size_t unread_size; /* of answers that wait to be sent */
	struct fifo out;    /* to be sent */
	struct buf large;   /* behind it: an answer that is sent from where it was made */
	size_t large_sent;

	struct connection *next, *previous;
};

/* A negative return closes the connection at once. */
struct protocol {
	int (*start)(struct connection *connection);
	/* What came; all of it is taken. */
	int (*input)(struct connection *connection, const uint8_t *bytes, size_t size);
	/* The client sends no more. */
	int (*input_ended)(struct connection *connection);
	/* All that was to be sent is. */
	int (*flushed)(struct connection *connection);
	/* A worker wants a call to be looked at: front_notice(). May be NULL. */
	int (*noticed)(struct connection *connection, struct call *call);
	/* A worker gave a call back; the reply is the protocol's to send. */
	int (*answered)(struct connection *connection, struct call *call);
	/* A few times a second, and soon after one of the clocks has run out. */
	int (*tick)(struct connection *connection, uint64_t now_ns);
	/* The server stops: nothing new, what runs is answered. */
	int (*stop)(struct connection *connection);
	void (*close)(struct connection *connection);
	/* Whether more input may come now. */
	bool (*wants_input)(const struct connection *connection);
};

enum { FRONT_ERROR_SIZE = 400 };

struct front_protocols {
	const struct protocol *http1, *http2;
	void *http1_context, *http2_context;
	struct tls *tls; /* NULL: TLS is not spoken */
};

/*
 * Opens the addresses, whose ports are then in *addresses. One that is optional, or one of several
 * that is taken, is marked as missing and logged; server->address_missing says why. Errors are
 * listen_address_open()'s.
 */
int front_new(struct server *server, struct listen_addresses *addresses,
	      const struct front_protocols *protocols, struct front **ret,
	      char reterr[static FRONT_ERROR_SIZE]);
int front_start(struct front *front);

/* Nothing new, what runs is answered, for ten seconds at most; then the thread ends. */
void front_stop(struct front *front);

/* Has the thread look around, and tells when it last did, monotonic. Any thread. */
uint64_t front_turned_ns(struct front *front);

struct front *front_free(struct front *front);

/* A worker's: the call is answered. Uses up its reference. Any thread. */
void front_return(struct call *call);

/* A worker's, while it has the call: something about it is to be looked at. Any thread. */
void front_notice(struct call *call);

/* ---- for protocols: the front's thread alone --------------------------------------------------
 */

int front_add(struct front *front, struct source *source, uint32_t events);
void front_want(struct front *front, struct source *source, uint32_t events);
/* Closes it; the memory must stay until the events at hand are done. */
void front_remove(struct source *source);

struct server *front_server(const struct front *front);
const struct front_protocols *front_protocols_of(const struct front *front);
uint64_t front_now_ns(const struct front *front);

/* Whether its address may send another request now; counted when not. */
bool front_take_request(struct connection *connection);

void connection_set_clock(struct connection *connection, enum front_clock clock);

/* Sends, and keeps what the socket does not take. */
int connection_send(struct connection *connection, const void *bytes, size_t size);

/* The same behind all that, of a buf that it empties; no other may be under way. */
int connection_send_large(struct connection *connection, struct buf *bytes);

/* So much more, or less, of answers waits to be sent: for the budget of them all. */
void connection_count_unread(struct connection *connection, ptrdiff_t more);

bool connection_is_flushed(const struct connection *connection);

/* Asks epoll for what is wanted now; after anything that may have changed that. */
void connection_refresh(struct connection *connection);

/* What the front does with what a protocol's function returns: negative closes. */
void connection_conclude(struct connection *connection, int err);

/* All is said: ends when it is sent, and what still comes is thrown away. 0 or negative. */
int connection_finish(struct connection *connection);

DEFINE_CLEANUP(struct front *, front, front_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "web/limit.h"
#include "web/role.h"

/*
 * What a handler sees of a request, and the reply it writes. No type of the HTTP library is among
 * them: the same handler serves HTTP/1.1, later HTTP/2 and gRPC, and tests without a socket.
 */
struct store_asker;

struct header {
	struct str name; /* as sent; compare without case */
	struct str value;
};

/* Through which door somebody came. */
enum peer_kind {
	PEER_REMOTE = 0,
	PEER_LOOPBACK = 1,
	PEER_UNIX = 2,
};

struct peer {
	enum peer_kind kind;
	char address[64];     /* for logs: "127.0.0.1:41234", "unix uid 1000" */
	char host[48];	      /* "127.0.0.1"; "" for a unix socket */
	bool is_owner;	      /* of a unix socket: root, or the server's own user */
	bool is_secure;	      /* by TLS */
	char certificate[64]; /* the common name of a client certificate that was verified, or "" */
};

enum http_version {
	HTTP_1 = 0,
	HTTP_2 = 2,
};

struct request {
	enum http_version version;
	struct str method;
	struct str path;  /* decoded, without the query */
	struct str query; /* still encoded */
	struct header headers[REQUEST_HEADER_COUNT_MAX];
	size_t header_count;
	struct peer peer;
	enum role role;
	char who[80]; /* how it got its role, for logs: "token grafana", "loopback" */
	uint64_t deadline_monotonic_ns;
	size_t message_size_max;   /* of a call, unpacked; 0: REQUEST_MESSAGE_SIZE_MAX */
	struct store_asker *asker; /* for questions to the store; NULL where there are none */

	/* Whether nobody waits for the answer any more; NULL when that can't be known. */
	bool (*is_gone)(const struct request *request);
	void *client; /* what that looks at */

	/* Up to size bytes of the body: how many, 0 at its end, or a negative errno. */
	int64_t (*read_body)(struct request *request, void *bytes, size_t size);
	void *body_context;
};

/* The header's value, compared without case; a NULL text when it is not there. */
struct str request_header(const struct request *request, struct str name);

/*
 * Undoes percent-encoding, strictly: two hexadecimal digits after each '%', no NUL. The text is
 * added at the buffer's end. -EBADMSG for what is no encoding, -EFBIG, -ENOMEM.
 */
int request_decode(struct str text, bool plus_is_space, struct buf *buffer);

/* Whether the query can be decoded: asked once, before any handler sees it. */
bool request_query_is_sound(const struct request *request);

/*
 * A query parameter, decoded into the buffer (added at its end); false when it is not there. The
 * first of several. One buffer serves all of a handler's parameters and their texts live as long as
 * it, when nothing else writes to it and each name is asked for once.
 */
bool request_parameter(const struct request *request, struct str name, struct buf *buffer,
		       struct str *ret);

/*
 * Reads the body as it is on the wire before anything scarce is taken for the request; read_body()
 * then gives it from memory. -E2BIG beyond held->bytes.limit, -ETIMEDOUT when it takes too long as
 * a whole, -ETIME when it comes too slowly, or the reader's error.
 */
struct held_body {
	struct buf bytes;
	size_t next; /* to be given */
};
int request_hold_body(struct request *request, struct held_body *held);

/*
 * The whole body, its Content-Encoding (coding.h) undone; body->limit bounds what it
 * unpacks to. -E2BIG beyond it, -EBADMSG for a broken encoding, -EOPNOTSUPP for an unknown one,
 * -ETIMEDOUT, -ETIME.
 */
int request_read_body(struct request *request, struct buf *body);

/* The same, given on in pieces to a sink, which fails with -E2BIG when it has enough. */
typedef int request_sink(void *context, const void *bytes, size_t size);
int request_take_body(struct request *request, request_sink *sink, void *context);

/*
 * The body as it is on the wire, at the end of a file. Its size, or -E2BIG beyond size_max and else
 * as above, or what writing fails with.
 */
int64_t request_spool_body(struct request *request, int fd, size_t size_max);

/* What was wrong, for protocols that have a place for it besides the body. */
struct rpc_error {
	int code; /* enum connect_code; 0: none */
	char message[512];
};

struct reply {
	int status;		  /* 200 unless set */
	const char *content_type; /* a literal */
	struct buf body;
	bool may_be_cached;	      /* else Cache-Control: no-store */
	bool never_changes;	      /* and is not even asked for again */
	char etag[40];		      /* "" for none */
	const char *content_encoding; /* a literal, or NULL */
	bool is_packed;		      /* the body is a file that is compressed */
	bool is_file;		      /* it is not in body: it is what file_fd has, all of it */
	int file_fd;		      /* the reply's own */
	char disposition[160];	      /* what a header below says */
	char figures[160];	      /* and another */
	struct header headers[8];     /* more of them; texts are literals, or above */
	size_t header_count;
	struct header trailers[4]; /* behind the body; HTTP/2 has them */
	size_t trailer_count;
	struct rpc_error rpc_error;
	/* Texts of headers and trailers about it: web/grpc.h. */
	char rpc_status[12], rpc_message[1024], rpc_details[1024];
	enum limit limit; /* of a refusal: the one that was hit */
	bool is_for_now;  /* of a refusal: the same may be taken a second later */
};

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/*
 * What a handler sees of a request, and the reply it writes. No type of the HTTP library is among
 * them: the same handler serves HTTP/1.1, later HTTP/2 and gRPC, and tests without a socket.
 */
enum { REQUEST_HEADER_COUNT_MAX = 64 };

struct header {
	struct str name; /* as sent; compare without case */
	struct str value;
};

/* Who asks. */
enum role {
	ROLE_NOBODY = 0, /* health only */
	ROLE_READER = 1,
	ROLE_ADMIN = 2,
};

struct peer {
	char address[64]; /* for logs: "127.0.0.1:41234" */
	bool is_loopback;
};

struct request {
	struct str method;
	struct str path;  /* decoded, without the query */
	struct str query; /* still encoded */
	struct header headers[REQUEST_HEADER_COUNT_MAX];
	size_t header_count;
	struct peer peer;
	enum role role;
	uint64_t deadline_monotonic_ns;

	/* Up to size bytes of the body: how many, 0 at its end, or a negative errno. */
	int64_t (*read_body)(struct request *request, void *bytes, size_t size);
	void *body_context;
};

/* The header's value, compared without case; a NULL text when it is not there. */
struct str request_header(const struct request *request, struct str name);

/* A query parameter, decoded into the buffer (added at its end); false when it is not there. */
bool request_parameter(const struct request *request, struct str name, struct buf *buffer,
		       struct str *ret);

/*
 * The whole body, Content-Encoding gzip and zstd undone; body->limit bounds what it unpacks to.
 * -E2BIG beyond it, -EBADMSG for a broken encoding, -EOPNOTSUPP for an unknown one, -ETIMEDOUT.
 */
int request_read_body(struct request *request, struct buf *body);

struct reply {
	int status;		  /* 200 unless set */
	const char *content_type; /* a literal */
	struct buf body;
	bool may_be_cached;	      /* else Cache-Control: no-store */
	char etag[40];		      /* "" for none */
	const char *content_encoding; /* a literal, or NULL */
	struct header headers[8];     /* more of them; texts are literals */
	size_t header_count;
};

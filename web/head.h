/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "web/limit.h"

/*
 * Looks through the head of an HTTP/1.1 request before anybody acts on it. It takes less than
 * RFC 9112 allows: what two readers could understand in two ways is refused, so that where a
 * request ends is beyond doubt. Nothing is changed and nothing kept.
 */
enum head_body {
	HEAD_BODY_NONE = 0,
	HEAD_BODY_LENGTH = 1,
	HEAD_BODY_CHUNKED = 2,
};

struct head {
	size_t size; /* with the empty line at its end */
	enum head_body body;
	uint64_t body_size;    /* of HEAD_BODY_LENGTH */
	bool is_for_head;      /* the method is HEAD: the answer has no body */
	bool stays_open;       /* the client wants to go on using the connection */
	bool is_plain;	       /* no Connection header says anything but keep-alive */
	bool expects_continue; /* waits for 100 before it sends the body */

	/* Of what is refused. */
	int status;
	enum limit limit;
	const char *why; /* a literal */
};

enum head_state {
	HEAD_UNFINISHED, /* all that is here is good, but there is more to come */
	HEAD_WHOLE,
	HEAD_REFUSED, /* status, limit and why tell; the connection can't go on */
};

/*
 * Reads what is here of a head. seen: how many of these bytes an earlier call found unfinished, so
 * that a head which comes byte by byte is not looked through anew each time; 0 at first.
 */
enum head_state head_read(const uint8_t *bytes, size_t size, size_t seen, struct head *ret);

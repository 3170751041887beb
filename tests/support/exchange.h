/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/reply.h"
#include "web/request.h"

/* A request without a socket, and the reply to it. Texts are the test's. */
struct exchange {
	struct request request;
	struct str body;
	size_t body_next;
	size_t piece_size; /* the body comes in pieces of so many bytes; 0: as asked */
	struct reply reply;
};

/* target: "/path?query". It has a Host and comes from this host. */
void exchange_init(struct exchange *exchange, const char *method, const char *target);
void exchange_done(struct exchange *exchange);

void exchange_header(struct exchange *exchange, const char *name, const char *value);
void exchange_body(struct exchange *exchange, struct str body);

/* The reply's body as a C string, for as long as nothing is added to it. */
const char *exchange_text(struct exchange *exchange);

static inline void exchange_cleanup(struct exchange *exchange)
{
	exchange_done(exchange);
}

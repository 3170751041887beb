/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "web/request.h"

/*
 * Making replies. An answer of ours is JSON unless its handler says otherwise. An error is one
 * readable sentence and tells nothing of paths, SQL or libraries.
 */
void reply_init(struct reply *reply);
void reply_done(struct reply *reply);

/* A header of the answer; name and value must be literals. */
void reply_add_header(struct reply *reply, const char *name, const char *value);

/* What the answer cost the store, in a header of its own. Once. */
struct store_asker;
void reply_add_figures(struct reply *reply, const struct store_asker *asker, uint64_t took_ns);

/* The answer is a file of this name, for a browser to keep; plain letters only. Once. */
void reply_offer_file(struct reply *reply, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The body is this open file, of bytes that no browser shows. Takes the descriptor. */
void reply_send_file(struct reply *reply, int fd);

/* Reads such a file into the body; what is too large becomes a refusal. */
void reply_load_file(struct reply *reply);

/*
 * {"error":"from: 'x' is not a time","parameter":"from"}; parameter may be NULL. Throws away what
 * the handler wrote.
 */
void reply_error(struct reply *reply, int status, const char *parameter, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* What a failed question to the store means for who asked: one table for all handlers. */
struct failure {
	int status;
	const char *code; /* of Connect */
	const char *sentence;
	enum limit limit; /* that was hit, or LIMIT_NONE */
};
struct failure failure_from_errno(int err);

/* The same as an error reply of the page's API. */
void reply_failure(struct reply *reply, int err);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "web/front.h"

struct routes;
struct workers;

/*
 * HTTP/2 in the front, by nghttp2. Each request is a stream (web/stream.h), which a worker answers
 * by the same routes as HTTP/1.1. A client gets room for more of a body only as the worker takes
 * it, and none of its requests is begun while it does not read its answers. Frames that carry
 * nothing are counted; too many of them end the connection.
 */
struct http2;

int http2_new(struct routes *routes, struct workers *workers, struct http2 **ret);
/* The front's thread has ended. Accepts NULL. */
struct http2 *http2_free(struct http2 *http);

/* For front_new(), with this for its context. */
extern const struct protocol http2_protocol;

DEFINE_CLEANUP(struct http2 *, http2, http2_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/network.h"
#include "web/request.h"

/*
 * What proxies say of whom they pass on: X-Forwarded-For, -Proto and -Host, and RFC 7239's
 * Forwarded.
 */

/* Whether the request was passed on, by whatever it says itself. */
bool forwarded_is_there(const struct request *request);

struct forwarded {
	struct network_address client; /* the last one on the way that is no trusted proxy */
	bool is_known;	/* else the way holds no address, or what is none: "unknown", "_hidden" */
	bool is_secure; /* the client spoke TLS with the proxy */
};

/*
 * Reads what a trusted proxy has said. The way is read from its end, since everything before what
 * the first trusted proxy added is the client's own invention.
 */
struct forwarded forwarded_read(const struct request *request,
				const struct network_ranges *trusted);

/* The Host that the client asked for, as the last proxy says; an absent text when it says none. */
struct str forwarded_host(const struct request *request);

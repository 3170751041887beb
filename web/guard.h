/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "web/request.h"

/*
 * Who may ask at all. Everybody on this host can connect to loopback, and so can any web page that
 * a browser here has open: through a name that points to 127.0.0.1 (DNS rebinding), or blindly by a
 * form or a fetch. Host, Origin and Sec-Fetch-Site tell these from our own page and from clients
 * that are no browsers.
 */
enum {
	/* localhost, 127.0.0.1, [::1], the host's name; where we listen; allowed-hosts */
	GUARD_HOST_COUNT_MAX = 4 + LISTEN_ADDRESS_COUNT_MAX + ALLOWED_HOST_COUNT_MAX,
	GUARD_HOST_SIZE_MAX = 256,
};

struct guard {
	char hosts[GUARD_HOST_COUNT_MAX][GUARD_HOST_SIZE_MAX];
	size_t host_count;
	bool takes_any_address; /* listens on all of them: a Host that is one can't be a rebound
				   name */
};

/*
 * listen_addresses: "127.0.0.1:4040,[::1]:4040"; host_name may be ""; allowed_hosts:
 * "hearth.example, box:8080", as requests name us through a proxy or from elsewhere.
 */
void guard_init(struct guard *guard, const char *listen_addresses, const char *host_name,
		const char *allowed_hosts);

/*
 * host is what the client asked for (access_host()). 0, or the status of the refusal and its
 * sentence in *ret_reason, a literal.
 */
int guard_check(const struct guard *guard, const struct request *request, struct str host,
		const char **ret_reason);

/* On every answer. The page has no inline script or style and is framed by nobody. */
#define GUARD_HEADERS                                                                              \
	"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "       \
	"img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "             \
	"form-action 'none'; frame-ancestors 'none'\r\n"                                           \
	"X-Content-Type-Options: nosniff\r\n"                                                      \
	"Referrer-Policy: no-referrer\r\n"                                                         \
	"Cross-Origin-Opener-Policy: same-origin\r\n"                                              \
	"Cross-Origin-Resource-Policy: same-origin\r\n"

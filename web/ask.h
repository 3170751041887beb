/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * For the program's own commands: asks the server that runs on this host. addresses: as of --http,
 * of which a unix socket is taken first.
 * The body of the answer is added to ret. -ECONNREFUSED when nobody listens, -EPROTO when the
 * answer is none of HTTP or not 200, -ETIMEDOUT.
 */
int ask_server(const char *addresses, const char *method, const char *path, struct buf *ret);

/* The same with a body, which may be NULL, and with any status, which leaves through ret_status.
 * Waits for minutes, since files take them. */
struct ask_body {
	uint64_t size;
	/* Fills the room: 0, or a negative errno that ends it all. */
	int (*read)(void *context, uint64_t offset, void *room, size_t size);
	void *context;
};
int ask_server_with(const char *addresses, const char *method, const char *path,
		    const struct ask_body *body, int *ret_status, struct buf *ret);

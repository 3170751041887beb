/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"

struct server;
struct settings;

/*
 * HTTP/1.1 on one address. Reads a request's head, refuses what two readers could
 * understand in two ways, and hands the rest to web/routes.h. Threads of its own, one for each
 * connection.
 */
struct http1;

enum { HTTP1_ERROR_SIZE = 320 };

/*
 * address: "127.0.0.1:4040", "localhost:4040"; port 0 takes a free one, and *ret_port is the real
 * one. An error comes with a sentence in reterr: -EINVAL for what is no address, -EPERM for one
 * that is not loopback while nobody has a token, -EADDRINUSE, which names who has it where that can
 * be told, -EACCES, -ENOMEM, -EIO.
 */
int http1_start(const char *address, struct server *server, struct http1 **ret, uint16_t *ret_port,
		char reterr[static HTTP1_ERROR_SIZE]);

/* Whether http1_start() would take the settings, without asking the kernel for the address. */
int http1_check(const struct settings *settings, char reterr[static HTTP1_ERROR_SIZE]);

/* Answers what is being asked, then ends. Accepts NULL, returns NULL. */
struct http1 *http1_stop(struct http1 *http);

DEFINE_CLEANUP(struct http1 *, http1, http1_stop)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct server;
struct settings;

/*
 * Everything that strangers can reach: the addresses of --http, the front that accepts there, the
 * protocols, and the routes that answer.
 */
struct door;

enum { DOOR_ERROR_SIZE = 400 };

/*
 * Listens and answers until door_stop(). An error comes with a sentence in reterr: -EINVAL for what
 * is no address or no setting, -EPERM for an address beyond loopback while nobody has a token,
 * -EBADMSG for tokens that can't be read, -EADDRINUSE when all are taken, which names who has one
 * where that can be told, -EACCES, -ENOMEM, -EIO.
 */
int door_start(struct server *server, struct door **ret, char reterr[static DOOR_ERROR_SIZE]);

/* Whether door_start() would take the settings, without asking the kernel for the addresses. */
int door_check(const struct settings *settings, char reterr[static DOOR_ERROR_SIZE]);

/* The port of the first TCP address, as it is; 0 when there is none. */
uint16_t door_port(const struct door *door);

/* Where it can be asked from here, a URL a line, the first being the one to open. */
void door_describe(const struct door *door, struct buf *text);

/* When the thread that serves all connections last went round, monotonic; it is asked to do so. */
uint64_t door_turned_ns(struct door *door);

/* The addresses of --otlp-grpc and --otlp-http that it has, with commas. */
void door_describe_otlp(const struct door *door, struct buf *text);

/* Answers what is being asked, then ends. Accepts NULL, returns NULL. */
struct door *door_stop(struct door *door);

DEFINE_CLEANUP(struct door *, door, door_stop)

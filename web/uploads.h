/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "web/request.h"

struct server;

/*
 * Symbols that are handed in, under /symbols/BUILDID: PUT of an ELF file as it is, GET of what is
 * known of one, DELETE. What another protocol brings goes through uploads_take(), too.
 */
void uploads_put(struct server *server, struct request *request, struct reply *reply);
void uploads_get(struct server *server, struct request *request, struct reply *reply);
void uploads_delete(struct server *server, struct request *request, struct reply *reply);

struct identity;

/*
 * Reads the request's body into the store of uploads, under this build id, and has names made of
 * it. A failure is in the reply, and leaves nothing: 400 for a file that is not what it should be,
 * 409 when it is there already, 413 beyond a size, 503 when too many come in, 507 when the store or
 * the disk is full, naming the largest. True: it is there.
 */
bool uploads_take(struct server *server, const struct identity *identity, struct request *request,
		  struct reply *reply);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "web/pprof_reader.h"
#include "web/push_labels.h"
#include "web/request.h"

struct server;

/*
 * Profiles that programs send of themselves. push.v1.PusherService of Pyroscope's API is
 * push_profiles() (web/push_v1.c); what follows is for whatever else brings profiles, too.
 */
void push_profiles(struct server *server, struct request *request, struct reply *reply);

enum { PUSH_ERROR_SIZE = 240 };

/* What was mended, for /metrics: first those of pprof_reader.h, then those of push_labels.h. */
enum { PUSH_REPAIR_COUNT = PPROF_REPAIR_COUNT + PUSH_LABEL_REPAIR_COUNT };
const char *push_repair_name(unsigned repair);

/*
 * Reads a profile, packed by gzip or plain, and appends it to the store, in which it is once
 * push_commit() has succeeded. -EBADMSG and -E2BIG with a sentence in reterr for one that is no
 * good, of which then nothing is stored; else what store_append() and ingest_add() fail with.
 */
int push_pprof(struct server *server, struct str bytes, const struct pprof_origin *origin,
	       char reterr[static PUSH_ERROR_SIZE]);

/* Writes what was appended to disk. */
int push_commit(struct server *server);

/* Counts what was mended of labels. */
void push_count_labels(struct server *server, const struct push_labels *labels);

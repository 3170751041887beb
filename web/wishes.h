/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"

struct process_key;
struct symbols_debug_wish;

/*
 * What the collector is to be asked for, until it was. Any thread adds, one sends. What finds no
 * room is wished for again by who wanted it.
 */
struct wishes;

enum {
	/* Of a busy host's first second: 300 modules are usual. */
	WISHES_FILE_COUNT_MAX = 1024,
	WISHES_JIT_COUNT_MAX = 64,
	WISHES_DEBUG_COUNT_MAX = 64,
};

int wishes_new(struct wishes **ret);
struct wishes *wishes_free(struct wishes *wishes);

/* False when there is no room. A file; what a process writes of code that it made; the debug file
 * of a file in a container, or what that shares with others. */
bool wishes_add_file(struct wishes *wishes, const struct identity *identity);
bool wishes_add_jit(struct wishes *wishes, const struct process_key *process);
bool wishes_add_debug(struct wishes *wishes, const struct symbols_debug_wish *debug);

/* Sends what waits; adds how many that were. -EAGAIN: the socket has no room for the rest. */
int wishes_send(struct wishes *wishes, int socket, uint64_t *sent);

DEFINE_CLEANUP(struct wishes *, wishes, wishes_free)

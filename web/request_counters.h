/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

/*
 * How many requests each route answered, with which status, and how long it took. Any thread may
 * count at any time.
 */
struct request_counters;

/* names: of the routes, in the order of their numbers; literals, which the object points to. */
int request_counters_new(const char *const *names, size_t count, struct request_counters **ret);
struct request_counters *request_counters_free(struct request_counters *counters);

void request_counters_add(struct request_counters *counters, size_t route, int status,
			  uint64_t time_ns);

/* In the text format of Prometheus; routes that nobody asked are left out. */
void request_counters_write(const struct request_counters *counters, struct buf *buf);

DEFINE_CLEANUP(struct request_counters *, request_counters, request_counters_free)

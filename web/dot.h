/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "web/profile_type.h"

struct flame;

/*
 * A flame graph as a graph of calls for Graphviz: a box for each function, the more it weighs the
 * larger, and an arrow for each call. The heaviest functions by what they and their callees weigh;
 * a function that calls itself counts once. Nothing for a graph without a value.
 * https://graphviz.org/doc/info/lang.html
 *
 * Appends to the buf, which keeps an error; -ENOMEM.
 */
int dot_write(const struct flame *flame, const struct profile_type *type, uint32_t node_count_max,
	      struct buf *buf);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/window.h"

/*
 * Windows in which every field may hold anything that it may hold, small ones: for codecs and for
 * whatever passes windows on. The same seed makes the same window. For the shapes of real load see
 * tests/support/generator.h.
 */
struct window *random_window(uint64_t seed);

/* Accepts NULL, returns NULL. */
struct window *random_window_free(struct window *window);

/* The first thing in which they differ, or NULL: order, texts, and where times and frames lead to.
 */
const char *window_difference(const struct window *a, const struct window *b);

DEFINE_CLEANUP(struct window *, random_window, random_window_free)

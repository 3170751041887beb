/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/ingest.h"

/*
 * Makes batches of windows: addresses become places in files and kernels, processes series, threads
 * labels of samples, and code that a process made for itself gets its names. One thread's.
 */
struct window_batch;

int window_batch_new(const struct ingest_options *options, struct window_batch **ret);
/* Accepts NULL, returns NULL. */
struct window_batch *window_batch_free(struct window_batch *filling);

/*
 * Clears the batch and fills it. Waits up to 200 ms for names that a process wrote of its code.
 * -E2BIG and -EINVAL for a window that will never fit, -ENOMEM.
 */
int window_batch_fill(struct window_batch *filling, const struct window *window,
		      struct batch *batch);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/window.h"

struct batch;
struct buf;
struct identity;

/*
 * Windows of an invented busy host (busy_host.h), a second each, from a seed: what a collector on
 * it would send. Benchmarks with a fixed pool of stacks make every store look better than it is;
 * test_generator.c holds this one to recordings of real programs.
 */
struct generator;

struct generator_options {
	uint64_t seed;
	uint32_t service_count;
	uint32_t process_count;	     /* living at once, about; at least one a service */
	uint32_t samples_per_window; /* of one second; with a day's rhythm it is the mean */
	bool has_rhythm;	     /* else there are exactly so many in each window */
	uint32_t cpu_count;
	uint32_t frequency_hz;
	int64_t start_unix_ns; /* of the first window */
};

int generator_new(const struct generator_options *options, struct generator **ret);
struct generator *generator_free(struct generator *generator);

/* The next second. Valid until the next call; belongs to the generator. */
const struct window *generator_next(struct generator *generator);

/*
 * A file of that window that was not given before, with a name for each function that a stack may
 * have: which it is, and its bytes in an empty buf. False when all were given.
 */
bool generator_next_file(struct generator *generator, struct identity *ret, struct buf *ret_elf);

/* The kernel's functions as /proc/kallsyms has them, put into an empty buf. */
void generator_list_kernel(struct buf *ret);

/*
 * The window that generator_next() gave last, put into a batch that is empty, as the server would:
 * for feeding a store without a server. With leaf_functions the leaf's address is lowered to its
 * function's start. A negative errno as of batch_add_entry().
 */
int generator_fill(struct generator *generator, bool leaf_functions, struct batch *batch);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/window.h"

/*
 * Windows of an invented busy host, from a seed: services that share the CPUs by Zipf's law, each
 * with processes, and stacks that are random walks over a call graph made of hashes. Nothing of the
 * graph is stored, and new stacks turn up for ever, as they do in real programs: benchmarks with a
 * fixed pool of stacks make every store look better than it is.
 */
struct generator;

struct generator_options {
	uint64_t seed;
	uint32_t service_count;
	uint32_t processes_per_service;
	uint32_t samples_per_window; /* of one second */
	uint32_t cpu_count;
	uint32_t frequency_hz;
	int64_t start_unix_ns; /* of the first window */
};

int generator_new(const struct generator_options *options, struct generator **ret);
struct generator *generator_free(struct generator *generator);

/* The next second. Valid until the next call; belongs to the generator. */
const struct window *generator_next(struct generator *generator);

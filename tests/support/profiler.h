/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/events.h"
#include "collector/collect.h"
#include "collector/unwinder.h"

struct profiler_options {
	uint64_t frequency_hz;
	/* Gets every sample, walked, in no strict order. */
	void (*handler)(void *context, const struct event *event);
	void *context;
	uint32_t check_period; /* as in struct sampler_options */
	bool measures;	       /* sampler_measure() */
	size_t size_max;       /* of tables and mappings in the kernel; 0: as much as by default */
};

/*
 * The parts of the collector put together in the test's own process, on this kernel, with unwind
 * tables made on the spot: for tests and benchmarks of the walk.
 */
struct profiler {
	struct sampler *sampler;
	struct sideband *sideband;
	struct processes *processes;
	struct unwinder *unwinder;
	struct profiler_options options;
	struct table_maker *maker; /* in a thread of its own, as the server is */
};

/* False, with a reason, without rights. */
bool profiler_start(struct profiler *profiler, const struct profiler_options *options,
		    char reason[static COLLECT_ERROR_SIZE]);
void profiler_stop(struct profiler *profiler);

/* As the collector does: waits for records and samples up to so long, and handles them. */
void profiler_run(struct profiler *profiler, unsigned ms);

/* Walks all that waits. */
void profiler_finish(struct profiler *profiler);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

/*
 * What OpenTelemetry's profiler would send of an invented busy host (generator.h, which is held to
 * recordings of real programs): requests of the newest revision with its on-CPU samples. A resource
 * is a process, a sample has its thread and CPU as attributes and a timestamp for each time that it
 * was seen; the kernel's frames have names, others a mapping with a build id and an address.
 */
struct otlp_host;

int otlp_host_new(uint64_t seed, uint32_t samples_per_second, int64_t start_unix_ns,
		  struct otlp_host **ret);
struct otlp_host *otlp_host_free(struct otlp_host *host);

/* What it says of itself of the next so many seconds; asserts that there is memory. */
struct otlp_host_totals {
	uint64_t samples; /* as the protocol counts them: stack and attributes once */
	uint64_t events;  /* their timestamps */
	uint64_t stacks, frames;
};
struct otlp_host_totals otlp_host_next(struct otlp_host *host, unsigned seconds,
				       struct buf *request);

DEFINE_CLEANUP(struct otlp_host *, otlp_host, otlp_host_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "bpf/events.h"
#include "bpf/measure.h"
#include "bpf/walk_layout.h"
#include "collector/queues.h"

/*
 * The program in the kernel: loaded, attached to a clock event of every online CPU, its samples
 * handed over. The only file that sees libbpf and the skeleton. Used by one thread.
 */
struct sampler;

enum { SAMPLER_ERROR_SIZE = 256 };

struct sampler_options {
	queues_handler *handler;
	void *context;
	/* Every so manieth stack is walked twice, once without short cuts; 0: every thousandth. */
	uint32_t check_period;
	bool measures; /* how long samples take in the kernel, for benchmarks: bpf/measure.h */
};

/* Loads and verifies the program. On failure reterr says what is missing and what to do. */
int sampler_load(const struct sampler_options *options, struct sampler **ret,
		 char reterr[static SAMPLER_ERROR_SIZE]);

/* Opens an event of this frequency on each CPU of the list and attaches. -ENODEV for one that came
 * online after sampler_load(). */
int sampler_attach(struct sampler *sampler, uint64_t frequency_hz, const uint32_t *cpus,
		   uint32_t cpu_count, char reterr[static SAMPLER_ERROR_SIZE]);

struct sampler *sampler_free(struct sampler *sampler);

/* Readable when a CPU's queue was full or a sample came early (COUNTER_RAW); else the owner drains
 * by its own timer. */
int sampler_fd(const struct sampler *sampler);

/* Hands over what waits, by the time it was taken. How many events, or a negative errno. */
int sampler_drain(struct sampler *sampler);

/* What the program's walk reads, for the collector to write; bpf/walk_layout.h. */
struct sampler_memory {
	struct walk_bucket *buckets;
	struct walk_file *files;
	uint64_t *rules;
	struct walk_known_bucket *known;
};
void sampler_memory(struct sampler *sampler, struct sampler_memory *ret);

/* A lines_add_chunk() for collector/lines.h; context is the sampler. */
void *sampler_add_chunk(void *sampler, uint32_t number);

/* Sums over the CPUs since the start, by enum event_counter. */
void sampler_counters(const struct sampler *sampler, uint64_t ret[static COUNTER_COUNT]);

/* What the kernel says of the programs that were loaded: how many. */
struct sampler_program {
	char name[64];
	uint32_t verified; /* instructions, each as often as the verifier went through it */
	uint32_t bpf_size, machine_size; /* bytes */
};
enum { SAMPLER_PROGRAM_COUNT_MAX = 8 };
unsigned sampler_programs(const struct sampler *sampler,
			  struct sampler_program ret[static SAMPLER_PROGRAM_COUNT_MAX]);

/* With options.measures: this process's samples count in that class from now on. */
int sampler_measure(struct sampler *sampler, uint32_t pid, uint32_t class);

/* The sum over the CPUs of what was measured in a class. */
int sampler_measured(const struct sampler *sampler, uint32_t class, struct measure *ret);

DEFINE_CLEANUP(struct sampler *, sampler, sampler_free)

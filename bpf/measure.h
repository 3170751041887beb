/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * How long the program takes for a sample, measured by itself: for benchmarks. Where it is not
 * asked for, the verifier takes all of it out of the program, and the map is one entry.
 */
#ifdef __bpf__
#include "bpf/kernel_types.h"
#else
#include <linux/types.h>
#endif

enum {
	/* The processes that are measured belong to classes: one for each row of a report. */
	MEASURE_CLASS_COUNT = 16,
	MEASURE_PROCESS_COUNT_MAX = 64,
	/* A histogram is linear: 64 ns a bucket, the last one for all above 131 µs. */
	MEASURE_BUCKET_SHIFT = 6,
	MEASURE_BUCKET_COUNT = 2048,
};

struct measure_histogram {
	__u64 count;
	__u64 sum_ns;
	__u32 buckets[MEASURE_BUCKET_COUNT];
};

/* Of one class. */
struct measure {
	/* From the program's first instruction until its record is in the ring, without the
	 * kernel's stack: samples with a walk of the user's stack that was not early. */
	struct measure_histogram walk;
	/* Of these, where the tick broke into the kernel. */
	struct measure_histogram below_kernel;
	/* The kernel's stack alone. */
	struct measure_histogram kernel_stack;
	__u64 user_frames;
	__u64 complete; /* walks that were */
	__u64 early;	/* not measured */
};

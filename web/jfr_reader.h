/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/batch.h"
#include "web/pprof_reader.h"

/*
 * Java flight recordings into batches: those of the JDK, of async-profiler, and of Pyroscope's
 * agent, which has the latter in it. Events become samples of Pyroscope's profile types:
 *
 *   ExecutionSample               process_cpu:cpu, and wall:wall when that is the event recorded
 *   WallClockSample               wall:wall, and process_cpu:cpu of what ran, likewise
 *   CPUTimeSample                 process_cpu:cpu_time, …_samples
 *   NativeMethodSample            native:samples: threads in native code, which may be waiting
 *   ObjectAllocationInNewTLAB     memory:alloc_in_new_tlab_objects, …_bytes
 *   ObjectAllocationOutsideTLAB   memory:alloc_outside_tlab_objects, …_bytes
 *   ObjectAllocationSample        memory:alloc_sample_objects, …_bytes
 *   LiveObject                    memory:live
 *   JavaMonitorEnter              mutex:contentions, mutex:delay
 *   ThreadPark                    block:contentions, block:delay
 *   Malloc                        memory:malloc_objects, …_bytes
 *
 * A JDK may record ExecutionSample and CPUTimeSample at once: one type would count time twice.
 *
 * The setting "event" becomes the label jfr_event. A stack that is not among the constants, as in
 * the end of an unfinished recording, is skipped and counted.
 */
struct jfr_form {
	struct str labels; /* a message of jfr_labels.h, or "" */
	/* What one sample of CPU or wall clock time is worth; 0: what the recording says. */
	uint64_t period_ns;
	/* Until when it was, since the origin's time; 0: the recording says when. */
	int64_t end_unix_ms;
	bool has_lines; /* the lines of calls are kept, else all places in a method are one */
};

/*
 * bytes: unpacked (compression.h), less than 4 GiB. As pprof_read(), with take and walked of the
 * origin; without splits_series all labels are those of samples. Walked over thrice, and the
 * memory that it takes is that of an index of constants: some 40 bytes for each stack, method and
 * name.
 */
int jfr_read(struct str bytes, const struct pprof_origin *origin, const struct jfr_form *form,
	     struct batch *batch, struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE]);

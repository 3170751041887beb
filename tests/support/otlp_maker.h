/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "web/otlp_layout.h"

/*
 * One and the same profiles as every revision of OpenTelemetry's protocol has them, written by
 * numbers of its own, not by those of web/otlp_layout.c. For each process: CPU samples with
 * timestamps only, time off the CPU with a value for each timestamp, and allocated bytes as sums.
 * Their stacks have frames of the kernel, without a name, inlined into each other, and of an
 * interpreter.
 */
enum otlp_maker_flags {
	OTLP_MAKER_TABLES_FIRST = 1, /* before what refers to them; else behind */
	OTLP_MAKER_TABLES_SPLIT = 2, /* in two pieces, where they have a message of their own */
	OTLP_MAKER_UNPACKED = 4,     /* lists come number by number */
	OTLP_MAKER_UNKNOWN = 8,	     /* fields and groups that nobody knows are everywhere */
	OTLP_MAKER_SUMS = 16,	     /* until 1.7: CPU samples with [n] in place of [1] */
};

/* 1700000000 s, on which it is based. */
#define OTLP_MAKER_TIME_NS UINT64_C(1700000000000000000)

enum {
	OTLP_MAKER_PROCESS_COUNT = 3, /* pid 101, 102, 103 */
	OTLP_MAKER_PROFILE_COUNT = 9,
	OTLP_MAKER_SAMPLE_COUNT = 15,
};

/* The buf keeps the first error. */
void otlp_make(enum otlp_revision revision, unsigned flags, struct buf *buf);

/*
 * A request of about so many bytes, of the newest revision, as a profiler of a busy host sends:
 * processes with some threads, 3,000 stacks of 24 frames of a large program, a timestamp a sample.
 * Another seed makes other samples of the same program, within five seconds from that time.
 */
void otlp_make_large(size_t size, uint64_t seed, uint64_t time_ns, struct buf *buf);

/* The same with fewer samples, each seen so many times: threads that do the same again and again.
 */
enum { OTLP_MAKER_STEADY_TIMES = 20 };
void otlp_make_steady(size_t size, uint64_t seed, uint64_t time_ns, struct buf *buf);

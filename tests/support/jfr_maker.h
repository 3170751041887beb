/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Java flight recordings, well-formed or not: chunks of events, of any types. What is said of a
 * type here is what its metadata says; whoever writes values must write them so.
 */
struct jfr_maker {
	struct buf *buf;
	size_t chunk, event, metadata, constants; /* places in buf */
	/* Of a frame of jfr_make_pools(); NULL: all are compiled. To be set behind its chunk. */
	uint32_t (*type_of)(uint32_t stack, uint32_t depth);
};

/* Constants of its frame types. */
enum { MADE_COMPILED = 1, MADE_KERNEL, MADE_INLINED, MADE_INTERPRETED, MADE_LIBRARY };

/* "name type", " pool" and " array" behind it as it applies, up to 16 of them. */
struct jfr_made_type {
	const char *name;
	uint64_t id;
	const char *fields[16];
};

/* Numbers of the types that jfr_make_metadata() tells of. */
enum {
	MADE_LONG = 10,
	MADE_INT,
	MADE_BOOLEAN,
	MADE_STRING,
	MADE_THREAD,
	MADE_CLASS,
	MADE_METHOD,
	MADE_SYMBOL,
	MADE_STACK_TRACE,
	MADE_STACK_FRAME,
	MADE_FRAME_TYPE,
	MADE_THREAD_STATE,
	MADE_EXECUTION = 101,
	MADE_NATIVE,
	MADE_WALL,
	MADE_NEW_TLAB,
	MADE_OUTSIDE_TLAB,
	MADE_ALLOCATION,
	MADE_MONITOR,
	MADE_PARK,
	MADE_LIVE,
	MADE_MALLOC,
	MADE_SETTING,
	MADE_CPU_TIME,
};

/* From a chunk's header on, of a recording that began at a time, with a clock of so many ticks. */
void jfr_make_chunk(struct jfr_maker *maker, struct buf *buf, int64_t start_ns,
		    uint64_t ticks_per_second);
/* What is not ended was never finished by who wrote it. */
void jfr_make_end(struct jfr_maker *maker);

void jfr_make_metadata(struct jfr_maker *maker);
void jfr_make_types(struct jfr_maker *maker, const struct jfr_made_type *types, size_t count);

/* An event's size and type; then its fields, and its end. */
void jfr_make_event(struct jfr_maker *maker, uint64_t type);
void jfr_make_event_end(struct jfr_maker *maker);

/* An event of constants, so many pools. */
void jfr_make_constants(struct jfr_maker *maker, uint64_t pool_count);
void jfr_make_pool(struct jfr_maker *maker, uint64_t type, uint64_t constant_count);

void jfr_make_number(struct jfr_maker *maker, uint64_t value);
void jfr_make_text(struct jfr_maker *maker, const char *text);

/*
 * Constants for stacks of methods "C.m0", "C.m1", …: pools of symbols, a class, methods, threads
 * "main" (1) and "worker" (2), states (1 runnable, 2 sleeping), frame types, and stacks, each of a
 * number of frames, the method of each by its number, leaf first.
 */
void jfr_make_pools(struct jfr_maker *maker, uint32_t method_count, uint32_t stack_count,
		    uint32_t (*frame)(uint32_t stack, uint32_t depth, uint32_t *ret_depth_count));

/* An execution sample: thread, stack, state. */
void jfr_make_execution(struct jfr_maker *maker, uint64_t thread, uint64_t stack, uint64_t state);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"

/*
 * The one door into the store: what one window of the collector, one pushed profile or one OTLP
 * request brings, in the same words. Series, stacks and values; texts are copied in.
 *
 * A batch is filled by one thread with the batch_add_… functions, which number things from 0 in the
 * order of their first appearance and give an equal thing its number again, handed to
 * store_append(), and may be cleared and filled again.
 */
struct batch;

/* memory_max: what its contents may take; beyond it additions fail with -E2BIG. */
int batch_new(size_t memory_max, struct batch **ret);
struct batch *batch_free(struct batch *batch);
void batch_clear(struct batch *batch);

/* When its samples were taken. */
struct batch_time {
	int64_t start_unix_ms;
	int64_t end_unix_ms;
};
void batch_set_time(struct batch *batch, struct batch_time time);

/*
 * Where it comes from, so that what is sent twice counts once: (source, sequence) is stored in the
 * same transaction as the contents. Without a source (0) nothing is remembered.
 */
void batch_set_source(struct batch *batch, uint64_t source, uint64_t sequence);

/* The same, but remembered by this program alone, and only until store_forget_source(): for what
 * comes hundreds of times a second and is seldom sent twice. */
void batch_set_passing_source(struct batch *batch, uint64_t source, uint64_t sequence);

/* Time before this batch in which nothing was recorded, and an enum gap_reason for it. */
void batch_add_gap(struct batch *batch, int64_t from_unix_ms, int64_t to_unix_ms, uint8_t reason);

struct label {
	struct str name;
	struct str value;
};

/*
 * All of these return a number, or a negative errno: -E2BIG, -ENOMEM, -EINVAL.
 *
 * A label set has each name once, in any order. It is used as the labels of a series (few, indexed:
 * service_name, process_name, container_id, …) or of samples (pid, thread: many, not indexed).
 */
int64_t batch_add_labels(struct batch *batch, const struct label *labels, size_t count);

/* The same of texts that are in the batch already, which is faster: none of them empty, and each
 * name once. */
int64_t batch_add_text(struct batch *batch, struct str text);

struct batch_label {
	uint32_t name;
	uint32_t value;
};
int64_t batch_add_label_set(struct batch *batch, const struct batch_label *labels, size_t count);

/* type: "process_cpu:cpu:nanoseconds:cpu:nanoseconds". period: of one sample, in the type's unit.
 */
int64_t batch_add_series(struct batch *batch, uint32_t labels, struct str type, uint64_t period);

enum build_kind {
	BUILD_FILE = 1,
	BUILD_KERNEL = 2,
	BUILD_KERNEL_MODULE = 3,
	BUILD_ANONYMOUS = 4, /* executable memory of one process; path says whose */
	BUILD_UNMAPPED = 5,  /* addresses that no mapping explains, of one process */
	/* In place of callers that are missing, as the outermost location of a stack. Its address
	 * is the reason, an enum verdict. */
	BUILD_TRUNCATED = 6,
};
int64_t batch_add_build(struct batch *batch, enum build_kind kind, const struct identity *identity,
			struct str path);

/* A location in a build. address is what is looked up: of a return address, one before. */
int64_t batch_add_location(struct batch *batch, uint32_t build, uint64_t address);

/* All of a stack at once, which is faster: numbers, count of them, or a negative errno. */
struct batch_place {
	uint32_t build;
	uint64_t address;
};
int batch_add_locations(struct batch *batch, const struct batch_place *places, size_t count,
			uint32_t *ret_numbers);

/*
 * The same of a place that comes once, as those of a table do, and without a look whether it is
 * there: one that is has two numbers, and the store finds that they are the same.
 */
int64_t batch_append_location(struct batch *batch, struct batch_place place);

/*
 * A location that brings its names: one line for each inlined function, innermost first. A last
 * one without a function, behind others, names the binary by its file: "kernel", "kernel/ext4" for
 * a module of it, a path (store/named_place.h).
 */
struct named_line {
	struct str function;
	struct str file;
	uint32_t line;
};
int64_t batch_add_named_location(struct batch *batch, const struct named_line *lines, size_t count);

/*
 * The same with all that a pprof profile knows of it, in plain words: a function's name as the
 * linker has it and where it begins (one for each line; NULL: nothing is known, and the names are
 * the functions' own), and the binary (NULL: none).
 */
enum { NAMED_LINE_COUNT_MAX = 255 };

struct named_function {
	struct str system_name;
	uint32_t start_line;
};

enum binary_flags {
	BINARY_HAS_FUNCTIONS = 1,
	BINARY_HAS_FILENAMES = 2,
	BINARY_HAS_LINES = 4,
	BINARY_HAS_INLINES = 8,
	/* Somebody said these four, who may know better than what is seen. */
	BINARY_FLAGS_TOLD = 16,
	/* The place's code is not compiled: a virtual machine reads it step by step. */
	BINARY_INTERPRETED = 32,
	BINARY_FLAGS = 63,
};

struct named_binary {
	struct str path;
	struct str build_id; /* a text: digits, or whatever its sender made of them */
	unsigned flags;
	/* Where it was in memory, and the place in it; zeros, unless names may still come for it.
	 */
	uint64_t address;
	uint64_t start, limit, offset;
};

int64_t batch_add_named_place(struct batch *batch, const struct named_line *lines,
			      const struct named_function *functions, size_t count,
			      const struct named_binary *binary);

enum stack_flags {
	/* Its root is not a start of process or thread: callers are missing, and why is not known.
	 * Where it is, the stack has a location of BUILD_TRUNCATED instead. Shown as such. */
	STACK_TRUNCATED = 1,
};

/* Leaf first. No locations at all is a stack, too: its value is the service's own. */
int64_t batch_add_stack(struct batch *batch, const uint32_t *locations, size_t count,
			unsigned flags);

/* The same of one that comes once, as above. */
int64_t batch_append_stack(struct batch *batch, const uint32_t *locations, size_t count,
			   unsigned flags);

struct batch_entry {
	uint32_t series;
	uint32_t sample_labels; /* a label set; the empty one when there are none */
	uint32_t stack;
	uint64_t count;		  /* samples */
	uint64_t value;		  /* in the type's unit; count × period for sampled CPU time */
	const uint16_t *times_ms; /* count of them, since start_unix_ms, or NULL */
};
int batch_add_entry(struct batch *batch, const struct batch_entry *entry);

/* Times of all entries so far count from so many ms earlier; what is beyond 65535 stays there. */
void batch_shift_times(struct batch *batch, int64_t ms);

/* What is in it. */
struct batch_totals {
	struct batch_time time;
	uint32_t entries;
	uint64_t samples;
};
struct batch_totals batch_totals(const struct batch *batch);

/* How much more its contents may take, of memory_max. */
size_t batch_room(const struct batch *batch);

/* What it takes, also when it is empty. */
size_t batch_memory(const struct batch *batch);

DEFINE_CLEANUP(struct batch *, batch, batch_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "web/jfr_chunk.h"
#include "web/jfr_labels.h"
#include "web/jfr_reader.h"

/*
 * For the files of the reader of Java flight recordings alone: jfr_reader.c walks over events and
 * adds them up, jfr_stacks.c makes stacks of their constants, and labels of whose they are.
 */
enum {
	JFR_NAME_SIZE_MAX = 65535, /* what a batch takes */
	JFR_SETTING_SIZE = 64,
	/* Frames of one location: a JVM inlines 15 calls into each other, and more of those that
	 * only pass on (MaxInlineLevel). Beyond, the location's last is called as any other. */
	JFR_INLINED_COUNT_MAX = 64,
};

/* How a frame's type says that its code runs. */
enum jfr_code {
	JFR_CODE_COMPILED = 0, /* Java, as far as is known */
	JFR_CODE_INLINED,      /* into the frame that called it, and so one location with it */
	JFR_CODE_INTERPRETED,
	JFR_CODE_KERNEL,
	JFR_CODE_LIBRARY,
};

struct frame {
	uint32_t method; /* number of the constant; JFR_NO_NUMBER: it is not there */
	uint32_t line;	 /* 0: not known */
	uint32_t code;	 /* enum jfr_code */
};

/* Frames that are one location of the batch, the innermost first. */
struct frame_chain {
	uint32_t first, count; /* of frames' items */
	uint32_t location;
};

/* Whose a sample is: what it says, and the batch's labels that come of it. */
struct owner_key {
	uint64_t context, span, span_name, thread;
};

struct owner {
	struct owner_key key;
	bool is_filed; /* the labels are the batch's */
	uint32_t series_labels, sample_labels;
};

/* What samples of one stack, profile and owner add up to: numbers of constants and owners. */
struct sum_key {
	uint32_t trace, owner, profile;
};

/* Half a line of the cache: most events do no more than come by here. */
struct sum {
	uint32_t trace, owner;
	uint32_t next; /* of the same stack; JFR_NO_NUMBER */
	uint32_t profile : 4;
	uint32_t events : 28; /* a recording of 256 MiB has fewer */
	uint64_t count, weight;
};

/*
 * A sample on its way into its sum. Both the stack and the sum are wherever in memory: samples wait
 * in a queue, are looked up in the middle of it and added at its end, so that memory is asked
 * early.
 */
struct waiting_sample {
	uint32_t place; /* of the event */
	uint32_t owner;
	uint32_t profile;
	bool is_found;
	struct jfr_constant *trace; /* NULL: there is none */
	uint64_t trace_key, count, weight;
};

enum { JFR_WAITING_COUNT = 16 };

/* A table, and what it is an index of: all of one chunk, and frames of one batch, too. */
struct frames {
	struct table table; /* of chains */
	ARRAY(struct frame_chain) chains;
	ARRAY(struct frame) items;
};

struct owners {
	struct table table;
	ARRAY(struct owner) items;
};

struct sums {
	struct table table;
	ARRAY(struct sum) items;
};

struct jfr_input {
	struct str recording;
	const struct pprof_origin *origin;
	const struct jfr_form *form;
	struct batch *batch;
	size_t batch_memory; /* the batch's room when it was empty */
	struct pprof_summary *summary;
	char *reason; /* PPROF_ERROR_SIZE */

	struct jfr_chunk chunk;
	struct jfr_labels labels;
	struct frames frames;
	struct owners owners;
	struct sums sums;
	struct waiting_sample waiting[JFR_WAITING_COUNT];
	uint64_t waiting_first, waiting_end;
	uint32_t locations[PPROF_STACK_DEPTH_MAX];
	uint64_t frame_count;	/* that were named, or found */
	uint64_t entry_count;	/* of all batches */
	uint32_t batch_entries; /* of this one */
	bool is_checked;	/* all events were looked at */

	char event[JFR_SETTING_SIZE];		/* the one recorded, "" when nothing says so */
	uint64_t cpu_ns, wall_ns;		/* what a sample is worth */
	uint64_t interval_ns, wall_interval_ns; /* as the recording says, or 0 */
	struct buf text, other_text, name, mended;
	struct buf chain_names; /* of a location's frames, one behind the other */
};

/* Says what is wrong, with a number, and returns err. */
int jfr_refuse(struct jfr_input *input, int err, const char *what, uint64_t number);

/*
 * The batch's number of a stack; -ENODATA for one that is none: what has no frames, as in
 * Pyroscope.
 */
int64_t jfr_find_stack(struct jfr_input *input, struct jfr_constant *trace);

/* The number in input->owners of whose an event is. */
int64_t jfr_find_owner(struct jfr_input *input, const struct jfr_value *value);

/* Its labels in the batch. */
int jfr_file_owner(struct jfr_input *input, struct owner *owner);

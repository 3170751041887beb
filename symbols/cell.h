/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * Cells: processes without rights, one for each piece of work, in which files of strangers are
 * read. A cell can read and write the descriptors that it was given, ask outside for more, and
 * nothing else: it opens nothing, connects to nothing, starts nothing, maps nothing executable (by
 * libseccomp; where that can't be had, by namespaces, and that is counted), has no capabilities,
 * and limits of memory and time. When it dies or overruns, that is an answer like another.
 *
 * They are forked from a small process of its own, the warden, which is forked when there is one
 * thread and little memory, and which waits for them. One piece of work at a time; one thread.
 */
struct cells;

enum {
	CELL_FD_COUNT_MAX = 4,
	/* Of a task, a question or an answer: a packet. */
	CELL_MESSAGE_SIZE_MAX = 64 << 10,
	/* Of one question. */
	CELL_QUESTION_SIZE_MAX = 512,
};

struct cell_limits {
	uint64_t memory; /* of the heap, in bytes */
	uint64_t output; /* of one file that it writes */
	unsigned cpu_seconds;
	unsigned seconds;
};

/*
 * libLLVM's names take 60 MiB of heap; lines are read unit by unit until a third of this is full
 * (symbols/line_maker.h). A damaged file that makes work without end costs 20 s of idle time, once.
 */
#define CELL_LIMITS_DEFAULT                                                                        \
	((struct cell_limits){ .memory = UINT64_C(384) << 20,                                      \
			       .output = UINT64_C(256) << 20,                                      \
			       .cpu_seconds = 20,                                                  \
			       .seconds = 120 })

/* What the work sees, inside. */
struct cell {
	const void *task;
	size_t task_size;
	int fds[CELL_FD_COUNT_MAX]; /* -1: none */
	int door;
	const void *context; /* as it was when the cells were started */
	void *answer;	     /* room for CELL_MESSAGE_SIZE_MAX bytes */
	size_t answer_size;
};

/* Runs inside; what it returns, a negative errno or 0, is told outside. */
typedef int cell_work(struct cell *cell);

/*
 * Asks outside for a file; what the question says is between who asks and who answers. -ENOENT when
 * there is none.
 */
int cell_ask(const struct cell *cell, const void *question, size_t size, int *ret_fd);

int cells_start(cell_work *work, const void *context, const struct cell_limits *limits,
		struct cells **ret);
struct cells *cells_stop(struct cells *cells);

enum cell_fate {
	CELL_ENDED,   /* error says how the work went */
	CELL_DIED,    /* by the signal in error, or without a word */
	CELL_OVERRAN, /* its time */
};

struct cell_run {
	const void *task;
	size_t task_size;
	int fds[CELL_FD_COUNT_MAX]; /* borrowed; -1: none */
	/* Answers cell_ask(): opens a file, whose descriptor is closed after it was passed. */
	int (*open)(void *context, const void *question, size_t size, int *ret_fd);
	void *context;

	enum cell_fate fate;
	int error;
	bool is_unfiltered; /* it could have made any call: see cell_lock() */
	uint64_t peak;	    /* bytes resident */
	uint64_t cpu_ns;    /* of its time */
	uint8_t answer[CELL_MESSAGE_SIZE_MAX];
	size_t answer_size;
};

/*
 * Runs one piece of work to its end. A negative errno when no cell could be had; a warden that is
 * gone is replaced by the next run.
 */
int cells_run(struct cells *cells, struct cell_run *run);

DEFINE_CLEANUP(struct cells *, cells, cells_stop)

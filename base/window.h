/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"

/*
 * A window: what the collector saw in one piece of time, usually a second, with equal stacks
 * counted. It is what crosses the link, and it explains itself: every process, file and thread that
 * an entry speaks of stands in the same window, so that either end may restart between two of them,
 * and a recording may begin anywhere.
 *
 * Things are numbered by their place in their array. Texts and arrays belong to the window.
 */

/* A process is never a bare pid: pids come again, and an exec makes another program of one. */
struct process_key {
	uint32_t pid;		  /* thread group id, as the host sees it */
	uint32_t exec_generation; /* the kernel's self_exec_id of the group leader */
	uint64_t start_boot_ns;
};

enum { WINDOW_NONE = UINT32_MAX }; /* no file, no name */

struct window_process {
	struct process_key key;
	uint32_t namespace_pid;	  /* its pid in its innermost pid namespace */
	uint32_t executable_file; /* index into files, or WINDOW_NONE */
	uint64_t exit_boot_ns;	  /* 0 while it lives */
	bool is_kernel_thread;
	struct str name;       /* base name of its executable; of a kernel thread its comm */
	struct str comm;       /* of the main thread */
	struct str executable; /* path in its own mount namespace; may be absent */
	struct str script;     /* base name of the script that an interpreter runs; may be absent */
	struct str cgroup;     /* path in the hierarchy that systemd or the container engine uses */
};

struct window_thread {
	uint32_t process; /* index */
	uint32_t tid;
	struct str name; /* comm when last sampled */
};

struct window_file {
	struct identity identity;
	struct str path; /* as its first mapper sees it; for people, never opened by the server */
};

/* A function that was already named where it was seen: interpreters, JITs, pushed profiles. */
struct window_name {
	struct str function;
	struct str file; /* may be absent */
	uint32_t line;	 /* 0: not known */
};

enum frame_kind {
	FRAME_KERNEL = 1, /* address: as in this boot's /proc/kallsyms */
	FRAME_FILE = 2,	  /* reference: file; address: offset in the file, in bytes */
	FRAME_ANONYMOUS =
		3,	    /* executable memory without a file (JIT); address: the process's own */
	FRAME_NAMED = 4,    /* reference: name */
	FRAME_RUNTIME = 5,  /* reference: runtime tag; address: its payload */
	FRAME_UNMAPPED = 6, /* no mapping is known at this address */
};

/* How an address was come by, which decides where to look its name up: a return address one before.
 */
enum frame_position {
	FRAME_LEAF = 0,	       /* the instruction that ran */
	FRAME_RETURN = 1,      /* the one after a call */
	FRAME_INTERRUPTED = 2, /* where a signal or a system call broke in */
};

struct window_frame {
	uint64_t address;
	uint32_t reference;
	uint8_t kind;	  /* enum frame_kind */
	uint8_t position; /* enum frame_position */
};

/* How a walk of the user's stack ended. Never a silent guess. */
enum verdict {
	VERDICT_COMPLETE = 0,	      /* at the start of the process or thread */
	VERDICT_TRUNCATED = 1,	      /* more frames than FRAME_COUNT_MAX */
	VERDICT_NO_MAPPING = 2,	      /* a return address in no known executable mapping */
	VERDICT_NO_RULE = 3,	      /* no table row, and the frame pointer could not be trusted */
	VERDICT_JIT_UNKNOWN = 4,      /* the same in anonymous memory */
	VERDICT_UNSUPPORTED_RULE = 5, /* a table row that the walk can't follow */
	VERDICT_READ_FAULT = 6,	      /* the stack's page was not there */
	VERDICT_NOT_PROGRESSING = 7,  /* the next frame did not lie above this one */
	VERDICT_NO_USER_STACK = 8, /* a kernel thread, or a process that gave its memory back, or is
				      between two programs: the kernel's frames are all there is */
	VERDICT_CAME_EARLY = 9,	   /* before its tables, and its stack was not brought whole */
	VERDICT_COUNT,
};

struct window_stack {
	uint32_t first_frame; /* index; the leaf stands first, the kernel's frames before the user's
			       */
	uint32_t frame_count;
	uint8_t verdict;	      /* enum verdict, of the user's part */
	bool has_frame_pointer_steps; /* some steps rest on frame pointers: callers may be missing
				       */
};

enum event_type {
	EVENT_CPU = 1, /* weight: nanoseconds of CPU time */
	EVENT_TYPE_COUNT,
};

/* Samples of one thread with one stack. */
struct window_entry {
	uint32_t thread;     /* index; it names the process */
	uint32_t stack;	     /* index */
	uint8_t event;	     /* enum event_type */
	uint32_t count;	     /* samples */
	uint64_t weight;     /* the sum over them */
	uint32_t first_time; /* index into times_ms: count times follow, ascending */
};

/* What was not recorded, by kind. A kind may be counted in samples or in side-band records. */
enum loss_kind {
	LOSS_RING_FULL = 0,	     /* samples the kernel could not hand over */
	LOSS_STACK_TABLE_FULL = 1,   /* samples beyond the distinct stacks of a window */
	LOSS_PROCESS_TABLE_FULL = 2, /* samples of processes beyond those we follow */
	LOSS_SIDEBAND = 3, /* records of mappings, execs and exits (repaired by a re-scan) */
	LOSS_BACKLOG_FULL =
		4,	     /* samples in windows given up because the server did not take them */
	LOSS_UNREADABLE = 5, /* samples whose task could not be read */
	LOSS_KIND_COUNT,
};

/* What the collector says of its walks. Most are counts since the window before:
 * walk_figure_is_count(). New ones stand last, and are 0 in windows of before. */
enum walk_figure {
	WALK_CHECKED = 0,	/* stacks that were walked twice, as usual and without short cuts */
	WALK_DIFFERENT = 1,	/* of these, with another outcome: none, or there is a mistake */
	WALK_LATE = 2,		/* stacks walked after their sample, when their tables were there */
	WALK_LATE_EXPIRED = 3,	/* of these, without all that they waited for */
	WALK_LATE_CROWDED = 4,	/* of those, because too many waited */
	WALK_LATE_LEFT_OUT = 5, /* samples before their tables that could not bring their stack */
	WALK_TABLES_ASKED = 6,	/* unwind tables that the server was asked for */
	WALK_TABLES_PUT = 7,	/* those that came and found room */
	WALK_TABLES_EVICTED = 8,
	WALK_TABLES_NO_ROOM = 9,
	WALK_PROCESSES_LEFT_OUT = 10, /* mappings that found no room */
	/* As it is now: */
	WALK_TABLES_HELD = 11,
	WALK_MEMORY_USED = 12, /* bytes in the kernel, of tables and mappings */
	WALK_MEMORY_MAX = 13,
	/* Counts again: */
	WALK_MAPPINGS_TOLD = 14, /* the kernel's records of mappings */
	WALK_MAPPINGS_LATE = 15, /* those that the walk knew of more than 2 ms after them */
	WALK_EXCLUDED = 16,	 /* samples of whom the settings exclude: not in the window */
	WALK_TOLD_NS = 17,	 /* from these records until the walk knew, all together */
	/* How many of them took no longer than walk_told_us() of 0, 1 …, each with those before. */
	WALK_TOLD_WITHIN = 18,
	WALK_TOLD_WITHIN_COUNT = 7,
	/* Stacks walked by mappings that only the kernel knew yet. */
	WALK_BY_KERNEL = WALK_TOLD_WITHIN + WALK_TOLD_WITHIN_COUNT,
	/* Of WALK_MAPPINGS_LATE, those that walks find by themselves. */
	WALK_MAPPINGS_LATE_FOUND,
	WALK_FIGURE_COUNT,
};

/* The limits of WALK_TOLD_WITHIN in microseconds. 2 ms is what is aimed at. */
static inline uint32_t walk_told_us(unsigned number)
{
	static const uint32_t limits[WALK_TOLD_WITHIN_COUNT] = { 250,  500,   1000,  2000,
								 5000, 20000, 100000 };

	return limits[number];
}

static inline bool walk_figure_is_count(unsigned figure)
{
	return figure < WALK_TABLES_HELD || figure > WALK_MEMORY_MAX;
}

/* Why there is nothing between the end of the window before and the start of this one. */
enum gap_reason {
	GAP_NONE = 0,
	GAP_NOT_RUNNING = 1, /* no collector */
	GAP_SUSPENDED = 2,   /* the host slept */
	GAP_STOPPED = 3,     /* the collector did not get to run, or was stopped */
	GAP_HOST_OFF = 4,    /* another boot */
	GAP_GIVEN_UP = 5,    /* windows dropped because nobody took them (LOSS_BACKLOG_FULL) */
	GAP_REASON_COUNT,
};

struct window {
	uint64_t collector; /* random; another one after each start of a collector */
	uint64_t sequence;  /* from 1, without holes but for windows given up */
	uint8_t boot_id[16];
	uint64_t start_boot_ns;
	uint64_t end_boot_ns;
	int64_t boot_to_unix_ns; /* add to a time since boot: the wall clock's time, as of now */
	uint32_t frequency_hz;
	uint32_t cpu_count;    /* online */
	uint8_t gap;	       /* enum gap_reason */
	uint64_t sample_count; /* the sum over the entries */
	uint64_t losses[LOSS_KIND_COUNT];
	uint64_t walk_figures[WALK_FIGURE_COUNT];

	/* Frames follow one another in the order of the stacks that they belong to, times in the
	 * order of the entries, both without holes. */
	struct window_process *processes;
	struct window_thread *threads;
	struct window_file *files;
	struct window_name *names;
	struct window_frame *frames;
	struct window_stack *stacks;
	struct window_entry *entries;
	uint16_t *times_ms; /* since the start of the window */
	uint32_t process_count, thread_count, file_count, name_count, frame_count, stack_count,
		entry_count, time_count;

	void *memory; /* of a decoded window: what all of the above lies in, its texts too */
};

/*
 * Appends the window's bytes. The caller's mistakes (an index out of range) are asserted.
 * buf->error tells of lack of memory or room.
 */
void window_encode(const struct window *window, struct buf *buf);

/*
 * Reads a window that came over the link or out of a recording; one of version 1 has no figures of
 * its walks. Every index, count and size is
 * checked, so that users of a decoded window need not: -EBADMSG for what no collector of ours
 * writes, -E2BIG above the limits of base/limits.h, -ENOMEM. *ret is freed by window_free().
 */
int window_decode(const void *bytes, size_t size, struct window **ret);

/* Of a window made by window_decode() only. Accepts NULL, returns NULL. */
struct window *window_free(struct window *window);

DEFINE_CLEANUP(struct window *, window, window_free)

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The records that cross from the kernel to the collector: the only header that both sides include.
 * Fixed widths, no hidden padding. The kernel side brings its own integer types.
 */
#ifdef __bpf__
#include "bpf/kernel_types.h"
#define EVENT_ASSERT _Static_assert
#else
#include <assert.h>
#include <linux/types.h>
#include <stddef.h>
#define EVENT_ASSERT static_assert
#endif

enum {
	EVENT_COMM_SIZE = 16, /* TASK_COMM_LEN */
	/* The kernel's own limit on a kernel stack, sysctl kernel.perf_event_max_stack. */
	EVENT_KERNEL_FRAME_COUNT_MAX = 127,
	/* Steps of the walk of a user's stack. Deepest seen in services: 126. */
	EVENT_USER_FRAME_COUNT_MAX = 512,
	EVENT_FRAME_COUNT_MAX = EVENT_KERNEL_FRAME_COUNT_MAX + EVENT_USER_FRAME_COUNT_MAX,
	/* Of a stack that is to be walked later. Programs that take 16 to 60 kB while they start:
	 * clang, civetweb's threads, update-mime-database. */
	EVENT_RAW_STACK_SIZE_MAX = 64 << 10,
	EVENT_PAGE_SIZE = 4096,
};

/* In frames[], of the user's: not a return address; a signal broke in here. */
#define EVENT_FRAME_INTERRUPTED (1ULL << 63)

enum event_kind {
	EVENT_KIND_CPU = 1, /* a tick of the CPU's clock; weight in nanoseconds of CPU time */
};

enum event_flags {
	EVENT_KERNEL_THREAD = 1,
	EVENT_FRAME_POINTERS = 2,    /* some steps rest on frame pointers */
	EVENT_BROKE_INTO_KERNEL = 4, /* the tick came while the kernel ran */
	EVENT_CAME_EARLY = 8,	     /* before all that its walk needed was there */
};

/*
 * One sample. frames[] holds kernel_frame_count addresses of the kernel, then user_frame_count of
 * the process, each part leaf first; the record ends with the last one used. Where something that
 * the walk needs is on its way (mappings of a new process, a file's unwind table), a struct
 * event_raw and raw_stack_size bytes of the stack follow, for another walk later.
 */
struct event {
	__u8 kind;    /* enum event_kind */
	__u8 verdict; /* enum verdict of base/window.h */
	__u16 flags;  /* enum event_flags */
	__u32 cpu;
	__u32 pid; /* thread group id, in the collector's pid namespace */
	__u32 tid;
	__u32 exec_generation; /* self_exec_id of the group leader */
	__u16 kernel_frame_count;
	__u16 user_frame_count;
	__u64 start_boot_ns; /* of the group leader */
	__u64 boot_ns;
	__u64 weight;
	__u64 cgroup_id;      /* of the unified hierarchy; 0 where there is none */
	__u32 raw_stack_size; /* bytes of the user's stack, to be walked later; 0: none */
	__u32 uid;	      /* of the thread, as the host numbers it */
	/* The trace and span that the thread worked for; zero when there is none. */
	__u64 trace_id[2];
	__u64 span_id;
	char comm[EVENT_COMM_SIZE]; /* of the thread */
	__u64 frames[EVENT_FRAME_COUNT_MAX];
};

#define EVENT_HEADER_SIZE __builtin_offsetof(struct event, frames)

EVENT_ASSERT(EVENT_HEADER_SIZE == 104, "the header of an event has no hole");
EVENT_ASSERT(sizeof(struct event) == EVENT_HEADER_SIZE + EVENT_FRAME_COUNT_MAX * 8,
	     "nor has its end");

/* What a walk begins with, and then the bytes of the stack from sp on. */
struct event_raw {
	__u64 registers[16]; /* the first of a pt_regs: r15 … orig_ax */
	__u64 pc;
	__u64 sp;
	__u64 fp;
	__u32 is_return; /* pc is looked up one byte before: a system call was made */
	/*
	 * Pages whose bytes are none: bit 0 the second one, since the first is always there.
	 * Buffers of a frame that nothing was written to are not in memory.
	 */
	__u32 holes;
};

EVENT_ASSERT(sizeof(struct event_raw) == 160, "no hole");
EVENT_ASSERT(EVENT_RAW_STACK_SIZE_MAX / EVENT_PAGE_SIZE - 1 <= 32, "a bit for each page");

#ifndef __bpf__
/* Without a raw stack. */
static inline size_t event_size(const struct event *event)
{
	return EVENT_HEADER_SIZE + sizeof(event->frames[0]) * ((size_t)event->kernel_frame_count +
							       event->user_frame_count);
}
#endif

/* What the program counts, per CPU. Every early return that loses something counts it. */
enum event_counter {
	COUNTER_TAKEN = 0,	  /* ticks that found a thread at work */
	COUNTER_IDLE = 1,	  /* ticks that found none */
	COUNTER_RING_FULL = 2,	  /* samples lost: no room in the ring buffer */
	COUNTER_UNREADABLE = 3,	  /* samples lost: their records were malformed */
	COUNTER_RAW = 4,	  /* samples that carry their stack, to be walked later */
	COUNTER_RAW_LEFT_OUT = 5, /* those that would have: no room in the ring buffer */
	COUNTER_CHECKED = 6,	  /* stacks that were walked twice, as usual and plainly */
	COUNTER_DIFFERENT = 7,	  /* of these, with another outcome: none, or there is a mistake */
	COUNTER_ELSEWHERE = 8,	  /* ticks of processes that our pid namespace does not show */
	COUNTER_BY_KERNEL = 9,	  /* samples walked by mappings that only the kernel knew */
	COUNTER_COUNT,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On-CPU profiling: one tick of a CPU's clock event, one stack trace. The kernel's part comes from
 * the kernel, the user's is walked here (bpf/walk.h), every step checked, so that the record can
 * say how sure it is.
 */
#include "bpf/kernel_types.h"
#include "bpf/event_queue.h"
#include "bpf/events.h"
#include "bpf/measure.h"
#include "bpf/unwind.h"
#include "bpf/walk_layout.h"

/* What a perf_event program is called with: include/uapi/linux/bpf_perf_event.h, which is stable.
 */
#if defined(__TARGET_ARCH_x86)
enum { REGISTER_COUNT = 21, REGISTER_FP = 4, REGISTER_IP = 16, REGISTER_SP = 19 };
#elif defined(__TARGET_ARCH_arm64)
enum { REGISTER_COUNT = 34, REGISTER_FP = 29, REGISTER_IP = 32, REGISTER_SP = 31 };
#endif

struct tick {
	__u64 registers[REGISTER_COUNT];
	__u64 sample_period;
	__u64 address;
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct walk_state;

/* On the program's stack, so that the verifier knows what the pointers are. */
struct walk {
	struct walk_state *state;
	struct event *event;
	struct walk_memo_line *memo; /* NULL for a walk that goes plainly */
	bool asks_kernel;	     /* of mappings that the collector did not tell of */
};

static __always_inline const void *walk_chunk(struct walk *walk, __u32 line);
static __always_inline const struct walk_file *walk_file(struct walk *walk, __u32 number);
static __always_inline __u64 walk_rule(struct walk *walk, __u32 number);
static __always_inline int walk_read(struct walk *walk, __u64 address, __u64 *ret);
static __always_inline int walk_read_plainly(struct walk *walk, __u64 address, __u64 *ret);
static __always_inline bool walk_ask(struct walk *walk, __u64 address);
struct walk_memo_line;
static __always_inline struct walk_memo_line *walk_memo(struct walk *walk, __u32 index);

#include "bpf/walk.h"

/* ---- maps ---------------------------------------------------------------------------------------
 */

/* Set before loading. */
const volatile __u32 ring_size = 1 << 20;
const volatile __u32 page_size = EVENT_PAGE_SIZE; /* the kernel's */
/* Every so manieth stack of a CPU is walked twice; 0: none. */
const volatile __u32 check_period = 1000;
/* Where the collector runs in a pid namespace of its own, as the kernel numbers it; 0: it sees all
 * of the host. Then only processes of just this namespace are known by a number, and sampled. */
const volatile __u64 pid_space_device = 0, pid_space_inode = 0;
/* What stands behind it is, where it is not set, not even verified. */
const volatile bool measures = false;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

/*
 * What one CPU works with: larger than a program's stack. A perf_event program is not interrupted
 * by itself on one CPU. One piece of memory for all, since a page that is not in the CPU's caches
 * costs as much as a walk of ten frames: all that a sample touches but its record is in the first
 * one.
 */
enum {
	RECORD_SIZE_MAX =
		sizeof(struct event) + sizeof(struct event_raw) + EVENT_RAW_STACK_SIZE_MAX,
};

struct memory {
	struct event_queue queue;  /* first: the collector reads it */
	__u64 record_at;	   /* see choose_record() */
	struct unwind_frame start; /* of the walk */
	struct walk_state state;
	__u8 records[EVENT_QUEUE_SPARE_AT + RECORD_SIZE_MAX]
		__attribute__((aligned(EVENT_PAGE_SIZE)));
} __attribute__((aligned(EVENT_PAGE_SIZE)));

UNWIND_ASSERT(__builtin_offsetof(struct memory, records) == EVENT_QUEUE_RECORDS_AT,
	      "where the collector looks");

/* By CPU. Not a per-CPU array, whose values have 32 KiB at most, and which is one more look for
 * where they are. As many as there are CPUs online: set before loading, and the collector starts
 * again when one is added. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct memory);
} memories SEC(".maps");

/* Of a stack that is walked twice. */
struct check {
	struct walk_state state;
	struct event event;
	__u32 different;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct check);
} checks SEC(".maps");

/*
 * What is remembered: one for all CPUs, since what one found, the others need. The kernel takes
 * arrays of up to 32 KiB, its own part included, from memory that it maps by the largest pages, and
 * larger ones, and those that user space maps, page by page: at 99 samples a second, when what
 * knows the pages is cold, too, a walk takes 5 % more there. So this is one value just below that.
 */
struct memo {
	__u8 before[UNWIND_LINE_SIZE]; /* see memo_lines() */
	struct walk_memo_line lines[WALK_MEMO_LINE_COUNT];
};

enum { KERNEL_ARRAY_SIZE = 512 }; /* struct bpf_array: 312 bytes in Linux 6.18 */

UNWIND_ASSERT(KERNEL_ARRAY_SIZE + sizeof(struct memo) <= 32 << 10, "one piece of memory");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct memo);
} memo SEC(".maps");

/* Written by the collector, read here: see bpf/walk.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WALK_BUCKET_COUNT);
	__type(key, __u32);
	__type(value, struct walk_bucket);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WALK_FILE_COUNT_MAX);
	__type(key, __u32);
	__type(value, struct walk_file);
} files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UNWIND_RULE_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} rules SEC(".maps");

struct chunk {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, WALK_CHUNK_SIZE);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WALK_CHUNK_COUNT_MAX);
	__uint(key_size, sizeof(__u32));
	__array(values, struct chunk);
} chunks SEC(".maps");

/* Which class the processes are in that are measured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MEASURE_PROCESS_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u32);
} measured_processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MEASURE_CLASS_COUNT);
	__type(key, __u32);
	__type(value, struct measure);
} measured SEC(".maps");

/* ---- what the walk asks for ---------------------------------------------------------------------
 */

static __always_inline const void *walk_chunk(struct walk *walk, __u32 line)
{
	__u32 number = line >> WALK_CHUNK_LINE_SHIFT, zero = 0;
	void *map = bpf_map_lookup_elem(&chunks, &number);

	(void)walk;
	return map ? bpf_map_lookup_elem(map, &zero) : NULL;
}

static __always_inline const struct walk_file *walk_file(struct walk *walk, __u32 number)
{
	(void)walk;
	return bpf_map_lookup_elem(&files, &number);
}

static __always_inline __u64 walk_rule(struct walk *walk, __u32 number)
{
	__u64 *rule = bpf_map_lookup_elem(&rules, &number);

	(void)walk;
	return rule ? *rule : 0;
}

#include "bpf/kernel_mappings.h"

/*
 * Brings a piece of the stack that holds the word: one long read costs as much as two short ones.
 * One that comes upon a page that is not there costs as much as ten, and above the frames of a
 * program's first thread such a page is at times, since execve() leaves a gap of up to 8 KiB: it is
 * not read beyond the page that the stack began in.
 */
static __noinline int move_window(struct walk_state *s, __u64 address)
{
	__u64 from = (address - WALK_WINDOW_BELOW) & ~7UL;
	__u32 size = WALK_WINDOW_SIZE;

	if (!s)
		return -1;

	struct mm_struct *memory = bpf_get_current_task_btf()->mm;
	__u64 end = (memory->start_stack | (EVENT_PAGE_SIZE - 1)) + 1;

	if (end >= address + 8 && end - from < WALK_WINDOW_SIZE)
		size = end - from;
	s->window_size = 0;
	if (size > WALK_WINDOW_SIZE || bpf_probe_read_user(s->window, size, (void *)from)) {
		/* Near the top of another stack: what is left of the page. */
		from = address;
		size = EVENT_PAGE_SIZE - (address & (EVENT_PAGE_SIZE - 1));
		if (size > WALK_WINDOW_SIZE)
			size = WALK_WINDOW_SIZE;
		if (bpf_probe_read_user(s->window, size, (void *)from))
			return -1;
	}
	s->window_at = from;
	s->window_size = size;
	return 0;
}

static __always_inline int walk_read(struct walk *walk, __u64 address, __u64 *ret)
{
	struct walk_state *s = walk->state;
	__u64 at = address - s->window_at;

	if (at + 8 > s->window_size || at + 8 < at) {
		if (move_window(s, address))
			return -1;
		at = address - s->window_at;
		/* A word across the end of the last page that is there. */
		if (at + 8 > s->window_size)
			return -1;
	}
	*ret = *(__u64 *)(s->window + (at & (WALK_WINDOW_SIZE - 1)));
	return 0;
}

static __always_inline int walk_read_plainly(struct walk *walk, __u64 address, __u64 *ret)
{
	(void)walk;
	return bpf_probe_read_user(ret, sizeof(*ret), (void *)address) ? -1 : 0;
}

static __always_inline bool walk_ask(struct walk *walk, __u64 address)
{
	return walk->asks_kernel && kernel_mappings_ask(walk->state, address);
}

static __always_inline struct walk_memo_line *walk_memo(struct walk *walk, __u32 index)
{
	return &walk->memo[index];
}

/* The value begins where the kernel's part of the array ends, but lines are to be lines of the
 * CPU's caches. */
static __always_inline struct walk_memo_line *memo_lines(void)
{
	__u32 zero = 0;
	__u8 *value = bpf_map_lookup_elem(&memo, &zero);

	if (!value)
		return NULL;
	return (void *)(value +
			(-bpf_core_field_offset(struct bpf_array, value) & (UNWIND_LINE_SIZE - 1)));
}

/*
 * Simple frames by one call of bpf_loop(). Where the kernel guards returns (AMD's Safe RET) a call
 * costs 10 ns, as much as a step. A loop and not copies, since text is cold at 99 Hz.
 */
enum { STEPS_AT_ONCE = 8 };

/* One frame or more; 1 ends bpf_loop(). */
static long step(__u32 number, struct walk *walk)
{
	(void)number;
#pragma clang loop unroll(disable)
	for (int i = 0; i < STEPS_AT_ONCE; i++) {
		enum walk_simple result = walk_step_simply(walk);

		if (result == WALK_ENDED)
			return 1;
		if (result == WALK_NOT_SIMPLE)
			return walk_step(walk, WALK_AS_USUAL);
	}
	return 0;
}

static long step_plainly(__u32 number, struct walk *walk)
{
	(void)number;
	return walk_step(walk, WALK_PLAINLY);
}

/* ---- a sample -----------------------------------------------------------------------------------
 */

/* The space's word of a process, 0 when none is known. */
static __always_inline __u64 find_space(struct walk_state *s, const struct event *event)
{
	__u32 pid = event->pid, number = pid % WALK_BUCKET_COUNT;
	struct walk_bucket *bucket = bpf_map_lookup_elem(&processes, &number);
	__u32 image = walk_image(event->exec_generation, event->start_boot_ns);

	if (!bucket)
		return 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < WALK_BUCKET_SIZE; i++) {
		const struct walk_process *process = &bucket->processes[i];

		/* Another program may run in it than the one that we know, for a moment. */
		if (process->pid == pid &&
		    (process->image == image || process->image == WALK_ANY_IMAGE)) {
			s->is_space_guessed = process->image == WALK_ANY_IMAGE;
			return process->space;
		}
	}
	return 0;
}

/* Global, so that it is verified once, whoever calls it. */
__noinline int walk_plainly(struct walk_state *s, struct event *event, __u64 space,
			    bool asks_kernel)
{
	struct walk walk = { .state = s, .event = event, .asks_kernel = asks_kernel };

	if (!s || !event)
		return 0;
	walk_enter(&walk, space);
	bpf_loop(EVENT_USER_FRAME_COUNT_MAX + 1, step_plainly, &walk, 0);
	return 0;
}

/* The last quarter is for frames that find no other way. */
static __always_inline bool ring_is_nearly_full(__u64 waiting)
{
	return waiting > (__u64)ring_size / 4 * 3;
}

/*
 * Once more, where the collector did not tell of a mapping: the kernel is asked. For all of them
 * where the space is that of the program which the process ran before, perhaps.
 */
static __always_inline void walk_by_kernel(struct memory *memory, struct event *event)
{
	struct walk_state *s = &memory->state;
	__u64 space = s->is_space_guessed ? 0 : walk_space_word(s->space, s->generation);

	walk_begin(s);
	s->frame = memory->start;
	walk_plainly(s, event, space, true);
	if (s->wants_more || !s->kernel_answered)
		return;
	memory->queue.counters[COUNTER_BY_KERNEL]++;
	/* By the ring, so that the collector hears of the process at once: what /proc says of it
	 * may be gone in a moment. */
	if (!ring_is_nearly_full(bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA)))
		memory->record_at = EVENT_QUEUE_SPARE_AT;
}

static __always_inline void walk_user_stack(struct walk *walk)
{
	struct walk_state *s = walk->state;

	/* The kernel's workers that pass for threads of a process (io_uring, vhost) never were in
	 * user space: their registers are zero. */
	if (s->frame.pc == 0) {
		s->verdict = WALK_NO_USER_STACK;
		return;
	}
	walk_enter(walk, find_space(s, walk->event));
	bpf_loop(EVENT_USER_FRAME_COUNT_MAX + 1, step, walk, 0);
}

static __always_inline void start_at_tick(struct walk_state *s, const struct tick *tick)
{
	s->frame.pc = tick->registers[REGISTER_IP];
	s->frame.sp = tick->registers[REGISTER_SP];
	s->frame.fp = tick->registers[REGISTER_FP];
	s->frame.is_return = 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < 16; i++)
		s->leaf[i] = tick->registers[i];
}

/* Where user space was left for the kernel. */
static __always_inline void start_below_kernel(struct walk_state *s, struct task_struct *task)
{
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	s->leaf[0] = registers->r15;
	s->leaf[1] = registers->r14;
	s->leaf[2] = registers->r13;
	s->leaf[3] = registers->r12;
	s->leaf[4] = registers->bp;
	s->leaf[5] = registers->bx;
	s->leaf[6] = registers->r11;
	s->leaf[7] = registers->r10;
	s->leaf[8] = registers->r9;
	s->leaf[9] = registers->r8;
	s->leaf[10] = registers->ax;
	s->leaf[11] = registers->cx;
	s->leaf[12] = registers->dx;
	s->leaf[13] = registers->si;
	s->leaf[14] = registers->di;
	s->leaf[15] = registers->orig_ax;
	s->frame.pc = registers->ip;
	s->frame.sp = registers->sp;
	s->frame.fp = s->leaf[REGISTER_FP];
	/* A system call was made; else something broke in, and the address is that of the
	 * instruction itself. */
	s->frame.is_return = (__s64)s->leaf[15] >= 0;
#elif defined(__TARGET_ARCH_arm64)
	s->frame.pc = registers->pc;
	s->frame.sp = registers->sp;
	s->frame.fp = registers->regs[29];
	s->frame.is_return = 0;
#endif
}

/* In the second half of an execve() the stack from which it was called is gone, while the registers
 * still are those of the program before. */
static __always_inline bool is_execve_without_stack(const struct walk_state *s)
{
#if defined(__TARGET_ARCH_x86)
	__u64 word;

	return (s->leaf[15] == 59 || s->leaf[15] == 322) &&
	       bpf_probe_read_user(&word, sizeof(word), (void *)s->frame.sp);
#else
	return false;
#endif
}

/*
 * In place, without a call of the kernel for each: they are cold text, and each return costs 10 ns
 * where the kernel guards them (AMD's Safe RET).
 */
static __always_inline void describe(struct event *event, struct task_struct *task,
				     const struct tick *tick)
{
	struct task_struct *leader = task->group_leader;
	const char *comm = task->comm;

	event->kind = EVENT_KIND_CPU;
	event->flags = 0;
	event->exec_generation = (__u32)leader->self_exec_id;
	event->start_boot_ns = leader->start_boottime;
	event->boot_ns = bpf_ktime_get_boot_ns();
	event->weight = tick->sample_period;
	event->cgroup_id =
		bpf_core_field_exists(task->cgroups) ? task->cgroups->dfl_cgrp->kn->id : 0;
	event->raw_stack_size = 0;
	event->uid = task->cred->uid.val;
	event->trace_id[0] = 0;
	event->trace_id[1] = 0;
	event->span_id = 0;
	for (int i = 0; i < 2; i++)
		((__u64 *)event->comm)[i] = ((__u64 *)comm)[i];
}

/*
 * Where the next record of this CPU is made, in bytes from records[]. By way of memory, of whose
 * contents the verifier knows nothing: it would go through all of the program for either place.
 */
static __always_inline __u64 choose_record(struct memory *memory)
{
	volatile __u64 *at = &memory->record_at;

	*at = event_queue_place(&memory->queue);
	return *at;
}

/*
 * The event with the registers that the walk began with and the stack from there on, up to so many
 * pages. False when there is nothing to read of it.
 */
static __noinline bool send_with_stack(struct memory *memory, const struct event *made, __u32 pages)
{
	if (!memory || !made)
		return false;

	const struct unwind_frame *start = &memory->start;
	struct event *event = (struct event *)(memory->records + EVENT_QUEUE_SPARE_AT);
	__u32 frame_count = memory->state.kernel_frame_count + memory->state.frame_count;

	if (frame_count > EVENT_FRAME_COUNT_MAX)
		return false;

	__u64 size = EVENT_HEADER_SIZE + (__u64)frame_count * sizeof(__u64);
	__u8 *raw = (__u8 *)event + size;
	__u64 sp = start->sp;
	__u32 stack_size = EVENT_PAGE_SIZE - (sp & (EVENT_PAGE_SIZE - 1));
	struct event_raw *at = (struct event_raw *)raw;

	/* In the queue other records may lie behind it. */
	if (made != event && bpf_probe_read_kernel(event, size, made))
		return false;
	__builtin_memcpy(at->registers, memory->state.leaf, sizeof(at->registers));
	at->pc = start->pc;
	at->sp = sp;
	at->fp = start->fp;
	at->is_return = start->is_return;
	raw += sizeof(*at);
	if (stack_size > EVENT_PAGE_SIZE || bpf_probe_read_user(raw, stack_size, (void *)sp))
		return false;
	raw += stack_size;

	/* Without branches: the verifier would follow each combination of pages. */
	__u32 holes = 0, last = 0;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < EVENT_RAW_STACK_SIZE_MAX / EVENT_PAGE_SIZE - 1; i++) {
		if (i + 1 >= pages)
			break;

		__u32 is_hole = unwind_if_negative(bpf_probe_read_user(
			raw, EVENT_PAGE_SIZE, (void *)(sp + stack_size + i * EVENT_PAGE_SIZE)));

		holes |= is_hole & 1U << i;
		last = (last & is_hole) | ((i + 1) & ~is_hole);
		raw += EVENT_PAGE_SIZE;
	}
	at->holes = holes;
	stack_size += last * EVENT_PAGE_SIZE;
	event->raw_stack_size = stack_size;
	size += sizeof(struct event_raw) + stack_size;
	if (size > RECORD_SIZE_MAX)
		size = RECORD_SIZE_MAX;
	if (bpf_ringbuf_output(&ring, event, size, BPF_RB_FORCE_WAKEUP))
		memory->queue.counters[COUNTER_RING_FULL]++;
	return true;
}

/* ---- walking twice ------------------------------------------------------------------------------
 */

struct comparison {
	const struct event *usual;
	struct check *check;
};

static long compare_frame(__u32 number, struct comparison *c)
{
	__u32 usual = c->usual->kernel_frame_count + number;

	if (number >= EVENT_USER_FRAME_COUNT_MAX || usual >= EVENT_FRAME_COUNT_MAX)
		return 1;
	c->check->different |= c->usual->frames[usual] != c->check->event.frames[number];
	return 0;
}

/*
 * Once more, without short cuts, from where the walk began. The thread waits for us, so that its
 * stack is the same; where the collector took a table or the mappings away in the meantime, or had
 * taken a table that rules are remembered of, there is nothing to compare.
 */
static __noinline int check(struct memory *memory, const struct event *event)
{
	__u32 zero = 0;
	struct check *check = bpf_map_lookup_elem(&checks, &zero);

	if (!check || !memory || !event)
		return 0;

	const struct walk_state *usual = &memory->state;
	struct walk_state *s = &check->state;
	struct comparison comparison = { .usual = event, .check = check };

	walk_begin(s);
	s->kernel_frame_count = 0;
	s->frame = memory->start;
	__builtin_memcpy(s->leaf, usual->leaf, sizeof(s->leaf));
	walk_plainly(s, &check->event, find_space(s, event), false);
	if (s->space != usual->space || s->generation != usual->generation || s->wants_more ||
	    s->lacks_table)
		return 0;
	check->different = s->frame_count != usual->frame_count || s->verdict != usual->verdict ||
			   s->flags != usual->flags;
	bpf_loop(usual->frame_count, compare_frame, &comparison, 0);
	memory->queue.counters[COUNTER_CHECKED]++;
	if (check->different)
		memory->queue.counters[COUNTER_DIFFERENT]++;
	return 0;
}

/* ---- measuring ----------------------------------------------------------------------------------
 */

static __always_inline __u64 clock(void)
{
	return measures ? bpf_ktime_get_ns() : 0;
}

static __always_inline void add_to_histogram(struct measure_histogram *histogram, __u64 ns)
{
	__u64 bucket = ns >> MEASURE_BUCKET_SHIFT;

	if (bucket >= MEASURE_BUCKET_COUNT)
		bucket = MEASURE_BUCKET_COUNT - 1;
	histogram->count++;
	histogram->sum_ns += ns;
	histogram->buckets[bucket]++;
}

/* After the last clock, so that it is in no figure. */
static __noinline int measure(const struct walk_state *s, __u32 pid, __u64 ns, __u64 kernel_ns)
{
	__u32 *class = bpf_map_lookup_elem(&measured_processes, &pid);
	struct measure *measure = class ? bpf_map_lookup_elem(&measured, class) : NULL;

	if (!measure || !s)
		return 0;
	if (s->wants_more || s->verdict == WALK_NO_USER_STACK) {
		measure->early++;
		return 0;
	}
	add_to_histogram(&measure->walk, ns - kernel_ns);
	if (kernel_ns) {
		add_to_histogram(&measure->below_kernel, ns - kernel_ns);
		add_to_histogram(&measure->kernel_stack, kernel_ns);
	}
	measure->user_frames += s->frame_count;
	measure->complete += s->verdict == WALK_COMPLETE;
	return 0;
}

/*
 * Frames of the kernel cost more than all of the user's: only of a tick that broke in there. How
 * long it took.
 */
static __always_inline __u64 read_kernel_stack(struct walk_state *s, struct event *event,
					       struct tick *tick)
{
	__u64 start_ns = clock();
	long size =
		bpf_get_stack(tick, event->frames, EVENT_KERNEL_FRAME_COUNT_MAX * sizeof(__u64), 0);
	__u64 spent_ns = clock() - start_ns;

	s->kernel_frame_count = size > 0 ? (__u32)size / sizeof(__u64) : 0;
	return spent_ns;
}

/* The record without a stack: by the queue if it was made there. */
static __always_inline void send(struct memory *memory, struct event *event)
{
	__u32 frame_count = memory->state.kernel_frame_count + memory->state.frame_count;
	__u64 size = EVENT_HEADER_SIZE + (__u64)frame_count * sizeof(__u64);

	if (size > sizeof(*event))
		size = sizeof(*event);
	/* Whoever drains them comes ten times a second: it is woken where that is not enough. */
	if (memory->record_at < EVENT_QUEUE_SPARE_AT)
		event_queue_publish(&memory->queue, size);
	else if (bpf_ringbuf_output(&ring, event, size, BPF_RB_FORCE_WAKEUP))
		memory->queue.counters[COUNTER_RING_FULL]++;
}

SEC("perf_event")
int profile(struct tick *tick)
{
	__u64 start_ns = clock(), kernel_ns = 0;
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 pid = task->tgid, tid = task->pid, cpu = bpf_get_smp_processor_id();
	struct memory *memory = bpf_map_lookup_elem(&memories, &cpu);
	struct walk_memo_line *lines = memo_lines();

	/* Every CPU that has an event has one. */
	if (!memory || !lines)
		return 0;
	/* The idle thread is pid 0, one on each CPU. */
	if (pid == 0) {
		memory->queue.counters[COUNTER_IDLE]++;
		return 0;
	}

	if (pid_space_inode) {
		struct bpf_pidns_info ids = {};

		if (bpf_get_ns_current_pid_tgid(pid_space_device, pid_space_inode, &ids,
						sizeof(ids))) {
			memory->queue.counters[COUNTER_ELSEWHERE]++;
			return 0;
		}
		pid = ids.tgid;
		tid = ids.pid;
	}

	__u64 number = ++memory->queue.counters[COUNTER_TAKEN];
	struct walk_state *s = &memory->state;
	__u64 at = choose_record(memory);

	/* For the verifier, which can't tell. */
	if (at > EVENT_QUEUE_SPARE_AT)
		return 0;

	struct event *event = (struct event *)(memory->records + at);
	struct walk walk = { .state = s, .event = event, .memo = lines };
	bool in_kernel = (__s64)tick->registers[REGISTER_IP] < 0;

	event->pid = pid;
	event->tid = tid;
	event->cpu = cpu;
	describe(event, task, tick);
	walk_begin(s);
	s->kernel_frame_count = 0;
	if (in_kernel) {
		event->flags |= EVENT_BROKE_INTO_KERNEL;
		kernel_ns = read_kernel_stack(s, event, tick);
	}

	if (task->flags & PF_KTHREAD)
		event->flags |= EVENT_KERNEL_THREAD;
	if (event->flags & EVENT_KERNEL_THREAD || !task->mm) {
		s->verdict = WALK_NO_USER_STACK;
	} else {
		if (in_kernel)
			start_below_kernel(s, task);
		else
			start_at_tick(s, tick);
		memory->start = s->frame;
		if (in_kernel && is_execve_without_stack(s))
			s->verdict = WALK_NO_USER_STACK;
		else
			walk_user_stack(&walk);
		if (kernel_mappings_are_readable() && s->wants_more && !s->missing_file)
			walk_by_kernel(memory, event);
	}

	bool is_sent = false;

	event->flags |= (__u16)s->flags;
	event->verdict = (__u8)s->verdict;
	event->kernel_frame_count = (__u16)s->kernel_frame_count;
	event->user_frame_count = (__u16)s->frame_count;
	if (s->wants_more && s->verdict != WALK_NO_USER_STACK) {
		event->flags |= EVENT_CAME_EARLY;
		/* The fuller the ring, the less of a stack. */
		__u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA), room = ring_size;
		__u32 pages = waiting < room / 4 ? 16 : waiting < room / 2 ? 4 : 1;

		if (ring_is_nearly_full(waiting)) {
			memory->queue.counters[COUNTER_RAW_LEFT_OUT]++;
			if (s->verdict != WALK_COMPLETE && s->verdict != WALK_TRUNCATED)
				event->verdict = WALK_CAME_EARLY;
		} else {
			is_sent = send_with_stack(memory, event, pages);
			memory->queue.counters[COUNTER_RAW]++;
		}
	}
	if (!is_sent)
		send(memory, event);
	if (measures)
		measure(s, event->pid, clock() - start_ns, kernel_ns);
	if (check_period && number % check_period == 0 && !s->wants_more &&
	    s->verdict != WALK_NO_USER_STACK)
		check(memory, event);
	return 0;
}

/* Some helpers are for GPL-compatible programs only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On-CPU profiling: one tick of a CPU's clock event, one stack trace. The kernel's part comes from
 * the kernel, the user's is walked here by frame pointers, every step checked, so that the record
 * can say how sure it is.
 */
#include "bpf/kernel_types.h"
#include "bpf/events.h"

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

/* The verdicts of base/window.h that this walk can come to. */
enum {
	VERDICT_COMPLETE = 0,
	VERDICT_TRUNCATED = 1,
	VERDICT_NO_RULE = 3,
	VERDICT_READ_FAULT = 6,
	VERDICT_NOT_PROGRESSING = 7,
	VERDICT_NO_USER_STACK = 8,
};

/* A caller's frame further away than this is taken for a register that held something else. */
#define STEP_SIZE_MAX (1UL << 20)

/* The collector sets its size before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* The record is put together here: it is larger than a program's stack. A perf_event program is not
 * interrupted by itself on one CPU, so one record a CPU does. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
} scratch SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		(*value)++;
}

struct walk {
	struct event *event;
	__u64 fp;
	__u64 least; /* the next frame must not lie below: the stack pointer, then the last frame */
	__u32 kernel_frame_count;
	__u32 user_frame_count;
	__u32 verdict;
};

static __always_inline bool add_user_frame(struct walk *walk, __u64 address)
{
	__u32 index = walk->kernel_frame_count + walk->user_frame_count;

	if (walk->user_frame_count >= EVENT_USER_FRAME_COUNT_MAX || index >= EVENT_FRAME_COUNT_MAX)
		return false;
	walk->event->frames[index] = address;
	walk->user_frame_count++;
	return true;
}

/* One caller further up; 1 ends bpf_loop(). */
static long step(__u32 number, struct walk *walk)
{
	struct {
		__u64 fp;
		__u64 return_address;
	} frame;
	__u64 fp = walk->fp;

	if (fp == 0) {
		/* A start of thread or process clears it. Before the first step nobody has said
		 * that the register holds a frame pointer at all. */
		walk->verdict = number ? VERDICT_COMPLETE : VERDICT_NO_RULE;
		return 1;
	}
	if (fp < walk->least) {
		walk->verdict = number ? VERDICT_NOT_PROGRESSING : VERDICT_NO_RULE;
		return 1;
	}
	if ((fp & 7) || fp - walk->least > STEP_SIZE_MAX) {
		walk->verdict = VERDICT_NO_RULE;
		return 1;
	}
	if (bpf_probe_read_user(&frame, sizeof(frame), (void *)fp)) {
		walk->verdict = VERDICT_READ_FAULT;
		return 1;
	}
	if (frame.return_address == 0) {
		walk->verdict = VERDICT_COMPLETE;
		return 1;
	}
	if (!add_user_frame(walk, frame.return_address)) {
		walk->verdict = VERDICT_TRUNCATED;
		return 1;
	}
	walk->event->flags |= EVENT_FRAME_POINTERS;
	walk->least = fp + 16;
	walk->fp = frame.fp;
	return 0;
}

static __always_inline void walk_user_stack(struct walk *walk, __u64 ip, __u64 sp, __u64 fp)
{
	/* The kernel's workers that pass for threads of a process (io_uring, vhost) never were in user
	 * space: their registers are zero. */
	if (ip == 0)
		return;
	walk->verdict = VERDICT_TRUNCATED;
	walk->least = sp;
	walk->fp = fp;
	if (add_user_frame(walk, ip))
		bpf_loop(EVENT_USER_FRAME_COUNT_MAX, step, walk, 0);
}

/* Where user space was left for the kernel. */
static __always_inline void walk_below_kernel(struct walk *walk, struct task_struct *task)
{
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	walk_user_stack(walk, BPF_CORE_READ(registers, ip), BPF_CORE_READ(registers, sp),
			BPF_CORE_READ(registers, bp));
#elif defined(__TARGET_ARCH_arm64)
	walk_user_stack(walk, BPF_CORE_READ(registers, pc), BPF_CORE_READ(registers, sp),
			BPF_CORE_READ(registers, regs[29]));
#endif
}

static __always_inline void send(struct event *event, __u32 frame_count)
{
	__u64 size = EVENT_HEADER_SIZE + (__u64)frame_count * sizeof(event->frames[0]);
	__u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u64 wakeup = waiting > bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 2
			       ? BPF_RB_FORCE_WAKEUP
			       : BPF_RB_NO_WAKEUP;

	if (size > sizeof(*event))
		size = sizeof(*event);
	if (bpf_ringbuf_output(&ring, event, size, wakeup))
		count(COUNTER_RING_FULL);
}

static __always_inline void describe(struct event *event, struct task_struct *task,
				     const struct tick *tick)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	event->kind = EVENT_KIND_CPU;
	event->flags = 0;
	event->cpu = bpf_get_smp_processor_id();
	event->exec_generation = (__u32)BPF_CORE_READ(leader, self_exec_id);
	event->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	event->boot_ns = bpf_ktime_get_boot_ns();
	event->weight = tick->sample_period;
	event->cgroup_id = bpf_get_current_cgroup_id();
	event->raw_stack_size = 0;
	event->reserved = 0;
	event->trace_id[0] = 0;
	event->trace_id[1] = 0;
	event->span_id = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

SEC("perf_event")
int profile(struct tick *tick)
{
	__u64 pid_and_tid = bpf_get_current_pid_tgid();
	__u32 zero = 0;

	/* The idle thread is pid 0, one on each CPU. */
	if (pid_and_tid == 0) {
		count(COUNTER_IDLE);
		return 0;
	}
	count(COUNTER_TAKEN);

	struct task_struct *task = bpf_get_current_task_btf();
	struct event *event = bpf_map_lookup_elem(&scratch, &zero);

	if (!event || !task) {
		count(COUNTER_UNREADABLE);
		return 0;
	}
	event->pid = pid_and_tid >> 32;
	event->tid = (__u32)pid_and_tid;
	describe(event, task, tick);

	struct walk walk = { .event = event, .verdict = VERDICT_NO_USER_STACK };
	__u64 ip = tick->registers[REGISTER_IP];
	bool in_kernel = (__s64)ip < 0;

	if (in_kernel) {
		/* Frames of the kernel cost more than all of the user's: only when the tick broke
		 * in there. */
		long size = bpf_get_stack(tick, event->frames,
					  EVENT_KERNEL_FRAME_COUNT_MAX * sizeof(__u64), 0);

		event->flags |= EVENT_BROKE_INTO_KERNEL;
		walk.kernel_frame_count = size > 0 ? (__u32)size / sizeof(__u64) : 0;
	}
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		event->flags |= EVENT_KERNEL_THREAD;
	else if (in_kernel)
		walk_below_kernel(&walk, task);
	else
		walk_user_stack(&walk, ip, tick->registers[REGISTER_SP],
				tick->registers[REGISTER_FP]);

	event->verdict = (__u8)walk.verdict;
	event->kernel_frame_count = (__u16)walk.kernel_frame_count;
	event->user_frame_count = (__u16)walk.user_frame_count;
	send(event, walk.kernel_frame_count + walk.user_frame_count);
	return 0;
}

/* Some helpers are for GPL-compatible programs only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The few kernel types that we read, with the fields that we read; CO-RE finds their places when
 * the program is loaded. Kernels are the source: include/linux/sched.h, include/uapi/linux/bpf.h.
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp; /* of the unified hierarchy */
};

typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t uid;
};

typedef struct {
	void *vdso; /* where it is mapped */
} mm_context_t;

/* What a program maps, by address: see bpf/kernel_mappings.h. */
struct maple_tree {
	void *ma_root;
};

struct maple_range_64 {
	unsigned long pivot[15];
	void *slot[16];
};

struct maple_arange_64 {
	unsigned long pivot[9];
	void *slot[10];
};

/* Of a program's memory. */
struct mm_struct {
	unsigned long start_stack; /* sp where the first thread began: no frame lies above */
	struct maple_tree mm_mt;   /* since 6.1 */
	mm_context_t context;
};

struct inode {
	unsigned long i_ino;
	__s64 i_size;
	__s64 i_mtime_sec; /* these four since 6.11 */
	__s64 i_ctime_sec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec; /* one of the highest bits may be the kernel's own */
};

struct file {
	struct inode *f_inode;
};

/* A mapping. */
struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff; /* in the file, in pages */
	struct mm_struct *vm_mm;
	struct file *vm_file; /* NULL: no file's */
	void *vm_ops;	      /* NULL: anonymous memory */
};

/* An array of this program, as the kernel has it: its values lie behind what it says of it. */
struct bpf_array {
	char value[0];
};

struct task_struct {
	int pid;  /* what user space calls the thread's id */
	int tgid; /* and the process's */
	unsigned int flags;
	struct mm_struct *mm; /* NULL once an exiting task has given its memory back */
	struct task_struct *group_leader;
	__u64 start_boottime;
	__u64 self_exec_id; /* u32 before 5.7; CO-RE reads what is there */
	struct cred *cred;
	struct css_set *cgroups; /* with CONFIG_CGROUPS */
	char comm[16];
};

#if defined(__TARGET_ARCH_x86)

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	unsigned long ip;
	unsigned long sp;
};

#elif defined(__TARGET_ARCH_arm64)

struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			__u64 regs[31];
			__u64 sp;
			__u64 pc;
			__u64 pstate;
		};
	};
};

#endif

#pragma clang attribute pop

/* From include/linux/maple_tree.h. */
enum maple_type { maple_leaf_64 = 1, maple_range_64 = 2, maple_arange_64 = 3 };

#define PF_KTHREAD 0x00200000
#define VM_EXEC	   0x00000004

/* From include/uapi/linux/bpf.h: a task's numbers in a pid namespace. */
struct bpf_pidns_info {
	__u32 pid; /* what user space calls the thread's id */
	__u32 tgid;
};

/* From include/uapi/linux/bpf.h. */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_F_MMAPABLE = 1 << 10,
};

enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

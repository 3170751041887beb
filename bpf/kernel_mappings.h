/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What a program maps, as the kernel has it: for samples that come before the collector told of
 * their process. The file is known by its inode, once its table has come: the programs of a busy
 * host start again and again.
 *
 * The mappings are leaves of a tree (include/linux/maple_tree.h; since 6.1) that is read as it lies
 * there, without its lock, which can't be had in an interrupt: what is found must say itself that
 * it is a mapping of this memory that holds the address. On a kernel whose tree looks different
 * nothing is found.
 */
enum {
	TREE_NODE_SIZE = 256,
	TREE_LEAF = 1,	/* enum maple_type; ranges up to and with each of 15 pivots, 16 slots */
	TREE_INNER = 2, /* the same of nodes */
	TREE_INNER_WITH_GAPS = 3, /* 9 pivots, 10 slots */
	TREE_PIVOTS_AT = 8,
	TREE_SLOTS_AT = 128,
	TREE_SLOTS_WITH_GAPS_AT = 80,
	/*
	 * The kernel keeps nodes at least about a third full: 4 of 10 slots, 6 of 16, and what lies
	 * between two mappings takes one, too. 65,530 mappings, the most without a sysctl, have 9
	 * levels then; 12 are enough for 12 million.
	 */
	TREE_DEPTH_MAX = 12,
};

/* By what the kernel shows of a file: see walk_file_hash(). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WALK_KNOWN_BUCKET_COUNT);
	__type(key, __u32);
	__type(value, struct walk_known_bucket);
} known SEC(".maps");

/* A constant when the program is loaded: where it is false, what stands behind it is not even
 * verified. Offsets in files are in pages of the kernel. */
static __always_inline bool kernel_mappings_are_readable(void)
{
	return page_size == EVENT_PAGE_SIZE && bpf_core_type_exists(struct maple_range_64) &&
	       bpf_core_field_offset(struct maple_range_64, pivot) == TREE_PIVOTS_AT &&
	       bpf_core_field_offset(struct maple_range_64, slot) == TREE_SLOTS_AT &&
	       bpf_core_field_offset(struct maple_arange_64, pivot) == TREE_PIVOTS_AT &&
	       bpf_core_field_offset(struct maple_arange_64, slot) == TREE_SLOTS_WITH_GAPS_AT &&
	       bpf_core_enum_value(enum maple_type, maple_arange_64) == TREE_INNER_WITH_GAPS &&
	       bpf_core_field_exists(struct inode, i_ctime_sec);
}

/* The slot of a node that the address is in. Pivots ascend, and what follows the last one, 0 or an
 * address of the kernel, is no positive number. */
static __always_inline __u64 kernel_mappings_slot(const __u64 *node, __u64 address, bool has_gaps)
{
	__u32 slot = 0, is_below = ~0U;

#pragma clang loop unroll(full)
	for (int i = 0; i < 15; i++) {
		__u64 pivot = node[TREE_PIVOTS_AT / 8 + i];

		is_below &= unwind_if_negative((__s64)(pivot - address)) &
			    unwind_if_negative(-(__s64)pivot);
		slot += is_below & 1;
	}
	return node[(has_gaps ? TREE_SLOTS_WITH_GAPS_AT : TREE_SLOTS_AT) / 8 + (slot & 15)];
}

struct kernel_mappings_descent {
	__u64 entry; /* a node and its type, or the mapping */
	__u64 address;
	__u64 *node; /* room for one */
	__u64 is_done;
};

static long kernel_mappings_descend(__u32 number, struct kernel_mappings_descent *d)
{
	__u32 type = d->entry >> 3 & 15;

	(void)number;
	if (bpf_probe_read_kernel(d->node, TREE_NODE_SIZE,
				  (void *)(d->entry & ~(TREE_NODE_SIZE - 1ULL))))
		return 1;
	d->entry = kernel_mappings_slot(d->node, d->address, type == TREE_INNER_WITH_GAPS);
	d->is_done = type == TREE_LEAF;
	return d->is_done;
}

/* What the tree has for the address, in room for a node. */
static __always_inline struct vm_area_struct *kernel_mappings_find(struct mm_struct *memory,
								   __u64 address, __u64 *node)
{
	struct kernel_mappings_descent descent = { .entry = (__u64)BPF_CORE_READ(memory,
										 mm_mt.ma_root),
						   .address = address,
						   .node = node };

	/* Else the root is not a node. */
	if ((descent.entry & 3) == 2)
		bpf_loop(TREE_DEPTH_MAX, kernel_mappings_descend, &descent, 0);
	return descent.is_done ? (struct vm_area_struct *)descent.entry : NULL;
}

/* What the kernel shows of its file; the vDSO, which is none, is all zero. */
static __always_inline __u64 kernel_mappings_hash(struct vm_area_struct *mapping)
{
	struct file *file = BPF_CORE_READ(mapping, vm_file);
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	/* Where there is no file nothing can be read. */
	return walk_file_hash(BPF_CORE_READ(inode, i_ino), BPF_CORE_READ(inode, i_size),
			      walk_file_time(BPF_CORE_READ(inode, i_mtime_sec),
					     BPF_CORE_READ(inode, i_mtime_nsec)),
			      walk_file_time(BPF_CORE_READ(inode, i_ctime_sec),
					     BPF_CORE_READ(inode, i_ctime_nsec)));
}

/* The number of the mapping's file. */
static __always_inline __u32 kernel_mappings_file(struct vm_area_struct *mapping,
						  struct mm_struct *memory)
{
	if (!BPF_CORE_READ(mapping, vm_file)) {
		if (!BPF_CORE_READ(mapping, vm_ops))
			return WALK_FILE_NONE;
		if (BPF_CORE_READ(mapping, vm_start) !=
		    (unsigned long)BPF_CORE_READ(memory, context.vdso))
			return WALK_FILE_UNKNOWN;
	}

	__u64 hash = kernel_mappings_hash(mapping);
	__u32 place = walk_known_place(hash);
	const struct walk_known_bucket *bucket = bpf_map_lookup_elem(&known, &place);

	return bucket ? walk_known_find(bucket, hash) : WALK_FILE_UNKNOWN;
}

/*
 * Whether something executable is mapped at an address of the program that was interrupted: it
 * becomes the walk's, which has no use for its window. Global, so that it is verified once.
 */
__noinline int kernel_mappings_ask(struct walk_state *s, __u64 address)
{
	struct mm_struct *memory = bpf_get_current_task_btf()->mm;
	struct vm_area_struct *mapping;

	/* Here, where it takes all that follows out of the program. */
	if (!s || !kernel_mappings_are_readable())
		return 0;
	/* That of the frame before, mostly. */
	if (address >= s->start && address < s->end)
		return 1;
	mapping = kernel_mappings_find(memory, address, (__u64 *)s->window);
	if (!mapping || BPF_CORE_READ(mapping, vm_mm) != memory ||
	    !(BPF_CORE_READ(mapping, vm_flags) & VM_EXEC))
		return 0;

	__u64 start = BPF_CORE_READ(mapping, vm_start), end = BPF_CORE_READ(mapping, vm_end);
	__u32 number = kernel_mappings_file(mapping, memory);

	if (address < start || address >= end)
		return 0;
	walk_use_mapping(s, start, end, BPF_CORE_READ(mapping, vm_pgoff) * EVENT_PAGE_SIZE, number,
			 bpf_map_lookup_elem(&files, &number));
	s->kernel_answered = 1;
	return 1;
}

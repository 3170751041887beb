/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What the walk reads: written by the collector, through mapped memory, while the program in the
 * kernel walks.
 *
 *   processes ──▶ space ──▶ files ──▶ page words ──▶ blocks of rows ──▶ rules
 *   by pid        its executable      bpf/unwind.h says what these are
 *                 mappings
 *
 * Memory is made of lines of 64 bytes in chunks of 4 MiB; a line's number counts through all of
 * them. Spaces, page words and blocks of rows lie in there, none across chunks. What is new is
 * written where nobody reads yet, then published by one word; what is old is kept until no walk can
 * be in it.
 */
#include "bpf/unwind.h"

enum {
	WALK_CHUNK_SIZE = 4 << 20, /* the most that a map's value may have on all kernels */
	WALK_CHUNK_LINE_COUNT = WALK_CHUNK_SIZE / UNWIND_LINE_SIZE,
	WALK_CHUNK_LINE_SHIFT = 16,
	WALK_CHUNK_COUNT_MAX = 256, /* 1 GiB */

	/* Processes: buckets of four by pid. Pids are given one after the other, so that buckets
	 * fill up evenly; a process that finds none is walked without tables, and counted. */
	WALK_BUCKET_COUNT = 8192,
	WALK_BUCKET_SIZE = 4,
	/* Distinct files with executable mappings, in all processes together. */
	WALK_FILE_COUNT_MAX = 16384,
	/* Mappings of a space. */
	WALK_MAPPING_COUNT_MAX = 16384,
	/* Known files: buckets of eight by hash. What finds no place is not known. */
	WALK_KNOWN_BUCKET_COUNT = 4096,
	WALK_KNOWN_BUCKET_SIZE = 8,
};

/* A process, as a sample finds its space. */
struct walk_process {
	__u32 pid;   /* 0: nobody; written last, cleared first */
	__u32 image; /* walk_image(), WALK_ANY_IMAGE: not known yet */
	__u64 space; /* walk_space_word(): changes at once */
};

enum { WALK_ANY_IMAGE = 0 };

/* The program that a process runs: another after each exec; those of processes that started at
 * different times are alike as seldom as random numbers. */
UNWIND_INLINE __u32 walk_image(__u32 exec_generation, __u64 start_boot_ns)
{
	__u32 start = start_boot_ns * 0x9e3779b97f4a7c15ULL >> 32;

	return (start + exec_generation) | 1U << 31;
}

/* A space's first line and its generation, with which a walk can remember rules before it has
 * looked at the space itself. 0: no space. */
UNWIND_INLINE __u64 walk_space_word(__u32 line, __u32 generation)
{
	return line | (__u64)generation << 32;
}

struct walk_bucket {
	struct walk_process processes[WALK_BUCKET_SIZE];
};

UNWIND_ASSERT(sizeof(struct walk_bucket) == UNWIND_LINE_SIZE, "a bucket is a line");

/*
 * The executable mappings of one program image: this line, then count starts, ascending, then,
 * on a new line, count mappings in the same order.
 */
struct walk_space {
	__u32 count;
	__u32 generation; /* another for each space that was ever made */
	/* Whether an address in no mapping may be one that we will hear of. */
	__u32 expects_mappings;
	__u32 reserved[13];
};

UNWIND_ASSERT(sizeof(struct walk_space) == UNWIND_LINE_SIZE, "starts lie on a line");

struct walk_mapping {
	__u64 start;
	__u64 end;
	__u64 offset; /* in the file */
	__u32 file;   /* number; WALK_FILE_NONE: anonymous memory */
	__u32 reserved;
};

UNWIND_ASSERT(sizeof(struct walk_mapping) == 32, "two a line");

enum {
	WALK_FILE_NONE = 0,
	/* One that is not among the known: its table is expected for ever. */
	WALK_FILE_UNKNOWN = WALK_FILE_COUNT_MAX - 1,
};

/* Files that the kernel shows to be some that we know: see walk_known_word(); 0: nobody. */
struct walk_known_bucket {
	__u64 files[WALK_KNOWN_BUCKET_SIZE];
};

UNWIND_ASSERT(sizeof(struct walk_known_bucket) == UNWIND_LINE_SIZE, "a bucket is a line");

/* Seconds and nanoseconds; what the kernel keeps in the highest bits of the latter is left out. */
UNWIND_INLINE __u64 walk_file_time(__s64 seconds, __u32 ns)
{
	return (__u64)seconds << 30 | (ns & ((1U << 30) - 1));
}

UNWIND_INLINE __u64 walk_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

/*
 * What tells a file apart from all others and from itself when it was changed or replaced: when a
 * change was nobody can say but who sets the clock, or serves the file system by a program of his
 * own (FUSE), of which no file gets known. Without the device, of which containers' file
 * systems tell programs another than the kernel has. All zero is the vDSO. Never 0.
 */
UNWIND_INLINE __u64 walk_file_hash(__u64 inode, __u64 size, __u64 modified, __u64 changed)
{
	__u64 hash = walk_mix(walk_mix(walk_mix(walk_mix(1, inode), size), modified), changed);

	return hash | 1ULL << 63;
}

UNWIND_INLINE __u32 walk_known_place(__u64 hash)
{
	return hash >> 32 & (WALK_KNOWN_BUCKET_COUNT - 1);
}

UNWIND_ASSERT((WALK_FILE_COUNT_MAX & (WALK_FILE_COUNT_MAX - 1)) == 0, "a number is some bits");

/* The hash with the file's number in the place of its lowest bits. One word, so that nobody reads
 * the number of one file by the hash of another while it is written. */
UNWIND_INLINE __u64 walk_known_word(__u64 hash, __u32 number)
{
	return (hash & ~(WALK_FILE_COUNT_MAX - 1ULL)) | number;
}

UNWIND_INLINE __u32 walk_known_number(__u64 word)
{
	return word & (WALK_FILE_COUNT_MAX - 1);
}

/* The number of the file with this hash. */
UNWIND_INLINE __u32 walk_known_find(const struct walk_known_bucket *bucket, __u64 hash)
{
	__u32 number = WALK_FILE_UNKNOWN;

#pragma GCC unroll 8
	for (int i = 0; i < WALK_KNOWN_BUCKET_SIZE; i++) {
		__u64 word = *(const volatile __u64 *)&bucket->files[i];
		__u64 differs = walk_known_word(word ^ hash, 0);
		__u32 is_other = unwind_if_negative((__s64)(differs | -differs));

		number = (number & is_other) | (walk_known_number(word) & ~is_other);
	}
	return number;
}

enum walk_file_state {
	WALK_FILE_WITHOUT_TABLE = 0, /* frame pointers are all there is */
	WALK_FILE_EXPECTED = 1,	     /* its table is on its way, or worth asking for */
	WALK_FILE_PRESENT = 2,
};

/* Of each file, by number. */
struct walk_file {
	__u32 state; /* enum walk_file_state; written last */
	__u32 words; /* first line of its page words */
	__u32 page_first;
	__u32 page_count;
};

UNWIND_INLINE __u32 walk_space_mappings_at(__u32 count)
{
	return sizeof(struct walk_space) + ((count * (__u32)sizeof(__u64) + UNWIND_LINE_SIZE - 1) &
					    ~(__u32)(UNWIND_LINE_SIZE - 1));
}

UNWIND_INLINE __u32 walk_space_size(__u32 count)
{
	return walk_space_mappings_at(count) + count * (__u32)sizeof(struct walk_mapping);
}

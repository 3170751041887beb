/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Stacks of invented programs. Each program has a call graph that is made of hashes: which function
 * a call site calls, how many sites a function has, how likely it is a leaf. A stack is a random
 * walk over it. Nothing is stored, so a walk costs arithmetic only, and there is no last stack: new
 * ones turn up for ever, as they do in real programs.
 *
 * The kinds are fitted to recordings of real programs, see test_generator.c for the figures.
 */
enum program_kind {
	PROGRAM_NATIVE,
	PROGRAM_GO,
	PROGRAM_JVM,
	PROGRAM_CPYTHON,
	PROGRAM_NODE,
	PROGRAM_COMPILER,
	PROGRAM_LOOP, /* few functions, as a simple worker has */
	PROGRAM_KIND_COUNT,
};

enum {
	WALK_DEPTH_MAX = 192,

	/* Modules below this are shared by all programs and never change. */
	MODULE_KERNEL = 0,
	MODULE_LIBC = 1,
	MODULE_LIBRARIES = 2,
	MODULE_OWN = 62,

	MODULE_TEXT_SIZE = 8 << 20, /* addresses of a module lie below it */
};

struct program {
	enum program_kind kind;
	uint32_t number;  /* which program of its kind; decides the graph */
	uint32_t version; /* a deploy moves the addresses of the program's own module */
};

struct walk_frame {
	uint32_t module; /* MODULE_…; MODULE_OWN stands for the program's own */
	uint32_t function;
	uint32_t address; /* within the module's text */
	uint32_t start;	  /* of the function */
};

struct walk {
	uint32_t depth;
	uint32_t kernel_depth;	/* so many of them, at the end, are the kernel's */
	uint64_t hash;		/* of everything */
	uint64_t function_hash; /* with the leaf's address lowered to its function's start */
	struct walk_frame frames[WALK_DEPTH_MAX]; /* root first */
};

/* How many entry points such a program has; each is a topic. */
uint32_t call_graph_topic_count(const struct program *program);

/* Functions of a program are numbered below this, of a shared module (kind: PROGRAM_KIND_COUNT)
 * those of all programs; and where one begins in a module of a version, 0 of shared ones. */
uint32_t call_graph_function_count(enum program_kind kind);
uint32_t call_graph_function_start(uint32_t module, uint32_t version, uint32_t function);
enum { FUNCTION_SIZE = 416 };

/* Equal arguments give equal stacks. */
void call_graph_walk(const struct program *program, uint32_t topic, uint64_t seed,
		     struct walk *ret);

/* splitmix64's: short, and the same on every machine. */
static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t random_next(uint64_t *state)
{
	return hash_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/* 0 ≤ x < 1 */
static inline double random_unit(uint64_t *state)
{
	return (double)(random_next(state) >> 11) * 0x1p-53;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/call_graph.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>

/*
 * What a kind of program looks like. Shares are of one.
 *
 * prefix: frames that all its stacks begin with. straight: calls that follow without a choice, in
 * the deepest topic, straight_skew: how much more topics have few of them. lowest, highest: calls
 * below those. branching: the share of functions with more than one call site taken, sites: how
 * many they have at most, skew: how much the first ones are preferred (1: not at all). leafy: the
 * share of functions that mostly are leaves, ending: how likely a walk ends at one of those, and at
 * another; thinning: how much less with each call deeper. kernel: the share of stacks that go on
 * into the kernel. spots: how many addresses of a leaf are sampled at most, spot_skew: how much the
 * first ones are preferred.
 */
struct shape {
	uint32_t topics, prefix, straight, lowest, highest, functions;
	double straight_skew, branching, sites, skew;
	double leafy, leafy_ending, other_ending, thinning;
	double kernel, spots, spot_skew;
};

/* clang-format off */
static const struct shape shapes[PROGRAM_KIND_COUNT] = {
	/*                     topics                 functions                          leafy                kernel */
	[PROGRAM_NATIVE]   = { 15, 3, 12, 2, 24,  3000, 3.0, .51,  2.2, 3.0,  .35, .57, .06,  .025,  .20, 30, 1.3 },
	[PROGRAM_GO]       = { 21, 1, 14, 2, 20,  4118, 3.0, .509, 2.11, 3.28, .346, .571, .078, .02, .20, 23.5, 1.0 },
	[PROGRAM_JVM]      = { 24, 12, 24, 4, 30, 8000, 2.5, .40,  4.0, 3.0,  .30, .50, .08,  .02,   .10, 50, 1.5 },
	[PROGRAM_CPYTHON]  = { 13, 4, 36, 3, 30,  3783, 9.0, .384, 9.88, 2.36, .364, .642, .15, .035, .03, 73.3, 1.1 },
	[PROGRAM_NODE]     = { 40, 2, 40, 3, 20,  5357, 2.9, .296, 5.46, 3.13, .148, .321, .111, .0116, .10, 59.9, 1.83 },
	[PROGRAM_COMPILER] = { 40, 2, 24, 0, 100, 11970, 2.5, .604, 6.24, 1.45, .253, .229, .033, .0146, .07, 44.2, 4.13 },
	[PROGRAM_LOOP]     = { 3,  4, 3,  1, 8,   200,  2.0, .12,  3.0, 3.5,  .55, .90, .03,  .0,    .12, 24, 2.0 },
};
/* clang-format on */

enum {
	KERNEL_FUNCTION_COUNT = 2500,
	KERNEL_DEPTH_MAX = 20,
	LIBRARY_COUNT = MODULE_OWN - MODULE_LIBRARIES,
	FUNCTION_PITCH = 480,
	QUANTILE_COUNT = 1024,
};

static const struct shape kernel_shape = {
	.highest = KERNEL_DEPTH_MAX,
	.functions = KERNEL_FUNCTION_COUNT,
	.branching = .3,
	.sites = 4,
	.skew = 2.5,
	.leafy = .33,
	.leafy_ending = .9,
	.other_ending = .03,
	.spots = 40,
	.spot_skew = 2,
};

/* u to the power of a skew, for QUANTILE_COUNT values of u: pow() in each step would be half of a
 * walk's cost. */
struct quantiles {
	float of_sites[QUANTILE_COUNT];
	float of_spots[QUANTILE_COUNT];
};

enum { KERNEL_QUANTILES = PROGRAM_KIND_COUNT };

static struct quantiles quantiles[PROGRAM_KIND_COUNT + 1];

static void fill_quantiles(struct quantiles *made, const struct shape *shape)
{
	for (int i = 0; i < QUANTILE_COUNT; i++) {
		double u = (i + .5) / QUANTILE_COUNT;

		made->of_sites[i] = (float)pow(u, shape->skew);
		made->of_spots[i] = (float)pow(u, shape->spot_skew);
	}
}

static uint32_t pick(uint32_t count, const float of[static QUANTILE_COUNT], uint64_t random)
{
	return (uint32_t)((float)count * of[random >> 54]);
}

static void fill_all_quantiles(void)
{
	for (int kind = 0; kind < PROGRAM_KIND_COUNT; kind++)
		fill_quantiles(&quantiles[kind], &shapes[kind]);
	fill_quantiles(&quantiles[KERNEL_QUANTILES], &kernel_shape);
}

/* Of one function of one program. */
struct traits {
	uint64_t hash;
	uint32_t site_count;
	double ending;
};

static struct traits find_traits(const struct shape *shape, uint32_t graph, uint32_t function)
{
	uint64_t hash = hash_mix(function * UINT64_C(5) + graph * UINT64_C(7919));
	struct traits traits = { .hash = hash, .site_count = 1 };
	bool is_leafy = (double)(hash & 1023) < shape->leafy * 1024;

	traits.ending = is_leafy ? shape->leafy_ending : shape->other_ending;
	if ((double)(hash >> 10 & 1023) < shape->branching * 1024)
		traits.site_count =
			2 + (uint32_t)((double)(hash >> 20 & 1023) * 0x1p-10 * (shape->sites - 1));
	return traits;
}

/* Three fifths of a program's functions are its own, the others libc's and some libraries'. */
static uint32_t module_of(uint32_t graph, uint32_t function)
{
	uint64_t hash = hash_mix(function * UINT64_C(77) + graph * UINT64_C(1000003)) >> 20;
	uint32_t share = (uint32_t)(hash % 100);

	if (share < 62)
		return MODULE_OWN;
	if (share < 74)
		return MODULE_LIBC;
	return MODULE_LIBRARIES + (graph * 31 + share % 6 * 7) % LIBRARY_COUNT;
}

struct walker {
	const struct program *program;
	struct walk *walk;
	bool calls_kernel; /* the user's leaf is where it did */
	uint64_t random;
	uint64_t hash;
};

uint32_t call_graph_function_start(uint32_t module, uint32_t version, uint32_t function)
{
	uint32_t start = function * FUNCTION_PITCH +
			 (uint32_t)(hash_mix(function + ((uint64_t)module << 20)) % 64) +
			 version * 48 * (function / 100 + 1);

	return start % (MODULE_TEXT_SIZE - FUNCTION_PITCH);
}

uint32_t call_graph_function_count(enum program_kind kind)
{
	uint32_t most = 0;

	if (kind < PROGRAM_KIND_COUNT)
		return shapes[kind].functions;
	for (int i = 0; i < PROGRAM_KIND_COUNT; i++)
		most = shapes[i].functions > most ? shapes[i].functions : most;
	return most;
}

static void push(struct walker *walker, uint32_t module, uint32_t function, uint32_t offset)
{
	uint32_t version = module == MODULE_OWN ? walker->program->version : 0;
	uint32_t start = call_graph_function_start(module, version, function);
	struct walk *walk = walker->walk;
	uint64_t place;

	assert(walk->depth < WALK_DEPTH_MAX);
	walk->frames[walk->depth++] = (struct walk_frame){
		.module = module, .function = function, .address = start + offset, .start = start
	};
	/* A leaf's function is hashed apart: see finish(). */
	place = (uint64_t)module << 40 | start;
	walk->function_hash = (walker->hash ^ place) * UINT64_C(0x9e3779b97f4a7c15);
	walk->function_hash ^= walk->function_hash >> 29;
	walker->hash = (walker->hash ^ (place + offset)) * UINT64_C(0x9e3779b97f4a7c15);
	walker->hash ^= walker->hash >> 29;
}

struct graph {
	const struct shape *shape;
	const struct quantiles *quantiles;
	uint32_t number;
	bool is_kernel;
	uint32_t straight; /* calls before the first choice */
};

static uint32_t place_of(const struct graph *graph, uint32_t function)
{
	return graph->is_kernel ? MODULE_KERNEL : module_of(graph->number, function);
}

/* The golden ratio spreads topics evenly, whatever their number; the program decides where from. */
static uint32_t straight_calls(const struct graph *graph, uint32_t topic)
{
	double u = (double)(hash_mix(graph->number) >> 11) * 0x1p-53 + topic * .6180339887;

	return (uint32_t)(graph->shape->straight * pow(u - floor(u), graph->shape->straight_skew) +
			  .5);
}

/* From a function down to a leaf. */
static void descend(struct walker *walker, const struct graph *graph, uint32_t function)
{
	const struct shape *shape = graph->shape;
	struct traits traits = find_traits(shape, graph->number, function);
	uint64_t random = random_next(&walker->random);
	uint32_t offset = 33;

	for (uint32_t i = 0; i < graph->straight + shape->highest; i++) {
		bool may_choose = i >= graph->straight;
		double ending = traits.ending / (1 + shape->thinning * (i - graph->straight));

		if (i >= graph->straight + shape->lowest &&
		    (double)(random & 0xffff) < ending * 65536)
			break;

		uint32_t site =
			traits.site_count > 1 && may_choose
				? pick(traits.site_count, graph->quantiles->of_sites, random)
				: 0;
		uint64_t call = hash_mix(function * UINT64_C(131) + site +
					 graph->number * UINT64_C(104729));
		double popularity = (double)(call >> 11) * 0x1p-53;

		push(walker, place_of(graph, function), function,
		     16 + (uint32_t)(call & 0xffff) % 400);
		/* A few functions are called from everywhere. */
		function = (uint32_t)(shape->functions * popularity * popularity);
		traits = find_traits(shape, graph->number, function);
		random = random_next(&walker->random);
	}
	if (graph->is_kernel || !walker->calls_kernel) {
		uint32_t spot_count =
			2 + (uint32_t)((double)(traits.hash >> 30 & 1023) * 0x1p-10 * shape->spots);
		uint32_t spot = pick(spot_count, graph->quantiles->of_spots, random);

		offset = (uint32_t)(hash_mix(function * UINT64_C(11) + spot) >> 9) % 400;
	}
	push(walker, place_of(graph, function), function, offset);
}

uint32_t call_graph_topic_count(const struct program *program)
{
	return shapes[program->kind].topics;
}

void call_graph_walk(const struct program *program, uint32_t topic, uint64_t seed,
		     struct walk *walk)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const struct graph kernel = { &kernel_shape, &quantiles[KERNEL_QUANTILES], 0, true,
					     0 };
	const struct shape *shape = &shapes[program->kind];
	struct graph graph = { shape, &quantiles[program->kind],
			       program->number * PROGRAM_KIND_COUNT + program->kind + 1, false, 0 };
	struct walker walker = {
		.program = program, .walk = walk, .random = seed, .hash = graph.number
	};
	uint64_t random = random_next(&walker.random);

	pthread_once(&once, fill_all_quantiles);
	graph.straight = straight_calls(&graph, topic);
	walk->depth = walk->kernel_depth = 0;
	walker.calls_kernel = (double)(random & 0xffff) < shape->kernel * 65536;
	for (uint32_t i = 0; i < shape->prefix; i++)
		push(&walker, i < 2 ? MODULE_LIBC : MODULE_OWN, i * 7 + 3, 33);
	descend(&walker, &graph,
		(uint32_t)(hash_mix(graph.number * UINT64_C(1009) + topic) % shape->functions));
	if (walker.calls_kernel) {
		uint32_t depth = walk->depth;
		double u = (double)(random >> 32) * 0x1p-32;

		push(&walker, MODULE_KERNEL, 1, 0);
		push(&walker, MODULE_KERNEL, 2, 0);
		descend(&walker, &kernel, 100 + (uint32_t)(40 * u * u));
		walk->kernel_depth = walk->depth - depth;
	}
	walk->hash = walker.hash;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it takes to write the largest flame graph that Grafana asks for, 16,384 nodes, once it is
 * merged and cut: as protobuf, and as JSON that is packed by gzip.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/heap.h"
#include "store/store.h"
#include "web/compression.h"
#include "web/flame_levels.h"
#include "web/message.h"
#include "web/message_json.h"
#include "web/reply.h"
#include "web/stacks.h"

enum {
	NODE_COUNT = 16384,
	NAME_COUNT = 6000,
	NAME_SIZE = 48, /* of C++ and Go: 20 to 80 */
	CHILDREN_MAX = 3,
	RUN_COUNT = 100,
};

static void print_figure(const char *what, double value, double bar, const char *unit)
{
	printf("%-66s %10.2f %s (bar %g)%s\n", what, value, unit, bar, value > bar ? "  OVER" : "");
}

/* CPU time of this thread: others share the machine. */
static uint64_t own_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * (uint64_t)CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

/* In preorder: each node goes a level down, or back up to where there is room for a sibling. */
static void fill_nodes(struct flame_node *nodes)
{
	uint64_t seed = 1;
	uint32_t last = 0;

	nodes[0] = (struct flame_node){ .name = 1, .kind = FLAME_ROOT };
	for (uint32_t i = 1; i < NODE_COUNT; i++) {
		uint32_t parent = last;

		while (parent > 0 && next_random(&seed) % CHILDREN_MAX == 0)
			parent = nodes[parent].parent;
		nodes[i] = (struct flame_node){
			.self = UINT64_C(10000000) * (1 + next_random(&seed) % 300),
			.parent = parent,
			.name = 2 + (uint32_t)(next_random(&seed) % (NAME_COUNT - 2)),
			.kind = FLAME_NATIVE,
		};
		last = i;
	}
	for (uint32_t i = NODE_COUNT - 1; i > 0; i--) {
		nodes[i].total += nodes[i].self;
		nodes[nodes[i].parent].total += nodes[i].total;
	}
	nodes[0].total += nodes[0].self;
}

static void fill_names(struct str *names, char (*texts)[NAME_SIZE])
{
	names[0] = STR("");
	names[1] = STR("total");
	for (uint32_t i = 2; i < NAME_COUNT; i++) {
		snprintf(texts[i], NAME_SIZE, "service::handler_%u<std::vector<int>>::run_%u",
			 i % 97, i);
		names[i] = str_from(texts[i]);
	}
}

/* One answer, from the graph to its bytes; its size. */
static size_t answer(const struct flame *flame, bool is_json, uint64_t *ret_ns)
{
	struct reply reply;
	struct connect_call call = { .reply = &reply, .arena = ARENA(ANSWER_MEMORY_MAX) };
	Pyroscope__SelectMergeStacktracesResponse message =
		PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
	uint64_t start_ns = own_ns();
	size_t size;

	reply_init(&reply);
	message.flamegraph = stacks_graph(&call, flame);
	if (is_json) {
		struct json_writer json = JSON_WRITER(&reply.body);

		message_to_json(&message.base, &json);
		if (compression_gzip(&reply.body))
			exit(1);
	} else {
		message_pack(&message.base, &reply.body);
	}
	*ret_ns = own_ns() - start_ns;
	if (call.arena.error || reply.body.error || !message.flamegraph)
		exit(1);
	size = reply.body.size;
	arena_done(&call.arena);
	reply_done(&reply);
	return size;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(const struct flame *flame, const char *what, bool is_json, double bar)
{
	uint64_t times[RUN_COUNT];
	size_t size = 0;

	for (int i = 0; i < RUN_COUNT; i++)
		size = answer(flame, is_json, &times[i]);
	qsort(times, RUN_COUNT, sizeof(times[0]), compare_times);
	print_figure(what, (double)times[RUN_COUNT / 2] / 1e6, bar, "ms");
	printf("%-66s %10.2f kB\n", "  its size", (double)size / 1e3);
}

int main(void)
{
	static struct flame_node nodes[NODE_COUNT];
	static struct str names[NAME_COUNT];
	static char texts[NAME_COUNT][NAME_SIZE];
	struct flame flame = {
		.nodes = nodes, .node_count = NODE_COUNT, .names = names, .name_count = NAME_COUNT
	};

	/* As the server keeps its memory. */
	heap_tame();
	fill_nodes(nodes);
	fill_names(names, texts);
	measure(&flame, "flame graph of 16,384 nodes as protobuf, median of 100", false, 3);
	measure(&flame, "the same as JSON, packed by gzip", true, 12);
	return 0;
}

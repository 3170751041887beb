/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/generator.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/table.h"

enum {

	SHARED_MODULES = 12,
	DEPTH_MAX = 96,
	NAME_SIZE = 48,
	KERNEL_IMAGE_SIZE = 12 << 20,
};

#define KERNEL_START UINT64_C(0xffffffff81000000)
#define BOOT_NS	     (UINT64_C(1000) * (uint64_t)CLOCK_NS_PER_S)

struct names {
	char process[NAME_SIZE];
	char cgroup[NAME_SIZE];
};

struct generator {
	struct generator_options options;
	uint64_t random;
	uint64_t second;
	double *service_sums; /* cumulated shares */
	struct names *names;
	char (*paths)[NAME_SIZE];

	struct window window;
	uint64_t *stack_hashes;
	struct table stack_table;
	uint64_t *entry_keys; /* thread and stack */
	struct table entry_table;
	uint16_t *sample_times; /* by sample, with its entry, until they are sorted into place */
	uint32_t *sample_entries;
};

/* splitmix64: short, and the same on every machine. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t next_random(struct generator *generator)
{
	generator->random += UINT64_C(0x9e3779b97f4a7c15);
	return mix(generator->random);
}

static double next_unit(struct generator *generator)
{
	return (double)(next_random(generator) >> 11) * 0x1p-53;
}

/* 0 … count - 1, the first ones far more often: what a branch in a program looks like. */
static uint32_t skewed(struct generator *generator, uint32_t count)
{
	double u = next_unit(generator);

	return (uint32_t)((double)count * u * u * u * u * u);
}

static bool stack_equal(const void *context, uint32_t number, const void *key)
{
	return ((const uint64_t *)context)[number] == *(const uint64_t *)key;
}

struct generator *generator_free(struct generator *generator)
{
	if (!generator)
		return NULL;

	table_done(&generator->stack_table);
	table_done(&generator->entry_table);
	free(generator->service_sums);
	free(generator->names);
	free(generator->paths);
	free(generator->stack_hashes);
	free(generator->entry_keys);
	free(generator->sample_times);
	free(generator->sample_entries);
	free(generator->window.processes);
	free(generator->window.threads);
	free(generator->window.files);
	free(generator->window.frames);
	free(generator->window.stacks);
	free(generator->window.entries);
	free(generator->window.times_ms);
	free(generator);
	return NULL;
}

static int allocate(struct generator *g)
{
	const struct generator_options *o = &g->options;
	uint32_t processes = o->service_count * o->processes_per_service;
	uint32_t samples = o->samples_per_window;
	struct window *w = &g->window;

	w->file_count = o->service_count + SHARED_MODULES;
	g->service_sums = calloc(o->service_count, sizeof(g->service_sums[0]));
	g->names = calloc(processes, sizeof(g->names[0]));
	g->paths = calloc(w->file_count, sizeof(g->paths[0]));
	g->stack_hashes = calloc(samples, sizeof(g->stack_hashes[0]));
	g->entry_keys = calloc(samples, sizeof(g->entry_keys[0]));
	g->sample_times = calloc(samples, sizeof(g->sample_times[0]));
	g->sample_entries = calloc(samples, sizeof(g->sample_entries[0]));
	w->processes = calloc(processes, sizeof(w->processes[0]));
	w->threads = calloc(processes, sizeof(w->threads[0]));
	w->files = calloc(w->file_count, sizeof(w->files[0]));
	w->frames = calloc((size_t)samples * DEPTH_MAX, sizeof(w->frames[0]));
	w->stacks = calloc(samples, sizeof(w->stacks[0]));
	w->entries = calloc(samples, sizeof(w->entries[0]));
	w->times_ms = calloc(samples, sizeof(w->times_ms[0]));
	return g->service_sums && g->names && g->paths && g->stack_hashes && g->entry_keys &&
			       g->sample_times && g->sample_entries && w->processes && w->threads &&
			       w->files && w->frames && w->stacks && w->entries && w->times_ms
		       ? 0
		       : -ENOMEM;
}

static void make_files(struct generator *g)
{
	struct window *w = &g->window;

	for (uint32_t i = 0; i < w->file_count; i++) {
		struct window_file *file = &w->files[i];

		snprintf(g->paths[i], NAME_SIZE,
			 i < SHARED_MODULES ? "/usr/lib/libshared%u.so" : "/srv/bin/service%u", i);
		file->path = str_from(g->paths[i]);
		file->identity.kind = IDENTITY_GNU_BUILD_ID;
		file->identity.size = 20;
		for (unsigned byte = 0; byte < 20; byte++)
			file->identity.bytes[byte] =
				(uint8_t)mix(g->options.seed + i * UINT64_C(31) + byte);
	}
}

static void make_processes(struct generator *g)
{
	struct window *w = &g->window;
	double sum = 0;

	for (uint32_t service = 0; service < g->options.service_count; service++) {
		sum += pow(service + 1.0, -1.05);
		g->service_sums[service] = sum;
	}
	w->process_count = w->thread_count =
		g->options.service_count * g->options.processes_per_service;
	for (uint32_t i = 0; i < w->process_count; i++) {
		uint32_t service = i / g->options.processes_per_service;
		struct names *names = &g->names[i];

		snprintf(names->process, sizeof(names->process), "service%u",
			 service + SHARED_MODULES);
		snprintf(names->cgroup, sizeof(names->cgroup), "/system.slice/service%u.service",
			 service);
		w->processes[i] = (struct window_process){
			.key = { .pid = 1000 + i,
				 .exec_generation = 1,
				 .start_boot_ns = 5000000000 + i },
			.namespace_pid = 1000 + i,
			.executable_file = SHARED_MODULES + service,
			.name = str_from(names->process),
			.comm = str_from(names->process),
			.executable = str_from(g->paths[SHARED_MODULES + service]),
			.cgroup = str_from(names->cgroup),
		};
		w->threads[i] = (struct window_thread){ .process = i,
							.tid = 1000 + i,
							.name = str_from(names->process) };
	}
}

int generator_new(const struct generator_options *options, struct generator **ret)
{
	assert(options->samples_per_window > 0 &&
	       options->samples_per_window <= WINDOW_ENTRY_COUNT_MAX);
	assert(options->service_count > 0 && options->processes_per_service > 0);
	assert(options->service_count * options->processes_per_service <= WINDOW_PROCESS_COUNT_MAX);

	struct generator *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->options = *options;
	g->random = mix(options->seed);
	table_init(&g->stack_table, options->samples_per_window + 1);
	table_init(&g->entry_table, options->samples_per_window + 1);
	if (allocate(g)) {
		generator_free(g);
		return -ENOMEM;
	}
	g->window.collector = options->seed | 1;
	g->window.frequency_hz = options->frequency_hz;
	g->window.cpu_count = options->cpu_count;
	g->window.boot_to_unix_ns = options->start_unix_ns - (int64_t)BOOT_NS;
	make_files(g);
	make_processes(g);
	*ret = g;
	return 0;
}

static uint32_t pick_service(struct generator *g)
{
	double at = next_unit(g) * g->service_sums[g->options.service_count - 1];
	uint32_t low = 0, high = g->options.service_count - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (g->service_sums[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The kind of program decides how deep its stacks are and how many branches a function has. */
static uint32_t walk_user(struct generator *g, uint32_t service, uint64_t *trail, uint32_t *modules)
{
	uint64_t character = mix(g->options.seed ^ service);
	uint32_t typical_depth = 8 + (uint32_t)(character % 28);
	uint32_t branches = 2 + (uint32_t)(character >> 8) % 10;
	uint64_t at = character;
	uint32_t depth = 0;

	/* A function's hash says whether it is a leaf, so that the depth adds no stacks of its own.
	 */
	do {
		uint32_t fan_out = 1 + (uint32_t)(mix(at) % branches);

		at = mix(at ^ skewed(g, fan_out));
		trail[depth] = at;
		modules[depth] =
			at % 5 < 3 ? SHARED_MODULES + service
				   : (uint32_t)((character >> (8 * (at % 4))) % SHARED_MODULES);
		depth++;
	} while (depth < DEPTH_MAX &&
		 (depth < typical_depth / 2 || (at >> 20) % typical_depth > 2));
	return depth;
}

/* Appends the frames, leaf first; equal stacks get the number they have. */
static uint32_t add_stack(struct generator *g, uint32_t service)
{
	struct window *w = &g->window;
	uint64_t trail[DEPTH_MAX];
	uint32_t modules[DEPTH_MAX];
	uint32_t depth = walk_user(g, service, trail, modules);
	uint32_t kernel_depth = next_unit(g) < 0.12 ? 4 + skewed(g, 8) : 0;
	uint64_t leaf = skewed(g, 12);
	uint64_t hash = mix(trail[depth - 1] ^ (uint64_t)service << 32 ^ leaf ^
			    (uint64_t)kernel_depth << 48);
	uint32_t known =
		table_find(&g->stack_table, mix(hash), &hash, stack_equal, g->stack_hashes);

	if (known != TABLE_NONE)
		return known;

	uint32_t number = w->stack_count++;
	struct window_stack *stack = &w->stacks[number];

	*stack =
		(struct window_stack){ .first_frame = w->frame_count, .verdict = VERDICT_COMPLETE };
	for (uint32_t i = 0; i < kernel_depth; i++)
		w->frames[w->frame_count++] = (struct window_frame){
			.address = KERNEL_START + mix(kernel_depth * 64 + i) % KERNEL_IMAGE_SIZE,
			.kind = FRAME_KERNEL,
			.position = i == 0 ? FRAME_LEAF : FRAME_RETURN,
		};
	for (uint32_t i = depth; i > 0; i--)
		w->frames[w->frame_count++] = (struct window_frame){
			.address =
				0x1000 + (trail[i - 1] % (8 << 20)) + (i == depth ? leaf * 4 : 0),
			.reference = modules[i - 1],
			.kind = FRAME_FILE,
			.position = i < depth	   ? FRAME_RETURN
				    : kernel_depth ? FRAME_INTERRUPTED
						   : FRAME_LEAF,
		};
	stack->frame_count = w->frame_count - stack->first_frame;
	g->stack_hashes[number] = hash;

	int err = table_add(&g->stack_table, mix(hash));

	assert(!err);
	return number;
}

static void add_sample(struct generator *g, uint32_t sample)
{
	struct window *w = &g->window;
	uint32_t service = pick_service(g);
	uint32_t thread = service * g->options.processes_per_service +
			  (uint32_t)(next_random(g) % g->options.processes_per_service);
	uint32_t stack = add_stack(g, service);
	uint64_t key = (uint64_t)thread << 32 | stack;
	uint32_t entry = table_find(&g->entry_table, mix(key), &key, stack_equal, g->entry_keys);

	if (entry == TABLE_NONE) {
		entry = w->entry_count++;
		w->entries[entry] = (struct window_entry){ .thread = thread,
							   .stack = stack,
							   .event = EVENT_CPU };
		g->entry_keys[entry] = key;

		int err = table_add(&g->entry_table, mix(key));

		assert(!err);
	}
	w->entries[entry].count++;
	w->entries[entry].weight += (uint64_t)CLOCK_NS_PER_S / g->options.frequency_hz;
	g->sample_entries[sample] = entry;
	/* Samples are made in the order of time, so that each entry's times ascend. */
	g->sample_times[sample] =
		(uint16_t)((uint64_t)sample * 1000 / g->options.samples_per_window);
}

static void place_times(struct generator *g)
{
	struct window *w = &g->window;

	w->time_count = 0;
	for (uint32_t i = 0; i < w->entry_count; i++) {
		w->entries[i].first_time = w->time_count;
		w->time_count += w->entries[i].count;
		g->entry_keys[i] = 0; /* now: how many of its times stand */
	}
	for (uint32_t i = 0; i < g->options.samples_per_window; i++) {
		uint32_t entry = g->sample_entries[i];

		w->times_ms[w->entries[entry].first_time + g->entry_keys[entry]++] =
			g->sample_times[i];
	}
}

const struct window *generator_next(struct generator *g)
{
	struct window *w = &g->window;

	w->sequence = ++g->second;
	w->start_boot_ns = BOOT_NS + (g->second - 1) * (uint64_t)CLOCK_NS_PER_S;
	w->end_boot_ns = w->start_boot_ns + (uint64_t)CLOCK_NS_PER_S;
	w->stack_count = w->frame_count = w->entry_count = 0;
	table_clear(&g->stack_table);
	table_clear(&g->entry_table);
	for (uint32_t i = 0; i < g->options.samples_per_window; i++)
		add_sample(g, i);
	place_times(g);
	w->sample_count = g->options.samples_per_window;
	return w;
}

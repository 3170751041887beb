/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/generator.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/table.h"
#include "store/batch.h"
#include "tests/support/busy_host.h"
#include "tests/support/elf_maker.h"

enum {
	NAME_SIZE = 48,
	FUNCTION_NAME_SIZE = 96,
	/* The rhythm's peak over its mean, with room for the dice. */
	SAMPLES_OVER_MEAN_MAX = 3,
	BUILD_ID_SIZE = 20,
};

#define KERNEL_START UINT64_C(0xffffffff81000000)
#define TEXT_START   UINT64_C(0x1000)
#define BOOT_NS	     (UINT64_C(1000) * (uint64_t)CLOCK_NS_PER_S)

static const char cpu_type[] = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

struct names {
	char process[NAME_SIZE];
	char cgroup[NAME_SIZE];
	char executable[NAME_SIZE];
};

struct generator {
	struct generator_options options;
	struct busy_host *host;
	uint64_t second;
	uint32_t sample_max;
	struct names *names;	      /* of each service */
	char (*libraries)[NAME_SIZE]; /* paths of the shared modules */

	struct window window;
	uint32_t *file_of; /* of each shared module and then each service's own; or WINDOW_NONE */
	uint32_t *file_places, *file_versions; /* of the window's files: whose they are */
	uint32_t *given;		       /* by place: the version that was given, + 1 */

	/* Equal things of a window are one: the keys of what is in the arrays. */
	uint64_t *stack_hashes, *entry_keys, *thread_keys;
	uint32_t *process_numbers, *process_services;
	uint64_t *leaf_starts; /* of each stack: the leaf's function */
	struct table stack_table, entry_table, thread_table, process_table;

	uint16_t *sample_times; /* by sample, with its entry, until they are sorted into place */
	uint32_t *sample_entries;

	/* Numbers in the batch that is filled. */
	uint32_t *batch_builds, *batch_series, *batch_threads, *batch_stacks;
};

static bool u64_equal(const void *context, uint32_t number, const void *key)
{
	return ((const uint64_t *)context)[number] == *(const uint64_t *)key;
}

static bool u32_equal(const void *context, uint32_t number, const void *key)
{
	return ((const uint32_t *)context)[number] == *(const uint32_t *)key;
}

struct generator *generator_free(struct generator *generator)
{
	if (!generator)
		return NULL;

	busy_host_free(generator->host);
	table_done(&generator->stack_table);
	table_done(&generator->entry_table);
	table_done(&generator->thread_table);
	table_done(&generator->process_table);
	free(generator->names);
	free(generator->libraries);
	free(generator->file_of);
	free(generator->file_places);
	free(generator->file_versions);
	free(generator->given);
	free(generator->stack_hashes);
	free(generator->entry_keys);
	free(generator->thread_keys);
	free(generator->process_numbers);
	free(generator->process_services);
	free(generator->leaf_starts);
	free(generator->sample_times);
	free(generator->sample_entries);
	free(generator->batch_builds);
	free(generator->batch_series);
	free(generator->batch_threads);
	free(generator->batch_stacks);
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

/* calloc() of an array into a pointer to it; false when there is no memory. */
#define MAKE(pointer, count) (((pointer) = calloc((count), sizeof((pointer)[0]))) != NULL)

static bool allocate(struct generator *g)
{
	uint32_t services = g->options.service_count;
	uint32_t samples = g->sample_max;
	struct window *w = &g->window;

	table_init(&g->stack_table, samples + 1);
	table_init(&g->entry_table, samples + 1);
	table_init(&g->thread_table, samples + 1);
	table_init(&g->process_table, samples + 1);
	return MAKE(g->names, services) && MAKE(g->libraries, MODULE_OWN) &&
	       MAKE(g->file_of, MODULE_OWN + services) &&
	       MAKE(g->file_places, MODULE_OWN + services) &&
	       MAKE(g->file_versions, MODULE_OWN + services) &&
	       MAKE(g->given, MODULE_OWN + services) && MAKE(g->stack_hashes, samples) &&
	       MAKE(g->entry_keys, samples) && MAKE(g->thread_keys, samples) &&
	       MAKE(g->process_numbers, samples) && MAKE(g->process_services, samples) &&
	       MAKE(g->leaf_starts, samples) && MAKE(g->sample_times, samples) &&
	       MAKE(g->sample_entries, samples) && MAKE(g->batch_builds, MODULE_OWN + services) &&
	       MAKE(g->batch_series, samples) && MAKE(g->batch_threads, samples) &&
	       MAKE(g->batch_stacks, samples) && MAKE(w->processes, samples) &&
	       MAKE(w->threads, samples) && MAKE(w->files, MODULE_OWN + services) &&
	       MAKE(w->frames, (size_t)samples * WALK_DEPTH_MAX) && MAKE(w->stacks, samples) &&
	       MAKE(w->entries, samples) && MAKE(w->times_ms, samples);
}

static void make_names(struct generator *g)
{
	for (uint32_t i = 0; i < MODULE_OWN; i++)
		snprintf(g->libraries[i], NAME_SIZE,
			 i == MODULE_LIBC ? "/usr/lib/libc.so.6" : "/usr/lib/libshared%u.so", i);
	for (uint32_t i = 0; i < g->options.service_count; i++) {
		struct names *names = &g->names[i];

		snprintf(names->process, NAME_SIZE, "service%u", i);
		snprintf(names->cgroup, NAME_SIZE, "/system.slice/service%u.service", i);
		snprintf(names->executable, NAME_SIZE, "/srv/bin/service%u", i);
	}
}

int generator_new(const struct generator_options *options, struct generator **ret)
{
	struct busy_host_options host_options = {
		.seed = options->seed,
		.service_count = options->service_count,
		.process_count = options->process_count,
		.samples_per_s = options->samples_per_window,
		.is_steady = !options->has_rhythm,
		.start_unix_s = options->start_unix_ns / CLOCK_NS_PER_S,
	};
	struct generator *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->options = *options;
	g->sample_max = options->samples_per_window;
	if (options->has_rhythm)
		g->sample_max = SAMPLES_OVER_MEAN_MAX * g->sample_max + 1000;
	assert(g->sample_max <= WINDOW_ENTRY_COUNT_MAX);

	int err = busy_host_new(&host_options, &g->host);

	if (err || !allocate(g)) {
		generator_free(g);
		return err ? err : -ENOMEM;
	}
	make_names(g);
	g->window.collector = options->seed | 1;
	g->window.frequency_hz = options->frequency_hz;
	g->window.cpu_count = options->cpu_count;
	g->window.boot_to_unix_ns = options->start_unix_ns - (int64_t)BOOT_NS;
	*ret = g;
	return 0;
}

/* ---- a window -------------------------------------------------------------------------------- */

/* What an array's key has as number: the one it had, or the next, of which the caller is told. */
static uint32_t intern(struct table *table, uint64_t hash, const void *key,
		       bool (*equal)(const void *, uint32_t, const void *), const void *keys,
		       bool *ret_is_new)
{
	uint32_t number = table_find(table, hash, key, equal, keys);

	*ret_is_new = number == TABLE_NONE;
	if (*ret_is_new) {
		number = table->count;

		int err = table_add(table, hash);

		assert(!err);
		(void)err;
	}
	return number;
}

static uint32_t add_file(struct generator *g, uint32_t module, const struct busy_sample *sample)
{
	bool is_own = module == MODULE_OWN;
	uint32_t place = is_own ? MODULE_OWN + sample->service : module;
	struct window *w = &g->window;

	if (g->file_of[place] != WINDOW_NONE)
		return g->file_of[place];
	g->file_of[place] = w->file_count;
	g->file_places[w->file_count] = place;
	g->file_versions[w->file_count] = is_own ? sample->version : 0;

	struct window_file *file = &w->files[w->file_count++];

	file->path = str_from(is_own ? g->names[sample->service].executable : g->libraries[module]);
	file->identity.kind = IDENTITY_GNU_BUILD_ID;
	file->identity.size = BUILD_ID_SIZE;
	for (uint32_t i = 0; i < BUILD_ID_SIZE; i++)
		file->identity.bytes[i] = (uint8_t)hash_mix(
			((uint64_t)place << 32 | (is_own ? sample->version : 0)) * BUILD_ID_SIZE +
			i + 1);
	return g->file_of[place];
}

static uint32_t add_process(struct generator *g, const struct busy_sample *sample)
{
	struct window *w = &g->window;
	bool is_new;
	uint32_t number = intern(&g->process_table, hash_mix(sample->process + UINT64_C(1)),
				 &sample->process, u32_equal, g->process_numbers, &is_new);
	uint32_t pid = 1000 + sample->process * 64;
	const struct names *names = &g->names[sample->service];

	if (!is_new)
		return number;
	g->process_numbers[number] = sample->process;
	g->process_services[number] = sample->service;
	w->processes[number] = (struct window_process){
		.key = { .pid = pid,
			 .exec_generation = 1,
			 .start_boot_ns = UINT64_C(5000000000) + sample->process },
		.namespace_pid = pid,
		.executable_file = add_file(g, MODULE_OWN, sample),
		.name = str_from(names->process),
		.comm = str_from(names->process),
		.executable = str_from(names->executable),
		.cgroup = str_from(names->cgroup),
	};
	w->process_count++;
	return number;
}

static uint32_t add_thread(struct generator *g, const struct busy_sample *sample)
{
	struct window *w = &g->window;
	uint64_t key = (uint64_t)sample->process << 32 | sample->thread;
	bool is_new;
	uint32_t number = intern(&g->thread_table, hash_mix(key + 1), &key, u64_equal,
				 g->thread_keys, &is_new);

	if (!is_new)
		return number;
	g->thread_keys[number] = key;

	uint32_t process = add_process(g, sample);

	w->threads[number] =
		(struct window_thread){ .process = process,
					.tid = w->processes[process].key.pid + sample->thread,
					.name = w->processes[process].name };
	w->thread_count++;
	return number;
}

/* The frames, leaf first; equal stacks get the number they have. */
static uint32_t add_stack(struct generator *g, const struct busy_sample *sample)
{
	struct window *w = &g->window;
	struct walk walk;
	bool is_new;

	busy_host_walk(g->host, sample, &walk);

	uint32_t number =
		intern(&g->stack_table, walk.hash, &walk.hash, u64_equal, g->stack_hashes, &is_new);

	if (!is_new)
		return number;
	g->stack_hashes[number] = walk.hash;
	w->stacks[number] = (struct window_stack){ .first_frame = w->frame_count,
						   .frame_count = walk.depth,
						   .verdict = VERDICT_COMPLETE };
	w->stack_count++;
	for (uint32_t i = walk.depth; i > 0; i--) {
		const struct walk_frame *frame = &walk.frames[i - 1];
		bool is_kernel = frame->module == MODULE_KERNEL;
		bool is_leaf = i == walk.depth;
		bool is_user_leaf = walk.kernel_depth && i == walk.depth - walk.kernel_depth;
		uint64_t base = is_kernel ? KERNEL_START : TEXT_START;

		w->frames[w->frame_count++] = (struct window_frame){
			.address = base + frame->address,
			.reference = is_kernel ? 0 : add_file(g, frame->module, sample),
			.kind = is_kernel ? FRAME_KERNEL : FRAME_FILE,
			.position = is_leaf	   ? FRAME_LEAF
				    : is_user_leaf ? FRAME_INTERRUPTED
						   : FRAME_RETURN,
		};
		if (is_leaf)
			g->leaf_starts[number] = base + frame->start;
	}
	return number;
}

static void add_sample(struct generator *g, uint32_t number, const struct busy_sample *sample)
{
	struct window *w = &g->window;
	uint32_t thread = add_thread(g, sample);
	uint32_t stack = add_stack(g, sample);
	uint64_t key = (uint64_t)thread << 32 | stack;
	bool is_new;
	uint32_t entry =
		intern(&g->entry_table, hash_mix(key + 1), &key, u64_equal, g->entry_keys, &is_new);

	if (is_new) {
		g->entry_keys[entry] = key;
		w->entries[entry] = (struct window_entry){ .thread = thread,
							   .stack = stack,
							   .event = EVENT_CPU };
		w->entry_count++;
	}
	w->entries[entry].count++;
	w->entries[entry].weight += (uint64_t)CLOCK_NS_PER_S / g->options.frequency_hz;
	g->sample_entries[number] = entry;
	g->sample_times[number] = sample->time_ms;
}

/* Samples of a service come in the order of time, and with them those of an entry. */
static void place_times(struct generator *g, uint32_t sample_count)
{
	struct window *w = &g->window;

	w->time_count = 0;
	for (uint32_t i = 0; i < w->entry_count; i++) {
		w->entries[i].first_time = w->time_count;
		w->time_count += w->entries[i].count;
		g->entry_keys[i] = 0; /* now: how many of its times stand */
	}
	for (uint32_t i = 0; i < sample_count; i++) {
		uint32_t entry = g->sample_entries[i];

		w->times_ms[w->entries[entry].first_time + g->entry_keys[entry]++] =
			g->sample_times[i];
	}
}

const struct window *generator_next(struct generator *g)
{
	struct window *w = &g->window;
	uint32_t sample_count = 0;
	const struct busy_sample *samples = busy_host_next(g->host, &sample_count);

	assert(sample_count <= g->sample_max);
	w->sequence = ++g->second;
	w->start_boot_ns = BOOT_NS + (g->second - 1) * (uint64_t)CLOCK_NS_PER_S;
	w->end_boot_ns = w->start_boot_ns + (uint64_t)CLOCK_NS_PER_S;
	w->stack_count = w->frame_count = w->entry_count = 0;
	w->process_count = w->thread_count = w->file_count = 0;
	table_clear(&g->stack_table);
	table_clear(&g->entry_table);
	table_clear(&g->thread_table);
	table_clear(&g->process_table);
	for (uint32_t i = 0; i < MODULE_OWN + g->options.service_count; i++)
		g->file_of[i] = WINDOW_NONE;
	for (uint32_t i = 0; i < sample_count; i++)
		add_sample(g, i, &samples[i]);
	place_times(g, sample_count);
	w->sample_count = sample_count;
	return w;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void name_function(uint32_t place, uint32_t function, char name[static FUNCTION_NAME_SIZE])
{
	if (place < MODULE_OWN)
		snprintf(name, FUNCTION_NAME_SIZE, "shared%u_function_%u", place, function);
	else
		snprintf(name, FUNCTION_NAME_SIZE,
			 "service%u::Part%u::function_%u(Request const&, unsigned long)",
			 place - MODULE_OWN, function / 40, function);
}

static void make_file(const struct generator *g, uint32_t file, struct buf *ret)
{
	uint32_t place = g->file_places[file];
	uint32_t module = place < MODULE_OWN ? place : MODULE_OWN;
	enum program_kind kind =
		module == MODULE_OWN ? busy_host_service(g->host, place - MODULE_OWN)->program.kind
				     : PROGRAM_KIND_COUNT;
	uint32_t count = call_graph_function_count(kind);
	struct elf_maker_symbol *symbols = calloc(count, sizeof(symbols[0]));
	char(*names)[FUNCTION_NAME_SIZE] = calloc(count, sizeof(names[0]));

	assert(symbols && names);
	for (uint32_t i = 0; i < count; i++) {
		name_function(place, i, names[i]);
		symbols[i] = (struct elf_maker_symbol){
			.name = names[i],
			.start = call_graph_function_start(module, g->file_versions[file], i),
			.size = FUNCTION_SIZE,
			.type = STT_FUNC,
			.binding = STB_GLOBAL,
		};
	}
	elf_maker_make_large(ret, g->window.files[file].identity.bytes, MODULE_TEXT_SIZE, symbols,
			     count);
	free(symbols);
	free(names);
}

bool generator_next_file(struct generator *g, struct identity *ret, struct buf *ret_elf)
{
	for (uint32_t i = 0; i < g->window.file_count; i++) {
		uint32_t *given = &g->given[g->file_places[i]];

		if (*given == g->file_versions[i] + 1)
			continue;
		*given = g->file_versions[i] + 1;
		*ret = g->window.files[i].identity;
		make_file(g, i, ret_elf);
		return true;
	}
	return false;
}

void generator_list_kernel(struct buf *ret)
{
	uint32_t count = call_graph_function_count(PROGRAM_KIND_COUNT);

	for (uint32_t i = 0; i < count; i++)
		buf_printf(ret, "%016" PRIx64 " T kernel_function_%u\n",
			   KERNEL_START + call_graph_function_start(MODULE_KERNEL, 0, i), i);
	assert(!ret->error);
}

/* ---- into a batch ---------------------------------------------------------------------------- */

static int fill_builds(struct generator *g, struct batch *batch, uint32_t *ret_kernel)
{
	static const struct identity kernel = { .kind = IDENTITY_GNU_BUILD_ID,
						.size = BUILD_ID_SIZE,
						.bytes = "the generated kernel" };
	int64_t number = batch_add_build(batch, BUILD_KERNEL, &kernel, STR("kernel"));

	*ret_kernel = (uint32_t)number;
	for (uint32_t i = 0; number >= 0 && i < g->window.file_count; i++) {
		const struct window_file *file = &g->window.files[i];

		number = batch_add_build(batch, BUILD_FILE, &file->identity, file->path);
		g->batch_builds[i] = (uint32_t)number;
	}
	return number < 0 ? (int)number : 0;
}

static int fill_labels(struct generator *g, struct batch *batch)
{
	const struct window *w = &g->window;
	int64_t number = 0;

	for (uint32_t i = 0; number >= 0 && i < w->process_count; i++) {
		struct str name = w->processes[i].name;
		struct label labels[] = { { STR("service_name"), name },
					  { STR("process_name"), name },
					  { STR("host"), STR("generated") } };

		number = batch_add_labels(batch, labels, sizeof(labels) / sizeof(labels[0]));
		if (number >= 0)
			number = batch_add_series(batch, (uint32_t)number, str_from(cpu_type),
						  (uint64_t)CLOCK_NS_PER_S / w->frequency_hz);
		g->batch_series[i] = (uint32_t)number;
	}
	for (uint32_t i = 0; number >= 0 && i < w->thread_count; i++) {
		const struct process_key *key = &w->processes[w->threads[i].process].key;
		char pid[16], tid[16], process[64];

		snprintf(pid, sizeof(pid), "%u", key->pid);
		snprintf(tid, sizeof(tid), "%u", w->threads[i].tid);
		snprintf(process, sizeof(process), "%u.%llu.%u", key->pid,
			 (unsigned long long)(key->start_boot_ns / CLOCK_NS_PER_MS),
			 key->exec_generation);

		struct label labels[] = { { STR("pid"), str_from(pid) },
					  { STR("process"), str_from(process) },
					  { STR("tid"), str_from(tid) },
					  { STR("thread_name"), w->threads[i].name } };

		number = batch_add_labels(batch, labels, sizeof(labels) / sizeof(labels[0]));
		g->batch_threads[i] = (uint32_t)number;
	}
	return number < 0 ? (int)number : 0;
}

static int fill_stacks(struct generator *g, bool leaf_functions, uint32_t kernel,
		       struct batch *batch)
{
	const struct window *w = &g->window;
	int64_t number = 0;

	for (uint32_t i = 0; number >= 0 && i < w->stack_count; i++) {
		const struct window_stack *stack = &w->stacks[i];
		uint32_t locations[WALK_DEPTH_MAX];

		for (uint32_t k = 0; number >= 0 && k < stack->frame_count; k++) {
			const struct window_frame *frame = &w->frames[stack->first_frame + k];
			/* A return address lies behind its call. */
			uint64_t address = frame->address - (frame->position == FRAME_RETURN);

			if (k == 0 && leaf_functions)
				address = g->leaf_starts[i];
			number = batch_add_location(batch,
						    frame->kind == FRAME_KERNEL
							    ? kernel
							    : g->batch_builds[frame->reference],
						    address);
			locations[k] = (uint32_t)number;
		}
		if (number >= 0)
			number = batch_add_stack(batch, locations, stack->frame_count, 0);
		g->batch_stacks[i] = (uint32_t)number;
	}
	return number < 0 ? (int)number : 0;
}

int generator_fill(struct generator *g, bool leaf_functions, struct batch *batch)
{
	const struct window *w = &g->window;
	int64_t start_ms = ((int64_t)w->start_boot_ns + w->boot_to_unix_ns) / CLOCK_NS_PER_MS;
	uint32_t kernel = 0;
	int err = fill_builds(g, batch, &kernel);

	assert(w->sequence > 0);
	batch_set_time(batch, (struct batch_time){ start_ms, start_ms + 1000 });
	batch_set_source(batch, w->collector, w->sequence);
	if (!err)
		err = fill_labels(g, batch);
	if (!err)
		err = fill_stacks(g, leaf_functions, kernel, batch);
	for (uint32_t i = 0; !err && i < w->entry_count; i++) {
		const struct window_entry *entry = &w->entries[i];

		err = batch_add_entry(
			batch, &(struct batch_entry){
				       .series = g->batch_series[w->threads[entry->thread].process],
				       .sample_labels = g->batch_threads[entry->thread],
				       .stack = g->batch_stacks[entry->stack],
				       .count = entry->count,
				       .value = entry->weight,
				       .times_ms = &w->times_ms[entry->first_time] });
	}
	return err;
}

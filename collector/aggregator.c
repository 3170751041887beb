/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/aggregator.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/table.h"
#include "collector/exclusions.h"
#include "collector/processes.h"
#include "collector/vdso.h"

static_assert(WINDOW_TIME_COUNT_MAX >= WINDOW_ENTRY_COUNT_MAX, "an entry has a sample at least");

/* As counted: raw addresses, and the key of whose they are. */
struct raw_process {
	struct process_key key;
	uint64_t first_boot_ns;
	struct process *process; /* NULL: too many to follow */
};

struct raw_thread {
	uint32_t process;
	uint32_t tid;
	char comm[EVENT_COMM_SIZE];
};

struct raw_stack {
	uint32_t process; /* addresses mean nothing without it */
	uint32_t first_frame;
	uint16_t kernel_frame_count;
	uint16_t user_frame_count;
	uint16_t flags;
	uint8_t verdict;
};

struct raw_entry {
	uint32_t thread;
	uint32_t stack;
	uint32_t count;
	uint64_t weight;
};

struct aggregator {
	struct processes *processes;
	const struct exclusions *exclusions; /* NULL: none */
	bool only_followed;
	uint64_t excluded_count;
	uint64_t window_number;
	uint64_t now_boot_ns;
	uint32_t met_process_count; /* of raw_processes, those that were looked up */

	struct raw_process *raw_processes;
	struct raw_thread *raw_threads;
	struct raw_stack *raw_stacks;
	struct raw_entry *raw_entries;
	uint64_t *raw_frames;
	uint32_t *sample_entries; /* of each sample, in the order of arrival */
	uint64_t *sample_boot_ns;
	uint32_t raw_frame_count, sample_count;
	struct table process_table, thread_table, stack_table, entry_table, file_table;

	struct window window;
	struct file **files; /* of the window's files, kept alive: a re-scan may let go of them */
	uint32_t *placed;    /* of each entry, how many of its times stand */
	struct vdso vdso;
	struct window_name names[1 + VDSO_FUNCTION_COUNT_MAX]; /* the vDSO's, itself first */
};

/* A million samples in a window would be 16 kHz on 64 CPUs. */
enum { PROCESS_MAX = WINDOW_PROCESS_COUNT_MAX, SAMPLE_MAX = WINDOW_TIME_COUNT_MAX };

static void *pages(size_t count, size_t size)
{
	/* Large blocks of calloc() are mapped and cost nothing until they are touched. */
	return calloc(count, size);
}

int aggregator_new(struct processes *processes, struct aggregator **ret)
{
	autoclean(aggregator) struct aggregator *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->processes = processes;
	a->raw_processes = pages(PROCESS_MAX, sizeof(a->raw_processes[0]));
	a->raw_threads = pages(WINDOW_THREAD_COUNT_MAX, sizeof(a->raw_threads[0]));
	a->raw_stacks = pages(WINDOW_STACK_COUNT_MAX, sizeof(a->raw_stacks[0]));
	a->raw_entries = pages(WINDOW_ENTRY_COUNT_MAX, sizeof(a->raw_entries[0]));
	a->raw_frames = pages(WINDOW_FRAME_COUNT_MAX, sizeof(a->raw_frames[0]));
	a->sample_entries = pages(SAMPLE_MAX, sizeof(a->sample_entries[0]));
	a->sample_boot_ns = pages(SAMPLE_MAX, sizeof(a->sample_boot_ns[0]));
	a->placed = pages(WINDOW_ENTRY_COUNT_MAX, sizeof(a->placed[0]));
	a->window.processes = pages(PROCESS_MAX, sizeof(a->window.processes[0]));
	a->window.threads = pages(WINDOW_THREAD_COUNT_MAX, sizeof(a->window.threads[0]));
	a->window.files = pages(WINDOW_FILE_COUNT_MAX, sizeof(a->window.files[0]));
	a->files = pages(WINDOW_FILE_COUNT_MAX, sizeof(struct file *));
	a->window.frames = pages(WINDOW_FRAME_COUNT_MAX, sizeof(a->window.frames[0]));
	a->window.stacks = pages(WINDOW_STACK_COUNT_MAX, sizeof(a->window.stacks[0]));
	a->window.entries = pages(WINDOW_ENTRY_COUNT_MAX, sizeof(a->window.entries[0]));
	a->window.times_ms = pages(SAMPLE_MAX, sizeof(a->window.times_ms[0]));
	table_init(&a->process_table, PROCESS_MAX);
	table_init(&a->thread_table, WINDOW_THREAD_COUNT_MAX);
	table_init(&a->stack_table, WINDOW_STACK_COUNT_MAX);
	table_init(&a->entry_table, WINDOW_ENTRY_COUNT_MAX);
	table_init(&a->file_table, WINDOW_FILE_COUNT_MAX);
	if (!a->raw_processes || !a->raw_threads || !a->raw_stacks || !a->raw_entries ||
	    !a->raw_frames || !a->sample_entries || !a->sample_boot_ns || !a->placed ||
	    !a->window.processes || !a->window.threads || !a->window.files || !a->files ||
	    !a->window.frames || !a->window.stacks || !a->window.entries || !a->window.times_ms)
		return -ENOMEM;
	vdso_read(&a->vdso);
	a->names[0].function = STR("[vdso]");
	for (size_t i = 0; i < a->vdso.count; i++)
		a->names[i + 1].function = a->vdso.functions[i].name;
	a->window.names = a->names;
	a->window_number = 1;
	*ret = TAKE(a);
	return 0;
}

static void let_go_of_files(struct aggregator *a)
{
	for (uint32_t i = 0; a->files && i < a->file_table.count; i++)
		a->files[i] = file_unref(a->files[i]);
}

struct aggregator *aggregator_free(struct aggregator *a)
{
	if (!a)
		return NULL;

	let_go_of_files(a);
	table_done(&a->process_table);
	table_done(&a->thread_table);
	table_done(&a->stack_table);
	table_done(&a->entry_table);
	table_done(&a->file_table);
	free(a->raw_processes);
	free(a->raw_threads);
	free(a->raw_stacks);
	free(a->raw_entries);
	free(a->raw_frames);
	free(a->sample_entries);
	free(a->sample_boot_ns);
	free(a->placed);
	free(a->window.processes);
	free(a->window.threads);
	free(a->window.files);
	free(a->files);
	free(a->window.frames);
	free(a->window.stacks);
	free(a->window.entries);
	free(a->window.times_ms);
	free(a);
	return NULL;
}

/* ---- counting -----------------------------------------------------------------------------------
 */

static uint64_t hash_key(const struct process_key *key)
{
	return table_hash_bytes(key, sizeof(*key), 0);
}

static_assert(sizeof(struct process_key) == 16, "keys are hashed as bytes, so they have no hole");

static bool process_is(const void *context, uint32_t number, const void *key)
{
	const struct aggregator *a = context;

	return memcmp(&a->raw_processes[number].key, key, sizeof(struct process_key)) == 0;
}

static uint32_t count_process(struct aggregator *a, const struct event *event)
{
	struct process_key key = { .pid = event->pid,
				   .exec_generation = event->exec_generation,
				   .start_boot_ns = event->start_boot_ns };
	uint64_t hash = hash_key(&key);
	uint32_t number = table_find(&a->process_table, hash, &key, process_is, a);

	if (number != TABLE_NONE)
		return number;
	number = a->process_table.count;
	if (table_add(&a->process_table, hash))
		return TABLE_NONE;
	a->raw_processes[number] =
		(struct raw_process){ .key = key, .first_boot_ns = event->boot_ns };
	return number;
}

static uint64_t hash_thread(const struct raw_thread *thread)
{
	return table_hash_bytes(&thread->tid, sizeof(thread->tid), thread->process);
}

static bool thread_is(const void *context, uint32_t number, const void *key)
{
	const struct raw_thread *known = &((const struct aggregator *)context)->raw_threads[number];
	const struct raw_thread *wanted = key;

	return known->process == wanted->process && known->tid == wanted->tid;
}

static uint32_t count_thread(struct aggregator *a, uint32_t process, const struct event *event)
{
	struct raw_thread thread = { .process = process, .tid = event->tid };
	uint64_t hash = hash_thread(&thread);
	uint32_t number = table_find(&a->thread_table, hash, &thread, thread_is, a);

	if (number == TABLE_NONE) {
		number = a->thread_table.count;
		if (table_add(&a->thread_table, hash))
			return TABLE_NONE;
		a->raw_threads[number] = thread;
	}
	/* The name when it was last sampled. */
	memcpy(a->raw_threads[number].comm, event->comm, EVENT_COMM_SIZE);
	return number;
}

struct wanted_stack {
	const struct event *event;
	uint32_t process;
};

static uint32_t event_frame_count(const struct event *event)
{
	return (uint32_t)event->kernel_frame_count + event->user_frame_count;
}

static bool stack_is(const void *context, uint32_t number, const void *key)
{
	const struct aggregator *a = context;
	const struct raw_stack *known = &a->raw_stacks[number];
	const struct wanted_stack *wanted = key;
	const struct event *event = wanted->event;

	return known->process == wanted->process && known->verdict == event->verdict &&
	       known->flags == (event->flags & ~EVENT_CAME_EARLY) &&
	       known->kernel_frame_count == event->kernel_frame_count &&
	       known->user_frame_count == event->user_frame_count &&
	       memcmp(&a->raw_frames[known->first_frame], event->frames,
		      event_frame_count(event) * sizeof(event->frames[0])) == 0;
}

static uint32_t count_stack(struct aggregator *a, uint32_t process, const struct event *event)
{
	struct wanted_stack wanted = { event, process };
	uint32_t frame_count = event_frame_count(event);
	uint64_t hash =
		table_hash_bytes(event->frames, frame_count * sizeof(event->frames[0]), process);
	uint32_t number = table_find(&a->stack_table, hash, &wanted, stack_is, a);

	if (number != TABLE_NONE)
		return number;
	number = a->stack_table.count;
	if (a->raw_frame_count + frame_count > WINDOW_FRAME_COUNT_MAX ||
	    table_add(&a->stack_table, hash))
		return TABLE_NONE;
	a->raw_stacks[number] = (struct raw_stack){
		.process = process,
		.first_frame = a->raw_frame_count,
		.kernel_frame_count = event->kernel_frame_count,
		.user_frame_count = event->user_frame_count,
		.flags = event->flags & (uint16_t)~EVENT_CAME_EARLY,
		.verdict = event->verdict,
	};
	memcpy(&a->raw_frames[a->raw_frame_count], event->frames,
	       frame_count * sizeof(event->frames[0]));
	a->raw_frame_count += frame_count;
	return number;
}

static uint64_t hash_entry(uint32_t thread, uint32_t stack)
{
	uint64_t key = (uint64_t)thread << 32 | stack;

	return table_hash_bytes(&key, sizeof(key), 0);
}

static bool entry_is(const void *context, uint32_t number, const void *key)
{
	const struct raw_entry *known = &((const struct aggregator *)context)->raw_entries[number];
	const struct raw_entry *wanted = key;

	return known->thread == wanted->thread && known->stack == wanted->stack;
}

static uint32_t count_entry(struct aggregator *a, uint32_t thread, uint32_t stack)
{
	struct raw_entry entry = { .thread = thread, .stack = stack };
	uint64_t hash = hash_entry(thread, stack);
	uint32_t number = table_find(&a->entry_table, hash, &entry, entry_is, a);

	if (number != TABLE_NONE)
		return number;
	number = a->entry_table.count;
	if (table_add(&a->entry_table, hash))
		return TABLE_NONE;
	a->raw_entries[number] = entry;
	return number;
}

void aggregator_add(struct aggregator *a, const struct event *event)
{
	assert(event->kernel_frame_count <= EVENT_KERNEL_FRAME_COUNT_MAX);
	assert(event->user_frame_count <= EVENT_USER_FRAME_COUNT_MAX);

	if (exclusions_have_user(a->exclusions, event->uid)) {
		a->excluded_count++;
		return;
	}

	uint32_t process = count_process(a, event);

	if (process == TABLE_NONE) {
		a->window.losses[LOSS_PROCESS_TABLE_FULL]++;
		return;
	}

	uint32_t thread = count_thread(a, process, event);
	uint32_t stack = thread == TABLE_NONE ? TABLE_NONE : count_stack(a, process, event);
	uint32_t entry = stack == TABLE_NONE ? TABLE_NONE : count_entry(a, thread, stack);

	if (entry == TABLE_NONE || a->sample_count == SAMPLE_MAX) {
		a->window.losses[LOSS_STACK_TABLE_FULL]++;
		return;
	}
	a->raw_entries[entry].count++;
	a->raw_entries[entry].weight += event->weight;
	a->sample_entries[a->sample_count] = entry;
	a->sample_boot_ns[a->sample_count] = event->boot_ns;
	a->sample_count++;
}

void aggregator_meet_processes(struct aggregator *a)
{
	for (; a->met_process_count < a->process_table.count; a->met_process_count++) {
		struct raw_process *raw = &a->raw_processes[a->met_process_count];

		raw->process = processes_resolve(a->processes, &raw->key, raw->first_boot_ns);
	}
}

void aggregator_exclude(struct aggregator *a, const struct exclusions *exclusions)
{
	a->exclusions = exclusions;
}

void aggregator_follow(struct aggregator *a)
{
	a->only_followed = true;
}

uint64_t aggregator_excluded(const struct aggregator *a)
{
	return a->excluded_count;
}

/* ---- who is left out ----------------------------------------------------------------------------
 */

/* What is known of a process decides, or the thread's name when nothing is. */
static bool is_excluded(const struct aggregator *a, const struct raw_process *raw,
			const char *thread_comm)
{
	const struct process_texts *texts = raw->process ? raw->process->texts : NULL;

	if (a->only_followed && (!raw->process || !raw->process->is_followed))
		return true;
	return texts ? exclusions_have_process(a->exclusions, texts->name, texts->comm,
					       texts->cgroup)
		     : exclusions_have_process(a->exclusions, NULL, thread_comm, NULL);
}

/* Each array closes up over what goes, and kept has the new number of each thing, or TABLE_NONE. */
static void close_up_threads(struct aggregator *a, const uint32_t *kept_processes, uint32_t *kept)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < a->thread_table.count; i++) {
		struct raw_thread *raw = &a->raw_threads[i];

		kept[i] = TABLE_NONE;
		if (kept_processes[raw->process] == TABLE_NONE)
			continue;
		raw->process = kept_processes[raw->process];
		kept[i] = count;
		a->raw_threads[count++] = *raw;
	}
	table_close_up(&a->thread_table, count);
}

static void close_up_stacks(struct aggregator *a, const uint32_t *kept_processes, uint32_t *kept)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < a->stack_table.count; i++) {
		struct raw_stack *raw = &a->raw_stacks[i];

		kept[i] = TABLE_NONE;
		if (kept_processes[raw->process] == TABLE_NONE)
			continue;
		raw->process = kept_processes[raw->process];
		kept[i] = count;
		a->raw_stacks[count++] = *raw;
	}
	table_close_up(&a->stack_table, count);
}

static void close_up_entries(struct aggregator *a, const uint32_t *kept_threads,
			     const uint32_t *kept_stacks, uint32_t *kept)
{
	uint32_t count = 0, samples = 0;

	for (uint32_t i = 0; i < a->entry_table.count; i++) {
		struct raw_entry *raw = &a->raw_entries[i];

		kept[i] = TABLE_NONE;
		if (kept_threads[raw->thread] == TABLE_NONE)
			continue;
		raw->thread = kept_threads[raw->thread];
		raw->stack = kept_stacks[raw->stack];
		kept[i] = count;
		a->raw_entries[count++] = *raw;
	}
	table_close_up(&a->entry_table, count);
	for (uint32_t i = 0; i < a->sample_count; i++) {
		if (kept[a->sample_entries[i]] == TABLE_NONE)
			continue;
		a->sample_entries[samples] = kept[a->sample_entries[i]];
		a->sample_boot_ns[samples++] = a->sample_boot_ns[i];
	}
	a->excluded_count += a->sample_count - samples;
	a->sample_count = samples;
}

/* Whether there is somebody to be left out; kept has the new number of each process. */
static bool close_up_processes(struct aggregator *a, uint32_t *kept)
{
	uint32_t count = 0, before = a->process_table.count;

	for (uint32_t i = 0; i < before; i++)
		kept[i] = TABLE_NONE;
	/* Every process has a thread, whose name may have to do for its own. */
	for (uint32_t i = 0; i < a->thread_table.count; i++) {
		const struct raw_thread *thread = &a->raw_threads[i];
		char comm[EVENT_COMM_SIZE + 1];

		snprintf(comm, sizeof(comm), "%.*s", EVENT_COMM_SIZE, thread->comm);
		if (!is_excluded(a, &a->raw_processes[thread->process], comm))
			kept[thread->process] = 0;
	}
	for (uint32_t i = 0; i < before; i++) {
		if (kept[i] == TABLE_NONE)
			continue;
		kept[i] = count;
		a->raw_processes[count++] = a->raw_processes[i];
	}
	table_close_up(&a->process_table, count);
	a->met_process_count = count;
	return count < before;
}

/*
 * Takes out of what was counted all that belongs to those who are excluded. Only now, since what a
 * process is called is known when it was looked up. What there is no memory to look through is left
 * out as a whole.
 */
static void leave_out_excluded(struct aggregator *a)
{
	autofree uint32_t *kept = calloc((size_t)PROCESS_MAX + WINDOW_THREAD_COUNT_MAX +
						 WINDOW_STACK_COUNT_MAX + WINDOW_ENTRY_COUNT_MAX,
					 sizeof(kept[0]));

	if (!kept) {
		a->excluded_count += a->sample_count;
		a->sample_count = a->met_process_count = 0;
		table_clear(&a->entry_table);
		table_clear(&a->stack_table);
		table_clear(&a->thread_table);
		table_clear(&a->process_table);
		return;
	}

	uint32_t *kept_threads = kept + PROCESS_MAX;
	uint32_t *kept_stacks = kept_threads + WINDOW_THREAD_COUNT_MAX;
	uint32_t *kept_entries = kept_stacks + WINDOW_STACK_COUNT_MAX;

	if (!close_up_processes(a, kept))
		return;
	close_up_threads(a, kept, kept_threads);
	close_up_stacks(a, kept, kept_stacks);
	close_up_entries(a, kept_threads, kept_stacks, kept_entries);
}

/* ---- making the window --------------------------------------------------------------------------
 */

static uint64_t hash_file(const struct identity *identity)
{
	return table_hash_bytes(identity->bytes, identity->size, identity->kind);
}

static bool file_is(const void *context, uint32_t number, const void *key)
{
	const struct window_file *placed =
		&((const struct aggregator *)context)->window.files[number];
	const struct file *file = key;

	return identity_equal(&placed->identity, &file->identity) &&
	       str_equal(placed->path, str_from(file->path));
}

/* Many processes map one file, each mapping with a struct of its own. */
static uint32_t place_file(struct aggregator *a, struct file *file)
{
	if (file->window_number == a->window_number)
		return file->window_index;

	uint64_t hash = hash_file(&file->identity);
	uint32_t index = table_find(&a->file_table, hash, file, file_is, a);

	if (index == TABLE_NONE) {
		index = a->file_table.count;
		if (table_add(&a->file_table, hash))
			return WINDOW_NONE;
		a->window.files[index] = (struct window_file){ .identity = file->identity,
							       .path = str_from(file->path) };
		a->files[index] = file_ref(file);
		a->window.file_count = a->file_table.count;
	}
	file->window_number = a->window_number;
	file->window_index = index;
	return index;
}

static uint32_t find_executable(struct aggregator *a, const struct process *process)
{
	const char *executable = process->texts ? process->texts->executable : NULL;

	if (!executable || !process->mappings)
		return WINDOW_NONE;
	for (uint32_t i = 0; i < process->mappings->count; i++) {
		const struct mapping *mapping = &process->mappings->list[i];

		if (mapping->kind == MAPPING_FILE && !strcmp(mapping->file->path, executable))
			return place_file(a, mapping->file);
	}
	return WINDOW_NONE;
}

static void place_process(struct aggregator *a, uint32_t number)
{
	const struct raw_process *raw = &a->raw_processes[number];
	struct window_process *placed = &a->window.processes[number];
	const struct process *process = raw->process;
	const struct process_texts *texts = process ? process->texts : NULL;

	*placed = (struct window_process){ .key = raw->key,
					   .namespace_pid = raw->key.pid,
					   .executable_file = WINDOW_NONE };
	if (process) {
		placed->exit_boot_ns = process->exit_boot_ns;
		placed->executable_file = find_executable(a, process);
	}
	if (!texts)
		return;
	placed->is_kernel_thread = texts->is_kernel_thread;
	if (process->namespace_pid)
		placed->namespace_pid = process->namespace_pid;
	placed->name = str_from(texts->name);
	placed->comm = str_from(texts->comm);
	placed->executable = str_from(texts->executable);
	placed->script = str_from(texts->script);
	placed->cgroup = str_from(texts->cgroup);
}

static void place_threads(struct aggregator *a)
{
	for (uint32_t i = 0; i < a->thread_table.count; i++) {
		const struct raw_thread *raw = &a->raw_threads[i];
		struct window_process *process = &a->window.processes[raw->process];
		struct str comm = { raw->comm, strnlen(raw->comm, EVENT_COMM_SIZE) };

		a->window.threads[i] = (struct window_thread){ .process = raw->process,
							       .tid = raw->tid,
							       .name = comm };
		/* Gone before anybody could look, and no record told of it: the sample itself has a
		 * name. */
		if (process->name.size == 0)
			process->name = comm;
		if (process->comm.size == 0)
			process->comm = comm;
	}
	a->window.thread_count = a->thread_table.count;
}

static const struct mapping *find_mapping(struct aggregator *a, struct process *process,
					  uint64_t address)
{
	if (!process)
		return NULL;

	const struct mapping *mapping =
		process->mappings ? mappings_find(process->mappings, address) : NULL;

	if (!mapping && processes_rescan(a->processes, process, a->now_boot_ns))
		mapping = mappings_find(process->mappings, address);
	return mapping;
}

/* Programs of 32 bits have another, and [vsyscall] lies in the upper half. */
static uint32_t vdso_name(const struct aggregator *a, const struct mapping *mapping,
			  uint64_t address)
{
	size_t number = SIZE_MAX;

	if (mapping->start > UINT32_MAX && mapping->start <= INT64_MAX)
		number = vdso_find(&a->vdso, address - mapping->start);
	return number == SIZE_MAX ? 0 : (uint32_t)number + 1;
}

static struct window_frame place_address(struct aggregator *a, const struct mapping *mapping,
					 uint64_t address, enum frame_position position)
{
	struct window_frame frame = { .address = address,
				      .kind = FRAME_UNMAPPED,
				      .position = (uint8_t)position };

	if (!mapping)
		return frame;
	switch ((enum mapping_kind)mapping->kind) {
	case MAPPING_FILE:
		frame.reference = place_file(a, mapping->file);
		if (frame.reference == WINDOW_NONE) {
			frame.reference = 0;
			return frame;
		}
		frame.kind = FRAME_FILE;
		frame.address = address - mapping->start + mapping->offset;
		break;
	case MAPPING_ANONYMOUS:
		frame.kind = FRAME_ANONYMOUS;
		break;
	case MAPPING_VDSO:
		/* The kernel's own code in every process; it has no file to read names from. */
		frame.kind = FRAME_NAMED;
		frame.reference = vdso_name(a, mapping, address - (position == FRAME_RETURN));
		frame.address = 0;
		break;
	}
	return frame;
}

/*
 * Steps by frame pointers were checked for sense, not for truth: a return address that lies in no
 * executable mapping was none, and ends the stack.
 */
static void place_user_frames(struct aggregator *a, const struct raw_stack *raw,
			      struct window_stack *stack)
{
	struct process *process = a->raw_processes[raw->process].process;
	const uint64_t *addresses = &a->raw_frames[raw->first_frame + raw->kernel_frame_count];

	for (uint32_t i = 0; i < raw->user_frame_count; i++) {
		uint64_t address = addresses[i] & ~EVENT_FRAME_INTERRUPTED;
		bool is_interrupted =
			addresses[i] != address || (i == 0 && raw->kernel_frame_count > 0);
		enum frame_position position = is_interrupted ? FRAME_INTERRUPTED
					       : i > 0	      ? FRAME_RETURN
							      : FRAME_LEAF;
		/* A call may be the last instruction of a mapping. */
		const struct mapping *mapping =
			find_mapping(a, process, address - (position == FRAME_RETURN ? 1 : 0));

		if (!mapping && position == FRAME_RETURN) {
			stack->verdict = VERDICT_NO_MAPPING;
			return;
		}
		a->window.frames[a->window.frame_count++] =
			place_address(a, mapping, address, position);
		stack->frame_count++;
	}
}

static void place_stack(struct aggregator *a, uint32_t number)
{
	const struct raw_stack *raw = &a->raw_stacks[number];
	struct window_stack *stack = &a->window.stacks[number];

	*stack = (struct window_stack){
		.first_frame = a->window.frame_count,
		.verdict = raw->verdict,
		.has_frame_pointer_steps = raw->flags & EVENT_FRAME_POINTERS,
	};
	for (uint32_t i = 0; i < raw->kernel_frame_count; i++) {
		a->window.frames[a->window.frame_count++] = (struct window_frame){
			.address = a->raw_frames[raw->first_frame + i],
			.kind = FRAME_KERNEL,
			.position = i == 0 ? FRAME_LEAF : FRAME_RETURN,
		};
		stack->frame_count++;
	}
	place_user_frames(a, raw, stack);
}

static void place_entries(struct aggregator *a)
{
	struct window *w = &a->window;

	w->time_count = 0;
	w->entry_count = a->entry_table.count;
	for (uint32_t i = 0; i < w->entry_count; i++) {
		const struct raw_entry *raw = &a->raw_entries[i];

		w->entries[i] = (struct window_entry){ .thread = raw->thread,
						       .stack = raw->stack,
						       .event = EVENT_CPU,
						       .count = raw->count,
						       .weight = raw->weight,
						       .first_time = w->time_count };
		w->time_count += raw->count;
		a->placed[i] = 0;
	}
	assert(w->time_count == a->sample_count);
}

static int ascending(const void *left, const void *right)
{
	const uint16_t *a = left, *b = right;

	return *a - *b;
}

static void place_times(struct aggregator *a)
{
	struct window *w = &a->window;
	uint64_t length_ms = (w->end_boot_ns - w->start_boot_ns) / CLOCK_NS_PER_MS;

	if (length_ms > UINT16_MAX)
		length_ms = UINT16_MAX;
	for (uint32_t i = 0; i < a->sample_count; i++) {
		uint32_t entry = a->sample_entries[i];
		uint64_t boot_ns = a->sample_boot_ns[i];
		/* Taken before the last draining of the window before, or after its end: the edge.
		 */
		uint64_t ms = boot_ns > w->start_boot_ns
				      ? (boot_ns - w->start_boot_ns) / CLOCK_NS_PER_MS
				      : 0;

		w->times_ms[w->entries[entry].first_time + a->placed[entry]++] =
			(uint16_t)(ms < length_ms ? ms : length_ms);
	}
	/* Rings of several CPUs are not in one order. */
	for (uint32_t i = 0; i < w->entry_count; i++)
		if (w->entries[i].count > 1)
			qsort(&w->times_ms[w->entries[i].first_time], w->entries[i].count,
			      sizeof(w->times_ms[0]), ascending);
}

struct window *aggregator_window(struct aggregator *a, uint64_t start_boot_ns, uint64_t end_boot_ns)
{
	assert(start_boot_ns <= end_boot_ns);

	struct window *w = &a->window;

	aggregator_meet_processes(a);
	if (a->exclusions || a->only_followed)
		leave_out_excluded(a);
	a->now_boot_ns = end_boot_ns;
	w->start_boot_ns = start_boot_ns;
	w->end_boot_ns = end_boot_ns;
	w->sample_count = a->sample_count;
	w->file_count = w->frame_count = 0;
	w->name_count = (uint32_t)(1 + a->vdso.count);
	w->process_count = a->process_table.count;
	w->stack_count = a->stack_table.count;
	for (uint32_t i = 0; i < w->process_count; i++)
		place_process(a, i);
	place_threads(a);
	for (uint32_t i = 0; i < w->stack_count; i++)
		place_stack(a, i);
	place_entries(a);
	place_times(a);
	return w;
}

void aggregator_clear(struct aggregator *a)
{
	let_go_of_files(a);
	table_clear(&a->process_table);
	table_clear(&a->thread_table);
	table_clear(&a->stack_table);
	table_clear(&a->entry_table);
	table_clear(&a->file_table);
	a->raw_frame_count = a->sample_count = a->met_process_count = 0;
	memset(a->window.losses, 0, sizeof(a->window.losses));
	a->window_number++;
}

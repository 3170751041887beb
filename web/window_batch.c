/* SPDX-License-Identifier: Apache-2.0 */
#include "web/window_batch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/verdict.h"
#include "store/batch.h"
#include "store/store.h"
#include "symbols/jit_processes.h"
#include "symbols/symbols.h"
#include "web/labels.h"
#include "web/server.h"

enum {
	GAP_MS_MIN = 2000, /* windows of two collectors never meet to the millisecond */
	LABEL_TEXT_SIZE_MAX = 16384,
	/* For what a new process writes of its code; once for each, and for some together. */
	JIT_WAIT_MS = 200,
};

static const char cpu_type[] = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

struct window_batch {
	struct ingest_options options;
	struct server *server;
	struct batch *batch; /* that is filled */

	/* Numbers in the batch of the window's things; WINDOW_NONE: not added yet. */
	uint32_t *builds, *stacks;
	uint32_t *series;	 /* of each process */
	uint32_t *thread_labels; /* of each thread */
	uint32_t *codes;	 /* of each process: enum own_code */
	uint32_t build_capacity, stack_capacity, series_capacity, thread_capacity, code_capacity;
	struct process_key jit_keys[JIT_PROCESS_COUNT_MAX];
};

/* Whether a process ran code that it made. */
enum own_code {
	CODE_NONE = WINDOW_NONE,
	CODE_STEADY = 1, /* one address meant one thing all through the window */
	CODE_CHANGES = 2,
	CODE_LATE = 3, /* what is not named yet may be told later, and what it meant by then */
};

static int reserve(uint32_t **items, uint32_t *capacity, uint32_t count)
{
	if (count > *capacity) {
		uint32_t *larger = reallocarray(*items, count, sizeof(larger[0]));

		if (!larger)
			return -ENOMEM;
		*items = larger;
		*capacity = count;
	}
	for (uint32_t i = 0; i < count; i++)
		(*items)[i] = WINDOW_NONE;
	return 0;
}

static int64_t add_series(struct window_batch *filling, const struct window *window,
			  uint32_t process)
{
	struct label labels[LABELS_MAX];
	size_t label_count = 0;
	autoclean(buf) struct buf texts = BUF(LABEL_TEXT_SIZE_MAX);

	if (filling->series[process] != WINDOW_NONE)
		return filling->series[process];

	int64_t number = labels_of(&window->processes[process], filling->server->host_name, labels,
				   &label_count, &texts);

	if (number >= 0)
		number = batch_add_labels(filling->batch, labels, label_count);
	if (number >= 0)
		number =
			batch_add_series(filling->batch, (uint32_t)number, str_from(cpu_type),
					 (uint64_t)CLOCK_NS_PER_S /
						 (window->frequency_hz ? window->frequency_hz : 1));
	if (number >= 0)
		filling->series[process] = (uint32_t)number;
	return number;
}

static int64_t add_sample_labels(struct window_batch *filling, const struct window *window,
				 uint32_t number)
{
	const struct window_thread *thread = &window->threads[number];
	const struct process_key *key = &window->processes[thread->process].key;
	char pid[16], tid[16], process[64];
	autoclean(buf) struct buf texts = BUF(LABEL_TEXT_SIZE_MAX);

	if (filling->thread_labels[number] != WINDOW_NONE)
		return filling->thread_labels[number];
	snprintf(pid, sizeof(pid), "%u", key->pid);
	snprintf(tid, sizeof(tid), "%u", thread->tid);
	/* Unique on this host since its boot, where a bare pid is not. */
	snprintf(process, sizeof(process), "%u.%llu.%u", key->pid,
		 (unsigned long long)(key->start_boot_ns / CLOCK_NS_PER_MS), key->exec_generation);

	struct label labels[] = {
		{ STR("pid"), str_from(pid) },
		{ STR("process"), str_from(process) },
		{ STR("tid"), str_from(tid) },
		/* Last, so that it can be left out. */
		{ STR("thread_name"), label_text(thread->name, &texts) },
	};
	size_t count = sizeof(labels) / sizeof(labels[0]) - (thread->name.size == 0);

	if (texts.error)
		return texts.error;

	int64_t added = batch_add_labels(filling->batch, labels, count);

	if (added >= 0)
		filling->thread_labels[number] = (uint32_t)added;
	return added;
}

static int find_kernel_place(struct window_batch *filling, uint64_t address,
			     struct batch_place *ret)
{
	struct kernel_location location = { 0 };
	int err = symbols_kernel_location(filling->server->symbols, address, &location);
	bool is_module = !err && location.module.size > 0;
	int64_t build =
		batch_add_build(filling->batch, is_module ? BUILD_KERNEL_MODULE : BUILD_KERNEL,
				&location.identity, is_module ? location.module : STR("kernel"));

	if (build < 0)
		return (int)build;
	/* Without a symbol list the address is all there is. */
	*ret = (struct batch_place){ (uint32_t)build, err ? address : location.offset };
	return 0;
}

static int find_file_place(struct window_batch *filling, const struct window *window, uint32_t file,
			   uint64_t address, struct batch_place *ret)
{
	if (filling->builds[file] == WINDOW_NONE) {
		const struct window_file *f = &window->files[file];
		int64_t build = batch_add_build(filling->batch, BUILD_FILE, &f->identity, f->path);

		if (build < 0)
			return (int)build;
		filling->builds[file] = (uint32_t)build;
	}
	*ret = (struct batch_place){ filling->builds[file], address };
	return 0;
}

/* Where a frame is that does not bring its name. */
static int find_place(struct window_batch *filling, const struct window *window,
		      const struct window_process *process, const struct window_frame *frame,
		      uint64_t at_ns, struct batch_place *ret)
{
	struct identity identity = { 0 };
	/* A return address lies behind its call, maybe in the next function. */
	uint64_t address = frame->address - (frame->position == FRAME_RETURN ? 1 : 0);
	enum build_kind kind = BUILD_UNMAPPED;

	if (frame->kind == FRAME_KERNEL)
		return find_kernel_place(filling, address, ret);
	if (frame->kind == FRAME_FILE)
		return find_file_place(filling, window, frame->reference, address, ret);
	if (frame->kind == FRAME_ANONYMOUS || frame->kind == FRAME_RUNTIME)
		kind = BUILD_ANONYMOUS;
	/* What it is called may be told later. */
	if (frame->kind == FRAME_ANONYMOUS && filling->server->jit)
		(void)jit_processes_await(filling->server->jit, &process->key, window->collector,
					  address, at_ns, &identity, &address);

	int64_t build = batch_add_build(filling->batch, kind, &identity, process->name);

	if (build < 0)
		return (int)build;
	*ret = (struct batch_place){ (uint32_t)build, address };
	return 0;
}

/* ---- code that processes make ---- */

static bool has_own_code(const struct window *window, uint32_t number)
{
	const struct window_stack *stack = &window->stacks[number];

	for (uint32_t i = 0; i < stack->frame_count; i++)
		if (window->frames[stack->first_frame + i].kind == FRAME_ANONYMOUS)
			return true;
	return false;
}

/*
 * Its names go with the process, so they are had now: what is written of it up to here is read
 * before the window's stacks are named.
 */
static void prepare_own_code(struct window_batch *filling, const struct window *window)
{
	struct jit_processes *jit = filling->server->jit;
	size_t count = 0;

	for (uint32_t i = 0; i < window->entry_count && jit; i++) {
		const struct window_entry *entry = &window->entries[i];
		uint32_t process = window->threads[entry->thread].process;

		if (filling->codes[process] != CODE_NONE || count == JIT_PROCESS_COUNT_MAX ||
		    !has_own_code(window, entry->stack))
			continue;
		filling->codes[process] = CODE_STEADY;
		filling->jit_keys[count++] = window->processes[process].key;
	}
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct process_key *key = &filling->jit_keys[i];

		if (filling->options.wish_jit && jit_processes_want(jit, key) &&
		    !filling->options.wish_jit(filling->options.context, key))
			jit_processes_bring(jit, key, JIT_FILE_NONE, -1);
	}
	jit_processes_refresh(jit, filling->jit_keys, count, JIT_WAIT_MS);
	for (uint32_t i = 0; i < window->process_count; i++)
		if (filling->codes[i] == CODE_STEADY &&
		    jit_processes_change(jit, &window->processes[i].key, window->start_boot_ns,
					 window->end_boot_ns))
			filling->codes[i] = CODE_CHANGES;
		else if (filling->codes[i] == CODE_STEADY &&
			 jit_processes_has_jitdump(jit, &window->processes[i].key))
			filling->codes[i] = CODE_LATE;
}

/* The end of the millisecond in which an entry's sample was taken. */
static uint64_t sample_boot_ns(const struct window *window, uint32_t time)
{
	return window->start_boot_ns +
	       (UINT64_C(1) + window->times_ms[time]) * (uint64_t)CLOCK_NS_PER_MS - 1;
}

/* What a frame is called that brings its name, or whose process says it. */
static bool name_frame(struct window_batch *filling, const struct window *window,
		       const struct window_process *process, const struct window_frame *frame,
		       uint64_t at_ns, char text[static JIT_NAME_SIZE_MAX], struct named_line *ret)
{
	size_t size = 0;

	if (frame->kind == FRAME_NAMED) {
		const struct window_name *name = &window->names[frame->reference];

		*ret = (struct named_line){ name->function, name->file, name->line };
		return true;
	}
	if (frame->kind != FRAME_ANONYMOUS || !filling->server->jit ||
	    !jit_processes_find(filling->server->jit, &process->key,
				frame->address - (frame->position == FRAME_RETURN ? 1 : 0), at_ns,
				text, &size))
		return false;

	struct jit_name name = jit_name_from((struct str){ text, size });

	*ret = (struct named_line){ name.function, name.file, name.line };
	return true;
}

enum { DEPTH_MAX = FRAME_COUNT_MAX + KERNEL_FRAME_COUNT_MAX };

/* The locations of a stack, leaf first: those in builds together, and in between those with names.
 */
static int add_locations(struct window_batch *filling, const struct window *window,
			 const struct window_process *process, const struct window_frame *frames,
			 uint32_t count, uint64_t at_ns, uint32_t *locations)
{
	struct batch_place places[DEPTH_MAX];
	uint32_t place_count = 0;
	char text[JIT_NAME_SIZE_MAX];

	assert(count <= DEPTH_MAX);
	for (uint32_t i = 0; i <= count; i++) {
		struct named_line line;
		bool is_named = i < count && name_frame(filling, window, process, &frames[i], at_ns,
							text, &line);

		if (i == count || is_named) {
			int err = batch_add_locations(filling->batch, places, place_count,
						      locations + i - place_count);

			if (err)
				return err;
			place_count = 0;
		}
		if (is_named) {
			int64_t location = batch_add_named_location(filling->batch, &line, 1);

			if (location < 0)
				return (int)location;
			locations[i] = (uint32_t)location;
		} else if (i < count) {
			int err = find_place(filling, window, process, &frames[i], at_ns,
					     &places[place_count++]);

			if (err)
				return err;
		}
	}
	return 0;
}

/* What stands where callers are missing. */
static int add_truncation(struct window_batch *filling, enum verdict verdict, uint32_t *ret)
{
	static const struct identity nobody = { 0 };
	int64_t build = batch_add_build(filling->batch, BUILD_TRUNCATED, &nobody, STR(""));

	if (build < 0)
		return (int)build;
	return batch_add_locations(filling->batch,
				   &(struct batch_place){ (uint32_t)build, (uint64_t)verdict }, 1,
				   ret);
}

/* Of a sample that was taken then. */
static int64_t add_stack_at(struct window_batch *filling, const struct window *window,
			    uint32_t number, const struct window_process *process, uint64_t at_ns)
{
	const struct window_stack *stack = &window->stacks[number];
	uint32_t locations[DEPTH_MAX + 1];
	uint32_t count = stack->frame_count;
	enum verdict verdict = stack->verdict;

	/* The root side goes, and the stack says so. */
	if (count > DEPTH_MAX) {
		count = DEPTH_MAX;
		verdict = VERDICT_TRUNCATED;
	}

	int err = add_locations(filling, window, process, &window->frames[stack->first_frame],
				count, at_ns, locations);

	if (!err && verdict_is_truncated(verdict))
		err = add_truncation(filling, verdict, &locations[count++]);
	if (err)
		return err;
	return batch_add_stack(filling->batch, locations, count, 0);
}

static int64_t add_stack(struct window_batch *filling, const struct window *window, uint32_t number,
			 const struct window_process *process, uint64_t at_ns)
{
	if (filling->stacks[number] != WINDOW_NONE)
		return filling->stacks[number];

	int64_t added = add_stack_at(filling, window, number, process, at_ns);

	if (added >= 0)
		filling->stacks[number] = (uint32_t)added;
	return added;
}

/* One for each sample: its addresses may have meant other things for the one before. */
static int add_samples(struct window_batch *filling, const struct window *window,
		       const struct window_entry *entry, struct batch_entry added)
{
	const struct window_process *process =
		&window->processes[window->threads[entry->thread].process];
	uint64_t left = entry->weight;
	int err = 0;

	for (uint32_t i = 0; i < entry->count && !err; i++) {
		uint32_t time = entry->first_time + i;
		int64_t stack = add_stack_at(filling, window, entry->stack, process,
					     sample_boot_ns(window, time));

		if (stack < 0)
			return (int)stack;
		added.stack = (uint32_t)stack;
		added.count = 1;
		added.value = left / (entry->count - i);
		added.times_ms = &window->times_ms[time];
		left -= added.value;
		err = batch_add_entry(filling->batch, &added);
	}
	return err;
}

/* Whether some frame of a stack has no name, though its process may tell it yet. */
static bool waits_for_names(struct window_batch *filling, const struct window *window,
			    uint32_t number, const struct window_process *process)
{
	const struct window_stack *stack = &window->stacks[number];
	char text[JIT_NAME_SIZE_MAX];
	struct named_line line;

	for (uint32_t i = 0; i < stack->frame_count; i++) {
		const struct window_frame *frame = &window->frames[stack->first_frame + i];

		if (frame->kind == FRAME_ANONYMOUS &&
		    !name_frame(filling, window, process, frame, window->end_boot_ns, text, &line))
			return true;
	}
	return false;
}

/* Whether what a stack is called may differ from one sample to the next. */
static bool is_by_sample(struct window_batch *filling, const struct window *window,
			 const struct window_entry *entry)
{
	uint32_t process = window->threads[entry->thread].process;

	switch (filling->codes[process]) {
	case CODE_CHANGES:
		return has_own_code(window, entry->stack);
	case CODE_LATE:
		return waits_for_names(filling, window, entry->stack, &window->processes[process]);
	default:
		return false;
	}
}

static int add_entry(struct window_batch *filling, const struct window *window,
		     const struct window_entry *entry)
{
	uint32_t process = window->threads[entry->thread].process;
	int64_t series = add_series(filling, window, process);
	int64_t labels = series < 0 ? series : add_sample_labels(filling, window, entry->thread);

	if (labels < 0)
		return (int)labels;

	struct batch_entry added = { .series = (uint32_t)series,
				     .sample_labels = (uint32_t)labels,
				     .count = entry->count,
				     .value = entry->weight,
				     .times_ms = &window->times_ms[entry->first_time] };

	if (is_by_sample(filling, window, entry))
		return add_samples(filling, window, entry, added);

	int64_t stack = add_stack(filling, window, entry->stack, &window->processes[process],
				  sample_boot_ns(window, entry->first_time));

	if (stack < 0)
		return (int)stack;
	added.stack = (uint32_t)stack;
	return batch_add_entry(filling->batch, &added);
}

static int64_t unix_ms(const struct window *window, uint64_t boot_ns)
{
	return ((int64_t)boot_ns + window->boot_to_unix_ns) / CLOCK_NS_PER_MS;
}

static void add_gap(struct window_batch *filling, const struct window *window, int64_t start_ms)
{
	int64_t newest_ms = store_newest_ms(filling->server->store);
	uint8_t reason = window->gap;

	if (newest_ms == 0 || start_ms - newest_ms < GAP_MS_MIN)
		return;
	if (unix_ms(window, 0) > newest_ms)
		reason = GAP_HOST_OFF; /* it booted after what we have */
	else if (reason == GAP_NONE)
		reason = GAP_NOT_RUNNING;
	batch_add_gap(filling->batch, newest_ms, start_ms, reason);
}

int window_batch_fill(struct window_batch *filling, const struct window *window,
		      struct batch *batch)
{
	int64_t start_ms = unix_ms(window, window->start_boot_ns);
	int err = reserve(&filling->builds, &filling->build_capacity, window->file_count);

	if (!err)
		err = reserve(&filling->stacks, &filling->stack_capacity, window->stack_count);
	if (!err)
		err = reserve(&filling->series, &filling->series_capacity, window->process_count);
	if (!err)
		err = reserve(&filling->thread_labels, &filling->thread_capacity,
			      window->thread_count);
	if (!err)
		err = reserve(&filling->codes, &filling->code_capacity, window->process_count);
	if (err)
		return err;

	filling->batch = batch;
	prepare_own_code(filling, window);
	batch_clear(filling->batch);
	batch_set_time(filling->batch,
		       (struct batch_time){ start_ms, unix_ms(window, window->end_boot_ns) });
	batch_set_source(filling->batch, window->collector, window->sequence);
	add_gap(filling, window, start_ms);
	for (uint32_t i = 0; i < window->entry_count && !err; i++)
		err = add_entry(filling, window, &window->entries[i]);
	return err;
}

int window_batch_new(const struct ingest_options *options, struct window_batch **ret)
{
	assert(options->server);

	struct window_batch *filling = calloc(1, sizeof(*filling));

	if (!filling)
		return -ENOMEM;
	filling->options = *options;
	filling->server = options->server;
	*ret = filling;
	return 0;
}

struct window_batch *window_batch_free(struct window_batch *filling)
{
	if (!filling)
		return NULL;
	free(filling->builds);
	free(filling->stacks);
	free(filling->series);
	free(filling->thread_labels);
	free(filling->codes);
	free(filling);
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/ingest.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/verdict.h"
#include "store/batch.h"
#include "store/store.h"
#include "symbols/jit_processes.h"
#include "symbols/symbols.h"
#include "web/labels.h"
#include "web/metrics.h"
#include "web/server.h"

enum {
	QUEUE_COUNT_MAX = 8,	     /* windows; behind it the collector keeps them */
	BATCH_MEMORY_MAX = 64 << 20, /* twice the largest window */
	RETRY_MS = 1000,
	MAINTAIN_MS = 5000,
	GAP_MS_MIN = 2000, /* windows of two collectors never meet to the millisecond */
	LABEL_TEXT_SIZE_MAX = 16384,
	/* For what a new process writes of its code; once for each, and for some together. */
	JIT_WAIT_MS = 200,
	/* Between commits of what is pushed: a twentieth of what a sender notices. */
	COMMIT_PAUSE_MS = 50,
	/* Entries of theirs in one row; it holds four times as many. */
	GUEST_ENTRY_COUNT_MAX = 1 << 17,
};

static const char cpu_type[] = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/* What somebody else brings, on the stack of its thread. */
struct guest {
	struct guest *next;
	struct batch *batch;	/* or NULL */
	bool commits, may_wait; /* for others to commit with */
	bool is_waiting;
	int err;
};

struct guests {
	struct guest *first, **last;
};

struct ingest {
	struct ingest_options options;
	struct server *server;
	struct queue *queue;
	pthread_t thread;
	bool is_running;
	_Atomic uint64_t turned_ns; /* when the thread last went round, monotonic */
	struct batch *batch;

	/* What was appended since the last commit. */
	bool has_pending;
	int64_t pending_slot; /* of data time, window_ns each */
	uint64_t pending_collector, pending_sequence;
	uint64_t pending_since_ns; /* monotonic */
	uint64_t next_maintenance_ns;
	bool is_in_trouble;	/* said once, not every second */
	enum store_state state; /* as it was said last */
	uint32_t damaged_count; /* of which was said */

	/* Numbers in the batch of the window's things; WINDOW_NONE: not added yet. */
	uint32_t *builds, *stacks;
	uint32_t *series;	 /* of each process */
	uint32_t *thread_labels; /* of each thread */
	uint32_t *codes;	 /* of each process: enum own_code */
	uint32_t build_capacity, stack_capacity, series_capacity, thread_capacity, code_capacity;
	struct process_key jit_keys[JIT_PROCESS_COUNT_MAX];

	/* Those that came, under the lock, and those whose batches were appended, the writer's: a
	 * commit a push would sync the disk hundreds of times a second. */
	pthread_mutex_t guest_lock;
	pthread_cond_t guest_done;
	struct guests guests; /* its address is in the queue when some are new */
	bool is_announced, is_closed;
	struct guests committing;
	uint32_t guest_entries;	  /* appended since the last commit */
	uint64_t guest_commit_ns; /* when they are to be committed */
	uint64_t last_guest_commit_ns;
};

/* Whether a process ran code that it made. */
enum own_code {
	CODE_NONE = WINDOW_NONE,
	CODE_STEADY = 1, /* one address meant one thing all through the window */
	CODE_CHANGES = 2,
};

/* ---- a window into a batch ----------------------------------------------------------------------
 */

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

static int64_t add_series(struct ingest *ingest, const struct window *window, uint32_t process)
{
	struct label labels[LABELS_MAX];
	size_t label_count = 0;
	autoclean(buf) struct buf texts = BUF(LABEL_TEXT_SIZE_MAX);

	if (ingest->series[process] != WINDOW_NONE)
		return ingest->series[process];

	int64_t number = labels_of(&window->processes[process], ingest->server->host_name, labels,
				   &label_count, &texts);

	if (number >= 0)
		number = batch_add_labels(ingest->batch, labels, label_count);
	if (number >= 0)
		number =
			batch_add_series(ingest->batch, (uint32_t)number, str_from(cpu_type),
					 (uint64_t)CLOCK_NS_PER_S /
						 (window->frequency_hz ? window->frequency_hz : 1));
	if (number >= 0)
		ingest->series[process] = (uint32_t)number;
	return number;
}

static int64_t add_sample_labels(struct ingest *ingest, const struct window *window,
				 uint32_t number)
{
	const struct window_thread *thread = &window->threads[number];
	const struct process_key *key = &window->processes[thread->process].key;
	char pid[16], tid[16], process[64];
	autoclean(buf) struct buf texts = BUF(LABEL_TEXT_SIZE_MAX);

	if (ingest->thread_labels[number] != WINDOW_NONE)
		return ingest->thread_labels[number];
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

	int64_t added = batch_add_labels(ingest->batch, labels, count);

	if (added >= 0)
		ingest->thread_labels[number] = (uint32_t)added;
	return added;
}

static int find_kernel_place(struct ingest *ingest, uint64_t address, struct batch_place *ret)
{
	struct kernel_location location = { 0 };
	int err = symbols_kernel_location(ingest->server->symbols, address, &location);
	bool is_module = !err && location.module.size > 0;
	int64_t build =
		batch_add_build(ingest->batch, is_module ? BUILD_KERNEL_MODULE : BUILD_KERNEL,
				&location.identity, is_module ? location.module : STR("kernel"));

	if (build < 0)
		return (int)build;
	/* Without a symbol list the address is all there is. */
	*ret = (struct batch_place){ (uint32_t)build, err ? address : location.offset };
	return 0;
}

static int find_file_place(struct ingest *ingest, const struct window *window, uint32_t file,
			   uint64_t address, struct batch_place *ret)
{
	if (ingest->builds[file] == WINDOW_NONE) {
		const struct window_file *f = &window->files[file];
		int64_t build = batch_add_build(ingest->batch, BUILD_FILE, &f->identity, f->path);

		if (build < 0)
			return (int)build;
		ingest->builds[file] = (uint32_t)build;
	}
	*ret = (struct batch_place){ ingest->builds[file], address };
	return 0;
}

/* Where a frame is that does not bring its name. */
static int find_place(struct ingest *ingest, const struct window *window,
		      const struct window_process *process, const struct window_frame *frame,
		      struct batch_place *ret)
{
	static const struct identity nobody = { 0 };
	/* A return address lies behind its call, maybe in the next function. */
	uint64_t address = frame->address - (frame->position == FRAME_RETURN ? 1 : 0);
	enum build_kind kind = BUILD_UNMAPPED;

	if (frame->kind == FRAME_KERNEL)
		return find_kernel_place(ingest, address, ret);
	if (frame->kind == FRAME_FILE)
		return find_file_place(ingest, window, frame->reference, address, ret);
	if (frame->kind == FRAME_ANONYMOUS || frame->kind == FRAME_RUNTIME)
		kind = BUILD_ANONYMOUS;

	int64_t build = batch_add_build(ingest->batch, kind, &nobody, process->name);

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
static void prepare_own_code(struct ingest *ingest, const struct window *window)
{
	struct jit_processes *jit = ingest->server->jit;
	size_t count = 0;

	for (uint32_t i = 0; i < window->entry_count && jit; i++) {
		const struct window_entry *entry = &window->entries[i];
		uint32_t process = window->threads[entry->thread].process;

		if (ingest->codes[process] != CODE_NONE || count == JIT_PROCESS_COUNT_MAX ||
		    !has_own_code(window, entry->stack))
			continue;
		ingest->codes[process] = CODE_STEADY;
		ingest->jit_keys[count++] = window->processes[process].key;
	}
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct process_key *key = &ingest->jit_keys[i];

		if (ingest->options.wish_jit && jit_processes_want(jit, key) &&
		    !ingest->options.wish_jit(ingest->options.context, key))
			jit_processes_bring(jit, key, JIT_FILE_NONE, -1);
	}
	jit_processes_refresh(jit, ingest->jit_keys, count, JIT_WAIT_MS);
	for (uint32_t i = 0; i < window->process_count; i++)
		if (ingest->codes[i] == CODE_STEADY &&
		    jit_processes_change(jit, &window->processes[i].key, window->start_boot_ns,
					 window->end_boot_ns))
			ingest->codes[i] = CODE_CHANGES;
}

/* The end of the millisecond in which an entry's sample was taken. */
static uint64_t sample_boot_ns(const struct window *window, uint32_t time)
{
	return window->start_boot_ns +
	       (UINT64_C(1) + window->times_ms[time]) * (uint64_t)CLOCK_NS_PER_MS - 1;
}

/* What a frame is called that brings its name, or whose process says it. */
static bool name_frame(struct ingest *ingest, const struct window *window,
		       const struct window_process *process, const struct window_frame *frame,
		       uint64_t at_ns, char text[static JIT_NAME_SIZE_MAX], struct named_line *ret)
{
	size_t size = 0;

	if (frame->kind == FRAME_NAMED) {
		const struct window_name *name = &window->names[frame->reference];

		*ret = (struct named_line){ name->function, name->file, name->line };
		return true;
	}
	if (frame->kind != FRAME_ANONYMOUS || !ingest->server->jit ||
	    !jit_processes_find(ingest->server->jit, &process->key,
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
static int add_locations(struct ingest *ingest, const struct window *window,
			 const struct window_process *process, const struct window_frame *frames,
			 uint32_t count, uint64_t at_ns, uint32_t *locations)
{
	struct batch_place places[DEPTH_MAX];
	uint32_t place_count = 0;
	char text[JIT_NAME_SIZE_MAX];

	assert(count <= DEPTH_MAX);
	for (uint32_t i = 0; i <= count; i++) {
		struct named_line line;
		bool is_named = i < count &&
				name_frame(ingest, window, process, &frames[i], at_ns, text, &line);

		if (i == count || is_named) {
			int err = batch_add_locations(ingest->batch, places, place_count,
						      locations + i - place_count);

			if (err)
				return err;
			place_count = 0;
		}
		if (is_named) {
			int64_t location = batch_add_named_location(ingest->batch, &line, 1);

			if (location < 0)
				return (int)location;
			locations[i] = (uint32_t)location;
		} else if (i < count) {
			int err = find_place(ingest, window, process, &frames[i],
					     &places[place_count++]);

			if (err)
				return err;
		}
	}
	return 0;
}

/* What stands where callers are missing. */
static int add_truncation(struct ingest *ingest, enum verdict verdict, uint32_t *ret)
{
	static const struct identity nobody = { 0 };
	int64_t build = batch_add_build(ingest->batch, BUILD_TRUNCATED, &nobody, STR(""));

	if (build < 0)
		return (int)build;
	return batch_add_locations(
		ingest->batch, &(struct batch_place){ (uint32_t)build, (uint64_t)verdict }, 1, ret);
}

/* Of a sample that was taken then. */
static int64_t add_stack_at(struct ingest *ingest, const struct window *window, uint32_t number,
			    const struct window_process *process, uint64_t at_ns)
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

	int err = add_locations(ingest, window, process, &window->frames[stack->first_frame], count,
				at_ns, locations);

	if (!err && verdict_is_truncated(verdict))
		err = add_truncation(ingest, verdict, &locations[count++]);
	if (err)
		return err;
	return batch_add_stack(ingest->batch, locations, count, 0);
}

static int64_t add_stack(struct ingest *ingest, const struct window *window, uint32_t number,
			 const struct window_process *process, uint64_t at_ns)
{
	if (ingest->stacks[number] != WINDOW_NONE)
		return ingest->stacks[number];

	int64_t added = add_stack_at(ingest, window, number, process, at_ns);

	if (added >= 0)
		ingest->stacks[number] = (uint32_t)added;
	return added;
}

/* One for each sample: its addresses may have meant other things for the one before. */
static int add_samples(struct ingest *ingest, const struct window *window,
		       const struct window_entry *entry, struct batch_entry added)
{
	const struct window_process *process =
		&window->processes[window->threads[entry->thread].process];
	uint64_t left = entry->weight;
	int err = 0;

	for (uint32_t i = 0; i < entry->count && !err; i++) {
		uint32_t time = entry->first_time + i;
		int64_t stack = add_stack_at(ingest, window, entry->stack, process,
					     sample_boot_ns(window, time));

		if (stack < 0)
			return (int)stack;
		added.stack = (uint32_t)stack;
		added.count = 1;
		added.value = left / (entry->count - i);
		added.times_ms = &window->times_ms[time];
		left -= added.value;
		err = batch_add_entry(ingest->batch, &added);
	}
	return err;
}

static int add_entry(struct ingest *ingest, const struct window *window,
		     const struct window_entry *entry)
{
	uint32_t process = window->threads[entry->thread].process;
	int64_t series = add_series(ingest, window, process);
	int64_t labels = series < 0 ? series : add_sample_labels(ingest, window, entry->thread);

	if (labels < 0)
		return (int)labels;

	struct batch_entry added = { .series = (uint32_t)series,
				     .sample_labels = (uint32_t)labels,
				     .count = entry->count,
				     .value = entry->weight,
				     .times_ms = &window->times_ms[entry->first_time] };

	if (ingest->codes[process] == CODE_CHANGES && has_own_code(window, entry->stack))
		return add_samples(ingest, window, entry, added);

	int64_t stack = add_stack(ingest, window, entry->stack, &window->processes[process],
				  sample_boot_ns(window, entry->first_time));

	if (stack < 0)
		return (int)stack;
	added.stack = (uint32_t)stack;
	return batch_add_entry(ingest->batch, &added);
}

static int64_t unix_ms(const struct window *window, uint64_t boot_ns)
{
	return ((int64_t)boot_ns + window->boot_to_unix_ns) / CLOCK_NS_PER_MS;
}

static void add_gap(struct ingest *ingest, const struct window *window, int64_t start_ms)
{
	int64_t newest_ms = store_newest_ms(ingest->server->store);
	uint8_t reason = window->gap;

	if (newest_ms == 0 || start_ms - newest_ms < GAP_MS_MIN)
		return;
	if (unix_ms(window, 0) > newest_ms)
		reason = GAP_HOST_OFF; /* it booted after what we have */
	else if (reason == GAP_NONE)
		reason = GAP_NOT_RUNNING;
	batch_add_gap(ingest->batch, newest_ms, start_ms, reason);
}

static int fill_batch(struct ingest *ingest, const struct window *window)
{
	int64_t start_ms = unix_ms(window, window->start_boot_ns);
	int err = reserve(&ingest->builds, &ingest->build_capacity, window->file_count);

	if (!err)
		err = reserve(&ingest->stacks, &ingest->stack_capacity, window->stack_count);
	if (!err)
		err = reserve(&ingest->series, &ingest->series_capacity, window->process_count);
	if (!err)
		err = reserve(&ingest->thread_labels, &ingest->thread_capacity,
			      window->thread_count);
	if (!err)
		err = reserve(&ingest->codes, &ingest->code_capacity, window->process_count);
	if (err)
		return err;

	prepare_own_code(ingest, window);
	batch_clear(ingest->batch);
	batch_set_time(ingest->batch,
		       (struct batch_time){ start_ms, unix_ms(window, window->end_boot_ns) });
	batch_set_source(ingest->batch, window->collector, window->sequence);
	add_gap(ingest, window, start_ms);
	for (uint32_t i = 0; i < window->entry_count && !err; i++)
		err = add_entry(ingest, window, &window->entries[i]);
	return err;
}

static void wish_for_names(struct ingest *ingest, const struct window *window)
{
	const struct ingest_options *options = &ingest->options;
	char name[DEBUG_LINK_NAME_SIZE];

	for (uint32_t i = 0; i < window->file_count; i++) {
		const struct identity *identity = &window->files[i].identity;

		if (symbols_wants(ingest->server->symbols, identity))
			options->wish(options->context, identity);
		if (options->wish_debug &&
		    symbols_wants_debug(ingest->server->symbols, identity, name))
			options->wish_debug(options->context, identity, name);
	}
}

/* ---- into the store -----------------------------------------------------------------------------
 */

static void report_trouble(struct ingest *ingest, int err, const char *what)
{
	if (!ingest->is_in_trouble)
		log_error_errno(
			err, "%s, trying again every second; nothing that was acknowledged is lost",
			what);
	ingest->is_in_trouble = true;
}

static int commit(struct ingest *ingest)
{
	if (!ingest->has_pending)
		return 0;

	int err = store_commit(ingest->server->store);

	if (err) {
		report_trouble(ingest, err, "cannot write to the store");
		return err;
	}
	if (ingest->is_in_trouble)
		log_notice("the store can be written again");
	ingest->is_in_trouble = false;
	ingest->has_pending = false;
	ingest->options.committed(ingest->options.context, ingest->pending_collector,
				  ingest->pending_sequence);
	return 0;
}

static int take(struct ingest *ingest, const struct window *window)
{
	uint64_t window_ns = ingest->server->settings->window_ns;
	int64_t slot =
		((int64_t)window->start_boot_ns + window->boot_to_unix_ns) / (int64_t)window_ns;
	int err = 0;

	/* One row holds one slot of data time, from one collector. */
	if (ingest->has_pending &&
	    (slot != ingest->pending_slot || window->collector != ingest->pending_collector))
		err = commit(ingest);
	if (!err)
		err = fill_batch(ingest, window);
	if (err == -E2BIG || err == -EINVAL) {
		/* It will never fit: count it, and take what comes after. */
		ingest->server->counters.windows_refused++;
		log_warning_errno(err, "a window of %llu samples does not fit, skipping",
				  (unsigned long long)window->sample_count);
		return 0;
	}
	if (!err) {
		err = store_append(ingest->server->store, ingest->batch);
		if (err == -EALREADY)
			err = 0;
	}
	if (err) {
		report_trouble(ingest, err, "cannot add to the store");
		return err;
	}
	if (!ingest->has_pending)
		ingest->pending_since_ns = clock_monotonic_ns();
	ingest->has_pending = true;
	ingest->pending_slot = slot;
	ingest->pending_collector = window->collector;
	ingest->pending_sequence = window->sequence;
	wish_for_names(ingest, window);
	return 0;
}

/* Each change of the store's state is said once. */
static void watch_state(struct ingest *ingest)
{
	struct store_status status;
	char text[256];

	store_status(ingest->server->store, &status);
	if (status.damaged_count > ingest->damaged_count)
		log_warning("'%s' was set aside, as it is damaged: %s; the other hours are served",
			    status.damaged, status.damage);
	ingest->damaged_count = status.damaged_count;
	if (status.state == ingest->state)
		return;
	ingest->state = status.state;
	store_state_text(&status, text, sizeof(text));
	if (status.state == STORE_OK)
		log_notice("the disk has room again, all is stored");
	else
		log_warning("the store is %s: %s", metrics_store_state(status.state), text);
}

static void maintain(struct ingest *ingest)
{
	uint64_t now = clock_monotonic_ns();

	if (now < ingest->next_maintenance_ns)
		return;
	ingest->next_maintenance_ns = now + UINT64_C(1) * MAINTAIN_MS * CLOCK_NS_PER_MS;

	int err = store_maintain(ingest->server->store, clock_unix_ms());

	if (err)
		report_trouble(ingest, err, "cannot keep the store in order");
	watch_state(ingest);
}

/* A collector that went silent does not leave its last windows uncommitted. */
static bool is_overdue(const struct ingest *ingest)
{
	return ingest->has_pending &&
	       clock_monotonic_ns() - ingest->pending_since_ns >
		       ingest->server->settings->window_ns + 2 * (uint64_t)CLOCK_NS_PER_S;
}

/* ---- batches of others --------------------------------------------------------------------------
 */

static void add_guest(struct guests *guests, struct guest *guest)
{
	guest->next = NULL;
	*guests->last = guest;
	guests->last = &guest->next;
}

static struct guest *take_guests(struct guests *guests)
{
	struct guest *first = guests->first;

	guests->first = NULL;
	guests->last = &guests->first;
	return first;
}

/* Each is gone as soon as it is answered. */
static void answer_guests(struct ingest *ingest, struct guest *guest, int err)
{
	pthread_mutex_lock(&ingest->guest_lock);
	while (guest) {
		struct guest *next = guest->next;

		assert(guest->is_waiting);
		guest->err = err ? err : guest->err;
		guest->is_waiting = false;
		guest = next;
	}
	pthread_cond_broadcast(&ingest->guest_done);
	pthread_mutex_unlock(&ingest->guest_lock);
}

/* What windows of the link brought is committed, and told, with it. */
static int commit_all(struct ingest *ingest)
{
	int err = ingest->has_pending ? commit(ingest) : store_commit(ingest->server->store);

	ingest->guest_entries = err ? ingest->guest_entries : 0;
	return err;
}

static void commit_guests(struct ingest *ingest)
{
	int err = commit_all(ingest);

	ingest->last_guest_commit_ns = clock_monotonic_ns();
	answer_guests(ingest, take_guests(&ingest->committing), err);
}

/* A row holds so much and no more. */
static int append_batch(struct ingest *ingest, struct batch *batch)
{
	uint32_t entries = batch_totals(batch).entries;
	int err = 0;

	if (ingest->guest_entries > 0 && ingest->guest_entries + entries > GUEST_ENTRY_COUNT_MAX)
		err = commit_all(ingest);
	if (!err)
		err = store_append(ingest->server->store, batch);
	ingest->guest_entries += err ? 0 : entries;
	return err;
}

static void append_guest(struct ingest *ingest, struct guest *guest)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t due_ns = now_ns;

	guest->next = NULL;
	if (guest->batch)
		guest->err = append_batch(ingest, guest->batch);
	if (!guest->commits || (guest->err && guest->err != -EALREADY)) {
		answer_guests(ingest, guest, 0);
		return;
	}
	if (guest->may_wait)
		due_ns = ingest->last_guest_commit_ns +
			 UINT64_C(1) * COMMIT_PAUSE_MS * CLOCK_NS_PER_MS;
	if (!ingest->committing.first || due_ns < ingest->guest_commit_ns)
		ingest->guest_commit_ns = due_ns;
	add_guest(&ingest->committing, guest);
}

static void let_guests_in(struct ingest *ingest)
{
	struct guest *guest;

	pthread_mutex_lock(&ingest->guest_lock);
	guest = take_guests(&ingest->guests);
	ingest->is_announced = false;
	pthread_mutex_unlock(&ingest->guest_lock);
	while (guest) {
		struct guest *next = guest->next;

		append_guest(ingest, guest);
		guest = next;
	}
}

/* How long the writer may wait for something new. */
static int wait_ms(const struct ingest *ingest)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!ingest->committing.first)
		return RETRY_MS;
	if (ingest->guest_commit_ns <= now_ns)
		return 0;
	return (int)((ingest->guest_commit_ns - now_ns) / CLOCK_NS_PER_MS) + 1;
}

static bool is_commit_due(const struct ingest *ingest)
{
	return ingest->committing.first && clock_monotonic_ns() >= ingest->guest_commit_ns;
}

/* Nobody will let them in any more. */
static void turn_guests_away(struct ingest *ingest)
{
	struct guest *guest;

	pthread_mutex_lock(&ingest->guest_lock);
	ingest->is_closed = true;
	guest = take_guests(&ingest->guests);
	pthread_mutex_unlock(&ingest->guest_lock);
	answer_guests(ingest, guest, -ECANCELED);
}

static int be_guest(struct ingest *ingest, struct guest *guest)
{
	bool announces;
	int err = 0;

	pthread_mutex_lock(&ingest->guest_lock);
	if (ingest->is_closed) {
		pthread_mutex_unlock(&ingest->guest_lock);
		return -ECANCELED;
	}
	guest->is_waiting = true;
	add_guest(&ingest->guests, guest);
	announces = !ingest->is_announced;
	ingest->is_announced = true;
	pthread_mutex_unlock(&ingest->guest_lock);

	/* Closed it is when the writer ends, and then it turns everybody away. */
	while (announces && err != -EPIPE) {
		err = queue_push_wait(ingest->queue, &ingest->guests, RETRY_MS);
		announces = err == -ETIMEDOUT;
	}
	pthread_mutex_lock(&ingest->guest_lock);
	while (guest->is_waiting)
		pthread_cond_wait(&ingest->guest_done, &ingest->guest_lock);
	pthread_mutex_unlock(&ingest->guest_lock);
	return guest->err;
}

int ingest_add(struct ingest *ingest, struct batch *batch, bool commits)
{
	return be_guest(ingest, &(struct guest){ .batch = batch, .commits = commits });
}

int ingest_commit_soon(struct ingest *ingest)
{
	return be_guest(ingest, &(struct guest){ .commits = true, .may_wait = true });
}

static void *run(void *context)
{
	struct ingest *ingest = context;
	struct window *held = NULL; /* the store did not take it */
	int err = 0;

	(void)pthread_setname_np(pthread_self(), "writer");
	while (err != -EPIPE) {
		void *item = held;

		err = 0;
		ingest->turned_ns = clock_monotonic_ns();
		if (held)
			let_guests_in(ingest);
		else
			err = queue_pop(ingest->queue, wait_ms(ingest), &item);
		held = NULL;
		if (!err && item == &ingest->guests) {
			let_guests_in(ingest);
		} else if (!err && take(ingest, item)) {
			struct timespec pause = { .tv_sec = RETRY_MS / CLOCK_MS_PER_S };

			held = item;
			/* When we are to end, what the store does not take stays with the
			 * collector. */
			if (queue_is_closed(ingest->queue))
				break;
			(void)nanosleep(&pause, NULL);
		} else if (!err) {
			window_free(item);
		}
		if (is_commit_due(ingest))
			commit_guests(ingest);
		if (is_overdue(ingest))
			(void)commit(ingest);
		maintain(ingest);
	}
	window_free(held);
	if (ingest->committing.first)
		commit_guests(ingest);
	(void)commit(ingest);
	turn_guests_away(ingest);
	return NULL;
}

static struct ingest *ingest_free(struct ingest *ingest)
{
	queue_free(ingest->queue);
	batch_free(ingest->batch);
	free(ingest->builds);
	free(ingest->stacks);
	free(ingest->series);
	free(ingest->thread_labels);
	free(ingest->codes);
	pthread_cond_destroy(&ingest->guest_done);
	pthread_mutex_destroy(&ingest->guest_lock);
	free(ingest);
	return NULL;
}

int ingest_start(const struct ingest_options *options, struct ingest **ret)
{
	assert(options->server && options->committed && options->wish);

	struct ingest *ingest = calloc(1, sizeof(*ingest));

	if (!ingest)
		return -ENOMEM;
	ingest->options = *options;
	ingest->turned_ns = clock_monotonic_ns();
	ingest->server = options->server;

	struct store_status status;

	/* What was found when the store was opened has been said. */
	store_status(options->server->store, &status);
	ingest->damaged_count = status.damaged_count;

	pthread_mutex_init(&ingest->guest_lock, NULL);
	pthread_cond_init(&ingest->guest_done, NULL);
	(void)take_guests(&ingest->guests);
	(void)take_guests(&ingest->committing);

	int err = queue_new(QUEUE_COUNT_MAX, &ingest->queue);

	if (!err)
		err = batch_new(BATCH_MEMORY_MAX, &ingest->batch);
	if (!err)
		err = -pthread_create(&ingest->thread, NULL, run, ingest);
	if (err) {
		ingest_free(ingest);
		return err;
	}
	ingest->is_running = true;
	*ret = ingest;
	return 0;
}

void ingest_close(struct ingest *ingest)
{
	void *left;

	if (!ingest->is_running)
		return;
	queue_close(ingest->queue);
	pthread_join(ingest->thread, NULL);
	ingest->is_running = false;
	while (queue_pop(ingest->queue, 0, &left) == 0)
		if (left != &ingest->guests)
			window_free(left);
}

struct ingest *ingest_stop(struct ingest *ingest)
{
	if (!ingest)
		return NULL;
	ingest_close(ingest);
	return ingest_free(ingest);
}

uint64_t ingest_turned_ns(const struct ingest *ingest)
{
	return ingest->turned_ns;
}

int ingest_push(struct ingest *ingest, struct window *window, int timeout_ms)
{
	return queue_push_wait(ingest->queue, window, timeout_ms);
}

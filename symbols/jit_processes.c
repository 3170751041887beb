/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/jit_processes.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "symbols/late_code.h"
#include "symbols/symbols.h"

enum state {
	STATE_FREE,
	STATE_NONE,    /* there was no file */
	STATE_WISHED,  /* nobody answered yet */
	STATE_READY,   /* a file is followed */
	STATE_REFUSED, /* it was no good; what was read of it stays */
};

struct process {
	struct process_key key;
	enum state state;
	struct jit_reader reader;
	struct late_code *late; /* or NULL */
	struct late_names told; /* of it, which symbols had no room for yet; or its count is 0 */
	struct jit_map *map;	/* not while the worker reads: is_reading */
	bool is_reading;
	bool wants_reading;
	uint64_t asked_ns; /* monotonic: when a wish went out */
	uint64_t used_ns;  /* monotonic */
};

struct jit_processes {
	pthread_t worker;
	bool has_worker;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock: */
	bool closing;
	struct symbols *symbols; /* or NULL */
	struct process items[JIT_PROCESS_COUNT_MAX];
	uint64_t refused, evicted, named_late;
};

/* ---- processes, with the lock held ---- */

static struct process *find(struct jit_processes *jit, const struct process_key *key)
{
	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++)
		if (jit->items[i].state != STATE_FREE &&
		    memcmp(&jit->items[i].key, key, sizeof(*key)) == 0)
			return &jit->items[i];
	return NULL;
}

static void forget(struct process *process)
{
	assert(!process->is_reading);
	if (process->reader.fd >= 0)
		close(process->reader.fd);
	jit_map_free(process->map);
	late_code_free(process->late);
	late_names_done(&process->told);
	*process = (struct process){ .reader = { .fd = -1 } };
}

/* The one not asked about for longest that may go; NULL when there is none. */
static struct process *oldest(struct jit_processes *jit, bool with_map)
{
	struct process *oldest = NULL;

	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++) {
		struct process *process = &jit->items[i];

		if (process->state == STATE_FREE || process->is_reading ||
		    (with_map && !process->map))
			continue;
		if (!oldest || process->used_ns < oldest->used_ns)
			oldest = process;
	}
	return oldest;
}

static struct process *get(struct jit_processes *jit, const struct process_key *key)
{
	struct process *process = find(jit, key);

	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX && !process; i++)
		if (jit->items[i].state == STATE_FREE)
			process = &jit->items[i];
	if (!process) {
		process = oldest(jit, false);
		if (!process)
			return NULL;
		jit->evicted += process->state == STATE_READY;
		forget(process);
	}
	if (process->state == STATE_FREE)
		*process = (struct process){ .key = *key,
					     .state = STATE_NONE,
					     .reader = { .fd = -1 } };
	process->used_ns = clock_monotonic_ns();
	return process;
}

static size_t range_count(const struct jit_processes *jit)
{
	size_t count = 0;

	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++)
		if (jit->items[i].map && !jit->items[i].is_reading)
			count += jit_map_count(jit->items[i].map);
	return count;
}

static void make_room(struct jit_processes *jit, const struct process *except)
{
	while (range_count(jit) > JIT_RANGE_COUNT_MAX) {
		struct process *process = oldest(jit, true);

		if (!process || process == except)
			return;
		jit->evicted++;
		forget(process);
	}
}

/* ---- the worker ---- */

static uint64_t boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * (uint64_t)CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Samples that were stored before their names came. With the lock held. */
static void name_late(struct jit_processes *jit, struct process *process)
{
	struct late_names *told = &process->told;
	int err = 0;

	while (process->late && jit->symbols && !err) {
		if (told->count == 0) {
			late_names_done(told);
			late_names_init(told);
			/* What there was no memory for has no name. */
			(void)late_code_settle(process->late, process->map, told);
			jit->named_late += told->count;
		}
		if (told->count == 0)
			break;
		err = symbols_bring_names(jit->symbols, told);
		if (!err)
			*told = (struct late_names){ 0 };
	}
}

/* With the lock held, which it lets go of while it reads. */
static void read_file(struct jit_processes *jit, struct process *process)
{
	struct jit_reader reader = process->reader;
	struct jit_map *map = process->map;

	process->is_reading = true;
	process->wants_reading = false;
	pthread_mutex_unlock(&jit->lock);

	uint64_t now_ns = boot_ns();
	int err = jit_reader_read(&reader, map, now_ns, now_ns - clock_monotonic_ns());

	pthread_mutex_lock(&jit->lock);
	process->is_reading = false;
	process->reader = reader;
	if (err == -EAGAIN) {
		process->wants_reading = true;
	} else if (err) {
		close(TAKE_FD(process->reader.fd));
		process->state = STATE_REFUSED;
		jit->refused++;
	}
	if (err != -EAGAIN)
		name_late(jit, process);
	make_room(jit, process);
	pthread_cond_broadcast(&jit->changed);
}

static bool is_awaited(const struct process *process)
{
	return process->late && (late_code_count(process->late) > 0 || process->told.count > 0);
}

static uint64_t idle_max_ns(const struct process *process)
{
	return (is_awaited(process) ? JIT_AWAIT_S : JIT_IDLE_S) * (uint64_t)CLOCK_NS_PER_S;
}

/* With the lock held. */
static void forget_idle(struct jit_processes *jit, uint64_t now_ns)
{
	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++) {
		struct process *process = &jit->items[i];

		if (process->state != STATE_FREE && !process->is_reading &&
		    now_ns - process->used_ns > idle_max_ns(process))
			forget(process);
	}
}

/* Nobody asks for a process that has ended, but it may have written what it held back. With the
 * lock held. */
static void look_for_names(struct jit_processes *jit)
{
	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++) {
		struct process *process = &jit->items[i];

		if (process->state == STATE_READY && is_awaited(process))
			process->wants_reading = true;
	}
}

static void wait_for_work(struct jit_processes *jit)
{
	uint64_t deadline_ns =
		clock_monotonic_ns() + (uint64_t)JIT_LOOK_S * (uint64_t)CLOCK_NS_PER_S;
	struct timespec deadline = { .tv_sec = (time_t)(deadline_ns / (uint64_t)CLOCK_NS_PER_S),
				     .tv_nsec = (long)(deadline_ns % (uint64_t)CLOCK_NS_PER_S) };

	if (pthread_cond_timedwait(&jit->changed, &jit->lock, &deadline) == ETIMEDOUT) {
		forget_idle(jit, clock_monotonic_ns()); /* of those that run, none may ask */
		look_for_names(jit);
	}
}

static void *work(void *argument)
{
	struct jit_processes *jit = argument;

	(void)pthread_setname_np(pthread_self(), "jit");
	pthread_mutex_lock(&jit->lock);
	while (!jit->closing) {
		struct process *next = NULL;

		for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX && !next; i++)
			if (jit->items[i].wants_reading)
				next = &jit->items[i];
		if (next)
			read_file(jit, next);
		else
			wait_for_work(jit);
	}
	pthread_mutex_unlock(&jit->lock);
	return NULL;
}

/* ---- the object ---- */

int jit_processes_new(struct jit_processes **ret)
{
	struct jit_processes *jit = calloc(1, sizeof(*jit));
	pthread_condattr_t attributes;
	sigset_t all, before;

	if (!jit)
		return -ENOMEM;
	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++)
		jit->items[i].reader.fd = -1;
	pthread_mutex_init(&jit->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&jit->changed, &attributes);
	pthread_condattr_destroy(&attributes);

	/* Signals are for the threads that wait for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = -pthread_create(&jit->worker, NULL, work, jit);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	jit->has_worker = err == 0;
	if (err) {
		jit_processes_free(jit);
		return err;
	}
	*ret = jit;
	return 0;
}

struct jit_processes *jit_processes_free(struct jit_processes *jit)
{
	if (!jit)
		return NULL;

	if (jit->has_worker) {
		pthread_mutex_lock(&jit->lock);
		jit->closing = true;
		pthread_cond_broadcast(&jit->changed);
		pthread_mutex_unlock(&jit->lock);
		pthread_join(jit->worker, NULL);
	}
	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++)
		forget(&jit->items[i]);
	pthread_cond_destroy(&jit->changed);
	pthread_mutex_destroy(&jit->lock);
	free(jit);
	return NULL;
}

void jit_processes_use_symbols(struct jit_processes *jit, struct symbols *symbols)
{
	pthread_mutex_lock(&jit->lock);
	jit->symbols = symbols;
	pthread_mutex_unlock(&jit->lock);
}

/* Its file was removed, and maybe another stands in its place. */
static bool is_gone(const struct process *process)
{
	struct stat status;

	return process->state == STATE_READY && !process->is_reading &&
	       (fstat(process->reader.fd, &status) || status.st_nlink == 0);
}

bool jit_processes_want(struct jit_processes *jit, const struct process_key *key)
{
	bool wants = false;

	pthread_mutex_lock(&jit->lock);
	struct process *process = get(jit, key);

	if (process) {
		uint64_t now_ns = clock_monotonic_ns();

		forget_idle(jit, now_ns);

		bool is_time = process->asked_ns == 0 ||
			       now_ns - process->asked_ns >=
				       (uint64_t)JIT_RETRY_S * (uint64_t)CLOCK_NS_PER_S;

		wants = is_time && (process->state == STATE_NONE ||
				    process->state == STATE_WISHED || is_gone(process));
		if (wants) {
			process->asked_ns = now_ns;
			if (process->state == STATE_NONE)
				process->state = STATE_WISHED;
		}
	}
	pthread_mutex_unlock(&jit->lock);
	return wants;
}

void jit_processes_bring(struct jit_processes *jit, const struct process_key *key,
			 enum jit_file_kind kind, int fd)
{
	autoclose int file = fd;
	bool is_file = fd >= 0 && (kind == JIT_FILE_PERF_MAP || kind == JIT_FILE_JITDUMP);

	pthread_mutex_lock(&jit->lock);
	struct process *process = get(jit, key);

	if (process && !process->is_reading && is_file &&
	    (process->map || jit_map_new(&process->map) == 0)) {
		/* What the file before said ended at the latest when it was read last. */
		if (process->reader.fd >= 0) {
			close(process->reader.fd);
			jit_map_end(process->map, process->reader.read_ns);
		}
		process->reader = (struct jit_reader){ .fd = TAKE_FD(file), .kind = kind };
		process->state = STATE_READY;
		process->wants_reading = true;
	} else if (process && process->state == STATE_WISHED) {
		process->state = STATE_NONE;
	}
	pthread_cond_broadcast(&jit->changed);
	pthread_mutex_unlock(&jit->lock);
}

/* With the lock held. */
static bool is_waited_for(struct jit_processes *jit, const struct process_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct process *process = find(jit, &keys[i]);

		if (process && (process->state == STATE_WISHED || process->is_reading ||
				process->wants_reading))
			return true;
	}
	return false;
}

void jit_processes_refresh(struct jit_processes *jit, const struct process_key *keys, size_t count,
			   int timeout_ms)
{
	uint64_t deadline_ns =
		clock_monotonic_ns() + (uint64_t)timeout_ms * (uint64_t)CLOCK_NS_PER_MS;
	struct timespec deadline = { .tv_sec = (time_t)(deadline_ns / (uint64_t)CLOCK_NS_PER_S),
				     .tv_nsec = (long)(deadline_ns % (uint64_t)CLOCK_NS_PER_S) };
	int err = 0;

	assert(timeout_ms >= 0);
	pthread_mutex_lock(&jit->lock);
	for (size_t i = 0; i < count; i++) {
		struct process *process = get(jit, &keys[i]);

		if (process && process->state == STATE_READY)
			process->wants_reading = true;
	}
	pthread_cond_broadcast(&jit->changed);
	while (!err && is_waited_for(jit, keys, count))
		err = pthread_cond_timedwait(&jit->changed, &jit->lock, &deadline);
	/* Who did not answer in time is not waited for again, but asked. */
	for (size_t i = 0; i < count; i++) {
		struct process *process = find(jit, &keys[i]);

		if (process && process->state == STATE_WISHED)
			process->state = STATE_NONE;
	}
	pthread_mutex_unlock(&jit->lock);
}

void jit_processes_forget_wishes(struct jit_processes *jit)
{
	pthread_mutex_lock(&jit->lock);
	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++)
		if (jit->items[i].state == STATE_WISHED)
			jit->items[i].state = STATE_NONE;
	pthread_cond_broadcast(&jit->changed);
	pthread_mutex_unlock(&jit->lock);
}

bool jit_processes_find(struct jit_processes *jit, const struct process_key *key, uint64_t address,
			uint64_t at_ns, char text[static JIT_NAME_SIZE_MAX], size_t *ret_size)
{
	struct str name = { NULL, 0 };
	bool found = false;

	pthread_mutex_lock(&jit->lock);
	struct process *process = find(jit, key);

	if (process && process->map && !process->is_reading)
		found = jit_map_find(process->map, address, at_ns, &name);
	if (found) {
		assert(name.size <= JIT_NAME_SIZE_MAX);
		memcpy(text, name.text, name.size);
		*ret_size = name.size;
	}
	pthread_mutex_unlock(&jit->lock);
	return found;
}

static int begin_awaiting(struct process *process, uint64_t collector)
{
	uint8_t owner[LATE_CODE_OWNER_SIZE];

	static_assert(sizeof(owner) == sizeof(process->key) + sizeof(collector), "all of both");
	memcpy(owner, &process->key, sizeof(process->key));
	memcpy(owner + sizeof(process->key), &collector, sizeof(collector));
	return late_code_new(owner, &process->late);
}

/* With the lock held. */
static bool has_jitdump(const struct process *process)
{
	return process && process->state == STATE_READY && process->reader.kind == JIT_FILE_JITDUMP;
}

bool jit_processes_await(struct jit_processes *jit, const struct process_key *key,
			 uint64_t collector, uint64_t address, uint64_t at_ns,
			 struct identity *ret_identity, uint64_t *ret_place)
{
	int err = -ENOENT;

	pthread_mutex_lock(&jit->lock);
	struct process *process = find(jit, key);

	if (jit->symbols && has_jitdump(process))
		err = process->late ? 0 : begin_awaiting(process, collector);
	if (!err)
		err = late_code_await(process->late, address, at_ns, ret_identity, ret_place);
	pthread_mutex_unlock(&jit->lock);
	return err == 0;
}

bool jit_processes_has_jitdump(struct jit_processes *jit, const struct process_key *key)
{
	pthread_mutex_lock(&jit->lock);
	bool has = jit->symbols && has_jitdump(find(jit, key));
	pthread_mutex_unlock(&jit->lock);
	return has;
}

bool jit_processes_change(struct jit_processes *jit, const struct process_key *key,
			  uint64_t from_ns, uint64_t to_ns)
{
	pthread_mutex_lock(&jit->lock);
	struct process *process = find(jit, key);
	bool changes = process && process->map && !process->is_reading &&
		       process->reader.kind == JIT_FILE_JITDUMP &&
		       jit_map_changes(process->map, from_ns, to_ns);

	pthread_mutex_unlock(&jit->lock);
	return changes;
}

void jit_processes_stats(struct jit_processes *jit, struct jit_processes_stats *ret)
{
	pthread_mutex_lock(&jit->lock);
	*ret = (struct jit_processes_stats){ .ranges = range_count(jit),
					     .refused = jit->refused,
					     .evicted = jit->evicted,
					     .late = jit->named_late };
	for (size_t i = 0; i < JIT_PROCESS_COUNT_MAX; i++) {
		const struct process *process = &jit->items[i];

		ret->processes += process->state == STATE_READY;
		ret->awaited += process->late ? late_code_count(process->late) : 0;
	}
	pthread_mutex_unlock(&jit->lock);
}

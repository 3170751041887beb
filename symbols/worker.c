/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "symbols/debug_folder.h"
#include "symbols/file_hash.h"
#include "symbols/symbols_private.h"

/* The one thread that makes symbol files: of what was brought, what appeared, what was asked for.
 */

/* ---- the kernel, while it is in use ---- */

struct kernel *kernel_release(struct kernel *kernel)
{
	if (!kernel || --kernel->reference_count > 0)
		return NULL;
	kernel_symbols_free(kernel->symbols);
	free(kernel->names);
	free(kernel);
	return NULL;
}

enum {
	/* Behind who has work to do, but not by much: at 19 it gets a thousandth of a core on a
	 * host with twenty tasks a CPU, and that is when somebody wants to know names. */
	WORKER_NICE = 5,
};

void job_done(struct job *job)
{
	kernel_release(job->kernel);
	free(job->offsets);
	if (job->names)
		late_names_done(job->names);
	free(job->names);
	if (job->fd >= 0)
		close(job->fd);
	*job = (struct job){ .fd = -1 };
}

/* ---- files that were brought ---- */

/* What another try would not change: the file itself is to blame. */
static bool is_final(int err)
{
	return err == -ENOEXEC || err == -ENOTSUP || err == -EFBIG || err == -EBADMSG ||
	       err == -ENODATA || err == -ESTALE || err == -ECANCELED || err == -ETIME ||
	       err == -EPROTO;
}

/* Whether the file itself has lines or leads to them, which may be asked for later. */
static bool has_lines(struct symbols *symbols, const struct identity *identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;

	return symbol_folder_read(symbols->folder, identity, &file) == 0 &&
	       symbol_file_header(file)->sources &
		       (SYMBOL_FILE_LINES_IN_ELF | SYMBOL_FILE_BY_DEBUG_LINK);
}

/* The debug file of this identity that was brought, or -1. */
static int get_debug(struct symbols *symbols, const struct identity *identity)
{
	int fd = -1;

	pthread_mutex_lock(&symbols->lock);
	(void)file_keep_get(&symbols->debug, identity, &fd); /* or none */
	pthread_mutex_unlock(&symbols->lock);
	return fd;
}

/*
 * By its hash other profilers may name it (IDENTITY_NONE: it can't be had). Here and not in the
 * cell, since nothing in the file is understood for it.
 */
static struct identity alias_hash(struct symbols *symbols, int fd, const struct identity *identity)
{
	struct identity hash = { 0 };

	if (file_hash_of(fd, &hash) || symbol_folder_alias(symbols->folder, &hash, identity))
		return (struct identity){ 0 };
	return hash;
}

static void do_file(struct symbols *symbols, struct job *job)
{
	struct identity identity, go = { 0 }, hash = { 0 };
	autoclose int debug = get_debug(symbols, &job->identity);

	symbol_maker_lend_debug(symbols->maker, debug);

	int err = symbol_maker_elf(symbols->maker, job->fd, &job->identity, &identity, &go);
	bool keep = !err && has_lines(symbols, &identity);

	symbol_maker_lend_debug(symbols->maker, -1);
	if (!err)
		hash = alias_hash(symbols, job->fd, &identity);

	pthread_mutex_lock(&symbols->lock);
	if (err) {
		states_set(&symbols->states, &job->identity,
			   is_final(err) ? STATE_FAILED : STATE_WISHED);
	} else {
		states_set(&symbols->states, &job->identity, STATE_PRESENT);
		states_set(&symbols->states, &identity, STATE_PRESENT);
		if (go.kind != IDENTITY_NONE)
			states_set(&symbols->states, &go, STATE_PRESENT);
		if (hash.kind != IDENTITY_NONE)
			states_set(&symbols->states, &hash, STATE_PRESENT);
		/* This one may have been made without it. */
		states_forget_debug(&symbols->states, &identity);
	}
	symbols->generation++;
	states_set_error(&symbols->states, &job->identity, err);
	if (keep)
		file_keep_add(&symbols->keep, &identity, TAKE_FD(job->fd));
	pthread_mutex_unlock(&symbols->lock);
}

static bool is_closing(struct symbols *symbols)
{
	pthread_mutex_lock(&symbols->lock);
	bool closing = symbols->closing;
	pthread_mutex_unlock(&symbols->lock);
	return closing;
}

static void do_kernel(struct symbols *symbols, struct job *job)
{
	struct kernel_symbols *kernel = job->kernel->symbols;
	size_t count = kernel_symbols_part_count(kernel);

	for (size_t i = 0; i < count && !is_closing(symbols); i++) {
		const struct identity *identity = &kernel_symbols_part(kernel, i)->identity;
		int err = symbol_folder_has(symbols->folder, identity)
				  ? 0
				  : symbol_maker_kernel_part(symbols->maker, kernel, i);

		/* The next kernel that is brought tries again. */
		pthread_mutex_lock(&symbols->lock);
		states_set(&symbols->states, identity, err ? STATE_FAILED : STATE_PRESENT);
		symbols->generation++;
		pthread_mutex_unlock(&symbols->lock);
	}
	kernel_symbols_forget_names(kernel);

	pthread_mutex_lock(&symbols->lock);
	kernel_release(TAKE(job->kernel));
	pthread_mutex_unlock(&symbols->lock);
}

/* ---- modules that changed ---- */

void module_free(struct symbol_module *module)
{
	symbol_file_close(module->file);
	free(module->wishes);
	free(module);
}

/* Who holds the old one goes on with it; who acquires now opens the new file. With the lock held.
 */
static void replace_module(struct symbols *symbols, struct state *state)
{
	struct symbol_module *module = state->module;

	symbols->generation++;
	if (!module)
		return;
	TAILQ_REMOVE(&symbols->modules, module, link);
	symbols->module_count--;
	state->module = NULL;
	module->is_replaced = true;
	if (module->reference_count == 0)
		module_free(module);
}

/* ---- lines that were asked for ---- */

/* Out of the file itself where it is at hand, else out of the debug file. */
static void do_lines(struct symbols *symbols, const struct job *job)
{
	autoclose int fd = -1;
	autoclose int debug = get_debug(symbols, &job->identity);

	pthread_mutex_lock(&symbols->lock);
	(void)file_keep_get(&symbols->keep, &job->identity, &fd); /* or none */
	pthread_mutex_unlock(&symbols->lock);

	symbol_maker_lend_debug(symbols->maker, debug);

	int err = symbol_maker_lines(symbols->maker, &job->identity, fd, job->offsets,
				     job->offset_count);

	symbol_maker_lend_debug(symbols->maker, -1);

	pthread_mutex_lock(&symbols->lock);
	uint32_t number = states_find(&symbols->states, &job->identity);

	if (number != TABLE_NONE) {
		struct state *state = &symbols->states.items[number];

		state->lines = LINES_IDLE;
		if (err == -ENOENT) {
			state->lines = LINES_AWAITED;
			state->debug = DEBUG_UNKNOWN;
			state->debug_due_ns = 0;
		} else if (is_final(err)) {
			state->lines = LINES_FAILED;
		}
		state->lines_error = state->lines == LINES_FAILED ? err : 0;
		if (!err)
			replace_module(symbols, state);
	}
	if (err) {
		file_keep_drop(&symbols->keep, &job->identity);
		file_keep_drop(&symbols->debug, &job->identity);
	}
	pthread_mutex_unlock(&symbols->lock);
}

/* ---- names that come late ---- */

static void do_names(struct symbols *symbols, const struct job *job)
{
	int err = symbol_maker_names(symbols->maker, job->names);

	pthread_mutex_lock(&symbols->lock);
	if (!err) {
		states_set(&symbols->states, &job->identity, STATE_PRESENT);

		uint32_t number = states_find(&symbols->states, &job->identity);

		if (number != TABLE_NONE)
			replace_module(symbols, &symbols->states.items[number]);
	}
	pthread_mutex_unlock(&symbols->lock);
}

/* ---- what lines were read without ---- */

/* DWARF of the module, so that its lines can be read once more: else it is better to keep those. */
static bool has_dwarf(struct symbols *symbols, const struct identity *identity)
{
	autoclose int file = -1;
	autoclose int brought = get_debug(symbols, identity);
	autoclose int installed = -1;

	pthread_mutex_lock(&symbols->lock);
	(void)file_keep_get(&symbols->keep, identity, &file); /* or none */
	pthread_mutex_unlock(&symbols->lock);
	return file >= 0 || brought >= 0 ||
	       debug_folder_open(symbols->debug_folders, identity, &installed) == 0;
}

/* Who asks for them next has them read with what is there now. */
static void read_lines_anew(struct symbols *symbols, const struct identity *identity)
{
	int err = symbol_maker_forget_lines(symbols->maker, identity);

	pthread_mutex_lock(&symbols->lock);
	uint32_t number = states_find(&symbols->states, identity);

	if (number != TABLE_NONE && !err) {
		struct state *state = &symbols->states.items[number];

		state->lacks_file = false;
		if (state->lines != LINES_ASKED)
			state->lines = LINES_IDLE;
		replace_module(symbols, state);
	}
	pthread_mutex_unlock(&symbols->lock);
}

static bool is_there(struct symbols *symbols, const struct identity *identity,
		     const struct symbol_wish *missing)
{
	autoclose int file = -1;
	autoclose int found = -1;
	struct str name = str_from(missing->name);
	int err = -ENOENT;

	if (missing->kind == SYMBOL_WISH_SHARED_FILE)
		return debug_folder_open_shared(symbols->debug_folders, &missing->identity, name,
						&found) == 0;
	pthread_mutex_lock(&symbols->lock);
	(void)file_keep_get(&symbols->keep, identity, &file); /* or none */
	pthread_mutex_unlock(&symbols->lock);
	for (uint32_t place = 0; err == -ENOENT; place++)
		err = debug_folder_open_split(symbols->debug_folders, file, name, place, &found);
	return err == 0;
}

static void try_missing_file(struct symbols *symbols, const struct identity *identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;

	if (symbol_folder_read(symbols->folder, identity, &file))
		return;

	const struct symbol_wish *missing = symbol_file_missing(file);

	if (missing && is_there(symbols, identity, missing) && has_dwarf(symbols, identity))
		read_lines_anew(symbols, identity);
}

/* A file shared by dwz was brought out of a container. */
static void do_shared(struct symbols *symbols, struct job *job)
{
	bool can_read = has_dwarf(symbols, &job->identity);

	pthread_mutex_lock(&symbols->lock);
	file_keep_add(&symbols->debug, &job->wanted, TAKE_FD(job->fd));
	pthread_mutex_unlock(&symbols->lock);
	if (can_read)
		read_lines_anew(symbols, &job->identity);
}

/* ---- debug files that were installed later ---- */

/* When the debug file of this identity was last written; 0 when there is none. */
static int64_t debug_mtime_ns(const struct symbols *symbols, const struct identity *identity)
{
	struct stat status;
	autoclose int fd = -1;

	if (debug_folder_open(symbols->debug_folders, identity, &fd) || fstat(fd, &status))
		return 0;
	return status.st_mtim.tv_sec * (int64_t)CLOCK_NS_PER_S + status.st_mtim.tv_nsec;
}

/* A debug file that was not tried yet, or was written anew since, perhaps because it was not whole.
 */
static void try_debug_file(struct symbols *symbols, const struct state *before)
{
	const struct identity *identity = &before->identity;
	int64_t mtime_ns = debug_mtime_ns(symbols, identity);

	if (mtime_ns == 0 || mtime_ns == before->debug_mtime_ns)
		return;

	int err = before->state == STATE_PRESENT ? symbol_maker_debug(symbols->maker, identity) : 0;

	pthread_mutex_lock(&symbols->lock);
	uint32_t number = states_find(&symbols->states, identity);

	if (number != TABLE_NONE) {
		struct state *state = &symbols->states.items[number];

		state->debug_mtime_ns = mtime_ns;
		state->debug_error = is_final(err) ? err : 0;
		/* Without names of its own: with those of the debug file it is worth a wish. */
		if (state->state == STATE_FAILED)
			state->state = STATE_ABSENT;
		else if (!err)
			replace_module(symbols, state);
		if (!err && state->lines != LINES_ASKED)
			state->lines = LINES_IDLE;
	}
	pthread_mutex_unlock(&symbols->lock);
}

/* ---- debug files that were brought ---- */

static void do_debug(struct symbols *symbols, struct job *job)
{
	symbol_maker_lend_debug(symbols->maker, job->fd);

	int err = symbol_maker_debug(symbols->maker, &job->identity);

	symbol_maker_lend_debug(symbols->maker, -1);

	/* Its names may be there already, and the file be wanted for its lines. */
	bool is_of_use = !err || err == -EALREADY;

	pthread_mutex_lock(&symbols->lock);
	uint32_t number = states_find(&symbols->states, &job->identity);

	if (number != TABLE_NONE)
		symbols->states.items[number].debug_error = is_final(err) ? err : 0;
	if (number != TABLE_NONE && is_of_use) {
		struct state *state = &symbols->states.items[number];

		file_keep_add(&symbols->debug, &job->identity, TAKE_FD(job->fd));
		if (!err)
			replace_module(symbols, state);
		state->debug = DEBUG_PRESENT;
		if (state->lines != LINES_ASKED)
			state->lines = LINES_IDLE;
	}
	pthread_mutex_unlock(&symbols->lock);
}

static void do_search(struct symbols *symbols)
{
	struct state state;

	for (uint32_t i = 0;; i++) {
		pthread_mutex_lock(&symbols->lock);
		bool is_over = i >= symbols->states.by_identity.count || symbols->closing ||
			       symbols->job_count > 0;
		if (!is_over)
			state = symbols->states.items[i];
		pthread_mutex_unlock(&symbols->lock);

		if (is_over)
			break;
		if (state.identity.kind == IDENTITY_GNU_BUILD_ID &&
		    (state.state == STATE_PRESENT || state.state == STATE_FAILED))
			try_debug_file(symbols, &state);
		if (state.state == STATE_PRESENT && state.lacks_file)
			try_missing_file(symbols, &state.identity);
	}
}

/* ---- the worker's loop ---- */

static struct job pop_job(struct symbols *symbols)
{
	struct job job = symbols->jobs[symbols->job_first];

	assert(symbols->job_count > 0);
	symbols->job_first = (symbols->job_first + 1) % SYMBOLS_WAITING_COUNT_MAX;
	symbols->job_count--;
	return job;
}

/* Until there is a job or it is time for a search: true; false when it is over. With the lock held.
 */
static bool wait_for_work(struct symbols *symbols)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += SYMBOLS_DEBUG_SEARCH_S;
	while (!symbols->closing && symbols->job_count == 0 && !symbols->search_debug)
		if (pthread_cond_timedwait(&symbols->changed, &symbols->lock, &deadline) ==
		    ETIMEDOUT)
			symbols->search_debug = true;
	return !symbols->closing;
}

static void *work(void *argument)
{
	struct symbols *symbols = argument;
	const struct sched_param no_priority = { .sched_priority = 0 };
	uint64_t evicted = 0;

	pthread_setname_np(pthread_self(), "symbols");
	/* Both are courtesies to the host that may be refused. */
	(void)sched_setscheduler(0, SCHED_BATCH, &no_priority);
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), WORKER_NICE);

	pthread_mutex_lock(&symbols->lock);
	while (wait_for_work(symbols)) {
		bool has_job = symbols->job_count > 0;
		struct job job = { .fd = -1 };

		if (has_job)
			job = pop_job(symbols);
		else
			symbols->search_debug = false;
		symbols->reading = true;
		pthread_mutex_unlock(&symbols->lock);

		if (!has_job)
			do_search(symbols);
		else if (job.kernel)
			do_kernel(symbols, &job);
		else if (job.offsets)
			do_lines(symbols, &job);
		else if (job.names)
			do_names(symbols, &job);
		else if (job.is_shared)
			do_shared(symbols, &job);
		else if (job.is_debug)
			do_debug(symbols, &job);
		else
			do_file(symbols, &job);
		job_done(&job);

		uint64_t evicted_now = symbol_folder_stats(symbols->folder).evicted;

		pthread_mutex_lock(&symbols->lock);
		if (evicted_now != evicted)
			states_doubt(&symbols->states);
		evicted = evicted_now;
		symbols->made = symbol_maker_stats(symbols->maker);
		symbols->reading = false;
		pthread_cond_broadcast(&symbols->changed);
	}
	pthread_mutex_unlock(&symbols->lock);
	return NULL;
}

static int find_brought(void *context, const struct identity *identity, int *ret_fd)
{
	int fd = get_debug(context, identity);

	if (fd < 0)
		return -ENOENT;
	*ret_fd = fd;
	return 0;
}

int symbols_start_worker(struct symbols *symbols)
{
	sigset_t all;
	sigset_t before;

	symbol_maker_find_in(symbols->maker, find_brought, symbols);
	/* Signals are for the threads that wait for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&symbols->worker, NULL, work, symbols);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	symbols->has_worker = err == 0;
	return -err;
}

void symbols_push_job(struct symbols *symbols, const struct job *job)
{
	assert(symbols->job_count < SYMBOLS_WAITING_COUNT_MAX);
	symbols->jobs[(symbols->job_first + symbols->job_count++) % SYMBOLS_WAITING_COUNT_MAX] =
		*job;
	pthread_cond_broadcast(&symbols->changed);
}

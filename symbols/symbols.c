/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbols.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "symbols/debug_folder.h"
#include "symbols/kernel_symbols.h"
#include "symbols/name_cache.h"
#include "symbols/states.h"
#include "symbols/symbol_folder.h"
#include "symbols/symbol_maker.h"
#include "symbols/unwind_tables.h"

enum {
	/* Mapped symbol files that nobody holds, for the next question. */
	OPEN_MODULE_COUNT_MAX = 256,
	/* Names of kernel modules that were ever there; beyond it a module has no name. */
	MODULE_NAME_COUNT_MAX = 4096,
	/* Weakest of the ordinary. Not SCHED_IDLE, since the worker takes a lock others wait for.
	 */
	WORKER_NICE = 19,
};

#define FOLDER_SIZE_MAX (UINT64_C(256) << 20)

struct symbol_module {
	TAILQ_ENTRY(symbol_module) link;
	struct identity identity;
	struct symbol_file *file;
	unsigned reference_count;
	bool is_replaced; /* not in the list, nor found by its identity, any more */
};

TAILQ_HEAD(module_list, symbol_module);

/* The kernel as it was brought, with names that outlive it. */
struct kernel {
	struct kernel_symbols *symbols;
	struct str *names; /* of its parts */
	unsigned reference_count;
};

struct job {
	struct identity identity;
	int fd;
	struct kernel *kernel; /* or NULL: a file */
};

struct symbols {
	struct unwind_tables *unwind_tables; /* or NULL */
	struct symbol_folder *folder;
	struct symbol_maker *maker; /* the worker's */
	char *debug_folders;
	struct name_cache *names;
	pthread_t worker;
	bool has_worker;
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* guarded by lock: */
	bool closing;
	bool reading;
	bool search_debug;
	struct symbol_maker_stats made;
	struct job jobs[SYMBOLS_WAITING_COUNT_MAX];
	size_t job_first;
	size_t job_count;
	struct states states;
	struct module_list modules; /* open, the latest used first */
	size_t module_count;
	struct kernel *kernel;
	char **module_names;
	size_t module_name_count;
};

static bool can_be_brought(const struct identity *identity)
{
	return identity->size > 0 && identity->size <= IDENTITY_SIZE_MAX &&
	       (identity->kind == IDENTITY_GNU_BUILD_ID || identity->kind == IDENTITY_GO_BUILD_ID ||
		identity->kind == IDENTITY_INODE);
}

static bool can_be_asked(const struct identity *identity)
{
	return identity->kind != IDENTITY_NONE && identity->size > 0 &&
	       identity->size <= IDENTITY_SIZE_MAX;
}

/* ---- the kernel, while it is in use ---- */

static struct kernel *kernel_release(struct kernel *kernel)
{
	if (!kernel || --kernel->reference_count > 0)
		return NULL;
	kernel_symbols_free(kernel->symbols);
	free(kernel->names);
	free(kernel);
	return NULL;
}

/* ---- the worker ---- */

/* What another try would not change: the file itself is to blame. */
static bool is_final(int err)
{
	return err == -ENOEXEC || err == -ENOTSUP || err == -EFBIG || err == -EBADMSG ||
	       err == -ENODATA || err == -ESTALE || err == -ECANCELED || err == -ETIME ||
	       err == -EPROTO;
}

static void do_file(struct symbols *symbols, const struct job *job)
{
	struct identity identity;
	int err = symbol_maker_elf(symbols->maker, job->fd, &job->identity, &identity);

	close(job->fd);
	pthread_mutex_lock(&symbols->lock);
	if (err) {
		states_set(&symbols->states, &job->identity,
			   is_final(err) ? STATE_FAILED : STATE_WISHED);
	} else {
		states_set(&symbols->states, &job->identity, STATE_PRESENT);
		states_set(&symbols->states, &identity, STATE_PRESENT);
	}
	pthread_mutex_unlock(&symbols->lock);
}

static bool is_closing(struct symbols *symbols)
{
	pthread_mutex_lock(&symbols->lock);
	bool closing = symbols->closing;
	pthread_mutex_unlock(&symbols->lock);
	return closing;
}

static void do_kernel(struct symbols *symbols, const struct job *job)
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
		pthread_mutex_unlock(&symbols->lock);
	}
	kernel_symbols_forget_names(kernel);

	pthread_mutex_lock(&symbols->lock);
	kernel_release(job->kernel);
	pthread_mutex_unlock(&symbols->lock);
}

/* ---- debug files that were installed later ---- */

static void module_free(struct symbol_module *module)
{
	symbol_file_close(module->file);
	free(module);
}

/* Who holds the old one goes on with it; who acquires now opens the new file. With the lock held.
 */
static void replace_module(struct symbols *symbols, struct state *state)
{
	struct symbol_module *module = state->module;

	if (!module)
		return;
	TAILQ_REMOVE(&symbols->modules, module, link);
	symbols->module_count--;
	state->module = NULL;
	module->is_replaced = true;
	if (module->reference_count == 0)
		module_free(module);
}

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
		/* Without names of its own: with those of the debug file it is worth a wish. */
		if (state->state == STATE_FAILED)
			state->state = STATE_ABSENT;
		else if (!err)
			replace_module(symbols, state);
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
		else
			do_file(symbols, &job);

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

static int start_worker(struct symbols *symbols)
{
	sigset_t all;
	sigset_t before;

	/* Signals are for the threads that wait for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&symbols->worker, NULL, work, symbols);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	symbols->has_worker = err == 0;
	return -err;
}

/* With the lock held, and room. */
static void push_job(struct symbols *symbols, const struct job *job)
{
	assert(symbols->job_count < SYMBOLS_WAITING_COUNT_MAX);
	symbols->jobs[(symbols->job_first + symbols->job_count++) % SYMBOLS_WAITING_COUNT_MAX] =
		*job;
	pthread_cond_broadcast(&symbols->changed);
}

/* ---- the object ---- */

int symbols_open(const char *folder, const char *debug_folders, struct symbols **ret)
{
	autoclean(symbols) struct symbols *symbols = calloc(1, sizeof(*symbols));
	pthread_condattr_t attributes;

	if (!symbols)
		return -ENOMEM;
	symbols->debug_folders = strdup(debug_folders);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&symbols->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&symbols->lock, NULL);
	TAILQ_INIT(&symbols->modules);
	states_init(&symbols->states);

	int err = symbols->debug_folders ? 0 : -ENOMEM;
	if (!err)
		err = symbol_folder_open(folder, FOLDER_SIZE_MAX, &symbols->folder);
	if (!err)
		err = symbol_maker_new(symbols->folder, symbols->debug_folders, &symbols->maker);
	if (!err)
		err = name_cache_new(&symbols->names);
	if (!err)
		err = start_worker(symbols);
	if (err)
		return err;

	*ret = TAKE(symbols);
	return 0;
}

static void module_close(struct symbols *symbols, struct symbol_module *module)
{
	uint32_t number = states_find(&symbols->states, &module->identity);

	assert(module->reference_count == 0);
	/* It has one: states of open modules are not forgotten. */
	assert(number != TABLE_NONE && symbols->states.items[number].module == module);
	symbols->states.items[number].module = NULL;
	if (symbols->states.items[number].state == STATE_PRESENT)
		symbols->states.items[number].state = STATE_UNKNOWN;
	TAILQ_REMOVE(&symbols->modules, module, link);
	symbols->module_count--;
	module_free(module);
}

struct symbols *symbols_close(struct symbols *symbols)
{
	if (!symbols)
		return NULL;

	if (symbols->has_worker) {
		pthread_mutex_lock(&symbols->lock);
		symbols->closing = true;
		pthread_cond_broadcast(&symbols->changed);
		pthread_mutex_unlock(&symbols->lock);
		pthread_join(symbols->worker, NULL);
	}
	for (; symbols->job_count > 0; symbols->job_count--) {
		const struct job *job = &symbols->jobs[symbols->job_first];

		if (job->kernel)
			kernel_release(job->kernel);
		else
			close(job->fd);
		symbols->job_first = (symbols->job_first + 1) % SYMBOLS_WAITING_COUNT_MAX;
	}
	while (!TAILQ_EMPTY(&symbols->modules))
		module_close(symbols, TAILQ_FIRST(&symbols->modules));
	kernel_release(symbols->kernel);
	for (size_t i = 0; i < symbols->module_name_count; i++)
		free(symbols->module_names[i]);
	free(symbols->module_names);
	states_done(&symbols->states);
	symbol_maker_free(symbols->maker);
	symbol_folder_close(symbols->folder);
	name_cache_free(symbols->names);
	free(symbols->debug_folders);
	pthread_cond_destroy(&symbols->changed);
	pthread_mutex_destroy(&symbols->lock);
	free(symbols);
	return NULL;
}

void symbols_use_unwind_tables(struct symbols *symbols, struct unwind_tables *tables)
{
	symbols->unwind_tables = tables;
}

bool symbols_function_start(struct symbols *symbols, const struct identity *identity,
			    uint64_t offset, uint64_t *ret_start)
{
	return symbols->unwind_tables &&
	       unwind_tables_function_start(symbols->unwind_tables, identity, offset, ret_start);
}

bool symbols_wants(struct symbols *symbols, const struct identity *identity)
{
	bool wants = false;

	if (!can_be_brought(identity))
		return false;

	pthread_mutex_lock(&symbols->lock);
	struct state *state = states_get(&symbols->states, identity);

	if (state) {
		uint64_t now_ns = clock_monotonic_ns();

		state_settle(state, symbols->folder);
		wants = state->state == STATE_ABSENT ||
			(state->state == STATE_WISHED &&
			 now_ns - state->wished_at_ns >=
				 (uint64_t)SYMBOLS_RETRY_S * (uint64_t)CLOCK_NS_PER_S);
		if (wants) {
			state->state = STATE_WISHED;
			state->wished_at_ns = now_ns;
		}
	}
	pthread_mutex_unlock(&symbols->lock);
	return wants;
}

int symbols_bring_file(struct symbols *symbols, const struct identity *identity, int fd)
{
	autoclose int file = fd;
	int err = 0;

	assert(fd >= 0);
	if (!can_be_brought(identity))
		return -EINVAL;

	pthread_mutex_lock(&symbols->lock);
	struct state *state = states_get(&symbols->states, identity);

	if (state)
		state_settle(state, symbols->folder);
	if (!state) {
		err = -ENOMEM;
	} else if (state->state == STATE_ABSENT || state->state == STATE_WISHED) {
		if (symbols->job_count == SYMBOLS_WAITING_COUNT_MAX) {
			state->state = STATE_ABSENT;
			err = -EAGAIN;
		} else {
			state->state = STATE_WAITING;
			push_job(symbols,
				 &(struct job){ .identity = *identity, .fd = TAKE_FD(file) });
		}
	}
	pthread_mutex_unlock(&symbols->lock);
	return err;
}

/* A name that lives as long as symbols; with the lock held. "" when there are too many. */
static struct str keep_module_name(struct symbols *symbols, struct str name)
{
	if (name.size == 0)
		return STR("");
	for (size_t i = 0; i < symbols->module_name_count; i++)
		if (str_equal(str_from(symbols->module_names[i]), name))
			return str_from(symbols->module_names[i]);
	if (symbols->module_name_count == MODULE_NAME_COUNT_MAX)
		return STR("");
	if (!symbols->module_names)
		symbols->module_names = calloc(MODULE_NAME_COUNT_MAX, sizeof(char *));

	char *kept = symbols->module_names ? strndup(name.text, name.size) : NULL;

	if (!kept)
		return STR("");
	symbols->module_names[symbols->module_name_count++] = kept;
	return str_from(kept);
}

/* Puts it in place of the one before. With the lock held. */
static void install_kernel(struct symbols *symbols, struct kernel *kernel)
{
	assert(kernel);

	size_t count = kernel_symbols_part_count(kernel->symbols);

	for (size_t i = 0; i < count; i++) {
		const struct kernel_part *part = kernel_symbols_part(kernel->symbols, i);
		struct state *state = states_get(&symbols->states, &part->identity);

		kernel->names[i] = keep_module_name(symbols, part->name);
		if (state && state->state == STATE_FAILED)
			state->state = STATE_UNKNOWN;
		if (!state)
			continue;
		state_settle(state, symbols->folder);
		if (state->state != STATE_PRESENT)
			state->state = STATE_WAITING;
	}
	kernel_release(symbols->kernel);
	symbols->kernel = kernel;
	kernel->reference_count = 2;
	push_job(symbols, &(struct job){ .fd = -1, .kernel = kernel });
}

static int read_kernel(int kallsyms_fd, int notes_fd, struct kernel **ret)
{
	autofree struct kernel *kernel = calloc(1, sizeof(*kernel));
	struct utsname host;
	struct kernel_symbols_sources sources = {
		.kallsyms_fd = kallsyms_fd,
		.notes_fd = notes_fd,
		.release = host.release,
		.modules_folder = "/sys/module",
	};

	if (!kernel)
		return -ENOMEM;
	if (uname(&host))
		return -errno;

	int err = kernel_symbols_read(&sources, &kernel->symbols);
	if (err)
		return err;
	kernel->names =
		calloc(kernel_symbols_part_count(kernel->symbols), sizeof(kernel->names[0]));
	if (!kernel->names) {
		kernel_symbols_free(kernel->symbols);
		return -ENOMEM;
	}
	*ret = TAKE(kernel);
	return 0;
}

int symbols_bring_kernel(struct symbols *symbols, int kallsyms_fd, int notes_fd)
{
	autoclose int kallsyms = kallsyms_fd;
	autoclose int notes = notes_fd;
	struct kernel *kernel = NULL;
	int err = read_kernel(kallsyms, notes, &kernel);

	if (err)
		return err;
	assert(kernel);

	pthread_mutex_lock(&symbols->lock);
	if (symbols->job_count < SYMBOLS_WAITING_COUNT_MAX) {
		install_kernel(symbols, kernel);
	} else {
		kernel->reference_count = 1;
		kernel_release(kernel);
		err = -EAGAIN;
	}
	pthread_mutex_unlock(&symbols->lock);
	return err;
}

int symbols_kernel_location(struct symbols *symbols, uint64_t address, struct kernel_location *ret)
{
	int err = -ENOENT;

	pthread_mutex_lock(&symbols->lock);
	const struct kernel *kernel = symbols->kernel;
	size_t number = kernel ? kernel_symbols_find(kernel->symbols, address) : SIZE_MAX;

	if (number != SIZE_MAX) {
		const struct kernel_part *part = kernel_symbols_part(kernel->symbols, number);

		*ret = (struct kernel_location){
			.identity = part->identity,
			.offset = address - part->start,
			.module = kernel->names[number],
		};
		err = 0;
	}
	pthread_mutex_unlock(&symbols->lock);
	return err;
}

void symbols_search_debug(struct symbols *symbols)
{
	pthread_mutex_lock(&symbols->lock);
	symbols->search_debug = true;
	pthread_cond_broadcast(&symbols->changed);
	pthread_mutex_unlock(&symbols->lock);
}

/* With the lock held. */
static bool is_at_work(const struct symbols *symbols)
{
	return symbols->job_count > 0 || symbols->reading || symbols->search_debug;
}

int symbols_settle(struct symbols *symbols, int timeout_ms)
{
	uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * CLOCK_NS_PER_MS;
	struct timespec deadline = { .tv_sec = (time_t)(deadline_ns / (uint64_t)CLOCK_NS_PER_S),
				     .tv_nsec = (long)(deadline_ns % (uint64_t)CLOCK_NS_PER_S) };
	int err = 0;

	assert(timeout_ms >= 0);
	pthread_mutex_lock(&symbols->lock);
	while (is_at_work(symbols) && !err)
		err = pthread_cond_timedwait(&symbols->changed, &symbols->lock, &deadline);
	if (!is_at_work(symbols))
		err = 0;
	pthread_mutex_unlock(&symbols->lock);
	return -err;
}

void symbols_stats(struct symbols *symbols, struct symbols_stats *ret)
{
	struct identity_folder_stats folder = symbol_folder_stats(symbols->folder);
	struct symbols_stats stats = {
		.modules = folder.file_count,
		.file_bytes = folder.file_bytes,
		.file_bytes_max = FOLDER_SIZE_MAX,
	};

	pthread_mutex_lock(&symbols->lock);
	for (uint32_t i = 0; i < symbols->states.by_identity.count; i++)
		stats.failed += symbols->states.items[i].state == STATE_FAILED;
	stats.waiting = symbols->job_count + symbols->reading;
	stats.died = symbols->made.died;
	stats.overran = symbols->made.overran;
	stats.peak_bytes = symbols->made.peak;
	pthread_mutex_unlock(&symbols->lock);
	*ret = stats;
}

/* ---- modules ---- */

/* With the lock held. */
static struct symbol_module *module_hold(struct symbols *symbols, struct symbol_module *module)
{
	module->reference_count++;
	TAILQ_REMOVE(&symbols->modules, module, link);
	TAILQ_INSERT_HEAD(&symbols->modules, module, link);
	return module;
}

/* The open module of an identity or of what it stands for, with the lock held. */
static struct symbol_module *find_open(const struct symbols *symbols, const struct state *state)
{
	if (state->module || state->alias_of == TABLE_NONE)
		return state->module;
	assert(state->alias_of < symbols->states.by_identity.count);
	return symbols->states.items[state->alias_of].module;
}

/* Enters a file that was just opened, unless somebody else was faster. With the lock held. */
static struct symbol_module *enter_module(struct symbols *symbols, const struct identity *identity,
					  struct symbol_file **file)
{
	const struct identity *own = &symbol_file_header(*file)->identity;

	if (!states_get(&symbols->states, identity))
		return NULL;

	struct state *state = states_get(&symbols->states, own);

	if (!state)
		return NULL;
	/* By number: getting the second may have moved the first, or forgotten it. */
	uint32_t asked = states_find(&symbols->states, identity);
	uint32_t number = states_find(&symbols->states, own);

	if (asked != TABLE_NONE && asked != number)
		symbols->states.items[asked].alias_of = number;
	if (state->module)
		return module_hold(symbols, state->module);

	struct symbol_module *module = calloc(1, sizeof(*module));

	if (!module)
		return NULL;
	module->identity = *own;
	module->file = TAKE(*file);
	state->module = module;
	state->state = STATE_PRESENT;
	TAILQ_INSERT_HEAD(&symbols->modules, module, link);
	symbols->module_count++;
	return module_hold(symbols, module);
}

struct symbol_module *symbols_acquire(struct symbols *symbols, const struct identity *identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	struct symbol_module *module = NULL;
	bool present = false;

	if (!can_be_asked(identity))
		return NULL;

	pthread_mutex_lock(&symbols->lock);
	struct state *state = states_get(&symbols->states, identity);

	if (state) {
		state_settle(state, symbols->folder);
		module = find_open(symbols, state);
		present = state->state == STATE_PRESENT;
	}
	if (module)
		module_hold(symbols, module);
	pthread_mutex_unlock(&symbols->lock);
	if (module || !present)
		return module;

	/* Reading all of a large one takes some ms, in which others go on. */
	int err = symbol_folder_read(symbols->folder, identity, &file);

	pthread_mutex_lock(&symbols->lock);
	if (!err)
		module = enter_module(symbols, identity, &file);
	else if (err == -ENOENT || err == -EBADMSG)
		states_set(&symbols->states, identity, STATE_ABSENT);
	pthread_mutex_unlock(&symbols->lock);
	return module;
}

struct symbol_module *symbols_release(struct symbols *symbols, struct symbol_module *module)
{
	if (!module)
		return NULL;

	pthread_mutex_lock(&symbols->lock);
	assert(module->reference_count > 0);
	module->reference_count--;
	if (module->is_replaced && module->reference_count == 0)
		module_free(module);

	struct symbol_module *last = TAILQ_LAST(&symbols->modules, module_list);

	while (last && symbols->module_count > OPEN_MODULE_COUNT_MAX) {
		struct symbol_module *before = TAILQ_PREV(last, module_list, link);

		if (last->reference_count == 0)
			module_close(symbols, last);
		last = before;
	}
	pthread_mutex_unlock(&symbols->lock);
	return NULL;
}

uint32_t symbol_module_find(const struct symbol_module *module, uint64_t address)
{
	return symbol_file_find(module->file, address);
}

struct str symbol_module_name(const struct symbol_module *module, uint32_t function)
{
	return symbol_file_name(module->file, function);
}

uint64_t symbol_module_start(const struct symbol_module *module, uint32_t function)
{
	return symbol_file_start(module->file, function);
}

static_assert(LINE_SCOPE_NONE == SYMBOL_NONE, "handed on as it is");

bool symbol_module_place(const struct symbol_module *module, uint64_t address,
			 struct symbol_place *ret)
{
	const struct line_rows *lines = symbol_file_lines(module->file);
	struct line_row row;
	uint64_t vaddr;

	if (!symbol_file_vaddr(module->file, address, &vaddr) ||
	    !line_rows_find(lines, vaddr, &row))
		return false;
	*ret = (struct symbol_place){
		.file = line_rows_text(lines, row.file),
		.line = row.line,
		.scope = row.scope,
	};
	return true;
}

struct symbol_call symbol_module_call(const struct symbol_module *module, uint32_t scope)
{
	const struct line_rows *lines = symbol_file_lines(module->file);

	assert(scope < lines->scope_count);

	const struct line_scope *call = &lines->scopes[scope];

	return (struct symbol_call){
		.function = line_rows_text(lines, call->function),
		.from = { .file = line_rows_text(lines, call->call_file),
			  .line = call->call_line,
			  .scope = call->parent },
	};
}

struct str symbols_demangle(struct symbols *symbols, struct str name,
			    char text[static DEMANGLE_TEXT_SIZE_MAX])
{
	return name_cache_demangle(symbols->names, name, text);
}

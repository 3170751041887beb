/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbols.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "symbols/symbols_private.h"
#include "symbols/unwind_tables.h"

bool symbols_can_be_brought(const struct identity *identity)
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

/* ---- the object ---- */

static size_t files_waiting_max(void)
{
	return descriptors_raise((size_t)SYMBOLS_WAITING_COUNT_MAX * SYMBOLS_WAITING_SHARE) /
	       SYMBOLS_WAITING_SHARE;
}

size_t symbols_descriptor_count_max(void)
{
	return files_waiting_max() + 2 * (size_t)FILE_KEEP_COUNT_MAX +
	       UNWIND_TABLES_WAITING_COUNT_MAX + UNWIND_TABLES_ANSWER_COUNT_MAX;
}

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

	symbols->size_max = FOLDER_SIZE_MAX;
	symbols->waiting_max = files_waiting_max();

	int err = symbols->debug_folders ? 0 : -ENOMEM;
	if (!err)
		err = symbol_folder_open(folder, FOLDER_SIZE_MAX, &symbols->folder);
	if (!err)
		err = symbol_maker_new(symbols->folder, symbols->debug_folders, &symbols->maker);
	if (!err)
		err = name_cache_new(&symbols->names);
	if (!err)
		err = symbols_start_worker(symbols);
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
		job_done(&symbols->jobs[symbols->job_first]);
		symbols->job_first = (symbols->job_first + 1) % SYMBOLS_WAITING_COUNT_MAX;
	}
	while (!TAILQ_EMPTY(&symbols->modules))
		module_close(symbols, TAILQ_FIRST(&symbols->modules));
	kernel_release(symbols->kernel);
	for (size_t i = 0; i < symbols->module_name_count; i++)
		free(symbols->module_names[i]);
	free(symbols->module_names);
	states_done(&symbols->states);
	file_keep_done(&symbols->keep);
	file_keep_done(&symbols->debug);
	symbol_maker_free(symbols->maker);
	symbol_folder_close(symbols->folder);
	name_cache_free(symbols->names);
	free(symbols->debug_folders);
	pthread_cond_destroy(&symbols->changed);
	pthread_mutex_destroy(&symbols->lock);
	free(symbols);
	return NULL;
}

void symbols_limit_files(struct symbols *symbols, uint64_t bytes)
{
	/* The worker, which writes, looks at nothing before it had the lock. */
	pthread_mutex_lock(&symbols->lock);
	symbols->size_max = bytes;
	symbol_folder_limit(symbols->folder, bytes);
	pthread_mutex_unlock(&symbols->lock);
}

void symbols_use_unwind_tables(struct symbols *symbols, struct unwind_tables *tables)
{
	symbols->unwind_tables = tables;
}

uint64_t symbols_generation(struct symbols *symbols)
{
	pthread_mutex_lock(&symbols->lock);
	uint64_t generation = symbols->generation;
	pthread_mutex_unlock(&symbols->lock);
	/* Neither ever goes back. */
	if (symbols->unwind_tables)
		generation += unwind_tables_generation(symbols->unwind_tables);
	return generation;
}

bool symbols_function_start(struct symbols *symbols, const struct identity *identity,
			    uint64_t offset, uint64_t *ret_start)
{
	return symbols->unwind_tables &&
	       unwind_tables_function_start(symbols->unwind_tables, identity, offset, ret_start);
}

struct state *own_state(struct symbols *symbols, struct state *state)
{
	if (state->alias_of == TABLE_NONE)
		return state;
	assert(state->alias_of < symbols->states.by_identity.count);
	return &symbols->states.items[state->alias_of];
}

/* There are names, but the file is wished for once more. With the lock held. */
static bool awaits_lines(struct symbols *symbols, struct state *state)
{
	return state->state == STATE_PRESENT && own_state(symbols, state)->lines == LINES_AWAITED;
}

bool symbols_wants(struct symbols *symbols, const struct identity *identity)
{
	bool wants = false;

	if (!symbols_can_be_brought(identity))
		return false;

	pthread_mutex_lock(&symbols->lock);
	struct state *state = states_get(&symbols->states, identity);

	if (state) {
		uint64_t now_ns = clock_monotonic_ns();

		state_settle(state, symbols->folder);

		bool for_lines = awaits_lines(symbols, state);
		bool is_due = now_ns - state->wished_at_ns >=
			      (uint64_t)SYMBOLS_RETRY_S * (uint64_t)CLOCK_NS_PER_S;

		wants = state->state == STATE_ABSENT ||
			((state->state == STATE_WISHED || for_lines) && is_due);
		if (wants && !for_lines)
			state->state = STATE_WISHED;
		if (wants)
			state->wished_at_ns = now_ns;
	}
	pthread_mutex_unlock(&symbols->lock);
	return wants;
}

int symbols_bring_file(struct symbols *symbols, const struct identity *identity, int fd)
{
	autoclose int file = fd;
	int err = 0;

	assert(fd >= 0);
	if (!symbols_can_be_brought(identity))
		return -EINVAL;

	pthread_mutex_lock(&symbols->lock);
	struct state *state = states_get(&symbols->states, identity);

	if (state)
		state_settle(state, symbols->folder);
	if (!state) {
		err = -ENOMEM;
	} else if (awaits_lines(symbols, state)) {
		struct state *own = own_state(symbols, state);

		own->lines = LINES_IDLE;
		file_keep_add(&symbols->keep, &own->identity, TAKE_FD(file));
	} else if (state->state == STATE_ABSENT || state->state == STATE_WISHED) {
		if (symbols->job_count >= symbols->waiting_max) {
			state->state = STATE_ABSENT;
			err = -EAGAIN;
		} else {
			state->state = STATE_WAITING;
			symbols_push_job(symbols, &(struct job){ .identity = *identity,
								 .fd = TAKE_FD(file) });
		}
	}
	pthread_mutex_unlock(&symbols->lock);
	return err;
}

/* ---- names that come late ---- */

int symbols_bring_names(struct symbols *symbols, struct late_names *names)
{
	struct late_names *taken = malloc(sizeof(*taken));
	int err = -EAGAIN;

	if (!taken)
		return -EAGAIN;
	*taken = *names;
	pthread_mutex_lock(&symbols->lock);
	if (symbols->job_count < symbols->waiting_max) {
		symbols_push_job(symbols, &(struct job){ .identity = names->identity,
							 .fd = -1,
							 .names = TAKE(taken) });
		err = 0;
	}
	pthread_mutex_unlock(&symbols->lock);
	free(taken);
	return err;
}

/* ---- the kernel ---- */

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
	symbols->generation++;
	kernel_release(symbols->kernel);
	symbols->kernel = kernel;
	kernel->reference_count = 2;
	symbols_push_job(symbols, &(struct job){ .fd = -1, .kernel = kernel });
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
		.file_bytes_max = symbols->size_max,
	};

	pthread_mutex_lock(&symbols->lock);
	for (uint32_t i = 0; i < symbols->states.by_identity.count; i++)
		stats.failed += symbols->states.items[i].state == STATE_FAILED;
	stats.waiting = symbols->job_count + symbols->reading;
	stats.died = symbols->made.died;
	stats.overran = symbols->made.overran;
	stats.unfiltered = symbols->made.unfiltered;
	stats.peak_bytes = symbols->made.peak;
	stats.cpu_ns = symbols->made.cpu_ns;
	pthread_mutex_unlock(&symbols->lock);
	*ret = stats;
}

/* ---- modules ---- */

/* With the lock held. */
static struct symbol_module *module_hold(struct symbols *symbols, struct symbol_module *module)
{
	module->reference_count++;
	module->is_resting = false;
	TAILQ_REMOVE(&symbols->modules, module, link);
	TAILQ_INSERT_HEAD(&symbols->modules, module, link);
	return module;
}

/* The open module of an identity or of what it stands for, with the lock held. */
static struct symbol_module *find_open(struct symbols *symbols, struct state *state)
{
	return state->module ? state->module : own_state(symbols, state)->module;
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

	bool lacks_file = symbol_file_missing(module->file) != NULL;

	/* Whatever was brought before, this is another file. */
	if (lacks_file && !state->lacks_file)
		state->debug_due_ns = 0;
	state->lacks_file = lacks_file;
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

/*
 * What was wished for while the module was in use. When the worker has too much to do, the next
 * question wishes again. With the lock held.
 */
static void ask_for_lines(struct symbols *symbols, struct symbol_module *module)
{
	uint32_t number = states_find(&symbols->states, &module->identity);
	struct state *state = number == TABLE_NONE ? NULL : &symbols->states.items[number];

	if (!module->is_replaced && state && state->lines == LINES_IDLE &&
	    symbols->job_count < SYMBOLS_WAITING_COUNT_MAX) {
		state->lines = LINES_ASKED;
		symbols_push_job(symbols, &(struct job){ .identity = module->identity,
							 .fd = -1,
							 .offsets = TAKE(module->wishes),
							 .offset_count = module->wish_count });
	}
	free(TAKE(module->wishes));
	module->wish_count = 0;
}

/* With the lock held. */
static void module_give_back(struct symbols *symbols, struct symbol_module *module)
{
	assert(module->reference_count > 0);
	module->reference_count--;
	module->used_ns = clock_monotonic_ns();
	if (module->reference_count == 0 && module->wish_count > 0)
		ask_for_lines(symbols, module);
	if (module->is_replaced && module->reference_count == 0)
		module_free(module);

	struct symbol_module *last = TAILQ_LAST(&symbols->modules, module_list);

	while (last && symbols->module_count > OPEN_MODULE_COUNT_MAX) {
		struct symbol_module *before = TAILQ_PREV(last, module_list, link);

		if (last->reference_count == 0)
			module_close(symbols, last);
		last = before;
	}
}

/* With the lock held: its pages go; nobody holds it. */
static void module_rest(struct symbol_module *module)
{
	symbol_file_rest(module->file);
	module->is_resting = true;
}

struct symbol_module *symbols_release(struct symbols *symbols, struct symbol_module *module)
{
	if (!module)
		return NULL;
	pthread_mutex_lock(&symbols->lock);
	module_give_back(symbols, module);
	pthread_mutex_unlock(&symbols->lock);
	return NULL;
}

struct symbol_module *symbols_leave(struct symbols *symbols, struct symbol_module *module)
{
	if (!module)
		return NULL;
	pthread_mutex_lock(&symbols->lock);
	if (module->reference_count == 1)
		module_rest(module);
	module_give_back(symbols, module);
	pthread_mutex_unlock(&symbols->lock);
	return NULL;
}

void symbols_tidy(struct symbols *symbols, uint64_t now_monotonic_ns)
{
	const uint64_t rest_ns = (uint64_t)RESTING_MODULE_SECONDS * (uint64_t)CLOCK_NS_PER_S;
	const uint64_t open_ns = (uint64_t)OPEN_MODULE_SECONDS * (uint64_t)CLOCK_NS_PER_S;

	name_cache_tidy(symbols->names, now_monotonic_ns);
	pthread_mutex_lock(&symbols->lock);
	struct symbol_module *module = TAILQ_LAST(&symbols->modules, module_list);

	while (module) {
		struct symbol_module *before = TAILQ_PREV(module, module_list, link);

		if (module->reference_count == 0 && now_monotonic_ns > module->used_ns + open_ns) {
			module_close(symbols, module);
		} else if (module->reference_count == 0 && !module->is_resting &&
			   now_monotonic_ns > module->used_ns + rest_ns) {
			module_rest(module);
		}
		module = before;
	}
	pthread_mutex_unlock(&symbols->lock);
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
static_assert((int)LINE_DEPTH_MAX == (int)SYMBOL_CALL_DEPTH_MAX, "one limit");

/* Lines can be read of it. */
static bool has_source(const struct symbol_module *module)
{
	enum { ANYWHERE = SYMBOL_FILE_LINES_IN_ELF | SYMBOL_FILE_LINES_IN_DEBUG_FILE };

	return symbol_file_header(module->file)->sources & ANYWHERE;
}

bool symbols_has_lines(const struct symbol_module *module)
{
	return has_source(module) || symbol_file_lines(module->file)->block_count > 0;
}

/* There are some, and they were not read yet. */
static bool awaits_line(const struct symbol_module *module, uint64_t address)
{
	uint64_t vaddr;

	return has_source(module) && symbol_file_vaddr(module->file, address, &vaddr) &&
	       !line_rows_cover(symbol_file_lines(module->file), vaddr);
}

bool symbols_may_have_lines(const struct symbol_module *module, uint64_t address)
{
	struct symbol_place place;

	return symbol_module_place(module, address, &place) || awaits_line(module, address);
}

bool symbols_wish_lines(struct symbols *symbols, struct symbol_module *module, uint64_t address)
{
	if (!awaits_line(module, address))
		return false;

	pthread_mutex_lock(&symbols->lock);
	if (!module->wishes)
		module->wishes = calloc(SYMBOL_MAKER_OFFSET_COUNT_MAX, sizeof(module->wishes[0]));
	if (module->wishes && module->wish_count < SYMBOL_MAKER_OFFSET_COUNT_MAX)
		module->wishes[module->wish_count++] = address;
	pthread_mutex_unlock(&symbols->lock);
	return true;
}

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

void symbols_describe(struct symbols *symbols, const struct identity *identity,
		      struct symbols_description *ret)
{
	struct symbol_module *module = symbols_acquire(symbols, identity);

	*ret = (struct symbols_description){ .state = SYMBOLS_ABSENT };
	if (module) {
		ret->state = SYMBOLS_PRESENT;
		ret->sources = symbol_file_header(module->file)->sources;
		symbols_release(symbols, module);
	}
	pthread_mutex_lock(&symbols->lock);
	uint32_t number = states_find(&symbols->states, identity);

	if (number != TABLE_NONE) {
		struct state *state = own_state(symbols, &symbols->states.items[number]);

		if (!module && state->state == STATE_WAITING)
			ret->state = SYMBOLS_WAITING;
		if (!module && state->state == STATE_FAILED)
			ret->state = SYMBOLS_FAILED;
		ret->error = module ? 0 : state->error;
		ret->lines_error = state->lines_error;
		ret->debug_error = state->debug_error;
	}
	pthread_mutex_unlock(&symbols->lock);
}

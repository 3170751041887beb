/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/unwind_tables.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/table.h"
#include "symbols/debug_folder.h"
#include "symbols/debug_link.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_maker.h"

enum {
	/* Before names. Not behind what the host is for: stacks of what runs wait for it. */
	WORKER_NICE = 0,
};

/* On disk: 2,600 files of a large installation take 130 MB. */
#define CACHE_SIZE_MAX (UINT64_C(256) << 20)

struct question {
	uint64_t number;
	struct identity identity;
	int fd;
};

/* Of one file. */
struct function_list {
	struct identity identity;
	struct unwind_functions *functions;
	uint64_t used_at; /* by a count of uses */
};

struct unwind_tables {
	struct unwind_cache *cache;
	char *debug_folders;
	pthread_mutex_t functions_lock;
	/* guarded by functions_lock: */
	struct function_list lists[UNWIND_TABLES_FUNCTIONS_COUNT_MAX];
	size_t list_count;
	uint64_t use_count;
	struct identity missing[UNWIND_TABLES_MISSING_COUNT]; /* no table (yet) */
	uint64_t table_count;				      /* that were written */

	pthread_t worker;
	bool has_worker;
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* guarded by lock: */
	bool closing;
	void (*wake)(void *context);
	void *context;
	uint64_t generation; /* of who asks: answers to one who is gone are dropped */
	struct question questions[UNWIND_TABLES_WAITING_COUNT_MAX];
	size_t question_first, question_count;
	struct unwind_answer answers[UNWIND_TABLES_ANSWER_COUNT_MAX];
	size_t answer_first, answer_count;
	struct unwind_tables_stats stats;
};

/* ---- functions ---- */

/* With functions_lock held. */
static void forget_list(struct unwind_tables *tables, size_t number)
{
	unwind_functions_close(tables->lists[number].functions);
	tables->lists[number] = tables->lists[--tables->list_count];
}

/* What was not there may be there now. */
static void forget_missing(struct unwind_tables *tables)
{
	pthread_mutex_lock(&tables->functions_lock);
	memset(tables->missing, 0, sizeof(tables->missing));
	tables->table_count++;
	pthread_mutex_unlock(&tables->functions_lock);
}

/* The only place where this identity may be noted as missing. With functions_lock held. */
static struct identity *place_of_missing(struct unwind_tables *tables,
					 const struct identity *identity)
{
	static_assert((UNWIND_TABLES_MISSING_COUNT & (UNWIND_TABLES_MISSING_COUNT - 1)) == 0,
		      "places are taken by the low bits of a hash");
	uint64_t hash = table_hash_bytes(identity->bytes, identity->size, 0);

	return &tables->missing[hash & (UNWIND_TABLES_MISSING_COUNT - 1)];
}

/* NULL when there is no table of the file. With functions_lock held. */
static struct function_list *get_list(struct unwind_tables *tables, const struct identity *identity)
{
	struct identity *missing = place_of_missing(tables, identity);
	struct unwind_functions *functions = NULL;
	size_t oldest = 0;

	if (identity_equal(missing, identity))
		return NULL;
	for (size_t i = 0; i < tables->list_count; i++) {
		if (identity_equal(&tables->lists[i].identity, identity))
			return &tables->lists[i];
		if (tables->lists[i].used_at < tables->lists[oldest].used_at)
			oldest = i;
	}
	if (unwind_functions_open(tables->cache, identity, &functions) || !functions) {
		*missing = *identity;
		return NULL;
	}
	if (tables->list_count == UNWIND_TABLES_FUNCTIONS_COUNT_MAX)
		forget_list(tables, oldest);

	struct function_list *list = &tables->lists[tables->list_count++];

	*list = (struct function_list){ .identity = *identity, .functions = functions };
	return list;
}

bool unwind_tables_function_start(struct unwind_tables *tables, const struct identity *identity,
				  uint64_t offset, uint64_t *ret_start)
{
	const struct unwind_function *function = NULL;

	if (identity->kind == IDENTITY_NONE || identity->size == 0)
		return false;
	pthread_mutex_lock(&tables->functions_lock);
	struct function_list *list = get_list(tables, identity);

	if (list) {
		list->used_at = ++tables->use_count;
		function = unwind_functions_find(list->functions, offset);
	}
	if (function)
		*ret_start = function->start;
	pthread_mutex_unlock(&tables->functions_lock);
	return function != NULL;
}

uint64_t unwind_tables_generation(struct unwind_tables *tables)
{
	pthread_mutex_lock(&tables->functions_lock);
	uint64_t count = tables->table_count;
	pthread_mutex_unlock(&tables->functions_lock);
	return count;
}

/* ---- making one ---- */

/* The debug file of this build id. */
static bool is_debug_file(int fd, const struct identity *identity)
{
	autoclean(elf_file) struct elf_file *debug = NULL;

	if (elf_file_open_debug(fd, &debug))
		return false;

	struct identity found = elf_file_build_id(debug);

	return identity_equal(&found, identity);
}

/* By build id, or by name when the checksum is right. */
static int open_debug(const struct unwind_tables *tables, struct elf_file *elf, int fd,
		      const struct identity *identity, int *ret_fd)
{
	autoclose int same_id = -1;
	struct debug_link link;
	int err = -ENOENT;

	if (debug_folder_open(tables->debug_folders, identity, &same_id) == 0 &&
	    is_debug_file(same_id, identity)) {
		*ret_fd = TAKE_FD(same_id);
		return 0;
	}
	if (debug_link_read(elf, &link))
		return -ENOENT;
	for (uint32_t place = 0; err == -ENOENT; place++) {
		autoclose int debug_fd = -1;

		err = debug_folder_open_linked(tables->debug_folders, fd, str_from(link.name),
					       place, &debug_fd);
		if (err)
			continue;
		if (debug_link_fits(&link, debug_fd)) {
			*ret_fd = TAKE_FD(debug_fd);
			return 0;
		}
		err = -ENOENT;
	}
	return err;
}

/* The table as it is on disk afterwards, under the best identity that the file has. */
static int find_or_make(struct unwind_tables *tables, struct elf_file *elf, int fd,
			const struct identity *identity, struct buf *table, bool *ret_made)
{
	autoclean(elf_file) struct elf_file *debug = NULL;
	autoclose int debug_fd = -1;
	int err = unwind_cache_read(tables->cache, identity, table);

	*ret_made = false;
	if (!err)
		return 0;
	/* Whatever the disk says, the file itself is at hand. */
	buf_clear(table);
	if (open_debug(tables, elf, fd, identity, &debug_fd) == 0)
		(void)elf_file_open_debug(debug_fd, &debug);
	err = unwind_maker_make(elf, debug, identity, table);
	if (err)
		return err;
	*ret_made = true;
	/* Without room on disk it is made again after a restart, no more. */
	if (unwind_cache_write(tables->cache, table) == 0)
		forget_missing(tables);
	return 0;
}

/* As it goes over the link: under the identity that was asked for, without functions. */
static void dress(struct buf *table, const struct identity *identity)
{
	struct unwind_table_header header;

	memcpy(&header, table->bytes, sizeof(header));
	header.identity = *identity;
	header.function_count = 0;
	header.checksum = 0;
	table->size = unwind_table_size(&header);
	memcpy(table->bytes, &header, sizeof(header));
}

static void count_answer(struct unwind_tables *tables, const struct unwind_answer *answer,
			 bool made, uint64_t ns)
{
	struct unwind_table_header header;

	pthread_mutex_lock(&tables->lock);
	if (answer->error) {
		tables->stats.without++;
	} else if (made) {
		memcpy(&header, answer->table.bytes, sizeof(header));
		tables->stats.made++;
		tables->stats.rows += header.row_count;
		tables->stats.unsupported += header.unsupported_count;
		tables->stats.making_ns += ns;
	} else {
		tables->stats.found++;
	}
	pthread_mutex_unlock(&tables->lock);
}

static void answer_question(struct unwind_tables *tables, const struct question *question,
			    struct unwind_answer *answer)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	struct identity identity;
	uint64_t start_ns = clock_monotonic_ns();
	bool made = false;

	*answer = (struct unwind_answer){
		.number = question->number,
		.identity = question->identity,
		.table = BUF(UNWIND_TABLE_SIZE_MAX),
	};
	answer->error = elf_file_open(question->fd, &elf);
	if (!answer->error)
		answer->error = elf_file_identify(elf, &question->identity, &identity);
	if (!answer->error)
		answer->error =
			find_or_make(tables, elf, question->fd, &identity, &answer->table, &made);
	/* So that its functions are found by what the store calls it. */
	if (!answer->error && !identity_equal(&identity, &question->identity))
		(void)unwind_cache_alias(tables->cache, &question->identity, &identity);
	if (answer->error)
		buf_done(&answer->table);
	else
		dress(&answer->table, &question->identity);
	count_answer(tables, answer, made, clock_monotonic_ns() - start_ns);
}

/* ---- the worker ---- */

static void *work(void *argument)
{
	struct unwind_tables *tables = argument;

	pthread_setname_np(pthread_self(), "unwind tables");
	/* A courtesy to the host that may be refused. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), WORKER_NICE);

	pthread_mutex_lock(&tables->lock);
	for (;;) {
		while ((tables->question_count == 0 ||
			tables->answer_count == UNWIND_TABLES_ANSWER_COUNT_MAX) &&
		       !tables->closing)
			pthread_cond_wait(&tables->changed, &tables->lock);
		if (tables->closing)
			break;

		struct question question = tables->questions[tables->question_first];
		uint64_t generation = tables->generation;
		struct unwind_answer answer;

		tables->question_first =
			(tables->question_first + 1) % UNWIND_TABLES_WAITING_COUNT_MAX;
		tables->question_count--;
		pthread_mutex_unlock(&tables->lock);

		answer_question(tables, &question, &answer);
		close(question.fd);

		pthread_mutex_lock(&tables->lock);
		if (generation != tables->generation || tables->closing) {
			buf_done(&answer.table);
			continue;
		}
		tables->answers[(tables->answer_first + tables->answer_count++) %
				UNWIND_TABLES_ANSWER_COUNT_MAX] = answer;
		if (tables->wake)
			tables->wake(tables->context);
	}
	pthread_mutex_unlock(&tables->lock);
	return NULL;
}

static int start_worker(struct unwind_tables *tables)
{
	sigset_t all;
	sigset_t before;

	/* Signals are for the threads that wait for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&tables->worker, NULL, work, tables);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	tables->has_worker = err == 0;
	return -err;
}

/* ---- the object ---- */

int unwind_tables_open(const char *folder, const char *debug_folders, struct unwind_tables **ret)
{
	autoclean(unwind_tables) struct unwind_tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return -ENOMEM;
	tables->debug_folders = strdup(debug_folders);
	pthread_mutex_init(&tables->lock, NULL);
	pthread_mutex_init(&tables->functions_lock, NULL);
	pthread_cond_init(&tables->changed, NULL);

	int err = tables->debug_folders ? 0 : -ENOMEM;

	if (!err)
		err = unwind_cache_open(folder, CACHE_SIZE_MAX, &tables->cache);
	if (!err)
		err = start_worker(tables);
	if (err)
		return err;
	*ret = TAKE(tables);
	return 0;
}

/* With the lock held, or alone. */
static void forget_all(struct unwind_tables *tables)
{
	for (; tables->question_count > 0; tables->question_count--) {
		close(tables->questions[tables->question_first].fd);
		tables->question_first =
			(tables->question_first + 1) % UNWIND_TABLES_WAITING_COUNT_MAX;
	}
	for (; tables->answer_count > 0; tables->answer_count--) {
		buf_done(&tables->answers[tables->answer_first].table);
		tables->answer_first = (tables->answer_first + 1) % UNWIND_TABLES_ANSWER_COUNT_MAX;
	}
	tables->generation++;
}

struct unwind_tables *unwind_tables_close(struct unwind_tables *tables)
{
	if (!tables)
		return NULL;

	if (tables->has_worker) {
		pthread_mutex_lock(&tables->lock);
		tables->closing = true;
		pthread_cond_broadcast(&tables->changed);
		pthread_mutex_unlock(&tables->lock);
		pthread_join(tables->worker, NULL);
	}
	forget_all(tables);
	while (tables->list_count > 0)
		forget_list(tables, tables->list_count - 1);
	unwind_cache_close(tables->cache);
	pthread_cond_destroy(&tables->changed);
	pthread_mutex_destroy(&tables->functions_lock);
	pthread_mutex_destroy(&tables->lock);
	free(tables->debug_folders);
	free(tables);
	return NULL;
}

int unwind_tables_ask(struct unwind_tables *tables, uint64_t number,
		      const struct identity *identity, int fd)
{
	autoclose int file = fd;
	int err = 0;

	assert(fd >= 0);
	pthread_mutex_lock(&tables->lock);
	if (tables->question_count == UNWIND_TABLES_WAITING_COUNT_MAX) {
		err = -EAGAIN;
	} else {
		tables->questions[(tables->question_first + tables->question_count++) %
				  UNWIND_TABLES_WAITING_COUNT_MAX] = (struct question){
			.number = number,
			.identity = *identity,
			.fd = TAKE_FD(file),
		};
		pthread_cond_broadcast(&tables->changed);
	}
	pthread_mutex_unlock(&tables->lock);
	return err;
}

void unwind_tables_on_answer(struct unwind_tables *tables, void (*wake)(void *context),
			     void *context)
{
	pthread_mutex_lock(&tables->lock);
	tables->wake = wake;
	tables->context = context;
	pthread_mutex_unlock(&tables->lock);
}

bool unwind_tables_take(struct unwind_tables *tables, struct unwind_answer *ret)
{
	bool has_answer;

	pthread_mutex_lock(&tables->lock);
	has_answer = tables->answer_count > 0;
	if (has_answer) {
		*ret = tables->answers[tables->answer_first];
		tables->answer_first = (tables->answer_first + 1) % UNWIND_TABLES_ANSWER_COUNT_MAX;
		tables->answer_count--;
		pthread_cond_broadcast(&tables->changed);
	}
	pthread_mutex_unlock(&tables->lock);
	return has_answer;
}

void unwind_tables_forget(struct unwind_tables *tables)
{
	pthread_mutex_lock(&tables->lock);
	forget_all(tables);
	pthread_cond_broadcast(&tables->changed);
	pthread_mutex_unlock(&tables->lock);
}

void unwind_tables_stats(struct unwind_tables *tables, struct unwind_tables_stats *ret)
{
	pthread_mutex_lock(&tables->lock);
	*ret = tables->stats;
	ret->waiting = tables->question_count;
	pthread_mutex_unlock(&tables->lock);
	ret->cache = unwind_cache_stats(tables->cache);
}

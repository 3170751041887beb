/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <sys/queue.h>

#include "symbols/file_keep.h"
#include "symbols/kernel_symbols.h"
#include "symbols/late_code.h"
#include "symbols/name_cache.h"
#include "symbols/states.h"
#include "symbols/symbol_folder.h"
#include "symbols/symbol_maker.h"
#include "symbols/symbols.h"

/* What symbols.c and its worker (worker.c) share. */

enum {
	/* Mapped symbol files that nobody holds, for the next question. */
	OPEN_MODULE_COUNT_MAX = 256,
	/* And for so long: as long as somebody may read one flame graph before the next click. */
	OPEN_MODULE_SECONDS = 300,
	/* Their pages for no longer than this: lowering leaves asks all of them every ten minutes.
	 */
	RESTING_MODULE_SECONDS = 10,
	/* Names of kernel modules that were ever there; beyond it a module has no name. */
	MODULE_NAME_COUNT_MAX = 4096,
	/* As many as are wished for at once: WISHES_DEBUG_COUNT_MAX of web/wishes.h. */
	SHARED_WISH_COUNT_MAX = 64,
};

/* Which module a file that is shared by dwz was wished for. */
struct shared_wish {
	struct identity module;
	struct identity wanted;
};

#define FOLDER_SIZE_MAX (UINT64_C(256) << 20)

struct symbol_module {
	TAILQ_ENTRY(symbol_module) link;
	struct identity identity;
	struct symbol_file *file;
	unsigned reference_count;
	uint64_t used_ns; /* when it was given back last, steady */
	bool is_resting;  /* and its pages were since */
	bool is_replaced; /* not in the list, nor found by its identity, any more */
	/* Offsets whose lines were asked for and are not known; or NULL. */
	uint64_t *wishes;
	size_t wish_count;
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
	bool is_debug;	/* a debug file was brought */
	bool is_shared; /* or one shared by dwz, of this build id: */
	struct identity wanted;
	struct kernel *kernel; /* or NULL */
	uint64_t *offsets;     /* whose lines are asked for; or NULL: a file was brought */
	size_t offset_count;
	struct late_names *names; /* or NULL */
};

struct symbols {
	struct unwind_tables *unwind_tables; /* or NULL */
	struct symbol_folder *folder;
	struct symbol_maker *maker; /* the worker's */
	char *debug_folders;
	uint64_t size_max;
	size_t waiting_max; /* files */
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
	struct file_keep keep;	/* files with lines in them */
	struct file_keep debug; /* debug files that were brought */
	struct states states;
	struct shared_wish shared_wishes[SHARED_WISH_COUNT_MAX]; /* the latest */
	uint64_t shared_wish_count;
	uint64_t generation;	    /* of all names */
	struct module_list modules; /* open, the latest used first */
	size_t module_count;
	struct kernel *kernel;
	char **module_names;
	size_t module_name_count;
};

/* Whether a file may have such an identity. */
bool symbols_can_be_brought(const struct identity *identity);

/* Starts the worker, which ends when .closing is set. */
int symbols_start_worker(struct symbols *symbols);

/* The others are called with the lock held. The state of what this one stands for, or itself. */
struct state *own_state(struct symbols *symbols, struct state *state);

/* Room for the job is the caller's business. */
void symbols_push_job(struct symbols *symbols, const struct job *job);
struct kernel *kernel_release(struct kernel *kernel);
void job_done(struct job *job);
void module_free(struct symbol_module *module);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/selector.h"
#include "store/store.h"
#include "web/profile_type.h"
#include "web/request.h"
#include "web/time_range.h"

struct server;

/* The page's own API, docs/PAGE_API.md: a handler for each call. */
void page_status(struct server *server, struct request *request, struct reply *reply);
void page_store_seal(struct server *server, struct request *request, struct reply *reply);
void page_processes(struct server *server, struct request *request, struct reply *reply);
void page_timeline(struct server *server, struct request *request, struct reply *reply);
void page_flame(struct server *server, struct request *request, struct reply *reply);
void page_functions(struct server *server, struct request *request, struct reply *reply);
void page_sandwich(struct server *server, struct request *request, struct reply *reply);
void page_modules(struct server *server, struct request *request, struct reply *reply);
void page_stacks(struct server *server, struct request *request, struct reply *reply);
void page_changes(struct server *server, struct request *request, struct reply *reply);
void page_export(struct server *server, struct request *request, struct reply *reply);
void page_export_span(struct server *server, struct request *request, struct reply *reply);
void page_import(struct server *server, struct request *request, struct reply *reply);
/* Removes what a crash left of imports and exports. */
struct settings;
void page_import_tidy(const struct settings *settings);
void page_export_tidy(const struct settings *settings);
void page_labels(struct server *server, struct request *request, struct reply *reply);
void page_delete(struct server *server, struct request *request, struct reply *reply);
void page_deletions(struct server *server, struct request *request, struct reply *reply);
void page_types(struct server *server, struct request *request, struct reply *reply);

/* ---- what the handlers share ------------------------------------------------------------------
 */

/* The parameters from, to, query and type; a handler's own are read from the same request. */
struct page_question {
	struct buf texts; /* decoded parameters, which the others point to */
	struct time_range range;
	struct profile_type type;
	struct selector *selector;
	struct store_question question;
};

/* False when the reply tells what is wrong; done() in either case. */
bool page_question_read(struct page_question *question, const struct request *request,
			struct reply *reply);
/* The same with another default of from. */
bool page_question_read_since(struct page_question *question, const struct request *request,
			      struct str since, struct reply *reply);
void page_question_done(struct page_question *question);

/* A number between the limits; false when the reply tells what is wrong. */
struct page_number {
	const char *name;
	uint64_t otherwise; /* when it is not given */
	uint64_t min;
	uint64_t max;
};
bool page_read_number(struct page_question *question, const struct request *request,
		      const struct page_number *number, uint64_t *ret, struct reply *reply);

/* What was recorded in the range; leaves out of the question what came since. */
struct recorded_time;
int page_view_start(struct page_question *question, struct server *server,
		    struct recorded_time *recorded);

/* That, and the question's flame graph, which is the caller's; false: the reply says what failed.
 */
bool page_ask_flame(struct page_question *question, struct server *server,
		    struct recorded_time *recorded, const struct flame_options *options,
		    struct flame *ret, struct reply *reply);

/* from_ms, to_ms, recorded_ms, unit, cpus: with their keys. */
struct json_writer;
void page_write_view(struct json_writer *json, const struct page_question *question,
		     const struct recorded_time *recorded, uint32_t cpu_count);

/* The columns of a flame graph; names are written so much higher. */
void page_write_nodes(struct json_writer *json, const struct flame *flame, uint32_t name_shift);

/* CPUs of the host, at least 1. */
uint32_t page_cpu_count(const struct server *server);

/* CPU seconds by seconds; 0 where nothing was recorded. */
double page_cores(uint64_t cpu_ns, int64_t recorded_ms);

/* Decimals that a page can show of cores. */
enum { PAGE_CORES_DECIMALS = 4 };

static inline void page_question_cleanup(struct page_question *question)
{
	page_question_done(question);
}

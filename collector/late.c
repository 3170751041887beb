/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/late.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/verdict.h"
#include "collector/processes.h"
#include "collector/spaces.h"
#include "collector/unwind_files.h"

/* Tables take milliseconds; on a host that Hearth is new to, and that is busy, hundreds of files
 * wait in line for seconds. A sample belongs to a window of a second, and should not come much
 * later. */
#define AGE_MAX_NS (UINT64_C(5) * (uint64_t)CLOCK_NS_PER_S)
/* The record of a mapping takes two milliseconds. */
#define MAPPING_AGE_MAX_NS (UINT64_C(150) * CLOCK_NS_PER_MS)
#define MAPPING_RETRY_NS   (UINT64_C(20) * CLOCK_NS_PER_MS)

struct waiting {
	struct waiting *next;
	size_t size;
	uint64_t since_ns;
	uint64_t tried_ns;  /* 0: not yet */
	uint32_t file;	    /* whose table it waits for, or WALK_FILE_NONE: a mapping */
	struct event event; /* and what follows its header; no longer than size says */
};

struct late {
	struct late_options options;
	struct waiting *first;
	struct waiting **last;
	/* Thousands may wait on a busy new host: they are looked at when one came, a file has
	 * changed, or time has passed. */
	bool has_new;
	uint64_t seen_changes, looked_ns;
	struct late_stats stats;
	struct event walked;
};

int late_new(const struct late_options *options, struct late **ret)
{
	struct late *late = calloc(1, sizeof(*late));

	if (!late)
		return -ENOMEM;
	late->options = *options;
	late->last = &late->first;
	*ret = late;
	return 0;
}

struct late *late_free(struct late *late)
{
	if (!late)
		return NULL;

	while (late->first) {
		struct waiting *first = late->first;

		late->first = first->next;
		free(first);
	}
	free(late);
	return NULL;
}

void late_stats(const struct late *late, struct late_stats *ret)
{
	*ret = late->stats;
}

static struct process *process_of(struct late *late, const struct event *event)
{
	struct process_key key = { .pid = event->pid,
				   .exec_generation = event->exec_generation,
				   .start_boot_ns = event->start_boot_ns };

	return processes_resolve(late->options.processes, &key, event->boot_ns);
}

/*
 * Walks one. True when it is done: nothing that is missing will come, or is_last. Else *file says
 * whose table to wait for.
 */
static bool try(struct late *late, const struct event *event, uint64_t age_ns, uint64_t now_ns,
		bool is_last, uint32_t *file)
{
	struct process *process = process_of(late, event);
	struct space *space = process ? processes_space(late->options.processes, process) : NULL;
	bool wants_more;
	uint32_t missing = late_walk(&late->options.memory, space ? space->line : 0, event,
				     &late->walked, &wants_more);

	if (wants_more && !is_last && space) {
		*file = missing;
		if (missing != WALK_FILE_NONE) {
			late->options.ask(late->options.context, missing);
			/* It may turn out at once that there is none. */
			if (late->options.memory.files[missing].state == WALK_FILE_EXPECTED)
				return false;
			return try(late, event, age_ns, now_ns, true, file);
		}
		if (age_ns < MAPPING_AGE_MAX_NS)
			return false;
		/* No record told of it, so it was lost, or the address is none. */
		if (processes_rescan(late->options.processes, process, now_ns))
			return try(late, event, age_ns, now_ns, true, file);
		space_expects_no_more(space);
	}
	if (wants_more && is_last) {
		late->stats.expired++;
		if (verdict_is_truncated(late->walked.verdict) &&
		    late->walked.verdict != VERDICT_TRUNCATED)
			late->walked.verdict = VERDICT_CAME_EARLY;
	}
	late->stats.walked++;
	late->options.done(late->options.context, process, &late->walked);
	return true;
}

static void take_out(struct late *late, struct waiting **link)
{
	struct waiting *waiting = *link;

	*link = waiting->next;
	if (late->last == &waiting->next)
		late->last = link;
	late->stats.waiting -= waiting->size;
	free(waiting);
}

void late_add(struct late *late, const struct event *event, uint64_t now_ns)
{
	size_t size = event_size(event) + sizeof(struct event_raw) + event->raw_stack_size;
	struct waiting *waiting = malloc(offsetof(struct waiting, event) + size);
	uint32_t file;

	/* The oldest have waited longest for nothing. */
	while (late->first && (!waiting || late->stats.waiting + size > late->options.size_max)) {
		late->stats.crowded++;
		(void)try(late, &late->first->event, 0, now_ns, true, &file);
		take_out(late, &late->first);
		if (!waiting)
			waiting = malloc(offsetof(struct waiting, event) + size);
	}
	if (!waiting) {
		(void)try(late, event, 0, now_ns, true, &file);
		return;
	}
	waiting->next = NULL;
	waiting->size = size;
	waiting->since_ns = now_ns;
	waiting->tried_ns = 0;
	waiting->file = WALK_FILE_NONE;
	memcpy(&waiting->event, event, size);
	*late->last = waiting;
	late->last = &waiting->next;
	late->stats.waiting += size;
	late->has_new = true;
}

/* Whether what it waits for may be there, or may now be asked for. */
static bool is_worth_trying(const struct late *late, const struct waiting *waiting, uint64_t now_ns)
{
	uint32_t file = waiting->file;

	if (file == WALK_FILE_NONE)
		return waiting->tried_ns == 0 || now_ns > waiting->tried_ns + MAPPING_RETRY_NS;
	return late->options.memory.files[file].state != WALK_FILE_EXPECTED ||
	       unwind_files_wants(late->options.files, file);
}

static void try_all(struct late *late, bool is_last, uint64_t now_ns)
{
	struct waiting **link = &late->first;

	while (*link) {
		struct waiting *waiting = *link;
		uint64_t age_ns = now_ns > waiting->since_ns ? now_ns - waiting->since_ns : 0;
		bool is_late = is_last || age_ns > AGE_MAX_NS;

		if (is_late || is_worth_trying(late, waiting, now_ns)) {
			waiting->tried_ns = now_ns;
			if (try(late, &waiting->event, age_ns, now_ns, is_late, &waiting->file)) {
				take_out(late, link);
				continue;
			}
		}
		link = &waiting->next;
	}
}

void late_tick(struct late *late, uint64_t now_ns)
{
	uint64_t changes = unwind_files_changes(late->options.files);

	if (!late->has_new && changes == late->seen_changes &&
	    now_ns <= late->looked_ns + MAPPING_RETRY_NS)
		return;
	late->has_new = false;
	late->seen_changes = changes;
	late->looked_ns = now_ns;
	try_all(late, false, now_ns);
}

void late_finish(struct late *late, uint64_t now_ns)
{
	try_all(late, true, now_ns);
}

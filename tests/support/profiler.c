/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/profiler.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/unwind_table.h"
#include "collector/cpus.h"
#include "collector/processes.h"
#include "collector/sampler.h"
#include "collector/sideband.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_maker.h"

enum { TABLE_SIZE_MAX = 64 << 20 };

struct question {
	struct question *next;
	uint32_t number;
	struct identity identity;
	int fd;
	int err; /* of the answer */
	struct buf table;
};

struct table_maker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct question *asked, *answered;
	bool ends;
};

static void on_walked(void *context, const struct event *event)
{
	struct profiler *profiler = context;

	profiler->options.handler(profiler->options.context, event);
}

static void on_event(void *context, const struct event *event)
{
	struct profiler *profiler = context;

	if (event->raw_stack_size > 0)
		unwinder_add(profiler->unwinder, event, clock_boot_ns());
	else
		on_walked(profiler, event);
}

static void on_record(void *context, const struct sideband_record *record)
{
	processes_note(((struct profiler *)context)->processes, record);
}

/* Answered later, as over the link. */
static int on_ask(void *context, uint32_t number, const struct identity *identity, int fd)
{
	struct table_maker *maker = ((struct profiler *)context)->maker;
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		return -ENOMEM;
	*question = (struct question){ .number = number,
				       .identity = *identity,
				       .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
				       .table = BUF(TABLE_SIZE_MAX) };
	pthread_mutex_lock(&maker->lock);
	/* Who asked first is answered first, as by the server. */
	struct question **link = &maker->asked;

	while (*link)
		link = &(*link)->next;
	*link = question;
	pthread_cond_signal(&maker->changed);
	pthread_mutex_unlock(&maker->lock);
	return 0;
}

static void make_table(struct question *question)
{
	autoclean(elf_file) struct elf_file *elf = NULL;

	question->err = elf_file_open(question->fd, &elf);
	if (!question->err)
		question->err = unwind_maker_make(elf, NULL, &question->identity, &question->table);
}

static void *make_tables(void *context)
{
	struct table_maker *maker = context;

	pthread_mutex_lock(&maker->lock);
	while (!maker->ends) {
		struct question *question = maker->asked;

		if (!question) {
			pthread_cond_wait(&maker->changed, &maker->lock);
			continue;
		}
		maker->asked = question->next;
		pthread_mutex_unlock(&maker->lock);
		make_table(question);
		pthread_mutex_lock(&maker->lock);
		question->next = maker->answered;
		maker->answered = question;
	}
	pthread_mutex_unlock(&maker->lock);
	return NULL;
}

static void free_questions(struct question *question)
{
	while (question) {
		struct question *next = question->next;

		close(question->fd);
		buf_done(&question->table);
		free(question);
		question = next;
	}
}

static void take_answers(struct profiler *profiler)
{
	struct table_maker *maker = profiler->maker;

	pthread_mutex_lock(&maker->lock);

	struct question *answers = TAKE(maker->answered);

	pthread_mutex_unlock(&maker->lock);
	for (struct question *q = answers; q; q = q->next) {
		if (q->err)
			unwinder_take_refusal(profiler->unwinder, q->number, &q->identity, q->err);
		else
			unwinder_take_table(profiler->unwinder, q->number, q->table.bytes,
					    q->table.size);
	}
	free_questions(answers);
}

static bool start_maker(struct profiler *profiler)
{
	struct table_maker *maker = calloc(1, sizeof(*maker));

	if (!maker)
		return false;
	pthread_mutex_init(&maker->lock, NULL);
	pthread_cond_init(&maker->changed, NULL);
	if (pthread_create(&maker->thread, NULL, make_tables, maker)) {
		free(maker);
		return false;
	}
	profiler->maker = maker;
	return true;
}

static void stop_maker(struct table_maker *maker)
{
	if (!maker)
		return;
	pthread_mutex_lock(&maker->lock);
	maker->ends = true;
	pthread_cond_signal(&maker->changed);
	pthread_mutex_unlock(&maker->lock);
	pthread_join(maker->thread, NULL);
	free_questions(maker->asked);
	free_questions(maker->answered);
	pthread_mutex_destroy(&maker->lock);
	pthread_cond_destroy(&maker->changed);
	free(maker);
}

bool profiler_start(struct profiler *profiler, const struct profiler_options *options,
		    char reason[static COLLECT_ERROR_SIZE])
{
	uint32_t cpus[CPU_COUNT_MAX], cpu_count;

	*profiler = (struct profiler){ .options = *options };

	struct sampler_options sampling = { .handler = on_event,
					    .context = profiler,
					    .check_period = options->check_period,
					    .measures = options->measures };

	if (sampler_load(&sampling, &profiler->sampler, reason))
		return false;

	struct unwinder_options unwinding = {
		.sampler = profiler->sampler,
		.size_max = options->size_max ? options->size_max : UNWIND_SIZE_MAX,
		.ask = on_ask,
		.done = on_walked,
		.context = profiler,
	};

	if (!start_maker(profiler) || unwinder_new(&unwinding, &profiler->unwinder) ||
	    processes_new(unwinder_spaces(profiler->unwinder), &profiler->processes) ||
	    unwinder_follow(profiler->unwinder, profiler->processes) ||
	    cpus_online(cpus, &cpu_count) ||
	    sideband_open(cpus, cpu_count, on_record, profiler, &profiler->sideband) ||
	    sampler_attach(profiler->sampler, options->frequency_hz, cpus, cpu_count, reason)) {
		profiler_stop(profiler);
		return false;
	}
	unwinder_connected(profiler->unwinder);
	/* As the collector does. */
	(void)setpriority(PRIO_PROCESS, 0, -10);
	return true;
}

void profiler_stop(struct profiler *profiler)
{
	stop_maker(profiler->maker);
	sideband_close(profiler->sideband);
	processes_free(profiler->processes);
	unwinder_free(profiler->unwinder);
	sampler_free(profiler->sampler);
	*profiler = (struct profiler){ 0 };
}

static void handle(struct profiler *profiler)
{
	(void)sampler_drain(profiler->sampler);
	sideband_drain(profiler->sideband);
	unwinder_update(profiler->unwinder, clock_boot_ns());
	take_answers(profiler);
}

void profiler_run(struct profiler *profiler, unsigned ms)
{
	uint64_t now = clock_boot_ns(), end = now + ms * (uint64_t)CLOCK_NS_PER_MS;

	while (now < end) {
		struct pollfd ready[] = {
			{ .fd = sampler_fd(profiler->sampler), .events = POLLIN },
			{ .fd = sideband_fd(profiler->sideband), .events = POLLIN },
		};
		uint64_t left_ms = (end - now) / (uint64_t)CLOCK_NS_PER_MS + 1;

		(void)poll(ready, 2, left_ms < 10 ? (int)left_ms : 10);
		now = clock_boot_ns();
		unwinder_tick(profiler->unwinder, now);
		handle(profiler);
		processes_sweep(profiler->processes, now);
	}
}

void profiler_finish(struct profiler *profiler)
{
	/* What is asked for now is there in a moment. */
	profiler_run(profiler, 300);
	unwinder_finish(profiler->unwinder, clock_boot_ns());
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/collect.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hangup.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/parse.h"
#include "collector/aggregator.h"
#include "collector/cpus.h"
#include "collector/debug_files.h"
#include "collector/exclusions.h"
#include "collector/jit_files.h"
#include "collector/kernel_watch.h"
#include "collector/pace.h"
#include "collector/privileges.h"
#include "collector/processes.h"
#include "collector/promptness.h"
#include "collector/sampler.h"
#include "collector/shipper.h"
#include "collector/sideband.h"
#include "collector/unwinder.h"

enum {
	RESTART_CODE = 75,	     /* "start me again" (EX_TEMPFAIL) */
	EARLY_SIZE_MAX = 4 << 20,    /* a tick's samples of 64 CPUs at 997 Hz, 500 bytes each */
	UNTOLD_COUNT_MAX = 4096,     /* beyond, they count as late */
	BACKLOG_SIZE_MAX = 16 << 20, /* two minutes of a host of 64 CPUs, an hour of a small one */
};

#define TICK_NS (UINT64_C(100) * CLOCK_NS_PER_MS)
/* Between two drainings of the kernel's records: a quarter of what a mapping may take, since who
 * rests has to wait for a CPU once more. */
#define RECORDS_NS ((uint64_t)CLOCK_NS_PER_MS / 2)
/* What a mapping may take until the walk knows of it. */
#define TELL_NS_MAX (UINT64_C(2) * CLOCK_NS_PER_MS)
#define CPU_LOOK_NS (UINT64_C(5) * (uint64_t)CLOCK_NS_PER_S)

struct collector {
	struct settings *settings;
	struct hangup hangup;
	struct sampler *sampler;
	struct sideband *sideband;
	struct processes *processes;
	struct aggregator *aggregator;
	struct exclusions *exclusions;
	struct shipper *shipper;
	struct unwinder *unwinder;
	int epoll, timer, signals;
	struct kernel_watch kernel_watch;
	struct buf early; /* events of the next window, whole, one after the other */

	uint64_t id;
	uint8_t boot_id[16];
	uint64_t sequence;
	uint32_t cpus[CPU_COUNT_MAX];
	uint32_t cpu_count;
	struct pace pace;
	uint64_t last_records_boot_ns;
	uint64_t last_cpu_look_boot_ns;
	uint64_t watchdog_ns, last_told_ns; /* of a manager that watches, monotonic; 0: none */
	uint8_t gap;			    /* enum gap_reason, before the running window */
	uint64_t counted[COUNTER_COUNT];    /* of the sampler's counters, what windows have told
					       already */
	uint64_t ring_full[2];		    /* that counter, as it was one tick ago and two */
	uint64_t told_walks[WALK_FIGURE_COUNT];
	/* Mappings that the walk will know of in a moment. */
	struct {
		uint64_t boot_ns;
		bool is_found; /* by the walk itself */
	} untold[UNTOLD_COUNT_MAX];
	uint32_t untold_count;
	uint64_t mappings_told, mappings_late, mappings_late_found, mappings_told_ns;
	uint64_t mappings_told_within[WALK_TOLD_WITHIN_COUNT];
	uint64_t told_sideband_losses, told_given_up_samples;
};

static void collector_done(struct collector *collector)
{
	shipper_free(collector->shipper);
	aggregator_free(collector->aggregator);
	exclusions_free(collector->exclusions);
	sideband_close(collector->sideband);
	processes_free(collector->processes);
	unwinder_free(collector->unwinder);
	sampler_free(collector->sampler);
	buf_done(&collector->early);
	if (collector->epoll >= 0)
		close(collector->epoll);
	if (collector->timer >= 0)
		close(collector->timer);
	if (collector->signals >= 0)
		close(collector->signals);
}

static void collector_cleanup(struct collector *collector)
{
	collector_done(collector);
}

/*
 * Windows are of one length to the nanosecond, so that rates over few of them are right. What the
 * ring holds beyond a window's end waits until that window is finished; without room it counts a
 * little early.
 */
static void count_event(void *context, const struct event *event)
{
	struct collector *collector = context;

	if (pace_is_early(&collector->pace, event->boot_ns)) {
		size_t size = collector->early.size;

		buf_add(&collector->early, event, event_size(event));
		if (!collector->early.error)
			return;
		collector->early.error = 0;
		collector->early.size = size;
	}
	aggregator_add(collector->aggregator, event);
}

static void handle_event(void *context, const struct event *event)
{
	struct collector *collector = context;

	pace_sample(&collector->pace, event->boot_ns);
	if (event->raw_stack_size > 0)
		unwinder_add(collector->unwinder, event, clock_boot_ns());
	else
		count_event(collector, event);
}

/* Those from before this time; the others stay. */
static void count_early_events(struct collector *collector, uint64_t until_boot_ns)
{
	struct buf *early = &collector->early;
	size_t kept = 0;

	for (size_t at = 0, size; at < early->size; at += size) {
		const struct event *event = (const void *)(early->bytes + at);

		size = event_size(event);
		if (event->boot_ns < until_boot_ns) {
			aggregator_add(collector->aggregator, event);
		} else {
			memmove(early->bytes + kept, early->bytes + at, size);
			kept += size;
		}
	}
	early->size = kept;
}

static void handle_record(void *context, const struct sideband_record *record)
{
	struct collector *collector = context;

	if (record->kind == SIDEBAND_KERNEL_SYMBOL) {
		kernel_watch_note(&collector->kernel_watch);
		return;
	}
	/* Of a process that our pid namespace does not show. */
	if (record->pid == 0 || record->pid == UINT32_MAX)
		return;
	processes_note(collector->processes, record);
	if (record->kind != SIDEBAND_MAPPED)
		return;
	if (collector->untold_count == UNTOLD_COUNT_MAX) {
		collector->mappings_told++;
		collector->mappings_late++;
	} else {
		collector->untold[collector->untold_count].boot_ns = record->boot_ns;
		collector->untold[collector->untold_count++].is_found =
			unwinder_finds(collector->unwinder, record);
	}
}

/* The walk gets to know what was noted. */
static void tell_walk(struct collector *collector)
{
	unwinder_update(collector->unwinder, clock_boot_ns());

	uint64_t now = clock_boot_ns();

	for (uint32_t i = 0; i < collector->untold_count; i++) {
		uint64_t took_ns = now - collector->untold[i].boot_ns;

		collector->mappings_late += took_ns > TELL_NS_MAX;
		collector->mappings_late_found +=
			took_ns > TELL_NS_MAX && collector->untold[i].is_found;
		collector->mappings_told_ns += took_ns;
		for (unsigned n = 0; n < WALK_TOLD_WITHIN_COUNT; n++)
			collector->mappings_told_within[n] +=
				took_ns <= walk_told_us(n) * UINT64_C(1000);
	}
	collector->mappings_told += collector->untold_count;
	collector->untold_count = 0;
}

static int open_file(void *context, const struct identity *identity, int *ret_fd)
{
	struct collector *collector = context;

	return processes_open_file(collector->processes, identity, ret_fd);
}

static int open_debug(void *context, const struct identity *identity, const struct identity *wanted,
		      struct str name, int *ret_fd)
{
	struct collector *collector = context;

	return debug_files_open(collector->processes, identity, wanted, name, ret_fd);
}

static int open_jit(void *context, const struct process_key *process, uint8_t *ret_kind,
		    int *ret_fd)
{
	struct collector *collector = context;

	return jit_files_open(collector->processes, process, ret_kind, ret_fd);
}

static int ask_table(void *context, uint32_t number, const struct identity *identity, int fd)
{
	return shipper_ask_table(((struct collector *)context)->shipper, number, identity, fd);
}

static void handle_connection(void *context)
{
	struct collector *collector = context;

	unwinder_connected(collector->unwinder);
	kernel_watch_sent(&collector->kernel_watch);
}

static void handle_table(void *context, uint64_t number, const void *bytes, size_t size)
{
	unwinder_take_table(((struct collector *)context)->unwinder, number, bytes, size);
}

static void handle_refusal(void *context, uint64_t number, const struct identity *identity, int err)
{
	unwinder_take_refusal(((struct collector *)context)->unwinder, number, identity, err);
}

/* "8c1f…-…": a random id of this boot, proc(5). */
static int read_boot_id(uint8_t id[static 16])
{
	char text[64];
	autoclose int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t size = file < 0 ? -1 : read(file, text, sizeof(text));
	unsigned digits = 0;

	if (size < 0)
		return -errno;
	for (ssize_t i = 0; i < size && digits < 32; i++) {
		uint64_t digit;

		if (text[i] == '-')
			continue;
		if (parse_hex((struct str){ &text[i], 1 }, &digit))
			break;
		id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
		digits++;
	}
	return digits == 32 ? 0 : -EBADMSG;
}

static int watch(struct collector *collector, int fd)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(collector->epoll, EPOLL_CTL_ADD, fd, &interest) ? -errno : 0;
}

static int make_processes(struct collector *collector)
{
	struct unwinder_options options = {
		.sampler = collector->sampler,
		.size_max = collector->settings->unwind_memory,
		.ask = ask_table,
		.done = count_event,
		.context = collector,
	};
	int err = unwinder_new(&options, &collector->unwinder);

	if (!err)
		err = processes_new(unwinder_spaces(collector->unwinder), &collector->processes);
	if (!err)
		err = unwinder_follow(collector->unwinder, collector->processes);
	if (!err)
		err = aggregator_new(collector->processes, &collector->aggregator);
	return err;
}

static int open_events(struct collector *collector, char reason[static COLLECT_ERROR_SIZE])
{
	static_assert((int)COLLECT_ERROR_SIZE >= (int)SAMPLER_ERROR_SIZE,
		      "one passes the other's text on");

	int err = cpus_online(collector->cpus, &collector->cpu_count);

	if (err) {
		snprintf(reason, COLLECT_ERROR_SIZE, "cannot tell which CPUs are online: %s",
			 strerror(-err));
		return err;
	}
	err = sampler_load(
		&(struct sampler_options){ .handler = handle_event, .context = collector },
		&collector->sampler, reason);
	if (err)
		return err;
	err = make_processes(collector);
	if (err) {
		snprintf(reason, COLLECT_ERROR_SIZE, "cannot start collecting: %s", strerror(-err));
		return err;
	}
	/* Records of what happens come first, so that a process which starts now is not missed. */
	err = sideband_open(collector->cpus, collector->cpu_count, handle_record, collector,
			    &collector->sideband);
	if (err) {
		snprintf(reason, COLLECT_ERROR_SIZE, "cannot follow what processes map: %s%s",
			 strerror(-err),
			 err == -EPERM || err == -EACCES ? "; start it as root, or with CAP_PERFMON"
							 : "");
		return err;
	}
	return sampler_attach(collector->sampler, collector->settings->frequency_hz,
			      collector->cpus, collector->cpu_count, reason);
}

static int open_plumbing(struct collector *collector)
{
	sigset_t mask;
	struct itimerspec ticks = { .it_interval = { .tv_nsec = TICK_NS },
				    .it_value = { .tv_nsec = TICK_NS } };
	int err = 0;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);

	collector->epoll = epoll_create1(EPOLL_CLOEXEC);
	collector->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	collector->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (collector->epoll < 0 || collector->timer < 0 || collector->signals < 0 ||
	    timerfd_settime(collector->timer, 0, &ticks, NULL))
		return -errno;
	for (int i = 0; i < 2 && !err; i++)
		err = watch(collector, i ? collector->timer : collector->signals);
	return err;
}

static int make_shipper(struct collector *collector)
{
	char path[SETTING_TEXT_SIZE + 32];
	int err = settings_socket_path(collector->settings, path, sizeof(path));

	if (err)
		return err;

	struct shipper_options options = {
		.socket_path = path,
		.collector = collector->id,
		.backlog_size_max = BACKLOG_SIZE_MAX,
		.open_file = open_file,
		.open_debug = open_debug,
		.open_jit = open_jit,
		.connected = handle_connection,
		.table = handle_table,
		.no_table = handle_refusal,
		.context = collector,
	};

	memcpy(options.boot_id, collector->boot_id, sizeof(options.boot_id));
	return shipper_new(&options, &collector->shipper);
}

/* How the walks went since the window before. */
static void fill_in_walks(struct collector *collector, const uint64_t counters[COUNTER_COUNT],
			  struct window *window)
{
	struct unwinder_stats stats;

	unwinder_stats(collector->unwinder, &stats);

	uint64_t figures[WALK_FIGURE_COUNT] = {
		[WALK_CHECKED] = counters[COUNTER_CHECKED],
		[WALK_DIFFERENT] = counters[COUNTER_DIFFERENT],
		[WALK_LATE] = stats.late.walked,
		[WALK_LATE_EXPIRED] = stats.late.expired,
		[WALK_LATE_CROWDED] = stats.late.crowded,
		[WALK_LATE_LEFT_OUT] = counters[COUNTER_RAW_LEFT_OUT],
		[WALK_TABLES_ASKED] = stats.files.asked,
		[WALK_TABLES_PUT] = stats.files.put,
		[WALK_TABLES_EVICTED] = stats.files.evicted,
		[WALK_TABLES_NO_ROOM] = stats.files.no_room,
		[WALK_PROCESSES_LEFT_OUT] = stats.spaces.process_table_full + stats.spaces.no_room,
		[WALK_TABLES_HELD] = stats.files.tables,
		[WALK_MEMORY_USED] = stats.memory.used,
		[WALK_MEMORY_MAX] = stats.memory.size_max,
		[WALK_MAPPINGS_TOLD] = collector->mappings_told,
		[WALK_MAPPINGS_LATE] = collector->mappings_late,
		[WALK_EXCLUDED] = aggregator_excluded(collector->aggregator),
		[WALK_TOLD_NS] = collector->mappings_told_ns,
		[WALK_BY_KERNEL] = counters[COUNTER_BY_KERNEL],
		/* On a kernel that walks can ask. */
		[WALK_MAPPINGS_LATE_FOUND] =
			counters[COUNTER_BY_KERNEL] ? collector->mappings_late_found : 0,
	};

	memcpy(&figures[WALK_TOLD_WITHIN], collector->mappings_told_within,
	       sizeof(collector->mappings_told_within));
	memcpy(window->walk_figures, figures, sizeof(figures));
	for (unsigned i = 0; i < WALK_FIGURE_COUNT; i++) {
		if (!walk_figure_is_count(i))
			continue;
		window->walk_figures[i] -= collector->told_walks[i];
		collector->told_walks[i] = figures[i];
	}
}

/* What the window says of itself, and the losses since the one before. */
static void fill_in(struct collector *collector, struct window *window)
{
	uint64_t counters[COUNTER_COUNT];
	uint64_t sideband_losses = sideband_lost(collector->sideband);
	struct shipper_stats shipped;

	window->collector = collector->id;
	window->sequence = ++collector->sequence;
	memcpy(window->boot_id, collector->boot_id, sizeof(window->boot_id));
	window->boot_to_unix_ns = clock_unix_ns() - (int64_t)clock_boot_ns();
	window->frequency_hz = (uint32_t)collector->settings->frequency_hz;
	window->cpu_count = collector->cpu_count;
	window->gap = collector->gap;
	collector->gap = GAP_NONE;
	sampler_counters(collector->sampler, counters);
	window->losses[LOSS_RING_FULL] +=
		counters[COUNTER_RING_FULL] - collector->counted[COUNTER_RING_FULL];
	window->losses[LOSS_UNREADABLE] +=
		counters[COUNTER_UNREADABLE] - collector->counted[COUNTER_UNREADABLE];
	memcpy(collector->counted, counters, sizeof(counters));
	fill_in_walks(collector, counters, window);
	window->losses[LOSS_SIDEBAND] += sideband_losses - collector->told_sideband_losses;
	collector->told_sideband_losses = sideband_losses;
	shipper_stats(collector->shipper, &shipped);
	window->losses[LOSS_BACKLOG_FULL] +=
		shipped.given_up_samples - collector->told_given_up_samples;
	if (shipped.given_up_samples > collector->told_given_up_samples)
		window->gap = GAP_GIVEN_UP;
	collector->told_given_up_samples = shipped.given_up_samples;
}

static void finish_window(struct collector *collector, uint64_t start_boot_ns,
			  const struct pace_step *step)
{
	count_early_events(collector, step->takes_until_boot_ns);

	struct window *window =
		aggregator_window(collector->aggregator, start_boot_ns, step->end_boot_ns);

	fill_in(collector, window);
	unwinder_note_window(collector->unwinder, window);
	/* Before the window, whose addresses are of the kernel as it is now. */
	if (kernel_watch_tick(&collector->kernel_watch, "/proc/modules", step->end_boot_ns) &&
	    shipper_send_kernel(collector->shipper))
		kernel_watch_note(&collector->kernel_watch);

	int err = shipper_push(collector->shipper, window);

	if (err)
		log_warning_errno(err, "a window of %llu samples is lost",
				  (unsigned long long)window->sample_count);
	aggregator_clear(collector->aggregator);
	processes_sweep(collector->processes, step->next_boot_ns);
	if (step->gap != GAP_NONE)
		collector->gap = step->gap;
	count_early_events(collector, step->next_boot_ns + PACE_WINDOW_NS);
}

static void drain(struct collector *collector)
{
	/* Samples first: records of what they lie in are then all here. */
	(void)sampler_drain(collector->sampler);
	sideband_drain(collector->sideband);
	aggregator_meet_processes(collector->aggregator);
	tell_walk(collector);
}

/*
 * Mappings are told to the walk within two milliseconds of the kernel's record. A program that
 * starts leaves a dozen records in one: those are taken together.
 */
static void follow_records(struct collector *collector)
{
	uint64_t now = clock_boot_ns();
	uint64_t next = collector->last_records_boot_ns + RECORDS_NS;

	if (now < next) {
		struct timespec rest = { .tv_nsec = (long)(next - now) };

		(void)nanosleep(&rest, NULL);
		now = clock_boot_ns();
	}
	collector->last_records_boot_ns = now;
	sideband_drain(collector->sideband);
	tell_walk(collector);
}

/*
 * Whether the ring was full since the tick before the last. We may have been stopped anywhere in a
 * tick, also between its look at the clock and this one at the counter; and what the windows have
 * told says nothing, since a stop may end just before one is finished.
 */
static bool has_lost_samples(struct collector *collector)
{
	uint64_t counters[COUNTER_COUNT];
	uint64_t before = collector->ring_full[1];

	sampler_counters(collector->sampler, counters);
	collector->ring_full[1] = collector->ring_full[0];
	collector->ring_full[0] = counters[COUNTER_RING_FULL];
	return counters[COUNTER_RING_FULL] > before;
}

static void tick(struct collector *collector)
{
	uint64_t start = collector->pace.window_start_boot_ns;
	uint64_t now = clock_boot_ns();
	bool has_lost = has_lost_samples(collector);
	struct pace_step step;

	unwinder_tick(collector->unwinder, now);
	drain(collector);
	step = pace_tick(&collector->pace, now, clock_monotonic_ns(), has_lost);
	if (step.ends)
		finish_window(collector, start, &step);
}

/* Whether a CPU is there now that we have no event on. */
static bool has_new_cpu(struct collector *collector, uint64_t now)
{
	uint32_t cpus[CPU_COUNT_MAX], cpu_count;

	if (now - collector->last_cpu_look_boot_ns < CPU_LOOK_NS)
		return false;
	collector->last_cpu_look_boot_ns = now;
	if (cpus_online(cpus, &cpu_count))
		return false;
	return !cpus_include(collector->cpus, collector->cpu_count, cpus, cpu_count);
}

/* As the settings say now. What is no good leaves in force what was. */
static int exclude(struct collector *collector)
{
	struct exclusions *exclusions = NULL;
	char reason[EXCLUSIONS_ERROR_SIZE];
	int err = exclusions_new(collector->settings, &exclusions, reason);

	if (err) {
		log_error("%s", reason);
		return err;
	}
	aggregator_exclude(collector->aggregator, exclusions);
	exclusions_free(collector->exclusions);
	collector->exclusions = exclusions;
	return 0;
}

/*
 * The exit code, or -1 to go on. Another frequency takes events that are opened anew: a period that
 * is changed in one that runs is not what its samples say they weigh.
 */
static int handle_signal(struct collector *collector)
{
	uint64_t frequency_hz = collector->settings->frequency_hz;
	struct signalfd_siginfo signal;

	if (read(collector->signals, &signal, sizeof(signal)) != (ssize_t)sizeof(signal))
		return -1;
	if (signal.ssi_signo != SIGHUP ||
	    hangup_handle(&collector->hangup, collector->settings) == HANGUP_STOP)
		return 0;
	(void)exclude(collector);
	if (collector->settings->frequency_hz == frequency_hz)
		return -1;
	log_notice("starting again to sample %llu times a second",
		   (unsigned long long)collector->settings->frequency_hz);
	/* What is still to be told was sampled at this one. */
	collector->settings->frequency_hz = frequency_hz;
	return RESTART_CODE;
}

/* A manager that watches hears from us when a tick is done with: the loop goes round. */
static void tell_watchdog(struct collector *collector)
{
	uint64_t now = clock_monotonic_ns();

	if (!collector->watchdog_ns || now - collector->last_told_ns < collector->watchdog_ns / 4)
		return;
	collector->last_told_ns = now;
	(void)notify_manager("WATCHDOG=1");
}

static int run(struct collector *collector)
{
	enum { READY_COUNT = 8 };

	while (true) {
		struct epoll_event ready[READY_COUNT];
		int count = epoll_wait(collector->epoll, ready, READY_COUNT, -1);
		bool is_tick = false, has_samples = false, has_records = false;

		if (count < 0 && errno != EINTR)
			return log_error_errno(-errno, "cannot wait for events"), EX_OSERR;
		for (int i = 0; i < count; i++) {
			uint64_t expirations;

			if (ready[i].data.fd == collector->signals) {
				int code = handle_signal(collector);

				if (code >= 0)
					return code;
			}
			if (ready[i].data.fd == collector->timer)
				is_tick = read(collector->timer, &expirations,
					       sizeof(expirations)) > 0;
			has_samples |= ready[i].data.fd == sampler_fd(collector->sampler);
			has_records |= ready[i].data.fd == sideband_fd(collector->sideband);
		}
		if (has_records)
			follow_records(collector);
		if (is_tick)
			tick(collector);
		else if (has_samples)
			drain(collector);

		int err = shipper_handle(collector->shipper, clock_monotonic_ns());

		if (err == -EPROTONOSUPPORT) {
			log_error(
				"the server is of another version of hearth; start both from one");
			return EX_UNAVAILABLE;
		}
		if (is_tick)
			tell_watchdog(collector);
		if (is_tick && has_new_cpu(collector, clock_boot_ns())) {
			log_notice("a CPU came online, starting again to sample it");
			return RESTART_CODE;
		}
	}
}

/* The last window of a clean stop; the server has a moment to take it. */
static void ship_the_rest(struct collector *collector)
{
	uint64_t now = clock_boot_ns();
	uint64_t deadline = clock_monotonic_ns() + UINT64_C(200) * CLOCK_NS_PER_MS;
	struct shipper_stats shipped;

	drain(collector);
	unwinder_finish(collector->unwinder, now);
	finish_window(collector, collector->pace.window_start_boot_ns,
		      &(struct pace_step){ .ends = true,
					   .end_boot_ns = now,
					   .next_boot_ns = now,
					   .takes_until_boot_ns = UINT64_MAX });
	do {
		struct epoll_event ready;

		(void)shipper_handle(collector->shipper, clock_monotonic_ns());
		shipper_stats(collector->shipper, &shipped);
		if (!shipped.connected || shipped.acknowledged + shipped.given_up == shipped.pushed)
			break;
		(void)epoll_wait(collector->epoll, &ready, 1, 20);
	} while (clock_monotonic_ns() < deadline);
}

int collect_main(const struct settings *caller_settings)
{
	/* Not on the stack, which is to be short: ours is walked as well. */
	static struct settings settings;
	autoclean(collector) struct collector collector = {
		.settings = &settings,
		.hangup = hangup_init(),
		.epoll = -1,
		.timer = -1,
		.signals = -1,
		.early = BUF(EARLY_SIZE_MAX),
	};
	char reason[COLLECT_ERROR_SIZE] = "";
	int err = read_boot_id(collector.boot_id);

	settings = *caller_settings;
	while (!err && collector.id == 0)
		if (getrandom(&collector.id, sizeof(collector.id), 0) < 0)
			err = -errno;
	if (!err)
		err = open_plumbing(&collector);
	if (!err)
		err = make_shipper(&collector);
	if (err)
		return log_error_errno(err, "cannot start collecting"), EX_OSERR;

	if (open_events(&collector, reason)) {
		log_error("cannot profile this host: %s", reason);
		return EX_UNAVAILABLE;
	}
	if (exclude(&collector))
		return EX_CONFIG;
	if (settings.followed_pid) {
		processes_follow(collector.processes, settings.followed_pid);
		aggregator_follow(collector.aggregator);
	}
	/* What happens is told to the walk soon, also when all CPUs are busy. Without the right for
	 * it, a little later. */
	promptness_ask();
	err = privileges_drop();
	if (err)
		return log_error_errno(err, "cannot give up rights"), EX_NOPERM;
	err = watch(&collector, sideband_fd(collector.sideband));
	if (!err)
		err = watch(&collector, sampler_fd(collector.sampler));
	if (!err)
		err = watch(&collector, shipper_fd(collector.shipper));
	if (err)
		return log_error_errno(err, "cannot wait for events"), EX_OSERR;

	uint64_t now = clock_boot_ns();

	pace_start(&collector.pace, now, clock_monotonic_ns());
	collector.last_cpu_look_boot_ns = now;
	collector.gap = GAP_NOT_RUNNING;
	log_info("sampling %u CPUs %llu times a second", collector.cpu_count,
		 (unsigned long long)settings.frequency_hz);
	if (!settings.is_supervised) {
		collector.watchdog_ns = notify_watchdog_ns();
		(void)notify_manager("READY=1\nSTATUS=sampling %u CPUs %llu times a second",
				     collector.cpu_count,
				     (unsigned long long)settings.frequency_hz);
	}

	int code = run(&collector);

	ship_the_rest(&collector);
	return code;
}

static void ignore_event(void *context, const struct event *event)
{
	(void)context;
	(void)event;
}

int collect_probe(char reterr[static COLLECT_ERROR_SIZE])
{
	autoclean(sampler) struct sampler *sampler = NULL;
	uint32_t cpus[CPU_COUNT_MAX], cpu_count;
	int err = cpus_online(cpus, &cpu_count);

	if (err) {
		snprintf(reterr, COLLECT_ERROR_SIZE, "cannot tell which CPUs are online: %s",
			 strerror(-err));
		return err;
	}
	err = sampler_load(&(struct sampler_options){ .handler = ignore_event }, &sampler, reterr);
	if (err)
		return err;
	return sampler_attach(sampler, 1, cpus, 1, reterr);
}

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
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hangup.h"
#include "base/log.h"
#include "base/parse.h"
#include "collector/aggregator.h"
#include "collector/cpus.h"
#include "collector/privileges.h"
#include "collector/processes.h"
#include "collector/sampler.h"
#include "collector/shipper.h"
#include "collector/sideband.h"

enum {
	RESTART_CODE = 75,	     /* "start me again" (EX_TEMPFAIL) */
	EARLY_SIZE_MAX = 4 << 20,    /* a tick's samples of 64 CPUs at 997 Hz, 500 bytes each */
	BACKLOG_SIZE_MAX = 16 << 20, /* two minutes of a host of 64 CPUs, an hour of a small one */
};

#define TICK_NS	    (UINT64_C(100) * CLOCK_NS_PER_MS)
#define WINDOW_NS   ((uint64_t)CLOCK_NS_PER_S)
#define CPU_LOOK_NS (UINT64_C(5) * (uint64_t)CLOCK_NS_PER_S)
/* Clocks that drift apart by so much say that the host slept. */
#define SLEEP_NS (INT64_C(500) * CLOCK_NS_PER_MS)
/* A tick that comes so late means that we did not get to run. */
#define STALL_NS (UINT64_C(3) * (uint64_t)CLOCK_NS_PER_S)

struct collector {
	struct settings *settings;
	struct hangup hangup;
	struct sampler *sampler;
	struct sideband *sideband;
	struct processes *processes;
	struct aggregator *aggregator;
	struct shipper *shipper;
	int epoll, timer, signals;
	struct buf early; /* events of the next window, whole, one after the other */

	uint64_t id;
	uint8_t boot_id[16];
	uint64_t sequence;
	uint32_t cpus[CPU_COUNT_MAX];
	uint32_t cpu_count;
	uint64_t window_start_boot_ns;
	uint64_t last_sample_boot_ns;
	uint64_t last_tick_boot_ns;
	int64_t slept_ns; /* boot time minus monotonic time, when last looked at */
	uint64_t last_cpu_look_boot_ns;
	uint8_t gap;			 /* enum gap_reason, before the running window */
	uint64_t counted[COUNTER_COUNT]; /* of the sampler's counters, what windows have told
					    already */
	uint64_t told_sideband_losses, told_given_up_samples;
};

static void collector_done(struct collector *collector)
{
	shipper_free(collector->shipper);
	aggregator_free(collector->aggregator);
	sideband_close(collector->sideband);
	sampler_free(collector->sampler);
	processes_free(collector->processes);
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

static size_t event_size(const struct event *event)
{
	return EVENT_HEADER_SIZE + sizeof(event->frames[0]) * ((size_t)event->kernel_frame_count +
							       event->user_frame_count);
}

/*
 * Windows are of one length to the nanosecond, so that rates over few of them are right. What the
 * ring holds beyond a window's end waits until that window is finished; without room it counts a
 * little early.
 */
static void handle_event(void *context, const struct event *event)
{
	struct collector *collector = context;

	if (event->boot_ns > collector->last_sample_boot_ns)
		collector->last_sample_boot_ns = event->boot_ns;
	if (event->boot_ns >= collector->window_start_boot_ns + WINDOW_NS) {
		size_t size = collector->early.size;

		buf_add(&collector->early, event, event_size(event));
		if (!collector->early.error)
			return;
		collector->early.error = 0;
		collector->early.size = size;
	}
	aggregator_add(collector->aggregator, event);
}

static void count_early_events(struct collector *collector)
{
	size_t at = 0;

	while (at < collector->early.size) {
		const struct event *event = (const void *)(collector->early.bytes + at);

		at += event_size(event);
		aggregator_add(collector->aggregator, event);
	}
	buf_clear(&collector->early);
}

static void handle_record(void *context, const struct sideband_record *record)
{
	struct collector *collector = context;

	processes_note(collector->processes, record);
}

static int open_file(void *context, const struct identity *identity, int *ret_fd)
{
	struct collector *collector = context;

	return processes_open_file(collector->processes, identity, ret_fd);
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
	err = sampler_load(handle_event, collector, &collector->sampler, reason);
	if (err)
		return err;
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
		.context = collector,
	};

	memcpy(options.boot_id, collector->boot_id, sizeof(options.boot_id));
	return shipper_new(&options, &collector->shipper);
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
	if (sampler_counters(collector->sampler, counters) == 0) {
		window->losses[LOSS_RING_FULL] +=
			counters[COUNTER_RING_FULL] - collector->counted[COUNTER_RING_FULL];
		window->losses[LOSS_UNREADABLE] +=
			counters[COUNTER_UNREADABLE] - collector->counted[COUNTER_UNREADABLE];
		memcpy(collector->counted, counters, sizeof(counters));
	}
	window->losses[LOSS_SIDEBAND] += sideband_losses - collector->told_sideband_losses;
	collector->told_sideband_losses = sideband_losses;
	shipper_stats(collector->shipper, &shipped);
	window->losses[LOSS_BACKLOG_FULL] +=
		shipped.given_up_samples - collector->told_given_up_samples;
	if (shipped.given_up_samples > collector->told_given_up_samples)
		window->gap = GAP_GIVEN_UP;
	collector->told_given_up_samples = shipped.given_up_samples;
}

static void finish_window(struct collector *collector, uint64_t end_boot_ns, uint64_t next_boot_ns)
{
	struct window *window = aggregator_window(collector->aggregator,
						  collector->window_start_boot_ns, end_boot_ns);

	fill_in(collector, window);

	int err = shipper_push(collector->shipper, window);

	if (err)
		log_warning_errno(err, "a window of %llu samples is lost",
				  (unsigned long long)window->sample_count);
	aggregator_clear(collector->aggregator);
	processes_sweep(collector->processes, next_boot_ns);
	collector->window_start_boot_ns = next_boot_ns;
	count_early_events(collector);
}

static void drain(struct collector *collector)
{
	/* Samples first: records of what they lie in are then all here. */
	(void)sampler_drain(collector->sampler);
	sideband_drain(collector->sideband);
	aggregator_meet_processes(collector->aggregator);
}

static void tick(struct collector *collector)
{
	uint64_t now = clock_boot_ns();
	int64_t slept =
		(int64_t)(now - clock_monotonic_ns()); /* about 0 on a host that never slept */
	uint64_t since_tick = now - collector->last_tick_boot_ns;
	uint64_t end = collector->window_start_boot_ns + WINDOW_NS;

	drain(collector);
	if (slept > collector->slept_ns + SLEEP_NS) {
		/* What was counted is from before the sleep. */
		finish_window(collector, collector->last_tick_boot_ns, now);
		collector->gap = GAP_SUSPENDED;
	} else if (since_tick > STALL_NS && collector->last_sample_boot_ns + STALL_NS / 2 < now &&
		   collector->last_sample_boot_ns >= collector->window_start_boot_ns) {
		/* The ring filled up while we were stopped; after its last sample nothing was kept.
		 */
		count_early_events(collector);
		finish_window(collector, collector->last_sample_boot_ns + 1, now);
		collector->gap = GAP_STOPPED;
	} else if (now >= end + WINDOW_NS) {
		/* Late by a whole window: one long one tells the same. */
		count_early_events(collector);
		finish_window(collector, now, now);
	} else if (now >= end) {
		finish_window(collector, end, end);
	}
	collector->slept_ns = slept;
	collector->last_tick_boot_ns = now;
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
	for (uint32_t i = 0; i < cpu_count; i++) {
		bool known = false;

		for (uint32_t j = 0; j < collector->cpu_count && !known; j++)
			known = collector->cpus[j] == cpus[i];
		if (!known)
			return true;
	}
	return false;
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
	if (collector->settings->frequency_hz == frequency_hz)
		return -1;
	log_notice("starting again to sample %llu times a second",
		   (unsigned long long)collector->settings->frequency_hz);
	/* What is still to be told was sampled at this one. */
	collector->settings->frequency_hz = frequency_hz;
	return RESTART_CODE;
}

static int run(struct collector *collector)
{
	enum { READY_COUNT = 8 };

	while (true) {
		struct epoll_event ready[READY_COUNT];
		int count = epoll_wait(collector->epoll, ready, READY_COUNT, -1);
		bool is_tick = false;

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
		}
		if (is_tick)
			tick(collector);
		else
			drain(collector);

		int err = shipper_handle(collector->shipper, clock_monotonic_ns());

		if (err == -EPROTONOSUPPORT) {
			log_error(
				"the server is of another version of hearth; start both from one");
			return EX_UNAVAILABLE;
		}
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
	count_early_events(collector);
	finish_window(collector, now, now);
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
	struct settings settings = *caller_settings;
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

	while (!err && collector.id == 0)
		if (getrandom(&collector.id, sizeof(collector.id), 0) < 0)
			err = -errno;
	if (!err)
		err = processes_new(&collector.processes);
	if (!err)
		err = aggregator_new(collector.processes, &collector.aggregator);
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

	collector.window_start_boot_ns = collector.last_tick_boot_ns = now;
	collector.last_cpu_look_boot_ns = now;
	collector.slept_ns = (int64_t)(now - clock_monotonic_ns());
	collector.gap = GAP_NOT_RUNNING;
	log_info("sampling %u CPUs %llu times a second", collector.cpu_count,
		 (unsigned long long)settings.frequency_hz);

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
	err = sampler_load(ignore_event, NULL, &sampler, reterr);
	if (err)
		return err;
	return sampler_attach(sampler, 1, cpus, 1, reterr);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/serve.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/hangup.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/parse.h"
#include "store/records.h"
#include "store/store.h"
#include "symbols/jit_processes.h"
#include "symbols/own_vdso.h"
#include "symbols/package.h"
#include "symbols/symbols.h"
#include "symbols/unwind_tables.h"
#include "symbols/upload_store.h"
#include "web/door.h"
#include "web/ingest.h"
#include "web/kept.h"
#include "web/label_rules.h"
#include "web/otlp_kits.h"
#include "web/page.h"
#include "web/receiver.h"
#include "web/scrubber.h"
#include "web/server.h"

static void tell_committed(void *context, uint64_t collector, uint64_t sequence)
{
	receiver_committed(context, collector, sequence);
}

static void tell_wish(void *context, const struct identity *identity)
{
	receiver_wish(context, identity);
}

static void describe_host(struct server *server)
{
	struct utsname name;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	server->started_unix_ms = clock_unix_ms();
	server->counters.collector_since_ms = server->started_unix_ms;
	server->counters.cpu_count = cpus > 0 ? (uint32_t)cpus : 1;
	if (gethostname(server->host_name, sizeof(server->host_name) - 1))
		server->host_name[0] = '\0';
	if (uname(&name) == 0)
		snprintf(server->kernel_release, sizeof(server->kernel_release), "%s",
			 name.release);
	if (server->settings->collector_reason[0]) {
		server->counters.collector_state = COLLECTOR_NO_RIGHTS;
		snprintf(server->collector_reason, sizeof(server->collector_reason), "%.255s",
			 server->settings->collector_reason);
	}
}

static struct store_limits serve_limits(const struct settings *settings)
{
	static_assert(STORE_BYTES_AUTOMATIC == SETTING_AUTO, "one number for both");

	struct store_limits limits = { .bytes = settings->retention_size };

	limits.age_ms[STORE_RAW] = (int64_t)(settings->retention_age_ns / CLOCK_NS_PER_MS);
	limits.age_ms[STORE_LATE] = limits.age_ms[STORE_RAW];
	/* Whoever wants to keep profiles for ever does not want to lose their sums. */
	if (settings->retention_age_ns)
		limits.age_ms[STORE_ROLLED] = (int64_t)(settings->rollup_age_ns / CLOCK_NS_PER_MS);
	return limits;
}

/*
 * What was handed in is found like debug files that are installed, before them: in a folder of
 * ours. Without it all else works.
 */
static void open_uploads(struct server *server, char *folders, size_t size)
{
	const struct settings *settings = server->settings;
	char path[SETTING_TEXT_SIZE + 16];
	int err = -EINVAL;

	snprintf(path, sizeof(path), "%s/uploads", settings->data);
	/* A colon would part it in two. */
	if (!strchr(path, ':'))
		err = upload_store_open(path, settings->upload_size, &server->uploads);
	if (err)
		log_warning_errno(err, "symbols can't be handed in: the folder '%s' is of no use",
				  path);
	snprintf(folders, size, "%s%s%s", err ? "" : path, err ? "" : ":", settings->debug_folders);
}

static int open_store(struct server *server)
{
	const struct settings *settings = server->settings;
	char path[SETTING_TEXT_SIZE + 16], folders[2 * SETTING_TEXT_SIZE + 32];

	bool made = false;
	int err = folder_make(settings->data, 0700, &made);

	if (err)
		return log_error_errno(
			err, "cannot make the data folder '%s'; choose another with --data DIR",
			settings->data);
	open_uploads(server, folders, sizeof(folders));
	snprintf(path, sizeof(path), "%s/symbols", settings->data);
	err = symbols_open(path, folders, &server->symbols);

	if (err)
		return log_error_errno(err, "cannot use the folder '%s'", path);
	symbols_limit_files(server->symbols, settings->symbols_size);
	snprintf(path, sizeof(path), "%s/unwind", settings->data);
	err = unwind_tables_open(path, folders, &server->unwind_tables);

	if (err)
		return log_error_errno(err, "cannot use the folder '%s'", path);

	symbols_use_unwind_tables(server->symbols, server->unwind_tables);
	err = jit_processes_new(&server->jit);
	if (!err)
		jit_processes_use_symbols(server->jit, server->symbols);
	if (!err)
		err = packages_new("/var/lib/dpkg/info", "/usr/lib/sysimage/rpm",
				   &server->packages);
	if (err)
		return log_error_errno(err, "cannot start a thread");

	struct store_options options = {
		.folder = settings->data,
		.symbols = server->symbols,
		.span_ms = (int64_t)(settings->span_ns / CLOCK_NS_PER_MS),
		.detail_ms = settings->detail_age_ns
				     ? (int64_t)(settings->detail_age_ns / CLOCK_NS_PER_MS)
				     : STORE_DETAIL_FOR_EVER,
		.fold = (uint32_t)settings->fold,
		.limits = serve_limits(settings),
	};

	err = store_open(&options, &server->store);
	if (err == -EBUSY)
		log_error("another hearth uses the data folder '%s'; stop it, or choose another "
			  "with --data DIR",
			  settings->data);
	else if (err)
		log_error_errno(err, "cannot open the store in '%s'", settings->data);
	if (err)
		return err;

	kept_open(server);
	page_import_tidy(settings);
	page_export_tidy(settings);

	struct store_status status;

	store_status(server->store, &status);
	if (status.damaged_count > 0)
		log_warning("%u damaged files were set aside in '%s', the last as '%s'; going on "
			    "without them",
			    status.damaged_count, settings->data, status.damaged);
	return 0;
}

/* What other profilers send of the vDSO has no name; our collector's has it from the process. */
static void bring_vdso(struct server *server)
{
	struct identity identity;
	int fd = -1;

	if (own_vdso_open(&identity, &fd) == 0)
		(void)symbols_bring_file(server->symbols, &identity,
					 fd); /* or there are no names */
}

/* The first is the one to open; for a person at another machine, how to bring it there. */
static void print_addresses(const struct server *server, const struct door *door)
{
	autoclean(buf) struct buf text = BUF(4096);
	const char *from = getenv("SSH_CONNECTION");
	unsigned port = door_port(door);
	struct str rest;
	struct str line;

	door_describe(door, &text);
	rest = (struct str){ (const char *)text.bytes, text.size };
	line = (struct str){ rest.text, strcspn(rest.text, "\n") };
	if (!server->settings->is_supervised)
		(void)notify_manager("READY=1\nSTATUS=ready at %.*s", STR_PRINT(line));
	for (bool is_first = true; parse_next(&rest, '\n', &line); is_first = false)
		log_info("%s at %.*s", is_first ? "ready" : "and", STR_PRINT(line));
	buf_clear(&text);
	door_describe_otlp(door, &text);
	if (text.size > 0)
		log_info("OpenTelemetry's profiles are received there, and at %.*s", (int)text.size,
			 (const char *)text.bytes);
	if (port)
		log_info("from another machine: ssh -L %u:127.0.0.1:%u %s%s, then open "
			 "%s://127.0.0.1:%u/ there",
			 port, port, from ? "" : "USER@",
			 server->host_name[0] ? server->host_name : "HOST",
			 server->settings->tls_certificate[0] ? "https" : "http", port);
}

static int load_rules(struct server *server, const struct settings *settings)
{
	char reason[LABEL_RULES_ERROR_SIZE];
	int err = label_rules_load(server->label_rules, settings, reason);

	if (err)
		log_error("%s", reason);
	return err;
}

/* The parts' own copies change; what all threads read in server->settings stays that of the start.
 */
static enum hangup_answer reload(struct server *server, struct settings *settings,
				 const struct hangup *hangup)
{
	enum hangup_answer answer = hangup_handle(hangup, settings);

	struct store_limits limits = serve_limits(settings);

	if (answer == HANGUP_CHANGED) {
		store_set_limits(server->store, &limits);
		/* What is no good leaves in force what was. */
		(void)load_rules(server, settings);
	}
	return answer;
}

/* The exit code when one is no good. */
static int open_rules(struct server *server)
{
	if (label_rules_new(&server->label_rules))
		return EX_OSERR;
	return load_rules(server, server->settings) ? EX_CONFIG : 0;
}

/*
 * A manager that watches hears from us as long as the two threads go round that all else waits for:
 * the one that writes, and the one that serves all connections. Half its patience is theirs.
 */
static void tell_watchdog(const struct server *server, struct door *door, uint64_t patience_ns)
{
	uint64_t written_ns = ingest_turned_ns(server->ingest), served_ns = door_turned_ns(door);
	uint64_t oldest_ns = written_ns < served_ns ? written_ns : served_ns;

	if (clock_monotonic_ns() < oldest_ns + patience_ns / 2)
		(void)notify_manager("WATCHDOG=1");
}

/* Waits for one; 0 when it is only time to tell that we live. */
static int next_signal(const sigset_t *mask, uint64_t patience_ns)
{
	/* Several times within its patience, as the threads answer to what was asked before. */
	uint64_t step_ns = patience_ns / 8;
	struct timespec step = { .tv_sec = (time_t)(step_ns / (uint64_t)CLOCK_NS_PER_S),
				 .tv_nsec = (long)(step_ns % (uint64_t)CLOCK_NS_PER_S) };
	int number = sigtimedwait(mask, NULL, patience_ns ? &step : NULL);

	if (number >= 0)
		return number;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int wait_for_signal(struct server *server, struct door *door, const sigset_t *mask)
{
	struct settings settings = *server->settings;
	struct hangup hangup = hangup_init();
	uint64_t patience_ns = settings.is_supervised ? 0 : notify_watchdog_ns();

	for (bool goes_on = true; goes_on;) {
		int number = next_signal(mask, patience_ns);

		if (number < 0)
			return EX_OSERR;
		if (patience_ns)
			tell_watchdog(server, door, patience_ns);
		goes_on = number == 0 ||
			  (number == SIGHUP && reload(server, &settings, &hangup) != HANGUP_STOP);
	}
	/* A second one ends it at once. */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)sigprocmask(SIG_UNBLOCK, mask, NULL);
	return 0;
}

static void tell_wish_debug(void *context, const struct symbols_debug_wish *wish)
{
	receiver_wish_debug(context, wish);
}

static bool tell_wish_jit(void *context, const struct process_key *process)
{
	return receiver_wish_jit(context, process);
}

static int open_link(struct server *server, struct receiver **ret)
{
	const struct settings *settings = server->settings;
	char path[SETTING_TEXT_SIZE + 32];
	int err = settings_socket_path(settings, path, sizeof(path));
	struct receiver_options options = {
		.socket_path = settings->replay[0] ? NULL : path,
		.replay_path = settings->replay,
		.record_path = settings->record,
		.server = server,
	};

	if (!err)
		err = receiver_new(&options, ret);
	if (!err)
		return 0;
	if (settings->replay[0])
		return log_error_errno(err, "cannot read the recording '%s'", settings->replay);
	return log_error_errno(err, "cannot wait for a collector at '%s'", path);
}

static int serve(struct server *server, const sigset_t *mask)
{
	autoclean(receiver) struct receiver *receiver = NULL;
	autoclean(ingest) struct ingest *ingest = NULL;
	autoclean(scrubber) struct scrubber *scrubber = NULL;
	struct door *door = NULL;
	char reason[DOOR_ERROR_SIZE] = "";
	int code = EX_UNAVAILABLE;

	if (open_link(server, &receiver))
		return EX_UNAVAILABLE;

	struct ingest_options options = { .server = server,
					  .committed = tell_committed,
					  .wish = tell_wish,
					  .wish_debug = tell_wish_debug,
					  .wish_jit = tell_wish_jit,
					  .context = receiver };
	int err = ingest_start(&options, &ingest);

	server->ingest = ingest;
	if (!err)
		err = receiver_start(receiver, ingest);
	if (!err)
		err = scrubber_start(server->store, &scrubber);
	if (err)
		return log_error_errno(err, "cannot start the threads"), EX_OSERR;

	bring_vdso(server);
	err = door_start(server, &door, reason);
	if (err) {
		log_error("%s", reason);
		code = err == -EINVAL || err == -EPERM || err == -EBADMSG ? EX_CONFIG
									  : EX_UNAVAILABLE;
	} else {
		print_addresses(server, door);
		code = wait_for_signal(server, door, mask);
		log_info("stopping");
		if (!server->settings->is_supervised)
			(void)notify_manager("STOPPING=1\nSTATUS=stopping");
	}
	/* No more windows, then what is there is committed, then no more answers. */
	receiver_stop(receiver);
	ingest_close(ingest);
	door_stop(door);
	server->ingest = NULL;
	return code;
}

int serve_main(const struct settings *settings)
{
	struct server server = { .settings = settings };
	sigset_t mask;

	heap_tame();

	/* Before any thread is there, so that all have it blocked. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);

	describe_host(&server);

	int code = open_rules(&server);

	/* Without the memory each request brings its own. */
	(void)otlp_kits_new(&server.otlp_kits);
	if (code == 0)
		code = open_store(&server) ? EX_UNAVAILABLE : serve(&server, &mask);

	store_close(server.store);
	records_close(server.records);
	jit_processes_free(server.jit);
	symbols_close(server.symbols);
	unwind_tables_close(server.unwind_tables);
	packages_free(server.packages);
	upload_store_close(server.uploads);
	label_rules_free(server.label_rules);
	otlp_kits_free(server.otlp_kits);
	return code;
}

static void tell_nobody(void *context, uint64_t collector, uint64_t sequence)
{
	(void)context;
	(void)collector;
	(void)sequence;
}

static void wish_nothing(void *context, const struct identity *identity)
{
	(void)context;
	(void)identity;
}

int serve_alone(const struct settings *settings,
		void (*answer)(struct server *server, struct request *request, struct reply *reply),
		struct request *request, struct reply *reply)
{
	struct server server = { .settings = settings };
	struct ingest_options options = { .server = &server,
					  .committed = tell_nobody,
					  .wish = wish_nothing };
	int err = 0;

	heap_tame();
	describe_host(&server);
	err = open_store(&server);
	if (!err) {
		err = ingest_start(&options, &server.ingest);
		if (err)
			log_error_errno(err, "cannot start the thread that writes");
	}
	if (!err)
		answer(&server, request, reply);
	ingest_stop(server.ingest);
	store_close(server.store);
	records_close(server.records);
	symbols_close(server.symbols);
	unwind_tables_close(server.unwind_tables);
	return err;
}

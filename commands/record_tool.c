/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/record_tool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/log.h"
#include "commands/command.h"
#include "commands/run.h"
#include "web/ask.h"
#include "web/json.h"

enum {
	STATUS_SIZE_MAX = 1 << 20,
	FILE_SIZE_MAX = 256 << 20,
	PATH_SIZE = 256,
	LOOK_MS = 50,
	START_MS_MAX = 20 * CLOCK_MS_PER_S,
	/* A window of a second, its way, and the look for what is new in it. */
	LAST_WINDOW_MS = 1500,
	/* Names and lines are read meanwhile; what takes longer is written without. */
	NAMES_MS_MAX = 20 * CLOCK_MS_PER_S,
	/* Nothing waits for so long: what was wished for has come. */
	NAMES_QUIET_MS = 600,
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128,
};

struct record {
	struct settings settings;
	const char *format, *output;
	const char *const *command; /* ends with NULL */
	char folder[64];	    /* "": not made yet */
	pid_t command_pid, host_pid;
	int gate, failure; /* the command waits for the one, and tells by the other that it can't */
};

/* ---- arguments ------------------------------------------------------------------------------- */

static int read_arguments(struct record *record, int argument_count, const char *const *arguments,
			  const char **options, int *ret_option_count)
{
	int count = 0, i = 0;

	for (; i < argument_count && strcmp(arguments[i], "--") != 0; i++) {
		const char **value = !strcmp(arguments[i], "--format")	 ? &record->format
				     : !strcmp(arguments[i], "--output") ? &record->output
									 : NULL;

		if (!value) {
			options[count++] = arguments[i];
		} else if (++i == argument_count || !strcmp(arguments[i], "--")) {
			log_error("%s wants a value", arguments[i - 1]);
			return -EINVAL;
		} else {
			*value = arguments[i];
		}
	}
	if (i + 1 >= argument_count) {
		log_error("say what to run behind '--': hearth record -- make all");
		return -EINVAL;
	}
	if (strcmp(record->format, "pprof") != 0 && strcmp(record->format, "folded") != 0) {
		log_error("--format takes pprof or folded, not '%.64s'", record->format);
		return -EINVAL;
	}
	if (!record->output)
		record->output =
			!strcmp(record->format, "pprof") ? "profile.pb.gz" : "profile.folded";
	record->command = arguments + i + 1;
	*ret_option_count = count;
	return 0;
}

/* Of what settings say of a server that stays, nothing is meant for one that goes in a moment. */
static int settle_down(struct record *record)
{
	struct settings *settings = &record->settings;
	const char *where = getenv("TMPDIR");
	int size = snprintf(record->folder, sizeof(record->folder), "%s/hearth-record-XXXXXX",
			    where && where[0] == '/' ? where : "/tmp");

	if (size < 0 || (size_t)size >= sizeof(record->folder) || !mkdtemp(record->folder)) {
		record->folder[0] = '\0';
		return log_error_errno(
			size < 0 || (size_t)size >= sizeof(record->folder) ? -ENAMETOOLONG : -errno,
			"cannot make a folder for what is recorded");
	}
	/* The server may be another user, who passes this; what is below is that user's alone. */
	if (chmod(record->folder, 0711))
		return log_error_errno(-errno, "cannot open the folder '%s'", record->folder);
	snprintf(settings->data, sizeof(settings->data), "%s/data", record->folder);
	snprintf(settings->http, sizeof(settings->http), "unix:%s/data/http.sock", record->folder);
	settings->http_socket_group[0] = settings->tls_certificate[0] = settings->tls_key[0] = '\0';
	settings->tls_client_ca[0] = settings->path_prefix[0] = settings->token_file[0] = '\0';
	settings->collector_socket[0] = settings->record[0] = '\0';
	snprintf(settings->otlp_grpc, sizeof(settings->otlp_grpc), "off");
	snprintf(settings->otlp_http, sizeof(settings->otlp_http), "off");
	settings->retention_age_ns = settings->retention_size = 0;
	settings->require_token = false;
	return 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Never returns. */
static void become_command(const struct record *record, int gate, int failure)
{
	uint8_t go;
	ssize_t got;

	do
		got = read(gate, &go, sizeof(go));
	while (got < 0 && errno == EINTR);
	/* Nobody is there to record. */
	if (got != sizeof(go))
		_exit(EX_UNAVAILABLE);
	execvp(record->command[0], (char *const *)record->command);

	int err = errno;
	ssize_t ignored = write(failure, &err, sizeof(err));

	(void)ignored;
	_exit(err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

/* Starts the process, which waits until it is let go, so that it is known before it does anything.
 */
static int start_command(struct record *record)
{
	int gate[2], failure[2];

	if (pipe2(gate, O_CLOEXEC))
		return -errno;
	if (pipe2(failure, O_CLOEXEC)) {
		int err = -errno;

		close(gate[0]);
		close(gate[1]);
		return err;
	}
	record->command_pid = fork();
	if (record->command_pid == 0) {
		close(gate[1]);
		become_command(record, gate[0], failure[1]);
	}

	int err = record->command_pid < 0 ? -errno : 0;

	close(gate[0]);
	close(failure[1]);
	record->gate = gate[1];
	record->failure = failure[0];
	return err;
}

/* The code that a shell would tell. */
static int wait_for_command(struct record *record)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before_int, before_quit;
	int status = 0, err = 0;

	/* Ctrl-C is for the command; what was sampled until then is what is wanted. */
	sigaction(SIGINT, &ignore, &before_int);
	sigaction(SIGQUIT, &ignore, &before_quit);

	bool is_free = write(record->gate, "", 1) == 1;

	close(record->gate);
	record->gate = -1;
	while (is_free && waitpid(record->command_pid, &status, 0) < 0 && errno == EINTR)
		;
	record->command_pid = 0;
	if (read(record->failure, &err, sizeof(err)) == sizeof(err))
		log_error_errno(-err, "cannot run '%s'", record->command[0]);
	sigaction(SIGINT, &before_int, NULL);
	sigaction(SIGQUIT, &before_quit, NULL);
	return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- the host of the recording --------------------------------------------------------------- */

/* hearth run, of which nothing is heard but errors, and which does not outlive us. */
static int start_host(struct record *record)
{
	pid_t parent = getpid();

	record->settings.followed_pid = (uint32_t)record->command_pid;
	record->host_pid = fork();
	if (record->host_pid < 0)
		return -errno;
	if (record->host_pid > 0)
		return 0;
	close(record->gate);
	close(record->failure);
	(void)setpgid(0, 0); /* Ctrl-C is not for it */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	if (!record->settings.verbose)
		log_set_level(LOG_LEVEL_ERROR);
	exit(run_main(&record->settings));
}

static void stop(pid_t *pid, int signal_number)
{
	if (*pid <= 0)
		return;
	(void)kill(*pid, signal_number);
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}

static void rest(int ms)
{
	struct timespec time = { .tv_sec = ms / CLOCK_MS_PER_S,
				 .tv_nsec = (long)(ms % CLOCK_MS_PER_S) * CLOCK_NS_PER_MS };

	(void)nanosleep(&time, NULL);
}

static struct json_value *ask_status(const struct record *record)
{
	autoclean(buf) struct buf body = BUF(STATUS_SIZE_MAX);
	struct json_value *status = NULL;
	char reason[JSON_ERROR_SIZE];

	if (ask_server(record->settings.http, "GET", "/api/v1/status", &body) ||
	    json_value_parse((struct str){ (char *)body.bytes, body.size }, &status, reason))
		return NULL;
	return status;
}

/* Until samples are taken; says why when they won't be. */
static int wait_for_sampling(struct record *record)
{
	for (int waited_ms = 0; waited_ms < START_MS_MAX; waited_ms += LOOK_MS) {
		autoclean(json_value) struct json_value *status = ask_status(record);
		const struct json_value *collector = json_value_member(status, "collector");
		struct str state = json_member_text(collector, "state"),
			   reason = json_member_text(collector, "reason");

		if (str_equal(state, STR("sampling")))
			return 0;
		if (str_equal(state, STR("no_rights"))) {
			log_error("cannot profile this host: %.*s", STR_PRINT(reason));
			return -EPERM;
		}
		/* What ended it has been said. */
		if (waitpid(record->host_pid, NULL, WNOHANG) == record->host_pid) {
			record->host_pid = 0;
			return -ECHILD;
		}
		rest(LOOK_MS);
	}
	log_error("no samples came within %d s", START_MS_MAX / CLOCK_MS_PER_S);
	return -ETIMEDOUT;
}

static void wait_for_names(const struct record *record)
{
	int quiet_ms = 0;

	for (int waited_ms = 0; waited_ms < NAMES_MS_MAX && quiet_ms < NAMES_QUIET_MS;
	     waited_ms += LOOK_MS) {
		autoclean(json_value) struct json_value *status = ask_status(record);
		int64_t waiting =
			json_member_integer(json_value_member(status, "symbols"), "waiting");

		quiet_ms = waiting > 0 ? 0 : quiet_ms + LOOK_MS;
		rest(LOOK_MS);
	}
}

/* ---- the file -------------------------------------------------------------------------------- */

static int ask_export(const struct record *record, int64_t start_ms, struct buf *ret)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "/api/v1/export?format=%s&from=%" PRId64 "&to=%" PRId64,
		 record->format, start_ms, clock_unix_ms());
	return ask_server(record->settings.http, "GET", path, ret);
}

static int write_file(const struct record *record, const struct buf *file)
{
	bool is_stdout = !strcmp(record->output, "-");
	autoclose int fd =
		is_stdout ? dup(STDOUT_FILENO)
			  : open(record->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	size_t done = 0;

	while (fd >= 0 && done < file->size) {
		ssize_t written = write(fd, file->bytes + done, file->size - done);

		if (written < 0 && errno != EINTR)
			break;
		done += written > 0 ? (size_t)written : 0;
	}
	if (fd < 0 || done < file->size)
		return log_error_errno(-errno, "cannot write '%s'", record->output);
	return 0;
}

static int save(const struct record *record, int64_t start_ms)
{
	autoclean(buf) struct buf first = BUF(FILE_SIZE_MAX);
	autoclean(buf) struct buf file = BUF(FILE_SIZE_MAX);
	int64_t samples;

	rest(LAST_WINDOW_MS);
	wait_for_names(record);
	/* Asking is what makes lines be read; they are there when it is asked again. */
	int err = ask_export(record, start_ms, &first);

	if (!err) {
		wait_for_names(record);
		err = ask_export(record, start_ms, &file);
	}
	if (err)
		return log_error_errno(err, "cannot get the recording");

	autoclean(json_value) struct json_value *status = ask_status(record);

	samples = json_member_integer(json_value_member(status, "collector"), "samples");
	err = write_file(record, &file);
	if (!err && strcmp(record->output, "-") != 0)
		log_info("%" PRId64 " samples in '%s'", samples, record->output);
	if (!err && samples == 0)
		log_notice("it took too little CPU to be seen; sample more often: --frequency 997");
	return err;
}

static int record_all(struct record *record)
{
	int64_t start_ms;
	int code, err = start_command(record);

	if (!err)
		err = start_host(record);
	if (err) {
		log_error_errno(err, "cannot start a process");
		return EX_OSERR;
	}
	if (wait_for_sampling(record))
		return EX_UNAVAILABLE;
	start_ms = clock_unix_ms() - CLOCK_MS_PER_S;
	code = wait_for_command(record);
	err = save(record, start_ms);
	return !err						    ? code
	       : err == -EACCES || err == -ENOENT || err == -ENOSPC ? EX_CANTCREAT
								    : EX_UNAVAILABLE;
}

int record_tool_main(int argument_count, const char *const *arguments)
{
	struct record record = { .format = "pprof", .gate = -1, .failure = -1 };
	autofree const char **options = calloc((size_t)argument_count + 1, sizeof(options[0]));
	int option_count = 0, code;

	if (!options)
		return EX_OSERR;
	/* What stands behind "--" asks somebody else. */
	for (int i = 0; i < argument_count && strcmp(arguments[i], "--") != 0; i++)
		if (command_asks_for_help(1, arguments + i)) {
			command_help("record [--format pprof|folded] [--output FILE] [OPTIONS] "
				     "-- COMMAND [ARGUMENT...]",
				     RECORD_TOOL_HELP, SETTING_OF_RUN);
			return 0;
		}
	if (read_arguments(&record, argument_count, arguments, options, &option_count))
		return EX_USAGE;
	code = command_settings(SETTING_OF_RUN, option_count, options, &record.settings);
	if (code)
		return code;
	code = settle_down(&record) ? EX_CANTCREAT : record_all(&record);
	/* One that still waits was never let go. */
	stop(&record.command_pid, SIGKILL);
	stop(&record.host_pid, SIGTERM);
	if (record.gate >= 0)
		close(record.gate);
	if (record.failure >= 0)
		close(record.failure);
	if (record.folder[0])
		folder_remove(record.folder);
	return code;
}

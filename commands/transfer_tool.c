/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/transfer_tool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/settings_file.h"
#include "store/inspect.h"
#include "web/ask.h"
#include "web/json.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/serve.h"

enum {
	HELP_SIZE_MAX = 16384,
	QUERY_SIZE_MAX = 12288,
	ANSWER_SIZE_MAX = 1 << 20,
	TIME_TEXT_SIZE = 32,
};

/* An option of ours: what it is called in the question to the server. */
struct option {
	const char *name;
	const char *parameter;
	bool is_time;
	bool is_file; /* not the server's business */
};

struct transfer {
	bool is_import;
	const struct option *options;
	struct settings settings;
	const char *file; /* what is read; or written, NULL: standard output */
	struct buf query;
	bool is_running; /* a server has the store */
	bool is_span;	 /* is exported */
};

static const struct option export_options[] = {
	{ "--from", "from", true, false },
	{ "--to", "to", true, false },
	{ "--query", "query", false, false },
	{ "--type", "type", false, false },
	{ "--format", "format", false, false },
	{ "--output", NULL, false, true },
	{ 0 },
};

static const struct option import_options[] = {
	{ "--label", "label", false, false },	{ "--at", "at", true, false },
	{ "--type", "type", false, false },	{ "--name", "name", false, false },
	{ "--format", "format", false, false }, { 0 },
};

static void print_export_help(void)
{
	printf("usage: hearth export [OPTIONS]\n\n%s\n\n"
	       "  --from TIME              since when; default now-15m\n"
	       "  --to TIME                until when; default now\n"
	       "                           TIME is now, now-2h, 2026-11-24T02:40 or ms since 1970\n"
	       "  --query SELECTOR         of whom, as in '{service_name=\"sshd\"}'\n"
	       "  --type TYPE              of which kind; default "
	       "process_cpu:cpu:nanoseconds:cpu:nanoseconds\n"
	       "  --format FORMAT          pprof (packed by gzip), the default; folded (text); or "
	       "span,\n"
	       "                           a file of hearth's own with all that is known\n"
	       "  --output FILE            where to; default is standard output\n\n"
	       "A server that runs is asked over --http; of one that does not the files are "
	       "read.\n\n",
	       EXPORT_TOOL_HELP);
}

static void print_import_help(void)
{
	printf("usage: hearth import FILE [OPTIONS]\n\n%s\n\n"
	       "FILE is pprof, a Java flight recording (JFR), speedscope's JSON, what perf script "
	       "prints, folded\ntext, each plain or packed by gzip, or a span file of hearth's; "
	       "'-' "
	       "is standard input.\n\n"
	       "  --label NAME=VALUE       of all that is in it, as in host=web-03; may be given "
	       "again\n"
	       "  --at TIME                when it was, for files that don't say; default now\n"
	       "                           TIME is now, now-2h, 2026-11-24T02:40 or ms since 1970\n"
	       "  --type TYPE              what folded text and speedscope count; default "
	       "process_cpu:cpu:nanoseconds:cpu:nanoseconds,\n"
	       "                           or by speedscope's units\n"
	       "  --name NAME              the first part of pprof's types; else they tell\n"
	       "  --format FORMAT          pprof, folded, jfr, speedscope, perf or span; else the "
	       "file tells\n\n"
	       "All of a file is imported or nothing, and a file that was imported is not imported "
	       "again.\n"
	       "A server that runs is asked over --http; else the files are written.\n\n",
	       IMPORT_TOOL_HELP);
}

static void print_settings_help(void)
{
	autoclean(buf) struct buf text = BUF(HELP_SIZE_MAX);

	settings_help(SETTING_OF_SERVE, &text);
	fwrite(text.bytes, 1, text.size, stdout);
}

/* ---- arguments --------------------------------------------------------------------------------
 */

/* "2026-11-24", "2026-11-24T02:40", "2026-11-24 02:40:10", by the clock on the wall here. */
static const char *time_parameter(const char *text, char ms[static TIME_TEXT_SIZE])
{
	static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
					       "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, formats[i], &tm);
		time_t seconds;

		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		seconds = mktime(&tm);
		if (seconds < 0)
			continue;
		snprintf(ms, TIME_TEXT_SIZE, "%" PRId64, (int64_t)seconds * CLOCK_MS_PER_S);
		return ms;
	}
	return text;
}

static void add_parameter(struct buf *query, const char *name, const char *value)
{
	buf_printf(query, "%s%s=", query->size ? "&" : "", name);
	for (const unsigned char *c = (const unsigned char *)value; *c; c++)
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
		    (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' || *c == '.')
			buf_add_u8(query, *c);
		else
			buf_printf(query, "%%%02X", *c);
}

static const struct option *find_option(const struct option *options, const char *argument,
					size_t *ret_size)
{
	const char *equals = strchr(argument, '=');
	size_t size = equals ? (size_t)(equals - argument) : strlen(argument);

	*ret_size = size;
	for (; options->name; options++)
		if (strlen(options->name) == size && !memcmp(options->name, argument, size))
			return options;
	return NULL;
}

static void take_option(struct transfer *transfer, const struct option *option, const char *value)
{
	char ms[TIME_TEXT_SIZE];

	if (option->is_file)
		transfer->file = value;
	else if (!transfer->is_import && !strcmp(option->name, "--format") &&
		 !strcmp(value, "span"))
		transfer->is_span = true;
	else
		add_parameter(&transfer->query, option->parameter,
			      option->is_time ? time_parameter(value, ms) : value);
}

/* Takes what is ours out; what is left is settings_load()'s. Negative after words. */
static int read_arguments(struct transfer *transfer, int argument_count,
			  const char *const *arguments, const char **left)
{
	int left_count = 0;

	for (int i = 0; i < argument_count; i++) {
		size_t size = 0;
		const struct option *option = find_option(transfer->options, arguments[i], &size);
		bool follows_option = left_count > 0 && left[left_count - 1][0] == '-' &&
				      !strchr(left[left_count - 1], '=');

		if (option && arguments[i][size] == '=') {
			take_option(transfer, option, arguments[i] + size + 1);
		} else if (option && i + 1 < argument_count) {
			take_option(transfer, option, arguments[++i]);
		} else if (option) {
			log_error("%s wants a value; see --help", arguments[i]);
			return -EINVAL;
		} else if (transfer->is_import && !transfer->file && !follows_option &&
			   (arguments[i][0] != '-' || !arguments[i][1])) {
			transfer->file = arguments[i];
		} else {
			left[left_count++] = arguments[i];
		}
	}
	if (transfer->query.error) {
		log_error("the options are too long");
		return -EINVAL;
	}
	return left_count;
}

/* --http alone says which server is meant, wherever its data lie: a profile must not end up in a
 * new store at the usual place, where nobody looks for it. */
static bool names_server(const struct settings *settings)
{
	int http = settings_find(STR("http"));
	int data = settings_find(STR("data"));

	assert(http >= 0 && data >= 0);
	return settings->sources[http].origin == ORIGIN_COMMAND_LINE &&
	       settings->sources[data].origin == ORIGIN_DEFAULT;
}

/* Whether a server has the store; a negative errno after words. */
static int look_for_server(struct transfer *transfer)
{
	int fd = -1;
	int err;

	if (names_server(&transfer->settings)) {
		transfer->is_running = true;
		return 0;
	}
	err = store_keep_out(transfer->settings.data, &fd);
	if (fd >= 0)
		close(fd);
	transfer->is_running = err == -EBUSY;
	if (err == -ENOENT && transfer->is_import)
		return 0;
	if (err == -ENOENT)
		log_error("there is no store in '%s'; say where with --data DIR",
			  transfer->settings.data);
	else if (err && !transfer->is_running)
		log_error_errno(err, "cannot use the store in '%s'", transfer->settings.data);
	return transfer->is_running ? 0 : err;
}

/* Negative when the exit code is *ret_code, after words or help. */
static int prepare(struct transfer *transfer, int argument_count, const char *const *arguments,
		   int *ret_code)
{
	autofree const char **left = calloc((size_t)argument_count + 1, sizeof(left[0]));
	autoclean(buf) struct buf errors = BUF(HELP_SIZE_MAX);
	int count;
	int err;

	*ret_code = EX_USAGE;
	if (!left)
		return -ENOMEM;
	for (int i = 0; i < argument_count; i++)
		if (!strcmp(arguments[i], "--help") || !strcmp(arguments[i], "-h")) {
			if (transfer->is_import)
				print_import_help();
			else
				print_export_help();
			print_settings_help();
			*ret_code = 0;
			return -ECANCELED;
		}
	count = read_arguments(transfer, argument_count, arguments, left);
	if (count < 0)
		return count;
	if (transfer->is_import && !transfer->file) {
		log_error("which file? hearth import FILE; see --help");
		return -EINVAL;
	}
	err = settings_load(SETTING_OF_SERVE, count, left, &transfer->settings, &errors);
	if (err) {
		log_lines(LOG_LEVEL_ERROR, (struct str){ (char *)errors.bytes, errors.size });
		*ret_code = err == -EINVAL ? EX_USAGE : EX_CONFIG;
		return err;
	}
	err = look_for_server(transfer);
	*ret_code = EX_NOINPUT;
	return err;
}

/* ---- without a server -------------------------------------------------------------------------
 */

static int64_t read_file(struct request *request, void *bytes, size_t size)
{
	const int *fd = request->body_context;
	ssize_t got;

	do
		got = read(*fd, bytes, size);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* As root: what the store's owner could not read and write afterwards would stop the server. */
static void become_owner(const char *folder)
{
	struct stat status;

	if (geteuid() != 0 || stat(folder, &status) || status.st_uid == 0)
		return;
	if (setegid(status.st_gid) || seteuid(status.st_uid))
		log_warning_errno(-errno, "cannot become the owner of '%s'", folder);
}

static int write_all(int fd, const void *bytes, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t written = write(fd, (const char *)bytes + at, size - at);

		if (written < 0 && errno != EINTR)
			return log_error_errno(-errno, "cannot write");
		at += written > 0 ? (size_t)written : 0;
	}
	return 0;
}

static int save_reply(const struct reply *reply, int fd)
{
	char piece[65536];
	ssize_t got = 0;
	int err = 0;

	if (!reply->is_file)
		return write_all(fd, reply->body.bytes, reply->body.size);
	while (!err && (got = read(reply->file_fd, piece, sizeof(piece))) > 0)
		err = write_all(fd, piece, (size_t)got);
	return got < 0 ? log_error_errno(-errno, "cannot read what was made") : err;
}

/* The status of the answer, or a negative errno after words. */
static int answer_alone(const struct transfer *transfer, int fd, int save_fd, struct buf *body)
{
	struct request request = {
		.method = transfer->is_import ? STR("POST") : STR("GET"),
		.query = { (const char *)transfer->query.bytes, transfer->query.size },
		.role = ROLE_ADMIN,
		.read_body = transfer->is_import ? read_file : NULL,
		.body_context = &fd,
	};
	struct reply reply;
	int status;
	int err;

	reply_init(&reply);
	become_owner(transfer->settings.data);
	err = serve_alone(&transfer->settings,
			  transfer->is_import ? page_import
			  : transfer->is_span ? page_export_span
					      : page_export,
			  &request, &reply);
	status = reply.status;
	if (!err && reply.body.error)
		err = log_error_errno(reply.body.error, "the answer does not fit");
	if (!err && status == 200 && save_fd >= 0)
		err = save_reply(&reply, save_fd);
	if (!err && (status != 200 || save_fd < 0))
		buf_add(body, reply.body.bytes, reply.body.size);
	reply_done(&reply);
	return err ? err : status;
}

/* ---- either way -------------------------------------------------------------------------------
 */

static int read_for_server(void *context, uint64_t offset, void *room, size_t size)
{
	const int *fd = context;
	size_t at = 0;

	while (at < size) {
		ssize_t got = pread(*fd, (char *)room + at, size - at, (off_t)(offset + at));

		if (got == 0 || (got < 0 && errno != EINTR))
			return got ? -errno : -EIO;
		at += got > 0 ? (size_t)got : 0;
	}
	return 0;
}

static int answer_running(const struct transfer *transfer, int fd, uint64_t size, int save_fd,
			  struct buf *body)
{
	autoclean(buf) struct buf path = BUF(QUERY_SIZE_MAX + 64);
	autoclean(buf) struct buf got = BUF(REPLY_SIZE_MAX);
	const struct ask_body sent = { .size = size, .read = read_for_server, .context = &fd };
	const char *address = transfer->settings.http;
	int status = 0;
	int err;

	buf_printf(&path, "/api/v1/%s?%.*s",
		   transfer->is_import ? "import"
		   : transfer->is_span ? "export/span"
				       : "export",
		   (int)transfer->query.size, (const char *)transfer->query.bytes);
	buf_add_u8(&path, 0);
	if (path.error)
		return log_error_errno(path.error, "the options are too long");
	err = ask_server_with(address, transfer->is_import ? "POST" : "GET",
			      (const char *)path.bytes, fd >= 0 ? &sent : NULL, &status, &got);
	if (err == -EPROTO)
		return log_error("the answer of the server at %s broke off", address), err;
	if (err && names_server(&transfer->settings))
		return log_error_errno(err,
				       "no server answers at %s; without one, say with --data DIR "
				       "where the profiles are kept",
				       address);
	if (err)
		return log_error_errno(err,
				       "a server uses the data folder '%s', but does not answer at "
				       "%s; where does it listen? Say it with --http ADDR:PORT",
				       transfer->settings.data, address);
	if (status == 200 && save_fd >= 0)
		err = write_all(save_fd, got.bytes, got.size);
	else
		buf_add(body, got.bytes, got.size);
	return err ? err : status;
}

static int answer(const struct transfer *transfer, int fd, uint64_t size, int save_fd,
		  struct buf *body)
{
	return transfer->is_running ? answer_running(transfer, fd, size, save_fd, body)
				    : answer_alone(transfer, fd, save_fd, body);
}

/* What the answer says, "error" or a number of it. */
static struct json_value *parse(const struct buf *body)
{
	char reason[JSON_ERROR_SIZE];
	struct json_value *value = NULL;

	if (json_value_parse((struct str){ (const char *)body->bytes, body->size }, &value, reason))
		return NULL;
	return value;
}

/* In the server's words. */
static int refused(const struct buf *body, int status)
{
	autoclean(json_value) struct json_value *value = parse(body);
	const struct json_value *error = value ? json_value_member(value, "error") : NULL;
	struct str text = STR("the server refuses, without words");

	if (error)
		(void)json_value_text(error, &text);
	log_error("%.*s", STR_PRINT(text));
	if (status == 400)
		return EX_USAGE;
	return status == 413 || status == 422 ? EX_DATAERR : EX_UNAVAILABLE;
}

/* ---- export -----------------------------------------------------------------------------------
 */

static int open_output(const struct transfer *transfer)
{
	int fd;

	if (!transfer->file && isatty(STDOUT_FILENO))
		return log_error(
			       "this is a file for programs: name one with --output FILE, or pass "
			       "it on"),
		       -EINVAL;
	if (!transfer->file)
		return STDOUT_FILENO;
	/* What is there is somebody's. */
	fd = open(transfer->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? log_error_errno(-errno, "cannot make '%s'", transfer->file) : fd;
}

int export_tool_main(int argument_count, const char *const *arguments)
{
	autoclean(buf) struct buf body = BUF(ANSWER_SIZE_MAX);
	struct transfer transfer = { .options = export_options, .query = BUF(QUERY_SIZE_MAX) };
	int code = EX_USAGE;
	int fd = -1;
	int status;

	if (prepare(&transfer, argument_count, arguments, &code))
		goto done;
	if (!transfer.is_span && !memmem(transfer.query.bytes, transfer.query.size, "format=", 7))
		add_parameter(&transfer.query, "format", "pprof");
	fd = open_output(&transfer);
	code = fd == -EINVAL ? EX_USAGE : EX_CANTCREAT;
	if (fd < 0)
		goto done;
	status = answer(&transfer, -1, 0, fd, &body);
	code = status == 200 ? 0 : status < 0 ? EX_UNAVAILABLE : refused(&body, status);
	if (transfer.file && !code && fsync(fd)) {
		log_error_errno(-errno, "cannot write '%s'", transfer.file);
		code = EX_IOERR;
	}
	if (transfer.file)
		close(fd);
	if (transfer.file && code)
		(void)unlink(transfer.file);
done:
	buf_done(&transfer.query);
	return code;
}

/* ---- import -----------------------------------------------------------------------------------
 */

static const char *time_text(int64_t unix_ms, char text[static TIME_TEXT_SIZE])
{
	time_t seconds = (time_t)(unix_ms / CLOCK_MS_PER_S);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(text, TIME_TEXT_SIZE, "%F %T", &tm) == 0)
		snprintf(text, TIME_TEXT_SIZE, "%" PRId64, unix_ms);
	return text;
}

/* The page shows the last minutes, which a file of yesterday's is not of. A second more on either
 * side, since some files say one time only. */
static void print_link(const struct settings *settings, int64_t from_ms, int64_t to_ms)
{
	printf("see it at %s://%.*s%s/#/explore?from=%" PRId64 "&to=%" PRId64 "\n",
	       settings->tls_certificate[0] ? "https" : "http", (int)strcspn(settings->http, ","),
	       settings->http, settings->path_prefix, from_ms - CLOCK_MS_PER_S,
	       to_ms + CLOCK_MS_PER_S);
}

static void report(const struct transfer *transfer, const struct buf *body)
{
	autoclean(json_value) struct json_value *value = parse(body);
	const struct json_value *was_there = value ? json_value_member(value, "was_there") : NULL;
	char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
	int64_t from_ms, to_ms;
	bool is_known = false;

	if (was_there)
		(void)json_value_boolean(was_there, &is_known);
	if (!value)
		return;
	if (is_known) {
		printf("%s was imported before, with these labels: nothing was added\n",
		       transfer->file);
		return;
	}
	from_ms = json_member_integer(value, "from_ms");
	to_ms = json_member_integer(value, "to_ms");
	printf("%s: %" PRId64 " %s, %s to %s\n", transfer->file,
	       json_member_integer(value, "stacks") + json_member_integer(value, "samples"),
	       json_member_integer(value, "samples") > 0 ? "samples" : "stacks",
	       time_text(from_ms, from), time_text(to_ms, to));
	if (json_member_integer(value, "skipped") > 0)
		printf("%" PRId64 " without a value were left out\n",
		       json_member_integer(value, "skipped"));
	if (transfer->is_running && transfer->settings.http[0] != 'u')
		print_link(&transfer->settings, from_ms, to_ms);
}

/* Regular, for its size: what is piped in is copied first. */
static int open_input(const struct transfer *transfer, uint64_t *ret_size)
{
	bool is_pipe = !strcmp(transfer->file, "-");
	autoclose int fd = is_pipe ? dup(STDIN_FILENO) : open(transfer->file, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return log_error_errno(-errno, "cannot read '%s'", transfer->file);
	if (!S_ISREG(status.st_mode)) {
		char path[] = "/tmp/hearth-import-XXXXXX";
		autoclose int copy = mkostemp(path, O_CLOEXEC);
		char piece[65536];
		ssize_t got = 0;

		if (copy >= 0)
			(void)unlink(path);
		while (copy >= 0 && (got = read(fd, piece, sizeof(piece))) > 0)
			if (write(copy, piece, (size_t)got) != got) {
				got = -1;
				break;
			}
		if (copy < 0 || got < 0 || fstat(copy, &status) || lseek(copy, 0, SEEK_SET))
			return log_error_errno(-errno, "cannot read '%s'", transfer->file);
		*ret_size = (uint64_t)status.st_size;
		return TAKE_FD(copy);
	}
	*ret_size = (uint64_t)status.st_size;
	return TAKE_FD(fd);
}

int import_tool_main(int argument_count, const char *const *arguments)
{
	autoclean(buf) struct buf body = BUF(ANSWER_SIZE_MAX);
	struct transfer transfer = { .is_import = true,
				     .options = import_options,
				     .query = BUF(QUERY_SIZE_MAX) };
	autoclose int fd = -1;
	uint64_t size = 0;
	int code = EX_USAGE;
	int status;

	if (prepare(&transfer, argument_count, arguments, &code) == 0) {
		fd = open_input(&transfer, &size);
		code = EX_NOINPUT;
		status = fd < 0 ? 0 : answer(&transfer, fd, size, -1, &body);
		if (status == 200)
			report(&transfer, &body), code = 0;
		else if (fd >= 0)
			code = status < 0 ? EX_UNAVAILABLE : refused(&body, status);
	}
	buf_done(&transfer.query);
	return code;
}

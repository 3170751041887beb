/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/store_tool.h"

#include <dirent.h>
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
#include "base/folder.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/settings_file.h"
#include "commands/command.h"
#include "store/inspect.h"
#include "store/records.h"
#include "web/ask.h"
#include "web/json.h"

enum {
	HELP_SIZE_MAX = 16384,
	ANSWER_SIZE_MAX = 1 << 20,
	SEAL_WAIT_S = 90, /* a seal a minute is what the server grants */
	PATH_SIZE = STORE_PATH_SIZE_MAX + 256,
};

struct tool {
	const char *command;
	const char *target; /* of backup */
	struct settings settings;
	int lock_fd;	 /* -1 when a server has the store */
	bool is_running; /* a server has it */

	uint32_t files, open_files, late_files, damaged_files, copied_files;
	uint64_t bytes, samples, copied_bytes;
	int64_t oldest_ms, newest_ms;
};

static void print_help(void)
{
	autoclean(buf) struct buf text = BUF(HELP_SIZE_MAX);

	buf_printf(
		&text,
		"usage: hearth store status | verify | backup DIR [OPTIONS]\n\n%s\n\n"
		"  status                   what is stored, from when, how large, on which disk\n"
		"  verify                   reads every file through; exit code 1 when one is "
		"damaged\n"
		"  backup DIR               copies all of it into DIR, which is made; to restore "
		"it, stop\n"
		"                           hearth and put DIR in the place of the data folder\n\n"
		"A server that runs goes on: it is asked over --http to finish the file that it "
		"writes.\n\n",
		STORE_TOOL_HELP);
	settings_help(SETTING_OF_SERVE, &text);
	fwrite(text.bytes, 1, text.size, stdout);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void print_totals(const struct tool *tool)
{
	char size[32], from[32], to[32];

	printf("files     %u, %s; %u open, %u of late data\n", tool->files,
	       command_size_text(tool->bytes, size), tool->open_files, tool->late_files);
	if (tool->newest_ms)
		printf("time      %s to %s\n", command_time_text(tool->oldest_ms, from),
		       command_time_text(tool->newest_ms, to));
	if (tool->samples)
		printf("samples   %" PRIu64 ", %.2f bytes each\n", tool->samples,
		       (double)tool->bytes / (double)tool->samples);
}

/* ---- asking the server ----------------------------------------------------------------------- */

/* An answer of the server's as JSON; NULL after words. */
static struct json_value *ask(const struct tool *tool, const char *method, const char *path)
{
	autoclean(buf) struct buf body = BUF(ANSWER_SIZE_MAX);
	char reason[JSON_ERROR_SIZE];
	struct json_value *value = NULL;
	int err = ask_server(tool->settings.http, method, path, &body);

	if (!err)
		err = json_value_parse((struct str){ (char *)body.bytes, body.size }, &value,
				       reason);
	if (err)
		log_error_errno(err,
				"a server uses the data folder '%s', but does not answer at %s; "
				"where does it listen? Say it with --http ADDR:PORT",
				tool->settings.data, tool->settings.http);
	return value;
}

/* Has the server close the files that it writes, and waits until it has. */
static int seal(const struct tool *tool)
{
	autoclean(json_value) struct json_value *wanted = ask(tool, "POST", "/api/v1/store/seal");

	if (!wanted)
		return EX_UNAVAILABLE;
	log_info("waiting for the server to finish the file that it writes");
	for (int i = 0; i < SEAL_WAIT_S; i++) {
		struct timespec pause = { .tv_sec = 1 };
		autoclean(json_value) struct json_value *status =
			ask(tool, "GET", "/api/v1/status");

		if (!status)
			return EX_UNAVAILABLE;
		if (json_member_integer(json_value_member(status, "store"), "seals") >=
		    json_member_integer(wanted, "seal"))
			return 0;
		(void)nanosleep(&pause, NULL);
	}
	log_error("the server has not finished its file after %d s", SEAL_WAIT_S);
	return EX_UNAVAILABLE;
}

/* ---- status ---------------------------------------------------------------------------------- */

static int add_file(void *context, const struct store_file *file)
{
	struct tool *tool = context;

	tool->files++;
	tool->bytes += file->bytes;
	tool->open_files += !file->is_sealed;
	tool->late_files += file->is_late;
	tool->samples += file->samples;
	if (file->end_ms && (!tool->newest_ms || file->first_ms < tool->oldest_ms))
		tool->oldest_ms = file->first_ms;
	if (file->end_ms > tool->newest_ms)
		tool->newest_ms = file->end_ms;
	if (file->err) {
		tool->damaged_files++;
		printf("%s: %s\n", file->name, file->what);
	}
	return 0;
}

static int show_running(struct tool *tool)
{
	autoclean(json_value) struct json_value *status = ask(tool, "GET", "/api/v1/status");
	const struct json_value *store = status ? json_value_member(status, "store") : NULL;
	const struct json_value *late =
		store ? json_value_member(json_value_member(store, "classes"), "late") : NULL;
	char free_text[32], disk[32], limit[32];

	if (!status)
		return EX_UNAVAILABLE;
	tool->files = (uint32_t)json_member_integer(store, "spans");
	tool->bytes = (uint64_t)json_member_integer(store, "bytes");
	tool->samples = (uint64_t)json_member_integer(store, "samples");
	tool->oldest_ms = json_member_integer(store, "oldest_ms");
	tool->newest_ms = json_member_integer(store, "newest_ms");
	tool->late_files = late ? (uint32_t)json_member_integer(late, "spans") : 0;
	tool->open_files = (uint32_t)json_member_integer(store, "open_spans");

	struct str state = json_member_text(store, "state");
	struct str reason = json_member_text(store, "reason");
	struct str damage = json_member_text(store, "damage");
	struct str damaged = json_member_text(store, "damaged_file");

	printf("%s: in use by the server at http://%s/\n", tool->settings.data,
	       tool->settings.http);
	print_totals(tool);
	printf("disk      %s free of %s; at most %s for profiles\n",
	       command_size_text((uint64_t)json_member_integer(store, "disk_free_bytes"),
				 free_text),
	       command_size_text((uint64_t)json_member_integer(store, "disk_bytes"), disk),
	       json_member_integer(store, "limit_bytes")
		       ? command_size_text((uint64_t)json_member_integer(store, "limit_bytes"),
					   limit)
		       : "all of it");
	printf("state     %.*s%s%.*s\n", STR_PRINT(state), reason.size ? ": " : "",
	       STR_PRINT(reason));
	if (json_member_integer(store, "damaged") > 0)
		printf("damaged   %" PRId64 " files set aside, the last %.*s: %.*s\n",
		       json_member_integer(store, "damaged"), STR_PRINT(damaged),
		       STR_PRINT(damage));
	return json_member_integer(store, "damaged") > 0 ? 1 : 0;
}

static int fail(const struct tool *tool, int err)
{
	log_error_errno(err, "cannot read the store in '%s'", tool->settings.data);
	return EX_IOERR;
}

static int show(struct tool *tool)
{
	int err;

	if (tool->is_running)
		return show_running(tool);
	printf("%s: not in use\n", tool->settings.data);
	err = store_inspect(tool->settings.data, false, INSPECT_SUMMARY, add_file, tool);
	if (err)
		return fail(tool, err);
	print_totals(tool);
	return tool->damaged_files ? 1 : 0;
}

/* ---- verify ---------------------------------------------------------------------------------- */

static int verify_file(void *context, const struct store_file *file)
{
	struct tool *tool = context;
	char size[32];

	(void)add_file(context, file);
	if (file->err)
		return 0;
	if (!file->is_sealed && tool->is_running)
		printf("%s: is being written, not read\n", file->name);
	else
		printf("%s: sound, %s, %" PRIu64 " samples\n", file->name,
		       command_size_text(file->bytes, size), file->samples);
	fflush(stdout);
	return 0;
}

static int verify(struct tool *tool)
{
	int err = store_inspect(tool->settings.data, tool->is_running, INSPECT_ALL, verify_file,
				tool);

	if (err)
		return fail(tool, err);
	printf("%u files, %u damaged\n", tool->files, tool->damaged_files);
	return tool->damaged_files ? 1 : 0;
}

/* ---- backup ---------------------------------------------------------------------------------- */

static int copy_bytes(int from, int to, uint64_t *bytes)
{
	for (;;) {
		ssize_t copied = copy_file_range(from, NULL, to, NULL, 1 << 24, 0);

		if (copied == 0)
			return 0;
		if (copied < 0 && errno != EINTR) {
			char buffer[65536];

			if (errno != EXDEV && errno != EINVAL && errno != ENOSYS &&
			    errno != EOPNOTSUPP)
				return -errno;
			/* The plain way, where the file systems can't do it by themselves. */
			copied = read(from, buffer, sizeof(buffer));
			if (copied <= 0)
				return copied < 0 ? -errno : 0;
			if (write(to, buffer, (size_t)copied) != copied)
				return errno ? -errno : -EIO;
		}
		if (copied > 0)
			*bytes += (uint64_t)copied;
	}
}

/* -ENOENT when it went away meanwhile, which is no error of the caller's. */
static int copy_file(struct tool *tool, const char *from, const char *to)
{
	autoclose int source = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;

	if (source < 0 || fstat(source, &status))
		return -errno;

	autoclose int target =
		open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, status.st_mode & 0777);

	if (target < 0)
		return -errno == -ENOENT ? -EIO : -errno;

	int err = copy_bytes(source, target, &tool->copied_bytes);

	/* As root: whoever may read the store may read it again when it is put back. */
	(void)!fchown(target, status.st_uid, status.st_gid);
	if (!err && fsync(target))
		err = -errno;
	if (err)
		return err == -ENOENT ? -EIO : err;
	tool->copied_files++;
	return 0;
}

static void keep_owner(const char *from, const char *to)
{
	struct stat status;

	if (stat(from, &status) == 0)
		(void)!chown(to, status.st_uid, status.st_gid);
}

/* *vanished is set when a file was gone before it could be copied. */
static int copy_entries(struct tool *tool, const char *from, const char *to,
			bool (*wanted)(struct tool *, const char *), bool *vanished)
{
	struct dirent **entries = NULL;
	int count = scandir(from, &entries, NULL, alphasort);
	int err = 0;

	if (count < 0)
		return errno == ENOENT ? 0 : log_error_errno(-errno, "cannot read '%s'", from);
	for (int i = 0; i < count; i++) {
		const char *entry = entries[i]->d_name;
		char source[2 * PATH_SIZE], target[2 * PATH_SIZE];

		snprintf(source, sizeof(source), "%s/%s", from, entry);
		snprintf(target, sizeof(target), "%s/%s", to, entry);
		if (!err && entry[0] != '.' && access(target, F_OK) &&
		    (!wanted || wanted(tool, source))) {
			err = copy_file(tool, source, target);
			if (err == -ENOENT) {
				*vanished = true;
				err = 0;
			} else if (err) {
				log_error_errno(err, "cannot copy '%s' to '%s'", source, target);
			}
		}
		free(entries[i]);
	}
	free(entries);
	return err;
}

/* Regular files of a folder; temporary ones begin with a dot. */
static int copy_folder(struct tool *tool, const char *name,
		       bool (*wanted)(struct tool *, const char *))
{
	char from[PATH_SIZE], to[PATH_SIZE];
	bool made = false;
	bool vanished = true;
	int err;

	snprintf(from, sizeof(from), "%s/%s", tool->settings.data, name);
	snprintf(to, sizeof(to), "%s/%s", tool->target, name);
	err = folder_make(to, 0700, &made);
	if (err)
		return log_error_errno(err, "cannot make '%s'", to);

	keep_owner(from, to);
	/* What went was dropped, or written anew under a name that was not there when we looked. */
	while (!err && vanished) {
		vanished = false;
		err = copy_entries(tool, from, to, wanted, &vanished);
	}
	return err;
}

/* Of a running server's store what is sealed; of a stopped one all, logs included. */
static bool is_for_backup(struct tool *tool, const char *path)
{
	bool is_sealed = false;

	if (!tool->is_running)
		return true;
	return str_ends_with(str_from(path), STR(".db")) &&
	       store_file_is_sealed(path, &is_sealed) == 0 && is_sealed;
}

static bool is_plain_file(struct tool *tool, const char *path)
{
	struct stat status;

	(void)tool;
	return lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/*
 * What people keep beside the profiles: rules, settings, profiles to look at; and what they
 * deleted, without which that would be seen again.
 */
static int copy_records(struct tool *tool, const char *name)
{
	char from[PATH_SIZE], to[PATH_SIZE];
	int err;

	snprintf(from, sizeof(from), "%s/%s", tool->settings.data, name);
	snprintf(to, sizeof(to), "%s/%s", tool->target, name);
	err = records_copy(from, to);
	if (err == -ENOENT)
		return 0;
	if (err)
		return log_error_errno(err, "cannot copy '%s' to '%s'", from, to);
	keep_owner(from, to);
	tool->copied_files++;
	return 0;
}

static int sync_folder(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) ? -errno : 0;
}

static int back_up(struct tool *tool)
{
	bool made = false;
	char text[32];
	int err = folder_make(tool->target, 0700, &made);

	if (err)
		return log_error_errno(err, "cannot make '%s'", tool->target), EX_CANTCREAT;
	if (!made && rmdir(tool->target) == 0)
		err = folder_make(tool->target, 0700, &made);
	if (err || !made)
		return log_error("'%s' is not empty; name a folder that is not there yet",
				 tool->target),
		       EX_CANTCREAT;
	keep_owner(tool->settings.data, tool->target);
	if (tool->is_running) {
		int code = seal(tool);

		if (code)
			return code;
	}
	log_info("copying");
	/* First: what is said to be removed is not in files that are copied later. */
	err = copy_records(tool, "deletions.db");
	if (!err)
		err = copy_folder(tool, "data", is_for_backup);
	/* Names of functions: they come again while their files are there, not for those of last
	 * week. */
	if (!err)
		err = copy_folder(tool, "symbols", is_plain_file);
	if (!err)
		err = copy_records(tool, "records.db");
	if (!err)
		err = sync_folder(tool->target);
	if (err)
		return EX_IOERR;
	printf("%u files, %s, are in %s\n", tool->copied_files,
	       command_size_text(tool->copied_bytes, text), tool->target);
	return 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Takes our own words out; what is left is settings_load()'s. */
static int read_arguments(struct tool *tool, int argument_count, const char *const *arguments,
			  const char **options)
{
	int option_count = 0;

	for (int i = 0; i < argument_count; i++) {
		bool is_word = arguments[i][0] != '-' &&
			       (option_count == 0 || options[option_count - 1][0] != '-' ||
				strchr(options[option_count - 1], '='));

		if (is_word && !tool->command)
			tool->command = arguments[i];
		else if (is_word && !tool->target)
			tool->target = arguments[i];
		else
			options[option_count++] = arguments[i];
	}
	return option_count;
}

static int enter(struct tool *tool)
{
	int err = store_keep_out(tool->settings.data, &tool->lock_fd);

	tool->is_running = err == -EBUSY;
	if (err == -ENOENT) {
		log_error("there is no store in '%s'; say where with --data DIR",
			  tool->settings.data);
		return err;
	}
	if (err && !tool->is_running)
		return log_error_errno(err, "cannot enter the data folder '%s'",
				       tool->settings.data);
	return 0;
}

int store_tool_main(int argument_count, const char *const *arguments)
{
	static const struct {
		const char *name;
		bool has_target;
		int (*main)(struct tool *tool);
	} commands[] = { { "status", false, show },
			 { "verify", false, verify },
			 { "backup", true, back_up } };
	struct tool tool = { .lock_fd = -1 };
	autofree const char **options = calloc((size_t)argument_count + 1, sizeof(options[0]));
	int code;

	if (!options)
		return EX_OSERR;
	if (command_asks_for_help(argument_count, arguments))
		return print_help(), 0;

	int option_count = read_arguments(&tool, argument_count, arguments, options);
	code = command_settings(SETTING_OF_SERVE, option_count, options, &tool.settings);
	if (code)
		return code;
	code = EX_USAGE;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!tool.command || strcmp(tool.command, commands[i].name) != 0 ||
		    commands[i].has_target != (tool.target != NULL))
			continue;
		code = enter(&tool) ? EX_NOINPUT : commands[i].main(&tool);
		if (tool.lock_fd >= 0)
			close(tool.lock_fd);
		return code;
	}
	log_error("what shall be done? hearth store status, verify or backup DIR; see --help");
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/symbols_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/settings_file.h"
#include "commands/command.h"
#include "symbols/elf_file.h"
#include "web/ask.h"
#include "web/json.h"

enum {
	HELP_SIZE_MAX = 16384,
	ANSWER_SIZE_MAX = 16 << 20,
	HEX_SIZE = 2 * IDENTITY_SIZE_MAX + 1,
	PATH_SIZE = 64 + HEX_SIZE,
	CODE_COUNT_MAX = 64,
};

static void print_help(void)
{
	autoclean(buf) struct buf text = BUF(HELP_SIZE_MAX);

	buf_printf(&text,
		   "usage: hearth symbols [upload FILE... | remove BUILDID...] [OPTIONS]\n\n%s\n\n"
		   "  (nothing)                every module seen in the last hour: its share, "
		   "where its "
		   "names come\n"
		   "                           from, and what would bring those that are missing\n"
		   "  upload FILE...           hands in what names are made of: programs and "
		   "libraries "
		   "before\n"
		   "                           stripping, or their .debug files; code is left out. "
		   "What "
		   "was\n"
		   "                           sampled before gains its names, too\n"
		   "  remove BUILDID...        drops what was handed in\n\n",
		   SYMBOLS_TOOL_HELP);
	settings_help(SETTING_OF_SERVE, &text);
	fwrite(text.bytes, 1, text.size, stdout);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The answer as JSON, whatever its status; NULL after words. */
static struct json_value *ask(const struct settings *settings, const char *method, const char *path,
			      const struct ask_body *body, int *ret_status)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	char reason[JSON_ERROR_SIZE];
	struct json_value *value = NULL;
	int err = ask_server_with(settings->http, method, path, body, ret_status, &answer);

	if (!err)
		err = json_value_parse((struct str){ (char *)answer.bytes, answer.size }, &value,
				       reason);
	if (err)
		log_error_errno(err,
				"no server answers at %s; where does it listen? Say it with --http "
				"ADDR:PORT",
				settings->http);
	return value;
}

/* ---- upload ---------------------------------------------------------------------------------- */

/* A file without its code: zeros stand in its place, so that everything stays where it is. */
struct stripped {
	int fd;
	struct elf_segment code[CODE_COUNT_MAX];
	size_t code_count;
};

static int read_stripped(void *context, uint64_t offset, void *room, size_t size)
{
	const struct stripped *file = context;

	for (size_t done = 0; done < size;) {
		ssize_t got =
			pread(file->fd, (char *)room + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	for (size_t i = 0; i < file->code_count; i++) {
		uint64_t from = file->code[i].offset, to = from + file->code[i].size;

		if (from < offset)
			from = offset;
		if (to > offset + size)
			to = offset + size;
		if (from < to)
			memset((char *)room + (from - offset), 0, (size_t)(to - from));
	}
	return 0;
}

static int fail(const char *path, const char *why)
{
	log_error("'%s': %s", path, why);
	return EX_NOINPUT;
}

static int send_file(const struct settings *settings, const char *path, const struct ask_body *body,
		     const char *hex)
{
	char target[PATH_SIZE];
	int status = 0;

	snprintf(target, sizeof(target), "/symbols/%s", hex);

	autoclean(json_value) struct json_value *known =
		ask(settings, "GET", target, NULL, &status);

	if (!known)
		return EX_UNAVAILABLE;
	if (status == 200) {
		printf("%s: %s is there already\n", path, hex);
		return 0;
	}

	autoclean(json_value) struct json_value *answer =
		ask(settings, "PUT", target, body, &status);

	if (!answer)
		return EX_UNAVAILABLE;
	if (status != 201) {
		struct str error = json_member_text(answer, "error");

		log_error("'%s': %.*s", path, STR_PRINT(error));
		return 1;
	}
	printf("%s: %s, %.1f MiB kept\n", path, hex,
	       json_member_number(answer, "bytes") / (1 << 20));
	return 0;
}

static int upload(const struct settings *settings, const char *path)
{
	struct stripped file = { .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
	autoclose int fd = file.fd;
	autoclean(elf_file) struct elf_file *elf = NULL;
	struct ask_body body = { .read = read_stripped, .context = &file };
	char hex[HEX_SIZE] = "";
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return fail(path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return fail(path, "it is no regular file");
	body.size = (uint64_t)status.st_size;

	int err = elf_file_open_debug(fd, &elf);

	if (err)
		return fail(path, err == -ENOEXEC ? "it is no ELF file" : strerror(-err));

	struct identity identity = elf_file_build_id(elf);

	if (identity.kind != IDENTITY_GNU_BUILD_ID)
		return fail(path, "it has no build id, by which it would be found: link it with "
				  "-Wl,--build-id");
	for (size_t i = 0; i < identity.size; i++)
		snprintf(hex + 2 * i, 3, "%02x", identity.bytes[i]);
	file.code_count = elf_file_code(elf, file.code, CODE_COUNT_MAX);
	return send_file(settings, path, &body, hex);
}

/* ---- remove ---------------------------------------------------------------------------------- */

static int remove_one(const struct settings *settings, const char *hex)
{
	char target[PATH_SIZE];
	int status = 0;

	if (strlen(hex) >= HEX_SIZE || strspn(hex, "0123456789abcdefABCDEF") != strlen(hex))
		return fail(hex, "is no build id");
	snprintf(target, sizeof(target), "/symbols/%s", hex);

	autoclean(json_value) struct json_value *answer =
		ask(settings, "DELETE", target, NULL, &status);

	if (!answer)
		return EX_UNAVAILABLE;
	if (status != 200) {
		struct str error = json_member_text(answer, "error");

		log_error("%s: %.*s", hex, STR_PRINT(error));
		return 1;
	}
	printf("%s: dropped, %.1f MiB\n", hex, json_member_number(answer, "bytes") / (1 << 20));
	return 0;
}

/* ---- the list -------------------------------------------------------------------------------- */

static int list(const struct settings *settings)
{
	int status = 0;
	autoclean(json_value) struct json_value *answer =
		ask(settings, "GET", "/api/v1/modules?from=now-1h", NULL, &status);
	const struct json_value *rows = answer ? json_value_member(answer, "rows") : NULL;

	if (!answer)
		return EX_UNAVAILABLE;
	if (status != 200 || !rows) {
		struct str error = json_member_text(answer, "error");

		log_error("%.*s", STR_PRINT(error));
		return EX_UNAVAILABLE;
	}
	printf("%6s %6s  %-28s %-24s %s\n", "share", "named", "module", "names from",
	       "what would help");
	for (size_t i = 0; i < json_value_count(rows); i++) {
		const struct json_value *row = json_value_item(rows, i);
		double total = json_member_number(answer, "total");
		double self = json_member_number(row, "self");
		struct str name = json_member_text(row, "module");
		struct str sources = json_member_text(row, "sources");
		struct str help = json_member_text(row, "help");
		struct str problem = json_member_text(row, "problem");

		printf("%5.1f%% %5.1f%%  %-28.*s %-24.*s %.*s\n", total ? 100 * self / total : 0,
		       self ? 100 * json_member_number(row, "named") / self : 0, STR_PRINT(name),
		       STR_PRINT(sources), STR_PRINT(help));
		if (problem.size > 0)
			printf("%16s%.*s\n", "", STR_PRINT(problem));
	}
	return 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Words up to the first option; what follows are options. */
static int word_count(int argument_count, const char *const *arguments)
{
	int count = 0;

	while (count < argument_count && arguments[count][0] != '-')
		count++;
	return count;
}

int symbols_tool_main(int argument_count, const char *const *arguments)
{
	struct settings settings;
	int words = word_count(argument_count, arguments);
	int code;

	if (command_asks_for_help(argument_count, arguments))
		return print_help(), 0;

	code = command_settings(SETTING_OF_SERVE, argument_count - words, arguments + words,
				&settings);
	if (code)
		return code;

	if (words == 0)
		return list(&settings);

	bool uploads = !strcmp(arguments[0], "upload");

	if (words < 2 || (!uploads && strcmp(arguments[0], "remove") != 0)) {
		log_error("what shall be done? hearth symbols, hearth symbols upload FILE... or "
			  "hearth symbols remove BUILDID...; options stand behind; see --help");
		return EX_USAGE;
	}
	for (int i = 1; i < words; i++) {
		int one = uploads ? upload(&settings, arguments[i])
				  : remove_one(&settings, arguments[i]);

		if (one)
			code = one;
		if (one == EX_UNAVAILABLE)
			break;
	}
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/delete_tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "commands/command.h"
#include "web/ask.h"
#include "web/json.h"

enum { PATH_SIZE_MAX = 16384, ANSWER_SIZE_MAX = 4 << 20, REST_COUNT_MAX = 128 };

/* Later than any profile: it says that there is no end. */
#define TIME_MAX_MS (INT64_C(1) << 52)

struct tool {
	const char *selector; /* or NULL */
	const char *type, *from, *to;
	bool is_certain;
	struct settings settings;
};

static void print_help(void)
{
	command_help(
		"delete [SELECTOR] [--type TYPE] [--from TIME] [--to TIME] [--yes] [OPTIONS]",
		DELETE_TOOL_HELP
		"\n\n"
		"  SELECTOR                 whose profiles, as '{service_name=\"web\"}'; without "
		"one:\n"
		"                           what was deleted, and whether it is off the disk\n"
		"  --type TYPE              of these one profile type alone\n"
		"  --from TIME, --to TIME   only what lies in between, as now-1d (all of time)\n"
		"  --yes                    without asking\n\n"
		"Nothing brings back what was deleted. The server is asked over its unix socket "
		"(--http\n"
		"unix:PATH), as root or as its user: over a port nobody deletes without a "
		"token.",
		SETTING_OF_SERVE);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void add_parameter(struct buf *path, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(path, "&%s=", name);
	for (const char *c = value; *c; c++) {
		bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
				(*c >= '0' && *c <= '9') || *c == '-' || *c == '_' || *c == '.';

		buf_printf(path, is_plain ? "%c" : "%%%02X", (unsigned char)*c);
	}
}

/* An answer that is no refusal; NULL after words, and the exit code through ret. */
static struct json_value *ask(const struct tool *tool, const char *method, const char *path,
			      int *ret_code)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	char reason[JSON_ERROR_SIZE];
	struct json_value *value = NULL;
	int status = 0;
	int err = ask_server_with(tool->settings.http, method, path, NULL, &status, &answer);

	if (!err)
		err = json_value_parse((struct str){ (char *)answer.bytes, answer.size }, &value,
				       reason);
	*ret_code = EX_UNAVAILABLE;
	if (err) {
		log_error_errno(err,
				"no server answers at %s; where does it listen? Say it with --http",
				tool->settings.http);
		return NULL;
	}
	if (status == 200)
		return value;

	struct str error = json_member_text(value, "error");

	log_error("%.*s", STR_PRINT(error));
	*ret_code = 1;
	json_value_free(value);
	return NULL;
}

static struct json_value *ask_to_delete(const struct tool *tool, bool is_dry, int *ret_code)
{
	autoclean(buf) struct buf path = BUF(PATH_SIZE_MAX);

	buf_printf(&path, "/api/v1/delete?dry=%d", is_dry);
	add_parameter(&path, "query", tool->selector);
	add_parameter(&path, "type", tool->type);
	add_parameter(&path, "from", tool->from);
	add_parameter(&path, "to", tool->to);
	buf_add_u8(&path, 0);
	if (path.error) {
		log_error("that is too long");
		*ret_code = EX_USAGE;
		return NULL;
	}
	return ask(tool, "POST", (const char *)path.bytes, ret_code);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void print_what(const struct json_value *what)
{
	char from[COMMAND_TEXT_SIZE], to[COMMAND_TEXT_SIZE];
	int64_t from_ms = json_member_integer(what, "from_ms");
	int64_t to_ms = json_member_integer(what, "to_ms");
	struct str query = json_member_text(what, "query");

	printf("%.*s: %" PRId64 " series, %" PRId64 " samples, ", STR_PRINT(query),
	       json_member_integer(what, "series"), json_member_integer(what, "samples"));
	if (from_ms <= 0 && to_ms >= TIME_MAX_MS)
		printf("of all time\n");
	else
		printf("from %s to %s\n",
		       from_ms <= 0 ? "the beginning" : command_time_text(from_ms, from),
		       to_ms >= TIME_MAX_MS ? "the end" : command_time_text(to_ms, to));
}

static int list(const struct tool *tool)
{
	int code = 0;
	autoclean(json_value) struct json_value *answer =
		ask(tool, "GET", "/api/v1/deletions", &code);
	const struct json_value *rows = answer ? json_value_member(answer, "deletions") : NULL;

	if (!answer)
		return code;
	for (size_t i = 0; i < json_value_count(rows); i++) {
		const struct json_value *row = json_value_item(rows, i);
		char time[COMMAND_TEXT_SIZE];
		struct str state = json_member_text(row, "state");
		struct str by = json_member_text(row, "by");

		printf("%3" PRId64 "  %s  %-8.*s by %.*s  ", json_member_integer(row, "deletion"),
		       command_time_text(json_member_integer(row, "deleted_ms"), time),
		       STR_PRINT(state), STR_PRINT(by));
		print_what(row);
	}
	if (json_value_count(rows) == 0)
		printf("Nothing was deleted.\n");
	return 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool person_agrees(void)
{
	char line[16] = "";

	printf("Delete it, for ever? [y/N] ");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static int delete_it(const struct tool *tool)
{
	int code = 0;
	autoclean(json_value) struct json_value *found = NULL;
	autoclean(json_value) struct json_value *done = NULL;

	if (!tool->is_certain) {
		if (!isatty(STDIN_FILENO)) {
			log_error("there is nobody to ask; say --yes to delete it");
			return EX_USAGE;
		}
		found = ask_to_delete(tool, true, &code);
		if (!found)
			return code;
		print_what(found);
		if (json_member_integer(found, "series") == 0)
			return 0;
		if (!person_agrees())
			return 1;
	}
	done = ask_to_delete(tool, false, &code);
	if (!done)
		return code;
	if (tool->is_certain)
		print_what(done);
	if (json_member_integer(done, "deletion") > 0)
		printf("Deleted: it is in no answer any more, and goes from the files in the "
		       "background.\n");
	return 0;
}

/* What is not ours is the settings'. */
static int read_arguments(struct tool *tool, int argument_count, const char *const *arguments)
{
	const char *rest[REST_COUNT_MAX];
	int rest_count = 0;

	for (int i = 0; i < argument_count; i++) {
		const char *value;

		if (i == 0 && arguments[i][0] != '-') {
			tool->selector = arguments[i];
		} else if (!strcmp(arguments[i], "--yes")) {
			tool->is_certain = true;
		} else if ((value = command_option_value("--type", arguments, argument_count,
							 &i))) {
			tool->type = value;
		} else if ((value = command_option_value("--from", arguments, argument_count,
							 &i))) {
			tool->from = value;
		} else if ((value = command_option_value("--to", arguments, argument_count, &i))) {
			tool->to = value;
		} else if (rest_count < REST_COUNT_MAX) {
			rest[rest_count++] = arguments[i];
		}
	}
	return command_settings(SETTING_OF_SERVE, rest_count, rest, &tool->settings);
}

int delete_tool_main(int argument_count, const char *const *arguments)
{
	struct tool tool = { 0 };
	int code;

	if (command_asks_for_help(argument_count, arguments))
		return print_help(), 0;
	code = read_arguments(&tool, argument_count, arguments);
	if (code)
		return code;
	if (!tool.selector && (tool.type || tool.from || tool.to || tool.is_certain)) {
		log_error(
			"whose profiles? Say it first, as hearth delete '{service_name=\"web\"}'");
		return EX_USAGE;
	}
	return tool.selector ? delete_it(&tool) : list(&tool);
}

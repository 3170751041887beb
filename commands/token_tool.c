/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/token_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/settings_file.h"
#include "commands/command.h"
#include "web/tokens.h"

enum { TEXT_SIZE_MAX = 64 << 10, PATH_SIZE = SETTING_TEXT_SIZE + 64 };

struct tool {
	const char *command;
	const char *name; /* of a token */
	const char *role;
	const char *ends;
	struct settings settings;
	char path[PATH_SIZE];
	struct token_list list;
};

static void print_help(void)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);

	buf_printf(&text,
		   "usage: hearth token new NAME [--role ROLE] [--ends TIME] [OPTIONS]\n"
		   "       hearth token list [OPTIONS]\n"
		   "       hearth token revoke NAME [OPTIONS]\n\n%s\n\n"
		   "  new NAME                 makes a token and prints it, this once\n"
		   "  list                     names, roles and times; the tokens themselves are "
		   "not kept\n"
		   "  revoke NAME              it holds no longer\n\n"
		   "  --role ROLE              read, write or admin (read)\n"
		   "  --ends TIME              how long it holds, as 90d, or 'never' (never)\n\n"
		   "Clients show it as 'Authorization: Bearer TOKEN', or as the password of any "
		   "user.\n\n",
		   TOKEN_TOOL_HELP);
	settings_help(SETTING_OF_SERVE, &text);
	fwrite(text.bytes, 1, text.size, stdout);
}

/* ---- the file ---------------------------------------------------------------------------------
 */

/* One that reads, changes and writes keeps others out: the folder itself is locked. */
static int lock_folder(const struct tool *tool)
{
	char folder[PATH_SIZE] = ".";
	const char *slash = strrchr(tool->path, '/');
	bool made = false;

	if (slash)
		snprintf(folder, sizeof(folder), "%.*s",
			 slash == tool->path ? 1 : (int)(slash - tool->path), tool->path);

	int err = folder_make(folder, 0700, &made);
	int fd = err ? err : open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX)) {
		log_error_errno(err ? err : -errno, "cannot use the folder '%s'", folder);
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	return fd;
}

static int load(struct tool *tool)
{
	char reason[TOKEN_ERROR_SIZE];

	if (tokens_load(tool->path, &tool->list, reason) == 0)
		return 0;
	log_error("%s", reason);
	return EX_DATAERR;
}

static int save(const struct tool *tool)
{
	int err = tokens_save(tool->path, &tool->list);

	if (!err)
		return 0;
	log_error_errno(err, "cannot write '%s'", tool->path);
	return EX_CANTCREAT;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static int read_end(const struct tool *tool, struct token *token)
{
	uint64_t time_ns;

	if (!tool->ends || !strcmp(tool->ends, "never"))
		return 0;
	if (parse_duration_ns(str_from(tool->ends), &time_ns) ||
	    time_ns < (uint64_t)CLOCK_NS_PER_S) {
		log_error("--ends: '%.60s' is no time such as 12h or 90d, nor 'never'", tool->ends);
		return EX_USAGE;
	}
	token->ends_s = token->made_s + (int64_t)(time_ns / CLOCK_NS_PER_S);
	return 0;
}

static int make_token(struct tool *tool)
{
	struct token token = { .role = ROLE_READER, .made_s = clock_unix_ms() / CLOCK_MS_PER_S };
	char secret[TOKEN_TEXT_SIZE];

	if (!token_name_is_sound(str_from(tool->name))) {
		log_error("'%.80s' is no name: 1 to 63 letters, digits, '.', '_' or '-'",
			  tool->name);
		return EX_USAGE;
	}
	if (tool->role && !role_parse(str_from(tool->role), &token.role)) {
		log_error("--role: '%.60s' is not read, write or admin", tool->role);
		return EX_USAGE;
	}

	int code = read_end(tool, &token);

	if (code)
		return code;
	snprintf(token.name, sizeof(token.name), "%s", tool->name);

	int err = token_make(secret);

	if (!err)
		err = token_hash(str_from(secret), token.hash);
	if (!err)
		err = token_list_add(&tool->list, &token);
	if (err == -EEXIST)
		log_error("there is a token '%s' already; 'hearth token revoke %s' ends it",
			  token.name, token.name);
	else if (err == -E2BIG)
		log_error("there are %d tokens, which is the most", TOKEN_COUNT_MAX);
	else if (err)
		log_error_errno(err, "cannot make a token");
	if (err)
		return EX_CANTCREAT;
	code = save(tool);
	if (code == 0)
		printf("%s\n", secret);
	return code;
}

static const char *time_text(int64_t unix_s, char text[static 32])
{
	time_t seconds = (time_t)unix_s;
	struct tm tm;

	if (unix_s == 0 || !localtime_r(&seconds, &tm) || strftime(text, 32, "%F %T", &tm) == 0)
		snprintf(text, 32, "never");
	return text;
}

static int list_tokens(struct tool *tool)
{
	int64_t now_s = clock_unix_ms() / CLOCK_MS_PER_S;
	char made[32], ends[32];

	for (size_t i = 0; i < tool->list.count; i++) {
		const struct token *token = &tool->list.items[i];
		bool is_over = token->ends_s && token->ends_s <= now_s;

		printf("%-24s %-6s made %s, ends %s%s\n", token->name, role_name(token->role),
		       time_text(token->made_s, made), time_text(token->ends_s, ends),
		       is_over ? ": over" : "");
	}
	return 0;
}

static int revoke_token(struct tool *tool)
{
	if (token_list_remove(&tool->list, str_from(tool->name))) {
		log_error("there is no token '%.80s' in '%s'", tool->name, tool->path);
		return EX_USAGE;
	}
	return save(tool);
}

/* ---- the command ------------------------------------------------------------------------------
 */

/* Takes our own words and options out; what is left is settings_load()'s. */
static int read_arguments(struct tool *tool, int argument_count, const char *const *arguments,
			  const char **options)
{
	int option_count = 0;

	for (int i = 0; i < argument_count; i++) {
		bool is_word = arguments[i][0] != '-' &&
			       (option_count == 0 || options[option_count - 1][0] != '-' ||
				strchr(options[option_count - 1], '='));
		const char *value;

		if ((value = command_option_value("--role", arguments, argument_count, &i)))
			tool->role = value;
		else if ((value = command_option_value("--ends", arguments, argument_count, &i)))
			tool->ends = value;
		else if (is_word && !tool->command)
			tool->command = arguments[i];
		else if (is_word && !tool->name)
			tool->name = arguments[i];
		else
			options[option_count++] = arguments[i];
	}
	return option_count;
}

static int run(struct tool *tool)
{
	static const struct {
		const char *name;
		bool has_name;
		int (*main)(struct tool *tool);
	} commands[] = { { "new", true, make_token },
			 { "list", false, list_tokens },
			 { "revoke", true, revoke_token } };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!tool->command || strcmp(tool->command, commands[i].name) != 0 ||
		    commands[i].has_name != (tool->name != NULL))
			continue;

		autoclose int lock = lock_folder(tool);

		if (lock < 0)
			return EX_CANTCREAT;

		int code = load(tool);

		return code ? code : commands[i].main(tool);
	}
	log_error("what shall be done? hearth token new NAME, list or revoke NAME; see --help");
	return EX_USAGE;
}

int token_tool_main(int argument_count, const char *const *arguments)
{
	autofree struct tool *tool = calloc(1, sizeof(*tool));
	autofree const char **options = calloc((size_t)argument_count + 1, sizeof(options[0]));

	if (!options || !tool)
		return EX_OSERR;
	if (command_asks_for_help(argument_count, arguments))
		return print_help(), 0;

	int option_count = read_arguments(tool, argument_count, arguments, options);
	int code = command_settings(SETTING_OF_SERVE, option_count, options, &tool->settings);

	if (code)
		return code;
	if (tokens_path(&tool->settings, tool->path, sizeof(tool->path))) {
		log_error("the path of the token file is too long");
		return EX_CONFIG;
	}
	return run(tool);
}

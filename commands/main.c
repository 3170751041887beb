/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "collector/collect.h"
#include "commands/check_config.h"
#include "commands/command.h"
#include "commands/decode_tool.h"
#include "commands/delete_tool.h"
#include "commands/doctor.h"
#include "commands/grafana_tool.h"
#include "commands/record_tool.h"
#include "commands/run.h"
#include "commands/status.h"
#include "commands/store_tool.h"
#include "commands/symbols_tool.h"
#include "commands/tls_tool.h"
#include "commands/token_tool.h"
#include "commands/top.h"
#include "commands/transfer_tool.h"
#include "version.h"
#include "web/serve.h"

struct command {
	const char *name;
	enum setting_command settings;
	int (*main)(const struct settings *settings);
	const char *help;
};

static const struct command commands[] = {
	{ "run", SETTING_OF_RUN, run_main,
	  "profile this host and show it: collect and serve together" },
	{ "collect", SETTING_OF_COLLECT, collect_main, "take samples and send them to a server" },
	{ "serve", SETTING_OF_SERVE, serve_main, "keep profiles and show them" },
};

/* Commands that read their arguments themselves. */
struct tool {
	const char *name;
	int (*main)(int argument_count, const char *const *arguments);
	const char *help;
};

static const struct tool tools[] = {
	{ "store", store_tool_main, STORE_TOOL_HELP },
	{ "symbols", symbols_tool_main, SYMBOLS_TOOL_HELP },
	{ "delete", delete_tool_main, DELETE_TOOL_HELP },
	{ "token", token_tool_main, TOKEN_TOOL_HELP },
	{ "tls", tls_tool_main, TLS_TOOL_HELP },
	{ "doctor", doctor_main, DOCTOR_HELP },
	{ "record", record_tool_main, RECORD_TOOL_HELP },
	{ "status", status_main, STATUS_HELP },
	{ "top", top_main, TOP_HELP },
	{ "export", export_tool_main, EXPORT_TOOL_HELP },
	{ "import", import_tool_main, IMPORT_TOOL_HELP },
	{ "decode", decode_tool_main, DECODE_TOOL_HELP },
	{ "check-config", check_config_main, CHECK_CONFIG_HELP },
	{ "grafana-datasource", grafana_tool_main, GRAFANA_TOOL_HELP },
};

enum {
	COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]),
	TOOL_COUNT = sizeof(tools) / sizeof(tools[0]),
};

static void print_help(void)
{
	printf("usage: hearth COMMAND [OPTIONS]\n\nSee what a Linux host spends its time on.\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %-20s%s\n", commands[i].name, commands[i].help);
	for (size_t i = 0; i < TOOL_COUNT; i++)
		printf("  %-20s%s\n", tools[i].name, tools[i].help);
	printf("\n  hearth COMMAND --help    the command's options\n"
	       "  hearth --version         which hearth this is\n\n"
	       "As root, 'hearth run' is all it takes; then open http://127.0.0.1:4040/\n");
}

static int run_command(const struct command *command, int argument_count, char **arguments)
{
	const char *const *options = (const char *const *)arguments;
	/* Large, and below the stack of every process that is forked from here. */
	static struct settings settings;

	if (command_asks_for_help(argument_count, options)) {
		char usage[64];

		snprintf(usage, sizeof(usage), "%s [OPTIONS]", command->name);
		command_help(usage, command->help, command->settings);
		return 0;
	}

	int code = command_settings(command->settings, argument_count, options, &settings);

	if (code)
		return code;
	if (settings.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	return command->main(&settings);
}

int main(int argument_count, char **arguments)
{
	if (argument_count < 2) {
		print_help();
		return EX_USAGE;
	}
	if (!strcmp(arguments[1], "--version")) {
		printf("hearth %s\n", HEARTH_VERSION);
		return 0;
	}
	if (command_asks_for_help(1, (const char *const *)arguments + 1) ||
	    !strcmp(arguments[1], "help")) {
		print_help();
		return 0;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(arguments[1], commands[i].name))
			return run_command(&commands[i], argument_count - 2, arguments + 2);
	for (size_t i = 0; i < TOOL_COUNT; i++)
		if (!strcmp(arguments[1], tools[i].name))
			return tools[i].main(argument_count - 2,
					     (const char *const *)arguments + 2);
	log_error("unknown command '%s'; 'hearth --help' lists them", arguments[1]);
	return EX_USAGE;
}

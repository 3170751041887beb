/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/settings_file.h"

enum { HELP_SIZE_MAX = 16384, ERRORS_SIZE_MAX = 64 << 10 };

bool command_asks_for_help(int argument_count, const char *const *arguments)
{
	for (int i = 0; i < argument_count; i++)
		if (!strcmp(arguments[i], "--help") || !strcmp(arguments[i], "-h"))
			return true;
	return false;
}

const char *command_option_value(const char *name, const char *const *arguments, int argument_count,
				 int *at)
{
	size_t size = strlen(name);
	const char *argument = arguments[*at];

	if (strncmp(argument, name, size) != 0)
		return NULL;
	if (argument[size] == '=')
		return argument + size + 1;
	return argument[size] == '\0' && *at + 1 < argument_count ? arguments[++*at] : NULL;
}

int command_settings(enum setting_command command, int argument_count, const char *const *arguments,
		     struct settings *ret)
{
	autoclean(buf) struct buf errors = BUF(ERRORS_SIZE_MAX);
	int err = settings_load(command, argument_count, arguments, ret, &errors);

	if (!err)
		return 0;
	log_lines(LOG_LEVEL_ERROR, (struct str){ (char *)errors.bytes, errors.size });
	return err == -EINVAL ? EX_USAGE : EX_CONFIG;
}

const char *command_size_text(uint64_t bytes, char text[static COMMAND_TEXT_SIZE])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit < 4) {
		value /= 1024;
		unit++;
	}
	snprintf(text, COMMAND_TEXT_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

const char *command_time_text(int64_t unix_ms, char text[static COMMAND_TEXT_SIZE])
{
	time_t seconds = (time_t)(unix_ms / CLOCK_MS_PER_S);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(text, COMMAND_TEXT_SIZE, "%F %T", &tm) == 0)
		snprintf(text, COMMAND_TEXT_SIZE, "%" PRId64, unix_ms);
	return text;
}

void command_help(const char *usage, const char *words, enum setting_command command)
{
	autoclean(buf) struct buf text = BUF(HELP_SIZE_MAX);

	buf_printf(&text, "usage: hearth %s\n\n%s\n\n", usage, words);
	settings_help(command, &text);
	fwrite(text.bytes, 1, text.size, stdout);
}

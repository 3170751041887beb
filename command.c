/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

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

void command_help(const char *usage, const char *words, enum setting_command command)
{
	autoclean(buf) struct buf text = BUF(HELP_SIZE_MAX);

	buf_printf(&text, "usage: hearth %s\n\n%s\n\n", usage, words);
	settings_help(command, &text);
	fwrite(text.bytes, 1, text.size, stdout);
}

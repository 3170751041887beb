/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/settings.h"

/*
 * What commands that read their arguments themselves share.
 */

/* Whether somebody asks for --help or -h. */
bool command_asks_for_help(int argument_count, const char *const *arguments);

/* The value of the option "--name" at *at, behind '=' or in the next argument, which is then *at;
 * NULL for another option. */
const char *command_option_value(const char *name, const char *const *arguments, int argument_count,
				 int *at);

/*
 * The settings, from the defaults to these options. What is wrong goes to the log, and the exit
 * code is returned: 0, 64 for wrong options, 78 for wrong settings.
 */
int command_settings(enum setting_command command, int argument_count, const char *const *arguments,
		     struct settings *ret);

/* "12.3 MiB", and "2026-11-26 22:18:30" by the clock here: for people. Both return text. */
enum { COMMAND_TEXT_SIZE = 32 };
const char *command_size_text(uint64_t bytes, char text[static COMMAND_TEXT_SIZE]);
const char *command_time_text(int64_t unix_ms, char text[static COMMAND_TEXT_SIZE]);

/* Prints usage, words, and the options of a command. */
void command_help(const char *usage, const char *words, enum setting_command command);

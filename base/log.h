/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"

/*
 * Messages for the person who runs the program: one line each on standard error. Under systemd
 * (JOURNAL_STREAM is set) a line begins with its level, "<3>"; else with "hearth: " alone.
 *
 * Libraries are silent and return errors. The two programs' top level logs, once, in the line in
 * which it gives up or goes on, and says what happens next. What can happen a thousand times a
 * second is a counter. Any thread may log.
 */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* What is above this level is not written. The one variable of file scope in the program. */
void log_set_level(enum log_level level);

/* Begins each line; the default is "hearth: ". The text must live as long as the process. */
void log_set_name(const char *name);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes "TEXT: strerror(-err)" and returns err, so that a caller logs and leaves in one line. */
int log_write_errno(enum log_level level, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Each line of the text, which ends with a newline, as a message. */
void log_lines(enum log_level level, struct str lines);

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#define log_error_errno(err, ...)   log_write_errno(LOG_LEVEL_ERROR, err, __VA_ARGS__)
#define log_warning_errno(err, ...) log_write_errno(LOG_LEVEL_WARNING, err, __VA_ARGS__)

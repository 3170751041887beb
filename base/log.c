/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

enum { LINE_SIZE_MAX = 2048 };

static _Atomic int highest_level = LOG_LEVEL_INFO;
static const char *_Atomic line_name = "hearth: ";

void log_set_level(enum log_level level)
{
	highest_level = (int)level;
}

void log_set_name(const char *name)
{
	assert(name);
	line_name = name;
}

/* One write() a line, so that lines of several threads and processes don't mix. */
__attribute__((format(printf, 2, 0))) static void
write_line(enum log_level level, const char *format, va_list args, const char *reason)
{
	if ((int)level > highest_level)
		return;

	char line[LINE_SIZE_MAX];
	size_t room = sizeof(line) - 1;
	int used = getenv("JOURNAL_STREAM") ? snprintf(line, room, "<%d>", (int)level)
					    : snprintf(line, room, "%s", line_name);
	size_t size = used > 0 ? (size_t)used : 0;

	used = vsnprintf(line + size, room - size, format, args);
	size = used < 0 ? size : size + (size_t)used < room ? size + (size_t)used : room - 1;
	if (reason) {
		used = snprintf(line + size, room - size, ": %s", reason);
		size = used < 0			    ? size
		       : size + (size_t)used < room ? size + (size_t)used
						    : room - 1;
	}

	/* A name from outside may hold control characters; a log line holds one line. */
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[size++] = '\n';

	/* Nobody is left to tell when standard error fails. */
	ssize_t ignored = write(STDERR_FILENO, line, size);
	(void)ignored;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(level, format, args, NULL);
	va_end(args);
}

int log_write_errno(enum log_level level, int err, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	write_line(level, format, args, strerror_r(err < 0 ? -err : err, text, sizeof(text)));
	va_end(args);
	return err;
}

void log_lines(enum log_level level, struct str lines)
{
	struct str line;

	while (parse_next(&lines, '\n', &line))
		log_write(level, "%.*s", STR_PRINT(line));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/living.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"

enum {
	STAT_SIZE_MAX = 1024,
	/* In /proc/PID/stat, counted from the state, which follows the name. */
	STAT_FIELD_START = 19,
};

/* When it started, in ticks since boot. -ENOENT when there is none, -EACCES … when it is hidden. */
static int read_start(uint64_t pid, uint64_t *ret_ticks)
{
	char path[64];
	char text[STAT_SIZE_MAX];

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;

	ssize_t size = read(fd, text, sizeof(text));

	/* It may end between the two calls. */
	if (size < 0)
		return errno == ESRCH ? -ENOENT : -errno;

	struct str rest = { text, (size_t)size };
	struct str field = { 0 };

	/* The name stands in parentheses, and may hold some. */
	while (rest.size > 0 && rest.text[rest.size - 1] != ')')
		rest.size--;
	if (rest.size == 0 || (size_t)size < rest.size + 2)
		return -EBADMSG;
	rest = (struct str){ text + rest.size + 1, (size_t)size - rest.size - 1 };
	for (int i = 0; i <= STAT_FIELD_START; i++)
		if (!parse_next(&rest, ' ', &field))
			return -EBADMSG;
	return parse_u64(field, ret_ticks);
}

enum living living_ask(struct str process)
{
	struct str rest = process;
	struct str pid_text = { 0 };
	struct str start_text = { 0 };
	long ticks_per_second = sysconf(_SC_CLK_TCK);
	uint64_t pid;
	uint64_t start_ms;
	uint64_t ticks = 0;
	uint64_t ignored;

	if (!parse_next(&rest, '.', &pid_text) || !parse_next(&rest, '.', &start_text) ||
	    parse_u64(pid_text, &pid) || parse_u64(start_text, &start_ms) || ticks_per_second <= 0)
		return LIVING_UNKNOWN;

	int err = read_start(pid, &ticks);

	/* Where even the first process is hidden, nothing follows from one that is not seen. */
	if (err == -ENOENT)
		return read_start(1, &ignored) ? LIVING_UNKNOWN : LIVING_EXITED;
	if (err)
		return LIVING_UNKNOWN;
	return start_ms * (uint64_t)ticks_per_second / CLOCK_MS_PER_S == ticks ? LIVING_RUNS
									       : LIVING_EXITED;
}

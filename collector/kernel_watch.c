/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/kernel_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/table.h"

enum { CHUNK_SIZE = 16384 };

void kernel_watch_note(struct kernel_watch *watch)
{
	watch->is_changed = true;
}

void kernel_watch_sent(struct kernel_watch *watch)
{
	watch->is_changed = false;
}

static int read_file(const char *path, struct buf *buf)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (;;) {
		void *room = buf_grow(buf, CHUNK_SIZE);

		if (!room)
			return buf->error;

		ssize_t got = read(fd, room, CHUNK_SIZE);

		buf->size -= CHUNK_SIZE - (size_t)(got > 0 ? got : 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
	}
}

/*
 * "name size users who, state address": the users of a module change all the time, so that only
 * what it is and where it lies counts.
 */
static uint64_t hash_line(struct str line, uint64_t seed)
{
	for (int field = 0; field < 6; field++) {
		struct str part;

		if (!parse_next(&line, ' ', &part))
			break;
		if (field == 0 || field == 1 || field == 5)
			seed = table_hash_bytes(part.text, part.size, seed);
	}
	return seed;
}

static uint64_t hash_modules(const char *path)
{
	autoclean(buf) struct buf text = BUF(KERNEL_WATCH_SIZE_MAX);
	struct str rest, line;
	uint64_t hash = 1;

	/* A kernel without modules has no list, and never will. */
	if (read_file(path, &text))
		return 0;
	rest = (struct str){ (const char *)text.bytes, text.size };
	while (parse_next(&rest, '\n', &line))
		hash = hash_line(line, hash);
	return hash;
}

bool kernel_watch_tick(struct kernel_watch *watch, const char *modules, uint64_t now_ns)
{
	if (now_ns >= watch->next_look_ns) {
		uint64_t hash = hash_modules(modules);

		watch->is_changed |= watch->has_looked && hash != watch->modules;
		watch->has_looked = true;
		watch->modules = hash;
		watch->next_look_ns =
			now_ns + (uint64_t)KERNEL_WATCH_LOOK_S * (uint64_t)CLOCK_NS_PER_S;
	}
	if (!watch->is_changed || now_ns < watch->next_send_ns)
		return false;
	watch->is_changed = false;
	watch->next_send_ns = now_ns + (uint64_t)KERNEL_WATCH_SEND_S * (uint64_t)CLOCK_NS_PER_S;
	return true;
}

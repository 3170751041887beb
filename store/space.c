/* SPDX-License-Identifier: Apache-2.0 */
#include "store/space.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define MEBIBYTE UINT64_C(1048576)

/* After the time of a next try, before we try ourselves. */
#define GRACE_NS (UINT64_C(3) * 1000000000)

enum {
	RETRY_S = 10,
	/* Old files go below a twentieth of the disk, or a gibibyte; of a small one, where a
	 * gibibyte is most of it, below a tenth. */
	SHEDDING_MIB = 1024,
	SHEDDING_PART = 20,
	SHEDDING_PART_MOST = 10,
	READ_ONLY_MIB = 200,
	READ_ONLY_PART_MOST = 50,
	BALLAST_MIB = 4,
	BALLAST_PART_MOST = 100,
	/* It is left when there is a quarter more than what it was entered for. */
	HYSTERESIS_PART = 4,
};

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int space_init(struct space *space, const char *folder)
{
	*space = (struct space){ .folder = folder, .since_unix_ms = clock_unix_ms() };
	if (asprintf(&space->ballast, "%s/ballast", folder) < 0) {
		space->ballast = NULL;
		return -ENOMEM;
	}
	space->has_ballast = access(space->ballast, F_OK) == 0;
	space_look(space, space->since_unix_ms);
	return 0;
}

void space_done(struct space *space)
{
	free(space->ballast);
	space->ballast = NULL;
}

static void drop_ballast(struct space *space)
{
	if (space->has_ballast && unlink(space->ballast) == 0)
		space->has_ballast = false;
}

/* Blocks, not a hole. Without it all goes on: it is a help, not a need. */
static void make_ballast(struct space *space)
{
	uint64_t size = at_most(BALLAST_MIB * MEBIBYTE, space->size_bytes / BALLAST_PART_MOST);

	if (space->has_ballast || size == 0)
		return;

	autoclose int fd = open(space->ballast, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return;
	if (posix_fallocate(fd, 0, (off_t)size))
		(void)unlink(space->ballast);
	else
		space->has_ballast = true;
}

static void enter(struct space *space, enum store_state state, int64_t now_unix_ms)
{
	if (space->state == state)
		return;
	space->state = state;
	space->since_unix_ms = now_unix_ms;
	if (state == STORE_READ_ONLY)
		drop_ballast(space);
}

static bool is_below(uint64_t free_bytes, uint64_t limit, bool was_below)
{
	return free_bytes < limit + (was_below ? limit / HYSTERESIS_PART : 0);
}

/* When nothing waits to be written, nothing else would tell that the disk is well again. */
static void probe(struct space *space)
{
	space->has_ballast = access(space->ballast, F_OK) == 0;
	make_ballast(space);
	if (space->has_ballast)
		space->error = 0;
	else
		space->next_try_ns = clock_monotonic_ns() + RETRY_S * (uint64_t)CLOCK_NS_PER_S;
}

void space_look(struct space *space, int64_t now_unix_ms)
{
	struct statvfs status;
	uint64_t twentieth;

	if (space->error && clock_monotonic_ns() >= space->next_try_ns + GRACE_NS)
		probe(space);
	/* What can't be asked stays as it was: a write will tell. */
	if (statvfs(space->folder, &status))
		return;
	space->free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
	space->size_bytes = (uint64_t)status.f_blocks * status.f_frsize;
	twentieth = space->size_bytes / SHEDDING_PART;
	space->shedding_below = SHEDDING_MIB * MEBIBYTE;
	if (space->shedding_below < twentieth)
		space->shedding_below = twentieth;
	space->shedding_below =
		at_most(space->shedding_below, space->size_bytes / SHEDDING_PART_MOST);
	space->read_only_below =
		at_most(READ_ONLY_MIB * MEBIBYTE, space->size_bytes / READ_ONLY_PART_MOST);

	if (space->error ||
	    is_below(space->free_bytes, space->read_only_below, space->state == STORE_READ_ONLY))
		enter(space, STORE_READ_ONLY, now_unix_ms);
	else if (is_below(space->free_bytes, space->shedding_below, space->state != STORE_OK))
		enter(space, STORE_SHEDDING, now_unix_ms);
	else
		enter(space, STORE_OK, now_unix_ms);
	if (space->state == STORE_OK)
		make_ballast(space);
}

bool space_may_write(const struct space *space)
{
	if (space->state != STORE_READ_ONLY)
		return true;
	return space->error && clock_monotonic_ns() >= space->next_try_ns;
}

static bool is_of_the_disk(int err)
{
	return err == -ENOSPC || err == -EIO || err == -EROFS || err == -EDQUOT || err == -ENODEV;
}

bool space_note(struct space *space, int err, int64_t now_unix_ms)
{
	if (!err && space->error) {
		space->error = 0;
		space_look(space, now_unix_ms);
	}
	if (!is_of_the_disk(err))
		return false;
	space->error = err;
	space->next_try_ns = clock_monotonic_ns() + RETRY_S * (uint64_t)CLOCK_NS_PER_S;
	enter(space, STORE_READ_ONLY, now_unix_ms);
	return true;
}

void store_state_text(const struct store_status *status, char *text, size_t size)
{
	unsigned long long free_mib = status->disk_free / MEBIBYTE;

	switch (status->state) {
	case STORE_OK:
		snprintf(text, size, "%s", "");
		break;
	case STORE_SHEDDING:
		snprintf(text, size,
			 "The disk has %llu MiB left: the oldest profiles are dropped, down to the "
			 "last day. "
			 "Make room on it.",
			 free_mib);
		break;
	case STORE_READ_ONLY:
		if (status->state_error)
			snprintf(text, size,
				 "The disk could not be written (%s): nothing new is stored, what "
				 "is there "
				 "can be read. It is tried again every %d s.",
				 strerror(-status->state_error), RETRY_S);
		else
			snprintf(text, size,
				 "The disk has %llu MiB left: nothing new is stored, what is there "
				 "can be "
				 "read. Make room on it.",
				 free_mib);
		break;
	}
}

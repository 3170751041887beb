/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/debug_folder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

/* "/.build-id/ab/cdef….debug" */
enum { NAME_SIZE_MAX = 16 + 2 * IDENTITY_SIZE_MAX + 8 };

static void write_name(const struct identity *identity, char name[static NAME_SIZE_MAX])
{
	char *next = name + snprintf(name, NAME_SIZE_MAX, "/.build-id/%02x/", identity->bytes[0]);

	for (size_t i = 1; i < identity->size; i++)
		next += snprintf(next, 3, "%02x", identity->bytes[i]);
	snprintf(next, sizeof(".debug"), ".debug");
}

static int open_regular(const char *path, int *ret_fd)
{
	struct stat status;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode))
		return -ENOENT;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int debug_folder_open(const char *folders, const struct identity *identity, int *ret_fd)
{
	char name[NAME_SIZE_MAX];
	char path[PATH_MAX];

	if (identity->kind != IDENTITY_GNU_BUILD_ID || identity->size < 2)
		return -ENOENT;
	assert(identity->size <= IDENTITY_SIZE_MAX);
	write_name(identity, name);

	for (const char *folder = folders; *folder;) {
		size_t size = strcspn(folder, ":");
		int length = snprintf(path, sizeof(path), "%.*s%s", (int)size, folder, name);

		if (size > 0 && (size_t)length < sizeof(path) && open_regular(path, ret_fd) == 0)
			return 0;
		folder += size + (folder[size] == ':');
	}
	return -ENOENT;
}

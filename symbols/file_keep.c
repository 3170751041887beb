/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/file_keep.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct kept_file *find(struct file_keep *keep, const struct identity *identity)
{
	for (unsigned i = 0; i < keep->count; i++)
		if (identity_equal(&keep->files[i].identity, identity))
			return &keep->files[i];
	return NULL;
}

static void drop(struct file_keep *keep, struct kept_file *file)
{
	assert(file >= keep->files && file < keep->files + keep->count);
	close(file->fd);
	*file = keep->files[--keep->count];
}

void file_keep_add(struct file_keep *keep, const struct identity *identity, int fd)
{
	struct kept_file *oldest = &keep->files[0];

	assert(fd >= 0);
	file_keep_drop(keep, identity);
	if (keep->count == FILE_KEEP_COUNT_MAX) {
		for (unsigned i = 1; i < keep->count; i++)
			if (keep->files[i].used < oldest->used)
				oldest = &keep->files[i];
		drop(keep, oldest);
	}
	keep->files[keep->count++] =
		(struct kept_file){ .identity = *identity, .fd = fd, .used = ++keep->clock };
}

int file_keep_get(struct file_keep *keep, const struct identity *identity, int *ret_fd)
{
	struct kept_file *file = find(keep, identity);

	if (!file)
		return -ENOENT;

	int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	file->used = ++keep->clock;
	*ret_fd = fd;
	return 0;
}

void file_keep_drop(struct file_keep *keep, const struct identity *identity)
{
	struct kept_file *file = find(keep, identity);

	if (file)
		drop(keep, file);
}

void file_keep_done(struct file_keep *keep)
{
	while (keep->count > 0)
		drop(keep, &keep->files[0]);
}

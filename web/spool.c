/* SPDX-License-Identifier: Apache-2.0 */
#include "web/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"

enum { PATH_SIZE = STORE_PATH_SIZE_MAX + 32 };

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Some file systems have no files without a name: one is taken from it at once. */
static int open_file(const char *folder)
{
	char path[PATH_SIZE];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (snprintf(path, sizeof(path), "%s/spool-XXXXXX", folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

static int move_to_file(struct spool *spool)
{
	int fd = open_file(spool->folder);
	int err = fd < 0 ? fd : write_all(fd, spool->memory.bytes, spool->memory.size);

	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	spool->fd = fd;
	buf_done(&spool->memory);
	return 0;
}

int spool_add(struct spool *spool, const void *bytes, size_t size)
{
	int err = 0;

	assert(!spool->mapped);
	if (size > spool->limit - spool->size)
		return -E2BIG;
	if (spool->fd < 0 && size > spool->memory.limit - spool->memory.size)
		err = move_to_file(spool);
	if (!err && spool->fd >= 0) {
		err = write_all(spool->fd, bytes, size);
	} else if (!err) {
		buf_add(&spool->memory, bytes, size);
		err = spool->memory.error;
	}
	if (!err)
		spool->size += size;
	return err;
}

int spool_sink(void *context, const void *bytes, size_t size)
{
	return spool_add(context, bytes, size);
}

int spool_read(struct spool *spool, struct str *ret)
{
	if (spool->fd < 0) {
		*ret = (struct str){ (const char *)spool->memory.bytes, spool->memory.size };
		return 0;
	}
	if (!spool->mapped) {
		void *mapped = mmap(NULL, spool->size, PROT_READ, MAP_PRIVATE, spool->fd, 0);

		if (mapped == MAP_FAILED)
			return -errno;
		spool->mapped = mapped;
	}
	*ret = (struct str){ spool->mapped, spool->size };
	return 0;
}

void spool_let_go(const struct spool *spool, struct str bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t all = (uintptr_t)spool->mapped;
	uintptr_t first = (uintptr_t)bytes.text;
	uintptr_t end = first + bytes.size;

	if (!spool->mapped || first < all || end > all + spool->size)
		return;
	first = (first + page - 1) / page * page;
	end = end / page * page;
	/* They are as they are in the file: nothing is lost. */
	if (first < end)
		(void)madvise((void *)first, end - first, MADV_DONTNEED);
}

void spool_done(struct spool *spool)
{
	if (spool->mapped)
		(void)munmap(spool->mapped, spool->size);
	if (spool->fd >= 0)
		close(spool->fd);
	buf_done(&spool->memory);
	spool->mapped = NULL;
	spool->fd = -1;
	spool->size = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fault_vfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/array.h"
#include "tests/support/call_graph.h"

enum { SECTOR_SIZE = 512 };

/* A write, or with bytes NULL a new size, that nobody has synced yet. */
struct change {
	int64_t offset; /* or the size */
	size_t size;
	uint8_t *bytes;
};

/* What is safe of a watched file, and what is not. */
struct shadow {
	char *path;
	uint8_t *bytes;
	size_t size, capacity;
	ARRAY(struct change) changes;
	bool is_gone;	       /* removed: a power cut may bring it back … */
	bool is_gone_for_good; /* … until its folder was synced */
};

static struct {
	sqlite3_vfs *real;
	uint64_t calls, fails_at;
	enum fault_kind kind;
	bool for_ever, has_failed;

	const char *folder; /* NULL: nothing is watched */
	void (*before_sync)(void *context);
	void *context;
	ARRAY(struct shadow *) shadows;
} vfs;

struct fault_file {
	sqlite3_file base;
	struct shadow *shadow; /* NULL: not watched */
	sqlite3_file real[];   /* so much as the real one wants */
};

static sqlite3_file *real_file(sqlite3_file *file)
{
	return ((struct fault_file *)file)->real;
}

/* ---- failing --------------------------------------------------------------------------------- */

void fault_vfs_fail(uint64_t n, enum fault_kind kind, bool for_ever)
{
	vfs.calls = 0;
	vfs.fails_at = n;
	vfs.kind = kind;
	vfs.for_ever = for_ever;
	vfs.has_failed = false;
}

bool fault_vfs_call(bool writes)
{
	bool is_meant = writes || vfs.kind == FAULT_IO;

	if (!is_meant)
		return false;
	vfs.calls++;
	if (!vfs.fails_at || vfs.calls < vfs.fails_at ||
	    (vfs.calls > vfs.fails_at && !vfs.for_ever))
		return false;
	vfs.has_failed = true;
	return true;
}

uint64_t fault_vfs_calls(void)
{
	return vfs.calls;
}

bool fault_vfs_has_failed(void)
{
	return vfs.has_failed;
}

static int write_error(int io_error)
{
	return vfs.kind == FAULT_FULL ? SQLITE_FULL : io_error;
}

/* ---- shadows --------------------------------------------------------------------------------- */

static struct shadow *find_shadow(const char *path, bool make)
{
	struct shadow *shadow;

	if (!path || !vfs.folder || strncmp(path, vfs.folder, strlen(vfs.folder)) != 0)
		return NULL;
	for (uint32_t i = 0; i < vfs.shadows.count; i++)
		if (!strcmp(vfs.shadows.items[i]->path, path))
			return vfs.shadows.items[i];
	if (!make)
		return NULL;
	shadow = calloc(1, sizeof(*shadow));
	assert(shadow && array_reserve(&vfs.shadows, 1) == 0);
	shadow->path = strdup(path);
	vfs.shadows.items[vfs.shadows.count++] = shadow;
	return shadow;
}

static void forget_changes(struct shadow *shadow)
{
	for (uint32_t i = 0; i < shadow->changes.count; i++)
		free(shadow->changes.items[i].bytes);
	shadow->changes.count = 0;
}

static void forget_shadows(void)
{
	for (uint32_t i = 0; i < vfs.shadows.count; i++) {
		struct shadow *shadow = vfs.shadows.items[i];

		forget_changes(shadow);
		array_done(&shadow->changes);
		free(shadow->bytes);
		free(shadow->path);
		free(shadow);
	}
	vfs.shadows.count = 0;
}

static void set_size(struct shadow *image, size_t size)
{
	if (size > image->capacity) {
		image->capacity = 2 * size;
		image->bytes = realloc(image->bytes, image->capacity);
		assert(image->bytes);
	}
	if (size > image->size)
		memset(image->bytes + image->size, 0, size - image->size);
	image->size = size;
}

/* Sectors of it from … to. */
static void apply(struct shadow *image, const struct change *change, size_t from, size_t to)
{
	if (!change->bytes) {
		set_size(image, (size_t)change->offset);
		return;
	}
	if (to > change->size)
		to = change->size;
	if (from >= to)
		return;
	if ((size_t)change->offset + to > image->size)
		set_size(image, (size_t)change->offset + to);
	memcpy(image->bytes + change->offset + from, change->bytes + from, to - from);
}

static void note_change(struct shadow *shadow, int64_t offset, const void *bytes, size_t size)
{
	struct change change = { .offset = offset, .size = size };

	if (!shadow)
		return;
	if (bytes) {
		change.bytes = malloc(size);
		assert(change.bytes);
		memcpy(change.bytes, bytes, size);
	}
	assert(array_reserve(&shadow->changes, 1) == 0);
	shadow->changes.items[shadow->changes.count++] = change;
}

static void make_safe(struct shadow *shadow)
{
	for (uint32_t i = 0; i < shadow->changes.count; i++)
		apply(shadow, &shadow->changes.items[i], 0, SIZE_MAX);
	forget_changes(shadow);
}

static void remove_shadow(struct shadow *shadow, bool for_good)
{
	if (!shadow)
		return;
	forget_changes(shadow);
	shadow->is_gone = true;
	shadow->is_gone_for_good = for_good;
}

static void about_to_sync(void)
{
	if (vfs.before_sync)
		vfs.before_sync(vfs.context);
}

void fault_vfs_watch(const char *folder, void (*before_sync)(void *context), void *context)
{
	forget_shadows();
	array_done(&vfs.shadows);
	vfs.folder = folder;
	vfs.before_sync = before_sync;
	vfs.context = context;
}

/* What was removed from a folder that is synced does not come back. */
static void settle_folder(const char *path)
{
	size_t size = strlen(path);

	for (uint32_t i = 0; i < vfs.shadows.count; i++) {
		struct shadow *shadow = vfs.shadows.items[i];

		if (shadow->is_gone && !strncmp(shadow->path, path, size))
			shadow->is_gone_for_good = true;
	}
}

void fault_vfs_synced(const char *path)
{
	struct shadow *shadow = find_shadow(path, false);

	if (!vfs.folder)
		return;
	about_to_sync();
	if (shadow)
		make_safe(shadow);
	else
		settle_folder(path);
}

void fault_vfs_moved(const char *path, const char *to)
{
	struct shadow *shadow = find_shadow(path, false);

	if (!shadow)
		return;
	if (to) {
		remove_shadow(find_shadow(to, false), true);
		free(shadow->path);
		shadow->path = strdup(to);
	} else {
		remove_shadow(shadow, false);
	}
}

static int write_image(const char *path, const struct shadow *image)
{
	autoclose int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < image->size) {
		ssize_t size = write(fd, image->bytes + done, image->size - done);

		if (size <= 0)
			return -EIO;
		done += (size_t)size;
	}
	return 0;
}

int fault_vfs_power_cut(const char *to, uint64_t seed)
{
	int err = 0;

	for (uint32_t i = 0; i < vfs.shadows.count && !err; i++) {
		const struct shadow *shadow = vfs.shadows.items[i];
		struct shadow image = { .bytes = malloc(shadow->size + 1),
					.size = shadow->size,
					.capacity = shadow->size };
		/* Sometimes all of a file's writes are lost, as one that nobody flushed. */
		uint64_t mood = random_next(&seed) % 4;
		char path[4096];

		if (shadow->is_gone && (shadow->is_gone_for_good || random_next(&seed) % 2 == 0)) {
			free(image.bytes);
			continue;
		}
		memcpy(image.bytes, shadow->bytes ? shadow->bytes : (const uint8_t *)"",
		       shadow->size);
		for (uint32_t k = 0; k < shadow->changes.count && mood > 0; k++) {
			const struct change *change = &shadow->changes.items[k];
			size_t sectors = change->size / SECTOR_SIZE + 1;
			uint64_t luck = random_next(&seed) % 4;
			size_t from = luck == 2 ? random_next(&seed) % sectors : 0;
			size_t end = luck == 1 ? random_next(&seed) % sectors : sectors;

			if (luck > 0)
				apply(&image, change, from * SECTOR_SIZE, end * SECTOR_SIZE);
		}
		snprintf(path, sizeof(path), "%s%s", to, shadow->path + strlen(vfs.folder));
		err = write_image(path, &image);
		free(image.bytes);
	}
	return err;
}

/* ---- methods of a file ----------------------------------------------------------------------- */

static int fault_close(sqlite3_file *file)
{
	return real_file(file)->pMethods->xClose(real_file(file));
}

static int fault_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
	if (fault_vfs_call(false))
		return SQLITE_IOERR_READ;
	return real_file(file)->pMethods->xRead(real_file(file), bytes, size, offset);
}

static int fault_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
	if (fault_vfs_call(true))
		return write_error(SQLITE_IOERR_WRITE);
	note_change(((struct fault_file *)file)->shadow, offset, bytes, (size_t)size);
	return real_file(file)->pMethods->xWrite(real_file(file), bytes, size, offset);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (fault_vfs_call(true))
		return write_error(SQLITE_IOERR_TRUNCATE);
	note_change(((struct fault_file *)file)->shadow, size, NULL, 0);
	return real_file(file)->pMethods->xTruncate(real_file(file), size);
}

static int fault_sync(sqlite3_file *file, int flags)
{
	struct shadow *shadow = ((struct fault_file *)file)->shadow;

	if (fault_vfs_call(true))
		return SQLITE_IOERR_FSYNC;
	if (shadow) {
		about_to_sync();
		make_safe(shadow);
	}
	return real_file(file)->pMethods->xSync(real_file(file), flags);
}

static int fault_file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	if (fault_vfs_call(false))
		return SQLITE_IOERR_FSTAT;
	return real_file(file)->pMethods->xFileSize(real_file(file), ret);
}

static int fault_lock(sqlite3_file *file, int level)
{
	if (fault_vfs_call(false))
		return SQLITE_IOERR_LOCK;
	return real_file(file)->pMethods->xLock(real_file(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
	return real_file(file)->pMethods->xUnlock(real_file(file), level);
}

static int fault_check_lock(sqlite3_file *file, int *ret)
{
	return real_file(file)->pMethods->xCheckReservedLock(real_file(file), ret);
}

static int fault_control(sqlite3_file *file, int operation, void *argument)
{
	return real_file(file)->pMethods->xFileControl(real_file(file), operation, argument);
}

static int fault_sector_size(sqlite3_file *file)
{
	return real_file(file)->pMethods->xSectorSize(real_file(file));
}

/* Nothing that a disk might promise. */
static int fault_traits(sqlite3_file *file)
{
	(void)file;
	return 0;
}

static int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
	if (fault_vfs_call(extend != 0))
		return SQLITE_IOERR_SHMMAP;
	return real_file(file)->pMethods->xShmMap(real_file(file), page, size, extend, ret);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return real_file(file)->pMethods->xShmLock(real_file(file), offset, count, flags);
}

static void fault_shm_barrier(sqlite3_file *file)
{
	real_file(file)->pMethods->xShmBarrier(real_file(file));
}

static int fault_shm_unmap(sqlite3_file *file, int remove)
{
	return real_file(file)->pMethods->xShmUnmap(real_file(file), remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2, /* without mapped pages: all goes through xRead and xWrite */
	.xClose = fault_close,
	.xRead = fault_read,
	.xWrite = fault_write,
	.xTruncate = fault_truncate,
	.xSync = fault_sync,
	.xFileSize = fault_file_size,
	.xLock = fault_lock,
	.xUnlock = fault_unlock,
	.xCheckReservedLock = fault_check_lock,
	.xFileControl = fault_control,
	.xSectorSize = fault_sector_size,
	.xDeviceCharacteristics = fault_traits,
	.xShmMap = fault_shm_map,
	.xShmLock = fault_shm_lock,
	.xShmBarrier = fault_shm_barrier,
	.xShmUnmap = fault_shm_unmap,
};

/* ---- methods of the file system -------------------------------------------------------------- */

static int fault_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags,
		      int *ret_flags)
{
	int code;

	(void)self;
	file->pMethods = NULL;
	if (fault_vfs_call((flags & SQLITE_OPEN_CREATE) != 0))
		return SQLITE_CANTOPEN;
	code = vfs.real->xOpen(vfs.real, path, real_file(file), flags, ret_flags);
	if (code == SQLITE_OK) {
		struct shadow *shadow = find_shadow(path, true);

		file->pMethods = &methods;
		((struct fault_file *)file)->shadow = shadow;
		/* A new file of an old name. */
		if (shadow && shadow->is_gone) {
			shadow->is_gone = shadow->is_gone_for_good = false;
			shadow->size = 0;
		}
	}
	return code;
}

static int fault_delete(sqlite3_vfs *self, const char *path, int sync)
{
	(void)self;
	if (fault_vfs_call(true))
		return SQLITE_IOERR_DELETE;
	about_to_sync();
	remove_shadow(find_shadow(path, false), sync != 0);
	return vfs.real->xDelete(vfs.real, path, sync);
}

static int fault_access(sqlite3_vfs *self, const char *path, int flags, int *ret)
{
	(void)self;
	if (fault_vfs_call(false))
		return SQLITE_IOERR_ACCESS;
	return vfs.real->xAccess(vfs.real, path, flags, ret);
}

static int fault_full_path(sqlite3_vfs *self, const char *path, int size, char *ret)
{
	(void)self;
	return vfs.real->xFullPathname(vfs.real, path, size, ret);
}

void fault_vfs_install(void)
{
	static sqlite3_vfs faulty;

	if (vfs.real)
		return;
	vfs.real = sqlite3_vfs_find(NULL);
	assert(vfs.real);
	faulty = *vfs.real;
	faulty.szOsFile = (int)sizeof(struct fault_file) + vfs.real->szOsFile;
	faulty.pNext = NULL;
	faulty.zName = "fault";
	faulty.xOpen = fault_open;
	faulty.xDelete = fault_delete;
	faulty.xAccess = fault_access;
	faulty.xFullPathname = fault_full_path;
	if (sqlite3_vfs_register(&faulty, 1))
		abort();
}

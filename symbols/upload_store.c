/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/upload_store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/parse.h"
#include "symbols/elf_file.h"

#define SUFFIX	       ".debug"
#define UNWHOLE_PREFIX "unwhole-"

enum {
	FOLDER_COUNT = 256,
	BLOCK_SIZE = 512, /* of st_blocks, whatever the file system's are */
	PAGE = 4096,
	/* "ab/cdef….debug" */
	NAME_SIZE_MAX = 3 + 2 * IDENTITY_SIZE_MAX + sizeof(SUFFIX),
};

struct upload_store {
	int folder; /* …/.build-id */
	uint64_t bytes_max;
	pthread_mutex_t lock;
	/* guarded by lock: */
	struct upload_info *infos;
	size_t count, capacity;
	uint64_t bytes;	   /* of the whole ones */
	uint64_t incoming; /* bytes of those that come in */
	unsigned running;
	uint64_t next_number;
};

struct upload {
	struct upload_store *store;
	struct identity identity;
	char name[48]; /* in the folder, until it is whole */
	int fd;
	uint64_t size;
	uint64_t bytes; /* that took room */
};

/* ---- names ---- */

bool upload_identity_from(struct str text, struct identity *ret)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID };

	/* One byte alone names no debug file: a folder of it is all there would be. */
	if (text.size < 4 || text.size > 40 || text.size % 2)
		return false;
	for (size_t i = 0; i < text.size; i += 2) {
		uint64_t byte;

		if (parse_hex((struct str){ text.text + i, 2 }, &byte))
			return false;
		identity.bytes[identity.size++] = (uint8_t)byte;
	}
	*ret = identity;
	return true;
}

static void write_name(const struct identity *identity, char name[static NAME_SIZE_MAX])
{
	char *next = name + snprintf(name, NAME_SIZE_MAX, "%02x/", identity->bytes[0]);

	assert(identity->size >= 2 && identity->size <= IDENTITY_SIZE_MAX);
	for (size_t i = 1; i < identity->size; i++)
		next += snprintf(next, 3, "%02x", identity->bytes[i]);
	memcpy(next, SUFFIX, sizeof(SUFFIX));
}

/* ---- what is there, with the lock held ---- */

static struct upload_info *find(const struct upload_store *store, const struct identity *identity)
{
	for (size_t i = 0; i < store->count; i++)
		if (identity_equal(&store->infos[i].identity, identity))
			return &store->infos[i];
	return NULL;
}

static int add(struct upload_store *store, const struct upload_info *info)
{
	if (store->count == UPLOAD_COUNT_MAX)
		return -ENOSPC;
	if (store->count == store->capacity) {
		size_t capacity = store->capacity ? store->capacity * 2 : 64;
		void *infos = reallocarray(store->infos, capacity, sizeof(store->infos[0]));

		if (!infos)
			return -ENOMEM;
		store->infos = infos;
		store->capacity = capacity;
	}
	store->infos[store->count++] = *info;
	store->bytes += info->bytes;
	return 0;
}

/* ---- opening ---- */

static int add_file(struct upload_store *store, int folder, unsigned first, const char *name)
{
	char text[2 * IDENTITY_SIZE_MAX + 1];
	struct str base = str_from(name);
	struct upload_info info = { 0 };
	struct stat status;

	if (!str_ends_with(base, STR(SUFFIX)) || base.size - strlen(SUFFIX) + 2 >= sizeof(text) ||
	    fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
		return 0;

	int size = snprintf(text, sizeof(text), "%02x%.*s", first,
			    (int)(base.size - strlen(SUFFIX)), name);

	if (!upload_identity_from((struct str){ text, (size_t)size }, &info.identity))
		return 0;
	info.size = (uint64_t)status.st_size;
	info.bytes = (uint64_t)status.st_blocks * BLOCK_SIZE;
	info.unix_ms = (int64_t)status.st_mtim.tv_sec * CLOCK_MS_PER_S;
	return add(store, &info);
}

static int read_folder(struct upload_store *store, int fd, unsigned first)
{
	DIR *folder = fdopendir(fd);
	const struct dirent *entry;
	int err = 0;

	if (!folder) {
		close(fd);
		return -errno;
	}
	while (!err && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			err = add_file(store, dirfd(folder), first, entry->d_name);
	closedir(folder);
	return err;
}

static int read_all(struct upload_store *store)
{
	int err = 0;

	for (unsigned first = 0; first < FOLDER_COUNT && !err; first++) {
		char name[4];

		snprintf(name, sizeof(name), "%02x", first);

		int fd = openat(store->folder, name,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (fd >= 0)
			err = read_folder(store, fd, first);
	}
	return err;
}

/* What was coming in when we ended. */
static void remove_unwhole(const struct upload_store *store)
{
	int fd = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (str_starts_with(str_from(entry->d_name), STR(UNWHOLE_PREFIX)))
			(void)unlinkat(store->folder, entry->d_name, 0);
	if (folder)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
}

int upload_store_open(const char *path, uint64_t bytes_max, struct upload_store **ret)
{
	char folder[PATH_MAX];
	bool made = false;
	int size = snprintf(folder, sizeof(folder), "%s/.build-id", path);

	if (size < 0 || (size_t)size >= sizeof(folder))
		return -ENAMETOOLONG;

	int err = folder_make(folder, 0700, &made);

	if (err)
		return err;

	autoclean(upload_store) struct upload_store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	pthread_mutex_init(&store->lock, NULL);
	store->bytes_max = bytes_max;
	store->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->folder < 0)
		return -errno;
	remove_unwhole(store);
	err = read_all(store);
	if (!err)
		*ret = TAKE(store);
	return err;
}

struct upload_store *upload_store_close(struct upload_store *store)
{
	if (!store)
		return NULL;
	assert(store->running == 0);
	if (store->folder >= 0)
		close(store->folder);
	pthread_mutex_destroy(&store->lock);
	free(store->infos);
	free(store);
	return NULL;
}

/* ---- asking ---- */

int upload_store_find(struct upload_store *store, const struct identity *identity,
		      struct upload_info *ret)
{
	pthread_mutex_lock(&store->lock);
	const struct upload_info *info = find(store, identity);

	if (info)
		*ret = *info;
	pthread_mutex_unlock(&store->lock);
	return info ? 0 : -ENOENT;
}

int upload_store_read(struct upload_store *store, const struct identity *identity, int *ret_fd)
{
	struct upload_info info;
	char name[NAME_SIZE_MAX];
	int err = upload_store_find(store, identity, &info);
	int fd;

	if (err)
		return err;
	write_name(identity, name);
	fd = openat(store->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int upload_store_remove(struct upload_store *store, const struct identity *identity)
{
	char name[NAME_SIZE_MAX];
	int err = 0;

	pthread_mutex_lock(&store->lock);
	struct upload_info *info = find(store, identity);

	if (!info) {
		err = -ENOENT;
	} else {
		write_name(identity, name);
		if (unlinkat(store->folder, name, 0) && errno != ENOENT)
			err = -errno;
	}
	if (!err && info) {
		assert(store->bytes >= info->bytes);
		store->bytes -= info->bytes;
		*info = store->infos[--store->count];
	}
	pthread_mutex_unlock(&store->lock);
	return err;
}

void upload_store_list(struct upload_store *store,
		       void (*tell)(void *context, const struct upload_info *info), void *context)
{
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->count; i++)
		tell(context, &store->infos[i]);
	pthread_mutex_unlock(&store->lock);
}

void upload_store_stats(struct upload_store *store, struct upload_stats *ret)
{
	pthread_mutex_lock(&store->lock);
	*ret = (struct upload_stats){ .count = store->count,
				      .bytes = store->bytes,
				      .bytes_max = store->bytes_max };
	for (size_t i = 0; i < store->count; i++)
		if (store->infos[i].bytes >= ret->largest.bytes)
			ret->largest = store->infos[i];
	pthread_mutex_unlock(&store->lock);
}

/* ---- coming in ---- */

int upload_begin(struct upload_store *store, const struct identity *identity, struct upload **ret)
{
	struct upload *upload = calloc(1, sizeof(*upload));
	int err = 0;

	if (!upload)
		return -ENOMEM;
	*upload = (struct upload){ .store = store, .identity = *identity, .fd = -1 };
	pthread_mutex_lock(&store->lock);
	if (find(store, identity))
		err = -EEXIST;
	else if (store->running == UPLOAD_RUNNING_MAX)
		err = -EBUSY;
	else
		store->running++;
	snprintf(upload->name, sizeof(upload->name), UNWHOLE_PREFIX "%llu",
		 (unsigned long long)store->next_number++);
	pthread_mutex_unlock(&store->lock);
	if (err) {
		free(upload);
		return err;
	}
	upload->fd = openat(store->folder, upload->name,
			    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (upload->fd < 0) {
		err = -errno;
		upload_cancel(upload);
		return err;
	}
	*ret = upload;
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Whether the store has room for so many bytes more, which then are taken. */
static bool take_room(struct upload *upload, uint64_t size)
{
	struct upload_store *store = upload->store;

	pthread_mutex_lock(&store->lock);
	bool has_room = store->bytes + store->incoming + size <= store->bytes_max;

	if (has_room) {
		store->incoming += size;
		upload->bytes += size;
	}
	pthread_mutex_unlock(&store->lock);
	return has_room;
}

int upload_write(struct upload *upload, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;

	if (size > UPLOAD_SIZE_MAX - upload->size)
		return -EFBIG;
	while (size > 0) {
		/* Up to the end of a page of the file, so that whole ones can be left out. */
		size_t piece = PAGE - (size_t)(upload->size % PAGE);

		if (piece > size)
			piece = size;
		if (!is_zero(next, piece)) {
			if (!take_room(upload, piece))
				return -ENOSPC;

			ssize_t written = pwrite(upload->fd, next, piece, (off_t)upload->size);

			if (written < 0 && errno == EINTR)
				continue;
			if (written < 0)
				return errno == EDQUOT ? -ENOSPC : -errno;
			piece = (size_t)written;
		}
		upload->size += piece;
		next += piece;
		size -= piece;
	}
	return 0;
}

struct upload *upload_cancel(struct upload *upload)
{
	if (!upload)
		return NULL;

	struct upload_store *store = upload->store;

	if (upload->fd >= 0)
		close(upload->fd);
	if (upload->name[0])
		(void)unlinkat(store->folder, upload->name, 0);
	pthread_mutex_lock(&store->lock);
	assert(store->running > 0 && store->incoming >= upload->bytes);
	store->running--;
	store->incoming -= upload->bytes;
	pthread_mutex_unlock(&store->lock);
	free(upload);
	return NULL;
}

/* Any of what names or lines are read from. */
static bool has_symbols(struct elf_file *elf)
{
	static const struct str sections[] = { STR(".symtab"),	      STR(".dynsym"),
					       STR(".gnu_debugdata"), STR(".gopclntab"),
					       STR(".debug_line"),    STR(".zdebug_line") };
	struct elf_bytes unused;

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		/* Only whether it is there: any size is too large. */
		if (elf_file_section(elf, sections[i], 0, &unused) != -ENOENT)
			return true;
	return false;
}

static int check(const struct upload *upload, struct identity *ret_found, const char **ret_reason)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	int err = elf_file_open_debug(upload->fd, &elf);

	if (err == -ENOMEM)
		return err;
	if (err) {
		*ret_reason = err == -ENOTSUP
				      ? "it is an ELF file of another kind: 64 bits, little "
					"endian, a program or a library"
			      : err == -EFBIG	? "it is larger than is read"
			      : err == -ENOEXEC ? "it is no ELF file"
						: "it is not whole, or damaged";
		return -EBADMSG;
	}
	*ret_found = elf_file_build_id(elf);
	if (ret_found->kind == IDENTITY_NONE || !identity_equal(ret_found, &upload->identity)) {
		*ret_reason = "it has another build id, or none";
		return -ESTALE;
	}
	if (!has_symbols(elf)) {
		*ret_reason = "it has neither symbols nor lines: upload what was there before "
			      "stripping, or the .debug file";
		return -ENODATA;
	}
	return 0;
}

static int put_in_place(struct upload *upload)
{
	struct upload_store *store = upload->store;
	struct upload_info info = { .identity = upload->identity, .unix_ms = clock_unix_ms() };
	char name[NAME_SIZE_MAX];
	char folder[4];
	struct stat status;

	write_name(&upload->identity, name);
	snprintf(folder, sizeof(folder), "%02x", upload->identity.bytes[0]);
	if (ftruncate(upload->fd, (off_t)upload->size) || fsync(upload->fd) ||
	    fstat(upload->fd, &status))
		return -errno;
	if (mkdirat(store->folder, folder, 0700) && errno != EEXIST)
		return -errno;
	info.size = (uint64_t)status.st_size;
	info.bytes = (uint64_t)status.st_blocks * BLOCK_SIZE;

	pthread_mutex_lock(&store->lock);
	int err = find(store, &upload->identity) ? -EEXIST : 0;

	/* First the place in the list, which may fail. */
	if (!err)
		err = add(store, &info);
	if (!err && renameat(store->folder, upload->name, store->folder, name)) {
		err = -errno;
		store->count--;
		store->bytes -= info.bytes;
	}
	if (!err)
		upload->name[0] = '\0';
	pthread_mutex_unlock(&store->lock);
	if (!err)
		(void)fsync(store->folder);
	return err;
}

int upload_finish(struct upload *upload, struct identity *ret_found, const char **ret_reason)
{
	*ret_found = (struct identity){ 0 };
	*ret_reason = "";

	/* Holes at its end are part of it. */
	int err = ftruncate(upload->fd, (off_t)upload->size) ? -errno : 0;

	if (!err)
		err = check(upload, ret_found, ret_reason);
	if (!err)
		err = put_in_place(upload);
	upload_cancel(upload);
	return err;
}

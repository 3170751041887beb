/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/identity_folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define UNWHOLE_SUFFIX ".new"

enum {
	SUBFOLDER_COUNT = 256,
	SUFFIX_SIZE_MAX = 16,
	FILE_NAME_SIZE = IDENTITY_TEXT_SIZE + SUFFIX_SIZE_MAX + sizeof(UNWHOLE_SUFFIX),
};

struct identity_folder {
	char *path;
	const char *suffix;
	uint64_t size_max;
	_Atomic uint64_t file_count;
	_Atomic uint64_t file_bytes;
	_Atomic uint64_t alias_count;
	_Atomic uint64_t evicted;
};

/* "xx/gnu-….suffix", from the folder. */
struct relative_path {
	char text[3 + FILE_NAME_SIZE];
};

static struct relative_path relative_path(const struct identity_folder *folder,
					  const struct identity *identity)
{
	char text[IDENTITY_TEXT_SIZE];
	struct relative_path path;

	assert(identity->kind != IDENTITY_NONE && identity->size > 0);
	identity_text(identity, text);

	char *colon = strchr(text, ':');

	assert(colon);
	*colon = '-';
	snprintf(path.text, sizeof(path.text), "%02x/%s%s", identity->bytes[0], text,
		 folder->suffix);
	return path;
}

static int full_path(const struct identity_folder *folder, const char *relative,
		     char path[static PATH_MAX])
{
	int size = snprintf(path, PATH_MAX, "%s/%s", folder->path, relative);

	return size < 0 || size >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* ---- looking over all of it ---- */

struct entry {
	struct timespec used_at;
	uint64_t size;
	bool alias;
	char path[sizeof(((struct relative_path *)0)->text)];
};

struct listing {
	struct entry *entries;
	size_t count;
	size_t capacity;
	uint64_t file_bytes;
	uint64_t file_count;
	uint64_t alias_count;
};

static int listing_add(struct listing *listing, const char *path, const struct stat *status)
{
	if (listing->count == IDENTITY_FOLDER_ENTRY_COUNT_MAX)
		return 0;
	if (listing->count == listing->capacity) {
		size_t capacity = listing->capacity ? listing->capacity * 2 : 256;
		struct entry *entries =
			reallocarray(listing->entries, capacity, sizeof(listing->entries[0]));

		if (!entries)
			return -ENOMEM;
		listing->entries = entries;
		listing->capacity = capacity;
	}

	struct entry *entry = &listing->entries[listing->count++];

	*entry = (struct entry){ .used_at = status->st_atim, .alias = S_ISLNK(status->st_mode) };
	snprintf(entry->path, sizeof(entry->path), "%s", path);
	if (entry->alias) {
		listing->alias_count++;
	} else {
		entry->size = (uint64_t)status->st_size;
		listing->file_count++;
		listing->file_bytes += entry->size;
	}
	return 0;
}

static int list_entry(const struct identity_folder *folder, const char *relative, struct str name,
		      struct listing *listing)
{
	char path[PATH_MAX];
	struct stat status;

	if (full_path(folder, relative, path))
		return -ENAMETOOLONG;
	if (str_ends_with(name, STR(UNWHOLE_SUFFIX))) {
		(void)unlink(path); /* left by an end in the middle; costs room only */
		return 0;
	}
	if (!str_ends_with(name, str_from(folder->suffix)) || lstat(path, &status))
		return 0;
	if (S_ISLNK(status.st_mode) && access(path, F_OK)) {
		(void)unlink(path); /* what it stood for was evicted */
		return 0;
	}
	return S_ISLNK(status.st_mode) || S_ISREG(status.st_mode)
		       ? listing_add(listing, relative, &status)
		       : 0;
}

static int list_subfolder(const struct identity_folder *folder, unsigned number,
			  struct listing *listing)
{
	char relative[sizeof(((struct relative_path *)0)->text)];
	char path[PATH_MAX];

	snprintf(relative, sizeof(relative), "%02x", number);
	if (full_path(folder, relative, path))
		return -ENAMETOOLONG;

	DIR *directory = opendir(path);
	int err = 0;

	if (!directory)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	for (struct dirent *d = readdir(directory); d && !err; d = readdir(directory)) {
		int size = snprintf(relative, sizeof(relative), "%02x/%s", number, d->d_name);

		/* Nothing of ours has a longer name. */
		if (size > 0 && (size_t)size < sizeof(relative))
			err = list_entry(folder, relative, str_from(d->d_name), listing);
	}
	closedir(directory);
	return err;
}

/* The caller frees the entries. */
static int list_all(struct identity_folder *folder, struct listing *ret)
{
	struct listing listing = { .count = 0 };
	int err = 0;

	for (unsigned i = 0; i < SUBFOLDER_COUNT && !err; i++)
		err = list_subfolder(folder, i, &listing);
	if (err) {
		free(listing.entries);
		return err;
	}
	folder->file_count = listing.file_count;
	folder->file_bytes = listing.file_bytes;
	folder->alias_count = listing.alias_count;
	*ret = listing;
	return 0;
}

static int compare_entries(const void *left, const void *right)
{
	const struct entry *a = left;
	const struct entry *b = right;

	if (a->used_at.tv_sec != b->used_at.tv_sec)
		return a->used_at.tv_sec < b->used_at.tv_sec ? -1 : 1;
	return (a->used_at.tv_nsec > b->used_at.tv_nsec) -
	       (a->used_at.tv_nsec < b->used_at.tv_nsec);
}

/* An eighth of room is made at once, so that not every new file looks over the folder. */
static int evict(struct identity_folder *folder, const char *path_kept)
{
	struct listing listing;
	char path[PATH_MAX];
	int err = list_all(folder, &listing);

	if (err)
		return err;
	if (listing.count > 0)
		qsort(listing.entries, listing.count, sizeof(listing.entries[0]), compare_entries);
	for (size_t i = 0; i < listing.count; i++) {
		const struct entry *entry = &listing.entries[i];
		bool too_many = entry->alias ? folder->alias_count >
						       IDENTITY_FOLDER_ALIAS_COUNT_MAX / 8UL * 7
					     : folder->file_bytes > folder->size_max / 8 * 7;

		if (!too_many || strcmp(entry->path, path_kept) == 0 ||
		    full_path(folder, entry->path, path) || unlink(path))
			continue;
		if (entry->alias) {
			folder->alias_count--;
		} else {
			folder->file_count--;
			folder->file_bytes -= entry->size;
		}
		folder->evicted++;
	}
	free(listing.entries);
	return 0;
}

/* ---- the folder ---- */

int identity_folder_open(const char *path, const char *suffix, uint64_t size_max,
			 struct identity_folder **ret)
{
	autoclean(identity_folder) struct identity_folder *folder = calloc(1, sizeof(*folder));
	struct listing listing;

	if (!folder)
		return -ENOMEM;
	assert(strlen(suffix) < SUFFIX_SIZE_MAX);
	folder->size_max = size_max;
	folder->suffix = suffix;
	folder->path = strdup(path);
	if (!folder->path)
		return -ENOMEM;
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;

	int err = list_all(folder, &listing);
	if (err)
		return err;
	free(listing.entries);

	*ret = TAKE(folder);
	return 0;
}

struct identity_folder *identity_folder_close(struct identity_folder *folder)
{
	if (!folder)
		return NULL;

	free(folder->path);
	free(folder);
	return NULL;
}

bool identity_folder_has(const struct identity_folder *folder, const struct identity *identity)
{
	char path[PATH_MAX];

	return full_path(folder, relative_path(folder, identity).text, path) == 0 &&
	       access(path, R_OK) == 0;
}

static void remove_path(struct identity_folder *folder, const char *path)
{
	struct stat status;

	if (lstat(path, &status) || unlink(path))
		return;
	if (S_ISLNK(status.st_mode)) {
		folder->alias_count--;
	} else {
		folder->file_count--;
		folder->file_bytes -= (uint64_t)status.st_size;
	}
}

void identity_folder_remove(struct identity_folder *folder, const struct identity *identity)
{
	char path[PATH_MAX];

	if (full_path(folder, relative_path(folder, identity).text, path))
		return;

	autofree char *target = realpath(path, NULL);

	remove_path(folder, path);
	if (target)
		remove_path(folder, target);
}

int identity_folder_read(const struct identity_folder *folder, const struct identity *identity,
			 int *ret_fd)
{
	static const struct timespec now[2] = { { .tv_nsec = UTIME_NOW },
						{ .tv_nsec = UTIME_OMIT } };
	char path[PATH_MAX];
	int err = full_path(folder, relative_path(folder, identity).text, path);

	if (err)
		return err;

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -errno;

	/* An old access time costs an early eviction at most. */
	(void)futimens(fd, now);
	(void)utimensat(AT_FDCWD, path, now, AT_SYMLINK_NOFOLLOW);

	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The full path for something new, whose subfolder is then there. */
static int prepare_path(const struct identity_folder *folder, const char *relative,
			char path[static PATH_MAX])
{
	int err = full_path(folder, relative, path);

	if (err)
		return err;

	char *slash = strrchr(path, '/');

	*slash = '\0';
	err = mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
	*slash = '/';
	return err;
}

void identity_folder_limit(struct identity_folder *folder, uint64_t size_max)
{
	folder->size_max = size_max;
}

int identity_folder_write(struct identity_folder *folder, const struct identity *identity,
			  identity_folder_writer *write_file, const void *contents)
{
	struct relative_path relative = relative_path(folder, identity);
	char path[PATH_MAX];
	uint64_t size = 0;
	int err = prepare_path(folder, relative.text, path);

	if (err)
		return err;

	struct stat status;
	bool exists = lstat(path, &status) == 0;

	err = write_file(path, contents, &size);
	if (err)
		return err;
	if (exists && S_ISLNK(status.st_mode)) {
		folder->alias_count--;
	} else if (exists) {
		folder->file_count--;
		folder->file_bytes -= (uint64_t)status.st_size;
	}
	folder->file_count++;
	folder->file_bytes += size;
	if (folder->file_bytes > folder->size_max)
		return evict(folder, relative.text);
	return 0;
}

int identity_folder_alias(struct identity_folder *folder, const struct identity *identity,
			  const struct identity *target)
{
	struct relative_path relative = relative_path(folder, identity);
	struct relative_path target_relative = relative_path(folder, target);
	char target_path[sizeof(target_relative.text) + 3];
	char path[PATH_MAX];
	char path_new[PATH_MAX];
	struct stat status;
	int err = prepare_path(folder, relative.text, path);

	assert(!identity_equal(identity, target));
	if (err)
		return err;
	if (snprintf(path_new, sizeof(path_new), "%s.new", path) >= (int)sizeof(path_new))
		return -ENAMETOOLONG;
	snprintf(target_path, sizeof(target_path), "../%s", target_relative.text);

	if (lstat(path, &status) == 0)
		remove_path(folder, path);
	(void)unlink(path_new); /* of an end in the middle */
	if (symlink(target_path, path_new))
		return -errno;
	if (rename(path_new, path)) {
		err = -errno;
		(void)unlink(path_new);
		return err;
	}
	folder->alias_count++;
	if (folder->alias_count > IDENTITY_FOLDER_ALIAS_COUNT_MAX)
		return evict(folder, relative.text);
	return 0;
}

struct identity_folder_stats identity_folder_stats(const struct identity_folder *folder)
{
	return (struct identity_folder_stats){
		.file_count = folder->file_count,
		.file_bytes = folder->file_bytes,
		.alias_count = folder->alias_count,
		.evicted = folder->evicted,
	};
}

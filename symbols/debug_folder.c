/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/debug_folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Opened only when it is known to be a file: to open a device may be to use it. */
static int open_regular(const char *path, int *ret_fd)
{
	struct stat status;
	char self[32];
	autoclose int place = open(path, O_PATH | O_CLOEXEC);

	if (place < 0 || fstat(place, &status) || !S_ISREG(status.st_mode))
		return -ENOENT;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", place);

	autoclose int fd = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
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

/* In one of the folders of .dwz, which are those of architectures. */
static int open_below(const char *path, const char *name, int *ret_fd)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	char below[PATH_MAX];
	int err = -ENOENT;

	if (!folder)
		return -ENOENT;
	while (err && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;

		int length = snprintf(below, sizeof(below), "%s/%s/%s", path, entry->d_name, name);

		if ((size_t)length < sizeof(below))
			err = open_regular(below, ret_fd);
	}
	closedir(folder);
	return err;
}

static bool is_file_name(struct str name)
{
	return name.size > 0 && name.size < NAME_MAX && name.text[0] != '.' &&
	       !memchr(name.text, '/', name.size);
}

int debug_folder_open_shared(const char *folders, const struct identity *identity, struct str name,
			     int *ret_fd)
{
	char path[PATH_MAX];
	char base[NAME_MAX + 1];

	if (debug_folder_open(folders, identity, ret_fd) == 0)
		return 0;
	if (!is_file_name(name))
		return -ENOENT;
	snprintf(base, sizeof(base), "%.*s", STR_PRINT(name));

	for (const char *folder = folders; *folder;) {
		size_t size = strcspn(folder, ":");
		int length = snprintf(path, sizeof(path), "%.*s/.dwz/%s", (int)size, folder, base);

		if (size > 0 && (size_t)length < sizeof(path)) {
			if (open_regular(path, ret_fd) == 0)
				return 0;
			path[(size_t)length - strlen(base) - 1] = '\0';
			if (open_below(path, base, ret_fd) == 0)
				return 0;
		}
		folder += size + (folder[size] == ':');
	}
	return -ENOENT;
}

/* Where an open file lies. */
static int path_of(int fd, char path[static PATH_MAX])
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);

	ssize_t size = readlink(link, path, PATH_MAX - 1);

	if (size <= 0 || path[0] != '/')
		return -ENOENT;
	path[size] = '\0';
	return 0;
}

/* In which folder, without its last '/'. */
static int folder_of(int fd, char folder[static PATH_MAX])
{
	int err = path_of(fd, folder);

	if (!err)
		*strrchr(folder, '/') = '\0';
	return err;
}

/* The folder of this number, from 0. -ENOENT for one without a name, -ERANGE when there are no
 * more.
 */
static int folder_at(const char *folders, uint32_t number, struct str *ret)
{
	for (; number > 0 && *folders; number--) {
		folders += strcspn(folders, ":");
		folders += *folders == ':';
	}
	*ret = (struct str){ folders, strcspn(folders, ":") };
	if (ret->size > 0)
		return 0;
	return *folders ? -ENOENT : -ERANGE;
}

int debug_folder_open_linked(const char *folders, int fd, struct str name, uint32_t place,
			     int *ret_fd)
{
	char folder[PATH_MAX];
	char path[2 * PATH_MAX];
	int length;

	if (fd < 0 || !is_file_name(name) || folder_of(fd, folder))
		return -ERANGE;
	if (place < 2) {
		length = snprintf(path, sizeof(path), "%s/%s%.*s", folder, place ? ".debug/" : "",
				  STR_PRINT(name));
	} else {
		struct str below;
		int err = folder_at(folders, place - 2, &below);

		if (err)
			return err;
		length = snprintf(path, sizeof(path), "%.*s%s/%.*s", STR_PRINT(below), folder,
				  STR_PRINT(name));
	}
	return (size_t)length < sizeof(path) ? open_regular(path, ret_fd) : -ENOENT;
}

int debug_folder_open_split(const char *folders, int fd, struct str name, uint32_t place,
			    int *ret_fd)
{
	char folder[PATH_MAX] = "";
	char path[2 * PATH_MAX];
	struct str below = { "", 0 };
	int length;
	int err = 0;

	if (name.size == 0 || name.text[0] != '/')
		return -ERANGE;
	if (place == 0) {
		if (fd < 0 || path_of(fd, folder))
			return -ENOENT;
		length = snprintf(path, sizeof(path), "%s.dwp", folder);
	} else if (place == 2) {
		if (fd < 0 || folder_of(fd, folder))
			return -ENOENT;
		length = snprintf(path, sizeof(path), "%s/%.*s", folder,
				  STR_PRINT(str_base_name(name)));
	} else {
		if (place > 2)
			err = folder_at(folders, place - 3, &below);
		if (err)
			return err;
		length =
			snprintf(path, sizeof(path), "%.*s%.*s", STR_PRINT(below), STR_PRINT(name));
	}
	return (size_t)length < sizeof(path) ? open_regular(path, ret_fd) : -ENOENT;
}

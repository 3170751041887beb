/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/debug_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collector/fuse.h"
#include "collector/processes.h"

#define DEBUG_FOLDER "usr/lib/debug"

struct search {
	const struct identity *wanted;
	bool is_shared;
	struct str name;
	struct stat own_root;
	struct stat roots[DEBUG_FILES_ROOT_COUNT_MAX]; /* that were looked into */
	size_t root_count;
	bool is_mapped;
	int fd; /* what was found */
};

/* ---- one place ---- */

/* Opened only when it is known to be a file: opening may be an act of its own to a device. */
static int open_below(int root, const char *path, int *ret_fd)
{
	static const char elf_magic[] = { 0x7f, 'E', 'L', 'F' };
	/* A user's file system could hold us up as long as it likes: none is entered. */
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve =
					RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
	char magic[sizeof(elf_magic)];
	char self[32];
	struct stat status;
	autoclose int place = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	if (place < 0 || fstat(place, &status) || !S_ISREG(status.st_mode))
		return -ENOENT;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", place);

	autoclose int fd = open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
	    memcmp(magic, elf_magic, sizeof(magic)) != 0)
		return -ENOENT;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- one root ---- */

static int open_by_build_id(const struct search *search, int root, int *ret_fd)
{
	const struct identity *identity = search->wanted;
	char path[sizeof(DEBUG_FOLDER "/.build-id//.debug") + 2 * (size_t)IDENTITY_SIZE_MAX];
	size_t size;

	if (identity->kind != IDENTITY_GNU_BUILD_ID || identity->size < 2)
		return -ENOENT;
	assert(identity->size <= IDENTITY_SIZE_MAX);
	size = (size_t)snprintf(path, sizeof(path), DEBUG_FOLDER "/.build-id/%02x/",
				identity->bytes[0]);
	for (size_t i = 1; i < identity->size; i++)
		size += (size_t)snprintf(path + size, sizeof(path) - size, "%02x",
					 identity->bytes[i]);
	snprintf(path + size, sizeof(path) - size, ".debug");
	return open_below(root, path, ret_fd);
}

static int open_by_name(const struct search *search, int root, struct str file, int *ret_fd)
{
	static const struct {
		const char *before;
		const char *behind;
	} places[] = { { "", "" }, { "", ".debug/" }, { DEBUG_FOLDER, "" } };
	struct str folder = { file.text, file.size - str_base_name(file).size };
	char path[2 * PATH_MAX];
	int err = -ENOENT;

	if (search->name.size == 0 || folder.size == 0 || folder.text[0] != '/')
		return -ENOENT;
	for (size_t i = 0; err && i < sizeof(places) / sizeof(places[0]); i++) {
		int size = snprintf(path, sizeof(path), "%s%.*s%s%.*s", places[i].before,
				    STR_PRINT(folder), places[i].behind, STR_PRINT(search->name));

		if ((size_t)size < sizeof(path))
			err = open_below(root, path, ret_fd);
	}
	return err;
}

/* What debug files share, where distributions put it: Fedora, Debian and its kin. */
static int open_shared(const struct search *search, int root, int *ret_fd)
{
	static const char *const folders[] = { "", "x86_64-linux-gnu/", "aarch64-linux-gnu/" };
	char path[PATH_MAX];
	int err = -ENOENT;

	if (search->name.size == 0)
		return -ENOENT;
	for (size_t i = 0; err && i < sizeof(folders) / sizeof(folders[0]); i++) {
		int size = snprintf(path, sizeof(path), DEBUG_FOLDER "/.dwz/%s%.*s", folders[i],
				    STR_PRINT(search->name));

		if ((size_t)size < sizeof(path))
			err = open_below(root, path, ret_fd);
	}
	return err;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool was_seen(const struct search *search, const struct stat *root)
{
	for (size_t i = 0; i < search->root_count; i++)
		if (is_same(&search->roots[i], root))
			return true;
	return false;
}

/* ---- all of them ---- */

static int look_into(void *context, const struct process *process, const struct file *file)
{
	struct search *search = context;
	struct stat status;
	char path[32];

	search->is_mapped = true;
	snprintf(path, sizeof(path), "/proc/%u/root", process->key.pid);

	autoclose int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0 || fstat(root, &status) || is_same(&status, &search->own_root) ||
	    was_seen(search, &status) || search->root_count == DEBUG_FILES_ROOT_COUNT_MAX)
		return -ENOENT;
	search->roots[search->root_count++] = status;
	if (fuse_serves(root))
		return -ENOENT;
	if (open_by_build_id(search, root, &search->fd) == 0)
		return 0;
	if (search->is_shared)
		return open_shared(search, root, &search->fd);
	return open_by_name(search, root, str_from(file->path), &search->fd);
}

int debug_files_open(struct processes *processes, const struct identity *identity,
		     const struct identity *wanted, struct str name, int *ret_fd)
{
	struct search search = { .wanted = wanted,
				 .is_shared = !identity_equal(identity, wanted),
				 .name = name,
				 .fd = -1 };

	if (stat("/", &search.own_root))
		return -errno;

	int err = processes_visit_mappers(processes, identity, look_into, &search);

	if (err)
		return search.is_mapped && search.root_count == 0 ? -EXDEV : -ENOENT;
	*ret_fd = search.fd;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/jit_files.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collector/fuse.h"
#include "collector/processes.h"

enum {
	FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
};

/* A process may write what it likes, and have us read what only we may: not by a link. */
static bool belongs_to(int fd, int process_folder)
{
	struct stat file, process;

	return fstat(fd, &file) == 0 && fstat(process_folder, &process) == 0 &&
	       S_ISREG(file.st_mode) && (file.st_uid == process.st_uid || file.st_uid == 0) &&
	       !fuse_serves(fd);
}

static bool begins_with(int fd, const char *bytes, size_t size)
{
	char head[8];

	return size <= sizeof(head) && pread(fd, head, size, 0) == (ssize_t)size &&
	       memcmp(head, bytes, size) == 0;
}

static int open_jitdump(const struct process *process, int folder, int *ret_fd)
{
	uint32_t count = process->mappings ? process->mappings->count : 0;
	char wanted[32];
	char name[64];

	snprintf(wanted, sizeof(wanted), "jit-%u.dump", process->namespace_pid);
	for (uint32_t i = 0; i < count; i++) {
		const struct mapping *mapping = &process->mappings->list[i];

		if (mapping->kind != MAPPING_FILE ||
		    !str_equal(str_base_name(str_from(mapping->file->path)), str_from(wanted)))
			continue;
		snprintf(name, sizeof(name), "map_files/%llx-%llx",
			 (unsigned long long)mapping->start, (unsigned long long)mapping->end);

		autoclose int fd = openat(folder, name, FLAGS);

		if (fd >= 0 && belongs_to(fd, folder) && begins_with(fd, "DTiJ", 4)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
	return -ENOENT;
}

/* An address, in hex; an empty one has nothing yet. */
static bool is_perf_map(int fd)
{
	char digit;
	ssize_t got = pread(fd, &digit, 1, 0);

	return got == 0 || (got == 1 && isxdigit((unsigned char)digit));
}

static int open_perf_map(const struct process *process, int folder, int *ret_fd)
{
	/* Links lead within the process's root, whatever they say. */
	struct open_how how = { .flags = FLAGS | O_NOFOLLOW,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	autoclose int root = openat(folder, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[48];

	if (root < 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "/tmp/perf-%u.map", process->namespace_pid);

	autoclose int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	if (fd < 0 || !belongs_to(fd, folder) || !is_perf_map(fd))
		return -ENOENT;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int jit_files_open(struct processes *processes, const struct process_key *key, uint8_t *ret_kind,
		   int *ret_fd)
{
	const struct process *process = processes_find(processes, key);
	char path[32];

	if (!process || process->namespace_pid == 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/%u", key->pid);

	autoclose int folder = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (folder < 0)
		return -ENOENT;
	*ret_kind = JIT_FILES_JITDUMP;
	if (open_jitdump(process, folder, ret_fd) == 0)
		return 0;
	*ret_kind = JIT_FILES_PERF_MAP;
	return open_perf_map(process, folder, ret_fd);
}

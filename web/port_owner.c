/* SPDX-License-Identifier: Apache-2.0 */
#include "web/port_owner.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

enum {
	LINE_SIZE_MAX = 512,
	COMM_SIZE = 16, /* TASK_COMM_LEN of the kernel */
	/* Of a line of /proc/net/tcp (proc(5)): sl, local address, remote address, state, … */
	COLUMN_LOCAL = 1,
	COLUMN_STATE = 3,
	COLUMN_INODE = 9,
	STATE_LISTEN = 0x0a,
};

/* The next word of a line. */
static bool next_word(struct str *rest, struct str *ret)
{
	while (parse_next(rest, ' ', ret))
		if (ret->size > 0)
			return true;
	return false;
}

/* Whether the line is of a socket that listens on the port, and which. */
static bool is_listener(struct str line, uint16_t port, uint64_t *ret_inode)
{
	struct str word;
	uint64_t local_port = 0;
	uint64_t state = 0;
	uint64_t inode = 0;

	for (int column = 0; next_word(&line, &word); column++) {
		if (column == COLUMN_LOCAL) {
			struct str address;

			/* Hexadecimal address ':' hexadecimal port. */
			if (!parse_next(&word, ':', &address) || parse_hex(word, &local_port))
				return false;
		} else if (column == COLUMN_STATE) {
			if (parse_hex(word, &state))
				return false;
		} else if (column == COLUMN_INODE) {
			if (parse_u64(word, &inode))
				return false;
			break;
		}
	}
	*ret_inode = inode;
	return local_port == port && state == STATE_LISTEN && inode != 0;
}

static bool find_inode(const char *path, uint16_t port, uint64_t *ret_inode)
{
	char text[LINE_SIZE_MAX];
	bool found = false;
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (!found && fgets(text, sizeof(text), file)) {
		struct str line = str_from(text);

		if (line.size > 0 && line.text[line.size - 1] == '\n')
			line.size--;
		found = is_listener(line, port, ret_inode);
	}
	(void)fclose(file);
	return found;
}

/* Whether the process has a descriptor of the socket. */
static bool has_socket(const char *pid, uint64_t inode)
{
	char wanted[32];
	char path[PATH_MAX];
	bool found = false;

	snprintf(wanted, sizeof(wanted), "socket:[%" PRIu64 "]", inode);
	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);

	DIR *folder = opendir(path);

	if (!folder)
		return false;
	for (const struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
		char target[sizeof(wanted) + 1];
		ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));

		found = size > 0 &&
			str_equal(str_from(wanted), (struct str){ target, (size_t)size });
	}
	(void)closedir(folder);
	return found;
}

/* Any process may call itself anything. */
static void read_comm(const char *pid, char comm[static COMM_SIZE])
{
	char path[64];
	ssize_t size = 0;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		size = read(fd, comm, COMM_SIZE - 1);
	if (size < 0)
		size = 0;
	comm[size] = '\0';
	for (ssize_t i = 0; i < size; i++) {
		if (comm[i] == '\n')
			comm[i] = '\0';
		else if (!isprint((unsigned char)comm[i]))
			comm[i] = '?';
	}
}

int port_owner_describe(uint16_t port, char text[static PORT_OWNER_TEXT_SIZE])
{
	uint64_t inode = 0;
	int err = -ENOENT;

	assert(port > 0);
	if (!find_inode("/proc/net/tcp", port, &inode) &&
	    !find_inode("/proc/net/tcp6", port, &inode))
		return -ENOENT;

	DIR *processes = opendir("/proc");

	if (!processes)
		return -ENOENT;
	for (const struct dirent *entry; err && (entry = readdir(processes)) != NULL;) {
		char comm[COMM_SIZE];
		uint64_t pid;

		if (parse_u64(str_from(entry->d_name), &pid) || !has_socket(entry->d_name, inode))
			continue;
		read_comm(entry->d_name, comm);
		snprintf(text, PORT_OWNER_TEXT_SIZE, "pid %" PRIu64 " (%s)", pid, comm);
		err = 0;
	}
	(void)closedir(processes);
	return err;
}

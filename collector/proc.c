/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/proc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/cgroup.h"
#include "base/script.h"

enum {
	TEXT_SIZE_MAX = 16384, /* of one file in /proc; what is longer is cut */
	FIELD_FLAGS = 9,
	FIELD_START_TIME = 22, /* of /proc/PID/stat, from 1 (proc(5)) */
	FLAG_KERNEL_THREAD = 0x00200000,
};

struct process_texts *process_texts_new(void)
{
	struct process_texts *texts = calloc(1, sizeof(*texts));

	if (texts)
		texts->users = 1;
	return texts;
}

struct process_texts *process_texts_ref(struct process_texts *texts)
{
	assert(texts->users > 0);
	texts->users++;
	return texts;
}

struct process_texts *process_texts_unref(struct process_texts *texts)
{
	if (!texts)
		return NULL;
	assert(texts->users > 0);
	if (--texts->users > 0)
		return NULL;
	free(texts->name);
	free(texts->comm);
	free(texts->executable);
	free(texts->script);
	free(texts->cgroup);
	free(texts);
	return NULL;
}

static void process_texts_cleanup(struct process_texts **texts)
{
	process_texts_unref(*texts);
}

/* Up to size bytes; what is longer is cut. */
static int read_file(int folder, const char *name, char *text, size_t size, struct str *ret)
{
	autoclose int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t used = 0;

	if (file < 0)
		return -errno;
	while (used < size) {
		ssize_t got = read(file, text + used, size - used);

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*ret = (struct str){ text, used };
	return 0;
}

static char *copy(struct str text)
{
	size_t size = text.size < WINDOW_TEXT_SIZE_MAX ? text.size : WINDOW_TEXT_SIZE_MAX - 1;

	return strndup(text.text ? text.text : "", size);
}

/* "812 (any (name) at all) S 1 …": fields are counted behind the last bracket. */
static int parse_stat(struct str text, uint64_t *ret_flags, uint64_t *ret_start_ticks)
{
	size_t bracket = text.size;
	struct str field;
	unsigned number = 3;

	while (bracket > 0 && text.text[bracket - 1] != ')')
		bracket--;
	if (bracket == 0 || bracket + 1 >= text.size)
		return -EBADMSG;

	struct str rest = { text.text + bracket + 1, text.size - bracket - 1 };
	unsigned found = 0;

	for (; found < 2 && parse_next(&rest, ' ', &field); number++) {
		uint64_t *into = number == FIELD_FLAGS	      ? ret_flags
				 : number == FIELD_START_TIME ? ret_start_ticks
							      : NULL;

		if (!into)
			continue;
		if (parse_u64(field, into))
			return -EBADMSG;
		found++;
	}
	return found == 2 ? 0 : -EBADMSG;
}

/* "NSpid:\t812\t7": the last is its pid in the innermost namespace. */
static uint32_t parse_namespace_pid(struct str status, uint32_t pid)
{
	struct str line, word;

	while (parse_next(&status, '\n', &line)) {
		uint64_t value;

		if (!str_starts_with(line, STR("NSpid:")))
			continue;
		while (parse_next(&line, '\t', &word))
			if (parse_u64(word, &value) == 0 && value <= UINT32_MAX)
				pid = (uint32_t)value;
		break;
	}
	return pid;
}

static bool is_start_of(uint64_t start_ticks, uint64_t start_boot_ns)
{
	uint64_t ticks_a_second = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t expected = start_boot_ns / ((uint64_t)CLOCK_NS_PER_S / ticks_a_second);

	return start_ticks <= expected + 1 && expected <= start_ticks + 1;
}

static void read_executable(int folder, struct process_texts *texts)
{
	char path[WINDOW_TEXT_SIZE_MAX];
	ssize_t size = readlinkat(folder, "exe", path, sizeof(path) - 1);
	const struct str deleted = STR(" (deleted)");

	if (size <= 0)
		return;

	struct str executable = { path, (size_t)size };

	if (str_ends_with(executable, deleted))
		executable.size -= deleted.size;
	texts->executable = copy(executable);
	texts->name = copy(str_base_name(executable));
}

int proc_read(const struct process_key *key, struct process_texts **ret,
	      uint32_t *ret_namespace_pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", key->pid);

	autoclose int folder = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
	autofree char *text = malloc(TEXT_SIZE_MAX);
	autoclean(process_texts) struct process_texts *texts = process_texts_new();
	struct str content;
	uint64_t flags = 0, start_ticks = 0;
	uint32_t namespace_pid = key->pid;

	if (folder < 0)
		return -ESRCH;
	if (!text || !texts)
		return -ENOMEM;
	if (read_file(folder, "stat", text, TEXT_SIZE_MAX, &content) ||
	    parse_stat(content, &flags, &start_ticks) ||
	    !is_start_of(start_ticks, key->start_boot_ns))
		return -ESRCH;
	texts->is_kernel_thread = flags & FLAG_KERNEL_THREAD;
	if (read_file(folder, "comm", text, TEXT_SIZE_MAX, &content))
		return -ESRCH;
	if (content.size && content.text[content.size - 1] == '\n')
		content.size--;
	texts->comm = copy(content);
	if (read_file(folder, "status", text, TEXT_SIZE_MAX, &content) == 0)
		namespace_pid = parse_namespace_pid(content, key->pid);
	if (read_file(folder, "cgroup", text, TEXT_SIZE_MAX, &content) == 0)
		texts->cgroup = copy(cgroup_choose(content));
	if (!texts->is_kernel_thread) {
		read_executable(folder, texts);
		if (texts->name && read_file(folder, "cmdline", text, TEXT_SIZE_MAX, &content) == 0)
			texts->script = copy(script_of(str_from(texts->name), content));
	}
	if (!texts->name)
		texts->name = copy(str_from(texts->comm));
	if (!texts->name || !texts->comm)
		return -ENOMEM;
	*ret = TAKE(texts);
	*ret_namespace_pid = namespace_pid;
	return 0;
}

char *proc_read_cgroup(uint32_t pid)
{
	char path[32], text[4096];
	struct str content = { 0 };

	snprintf(path, sizeof(path), "/proc/%u", pid);

	autoclose int folder = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);

	if (folder < 0 || read_file(folder, "cgroup", text, sizeof(text), &content))
		return NULL;
	return copy(cgroup_choose(content));
}

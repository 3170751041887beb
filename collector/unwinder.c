/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/unwinder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/table.h"
#include "collector/fuse.h"
#include "collector/mappings.h"
#include "collector/processes.h"
#include "collector/sampler.h"
#include "collector/sideband.h"

struct unwinder {
	struct unwinder_options options;
	struct lines *lines;
	struct unwind_files *files;
	struct spaces *spaces;
	struct processes *processes;
	struct late *late;
	struct identity vdso_identity;
	int vdso; /* a copy of the kernel's code in every process; -1: there is none */
	bool is_server_there;
	uint64_t now_ns;
};

/* The one mapping of ours that begins there. */
static uint64_t find_end(uint64_t start)
{
	struct mappings *mappings = NULL;
	uint64_t end = start;

	if (mappings_scan((uint32_t)getpid(), &mappings))
		return start;

	const struct mapping *mapping = mappings_find(mappings, start);

	if (mapping && mapping->start == start)
		end = mapping->end;
	mappings_unref(mappings);
	return end;
}

/*
 * The vDSO is the same in every process of the host, and no file: the server gets a copy of ours.
 * It is told by its contents, in the form of a file that has no build id.
 */
static int copy_vdso(struct unwinder *unwinder)
{
	uint64_t start = getauxval(AT_SYSINFO_EHDR);
	uint64_t size = start ? find_end(start) - start : 0;
	const void *image = (const void *)(uintptr_t)start;
	uint64_t words[5] = { 0, 0, size, size ? table_hash_bytes(image, size, 0) : 0, 0 };
	autoclose int fd = -1;

	unwinder->vdso = -1;
	unwinder->vdso_identity =
		(struct identity){ .kind = IDENTITY_INODE, .size = sizeof(words) };
	memcpy(unwinder->vdso_identity.bytes, words, sizeof(words));
	if (size == 0)
		return 0;
	fd = memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (write(fd, image, size) != (ssize_t)size ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return -EIO;
	unwinder->vdso = TAKE_FD(fd);
	return 0;
}

int unwinder_new(const struct unwinder_options *options, struct unwinder **ret)
{
	assert(options->sampler && options->ask && options->done);

	autoclean(unwinder) struct unwinder *unwinder = calloc(1, sizeof(*unwinder));
	struct sampler_memory memory;

	if (!unwinder)
		return -ENOMEM;
	unwinder->vdso = -1;
	unwinder->options = *options;
	sampler_memory(options->sampler, &memory);

	int err = copy_vdso(unwinder);

	if (!err)
		err = lines_new(sampler_add_chunk, options->sampler, options->size_max,
				&unwinder->lines);
	if (!err)
		err = unwind_files_new(unwinder->lines, memory.files, memory.rules, memory.known,
				       &unwinder->files);
	if (!err)
		err = spaces_new(unwinder->lines, unwinder->files, memory.buckets,
				 &unwinder->vdso_identity, &unwinder->spaces);
	if (!err)
		*ret = TAKE(unwinder);
	return err;
}

struct unwinder *unwinder_free(struct unwinder *unwinder)
{
	if (!unwinder)
		return NULL;

	late_free(unwinder->late);
	spaces_free(unwinder->spaces);
	unwind_files_free(unwinder->files);
	lines_free(unwinder->lines);
	if (unwinder->vdso >= 0)
		close(unwinder->vdso);
	free(unwinder);
	return NULL;
}

struct spaces *unwinder_spaces(struct unwinder *unwinder)
{
	return unwinder->spaces;
}

/* How the kernel shows it, so that walks need not be told where it is mapped; 0 where that may be
 * made up. */
static uint64_t hash_of(const struct unwinder *unwinder, int fd)
{
	struct stat status = { 0 };

	/* The vDSO has no inode. */
	if (fd != unwinder->vdso && (fstat(fd, &status) || fuse_serves(fd)))
		return 0;
	return walk_file_hash(
		status.st_ino, (uint64_t)status.st_size,
		walk_file_time(status.st_mtim.tv_sec, (uint32_t)status.st_mtim.tv_nsec),
		walk_file_time(status.st_ctim.tv_sec, (uint32_t)status.st_ctim.tv_nsec));
}

/* Opens what it is about and asks; what can't be opened can't be asked for. */
static void ask(void *context, uint32_t number)
{
	struct unwinder *unwinder = context;
	const struct identity *identity;
	autoclose int opened = -1;
	uint64_t hash = 0;
	int fd, err = 0;

	if (!unwinder->is_server_there || !unwind_files_wants(unwinder->files, number))
		return;
	identity = unwind_files_identity(unwinder->files, number);
	if (identity_equal(identity, &unwinder->vdso_identity)) {
		fd = unwinder->vdso;
	} else {
		err = processes_open_file(unwinder->processes, identity, &opened);
		fd = opened;
	}
	if (!err && fd >= 0) {
		/* Before anybody reads it: if it is changed after, it is no longer shown like that.
		 */
		hash = hash_of(unwinder, fd);
		err = unwinder->options.ask(unwinder->options.context, number, identity, fd);
	}
	if (!err && fd >= 0)
		unwind_files_asked(unwinder->files, number, hash);
	else if (err == -ENOENT || err == -ESRCH)
		unwind_files_put_off(unwinder->files, number);
	else if (err != -EAGAIN)
		unwind_files_refuse(unwinder->files, number, identity, err ? err : -ENODATA);
}

/* A walk in the kernel may not have known this copy of the file: if so, asks about it. */
static void look_at_copy(struct unwinder *unwinder, const struct process *process,
			 const struct mapping *mapping)
{
	const struct identity *identity = &mapping->file->identity;
	uint32_t number = unwind_files_wants_copy(unwinder->files, identity);
	autoclose int fd = -1;

	if (number == WALK_FILE_NONE || processes_open_mapped(process, mapping, &fd))
		return;

	uint64_t hash = hash_of(unwinder, fd);

	if (unwind_files_saw_copy(unwinder->files, number, hash) &&
	    unwinder->options.ask(unwinder->options.context, number, identity, fd) == 0)
		unwind_files_asked(unwinder->files, number, hash);
}

/* What the kernel could not walk by itself, and now is walked. */
static void look_at_copies(struct unwinder *unwinder, const struct process *process,
			   const struct event *event)
{
	const __u64 *frames = event->frames + event->kernel_frame_count;
	const struct mapping *before = NULL;

	for (uint32_t i = 0; i < event->user_frame_count; i++) {
		uint64_t address = frames[i] & ~EVENT_FRAME_INTERRUPTED;
		const struct mapping *mapping = mappings_find(process->mappings, address);

		if (mapping && mapping != before && mapping->kind == MAPPING_FILE)
			look_at_copy(unwinder, process, mapping);
		before = mapping;
	}
}

static void done(void *context, const struct process *process, const struct event *event)
{
	struct unwinder *unwinder = context;

	if (unwinder->is_server_there && process && process->mappings)
		look_at_copies(unwinder, process, event);
	unwinder->options.done(unwinder->options.context, event);
}

int unwinder_follow(struct unwinder *unwinder, struct processes *processes)
{
	struct sampler_memory memory;

	sampler_memory(unwinder->options.sampler, &memory);
	unwinder->processes = processes;
	return late_new(&(struct late_options){ .processes = processes,
						.files = unwinder->files,
						.memory = { .lines = unwinder->lines,
							    .files = memory.files,
							    .rules = memory.rules },
						.size_max = LATE_SIZE_MAX,
						.done = done,
						.ask = ask,
						.context = unwinder },
			&unwinder->late);
}

void unwinder_add(struct unwinder *unwinder, const struct event *event, uint64_t now_ns)
{
	unwinder->now_ns = now_ns;
	late_add(unwinder->late, event, now_ns);
}

void unwinder_update(struct unwinder *unwinder, uint64_t now_ns)
{
	unwinder->now_ns = now_ns;
	processes_publish(unwinder->processes, now_ns);
	late_tick(unwinder->late, now_ns);
	/* A sample may have been the first of its process. */
	processes_publish(unwinder->processes, now_ns);
}

bool unwinder_finds(const struct unwinder *unwinder, const struct sideband_record *record)
{
	switch ((enum mapping_kind)mapping_kind_of(record->text)) {
	case MAPPING_FILE:
		return unwind_files_knows(unwinder->files, &record->identity);
	case MAPPING_VDSO:
		return unwind_files_knows(unwinder->files, &unwinder->vdso_identity);
	case MAPPING_ANONYMOUS:
		break;
	}
	/* Some of the others have an inode. */
	return str_equal(record->text, STR("//anon"));
}

void unwinder_tick(struct unwinder *unwinder, uint64_t now_ns)
{
	unwinder->now_ns = now_ns;
	lines_settle(unwinder->lines, now_ns);
	unwind_files_tick(unwinder->files, now_ns);
}

void unwinder_note_window(struct unwinder *unwinder, const struct window *window)
{
	for (uint32_t i = 0; i < window->file_count; i++)
		unwind_files_touch(unwinder->files, &window->files[i].identity);
	unwind_files_touch(unwinder->files, &unwinder->vdso_identity);
}

void unwinder_finish(struct unwinder *unwinder, uint64_t now_ns)
{
	late_finish(unwinder->late, now_ns);
}

void unwinder_connected(struct unwinder *unwinder)
{
	unwinder->is_server_there = true;
	unwind_files_forget_questions(unwinder->files);
}

void unwinder_take_table(struct unwinder *unwinder, uint64_t number, const void *bytes, size_t size)
{
	if (number >= WALK_FILE_COUNT_MAX)
		return;
	/* What is wrong with it is counted, and the walk goes on without. */
	(void)unwind_files_put(unwinder->files, (uint32_t)number, bytes, size);
	late_tick(unwinder->late, unwinder->now_ns);
}

void unwinder_take_refusal(struct unwinder *unwinder, uint64_t number,
			   const struct identity *identity, int err)
{
	if (number >= WALK_FILE_COUNT_MAX)
		return;
	unwind_files_refuse(unwinder->files, (uint32_t)number, identity, err);
	late_tick(unwinder->late, unwinder->now_ns);
}

void unwinder_stats(const struct unwinder *unwinder, struct unwinder_stats *ret)
{
	lines_stats(unwinder->lines, &ret->memory);
	unwind_files_stats(unwinder->files, &ret->files);
	spaces_stats(unwinder->spaces, &ret->spaces);
	late_stats(unwinder->late, &ret->late);
}

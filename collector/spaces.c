/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/spaces.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "bpf/walk_layout.h"
#include "collector/mappings.h"

static_assert((int)MAPPING_COUNT_MAX <= (int)WALK_MAPPING_COUNT_MAX,
	      "the walk's search reaches all");

struct spaces {
	struct lines *lines;
	struct unwind_files *files;
	struct walk_bucket *buckets;
	struct identity vdso;
	uint32_t generation;
	struct spaces_stats stats;
};

int spaces_new(struct lines *lines, struct unwind_files *files, struct walk_bucket *buckets,
	       const struct identity *vdso, struct spaces **ret)
{
	struct spaces *spaces = calloc(1, sizeof(*spaces));

	if (!spaces)
		return -ENOMEM;
	spaces->lines = lines;
	spaces->files = files;
	spaces->buckets = buckets;
	spaces->vdso = *vdso;
	*ret = spaces;
	return 0;
}

struct spaces *spaces_free(struct spaces *spaces)
{
	free(spaces);
	return NULL;
}

static uint32_t file_number(struct spaces *spaces, const struct mapping *mapping)
{
	switch ((enum mapping_kind)mapping->kind) {
	case MAPPING_FILE:
		return unwind_files_take(spaces->files, &mapping->file->identity);
	case MAPPING_VDSO:
		return unwind_files_take(spaces->files, &spaces->vdso);
	case MAPPING_ANONYMOUS:
		break;
	}
	return WALK_FILE_NONE;
}

/* Without [vsyscall], which lies in the kernel's half: nothing runs there, and the walk's search
 * compares signed numbers. */
static uint32_t user_count(const struct mappings *mappings)
{
	uint32_t count = mappings->count;

	while (count > 0 && (int64_t)mappings->list[count - 1].start < 0)
		count--;
	return count;
}

int space_make(struct spaces *spaces, const struct mappings *mappings, struct space **ret)
{
	uint32_t count = user_count(mappings), line;
	uint32_t line_count = (walk_space_size(count) + UNWIND_LINE_SIZE - 1) / UNWIND_LINE_SIZE;
	struct space *space = calloc(1, sizeof(*space));
	int err = space ? unwind_files_take_lines(spaces->files, line_count, &line) : -ENOMEM;

	if (err) {
		spaces->stats.no_room++;
		free(space);
		return err;
	}

	struct walk_space *head = lines_at(spaces->lines, line);
	uint64_t *starts = (void *)(head + 1);
	struct walk_mapping *list = (void *)((uint8_t *)head + walk_space_mappings_at(count));

	*head = (struct walk_space){ .count = count,
				     .generation = ++spaces->generation,
				     .expects_mappings = 1 };
	for (uint32_t i = 0; i < count; i++) {
		const struct mapping *mapping = &mappings->list[i];

		starts[i] = mapping->start;
		list[i] = (struct walk_mapping){ .start = mapping->start,
						 .end = mapping->end,
						 .offset = mapping->offset,
						 .file = file_number(spaces, mapping) };
	}
	*space = (struct space){
		.spaces = spaces, .line = line, .line_count = line_count, .mapping_count = count
	};
	spaces->stats.spaces++;
	spaces->stats.spaces_size += (uint64_t)line_count * UNWIND_LINE_SIZE;
	*ret = space;
	return 0;
}

struct space *space_free(struct space *space)
{
	if (!space)
		return NULL;

	struct spaces *spaces = space->spaces;
	const struct walk_mapping *list =
		(const void *)((const uint8_t *)lines_at(spaces->lines, space->line) +
			       walk_space_mappings_at(space->mapping_count));

	for (uint32_t i = 0; i < space->mapping_count; i++)
		unwind_files_release(spaces->files, list[i].file);
	lines_give(spaces->lines, space->line, space->line_count);
	spaces->stats.spaces--;
	spaces->stats.spaces_size -= (uint64_t)space->line_count * UNWIND_LINE_SIZE;
	free(space);
	return NULL;
}

void space_expects_no_more(struct space *space)
{
	struct walk_space *head = lines_at(space->spaces->lines, space->line);

	__atomic_store_n(&head->expects_mappings, 0, __ATOMIC_RELAXED);
}

/* The pid's entry, or with pid 0 a free one, in a bucket. */
static struct walk_process *find(struct walk_bucket *bucket, uint32_t pid)
{
	for (int i = 0; i < WALK_BUCKET_SIZE; i++)
		if (bucket->processes[i].pid == pid)
			return &bucket->processes[i];
	return NULL;
}

static struct walk_bucket *bucket_of(struct spaces *spaces, uint32_t pid)
{
	return &spaces->buckets[pid % WALK_BUCKET_COUNT];
}

static uint64_t word_of(const struct space *space)
{
	const struct walk_space *head = lines_at(space->spaces->lines, space->line);

	return walk_space_word(space->line, head->generation);
}

void spaces_enter(struct spaces *spaces, uint32_t pid, uint32_t image, const struct space *space)
{
	assert(pid != 0);

	struct walk_bucket *bucket = bucket_of(spaces, pid);
	struct walk_process *process = find(bucket, pid);

	if (!process) {
		process = find(bucket, 0);
		if (!process) {
			spaces->stats.process_table_full++;
			return;
		}
		spaces->stats.processes++;
	} else if (process->image == image) {
		__atomic_store_n(&process->space, word_of(space), __ATOMIC_RELEASE);
		return;
	}
	/* Nobody finds it while its words don't belong together. */
	__atomic_store_n(&process->pid, 0, __ATOMIC_RELEASE);
	process->image = image;
	process->space = word_of(space);
	__atomic_store_n(&process->pid, pid, __ATOMIC_RELEASE);
}

void spaces_leave(struct spaces *spaces, uint32_t pid, const struct space *space)
{
	struct walk_process *process = pid ? find(bucket_of(spaces, pid), pid) : NULL;

	if (!process || (uint32_t)process->space != space->line)
		return;
	__atomic_store_n(&process->pid, 0, __ATOMIC_RELEASE);
	spaces->stats.processes--;
}

void spaces_stats(const struct spaces *spaces, struct spaces_stats *ret)
{
	*ret = spaces->stats;
}

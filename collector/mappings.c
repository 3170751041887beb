/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/mappings.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/parse.h"
#include "collector/spaces.h"

enum { FIRST_CAPACITY = 16 };

/* include/uapi/linux/fs.h of 6.11; older headers lack it. */
struct procmap_query {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_address;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t device_major;
	uint32_t device_minor;
	uint32_t name_size;
	uint32_t build_id_size;
	uint64_t name_address;
	uint64_t build_id_address;
};

static_assert(sizeof(struct procmap_query) == 104, "as the kernel's");

#define PROCMAP_QUERY_IOCTL _IOWR('f', 17, struct procmap_query)

enum { QUERY_VMA_EXECUTABLE = 0x04, QUERY_COVERING_OR_NEXT = 0x10 };

struct file *file_new(const struct identity *identity, struct str path, uint64_t device,
		      uint64_t inode)
{
	size_t size = path.size < WINDOW_TEXT_SIZE_MAX ? path.size : WINDOW_TEXT_SIZE_MAX - 1;
	struct file *file = calloc(1, sizeof(*file) + size + 1);

	if (!file)
		return NULL;
	file->identity = *identity;
	file->users = 1;
	file->device = device;
	file->inode = inode;
	if (size)
		memcpy(file->path, path.text, size);
	return file;
}

struct file *file_ref(struct file *file)
{
	assert(file->users > 0);
	file->users++;
	return file;
}

struct file *file_unref(struct file *file)
{
	if (!file)
		return NULL;
	assert(file->users > 0);
	if (--file->users == 0)
		free(file);
	return NULL;
}

struct mappings *mappings_new(void)
{
	struct mappings *mappings = calloc(1, sizeof(*mappings));

	if (!mappings)
		return NULL;
	mappings->users = 1;
	mappings->is_changed = true;
	return mappings;
}

struct mappings *mappings_ref(struct mappings *mappings)
{
	assert(mappings->users > 0);
	mappings->users++;
	return mappings;
}

struct mappings *mappings_unref(struct mappings *mappings)
{
	if (!mappings)
		return NULL;
	assert(mappings->users > 0);
	if (--mappings->users > 0)
		return NULL;
	for (uint32_t i = 0; i < mappings->count; i++)
		file_unref(mappings->list[i].file);
	space_free(mappings->space);
	free(mappings->list);
	free(mappings);
	return NULL;
}

static int reserve(struct mappings *mappings, uint32_t count)
{
	if (count <= mappings->capacity)
		return 0;

	uint32_t capacity = mappings->capacity ? mappings->capacity * 2 : FIRST_CAPACITY;

	while (capacity < count)
		capacity *= 2;

	struct mapping *list = reallocarray(mappings->list, capacity, sizeof(list[0]));

	if (!list)
		return -ENOMEM;
	mappings->list = list;
	mappings->capacity = capacity;
	return 0;
}

static int make_own(struct mappings **mappings)
{
	struct mappings *shared = *mappings;

	if (shared->users == 1)
		return 0;

	struct mappings *own = mappings_new();

	if (!own)
		return -ENOMEM;
	if (reserve(own, shared->count + 1)) {
		mappings_unref(own);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < shared->count; i++) {
		own->list[i] = shared->list[i];
		if (own->list[i].file)
			file_ref(own->list[i].file);
	}
	own->count = shared->count;
	own->is_complete = shared->is_complete;
	mappings_unref(shared);
	*mappings = own;
	return 0;
}

/* The first mapping that ends above the address. */
static uint32_t first_ending_above(const struct mappings *mappings, uint64_t address)
{
	uint32_t low = 0, high = mappings->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (mappings->list[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int mappings_add(struct mappings **shared, const struct mapping *mapping)
{
	assert(mapping->start < mapping->end);

	int err = make_own(shared);

	if (err)
		return err;

	struct mappings *mappings = *shared;
	uint32_t first = first_ending_above(mappings, mapping->start);
	uint32_t last = first;

	while (last < mappings->count && mappings->list[last].start < mapping->end)
		last++;

	uint32_t count = mappings->count - (last - first) + 1;

	if (count > MAPPING_COUNT_MAX)
		return -ENOSPC;
	err = reserve(mappings, count);
	if (err)
		return err;

	struct file *file = mapping->file ? file_ref(mapping->file) : NULL;

	for (uint32_t i = first; i < last; i++)
		file_unref(mappings->list[i].file);
	memmove(&mappings->list[first + 1], &mappings->list[last],
		(mappings->count - last) * sizeof(mappings->list[0]));
	mappings->list[first] = *mapping;
	mappings->list[first].file = file;
	mappings->count = count;
	mappings->is_changed = true;
	return 0;
}

const struct mapping *mappings_find(const struct mappings *mappings, uint64_t address)
{
	uint32_t index = first_ending_above(mappings, address);

	if (index == mappings->count || mappings->list[index].start > address)
		return NULL;
	return &mappings->list[index];
}

uint8_t mapping_kind_of(struct str path)
{
	static const struct str anonymous[] = {
		{ "//anon", 6 },
		{ "/dev/zero", 9 },
		{ "/SYSV", 5 },
		{ "/anon_hugepage", 14 },
		{ "anon_inode:", 11 },
		/* .NET maps the code that it makes twice, once to write to. */
		{ "/memfd:doublemapper", 19 },
	};

	if (str_equal(path, STR("[vdso]")) || str_equal(path, STR("[vsyscall]")))
		return MAPPING_VDSO;
	if (path.size == 0 || path.text[0] == '[')
		return MAPPING_ANONYMOUS;
	for (size_t i = 0; i < sizeof(anonymous) / sizeof(anonymous[0]); i++)
		if (str_starts_with(path, anonymous[i]))
			return MAPPING_ANONYMOUS;
	return MAPPING_FILE;
}

/* "7f1c…000-7f1c…000 r-xp 00026000 fd:01 1234    /usr/lib/libc.so.6" (proc(5)). */
bool maps_parse_line(struct str line, struct maps_line *ret)
{
	struct str start, end, rights, offset, device_major, device_minor, inode;
	uint64_t major_number, minor_number;

	if (!parse_next(&line, '-', &start) || !parse_next(&line, ' ', &end) ||
	    !parse_next(&line, ' ', &rights) || !parse_next(&line, ' ', &offset) ||
	    !parse_next(&line, ':', &device_major) || !parse_next(&line, ' ', &device_minor) ||
	    !parse_next(&line, ' ', &inode) || rights.size < 4)
		return false;
	if (parse_hex(start, &ret->start) || parse_hex(end, &ret->end) ||
	    parse_hex(offset, &ret->offset) || parse_hex(device_major, &major_number) ||
	    parse_hex(device_minor, &minor_number) || parse_u64(inode, &ret->inode) ||
	    ret->start >= ret->end || major_number > UINT32_MAX || minor_number > UINT32_MAX)
		return false;
	while (line.size > 0 && line.text[0] == ' ') {
		line.text++;
		line.size--;
	}
	ret->device = makedev((unsigned)major_number, (unsigned)minor_number);
	ret->is_executable = rights.text[2] == 'x';
	ret->path = line;
	return true;
}

static void identify_by_inode(int folder, const struct maps_line *line, struct identity *identity)
{
	char name[64];
	struct stat status = { 0 };
	uint64_t words[5] = { line->device, line->inode };

	/* Following the link map_files holds asks the file itself, whatever its path means by now.
	 */
	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)line->start,
		 (unsigned long long)line->end);
	if (fstatat(folder, name, &status, 0) == 0 && status.st_ino == line->inode) {
		words[2] = (uint64_t)status.st_size;
		words[3] = (uint64_t)status.st_mtim.tv_sec * 1000000000 +
			   (uint64_t)status.st_mtim.tv_nsec;
	}
	*identity = (struct identity){ .kind = IDENTITY_INODE, .size = sizeof(words) };
	for (size_t i = 0; i < sizeof(words); i++)
		identity->bytes[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
}

static bool query_build_id(int maps, uint64_t address, struct identity *identity)
{
	uint8_t build_id[64] = { 0 };
	struct procmap_query query = {
		.size = sizeof(query),
		.query_flags = QUERY_VMA_EXECUTABLE,
		.query_address = address,
		.build_id_size = sizeof(build_id),
		.build_id_address = (uint64_t)(uintptr_t)build_id,
	};

	if (ioctl(maps, PROCMAP_QUERY_IOCTL, &query) || query.build_id_size == 0 ||
	    query.build_id_size > IDENTITY_SIZE_MAX)
		return false;
	*identity = (struct identity){ .kind = IDENTITY_GNU_BUILD_ID,
				       .size = (uint8_t)query.build_id_size };
	memcpy(identity->bytes, build_id, query.build_id_size);
	return true;
}

static int add_line(struct mappings **mappings, int folder, int maps, const struct maps_line *line)
{
	struct mapping mapping = { .start = line->start,
				   .end = line->end,
				   .offset = line->offset,
				   .kind = mapping_kind_of(line->path) };

	if (mapping.kind == MAPPING_FILE) {
		struct identity identity = { 0 };

		if (!query_build_id(maps, line->start, &identity))
			identify_by_inode(folder, line, &identity);
		mapping.file = file_new(&identity, line->path, line->device, line->inode);
		if (!mapping.file)
			return -ENOMEM;
	}

	int err = mappings_add(mappings, &mapping);

	file_unref(mapping.file);
	return err;
}

int mappings_scan(uint32_t pid, struct mappings **ret)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", pid);

	autoclose int folder = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
	autoclose int maps = folder < 0 ? -1 : openat(folder, "maps", O_RDONLY | O_CLOEXEC);

	if (maps < 0)
		return errno == ENOENT ? -ESRCH : -errno;

	int text_fd = dup(maps);
	FILE *text = text_fd < 0 ? NULL : fdopen(text_fd, "r");

	if (!text) {
		if (text_fd >= 0)
			close(text_fd);
		return -ENOMEM;
	}

	struct mappings *mappings = mappings_new();
	char line[WINDOW_TEXT_SIZE_MAX + 128];
	int err = mappings ? 0 : -ENOMEM;
	bool is_rest = false;

	while (!err && fgets(line, sizeof(line), text)) {
		struct maps_line parsed;
		struct str whole = { line, strcspn(line, "\n") };
		bool is_cut = line[whole.size] != '\n', skips = is_cut || is_rest;

		/* A path full of newlines, written \012, can be longer than any path. What is left
		 * of it is not a line, whatever it was made to look like. */
		is_rest = is_cut;
		if (skips)
			continue;

		if (!maps_parse_line(whole, &parsed) || !parsed.is_executable)
			continue;
		err = add_line(&mappings, folder, maps, &parsed);
	}
	if (!err && ferror(text))
		err = -ESRCH;
	(void)fclose(text);
	/* A process with more mappings than we keep is followed with those that we have. */
	if (err && err != -ENOSPC) {
		mappings_unref(mappings);
		return err;
	}
	mappings->is_complete = true;
	*ret = mappings;
	return 0;
}

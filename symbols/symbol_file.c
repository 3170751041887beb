/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/table.h"
#include "symbols/symbols.h"

enum { SECTION_ALIGNMENT = 8 };

static_assert(sizeof(struct symbol_file_section) == 32, "on disk");
static_assert(sizeof(struct symbol_file_header) == 96 + 32 * SYMBOL_FILE_SECTION_COUNT_MAX,
	      "on disk");
static_assert(sizeof(struct elf_segment) == 24, "on disk");
static_assert(sizeof(SYMBOL_FILE_MAGIC) - 1 == sizeof(((struct symbol_file_header *)0)->magic),
	      "without its NUL");
static_assert(SYMBOL_PARENT_NONE == SYMBOL_NONE, "a parent is a function");

struct symbol_file {
	const uint8_t *bytes; /* mapped */
	size_t size;
	const struct symbol_file_header *header;
	const struct elf_segment *segments;
	size_t segment_count;
	const uint32_t *starts;
	const uint32_t *sizes;
	const uint32_t *parents; /* or NULL */
	const uint32_t *name_offsets;
	const char *names;
	struct line_rows lines;
	struct debug_link link;
	bool has_link;
	const struct symbol_wish *missing; /* or NULL */
};

static uint64_t header_checksum(const struct symbol_file_header *header)
{
	size_t offset = offsetof(struct symbol_file_header, version);

	return table_hash_bytes((const uint8_t *)header + offset, sizeof(*header) - offset, 0);
}

/* ---- writing ---- */

static int write_at(int fd, uint64_t offset, const void *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t put = pwrite(fd, (const uint8_t *)bytes + done, size - done,
				     (off_t)(offset + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		done += (size_t)put;
	}
	return 0;
}

static uint64_t align_up(uint64_t offset)
{
	return (offset + SECTION_ALIGNMENT - 1) / SECTION_ALIGNMENT * SECTION_ALIGNMENT;
}

/* Appends a section at *end and enters it as the number-th. */
static int write_section(int fd, struct symbol_file_header *header, size_t number,
			 struct symbol_file_section section, const void *bytes, uint64_t *end)
{
	assert(number < SYMBOL_FILE_SECTION_COUNT_MAX);

	section.offset = align_up(*end);
	section.checksum = table_hash_bytes(bytes, section.size, 0);
	header->sections[number] = section;
	*end = section.offset + section.size;
	return write_at(fd, section.offset, bytes, section.size);
}

int symbol_file_write_to(int fd, const struct symbol_file_contents *contents, uint64_t *ret_size)
{
	assert(contents->table->count > 0);
	assert(contents->segment_count > 0 && contents->segment_count <= ELF_SEGMENT_COUNT_MAX);

	static const struct line_rows no_lines;
	const struct line_rows *lines = contents->lines ? contents->lines : &no_lines;
	const struct symbol_table *table = contents->table;
	uint64_t column_size = table->count * sizeof(uint32_t);
	uint64_t end = sizeof(struct symbol_file_header);
	struct symbol_file_header header = {
		.version = SYMBOL_FILE_VERSION,
		.sources = contents->sources,
		.function_count = table->count,
		.dropped_count = table->dropped,
		.base = table->base,
		.line_base = lines->base,
		.identity = contents->identity,
	};
	struct {
		uint32_t crc;
		char name[DEBUG_LINK_NAME_SIZE];
	} link = { 0 };
	uint64_t link_size = 0;
	uint64_t texts_size = lines->text_count ? lines->text_offsets[lines->text_count] : 0;

	if (contents->link) {
		link.crc = contents->link->crc;
		memcpy(link.name, contents->link->name, sizeof(link.name));
		link_size = sizeof(link.crc) + strlen(contents->link->name);
	}

	const struct {
		uint32_t kind;
		uint64_t size;
		const void *bytes;
	} parts[] = {
		{ SYMBOL_FILE_SEGMENTS, contents->segment_count * sizeof(contents->segments[0]),
		  contents->segments },
		{ SYMBOL_FILE_STARTS, column_size, table->starts },
		{ SYMBOL_FILE_SIZES, column_size, table->sizes },
		{ SYMBOL_FILE_NAME_OFFSETS, column_size + sizeof(uint32_t), table->name_offsets },
		{ SYMBOL_FILE_NAMES, table->names.size, table->names.bytes },
		{ SYMBOL_FILE_PARENTS, table->nested ? column_size : 0, table->parents },
		{ SYMBOL_FILE_LINE_BLOCKS, lines->block_count * sizeof(lines->blocks[0]),
		  lines->blocks },
		{ SYMBOL_FILE_LINE_BYTES, lines->size, lines->bytes },
		{ SYMBOL_FILE_LINE_SCOPES, lines->scope_count * sizeof(lines->scopes[0]),
		  lines->scopes },
		{ SYMBOL_FILE_LINE_TEXT_OFFSETS,
		  lines->text_count ? (lines->text_count + 1) * sizeof(uint32_t) : 0,
		  lines->text_offsets },
		{ SYMBOL_FILE_LINE_TEXTS, texts_size, lines->texts },
		{ SYMBOL_FILE_LINE_COVERS, lines->cover_count * sizeof(lines->covers[0]),
		  lines->covers },
		{ SYMBOL_FILE_DEBUG_LINK, link_size, &link },
		{ SYMBOL_FILE_MISSING, contents->missing ? sizeof(*contents->missing) : 0,
		  contents->missing },
	};
	size_t part_count = sizeof(parts) / sizeof(parts[0]);
	size_t written = 0;
	int err = 0;

	memcpy(header.magic, SYMBOL_FILE_MAGIC, sizeof(header.magic));
	for (size_t i = 0; !err && i < part_count; i++)
		if (parts[i].size > 0)
			err = write_section(fd, &header, written++,
					    (struct symbol_file_section){ .kind = parts[i].kind,
									  .size = parts[i].size },
					    parts[i].bytes, &end);
	header.checksum = header_checksum(&header);
	if (!err)
		err = write_at(fd, 0, &header, sizeof(header));
	if (!err && end > SYMBOL_FILE_SIZE_MAX)
		err = -EFBIG;
	if (!err)
		*ret_size = end;
	return err;
}

/* Writes what it is given, by either of two ways. */
typedef int write_contents(int fd, const void *contents, uint64_t *ret_size);

static int write_path(const char *path, write_contents *write_to, const void *contents,
		      uint64_t *ret_size)
{
	char path_new[PATH_MAX];
	int size = snprintf(path_new, sizeof(path_new), "%s.new", path);

	if (size < 0 || (size_t)size >= sizeof(path_new))
		return -ENAMETOOLONG;

	autoclose int fd =
		open(path_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;

	uint64_t file_size = 0;
	int err = write_to(fd, contents, &file_size);

	if (!err && rename(path_new, path))
		err = -errno;
	if (err) {
		(void)unlink(path_new); /* what matters has failed already */
		return err;
	}
	*ret_size = file_size;
	return 0;
}

static int write_made(int fd, const void *contents, uint64_t *ret_size)
{
	return symbol_file_write_to(fd, contents, ret_size);
}

int symbol_file_write(const char *path, const struct symbol_file_contents *contents,
		      uint64_t *ret_size)
{
	return write_path(path, write_made, contents, ret_size);
}

static int write_copy(int fd, const void *contents, uint64_t *ret_size)
{
	const struct symbol_file *file = contents;

	*ret_size = file->size;
	return write_at(fd, 0, file->bytes, file->size);
}

int symbol_file_copy(const struct symbol_file *file, const char *path, uint64_t *ret_size)
{
	return write_path(path, write_copy, file, ret_size);
}

/* ---- opening ---- */

/* The section of this kind in place, or NULL. */
static const void *find_section(const struct symbol_file *file, uint32_t kind, uint64_t *ret_size)
{
	for (size_t i = 0; i < SYMBOL_FILE_SECTION_COUNT_MAX; i++) {
		const struct symbol_file_section *section = &file->header->sections[i];

		if (section->kind == kind) {
			*ret_size = section->size;
			return file->bytes + section->offset;
		}
	}
	*ret_size = 0;
	return NULL;
}

/* The same, but of exactly this size. */
static const void *find_sized(const struct symbol_file *file, uint32_t kind, uint64_t size)
{
	uint64_t found_size;
	const void *found = find_section(file, kind, &found_size);

	return found_size == size ? found : NULL;
}

static bool sections_are_whole(const struct symbol_file *file)
{
	uint64_t checked_size = 0;

	for (size_t i = 0; i < SYMBOL_FILE_SECTION_COUNT_MAX; i++) {
		const struct symbol_file_section *section = &file->header->sections[i];

		if (section->kind == 0)
			continue;
		if (section->offset % SECTION_ALIGNMENT != 0 || section->offset > file->size ||
		    section->size > file->size - section->offset)
			return false;
		/* Sections that overlap would be read over and over. */
		checked_size += section->size;
		if (checked_size > file->size ||
		    table_hash_bytes(file->bytes + section->offset, section->size, 0) !=
			    section->checksum)
			return false;
	}
	return true;
}

static bool header_is_whole(const struct symbol_file *file)
{
	const struct symbol_file_header *header = file->header;

	return memcmp(header->magic, SYMBOL_FILE_MAGIC, sizeof(header->magic)) == 0 &&
	       header->version == SYMBOL_FILE_VERSION &&
	       header->checksum == header_checksum(header) &&
	       header->identity.size <= IDENTITY_SIZE_MAX && header->function_count > 0 &&
	       header->function_count <= SYMBOL_COUNT_MAX &&
	       header->base <= UINT64_MAX - UINT32_MAX;
}

/* Checksums guard against decay, not against us: what reading relies on is looked at as well. */
static bool functions_are_sound(const struct symbol_file *file, uint64_t names_size)
{
	uint32_t count = file->header->function_count;

	for (uint32_t i = 0; i < count; i++) {
		if (i > 0 && file->starts[i] <= file->starts[i - 1])
			return false;
		if (file->sizes[i] > UINT32_MAX - file->starts[i])
			return false;
		if (file->parents && file->parents[i] != SYMBOL_PARENT_NONE &&
		    file->parents[i] >= i)
			return false;
		if (file->name_offsets[i] > file->name_offsets[i + 1])
			return false;
	}
	return file->name_offsets[0] == 0 && file->name_offsets[count] == names_size;
}

static bool segments_are_sound(const struct symbol_file *file)
{
	for (size_t i = 0; i < file->segment_count; i++)
		if (file->segments[i].size > UINT64_MAX - file->segments[i].offset ||
		    file->segments[i].size > UINT64_MAX - file->segments[i].vaddr)
			return false;
	return file->segment_count > 0 && file->segment_count <= ELF_SEGMENT_COUNT_MAX;
}

static bool read_lines(struct symbol_file *file)
{
	struct line_rows *lines = &file->lines;
	uint64_t blocks_size;
	uint64_t bytes_size;
	uint64_t scopes_size;
	uint64_t offsets_size;
	uint64_t texts_size;
	uint64_t covers_size;

	lines->base = file->header->line_base;
	lines->blocks = find_section(file, SYMBOL_FILE_LINE_BLOCKS, &blocks_size);
	lines->bytes = find_section(file, SYMBOL_FILE_LINE_BYTES, &bytes_size);
	lines->scopes = find_section(file, SYMBOL_FILE_LINE_SCOPES, &scopes_size);
	lines->text_offsets = find_section(file, SYMBOL_FILE_LINE_TEXT_OFFSETS, &offsets_size);
	lines->texts = find_section(file, SYMBOL_FILE_LINE_TEXTS, &texts_size);
	lines->covers = find_section(file, SYMBOL_FILE_LINE_COVERS, &covers_size);
	if (blocks_size % sizeof(lines->blocks[0]) != 0 ||
	    scopes_size % sizeof(lines->scopes[0]) != 0 ||
	    covers_size % sizeof(lines->covers[0]) != 0 || offsets_size % sizeof(uint32_t) != 0 ||
	    (lines->text_offsets && offsets_size < 2 * sizeof(uint32_t)))
		return false;
	lines->block_count = blocks_size / sizeof(lines->blocks[0]);
	lines->size = bytes_size;
	lines->scope_count = scopes_size / sizeof(lines->scopes[0]);
	lines->text_count = lines->text_offsets ? offsets_size / sizeof(uint32_t) - 1 : 0;
	lines->cover_count = covers_size / sizeof(lines->covers[0]);
	return line_rows_are_sound(lines, texts_size);
}

static bool read_link(struct symbol_file *file)
{
	uint64_t size;
	const uint8_t *bytes = find_section(file, SYMBOL_FILE_DEBUG_LINK, &size);
	struct debug_link *link = &file->link;

	if (!bytes)
		return true;
	if (size <= sizeof(link->crc) || size - sizeof(link->crc) >= sizeof(link->name))
		return false;
	memcpy(&link->crc, bytes, sizeof(link->crc));
	memcpy(link->name, bytes + sizeof(link->crc), size - sizeof(link->crc));
	file->has_link = true;
	return strlen(link->name) == size - sizeof(link->crc) && link->name[0] != '.' &&
	       !strchr(link->name, '/');
}

/* A name that a folder's may be put before, or a whole path. */
static bool name_is_sound(const struct symbol_wish *wish)
{
	size_t size = strnlen(wish->name, sizeof(wish->name));

	if (size == 0 || size == sizeof(wish->name))
		return false;
	if (wish->kind == SYMBOL_WISH_SPLIT_FILE)
		return wish->name[0] == '/';
	return size < DEBUG_LINK_NAME_SIZE && wish->name[0] != '.' && !strchr(wish->name, '/') &&
	       wish->identity.kind == IDENTITY_GNU_BUILD_ID && wish->identity.size > 0 &&
	       wish->identity.size <= IDENTITY_SIZE_MAX;
}

static bool read_missing(struct symbol_file *file)
{
	const struct symbol_wish *wish = find_sized(file, SYMBOL_FILE_MISSING, sizeof(*wish));
	uint64_t size;

	if (!find_section(file, SYMBOL_FILE_MISSING, &size))
		return true;
	file->missing = wish;
	return wish &&
	       (wish->kind == SYMBOL_WISH_SHARED_FILE || wish->kind == SYMBOL_WISH_SPLIT_FILE) &&
	       name_is_sound(wish);
}

static bool read_contents(struct symbol_file *file)
{
	file->header = (const struct symbol_file_header *)file->bytes;
	if (!header_is_whole(file) || !sections_are_whole(file))
		return false;

	uint64_t column_size = file->header->function_count * sizeof(uint32_t);
	uint64_t segments_size;
	uint64_t names_size;
	uint64_t parents_size;

	file->segments = find_section(file, SYMBOL_FILE_SEGMENTS, &segments_size);
	file->starts = find_sized(file, SYMBOL_FILE_STARTS, column_size);
	file->sizes = find_sized(file, SYMBOL_FILE_SIZES, column_size);
	file->parents = find_section(file, SYMBOL_FILE_PARENTS, &parents_size);
	file->name_offsets =
		find_sized(file, SYMBOL_FILE_NAME_OFFSETS, column_size + sizeof(uint32_t));
	file->names = find_section(file, SYMBOL_FILE_NAMES, &names_size);
	if (!file->segments || !file->starts || !file->sizes || !file->name_offsets || !file->names)
		return false;
	if (segments_size % sizeof(file->segments[0]) != 0 ||
	    (file->parents && parents_size != column_size))
		return false;
	file->segment_count = segments_size / sizeof(file->segments[0]);
	return segments_are_sound(file) && functions_are_sound(file, names_size) &&
	       read_lines(file) && read_link(file) && read_missing(file);
}

int symbol_file_open(int fd, struct symbol_file **ret)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size > SYMBOL_FILE_SIZE_MAX ||
	    status.st_size < (off_t)sizeof(struct symbol_file_header))
		return -EBADMSG;

	autoclean(symbol_file) struct symbol_file *file = calloc(1, sizeof(*file));

	if (!file)
		return -ENOMEM;

	void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED)
		return -errno;
	file->bytes = bytes;
	file->size = (size_t)status.st_size;
	if (!read_contents(file))
		return -EBADMSG;
	/* All of it was looked at, once. */
	symbol_file_rest(file);
	*ret = TAKE(file);
	return 0;
}

void symbol_file_rest(const struct symbol_file *file)
{
	(void)madvise((void *)file->bytes, file->size, MADV_DONTNEED);
}

struct symbol_file *symbol_file_close(struct symbol_file *file)
{
	if (!file)
		return NULL;

	if (file->bytes)
		munmap((void *)file->bytes, file->size);
	free(file);
	return NULL;
}

const struct symbol_file_header *symbol_file_header(const struct symbol_file *file)
{
	return file->header;
}

const struct elf_segment *symbol_file_segments(const struct symbol_file *file, size_t *ret_count)
{
	*ret_count = file->segment_count;
	return file->segments;
}

int symbol_file_add_symbols(const struct symbol_file *file, struct symbol_table *table)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < file->header->function_count; i++) {
		struct str name = symbol_file_name(file, i);
		struct symbol symbol = {
			.start = file->header->base + file->starts[i],
			.size = file->sizes[i],
			.end_max = file->header->base + file->starts[i] + file->sizes[i],
			.name = name.text,
			.name_size_max = (uint32_t)name.size,
			.binding = SYMBOL_LOCAL,
			.dynamic = true,
		};

		err = symbol_table_add(table, &symbol);
	}
	return err;
}

/* ---- reading ---- */

void symbol_file_table(const struct symbol_file *file, struct symbol_table *ret)
{
	uint32_t count = file->header->function_count;

	*ret = (struct symbol_table){
		.count = count,
		.base = file->header->base,
		.starts = (uint32_t *)file->starts,
		.sizes = (uint32_t *)file->sizes,
		.parents = (uint32_t *)file->parents,
		.name_offsets = (uint32_t *)file->name_offsets,
		.names = { .bytes = (uint8_t *)file->names, .size = file->name_offsets[count] },
		.nested = file->parents ? count : 0,
		.dropped = file->header->dropped_count,
	};
}

const struct symbol_wish *symbol_file_missing(const struct symbol_file *file)
{
	return file->missing;
}

const struct debug_link *symbol_file_debug_link(const struct symbol_file *file)
{
	return file->has_link ? &file->link : NULL;
}

const struct line_rows *symbol_file_lines(const struct symbol_file *file)
{
	return &file->lines;
}

bool symbol_file_vaddr(const struct symbol_file *file, uint64_t offset, uint64_t *ret)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const struct elf_segment *segment = &file->segments[i];

		if (offset >= segment->offset && offset - segment->offset < segment->size) {
			*ret = segment->vaddr + (offset - segment->offset);
			return true;
		}
	}
	return false;
}

/* How many functions start at or before this address. */
static uint32_t count_up_to(const struct symbol_file *file, uint32_t address)
{
	const uint32_t *first = file->starts;
	uint32_t left = file->header->function_count;

	while (left > 1) {
		uint32_t half = left / 2;

		/* Without a branch that could be predicted wrongly. */
		first += first[half] <= address ? half : 0;
		left -= half;
	}
	return (uint32_t)(first - file->starts) + (*first <= address);
}

uint32_t symbol_file_find(const struct symbol_file *file, uint64_t offset)
{
	uint64_t vaddr;

	if (!symbol_file_vaddr(file, offset, &vaddr) || vaddr < file->header->base ||
	    vaddr - file->header->base > UINT32_MAX)
		return SYMBOL_NONE;

	uint32_t address = (uint32_t)(vaddr - file->header->base);
	uint32_t function = count_up_to(file, address) - 1; /* none before: SYMBOL_NONE */

	/* Out to what holds it; parents have lower numbers, so this ends. */
	for (uint32_t depth = 0; function != SYMBOL_NONE && depth <= SYMBOL_DEPTH_MAX; depth++) {
		if (address - file->starts[function] < file->sizes[function])
			return function;
		function = file->parents ? file->parents[function] : SYMBOL_NONE;
	}
	return SYMBOL_NONE;
}

struct str symbol_file_name(const struct symbol_file *file, uint32_t function)
{
	assert(function < file->header->function_count);

	uint32_t begin = file->name_offsets[function];

	return (struct str){ file->names + begin, file->name_offsets[function + 1] - begin };
}

uint64_t symbol_file_start(const struct symbol_file *file, uint32_t function)
{
	assert(function < file->header->function_count);

	uint64_t vaddr = file->header->base + file->starts[function];

	for (size_t i = 0; i < file->segment_count; i++)
		if (vaddr >= file->segments[i].vaddr &&
		    vaddr - file->segments[i].vaddr < file->segments[i].size)
			return file->segments[i].offset + (vaddr - file->segments[i].vaddr);
	/* In no segment: only a file that we did not write. */
	return vaddr;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/jit_reader.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"

enum {
	CHUNK_SIZE = 64 << 10,

	JITDUMP_MAGIC = 0x4a695444, /* "DTiJ" as it lies */
	JITDUMP_HEADER_SIZE = 40,
	JITDUMP_FLAG_MACHINE_CLOCK = 1,
	RECORD_HEADER_SIZE = 16,
	RECORD_LOAD = 0,
	RECORD_MOVE = 1,
	LOAD_SIZE = 40, /* before the name */
	MOVE_SIZE = 48,
	RECORD_READ_SIZE = RECORD_HEADER_SIZE + LOAD_SIZE + JIT_NAME_SIZE_MAX + 1,
};

/* ---- the file ---- */

/* How much of size is there. */
static ssize_t read_at(int fd, uint64_t offset, void *room, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got =
			pread(fd, (uint8_t *)room + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static bool is_same_file(const struct jit_reader *reader, uint64_t size)
{
	uint8_t tail[JIT_TAIL_SIZE];

	return size >= reader->offset &&
	       read_at(reader->fd, reader->offset - reader->tail_size, tail, reader->tail_size) ==
		       (ssize_t)reader->tail_size &&
	       memcmp(tail, reader->tail, reader->tail_size) == 0;
}

static void remember_tail(struct jit_reader *reader)
{
	uint32_t size = reader->offset < JIT_TAIL_SIZE ? (uint32_t)reader->offset : JIT_TAIL_SIZE;
	ssize_t got = read_at(reader->fd, reader->offset - size, reader->tail, size);

	reader->tail_size = got < 0 ? 0 : (uint32_t)got;
}

/* ---- perf maps ---- */

/* Some write "0x" in front of both numbers. */
static bool take_hex(struct str *line, uint64_t *ret)
{
	struct str text;

	if (!parse_next(line, ' ', &text))
		return false;
	if (str_starts_with(text, STR("0x"))) {
		text.text += 2;
		text.size -= 2;
	}
	return parse_hex(text, ret) == 0;
}

/* A line of another form is passed over. */
static int read_line(struct jit_map *map, struct str line, uint64_t since_ns)
{
	uint64_t start, size;

	if (!take_hex(&line, &start) || !take_hex(&line, &size))
		return 0;
	if (line.size > 0 && line.text[line.size - 1] == '\r')
		line.size--;
	return jit_map_add(map, start, size, since_ns, line);
}

static int read_lines(struct jit_map *map, struct str text, uint64_t since_ns)
{
	struct str line;
	int err = 0;

	while (!err && parse_next(&text, '\n', &line))
		err = read_line(map, line, since_ns);
	return err;
}

static int read_perf_map(struct jit_reader *reader, struct jit_map *map)
{
	autofree char *chunk = malloc(CHUNK_SIZE);
	size_t total = 0;

	if (!chunk)
		return -ENOMEM;
	while (total < JIT_READ_SIZE_MAX) {
		ssize_t got = read_at(reader->fd, reader->offset, chunk, CHUNK_SIZE);

		if (got <= 0)
			return (int)got;

		const char *end = memrchr(chunk, '\n', (size_t)got);
		size_t used = end ? (size_t)(end - chunk) + 1 : 0;

		/* The end of a line may be still to come; one that fills a chunk is passed over. */
		if (!end && got < CHUNK_SIZE)
			return 0;

		int err = read_lines(map, (struct str){ chunk, used }, reader->read_ns);

		if (err)
			return err;
		reader->offset += end ? used : (size_t)got;
		total += (size_t)got;
		if (reader->offset > PERF_MAP_SIZE_MAX)
			return -EFBIG;
	}
	return -EAGAIN;
}

/* ---- jitdumps ---- */

static uint32_t u32_at(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static uint64_t u64_at(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

/* -EAGAIN when it is not there yet. */
static int read_header(struct jit_reader *reader)
{
	uint8_t header[JITDUMP_HEADER_SIZE];
	ssize_t got = read_at(reader->fd, 0, header, sizeof(header));

	if (got < 0)
		return (int)got;
	if (got < JITDUMP_HEADER_SIZE)
		return -EAGAIN;
	/* Magic, version, size of the header; the flags stand last. */
	if (u32_at(header) != JITDUMP_MAGIC || u32_at(header + 8) < JITDUMP_HEADER_SIZE ||
	    u32_at(header + 8) > CHUNK_SIZE)
		return -EBADMSG;
	reader->has_machine_clock = u64_at(header + 32) & JITDUMP_FLAG_MACHINE_CLOCK;
	reader->offset = u32_at(header + 8);
	return 0;
}

/* thread and process u32, address u64, where it runs u64, size u64, number u64, name, code */
static int read_load(struct jit_map *map, const uint8_t *body, size_t size, uint64_t at_ns)
{
	if (size <= LOAD_SIZE)
		return 0;

	const char *name = (const char *)body + LOAD_SIZE;

	return jit_map_add(map, u64_at(body + 16), u64_at(body + 24), at_ns,
			   (struct str){ name, strnlen(name, size - LOAD_SIZE) });
}

/* thread and process u32, address u64, from u64, to u64, size u64, number u64 */
static int read_move(struct jit_map *map, const uint8_t *body, size_t size, uint64_t at_ns)
{
	struct str name;

	if (size < MOVE_SIZE || !jit_map_find(map, u64_at(body + 16), at_ns, &name))
		return 0;
	/* The names may move when one is added: the map finds it there again, and adds none. */
	return jit_map_add(map, u64_at(body + 24), u64_at(body + 32), at_ns, name);
}

static int read_record(struct jit_reader *reader, struct jit_map *map, uint64_t size_of_file,
		       uint64_t monotonic_to_boot_ns)
{
	uint8_t bytes[RECORD_READ_SIZE];
	ssize_t got = read_at(reader->fd, reader->offset, bytes, sizeof(bytes));

	if (got < RECORD_HEADER_SIZE)
		return got < 0 ? (int)got : -ENODATA;

	uint32_t size = u32_at(bytes + 4);
	uint64_t at_ns = u64_at(bytes + 8) + monotonic_to_boot_ns;

	if (size < RECORD_HEADER_SIZE)
		return -EBADMSG;
	if (size > size_of_file - reader->offset)
		return -ENODATA; /* not all of it is there yet */
	if (reader->has_machine_clock)
		at_ns = reader->read_ns;

	size_t body_size = (size < (size_t)got ? size : (size_t)got) - RECORD_HEADER_SIZE;
	const uint8_t *body = bytes + RECORD_HEADER_SIZE;
	int err = 0;

	if (u32_at(bytes) == RECORD_LOAD)
		err = read_load(map, body, body_size, at_ns);
	else if (u32_at(bytes) == RECORD_MOVE)
		err = read_move(map, body, body_size, at_ns);
	reader->offset += size;
	return err;
}

static int read_jitdump(struct jit_reader *reader, struct jit_map *map, uint64_t size_of_file,
			uint64_t monotonic_to_boot_ns)
{
	enum { RECORDS_AT_ONCE_MAX = 64 << 10 };
	int err = reader->offset == 0 ? read_header(reader) : 0;

	if (err)
		return err == -EAGAIN ? 0 : err;
	for (unsigned i = 0; i < RECORDS_AT_ONCE_MAX && !err; i++) {
		if (reader->offset > size_of_file)
			return 0;
		err = read_record(reader, map, size_of_file, monotonic_to_boot_ns);
	}
	if (!err)
		return -EAGAIN;
	return err == -ENODATA ? 0 : err;
}

int jit_reader_read(struct jit_reader *reader, struct jit_map *map, uint64_t now_ns,
		    uint64_t monotonic_to_boot_ns)
{
	struct stat status;
	int err;

	assert(reader->kind == JIT_FILE_PERF_MAP || reader->kind == JIT_FILE_JITDUMP);
	if (fstat(reader->fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EBADMSG;

	uint64_t size = (uint64_t)status.st_size;

	/* Written anew, as a program does that writes all it has whenever it is asked to. */
	if (!is_same_file(reader, size)) {
		jit_map_end(map, reader->read_ns);
		reader->offset = reader->tail_size = 0;
	}
	if (reader->kind == JIT_FILE_PERF_MAP)
		err = read_perf_map(reader, map);
	else if (size > JITDUMP_SIZE_MAX)
		err = -EFBIG;
	else
		err = read_jitdump(reader, map, size, monotonic_to_boot_ns);
	remember_tail(reader);
	/* What is left of this reading was there already. */
	if (err != -EAGAIN)
		reader->read_ns = now_ns;
	return err;
}

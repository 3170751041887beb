/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void buf_done(struct buf *buf)
{
	free(buf->bytes);
	*buf = BUF(buf->limit);
}

void buf_clear(struct buf *buf)
{
	buf->size = 0;
	buf->error = 0;
}

void *buf_grow(struct buf *buf, size_t more)
{
	assert(buf->size <= buf->capacity);

	if (buf->error)
		return NULL;
	if (more > buf->limit || buf->size > buf->limit - more) {
		buf->error = -EFBIG;
		return NULL;
	}

	size_t size = buf->size + more;

	if (size > buf->capacity) {
		size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;

		while (capacity < size)
			capacity *= 2;

		uint8_t *bytes = realloc(buf->bytes, capacity);

		if (!bytes) {
			buf->error = -ENOMEM;
			return NULL;
		}
		buf->bytes = bytes;
		buf->capacity = capacity;
	}

	void *room = buf->bytes + buf->size;

	buf->size = size;
	return room;
}

void buf_add(struct buf *buf, const void *bytes, size_t size)
{
	if (size == 0)
		return;

	void *room = buf_grow(buf, size);

	if (room)
		memcpy(room, bytes, size);
}

void buf_add_str(struct buf *buf, struct str text)
{
	buf_add(buf, text.text, text.size);
}

void buf_add_u8(struct buf *buf, uint8_t value)
{
	buf_add(buf, &value, 1);
}

static void add_little_endian(struct buf *buf, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	buf_add(buf, bytes, size);
}

void buf_add_u16(struct buf *buf, uint16_t value)
{
	add_little_endian(buf, value, 2);
}

void buf_add_u32(struct buf *buf, uint32_t value)
{
	add_little_endian(buf, value, 4);
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
	add_little_endian(buf, value, 8);
}

void buf_add_varint(struct buf *buf, uint64_t value)
{
	uint8_t bytes[10];
	size_t size = 0;

	while (value >= 0x80) {
		bytes[size++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	bytes[size++] = (uint8_t)value;
	buf_add(buf, bytes, size);
}

void buf_add_zigzag(struct buf *buf, int64_t value)
{
	buf_add_varint(buf, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

void buf_add_sized(struct buf *buf, struct str text)
{
	buf_add_varint(buf, text.size);
	buf_add_str(buf, text);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(size >= 0);

	char *room = buf_grow(buf, (size_t)size + 1);

	if (!room)
		return;
	va_start(args, format);
	vsnprintf(room, (size_t)size + 1, format, args);
	va_end(args);
	buf->size--;
}

/* The first error stays: a caller may have found a better one than ours. */
static void end_with_error(struct bytes *bytes)
{
	if (!bytes->error)
		bytes->error = -EBADMSG;
	bytes->left = 0;
}

struct bytes bytes_from(const void *data, size_t size)
{
	assert(data || size == 0);
	return (struct bytes){ .next = data, .left = size };
}

const void *bytes_take(struct bytes *bytes, size_t size)
{
	if (bytes->error || size > bytes->left) {
		end_with_error(bytes);
		return NULL;
	}

	const void *taken = bytes->next;

	if (size) {
		bytes->next += size;
		bytes->left -= size;
	}
	return taken;
}

static uint64_t read_little_endian(struct bytes *bytes, size_t size)
{
	const uint8_t *taken = bytes_take(bytes, size);
	uint64_t value = 0;

	for (size_t i = 0; taken && i < size; i++)
		value |= (uint64_t)taken[i] << (8 * i);
	return value;
}

uint8_t bytes_u8(struct bytes *bytes)
{
	return (uint8_t)read_little_endian(bytes, 1);
}

uint16_t bytes_u16(struct bytes *bytes)
{
	return (uint16_t)read_little_endian(bytes, 2);
}

uint32_t bytes_u32(struct bytes *bytes)
{
	return (uint32_t)read_little_endian(bytes, 4);
}

uint64_t bytes_u64(struct bytes *bytes)
{
	return read_little_endian(bytes, 8);
}

uint64_t bytes_long_varint(struct bytes *bytes)
{
	uint64_t value = 0;

	for (unsigned shift = 0; bytes->left > 0 && !bytes->error; shift += 7) {
		uint8_t byte = *bytes->next++;

		bytes->left--;
		/* The tenth byte holds the 64th bit alone. */
		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	end_with_error(bytes);
	return 0;
}

/* Eight bytes as they stand, the first lowest. */
static uint64_t load(const uint8_t *from)
{
	uint64_t bytes;

	memcpy(&bytes, from, sizeof(bytes));
	return bytes; /* little endian, as our machines are */
}

/* Puts together what eight bytes have seven bits of each. */
static uint64_t squeeze(uint64_t bytes)
{
	bytes = (bytes & UINT64_C(0x007f007f007f007f)) |
		(bytes & UINT64_C(0x7f007f007f007f00)) >> 1;
	bytes = (bytes & UINT64_C(0x00003fff00003fff)) |
		(bytes & UINT64_C(0x3fff00003fff0000)) >> 2;
	return (bytes & UINT64_C(0x000000000fffffff)) | (bytes & UINT64_C(0x0fffffff00000000)) >> 4;
}

/*
 * Where sizes are mixed no processor foresees them: up to eight bytes are read without asking.
 * Those of one byte are taken as many as stand together; what is written beyond them is written
 * again.
 */
void bytes_varints(struct bytes *bytes, uint64_t *ret, size_t count)
{
	enum { LOADED = sizeof(uint64_t) };
	const uint64_t more_bits = UINT64_C(0x8080808080808080);
	size_t done = 0;

	while (done < count) {
		const uint8_t *next = bytes->next;
		const uint8_t *end = next + bytes->left;

		while (count - done >= LOADED && end - next >= LOADED && !bytes->error) {
			uint64_t loaded = load(next);
			uint64_t last = ~loaded & more_bits;

			if (last == 0)
				break;
			if (loaded & 0x80) {
				/* The bits up to the first byte that says that it is the last. */
				ret[done++] = squeeze(loaded & (last ^ (last - 1)));
				next += (unsigned)__builtin_ctzll(last) / 8 + 1;
				continue;
			}

			uint64_t longer = loaded & more_bits;
			unsigned small = longer ? (unsigned)__builtin_ctzll(longer) / 8 : LOADED;

			for (unsigned i = 0; i < LOADED; i++)
				ret[done + i] = next[i];
			done += small;
			next += small;
		}
		bytes->left = (size_t)(end - next);
		bytes->next = next;
		if (done < count)
			ret[done++] = bytes_varint(bytes);
	}
}

int64_t bytes_zigzag(struct bytes *bytes)
{
	uint64_t value = bytes_varint(bytes);

	return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

size_t bytes_count(struct bytes *bytes, size_t item_size_min, size_t count_max)
{
	assert(item_size_min > 0);

	uint64_t count = bytes_varint(bytes);

	if (count > count_max || count > bytes->left / item_size_min) {
		end_with_error(bytes);
		return 0;
	}
	return (size_t)count;
}

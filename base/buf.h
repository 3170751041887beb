/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"

/*
 * Bytes that grow up to a limit. The first failure (-ENOMEM, or -EFBIG beyond the limit) is kept in
 * .error; later writes do nothing, so that a writer checks once, at the end.
 *
 * Values are held by the caller: struct buf b = BUF(limit); … buf_done(&b), or autoclean(buf).
 */
struct buf {
	uint8_t *bytes;
	size_t size;
	size_t capacity;
	size_t limit;
	int error;
};

#define BUF(limit_bytes) ((struct buf){ .limit = (limit_bytes) })

void buf_done(struct buf *buf);

/* Empties it and forgets its error; keeps the memory. */
void buf_clear(struct buf *buf);

/* Room for more bytes at the end, uninitialised, already counted in .size; NULL after an error. */
void *buf_grow(struct buf *buf, size_t more);

void buf_add(struct buf *buf, const void *bytes, size_t size);
void buf_add_str(struct buf *buf, struct str text);
void buf_add_u8(struct buf *buf, uint8_t value);

/* Little endian, whatever the host. */
void buf_add_u16(struct buf *buf, uint16_t value);
void buf_add_u32(struct buf *buf, uint32_t value);
void buf_add_u64(struct buf *buf, uint64_t value);

/* LEB128, 1 to 10 bytes; the second folds the sign into the lowest bit first (zigzag). */
void buf_add_varint(struct buf *buf, uint64_t value);
void buf_add_zigzag(struct buf *buf, int64_t value);

/* A varint of the size, then the bytes. */
void buf_add_sized(struct buf *buf, struct str text);

void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void buf_cleanup(struct buf *buf)
{
	buf_done(buf);
}

/*
 * Reads what a buf wrote, or what a stranger says one wrote. Every read is checked against the end;
 * the first that would pass it sets .error to -EBADMSG and it and all later ones give zeros, so
 * that a reader checks once per message, and always before it uses a count for an allocation.
 */
struct bytes {
	const uint8_t *next;
	size_t left;
	int error;
};

struct bytes bytes_from(const void *data, size_t size);

uint8_t bytes_u8(struct bytes *bytes);
uint16_t bytes_u16(struct bytes *bytes);
uint32_t bytes_u32(struct bytes *bytes);
uint64_t bytes_u64(struct bytes *bytes);
uint64_t bytes_long_varint(struct bytes *bytes);
int64_t bytes_zigzag(struct bytes *bytes);

/* Here, so that it is inlined: nearly all are a byte or two, hundreds of millions of them. */
static inline uint64_t bytes_varint(struct bytes *bytes)
{
	const uint8_t *next = bytes->next;

	if (bytes->left > 0 && next[0] < 0x80 && !bytes->error) {
		bytes->next++;
		bytes->left--;
		return next[0];
	}
	if (bytes->left > 1 && next[1] < 0x80 && !bytes->error) {
		bytes->next += 2;
		bytes->left -= 2;
		return (next[0] & 0x7f) | (uint64_t)next[1] << 7;
	}
	return bytes_long_varint(bytes);
}

/* The next count of them, for those who read millions. After an error the rest are 0. */
void bytes_varints(struct bytes *bytes, uint64_t *ret, size_t count);

/* The next size bytes in place, or NULL. */
const void *bytes_take(struct bytes *bytes, size_t size);

static inline struct str bytes_sized(struct bytes *bytes)
{
	uint64_t size = bytes_varint(bytes);
	const char *text = bytes_take(bytes, size <= bytes->left ? (size_t)size : SIZE_MAX);

	return text ? (struct str){ text, (size_t)size } : (struct str){ 0 };
}

/*
 * A varint that counts things of at least item_size_min bytes each that follow: an error when so
 * many can't be left, or when there are more than count_max.
 */
size_t bytes_count(struct bytes *bytes, size_t item_size_min, size_t count_max);

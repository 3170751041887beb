/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

/*
 * Fields of a message of protobuf, in place and at speed: OTLP sends megabytes of small numbers.
 * Groups, which no revision has, are stepped over like every other unknown field.
 * https://protobuf.dev/programming-guides/encoding/
 */
enum otlp_wire_type {
	OTLP_WIRE_VARINT = 0,
	OTLP_WIRE_64 = 1,
	OTLP_WIRE_SIZED = 2,
	OTLP_WIRE_GROUP = 3, /* stepped over: number and type are all that is told */
	OTLP_WIRE_32 = 5,
};

enum { OTLP_GROUP_DEPTH_MAX = 64 };

struct otlp_wire {
	const uint8_t *next, *end;
};

struct otlp_wire_field {
	uint64_t number;
	enum otlp_wire_type type;
	uint64_t value;
	struct str bytes;
};

static inline struct otlp_wire otlp_wire_from(struct str message)
{
	const uint8_t *bytes = (const uint8_t *)message.text;

	return (struct otlp_wire){ bytes, bytes ? bytes + message.size : bytes };
}

/* A number, and where it ends; NULL: nowhere, or beyond 64 bits. */
struct otlp_wire_number {
	uint64_t value;
	const uint8_t *end;
};

enum { OTLP_WIRE_WORD_SIZE = 8 };

/* Seven bits of each byte, moved together: of two, of four, of eight. */
static inline uint64_t otlp_wire_join(uint64_t bytes)
{
	bytes = (bytes & UINT64_C(0x007f007f007f007f)) |
		(bytes & UINT64_C(0x7f007f007f007f00)) >> 1;
	bytes = (bytes & UINT64_C(0x00003fff00003fff)) |
		(bytes & UINT64_C(0x3fff00003fff0000)) >> 2;
	return (bytes & UINT64_C(0x0fffffff)) | (bytes & UINT64_C(0x0fffffff00000000)) >> 4;
}

/*
 * One where there are OTLP_WIRE_WORD_SIZE bytes, whosever they are: without a branch for each size
 * that it may have. No end: it takes more than these.
 */
static inline struct otlp_wire_number otlp_wire_word(const uint8_t *bytes)
{
	uint64_t word, ends;

	memcpy(&word, bytes, sizeof(word));
	word = le64toh(word);
	ends = ~word & UINT64_C(0x8080808080808080);
	if (!ends)
		return (struct otlp_wire_number){ 0 };
	/* All below the bit that ends it. */
	return (struct otlp_wire_number){ otlp_wire_join(word & (ends ^ (ends - 1))),
					  bytes + __builtin_ctzll(ends) / 8 + 1 };
}

/* Any; for otlp_wire_varint(), which reads short ones itself. */
struct otlp_wire_number otlp_wire_long_varint(const uint8_t *bytes, const uint8_t *end);

/* False when it does not end, or is longer than 64 bits can be. */
__attribute__((always_inline)) static inline bool otlp_wire_varint(struct otlp_wire *wire,
								   uint64_t *ret)
{
	const uint8_t *bytes = wire->next;

	if (bytes < wire->end && bytes[0] < 0x80) {
		*ret = bytes[0];
		wire->next = bytes + 1;
		return true;
	}
	if (wire->end - bytes >= 2 && bytes[1] < 0x80) {
		*ret = (uint64_t)(bytes[0] & 0x7f) | (uint64_t)bytes[1] << 7;
		wire->next = bytes + 2;
		return true;
	}
	if (wire->end - bytes >= 3 && bytes[2] < 0x80) {
		*ret = (uint64_t)(bytes[0] & 0x7f) | (uint64_t)(bytes[1] & 0x7f) << 7 |
		       (uint64_t)bytes[2] << 14;
		wire->next = bytes + 3;
		return true;
	}

	struct otlp_wire_number number = otlp_wire_long_varint(bytes, wire->end);

	if (!number.end)
		return false;
	*ret = number.value;
	wire->next = number.end;
	return true;
}

/* What stands behind a size. */
__attribute__((always_inline)) static inline bool otlp_wire_sized(struct otlp_wire *wire,
								  struct str *ret)
{
	uint64_t size;

	if (!otlp_wire_varint(wire, &size) || size > (uint64_t)(wire->end - wire->next))
		return false;
	*ret = (struct str){ (const char *)wire->next, (size_t)size };
	wire->next += size;
	return true;
}

/* The next field, when it is sized and has this tag, of one byte; else, and for tag 0, nothing is
 * taken. */
__attribute__((always_inline)) static inline bool otlp_wire_same(struct otlp_wire *wire,
								 uint8_t tag, struct str *ret)
{
	struct otlp_wire next = *wire;

	if (tag == 0 || next.next == next.end || *next.next != tag)
		return false;
	next.next++;
	if (!otlp_wire_sized(&next, ret))
		return false;
	*wire = next;
	return true;
}

static inline bool otlp_wire_u64(struct otlp_wire *wire, uint64_t *ret)
{
	if (wire->end - wire->next < 8)
		return false;
	memcpy(ret, wire->next, sizeof(*ret));
	*ret = le64toh(*ret);
	wire->next += 8;
	return true;
}

/* What is not a varint, nor sized; for otlp_wire_next() alone. */
int otlp_wire_other(struct otlp_wire *wire, struct otlp_wire_field *field);

/* 1, 0 at the end, -EBADMSG. Of a field value or bytes is set, by its type, and the other nothing.
 */
__attribute__((always_inline)) static inline int otlp_wire_next(struct otlp_wire *wire,
								struct otlp_wire_field *ret)
{
	uint64_t tag;

	if (wire->next == wire->end)
		return 0;
	if (!otlp_wire_varint(wire, &tag))
		return -EBADMSG;
	ret->number = tag >> 3;
	ret->type = (enum otlp_wire_type)(tag & 7);
	ret->value = 0;
	ret->bytes = (struct str){ 0 };
	if (ret->number == 0)
		return -EBADMSG;
	if (ret->type == OTLP_WIRE_VARINT)
		return otlp_wire_varint(wire, &ret->value) ? 1 : -EBADMSG;
	if (ret->type != OTLP_WIRE_SIZED)
		return otlp_wire_other(wire, ret);
	return otlp_wire_sized(wire, &ret->bytes) ? 1 : -EBADMSG;
}

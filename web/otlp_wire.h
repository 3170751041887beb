/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

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

/* False when it does not end, or is longer than 64 bits can be. */
static inline bool otlp_wire_varint(struct otlp_wire *wire, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && wire->next < wire->end; shift += 7) {
		uint8_t byte = *wire->next++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = value;
			return shift < 63 || byte <= 1;
		}
	}
	return false;
}

static inline bool otlp_wire_u64(struct otlp_wire *wire, uint64_t *ret)
{
	uint64_t value = 0;

	if (wire->end - wire->next < 8)
		return false;
	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)wire->next[i] << (8 * i);
	wire->next += 8;
	*ret = value;
	return true;
}

/* 1, 0 at the end, -EBADMSG. */
int otlp_wire_next(struct otlp_wire *wire, struct otlp_wire_field *ret);

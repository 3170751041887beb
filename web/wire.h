/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/*
 * A message of protobuf, field by field, in place: for those that are too large, or come in too
 * many kinds, to be made objects of. https://protobuf.dev/programming-guides/encoding/
 */
enum wire_type {
	WIRE_VARINT = 0,
	WIRE_64 = 1,
	WIRE_SIZED = 2,
	WIRE_32 = 5,
};

struct wire_field {
	uint64_t number;
	enum wire_type type;
	uint64_t value; /* of a varint */
	struct str bytes;
};

/* 1, 0 at the end, -EBADMSG. */
static inline int wire_next(struct bytes *bytes, struct wire_field *ret)
{
	*ret = (struct wire_field){ 0 };
	if (bytes->left == 0)
		return bytes->error ? -EBADMSG : 0;

	uint64_t tag = bytes_varint(bytes);

	*ret = (struct wire_field){ .number = tag >> 3, .type = (enum wire_type)(tag & 7) };
	switch (ret->type) {
	case WIRE_VARINT:
		ret->value = bytes_varint(bytes);
		break;
	case WIRE_SIZED:
		ret->bytes = bytes_sized(bytes);
		break;
	case WIRE_64:
		ret->value = bytes_u64(bytes);
		break;
	case WIRE_32:
		ret->value = bytes_u32(bytes);
		break;
	default: /* groups, which pprof has none of, and what is not defined */
		return -EBADMSG;
	}
	return bytes->error || ret->number == 0 ? -EBADMSG : 1;
}

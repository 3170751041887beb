/* SPDX-License-Identifier: Apache-2.0 */
#include "web/message.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/utf8.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_64_BIT = 1,
	WIRE_SIZED = 2,
	WIRE_32_BIT = 5,
};

enum {
	WIRE_TYPE_BITS = 3,
	VARINT_SIZE_MAX = 10,
	FIELD_NUMBER_MAX = (1 << 29) - 1,
};

/* ---- looking through --------------------------------------------------------------------------
 */

/* Where a message is being looked through, and where its part ends that is being read. */
struct level {
	const ProtobufCMessageDescriptor *descriptor;
	const uint8_t *end;
};

struct check {
	const uint8_t *next;
	struct level levels[MESSAGE_DEPTH_MAX];
	size_t depth;
	size_t field_count;
	char *error;
};

static int refuse(struct check *check, const char *what, const ProtobufCFieldDescriptor *field)
{
	if (field)
		snprintf(check->error, MESSAGE_ERROR_SIZE, "%s in field \"%s\"", what, field->name);
	else
		snprintf(check->error, MESSAGE_ERROR_SIZE, "%s", what);
	return -EBADMSG;
}

static bool read_varint(struct check *check, const uint8_t *end, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < VARINT_SIZE_MAX && check->next < end; i++) {
		uint8_t byte = *check->next++;

		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*ret = value;
			return i < VARINT_SIZE_MAX - 1 || byte == 1;
		}
	}
	return false;
}

static int count_more(struct check *check, size_t more)
{
	check->field_count += more;
	if (check->field_count <= MESSAGE_FIELD_COUNT_MAX)
		return 0;
	snprintf(check->error, MESSAGE_ERROR_SIZE, "more than %d fields", MESSAGE_FIELD_COUNT_MAX);
	return -E2BIG;
}

/* What has a size: a text, a message, packed numbers; or something that is not known. */
static int check_sized(struct check *check, const ProtobufCFieldDescriptor *field, size_t size)
{
	struct str bytes = { (const char *)check->next, size };
	size_t numbers = 0;

	if (!field) {
		check->next += size;
		return 0;
	}
	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		if (check->depth == MESSAGE_DEPTH_MAX) {
			(void)refuse(check, "messages too deep within each other", field);
			return -E2BIG;
		}
		check->levels[check->depth++] =
			(struct level){ field->descriptor, check->next + size };
		return 0;
	case PROTOBUF_C_TYPE_STRING:
		if (memchr(bytes.text, '\0', size) || !utf8_is_valid(bytes))
			return refuse(check, "no UTF-8, or a NUL,", field);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		break;
	default:
		/* Packed: no number takes less than a byte. */
		if (field->label != PROTOBUF_C_LABEL_REPEATED)
			return refuse(check, "a list", field);
		numbers = size;
	}
	check->next += size;
	return count_more(check, numbers);
}

static int check_field(struct check *check)
{
	struct level *level = &check->levels[check->depth - 1];
	const ProtobufCFieldDescriptor *field = NULL;
	uint64_t tag;
	uint64_t value;

	if (!read_varint(check, level->end, &tag) || tag >> WIRE_TYPE_BITS == 0 ||
	    tag >> WIRE_TYPE_BITS > FIELD_NUMBER_MAX)
		return refuse(check, "a field without a number", NULL);
	field = protobuf_c_message_descriptor_get_field(level->descriptor,
							(unsigned)(tag >> WIRE_TYPE_BITS));

	int err = count_more(check, 1);

	if (err)
		return err;

	size_t left = (size_t)(level->end - check->next);

	switch (tag & ((1 << WIRE_TYPE_BITS) - 1)) {
	case WIRE_VARINT:
		return read_varint(check, level->end, &value)
			       ? 0
			       : refuse(check, "a number without an end", field);
	case WIRE_64_BIT:
	case WIRE_32_BIT:
		value = (tag & ((1 << WIRE_TYPE_BITS) - 1)) == WIRE_64_BIT ? 8 : 4;
		if (value > left)
			return refuse(check, "a number without an end", field);
		check->next += value;
		return 0;
	case WIRE_SIZED:
		if (!read_varint(check, level->end, &value) ||
		    value > (size_t)(level->end - check->next))
			return refuse(check, "more bytes announced than there are", field);
		return check_sized(check, field, (size_t)value);
	default:
		return refuse(check, "an unknown wire type", field);
	}
}

int message_check(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
		  char reterr[static MESSAGE_ERROR_SIZE])
{
	const uint8_t *start = (const uint8_t *)(bytes.text ? bytes.text : "");
	struct check check = { .next = start, .depth = 1, .error = reterr };
	int err = 0;

	check.levels[0] = (struct level){ descriptor, start + bytes.size };
	while (!err && check.depth > 0) {
		if (check.next == check.levels[check.depth - 1].end)
			check.depth--;
		else
			err = check_field(&check);
	}
	return err;
}

/* ---- protobuf-c -------------------------------------------------------------------------------
 */

static void *take(void *context, size_t size)
{
	return arena_take(context, size, 1);
}

static void forget(void *context, void *piece)
{
	(void)context;
	(void)piece;
}

int message_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
		   struct arena *arena, const ProtobufCMessage **ret,
		   char reterr[static MESSAGE_ERROR_SIZE])
{
	ProtobufCAllocator allocator = { .alloc = take, .free = forget, .allocator_data = arena };
	int err = message_check(descriptor, bytes, reterr);

	if (err)
		return err;

	const ProtobufCMessage *message =
		protobuf_c_message_unpack(descriptor, &allocator, bytes.size,
					  (const uint8_t *)(bytes.text ? bytes.text : ""));

	if (arena->error) {
		snprintf(reterr, MESSAGE_ERROR_SIZE, "it takes more than %zu bytes to read",
			 arena->limit);
		return arena->error;
	}
	if (!message) {
		snprintf(reterr, MESSAGE_ERROR_SIZE, "a field has another type than it should");
		return -EBADMSG;
	}
	*ret = message;
	return 0;
}

void message_pack(const ProtobufCMessage *message, struct buf *buf)
{
	assert(message->descriptor);

	/* In one piece: a flame graph has a hundred thousand numbers. */
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *room = size > 0 ? buf_grow(buf, size) : NULL;

	if (room && protobuf_c_message_pack(message, room) != size)
		assert(!"a message has one size");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/snappy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <snappy-c.h>

#include "base/cleanup.h"
#include "base/limits.h"

enum {
	HEAD_SIZE = 4, /* of a frame: its kind, and its size in 24 bits */
	SUM_SIZE = 4,
	PLAIN_SIZE_MAX = 65536,	 /* of a frame */
	PACKED_SIZE_MAX = 76490, /* of so much, at worst */

	FRAME_PACKED = 0x00,
	FRAME_PLAIN = 0x01,
	FRAME_RESERVED_LAST = 0x7f, /* from 2 on: may not be passed over */
	FRAME_BEGIN = 0xff,
};

static const uint8_t beginning[] = { FRAME_BEGIN, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y' };

static uint32_t sum_of_byte(uint32_t sum, uint8_t byte)
{
	static const uint32_t polynomial = 0x82f63b78; /* CRC-32C, its bits reversed */

	sum ^= byte;
	for (int bit = 0; bit < 8; bit++)
		sum = sum >> 1 ^ (sum & 1 ? polynomial : 0);
	return sum;
}

/* CRC-32C as frames have it: turned, so that sums of sums stay sums. */
static uint32_t masked_sum(const uint8_t *bytes, size_t size)
{
	uint32_t table[256];
	uint32_t sum = UINT32_MAX;

	for (unsigned i = 0; i < 256; i++)
		table[i] = sum_of_byte(0, (uint8_t)i);
	for (size_t i = 0; i < size; i++)
		sum = sum >> 8 ^ table[(uint8_t)sum ^ bytes[i]];
	sum = ~sum;
	return (sum >> 15 | sum << 17) + 0xa282ead8;
}

static uint32_t little_endian(const uint8_t *bytes, size_t size)
{
	uint32_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint32_t)bytes[i] << 8 * i;
	return value;
}

/* One whole frame of a kind that counts. */
static int take_frame(struct snappy *snappy, uint8_t kind, const uint8_t *bytes, size_t size,
		      request_sink *take, void *context)
{
	const char *plain = (const char *)bytes + SUM_SIZE;
	size_t plain_size = size - SUM_SIZE;

	if (kind == FRAME_BEGIN)
		return size == sizeof(beginning) - HEAD_SIZE &&
				       !memcmp(bytes, beginning + HEAD_SIZE, size)
			       ? 0
			       : -EBADMSG;
	if (size < SUM_SIZE)
		return -EBADMSG;
	if (kind == FRAME_PACKED) {
		size_t packed_size = plain_size;

		if (!snappy->room)
			snappy->room = malloc(PLAIN_SIZE_MAX);
		if (!snappy->room)
			return -ENOMEM;
		plain_size = PLAIN_SIZE_MAX;
		if (snappy_uncompress(plain, packed_size, snappy->room, &plain_size) != SNAPPY_OK)
			return -EBADMSG;
		plain = snappy->room;
	}
	if (plain_size > PLAIN_SIZE_MAX ||
	    masked_sum((const uint8_t *)plain, plain_size) != little_endian(bytes, SUM_SIZE))
		return -EBADMSG;
	return plain_size > 0 ? take(context, plain, plain_size) : 0;
}

static bool is_skipped(uint8_t kind)
{
	return kind > FRAME_RESERVED_LAST && kind != FRAME_BEGIN;
}

/* What is held and whole; moves the rest to the front. */
static int take_frames(struct snappy *snappy, request_sink *take, void *context)
{
	struct buf *held = &snappy->held;
	size_t next = 0;
	int err = 0;

	while (!err && held->size - next >= HEAD_SIZE) {
		const uint8_t *head = held->bytes + next;
		size_t size = little_endian(head + 1, 3);
		size_t here = held->size - next - HEAD_SIZE;

		if (is_skipped(head[0])) {
			size_t some = size < here ? size : here;

			snappy->skip = size - some;
			next += HEAD_SIZE + some;
			continue;
		}
		if ((head[0] > FRAME_PLAIN && head[0] <= FRAME_RESERVED_LAST) ||
		    size > PACKED_SIZE_MAX + SUM_SIZE)
			err = -EBADMSG;
		if (err || here < size)
			break;
		err = take_frame(snappy, head[0], head + HEAD_SIZE, size, take, context);
		next += HEAD_SIZE + size;
	}
	if (next > 0)
		memmove(held->bytes, held->bytes + next, held->size - next);
	held->size -= next;
	return err;
}

/* 0 as long as too little is here to tell. */
static int find_shape(struct snappy *snappy)
{
	const struct buf *held = &snappy->held;
	size_t known = held->size < sizeof(beginning) ? held->size : sizeof(beginning);

	if (known > 0 && memcmp(held->bytes, beginning, known) != 0)
		snappy->shape = SNAPPY_BLOCK;
	else if (known == sizeof(beginning))
		snappy->shape = SNAPPY_FRAMES;
	return snappy->shape == SNAPPY_BLOCK && snappy->is_framed ? -EBADMSG : 0;
}

int snappy_add(struct snappy *snappy, const void *bytes, size_t size, request_sink *take,
	       void *context)
{
	const uint8_t *next = bytes;
	size_t skipped = snappy->skip < size ? snappy->skip : size;
	int err = 0;

	next += skipped;
	size -= skipped;
	snappy->skip -= skipped;
	buf_add(&snappy->held, next, size);
	if (snappy->held.error)
		return snappy->held.error == -EFBIG ? -E2BIG : snappy->held.error;
	if (snappy->shape == SNAPPY_UNKNOWN)
		err = find_shape(snappy);
	if (!err && snappy->shape == SNAPPY_FRAMES)
		err = take_frames(snappy, take, context);
	return err;
}

static int take_block(struct snappy *snappy, request_sink *take, void *context)
{
	const char *packed = (const char *)snappy->held.bytes;
	size_t packed_size = snappy->held.size;
	size_t size = 0;
	autofree char *plain = NULL;

	if (snappy_uncompressed_length(packed, packed_size, &size) != SNAPPY_OK)
		return -EBADMSG;
	/* Before so much is taken: the length is a stranger's. */
	if (size > CODING_BLOCK_SIZE_MAX || size / REQUEST_RATIO_MAX > packed_size)
		return -E2BIG;
	plain = malloc(size ? size : 1);
	if (!plain)
		return -ENOMEM;
	if (snappy_uncompress(packed, packed_size, plain, &size) != SNAPPY_OK)
		return -EBADMSG;
	return size > 0 ? take(context, plain, size) : 0;
}

int snappy_end(struct snappy *snappy, request_sink *take, void *context)
{
	/* A block may be shorter than what begins frames, and never equals its front. */
	if (snappy->shape == SNAPPY_BLOCK)
		return take_block(snappy, take, context);
	return snappy->held.size == 0 && snappy->skip == 0 ? 0 : -EBADMSG;
}

void snappy_done(struct snappy *snappy)
{
	buf_done(&snappy->held);
	free(snappy->room);
	snappy->room = NULL;
}

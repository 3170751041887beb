/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "web/request.h"

/*
 * Unpacks snappy's frames or one block of it, whichever the first bytes say; plain ones go to a
 * sink. Frames are given on one by one. A block is kept until it is whole.
 *
 * https://github.com/google/snappy, framing_format.txt and format_description.txt
 */
enum snappy_shape {
	SNAPPY_UNKNOWN = 0,
	SNAPPY_FRAMES,
	SNAPPY_BLOCK,
};

struct snappy {
	enum snappy_shape shape;
	bool is_framed;	 /* it must be */
	struct buf held; /* of the frame that is not whole yet, or of the block */
	char *room;	 /* for what a frame unpacks to: threads of civetweb have small stacks */
	size_t skip;	 /* bytes of a frame that nobody needs */
};

#define SNAPPY(must_be_framed)                                                                     \
	((struct snappy){ .is_framed = (must_be_framed), .held = BUF(CODING_BLOCK_SIZE_MAX) })

/* As coding_add() and coding_end(). */
int snappy_add(struct snappy *snappy, const void *bytes, size_t size, request_sink *take,
	       void *context);
int snappy_end(struct snappy *snappy, request_sink *take, void *context);
void snappy_done(struct snappy *snappy);

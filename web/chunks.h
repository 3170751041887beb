/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Finds where a body in chunks ends (RFC 9112 7.1), without changing it. Sizes are hexadecimal
 * digits and nothing else: extensions and trailers, which nobody sends, are refused.
 */
struct chunks {
	int state;
	unsigned digits;
	uint64_t left; /* of the chunk */
	bool is_ended;
};

/* How many of these bytes are of the body; fewer than size only at its end. -EBADMSG. */
int64_t chunks_scan(struct chunks *chunks, const uint8_t *bytes, size_t size);

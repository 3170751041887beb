/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* Bytes as letters. https://www.rfc-editor.org/rfc/rfc4648 */
void base64_encode(const void *bytes, size_t size, bool is_padded, struct buf *text);

/* Of a text of that size: room enough for what it says. */
static inline size_t base64_room(size_t text_size)
{
	return text_size / 4 * 3 + 3;
}

/*
 * What the text says, of both alphabets, padded or not, as proto3's JSON wants it; bytes has
 * base64_room(). -EBADMSG for what is none.
 */
int base64_decode(struct str text, uint8_t *bytes, size_t *ret_size);

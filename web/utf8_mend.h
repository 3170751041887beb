/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/*
 * Adds the text to the buf; each byte that is no part of UTF-8 becomes U+FFFD, which takes three.
 * buf->error tells of lack of memory or room.
 */
void utf8_mend(struct str text, struct buf *buf);

/* The end of the text, of size_max bytes at most, without half a character in front. */
struct str utf8_end(struct str text, size_t size_max);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/span.h"

/*
 * Settling: the windows of a finished segment become a tree and blocks for each service, in
 * preorder, and the windows go. Nothing is lost by it: which second, which process and thread, and
 * which 20 ms are columns of the blocks.
 *
 * Reads the windows from the file, so that it does not matter whether the segment was ended by us
 * or by a crash. live: the segment as it is in memory, where its tree need not be unpacked; NULL.
 * Within the caller's transaction. -EFBIG: more than fits, the windows should stay.
 */
int settle_segment(struct span *span, const struct segment_row *row, const struct segment *live);

/* About what that takes. */
uint64_t settle_memory(const struct segment_row *row, const struct segment *live);

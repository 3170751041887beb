/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "web/request.h"

/*
 * Undoes a body's coding as its bytes come, and gives what it unpacks to on, in pieces. One thread.
 *
 * gzip, deflate (zlib's format, which HTTP calls so; "zlib" too), zstd, lz4 (its frames), snappy,
 * and none: "identity", or "". Snappy comes in frames from gRPC and as one block from some by HTTP;
 * the first bytes tell which. "x-snappy-framed" is frames alone.
 */
struct coding;

#define CODING_NAMES "gzip, zstd, deflate, snappy and lz4"

/* By the name that a header has, without case. -EOPNOTSUPP for another one; -ENOMEM. */
int coding_new(struct str name, request_sink *take, void *context, struct coding **ret);
struct coding *coding_free(struct coding *coding);

/*
 * -EBADMSG for what is not of this coding, -E2BIG for a bomb (REQUEST_RATIO_MAX) and for a block
 * that would be too large (CODING_BLOCK_SIZE_MAX), -ENOMEM, or what the sink failed with. Nothing
 * is added afterwards.
 */
int coding_add(struct coding *coding, const void *bytes, size_t size);

/* No more comes: -EBADMSG when something is missing. A body without a byte is whole. */
int coding_end(struct coding *coding);

DEFINE_CLEANUP(struct coding *, coding, coding_free)

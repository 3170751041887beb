/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/request.h"

/* Whether the client takes gzip: "gzip" among the codings it accepts, or any. */
bool compression_takes_gzip(const struct request *request);

/* Packs what is in the buf, as a file of gzip. -ENOMEM, or -EFBIG beyond its limit. */
int compression_gzip(struct buf *buf);

/* Whether it begins as a file of gzip does; as one of gzip, or of LZ4. */
bool compression_is_gzip(struct str bytes);
bool compression_is_packed(struct str bytes);

/*
 * Unpacks a file of gzip, several members too, to the end of the buf. -EBADMSG for what is none or
 * is cut short, -E2BIG beyond the buf's limit, -ENOMEM.
 */
int compression_gunzip(struct str packed, struct buf *buf);

/*
 * The same in pieces, of LZ4, too, to whoever takes them and fails with -E2BIG when it has enough.
 */
int compression_unpack(struct str packed, request_sink *take, void *context);

/*
 * Packs the reply's body when it is worth it: with zstd when the client names that, since it takes
 * a third of the time, else with gzip. What is small, or packed already, stays as it is, and so
 * does everything without memory for it.
 */
void reply_compress(const struct request *request, struct reply *reply);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/request.h"

/* Whether the client takes gzip: "gzip" among the codings it accepts, or any. */
bool compression_takes_gzip(const struct request *request);

/* Packs what is in the buf, as a file of gzip. -ENOMEM, or -EFBIG beyond its limit. */
int compression_gzip(struct buf *buf);

/*
 * Packs the reply's body with gzip when the client takes that and it is worth it: what is small, or
 * packed already, stays as it is, and so does everything without memory for it.
 */
void reply_compress(const struct request *request, struct reply *reply);

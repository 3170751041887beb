/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "web/otlp_reader.h"

/*
 * A request in OTLP's JSON as bytes of the same revision, which its names tell, for otlp_read().
 * Names are lowerCamelCase or snake_case, and may be those of before; ids are hexadecimal, or
 * base64 from senders that know no better; numbers may be texts. What has no place is left out.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 *
 * -EBADMSG with a sentence, -E2BIG beyond the buf's limit, -ENOMEM.
 */
int otlp_json_encode(struct str text, struct buf *bytes, enum otlp_revision *ret_revision,
		     char reterr[static OTLP_ERROR_SIZE]);

/* SPDX-License-Identifier: Apache-2.0 */
/* A form: its content type up to the first zero, then the body. Parts lie within it, in order. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "web/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *end = size ? memchr(bytes, 0, size) : NULL;
	struct multipart_part part;
	struct multipart form;
	int more;

	if (!end)
		return 0;

	struct str type = { (const char *)bytes, (size_t)(end - bytes) };
	struct str body = { (const char *)end + 1, size - type.size - 1 };
	const char *next = body.text;

	if (!multipart_begin(&form, type, body))
		return 0;
	while ((more = multipart_next(&form, &part)) > 0) {
		assert(part.bytes.text >= next);
		next = part.bytes.text + part.bytes.size;
		assert(next <= body.text + body.size);
	}
	assert(more == 0 || more == -EBADMSG);
	return 0;
}

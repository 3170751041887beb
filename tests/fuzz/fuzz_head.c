/* SPDX-License-Identifier: Apache-2.0 */
/* What the front makes of the first bytes of HTTP/1.1: heads and chunks, whole and in two pieces.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/limits.h"
#include "web/chunks.h"
#include "web/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void try_head(const uint8_t *bytes, size_t size)
{
	struct head whole, part, again;
	enum head_state state = head_read(bytes, size, 0, &whole);
	size_t cut = size / 2;

	if (state == HEAD_WHOLE) {
		assert(whole.size <= size && whole.size <= REQUEST_HEAD_SIZE_MAX);
		assert(memcmp(bytes + whole.size - 4, "\r\n\r\n", 4) == 0);
		assert(!memchr(bytes, '\0', whole.size));
		assert((whole.body == HEAD_BODY_LENGTH) == (whole.body_size > 0));
	} else if (state == HEAD_REFUSED) {
		assert(whole.status >= 400 && whole.why);
	}
	if (head_read(bytes, cut, 0, &part) != HEAD_UNFINISHED)
		return;
	assert(head_read(bytes, size, cut, &again) == state);
	assert(again.size == whole.size && again.body_size == whole.body_size);
}

static void try_chunks(const uint8_t *bytes, size_t size)
{
	struct chunks whole = { .state = 0 };
	struct chunks pieces = { .state = 0 };
	int64_t count = chunks_scan(&whole, bytes, size);
	size_t cut = size / 3;
	int64_t first = chunks_scan(&pieces, bytes, cut);

	assert(count <= (int64_t)size);
	assert(count == (int64_t)size || count < 0 || whole.is_ended);
	if (first < 0 || pieces.is_ended)
		return;

	int64_t second = chunks_scan(&pieces, bytes + cut, size - cut);

	assert(count < 0 ? second < 0 : first + second == count);
	assert(whole.is_ended == pieces.is_ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	try_head(bytes, size);
	try_chunks(bytes, size);
	return 0;
}

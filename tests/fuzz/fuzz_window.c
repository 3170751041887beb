/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/window.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What is accepted keeps the rules that the encoder asserts, and comes back the same. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(window) struct window *window = NULL;

	if (window_decode(bytes, size, &window))
		return 0;

	autoclean(buf) struct buf buf = BUF(WINDOW_SIZE_MAX);
	autoclean(window) struct window *again = NULL;

	window_encode(window, &buf);
	assert(!buf.error);

	int err = window_decode(buf.bytes, buf.size, &again);

	assert(!err && again->sample_count == window->sample_count);
	return 0;
}

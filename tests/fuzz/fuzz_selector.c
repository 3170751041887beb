/* SPDX-License-Identifier: Apache-2.0 */
/* A selector, and a value that it is asked about: what stands behind the first line break. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "store/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct str same_for_all(const void *context, struct str name)
{
	(void)name;
	return *(const struct str *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char error[SELECTOR_ERROR_SIZE];
	const uint8_t *end = size ? memchr(bytes, '\n', size) : NULL;
	struct str text = { (const char *)bytes, end ? (size_t)(end - bytes) : size };
	struct str value = { end ? (const char *)end + 1 : NULL, end ? size - text.size - 1 : 0 };
	struct selector *selector = NULL;
	int err = selector_parse(text, &selector, error);

	if (err) {
		assert(!selector && error[0] && strlen(error) < sizeof(error));
		return 0;
	}

	size_t count = selector_count(selector);
	bool matches = selector_matches(selector, same_for_all, &value);

	assert(count > 0 || matches);
	/* Twice the same is the same, and what is wrong leaves nothing behind. */
	err = selector_add(selector, text, error);
	assert(err || selector_count(selector) == 2 * count);
	assert(!err || selector_count(selector) == count);
	assert(selector_matches(selector, same_for_all, &value) == matches);
	err = selector_add(selector, STR("{a=\"b\",c"), error);
	assert(err);
	assert(selector_matches(selector, same_for_all, &value) == matches);
	selector_free(selector);
	return 0;
}

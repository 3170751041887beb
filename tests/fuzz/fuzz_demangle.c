/* SPDX-License-Identifier: Apache-2.0 */
/* A name out of somebody's symbol table. */
#include <assert.h>
#include <stdint.h>

#include "symbols/demangle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char text[DEMANGLE_TEXT_SIZE_MAX];
	struct str name = demangle((struct str){ (const char *)bytes, size }, text);

	assert(name.text == text ? name.size > 0 && name.size <= sizeof(text)
				 : name.text == (const char *)bytes && name.size == size);
	return 0;
}

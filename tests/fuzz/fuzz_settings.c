/* SPDX-License-Identifier: Apache-2.0 */
/* A file of settings: what is taken from it is shown as a file that says the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/settings_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Without where it was said. */
static void show_values(const struct settings *settings, struct buf *text)
{
	struct settings plain = *settings;

	memset(plain.sources, 0, sizeof(plain.sources));
	memset(plain.rules.sources, 0, sizeof(plain.rules.sources));
	settings_show(&plain, text);
	assert(!text->error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(buf) struct buf errors = BUF(1 << 20);
	autoclean(buf) struct buf shown = BUF(1 << 20);
	autoclean(buf) struct buf again = BUF(1 << 20);
	struct settings settings;
	unsigned count;

	settings_defaults(&settings);
	count = settings_read(&settings, "fuzz", (struct str){ (const char *)bytes, size },
			      &errors);
	assert((count > 0) == (errors.size > 0));
	assert(settings.file_count == 1 && settings.frequency_hz >= 1);

	show_values(&settings, &shown);
	/* A quote can't be shown within quotes; a value that holds one has come without. */
	if (memmem(shown.bytes, shown.size, "\"", 1))
		return 0;
	settings_defaults(&settings);
	buf_clear(&errors);
	count = settings_read(&settings, "shown", (struct str){ (char *)shown.bytes, shown.size },
			      &errors);
	assert(count == 0);
	show_values(&settings, &again);
	assert(shown.size == again.size && !memcmp(shown.bytes, again.bytes, shown.size));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/utf8_mend.h"

#include "base/utf8.h"

void utf8_mend(struct str text, struct buf *buf)
{
	for (size_t i = 0; i < text.size;) {
		size_t size = utf8_size((const uint8_t *)text.text + i, text.size - i);

		if (size > 0)
			buf_add(buf, text.text + i, size);
		else
			buf_add_str(buf, STR("\xef\xbf\xbd"));
		i += size > 0 ? size : 1;
	}
}

struct str utf8_end(struct str text, size_t size_max)
{
	size_t start = text.size > size_max ? text.size - size_max : 0;

	while (start > 0 && start < text.size && utf8_is_continuation((uint8_t)text.text[start]))
		start++;
	return (struct str){ text.text + start, text.size - start };
}

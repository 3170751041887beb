/* SPDX-License-Identifier: Apache-2.0 */
#include "web/base64.h"

#include <errno.h>

void base64_encode(const void *bytes, size_t size, bool is_padded, struct buf *text)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";
	const uint8_t *next = bytes;

	for (size_t i = 0; i < size; i += 3) {
		size_t count = size - i < 3 ? size - i : 3;
		uint32_t bits = (uint32_t)next[i] << 16;

		bits |= count > 1 ? (uint32_t)next[i + 1] << 8 : 0;
		bits |= count > 2 ? next[i + 2] : 0;
		for (size_t k = 0; k < 4; k++) {
			if (k <= count)
				buf_add_u8(text, (uint8_t)letters[bits >> (18 - 6 * k) & 63]);
			else if (is_padded)
				buf_add_u8(text, '=');
		}
	}
}

static int letter_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(struct str text, uint8_t *bytes, size_t *ret_size)
{
	uint32_t bits = 0;
	size_t size = 0;
	size_t count = 0;

	/* Padding fills up the last four, no more. */
	for (int i = 0; i < 2 && text.size % 4 == (size_t)(i ? 3 : 0) && text.size > 0; i++)
		if (text.text[text.size - 1] == '=')
			text.size--;
	if (text.size % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < text.size; i++) {
		int value = letter_value(text.text[i]);

		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)value;
		if (++count % 4 == 0) {
			bytes[size++] = (uint8_t)(bits >> 16);
			bytes[size++] = (uint8_t)(bits >> 8);
			bytes[size++] = (uint8_t)bits;
		}
	}
	if (count % 4 >= 2)
		bytes[size++] = (uint8_t)(bits >> (count % 4 == 2 ? 4 : 10));
	if (count % 4 == 3)
		bytes[size++] = (uint8_t)(bits >> 2);
	*ret_size = size;
	return 0;
}

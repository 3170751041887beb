/* SPDX-License-Identifier: Apache-2.0 */
#include "web/chunks.h"

#include <assert.h>
#include <errno.h>

enum { DIGITS_MAX = 8 };

enum state {
	STATE_SIZE = 0,
	STATE_SIZE_LF,
	STATE_BYTES,
	STATE_BYTES_CR,
	STATE_BYTES_LF,
	STATE_END_CR,
	STATE_END_LF,
};

static int digit_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int read_size(struct chunks *chunks, uint8_t c)
{
	int value = digit_value(c);

	if (value >= 0 && chunks->digits < DIGITS_MAX) {
		chunks->digits++;
		chunks->left = chunks->left << 4 | (uint64_t)value;
		return 0;
	}
	if (c != '\r' || chunks->digits == 0)
		return -EBADMSG;
	chunks->state = STATE_SIZE_LF;
	return 0;
}

static int expect(struct chunks *chunks, uint8_t c, char wanted, enum state next)
{
	if (c != (uint8_t)wanted)
		return -EBADMSG;
	chunks->state = next;
	return 0;
}

static int step(struct chunks *chunks, uint8_t c)
{
	switch ((enum state)chunks->state) {
	case STATE_SIZE:
		return read_size(chunks, c);
	case STATE_SIZE_LF:
		chunks->digits = 0;
		return expect(chunks, c, '\n', chunks->left > 0 ? STATE_BYTES : STATE_END_CR);
	case STATE_BYTES_CR:
		return expect(chunks, c, '\r', STATE_BYTES_LF);
	case STATE_BYTES_LF:
		return expect(chunks, c, '\n', STATE_SIZE);
	case STATE_END_CR:
		return expect(chunks, c, '\r', STATE_END_LF);
	case STATE_END_LF:
		chunks->is_ended = c == '\n';
		return chunks->is_ended ? 0 : -EBADMSG;
	case STATE_BYTES:
		break;
	}
	assert(!"bytes are taken at once");
	return -EBADMSG;
}

int64_t chunks_scan(struct chunks *chunks, const uint8_t *bytes, size_t size)
{
	size_t i = 0;

	assert(!chunks->is_ended || size == 0);
	while (i < size && !chunks->is_ended) {
		if (chunks->state == STATE_BYTES) {
			size_t more = size - i < chunks->left ? size - i : (size_t)chunks->left;

			i += more;
			chunks->left -= more;
			if (chunks->left == 0)
				chunks->state = STATE_BYTES_CR;
		} else if (step(chunks, bytes[i++])) {
			return -EBADMSG;
		}
	}
	return (int64_t)i;
}

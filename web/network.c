/* SPDX-License-Identifier: Apache-2.0 */
#include "web/network.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/parse.h"

enum { FOUR_OFFSET = 12, FOUR_BITS = 32, ALL_BITS = 128 };

static const uint8_t four_prefix[FOUR_OFFSET] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_four(const struct network_address *address)
{
	return memcmp(address->bytes, four_prefix, sizeof(four_prefix)) == 0;
}

bool network_address_parse(struct str text, struct network_address *ret)
{
	char copy[NETWORK_TEXT_SIZE];

	if (text.size >= 2 && text.text[0] == '[' && text.text[text.size - 1] == ']') {
		text = (struct str){ text.text + 1, text.size - 2 };
		if (!memchr(text.text, ':', text.size))
			return false;
	}
	if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.text, '\0', text.size))
		return false;
	memcpy(copy, text.text, text.size);
	copy[text.size] = '\0';
	if (inet_pton(AF_INET6, copy, ret->bytes) == 1)
		return true;
	memcpy(ret->bytes, four_prefix, sizeof(four_prefix));
	return inet_pton(AF_INET, copy, ret->bytes + FOUR_OFFSET) == 1;
}

void network_address_print(const struct network_address *address,
			   char ret[static NETWORK_TEXT_SIZE])
{
	bool four = is_four(address);
	const char *text =
		inet_ntop(four ? AF_INET : AF_INET6, address->bytes + (four ? FOUR_OFFSET : 0), ret,
			  NETWORK_TEXT_SIZE);

	assert(text == ret);
}

bool network_address_is_loopback(const struct network_address *address)
{
	static const struct network_address six = { .bytes = { [15] = 1 } };

	return is_four(address) ? address->bytes[FOUR_OFFSET] == 127
				: memcmp(address, &six, sizeof(six)) == 0;
}

static struct str trimmed(struct str text)
{
	while (text.size > 0 && text.text[0] == ' ')
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && text.text[text.size - 1] == ' ')
		text.size--;
	return text;
}

static bool parse_range(struct str text, struct network_address *ret_first, unsigned *ret_bits)
{
	struct str address;
	uint64_t bits = ALL_BITS;

	if (!parse_next(&text, '/', &address) || !network_address_parse(address, ret_first))
		return false;

	bool four = is_four(ret_first);

	if (text.size > 0) {
		if (parse_u64(text, &bits) || bits > (four ? FOUR_BITS : ALL_BITS))
			return false;
		bits += four ? ALL_BITS - FOUR_BITS : 0;
	}
	*ret_bits = (unsigned)bits;
	return true;
}

int network_ranges_parse(struct str text, struct network_ranges *ret,
			 char reterr[static NETWORK_ERROR_SIZE])
{
	struct str item;

	*ret = (struct network_ranges){ .count = 0 };
	while (parse_next(&text, ',', &item)) {
		item = trimmed(item);
		if (item.size == 0)
			continue;
		if (ret->count == NETWORK_RANGE_COUNT_MAX) {
			snprintf(reterr, NETWORK_ERROR_SIZE, "there are more than %d ranges",
				 NETWORK_RANGE_COUNT_MAX);
			return -E2BIG;
		}
		if (!parse_range(item, &ret->items[ret->count].first,
				 &ret->items[ret->count].bits)) {
			snprintf(reterr, NETWORK_ERROR_SIZE,
				 "'%.*s' is no address or range, such as 127.0.0.1 or 10.0.0.0/8",
				 (int)(item.size < 60 ? item.size : 60), item.text);
			return -EINVAL;
		}
		ret->count++;
	}
	return 0;
}

bool network_ranges_hold(const struct network_ranges *ranges, const struct network_address *address)
{
	for (size_t i = 0; i < ranges->count; i++) {
		const uint8_t *first = ranges->items[i].first.bytes;
		unsigned whole = ranges->items[i].bits / 8;
		unsigned rest = ranges->items[i].bits % 8;

		assert(whole <= sizeof(address->bytes));
		if (memcmp(first, address->bytes, whole) == 0 &&
		    (rest == 0 || (first[whole] ^ address->bytes[whole]) >> (8 - rest) == 0))
			return true;
	}
	return false;
}

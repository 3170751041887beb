/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/str.h"

/* An IP address, and ranges of them. IPv4 is kept as IPv6 writes it, ::ffff:a.b.c.d. */
struct network_address {
	uint8_t bytes[16];
};

enum { NETWORK_TEXT_SIZE = 48, NETWORK_ERROR_SIZE = 192 };

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]"; false for all else, names included. */
bool network_address_parse(struct str text, struct network_address *ret);

void network_address_print(const struct network_address *address,
			   char ret[static NETWORK_TEXT_SIZE]);

/* 127.0.0.0/8 and ::1. */
bool network_address_is_loopback(const struct network_address *address);

struct network_ranges {
	struct {
		struct network_address first;
		unsigned bits; /* of 128 that count */
	} items[NETWORK_RANGE_COUNT_MAX];
	size_t count;
};

/*
 * "127.0.0.1, 10.0.0.0/8, 2001:db8::/32". -EINVAL with the item in reterr, -E2BIG for more than
 * NETWORK_RANGE_COUNT_MAX.
 */
int network_ranges_parse(struct str text, struct network_ranges *ret,
			 char reterr[static NETWORK_ERROR_SIZE]);

bool network_ranges_hold(const struct network_ranges *ranges,
			 const struct network_address *address);

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"

bool tier_is_long(void)
{
	const char *text = getenv("HEARTH_LONG");

	return text && strcmp(text, "1") == 0;
}

uint64_t tier_number(const char *variable, uint64_t usual, uint64_t when_long)
{
	const char *text = getenv(variable);
	uint64_t value;

	if (text && parse_u64(str_from(text), &value) == 0)
		return value;
	return tier_is_long() ? when_long : usual;
}

uint64_t tier_seed(void)
{
	uint64_t now = (uint64_t)clock_unix_ns();
	uint64_t seed = tier_number("HEARTH_SEED", now, now);

	printf("# HEARTH_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/profile_id.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"

enum {
	DASH_COUNT = 4,
	VERSION = 8,
	VARIANT = 2, /* of RFC 9562, in two bits */
	HASH_HIGH_BITS = 12,
	HASH_LOW_BITS = 52,
	PADDING_BITS = 10, /* zero, between variant and hash */
};

void profile_id_write(struct profile_key key, char text[static PROFILE_ID_SIZE + 1])
{
	uint64_t time = (uint64_t)key.time_ms & ((UINT64_C(1) << 48) - 1);
	uint64_t hash_low = key.series & ((UINT64_C(1) << HASH_LOW_BITS) - 1);
	uint64_t low = (uint64_t)VARIANT << 62 | hash_low;
	unsigned version = VERSION << HASH_HIGH_BITS | (unsigned)(key.series >> HASH_LOW_BITS);
	int size =
		snprintf(text, PROFILE_ID_SIZE + 1,
			 "%08" PRIx64 "-%04" PRIx64 "-%04x-%04" PRIx64 "-%012" PRIx64, time >> 16,
			 time & 0xffff, version, low >> 48, low & ((UINT64_C(1) << 48) - 1));

	static_assert(HASH_HIGH_BITS + HASH_LOW_BITS == 64, "all of the hash");
	static_assert(2 + PADDING_BITS + HASH_LOW_BITS == 64, "the second half of the id");
	assert(size == PROFILE_ID_SIZE);
	(void)size;
}

bool profile_id_read(struct str text, struct profile_key *ret)
{
	static const size_t sizes[] = { 8, 4, 4, 4, 12 };
	uint64_t parts[DASH_COUNT + 1];
	size_t at = 0;

	if (text.size != PROFILE_ID_SIZE)
		return false;
	for (size_t i = 0; i <= DASH_COUNT; i++) {
		if (parse_hex((struct str){ text.text + at, sizes[i] }, &parts[i]))
			return false;
		at += sizes[i];
		if (i < DASH_COUNT && text.text[at++] != '-')
			return false;
	}

	uint64_t low = parts[3] << 48 | parts[4];
	uint64_t hash_low = low & ((UINT64_C(1) << HASH_LOW_BITS) - 1);
	bool is_ours = parts[2] >> HASH_HIGH_BITS == VERSION &&
		       low >> HASH_LOW_BITS == (uint64_t)VARIANT << PADDING_BITS;

	/* No profile is from before the epoch. */
	*ret = (struct profile_key){
		.time_ms = is_ours ? (int64_t)(parts[0] << 16 | parts[1]) : -1,
		.series = (parts[2] & 0xfff) << HASH_LOW_BITS | hash_low,
	};
	return true;
}

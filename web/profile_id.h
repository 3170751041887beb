/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "store/store.h"

/*
 * A profile's id as clients see it, a UUID. It is made of what a profile is, its time and its
 * series, so that none has to be stored, and found by that: version 8 of RFC 9562, 48 bits of
 * milliseconds and the hash of the series. Any other UUID is that of no profile.
 */
enum { PROFILE_ID_SIZE = 36 };

/* Ended by a NUL. */
void profile_id_write(struct profile_key key, char text[static PROFILE_ID_SIZE + 1]);

/* False for what is no UUID; a UUID that was not made here names a profile that is not there. */
bool profile_id_read(struct str text, struct profile_key *ret);

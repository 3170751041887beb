/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"

/*
 * A profile type id: NAME:SAMPLE_TYPE:SAMPLE_UNIT:PERIOD_TYPE:PERIOD_UNIT, parts may be empty. A
 * sixth part, which older clients send (":delta"), means nothing.
 */
enum { PROFILE_TYPE_PART_COUNT = 5 };

enum profile_type_part {
	PROFILE_TYPE_NAME = 0,
	PROFILE_TYPE_SAMPLE_TYPE = 1,
	PROFILE_TYPE_SAMPLE_UNIT = 2,
	PROFILE_TYPE_PERIOD_TYPE = 3,
	PROFILE_TYPE_PERIOD_UNIT = 4,
};

struct profile_type {
	struct str id; /* the five parts; a slice of what was parsed, as are these: */
	struct str parts[PROFILE_TYPE_PART_COUNT];
};

#define PROFILE_TYPE_CPU STR("process_cpu:cpu:nanoseconds:cpu:nanoseconds")

/* What a wrong id should have been. */
#define PROFILE_TYPE_FORM "<name>:<sample-type>:<sample-unit>:<period-type>:<period-unit>(:delta)"

/* -EINVAL. *ret_count, which may be NULL, is how many parts there are, for the message. */
int profile_type_parse(struct str text, struct profile_type *ret, unsigned *ret_count);

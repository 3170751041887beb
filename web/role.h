/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/* What somebody may do; each may also do what stands before it. */
enum role {
	ROLE_NOBODY = 0, /* health only */
	ROLE_READER = 1,
	ROLE_WRITER = 2, /* brings profiles in, changes settings, asks for work */
	ROLE_ADMIN = 3,	 /* deletes, backs up */
	ROLE_COUNT,
};

/* "nobody", "read", "write", "admin": as tokens and settings say it. */
const char *role_name(enum role role);

/* One of the last three; false for all else. */
bool role_parse(struct str text, enum role *ret);

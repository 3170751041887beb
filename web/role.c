/* SPDX-License-Identifier: Apache-2.0 */
#include "web/role.h"

#include <assert.h>

static const char *const names[ROLE_COUNT] = {
	[ROLE_NOBODY] = "nobody",
	[ROLE_READER] = "read",
	[ROLE_WRITER] = "write",
	[ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
	assert(role < ROLE_COUNT);
	return names[role];
}

bool role_parse(struct str text, enum role *ret)
{
	for (int role = ROLE_READER; role < ROLE_COUNT; role++) {
		if (!str_equal(text, str_from(names[role])))
			continue;
		*ret = (enum role)role;
		return true;
	}
	return false;
}

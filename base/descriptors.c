/* SPDX-License-Identifier: Apache-2.0 */
#include "base/descriptors.h"

#include <sys/resource.h>

/* Of a host that does not say. */
#define USUAL_COUNT 1024

size_t descriptors_raise(size_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return wanted < USUAL_COUNT ? wanted : USUAL_COUNT;
	if (limit.rlim_cur < wanted) {
		rlim_t now = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : (rlim_t)wanted;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			limit.rlim_cur = now;
	}
	return limit.rlim_cur < wanted ? (size_t)limit.rlim_cur : wanted;
}

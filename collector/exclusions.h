/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/settings.h"

/*
 * Whom the settings exclude (exclude-users, exclude-processes, exclude-cgroups). Samples of theirs
 * are counted and end here: no name, stack or time of them leaves the collector.
 *
 * Lists are parted by commas. Users are names or numbers. Processes are patterns of fnmatch(3) for
 * the name of the executable or what the process calls itself (comm). A cgroup that begins with '/'
 * stands for itself and all below it; one that does not is a pattern for any folder on the way:
 * ssh.service, docker-*.scope.
 */
struct exclusions;

enum { EXCLUSIONS_ERROR_SIZE = 256, EXCLUSIONS_COUNT_MAX = 64 };

/* *ret is NULL when nobody is excluded. -EINVAL with what is wrong with which setting in reterr,
 * also for a user whom this host does not know; -E2BIG; -ENOMEM. */
int exclusions_new(const struct settings *settings, struct exclusions **ret,
		   char reterr[static EXCLUSIONS_ERROR_SIZE]);
struct exclusions *exclusions_free(struct exclusions *exclusions);

/* exclusions may be NULL, and so may texts: not known. */
bool exclusions_have_user(const struct exclusions *exclusions, uint32_t uid);
bool exclusions_have_process(const struct exclusions *exclusions, const char *name,
			     const char *comm, const char *cgroup);

DEFINE_CLEANUP(struct exclusions *, exclusions, exclusions_free)

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/exclusions.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

struct list {
	const char *items[EXCLUSIONS_COUNT_MAX]; /* in the exclusions' copy of the text */
	unsigned count;
	char text[SETTING_TEXT_SIZE];
};

struct exclusions {
	uint32_t uids[EXCLUSIONS_COUNT_MAX];
	unsigned uid_count;
	struct list processes, cgroups;
};

/* Spaces around a name are none of it, and an empty one says nothing. */
static int split(struct list *list, const char *text)
{
	char *rest = list->text, *item;

	snprintf(list->text, sizeof(list->text), "%s", text);
	while ((item = strsep(&rest, ",")) != NULL) {
		item += strspn(item, " \t");

		size_t size = strlen(item);

		while (size > 0 && (item[size - 1] == ' ' || item[size - 1] == '\t'))
			item[--size] = '\0';
		if (size == 0)
			continue;
		if (list->count == EXCLUSIONS_COUNT_MAX)
			return -E2BIG;
		list->items[list->count++] = item;
	}
	return 0;
}

static int find_users(struct exclusions *exclusions, const char *text,
		      char reterr[static EXCLUSIONS_ERROR_SIZE])
{
	struct list names = { .count = 0 };
	int err = split(&names, text);

	for (unsigned i = 0; i < names.count && !err; i++) {
		const struct passwd *entry;
		uint64_t uid;

		if (!parse_u64(str_from(names.items[i]), &uid) && uid < UINT32_MAX) {
			exclusions->uids[exclusions->uid_count++] = (uint32_t)uid;
			continue;
		}
		entry = getpwnam(names.items[i]);
		if (!entry) {
			snprintf(reterr, EXCLUSIONS_ERROR_SIZE,
				 "exclude-users: this host knows no user '%.64s'", names.items[i]);
			return -EINVAL;
		}
		exclusions->uids[exclusions->uid_count++] = entry->pw_uid;
	}
	return err;
}

int exclusions_new(const struct settings *settings, struct exclusions **ret,
		   char reterr[static EXCLUSIONS_ERROR_SIZE])
{
	*ret = NULL;
	if (!settings->exclude_users[0] && !settings->exclude_processes[0] &&
	    !settings->exclude_cgroups[0])
		return 0;

	autoclean(exclusions) struct exclusions *exclusions = calloc(1, sizeof(*exclusions));
	int err = exclusions ? 0 : -ENOMEM;

	snprintf(reterr, EXCLUSIONS_ERROR_SIZE, "out of memory");
	if (!err)
		err = find_users(exclusions, settings->exclude_users, reterr);
	if (!err)
		err = split(&exclusions->processes, settings->exclude_processes);
	if (!err)
		err = split(&exclusions->cgroups, settings->exclude_cgroups);
	if (err == -E2BIG)
		snprintf(reterr, EXCLUSIONS_ERROR_SIZE,
			 "exclude-users, exclude-processes and exclude-cgroups take %d names each",
			 EXCLUSIONS_COUNT_MAX);
	if (!err)
		*ret = TAKE(exclusions);
	return err;
}

struct exclusions *exclusions_free(struct exclusions *exclusions)
{
	free(exclusions);
	return NULL;
}

bool exclusions_have_user(const struct exclusions *exclusions, uint32_t uid)
{
	for (unsigned i = 0; exclusions && i < exclusions->uid_count; i++)
		if (exclusions->uids[i] == uid)
			return true;
	return false;
}

/* Itself or below: "/a/b" has "/a/b" and "/a/b/c", not "/a/bc". */
static bool is_within(const char *cgroup, const char *folder)
{
	size_t size = strlen(folder);

	while (size > 1 && folder[size - 1] == '/')
		size--;
	if (size == 1)
		return true;
	return strncmp(cgroup, folder, size) == 0 && (cgroup[size] == '\0' || cgroup[size] == '/');
}

static bool has_folder(const char *cgroup, const char *pattern)
{
	char folder[NAME_MAX + 1];

	for (const char *at = cgroup; *at;) {
		size_t size = strcspn(at, "/");

		if (size > 0 && size < sizeof(folder)) {
			memcpy(folder, at, size);
			folder[size] = '\0';
			if (fnmatch(pattern, folder, 0) == 0)
				return true;
		}
		at += size;
		at += *at == '/';
	}
	return false;
}

bool exclusions_have_process(const struct exclusions *exclusions, const char *name,
			     const char *comm, const char *cgroup)
{
	if (!exclusions)
		return false;
	for (unsigned i = 0; i < exclusions->processes.count; i++) {
		const char *pattern = exclusions->processes.items[i];

		if ((name && fnmatch(pattern, name, 0) == 0) ||
		    (comm && fnmatch(pattern, comm, 0) == 0))
			return true;
	}
	for (unsigned i = 0; cgroup && i < exclusions->cgroups.count; i++) {
		const char *wanted = exclusions->cgroups.items[i];

		if (wanted[0] == '/' ? is_within(cgroup, wanted) : has_folder(cgroup, wanted))
			return true;
	}
	return false;
}

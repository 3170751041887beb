/* SPDX-License-Identifier: Apache-2.0 */
#include "base/folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

int folder_make(const char *path, mode_t mode, bool *ret_made)
{
	autofree char *folder = strdup(path);

	if (!folder)
		return -ENOMEM;
	if (!folder[0])
		return -ENOENT;
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	if (mkdir(folder, mode)) {
		if (errno != EEXIST)
			return -errno;
		*ret_made = false;
		return 0;
	}
	*ret_made = true;
	return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

void folder_remove(const char *path)
{
	enum { DESCRIPTORS = 4 };

	(void)nftw(path, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

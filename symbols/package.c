/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/package.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbols/elf_file.h"

struct known {
	struct identity identity;
	char *path;
	char *command; /* NULL: none */
};

struct packages {
	char *dpkg;
	char *rpm;
	pthread_mutex_t lock;
	/* guarded by lock: */
	struct known known[PACKAGES_KNOWN_COUNT_MAX];
	size_t count;
};

int packages_new(const char *dpkg, const char *rpm, struct packages **ret)
{
	autoclean(packages) struct packages *packages = calloc(1, sizeof(*packages));

	if (!packages)
		return -ENOMEM;
	pthread_mutex_init(&packages->lock, NULL);
	packages->dpkg = strdup(dpkg);
	packages->rpm = strdup(rpm);
	if (!packages->dpkg || !packages->rpm)
		return -ENOMEM;
	*ret = TAKE(packages);
	return 0;
}

static void forget_all(struct packages *packages)
{
	for (size_t i = 0; i < packages->count; i++) {
		free(packages->known[i].path);
		free(packages->known[i].command);
	}
	packages->count = 0;
}

struct packages *packages_free(struct packages *packages)
{
	if (!packages)
		return NULL;
	forget_all(packages);
	pthread_mutex_destroy(&packages->lock);
	free(packages->dpkg);
	free(packages->rpm);
	free(packages);
	return NULL;
}

/* A path of a container means another file here. */
static bool is_file(const char *path, const struct identity *identity)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	struct stat status;

	/* The path is a stranger's word: nothing but a file is opened. */
	if (stat(path, &status) || !S_ISREG(status.st_mode))
		return false;

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode) || elf_file_open(fd, &elf))
		return false;

	struct identity found = elf_file_build_id(elf);

	/* Without a build id a path is all there is. */
	return identity->kind != IDENTITY_GNU_BUILD_ID || identity_equal(&found, identity);
}

/* Whether a list has this line. */
static bool lists(int folder, const char *name, struct str path)
{
	autoclose int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size <= 0 ||
	    status.st_size > PACKAGE_LIST_SIZE_MAX)
		return false;

	size_t size = (size_t)status.st_size;
	autofree char *text = malloc(size);

	if (!text || pread(fd, text, size, 0) != (ssize_t)size)
		return false;
	for (const char *next = text; next;) {
		size_t left = size - (size_t)(next - text);
		const char *found = memmem(next, left, path.text, path.size);

		if (!found)
			return false;

		const char *end = found + path.size;

		if ((found == text || found[-1] == '\n') && (end == text + size || *end == '\n'))
			return true;
		next = end;
	}
	return false;
}

/* The name of the list that has the path, without its end: "libc6:amd64". */
static bool find_list(int folder, DIR *entries, struct str path, char *ret, size_t size)
{
	const struct dirent *entry;

	while ((entry = readdir(entries))) {
		struct str name = str_from(entry->d_name);

		if (!str_ends_with(name, STR(".list")) || name.size - 5 >= size ||
		    !lists(folder, entry->d_name, path))
			continue;
		memcpy(ret, name.text, name.size - 5);
		ret[name.size - 5] = '\0';
		return true;
	}
	return false;
}

/* Where /lib is /usr/lib, lists name either. */
static bool find_package(const struct packages *packages, struct str path, char *ret, size_t size)
{
	int fd = open(packages->dpkg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	bool found;

	if (!entries) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	found = find_list(fd, entries, path, ret, size);
	if (!found && str_starts_with(path, STR("/usr/"))) {
		rewinddir(entries);
		found = find_list(fd, entries, (struct str){ path.text + 4, path.size - 4 }, ret,
				  size);
	}
	closedir(entries);
	return found;
}

static bool make_command(const struct packages *packages, const char *path, char *text)
{
	char package[256];

	if (find_package(packages, str_from(path), package, sizeof(package))) {
		package[strcspn(package, ":")] = '\0';
		/* Debian's C library is the one package whose symbols lie in the archive itself. */
		snprintf(text, PACKAGE_COMMAND_SIZE, "apt install %s-%s", package,
			 strcmp(package, "libc6") == 0 ? "dbg" : "dbgsym");
		return true;
	}
	if (access(packages->rpm, F_OK) == 0 && strpbrk(path, " '\"\\$`;&|<>()") == NULL) {
		snprintf(text, PACKAGE_COMMAND_SIZE, "dnf debuginfo-install %.400s", path);
		return true;
	}
	return false;
}

/* With the lock held. */
static const struct known *find_known(const struct packages *packages, struct str path,
				      const struct identity *identity)
{
	for (size_t i = 0; i < packages->count; i++)
		if (identity_equal(&packages->known[i].identity, identity) &&
		    str_equal(str_from(packages->known[i].path), path))
			return &packages->known[i];
	return NULL;
}

bool packages_command(struct packages *packages, struct str path, const struct identity *identity,
		      unsigned *looks, char text[static PACKAGE_COMMAND_SIZE])
{
	char file[PATH_MAX];
	bool found = false;

	if (path.size == 0 || path.size >= sizeof(file) || path.text[0] != '/')
		return false;
	memcpy(file, path.text, path.size);
	file[path.size] = '\0';

	pthread_mutex_lock(&packages->lock);
	const struct known *known = find_known(packages, path, identity);

	if (known && known->command) {
		snprintf(text, PACKAGE_COMMAND_SIZE, "%s", known->command);
		found = true;
	} else if (!known && *looks > 0) {
		--*looks;
		found = is_file(file, identity) && make_command(packages, file, text);
		if (packages->count == PACKAGES_KNOWN_COUNT_MAX)
			forget_all(packages);

		struct known *next = &packages->known[packages->count];

		*next = (struct known){ .identity = *identity,
					.path = strdup(file),
					.command = found ? strdup(text) : NULL };
		packages->count += next->path != NULL;
	}
	pthread_mutex_unlock(&packages->lock);
	return found;
}

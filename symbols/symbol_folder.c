/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_folder.h"

#include <errno.h>
#include <stdlib.h>

struct symbol_folder {
	struct identity_folder *files;
};

int symbol_folder_open(const char *path, uint64_t size_max, struct symbol_folder **ret)
{
	autoclean(symbol_folder) struct symbol_folder *folder = calloc(1, sizeof(*folder));

	if (!folder)
		return -ENOMEM;

	int err = identity_folder_open(path, ".symbols", size_max, &folder->files);

	if (err)
		return err;
	*ret = TAKE(folder);
	return 0;
}

struct symbol_folder *symbol_folder_close(struct symbol_folder *folder)
{
	if (!folder)
		return NULL;

	identity_folder_close(folder->files);
	free(folder);
	return NULL;
}

bool symbol_folder_has(const struct symbol_folder *folder, const struct identity *identity)
{
	return identity_folder_has(folder->files, identity);
}

int symbol_folder_read(struct symbol_folder *folder, const struct identity *identity,
		       struct symbol_file **ret)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int fd = -1;
	int err = identity_folder_read(folder->files, identity, &fd);

	if (err)
		return err;
	err = symbol_file_open(fd, &file);
	if (!err && !identity_may_stand_for(identity, &symbol_file_header(file)->identity))
		err = -EBADMSG;
	if (err == -EBADMSG)
		identity_folder_remove(folder->files, identity);
	if (err)
		return err;

	*ret = TAKE(file);
	return 0;
}

static int write_file(const char *path, const void *contents, uint64_t *ret_size)
{
	return symbol_file_write(path, contents, ret_size);
}

int symbol_folder_write(struct symbol_folder *folder, const struct symbol_file_contents *contents)
{
	return identity_folder_write(folder->files, &contents->identity, write_file, contents);
}

static int copy_file(const char *path, const void *contents, uint64_t *ret_size)
{
	return symbol_file_copy(contents, path, ret_size);
}

int symbol_folder_install(struct symbol_folder *folder, const struct symbol_file *file)
{
	return identity_folder_write(folder->files, &symbol_file_header(file)->identity, copy_file,
				     file);
}

int symbol_folder_open_file(const struct symbol_folder *folder, const struct identity *identity,
			    int *ret_fd)
{
	return identity_folder_read(folder->files, identity, ret_fd);
}

void symbol_folder_limit(struct symbol_folder *folder, uint64_t size_max)
{
	identity_folder_limit(folder->files, size_max);
}

void symbol_folder_remove(struct symbol_folder *folder, const struct identity *identity)
{
	identity_folder_remove(folder->files, identity);
}

int symbol_folder_alias(struct symbol_folder *folder, const struct identity *identity,
			const struct identity *target)
{
	return identity_folder_alias(folder->files, identity, target);
}

struct identity_folder_stats symbol_folder_stats(const struct symbol_folder *folder)
{
	return identity_folder_stats(folder->files);
}

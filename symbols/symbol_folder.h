/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "symbols/identity_folder.h"
#include "symbols/symbol_file.h"

/* The folder of symbol files: identity_folder.h with files of symbol_file.h, ".symbols". */
struct symbol_folder;

/* Makes it when it is not there, counts what is in it and removes what was not written whole. */
int symbol_folder_open(const char *path, uint64_t size_max, struct symbol_folder **ret);
struct symbol_folder *symbol_folder_close(struct symbol_folder *folder);

bool symbol_folder_has(const struct symbol_folder *folder, const struct identity *identity);

/*
 * -ENOENT when there is none. A damaged file, or one of another identity, is removed: -EBADMSG. The
 * identity in the header of the file is another than asked for when that is an alias.
 */
int symbol_folder_read(struct symbol_folder *folder, const struct identity *identity,
		       struct symbol_file **ret);

/* Under contents->identity, in place of an older one. */
int symbol_folder_write(struct symbol_folder *folder, const struct symbol_file_contents *contents);

/* The same with an open one, which is copied. */
int symbol_folder_install(struct symbol_folder *folder, const struct symbol_file *file);

/* Opens it to be read elsewhere. -ENOENT when there is none. */
int symbol_folder_open_file(const struct symbol_folder *folder, const struct identity *identity,
			    int *ret_fd);

/* From the next file that is written on. By whom writes, or before anybody does. */
void symbol_folder_limit(struct symbol_folder *folder, uint64_t size_max);

/* Removes a file that is no good. */
void symbol_folder_remove(struct symbol_folder *folder, const struct identity *identity);

int symbol_folder_alias(struct symbol_folder *folder, const struct identity *identity,
			const struct identity *target);

struct identity_folder_stats symbol_folder_stats(const struct symbol_folder *folder);

DEFINE_CLEANUP(struct symbol_folder *, symbol_folder, symbol_folder_close)

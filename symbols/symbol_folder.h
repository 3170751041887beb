/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "symbols/symbol_file.h"

/*
 * The folder of symbol files: DIR/xx/KIND-HEX.symbols, xx being the first byte of the identity. An
 * alias is a symbolic link to what it stands for. Beyond its size the files that were not opened
 * for longest are removed; each opening sets the access time by hand, since mounts don't.
 *
 * Any thread may read; one at a time may write.
 */
struct symbol_folder;

enum {
	/* Of links: one for each state of a file without a known build id, forgotten oldest first.
	 */
	SYMBOL_FOLDER_ALIAS_COUNT_MAX = 16 << 10,
	/* Of everything; 256 MiB of files of 2 KB. */
	SYMBOL_FOLDER_ENTRY_COUNT_MAX = 128 << 10,
};

struct symbol_folder_stats {
	uint64_t file_count;
	uint64_t file_bytes;
	uint64_t alias_count;
	uint64_t evicted; /* since it was opened */
};

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

int symbol_folder_alias(struct symbol_folder *folder, const struct identity *identity,
			const struct identity *target);

struct symbol_folder_stats symbol_folder_stats(const struct symbol_folder *folder);

DEFINE_CLEANUP(struct symbol_folder *, symbol_folder, symbol_folder_close)

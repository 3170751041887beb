/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "web/token_list.h"

struct settings;

/*
 * The tokens on disk, --token-file or "tokens" in the data folder, mode 0600, and those that a
 * service manager brings in $CREDENTIALS_DIRECTORY: hearth-token-read, -write and -admin, each one
 * secret of 32 letters or more. A file that was changed holds within a second; one that is no
 * good any more leaves the last good list in force, with a line in the log.
 */
struct tokens;

/* Reads them. reterr says what is wrong with which file: -EBADMSG, -EACCES, -EIO, -ENOMEM. */
int tokens_open(const struct settings *settings, struct tokens **ret,
		char reterr[static TOKEN_ERROR_SIZE]);
struct tokens *tokens_close(struct tokens *tokens);

/* How many hold now. */
size_t tokens_count(struct tokens *tokens);

/* Whose secret this is; false for nobody's. Any thread. */
bool tokens_find(struct tokens *tokens, struct str secret, struct token *ret);

/* Where the file is; -ENAMETOOLONG. */
int tokens_path(const struct settings *settings, char *path, size_t size);

/* The file's list, without credentials; one that is not there is empty. */
int tokens_load(const char *path, struct token_list *list, char reterr[static TOKEN_ERROR_SIZE]);

/*
 * Writes the whole file anew, synced, as one of the owner of the folder that it lies in. Negative
 * errno.
 */
int tokens_save(const char *path, const struct token_list *list);

DEFINE_CLEANUP(struct tokens *, tokens, tokens_close)

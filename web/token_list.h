/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "web/role.h"

/*
 * Who may ask by showing a token, as a text of one line a token:
 *
 *     grafana read 9f86d0…0a08 1764183000 never
 *
 * name, role, SHA-256 of the whole token in hexadecimal, when it was made, until when it holds
 * (seconds of Unix time). Lines that begin with # are comments. A token is "hearth_" and 256 random
 * bits, so that a plain hash is as good as a slow one: there is nothing to guess from a list.
 */
enum {
	TOKEN_NAME_SIZE = 64,
	TOKEN_HASH_SIZE = 32,
	TOKEN_TEXT_SIZE = 52, /* "hearth_", 43 letters of base64url, NUL */
	TOKEN_ERROR_SIZE = 256,
};

struct token {
	char name[TOKEN_NAME_SIZE];
	enum role role;
	uint8_t hash[TOKEN_HASH_SIZE];
	int64_t made_s;
	int64_t ends_s; /* 0: never */
};

struct token_list {
	struct token items[TOKEN_COUNT_MAX];
	size_t count;
};

/* 1 to 63 of a-z A-Z 0-9 . _ - */
bool token_name_is_sound(struct str name);

/*
 * Adds what the text says. -EBADMSG with the line and what is wrong in reterr, also for a name that
 * is there already; -E2BIG for more than TOKEN_COUNT_MAX.
 */
int token_list_parse(struct token_list *list, struct str text,
		     char reterr[static TOKEN_ERROR_SIZE]);

/* The text that token_list_parse() reads. */
void token_list_write(const struct token_list *list, struct buf *text);

/* -EEXIST for a name that is there, -E2BIG for one too many. */
int token_list_add(struct token_list *list, const struct token *token);

/* -ENOENT when there is none of this name. */
int token_list_remove(struct token_list *list, struct str name);

/*
 * Whose secret this is: NULL for nobody's, and for one whose time is over at now_s. Takes as long
 * for every secret.
 */
const struct token *token_list_find(const struct token_list *list, struct str secret,
				    int64_t now_s);

/* A new one; -EIO when the system has no random numbers. */
int token_make(char ret_text[static TOKEN_TEXT_SIZE]);

int token_hash(struct str secret, uint8_t ret[static TOKEN_HASH_SIZE]);

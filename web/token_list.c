/* SPDX-License-Identifier: Apache-2.0 */
#include "web/token_list.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/parse.h"

#define TOKEN_PREFIX "hearth_"

enum { RANDOM_SIZE = 32, FIELD_COUNT = 5, HASH_TEXT_SIZE = 2 * TOKEN_HASH_SIZE };

bool token_name_is_sound(struct str name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	for (size_t i = 0; i < name.size; i++)
		if (!memchr(letters, name.text[i], sizeof(letters) - 1))
			return false;
	return name.size > 0 && name.size < TOKEN_NAME_SIZE;
}

/* ---- the text ---------------------------------------------------------------------------------
 */

static bool parse_hash(struct str text, uint8_t *hash)
{
	if (text.size != HASH_TEXT_SIZE)
		return false;
	for (size_t i = 0; i < TOKEN_HASH_SIZE; i++) {
		uint64_t byte;

		if (parse_hex((struct str){ text.text + 2 * i, 2 }, &byte))
			return false;
		hash[i] = (uint8_t)byte;
	}
	return true;
}

static bool parse_time(struct str text, int64_t *ret)
{
	return parse_i64(text, ret) == 0 && *ret > 0;
}

static const char *parse_line(struct str line, struct token *token)
{
	struct str fields[FIELD_COUNT];
	size_t count = 0;
	struct str field;

	while (parse_next(&line, ' ', &field)) {
		if (field.size == 0)
			continue;
		if (count == FIELD_COUNT)
			return "has more than name, role, hash and two times";
		fields[count++] = field;
	}
	if (count != FIELD_COUNT)
		return "is not name, role, hash and two times";
	if (!token_name_is_sound(fields[0]))
		return "begins with no name";
	memcpy(token->name, fields[0].text, fields[0].size);
	token->name[fields[0].size] = '\0';
	if (!role_parse(fields[1], &token->role))
		return "has a role that is not read, write or admin";
	if (!parse_hash(fields[2], token->hash))
		return "has no SHA-256 in hexadecimal";
	if (!parse_time(fields[3], &token->made_s))
		return "has no time at which it was made";
	token->ends_s = 0;
	if (!str_equal(fields[4], STR("never")) && !parse_time(fields[4], &token->ends_s))
		return "ends at no time, and not 'never'";
	return NULL;
}

int token_list_parse(struct token_list *list, struct str text, char reterr[static TOKEN_ERROR_SIZE])
{
	struct str line;

	for (unsigned number = 1; parse_next(&text, '\n', &line); number++) {
		struct token token = { .role = ROLE_NOBODY };

		if (line.size == 0 || line.text[0] == '#')
			continue;

		const char *why = parse_line(line, &token);
		int err = why ? -EBADMSG : token_list_add(list, &token);

		if (err == -E2BIG) {
			snprintf(reterr, TOKEN_ERROR_SIZE, "there are more than %d tokens",
				 TOKEN_COUNT_MAX);
			return err;
		}
		if (err) {
			snprintf(reterr, TOKEN_ERROR_SIZE, "line %u %s", number,
				 why ? why : "has a name that stands above already");
			return -EBADMSG;
		}
	}
	return 0;
}

void token_list_write(const struct token_list *list, struct buf *text)
{
	buf_add_str(text, STR("# Tokens of hearth: name, role, SHA-256 of the token, made, ends. "
			      "'hearth token' writes this.\n"));
	for (size_t i = 0; i < list->count; i++) {
		const struct token *token = &list->items[i];

		assert(token->role > ROLE_NOBODY && token->made_s > 0);
		buf_printf(text, "%s %s ", token->name, role_name(token->role));
		for (size_t k = 0; k < TOKEN_HASH_SIZE; k++)
			buf_printf(text, "%02x", token->hash[k]);
		buf_printf(text, " %" PRId64, token->made_s);
		if (token->ends_s)
			buf_printf(text, " %" PRId64 "\n", token->ends_s);
		else
			buf_add_str(text, STR(" never\n"));
	}
}

/* ---- the list ---------------------------------------------------------------------------------
 */

static size_t find_name(const struct token_list *list, struct str name)
{
	size_t i = 0;

	assert(list->count <= TOKEN_COUNT_MAX);
	while (i < list->count && !str_equal(str_from(list->items[i].name), name))
		i++;
	return i;
}

int token_list_add(struct token_list *list, const struct token *token)
{
	assert(token_name_is_sound(str_from(token->name)));
	assert(token->role > ROLE_NOBODY && token->role < ROLE_COUNT);

	if (find_name(list, str_from(token->name)) < list->count)
		return -EEXIST;
	if (list->count == TOKEN_COUNT_MAX)
		return -E2BIG;
	list->items[list->count++] = *token;
	return 0;
}

int token_list_remove(struct token_list *list, struct str name)
{
	size_t place = find_name(list, name);

	if (place == list->count)
		return -ENOENT;
	list->count--;
	memmove(&list->items[place], &list->items[place + 1],
		(list->count - place) * sizeof(list->items[0]));
	return 0;
}

const struct token *token_list_find(const struct token_list *list, struct str secret, int64_t now_s)
{
	uint8_t hash[TOKEN_HASH_SIZE];
	const struct token *found = NULL;

	if (token_hash(secret, hash))
		return NULL;
	for (size_t i = 0; i < list->count; i++)
		if (CRYPTO_memcmp(hash, list->items[i].hash, TOKEN_HASH_SIZE) == 0)
			found = &list->items[i];
	return found && found->ends_s && found->ends_s <= now_s ? NULL : found;
}

/* ---- secrets ----------------------------------------------------------------------------------
 */

int token_hash(struct str secret, uint8_t ret[static TOKEN_HASH_SIZE])
{
	unsigned size = 0;

	if (!EVP_Digest(secret.text ? secret.text : "", secret.size, ret, &size, EVP_sha256(),
			NULL))
		return -ENOMEM;
	assert(size == TOKEN_HASH_SIZE);
	return 0;
}

int token_make(char ret_text[static TOKEN_TEXT_SIZE])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-_";
	uint8_t random[RANDOM_SIZE];
	size_t size = sizeof(TOKEN_PREFIX) - 1;
	uint32_t bits = 0;
	unsigned bit_count = 0;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return -EIO;
	memcpy(ret_text, TOKEN_PREFIX, size);
	for (size_t i = 0; i < sizeof(random); i++) {
		bits = bits << 8 | random[i];
		for (bit_count += 8; bit_count >= 6; bit_count -= 6)
			ret_text[size++] = letters[bits >> (bit_count - 6) & 63];
	}
	ret_text[size++] = letters[bits << (6 - bit_count) & 63];
	OPENSSL_cleanse(random, sizeof(random));
	assert(size < TOKEN_TEXT_SIZE);
	ret_text[size] = '\0';
	return 0;
}

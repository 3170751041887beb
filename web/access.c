/* SPDX-License-Identifier: Apache-2.0 */
#include "web/access.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/settings.h"
#include "web/forwarded.h"
#include "web/tokens.h"

/* "Basic " and base64 of user, colon and a secret. */
enum { BASIC_SIZE_MAX = 4096 };

struct access {
	struct tokens *tokens;
	struct network_ranges trusted;
	bool wants_tokens; /* on loopback, too */
	enum role certificate_role;
};

int access_new(const struct settings *settings, struct access **ret,
	       char reterr[static ACCESS_ERROR_SIZE])
{
	autoclean(access) struct access *access = calloc(1, sizeof(*access));
	char reason[NETWORK_ERROR_SIZE];

	if (!access) {
		snprintf(reterr, ACCESS_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	access->wants_tokens = settings->require_token;
	if (!role_parse(str_from(settings->tls_client_role), &access->certificate_role)) {
		snprintf(reterr, ACCESS_ERROR_SIZE,
			 "tls-client-role: '%.60s' is not read, write or admin",
			 settings->tls_client_role);
		return -EINVAL;
	}

	int err =
		network_ranges_parse(str_from(settings->trusted_proxies), &access->trusted, reason);

	if (err) {
		snprintf(reterr, ACCESS_ERROR_SIZE, "trusted-proxies: %s", reason);
		return err;
	}
	static_assert((int)TOKEN_ERROR_SIZE <= (int)ACCESS_ERROR_SIZE, "one fits into the other");
	err = tokens_open(settings, &access->tokens, reterr);
	if (err)
		return err;
	*ret = TAKE(access);
	return 0;
}

struct access *access_free(struct access *access)
{
	if (!access)
		return NULL;
	tokens_close(access->tokens);
	free(access);
	return NULL;
}

bool access_has_tokens(struct access *access)
{
	return tokens_count(access->tokens) > 0;
}

/* ---- the token that is shown ------------------------------------------------------------------
 */

static struct str without_spaces(struct str text)
{
	while (text.size > 0 && text.text[0] == ' ')
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && text.text[text.size - 1] == ' ')
		text.size--;
	return text;
}

static bool has_scheme(struct str value, struct str scheme, struct str *ret_rest)
{
	if (value.size <= scheme.size || strncasecmp(value.text, scheme.text, scheme.size) != 0 ||
	    value.text[scheme.size] != ' ')
		return false;
	*ret_rest =
		without_spaces((struct str){ value.text + scheme.size, value.size - scheme.size });
	return true;
}

/* The password of "user:password"; an empty text for what is none, which is nobody's token. */
static struct str basic_password(struct str encoded, uint8_t decoded[static BASIC_SIZE_MAX])
{
	if (encoded.size == 0 || encoded.size % 4 != 0 || encoded.size > BASIC_SIZE_MAX)
		return STR("");

	int size = EVP_DecodeBlock(decoded, (const uint8_t *)encoded.text, (int)encoded.size);

	if (size <= 0)
		return STR("");
	/* It counts what stands for the padding, too. */
	for (size_t i = encoded.size; i > 0 && encoded.text[i - 1] == '='; i--)
		size--;
	if (size < 0)
		return STR("");

	const uint8_t *colon = memchr(decoded, ':', (size_t)size);

	return colon ? (struct str){ (const char *)colon + 1,
				     (size_t)size - (size_t)(colon + 1 - decoded) }
		     : STR("");
}

/* False when nothing is shown. */
static bool shown_secret(const struct request *request, uint8_t space[static BASIC_SIZE_MAX],
			 struct str *ret)
{
	struct str value = request_header(request, STR("authorization"));
	struct str rest;

	if (!value.text)
		return false;
	if (has_scheme(value, STR("Bearer"), &rest))
		*ret = rest;
	else if (has_scheme(value, STR("Basic"), &rest))
		*ret = basic_password(rest, space);
	else
		*ret = STR("");
	return true;
}

/* ---- roles ------------------------------------------------------------------------------------
 */

static void set_role(struct request *request, enum role role, const char *kind, const char *name)
{
	request->role = role;
	snprintf(request->who, sizeof(request->who), "%s%s%s", kind, name[0] ? " " : "", name);
}

static bool is_trusted_proxy(const struct access *access, const struct peer *peer)
{
	struct network_address address;

	return access->trusted.count > 0 && peer->kind != PEER_UNIX &&
	       network_address_parse(str_from(peer->host), &address) &&
	       network_ranges_hold(&access->trusted, &address);
}

struct str access_host(const struct access *access, const struct request *request)
{
	struct str host = { 0 };

	if (is_trusted_proxy(access, &request->peer))
		host = forwarded_host(request);
	return host.text ? host : request_header(request, STR("host"));
}

/* Whoever passed it on: the client is the peer, as far as it is known. */
static void follow_proxies(const struct access *access, struct request *request)
{
	struct peer *peer = &request->peer;

	if (!forwarded_is_there(request))
		return;

	bool is_trusted = is_trusted_proxy(access, peer);

	peer->kind = PEER_REMOTE;
	/* The certificate is the proxy's. */
	peer->certificate[0] = '\0';
	if (!is_trusted)
		return;

	struct forwarded forwarded = forwarded_read(request, &access->trusted);

	peer->is_secure = forwarded.is_secure;
	if (!forwarded.is_known)
		return;
	network_address_print(&forwarded.client, peer->host);
	snprintf(peer->address, sizeof(peer->address), "%s", peer->host);
	if (network_address_is_loopback(&forwarded.client))
		peer->kind = PEER_LOOPBACK;
}

static void judge_door(const struct access *access, struct request *request)
{
	const struct peer *peer = &request->peer;

	if (peer->certificate[0])
		set_role(request, access->certificate_role, "certificate", peer->certificate);
	else if (peer->kind == PEER_UNIX && peer->is_owner)
		set_role(request, ROLE_ADMIN, "unix", "");
	else if (peer->kind == PEER_UNIX)
		set_role(request, ROLE_WRITER, "unix", "");
	else if (peer->kind == PEER_LOOPBACK && !access->wants_tokens)
		set_role(request, ROLE_WRITER, "loopback", "");
	else
		set_role(request, ROLE_NOBODY, "nobody", "");
}

bool access_judge(struct access *access, struct request *request)
{
	uint8_t space[BASIC_SIZE_MAX];
	struct token token;
	struct str secret;

	follow_proxies(access, request);
	if (!shown_secret(request, space, &secret)) {
		judge_door(access, request);
		return true;
	}

	bool is_known = secret.size > 0 && tokens_find(access->tokens, secret, &token);

	OPENSSL_cleanse(space, sizeof(space));
	if (is_known)
		set_role(request, token.role, "token", token.name);
	else
		set_role(request, ROLE_NOBODY, "wrong token", "");
	assert(request->role < ROLE_COUNT);
	return is_known;
}

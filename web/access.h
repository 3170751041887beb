/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "web/request.h"

struct settings;

/*
 * Who is what: from the door somebody came through, what proxies say, and the token that was shown.
 *
 *   door                                              without a token
 *   loopback, directly                                reads and writes; nobody with require-token
 *   unix socket, as root or as the server's user      administers
 *   unix socket, as another user                      reads and writes
 *   TLS with a client certificate of ours             what tls-client-role says
 *   another address, or passed on by a proxy          nobody
 *
 * A token that is shown decides alone, and one that is nobody's is refused on every door.
 */
struct access;

enum { ACCESS_ERROR_SIZE = 256 };

/* -EINVAL, -EBADMSG and their kin with a sentence in reterr, which names the setting or the file.
 */
int access_new(const struct settings *settings, struct access **ret,
	       char reterr[static ACCESS_ERROR_SIZE]);
struct access *access_free(struct access *access);

/* Whether anybody has a token: without, others are told to come from this host. */
bool access_has_tokens(struct access *access);

/*
 * The Host that the client asked for: what the request says, or what a trusted proxy says that it
 * did. To be asked before access_judge(), which forgets the proxy. Any thread.
 */
struct str access_host(const struct access *access, const struct request *request);

/*
 * Sets request->role and request->who, and puts the client of a trusted proxy in the place of the
 * peer. False when a token was shown that is nobody's. Any thread.
 */
bool access_judge(struct access *access, struct request *request);

DEFINE_CLEANUP(struct access *, access, access_free)

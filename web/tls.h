/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct settings;

/*
 * TLS by OpenSSL: 1.3, or 1.2 where the setting says so. A certificate or a key that was changed on
 * disk holds for the next handshake, a second later at most; files that are no good leave those of
 * before in force, with a line in the log. All but tls_new() is of the front's thread.
 */
struct tls;

enum { TLS_ERROR_SIZE = 256 };

/*
 * *ret stays NULL when no certificate is set. -EINVAL with a sentence in reterr for files that are
 * none, that don't fit each other or can't be read, and for settings without their kin.
 */
int tls_new(const struct settings *settings, struct tls **ret, char reterr[static TLS_ERROR_SIZE]);
struct tls *tls_free(struct tls *tls);

/* Whether clients can show certificates of ours. */
bool tls_knows_clients(const struct tls *tls);

/* One connection's. */
struct tls_session;

/* NULL without memory. The descriptor stays the caller's. */
struct tls_session *tls_session_new(struct tls *tls, int fd);
struct tls_session *tls_session_free(struct tls_session *session);

enum tls_state {
	TLS_FAILED = -1,
	TLS_DONE = 0,
	TLS_WANTS_INPUT = 1,
	TLS_WANTS_OUTPUT = 2,
};
enum tls_state tls_handshake(struct tls_session *session);

/* What was agreed upon: 0 for nothing, 1 for http/1.1, 2 for h2. */
int tls_protocol(const struct tls_session *session);

/* The common name of the client's certificate, which was verified; "" when it showed none. */
void tls_client_name(const struct tls_session *session, char *name, size_t size);

/* As recv() and send(), -EAGAIN when nothing goes now; an end that was cut off is an error. */
int64_t tls_read(struct tls_session *session, void *bytes, size_t size);
int64_t tls_write(struct tls_session *session, const void *bytes, size_t size);

/* Says that no more will be sent. */
void tls_end(struct tls_session *session);

/*
 * Makes a key and a certificate that is its own authority, for these names and addresses, good for
 * so many days. Texts are PEM and to be freed; fingerprint is SHA-256 as browsers show it.
 */
enum { TLS_FINGERPRINT_SIZE = 96 };
int tls_make_certificate(const char *const *names, size_t name_count, int days,
			 char **ret_certificate, char **ret_key,
			 char ret_fingerprint[static TLS_FINGERPRINT_SIZE]);

DEFINE_CLEANUP(struct tls *, tls, tls_free)

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"

enum { LOOK_AGAIN_NS = 1000 * 1000 * 1000, SERIAL_BITS = 127 };

struct tls_files {
	struct stat certificate, key, clients;
};

struct tls {
	const struct settings *settings;
	SSL_CTX *context;
	struct tls_files files; /* as they were read */
	uint64_t looked_ns;
};

struct tls_session {
	SSL *ssl;
};

/* ---- files ------------------------------------------------------------------------------------
 */

/* Our two protocols, as ALPN writes them. */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
			   const unsigned char *offered, unsigned offered_size, void *context)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned char *chosen = NULL;

	(void)ssl;
	(void)context;
	if (SSL_select_next_proto(&chosen, ret_size, ours, sizeof(ours) - 1, offered,
				  offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int complain(const char *setting, const char *path, char reterr[static TLS_ERROR_SIZE])
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	snprintf(reterr, TLS_ERROR_SIZE, "%s: cannot use '%.120s': %.60s", setting, path,
		 errno ? strerror(errno) : (reason ? reason : "it is not what it should be"));
	ERR_clear_error();
	return -EINVAL;
}

static bool set_version(SSL_CTX *context, const char *minimum)
{
	int version = !strcmp(minimum, "1.3")	? TLS1_3_VERSION
		      : !strcmp(minimum, "1.2") ? TLS1_2_VERSION
						: 0;

	return version && SSL_CTX_set_min_proto_version(context, version) == 1;
}

static void set_options(SSL_CTX *context)
{
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"hearth", 6);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

static int use_clients(SSL_CTX *context, const char *path, char reterr[static TLS_ERROR_SIZE])
{
	STACK_OF(X509_NAME) * names;

	errno = 0;
	names = SSL_load_client_CA_file(path);
	if (!names || SSL_CTX_load_verify_file(context, path) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return complain("tls-client-ca", path, reterr);
	}
	SSL_CTX_set_client_CA_list(context, names);
	/* Who shows none may still have a token. */
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return 0;
}

static int read_files(const struct settings *settings, SSL_CTX **ret,
		      char reterr[static TLS_ERROR_SIZE])
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	int err = 0;

	if (!context)
		return -ENOMEM;
	ERR_clear_error();
	set_options(context);
	errno = 0;
	if (!set_version(context, settings->tls_minimum)) {
		snprintf(reterr, TLS_ERROR_SIZE, "tls-minimum: '%.60s' is not 1.2 or 1.3",
			 settings->tls_minimum);
		err = -EINVAL;
	} else if (SSL_CTX_use_certificate_chain_file(context, settings->tls_certificate) != 1) {
		err = complain("tls-certificate", settings->tls_certificate, reterr);
	} else if (SSL_CTX_use_PrivateKey_file(context, settings->tls_key, SSL_FILETYPE_PEM) != 1 ||
		   SSL_CTX_check_private_key(context) != 1) {
		err = complain("tls-key", settings->tls_key, reterr);
	} else if (settings->tls_client_ca[0]) {
		err = use_clients(context, settings->tls_client_ca, reterr);
	}
	if (err)
		SSL_CTX_free(context);
	else
		*ret = context;
	return err;
}

static struct stat status_of(const char *path)
{
	struct stat status;

	if (!path[0] || stat(path, &status))
		memset(&status, 0, sizeof(status));
	return status;
}

static struct tls_files files_of(const struct settings *settings)
{
	return (struct tls_files){ .certificate = status_of(settings->tls_certificate),
				   .key = status_of(settings->tls_key),
				   .clients = status_of(settings->tls_client_ca) };
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void look_again(struct tls *tls)
{
	uint64_t now_ns = clock_monotonic_ns();
	char reason[TLS_ERROR_SIZE] = "out of memory";
	SSL_CTX *context = NULL;

	if (now_ns - tls->looked_ns < LOOK_AGAIN_NS)
		return;
	tls->looked_ns = now_ns;

	struct tls_files files = files_of(tls->settings);

	if (is_same_file(&files.certificate, &tls->files.certificate) &&
	    is_same_file(&files.key, &tls->files.key) &&
	    is_same_file(&files.clients, &tls->files.clients))
		return;
	tls->files = files;
	if (read_files(tls->settings, &context, reason)) {
		log_error("%s; the certificate of before goes on to hold", reason);
		return;
	}
	SSL_CTX_free(tls->context); /* sessions have their own hold on it */
	tls->context = context;
	log_info("the certificate was read again");
}

int tls_new(const struct settings *settings, struct tls **ret, char reterr[static TLS_ERROR_SIZE])
{
	bool has_certificate = settings->tls_certificate[0] != '\0';

	*ret = NULL;
	if (!has_certificate && !settings->tls_key[0] && !settings->tls_client_ca[0])
		return 0;
	if (!has_certificate || !settings->tls_key[0]) {
		snprintf(reterr, TLS_ERROR_SIZE,
			 "%s is not set: TLS takes tls-certificate and tls-key; 'hearth tls "
			 "self-signed' makes both",
			 has_certificate ? "tls-key" : "tls-certificate");
		return -EINVAL;
	}

	autoclean(tls) struct tls *tls = calloc(1, sizeof(*tls));

	snprintf(reterr, TLS_ERROR_SIZE, "out of memory");
	if (!tls)
		return -ENOMEM;
	tls->settings = settings;
	tls->files = files_of(settings);
	tls->looked_ns = clock_monotonic_ns();

	int err = read_files(settings, &tls->context, reterr);

	if (err)
		return err;
	*ret = TAKE(tls);
	return 0;
}

struct tls *tls_free(struct tls *tls)
{
	if (!tls)
		return NULL;
	SSL_CTX_free(tls->context);
	free(tls);
	return NULL;
}

bool tls_knows_clients(const struct tls *tls)
{
	return tls && tls->settings->tls_client_ca[0];
}

/* ---- sessions ---------------------------------------------------------------------------------
 */

struct tls_session *tls_session_new(struct tls *tls, int fd)
{
	struct tls_session *session = calloc(1, sizeof(*session));

	look_again(tls);
	if (session)
		session->ssl = SSL_new(tls->context);
	if (!session || !session->ssl || SSL_set_fd(session->ssl, fd) != 1)
		return tls_session_free(session);
	SSL_set_accept_state(session->ssl);
	return session;
}

struct tls_session *tls_session_free(struct tls_session *session)
{
	if (!session)
		return NULL;
	SSL_free(session->ssl);
	free(session);
	return NULL;
}

enum tls_state tls_handshake(struct tls_session *session)
{
	ERR_clear_error();

	int code = SSL_accept(session->ssl);

	if (code == 1)
		return TLS_DONE;
	switch (SSL_get_error(session->ssl, code)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANTS_INPUT;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANTS_OUTPUT;
	default:
		return TLS_FAILED;
	}
}

int tls_protocol(const struct tls_session *session)
{
	const unsigned char *name = NULL;
	unsigned size = 0;

	SSL_get0_alpn_selected(session->ssl, &name, &size);
	return size == 2 ? 2 : size > 0;
}

void tls_client_name(const struct tls_session *session, char *name, size_t size)
{
	X509 *certificate = SSL_get0_peer_certificate(session->ssl);

	assert(size > 0);
	name[0] = '\0';
	if (!certificate || SSL_get_verify_result(session->ssl) != X509_V_OK)
		return;
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
				      (int)size) <= 0)
		snprintf(name, size, "without a name");
	for (char *c = name; *c; c++)
		if (*c <= ' ' || *c >= 0x7f)
			*c = '?';
}

static int64_t result_of(struct tls_session *session, int code)
{
	if (code > 0)
		return code;
	switch (SSL_get_error(session->ssl, code)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -ECONNRESET;
	}
}

int64_t tls_read(struct tls_session *session, void *bytes, size_t size)
{
	ERR_clear_error();
	return result_of(session, SSL_read(session->ssl, bytes, (int)size));
}

int64_t tls_write(struct tls_session *session, const void *bytes, size_t size)
{
	assert(size > 0);
	ERR_clear_error();

	int64_t count = result_of(session, SSL_write(session->ssl, bytes,
						     (int)(size < INT32_MAX ? size : INT32_MAX)));

	return count == 0 ? -ECONNRESET : count;
}

void tls_end(struct tls_session *session)
{
	ERR_clear_error();
	if (SSL_is_init_finished(session->ssl))
		(void)SSL_shutdown(session->ssl);
	ERR_clear_error();
}

/* ---- making one -------------------------------------------------------------------------------
 */

static bool add_extension(X509 *certificate, int kind, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);

	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	bool is_added = extension && X509_add_ext(certificate, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return is_added;
}

static bool add_names(X509 *certificate, const char *const *names, size_t count)
{
	autoclean(buf) struct buf text = BUF(16 << 10);

	for (size_t i = 0; i < count; i++) {
		struct in6_addr address;
		bool is_address = inet_pton(AF_INET, names[i], &address) == 1 ||
				  inet_pton(AF_INET6, names[i], &address) == 1;

		buf_printf(&text, "%s%s:%s", i ? "," : "", is_address ? "IP" : "DNS", names[i]);
	}
	buf_add_u8(&text, 0);
	return !text.error &&
	       add_extension(certificate, NID_subject_alt_name, (const char *)text.bytes);
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *const *names, size_t count, int days)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	BIGNUM *serial = BN_new();
	bool is_filled =
		serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) &&
		X509_set_version(certificate, X509_VERSION_3) == 1 &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
		X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, NULL) &&
		X509_set_pubkey(certificate, key) == 1 &&
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
					   (const unsigned char *)names[0], -1, -1, 0) == 1 &&
		X509_set_issuer_name(certificate, name) == 1 &&
		add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		add_extension(certificate, NID_key_usage,
			      "critical,digitalSignature,keyCertSign") &&
		add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
		add_extension(certificate, NID_subject_key_identifier, "hash") &&
		add_names(certificate, names, count) &&
		X509_sign(certificate, key, EVP_sha256()) > 0;

	BN_free(serial);
	return is_filled;
}

static char *take_text(BIO *bio)
{
	char *bytes = NULL;
	long size = BIO_get_mem_data(bio, &bytes);

	return size > 0 ? strndup(bytes, (size_t)size) : NULL;
}

static bool print_fingerprint(const X509 *certificate, char text[static TLS_FINGERPRINT_SIZE])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	if (X509_digest(certificate, EVP_sha256(), hash, &size) != 1)
		return false;
	assert(3 * (size_t)size <= TLS_FINGERPRINT_SIZE);
	for (unsigned i = 0; i < size; i++)
		snprintf(text + 3 * (size_t)i, 4, i + 1 < size ? "%02X:" : "%02X", hash[i]);
	return true;
}

int tls_make_certificate(const char *const *names, size_t name_count, int days,
			 char **ret_certificate, char **ret_key,
			 char ret_fingerprint[static TLS_FINGERPRINT_SIZE])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	BIO *certificate_text = BIO_new(BIO_s_mem());
	BIO *key_text = BIO_new(BIO_s_mem());

	assert(name_count > 0 && days > 0);
	*ret_certificate = NULL;
	*ret_key = NULL;
	if (key && certificate && certificate_text && key_text &&
	    fill(certificate, key, names, name_count, days) &&
	    print_fingerprint(certificate, ret_fingerprint) &&
	    PEM_write_bio_X509(certificate_text, certificate) == 1 &&
	    PEM_write_bio_PKCS8PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1) {
		*ret_certificate = take_text(certificate_text);
		*ret_key = take_text(key_text);
	}
	BIO_free(key_text);
	BIO_free(certificate_text);
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (*ret_certificate && *ret_key)
		return 0;
	free(*ret_certificate);
	free(*ret_key);
	*ret_certificate = *ret_key = NULL;
	return -EINVAL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* TLS at the door: versions, protocols, certificates of both sides, new files while it runs. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/cleanup.h"
#include "base/settings.h"
#include "web/door.h"
#include "web/server.h"
#include "web/tls.h"

struct fixture {
	char folder[64];
	struct settings settings;
	struct server server; /* without a store: only /healthz is asked, and what refuses */
	struct door *door;
	char fingerprint[TLS_FINGERPRINT_SIZE];
};

static void write_text(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Into FOLDER/NAME.crt and .key. */
static void make_certificate(struct fixture *fixture, const char *name, const char *common_name)
{
	const char *const names[] = { common_name, "localhost", "127.0.0.1" };
	autofree char *certificate = NULL;
	autofree char *key = NULL;
	char path[128];

	assert_int_equal(
		tls_make_certificate(names, 3, 1, &certificate, &key, fixture->fingerprint), 0);
	snprintf(path, sizeof(path), "%s/%s.key", fixture->folder, name);
	write_text(path, key);
	snprintf(path, sizeof(path), "%s/%s.crt", fixture->folder, name);
	write_text(path, certificate);
}

static void open_door(struct fixture *fixture)
{
	char error[DOOR_ERROR_SIZE] = "";

	assert_int_equal(door_check(&fixture->settings, error), 0);
	if (door_start(&fixture->server, &fixture->door, error))
		fail_msg("%s", error);
}

static int start(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct settings *settings = &fixture->settings;

	assert_non_null(fixture);
	memcpy(fixture->folder, "/tmp/hearth-tls-XXXXXX", sizeof("/tmp/hearth-tls-XXXXXX"));
	assert_non_null(mkdtemp(fixture->folder));
	make_certificate(fixture, "server", "box");
	settings_defaults(settings);
	snprintf(settings->data, sizeof(settings->data), "%s", fixture->folder);
	snprintf(settings->http, sizeof(settings->http), "127.0.0.1:0");
	snprintf(settings->tls_certificate, sizeof(settings->tls_certificate), "%s/server.crt",
		 fixture->folder);
	snprintf(settings->tls_key, sizeof(settings->tls_key), "%s/server.key", fixture->folder);
	fixture->server.settings = settings;
	*state = fixture;
	return 0;
}

static int stop(void **state)
{
	static const char *const names[] = { "server.crt", "server.key", "client.crt",
					     "client.key" };
	struct fixture *fixture = *state;
	char path[128];

	fixture->door = door_stop(fixture->door);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", fixture->folder, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(fixture->folder), 0);
	free(fixture);
	return 0;
}

/* ---- clients ----------------------------------------------------------------------------------
 */

static int dial(const struct fixture *fixture)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(door_port(fixture->door)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

struct client {
	const char *trusts; /* a file of the folder */
	const char *shows;  /* of .crt and .key; NULL: nothing */
	int version_max;    /* 0: any */
	const char *protocols;
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

/* Whether the handshake came to something. */
static bool open_client(const struct fixture *fixture, struct client *client)
{
	char path[128];

	client->context = SSL_CTX_new(TLS_client_method());
	assert_non_null(client->context);
	snprintf(path, sizeof(path), "%s/%s", fixture->folder, client->trusts);
	assert_int_equal(SSL_CTX_load_verify_file(client->context, path), 1);
	SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
	if (client->version_max)
		SSL_CTX_set_max_proto_version(client->context, client->version_max);
	if (client->protocols)
		SSL_CTX_set_alpn_protos(client->context, (const unsigned char *)client->protocols,
					(unsigned)strlen(client->protocols));
	if (client->shows) {
		snprintf(path, sizeof(path), "%s/%s.crt", fixture->folder, client->shows);
		assert_int_equal(SSL_CTX_use_certificate_chain_file(client->context, path), 1);
		snprintf(path, sizeof(path), "%s/%s.key", fixture->folder, client->shows);
		assert_int_equal(
			SSL_CTX_use_PrivateKey_file(client->context, path, SSL_FILETYPE_PEM), 1);
	}
	client->fd = dial(fixture);
	client->ssl = SSL_new(client->context);
	assert_non_null(client->ssl);
	assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
	assert_int_equal(SSL_set1_host(client->ssl, "localhost"), 1);
	return SSL_connect(client->ssl) == 1;
}

static void close_client(struct client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	close(client->fd);
	ERR_clear_error();
}

/* The status; 0 when the connection ends instead. */
static int ask(struct client *client, const char *path)
{
	char request[256];
	char answer[4096];
	int size = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
			    path);
	int status = 0;

	if (SSL_write(client->ssl, request, size) != size)
		return 0;
	size = SSL_read(client->ssl, answer, sizeof(answer) - 1);
	if (size <= 0)
		return 0;
	answer[size] = '\0';
	return sscanf(answer, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

static bool shows_fingerprint(const struct client *client, const char *fingerprint)
{
	X509 *certificate = SSL_get0_peer_certificate(client->ssl);
	unsigned char hash[32];
	unsigned size = 0;
	unsigned first = 0;

	assert_int_equal(X509_digest(certificate, EVP_sha256(), hash, &size), 1);
	assert_int_equal(sscanf(fingerprint, "%2X:", &first), 1);
	return hash[0] == first;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void speaks_the_versions_that_are_set(void **state)
{
	static const struct {
		const char *minimum;
		int client_max;
		bool comes_to_something;
	} cases[] = { { "1.3", 0, true },
		      { "1.3", TLS1_3_VERSION, true },
		      { "1.3", TLS1_2_VERSION, false },
		      { "1.2", TLS1_2_VERSION, true },
		      { "1.2", TLS1_1_VERSION, false },
		      { "1.2", 0, true } };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client client = { .trusts = "server.crt",
					 .version_max = cases[i].client_max };

		snprintf(fixture->settings.tls_minimum, sizeof(fixture->settings.tls_minimum), "%s",
			 cases[i].minimum);
		open_door(fixture);
		assert_int_equal(open_client(fixture, &client), cases[i].comes_to_something);
		if (cases[i].comes_to_something)
			assert_int_equal(ask(&client, "/healthz"), 200);
		close_client(&client);
		fixture->door = door_stop(fixture->door);
	}
}

static void agrees_upon_a_protocol(void **state)
{
	static const struct {
		const char *offered, *agreed; /* NULL: none */
	} cases[] = { { "\x02h2\x08http/1.1", "h2" },
		      { "\x08http/1.1\x02h2", "h2" },
		      { "\x08http/1.1", "http/1.1" },
		      { NULL, "" } };
	struct fixture *fixture = *state;

	open_door(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client client = { .trusts = "server.crt", .protocols = cases[i].offered };
		const unsigned char *agreed = NULL;
		unsigned size = 0;
		char first[9];

		assert_true(open_client(fixture, &client));
		SSL_get0_alpn_selected(client.ssl, &agreed, &size);
		assert_int_equal(size, strlen(cases[i].agreed));
		assert_memory_equal(agreed ? (const char *)agreed : "", cases[i].agreed, size);
		if (size == 2) {
			/* Its SETTINGS come first. */
			assert_int_equal(SSL_read(client.ssl, first, 9), 9);
			assert_int_equal(first[3], 4);
		} else {
			assert_int_equal(ask(&client, "/healthz"), 200);
			assert_int_equal(ask(&client, "/no/such"), 404);
		}
		close_client(&client);
	}
	/* What it does not speak is no ground to guess. */
	struct client client = { .trusts = "server.crt", .protocols = "\x03xyz" };

	assert_false(open_client(fixture, &client));
	close_client(&client);
}

/* On loopback both are spoken; who does neither is let go, and keeps nobody waiting. */
static void tells_tls_from_what_is_none(void **state)
{
	enum { COUNT = 64 };
	struct fixture *fixture = *state;
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	static const char wrong[] = "\x16\x03\x01\x00\x05hello and more of it";
	char answer[512] = "";
	int fds[COUNT];

	open_door(fixture);
	for (int i = 0; i < COUNT; i++) {
		fds[i] = dial(fixture);
		assert_true(send(fds[i], hello, sizeof(hello) - 1, MSG_NOSIGNAL) > 0);
	}

	autoclose int plain = dial(fixture);
	autoclose int broken = dial(fixture);
	struct client client = { .trusts = "server.crt" };

	assert_true(send(plain, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 42,
			 MSG_NOSIGNAL) > 0);
	assert_true(recv(plain, answer, sizeof(answer) - 1, 0) > 0);
	assert_memory_equal(answer, "HTTP/1.1 200", 12);
	assert_true(send(broken, wrong, sizeof(wrong) - 1, MSG_NOSIGNAL) > 0);
	while (recv(broken, answer, sizeof(answer), 0) > 0)
		;
	assert_true(open_client(fixture, &client));
	assert_int_equal(ask(&client, "/healthz"), 200);
	/* There is no renegotiation; in TLS 1.3 there is no word for it. */
	close_client(&client);
	for (int i = 0; i < COUNT; i++) {
		assert_true(recv(fds[i], answer, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
		close(fds[i]);
	}
}

static void reads_new_files_while_it_runs(void **state)
{
	struct fixture *fixture = *state;
	struct client before = { .trusts = "server.crt" };
	char old[TLS_FINGERPRINT_SIZE];
	bool is_new = false;

	open_door(fixture);
	memcpy(old, fixture->fingerprint, sizeof(old));
	assert_true(open_client(fixture, &before));
	assert_int_equal(ask(&before, "/healthz"), 200);
	do
		make_certificate(fixture, "server", "box");
	while (fixture->fingerprint[0] == old[0] && fixture->fingerprint[1] == old[1]);
	for (int i = 0; i < 500 && !is_new; i++) {
		struct timespec pause = { .tv_nsec = 20L * 1000 * 1000 };
		struct client client = { .trusts = "server.crt" };

		/* Who trusts the new one is not content with the old one. */
		is_new = open_client(fixture, &client);
		if (is_new) {
			assert_true(shows_fingerprint(&client, fixture->fingerprint));
			assert_int_equal(ask(&client, "/healthz"), 200);
		}
		close_client(&client);
		(void)nanosleep(&pause, NULL);
	}
	assert_true(is_new);
	/* Whoever was there goes on. */
	assert_int_equal(ask(&before, "/healthz"), 200);
	close_client(&before);

	/* What is no certificate changes nothing. */
	write_text(fixture->settings.tls_certificate, "nonsense\n");
	for (int i = 0; i < 3; i++) {
		struct timespec pause = { .tv_nsec = 500L * 1000 * 1000 };
		autoclose int fd = dial(fixture);

		(void)send(fd, "\x16", 1, MSG_NOSIGNAL);
		(void)nanosleep(&pause, NULL);
	}
	char path[128];

	snprintf(path, sizeof(path), "%s/server.key", fixture->folder);
	assert_int_equal(access(path, R_OK), 0);
	make_certificate(fixture, "client", "other");

	struct client other = { .trusts = "client.crt" };

	assert_false(open_client(fixture, &other));
	close_client(&other);
}

static void lets_in_who_shows_a_certificate(void **state)
{
	struct fixture *fixture = *state;
	struct client with = { .trusts = "server.crt", .shows = "client" };
	struct client without = { .trusts = "server.crt" };
	struct client stranger = { .trusts = "server.crt", .shows = "server" };

	make_certificate(fixture, "client", "grafana");
	snprintf(fixture->settings.tls_client_ca, sizeof(fixture->settings.tls_client_ca),
		 "%s/client.crt", fixture->folder);
	fixture->settings.require_token = true;
	open_door(fixture);
	assert_true(open_client(fixture, &without));
	assert_int_equal(ask(&without, "/healthz"), 200);
	assert_int_equal(ask(&without, "/"), 403);
	assert_true(open_client(fixture, &with));
	assert_int_equal(ask(&with, "/"), 200);
	/* One that another has signed: the end comes with the first answer, in TLS 1.3. */
	(void)open_client(fixture, &stranger);
	assert_int_equal(ask(&stranger, "/healthz"), 0);
	close_client(&with);
	close_client(&without);
	close_client(&stranger);
}

static void names_the_file_that_is_wrong(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = fixture->settings;
	char error[DOOR_ERROR_SIZE];

	make_certificate(fixture, "client", "other");
	settings.tls_key[0] = '\0';
	assert_int_equal(door_check(&settings, error), -EINVAL);
	assert_non_null(strstr(error, "tls-key is not set"));
	snprintf(settings.tls_key, sizeof(settings.tls_key), "%s/client.key", fixture->folder);
	assert_int_equal(door_check(&settings, error), -EINVAL);
	assert_non_null(strstr(error, "tls-key: cannot use '"));
	snprintf(settings.tls_key, sizeof(settings.tls_key), "/nowhere");
	assert_int_equal(door_check(&settings, error), -EINVAL);
	assert_non_null(strstr(error, "No such file"));
	settings = fixture->settings;
	snprintf(settings.tls_minimum, sizeof(settings.tls_minimum), "1.1");
	assert_int_equal(door_check(&settings, error), -EINVAL);
	assert_non_null(strstr(error, "'1.1' is not 1.2 or 1.3"));
	settings = fixture->settings;
	snprintf(settings.tls_client_role, sizeof(settings.tls_client_role), "root");
	assert_int_equal(door_check(&settings, error), -EINVAL);
	assert_non_null(strstr(error, "tls-client-role: 'root'"));
	/* With an authority for clients there is somebody to answer elsewhere. */
	settings = fixture->settings;
	snprintf(settings.http, sizeof(settings.http), "0.0.0.0:0");
	assert_int_equal(door_check(&settings, error), -EPERM);
	snprintf(settings.tls_client_ca, sizeof(settings.tls_client_ca), "%s/client.crt",
		 fixture->folder);
	assert_int_equal(door_check(&settings, error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(speaks_the_versions_that_are_set, start, stop),
		cmocka_unit_test_setup_teardown(agrees_upon_a_protocol, start, stop),
		cmocka_unit_test_setup_teardown(tells_tls_from_what_is_none, start, stop),
		cmocka_unit_test_setup_teardown(reads_new_files_while_it_runs, start, stop),
		cmocka_unit_test_setup_teardown(lets_in_who_shows_a_certificate, start, stop),
		cmocka_unit_test_setup_teardown(names_the_file_that_is_wrong, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

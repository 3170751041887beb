/* SPDX-License-Identifier: Apache-2.0 */
#include "web/door.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings.h"
#include "web/access.h"
#include "web/front.h"
#include "web/http1.h"
#include "web/http2.h"
#include "web/listen_address.h"
#include "web/relay.h"
#include "web/routes.h"
#include "web/server.h"
#include "web/tls.h"
#include "web/workers.h"

struct door {
	struct listen_addresses addresses;
	struct routes *routes;
	struct http1 *http1;
	struct relays *relays;
	struct workers *workers;
	struct http2 *http2;
	struct front *front;
	struct tls *tls;
};

static_assert((int)LISTEN_ERROR_SIZE <= (int)DOOR_ERROR_SIZE &&
		      (int)FRONT_ERROR_SIZE <= (int)DOOR_ERROR_SIZE &&
		      (int)ROUTES_ERROR_SIZE <= (int)DOOR_ERROR_SIZE &&
		      (int)ACCESS_ERROR_SIZE <= (int)DOOR_ERROR_SIZE &&
		      (int)TLS_ERROR_SIZE <= (int)DOOR_ERROR_SIZE,
	      "each fits");

/* Beyond loopback nobody is answered without a token or a certificate, so without any there is
 * nobody to answer. */
static int check_reach(const struct listen_addresses *addresses, bool has_keys,
		       char reterr[static DOOR_ERROR_SIZE])
{
	char where[LISTEN_TEXT_SIZE];

	for (size_t i = 0; i < addresses->count && !has_keys; i++) {
		if (addresses->items[i].is_loopback)
			continue;
		listen_address_print(&addresses->items[i], where);
		snprintf(
			reterr, DOOR_ERROR_SIZE,
			"'%.80s' is not loopback, where anybody could ask, and nobody has a token: "
			"make one first with 'hearth token new NAME --role read', or listen on "
			"127.0.0.1:4040 and use 'ssh -L 4040:127.0.0.1:4040 HOST'",
			where);
		return -EPERM;
	}
	return 0;
}

/* OpenTelemetry's ports come behind those of --http, and answer the same. */
static int add_optional(const char *name, const char *text, struct listen_addresses *addresses,
			char reterr[static DOOR_ERROR_SIZE])
{
	struct listen_addresses more;
	char reason[LISTEN_ERROR_SIZE];
	int err;

	if (str_equal(str_from(text), STR("off")))
		return 0;
	err = listen_addresses_parse(text, &more, reason);
	if (err) {
		snprintf(reterr, DOOR_ERROR_SIZE, "%s: %.300s", name, reason);
		return err;
	}
	for (size_t i = 0; i < more.count; i++) {
		if (addresses->count == LISTEN_ADDRESS_COUNT_MAX) {
			snprintf(reterr, DOOR_ERROR_SIZE, "there are more than %d addresses",
				 LISTEN_ADDRESS_COUNT_MAX);
			return -EINVAL;
		}
		more.items[i].is_optional = true;
		addresses->items[addresses->count++] = more.items[i];
	}
	return 0;
}

static int parse_addresses(const struct settings *settings, struct listen_addresses *ret,
			   char reterr[static DOOR_ERROR_SIZE])
{
	int err = listen_addresses_parse(settings->http, ret, reterr);

	if (!err)
		err = add_optional("otlp-grpc", settings->otlp_grpc, ret, reterr);
	return err ? err : add_optional("otlp-http", settings->otlp_http, ret, reterr);
}

int door_check(const struct settings *settings, char reterr[static DOOR_ERROR_SIZE])
{
	autoclean(access) struct access *access = NULL;
	autoclean(tls) struct tls *tls = NULL;
	struct listen_addresses addresses;
	int err = parse_addresses(settings, &addresses, reterr);

	if (!err)
		err = tls_new(settings, &tls, reterr);
	if (!err)
		err = access_new(settings, &access, reterr);
	/* Whoever checks need not be the one who will read it. */
	if (err == -EACCES)
		return 0;
	return err ? err
		   : check_reach(&addresses, access_has_tokens(access) || tls_knows_clients(tls),
				 reterr);
}

/* http is what the addresses are called in settings. */
static int open_parts(struct door *door, struct server *server, char reterr[static DOOR_ERROR_SIZE])
{
	int err = parse_addresses(server->settings, &door->addresses, reterr);

	if (!err)
		err = tls_new(server->settings, &door->tls, reterr);
	if (!err)
		err = routes_new(server, &door->routes, reterr);
	if (!err)
		err = check_reach(&door->addresses,
				  routes_know_tokens(door->routes) || tls_knows_clients(door->tls),
				  reterr);
	if (err)
		return err;
	err = http1_new(server, door->routes, &door->http1);
	if (!err)
		err = relays_new(http1_pairs(door->http1), &door->relays);
	if (!err)
		err = workers_new(WORKER_RESTING_NS, &door->workers);
	if (!err)
		err = http2_new(door->routes, door->workers, &door->http2);
	if (err) {
		snprintf(reterr, DOOR_ERROR_SIZE, "cannot serve HTTP: %s", strerror(-err));
		return err;
	}

	struct front_protocols protocols = {
		.http1 = &relay_protocol,
		.http1_context = door->relays,
		.http2 = &http2_protocol,
		.http2_context = door->http2,
		.tls = door->tls,
	};

	err = front_new(server, &door->addresses, &protocols, &door->front, reterr);
	if (err)
		return err;
	err = front_start(door->front);
	if (err)
		snprintf(reterr, DOOR_ERROR_SIZE, "cannot start a thread: %s", strerror(-err));
	return err;
}

int door_start(struct server *server, struct door **ret, char reterr[static DOOR_ERROR_SIZE])
{
	autoclean(door) struct door *door = calloc(1, sizeof(*door));

	if (!door) {
		snprintf(reterr, DOOR_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}

	int err = open_parts(door, server, reterr);

	if (err)
		return err;
	*ret = TAKE(door);
	return 0;
}

uint16_t door_port(const struct door *door)
{
	for (size_t i = 0; i < door->addresses.count; i++)
		if (!door->addresses.items[i].is_unix && !door->addresses.items[i].is_optional &&
		    !door->addresses.items[i].is_missing)
			return listen_address_port(&door->addresses.items[i]);
	return 0;
}

void door_describe(const struct door *door, struct buf *text)
{
	const char *scheme = door->tls ? "https" : "http";

	for (size_t i = 0; i < door->addresses.count; i++) {
		const struct listen_address *address = &door->addresses.items[i];
		char where[LISTEN_TEXT_SIZE];

		if (address->is_optional || address->is_missing)
			continue;
		listen_address_print(address, where);
		if (address->is_unix)
			buf_printf(text, "%s\n", where);
		else if (strncmp(where, "0.0.0.0:", 8) == 0)
			buf_printf(text, "%s://127.0.0.1:%u/\n", scheme,
				   listen_address_port(address));
		else if (strncmp(where, "[::]:", 5) == 0)
			buf_printf(text, "%s://[::1]:%u/\n", scheme, listen_address_port(address));
		else
			buf_printf(text, "%s://%s/\n", scheme, where);
	}
}

uint64_t door_turned_ns(struct door *door)
{
	return front_turned_ns(door->front);
}

void door_describe_otlp(const struct door *door, struct buf *text)
{
	for (size_t i = 0; i < door->addresses.count; i++) {
		const struct listen_address *address = &door->addresses.items[i];
		char where[LISTEN_TEXT_SIZE];

		if (!address->is_optional || address->is_missing)
			continue;
		listen_address_print(address, where);
		buf_printf(text, "%s%s", text->size > 0 ? ", " : "", where);
	}
}

struct door *door_stop(struct door *door)
{
	if (!door)
		return NULL;
	/* Nothing new comes, what runs is answered; then nobody is left who could ask. */
	if (door->front)
		front_stop(door->front);
	http1_free(door->http1);
	workers_free(door->workers);
	front_free(door->front);
	relays_free(door->relays);
	http2_free(door->http2);
	routes_free(door->routes);
	tls_free(door->tls);
	free(door);
	return NULL;
}

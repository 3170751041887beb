/* SPDX-License-Identifier: Apache-2.0 */
#include "web/guard.h"

#include <assert.h>
#include <strings.h>

#include "base/parse.h"
#include "web/network.h"

static void add_host(struct guard *guard, struct str name)
{
	assert(guard->host_count < GUARD_HOST_COUNT_MAX);

	if (name.size == 0 || name.size >= GUARD_HOST_SIZE_MAX)
		return;

	char *host = guard->hosts[guard->host_count++];

	memcpy(host, name.text, name.size);
	host[name.size] = '\0';
}

/*
 * Takes "name", "name:port", "[v6]" or "[v6]:port" apart, as RFC 3986 writes an authority; false
 * for what is none.
 */
static bool split_authority(struct str text, struct str *ret_name)
{
	struct str name = text;
	struct str port = { 0 };
	size_t end = 0;
	uint64_t number;

	if (text.size > 0 && text.text[0] == '[')
		while (end < text.size && text.text[end] != ']')
			end++;

	const char *colon = end < text.size ? memchr(text.text + end, ':', text.size - end) : NULL;

	if (colon) {
		name.size = (size_t)(colon - text.text);
		port = (struct str){ colon + 1, text.size - name.size - 1 };
		if (parse_u64(port, &number) || number > UINT16_MAX)
			return false;
	}
	if (name.size == 0)
		return false;
	*ret_name = name;
	return true;
}

static struct str trimmed(struct str text)
{
	while (text.size > 0 && text.text[0] == ' ')
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && text.text[text.size - 1] == ' ')
		text.size--;
	return text;
}

/* The names of a list with commas, so many at most. */
static void add_hosts(struct guard *guard, struct str list, size_t count_max)
{
	struct str item;
	struct str name;

	for (size_t i = 0; i < count_max && parse_next(&list, ',', &item); i++)
		if (split_authority(trimmed(item), &name))
			add_host(guard, name);
}

static bool is_any_address(struct str host)
{
	return str_equal(host, STR("0.0.0.0")) || str_equal(host, STR("[::]"));
}

void guard_init(struct guard *guard, const char *listen_addresses, const char *host_name,
		const char *allowed_hosts)
{
	assert(listen_addresses && host_name && allowed_hosts);
	*guard = (struct guard){ .host_count = 0 };
	add_host(guard, STR("localhost"));
	add_host(guard, STR("127.0.0.1"));
	add_host(guard, STR("[::1]"));
	add_host(guard, str_from(host_name));
	add_hosts(guard, str_from(listen_addresses), LISTEN_ADDRESS_COUNT_MAX);
	for (size_t i = 0; i < guard->host_count; i++)
		guard->takes_any_address |= is_any_address(str_from(guard->hosts[i]));
	add_hosts(guard, str_from(allowed_hosts), ALLOWED_HOST_COUNT_MAX);
}

static bool is_ours(const struct guard *guard, struct str authority)
{
	struct network_address address;
	struct str name;

	if (!split_authority(authority, &name))
		return false;
	if (guard->takes_any_address && network_address_parse(name, &address))
		return true;
	for (size_t i = 0; i < guard->host_count; i++) {
		struct str host = str_from(guard->hosts[i]);

		if (host.size == name.size && strncasecmp(host.text, name.text, name.size) == 0)
			return true;
	}
	return false;
}

static bool is_our_origin(const struct guard *guard, struct str origin)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		struct str scheme = str_from(schemes[i]);

		if (str_starts_with(origin, scheme))
			return is_ours(guard, (struct str){ origin.text + scheme.size,
							    origin.size - scheme.size });
	}
	return false; /* "null" among them */
}

static bool only_reads(const struct request *request)
{
	return str_equal(request->method, STR("GET")) || str_equal(request->method, STR("HEAD"));
}

/* A person who follows a link from elsewhere to our page; the elsewhere can't read what it shows.
 */
static bool is_navigation(const struct request *request)
{
	return str_equal(request->method, STR("GET")) &&
	       str_equal(request_header(request, STR("sec-fetch-mode")), STR("navigate")) &&
	       str_equal(request_header(request, STR("sec-fetch-dest")), STR("document"));
}

int guard_check(const struct guard *guard, const struct request *request, struct str host,
		const char **ret_reason)
{
	struct str origin = request_header(request, STR("origin"));
	struct str site = request_header(request, STR("sec-fetch-site"));

	assert(guard->host_count > 0);
	/* Nobody's browser can be led to a unix socket. */
	if (request->peer.kind != PEER_UNIX && !is_ours(guard, host)) {
		*ret_reason = "this host name is not served here; use localhost, 127.0.0.1 or the "
			      "host's own name, or name it in allowed-hosts";
		return 421;
	}
	if (str_equal(site, STR("cross-site")) && !is_navigation(request)) {
		*ret_reason = "requests from other sites are not answered";
		return 403;
	}
	if (origin.text && !only_reads(request) && !is_our_origin(guard, origin)) {
		*ret_reason = "requests from pages of another origin are not answered";
		return 403;
	}
	return 0;
}

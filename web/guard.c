/* SPDX-License-Identifier: Apache-2.0 */
#include "web/guard.h"

#include <assert.h>
#include <strings.h>

#include "base/parse.h"

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

void guard_init(struct guard *guard, const char *listen_address, const char *host_name)
{
	struct str listen_host;

	assert(listen_address && host_name);
	*guard = (struct guard){ .host_count = 0 };
	add_host(guard, STR("localhost"));
	add_host(guard, STR("127.0.0.1"));
	add_host(guard, STR("[::1]"));
	if (split_authority(str_from(listen_address), &listen_host))
		add_host(guard, listen_host);
	add_host(guard, str_from(host_name));
}

static bool is_ours(const struct guard *guard, struct str authority)
{
	struct str name;

	if (!split_authority(authority, &name))
		return false;
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

int guard_check(const struct guard *guard, const struct request *request, const char **ret_reason)
{
	struct str host = request_header(request, STR("host"));
	struct str origin = request_header(request, STR("origin"));
	struct str site = request_header(request, STR("sec-fetch-site"));

	assert(guard->host_count > 0);
	if (!is_ours(guard, host)) {
		*ret_reason = "this host name is not served here; use localhost, 127.0.0.1 or the "
			      "host's own name";
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

enum role guard_role(const struct request *request)
{
	static const struct str passed_on[] = {
		{ "forwarded", 9 },
		{ "x-forwarded-for", 15 },
		{ "x-real-ip", 9 },
	};

	if (!request->peer.is_loopback)
		return ROLE_NOBODY;
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		if (request_header(request, passed_on[i]).text)
			return ROLE_NOBODY;
	return ROLE_ADMIN;
}

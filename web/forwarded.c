/* SPDX-License-Identifier: Apache-2.0 */
#include "web/forwarded.h"

#include <assert.h>
#include <strings.h>

#include "base/parse.h"

static bool equal_caseless(struct str a, struct str b)
{
	return a.size == b.size && (a.size == 0 || strncasecmp(a.text, b.text, a.size) == 0);
}

static struct str trimmed(struct str text)
{
	while (text.size > 0 && (text.text[0] == ' ' || text.text[0] == '\t'))
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 &&
	       (text.text[text.size - 1] == ' ' || text.text[text.size - 1] == '\t'))
		text.size--;
	return text;
}

static struct str unquoted(struct str text)
{
	text = trimmed(text);
	if (text.size >= 2 && text.text[0] == '"' && text.text[text.size - 1] == '"')
		return (struct str){ text.text + 1, text.size - 2 };
	return text;
}

bool forwarded_is_there(const struct request *request)
{
	static const struct str names[] = {
		{ "forwarded", 9 },
		{ "x-forwarded-for", 15 },
		{ "x-real-ip", 9 },
		{ "x-forwarded-host", 16 },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (request_header(request, names[i]).text)
			return true;
	return false;
}

/* "192.0.2.1", "192.0.2.1:4711", "[2001:db8::1]:4711". */
static bool parse_node(struct str text, struct network_address *ret)
{
	size_t colon = text.size;

	if (network_address_parse(text, ret))
		return true;
	while (colon > 0 && text.text[colon - 1] != ':')
		colon--;
	return colon > 1 && network_address_parse((struct str){ text.text, colon - 1 }, ret);
}

/* The pair's value in "for=192.0.2.1;proto=https"; an absent text when it is not there. */
static struct str pair_value(struct str element, struct str name)
{
	struct str pair;
	struct str key;

	while (parse_next(&element, ';', &pair))
		if (parse_next(&pair, '=', &key) && equal_caseless(trimmed(key), name))
			return unquoted(pair);
	return (struct str){ 0 };
}

/*
 * Takes the last item off the end of a list with commas. A comma within quotes would be part of a
 * text; no address has one, so that such an item is no address either way.
 */
static bool take_last(struct str *list, struct str *ret)
{
	size_t start = list->size;

	if (list->size == 0)
		return false;
	while (start > 0 && list->text[start - 1] != ',')
		start--;
	*ret = trimmed((struct str){ list->text + start, list->size - start });
	list->size = start > 0 ? start - 1 : 0;
	return true;
}

/* One header line of the way, from its end; true when the client was met or the way is no good. */
static bool walk_line(struct str line, bool is_standard, const struct network_ranges *trusted,
		      struct forwarded *forwarded)
{
	struct str item;

	while (take_last(&line, &item)) {
		struct str node = is_standard ? pair_value(item, STR("for")) : item;

		if (is_standard)
			forwarded->is_secure =
				equal_caseless(pair_value(item, STR("proto")), STR("https"));
		forwarded->is_known = parse_node(node, &forwarded->client);
		if (!forwarded->is_known || !network_ranges_hold(trusted, &forwarded->client))
			return true;
	}
	return false;
}

struct forwarded forwarded_read(const struct request *request, const struct network_ranges *trusted)
{
	struct forwarded forwarded = { .is_known = false };
	bool is_standard = request_header(request, STR("forwarded")).text != NULL;
	struct str name = is_standard ? STR("forwarded") : STR("x-forwarded-for");

	assert(request->header_count <= REQUEST_HEADER_COUNT_MAX);
	for (size_t i = request->header_count; i > 0; i--) {
		const struct header *header = &request->headers[i - 1];

		if (equal_caseless(header->name, name) &&
		    walk_line(header->value, is_standard, trusted, &forwarded))
			break;
	}
	/* What the two headers say must not differ: a proxy adds to one and passes the other on. */
	if (is_standard && request_header(request, STR("x-forwarded-for")).text)
		forwarded.is_known = false;
	if (!is_standard)
		forwarded.is_secure = equal_caseless(
			request_header(request, STR("x-forwarded-proto")), STR("https"));
	return forwarded;
}

struct str forwarded_host(const struct request *request)
{
	struct str host = { 0 };

	for (size_t i = request->header_count; i > 0 && !host.text; i--) {
		struct str line = request->headers[i - 1].value;

		if (equal_caseless(request->headers[i - 1].name, STR("x-forwarded-host"))) {
			(void)take_last(&line, &host);
		} else if (equal_caseless(request->headers[i - 1].name, STR("forwarded"))) {
			struct str element;

			if (take_last(&line, &element))
				host = pair_value(element, STR("host"));
		}
	}
	return host;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/head.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/parse.h"

enum { METHOD_SIZE_MAX = 16, LENGTH_DIGITS_MAX = 15 };

static bool refuse(struct head *head, int status, const char *why)
{
	head->status = status;
	head->why = why;
	return false;
}

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

/* A token of RFC 9110 5.6.2. */
static bool is_token(struct str text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < text.size; i++) {
		char c = text.text[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    !memchr(others, c, sizeof(others) - 1))
			return false;
	}
	return text.size > 0;
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static bool read_version(struct str text, bool *ret_is_1_1, struct head *head)
{
	*ret_is_1_1 = str_equal(text, STR("HTTP/1.1"));
	if (*ret_is_1_1 || str_equal(text, STR("HTTP/1.0")))
		return true;
	if (str_starts_with(text, STR("HTTP/")))
		return refuse(head, 505, "this version of HTTP is not spoken here");
	return refuse(head, 400, "this is no HTTP request that can be answered");
}

static bool read_request_line(struct str line, bool *ret_is_1_1, struct head *head)
{
	struct str method, target;
	struct str version = line;

	if (!parse_next(&version, ' ', &method) || !parse_next(&version, ' ', &target))
		return refuse(head, 400, "this is no HTTP request that can be answered");
	if (!read_version(version, ret_is_1_1, head))
		return false;
	if (!is_token(method) || method.size > METHOD_SIZE_MAX)
		return refuse(head, 400, "the method is none");
	if (target.size == 0 || target.text[0] != '/')
		return refuse(head, 400, "the path must begin with '/'");
	for (size_t i = 0; i < target.size; i++)
		if (target.text[i] <= ' ' || target.text[i] >= 0x7f || target.text[i] == '#')
			return refuse(head, 400, "the path is not percent-encoded as it should be");
	head->is_for_head = str_equal(method, STR("HEAD"));
	return true;
}

struct counts {
	size_t headers, hosts, lengths, encodings;
};

static bool read_length(struct str value, struct head *head)
{
	if (value.size > LENGTH_DIGITS_MAX || parse_u64(value, &head->body_size))
		return refuse(head, 400, "Content-Length is no number");
	return true;
}

static void read_connection(struct str value, struct head *head)
{
	struct str item;

	while (parse_next(&value, ',', &item))
		if (equal_caseless(trimmed(item), STR("close")))
			head->stays_open = false;
		else if (!equal_caseless(trimmed(item), STR("keep-alive")))
			head->is_plain = false;
}

static bool read_header(struct str line, struct counts *counts, struct head *head)
{
	struct str value = line;
	struct str name;

	if (!memchr(line.text, ':', line.size) || !parse_next(&value, ':', &name) ||
	    !is_token(name))
		return refuse(head, 400, "a header is malformed");
	value = trimmed(value);
	if (++counts->headers > REQUEST_HEADER_COUNT_MAX) {
		static_assert(REQUEST_HEADER_COUNT_MAX == 63, "the sentence says so");
		head->limit = LIMIT_HEADER_COUNT;
		return refuse(head, 431, "there are more than 63 headers");
	}
	if (equal_caseless(name, STR("host"))) {
		counts->hosts++;
	} else if (equal_caseless(name, STR("content-length"))) {
		counts->lengths++;
		return read_length(value, head);
	} else if (equal_caseless(name, STR("transfer-encoding"))) {
		counts->encodings++;
		if (!equal_caseless(value, STR("chunked")))
			return refuse(head, 400, "this Transfer-Encoding is not known");
	} else if (equal_caseless(name, STR("connection"))) {
		read_connection(value, head);
	} else if (equal_caseless(name, STR("expect"))) {
		head->expects_continue = true;
		if (!equal_caseless(value, STR("100-continue")))
			return refuse(head, 417, "only 100-continue may be expected");
	}
	return true;
}

static bool conclude(const struct counts *counts, bool is_1_1, struct head *head)
{
	if (counts->lengths + counts->encodings > 1)
		return refuse(head, 400, "the body has two lengths");
	if (counts->encodings && !is_1_1)
		return refuse(head, 400, "chunks are for HTTP/1.1");
	if (counts->hosts != 1)
		return refuse(head, 400, "there must be one Host");
	if (counts->encodings)
		head->body = HEAD_BODY_CHUNKED;
	else if (head->body_size > 0)
		head->body = HEAD_BODY_LENGTH;
	head->expects_continue = head->expects_continue && head->body != HEAD_BODY_NONE;
	head->stays_open = head->stays_open && is_1_1;
	return true;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/*
 * Where the head ends, 0 when that is not here; false for bytes that have no place in one: control
 * characters, and a CR or an LF without the other.
 */
static bool find_end(const uint8_t *bytes, size_t size, size_t seen, size_t *ret_end,
		     struct head *head)
{
	/* A CR may have been the last one that was seen, and CR LF CR what was before the last. */
	size_t first = seen > 3 ? seen - 3 : 0;

	*ret_end = 0;
	for (size_t i = first; i < size; i++) {
		uint8_t c = bytes[i];

		if (c == '\n') {
			if (i == 0 || bytes[i - 1] != '\r')
				return refuse(head, 400, "a line ends without CR");
			if (i >= 3 && bytes[i - 2] == '\n') {
				*ret_end = i + 1;
				return true;
			}
		} else if (i > 0 && bytes[i - 1] == '\r') {
			return refuse(head, 400, "a CR stands alone");
		} else if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f) {
			return refuse(head, 400, "a control character stands in the head");
		}
	}
	return true;
}

static bool read_lines(const uint8_t *bytes, struct head *head)
{
	struct str rest = { (const char *)bytes, head->size - 2 };
	struct counts counts = { .headers = 0 };
	bool is_1_1 = false;
	bool is_first = true;
	struct str line;

	head->stays_open = true;
	head->is_plain = true;
	while (parse_next(&rest, '\n', &line)) {
		assert(line.size > 0 && line.text[line.size - 1] == '\r');
		line.size--;
		if (is_first ? !read_request_line(line, &is_1_1, head)
			     : !read_header(line, &counts, head))
			return false;
		is_first = false;
	}
	return conclude(&counts, is_1_1, head);
}

enum head_state head_read(const uint8_t *bytes, size_t size, size_t seen, struct head *ret)
{
	size_t end;

	static_assert(REQUEST_HEAD_SIZE_MAX == 16384, "the sentence says so");
	assert(seen <= size);
	*ret = (struct head){ .size = 0 };
	if (!find_end(bytes, size, seen, &end, ret))
		return HEAD_REFUSED;
	if (end > REQUEST_HEAD_SIZE_MAX || (end == 0 && size >= REQUEST_HEAD_SIZE_MAX)) {
		ret->limit = LIMIT_HEAD_SIZE;
		(void)refuse(ret, 431, "request line and headers are longer than 16384 bytes");
		return HEAD_REFUSED;
	}
	if (end == 0)
		return HEAD_UNFINISHED;
	ret->size = end;
	return read_lines(bytes, ret) ? HEAD_WHOLE : HEAD_REFUSED;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http1_reply.h"

#include <assert.h>
#include <time.h>

#include "base/clock.h"
#include "web/guard.h"

const char *http1_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{ 200, "OK" },
		{ 304, "Not Modified" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 499, "Client Closed Request" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Error";
}

void http1_write_head(const struct reply *reply, bool stays_open, struct buf *head)
{
	char date[64] = "";
	time_t now = (time_t)(clock_unix_ms() / CLOCK_MS_PER_S);
	struct tm parts;

	assert(reply->status >= 200 && reply->status < 600);
	assert(reply->status != 304 || reply->body.size == 0);
	if (gmtime_r(&now, &parts))
		(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
	buf_printf(head, "HTTP/1.1 %d %s\r\nDate: %s\r\n", reply->status,
		   http1_status_text(reply->status), date);
	buf_add_str(head, STR(GUARD_HEADERS));
	/* Files of the page may be kept, and asked for by their tag; all else is of the moment. */
	buf_printf(head, "Cache-Control: %s\r\n",
		   reply->never_changes	  ? "private, max-age=31536000, immutable"
		   : reply->may_be_cached ? "no-cache"
					  : "no-store");
	if (reply->etag[0])
		buf_printf(head, "ETag: %s\r\n", reply->etag);
	if (reply->content_encoding)
		buf_printf(head, "Content-Encoding: %s\r\n", reply->content_encoding);
	for (size_t i = 0; i < reply->header_count; i++)
		buf_printf(head, "%.*s: %.*s\r\n", STR_PRINT(reply->headers[i].name),
			   STR_PRINT(reply->headers[i].value));
	if (!stays_open)
		buf_add_str(head, STR("Connection: close\r\n"));
	if (reply->status != 304)
		buf_printf(head, "Content-Type: %s\r\nContent-Length: %zu\r\n", reply->content_type,
			   reply->body.size);
	buf_add_str(head, STR("\r\n"));
}

bool http1_is_small(const struct reply *reply, bool is_for_head)
{
	return is_for_head || reply->body.size <= HTTP1_SMALL_SIZE_MAX;
}

void http1_write(const struct reply *reply, bool is_for_head, bool stays_open, struct buf *first)
{
	http1_write_head(reply, stays_open, first);
	if (!is_for_head && http1_is_small(reply, is_for_head))
		buf_add(first, reply->body.bytes, reply->body.size);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/compression.h"

#include <assert.h>
#include <errno.h>
#include <strings.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/parse.h"
#include "web/reply.h"

enum {
	/* About what fits into one packet. */
	SIZE_MIN = 1024,
	/* The fastest: a flame graph takes a fifth of the time of the default, and a tenth more
	   room. */
	LEVEL = 1,
	WINDOW_BITS_GZIP = 15 + 16,
	MEMORY_LEVEL = 8,
	UNPACK_SIZE = 65536,
};

static struct str trimmed(struct str text)
{
	while (text.size > 0 && text.text[0] == ' ')
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && text.text[text.size - 1] == ' ')
		text.size--;
	return text;
}

/* "q=0", "q=0.000": this one not. */
static bool is_refused(struct str parameter)
{
	struct str text = trimmed(parameter);

	if (text.size < 3 || strncasecmp(text.text, "q=", 2) != 0)
		return false;
	for (size_t i = 2; i < text.size; i++)
		if (text.text[i] != '0' && text.text[i] != '.')
			return false;
	return true;
}

/* By the last word on gzip itself, else on any encoding. */
bool compression_takes_gzip(const struct request *request)
{
	struct str rest = request_header(request, STR("accept-encoding"));
	struct str item;
	bool takes_any = false;
	bool is_named = false;
	bool takes = false;

	while (parse_next(&rest, ',', &item)) {
		struct str parameter = { 0 };
		struct str name = { 0 };

		if (!parse_next(&item, ';', &name))
			continue;
		name = trimmed(name);

		bool is_wanted = !(parse_next(&item, ';', &parameter) && is_refused(parameter));

		if (name.size == 4 && strncasecmp(name.text, "gzip", 4) == 0) {
			is_named = true;
			takes = is_wanted;
		} else if (str_equal(name, STR("*"))) {
			takes_any = is_wanted;
		}
	}
	return is_named ? takes : takes_any;
}

int compression_gzip(struct buf *buf)
{
	struct buf packed = BUF(buf->limit);
	z_stream stream = { 0 };

	assert(!buf->error);
	if (deflateInit2(&stream, LEVEL, Z_DEFLATED, WINDOW_BITS_GZIP, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	stream.next_in = buf->bytes;
	stream.avail_in = (uInt)buf->size;
	stream.next_out = buf_grow(&packed, deflateBound(&stream, buf->size));
	stream.avail_out = (uInt)packed.size;
	if (!packed.error) {
		int code = deflate(&stream, Z_FINISH);

		assert(code == Z_STREAM_END);
		packed.size = stream.total_out;
	}
	(void)deflateEnd(&stream);
	if (packed.error) {
		int err = packed.error;

		buf_done(&packed);
		return err;
	}
	buf_done(buf);
	*buf = packed;
	return 0;
}

bool compression_is_gzip(struct str bytes)
{
	return str_starts_with(bytes, (struct str){ "\x1f\x8b", 2 });
}

/* 1 at the end of a member, 0 to go on. */
static int unpack_piece(z_stream *stream, request_sink *take, void *context)
{
	uint8_t room[UNPACK_SIZE];
	int err;

	stream->next_out = room;
	stream->avail_out = sizeof(room);

	int code = inflate(stream, Z_NO_FLUSH);
	size_t size = sizeof(room) - stream->avail_out;

	err = size > 0 ? take(context, room, size) : 0;
	if (err)
		return err;
	if (code == Z_STREAM_END)
		return 1;
	if (code == Z_MEM_ERROR)
		return -ENOMEM;
	/* Nothing more to read, and still not at the end. */
	if (code != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0))
		return -EBADMSG;
	return 0;
}

int compression_unpack(struct str packed, request_sink *take, void *context)
{
	z_stream stream = { 0 };
	int err = 0;

	assert(packed.size <= UINT32_MAX);
	if (inflateInit2(&stream, WINDOW_BITS_GZIP) != Z_OK)
		return -ENOMEM;
	stream.next_in = (const unsigned char *)packed.text;
	stream.avail_in = (uInt)packed.size;
	do {
		err = unpack_piece(&stream, take, context);
		if (err == 1 && stream.avail_in > 0)
			err = inflateReset(&stream) == Z_OK ? 0 : -EBADMSG;
	} while (!err);
	(void)inflateEnd(&stream);
	return err < 0 ? err : 0;
}

static int take_into_buf(void *context, const void *bytes, size_t size)
{
	struct buf *buf = context;

	buf_add(buf, bytes, size);
	return buf->error == -EFBIG ? -E2BIG : buf->error;
}

int compression_gunzip(struct str packed, struct buf *buf)
{
	return compression_unpack(packed, take_into_buf, buf);
}

void reply_compress(const struct request *request, struct reply *reply)
{
	if (reply->body.size < SIZE_MIN || reply->body.error || reply->content_encoding ||
	    reply->is_packed || reply->etag[0] || !compression_takes_gzip(request) ||
	    compression_gzip(&reply->body))
		return;
	reply->content_encoding = "gzip";
	reply_add_header(reply, "Vary", "Accept-Encoding");
}

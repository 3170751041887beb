/* SPDX-License-Identifier: Apache-2.0 */
#include "web/request.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"

enum {
	READ_SIZE = 16384,
	SPOOL_SIZE = 65536,
	UNPACK_SIZE = 16384,
	/* From here on the ratio counts: small texts legitimately pack very well. */
	RATIO_FREE_SIZE = 1 << 20,
	/* 8 MiB, what a decoder must have by RFC 8878. */
	ZSTD_WINDOW_LOG_MAX = 23,
	GZIP_WINDOW_BITS = 15 + 16, /* gzip's header and nothing else, as zlib.h says */
};

static bool equal_without_case(struct str a, struct str b)
{
	return a.size == b.size && (a.size == 0 || strncasecmp(a.text, b.text, a.size) == 0);
}

struct str request_header(const struct request *request, struct str name)
{
	assert(request->header_count <= REQUEST_HEADER_COUNT_MAX);

	for (size_t i = 0; i < request->header_count; i++)
		if (equal_without_case(request->headers[i].name, name))
			return request->headers[i].value;
	return (struct str){ 0 };
}

/* ---- the query --------------------------------------------------------------------------------
 */

/* What stands at text[i], and how many bytes it took; -1 when it is no encoding. */
static int decoded_byte(struct str text, size_t i, bool plus_is_space, size_t *ret_size)
{
	uint64_t value;

	*ret_size = 1;
	if (text.text[i] == '+' && plus_is_space)
		return ' ';
	if (text.text[i] != '%')
		return text.text[i] ? (unsigned char)text.text[i] : -1;
	if (text.size - i < 3 || parse_hex((struct str){ text.text + i + 1, 2 }, &value) ||
	    value == 0)
		return -1;
	*ret_size = 3;
	return (int)value;
}

int request_decode(struct str text, bool plus_is_space, struct buf *buffer)
{
	size_t size = 0;

	for (size_t i = 0; i < text.size; i += size) {
		int byte = decoded_byte(text, i, plus_is_space, &size);

		if (byte < 0)
			return -EBADMSG;
		assert(byte > 0 && byte < 256);
		buf_add_u8(buffer, (uint8_t)byte);
	}
	return buffer->error;
}

static bool can_be_decoded(struct str text)
{
	size_t size = 0;

	for (size_t i = 0; i < text.size; i += size)
		if (decoded_byte(text, i, true, &size) < 0)
			return false;
	return true;
}

bool request_query_is_sound(const struct request *request)
{
	return can_be_decoded(request->query);
}

static bool decodes_to(struct str encoded, struct str plain)
{
	size_t size = 0;
	size_t matched = 0;

	for (size_t i = 0; i < encoded.size; i += size) {
		int byte = decoded_byte(encoded, i, true, &size);

		if (byte < 0 || matched == plain.size ||
		    (unsigned char)plain.text[matched] != (unsigned)byte)
			return false;
		matched++;
	}
	return matched == plain.size;
}

/* Decoding shrinks, so one piece of memory of the query's size holds every parameter in place. */
static bool make_room(struct buf *buffer, size_t size)
{
	if (buffer->size == 0 && buffer->capacity < size) {
		if (!buf_grow(buffer, size))
			return false;
		buffer->size = 0;
	}
	return !buffer->error;
}

bool request_parameter(const struct request *request, struct str name, struct buf *buffer,
		       struct str *ret)
{
	struct str rest = request->query;
	struct str part;

	if (rest.size == 0 || !make_room(buffer, rest.size))
		return false;
	while (parse_next(&rest, '&', &part)) {
		struct str value = part;
		struct str key = { 0 };

		if (!parse_next(&value, '=', &key) || !decodes_to(key, name))
			continue;

		size_t start = buffer->size;

		assert(buffer->capacity - start >= value.size);
		if (request_decode(value, true, buffer))
			return false;
		*ret = (struct str){ (const char *)buffer->bytes + start, buffer->size - start };
		return true;
	}
	return false;
}

/* ---- the body ---------------------------------------------------------------------------------
 */

struct body_clock {
	struct request *request;
	uint64_t start_ns, end_ns;
	uint64_t size; /* that came so far */
};

static struct body_clock start_clock(struct request *request)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t end_ns = now_ns + UINT64_C(1) * REQUEST_BODY_SECONDS_MAX * CLOCK_NS_PER_S;

	if (request->deadline_monotonic_ns && request->deadline_monotonic_ns < end_ns)
		end_ns = request->deadline_monotonic_ns;
	return (struct body_clock){ .request = request, .start_ns = now_ns, .end_ns = end_ns };
}

/* Too slow is who has sent less than the rate for the whole time, once that is more than a moment.
 */
static bool is_slow(const struct body_clock *clock, uint64_t now_ns)
{
	uint64_t elapsed_s = (now_ns - clock->start_ns) / (uint64_t)CLOCK_NS_PER_S;

	return elapsed_s >= REQUEST_BODY_GRACE_SECONDS &&
	       clock->size < elapsed_s * REQUEST_BODY_RATE_MIN;
}

static int64_t read_some(struct body_clock *clock, void *bytes, size_t size)
{
	struct request *request = clock->request;
	uint64_t now_ns = clock_monotonic_ns();

	if (!request->read_body)
		return 0;
	if (now_ns >= clock->end_ns)
		return -ETIMEDOUT;
	if (is_slow(clock, now_ns))
		return -ETIME;

	assert(size > 0);

	int64_t count = request->read_body(request, bytes, size);

	assert(count <= (int64_t)size);
	if (count > 0)
		clock->size += (uint64_t)count;
	return count;
}

/* A size that the sender announces spares reading what would be refused at its end. */
static bool announces_more_than(const struct request *request, size_t limit)
{
	uint64_t size;

	return parse_u64(request_header(request, STR("content-length")), &size) == 0 &&
	       size > limit;
}

/* Where the body goes. */
struct sink {
	request_sink *take;
	void *context;
	uint64_t size; /* that went there */
};

static int sink_add(struct sink *sink, const void *bytes, size_t size)
{
	sink->size += size;
	return size > 0 ? sink->take(sink->context, bytes, size) : 0;
}

static int as_is(struct body_clock *clock, struct sink *sink)
{
	uint8_t piece[READ_SIZE];
	int64_t count;

	while ((count = read_some(clock, piece, sizeof(piece))) > 0) {
		int err = sink_add(sink, piece, (size_t)count);

		if (err)
			return err;
	}
	return (int)count;
}

static int sink_into_buf(void *context, const void *bytes, size_t size)
{
	struct buf *buf = context;

	buf_add(buf, bytes, size);
	return buf->error == -EFBIG ? -E2BIG : buf->error;
}

static int64_t read_held(struct request *request, void *bytes, size_t size)
{
	struct held_body *held = request->body_context;

	assert(held->next <= held->bytes.size);

	size_t left = held->bytes.size - held->next;

	if (size > left)
		size = left;
	if (size)
		memcpy(bytes, held->bytes.bytes + held->next, size);
	held->next += size;
	return (int64_t)size;
}

int request_hold_body(struct request *request, struct held_body *held)
{
	struct body_clock clock = start_clock(request);

	assert(held->next == 0 && held->bytes.size == 0);
	assert(held->bytes.limit > 0);
	if (announces_more_than(request, held->bytes.limit))
		return -E2BIG;

	struct sink sink = { .take = sink_into_buf, .context = &held->bytes };
	int err = as_is(&clock, &sink);

	if (err)
		return err;
	request->read_body = read_held;
	request->body_context = held;
	return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

int64_t request_spool_body(struct request *request, int fd, size_t size_max)
{
	autofree uint8_t *piece = malloc(SPOOL_SIZE);
	struct body_clock clock = start_clock(request);
	int64_t count;

	if (!piece)
		return -ENOMEM;
	if (announces_more_than(request, size_max))
		return -E2BIG;
	while ((count = read_some(&clock, piece, SPOOL_SIZE)) > 0) {
		int err = clock.size > size_max ? -E2BIG : write_all(fd, piece, (size_t)count);

		if (err)
			return err;
	}
	return count < 0 ? count : (int64_t)clock.size;
}

/* Adds what was unpacked, within a sane ratio to what came over the wire. */
static int add_unpacked(struct sink *sink, const void *bytes, size_t size, uint64_t packed_size)
{
	int err = sink_add(sink, bytes, size);

	assert(packed_size > 0);
	if (!err && sink->size > RATIO_FREE_SIZE && sink->size / REQUEST_RATIO_MAX > packed_size)
		err = -E2BIG;
	return err;
}

struct gzip_reader {
	z_stream stream;
	bool ended;
};

static int unpack_gzip_piece(struct gzip_reader *gzip, struct sink *sink, uint64_t packed_size)
{
	uint8_t unpacked[UNPACK_SIZE];

	do {
		gzip->stream.next_out = unpacked;
		gzip->stream.avail_out = sizeof(unpacked);

		int code = inflate(&gzip->stream, Z_NO_FLUSH);

		if (code == Z_MEM_ERROR)
			return -ENOMEM;
		if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
			return -EBADMSG;
		gzip->ended = code == Z_STREAM_END;

		int err = add_unpacked(sink, unpacked, sizeof(unpacked) - gzip->stream.avail_out,
				       packed_size);

		if (err)
			return err;
	} while (!gzip->ended && gzip->stream.avail_out == 0);
	/* One member is the whole body. */
	return gzip->ended && gzip->stream.avail_in > 0 ? -EBADMSG : 0;
}

/* window_bits tell which of zlib's formats it is. */
static int unpack_gzip(struct body_clock *clock, struct sink *sink, int window_bits)
{
	struct gzip_reader gzip = { .ended = false };
	uint8_t piece[READ_SIZE];
	uint64_t packed_size = 0;
	int64_t count;
	int err = 0;

	if (inflateInit2(&gzip.stream, window_bits) != Z_OK)
		return -ENOMEM;
	while (!err && (count = read_some(clock, piece, sizeof(piece))) != 0) {
		if (count < 0) {
			err = (int)count;
		} else if (gzip.ended) {
			err = -EBADMSG;
		} else {
			packed_size += (uint64_t)count;
			gzip.stream.next_in = piece;
			gzip.stream.avail_in = (uInt)count;
			err = unpack_gzip_piece(&gzip, sink, packed_size);
		}
	}
	(void)inflateEnd(&gzip.stream);
	if (err)
		return err;
	return gzip.ended || packed_size == 0 ? 0 : -EBADMSG;
}

static int zstd_errno(size_t code)
{
	if (!ZSTD_isError(code))
		return 0;
	return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
}

static int unpack_zstd_piece(ZSTD_DCtx *context, ZSTD_inBuffer *in, struct sink *sink,
			     uint64_t packed_size, size_t *ret_missing)
{
	uint8_t unpacked[UNPACK_SIZE];
	bool is_full = false;

	while (in->pos < in->size || is_full) {
		ZSTD_outBuffer out = { unpacked, sizeof(unpacked), 0 };
		size_t missing = ZSTD_decompressStream(context, &out, in);
		int err = zstd_errno(missing);

		if (!err)
			err = add_unpacked(sink, unpacked, out.pos, packed_size);
		if (err)
			return err;
		*ret_missing = missing;
		is_full = out.pos == out.size && missing > 0;
	}
	return 0;
}

static int unpack_zstd(struct body_clock *clock, struct sink *sink)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	uint8_t piece[READ_SIZE];
	uint64_t packed_size = 0;
	size_t missing = 0;
	int64_t count;
	int err = 0;

	if (!context)
		return -ENOMEM;
	err = zstd_errno(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
	while (!err && (count = read_some(clock, piece, sizeof(piece))) != 0) {
		if (count < 0) {
			err = (int)count;
			break;
		}

		ZSTD_inBuffer in = { piece, (size_t)count, 0 };

		packed_size += (uint64_t)count;
		err = unpack_zstd_piece(context, &in, sink, packed_size, &missing);
	}
	(void)ZSTD_freeDCtx(context);
	if (err)
		return err;
	return missing == 0 ? 0 : -EBADMSG;
}

int request_take_body(struct request *request, request_sink *take, void *context)
{
	struct str encoding = request_header(request, STR("content-encoding"));
	struct body_clock clock = start_clock(request);
	struct sink sink = { .take = take, .context = context };

	if (equal_without_case(encoding, STR("gzip")))
		return unpack_gzip(&clock, &sink, GZIP_WINDOW_BITS);
	/* HTTP's deflate is what zlib calls its own format. */
	if (equal_without_case(encoding, STR("deflate")) ||
	    equal_without_case(encoding, STR("zlib")))
		return unpack_gzip(&clock, &sink, MAX_WBITS);
	if (equal_without_case(encoding, STR("zstd")))
		return unpack_zstd(&clock, &sink);
	if (encoding.size > 0 && !equal_without_case(encoding, STR("identity")))
		return -EOPNOTSUPP;
	return as_is(&clock, &sink);
}

int request_read_body(struct request *request, struct buf *body)
{
	struct str encoding = request_header(request, STR("content-encoding"));

	/* It is compared with what comes as it is. */
	if ((encoding.size == 0 || equal_without_case(encoding, STR("identity"))) &&
	    announces_more_than(request, body->limit))
		return -E2BIG;
	return request_take_body(request, sink_into_buf, body);
}

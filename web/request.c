/* SPDX-License-Identifier: Apache-2.0 */
#include "web/request.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "web/coding.h"

enum {
	READ_SIZE = 16384,
	SPOOL_SIZE = 65536,
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

	uint8_t piece[READ_SIZE];
	int64_t count;
	int err = 0;

	while (!err && (count = read_some(&clock, piece, sizeof(piece))) != 0)
		err = count < 0 ? (int)count : sink_into_buf(&held->bytes, piece, (size_t)count);
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

int request_take_body(struct request *request, request_sink *take, void *context)
{
	struct body_clock clock = start_clock(request);
	autoclean(coding) struct coding *coding = NULL;
	uint8_t piece[READ_SIZE];
	int64_t count;
	int err = coding_new(request_header(request, STR("content-encoding")), take, context,
			     &coding);

	while (!err && (count = read_some(&clock, piece, sizeof(piece))) != 0)
		err = count < 0 ? (int)count : coding_add(coding, piece, (size_t)count);
	return err ? err : coding_end(coding);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "tests/support/exchange.h"

static void compares_header_names_without_case(void **state)
{
	autoclean(exchange) struct exchange exchange;

	(void)state;
	exchange_init(&exchange, "GET", "/");
	exchange_header(&exchange, "X-Thing", "");
	assert_true(str_equal(request_header(&exchange.request, STR("hOST")), STR("localhost")));
	assert_non_null(request_header(&exchange.request, STR("x-thing")).text);
	assert_null(request_header(&exchange.request, STR("x-thin")).text);
}

static void decodes_strictly(void **state)
{
	static const struct {
		const char *text;
		const char *decoded; /* NULL: refused */
	} cases[] = {
		{ "a+b", "a b" }, { "%41%7a", "Az" }, { "%C3%A9", "\xc3\xa9" }, { "", "" },
		{ "%", NULL },	  { "%4", NULL },     { "%4g", NULL },		{ "%00", NULL },
		{ "a%2", NULL },  { "%+1", NULL },    { "%2B", "+" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf buf = BUF(64);
		int err = request_decode(str_from(cases[i].text), true, &buf);

		assert_int_equal(err, cases[i].decoded ? 0 : -EBADMSG);
		if (cases[i].decoded)
			assert_true(str_equal(str_from(cases[i].decoded),
					      (struct str){ (const char *)buf.bytes, buf.size }));
	}
}

static void keeps_all_parameters_where_they_are(void **state)
{
	autoclean(exchange) struct exchange exchange;
	autoclean(buf) struct buf buf = BUF(4096);
	char target[1024] = "/x?a=1&b=";
	struct str a = { 0 };
	struct str b = { 0 };
	struct str c = { 0 };

	(void)state;
	memset(target + strlen(target), 'x', 600);
	strncat(target, "&c=%7B%7D&a=2&d", 20);
	exchange_init(&exchange, "GET", target);
	assert_true(request_query_is_sound(&exchange.request));
	assert_true(request_parameter(&exchange.request, STR("a"), &buf, &a));
	assert_true(request_parameter(&exchange.request, STR("b"), &buf, &b));
	assert_true(request_parameter(&exchange.request, STR("c"), &buf, &c));
	assert_true(str_equal(a, STR("1")));
	assert_int_equal(b.size, 600);
	assert_true(str_equal(c, STR("{}")));
	assert_false(request_parameter(&exchange.request, STR("e"), &buf, &c));
	assert_false(request_parameter(&exchange.request, STR(""), &buf, &c));
}

static void finds_parameters_with_encoded_names(void **state)
{
	autoclean(exchange) struct exchange exchange;
	autoclean(buf) struct buf buf = BUF(64);
	struct str value = { 0 };

	(void)state;
	exchange_init(&exchange, "GET", "/?max%2Dnodes=5&empty=");
	assert_true(request_parameter(&exchange.request, STR("max-nodes"), &buf, &value));
	assert_true(str_equal(value, STR("5")));
	assert_true(request_parameter(&exchange.request, STR("empty"), &buf, &value));
	assert_int_equal(value.size, 0);
	exchange_done(&exchange);
	exchange_init(&exchange, "GET", "/?a=%f");
	assert_false(request_query_is_sound(&exchange.request));
}

/* ---- bodies -----------------------------------------------------------------------------------
 */

static size_t gzip(const void *bytes, size_t size, uint8_t *packed, size_t packed_size)
{
	z_stream stream = { 0 };

	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	stream.next_in = (uint8_t *)bytes;
	stream.avail_in = (uInt)size;
	stream.next_out = packed;
	stream.avail_out = (uInt)packed_size;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&stream);
	return packed_size - stream.avail_out;
}

static int read_packed(const char *encoding, struct str packed, size_t piece_size, struct buf *body)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "POST", "/");
	if (encoding)
		exchange_header(&exchange, "Content-Encoding", encoding);
	exchange_body(&exchange, packed);
	exchange.piece_size = piece_size;
	return request_read_body(&exchange.request, body);
}

static void fill(char *plain, size_t size)
{
	srand(7);
	for (size_t i = 0; i < size; i++)
		plain[i] = (char)(rand() % 4 ? 'a' + rand() % 8 : rand());
}

static void assert_unpacks(const char *encoding, const char *packed, size_t size, const char *plain)
{
	autoclean(buf) struct buf body = BUF(1024);

	assert_int_equal(read_packed(encoding, (struct str){ packed, size }, 0, &body), 0);
	assert_int_equal(body.size, strlen(plain));
	if (body.size > 0)
		assert_memory_equal(body.bytes, plain, body.size);
}

/* Bit by bit, as the polynomial says. */
static uint32_t crc32c(const uint8_t *bytes, size_t size)
{
	uint32_t sum = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		sum ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
	}
	return ~sum;
}

static void unpacks_gzip_and_zstd_in_any_pieces(void **state)
{
	static char plain[100000];
	static uint8_t packed[200000];

	(void)state;
	fill(plain, sizeof(plain));

	struct str gzipped = { (char *)packed, gzip(plain, sizeof(plain), packed, sizeof(packed)) };
	static const size_t pieces[] = { 1, 7, 4096, 0 };

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		autoclean(buf) struct buf body = BUF(sizeof(plain));

		assert_int_equal(read_packed("gzip", gzipped, pieces[i], &body), 0);
		assert_int_equal(body.size, sizeof(plain));
		assert_memory_equal(body.bytes, plain, sizeof(plain));
	}

	size_t size = ZSTD_compress(packed, sizeof(packed), plain, sizeof(plain), 3);

	assert_false(ZSTD_isError(size));
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		autoclean(buf) struct buf body = BUF(sizeof(plain));
		struct str text = { (char *)packed, size };

		assert_int_equal(read_packed("ZSTD", text, pieces[i], &body), 0);
		assert_int_equal(body.size, sizeof(plain));
		assert_memory_equal(body.bytes, plain, sizeof(plain));
	}
}

/* "123456789" in frames, as the format's description has them: its CRC-32C is 0xe3069283. */
static const char nine_framed[] = "\xff\x06\x00\x00sNaPpY"
				  "\x80\x03\x00\x00xyz" /* to be passed over */
				  "\x01\x0d\x00\x00\xe5\xb0\x8a\xc7"
				  "123456789"
				  "\xfe\x00\x00\x00";

/* The plain bytes as frames of up to 64 KiB, packed where every second is left as it is. */
static void frame_snappy(const char *plain, size_t size, struct buf *framed)
{
	buf_add(framed, nine_framed, 10);
	for (size_t first = 0, number = 0; first < size; first += 65536, number++) {
		size_t some = size - first < 65536 ? size - first : 65536;
		char packed[80000];
		size_t packed_size = sizeof(packed);
		uint32_t sum = crc32c((const uint8_t *)plain + first, some);

		assert_int_equal(snappy_compress(plain + first, some, packed, &packed_size),
				 SNAPPY_OK);
		if (number % 2)
			packed_size = some;
		buf_add_u32(framed, (uint32_t)(packed_size + 4) << 8 | number % 2);
		buf_add_u32(framed, (sum >> 15 | sum << 17) + 0xa282ead8);
		buf_add(framed, number % 2 ? plain + first : packed, packed_size);
	}
}

static void unpacks_snappy_in_frames_and_as_a_block(void **state)
{
	static char plain[200000];
	static const size_t pieces[] = { 1, 7, 4096, 0 };
	autofree char *block = malloc(snappy_max_compressed_length(sizeof(plain)));
	size_t block_size = snappy_max_compressed_length(sizeof(plain));
	autoclean(buf) struct buf framed = BUF(2 * sizeof(plain));

	(void)state;
	assert_non_null(block);
	fill(plain, sizeof(plain));
	frame_snappy(plain, sizeof(plain), &framed);
	assert_int_equal(snappy_compress(plain, sizeof(plain), block, &block_size), SNAPPY_OK);
	for (size_t i = 0; i < 2 * sizeof(pieces) / sizeof(pieces[0]); i++) {
		autoclean(buf) struct buf body = BUF(sizeof(plain));
		struct str packed = i % 2 ? (struct str){ (char *)framed.bytes, framed.size }
					  : (struct str){ block, block_size };

		assert_int_equal(read_packed("snappy", packed, pieces[i / 2], &body), 0);
		assert_int_equal(body.size, sizeof(plain));
		assert_memory_equal(body.bytes, plain, sizeof(plain));
	}
	assert_unpacks("snappy", nine_framed, sizeof(nine_framed) - 1, "123456789");
	assert_unpacks("x-snappy-framed", nine_framed, sizeof(nine_framed) - 1, "123456789");
	assert_unpacks("snappy", nine_framed, 10, "");
	assert_unpacks("snappy", "", 0, "");
	assert_unpacks("snappy", "\x01\x00!", 3, "!");
}

static void refuses_snappy_that_is_none(void **state)
{
	autoclean(buf) struct buf body = BUF(1 << 20);
	char bad[sizeof(nine_framed)];

	(void)state;
	/* Cut anywhere but between two frames. */
	for (size_t size = 1; size < sizeof(nine_framed) - 1; size++) {
		bool is_between = size == 10 || size == 17 || size == 34;

		assert_int_equal(read_packed("snappy", (struct str){ nine_framed, size }, 0, &body),
				 is_between ? 0 : -EBADMSG);
	}
	/* The sum, the bytes, the name in the beginning, a kind that may not be passed over. */
	static const size_t places[] = { 21, 25, 31, 6, 17 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		memcpy(bad, nine_framed, sizeof(bad));
		bad[places[i]] ^= places[i] == 17 ? 3 : 0x20;
		assert_int_equal(read_packed("x-snappy-framed",
					     (struct str){ bad, sizeof(bad) - 1 }, 0, &body),
				 -EBADMSG);
	}
	assert_int_equal(read_packed("x-snappy-framed", STR("\x01\x00!"), 0, &body), -EBADMSG);
	assert_int_equal(read_packed("snappy", STR("\x05\x00!"), 0, &body), -EBADMSG);
	assert_int_equal(read_packed("snappy", STR("\xfe\xfe\xfe\xfe\xfe\xfe"), 0, &body),
			 -EBADMSG);
	/* A length of 15 MiB, and of a gigabyte. */
	assert_int_equal(read_packed("snappy", STR("\x80\x80\xc0\x07\x00!"), 0, &body), -E2BIG);
	assert_int_equal(read_packed("snappy", STR("\x80\x80\x80\x80\x04\x00!"), 0, &body), -E2BIG);
}

static void unpacks_lz4_in_any_pieces(void **state)
{
	static char plain[200000];
	static const size_t pieces[] = { 1, 7, 4096, 0 };
	size_t room = LZ4F_compressFrameBound(sizeof(plain), NULL);
	autofree char *packed = malloc(room);

	(void)state;
	assert_non_null(packed);
	fill(plain, sizeof(plain));

	size_t size = LZ4F_compressFrame(packed, room, plain, sizeof(plain), NULL);

	assert_false(LZ4F_isError(size));
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		autoclean(buf) struct buf body = BUF(sizeof(plain));

		assert_int_equal(read_packed("lz4", (struct str){ packed, size }, pieces[i], &body),
				 0);
		assert_int_equal(body.size, sizeof(plain));
		assert_memory_equal(body.bytes, plain, sizeof(plain));
		buf_clear(&body);
		assert_int_equal(
			read_packed("lz4", (struct str){ packed, size - 1 }, pieces[i], &body),
			-EBADMSG);
	}
	autoclean(buf) struct buf body = BUF(1024);

	assert_int_equal(read_packed("lz4", STR("not lz4 at all"), 0, &body), -EBADMSG);
	assert_int_equal(read_packed("lz4", STR(""), 0, &body), 0);
}

static void refuses_bombs(void **state)
{
	enum { BOMB_SIZE = 32 << 20, PACKED_SIZE = 1 << 20 };
	autofree uint8_t *zeros = calloc(1, BOMB_SIZE);
	autofree uint8_t *packed = malloc(PACKED_SIZE);
	autoclean(buf) struct buf small = BUF(1 << 20);
	autoclean(buf) struct buf large = BUF(BOMB_SIZE);

	(void)state;
	struct str gzipped = { (char *)packed, gzip(zeros, BOMB_SIZE, packed, PACKED_SIZE) };

	assert_int_equal(read_packed("gzip", gzipped, 0, &small), -E2BIG);
	/* It would fit, but nothing honest packs so well. */
	assert_int_equal(read_packed("gzip", gzipped, 0, &large), -E2BIG);
	assert_true(large.size < BOMB_SIZE);

	struct str zstd = { (char *)packed,
			    ZSTD_compress(packed, PACKED_SIZE, zeros, BOMB_SIZE, 3) };

	buf_clear(&small);
	buf_clear(&large);
	assert_int_equal(read_packed("zstd", zstd, 0, &small), -E2BIG);
	assert_int_equal(read_packed("zstd", zstd, 0, &large), -E2BIG);

	size_t room = LZ4F_compressFrameBound(BOMB_SIZE, NULL);
	autofree char *frames = malloc(room);

	assert_non_null(frames);

	struct str lz4 = { frames, LZ4F_compressFrame(frames, room, zeros, BOMB_SIZE, NULL) };

	assert_true(lz4.size < PACKED_SIZE);
	buf_clear(&small);
	buf_clear(&large);
	assert_int_equal(read_packed("lz4", lz4, 0, &small), -E2BIG);
	assert_int_equal(read_packed("lz4", lz4, 0, &large), -E2BIG);
}

static void refuses_broken_encodings(void **state)
{
	autoclean(buf) struct buf body = BUF(1024);
	uint8_t packed[256];
	size_t size = gzip("hello", 5, packed, sizeof(packed) - 1);

	(void)state;
	assert_int_equal(read_packed("gzip", STR("not gzip"), 0, &body), -EBADMSG);
	assert_int_equal(read_packed("zstd", STR("not zstd"), 0, &body), -EBADMSG);
	assert_int_equal(read_packed("br", STR("x"), 0, &body), -EOPNOTSUPP);
	buf_clear(&body);
	assert_int_equal(read_packed("gzip", (struct str){ (char *)packed, size - 1 }, 0, &body),
			 -EBADMSG);
	packed[size] = 'x';
	buf_clear(&body);
	assert_int_equal(read_packed("gzip", (struct str){ (char *)packed, size + 1 }, 0, &body),
			 -EBADMSG);
	buf_clear(&body);
	assert_int_equal(read_packed("gzip", (struct str){ (char *)packed, size + 1 }, 1, &body),
			 -EBADMSG);
	buf_clear(&body);
	assert_int_equal(read_packed("identity", STR("plain"), 0, &body), 0);
	assert_int_equal(body.size, 5);
}

static void limits_plain_bodies(void **state)
{
	autoclean(buf) struct buf body = BUF(4);

	(void)state;
	assert_int_equal(read_packed(NULL, STR("1234"), 3, &body), 0);
	buf_clear(&body);
	assert_int_equal(read_packed(NULL, STR("12345"), 3, &body), -E2BIG);
}

static void believes_an_announced_size_that_is_too_large(void **state)
{
	autoclean(exchange) struct exchange exchange;
	struct held_body held = { .bytes = BUF(100) };

	(void)state;
	exchange_init(&exchange, "POST", "/");
	exchange_header(&exchange, "Content-Length", "101");
	exchange_body(&exchange, STR("x"));
	assert_int_equal(request_hold_body(&exchange.request, &held), -E2BIG);
	assert_int_equal(exchange.body_next, 0);
}

static void holds_a_body_and_gives_it_from_memory(void **state)
{
	autoclean(exchange) struct exchange exchange;
	autoclean(buf) struct buf body = BUF(100);
	struct held_body held = { .bytes = BUF(100) };

	(void)state;
	exchange_init(&exchange, "POST", "/");
	exchange_body(&exchange, STR("hello"));
	assert_int_equal(request_hold_body(&exchange.request, &held), 0);
	assert_int_equal(exchange.body_next, 5);
	assert_int_equal(request_read_body(&exchange.request, &body), 0);
	assert_int_equal(body.size, 5);
	assert_memory_equal(body.bytes, "hello", 5);
	buf_done(&held.bytes);
}

static void ends_with_the_deadline(void **state)
{
	autoclean(exchange) struct exchange exchange;
	autoclean(buf) struct buf body = BUF(100);

	(void)state;
	exchange_init(&exchange, "POST", "/");
	exchange_body(&exchange, STR("hello"));
	exchange.request.deadline_monotonic_ns = clock_monotonic_ns() - 1;
	assert_int_equal(request_read_body(&exchange.request, &body), -ETIMEDOUT);
	exchange.request.read_body = NULL;
	assert_int_equal(request_read_body(&exchange.request, &body), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares_header_names_without_case),
		cmocka_unit_test(decodes_strictly),
		cmocka_unit_test(keeps_all_parameters_where_they_are),
		cmocka_unit_test(finds_parameters_with_encoded_names),
		cmocka_unit_test(unpacks_gzip_and_zstd_in_any_pieces),
		cmocka_unit_test(unpacks_snappy_in_frames_and_as_a_block),
		cmocka_unit_test(refuses_snappy_that_is_none),
		cmocka_unit_test(unpacks_lz4_in_any_pieces),
		cmocka_unit_test(refuses_bombs),
		cmocka_unit_test(refuses_broken_encodings),
		cmocka_unit_test(limits_plain_bodies),
		cmocka_unit_test(believes_an_announced_size_that_is_too_large),
		cmocka_unit_test(holds_a_body_and_gives_it_from_memory),
		cmocka_unit_test(ends_with_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

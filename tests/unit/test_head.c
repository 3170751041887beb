/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and chunks of HTTP/1.1, whole and in pieces. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/limits.h"
#include "web/chunks.h"
#include "web/fifo.h"
#include "web/head.h"

#define HOST "Host: localhost\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST

static void says_what_a_head_is(void **state)
{
	static const struct {
		const char *text;
		enum head_body body;
		uint64_t size;
		bool is_for_head, stays_open, is_plain, expects_continue;
	} cases[] = {
		{ GET "\r\n", HEAD_BODY_NONE, 0, false, true, true, false },
		{ "HEAD /a?b=c HTTP/1.1\r\n" HOST "\r\n", HEAD_BODY_NONE, 0, true, true, true,
		  false },
		{ "GET / HTTP/1.0\r\n" HOST "\r\n", HEAD_BODY_NONE, 0, false, false, true, false },
		{ GET "Connection: close\r\n\r\n", HEAD_BODY_NONE, 0, false, false, true, false },
		{ GET "connection: TE , CLOSE\r\n\r\n", HEAD_BODY_NONE, 0, false, false, false,
		  false },
		{ GET "Connection: Keep-Alive\r\n\r\n", HEAD_BODY_NONE, 0, false, true, true,
		  false },
		{ GET "Connection: Upgrade\r\n\r\n", HEAD_BODY_NONE, 0, false, true, false, false },
		{ POST "Content-Length: 0\r\n\r\n", HEAD_BODY_NONE, 0, false, true, true, false },
		{ POST "content-length:\t17 \r\n\r\n", HEAD_BODY_LENGTH, 17, false, true, true,
		  false },
		{ POST "Transfer-Encoding: Chunked\r\n\r\n", HEAD_BODY_CHUNKED, 0, false, true,
		  true, false },
		{ POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", HEAD_BODY_LENGTH, 1,
		  false, true, true, true },
		{ POST "Expect: 100-continue\r\n\r\n", HEAD_BODY_NONE, 0, false, true, true,
		  false },
		{ GET "X:\r\nY: a\tb\r\n\r\n", HEAD_BODY_NONE, 0, false, true, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct head head;
		size_t size = strlen(cases[i].text);
		const uint8_t *bytes = (const uint8_t *)cases[i].text;

		if (head_read(bytes, size, 0, &head) != HEAD_WHOLE)
			fail_msg("%s: %s", cases[i].text, head.why);
		assert_int_equal(head.size, size);
		assert_int_equal(head.body, cases[i].body);
		assert_int_equal(head.body_size, cases[i].size);
		assert_int_equal(head.is_for_head, cases[i].is_for_head);
		assert_int_equal(head.stays_open, cases[i].stays_open);
		assert_int_equal(head.is_plain, cases[i].is_plain);
		assert_int_equal(head.expects_continue, cases[i].expects_continue);
		/* Byte by byte. */
		for (size_t k = 0; k < size; k++)
			assert_int_equal(head_read(bytes, k, k ? k - 1 : 0, &head),
					 HEAD_UNFINISHED);
		assert_int_equal(head_read(bytes, size, size - 1, &head), HEAD_WHOLE);
	}
}

static void refuses_what_can_be_read_in_two_ways(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ GET HOST "\r\n", 400 },
		{ GET "Host : a\r\n\r\n", 400 },
		{ POST "Content-Length : 3\r\n\r\n", 400 },
		{ POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400 },
		{ POST "Content-Length: 3, 3\r\n\r\n", 400 },
		{ POST "Content-Length: +3\r\n\r\n", 400 },
		{ POST "Content-Length: 0x3\r\n\r\n", 400 },
		{ POST "Content-Length: 3x\r\n\r\n", 400 },
		{ POST "Content-Length:\r\n\r\n", 400 },
		{ POST "Content-Length: 9999999999999999\r\n\r\n", 400 },
		{ POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ POST "Transfer-Encoding: chunked, identity\r\n\r\n", 400 },
		{ POST "Transfer-Encoding: xchunked\r\n\r\n", 400 },
		{ POST "Transfer-Encoding: identity\r\n\r\n", 400 },
		{ POST "Transfer-Encoding:\x0b"
		       "chunked\r\n\r\n",
		  400 },
		{ "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400 },
		{ GET "A: b\r\n c\r\n\r\n", 400 },
		{ GET " A: b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\nHost: localhost\n\n", 400 },
		{ GET "A: b\nContent-Length: 3\r\n\r\n", 400 },
		{ GET "A: b\rc\r\n\r\n", 400 },
		{ GET "A: b\r\r\n\r\n", 400 },
		{ GET "A: \x7f\r\n\r\n", 400 },
		{ GET "A: \x01\r\n\r\n", 400 },
		{ GET ": b\r\n\r\n", 400 },
		{ GET "A\r\n\r\n", 400 },
		{ GET "A b: c\r\n\r\n", 400 },
		{ GET "A(b): c\r\n\r\n", 400 },
		{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 505 },
		{ " GET / HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET\t/\tHTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "G\"T / HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET http://localhost/ HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "CONNECT localhost:1 HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.2\r\n" HOST "\r\n", 505 },
		{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
		{ "GET / http/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /\r\n" HOST "\r\n", 400 },
		{ "\r\n\r\n", 400 },
		{ GET "Expect: 200-maybe\r\n\r\n", 417 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct head head;
		enum head_state got =
			head_read((const uint8_t *)cases[i].text, strlen(cases[i].text), 0, &head);

		if (got != HEAD_REFUSED || head.status != cases[i].status)
			fail_msg("%d, %d instead of %d for %s", (int)got, head.status,
				 cases[i].status, cases[i].text);
		assert_non_null(head.why);
	}
	struct head head;

	assert_int_equal(head_read((const uint8_t *)"GET / HTTP/1.1\r\nA: \0", 21, 0, &head),
			 HEAD_REFUSED);
}

static void knows_its_limits(void **state)
{
	autoclean(buf) struct buf head_text = BUF(1 << 20);
	struct head head;

	(void)state;
	buf_add_str(&head_text, STR(GET));
	for (int i = 1; i < REQUEST_HEADER_COUNT_MAX; i++)
		buf_printf(&head_text, "X-%d: y\r\n", i);
	buf_add_str(&head_text, STR("\r\n"));
	assert_int_equal(head_read(head_text.bytes, head_text.size, 0, &head), HEAD_WHOLE);
	head_text.size -= 2;
	buf_add_str(&head_text, STR("X: y\r\n\r\n"));
	assert_int_equal(head_read(head_text.bytes, head_text.size, 0, &head), HEAD_REFUSED);
	assert_int_equal(head.status, 431);
	assert_int_equal(head.limit, LIMIT_HEADER_COUNT);

	buf_clear(&head_text);
	buf_add_str(&head_text, STR(GET "X: "));
	while (head_text.size < REQUEST_HEAD_SIZE_MAX - 4)
		buf_add_u8(&head_text, 'x');
	assert_int_equal(head_read(head_text.bytes, head_text.size, 0, &head), HEAD_UNFINISHED);
	buf_add_str(&head_text, STR("\r\n\r\n"));
	assert_int_equal(head_read(head_text.bytes, head_text.size, 0, &head), HEAD_WHOLE);
	head_text.size -= 4;
	buf_add_str(&head_text, STR("x\r\n\r\n"));
	assert_int_equal(head_read(head_text.bytes, head_text.size, 0, &head), HEAD_REFUSED);
	assert_int_equal(head.limit, LIMIT_HEAD_SIZE);
	assert_int_equal(head_read(head_text.bytes, REQUEST_HEAD_SIZE_MAX, 0, &head), HEAD_REFUSED);
}

static void finds_the_end_of_chunks(void **state)
{
	static const struct {
		const char *text;
		int left; /* behind the end; -1: malformed; -2: not whole */
	} cases[] = {
		{ "0\r\n\r\n", 0 },
		{ "3\r\nabc\r\n0\r\n\r\nGET", 3 },
		{ "A\r\n0123456789\r\n00\r\n\r\n", 0 },
		{ "000003\r\nabc\r\n0\r\n\r\n", 0 },
		{ "3\r\nabc\r\n", -2 },
		{ "3\r\nab", -2 },
		{ "", -2 },
		{ "3;a=b\r\nabc\r\n0\r\n\r\n", -1 },
		{ "3 \r\nabc\r\n0\r\n\r\n", -1 },
		{ "0x3\r\nabc\r\n0\r\n\r\n", -1 },
		{ "+3\r\nabc\r\n0\r\n\r\n", -1 },
		{ "-1\r\n", -1 },
		{ "\r\nabc", -1 },
		{ "3\nabc\r\n0\r\n\r\n", -1 },
		{ "3\r\nabcd\r\n0\r\n\r\n", -1 },
		{ "3\r\nabc\n0\r\n\r\n", -1 },
		{ "fffffffff\r\n", -1 },
		{ "0\r\nA: b\r\n\r\n", -1 },
		{ "0\r\n\n", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t *bytes = (const uint8_t *)cases[i].text;
		size_t size = strlen(cases[i].text);
		struct chunks whole = { .state = 0 };
		struct chunks pieces = { .state = 0 };
		int64_t count = chunks_scan(&whole, bytes, size);
		int64_t sum = 0;

		for (size_t k = 0; k < size && sum >= 0 && !pieces.is_ended; k++) {
			int64_t one = chunks_scan(&pieces, bytes + k, 1);

			sum = one < 0 ? one : sum + one;
		}
		if (count != sum || whole.is_ended != pieces.is_ended)
			fail_msg("%s: in pieces %d, whole %d", cases[i].text, (int)sum, (int)count);
		if (cases[i].left == -1)
			assert_int_equal(count, -EBADMSG);
		else if (cases[i].left == -2)
			assert_true(count == (int64_t)size && !whole.is_ended);
		else
			assert_true(whole.is_ended && (int64_t)size - count == cases[i].left);
	}
}

static void keeps_bytes_in_their_order(void **state)
{
	struct fifo fifo = { .memory = NULL };
	uint8_t in = 0, out = 0;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint8_t piece[97];
		size_t size = (size_t)(round * 31 % 97);

		for (size_t i = 0; i < size; i++)
			piece[i] = in++;
		assert_int_equal(fifo_add(&fifo, piece, size), 0);

		size_t take = round % 5 == 4 ? fifo.size : (size_t)(round * 17) % (fifo.size + 1);

		for (size_t i = 0; i < take; i++)
			assert_int_equal(fifo_bytes(&fifo)[i], out++);
		fifo_drop(&fifo, take);
		assert_int_equal(fifo.capacity == 0, fifo.size == 0 && (take > 0 || size == 0));
	}
	fifo_done(&fifo);
	assert_null(fifo.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_a_head_is),
		cmocka_unit_test(refuses_what_can_be_read_in_two_ways),
		cmocka_unit_test(knows_its_limits),
		cmocka_unit_test(finds_the_end_of_chunks),
		cmocka_unit_test(keeps_bytes_in_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What /ingest takes: each of its forms, what is stored of it, and what is said of what is no good.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "tests/support/answers.h"
#include "tests/support/jfr_maker.h"
#include "tests/support/pprof_maker.h"
#include "web/compression.h"
#include "web/multipart.h"
#include "web/push_name.h"

#define RANGE "from=1699999999000&to=1700000060000"
#define AT    "&from=1700000000&until=1700000010"

enum { MEMORY = 16 << 20 };

static struct str str_of(const struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

/* POST of a body; the answer's words, or "". */
static void send_typed(struct fixture *fixture, const char *target, const char *type,
		       struct str body, int status, const char *words)
{
	autoclean(exchange) struct exchange exchange;

	exchange_init(&exchange, "POST", target);
	if (type)
		exchange_header(&exchange, "Content-Type", type);
	exchange_body(&exchange, body);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	if (exchange.reply.status != status || !strstr(exchange_text(&exchange), words))
		fail_msg("%s: %d for %d, '%s': %s", target, exchange.reply.status, status, words,
			 exchange_text(&exchange));
	if (status == 200)
		assert_int_equal(exchange.reply.body.size, 0);
}

static void send(struct fixture *fixture, const char *target, struct str body)
{
	send_typed(fixture, target, NULL, body, 200, "");
}

static struct json_value *flame_of(struct fixture *fixture, const char *type, const char *service)
{
	char target[512];

	snprintf(target, sizeof(target),
		 "/api/v1/flame?" RANGE "&type=%s&query=%%7Bservice_name%%3D%%22%s%%22%%7D", type,
		 service);
	return get(fixture, target);
}

static double total(struct fixture *fixture, const char *type, const char *service)
{
	struct json_value *flame = flame_of(fixture, type, service);
	double sum = number(flame, "total");

	json_value_free(flame);
	return sum;
}

/* The stacks of a service as folded text, in the order of their names. */
static void assert_stacks(struct fixture *fixture, const char *type, const char *service,
			  const char *expected)
{
	autoclean(exchange) struct exchange exchange;
	char target[512];

	snprintf(target, sizeof(target),
		 "/api/v1/export?format=folded&" RANGE
		 "&type=%s&query=%%7Bservice_name%%3D%%22%s%%22%%7D",
		 type, service);
	exchange_init(&exchange, "GET", target);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	assert_string_equal(exchange_text(&exchange), expected);
}

/* ---- texts and trees --------------------------------------------------------------------------
 */

#define STACKS "main;a 30000000\nmain;b c 20000000\n"

static void folded_text_is_scaled_by_its_rate(void **state)
{
	struct fixture *fixture = *state;

	send(fixture, "/ingest?name=folded" AT, STR("main;a 3\nnumberless\n\nmain;b c 2\r\n"));
	/* The last word of a line is its number, or the line is no good. */
	send_typed(fixture, "/ingest?name=bad" AT, NULL, STR("main;a 3\nmain;b c\n"), 422,
		   "\"code\":\"unknown\",\"message\":\"line 2: ");
	assert_true(total(fixture, CPU, "bad") == 0);
	send(fixture, "/ingest?name=slow&format=groups&sampleRate=50" AT, STR("main;a 3\n"));
	assert_true(total(fixture, CPU, "slow") == 60000000);
	send(fixture, "/pyroscope/ingest?name=odd&sampleRate=x" AT, STR("main;a 3\n"));
	assert_true(total(fixture, CPU, "odd") == 30000000);
	send(fixture, "/ingest?name=empty" AT, STR(""));
}

static void each_form_says_the_same(void **state)
{
	struct fixture *fixture = *state;
	static const char trie[] = "\x00\x00\x01"
				   "\x05main;\x00\x02"
				   "\x01"
				   "a\x03\x00"
				   "\x03"
				   "b c\x02\x00";
	static const char tree[] = "\x00\x00\x01"
				   "\x04main\x00\x02"
				   "\x01"
				   "a\x03\x00"
				   "\x03"
				   "b c\x02\x00";
	static const char scope[] =
		"{\"shared\":{\"frames\":[{\"name\":\"main\"},{\"name\":\"a\",\"file\":\"a.js\","
		"\"line\":3},{\"name\":\"b "
		"c\"}]},\"profiles\":[{\"type\":\"sampled\",\"name\":\"p\","
		"\"unit\":\"milliseconds\",\"samples\":[[0,1],[0,2]],\"weights\":[30,20]}]}";
	static const char events[] =
		"{\"shared\":{\"frames\":[{\"name\":\"main\"},{\"name\":\"a\"},{\"name\":\"b "
		"c\"}]},"
		"\"profiles\":[{\"type\":\"evented\",\"unit\":\"none\",\"events\":["
		"{\"type\":\"O\",\"frame\":0,\"at\":7},{\"type\":\"O\",\"frame\":1,\"at\":7},"
		"{\"type\":\"C\",\"frame\":1,\"at\":10},{\"type\":\"O\",\"frame\":2,\"at\":10},"
		"{\"type\":\"C\",\"frame\":2,\"at\":12},{\"type\":\"C\",\"frame\":0,\"at\":12}]}]}";

	send(fixture, "/ingest?name=text" AT, STR("main;a 3\nmain;b c 2\n"));
	send(fixture, "/ingest?name=lines&format=lines" AT,
	     STR("main;a\nmain;b c\nmain;a\nmain;b c\nmain;a\n"));
	send(fixture, "/ingest?name=trie&format=trie" AT, STR(trie));
	send(fixture, "/ingest?name=tree&format=tree" AT, STR(tree));
	send_typed(fixture, "/ingest?name=trie2" AT, "binary/octet-stream+trie", STR(trie), 200,
		   "");
	send(fixture, "/ingest?name=scope&format=speedscope" AT, STR(scope));
	send(fixture, "/ingest?name=events&format=speedscope" AT, STR(events));
	assert_stacks(fixture, CPU, "text", STACKS);
	assert_stacks(fixture, CPU, "lines", STACKS);
	assert_stacks(fixture, CPU, "trie", STACKS);
	assert_stacks(fixture, CPU, "tree", STACKS);
	assert_stacks(fixture, CPU, "trie2", STACKS);
	assert_stacks(fixture, CPU, "scope", STACKS);
	assert_stacks(fixture, CPU, "events", STACKS);
}

static void packed_text_is_unpacked(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf text = BUF(MEMORY);
	autoclean(exchange) struct exchange exchange;

	buf_add_str(&text, STR("main;a 3\nmain;b c 2\n"));
	assert_int_equal(compression_gzip(&text), 0);
	exchange_init(&exchange, "POST", "/ingest?name=packed" AT);
	exchange_header(&exchange, "Content-Encoding", "gzip");
	exchange_body(&exchange, str_of(&text));
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	send(fixture, "/ingest?name=magic" AT, str_of(&text));
	assert_stacks(fixture, CPU, "packed", STACKS);
	assert_stacks(fixture, CPU, "magic", STACKS);
}

static void what_is_cut_short_is_refused_in_words(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *target;
		struct str body;
		const char *words;
	} cases[] = {
		{ "/ingest?name=x&format=trie" AT,
		  { "\x00\x00\x02\x01"
		    "a\x01\x00",
		    7 },
		  "this is no trie, or it is cut short" },
		{ "/ingest?name=x&format=trie" AT, { "\x00\x00\x00junk", 7 }, "no trie" },
		{ "/ingest?name=x&format=tree" AT, { "\x7f\x00", 2 }, "no tree" },
		{ "/ingest?name=x&format=tree" AT,
		  { "\x00\x00\xff\xff\xff\xff\x0f", 7 },
		  "no tree" },
		{ "/ingest?name=x&format=speedscope" AT, STR("{"), "" },
		{ "/ingest?name=x&format=speedscope" AT, STR("{}"), "no shared.frames" },
		{ "/ingest?name=x&format=speedscope" AT,
		  STR("{\"shared\":{\"frames\":[]},\"profiles\":[{\"type\":\"sampled\",\"samples\":"
		      "[[0]],\"weights\":[1]}]}"),
		  "profile 1: a frame of sample 0 makes no sense" },
		{ "/ingest?name=x&format=speedscope" AT,
		  STR("{\"shared\":{\"frames\":[{\"name\":\"a\"}]},\"profiles\":[{\"type\":"
		      "\"evented\","
		      "\"events\":[{\"type\":\"C\",\"frame\":0,\"at\":1}]}]}"),
		  "profile 1: what closes at event 0 makes no sense" },
		{ "/ingest?name=x&format=pprof" AT, STR("hello"), "" },
		{ "/ingest?name=x&format=jfr" AT, STR("FLR"), "this is no recording of Java" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		send_typed(fixture, cases[i].target, NULL, cases[i].body, 422, cases[i].words);
	assert_true(total(fixture, CPU, "x") == 0);
	send_typed(
		fixture, "/ingest?from=1700000000", NULL, STR("a 1\n"), 400,
		"\"code\":\"invalid_argument\",\"message\":\"name: it must be the application's");
	send_typed(fixture, "/ingest?name=x%7Ba%3D1,a%3D2%7D", NULL, STR("a 1\n"), 400,
		   "label 'a' is given twice");
}

enum { LONG_NAME_SIZE = 64000, LONG_NAME_STACK_COUNT = 40000 };

/* One long name, and below it so many nodes. */
static void make_long_name(struct buf *ret, struct str head, struct str node)
{
	buf_add_str(ret, head);
	buf_add_varint(ret, LONG_NAME_SIZE);
	for (size_t i = 0; i < LONG_NAME_SIZE; i++)
		buf_add_u8(ret, 'n');
	buf_add_u8(ret, 0);
	buf_add_varint(ret, LONG_NAME_STACK_COUNT);
	for (size_t i = 0; i < LONG_NAME_STACK_COUNT; i++)
		buf_add_str(ret, node);
	assert_int_equal(ret->error, 0);
}

/* In a trie each node may be the rest of the name, which is looked at again in each. */
static void a_name_in_too_many_stacks_is_refused(void **state)
{
	autoclean(buf) struct buf trie = BUF(MEMORY);

	make_long_name(&trie, STR(""), (struct str){ "\x00\x01\x00", 3 });
	send_typed(*state, "/ingest?name=long&format=trie" AT, NULL, str_of(&trie), 422,
		   "here are more stacks, or deeper ones, than one push may have");
	assert_true(total(*state, CPU, "long") == 0);
}

/* In a tree the name is whole, and looked at once. */
static void a_name_above_many_stacks_is_taken(void **state)
{
	autoclean(buf) struct buf tree = BUF(MEMORY);

	make_long_name(&tree, (struct str){ "\x00\x00\x01", 3 },
		       (struct str){ "\x01l\x01\x00", 4 });
	send_typed(*state, "/ingest?name=long&format=tree" AT, NULL, str_of(&tree), 200, "");
	assert_int_equal(total(*state, CPU, "long"), LONG_NAME_STACK_COUNT * INT64_C(10000000));
}

/* ---- names ------------------------------------------------------------------------------------
 */

static void a_name_has_a_type_and_labels(void **state)
{
	(void)state;
	static const struct {
		const char *text, *application, *type;
		size_t label_count;
	} cases[] = {
		{ "shop", "shop", CPU, 0 },
		{ "my.shop", "my.shop", CPU, 0 },
		{ "my.shop.cpu", "my.shop", CPU, 0 },
		{ " a/b-c.inuse_space { x = 1 ,, y=a b/c+d} ", "a/b-c",
		  "memory:inuse_space:bytes::", 2 },
		{ "x.goroutines{a-b=1", "x", "goroutine:goroutines:count::", 1 },
		{ "x{__name__=y,__session_id__=z,__mine__=a,=b,c}", "x", CPU, 1 },
		{ ".cpu", ".cpu", CPU, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(push_labels) struct push_labels labels;
		char reason[PUSH_LABELS_ERROR_SIZE] = "";
		struct push_name name;
		int err;

		push_labels_init(&labels);
		err = push_name_read(str_from(cases[i].text), &name, &labels, reason);
		if (i == 5) {
			/* A label without a name is none. */
			assert_int_equal(err, -EINVAL);
			continue;
		}
		if (err)
			fail_msg("%s: %s", cases[i].text, reason);
		if (!str_equal(name.application, str_from(cases[i].application)) ||
		    !str_equal(name.type, str_from(cases[i].type)))
			fail_msg("%s: %.*s, %.*s", cases[i].text, STR_PRINT(name.application),
				 STR_PRINT(name.type));
		assert_int_equal(labels.count, cases[i].label_count);
	}
}

static void who_sends_is_told_by_labels(void **state)
{
	struct fixture *fixture = *state;

	send(fixture, "/ingest?name=alias%7Bservice_name%3Dnamed%7D&spyName=pyspy" AT,
	     STR("a 1\n"));
	assert_true(total(fixture, CPU, "named") == 10000000);
	/* An exemplar of old is nobody's profile. */
	send(fixture, "/ingest?name=old%7Bprofile_id%3Dabc%7D" AT, STR("a 1\n"));
	assert_true(total(fixture, CPU, "old") == 0);
	/* Whatever digits say: s, ms, µs, ns. */
	send(fixture, "/ingest?name=ms&from=1700000000000", STR("a 1\n"));
	send(fixture, "/ingest?name=us&from=1700000000000000", STR("a 1\n"));
	send(fixture, "/ingest?name=ns&from=1700000000000000000", STR("a 1\n"));
	assert_true(total(fixture, CPU, "ms") == 10000000);
	assert_true(total(fixture, CPU, "us") == 10000000);
	assert_true(total(fixture, CPU, "ns") == 10000000);
}

/* ---- pprof ------------------------------------------------------------------------------------
 */

static void add_form_part(struct buf *form, const char *name, struct str bytes)
{
	buf_printf(form,
		   "--XX\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"f\"\r\n"
		   "Content-Type: application/octet-stream\r\n\r\n",
		   name);
	buf_add_str(form, bytes);
	buf_add_str(form, STR("\r\n"));
}

static void pprof_comes_alone_or_in_a_form(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(buf) struct buf form = BUF(MEMORY);
	static const char type[] = "multipart/form-data; boundary=XX";

	pprof_example(&profile);
	send(fixture, "/ingest?name=plain.app&format=pprof" AT, str_of(&profile));
	assert_true(total(fixture, CPU, "plain.app") == 50000000);
	assert_int_equal(compression_gzip(&profile), 0);
	add_form_part(&form, "sample_type_config",
		      STR("{\"samples\":{\"display-name\":\"block_count\"},"
			  "\"cpu\":{\"display-name\":\"block_duration\"}}"));
	add_form_part(&form, "profile", str_of(&profile));
	buf_add_str(&form, STR("--XX--\r\n"));
	send_typed(fixture, "/ingest?name=form" AT, type, str_of(&form), 200, "");
	assert_true(total(fixture, "block:cpu:nanoseconds:cpu:nanoseconds", "form") == 50000000);

	buf_clear(&form);
	add_form_part(&form, "profile", str_of(&profile));
	add_form_part(&form, "prev_profile", str_of(&profile));
	buf_add_str(&form, STR("--XX--\r\n"));
	send_typed(fixture, "/ingest?name=old" AT, type, str_of(&form), 422, "prev_profile");
	send_typed(fixture, "/ingest?name=none" AT, type, STR("--XX--\r\n"), 422,
		   "the form has no part 'profile'");
	send_typed(fixture, "/ingest?name=none" AT, type, STR("hello"), 422,
		   "the form is cut short");
}

static void scripts_have_their_files_in_names(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(exchange) struct exchange exchange;

	pprof_example(&profile);
	send(fixture, "/ingest?name=py&format=pprof&spyName=pyspy" AT, str_of(&profile));
	exchange_init(&exchange, "GET",
		      "/api/v1/export?format=folded&" RANGE "&type=" CPU
		      "&query=%7Bservice_name%3D%22py%22,span%3D%22x%22%7D");
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_string_equal(exchange_text(&exchange),
			    "main.go main.main;work.go main.work;work.go main.burn 30000000\n");
}

static void a_form_is_read_part_by_part(void **state)
{
	(void)state;
	struct str body = STR("preamble\r\n--a\r\ncontent-disposition: form-data;name=x\r\n\r\n"
			      "1--a\r\n2\r\n--a\r\nContent-Disposition: form-data; name=\"y\"; "
			      "filename=\"z\"\r\n\r\n\r\n--a--\r\n");
	struct multipart form;
	struct multipart_part part;

	assert_false(multipart_begin(&form, STR("text/plain; boundary=a"), body));
	assert_false(multipart_begin(&form, STR("multipart/form-data"), body));
	assert_true(multipart_begin(&form, STR("Multipart/Form-Data; charset=x; boundary=\"a\""),
				    body));
	assert_int_equal(multipart_next(&form, &part), 1);
	assert_true(str_equal(part.name, STR("x")) && !part.is_file);
	assert_true(str_equal(part.bytes, STR("1--a\r\n2")));
	assert_int_equal(multipart_next(&form, &part), 1);
	assert_true(str_equal(part.name, STR("y")) && part.is_file);
	assert_int_equal(part.bytes.size, 0);
	assert_int_equal(multipart_next(&form, &part), 0);
	for (size_t size = 0; size < body.size - 3; size++) {
		int more = 0;

		assert_true(multipart_begin(&form, STR("multipart/form-data; boundary=a"),
					    (struct str){ body.text, size }));
		while ((more = multipart_next(&form, &part)) > 0)
			;
		if (more != -EBADMSG && size < body.size - 4)
			fail_msg("cut at %zu it was whole", size);
	}
}

/* ---- recordings of Java ----------------------------------------------------------------------
 */

static uint32_t frame_of(uint32_t stack, uint32_t depth, uint32_t *ret_count)
{
	*ret_count = stack + 1;
	return *ret_count - 1 - depth;
}

static void make_recording(struct buf *buf)
{
	struct jfr_maker maker;

	jfr_make_chunk(&maker, buf, 1, 1000000000);
	jfr_make_metadata(&maker);
	jfr_make_pools(&maker, 3, 2, frame_of);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_execution(&maker, 2, 2, 1);
	jfr_make_end(&maker);
}

#define JAVA_STACKS "C.m0 20000000\nC.m0;C.m1 20000000\n"

static void recordings_come_alone_or_in_a_form(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf recording = BUF(MEMORY);
	autoclean(buf) struct buf packed = BUF(MEMORY);
	autoclean(buf) struct buf form = BUF(MEMORY);

	make_recording(&recording);
	send(fixture, "/ingest?format=jfr&name=plain&sampleRate=50" AT, str_of(&recording));
	assert_stacks(fixture, CPU, "plain", JAVA_STACKS);
	buf_add(&packed, recording.bytes, recording.size);
	assert_int_equal(compression_gzip(&packed), 0);
	send(fixture, "/ingest?format=jfr&name=packed&sampleRate=50" AT, str_of(&packed));
	assert_stacks(fixture, CPU, "packed", JAVA_STACKS);
	buf_printf(&form, "--edge\r\nContent-Disposition: form-data; name=\"labels\"\r\n\r\n"
			  "\r\n--edge\r\nContent-Disposition: form-data; name=\"jfr\"; "
			  "filename=\"jfr\"\r\n\r\n");
	buf_add(&form, packed.bytes, packed.size);
	buf_printf(&form, "\r\n--edge--\r\n");
	send_typed(fixture, "/ingest?format=jfr&name=form&sampleRate=50" AT,
		   "multipart/form-data; boundary=edge", str_of(&form), 200, "");
	assert_stacks(fixture, CPU, "form", JAVA_STACKS);
	buf_clear(&form);
	buf_printf(&form, "--edge\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n"
			  "\r\n--edge--\r\n");
	send_typed(fixture, "/ingest?format=jfr&name=form" AT, "multipart/form-data; boundary=edge",
		   str_of(&form), 422, "the form has no part 'jfr'");
	send_typed(fixture, "/ingest?format=jfr&name=bad" AT, NULL, STR("x"), 422,
		   "\"code\":\"unknown\",\"message\":\"byte 0: this is no recording");
	recording.size -= 5;
	send_typed(fixture, "/ingest?format=jfr&name=bad" AT, NULL, str_of(&recording), 422,
		   "byte 0: its chunk has");
	assert_true(total(fixture, CPU, "bad") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(folded_text_is_scaled_by_its_rate, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(each_form_says_the_same, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(packed_text_is_unpacked, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(what_is_cut_short_is_refused_in_words,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(a_name_in_too_many_stacks_is_refused,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(a_name_above_many_stacks_is_taken, open_with_writer,
						close_with_writer),
		cmocka_unit_test(a_name_has_a_type_and_labels),
		cmocka_unit_test_setup_teardown(who_sends_is_told_by_labels, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(pprof_comes_alone_or_in_a_form, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(scripts_have_their_files_in_names, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(recordings_come_alone_or_in_a_form,
						open_with_writer, close_with_writer),
		cmocka_unit_test(a_form_is_read_part_by_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles that programs push: what is stored of them, what is mended, what is refused. */
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
#include "tests/support/pprof_maker.h"
#include "web/base64.h"
#include "web/compression.h"
#include "web/push_labels.h"

#define RANGE "from=1699999999000&to=1700000060000"
#define PUSH  "/push.v1.PusherService/Push"

enum { MEMORY = 16 << 20 };

static struct str str_of(const struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void add_label(struct buf *series, const char *name, struct str value)
{
	autoclean(buf) struct buf label = BUF(MEMORY);

	pprof_sized(&label, 1, str_from(name));
	pprof_sized(&label, 2, value);
	pprof_sized(series, 1, str_of(&label));
}

static void add_profile(struct buf *series, struct str bytes)
{
	autoclean(buf) struct buf sample = BUF(MEMORY);

	pprof_sized(&sample, 1, bytes);
	pprof_sized(series, 2, str_of(&sample));
}

/* A series with the example; more labels may follow. */
static void begin_series(struct buf *series, const char *service)
{
	autoclean(buf) struct buf profile = BUF(MEMORY);

	pprof_example(&profile);
	add_label(series, "__name__", STR("process_cpu"));
	if (service)
		add_label(series, "service_name", str_from(service));
	add_profile(series, str_of(&profile));
}

static int push(struct fixture *fixture, const char *type, struct str body,
		struct exchange *exchange)
{
	exchange_init(exchange, "POST", PUSH);
	exchange_header(exchange, "Content-Type", type);
	exchange_body(exchange, body);
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
	(void)exchange_text(exchange);
	return exchange->reply.status;
}

static void assert_push(struct fixture *fixture, struct str body, int status, const char *words)
{
	autoclean(exchange) struct exchange exchange;
	int got = push(fixture, "application/proto", body, &exchange);

	if (got != status || (words && !strstr(exchange_text(&exchange), words)))
		fail_msg("%d for %d, '%s': %s", got, status, words ? words : "",
			 exchange_text(&exchange));
}

static void push_series(struct fixture *fixture, const struct buf *series, int status,
			const char *words)
{
	autoclean(buf) struct buf request = BUF(MEMORY);

	pprof_sized(&request, 1, str_of(series));
	assert_push(fixture, str_of(&request), status, words);
}

static double total(struct fixture *fixture, const char *type, const char *selector)
{
	char target[512];
	struct json_value *flame;
	double sum;

	snprintf(target, sizeof(target), "/api/v1/flame?" RANGE "&type=%s&query=%s", type,
		 selector);
	flame = get(fixture, target);
	sum = number(flame, "total");
	json_value_free(flame);
	return sum;
}

#define COUNT "process_cpu:samples:count:cpu:nanoseconds"

/* ---- tests ------------------------------------------------------------------------------------
 */

static void a_pushed_profile_is_there_when_it_is_answered(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf series = BUF(MEMORY);

	begin_series(&series, "shop");
	add_label(&series, "region", STR("eu"));
	push_series(fixture, &series, 200, NULL);
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22shop%22%7D") == 50000000);
	assert_true(total(fixture, COUNT, "%7Bregion%3D%22eu%22%7D") == 5);
	/* What the sample has as a text is a label of a series, and one without keeps none. */
	assert_true(total(fixture, CPU, "%7Bspan%3D%22x%22%7D") == 30000000);
	assert_true(total(fixture, CPU, "%7Bspan%3D%22%22%7D") == 20000000);
	/* Twice pushed is twice done. */
	push_series(fixture, &series, 200, NULL);
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22shop%22%7D") == 100000000);
}

static void it_comes_packed_in_any_way(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(buf) struct buf series = BUF(MEMORY);
	autoclean(buf) struct buf request = BUF(MEMORY);
	autoclean(exchange) struct exchange exchange;

	pprof_example(&profile);
	assert_int_equal(compression_gzip(&profile), 0);
	add_label(&series, "__name__", STR("process_cpu"));
	add_label(&series, "service_name", STR("packed"));
	add_profile(&series, str_of(&profile));
	pprof_sized(&request, 1, str_of(&series));
	assert_int_equal(compression_gzip(&request), 0);
	exchange_init(&exchange, "POST", PUSH);
	exchange_header(&exchange, "Content-Type", "application/proto");
	exchange_header(&exchange, "Content-Encoding", "gzip");
	exchange_body(&exchange, str_of(&request));
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	assert_int_equal(exchange.reply.body.size, 0);
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22packed%22%7D") == 50000000);
}

static void it_comes_as_json(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(buf) struct buf json = BUF(MEMORY);
	autoclean(exchange) struct exchange exchange;

	pprof_example(&profile);
	buf_add_str(&json, STR("{\"series\":[{\"labels\":[{\"name\":\"__name__\",\"value\":"
			       "\"process_cpu\"},{\"name\":\"service_name\",\"value\":\"json\"}],"
			       "\"samples\":[{\"ID\":\"no matter\",\"raw_profile\":\""));
	base64_encode(profile.bytes, profile.size, false, &json);
	buf_add_str(&json, STR("\"}]}]}"));
	assert_int_equal(push(fixture, "application/json", str_of(&json), &exchange), 200);
	assert_string_equal(exchange_text(&exchange), "{}");
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22json%22%7D") == 50000000);
}

static void what_is_good_of_a_request_is_stored(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf good = BUF(MEMORY);
	autoclean(buf) struct buf bad = BUF(MEMORY);
	autoclean(buf) struct buf request = BUF(MEMORY);

	begin_series(&good, "good");
	begin_series(&bad, "bad");
	add_profile(&bad, STR("\x1f\x8b\x08 cut"));
	pprof_sized(&request, 1, str_of(&bad));
	pprof_sized(&request, 1, str_of(&good));
	assert_push(fixture, str_of(&request), 400,
		    "series 1 (bad), profile 2: it is packed by gzip, and cut short or damaged; "
		    "the rest is stored");
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22good%22%7D") == 50000000);
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22bad%22%7D") == 50000000);
	assert_true(fixture->small.server.counters.push_refused == 1);
	assert_true(fixture->small.server.counters.push_profiles == 2);
}

static void what_is_no_push_is_refused_in_words(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf series = BUF(MEMORY);
	autoclean(buf) struct buf nameless = BUF(MEMORY);

	assert_push(fixture, (struct str){ 0 }, 400, "no profiles received");
	add_label(&series, "__name__", STR("process_cpu"));
	push_series(fixture, &series, 400, "no profiles received");
	assert_push(fixture, STR("\x0a\x7fxx"), 400, "no push.v1.PushRequest, or it is cut short");
	assert_push(fixture, STR("\x0a\x02\x0a\x7f"), 400, "or it is cut short");
	add_profile(&series, STR("hello"));
	push_series(fixture, &series, 400, "series 1 (unknown_service), profile 1: byte ");
	add_label(&nameless, "service_name", STR("x"));
	add_profile(&nameless, STR("hello"));
	push_series(fixture, &nameless, 400, "series 1 (x): it has no label __name__");
}

static void labels_are_mended(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf series = BUF(MEMORY);
	const struct server_counters *counters = &fixture->small.server.counters;

	begin_series(&series, NULL);
	add_label(&series, "bytes", STR("a\xff\xfe"));
	add_label(&series, "same", STR("1"));
	add_label(&series, "same", STR("1"));
	add_label(&series, "__delta__", STR("false"));
	add_label(&series, "__mine__", STR("kept"));
	add_label(&series, "empty", STR(""));
	push_series(fixture, &series, 200, NULL);
	assert_true(total(fixture, CPU, "%7Bservice_name%3D%22unknown_service%22%7D") == 50000000);
	assert_true(total(fixture, CPU, "%7Bbytes%3D%22a%EF%BF%BD%EF%BF%BD%22%7D") == 50000000);
	assert_true(total(fixture, CPU, "%7B__mine__%3D%22kept%22%7D") == 50000000);
	assert_true(total(fixture, CPU, "%7B__delta__%3D%22false%22%7D") == 0);
	assert_true(counters->push_repairs[PPROF_REPAIR_COUNT + PUSH_LABEL_TEXT] == 1);
	assert_true(counters->push_repairs[PPROF_REPAIR_COUNT + PUSH_LABEL_DUPLICATE] == 1);
	assert_true(counters->push_repairs[PPROF_REPAIR_COUNT + PUSH_LABEL_SERVICE] == 1);
}

static int add_to(struct push_labels *labels, const char *name, const char *value,
		  char reason[static PUSH_LABELS_ERROR_SIZE])
{
	return push_labels_add(labels, str_from(name), str_from(value), reason);
}

static void labels_have_limits(void **state)
{
	(void)state;
	autoclean(push_labels) struct push_labels labels;
	char reason[PUSH_LABELS_ERROR_SIZE] = "";
	char name[PUSH_LABEL_NAME_SIZE_MAX + 2];
	char value[PUSH_LABEL_VALUE_SIZE_MAX + 2];

	push_labels_init(&labels);
	assert_int_equal(add_to(&labels, "__name__", "godeltaprof_memory", reason), 0);
	assert_int_equal(add_to(&labels, "service_name", "a", reason), 0);
	assert_int_equal(add_to(&labels, "service_name", "b", reason), 0);
	assert_int_equal(add_to(&labels, "x", "1", reason), 0);
	assert_int_equal(add_to(&labels, "x", "2", reason), -EINVAL);
	assert_string_equal(reason, "label 'x' is given twice, with two values");
	assert_int_equal(add_to(&labels, "", "2", reason), -EINVAL);
	assert_string_equal(reason, "a label has no name");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(add_to(&labels, name, "v", reason), -EINVAL);
	assert_non_null(strstr(reason, "is longer than 1024 bytes"));
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(add_to(&labels, "v", value, reason), -EINVAL);
	assert_string_equal(reason, "the value of label 'v' is longer than 2048 bytes");
	for (int i = 0; i < PUSH_LABEL_COUNT_MAX - 3; i++) {
		static char names[PUSH_LABEL_COUNT_MAX][8];

		snprintf(names[i], sizeof(names[i]), "l%d", i);
		assert_int_equal(add_to(&labels, names[i], "v", reason), 0);
	}
	assert_int_equal(add_to(&labels, "more", "v", reason), -EINVAL);
	assert_string_equal(reason, "it has more than 30 labels");
	push_labels_finish(&labels);
	assert_true(str_equal(labels.name, STR("memory")));
	assert_true(str_equal(labels.labels[0].value, STR("b")));
	assert_true(str_equal(labels.labels[labels.count - 1].name, STR("__name_replaced__")));
}

/* More than one batch: told apart by nobody. */
static void a_large_profile_comes_whole_or_not_at_all(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(buf) struct buf series = BUF(MEMORY);
	autoclean(buf) struct buf broken = BUF(MEMORY);

	pprof_example(&profile);
	for (int i = 0; i < 100000; i++)
		pprof_sized(&profile, 2, STR("\x0a\x01\x0c\x12\x02\x01\x01"));
	add_label(&series, "__name__", STR("process_cpu"));
	add_label(&series, "service_name", STR("large"));
	add_profile(&series, str_of(&profile));
	push_series(fixture, &series, 200, NULL);
	assert_true(total(fixture, COUNT, "%7Bservice_name%3D%22large%22%7D") == 100005);
	pprof_sized(&profile, 2, STR("\x0a\x01\x63\x12\x02\x01\x01"));
	add_label(&broken, "__name__", STR("process_cpu"));
	add_label(&broken, "service_name", STR("broken"));
	add_profile(&broken, str_of(&profile));
	push_series(fixture, &broken, 400, "sample 100003 is at location 99, which is not there");
	assert_true(total(fixture, COUNT, "%7Bservice_name%3D%22broken%22%7D") == 0);
}

static void base64_is_read_in_each_way(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *bytes; /* NULL: it is none */
	} cases[] = {
		{ "", "" },
		{ "YQ==", "a" },
		{ "YQ", "a" },
		{ "YWI=", "ab" },
		{ "YWI", "ab" },
		{ "YWJj", "abc" },
		{ "Pz8/", "???" },
		{ "Pz8_", "???" },
		{ "Pj4+", ">>>" },
		{ "Pj4-", ">>>" },
		{ "Y", NULL },
		{ "YQ=", NULL },
		{ "YQ===", NULL },
		{ "Y Q=", NULL },
		{ "====", NULL },
		{ "Y=Q=", NULL },
		{ "YWJjZGVm", "abcdef" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str text = str_from(cases[i].text);
		uint8_t bytes[64];
		size_t size = 0;
		int err = base64_decode(text, bytes, &size);

		assert_true(base64_room(text.size) <= sizeof(bytes));
		if (!cases[i].bytes) {
			if (err != -EBADMSG)
				fail_msg("'%s' was read", cases[i].text);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(size, strlen(cases[i].bytes));
		assert_memory_equal(bytes, cases[i].bytes, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pushed_profile_is_there_when_it_is_answered,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(it_comes_packed_in_any_way, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(it_comes_as_json, open_with_writer,
						close_with_writer),
		cmocka_unit_test_setup_teardown(what_is_good_of_a_request_is_stored,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(what_is_no_push_is_refused_in_words,
						open_with_writer, close_with_writer),
		cmocka_unit_test_setup_teardown(labels_are_mended, open_with_writer,
						close_with_writer),
		cmocka_unit_test(labels_have_limits),
		cmocka_unit_test_setup_teardown(a_large_profile_comes_whole_or_not_at_all,
						open_with_writer, close_with_writer),
		cmocka_unit_test(base64_is_read_in_each_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on the wire and as JSON, byte by byte, and what strangers may do to them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "proto/pyroscope.pb-c.h"
#include "web/message_json.h"

enum { MEMORY_MAX = 1 << 20 };

/* ---- the wire ---------------------------------------------------------------------------------
 */

#define BYTES(literal) ((struct str){ (literal), sizeof(literal) - 1 })

static void reads_what_clients_send(void **state)
{
	/* LabelNames for {} between 1 and 2. */
	autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);
	char error[MESSAGE_ERROR_SIZE] = "";
	const ProtobufCMessage *message = NULL;

	(void)state;
	assert_int_equal(message_unpack(&pyroscope__label_names_request__descriptor,
					BYTES("\x0a\x02{}\x10\x01\x18\x02"), &arena, &message,
					error),
			 0);

	const Pyroscope__LabelNamesRequest *asked = (const void *)message;

	assert_int_equal(asked->n_matchers, 1);
	assert_string_equal(asked->matchers[0], "{}");
	assert_int_equal(asked->start, 1);
	assert_int_equal(asked->end, 2);

	/* Nothing is all defaults; what is not known is skipped. */
	assert_int_equal(message_unpack(&pyroscope__label_names_request__descriptor, BYTES(""),
					&arena, &message, error),
			 0);
	assert_int_equal(((const Pyroscope__LabelNamesRequest *)(const void *)message)->start, 0);
	assert_int_equal(message_unpack(&pyroscope__label_names_request__descriptor,
					BYTES("\xfa\x01\x03xyz\x10\x05\xf9\x01"
					      "12345678\xfd\x01"
					      "1234"),
					&arena, &message, error),
			 0);
	assert_int_equal(((const Pyroscope__LabelNamesRequest *)(const void *)message)->start, 5);
}

static void writes_what_clients_read(void **state)
{
	/* One set {service_name=x}; the field is the second. */
	static const char expected[] = "\x12\x13\x0a\x11\x0a\x0cservice_name\x12\x01x";
	char name[] = "service_name";
	char value[] = "x";
	Pyroscope__LabelPair pair = PYROSCOPE__LABEL_PAIR__INIT;
	Pyroscope__LabelPair *pairs[] = { &pair };
	Pyroscope__Labels labels = PYROSCOPE__LABELS__INIT;
	Pyroscope__Labels *sets[] = { &labels };
	Pyroscope__SeriesResponse answer = PYROSCOPE__SERIES_RESPONSE__INIT;
	autoclean(buf) struct buf buf = BUF(MEMORY_MAX);

	(void)state;
	pair.name = name;
	pair.value = value;
	labels.n_labels = 1;
	labels.labels = pairs;
	answer.n_labels_set = 1;
	answer.labels_set = sets;
	message_pack(&answer.base, &buf);
	assert_int_equal(buf.size, sizeof(expected) - 1);
	assert_memory_equal(buf.bytes, expected, buf.size);

	autoclean(buf) struct buf text = BUF(MEMORY_MAX);
	struct json_writer json = JSON_WRITER(&text);

	message_to_json(&answer.base, &json);
	buf_add_u8(&text, 0);
	assert_string_equal(
		(const char *)text.bytes,
		"{\"labelsSet\":[{\"labels\":[{\"name\":\"service_name\",\"value\":\"x\"}]}]}");
}

static void refuses_what_is_no_message(void **state)
{
	static const struct {
		struct str bytes;
		const char *expected;
	} cases[] = {
		{ { "\x0a", 1 }, "more bytes announced" },
		{ { "\x0a\x05{}", 4 }, "\"profile_typeID\"" },
		{ { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 }, "more bytes announced" },
		{ { "\x18", 1 }, "a number without an end" },
		{ { "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 },
		  "a number without an end" },
		{ { "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11 },
		  "a number without an end" },
		{ { "\x00\x01", 2 }, "without a number" },
		{ { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 }, "without a number" },
		{ { "\x0b", 1 }, "unknown wire type" },
		{ { "\x0f", 1 }, "unknown wire type" },
		{ { "\x0a\x02\xc3\x28", 4 }, "no UTF-8" },
		{ { "\x0a\x03"
		    "a\0b",
		    5 },
		  "NUL" },
		{ { "\x1a\x02\x01\x01", 4 }, "a list" },
		{ { "\x19"
		    "1234567",
		    8 },
		  "a number without an end" },
		{ { "\x08\x01", 2 }, "another type" },
		/* A call site whose name goes on beyond it. */
		{ { "\x3a\x04\x0a\x02\x0a\x05", 6 }, "\"name\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);
		char error[MESSAGE_ERROR_SIZE] = "";
		const ProtobufCMessage *message = NULL;
		int err = message_unpack(&pyroscope__select_merge_stacktraces_request__descriptor,
					 cases[i].bytes, &arena, &message, error);

		assert_int_equal(err, -EBADMSG);
		assert_null(message);
		if (!strstr(error, cases[i].expected))
			fail_msg("%zu: %s", i, error);
	}
}

static void bounds_what_a_message_may_hold(void **state)
{
	autoclean(buf) struct buf bytes = BUF(MEMORY_MAX);
	autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);
	autoclean(arena) struct arena small = ARENA(100 << 10);
	char error[MESSAGE_ERROR_SIZE] = "";
	const ProtobufCMessage *message = NULL;
	const ProtobufCMessageDescriptor *kind = &pyroscope__label_names_request__descriptor;

	(void)state;
	/* Empty texts: two bytes that become a pointer and more. */
	for (size_t i = 0; i < MESSAGE_FIELD_COUNT_MAX; i++)
		buf_add(&bytes, "\x0a", 2);
	assert_int_equal(bytes.size, 2 * MESSAGE_FIELD_COUNT_MAX);
	assert_int_equal(message_unpack(kind, (struct str){ (char *)bytes.bytes, 20000 }, &arena,
					&message, error),
			 0);
	assert_int_equal(((const Pyroscope__LabelNamesRequest *)(const void *)message)->n_matchers,
			 10000);
	assert_int_equal(message_unpack(kind, (struct str){ (char *)bytes.bytes, bytes.size },
					&small, &message, error),
			 -E2BIG);
	assert_true(small.size <= small.limit);
	buf_add(&bytes, "\x10\x01", 2);
	assert_int_equal(
		message_check(kind, (struct str){ (char *)bytes.bytes, bytes.size }, error),
		-E2BIG);
	assert_non_null(strstr(error, "more than 20000 fields"));
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static int from_json(const ProtobufCMessageDescriptor *kind, const char *text, struct arena *arena,
		     const void **ret, char error[static MESSAGE_ERROR_SIZE])
{
	autoclean(json_value) struct json_value *json = NULL;
	const ProtobufCMessage *message = NULL;

	assert_int_equal(json_value_parse(str_from(text), &json, error), 0);

	int err = message_from_json(kind, json, arena, &message, error);

	*ret = message;
	return err;
}

static void takes_both_names_and_every_form_of_a_number(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
		bool is_wrong;
	} cases[] = {
		{ "{\"maxNodes\":5}", 5, false },
		{ "{\"max_nodes\":\"5\"}", 5, false },
		{ "{\"max_nodes\":5.0}", 5, false },
		{ "{\"max_nodes\":1.7e12}", 1700000000000, false },
		{ "{\"max_nodes\":\"-9223372036854775808\"}", INT64_MIN, false },
		{ "{\"max_nodes\":null}", 0, false },
		{ "{\"MAX_NODES\":7,\"x\":{}}", 0, false },
		{ "{}", 0, false },
		{ "{\"max_nodes\":5.5}", 0, true },
		{ "{\"max_nodes\":1e300}", 0, true },
		{ "{\"max_nodes\":9223372036854775808.0}", 0, true },
		{ "{\"max_nodes\":\"\"}", 0, true },
		{ "{\"max_nodes\":\"5x\"}", 0, true },
		{ "{\"max_nodes\":true}", 0, true },
		{ "{\"max_nodes\":[5]}", 0, true },
		{ "{\"max_nodes\":5,\"maxNodes\":5}", 0, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);
		char error[MESSAGE_ERROR_SIZE] = "";
		const void *message = NULL;
		int err = from_json(&pyroscope__select_merge_stacktraces_request__descriptor,
				    cases[i].text, &arena, &message, error);

		assert_int_equal(err, cases[i].is_wrong ? -EBADMSG : 0);
		if (err)
			assert_non_null(strstr(error, "\"max_nodes\""));
		else
			assert_true(((const Pyroscope__SelectMergeStacktracesRequest *)message)
					    ->max_nodes == cases[i].value);
	}
}

static void reads_every_kind_of_field(void **state)
{
	autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);
	char error[MESSAGE_ERROR_SIZE] = "";
	const void *message = NULL;

	(void)state;
	assert_int_equal(
		from_json(
			&pyroscope__select_series_request__descriptor,
			"{\"profileTypeID\":\"t\",\"labelSelector\":\"\\u00e9\",\"step\":\"15.5\","
			"\"group_by\":[\"a\",\"b\"],\"exemplarType\":\"EXEMPLAR_TYPE_SPAN\","
			"\"aggregation\":1,\"stackTraceSelector\":{\"callSite\":[{\"name\":\"m\"},{"
			"}],"
			"\"goPgo\":{\"keepLocations\":5,\"aggregate_callees\":true}}}",
			&arena, &message, error),
		0);

	const Pyroscope__SelectSeriesRequest *asked = message;

	assert_string_equal(asked->profile_typeid, "t");
	assert_string_equal(asked->label_selector, "\xc3\xa9");
	assert_true(asked->step == 15.5);
	assert_int_equal(asked->n_group_by, 2);
	assert_string_equal(asked->group_by[1], "b");
	assert_int_equal(asked->exemplar_type, 3);
	assert_int_equal(asked->aggregation, 1);
	assert_int_equal(asked->stack_trace_selector->n_call_site, 2);
	assert_string_equal(asked->stack_trace_selector->call_site[0]->name, "m");
	assert_string_equal(asked->stack_trace_selector->call_site[1]->name, "");
	assert_int_equal(asked->stack_trace_selector->go_pgo->keep_locations, 5);
	assert_true(asked->stack_trace_selector->go_pgo->aggregate_callees);

	/* Names of newer clients mean nothing; numbers are kept. */
	assert_int_equal(from_json(&pyroscope__select_series_request__descriptor,
				   "{\"exemplarType\":\"NEWER\",\"aggregation\":7}", &arena,
				   &message, error),
			 0);
	asked = message;
	assert_int_equal(asked->exemplar_type, 0);
	assert_int_equal(asked->aggregation, 7);
}

static void names_the_field_that_is_wrong(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} cases[] = {
		{ "{\"groupBy\":\"a\"}", "no list in field \"group_by\"" },
		{ "{\"groupBy\":[1]}", "no text in field \"group_by\"" },
		{ "{\"groupBy\":[null]}", "no text in field \"group_by\"" },
		{ "{\"step\":\"0x10\"}", "no number in field \"step\"" },
		{ "{\"step\":\"\"}", "no number in field \"step\"" },
		{ "{\"step\":\"nan\"}", "no number in field \"step\"" },
		{ "{\"exemplarType\":1.5}", "no enum in field \"exemplar_type\"" },
		{ "{\"exemplarType\":3000000000}", "no enum in field \"exemplar_type\"" },
		{ "{\"labelSelector\":\"a\\u0000b\"}", "NUL" },
		{ "{\"stackTraceSelector\":[]}", "no message in field \"stack_trace_selector\"" },
		{ "{\"stackTraceSelector\":{\"callSite\":[{\"name\":{}}]}}", "\"name\"" },
		{ "{\"stackTraceSelector\":{\"goPgo\":{\"keepLocations\":-1}}}",
		  "\"keep_locations\"" },
		{ "{\"stackTraceSelector\":{\"goPgo\":{\"aggregateCallees\":1}}}",
		  "\"aggregate_callees\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);
		autoclean(json_value) struct json_value *json = NULL;
		char error[MESSAGE_ERROR_SIZE] = "";
		const ProtobufCMessage *message = NULL;
		int err = json_value_parse(str_from(cases[i].text), &json, error);

		if (!err)
			err = message_from_json(&pyroscope__select_series_request__descriptor, json,
						&arena, &message, error);
		assert_int_equal(err, -EBADMSG);
		if (!strstr(error, cases[i].expected) && !strstr(cases[i].expected, "NUL"))
			fail_msg("%s: %s", cases[i].text, error);
	}
}

static void writes_every_kind_of_field(void **state)
{
	static uint8_t bytes[] = { 0, 0, 2, 0xff };
	static const char *const expected[] = { "", "AA==", "AAA=", "AAAC", "AAAC/w==" };
	autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);

	(void)state;
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		Pyroscope__SelectMergeStacktracesResponse answer =
			PYROSCOPE__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
		autoclean(buf) struct buf text = BUF(MEMORY_MAX);
		struct json_writer json = JSON_WRITER(&text);
		char wanted[64];

		answer.tree = (ProtobufCBinaryData){ size, bytes };
		message_to_json(&answer.base, &json);
		buf_add_u8(&text, 0);
		snprintf(wanted, sizeof(wanted), size ? "{\"tree\":\"%s\"}" : "{%s}",
			 expected[size]);
		assert_string_equal((const char *)text.bytes, wanted);
	}

	uint64_t ids[] = { UINT64_MAX, 0 };
	int64_t values[] = { INT64_MIN };
	Pprof__Sample sample = PPROF__SAMPLE__INIT;
	Pprof__Sample *samples[] = { &sample };
	Pprof__Mapping mapping = PPROF__MAPPING__INIT;
	Pprof__Mapping *mappings[] = { &mapping };
	Pprof__ValueType type = PPROF__VALUE_TYPE__INIT;
	Pprof__Profile profile = PPROF__PROFILE__INIT;
	char *texts[] = { arena_text(&arena, STR("")), arena_text(&arena, STR("a\0\xff"
									      "b")) };
	autoclean(buf) struct buf text = BUF(MEMORY_MAX);
	struct json_writer json = JSON_WRITER(&text);

	sample.location_id = ids;
	sample.n_location_id = 2;
	sample.value = values;
	sample.n_value = 1;
	mapping.has_functions = true;
	profile.sample = samples;
	profile.n_sample = 1;
	profile.mapping = mappings;
	profile.n_mapping = 1;
	profile.string_table = texts;
	profile.n_string_table = 2;
	profile.period_type = &type;
	message_to_json(&profile.base, &json);
	buf_add_u8(&text, 0);
	assert_string_equal((const char *)text.bytes,
			    "{\"sample\":[{\"locationId\":[\"18446744073709551615\",\"0\"],"
			    "\"value\":[\"-9223372036854775808\"]}],"
			    "\"mapping\":[{\"hasFunctions\":true}],"
			    "\"stringTable\":[\"\",\"a\xef\xbf\xbd\xef\xbf\xbd"
			    "b\"],"
			    "\"periodType\":{}}");
}

/* ---- the arena --------------------------------------------------------------------------------
 */

static void an_arena_keeps_to_its_limit(void **state)
{
	autoclean(arena) struct arena arena = ARENA(200 << 10);
	const uint64_t *first = arena_take(&arena, 1, 8);

	(void)state;
	assert_non_null(first);
	assert_true(*first == 0);
	/* A large piece between small ones. */
	char *large = arena_take(&arena, 100 << 10, 1);
	char *small = arena_take(&arena, 3, 1);

	assert_non_null(large);
	assert_non_null(small);
	assert_ptr_equal((const char *)first + 16, small);
	memset(large, 1, 100 << 10);
	assert_true(*first == 0 && small[0] == 0);
	assert_null(arena_take(&arena, 100 << 10, 1));
	assert_int_equal(arena.error, -E2BIG);
	/* It stays. */
	assert_null(arena_take(&arena, 1, 1));
	arena_done(&arena);
	assert_int_equal(arena.error, 0);
	assert_null(arena_take(&arena, SIZE_MAX / 2, 3));
	assert_int_equal(arena.error, -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_clients_send),
		cmocka_unit_test(writes_what_clients_read),
		cmocka_unit_test(refuses_what_is_no_message),
		cmocka_unit_test(bounds_what_a_message_may_hold),
		cmocka_unit_test(takes_both_names_and_every_form_of_a_number),
		cmocka_unit_test(reads_every_kind_of_field),
		cmocka_unit_test(names_the_field_that_is_wrong),
		cmocka_unit_test(writes_every_kind_of_field),
		cmocka_unit_test(an_arena_keeps_to_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

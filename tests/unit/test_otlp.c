/* SPDX-License-Identifier: Apache-2.0 */
/* OpenTelemetry's profiles: every revision says the same, and what is wrong is found. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "tests/support/otlp_maker.h"
#include "tests/support/pprof_maker.h"
#include "web/otlp_detect.h"
#include "web/otlp_dump.h"
#include "web/otlp_json.h"
#include "web/otlp_reader.h"

enum { TEXT_SIZE_MAX = 1 << 20 };

static int dump(void *context, const struct otlp_profile *profile)
{
	otlp_dump_profile(profile, context);
	return 0;
}

static int read_text(struct str bytes, enum otlp_revision known, struct otlp_report *report,
		     struct buf *text, char reason[static OTLP_ERROR_SIZE])
{
	struct otlp_reading reading = {
		.bytes = bytes, .known = known, .take = dump, .context = text
	};

	return otlp_read(&reading, report, reason);
}

static const char *as_text(struct buf *text)
{
	buf_add_u8(text, 0);
	assert_int_equal(text->error, 0);
	return (const char *)text->bytes;
}

static struct str bytes_of(const struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

/* ---- revisions --------------------------------------------------------------------------------
 */

/* Two of the nine profiles, which say what the others say. */
static const char expected_first[] =
	"profile 0: samples/count, a period of 50000000 cpu/nanoseconds, from 1700000000000000000 "
	"ns for 1000000000 ns, id 69642d6f662d612d70726f66696c6541, 3 samples\n"
	"  resource process.executable.name=\"prog-0\" process.pid=101\n"
	"  scope profiler v1\n"
	"  sample @1700000000050000000 @1700000000250000000 @1700000000900000000\n"
	"    attributes thread.id=7 thread.name=\"worker\"\n"
	"    vfs_read at 0x77 [kernel] in vmlinux gnu:aabbccdd\n"
	"    inner (work.h:22:7) <\n"
	"    work (work.c:30:0) at 0x3000 [native] in prog gnu:0102030405\n"
	"    main (main.c:10:0) at 0x3100 [native] in prog gnu:0102030405\n"
	"  sample @1700000000100000000 trace 74726163652d6f662d7369787465656e span "
	"2d7370616e2d6964\n"
	"    attributes thread.name=\"worker\"\n"
	"    0x2340 [native] in prog gnu:0102030405\n"
	"    main (main.c:10:0) at 0x3100 [native] in prog gnu:0102030405\n"
	"  sample @1700000000150000000 @1700000000200000000\n"
	"    attributes latency=1.5 ms thread.id=7 thread.name=\"worker\"\n"
	"    run (app.py:5:2) [cpython]\n"
	"profile 1: off_cpu/nanoseconds, from 1700000000000000000 ns for 1000000000 ns, id "
	"69642d6f662d612d70726f66696c6542, 1 samples\n"
	"  resource process.executable.name=\"prog-0\" process.pid=101\n"
	"  scope profiler v1\n"
	"  sample 100000 200000 @1700000000300000000 @1700000000400000000\n"
	"    attributes thread.name=\"worker\"\n"
	"    0x2340 [native] in prog gnu:0102030405\n"
	"    main (main.c:10:0) at 0x3100 [native] in prog gnu:0102030405\n"
	"profile 2: alloc_space/bytes, from 1700000000000000000 ns for 1000000000 ns, id "
	"69642d6f662d612d70726f66696c6543, 1 samples\n"
	"  resource process.executable.name=\"prog-0\" process.pid=101\n"
	"  scope profiler v1\n"
	"  sample 4096\n"
	"    vfs_read at 0x77 [kernel] in vmlinux gnu:aabbccdd\n"
	"    inner (work.h:22:7) <\n"
	"    work (work.c:30:0) at 0x3000 [native] in prog gnu:0102030405\n"
	"    main (main.c:10:0) at 0x3100 [native] in prog gnu:0102030405\n";

static void check_revision(enum otlp_revision revision, unsigned flags, const char *expected)
{
	autoclean(buf) struct buf request = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	otlp_make(revision, flags, &request);

	int err = read_text(bytes_of(&request), OTLP_REVISION_NONE, &report, &text, reason);

	/* 1.4 and 1.5 have one field each that the other has not; without it they read the same. */
	if (revision == OTLP_R1_4)
		revision = OTLP_R1_5;
	if (err || report.revision != revision)
		print_message("%s with flags %u: %s; %s\n", otlp_revision_name(revision), flags,
			      reason, report.why);
	assert_int_equal(err, 0);
	assert_int_equal(report.revision, revision);
	assert_int_equal(report.profiles, OTLP_MAKER_PROFILE_COUNT);
	assert_int_equal(report.samples, OTLP_MAKER_SAMPLE_COUNT);
	assert_int_equal(report.samples_skipped, 0);
	assert_int_equal(report.profiles_refused, 0);
	for (int flaw = 0; flaw < OTLP_FLAW_COUNT; flaw++)
		if (flaw != OTLP_FLAW_UNPACKED && flaw != OTLP_FLAW_UNSURE &&
		    (flaw != OTLP_FLAW_MAPPING_INDEX || revision != OTLP_R1_3))
			assert_int_equal(report.flaws[flaw], 0);
	/* One by one, the numbers of 1.9's and 1.10's samples are of one type. */
	assert_true(report.flaws[OTLP_FLAW_UNSURE] == 0 || (flags & OTLP_MAKER_UNPACKED));
	assert_int_equal(report.flaws[OTLP_FLAW_UNPACKED] > 0, (flags & OTLP_MAKER_UNPACKED) > 0);
	assert_string_equal(as_text(&text), expected);
}

static void every_revision_says_the_same(void **state)
{
	static const unsigned ways[] = {
		0,
		OTLP_MAKER_TABLES_FIRST,
		OTLP_MAKER_TABLES_SPLIT,
		OTLP_MAKER_UNPACKED,
		OTLP_MAKER_UNKNOWN,
		OTLP_MAKER_SUMS,
		OTLP_MAKER_UNPACKED | OTLP_MAKER_UNKNOWN | OTLP_MAKER_TABLES_FIRST,
	};
	autoclean(buf) struct buf request = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	(void)state;
	otlp_make(OTLP_R1_10, 0, &request);
	assert_int_equal(read_text(bytes_of(&request), OTLP_REVISION_NONE, &report, &text, reason),
			 0);

	const char *expected = as_text(&text);

	assert_memory_equal(expected, expected_first, sizeof(expected_first) - 1);
	assert_non_null(strstr(expected, "process.pid=102 service.name=\"shop\""));
	for (enum otlp_revision revision = OTLP_R1_3; revision <= OTLP_R1_10; revision++)
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
			check_revision(revision, ways[i], expected);
}

/* Every prefix is refused or read, and never more than there is. */
static void cut_requests_are_refused_or_shorter(void **state)
{
	(void)state;
	for (enum otlp_revision revision = OTLP_R1_3; revision <= OTLP_R1_10; revision++) {
		autoclean(buf) struct buf request = BUF(TEXT_SIZE_MAX);
		autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
		size_t refused = 0;

		otlp_make(revision, OTLP_MAKER_TABLES_FIRST, &request);
		for (size_t size = 0; size < request.size; size++) {
			autofree uint8_t *cut = malloc(size + 1);
			char reason[OTLP_ERROR_SIZE];
			struct otlp_report report;

			assert_non_null(cut);
			memcpy(cut, request.bytes, size);
			buf_clear(&text);

			int err = read_text((struct str){ (char *)cut, size }, OTLP_REVISION_NONE,
					    &report, &text, reason);

			assert_true(err == 0 || err == -EBADMSG);
			assert_true(!err || reason[0]);
			assert_true(report.samples <= OTLP_MAKER_SAMPLE_COUNT);
			refused += err != 0;
		}
		/* All but those that end between two fields of the request. */
		assert_true(refused > request.size - 80);
	}
}

/* ---- as others write it -----------------------------------------------------------------------
 */

static void read_fixture(const char *revision, const char *kind, struct buf *ret)
{
	char path[64];
	uint8_t piece[4096];
	size_t count;
	FILE *file;

	snprintf(path, sizeof(path), "tests/fixtures/otlp/r%s.%s", revision, kind);
	file = fopen(path, "r");
	assert_non_null(file);
	while ((count = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_add(ret, piece, count);
	(void)fclose(file);
	assert_true(ret->size > 0 && !ret->error);
}

static const char official[] =
	"profile 0: samples/count, a period of 50000000 cpu/nanoseconds, from 1700000000000000000 "
	"ns for 1000000000 ns, id 69642d6f662d612d70726f66696c6521, 2 samples\n"
	"  resource process.pid=7 service.name=\"shop\"\n"
	"  scope official v1\n"
	"  sample @1700000000100000000 @1700000000200000000 trace 74726163652d6f662d7369787465656e "
	"span 2d7370616e2d6964\n"
	"    attributes thread.name=\"worker\"\n"
	"    inner (work.c:7:2) <\n"
	"    work (work.c:20:0) at 0x1234 [native] in prog gnu:0102030405060708\n"
	"    main (main.c:3:0) at 0x125c [native] in prog gnu:0102030405060708\n"
	"  sample @1700000000300000000\n"
	"    attributes latency=1.5 ms thread.name=\"worker\"\n"
	"    0x1270 [native] in prog gnu:0102030405060708\n";

/* Bytes that OpenTelemetry's own types of each revision wrote, and the JSON that they read. */
static void official_types_say_the_same(void **state)
{
	static const struct {
		const char *name;
		enum otlp_revision found, named;
	} revisions[] = {
		{ "1.3", OTLP_R1_3, OTLP_R1_3 },    { "1.4", OTLP_R1_5, OTLP_R1_5 },
		{ "1.5", OTLP_R1_5, OTLP_R1_5 },    { "1.7", OTLP_R1_7, OTLP_R1_7 },
		{ "1.8", OTLP_R1_8, OTLP_R1_8 },    { "1.9", OTLP_R1_9, OTLP_R1_10 },
		{ "1.10", OTLP_R1_10, OTLP_R1_10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(revisions) / sizeof(revisions[0]); i++) {
		autoclean(buf) struct buf bytes = BUF(TEXT_SIZE_MAX);
		autoclean(buf) struct buf json = BUF(TEXT_SIZE_MAX);
		autoclean(buf) struct buf encoded = BUF(TEXT_SIZE_MAX);
		autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
		enum otlp_revision named = OTLP_REVISION_NONE;
		char reason[OTLP_ERROR_SIZE];
		struct otlp_report report;

		read_fixture(revisions[i].name, "bin", &bytes);
		if (read_text(bytes_of(&bytes), OTLP_REVISION_NONE, &report, &text, reason))
			fail_msg("%s: %s", revisions[i].name, reason);
		assert_string_equal(as_text(&text), official);
		assert_int_equal(report.revision, revisions[i].found);

		read_fixture(revisions[i].name, "json", &json);
		if (otlp_json_encode(bytes_of(&json), &encoded, &named, reason))
			fail_msg("%s: %s", revisions[i].name, reason);
		assert_int_equal(named, revisions[i].named);
		buf_clear(&text);
		assert_int_equal(read_text(bytes_of(&encoded), named, &report, &text, reason), 0);
		assert_string_equal(as_text(&text), official);
	}
}

/* ---- what is wrong ----------------------------------------------------------------------------
 */

enum { ATTRIBUTES_OF_PROFILE = 11 };

/* A request of revision 1.10 in parts, so that each may be wrong. */
struct parts {
	struct buf dictionary, samples;
};

static void add_type(struct buf *profile)
{
	pprof_sized(profile, 1, STR("\x08\x01\x10\x02"));
}

static int read_parts(struct parts *parts, struct otlp_report *report, struct buf *text,
		      char reason[static OTLP_ERROR_SIZE])
{
	autoclean(buf) struct buf profile = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf scope = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf resource = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf request = BUF(TEXT_SIZE_MAX);

	add_type(&profile);
	buf_add(&profile, parts->samples.bytes, parts->samples.size);
	buf_add_varint(&profile, 3 << 3 | 1);
	buf_add_u64(&profile, OTLP_MAKER_TIME_NS);
	pprof_sized(&scope, 2, bytes_of(&profile));
	pprof_sized(&resource, 2, bytes_of(&scope));
	pprof_sized(&request, 1, bytes_of(&resource));
	pprof_sized(&request, 2, bytes_of(&parts->dictionary));

	int err = read_text(bytes_of(&request), OTLP_R1_10, report, text, reason);

	buf_done(&parts->dictionary);
	buf_done(&parts->samples);
	return err;
}

static void add_text(struct parts *parts, const char *text)
{
	pprof_sized(&parts->dictionary, 5, str_from(text));
}

/* Texts "", "cpu", "count", "f"; function 1 is f; location 1 is in it; stack 1 is there. */
static struct parts small_parts(void)
{
	struct parts parts = { .dictionary = BUF(TEXT_SIZE_MAX), .samples = BUF(TEXT_SIZE_MAX) };

	add_text(&parts, "");
	add_text(&parts, "cpu");
	add_text(&parts, "count");
	add_text(&parts, "f");
	pprof_sized(&parts.dictionary, 3, STR(""));
	pprof_sized(&parts.dictionary, 3, STR("\x08\x03"));
	pprof_sized(&parts.dictionary, 2, STR(""));
	pprof_sized(&parts.dictionary, 2, STR("\x1a\x02\x08\x01"));
	pprof_sized(&parts.dictionary, 7, STR(""));
	pprof_sized(&parts.dictionary, 7, STR("\x0a\x01\x01"));
	return parts;
}

static void check_sample(const char *sample, size_t size, enum otlp_flaw flaw, const char *expected)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	struct parts parts = small_parts();
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	pprof_sized(&parts.samples, 2, (struct str){ sample, size });
	assert_int_equal(read_parts(&parts, &report, &text, reason), 0);
	if (flaw < OTLP_FLAW_COUNT)
		assert_int_equal(report.flaws[flaw], 1);
	assert_int_equal(report.samples, 1);
	assert_int_equal(report.samples_skipped, expected == NULL);
	if (expected)
		assert_non_null(strstr(as_text(&text), expected));
	else
		assert_int_equal(text.size, 0);
	if (!expected) {
		assert_int_equal(report.profiles_refused, 1);
		assert_int_equal(report.flaws[OTLP_FLAW_EMPTY], 1);
	}
}

#define CHECK_SAMPLE(bytes, flaw, expected)                                                        \
	check_sample(bytes, sizeof(bytes) - 1, OTLP_FLAW_##flaw, expected)

static void samples_are_mended_or_skipped(void **state)
{
	(void)state;
	/* Fields: 1 the stack, 2 attributes, 3 the link, 4 values, 5 timestamps. */
	CHECK_SAMPLE("\x08\x01\x22\x01\x05", COUNT, "  sample 5\n    f\n");
	CHECK_SAMPLE("\x08\x02\x22\x01\x05", STACK_INDEX, NULL);
	CHECK_SAMPLE("\x08\xff\xff\xff\xff\x07\x22\x01\x05", STACK_INDEX, NULL);
	CHECK_SAMPLE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x22\x01\x05", STACK_INDEX, NULL);
	CHECK_SAMPLE("\x08\x01", NO_VALUE, NULL);
	CHECK_SAMPLE("\x08\x01\x22\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", NEGATIVE_VALUE,
		     NULL);
	CHECK_SAMPLE("\x08\x01\x12\x01\x09\x22\x01\x05", ATTRIBUTE_INDEX, "  sample 5\n    f\n");
	CHECK_SAMPLE("\x08\x01\x18\x09\x22\x01\x05", LINK_INDEX, "  sample 5\n    f\n");
	CHECK_SAMPLE("\x08\x01\x22\x02\x05\x06\x2a\x08\x01\x01\x01\x01\x01\x01\x01\x01",
		     VALUE_COUNT, "  sample summed 5 6 @72340172838076673\n    f\n");
	CHECK_SAMPLE("\x08\x01\x22\x02\x05\x06", VALUE_COUNT, "  sample 5 6\n    f\n");
}

/* Samples may stand apart, and what is not theirs between them is read, and counted, once. */
static void samples_stand_anywhere_in_a_profile(void **state)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	struct parts parts = small_parts();
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	(void)state;
	pprof_sized(&parts.samples, 2, STR("\x08\x01\x22\x01\x05"));
	pprof_sized(&parts.samples, 2, STR("\x08\x01\x22\x01\x06"));
	/* An attribute that is not there, in a list that comes one by one; and what nobody knows.
	 */
	pprof_number(&parts.samples, ATTRIBUTES_OF_PROFILE, 9);
	pprof_sized(&parts.samples, 99, STR("x"));
	pprof_sized(&parts.samples, 2, STR("\x08\x01\x22\x01\x07"));
	pprof_number(&parts.samples, ATTRIBUTES_OF_PROFILE, 9);
	assert_int_equal(read_parts(&parts, &report, &text, reason), 0);
	assert_int_equal(report.samples, 3);
	assert_int_equal(report.samples_skipped, 0);
	assert_int_equal(report.flaws[OTLP_FLAW_UNPACKED], 2);
	assert_int_equal(report.flaws[OTLP_FLAW_ATTRIBUTE_INDEX], 2);
	assert_non_null(
		strstr(as_text(&text), "  sample 5\n    f\n  sample 6\n    f\n  sample 7\n"));
}

static void check_table(unsigned table, const char *entry, size_t size, enum otlp_flaw flaw,
			const char *expected)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	struct parts parts = small_parts();
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	/* Location 2, stack 2, and a sample of it. */
	if (table != 2)
		pprof_sized(&parts.dictionary, 2, STR("\x08\x01\x1a\x02\x08\x02"));
	pprof_sized(&parts.dictionary, table, (struct str){ entry, size });
	if (table != 7)
		pprof_sized(&parts.dictionary, 7, STR("\x0a\x01\x02"));
	pprof_sized(&parts.samples, 2, STR("\x08\x02\x22\x01\x05"));
	assert_int_equal(read_parts(&parts, &report, &text, reason), 0);
	assert_true(report.flaws[flaw] >= 1);
	assert_int_equal(report.samples_skipped, 0);
	assert_non_null(strstr(as_text(&text), expected));
}

#define CHECK_TABLE(table, bytes, flaw, expected)                                                  \
	check_table(table, bytes, sizeof(bytes) - 1, OTLP_FLAW_##flaw, expected)

static void tables_are_mended(void **state)
{
	(void)state;
	/* A function whose name is text 99. */
	CHECK_TABLE(3, "\x08\x63", STRING_INDEX, "  sample 5\n    \n");
	/* Locations: in function 99; in mapping 99; with attribute 99. */
	CHECK_TABLE(2, "\x1a\x02\x08\x63", FUNCTION_INDEX, "  sample 5\n    \n");
	CHECK_TABLE(2, "\x08\x63\x1a\x02\x08\x01", MAPPING_INDEX, "  sample 5\n    f\n");
	CHECK_TABLE(2, "\x1a\x02\x08\x01\x22\x01\x63", ATTRIBUTE_INDEX, "  sample 5\n    f\n");
	/* A stack of locations 1 and 99. */
	CHECK_TABLE(7, "\x0a\x02\x63\x01", LOCATION_INDEX,
		    "  sample 5\n    [a location that is not there]\n    f\n");
	/* A mapping from 9 to 3. */
	CHECK_TABLE(1, "\x08\x09\x10\x03", MAPPING_RANGE, "  sample 5\n");
	/* A link of 1 and 1 bytes. */
	CHECK_TABLE(4, "\x0a\x01x\x12\x01y", LINK_ID, "  sample 5\n");
}

/* Whose attribute before it is told in more bytes than it needs, so that none is as usual. */
static void a_location_without_attributes_has_no_kind(void **state)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	struct parts parts = small_parts();
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	(void)state;
	pprof_sized(&parts.dictionary, 2, STR("\x10\x10\x22\x07\x81\x80\x80\x80\x80\x80\x00"));
	pprof_sized(&parts.dictionary, 2, STR("\x10\x20"));
	pprof_sized(&parts.dictionary, 6, STR(""));
	pprof_sized(&parts.dictionary, 6, STR("\x08\x04\x12\x08\x0a\x06kernel"));
	pprof_sized(&parts.dictionary, 7, STR("\x0a\x02\x03\x02"));
	add_text(&parts, "profile.frame.type");
	pprof_sized(&parts.samples, 2, STR("\x08\x02\x22\x01\x05"));
	assert_int_equal(read_parts(&parts, &report, &text, reason), 0);
	assert_non_null(strstr(as_text(&text), "0x10 [kernel]"));
	assert_non_null(strstr(as_text(&text), "0x20"));
	assert_null(strstr(as_text(&text), "0x20 [kernel]"));
}

static void check_refused(struct str bytes, const char *sentence)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	assert_int_equal(read_text(bytes, OTLP_REVISION_NONE, &report, &text, reason), -EBADMSG);
	if (!strstr(reason, sentence))
		print_message("'%s' is not in '%s'\n", sentence, reason);
	assert_non_null(strstr(reason, sentence));
	assert_int_equal(text.size, 0);
}

static void what_is_no_request_is_refused(void **state)
{
	autoclean(buf) struct buf mixed = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf other = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	(void)state;
	check_refused(STR("no protobuf at all"), "this is no message of protobuf");
	/* A sample and no tables. */
	check_refused(STR("\x0a\x0a\x12\x08\x12\x06\x12\x04\x08\x01\x10\x01"), "no tables");
	otlp_make(OTLP_R1_7, 0, &mixed);
	otlp_make(OTLP_R1_10, 0, &other);
	buf_add(&mixed, other.bytes, other.size);
	check_refused(bytes_of(&mixed), "which is 1.7, and");

	/* Nothing is a request, too. */
	assert_int_equal(read_text(STR(""), OTLP_REVISION_NONE, &report, &text, reason), 0);
	assert_int_equal(report.revision, OTLP_REVISION_NONE);
	assert_int_equal(report.profiles, 0);
}

/* ---- 1.9 and 1.10 -----------------------------------------------------------------------------
 */

/* A request whose samples have fields 1, 2 and 5 alone, and whose attributes are as told. */
static void make_ambiguous(const uint64_t *second, size_t second_count, size_t time_count,
			   const char *key, struct buf *request)
{
	autoclean(buf) struct buf sample = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf times = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf profile = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf scope = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf resource = BUF(TEXT_SIZE_MAX);
	struct parts parts = small_parts();

	add_text(&parts, key);
	pprof_sized(&parts.dictionary, 6, STR(""));
	for (int i = 0; i < 3; i++)
		pprof_sized(&parts.dictionary, 6, STR("\x08\x04\x12\x03\x0a\x01x"));
	pprof_number(&sample, 1, 1);
	pprof_list(&sample, 2, second, second_count);
	for (size_t i = 0; i < time_count; i++)
		buf_add_u64(&times, OTLP_MAKER_TIME_NS + i);
	if (time_count > 0)
		pprof_sized(&sample, 5, bytes_of(&times));
	add_type(&profile);
	pprof_sized(&profile, 2, bytes_of(&sample));
	buf_add_varint(&profile, 3 << 3 | 1);
	buf_add_u64(&profile, OTLP_MAKER_TIME_NS);
	pprof_sized(&scope, 2, bytes_of(&profile));
	pprof_sized(&resource, 2, bytes_of(&scope));
	pprof_sized(request, 1, bytes_of(&resource));
	pprof_sized(request, 2, bytes_of(&parts.dictionary));
	buf_done(&parts.dictionary);
	buf_done(&parts.samples);
}

static void numbers_tell_1_9_from_1_10(void **state)
{
	static const struct {
		uint64_t second[4];
		size_t count, times;
		const char *key;
		enum otlp_revision believed, revision;
		bool is_unsure;
	} cases[] = {
		/* Without timestamps they are values; with another number of them, attributes. */
		{ { 1, 2 }, 2, 0, "thread.id", OTLP_REVISION_NONE, OTLP_R1_9, false },
		{ { 1, 2 }, 2, 1, "made.up", OTLP_REVISION_NONE, OTLP_R1_10, false },
		/* No place in the table, or the same twice. */
		{ { 900 }, 1, 1, "thread.id", OTLP_REVISION_NONE, OTLP_R1_9, false },
		{ { 0 }, 1, 1, "thread.id", OTLP_REVISION_NONE, OTLP_R1_9, false },
		{ { 2, 2 }, 2, 2, "thread.id", OTLP_REVISION_NONE, OTLP_R1_9, false },
		/* By what the attributes are called. */
		{ { 1, 2 }, 2, 2, "thread.id", OTLP_R1_9, OTLP_R1_10, false },
		{ { 1, 2 }, 2, 2, "profile.frame.type", OTLP_R1_10, OTLP_R1_9, false },
		/* Nothing else has them. */
		{ { 1, 2 }, 2, 2, "made.up", OTLP_REVISION_NONE, OTLP_R1_10, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf request = BUF(TEXT_SIZE_MAX);
		char reason[OTLP_ERROR_SIZE];
		struct otlp_finding finding;

		make_ambiguous(cases[i].second, cases[i].count, cases[i].times, cases[i].key,
			       &request);
		assert_int_equal(
			otlp_detect(bytes_of(&request), cases[i].believed, &finding, reason), 0);
		if (finding.revision != cases[i].revision)
			print_message("case %zu: %s\n", i, finding.why);
		assert_int_equal(finding.revision, cases[i].revision);
		assert_int_equal(finding.is_unsure, cases[i].is_unsure);
	}
}

/* Resources with a profile of one sample each. */
static void add_resources(struct buf *request, size_t count, struct str sample)
{
	for (size_t i = 0; i < count; i++) {
		autoclean(buf) struct buf profile = BUF(TEXT_SIZE_MAX);
		autoclean(buf) struct buf scope = BUF(TEXT_SIZE_MAX);
		autoclean(buf) struct buf resource = BUF(TEXT_SIZE_MAX);

		add_type(&profile);
		pprof_sized(&profile, 2, sample);
		buf_add_varint(&profile, 3 << 3 | 1);
		buf_add_u64(&profile, OTLP_MAKER_TIME_NS);
		pprof_sized(&scope, 2, bytes_of(&profile));
		pprof_sized(&resource, 2, bytes_of(&scope));
		pprof_sized(request, 1, bytes_of(&resource));
	}
}

static void first_resources_tell_of_a_sender_that_is_known(void **state)
{
	/* A stack and a timestamp; and attributes of 1.9; and values of 1.10. */
	const struct str bare = STR("\x08\x01\x2a\x08TIMETIME");
	const struct str of_1_9 = STR("\x08\x01\x1a\x01\x01\x2a\x08TIMETIME");
	const struct str of_1_10 = STR("\x08\x01\x22\x01\x01\x2a\x08TIMETIME");
	const struct {
		struct str first, last;
		enum otlp_revision believed, revision;
		int err;
	} cases[] = {
		/* They tell nothing: the last one does. */
		{ bare, of_1_9, OTLP_R1_10, OTLP_R1_9, 0 },
		{ bare, of_1_9, OTLP_R1_9, OTLP_R1_9, 0 },
		{ bare, of_1_10, OTLP_R1_9, OTLP_R1_10, 0 },
		/* It speaks otherwise than it did. */
		{ of_1_9, of_1_9, OTLP_R1_10, OTLP_R1_9, 0 },
		{ of_1_10, of_1_10, OTLP_R1_9, OTLP_R1_10, 0 },
		{ of_1_10, of_1_10, OTLP_R1_5, OTLP_R1_10, 0 },
		/* Only of who is known they count for all. */
		{ of_1_10, of_1_9, OTLP_R1_10, OTLP_R1_10, 0 },
		{ of_1_10, of_1_9, OTLP_REVISION_NONE, OTLP_REVISION_NONE, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(buf) struct buf request = BUF(TEXT_SIZE_MAX);
		struct parts parts = small_parts();
		char reason[OTLP_ERROR_SIZE];
		struct otlp_finding finding;

		add_resources(&request, 40, cases[i].first);
		add_resources(&request, 1, cases[i].last);
		pprof_sized(&request, 2, bytes_of(&parts.dictionary));
		assert_int_equal(
			otlp_detect(bytes_of(&request), cases[i].believed, &finding, reason),
			cases[i].err);
		if (finding.revision != cases[i].revision)
			print_message("case %zu: %s\n", i, finding.why);
		assert_int_equal(finding.revision, cases[i].revision);
		buf_done(&parts.dictionary);
		buf_done(&parts.samples);
	}
}

/* async-profiler writes a list of one number as a number, and samples have nothing else. */
static void values_that_come_alone_are_those_of_1_10(void **state)
{
	autoclean(buf) struct buf request = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf profile = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf scope = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf resource = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	struct parts parts = small_parts();
	char reason[OTLP_ERROR_SIZE];
	struct otlp_report report;

	(void)state;
	add_type(&profile);
	pprof_sized(&profile, 2, STR("\x08\x01\x20\x07"));
	buf_add_varint(&profile, 3 << 3 | 1);
	buf_add_u64(&profile, OTLP_MAKER_TIME_NS);
	pprof_sized(&scope, 2, bytes_of(&profile));
	pprof_sized(&resource, 2, bytes_of(&scope));
	pprof_sized(&request, 1, bytes_of(&resource));
	pprof_sized(&request, 2, bytes_of(&parts.dictionary));
	assert_int_equal(read_text(bytes_of(&request), OTLP_REVISION_NONE, &report, &text, reason),
			 0);
	assert_int_equal(report.revision, OTLP_R1_10);
	assert_int_equal(report.samples, 1);
	assert_non_null(strstr(as_text(&text), " 7"));
	buf_done(&parts.dictionary);
	buf_done(&parts.samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_revision_says_the_same),
		cmocka_unit_test(official_types_say_the_same),
		cmocka_unit_test(cut_requests_are_refused_or_shorter),
		cmocka_unit_test(samples_are_mended_or_skipped),
		cmocka_unit_test(samples_stand_anywhere_in_a_profile),
		cmocka_unit_test(tables_are_mended),
		cmocka_unit_test(a_location_without_attributes_has_no_kind),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(numbers_tell_1_9_from_1_10),
		cmocka_unit_test(first_resources_tell_of_a_sender_that_is_known),
		cmocka_unit_test(values_that_come_alone_are_those_of_1_10),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

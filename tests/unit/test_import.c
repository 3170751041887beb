/* SPDX-License-Identifier: Apache-2.0 */
/* Files of others into the store: what is read, what is refused and where, and that it is all or
 * nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/limits.h"
#include "store/batch_private.h"
#include "store/store.h"
#include "symbols/elf_file.h"
#include "symbols/symbols.h"
#include "tests/support/answers.h"
#include "tests/support/elf_maker.h"
#include "tests/support/jfr_maker.h"
#include "tests/support/pprof_maker.h"
#include "tests/support/tier.h"
#include "web/compression.h"
#include "web/folded.h"
#include "web/ingest.h"
#include "web/pprof_reader.h"

#define RANGE "from=1699999999000&to=1700000060000"

enum { MEMORY = 16 << 20 };

/* ---- a server that takes files ----------------------------------------------------------------
 */

/* POST of a file; the answer's text stays in the exchange, which is the caller's to end. */
static int post(struct fixture *fixture, const char *target, struct str body,
		struct exchange *exchange)
{
	exchange_init(exchange, "POST", target);
	exchange_body(exchange, body);
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
	(void)exchange_text(exchange);
	return exchange->reply.status;
}

static void assert_says(struct exchange *exchange, const char *text)
{
	if (!strstr(exchange_text(exchange), text))
		fail_msg("no '%s' in: %s", text, exchange_text(exchange));
}

static uint64_t stored(const struct fixture *fixture)
{
	struct store_status status;

	store_status(fixture->small.server.store, &status);
	return status.samples;
}

static struct str str_of(const struct buf *buf)
{
	return (struct str){ (const char *)buf->bytes, buf->size };
}

/* GET of an export; the caller's to end. */
static struct str export(struct fixture *fixture, const char *target, struct exchange *exchange)
{
	exchange_init(exchange, "GET", target);
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
	if (exchange->reply.status != 200)
		fail_msg("%s: %s", target, exchange_text(exchange));
	return (struct str){ exchange_text(exchange), exchange->reply.body.size };
}

/* ---- the reader -------------------------------------------------------------------------------
 */

static struct batch *new_batch(void)
{
	struct batch *batch = NULL;

	assert_int_equal(batch_new(MEMORY, &batch), 0);
	return batch;
}

static const struct pprof_origin origin = { .time_unix_ms = 1600000000000 };

static void a_profile_becomes_series_stacks_and_values(void **state)
{
	(void)state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(batch) struct batch *batch = new_batch();
	char reason[PPROF_ERROR_SIZE] = "";
	struct pprof_summary summary = { 0 };

	pprof_example(&profile);
	assert_int_equal(profile.error, 0);
	assert_int_equal(pprof_read(str_of(&profile), &origin, batch, &summary, reason), 0);
	assert_int_equal(summary.samples, 2);
	assert_int_equal(summary.skipped, 1);
	assert_int_equal(summary.sample_types, 2);
	assert_true(batch->time.start_unix_ms == 1700000000000);
	assert_true(batch->time.end_unix_ms == 1700000010000);
	assert_int_equal(batch->items.count, 4);
	/* samples/count, then cpu/nanoseconds, which has three samples of 10 ms, too. */
	assert_int_equal(batch->items.items[0].value, 3);
	assert_int_equal(batch->items.items[0].count, 3);
	assert_int_equal(batch->items.items[1].value, 30000000);
	assert_int_equal(batch->items.items[1].count, 3);
	assert_int_equal(batch->items.items[3].count, 2);
	/* The text is a label of the sample, the number is none. */
	assert_int_not_equal(batch->items.items[0].labels, batch->items.items[2].labels);
	assert_int_equal(pool_get(&batch->label_sets, batch->items.items[2].labels).size, 0);
	/* Two named locations, and one in a build. */
	assert_int_equal(pool_count(&batch->names), 2);
	assert_int_equal(pool_count(&batch->builds), 1);
	assert_int_equal(batch->locations.items.count, 3);

	const struct batch_build *build = (const void *)pool_get(&batch->builds, 0).text;

	assert_int_equal(build->identity.kind, IDENTITY_GNU_BUILD_ID);
	assert_int_equal(build->identity.size, 20);
	assert_int_equal(build->identity.bytes[19], 0x14);
	for (uint32_t i = 0; i < batch->locations.items.count; i++)
		if (batch->locations.items.items[i].build == 0)
			assert_int_equal(batch->locations.items.items[i].address, 0x2340);
}

/* Ids that count on, then some that don't, one of them twice: the first of two is meant. */
static void ids_of_all_kinds_lead_to_their_things(void **state)
{
	static const struct {
		uint64_t id, address;
	} places[] = { { 1, 0x10 },	     { 2, 0x20 }, { 3, 0x30 }, { 9, 0x40 }, { 2, 0x50 },
		       { UINT64_MAX, 0x60 }, { 7, 0x70 }, { 9, 0x80 }, { 8, 0x90 } };
	static const struct {
		uint64_t id, address;
	} expected[] = { { 1, 0x10 }, { 2, 0x20 }, { 3, 0x30 },		{ 9, 0x40 },
			 { 7, 0x70 }, { 8, 0x90 }, { UINT64_MAX, 0x60 } };
	(void)state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(batch) struct batch *batch = new_batch();
	char reason[PPROF_ERROR_SIZE] = "";
	struct pprof_summary summary = { 0 };

	pprof_sized(&profile, 1, STR("\x08\x01\x10\x02"));
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		autoclean(buf) struct buf sample = BUF(MEMORY);

		pprof_number(&sample, 1, expected[i].id);
		pprof_number(&sample, 2, 1 + i);
		pprof_sized(&profile, 2, str_of(&sample));
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		autoclean(buf) struct buf location = BUF(MEMORY);

		pprof_number(&location, 1, places[i].id);
		pprof_number(&location, 3, places[i].address);
		pprof_sized(&profile, 4, str_of(&location));
	}
	pprof_sized(&profile, 6, STR(""));
	pprof_sized(&profile, 6, STR("samples"));
	pprof_sized(&profile, 6, STR("count"));
	assert_int_equal(profile.error, 0);
	if (pprof_read(str_of(&profile), &origin, batch, &summary, reason))
		fail_msg("refused: %s", reason);
	assert_int_equal(batch->items.count, sizeof(expected) / sizeof(expected[0]));
	assert_int_equal(batch->locations.items.count, batch->items.count);
	for (uint32_t i = 0; i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];
		const uint32_t *stack = (const void *)pool_get(&batch->stacks, item->stack).text;

		assert_int_equal(item->value, 1 + i);
		assert_true(batch->locations.items.items[stack[1]].address == expected[i].address);
	}
}

/* Whatever is cut off or flipped: an answer with words, or a profile; never a fall. */
static void broken_profiles_are_refused_in_words(void **state)
{
	(void)state;
	autoclean(buf) struct buf profile = BUF(MEMORY);
	uint64_t seed = tier_seed();
	uint32_t refused = 0;

	pprof_example(&profile);
	for (size_t size = 0; size < profile.size; size++) {
		autoclean(batch) struct batch *batch = new_batch();
		char reason[PPROF_ERROR_SIZE] = "";
		struct pprof_summary summary;
		struct str bytes = { (const char *)profile.bytes, size };
		int err = pprof_read(bytes, &origin, batch, &summary, reason);

		assert_true(err == 0 || err == -EBADMSG);
		assert_true(err == 0 || reason[0]);
		refused += err != 0;
	}
	/* Only what ends behind the last text, or before any sample, can be whole. */
	assert_true(refused > profile.size * 9 / 10);
	for (int i = 0; i < 20000; i++) {
		autoclean(batch) struct batch *batch = new_batch();
		autoclean(buf) struct buf copy = BUF(MEMORY);
		char reason[PPROF_ERROR_SIZE] = "";
		struct pprof_summary summary;

		buf_add(&copy, profile.bytes, profile.size);
		for (int flips = 0; flips < 3; flips++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			copy.bytes[(seed >> 33) % copy.size] = (uint8_t)(seed >> 24);
		}
		int err = pprof_read(str_of(&copy), &origin, batch, &summary, reason);

		assert_true(err == 0 || ((err == -EBADMSG || err == -E2BIG) && reason[0]));
	}
}

static void assert_refused(void (*make)(struct buf *), const char *words)
{
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(batch) struct batch *batch = new_batch();
	char reason[PPROF_ERROR_SIZE] = "";
	struct pprof_summary summary;

	pprof_example(&profile);
	make(&profile);
	assert_int_equal(pprof_read(str_of(&profile), &origin, batch, &summary, reason), -EBADMSG);
	if (!strstr(reason, words))
		fail_msg("no '%s' in: %s", words, reason);
}

static void sample_elsewhere(struct buf *buf)
{
	pprof_sized(buf, 2, STR("\x0a\x01\x63\x12\x02\x01\x01"));
}

static void too_many_values(struct buf *buf)
{
	pprof_sized(buf, 2, STR("\x12\x03\x01\x01\x01"));
}

static void no_such_text(struct buf *buf)
{
	/* A location in a function whose name is text 99, and a sample there. */
	pprof_sized(buf, 5, STR("\x08\x09\x10\x63"));
	pprof_sized(buf, 4, STR("\x08\x64\x22\x02\x08\x09"));
	pprof_sized(buf, 2, STR("\x0a\x01\x64\x12\x02\x01\x01"));
}

static void id_of_zero(struct buf *buf)
{
	pprof_sized(buf, 4, STR("\x10\x07"));
}

static void a_group(struct buf *buf)
{
	buf_add_u8(buf, 0x7b);
}

static void what_is_wrong_is_named(void **state)
{
	(void)state;
	assert_refused(sample_elsewhere, "sample 3 is at location 99, which is not there");
	assert_refused(too_many_values, "sample 3 has more values than there are sample types");
	assert_refused(no_such_text, "a function's name is text 99, and there are 15 texts");
	assert_refused(id_of_zero, "a location is not as pprof has it");
	assert_refused(a_group, "this is no pprof, or it is cut short");
}

/* ---- through the door -------------------------------------------------------------------------
 */

static void pprof_is_imported_once(void **state)
{
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(exchange) struct exchange first, again, other, asked;
	struct str folded;

	pprof_example(&profile);
	assert_int_equal(post(*state, "/api/v1/import?label=service_name%3Dgo&label=host=far",
			      str_of(&profile), &first),
			 200);
	assert_says(&first, "{\"format\":\"pprof\",\"from_ms\":1700000000000,"
			    "\"to_ms\":1700000010000,\"stacks\":2,\"skipped\":1,"
			    "\"was_there\":false}");
	assert_int_equal(stored(*state), 10);
	folded = export(*state,
			"/api/v1/export?" RANGE "&format=folded&query=%7Bhost%3D%22far%22%7D",
			&asked);
	assert_string_equal(folded.text, "main.main;main.work;main.burn 30000000\n"
					 "main.main;prog+0x2340 20000000\n");

	/* The same again is known; with other labels it is something else. */
	assert_int_equal(post(*state, "/api/v1/import?label=service_name%3Dgo&label=host=far",
			      str_of(&profile), &again),
			 200);
	assert_says(&again, "\"stacks\":0,\"skipped\":1,\"was_there\":true");
	assert_int_equal(stored(*state), 10);
	assert_int_equal(post(*state, "/api/v1/import?label=host=near", str_of(&profile), &other),
			 200);
	assert_int_equal(stored(*state), 20);

	/* Labels of samples can be asked for, and the binary is known. */
	autoclean(json_value) struct json_value *answer = get(
		*state, "/api/v1/functions?" RANGE "&query=%7Bspan%3D%22x%22,host%3D%22far%22%7D");
	const struct json_value *row = json_value_item(json_value_member(answer, "rows"), 0);

	assert_text(row, "name", "main.burn");
	assert_text(row, "module", "prog");
	assert_true(number(answer, "total") == 30000000);
}

static void folded_text_is_imported(void **state)
{
	autoclean(exchange) struct exchange first, asked;
	struct str text = STR("main;run thing;burn 7\r\n\nmain 2\n[no frames] 1\nzero 0\n");

	assert_int_equal(post(*state,
			      "/api/v1/import?at=1700000000000&label=service_name=s"
			      "&type=process_cpu:samples:count:cpu:nanoseconds",
			      text, &first),
			 200);
	assert_says(&first, "\"format\":\"folded\",\"from_ms\":1700000000000");
	assert_says(&first, "\"stacks\":3,\"skipped\":1");
	assert_string_equal(export(*state,
				   "/api/v1/export?" RANGE
				   "&format=folded&type=process_cpu:samples:count:cpu:nanoseconds",
				   &asked)
				    .text,
			    "[no frames] 1\nmain 2\nmain;run thing;burn 7\n");
	assert_int_equal(stored(*state), 10);
}

/* What we give we take again, and it is the same. */
static void exports_come_back_as_they_were(void **state)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a;b", 500000000, NULL },
		{ "x", "1", "main;a", 20000000, NULL },
		{ "y", "2", "main;a;b", 250000000, NULL },
	};
	static const char *const formats[] = { "pprof", "folded" };
	autoclean(exchange) struct exchange before;

	for (int64_t i = 0; i < 4; i++)
		append(*state, BASE_MS + i * 1000, samples, 3);

	struct str expected = export(*state, "/api/v1/export?" RANGE "&format=folded", &before);

	for (size_t i = 0; i < 2; i++) {
		autoclean(exchange) struct exchange file, imported, after;
		char target[160];

		snprintf(target, sizeof(target),
			 "/api/v1/export?" RANGE "&query=%%7Bhost%%3D%%22%%22%%7D&format=%s",
			 formats[i]);

		struct str bytes = export(*state, target, &file);

		snprintf(target, sizeof(target), "/api/v1/import?at=1700000000000&label=host=%s",
			 formats[i]);
		assert_int_equal(post(*state, target, bytes, &imported), 200);
		assert_says(&imported, formats[i]);
		snprintf(target, sizeof(target),
			 "/api/v1/export?" RANGE "&format=folded&query=%%7Bhost%%3D%%22%s%%22%%7D",
			 formats[i]);
		assert_string_equal(export(*state, target, &after).text, expected.text);
	}
}

/* A file, guessed to be of a format, and one type of what is in it as folded text. */
static void assert_imports(struct fixture *fixture, const char *parameters, struct str body,
			   const char *format, const char *type, const char *stacks)
{
	autoclean(exchange) struct exchange posted, exported;
	char target[512];

	snprintf(target, sizeof(target), "/api/v1/import?at=1700000000000&%s", parameters);
	if (post(fixture, target, body, &posted) != 200)
		fail_msg("%s", exchange_text(&posted));
	assert_says(&posted, format);
	snprintf(target, sizeof(target), "/api/v1/export?format=folded&" RANGE "&type=%s", type);
	(void)export(fixture, target, &exported);
	assert_string_equal(exchange_text(&exported), stacks);
}

static uint32_t frame_of(uint32_t stack, uint32_t depth, uint32_t *ret_count)
{
	*ret_count = stack + 1;
	return *ret_count - 1 - depth;
}

static void recordings_of_java_are_imported(void **state)
{
	autoclean(buf) struct buf buf = BUF(MEMORY);
	struct jfr_maker maker;

	jfr_make_chunk(&maker, &buf, INT64_C(1700000000000000000), 1000000000);
	jfr_make_metadata(&maker);
	jfr_make_pools(&maker, 3, 2, frame_of);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_execution(&maker, 1, 2, 1);
	jfr_make_execution(&maker, 2, 2, 1);
	jfr_make_end(&maker);
	assert_imports(*state, "label=host=a", str_of(&buf), "\"format\":\"jfr\"", CPU,
		       "C.m0 10000000\nC.m0;C.m1 20000000\n");
	assert_int_equal(compression_gzip(&buf), 0);
	assert_imports(*state, "label=host=b", str_of(&buf), "\"stacks\":3", CPU,
		       "C.m0 20000000\nC.m0;C.m1 40000000\n");
}

static void speedscope_is_imported(void **state)
{
	assert_imports(*state, "",
		       STR("{\"shared\":{\"frames\":[{\"name\":\"main\"},{\"name\":\"work\"}]},"
			   "\"profiles\":[{\"type\":\"sampled\",\"name\":\"x\",\"unit\":"
			   "\"milliseconds\",\"startValue\":0,\"endValue\":9,"
			   "\"samples\":[[0,1],[0]],\"weights\":[7,2]}]}"),
		       "\"format\":\"speedscope\"", CPU, "main 2000000\nmain;work 7000000\n");
}

#define PERF                                                                                       \
	"# captured on: some day\n"                                                                \
	"#\n"                                                                                      \
	"Web Content 1234/1240 [003]  5123.456789:   10101010 cpu-clock:pppH: \n"                  \
	"\tffffffff81001000 do_syscall_64+0x5b ([kernel.kallsyms])\n"                              \
	"\t    55d0c0ffee10 std::vector<int, std::allocator<int> >::push_back(int&&)+0x20 "        \
	"(/usr/bin/x)\n"                                                                           \
	"\t    55d0c0ffee00 main+0x1 (/usr/bin/x)\n"                                               \
	"\n"                                                                                       \
	"swapper     0 [000]  5123.556789:   10101010 cpu-clock:pppH: \n"                          \
	"\tffffffffc0401000 ext4_read ([ext4])\n"                                                  \
	"\t    7f0000001000 [unknown] ([unknown])\n"                                               \
	"\n"                                                                                       \
	"a.out 77 [001] 5124.0: 3 sched:sched_switch: \n"                                          \
	"\t    55d0c0ffee00 main (/a.out)\n"

static void what_perf_prints_is_imported(void **state)
{
	assert_imports(
		*state, "", STR(PERF), "\"format\":\"perf\"", CPU,
		"[unknown];ext4_read 10101010\n"
		"main;std::vector<int, std::allocator<int> >::push_back(int&&);do_syscall_64 "
		"10101010\n");
	assert_imports(*state, "label=host=b&format=perf", STR(PERF), "\"stacks\":3",
		       "perf:sched_sched_switch:count:sched_sched_switch:count", "main 6\n");
	/* Without call chains the place stands in the line. */
	assert_imports(*state, "label=host=c",
		       STR("a b 7 [001] 9.000000: 250 cycles:u:  55d0c0ffee00 f+0x1 (/a b)\n"),
		       "\"format\":\"perf\"", "perf:cycles:count:cycles:count", "f 250\n");
}

static void bad_files_change_nothing(void **state)
{
	static const struct {
		const char *target;
		struct str body;
		int status;
		const char *words;
	} cases[] = {
		{ "/api/v1/import",
		  { "main;a 3\nmain;b x\n", 18 },
		  422,
		  "line 2: it is not frames" },
		{ "/api/v1/import", { "\n\n", 2 }, 422, "line 2: the file ends" },
		{ "/api/v1/import", { "", 0 }, 422, "the file is empty" },
		{ "/api/v1/import", { "\x1f\x8b\x08\x00", 4 }, 422, "packed by gzip, and cut" },
		{ "/api/v1/import?format=pprof", { "main;a 3\n", 9 }, 422, "no pprof" },
		{ "/api/v1/import?format=java",
		  { "x", 1 },
		  400,
		  "must be pprof, folded, jfr, speedscope" },
		{ "/api/v1/import?format=jfr", { "x", 1 }, 422, "this is no recording of Java" },
		{ "/api/v1/import", { "FLR\0x", 5 }, 422, "this is no recording of Java" },
		{ "/api/v1/import", { "{\"a\":1}", 7 }, 422, "it has no shared.frames" },
		{ "/api/v1/import?format=perf",
		  { "main;a 3\n", 9 },
		  422,
		  "line 1: this is no sample" },
		{ "/api/v1/import", { "\x04\x22\x4d\x18xx", 6 }, 422, "packed by LZ4, and cut" },
		{ "/api/v1/import?label=host", { "a 1", 3 }, 400, "must be NAME=VALUE" },
		{ "/api/v1/import?label=__name__=x", { "a 1", 3 }, 400, "must be NAME=VALUE" },
		{ "/api/v1/import?type=cpu", { "a 1", 3 }, 400, "must be of the form" },
		{ "/api/v1/import?at=yesterday", { "a 1", 3 }, 400, "is not a time" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(exchange) struct exchange exchange;

		assert_int_equal(post(*state, cases[i].target, cases[i].body, &exchange),
				 cases[i].status);
		assert_says(&exchange, cases[i].words);
		assert_int_equal(stored(*state), 0);
	}

	/* The last sample of many is wrong: none is there. */
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(exchange) struct exchange exchange, asked;

	pprof_example(&profile);
	sample_elsewhere(&profile);
	assert_int_equal(post(*state, "/api/v1/import", str_of(&profile), &exchange), 422);
	assert_says(&exchange, "nothing was imported: sample 3 is at location 99");
	assert_int_equal(stored(*state), 0);
	/* It is asked by POST alone, so that no picture in a page does it. */
	exchange_init(&asked, "GET", "/api/v1/import");
	routes_answer(((struct fixture *)*state)->routes, &asked.request, &asked.reply);
	assert_int_equal(asked.reply.status, 405);
}

static void one_is_imported_at_a_time(void **state)
{
	struct fixture *fixture = *state;
	autoclean(exchange) struct exchange exchange, later;

	fixture->small.server.is_importing = true;
	assert_int_equal(post(fixture, "/api/v1/import", STR("a 1\n"), &exchange), 503);
	assert_says(&exchange, "another import is under way");
	fixture->small.server.is_importing = false;
	assert_int_equal(post(fixture, "/api/v1/import", STR("a 1\n"), &later), 200);
	/* A writer that ends takes nothing more. */
	ingest_close(fixture->small.server.ingest);

	autoclean(exchange) struct exchange ended;

	assert_int_equal(post(fixture, "/api/v1/import", STR("b 1\n"), &ended), 503);
	assert_int_equal(stored(fixture), 1);
}

/* ---- span files -------------------------------------------------------------------------------
 */

/* The file of an export, whole; the exchange is the caller's to end. */
static void export_span(struct fixture *fixture, const char *target, struct exchange *exchange,
			struct buf *file)
{
	exchange_init(exchange, "GET", target);
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
	if (exchange->reply.status != 200)
		fail_msg("%s: %s", target, exchange_text(exchange));
	buf_add(file, exchange->reply.body.bytes, exchange->reply.body.size);
	assert_int_equal(file->error, 0);
}

#define SPAN   "/api/v1/export/span?" RANGE
#define FOLDED "/api/v1/export?" RANGE "&format=folded"

static void fill(struct fixture *fixture)
{
	static const struct sample samples[] = {
		{ "x", "1", "main;a;b", 500000000, NULL },
		{ "x", "3", "main;a;b", 7, NULL },
		{ "y", "2", "main;a;b", 250000000, NULL },
	};

	for (int64_t i = 0; i < 4; i++)
		append(fixture, BASE_MS + i * 1000, samples, 3);
}

static struct buf with_host_of(struct fixture *fixture, const char *host)
{
	struct exchange exchange;
	char target[160];
	struct buf text = BUF(MEMORY);

	snprintf(target, sizeof(target), FOLDED "&query=%%7Bhost%%3D%%22%s%%22%%7D", host);

	struct str got = export(fixture, target, &exchange);

	buf_add_str(&text, got);
	buf_add_u8(&text, 0);
	exchange_done(&exchange);
	return text;
}

static void a_span_file_carries_all_labels_and_times(void **state)
{
	autoclean(buf) struct buf file = BUF(MEMORY);
	autoclean(exchange) struct exchange exported, first, again, none;

	fill(*state);
	export_span(*state, SPAN, &exported, &file);
	assert_int_equal(post(*state, "/api/v1/import?label=host=far", str_of(&file), &first), 200);
	assert_says(&first, "{\"format\":\"span\",\"from_ms\":1700000000000,"
			    "\"to_ms\":1700000004000,\"samples\":12,\"skipped\":0,"
			    "\"was_there\":false}");
	assert_int_equal(stored(*state), 24);
	assert_int_equal(post(*state, "/api/v1/import?label=host=far", str_of(&file), &again), 200);
	assert_says(&again, "\"samples\":0,\"skipped\":0,\"was_there\":true");
	assert_int_equal(stored(*state), 24);

	autoclean(buf) struct buf here = with_host_of(*state, "");
	autoclean(buf) struct buf there = with_host_of(*state, "far");

	assert_string_equal((char *)here.bytes, (char *)there.bytes);

	/* Who it was, and when, is known of the others, too. */
	autoclean(json_value) struct json_value *who =
		get(*state, "/api/v1/processes?from=1700000001000&to=1700000003000"
			    "&query=%7Bhost%3D%22far%22%7D");
	const struct json_value *rows = json_value_member(who, "rows");

	assert_int_equal(json_value_count(rows), 3);
	assert_text(json_value_item(rows, 0), "process", "1.100.1");
	assert_text(json_value_item(rows, 1), "service_name", "y");
	assert_true(number(json_value_item(rows, 0), "cores") == 0.5);

	/* A part of it: by time and by labels. */
	autoclean(buf) struct buf part = BUF(MEMORY);
	autoclean(exchange) struct exchange exported_part, one;

	export_span(*state,
		    "/api/v1/export/span?from=1700000001000&to=1700000002999"
		    "&query=%7Bservice_name%3D%22y%22,host%3D%22%22%7D",
		    &exported_part, &part);
	assert_int_equal(post(*state, "/api/v1/import?label=host=part", str_of(&part), &one), 200);
	assert_says(&one, "\"from_ms\":1700000001000,\"to_ms\":1700000003000,\"samples\":2");

	exchange_init(&none, "GET", "/api/v1/export/span?from=1&to=2");
	routes_answer(((struct fixture *)*state)->routes, &none.request, &none.reply);
	assert_int_equal(none.reply.status, 404);
}

/* Names are known where the binaries are: they go along. */
static void a_span_file_brings_the_names(void **state)
{
	static const struct elf_maker_symbol symbols[] = {
		{ "burn", 0x100, 0x80, STT_FUNC, STB_GLOBAL },
		{ "_ZN3abc4workEi", 0x200, 0x80, STT_FUNC, STB_GLOBAL },
	};
	struct fixture *fixture = *state;
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID };
	autoclean(buf) struct buf elf = BUF(MEMORY);
	autoclean(buf) struct buf file = BUF(MEMORY);
	autoclean(exchange) struct exchange exported, imported, asked;
	autoclean(elf_file) struct elf_file *opened = NULL;

	elf_maker_make(&elf, symbols, 2);

	int fd = elf_maker_memfd(elf.bytes, elf.size);

	assert_int_equal(elf_file_open(fd, &opened), 0);
	identity = elf_file_build_id(opened);
	assert_int_equal(symbols_bring_file(fixture->small.server.symbols, &identity, fd), 0);
	assert_int_equal(symbols_settle(fixture->small.server.symbols, 10000), 0);

	struct batch *batch = fixture->batch;
	struct label labels[] = { { STR("service_name"), STR("s") } };
	uint32_t stack[3];

	batch_clear(batch);
	batch_set_time(batch, (struct batch_time){ BASE_MS, BASE_MS + 1000 });
	assert_int_equal(batch_add_labels(batch, NULL, 0), 0);
	assert_int_equal(batch_add_labels(batch, labels, 1), 1);
	assert_int_equal(batch_add_series(batch, 1, str_from(CPU), 1), 0);
	assert_int_equal(batch_add_build(batch, BUILD_FILE, &identity, STR("/opt/prog")), 0);
	stack[0] = (uint32_t)batch_add_location(batch, 0, ELF_MAKER_TEXT_OFFSET + 0x110);
	stack[1] = (uint32_t)batch_add_location(batch, 0, ELF_MAKER_TEXT_OFFSET + 0x210);
	stack[2] = (uint32_t)batch_add_location(batch, 0, ELF_MAKER_TEXT_OFFSET + 0x900);
	assert_int_equal(batch_add_stack(batch, stack, 3, STACK_TRUNCATED), 0);
	assert_int_equal(
		batch_add_entry(batch,
				&(struct batch_entry){ .series = 0, .count = 3, .value = 9 }),
		0);
	assert_int_equal(store_append(fixture->small.server.store, batch), 0);
	export_span(*state, SPAN, &exported, &file);

	/* Another host, which has never seen the binary. */
	void *other = NULL;

	assert_int_equal(open_with_writer(&other), 0);
	assert_int_equal(post(other, "/api/v1/import", str_of(&file), &imported), 200);
	assert_string_equal(export(other, FOLDED, &asked).text,
			    "prog+0x1900;abc::work(int);burn 9\n");

	autoclean(json_value) struct json_value *answer =
		get(other, "/api/v1/flame?" RANGE "&rows=");
	const struct json_value *kinds =
		json_value_member(json_value_member(answer, "nodes"), "kind");
	int64_t kind = 0;

	/* The root, callers missing, an address, and two functions of a binary. */
	assert_int_equal(json_value_count(kinds), 5);
	assert_true(json_value_integer(json_value_item(kinds, 1), &kind) &&
		    kind == FLAME_TRUNCATED);
	assert_true(json_value_integer(json_value_item(kinds, 2), &kind) && kind == FLAME_UNNAMED);
	assert_true(json_value_integer(json_value_item(kinds, 4), &kind) && kind == FLAME_NATIVE);
	assert_int_equal(close_with_writer(&other), 0);
}

static void assert_refuses(struct fixture *fixture, struct str file, const char *words)
{
	autoclean(exchange) struct exchange exchange;
	uint64_t before = stored(fixture);

	assert_int_equal(post(fixture, "/api/v1/import?label=host=bad", file, &exchange), 422);
	assert_says(&exchange, words);
	assert_int_equal(stored(fixture), before);
}

static void damaged_span_files_change_nothing(void **state)
{
	autoclean(buf) struct buf file = BUF(MEMORY);
	autoclean(exchange) struct exchange exported;
	uint64_t seed = tier_seed();
	uint32_t refused = 0;
	enum { TIMES = 60, VERSION_BYTE = 63, LOG_BYTE = 18 };

	fill(*state);
	export_span(*state, SPAN, &exported, &file);
	assert_refuses(*state, (struct str){ (char *)file.bytes, file.size / 2 }, "nothing was");
	assert_refuses(*state, STR("SQLite format 3"), "it is no span file");
	for (int i = 0; i < TIMES; i++) {
		autoclean(exchange) struct exchange exchange;
		autoclean(buf) struct buf copy = BUF(MEMORY);
		uint64_t before = stored(*state);

		buf_add(&copy, file.bytes, file.size);
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		/* In what is used of the pages; some flips change what is no part of the profile.
		 */
		size_t at = 4096 + (seed >> 33) % (copy.size - 4096);

		while (!copy.bytes[at])
			at = at + 1 < copy.size ? at + 1 : 4096;
		copy.bytes[at] ^= (uint8_t)(1 << (seed >> 61));

		int status =
			post(*state, "/api/v1/import?label=host=bad", str_of(&copy), &exchange);

		assert_true(status == 200 || status == 422);
		bool is_new = status == 200 && strstr(exchange_text(&exchange), "there\":false");

		assert_int_equal(stored(*state) - before, is_new ? 12 : 0);
		refused += status == 422;
	}
	assert_true(refused > TIMES / 4);

	/* A later version says so; one that is written to is not taken. */
	file.bytes[VERSION_BYTE] = 200;
	assert_refuses(*state, str_of(&file), "made by a later version of hearth");
	file.bytes[VERSION_BYTE] = 2;
	file.bytes[LOG_BYTE] = 2;
	assert_refuses(*state, str_of(&file), "a store still writes");
}

/* What would run when a table is asked is not even looked at. */
static void a_file_with_views_is_refused(void **state)
{
	autoclean(buf) struct buf file = BUF(MEMORY);
	autoclean(buf) struct buf changed = BUF(MEMORY);
	autoclean(exchange) struct exchange exported;
	char path[] = "/tmp/hearth-view-XXXXXX";
	int fd = mkstemp(path);
	sqlite3 *database = NULL;

	fill(*state);
	export_span(*state, SPAN, &exported, &file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file.bytes, file.size), file.size);
	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, "CREATE VIEW trap AS SELECT 1", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_close(database), SQLITE_OK);

	off_t size = lseek(fd, 0, SEEK_END);

	assert_int_equal(pread(fd, buf_grow(&changed, (size_t)size), (size_t)size, 0), size);
	close(fd);
	(void)unlink(path);
	assert_refuses(*state, str_of(&changed), "it holds views, triggers or virtual tables");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_with_writer, close_with_writer)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_becomes_series_stacks_and_values),
		cmocka_unit_test(ids_of_all_kinds_lead_to_their_things),
		cmocka_unit_test(broken_profiles_are_refused_in_words),
		cmocka_unit_test(what_is_wrong_is_named),
		TEST(recordings_of_java_are_imported),
		TEST(speedscope_is_imported),
		TEST(what_perf_prints_is_imported),
		TEST(pprof_is_imported_once),
		TEST(folded_text_is_imported),
		TEST(exports_come_back_as_they_were),
		TEST(bad_files_change_nothing),
		TEST(one_is_imported_at_a_time),
		TEST(a_span_file_carries_all_labels_and_times),
		TEST(a_span_file_brings_the_names),
		TEST(damaged_span_files_change_nothing),
		TEST(a_file_with_views_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

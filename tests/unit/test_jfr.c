/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java flight recordings, made here, byte by byte: what becomes of their events, and of what is
 * wrong with them. Recordings of real programs are those of system/test_jfr.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/batch_private.h"
#include "tests/support/jfr_maker.h"
#include "web/jfr_names.h"
#include "web/jfr_reader.h"

enum { SIZE_MAX_MADE = 64 << 20, MEMORY = 64 << 20, OUTPUT_SIZE = 1 << 20 };

#define START_NS INT64_C(1700000000000000000)

/* ---- what a batch holds -----------------------------------------------------------------------
 */

static struct str text_of(const struct batch *batch, uint32_t number)
{
	return pool_get(&batch->texts, number);
}

static void print_labels(const struct batch *batch, uint32_t set, struct buf *ret)
{
	struct str pairs = pool_get(&batch->label_sets, set);

	for (size_t i = 0; i < pairs.size / sizeof(uint32_t); i += 2) {
		uint32_t pair[2];

		memcpy(pair, pairs.text + i * sizeof(uint32_t), sizeof(pair));
		buf_printf(ret, "%s%.*s=%.*s", i ? "," : "", STR_PRINT(text_of(batch, pair[0])),
			   STR_PRINT(text_of(batch, pair[1])));
	}
}

/* "C.m0:12", behind "+" what was inlined into it; of whose code it is behind "@", but for Java's.
 */
static void print_location(const struct batch *batch, uint32_t place, struct buf *ret)
{
	struct batch_location location = batch->locations.items.items[place];
	struct str lines = pool_get(&batch->names, (uint32_t)location.address);
	struct batch_line last;
	bool has_last = false;
	const char *separator = "";

	assert_int_equal(location.build, BATCH_NAMED);
	for (size_t i = lines.size / sizeof(last); i > 0; i--) {
		struct batch_line line;

		memcpy(&line, lines.text + (i - 1) * sizeof(line), sizeof(line));
		if (text_of(batch, line.function).size == 0) {
			last = line;
			has_last = true;
			continue;
		}
		buf_printf(ret, "%s%.*s", separator, STR_PRINT(text_of(batch, line.function)));
		if (line.line)
			buf_printf(ret, ":%u", line.line);
		separator = "+";
	}
	if (!has_last)
		buf_printf(ret, "@");
	else if (last.line >> 8 & BINARY_INTERPRETED)
		buf_printf(ret, "@interpreted");
	else if (!str_equal(text_of(batch, last.file), STR("[java]")))
		buf_printf(ret, "@%.*s", STR_PRINT(text_of(batch, last.file)));
}

static void print_stack(const struct batch *batch, uint32_t number, struct buf *ret)
{
	struct str stack = pool_get(&batch->stacks, number);
	size_t count = stack.size / sizeof(uint32_t) - 1;

	for (size_t i = count; i > 0; i--) {
		uint32_t place;

		memcpy(&place, stack.text + i * sizeof(place), sizeof(place));
		print_location(batch, place, ret);
		buf_printf(ret, "%s", i > 1 ? ";" : "");
	}
}

/* "type{labels}{labels of samples} main;work count value", a line each, in their order. */
static const char *print_batch(const struct batch *batch, struct buf *ret)
{
	buf_clear(ret);
	for (uint32_t i = 0; i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];
		struct batch_series series;

		memcpy(&series, pool_get(&batch->series, item->series).text, sizeof(series));
		buf_printf(ret, "%.*s{", STR_PRINT(text_of(batch, series.type)));
		print_labels(batch, series.labels, ret);
		buf_printf(ret, "}{");
		print_labels(batch, item->labels, ret);
		buf_printf(ret, "} ");
		print_stack(batch, item->stack, ret);
		buf_printf(ret, " %llu %llu\n", (unsigned long long)item->count,
			   (unsigned long long)item->value);
	}
	buf_add_u8(ret, 0);
	assert_int_equal(ret->error, 0);
	return (const char *)ret->bytes;
}

static const struct pprof_origin plain = { .time_unix_ms = 5000, .splits_series = true };
static const struct jfr_form pushed = { .period_ns = 1000, .end_unix_ms = 15000 };

static int read_made(const struct buf *made, const struct pprof_origin *origin,
		     const struct jfr_form *form, struct batch *batch, struct pprof_summary *ret,
		     char reason[static PPROF_ERROR_SIZE])
{
	assert_int_equal(made->error, 0);
	return jfr_read((struct str){ (const char *)made->bytes, made->size }, origin, form, batch,
			ret, reason);
}

static void assert_read(const struct buf *made, const struct pprof_origin *origin,
			const struct jfr_form *form, const char *expected)
{
	autoclean(batch) struct batch *batch = NULL;
	autoclean(buf) struct buf output = BUF(OUTPUT_SIZE);
	struct pprof_summary summary;
	char reason[PPROF_ERROR_SIZE];

	assert_int_equal(batch_new(MEMORY, &batch), 0);
	if (read_made(made, origin, form, batch, &summary, reason))
		fail_msg("%s", reason);
	assert_string_equal(print_batch(batch, &output), expected);
}

static void assert_refused(const struct buf *made, int expected, const char *words)
{
	autoclean(batch) struct batch *batch = NULL;
	struct pprof_summary summary;
	char reason[PPROF_ERROR_SIZE];
	int err;

	assert_int_equal(batch_new(MEMORY, &batch), 0);
	err = read_made(made, &plain, &pushed, batch, &summary, reason);
	if (err != expected || !strstr(reason, words))
		fail_msg("%d, '%s' and not '%s'", err, reason, words);
}

/* ---- recordings -------------------------------------------------------------------------------
 */

/* Stack 1 is m1 called by m0; stack 2 m2, called by m1, called by m0. */
static uint32_t frame_of(uint32_t stack, uint32_t depth, uint32_t *ret_count)
{
	*ret_count = stack + 2;
	return *ret_count - 1 - depth;
}

static void begin(struct jfr_maker *maker, struct buf *buf)
{
	jfr_make_chunk(maker, buf, START_NS, 1000000000);
	jfr_make_metadata(maker);
	jfr_make_pools(maker, 3, 2, frame_of);
}

static void add_setting(struct jfr_maker *maker, uint64_t type, const char *name, const char *value)
{
	jfr_make_event(maker, MADE_SETTING);
	jfr_make_number(maker, 0);
	jfr_make_number(maker, type);
	jfr_make_text(maker, name);
	jfr_make_text(maker, value);
	jfr_make_event_end(maker);
}

/* time; with a duration, too, thread 1, stack 1; then the numbers of the event. */
static void add_event(struct jfr_maker *maker, uint64_t type, int64_t duration,
		      const uint64_t *numbers, size_t count)
{
	jfr_make_event(maker, type);
	jfr_make_number(maker, 77);
	if (duration >= 0)
		jfr_make_number(maker, (uint64_t)duration);
	jfr_make_number(maker, 1);
	jfr_make_number(maker, 1);
	for (size_t i = 0; i < count; i++)
		jfr_make_number(maker, numbers[i]);
	jfr_make_event_end(maker);
}

#define NUMBERS(...)                                                                               \
	(const uint64_t[]){ __VA_ARGS__ }, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)

static void each_event_is_of_its_type(void **state)
{
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	begin(&maker, &buf);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_execution(&maker, 1, 1, 2); /* it sleeps */
	jfr_make_execution(&maker, 2, 2, 1);
	jfr_make_execution(&maker, 2, 2, 1);
	add_event(&maker, MADE_NATIVE, -1, NUMBERS(1));
	add_event(&maker, MADE_WALL, -1, NUMBERS(2, 5, 100));
	add_event(&maker, MADE_NEW_TLAB, -1, NUMBERS(1, 24, 4096));
	add_event(&maker, MADE_OUTSIDE_TLAB, -1, NUMBERS(1, 1 << 20));
	add_event(&maker, MADE_ALLOCATION, -1, NUMBERS(1, 333));
	add_event(&maker, MADE_MONITOR, 2000, NUMBERS(1));
	add_event(&maker, MADE_PARK, 3000, NULL, 0);
	add_event(&maker, MADE_LIVE, -1, NUMBERS(64));
	add_event(&maker, MADE_MALLOC, -1, NUMBERS(0xffff8000, 128));
	add_event(&maker, MADE_CPU_TIME, -1, NUMBERS(0, 10000000, 1));
	add_event(&maker, MADE_CPU_TIME, -1, NUMBERS(0, 20000000, 0));
	jfr_make_end(&maker);
#define OF_MAIN "{}{thread.name=main} C.m0;C.m1 "
	assert_read(&buf, &plain, &pushed,
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds" OF_MAIN "1 1000\n"
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}{thread.name=worker} "
		    "C.m0;C.m1;C.m2 2 2000\n"
		    "native:samples:count:native:count" OF_MAIN "1 1\n"
		    "wall:wall:nanoseconds:wall:nanoseconds" OF_MAIN "5 5000\n"
		    "memory:alloc_in_new_tlab_objects:count:space:bytes" OF_MAIN "1 1\n"
		    "memory:alloc_in_new_tlab_bytes:bytes:space:bytes" OF_MAIN "1 4096\n"
		    "memory:alloc_outside_tlab_objects:count:space:bytes" OF_MAIN "1 1\n"
		    "memory:alloc_outside_tlab_bytes:bytes:space:bytes" OF_MAIN "1 1048576\n"
		    "memory:alloc_sample_objects:count:space:bytes" OF_MAIN "1 1\n"
		    "memory:alloc_sample_bytes:bytes:space:bytes" OF_MAIN "1 333\n"
		    "mutex:contentions:count:mutex:count" OF_MAIN "1 1\n"
		    "mutex:delay:nanoseconds:mutex:count" OF_MAIN "1 2000\n"
		    "block:contentions:count:block:count" OF_MAIN "1 1\n"
		    "block:delay:nanoseconds:block:count" OF_MAIN "1 3000\n"
		    "memory:live:count:objects:count" OF_MAIN "1 1\n"
		    "memory:malloc_objects:count::" OF_MAIN "1 1\n"
		    "memory:malloc_bytes:bytes::" OF_MAIN "1 128\n"
		    "process_cpu:cpu_time_samples:count:cpu_time:nanoseconds" OF_MAIN "2 2\n"
		    "process_cpu:cpu_time:nanoseconds:cpu_time:nanoseconds" OF_MAIN "2 30000000\n");
}

static void what_is_recorded_decides_of_wall_clock_time(void **state)
{
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	begin(&maker, &buf);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_execution(&maker, 1, 1, 2);
	add_event(&maker, MADE_WALL, -1, NUMBERS(1, 3, 0));
	add_event(&maker, MADE_WALL, -1, NUMBERS(2, 4, 0));
	add_setting(&maker, MADE_SETTING, "event", "wall"); /* settings may come last */
	jfr_make_end(&maker);
#define OF_WALL "{jfr_event=wall}{thread.name=main} C.m0;C.m1 "
	assert_read(&buf, &plain, &pushed,
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds" OF_WALL "4 4000\n"
		    "wall:wall:nanoseconds:wall:nanoseconds" OF_WALL "9 9000\n");
}

static void time_and_period_are_the_recordings_own(void **state)
{
	static const struct jfr_form own = { 0 };
	static const struct jfr_form with_lines = { .has_lines = true };
	autoclean(batch) struct batch *batch = NULL;
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct pprof_summary summary;
	char reason[PPROF_ERROR_SIZE];
	struct jfr_maker maker;

	(void)state;
	begin(&maker, &buf);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_end(&maker);
	begin(&maker, &buf);
	add_setting(&maker, MADE_EXECUTION, "period", "20 ms");
	add_setting(&maker, MADE_PARK, "period", "5 ms");
	jfr_make_execution(&maker, 1, 2, 1);
	jfr_make_end(&maker);
	assert_read(&buf, &plain, &own,
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}{thread.name=main} "
		    "C.m0;C.m1 1 10000000\n"
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}{thread.name=main} "
		    "C.m0;C.m1;C.m2 1 20000000\n");
	assert_read(&buf, &plain, &with_lines,
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}{thread.name=main} "
		    "C.m0:11;C.m1:10 1 10000000\n"
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}{thread.name=main} "
		    "C.m0:12;C.m1:11;C.m2:10 1 20000000\n");
	assert_int_equal(batch_new(MEMORY, &batch), 0);
	assert_int_equal(read_made(&buf, &plain, &own, batch, &summary, reason), 0);
	assert_int_equal(summary.time.start_unix_ms, START_NS / 1000000);
	assert_int_equal(summary.time.end_unix_ms, START_NS / 1000000 + 1000);
	assert_int_equal(summary.samples, 2);
	assert_int_equal(read_made(&buf, &plain, &pushed, batch, &summary, reason), 0);
	assert_int_equal(summary.time.start_unix_ms, 5000);
	assert_int_equal(summary.time.end_unix_ms, 15000);
}

static void ticks_become_nanoseconds(void **state)
{
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	jfr_make_chunk(&maker, &buf, START_NS, 2500000000);
	jfr_make_metadata(&maker);
	jfr_make_pools(&maker, 3, 2, frame_of);
	add_event(&maker, MADE_PARK, 5000, NULL, 0);
	jfr_make_end(&maker);
	assert_read(&buf, &plain, &pushed,
		    "block:contentions:count:block:count" OF_MAIN "1 1\n"
		    "block:delay:nanoseconds:block:count" OF_MAIN "1 2000\n");
}

/* ---- labels -----------------------------------------------------------------------------------
 */

static void contexts_become_labels(void **state)
{
	/* contexts { 7: { labels { 1: 2 }, labels { 3: 4 } } }, strings { 1: "a", 2: "b", … } */
	static const char labels[] =
		"\x0a\x10\x08\x07\x12\x0c\x0a\x04\x08\x01\x10\x02\x0a\x04\x08\x03"
		"\x10\x04"
		"\x12\x08\x08\x01\x12\x04zone"
		"\x12\x06\x08\x02\x12\x02"
		"eu"
		"\x12\x10\x08\x03\x12\x0cservice_name"
		"\x12\x05\x08\x04\x12\x01x"
		"\x12\x0a\x08\x05\x12\x06GET /a";
	static const struct label service = { STR("service_name"), STR("shop") };
	struct pprof_origin origin = {
		.labels = &service, .label_count = 1, .time_unix_ms = 1, .splits_series = true
	};
	struct jfr_form form = pushed;
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	form.labels = (struct str){ labels, sizeof(labels) - 1 };
	begin(&maker, &buf);
	jfr_make_event(&maker, MADE_EXECUTION);
	for (const uint64_t *number = (const uint64_t[]){ 1, 1, 1, 1, 7, 0xabc, 5, 0 }; *number;
	     number++)
		jfr_make_number(&maker, *number);
	jfr_make_event_end(&maker);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_end(&maker);
	assert_read(&buf, &origin, &form,
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
		    "{service_name=shop,span_name=GET /a,zone=eu}"
		    "{span_id=0000000000000abc,thread.name=main} C.m0;C.m1 1 1000\n"
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
		    "{service_name=shop}{thread.name=main} C.m0;C.m1 1 1000\n");
	form.labels.size--;
	{
		autoclean(batch) struct batch *batch = NULL;
		struct pprof_summary summary;
		char reason[PPROF_ERROR_SIZE];

		assert_int_equal(batch_new(MEMORY, &batch), 0);
		assert_int_equal(read_made(&buf, &origin, &form, batch, &summary, reason),
				 -EBADMSG);
		assert_non_null(strstr(reason, "its labels are no message"));
	}
}

/* ---- names ------------------------------------------------------------------------------------
 */

static void assert_name(const char *class_name, const char *method, const char *expected)
{
	autoclean(buf) struct buf buf = BUF(4096);

	jfr_names_add(&buf, str_from(class_name), str_from(method));
	buf_add_u8(&buf, 0);
	assert_string_equal((const char *)buf.bytes, expected);
}

static void numbers_of_chance_are_left_out_of_names(void **state)
{
	(void)state;
	assert_name("java/util/ArrayList", "add", "java/util/ArrayList.add");
	assert_name("", "do_syscall_64", "do_syscall_64");
	assert_name("libc.so.6", "read", "libc.so.6.read");
	assert_name("org/shop/Cart$$Lambda$4/1283928880", "run", "org/shop/Cart$$Lambda_.run");
	assert_name("org/shop/Cart$$Lambda$8/0x0000000800c01220", "run",
		    "org/shop/Cart$$Lambda_.run");
	assert_name("Cart$$Lambda.0x00007ffa600c4da0", "run", "Cart$$Lambda_.run");
	assert_name("Cart$$Lambda/0x00007ffa600c4da0", "run", "Cart$$Lambda_.run");
	assert_name("Cart$$Lambda$14", "run", "Cart$$Lambda_.run");
	/* As JDK 17 itself records one; Pyroscope leaves it so, and its clients know it so. */
	assert_name("Cart$$Lambda$89+0x00007fc360007400/846947180", "run",
		    "Cart$$Lambda$89+0x00007fc360007400/846947180.run");
	assert_name("Cart$$LambdaMaker", "run", "Cart$$LambdaMaker.run");
	assert_name("Cart$Lambda$9", "run", "Cart$Lambda$9.run");
	assert_name("java/lang/invoke/LambdaForm$MH/0x00007f8c0c001c00", "invoke",
		    "java/lang/invoke/LambdaForm$MH_.invoke");
	assert_name("jdk/internal/reflect/GeneratedMethodAccessor31", "invoke",
		    "jdk/internal/reflect/GeneratedMethodAccessor_.invoke");
	assert_name("jdk/internal/reflect/GeneratedMethodAccessors", "invoke",
		    "jdk/internal/reflect/GeneratedMethodAccessors.invoke");
	assert_name("foo/Bar$$EnhancerBySpringCGLIB$$1f2e", "go",
		    "foo/Bar$$EnhancerBySpringCGLIB$$_.go");
	assert_name("/tmp/libzstd-jni-1.5.1-16931311898282279136.so (deleted)", "f",
		    "libzstd-jni-_.so.f");
	assert_name("libzstd-jni-1.5.1.so", "f", "libzstd-jni-1.5.1.so.f");
	assert_name("./tmp/libamazonCorrettoCryptoProvider109b39cf33c563eb.so", "f",
		    "libamazonCorrettoCryptoProvider_.so.f");
	assert_name("libasyncProfiler-linux-x64-17b9a1d8156277a98ccc871afa9a8f69215f92.so", "f",
		    "libasyncProfiler-_.so.f");
}

/* ---- what is wrong ----------------------------------------------------------------------------
 */

static void unfinished_chunks_are_read_as_far_as_they_go(void **state)
{
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	begin(&maker, &buf);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_execution(&maker, 1, 99, 1); /* its stack was not written any more */
	jfr_make_event(&maker, MADE_EXECUTION);
	jfr_make_number(&maker, 1);
	assert_read(&buf, &plain, &pushed,
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds" OF_MAIN "1 1000\n");
	buf_clear(&buf);
	jfr_make_chunk(&maker, &buf, START_NS, 1000000000);
	assert_refused(&buf, -EBADMSG, "cut off before it says what is in it");
}

static void what_ends_early_is_refused_with_its_place(void **state)
{
	autoclean(buf) struct buf whole = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;
	size_t size;

	(void)state;
	begin(&maker, &whole);
	for (int i = 0; i < 40; i++)
		jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_end(&maker);
	size = whole.size;
	for (whole.size = 0; whole.size < size; whole.size += 64)
		assert_refused(&whole, -EBADMSG,
			       whole.size == 0	 ? "there is no recording in it"
			       : whole.size < 68 ? "byte 0: this is no recording of Java's"
						 : "byte 0: its chunk has");
	whole.size = size;
	/* An event that claims more than is there; and one that ends within its fields. */
	whole.bytes[size - 8] = 0x7f;
	buf_add_u8(&whole, 0);
	assert_refused(&whole, -EBADMSG, "no chunk of a recording begins here");
}

static void events_that_do_not_hold_what_they_should(void **state)
{
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;
	char words[64];

	(void)state;
	begin(&maker, &buf);
	snprintf(words, sizeof(words), "an event does not end where it should, at byte %zu",
		 buf.size);
	jfr_make_event(&maker, MADE_EXECUTION);
	jfr_make_number(&maker, 1);
	jfr_make_event_end(&maker);
	jfr_make_end(&maker);
	assert_refused(&buf, -EBADMSG, words);

	buf_clear(&buf);
	begin(&maker, &buf);
	snprintf(words, sizeof(words), "byte %zu: an event begins here that does not end",
		 buf.size);
	for (int i = 0; i < 16; i++)
		buf_add_u8(&buf, 0);
	jfr_make_end(&maker);
	assert_refused(&buf, -EBADMSG, words);
}

static void counts_that_nothing_can_hold(void **state)
{
	static const uint64_t counts[] = { UINT64_C(1) << 31, UINT32_MAX, (UINT64_C(1) << 31) - 1 };
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		/* Of constants, of pools, and of frames. */
		buf_clear(&buf);
		jfr_make_chunk(&maker, &buf, START_NS, 1);
		jfr_make_metadata(&maker);
		jfr_make_constants(&maker, 1);
		jfr_make_pool(&maker, MADE_SYMBOL, counts[i]);
		jfr_make_event_end(&maker);
		jfr_make_end(&maker);
		assert_refused(&buf, -EBADMSG, "constants do not end where they should");

		buf_clear(&buf);
		jfr_make_chunk(&maker, &buf, START_NS, 1);
		jfr_make_metadata(&maker);
		jfr_make_constants(&maker, counts[i]);
		jfr_make_event_end(&maker);
		jfr_make_end(&maker);
		assert_refused(&buf, -EBADMSG, "constants do not end where they should");

		buf_clear(&buf);
		jfr_make_chunk(&maker, &buf, START_NS, 1);
		jfr_make_metadata(&maker);
		jfr_make_constants(&maker, 1);
		jfr_make_pool(&maker, MADE_STACK_TRACE, 1);
		jfr_make_number(&maker, 1);
		buf_add_u8(&buf, 0);
		jfr_make_number(&maker, counts[i]);
		jfr_make_event_end(&maker);
		jfr_make_end(&maker);
		assert_refused(&buf, -EBADMSG, "constants do not end where they should");
	}
	/* Samples that one event claims to be. */
	buf_clear(&buf);
	begin(&maker, &buf);
	add_event(&maker, MADE_WALL, -1, NUMBERS(2, counts[0], 0));
	jfr_make_end(&maker);
	assert_read(&buf, &plain, &pushed,
		    "wall:wall:nanoseconds:wall:nanoseconds" OF_MAIN "2147483648 2147483648000\n");
	begin(&maker, &buf);
	for (int i = 0; i < 3; i++)
		add_event(&maker, MADE_MALLOC, -1, NUMBERS(0, INT64_MAX / 2));
	jfr_make_end(&maker);
	assert_refused(&buf, -E2BIG, "its values add up to more than 63 bits, at byte");
}

static void constants_that_go_in_circles(void **state)
{
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	/* A text that is a reference to itself, as the name of a method of a class that is named by
	 * one that is not there. */
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_metadata(&maker);
	jfr_make_constants(&maker, 5);
	jfr_make_pool(&maker, MADE_STRING, 1);
	jfr_make_number(&maker, 5);
	buf_add_u8(&buf, 2);
	jfr_make_number(&maker, 5);
	jfr_make_pool(&maker, MADE_SYMBOL, 1);
	jfr_make_number(&maker, 5);
	buf_add_u8(&buf, 2);
	jfr_make_number(&maker, 5);
	jfr_make_pool(&maker, MADE_CLASS, 1);
	for (int i = 0; i < 3; i++)
		jfr_make_number(&maker, 6);
	jfr_make_pool(&maker, MADE_METHOD, 1);
	for (const uint64_t *number = (const uint64_t[]){ 9, 6, 5, 1, 1, 0 }; *number; number++)
		jfr_make_number(&maker, *number);
	jfr_make_pool(&maker, MADE_STACK_TRACE, 1);
	jfr_make_number(&maker, 1);
	buf_add_u8(&buf, 0);
	jfr_make_number(&maker, 2);
	for (int i = 0; i < 2; i++)
		for (const uint64_t *number = (const uint64_t[]){ 9, 3, 4, 1, 0 }; *number;
		     number++)
			jfr_make_number(&maker, *number + (*number == 9 && i == 1));
	jfr_make_event_end(&maker);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_end(&maker);
	assert_read(&buf, &plain, &pushed,
		    "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}{} [unknown];[unknown] 1 1000\n");
}

static void types_that_go_in_circles(void **state)
{
	/* Fields of their own type have no values, but lists of it may: each holds lists. */
	static const struct jfr_made_type types[] = {
		{ "long", 10, { 0 } },
		{ "Ring", 11, { "next Ring" } },
		{ "Tree", 12, { "children Tree array" } },
		{ "Rings", 13, { "ping Ping", "rings Ring array" } },
		{ "Ping", 14, { "pong Pong" } },
		{ "Pong", 16, { "ping Ping" } },
		{ "jdk.ExecutionSample", 15, { "ring Ring", "tree Tree", "value long" } },
	};
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_types(&maker, types, sizeof(types) / sizeof(types[0]));
	jfr_make_event(&maker, 15);
	for (int i = 0; i < 40; i++)
		jfr_make_number(&maker, 1); /* a list of one, within a list of one, … */
	jfr_make_event_end(&maker);
	jfr_make_end(&maker);
	assert_refused(&buf, -EBADMSG, "an event does not end where it should");
	buf_clear(&buf);
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_types(&maker, types, sizeof(types) / sizeof(types[0]));
	jfr_make_event(&maker, 15);
	jfr_make_number(&maker, 0);
	jfr_make_number(&maker, 1);
	jfr_make_event_end(&maker);
	/* Pools of each of them. */
	jfr_make_constants(&maker, 2);
	jfr_make_pool(&maker, 13, 1);
	jfr_make_number(&maker, 1);
	jfr_make_number(&maker, UINT32_MAX); /* rings, which take no bytes */
	jfr_make_pool(&maker, 11, 1);
	jfr_make_number(&maker, 1);
	jfr_make_event_end(&maker);
	jfr_make_end(&maker);
	assert_read(&buf, &plain, &pushed, "");
}

static void metadata_that_makes_no_sense(void **state)
{
	static const struct jfr_made_type nowhere[] = { { "A", 11, { "x Nowhere" } } };
	static const struct jfr_made_type twice[] = { { "A", 11, { 0 } }, { "B", 11, { 0 } } };
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_types(&maker, nowhere, 1);
	jfr_make_end(&maker);
	assert_refused(&buf, -EBADMSG, "a field of a type that is not there");
	buf_clear(&buf);
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_types(&maker, twice, 2);
	jfr_make_end(&maker);
	assert_refused(&buf, -EBADMSG, "two types with the id 11");
	buf_clear(&buf);
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_end(&maker);
	assert_refused(&buf, -EBADMSG, "byte 0: its chunk has no metadata");
	buf_clear(&buf);
	begin(&maker, &buf);
	jfr_make_constants(&maker, 1);
	jfr_make_pool(&maker, 999, 0);
	jfr_make_event_end(&maker);
	jfr_make_end(&maker);
	assert_refused(&buf, -EBADMSG, "constants of a type that its metadata does not have");
}

/* ---- frame types ------------------------------------------------------------------------------
 */

/* Leaf first: a library, the kernel's, then Java's, of which m1 and m2 went into m3. */
static uint32_t seven_frames(uint32_t stack, uint32_t depth, uint32_t *ret_count)
{
	(void)stack;
	*ret_count = 7;
	return depth;
}

static uint32_t types_of_seven(uint32_t stack, uint32_t depth)
{
	static const uint32_t types[][7] = {
		{ MADE_LIBRARY, MADE_INLINED, MADE_INLINED, MADE_COMPILED, MADE_INTERPRETED,
		  MADE_KERNEL, MADE_COMPILED },
		/* What nothing can have been inlined into, and what has no caller. */
		{ MADE_INLINED, MADE_INTERPRETED, MADE_INLINED, MADE_KERNEL, MADE_INLINED,
		  MADE_LIBRARY, MADE_INLINED },
		/* The same frames, otherwise. */
		{ MADE_COMPILED, MADE_INTERPRETED, MADE_COMPILED, MADE_COMPILED, MADE_INTERPRETED,
		  MADE_COMPILED, MADE_COMPILED },
	};

	return types[stack][depth];
}

#define OF_CPU "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}{thread.name=main} "

static void frames_are_of_their_type(void **state)
{
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct jfr_maker maker;

	(void)state;
	jfr_make_chunk(&maker, &buf, START_NS, 1000000000);
	maker.type_of = types_of_seven;
	jfr_make_metadata(&maker);
	jfr_make_pools(&maker, 7, 3, seven_frames);
	for (uint64_t i = 1; i <= 3; i++)
		jfr_make_execution(&maker, 1, i, 1);
	jfr_make_end(&maker);
	assert_read(&buf, &plain, &pushed,
		    OF_CPU
		    "C.m6;C.m5@kernel;C.m4@interpreted;"
		    "C.m3+C.m2+C.m1;C.m0@ 1 1000\n" OF_CPU "C.m6;C.m5@;C.m4;C.m3@kernel;C.m2;"
		    "C.m1@interpreted;C.m0 1 1000\n" OF_CPU "C.m6;C.m5;C.m4@interpreted;C.m3;C.m2;"
		    "C.m1@interpreted;C.m0 1 1000\n");
}

static uint32_t two_hundred_frames(uint32_t stack, uint32_t depth, uint32_t *ret_count)
{
	(void)stack;
	*ret_count = 200;
	return depth % 2;
}

static uint32_t all_inlined(uint32_t stack, uint32_t depth)
{
	(void)stack;
	(void)depth;
	return MADE_INLINED;
}

static void what_is_inlined_without_end_is_cut_into_locations(void **state)
{
	autoclean(batch) struct batch *batch = NULL;
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct pprof_summary summary;
	char reason[PPROF_ERROR_SIZE];
	struct jfr_maker maker;

	(void)state;
	jfr_make_chunk(&maker, &buf, START_NS, 1000000000);
	maker.type_of = all_inlined;
	jfr_make_metadata(&maker);
	jfr_make_pools(&maker, 2, 1, two_hundred_frames);
	jfr_make_execution(&maker, 1, 1, 1);
	jfr_make_end(&maker);
	assert_int_equal(batch_new(MEMORY, &batch), 0);
	assert_int_equal(read_made(&buf, &plain, &pushed, batch, &summary, reason), 0);
	/* Three of 64, which are one, and what is left. */
	assert_int_equal(pool_get(&batch->stacks, 0).size, (1 + 4) * sizeof(uint32_t));
	assert_int_equal(batch->locations.items.count, 2);
}

/* ---- several batches --------------------------------------------------------------------------
 */

struct taker {
	uint64_t value, batches;
};

static int take(void *context, struct batch *batch)
{
	struct taker *taker = context;

	for (uint32_t i = 0; i < batch->items.count; i++)
		taker->value += batch->items.items[i].value;
	taker->batches++;
	return 0;
}

/* Numbers of methods as digits of the stack's number. */
static uint32_t digit_of(uint32_t stack, uint32_t depth, uint32_t *ret_count)
{
	*ret_count = 20;
	return depth < 8 ? stack >> (4 * depth) & 15 : 16 + depth;
}

static void large_ones_come_in_several_batches(void **state)
{
	enum { STACKS = 150000 };
	autoclean(batch) struct batch *batch = NULL;
	autoclean(buf) struct buf buf = BUF(SIZE_MAX_MADE);
	struct taker taker = { 0 };
	struct pprof_origin origin = plain;
	struct pprof_summary summary;
	char reason[PPROF_ERROR_SIZE];
	struct jfr_maker maker;

	(void)state;
	origin.take = take;
	origin.context = &taker;
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_metadata(&maker);
	jfr_make_pools(&maker, 64, STACKS, digit_of);
	for (uint32_t i = 0; i < 2 * STACKS; i++)
		jfr_make_execution(&maker, 1, 1 + i % STACKS, 1);
	jfr_make_end(&maker);
	assert_int_equal(batch_new(8 << 20, &batch), 0);
	assert_int_equal(read_made(&buf, &origin, &pushed, batch, &summary, reason), 0);
	assert_true(taker.batches > 1);
	take(&taker, batch);
	assert_int_equal(taker.value, 2000 * (uint64_t)STACKS);
	assert_int_equal(summary.samples, 2 * STACKS);

	/* What is wrong at the end is found before the first is given away. */
	taker = (struct taker){ 0 };
	jfr_make_chunk(&maker, &buf, START_NS, 1);
	jfr_make_metadata(&maker);
	jfr_make_event(&maker, MADE_EXECUTION);
	jfr_make_event_end(&maker);
	jfr_make_end(&maker);
	batch_clear(batch);
	assert_int_equal(read_made(&buf, &origin, &pushed, batch, &summary, reason), -EBADMSG);
	assert_int_equal(taker.batches, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_event_is_of_its_type),
		cmocka_unit_test(what_is_recorded_decides_of_wall_clock_time),
		cmocka_unit_test(time_and_period_are_the_recordings_own),
		cmocka_unit_test(ticks_become_nanoseconds),
		cmocka_unit_test(contexts_become_labels),
		cmocka_unit_test(numbers_of_chance_are_left_out_of_names),
		cmocka_unit_test(unfinished_chunks_are_read_as_far_as_they_go),
		cmocka_unit_test(what_ends_early_is_refused_with_its_place),
		cmocka_unit_test(events_that_do_not_hold_what_they_should),
		cmocka_unit_test(counts_that_nothing_can_hold),
		cmocka_unit_test(constants_that_go_in_circles),
		cmocka_unit_test(types_that_go_in_circles),
		cmocka_unit_test(metadata_that_makes_no_sense),
		cmocka_unit_test(frames_are_of_their_type),
		cmocka_unit_test(what_is_inlined_without_end_is_cut_into_locations),
		cmocka_unit_test(large_ones_come_in_several_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/window.h"
#include "tests/support/generator.h"
#include "tests/support/random_window.h"

enum { CASES = 400 };

static struct buf encoded(const struct window *window)
{
	struct buf buf = BUF(WINDOW_SIZE_MAX);

	window_encode(window, &buf);
	assert_int_equal(buf.error, 0);
	return buf;
}

static void gives_back_what_was_put_in(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= CASES; seed++) {
		autoclean(random_window) struct window *window = random_window(seed);
		autoclean(buf) struct buf buf = encoded(window);
		autoclean(window) struct window *decoded = NULL;
		int err = window_decode(buf.bytes, buf.size, &decoded);

		if (err || window_difference(window, decoded))
			print_error("seed %lu: %s\n", (unsigned long)seed,
				    err ? strerror(-err) : window_difference(window, decoded));
		assert_int_equal(err, 0);
		assert_null(window_difference(window, decoded));
	}
}

static void encodes_the_same_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		autoclean(random_window) struct window *window = random_window(seed);
		autoclean(buf) struct buf first = encoded(window);
		autoclean(window) struct window *decoded = NULL;

		assert_int_equal(window_decode(first.bytes, first.size, &decoded), 0);

		autoclean(buf) struct buf second = encoded(decoded);

		assert_int_equal(first.size, second.size);
		assert_memory_equal(first.bytes, second.bytes, first.size);
	}
}

static void takes_a_busy_host_in_few_bytes(void **state)
{
	(void)state;
	struct generator_options options = { .seed = 7,
					     .service_count = 40,
					     .process_count = 160,
					     .samples_per_window = 6336,
					     .cpu_count = 64,
					     .frequency_hz = 99 };
	struct generator *generator = NULL;

	assert_int_equal(generator_new(&options, &generator), 0);

	const struct window *window = generator_next(generator);
	autoclean(buf) struct buf buf = encoded(window);
	autoclean(window) struct window *decoded = NULL;

	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), 0);
	assert_null(window_difference(window, decoded));
	assert_int_equal(decoded->sample_count, 6336);
	print_message("# %u stacks, %u frames: %zu bytes\n", window->stack_count,
		      window->frame_count, buf.size);
	assert_true(buf.size < (size_t)window->frame_count * 6 + 200000);
	generator_free(generator);
}

static void refuses_every_part_of_a_window(void **state)
{
	(void)state;
	autoclean(random_window) struct window *window = random_window(3);
	autoclean(buf) struct buf buf = encoded(window);

	for (size_t size = 0; size < buf.size; size++) {
		struct window *decoded = NULL;
		/* A copy of just that size, so that reading on is seen by a sanitizer. */
		autofree uint8_t *part = malloc(size + 1);

		assert_non_null(part);
		memcpy(part, buf.bytes, size);
		assert_int_equal(window_decode(part, size, &decoded), -EBADMSG);
		assert_null(decoded);
	}
}

static void refuses_what_follows_a_window(void **state)
{
	(void)state;
	autoclean(random_window) struct window *window = random_window(3);
	autoclean(buf) struct buf buf = encoded(window);
	struct window *decoded = NULL;

	buf_add_u8(&buf, 0);
	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), -EBADMSG);
}

/* Whatever is flipped: an error, or a window that keeps its promises, seen by encoding it. */
static void stays_sane_when_bytes_change(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		autoclean(random_window) struct window *window = random_window(seed);
		autoclean(buf) struct buf buf = encoded(window);

		for (size_t i = 0; i < buf.size; i++) {
			autoclean(window) struct window *decoded = NULL;
			uint8_t kept = buf.bytes[i];

			buf.bytes[i] ^= (uint8_t)(1u << (i + seed) % 8);
			if (window_decode(buf.bytes, buf.size, &decoded) == 0) {
				autoclean(buf) struct buf again = encoded(decoded);

				assert_true(again.size > 0);
			}
			buf.bytes[i] = kept;
		}
	}
}

/* Offsets into the head: version, collector, then the sequence. */
static void refuses_another_version_and_no_collector(void **state)
{
	(void)state;
	autoclean(random_window) struct window *window = random_window(5);
	autoclean(buf) struct buf buf = encoded(window);
	struct window *decoded = NULL;

	buf.bytes[0]++;
	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), -EBADMSG);
	buf.bytes[0]--;
	memset(buf.bytes + 1, 0, 8);
	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), -EBADMSG);
}

/* Recordings of before the collector said how its walks went. */
static void reads_windows_without_figures_of_walks(void **state)
{
	autoclean(random_window) struct window *window = random_window(5);
	autoclean(buf) struct buf figures = BUF(1 << 12);
	autoclean(window) struct window *decoded = NULL;

	(void)state;
	buf_add_varint(&figures, WALK_FIGURE_COUNT);
	for (unsigned i = 0; i < WALK_FIGURE_COUNT; i++) {
		window->walk_figures[i] = UINT64_MAX - i;
		buf_add_varint(&figures, window->walk_figures[i]);
	}

	autoclean(buf) struct buf buf = encoded(window);
	uint8_t *at = memmem(buf.bytes, buf.size, figures.bytes, figures.size);

	assert_non_null(at);
	memmove(at, at + figures.size, buf.size - figures.size - (size_t)(at - buf.bytes));
	buf.size -= figures.size;
	buf.bytes[0] = 1;
	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), 0);
	memset(window->walk_figures, 0, sizeof(window->walk_figures));
	assert_null(window_difference(window, decoded));
	window_free(TAKE(decoded));

	/* And of one that knew fewer of them: the first three. */
	autoclean(buf) struct buf fewer = encoded(window);
	autoclean(buf) struct buf zeros = BUF(1 << 12);

	buf_add_varint(&zeros, WALK_FIGURE_COUNT);
	for (unsigned i = 0; i < WALK_FIGURE_COUNT; i++)
		buf_add_u8(&zeros, 0);
	at = memmem(fewer.bytes, fewer.size, zeros.bytes, zeros.size);
	assert_non_null(at);
	memmove(at + 4, at + zeros.size, fewer.size - zeros.size - (size_t)(at - fewer.bytes));
	memcpy(at, (uint8_t[]){ 3, 7, 8, 9 }, 4);
	fewer.size -= zeros.size - 4;
	assert_int_equal(window_decode(fewer.bytes, fewer.size, &decoded), 0);
	assert_int_equal(decoded->walk_figures[2], 9);
	assert_int_equal(decoded->walk_figures[3], 0);
	window_free(TAKE(decoded));
	/* More than there are is refused. */
	at[0] = WALK_FIGURE_COUNT + 1;
	assert_int_equal(window_decode(fewer.bytes, fewer.size, &decoded), -EBADMSG);
}

/* A window with nothing in it but the count of the array with this number, in the order of the
 * bytes. */
static struct buf only_count(unsigned array, uint64_t count)
{
	struct buf buf = BUF(WINDOW_SIZE_MAX);
	static const uint8_t boot_id[16];

	buf_add_u8(&buf, 1);
	buf_add_u64(&buf, 1);
	buf_add_varint(&buf, 1);
	buf_add(&buf, boot_id, sizeof(boot_id));
	buf_add_varint(&buf, 1000);
	buf_add_varint(&buf, 1000000000);
	buf_add_zigzag(&buf, 0);
	buf_add_varint(&buf, 99);
	buf_add_varint(&buf, 2);
	buf_add_u8(&buf, GAP_NONE);
	buf_add_varint(&buf, 0);
	buf_add_varint(&buf, LOSS_KIND_COUNT);
	for (unsigned i = 0; i < LOSS_KIND_COUNT; i++)
		buf_add_varint(&buf, 0);
	for (unsigned i = 0; i < array; i++)
		buf_add_varint(&buf, 0);
	buf_add_varint(&buf, count);
	return buf;
}

static void takes_no_memory_for_counts_that_cannot_be(void **state)
{
	(void)state;
	static const uint64_t limits[8] = { WINDOW_FILE_COUNT_MAX,    WINDOW_NAME_COUNT_MAX,
					    WINDOW_PROCESS_COUNT_MAX, WINDOW_THREAD_COUNT_MAX,
					    WINDOW_FRAME_COUNT_MAX,   WINDOW_STACK_COUNT_MAX,
					    WINDOW_TIME_COUNT_MAX,    WINDOW_ENTRY_COUNT_MAX };

	for (unsigned i = 0; i < 8; i++) {
		autoclean(buf) struct buf within = only_count(i, limits[i]);
		autoclean(buf) struct buf beyond = only_count(i, limits[i] + 1);
		struct window *decoded = NULL;

		assert_int_equal(window_decode(within.bytes, within.size, &decoded), -EBADMSG);
		assert_int_equal(window_decode(beyond.bytes, beyond.size, &decoded), -E2BIG);
	}

	autoclean(buf) struct buf empty = only_count(7, 0);
	autoclean(window) struct window *decoded = NULL;

	assert_int_equal(window_decode(empty.bytes, empty.size, &decoded), 0);
	assert_int_equal(decoded->sample_count, 0);
	assert_int_equal(window_decode(empty.bytes, (size_t)WINDOW_SIZE_MAX + 1, &decoded), -E2BIG);
}

/* A process of one thread with one stack of two frames, at the addresses 0. */
struct tiny {
	struct window_process process;
	struct window_thread thread;
	struct window_frame frames[2];
	struct window_stack stack;
	struct window_entry entry;
	uint16_t times_ms[2];
	struct window window;
};

static void make_tiny(struct tiny *tiny)
{
	*tiny = (struct tiny){
		.process = { .key = { .pid = 1 }, .executable_file = WINDOW_NONE },
		.thread = { .tid = 1 },
		.frames = { { .kind = FRAME_KERNEL }, { .kind = FRAME_UNMAPPED } },
		.stack = { .frame_count = 2 },
		.entry = { .event = EVENT_CPU, .count = 2, .weight = 1 },
		.times_ms = { 5, 1000 },
		.window = { .collector = 1,
			    .sequence = 1,
			    .end_boot_ns = 1000000000,
			    .frequency_hz = 99,
			    .cpu_count = 1,
			    .sample_count = 2,
			    .process_count = 1,
			    .thread_count = 1,
			    .frame_count = 2,
			    .stack_count = 1,
			    .entry_count = 1,
			    .time_count = 2 },
	};
	tiny->window.processes = &tiny->process;
	tiny->window.threads = &tiny->thread;
	tiny->window.frames = tiny->frames;
	tiny->window.stacks = &tiny->stack;
	tiny->window.entries = &tiny->entry;
	tiny->window.times_ms = tiny->times_ms;
}

static void refuses_frames_of_the_kernel_below_those_of_a_user(void **state)
{
	(void)state;
	static const uint8_t frames[] = { FRAME_KERNEL << 2, 0, FRAME_UNMAPPED << 2, 0 };
	struct tiny tiny;
	struct window *decoded = NULL;

	make_tiny(&tiny);

	autoclean(buf) struct buf buf = encoded(&tiny.window);
	uint8_t *at = memmem(buf.bytes, buf.size, frames, sizeof(frames));

	assert_non_null(at);
	at[0] = FRAME_UNMAPPED << 2;
	at[2] = FRAME_KERNEL << 2;
	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), -EBADMSG);
	at[0] = FRAME_KERNEL << 2;
	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), 0);
	window_free(decoded);
}

static void refuses_times_behind_the_end(void **state)
{
	(void)state;
	struct tiny tiny;
	struct window *decoded = NULL;

	make_tiny(&tiny);
	tiny.times_ms[1] = 1001;

	autoclean(buf) struct buf buf = encoded(&tiny.window);

	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), -EBADMSG);
	/* At the end: the edge to which a collector moves what came late. */
	tiny.times_ms[1] = 1000;
	buf_clear(&buf);
	window_encode(&tiny.window, &buf);
	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), 0);
	window_free(decoded);
}

static void refuses_counts_that_do_not_add_up(void **state)
{
	(void)state;
	struct tiny tiny;
	struct window *decoded = NULL;

	make_tiny(&tiny);
	tiny.window.sample_count = 3;

	autoclean(buf) struct buf buf = encoded(&tiny.window);

	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), -EBADMSG);
}

static void cuts_texts_that_nobody_would_take(void **state)
{
	(void)state;
	char text[WINDOW_TEXT_SIZE_MAX + 1];
	struct tiny tiny;
	autoclean(window) struct window *decoded = NULL;

	make_tiny(&tiny);
	memset(text, 'x', sizeof(text));
	tiny.process.cgroup = (struct str){ text, sizeof(text) };

	autoclean(buf) struct buf buf = encoded(&tiny.window);

	assert_int_equal(window_decode(buf.bytes, buf.size, &decoded), 0);
	assert_int_equal(decoded->processes[0].cgroup.size, WINDOW_TEXT_SIZE_MAX);
}

static void tells_of_a_full_buffer(void **state)
{
	(void)state;
	autoclean(random_window) struct window *window = random_window(3);
	struct buf buf = BUF(100);

	window_encode(window, &buf);
	assert_int_equal(buf.error, -EFBIG);
	buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back_what_was_put_in),
		cmocka_unit_test(encodes_the_same_again),
		cmocka_unit_test(takes_a_busy_host_in_few_bytes),
		cmocka_unit_test(refuses_every_part_of_a_window),
		cmocka_unit_test(refuses_what_follows_a_window),
		cmocka_unit_test(stays_sane_when_bytes_change),
		cmocka_unit_test(refuses_another_version_and_no_collector),
		cmocka_unit_test(reads_windows_without_figures_of_walks),
		cmocka_unit_test(takes_no_memory_for_counts_that_cannot_be),
		cmocka_unit_test(refuses_frames_of_the_kernel_below_those_of_a_user),
		cmocka_unit_test(refuses_times_behind_the_end),
		cmocka_unit_test(refuses_counts_that_do_not_add_up),
		cmocka_unit_test(cuts_texts_that_nobody_would_take),
		cmocka_unit_test(tells_of_a_full_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

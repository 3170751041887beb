/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/batch_private.h"
#include "tests/support/otlp_host.h"
#include "tests/support/pprof_maker.h"
#include "web/otlp_intake.h"
#include "web/otlp_kits.h"

#define SECONDS(count) ((uint64_t)(count) * (uint64_t)CLOCK_NS_PER_S)

enum { REQUEST_SIZE_MAX = 16 << 20, CAPTURED_SIZE_MAX = 64 << 20 };

/* All that a batch holds. */
static int capture(void *context, struct batch *batch, bool is_last)
{
	struct buf *told = context;
	const struct pool *pools[] = { &batch->texts,  &batch->label_sets, &batch->series,
				       &batch->builds, &batch->names,	   &batch->stacks };

	(void)is_last;
	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
		buf_add_u32(told, pool_count(pools[i]));
		for (uint32_t k = 0; k < pool_count(pools[i]); k++)
			buf_add_sized(told, pool_get(pools[i], k));
	}
	buf_add(told, batch->locations.items.items,
		batch->locations.items.count * sizeof(batch->locations.items.items[0]));
	buf_add(told, batch->items.items, batch->items.count * sizeof(batch->items.items[0]));
	buf_add(told, batch->times.items, batch->times.count * sizeof(batch->times.items[0]));
	return 0;
}

static int read_into(struct otlp_kit *kit, struct str request, struct buf *told)
{
	struct otlp_intake_options options = {
		.host_name = "host", .now_ms = 1700000000000, .add = capture, .context = told
	};
	struct otlp_reading reading = { .bytes = request,
					.take = otlp_intake_take,
					.context = kit->intake,
					.reader = kit->reader };
	struct otlp_report report;
	char reason[OTLP_ERROR_SIZE];
	int err;

	otlp_intake_begin(kit->intake, &options);
	err = otlp_read(&reading, &report, reason);
	return err ? err : otlp_intake_finish(kit->intake);
}

static void make_request(unsigned seed, struct buf *ret)
{
	autoclean(otlp_host) struct otlp_host *host = NULL;

	assert_int_equal(otlp_host_new(seed, 97, INT64_C(1700000000000000000), &host), 0);
	(void)otlp_host_next(host, 2, ret);
}

static void make_kit(struct otlp_kit *ret)
{
	assert_int_equal(otlp_reader_new(&ret->reader), 0);
	assert_int_equal(otlp_intake_new(&ret->intake), 0);
}

static void of_a_request_before_nothing_is_left_but_memory(void **state)
{
	autoclean(buf) struct buf first = BUF(REQUEST_SIZE_MAX), other = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf fresh = BUF(CAPTURED_SIZE_MAX), again = BUF(CAPTURED_SIZE_MAX);
	autoclean(buf) struct buf ignored = BUF(CAPTURED_SIZE_MAX);
	struct otlp_kits *kits = NULL;
	struct otlp_kit kit = { 0 };
	struct str whole, cut;

	(void)state;
	make_request(1, &first);
	make_request(2, &other);
	whole = (struct str){ (const char *)first.bytes, first.size };
	assert_int_equal(otlp_kits_new(&kits), 0);
	make_kit(&kit);
	assert_int_equal(read_into(&kit, whole, &fresh), 0);
	assert_true(fresh.size > first.size / 2);

	/* Of another host, whole, and then ended by a field that is cut short. */
	assert_int_equal(
		read_into(&kit, (struct str){ (const char *)other.bytes, other.size }, &ignored),
		0);
	pprof_number(&other, 100, 1);
	cut = (struct str){ (const char *)other.bytes, other.size - 1 };
	assert_true(read_into(&kit, cut, &ignored) < 0);

	struct otlp_reader *reader = kit.reader;

	otlp_kits_give(kits, &kit, SECONDS(1));
	otlp_kits_take(kits, &kit);
	assert_ptr_equal(kit.reader, reader);
	assert_int_equal(read_into(&kit, whole, &again), 0);
	assert_int_equal(again.size, fresh.size);
	assert_memory_equal(again.bytes, fresh.bytes, fresh.size);
	otlp_kits_give(kits, &kit, SECONDS(1));
	otlp_kits_free(kits);
}

static void a_few_are_kept_until_nobody_comes(void **state)
{
	struct otlp_kits *kits = NULL;
	struct otlp_kit kit[OTLP_KIT_COUNT_MAX + 1] = { 0 };
	size_t one;

	(void)state;
	assert_int_equal(otlp_kits_new(&kits), 0);
	otlp_kits_take(kits, &kit[0]);
	assert_null(kit[0].reader);
	assert_null(kit[0].intake);
	for (int i = 0; i <= OTLP_KIT_COUNT_MAX; i++)
		make_kit(&kit[i]);
	one = otlp_reader_memory(kit[0].reader) + otlp_intake_memory(kit[0].intake);
	for (int i = 0; i <= OTLP_KIT_COUNT_MAX; i++) {
		otlp_kits_give(kits, &kit[i], SECONDS(100));
		assert_null(kit[i].reader);
	}
	assert_int_equal(otlp_kits_memory(kits), OTLP_KIT_COUNT_MAX * one);
	otlp_kits_tidy(kits, SECONDS(100 + OTLP_KITS_IDLE_SECONDS));
	assert_int_equal(otlp_kits_memory(kits), OTLP_KIT_COUNT_MAX * one);
	otlp_kits_take(kits, &kit[0]);
	assert_int_equal(otlp_kits_memory(kits), (OTLP_KIT_COUNT_MAX - 1) * one);
	otlp_kits_give(kits, &kit[0], SECONDS(105));
	otlp_kits_tidy(kits, SECONDS(105 + OTLP_KITS_IDLE_SECONDS));
	assert_int_equal(otlp_kits_memory(kits), OTLP_KIT_COUNT_MAX * one);
	otlp_kits_tidy(kits, SECONDS(106 + OTLP_KITS_IDLE_SECONDS));
	assert_int_equal(otlp_kits_memory(kits), 0);
	otlp_kits_take(kits, &kit[0]);
	assert_null(kit[0].reader);
	otlp_kits_free(kits);
}

static void what_has_grown_too_large_is_not_kept(void **state)
{
	autoclean(buf) struct buf request = BUF(REQUEST_SIZE_MAX), told = BUF(CAPTURED_SIZE_MAX);
	autoclean(otlp_host) struct otlp_host *host = NULL;
	struct otlp_kits *kits = NULL;
	struct otlp_kit kit = { 0 };

	(void)state;
	assert_int_equal(otlp_host_new(3, 48 * 97, INT64_C(1700000000000000000), &host), 0);
	(void)otlp_host_next(host, 4, &request);
	assert_int_equal(otlp_kits_new(&kits), 0);
	make_kit(&kit);
	assert_int_equal(
		read_into(&kit, (struct str){ (const char *)request.bytes, request.size }, &told),
		0);
	assert_true(otlp_reader_memory(kit.reader) + otlp_intake_memory(kit.intake) >
		    OTLP_KIT_SIZE_MAX);
	otlp_kits_give(kits, &kit, SECONDS(1));
	assert_null(kit.reader);
	assert_int_equal(otlp_kits_memory(kits), 0);
	otlp_kits_free(kits);
}

static void memory_of_bodies_is_kept_as_well(void **state)
{
	struct buf body = BUF(1000), large = BUF(2 * (size_t)OTLP_BODY_MEMORY_MAX);
	struct otlp_kits *kits = NULL;
	size_t capacity;

	(void)state;
	assert_int_equal(otlp_kits_new(&kits), 0);
	otlp_kits_take_body(kits, &body);
	assert_int_equal(body.capacity, 0);
	assert_int_equal(body.limit, 1000);
	buf_add_str(&body, STR("profiles"));
	capacity = body.capacity;
	otlp_kits_give_body(kits, &body, SECONDS(1));
	assert_null(body.bytes);
	assert_int_equal(otlp_kits_memory(kits), capacity);

	body = BUF(500);
	otlp_kits_take_body(kits, &body);
	assert_int_equal(body.size, 0);
	assert_int_equal(body.capacity, capacity);
	assert_int_equal(body.limit, 500);
	assert_int_equal(otlp_kits_memory(kits), 0);

	assert_non_null(buf_grow(&large, OTLP_BODY_MEMORY_MAX + 1));
	otlp_kits_give_body(kits, &large, SECONDS(1));
	assert_int_equal(otlp_kits_memory(kits), 0);
	otlp_kits_give_body(kits, &body, SECONDS(1));
	assert_int_equal(otlp_kits_memory(kits), capacity);
	otlp_kits_tidy(kits, SECONDS(2 + OTLP_KITS_IDLE_SECONDS));
	assert_int_equal(otlp_kits_memory(kits), 0);
	otlp_kits_free(kits);
}

static void without_a_place_nothing_is_kept(void **state)
{
	struct buf body = BUF(1000);
	struct otlp_kit kit = { 0 };

	(void)state;
	otlp_kits_take(NULL, &kit);
	assert_null(kit.reader);
	make_kit(&kit);
	otlp_kits_give(NULL, &kit, SECONDS(1));
	assert_null(kit.intake);
	otlp_kits_take_body(NULL, &body);
	buf_add_str(&body, STR("profiles"));
	otlp_kits_give_body(NULL, &body, SECONDS(1));
	assert_null(body.bytes);
	otlp_kits_tidy(NULL, SECONDS(1));
	assert_int_equal(otlp_kits_memory(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_request_before_nothing_is_left_but_memory),
		cmocka_unit_test(a_few_are_kept_until_nobody_comes),
		cmocka_unit_test(what_has_grown_too_large_is_not_kept),
		cmocka_unit_test(memory_of_bodies_is_kept_as_well),
		cmocka_unit_test(without_a_place_nothing_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

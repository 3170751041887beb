/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/batch_private.h"
#include "store/relabel.h"
#include "tests/support/tier.h"

enum { MEMORY = 1 << 20, PERIOD = 10 };

static const struct str type = { "process_cpu:cpu:nanoseconds:cpu:nanoseconds", 43 };

static int set_up(void **state)
{
	struct batch *batch = NULL;
	int err = batch_new(MEMORY, &batch);

	*state = batch;
	return err;
}

static int tear_down(void **state)
{
	batch_free(*state);
	return 0;
}

/* count samples of a service in a thread, at a stack of their own. */
static void add(struct batch *batch, const char *service, const char *thread, uint64_t count,
		uint64_t value, const uint16_t *times)
{
	struct label series = { STR("service_name"), str_from(service) };
	struct label sample = { STR("tid"), str_from(thread) };
	struct named_line line = { .function = str_from(thread) };
	int64_t set = batch_add_labels(batch, &series, 1);
	int64_t location = batch_add_named_location(batch, &line, 1);
	uint32_t number = (uint32_t)location;
	struct batch_entry entry = { .count = count, .value = value, .times_ms = times };

	assert_true(set >= 0 && location >= 0);
	entry.series = (uint32_t)batch_add_series(batch, (uint32_t)set, type, PERIOD);
	entry.sample_labels = (uint32_t)batch_add_labels(batch, &sample, 1);
	entry.stack = (uint32_t)batch_add_stack(batch, &number, 1, 0);
	assert_int_equal(batch_add_entry(batch, &entry), 0);
}

static struct str label_of(const struct batch *batch, uint32_t set, const char *name)
{
	struct str pairs = pool_get(&batch->label_sets, set);
	const uint32_t *texts = (const void *)pairs.text;

	for (size_t i = 0; i < pairs.size / 8; i++)
		if (str_equal(pool_get(&batch->texts, texts[2 * i]), str_from(name)))
			return pool_get(&batch->texts, texts[2 * i + 1]);
	return (struct str){ 0 };
}

static struct str series_label(const struct batch *batch, const struct batch_item *item,
			       const char *name)
{
	struct batch_series series;

	memcpy(&series, pool_get(&batch->series, item->series).text, sizeof(series));
	assert_int_equal(series.period, PERIOD);
	return label_of(batch, series.labels, name);
}

struct asked {
	unsigned count;
	uint64_t samples;
	uint64_t one_of;
};

/* b goes, a is called A and has its thread as a label of the series. */
static void change(void *context, struct relabelling *samples)
{
	struct asked *asked = context;

	asked->count++;
	asked->samples += samples->samples;
	assert_true(str_equal(samples->type, type));
	assert_int_equal(samples->series_count, 1);
	assert_int_equal(samples->sample_count, 1);
	samples->is_dropped = str_equal(samples->series[0].value, STR("b"));
	if (!str_equal(samples->series[0].value, STR("a")))
		return;
	samples->series[0].value = STR("A");
	samples->series[samples->series_count++] = samples->sample[0];
	samples->sample_count = 0;
	samples->is_changed = true;
}

static void samples_change_their_labels_and_go(void **state)
{
	struct batch *batch = *state;
	const uint16_t times[] = { 1, 2, 3, 4 };
	struct asked asked = { 0 };

	for (int round = 0; round < 2; round++) {
		add(batch, "a", "1", 2, 20, times);
		add(batch, "b", "1", 1, 10, times);
		add(batch, "a", "1", 1, 10, NULL);
		add(batch, "a", "2", 1, 10, times + 2);
		add(batch, "c", "2", 1, 10, times + 3);
		asked = (struct asked){ 0 };
		assert_int_equal(batch_relabel(batch, change, &asked, 0), 0);
		/* Twice the same series and thread is asked about once. */
		assert_int_equal(asked.count, 4);
		assert_int_equal(asked.samples, 6);
		assert_int_equal(batch_totals(batch).entries, 4);
		assert_int_equal(batch_totals(batch).samples, 5);
		for (uint32_t i = 0; i < 4; i++) {
			const struct batch_item *item = &batch->items.items[i];
			bool is_c = i == 3;

			assert_true(str_equal(series_label(batch, item, "service_name"),
					      is_c ? STR("c") : STR("A")));
			assert_true(
				str_equal(series_label(batch, item, "tid"), is_c ? (struct str){ 0 }
									    : i < 2 ? STR("1")
										    : STR("2")));
			assert_true(str_equal(label_of(batch, item->labels, "tid"),
					      is_c ? STR("2") : (struct str){ 0 }));
		}
		assert_int_equal(batch->items.items[1].first_time, BATCH_NO_TIMES);
		assert_int_equal(batch->times.count, 4);
		assert_int_equal(batch->times.items[batch->items.items[0].first_time + 1], 2);
		assert_int_equal(batch->times.items[batch->items.items[2].first_time], 3);
		assert_int_equal(batch->times.items[batch->items.items[3].first_time], 4);
		/* All that was lent and given back comes out even. */
		batch_clear(batch);
		assert_int_equal(batch_room(batch), MEMORY);
	}
}

static void thin_out(void *context, struct relabelling *samples)
{
	const struct asked *asked = context;

	samples->one_of = str_equal(samples->series[0].value, STR("whole")) ? 1 : asked->one_of;
}

static uint64_t worth(const struct batch *batch, const char *service, uint64_t *ret_count)
{
	uint64_t sum = 0;

	*ret_count = 0;
	for (uint32_t i = 0; i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];

		if (!str_equal(series_label(batch, item, "service_name"), str_from(service)))
			continue;
		sum += item->value;
		*ret_count += item->count;
		assert_true(item->count > 0 && item->value > 0);
	}
	return sum;
}

static void one_of_ten_weighs_as_much_as_ten(void **state)
{
	struct batch *batch = *state;
	struct asked asked = { .one_of = 10 };
	uint16_t times[1000];
	uint64_t count;

	for (int i = 0; i < 1000; i++)
		times[i] = (uint16_t)i;
	add(batch, "s", "heavy", 700, 7000, times);
	for (int i = 0; i < 300; i++) {
		char thread[16];

		snprintf(thread, sizeof(thread), "%d", i);
		add(batch, "s", thread, 1, 10, NULL);
	}
	add(batch, "few", "x", 3, 33, times);
	add(batch, "whole", "x", 5, 50, times);
	assert_int_equal(batch_relabel(batch, thin_out, &asked, UINT32_C(1) << 31), 0);
	assert_int_equal(worth(batch, "s", &count), 10000);
	assert_int_equal(count, 100);
	assert_int_equal(batch->items.items[0].value, 7000);
	assert_int_equal(batch->items.items[0].count, 70);
	assert_int_equal(batch->times.items[batch->items.items[0].first_time + 69], 690);
	assert_int_equal(batch_totals(batch).entries, 1 + 30 + 2);
	/* Of fewer than ten one stays. */
	assert_int_equal(worth(batch, "few", &count), 33);
	assert_int_equal(count, 1);
	assert_int_equal(worth(batch, "whole", &count), 50);
	assert_int_equal(count, 5);
	assert_int_equal(batch_totals(batch).samples, 106);
	batch_clear(batch);
	assert_int_equal(batch_room(batch), MEMORY);
}

/* Whatever is in it, sums stay, and a stack is off by less than one that is kept. */
static void sums_stay_whatever_is_thinned_out(void **state)
{
	struct batch *batch = *state;

	srandom((unsigned)tier_seed());
	for (int round = 0; round < 200; round++) {
		struct asked asked = { .one_of = 2 + (uint64_t)random() % 50 };
		uint64_t sum = 0, all = 0, count, values[40];
		int stacks = 1 + (int)(random() % 40);

		for (int i = 0; i < stacks; i++) {
			uint64_t samples = 1 + (uint64_t)random() % 30;
			char thread[16];

			values[i] = samples * (1 + (uint64_t)random() % 1000000000);
			snprintf(thread, sizeof(thread), "%d", i);
			add(batch, "s", thread, samples, values[i], NULL);
			sum += values[i];
			all += samples;
		}
		assert_int_equal(batch_relabel(batch, thin_out, &asked, (uint32_t)random() * 2), 0);
		assert_true(worth(batch, "s", &count) == sum);

		uint64_t kept = all / asked.one_of ? all / asked.one_of : 1;
		uint64_t step = sum / kept + 1;

		assert_true(count <= kept);
		for (uint32_t i = 0; i < batch->items.count; i++) {
			const struct batch_item *item = &batch->items.items[i];
			uint64_t was = values[item->stack];

			assert_true(item->value <= was + step && item->value + step >= was);
		}
		batch_clear(batch);
	}
	assert_int_equal(batch_room(batch), MEMORY);
}

/* What can't be counted stays as it is. */
static void sums_beyond_all_numbers_stay(void **state)
{
	struct batch *batch = *state;
	struct asked asked = { .one_of = 10 };
	uint64_t count;

	add(batch, "s", "1", 20, UINT64_MAX - 5, NULL);
	add(batch, "s", "2", 20, 10, NULL);
	assert_int_equal(batch_relabel(batch, thin_out, &asked, 0), 0);
	(void)worth(batch, "s", &count);
	assert_int_equal(count, 40);
	batch_clear(batch);
	add(batch, "s", "1", 20, UINT64_MAX - 5, NULL);
	asked.one_of = UINT64_MAX;
	assert_int_equal(batch_relabel(batch, thin_out, &asked, UINT32_MAX), 0);
	assert_true(worth(batch, "s", &count) == UINT64_MAX - 5);
	assert_int_equal(count, 1);
}

/* One that has hardly any room left. */
static void a_full_batch_can_be_changed(void **state)
{
	struct batch *batch = *state;
	struct asked asked = { 0 };
	unsigned count = 0;

	while (batch_room(batch) > 2000) {
		char thread[16];

		snprintf(thread, sizeof(thread), "%u", count++);
		add(batch, "a", thread, 1, 10, NULL);
	}
	assert_int_equal(batch_relabel(batch, change, &asked, 0), 0);
	assert_int_equal(asked.count, count);
	assert_int_equal(batch_totals(batch).entries, count);
	batch_clear(batch);
	assert_int_equal(batch_room(batch), MEMORY);
	assert_int_equal(batch_relabel(batch, change, &asked, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(samples_change_their_labels_and_go, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(one_of_ten_weighs_as_much_as_ten, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(sums_stay_whatever_is_thinned_out, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(sums_beyond_all_numbers_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_batch_can_be_changed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

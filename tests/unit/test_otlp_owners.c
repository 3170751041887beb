/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/batch_private.h"
#include "web/otlp_owners.h"

enum { ATTRIBUTE_COUNT_MAX = 40, NOBODY = 0x7ffffff0 /* no host has so many processes */ };

enum { NOW_MS = 1000000 };

/* The process that has not come yet, and how often anybody looked. */
static pid_t awaited;
static unsigned looks;

int __real_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal)
{
	looks++;
	if (pid != awaited)
		return __real_kill(pid, signal);
	errno = ESRCH;
	return -1;
}

struct owned {
	struct batch *batch;
	struct otlp_owners *owners;
	char text[1000];
};

static struct otlp_attribute text_of(const char *key, const char *value)
{
	return (struct otlp_attribute){
		.key = str_from(key), .value = { .kind = OTLP_VALUE_TEXT, .bytes = str_from(value) }
	};
}

static struct otlp_attribute number_of(const char *key, int64_t number)
{
	return (struct otlp_attribute){
		.key = str_from(key), .value = { .kind = OTLP_VALUE_INTEGER, .integer = number }
	};
}

static void open_owners(struct owned *owned, bool is_local)
{
	*owned = (struct owned){ 0 };
	assert_int_equal(batch_new(1 << 20, &owned->batch), 0);
	assert_int_equal(otlp_owners_new(owned->batch, &owned->owners), 0);
	otlp_owners_start(owned->owners, "host", is_local, NOW_MS);
}

static void close_owners(struct owned *owned)
{
	otlp_owners_free(owned->owners);
	batch_free(owned->batch);
}

static void add_text(struct owned *owned, const char *text)
{
	size_t size = strlen(owned->text);

	snprintf(owned->text + size, sizeof(owned->text) - size, "%s", text);
}

static void add_set(struct owned *owned, uint32_t set)
{
	struct str pairs = pool_get(&owned->batch->label_sets, set);

	for (size_t i = 0; i < pairs.size; i += 2 * sizeof(uint32_t)) {
		size_t size = strlen(owned->text);
		uint32_t pair[2];

		memcpy(pair, pairs.text + i, sizeof(pair));
		snprintf(owned->text + size, sizeof(owned->text) - size, " %.*s=%.*s",
			 STR_PRINT(pool_get(&owned->batch->texts, pair[0])),
			 STR_PRINT(pool_get(&owned->batch->texts, pair[1])));
	}
}

/* "type period labels | labels of the sample", of a sample without attributes of its own. */
static const char *owner_of(struct owned *owned, const struct otlp_attribute *resource,
			    size_t count, const char *type, uint64_t period)
{
	struct otlp_tables tables = { .serial = 1 };
	struct otlp_profile profile = { .tables = &tables,
					.resource = resource,
					.resource_count = count };
	struct otlp_sample sample = { 0 };
	struct otlp_owner owner = { 0 };
	struct batch_series series;

	assert_int_equal(otlp_owners_begin(owned->owners, &profile, str_from(type), period), 0);
	assert_int_equal(otlp_owners_find(owned->owners, &sample, &owner), 0);
	memcpy(&series, pool_get(&owned->batch->series, owner.series).text, sizeof(series));
	snprintf(owned->text, sizeof(owned->text), "%.*s %d",
		 STR_PRINT(pool_get(&owned->batch->texts, series.type)), (int)series.period);
	add_set(owned, series.labels);
	add_text(owned, " |");
	add_set(owned, owner.labels);
	return owned->text;
}

#define OWNER(owned, type, period, ...)                                                            \
	owner_of((owned), (const struct otlp_attribute[]){ __VA_ARGS__ },                          \
		 sizeof((const struct otlp_attribute[]){ __VA_ARGS__ }) /                          \
			 sizeof(struct otlp_attribute),                                            \
		 (type), (period))

#define OF(name)                                                                                   \
	" __otel__=true process.executable.name=" name " service_name=unknown_service:" name

static void processes_of_a_program_share_its_series(void **state)
{
	struct otlp_attribute a = text_of("process.executable.name", "a");
	struct otlp_attribute b = text_of("process.executable.name", "b");
	struct otlp_attribute other = text_of("process.pid", "17");
	struct owned owned;

	(void)state;
	open_owners(&owned, true);
	/* Twice, so that the second is one that was remembered. */
	for (int64_t i = 0; i < 2; i++) {
		struct otlp_attribute pid = number_of("process.pid", NOBODY + i);
		const char *of_pid = i ? "process.pid=2147483633" : "process.pid=2147483632";
		char expected[200];

		snprintf(expected, sizeof(expected), "cpu 5" OF("a") " | %s", of_pid);
		assert_string_equal(OWNER(&owned, "cpu", 5, a, pid), expected);
		snprintf(expected, sizeof(expected), "cpu 5" OF("b") " | %s", of_pid);
		assert_string_equal(OWNER(&owned, "cpu", 5, pid, b), expected);
		snprintf(expected, sizeof(expected), "cpu 6" OF("a") " | %s", of_pid);
		assert_string_equal(OWNER(&owned, "cpu", 6, a, pid), expected);
		snprintf(expected, sizeof(expected), "off 5" OF("a") " | %s", of_pid);
		assert_string_equal(OWNER(&owned, "off", 5, a, pid), expected);
		snprintf(expected, sizeof(expected), "cpu 5" OF("a") " | %s thread.name=main",
			 of_pid);
		assert_string_equal(OWNER(&owned, "cpu", 5, a, pid, text_of("thread.name", "main")),
				    expected);
		assert_string_equal(OWNER(&owned, "cpu", 5, a), "cpu 5" OF("a") " |");
		assert_string_equal(OWNER(&owned, "cpu", 5, a, other),
				    "cpu 5" OF("a") " | process.pid=17");
		/* The first of a key counts, remembered or not. */
		assert_string_equal(OWNER(&owned, "cpu", 5, a, other, pid),
				    "cpu 5" OF("a") " | process.pid=17");
	}
	assert_int_equal(pool_count(&owned.batch->series), 4);
	/* What was remembered is the batch's. */
	batch_clear(owned.batch);
	otlp_owners_clear(owned.owners);
	assert_string_equal(OWNER(&owned, "cpu", 5, b, number_of("process.pid", NOBODY)),
			    "cpu 5" OF("b") " | process.pid=2147483632");
	assert_int_equal(pool_count(&owned.batch->series), 1);
	close_owners(&owned);
}

static void a_process_of_this_host_is_none_of_them(void **state)
{
	struct otlp_attribute name = text_of("process.executable.name", "test_otlp_owner");
	struct otlp_attribute nobody = number_of("process.pid", NOBODY);
	struct otlp_attribute self = number_of("process.pid", getpid());
	char away[300], here[300];
	struct owned owned;

	(void)state;
	open_owners(&owned, true);
	snprintf(away, sizeof(away), "%s", OWNER(&owned, "cpu", 5, name, nobody));
	snprintf(here, sizeof(here), "%s", OWNER(&owned, "cpu", 5, name, self));
	assert_null(strstr(away, " process_name=test_otlp_owner"));
	assert_non_null(strstr(here, " process_name=test_otlp_owner"));
	assert_string_equal(OWNER(&owned, "cpu", 5, name, nobody), away);
	assert_string_equal(OWNER(&owned, "cpu", 5, name, self), here);
	close_owners(&owned);
	/* Numbers of another host are nobody's here. */
	open_owners(&owned, false);
	assert_null(strstr(OWNER(&owned, "cpu", 5, name, self), " process_name="));
	close_owners(&owned);
}

static void who_is_not_there_is_looked_for_once_a_second(void **state)
{
	struct otlp_attribute name = text_of("process.executable.name", "test_otlp_owner");
	struct otlp_attribute self = number_of("process.pid", getpid());
	struct owned owned;

	(void)state;
	open_owners(&owned, true);
	awaited = getpid();
	looks = 0;
	for (int i = 0; i < 3; i++)
		assert_null(strstr(OWNER(&owned, "cpu", 5, name, self), " process_name="));
	assert_int_equal(looks, 1);
	/* Another one is looked for. */
	(void)OWNER(&owned, "cpu", 5, name, number_of("process.pid", NOBODY));
	assert_int_equal(looks, 2);
	/* It has come, and is seen in the next second. */
	awaited = 0;
	otlp_owners_start(owned.owners, "host", true, NOW_MS + 999);
	assert_null(strstr(OWNER(&owned, "cpu", 5, name, self), " process_name="));
	assert_int_equal(looks, 2);
	otlp_owners_start(owned.owners, "host", true, NOW_MS + 1000);
	assert_non_null(strstr(OWNER(&owned, "cpu", 5, name, self), " process_name="));
	/* Who is there is looked at each time. */
	looks = 0;
	awaited = getpid();
	otlp_owners_start(owned.owners, "host", true, NOW_MS + 1000);
	assert_null(strstr(OWNER(&owned, "cpu", 5, name, self), " process_name="));
	assert_true(looks > 0);
	awaited = 0;
	close_owners(&owned);
}

static void what_is_left_out_counts_each_time(void **state)
{
	struct otlp_attribute many[ATTRIBUTE_COUNT_MAX];
	char keys[ATTRIBUTE_COUNT_MAX][8];
	struct owned owned;

	(void)state;
	for (size_t i = 0; i < ATTRIBUTE_COUNT_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
		many[i] = text_of(keys[i], "v");
	}
	open_owners(&owned, true);
	for (uint64_t i = 1; i <= 3; i++) {
		/* Two labels are made of none of these. */
		owner_of(&owned, many, ATTRIBUTE_COUNT_MAX, "cpu", 5);
		assert_int_equal(otlp_owners_left_out(owned.owners),
				 i * (ATTRIBUTE_COUNT_MAX + 2 - OTLP_SERIES_LABEL_COUNT_MAX));
	}
	close_owners(&owned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_of_a_program_share_its_series),
		cmocka_unit_test(a_process_of_this_host_is_none_of_them),
		cmocka_unit_test(who_is_not_there_is_looked_for_once_a_second),
		cmocka_unit_test(what_is_left_out_counts_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

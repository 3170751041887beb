/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "store/store.h"
#include "web/ingest.h"
#include "web/profile_type.h"

/* What stands where callers are missing, by the verdict. */
static int64_t add_truncation(struct batch *batch, unsigned verdict)
{
	static const struct identity nobody = { 0 };
	int64_t build = batch_add_build(batch, BUILD_TRUNCATED, &nobody, STR(""));
	uint32_t location = 0;

	assert_true(build >= 0);
	assert_int_equal(batch_add_locations(batch,
					     &(struct batch_place){ (uint32_t)build, verdict }, 1,
					     &location),
			 0);
	return location;
}

uint32_t add_stack(struct batch *batch, const char *frames)
{
	uint32_t locations[16];
	size_t count = 0;
	const char *end = frames + strlen(frames);

	/* Leaf first. */
	while (end > frames) {
		const char *start = end;

		while (start > frames && start[-1] != ';')
			start--;

		struct named_line line = { .function = { start, (size_t)(end - start) } };
		int64_t location = *start == '?' ? add_truncation(batch, (unsigned)start[1] - '0')
						 : batch_add_named_location(batch, &line, 1);

		assert_true(location >= 0);
		locations[count++] = (uint32_t)location;
		end = start > frames ? start - 1 : start;
	}

	int64_t stack = batch_add_stack(batch, locations, count, 0);

	assert_true(stack >= 0);
	return (uint32_t)stack;
}

static void add_sample(struct batch *batch, const struct sample *sample)
{
	struct label series_labels[] = {
		{ STR("service_name"), str_from(sample->service) },
		{ STR("process_name"), str_from(sample->service) },
	};
	char process[32];

	snprintf(process, sizeof(process), "%s.100.1", sample->pid);

	struct label sample_labels[] = {
		{ STR("pid"), str_from(sample->pid) },
		{ STR("process"), str_from(sample->process ? sample->process : process) },
	};
	int64_t labels = batch_add_labels(batch, series_labels, 2);
	int64_t own = batch_add_labels(batch, sample_labels, 2);

	assert_true(labels >= 0 && own >= 0);

	int64_t series = batch_add_series(batch, (uint32_t)labels, PROFILE_TYPE_CPU, 1);

	assert_true(series >= 0);

	struct batch_entry entry = {
		.series = (uint32_t)series,
		.sample_labels = (uint32_t)own,
		.stack = add_stack(batch, sample->frames),
		.count = 1,
		.value = sample->value,
	};

	assert_int_equal(batch_add_entry(batch, &entry), 0);
}

void append(struct fixture *fixture, int64_t start_ms, const struct sample *samples, size_t count)
{
	batch_clear(fixture->batch);
	batch_set_time(fixture->batch, (struct batch_time){ start_ms, start_ms + 1000 });
	for (size_t i = 0; i < count; i++)
		add_sample(fixture->batch, &samples[i]);
	assert_int_equal(store_append(fixture->small.server.store, fixture->batch), 0);
	assert_int_equal(store_commit(fixture->small.server.store), 0);
}

int open_all(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char error[ROUTES_ERROR_SIZE] = "";

	assert_non_null(fixture);
	small_server_open(&fixture->small);
	fixture->small.server.counters.cpu_count = 2;
	if (routes_new(&fixture->small.server, &fixture->routes, error))
		fail_msg("%s", error);
	assert_int_equal(batch_new(16 << 20, &fixture->batch), 0);
	*state = fixture;
	return 0;
}

int close_all(void **state)
{
	struct fixture *fixture = *state;

	routes_free(fixture->routes);
	batch_free(fixture->batch);
	small_server_close(&fixture->small);
	free(fixture);
	return 0;
}

static void committed(void *context, uint64_t collector, uint64_t sequence)
{
	(void)context;
	(void)collector;
	(void)sequence;
}

static void wish(void *context, const struct identity *identity)
{
	(void)context;
	(void)identity;
}

int open_with_writer(void **state)
{
	int err = open_all(state);
	struct fixture *fixture = *state;

	if (!err)
		err = ingest_start(&(struct ingest_options){ .server = &fixture->small.server,
							     .committed = committed,
							     .wish = wish },
				   &fixture->small.server.ingest);
	return err;
}

int close_with_writer(void **state)
{
	struct fixture *fixture = *state;

	fixture->small.server.ingest = ingest_stop(fixture->small.server.ingest);
	return close_all(state);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

void call(struct fixture *fixture, const char *method, const char *content_type, struct str body,
	  struct exchange *exchange)
{
	char path[128];

	snprintf(path, sizeof(path), "/querier.v1.QuerierService/%s", method);
	exchange_init(exchange, "POST", path);
	exchange->request.path.text = path;
	exchange_header(exchange, "Content-Type", content_type);
	exchange_body(exchange, body);
	routes_answer(fixture->routes, &exchange->request, &exchange->reply);
}

struct json_value *get(struct fixture *fixture, const char *target)
{
	autoclean(exchange) struct exchange exchange;
	char error[JSON_ERROR_SIZE] = "";
	struct json_value *value = NULL;

	exchange_init(&exchange, "GET", target);
	routes_answer(fixture->routes, &exchange.request, &exchange.reply);
	if (exchange.reply.status != 200)
		fail_msg("%s: %s", target, exchange_text(&exchange));
	assert_int_equal(json_value_parse(str_from(exchange_text(&exchange)), &value, error), 0);
	return value;
}

double number(const struct json_value *value, const char *name)
{
	double result = 0;

	assert_true(json_value_number(json_value_member(value, name), &result));
	return result;
}

void assert_text(const struct json_value *value, const char *name, const char *expected)
{
	struct str text = { 0 };

	assert_true(json_value_text(json_value_member(value, name), &text));
	assert_true(str_equal(text, str_from(expected)));
}

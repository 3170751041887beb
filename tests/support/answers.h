/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/batch.h"
#include "tests/support/exchange.h"
#include "tests/support/small_server.h"
#include "web/json.h"
#include "web/routes.h"

/*
 * Questions to a real store, as the HTTP server passes them on, without a socket: what test_answers
 * and test_page share. Errors are failed assertions of the test.
 */
#define BASE_MS INT64_C(1700000000000)

#define CPU "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

struct fixture {
	struct small_server small;
	struct routes *routes;
	struct batch *batch;
};

/* One stack, root first, of one process. */
struct sample {
	const char *service;
	const char *pid;
	const char *frames; /* "main;a"; "?3;a": callers are missing by verdict 3 */
	uint64_t value;
	const char *process; /* NULL: "PID.100.1" */
};

/* For cmocka: a struct fixture with an empty store. */
int open_all(void **state);
int close_all(void **state);

/* The same with a writer, for what is brought to the server. */
int open_with_writer(void **state);
int close_with_writer(void **state);

/* The number of a stack of named functions, root first: "main;a". */
uint32_t add_stack(struct batch *batch, const char *frames);

/* A window of a second with these samples. */
void append(struct fixture *fixture, int64_t start_ms, const struct sample *samples, size_t count);

/* POST of a Connect call; the exchange is the caller's to end. */
void call(struct fixture *fixture, const char *method, const char *content_type, struct str body,
	  struct exchange *exchange);

/* The page's answer to GET, parsed; the caller's to free. */
struct json_value *get(struct fixture *fixture, const char *target);

double number(const struct json_value *value, const char *name);
void assert_text(const struct json_value *value, const char *name, const char *expected);

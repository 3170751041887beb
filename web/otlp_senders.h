/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "web/otlp_reader.h"

/*
 * Who sends profiles by OpenTelemetry's protocol, in which revision, how much, and what came of it:
 * for /metrics and the page. A sender is an address and what it calls itself. Any thread.
 */
struct otlp_senders;

int otlp_senders_new(struct otlp_senders **ret);
struct otlp_senders *otlp_senders_free(struct otlp_senders *senders);

enum otlp_result {
	OTLP_ACCEPTED = 0,
	OTLP_REFUSED, /* it is no good, and will not be when it is sent again */
	OTLP_FAILED,  /* it could not be stored now */
	OTLP_RESULT_COUNT,
};

/* One request. */
struct otlp_outcome {
	struct str host;  /* "127.0.0.1", "unix" */
	struct str agent; /* of the header user-agent */
	struct str way;	  /* "grpc", "http", "http/json" */
	enum otlp_result result;
	const char *reason; /* why not, a word for /metrics; "" */
	const char *sentence;
	uint64_t bytes; /* unpacked */
	const struct otlp_report *report;
};

void otlp_senders_note(struct otlp_senders *senders, const struct otlp_outcome *outcome);

/* What the sender's last request was of, or OTLP_REVISION_NONE. */
enum otlp_revision otlp_senders_believed(struct otlp_senders *senders, struct str host,
					 struct str agent);

/*
 * Whether these bytes were stored a short while ago: a sender that did not hear so sends them
 * again. By their hash, which is not 0. Remembered by otlp_senders_stored().
 */
bool otlp_senders_knows(struct otlp_senders *senders, uint64_t hash);
void otlp_senders_stored(struct otlp_senders *senders, uint64_t hash);

void otlp_senders_write_metrics(struct otlp_senders *senders, struct buf *buf);

/* [{"host":…,"agent":…,…}, …], the latest first. */
struct json_writer;
void otlp_senders_write(struct otlp_senders *senders, struct json_writer *json);

DEFINE_CLEANUP(struct otlp_senders *, otlp_senders, otlp_senders_free)

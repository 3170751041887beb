/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/settings.h"
#include "base/window.h"
#include "web/limit.h"
#include "web/push.h"

struct debuginfo;
struct jit_processes;
struct label_rules;
struct ingest;
struct otlp_kits;
struct otlp_senders;
struct packages;
struct records;
struct request_counters;
struct retries;
struct slots;
struct store;
struct symbols;
struct unwind_tables;
struct upload_store;

/*
 * What every handler may ask: the store, the symbols, and how the collector is doing. Owned by
 * serve_main(); handlers run on many threads and change nothing but counters.
 */
enum collector_state {
	COLLECTOR_ABSENT = 0, /* nobody is connected */
	COLLECTOR_SAMPLING = 1,
	COLLECTOR_NO_RIGHTS = 2, /* hearth run found that it may not load BPF */
	COLLECTOR_REPLAY = 3,	 /* windows come from a recording */
};

struct server_counters {
	_Atomic int collector_state;	    /* enum collector_state */
	_Atomic int64_t collector_since_ms; /* unix time of the last change of state */
	_Atomic uint32_t frequency_hz;
	_Atomic uint32_t cpu_count; /* of the host, as the collector says; at first our own count */
	_Atomic uint64_t windows_received, samples_received, windows_refused;
	_Atomic uint64_t losses[LOSS_KIND_COUNT];
	_Atomic uint64_t walk_figures[WALK_FIGURE_COUNT]; /* sums, then what is now */
	_Atomic uint64_t
		verdicts[VERDICT_COUNT]; /* samples, by how the walk of their stack ended */
	_Atomic uint64_t wishes_sent, files_received;
	/* Profiles that were pushed: taken and refused, their stacks with and without a value,
	 * bytes unpacked, and what was mended (web/push.h). */
	_Atomic uint64_t push_profiles, push_refused, push_stacks, push_stacks_skipped, push_bytes;
	_Atomic uint64_t push_repairs[PUSH_REPAIR_COUNT];
	_Atomic uint64_t requests, requests_refused, tokens_refused;
	_Atomic uint64_t limits_hit[LIMIT_COUNT];
	_Atomic uint64_t questions, questions_cancelled; /* to the store */
	_Atomic uint64_t question_spans, question_pieces, question_bytes, question_ns;
};

struct server {
	struct push_told push_told;
	const struct settings *settings; /* as at the start, whatever SIGHUP changed since */
	struct store *store;
	struct symbols *symbols;
	struct unwind_tables *unwind_tables; /* NULL: none are made */
	struct upload_store *uploads;	     /* NULL: symbols can't be handed in */
	struct packages *packages;	     /* NULL: nobody knows what to install */
	struct jit_processes *jit;	     /* NULL: code that processes make has no names */
	struct server_counters counters;
	struct records *records;	   /* beside profiles; NULL: nothing is kept */
	struct ingest *ingest;		   /* the way into the store; NULL: there is none */
	struct label_rules *label_rules;   /* for what is received; NULL: none */
	struct otlp_kits *otlp_kits;	   /* NULL: none are kept */
	_Atomic bool is_importing;	   /* one at a time */
	_Atomic bool is_exporting;	   /* a span file: the same */
	struct slots *push_slots;	   /* while HTTP is served */
	struct retries *retries;	   /* the same: of pushes */
	struct otlp_senders *otlp_senders; /* the same */
	struct slots *otlp_places;   /* the same: requests of OTLP whose bodies are received */
	struct gate *otlp_gate;	     /* the same: bytes of OTLP that are read at once */
	struct debuginfo *debuginfo; /* the same */
	struct request_counters *request_counters; /* set while HTTP is served; else NULL */
	int64_t started_unix_ms;
	char host_name[256];
	char kernel_release[128];
	/* Which address of --http somebody else has, while others are served; else "". Set before
	 * any is. */
	char address_missing[400];
	char collector_reason[256]; /* why there is no collector, as hearth run found out; else ""
				     */
};

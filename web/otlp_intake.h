/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/batch.h"
#include "web/otlp_labels.h"
#include "web/otlp_reader.h"

/*
 * Makes batches of the profiles of a request, in the words of this store. Profiles whose times
 * lie together share a batch.
 *
 * samples of count with a period of CPU time become process_cpu, each value times the period; time
 * off the CPU becomes off_cpu; any other type is called after its period's. Frames that bring names
 * keep them. Others lie in their file, by its build id, at the offset there, so that symbols name
 * them now or later.
 */
struct otlp_intake;

struct otlp_intake_options {
	const char *host_name;
	bool is_local;	/* the sender is on this host */
	int64_t now_ms; /* for profiles that do not say when they were taken */
	/* Takes a batch that is full, or whose times end; it is cleared afterwards. The same bytes
	 * make the same batches, whenever they come. */
	int (*add)(void *context, struct batch *batch, bool is_last);
	void *context;
};

int otlp_intake_new(struct otlp_intake **ret);
struct otlp_intake *otlp_intake_free(struct otlp_intake *intake);

/* Of each request: of one before it, whatever became of it, nothing is left but memory. */
void otlp_intake_begin(struct otlp_intake *intake, const struct otlp_intake_options *options);

/* What it takes. */
size_t otlp_intake_memory(const struct otlp_intake *intake);

/* For otlp_read(). -E2BIG beyond OTLP_BATCH_MEMORY_MAX, -ENOMEM, or what add returned. */
int otlp_intake_take(void *intake, const struct otlp_profile *profile);

/* Gives what is left. */
int otlp_intake_finish(struct otlp_intake *intake);

/* Samples that are in batches, each of a stack with its count; and attributes left out. */
struct otlp_intake_totals {
	uint64_t samples;
	uint64_t labels_left_out;
};
struct otlp_intake_totals otlp_intake_totals(const struct otlp_intake *intake);

DEFINE_CLEANUP(struct otlp_intake *, otlp_intake, otlp_intake_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/table.h"
#include "store/array.h"
#include "store/batch.h"

/*
 * What Pyroscope's agent for Java sends beside a recording: labels by the number of a context that
 * events carry, as a message of protobuf:
 *
 *   LabelsSnapshot { map<int64, Context> contexts = 1; map<int64, string> strings = 2; }
 *   Context { map<int64, int64> labels = 1; }
 *
 * Labels are numbers of strings: name, value.
 *
 * Texts stay where they are.
 */
struct jfr_entry {
	uint64_t key;
	struct str value;
};

struct jfr_map {
	struct table table;
	ARRAY(struct jfr_entry) items;
};

struct jfr_labels {
	struct jfr_map contexts, strings;
};

void jfr_labels_init(struct jfr_labels *labels);
void jfr_labels_done(struct jfr_labels *labels);

/* -EBADMSG for what is no such message, -E2BIG, -ENOMEM. Once, after init. */
int jfr_labels_read(struct jfr_labels *labels, struct str message);

/* "" for one that is not there. */
struct str jfr_labels_string(const struct jfr_labels *labels, uint64_t key);

/*
 * The labels of a context, those without a name, without a value, or that are no UTF-8 left out.
 * Returns how many, at most count_max.
 */
size_t jfr_labels_of(const struct jfr_labels *labels, uint64_t context, struct label *ret,
		     size_t count_max);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/settings.h"
#include "store/batch.h"

/*
 * The rules in force for profiles that are received by OTLP and by Pyroscope's pushes, in their
 * order, each seeing what those before it left (web/label_rule.h). What our own collector samples
 * and what is imported they leave alone: its settings, and --label, say what is wanted of that.
 *
 * A series that lost its service_name is "unknown_service", as one that came without.
 */
struct label_rules;

enum { LABEL_RULES_ERROR_SIZE = 1024 };

int label_rules_new(struct label_rules **ret);
struct label_rules *label_rules_free(struct label_rules *rules);

/*
 * Takes over what the settings say. A rule that was there before keeps its count, and a limit the
 * values that it tells apart. -EINVAL with "FILE:LINE: rule: what is wrong" in reterr, -ENOMEM; the
 * rules then stay as they were. Any thread.
 */
int label_rules_load(struct label_rules *rules, const struct settings *settings,
		     char reterr[static LABEL_RULES_ERROR_SIZE]);

/* Changes a batch before it is stored; of all its samples none may be left. rules NULL: none.
 * -ENOMEM, -E2BIG. Any thread. */
int label_rules_apply(struct label_rules *rules, struct batch *batch);

/* hearth_rule_samples_total. */
void label_rules_write_metrics(struct label_rules *rules, struct buf *text);

/*
 * For `hearth check-config`: each rule, where it stands, and in words what it does. With labels
 * also which of them it changes of a series that has these, and what would be stored.
 */
void label_rules_explain(struct label_rules *rules, const struct settings *settings,
			 const struct label *labels, size_t label_count, struct buf *text);

DEFINE_CLEANUP(struct label_rules *, label_rules, label_rules_free)

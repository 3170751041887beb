/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "store/relabel.h"
#include "store/selector.h"

/*
 * One rule for profiles that are received, as an administrator writes it:
 *
 *   drop SELECTOR                    what matches is not stored
 *   keep SELECTOR                    what does not match is not stored
 *   rename LABEL NAME [SELECTOR]     the label is called otherwise
 *   set LABEL "VALUE" [SELECTOR]     the label is this
 *   remove LABEL [SELECTOR]          the label goes
 *   sample 1/N [SELECTOR]            one sample of N is stored, and weighs as much as N
 *   limit LABEL N [SELECTOR]         N values are told apart, further ones become "other"
 *
 * A selector is what a question has, {service_name="shop", pid=~"1.*"}, and sees labels of series
 * and of samples alike, and what the store makes of the type: __name__, __profile_type__. A label
 * is found as by a question: host is host.name of OpenTelemetry's, too. And k8s.pod.name is also
 * what a push calls k8s_pod_name, so that one rule is for both.
 */
enum label_rule_kind {
	LABEL_RULE_DROP,
	LABEL_RULE_KEEP,
	LABEL_RULE_RENAME,
	LABEL_RULE_SET,
	LABEL_RULE_REMOVE,
	LABEL_RULE_SAMPLE,
	LABEL_RULE_LIMIT,
	LABEL_RULE_KIND_COUNT,
};

enum {
	LABEL_RULE_ERROR_SIZE = 320,
	LABEL_RULE_SAMPLE_MAX = 1000000,
	LABEL_RULE_LIMIT_MAX = 10000,
	/* A value that did not come for so long gives way to another. */
	LABEL_RULE_FORGET_S = 3600,
};

struct label_values;

struct label_rule {
	char *text; /* as it was written; the names below lie in a copy */
	char *words;
	enum label_rule_kind kind;
	struct str label;	   /* of rename, set, remove, limit */
	struct str value;	   /* rename: the new name; set: the value */
	uint64_t number;	   /* of sample, limit */
	struct selector *selector; /* NULL: all */
	struct str selector_text;
	struct label_values *values; /* limit: those that are told apart */
	_Atomic uint64_t samples;    /* that it did something to */
};

/* -EINVAL with a sentence, -ENOMEM. */
int label_rule_parse(struct str text, struct label_rule **ret,
		     char reterr[static LABEL_RULE_ERROR_SIZE]);
struct label_rule *label_rule_free(struct label_rule *rule);

/* What it does, as a sentence without a capital and a full stop. */
void label_rule_explain(const struct label_rule *rule, struct buf *text);

/*
 * Does it to these samples, and counts them; true when it did something. Texts that it puts in
 * are the rule's. now_s: steady, for limits. Any thread.
 */
bool label_rule_apply(struct label_rule *rule, struct relabelling *samples, uint64_t now_s);

DEFINE_CLEANUP(struct label_rule *, label_rule, label_rule_free)

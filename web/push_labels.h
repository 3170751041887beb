/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "store/batch.h"

/*
 * The labels that somebody pushes a series with, made those that are stored: what can be mended is,
 * and counted; what can't is refused with a sentence.
 *
 * service_name is "unknown_service" when there is none. Names that Pyroscope keeps for itself go:
 * __delta__, __order__, __session_id__, and those that the store makes of the type. "godeltaprof_"
 * in front of __name__ goes, too, and __name_replaced__ tells that it was there.
 */
enum { PUSH_LABELS_ERROR_SIZE = 200 };

enum push_label_repair {
	PUSH_LABEL_TEXT = 0,  /* no UTF-8 */
	PUSH_LABEL_DUPLICATE, /* given twice */
	PUSH_LABEL_SERVICE,   /* there was no service_name */
	PUSH_LABEL_REPAIR_COUNT,
};

struct push_labels {
	/* One more for service_name, one for __name_replaced__. */
	struct label labels[PUSH_LABEL_COUNT_MAX + 2];
	size_t count;
	struct str name;  /* __name__, the first part of the types; not among the labels */
	struct buf texts; /* those that were mended */
	uint64_t repairs[PUSH_LABEL_REPAIR_COUNT];
};

/* Texts stay the caller's, and are needed as long as the labels. */
void push_labels_init(struct push_labels *labels);
void push_labels_done(struct push_labels *labels);

/* -EINVAL with a sentence for what is refused, -ENOMEM. */
int push_labels_add(struct push_labels *labels, struct str name, struct str value,
		    char reterr[static PUSH_LABELS_ERROR_SIZE]);

/* After the last. There may be no __name__: then name is empty. */
void push_labels_finish(struct push_labels *labels);

static inline void push_labels_cleanup(struct push_labels *labels)
{
	push_labels_done(labels);
}

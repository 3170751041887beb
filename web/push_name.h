/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "web/push_labels.h"

/*
 * What /ingest's clients call their series: "shop.cpu{region=eu,pod=a}", an application, perhaps
 * with the type of what is pushed behind a dot, and labels whose values stand as they are.
 *
 * More is taken than Pyroscope takes: a suffix that is no type is part of the name, a brace may
 * stay open, and names of labels may hold anything but ',', '=' and '}'. __name__ and what else
 * begins with "__" in the braces goes.
 */
struct push_name {
	struct str application; /* without the suffix */
	struct str full;	/* with it */
	struct str type;	/* five parts, of the suffix; of none cpu's */
	bool is_time;		/* values count samples, each of which is a period */
	bool is_named;		/* service_name was among the labels */
	bool is_exemplar;	/* of an old kind, which nobody keeps: it had a label profile_id */
};

/*
 * Reads it, and adds its labels; service_name and app_name are the caller's. -EINVAL with a
 * sentence, -ENOMEM.
 */
int push_name_read(struct str text, struct push_name *ret, struct push_labels *labels,
		   char reterr[static PUSH_LABELS_ERROR_SIZE]);

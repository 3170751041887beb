/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "web/otlp_reader.h"

/*
 * Which revision a request is of. Nothing in it says so; it is told by which fields there are, and
 * of which wire types. Between 1.9 and 1.10, which differ in the numbers of three fields of a
 * sample, it may come down to whether a number can be the index of an attribute.
 */
struct otlp_finding {
	enum otlp_revision revision; /* OTLP_REVISION_NONE: there are no samples in it */
	bool is_unsure;		     /* 1.10, but 1.9 would make sense, too */
	bool is_unpacked;
	char why[OTLP_ERROR_SIZE];
};

/*
 * believed: as of struct otlp_reading. Where the first resources of a request say the same, no more
 * is looked at: whether the rest agrees shows when it is read. -EBADMSG with a sentence, -ENOMEM.
 */
int otlp_detect(struct str bytes, enum otlp_revision believed, struct otlp_finding *ret,
		char reterr[static OTLP_ERROR_SIZE]);

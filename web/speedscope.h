/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/named_stacks.h"

/*
 * Profiles as speedscope keeps them: JSON with frames, and for each profile either stacks with
 * weights or frames that open and close.
 * https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources
 */
struct speedscope_form {
	/* NULL texts: as its unit says, process_cpu for time, memory for bytes. */
	struct str type;
	uint64_t period; /* what a sample without a unit is worth */
};

/*
 * Fills the batch, a series a profile, whose name is the label profile_name; what they weigh is
 * told in nanoseconds, or in bytes. Errors come with a sentence that names the place: -EBADMSG for
 * what is none, -E2BIG beyond a limit, -ENOMEM.
 */
int speedscope_read(struct str text, const struct pprof_origin *origin,
		    const struct speedscope_form *form, struct batch *batch,
		    struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE]);

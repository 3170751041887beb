/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "base/window.h"

/*
 * How a walk ended, in words: for /metrics, and for people. A stack that ends early is shown with
 * its reason in place of the callers that are missing.
 */

/* "no_rule": one word, which stays. */
const char *verdict_key(enum verdict verdict);

/* "no unwind information": why callers are missing. NULL where none are. */
const char *verdict_reason(enum verdict verdict);

/* Whether callers are missing: all but complete stacks, and what has no user's stack. */
static inline bool verdict_is_truncated(enum verdict verdict)
{
	return verdict != VERDICT_COMPLETE && verdict != VERDICT_NO_USER_STACK;
}

enum { VERDICT_TEXT_SIZE = 64 };

/* "[truncated: no unwind information]"; for what is no verdict that we know "[truncated]". */
struct str verdict_text(unsigned verdict, char text[static VERDICT_TEXT_SIZE]);

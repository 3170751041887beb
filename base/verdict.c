/* SPDX-License-Identifier: Apache-2.0 */
#include "base/verdict.h"

#include <assert.h>
#include <stdio.h>

#include "base/limits.h"

/* The page explains each reason by its words: web/ui/src/flame/reasons.ts. */
static const struct {
	const char *key, *reason;
} words[VERDICT_COUNT] = {
	[VERDICT_COMPLETE] = { "complete", NULL },
	[VERDICT_TRUNCATED] = { "too_deep", "deeper than 512 frames" },
	[VERDICT_NO_MAPPING] = { "no_mapping", "return address in no code" },
	[VERDICT_NO_RULE] = { "no_rule", "no unwind information" },
	[VERDICT_JIT_UNKNOWN] = { "unknown_jit", "code made at run time" },
	[VERDICT_UNSUPPORTED_RULE] = { "unsupported_rule", "unwind rule not supported" },
	[VERDICT_READ_FAULT] = { "read_fault", "stack not readable" },
	[VERDICT_NOT_PROGRESSING] = { "not_progressing", "stack does not lead up" },
	[VERDICT_NO_USER_STACK] = { "no_user_stack", NULL },
	[VERDICT_CAME_EARLY] = { "came_early", "program was new" },
};

static_assert((int)FRAME_COUNT_MAX == 512, "a reason says so");

const char *verdict_key(enum verdict verdict)
{
	assert(verdict < VERDICT_COUNT && words[verdict].key);
	return words[verdict].key;
}

const char *verdict_reason(enum verdict verdict)
{
	assert(verdict < VERDICT_COUNT && words[verdict].key);
	return words[verdict].reason;
}

struct str verdict_text(unsigned verdict, char text[static VERDICT_TEXT_SIZE])
{
	int size;

	if (verdict >= VERDICT_COUNT || !words[verdict].reason)
		return STR("[truncated]");
	size = snprintf(text, VERDICT_TEXT_SIZE, "[truncated: %s]", words[verdict].reason);
	assert(size > 0 && size < VERDICT_TEXT_SIZE);
	return (struct str){ text, (size_t)size };
}

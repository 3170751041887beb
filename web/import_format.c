/* SPDX-License-Identifier: Apache-2.0 */
#include "web/import_format.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "base/limits.h"
#include "web/folded.h"
#include "web/jfr_chunk.h"
#include "web/jfr_reader.h"
#include "web/perf_script.h"
#include "web/profile_type.h"
#include "web/speedscope.h"

enum {
	SNIFF_SIZE = 512,
	SPEEDSCOPE_PERIOD_NS = 10 * 1000 * 1000, /* of a sample without a unit */
};

static const char *const names[] = {
	[IMPORT_FORMAT_PPROF] = "pprof", [IMPORT_FORMAT_FOLDED] = "folded",
	[IMPORT_FORMAT_JFR] = "jfr",	 [IMPORT_FORMAT_SPEEDSCOPE] = "speedscope",
	[IMPORT_FORMAT_PERF] = "perf",	 [IMPORT_FORMAT_SPAN] = "span",
};

const char *import_format_name(enum import_format format)
{
	assert((size_t)format < sizeof(names) / sizeof(names[0]));
	return names[format];
}

enum import_format import_format_named(struct str name)
{
	for (unsigned i = IMPORT_FORMAT_PPROF; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_equal(name, str_from(names[i])))
			return (enum import_format)i;
	return IMPORT_FORMAT_UNKNOWN;
}

static bool is_text(struct str bytes)
{
	for (size_t i = 0; i < bytes.size && i < SNIFF_SIZE; i++) {
		unsigned char c = (unsigned char)bytes.text[i];

		if (c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\033')
			return false;
	}
	/* A pprof profile begins with its first sample type, which is what a line break would be.
	 */
	return !(bytes.size > 1 && bytes.text[0] == '\n' && bytes.text[1] < ' ' &&
		 bytes.text[1] != '\n' && bytes.text[1] != '\r');
}

enum import_format import_format_guess(struct str bytes)
{
	size_t start = 0;

	if (str_starts_with(bytes, STR("SQLite format 3")))
		return IMPORT_FORMAT_SPAN;
	if (jfr_chunk_begins(bytes))
		return IMPORT_FORMAT_JFR;
	if (!is_text(bytes))
		return IMPORT_FORMAT_PPROF;
	while (start < bytes.size && isspace((unsigned char)bytes.text[start]))
		start++;
	if (start < bytes.size && bytes.text[start] == '{')
		return IMPORT_FORMAT_SPEEDSCOPE;
	return perf_script_begins(bytes) ? IMPORT_FORMAT_PERF : IMPORT_FORMAT_FOLDED;
}

static int read_speedscope(struct str bytes, const struct pprof_origin *origin, struct str type,
			   struct batch *batch, struct pprof_summary *ret,
			   char reterr[static PPROF_ERROR_SIZE])
{
	const struct speedscope_form form = { .type = type, .period = SPEEDSCOPE_PERIOD_NS };

	if (bytes.size > PUSH_JSON_SIZE_MAX) {
		snprintf(reterr, PPROF_ERROR_SIZE, "it is larger than %d MiB",
			 PUSH_JSON_SIZE_MAX >> 20);
		return -E2BIG;
	}
	return speedscope_read(bytes, origin, &form, batch, ret, reterr);
}

int import_format_read(enum import_format format, struct str bytes,
		       const struct pprof_origin *origin, struct str type, struct batch *batch,
		       struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE])
{
	switch (format) {
	case IMPORT_FORMAT_PPROF:
		return pprof_read(bytes, origin, batch, ret, reterr);
	case IMPORT_FORMAT_JFR:
		return jfr_read(bytes, origin, &(struct jfr_form){ .has_lines = true }, batch, ret,
				reterr);
	case IMPORT_FORMAT_SPEEDSCOPE:
		return read_speedscope(bytes, origin, type, batch, ret, reterr);
	case IMPORT_FORMAT_PERF:
		return perf_script_read(bytes, origin, batch, ret, reterr);
	default:
		assert(format == IMPORT_FORMAT_FOLDED);
		return folded_read(bytes, origin, type.size > 0 ? type : PROFILE_TYPE_CPU,
				   &(struct folded_form){ 0 }, batch, ret, reterr);
	}
}

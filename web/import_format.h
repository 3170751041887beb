/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "store/batch.h"
#include "web/pprof_reader.h"

/* What a file that somebody brings may be; unpacked, but for a span file, which is never packed. */
enum import_format {
	IMPORT_FORMAT_UNKNOWN = 0,
	IMPORT_FORMAT_PPROF,
	IMPORT_FORMAT_FOLDED,
	IMPORT_FORMAT_JFR,
	IMPORT_FORMAT_SPEEDSCOPE,
	IMPORT_FORMAT_PERF, /* perf script's text */
	IMPORT_FORMAT_SPAN,
};

/* "pprof", "folded", …; NULL for what is unknown. And back; unknown for what is none. */
const char *import_format_name(enum import_format format);
enum import_format import_format_named(struct str name);

/*
 * By its first bytes: a recording and a span file begin with a word of theirs, speedscope with a
 * brace, perf's text has lines that are indented; other text is folded, and what is none is pprof.
 */
enum import_format import_format_guess(struct str bytes);

/*
 * All of it into one batch, by the reader of the format, which is none that is unknown, nor a span
 * file. type: of folded text and speedscope; NULL text: CPU time, or as speedscope's units say.
 */
int import_format_read(enum import_format format, struct str bytes,
		       const struct pprof_origin *origin, struct str type, struct batch *batch,
		       struct pprof_summary *ret, char reterr[static PPROF_ERROR_SIZE]);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"

/* What a file that somebody brings may be; unpacked, but for a span file, which is never packed. */
enum import_format {
	IMPORT_FORMAT_UNKNOWN = 0,
	IMPORT_FORMAT_PPROF,
	IMPORT_FORMAT_FOLDED,
	IMPORT_FORMAT_SPAN,
};

/* By its first bytes: what is text is folded, what is not is pprof. */
enum import_format import_format_guess(struct str bytes);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "store/batch.h"
#include "web/pprof_reader.h"

/*
 * Folded stacks, as flame graph scripts take and give them: a line for each stack, frames from the
 * root on with ';' between them, a space, and a number.
 */
struct flame;

/* Frames of a line without any: our own writing of it. */
#define FOLDED_NO_FRAMES "[no frames]"

/* "main;run;burn 1230000000", one line for each node with a value of its own. A negative errno. */
int folded_write(const struct flame *flame, struct buf *buf);

/* How strictly, and what of. */
struct folded_form {
	bool is_lines;	 /* no numbers: each line counts 1 */
	bool is_lenient; /* lines without a space are skipped, and no lines at all are none */
	uint64_t scale;	 /* 0 is 1: named_stacks.h */
};

/*
 * Fills the batch with samples of one type, at the origin's time. Errors come with a sentence that
 * names the line: -EBADMSG for what is no folded text, -E2BIG beyond a limit, -ENOMEM.
 */
int folded_read(struct str text, const struct pprof_origin *origin, struct str type,
		const struct folded_form *form, struct batch *batch, struct pprof_summary *ret,
		char reterr[static PPROF_ERROR_SIZE]);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "store/batch.h"
#include "store/store.h"

/*
 * Everything that a question selects, as batches again, one or more for each that was appended:
 * what an export writes and an import reads. When in its window a sample was taken is left out.
 *
 * Spans and segments come in their order, and what was recorded at one time together as far as
 * memory allows: twice the same file gives twice the same batches.
 */
struct extract_options {
	/* Of all series, in place of those of the same names. */
	const struct label *labels;
	size_t label_count;
	/* Locations that the symbols name bring these names, with binary and inlined functions, and
	 * no address: for hosts that have not the symbols. */
	bool with_names;
};

/* Anything but 0 ends it and is returned. The batch is cleared afterwards. */
typedef int extract_visit(void *context, struct batch *batch);

/* The batch is the caller's, for its limit of memory. Damage is noted, as by every question. */
int store_extract(struct store *store, const struct store_question *question,
		  const struct extract_options *options, struct batch *batch, extract_visit *visit,
		  void *context);

/*
 * The same as one sealed span file, with all names. folder: where it is made, which is not there
 * yet and is the caller's to remove; the file's path leaves through path. -ENODATA when nothing is
 * selected, -EFBIG when it is too much for one file, -ENOSPC, -EIO.
 */
int store_export(struct store *store, const struct store_question *question, const char *folder,
		 char *path, size_t path_size);

/*
 * A store of one sealed span file of anybody's, for questions only. All of it is checked first,
 * which reads it; what is wrong is said in reterr: -EBADMSG for what is none or damaged,
 * -EPROTONOSUPPORT for a later version, -EBUSY for a file that a store still writes.
 */
enum { STORE_FILE_ERROR_SIZE = 200 };
int store_open_file(const char *path, struct store **ret,
		    char reterr[static STORE_FILE_ERROR_SIZE]);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/scrub.h"

/*
 * The files of a store that is not open in this process, one by one, for the tools: nothing is set
 * aside, dropped or sealed.
 */
struct store_file {
	const char *name;
	uint64_t bytes; /* on disk, logs included */
	bool is_sealed; /* never written again: may be read beside the program that runs */
	bool is_late;
	int64_t first_ms, end_ms; /* of what is in it; 0: nothing */
	uint64_t samples;
	int err;		    /* why it can't be used: 0, or negative */
	char what[SCRUB_TEXT_SIZE]; /* in words; "" when err is 0 */
};

enum inspect_depth {
	INSPECT_SUMMARY,
	INSPECT_ALL, /* reads all of it */
};

/* Anything but 0 ends it and is returned. */
typedef int store_file_visit(void *context, const struct store_file *file);

/*
 * Visits the span files of a data folder, oldest name first. With is_running files that are not
 * sealed are visited by name and size alone, since they belong to that program.
 */
int store_inspect(const char *folder, bool is_running, enum inspect_depth depth,
		  store_file_visit *visit, void *context);

/* Whether a file is one that is never written again. -ENOENT, or another negative errno. */
int store_file_is_sealed(const char *path, bool *ret);

/* Keeps programs out for as long as the descriptor is open: -EBUSY when one is in, -ENOENT. */
int store_keep_out(const char *folder, int *ret_fd);

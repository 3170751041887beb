/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/identity.h"

/*
 * Opened files whose lines may be asked for: a program may be gone, replaced or out of reach by the
 * time somebody looks at its profile. What was not used for longest gives way. One lock of the
 * caller's around all calls.
 */
enum {
	/* Descriptors, and room on the disk where a file was deleted. */
	FILE_KEEP_COUNT_MAX = 64,
};

struct file_keep {
	struct kept_file {
		struct identity identity;
		int fd;
		uint64_t used; /* the higher, the later */
	} files[FILE_KEEP_COUNT_MAX];
	unsigned count;
	uint64_t clock;
};

/* Takes the descriptor. */
void file_keep_add(struct file_keep *keep, const struct identity *identity, int fd);

/* A descriptor of the caller's own: -ENOENT. */
int file_keep_get(struct file_keep *keep, const struct identity *identity, int *ret_fd);

/* It turned out to be of no use. */
void file_keep_drop(struct file_keep *keep, const struct identity *identity);

void file_keep_done(struct file_keep *keep);

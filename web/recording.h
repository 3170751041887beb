/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/link.h"

/*
 * What a collector sent, kept in a file to be read again: windows, opened files and the kernel's
 * symbol list, each with its contents, compressed. It is how tests run without rights, and how a
 * profile is carried elsewhere.
 *
 * One thread.
 */
struct recording;

/* A new file; -EEXIST is not an error, what was there is replaced. */
int recording_create(const char *path, struct recording **ret);

/*
 * Adds a message of type LINK_HELLO, LINK_WINDOW, LINK_FILE, LINK_KERNEL or LINK_JIT; others are
 * passed over. Reads what its descriptors hold from their start and leaves them open; files above
 * RECORDED_FILE_SIZE_MAX are recorded as not there (-EFBIG).
 */
int recording_add(struct recording *recording, const struct link_message *message);

int recording_open(const char *path, struct recording **ret);

/*
 * The next message; its descriptors are sealed memory. -ENODATA at the end, -EBADMSG for a file
 * that is damaged or no recording. To be given back with link_message_done().
 */
int recording_next(struct recording *recording, struct link_message *ret);

struct recording *recording_close(struct recording *recording);

enum { RECORDED_FILE_SIZE_MAX = 64 << 20 };

DEFINE_CLEANUP(struct recording *, recording, recording_close)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/catalog.h"
#include "store/columns.h"

/*
 * Texts and label sets of a file that is written once: thousands in a frame, each as its difference
 * from the one before. A host whose processes come and go has two texts and a label set for each:
 * as rows they were a twentieth of a compact span, and are a three-hundredth.
 */

/* All of both, within the caller's transaction. */
int word_frames_write(const struct catalog *catalog, struct codec *codec, struct sqlite3 *database);

/* Adds what the file has of them, if any, to a catalog that is empty. -EBADMSG for damage. */
int word_frames_read(struct catalog *catalog, struct sqlite3 *database);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"

struct store;

/*
 * A thread that reads the store's sealed files through, one every ten minutes until each was read,
 * and again after a month, when nothing else wants the CPU or the disk.
 */
struct scrubber;

int scrubber_start(struct store *store, struct scrubber **ret);

/* Ends it at once. Accepts NULL, returns NULL. */
struct scrubber *scrubber_stop(struct scrubber *scrubber);

DEFINE_CLEANUP(struct scrubber *, scrubber, scrubber_stop)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/batch.h"
#include "store/store.h"

/*
 * What a batch holds, asked as if it were in a store: for profiles that somebody only wants to look
 * at.
 */

/* The profile types of its series, in the order in which they came. */
int batch_types(const struct batch *batch, struct store_texts *ret);

/* Everything of one type. symbols may be NULL. -E2BIG beyond what a segment holds, -ENOMEM. */
int batch_flame(const struct batch *batch, struct symbols *symbols, struct str type,
		uint32_t node_count_max, struct flame *ret);

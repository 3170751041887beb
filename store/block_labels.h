/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/catalog.h"
#include "store/store.h"

/*
 * What a block says of its samples without being unpacked: their service and their type, and the
 * labels that follow from these.
 */
#define BLOCK_ANY_TYPE UINT32_MAX

/* Whether a block may hold something that is asked for, as far as its labels tell. */
bool block_may_match(const struct store_question *asked, const struct catalog *catalog,
		     uint32_t service, uint32_t type);

/* Whether they tell all: what may match then does. */
bool block_knows_enough(const struct store_question *asked);

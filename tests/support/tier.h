/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * How long a test may take: `make test` runs what a person waits for, `make test-long`
 * (HEARTH_LONG=1 in the environment) what a night has room for.
 */
bool tier_is_long(void);

/* The number in the environment variable, else the one of the tier. */
uint64_t tier_number(const char *variable, uint64_t usual, uint64_t when_long);

/* HEARTH_SEED, else one of the time; printed, so that a failure can be repeated. */
uint64_t tier_seed(void);

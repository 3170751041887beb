/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Counts and values that come from elsewhere: what is too much stays at the most there is,
 * which 30 days off the CPU of 3,000 threads come near to. */

static inline uint64_t saturated_sum(uint64_t a, uint64_t b)
{
	uint64_t sum = 0;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t saturated_product(uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

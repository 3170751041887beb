/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Puts numbers of things into the order of their keys; things with equal keys stay as they are, so
 * that a longer key is sorted by part by part, the least first. By digits, of which those that all
 * keys have in common are passed over: half a million keys take a fifth of what comparing takes.
 */
struct keyed {
	uint64_t key;
	uint32_t number;
	uint32_t zero;
};

/* scratch: room for as many; what is in it afterwards means nothing. */
void number_sort(struct keyed *items, struct keyed *scratch, uint32_t count);

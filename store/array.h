/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An array that grows by doubling: ARRAY(struct thing) things = { 0 }; its items may move whenever
 * room is made. Reserve first, then write items[count++]: what follows a reservation can't fail.
 */
#define ARRAY(type)                                                                                \
	struct {                                                                                   \
		type *items;                                                                       \
		uint32_t count;                                                                    \
		uint32_t capacity;                                                                 \
	}

void *array_reserve_items(void *items, uint32_t *capacity, uint32_t count, size_t more,
			  size_t size);

/* Makes room for so many more: 0 or -ENOMEM. */
#define array_reserve(array, more)                                                                 \
	({                                                                                         \
		__auto_type array_ = (array);                                                      \
		void *items_ = array_reserve_items(array_->items, &array_->capacity,               \
						   array_->count, (more), sizeof(*array_->items)); \
		if (items_)                                                                        \
			array_->items = items_;                                                    \
		items_ ? 0 : -ENOMEM;                                                              \
	})

#define array_done(array)                                                                          \
	({                                                                                         \
		__auto_type array_ = (array);                                                      \
		free(array_->items);                                                               \
		array_->items = NULL;                                                              \
		array_->count = array_->capacity = 0;                                              \
	})

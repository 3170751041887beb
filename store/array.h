/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * An array that grows by doubling, a large one by half: ARRAY(struct thing) things = { 0 }; its
 * items may move whenever room is made. Reserve first, then write items[count++]: what follows a
 * reservation can't fail.
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
		size_t wanted_ = (more);                                                           \
		void *items_ = array_->items;                                                      \
		if (!items_ || wanted_ > array_->capacity - array_->count)                         \
			items_ = array_reserve_items(items_, &array_->capacity, array_->count,     \
						     wanted_, sizeof(*array_->items));             \
		if (items_)                                                                        \
			array_->items = items_;                                                    \
		items_ ? 0 : -ENOMEM;                                                              \
	})

/* Makes it so long, with zeros, unless it is longer: 0 or -ENOMEM. */
#define array_extend(array, wanted)                                                                \
	({                                                                                         \
		__auto_type longer_ = (array);                                                     \
		uint32_t length_ = (wanted);                                                       \
		uint32_t more_ = length_ > longer_->count ? length_ - longer_->count : 0;          \
		int extended_ = more_ ? array_reserve(longer_, more_) : 0;                         \
		if (!extended_ && more_) {                                                         \
			memset(longer_->items + longer_->count, 0,                                 \
			       more_ * sizeof(longer_->items[0]));                                 \
			longer_->count = length_;                                                  \
		}                                                                                  \
		extended_;                                                                         \
	})

/* Gives all of one array to another of the same type, which must be empty. */
#define array_move(to, from)                                                                       \
	({                                                                                         \
		__auto_type to_ = (to);                                                            \
		__auto_type from_ = (from);                                                        \
		assert(!to_->items && sizeof(*to_->items) == sizeof(*from_->items));               \
		to_->items = (void *)from_->items;                                                 \
		to_->count = from_->count;                                                         \
		to_->capacity = from_->capacity;                                                   \
		from_->items = NULL;                                                               \
		from_->count = from_->capacity = 0;                                                \
	})

/* Moves what is in it into what holds all of a thing that no longer changes (base/gather.h). */
#define array_gather(array, gather)                                                                \
	({                                                                                         \
		__auto_type array_ = (array);                                                      \
		array_->items = gather_move((gather), array_->items,                               \
					    array_->count * sizeof(array_->items[0]));             \
		array_->capacity = array_->count;                                                  \
	})

/* What it takes. */
#define array_memory(array) ((array)->capacity * sizeof((array)->items[0]))

#define array_done(array)                                                                          \
	({                                                                                         \
		__auto_type array_ = (array);                                                      \
		free(array_->items);                                                               \
		array_->items = NULL;                                                              \
		array_->count = array_->capacity = 0;                                              \
	})

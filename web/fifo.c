/* SPDX-License-Identifier: Apache-2.0 */
#include "web/fifo.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 1024 };

int fifo_add(struct fifo *fifo, const void *bytes, size_t size)
{
	assert(fifo->start + fifo->size <= fifo->capacity);
	if (size == 0)
		return 0;
	if (size > SIZE_MAX / 4 - fifo->size)
		return -ENOMEM;
	if (fifo->start + fifo->size + size > fifo->capacity && fifo->start > 0) {
		memmove(fifo->memory, fifo->memory + fifo->start, fifo->size);
		fifo->start = 0;
	}
	if (fifo->size + size > fifo->capacity) {
		size_t capacity = fifo->capacity ? fifo->capacity : CAPACITY_MIN;

		while (capacity < fifo->size + size)
			capacity *= 2;

		uint8_t *memory = realloc(fifo->memory, capacity);

		if (!memory)
			return -ENOMEM;
		fifo->memory = memory;
		fifo->capacity = capacity;
	}
	memcpy(fifo->memory + fifo->start + fifo->size, bytes, size);
	fifo->size += size;
	return 0;
}

void fifo_take(struct fifo *fifo, size_t size)
{
	assert(size <= fifo->size);
	fifo->start += size;
	fifo->size -= size;
	if (fifo->size == 0)
		fifo->start = 0;
}

void fifo_drop(struct fifo *fifo, size_t size)
{
	fifo_take(fifo, size);
	if (fifo->size == 0)
		fifo_done(fifo);
}

void fifo_done(struct fifo *fifo)
{
	free(fifo->memory);
	*fifo = (struct fifo){ .memory = NULL };
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that are added at one end and taken at the other. Memory is there only while it holds
 * something, or soon will, so that an idle connection costs none.
 */
struct fifo {
	uint8_t *memory;
	size_t start, size, capacity;
};

static inline const uint8_t *fifo_bytes(const struct fifo *fifo)
{
	return fifo->memory + fifo->start;
}

/* -ENOMEM leaves it as it was. */
int fifo_add(struct fifo *fifo, const void *bytes, size_t size);

/* Takes so many off the front, which must be there; the memory stays for what will follow. */
void fifo_take(struct fifo *fifo, size_t size);

/* The same, and lets the memory go with the last of them. */
void fifo_drop(struct fifo *fifo, size_t size);

/* Empties it. */
void fifo_done(struct fifo *fifo);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdint.h>

/*
 * How much memory all questions that run may take together, and how many run. Each says what it
 * will take, and waits in its turn until there is so much; one that wants more than all there is
 * waits to be alone, and takes what it takes. What works or lies beside them, and can't wait,
 * leaves them so much less; one of them always goes on.
 */
struct gate_limits {
	uint64_t size;	      /* of questions */
	uint64_t size_beside; /* of them and what is beside them */
	uint64_t size_least;  /* of questions, whatever is beside them */
	uint32_t count_max;
	/* What they or what is beside them take has changed; called with the lock held, so that the
	 * last call is right. NULL: nobody wants to know. */
	void (*changed)(void *context, uint64_t taken, uint64_t occupied);
	void *context;
};

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct gate_limits limits;
	uint32_t count; /* that are in; guarded by lock, as are these: */
	uint64_t taken;
	uint64_t occupied; /* beside them */
	uint64_t peak;
	uint64_t next_ticket;
	uint64_t serving; /* the ticket whose turn it is */
};

#define GATE_ANY_COUNT UINT32_MAX

void gate_init(struct gate *gate, const struct gate_limits *limits);
void gate_done(struct gate *gate);

/* What was taken leaves through ret, for gate_leave(). -ETIMEDOUT; a deadline of 0 is none. */
int gate_enter(struct gate *gate, uint64_t bytes, uint64_t deadline_monotonic_ns, uint64_t *ret);
void gate_leave(struct gate *gate, uint64_t taken);

/* By what works or lies beside questions, for a while. */
void gate_occupy(struct gate *gate, uint64_t bytes);
void gate_vacate(struct gate *gate, uint64_t bytes);

/* What questions take now, and took at most since the start; and what is beside them. */
void gate_figures(struct gate *gate, uint64_t *ret_taken, uint64_t *ret_peak);
uint64_t gate_occupied(struct gate *gate);

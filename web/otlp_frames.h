/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/batch.h"
#include "web/otlp_reader.h"

/*
 * Stacks of a request's tables as stacks of a batch. Frames that bring names keep them; others lie
 * in their file, by its build id, at the offset there, so that symbols name them now or later.
 *
 * A location of a table that all profiles share is looked at once, when a stack first names it, and
 * appended. Of tables that profiles bring, what is new is added together, since each search in the
 * batch waits for memory.
 */
struct otlp_frames;

int otlp_frames_new(struct batch *batch, struct otlp_frames **ret);
struct otlp_frames *otlp_frames_free(struct otlp_frames *frames);

/* The batch was cleared. */
void otlp_frames_clear(struct otlp_frames *frames);

/* What it takes beside the batch. */
size_t otlp_frames_memory(const struct otlp_frames *frames);

/*
 * Of each profile: begin, then expect all stacks that will be asked for, then ask for them.
 * A number of the batch, or what its functions fail with.
 */
int otlp_frames_begin(struct otlp_frames *frames, const struct otlp_profile *profile);
int otlp_frames_expect(struct otlp_frames *frames, struct otlp_range stack);
/* number: of a stack that all profiles share, as samples have it. */
int64_t otlp_frames_find(struct otlp_frames *frames, struct otlp_range stack, uint32_t number);

DEFINE_CLEANUP(struct otlp_frames *, otlp_frames, otlp_frames_free)

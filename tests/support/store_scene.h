/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/batch.h"
#include "store/store.h"

/*
 * A store in a folder of its own, what was put into it, and what was acknowledged: for tests that
 * do bad things to it. Each sample is worth 1, so that totals are counts of samples.
 */
struct store_scene {
	char folder[128];
	struct store_options options;
	struct store *store;
	struct batch *batch;
	uint64_t seed;	   /* of the stacks */
	uint64_t sequence; /* of the one source, 7 */
	uint64_t appended; /* samples taken in … */
	uint64_t pending;  /* … of which these are not acknowledged yet */
};

enum { STORE_SCENE_SOURCE = 7 };

/* In a new folder below this one; options.folder is set. The store is not open yet. */
void store_scene_init(struct store_scene *scene, const char *below);

/* Closes the store and removes the folder. */
void store_scene_done(struct store_scene *scene);

int store_scene_open(struct store_scene *scene);

/* A window of a second with so many samples, of four services and ever new stacks. */
int store_scene_append(struct store_scene *scene, int64_t start_ms, uint32_t samples);

int store_scene_commit(struct store_scene *scene);

/* Samples from … to, as a question counts them; a negative errno. */
int64_t store_scene_count(struct store_scene *scene, int64_t from_ms, int64_t to_ms);

/* The same of a flame graph's root, which has what its samples are worth together. */
int64_t store_scene_flame_count(struct store_scene *scene, int64_t from_ms, int64_t to_ms);

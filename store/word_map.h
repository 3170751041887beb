/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "store/catalog.h"

/*
 * Words of one file in another's: each that is asked for gets its number there, new or old. All
 * give a number, -EBADMSG for one that the first file does not have, -E2BIG when the second is
 * full, or -ENOMEM.
 */
struct word_map {
	struct catalog from, to;
	uint32_t *numbers[CATALOG_KIND_COUNT]; /* by old number: the new one, + 1 */
};

/* Both catalogs are empty then and the caller's to fill, from first; start comes after that. */
int word_map_init(struct word_map *map);
int word_map_start(struct word_map *map);
void word_map_done(struct word_map *map);

/* Nothing but texts of the first file is asked for from here on: what it has else, and its numbers,
 * are given back. */
void word_map_keep_texts(struct word_map *map);

int64_t word_map_text(struct word_map *map, uint32_t text);
int64_t word_map_labels(struct word_map *map, uint32_t labels);
int64_t word_map_series(struct word_map *map, uint32_t series);
int64_t word_map_build(struct word_map *map, uint32_t build);
int64_t word_map_name(struct word_map *map, uint64_t name);

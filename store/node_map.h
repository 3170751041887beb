/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Some of a tree's nodes, and their numbers among themselves: for those who read a part of a tree
 * that many segments share, most of whose nodes their part never had. A bit a node, and a number
 * for 64 of them.
 */
struct node_map {
	uint64_t *words;
	uint32_t *ranks; /* how many come before each word; since node_map_number() */
	uint32_t node_count;
};

int node_map_init(struct node_map *map, uint32_t node_count);
void node_map_done(struct node_map *map);

static inline void node_map_cleanup(struct node_map *map)
{
	node_map_done(map);
}

static inline void node_map_add(struct node_map *map, uint32_t node)
{
	map->words[node / 64] |= UINT64_C(1) << node % 64;
}

static inline bool node_map_has(const struct node_map *map, uint32_t node)
{
	return node < map->node_count && (map->words[node / 64] >> node % 64 & 1);
}

/* Whether it has any from first on, before end. */
bool node_map_has_any(const struct node_map *map, uint32_t first, uint32_t end);

/* No more are added. */
void node_map_number(struct node_map *map);

/* What a node became; false when it is none of them. */
static inline bool node_map_find(const struct node_map *map, uint32_t *node)
{
	uint64_t before;

	if (!node_map_has(map, *node))
		return false;
	before = map->words[*node / 64] & ((UINT64_C(1) << *node % 64) - 1);
	*node = map->ranks[*node / 64] + (uint32_t)__builtin_popcountll(before);
	return true;
}

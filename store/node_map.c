/* SPDX-License-Identifier: Apache-2.0 */
#include "store/node_map.h"

#include <errno.h>
#include <stdlib.h>

int node_map_init(struct node_map *map, uint32_t node_count)
{
	size_t word_count = (size_t)node_count / 64 + 1;

	*map = (struct node_map){ .words = calloc(word_count, sizeof(map->words[0])),
				  .ranks = calloc(word_count, sizeof(map->ranks[0])),
				  .node_count = node_count };
	if (map->words && map->ranks)
		return 0;
	node_map_done(map);
	return -ENOMEM;
}

void node_map_done(struct node_map *map)
{
	free(map->words);
	free(map->ranks);
	*map = (struct node_map){ 0 };
}

bool node_map_has_any(const struct node_map *map, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end;) {
		uint64_t left = map->words[i / 64] >> i % 64;

		if (left)
			return i + (uint32_t)__builtin_ctzll(left) < end;
		i += 64 - i % 64;
	}
	return false;
}

void node_map_number(struct node_map *map)
{
	uint32_t rank = 0;

	for (size_t i = 0; i <= map->node_count / 64; i++) {
		map->ranks[i] = rank;
		rank += (uint32_t)__builtin_popcountll(map->words[i]);
	}
}

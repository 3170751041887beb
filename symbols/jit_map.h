/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"

/*
 * What a process's own compiler made, and where it lay when: names of ranges of addresses, each
 * since a time. Compilers reuse addresses; a question names the time of its sample. One thread at a
 * time.
 */
struct jit_map;

enum {
	/* Of one process, what was replaced included: V8 running a large service has 50,000. */
	JIT_MAP_RANGE_COUNT_MAX = 256 << 10,
	JIT_MAP_NAMES_SIZE_MAX = 32 << 20,
	/* A longer name is cut. */
	JIT_NAME_SIZE_MAX = 1024,
	/* Ranges looked at for one address; they lie inside one another when code was replaced. */
	JIT_MAP_STEP_COUNT_MAX = 512,
};

int jit_map_new(struct jit_map **ret);
struct jit_map *jit_map_free(struct jit_map *map);

/*
 * From since_ns on (since boot) this range is called so; what was there before is so no longer.
 * Empty ranges are left out. -EFBIG beyond a limit above, -ENOMEM.
 */
int jit_map_add(struct jit_map *map, uint64_t start, uint64_t size, uint64_t since_ns,
		struct str name);

/* All that is known ended then. */
void jit_map_end(struct jit_map *map, uint64_t at_ns);

/*
 * What lay at this address at this time; false when nothing is known to. Of several the one that
 * was added last. The name lives until the map is freed.
 */
bool jit_map_find(struct jit_map *map, uint64_t address, uint64_t at_ns, struct str *ret_name);

/*
 * What lay at an address all the time from the first to the last. A name that is known only of a
 * part of it is none: who was there before or after is not known (yet).
 */
enum jit_meaning {
	JIT_UNKNOWN,
	JIT_ONE,
	JIT_SEVERAL, /* it can't be told */
};
enum jit_meaning jit_map_meaning(struct jit_map *map, uint64_t address, uint64_t first_ns,
				 uint64_t last_ns, struct str *ret_name);

/* Whether anything was added since from_ns, up to to_ns: one address may have meant two things. */
bool jit_map_changes(const struct jit_map *map, uint64_t from_ns, uint64_t to_ns);

size_t jit_map_count(const struct jit_map *map);

/*
 * A name as V8 writes it, "JS:*work /srv/app.js:10:20", into what it names and where that is in the
 * source. Without such an end file is empty and line 0.
 */
struct jit_name {
	struct str function;
	struct str file;
	uint32_t line;
};
struct jit_name jit_name_from(struct str text);

DEFINE_CLEANUP(struct jit_map *, jit_map, jit_map_free)

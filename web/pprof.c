/* SPDX-License-Identifier: Apache-2.0 */
#include "web/pprof.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/table.h"
#include "store/store.h"

/* The texts of a type that stand in the table behind "" and the flame's names. */
enum {
	TEXT_SAMPLE_TYPE,
	TEXT_SAMPLE_UNIT,
	TEXT_PERIOD_TYPE,
	TEXT_PERIOD_UNIT,
	TEXT_OTHER,
	TEXT_COUNT,
};

struct making {
	const struct flame *flame;
	struct arena *arena;
	Pprof__Profile *profile;
	struct table functions; /* of profile->function, by function_keys */
	struct table locations; /* of profile->location, by location_keys */
	struct function_key {
		uint32_t name;
		uint32_t module;
		uint32_t file;
	} * function_keys;
	struct location_key {
		uint32_t function; /* its id */
		uint32_t line;
		uint32_t holder; /* id of the location that it was inlined into; 0: it was not */
	} * location_keys;
	uint64_t *location_of; /* each node's */
	uint64_t *mapping_of;  /* each name's, as a module; 0: none yet */
};

static bool function_is(const void *context, uint32_t number, const void *key)
{
	return memcmp(&((const struct making *)context)->function_keys[number], key,
		      sizeof(struct function_key)) == 0;
}

static bool location_is(const void *context, uint32_t number, const void *key)
{
	return memcmp(&((const struct making *)context)->location_keys[number], key,
		      sizeof(struct location_key)) == 0;
}

/* ---- tables -----------------------------------------------------------------------------------
 */

/* The flame's names keep their numbers, since the first of them is "". */
static int64_t own_text(const struct making *making, int which)
{
	return (int64_t)making->flame->name_count + which;
}

static bool add_texts(struct making *making, const struct profile_type *type)
{
	const struct flame *flame = making->flame;
	const struct str own[TEXT_COUNT] = {
		[TEXT_SAMPLE_TYPE] = type->parts[PROFILE_TYPE_SAMPLE_TYPE],
		[TEXT_SAMPLE_UNIT] = type->parts[PROFILE_TYPE_SAMPLE_UNIT],
		[TEXT_PERIOD_TYPE] = type->parts[PROFILE_TYPE_PERIOD_TYPE],
		[TEXT_PERIOD_UNIT] = type->parts[PROFILE_TYPE_PERIOD_UNIT],
		[TEXT_OTHER] = STR("other"),
	};
	size_t count = (size_t)flame->name_count + TEXT_COUNT;
	char **texts = arena_take(making->arena, count, sizeof(texts[0]));

	for (size_t i = 0; texts && i < count; i++)
		texts[i] = arena_text(making->arena, i < flame->name_count
							     ? flame->names[i]
							     : own[i - flame->name_count]);
	making->profile->string_table = texts;
	making->profile->n_string_table = count;
	return !making->arena->error;
}

static Pprof__ValueType *make_value_type(struct making *making, int type, int unit)
{
	Pprof__ValueType *value = arena_take(making->arena, 1, sizeof(*value));

	if (value) {
		pprof__value_type__init(value);
		value->type = own_text(making, type);
		value->unit = own_text(making, unit);
	}
	return value;
}

/* The mapping's number; 0 for a function without a module. */
static uint64_t find_mapping(struct making *making, uint32_t module)
{
	Pprof__Profile *profile = making->profile;
	Pprof__Mapping *mapping = NULL;

	if (module == 0 || making->mapping_of[module])
		return making->mapping_of[module];
	mapping = arena_take(making->arena, 1, sizeof(*mapping));
	if (!mapping)
		return 0;
	pprof__mapping__init(mapping);
	mapping->id = profile->n_mapping + 1;
	mapping->filename = module;
	mapping->has_functions = true;
	profile->mapping[profile->n_mapping++] = mapping;
	making->mapping_of[module] = mapping->id;
	return mapping->id;
}

static bool add_function(struct making *making, const struct function_key *key)
{
	Pprof__Profile *profile = making->profile;
	Pprof__Function *function = arena_take(making->arena, 1, sizeof(*function));

	if (!function)
		return false;
	pprof__function__init(function);
	function->id = profile->n_function + 1;
	function->name = key->name;
	function->system_name = key->name;
	function->filename = key->file;
	profile->function[profile->n_function++] = function;
	return true;
}

/* What the mapping of a location may say of itself. */
static void tell_of(struct making *making, const Pprof__Location *location)
{
	uint64_t function = location->line[0]->function_id;
	Pprof__Profile *profile = making->profile;

	if (location->mapping_id == 0)
		return;

	Pprof__Mapping *mapping = profile->mapping[location->mapping_id - 1];

	mapping->has_filenames |= profile->function[function - 1]->filename != 0;
	mapping->has_line_numbers |= location->line[0]->line != 0;
	mapping->has_inline_frames |= location->n_line > 1;
}

/* What was inlined stands before what it was inlined into, and so on outwards. */
static bool add_location(struct making *making, const struct location_key *key, uint32_t module)
{
	Pprof__Profile *profile = making->profile;
	Pprof__Location *location = arena_take(making->arena, 1, sizeof(*location));
	Pprof__Line *line = arena_take(making->arena, 1, sizeof(*line));
	const Pprof__Location *holder = key->holder ? profile->location[key->holder - 1] : NULL;
	size_t outer_count = holder ? holder->n_line : 0;
	Pprof__Line **lines = arena_take(making->arena, 1 + outer_count, sizeof(lines[0]));

	if (!location || !line || !lines)
		return false;
	pprof__line__init(line);
	line->function_id = key->function;
	line->line = key->line;
	lines[0] = line;
	if (holder)
		memcpy(&lines[1], holder->line, outer_count * sizeof(lines[0]));
	pprof__location__init(location);
	location->id = profile->n_location + 1;
	location->mapping_id = find_mapping(making, module);
	location->line = lines;
	location->n_line = 1 + outer_count;
	profile->location[profile->n_location++] = location;
	tell_of(making, location);
	return !making->arena->error;
}

/* The place of a key in its table, made when it is new; TABLE_NONE without memory. */
static uint32_t enter(struct making *making, struct table *table, const void *key, size_t size,
		      table_equal *equal, bool *ret_is_new)
{
	uint64_t hash = table_hash_bytes(key, size, 0);
	uint32_t found = table_find(table, hash, key, equal, making);

	*ret_is_new = found == TABLE_NONE;
	if (!*ret_is_new)
		return found;
	found = table->count;
	if (table_add(table, hash)) {
		making->arena->error = -ENOMEM;
		return TABLE_NONE;
	}
	return found;
}

/* Whether a node's code stands within its parent's. */
static bool is_held(const struct flame *flame, uint32_t number)
{
	const struct flame_node *node = &flame->nodes[number];

	return node->inlined && node->parent > 0 &&
	       flame->nodes[node->parent].module == node->module;
}

static bool find_location(struct making *making, uint32_t number)
{
	const struct flame_node *node = &making->flame->nodes[number];
	struct function_key function = { .name = node->kind == FLAME_MORE
							 ? (uint32_t)own_text(making, TEXT_OTHER)
							 : node->name,
					 .module = node->module,
					 .file = node->file };
	bool is_new;
	uint32_t place = enter(making, &making->functions, &function, sizeof(function), function_is,
			       &is_new);

	if (place == TABLE_NONE)
		return false;
	making->function_keys[place] = function;
	if (is_new && !add_function(making, &function))
		return false;

	struct location_key location = { .function = place + 1, .line = node->line };

	if (is_held(making->flame, number))
		location.holder = (uint32_t)making->location_of[node->parent];

	place = enter(making, &making->locations, &location, sizeof(location), location_is,
		      &is_new);
	if (place == TABLE_NONE)
		return false;
	making->location_keys[place] = location;
	if (is_new && !add_location(making, &location, node->module))
		return false;
	making->location_of[number] = place + 1;
	return true;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

static bool add_sample(struct making *making, uint32_t number)
{
	const struct flame *flame = making->flame;
	const struct flame_node *nodes = flame->nodes;
	Pprof__Sample *sample = arena_take(making->arena, 1, sizeof(*sample));
	size_t depth = 0;

	for (uint32_t i = number; i > 0; i = nodes[i].parent)
		depth++;

	uint64_t *locations = arena_take(making->arena, depth, sizeof(locations[0]));
	int64_t *value = arena_take(making->arena, 1, sizeof(*value));

	if (!sample || !locations || !value)
		return false;
	pprof__sample__init(sample);
	for (uint32_t i = number; i > 0; i = nodes[i].parent) {
		locations[sample->n_location_id++] = making->location_of[i];
		/* Its location has them as well. */
		while (is_held(flame, i))
			i = nodes[i].parent;
	}
	*value = nodes[number].self <= INT64_MAX ? (int64_t)nodes[number].self : INT64_MAX;
	sample->location_id = locations;
	sample->value = value;
	sample->n_value = 1;
	making->profile->sample[making->profile->n_sample++] = sample;
	return true;
}

static bool take_tables(struct making *making)
{
	struct arena *arena = making->arena;
	Pprof__Profile *profile = making->profile;
	size_t node_count = making->flame->node_count;

	making->function_keys = arena_take(arena, node_count, sizeof(making->function_keys[0]));
	making->location_keys = arena_take(arena, node_count, sizeof(making->location_keys[0]));
	making->location_of = arena_take(arena, node_count, sizeof(making->location_of[0]));
	making->mapping_of =
		arena_take(arena, making->flame->name_count, sizeof(making->mapping_of[0]));
	profile->sample = arena_take(arena, node_count, sizeof(profile->sample[0]));
	profile->location = arena_take(arena, node_count, sizeof(profile->location[0]));
	profile->function = arena_take(arena, node_count, sizeof(profile->function[0]));
	profile->mapping =
		arena_take(arena, making->flame->name_count, sizeof(profile->mapping[0]));
	profile->sample_type = arena_take(arena, 1, sizeof(profile->sample_type[0]));
	return !arena->error;
}

static bool fill(struct making *making, const struct pprof_options *options)
{
	Pprof__Profile *profile = making->profile;
	const struct flame *flame = making->flame;

	if (!take_tables(making) || !add_texts(making, options->type))
		return false;
	/* Parents stand before their children. */
	for (uint32_t i = 0; i < flame->node_count; i++) {
		assert(flame->nodes[i].kind != FLAME_GROUP);
		if ((i > 0 && !find_location(making, i)) ||
		    (flame->nodes[i].self > 0 && !add_sample(making, i)))
			return false;
	}
	profile->sample_type[0] = make_value_type(making, TEXT_SAMPLE_TYPE, TEXT_SAMPLE_UNIT);
	profile->n_sample_type = 1;
	profile->default_sample_type = own_text(making, TEXT_SAMPLE_TYPE);
	profile->period_type = make_value_type(making, TEXT_PERIOD_TYPE, TEXT_PERIOD_UNIT);
	profile->period = options->period;
	profile->time_nanos = options->time_ns;
	profile->duration_nanos = options->duration_ns;
	return !making->arena->error;
}

Pprof__Profile *pprof_make(const struct flame *flame, const struct pprof_options *options,
			   struct arena *arena)
{
	struct making making = { .flame = flame,
				 .arena = arena,
				 .profile = arena_take(arena, 1, sizeof(Pprof__Profile)) };
	bool is_made = making.profile != NULL;

	if (!is_made)
		return NULL;
	pprof__profile__init(making.profile);
	if (flame->nodes[0].total == 0)
		return making.profile;
	table_init(&making.functions, flame->node_count + 1);
	table_init(&making.locations, flame->node_count + 1);
	is_made = fill(&making, options);
	table_done(&making.functions);
	table_done(&making.locations);
	return is_made ? making.profile : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/pprof.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/table.h"
#include "store/batch.h"
#include "store/store.h"
#include "web/jfr_names.h"

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
	const struct pprof_options *options;
	struct table functions; /* of profile->function, by all that they say */
	struct table locations; /* of profile->location, likewise */
	struct table samples;	/* of profile->sample, by their locations */
	uint32_t *function_of;	/* each node's, its id */
	uint64_t *location_of;	/* of what runs in each node; 0: not asked for yet */
	uint32_t *outermost;	/* the node that stands for that location's function itself */
	uint64_t *mapping_of;	/* each binary's; 0: none yet */
	Pprof__Line **lines;	/* of the location that is looked for */
	uint64_t *stack;	/* of the sample that is looked for */
};

/* What tells functions apart: numbers of texts, and a line. */
struct function_key {
	uint32_t name, system_name, file, start_line;
};

static bool function_is(const void *context, uint32_t number, const void *key)
{
	const Pprof__Function *function =
		((const struct making *)context)->profile->function[number];
	const struct function_key *wanted = key;

	return function->name == wanted->name && function->system_name == wanted->system_name &&
	       function->filename == wanted->file && function->start_line == wanted->start_line;
}

/* What tells locations apart. */
struct location_key {
	uint64_t mapping, address;
	Pprof__Line **lines;
	size_t count;
};

static bool location_is(const void *context, uint32_t number, const void *key)
{
	const struct making *making = context;
	const Pprof__Location *location = making->profile->location[number];
	const struct location_key *wanted = key;
	bool is_same = location->n_line == wanted->count &&
		       location->mapping_id == wanted->mapping &&
		       location->address == wanted->address;

	for (size_t i = 0; is_same && i < wanted->count; i++)
		is_same = location->line[i]->function_id == wanted->lines[i]->function_id &&
			  location->line[i]->line == wanted->lines[i]->line;
	return is_same;
}

struct stack_key {
	const uint64_t *locations;
	size_t count;
};

static bool sample_is(const void *context, uint32_t number, const void *key)
{
	const Pprof__Sample *sample = ((const struct making *)context)->profile->sample[number];
	const struct stack_key *wanted = key;

	return sample->n_location_id == wanted->count &&
	       memcmp(sample->location_id, wanted->locations,
		      wanted->count * sizeof(wanted->locations[0])) == 0;
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

static const struct flame_place *place_of(const struct making *making, uint32_t node)
{
	uint32_t place = making->flame->nodes[node].place;

	assert(place < making->flame->place_count);
	return &making->flame->places[place];
}

/* A runtime's own code lies in no file, and is known by no other name than its own. */
static bool is_of_runtime(const struct making *making, uint32_t binary)
{
	return str_equal(making->flame->names[making->flame->binaries[binary].path],
			 STR(JFR_JAVA_MODULE));
}

/* The mapping's id; 0 for none, and without memory. */
static uint64_t find_mapping(struct making *making, uint32_t number)
{
	const struct flame_binary *binary = &making->flame->binaries[number];
	Pprof__Profile *profile = making->profile;
	Pprof__Mapping *mapping;

	if (number == 0 || making->mapping_of[number])
		return making->mapping_of[number];
	mapping = arena_take(making->arena, 1, sizeof(*mapping));
	if (!mapping)
		return 0;
	pprof__mapping__init(mapping);
	mapping->id = profile->n_mapping + 1;
	mapping->memory_start = binary->start;
	mapping->memory_limit = binary->limit;
	mapping->file_offset = binary->offset;
	mapping->filename = is_of_runtime(making, number) ? 0 : binary->path;
	mapping->build_id = binary->build_id;
	mapping->has_functions =
		!(binary->flags & BINARY_FLAGS_TOLD) || binary->flags & BINARY_HAS_FUNCTIONS;
	mapping->has_filenames = binary->flags & BINARY_HAS_FILENAMES;
	mapping->has_line_numbers = binary->flags & BINARY_HAS_LINES;
	mapping->has_inline_frames = binary->flags & BINARY_HAS_INLINES;
	profile->mapping[profile->n_mapping++] = mapping;
	making->mapping_of[number] = mapping->id;
	return mapping->id;
}

/* The place of a key in its table, made when it is new; TABLE_NONE without memory. */
static uint32_t enter(struct making *making, struct table *table, uint64_t hash, const void *key,
		      table_equal *equal, bool *ret_is_new)
{
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

static bool add_function(struct making *making, const struct function_key *key)
{
	Pprof__Profile *profile = making->profile;
	Pprof__Function *function = arena_take(making->arena, 1, sizeof(*function));

	if (!function)
		return false;
	pprof__function__init(function);
	function->id = profile->n_function + 1;
	function->name = key->name;
	function->system_name = key->system_name;
	function->filename = key->file;
	function->start_line = key->start_line;
	profile->function[profile->n_function++] = function;
	return true;
}

static uint32_t system_name_of(const struct making *making, const struct flame_place *place,
			       uint32_t name)
{
	if (is_of_runtime(making, place->binary))
		return 0;
	return place->system_name == FLAME_OWN_NAME ? name : place->system_name;
}

static bool find_function(struct making *making, uint32_t number)
{
	const struct flame_node *node = &making->flame->nodes[number];
	const struct flame_place *place = place_of(making, number);
	uint32_t name =
		node->kind == FLAME_MORE ? (uint32_t)own_text(making, TEXT_OTHER) : node->name;
	struct function_key key = {
		.name = name,
		.system_name = system_name_of(making, place, name),
		.file = node->file,
		.start_line = place->start_line,
	};
	bool is_new;
	uint32_t found = enter(making, &making->functions, table_hash_bytes(&key, sizeof(key), 0),
			       &key, function_is, &is_new);

	if (found == TABLE_NONE)
		return false;
	making->function_of[number] = found + 1;
	return !is_new || add_function(making, &key);
}

/* ---- locations --------------------------------------------------------------------------------
 */

/* What the mapping of a location may say of itself, if nobody else did. */
static void tell_of(struct making *making, const Pprof__Location *location, uint32_t binary)
{
	Pprof__Profile *profile = making->profile;
	Pprof__Mapping *mapping;

	if (location->mapping_id == 0 || making->flame->binaries[binary].flags & BINARY_FLAGS_TOLD)
		return;
	mapping = profile->mapping[location->mapping_id - 1];
	if (mapping->filename == 0)
		return;
	mapping->has_inline_frames |= location->n_line > 1;
	for (size_t i = 0; i < location->n_line; i++) {
		uint64_t function = location->line[i]->function_id;

		mapping->has_filenames |= profile->function[function - 1]->filename != 0;
		mapping->has_line_numbers |= location->line[i]->line != 0;
	}
}

static bool add_location(struct making *making, const struct location_key *key)
{
	Pprof__Profile *profile = making->profile;
	Pprof__Location *location = arena_take(making->arena, 1, sizeof(*location));
	Pprof__Line *lines = arena_take(making->arena, key->count, sizeof(*lines));
	Pprof__Line **list = arena_take(making->arena, key->count, sizeof(list[0]));

	if (!location || !lines || !list)
		return false;
	for (size_t i = 0; i < key->count; i++) {
		lines[i] = *key->lines[i];
		list[i] = &lines[i];
	}
	pprof__location__init(location);
	location->id = profile->n_location + 1;
	location->mapping_id = key->mapping;
	location->address = key->address;
	location->line = list;
	location->n_line = key->count;
	profile->location[profile->n_location++] = location;
	return true;
}

/* At this place, of so many of the lines, innermost first; 0 without memory. */
static uint64_t enter_location(struct making *making, const struct flame_place *place, size_t count)
{
	struct location_key key = { .mapping = find_mapping(making, place->binary),
				    .address = place->address,
				    .lines = making->lines,
				    .count = count };
	const uint64_t where[] = { key.mapping, key.address };
	uint64_t hash = table_hash_bytes(where, sizeof(where), count);
	bool is_new;

	for (size_t i = 0; i < count; i++) {
		const uint64_t words[] = { key.lines[i]->function_id,
					   (uint64_t)key.lines[i]->line };

		hash = table_hash_bytes(words, sizeof(words), hash);
	}

	uint32_t found = enter(making, &making->locations, hash, &key, location_is, &is_new);

	if (found == TABLE_NONE || making->arena->error || (is_new && !add_location(making, &key)))
		return 0;
	if (is_new)
		tell_of(making, making->profile->location[found], place->binary);
	return found + 1;
}

/* Whether a node's function was put into that of its parent: what claims to stand in another
 * binary's code, or elsewhere in it, does not. Java's frames are a location each, as Pyroscope
 * makes them of recordings. */
static bool is_inlined(const struct making *making, uint32_t node)
{
	const struct flame_node *nodes = making->flame->nodes;
	uint32_t parent = nodes[node].parent;

	return nodes[node].inlined && parent > 0 &&
	       !is_of_runtime(making, place_of(making, node)->binary) &&
	       place_of(making, parent)->binary == place_of(making, node)->binary &&
	       place_of(making, parent)->address == place_of(making, node)->address;
}

/* A node's calls that were inlined are one location with the function that they were put into. */
static uint64_t find_location(struct making *making, uint32_t number, bool has_line)
{
	const struct flame_node *nodes = making->flame->nodes;
	const struct flame_place *place = place_of(making, number);
	uint32_t node = number;
	size_t count = 0;

	making->outermost[number] = number;
	if (place->is_bare)
		return enter_location(making, place, 0);
	for (;; node = nodes[node].parent) {
		Pprof__Line *line = making->lines[count++];

		pprof__line__init(line);
		line->function_id = making->function_of[node];
		line->line = count > 1 || has_line ? nodes[node].line : 0;
		if (!is_inlined(making, node))
			break;
	}
	making->outermost[number] = node;
	return enter_location(making, place, count);
}

/* ---- samples ----------------------------------------------------------------------------------
 */

/* The locations of a node's stack, the leaf first; how many, 0 after an error. */
static size_t find_stack(struct making *making, uint32_t number)
{
	const struct pprof_options *options = making->options;
	const struct flame_node *nodes = making->flame->nodes;
	size_t count = 0;

	for (uint32_t i = number; i > 0; i = nodes[making->outermost[i]].parent) {
		bool loses_line = count == 0 && options->has_no_leaf_lines;
		uint64_t location = loses_line ? 0 : making->location_of[i];

		if (!location)
			location = find_location(making, i, !loses_line);
		if (!location)
			return 0;
		if (!loses_line)
			making->location_of[i] = location;
		making->stack[count++] = location;
		if (count == options->kept_locations)
			break;
	}
	return count;
}

static bool add_sample(struct making *making, size_t count)
{
	Pprof__Sample *sample = arena_take(making->arena, 1, sizeof(*sample));
	uint64_t *locations = arena_take(making->arena, count, sizeof(locations[0]));
	int64_t *value = arena_take(making->arena, 1, sizeof(*value));

	if (!sample || !locations || !value)
		return false;
	pprof__sample__init(sample);
	memcpy(locations, making->stack, count * sizeof(locations[0]));
	sample->location_id = locations;
	sample->n_location_id = count;
	sample->value = value;
	sample->n_value = 1;
	making->profile->sample[making->profile->n_sample++] = sample;
	return true;
}

/* Stacks that have become equal are one sample. The root's own value has no stack. */
static bool add_value(struct making *making, uint32_t number)
{
	uint64_t self = making->flame->nodes[number].self;
	size_t count = find_stack(making, number);
	struct stack_key key = { .locations = making->stack, .count = count };
	bool is_new;

	if (count == 0 && number > 0)
		return false;

	uint32_t place = enter(making, &making->samples,
			       table_hash_bytes(key.locations, count * sizeof(uint64_t), 0), &key,
			       sample_is, &is_new);

	if (place == TABLE_NONE || (is_new && !add_sample(making, count)))
		return false;

	int64_t *value = making->profile->sample[place]->value;

	if (self > INT64_MAX || __builtin_add_overflow(*value, (int64_t)self, value))
		*value = INT64_MAX;
	return true;
}

static size_t find_depth(const struct flame *flame, uint32_t *depths)
{
	size_t deepest = 1;

	for (uint32_t i = 1; i < flame->node_count; i++) {
		depths[i] = depths[flame->nodes[i].parent] + 1;
		if (depths[i] > deepest)
			deepest = depths[i];
	}
	return deepest;
}

static bool take_scratch(struct making *making)
{
	struct arena *arena = making->arena;
	size_t node_count = making->flame->node_count;

	making->function_of = arena_take(arena, node_count, sizeof(making->function_of[0]));
	making->location_of = arena_take(arena, node_count, sizeof(making->location_of[0]));
	making->outermost = arena_take(arena, node_count, sizeof(making->outermost[0]));
	making->mapping_of =
		arena_take(arena, making->flame->binary_count, sizeof(making->mapping_of[0]));
	if (arena->error)
		return false;

	/* What is not used yet lends its room. */
	size_t depth = find_depth(making->flame, making->outermost);
	Pprof__Line *lines = arena_take(arena, depth + 1, sizeof(*lines));

	making->stack = arena_take(arena, depth + 1, sizeof(making->stack[0]));
	making->lines = arena_take(arena, depth + 1, sizeof(making->lines[0]));
	for (size_t i = 0; lines && making->lines && i <= depth; i++)
		making->lines[i] = &lines[i];
	return !arena->error;
}

static bool take_tables(struct making *making)
{
	struct arena *arena = making->arena;
	Pprof__Profile *profile = making->profile;
	/* A location more for each whose leaf has lost its line. */
	size_t node_count = 2 * (size_t)making->flame->node_count;

	profile->sample = arena_take(arena, node_count, sizeof(profile->sample[0]));
	profile->location = arena_take(arena, node_count, sizeof(profile->location[0]));
	profile->function = arena_take(arena, node_count, sizeof(profile->function[0]));
	profile->mapping =
		arena_take(arena, making->flame->binary_count, sizeof(profile->mapping[0]));
	profile->sample_type = arena_take(arena, 1, sizeof(profile->sample_type[0]));
	return !arena->error;
}

static bool fill(struct making *making, const struct pprof_options *options)
{
	Pprof__Profile *profile = making->profile;
	const struct flame *flame = making->flame;

	if (!take_scratch(making) || !take_tables(making) || !add_texts(making, options->type))
		return false;
	/* Parents stand before their children. */
	for (uint32_t i = 0; i < flame->node_count; i++) {
		assert(flame->nodes[i].kind != FLAME_GROUP);
		if ((i > 0 && !place_of(making, i)->is_bare && !find_function(making, i)) ||
		    (flame->nodes[i].self > 0 && !add_value(making, i)))
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
				 .options = options,
				 .arena = arena,
				 .profile = arena_take(arena, 1, sizeof(Pprof__Profile)) };
	bool is_made = making.profile != NULL;

	if (!is_made)
		return NULL;
	pprof__profile__init(making.profile);
	if (flame->nodes[0].total == 0)
		return making.profile;
	table_init(&making.functions, flame->node_count + 1);
	table_init(&making.locations, 2 * flame->node_count + 1);
	table_init(&making.samples, flame->node_count + 1);
	is_made = fill(&making, options);
	table_done(&making.functions);
	table_done(&making.locations);
	table_done(&making.samples);
	return is_made ? making.profile : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_frames.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LINE_COUNT_MAX = 256,	/* what a batch takes of one location */
	STACK_DEPTH_MAX = 4096, /* and of one stack */
	STACK_CACHE_SIZE = 8192,
	NAMED_CACHE_SIZE = 1024, /* a power of two; a kernel's busy functions are some hundred */
	TOGETHER = 32,		 /* locations that are added at once */
	NUMBER_NONE = UINT32_MAX,
	NUMBER_EXPECTED = UINT32_MAX - 1,
};

typedef ARRAY(uint32_t) number_list;

/* What a stack of these indices came to, where profiles have stacks of their own. */
struct cached_stack {
	uint64_t owner; /* the profile's number, from 1 */
	struct otlp_range range;
	uint32_t number;
};

/* What a location of one line came to: a function has as many as addresses in it were seen. */
struct cached_named {
	int64_t line;
	uint32_t function, mapping;
	bool is_kernel;
	bool is_there;
	uint32_t number;
};

struct otlp_frames {
	struct batch *batch;
	const struct otlp_profile *profile;

	/* Numbers in the batch of the tables' locations, and of their mappings' builds;
	 * NUMBER_NONE: not added yet. */
	uint64_t tables_serial;
	number_list locations;
	number_list builds;
	number_list shared; /* the same of the stacks that all profiles share */
	bool is_shared;

	/* Locations that are expected, and where they lie. */
	uint32_t expected[TOGETHER];
	struct batch_place places[TOGETHER];
	size_t expected_count;

	/* Never the same again, so that what is cached of others is not taken for this one's. */
	uint64_t profile_number;
	struct cached_stack *stacks;		     /* STACK_CACHE_SIZE; NULL: all are shared */
	struct cached_named named[NAMED_CACHE_SIZE]; /* of the tables */
};

int otlp_frames_new(struct batch *batch, struct otlp_frames **ret)
{
	struct otlp_frames *frames = calloc(1, sizeof(*frames));

	if (!frames)
		return -ENOMEM;
	frames->batch = batch;
	*ret = frames;
	return 0;
}

struct otlp_frames *otlp_frames_free(struct otlp_frames *frames)
{
	if (!frames)
		return NULL;
	array_done(&frames->locations);
	array_done(&frames->builds);
	array_done(&frames->shared);
	free(frames->stacks);
	free(frames);
	return NULL;
}

void otlp_frames_clear(struct otlp_frames *frames)
{
	frames->tables_serial = 0;
	frames->expected_count = 0;
}

size_t otlp_frames_memory(const struct otlp_frames *frames)
{
	return sizeof(*frames) + array_memory(&frames->locations) + array_memory(&frames->builds) +
	       array_memory(&frames->shared) +
	       (frames->stacks ? STACK_CACHE_SIZE * sizeof(frames->stacks[0]) : 0);
}

/* ---- one location ----------------------------------------------------------------------------
 */

/* Of a digit; 16 and more: it is none. */
static unsigned hex_value(char c)
{
	unsigned digit = (unsigned char)c - '0';
	unsigned letter = ((unsigned char)c | 0x20) - 'a';

	return digit < 10 ? digit : letter < 6 ? letter + 10 : 16;
}

/* A busy host names four hundred files in a MB. */
static bool parse_identity(struct str text, enum identity_kind kind, struct identity *ret)
{
	*ret = (struct identity){ 0 };
	if (text.size < 2 || text.size % 2 != 0 || text.size / 2 > IDENTITY_SIZE_MAX)
		return false;
	for (size_t i = 0; i < text.size; i += 2) {
		unsigned high = hex_value(text.text[i]), low = hex_value(text.text[i + 1]);

		if ((high | low) > 15) {
			*ret = (struct identity){ 0 };
			return false;
		}
		ret->bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	ret->kind = (uint8_t)kind;
	ret->size = (uint8_t)(text.size / 2);
	return true;
}

/* The best that it has: by each of them we know files, too. */
static struct identity identity_of(const struct otlp_mapping *mapping)
{
	struct identity identity;

	if (!parse_identity(mapping->gnu, IDENTITY_GNU_BUILD_ID, &identity) &&
	    !identity_of_go(mapping->go, &identity) &&
	    !parse_identity(mapping->htlhash, IDENTITY_HTLHASH, &identity))
		return (struct identity){ 0 };
	return identity;
}

static bool is_kernel(const struct otlp_frames *frames, const struct otlp_location *location)
{
	return str_equal(otlp_frame_type(frames->profile->tables, location), STR("kernel"));
}

/* Addresses are those of the file's symbols; the store keeps offsets in the file. */
static uint64_t file_offset(const struct otlp_mapping *mapping, uint64_t address)
{
	if (address < mapping->start || (mapping->limit > 0 && address >= mapping->limit))
		return address;
	return address - mapping->start + mapping->offset;
}

/* What stands for a frame of which nothing is known but perhaps its kind: "[jvm]". */
static int64_t add_nameless(struct otlp_frames *frames, struct str frame_type)
{
	char text[64] = "[unknown]";
	struct named_line line = { .function = STR("[unknown]") };

	if (frame_type.size > 0) {
		int size = snprintf(text, sizeof(text), "[%.*s]",
				    (int)(frame_type.size < 60 ? frame_type.size : 60),
				    frame_type.text);

		line.function = (struct str){ text, (size_t)size };
	}
	return batch_add_named_location(frames->batch, &line, 1);
}

/* The binary, as the last line of named ones tells it: "kernel", "kernel/ext4", a path. */
static struct str binary_of(const struct otlp_frames *frames, const struct otlp_location *location,
			    const struct otlp_mapping *mapping, char text[static 128])
{
	struct str name = mapping ? str_base_name(mapping->filename) : (struct str){ 0 };
	int size;

	if (!is_kernel(frames, location))
		return mapping ? mapping->filename : (struct str){ 0 };
	if (name.size == 0 || str_equal(name, STR("vmlinux")) || name.size > 100)
		return STR("kernel");
	size = snprintf(text, 128, "kernel/%.*s", STR_PRINT(name));
	return (struct str){ text, (size_t)size };
}

static int64_t add_named(struct otlp_frames *frames, const struct otlp_location *location,
			 const struct otlp_mapping *mapping)
{
	const struct otlp_tables *tables = frames->profile->tables;
	struct named_line lines[LINE_COUNT_MAX];
	uint32_t count = location->lines.count < LINE_COUNT_MAX - 1 ? location->lines.count
								    : LINE_COUNT_MAX - 1;
	char text[128];
	struct str binary = binary_of(frames, location, mapping, text);

	for (uint32_t i = 0; i < count; i++) {
		const struct otlp_line *line = &tables->lines.items[location->lines.first + i];
		struct otlp_function nobody = { 0 };
		const struct otlp_function *function =
			line->function < tables->functions.count
				? &tables->functions.items[line->function]
				: &nobody;

		lines[i] = (struct named_line){
			.function = function->name.size ? function->name : function->system_name,
			.file = function->filename,
			.line = line->line > 0 && line->line <= UINT32_MAX ? (uint32_t)line->line
									   : 0,
		};
		if (lines[i].function.size == 0)
			lines[i].function = STR("[unknown]");
	}
	if (binary.size > 0)
		lines[count++] = (struct named_line){ .file = binary };
	return batch_add_named_location(frames->batch, lines, count);
}

/* The same, of one that may have come before. */
static int64_t find_named(struct otlp_frames *frames, const struct otlp_location *location,
			  const struct otlp_mapping *mapping)
{
	const struct otlp_line *line = &frames->profile->tables->lines.items[location->lines.first];
	struct cached_named wanted = { .line = line->line,
				       .function = line->function,
				       .mapping = location->mapping,
				       .is_kernel = is_kernel(frames, location),
				       .is_there = true };
	uint32_t hash = (wanted.function + ((uint32_t)wanted.line << 16)) * UINT32_C(0x9e3779b1);
	struct cached_named *cached = &frames->named[hash >> 8 & (NAMED_CACHE_SIZE - 1)];
	int64_t number;

	if (location->lines.count > 1)
		return add_named(frames, location, mapping);
	if (cached->is_there && cached->line == wanted.line &&
	    cached->function == wanted.function && cached->mapping == wanted.mapping &&
	    cached->is_kernel == wanted.is_kernel)
		return cached->number;
	number = add_named(frames, location, mapping);
	if (number < 0)
		return number;
	wanted.number = (uint32_t)number;
	*cached = wanted;
	return number;
}

static int64_t find_build(struct otlp_frames *frames, const struct otlp_mapping *mapping,
			  uint32_t place)
{
	uint32_t *number = &frames->builds.items[place];

	assert(place < frames->builds.count);
	if (*number == NUMBER_NONE) {
		struct identity identity = identity_of(mapping);
		int64_t build =
			batch_add_build(frames->batch, BUILD_FILE, &identity, mapping->filename);

		if (build < 0)
			return build;
		*number = (uint32_t)build;
	}
	return *number;
}

static inline struct batch_place place_in_file(const struct otlp_frames *frames,
					       const struct otlp_location *location)
{
	const struct otlp_mapping *mapping =
		&frames->profile->tables->mappings.items[location->mapping];

	return (struct batch_place){ frames->builds.items[location->mapping],
				     file_offset(mapping, location->address) };
}

static int64_t find_new_place(struct otlp_frames *frames, const struct otlp_location *location,
			      struct batch_place *ret)
{
	const struct otlp_mapping *mapping =
		location->mapping > 0 ? &frames->profile->tables->mappings.items[location->mapping]
				      : NULL;
	int64_t build;

	if (location->lines.count > 0)
		return find_named(frames, location, mapping);
	/* Without a file an address is an index of bytecode, or what a sender alone understands. */
	if (!mapping || (mapping->filename.size == 0 && mapping->gnu.size == 0 &&
			 mapping->go.size == 0 && mapping->htlhash.size == 0))
		return add_nameless(frames, otlp_frame_type(frames->profile->tables, location));
	build = find_build(frames, mapping, location->mapping);
	if (build < 0)
		return build;
	*ret = place_in_file(frames, location);
	return NUMBER_EXPECTED;
}

/* In a file, at an offset there: what is added with others. Else it is added at once. */
static inline int64_t find_place(struct otlp_frames *frames, const struct otlp_location *location,
				 struct batch_place *ret)
{
	bool is_in_known_file = location->lines.count == 0 && location->mapping > 0 &&
				frames->builds.items[location->mapping] != NUMBER_NONE;

	if (!is_in_known_file)
		return find_new_place(frames, location, ret);
	*ret = place_in_file(frames, location);
	return NUMBER_EXPECTED;
}

/* ---- many -------------------------------------------------------------------------------------
 */

static int add_expected(struct otlp_frames *frames)
{
	uint32_t numbers[TOGETHER];
	int err =
		batch_add_locations(frames->batch, frames->places, frames->expected_count, numbers);

	for (size_t i = 0; i < frames->expected_count; i++)
		frames->locations.items[frames->expected[i]] = err ? NUMBER_NONE : numbers[i];
	frames->expected_count = 0;
	return err;
}

static int expect_location(struct otlp_frames *frames, uint32_t place)
{
	const struct otlp_location *location = &frames->profile->tables->locations.items[place];
	int64_t number = find_place(frames, location, &frames->places[frames->expected_count]);

	if (number < 0)
		return (int)number;
	frames->locations.items[place] = (uint32_t)number;
	if (number != NUMBER_EXPECTED)
		return 0;
	frames->expected[frames->expected_count++] = place;
	return frames->expected_count == TOGETHER ? add_expected(frames) : 0;
}

/* Of a table that all profiles share, which is gone through once. */
static inline int64_t append_location(struct otlp_frames *frames, uint32_t place)
{
	const struct otlp_location *location = &frames->profile->tables->locations.items[place];
	struct batch_place found = { 0 };
	int64_t number = find_place(frames, location, &found);

	if (number == NUMBER_EXPECTED)
		number = batch_append_location(frames->batch, found);
	if (number >= 0)
		frames->locations.items[place] = (uint32_t)number;
	return number;
}

/* So many numbers of which none is known. */
static int forget(number_list *numbers, uint32_t count)
{
	static_assert(NUMBER_NONE == UINT32_MAX, "all bits are set");
	numbers->count = 0;
	if (array_reserve(numbers, (size_t)count + 1) < 0)
		return -ENOMEM;
	memset(numbers->items, 0xff, count * sizeof(numbers->items[0]));
	numbers->count = count;
	return 0;
}

static int use_tables(struct otlp_frames *frames, const struct otlp_tables *tables)
{
	int err;

	if (frames->tables_serial == tables->serial)
		return 0;
	err = forget(&frames->locations, tables->locations.count);
	if (!err)
		err = forget(&frames->builds, tables->mappings.count);
	if (!err)
		err = forget(&frames->shared, frames->is_shared ? tables->stacks.count : 0);
	memset(frames->named, 0, sizeof(frames->named));
	if (!err)
		frames->tables_serial = tables->serial;
	return err;
}

int otlp_frames_begin(struct otlp_frames *frames, const struct otlp_profile *profile)
{
	/* Of a profile that was given up. */
	for (size_t i = 0; i < frames->expected_count; i++)
		frames->locations.items[frames->expected[i]] = NUMBER_NONE;
	frames->expected_count = 0;
	frames->profile = profile;
	frames->profile_number++;
	/* Either all profiles share the tables' stacks, or each has its own. */
	frames->is_shared = profile->stack_indices == profile->tables->indices.items;
	if (!frames->is_shared && !frames->stacks)
		frames->stacks = calloc(STACK_CACHE_SIZE, sizeof(frames->stacks[0]));
	if (!frames->is_shared && !frames->stacks)
		return -ENOMEM;
	return use_tables(frames, profile->tables);
}

/* The same stack of the table again, as of another thread, or taken as part of another profile. */
static struct cached_stack *cached_place(struct otlp_frames *frames, struct otlp_range stack)
{
	return &frames->stacks[(stack.first * UINT32_C(0x9e3779b1) >> 8) % STACK_CACHE_SIZE];
}

/* Of those that are cached; its number, or NUMBER_NONE. */
static uint32_t known_stack(struct otlp_frames *frames, struct otlp_range stack)
{
	const struct cached_stack *cached = cached_place(frames, stack);

	return cached->owner == frames->profile_number && cached->range.first == stack.first &&
			       cached->range.count == stack.count
		       ? cached->number
		       : NUMBER_NONE;
}

int otlp_frames_expect(struct otlp_frames *frames, struct otlp_range stack)
{
	uint32_t count = stack.count < STACK_DEPTH_MAX ? stack.count : STACK_DEPTH_MAX;
	int err = 0;

	/* What is appended without a search needs no others beside it. */
	if (frames->is_shared) {
		if (stack.count > 0)
			__builtin_prefetch(frames->profile->stack_indices + stack.first);
		return 0;
	}
	if (known_stack(frames, stack) != NUMBER_NONE)
		return 0;
	for (uint32_t i = 0; !err && i < count; i++) {
		uint32_t place = frames->profile->stack_indices[stack.first + i];

		if (place == OTLP_NO_LOCATION)
			continue;
		assert(place < frames->locations.count);
		if (frames->locations.items[place] == NUMBER_NONE)
			err = expect_location(frames, place);
	}
	return err;
}

/*
 * Numbers as far as they are known, and how many are not. What has none yet is brought together,
 * before it is asked for.
 */
static uint32_t find_known(const struct otlp_frames *frames, const uint32_t *places, uint32_t count,
			   uint32_t *ret_numbers)
{
	const uint32_t *known = frames->locations.items;
	uint32_t known_count = frames->locations.count;
	uint32_t missing = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t place = places[i];
		uint32_t number = NUMBER_NONE;

		if (place < known_count)
			number = known[place];
		else
			assert(place == OTLP_NO_LOCATION);
		ret_numbers[i] = number;
		if (number != NUMBER_NONE)
			continue;
		missing++;
		if (place != OTLP_NO_LOCATION)
			__builtin_prefetch(&frames->profile->tables->locations.items[place]);
	}
	return missing;
}

/* The number of what had none when the stack was looked at. */
static int64_t find_missing(struct otlp_frames *frames, uint32_t place)
{
	uint32_t number;

	if (place == OTLP_NO_LOCATION)
		return add_nameless(frames, (struct str){ 0 });
	/* Unless it stands in this stack twice. */
	number = frames->locations.items[place];
	return number == NUMBER_NONE && frames->is_shared ? append_location(frames, place) : number;
}

static int64_t add_stack(struct otlp_frames *frames, struct otlp_range stack)
{
	const uint32_t *places =
		stack.count > 0 ? frames->profile->stack_indices + stack.first : NULL;
	uint32_t numbers[STACK_DEPTH_MAX];
	bool is_cut = stack.count > STACK_DEPTH_MAX;
	uint32_t count = is_cut ? STACK_DEPTH_MAX : stack.count;
	uint32_t missing = find_known(frames, places, count, numbers);

	for (uint32_t i = 0; missing > 0; i++) {
		int64_t number;

		assert(i < count);
		if (numbers[i] != NUMBER_NONE)
			continue;
		number = find_missing(frames, places[i]);
		if (number < 0)
			return number;
		assert(number < NUMBER_EXPECTED);
		numbers[i] = (uint32_t)number;
		missing--;
	}
	return (frames->is_shared ? batch_append_stack : batch_add_stack)(
		frames->batch, numbers, count, is_cut ? STACK_TRUNCATED : 0);
}

static int64_t find_shared(struct otlp_frames *frames, struct otlp_range stack, uint32_t place)
{
	uint32_t *known = &frames->shared.items[place];
	int64_t number;

	assert(place < frames->shared.count);
	if (*known != NUMBER_NONE)
		return *known;
	number = add_stack(frames, stack);
	if (number >= 0)
		*known = (uint32_t)number;
	return number;
}

int64_t otlp_frames_find(struct otlp_frames *frames, struct otlp_range stack, uint32_t number)
{
	uint32_t known;
	int64_t added;
	int err = 0;

	if (frames->is_shared)
		return find_shared(frames, stack, number);
	known = known_stack(frames, stack);
	if (known != NUMBER_NONE)
		return known;
	if (frames->expected_count > 0)
		err = add_expected(frames);
	if (err)
		return err;
	added = add_stack(frames, stack);
	if (added >= 0)
		*cached_place(frames, stack) =
			(struct cached_stack){ frames->profile_number, stack, (uint32_t)added };
	return added;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/naming_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/verdict.h"
#include "store/array.h"
#include "store/named_place.h"
#include "store/store.h"
#include "store/tree.h"
#include "symbols/late_code.h"
#include "symbols/symbols.h"

enum {
	TEXT_COUNT_MAX = 4 << 20,
	BUILD_COUNT_MAX = 1 << 20,
	LOCATION_COUNT_MAX = 8 << 20,
};

/* Texts of all names of one question. */
static const size_t text_room = 64 << 20;

struct build_key {
	struct identity identity;
	uint8_t kind;
	uint8_t zero;
	uint32_t path; /* text of the naming */
};

static_assert(sizeof(struct build_key) == 48, "hashed as bytes: no padding");
static_assert(sizeof(struct naming_detail) == 24, "hashed as bytes: no padding");
static_assert(sizeof(struct naming_binary) == 40, "hashed as bytes: no padding");

/* Knowing nothing. */
static int begin(struct naming *naming, uint64_t now_ns)
{
	static const struct naming_detail no_detail = { .system_name = NAMING_OWN_NAME };
	static const struct naming_binary no_binary = { 0 };
	int64_t number = naming_text(naming, (struct str){ 0 });

	if (number >= 0)
		number = pool_add(&naming->details, &no_detail, sizeof(no_detail));
	if (number >= 0)
		number = pool_add(&naming->binaries, &no_binary, sizeof(no_binary));
	assert(number <= 0);
	/* Before any name is asked for: what changes from now on changes this. */
	naming->generation = naming->symbols ? symbols_generation(naming->symbols) : 0;
	naming->since_ns = now_ns;
	return number < 0 ? (int)number : 0;
}

int naming_new(struct symbols *symbols, struct naming **ret)
{
	struct naming *naming = calloc(1, sizeof(*naming));

	if (!naming)
		return -ENOMEM;
	naming->symbols = symbols;
	naming->room = text_room;
	pool_init(&naming->texts, TEXT_COUNT_MAX, &naming->room);
	pool_init(&naming->builds, BUILD_COUNT_MAX, NULL);
	pool_init(&naming->details, LOCATION_COUNT_MAX, NULL);
	pool_init(&naming->binaries, BUILD_COUNT_MAX, NULL);
	table_init(&naming->locations, LOCATION_COUNT_MAX);

	int err = begin(naming, clock_monotonic_ns());

	if (err) {
		naming_free(naming);
		return err;
	}
	*ret = naming;
	return 0;
}

/* The place of the one that is held next: whose it was, another one of this question, goes. */
static uint32_t *make_held_place(struct naming *naming)
{
	uint32_t count = naming->holds_few ? HELD_MODULE_COUNT_FEW : HELD_MODULE_COUNT_MAX;
	uint32_t *place = &naming->held[naming->held_next++ % count];

	if (*place) {
		struct naming_build *build = &naming->build_items.items[*place - 1];

		build->module = symbols_leave(naming->symbols, build->module);
		build->was_asked = false;
	}
	return place;
}

static void release_modules(struct naming *naming)
{
	memset(naming->held, 0, sizeof(naming->held));
	for (uint32_t i = 0; i < naming->build_items.count; i++) {
		struct naming_build *build = &naming->build_items.items[i];

		if (build->module)
			build->module = symbols_release(naming->symbols, build->module);
		build->was_asked = false;
	}
}

struct naming *naming_free(struct naming *naming)
{
	if (!naming)
		return NULL;
	release_modules(naming);
	pool_done(&naming->texts);
	pool_done(&naming->builds);
	pool_done(&naming->details);
	pool_done(&naming->binaries);
	table_done(&naming->locations);
	array_done(&naming->build_items);
	array_done(&naming->location_items);
	array_done(&naming->frames);
	array_done(&naming->span_builds);
	free(naming);
	return NULL;
}

void naming_keep_raw(struct naming *naming)
{
	assert(naming->frames.count == 0);
	naming->is_raw = true;
}

void naming_hold_few(struct naming *naming)
{
	naming->holds_few = true;
}

bool naming_rest(struct naming *naming)
{
	release_modules(naming);
	naming->holds_few = false;
	return !naming->is_raw && !naming->is_provisional;
}

static bool is_current(const struct naming *naming, uint64_t now_ns)
{
	const uint64_t age_max_ns = (uint64_t)NAMING_SECONDS_MAX * (uint64_t)CLOCK_NS_PER_S;

	return now_ns - naming->since_ns < age_max_ns &&
	       (!naming->symbols || symbols_generation(naming->symbols) == naming->generation);
}

int naming_resume(struct naming *naming, uint64_t now_ns)
{
	if (is_current(naming, now_ns))
		return 0;
	pool_clear(&naming->texts);
	pool_clear(&naming->builds);
	pool_clear(&naming->details);
	pool_clear(&naming->binaries);
	table_clear(&naming->locations);
	naming->build_items.count = 0;
	naming->location_items.count = 0;
	naming->frames.count = 0;
	naming->span_builds.count = 0;
	return begin(naming, now_ns);
}

size_t naming_memory(const struct naming *naming)
{
	return pool_memory(&naming->texts) + pool_memory(&naming->builds) +
	       pool_memory(&naming->details) + pool_memory(&naming->binaries) +
	       naming->locations.slot_count * sizeof(naming->locations.slots[0]) +
	       naming->build_items.capacity * sizeof(naming->build_items.items[0]) +
	       naming->location_items.capacity * sizeof(naming->location_items.items[0]) +
	       naming->frames.capacity * sizeof(naming->frames.items[0]) +
	       naming->span_builds.capacity * sizeof(naming->span_builds.items[0]);
}

struct str naming_readable(struct naming *naming, struct str name,
			   char text[static DEMANGLE_TEXT_SIZE_MAX])
{
	return naming->is_raw ? name : symbols_demangle(naming->symbols, name, text);
}

int64_t naming_text(struct naming *naming, struct str text)
{
	return pool_add(&naming->texts, text.text, text.size);
}

struct str naming_get(const struct naming *naming, uint32_t text)
{
	return pool_get(&naming->texts, text);
}

uint32_t naming_count(const struct naming *naming)
{
	return pool_count(&naming->texts);
}

void naming_start_span(struct naming *naming)
{
	naming->span++;
	naming->span_builds.count = 0;
}

struct frame_name naming_frame(const struct naming *naming, uint32_t index)
{
	assert(index < naming->frames.count);
	return naming->frames.items[index];
}

struct naming_detail naming_detail(const struct naming *naming, uint32_t detail)
{
	struct naming_detail found;

	memcpy(&found, pool_get(&naming->details, detail).text, sizeof(found));
	return found;
}

uint32_t naming_detail_count(const struct naming *naming)
{
	return pool_count(&naming->details);
}

struct naming_binary naming_binary(const struct naming *naming, uint32_t binary)
{
	struct naming_binary found;

	memcpy(&found, pool_get(&naming->binaries, binary).text, sizeof(found));
	return found;
}

uint32_t naming_binary_count(const struct naming *naming)
{
	return pool_count(&naming->binaries);
}

static int64_t add_build(struct naming *naming, const struct catalog *catalog, uint32_t build)
{
	struct catalog_build known = catalog_build(catalog, build);
	struct str path = catalog_text(catalog, known.path);
	struct build_key key = { .identity = known.identity, .kind = known.kind };
	int64_t text = naming_text(naming, path);

	if (text < 0)
		return text;
	key.path = (uint32_t)text;

	int64_t number = pool_add(&naming->builds, &key, sizeof(key));

	if (number != naming->build_items.count)
		return number;

	int64_t module_name = naming_text(naming, str_base_name(path));

	if (module_name < 0)
		return module_name;
	if (array_reserve(&naming->build_items, 1) < 0)
		return -ENOMEM;

	naming->build_items.items[naming->build_items.count++] = (struct naming_build){
		.identity = known.identity,
		.module_name = (uint32_t)module_name,
		.path = key.path,
		.kind = known.kind,
		.has_names = naming->symbols &&
			     (known.kind == BUILD_FILE || catalog_build_is_kernel(&known) ||
			      known.identity.kind == IDENTITY_PROCESS_CODE),
	};
	return number;
}

int64_t naming_find_build(struct naming *naming, const struct catalog *catalog, uint32_t build)
{
	uint32_t count = naming->span_builds.count;

	if (build >= catalog_count(catalog, CATALOG_BUILD) || build == 0)
		return -EBADMSG;
	if (build >= count) {
		size_t more = build + 1 - count;

		if (array_reserve(&naming->span_builds, more) < 0)
			return -ENOMEM;
		memset(naming->span_builds.items + count, 0,
		       more * sizeof(naming->span_builds.items[0]));
		naming->span_builds.count += (uint32_t)more;
	}
	if (naming->span_builds.items[build])
		return naming->span_builds.items[build] - 1;

	int64_t number = add_build(naming, catalog, build);

	if (number >= 0)
		naming->span_builds.items[build] = (uint32_t)number + 1;
	return number;
}

static int add_frame(struct naming *naming, struct str name, uint32_t module, enum flame_kind kind)
{
	int64_t text = naming_text(naming, name);

	if (text < 0)
		return (int)text;
	if (array_reserve(&naming->frames, 1) < 0)
		return -ENOMEM;
	naming->frames.items[naming->frames.count++] = (struct frame_name){ .name = (uint32_t)text,
									    .module = module,
									    .kind = (uint8_t)kind };
	return 0;
}

/* The frame that was added last stands there in the source. */
static int set_place(struct naming *naming, struct str file, uint32_t line)
{
	int64_t text = naming_text(naming, file);

	assert(naming->frames.count > 0);
	if (text < 0)
		return (int)text;
	naming->frames.items[naming->frames.count - 1].file = (uint32_t)text;
	naming->frames.items[naming->frames.count - 1].line = line;
	return 0;
}

/* Binary and address. */
static int add_unnamed(struct naming *naming, const struct naming_build *build, uint64_t address)
{
	char text[NAMING_BARE_TEXT_SIZE_MAX];
	struct naming_place bare = naming_bare_place(naming, build, address);

	return add_frame(naming, naming_bare_text(naming, &bare, text), build->module_name,
			 FLAME_UNNAMED);
}

static int add_truncation(struct naming *naming, uint64_t reason)
{
	char text[VERDICT_TEXT_SIZE];
	unsigned verdict = reason < VERDICT_COUNT ? (unsigned)reason : VERDICT_COUNT;

	return add_frame(naming, verdict_text(verdict, text), NAMING_TEXT_EMPTY, FLAME_TRUNCATED);
}

/* ---- what else is known of a place ---------------------------------------------------------- */

static int64_t add_detail(struct naming *naming, const struct naming_detail *detail)
{
	return pool_add(&naming->details, detail, sizeof(*detail));
}

/* The binary of a build: its id in digits. */
static int64_t add_binary(struct naming *naming, const struct naming_build *build, unsigned flags)
{
	char buffer[IDENTITY_TEXT_SIZE];
	struct str digits = { 0 };
	struct naming_binary binary = { .path = build->path, .flags = flags };

	if (build->identity.kind == IDENTITY_GNU_BUILD_ID)
		digits = str_from(strchr(identity_text(&build->identity, buffer), ':') + 1);

	int64_t text = naming_text(naming, digits);

	if (text < 0)
		return text;
	binary.build_id = (uint32_t)text;
	return pool_add(&naming->binaries, &binary, sizeof(binary));
}

/* Of functions that symbols name: their binary. */
static int64_t detail_of_build(struct naming *naming, uint32_t number)
{
	struct naming_build *build = &naming->build_items.items[number];
	struct naming_detail detail = { .system_name = NAMING_OWN_NAME };

	if (build->detail)
		return build->detail;

	int64_t binary = add_binary(naming, build, 0);

	if (binary < 0)
		return binary;
	detail.binary = (uint32_t)binary;

	int64_t made = add_detail(naming, &detail);

	if (made > 0)
		build->detail = (uint32_t)made;
	return made;
}

/* Of what has no name: where it is in which binary. */
static int64_t detail_of_address(struct naming *naming, uint32_t number, uint64_t address)
{
	struct naming_build *build = &naming->build_items.items[number];
	struct naming_detail detail = { .system_name = NAMING_OWN_NAME,
					.is_bare = true,
					.address = address };

	/* A binary without symbols has many of these. */
	if (!build->bare_binary) {
		int64_t binary = add_binary(naming, build, BINARY_FLAGS_TOLD);

		if (binary < 0)
			return binary;
		build->bare_binary = (uint32_t)binary + 1;
	}
	detail.binary = build->bare_binary - 1;
	return add_detail(naming, &detail);
}

/* Of the frames of a build's location that were added since. */
static int describe(struct naming *naming, uint32_t build, uint64_t address, uint32_t first)
{
	int kind = naming->build_items.items[build].kind;
	int64_t detail = 0;

	if (kind != BUILD_FILE && kind != BUILD_KERNEL && kind != BUILD_KERNEL_MODULE)
		return 0;
	for (uint32_t i = first; i < naming->frames.count; i++) {
		detail = naming->frames.items[i].kind == FLAME_UNNAMED
				 ? detail_of_address(naming, build, address)
				 : detail_of_build(naming, build);
		if (detail < 0)
			return (int)detail;
		naming->frames.items[i].detail = (uint32_t)detail;
	}
	return 0;
}

/* ---- frames --------------------------------------------------------------------------------- */

/* The function of the symbol table, or what stands for it. */
static int add_function(struct naming *naming, const struct naming_build *build, uint32_t function,
			uint64_t address)
{
	if (function == SYMBOL_NONE)
		return add_unnamed(naming, build, address);

	if (build->kind == BUILD_KERNEL || build->kind == BUILD_KERNEL_MODULE)
		return add_frame(naming, symbol_module_name(build->module, function),
				 build->module_name, FLAME_KERNEL);

	char text[DEMANGLE_TEXT_SIZE_MAX];
	struct str name =
		naming_readable(naming, symbol_module_name(build->module, function), text);

	return add_frame(naming, name, build->module_name, FLAME_NATIVE);
}

/* Calls that were inlined, the outermost of them first: each in the file and line of the next. */
static int add_calls(struct naming *naming, const struct naming_build *build,
		     const struct symbol_place *innermost)
{
	struct symbol_call calls[SYMBOL_CALL_DEPTH_MAX];
	size_t count = 0;
	int err = 0;

	for (uint32_t scope = innermost->scope;
	     scope != SYMBOL_NONE && count < SYMBOL_CALL_DEPTH_MAX;
	     scope = calls[count++].from.scope)
		calls[count] = symbol_module_call(build->module, scope);
	if (count > 0)
		err = set_place(naming, calls[count - 1].from.file, calls[count - 1].from.line);
	for (size_t i = count; !err && i > 0; i--) {
		const struct symbol_place *place = i > 1 ? &calls[i - 2].from : innermost;
		char text[DEMANGLE_TEXT_SIZE_MAX];
		struct str name = naming_readable(naming, calls[i - 1].function, text);

		/* Its compiler did not say what it is called. */
		if (name.size == 0)
			name = STR("[inlined]");
		err = add_frame(naming, name, build->module_name, FLAME_NATIVE);
		if (!err)
			err = set_place(naming, place->file, place->line);
		if (!err)
			naming->frames.items[naming->frames.count - 1].inlined = true;
	}
	return err;
}

struct naming_build naming_ask_build(struct naming *naming, uint32_t number)
{
	struct naming_build *build = &naming->build_items.items[number];

	assert(number < naming->build_items.count);
	if (build->has_names && !build->was_asked)
		build->module = symbols_acquire(naming->symbols, &build->identity);
	if (build->module && !build->was_asked)
		*make_held_place(naming) = number + 1;
	build->was_asked = true;
	if (!build->is_known)
		build->is_bare = !build->module && build->kind != BUILD_TRUNCATED &&
				 build->identity.kind != IDENTITY_PROCESS_CODE;
	build->is_known = true;
	return *build;
}

/* Of code that a process made and named later: as if it had been named at once. */
static int add_late(struct naming *naming, const struct naming_build *build, uint64_t place)
{
	uint32_t function = naming_function(build, place);

	if (function == SYMBOL_NONE)
		return add_unnamed(naming, build, late_code_address(place));

	struct jit_name name = jit_name_from(symbol_module_name(build->module, function));
	int err = add_frame(naming, name.function, NAMING_TEXT_EMPTY, FLAME_NAMED);

	return err ? err : set_place(naming, name.file, name.line);
}

static int add_symbol(struct naming *naming, uint32_t number, uint64_t address)
{
	struct naming_build build = naming_ask_build(naming, number);

	if (build.identity.kind == IDENTITY_PROCESS_CODE)
		return add_late(naming, &build, address);

	if (build.kind == BUILD_TRUNCATED)
		return add_truncation(naming, address);

	uint32_t function = naming_function(&build, address);
	struct symbol_place place;
	int err = add_function(naming, &build, function, address);

	if (err || !build.module)
		return err;
	if (!symbol_module_place(build.module, address, &place)) {
		if (symbols_wish_lines(naming->symbols, build.module, address))
			naming->is_provisional = true;
		return 0;
	}
	if (place.scope == SYMBOL_NONE)
		return set_place(naming, place.file, place.line);
	return add_calls(naming, &build, &place);
}

/* Of what came with its names and its binary. */
static enum flame_kind kind_of(struct str path)
{
	if (str_equal(path, STR(NAMING_JAVA)))
		return FLAME_NAMED;
	return str_equal(path, STR(NAMING_KERNEL)) || str_starts_with(path, STR(NAMING_KERNEL "/"))
		       ? FLAME_KERNEL
		       : FLAME_NATIVE;
}

/* A text of the catalog as one of ours. */
static int64_t take_text(struct naming *naming, const struct catalog *catalog, uint32_t text)
{
	return naming_text(naming, catalog_text(catalog, text));
}

static int64_t add_told_binary(struct naming *naming, const struct catalog *catalog,
			       const struct named_place *place)
{
	int64_t path = take_text(naming, catalog, place->path);
	int64_t build_id = path < 0 ? path : take_text(naming, catalog, place->build_id);
	struct naming_binary binary = { .path = (uint32_t)path,
					.build_id = (uint32_t)build_id,
					.flags = place->flags & ~(unsigned)BINARY_INTERPRETED,
					.start = place->start,
					.limit = place->limit,
					.offset = place->offset };

	return build_id < 0 ? build_id : pool_add(&naming->binaries, &binary, sizeof(binary));
}

/* Of the place's line with this number. */
static int64_t add_told_detail(struct naming *naming, const struct catalog *catalog,
			       const struct named_place *place, uint32_t binary, size_t line)
{
	struct naming_detail detail = { .system_name = NAMING_OWN_NAME,
					.binary = binary,
					.address = place->address };

	if (place->has_no_system_names)
		detail.system_name = NAMING_TEXT_EMPTY;
	if (place->functions) {
		int64_t name = take_text(naming, catalog, place->functions[line].function);

		if (name < 0)
			return name;
		detail.system_name = (uint32_t)name;
		detail.start_line = place->functions[line].line;
	}
	return add_detail(naming, &detail);
}

/* What came with its names: innermost first in the catalog. */
static int add_lines(struct naming *naming, const struct catalog *catalog, uint64_t number)
{
	enum flame_kind kind = FLAME_NAMED;
	int64_t module = NAMING_TEXT_EMPTY;
	int64_t binary = 0;
	struct named_place place;
	int err = named_place_read(catalog, number, &place);

	if (err)
		return err;
	if (place.path) {
		struct str path = catalog_text(catalog, place.path);

		kind = kind_of(path);
		module = naming_text(naming, str_base_name(path));
	}
	if (place.has_binary && module >= 0)
		binary = add_told_binary(naming, catalog, &place);
	if (module < 0 || binary < 0)
		return (int)(module < 0 ? module : binary);
	for (size_t i = place.count; !err && i > 0; i--) {
		const struct catalog_line *line = &place.lines[i - 1];
		int64_t detail = add_told_detail(naming, catalog, &place, (uint32_t)binary, i - 1);

		if (detail < 0)
			return (int)detail;
		err = add_frame(naming, catalog_text(catalog, line->function), (uint32_t)module,
				kind);
		if (!err)
			err = set_place(naming, catalog_text(catalog, line->file), line->line);
		if (err)
			return err;

		struct frame_name *frame = &naming->frames.items[naming->frames.count - 1];

		frame->inlined = i < place.count;
		frame->interpreted = place.flags & BINARY_INTERPRETED;
		frame->detail = (uint32_t)detail;
	}
	return 0;
}

static uint64_t location_hash(struct location_key key)
{
	uint64_t hash = ((uint64_t)key.build << 1 | key.is_named) * UINT64_C(0xff51afd7ed558ccd);

	hash = (hash ^ key.address) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static bool location_equals(const void *context, uint32_t number, const void *key)
{
	const struct naming *naming = context;
	const struct location_key *wanted = key;
	const struct location_key *found = &naming->location_items.items[number].key;

	return found->address == wanted->address && found->build == wanted->build &&
	       found->is_named == wanted->is_named;
}

/* One that is asked for the first time. */
static int add_location(struct naming *naming, const struct catalog *catalog,
			struct location_key key, struct frame_names *ret)
{
	bool is_folded = key.build == TREE_BUILD_RESERVED;
	uint32_t first = naming->frames.count;
	int err = array_reserve(&naming->location_items, 1);

	if (!err && is_folded)
		err = add_frame(naming, STR("folded"), NAMING_TEXT_EMPTY, FLAME_FOLDED);
	else if (!err)
		err = key.is_named ? add_lines(naming, catalog, key.address)
				   : add_symbol(naming, key.build, key.address);
	if (!err && !is_folded && !key.is_named)
		err = describe(naming, key.build, key.address, first);
	if (!err)
		err = table_add(&naming->locations, location_hash(key));
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	*ret = (struct frame_names){ first, naming->frames.count - first };
	naming->location_items.items[naming->location_items.count++] =
		(struct location){ key, *ret };
	return 0;
}

/* Where its function begins, if that is all that will be known of it; else the address itself. */
static uint64_t function_address(struct naming *naming, uint32_t number, uint64_t address)
{
	struct naming_build build = naming_ask_build(naming, number);
	uint32_t function =
		naming_has_functions_only(&build) ? naming_function(&build, address) : SYMBOL_NONE;

	return function == SYMBOL_NONE ? address : naming_function_start(&build, function, address);
}

static uint32_t find_location(const struct naming *naming, struct location_key key)
{
	return table_find(&naming->locations, location_hash(key), &key, location_equals, naming);
}

int naming_find(struct naming *naming, const struct catalog *catalog, uint32_t build,
		uint64_t address, struct frame_names *ret)
{
	struct location_key key = { .build = naming->span, .is_named = 1, .address = address };
	bool is_folded = build == TREE_BUILD_RESERVED && address == TREE_FOLDED;

	if (is_folded) {
		key = (struct location_key){ .build = TREE_BUILD_RESERVED, .address = address };
	} else if (build != TREE_BUILD_NAMED) {
		int64_t number = naming_find_build(naming, catalog, build);

		if (number < 0)
			return (int)number;
		key.build = (uint32_t)number;
		key.is_named = 0;
	}

	uint32_t found = find_location(naming, key);

	/* A leaf may be anywhere in its function: half a million places of a busy host's ten
	 * minutes. */
	if (found == TABLE_NONE && !key.is_named && !is_folded) {
		key.address = function_address(naming, key.build, address);
		found = key.address == address ? TABLE_NONE : find_location(naming, key);
	}
	if (found == TABLE_NONE)
		return add_location(naming, catalog, key, ret);
	*ret = naming->location_items.items[found].found;
	return 0;
}

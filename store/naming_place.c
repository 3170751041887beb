/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "store/naming_private.h"
#include "store/store.h"
#include "store/tree.h"
#include "symbols/late_code.h"

/* Places that have one name at the most, of which a naming keeps nothing. */

static_assert((int)NAMING_PLACE_TEXT_SIZE_MAX >= (int)DEMANGLE_TEXT_SIZE_MAX &&
		      (int)NAMING_PLACE_TEXT_SIZE_MAX >= (int)NAMING_BARE_TEXT_SIZE_MAX,
	      "one of either fits");

uint32_t naming_function(const struct naming_build *build, uint64_t address)
{
	if (!build->module)
		return SYMBOL_NONE;
	if (build->identity.kind == IDENTITY_PROCESS_CODE)
		address = late_code_number(address);
	return symbol_module_find(build->module, address);
}

bool naming_has_functions_only(const struct naming_build *build)
{
	return build->module && build->identity.kind != IDENTITY_PROCESS_CODE &&
	       !symbols_has_lines(build->module);
}

uint64_t naming_function_start(const struct naming_build *build, uint32_t function,
			       uint64_t address)
{
	uint64_t start = symbol_module_start(build->module, function);

	return symbol_module_find(build->module, start) == function ? start : address;
}

/* "prog+0x1a2b"; there may be a hundred thousand in one answer, too many for snprintf(). */
static struct str write_unnamed(struct str module, uint64_t address,
				char text[static NAMING_BARE_TEXT_SIZE_MAX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned shift = address ? (63 - (unsigned)__builtin_clzll(address)) / 4 * 4 : 0;
	char *next = text;

	assert(module.size <= NAMING_BASE_NAME_SIZE_MAX);
	memcpy(next, module.text, module.size);
	next += module.size;
	*next++ = '+';
	*next++ = '0';
	*next++ = 'x';
	for (;; shift -= 4) {
		*next++ = digits[address >> shift & 0xf];
		if (shift == 0)
			break;
	}
	return (struct str){ text, (size_t)(next - text) };
}

struct str naming_bare_text(const struct naming *naming, const struct naming_place *bare,
			    char text[static NAMING_BARE_TEXT_SIZE_MAX])
{
	struct str module = naming_get(naming, bare->module);

	switch (bare->of) {
	case BUILD_KERNEL:
		module = STR("kernel");
		break;
	case BUILD_ANONYMOUS:
		module = STR("[anonymous]");
		break;
	case BUILD_UNMAPPED:
		module = STR("[unmapped]");
		break;
	default:
		if (module.size == 0)
			module = STR("[unknown]");
		if (module.size > NAMING_BASE_NAME_SIZE_MAX)
			module.size = NAMING_BASE_NAME_SIZE_MAX;
	}
	return write_unnamed(module, bare->address, text);
}

/* What has the same text is the same. */
struct naming_place naming_bare_place(const struct naming *naming, const struct naming_build *build,
				      uint64_t address)
{
	bool says_kind = build->kind == BUILD_KERNEL || build->kind == BUILD_ANONYMOUS ||
			 build->kind == BUILD_UNMAPPED;

	if (build->kind == BUILD_FILE && naming->symbols)
		(void)symbols_function_start(naming->symbols, &build->identity, address, &address);
	return (struct naming_place){ .address = address,
				      .module = build->module_name,
				      .kind = FLAME_UNNAMED,
				      .of = says_kind ? build->kind : BUILD_FILE };
}

/* False: there is more to say of it than its name, or its name is too long. */
static bool find_place(struct naming *naming, uint32_t number, uint64_t address,
		       struct naming_place *ret)
{
	struct naming_build build = naming->build_items.items[number];

	if (!build.is_known || !build.is_bare) {
		build = naming_ask_build(naming, number);
		if (!build.is_bare && !naming_has_functions_only(&build))
			return false;
	}

	uint32_t function = build.is_bare ? SYMBOL_NONE : naming_function(&build, address);
	bool is_kernel = build.kind == BUILD_KERNEL || build.kind == BUILD_KERNEL_MODULE;

	if (function == SYMBOL_NONE) {
		*ret = naming_bare_place(naming, &build, address);
		return true;
	}
	*ret = (struct naming_place){ .address = naming_function_start(&build, function, address),
				      .build = number,
				      .module = build.module_name,
				      .kind = is_kernel ? FLAME_KERNEL : FLAME_NATIVE };
	return symbol_module_name(build.module, function).size <= NAMING_PLACE_TEXT_SIZE_MAX;
}

int naming_find_or_place(struct naming *naming, const struct catalog *catalog, uint32_t build,
			 uint64_t address, struct frame_names *ret, struct naming_place *ret_place)
{
	int64_t number = 0;

	if (build == TREE_BUILD_NAMED || build == TREE_BUILD_RESERVED)
		return naming_find(naming, catalog, build, address, ret);
	number = naming_find_build(naming, catalog, build);
	if (number < 0)
		return (int)number;
	*ret = (struct frame_names){ 0 };
	return find_place(naming, (uint32_t)number, address, ret_place)
		       ? 0
		       : naming_find(naming, catalog, build, address, ret);
}

struct str naming_place_text(struct naming *naming, const struct naming_place *place,
			     char text[static NAMING_PLACE_TEXT_SIZE_MAX])
{
	if (place->kind == FLAME_UNNAMED)
		return naming_bare_text(naming, place, text);

	struct naming_build build = naming_ask_build(naming, place->build);
	uint32_t function = naming_function(&build, place->address);

	/* Other symbols took their place since. */
	if (function == SYMBOL_NONE) {
		struct naming_place bare = naming_bare_place(naming, &build, place->address);

		return naming_bare_text(naming, &bare, text);
	}

	struct str name = symbol_module_name(build.module, function);

	if (place->kind == FLAME_NATIVE)
		name = naming_readable(naming, name, text);
	if (name.size > NAMING_PLACE_TEXT_SIZE_MAX)
		name.size = NAMING_PLACE_TEXT_SIZE_MAX;
	/* Its module may go with the next one that is asked. */
	if (name.text != text)
		memcpy(text, name.text, name.size);
	return (struct str){ text, name.size };
}

int naming_has_name(struct naming *naming, const struct catalog *catalog, uint32_t build,
		    uint64_t address, bool *ret)
{
	int64_t number = 0;

	*ret = true;
	if (build == TREE_BUILD_NAMED)
		return address && address < catalog_count(catalog, CATALOG_NAME) ? 0 : -EBADMSG;
	if (build == TREE_BUILD_RESERVED)
		return 0;
	number = naming_find_build(naming, catalog, build);
	if (number < 0)
		return (int)number;

	struct naming_build asked = naming_ask_build(naming, (uint32_t)number);

	*ret = asked.kind == BUILD_TRUNCATED || naming_function(&asked, address) != SYMBOL_NONE;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/go_table.h"

#include <string.h>

#include "symbols/unwind_rows.h"

enum {
	MAGIC_1_2 = 0xfffffffb,
	MAGIC_1_16 = 0xfffffffa,
	MAGIC_1_18 = 0xfffffff0,
	MAGIC_1_20 = 0xfffffff1,
	/* A name of a function or file; generics make long ones. */
	TEXT_SIZE_MAX = 32 << 10,
};

uint64_t go_number_at(const struct go_pclntab *table, uint64_t offset, size_t size)
{
	uint64_t value = 0;

	/* Little endian; every user takes zero for nonsense. */
	if (offset <= table->size && size <= table->size - offset)
		memcpy(&value, table->bytes + offset, size);
	return value;
}

struct str go_text_at(const struct go_pclntab *table, uint64_t offset)
{
	if (offset >= table->size)
		return (struct str){ NULL, 0 };

	const char *text = (const char *)table->bytes + offset;
	size_t left = table->size - offset;

	return (struct str){ text, strnlen(text, left < TEXT_SIZE_MAX ? left : TEXT_SIZE_MAX) };
}

static bool read_version(const struct go_pclntab *table, enum go_version *ret)
{
	static const uint32_t magics[GO_VERSION_COUNT] = {
		[GO_1_2] = MAGIC_1_2,
		[GO_1_16] = MAGIC_1_16,
		[GO_1_18] = MAGIC_1_18,
		[GO_1_20] = MAGIC_1_20,
	};
	uint32_t magic = (uint32_t)go_number_at(table, 0, 4);

	/* Two zeros, the smallest instruction, the size of a pointer. */
	if (go_number_at(table, 4, 4) != 0x08010000)
		return false;
	for (enum go_version version = 0; version < GO_VERSION_COUNT; version++)
		if (magic == magics[version]) {
			*ret = version;
			return true;
		}
	return false;
}

/* Until 1.15 all offsets count from the header, and the list follows it; the files' comes behind.
 */
static void read_old_header(const struct go_pclntab *table, struct go_layout *layout)
{
	layout->functions = 16;
	layout->files = go_number_at(table, layout->functions + layout->function_count * 16 + 8,
				     sizeof(uint32_t));
}

static void read_header(const struct go_pclntab *table, struct go_layout *layout)
{
	unsigned field = 24;

	if (!layout->has_addresses) {
		layout->text = go_number_at(table, field, 8);
		field += 8;
	}
	layout->names = go_number_at(table, field, 8);
	layout->units = go_number_at(table, field + 8, 8);
	layout->files = go_number_at(table, field + 16, 8);
	layout->values = go_number_at(table, field + 24, 8);
	layout->functions = layout->function_data = go_number_at(table, field + 32, 8);
}

bool go_layout_read(const struct go_pclntab *table, struct go_layout *ret)
{
	struct go_layout layout = { .function_count = go_number_at(table, 8, 8) };

	if (!read_version(table, &layout.version) || layout.function_count == 0 ||
	    layout.function_count > UNWIND_FUNCTION_COUNT_MAX)
		return false;
	layout.has_addresses = layout.version <= GO_1_16;
	if (layout.version == GO_1_2)
		read_old_header(table, &layout);
	else
		read_header(table, &layout);

	uint64_t entry_size = layout.has_addresses ? 16 : 8;

	if (layout.names >= table->size || layout.units >= table->size ||
	    layout.files >= table->size || layout.values >= table->size ||
	    layout.functions >= table->size ||
	    layout.function_count * entry_size + entry_size / 2 > table->size - layout.functions)
		return false;
	*ret = layout;
	return true;
}

bool go_function_read(const struct go_pclntab *table, const struct go_layout *layout,
		      uint64_t number, struct go_function *ret)
{
	size_t width = layout->has_addresses ? 8 : 4;
	uint64_t base = layout->has_addresses ? 0 : table->text;
	uint64_t at = layout->functions + number * 2 * width;
	uint64_t start = go_number_at(table, at, width);
	uint64_t end = go_number_at(table, at + 2 * width, width);
	uint64_t data = layout->function_data + go_number_at(table, at + width, width);

	if (end <= start || data < layout->function_data || data > table->size)
		return false;
	*ret = (struct go_function){ .vaddr = base + start,
				     .size = end - start,
				     .data = data + width };
	ret->name = go_text_at(table, layout->names +
					      go_number_at(table, ret->data + GO_FUNCTION_NAME, 4));
	return true;
}

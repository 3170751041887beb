/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/kernel_symbols.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/parse.h"
#include "base/table.h"
#include "symbols/elf_note.h"

enum {
	CHUNK_SIZE = 64 << 10,
	NOTES_SIZE_MAX = 64 << 10,
	MODULE_NAME_SIZE_MAX = 64, /* MODULE_NAME_LEN of the kernel is 56 on 64 bits */
	ADDRESS_DIGIT_COUNT_MAX = 16,
	FIRST_SYMBOL_COUNT = 4096,
	FIRST_PART_COUNT = 64,
	KERNEL_PART = 0,
};

/* Where the kernel's code begins and ends, by the names its linker script gives. */
enum boundary {
	TEXT_START, /* _text, which offsets count from */
	TEXT_START_OF_FUNCTIONS,
	TEXT_END,
	INIT_START,
	INIT_END,
	BOUNDARY_COUNT,
};

static const struct str boundary_names[BOUNDARY_COUNT] = {
	[TEXT_START] = { "_text", 5 },	   [TEXT_START_OF_FUNCTIONS] = { "_stext", 6 },
	[TEXT_END] = { "_etext", 6 },	   [INIT_START] = { "_sinittext", 10 },
	[INIT_END] = { "_einittext", 10 },
};

struct kernel_symbol {
	uint64_t address;
	uint32_t name_offset;
	uint32_t part;
	uint16_t name_size;
	uint8_t binding; /* enum symbol_binding */
};
static_assert(KERNEL_NAME_SIZE_MAX <= UINT16_MAX, "name_size holds it");

struct range {
	uint64_t start;
	uint64_t end;
	uint32_t part;
};

struct part {
	struct kernel_part kernel_part;
	size_t first; /* of its symbols */
	size_t count;
	char name[MODULE_NAME_SIZE_MAX];
};

struct kernel_symbols {
	struct kernel_symbol *symbols; /* by part, then address */
	size_t symbol_count;
	size_t symbol_capacity;
	struct buf names;
	struct part *parts;
	size_t part_count;
	size_t part_capacity;
	struct table parts_by_name; /* but for those of BPF programs */
	uint32_t part_latest;
	uint64_t boundaries[BOUNDARY_COUNT]; /* 0: not seen */
	struct range *ranges;		     /* by address, apart from each other */
	size_t range_count;
	bool has_address;
};

/* ---- lines ---- */

static bool part_has_name(const void *context, uint32_t number, const void *key)
{
	const struct kernel_symbols *kernel = context;

	return str_equal(kernel->parts[number].kernel_part.name, *(const struct str *)key);
}

/* BPF programs share their part's name, so they are told apart by number. */
static uint64_t hash_of_name(struct str name, uint32_t number)
{
	return table_hash_bytes(name.text, name.size, str_equal(name, STR("bpf")) ? number : 0);
}

/* Names point into the parts, which move. */
static int grow_parts(struct kernel_symbols *kernel)
{
	size_t capacity = kernel->part_capacity ? kernel->part_capacity * 2 : FIRST_PART_COUNT;

	if (capacity > KERNEL_PART_COUNT_MAX)
		return -EFBIG;

	struct part *parts = reallocarray(kernel->parts, capacity, sizeof(parts[0]));

	if (!parts)
		return -ENOMEM;
	for (size_t i = 0; i < kernel->part_count; i++)
		parts[i].kernel_part.name.text = parts[i].name;
	kernel->parts = parts;
	kernel->part_capacity = capacity;
	return 0;
}

static int add_part(struct kernel_symbols *kernel, struct str name, uint32_t *ret)
{
	assert(name.size < MODULE_NAME_SIZE_MAX);

	if (kernel->part_count == kernel->part_capacity) {
		int err = grow_parts(kernel);
		if (err)
			return err;
	}

	struct part *part = &kernel->parts[kernel->part_count];

	*part = (struct part){ .first = 0 };
	if (name.size > 0)
		memcpy(part->name, name.text, name.size);
	part->kernel_part.name = (struct str){ part->name, name.size };
	*ret = (uint32_t)kernel->part_count++;
	return 0;
}

/* The table numbers things as the array does, so BPF programs are in it too, never to be found. */
static int find_part(struct kernel_symbols *kernel, struct str module, uint32_t *ret)
{
	bool is_new = str_equal(module, STR("bpf")) || kernel->part_count == 0;
	uint32_t number = TABLE_NONE;

	/* Hundreds of symbols in a row belong to one module. */
	if (!is_new && part_has_name(kernel, kernel->part_latest, &module)) {
		*ret = kernel->part_latest;
		return 0;
	}
	if (!is_new)
		number = table_find(&kernel->parts_by_name, hash_of_name(module, 0), &module,
				    part_has_name, kernel);
	if (number == TABLE_NONE) {
		int err = add_part(kernel, module, &number);
		if (!err)
			err = table_add(&kernel->parts_by_name, hash_of_name(module, number));
		if (err)
			return err;
	}
	kernel->part_latest = number;
	*ret = number;
	return 0;
}

static void note_boundary(struct kernel_symbols *kernel, struct str name, uint64_t address,
			  bool *ret_is_boundary)
{
	for (size_t i = 0; i < BOUNDARY_COUNT; i++)
		if (str_equal(name, boundary_names[i])) {
			kernel->boundaries[i] = address;
			*ret_is_boundary = true;
		}
}

static int add_symbol(struct kernel_symbols *kernel, struct kernel_symbol symbol, struct str name)
{
	if (kernel->symbol_count == kernel->symbol_capacity) {
		size_t capacity =
			kernel->symbol_capacity ? kernel->symbol_capacity * 2 : FIRST_SYMBOL_COUNT;
		if (capacity > KERNEL_SYMBOL_COUNT_MAX)
			return -EFBIG;

		void *symbols = reallocarray(kernel->symbols, capacity, sizeof(kernel->symbols[0]));
		if (!symbols)
			return -ENOMEM;
		kernel->symbols = symbols;
		kernel->symbol_capacity = capacity;
	}
	symbol.name_offset = (uint32_t)kernel->names.size;
	symbol.name_size = (uint16_t)name.size;
	buf_add_str(&kernel->names, name);
	kernel->symbols[kernel->symbol_count++] = symbol;
	return kernel->names.error;
}

/* "ffffffffc0201000 t name\t[module]"; a line of another form is passed over. */
static int read_line(struct kernel_symbols *kernel, struct str line)
{
	struct str address_text;
	struct str type;
	struct str name;
	struct str module = { NULL, 0 };
	uint64_t address;

	if (!parse_next(&line, ' ', &address_text) || !parse_next(&line, ' ', &type) ||
	    !parse_next(&line, '\t', &name) || type.size != 1 || name.size == 0 ||
	    name.size > KERNEL_NAME_SIZE_MAX || address_text.size > ADDRESS_DIGIT_COUNT_MAX ||
	    parse_hex(address_text, &address))
		return 0;
	if (line.size > 0) {
		if (line.size < 3 || line.size - 2 >= MODULE_NAME_SIZE_MAX || line.text[0] != '[' ||
		    line.text[line.size - 1] != ']')
			return 0;
		module = (struct str){ line.text + 1, line.size - 2 };
	}

	bool is_boundary = false;
	struct kernel_symbol symbol = { .address = address };

	kernel->has_address |= address != 0;
	if (module.size == 0)
		note_boundary(kernel, name, address, &is_boundary);
	/* Small addresses are offsets in the memory of a CPU, or hidden. */
	if (is_boundary || address == 0)
		return 0;
	if (type.text[0] == 'T')
		symbol.binding = SYMBOL_GLOBAL;
	else if (type.text[0] == 't')
		symbol.binding = SYMBOL_LOCAL;
	else if (type.text[0] == 'W' || type.text[0] == 'w')
		symbol.binding = SYMBOL_WEAK;
	else
		return 0;

	int err = find_part(kernel, module, &symbol.part);
	return err ? err : add_symbol(kernel, symbol, name);
}

/* Takes the whole lines off the front of a text; how much it was leaves through ret_size. */
static int read_lines(struct kernel_symbols *kernel, struct str text, size_t *ret_size)
{
	const char *end = text.size ? memrchr(text.text, '\n', text.size) : NULL;
	struct str line;
	int err = 0;

	*ret_size = end ? (size_t)(end - text.text) + 1 : 0;
	text.size = *ret_size;
	while (!err && parse_next(&text, '\n', &line))
		err = read_line(kernel, line);
	return err;
}

/* The reading itself makes the kernel unpack its names: most of the time goes there. */
static int read_text(struct kernel_symbols *kernel, int fd)
{
	autofree char *chunk = malloc(CHUNK_SIZE);
	size_t size = 0;
	off_t offset = 0;

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t got = pread(fd, chunk + size, CHUNK_SIZE - size, offset);
		size_t used = 0;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		offset += got;
		size += (size_t)got;

		int err = read_lines(kernel, (struct str){ chunk, size }, &used);
		if (err)
			return err;
		/* A line that fills the chunk is none of the kernel's. */
		if (used == 0 && size == CHUNK_SIZE)
			return -EBADMSG;
		memmove(chunk, chunk + used, size - used);
		size -= used;
	}
}

/* ---- identities ---- */

static bool read_build_id(int fd, struct identity *ret)
{
	uint8_t notes[NOTES_SIZE_MAX];
	size_t size = 0;

	while (size < sizeof(notes)) {
		ssize_t got = pread(fd, notes + size, sizeof(notes) - size, (off_t)size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	return elf_note_build_id(notes, size, 4, ret);
}

static struct identity kernel_identity(const struct kernel_symbols_sources *sources)
{
	struct identity identity = { .kind = IDENTITY_KERNEL_RELEASE };
	size_t size = strlen(sources->release);

	assert(size > 0);
	if (sources->notes_fd >= 0 && read_build_id(sources->notes_fd, &identity))
		return identity;
	if (size > IDENTITY_SIZE_MAX)
		size = IDENTITY_SIZE_MAX;
	memcpy(identity.bytes, sources->release, size);
	identity.size = (uint8_t)size;
	return identity;
}

static bool module_build_id(const char *modules_folder, struct str name, struct identity *ret)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < name.size; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-",
			    name.text[i]))
			return false;

	int size = snprintf(path, sizeof(path), "%s/%.*s/notes/.note.gnu.build-id", modules_folder,
			    STR_PRINT(name));
	if (size < 0 || (size_t)size >= sizeof(path))
		return false;

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd >= 0 && read_build_id(fd, ret);
}

static struct identity derived_identity(const struct identity *kernel, struct str name)
{
	uint64_t hashes[2] = {
		table_hash_bytes(kernel, sizeof(*kernel), 0),
		table_hash_bytes(name.text, name.size, 0),
	};
	struct identity identity = { .kind = IDENTITY_KERNEL_RELEASE, .size = 1 + sizeof(hashes) };

	static_assert(1 + sizeof(hashes) <= (int)IDENTITY_SIZE_MAX, "an identity has room");
	memcpy(identity.bytes + 1, hashes, sizeof(hashes));
	return identity;
}

static struct str name_of(const struct kernel_symbols *kernel, const struct kernel_symbol *symbol)
{
	return (struct str){ (const char *)kernel->names.bytes + symbol->name_offset,
			     symbol->name_size };
}

static void identify_parts(struct kernel_symbols *kernel,
			   const struct kernel_symbols_sources *sources)
{
	struct identity identity = kernel_identity(sources);

	kernel->parts[KERNEL_PART].kernel_part.identity = identity;
	for (size_t i = KERNEL_PART + 1; i < kernel->part_count; i++) {
		struct part *part = &kernel->parts[i];
		struct str name = part->kernel_part.name;

		if (str_equal(name, STR("bpf")))
			name = name_of(kernel, &kernel->symbols[part->first]);
		else if (sources->modules_folder && module_build_id(sources->modules_folder, name,
								    &part->kernel_part.identity))
			continue;
		part->kernel_part.identity = derived_identity(&identity, name);
	}
}

/* ---- ranges ---- */

static int compare_symbols(const void *left, const void *right)
{
	const struct kernel_symbol *a = left;
	const struct kernel_symbol *b = right;

	if (a->part != b->part)
		return a->part < b->part ? -1 : 1;
	return (a->address > b->address) - (a->address < b->address);
}

static int compare_ranges(const void *left, const void *right)
{
	const struct range *a = left;
	const struct range *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

static void add_range(struct kernel_symbols *kernel, uint64_t start, uint64_t end, uint32_t part)
{
	if (start < end)
		kernel->ranges[kernel->range_count++] = (struct range){ start, end, part };
}

static uint64_t end_of_last(const struct kernel_symbols *kernel, const struct part *part)
{
	uint64_t last = kernel->symbols[part->first + part->count - 1].address;

	return last > UINT64_MAX - KERNEL_LAST_SIZE_MAX ? UINT64_MAX : last + KERNEL_LAST_SIZE_MAX;
}

static void add_kernel_ranges(struct kernel_symbols *kernel)
{
	const uint64_t *boundaries = kernel->boundaries;
	struct part *part = &kernel->parts[KERNEL_PART];
	uint64_t start = boundaries[TEXT_START] ? boundaries[TEXT_START]
						: boundaries[TEXT_START_OF_FUNCTIONS];

	if (!start)
		start = kernel->symbols[part->first].address;
	part->kernel_part.start = start;
	if (boundaries[TEXT_END] <= start) {
		add_range(kernel, start, end_of_last(kernel, part), KERNEL_PART);
		return;
	}
	add_range(kernel, start, boundaries[TEXT_END], KERNEL_PART);
	if (boundaries[INIT_START] >= boundaries[TEXT_END])
		add_range(kernel, boundaries[INIT_START], boundaries[INIT_END], KERNEL_PART);
}

static int make_ranges(struct kernel_symbols *kernel)
{
	kernel->ranges = calloc(kernel->part_count + 1, sizeof(kernel->ranges[0]));
	if (!kernel->ranges)
		return -ENOMEM;

	add_kernel_ranges(kernel);
	for (size_t i = KERNEL_PART + 1; i < kernel->part_count; i++) {
		struct part *part = &kernel->parts[i];

		part->kernel_part.start = kernel->symbols[part->first].address;
		add_range(kernel, part->kernel_part.start, end_of_last(kernel, part), (uint32_t)i);
	}
	assert(kernel->range_count <= kernel->part_count + 1);

	qsort(kernel->ranges, kernel->range_count, sizeof(kernel->ranges[0]), compare_ranges);
	for (size_t i = 0; i < kernel->range_count; i++) {
		struct range *range = &kernel->ranges[i];
		struct kernel_part *part = &kernel->parts[range->part].kernel_part;

		if (i + 1 < kernel->range_count && range[1].start < range->end)
			range->end = range[1].start;
		if (range->end > part->start && range->end - part->start > part->size)
			part->size = range->end - part->start;
	}
	return 0;
}

static int arrange(struct kernel_symbols *kernel)
{
	if (kernel->symbol_count == 0)
		return -EBADMSG;
	qsort(kernel->symbols, kernel->symbol_count, sizeof(kernel->symbols[0]), compare_symbols);
	for (size_t i = 0; i < kernel->symbol_count; i++) {
		struct part *part = &kernel->parts[kernel->symbols[i].part];

		if (part->count++ == 0)
			part->first = i;
	}
	return kernel->parts[KERNEL_PART].count ? 0 : -EBADMSG;
}

int kernel_symbols_read(const struct kernel_symbols_sources *sources, struct kernel_symbols **ret)
{
	autoclean(kernel_symbols) struct kernel_symbols *kernel = calloc(1, sizeof(*kernel));

	if (!kernel)
		return -ENOMEM;
	kernel->names = BUF(KERNEL_NAMES_SIZE_MAX);
	table_init(&kernel->parts_by_name, KERNEL_PART_COUNT_MAX);

	int err = find_part(kernel, STR(""), &kernel->part_latest);
	if (!err)
		err = read_text(kernel, sources->kallsyms_fd);
	if (err)
		return err;
	if (!kernel->has_address)
		return -EPERM;

	err = arrange(kernel);
	if (err)
		return err;
	identify_parts(kernel, sources);
	err = make_ranges(kernel);
	if (err)
		return err;

	*ret = TAKE(kernel);
	return 0;
}

struct kernel_symbols *kernel_symbols_free(struct kernel_symbols *kernel)
{
	if (!kernel)
		return NULL;

	kernel_symbols_forget_names(kernel);
	free(kernel->parts);
	free(kernel->ranges);
	free(kernel);
	return NULL;
}

size_t kernel_symbols_part_count(const struct kernel_symbols *kernel)
{
	return kernel->part_count;
}

const struct kernel_part *kernel_symbols_part(const struct kernel_symbols *kernel, size_t number)
{
	assert(number < kernel->part_count);
	return &kernel->parts[number].kernel_part;
}

static const struct range *find_range(const struct kernel_symbols *kernel, uint64_t address)
{
	size_t first = 0;
	size_t end = kernel->range_count;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (kernel->ranges[middle].end <= address)
			first = middle + 1;
		else
			end = middle;
	}
	return first < kernel->range_count && kernel->ranges[first].start <= address
		       ? &kernel->ranges[first]
		       : NULL;
}

size_t kernel_symbols_find(const struct kernel_symbols *kernel, uint64_t address)
{
	const struct range *range = find_range(kernel, address);

	return range ? range->part : SIZE_MAX;
}

int kernel_symbols_add_to(const struct kernel_symbols *kernel, size_t part_number,
			  struct symbol_table *table)
{
	assert(part_number < kernel->part_count);

	const struct part *part = &kernel->parts[part_number];
	const struct kernel_symbol *symbols = kernel->symbols + part->first;
	uint64_t next = UINT64_MAX;
	int err = 0;

	/* From the last to the first, which knows what follows; the table sorts anyway. */
	for (size_t i = kernel->symbols ? part->count : 0; i > 0 && !err; i--) {
		const struct kernel_symbol *symbol = &symbols[i - 1];
		const struct range *range = find_range(kernel, symbol->address);

		if (i < part->count && symbols[i].address != symbol->address)
			next = symbols[i].address;
		if (!range || range->part != part_number)
			continue;

		uint64_t start = symbol->address - part->kernel_part.start;
		struct symbol entry = {
			.start = start,
			.size = next - symbol->address,
			.end_max = range->end - part->kernel_part.start,
			.name = name_of(kernel, symbol).text,
			.name_size_max = symbol->name_size,
			.binding = symbol->binding,
		};

		err = symbol_table_add(table, &entry);
	}
	return err;
}

void kernel_symbols_forget_names(struct kernel_symbols *kernel)
{
	free(TAKE(kernel->symbols));
	buf_done(&kernel->names);
	table_done(&kernel->parts_by_name);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/eh_frame.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "symbols/cfa_program.h"
#include "symbols/dwarf_reader.h"

enum { CIE_FIRST_COUNT = 64 };

/* Pointer encodings: the low four bits say how it is written, the next three from where on. */
enum {
	POINTER_ABSOLUTE = 0x00,
	POINTER_ULEB128 = 0x01,
	POINTER_UDATA2 = 0x02,
	POINTER_UDATA4 = 0x03,
	POINTER_UDATA8 = 0x04,
	POINTER_SLEB128 = 0x09,
	POINTER_SDATA2 = 0x0a,
	POINTER_SDATA4 = 0x0b,
	POINTER_SDATA8 = 0x0c,
	POINTER_FORMAT_MASK = 0x0f,
	POINTER_FROM_PC = 0x10,
	POINTER_FROM_DATA = 0x30,
	POINTER_BASE_MASK = 0x70,
	POINTER_INDIRECT = 0x80,
	POINTER_OMITTED = 0xff,
};

struct cie {
	uint64_t offset; /* in the section */
	struct cfa_program_context context;
	struct cfa_state state; /* after its program */
	uint8_t pointer_encoding;
	bool has_augmentation_data;
};

struct section_reader {
	const struct eh_frame_section *section;
	struct unwind_rows *rows;
	struct cie *cies; /* by offset, ascending */
	size_t cie_count, cie_capacity;
	const struct cie *last;
};

/* A record's head. */
struct record {
	uint64_t offset;
	struct dwarf_reader body; /* behind the field that tells CIE from FDE */
	bool is_cie;
	uint64_t cie_offset;
};

static uint64_t address_of(const struct section_reader *reader, const uint8_t *byte)
{
	return reader->section->vaddr + (uint64_t)(byte - reader->section->bytes);
}

static uint64_t read_format(struct dwarf_reader *bytes, uint8_t format)
{
	switch (format) {
	case POINTER_ABSOLUTE:
	case POINTER_UDATA8:
	case POINTER_SDATA8:
		return dwarf_uint64(bytes);
	case POINTER_UDATA4:
		return dwarf_uint32(bytes);
	case POINTER_SDATA4:
		return (uint64_t)(int64_t)(int32_t)dwarf_uint32(bytes);
	case POINTER_UDATA2:
		return dwarf_uint16(bytes);
	case POINTER_SDATA2:
		return (uint64_t)(int64_t)(int16_t)dwarf_uint16(bytes);
	case POINTER_ULEB128:
		return dwarf_uleb(bytes);
	case POINTER_SLEB128:
		return (uint64_t)dwarf_sleb(bytes);
	default:
		bytes->failed = true;
		return 0;
	}
}

/* A pointer to code. One that is to be read from memory (indirect) can't be told from a file. */
static uint64_t read_pointer(const struct section_reader *reader, struct dwarf_reader *bytes,
			     uint8_t encoding)
{
	uint64_t here = address_of(reader, bytes->next);
	uint64_t value = read_format(bytes, encoding & POINTER_FORMAT_MASK);

	if (encoding & POINTER_INDIRECT)
		bytes->failed = true;
	switch (encoding & POINTER_BASE_MASK) {
	case POINTER_ABSOLUTE:
		return value;
	case POINTER_FROM_PC:
		return here + value;
	case POINTER_FROM_DATA:
		if (reader->section->data_vaddr)
			return reader->section->data_vaddr + value;
		break;
	default:
		break;
	}
	bytes->failed = true;
	return 0;
}

/* ---- records ---- */

/*
 * The next record: 1; 0 at the end. A length of zero ends what one object file brought, and more
 * may follow. A record that passes the end of the section ends the reading.
 */
static int next_record(struct section_reader *reader, struct dwarf_reader *rest, struct record *ret)
{
	const struct eh_frame_section *section = reader->section;

	while (dwarf_left(rest) >= sizeof(uint32_t)) {
		struct record record = { .offset = (uint64_t)(rest->next - section->bytes) };
		uint64_t size = dwarf_uint32(rest);
		bool is_64 = size == UINT32_MAX;

		if (is_64)
			size = dwarf_uint64(rest);
		if (size == 0)
			continue;

		uint64_t id_offset = (uint64_t)(rest->next - section->bytes);
		const uint8_t *bytes = dwarf_take(rest, size);

		if (!bytes) {
			reader->rows->refused_count++;
			return 0;
		}
		record.body = dwarf_reader(bytes, size);

		uint64_t id = is_64 ? dwarf_uint64(&record.body) : dwarf_uint32(&record.body);
		uint64_t cie_id = !section->is_debug_frame ? 0 : is_64 ? UINT64_MAX : UINT32_MAX;

		if (record.body.failed) {
			reader->rows->refused_count++;
			continue;
		}
		record.is_cie = id == cie_id;
		/* Wraps when it points before the section; then there is none. */
		record.cie_offset = section->is_debug_frame ? id : id_offset - id;
		*ret = record;
		return 1;
	}
	return 0;
}

/* ---- CIEs ---- */

/* The letters behind 'z' say what its data are. */
static bool read_augmentation(const char *letters, struct dwarf_reader *bytes, struct cie *cie)
{
	uint64_t size = dwarf_uleb(bytes);
	const uint8_t *data_bytes = dwarf_take(bytes, size);

	if (!data_bytes)
		return false;

	struct dwarf_reader data = dwarf_reader(data_bytes, size);

	cie->has_augmentation_data = true;
	for (; *letters && !data.failed; letters++) {
		uint8_t encoding;

		switch (*letters) {
		case 'R':
			cie->pointer_encoding = dwarf_uint8(&data);
			break;
		case 'L': /* of the exceptions' table: of no interest */
			(void)dwarf_uint8(&data);
			break;
		case 'P': /* the personality: neither, but it must be passed */
			encoding = dwarf_uint8(&data);
			if (encoding != POINTER_OMITTED)
				(void)read_format(&data, encoding & POINTER_FORMAT_MASK);
			break;
		case 'S':
			cie->context.is_signal_frame = true;
			break;
		case 'B': /* arm64: return addresses are signed with the other key */
		case 'G': /* arm64: tagged stack memory */
			break;
		default: /* what follows it can't be found */
			return false;
		}
	}
	return !data.failed;
}

static bool read_cie(const struct record *record, struct cie *cie)
{
	struct dwarf_reader bytes = record->body;
	uint8_t version = dwarf_uint8(&bytes);
	const char *augmentation = dwarf_text(&bytes);

	*cie = (struct cie){ .offset = record->offset };
	if (!augmentation || (version != 1 && version != 3 && version != 4))
		return false;
	/* Sizes of an address and of a segment selector. */
	if (version == 4 && (dwarf_uint8(&bytes) != 8 || dwarf_uint8(&bytes) != 0))
		return false;
	cie->context.code_alignment = dwarf_uleb(&bytes);
	cie->context.data_alignment = dwarf_sleb(&bytes);
	cie->context.return_register = version == 1 ? dwarf_uint8(&bytes) : dwarf_uleb(&bytes);
	if (augmentation[0] == 'z') {
		if (!read_augmentation(augmentation + 1, &bytes, cie))
			return false;
	} else if (augmentation[0]) {
		return false;
	}
	if (bytes.failed)
		return false;
	cfa_state_init(&cie->state);
	return cfa_program_run_initial(&cie->context, &bytes, &cie->state);
}

static int add_cie(struct section_reader *reader, const struct cie *cie)
{
	if (reader->cie_count == reader->cie_capacity) {
		size_t capacity =
			reader->cie_capacity ? reader->cie_capacity * 2 : (size_t)CIE_FIRST_COUNT;
		struct cie *cies = capacity > EH_FRAME_CIE_COUNT_MAX
					   ? NULL
					   : reallocarray(reader->cies, capacity, sizeof(*cies));

		if (!cies)
			return capacity > EH_FRAME_CIE_COUNT_MAX ? -EFBIG : -ENOMEM;
		reader->cies = cies;
		reader->cie_capacity = capacity;
	}
	reader->cies[reader->cie_count++] = *cie;
	return 0;
}

static const struct cie *find_cie(struct section_reader *reader, uint64_t offset)
{
	size_t low = 0;
	size_t high = reader->cie_count;

	if (reader->last && reader->last->offset == offset)
		return reader->last;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (reader->cies[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == reader->cie_count || reader->cies[low].offset != offset)
		return NULL;
	reader->last = &reader->cies[low];
	return reader->last;
}

/* First, since those of .debug_frame may stand behind what refers to them. */
static int read_cies(struct section_reader *reader)
{
	const struct eh_frame_section *section = reader->section;
	struct dwarf_reader rest = dwarf_reader(section->bytes, section->size);
	uint32_t refused_count = reader->rows->refused_count;
	struct record record;
	int err = 0;

	while (!err && next_record(reader, &rest, &record)) {
		struct cie cie;

		if (!record.is_cie)
			continue;
		if (read_cie(&record, &cie))
			err = add_cie(reader, &cie);
	}
	/* The records are counted when they are read for their functions. */
	reader->rows->refused_count = refused_count;
	return err;
}

/* ---- FDEs ---- */

static uint64_t read_location(void *context, struct dwarf_reader *bytes, uint8_t encoding)
{
	return read_pointer(context, bytes, encoding);
}

static int read_fde(struct section_reader *reader, const struct record *record)
{
	struct dwarf_reader bytes = record->body;
	const struct cie *cie = find_cie(reader, record->cie_offset);

	if (!cie) {
		reader->rows->refused_count++;
		return 0;
	}

	uint64_t start = read_pointer(reader, &bytes, cie->pointer_encoding);
	uint64_t size = read_format(&bytes, cie->pointer_encoding & POINTER_FORMAT_MASK);

	if (cie->has_augmentation_data)
		(void)dwarf_take(&bytes, dwarf_uleb(&bytes));
	if (bytes.failed) {
		reader->rows->refused_count++;
		return 0;
	}

	int err = unwind_rows_begin(reader->rows, start, size);

	/* Linkers leave those of functions that they removed, at 0 or without a size. */
	if (err == -ENOENT)
		return 0;
	if (err)
		return err;

	struct cfa_state state = cie->state;
	struct cfa_program program = {
		.context = &cie->context,
		.initial = &cie->state,
		.rows = reader->rows,
		.location = start,
		.pointer_encoding = cie->pointer_encoding,
		.read_location = read_location,
		.reader = reader,
	};

	err = cfa_program_run(&program, &bytes, &state);
	if (err == -EBADMSG) {
		unwind_rows_drop(reader->rows);
		err = 0;
	}
	return err;
}

int eh_frame_read(const struct eh_frame_section *section, struct unwind_rows *rows)
{
	struct section_reader reader = { .section = section, .rows = rows };
	struct dwarf_reader rest = dwarf_reader(section->bytes, section->size);
	struct record record;

	if (section->machine != EM_X86_64)
		return -ENOTSUP;

	int err = read_cies(&reader);

	while (!err && next_record(&reader, &rest, &record))
		if (!record.is_cie)
			err = read_fde(&reader, &record);
	free(reader.cies);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What otlp_reader.c and otlp_tables.c share; for nobody else. */

#include <assert.h>
#include <errno.h>

#include "base/limits.h"
#include "web/otlp_reader.h"
#include "web/otlp_wire.h"

/* Messages of the tables, as they came. */
enum otlp_table {
	OTLP_TABLE_ATTRIBUTES,
	OTLP_TABLE_UNITS,
	OTLP_TABLE_FUNCTIONS,
	OTLP_TABLE_MAPPINGS,
	OTLP_TABLE_LOCATIONS,
	OTLP_TABLE_LINKS,
	OTLP_TABLE_STACKS,
	OTLP_TABLE_COUNT,
};

/* Some of them that follow one another, with what nobody knows between them. */
struct otlp_run {
	struct str bytes;
	enum otlp_message message; /* in which they stand */
};

/* How nearly all locations look: a mapping, an address, a list of attributes. */
struct otlp_usual_location {
	uint8_t mapping, address, list; /* their tags, of a byte; 0: this revision has none */
	/* All of a list that is known, from its tag on, and its size; 0: none. */
	uint8_t known_size;
	uint64_t known, mask;
};

struct otlp_input {
	const struct otlp_reading *reading;
	struct otlp_report *report;
	char *reason; /* OTLP_ERROR_SIZE */
	struct otlp_layout layout;
	/* What entry 0 is added to make the old revisions' tables like the new ones'. */
	uint32_t base;
	enum otlp_message attribute_message;
	ARRAY(struct otlp_run) raw[OTLP_TABLE_COUNT];
	uint32_t raw_count[OTLP_TABLE_COUNT]; /* messages */
	/* The list of attributes that the last location had, of one, and the kind of frame that it
	 * told, in the tables: most have the same. Empty, and 0: none. */
	struct str frame_list;
	uint32_t frame_type;
	struct otlp_usual_location usual;
	struct otlp_tables tables;
};

__attribute__((format(printf, 3, 4))) int otlp_refuse(struct otlp_input *input, int err,
						      const char *format, ...);

static inline void otlp_note(struct otlp_input *input, enum otlp_flaw flaw)
{
	input->report->flaws[flaw]++;
}

/* Says so. field: of a wire type that it should not have; NULL: cut short. */
void otlp_next_refused(struct otlp_input *input, enum otlp_message message, struct str whole,
		       const struct otlp_wire_field *field);

/*
 * The next field, when it is a single number, or has a size, and its tag is one byte, as nearly all
 * are; OTLP_NO_FIELD: nothing was taken, otlp_next() tells what is there. For messages of which
 * there are thousands: nothing is kept but what the caller looks at.
 */
struct otlp_plain {
	uint64_t value;	  /* of a number */
	struct str bytes; /* of what has a size */
};

__attribute__((always_inline)) static inline enum otlp_field
otlp_plain_next(const struct otlp_input *input, struct otlp_wire *wire, enum otlp_message message,
		struct otlp_plain *ret)
{
	struct otlp_wire next = *wire;
	enum otlp_field field;
	uint8_t tag;

	if (next.next == next.end)
		return OTLP_NO_FIELD;
	tag = *next.next++;
	if (tag >= OTLP_TAG_COUNT)
		return OTLP_NO_FIELD;
	field = (enum otlp_field)input->layout.plain[message][tag];
	if (field == OTLP_NO_FIELD ||
	    !((tag & 7) == OTLP_WIRE_SIZED ? otlp_wire_sized(&next, &ret->bytes)
					   : otlp_wire_varint(&next, &ret->value)))
		return OTLP_NO_FIELD;
	*wire = next;
	return field;
}

/*
 * The next field that this revision has: 1, 0 at the end, -EBADMSG, also for one of another wire
 * type than it should have. whole is the message, for the sentence.
 */
__attribute__((always_inline)) static inline int
otlp_next(struct otlp_input *input, struct otlp_wire *wire, enum otlp_message message,
	  struct str whole, struct otlp_wire_field *field, const struct otlp_row **ret_row)
{
	const uint8_t *rows = input->layout.rows[message];
	const uint8_t *types = input->layout.types[message];
	int more;

	*ret_row = &otlp_rows[OTLP_ROW_NONE];
	while ((more = otlp_wire_next(wire, field)) > 0) {
		uint64_t number = field->number;

		if (number > OTLP_NUMBER_MAX || rows[number] == OTLP_ROW_NONE)
			continue;
		if (!(types[number] >> field->type & 1)) {
			otlp_next_refused(input, message, whole, field);
			return -EBADMSG;
		}
		*ret_row = &otlp_rows[rows[number]];
		if (field->type != OTLP_WIRE_SIZED && (*ret_row)->is_list)
			otlp_note(input, OTLP_FLAW_UNPACKED);
		return 1;
	}
	if (more == 0)
		return 0;
	otlp_next_refused(input, message, whole, NULL);
	return -EBADMSG;
}

/* The tag of a field that has a size, for otlp_wire_same(); 0, if it takes more than a byte. */
static inline uint8_t otlp_tag_of(const struct otlp_wire_field *field)
{
	uint64_t tag = field->number << 3 | OTLP_WIRE_SIZED;

	return tag < OTLP_TAG_COUNT ? (uint8_t)tag : 0;
}

/* The numbers of a field that is a list, packed or one by one. */
struct otlp_numbers {
	struct otlp_wire wire;
	uint64_t single;
	bool is_single, is_fixed, is_broken;
};

static inline struct otlp_numbers otlp_numbers_of(const struct otlp_row *row,
						  const struct otlp_wire_field *field)
{
	assert(row->is_list);
	return (struct otlp_numbers){ .wire = otlp_wire_from(field->bytes),
				      .single = field->value,
				      .is_single = field->type != OTLP_WIRE_SIZED,
				      .is_fixed = row->kind == OTLP_KIND_FIXED };
}

/* False at the end; is_broken tells whether it was one. */
static inline bool otlp_numbers_next(struct otlp_numbers *numbers, uint64_t *ret)
{
	bool is_there = numbers->wire.next < numbers->wire.end;

	if (numbers->is_single) {
		numbers->is_single = false;
		*ret = numbers->single;
		return true;
	}
	if (is_there && !(numbers->is_fixed ? otlp_wire_u64(&numbers->wire, ret)
					    : otlp_wire_varint(&numbers->wire, ret))) {
		numbers->is_broken = true;
		return false;
	}
	return is_there;
}

/* Adds one to an array, within OTLP_ITEM_COUNT_MAX: 0, -ENOMEM, or -E2BIG with a sentence. */
#define otlp_append(input, array, ...)                                                             \
	({                                                                                         \
		__auto_type list_ = (array);                                                       \
		int err_ = list_->count >= OTLP_ITEM_COUNT_MAX ? otlp_too_many(input)              \
							       : array_reserve(list_, 1);          \
		if (!err_)                                                                         \
			list_->items[list_->count++] = (__VA_ARGS__);                              \
		err_;                                                                              \
	})

int otlp_too_many(struct otlp_input *input);

/* Makes room for all numbers of a list at once; each takes a byte at least. As otlp_append(). */
#define otlp_reserve(input, array, field)                                                          \
	({                                                                                         \
		__auto_type room_ = (array);                                                       \
		size_t more_ = (field)->type == OTLP_WIRE_SIZED ? (field)->bytes.size : 1;         \
		room_->count + more_ > OTLP_ITEM_COUNT_MAX ? otlp_too_many(input)                  \
							   : array_reserve(room_, more_);          \
	})

/* A text by its number; one that is not there is "", and counted. */
static inline struct str otlp_text(struct otlp_input *input, uint64_t index)
{
	if (index < input->tables.strings.count)
		return input->tables.strings.items[index];
	if (index > 0)
		otlp_note(input, OTLP_FLAW_STRING_INDEX);
	return (struct str){ 0 };
}

/* The same where 0 means that there is none. */
static inline struct str otlp_optional_text(struct otlp_input *input, uint64_t index)
{
	return index == 0 ? (struct str){ 0 } : otlp_text(input, index);
}

/* A place in a table of count entries; one beyond it is read as none, and counted. */
static inline uint32_t otlp_index(struct otlp_input *input, uint64_t index, uint32_t count,
				  enum otlp_flaw flaw)
{
	uint64_t place = index + input->base;

	if (index < count && place < count)
		return (uint32_t)place;
	if (place > 0)
		otlp_note(input, flaw);
	return 0;
}

/* Attributes that stand where they are (KeyValue). */
int otlp_read_key_value(struct otlp_input *input, struct str message, struct otlp_attribute *ret);

/* ---- otlp_tables.c ---- */

/* Keeps the tables that stand in this message, behind what others brought. */
int otlp_collect(struct otlp_input *input, enum otlp_message message, struct str bytes);

/* Reads what was collected; the tables then have another serial. */
int otlp_tables_read(struct otlp_input *input);

/* Forgets what was collected and read; keeps the memory. */
void otlp_tables_clear(struct otlp_input *input);
void otlp_tables_done(struct otlp_input *input);
size_t otlp_tables_memory(const struct otlp_input *input);

/* ---- otlp_profile.c ---- */

enum { OTLP_TYPE_COUNT_MAX = PPROF_SAMPLE_TYPE_COUNT_MAX, OTLP_OWNER_ATTRIBUTE_COUNT_MAX = 1024 };

/* A sample as it came: values of all types of its profile. */
struct otlp_raw_sample {
	struct otlp_range stack, attributes, values, timestamps;
	uint32_t stack_number, link;
};

typedef ARRAY(struct otlp_attribute) otlp_attribute_list;
typedef ARRAY(uint64_t) otlp_number_list;

struct otlp_known_type {
	uint64_t serial; /* of the tables; 0: nothing was read */
	struct str message;
	struct otlp_value_type type;
};

/* What there is room for is used again for the next profile. */
struct otlp_profile_input {
	struct otlp_input *input;
	otlp_attribute_list resource, scope, inlined;
	ARRAY(uint32_t) stack_indices; /* of revisions without a table of stacks */
	ARRAY(uint32_t) indices;
	otlp_number_list values; /* signed, as they come */
	otlp_number_list timestamps;
	ARRAY(struct otlp_raw_sample) raw;
	ARRAY(struct otlp_sample) samples;
	struct str types[OTLP_TYPE_COUNT_MAX];
	uint32_t type_count;
	struct str period_type;
	/* What was read last as a type, and as which tables have it: most profiles have the same
	 * two. */
	struct otlp_known_type known_types[2];
	uint32_t slice_count; /* of stack_indices, which samples take slices of */
	uint64_t container_start, container_end;
	struct otlp_profile profile;
};

/* One that stands in a scope, with or without a container around it: told of, type by type. */
int otlp_profile_read(struct otlp_profile_input *profile, enum otlp_message kind,
		      struct str message);
void otlp_profile_done(struct otlp_profile_input *profile);
size_t otlp_profile_memory(const struct otlp_profile_input *profile);

/* Whether tables stand in each profile. */
bool otlp_brings_tables(const struct otlp_input *input);

/* Where a message begins in the request, for sentences. */
size_t otlp_offset(const struct otlp_input *input, struct str message);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/table.h"
#include "store/array.h"
#include "web/arena.h"

/*
 * The types of a chunk of a Java flight recording, as its metadata event tells them, and how values
 * of them lie in the file. A type is primitive, or has fields; a field is a number, a text, a
 * reference to a pool of constants, other fields in place, or an array of one of these.
 *
 * There is no description of the format but the sources of OpenJDK (jdk.jfr.internal.consumer,
 * jdk.jfr.internal.MetadataReader) and of async-profiler, which writes it, too.
 */

/*
 * A reader of the file's numbers, in the bytes of an event. They are packed, seven bits a byte and
 * eight in the ninth, unless the chunk says that they are not; all others are big endian.
 */
struct jfr_bytes {
	struct bytes bytes; /* .error: -EBADMSG behind the end */
	bool is_packed;
};

enum { JFR_PACKED_SIZE_MAX = 9 };

uint64_t jfr_packed_near_end(struct bytes *bytes);

static inline uint64_t jfr_packed(struct bytes *bytes)
{
	const uint8_t *next = bytes->next;
	uint64_t value, byte;
	unsigned shift = 0;

	if (bytes->left > 0 && *next < 0x80) {
		bytes->left--;
		return *bytes->next++;
	}
	if (bytes->left < JFR_PACKED_SIZE_MAX)
		return jfr_packed_near_end(bytes);
	value = *next++ & 0x7f;
	do {
		shift += 7;
		byte = *next++;
		value |= (shift < 56 ? byte & 0x7f : byte) << shift;
	} while (byte >= 0x80 && shift < 56);
	bytes->left -= (size_t)(next - bytes->next);
	bytes->next = next;
	return value;
}

uint64_t jfr_fixed(struct bytes *bytes, unsigned size);

static inline uint64_t jfr_long(struct jfr_bytes *bytes)
{
	return bytes->is_packed ? jfr_packed(&bytes->bytes) : jfr_fixed(&bytes->bytes, 8);
}

static inline uint32_t jfr_int(struct jfr_bytes *bytes)
{
	return (uint32_t)(bytes->is_packed ? jfr_packed(&bytes->bytes)
					   : jfr_fixed(&bytes->bytes, 4));
}

/*
 * A text that stands in place. Bytes that are no UTF-8 stay; Latin-1 and UTF-16 become UTF-8, in
 * room, which holds one text at a time and whose errors are its own. A reference to the pool of
 * texts is a *ret_reference, and is 0 otherwise.
 */
struct str jfr_text(struct jfr_bytes *bytes, struct buf *room, uint64_t *ret_reference);

void jfr_text_skip(struct jfr_bytes *bytes);

/* ---- types -----------------------------------------------------------------------------------*/

/* What somebody wants to know of a value: fields by their meaning, at most so many of a type. */
enum { JFR_SLOT_COUNT = 8 };

/* Types that somebody wants to know of. Those in front have pools that are kept. */
enum jfr_kind {
	JFR_STACK_TRACE = 0,
	JFR_METHOD,
	JFR_CLASS,
	JFR_SYMBOL,
	JFR_STRING,
	JFR_THREAD,
	JFR_THREAD_STATE,
	JFR_FRAME_TYPE,
	JFR_POOL_COUNT,

	JFR_STACK_FRAME = JFR_POOL_COUNT,
	JFR_EXECUTION_SAMPLE, /* events, from here to the last */
	JFR_NATIVE_SAMPLE,
	JFR_WALL_CLOCK_SAMPLE,
	JFR_IN_NEW_TLAB,
	JFR_OUTSIDE_TLAB,
	JFR_ALLOCATION_SAMPLE,
	JFR_MONITOR_ENTER,
	JFR_THREAD_PARK,
	JFR_CPU_TIME_SAMPLE,
	JFR_LIVE_OBJECT,
	JFR_MALLOC,
	JFR_SETTING,
	JFR_KIND_COUNT,
	JFR_OTHER = JFR_KIND_COUNT, /* nobody does */
};

/* Slots of events that samples are made of; not every event has all. */
enum {
	JFR_SAMPLE_TRACE = 0,
	JFR_SAMPLE_THREAD,
	JFR_SAMPLE_STATE,
	JFR_SAMPLE_WEIGHT, /* bytes, ticks, or a count, as its kind has it */
	JFR_SAMPLE_CONTEXT,
	JFR_SAMPLE_SPAN,
	JFR_SAMPLE_SPAN_NAME,
};

/* Slots of the others. */
enum { JFR_TRACE_TRUNCATED = 0, JFR_TRACE_FRAMES };
enum { JFR_FRAME_METHOD = 0, JFR_FRAME_LINE, JFR_FRAME_KIND };
enum { JFR_METHOD_CLASS = 0, JFR_METHOD_NAME };
enum { JFR_NAME = 0, JFR_OTHER_NAME }; /* of all that have a name, which may be a reference */
enum { JFR_SETTING_EVENT = 0, JFR_SETTING_NAME, JFR_SETTING_VALUE };

struct jfr_field {
	uint32_t type; /* number of a type, or what follows */
	uint8_t form;  /* enum jfr_form of jfr_types.c */
	int8_t slot;   /* -1: nobody wants it */
	bool is_array;
};

struct jfr_type {
	uint64_t id;
	struct str name;
	uint32_t first_field, field_count;
	enum jfr_kind kind;
	bool is_empty;	 /* its values take no bytes */
	uint32_t packed; /* all its fields are so many packed numbers; 0: they are not */
};

/* Types with ids below are found without a search: those of the JDK end at 2,000. */
enum { JFR_NEAR_ID_COUNT = 4096 };

struct jfr_types {
	bool is_packed;
	struct table table;
	uint32_t near[JFR_NEAR_ID_COUNT]; /* numbers by id */
	ARRAY(struct jfr_type) types;
	ARRAY(struct jfr_field) fields;
	uint32_t of_kind[JFR_KIND_COUNT]; /* numbers of types, TABLE_NONE where there is none */

	/* While metadata is read. */
	ARRAY(struct str) texts;
	ARRAY(uint64_t) field_types; /* ids: a type may stand behind the fields that are of it */
	struct buf room;
	struct arena kept; /* texts that are not in the file as they are here */
};

enum { JFR_ERROR_SIZE = 160 };

void jfr_types_init(struct jfr_types *types);
void jfr_types_done(struct jfr_types *types);

/*
 * Reads a metadata event, from behind its size and its type, in place of what was read before; the
 * bytes must live as long as names are asked for. -EBADMSG with a sentence, -E2BIG, -ENOMEM.
 */
int jfr_types_read(struct jfr_types *types, struct str event, bool is_packed,
		   char reterr[static JFR_ERROR_SIZE]);

/* TABLE_NONE for one that is not there. */
uint32_t jfr_types_find_far(const struct jfr_types *types, uint64_t id);

static inline uint32_t jfr_types_find(const struct jfr_types *types, uint64_t id)
{
	return id < JFR_NEAR_ID_COUNT ? types->near[id] : jfr_types_find_far(types, id);
}

/*
 * A value's fields, those with a slot: a number, which of a reference is its key; or, of what is
 * none, where it begins.
 */
struct jfr_value {
	uint64_t numbers[JFR_SLOT_COUNT];
	struct bytes places[JFR_SLOT_COUNT];
};

/*
 * Walks over a value of a type. Fields that it does not have are left as they are in *ret, which
 * may be NULL. bytes->bytes.error tells of one that does not end, or lies deeper than types do.
 */
void jfr_types_walk(const struct jfr_types *types, uint32_t type, struct jfr_bytes *bytes,
		    struct jfr_value *ret);

/* An array's number of items, each of a byte at least; the error as above. */
uint32_t jfr_types_count(struct jfr_bytes *bytes);

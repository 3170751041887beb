/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "store/array.h"
#include "web/otlp_layout.h"

/*
 * Reads a request of OpenTelemetry's profiles, of any revision, and tells profile by profile what
 * is in it, always in one form: that of the newest revision. Tables have an entry 0 that is
 * nothing; a profile has one type; a sample has values, timestamps, or both.
 *
 * The bytes are walked through and never turned into objects; texts are slices of them. What is
 * kept is some ten bytes an index and forty an entry of a table, within OTLP_ITEM_COUNT_MAX. Every
 * index is checked before it is used, and what is wrong is mended, skipped, or refused, and
 * counted.
 *
 * https://github.com/open-telemetry/opentelemetry-proto, opentelemetry/proto/profiles
 */
enum { OTLP_ERROR_SIZE = 240 };

/* What was wrong with something, and so what was done about it. */
enum otlp_flaw {
	/* Mended: */
	OTLP_FLAW_STRING_INDEX = 0, /* beyond the table: read as "" */
	OTLP_FLAW_FUNCTION_INDEX,   /* the function has no name then */
	OTLP_FLAW_LOCATION_INDEX,   /* the frame has no name then */
	OTLP_FLAW_MAPPING_INDEX,    /* read as none, as are these: */
	OTLP_FLAW_ATTRIBUTE_INDEX,
	OTLP_FLAW_LINK_INDEX,
	OTLP_FLAW_ENTRY_ZERO,	 /* of a table: it is not nothing, as it should be */
	OTLP_FLAW_LINK_ID,	 /* not 16 and 8 bytes: no link */
	OTLP_FLAW_VALUE_COUNT,	 /* values and timestamps do not belong to each other: the sum */
	OTLP_FLAW_MAPPING_RANGE, /* it ends before it starts */
	OTLP_FLAW_TIME_RANGE,	 /* a timestamp outside of its profile's time */
	OTLP_FLAW_REPEATED_KEY,	 /* of attributes: the first counts */
	OTLP_FLAW_UNPACKED,	 /* lists of numbers, one by one */
	OTLP_FLAW_UNSURE,	 /* of the revision: 1.9 and 1.10 can look the same */
	OTLP_FLAW_LABELS,	 /* attributes beyond what a sample or series may have */
	/* Skipped, a sample each: */
	OTLP_FLAW_STACK_INDEX,
	OTLP_FLAW_NO_VALUE, /* neither values nor timestamps */
	OTLP_FLAW_NEGATIVE_VALUE,
	/* Refused, a profile each: */
	OTLP_FLAW_SAMPLE_TYPE, /* not there, or without a name */
	OTLP_FLAW_EMPTY,       /* all of its samples were skipped */
	OTLP_FLAW_COUNT,
};

enum {
	OTLP_FLAW_FIRST_SKIPPED = OTLP_FLAW_STACK_INDEX,
	OTLP_FLAW_FIRST_REFUSED = OTLP_FLAW_SAMPLE_TYPE,
};

/* As /metrics names it: "stack_index"; and as a person reads it. */
const char *otlp_flaw_name(enum otlp_flaw flaw);
const char *otlp_flaw_sentence(enum otlp_flaw flaw);

enum otlp_value_kind {
	OTLP_VALUE_NONE = 0,
	OTLP_VALUE_TEXT,
	OTLP_VALUE_BOOLEAN, /* in integer, as are these: */
	OTLP_VALUE_INTEGER,
	OTLP_VALUE_NUMBER,
	OTLP_VALUE_BYTES,
	OTLP_VALUE_ARRAY, /* bytes is its message, as of a map; not looked into */
	OTLP_VALUE_MAP,
};

struct otlp_value {
	enum otlp_value_kind kind;
	union {
		int64_t integer;
		double number;
	};
	struct str bytes; /* of a text, too */
};

struct otlp_attribute {
	struct str key;
	struct str unit;
	struct otlp_value value;
};

/* A part of an array that the context names. */
struct otlp_range {
	uint32_t first;
	uint32_t count;
};

struct otlp_mapping {
	uint64_t start, limit, offset;
	struct str filename;
	/* Of attributes process.executable.build_id.…: as they come, or absent. */
	struct str gnu, go, htlhash;
};

struct otlp_function {
	struct str name, system_name, filename;
	int64_t start_line;
};

struct otlp_line {
	uint32_t function; /* 0: a name is missing */
	int64_t line, column;
};

/* Most of a request: a profiler names 25,000 of them in a MB. */
struct otlp_location {
	uint64_t address; /* of a caller the call's, not behind it */
	uint32_t mapping;
	uint32_t frame_type;	 /* in tables->frame_types */
	struct otlp_range lines; /* in tables->lines; the innermost of inlined functions first */
};

struct otlp_link {
	struct str trace_id, span_id; /* 16 and 8 bytes; or absent both */
};

/* One dictionary. Entry 0 of mappings and links is none; of others it is whatever it is. */
struct otlp_tables {
	uint64_t serial; /* another one for other contents */
	ARRAY(struct str) strings;
	ARRAY(struct otlp_attribute) attributes;
	ARRAY(struct otlp_mapping) mappings;
	ARRAY(struct otlp_function) functions;
	ARRAY(struct otlp_line) lines;
	ARRAY(struct otlp_location) locations;
	ARRAY(struct str) frame_types; /* "native", "kernel", "cpython", …; 0: absent */
	ARRAY(struct otlp_link) links;
	ARRAY(struct otlp_range) stacks; /* in indices; of locations, the leaf first */
	ARRAY(uint32_t) indices;
};

static inline struct str otlp_frame_type(const struct otlp_tables *tables,
					 const struct otlp_location *location)
{
	return location->frame_type > 0 ? tables->frame_types.items[location->frame_type]
					: (struct str){ 0 };
}

/* In a stack, in place of a location that is not there. */
#define OTLP_NO_LOCATION UINT32_MAX

struct otlp_sample {
	struct otlp_range stack;      /* in profile->stack_indices, of locations */
	struct otlp_range attributes; /* in profile->indices */
	struct otlp_range values, timestamps;
	uint32_t stack_number; /* in the tables; 0 where profiles have stacks of their own */
	uint32_t link;	       /* 0: none */
	bool is_sum;	       /* one value for all of the timestamps together */
};

struct otlp_value_type {
	struct str type, unit;
};

struct otlp_profile {
	enum otlp_revision revision;
	uint64_t number; /* in the request; of several with one number each has a type of its own */
	const struct otlp_attribute *resource, *scope;
	size_t resource_count, scope_count;
	struct str scope_name, scope_version;
	const struct otlp_tables *tables;
	const struct otlp_attribute *inlined; /* attributes that stand in the profile itself */
	size_t inlined_count;
	struct otlp_range attributes; /* in indices */
	struct otlp_value_type type, period_type;
	int64_t period;
	uint64_t time_unix_ns, duration_ns; /* 0: not said */
	struct str id;			    /* 16 bytes or absent */
	struct str payload_format;
	const struct otlp_sample *samples;
	size_t sample_count;
	const uint32_t *stack_indices;
	const uint32_t *indices;
	const int64_t *values;
	const uint64_t *timestamps; /* in ns since 1970 */
};

struct otlp_report {
	enum otlp_revision revision; /* OTLP_REVISION_NONE of a request that says nothing */
	char why[OTLP_ERROR_SIZE];   /* what told it */
	uint64_t resources, profiles, samples;
	uint64_t samples_skipped, profiles_refused;
	uint64_t flaws[OTLP_FLAW_COUNT];
};

/* What a request is read with, for one after the other: its tables grow to those of the largest. */
struct otlp_reader;

int otlp_reader_new(struct otlp_reader **ret);
struct otlp_reader *otlp_reader_free(struct otlp_reader *reader);
size_t otlp_reader_memory(const struct otlp_reader *reader);

struct otlp_reading {
	struct str bytes;	     /* unpacked */
	enum otlp_revision known;    /* what names told (JSON); else OTLP_REVISION_NONE */
	enum otlp_revision believed; /* of this sender's last request: where nothing else tells */
	/* Told of each profile with samples, in the order in which they came. What it returns
	 * below 0 ends the reading. */
	int (*take)(void *context, const struct otlp_profile *profile);
	void *context;
	struct otlp_reader *reader; /* NULL: one for this request alone */
};

/*
 * -EBADMSG for what is no such request, or one whose revision can't be told; -E2BIG beyond
 * OTLP_ITEM_COUNT_MAX; -ENOMEM; or what take returned. Errors come with a sentence, but those of
 * take. The report tells what was found up to there.
 */
int otlp_read(const struct otlp_reading *reading, struct otlp_report *report,
	      char reterr[static OTLP_ERROR_SIZE]);

/* The attribute of this key, or NULL. */
const struct otlp_attribute *otlp_find(const struct otlp_attribute *attributes, size_t count,
				       struct str key);

DEFINE_CLEANUP(struct otlp_reader *, otlp_reader, otlp_reader_free)

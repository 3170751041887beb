/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/table.h"
#include "store/array.h"
#include "web/arena.h"
#include "web/pprof_reader.h"

/*
 * For the files of the pprof reader alone: pprof_reader.c walks over tables and samples,
 * pprof_types.c makes series of sample types, pprof_locations.c makes locations of functions and
 * addresses.
 */
enum {
	PPROF_NUMBER_NONE = UINT32_MAX,
	PPROF_TEXT_SIZE_MAX = 65535, /* what a batch takes */
};

/* Something that others name by an id. */
struct pprof_thing {
	uint64_t id;
	struct str bytes; /* its message */
	uint32_t number;  /* of a location: in the batch; PPROF_NUMBER_NONE: not added yet */
};

struct pprof_things {
	const char *what;
	struct table table;
	ARRAY(struct pprof_thing) items;
};

struct pprof_value_type {
	uint64_t type, unit; /* texts */
};

struct pprof_sample_type {
	struct str id;	 /* of the profile type */
	uint32_t series; /* with the origin's labels alone */
	bool is_count;	 /* its unit is a number of things */
	uint64_t period; /* of one sample; 1 when it is not known */
};

struct pprof_sample {
	uint32_t locations[PPROF_STACK_DEPTH_MAX];
	uint32_t depth;
	bool is_cut; /* its root side did not fit */
	bool is_negative;
	int64_t values[PPROF_SAMPLE_TYPE_COUNT_MAX];
	uint32_t value_count;
	struct label labels[PPROF_LABEL_COUNT_MAX];
	uint32_t label_count;
	/* What comes of the labels. */
	uint32_t series[PPROF_SAMPLE_TYPE_COUNT_MAX];
	uint32_t sample_labels;
};

/* What samples of one stack and the same labels add up to: a total for each sample type. */
struct pprof_sum {
	uint32_t stack, sample_labels, series; /* of the first type */
};

struct pprof_total {
	uint64_t value, count;
	uint32_t series;
};

struct pprof_input {
	struct str all;
	const struct pprof_origin *origin;
	struct batch *batch;
	struct pprof_summary *summary;
	char *reason; /* PPROF_ERROR_SIZE */

	ARRAY(struct str) texts;
	struct arena repaired; /* of the texts, those that were not UTF-8 */
	struct buf joined;     /* names of a location, with their files */
	struct buf source;     /* of a build id that tells of its source */
	/* What the last mapping says, which most locations lie in; NULL: none was read. */
	const char *binary_of;
	struct named_binary binary;
	struct pprof_things mappings, locations, functions;
	struct pprof_value_type types[PPROF_SAMPLE_TYPE_COUNT_MAX];
	struct pprof_sample_type sample_types[PPROF_SAMPLE_TYPE_COUNT_MAX];
	uint32_t type_count;
	struct buf type_ids;
	/* The last labels that series were made of besides the origin's; PPROF_NUMBER_NONE. */
	uint32_t no_labels; /* the empty set */
	uint32_t other_labels, other_series[PPROF_SAMPLE_TYPE_COUNT_MAX];
	struct pprof_value_type period_type;
	uint64_t period;
	int64_t time_ns, duration_ns;
	const char *walked;	/* up to here whoever has the bytes knows that they were */
	uint64_t sample_number; /* of the one that is read, for the sentence */
	uint64_t value_count;
	size_t batch_memory; /* the batch's room when it was empty */
	/* Of this batch; its entries are made of them in the end. */
	struct table sum_table;
	ARRAY(struct pprof_sum) sums;
	ARRAY(struct pprof_total) totals; /* type_count of each sum */
	bool is_checking, is_checked;	  /* samples are looked at only; all were */
};

/* Says what is wrong, and returns err. */
int pprof_refuse(struct pprof_input *input, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same of a message, with its place. */
int pprof_refuse_at(struct pprof_input *input, const void *where, const char *what);

/*
 * Numbers of the message that stand in no list, each at its field's number, those below count: 0
 * where one is not there, the last of several. In one walk.
 */
int pprof_read_numbers(struct pprof_input *input, struct str message, const char *what,
		       size_t count, uint64_t *ret);
int pprof_get_text(struct pprof_input *input, uint64_t number, const char *what, struct str *ret);

struct pprof_thing *pprof_find_thing(struct pprof_things *things, uint64_t id);

/* The profile types' ids, once; then their series, for each batch. */
int pprof_name_types(struct pprof_input *input);
int pprof_add_types(struct pprof_input *input);

/* Sets the sample's series and sample_labels. */
int pprof_place_sample(struct pprof_input *input, struct pprof_sample *sample);

/* The location's number in the batch, or a negative errno. */
int64_t pprof_find_location(struct pprof_input *input, uint64_t id);

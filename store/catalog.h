/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/gather.h"
#include "base/identity.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/pool.h"

/*
 * The dictionaries of one span: texts, label sets, series, builds, names. Things are numbered from
 * 1; number 0 of each is there from the start: the empty text, the empty label set, and a series,
 * build and name that nothing uses.
 */
enum catalog_kind {
	CATALOG_TEXT = 0,
	CATALOG_LABELS, /* pairs of texts, uint32_t: name and value, ascending by name */
	CATALOG_SERIES, /* struct catalog_series */
	CATALOG_BUILD,	/* struct catalog_build */
	CATALOG_NAME,	/* struct catalog_line, innermost first */
	CATALOG_KIND_COUNT,
};

/* What one span may hold; when it is full the next span begins. */
enum {
	CATALOG_COUNT_MAX = 1 << 20,
	CATALOG_SIZE_MAX = 20 << 20,
	/* Of one that is written to, which lies in memory for as long: 180,000 processes, those of
	 * two hours of a host that starts 25 a second. The cache has room for one as large. */
	CATALOG_GROWING_SIZE_MAX = 12 << 20,
};

struct catalog_series {
	uint32_t labels;
	uint32_t type; /* text */
	uint64_t period;
};

struct catalog_build {
	struct identity identity;
	uint8_t kind; /* enum build_kind */
	uint8_t zero;
	uint32_t path; /* text */
};

struct catalog_line {
	uint32_t function; /* texts */
	uint32_t file;
	uint32_t line;
};

struct catalog {
	struct pool pools[CATALOG_KIND_COUNT];
	size_t room;
	bool is_closed;	  /* texts are found by what they are, all else by its number */
	bool is_numbered; /* all is found by its number */
};

int catalog_init(struct catalog *catalog);
void catalog_done(struct catalog *catalog);

/* What it may hold from now on, if it has not more already. */
void catalog_limit(struct catalog *catalog, size_t size_max);

/* A number; -E2BIG when the catalog is full, -ENOMEM. */
int64_t catalog_add(struct catalog *catalog, enum catalog_kind kind, const void *bytes,
		    size_t size);

static inline uint32_t catalog_count(const struct catalog *catalog, enum catalog_kind kind)
{
	return pool_count(&catalog->pools[kind]);
}

static inline struct str catalog_text(const struct catalog *catalog, uint32_t text)
{
	return pool_get(&catalog->pools[CATALOG_TEXT], text);
}

struct catalog_series catalog_series(const struct catalog *catalog, uint32_t series);
struct catalog_build catalog_build(const struct catalog *catalog, uint32_t build);
const struct catalog_line *catalog_lines(const struct catalog *catalog, uint32_t name,
					 size_t *ret_count);

static inline bool catalog_build_is_kernel(const struct catalog_build *build)
{
	return build->kind == BUILD_KERNEL || build->kind == BUILD_KERNEL_MODULE;
}

/* The value of a label in a label set, as a text; 0 when it has none. */
uint32_t catalog_label(const struct catalog *catalog, uint32_t labels, struct str name);

/* The text of service_name of a series; 0 when it has none. */
uint32_t catalog_service(const struct catalog *catalog, uint32_t series);

/* The same for equal labels and type in every span. */
uint64_t catalog_series_hash(const struct catalog *catalog, uint32_t series);

/* A sample's labels: those of its series, its own, and those that the store makes. */
struct catalog_sample {
	const struct catalog *catalog;
	uint32_t series;
	uint32_t labels;
};

/*
 * A selector_lookup: context is a struct catalog_sample. What has not the label that is asked for,
 * one of our own collector's, may have what OpenTelemetry calls the same: host and host.name,
 * process_name and process.executable.name, container_id and container.id, thread_name and
 * thread.name, pid and process.pid, tid and thread.id.
 */
struct str catalog_lookup(const void *context, struct str name);

/* A part of a profile type, from 0. */
struct str catalog_type_part(struct str type, unsigned part);

/* What OpenTelemetry's senders call a label of our own collector's, by which it is found as well;
 * a NULL text for others. */
struct str catalog_synonym(struct str name);

/* Gives back what its pools have room for and do not hold. */
void catalog_trim(struct catalog *catalog);

/* Their memory, into what holds all of a thing that no longer changes (base/gather.h). */
void catalog_gather(struct catalog *catalog, struct gather *gather);

size_t catalog_memory(const struct catalog *catalog);

struct sqlite3;

/*
 * Writes what the catalog has beyond written[], by number, within the caller's transaction; and
 * reads all of it from a file that may be damaged (-EBADMSG). Both translate SQLite's errors.
 */
int catalog_write(const struct catalog *catalog, const uint32_t written[static CATALOG_KIND_COUNT],
		  struct sqlite3 *database);
int catalog_read(struct catalog *catalog, struct sqlite3 *database);

/* The same for who adds nothing to it: without what sets of labels and the like are found by, which
 * is a seventh of the memory and a fifth of the time. */
int catalog_read_closed(struct catalog *catalog, struct sqlite3 *database);

/* The same for who finds nothing but by its number: without what texts are found by, a fifth more
 * of the memory. */
int catalog_read_numbered(struct catalog *catalog, struct sqlite3 *database);

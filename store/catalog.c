/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/catalog.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "store/database.h"
#include "store/word_frames.h"

static_assert(sizeof(struct catalog_series) == 16, "hashed as bytes: no padding");
static_assert(sizeof(struct catalog_build) == 48, "hashed as bytes: no padding");
static_assert(sizeof(struct catalog_line) == 12, "hashed as bytes: no padding");

enum { ROW_SIZE_MAX = 1 << 20 };

int catalog_init(struct catalog *catalog)
{
	const struct catalog_series series = { 0 };
	const struct catalog_build build = { 0 };

	catalog->room = CATALOG_SIZE_MAX;
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		pool_init(&catalog->pools[kind], CATALOG_COUNT_MAX, &catalog->room);

	int64_t number = catalog_add(catalog, CATALOG_TEXT, "", 0);

	if (number >= 0)
		number = catalog_add(catalog, CATALOG_LABELS, "", 0);
	if (number >= 0)
		number = catalog_add(catalog, CATALOG_SERIES, &series, sizeof(series));
	if (number >= 0)
		number = catalog_add(catalog, CATALOG_BUILD, &build, sizeof(build));
	if (number >= 0)
		number = catalog_add(catalog, CATALOG_NAME, "", 0);
	assert(number <= 0);
	return (int)number;
}

void catalog_limit(struct catalog *catalog, size_t size_max)
{
	size_t size = CATALOG_SIZE_MAX - catalog->room;

	assert(catalog->room <= CATALOG_SIZE_MAX);
	catalog->room = size < size_max ? size_max - size : 0;
}

void catalog_done(struct catalog *catalog)
{
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		pool_done(&catalog->pools[kind]);
}

int64_t catalog_add(struct catalog *catalog, enum catalog_kind kind, const void *bytes, size_t size)
{
	struct pool *pool = &catalog->pools[kind];

	bool is_found = kind == CATALOG_TEXT ? !catalog->is_numbered : !catalog->is_closed;

	return is_found ? pool_add(pool, bytes, size) : pool_append(pool, bytes, size);
}

struct catalog_series catalog_series(const struct catalog *catalog, uint32_t series)
{
	struct catalog_series found;
	struct str item = pool_get(&catalog->pools[CATALOG_SERIES], series);

	assert(item.size == sizeof(found));
	memcpy(&found, item.text, sizeof(found));
	return found;
}

struct catalog_build catalog_build(const struct catalog *catalog, uint32_t build)
{
	struct catalog_build found;
	struct str item = pool_get(&catalog->pools[CATALOG_BUILD], build);

	assert(item.size == sizeof(found));
	memcpy(&found, item.text, sizeof(found));
	return found;
}

const struct catalog_line *catalog_lines(const struct catalog *catalog, uint32_t name,
					 size_t *ret_count)
{
	struct str item = pool_get(&catalog->pools[CATALOG_NAME], name);

	*ret_count = item.size / sizeof(struct catalog_line);
	return (const void *)item.text;
}

uint32_t catalog_label(const struct catalog *catalog, uint32_t labels, struct str name)
{
	struct str item = pool_get(&catalog->pools[CATALOG_LABELS], labels);
	const uint32_t *pairs = (const void *)item.text;

	for (size_t i = 0; i < item.size / (2 * sizeof(pairs[0])); i++)
		if (str_equal(catalog_text(catalog, pairs[2 * i]), name))
			return pairs[2 * i + 1];
	return 0;
}

uint32_t catalog_service(const struct catalog *catalog, uint32_t series)
{
	return catalog_label(catalog, catalog_series(catalog, series).labels, STR("service_name"));
}

static uint64_t hash_text(const struct catalog *catalog, uint32_t text, uint64_t seed)
{
	struct str item = catalog_text(catalog, text);

	return table_hash_bytes(item.text, item.size, seed);
}

/* A sum, since the order of labels is that of the numbers of their texts. */
uint64_t catalog_series_hash(const struct catalog *catalog, uint32_t series)
{
	struct catalog_series found = catalog_series(catalog, series);
	struct str item = pool_get(&catalog->pools[CATALOG_LABELS], found.labels);
	const uint32_t *pairs = (const void *)item.text;
	uint64_t hash = hash_text(catalog, found.type, 0);

	for (size_t i = 0; i < item.size / (2 * sizeof(pairs[0])); i++)
		hash += hash_text(catalog, pairs[2 * i + 1], hash_text(catalog, pairs[2 * i], 1));
	return hash;
}

struct str catalog_type_part(struct str type, unsigned part)
{
	size_t start = 0;

	for (size_t i = 0; i <= type.size; i++) {
		if (i < type.size && type.text[i] != ':')
			continue;
		if (part-- == 0)
			return (struct str){ type.text + start, i - start };
		start = i + 1;
	}
	return (struct str){ 0 };
}

/* Labels that the store makes of a series' type and service. */
static struct str generated_label(const struct catalog_sample *sample, struct str name)
{
	static const struct {
		const char *name;
		unsigned part;
	} parts[] = { { "__name__", 0 },
		      { "__type__", 1 },
		      { "__unit__", 2 },
		      { "__period_type__", 3 },
		      { "__period_unit__", 4 } };
	struct catalog_series series = catalog_series(sample->catalog, sample->series);
	struct str type = catalog_text(sample->catalog, series.type);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (str_equal(name, str_from(parts[i].name)))
			return catalog_type_part(type, parts[i].part);
	if (str_equal(name, STR("__profile_type__")))
		return type;
	if (str_equal(name, STR("__service_name__"))) {
		uint32_t text = catalog_service(sample->catalog, sample->series);

		return text ? catalog_text(sample->catalog, text) : (struct str){ 0 };
	}
	return (struct str){ 0 };
}

/* What is a label of our own collector's, and what OpenTelemetry's senders call the same. */
static const struct {
	struct str ours, theirs;
} synonyms[] = {
	{ { "host", 4 }, { "host.name", 9 } },
	{ { "process_name", 12 }, { "process.executable.name", 23 } },
	{ { "container_id", 12 }, { "container.id", 12 } },
	{ { "thread_name", 11 }, { "thread.name", 11 } },
	{ { "pid", 3 }, { "process.pid", 11 } },
	{ { "tid", 3 }, { "thread.id", 9 } },
};

static uint32_t label_of(const struct catalog_sample *sample, struct str name)
{
	const struct catalog *catalog = sample->catalog;
	uint32_t text =
		catalog_label(catalog, catalog_series(catalog, sample->series).labels, name);

	return text ? text : catalog_label(catalog, sample->labels, name);
}

struct str catalog_synonym(struct str name)
{
	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (str_equal(name, synonyms[i].ours))
			return synonyms[i].theirs;
	return (struct str){ 0 };
}

struct str catalog_lookup(const void *context, struct str name)
{
	const struct catalog_sample *sample = context;
	uint32_t text = label_of(sample, name);
	struct str theirs = text ? (struct str){ 0 } : catalog_synonym(name);

	if (theirs.size > 0)
		text = label_of(sample, theirs);
	if (text)
		return catalog_text(sample->catalog, text);
	if (str_starts_with(name, STR("__")))
		return generated_label(sample, name);
	return (struct str){ 0 };
}

void catalog_trim(struct catalog *catalog)
{
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		pool_trim(&catalog->pools[kind]);
}

void catalog_gather(struct catalog *catalog, struct gather *gather)
{
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		pool_gather(&catalog->pools[kind], gather);
}

size_t catalog_memory(const struct catalog *catalog)
{
	size_t size = 0;

	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		size += pool_memory(&catalog->pools[kind]);
	return size;
}

/* ---- to and from the file -------------------------------------------------------------------- */

/* Sequences of numbers are written as varints. */
static void encode_numbers(struct str item, struct buf *buf)
{
	const uint32_t *numbers = (const void *)item.text;

	buf_clear(buf);
	for (size_t i = 0; i < item.size / sizeof(numbers[0]); i++)
		buf_add_varint(buf, numbers[i]);
}

/* Room for all of them at once: a busy host has 200,000 sets of labels, which are read at its
 * start.
 */
static int decode_numbers(struct str item, struct buf *buf)
{
	struct bytes bytes = bytes_from(item.text, item.size);
	uint32_t *numbers;
	size_t count = 0;

	/* The last byte of each. */
	for (size_t i = 0; i < item.size; i++)
		count += !(item.text[i] & 0x80);
	buf_clear(buf);
	numbers = buf_grow(buf, count * sizeof(numbers[0]));
	if (!numbers && count > 0)
		return buf->error;
	for (size_t i = 0; i < count; i++) {
		uint64_t number = bytes_varint(&bytes);

		if (number > UINT32_MAX || bytes.error)
			return -EBADMSG;
		numbers[i] = (uint32_t)number;
	}
	return bytes.left ? -EBADMSG : 0;
}

static const char *const insert_statements[CATALOG_KIND_COUNT] = {
	[CATALOG_TEXT] = "INSERT INTO text VALUES (?, ?)",
	[CATALOG_LABELS] = "INSERT INTO label_set VALUES (?, ?)",
	[CATALOG_SERIES] = "INSERT INTO series VALUES (?, ?, ?, ?)",
	[CATALOG_BUILD] = "INSERT INTO build VALUES (?, ?, ?, ?, ?)",
	[CATALOG_NAME] = "INSERT INTO name VALUES (?, ?)",
};

static int write_kind(const struct catalog *catalog, enum catalog_kind kind, uint32_t first,
		      sqlite3 *database)
{
	autoclean(statement) sqlite3_stmt *statement = NULL;
	autoclean(buf) struct buf numbers = BUF(ROW_SIZE_MAX);
	int err = database_prepare(database, insert_statements[kind], &statement);

	for (uint32_t i = first; !err && i < catalog_count(catalog, kind); i++) {
		struct str item = pool_get(&catalog->pools[kind], i);
		struct catalog_build build;
		struct catalog_series series;

		sqlite3_bind_int64(statement, 1, i);
		switch (kind) {
		case CATALOG_TEXT:
			database_bind_bytes(statement, 2, item.text, item.size);
			break;
		case CATALOG_SERIES:
			series = catalog_series(catalog, i);
			sqlite3_bind_int64(statement, 2, series.labels);
			sqlite3_bind_int64(statement, 3, series.type);
			sqlite3_bind_int64(statement, 4, (int64_t)series.period);
			break;
		case CATALOG_BUILD:
			build = catalog_build(catalog, i);
			sqlite3_bind_int64(statement, 2, build.kind);
			sqlite3_bind_int64(statement, 3, build.identity.kind);
			database_bind_bytes(statement, 4, build.identity.bytes,
					    build.identity.size);
			sqlite3_bind_int64(statement, 5, build.path);
			break;
		default:
			encode_numbers(item, &numbers);
			if (numbers.error)
				return numbers.error;
			database_bind_bytes(statement, 2, numbers.bytes, numbers.size);
		}
		err = database_run(statement);
	}
	return err;
}

int catalog_write(const struct catalog *catalog, const uint32_t written[static CATALOG_KIND_COUNT],
		  sqlite3 *database)
{
	int err = 0;

	for (int kind = 0; !err && kind < CATALOG_KIND_COUNT; kind++)
		if (written[kind] < catalog_count(catalog, (enum catalog_kind)kind))
			err = write_kind(catalog, (enum catalog_kind)kind, written[kind], database);
	return err;
}

static const char *const select_statements[CATALOG_KIND_COUNT] = {
	[CATALOG_TEXT] = "SELECT id, text FROM text ORDER BY id",
	[CATALOG_LABELS] = "SELECT id, pairs FROM label_set ORDER BY id",
	[CATALOG_SERIES] = "SELECT id, label_set, type, period FROM series ORDER BY id",
	[CATALOG_BUILD] = "SELECT id, kind, identity_kind, identity, path FROM build ORDER BY id",
	[CATALOG_NAME] = "SELECT id, lines FROM name ORDER BY id",
};

/* Whether the numbers make whole items of so many, and are texts but for the lines of names. */
static bool are_texts(const struct catalog *catalog, const struct buf *numbers, size_t period)
{
	const uint32_t *items = (const void *)numbers->bytes;
	size_t count = numbers->size / sizeof(items[0]);

	if (count % period != 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		bool is_line = period == 3 && i % 3 == 2;

		if (!is_line && items[i] >= catalog_count(catalog, CATALOG_TEXT))
			return false;
	}
	return true;
}

/* A number in a column, checked against what it counts. */
static bool column_number(sqlite3_stmt *row, int column, int64_t count, uint32_t *ret)
{
	int64_t number = sqlite3_column_int64(row, column);

	*ret = (uint32_t)number;
	return number >= 0 && number < count;
}

static int64_t read_row(struct catalog *catalog, enum catalog_kind kind, sqlite3_stmt *row,
			struct buf *numbers)
{
	int64_t text_count = catalog_count(catalog, CATALOG_TEXT);
	struct catalog_series series = { 0 };
	struct catalog_build build = { 0 };
	struct str bytes;
	int err = 0;

	switch (kind) {
	case CATALOG_TEXT:
		bytes = database_column(row, 1);
		return catalog_add(catalog, kind, bytes.text, bytes.size);
	case CATALOG_SERIES:
		series.period = (uint64_t)sqlite3_column_int64(row, 3);
		if (!column_number(row, 1, catalog_count(catalog, CATALOG_LABELS),
				   &series.labels) ||
		    !column_number(row, 2, text_count, &series.type))
			return -EBADMSG;
		return catalog_add(catalog, kind, &series, sizeof(series));
	case CATALOG_BUILD:
		bytes = database_column(row, 3);
		build.kind = (uint8_t)sqlite3_column_int(row, 1);
		build.identity.kind = (uint8_t)sqlite3_column_int(row, 2);
		if (bytes.size > IDENTITY_SIZE_MAX ||
		    !column_number(row, 4, text_count, &build.path))
			return -EBADMSG;
		build.identity.size = (uint8_t)bytes.size;
		memcpy(build.identity.bytes, bytes.text, bytes.size);
		return catalog_add(catalog, kind, &build, sizeof(build));
	default:
		err = decode_numbers(database_column(row, 1), numbers);
		if (err)
			return err == -EFBIG ? -EBADMSG : err;
		if (!are_texts(catalog, numbers, kind == CATALOG_LABELS ? 2 : 3))
			return -EBADMSG;
		return catalog_add(catalog, kind, numbers->bytes, numbers->size);
	}
}

static int read_kind(struct catalog *catalog, enum catalog_kind kind, sqlite3 *database)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	autoclean(buf) struct buf numbers = BUF(ROW_SIZE_MAX);
	int err = database_prepare(database, select_statements[kind], &row);

	if (err)
		return err;
	while ((err = database_step(row)) > 0) {
		uint32_t expected = catalog_count(catalog, kind);
		int64_t number = read_row(catalog, kind, row, &numbers);

		if (number < 0)
			return number == -E2BIG ? -EBADMSG : (int)number;
		/* Without holes, and what is found by what it is once. */
		if (number != expected || sqlite3_column_int64(row, 0) != number)
			return -EBADMSG;
	}
	return err;
}

int catalog_read(struct catalog *catalog, sqlite3 *database)
{
	int err = word_frames_read(catalog, database);

	for (int kind = 0; !err && kind < CATALOG_KIND_COUNT; kind++)
		err = read_kind(catalog, (enum catalog_kind)kind, database);
	return err;
}

int catalog_read_closed(struct catalog *catalog, sqlite3 *database)
{
	catalog->is_closed = true;
	return catalog_read(catalog, database);
}

int catalog_read_numbered(struct catalog *catalog, sqlite3 *database)
{
	catalog->is_numbered = true;
	return catalog_read_closed(catalog, database);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/word_frames.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "store/database.h"

enum {
	FRAME_COUNT = 8192,    /* words of one frame */
	FRAME_SIZE = 16 << 20, /* bytes of texts, after which it ends before */
	PLACE_COUNT = 64,      /* of label sets, whose numbers are compared */

	TEXT_SHARED = 0, /* bytes at the start that are the last text's */
	TEXT_SIZES,	 /* of the rest */
	TEXT_BYTES,
	TEXT_COLUMN_COUNT,

	SET_SIZES = 0, /* how many numbers */
	SET_NUMBERS,   /* less than what stood at the same place in the last set */
	SET_COLUMN_COUNT,
};

static size_t shared_size(struct str a, struct str b)
{
	size_t size = 0;

	while (size < a.size && size < b.size && a.text[size] == b.text[size])
		size++;
	return size;
}

/* Returns the first that is not in it. */
static uint32_t fill_texts(const struct catalog *catalog, uint32_t first, struct buf *columns)
{
	struct str last = STR("");
	uint32_t next = first;

	for (; next < catalog_count(catalog, CATALOG_TEXT) && next - first < FRAME_COUNT &&
	       columns[TEXT_BYTES].size < FRAME_SIZE;
	     next++) {
		struct str text = catalog_text(catalog, next);
		size_t shared = shared_size(last, text);

		column_put(&columns[TEXT_SHARED], shared);
		column_put(&columns[TEXT_SIZES], text.size - shared);
		buf_add(&columns[TEXT_BYTES], text.text + shared, text.size - shared);
		last = text;
	}
	return next;
}

static uint32_t fill_sets(const struct catalog *catalog, uint32_t first, struct buf *columns)
{
	uint32_t last[PLACE_COUNT] = { 0 };
	uint32_t next = first;

	for (; next < catalog_count(catalog, CATALOG_LABELS) && next - first < FRAME_COUNT;
	     next++) {
		struct str item = pool_get(&catalog->pools[CATALOG_LABELS], next);
		const uint32_t *numbers = (const void *)item.text;
		size_t count = item.size / sizeof(numbers[0]);

		column_put(&columns[SET_SIZES], count);
		for (size_t i = 0; i < count; i++) {
			int64_t more = (int64_t)numbers[i] - last[i % PLACE_COUNT];

			column_put(&columns[SET_NUMBERS],
				   ((uint64_t)more << 1) ^ (more < 0 ? UINT64_MAX : 0));
			last[i % PLACE_COUNT] = numbers[i];
		}
	}
	return next;
}

static int write_kind(const struct catalog *catalog, enum catalog_kind kind, struct codec *codec,
		      struct sqlite3 *database)
{
	bool are_texts = kind == CATALOG_TEXT;
	size_t column_count = are_texts ? TEXT_COLUMN_COUNT : SET_COLUMN_COUNT;
	autoclean(statement) sqlite3_stmt *insert = NULL;
	autoclean(buf) struct buf blob = BUF(COLUMNS_PLAIN_SIZE_MAX);
	/* Number 0 is there without being written. */
	uint32_t next = 1;
	int err = database_prepare(database, "INSERT INTO word_frame (kind, words) VALUES (?, ?)",
				   &insert);

	while (!err && next < catalog_count(catalog, kind)) {
		struct buf *columns = codec_columns(codec, column_count);

		next = are_texts ? fill_texts(catalog, next, columns)
				 : fill_sets(catalog, next, columns);
		err = codec_pack_columns(codec, column_count, &blob);
		if (err)
			break;
		sqlite3_bind_int64(insert, 1, kind);
		database_bind_bytes(insert, 2, blob.bytes, blob.size);
		err = database_run(insert);
	}
	return err;
}

int word_frames_write(const struct catalog *catalog, struct codec *codec, struct sqlite3 *database)
{
	int err = write_kind(catalog, CATALOG_TEXT, codec, database);

	return err ? err : write_kind(catalog, CATALOG_LABELS, codec, database);
}

/* Numbered as they stand; what is found by what it is once. */
static int add_word(struct catalog *catalog, enum catalog_kind kind, const void *bytes, size_t size)
{
	uint32_t expected = catalog_count(catalog, kind);
	int64_t number = catalog_add(catalog, kind, bytes, size);

	if (number < 0)
		return number == -E2BIG ? -EBADMSG : (int)number;
	return number == expected ? 0 : -EBADMSG;
}

static int read_texts(struct catalog *catalog, struct bytes *columns)
{
	autoclean(buf) struct buf text = BUF(COLUMNS_PLAIN_SIZE_MAX);
	int err = 0;

	while (!err && columns[TEXT_SHARED].left) {
		uint64_t shared = column_take(&columns[TEXT_SHARED]);
		uint64_t size = column_take(&columns[TEXT_SIZES]);
		const void *rest = bytes_take(&columns[TEXT_BYTES], size);

		if (shared > text.size || columns[TEXT_SHARED].error || columns[TEXT_SIZES].error ||
		    columns[TEXT_BYTES].error)
			return -EBADMSG;
		text.size = shared;
		buf_add(&text, rest, size);
		err = text.error ? text.error
				 : add_word(catalog, CATALOG_TEXT, text.bytes, text.size);
	}
	if (err)
		return err;
	return columns[TEXT_SIZES].left || columns[TEXT_BYTES].left ? -EBADMSG : 0;
}

static int read_set(struct catalog *catalog, struct bytes *columns, uint32_t *last,
		    struct buf *numbers)
{
	uint64_t count = bytes_varint(&columns[SET_SIZES]);

	/* A byte each at least. */
	if (columns[SET_SIZES].error || count > columns[SET_NUMBERS].left || count % 2 != 0)
		return -EBADMSG;
	buf_clear(numbers);
	for (uint64_t i = 0; i < count; i++) {
		int64_t number = last[i % PLACE_COUNT];

		if (__builtin_add_overflow(number, bytes_zigzag(&columns[SET_NUMBERS]), &number) ||
		    number < 0 || number >= catalog_count(catalog, CATALOG_TEXT))
			return -EBADMSG;
		last[i % PLACE_COUNT] = (uint32_t)number;
		buf_add(numbers, &last[i % PLACE_COUNT], sizeof(last[0]));
	}
	if (numbers->error || columns[SET_NUMBERS].error)
		return numbers->error ? numbers->error : -EBADMSG;
	return add_word(catalog, CATALOG_LABELS, numbers->bytes, numbers->size);
}

static int read_sets(struct catalog *catalog, struct bytes *columns)
{
	autoclean(buf) struct buf numbers = BUF(COLUMNS_PLAIN_SIZE_MAX);
	uint32_t last[PLACE_COUNT] = { 0 };
	int err = 0;

	while (!err && columns[SET_SIZES].left)
		err = read_set(catalog, columns, last, &numbers);
	if (err)
		return err;
	return columns[SET_NUMBERS].left ? -EBADMSG : 0;
}

static int read_frame(struct catalog *catalog, struct codec *codec, sqlite3_stmt *row)
{
	struct str blob = database_column(row, 1);
	bool are_texts = sqlite3_column_int64(row, 0) == CATALOG_TEXT;
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob.text, blob.size,
				       are_texts ? TEXT_COLUMN_COUNT : SET_COLUMN_COUNT, columns);

	if (err)
		return err;
	return are_texts ? read_texts(catalog, columns) : read_sets(catalog, columns);
}

int word_frames_read(struct catalog *catalog, struct sqlite3 *database)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	autoclean(codec) struct codec *codec = NULL;
	int64_t count = 0;
	int err = database_number(
		database, "SELECT count(*) FROM sqlite_master WHERE name = 'word_frame'", &count);

	/* Files of earlier schemas have none. */
	if (err || count == 0)
		return err;
	err = codec_new(&codec);
	if (!err)
		err = database_prepare(
			database, "SELECT kind, words FROM word_frame ORDER BY kind, id", &row);
	while (!err && (err = database_step(row)) > 0)
		err = read_frame(catalog, codec, row);
	return err;
}

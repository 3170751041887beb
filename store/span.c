/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/span.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/store_private.h"

enum {
	HEADER_SIZE = 100, /* https://www.sqlite.org/fileformat.html §1.3 */
	HEADER_WRITE_VERSION = 18,
	HEADER_USER_VERSION = 60,
	HEADER_APPLICATION_ID = 68,
	HEADER_VERSION_PLAIN = 1, /* 2: with a log */
	NAME_ATTEMPT_COUNT = 1000,
	STAMP_SIZE = 24,
	SEALED_MODE = 0440,
};

/* ---- files ----------------------------------------------------------------------------------- */

static void write_stamp(int64_t unix_ms, char stamp[static STAMP_SIZE])
{
	time_t seconds = (time_t)(unix_ms / CLOCK_MS_PER_S);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(stamp, STAMP_SIZE, "%Y%m%dT%H%M%S", &tm) == 0)
		snprintf(stamp, STAMP_SIZE, "%" PRId64, unix_ms);
}

static int join_path(const char *folder, const char *name, char **ret)
{
	if (asprintf(ret, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	if (strlen(*ret) >= STORE_PATH_SIZE_MAX) {
		free(*ret);
		*ret = NULL;
		return -ENAMETOOLONG;
	}
	return 0;
}

static bool has_companion(const char *path, const char *suffix)
{
	char other[STORE_PATH_SIZE_MAX + 16];
	struct stat status;

	snprintf(other, sizeof(other), "%s%s", path, suffix);
	return stat(other, &status) == 0;
}

uint64_t span_file_bytes(const char *path)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	uint64_t bytes = 0;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char file[STORE_PATH_SIZE_MAX + 16];
		struct stat status;

		snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
		if (stat(file, &status) == 0)
			bytes += (uint64_t)status.st_blocks * 512;
	}
	return bytes;
}

int64_t span_file_time(const char *path)
{
	struct stat status;

	if (stat(path, &status))
		return 0;
	/* Sealing changes the mode: that is when it was done, whatever a copy made of the rest. */
	return status.st_ctim.tv_sec * CLOCK_MS_PER_S + status.st_ctim.tv_nsec / CLOCK_NS_PER_MS;
}

int span_set_aside_file(const char *folder, const char *name)
{
	static const char *const suffixes[] = { "-wal", "-shm", "-journal", "" };
	char stamp[STAMP_SIZE];
	int err = 0;

	write_stamp(clock_unix_ms(), stamp);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char from[STORE_PATH_SIZE_MAX + 16];
		char to[STORE_PATH_SIZE_MAX + 64];

		snprintf(from, sizeof(from), "%s/%s%s", folder, name, suffixes[i]);
		snprintf(to, sizeof(to), "%s/%s.damaged-%s%s", folder, name, stamp, suffixes[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			err = -errno;
	}
	return err;
}

/* Makes sure that a file's bytes, or a folder's names, are on disk. */
static int sync_path(const char *path, int flags)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int sync_folder_of(const char *path)
{
	char folder[STORE_PATH_SIZE_MAX];
	struct str base = str_base_name(str_from(path));
	size_t size = strlen(path) - base.size;

	assert(size < sizeof(folder));
	memcpy(folder, path, size);
	folder[size] = '\0';
	return sync_path(size ? folder : ".", O_DIRECTORY);
}

/* ---- making and freeing ---------------------------------------------------------------------- */

static int span_new(const char *folder, const char *name, struct span **ret)
{
	struct span *span = calloc(1, sizeof(*span));

	if (!span)
		return -ENOMEM;
	span->references = 1;
	connections_init(&span->connections);
	span_words_init(&span->words);
	pool_init(&span->sample_labels, CHRONICLE_LABEL_COUNT_MAX, NULL);
	snprintf(span->name, sizeof(span->name), "%s", name);

	int err = join_path(folder, name, &span->path);

	if (err) {
		span_free(span);
		return err;
	}
	span->connections.path = span->path;
	*ret = span;
	return 0;
}

static void close_writer(struct span *span)
{
	sqlite3_finalize(span->insert_window);
	span->insert_window = NULL;
	span->writer = database_close(span->writer);
	span->codec = codec_free(span->codec);
}

struct span *span_free(struct span *span)
{
	if (!span)
		return NULL;
	connections_done(&span->connections);
	span_words_done(&span->words);
	close_writer(span);
	live_free(span->live);
	array_done(&span->gaps.gaps);
	array_done(&span->pieces.pieces);
	pool_done(&span->sample_labels);
	array_done(&span->segments.rows);
	/* Nobody reads it any more. */
	if (span->is_gone)
		(void)unlink(span->path);
	free(span->path);
	free(span);
	return NULL;
}

static const char insert_window_sql[] =
	"INSERT INTO window (id, segment, first_ms, last_ms, end_ms, samples, runs, entries, "
	"nodes, "
	"locations, cells) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/* Called by SQLite after each commit. */
static int note_log(void *context, sqlite3 *database, const char *name, int page_count)
{
	struct span *span = context;

	(void)database;
	(void)name;
	span->log_page_count = page_count;
	return SQLITE_OK;
}

static int open_writer(struct span *span)
{
	int err = database_open(span->path, DATABASE_WRITE, &span->writer);

	if (err)
		return err;
	sqlite3_wal_hook(span->writer, note_log, span);
	return codec_new(&span->codec);
}

/* What 'late' says (store/words.sql). */
enum lateness { ON_TIME = 0, LATE = 1, PAST = 2 };

static enum lateness lateness_of(const struct span *span)
{
	if (span->is_late)
		return LATE;
	return span->is_past ? PAST : ON_TIME;
}

/* In one transaction, so that a file either is a span or is empty. */
static int write_schema(struct span *span)
{
	autoclean(buf) struct buf sql = BUF(1 << 20);

	buf_printf(&sql,
		   "BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; %s%s"
		   "INSERT INTO meta VALUES ('from', %" PRId64 "), ('until', %" PRId64
		   "), ('late', %d), ('identity', %" PRIu64
		   "), ('chronicle', %d), ('clean', %" PRIu64 "); COMMIT;",
		   SPAN_APPLICATION_ID, SPAN_VERSION, store_words_span,
		   span->is_chronicle ? store_chronicle_span : store_schema_span, span->from_ms,
		   span->until_ms, lateness_of(span), span->identity, span->is_chronicle,
		   span->clean_until);
	buf_add_u8(&sql, 0);
	return sql.error ? sql.error : database_execute(span->writer, (const char *)sql.bytes);
}

static int make_file(const char *folder, struct span_range range, uint32_t *number,
		     struct span **ret)
{
	char stamp[STAMP_SIZE];

	write_stamp(range.from_ms, stamp);
	for (int i = 0; i < NAME_ATTEMPT_COUNT; i++) {
		char name[SPAN_NAME_SIZE];
		int err = 0;

		snprintf(name, sizeof(name), "%s-%" PRIu32 "%s.db", stamp, (*number)++,
			 range.is_chronicle ? "r" : "");
		err = span_new(folder, name, ret);
		if (err)
			return err;

		/* An empty file is a database without tables. */
		int fd = open((*ret)->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640);

		if (fd >= 0) {
			close(fd);
			return 0;
		}
		err = -errno;
		*ret = span_free(*ret);
		/* Somebody put it there meanwhile. */
		if (err != -EEXIST)
			return err;
	}
	return -EEXIST;
}

/* Never 0, and small enough for SQLite. */
static int make_identity(uint64_t *ret)
{
	if (getrandom(ret, sizeof(*ret), 0) != sizeof(*ret))
		return -EIO;
	*ret = (*ret & INT64_MAX) | 1;
	return 0;
}

int span_create(const char *folder, struct span_range range, uint32_t *number, struct span **ret)
{
	autoclean(span) struct span *span = NULL;
	int err = make_file(folder, range, number, &span);

	if (err)
		return err;
	span->from_ms = range.from_ms;
	span->until_ms = range.until_ms;
	span->is_late = range.is_late;
	span->is_past = range.is_past;
	span->is_chronicle = range.is_chronicle;
	span->clean_until = range.clean_until;
	span->version = SPAN_VERSION;
	err = make_identity(&span->identity);
	if (!err)
		err = open_writer(span);
	if (!err)
		err = write_schema(span);
	if (!err && !span->is_chronicle)
		err = database_prepare(span->writer, insert_window_sql, &span->insert_window);
	if (!err && !span->is_chronicle)
		err = live_new(&span->live);
	/* Whoever rolls up opens it anew. */
	if (!err && span->is_chronicle)
		close_writer(span);
	if (!err)
		err = sync_folder_of(span->path);
	if (err) {
		close_writer(span);
		unlink(span->path);
		return err == -EUCLEAN ? -EIO : err;
	}
	*ret = TAKE(span);
	return 0;
}

/* ---- opening what is there ------------------------------------------------------------------- */

static uint32_t read_big_endian(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

/* None of the earlier ones was ever released. */
static bool knows_version(int64_t version)
{
	return version >= SPAN_VERSION_OLDEST && version <= SPAN_VERSION;
}

int span_file_is_sealed(const char *path, bool *ret)
{
	uint8_t header[HEADER_SIZE];
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;

	ssize_t size = pread(fd, header, sizeof(header), 0);

	if (size < 0)
		return -errno;
	/* A power cut while the file was made: SQLite takes back what was not whole. */
	if (size == 0 || has_companion(path, "-journal")) {
		*ret = false;
		return 0;
	}
	if (size < HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0)
		return -EUCLEAN;
	*ret = header[HEADER_WRITE_VERSION] == HEADER_VERSION_PLAIN && !has_companion(path, "-wal");
	if (!*ret)
		return 0;
	if (read_big_endian(header + HEADER_APPLICATION_ID) != SPAN_APPLICATION_ID)
		return -EUCLEAN;
	return knows_version(read_big_endian(header + HEADER_USER_VERSION)) ? 0 : -EPROTONOSUPPORT;
}

/* What a file says of itself; store/words.sql has what each means. */
enum meta_key {
	META_FROM,
	META_UNTIL,
	META_LATE,
	META_IDENTITY,
	META_CHRONICLE,
	META_CLEAN,
	META_FINISHED,
	META_JOINED,
	META_COMPACT,
	META_FOLDED,
	META_NODES,
	META_NODES_MAX,
	META_COUNT,
};

static const char *const meta_keys[META_COUNT] = {
	[META_FROM] = "from",		[META_UNTIL] = "until",
	[META_LATE] = "late",		[META_IDENTITY] = "identity",
	[META_CHRONICLE] = "chronicle", [META_CLEAN] = "clean",
	[META_FINISHED] = "finished",	[META_JOINED] = "joined",
	[META_COMPACT] = "compact",	[META_FOLDED] = "folded",
	[META_NODES] = "nodes",		[META_NODES_MAX] = "nodes_max",
};

struct meta {
	bool is_there[META_COUNT];
	int64_t values[META_COUNT]; /* 0: not there */
};

/* All in one: a month is 150 files to open, and to ask for each took a tenth of that. */
static int read_meta(sqlite3 *database, struct meta *ret)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(database, "SELECT key, value FROM meta", &row);

	*ret = (struct meta){ 0 };
	while (!err && (err = database_step(row)) > 0) {
		struct str key = database_column(row, 0);

		err = 0;
		for (unsigned i = 0; i < META_COUNT; i++)
			if (str_equal(key, str_from(meta_keys[i]))) {
				ret->is_there[i] = true;
				ret->values[i] = sqlite3_column_int64(row, 1);
			}
	}
	return err;
}

static int read_range(struct span *span, sqlite3 *database, const struct meta *meta)
{
	int64_t version = 0;
	int err = database_number(database, "PRAGMA user_version", &version);

	/* The others are of later versions. */
	for (unsigned i = META_FROM; !err && i <= META_IDENTITY; i++)
		if (!meta->is_there[i])
			err = -EUCLEAN;
	span->version = (uint32_t)version;
	span->from_ms = meta->values[META_FROM];
	span->until_ms = meta->values[META_UNTIL];
	span->is_late = meta->values[META_LATE] == LATE;
	span->is_past = meta->values[META_LATE] == PAST;
	span->identity = (uint64_t)meta->values[META_IDENTITY];
	span->is_chronicle = meta->values[META_CHRONICLE] != 0;
	return err == -ENODATA ? -EUCLEAN : err;
}

/* Files from before there were any, or that were never written anew, do not say. */
static void read_deletions(struct span *span, const struct meta *meta)
{
	span->clean_until = (uint64_t)meta->values[META_CLEAN];
	span->finished_ms = meta->values[META_FINISHED];
}

/* Files from before this was noted are looked through: a page for each tree, nearly all of them. */
static int count_nodes(struct span *span, sqlite3 *database)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(database,
				   "SELECT coalesce(sum(node_count), 0), "
				   "coalesce(max(node_count), 0) FROM tree",
				   &row);

	if (!err)
		err = database_step(row);
	if (err <= 0)
		return err;
	span->nodes = (uint64_t)sqlite3_column_int64(row, 0);
	span->nodes_max = (uint64_t)sqlite3_column_int64(row, 1);
	return 0;
}

static int read_nodes(struct span *span, sqlite3 *database, const struct meta *meta)
{
	span->nodes = (uint64_t)meta->values[META_NODES];
	span->nodes_max = (uint64_t)meta->values[META_NODES_MAX];
	return meta->is_there[META_NODES] && meta->is_there[META_NODES_MAX]
		       ? 0
		       : count_nodes(span, database);
}

int span_note_nodes(sqlite3 *database)
{
	return database_execute(database,
				"INSERT OR REPLACE INTO meta "
				"SELECT 'nodes', coalesce(sum(node_count), 0) FROM tree UNION ALL "
				"SELECT 'nodes_max', coalesce(max(node_count), 0) FROM tree");
}

/* What became of it when it was written anew. */
static int read_compaction(struct span *span, sqlite3 *database, const struct meta *meta)
{
	span->is_compact = meta->values[META_COMPACT] != 0;
	span->shares_trees = span->is_compact || meta->values[META_JOINED] != 0;
	if (!span->shares_trees)
		return 0;
	/* Its age does not begin anew. */
	if (!meta->is_there[META_FINISHED] || (span->is_compact && !meta->is_there[META_FOLDED]))
		return -EUCLEAN;
	span->folded = span->is_compact ? (uint64_t)meta->values[META_FOLDED] : 0;
	return read_nodes(span, database, meta);
}

static void include_segment(struct span *span, const struct segment_row *row)
{
	bool is_first = span->end_ms == 0;

	if (is_first || row->first_ms < span->first_ms)
		span->first_ms = row->first_ms;
	if (is_first || row->last_ms > span->last_ms)
		span->last_ms = row->last_ms;
	if (is_first || row->end_ms > span->end_ms)
		span->end_ms = row->end_ms;
	span->samples += row->samples;
	if (row->samples > span->segment_samples)
		span->segment_samples = row->samples;
}

static int read_segments(struct span *span, sqlite3 *database, struct segment_rows *ret)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err =
		database_prepare(database,
				 "SELECT id, first_window, last_window, first_ms, last_ms, end_ms, "
				 "samples, typeof(pairs) <> 'null' FROM segment ORDER BY id",
				 &row);

	if (err)
		return err;
	while ((err = database_step(row)) > 0) {
		struct segment_row segment = {
			.number = (uint32_t)sqlite3_column_int64(row, 0),
			.first_window = sqlite3_column_int64(row, 1),
			.last_window = sqlite3_column_int64(row, 2),
			.first_ms = sqlite3_column_int64(row, 3),
			.last_ms = sqlite3_column_int64(row, 4),
			.end_ms = sqlite3_column_int64(row, 5),
			.samples = (uint64_t)sqlite3_column_int64(row, 6),
			.is_whole = sqlite3_column_int(row, 7) != 0,
		};

		if (array_reserve(&ret->rows, 1) < 0)
			return -ENOMEM;
		ret->rows.items[ret->rows.count++] = segment;
		include_segment(span, &segment);
	}
	return err;
}

static int read_gaps(struct span *span, sqlite3 *database)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(database, "SELECT from_ms, to_ms, reason FROM gap ORDER BY id",
				   &row);

	if (err)
		return err;
	while ((err = database_step(row)) > 0 && span->gaps.gaps.count < SPAN_GAP_COUNT_MAX) {
		if (array_reserve(&span->gaps.gaps, 1) < 0)
			return -ENOMEM;
		span->gaps.gaps.items[span->gaps.gaps.count++] = (struct store_gap){
			.from_unix_ms = sqlite3_column_int64(row, 0),
			.to_unix_ms = sqlite3_column_int64(row, 1),
			.reason = (uint8_t)sqlite3_column_int(row, 2),
		};
	}
	span->gaps_written = span->gaps.gaps.count;
	return err < 0 ? err : 0;
}

static int read_sources(sqlite3 *database, struct sources *sources)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(database, "SELECT source, sequence FROM source", &row);

	if (err)
		return err;
	while ((err = database_step(row)) > 0) {
		err = sources_note(sources, (uint64_t)sqlite3_column_int64(row, 0),
				   (uint64_t)sqlite3_column_int64(row, 1));
		if (err)
			return err;
	}
	return err;
}

static void include_piece(struct span *span, const struct piece *piece)
{
	bool is_first = span->end_ms == 0;

	if (is_first || piece->first_ms < span->first_ms)
		span->first_ms = piece->first_ms;
	if (is_first || piece->last_ms > span->last_ms)
		span->last_ms = piece->last_ms;
	if (is_first || piece->end_ms > span->end_ms)
		span->end_ms = piece->end_ms;
}

int span_add_piece(struct span *span, const struct piece *piece, const struct pool *labels)
{
	for (uint32_t i = 0; i < pool_count(labels); i++) {
		struct str label = pool_get(labels, i);
		int64_t number = pool_add(&span->sample_labels, label.text, label.size);

		if (number < 0)
			return (int)number;
	}
	if (array_reserve(&span->pieces.pieces, 1) < 0)
		return -ENOMEM;
	span->pieces.pieces.items[span->pieces.pieces.count++] = *piece;
	include_piece(span, piece);
	return 0;
}

static int read_pieces(struct span *span, sqlite3 *database)
{
	int err = chronicle_read_pieces(database, &span->pieces);

	if (!err && span->version >= SPAN_VERSION_ACTIVITY)
		err = chronicle_read_labels(database, &span->sample_labels);
	for (uint32_t i = 0; i < span->pieces.pieces.count; i++)
		include_piece(span, &span->pieces.pieces.items[i]);
	return err;
}

static int read_summary(struct span *span, sqlite3 *database, struct sources *sources,
			struct segment_rows *segments)
{
	struct meta meta;
	int err = read_meta(database, &meta);

	if (!err)
		err = read_range(span, database, &meta);
	if (err)
		return err;
	read_deletions(span, &meta);
	if (span->is_chronicle)
		return read_pieces(span, database);
	err = read_compaction(span, database, &meta);
	if (!err)
		err = read_segments(span, database, segments);
	if (!err)
		err = read_gaps(span, database);
	if (!err)
		err = read_sources(database, sources);
	return err;
}

/* The windows of segments that were not finished become segments that are not settled yet. */
static const char finish_segments_sql[] =
	"INSERT INTO segment (id, first_window, last_window, first_ms, last_ms, end_ms, samples) "
	"SELECT segment, min(id), max(id), min(first_ms), max(last_ms), max(end_ms), sum(samples) "
	"FROM window WHERE id > (SELECT coalesce(max(last_window), 0) FROM segment) "
	"GROUP BY segment ORDER BY segment";

/*
 * What is written on: a page of these that is damaged would be damaged further. Trees and blocks,
 * which are nearly all of a file, are added to and not looked into; to read them takes a second for
 * each GiB, and is done in idle time (store/scrub.h).
 */
static const char *const small_tables[] = { "meta", "text",   "label_set", "series", "build",
					    "name", "source", "gap",	   "window", "segment" };

static int check_table(struct span *span, const char *table)
{
	autoclean(statement) sqlite3_stmt *check = NULL;
	char sql[64];
	int64_t is_there = 0;
	int err;

	/* Spans and chronicles have tables of their own. */
	snprintf(sql, sizeof(sql), "SELECT 1 FROM sqlite_master WHERE name = '%s'", table);
	err = database_number(span->writer, sql, &is_there);
	if (err)
		return err == -ENODATA ? 0 : err;
	snprintf(sql, sizeof(sql), "PRAGMA quick_check('%s')", table);
	err = database_prepare(span->writer, sql, &check);
	if (err)
		return err;
	err = database_step(check);
	if (err < 0)
		return err;
	return err == 1 && str_equal(database_column(check, 0), STR("ok")) ? 0 : -EUCLEAN;
}

static int check_unfinished(struct span *span)
{
	int64_t number = 0;
	int err = database_number(span->writer, "SELECT count(*) FROM sqlite_master", &number);

	if (err)
		return err;
	if (number == 0)
		return -ENODATA;
	err = database_number(span->writer, "PRAGMA application_id", &number);
	if (err || number != SPAN_APPLICATION_ID)
		return err ? err : -EUCLEAN;
	err = database_number(span->writer, "PRAGMA user_version", &number);
	if (err || !knows_version(number))
		return err ? err : -EPROTONOSUPPORT;
	for (size_t i = 0; !err && i < sizeof(small_tables) / sizeof(small_tables[0]); i++)
		err = check_table(span, small_tables[i]);
	span->wants_check = !err;
	return err;
}

static int open_unfinished(struct span *span, struct sources *sources)
{
	struct meta meta = { 0 };
	int err = open_writer(span);

	if (!err)
		err = check_unfinished(span);
	if (!err)
		err = read_meta(span->writer, &meta);
	if (!err)
		err = read_range(span, span->writer, &meta);
	if (!err && span->is_chronicle) {
		read_deletions(span, &meta);
		err = read_pieces(span, span->writer);
		close_writer(span);
		return err;
	}
	if (!err)
		err = live_new(&span->live);
	if (!err)
		err = database_execute(span->writer, finish_segments_sql);
	if (!err)
		err = read_summary(span, span->writer, sources, &span->live->segments);
	/* Windows of settled segments are gone. */
	if (!err)
		err = database_number(span->writer,
				      "SELECT coalesce(max(last_window), 0) FROM segment",
				      &span->live->window_count);
	if (!err)
		err = catalog_read(&span->live->catalog, span->writer);
	if (!err)
		catalog_limit(&span->live->catalog, CATALOG_GROWING_SIZE_MAX);
	if (!err)
		err = database_prepare(span->writer, insert_window_sql, &span->insert_window);
	for (int kind = 0; !err && kind < CATALOG_KIND_COUNT; kind++)
		span->live->written[kind] =
			catalog_count(&span->live->catalog, (enum catalog_kind)kind);
	return err;
}

static int open_sealed(struct span *span, struct sources *sources)
{
	autoclean(database) sqlite3 *database = NULL;
	int err = database_open(span->path, DATABASE_IMMUTABLE, &database);

	if (!err)
		err = read_summary(span, database, sources, &span->segments);
	span->is_sealed = true;
	span->connections.are_immutable = true;
	span->bytes = span_file_bytes(span->path);
	if (!span->finished_ms)
		span->finished_ms = span_file_time(span->path);
	return err;
}

uint64_t span_file_identity(const char *path)
{
	autoclean(database) sqlite3 *database = NULL;
	bool is_sealed = false;
	int64_t identity = 0;
	int err = span_file_is_sealed(path, &is_sealed);

	if (!err && is_sealed)
		err = database_open(path, DATABASE_IMMUTABLE, &database);
	if (!err && is_sealed)
		err = database_number(database, "SELECT value FROM meta WHERE key = 'identity'",
				      &identity);
	return err ? 0 : (uint64_t)identity;
}

int span_open(const char *folder, const char *name, struct sources *sources, struct span **ret)
{
	autoclean(span) struct span *span = NULL;
	bool is_sealed = false;
	int err = span_new(folder, name, &span);

	if (!err)
		err = span_file_is_sealed(span->path, &is_sealed);
	if (!err)
		err = is_sealed ? open_sealed(span, sources) : open_unfinished(span, sources);
	if (err)
		return err;
	*ret = TAKE(span);
	return 0;
}

/* ---- sealing --------------------------------------------------------------------------------- */

static int turn_into_plain_file(struct span *span)
{
	autoclean(statement) sqlite3_stmt *mode = NULL;
	int err = 0;

	if (!span->writer)
		err = database_open(span->path, DATABASE_WRITE, &span->writer);
	sqlite3_finalize(span->insert_window);
	span->insert_window = NULL;
	if (!err)
		err = database_errno(sqlite3_wal_checkpoint_v2(
			span->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
	if (!err)
		err = database_prepare(span->writer, "PRAGMA journal_mode = DELETE", &mode);
	if (!err)
		err = database_step(mode);
	if (err < 0)
		return err;
	return str_equal(database_column(mode, 0), STR("delete")) ? 0 : -EBUSY;
}

int span_protect_file(const char *path)
{
	int err = chmod(path, SEALED_MODE) < 0 ? -errno : 0;

	if (!err)
		err = sync_path(path, 0);
	return err ? err : sync_folder_of(path);
}

int span_seal(struct span *span)
{
	assert(!span->live && !span->is_sealed);
	/* Whoever rolled up left nothing open. */
	assert(!span->is_chronicle || !span->writer);

	if (!connections_shut(&span->connections))
		return -EBUSY;

	int err = turn_into_plain_file(span);

	if (!err) {
		close_writer(span);
		/* No connection is open: closing a descriptor drops no lock of SQLite's. */
		err = span_protect_file(span->path);
	}
	connections_open(&span->connections, !err);
	return err;
}

int span_set_aside(struct span *span)
{
	char folder[STORE_PATH_SIZE_MAX];
	struct str base = str_base_name(str_from(span->path));
	size_t size = strlen(span->path) - base.size;

	assert(size > 0 && size < sizeof(folder));
	memcpy(folder, span->path, size - 1);
	folder[size - 1] = '\0';
	/* A log that is copied into the file on closing would be lost to whoever repairs it. */
	if (span->writer)
		sqlite3_db_config(span->writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return span_set_aside_file(folder, span->name);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/jfr_chunk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum {
	/* Places in the header. */
	HEADER_MAJOR = 4,
	HEADER_SIZE = 8,
	HEADER_CONSTANTS = 16,
	HEADER_METADATA = 24,
	HEADER_START = 32,
	HEADER_DURATION = 40,
	HEADER_TICKS_PER_SECOND = 56,
	HEADER_STATE = 64, /* 0 when it is finished; counts while it is written */
	HEADER_FLAGS = 67,

	FLAG_PACKED = 1,
	MAJOR_MIN = 1,
	MAJOR_MAX = 2,

	/* Types of events that are no events. */
	EVENT_METADATA = 0,
	EVENT_CONSTANTS = 1,

	WALKED_SIZE = 2 << 20, /* a step that is told of */
};

static const char magic[] = "FLR";

void jfr_chunk_init(struct jfr_chunk *chunk)
{
	*chunk = (struct jfr_chunk){ 0 };
	jfr_types_init(&chunk->types);
	for (int i = 0; i < JFR_POOL_COUNT; i++)
		table_init(&chunk->pools[i].table, JFR_CONSTANT_COUNT_MAX);
}

void jfr_chunk_done(struct jfr_chunk *chunk)
{
	jfr_types_done(&chunk->types);
	array_done(&chunk->constants);
	for (int i = 0; i < JFR_POOL_COUNT; i++) {
		table_done(&chunk->pools[i].table);
		array_done(&chunk->pools[i].items);
	}
}

bool jfr_chunk_begins(struct str bytes)
{
	/* With the zero behind it. */
	return str_starts_with(bytes, (struct str){ magic, sizeof(magic) });
}

static int refuse_at(const struct jfr_chunk *chunk, size_t place, const char *what, char *reason)
{
	snprintf(reason, JFR_ERROR_SIZE, "byte %zu: %s", chunk->offset + place, what);
	return -EBADMSG;
}

static void tell_walked(struct jfr_chunk *chunk, size_t place)
{
	const char *next = chunk->bytes.text + place;

	if (!chunk->walked || next < chunk->walked_to + WALKED_SIZE)
		return;
	chunk->walked(chunk->context,
		      (struct str){ chunk->walked_to, (size_t)(next - chunk->walked_to) });
	chunk->walked_to = next;
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* False for one that can't be: without a size, or reaching beyond the end. */
static bool read_event(const struct jfr_chunk *chunk, size_t place, struct jfr_bytes *ret_bytes,
		       uint64_t *ret_type, size_t *ret_size)
{
	struct jfr_bytes bytes = { bytes_from(chunk->bytes.text + place, chunk->bytes.size - place),
				   chunk->types.is_packed };
	size_t left = bytes.bytes.left;
	size_t size = jfr_int(&bytes);
	size_t head;

	if (bytes.bytes.error || size > left)
		return false;
	*ret_type = jfr_long(&bytes);
	head = left - bytes.bytes.left;
	if (bytes.bytes.error || head > size)
		return false;
	bytes.bytes.left = size - head;
	*ret_bytes = bytes;
	*ret_size = size;
	return true;
}

bool jfr_chunk_next(struct jfr_chunk *chunk, size_t *place, struct jfr_event *ret)
{
	uint64_t type = 0;
	size_t size = 0;

	assert(*place <= chunk->bytes.size);
	if (*place == chunk->bytes.size)
		return false;
	*ret = (struct jfr_event){ .place = (uint32_t)*place, .type = TABLE_NONE };
	if (!read_event(chunk, *place, &ret->bytes, &type, &size))
		assert(!"all of them were looked at when the chunk was opened");
	*place += size;
	tell_walked(chunk, *place);
	if (type != EVENT_METADATA && type != EVENT_CONSTANTS)
		ret->type = jfr_types_find(&chunk->types, type);
	return true;
}

static int note_constants(struct jfr_chunk *chunk, size_t place)
{
	if (array_reserve(&chunk->constants, 1) < 0)
		return -ENOMEM;
	chunk->constants.items[chunk->constants.count++] = (uint32_t)place;
	return 0;
}

static void note_extent(struct jfr_extent *extent, size_t from, size_t to)
{
	if (extent->to == 0)
		extent->from = (uint32_t)from;
	extent->to = (uint32_t)to;
}

/* Where they end, and which of them are metadata and constants. */
static int look_at_events(struct jfr_chunk *chunk, char *reason)
{
	size_t place = JFR_HEADER_SIZE;

	chunk->metadata = (struct str){ 0 };
	chunk->constants.count = 0;
	memset(chunk->extents, 0, sizeof(chunk->extents));
	while (place < chunk->bytes.size) {
		struct jfr_bytes bytes;
		uint64_t type;
		size_t size;

		if (!read_event(chunk, place, &bytes, &type, &size)) {
			if (chunk->is_whole)
				return refuse_at(chunk, place,
						 "an event begins here that does not end in its "
						 "chunk",
						 reason);
			break;
		}
		if (type == EVENT_METADATA)
			chunk->metadata =
				(struct str){ (const char *)bytes.bytes.next, bytes.bytes.left };
		else if (type == EVENT_CONSTANTS && note_constants(chunk, place))
			return -ENOMEM;
		else if (type < JFR_NEAR_ID_COUNT)
			note_extent(&chunk->extents[type], place, place + size);
		place += size;
		tell_walked(chunk, place);
	}
	chunk->bytes.size = place;
	return 0;
}

/* ---- constants --------------------------------------------------------------------------------
 */

static bool has_key(const void *context, uint32_t number, const void *key)
{
	return ((const struct jfr_pool *)context)->items.items[number].key ==
	       *(const uint64_t *)key;
}

static inline uint64_t hash_key(uint64_t key)
{
	/* Most are small numbers that ascend. */
	key *= 0x9e3779b97f4a7c15;
	return key ^ key >> 32;
}

static uint32_t find_item(const struct jfr_pool *pool, uint64_t key)
{
	if (pool->items.count == 0)
		return TABLE_NONE;

	uint64_t place = key - pool->items.items[0].key;

	if (place < pool->items.count && pool->items.items[place].key == key)
		return (uint32_t)place;
	return table_find(&pool->table, hash_key(key), &key, has_key, pool);
}

struct jfr_constant *jfr_chunk_find(struct jfr_chunk *chunk, enum jfr_kind pool, uint64_t key)
{
	uint32_t number = find_item(&chunk->pools[pool], key);

	assert(pool < JFR_POOL_COUNT);
	return number == TABLE_NONE ? NULL : &chunk->pools[pool].items.items[number];
}

/* The first of two with one key is meant. */
static int add_constant(struct jfr_pool *pool, uint64_t key, uint32_t place)
{
	int err;

	if (find_item(pool, key) != TABLE_NONE)
		return 0;
	if (array_reserve(&pool->items, 1) < 0)
		return -ENOMEM;
	err = table_add(&pool->table, hash_key(key));
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	pool->items.items[pool->items.count++] =
		(struct jfr_constant){ .key = key, .place = place, .number = JFR_NO_NUMBER };
	return 0;
}

struct jfr_bytes jfr_chunk_bytes(const struct jfr_chunk *chunk, const struct jfr_constant *constant)
{
	return (struct jfr_bytes){ bytes_from(chunk->bytes.text + constant->place,
					      chunk->bytes.size - constant->place),
				   chunk->types.is_packed };
}

/* Of a type's values, each behind its key. */
static int read_pool(struct jfr_chunk *chunk, uint32_t type, struct jfr_bytes *bytes, char *reason)
{
	enum jfr_kind kind = chunk->types.types.items[type].kind;
	bool is_kept = kind < JFR_POOL_COUNT && !chunk->is_checked_only;
	uint32_t count = jfr_types_count(bytes);

	for (uint32_t i = 0; i < count && !bytes->bytes.error; i++) {
		uint64_t key = jfr_long(bytes);
		size_t place = (size_t)((const char *)bytes->bytes.next - chunk->bytes.text);
		int err = 0;

		if (kind == JFR_STRING)
			jfr_text_skip(bytes);
		else
			jfr_types_walk(&chunk->types, type, bytes, NULL);
		if (is_kept && !bytes->bytes.error)
			err = add_constant(&chunk->pools[kind], key, (uint32_t)place);
		if (err == -E2BIG)
			snprintf(reason, JFR_ERROR_SIZE, "byte %zu: it has more than %d of %.*s",
				 chunk->offset + place, JFR_CONSTANT_COUNT_MAX,
				 STR_PRINT(chunk->types.types.items[type].name));
		if (err)
			return err;
	}
	return 0;
}

static int read_constants(struct jfr_chunk *chunk, size_t place, struct jfr_bytes *bytes,
			  char *reason)
{
	uint32_t pool_count;

	(void)jfr_long(bytes); /* when */
	(void)jfr_long(bytes); /* for how long */
	(void)jfr_long(bytes); /* where the ones before are; all are passed by anyway */
	(void)bytes_u8(&bytes->bytes);
	pool_count = jfr_int(bytes);
	for (uint32_t i = 0; i < pool_count && !bytes->bytes.error; i++) {
		uint32_t type = jfr_types_find(&chunk->types, jfr_long(bytes));
		int err;

		if (bytes->bytes.error)
			break;
		if (type == TABLE_NONE)
			return refuse_at(chunk, place,
					 "there are constants of a type that its metadata does not "
					 "have",
					 reason);
		err = read_pool(chunk, type, bytes, reason);
		if (err)
			return err;
	}
	return bytes->bytes.error
		       ? refuse_at(chunk, place, "constants do not end where they should", reason)
		       : 0;
}

/* Of a type with a large id nobody noted where its events are: among all. */
static void find_settings(struct jfr_chunk *chunk)
{
	uint32_t type = chunk->types.of_kind[JFR_SETTING];
	uint64_t id = type == TABLE_NONE ? 0 : chunk->types.types.items[type].id;

	chunk->settings_from = JFR_HEADER_SIZE;
	chunk->settings_to = type == TABLE_NONE ? 0 : chunk->bytes.size;
	if (type != TABLE_NONE && id < JFR_NEAR_ID_COUNT) {
		chunk->settings_from = chunk->extents[id].from;
		chunk->settings_to = chunk->extents[id].to;
	}
}

static int read_all_constants(struct jfr_chunk *chunk, char *reason)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < chunk->constants.count; i++) {
		struct jfr_bytes bytes = { 0 };
		uint64_t type = 0;
		size_t place = chunk->constants.items[i];
		size_t size = 0;

		if (!read_event(chunk, place, &bytes, &type, &size))
			assert(!"all of them were looked at");
		err = read_constants(chunk, place, &bytes, reason);
		tell_walked(chunk, place + size);
	}
	return err;
}

/* ---- the header -------------------------------------------------------------------------------
 */

static uint64_t number_at(const struct jfr_chunk *chunk, size_t place)
{
	struct bytes bytes = bytes_from(chunk->bytes.text + place, sizeof(uint64_t));

	return jfr_fixed(&bytes, sizeof(uint64_t));
}

static unsigned byte_at(const struct jfr_chunk *chunk, size_t place)
{
	return (uint8_t)chunk->bytes.text[place];
}

/* An unfinished one may claim anything; what follows it, if it claims rightly, is another. */
static int find_end(struct jfr_chunk *chunk, char *reason)
{
	uint64_t size = number_at(chunk, HEADER_SIZE);
	size_t left = chunk->bytes.size;

	chunk->is_whole = byte_at(chunk, HEADER_STATE) == 0 &&
			  number_at(chunk, HEADER_METADATA) > 0 &&
			  number_at(chunk, HEADER_CONSTANTS) > 0;
	if (!chunk->is_whole) {
		if (size > JFR_HEADER_SIZE && size < left &&
		    jfr_chunk_begins((struct str){ chunk->bytes.text + size, left - size }))
			chunk->bytes.size = size;
		return 0;
	}
	if (size < JFR_HEADER_SIZE || size > left) {
		snprintf(reason, JFR_ERROR_SIZE,
			 "byte %zu: its chunk has %" PRIu64 " bytes, and there are %zu: it is cut "
			 "short",
			 chunk->offset, size, left);
		return -EBADMSG;
	}
	chunk->bytes.size = size;
	return 0;
}

static int read_header(struct jfr_chunk *chunk, struct str recording, size_t offset, char *reason)
{
	unsigned major;

	assert(offset < recording.size && recording.size <= UINT32_MAX);
	chunk->offset = offset;
	chunk->next_offset = recording.size;
	chunk->bytes = (struct str){ recording.text + offset, recording.size - offset };
	chunk->walked_to = chunk->bytes.text;
	if (!jfr_chunk_begins(chunk->bytes) || chunk->bytes.size < JFR_HEADER_SIZE)
		return refuse_at(chunk, 0,
				 offset ? "no chunk of a recording begins here"
					: "this is no recording of Java's (JFR)",
				 reason);
	major = byte_at(chunk, HEADER_MAJOR) << 8 | byte_at(chunk, HEADER_MAJOR + 1);
	if (major < MAJOR_MIN || major > MAJOR_MAX) {
		snprintf(reason, JFR_ERROR_SIZE,
			 "byte %zu: its chunk is of version %u of the format, which is not known",
			 offset, major);
		return -EBADMSG;
	}
	chunk->start_unix_ns = (int64_t)number_at(chunk, HEADER_START);
	chunk->duration_ns = (int64_t)number_at(chunk, HEADER_DURATION);
	chunk->ticks_per_second = number_at(chunk, HEADER_TICKS_PER_SECOND);
	chunk->types.is_packed = byte_at(chunk, HEADER_FLAGS) & FLAG_PACKED;

	int err = find_end(chunk, reason);

	chunk->next_offset = offset + chunk->bytes.size;
	return err;
}

int jfr_chunk_open(struct jfr_chunk *chunk, struct str recording, size_t offset,
		   char reterr[static JFR_ERROR_SIZE])
{
	char reason[JFR_ERROR_SIZE];
	int err;

	reterr[0] = '\0';
	for (int i = 0; i < JFR_POOL_COUNT; i++) {
		table_clear(&chunk->pools[i].table);
		chunk->pools[i].items.count = 0;
	}
	err = read_header(chunk, recording, offset, reterr);
	if (!err)
		err = look_at_events(chunk, reterr);
	if (err)
		return err;
	if (!chunk->metadata.text)
		return chunk->is_whole ? refuse_at(chunk, 0, "its chunk has no metadata", reterr)
				       : -ENODATA;
	err = jfr_types_read(&chunk->types, chunk->metadata, chunk->types.is_packed, reason);
	if (err == -EBADMSG || err == -E2BIG)
		snprintf(reterr, JFR_ERROR_SIZE, "byte %zu: %.*s",
			 (size_t)(chunk->metadata.text - recording.text), 120, reason);
	if (err)
		return err;
	chunk->walked_to = chunk->bytes.text;
	find_settings(chunk);
	err = read_all_constants(chunk, reterr);
	chunk->walked_to = chunk->bytes.text;
	return err;
}

/* ---- what constants say -----------------------------------------------------------------------
 */

void jfr_chunk_value(const struct jfr_chunk *chunk, enum jfr_kind pool,
		     const struct jfr_constant *constant, struct jfr_value *ret)
{
	struct jfr_bytes bytes = jfr_chunk_bytes(chunk, constant);

	*ret = (struct jfr_value){ 0 };
	jfr_types_walk(&chunk->types, chunk->types.of_kind[pool], &bytes, ret);
	assert(!bytes.bytes.error);
}

/* A text in the pool that refers to another there is none. */
static struct str pooled_text(struct jfr_chunk *chunk, uint64_t key, struct buf *room)
{
	const struct jfr_constant *constant = jfr_chunk_find(chunk, JFR_STRING, key);
	struct jfr_bytes bytes;
	uint64_t reference;

	if (!constant)
		return (struct str){ 0 };
	bytes = jfr_chunk_bytes(chunk, constant);
	return jfr_text(&bytes, room, &reference);
}

struct str jfr_chunk_text(struct jfr_chunk *chunk, const struct jfr_value *value, int slot,
			  struct buf *room)
{
	struct jfr_bytes bytes = { value->places[slot], chunk->types.is_packed };
	uint64_t reference = value->numbers[slot];
	struct str text = { 0 };

	if (bytes.bytes.next)
		text = jfr_text(&bytes, room, &reference);
	return reference ? pooled_text(chunk, reference, room) : text;
}

struct str jfr_chunk_symbol(struct jfr_chunk *chunk, uint64_t key, struct buf *room)
{
	const struct jfr_constant *constant = jfr_chunk_find(chunk, JFR_SYMBOL, key);
	struct jfr_value value;

	if (!constant)
		return (struct str){ 0 };
	jfr_chunk_value(chunk, JFR_SYMBOL, constant, &value);
	return jfr_chunk_text(chunk, &value, JFR_NAME, room);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/detail.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Most entries occur once: such a one needs neither a count nor a value, the entry has them. Slices
 * are differences within an entry. Pairs are numbered within the block, so that those of a service
 * with a few threads take a byte that repeats.
 */
enum {
	COLUMN_NUMBERS = 0,
	COLUMN_SLICES,
	COLUMN_PAIRS,
	COLUMN_COUNTS,
	COLUMN_VALUES,
	COLUMN_KNOWN,
	COLUMN_COUNT,
};

static struct buf *writer_column(struct detail_writer *writer, unsigned column)
{
	struct buf *columns[COLUMN_COUNT] = { &writer->numbers, &writer->slices, &writer->pairs,
					      &writer->counts,	&writer->values, &writer->known };

	return columns[column];
}

int detail_writer_init(struct detail_writer *writer, uint32_t pair_count)
{
	*writer = (struct detail_writer){ .pair_count = pair_count };
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		*writer_column(writer, i) = BUF(COLUMNS_PLAIN_SIZE_MAX / COLUMN_COUNT);
	writer->places = calloc((size_t)pair_count + 1, sizeof(writer->places[0]));
	return writer->places ? 0 : -ENOMEM;
}

void detail_writer_done(struct detail_writer *writer)
{
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		buf_done(writer_column(writer, i));
	free(writer->places);
}

static uint32_t place_of(struct detail_writer *writer, uint32_t pair)
{
	assert(pair < writer->pair_count);
	if (!writer->places[pair]) {
		column_put(&writer->known, pair);
		writer->places[pair] = ++writer->known_count;
	}
	return writer->places[pair] - 1;
}

void detail_add(struct detail_writer *writer, const struct occurrence *occurrences, uint32_t count,
		bool is_valued)
{
	uint32_t slice = 0;

	assert(count > 0);
	column_put(&writer->numbers, count - 1);
	for (uint32_t i = 0; i < count; i++) {
		assert(occurrences[i].slice >= slice);
		column_put(&writer->slices, occurrences[i].slice - slice);
		column_put(&writer->pairs, place_of(writer, occurrences[i].pair));
		slice = occurrences[i].slice;
		if (count == 1)
			break;
		column_put(&writer->counts, occurrences[i].count);
		if (is_valued)
			column_put(&writer->values, occurrences[i].value);
	}
}

int detail_pack(struct codec *codec, struct detail_writer *writer, struct buf *ret)
{
	struct buf *columns = codec_columns(codec, COLUMN_COUNT);
	struct bytes known = bytes_from(writer->known.bytes, writer->known.size);
	int err = 0;

	column_put(&columns[COLUMN_KNOWN], writer->known_count);
	for (unsigned i = 0; i < COLUMN_COUNT; i++) {
		struct buf *part = writer_column(writer, i);

		if (!err)
			err = part->error;
		if (!err)
			buf_add(&columns[i], part->bytes, part->size);
	}
	for (uint32_t i = 0; i < writer->known_count; i++)
		writer->places[bytes_varint(&known)] = 0;
	writer->known_count = 0;
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		buf_clear(writer_column(writer, i));
	return err ? err : codec_pack_columns(codec, COLUMN_COUNT, ret);
}

void detail_reader_done(struct detail_reader *reader)
{
	array_done(&reader->known);
}

int detail_unpack(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		  struct detail_reader *reader)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, COLUMN_COUNT, columns);

	reader->known.count = 0;
	reader->left = 0;
	if (err)
		return err;

	size_t count = bytes_count(&columns[COLUMN_KNOWN], 1, pair_count);

	if (array_reserve(&reader->known, count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		uint64_t pair = bytes_varint(&columns[COLUMN_KNOWN]);

		if (pair >= pair_count)
			return -EBADMSG;
		reader->known.items[reader->known.count++] = (uint32_t)pair;
	}
	if (columns[COLUMN_KNOWN].error || columns[COLUMN_KNOWN].left)
		return -EBADMSG;
	reader->numbers = columns[COLUMN_NUMBERS];
	reader->slices = columns[COLUMN_SLICES];
	reader->pairs = columns[COLUMN_PAIRS];
	reader->counts = columns[COLUMN_COUNTS];
	reader->values = columns[COLUMN_VALUES];
	return 0;
}

int detail_start_entry(struct detail_reader *reader, const struct entry *entry)
{
	uint64_t more = column_take(&reader->numbers);

	if (reader->numbers.error || more > reader->slices.left)
		return -EBADMSG;
	reader->entry = *entry;
	reader->left = more + 1;
	reader->is_single = more == 0;
	reader->slice = 0;
	return 0;
}

int detail_next(struct detail_reader *reader, bool is_valued, struct occurrence *ret)
{
	if (reader->left == 0)
		return 0;

	uint64_t later = column_take(&reader->slices);
	uint64_t place = column_take(&reader->pairs);

	*ret = (struct occurrence){ .count = reader->entry.count, .value = reader->entry.value };
	if (!reader->is_single) {
		ret->count = column_take(&reader->counts);
		ret->value = is_valued ? column_take(&reader->values) : 0;
	}
	if (later > UINT32_MAX - reader->slice || place >= reader->known.count ||
	    reader->slices.error || reader->pairs.error || reader->counts.error ||
	    reader->values.error)
		return -EBADMSG;
	reader->slice += (uint32_t)later;
	reader->left--;
	ret->slice = reader->slice;
	ret->pair = reader->known.items[place];
	return 1;
}

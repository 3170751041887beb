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
 *
 * What the entry's count says already is not said again (VERSION_TERSE): an entry of one sample has
 * no number of occurrences; of others it is how many fewer they are than samples; when there are as
 * many, none has a count; and the last one has what is left. It is a sixth less of what is there.
 * This takes that each occurrence has a sample at least; a block in which one has none, which
 * foreign files may bring, is written as it used to be.
 */
enum {
	COLUMN_NUMBERS = 0,
	COLUMN_SLICES,
	COLUMN_PAIRS,
	COLUMN_COUNTS,
	COLUMN_VALUES,
	COLUMN_KNOWN,
	COLUMN_COUNT,
	VERSION_PLAIN = 1,
	VERSION_TERSE = 2,
};

static struct buf *writer_column(struct detail_writer *writer, unsigned column)
{
	struct buf *columns[COLUMN_COUNT] = { &writer->numbers, &writer->slices, &writer->pairs,
					      &writer->counts,	&writer->values, &writer->known };

	return columns[column];
}

int detail_writer_init(struct detail_writer *writer, uint32_t pair_count)
{
	*writer = (struct detail_writer){ .pair_count = pair_count, .is_terse = true };
	writer->terse_numbers = BUF(COLUMNS_PLAIN_SIZE_MAX / COLUMN_COUNT);
	writer->terse_counts = BUF(COLUMNS_PLAIN_SIZE_MAX / COLUMN_COUNT);
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		*writer_column(writer, i) = BUF(COLUMNS_PLAIN_SIZE_MAX / COLUMN_COUNT);
	writer->places = calloc((size_t)pair_count + 1, sizeof(writer->places[0]));
	return writer->places ? 0 : -ENOMEM;
}

void detail_writer_done(struct detail_writer *writer)
{
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		buf_done(writer_column(writer, i));
	buf_done(&writer->terse_numbers);
	buf_done(&writer->terse_counts);
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

static void add_terse(struct detail_writer *writer, const struct entry *entry,
		      const struct occurrence *occurrences, uint32_t count)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		if (occurrences[i].count == 0 ||
		    __builtin_add_overflow(sum, occurrences[i].count, &sum)) {
			writer->is_terse = false;
			return;
		}
	/* Whoever reads takes the last one's for what is left of it. */
	assert(sum == entry->count);
	if (sum == 1)
		return;
	column_put(&writer->terse_numbers, sum - count);
	for (uint32_t i = 0; sum > count && i + 1 < count; i++)
		column_put(&writer->terse_counts, occurrences[i].count - 1);
}

void detail_add(struct detail_writer *writer, const struct entry *entry,
		const struct occurrence *occurrences, uint32_t count, bool is_valued)
{
	uint32_t slice = 0;

	assert(count > 0);
	/* One alone is written without either. */
	assert(count > 1 || (occurrences[0].count == entry->count &&
			     (!is_valued || occurrences[0].value == entry->value)));
	add_terse(writer, entry, occurrences, count);
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
	uint8_t version;
	int err = 0;

	column_put(&columns[COLUMN_KNOWN], writer->known_count);
	for (unsigned i = 0; i < COLUMN_COUNT; i++) {
		struct buf *part = writer_column(writer, i);

		if (writer->is_terse && i == COLUMN_NUMBERS)
			part = &writer->terse_numbers;
		if (writer->is_terse && i == COLUMN_COUNTS)
			part = &writer->terse_counts;
		if (!err)
			err = part->error;
		if (!err)
			buf_add(&columns[i], part->bytes, part->size);
	}
	for (uint32_t i = 0; i < writer->known_count; i++)
		writer->places[bytes_varint(&known)] = 0;
	version = writer->is_terse ? VERSION_TERSE : VERSION_PLAIN;
	writer->known_count = 0;
	writer->is_terse = true;
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		buf_clear(writer_column(writer, i));
	buf_clear(&writer->terse_numbers);
	buf_clear(&writer->terse_counts);
	return err ? err : codec_pack_version(codec, version, COLUMN_COUNT, ret);
}

void detail_reader_done(struct detail_reader *reader)
{
	array_done(&reader->known);
}

int detail_unpack(struct codec *codec, const void *blob, size_t size, uint32_t pair_count,
		  struct detail_reader *reader)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	uint8_t version = 0;
	int err = codec_unpack_version(codec, blob, size, COLUMN_COUNT, VERSION_TERSE, columns,
				       &version);

	reader->is_terse = version == VERSION_TERSE;
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
	bool has_number = !reader->is_terse || entry->count != 1;
	uint64_t number = has_number ? column_take(&reader->numbers) : 0;

	if (reader->is_terse) {
		/* No occurrence without a sample. */
		if (number >= entry->count)
			return -EBADMSG;
		reader->is_even = number == 0;
		reader->count_left = entry->count;
		number = entry->count - number - 1;
	}
	if (reader->numbers.error || number >= reader->slices.left)
		return -EBADMSG;
	reader->entry = *entry;
	reader->left = number + 1;
	reader->is_single = number == 0;
	reader->slice = 0;
	return 0;
}

/* Of an entry with several; 0: what is left does not reach. */
static uint64_t take_count(struct detail_reader *reader)
{
	uint64_t count = 1;

	if (!reader->is_terse)
		return column_take(&reader->counts);
	if (reader->left == 1)
		return reader->count_left;
	if (!reader->is_even)
		count = column_take(&reader->counts) + 1;
	if (count == 0 || count >= reader->count_left)
		return 0;
	reader->count_left -= count;
	return count;
}

int detail_next(struct detail_reader *reader, bool is_valued, struct occurrence *ret)
{
	if (reader->left == 0)
		return 0;

	uint64_t later = column_take(&reader->slices);
	uint64_t place = column_take(&reader->pairs);

	*ret = (struct occurrence){ .count = reader->entry.count, .value = reader->entry.value };
	if (!reader->is_single) {
		ret->count = take_count(reader);
		ret->value = is_valued ? column_take(&reader->values) : 0;
	}
	if (later > UINT32_MAX - reader->slice || place >= reader->known.count ||
	    (reader->is_terse && ret->count == 0) || reader->slices.error || reader->pairs.error ||
	    reader->counts.error || reader->values.error)
		return -EBADMSG;
	reader->slice += (uint32_t)later;
	reader->left--;
	ret->slice = reader->slice;
	ret->pair = reader->known.items[place];
	return 1;
}

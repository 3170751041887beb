/* SPDX-License-Identifier: Apache-2.0 */
#include "store/columns.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

enum {
	VERSION = 1,
	/* Varint columns are already short; higher levels gain a few per cent at many times the
	   cost. */
	LEVEL = 1,
	RUN_COLUMN_COUNT = 8,
	RUN_COUNT_MAX = 4 << 20,
	SLICE_COUNT_MAX = 1 << 20,
	PAIR_COUNT_MAX = 16 << 20,
	TOGETHER = 256, /* numbers of a column that are read at once: 2 KiB */
	RUN_VALUED = 1,
	RUN_TIMED = 2,
};

struct codec {
	ZSTD_CCtx *compressor; /* made when first used */
	int level;
	ZSTD_DCtx *decompressor;
	uint64_t unpacked_count, unpacked_bytes;
	struct buf plain;
	struct buf columns[COLUMNS_COUNT_MAX];
};

static inline void put_zigzag(struct buf *buf, int64_t value)
{
	column_put(buf, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

static inline int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static inline int64_t take_zigzag(struct bytes *bytes)
{
	return unzigzag(column_take(bytes));
}

int codec_new(struct codec **ret)
{
	struct codec *codec = calloc(1, sizeof(*codec));

	if (!codec)
		return -ENOMEM;
	codec->level = LEVEL;
	codec->plain = BUF(COLUMNS_PLAIN_SIZE_MAX);
	for (size_t i = 0; i < COLUMNS_COUNT_MAX; i++)
		codec->columns[i] = BUF(COLUMNS_PLAIN_SIZE_MAX / 2);
	*ret = codec;
	return 0;
}

void codec_rest(struct codec *codec)
{
	ZSTD_freeCCtx(codec->compressor);
	ZSTD_freeDCtx(codec->decompressor);
	codec->compressor = NULL;
	codec->decompressor = NULL;
	buf_done(&codec->plain);
	for (size_t i = 0; i < COLUMNS_COUNT_MAX; i++)
		buf_done(&codec->columns[i]);
}

struct codec *codec_free(struct codec *codec)
{
	if (!codec)
		return NULL;
	codec_rest(codec);
	free(codec);
	return NULL;
}

void codec_set_level(struct codec *codec, int level)
{
	codec->level = level;
}

static int make_compressor(struct codec *codec)
{
	if (!codec->compressor)
		codec->compressor = ZSTD_createCCtx();
	if (!codec->compressor ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(codec->compressor, ZSTD_c_compressionLevel,
						codec->level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(codec->compressor, ZSTD_c_checksumFlag, 1)))
		return -ENOMEM;
	return 0;
}

/* Puts the columns together and packs them into ret, which is emptied first. */
static int pack(struct codec *codec, uint8_t version, const struct buf *const *columns,
		size_t count, struct buf *ret)
{
	struct buf *plain = &codec->plain;
	int err = make_compressor(codec);

	assert(count > 0 && count <= COLUMNS_COUNT_MAX);
	if (err)
		return err;
	buf_clear(plain);
	buf_clear(ret);
	buf_add_u8(plain, version);
	for (size_t i = 0; i < count; i++) {
		if (columns[i]->error)
			return columns[i]->error;
		column_put(plain, columns[i]->size);
	}
	for (size_t i = 0; i < count; i++)
		buf_add(plain, columns[i]->bytes, columns[i]->size);
	if (plain->error)
		return plain->error;

	size_t bound = ZSTD_compressBound(plain->size);
	void *room = buf_grow(ret, bound);

	if (!room)
		return ret->error;

	size_t size = ZSTD_compress2(codec->compressor, room, bound, plain->bytes, plain->size);

	if (ZSTD_isError(size)) {
		buf_clear(ret);
		return -ENOMEM;
	}
	ret->size = size;
	return 0;
}

int codec_pack_columns(struct codec *codec, size_t count, struct buf *ret)
{
	return codec_pack_version(codec, VERSION, count, ret);
}

int codec_pack_version(struct codec *codec, uint8_t version, size_t count, struct buf *ret)
{
	const struct buf *columns[COLUMNS_COUNT_MAX];

	assert(count <= COLUMNS_COUNT_MAX);
	for (size_t i = 0; i < count; i++)
		columns[i] = &codec->columns[i];
	return pack(codec, version, columns, count, ret);
}

struct buf *codec_columns(struct codec *codec, size_t count)
{
	assert(count <= COLUMNS_COUNT_MAX);
	for (size_t i = 0; i < count; i++)
		buf_clear(&codec->columns[i]);
	return codec->columns;
}

/* Unpacks into the codec's memory. */
static int inflate(struct codec *codec, const void *blob, size_t size, struct bytes *ret)
{
	unsigned long long plain_size =
		size ? ZSTD_getFrameContentSize(blob, size) : ZSTD_CONTENTSIZE_ERROR;

	if (plain_size > COLUMNS_PLAIN_SIZE_MAX)
		return -EBADMSG; /* its errors are the largest numbers */
	if (!codec->decompressor)
		codec->decompressor = ZSTD_createDCtx();
	buf_clear(&codec->plain);

	void *plain = buf_grow(&codec->plain, (size_t)plain_size);

	if (!codec->decompressor || (!plain && plain_size > 0))
		return -ENOMEM;

	size_t got =
		ZSTD_decompressDCtx(codec->decompressor, plain, (size_t)plain_size, blob, size);

	if (ZSTD_isError(got) || got != plain_size)
		return -EBADMSG;
	codec->unpacked_count++;
	codec->unpacked_bytes += size;
	*ret = bytes_from(plain, got);
	return 0;
}

void codec_figures(const struct codec *codec, uint64_t *ret_count, uint64_t *ret_bytes)
{
	*ret_count = codec->unpacked_count;
	*ret_bytes = codec->unpacked_bytes;
}

bool codec_knows(const void *blob, size_t size)
{
	uint32_t magic = 0;

	if (size < sizeof(magic))
		return false;
	memcpy(&magic, blob, sizeof(magic));
	return magic == ZSTD_MAGICNUMBER; /* little endian, as our machines are */
}

int codec_check(struct codec *codec, const void *blob, size_t size)
{
	struct bytes bytes;

	return inflate(codec, blob, size, &bytes);
}

int codec_unpack_columns(struct codec *codec, const void *blob, size_t size, size_t count,
			 struct bytes columns[static COLUMNS_COUNT_MAX])
{
	uint8_t version;

	return codec_unpack_version(codec, blob, size, count, VERSION, columns, &version);
}

int codec_unpack_version(struct codec *codec, const void *blob, size_t size, size_t count,
			 uint8_t version_max, struct bytes columns[static COLUMNS_COUNT_MAX],
			 uint8_t *ret_version)
{
	struct bytes bytes;
	size_t sizes[COLUMNS_COUNT_MAX];
	int err = inflate(codec, blob, size, &bytes);

	assert(count <= COLUMNS_COUNT_MAX);
	if (err)
		return err;
	*ret_version = bytes_u8(&bytes);
	if (*ret_version < VERSION || *ret_version > version_max)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++)
		sizes[i] = bytes_count(&bytes, 1, COLUMNS_PLAIN_SIZE_MAX);
	for (size_t i = 0; i < count; i++) {
		const void *column = bytes_take(&bytes, sizes[i]);

		if (bytes.error)
			return -EBADMSG;
		columns[i] = bytes_from(column, sizes[i]);
	}
	return bytes.left ? -EBADMSG : 0;
}

void runs_done(struct runs *runs)
{
	array_done(&runs->slices);
	array_done(&runs->runs);
}

int codec_pack_runs(struct codec *codec, const struct runs *runs, struct buf *ret)
{
	struct buf *columns = codec->columns;
	int64_t last_ms = 0;
	struct run last = { 0 };

	(void)codec_columns(codec, RUN_COLUMN_COUNT);
	column_put(&columns[0], runs->slices.count);
	for (uint32_t i = 0; i < runs->slices.count; i++) {
		const struct slice *slice = &runs->slices.items[i];

		put_zigzag(&columns[0], slice->start_ms - last_ms);
		put_zigzag(&columns[0], slice->end_ms - slice->start_ms);
		last_ms = slice->start_ms;
	}
	column_put(&columns[1], runs->runs.count);
	for (uint32_t i = 0; i < runs->runs.count; i++) {
		const struct run *run = &runs->runs.items[i];

		assert(run->slice < runs->slices.count && run->slice >= last.slice);
		column_put(&columns[1], run->slice - last.slice);
		column_put(&columns[1],
			   (run->valued ? RUN_VALUED : 0u) | (run->timed ? RUN_TIMED : 0u));
		put_zigzag(&columns[2], (int64_t)run->series - last.series);
		put_zigzag(&columns[3], (int64_t)run->labels - last.labels);
		column_put(&columns[4], run->entry_count);
		column_put(&columns[5], run->samples);
		column_put(&columns[6], run->kernel_samples);
		if (run->valued) {
			column_put(&columns[7], run->value);
			column_put(&columns[7], run->kernel_value);
		}
		last = *run;
	}
	return codec_pack_columns(codec, RUN_COLUMN_COUNT, ret);
}

static int read_slices(struct bytes *bytes, struct runs *ret)
{
	size_t count = bytes_count(bytes, 2, SLICE_COUNT_MAX);
	int64_t last_ms = 0;

	if (array_reserve(&ret->slices, count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct slice slice;

		if (__builtin_add_overflow(last_ms, bytes_zigzag(bytes), &slice.start_ms) ||
		    __builtin_add_overflow(slice.start_ms, bytes_zigzag(bytes), &slice.end_ms))
			return -EBADMSG;
		last_ms = slice.start_ms;
		ret->slices.items[ret->slices.count++] = slice;
	}
	return bytes->error;
}

/* Adds a difference; false when the sum is not a number of a thing. */
static bool add_difference(uint32_t *number, int64_t difference)
{
	int64_t sum = 0;

	if (__builtin_add_overflow((int64_t)*number, difference, &sum) || sum < 0 ||
	    sum > UINT32_MAX)
		return false;
	*number = (uint32_t)sum;
	return true;
}

int codec_unpack_runs(struct codec *codec, const void *blob, size_t size, struct runs *ret)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, RUN_COLUMN_COUNT, columns);

	ret->slices.count = 0;
	ret->runs.count = 0;
	if (!err)
		err = read_slices(&columns[0], ret);
	if (err)
		return err;

	size_t count = bytes_count(&columns[1], 2, RUN_COUNT_MAX);
	struct run run = { 0 };

	if (array_reserve(&ret->runs, count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		bool sound = add_difference(&run.slice, (int64_t)column_take(&columns[1])) &&
			     run.slice < ret->slices.count;
		uint64_t flags = column_take(&columns[1]);

		sound = sound && add_difference(&run.series, take_zigzag(&columns[2])) &&
			add_difference(&run.labels, take_zigzag(&columns[3]));

		uint64_t entry_count = column_take(&columns[4]);

		if (!sound || flags > (RUN_VALUED | RUN_TIMED) || entry_count > UINT32_MAX)
			return -EBADMSG;
		run.entry_count = (uint32_t)entry_count;
		run.samples = column_take(&columns[5]);
		run.kernel_samples = column_take(&columns[6]);
		run.valued = flags & RUN_VALUED;
		run.timed = flags & RUN_TIMED;
		run.value = run.valued ? column_take(&columns[7]) : 0;
		run.kernel_value = run.valued ? column_take(&columns[7]) : 0;
		ret->runs.items[ret->runs.count++] = run;
	}
	for (size_t i = 1; i < RUN_COLUMN_COUNT; i++)
		if (columns[i].error || columns[i].left)
			return -EBADMSG;
	return 0;
}

void entry_writer_init(struct entry_writer *writer)
{
	*writer = (struct entry_writer){
		.nodes = BUF(COLUMNS_PLAIN_SIZE_MAX / 3),
		.counts = BUF(COLUMNS_PLAIN_SIZE_MAX / 3),
		.values = BUF(COLUMNS_PLAIN_SIZE_MAX / 3),
	};
}

void entry_writer_done(struct entry_writer *writer)
{
	buf_done(&writer->nodes);
	buf_done(&writer->counts);
	buf_done(&writer->values);
}

void entry_writer_clear(struct entry_writer *writer)
{
	buf_clear(&writer->nodes);
	buf_clear(&writer->counts);
	buf_clear(&writer->values);
	writer->last_node = 0;
}

void entry_writer_start_list(struct entry_writer *writer)
{
	writer->last_node = 0;
}

void entry_writer_add(struct entry_writer *writer, struct entry entry, bool valued)
{
	assert(entry.node >= writer->last_node);

	column_put(&writer->nodes, entry.node - writer->last_node);
	column_put(&writer->counts, entry.count);
	if (valued)
		column_put(&writer->values, entry.value);
	writer->last_node = entry.node;
}

int codec_pack_entries(struct codec *codec, struct entry_writer *writer, struct buf *ret)
{
	const struct buf *columns[] = { &writer->nodes, &writer->counts, &writer->values };
	int err = pack(codec, VERSION, columns, 3, ret);

	entry_writer_clear(writer);
	return err;
}

int codec_unpack_entries(struct codec *codec, const void *blob, size_t size,
			 struct entry_reader *ret)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, 3, columns);

	if (err)
		return err;
	*ret = (struct entry_reader){ columns[0], columns[1], columns[2], 0, NULL };
	return 0;
}

int entry_reader_next(struct entry_reader *reader, bool valued, struct entry *ret)
{
	uint64_t difference = column_take(&reader->nodes);

	ret->count = column_take(&reader->counts);
	ret->value = valued ? column_take(&reader->values) : 0;
	if (reader->nodes.error || reader->counts.error || reader->values.error ||
	    difference > UINT32_MAX - reader->last_node)
		return -EBADMSG;
	reader->last_node += (uint32_t)difference;
	ret->node = reader->last_node;
	return reader->map && !node_map_find(reader->map, &ret->node) ? -EBADMSG : 0;
}

int entry_reader_skip(struct entry_reader *reader, uint32_t count, bool valued)
{
	for (uint32_t i = 0; i < count; i++) {
		column_take(&reader->nodes);
		column_take(&reader->counts);
		if (valued)
			column_take(&reader->values);
		if (reader->nodes.error)
			break;
	}
	return reader->nodes.error || reader->counts.error || reader->values.error ? -EBADMSG : 0;
}

int codec_pack_locations(struct codec *codec, const struct tree *tree, uint32_t first_location,
			 struct buf *ret)
{
	struct buf *columns = codec->columns;
	uint64_t last = 0;

	assert(first_location <= tree->builds.count);
	(void)codec_columns(codec, 2);
	column_put(&columns[0], first_location);
	column_put(&columns[0], tree->builds.count - first_location);
	for (uint32_t i = first_location; i < tree->builds.count; i++) {
		uint64_t address = tree->addresses.items[i];

		column_put(&columns[0], tree->builds.items[i]);
		put_zigzag(&columns[1], (int64_t)(address - last));
		last = address;
	}
	return codec_pack_columns(codec, 2, ret);
}

/* Those of a row of which the first number was read. */
static int add_locations(struct bytes columns[static 2], uint32_t build_count, struct tree *tree)
{
	size_t count = bytes_count(&columns[0], 1, TREE_LOCATION_COUNT_MAX - tree->builds.count);
	uint64_t last = 0;
	uint64_t builds[TOGETHER], addresses[TOGETHER];

	if (array_reserve(&tree->builds, count) < 0 || array_reserve(&tree->addresses, count) < 0)
		return -ENOMEM;
	for (size_t first = 0; first < count; first += TOGETHER) {
		size_t some = count - first < TOGETHER ? count - first : TOGETHER;

		bytes_varints(&columns[0], builds, some);
		bytes_varints(&columns[1], addresses, some);
		if (columns[0].error || columns[1].error)
			return -EBADMSG;
		for (size_t i = 0; i < some; i++) {
			last += (uint64_t)unzigzag(addresses[i]);
			if (builds[i] >= build_count)
				return -EBADMSG;
			tree->builds.items[tree->builds.count++] = (uint32_t)builds[i];
			tree->addresses.items[tree->addresses.count++] = last;
		}
	}
	return columns[0].error || columns[0].left || columns[1].left ? -EBADMSG : 0;
}

int codec_unpack_locations(struct codec *codec, const void *blob, size_t size, uint32_t build_count,
			   struct tree *tree)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, 2, columns);

	if (err)
		return err;
	return bytes_varint(&columns[0]) == tree->builds.count
		       ? add_locations(columns, build_count, tree)
		       : -EBADMSG;
}

int codec_unpack_location_row(struct codec *codec, const void *blob, size_t size,
			      uint32_t build_count, struct tree *row, uint32_t *ret_first)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, 2, columns);
	uint64_t first;

	row->builds.count = row->addresses.count = 0;
	if (err)
		return err;
	first = bytes_varint(&columns[0]);
	err = add_locations(columns, build_count, row);
	if (!err && first > TREE_LOCATION_COUNT_MAX - row->builds.count)
		err = -EBADMSG;
	*ret_first = (uint32_t)first;
	return err;
}

/* A node: how far up its parent stands, 0 for none; then its location, or its service's name. */
int codec_pack_nodes(struct codec *codec, const struct tree *tree, uint32_t first_node,
		     struct buf *ret)
{
	struct buf *columns = codec->columns;
	uint32_t last = 0;

	assert(first_node <= tree->nodes.count);
	(void)codec_columns(codec, 2);
	column_put(&columns[0], first_node);
	column_put(&columns[0], tree->nodes.count - first_node);
	for (uint32_t i = first_node; i < tree->nodes.count; i++) {
		struct tree_node node = tree->nodes.items[i];

		assert(node.parent == TREE_NO_PARENT || node.parent < i);
		column_put(&columns[0], node.parent == TREE_NO_PARENT ? 0 : i - node.parent);
		put_zigzag(&columns[1], (int64_t)node.location - last);
		last = node.location;
	}
	return codec_pack_columns(codec, 2, ret);
}

/* Makes nodes of how far up their parents stand and of their locations' differences. number: of the
 * first of them. */
static int make_nodes(struct tree_node *nodes, uint32_t number, const uint64_t *ups,
		      const uint64_t *differences, size_t count, uint32_t location_count,
		      uint32_t *location)
{
	uint32_t last = *location;

	for (size_t i = 0; i < count; i++, number++) {
		if (!add_difference(&last, unzigzag(differences[i])) || ups[i] > number ||
		    (ups[i] > 0 && last >= location_count))
			return -EBADMSG;
		nodes[i] = (struct tree_node){ ups[i] ? number - (uint32_t)ups[i] : TREE_NO_PARENT,
					       last };
	}
	*location = last;
	return 0;
}

/* Those of a row that begins with a number, behind what the tree has. */
static int add_nodes(struct bytes columns[static 2], uint32_t number, uint32_t location_count,
		     struct tree *tree)
{
	size_t count = bytes_count(&columns[0], 1, TREE_NODE_COUNT_MAX - number);
	uint64_t ups[TOGETHER], differences[TOGETHER];
	uint32_t location = 0;
	int err = 0;

	if (array_reserve(&tree->nodes, count) < 0)
		return -ENOMEM;
	for (size_t first = 0; !err && first < count; first += TOGETHER) {
		size_t some = count - first < TOGETHER ? count - first : TOGETHER;

		bytes_varints(&columns[0], ups, some);
		bytes_varints(&columns[1], differences, some);
		err = columns[0].error || columns[1].error
			      ? -EBADMSG
			      : make_nodes(tree->nodes.items + tree->nodes.count,
					   number + (uint32_t)first, ups, differences, some,
					   location_count, &location);
		if (!err)
			tree->nodes.count += (uint32_t)some;
	}
	if (err)
		return err;
	return columns[0].error || columns[0].left || columns[1].left ? -EBADMSG : 0;
}

int codec_unpack_nodes(struct codec *codec, const void *blob, size_t size, struct tree *tree)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, 2, columns);

	if (err)
		return err;
	return bytes_varint(&columns[0]) == tree->nodes.count
		       ? add_nodes(columns, tree->nodes.count, tree->builds.count, tree)
		       : -EBADMSG;
}

int codec_unpack_node_row(struct codec *codec, const void *blob, size_t size, uint32_t first,
			  uint32_t location_count, struct tree *row)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, 2, columns);

	row->nodes.count = 0;
	if (err)
		return err;
	return bytes_varint(&columns[0]) == first ? add_nodes(columns, first, location_count, row)
						  : -EBADMSG;
}

int codec_pack_pairs(struct codec *codec, const struct pair *pairs, size_t count, struct buf *ret)
{
	struct buf *columns = codec->columns;
	struct pair last = { 0 };

	(void)codec_columns(codec, 2);
	column_put(&columns[0], count);
	for (size_t i = 0; i < count; i++) {
		put_zigzag(&columns[0], (int64_t)pairs[i].series - last.series);
		put_zigzag(&columns[1], (int64_t)pairs[i].labels - last.labels);
		last = pairs[i];
	}
	return codec_pack_columns(codec, 2, ret);
}

int codec_unpack_pairs(struct codec *codec, const void *blob, size_t size, struct pairs *ret)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, 2, columns);
	uint64_t series[TOGETHER], labels[TOGETHER];
	struct pair pair = { 0 };

	ret->pairs.count = 0;
	if (err)
		return err;

	size_t count = bytes_count(&columns[0], 1, PAIR_COUNT_MAX);

	if (array_reserve(&ret->pairs, count) < 0)
		return -ENOMEM;
	for (size_t first = 0; first < count; first += TOGETHER) {
		size_t some = count - first < TOGETHER ? count - first : TOGETHER;

		bytes_varints(&columns[0], series, some);
		bytes_varints(&columns[1], labels, some);
		for (size_t i = 0; i < some; i++) {
			if (!add_difference(&pair.series, unzigzag(series[i])) ||
			    !add_difference(&pair.labels, unzigzag(labels[i])))
				return -EBADMSG;
			ret->pairs.items[ret->pairs.count++] = pair;
		}
	}
	return columns[0].error || columns[1].error || columns[0].left || columns[1].left ? -EBADMSG
											  : 0;
}

int codec_pack_bytes(struct codec *codec, const void *bytes, size_t size, struct buf *ret)
{
	(void)codec_columns(codec, 1);
	buf_add(&codec->columns[0], bytes, size);
	return codec_pack_columns(codec, 1, ret);
}

int codec_unpack_bytes(struct codec *codec, const void *blob, size_t size, struct buf *ret)
{
	struct bytes columns[COLUMNS_COUNT_MAX];
	int err = codec_unpack_columns(codec, blob, size, 1, columns);

	if (!err)
		buf_add(ret, columns[0].next, columns[0].left);
	return err ? err : ret->error;
}

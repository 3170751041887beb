/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/unwind_cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "symbols/identity_folder.h"

/* The fastest: who waits for a table that was just made waits for this, too. 5.3 bytes a row,
 * functions included, become 3.7. */
enum { PACKING_LEVEL = 1 };

struct unwind_cache {
	struct identity_folder *files;
	uint64_t size_max;
};

struct unwind_functions {
	uint32_t count;
	struct unwind_function functions[];
};

int unwind_cache_open(const char *path, uint64_t size_max, struct unwind_cache **ret)
{
	autoclean(unwind_cache) struct unwind_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->size_max = size_max;

	int err = identity_folder_open(path, ".unwind", size_max, &cache->files);

	if (err)
		return err;
	*ret = TAKE(cache);
	return 0;
}

struct unwind_cache *unwind_cache_close(struct unwind_cache *cache)
{
	if (!cache)
		return NULL;

	identity_folder_close(cache->files);
	free(cache);
	return NULL;
}

static int read_all(int fd, struct buf *buf)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if (status.st_size < (off_t)sizeof(struct unwind_table_header))
		return -EBADMSG;

	size_t size = (size_t)status.st_size;
	uint8_t *bytes = buf_grow(buf, size);

	if (!bytes)
		return buf->error == -EFBIG ? -EBADMSG : buf->error;
	for (size_t done = 0; done < size;) {
		ssize_t count = read(fd, bytes + done, size - done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 ? -errno : -EBADMSG;
		done += (size_t)count;
	}
	return 0;
}

/* The table whose header stands in front, from what follows it. */
static int unpack(const struct buf *packed, struct buf *table)
{
	struct unwind_table_header header;

	memcpy(&header, packed->bytes, sizeof(header));

	size_t size = unwind_table_size(&header);
	uint8_t *bytes = buf_grow(table, size);

	if (!bytes)
		return table->error == -EFBIG ? -EBADMSG : table->error;
	memcpy(bytes, &header, sizeof(header));

	size_t got = ZSTD_decompress(bytes + sizeof(header), size - sizeof(header),
				     packed->bytes + sizeof(header), packed->size - sizeof(header));

	if (ZSTD_isError(got))
		return ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
	return got == size - sizeof(header) ? 0 : -EBADMSG;
}

static int pack(const struct buf *table, struct buf *packed)
{
	size_t head_size = sizeof(struct unwind_table_header);
	size_t room = ZSTD_compressBound(table->size - head_size);
	uint8_t *bytes = buf_grow(packed, head_size + room);

	if (!bytes)
		return packed->error;
	memcpy(bytes, table->bytes, head_size);

	size_t size = ZSTD_compress(bytes + head_size, room, table->bytes + head_size,
				    table->size - head_size, PACKING_LEVEL);

	if (ZSTD_isError(size))
		return -ENOMEM;
	packed->size = head_size + size;
	return 0;
}

/* Whether these are what unwind_cache_write() wrote for this identity. */
static bool is_good(const struct buf *buf, const struct identity *identity,
		    struct unwind_table *ret_table)
{
	return unwind_table_check(buf->bytes, buf->size, ret_table) == 0 &&
	       ret_table->header->checksum == unwind_table_checksum(buf->bytes, buf->size) &&
	       identity_may_stand_for(identity, &ret_table->header->identity);
}

static int read_table(struct unwind_cache *cache, const struct identity *identity, struct buf *buf,
		      struct unwind_table *ret_table)
{
	autoclean(buf) struct buf packed = BUF(UNWIND_TABLE_SIZE_MAX);
	autoclose int fd = -1;
	int err = identity_folder_read(cache->files, identity, &fd);

	if (err)
		return err;
	err = read_all(fd, &packed);
	if (!err)
		err = unpack(&packed, buf);
	if (!err && is_good(buf, identity, ret_table))
		return 0;
	buf_clear(buf);
	if (err && err != -EBADMSG)
		return err;
	identity_folder_remove(cache->files, identity);
	return -ENOENT;
}

int unwind_cache_read(struct unwind_cache *cache, const struct identity *identity, struct buf *buf)
{
	struct unwind_table table;

	assert(buf->size == 0);
	return read_table(cache, identity, buf, &table);
}

static int write_all(int fd, const struct buf *table)
{
	for (size_t done = 0; done < table->size;) {
		ssize_t count = write(fd, table->bytes + done, table->size - done);

		if (count < 0 && errno != EINTR)
			return -errno;
		if (count > 0)
			done += (size_t)count;
	}
	return 0;
}

/* Not synchronised: what is lost in a crash of the host is found to be no good and made anew. */
static int write_file(const char *path, const void *contents, uint64_t *ret_size)
{
	const struct buf *table = contents;
	char path_new[PATH_MAX];
	int size = snprintf(path_new, sizeof(path_new), "%s.new", path);

	if (size < 0 || (size_t)size >= sizeof(path_new))
		return -ENAMETOOLONG;

	autoclose int fd =
		open(path_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;

	int err = write_all(fd, table);

	if (!err && rename(path_new, path))
		err = -errno;
	if (err) {
		(void)unlink(path_new); /* what matters has failed already */
		return err;
	}
	*ret_size = table->size;
	return 0;
}

int unwind_cache_write(struct unwind_cache *cache, const struct buf *table)
{
	autoclean(buf) struct buf packed = BUF(ZSTD_COMPRESSBOUND(UNWIND_TABLE_SIZE_MAX));
	struct unwind_table_header header;
	int err;

	assert(table->size >= sizeof(header));
	memcpy(&header, table->bytes, sizeof(header));
	err = pack(table, &packed);
	return err ? err
		   : identity_folder_write(cache->files, &header.identity, write_file, &packed);
}

int unwind_cache_alias(struct unwind_cache *cache, const struct identity *identity,
		       const struct identity *target)
{
	if (identity_folder_has(cache->files, identity))
		return 0;
	return identity_folder_alias(cache->files, identity, target);
}

struct unwind_cache_stats unwind_cache_stats(const struct unwind_cache *cache)
{
	struct identity_folder_stats files = identity_folder_stats(cache->files);

	return (struct unwind_cache_stats){
		.table_count = files.file_count,
		.bytes = files.file_bytes,
		.bytes_max = cache->size_max,
	};
}

/* ---- functions ---- */

int unwind_functions_open(struct unwind_cache *cache, const struct identity *identity,
			  struct unwind_functions **ret)
{
	autoclean(buf) struct buf buf = BUF(UNWIND_TABLE_SIZE_MAX);
	struct unwind_table table;
	int err = read_table(cache, identity, &buf, &table);

	if (err)
		return err;

	uint32_t count = table.header->function_count;
	struct unwind_functions *functions =
		malloc(sizeof(*functions) + count * sizeof(functions->functions[0]));

	if (!functions)
		return -ENOMEM;
	functions->count = count;
	if (count > 0)
		memcpy(functions->functions, table.functions,
		       count * sizeof(functions->functions[0]));
	*ret = functions;
	return 0;
}

struct unwind_functions *unwind_functions_close(struct unwind_functions *functions)
{
	free(functions);
	return NULL;
}

const struct unwind_function *unwind_functions_find(const struct unwind_functions *functions,
						    uint64_t offset)
{
	uint32_t low = 0;
	uint32_t high = functions->count;

	/* The last that starts at or before it. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (functions->functions[middle].start <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 ||
	    offset - functions->functions[low - 1].start >= functions->functions[low - 1].size)
		return NULL;
	return &functions->functions[low - 1];
}

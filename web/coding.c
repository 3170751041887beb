/* SPDX-License-Identifier: Apache-2.0 */
#include "web/coding.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define ZLIB_CONST
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/limits.h"
#include "web/snappy.h"

enum {
	UNPACK_SIZE = 16384,
	/* From here on the ratio counts: small texts legitimately pack very well. */
	RATIO_FREE_SIZE = 1 << 20,
	/* 8 MiB, what a decoder must have by RFC 8878. */
	ZSTD_WINDOW_LOG_MAX = 23,
	GZIP_WINDOW_BITS = 15 + 16, /* gzip's header and nothing else, as zlib.h says */
};

enum kind {
	KIND_NONE,
	KIND_GZIP,
	KIND_DEFLATE,
	KIND_ZSTD,
	KIND_LZ4,
	KIND_SNAPPY,
	KIND_SNAPPY_FRAMES,
};

static const struct {
	struct str name;
	enum kind kind;
} names[] = {
	{ { "", 0 }, KIND_NONE },
	{ { "identity", 8 }, KIND_NONE },
	{ { "gzip", 4 }, KIND_GZIP },
	{ { "zstd", 4 }, KIND_ZSTD },
	/* HTTP's deflate is what zlib calls its own format. */
	{ { "deflate", 7 }, KIND_DEFLATE },
	{ { "zlib", 4 }, KIND_DEFLATE },
	{ { "snappy", 6 }, KIND_SNAPPY },
	{ { "x-snappy-framed", 15 }, KIND_SNAPPY_FRAMES },
	{ { "lz4", 3 }, KIND_LZ4 },
};

struct coding {
	enum kind kind;
	request_sink *take;
	void *context;
	uint64_t packed_size, plain_size; /* that came, and went on */
	bool is_whole;			  /* of what has an end */
	z_stream zlib;
	ZSTD_DCtx *zstd;
	LZ4F_dctx *lz4;
	struct snappy snappy;
};

static int zstd_errno(size_t code)
{
	if (!ZSTD_isError(code))
		return 0;
	return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
}

static int lz4_errno(LZ4F_errorCode_t code)
{
	/* Its codes are no part of its interface; the name of this one is. */
	if (!LZ4F_isError(code))
		return 0;
	return strcasecmp(LZ4F_getErrorName(code), "ERROR_allocation_failed") == 0 ? -ENOMEM
										   : -EBADMSG;
}

static int start(struct coding *coding)
{
	switch (coding->kind) {
	case KIND_GZIP:
		return inflateInit2(&coding->zlib, GZIP_WINDOW_BITS) == Z_OK ? 0 : -ENOMEM;
	case KIND_DEFLATE:
		return inflateInit2(&coding->zlib, MAX_WBITS) == Z_OK ? 0 : -ENOMEM;
	case KIND_ZSTD:
		coding->zstd = ZSTD_createDCtx();
		return coding->zstd
			       ? zstd_errno(ZSTD_DCtx_setParameter(
					 coding->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX))
			       : -ENOMEM;
	case KIND_LZ4:
		return lz4_errno(LZ4F_createDecompressionContext(&coding->lz4, LZ4F_VERSION));
	case KIND_SNAPPY:
	case KIND_SNAPPY_FRAMES:
		coding->snappy = SNAPPY(coding->kind == KIND_SNAPPY_FRAMES);
		return 0;
	case KIND_NONE:
		break;
	}
	return 0;
}

int coding_new(struct str name, request_sink *take, void *context, struct coding **ret)
{
	autoclean(coding) struct coding *coding = NULL;
	size_t place = 0;
	int err;

	while (place < sizeof(names) / sizeof(names[0]) &&
	       (names[place].name.size != name.size ||
		(name.size > 0 && strncasecmp(names[place].name.text, name.text, name.size) != 0)))
		place++;
	if (place == sizeof(names) / sizeof(names[0]))
		return -EOPNOTSUPP;
	coding = calloc(1, sizeof(*coding));
	if (!coding)
		return -ENOMEM;
	coding->take = take;
	coding->context = context;
	coding->kind = names[place].kind;
	err = start(coding);
	if (err)
		return err;
	*ret = TAKE(coding);
	return 0;
}

struct coding *coding_free(struct coding *coding)
{
	if (!coding)
		return NULL;
	/* Says what it thinks of one that was never begun, and does nothing. */
	if (coding->kind == KIND_GZIP || coding->kind == KIND_DEFLATE)
		(void)inflateEnd(&coding->zlib);
	(void)ZSTD_freeDCtx(coding->zstd);
	if (coding->lz4)
		(void)LZ4F_freeDecompressionContext(coding->lz4);
	snappy_done(&coding->snappy);
	free(coding);
	return NULL;
}

/* Gives on what was unpacked, within a sane ratio to what came over the wire. */
static int give(void *context, const void *bytes, size_t size)
{
	struct coding *coding = context;
	int err = 0;

	coding->plain_size += size;
	if (size > 0)
		err = coding->take(coding->context, bytes, size);
	if (!err && coding->plain_size > RATIO_FREE_SIZE &&
	    coding->plain_size / REQUEST_RATIO_MAX > coding->packed_size)
		err = -E2BIG;
	return err;
}

static int add_zlib(struct coding *coding, const void *bytes, size_t size)
{
	uint8_t plain[UNPACK_SIZE];
	int err = 0;

	if (coding->is_whole)
		return -EBADMSG; /* one member is the whole body */
	coding->zlib.next_in = bytes;
	coding->zlib.avail_in = (uInt)size;
	do {
		coding->zlib.next_out = plain;
		coding->zlib.avail_out = sizeof(plain);

		int code = inflate(&coding->zlib, Z_NO_FLUSH);

		if (code == Z_MEM_ERROR)
			return -ENOMEM;
		if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
			return -EBADMSG;
		coding->is_whole = code == Z_STREAM_END;
		err = give(coding, plain, sizeof(plain) - coding->zlib.avail_out);
	} while (!err && !coding->is_whole && coding->zlib.avail_out == 0);
	if (err)
		return err;
	return coding->is_whole && coding->zlib.avail_in > 0 ? -EBADMSG : 0;
}

static int add_zstd(struct coding *coding, const void *bytes, size_t size)
{
	ZSTD_inBuffer in = { bytes, size, 0 };
	uint8_t plain[UNPACK_SIZE];
	bool is_full = false;

	while (in.pos < in.size || is_full) {
		ZSTD_outBuffer out = { plain, sizeof(plain), 0 };
		size_t missing = ZSTD_decompressStream(coding->zstd, &out, &in);
		int err = zstd_errno(missing);

		if (!err)
			err = give(coding, plain, out.pos);
		if (err)
			return err;
		coding->is_whole = missing == 0;
		is_full = out.pos == out.size && missing > 0;
	}
	return 0;
}

static int add_lz4(struct coding *coding, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;
	uint8_t plain[UNPACK_SIZE];
	bool is_full = false;

	while (size > 0 || is_full) {
		size_t plain_size = sizeof(plain);
		size_t read_size = size;
		size_t hint =
			LZ4F_decompress(coding->lz4, plain, &plain_size, next, &read_size, NULL);
		int err = lz4_errno(hint);

		if (!err)
			err = give(coding, plain, plain_size);
		if (err)
			return err;
		assert(read_size <= size);
		next += read_size;
		size -= read_size;
		coding->is_whole = hint == 0;
		is_full = plain_size == sizeof(plain) && hint > 0;
		if (read_size == 0 && plain_size == 0)
			return size > 0 ? -EBADMSG : 0;
	}
	return 0;
}

int coding_add(struct coding *coding, const void *bytes, size_t size)
{
	if (size == 0)
		return 0;
	coding->packed_size += size;
	switch (coding->kind) {
	case KIND_GZIP:
	case KIND_DEFLATE:
		return add_zlib(coding, bytes, size);
	case KIND_ZSTD:
		return add_zstd(coding, bytes, size);
	case KIND_LZ4:
		return add_lz4(coding, bytes, size);
	case KIND_SNAPPY:
	case KIND_SNAPPY_FRAMES:
		return snappy_add(&coding->snappy, bytes, size, give, coding);
	case KIND_NONE:
		break;
	}
	return coding->take(coding->context, bytes, size);
}

int coding_end(struct coding *coding)
{
	if (coding->packed_size == 0 || coding->kind == KIND_NONE)
		return 0;
	if (coding->kind == KIND_SNAPPY || coding->kind == KIND_SNAPPY_FRAMES)
		return snappy_end(&coding->snappy, give, coding);
	return coding->is_whole ? 0 : -EBADMSG;
}

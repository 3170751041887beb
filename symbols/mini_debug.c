/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/mini_debug.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lzma.h>

#include "base/cleanup.h"

enum { PIECE_SIZE = 64 << 10 };

static int error_of(lzma_ret code)
{
	switch (code) {
	case LZMA_OK:
	case LZMA_STREAM_END:
		return 0;
	case LZMA_MEM_ERROR:
		return -ENOMEM;
	case LZMA_MEMLIMIT_ERROR:
		return -EFBIG;
	default:
		return -EBADMSG;
	}
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t put = write(fd, bytes + done, size - done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		done += (size_t)put;
	}
	return 0;
}

/* Until the stream ends: one that is cut off makes no progress any more, which lzma calls an error.
 */
static int unpack_to(lzma_stream *stream, int fd)
{
	uint8_t piece[PIECE_SIZE];
	bool is_over = false;
	int err = 0;

	while (!err && !is_over) {
		stream->next_out = piece;
		stream->avail_out = sizeof(piece);

		lzma_ret code = lzma_code(stream, LZMA_FINISH);

		is_over = code == LZMA_STREAM_END;
		err = error_of(code);
		if (!err && stream->total_out > MINI_DEBUG_SIZE_MAX)
			err = -EFBIG;
		if (!err)
			err = write_all(fd, piece, sizeof(piece) - stream->avail_out);
	}
	return err;
}

int mini_debug_unpack(const uint8_t *bytes, size_t size, int *ret_fd)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	autoclose int fd = memfd_create("mini_debug", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;

	int err = error_of(lzma_stream_decoder(&stream, MINI_DEBUG_MEMORY_MAX, 0));

	stream.next_in = bytes;
	stream.avail_in = size;
	if (!err)
		err = unpack_to(&stream, fd);
	lzma_end(&stream);
	if (!err && lseek(fd, 0, SEEK_SET) < 0)
		err = -errno;
	if (err)
		return err;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

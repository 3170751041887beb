/* SPDX-License-Identifier: Apache-2.0 */
#include "web/recording.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/limits.h"

/*
 * The file is a row of zstd frames, so that `zstd -d` can look into it: a skippable one that says
 * what this is, then one with a checksum for each message:
 *
 *   type u8 · descriptors u8 · sequence u64 · size u32 · payload, then for each descriptor pieces
 * of what it held: size u32 · bytes, until one of size 0, or LEFT_OUT.
 *
 * Pieces, since nobody knows the size of /proc/kallsyms before it was read.
 */
enum {
	PIECE_SIZE_MAX = 64 << 10,
	/* 8 MiB; our own frames ask for 2. What a stranger's frame may make the decoder take. */
	ZSTD_WINDOW_LOG_MAX = 23,
	COMPRESSION_LEVEL = 3,
	MESSAGE_HEAD_SIZE = 14,
	PIECE_HEAD_SIZE = 4,
};

#define PIECE_LEFT_OUT UINT32_MAX

/* A skippable frame of 16 bytes (RFC 8878, section 3.1.2). */
static const uint8_t file_head[] = "\x50\x2a\x4d\x18\x10\0\0\0hearth record 1\n";

enum { FILE_HEAD_SIZE = sizeof(file_head) - 1 };
static_assert(FILE_HEAD_SIZE == 8 + 16, "the head is a skippable frame of 16 bytes");

struct recording {
	int fd;
	ZSTD_CCtx *compressor;	 /* of one that is written */
	ZSTD_DCtx *decompressor; /* of one that is read */
	off_t whole_size;	 /* written up to here: whole messages */
	bool is_in_frame;	 /* reading: a message has begun and not ended */
	size_t next, size;	 /* reading: what of buffer is not used yet */
	uint8_t buffer[PIECE_SIZE_MAX];
	uint8_t piece[PIECE_SIZE_MAX];
};

/* zstd's codes end here. */
static int recording_errno(size_t code)
{
	if (!ZSTD_isError(code))
		return 0;
	return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
}

static int new_recording(const char *path, int flags, struct recording **ret)
{
	autoclean(recording) struct recording *recording = calloc(1, sizeof(*recording));

	if (!recording)
		return -ENOMEM;
	/* Profiles tell a lot about a host: for its owner's eyes. */
	recording->fd = open(path, flags | O_CLOEXEC, 0600);
	if (recording->fd < 0)
		return -errno;
	*ret = TAKE(recording);
	return 0;
}

struct recording *recording_close(struct recording *recording)
{
	if (!recording)
		return NULL;

	if (recording->fd >= 0)
		close(recording->fd);
	ZSTD_freeCCtx(recording->compressor);
	ZSTD_freeDCtx(recording->decompressor);
	free(recording);
	return NULL;
}

/* ---- writing -------------------------------------------------------------------------------- */

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

int recording_create(const char *path, struct recording **ret)
{
	autoclean(recording) struct recording *recording = NULL;
	int err = new_recording(path, O_WRONLY | O_CREAT | O_TRUNC, &recording);

	if (err)
		return err;
	assert(recording);
	recording->compressor = ZSTD_createCCtx();
	if (!recording->compressor)
		return -ENOMEM;
	err = recording_errno(
		ZSTD_CCtx_setParameter(recording->compressor, ZSTD_c_checksumFlag, 1));
	if (!err)
		err = recording_errno(ZSTD_CCtx_setParameter(
			recording->compressor, ZSTD_c_compressionLevel, COMPRESSION_LEVEL));
	if (!err)
		err = write_all(recording->fd, file_head, FILE_HEAD_SIZE);
	if (err)
		return err;

	recording->whole_size = FILE_HEAD_SIZE;
	*ret = TAKE(recording);
	return 0;
}

static int add_bytes(struct recording *recording, const void *bytes, size_t size,
		     ZSTD_EndDirective directive)
{
	ZSTD_inBuffer input = { .src = bytes, .size = size };
	size_t left;

	do {
		ZSTD_outBuffer output = { .dst = recording->buffer,
					  .size = sizeof(recording->buffer) };

		left = ZSTD_compressStream2(recording->compressor, &output, &input, directive);

		int err = recording_errno(left);

		if (!err)
			err = write_all(recording->fd, recording->buffer, output.pos);
		if (err)
			return err;
	} while (input.pos < input.size || (directive == ZSTD_e_end && left > 0));
	return 0;
}

static int add_piece_head(struct recording *recording, uint32_t size)
{
	autoclean(buf) struct buf head = BUF(PIECE_HEAD_SIZE);

	buf_add_u32(&head, size);
	return head.error ? head.error
			  : add_bytes(recording, head.bytes, head.size, ZSTD_e_continue);
}

static int add_contents(struct recording *recording, int fd)
{
	struct stat status;
	off_t offset = 0;

	if (fstat(fd, &status))
		return -errno;
	while (status.st_size <= RECORDED_FILE_SIZE_MAX) {
		ssize_t size = pread(fd, recording->piece, sizeof(recording->piece), offset);

		if (size < 0 && errno == EINTR)
			continue;
		/* One that can't be read now could not be read by the server either. */
		if (size < 0 || offset + size > RECORDED_FILE_SIZE_MAX)
			break;

		int err = add_piece_head(recording, (uint32_t)size);

		if (!err && size > 0)
			err = add_bytes(recording, recording->piece, (size_t)size, ZSTD_e_continue);
		if (err || size == 0)
			return err;
		offset += size;
	}
	return add_piece_head(recording, PIECE_LEFT_OUT);
}

static int add_message(struct recording *recording, const struct link_message *message)
{
	autoclean(buf) struct buf head = BUF(MESSAGE_HEAD_SIZE);

	buf_add_u8(&head, message->type);
	buf_add_u8(&head, (uint8_t)message->fd_count);
	buf_add_u64(&head, message->sequence);
	buf_add_u32(&head, (uint32_t)message->size);

	int err = head.error;

	assert(err || head.size == MESSAGE_HEAD_SIZE);
	if (!err)
		err = add_bytes(recording, head.bytes, head.size, ZSTD_e_continue);
	if (!err && message->size > 0)
		err = add_bytes(recording, message->payload, message->size, ZSTD_e_continue);
	for (unsigned i = 0; i < message->fd_count && !err; i++)
		err = add_contents(recording, message->fds[i]);
	if (!err)
		err = add_bytes(recording, NULL, 0, ZSTD_e_end);
	return err;
}

static bool is_recorded(uint8_t type)
{
	return type == LINK_HELLO || type == LINK_WINDOW || type == LINK_FILE ||
	       type == LINK_KERNEL || type == LINK_JIT || type == LINK_DEBUG;
}

int recording_add(struct recording *recording, const struct link_message *message)
{
	assert(recording->compressor);
	assert(message->fd_count <= LINK_FD_COUNT_MAX && message->size <= WINDOW_SIZE_MAX);

	if (!is_recorded(message->type))
		return 0;

	int err = add_message(recording, message);

	if (err) {
		/* What was written of it goes again: the messages before stay readable. */
		(void)ZSTD_CCtx_reset(recording->compressor, ZSTD_reset_session_only);
		if (ftruncate(recording->fd, recording->whole_size) == 0)
			(void)lseek(recording->fd, recording->whole_size, SEEK_SET);
		return err;
	}
	recording->whole_size = lseek(recording->fd, 0, SEEK_CUR);
	/* What a pipe took is gone, and can't be taken back. */
	return recording->whole_size < 0 && errno != ESPIPE ? -errno : 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* The next bytes of the file when all that is there was used; -ENODATA at its end. */
static int fill(struct recording *recording)
{
	while (recording->next == recording->size) {
		ssize_t size = read(recording->fd, recording->buffer, sizeof(recording->buffer));

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return size < 0 ? -errno : -ENODATA;
		recording->next = 0;
		recording->size = (size_t)size;
	}
	return 0;
}

int recording_open(const char *path, struct recording **ret)
{
	autoclean(recording) struct recording *recording = NULL;
	uint8_t head[FILE_HEAD_SIZE];
	int err = new_recording(path, O_RDONLY, &recording);

	if (err)
		return err;
	assert(recording);
	for (size_t i = 0; i < sizeof(head); i++) {
		err = fill(recording);
		if (err)
			return err == -ENODATA ? -EBADMSG : err;
		head[i] = recording->buffer[recording->next++];
	}
	if (memcmp(head, file_head, sizeof(head)) != 0)
		return -EBADMSG;
	recording->decompressor = ZSTD_createDCtx();
	if (!recording->decompressor)
		return -ENOMEM;
	err = recording_errno(ZSTD_DCtx_setParameter(recording->decompressor, ZSTD_d_windowLogMax,
						     ZSTD_WINDOW_LOG_MAX));
	if (err)
		return err;

	*ret = TAKE(recording);
	return 0;
}

/* Exactly size bytes of the message that is being read; all of them lie in one frame. */
static int take_bytes(struct recording *recording, void *bytes, size_t size)
{
	ZSTD_outBuffer output = { .dst = bytes, .size = size };

	if (!recording->is_in_frame)
		return -EBADMSG;
	while (output.pos < size) {
		/* The decoder may hold more than it could put out so far: ask it first. */
		ZSTD_inBuffer input = { .src = recording->buffer,
					.size = recording->size,
					.pos = recording->next };
		size_t before = output.pos;
		size_t left = ZSTD_decompressStream(recording->decompressor, &output, &input);
		int err = recording_errno(left);

		if (err)
			return err;
		recording->is_in_frame = left > 0;
		if (left == 0 && output.pos < size)
			return -EBADMSG;
		if (input.pos == recording->next && output.pos == before) {
			err = fill(recording);
			if (err)
				return err == -ENODATA ? -EBADMSG : err;
			continue;
		}
		recording->next = input.pos;
	}
	return 0;
}

/* The frame ends here, and its checksum is right. */
static int end_message(struct recording *recording)
{
	while (recording->is_in_frame) {
		uint8_t extra;
		ZSTD_outBuffer output = { .dst = &extra, .size = sizeof(extra) };
		ZSTD_inBuffer input = { .src = recording->buffer,
					.size = recording->size,
					.pos = recording->next };
		size_t left = ZSTD_decompressStream(recording->decompressor, &output, &input);
		int err = recording_errno(left);

		if (err)
			return err;
		if (output.pos > 0)
			return -EBADMSG;
		recording->is_in_frame = left > 0;
		if (left > 0 && input.pos == recording->next) {
			err = fill(recording);
			if (err)
				return err == -ENODATA ? -EBADMSG : err;
			continue;
		}
		recording->next = input.pos;
	}
	return 0;
}

static int take_payload(struct recording *recording, size_t size, struct link_message *message)
{
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);

	/* Piece by piece, so that a size that is a lie costs no more than what is there. */
	while (payload.size < size) {
		size_t left = size - payload.size;
		size_t piece = left < PIECE_SIZE_MAX ? left : PIECE_SIZE_MAX;
		void *room = buf_grow(&payload, piece);

		if (!room)
			return payload.error;

		int err = take_bytes(recording, room, piece);

		if (err)
			return err;
	}
	message->size = payload.size;
	message->copied = TAKE(payload.bytes);
	message->payload = message->copied;
	return 0;
}

/* *ret_fd: -1 when the contents were left out. */
static int take_contents(struct recording *recording, int *ret_fd)
{
	autoclose int fd = memfd_create("hearth-recording", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t total = 0;

	if (fd < 0)
		return -errno;
	while (true) {
		uint8_t head[PIECE_HEAD_SIZE];
		int err = take_bytes(recording, head, sizeof(head));

		if (err)
			return err;

		struct bytes bytes = bytes_from(head, sizeof(head));
		uint32_t size = bytes_u32(&bytes);

		if (size == PIECE_LEFT_OUT) {
			*ret_fd = -1;
			return 0;
		}
		if (size == 0)
			break;
		if (size > PIECE_SIZE_MAX || total + size > RECORDED_FILE_SIZE_MAX)
			return -EBADMSG;
		err = take_bytes(recording, recording->piece, size);
		if (!err)
			err = write_all(fd, recording->piece, size);
		if (err)
			return err;
		total += size;
	}
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int take_message(struct recording *recording, struct link_message *message)
{
	uint8_t head[MESSAGE_HEAD_SIZE];
	int err = take_bytes(recording, head, sizeof(head));

	if (err)
		return err;

	struct bytes bytes = bytes_from(head, sizeof(head));

	message->type = bytes_u8(&bytes);

	unsigned fd_count = bytes_u8(&bytes);

	message->sequence = bytes_u64(&bytes);

	uint32_t size = bytes_u32(&bytes);

	if (!is_recorded(message->type) || fd_count > LINK_FD_COUNT_MAX || size > WINDOW_SIZE_MAX)
		return -EBADMSG;
	err = take_payload(recording, size, message);
	for (; message->fd_count < fd_count && !err; message->fd_count++)
		err = take_contents(recording, &message->fds[message->fd_count]);
	return err ? err : end_message(recording);
}

/* A file without its contents is one that could not be opened. */
static int replace_payload(struct link_message *message)
{
	struct link_file file = { 0 };
	autoclean(buf) struct buf payload = BUF(IDENTITY_SIZE_MAX + 16);
	int err = link_decode_file(message, &file);

	if (err)
		return err;
	file.error = EFBIG;
	link_encode_file(&file, &payload);
	if (payload.error)
		return payload.error;
	free(message->copied);
	message->size = payload.size;
	message->copied = TAKE(payload.bytes);
	message->payload = message->copied;
	message->fd_count = 0;
	return 0;
}

/* What was left out is not there; false when nothing of use is. */
static int settle_left_out(struct link_message *message, bool *ret_is_of_use)
{
	bool lacks_first = message->fd_count > 0 && message->fds[0] < 0;
	bool lacks_second = message->fd_count > 1 && message->fds[1] < 0;

	bool is_file = message->type == LINK_FILE || message->type == LINK_DEBUG;

	*ret_is_of_use = !lacks_first || is_file;
	if (lacks_first)
		return is_file ? replace_payload(message) : 0;
	if (lacks_second)
		message->fd_count = 1;
	return 0;
}

int recording_next(struct recording *recording, struct link_message *ret)
{
	bool is_of_use = false;

	assert(recording->decompressor);
	while (!is_of_use) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };
		int err = recording->is_in_frame ? -EBADMSG : fill(recording);

		if (err)
			return err;
		recording->is_in_frame = true;
		err = take_message(recording, &message);
		if (!err)
			err = settle_left_out(&message, &is_of_use);
		if (err)
			return err;
		if (is_of_use) {
			*ret = message;
			message = (struct link_message){ .fds = { -1, -1 } };
		}
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/decode_tool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "commands/command.h"
#include "web/otlp_dump.h"
#include "web/otlp_json.h"
#include "web/request.h"

enum {
	GRPC_HEAD_SIZE = 5, /* flags, and the size, the highest byte first */
	FILE_HEAD_SIZE = 4, /* of the Collector's file exporter: the size */
	TEXT_SIZE_MAX = 256 << 20,
	PACKING_DEPTH_MAX = 4, /* a frame, what packs it, and what packs the file */
};

struct decoding {
	uint64_t tables_serial; /* of those that were told of */
	bool has_revision;
	struct buf text;
};

static void print_help(void)
{
	printf("usage: hearth decode FILE\n\n" DECODE_TOOL_HELP "\n\n"
	       "FILE has the body of a request, or what the Collector's file exporter writes; - "
	       "is\n"
	       "standard input. It may be framed by gRPC, packed by gzip or zstd, and JSON.\n");
}

/* ---- what it is packed in ---------------------------------------------------------------------
 */

static bool is_gzip(struct str bytes)
{
	return str_starts_with(bytes, STR("\x1f\x8b"));
}

static bool is_zstd(struct str bytes)
{
	return str_starts_with(bytes, STR("\x28\xb5\x2f\xfd"));
}

static uint32_t big_endian(struct str bytes, size_t offset)
{
	const uint8_t *at = (const uint8_t *)bytes.text + offset;

	assert(bytes.size >= offset + 4);
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool is_grpc(struct str bytes)
{
	return bytes.size >= GRPC_HEAD_SIZE && (uint8_t)bytes.text[0] <= 1 &&
	       big_endian(bytes, 1) == bytes.size - GRPC_HEAD_SIZE;
}

/* Pieces with their size before them, to the end of the file exactly. */
static bool is_collector_file(struct str bytes)
{
	if (bytes.size <= FILE_HEAD_SIZE)
		return false;
	while (bytes.size > FILE_HEAD_SIZE) {
		size_t size = big_endian(bytes, 0);

		if (size > bytes.size - FILE_HEAD_SIZE)
			return false;
		bytes = (struct str){ bytes.text + FILE_HEAD_SIZE + size,
				      bytes.size - FILE_HEAD_SIZE - size };
	}
	return bytes.size == 0;
}

/* The same reader as of requests, with a body from memory. */
static int64_t read_piece(struct request *request, void *bytes, size_t size)
{
	struct str *left = request->body_context;

	if (size > left->size)
		size = left->size;
	if (size > 0)
		memcpy(bytes, left->text, size);
	*left = (struct str){ left->text + size, left->size - size };
	return (int64_t)size;
}

static int unpack(struct str packed, struct str encoding, struct buf *plain)
{
	struct request request = { .headers = { { STR("content-encoding"), encoding } },
				   .header_count = 1,
				   .read_body = read_piece,
				   .body_context = &packed };

	return request_read_body(&request, plain);
}

/* ---- one request ------------------------------------------------------------------------------
 */

static void flush(struct decoding *decoding)
{
	if (decoding->text.size > 0)
		(void)fwrite(decoding->text.bytes, 1, decoding->text.size, stdout);
	buf_clear(&decoding->text);
}

static int print_profile(void *context, const struct otlp_profile *profile)
{
	struct decoding *decoding = context;
	const struct otlp_tables *tables = profile->tables;

	if (!decoding->has_revision)
		buf_printf(&decoding->text, "revision %s\n", otlp_revision_name(profile->revision));
	decoding->has_revision = true;
	if (tables->serial != decoding->tables_serial)
		buf_printf(&decoding->text,
			   "tables: %" PRIu32 " texts, %" PRIu32 " attributes, %" PRIu32
			   " mappings, %" PRIu32 " functions, %" PRIu32 " locations, %" PRIu32
			   " links, %" PRIu32 " stacks\n",
			   tables->strings.count, tables->attributes.count, tables->mappings.count,
			   tables->functions.count, tables->locations.count, tables->links.count,
			   tables->stacks.count);
	decoding->tables_serial = tables->serial;
	otlp_dump_profile(profile, &decoding->text);
	if (decoding->text.error)
		return decoding->text.error;
	flush(decoding);
	return 0;
}

static bool is_json(struct str bytes)
{
	size_t i = 0;

	while (i < bytes.size && strchr(" \t\r\n", bytes.text[i]) && bytes.text[i])
		i++;
	return i < bytes.size && bytes.text[i] == '{';
}

static int decode(struct str bytes)
{
	struct decoding decoding = { .text = BUF(TEXT_SIZE_MAX) };
	autoclean(buf) struct buf encoded = BUF(OTLP_REQUEST_SIZE_MAX);
	struct otlp_reading reading = { .bytes = bytes,
					.take = print_profile,
					.context = &decoding };
	struct otlp_report report = { 0 };
	char reason[OTLP_ERROR_SIZE] = "";
	int err = 0;

	if (is_json(bytes)) {
		printf("JSON\n");
		err = otlp_json_encode(bytes, &encoded, &reading.known, reason);
		reading.bytes = (struct str){ (const char *)encoded.bytes, encoded.size };
	}
	if (!err)
		err = otlp_read(&reading, &report, reason);
	otlp_dump_report(&report, &decoding.text);
	flush(&decoding);
	buf_done(&decoding.text);
	if (!err)
		return 0;
	(void)fflush(stdout);
	log_error("%s", reason[0] ? reason : strerror(-err));
	return EX_DATAERR;
}

/* Takes off what is around it, layer by layer, and says so. */
static int decode_packed(struct str bytes, unsigned depth)
{
	autoclean(buf) struct buf plain = BUF(OTLP_REQUEST_SIZE_MAX);
	struct str encoding = is_gzip(bytes) ? STR("gzip") : STR("zstd");
	int code = 0;

	printf("%zu bytes: ", bytes.size);
	if (depth == PACKING_DEPTH_MAX) {
		log_error("it is packed more than %d times", PACKING_DEPTH_MAX);
		return EX_DATAERR;
	}
	if (is_gzip(bytes) || is_zstd(bytes)) {
		printf("packed by %s\n", encoding.text);
		if (unpack(bytes, encoding, &plain)) {
			log_error("it can't be unpacked, or has more than %d MiB then",
				  OTLP_REQUEST_SIZE_MAX >> 20);
			return EX_DATAERR;
		}
		return decode_packed((struct str){ (const char *)plain.bytes, plain.size },
				     depth + 1);
	}
	if (is_grpc(bytes)) {
		printf("a message of gRPC%s\n", bytes.text[0] ? ", packed" : "");
		return decode_packed(
			(struct str){ bytes.text + GRPC_HEAD_SIZE, bytes.size - GRPC_HEAD_SIZE },
			depth + 1);
	}
	if (!is_collector_file(bytes)) {
		printf("a request\n");
		return decode(bytes);
	}
	printf("a file of the Collector's file exporter\n");
	while (bytes.size > 0) {
		size_t size = big_endian(bytes, 0);
		int one =
			decode_packed((struct str){ bytes.text + FILE_HEAD_SIZE, size }, depth + 1);

		code = code ? code : one;
		bytes = (struct str){ bytes.text + FILE_HEAD_SIZE + size,
				      bytes.size - FILE_HEAD_SIZE - size };
	}
	return code;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static int read_file(const char *path, struct buf *bytes)
{
	bool is_input = !strcmp(path, "-");
	autoclose int fd = is_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	uint8_t piece[65536];
	ssize_t count;

	if (fd < 0)
		return -errno;
	while ((count = read(fd, piece, sizeof(piece))) > 0)
		buf_add(bytes, piece, (size_t)count);
	return count < 0 ? -errno : bytes->error;
}

int decode_tool_main(int argument_count, const char *const *arguments)
{
	autoclean(buf) struct buf bytes = BUF(OTLP_REQUEST_SIZE_MAX);
	int err;

	if (command_asks_for_help(argument_count, arguments)) {
		print_help();
		return 0;
	}
	if (argument_count != 1 || (arguments[0][0] == '-' && arguments[0][1])) {
		log_error("usage: hearth decode FILE");
		return EX_USAGE;
	}
	err = read_file(arguments[0], &bytes);
	if (err) {
		log_error_errno(err, "cannot read '%s'", arguments[0]);
		return EX_NOINPUT;
	}
	return decode_packed((struct str){ (const char *)bytes.bytes, bytes.size }, 0);
}

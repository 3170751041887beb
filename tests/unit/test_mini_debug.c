/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lzma.h>

#include "base/cleanup.h"
#include "symbols/mini_debug.h"

/* Bytes that pack well, but not to nothing. */
static uint8_t *make_bytes(size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)((i / 7) ^ (i >> 9));
	return bytes;
}

static uint8_t *pack(const uint8_t *bytes, size_t size, uint32_t preset, size_t *ret_size)
{
	size_t room = lzma_stream_buffer_bound(size);
	uint8_t *packed = malloc(room);
	size_t packed_size = 0;

	assert_non_null(packed);
	assert_int_equal(lzma_easy_buffer_encode(preset, LZMA_CHECK_CRC64, NULL, bytes, size,
						 packed, &packed_size, room),
			 LZMA_OK);
	*ret_size = packed_size;
	return packed;
}

static void unpacks(void **state)
{
	static const size_t sizes[] = { 0, 1, 64 << 10, (64 << 10) + 1, 3000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		autofree uint8_t *bytes = make_bytes(sizes[i] + 1);
		autofree uint8_t *read_back = malloc(sizes[i] + 1);
		size_t packed_size;
		autofree uint8_t *packed = pack(bytes, sizes[i], 6, &packed_size);
		autoclose int fd = -1;

		assert_int_equal(mini_debug_unpack(packed, packed_size, &fd), 0);
		assert_int_equal(read(fd, read_back, sizes[i] + 1), sizes[i]);
		assert_memory_equal(read_back, bytes, sizes[i]);
	}
}

static void refuses_what_is_damaged_or_cut_off(void **state)
{
	autofree uint8_t *bytes = make_bytes(100000);
	size_t size;
	autofree uint8_t *packed = pack(bytes, 100000, 6, &size);
	int fd = -7;

	(void)state;
	for (size_t cut = 0; cut < size; cut += 1 + cut / 8)
		assert_int_equal(mini_debug_unpack(packed, cut, &fd), -EBADMSG);
	for (size_t place = 0; place < size; place += 1 + place / 4) {
		packed[place] ^= 0x10;
		assert_int_equal(mini_debug_unpack(packed, size, &fd), -EBADMSG);
		packed[place] ^= 0x10;
	}
	assert_int_equal(mini_debug_unpack((const uint8_t *)"\x7f"
							    "ELF",
					   4, &fd),
			 -EBADMSG);
	assert_int_equal(fd, -7);
}

/* Ten kilobytes that stand for more than the limit. */
static void refuses_a_bomb(void **state)
{
	size_t size = (size_t)MINI_DEBUG_SIZE_MAX + 1;
	autofree uint8_t *zeros = calloc(1, size);
	size_t packed_size;
	int fd = -7;

	(void)state;
	assert_non_null(zeros);

	autofree uint8_t *packed = pack(zeros, size, 0, &packed_size);

	assert_true(packed_size < 64 << 10);
	assert_int_equal(mini_debug_unpack(packed, packed_size, &fd), -EFBIG);
	assert_int_equal(fd, -7);
}

/* A header may ask for a dictionary of 4 GiB. */
static void refuses_a_huge_dictionary(void **state)
{
	lzma_options_lzma options;
	lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options }, { LZMA_VLI_UNKNOWN, NULL } };
	uint8_t bytes[256];
	size_t packed_size = 0;
	uint8_t block[1024];
	int fd = -7;

	(void)state;
	memset(bytes, 1, sizeof(bytes));
	assert_false(lzma_lzma_preset(&options, 0));
	assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_NONE, NULL, bytes,
						   sizeof(bytes), block, &packed_size,
						   sizeof(block)),
			 LZMA_OK);
	/* The filter's id, the size of its one property, and that; behind the stream's header of 12
	 * bytes and sizes that may be there. Then the header's checksum is made anew. */
	size_t header = 12;
	size_t header_size = ((size_t)block[header] + 1) * 4;
	uint8_t *filter = memmem(block + header, header_size, "\x21\x01", 2);

	assert_non_null(filter);
	filter[2] = 40; /* 4 GiB - 1 */

	uint32_t checksum = lzma_crc32(block + header, header_size - 4, 0);

	memcpy(block + header + header_size - 4, &checksum, sizeof(checksum));
	assert_int_equal(mini_debug_unpack(block, packed_size, &fd), -EFBIG);
	assert_int_equal(fd, -7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpacks),
		cmocka_unit_test(refuses_what_is_damaged_or_cut_off),
		cmocka_unit_test(refuses_a_bomb),
		cmocka_unit_test(refuses_a_huge_dictionary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers packed by gzip: the small at once, the large in pieces, the unsound not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "web/compression.h"

enum { MEMORY = 8 << 20 };

struct taken {
	struct buf bytes;
	unsigned pieces;
};

static int take(void *context, const void *bytes, size_t size)
{
	struct taken *taken = context;

	taken->pieces++;
	buf_add(&taken->bytes, bytes, size);
	return taken->bytes.error;
}

/* Text that is not all the same. */
static void write_text(struct buf *buf, size_t size)
{
	while (buf->size + 16 <= size)
		buf_printf(buf, "%015zu\n", buf->size * 2654435761);
	while (buf->size < size)
		buf_add_u8(buf, '.');
	assert_int_equal(buf->error, 0);
}

static void add_member(struct buf *packed, size_t size)
{
	autoclean(buf) struct buf member = BUF(MEMORY);

	write_text(&member, size);
	assert_int_equal(compression_gzip(&member), 0);
	buf_add(packed, member.bytes, member.size);
}

static int unpack(const struct buf *packed, struct taken *ret)
{
	*ret = (struct taken){ .bytes = BUF(MEMORY) };
	return compression_unpack((struct str){ (const char *)packed->bytes, packed->size }, take,
				  ret);
}

/* The texts of both sizes, one after the other, in so many pieces; 0: in more than one. */
static void assert_unpacks(const struct buf *packed, size_t first, size_t second, unsigned pieces)
{
	autoclean(buf) struct buf expected = BUF(MEMORY);
	autoclean(buf) struct buf more = BUF(MEMORY);
	struct taken taken;

	write_text(&expected, first);
	write_text(&more, second);
	buf_add(&expected, more.bytes, more.size);
	assert_int_equal(unpack(packed, &taken), 0);
	assert_int_equal(taken.bytes.size, expected.size);
	assert_memory_equal(taken.bytes.bytes, expected.bytes, expected.size);
	if (pieces)
		assert_int_equal(taken.pieces, pieces);
	else
		assert_true(taken.pieces > 1);
	buf_done(&taken.bytes);
}

static void the_small_is_unpacked_at_once_and_the_large_in_pieces(void **state)
{
	static const size_t small[] = { 1, 50000, UNPACK_WHOLE_SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		autoclean(buf) struct buf packed = BUF(MEMORY);

		add_member(&packed, small[i]);
		assert_unpacks(&packed, small[i], 0, 1);
	}

	autoclean(buf) struct buf packed = BUF(MEMORY);

	add_member(&packed, UNPACK_WHOLE_SIZE_MAX + 1);
	assert_unpacks(&packed, UNPACK_WHOLE_SIZE_MAX + 1, 0, 0);
}

static void members_follow_each_other(void **state)
{
	(void)state;
	autoclean(buf) struct buf packed = BUF(MEMORY);
	autoclean(buf) struct buf larger = BUF(MEMORY);

	/* The last one's size is all that stands at the end. */
	add_member(&packed, 300);
	add_member(&packed, 70000);
	assert_unpacks(&packed, 300, 70000, 0);
	add_member(&larger, 3 << 20);
	add_member(&larger, 20);
	assert_unpacks(&larger, 3 << 20, 20, 0);
}

static void assert_refused(const struct buf *packed)
{
	struct taken taken;

	assert_int_equal(unpack(packed, &taken), -EBADMSG);
	buf_done(&taken.bytes);
}

static void what_is_not_sound_is_refused(void **state)
{
	(void)state;
	autoclean(buf) struct buf packed = BUF(MEMORY);

	add_member(&packed, 50000);
	for (size_t place = packed.size - 8; place < packed.size; place++) {
		packed.bytes[place] ^= 1; /* of the sum, or of the size: less and more than it is */
		assert_refused(&packed);
		packed.bytes[place] ^= 1;
	}
	buf_add_u8(&packed, 0);
	assert_refused(&packed);
	packed.size--;
	assert_unpacks(&packed, 50000, 0, 1);
	for (size_t cut = 1; cut < 40; cut++) {
		packed.size--;
		assert_refused(&packed);
	}
	for (packed.size = 17; packed.size > 1; packed.size--)
		assert_refused(&packed);
}

static int take_nothing(void *context, const void *bytes, size_t size)
{
	(void)context;
	(void)bytes;
	(void)size;
	return -ENOSPC;
}

static void who_takes_nothing_ends_it(void **state)
{
	static const size_t sizes[] = { 50000, UNPACK_WHOLE_SIZE_MAX + 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		autoclean(buf) struct buf packed = BUF(MEMORY);

		add_member(&packed, sizes[i]);
		assert_int_equal(
			compression_unpack((struct str){ (const char *)packed.bytes, packed.size },
					   take_nothing, NULL),
			-ENOSPC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_small_is_unpacked_at_once_and_the_large_in_pieces),
		cmocka_unit_test(members_follow_each_other),
		cmocka_unit_test(what_is_not_sound_is_refused),
		cmocka_unit_test(who_takes_nothing_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

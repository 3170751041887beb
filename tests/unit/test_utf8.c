/* SPDX-License-Identifier: Apache-2.0 */
/* What is UTF-8 and what is none (RFC 3629), wherever in a text it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

enum { LENGTH = 40 };

/* At each place of a text of letters, so that it lies in eight bytes or across them. */
static void assert_everywhere(struct str piece, bool is_valid)
{
	for (size_t size = piece.size; size <= LENGTH; size++)
		for (size_t at = 0; at + piece.size <= size; at++) {
			char text[LENGTH];

			memset(text, 'a', sizeof(text));
			memcpy(text + at, piece.text, piece.size);
			if (utf8_is_valid((struct str){ text, size }) != is_valid)
				fail_msg("%zu bytes beginning with %02x at %zu of %zu", piece.size,
					 (uint8_t)piece.text[0], at, size);
		}
}

static void knows_every_form_at_every_place(void **state)
{
	static const struct str good[] = {
		{ "\0", 1 },
		{ "\x7f", 1 },
		{ "\xc2\x80", 2 },
		{ "\xdf\xbf", 2 },
		{ "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xef\xbf\xbf", 3 },
		{ "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
	};
	static const struct str bad[] = {
		{ "\x80", 1 },
		{ "\xbf", 1 },
		{ "\xc0\x80", 2 },
		{ "\xc1\xbf", 2 },
		{ "\xe0\x9f\xbf", 3 },
		{ "\xed\xa0\x80", 3 },
		{ "\xf0\x8f\xbf\xbf", 4 },
		{ "\xf4\x90\x80\x80", 4 },
		{ "\xf5\x80\x80\x80", 4 },
		{ "\xff", 1 },
		{ "\xe2\x82", 2 },
		{ "\xf0\x9f\x98", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_everywhere(good[i], true);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_everywhere(bad[i], false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_every_form_at_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

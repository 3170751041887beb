/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <errno.h>
#include <string.h>

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

static int parse_digits(struct str text, unsigned base, uint64_t *ret)
{
	uint64_t value = 0;

	if (text.size == 0)
		return -EINVAL;
	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = (unsigned)digit_of(text.text[i]);

		if (digit >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return -ERANGE;
	}
	*ret = value;
	return 0;
}

int parse_u64(struct str text, uint64_t *ret)
{
	return parse_digits(text, 10, ret);
}

int parse_hex(struct str text, uint64_t *ret)
{
	return parse_digits(text, 16, ret);
}

int parse_i64(struct str text, int64_t *ret)
{
	bool negative = text.size > 0 && text.text[0] == '-';
	uint64_t magnitude;
	int err = parse_u64(negative ? (struct str){ text.text + 1, text.size - 1 } : text,
			    &magnitude);

	if (err)
		return err;
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int parse_with_unit(struct str text, const struct unit *units, uint64_t *ret)
{
	size_t digits = 0;

	while (digits < text.size && text.text[digits] >= '0' && text.text[digits] <= '9')
		digits++;

	uint64_t value;
	int err = parse_u64((struct str){ text.text, digits }, &value);

	if (err)
		return err;

	struct str name = { text.text + digits, text.size - digits };

	for (; units->name; units++) {
		if (!str_equal(name, str_from(units->name)))
			continue;
		return __builtin_mul_overflow(value, units->factor, ret) ? -ERANGE : 0;
	}
	return -EINVAL;
}

int parse_duration_ns(struct str text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", UINT64_C(60) * 1000000000 },
		{ "h", UINT64_C(3600) * 1000000000 },
		{ "d", UINT64_C(86400) * 1000000000 },
		{ "w", UINT64_C(604800) * 1000000000 },
		{ NULL, 0 },
	};
	uint64_t value;
	int err = parse_with_unit(text, units, &value);

	if (!err)
		*ret = value;
	return err;
}

int parse_size(struct str text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "K", UINT64_C(1) << 10 },
		{ "M", UINT64_C(1) << 20 },
		{ "G", UINT64_C(1) << 30 },
		{ "T", UINT64_C(1) << 40 },
		{ NULL, 0 },
	};
	uint64_t value;
	int err = parse_with_unit(text, units, &value);

	if (!err)
		*ret = value;
	return err;
}

int parse_bool(struct str text, bool *ret)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!str_equal(text, str_from(words[i])))
			continue;
		*ret = i % 2 == 1;
		return 0;
	}
	return -EINVAL;
}

bool parse_next(struct str *rest, char separator, struct str *ret_part)
{
	if (!rest->text || rest->size == 0)
		return false;

	const char *found = memchr(rest->text, separator, rest->size);
	size_t size = found ? (size_t)(found - rest->text) : rest->size;

	*ret_part = (struct str){ rest->text, size };
	rest->text += found ? size + 1 : size;
	rest->size -= found ? size + 1 : size;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/attime.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/time_range.h"

enum {
	TEXT_SIZE_MAX = 64, /* nobody writes longer ones */
	DATE_DIGIT_COUNT = 8,
	MS_DIGIT_COUNT = 13,
	US_DIGIT_COUNT = 16,
	NS_DIGIT_COUNT = 19,
	MINUTE_S = 60,
	HOUR_S = 3600,
	DAY_S = 86400,
};

static int64_t within(int64_t time_ms)
{
	return time_ms < 0 ? 0 : time_ms > TIME_RANGE_MS_MAX ? TIME_RANGE_MS_MAX : time_ms;
}

/* 20231114; false for digits that make no date, which are seconds then. */
static bool read_date(uint64_t digits, int64_t *ret_ms)
{
	struct tm date = { .tm_year = (int)(digits / 10000) - 1900,
			   .tm_mon = (int)(digits / 100 % 100) - 1,
			   .tm_mday = (int)(digits % 100) };
	struct tm wanted = date;
	time_t seconds = timegm(&date);

	/* The 31st of a shorter month becomes another day. */
	if (wanted.tm_mon < 0 || wanted.tm_mon > 11 || wanted.tm_mday < 1 ||
	    date.tm_mday != wanted.tm_mday || date.tm_mon != wanted.tm_mon || wanted.tm_year < 0)
		return false;
	*ret_ms = (int64_t)seconds * CLOCK_MS_PER_S;
	return true;
}

static int64_t read_digits(struct str text, int64_t now_ms)
{
	uint64_t number = 0;
	int64_t date_ms = 0;

	if (parse_u64(text, &number))
		return now_ms;
	switch (text.size) {
	case DATE_DIGIT_COUNT:
		return read_date(number, &date_ms) ? date_ms : (int64_t)number * CLOCK_MS_PER_S;
	case MS_DIGIT_COUNT:
		return (int64_t)number;
	case US_DIGIT_COUNT:
		return (int64_t)(number / 1000);
	case NS_DIGIT_COUNT:
		return (int64_t)(number / CLOCK_NS_PER_MS);
	default:
		return number > (uint64_t)TIME_RANGE_MS_MAX / CLOCK_MS_PER_S
			       ? TIME_RANGE_MS_MAX
			       : (int64_t)number * CLOCK_MS_PER_S;
	}
}

/* In seconds; 0 for what is no unit. */
static int64_t unit_seconds(struct str unit)
{
	if (str_equal(unit, STR("M")) || str_starts_with(unit, STR("mon")))
		return INT64_C(30) * DAY_S;
	if (str_equal(unit, STR("m")) || str_starts_with(unit, STR("min")))
		return MINUTE_S;
	switch (unit.size ? unit.text[0] : '\0') {
	case 's':
		return 1;
	case 'h':
		return HOUR_S;
	case 'd':
		return DAY_S;
	case 'w':
		return INT64_C(7) * DAY_S;
	case 'y':
		return INT64_C(365) * DAY_S;
	default:
		return 0;
	}
}

static size_t count_while(struct str text, size_t at, int (*is)(int))
{
	size_t count = 0;

	while (at + count < text.size && is((unsigned char)text.text[at + count]))
		count++;
	return count;
}

/* "-1h30m+5m": a sign counts until the next one. */
static int64_t read_offset(struct str text)
{
	int64_t sum_ms = 0;
	int64_t sign = 1;
	size_t at = 0;

	while (at < text.size) {
		uint64_t number = 0;

		if (text.text[at] == '-' || text.text[at] == '+')
			sign = text.text[at++] == '-' ? -1 : 1;

		struct str digits = { text.text + at, count_while(text, at, isdigit) };

		at += digits.size;

		struct str unit = { text.text + at, count_while(text, at, isalpha) };
		int64_t seconds = unit_seconds(unit);

		at += unit.size;
		if (digits.size == 0 || seconds == 0 || parse_u64(digits, &number) ||
		    number > (uint64_t)(TIME_RANGE_MS_MAX / CLOCK_MS_PER_S / seconds))
			break;
		sum_ms += sign * (int64_t)number * seconds * CLOCK_MS_PER_S;
		if (sum_ms < -TIME_RANGE_MS_MAX || sum_ms > TIME_RANGE_MS_MAX)
			break;
	}
	return sum_ms;
}

int64_t attime_parse(struct str text, int64_t now_ms)
{
	char kept[TEXT_SIZE_MAX];
	size_t size = 0;
	size_t word = 0;

	assert(now_ms >= 0 && now_ms <= TIME_RANGE_MS_MAX);
	for (size_t i = 0; i < text.size && size < sizeof(kept); i++)
		if (text.text[i] != '_' && text.text[i] != ',' && text.text[i] != ' ')
			kept[size++] = text.text[i];

	struct str rest = { kept, size };

	if (size == 0)
		return now_ms;
	if (count_while(rest, 0, isdigit) == size)
		return within(read_digits(rest, now_ms));
	/* The word that it begins with is "now", or taken for it. */
	while (word < size && kept[word] != '-' && kept[word] != '+')
		word++;
	return within(now_ms + read_offset((struct str){ kept + word, size - word }));
}

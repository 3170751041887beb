/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"

enum setting_kind {
	KIND_TEXT,
	KIND_COUNT,
	KIND_DURATION,
	KIND_SIZE,
	KIND_SWITCH, /* present or not, without a value */
};

struct setting {
	const char *name;
	enum setting_kind kind;
	size_t offset;		  /* in struct settings */
	const char *value_word;	  /* in --help */
	const char *default_text; /* NULL: none, or one that depends on who asks */
	uint64_t least, most;	  /* of a number; 0 is allowed besides when can_be_off */
	bool can_be_off;	  /* "off" stands for 0 */
	unsigned commands;	  /* enum setting_command, together */
	bool is_reloadable;	  /* may change while the program runs */
	const char *help;
};

enum {
	ALL = SETTING_OF_RUN | SETTING_OF_COLLECT | SETTING_OF_SERVE,
	SERVING = SETTING_OF_RUN | SETTING_OF_SERVE,
	COLLECTING = SETTING_OF_RUN | SETTING_OF_COLLECT,
};

#define SECONDS(n)  ((uint64_t)(n)*CLOCK_NS_PER_S)
#define FIELD(name) offsetof(struct settings, name)

/* clang-format off */
static const struct setting table[] = {
	{ "data", KIND_TEXT, FIELD(data), "DIR", NULL, 0, 0, false, ALL, false,
	  "where profiles and symbols are kept" },
	{ "http", KIND_TEXT, FIELD(http), "ADDR:PORT", "127.0.0.1:4040", 0, 0, false, SERVING, false,
	  "page and API; loopback only; port 0 takes a free one and prints it" },
	{ "otlp-grpc", KIND_TEXT, FIELD(otlp_grpc), "ADDR:PORT", "127.0.0.1:4317", 0, 0, false, SERVING, false,
	  "OTLP over gRPC; accepted, not in use until OTLP is received" },
	{ "otlp-http", KIND_TEXT, FIELD(otlp_http), "ADDR:PORT", "127.0.0.1:4318", 0, 0, false, SERVING, false,
	  "OTLP over HTTP; accepted, not in use until OTLP is received" },
	/* Above 10 kHz the samples themselves would be what burns the CPU. */
	{ "frequency", KIND_COUNT, FIELD(frequency_hz), "HZ", "99", 1, 10000, false, COLLECTING, false,
	  "samples a second on each CPU" },
	/* The store keeps times within a window in a byte of 20 ms. */
	{ "window", KIND_DURATION, FIELD(window_ns), "TIME", "5s", SECONDS(1), SECONDS(5), false, SERVING, false,
	  "data time of one stored row, and of one commit" },
	{ "retention-age", KIND_DURATION, FIELD(retention_age_ns), "TIME", "14d", SECONDS(600), UINT64_MAX, true, SERVING, false,
	  "older profiles are dropped, or 'off'" },
	{ "retention-size", KIND_SIZE, FIELD(retention_size), "SIZE", "20G", 1 << 20, UINT64_MAX, true, SERVING, false,
	  "the oldest profiles are dropped beyond it, or 'off'" },
	{ "span", KIND_DURATION, FIELD(span_ns), "TIME", "6h", SECONDS(60), SECONDS(86400), false, SERVING, false,
	  "data time of one file of profiles" },
	{ "collector-socket", KIND_TEXT, FIELD(collector_socket), "PATH", NULL, 0, 0, false, ALL, false,
	  "where collector and server meet; collector.sock in the data folder" },
	{ "record", KIND_TEXT, FIELD(record), "FILE", NULL, 0, 0, false, SERVING, false,
	  "also write what the collector sends to FILE" },
	{ "replay", KIND_TEXT, FIELD(replay), "FILE", NULL, 0, 0, false, SETTING_OF_SERVE, false,
	  "read such a FILE instead of listening for a collector" },
	{ "verbose", KIND_SWITCH, FIELD(verbose), NULL, NULL, 0, 0, false, ALL, true,
	  "say more on standard error" },
};
/* clang-format on */

enum { TABLE_COUNT = sizeof(table) / sizeof(table[0]) };

static int set_text(const struct setting *setting, struct settings *settings, struct str value)
{
	char *text = (char *)settings + setting->offset;

	if (value.size == 0 || value.size >= SETTING_TEXT_SIZE)
		return -EINVAL;
	memcpy(text, value.text, value.size);
	text[value.size] = '\0';
	return 0;
}

static int set_number(const struct setting *setting, struct settings *settings, struct str value)
{
	uint64_t number = 0;
	int err = -EINVAL;

	if (setting->can_be_off && str_equal(value, STR("off"))) {
		memcpy((char *)settings + setting->offset, &number, sizeof(number));
		return 0;
	}
	switch (setting->kind) {
	case KIND_COUNT:
		err = parse_u64(value, &number);
		break;
	case KIND_DURATION:
		err = parse_duration_ns(value, &number);
		break;
	case KIND_SIZE:
		err = parse_size(value, &number);
		break;
	case KIND_TEXT:
	case KIND_SWITCH:
		break;
	}
	if (err)
		return err;
	if (number < setting->least || number > setting->most)
		return -ERANGE;
	memcpy((char *)settings + setting->offset, &number, sizeof(number));
	return 0;
}

static int set_value(const struct setting *setting, struct settings *settings, struct str value)
{
	assert(setting->kind != KIND_SWITCH);
	return setting->kind == KIND_TEXT ? set_text(setting, settings, value)
					  : set_number(setting, settings, value);
}

static void default_data_folder(struct settings *settings)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int size;

	if (geteuid() == 0)
		size = snprintf(settings->data, sizeof(settings->data), "/var/lib/hearth");
	else if (state && state[0] == '/')
		size = snprintf(settings->data, sizeof(settings->data), "%s/hearth", state);
	else
		size = snprintf(settings->data, sizeof(settings->data), "%s/.local/state/hearth",
				home && home[0] == '/' ? home : "/tmp");
	if (size < 0 || (size_t)size >= sizeof(settings->data))
		snprintf(settings->data, sizeof(settings->data), "/tmp/hearth");
}

void settings_defaults(struct settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (!table[i].default_text)
			continue;

		int err = set_value(&table[i], settings, str_from(table[i].default_text));

		assert(!err);
	}
	default_data_folder(settings);
}

static const struct setting *find_setting(struct str name, enum setting_command command)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if ((table[i].commands & command) && str_equal(name, str_from(table[i].name)))
			return &table[i];
	return NULL;
}

/* Levenshtein's distance; names are short. */
static unsigned distance(struct str a, struct str b)
{
	enum { SIZE_MAX_COMPARED = 32 };
	unsigned row[SIZE_MAX_COMPARED + 1];

	if (a.size > SIZE_MAX_COMPARED || b.size > SIZE_MAX_COMPARED)
		return UINT32_MAX;
	for (unsigned i = 0; i <= b.size; i++)
		row[i] = i;
	for (unsigned i = 1; i <= a.size; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b.size; j++) {
			unsigned substitute = diagonal + (a.text[i - 1] != b.text[j - 1]);
			unsigned shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = substitute < shorter ? substitute : shorter;
		}
	}
	return row[b.size];
}

static const char *nearest_name(struct str name, enum setting_command command)
{
	const char *nearest = NULL;
	unsigned least = 4; /* what is further away is another word */

	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (!(table[i].commands & command))
			continue;

		unsigned d = distance(name, str_from(table[i].name));

		if (d < least) {
			least = d;
			nearest = table[i].name;
		}
	}
	return nearest;
}

static int refuse_unknown(struct str name, enum setting_command command,
			  char reterr[static SETTINGS_ERROR_SIZE])
{
	const char *nearest = nearest_name(name, command);

	if (nearest)
		snprintf(reterr, SETTINGS_ERROR_SIZE, "unknown option '--%.*s'; is '--%s' meant?",
			 STR_PRINT(name), nearest);
	else
		snprintf(reterr, SETTINGS_ERROR_SIZE, "unknown option '--%.*s'; see --help",
			 STR_PRINT(name));
	return -EINVAL;
}

static const char *expectation(const struct setting *setting, char *text, size_t size)
{
	const char *off = setting->can_be_off ? ", or 'off'" : "";

	switch (setting->kind) {
	case KIND_COUNT:
		snprintf(text, size, "a whole number from %llu to %llu%s",
			 (unsigned long long)setting->least, (unsigned long long)setting->most,
			 off);
		break;
	case KIND_DURATION:
		if (setting->most == UINT64_MAX)
			snprintf(text, size, "a time of %llus or more, such as 90s, 5m or 14d%s",
				 (unsigned long long)(setting->least / SECONDS(1)), off);
		else
			snprintf(text, size, "a time from %llus to %llus, such as 5s%s",
				 (unsigned long long)(setting->least / SECONDS(1)),
				 (unsigned long long)(setting->most / SECONDS(1)), off);
		break;
	case KIND_SIZE:
		snprintf(text, size, "a size of %lluM or more, such as 512M or 20G%s",
			 (unsigned long long)(setting->least >> 20), off);
		break;
	case KIND_TEXT:
	case KIND_SWITCH:
		snprintf(text, size, "a text of 1 to %d bytes", SETTING_TEXT_SIZE - 1);
		break;
	}
	return text;
}

int settings_parse(struct settings *settings, enum setting_command command, int argument_count,
		   const char *const *arguments, char reterr[static SETTINGS_ERROR_SIZE])
{
	for (int i = 0; i < argument_count; i++) {
		struct str argument = str_from(arguments[i]);
		struct str name;

		if (!str_starts_with(argument, STR("--"))) {
			snprintf(reterr, SETTINGS_ERROR_SIZE,
				 "'%s' is not understood; options begin with '--', see --help",
				 arguments[i]);
			return -EINVAL;
		}

		struct str value = { argument.text + 2, argument.size - 2 };
		bool has_value = memchr(value.text, '=', value.size) != NULL;

		if (!parse_next(&value, '=', &name))
			return refuse_unknown((struct str){ 0 }, command, reterr);

		const struct setting *setting = find_setting(name, command);

		if (!setting)
			return refuse_unknown(name, command, reterr);
		if (setting->kind == KIND_SWITCH) {
			if (has_value) {
				snprintf(reterr, SETTINGS_ERROR_SIZE, "--%s takes no value",
					 setting->name);
				return -EINVAL;
			}
			*(bool *)((char *)settings + setting->offset) = true;
			continue;
		}
		if (!has_value) {
			if (i + 1 == argument_count) {
				snprintf(reterr, SETTINGS_ERROR_SIZE, "--%s wants a value: %s",
					 setting->name, setting->value_word);
				return -EINVAL;
			}
			value = str_from(arguments[++i]);
		}
		if (set_value(setting, settings, value)) {
			char expected[128];

			snprintf(reterr, SETTINGS_ERROR_SIZE, "--%s: '%.*s' is not %s",
				 setting->name, (int)(value.size < 100 ? value.size : 100),
				 value.text ? value.text : "",
				 expectation(setting, expected, sizeof(expected)));
			return -EINVAL;
		}
	}
	return 0;
}

int settings_socket_path(const struct settings *settings, char *path, size_t size)
{
	int written = settings->collector_socket[0]
			      ? snprintf(path, size, "%s", settings->collector_socket)
			      : snprintf(path, size, "%s/collector.sock", settings->data);

	return written < 0 || (size_t)written >= size ? -ENAMETOOLONG : 0;
}

void settings_help(enum setting_command command, struct buf *text)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct setting *setting = &table[i];
		char name[64];

		if (!(setting->commands & command))
			continue;
		snprintf(name, sizeof(name), "--%s%s%s", setting->name,
			 setting->value_word ? " " : "",
			 setting->value_word ? setting->value_word : "");
		buf_printf(text, "  %-24s %s%s%s%s\n", name, setting->help,
			   setting->default_text ? " (" : "",
			   setting->default_text ? setting->default_text : "",
			   setting->default_text ? ")" : "");
	}
}

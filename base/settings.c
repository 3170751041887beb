/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"

#include <assert.h>
#include <ctype.h>
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
	KIND_LIST,   /* texts, one each time that it is said */
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
	unsigned flags;
	const char *help;
};

enum {
	RELOADABLE = 1,	 /* may change while the program runs */
	NOT_IN_FILE = 2, /* of one run: for the command line and the environment */
	CAN_BE_AUTO = 4, /* "auto" stands for SETTING_AUTO */

	ALL = SETTING_OF_ALL,
	SERVING = SETTING_OF_RUN | SETTING_OF_SERVE,
	COLLECTING = SETTING_OF_RUN | SETTING_OF_COLLECT,
};

#define SECONDS(n)  ((uint64_t)(n)*CLOCK_NS_PER_S)
#define FIELD(name) offsetof(struct settings, name)

/* clang-format off */
static const struct setting table[] = {
	{ "config", KIND_TEXT, FIELD(config), "FILE", NULL, 0, 0, false, ALL, NOT_IN_FILE,
	  "settings are read from FILE and from *.conf in conf.d beside it; " SETTINGS_FILE },
	{ "data", KIND_TEXT, FIELD(data), "DIR", "/var/lib/hearth", 0, 0, false, ALL, 0,
	  "where profiles and symbols are kept" },
	{ "http", KIND_TEXT, FIELD(http), "ADDR:PORT", "127.0.0.1:4040", 0, 0, false, SERVING, 0,
	  "page and API; several with commas, [::1]:4040 and unix:/PATH, too; beyond loopback with tokens only; port 0 takes a free one" },
	{ "http-socket-group", KIND_TEXT, FIELD(http_socket_group), "GROUP", NULL, 0, 0, false, SERVING, 0,
	  "whose users may ask over unix:/PATH, besides root and the server's own" },
	{ "requests-per-second", KIND_COUNT, FIELD(requests_per_second), "N", "off", 1, 1000000, true, SERVING, 0,
	  "requests that another host's address may send, or 'off'" },
	{ "allowed-hosts", KIND_TEXT, FIELD(allowed_hosts), "NAMES", NULL, 0, 0, false, SERVING, 0,
	  "more host names by which this server may be asked, with commas" },
	{ "trusted-proxies", KIND_TEXT, FIELD(trusted_proxies), "RANGES", NULL, 0, 0, false, SERVING, 0,
	  "addresses of proxies, such as 127.0.0.1,10.0.0.0/8, that say truly whom they pass on" },
	{ "token-file", KIND_TEXT, FIELD(token_file), "FILE", NULL, 0, 0, false, SERVING, 0,
	  "hashes of tokens, as 'hearth token' writes them; tokens in the data folder" },
	{ "require-token", KIND_SWITCH, FIELD(require_token), NULL, NULL, 0, 0, false, SERVING, 0,
	  "this host's own users need a token, too" },
	{ "tls-certificate", KIND_TEXT, FIELD(tls_certificate), "FILE", NULL, 0, 0, false, SERVING, 0,
	  "certificate in PEM, with its chain; then TLS is spoken on every TCP address, and nothing else beyond loopback" },
	{ "tls-key", KIND_TEXT, FIELD(tls_key), "FILE", NULL, 0, 0, false, SERVING, 0,
	  "the certificate's key; both are read again when they change" },
	{ "tls-minimum", KIND_TEXT, FIELD(tls_minimum), "VERSION", "1.3", 0, 0, false, SERVING, 0,
	  "oldest version of TLS, 1.2 or 1.3" },
	{ "tls-client-ca", KIND_TEXT, FIELD(tls_client_ca), "FILE", NULL, 0, 0, false, SERVING, 0,
	  "who shows a certificate signed by one of these needs no token" },
	{ "tls-client-role", KIND_TEXT, FIELD(tls_client_role), "ROLE", "read", 0, 0, false, SERVING, 0,
	  "what such a client may do: read, write or admin" },
	{ "tls-hsts", KIND_SWITCH, FIELD(tls_hsts), NULL, NULL, 0, 0, false, SERVING, 0,
	  "browsers shall ask this host name by https only, also on other ports, for a year" },
	{ "path-prefix", KIND_TEXT, FIELD(path_prefix), "/PATH", NULL, 0, 0, false, SERVING, 0,
	  "a proxy in front passes on paths that begin so" },
	{ "access-log", KIND_COUNT, FIELD(access_log), "N", "off", 1, UINT32_MAX, true, SERVING, 0,
	  "log one request of N, or 'off'" },
	{ "otlp-grpc", KIND_TEXT, FIELD(otlp_grpc), "ADDR:PORT", "127.0.0.1:4317", 0, 0, false, SERVING, 0,
	  "where OpenTelemetry's profiles are also received, by gRPC, or 'off'; if another program has the port, the rest starts" },
	{ "otlp-http", KIND_TEXT, FIELD(otlp_http), "ADDR:PORT", "127.0.0.1:4318", 0, 0, false, SERVING, 0,
	  "where OpenTelemetry's profiles are also received, by HTTP, or 'off'; if another program has the port, the rest starts" },
	{ "rule", KIND_LIST, FIELD(rules), "RULE", NULL, 0, 0, false, SERVING, RELOADABLE,
	  "what to do with profiles that are received, as 'drop {service_name=\"x\"}'; may be said again; hearth.conf(5) has all of them" },
	/* Above 10 kHz the samples themselves would be what burns the CPU. */
	{ "frequency", KIND_COUNT, FIELD(frequency_hz), "HZ", "99", 1, 10000, false, COLLECTING, RELOADABLE,
	  "samples a second on each CPU" },
	{ "exclude-users", KIND_TEXT, FIELD(exclude_users), "USERS", NULL, 0, 0, false, COLLECTING, RELOADABLE,
	  "whose processes leave no samples, with commas" },
	{ "exclude-processes", KIND_TEXT, FIELD(exclude_processes), "NAMES", NULL, 0, 0, false, COLLECTING, RELOADABLE,
	  "programs that leave no samples, with commas; * stands for any letters" },
	{ "exclude-cgroups", KIND_TEXT, FIELD(exclude_cgroups), "CGROUPS", NULL, 0, 0, false, COLLECTING, RELOADABLE,
	  "cgroups without samples, with commas: /system.slice and all below, or a folder's name like docker-*.scope" },
	/* The kernel's memory: a table of a large library takes 4 MiB, and 1 GiB is all that a walk reaches. */
	{ "unwind-memory", KIND_SIZE, FIELD(unwind_memory), "SIZE", "32M", 4 << 20, 1 << 30, false, COLLECTING, 0,
	  "what unwind tables may take in the kernel; what is beyond is evicted, the coldest first" },
	/* The store keeps times within a window in a byte of 20 ms. */
	{ "window", KIND_DURATION, FIELD(window_ns), "TIME", "5s", SECONDS(1), SECONDS(5), false, SERVING, 0,
	  "data time of one stored row, and of one commit" },
	{ "retention-age", KIND_DURATION, FIELD(retention_age_ns), "TIME", "14d", SECONDS(600), UINT64_MAX, true, SERVING, RELOADABLE,
	  "older profiles are dropped, imported ones so long after they came; or 'off'" },
	{ "rollup-age", KIND_DURATION, FIELD(rollup_age_ns), "TIME", "400d", SECONDS(600), UINT64_MAX, true, SERVING, RELOADABLE,
	  "sums over long times stay when profiles are dropped; older ones go, or 'off'" },
	{ "retention-size", KIND_SIZE, FIELD(retention_size), "SIZE", "auto", 1 << 20, UINT64_MAX - 1, true, SERVING, RELOADABLE | CAN_BE_AUTO,
	  "the oldest profiles are dropped beyond it, or 'off'; auto: a tenth of the disk, at most 20G" },
	{ "span", KIND_DURATION, FIELD(span_ns), "TIME", "6h", SECONDS(60), SECONDS(86400), false, SERVING, 0,
	  "data time of one file of profiles" },
	{ "detail-age", KIND_DURATION, FIELD(detail_age_ns), "TIME", "6h", SECONDS(600), UINT64_MAX, true, SERVING, 0,
	  "how long process and thread of each sample are known after its file is full, or 'off': for ever" },
	{ "fold", KIND_COUNT, FIELD(fold), "SAMPLES", "4", 1, 1000, false, SERVING, 0,
	  "frames with fewer samples are folded when details go; 1: none" },
	{ "debug-folders", KIND_TEXT, FIELD(debug_folders), "DIR:DIR", "/usr/lib/debug", 0, 0, false, SERVING, 0,
	  "where debug files lie, as .build-id/ab/cdef.debug" },
	{ "upload-size", KIND_SIZE, FIELD(upload_size), "SIZE", "4G", 1 << 20, UINT64_MAX - 1, false, SERVING, 0,
	  "what symbols that are handed in may take; they are never dropped by themselves" },
	{ "symbols-size", KIND_SIZE, FIELD(symbols_size), "SIZE", "256M", 1 << 20, UINT64_MAX - 1, false, SERVING, 0,
	  "of the names kept on disk; those that were not used for longest give way" },
	{ "collector-socket", KIND_TEXT, FIELD(collector_socket), "PATH", NULL, 0, 0, false, ALL, 0,
	  "where collector and server meet; collector.sock in the data folder" },
	{ "record", KIND_TEXT, FIELD(record), "FILE", NULL, 0, 0, false, SERVING, NOT_IN_FILE,
	  "also write what the collector sends to FILE" },
	{ "replay", KIND_TEXT, FIELD(replay), "FILE", NULL, 0, 0, false, SETTING_OF_SERVE, NOT_IN_FILE,
	  "read such a FILE instead of listening for a collector" },
	{ "verbose", KIND_SWITCH, FIELD(verbose), NULL, NULL, 0, 0, false, ALL, RELOADABLE,
	  "say more on standard error" },
};
/* clang-format on */

enum { TABLE_COUNT = sizeof(table) / sizeof(table[0]) };

static_assert((int)TABLE_COUNT <= (int)SETTING_COUNT_MAX, "each has a place for its source");

static int set_text(const struct setting *setting, struct settings *settings, struct str value)
{
	char *text = (char *)settings + setting->offset;

	/* Nothing is a value only where it is the default. */
	if ((value.size == 0 && setting->default_text) || value.size >= SETTING_TEXT_SIZE)
		return -EINVAL;
	if (value.size > 0)
		memcpy(text, value.text, value.size);
	text[value.size] = '\0';
	return 0;
}

static int set_switch(const struct setting *setting, struct settings *settings, struct str value)
{
	return parse_bool(value, (bool *)((char *)settings + setting->offset));
}

static int set_number(const struct setting *setting, struct settings *settings, struct str value)
{
	uint64_t number = 0;
	int err = -EINVAL;

	if (setting->can_be_off && str_equal(value, STR("off"))) {
		memcpy((char *)settings + setting->offset, &number, sizeof(number));
		return 0;
	}
	if ((setting->flags & CAN_BE_AUTO) && str_equal(value, STR("auto"))) {
		number = SETTING_AUTO;
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
	case KIND_LIST:
		break;
	}
	if (err)
		return err;
	if (number < setting->least || number > setting->most)
		return -ERANGE;
	memcpy((char *)settings + setting->offset, &number, sizeof(number));
	return 0;
}

static int set_value(const struct setting *setting, struct settings *settings, struct str value,
		     struct setting_source source)
{
	switch (setting->kind) {
	case KIND_LIST:
		return setting_list_add((void *)((char *)settings + setting->offset), value,
					source);
	case KIND_TEXT:
		return set_text(setting, settings, value);
	case KIND_SWITCH:
		return set_switch(setting, settings, value);
	case KIND_COUNT:
	case KIND_DURATION:
	case KIND_SIZE:
		break;
	}
	return set_number(setting, settings, value);
}

/* Root has the system's folder, as the table says; a unit of systemd the one that it was given. */
static void default_data_folder(struct settings *settings)
{
	const char *of_unit = getenv("STATE_DIRECTORY");
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int size;

	if (geteuid() == 0)
		return;
	/* Of several, parted by colons, none is meant for this. */
	if (of_unit && of_unit[0] == '/' && !strchr(of_unit, ':'))
		size = snprintf(settings->data, sizeof(settings->data), "%s", of_unit);
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

		int err = set_value(&table[i], settings, str_from(table[i].default_text),
				    (struct setting_source){ .origin = ORIGIN_DEFAULT });

		assert(!err);
	}
	default_data_folder(settings);
}

int settings_find(struct str name)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (str_equal(name, str_from(table[i].name)))
			return (int)i;
	return -ENOENT;
}

bool settings_is_list(int place)
{
	return place >= 0 && table[place].kind == KIND_LIST;
}

static const struct setting *find_setting(struct str name, enum setting_command command)
{
	int place = settings_find(name);

	return place >= 0 && (table[place].commands & command) ? &table[place] : NULL;
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

static const char *nearest_name(struct str name, enum setting_command command,
				unsigned distance_max)
{
	const char *nearest = NULL;
	unsigned least = distance_max + 1;

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

const char *settings_nearest(struct str name, unsigned distance_max)
{
	return nearest_name(name, SETTING_OF_ALL, distance_max);
}

static int refuse_unknown(struct str name, enum setting_command command,
			  char reterr[static SETTINGS_ERROR_SIZE])
{
	/* What is further away is another word. */
	const char *nearest = nearest_name(name, command, 3);

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
	const char *off = setting->flags & CAN_BE_AUTO ? ", or 'off', or 'auto'"
			  : setting->can_be_off	       ? ", or 'off'"
						       : "";

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
		snprintf(text, size, "a text of 1 to %d bytes", SETTING_TEXT_SIZE - 1);
		break;
	case KIND_SWITCH:
		snprintf(text, size, "'yes' or 'no'");
		break;
	case KIND_LIST:
		snprintf(text, size,
			 "a text of up to %d bytes whose quotes are closed, or is one of more than "
			 "%d",
			 SETTING_TEXT_SIZE - 1, SETTINGS_LIST_COUNT_MAX);
		break;
	}
	return text;
}

/* Sets it, and remembers where that was said. */
static int assign(const struct setting *setting, struct settings *settings, struct str value,
		  struct setting_source source, char reterr[static SETTINGS_ERROR_SIZE])
{
	char expected[128];

	if (set_value(setting, settings, value, source)) {
		snprintf(reterr, SETTINGS_ERROR_SIZE, "'%.*s' is not %s",
			 (int)(value.size < 100 ? value.size : 100), value.text ? value.text : "",
			 expectation(setting, expected, sizeof(expected)));
		return -EINVAL;
	}
	settings->sources[setting - table] = source;
	return 0;
}

int settings_assign(struct settings *settings, struct str name, struct str value,
		    struct setting_source source, char reterr[static SETTINGS_ERROR_SIZE])
{
	const struct setting *setting = find_setting(name, SETTING_OF_ALL);

	assert(setting);
	if (source.origin == ORIGIN_FILE && (setting->flags & NOT_IN_FILE)) {
		snprintf(reterr, SETTINGS_ERROR_SIZE,
			 "is for the command line and the environment, not for files");
		return -EINVAL;
	}
	return assign(setting, settings, value, source, reterr);
}

int settings_parse(struct settings *settings, enum setting_command command, int argument_count,
		   const char *const *arguments, char reterr[static SETTINGS_ERROR_SIZE])
{
	for (int i = 0; i < argument_count; i++) {
		struct str argument = str_from(arguments[i]);
		struct str name;
		char reason[SETTINGS_ERROR_SIZE];

		if (!str_starts_with(argument, STR("--"))) {
			snprintf(reterr, SETTINGS_ERROR_SIZE,
				 "'%.200s' is not understood; options begin with '--', see --help",
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
		if (!has_value && setting->kind == KIND_SWITCH) {
			value = STR("yes");
		} else if (!has_value) {
			if (i + 1 == argument_count) {
				snprintf(reterr, SETTINGS_ERROR_SIZE, "--%s wants a value: %s",
					 setting->name, setting->value_word);
				return -EINVAL;
			}
			value = str_from(arguments[++i]);
		}
		if (assign(setting, settings, value,
			   (struct setting_source){ .origin = ORIGIN_COMMAND_LINE }, reason)) {
			snprintf(reterr, SETTINGS_ERROR_SIZE, "--%s: %.350s", setting->name,
				 reason);
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

/* ---- values as text -----------------------------------------------------------------------------
 */

struct unit {
	uint64_t size;
	const char *name;
};

/* The largest unit of which it is a whole number. */
static void print_in_units(uint64_t number, const struct unit *units, struct buf *text)
{
	while (number % units->size != 0)
		units++;
	buf_printf(text, "%llu%s", (unsigned long long)(number / units->size), units->name);
}

static void print_value(const struct setting *setting, const struct settings *settings,
			struct buf *text)
{
	static const struct unit durations[] = {
		{ SECONDS(86400), "d" },
		{ SECONDS(3600), "h" },
		{ SECONDS(60), "m" },
		{ SECONDS(1), "s" },
		{ CLOCK_NS_PER_MS, "ms" },
		{ 1000, "us" },
		{ 1, "ns" },
	};
	static const struct unit sizes[] = {
		{ UINT64_C(1) << 40, "T" }, { 1 << 30, "G" }, { 1 << 20, "M" },
		{ 1 << 10, "K" },	    { 1, "" },
	};
	const char *field = (const char *)settings + setting->offset;
	uint64_t number = 0;

	if (setting->kind == KIND_LIST) {
		setting_list_print((const void *)field, text);
		return;
	}
	if (setting->kind == KIND_TEXT) {
		bool is_quoted = false;

		for (const char *c = field; *c && !is_quoted; c++)
			is_quoted = (unsigned char)*c <= ' ' || strchr("#;\"", *c);
		buf_printf(text, is_quoted ? "\"%s\"" : "%s", field);
		return;
	}
	if (setting->kind == KIND_SWITCH) {
		buf_printf(text, "%s", *(const bool *)field ? "yes" : "no");
		return;
	}
	memcpy(&number, field, sizeof(number));
	if (number == 0 && setting->can_be_off)
		buf_printf(text, "off");
	else if (number == SETTING_AUTO && (setting->flags & CAN_BE_AUTO))
		buf_printf(text, "auto");
	else if (setting->kind == KIND_DURATION)
		print_in_units(number, durations, text);
	else if (setting->kind == KIND_SIZE)
		print_in_units(number, sizes, text);
	else
		buf_printf(text, "%llu", (unsigned long long)number);
}

void settings_variable(const char *name, struct buf *text)
{
	buf_printf(text, "HEARTH_");
	for (const char *c = name; *c; c++)
		buf_add_u8(text, *c == '-' ? '_' : (uint8_t)toupper((unsigned char)*c));
}

void settings_source_text(const struct settings *settings, const char *name,
			  const struct setting_source *source, struct buf *text)
{
	switch ((enum setting_origin)source->origin) {
	case ORIGIN_DEFAULT:
		buf_printf(text, "default");
		break;
	case ORIGIN_FILE:
		assert(source->file < settings->file_count);
		buf_printf(text, "%s:%u", settings->files[source->file], source->line);
		break;
	case ORIGIN_ENVIRONMENT:
		settings_variable(name, text);
		break;
	case ORIGIN_COMMAND_LINE:
		buf_printf(text, "--%s", name);
		break;
	case ORIGIN_START:
		buf_printf(text, "since the start; another value takes a restart");
		break;
	}
}

static void print_source(const struct setting *setting, const struct settings *settings,
			 struct buf *text)
{
	settings_source_text(settings, setting->name, &settings->sources[setting - table], text);
}

/* From where the line began, the comment that says where its value was said. */
static void begin_comment(struct buf *text, size_t start)
{
	enum { VALUE_COLUMN = 48 };

	do
		buf_add_u8(text, ' ');
	while (!text->error && text->size - start < VALUE_COLUMN);
	buf_printf(text, "# ");
}

/* A line for each item; of none one that says nothing. */
static void show_list(const struct setting *setting, const struct settings *settings,
		      struct buf *text)
{
	const struct setting_list *list = (const void *)((const char *)settings + setting->offset);
	size_t start = text->size;

	if (list->count == 0) {
		buf_printf(text, "%s =", setting->name);
		begin_comment(text, start);
		print_source(setting, settings, text);
		buf_printf(text, "\n");
	}
	for (uint32_t i = 0; i < list->count; i++) {
		start = text->size;
		buf_printf(text, "%s = %s", setting->name, list->items[i]);
		begin_comment(text, start);
		settings_source_text(settings, setting->name, &list->sources[i], text);
		buf_printf(text, "\n");
	}
}

void settings_show(const struct settings *settings, struct buf *text)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		size_t start = text->size;

		if (table[i].kind == KIND_LIST) {
			show_list(&table[i], settings, text);
			continue;
		}
		/* What no file may say stands in a comment, so that this can be one. */
		if (table[i].flags & NOT_IN_FILE)
			buf_printf(text, "# ");
		buf_printf(text, "%s = ", table[i].name);
		print_value(&table[i], settings, text);
		begin_comment(text, start);
		print_source(&table[i], settings, text);
		buf_printf(text, "\n");
	}
}

void settings_yaml(const struct settings *settings, bool only_said, struct buf *text)
{
	autoclean(buf) struct buf value = BUF(SETTING_TEXT_SIZE + 64);

	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (only_said && settings->sources[i].origin == ORIGIN_DEFAULT)
			continue;
		if (table[i].kind == KIND_LIST) {
			buf_printf(text, "%s: ", table[i].name);
			setting_list_yaml((const void *)((const char *)settings + table[i].offset),
					  text);
			buf_printf(text, "\n");
			continue;
		}
		buf_clear(&value);
		print_value(&table[i], settings, &value);
		buf_printf(text, "%s: '", table[i].name);
		for (size_t k = 0; k < value.size; k++) {
			if (value.bytes[k] == '\'')
				buf_add_u8(text, '\'');
			buf_add_u8(text, value.bytes[k]);
		}
		buf_printf(text, "'\n");
		if (value.error)
			text->error = value.error;
	}
}

static void print_limits(const struct setting *setting, struct buf *text)
{
	char expected[128];

	if (setting->kind != KIND_TEXT && setting->kind != KIND_LIST)
		buf_printf(text, "# Takes %s.\n", expectation(setting, expected, sizeof(expected)));
	if (setting->flags & RELOADABLE)
		buf_printf(text, "# SIGHUP takes it over.\n");
}

void settings_sample(struct buf *text)
{
	buf_printf(
		text,
		"# Settings of hearth, all of them with their defaults. Remove the '#' in front of "
		"one to "
		"change\n"
		"# it; 'hearth check-config' tells whether all is well, and with --show what is in "
		"force.\n"
		"# Files in conf.d beside this one, HEARTH_... in the environment and options "
		"win over it.\n");
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct setting *setting = &table[i];
		const char *value = setting->default_text;

		if (setting->flags & NOT_IN_FILE)
			continue;
		if (!value)
			value = setting->kind == KIND_SWITCH ? "no" : "";
		buf_printf(text, "\n# %s: %s.\n", setting->name, setting->help);
		print_limits(setting, text);
		buf_printf(text, "#%s =%s%s\n", setting->name, value[0] ? " " : "", value);
	}
}

/* A hyphen that is copied must be a hyphen, and a point that begins a line is a command of roff. */
static void print_roff(const char *words, struct buf *text)
{
	for (const char *c = words; *c; c++) {
		if (*c == '-' || *c == '\\')
			buf_add_u8(text, '\\');
		else if ((*c == '.' || *c == '\'') && c == words)
			buf_printf(text, "\\&");
		buf_add_u8(text, (uint8_t)*c);
	}
}

static void print_manual_entry(const struct setting *setting, struct buf *text)
{
	const char *value = setting->kind == KIND_SWITCH ? "yes|no" : setting->value_word;
	char expected[128];

	buf_printf(text, ".TP\n\\fB");
	print_roff(setting->name, text);
	buf_printf(text, "\\fR = \\fI");
	print_roff(value, text);
	buf_printf(text, "\\fR\n");
	buf_add_u8(text, (uint8_t)toupper((unsigned char)setting->help[0]));
	print_roff(setting->help + 1, text);
	buf_printf(text, ".\n");
	if (setting->kind == KIND_LIST)
		buf_printf(text,
			   "May be said up to %d times, which adds up; an empty one forgets those "
			   "before it.\n",
			   SETTINGS_LIST_COUNT_MAX);
	else if (setting->kind != KIND_TEXT && setting->kind != KIND_SWITCH) {
		buf_printf(text, "Takes ");
		print_roff(expectation(setting, expected, sizeof(expected)), text);
		buf_printf(text, ".\n");
	}
	if (setting->default_text || setting->kind == KIND_SWITCH) {
		buf_printf(text, "Default: ");
		print_roff(setting->default_text ? setting->default_text : "no", text);
		buf_printf(text, ".\n");
	}
	if (setting->flags & RELOADABLE)
		buf_printf(text, "SIGHUP takes it over.\n");
}

static const char manual_rules[] =
	".SH RULES\n"
	"What is received by OTLP and by Pyroscope's pushes goes through all of them, in the order "
	"in\n"
	"which they are said, before it is stored.\n"
	".TP\n.BI \"drop \" SELECTOR\nWhat matches is not stored.\n"
	".TP\n.BI \"keep \" SELECTOR\nWhat does not match is not stored.\n"
	".TP\n.BI \"rename \" \"LABEL NAME\" \" [\" SELECTOR ]\nThe label is called otherwise.\n"
	".TP\n.BI \"set \" LABEL \" \\(dq\" VALUE \"\\(dq [\" SELECTOR ]\nThe label is this, "
	"whatever it was.\n"
	".TP\n.BI \"remove \" LABEL \" [\" SELECTOR ]\nThe label goes.\n"
	".TP\n.BI \"sample 1/\" N \" [\" SELECTOR ]\n"
	"One sample of N is stored and weighs as much as N; the sum of each series stays what it "
	"was.\n"
	".TP\n.BI \"limit \" \"LABEL N\" \" [\" SELECTOR ]\n"
	"N values of the label are told apart; further ones become \\(dqother\\(dq, until one of "
	"the N did\n"
	"not come for an hour.\n.PP\n"
	"A selector is what a question has:\n.BR {service_name=\\(dqshop\\(dq,pod=~\\(dqa.*\\(dq} "
	".\n"
	"A label is found as by a question;\n.B k8s.pod.name\nis also what a push calls\n.BR "
	"k8s_pod_name .\n"
	".B hearth check\\-config\nsays of each rule what it does; with\n.B \\-\\-label\nwhat it "
	"does to a series.\n";

static const char manual_head[] =
	".\\\" SPDX-License-Identifier: Apache-2.0\n"
	".\\\" Made by 'hearth check-config --manual' of the table of settings.\n"
	".TH HEARTH.CONF 5 \"\" \"Hearth\" \"File Formats\"\n"
	".SH NAME\nhearth.conf \\- settings of hearth\n"
	".SH SYNOPSIS\n.I " SETTINGS_FILE "\n.br\n.I /etc/hearth/conf.d/*.conf\n"
	".SH DESCRIPTION\n"
	"Lines of\n.IR \"key = value\" ,\ncomments from # or ; at the start of a line or behind a\n"
	"space, and sections: a key\n.B age\nin the section\n.B [retention]\nis\n"
	".BR retention\\-age .\n"
	"A value that begins with a double quote goes to the next one.\n"
	"Files in conf.d are read in the order of their names and win over the file above them;\n"
	"variables such as\n.B HEARTH_RETENTION_AGE\nand options such as\n"
	".B \\-\\-retention\\-age\nwin over all files.\n"
	"An unknown name, a key that is there twice and is no\n.B rule\nor a value that makes no "
	"sense is an error,\n"
	"and nothing starts.\n.PP\n"
	".B hearth check\\-config\ntells what is wrong, with file and line; with\n"
	".B \\-\\-show\nwhat is in force, and where it was said.\n"
	".B systemctl reload hearth hearth\\-collector\nreads the files again.\n"
	".SH SETTINGS\n";

void settings_manual(struct buf *text)
{
	buf_printf(text, "%s", manual_head);
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (!(table[i].flags & NOT_IN_FILE))
			print_manual_entry(&table[i], text);
	buf_printf(text, "%s", manual_rules);
	buf_printf(text, ".SH SEE ALSO\n.BR hearth (1)\n");
}

/* ---- changing while running ---------------------------------------------------------------------
 */

static bool is_same(const struct setting *setting, const struct settings *a,
		    const struct settings *b)
{
	const char *x = (const char *)a + setting->offset;
	const char *y = (const char *)b + setting->offset;

	switch (setting->kind) {
	case KIND_TEXT:
		return strcmp(x, y) == 0;
	case KIND_SWITCH:
		return *(const bool *)x == *(const bool *)y;
	case KIND_LIST:
		return setting_list_equal((const void *)x, (const void *)y);
	case KIND_COUNT:
	case KIND_DURATION:
	case KIND_SIZE:
		break;
	}
	return memcmp(x, y, sizeof(uint64_t)) == 0;
}

static void copy_value(const struct setting *setting, struct settings *to,
		       const struct settings *from)
{
	static const size_t sizes[] = {
		[KIND_TEXT] = SETTING_TEXT_SIZE,    [KIND_COUNT] = sizeof(uint64_t),
		[KIND_DURATION] = sizeof(uint64_t), [KIND_SIZE] = sizeof(uint64_t),
		[KIND_SWITCH] = sizeof(bool),	    [KIND_LIST] = sizeof(struct setting_list),
	};

	memcpy((char *)to + setting->offset, (const char *)from + setting->offset,
	       sizes[setting->kind]);
}

unsigned settings_adopt(struct settings *settings, struct settings *loaded, struct buf *report)
{
	unsigned count = 0;

	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct setting *setting = &table[i];
		bool is_reloadable = setting->flags & RELOADABLE;

		if (is_same(setting, settings, loaded))
			continue;
		if (setting->commands & settings->command) {
			buf_printf(report, "%s: ", setting->name);
			print_value(setting, settings, report);
			buf_printf(report, " -> ");
			print_value(setting, loaded, report);
			buf_printf(report, " (");
			print_source(setting, loaded, report);
			buf_printf(report, ")%s\n", is_reloadable ? "" : ", takes a restart");
			count += is_reloadable;
		}
		if (!is_reloadable) {
			copy_value(setting, loaded, settings);
			loaded->sources[i] = (struct setting_source){ .origin = ORIGIN_START };
		}
	}
	loaded->is_supervised = settings->is_supervised;
	loaded->followed_pid = settings->followed_pid;
	memcpy(loaded->collector_reason, settings->collector_reason,
	       sizeof(loaded->collector_reason));
	*settings = *loaded;
	return count;
}

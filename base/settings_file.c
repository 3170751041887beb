/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings_file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

extern char **environ;

enum { NAME_SIZE_MAX = 64, FOLDER_SIZE_MAX = SETTING_TEXT_SIZE - 256 };

/* ---- one file -----------------------------------------------------------------------------------
 */

struct reader {
	struct settings *settings;
	struct buf *errors;
	const char *path;
	uint8_t file;
	uint32_t line;
	unsigned error_count;
	char section[NAME_SIZE_MAX];
	uint32_t lines[SETTING_COUNT_MAX]; /* where each was said in this file; 0: not yet */
};

__attribute__((format(printf, 2, 3))) static void complain(struct reader *reader,
							   const char *format, ...)
{
	char text[SETTINGS_ERROR_SIZE];
	va_list arguments;

	if (++reader->error_count > SETTINGS_ERROR_COUNT_MAX)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	buf_printf(reader->errors, "%s:%u: %s\n", reader->path, reader->line, text);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str text)
{
	while (text.size > 0 && is_space(text.text[0])) {
		text.text++;
		text.size--;
	}
	while (text.size > 0 && is_space(text.text[text.size - 1]))
		text.size--;
	return text;
}

static bool is_comment(struct str text)
{
	return text.size > 0 && (text.text[0] == '#' || text.text[0] == ';');
}

/* An item of a list may hold quoted texts; one that begins with a quote is quoted as a whole. */
static bool take_item(struct str text, struct str *ret)
{
	bool is_closed = false;

	text.size = setting_list_item_size(text, &is_closed);
	*ret = trim(text);
	return is_closed;
}

/* Without a comment behind it; a '#' within a word is part of it. False when a quote is not closed,
 * or has something behind it. */
static bool take_value(struct str text, struct str *ret)
{
	if (text.size > 0 && text.text[0] == '"') {
		const char *end = memchr(text.text + 1, '"', text.size - 1);

		if (!end)
			return false;

		struct str value = { text.text + 1, (size_t)(end - text.text) - 1 };
		struct str rest =
			trim((struct str){ end + 1, text.size - (size_t)(end + 1 - text.text) });

		*ret = value;
		return rest.size == 0 || is_comment(rest);
	}
	for (size_t i = 0; i < text.size; i++) {
		if ((text.text[i] == '#' || text.text[i] == ';') &&
		    (i == 0 || is_space(text.text[i - 1]))) {
			text.size = i;
			break;
		}
	}
	*ret = trim(text);
	return true;
}

/* Names are short; of what is no name, so much is shown. */
enum { SHOWN_SIZE_MAX = 60 };
#define SHOWN(s) (int)((s).size < SHOWN_SIZE_MAX ? (s).size : SHOWN_SIZE_MAX), (s).text

static void read_section(struct reader *reader, struct str line)
{
	const char *end = memchr(line.text, ']', line.size);
	struct str name = { 0 };

	if (end) {
		struct str rest =
			trim((struct str){ end + 1, line.size - (size_t)(end + 1 - line.text) });

		if (rest.size == 0 || is_comment(rest))
			name = trim((struct str){ line.text + 1, (size_t)(end - line.text) - 1 });
	}
	if (name.size == 0 || name.size >= sizeof(reader->section)) {
		complain(reader, "'%.*s' is no section; write [name]", SHOWN(line));
		return;
	}
	memcpy(reader->section, name.text, name.size);
	reader->section[name.size] = '\0';
}

static void refuse_unknown(struct reader *reader, struct str key, struct str name)
{
	const char *nearest = settings_nearest(name, 3);

	if (reader->section[0] && settings_find(key) >= 0)
		complain(reader,
			 "there is no setting '%.*s'; '%.*s' stands before the first [section]",
			 SHOWN(name), SHOWN(key));
	else if (nearest)
		complain(reader, "there is no setting '%.*s'; is '%s' meant?", SHOWN(name),
			 nearest);
	else
		complain(reader,
			 "there is no setting '%.*s'; 'hearth check-config --show' lists all",
			 SHOWN(name));
}

static void read_key(struct reader *reader, struct str line)
{
	const char *equals = memchr(line.text, '=', line.size);
	char text[2 * NAME_SIZE_MAX];
	char reason[SETTINGS_ERROR_SIZE];
	struct str value;

	if (!equals) {
		complain(reader, "'%.*s' is neither 'key = value' nor [section]", SHOWN(line));
		return;
	}

	struct str key = trim((struct str){ line.text, (size_t)(equals - line.text) });
	struct str name = key;

	if (reader->section[0] && key.size < NAME_SIZE_MAX) {
		int size = snprintf(text, sizeof(text), "%s-%.*s", reader->section, STR_PRINT(key));

		name = (struct str){ text, (size_t)size };
	}

	int place = settings_find(name);

	if (place < 0) {
		refuse_unknown(reader, key, name);
		return;
	}
	if (reader->lines[place] && !settings_is_list(place)) {
		complain(reader, "%.*s is set in line %u already", SHOWN(name),
			 reader->lines[place]);
		return;
	}
	reader->lines[place] = reader->line;

	struct str rest =
		trim((struct str){ equals + 1, line.size - (size_t)(equals + 1 - line.text) });
	bool is_item = settings_is_list(place) && (rest.size == 0 || rest.text[0] != '"');

	if (is_item ? !take_item(rest, &value) : !take_value(rest, &value)) {
		complain(reader,
			 "%.*s: a value in '\"' ends with another '\"', and the line with it",
			 SHOWN(name));
		return;
	}
	if (settings_assign(reader->settings, name, value,
			    (struct setting_source){ ORIGIN_FILE, reader->file, reader->line },
			    reason))
		complain(reader, "%.*s: %.300s", SHOWN(name), reason);
}

static void read_line(struct reader *reader, struct str line)
{
	line = trim(line);
	if (line.size == 0 || is_comment(line))
		return;
	if (memchr(line.text, '\0', line.size))
		complain(reader, "there is a NUL byte in it");
	else if (line.text[0] == '[')
		read_section(reader, line);
	else
		read_key(reader, line);
}

unsigned settings_read(struct settings *settings, const char *path, struct str text,
		       struct buf *errors)
{
	struct reader reader = {
		.settings = settings,
		.errors = errors,
		.path = path,
		.file = (uint8_t)settings->file_count,
	};
	struct str line;

	assert(settings->file_count < SETTINGS_FILE_COUNT_MAX);
	assert(strlen(path) < SETTING_TEXT_SIZE);
	memcpy(settings->files[settings->file_count++], path, strlen(path) + 1);
	while (parse_next(&text, '\n', &line)) {
		reader.line++;
		read_line(&reader, line);
	}
	if (reader.error_count > SETTINGS_ERROR_COUNT_MAX)
		buf_printf(errors, "%s: and %u more\n", path,
			   reader.error_count - SETTINGS_ERROR_COUNT_MAX);
	return reader.error_count;
}

/* ---- the files ----------------------------------------------------------------------------------
 */

static int read_bytes(const char *path, struct buf *text)
{
	/* Without waiting, should it be a pipe. */
	autoclose int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t size;

	if (file < 0)
		return -errno;
	do {
		char piece[4096];

		size = read(file, piece, sizeof(piece));
		if (size < 0 && errno != EINTR)
			return -errno;
		if (size > 0)
			buf_add(text, piece, (size_t)size);
	} while (size != 0 && !text->error);
	return text->error;
}

static int load_file(struct settings *settings, const char *path, struct buf *errors)
{
	autoclean(buf) struct buf text = BUF(SETTINGS_FILE_SIZE_MAX);
	int err = read_bytes(path, &text);

	if (err == -EFBIG)
		buf_printf(errors, "%s: has more than the %d bytes that settings may take\n", path,
			   SETTINGS_FILE_SIZE_MAX);
	else if (err)
		buf_printf(errors, "%s: cannot be read: %s\n", path, strerror(-err));
	if (err)
		return err;
	return settings_read(settings, path, (struct str){ (char *)text.bytes, text.size }, errors)
		       ? -EBADMSG
		       : 0;
}

static int is_conf(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && str_ends_with(str_from(entry->d_name), STR(".conf"));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* conf.d beside the file; none is as good as an empty one. */
static int load_folder(struct settings *settings, const char *file, struct buf *errors)
{
	struct str base = str_base_name(str_from(file));
	char path[SETTING_TEXT_SIZE];
	struct dirent **entries;
	int folder_size = (int)(base.text - file);
	int err = 0;

	if (folder_size > FOLDER_SIZE_MAX) {
		buf_printf(errors, "%s: its path is too long\n", file);
		return -ENAMETOOLONG;
	}
	(void)snprintf(path, sizeof(path), "%.*sconf.d", folder_size, file);

	int count = scandir(path, &entries, is_conf, by_name);

	if (count < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (count < 0) {
		err = -errno;
		buf_printf(errors, "%s: cannot be read: %s\n", path, strerror(-err));
		return err;
	}
	for (int i = 0; i < count; i++) {
		(void)snprintf(path, sizeof(path), "%.*sconf.d/%s", folder_size, file,
			       entries[i]->d_name);

		int own = settings->file_count < SETTINGS_FILE_COUNT_MAX
				  ? load_file(settings, path, errors)
				  : -E2BIG;

		if (own == -E2BIG && !err)
			buf_printf(errors, "%s: there are more than %d files of settings\n", path,
				   SETTINGS_FILE_COUNT_MAX);
		if (!err)
			err = own;
		free(entries[i]);
	}
	free(entries);
	return err;
}

static int load_files(struct settings *settings, const char *config, struct buf *errors)
{
	const char *file = config[0] ? config : SETTINGS_FILE;
	int err = config[0] || access(file, F_OK) == 0 || errno != ENOENT
			  ? load_file(settings, file, errors)
			  : 0;
	int folder_err = load_folder(settings, file, errors);

	return err ? err : folder_err;
}

/* ---- the environment ----------------------------------------------------------------------------
 */

/* HEARTH_RETENTION_AGE to retention-age; empty for another's. */
static struct str name_of_variable(struct str variable, char name[static NAME_SIZE_MAX])
{
	const struct str prefix = STR("HEARTH_");

	if (!str_starts_with(variable, prefix) || variable.size - prefix.size >= NAME_SIZE_MAX)
		return (struct str){ 0 };
	for (size_t i = prefix.size; i < variable.size; i++) {
		char c = variable.text[i];

		name[i - prefix.size] = c == '_'	       ? '-'
					: c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a')
							       : c;
	}
	return (struct str){ name, variable.size - prefix.size };
}

/*
 * Others may have variables that begin as ours do, our tests for one; so only what looks like one
 * of ours with a slip in it is an error.
 */
static int load_environment(struct settings *settings, struct buf *errors)
{
	int err = 0;

	for (char **variable = environ; variable && *variable; variable++) {
		char text[NAME_SIZE_MAX];
		char reason[SETTINGS_ERROR_SIZE];
		struct str value = str_from(*variable);
		struct str whole;

		if (!parse_next(&value, '=', &whole) || value.size == 0)
			continue;

		struct str name = name_of_variable(whole, text);
		const char *nearest = name.size ? settings_nearest(name, 2) : NULL;

		if (!nearest)
			continue;
		if (settings_find(name) < 0) {
			buf_printf(errors, "there is no setting %.*s; is ", SHOWN(whole));
			settings_variable(nearest, errors);
			buf_printf(errors, " meant?\n");
			err = -EBADMSG;
		} else if (settings_assign(settings, name, value,
					   (struct setting_source){ .origin = ORIGIN_ENVIRONMENT },
					   reason)) {
			buf_printf(errors, "%.*s: %s\n", SHOWN(whole), reason);
			err = -EBADMSG;
		}
	}
	return err;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

/* --config decides which files are read, before what they say is overridden. */
static int find_config(enum setting_command command, int argument_count,
		       const char *const *arguments, struct settings *scratch, struct buf *errors)
{
	char reason[SETTINGS_ERROR_SIZE];
	const char *variable = getenv("HEARTH_CONFIG");

	settings_defaults(scratch);
	if (variable && variable[0] && strlen(variable) < sizeof(scratch->config))
		memcpy(scratch->config, variable, strlen(variable) + 1);
	if (settings_parse(scratch, command, argument_count, arguments, reason)) {
		buf_printf(errors, "%s\n", reason);
		return -EINVAL;
	}
	return 0;
}

int settings_load(enum setting_command command, int argument_count, const char *const *arguments,
		  struct settings *ret, struct buf *errors)
{
	char reason[SETTINGS_ERROR_SIZE];
	char config[SETTING_TEXT_SIZE];
	int err = find_config(command, argument_count, arguments, ret, errors);

	if (err)
		return err;
	memcpy(config, ret->config, sizeof(config));
	settings_defaults(ret);
	ret->command = command;
	ret->argument_count = argument_count;
	ret->arguments = arguments;
	err = load_files(ret, config, errors);

	int environment_err = load_environment(ret, errors);

	if (!err)
		err = environment_err;
	if (settings_parse(ret, command, argument_count, arguments, reason))
		err = -EINVAL; /* find_config() saw to it */
	return err;
}

int settings_reload(struct settings *settings, unsigned *ret_changed, struct buf *report,
		    struct buf *errors)
{
	struct settings *loaded = malloc(sizeof(*loaded));
	int err = -ENOMEM;

	if (loaded)
		err = settings_load(settings->command, settings->argument_count,
				    settings->arguments, loaded, errors);
	else
		buf_printf(errors, "out of memory\n");
	if (!err)
		*ret_changed = settings_adopt(settings, loaded, report);
	free(loaded);
	return err;
}

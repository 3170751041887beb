/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/tls_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/parse.h"
#include "commands/command.h"
#include "web/tls.h"

enum {
	NAME_COUNT_MAX = 36, /* of --name 32, and this host's four */
	NAME_SIZE = 256,
	DAYS_DEFAULT = 365,
	DAYS_MAX = 3650,
};

struct tool {
	const char *command, *name_list, *days_text;
	struct settings settings;
	char names[NAME_COUNT_MAX][NAME_SIZE];
	const char *name_pointers[NAME_COUNT_MAX];
	size_t name_count;
	int days;
};

static void print_help(void)
{
	command_help(
		"tls self-signed [--name NAME,...] [--days N] [OPTIONS]",
		TLS_TOOL_HELP
		"\n\n"
		"  --name NAME,...          more host names and addresses that it is good for\n"
		"  --days N                 how long it is good for (365)\n\n"
		"It is written to tls.crt and tls.key in the data folder. Browsers ask whether "
		"to trust it;\nclients take tls.crt for the authority.",
		SETTING_OF_SERVE);
}

static int add_name(struct tool *tool, struct str name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_:*";

	for (size_t i = 0; i < name.size; i++)
		if (!memchr(letters, name.text[i], sizeof(letters) - 1))
			return -EINVAL;
	if (name.size == 0 || name.size >= NAME_SIZE || tool->name_count == NAME_COUNT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < tool->name_count; i++)
		if (str_equal(name, str_from(tool->names[i])))
			return 0;
	memcpy(tool->names[tool->name_count], name.text, name.size);
	tool->name_pointers[tool->name_count] = tool->names[tool->name_count];
	tool->name_count++;
	return 0;
}

static int collect_names(struct tool *tool)
{
	static const struct str own[] = { { "localhost", 9 }, { "127.0.0.1", 9 }, { "::1", 3 } };
	struct str rest = str_from(tool->name_list);
	char host[NAME_SIZE] = "";
	struct str name;

	if (gethostname(host, sizeof(host) - 1) == 0)
		(void)add_name(tool, str_from(host));
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		(void)add_name(tool, own[i]);
	while (parse_next(&rest, ',', &name)) {
		if (add_name(tool, name) == 0)
			continue;
		log_error("--name: '%.*s' is no host name or address, or one too many",
			  (int)(name.size < 80 ? name.size : 80), name.text);
		return EX_USAGE;
	}
	return 0;
}

static int read_days(struct tool *tool)
{
	uint64_t days = DAYS_DEFAULT;

	if (tool->days_text &&
	    (parse_u64(str_from(tool->days_text), &days) || days == 0 || days > DAYS_MAX)) {
		log_error("--days: '%.60s' is no number from 1 to %d", tool->days_text, DAYS_MAX);
		return EX_USAGE;
	}
	tool->days = (int)days;
	return 0;
}

/* Never over one that is there: somebody may be using it. */
static int write_new(int folder, const char *name, const char *text, mode_t mode)
{
	autoclose int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	size_t size = strlen(text);
	struct stat owner;

	if (fd < 0 || fstat(folder, &owner))
		return -errno;
	/* Root may write for a server that is not root. */
	if (geteuid() == 0 && fchown(fd, owner.st_uid, owner.st_gid))
		return -errno;

	ssize_t put = write(fd, text, size);

	if (put != (ssize_t)size)
		return put < 0 ? -errno : -EIO;
	return fsync(fd) ? -errno : 0;
}

static int write_both(const struct tool *tool, const char *certificate, const char *key)
{
	bool made = false;
	int err = folder_make(tool->settings.data, 0700, &made);

	if (err)
		return err;

	autoclose int folder = open(tool->settings.data, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (folder < 0)
		return -errno;
	err = write_new(folder, "tls.key", key, 0600);
	if (err)
		return err;
	err = write_new(folder, "tls.crt", certificate, 0644);
	if (err)
		(void)unlinkat(folder, "tls.key", 0);
	return err;
}

static int self_signed(struct tool *tool)
{
	autofree char *certificate = NULL;
	autofree char *key = NULL;
	char fingerprint[TLS_FINGERPRINT_SIZE];
	int code = collect_names(tool);

	if (!code)
		code = read_days(tool);
	if (code)
		return code;

	int err = tls_make_certificate(tool->name_pointers, tool->name_count, tool->days,
				       &certificate, &key, fingerprint);

	if (!err)
		err = write_both(tool, certificate, key);
	if (err == -EEXIST)
		log_error("there is a tls.crt or tls.key in '%s' already; move them away first",
			  tool->settings.data);
	else if (err)
		log_error_errno(err, "cannot make a certificate in '%s'", tool->settings.data);
	if (err)
		return EX_CANTCREAT;
	printf("tls-certificate = %s/tls.crt\ntls-key = %s/tls.key\n", tool->settings.data,
	       tool->settings.data);
	log_info("these lines belong into " SETTINGS_FILE
		 "; SHA-256 of the certificate, as browsers show it: %s",
		 fingerprint);
	return 0;
}

int tls_tool_main(int argument_count, const char *const *arguments)
{
	autofree struct tool *tool = calloc(1, sizeof(*tool));
	autofree const char **options = calloc((size_t)argument_count + 1, sizeof(options[0]));
	int option_count = 0;

	if (!options || !tool)
		return EX_OSERR;
	if (command_asks_for_help(argument_count, arguments))
		return print_help(), 0;
	for (int i = 0; i < argument_count; i++) {
		const char *value;

		if ((value = command_option_value("--name", arguments, argument_count, &i)))
			tool->name_list = value;
		else if ((value = command_option_value("--days", arguments, argument_count, &i)))
			tool->days_text = value;
		else if (i == 0 && arguments[i][0] != '-')
			tool->command = arguments[i];
		else
			options[option_count++] = arguments[i];
	}

	int code = command_settings(SETTING_OF_SERVE, option_count, options, &tool->settings);

	if (code)
		return code;
	if (tool->command && !strcmp(tool->command, "self-signed"))
		return self_signed(tool);
	log_error("what shall be done? hearth tls self-signed; see --help");
	return EX_USAGE;
}

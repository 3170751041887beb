/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/check_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/settings_file.h"
#include "collector/exclusions.h"
#include "store/relabel.h"
#include "web/door.h"
#include "web/label_rules.h"

enum { TEXT_SIZE_MAX = 64 << 10 };

struct request {
	bool shows, wants_defaults, wants_manual, wants_help;
	const char **options; /* for settings_load() */
	int option_count;
	struct label labels[RELABEL_COUNT_MAX]; /* of --label */
	size_t label_count;
	const char *wrong_label;
};

static void print_help(void)
{
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);

	buf_printf(&text,
		   "usage: hearth check-config [--show | --defaults | --manual] [FILE] "
		   "[OPTIONS]\n\n%s\n\n"
		   "  --show                   every setting with its value and where it is said\n"
		   "  --defaults               a commented file of all settings\n"
		   "  --manual                 hearth.conf(5): every setting, as a manual page\n"
		   "  --label NAME=VALUE       what each rule does to a series with these labels, "
		   "and what\n"
		   "                           is stored of it; may be given again\n"
		   "  FILE                     as --config FILE\n",
		   CHECK_CONFIG_HELP);
	settings_help(SETTING_OF_ALL, &text);
	fwrite(text.bytes, 1, text.size, stdout);
}

static void take_label(struct request *request, const char *argument)
{
	struct str value = str_from(argument ? argument : "");
	struct str name;

	if (!parse_next(&value, '=', &name) || name.size == 0 || value.size == 0 ||
	    request->label_count == RELABEL_COUNT_MAX) {
		request->wrong_label = argument ? argument : "";
		return;
	}
	request->labels[request->label_count++] = (struct label){ name, value };
}

/* Takes our own arguments out. A bare word before the first option is the file. */
static void read_arguments(struct request *request, int argument_count,
			   const char *const *arguments)
{
	for (int i = 0; i < argument_count; i++) {
		const char *argument = arguments[i];

		if (!strcmp(argument, "--show")) {
			request->shows = true;
		} else if (!strcmp(argument, "--defaults")) {
			request->wants_defaults = true;
		} else if (!strcmp(argument, "--manual")) {
			request->wants_manual = true;
		} else if (!strcmp(argument, "--label")) {
			take_label(request, i + 1 < argument_count ? arguments[i + 1] : NULL);
			i++;
		} else if (!strcmp(argument, "--help") || !strcmp(argument, "-h")) {
			request->wants_help = true;
		} else {
			if (argument[0] != '-' && request->option_count == 0)
				request->options[request->option_count++] = "--config";
			request->options[request->option_count++] = argument;
		}
	}
}

/* What only the parts can judge. */
static int check_further(const struct settings *settings)
{
	char reason[DOOR_ERROR_SIZE];

	if (door_check(settings, reason)) {
		log_error("http: %s", reason);
		return EX_CONFIG;
	}

	autoclean(exclusions) struct exclusions *exclusions = NULL;
	char excluding[EXCLUSIONS_ERROR_SIZE];

	if (exclusions_new(settings, &exclusions, excluding)) {
		log_error("%s", excluding);
		return EX_CONFIG;
	}
	return 0;
}

/* What they would do, rule by rule. */
static int check_rules(const struct request *request, const struct settings *settings,
		       struct buf *text)
{
	autoclean(label_rules) struct label_rules *rules = NULL;
	char reason[LABEL_RULES_ERROR_SIZE] = "out of memory";
	int err = label_rules_new(&rules);

	if (!err)
		err = label_rules_load(rules, settings, reason);
	if (err) {
		log_error("%s", reason);
		return EX_CONFIG;
	}
	label_rules_explain(rules, settings, request->labels, request->label_count, text);
	return 0;
}

static int check(const struct request *request)
{
	autoclean(buf) struct buf errors = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);
	struct settings settings;
	int err = settings_load(SETTING_OF_ALL, request->option_count, request->options, &settings,
				&errors);

	log_lines(LOG_LEVEL_ERROR, (struct str){ (char *)errors.bytes, errors.size });
	if (err)
		return err == -EINVAL ? EX_USAGE : EX_CONFIG;
	if (request->shows) {
		settings_show(&settings, &text);
		fwrite(text.bytes, 1, text.size, stdout);
		buf_clear(&text);
	}

	int code = check_further(&settings);

	if (code == 0)
		code = check_rules(request, &settings, &text);
	if (request->shows)
		return code;

	if (code == 0 && settings.file_count == 0)
		printf("no file of settings, and nothing wrong with the others\n");
	for (uint32_t i = 0; code == 0 && i < settings.file_count; i++)
		printf("%s: nothing is wrong\n", settings.files[i]);
	if (code == 0)
		fwrite(text.bytes, 1, text.size, stdout);
	return code;
}

int check_config_main(int argument_count, const char *const *arguments)
{
	struct request request = { .option_count = 0 };
	int code = 0;

	/* A bare word becomes two. */
	request.options = calloc((size_t)argument_count * 2 + 1, sizeof(request.options[0]));
	if (!request.options)
		return EX_OSERR;
	read_arguments(&request, argument_count, arguments);
	if (request.wrong_label) {
		log_error("--label '%s' is not NAME=VALUE", request.wrong_label);
		code = EX_USAGE;
	} else if (request.wants_help) {
		print_help();
	} else if (request.wants_defaults || request.wants_manual) {
		autoclean(buf) struct buf text = BUF(TEXT_SIZE_MAX);

		if (request.wants_manual)
			settings_manual(&text);
		else
			settings_sample(&text);
		fwrite(text.bytes, 1, text.size, stdout);
	} else {
		code = check(&request);
	}
	free(request.options);
	return code;
}

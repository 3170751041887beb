/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Every setting: one table in settings.c gives its name, type, unit, default, limits, help, and
 * whether it can be changed while running. --help, the parser of the command line and what the
 * status page shows are made from it, and a configuration file will be.
 */
enum { SETTING_TEXT_SIZE = 512 };

struct settings {
	char data[SETTING_TEXT_SIZE]; /* folder of spans and symbols */
	char http[SETTING_TEXT_SIZE]; /* ADDRESS:PORT */
	char otlp_grpc[SETTING_TEXT_SIZE];
	char otlp_http[SETTING_TEXT_SIZE];
	char collector_socket[SETTING_TEXT_SIZE]; /* "" : DATA/collector.sock */
	char replay[SETTING_TEXT_SIZE]; /* a recording to read instead of the link, or "" */
	char record[SETTING_TEXT_SIZE]; /* where to write a recording of the link, or "" */
	uint64_t frequency_hz;
	uint64_t window_ns;
	uint64_t retention_age_ns; /* 0: off */
	uint64_t retention_size;   /* bytes; 0: off */
	uint64_t span_ns;
	bool verbose;

	/* Not a setting: why there is no collector, as hearth run found out; else "". */
	char collector_reason[SETTING_TEXT_SIZE];
};

enum setting_command {
	SETTING_OF_RUN = 1,
	SETTING_OF_COLLECT = 2,
	SETTING_OF_SERVE = 4,
};

/*
 * The defaults. The data folder is /var/lib/hearth for root, else hearth/ in $XDG_STATE_HOME or in
 * ~/.local/state.
 */
void settings_defaults(struct settings *settings);

enum { SETTINGS_ERROR_SIZE = 384 };

/*
 * Reads --name value and --name=value. -EINVAL with a sentence in reterr that names the argument,
 * what was wrong with it and, for an unknown name, the nearest known one.
 */
int settings_parse(struct settings *settings, enum setting_command command, int argument_count,
		   const char *const *arguments, char reterr[static SETTINGS_ERROR_SIZE]);

/* Where the collector and the server meet: --collector-socket, or collector.sock in the data
 * folder. */
int settings_socket_path(const struct settings *settings, char *path, size_t size);

/* The lines of --help for this command. */
void settings_help(enum setting_command command, struct buf *text);

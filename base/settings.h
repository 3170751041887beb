/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/setting_list.h"

/*
 * Every setting: one table in settings.c gives its name, type, unit, default, limits, help, and
 * whether it can be changed while running. --help, the parsers of the command line, of files and of
 * the environment, `hearth check-config` and the sample file are made from it.
 *
 * A setting has one name everywhere: --retention-age, HEARTH_RETENTION_AGE, and in a file
 * retention-age, or age in the section [retention]. What is said later wins: defaults, files,
 * environment, command line.
 */
#define SETTINGS_FILE "/etc/hearth/hearth.conf"

enum { SETTING_COUNT_MAX = 64 };

/* What a setting that was left to Hearth has for a number. */
#define SETTING_AUTO UINT64_MAX

enum setting_command {
	SETTING_OF_RUN = 1,
	SETTING_OF_COLLECT = 2,
	SETTING_OF_SERVE = 4,
	SETTING_OF_ALL = SETTING_OF_RUN | SETTING_OF_COLLECT | SETTING_OF_SERVE,
};

struct settings {
	char config[SETTING_TEXT_SIZE];		   /* "": SETTINGS_FILE, which may be missing */
	char data[SETTING_TEXT_SIZE];		   /* folder of spans and symbols */
	char http[SETTING_TEXT_SIZE];		   /* ADDRESS:PORT */
	char http_socket_group[SETTING_TEXT_SIZE]; /* of unix sockets; "": the owner alone */
	char allowed_hosts[SETTING_TEXT_SIZE];	   /* more names that requests may use for us */
	char trusted_proxies[SETTING_TEXT_SIZE]; /* addresses and ranges whose X-Forwarded-… counts
						  */
	char tls_certificate[SETTING_TEXT_SIZE], tls_key[SETTING_TEXT_SIZE]; /* PEM; "": no TLS */
	char tls_client_ca[SETTING_TEXT_SIZE];	 /* PEM: whose certificates clients may show */
	char tls_client_role[SETTING_TEXT_SIZE]; /* of who shows one */
	char tls_minimum[SETTING_TEXT_SIZE];	 /* "1.3", "1.2" */
	char path_prefix[SETTING_TEXT_SIZE];	 /* "/hearth", or "" */
	char token_file[SETTING_TEXT_SIZE];	 /* "": DATA/tokens */
	char otlp_grpc[SETTING_TEXT_SIZE];
	char otlp_http[SETTING_TEXT_SIZE];
	struct setting_list rules; /* web/label_rules.h */
	char debug_folders[SETTING_TEXT_SIZE];
	uint64_t symbols_size;			  /* bytes */
	char collector_socket[SETTING_TEXT_SIZE]; /* "" : DATA/collector.sock */
	char replay[SETTING_TEXT_SIZE]; /* a recording to read instead of the link, or "" */
	char record[SETTING_TEXT_SIZE]; /* where to write a recording of the link, or "" */
	uint64_t frequency_hz;
	char exclude_users[SETTING_TEXT_SIZE];	   /* lists, parted by commas: */
	char exclude_processes[SETTING_TEXT_SIZE]; /* collector/exclusions.h */
	char exclude_cgroups[SETTING_TEXT_SIZE];
	uint64_t unwind_memory; /* bytes, of unwind tables and mappings in the kernel */
	uint64_t window_ns;
	uint64_t retention_age_ns; /* 0: off */
	uint64_t rollup_age_ns;	   /* 0: off */
	uint64_t retention_size;   /* bytes; 0: off; SETTING_AUTO */
	uint64_t span_ns;
	uint64_t upload_size;	      /* bytes of symbols that were handed in */
	uint64_t requests_per_second; /* of one address; 0: off */
	uint64_t access_log;	      /* one request of so many is logged; 0: off */
	bool require_token;
	uint64_t detail_age_ns; /* 0: for ever */
	uint64_t fold;
	bool tls_hsts;
	bool verbose;

	/* Not settings: where each came from, by its place in the table; what was read; and with
	 * what settings_load() was called, so that settings_reload() can do it again. */
	struct setting_source sources[SETTING_COUNT_MAX];
	char files[SETTINGS_FILE_COUNT_MAX][SETTING_TEXT_SIZE];
	uint32_t file_count;
	enum setting_command command;
	int argument_count;
	const char *const *arguments;

	/* Set by hearth record: samples of this process and of what it starts alone; 0: of all. */
	uint32_t followed_pid;
	/* Set by hearth run for its programs: it tells of what SIGHUP changed, once for both. */
	bool is_supervised;
	/* Why there is no collector, as hearth run found out; else "". */
	char collector_reason[SETTING_TEXT_SIZE];
};

/*
 * The defaults. The data folder is /var/lib/hearth for root, else $STATE_DIRECTORY as a unit of
 * systemd has it, else hearth/ in $XDG_STATE_HOME or in ~/.local/state.
 */
void settings_defaults(struct settings *settings);

enum { SETTINGS_ERROR_SIZE = 384 };

/*
 * Reads --name value and --name=value. -EINVAL with a sentence in reterr that names the argument,
 * what was wrong with it and, for an unknown name, the nearest known one.
 */
int settings_parse(struct settings *settings, enum setting_command command, int argument_count,
		   const char *const *arguments, char reterr[static SETTINGS_ERROR_SIZE]);

/*
 * Sets what a file or the environment says: the setting's whole name and its value. Settings of
 * every command are known there, since one file serves all. -EINVAL with the reason in reterr,
 * which does not say where: the caller knows.
 */
int settings_assign(struct settings *settings, struct str name, struct str value,
		    struct setting_source source, char reterr[static SETTINGS_ERROR_SIZE]);

/* The place of a setting in the table, that is in sources; -ENOENT. */
int settings_find(struct str name);

/* Whether it is said more than once, each time adding to it: a struct setting_list. */
bool settings_is_list(int place);

/* "FILE:LINE", "HEARTH_RULE", "--rule": where it was said. */
void settings_source_text(const struct settings *settings, const char *name,
			  const struct setting_source *source, struct buf *text);

/* The known name that takes the fewest changed letters, or NULL when all take more than so many. */
const char *settings_nearest(struct str name, unsigned distance_max);

/* The environment's name of a setting, HEARTH_RETENTION_AGE. */
void settings_variable(const char *name, struct buf *text);

/* Where collector and server meet: --collector-socket, or collector.sock in the data folder. */
int settings_socket_path(const struct settings *settings, char *path, size_t size);

/* The lines of --help for this command. */
void settings_help(enum setting_command command, struct buf *text);

/* Every setting with its value and where it came from, as a file that settings_load() reads. */
void settings_show(const struct settings *settings, struct buf *text);

/* The same as YAML, without where; only_said: those that are not left at their default. */
void settings_yaml(const struct settings *settings, bool only_said, struct buf *text);

/* The commented sample file: every setting that a file may hold, with its help and default. */
void settings_sample(struct buf *text);

/* The same settings as hearth.conf(5), in man(7)'s language. */
void settings_manual(struct buf *text);

/*
 * Takes over from newly loaded ones what may change while the program runs, and adds a line to the
 * report for each setting of the command that differs: what it becomes and where that is said, or
 * that it takes a restart. Returns how many were taken over. Uses *loaded up.
 */
unsigned settings_adopt(struct settings *settings, struct settings *loaded, struct buf *report);

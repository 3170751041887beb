/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/window.h"
#include "commands/command.h"
#include "web/ask.h"
#include "web/json.h"
#include "web/metrics.h"

enum {
	ANSWER_SIZE_MAX = 1 << 20,
	LOST_PERCENT_HIGH = 1, /* of the samples */
};

enum health { HEALTH_WELL = 0, HEALTH_LOOK = 1, HEALTH_BROKEN = 2 };

static void worsen(enum health *health, enum health now)
{
	if (now > *health)
		*health = now;
}

static void tell_host(const struct json_value *status)
{
	const struct json_value *host = json_value_member(status, "host");
	struct str version = json_member_text(status, "version"),
		   name = json_member_text(host, "name"), kernel = json_member_text(host, "kernel");
	char since[COMMAND_TEXT_SIZE];

	printf("server     hearth %.*s on %.*s, Linux %.*s, since %s\n", STR_PRINT(version),
	       STR_PRINT(name), STR_PRINT(kernel),
	       command_time_text(json_member_integer(status, "started_ms"), since));
}

/* Each kind that there is, in brackets. */
static void tell_losses(const struct json_value *lost)
{
	const char *before = " (";

	for (size_t i = 0; i < LOSS_KIND_COUNT; i++) {
		const char *name = metrics_loss_name((enum loss_kind)i);
		int64_t count = json_member_integer(lost, name);

		if (count == 0)
			continue;
		printf("%s%s %" PRId64, before, name, count);
		before = ", ";
	}
	printf("%s\n", before[0] == ',' ? ")" : "");
}

static void tell_collector(const struct json_value *status, enum health *health)
{
	const struct json_value *collector = json_value_member(status, "collector");
	const struct json_value *lost = json_value_member(collector, "lost");
	int64_t samples = json_member_integer(collector, "samples"), lost_count = 0;
	struct str state = json_member_text(collector, "state"),
		   reason = json_member_text(collector, "reason");
	char since[COMMAND_TEXT_SIZE];

	for (size_t i = 0; i < LOSS_KIND_COUNT; i++)
		lost_count += json_member_integer(lost, metrics_loss_name((enum loss_kind)i));
	printf("collector  %.*s%s%.*s since %s", STR_PRINT(state), reason.size ? ": " : "",
	       STR_PRINT(reason),
	       command_time_text(json_member_integer(collector, "since_ms"), since));
	if (str_equal(state, STR("sampling")))
		printf(", %" PRId64 " times a second on %" PRId64 " CPUs",
		       json_member_integer(collector, "frequency_hz"),
		       json_member_integer(json_value_member(status, "host"), "cpus"));
	else if (!str_equal(state, STR("replay")))
		worsen(health, HEALTH_BROKEN);
	printf("\nsamples    %" PRId64 ", %" PRId64 " lost", samples, lost_count);
	tell_losses(lost);
	if (lost_count * 100 > samples * LOST_PERCENT_HIGH)
		worsen(health, HEALTH_LOOK);
}

static void tell_store(const struct json_value *status, enum health *health)
{
	const struct json_value *store = json_value_member(status, "store");
	struct str state = json_member_text(store, "state"),
		   reason = json_member_text(store, "reason");
	int64_t damaged = json_member_integer(store, "damaged");
	int64_t failing = json_member_integer(store, "failing");
	int64_t newest_ms = json_member_integer(store, "newest_ms");
	int64_t limit = json_member_integer(store, "limit_bytes");
	char size[COMMAND_TEXT_SIZE], of[COMMAND_TEXT_SIZE], from[COMMAND_TEXT_SIZE],
		to[COMMAND_TEXT_SIZE];

	printf("store      %.*s%s%.*s, %" PRId64 " samples in %" PRId64 " files, %s",
	       STR_PRINT(state), reason.size ? ": " : "", STR_PRINT(reason),
	       json_member_integer(store, "samples"), json_member_integer(store, "spans"),
	       command_size_text((uint64_t)json_member_integer(store, "bytes"), size));
	if (limit > 0)
		printf(" of %s", command_size_text((uint64_t)limit, of));
	printf("\n");
	if (newest_ms > 0)
		printf("time       %s to %s\n",
		       command_time_text(json_member_integer(store, "oldest_ms"), from),
		       command_time_text(newest_ms, to));
	if (damaged)
		printf("damaged    %" PRId64 " files were set aside; 'hearth store verify' tells\n",
		       damaged);
	if (failing)
		printf("left out   %" PRId64 " files that are not damaged, since questions fail on "
		       "them: a mistake of Hearth's, please report it\n",
		       failing);
	printf("disk       %s free of %s\n",
	       command_size_text((uint64_t)json_member_integer(store, "disk_free_bytes"), size),
	       command_size_text((uint64_t)json_member_integer(store, "disk_bytes"), of));
	if (str_equal(state, STR("read-only")))
		worsen(health, HEALTH_BROKEN);
	else if (!str_equal(state, STR("ok")) || damaged || failing)
		worsen(health, HEALTH_LOOK);
}

static void tell_names(const struct json_value *status)
{
	const struct json_value *symbols = json_value_member(status, "symbols");

	printf("names      %" PRId64 " modules, %" PRId64 " to be read, %" PRId64
	       " that can't be\n",
	       json_member_integer(symbols, "modules"), json_member_integer(symbols, "waiting"),
	       json_member_integer(symbols, "failed"));
}

static enum health tell(const struct json_value *status)
{
	static const char *const advice[] = {
		[HEALTH_WELL] = "all is well",
		[HEALTH_LOOK] = "it works; 'hearth doctor' tells what to do about the rest",
		[HEALTH_BROKEN] = "'hearth doctor' tells what is missing and what to do",
	};
	enum health health = HEALTH_WELL;

	tell_host(status);
	tell_collector(status, &health);
	tell_store(status, &health);
	tell_names(status);
	printf("%s\n", advice[health]);
	return health;
}

static int show(const struct settings *settings, bool as_json)
{
	autoclean(buf) struct buf body = BUF(ANSWER_SIZE_MAX);
	autoclean(json_value) struct json_value *status = NULL;
	char reason[JSON_ERROR_SIZE];
	int err = ask_server(settings->http, "GET", "/api/v1/status", &body);

	if (!err)
		err = json_value_parse((struct str){ (char *)body.bytes, body.size }, &status,
				       reason);
	if (err) {
		log_error_errno(err,
				"no server answers at %s; start one with 'sudo hearth run', or say "
				"where it listens with --http ADDR:PORT",
				settings->http);
		return EX_UNAVAILABLE;
	}
	if (!as_json)
		return (int)tell(status);
	printf("%.*s\n", (int)body.size, (const char *)body.bytes);
	return 0;
}

int status_main(int argument_count, const char *const *arguments)
{
	autofree const char **options = calloc((size_t)argument_count + 1, sizeof(options[0]));
	struct settings settings;
	bool as_json = false;
	int option_count = 0;

	if (!options)
		return EX_OSERR;
	if (command_asks_for_help(argument_count, arguments)) {
		command_help("status [--json] [OPTIONS]", STATUS_HELP, SETTING_OF_SERVE);
		return 0;
	}
	for (int i = 0; i < argument_count; i++)
		if (!strcmp(arguments[i], "--json"))
			as_json = true;
		else
			options[option_count++] = arguments[i];

	int code = command_settings(SETTING_OF_SERVE, option_count, options, &settings);

	return code ? code : show(&settings, as_json);
}

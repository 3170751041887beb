/* SPDX-License-Identifier: Apache-2.0 */
#include "web/settings_service.h"

#include <errno.h>

#include "base/clock.h"
#include "proto/services.pb-c.h"
#include "store/records.h"
#include "web/connect.h"
#include "web/kept.h"
#include "web/server.h"

enum {
	/* Drilldown keeps one. */
	SETTING_COUNT_LIMIT = 1024,
	VALUE_SIZE_MAX = 256 << 10,
};

struct listing {
	struct connect_call *call;
	Pyroscope__GetSettingsResponse answer;
};

static int take_setting(void *context, const struct record *record)
{
	struct listing *listing = context;
	struct arena *arena = &listing->call->arena;
	Pyroscope__Setting *setting = arena_take(arena, 1, sizeof(*setting));

	if (!setting || listing->answer.n_settings >= SETTING_COUNT_LIMIT)
		return setting ? -E2BIG : arena->error;
	pyroscope__setting__init(setting);
	setting->name = arena_text(arena, record->name);
	setting->value = arena_text(arena, record->bytes);
	setting->modifiedat = record->time_ms;
	listing->answer.settings[listing->answer.n_settings++] = setting;
	return arena->error;
}

void settings_service_get(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(connect_call) struct connect_call call;
	struct listing listing = { .call = &call,
				   .answer = PYROSCOPE__GET_SETTINGS_RESPONSE__INIT };

	if (!connect_begin(&call, request, reply, &pyroscope__nothing__descriptor) ||
	    !kept_is_there(server, reply))
		return;
	listing.answer.settings =
		arena_take(&call.arena, SETTING_COUNT_LIMIT, sizeof(listing.answer.settings[0]));

	int err = call.arena.error;

	if (!err)
		err = records_each(server->records, RECORD_SETTING, take_setting, &listing);
	if (err)
		connect_failure(reply, err);
	else
		connect_answer(&call, &listing.answer.base);
}

static bool check_setting(const Pyroscope__Setting *setting, struct reply *reply)
{
	if (!setting)
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "no setting values provided");
	else if (setting->name[0] == '\0')
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "no setting name provided");
	else if (str_from(setting->name).size > RECORD_NAME_SIZE_MAX)
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "the name has more than %d bytes",
			      RECORD_NAME_SIZE_MAX);
	else if (str_from(setting->value).size > VALUE_SIZE_MAX)
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "the value has more than %d bytes",
			      VALUE_SIZE_MAX);
	else
		return true;
	return false;
}

/* Whether there is room for it, and nothing newer is there. */
static bool may_store(struct server *server, const struct record *record, struct reply *reply)
{
	autoclean(buf) struct buf known = BUF(VALUE_SIZE_MAX + 1);
	struct records_figures figures;
	int64_t known_ms = 0;
	int err = records_get(server->records, RECORD_SETTING, record->name, &known_ms, &known);

	if (!err && known_ms > record->time_ms) {
		connect_error(reply, CONNECT_ALREADY_EXISTS,
			      "failed to update %.*s: newer update already written",
			      STR_PRINT(record->name));
		return false;
	}
	if (!err)
		return true;
	if (err == -ENOENT)
		err = records_figures(server->records, RECORD_SETTING, &figures);
	if (err) {
		connect_failure(reply, err);
		return false;
	}
	if (figures.count < SETTING_COUNT_LIMIT)
		return true;
	connect_error(reply, CONNECT_RESOURCE_EXHAUSTED, "there are %d settings, which is all",
		      SETTING_COUNT_LIMIT);
	return false;
}

void settings_service_set(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__SetSettingsResponse answer = PYROSCOPE__SET_SETTINGS_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__SetSettingsRequest *asked =
		connect_begin(&call, request, reply, &pyroscope__set_settings_request__descriptor);

	if (!asked || !kept_is_there(server, reply) || !check_setting(asked->setting, reply))
		return;

	Pyroscope__Setting setting = *asked->setting;

	if (setting.modifiedat <= 0)
		setting.modifiedat = clock_unix_ms();

	struct record record = { .name = str_from(setting.name),
				 .time_ms = setting.modifiedat,
				 .bytes = str_from(setting.value) };

	if (!may_store(server, &record, reply))
		return;

	int err = records_put(server->records, RECORD_SETTING, &record);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	answer.setting = &setting;
	connect_answer(&call, &answer.base);
}

void settings_service_delete(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__Nothing answer = PYROSCOPE__NOTHING__INIT;
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__DeleteSettingsRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__delete_settings_request__descriptor);

	if (!asked || !kept_is_there(server, reply))
		return;
	if (asked->name[0] == '\0') {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "no setting name provided");
		return;
	}

	int err = records_delete(server->records, RECORD_SETTING, str_from(asked->name));

	/* What is not there is gone already. */
	if (err && err != -ENOENT)
		connect_failure(reply, err);
	else
		connect_answer(&call, &answer.base);
}

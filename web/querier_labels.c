/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to choose from: profile types, label names, label values. */
#include <errno.h>

#include "web/querier.h"
#include "web/server.h"

static void read_type(struct connect_call *call, struct str id, Pyroscope__ProfileType *type)
{
	struct profile_type parsed;

	pyroscope__profile_type__init(type);
	if (profile_type_parse(id, &parsed, NULL))
		return;
	type->id = arena_text(&call->arena, parsed.id);
	type->name = arena_text(&call->arena, parsed.parts[PROFILE_TYPE_NAME]);
	type->sample_type = arena_text(&call->arena, parsed.parts[PROFILE_TYPE_SAMPLE_TYPE]);
	type->sample_unit = arena_text(&call->arena, parsed.parts[PROFILE_TYPE_SAMPLE_UNIT]);
	type->period_type = arena_text(&call->arena, parsed.parts[PROFILE_TYPE_PERIOD_TYPE]);
	type->period_unit = arena_text(&call->arena, parsed.parts[PROFILE_TYPE_PERIOD_UNIT]);
}

static void answer_types(struct connect_call *call, const struct store_texts *types)
{
	Pyroscope__ProfileTypesResponse answer = PYROSCOPE__PROFILE_TYPES_RESPONSE__INIT;
	Pyroscope__ProfileType *items = arena_take(&call->arena, types->count, sizeof(items[0]));

	answer.profile_types =
		arena_take(&call->arena, types->count, sizeof(answer.profile_types[0]));
	for (size_t i = 0; items && answer.profile_types && i < types->count; i++) {
		read_type(call, types->texts[i], &items[i]);
		answer.profile_types[answer.n_profile_types++] = &items[i];
	}
	connect_answer(call, &answer.base);
}

void querier_profile_types(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	struct store_texts types;
	const Pyroscope__ProfileTypesRequest *asked =
		connect_begin(&call, request, reply, &pyroscope__profile_types_request__descriptor);

	if (!asked || !querier_read_range(&question, &call, asked->start, asked->end))
		return;

	int err = store_profile_types(server->store, &question.question, &types);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	answer_types(&call, &types);
	store_texts_done(&types);
}

void querier_label_names(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	Pyroscope__LabelNamesResponse answer = PYROSCOPE__LABEL_NAMES_RESPONSE__INIT;
	struct store_texts names;
	const Pyroscope__LabelNamesRequest *asked =
		connect_begin(&call, request, reply, &pyroscope__label_names_request__descriptor);

	if (!asked || !querier_read_range(&question, &call, asked->start, asked->end) ||
	    !querier_read_matchers(&question, &call, asked->n_matchers, asked->matchers))
		return;

	int err = store_label_names(server->store, &question.question, &names);

	if (err) {
		connect_failure(reply, err);
		return;
	}

	bool takes_any = querier_takes_any_name(&call);

	/* Older clients fail on other names. */
	for (size_t i = 0; i < names.count; i++)
		if (takes_any || querier_is_plain_name(names.texts[i]))
			names.texts[answer.n_names++] = names.texts[i];
	answer.names = querier_texts(&call, names.texts, answer.n_names);
	connect_answer(&call, &answer.base);
	store_texts_done(&names);
}

void querier_label_values(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	autoclean(connect_call) struct connect_call call;
	Pyroscope__LabelValuesResponse answer = PYROSCOPE__LABEL_VALUES_RESPONSE__INIT;
	struct store_texts values;
	const Pyroscope__LabelValuesRequest *asked =
		connect_begin(&call, request, reply, &pyroscope__label_values_request__descriptor);

	if (!asked)
		return;
	if (asked->name[0] == '\0') {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "name is required");
		return;
	}
	if (!querier_read_range(&question, &call, asked->start, asked->end) ||
	    !querier_read_matchers(&question, &call, asked->n_matchers, asked->matchers))
		return;

	int err = store_label_values(server->store, &question.question, str_from(asked->name),
				     &values);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	/* Strangely, values stand in names. */
	answer.n_names = values.count;
	answer.names = querier_texts(&call, values.texts, values.count);
	connect_answer(&call, &answer.base);
	store_texts_done(&values);
}

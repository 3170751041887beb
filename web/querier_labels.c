/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to choose from: profile types, label names, label values. */
#include <ctype.h>

#include "base/parse.h"
#include "web/json_writer.h"
#include "web/querier.h"
#include "web/server.h"

/* Members with their default values are left out of proto3's JSON. */
static void write_part(struct json_writer *json, const char *name, struct str value)
{
	if (value.size == 0)
		return;
	json_key(json, name);
	json_text(json, value);
}

static void write_profile_type(struct json_writer *json, struct str id)
{
	struct profile_type type;

	if (profile_type_parse(id, &type, NULL))
		return;
	json_begin_object(json);
	write_part(json, "ID", type.id);
	write_part(json, "name", type.parts[PROFILE_TYPE_NAME]);
	write_part(json, "sampleType", type.parts[PROFILE_TYPE_SAMPLE_TYPE]);
	write_part(json, "sampleUnit", type.parts[PROFILE_TYPE_SAMPLE_UNIT]);
	write_part(json, "periodType", type.parts[PROFILE_TYPE_PERIOD_TYPE]);
	write_part(json, "periodUnit", type.parts[PROFILE_TYPE_PERIOD_UNIT]);
	json_end_object(json);
}

void querier_profile_types(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	struct json_writer json = JSON_WRITER(&reply->body);
	struct store_texts types;

	if (!querier_begin(&question, request, reply) || !querier_read_range(&question, reply))
		return;

	int err = store_profile_types(server->store, &question.question, &types);

	if (err) {
		connect_failure(reply, err);
		return;
	}

	json_begin_object(&json);
	if (types.count > 0) {
		json_key(&json, "profileTypes");
		json_begin_array(&json);
		for (size_t i = 0; i < types.count; i++)
			write_profile_type(&json, types.texts[i]);
		json_end_array(&json);
	}
	json_end_object(&json);
	store_texts_done(&types);
}

/* Names that Prometheus has always allowed; older clients fail on others. */
static bool is_plain_name(struct str name)
{
	for (size_t i = 0; i < name.size; i++) {
		unsigned char c = (unsigned char)name.text[i];

		if (c > 127 || !(isalpha(c) || c == '_' || (i > 0 && isdigit(c))))
			return false;
	}
	return name.size > 0;
}

/* Whether the client says that it copes with any name: "Accept: *;allow-utf8-labelnames=true". */
static bool takes_any_name(const struct request *request)
{
	struct str rest = request_header(request, STR("accept"));
	struct str part;

	while (parse_next(&rest, ';', &part)) {
		while (part.size > 0 && part.text[0] == ' ')
			part = (struct str){ part.text + 1, part.size - 1 };
		if (str_starts_with(part, STR("allow-utf8-labelnames=true")))
			return true;
	}
	return false;
}

/* {"names":[…]}: of labels, or, strangely, values. */
static void write_names(struct reply *reply, const struct store_texts *texts, bool plain_only)
{
	struct json_writer json = JSON_WRITER(&reply->body);
	bool begun = false;

	json_begin_object(&json);
	for (size_t i = 0; i < texts->count; i++) {
		if (plain_only && !is_plain_name(texts->texts[i]))
			continue;
		if (!begun) {
			json_key(&json, "names");
			json_begin_array(&json);
			begun = true;
		}
		json_text(&json, texts->texts[i]);
	}
	if (begun)
		json_end_array(&json);
	json_end_object(&json);
}

void querier_label_names(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	struct store_texts names;

	if (!querier_begin(&question, request, reply) || !querier_read_range(&question, reply) ||
	    !querier_read_matchers(&question, reply))
		return;

	int err = store_label_names(server->store, &question.question, &names);

	if (err) {
		connect_failure(reply, err);
		return;
	}

	write_names(reply, &names, !takes_any_name(request));
	store_texts_done(&names);
}

void querier_label_values(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(querier_question) struct querier_question question = { 0 };
	struct store_texts values;

	if (!querier_begin(&question, request, reply))
		return;

	struct str name = connect_text(&question.fields, "name");

	if (!connect_fields_ok(&question.fields, reply))
		return;
	if (name.size == 0) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "name is required");
		return;
	}
	if (!querier_read_range(&question, reply) || !querier_read_matchers(&question, reply))
		return;

	int err = store_label_values(server->store, &question.question, name, &values);

	if (err) {
		connect_failure(reply, err);
		return;
	}

	write_names(reply, &values, false);
	store_texts_done(&values);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/rules.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "store/records.h"
#include "store/selector.h"
#include "web/connect.h"
#include "web/kept.h"
#include "web/message.h"
#include "web/querier.h"
#include "web/server.h"

enum {
	ID_SIZE = 10,
	ID_SIZE_MAX = 100,
	NAME_SIZE_MAX = 200,
	LABEL_COUNT_MAX = 20, /* to group by, and to add */
	MATCHER_COUNT_MAX = 32,
	FUNCTION_SIZE_MAX = 4096,
	RULE_SIZE_MAX = 64 << 10,
};

static const char type_label[] = "__profile_type__";

/* ---- out of what is kept ----------------------------------------------------------------------
 */

struct reading {
	struct arena *arena;
	struct rules *rules;
};

static int unpack(struct arena *arena, struct str bytes, Pyroscope__RecordingRule **ret)
{
	char error[MESSAGE_ERROR_SIZE];
	const ProtobufCMessage *message = NULL;
	int err = message_unpack(&pyroscope__recording_rule__descriptor, bytes, arena, &message,
				 error);

	*ret = (Pyroscope__RecordingRule *)message;
	return err;
}

static int take_rule(void *context, const struct record *record)
{
	struct reading *reading = context;

	if (reading->rules->count >= RULE_COUNT_MAX)
		return -E2BIG;

	int err = unpack(reading->arena, record->bytes,
			 &reading->rules->rules[reading->rules->count]);

	reading->rules->count += err == 0;
	return err;
}

int rules_read(struct server *server, struct arena *arena, struct rules *ret)
{
	struct reading reading = { .arena = arena, .rules = ret };

	ret->count = 0;
	return records_each(server->records, RECORD_RULE, take_rule, &reading);
}

static int find_rule(struct server *server, struct arena *arena, const char *id,
		     Pyroscope__RecordingRule **ret)
{
	autoclean(buf) struct buf bytes = BUF(RULE_SIZE_MAX);
	int err = str_from(id).size > ID_SIZE_MAX
			  ? -ENOENT
			  : records_get(server->records, RECORD_RULE, str_from(id), NULL, &bytes);

	return err ? err
		   : unpack(arena, (struct str){ (const char *)bytes.bytes, bytes.size }, ret);
}

struct str rule_function(const Pyroscope__RecordingRule *rule)
{
	const Pyroscope__StacktraceFilter *filter = rule->stacktrace_filter;

	return filter && filter->function_name && filter->function_name->function_name[0]
		       ? str_from(filter->function_name->function_name)
		       : (struct str){ 0 };
}

/* ---- what is a rule ---------------------------------------------------------------------------
 */

static bool refuse(struct connect_call *call, const char *what)
{
	connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "%s", what);
	return false;
}

/* Of metrics, with ':' too. */
static bool is_metric_name(const char *name)
{
	for (size_t i = 0; name[i]; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c > 127 || !(isalpha(c) || c == '_' || c == ':' || (i > 0 && isdigit(c))))
			return false;
	}
	return name[0] && strlen(name) <= NAME_SIZE_MAX;
}

static bool is_label_name(const char *name)
{
	return querier_is_plain_name(str_from(name)) && strlen(name) <= NAME_SIZE_MAX;
}

static bool check_labels(struct connect_call *call,
			 const Pyroscope__UpsertRecordingRuleRequest *asked)
{
	if (asked->n_group_by > LABEL_COUNT_MAX || asked->n_external_labels > LABEL_COUNT_MAX)
		return refuse(call, "group_by, external_labels: 20 labels at most");
	for (size_t i = 0; i < asked->n_group_by; i++)
		if (!is_label_name(asked->group_by[i]))
			return refuse(call, "group_by: Prometheus has no such label names");
	for (size_t i = 0; i < asked->n_external_labels; i++)
		if (!is_label_name(asked->external_labels[i]->name))
			return refuse(call, "external_labels: Prometheus has no such label names");
	return true;
}

/* The type that one of the matchers names by '='; "" when none or more than one does. */
static struct str find_type(struct selector *selector)
{
	return selector_equal_value(selector, str_from(type_label));
}

static bool check_matchers(struct connect_call *call,
			   const Pyroscope__UpsertRecordingRuleRequest *asked, char **ret_type)
{
	autoclean(selector) struct selector *selector = NULL;
	char error[SELECTOR_ERROR_SIZE] = "";
	struct profile_type type;

	if (asked->n_matchers > MATCHER_COUNT_MAX)
		return refuse(call, "matchers: 32 at most");
	for (size_t i = 0; i < asked->n_matchers; i++) {
		struct str text = str_from(asked->matchers[i]);
		int err = selector ? selector_add(selector, text, error)
				   : selector_parse(text, &selector, error);

		if (err) {
			connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "matchers: %s",
				      error[0] ? error : "too long");
			return false;
		}
	}

	struct str found = selector ? find_type(selector) : (struct str){ 0 };

	if (!found.text || profile_type_parse(found, &type, NULL))
		return refuse(call, "exactly one matcher must be __profile_type__=\"TYPE\"");
	*ret_type = arena_text(&call->arena, found);
	return !call->arena.error;
}

static bool check_rule(struct connect_call *call,
		       const Pyroscope__UpsertRecordingRuleRequest *asked, char **ret_type)
{
	if (!is_metric_name(asked->metric_name))
		return refuse(call, "metric_name: Prometheus has no such names of metrics");
	if (strlen(asked->id) > ID_SIZE_MAX)
		return refuse(call, "id: it is too long");
	if (asked->stacktrace_filter && asked->stacktrace_filter->function_name &&
	    strlen(asked->stacktrace_filter->function_name->function_name) > FUNCTION_SIZE_MAX)
		return refuse(call, "stacktrace_filter: the name is too long");
	return check_labels(call, asked) && check_matchers(call, asked, ret_type);
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static void tell_missing(struct connect_call *call, int err, const char *id)
{
	if (err == -ENOENT)
		connect_error(call->reply, CONNECT_NOT_FOUND, "no rule has the id '%.100s'", id);
	else
		connect_failure(call->reply, err);
}

void rules_get(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__GetRecordingRuleResponse answer = PYROSCOPE__GET_RECORDING_RULE_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__GetRecordingRuleRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__get_recording_rule_request__descriptor);

	if (!asked || !kept_is_there(server, reply))
		return;

	int err = find_rule(server, &call.arena, asked->id, &answer.rule);

	if (err)
		tell_missing(&call, err, asked->id);
	else
		connect_answer(&call, &answer.base);
}

void rules_list(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__ListRecordingRulesResponse answer =
		PYROSCOPE__LIST_RECORDING_RULES_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	struct rules rules;

	if (!connect_begin(&call, request, reply, &pyroscope__nothing__descriptor) ||
	    !kept_is_there(server, reply))
		return;

	int err = rules_read(server, &call.arena, &rules);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	answer.rules = rules.rules;
	answer.n_rules = rules.count;
	connect_answer(&call, &answer.base);
}

static char *make_id(struct arena *arena)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	uint8_t random[ID_SIZE];
	char id[ID_SIZE];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		arena->error = -EIO;
		return NULL;
	}
	for (size_t i = 0; i < ID_SIZE; i++)
		id[i] = letters[random[i] % (sizeof(letters) - 1)];
	return arena_text(arena, (struct str){ id, sizeof(id) });
}

/* Whether what the sender has seen is what is there; a new one must find room. */
static bool may_store(struct server *server, struct connect_call *call,
		      const Pyroscope__UpsertRecordingRuleRequest *asked, int64_t *ret_generation)
{
	Pyroscope__RecordingRule *known = NULL;
	struct records_figures figures = { 0 };
	int err = asked->id[0] ? find_rule(server, &call->arena, asked->id, &known) : -ENOENT;

	*ret_generation = 1;
	if (err == -ENOENT) {
		err = records_figures(server->records, RECORD_RULE, &figures);
		if (!err && figures.count >= RULE_COUNT_MAX) {
			connect_error(call->reply, CONNECT_RESOURCE_EXHAUSTED,
				      "there are %d rules, which is all", RULE_COUNT_MAX);
			return false;
		}
	}
	if (err) {
		connect_failure(call->reply, err);
		return false;
	}
	if (!known)
		return true;
	if (asked->generation && asked->generation != known->generation) {
		connect_error(call->reply, CONNECT_ABORTED,
			      "the rule was changed meanwhile: its generation is %lld, not %lld",
			      (long long)known->generation, (long long)asked->generation);
		return false;
	}
	*ret_generation = known->generation + 1;
	return true;
}

void rules_upsert(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__UpsertRecordingRuleResponse answer =
		PYROSCOPE__UPSERT_RECORDING_RULE_RESPONSE__INIT;
	Pyroscope__RecordingRule rule = PYROSCOPE__RECORDING_RULE__INIT;
	autoclean(buf) struct buf bytes = BUF(RULE_SIZE_MAX);
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__UpsertRecordingRuleRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__upsert_recording_rule_request__descriptor);

	if (!asked || !kept_is_there(server, reply) ||
	    !check_rule(&call, asked, &rule.profile_type) ||
	    !may_store(server, &call, asked, &rule.generation))
		return;
	rule.id = asked->id[0] ? asked->id : make_id(&call.arena);
	rule.metric_name = asked->metric_name;
	rule.matchers = asked->matchers;
	rule.n_matchers = asked->n_matchers;
	rule.group_by = asked->group_by;
	rule.n_group_by = asked->n_group_by;
	rule.external_labels = asked->external_labels;
	rule.n_external_labels = asked->n_external_labels;
	rule.stacktrace_filter = asked->stacktrace_filter;

	int err = call.arena.error;

	if (!err)
		message_pack(&rule.base, &bytes);
	if (!err)
		err = bytes.error;
	if (!err)
		err = records_put(
			server->records, RECORD_RULE,
			&(struct record){ .name = str_from(rule.id),
					  .time_ms = rule.generation,
					  .bytes = { (const char *)bytes.bytes, bytes.size } });
	if (err) {
		connect_failure(reply, err);
		return;
	}
	answer.rule = &rule;
	connect_answer(&call, &answer.base);
}

void rules_delete(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__Nothing answer = PYROSCOPE__NOTHING__INIT;
	autoclean(connect_call) struct connect_call call;
	const Pyroscope__DeleteRecordingRuleRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__delete_recording_rule_request__descriptor);

	if (!asked || !kept_is_there(server, reply))
		return;

	int err = str_from(asked->id).size > ID_SIZE_MAX
			  ? -ENOENT
			  : records_delete(server->records, RECORD_RULE, str_from(asked->id));

	if (err)
		tell_missing(&call, err, asked->id);
	else
		connect_answer(&call, &answer.base);
}

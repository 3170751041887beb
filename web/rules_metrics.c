/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "store/store.h"
#include "web/querier.h"
#include "web/reply.h"
#include "web/rules.h"
#include "web/server.h"

enum {
	MINUTE_MS = 60 * CLOCK_MS_PER_S,
	RULE_DELAY_SECONDS = 30,
	/* Series of one rule, as Prometheus' users are told to keep it; what is more is left out,
	 * and said. Of a rule that counts a function each is a question for stacks. */
	ROW_COUNT_MAX = 1000,
	FUNCTION_ROW_COUNT_MAX = 50,
	SANDWICH_NODE_COUNT = 1,
	SELECTOR_SIZE_MAX = 16 << 10,
};

/* One rule in one minute. */
struct evaluation {
	struct server *server;
	struct buf *text;
	const Pyroscope__RecordingRule *rule;
	struct store_question question;
	struct str group_by[QUERIER_GROUP_COUNT_MAX];
	int64_t end_ms;
};

/* Within quotes, as Prometheus writes values. */
static void add_escaped(struct buf *text, struct str value)
{
	for (size_t i = 0; i < value.size; i++) {
		char c = value.text[i];

		if (c == '\\' || c == '"')
			buf_add_u8(text, '\\');
		if (c == '\n')
			buf_add_str(text, STR("\\n"));
		else
			buf_add_u8(text, (uint8_t)c);
	}
}

static void add_label(struct buf *text, bool *is_first, struct str name, struct str value)
{
	buf_add_u8(text, *is_first ? '{' : ',');
	*is_first = false;
	buf_add_str(text, name);
	buf_add_str(text, STR("=\""));
	add_escaped(text, value);
	buf_add_u8(text, '"');
}

static void add_row(struct evaluation *evaluation, const struct store_row *row, uint64_t value)
{
	const Pyroscope__RecordingRule *rule = evaluation->rule;
	struct buf *text = evaluation->text;
	bool is_first = true;

	buf_add_str(text, str_from(rule->metric_name));
	for (size_t i = 0; i < rule->n_group_by; i++)
		if (row->values[i].size > 0)
			add_label(text, &is_first, evaluation->group_by[i], row->values[i]);
	for (size_t i = 0; i < rule->n_external_labels; i++)
		add_label(text, &is_first, str_from(rule->external_labels[i]->name),
			  str_from(rule->external_labels[i]->value));
	if (!is_first)
		buf_add_u8(text, '}');
	buf_printf(text, " %" PRIu64 " %" PRId64 "\n", value, evaluation->end_ms);
}

/* All of its matchers, which were checked when it was stored. */
static int rule_selector(const Pyroscope__RecordingRule *rule, struct selector **ret)
{
	char error[SELECTOR_ERROR_SIZE];
	int err = 0;

	for (size_t i = 0; !err && i < rule->n_matchers; i++) {
		struct str text = str_from(rule->matchers[i]);

		err = *ret ? selector_add(*ret, text, error) : selector_parse(text, ret, error);
	}
	return err;
}

/* What the function weighs in the samples of one row. */
static int weigh_function(const struct evaluation *evaluation, const struct store_row *row,
			  uint64_t *ret)
{
	autoclean(selector) struct selector *selector = NULL;
	struct store_question question = evaluation->question;
	struct sandwich_options options = { .function = rule_function(evaluation->rule),
					    .node_count_max = SANDWICH_NODE_COUNT };
	struct sandwich sandwich;
	char error[SELECTOR_ERROR_SIZE];
	int err = rule_selector(evaluation->rule, &selector);

	for (size_t i = 0; !err && i < evaluation->rule->n_group_by; i++) {
		autoclean(buf) struct buf text = BUF(SELECTOR_SIZE_MAX);

		buf_add_u8(&text, '{');
		buf_add_str(&text, evaluation->group_by[i]);
		buf_add_str(&text, STR("=\""));
		add_escaped(&text, row->values[i]);
		buf_add_str(&text, STR("\"}"));
		err = text.error ? text.error
				 : selector_add(selector,
						(struct str){ (const char *)text.bytes, text.size },
						error);
	}
	if (err)
		return err;
	question.selector = selector;
	err = store_sandwich(evaluation->server->store, &question, &options, &sandwich);
	if (err)
		return err;
	*ret = sandwich.callees.nodes[0].total;
	sandwich_done(&sandwich);
	return 0;
}

static int add_rows(struct evaluation *evaluation, const struct store_rows *rows)
{
	bool by_function = rule_function(evaluation->rule).size > 0;
	size_t count_max = by_function ? FUNCTION_ROW_COUNT_MAX : ROW_COUNT_MAX;
	int err = 0;

	if (rows->count > count_max)
		buf_printf(evaluation->text, "# %zu more series are left out\n",
			   rows->count - count_max);
	for (size_t i = 0; !err && i < rows->count && i < count_max; i++) {
		uint64_t value = rows->rows[i].total;

		if (by_function)
			err = weigh_function(evaluation, &rows->rows[i], &value);
		if (!err && value > 0)
			add_row(evaluation, &rows->rows[i], value);
	}
	return err;
}

static int evaluate(struct evaluation *evaluation)
{
	autoclean(selector) struct selector *selector = NULL;
	const Pyroscope__RecordingRule *rule = evaluation->rule;
	struct store_grid grid = { .first_ms = evaluation->question.to_unix_ms,
				   .step_ms = MINUTE_MS,
				   .point_count = 1 };
	struct store_rows rows;
	int err = rule_selector(rule, &selector);

	evaluation->question.selector = selector;
	assert(rule->n_group_by <= QUERIER_GROUP_COUNT_MAX);
	for (size_t i = 0; i < rule->n_group_by; i++)
		evaluation->group_by[i] = str_from(rule->group_by[i]);
	if (!err)
		err = store_series(evaluation->server->store, &evaluation->question,
				   evaluation->group_by, rule->n_group_by, &grid, &rows);
	if (!err) {
		err = add_rows(evaluation, &rows);
		store_rows_done(&rows);
	}
	return err;
}

/* Rules of one name are one metric. */
static bool is_first_of_name(const struct rules *rules, size_t number)
{
	for (size_t i = 0; i < number; i++)
		if (str_equal(str_from(rules->rules[i]->metric_name),
			      str_from(rules->rules[number]->metric_name)))
			return false;
	return true;
}

static int write_metric(struct server *server, const struct request *request,
			const struct rules *rules, size_t first, int64_t end_ms, struct buf *text)
{
	const char *name = rules->rules[first]->metric_name;
	int err = 0;

	buf_printf(text, "# HELP %s Of profiles: the sum of a minute.\n# TYPE %s gauge\n", name,
		   name);
	for (size_t i = first; !err && i < rules->count; i++) {
		const Pyroscope__RecordingRule *rule = rules->rules[i];
		struct evaluation evaluation = {
			.server = server,
			.text = text,
			.rule = rule,
			.end_ms = end_ms,
			.question = { .type = str_from(rule->profile_type),
				      .from_unix_ms = end_ms - MINUTE_MS,
				      .to_unix_ms = end_ms - 1,
				      .deadline_monotonic_ns = request->deadline_monotonic_ns,
				      .asker = request->asker },
		};

		if (str_equal(str_from(rule->metric_name), str_from(name)))
			err = evaluate(&evaluation);
	}
	return err;
}

void rules_metrics(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(arena) struct arena arena = ARENA(MESSAGE_MEMORY_MAX);
	struct rules rules = { 0 };
	int64_t end_ms = clock_unix_ms() - (int64_t)RULE_DELAY_SECONDS * CLOCK_MS_PER_S;
	int err = server->records ? rules_read(server, &arena, &rules) : 0;

	end_ms -= end_ms % MINUTE_MS;
	for (size_t i = 0; !err && i < rules.count; i++)
		if (is_first_of_name(&rules, i))
			err = write_metric(server, request, &rules, i, end_ms, &reply->body);
	if (err)
		reply_failure(reply, err);
	else
		reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
}

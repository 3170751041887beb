/* SPDX-License-Identifier: Apache-2.0 */
#include "web/label_rules.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "web/label_rule.h"

struct label_rules {
	pthread_rwlock_t lock; /* of the list, not of what the rules count */
	struct label_rule *items[SETTINGS_LIST_COUNT_MAX];
	uint32_t count;
	_Atomic uint32_t phase; /* of the next batch, for batch_relabel() */
};

int label_rules_new(struct label_rules **ret)
{
	struct label_rules *rules = calloc(1, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	pthread_rwlock_init(&rules->lock, NULL);
	*ret = rules;
	return 0;
}

static void free_items(struct label_rule **items, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		items[i] = label_rule_free(items[i]);
}

struct label_rules *label_rules_free(struct label_rules *rules)
{
	if (!rules)
		return NULL;
	free_items(rules->items, rules->count);
	pthread_rwlock_destroy(&rules->lock);
	free(rules);
	return NULL;
}

/* ---- taking them over -------------------------------------------------------------------------
 */

static int read_rule(const struct settings *settings, uint32_t place, struct label_rule **ret,
		     char reterr[static LABEL_RULES_ERROR_SIZE])
{
	autoclean(buf) struct buf where = BUF(LABEL_RULES_ERROR_SIZE);
	const struct setting_list *list = &settings->rules;
	char reason[LABEL_RULE_ERROR_SIZE];
	int err = 0;

	/* Two counts could not be told apart, and the second finds nothing left to do. */
	for (uint32_t i = 0; !err && i < place; i++)
		if (!strcmp(list->items[i], list->items[place])) {
			snprintf(reason, sizeof(reason), "'%.200s' is said already",
				 list->items[place]);
			err = -EINVAL;
		}
	if (!err)
		err = label_rule_parse(str_from(list->items[place]), ret, reason);
	if (err == -EINVAL) {
		settings_source_text(settings, "rule", &list->sources[place], &where);
		snprintf(reterr, LABEL_RULES_ERROR_SIZE, "%.*s: rule: %s", (int)where.size,
			 (const char *)where.bytes, reason);
	} else if (err) {
		snprintf(reterr, LABEL_RULES_ERROR_SIZE, "rule: out of memory");
	}
	return err;
}

/* Those whose text is the same are not made anew. */
static void keep_known(struct label_rules *rules, struct label_rule **items, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < rules->count; k++)
			if (!strcmp(items[i]->text, rules->items[k]->text)) {
				struct label_rule *known = rules->items[k];

				rules->items[k] = items[i];
				items[i] = known;
				break;
			}
}

int label_rules_load(struct label_rules *rules, const struct settings *settings,
		     char reterr[static LABEL_RULES_ERROR_SIZE])
{
	struct label_rule *items[SETTINGS_LIST_COUNT_MAX] = { NULL };
	uint32_t count = 0, old_count;
	int err = 0;

	reterr[0] = '\0';
	for (; !err && count < settings->rules.count; count += !err)
		err = read_rule(settings, count, &items[count], reterr);
	if (err) {
		free_items(items, count);
		return err;
	}
	pthread_rwlock_wrlock(&rules->lock);
	keep_known(rules, items, count);
	for (uint32_t i = 0; i < SETTINGS_LIST_COUNT_MAX; i++) {
		struct label_rule *old = rules->items[i];

		rules->items[i] = items[i];
		items[i] = old;
	}
	old_count = rules->count;
	rules->count = count;
	pthread_rwlock_unlock(&rules->lock);
	free_items(items, old_count);
	return 0;
}

/* ---- doing ------------------------------------------------------------------------------------
 */

struct doing {
	struct label_rules *rules;
	uint64_t now_s;
};

/* The store lists services: each series has one. */
static void name_service(struct relabelling *samples)
{
	for (size_t i = 0; i < samples->series_count; i++)
		if (str_equal(samples->series[i].name, STR("service_name")))
			return;
	if (samples->series_count < RELABEL_COUNT_MAX)
		samples->series[samples->series_count++] =
			(struct label){ STR("service_name"), STR("unknown_service") };
}

static void apply_all(void *context, struct relabelling *samples)
{
	const struct doing *doing = context;

	for (uint32_t i = 0; i < doing->rules->count && !samples->is_dropped; i++)
		(void)label_rule_apply(doing->rules->items[i], samples, doing->now_s);
	if (samples->is_changed)
		name_service(samples);
}

int label_rules_apply(struct label_rules *rules, struct batch *batch)
{
	/* Multiples of the golden ratio leave no gap for long, so that what is taken of many
	 * batches lies everywhere between two samples. */
	const uint32_t step = UINT32_C(0x9e3779b9);
	int err = 0;

	if (!rules)
		return 0;

	struct doing doing = { rules, clock_monotonic_ns() / CLOCK_NS_PER_S };

	pthread_rwlock_rdlock(&rules->lock);
	if (rules->count > 0)
		err = batch_relabel(batch, apply_all, &doing,
				    atomic_fetch_add(&rules->phase, step));
	pthread_rwlock_unlock(&rules->lock);
	return err;
}

/* ---- telling ----------------------------------------------------------------------------------
 */

void label_rules_write_metrics(struct label_rules *rules, struct buf *text)
{
	buf_printf(text, "# HELP hearth_rule_samples_total Samples that were received and that a "
			 "rule of the settings did something to.\n"
			 "# TYPE hearth_rule_samples_total counter\n");
	pthread_rwlock_rdlock(&rules->lock);
	for (uint32_t i = 0; i < rules->count; i++) {
		buf_printf(text, "hearth_rule_samples_total{rule=\"");
		for (const char *c = rules->items[i]->text; *c; c++) {
			if (*c == '"' || *c == '\\')
				buf_add_u8(text, '\\');
			buf_add_u8(text, (uint8_t)*c);
		}
		buf_printf(text, "\"} %" PRIu64 "\n", rules->items[i]->samples);
	}
	pthread_rwlock_unlock(&rules->lock);
}

static void print_labels(const struct relabelling *samples, struct buf *text)
{
	for (size_t i = 0; i < samples->series_count; i++)
		buf_printf(text, "%s%.*s=\"%.*s\"", i > 0 ? ", " : "",
			   STR_PRINT(samples->series[i].name), STR_PRINT(samples->series[i].value));
}

static void print_outcome(const struct relabelling *samples, struct buf *text)
{
	if (samples->is_dropped) {
		buf_printf(text, "such samples are not stored\n");
		return;
	}
	buf_printf(text, "such samples are stored as {");
	print_labels(samples, text);
	buf_printf(text, "}");
	if (samples->one_of > 1)
		buf_printf(text, ", one of %" PRIu64, samples->one_of);
	buf_printf(text, "\n");
}

void label_rules_explain(struct label_rules *rules, const struct settings *settings,
			 const struct label *labels, size_t label_count, struct buf *text)
{
	struct relabelling samples = { .samples = 1, .one_of = 1 };

	assert(label_count <= RELABEL_COUNT_MAX);
	memcpy(samples.series, labels, label_count * sizeof(labels[0]));
	samples.series_count = label_count;
	for (uint32_t i = 0; i < rules->count; i++) {
		bool acts = label_count > 0 && !samples.is_dropped &&
			    label_rule_apply(rules->items[i], &samples, 0);

		settings_source_text(settings, "rule", &settings->rules.sources[i], text);
		buf_printf(text, ": rule = %s\n    ", rules->items[i]->text);
		label_rule_explain(rules->items[i], text);
		buf_printf(text, "\n");
		if (label_count > 0)
			buf_printf(text, "    %s\n",
				   acts ? "it does so here" : "it does nothing here");
	}
	if (samples.is_changed)
		name_service(&samples);
	if (label_count > 0)
		print_outcome(&samples, text);
}

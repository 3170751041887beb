/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/batch_private.h"
#include "web/label_rule.h"
#include "web/label_rules.h"
#include "web/label_values.h"

static struct label_rule *parsed(const char *text)
{
	struct label_rule *rule = NULL;
	char reason[LABEL_RULE_ERROR_SIZE] = "";

	if (label_rule_parse(str_from(text), &rule, reason))
		fail_msg("'%s': %s", text, reason);
	return rule;
}

/* A series of the shop with a thread, of which there are seven samples. */
static struct relabelling of_shop(void)
{
	return (struct relabelling){
		.type = STR("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
		.series = { { STR("service_name"), STR("shop") },
			    { STR("k8s_pod_name"), STR("shop-1") },
			    { STR("env"), STR("test") } },
		.series_count = 3,
		.sample = { { STR("pid"), STR("17") }, { STR("trace_id"), STR("ab") } },
		.sample_count = 2,
		.samples = 7,
		.one_of = 1,
	};
}

static const char *shown(const struct relabelling *samples)
{
	static char text[1024];
	size_t size = 0;

	text[0] = '\0';
	for (size_t i = 0; i < samples->series_count; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%.*s=%.*s ",
					 STR_PRINT(samples->series[i].name),
					 STR_PRINT(samples->series[i].value));
	size += (size_t)snprintf(text + size, sizeof(text) - size, "|");
	for (size_t i = 0; i < samples->sample_count; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, " %.*s=%.*s",
					 STR_PRINT(samples->sample[i].name),
					 STR_PRINT(samples->sample[i].value));
	if (samples->one_of > 1)
		size += (size_t)snprintf(text + size, sizeof(text) - size, " one of %llu",
					 (unsigned long long)samples->one_of);
	snprintf(text + size, sizeof(text) - size, "%s", samples->is_dropped ? " dropped" : "");
	return text;
}

static void does_what_it_says(void **state)
{
	static const struct {
		const char *rule;
		const char *becomes; /* NULL: nothing happens */
	} cases[] = {
#define SHOP "service_name=shop k8s_pod_name=shop-1 env=test "
		{ "drop {service_name=\"shop\"}", SHOP "| pid=17 trace_id=ab dropped" },
		{ "drop {service_name=\"shop\", env!=\"test\"}", NULL },
		{ "drop {pid=~\"1.\"}", SHOP "| pid=17 trace_id=ab dropped" },
		{ "drop process_cpu{}", SHOP "| pid=17 trace_id=ab dropped" },
		{ "drop memory{}", NULL },
		{ "drop {__unit__=\"nanoseconds\", __service_name__=\"shop\"}",
		  SHOP "| pid=17 trace_id=ab dropped" },
		{ "drop {__profile_type__=\"process_cpu:cpu:nanoseconds:cpu:nanoseconds\"}",
		  SHOP "| pid=17 trace_id=ab dropped" },
		{ "drop {__session_id__=\"\", nobody=\"\"}", SHOP "| pid=17 trace_id=ab dropped" },
		{ "keep {service_name=\"shop\"}", NULL },
		{ "keep {env=\"prod\"}", SHOP "| pid=17 trace_id=ab dropped" },
		{ "drop {\"k8s.pod.name\"=\"shop-1\"}", SHOP "| pid=17 trace_id=ab dropped" },
		{ "rename k8s.pod.name pod", "service_name=shop env=test pod=shop-1 "
					     "| pid=17 trace_id=ab" },
		{ "rename k8s_pod_name env", "service_name=shop env=shop-1 | pid=17 trace_id=ab" },
		{ "rename env k8s_pod_name",
		  "service_name=shop k8s_pod_name=test | pid=17 trace_id=ab" },
		{ "rename env k8s.pod.name",
		  "service_name=shop k8s.pod.name=test | pid=17 trace_id=ab" },
		{ "rename pid env", "service_name=shop k8s_pod_name=shop-1 | trace_id=ab env=17" },
		{ "rename env pid",
		  "service_name=shop k8s_pod_name=shop-1 pid=test | trace_id=ab" },
		{ "rename k8s.pod.name k8s_pod_name", NULL },
		{ "rename nobody pod", NULL },
		{ "rename env stage {env=\"prod\"}", NULL },
		{ "set env \"prod\"",
		  "service_name=shop k8s_pod_name=shop-1 env=prod | pid=17 trace_id=ab" },
		{ "set env test", NULL },
		{ "set \"k8s.pod.name\" 'it\\'s \"x\"'",
		  "service_name=shop k8s_pod_name=it's \"x\" env=test | pid=17 trace_id=ab" },
		{ "set region `eu\\` {env=~\"t.*\"}", SHOP "region=eu\\ | pid=17 trace_id=ab" },
		{ "set pid \"0\"", SHOP "| pid=0 trace_id=ab" },
		{ "set region eu {env=\"prod\"}", NULL },
		{ "remove trace_id", SHOP "| pid=17" },
		{ "remove service_name", "env=test k8s_pod_name=shop-1 | pid=17 trace_id=ab" },
		{ "remove nobody", NULL },
		{ "sample 1/10", SHOP "| pid=17 trace_id=ab one of 10" },
		{ "sample 1/10{env=\"prod\"}", NULL },
		{ "drop {tid=\"\", process_name=\"\", host=\"\"}",
		  SHOP "| pid=17 trace_id=ab dropped" },
		{ "limit env 1", NULL },
		{ "limit nobody 1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(label_rule) struct label_rule *rule = parsed(cases[i].rule);
		struct relabelling samples = of_shop();
		bool acts = label_rule_apply(rule, &samples, 0);

		if (acts != (cases[i].becomes != NULL))
			fail_msg("'%s' %s", cases[i].rule, acts ? "acts" : "does nothing");
		assert_int_equal(rule->samples, acts ? 7 : 0);
		if (!acts)
			samples.is_changed = false;
		if (strcmp(shown(&samples),
			   acts ? cases[i].becomes : SHOP "| pid=17 trace_id=ab") != 0)
			fail_msg("'%s' makes '%s'", cases[i].rule, shown(&samples));
		if (acts)
			assert_int_equal(samples.is_changed,
					 rule->kind != LABEL_RULE_DROP &&
						 rule->kind != LABEL_RULE_KEEP &&
						 rule->kind != LABEL_RULE_SAMPLE);
	}
}

/* Labels that OpenTelemetry's senders call otherwise than our collector. */
static void finds_labels_as_a_question_does(void **state)
{
	autoclean(label_rule) struct label_rule *drop = parsed("drop {host=\"h\", pid=\"17\"}");
	autoclean(label_rule) struct label_rule *rename = parsed("rename host node");
	struct relabelling samples = of_shop();

	(void)state;
	samples.series[2] = (struct label){ STR("host.name"), STR("h") };
	samples.sample[0].name = STR("process.pid");
	assert_true(label_rule_apply(rename, &samples, 0));
	assert_string_equal(shown(&samples), "service_name=shop k8s_pod_name=shop-1 node=h "
					     "| process.pid=17 trace_id=ab");
	samples.series[2].name = STR("host.name");
	assert_true(label_rule_apply(drop, &samples, 0));
	assert_true(samples.is_dropped);
}

static void says_what_is_wrong_with_it(void **state)
{
	static const struct {
		const char *rule, *says;
	} cases[] = {
		{ "", "'' is nothing that a rule does; it is one of drop, keep, rename, set, "
		      "remove, sample, limit" },
		{ "discard {a=\"b\"}", "'discard' is nothing that a rule does" },
		{ "drop", "drop wants to know what, as in 'drop {service_name=\"noisy\"}'" },
		{ "keep {}", "keep wants to know what" },
		{ "drop shop", "'shop' is no selector, which stands in braces" },
		{ "drop {a=b}", "in '{a=b}': byte 3: expected a quoted value" },
		{ "drop {a=\"b\"} x", "expected the end" },
		{ "rename a", "rename lacks something; write it as in 'rename k8s.pod.name pod'" },
		{ "rename a a", "the new name is the old one" },
		{ "rename a __name__", "'__name__' is made of the profile's type" },
		{ "remove __profile_type__", "is made of the profile's type" },
		{ "remove a b", "'b' is no selector" },
		{ "rename \"\" b", "a label's name has 1 to 200 bytes of UTF-8" },
		{ "remove \"\xff\"", "a label's name has 1 to 200 bytes of UTF-8" },
		{ "set a \"b", "a quoted text has no end" },
		{ "set a \"b\\", "a quoted text has no end" },
		{ "set a \"\"", "write remove" },
		{ "set a \"\xff\"", "the value is no UTF-8" },
		{ "sample 10", "sample takes 1/2 to 1/1000000" },
		{ "sample 1/1", "sample takes 1/2 to 1/1000000" },
		{ "sample 1/1000001", "sample takes 1/2 to 1/1000000" },
		{ "sample 2/3", "sample takes 1/2 to 1/1000000" },
		{ "limit pod", "limit lacks something" },
		{ "limit pod 0", "limit takes 1 to 10000, as in 'limit pod 200'" },
		{ "limit pod 10001", "limit takes 1 to 10000" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct label_rule *rule = NULL;
		char reason[LABEL_RULE_ERROR_SIZE] = "";

		assert_int_equal(label_rule_parse(str_from(cases[i].rule), &rule, reason), -EINVAL);
		assert_null(rule);
		if (!strstr(reason, cases[i].says))
			fail_msg("'%s': %s", cases[i].rule, reason);
	}
}

static void explains_itself(void **state)
{
	static const struct {
		const char *rule, *says;
	} cases[] = {
		{ "drop  {a=\"b\"}", "samples of {a=\"b\"} are not stored" },
		{ "keep {a=\"b\"}", "samples of anything but {a=\"b\"} are not stored" },
		{ "rename a b", "the label a is stored as b" },
		{ "set a \"b c\" {d=\"e\"}",
		  "the label a is stored as \"b c\", whatever it was; of {d=\"e\"} alone" },
		{ "remove a", "the label a is not stored" },
		{ "sample 1/8", "one sample of 8 is stored and weighs as much as 8, so that sums "
				"stay as they are" },
		{ "limit a 3", "3 values of the label a are told apart, and further ones stored as "
			       "\"other\" until one of those did not come for an hour" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclean(label_rule) struct label_rule *rule = parsed(cases[i].rule);
		autoclean(buf) struct buf text = BUF(1000);

		label_rule_explain(rule, &text);
		buf_add_u8(&text, 0);
		assert_string_equal((char *)text.bytes, cases[i].says);
	}
}

static const char *pod_after(struct label_rule *rule, const char *pod, uint64_t now_s)
{
	static char text[64];
	struct relabelling samples = of_shop();

	samples.series[1].value = str_from(pod);
	(void)label_rule_apply(rule, &samples, now_s);
	snprintf(text, sizeof(text), "%.*s", STR_PRINT(samples.series[1].value));
	return text;
}

static void so_many_values_are_told_apart(void **state)
{
	autoclean(label_rule) struct label_rule *rule = parsed("limit k8s.pod.name 2");

	(void)state;
	assert_string_equal(pod_after(rule, "a", 10), "a");
	assert_string_equal(pod_after(rule, "b", 11), "b");
	assert_string_equal(pod_after(rule, "c", 12), "other");
	assert_string_equal(pod_after(rule, "other", 12), "other");
	assert_string_equal(pod_after(rule, "a", 13), "a");
	assert_int_equal(rule->samples, 7);
	/* b did not come for an hour, a did. */
	assert_string_equal(pod_after(rule, "c", 11 + LABEL_RULE_FORGET_S - 1), "other");
	assert_string_equal(pod_after(rule, "c", 11 + LABEL_RULE_FORGET_S), "c");
	assert_string_equal(pod_after(rule, "b", 11 + LABEL_RULE_FORGET_S), "other");
	assert_string_equal(pod_after(rule, "a", 11 + LABEL_RULE_FORGET_S), "a");
	/* A flood looks for room once a second. */
	assert_string_equal(pod_after(rule, "d", 100000), "d");
	assert_string_equal(pod_after(rule, "e", 100000), "e");
	assert_string_equal(pod_after(rule, "f", 100000), "other");
}

static int load(struct label_rules *rules, struct settings *settings, const char *first,
		const char *second, char reason[static LABEL_RULES_ERROR_SIZE])
{
	struct setting_source source = { .origin = ORIGIN_FILE, .line = 3 };

	settings->rules.count = 0;
	settings->file_count = 1;
	snprintf(settings->files[0], SETTING_TEXT_SIZE, "/etc/x.conf");
	if (first)
		assert_int_equal(setting_list_add(&settings->rules, str_from(first), source), 0);
	source.line++;
	if (second)
		assert_int_equal(setting_list_add(&settings->rules, str_from(second), source), 0);
	return label_rules_load(rules, settings, reason);
}

static struct batch *batch_of(const char *service)
{
	struct batch *batch = NULL;
	struct label series[] = { { STR("service_name"), str_from(service) },
				  { STR("pod"), STR("p") } };
	struct batch_entry entry = { .count = 5, .value = 50 };

	assert_int_equal(batch_new(1 << 20, &batch), 0);
	assert_int_equal(batch_add_labels(batch, series, 2), 0);
	assert_int_equal(batch_add_series(batch, 0, STR("process_cpu:cpu:ns:cpu:ns"), 10), 0);
	entry.sample_labels = (uint32_t)batch_add_labels(batch, NULL, 0);
	assert_int_equal(batch_add_stack(batch, NULL, 0, 0), 0);
	assert_int_equal(batch_add_entry(batch, &entry), 0);
	return batch;
}

static void metrics_are(struct label_rules *rules, const char *expected)
{
	autoclean(buf) struct buf text = BUF(10000);
	const char *counts;

	label_rules_write_metrics(rules, &text);
	buf_add_u8(&text, 0);
	counts = strstr((char *)text.bytes, " counter\n");
	assert_non_null(counts);
	assert_string_equal(counts + strlen(" counter\n"), expected);
}

static void rules_stay_what_they_were_until_others_are_good(void **state)
{
	autoclean(label_rules) struct label_rules *rules = NULL;
	static struct settings settings;
	char reason[LABEL_RULES_ERROR_SIZE];
	struct batch *batch;

	(void)state;
	assert_int_equal(label_rules_new(&rules), 0);
	assert_int_equal(
		load(rules, &settings, "drop {service_name=\"noisy\"}", "remove pod", reason), 0);
	batch = batch_of("noisy");
	assert_int_equal(label_rules_apply(rules, batch), 0);
	assert_int_equal(batch_totals(batch).entries, 0);
	batch_free(batch);
	batch = batch_of("shop");
	assert_int_equal(label_rules_apply(rules, batch), 0);
	assert_int_equal(batch_totals(batch).samples, 5);
	assert_true(batch->items.items[0].series != 0);
	batch_free(batch);
	metrics_are(rules,
		    "hearth_rule_samples_total{rule=\"drop {service_name=\\\"noisy\\\"}\"} 5\n"
		    "hearth_rule_samples_total{rule=\"remove pod\"} 5\n");

	assert_int_equal(load(rules, &settings, "remove pod", "discard x", reason), -EINVAL);
	assert_int_equal(strncmp(reason, "/etc/x.conf:4: rule: 'discard' is nothing", 41), 0);
	assert_int_equal(load(rules, &settings, "remove pod", "remove pod", reason), -EINVAL);
	assert_string_equal(reason, "/etc/x.conf:4: rule: 'remove pod' is said already");
	batch = batch_of("noisy");
	assert_int_equal(label_rules_apply(rules, batch), 0);
	assert_int_equal(batch_totals(batch).entries, 0);
	batch_free(batch);

	/* What was there before keeps its count. */
	assert_int_equal(load(rules, &settings, "remove service_name", "remove pod", reason), 0);
	batch = batch_of("noisy");
	assert_int_equal(label_rules_apply(rules, batch), 0);
	batch_free(batch);
	metrics_are(rules, "hearth_rule_samples_total{rule=\"remove service_name\"} 5\n"
			   "hearth_rule_samples_total{rule=\"remove pod\"} 10\n");
	assert_int_equal(load(rules, &settings, NULL, NULL, reason), 0);
	metrics_are(rules, "");
	batch = batch_of("noisy");
	assert_int_equal(label_rules_apply(rules, batch), 0);
	assert_int_equal(label_rules_apply(NULL, batch), 0);
	assert_int_equal(batch->items.items[0].series, 0);
	batch_free(batch);
}

/* ---- without memory ---------------------------------------------------------------------------
 */

static unsigned allocations_left = UINT32_MAX;

static bool fails(void)
{
	if (allocations_left == UINT32_MAX || allocations_left-- > 0)
		return false;
	/* That one, and all after it. */
	allocations_left = 0;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__real_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strndup(const char *text, size_t size)
{
	return fails() ? NULL : __real_strndup(text, size);
}

static int try_all(struct label_rules **rules, struct settings *settings, struct batch *batch)
{
	char reason[LABEL_RULES_ERROR_SIZE];
	int err = label_rules_new(rules);

	if (!err)
		err = label_rules_load(*rules, settings, reason);
	return err ? err : label_rules_apply(*rules, batch);
}

/* Whichever allocation is the first to fail: that is said, and nothing is lost or half there. */
static void memory_may_end_anywhere(void **state)
{
	static struct settings settings;
	struct setting_source source = { .origin = ORIGIN_COMMAND_LINE };
	unsigned count = 0;
	int err = -ENOMEM;

	(void)state;
	assert_int_equal(setting_list_add(&settings.rules, STR("limit pod 1"), source), 0);
	assert_int_equal(setting_list_add(&settings.rules, STR("set a b {pod=\"p\"}"), source), 0);
	assert_int_equal(setting_list_add(&settings.rules, STR("sample 1/2"), source), 0);
	for (; err; count++) {
		struct batch *batch = batch_of("shop");
		struct label_rules *rules = NULL;

		assert_true(count < 1000);
		allocations_left = count;
		err = try_all(&rules, &settings, batch);
		allocations_left = UINT32_MAX;
		assert_true(err == 0 || err == -ENOMEM);
		if (!err)
			assert_int_equal(batch_totals(batch).samples, 2);
		label_rules_free(rules);
		batch_free(batch);
	}
	assert_true(count > 10);
}

static void tells_what_they_would_do(void **state)
{
	autoclean(label_rules) struct label_rules *rules = NULL;
	autoclean(buf) struct buf text = BUF(10000);
	const struct label labels[] = { { STR("service_name"), STR("shop") } };
	static struct settings settings;
	char reason[LABEL_RULES_ERROR_SIZE];

	(void)state;
	assert_int_equal(label_rules_new(&rules), 0);
	assert_int_equal(
		load(rules, &settings, "remove service_name", "sample 1/4 {a=\"b\"}", reason), 0);
	label_rules_explain(rules, &settings, labels, 1, &text);
	buf_add_u8(&text, 0);
	assert_string_equal(
		(char *)text.bytes,
		"/etc/x.conf:3: rule = remove service_name\n"
		"    the label service_name is not stored\n"
		"    it does so here\n"
		"/etc/x.conf:4: rule = sample 1/4 {a=\"b\"}\n"
		"    one sample of 4 is stored and weighs as much as 4, so that sums stay "
		"as they are; of {a=\"b\"} alone\n"
		"    it does nothing here\n"
		"such samples are stored as {service_name=\"unknown_service\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_what_it_says),
		cmocka_unit_test(finds_labels_as_a_question_does),
		cmocka_unit_test(says_what_is_wrong_with_it),
		cmocka_unit_test(explains_itself),
		cmocka_unit_test(so_many_values_are_told_apart),
		cmocka_unit_test(rules_stay_what_they_were_until_others_are_good),
		cmocka_unit_test(memory_may_end_anywhere),
		cmocka_unit_test(tells_what_they_would_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule, and a label's value that it meets: what stands behind the first line break. What is
 * understood can be explained, and done to any samples without making two labels of one name.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "web/label_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_names(const struct relabelling *samples)
{
	assert(samples->series_count <= RELABEL_COUNT_MAX);
	assert(samples->sample_count <= RELABEL_COUNT_MAX);
	for (size_t i = 0; i < samples->series_count; i++) {
		assert(samples->series[i].name.size > 0);
		for (size_t k = 0; k < i; k++)
			assert(!str_equal(samples->series[i].name, samples->series[k].name));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(label_rule) struct label_rule *rule = NULL;
	autoclean(buf) struct buf text = BUF(1 << 20);
	char reason[LABEL_RULE_ERROR_SIZE];
	const uint8_t *end = size ? memchr(bytes, '\n', size) : NULL;
	struct str words = { (const char *)bytes, end ? (size_t)(end - bytes) : size };
	struct str value = { end ? (const char *)end + 1 : "", end ? size - words.size - 1 : 0 };
	struct relabelling samples = {
		.type = STR("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
		.series = { { STR("service_name"), value }, { STR("k8s_pod_name"), STR("p") } },
		.series_count = 2,
		.sample = { { STR("pid"), value }, { STR("pod"), STR("q") } },
		.sample_count = 2,
		.samples = 3,
		.one_of = 1,
	};

	if (label_rule_parse(words, &rule, reason)) {
		assert(!rule && reason[0] && strlen(reason) < sizeof(reason));
		return 0;
	}
	label_rule_explain(rule, &text);
	assert(text.size > 0 && !text.error);
	for (uint64_t now_s = 0; now_s < 3; now_s++) {
		uint64_t before = rule->samples;
		bool acts = label_rule_apply(rule, &samples, now_s);

		assert(rule->samples == before + (acts ? 3 : 0));
		assert(acts || (!samples.is_dropped && samples.one_of >= 1));
		check_names(&samples);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/label_split.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* What ties a sample to a trace; "profile_id" is what old clients call a span's id. */
static struct str trace_name(struct str name)
{
	if (str_equal(name, STR("span_id")) || str_equal(name, STR("profile_id")))
		return STR("span_id");
	return str_equal(name, STR("trace_id")) ? name : (struct str){ 0 };
}

static bool has_name(const struct label *labels, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(labels[i].name, name))
			return true;
	return false;
}

static void split_one(struct label_split *split, struct label label)
{
	struct str name = trace_name(label.name);

	if (name.size > 0) {
		if (!has_name(split->trace, split->trace_count, name))
			split->trace[split->trace_count++] = (struct label){ name, label.value };
	} else if (has_name(split->series, split->series_count, label.name)) {
		return;
	} else if (split->series_count == LABEL_SPLIT_COUNT_MAX) {
		split->left_out++;
	} else {
		split->series[split->series_count++] = label;
	}
}

void label_split(struct label_split *ret, const struct label *push, size_t push_count,
		 const struct label *sample, size_t sample_count)
{
	assert(push_count <= LABEL_SPLIT_COUNT_MAX);
	ret->series_count = push_count;
	ret->trace_count = ret->left_out = 0;
	if (push_count)
		memcpy(ret->series, push, push_count * sizeof(push[0]));
	for (size_t i = 0; i < sample_count; i++)
		split_one(ret, sample[i]);
}

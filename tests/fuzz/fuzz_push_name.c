/* SPDX-License-Identifier: Apache-2.0 */
/* Names as /ingest's clients send them: labels are within their limits, in UTF-8, each once. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "base/utf8.h"
#include "web/profile_type.h"
#include "web/push_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_labels(struct push_labels *labels)
{
	push_labels_finish(labels);
	assert(labels->count > 0 && labels->count <= PUSH_LABEL_COUNT_MAX + 2);
	for (size_t i = 0; i < labels->count; i++) {
		const struct label *label = &labels->labels[i];

		assert(label->name.size > 0 && label->value.size > 0);
		/* A byte that is none became three. */
		assert(label->name.size <= 3 * PUSH_LABEL_NAME_SIZE_MAX);
		assert(label->value.size <= 3 * PUSH_LABEL_VALUE_SIZE_MAX);
		assert(utf8_is_valid(label->name) && utf8_is_valid(label->value));
		for (size_t k = 0; k < i; k++)
			assert(!str_equal(label->name, labels->labels[k].name));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str text = { (const char *)bytes, size };
	struct push_labels labels;
	struct push_name name;
	char reason[PUSH_LABELS_ERROR_SIZE] = "";
	int err;

	push_labels_init(&labels);
	err = push_name_read(text, &name, &labels, reason);
	assert(err == 0 || err == -EINVAL || err == -ENOMEM);
	assert(err != -EINVAL || reason[0]);
	if (!err) {
		struct profile_type type;

		assert(name.application.size > 0 && name.application.size <= name.full.size);
		assert(profile_type_parse(name.type, &type, NULL) == 0);
		check_labels(&labels);
	}
	push_labels_done(&labels);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_labels.h"

#include "store/selector.h"

struct block_sample {
	struct str service;
	struct str type;
};

static const struct str labels[] = {
	{ "service_name", 12 },	   { "__service_name__", 16 }, { "__profile_type__", 16 },
	{ "__name__", 8 },	   { "__type__", 8 },	       { "__unit__", 8 },
	{ "__period_type__", 15 }, { "__period_unit__", 15 },
};

enum {
	LABEL_COUNT = sizeof(labels) / sizeof(labels[0]),
	SERVICE_LABEL_COUNT = 2, /* they are the first */
	TYPE_LABEL = 2,
	FIRST_PART = 3, /* of the type, in its order */
};

static struct str lookup(const void *context, struct str name)
{
	const struct block_sample *sample = context;

	for (unsigned i = 0; i < SERVICE_LABEL_COUNT; i++)
		if (str_equal(name, labels[i]))
			return sample->service;
	if (str_equal(name, labels[TYPE_LABEL]))
		return sample->type;
	for (unsigned i = FIRST_PART; i < LABEL_COUNT; i++)
		if (str_equal(name, labels[i]))
			return catalog_type_part(sample->type, i - FIRST_PART);
	return (struct str){ 0 };
}

bool block_may_match(const struct store_question *asked, const struct catalog *catalog,
		     uint32_t service, uint32_t type)
{
	struct block_sample sample = { .service = catalog_text(catalog, service) };
	size_t count = SERVICE_LABEL_COUNT;

	if (type != BLOCK_ANY_TYPE) {
		sample.type = catalog_text(catalog, type);
		count = LABEL_COUNT;
		if (asked->type.size > 0 && !str_equal(asked->type, sample.type))
			return false;
	}
	return !asked->selector ||
	       selector_may_match(asked->selector, labels, count, lookup, &sample);
}

bool block_knows_enough(const struct store_question *asked)
{
	return asked->profile_count == 0 &&
	       (!asked->selector || selector_uses_only(asked->selector, labels, LABEL_COUNT));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_dump.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"

static void add_id(struct buf *text, struct str id)
{
	for (size_t i = 0; i < id.size; i++)
		buf_printf(text, "%02x", (unsigned char)id.text[i]);
}

/* What a terminal would take as something else is written as its number. */
static void add_text(struct buf *text, struct str value)
{
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.text[i];

		if (c < ' ' || c == 0x7f || c == '"' || c == '\\')
			buf_printf(text, "\\x%02x", c);
		else
			buf_add_u8(text, c);
	}
}

void otlp_dump_value(const struct otlp_value *value, struct buf *text)
{
	switch (value->kind) {
	case OTLP_VALUE_NONE:
		buf_printf(text, "nothing");
		break;
	case OTLP_VALUE_TEXT:
		buf_add_u8(text, '"');
		add_text(text, value->bytes);
		buf_add_u8(text, '"');
		break;
	case OTLP_VALUE_BOOLEAN:
		buf_printf(text, "%s", value->integer ? "true" : "false");
		break;
	case OTLP_VALUE_INTEGER:
		buf_printf(text, "%" PRId64, value->integer);
		break;
	case OTLP_VALUE_NUMBER:
		buf_printf(text, "%.17g", value->number);
		break;
	case OTLP_VALUE_BYTES:
		buf_printf(text, "[%zu bytes]", value->bytes.size);
		break;
	case OTLP_VALUE_ARRAY:
		buf_printf(text, "[a list]");
		break;
	case OTLP_VALUE_MAP:
		buf_printf(text, "[attributes]");
		break;
	}
}

static void add_attribute(struct buf *text, const struct otlp_attribute *attribute)
{
	buf_add_u8(text, ' ');
	add_text(text, attribute->key);
	buf_add_u8(text, '=');
	otlp_dump_value(&attribute->value, text);
	if (attribute->unit.size > 0) {
		buf_add_u8(text, ' ');
		add_text(text, attribute->unit);
	}
}

static int compare_keys(const void *a, const void *b)
{
	const struct otlp_attribute *const *x = a;
	const struct otlp_attribute *const *y = b;

	return str_compare((*x)->key, (*y)->key);
}

enum { ATTRIBUTE_COUNT_MAX = 256 }; /* of one list; more are told by their number */

struct sorted {
	const struct otlp_attribute *items[ATTRIBUTE_COUNT_MAX];
	size_t count, left_out;
};

static void add_sorted(struct sorted *sorted, const struct otlp_attribute *attribute)
{
	if (sorted->count < ATTRIBUTE_COUNT_MAX)
		sorted->items[sorted->count++] = attribute;
	else
		sorted->left_out++;
}

static void print_sorted(struct sorted *sorted, const char *title, struct buf *text)
{
	if (sorted->count == 0)
		return;
	qsort(sorted->items, sorted->count, sizeof(sorted->items[0]), compare_keys);
	buf_printf(text, "  %s", title);
	for (size_t i = 0; i < sorted->count; i++)
		add_attribute(text, sorted->items[i]);
	if (sorted->left_out > 0)
		buf_printf(text, " and %zu more", sorted->left_out);
	buf_printf(text, "\n");
}

static void print_owner(const char *title, const struct otlp_attribute *attributes, size_t count,
			struct buf *text)
{
	struct sorted sorted = { 0 };

	for (size_t i = 0; i < count; i++)
		add_sorted(&sorted, &attributes[i]);
	print_sorted(&sorted, title, text);
}

static void add_type(struct buf *text, const struct otlp_value_type *type)
{
	add_text(text, type->type);
	buf_add_u8(text, '/');
	add_text(text, type->unit);
}

static void print_head(const struct otlp_profile *profile, struct buf *text)
{
	struct sorted sorted = { 0 };

	buf_printf(text, "profile %" PRIu64 ": ", profile->number);
	add_type(text, &profile->type);
	if (profile->period_type.type.size > 0) {
		buf_printf(text, ", a period of %" PRId64 " ", profile->period);
		add_type(text, &profile->period_type);
	}
	buf_printf(text, ", from %" PRIu64 " ns for %" PRIu64 " ns", profile->time_unix_ns,
		   profile->duration_ns);
	if (profile->id.size > 0) {
		buf_printf(text, ", id ");
		add_id(text, profile->id);
	}
	if (profile->payload_format.size > 0) {
		buf_printf(text, ", made of ");
		add_text(text, profile->payload_format);
	}
	buf_printf(text, ", %zu samples\n", profile->sample_count);
	print_owner("resource", profile->resource, profile->resource_count, text);
	if (profile->scope_name.size + profile->scope_version.size > 0) {
		buf_printf(text, "  scope ");
		add_text(text, profile->scope_name);
		buf_add_u8(text, ' ');
		add_text(text, profile->scope_version);
		buf_printf(text, "\n");
	}
	print_owner("scope's attributes", profile->scope, profile->scope_count, text);
	for (size_t i = 0; i < profile->inlined_count; i++)
		add_sorted(&sorted, &profile->inlined[i]);
	for (uint32_t i = 0; i < profile->attributes.count; i++)
		add_sorted(&sorted,
			   &profile->tables->attributes
				    .items[profile->indices[profile->attributes.first + i]]);
	print_sorted(&sorted, "attributes", text);
}

static void print_mapping(const struct otlp_mapping *mapping, struct buf *text)
{
	const struct {
		const char *name;
		struct str id;
	} ids[] = { { "gnu", mapping->gnu },
		    { "go", mapping->go },
		    { "htlhash", mapping->htlhash } };

	buf_printf(text, " in ");
	add_text(text, mapping->filename);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		if (ids[i].id.size == 0)
			continue;
		buf_printf(text, " %s:", ids[i].name);
		add_text(text, ids[i].id);
	}
}

static void print_line(const struct otlp_tables *tables, const struct otlp_line *line,
		       struct buf *text)
{
	const struct otlp_function *function = &tables->functions.items[line->function];

	buf_printf(text, "    ");
	add_text(text, function->name.size ? function->name : function->system_name);
	if (function->filename.size > 0) {
		buf_printf(text, " (");
		add_text(text, function->filename);
		buf_printf(text, ":%" PRId64 ":%" PRId64 ")", line->line, line->column);
	}
}

static void print_location(const struct otlp_tables *tables, uint32_t number, struct buf *text)
{
	if (number == OTLP_NO_LOCATION) {
		buf_printf(text, "    [a location that is not there]\n");
		return;
	}

	const struct otlp_location *location = &tables->locations.items[number];

	for (uint32_t i = 0; i < location->lines.count; i++) {
		/* What was inlined into the next. */
		if (i > 0)
			buf_printf(text, " <\n");
		if (tables->functions.count > 0)
			print_line(tables, &tables->lines.items[location->lines.first + i], text);
	}
	if (location->lines.count == 0)
		buf_printf(text, "    0x%" PRIx64, location->address);
	else if (location->address)
		buf_printf(text, " at 0x%" PRIx64, location->address);
	if (location->frame_type > 0) {
		buf_printf(text, " [");
		add_text(text, otlp_frame_type(tables, location));
		buf_printf(text, "]");
	}
	if (location->mapping > 0)
		print_mapping(&tables->mappings.items[location->mapping], text);
	buf_printf(text, "\n");
}

static void print_sample(const struct otlp_profile *profile, const struct otlp_sample *sample,
			 struct buf *text)
{
	const struct otlp_tables *tables = profile->tables;
	struct sorted sorted = { 0 };

	buf_printf(text, "  sample");
	if (sample->is_sum)
		buf_printf(text, " summed");
	for (uint32_t i = 0; i < sample->values.count; i++)
		buf_printf(text, " %" PRId64, profile->values[sample->values.first + i]);
	for (uint32_t i = 0; i < sample->timestamps.count; i++)
		buf_printf(text, " @%" PRIu64, profile->timestamps[sample->timestamps.first + i]);
	if (sample->link > 0) {
		buf_printf(text, " trace ");
		add_id(text, tables->links.items[sample->link].trace_id);
		buf_printf(text, " span ");
		add_id(text, tables->links.items[sample->link].span_id);
	}
	buf_printf(text, "\n");
	for (uint32_t i = 0; i < sample->attributes.count; i++)
		add_sorted(
			&sorted,
			&tables->attributes.items[profile->indices[sample->attributes.first + i]]);
	print_sorted(&sorted, "  attributes", text);
	for (uint32_t i = 0; i < sample->stack.count; i++)
		print_location(tables, profile->stack_indices[sample->stack.first + i], text);
}

void otlp_dump_profile(const struct otlp_profile *profile, struct buf *text)
{
	assert(profile->tables);
	print_head(profile, text);
	for (size_t i = 0; i < profile->sample_count; i++)
		print_sample(profile, &profile->samples[i], text);
}

void otlp_dump_report(const struct otlp_report *report, struct buf *text)
{
	buf_printf(text, "revision %s: %s\n", otlp_revision_name(report->revision),
		   report->why[0] ? report->why : "nothing tells");
	buf_printf(text,
		   "%" PRIu64 " resources, %" PRIu64 " profiles, %" PRIu64 " samples; %" PRIu64
		   " profiles refused, %" PRIu64 " samples skipped\n",
		   report->resources, report->profiles, report->samples, report->profiles_refused,
		   report->samples_skipped);
	for (int flaw = 0; flaw < OTLP_FLAW_COUNT; flaw++)
		if (report->flaws[flaw] > 0)
			buf_printf(text, "%s %" PRIu64 ": %s\n",
				   flaw >= OTLP_FLAW_FIRST_REFUSED   ? "refused"
				   : flaw >= OTLP_FLAW_FIRST_SKIPPED ? "skipped"
								     : "mended",
				   report->flaws[flaw], otlp_flaw_sentence((enum otlp_flaw)flaw));
}

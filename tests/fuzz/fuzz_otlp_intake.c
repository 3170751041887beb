/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenTelemetry's profiles of strangers on their way into the store: read, made batches of, and
 * appended to the trees of a segment. The first byte is the revision, 0 for one to be found.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "store/batch_private.h"
#include "store/live.h"
#include "web/otlp_intake.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct stored {
	struct live *live;
	uint64_t samples, values;
};

/* As often as they are in the batch: more than there can be stay at the top. */
static uint64_t sum(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static void check_tree(const struct segment *segment)
{
	for (uint32_t i = 0; i < segment->tree.nodes.count; i++) {
		struct tree_node node = segment->tree.nodes.items[i];

		assert(node.parent == TREE_NO_PARENT || node.parent < i);
		assert(node.parent == TREE_NO_PARENT || node.location < segment->tree.builds.count);
		/* Each once. */
		assert(segment_find_node(segment, node.parent, node.location) == i);
	}
}

/* The path of an entry's node is its stack. */
static void check_entry(const struct live *live, const struct batch *batch, uint32_t number)
{
	const struct batch_item *item = &batch->items.items[number];
	struct str stack = pool_get(&batch->stacks, item->stack);
	const uint32_t *numbers = (const void *)stack.text;
	uint32_t node = live->entries.items[live->entries.count - batch->items.count + number].node;
	const struct tree *tree = &live->segment.tree;

	for (size_t i = 1; i < stack.size / sizeof(numbers[0]); i++) {
		const struct batch_location *location = &batch->locations.items.items[numbers[i]];
		uint32_t place = tree->nodes.items[node].location;

		assert(!tree_is_root(tree, node));
		assert((location->build == BATCH_NAMED) ==
		       (tree->builds.items[place] == TREE_BUILD_NAMED));
		assert(location->build == BATCH_NAMED ||
		       tree->addresses.items[place] == location->address);
		node = tree->nodes.items[node].parent;
	}
	if (numbers[0] & STACK_TRUNCATED) {
		assert(tree->nodes.items[node].location == TREE_CALLERS_MISSING);
		node = tree->nodes.items[node].parent;
	}
	assert(tree_is_root(tree, node));
}

static int store(void *context, struct batch *batch, bool is_last)
{
	struct stored *stored = context;
	int err = live_append(stored->live, batch);

	(void)is_last;
	assert(batch->items.count > 0);
	if (err)
		return err;
	for (uint32_t i = 0; i < batch->items.count; i++) {
		check_entry(stored->live, batch, i);
		stored->samples = sum(stored->samples, batch->items.items[i].count);
		stored->values = sum(stored->values, batch->items.items[i].value);
	}
	return 0;
}

static void check_sums(const struct stored *stored)
{
	const struct segment *segment = &stored->live->segment;
	uint64_t samples = 0;
	uint64_t values = 0;

	for (uint32_t i = 0; i < segment->sums.count; i++) {
		samples = sum(samples, segment->sums.items[i].count);
		values = sum(values, segment->sums.items[i].value);
	}
	assert(samples == stored->samples && values == stored->values);
}

static void lay_out(const struct stored *stored)
{
	struct window_columns columns = { 0 };

	if (!live_is_running(stored->live))
		return;
	if (live_lay_out(stored->live, &columns) == 0)
		for (uint32_t i = 1; i < columns.runs.runs.count; i++) {
			struct run a = columns.runs.runs.items[i - 1];
			struct run b = columns.runs.runs.items[i];

			assert(a.slice < b.slice ||
			       (a.slice == b.slice &&
				(a.series < b.series ||
				 (a.series == b.series && a.labels < b.labels))));
		}
	window_columns_done(&columns);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(live) struct live *live = NULL;
	autoclean(otlp_intake) struct otlp_intake *intake = NULL;
	autoclean(otlp_reader) struct otlp_reader *reader = NULL;
	struct stored stored = { 0 };
	struct otlp_report report;
	char reason[OTLP_ERROR_SIZE];
	int err;

	if (size == 0 || live_new(&live) || segment_init(&live->segment, 1, 1))
		return 0;
	stored.live = live;

	struct otlp_intake_options options = {
		.host_name = "host", .now_ms = 1700000000000, .add = store, .context = &stored
	};

	if (otlp_intake_new(&intake) || otlp_reader_new(&reader))
		return 0;

	struct otlp_reading reading = {
		.bytes = { (const char *)bytes + 1, size - 1 },
		.known = (enum otlp_revision)(bytes[0] % OTLP_REVISION_COUNT),
		.take = otlp_intake_take,
		.context = intake,
		.reader = reader,
	};

	/* What the first time left behind, mistakes too, is nothing to the second. */
	for (int time = 0; time < 2; time++) {
		uint64_t samples = otlp_intake_totals(intake).samples;

		otlp_intake_begin(intake, &options);
		err = otlp_read(&reading, &report, reason);
		assert(err == 0 || err == -EBADMSG || err == -E2BIG || err == -ENOMEM ||
		       err == -EAGAIN || err == -ENOSPC);
		/* What came before a mistake is stored as well. */
		(void)otlp_intake_finish(intake);
		assert(time == 0 || err == -ENOMEM || err == -EAGAIN || err == -ENOSPC ||
		       otlp_intake_totals(intake).samples == samples);
		/* Nor is it another thing where its sender is known. */
		reading.believed = report.revision;
	}
	check_tree(&live->segment);
	check_sums(&stored);
	lay_out(&stored);
	return 0;
}

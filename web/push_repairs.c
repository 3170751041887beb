/* SPDX-License-Identifier: Apache-2.0 */
#include "web/push_repairs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/table.h"

enum { SECONDS_AN_HOUR = 3600, SECONDS_A_MINUTE = 60 };

struct repair {
	const char *name;
	const char *one, *many; /* in a sentence */
};

static const struct repair repairs_known[PUSH_REPAIR_COUNT] = {
	[PPROF_REPAIRED_TEXT] = { "text", "text that is no UTF-8 or too long",
				  "texts that are no UTF-8 or too long" },
	[PPROF_REPAIRED_TYPE] = { "sample_type", "sample type with a dash",
				  "sample types with dashes" },
	[PPROF_REPAIRED_LABEL] = { "sample_label_left_out", "sample with too many labels",
				   "samples with too many labels" },
	[PPROF_REPAIRED_TIME] = { "time", "profile without a time, or one of 1970",
				  "profiles without a time, or one of 1970" },
	[PPROF_REPAIRED_DEPTH] = { "stack_depth", "stack that is too deep, and was cut",
				   "stacks that are too deep, and were cut" },
	[PPROF_REPAIR_COUNT + PUSH_LABEL_TEXT] = { "label_text", "label that is no UTF-8",
						   "labels that are no UTF-8" },
	[PPROF_REPAIR_COUNT + PUSH_LABEL_DUPLICATE] = { "label_twice", "label given twice",
							"labels given twice" },
	[PPROF_REPAIR_COUNT + PUSH_LABEL_SERVICE] = { "service_name", "series without service_name",
						      "series without service_name" },
};

const char *push_repair_name(unsigned repair)
{
	assert(repair < PUSH_REPAIR_COUNT);
	return repairs_known[repair].name;
}

/* Two threads may count one line; then there is one more. */
static bool has_room(struct push_told *told, uint64_t minute)
{
	uint64_t lines = atomic_load(&told->lines);
	uint64_t count = lines / PUSH_TOLD_COUNT == minute ? lines % PUSH_TOLD_COUNT : 0;

	static_assert((int)PUSH_LINES_A_MINUTE_MAX < (int)PUSH_TOLD_COUNT,
		      "they are counted below it");
	if (count == PUSH_LINES_A_MINUTE_MAX)
		return false;
	atomic_store(&told->lines, minute * PUSH_TOLD_COUNT + count + 1);
	return true;
}

bool push_repairs_due(struct push_told *told, struct str service, const uint64_t *repairs,
		      unsigned first, unsigned count, uint64_t now_s)
{
	uint64_t kinds = 0;
	uint64_t hash, mark;

	assert(first + count <= PUSH_REPAIR_COUNT);
	for (unsigned i = 0; i < count; i++)
		if (repairs[i] > 0)
			kinds |= UINT64_C(1) << (first + i);
	if (kinds == 0)
		return false;
	hash = table_hash_bytes(service.text, service.size, kinds);
	mark = hash ^ (now_s / SECONDS_AN_HOUR + 1);
	if (atomic_load(&told->marks[hash % PUSH_TOLD_COUNT]) == mark ||
	    !has_room(told, now_s / SECONDS_A_MINUTE + 1))
		return false;
	atomic_store(&told->marks[hash % PUSH_TOLD_COUNT], mark);
	return true;
}

void push_repairs_write(const uint64_t *repairs, unsigned first, unsigned count, struct buf *text)
{
	const char *comma = "";

	assert(first + count <= PUSH_REPAIR_COUNT);
	for (unsigned i = 0; i < count; i++) {
		const struct repair *repair = &repairs_known[first + i];

		if (repairs[i] == 0)
			continue;
		buf_printf(text, "%s%" PRIu64 " %s", comma, repairs[i],
			   repairs[i] == 1 ? repair->one : repair->many);
		comma = ", ";
	}
}

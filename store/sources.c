/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <string.h>

#include "store/span.h"
#include "store/store_private.h"

/* Who sends, and up to which of its batches all is here. */

struct source *sources_find(struct sources *sources, uint64_t source)
{
	for (uint32_t i = sources->sources.count; i > 0; i--)
		if (sources->sources.items[i - 1].source == source)
			return &sources->sources.items[i - 1];
	return NULL;
}

static void drop_forgotten(struct sources *sources)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < sources->sources.count; i++)
		if (!sources->sources.items[i].is_forgotten)
			sources->sources.items[kept++] = sources->sources.items[i];
	sources->sources.count = kept;
}

int sources_note(struct sources *sources, uint64_t source, uint64_t committed)
{
	struct source *known;

	drop_forgotten(sources);
	known = sources_find(sources, source);
	if (known) {
		struct source *last = &sources->sources.items[sources->sources.count - 1];
		struct source moved = *known;

		memmove(known, known + 1, (size_t)(last - known) * sizeof(*known));
		*last = moved;
		known = last;
	}
	if (!known) {
		if (sources->sources.count >= STORE_SOURCE_COUNT_MAX) {
			memmove(sources->sources.items, sources->sources.items + 1,
				(sources->sources.count - 1) * sizeof(*known));
			sources->sources.count--;
		}
		if (array_reserve(&sources->sources, 1) < 0)
			return -ENOMEM;
		known = &sources->sources.items[sources->sources.count++];
		*known = (struct source){ .source = source };
	}
	if (committed > known->committed)
		known->committed = committed;
	if (committed > known->appended)
		known->appended = committed;
	return 0;
}

uint64_t store_committed_sequence(struct store *store, uint64_t source)
{
	pthread_mutex_lock(&store->lock);

	const struct source *known = sources_find(&store->sources, source);
	uint64_t sequence = known ? known->committed : 0;

	pthread_mutex_unlock(&store->lock);
	return sequence;
}

void store_forget_source(struct store *store, uint64_t source)
{
	pthread_mutex_lock(&store->lock);

	struct source *known = sources_find(&store->sources, source);

	/* The writer may hold a pointer into the list, which so stays as it is. */
	if (known)
		known->is_forgotten = true;
	pthread_mutex_unlock(&store->lock);
}

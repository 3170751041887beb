/* SPDX-License-Identifier: Apache-2.0 */
/* Tries and trees of stacks: the first byte says which. What is read is a batch with values. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/batch_private.h"
#include "web/profile_type.h"
#include "web/stack_trie.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MEMORY_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct pprof_origin origin = { .time_unix_ms = 1 };
	char reason[PPROF_ERROR_SIZE] = "";
	autoclean(batch) struct batch *batch = NULL;
	autofree struct named_stacks *stacks = malloc(sizeof(*stacks));

	if (size == 0 || !stacks || batch_new(MEMORY_MAX, &batch) ||
	    named_stacks_begin(stacks, batch, &origin, PROFILE_TYPE_CPU, 10))
		return 0;

	struct str text = { (const char *)bytes + 1, size - 1 };
	int err = bytes[0] & 1 ? stack_tree_read(text, stacks, reason)
			       : stack_trie_read(text, stacks, reason);

	assert(err == 0 || err == -EBADMSG || err == -E2BIG || err == -ENOMEM);
	assert(err == 0 || err == -ENOMEM || !strncmp(reason, "byte ", 5));
	assert(err || stacks->summary.samples == batch->items.count);
	for (uint32_t i = 0; i < batch->items.count; i++)
		assert(batch->items.items[i].value == 10 * batch->items.items[i].count);
	named_stacks_done(stacks);
	return 0;
}

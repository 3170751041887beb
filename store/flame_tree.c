/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flame_private.h"

/*
 * A tree of which the values of nodes are summed: it is added up, cut, and merged into the answer;
 * or a summary of it is made, which is kept.
 */

uint64_t flame_add_up(const struct flame_question *question, const struct forest *forest)
{
	uint64_t keep = (uint64_t)question->options->node_count_max * CUT_FACTOR;

	if (!question->is_exact && !question->walk)
		return forest_add_up_and_cut(forest, keep < CUT_COUNT_MIN ? CUT_COUNT_MIN : keep);
	forest_add_up(forest);
	return 1;
}

/* The question's tree, of whose nodes the values are summed. */
static struct forest forest_of_tree(const struct flame_question *question)
{
	return (struct forest){ .nodes = question->tree->nodes.items,
				.self = question->self.items,
				.total = question->total.items,
				.count = question->tree->nodes.count };
}

int flame_summarize(struct flame_question *question, struct cache_key key, struct cached **ret)
{
	struct forest forest = forest_of_tree(question);
	uint64_t cut = flame_add_up(question, &forest);
	int err = forest_summarize(question->tree, &forest, cut, question->mapped.items, ret);

	if (err)
		return err;
	(*ret)->sample_count = question->merge.sample_count - question->samples_before;
	cache_add(question->store->cache, key, *ret);
	return 0;
}

int flame_merge_tree(struct flame_question *question, struct reader *reader)
{
	struct forest forest = forest_of_tree(question);
	uint64_t cut = flame_add_up(question, &forest);

	if (forest.count == 0)
		return 0;
	if (question->walk)
		return question->walk->add(question->walk->context, reader->catalog, question->tree,
					   &forest);
	return flame_merge_forest(question, reader->catalog, &forest, cut);
}

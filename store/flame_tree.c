/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flame_private.h"

/*
 * A tree of which the values of nodes are summed: it is added up, cut, and merged into the answer.
 */

uint64_t flame_keep_count(const struct flame_question *question)
{
	uint64_t keep = (uint64_t)question->options->node_count_max * CUT_FACTOR;

	if (keep <= CUT_COUNT_MIN)
		return CUT_COUNT_MIN;
	return keep <= CUT_COUNT_LARGE ? CUT_COUNT_LARGE : keep;
}

uint64_t flame_add_up(const struct flame_question *question, const struct forest *forest)
{
	if (!question->is_exact && !question->walk)
		return forest_add_up_and_cut(forest, flame_keep_count(question));
	forest_add_up(forest);
	return 1;
}

struct forest flame_forest(const struct flame_question *question)
{
	return (struct forest){ .nodes = question->tree->nodes.items,
				.self = question->self.items,
				.total = question->total.items,
				.count = question->tree->nodes.count };
}

int flame_merge_tree(struct flame_question *question, struct reader *reader)
{
	struct forest forest = flame_forest(question);
	uint64_t cut = flame_add_up(question, &forest);

	if (forest.count == 0)
		return 0;
	if (question->walk)
		return question->walk->add(question->walk->context, reader->catalog, question->tree,
					   &forest);
	return flame_merge_forest(question, reader->catalog, &forest, cut);
}

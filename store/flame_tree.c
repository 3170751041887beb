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

int flame_cut_tree(struct flame_question *question, struct cached **summary)
{
	const struct tree *tree = question->tree;
	uint64_t *values = question->self.items;
	uint64_t cut = forest_weigh_tree(tree, values, flame_keep_count(question));
	struct forest forest = { .nodes = tree->nodes.items,
				 .total = values,
				 .count = tree->nodes.count };

	return forest_summarize(tree, &forest, cut, summary);
}

static int merge_cut(struct flame_question *question, struct reader *reader)
{
	autoclean(cached) struct cached *summary = NULL;
	int err = flame_cut_tree(question, &summary);

	return err ? err : flame_merge_summary(question, reader, summary);
}

int flame_merge_tree(struct flame_question *question, struct reader *reader)
{
	struct forest forest = { .nodes = question->tree->nodes.items,
				 .self = question->self.items,
				 .total = question->total.items,
				 .count = question->tree->nodes.count };

	if (forest.count == 0)
		return 0;
	if (flame_cuts(question))
		return merge_cut(question, reader);
	forest_add_up(&forest);
	if (question->walk)
		return question->walk->add(question->walk->context, reader->catalog, question->tree,
					   &forest);
	return flame_merge_forest(question, reader->catalog, &forest, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "store/asking.h"
#include "store/block_labels.h"
#include "store/flame_private.h"
#include "store/growth.h"

/*
 * Flame graphs out of chronicles: the lists of all pieces that were picked are summed by node of
 * one tree, and then it goes on as with a segment. Questions about services read the services'
 * trees; what only the host's list of a segment knows of them is taken from there.
 */

#define LONG_MS INT64_C(86400000)

/* Whether all stacks are kept, and may well not find room. */
static bool has_too_many(const struct flame_question *question)
{
	return question->is_exact && !question->walk &&
	       asking_nodes(question->store, question->asked) > MERGE_NODE_COUNT_MAX;
}

struct chronicle_wish flame_chronicle_wish(const struct flame_question *question)
{
	const struct store_question *asked = question->asked;
	bool is_long = asked->to_unix_ms - asked->from_unix_ms > LONG_MS;
	struct chronicle_wish wish = { .use = CHRONICLE_WHEN_GONE,
				       .by_service = flame_is_by_service(question) };

	/* Labels of processes, and rows by them, are in no list. */
	if (!question->reads_blocks)
		return (struct chronicle_wish){ .use = CHRONICLE_NOT };
	/*
	 * A picture of the whole host shows nothing as light as what is missing in the lists. What
	 * looks more closely reads samples, if they are not too many: a day of a busy host has more
	 * stacks than can be kept, and what can't be answered at all is better told without what
	 * weighs nearly nothing.
	 */
	if (is_long || has_too_many(question) ||
	    (!wish.by_service && !question->is_exact && !question->walk && !question->function))
		wish.use = CHRONICLE_WHERE_POSSIBLE;
	return wish;
}

/* Which roots match for the type of a list. */
static void match_roots(struct flame_question *question, struct reader *reader, uint32_t type)
{
	const struct tree *tree = question->tree;
	uint32_t root = 0;

	for (uint32_t i = 0; i < tree->nodes.count; i++)
		if (tree_is_root(tree, i))
			question->root_matches[root++] =
				flame_wants_block(question, reader, tree->nodes.items[i].location,
						  type) &&
				!reader_hides_list(reader, tree->nodes.items[i].location, type);
}

static int add_list(void *context, struct reader *reader, struct block *block)
{
	struct flame_question *question = context;
	const struct store_question *asked = question->asked;
	int err = 0;

	if (asked->type.size > 0 &&
	    !str_equal(asked->type, catalog_text(reader->catalog, block->type)))
		return 0;
	if (question->scope != CHRONICLE_HOST &&
	    reader_hides_list(reader, (uint32_t)question->scope, block->type))
		return 0;
	if (question->roots)
		match_roots(question, reader, block->type);
	for (uint32_t i = 0; !err && i < block->entry_count; i++) {
		struct entry entry;

		err = entry_reader_next(&block->entries, block->is_valued, &entry);
		if (err || entry.node >= question->sum_count)
			return err ? err : -EBADMSG;
		if (question->roots && !question->root_matches[question->roots[entry.node]])
			continue;
		if (!block->is_valued)
			entry.value = saturated_product(entry.count, block->period);
		question->read_count = saturated_sum(question->read_count, entry.count);
		question->sums[entry.node] = saturated_sum(question->sums[entry.node], entry.value);
		if (question->marked)
			node_map_add(question->marked, entry.node);
	}
	return err;
}

/* Which root each node of the host's tree stands below. */
static int find_roots(struct flame_question *question)
{
	const struct tree *tree = question->tree;
	uint32_t count = tree->nodes.count;
	uint32_t root_count = 0;

	question->roots = calloc((size_t)count + 1, sizeof(question->roots[0]));
	if (!question->roots)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		question->roots[i] = tree_is_root(tree, i)
					     ? root_count++
					     : question->roots[tree->nodes.items[i].parent];
	question->root_matches = calloc((size_t)root_count + 1, sizeof(bool));
	return question->root_matches ? 0 : -ENOMEM;
}

static int sum_lists(struct flame_question *question, struct reader *reader, int64_t scope,
		     uint32_t level, const struct pick *picks, uint32_t count)
{
	int err = 0;

	question->scope = scope;
	if (scope == CHRONICLE_HOST && (flame_is_by_service(question) || reader_hides(reader)))
		err = find_roots(question);
	for (uint32_t i = 0; !err && i < count; i++)
		if (level == UINT32_MAX || picks[i].piece.level == level) {
			reader->piece = &picks[i].piece;
			err = reader_lists(reader, picks[i].piece.number, scope, add_list);
		}
	reader->piece = NULL;
	free(question->roots);
	free(question->root_matches);
	question->roots = NULL;
	question->root_matches = NULL;
	return err;
}

/*
 * Of how many nodes the tree of the host is, if it is so large that no more of it is read than the
 * pieces have; else 0. It grows for as long as its file, by what no question about an hour asks
 * for, and unpacking costs the same. What was summed up is kept, so that a tree is read again when
 * the pieces are others. Who asks for services has to know which nodes stand below them before
 * anything is added up.
 */
static int count_to_pick_from(const struct flame_question *question, const struct reader *reader,
			      int64_t scope, uint32_t *ret)
{
	uint32_t count = 0;
	int err = 0;

	*ret = 0;
	if (scope != CHRONICLE_HOST || flame_is_by_service(question) || reader_hides(reader))
		return 0;
	err = growth_count(reader->database, scope, &count);
	if (!err &&
	    (count > READER_WHOLE_TREE_NODE_COUNT_MAX || count > question->store->nodes_together))
		*ret = count;
	return err;
}

/* The sums of what is marked, as far as the pieces had them, in the order of question->tree. */
static int take_sums(struct flame_question *question)
{
	uint32_t count = question->tree->nodes.count;
	uint32_t number = 0;
	int err = flame_reserve_scratch(question, count);

	for (uint32_t i = 0; !err && i <= question->marked->node_count / 64; i++)
		for (uint64_t word = question->marked->words[i]; word; word &= word - 1) {
			uint32_t node = i * 64 + (uint32_t)__builtin_ctzll(word);

			assert(number < count);
			question->self.items[number++] = question->sums[node];
		}
	assert(err || number == count);
	return err;
}

static int sum_part(struct flame_question *question, struct reader *reader, uint32_t node_count,
		    uint32_t level, const struct pick *picks, uint32_t count)
{
	autoclean(node_map) struct node_map marked = { 0 };
	autofree uint64_t *sums = NULL;
	int err = node_map_init(&marked, node_count);

	if (err)
		return err;
	/* Pages that nothing is added to are never there. */
	sums = calloc((size_t)node_count + 1, sizeof(sums[0]));
	if (!sums)
		return -ENOMEM;
	question->sums = sums;
	question->sum_count = node_count;
	question->marked = &marked;
	err = sum_lists(question, reader, CHRONICLE_HOST, level, picks, count);
	if (!err)
		err = reader_chronicle_part(reader, CHRONICLE_HOST, &marked, &question->cached);
	if (!err) {
		question->tree = &question->cached->tree;
		err = flame_check_roots(question->tree, reader->catalog);
	}
	if (!err)
		err = take_sums(question);
	question->sums = NULL;
	question->marked = NULL;
	return err;
}

/* Sums the pieces of a level, or of all (UINT32_MAX), in one scope; question->tree is its tree, or
 * what of it they have. */
static int sum_scope(struct flame_question *question, struct reader *reader, int64_t scope,
		     uint32_t level, const struct pick *picks, uint32_t count)
{
	uint32_t node_count;
	int err = count_to_pick_from(question, reader, scope, &node_count);

	question->read_count = 0;
	if (!err && node_count)
		return sum_part(question, reader, node_count, level, picks, count);
	if (!err)
		err = reader_chronicle_tree(reader, scope, &question->cached);
	if (err)
		return err;
	question->tree = &question->cached->tree;
	err = flame_check_roots(question->tree, reader->catalog);
	if (!err)
		err = flame_reserve_scratch(question, question->tree->nodes.count);
	if (err)
		return err;
	memset(question->self.items, 0, question->tree->nodes.count * sizeof(uint64_t));
	question->sums = question->self.items;
	question->sum_count = question->tree->nodes.count;
	return sum_lists(question, reader, scope, level, picks, count);
}

static void end_scope(struct flame_question *question)
{
	question->cached = cached_release(question->cached);
	question->tree = NULL;
}

static int add_scope(struct flame_question *question, struct reader *reader, int64_t scope,
		     uint32_t level, const struct pick *picks, uint32_t count)
{
	int err = sum_scope(question, reader, scope, level, picks, count);

	if (!err)
		err = flame_merge_tree(question, reader);
	if (!err)
		flame_count_read(question);
	end_scope(question);
	return err;
}

/* Of all that was picked, which stays as it is: who looks at an hour looks at it again. */
static int summarize_host(struct flame_question *question, struct reader *reader, uint32_t type,
			  const struct pick *picks, uint32_t count, struct cached **ret)
{
	uint64_t hash = count;

	for (uint32_t i = 0; i < count; i++)
		hash = table_hash_bytes(&picks[i].piece.number, sizeof(picks[i].piece.number),
					hash);

	struct cache_key key = { .span = reader->span->id,
				 .segment = (uint32_t)hash,
				 .last_segment = (uint32_t)(hash >> 32),
				 .type = type,
				 .keep = (uint32_t)flame_keep_count(question) };
	int err = 0;

	*ret = cache_find(question->store->cache, key);
	if (*ret) {
		question->read_count = (*ret)->sample_count;
		return 0;
	}
	err = sum_scope(question, reader, CHRONICLE_HOST, UINT32_MAX, picks, count);
	if (!err)
		err = flame_summarize(question, key, ret);
	end_scope(question);
	return err;
}

static int add_host(struct flame_question *question, struct reader *reader, uint32_t type,
		    const struct pick *picks, uint32_t count)
{
	autoclean(cached) struct cached *summary = NULL;
	int err;

	if (type == 0)
		return add_scope(question, reader, CHRONICLE_HOST, UINT32_MAX, picks, count);
	err = summarize_host(question, reader, type, picks, count, &summary);
	if (!err)
		err = flame_merge_summary(question, reader, summary);
	if (!err)
		flame_count_read(question);
	return err;
}

static int note_service(void *context, struct reader *reader, uint32_t service)
{
	struct flame_question *question = context;

	if (!flame_wants_service(question, reader, service))
		return 0;
	if (array_reserve(&question->services, 1) < 0)
		return -ENOMEM;
	question->services.items[question->services.count++] = service;
	return 0;
}

static int add_services(struct flame_question *question, struct reader *reader,
			const struct pick *picks, uint32_t count)
{
	int err = 0;

	question->services.count = 0;
	err = reader_chronicle_services(reader, note_service);
	for (uint32_t i = 0; !err && i < question->services.count; i++)
		err = add_scope(question, reader, question->services.items[i], CHRONICLE_SPAN,
				picks, count);
	return err;
}

static bool has_level(const struct pick *picks, uint32_t count, uint32_t level)
{
	for (uint32_t i = 0; i < count; i++)
		if (picks[i].piece.level == level)
			return true;
	return false;
}

int flame_add_chronicle(void *context, struct reader *reader, const struct pick *picks,
			uint32_t count)
{
	struct flame_question *question = context;
	uint64_t before = question->merge.sample_count;
	uint32_t type;
	int err = 0;

	assert(question->rows != ROWS_LABEL);
	flame_start_span(question, reader);
	type = question->summary_type;
	question->summary_type = 0;
	if (!flame_is_by_service(question)) {
		err = add_host(question, reader, type, picks, count);
	} else {
		err = add_services(question, reader, picks, count);
		/* The host's tree may be large. */
		if (!err && has_level(picks, count, CHRONICLE_SEGMENT))
			err = add_scope(question, reader, CHRONICLE_HOST, CHRONICLE_SEGMENT, picks,
					count);
	}
	question->rolled_count =
		saturated_sum(question->rolled_count, question->merge.sample_count - before);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/braid.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/saturate.h"

enum {
	LEVEL_COUNT_MAX = 8192,
	FOLD_SHARE = 10000, /* nothing that weighs more than one of so many is folded */
};

/* In a strand's numbers, while it is walked: folded into this node's child, which has no number
 * yet. */
#define FOLDED	    (UINT32_C(1) << 31)
#define RANK_FOLDED UINT32_MAX /* stands last */

/* A strand that has the node that is open, and which of its nodes that is. */
struct member {
	uint32_t strand;
	uint32_t start;
};

/* A node that is open: what follows may lie below it. */
struct open_node {
	uint32_t number;
	uint32_t first_member;
	uint64_t samples;
	bool has_folded;
};

struct walk {
	struct braid *braid;
	uint64_t threshold; /* fewer samples than this are folded */
	ARRAY(struct open_node) path;
	/*
	 * Of all open nodes, the innermost one's last. Only they can have a child of it: most nodes
	 * are in one strand of a hundred, and the others need not be looked at.
	 */
	ARRAY(struct member) members;
};

static void strand_done(struct strand *strand)
{
	tree_done(&strand->locations);
	free(strand->numbers);
	free(strand->ranks);
}

void braid_clear(struct braid *braid)
{
	for (uint32_t i = 0; i < braid->strands.count; i++)
		strand_done(&braid->strands.items[i]);
	braid->strands.count = 0;
	/* Not kept: those of a large service, beside the places of the next one's locations, were a
	 * quarter of what joining took at once. */
	array_done(&braid->nodes);
	tree_done(&braid->locations);
}

void braid_done(struct braid *braid)
{
	braid_clear(braid);
	for (uint32_t i = 0; i < braid->codecs.count; i++)
		codec_free(braid->codecs.items[i]);
	array_done(&braid->codecs);
	array_done(&braid->strands);
}

/* That of the next strand, new or of a service before. */
static int find_codec(struct braid *braid, struct codec **ret)
{
	uint32_t number = braid->strands.count;
	int err = 0;

	if (number == braid->codecs.count) {
		err = array_reserve(&braid->codecs, 1);
		if (!err)
			err = codec_new(&braid->codecs.items[number]);
		if (!err)
			braid->codecs.count++;
	}
	if (!err)
		*ret = braid->codecs.items[number];
	return err;
}

int braid_add(struct braid *braid, const void *blob, size_t size, uint32_t build_count,
	      struct strand **ret)
{
	struct strand strand = { .has_node = false };
	struct codec *codec = NULL;
	int err = find_codec(braid, &codec);

	if (!err)
		err = tree_init(&strand.locations);
	if (!err)
		err = shape_open(codec, blob, size, build_count, &strand.locations, &strand.reader);
	if (!err)
		err = array_reserve(&braid->strands, 1);
	if (!err) {
		strand.numbers = calloc(strand.reader.node_count, sizeof(strand.numbers[0]));
		strand.ranks = calloc(strand.locations.builds.count, sizeof(strand.ranks[0]));
		err = strand.numbers && strand.ranks ? 0 : -ENOMEM;
	}
	if (err) {
		strand_done(&strand);
		return err;
	}
	braid->strands.items[braid->strands.count] = strand;
	*ret = &braid->strands.items[braid->strands.count++];
	return 0;
}

void strand_add_samples(struct strand *strand, uint32_t node, uint64_t count)
{
	uint32_t *samples = &strand->numbers[node];

	*samples = count < UINT32_MAX - *samples ? *samples + (uint32_t)count : UINT32_MAX;
}

/* ---- locations ------------------------------------------------------------------------------- */

/* Where a strand stands: at a location that was not taken yet. */
struct head {
	uint32_t build;
	uint32_t strand;
	uint64_t address;
	uint32_t location;
};

static int compare_heads(const struct head *x, const struct head *y)
{
	if (x->build != y->build)
		return x->build < y->build ? -1 : 1;
	return (x->address > y->address) - (x->address < y->address);
}

/* The least is the first; of two that stand below one, neither is less than that. */
static void sift_down(struct head *heads, uint32_t count, uint32_t place)
{
	struct head head = heads[place];

	for (;;) {
		uint32_t below = 2 * place + 1;

		if (below >= count)
			break;
		if (below + 1 < count && compare_heads(&heads[below + 1], &heads[below]) < 0)
			below++;
		if (compare_heads(&heads[below], &head) >= 0)
			break;
		heads[place] = heads[below];
		place = below;
	}
	heads[place] = head;
}

/* False: the strand has no more. */
static bool stand_at(const struct braid *braid, struct head *head, uint32_t location)
{
	const struct tree *tree = &braid->strands.items[head->strand].locations;

	if (location == tree->builds.count)
		return false;
	head->location = location;
	head->build = tree->builds.items[location];
	head->address = tree->addresses.items[location];
	return true;
}

/* The first one's strand goes on, or has no more. */
static int go_on(const struct braid *braid, struct head *heads, uint32_t *count)
{
	struct head before = heads[0];

	if (!stand_at(braid, &heads[0], before.location + 1))
		heads[0] = heads[--*count];
	/* Unless the file is damaged: addresses that went beyond the top. */
	else if (compare_heads(&before, &heads[0]) > 0)
		return -EBADMSG;
	if (*count > 0)
		sift_down(heads, *count, 0);
	return 0;
}

static uint32_t stand_at_first(const struct braid *braid, struct head *heads)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < braid->strands.count; i++) {
		heads[count].strand = i;
		count += stand_at(braid, &heads[count], TREE_RESERVED_COUNT);
	}
	for (uint32_t i = count / 2; i > 0; i--)
		sift_down(heads, count, i - 1);
	return count;
}

/*
 * All locations, each once and in order; a location's rank is its number among them. Each strand's
 * are in order: whoever stands at the least one goes on, and nothing is copied for it.
 */
static int join_locations(struct braid *braid)
{
	autofree struct head *heads = calloc((size_t)braid->strands.count + 1, sizeof(heads[0]));
	struct head last = { 0 };
	uint32_t count;
	int64_t rank = TREE_RESERVED_COUNT - 1;
	int err = heads ? tree_init(&braid->locations) : -ENOMEM;

	if (err)
		return err;
	count = stand_at_first(braid, heads);
	while (!err && count > 0) {
		struct head head = heads[0];

		if (rank < TREE_RESERVED_COUNT || compare_heads(&head, &last) != 0)
			rank = tree_add_location(&braid->locations, head.build, head.address);
		if (rank < 0)
			return rank == -ENOSPC ? -EFBIG : (int)rank;
		braid->strands.items[head.strand].ranks[head.location] = (uint32_t)rank;
		last = head;
		err = go_on(braid, heads, &count);
	}
	for (uint32_t i = 0; !err && i < braid->strands.count; i++) {
		struct strand *strand = &braid->strands.items[i];

		strand->ranks[TREE_CALLERS_MISSING] = TREE_CALLERS_MISSING;
		strand->ranks[TREE_FOLDED] = RANK_FOLDED;
		/* They are the braid's now. */
		tree_done(&strand->locations);
	}
	return err;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static int step(struct strand *strand)
{
	int more = shape_next(&strand->reader);

	strand->has_node = more > 0;
	return more < 0 ? more : 0;
}

static bool stands_on(const struct strand *strand, uint32_t level, uint32_t rank)
{
	return strand->has_node && strand->reader.level == level &&
	       strand->ranks[strand->reader.location] == rank;
}

/* The least location among the children of the innermost open node; false when there is none. */
static bool find_child(const struct walk *walk, uint32_t level, uint32_t *ret_rank)
{
	const struct braid *braid = walk->braid;
	bool found = false;

	for (uint32_t i = walk->path.items[level - 1].first_member; i < walk->members.count; i++) {
		const struct strand *strand = &braid->strands.items[walk->members.items[i].strand];
		uint32_t rank = strand->ranks[strand->reader.location];

		if (!strand->has_node || strand->reader.level != level ||
		    (found && rank >= *ret_rank))
			continue;
		*ret_rank = rank;
		found = true;
	}
	return found;
}

static int add_node(struct braid *braid, uint32_t level, uint32_t location)
{
	if (braid->nodes.count >= TREE_NODE_COUNT_MAX)
		return -EFBIG;
	if (array_reserve(&braid->nodes, 1) < 0)
		return -ENOMEM;
	braid->nodes.items[braid->nodes.count++] =
		(struct braid_node){ .level = (uint16_t)level, .location = location };
	return 0;
}

/* Takes the strand's node, which is one with the innermost open one. */
static int take_node(struct walk *walk, uint32_t number, struct open_node *node)
{
	struct strand *strand = &walk->braid->strands.items[number];
	uint32_t start = strand->reader.next - 1;

	walk->members.items[walk->members.count++] = (struct member){ number, start };
	node->samples = saturated_sum(node->samples, strand->numbers[start]);
	strand->numbers[start] = node->number;
	return step(strand);
}

/* Takes the node of this rank from all members of its parent that stand on it. */
static int open_node(struct walk *walk, uint32_t level, uint32_t rank)
{
	struct braid *braid = walk->braid;
	struct open_node node = { .number = braid->nodes.count,
				  .first_member = walk->members.count };
	uint32_t first = walk->path.items[level - 1].first_member;
	int err = add_node(braid, level, rank == RANK_FOLDED ? TREE_FOLDED : rank);

	assert(level == walk->path.count && level > 0);
	if (!err && (array_reserve(&walk->path, 1) < 0 ||
		     array_reserve(&walk->members, node.first_member - first) < 0))
		err = -ENOMEM;
	for (uint32_t i = first; !err && i < node.first_member; i++) {
		uint32_t number = walk->members.items[i].strand;

		if (stands_on(&braid->strands.items[number], level, rank))
			err = take_node(walk, number, &node);
	}
	if (!err)
		walk->path.items[walk->path.count++] = node;
	return err;
}

/* The service's root, whose location means nothing, and with which all strands begin. */
static int open_root(struct walk *walk)
{
	struct braid *braid = walk->braid;
	struct open_node root = { 0 };
	int err = add_node(braid, 0, TREE_CALLERS_MISSING);

	if (!err && (array_reserve(&walk->path, 1) < 0 ||
		     array_reserve(&walk->members, braid->strands.count) < 0))
		err = -ENOMEM;
	for (uint32_t i = 0; !err && i < braid->strands.count; i++) {
		err = step(&braid->strands.items[i]);
		if (!err)
			err = take_node(walk, i, &root);
	}
	if (!err)
		walk->path.items[walk->path.count++] = root;
	return err;
}

/* The node and all below it goes, and its strands' nodes lead to what its parent folded. */
static void fold_node(struct walk *walk, const struct open_node *node, struct open_node *parent)
{
	struct braid *braid = walk->braid;

	braid->nodes.count = node->number;
	parent->has_folded = true;
	for (uint32_t i = node->first_member; i < walk->members.count; i++) {
		struct member member = walk->members.items[i];
		struct strand *strand = &braid->strands.items[member.strand];
		uint32_t end = strand->reader.next - strand->has_node;

		for (uint32_t k = member.start; k < end; k++)
			strand->numbers[k] = parent->number | FOLDED;
	}
}

static int close_node(struct walk *walk)
{
	struct braid *braid = walk->braid;
	struct open_node node = walk->path.items[--walk->path.count];
	struct open_node *parent =
		walk->path.count ? &walk->path.items[walk->path.count - 1] : NULL;

	if (parent)
		parent->samples = saturated_sum(parent->samples, node.samples);
	if (parent && node.samples < walk->threshold)
		fold_node(walk, &node, parent);
	walk->members.count = node.first_member;
	if (parent && node.samples < walk->threshold)
		return 0;
	if (!node.has_folded)
		return 0;
	braid->nodes.items[node.number].folded = braid->nodes.count;
	return add_node(braid, braid->nodes.items[node.number].level + 1u, TREE_FOLDED);
}

static void resolve_folded(struct braid *braid)
{
	for (uint32_t i = 0; i < braid->strands.count; i++) {
		struct strand *strand = &braid->strands.items[i];

		for (uint32_t k = 0; k < strand->reader.node_count; k++)
			if (strand->numbers[k] & FOLDED)
				strand->numbers[k] =
					braid->nodes.items[strand->numbers[k] & ~FOLDED].folded;
	}
}

static uint64_t find_threshold(const struct braid *braid, uint32_t fold)
{
	uint64_t total = 0;
	uint64_t share = 0;

	for (uint32_t i = 0; i < braid->strands.count; i++)
		for (uint32_t k = 0; k < braid->strands.items[i].reader.node_count; k++)
			total = saturated_sum(total, braid->strands.items[i].numbers[k]);
	/* Fewer than fold, and, times FOLD_SHARE, less than the total. */
	share = total / FOLD_SHARE + (total % FOLD_SHARE != 0);
	return fold <= 1 ? 0 : share < fold ? share : fold;
}

/* The strand that has the innermost open node, where that is one alone. */
static struct strand *find_only_strand(const struct walk *walk)
{
	uint32_t first = walk->path.items[walk->path.count - 1].first_member;

	assert(walk->braid->strands.items);
	return walk->members.count - first == 1
		       ? &walk->braid->strands.items[walk->members.items[first].strand]
		       : NULL;
}

/* Takes the strand's node, as a child of the innermost open one. */
static int open_alone(struct walk *walk, uint32_t level, struct strand *strand)
{
	struct braid *braid = walk->braid;
	uint32_t rank = strand->ranks[strand->reader.location];
	struct open_node node = { .number = braid->nodes.count,
				  .first_member = walk->members.count };
	int err = add_node(braid, level, rank == RANK_FOLDED ? TREE_FOLDED : rank);

	if (!err && (array_reserve(&walk->path, 1) < 0 || array_reserve(&walk->members, 1) < 0))
		err = -ENOMEM;
	if (!err)
		err = take_node(walk, (uint32_t)(strand - braid->strands.items), &node);
	if (!err)
		walk->path.items[walk->path.count++] = node;
	return err;
}

/*
 * All that lies below the innermost open node. It has one strand, so what is below has none but
 * that, and comes in order: nothing is to be compared. Most nodes of most services are such.
 */
static int walk_alone(struct walk *walk, struct strand *strand)
{
	uint32_t top = walk->path.count;
	int err = 0;

	while (!err) {
		uint32_t level = walk->path.count;

		if (level < LEVEL_COUNT_MAX && strand->has_node && strand->reader.level == level)
			err = open_alone(walk, level, strand);
		else if (level > top)
			err = close_node(walk);
		else
			break;
	}
	return err;
}

static int walk_all(struct walk *walk)
{
	uint32_t rank = 0;
	int err = open_root(walk);

	while (!err && walk->path.count > 0) {
		uint32_t level = walk->path.count;
		struct strand *strand = find_only_strand(walk);

		if (strand) {
			err = walk_alone(walk, strand);
			if (!err)
				err = close_node(walk);
		} else if (level < LEVEL_COUNT_MAX && find_child(walk, level, &rank)) {
			err = open_node(walk, level, rank);
		} else {
			err = close_node(walk);
		}
	}
	return err;
}

int braid_weave(struct braid *braid, uint32_t fold)
{
	struct walk walk = { .braid = braid, .threshold = find_threshold(braid, fold) };
	int err = join_locations(braid);

	assert(braid->strands.count > 0);
	if (!err)
		err = walk_all(&walk);
	array_done(&walk.path);
	array_done(&walk.members);
	for (uint32_t i = 0; !err && i < braid->strands.count; i++)
		if (braid->strands.items[i].has_node)
			err = -EBADMSG; /* not in the order that was promised */
	if (!err)
		resolve_folded(braid);
	return err;
}

int braid_pack(const struct braid *braid, struct codec *codec, struct buf *ret)
{
	struct shape_writer writer;
	const struct tree *tree = &braid->locations;
	autofree uint32_t *numbers = calloc((size_t)tree->builds.count + 1, sizeof(numbers[0]));
	uint32_t level = 0; /* of the node before, + 1 */
	int err = 0;

	if (!numbers)
		return -ENOMEM;
	/* Locations of folded nodes alone are not needed. */
	for (uint32_t i = 1; i < braid->nodes.count; i++)
		numbers[braid->nodes.items[i].location] = 1;
	shape_writer_init(&writer);
	for (uint32_t i = TREE_RESERVED_COUNT; i < tree->builds.count; i++)
		if (numbers[i])
			numbers[i] = shape_add_location(&writer, tree->builds.items[i],
							tree->addresses.items[i]);
	for (uint32_t i = 0; i < TREE_RESERVED_COUNT; i++)
		numbers[i] = i;
	for (uint32_t i = 0; i < braid->nodes.count; i++) {
		const struct braid_node *node = &braid->nodes.items[i];

		shape_add_node(&writer, level - node->level, i ? numbers[node->location] : 0);
		level = node->level + 1u;
	}
	err = shape_pack(codec, &writer, ret);
	shape_writer_done(&writer);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/roll.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "store/catalog.h"
#include "store/columns.h"
#include "store/database.h"
#include "store/growth.h"
#include "store/number_sort.h"
#include "store/reader.h"
#include "store/roll_activity.h"
#include "store/segment.h"
#include "store/shape.h"
#include "store/word_map.h"

enum {
	LEVEL = 9,
	LEVEL_TREE = 6,	      /* 0.4 % more for half the time */
	LEVEL_LIST = 1,	      /* 9 takes four times as long for as many bytes */
	GROUP_COUNT_MAX = 64, /* profile types and periods of one piece */
};

/* In a scope's places: the node is folded into this node's child. */
#define FOLDED (UINT32_C(1) << 31)

static_assert(TREE_NODE_COUNT_MAX < FOLDED, "the bit is free");

/* What a node has of its own, and what it is weighed by, with all below: counts, or values. */
struct weight {
	uint64_t count;
	uint64_t value;
	uint64_t total;
};

/* What is added up together. */
struct group {
	uint32_t type; /* text of the span */
	uint64_t period;
	bool is_valued;
	uint64_t host_total; /* of all services: samples, or values where they are given */

	struct weight *weights; /* of the service that is read, by node, where it has some */
	uint32_t room;		/* for so many */
	bool is_there;		/* the service has some */
};

struct item {
	uint32_t node; /* of the scope */
	uint64_t count;
	uint64_t value;
};

struct items {
	ARRAY(struct item) items;
};

/* What the piece has of a tree of the chronicle. */
struct scope {
	int64_t number; /* CHRONICLE_HOST, or a text of the chronicle */
	struct segment tree;
	struct growth growth; /* when all of it is there */
	struct items lists[GROUP_COUNT_MAX];
	/* What is folded into one node mostly comes together. 0, without FOLDED: none yet. */
	uint32_t last_folded, last_folded_node;
};

struct rolling {
	const struct roll_options *options;
	sqlite3 *from, *to;
	sqlite3_stmt *select_blocks, *insert_list; /* kept from one service to the next */
	bool is_holding;			   /* a transaction of from's */
	struct word_map words;
	uint32_t written[CATALOG_KIND_COUNT];
	struct codec *codec, *packer;
	struct group groups[GROUP_COUNT_MAX];
	uint32_t group_count;
	struct piece piece;
	struct pool *labels; /* names of samples' own: the caller's */
	uint32_t *name_sets; /* by label set: that of its names in the chronicle, + 1 */
	bool in_chronicle;   /* what goes on is about that file */

	/* of the service that is read */
	struct tree tree;
	ARRAY(uint32_t) places;	   /* by node: in the scope, or FOLDED and its ancestor's */
	ARRAY(uint32_t) locations; /* by location: in the scope, + 1 */
	struct buf blob;
};

static void group_clear(struct group *group)
{
	free(group->weights);
	group->weights = NULL;
	group->room = 0;
}

static void rolling_cleanup(struct rolling *rolling)
{
	statement_cleanup(&rolling->select_blocks);
	statement_cleanup(&rolling->insert_list);
	if (rolling->is_holding)
		(void)database_execute(rolling->from, "COMMIT");
	if (rolling->from)
		connections_release(&rolling->options->from->connections, rolling->from);
	database_close(rolling->to);
	word_map_done(&rolling->words);
	codec_free(rolling->codec);
	codec_free(rolling->packer);
	for (uint32_t i = 0; i < rolling->group_count; i++)
		group_clear(&rolling->groups[i]);
	free(rolling->name_sets);
	tree_done(&rolling->tree);
	array_done(&rolling->places);
	array_done(&rolling->locations);
	buf_done(&rolling->blob);
}

static void scope_done(struct scope *scope)
{
	segment_done(&scope->tree);
	growth_done(&scope->growth);
	for (uint32_t i = 0; i < GROUP_COUNT_MAX; i++)
		array_done(&scope->lists[i].items);
}

static int scope_init(struct scope *scope, int64_t number)
{
	scope->number = number;
	return segment_init(&scope->tree, 1, 1);
}

/* ---- one service: its samples by node -------------------------------------------------------- */

static int find_group(struct rolling *rolling, sqlite3_stmt *row, struct group **ret)
{
	struct group wanted = { .type = (uint32_t)sqlite3_column_int64(row, 0),
				.period = (uint64_t)sqlite3_column_int64(row, 1),
				.is_valued = sqlite3_column_int(row, 2) != 0 };

	for (uint32_t i = 0; i < rolling->group_count; i++) {
		struct group *group = &rolling->groups[i];

		if (group->type == wanted.type && group->period == wanted.period &&
		    group->is_valued == wanted.is_valued) {
			*ret = group;
			return 0;
		}
	}
	if (rolling->group_count >= GROUP_COUNT_MAX)
		return -EOPNOTSUPP;
	*ret = &rolling->groups[rolling->group_count++];
	**ret = wanted;
	return 0;
}

static uint32_t first_segment(const struct rolling *rolling)
{
	return rolling->options->row ? rolling->options->row->number : 0;
}

static uint32_t last_segment(const struct rolling *rolling)
{
	return rolling->options->row ? rolling->options->row->number : UINT32_MAX;
}

static int add_entries(struct rolling *rolling, sqlite3_stmt *row, struct group *group,
		       uint64_t *ret_value)
{
	int64_t count = sqlite3_column_int64(row, 3);
	struct str blob = database_column(row, 4);
	uint32_t node_count = rolling->tree.nodes.count;
	struct entry_reader entries;
	int err = codec_unpack_entries(rolling->codec, blob.text, blob.size, &entries);

	for (int64_t i = 0; !err && i < count; i++) {
		struct entry entry;

		err = entry_reader_next(&entries, group->is_valued, &entry);
		if (err)
			break;
		*ret_value = saturated_sum(*ret_value, entry.value);
		if (!group->is_there)
			continue;
		if (entry.node >= node_count)
			return -EBADMSG;

		struct weight *weight = &group->weights[entry.node];

		weight->count = saturated_sum(weight->count, entry.count);
		weight->value = saturated_sum(weight->value, entry.value);
	}
	return err;
}

/* What the whole host has of each type. */
static int find_totals(struct rolling *rolling)
{
	autoclean(statement) sqlite3_stmt *row = NULL;
	int err = database_prepare(rolling->from,
				   "SELECT type, period, valued, entry_count, "
				   "CASE WHEN valued THEN entries END, samples FROM block "
				   "WHERE segment BETWEEN ? AND ?",
				   &row);

	if (err)
		return err;
	sqlite3_bind_int64(row, 1, first_segment(rolling));
	sqlite3_bind_int64(row, 2, last_segment(rolling));
	while ((err = database_step(row)) > 0) {
		struct group *group = NULL;
		uint64_t value = (uint64_t)sqlite3_column_int64(row, 5);

		err = find_group(rolling, row, &group);
		if (!err && group->is_valued) {
			value = 0;
			err = add_entries(rolling, row, group, &value);
		}
		if (err)
			return err;
		group->host_total = saturated_sum(group->host_total, value);
	}
	return err;
}

/* With the first that a service has; in memory that stays from one service to the next, with room
 * for some that are larger. */
static int make_weights(struct group *group, uint32_t node_count)
{
	if (group->is_there)
		return 0;
	if (node_count > group->room) {
		group_clear(group);
		group->room = node_count + node_count / 2;
		group->weights = pages_alloc((size_t)group->room * sizeof(group->weights[0]));
	}
	if (!group->weights)
		return -ENOMEM;
	memset(group->weights, 0, node_count * sizeof(group->weights[0]));
	group->is_there = true;
	return 0;
}

static void add_up(const struct rolling *rolling, const struct group *group)
{
	const struct tree_node *nodes = rolling->tree.nodes.items;
	struct weight *weights = group->weights;

	for (uint32_t i = rolling->tree.nodes.count; i-- > 0;) {
		struct weight *weight = &weights[i];
		uint32_t parent = nodes[i].parent;

		weight->total = saturated_sum(weight->total,
					      group->is_valued ? weight->value : weight->count);
		if (parent != TREE_NO_PARENT)
			weights[parent].total = saturated_sum(weights[parent].total, weight->total);
	}
}

static int read_service(struct rolling *rolling, sqlite3_stmt *tree, uint32_t service)
{
	struct str blob = database_column(tree, 1);
	sqlite3_stmt *row;
	uint32_t known = rolling->group_count;
	uint32_t first = 0;
	uint64_t ignored = 0;
	int err;

	for (uint32_t i = 0; i < known; i++)
		rolling->groups[i].is_there = false;
	tree_done(&rolling->tree);
	err = tree_init(&rolling->tree);
	if (!err)
		err = shape_unpack(rolling->codec, blob.text, blob.size,
				   catalog_count(&rolling->words.from, CATALOG_BUILD), service,
				   &rolling->tree, &first);
	if (!err)
		/* Segment by segment: the index begins with them. */
		err = database_prepare_once(
			rolling->from,
			"SELECT type, period, valued, entry_count, entries FROM segment CROSS JOIN "
			"block ON block.segment = segment.id "
			"WHERE segment.id BETWEEN ? AND ? AND service = ?",
			&rolling->select_blocks);
	if (err)
		return err;
	row = rolling->select_blocks;
	sqlite3_bind_int64(row, 1, first_segment(rolling));
	sqlite3_bind_int64(row, 2, last_segment(rolling));
	sqlite3_bind_int64(row, 3, service);
	while ((err = database_step(row)) > 0) {
		struct group *group = NULL;

		err = find_group(rolling, row, &group);
		/* All are known from the totals. */
		if (!err && rolling->group_count > known)
			err = -EBADMSG;
		if (!err)
			err = make_weights(group, rolling->tree.nodes.count);
		if (!err)
			err = add_entries(rolling, row, group, &ignored);
		if (err)
			return err;
	}
	for (uint32_t i = 0; !err && i < known; i++)
		if (rolling->groups[i].is_there)
			add_up(rolling, &rolling->groups[i]);
	return err;
}

/* ---- into a scope ---------------------------------------------------------------------------- */

static uint64_t threshold(const struct group *group, const struct scope *scope)
{
	bool is_host = scope->number == CHRONICLE_HOST;
	uint64_t own = group->is_there ? group->weights[0].total : 0;
	uint64_t total = is_host ? group->host_total : own;
	uint64_t share = is_host ? ROLL_HOST_SHARE : ROLL_SERVICE_SHARE;
	uint64_t least = total / share + (total % share != 0);

	if (!group->is_valued && total <= (is_host ? ROLL_HOST_QUIET : ROLL_SERVICE_QUIET))
		return 1;
	return group->is_valued || least > ROLL_SAMPLES ? least : ROLL_SAMPLES;
}

static bool weighs_enough(const struct rolling *rolling, const uint64_t *thresholds, uint32_t node)
{
	for (uint32_t i = 0; i < rolling->group_count; i++) {
		const struct group *group = &rolling->groups[i];

		if (group->is_there && group->weights[node].total >= thresholds[i] &&
		    group->weights[node].total > 0)
			return true;
	}
	return false;
}

static int64_t map_location(struct rolling *rolling, struct scope *scope, uint32_t location)
{
	uint32_t *known = &rolling->locations.items[location];
	int64_t build, address, number;

	if (location < TREE_RESERVED_COUNT)
		return location;
	if (*known)
		return *known - 1;
	build = rolling->tree.builds.items[location];
	address = (int64_t)rolling->tree.addresses.items[location];
	if (build == TREE_BUILD_NAMED)
		address = word_map_name(&rolling->words, (uint64_t)address);
	else
		build = word_map_build(&rolling->words, (uint32_t)build);
	if (build < 0 || (build == TREE_BUILD_NAMED && address < 0))
		return build < 0 ? build : address;
	number = segment_add_location(&scope->tree, (uint32_t)build, (uint64_t)address);
	if (number >= 0)
		*known = (uint32_t)number + 1;
	return number;
}

/* Where a node's own samples go, made when there are any. */
static int64_t find_place(struct rolling *rolling, struct scope *scope, uint32_t node)
{
	uint32_t place = rolling->places.items[node];
	int64_t folded;

	if (!(place & FOLDED))
		return place;
	if (place == scope->last_folded)
		return scope->last_folded_node;
	folded = segment_add_node(&scope->tree, place & ~FOLDED, TREE_FOLDED);
	if (folded >= 0) {
		scope->last_folded = place;
		scope->last_folded_node = (uint32_t)folded;
	}
	return folded;
}

static int place_node(struct rolling *rolling, struct scope *scope, uint32_t number,
		      const uint64_t *thresholds, uint32_t root)
{
	struct tree_node node = rolling->tree.nodes.items[number];
	uint32_t *places = rolling->places.items;
	int64_t place;

	if (node.parent == TREE_NO_PARENT) {
		place = segment_add_node(&scope->tree, TREE_NO_PARENT, root);
	} else if (places[node.parent] & FOLDED) {
		place = places[node.parent];
	} else if (node.location == TREE_FOLDED || !weighs_enough(rolling, thresholds, number)) {
		place = places[node.parent] | FOLDED;
	} else {
		place = map_location(rolling, scope, node.location);
		if (place >= 0)
			place = segment_add_node(&scope->tree, places[node.parent],
						 (uint32_t)place);
	}
	if (place < 0)
		return (int)place;
	places[number] = (uint32_t)place;
	return 0;
}

/* What lies in one node mostly comes together. */
static int add_item(struct items *list, uint32_t node, uint64_t count, uint64_t value)
{
	struct item *last;

	if (list->items.count > 0) {
		last = &list->items.items[list->items.count - 1];
		if (last->node == node) {
			last->count = saturated_sum(last->count, count);
			last->value = saturated_sum(last->value, value);
			return 0;
		}
	}
	if (array_reserve(&list->items, 1) < 0)
		return -ENOMEM;
	list->items.items[list->items.count++] = (struct item){ node, count, value };
	return 0;
}

static int add_items(struct rolling *rolling, struct scope *scope, uint32_t group_number)
{
	const struct group *group = &rolling->groups[group_number];
	struct items *list = &scope->lists[group_number];
	int err = 0;

	for (uint32_t i = 0; !err && i < rolling->tree.nodes.count; i++) {
		struct weight weight = group->weights[i];
		int64_t place;

		if (!weight.count && !weight.value)
			continue;
		place = find_place(rolling, scope, i);
		if (place < 0)
			return (int)place;
		err = add_item(list, (uint32_t)place, weight.count, weight.value);
	}
	return err;
}

/* The service that was read: its nodes and what they weigh. root: a text of the chronicle. */
static int add_service(struct rolling *rolling, struct scope *scope, uint32_t root)
{
	uint64_t thresholds[GROUP_COUNT_MAX];
	uint32_t node_count = rolling->tree.nodes.count;
	uint32_t location_count = rolling->tree.builds.count;
	int err = 0;

	rolling->places.count = rolling->locations.count = 0;
	if (array_reserve(&rolling->places, node_count) < 0 ||
	    array_reserve(&rolling->locations, location_count) < 0)
		return -ENOMEM;
	memset(rolling->locations.items, 0, location_count * sizeof(uint32_t));
	for (uint32_t i = 0; i < rolling->group_count; i++)
		thresholds[i] = threshold(&rolling->groups[i], scope);
	for (uint32_t i = 0; !err && i < node_count; i++)
		err = place_node(rolling, scope, i, thresholds, root);
	for (uint32_t i = 0; !err && i < rolling->group_count; i++)
		if (rolling->groups[i].is_there)
			err = add_items(rolling, scope, i);
	return err == -ENOSPC ? -E2BIG : err;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Numbers of items, by what their nodes are in the chronicle. */
static int sort_items(const struct items *list, const uint32_t *numbers, struct keyed **ret)
{
	uint32_t count = list->items.count;
	struct keyed *order = pages_alloc((2 * (size_t)count + 1) * sizeof(order[0]));

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		order[i] = (struct keyed){ .key = numbers[list->items.items[i].node], .number = i };
	number_sort(order, order + count, count);
	*ret = order;
	return 0;
}

static int pack_list(struct rolling *rolling, const struct scope *scope, uint32_t group_number,
		     uint32_t *ret_count)
{
	const struct items *list = &scope->lists[group_number];
	bool is_valued = rolling->groups[group_number].is_valued;
	autofree struct keyed *order = NULL;
	struct entry_writer writer;
	int err = sort_items(list, scope->growth.numbers, &order);

	if (err)
		return err;
	entry_writer_init(&writer);
	*ret_count = 0;
	for (uint32_t i = 0; i < list->items.count;) {
		struct entry entry = { .node = (uint32_t)order[i].key };

		for (; i < list->items.count && order[i].key == entry.node; i++) {
			const struct item *item = &list->items.items[order[i].number];

			entry.count = saturated_sum(entry.count, item->count);
			entry.value = saturated_sum(entry.value, item->value);
		}
		entry_writer_add(&writer, entry, is_valued);
		(*ret_count)++;
	}
	codec_set_level(rolling->packer, LEVEL_LIST);
	err = codec_pack_entries(rolling->packer, &writer, &rolling->blob);
	entry_writer_done(&writer);
	return err;
}

static int write_list(struct rolling *rolling, struct scope *scope, uint32_t group_number)
{
	const struct group *group = &rolling->groups[group_number];
	const struct items *list = &scope->lists[group_number];
	sqlite3_stmt *insert;
	uint32_t count = 0;
	int64_t type;
	int err;

	if (list->items.count == 0)
		return 0;
	type = word_map_text(&rolling->words, group->type);
	if (type < 0)
		return (int)type;
	err = pack_list(rolling, scope, group_number, &count);
	if (!err)
		err = database_prepare_once(rolling->to,
					    "INSERT INTO list (piece, scope, type, period, valued, "
					    "entry_count, entries) VALUES (?, ?, ?, ?, ?, ?, ?)",
					    &rolling->insert_list);
	if (err)
		return err;
	insert = rolling->insert_list;
	sqlite3_bind_int64(insert, 1, rolling->piece.number);
	sqlite3_bind_int64(insert, 2, scope->number);
	sqlite3_bind_int64(insert, 3, type);
	sqlite3_bind_int64(insert, 4, (int64_t)group->period);
	sqlite3_bind_int64(insert, 5, group->is_valued);
	sqlite3_bind_int64(insert, 6, count);
	database_bind_bytes(insert, 7, rolling->blob.bytes, rolling->blob.size);
	return database_run(insert);
}

static int scope_write(struct rolling *rolling, struct scope *scope)
{
	struct growth *growth = &scope->growth;
	int err;

	rolling->in_chronicle = true;
	err = growth_read(growth, rolling->to, rolling->codec, scope->number,
			  rolling->written[CATALOG_BUILD], &scope->tree);
	rolling->in_chronicle = false;
	codec_set_level(rolling->packer, LEVEL_TREE);
	if (!err)
		err = growth_write(growth, rolling->to, rolling->packer, scope->number,
				   rolling->piece.number);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	for (uint32_t i = 0; !err && i < rolling->group_count; i++)
		err = write_list(rolling, scope, i);
	return err;
}

/* ---- who had how much ------------------------------------------------------------------------ */

static int write_labels(struct rolling *rolling)
{
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err = database_prepare(rolling->to, "INSERT OR IGNORE INTO sample_label VALUES (?)",
				   &insert);

	for (uint32_t i = 0; !err && i < pool_count(rolling->labels); i++) {
		struct str label = pool_get(rolling->labels, i);

		database_bind_bytes(insert, 1, label.text, label.size);
		err = database_run(insert);
	}
	return err;
}

static int write_piece(struct rolling *rolling)
{
	const struct piece *piece = &rolling->piece;
	const struct activity_rolling activity = { .from = rolling->from,
						   .codec = rolling->codec,
						   .packer = rolling->packer,
						   .words = &rolling->words,
						   .labels = rolling->labels,
						   .name_sets = rolling->name_sets };
	autoclean(buf) struct buf pairs = BUF(COLUMNS_PLAIN_SIZE_MAX);
	autoclean(statement) sqlite3_stmt *insert = NULL;
	int err;

	codec_set_level(rolling->packer, LEVEL);
	err = roll_activity(&activity, first_segment(rolling), last_segment(rolling), &pairs,
			    &rolling->blob);
	if (!err)
		err = write_labels(rolling);
	if (!err)
		err = database_prepare(rolling->to,
				       "INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				       &insert);
	if (err)
		return err;
	sqlite3_bind_int64(insert, 1, piece->number);
	sqlite3_bind_int64(insert, 2, piece->level);
	sqlite3_bind_int64(insert, 3, (int64_t)piece->identity);
	sqlite3_bind_int64(insert, 4, piece->segment);
	sqlite3_bind_int64(insert, 5, piece->first_ms);
	sqlite3_bind_int64(insert, 6, piece->last_ms);
	sqlite3_bind_int64(insert, 7, piece->end_ms);
	sqlite3_bind_int64(insert, 8, (int64_t)piece->samples);
	sqlite3_bind_int64(insert, 9, piece->nodes);
	database_bind_bytes(insert, 10, pairs.bytes, pairs.size);
	database_bind_bytes(insert, 11, rolling->blob.bytes, rolling->blob.size);
	return database_run(insert);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int roll_service(struct rolling *rolling, uint32_t root)
{
	struct scope *scope = calloc(1, sizeof(*scope));
	int err = scope ? scope_init(scope, root) : -ENOMEM;

	if (!err)
		err = add_service(rolling, scope, root);
	if (!err)
		err = scope_write(rolling, scope);
	if (scope)
		scope_done(scope);
	free(scope);
	return err;
}

static const char select_own[] =
	"SELECT service, nodes FROM tree WHERE segment = ? ORDER BY service";
/* Of each service the one that holds for the segment. */
static const char select_shared[] =
	"SELECT service, nodes FROM tree WHERE id IN (SELECT id FROM (SELECT id, max(segment) "
	"FROM tree WHERE segment <= ? GROUP BY service)) ORDER BY id";

static int roll_services(struct rolling *rolling, struct scope *host)
{
	autoclean(statement) sqlite3_stmt *tree = NULL;
	bool shares_trees = rolling->options->from->shares_trees;
	int err = database_prepare(rolling->from, shares_trees ? select_shared : select_own, &tree);

	if (err)
		return err;
	sqlite3_bind_int64(tree, 1, first_segment(rolling));
	while ((err = database_step(tree)) > 0) {
		uint32_t service = (uint32_t)sqlite3_column_int64(tree, 0);
		int64_t root = word_map_text(&rolling->words, service);

		if (atomic_load(rolling->options->cancel))
			return -ECANCELED;
		err = root < 0 ? (int)root : read_service(rolling, tree, service);
		if (!err)
			err = add_service(rolling, host, (uint32_t)root);
		if (!err && rolling->piece.level == CHRONICLE_SPAN)
			err = roll_service(rolling, (uint32_t)root);
		if (err)
			return err;
	}
	return err;
}

static int open_files(struct rolling *rolling)
{
	const struct roll_options *options = rolling->options;
	int64_t number = 0;
	int err = connections_acquire(&options->from->connections, &rolling->from);

	if (!err)
		err = database_execute(rolling->from, "BEGIN");
	rolling->is_holding = !err;
	if (!err)
		err = catalog_read_numbered(&rolling->words.from, rolling->from);
	if (err)
		return err;
	rolling->in_chronicle = true;
	err = database_open(options->to, DATABASE_WRITE, &rolling->to);
	if (!err)
		err = database_execute(rolling->to, "BEGIN IMMEDIATE");
	if (!err)
		err = catalog_read(&rolling->words.to, rolling->to);
	if (!err)
		err = database_number(rolling->to, "SELECT coalesce(max(id), 0) + 1 FROM piece",
				      &number);
	if (!err)
		err = word_map_start(&rolling->words);
	rolling->name_sets = calloc((size_t)catalog_count(&rolling->words.from, CATALOG_LABELS) + 1,
				    sizeof(rolling->name_sets[0]));
	if (!rolling->name_sets)
		err = -ENOMEM;
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		rolling->written[kind] = catalog_count(&rolling->words.to, (enum catalog_kind)kind);
	rolling->piece.number = (uint32_t)number;
	rolling->in_chronicle = false;
	return err;
}

static int run(struct rolling *rolling, struct scope *host)
{
	int err = open_files(rolling);

	if (!err)
		err = find_totals(rolling);
	if (!err)
		err = scope_init(host, CHRONICLE_HOST);
	if (!err)
		err = roll_services(rolling, host);
	if (!err)
		err = scope_write(rolling, host);
	rolling->piece.nodes = host->growth.tree.nodes.count;
	if (!err)
		err = write_piece(rolling);
	if (err)
		return err;
	rolling->in_chronicle = true;
	err = catalog_write(&rolling->words.to, rolling->written, rolling->to);
	if (!err)
		err = database_execute(rolling->to, "COMMIT");
	return err;
}

static struct piece make_piece(const struct roll_options *options)
{
	const struct segment_row *row = options->row;
	const struct span *span = options->from;
	struct piece piece = { .identity = span->identity, .level = CHRONICLE_SPAN };

	if (row) {
		piece.level = CHRONICLE_SEGMENT;
		piece.segment = row->number;
		piece.first_ms = row->first_ms;
		piece.last_ms = row->last_ms;
		piece.end_ms = row->end_ms;
		piece.samples = row->samples;
		return piece;
	}
	piece.first_ms = span->first_ms;
	piece.last_ms = span->last_ms;
	piece.end_ms = span->end_ms;
	piece.samples = span->samples;
	return piece;
}

int roll_up(const struct roll_options *options, struct piece *ret, struct pool *labels,
	    bool *ret_is_chronicle)
{
	autoclean(rolling) struct rolling rolling = { .options = options,
						      .piece = make_piece(options),
						      .labels = labels,
						      .blob = BUF(COLUMNS_PLAIN_SIZE_MAX) };
	struct scope *host = calloc(1, sizeof(*host));
	int err = host ? word_map_init(&rolling.words) : -ENOMEM;

	assert(options->row || options->from->is_compact);
	if (!err)
		err = codec_new(&rolling.codec);
	if (!err)
		err = codec_new(&rolling.packer);
	if (!err)
		err = run(&rolling, host);
	if (host)
		scope_done(host);
	free(host);
	*ret = rolling.piece;
	*ret_is_chronicle = rolling.in_chronicle;
	return err;
}

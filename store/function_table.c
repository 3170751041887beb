/* SPDX-License-Identifier: Apache-2.0 */
#include "store/function_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "store/forest_walk.h"
#include "store/reader.h"

enum { FUNCTION_COUNT_MAX = 4 << 20 };

#define NOBODY UINT32_MAX
/* Stands for the count of a location's frames: first is its function itself. */
#define PLACE UINT32_MAX
/* The same of a location that is to be asked for. */
#define WANTED (UINT32_MAX - 1)

void function_table_init(struct function_table *functions, struct naming *naming, struct str search)
{
	*functions = (struct function_table){ .naming = naming, .search = search };
	table_init(&functions->table, FUNCTION_COUNT_MAX);
	table_init(&functions->place_table, FUNCTION_COUNT_MAX);
}

void function_table_done(struct function_table *functions)
{
	array_done(&functions->sums);
	array_done(&functions->places);
	array_done(&functions->by_frame);
	table_done(&functions->table);
	table_done(&functions->place_table);
}

/* ---- which functions ------------------------------------------------------------------------- */

static bool is_bare(const struct function_sum *sum)
{
	return sum->is_place && sum->kind == FLAME_UNNAMED;
}

static struct naming_place place_of(const struct function_table *functions,
				    const struct function_sum *sum)
{
	struct naming_place place = { .module = sum->module, .kind = sum->kind };

	if (is_bare(sum)) {
		place.address = sum->key;
		place.of = (uint8_t)sum->file;
	} else {
		place.address = functions->places.items[sum->name].address;
		place.build = functions->places.items[sum->name].build;
	}
	return place;
}

static struct str name_of(const struct function_table *functions, const struct function_sum *sum,
			  char text[static NAMING_PLACE_TEXT_SIZE_MAX])
{
	if (!sum->is_place)
		return naming_get(functions->naming, sum->name);

	struct naming_place place = place_of(functions, sum);

	return naming_place_text(functions->naming, &place, text);
}

static struct str file_of(const struct function_table *functions, const struct function_sum *sum)
{
	return is_bare(sum) ? (struct str){ 0 } : naming_get(functions->naming, sum->file);
}

static bool is_match(const struct function_table *functions, const struct function_sum *sum)
{
	char text[NAMING_PLACE_TEXT_SIZE_MAX];

	return functions->search.size == 0 ||
	       str_holds_caseless(name_of(functions, sum, text), functions->search) ||
	       str_holds_caseless(naming_get(functions->naming, sum->module), functions->search);
}

static bool equals(const void *context, uint32_t number, const void *key)
{
	const struct function_sum *sum =
		&((const struct function_table *)context)->sums.items[number];
	const struct function_sum *wanted = key;

	return sum->key == wanted->key && sum->module == wanted->module &&
	       is_bare(sum) == is_bare(wanted) && (!is_bare(sum) || sum->file == wanted->file);
}

static uint64_t hash_of(const struct function_sum *sum)
{
	uint64_t hash = sum->key * UINT64_C(0xff51afd7ed558ccd);

	hash = (hash ^ hash >> 32 ^ sum->module) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* The number of the function of this name, made when it is new; or a negative errno. */
static int64_t enter_sum(struct function_table *functions, const struct function_sum *wanted)
{
	uint64_t hash = hash_of(wanted);
	uint32_t number = table_find(&functions->table, hash, wanted, equals, functions);
	int err = 0;

	if (number != TABLE_NONE)
		return number;
	if (array_reserve(&functions->sums, 1) < 0)
		return -ENOMEM;
	err = table_add(&functions->table, hash);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	number = functions->sums.count++;
	functions->sums.items[number] = *wanted;
	functions->sums.items[number].is_match = is_match(functions, wanted);
	return number;
}

static uint64_t key_of(struct str name)
{
	return table_hash_bytes(name.text, name.size, 0);
}

static bool place_equals(const void *context, uint32_t number, const void *key)
{
	const struct function_place *place =
		&((const struct function_table *)context)->places.items[number];
	const struct naming_place *wanted = key;

	return place->address == wanted->address && place->build == wanted->build;
}

/* Of a function that is there for the first time: its name says which one it is. */
static int64_t add_place(struct function_table *functions, const struct naming_place *place,
			 uint64_t hash)
{
	char text[NAMING_PLACE_TEXT_SIZE_MAX];
	uint32_t number = functions->places.count;
	struct function_sum wanted = { .key = key_of(
					       naming_place_text(functions->naming, place, text)),
				       .name = number,
				       .module = place->module,
				       .kind = place->kind,
				       .is_place = true };

	if (array_reserve(&functions->places, 1) < 0)
		return -ENOMEM;

	int err = table_add(&functions->place_table, hash);

	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	functions->places.items[functions->places.count++] =
		(struct function_place){ place->address, place->build, 0 };

	int64_t sum = enter_sum(functions, &wanted);

	if (sum >= 0)
		functions->places.items[number].sum = (uint32_t)sum;
	return sum;
}

static int64_t find_place(struct function_table *functions, const struct naming_place *place)
{
	if (place->kind == FLAME_UNNAMED) {
		struct function_sum wanted = { .key = place->address,
					       .file = place->of,
					       .module = place->module,
					       .kind = FLAME_UNNAMED,
					       .is_place = true };

		return enter_sum(functions, &wanted);
	}

	uint64_t hash = table_hash_bytes(&place->address, sizeof(place->address), place->build);
	uint32_t number = table_find(&functions->place_table, hash, place, place_equals, functions);

	return number == TABLE_NONE ? add_place(functions, place, hash)
				    : functions->places.items[number].sum;
}

/* The sum of a frame's function. */
static int64_t find_sum(struct function_table *functions, uint32_t frame)
{
	if (array_extend(&functions->by_frame, frame + 1))
		return -ENOMEM;
	if (functions->by_frame.items[frame])
		return functions->by_frame.items[frame] - 1;

	struct frame_name name = naming_frame(functions->naming, frame);
	struct function_sum wanted = { .key = key_of(naming_get(functions->naming, name.name)),
				       .name = name.name,
				       .file = name.file,
				       .module = name.module,
				       .kind = name.kind };
	int64_t number = enter_sum(functions, &wanted);

	if (number < 0)
		return number;
	/* Another of its addresses may be one whose lines are known. */
	if (functions->sums.items[number].file == NAMING_TEXT_EMPTY)
		functions->sums.items[number].file = name.file;
	functions->by_frame.items[frame] = (uint32_t)number + 1;
	return number;
}

/* ---- walking a segment ----------------------------------------------------------------------- */

struct walk {
	struct function_table *functions;
	const struct catalog *catalog;
	const struct tree *tree;
	const struct forest *forest;
	struct frame_names *named; /* of the tree's locations: none, WANTED, or PLACE */
	uint32_t *first_child;
	uint32_t *next_sibling;
	uint32_t match_depth;
};

static int ask(struct walk *walk, uint32_t location)
{
	struct frame_names *named = &walk->named[location];
	struct naming_place place;
	int64_t number = 0;
	int err = naming_find_or_place(walk->functions->naming, walk->catalog,
				       walk->tree->builds.items[location],
				       walk->tree->addresses.items[location], named, &place);

	if (err || named->count > 0)
		return err;
	number = find_place(walk->functions, &place);
	if (number < 0)
		return (int)number;
	*named = (struct frame_names){ (uint32_t)number, PLACE };
	return 0;
}

static bool has_function(const struct walk *walk, uint32_t node)
{
	return walk->forest->nodes[node].parent != TREE_NO_PARENT &&
	       walk->forest->nodes[node].location != TREE_CALLERS_MISSING;
}

/* In the order of binaries: these are in memory one after the other. */
static int ask_all(struct walk *walk)
{
	uint32_t wanted_count = 0;

	for (uint32_t i = 0; i < walk->forest->count; i++)
		if (walk->forest->total[i] > 0 && has_function(walk, i))
			walk->named[walk->forest->nodes[i].location].count = WANTED;
	for (uint32_t i = 0; i < walk->tree->builds.count; i++)
		wanted_count += walk->named[i].count == WANTED;

	autofree uint32_t *wanted = malloc(((size_t)wanted_count + 1) * sizeof(wanted[0]));

	if (!wanted)
		return -ENOMEM;
	for (uint32_t i = 0, n = 0; i < walk->tree->builds.count; i++)
		if (walk->named[i].count == WANTED)
			wanted[n++] = i;

	int err = tree_order_by_build(walk->tree, catalog_count(walk->catalog, CATALOG_BUILD),
				      wanted, wanted_count);

	for (uint32_t i = 0; !err && i < wanted_count; i++)
		err = ask(walk, wanted[i]);
	return err;
}

/* Of what each is. What stands where callers are missing is no function. */
static struct frame_names frames_of(const struct walk *walk, uint32_t node)
{
	struct frame_names named = { 0 };

	if (has_function(walk, node))
		named = walk->named[walk->forest->nodes[node].location];
	if (named.count > 0 && named.count != PLACE &&
	    naming_frame(walk->functions->naming, named.first).kind == FLAME_TRUNCATED)
		return (struct frame_names){ 0 };
	return named;
}

static uint32_t count_of(struct frame_names frames)
{
	return frames.count == PLACE ? 1 : frames.count;
}

static int64_t function_of(struct walk *walk, struct frame_names frames, uint32_t index)
{
	return frames.count == PLACE ? frames.first
				     : find_sum(walk->functions, frames.first + index);
}

static int enter(struct walk *walk, uint32_t node)
{
	struct function_table *functions = walk->functions;
	uint64_t total = walk->forest->total[node];
	struct frame_names frames = frames_of(walk, node);
	uint32_t count = count_of(frames);

	for (uint32_t i = 0; i < count; i++) {
		int64_t number = function_of(walk, frames, i);

		if (number < 0)
			return (int)number;

		struct function_sum *sum = &functions->sums.items[number];

		if (sum->on_path == FUNCTION_DEPTH_MAX)
			return -EBADMSG;
		if (sum->on_path++ == 0)
			sum->total = saturated_sum(sum->total, total);
		if (sum->is_match && walk->match_depth++ == 0)
			functions->matched_total = saturated_sum(functions->matched_total, total);
		if (i == count - 1)
			sum->self = saturated_sum(sum->self, walk->forest->self[node]);
	}
	return 0;
}

static void leave(struct walk *walk, uint32_t node)
{
	struct frame_names frames = frames_of(walk, node);

	for (uint32_t i = 0; i < count_of(frames); i++) {
		int64_t number = function_of(walk, frames, i);

		assert(number >= 0);

		struct function_sum *sum = &walk->functions->sums.items[number];

		sum->on_path--;
		walk->match_depth -= sum->is_match;
	}
}

/* Depth first, without recursion: the depth is foreign. */
static int walk_tree(struct walk *walk, uint32_t root)
{
	uint32_t node = root;
	int err = enter(walk, node);

	while (!err) {
		if (walk->first_child[node] != NOBODY) {
			node = walk->first_child[node];
			err = enter(walk, node);
			continue;
		}
		leave(walk, node);
		while (node != root && walk->next_sibling[node] == NOBODY) {
			node = walk->forest->nodes[node].parent;
			leave(walk, node);
		}
		if (node == root)
			break;
		node = walk->next_sibling[node];
		err = enter(walk, node);
	}
	return err;
}

int function_table_add(struct function_table *functions, const struct catalog *catalog,
		       const struct tree *tree, const struct forest *forest)
{
	autofree struct frame_names *named =
		calloc((size_t)tree->builds.count + 1, sizeof(named[0]));
	autofree uint32_t *first_child = malloc(((size_t)forest->count + 1) * sizeof(uint32_t));
	autofree uint32_t *next_sibling = malloc(((size_t)forest->count + 1) * sizeof(uint32_t));
	struct walk walk = { .functions = functions,
			     .catalog = catalog,
			     .tree = tree,
			     .forest = forest,
			     .named = named,
			     .first_child = first_child,
			     .next_sibling = next_sibling };
	int err;

	if (!named || !first_child || !next_sibling)
		return -ENOMEM;
	err = ask_all(&walk);
	memset(first_child, 0xff, forest->count * sizeof(uint32_t));
	memset(next_sibling, 0xff, forest->count * sizeof(uint32_t));
	for (uint32_t i = forest->count; i-- > 0;) {
		uint32_t parent = forest->nodes[i].parent;

		if (parent == TREE_NO_PARENT || forest->total[i] == 0)
			continue;
		next_sibling[i] = first_child[parent];
		first_child[parent] = i;
	}
	for (uint32_t i = 0; !err && i < forest->count; i++) {
		if (forest->nodes[i].parent != TREE_NO_PARENT || forest->total[i] == 0)
			continue;
		functions->total = saturated_sum(functions->total, forest->total[i]);
		err = walk_tree(&walk, i);
		assert(err || walk.match_depth == 0);
	}
	return err;
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct order {
	const struct function_table *functions;
	bool by_total;
};

static int compare_texts(const struct function_table *functions, const struct function_sum *a,
			 const struct function_sum *b)
{
	const struct naming *naming = functions->naming;
	char a_text[NAMING_PLACE_TEXT_SIZE_MAX];
	char b_text[NAMING_PLACE_TEXT_SIZE_MAX];
	int difference = str_compare(name_of(functions, a, a_text), name_of(functions, b, b_text));

	return difference
		       ? difference
		       : str_compare(naming_get(naming, a->module), naming_get(naming, b->module));
}

static int compare_sums(const void *a, const void *b, void *context)
{
	const struct order *order = context;
	const struct function_sum *x = &order->functions->sums.items[*(const uint32_t *)a];
	const struct function_sum *y = &order->functions->sums.items[*(const uint32_t *)b];

	if (!order->by_total && x->self != y->self)
		return x->self > y->self ? -1 : 1;
	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	if (x->self != y->self)
		return x->self > y->self ? -1 : 1;
	return compare_texts(order->functions, x, y);
}

/* The first of all so far, as a heap whose top is the last of them. */
struct first {
	struct order order;
	uint32_t *items;
	uint32_t count;
	uint32_t limit;
};

static bool is_behind(struct first *first, uint32_t a, uint32_t b)
{
	return compare_sums(&first->items[a], &first->items[b], &first->order) > 0;
}

static void swap(struct first *first, uint32_t a, uint32_t b)
{
	uint32_t item = first->items[a];

	first->items[a] = first->items[b];
	first->items[b] = item;
}

static void sink(struct first *first)
{
	for (uint32_t i = 0, child = 1; child < first->count; child = 2 * i + 1) {
		if (child + 1 < first->count && is_behind(first, child + 1, child))
			child++;
		if (!is_behind(first, child, i))
			return;
		swap(first, i, child);
		i = child;
	}
}

static void offer(struct first *first, uint32_t number)
{
	if (first->count == first->limit) {
		if (first->limit == 0 ||
		    compare_sums(&number, &first->items[0], &first->order) >= 0)
			return;
		first->items[0] = number;
		sink(first);
		return;
	}
	first->items[first->count] = number;
	for (uint32_t i = first->count++; i > 0 && is_behind(first, i, (i - 1) / 2);
	     i = (i - 1) / 2)
		swap(first, i, (i - 1) / 2);
}

static struct str put(struct buf *texts, struct str text)
{
	buf_add(texts, text.text, text.size);
	return (struct str){ .size = text.size };
}

/* What was put next. */
static void point_to(struct str *text, const char **next)
{
	text->text = *next;
	*next += text->size;
}

/* A name is made once: symbols that come meanwhile may know another. */
static int write_rows(const struct function_table *functions, const uint32_t *order, uint32_t count,
		      struct functions *ret)
{
	autoclean(buf) struct buf texts = BUF(REPLY_SIZE_MAX);
	autofree struct function_row *rows = calloc((size_t)count + 1, sizeof(rows[0]));

	if (!rows)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const struct function_sum *sum = &functions->sums.items[order[i]];
		char text[NAMING_PLACE_TEXT_SIZE_MAX];

		rows[i].name = put(&texts, name_of(functions, sum, text));
		rows[i].module = put(&texts, naming_get(functions->naming, sum->module));
		rows[i].file = put(&texts, file_of(functions, sum));
		rows[i].kind = sum->kind;
		rows[i].self = sum->self;
		rows[i].total = sum->total;
	}
	buf_add_u8(&texts, '\0'); /* never NULL */
	if (texts.error)
		return texts.error;

	const char *next = (const char *)texts.bytes;

	for (uint32_t i = 0; i < count; i++) {
		point_to(&rows[i].name, &next);
		point_to(&rows[i].module, &next);
		point_to(&rows[i].file, &next);
	}
	ret->rows = TAKE(rows);
	ret->count = count;
	ret->texts = TAKE(texts.bytes);
	return 0;
}

int function_table_lay_out(const struct function_table *functions,
			   const struct functions_options *options, struct functions *ret)
{
	uint32_t limit =
		options->limit < functions->sums.count ? options->limit : functions->sums.count;
	autofree uint32_t *items = calloc((size_t)limit + 1, sizeof(items[0]));
	struct first first = { .order = { functions, options->by_total },
			       .items = items,
			       .limit = limit };
	struct functions answer = { .total = functions->total,
				    .matched_total = functions->matched_total };

	if (!items)
		return -ENOMEM;
	for (uint32_t i = 0; i < functions->sums.count; i++) {
		if (!functions->sums.items[i].is_match)
			continue;
		offer(&first, i);
		answer.matched_count++;
		answer.matched_self =
			saturated_sum(answer.matched_self, functions->sums.items[i].self);
	}
	qsort_r(items, first.count, sizeof(items[0]), compare_sums, &first.order);

	int err = write_rows(functions, items, first.count, &answer);

	if (!err)
		*ret = answer;
	return err;
}

void functions_done(struct functions *functions)
{
	free(functions->rows);
	free(functions->texts);
	*functions = (struct functions){ 0 };
}

/* ---- the question ---------------------------------------------------------------------------- */

struct functions_question {
	const struct functions_options *options;
	struct function_table table;
	struct functions *ret;
};

static void start_question(void *context, struct naming *naming)
{
	struct functions_question *question = context;

	function_table_done(&question->table);
	function_table_init(&question->table, naming, question->options->search);
	naming_hold_few(naming);
}

static int add_forest(void *context, const struct catalog *catalog, const struct tree *tree,
		      const struct forest *forest)
{
	return function_table_add(&((struct functions_question *)context)->table, catalog, tree,
				  forest);
}

static int finish_question(void *context)
{
	struct functions_question *question = context;

	return function_table_lay_out(&question->table, question->options, question->ret);
}

int store_functions(struct store *store, const struct store_question *asked,
		    const struct functions_options *options, struct functions *ret)
{
	struct functions_question question = { .options = options, .ret = ret };
	int err = store_walk_forests(store, asked,
				     &(struct forest_walk){ .start = start_question,
							    .add = add_forest,
							    .finish = finish_question,
							    .keeps_functions = true,
							    .context = &question });

	function_table_done(&question.table);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/merge.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/reader.h"

static uint64_t hash_key(const struct merge *merge, const struct merge_node *node)
{
	uint64_t hash = ((uint64_t)node->parent << 32 | node->name) * UINT64_C(0x9e3779b97f4a7c15);

	if (merge->by_module)
		hash ^= node->module * UINT64_C(0xff51afd7ed558ccd);
	if (merge->by_line)
		hash ^= (((uint64_t)node->file << 32 | node->line) ^
			 (uint64_t)node->detail * UINT64_C(0x165667b19e3779f9)) *
			UINT64_C(0xc2b2ae3d27d4eb4f);
	return hash ^ hash >> 32;
}

static bool equals(const void *context, uint32_t number, const void *key)
{
	const struct merge *merge = context;
	const struct merge_node *node = &merge->nodes.items[number];
	const struct merge_node *wanted = key;

	return node->parent == wanted->parent && node->name == wanted->name &&
	       (!merge->by_module || node->module == wanted->module) &&
	       (!merge->by_line ||
		(node->file == wanted->file && node->line == wanted->line &&
		 node->detail == wanted->detail && node->inlined == wanted->inlined)) &&
	       number != MERGE_ROOT;
}

int64_t merge_child(struct merge *merge, uint32_t parent, struct frame_name frame)
{
	struct merge_node node = {
		.parent = parent,
		.name = frame.name,
		.module = frame.module,
		.detail = frame.detail,
		.file = frame.file,
		.line = frame.line,
		.kind = frame.kind,
		.inlined = frame.inlined,
		.interpreted = frame.interpreted,
	};
	uint64_t hash = hash_key(merge, &node);
	uint32_t found = table_find(&merge->table, hash, &node, equals, merge);

	if (found != TABLE_NONE)
		return found;
	if (array_reserve(&merge->nodes, 1) < 0 || array_reserve(&merge->hidden, 1) < 0)
		return -ENOMEM;
	merge->nodes.items[merge->nodes.count] = node;
	merge->hidden.items[merge->nodes.count] = 0;

	int err = table_add(&merge->table, hash);

	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	merge->hidden.count++;
	return merge->nodes.count++;
}

int merge_start(struct merge *merge, struct naming *naming, bool by_module)
{
	int64_t name = naming_text(naming, STR("total"));

	merge->nodes.count = merge->hidden.count = 0;
	table_clear(&merge->table);
	merge->table.count_max = MERGE_NODE_COUNT_MAX;
	merge->sample_count = 0;
	merge->by_module = by_module;
	merge->by_line = false;
	if (name < 0)
		return (int)name;

	int64_t root =
		merge_child(merge, MERGE_ROOT,
			    (struct frame_name){ .name = (uint32_t)name, .kind = FLAME_ROOT });

	assert(root <= MERGE_ROOT);
	return root < 0 ? (int)root : 0;
}

void merge_weigh(struct merge *merge, uint32_t node, uint64_t self, uint64_t total)
{
	struct merge_node *weighed = &merge->nodes.items[node];

	assert(node < merge->nodes.count);
	weighed->self = saturated_sum(weighed->self, self);
	weighed->total = saturated_sum(weighed->total, total);
}

void merge_place(struct merge *merge, uint32_t node, struct frame_name frame, uint64_t weight)
{
	struct merge_node *placed = &merge->nodes.items[node];

	assert(node < merge->nodes.count);
	if (weight <= placed->placed)
		return;
	placed->placed = weight;
	placed->file = frame.file;
	placed->line = frame.line;
	placed->inlined = frame.inlined;
	placed->interpreted = frame.interpreted;
}

void merge_done(struct merge *merge)
{
	array_done(&merge->nodes);
	array_done(&merge->hidden);
	table_done(&merge->table);
}

size_t merge_memory(const struct merge *merge)
{
	return merge->nodes.capacity * sizeof(merge->nodes.items[0]) +
	       merge->hidden.capacity * sizeof(merge->hidden.items[0]) +
	       merge->table.slot_count * sizeof(merge->table.slots[0]);
}

/* ---- call sites ------------------------------------------------------------------------------ */

enum place {
	OUTSIDE,
	ON_PATH, /* a caller of the site; depth tells how far the path went */
	BELOW,
};

struct placed {
	uint8_t place; /* enum place */
	uint32_t depth;
};

static struct placed place_node(const struct merge_node *node, struct placed parent,
				const int64_t *names, size_t count, bool groups)
{
	if (parent.place != ON_PATH)
		return parent;
	if (groups && node->parent == MERGE_ROOT)
		return (struct placed){ ON_PATH, 0 };
	if (parent.depth < count && names[parent.depth] != node->name)
		return (struct placed){ OUTSIDE, 0 };
	return (struct placed){ parent.depth + 1 >= count ? BELOW : ON_PATH, parent.depth + 1 };
}

int merge_keep_call_site(struct merge *merge, struct naming *naming, const struct str *path,
			 size_t count, bool groups)
{
	autofree int64_t *names = calloc(count, sizeof(names[0]));
	autofree struct placed *placed = calloc(merge->nodes.count, sizeof(placed[0]));
	uint64_t before = merge->nodes.items[MERGE_ROOT].total;

	assert(count > 0);
	if (!names || !placed)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		names[i] = naming_text(naming, path[i]);
		if (names[i] < 0)
			return (int)names[i];
	}
	placed[MERGE_ROOT].place = ON_PATH;
	for (uint32_t i = 1; i < merge->nodes.count; i++)
		placed[i] = place_node(&merge->nodes.items[i], placed[merge->nodes.items[i].parent],
				       names, count, groups);
	for (uint32_t i = 0; i < merge->nodes.count; i++)
		if (placed[i].place != BELOW) {
			merge->nodes.items[i].self = 0;
			merge->nodes.items[i].total = 0;
			merge->hidden.items[i] = 0;
		}
	/* What is on the path is worth what lies below it; children stand after their parents. */
	for (uint32_t i = merge->nodes.count - 1; i > 0; i--) {
		const struct merge_node *node = &merge->nodes.items[i];

		if (placed[node->parent].place == ON_PATH)
			merge->nodes.items[node->parent].total += node->total;
	}

	/* Samples weigh the same but for what their senders say: exact for those that are taken
	 * here. */
	uint64_t after = merge->nodes.items[MERGE_ROOT].total;

	if (before > 0)
		merge->sample_count =
			(uint64_t)((unsigned __int128)merge->sample_count * after / before);
	return 0;
}

/* ---- cutting --------------------------------------------------------------------------------- */

/* The value at this place in descending order; C. A. R. Hoare's FIND. Mixes up the values. */
static uint64_t select_descending(uint64_t *values, uint32_t count, uint32_t place)
{
	uint32_t low = 0;
	uint32_t high = count - 1;

	assert(place < count);
	while (low < high) {
		uint64_t pivot = values[low + (high - low) / 2];
		uint32_t i = low;
		uint32_t j = high;

		for (;;) {
			while (values[i] > pivot)
				i++;
			while (values[j] < pivot)
				j--;
			if (i >= j)
				break;

			uint64_t swapped = values[i];

			values[i++] = values[j];
			values[j--] = swapped;
		}
		/* [low, j] are no less than what follows. */
		if (place <= j)
			high = j;
		else
			low = j + 1;
	}
	return values[low];
}

/* The n-th largest total, the root not counted; 1 when there are no more than n. */
static int find_threshold(const struct merge *merge, uint32_t node_count_max, uint64_t *ret)
{
	autofree uint64_t *totals = calloc(merge->nodes.count, sizeof(totals[0]));
	uint32_t count = 0;

	if (!totals)
		return -ENOMEM;
	for (uint32_t i = 1; i < merge->nodes.count; i++)
		if (merge->nodes.items[i].total > 0)
			totals[count++] = merge->nodes.items[i].total;
	*ret = 1;
	if (count <= node_count_max || node_count_max == 0)
		return 0;
	*ret = select_descending(totals, count, node_count_max - 1);
	return 0;
}

/* What is kept, in the order of the answer's parents and, below each, of the names. */
struct layout {
	struct merge *merge;
	struct naming *naming;
	uint64_t threshold;
	uint32_t *order; /* kept nodes but the root, siblings side by side by name */
	uint32_t order_count;
	uint32_t *first_child; /* index into order, for each node */
	uint32_t *child_count;
	uint32_t *hidden; /* nodes left out below each that is kept */
	void *memory;
};

static bool is_kept(const struct layout *layout, uint32_t node)
{
	return node == MERGE_ROOT || layout->merge->nodes.items[node].total >= layout->threshold;
}

static int compare_siblings(const void *a, const void *b, void *context)
{
	const struct layout *layout = context;
	const struct merge_node *x = &layout->merge->nodes.items[*(const uint32_t *)a];
	const struct merge_node *y = &layout->merge->nodes.items[*(const uint32_t *)b];

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;

	int order = str_compare(naming_get(layout->naming, x->name),
				naming_get(layout->naming, y->name));

	if (!order)
		order = str_compare(naming_get(layout->naming, x->module),
				    naming_get(layout->naming, y->module));
	return order ? order : (x > y) - (x < y);
}

static int layout_init(struct layout *layout)
{
	const struct merge *merge = layout->merge;
	uint32_t count = merge->nodes.count;

	layout->memory = calloc((size_t)count * 4, sizeof(uint32_t));
	if (!layout->memory)
		return -ENOMEM;
	layout->order = layout->memory;
	layout->first_child = layout->order + count;
	layout->child_count = layout->first_child + count;
	layout->hidden = layout->child_count + count;
	for (uint32_t i = count; i-- > 0;) {
		const struct merge_node *node = &merge->nodes.items[i];

		layout->hidden[i] += merge->hidden.items[i];
		if (!is_kept(layout, i) && node->total > 0)
			layout->hidden[node->parent] += 1 + layout->hidden[i];
		if (i > 0 && is_kept(layout, i))
			layout->order[layout->order_count++] = i;
	}
	qsort_r(layout->order, layout->order_count, sizeof(layout->order[0]), compare_siblings,
		layout);
	for (uint32_t i = 0; i < layout->order_count; i++) {
		uint32_t parent = merge->nodes.items[layout->order[i]].parent;

		if (layout->child_count[parent]++ == 0)
			layout->first_child[parent] = i;
	}
	return 0;
}

/* The answer while it is written. */
struct writer {
	struct flame_node *nodes;
	uint32_t count;
	uint32_t *names; /* the naming's text to the answer's name */
	uint32_t *texts; /* and back */
	uint32_t name_count;
	size_t text_size;
	/* Of graphs by_line: the naming's numbers to the answer's, 0 for none yet, and what they
	 * say. */
	uint32_t *place_of, *binary_of;
	ARRAY(struct flame_place) places;
	ARRAY(struct flame_binary) binaries;
};

static uint32_t write_name(struct writer *writer, const struct naming *naming, uint32_t text)
{
	if (text == NAMING_TEXT_EMPTY)
		return 0;
	if (writer->names[text] == 0) {
		writer->names[text] = writer->name_count;
		writer->texts[writer->name_count++] = text;
		writer->text_size += naming_get(naming, text).size;
	}
	return writer->names[text];
}

static int64_t write_binary(struct writer *writer, const struct naming *naming, uint32_t number)
{
	struct naming_binary binary = naming_binary(naming, number);

	if (number == 0 || writer->binary_of[number])
		return writer->binary_of[number];
	if (array_reserve(&writer->binaries, 1) < 0)
		return -ENOMEM;
	writer->binaries.items[writer->binaries.count] =
		(struct flame_binary){ .path = write_name(writer, naming, binary.path),
				       .build_id = write_name(writer, naming, binary.build_id),
				       .flags = binary.flags,
				       .start = binary.start,
				       .limit = binary.limit,
				       .offset = binary.offset };
	writer->binary_of[number] = writer->binaries.count;
	return writer->binaries.count++;
}

static int64_t write_place(struct writer *writer, const struct naming *naming, uint32_t number)
{
	struct naming_detail detail = naming_detail(naming, number);

	if (number == 0 || writer->place_of[number])
		return writer->place_of[number];

	int64_t binary = write_binary(writer, naming, detail.binary);

	if (binary < 0)
		return binary;
	if (array_reserve(&writer->places, 1) < 0)
		return -ENOMEM;
	writer->places.items[writer->places.count] = (struct flame_place){
		.system_name = detail.system_name == NAMING_OWN_NAME
				       ? (uint32_t)FLAME_OWN_NAME
				       : write_name(writer, naming, detail.system_name),
		.start_line = detail.start_line,
		.binary = (uint32_t)binary,
		.address = detail.address,
		.is_bare = detail.is_bare,
	};
	writer->place_of[number] = writer->places.count;
	return writer->places.count++;
}

static int write_places(const struct layout *layout, struct writer *writer)
{
	int64_t place = 0;

	for (uint32_t i = 0; place >= 0 && i < layout->order_count; i++)
		place = write_place(writer, layout->naming,
				    layout->merge->nodes.items[layout->order[i]].detail);
	return place < 0 ? (int)place : 0;
}

static uint32_t write_node(struct layout *layout, struct writer *writer, uint32_t number,
			   uint32_t parent)
{
	const struct merge_node *node = &layout->merge->nodes.items[number];

	writer->nodes[writer->count] = (struct flame_node){
		.self = node->self,
		.total = node->total,
		.parent = parent,
		.name = write_name(writer, layout->naming, node->name),
		.module = write_name(writer, layout->naming, node->module),
		.file = write_name(writer, layout->naming, node->file),
		.line = node->line,
		.place = writer->place_of ? writer->place_of[node->detail] : 0,
		.kind = node->kind,
		.inlined = node->inlined,
		.interpreted = node->interpreted,
	};
	return writer->count++;
}

/* Stands last below a node for what was left out there. */
static void write_more(struct layout *layout, struct writer *writer, uint32_t number,
		       uint32_t parent, uint32_t more_text)
{
	const struct merge_node *node = &layout->merge->nodes.items[number];
	uint64_t known = node->self;

	for (uint32_t i = 0; i < layout->child_count[number]; i++) {
		uint32_t child = layout->order[layout->first_child[number] + i];

		known += layout->merge->nodes.items[child].total;
	}
	/* Saturated sums may not add up. */
	if (node->total <= known)
		return;

	uint64_t rest = node->total - known;

	writer->nodes[writer->count++] = (struct flame_node){
		.self = rest,
		.total = rest,
		.parent = parent,
		.name = write_name(writer, layout->naming, more_text),
		.hidden = layout->hidden[number] ? layout->hidden[number] : 1,
		.kind = FLAME_MORE,
	};
}

struct step {
	uint32_t node;
	uint32_t place; /* in the answer */
	uint32_t next;	/* child to go to */
};

/* In preorder, without recursion: the depth is foreign. */
static int write_nodes(struct layout *layout, struct writer *writer, uint32_t more_text)
{
	autofree struct step *steps = calloc((size_t)layout->order_count + 2, sizeof(steps[0]));
	uint32_t depth = 1;

	if (!steps)
		return -ENOMEM;
	steps[0] = (struct step){ MERGE_ROOT, write_node(layout, writer, MERGE_ROOT, 0), 0 };
	while (depth > 0) {
		struct step *top = &steps[depth - 1];

		if (top->next == layout->child_count[top->node]) {
			write_more(layout, writer, top->node, top->place, more_text);
			depth--;
			continue;
		}

		uint32_t child = layout->order[layout->first_child[top->node] + top->next++];

		steps[depth++] =
			(struct step){ child, write_node(layout, writer, child, top->place), 0 };
	}
	return 0;
}

/* All that the answer consists of in one piece of memory, what wants the most alignment first. */
static int copy_out(const struct naming *naming, const struct writer *writer, struct flame *ret)
{
	size_t size = writer->count * sizeof(struct flame_node) +
		      writer->places.count * sizeof(struct flame_place) +
		      writer->binaries.count * sizeof(struct flame_binary) +
		      writer->name_count * sizeof(struct str) + writer->text_size;
	uint8_t *memory = malloc(size);

	if (!memory)
		return -ENOMEM;
	ret->memory = memory;
	ret->nodes = (struct flame_node *)memory;
	ret->places = (struct flame_place *)(ret->nodes + writer->count);
	ret->binaries = (struct flame_binary *)(ret->places + writer->places.count);
	ret->names = (struct str *)(ret->binaries + writer->binaries.count);
	memcpy(ret->nodes, writer->nodes, writer->count * sizeof(ret->nodes[0]));
	memcpy(ret->places, writer->places.items, writer->places.count * sizeof(ret->places[0]));
	memcpy(ret->binaries, writer->binaries.items,
	       writer->binaries.count * sizeof(ret->binaries[0]));

	char *next = (char *)(ret->names + writer->name_count);

	ret->names[0] = (struct str){ "", 0 };
	for (uint32_t i = 1; i < writer->name_count; i++) {
		struct str text = naming_get(naming, writer->texts[i]);

		memcpy(next, text.text, text.size);
		ret->names[i] = (struct str){ next, text.size };
		next += text.size;
	}
	ret->node_count = writer->count;
	ret->name_count = writer->name_count;
	ret->place_count = writer->places.count;
	ret->binary_count = writer->binaries.count;
	for (uint32_t i = 0; i < writer->count; i++) {
		const struct flame_node *node = &ret->nodes[i];

		if (node->self > ret->max_self)
			ret->max_self = node->self;
		ret->hidden_count += node->hidden;
	}
	return 0;
}

/* The first place and the first binary say nothing. */
static int start_places(struct writer *writer, const struct layout *layout)
{
	if (array_reserve(&writer->places, 1) < 0 || array_reserve(&writer->binaries, 1) < 0)
		return -ENOMEM;
	writer->places.items[writer->places.count++] =
		(struct flame_place){ .system_name = FLAME_OWN_NAME };
	writer->binaries.items[writer->binaries.count++] = (struct flame_binary){ 0 };
	return writer->place_of ? write_places(layout, writer) : 0;
}

static int write_layout(struct layout *layout, struct flame *ret)
{
	int64_t more_text = naming_text(layout->naming, STR("more"));
	uint32_t text_count = naming_count(layout->naming);
	uint32_t detail_count = naming_detail_count(layout->naming);
	bool by_line = layout->merge->by_line;
	/* Each node that is kept may have one "more". */
	autofree struct flame_node *nodes =
		calloc(2 * ((size_t)layout->order_count + 1), sizeof(nodes[0]));
	autofree uint32_t *names = calloc((size_t)text_count * 2 + 1, sizeof(names[0]));
	autofree uint32_t *places =
		by_line ? calloc((size_t)detail_count + naming_binary_count(layout->naming),
				 sizeof(places[0]))
			: NULL;
	struct writer writer = { .nodes = nodes, .names = names, .name_count = 1 };

	if (more_text < 0)
		return (int)more_text;
	if (!nodes || !names || (by_line && !places))
		return -ENOMEM;
	writer.texts = names + text_count;
	writer.place_of = places;
	writer.binary_of = places ? places + detail_count : NULL;

	int err = start_places(&writer, layout);

	if (!err)
		err = write_nodes(layout, &writer, (uint32_t)more_text);
	if (!err)
		err = copy_out(layout->naming, &writer, ret);
	array_done(&writer.places);
	array_done(&writer.binaries);
	return err;
}

int merge_lay_out(struct merge *merge, struct naming *naming, uint32_t node_count_max,
		  struct flame *ret)
{
	struct layout layout = { .merge = merge, .naming = naming };
	struct flame flame = { .sample_count = merge->sample_count };
	int err = find_threshold(merge, node_count_max, &layout.threshold);

	if (!err)
		err = layout_init(&layout);
	if (!err)
		err = write_layout(&layout, &flame);
	free(layout.memory);
	if (err)
		return err;
	*ret = flame;
	return 0;
}

void flame_done(struct flame *flame)
{
	free(flame->memory);
	*flame = (struct flame){ 0 };
}

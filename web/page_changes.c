/* SPDX-License-Identifier: Apache-2.0 */
/* What changed: services against an earlier time, and where in them. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

enum {
	/* Of either graph; what is lighter than the 4096th node changes nothing that one sees. */
	NODE_COUNT_MAX = 4096,
	BASE_MS_DEFAULT = 30 * 60 * 1000,
	NOWHERE = UINT32_MAX,
};

/* Less than what the page can show is no change. */
static const double change_min_cores = 0.01;
/* One child with so much of a change carries it on. */
static const double heir_share = 0.7;
/* A frame by which the relative change grows so much is nearer to where it lies. */
static const double nearer = 1.05;

/* ---- two graphs as one ------------------------------------------------------------------------
 */

/* One of the two times. */
struct side {
	struct flame flame;
	struct recorded_time recorded;
	int64_t recorded_ms;
	uint32_t *first_child; /* of each node, or NOWHERE */
	uint32_t *next_sibling;
};

enum { NOW, BASE, SIDE_COUNT };

/* The same frame in both, as far as it is there. */
struct pair {
	uint32_t nodes[SIDE_COUNT];
};

struct changes {
	struct side sides[SIDE_COUNT];
	struct time_range ranges[SIDE_COUNT];
};

static int link_children(struct side *side)
{
	uint32_t count = side->flame.node_count;

	side->first_child = malloc(count * sizeof(side->first_child[0]));
	side->next_sibling = malloc(count * sizeof(side->next_sibling[0]));
	if (!side->first_child || !side->next_sibling)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		side->first_child[i] = side->next_sibling[i] = NOWHERE;
	for (uint32_t i = count; i-- > 1;) {
		uint32_t parent = side->flame.nodes[i].parent;

		side->next_sibling[i] = side->first_child[parent];
		side->first_child[parent] = i;
	}
	return 0;
}

static double cores_of(const struct changes *changes, struct pair pair, int which)
{
	const struct side *side = &changes->sides[which];

	if (pair.nodes[which] == NOWHERE)
		return 0;
	return page_cores(side->flame.nodes[pair.nodes[which]].total, side->recorded_ms);
}

static double change_of(const struct changes *changes, struct pair pair)
{
	return cores_of(changes, pair, NOW) - cores_of(changes, pair, BASE);
}

static double relative_change(const struct changes *changes, struct pair pair)
{
	double now = cores_of(changes, pair, NOW);
	double base = cores_of(changes, pair, BASE);
	double larger = now > base ? now : base;

	return larger > 0 ? fabs(now - base) / larger : 0;
}

/* One of the pair's nodes: both have the same name, module and kind. */
static const struct flame_node *node_of(const struct changes *changes, struct pair pair,
					const struct flame **ret_flame)
{
	int which = pair.nodes[NOW] != NOWHERE ? NOW : BASE;

	*ret_flame = &changes->sides[which].flame;
	assert(pair.nodes[which] < (*ret_flame)->node_count);
	return &(*ret_flame)->nodes[pair.nodes[which]];
}

/* Children stand by name and module, what was left out last. */
static int compare_nodes(const struct changes *changes, struct pair pair)
{
	const struct flame *flames[] = { &changes->sides[NOW].flame, &changes->sides[BASE].flame };
	const struct flame_node *now = &flames[NOW]->nodes[pair.nodes[NOW]];
	const struct flame_node *base = &flames[BASE]->nodes[pair.nodes[BASE]];
	int order = (now->kind == FLAME_MORE) - (base->kind == FLAME_MORE);

	if (!order)
		order = str_compare(flames[NOW]->names[now->name], flames[BASE]->names[base->name]);
	if (!order)
		order = str_compare(flames[NOW]->names[now->module],
				    flames[BASE]->names[base->module]);
	return order;
}

/* Goes through the children of both: *rest begins as the first ones, *ret is the next pair. */
static bool next_child(const struct changes *changes, struct pair *rest, struct pair *ret)
{
	int order = 0;

	if (rest->nodes[NOW] == NOWHERE && rest->nodes[BASE] == NOWHERE)
		return false;
	if (rest->nodes[NOW] == NOWHERE)
		order = 1;
	else if (rest->nodes[BASE] == NOWHERE)
		order = -1;
	else
		order = compare_nodes(changes, *rest);

	*ret = (struct pair){ { NOWHERE, NOWHERE } };
	for (int which = NOW; which < SIDE_COUNT; which++) {
		if (which == NOW ? order > 0 : order < 0)
			continue;
		ret->nodes[which] = rest->nodes[which];
		rest->nodes[which] = changes->sides[which].next_sibling[rest->nodes[which]];
	}
	return true;
}

static struct pair first_children(const struct changes *changes, struct pair pair)
{
	struct pair first = { { NOWHERE, NOWHERE } };

	for (int which = NOW; which < SIDE_COUNT; which++)
		if (pair.nodes[which] != NOWHERE)
			first.nodes[which] = changes->sides[which].first_child[pair.nodes[which]];
	return first;
}

/* ---- where a change lies ----------------------------------------------------------------------
 */

static bool may_inherit(const struct changes *changes, struct pair parent, struct pair child)
{
	const struct flame *flame;
	uint8_t parent_kind = node_of(changes, parent, &flame)->kind;
	uint8_t kind = node_of(changes, child, &flame)->kind;

	if (kind == FLAME_MORE)
		return false;
	/* What a program asks of the kernel is the program's doing. */
	return kind != FLAME_KERNEL || parent_kind == FLAME_KERNEL || parent_kind == FLAME_GROUP;
}

static bool find_heir(const struct changes *changes, struct pair parent, struct pair *ret)
{
	struct pair rest = first_children(changes, parent);
	double wanted = change_of(changes, parent) * heir_share;
	struct pair child;

	while (next_child(changes, &rest, &child)) {
		double change = change_of(changes, child);

		if ((wanted > 0 ? change >= wanted : change <= wanted) &&
		    may_inherit(changes, parent, child)) {
			*ret = child;
			return true;
		}
	}
	return false;
}

/* The service itself when it lies nowhere else. */
static struct pair find_place(const struct changes *changes, struct pair service)
{
	struct pair best = service;
	struct pair at = service;

	while (find_heir(changes, at, &at))
		if (relative_change(changes, at) > relative_change(changes, best) * nearer)
			best = at;
	return best;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void write_cores(struct json_writer *json, const char *key, double cores)
{
	json_key(json, key);
	json_fixed(json, cores, PAGE_CORES_DECIMALS);
}

static void write_both(struct json_writer *json, const struct changes *changes, struct pair pair)
{
	write_cores(json, "cores", cores_of(changes, pair, NOW));
	write_cores(json, "base_cores", cores_of(changes, pair, BASE));
}

/* The names from below the service down to the frame; a stack's depth is bounded by its walk, a
 * pushed one's by what a path may show. */
static void write_path(struct json_writer *json, const struct flame *flame,
		       const struct flame_node *node)
{
	enum { PATH_SIZE_MAX = 512 };
	uint32_t path[PATH_SIZE_MAX];
	size_t size = 0;

	for (; flame->nodes[node->parent].kind != FLAME_ROOT && size < PATH_SIZE_MAX;
	     node = &flame->nodes[node->parent])
		path[size++] = node->name;
	json_key(json, "path");
	json_begin_array(json);
	while (size > 0)
		json_text(json, flame->names[path[--size]]);
	json_end_array(json);
}

static void write_frame(struct json_writer *json, const struct changes *changes, struct pair place)
{
	const struct flame *flame;
	const struct flame_node *node = node_of(changes, place, &flame);

	json_key(json, "frame");
	if (node->kind == FLAME_GROUP) {
		json_null_value(json);
		return;
	}
	json_begin_object(json);
	json_key(json, "name");
	json_text(json, flame->names[node->name]);
	json_key(json, "module");
	json_text(json, flame->names[node->module]);
	json_key(json, "kind");
	json_u64(json, node->kind);
	write_both(json, changes, place);
	write_path(json, flame, node);
	json_end_object(json);
}

static void write_row(struct json_writer *json, const struct changes *changes, struct pair service)
{
	const struct flame *flame;
	const struct flame_node *node = node_of(changes, service, &flame);

	json_begin_object(json);
	json_key(json, "service_name");
	json_text(json, flame->names[node->name]);
	write_both(json, changes, service);
	write_frame(json, changes, find_place(changes, service));
	json_end_object(json);
}

static int compare_changes(const void *a, const void *b, void *context)
{
	double x = fabs(change_of(context, *(const struct pair *)a));
	double y = fabs(change_of(context, *(const struct pair *)b));

	return (x < y) - (x > y);
}

/* The services that changed, by how much. */
static int find_services(struct changes *changes, struct pair **ret, size_t *ret_count)
{
	const struct side *sides = changes->sides;
	size_t count_max = (size_t)sides[NOW].flame.node_count + sides[BASE].flame.node_count;
	struct pair *services = calloc(count_max, sizeof(services[0]));
	struct pair rest = first_children(changes, (struct pair){ { 0, 0 } });
	struct pair service;
	size_t count = 0;

	if (!services)
		return -ENOMEM;
	while (next_child(changes, &rest, &service)) {
		const struct flame *flame;

		if (node_of(changes, service, &flame)->kind == FLAME_GROUP &&
		    fabs(change_of(changes, service)) >= change_min_cores)
			services[count++] = service;
	}
	if (sides[NOW].recorded_ms == 0 || sides[BASE].recorded_ms == 0)
		count = 0;
	qsort_r(services, count, sizeof(services[0]), compare_changes, changes);
	*ret = services;
	*ret_count = count;
	return 0;
}

static void write_times(struct json_writer *json, const struct changes *changes, int which,
			const char *const keys[3])
{
	json_key(json, keys[0]);
	json_i64(json, changes->ranges[which].from_ms);
	json_key(json, keys[1]);
	json_i64(json, changes->ranges[which].to_ms);
	json_key(json, keys[2]);
	json_i64(json, changes->sides[which].recorded_ms);
}

static int write_changes(struct reply *reply, struct changes *changes, uint32_t cpu_count,
			 size_t limit)
{
	static const char *const keys[SIDE_COUNT][3] = {
		{ "from_ms", "to_ms", "recorded_ms" },
		{ "base_from_ms", "base_to_ms", "base_recorded_ms" },
	};
	struct json_writer json = JSON_WRITER(&reply->body);
	autofree struct pair *services = NULL;
	size_t count = 0;
	int err = find_services(changes, &services, &count);

	if (err)
		return err;
	json_begin_object(&json);
	for (int which = NOW; which < SIDE_COUNT; which++)
		write_times(&json, changes, which, keys[which]);
	json_key(&json, "cpus");
	json_u64(&json, cpu_count);
	write_both(&json, changes, (struct pair){ { 0, 0 } });
	json_key(&json, "rows");
	json_begin_array(&json);
	for (size_t i = 0; i < count && i < limit; i++)
		write_row(&json, changes, services[i]);
	json_end_array(&json);
	json_key(&json, "more");
	json_begin_object(&json);
	json_key(&json, "rows");
	json_u64(&json, count > limit ? count - limit : 0);
	json_end_object(&json);
	json_end_object(&json);
	return 0;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static int ask(struct server *server, const struct store_question *asked,
	       const struct time_range *range, struct side *side)
{
	static const struct flame_options options = { .node_count_max = NODE_COUNT_MAX,
						      .rows_by = { "service_name", 12 },
						      .by_module = true };
	struct store_question question = *asked;
	int err = recorded_time_init(&side->recorded, server->store, range->from_ms, range->to_ms);

	if (err)
		return err;
	question.from_unix_ms = range->from_ms;
	question.to_unix_ms = range->to_ms;
	recorded_time_clip(&side->recorded, &question);
	side->recorded_ms = recorded_time_ms(&side->recorded, range->from_ms, range->to_ms);
	err = store_flame(server->store, &question, &options, &side->flame);
	return err ? err : link_children(side);
}

static void side_done(struct side *side)
{
	flame_done(&side->flame);
	recorded_time_done(&side->recorded);
	free(side->first_child);
	free(side->next_sibling);
}

/* base_from and base_to; without them what was before the range. */
static bool read_base(struct page_question *question, const struct request *request,
		      struct time_range *ret, struct reply *reply)
{
	char error[TIME_RANGE_ERROR_SIZE] = "";
	struct time_range range = { .to_ms = question->range.from_ms - 1 };
	struct str from = { 0 };
	struct str to = { 0 };
	const char *wrong = NULL;

	if (request_parameter(request, STR("base_to"), &question->texts, &to) &&
	    time_range_parse_time(to, clock_unix_ms(), &range.to_ms, error))
		wrong = "base_to";
	range.from_ms = range.to_ms - BASE_MS_DEFAULT + 1;
	if (!wrong && request_parameter(request, STR("base_from"), &question->texts, &from) &&
	    time_range_parse_time(from, clock_unix_ms(), &range.from_ms, error))
		wrong = "base_from";
	if (wrong) {
		reply_error(reply, 400, wrong, "%s: %s", wrong, error);
		return false;
	}
	if (range.from_ms < 0)
		range.from_ms = 0;
	if (range.to_ms < 0)
		range.to_ms = 0;
	if (range.from_ms > range.to_ms) {
		reply_error(reply, 400, "base_from", "base_from: it lies after base_to");
		return false;
	}
	*ret = range;
	return true;
}

void page_changes(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number limits = { "limit", 8, 1, 100 };
	autoclean(page_question) struct page_question question = { 0 };
	struct changes changes = { 0 };
	uint64_t limit = 0;

	if (!page_question_read_since(&question, request, STR("now-5m"), reply) ||
	    !page_read_number(&question, request, &limits, &limit, reply) ||
	    !read_base(&question, request, &changes.ranges[BASE], reply))
		return;
	changes.ranges[NOW] = question.range;

	int err = 0;

	for (int which = NOW; !err && which < SIDE_COUNT; which++)
		err = ask(server, &question.question, &changes.ranges[which],
			  &changes.sides[which]);
	if (!err)
		err = write_changes(reply, &changes, page_cpu_count(server), limit);
	if (err)
		reply_failure(reply, err);
	side_done(&changes.sides[NOW]);
	side_done(&changes.sides[BASE]);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flame_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "store/store.h"

/* Children of one node hang on it, the last one first. */
struct link {
	uint32_t last_child; /* 0: none, which is the root's number */
	uint32_t sibling;    /* the one before it */
	uint32_t child_count;
	uint64_t other;
	bool has_other;
};

static bool is_other(const struct flame *flame, uint32_t node)
{
	return flame->nodes[node].kind == FLAME_MORE ||
	       str_equal(flame->names[flame->nodes[node].name], STR("other"));
}

static void link_nodes(const struct flame *flame, struct link *links)
{
	for (uint32_t i = 1; i < flame->node_count; i++) {
		struct link *parent = &links[flame->nodes[i].parent];

		assert(flame->nodes[i].parent < i);
		if (is_other(flame, i)) {
			parent->has_other = true;
			parent->other += flame->nodes[i].total;
			continue;
		}
		links[i].sibling = parent->last_child;
		parent->last_child = i;
		parent->child_count++;
	}
}

static void write_node(struct buf *buf, struct str name, uint64_t self, uint64_t child_count)
{
	buf_add_sized(buf, name);
	buf_add_varint(buf, self);
	buf_add_varint(buf, child_count);
}

static void write_links(const struct flame *flame, const struct link *links, struct buf *buf)
{
	uint32_t node = 0;

	for (;;) {
		const struct link *link = &links[node];
		struct str name = node > 0 ? flame->names[flame->nodes[node].name] : STR("");

		write_node(buf, name, flame->nodes[node].self, link->child_count + link->has_other);
		if (link->has_other)
			write_node(buf, STR("other"), link->other, 0);
		if (link->last_child) {
			node = link->last_child;
			continue;
		}
		while (node > 0 && !links[node].sibling)
			node = flame->nodes[node].parent;
		if (node == 0)
			return;
		node = links[node].sibling;
	}
}

int flame_tree_write(const struct flame *flame, struct buf *buf)
{
	autofree struct link *links = calloc(flame->node_count, sizeof(links[0]));

	assert(flame->node_count > 0);
	if (flame->nodes[0].total == 0)
		return 0;
	if (!links)
		return -ENOMEM;
	link_nodes(flame, links);
	write_links(flame, links, buf);
	return 0;
}

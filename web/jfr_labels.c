/* SPDX-License-Identifier: Apache-2.0 */
#include "web/jfr_labels.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "web/wire.h"

enum {
	SNAPSHOT_CONTEXTS = 1,
	SNAPSHOT_STRINGS = 2,
	CONTEXT_LABELS = 1,
	ENTRY_KEY = 1,
	ENTRY_VALUE
};

struct pair {
	uint64_t key, number;
	struct str bytes;
};

void jfr_labels_init(struct jfr_labels *labels)
{
	*labels = (struct jfr_labels){ 0 };
	table_init(&labels->contexts.table, JFR_CONSTANT_COUNT_MAX);
	table_init(&labels->strings.table, JFR_CONSTANT_COUNT_MAX);
}

void jfr_labels_done(struct jfr_labels *labels)
{
	table_done(&labels->contexts.table);
	table_done(&labels->strings.table);
	array_done(&labels->contexts.items);
	array_done(&labels->strings.items);
}

/* An entry of a map, whose value is a number or bytes. */
static int read_pair(struct str entry, struct pair *ret)
{
	struct bytes bytes = bytes_from(entry.text, entry.size);
	struct wire_field field;
	int more;

	*ret = (struct pair){ 0 };
	while ((more = wire_next(&bytes, &field)) > 0) {
		if (field.number == ENTRY_KEY && field.type == WIRE_VARINT)
			ret->key = field.value;
		else if (field.number == ENTRY_VALUE && field.type == WIRE_VARINT)
			ret->number = field.value;
		else if (field.number == ENTRY_VALUE && field.type == WIRE_SIZED)
			ret->bytes = field.bytes;
	}
	return more;
}

static bool has_key(const void *context, uint32_t number, const void *key)
{
	return ((const struct jfr_map *)context)->items.items[number].key == *(const uint64_t *)key;
}

static const struct jfr_entry *find(const struct jfr_map *map, uint64_t key)
{
	uint32_t number =
		table_find(&map->table, table_hash_bytes(&key, sizeof(key), 0), &key, has_key, map);

	return number == TABLE_NONE ? NULL : &map->items.items[number];
}

/* The first of two with one key is meant. */
static int add(struct jfr_map *map, const struct pair *pair)
{
	int err;

	if (find(map, pair->key))
		return 0;
	if (array_reserve(&map->items, 1) < 0)
		return -ENOMEM;
	err = table_add(&map->table, table_hash_bytes(&pair->key, sizeof(pair->key), 0));
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	map->items.items[map->items.count++] = (struct jfr_entry){ pair->key, pair->bytes };
	return 0;
}

/* So that they are read without errors afterwards. */
static int check_context(struct str context)
{
	struct bytes bytes = bytes_from(context.text, context.size);
	struct wire_field field;
	struct pair pair;
	int more;

	while ((more = wire_next(&bytes, &field)) > 0)
		if (field.number == CONTEXT_LABELS && field.type == WIRE_SIZED &&
		    read_pair(field.bytes, &pair))
			return -EBADMSG;
	return more;
}

int jfr_labels_read(struct jfr_labels *labels, struct str message)
{
	struct bytes bytes = bytes_from(message.text, message.size);
	struct wire_field field;
	int err = 0;
	int more = 0;

	while (!err && (more = wire_next(&bytes, &field)) > 0) {
		bool is_context = field.number == SNAPSHOT_CONTEXTS;
		struct pair pair;

		if ((!is_context && field.number != SNAPSHOT_STRINGS) || field.type != WIRE_SIZED)
			continue;
		err = read_pair(field.bytes, &pair);
		if (!err && is_context)
			err = check_context(pair.bytes);
		if (!err)
			err = add(is_context ? &labels->contexts : &labels->strings, &pair);
	}
	return err ? err : more;
}

struct str jfr_labels_string(const struct jfr_labels *labels, uint64_t key)
{
	const struct jfr_entry *entry = find(&labels->strings, key);

	return entry && utf8_is_valid(entry->value) ? entry->value : (struct str){ 0 };
}

size_t jfr_labels_of(const struct jfr_labels *labels, uint64_t context, struct label *ret,
		     size_t count_max)
{
	const struct jfr_entry *entry = find(&labels->contexts, context);
	struct bytes bytes =
		entry ? bytes_from(entry->value.text, entry->value.size) : bytes_from(NULL, 0);
	struct wire_field field;
	size_t count = 0;

	while (count < count_max && wire_next(&bytes, &field) > 0) {
		struct pair pair;
		struct label label;

		if (field.number != CONTEXT_LABELS || field.type != WIRE_SIZED ||
		    read_pair(field.bytes, &pair))
			continue;
		label.name = jfr_labels_string(labels, pair.key);
		label.value = jfr_labels_string(labels, pair.number);
		if (label.name.size > 0 && label.value.size > 0)
			ret[count++] = label;
	}
	return count;
}

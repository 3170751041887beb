/* SPDX-License-Identifier: Apache-2.0 */
#include "store/word_map.h"

#include <errno.h>
#include <stdlib.h>

int word_map_init(struct word_map *map)
{
	int err = catalog_init(&map->from);

	return err ? err : catalog_init(&map->to);
}

int word_map_start(struct word_map *map)
{
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++) {
		map->numbers[kind] =
			calloc((size_t)catalog_count(&map->from, (enum catalog_kind)kind) + 1,
			       sizeof(map->numbers[kind][0]));
		if (!map->numbers[kind])
			return -ENOMEM;
	}
	return 0;
}

void word_map_done(struct word_map *map)
{
	catalog_done(&map->from);
	catalog_done(&map->to);
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++)
		free(map->numbers[kind]);
}

void word_map_keep_texts(struct word_map *map)
{
	for (int kind = 0; kind < CATALOG_KIND_COUNT; kind++) {
		if (kind == CATALOG_TEXT)
			continue;
		pool_done(&map->from.pools[kind]);
		free(map->numbers[kind]);
		map->numbers[kind] = NULL;
	}
}

/* The new number when it is known, 0 when it is not, which none but those of number 0 are. */
static int64_t find(const struct word_map *map, enum catalog_kind kind, uint64_t old)
{
	if (old >= catalog_count(&map->from, kind))
		return -EBADMSG;
	return map->numbers[kind][old];
}

static int64_t add(struct word_map *map, enum catalog_kind kind, uint64_t old, const void *bytes,
		   size_t size)
{
	int64_t number = catalog_add(&map->to, kind, bytes, size);

	if (number >= 0)
		map->numbers[kind][old] = (uint32_t)number + 1;
	return number;
}

int64_t word_map_text(struct word_map *map, uint32_t text)
{
	int64_t known = find(map, CATALOG_TEXT, text);
	struct str old;

	if (known)
		return known < 0 ? known : known - 1;
	old = catalog_text(&map->from, text);
	return add(map, CATALOG_TEXT, text, old.text, old.size);
}

int64_t word_map_labels(struct word_map *map, uint32_t labels)
{
	int64_t known = find(map, CATALOG_LABELS, labels);

	if (known)
		return known < 0 ? known : known - 1;

	struct str item = pool_get(&map->from.pools[CATALOG_LABELS], labels);
	const uint32_t *old = (const void *)item.text;
	size_t count = item.size / sizeof(old[0]);
	autofree uint32_t *mapped = calloc(count + 1, sizeof(mapped[0]));

	if (!mapped)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int64_t text = word_map_text(map, old[i]);

		if (text < 0)
			return text;
		mapped[i] = (uint32_t)text;
	}
	return add(map, CATALOG_LABELS, labels, mapped, count * sizeof(mapped[0]));
}

int64_t word_map_series(struct word_map *map, uint32_t series)
{
	int64_t known = find(map, CATALOG_SERIES, series);

	if (known)
		return known < 0 ? known : known - 1;
	/* Nothing has it. */
	if (series == 0)
		return -EBADMSG;

	struct catalog_series old = catalog_series(&map->from, series);
	int64_t labels = word_map_labels(map, old.labels);
	int64_t type = labels < 0 ? labels : word_map_text(map, old.type);
	struct catalog_series mapped = { .labels = (uint32_t)labels,
					 .type = (uint32_t)type,
					 .period = old.period };

	if (type < 0)
		return type;
	return add(map, CATALOG_SERIES, series, &mapped, sizeof(mapped));
}

int64_t word_map_build(struct word_map *map, uint32_t build)
{
	int64_t known = find(map, CATALOG_BUILD, build);

	if (known)
		return known < 0 ? known : known - 1;
	if (build == 0)
		return -EBADMSG;

	struct catalog_build mapped = catalog_build(&map->from, build);
	int64_t path = word_map_text(map, mapped.path);

	if (path < 0)
		return path;
	mapped.path = (uint32_t)path;
	return add(map, CATALOG_BUILD, build, &mapped, sizeof(mapped));
}

int64_t word_map_name(struct word_map *map, uint64_t name)
{
	int64_t known = find(map, CATALOG_NAME, name);

	if (known)
		return known < 0 ? known : known - 1;

	size_t count = 0;
	const struct catalog_line *lines = catalog_lines(&map->from, (uint32_t)name, &count);
	autofree struct catalog_line *mapped = calloc(count + 1, sizeof(mapped[0]));

	if (!mapped)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int64_t function = word_map_text(map, lines[i].function);
		int64_t file = function < 0 ? function : word_map_text(map, lines[i].file);

		if (file < 0)
			return file;
		mapped[i] =
			(struct catalog_line){ (uint32_t)function, (uint32_t)file, lines[i].line };
	}
	return add(map, CATALOG_NAME, name, mapped, count * sizeof(mapped[0]));
}

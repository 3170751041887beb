/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

/*
 * A setting that is said more than once, as rule is: each time adds an item, in the order in which
 * files, environment and command line are read, and one that is empty forgets those before it.
 *
 * Items hold quoted texts ("…", '…', `…`, with backslashes in the first two), in which '#' and ';'
 * begin no comment.
 */

/* Where a value was said. */
enum setting_origin {
	ORIGIN_DEFAULT = 0,
	ORIGIN_FILE = 1,
	ORIGIN_ENVIRONMENT = 2,
	ORIGIN_COMMAND_LINE = 3,
	ORIGIN_START = 4, /* since the start; now something else is said, which takes a restart */
};

struct setting_source {
	uint8_t origin; /* enum setting_origin */
	uint8_t file;	/* of ORIGIN_FILE: index into files */
	uint32_t line;	/* of ORIGIN_FILE */
};

struct setting_list {
	uint32_t count;
	char items[SETTINGS_LIST_COUNT_MAX][SETTING_TEXT_SIZE];
	struct setting_source sources[SETTINGS_LIST_COUNT_MAX];
};

/* How much of the text stands before a comment, and whether every quote in that is closed. */
size_t setting_list_item_size(struct str text, bool *ret_is_closed);

/* -EINVAL for an item that no line of a file could hold, -E2BIG for one too many. */
int setting_list_add(struct setting_list *list, struct str item, struct setting_source source);

bool setting_list_equal(const struct setting_list *a, const struct setting_list *b);

/* "[drop {a=\"b\"}], [limit pod 200]", "none". */
void setting_list_print(const struct setting_list *list, struct buf *text);

/* The same as a list of YAML's. */
void setting_list_yaml(const struct setting_list *list, struct buf *text);

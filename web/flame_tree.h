/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

struct flame;

/*
 * A flame graph as Pyroscope's clients pass trees around (ProfileFormat TREE): in preorder, each
 * node the size of its name, the name, self, and how many children follow, the last of them first.
 * Numbers are varints; the root has no name. What was left out is named "other", as in
 * web/flame_levels.h. Of a flame without a value nothing is written. Appends to the buf, which
 * keeps an error; -ENOMEM.
 */
int flame_tree_write(const struct flame *flame, struct buf *buf);

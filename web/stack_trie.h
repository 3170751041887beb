/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/named_stacks.h"

/*
 * The two binary forms in which Pyroscope's older agents send stacks: nodes in preorder, each a
 * size and a text, a value of its own, and how many nodes follow below it, all as varints. The
 * first node is the root, and its text is empty.
 *
 * In a trie a node's stack is what the texts from the root to it say one behind the other, with ';'
 * between frames, wherever the texts are cut; in a tree each node is a frame.
 *
 * Errors come with a sentence: -EBADMSG for what is cut short or goes on behind its end, -E2BIG
 * beyond a limit, -ENOMEM. Nothing at all is an empty one.
 */
int stack_trie_read(struct str bytes, struct named_stacks *stacks,
		    char reterr[static PPROF_ERROR_SIZE]);
int stack_tree_read(struct str bytes, struct named_stacks *stacks,
		    char reterr[static PPROF_ERROR_SIZE]);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The C library's heap, for a program that runs for months and takes some ten MB for a question of
 * some ten ms: what is given back is to be the system's again, not a hole between what is kept.
 */

/* First of all in main(), before there are threads. */
void heap_tame(void);

/* Gives back what lies free in between: free() does so only at the end of the heap. */
void heap_give_back(void);

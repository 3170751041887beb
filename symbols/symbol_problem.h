/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct symbols_description;

/* All that may be said of one module. */
enum { SYMBOL_PROBLEM_SIZE = 320 };

/*
 * Why a module has fewer names or lines than it might, for people: "its reader crashed over it",
 * "its debug file: damaged, or of another build". "" where nothing is known to be wrong.
 */
void symbol_problem(const struct symbols_description *about, char text[static SYMBOL_PROBLEM_SIZE]);

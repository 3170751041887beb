/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/str.h"

/*
 * Which series and samples are meant: the grammar of PromQL's metric selectors, as the users of
 * Pyroscope write it: {service_name="x", pid=~"1.*",}, quoted UTF-8 names, a bare metric name in
 * front, "" and {} for everything.
 *
 * Regular expressions are anchored at both ends and run by PCRE2 with limits on time and memory. A
 * matcher that matches the empty text also matches what lacks the label.
 */
struct selector;

enum { SELECTOR_ERROR_SIZE = 256 };

/*
 * -EINVAL with a sentence in reterr (what was wrong, and at which byte), -E2BIG for a text or a
 * list of matchers beyond all use, -ENOMEM.
 */
int selector_parse(struct str text, struct selector **ret, char reterr[static SELECTOR_ERROR_SIZE]);
struct selector *selector_free(struct selector *selector);

/* Adds what another text asks for as well: both must match. */
int selector_add(struct selector *selector, struct str text,
		 char reterr[static SELECTOR_ERROR_SIZE]);

/* Looks up a label; a NULL text when there is none. */
typedef struct str selector_lookup(const void *context, struct str name);

/* Whether it matches what has none of the labels that it speaks of. */
bool selector_matches_none(const struct selector *selector);

bool selector_matches(const struct selector *selector, selector_lookup *lookup,
		      const void *context);

/* The same, as far as these labels tell: matchers that speak of others are taken to match. */
bool selector_may_match(const struct selector *selector, const struct str *names, size_t count,
			selector_lookup *lookup, const void *context);

/* The value that exactly one matcher asks this label to be equal to; a NULL text otherwise. */
struct str selector_equal_value(const struct selector *selector, struct str name);

/* How many matchers it has; 0 matches everything. */
size_t selector_count(const struct selector *selector);

/* True when a matcher speaks of this label. */
bool selector_uses(const struct selector *selector, struct str name);

/* True when no matcher speaks of any other label than these. */
bool selector_uses_only(const struct selector *selector, const struct str *names, size_t count);

DEFINE_CLEANUP(struct selector *, selector, selector_free)

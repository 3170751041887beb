/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Text to values, strictly: the whole text or -EINVAL, -ERANGE when the number does not fit. White
 * space, signs and empty texts are refused where they are not named.
 */
int parse_u64(struct str text, uint64_t *ret);

/* An optional '-' in front. */
int parse_i64(struct str text, int64_t *ret);

/* Digits of base 16, without 0x. */
int parse_hex(struct str text, uint64_t *ret);

/* A number and a unit: ns us ms s m h d w; "5s", "14d". In nanoseconds. */
int parse_duration_ns(struct str text, uint64_t *ret);

/* A number and, maybe, a unit K M G T (1024 each): "512M". In bytes. */
int parse_size(struct str text, uint64_t *ret);

/* "yes" and "no", "true" and "false", "on" and "off". */
int parse_bool(struct str text, bool *ret);

/*
 * Takes the text up to the first separator off the front of *rest, and the separator with it. At
 * the end of the text the rest; false when nothing is left.
 */
bool parse_next(struct str *rest, char separator, struct str *ret_part);

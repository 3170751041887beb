/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Writes JSON to a buf, without a tree in memory. Commas are the writer's business; that keys and
 * values alternate and that what was begun is ended are the caller's, and asserted. The buf keeps
 * the first error.
 *
 * Texts may hold any bytes, names of processes do: control characters are escaped and each byte
 * that is no UTF-8 becomes U+FFFD.
 */
enum { JSON_DEPTH_MAX = 32 };

struct json_writer {
	struct buf *buf;
	uint32_t is_object; /* bit: depth */
	uint32_t has_items;
	unsigned depth;
	bool after_key;
};

#define JSON_WRITER(buffer) ((struct json_writer){ .buf = (buffer) })

void json_begin_object(struct json_writer *json);
void json_end_object(struct json_writer *json);
void json_begin_array(struct json_writer *json);
void json_end_array(struct json_writer *json);

void json_key(struct json_writer *json, const char *name);
void json_key_text(struct json_writer *json, struct str name);

void json_text(struct json_writer *json, struct str text);
void json_u64(struct json_writer *json, uint64_t value);
void json_i64(struct json_writer *json, int64_t value);

/* As a text of digits, which is how proto3 writes 64-bit integers. */
void json_u64_text(struct json_writer *json, uint64_t value);
void json_i64_text(struct json_writer *json, int64_t value);
/* So many of them, in an array. */
void json_i64_texts(struct json_writer *json, const int64_t *values, size_t count);

/* The shortest digits that read back as the same number; of what is no number, null. */
void json_double(struct json_writer *json, double value);

/* With at most so many decimals. */
void json_fixed(struct json_writer *json, double value, int decimals);

void json_boolean_value(struct json_writer *json, bool value);
void json_null_value(struct json_writer *json);

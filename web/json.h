/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"

/*
 * Reads JSON of strangers: an object whose nesting is bounded, without duplicate members, in UTF-8.
 * Texts live as long as the value. One thread at a time.
 */
struct json_value;

enum { JSON_ERROR_SIZE = 160 };

/* -EBADMSG with a sentence in reterr, -ENOMEM. */
int json_value_parse(struct str text, struct json_value **ret, char reterr[static JSON_ERROR_SIZE]);
struct json_value *json_value_free(struct json_value *value);

/* A member of an object; NULL when it is not there, null, or value is no object. */
const struct json_value *json_value_member(const struct json_value *value, const char *name);

/* Whether there is such a member, null included. */
bool json_value_has(const struct json_value *value, const char *name);

bool json_value_is_object(const struct json_value *value);
bool json_value_is_array(const struct json_value *value);
size_t json_value_count(const struct json_value *array);
const struct json_value *json_value_item(const struct json_value *array, size_t index);

/* These say whether the value is of the kind, and set *ret only then. */
bool json_value_text(const struct json_value *value, struct str *ret);
bool json_value_integer(const struct json_value *value, int64_t *ret);
bool json_value_number(const struct json_value *value, double *ret);
bool json_value_boolean(const struct json_value *value, bool *ret);

/* For answers of our own server: a member of an object, "" or 0 when it is not there or another
 * kind. */
struct str json_member_text(const struct json_value *object, const char *name);
int64_t json_member_integer(const struct json_value *object, const char *name);
double json_member_number(const struct json_value *object, const char *name);

DEFINE_CLEANUP(struct json_value *, json_value, json_value_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * The values of a label that are told apart: so many, first come, first served. One that did not
 * come for a while gives way, so that pods that are long gone don't keep the new ones out. Any
 * thread.
 */
struct label_values;

int label_values_new(uint32_t count_max, uint32_t forget_s, struct label_values **ret);
struct label_values *label_values_free(struct label_values *values);

/* Whether it is among them, or still finds room. now_s: steady. */
bool label_values_admit(struct label_values *values, struct str value, uint64_t now_s);

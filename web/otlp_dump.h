/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "web/otlp_reader.h"

/*
 * A profile of OpenTelemetry as text, all of it, with nothing of how it came: what says the same in
 * two revisions has the same text. A line for the profile, one for each sample, one for each frame,
 * the leaf first.
 */
void otlp_dump_profile(const struct otlp_profile *profile, struct buf *text);

/* "1.25", "[7 bytes]", a text in quotes. */
void otlp_dump_value(const struct otlp_value *value, struct buf *text);

/* What was found, and what was wrong. */
void otlp_dump_report(const struct otlp_report *report, struct buf *text);

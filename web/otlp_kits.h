/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct otlp_intake;
struct otlp_reader;

/*
 * What a request of OpenTelemetry's profiles is received into and read with, kept for the next one:
 * of a request of 1 MB that is 6 MB, and each page of new memory is a visit to the kernel, together
 * a tenth of what such a request costs. A few are kept, as large as the limits below, until no
 * request has come for some time. For any thread; a function that is given NULL keeps nothing.
 */
struct otlp_kits;

/* Its parts are NULL where they are to be made. */
struct otlp_kit {
	struct otlp_reader *reader;
	struct otlp_intake *intake;
};

int otlp_kits_new(struct otlp_kits **ret);
struct otlp_kits *otlp_kits_free(struct otlp_kits *kits);

/* One that was kept, or an empty one; and back again, or away. */
void otlp_kits_take(struct otlp_kits *kits, struct otlp_kit *ret);
void otlp_kits_give(struct otlp_kits *kits, struct otlp_kit *kit, uint64_t now_ns);

/* The same of memory for a body. It is empty; its limit is that of the other. */
void otlp_kits_take_body(struct otlp_kits *kits, struct buf *ret);
void otlp_kits_give_body(struct otlp_kits *kits, struct buf *body, uint64_t now_ns);

/* Now and then: lets go what nobody used for OTLP_KITS_IDLE_SECONDS. */
void otlp_kits_tidy(struct otlp_kits *kits, uint64_t now_ns);

/* What is kept now takes so much. */
size_t otlp_kits_memory(struct otlp_kits *kits);

DEFINE_CLEANUP(struct otlp_kits *, otlp_kits, otlp_kits_free)

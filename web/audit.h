/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "web/request.h"

/*
 * Lines in the log about who did what: each request that changes something or may only be asked by
 * writers and administrators, refused credentials, and, when wished, one of so many of all.
 */
struct audit;

/* access_log: one request of so many; 0 for none. */
int audit_new(uint64_t access_log, struct audit **ret);
struct audit *audit_free(struct audit *audit);

/* A request that changed something, or would have. Any thread, as are the others. */
void audit_change(struct audit *audit, const struct request *request, const struct reply *reply);

/* A token that is nobody's: AUDIT_REFUSAL_COUNT_MAX lines a minute, then how many more there were.
 */
void audit_refusal(struct audit *audit, const struct request *request);

/* Every request comes by; the log gets one of so many. */
void audit_access(struct audit *audit, const struct request *request, const struct reply *reply,
		  uint64_t time_ns);

DEFINE_CLEANUP(struct audit *, audit, audit_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct reply;
struct request;
struct server;

/*
 * adhocprofiles.v1.AdHocProfileService of Pyroscope's API: profiles that somebody hands in to look
 * at, pprof or folded stacks, packed by gzip or not. They are kept as they came, beside the store,
 * and read anew for each look. The newest are kept (ADHOC_COUNT_MAX and ADHOC_SIZE_MAX of
 * base/limits.h).
 */
void adhoc_upload(struct server *server, struct request *request, struct reply *reply);
void adhoc_get(struct server *server, struct request *request, struct reply *reply);
void adhoc_list(struct server *server, struct request *request, struct reply *reply);
void adhoc_diff(struct server *server, struct request *request, struct reply *reply);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"
#include "web/request.h"

struct server;

/*
 * debuginfo.v1alpha1.DebuginfoService of Pyroscope's API, by which agents bring symbols: they ask
 * whether a build id's are wanted, send the file, and say that it is all. Into the same store as
 * web/uploads.h, which looks at a file and makes names of it as soon as it has come.
 *
 * What was asked for and has not come yet is remembered here, so that two agents do not bring the
 * same; who does not finish within some minutes has given up.
 */
struct debuginfo;

int debuginfo_new(struct debuginfo **ret);
struct debuginfo *debuginfo_free(struct debuginfo *debuginfo);

void debuginfo_should_initiate(struct server *server, struct request *request, struct reply *reply);
/* POST …/Upload/BUILDID of a file as it is. */
void debuginfo_upload(struct server *server, struct request *request, struct reply *reply);
void debuginfo_finished(struct server *server, struct request *request, struct reply *reply);
void debuginfo_list(struct server *server, struct request *request, struct reply *reply);
void debuginfo_delete(struct server *server, struct request *request, struct reply *reply);

DEFINE_CLEANUP(struct debuginfo *, debuginfo, debuginfo_free)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/settings.h"

/*
 * hearth serve: opens the store and the symbols, listens for the collector and for HTTP, until
 * SIGTERM; SIGHUP reads the settings again. Returns the exit code of the process: 0, 69 when
 * something it needs is taken or missing, 78 when a setting makes no sense. What went wrong was
 * said in one line.
 */
int serve_main(const struct settings *settings);

struct reply;
struct request;
struct server;

/*
 * For the program's own commands: has one handler answer, on the data folder of a server that does
 * not run; the request needs no peer. 0, or a negative errno, which was said in one line: -EBUSY
 * when a server runs.
 */
int serve_alone(const struct settings *settings,
		void (*answer)(struct server *server, struct request *request, struct reply *reply),
		struct request *request, struct reply *reply);

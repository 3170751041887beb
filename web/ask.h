/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

/*
 * For the program's own commands: asks the server that runs on this host. address: as of --http.
 * The body of the answer is added to ret. -ECONNREFUSED when nobody listens, -EPROTO when the
 * answer is none of HTTP or not 200, -ETIMEDOUT.
 */
int ask_server(const char *address, const char *method, const char *path, struct buf *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct reply;
struct server;

/*
 * What people keep here beside profiles lies in records.db of the data folder. A server that could
 * not open it does all else; false when the reply says so.
 */
bool kept_is_there(const struct server *server, struct reply *reply);
void kept_open(struct server *server);

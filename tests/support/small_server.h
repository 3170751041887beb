/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/settings.h"
#include "base/window.h"
#include "web/server.h"

/*
 * A store and symbols in a folder of their own, as serve_main() would open them, without HTTP.
 * Errors are failed assertions of the test.
 */
struct small_server {
	char folder[64];
	struct settings settings;
	struct server server;
};

void small_server_open(struct small_server *small);

/* Closes, and opens again what is on disk. */
void small_server_restart(struct small_server *small);

/* Removes the folder, too. */
void small_server_close(struct small_server *small);

/* A window as one that came over the link: for those that free what they are given. */
struct window *window_copy(const struct window *window);

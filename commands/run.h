/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/settings.h"

/*
 * hearth run: both programs in the foreground, for a person. Starts the collector with the rights
 * it has and the server without them, starts either again when it dies, and stops both on SIGTERM
 * or SIGINT. On SIGHUP reads the settings again, and has the programs do so. Without the rights to
 * load BPF it says so in one line and serves all the same.
 *
 * The server runs as user hearth if there is one, else as the caller behind sudo, else as nobody;
 * the data folder is made for it. Returns the exit code of the process.
 */
int run_main(const struct settings *settings);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define CHECK_CONFIG_HELP "tell what is wrong with the settings, or which are in force"

/*
 * hearth check-config [--show | --defaults] [FILE] [OPTIONS]: loads the settings as the other
 * commands would and says what is wrong with them. Returns the exit code of the process: 0, 64 for
 * wrong arguments, 78 for wrong settings.
 */
int check_config_main(int argument_count, const char *const *arguments);

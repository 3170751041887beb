/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/settings.h"

/*
 * Settings from files and from the environment.
 *
 * A file holds lines of `key = value`, comments from '#' or ';' at the start of a line or behind a
 * space, and [sections]: what stands in [retention] has "retention-" before its name. A value that
 * begins with '"' goes to the next '"'. A key is said once in a file; a later file may say it
 * again. A list (setting_list.h) is said any number of times.
 */

/*
 * Reads what a file holds into the settings. The path is for messages, and a place in
 * settings->files must be free. Returns how many lines were wrong; what they are is added to
 * errors, a line each: "PATH:LINE: what is wrong".
 */
unsigned settings_read(struct settings *settings, const char *path, struct str text,
		       struct buf *errors);

/*
 * All of it, in order: defaults, SETTINGS_FILE or --config FILE, *.conf in conf.d beside it by
 * name, HEARTH_… in the environment, the arguments. -EINVAL when the arguments are wrong, -EBADMSG
 * when a file or the environment is, -ENOENT, -EACCES and so on for a file that can't be read;
 * always with a line or more in errors. *ret is then of no use.
 */
int settings_load(enum setting_command command, int argument_count, const char *const *arguments,
		  struct settings *ret, struct buf *errors);

/*
 * Loads them again, as they were loaded, and takes over what may change: see settings_adopt().
 * *ret_changed says how many did. After an error the settings are what they were.
 */
int settings_reload(struct settings *settings, unsigned *ret_changed, struct buf *report,
		    struct buf *errors);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/settings.h"

/*
 * What SIGHUP asks for. A person or a service manager who sends it wants the settings read again;
 * the kernel and the shell send it, too, when the terminal that a program was started in is gone,
 * and then it is to end. Which of them it was is told by whether the terminal is still there.
 */
struct hangup {
	bool had_terminal;
};

/* Call at the start. */
struct hangup hangup_init(void);

enum hangup_answer {
	HANGUP_STOP,	/* the terminal is gone */
	HANGUP_CHANGED, /* some settings are others now */
	HANGUP_SAME, /* there was nothing to take over, or something is wrong with what is said */
};

/*
 * Reads the settings again and logs what came of it: what changed and to what, what takes a
 * restart, what is wrong, after which all stays as it was. Changes are not logged when hearth run
 * does it for its programs (settings->is_supervised).
 */
enum hangup_answer hangup_handle(const struct hangup *hangup, struct settings *settings);

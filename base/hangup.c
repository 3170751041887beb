/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hangup.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/settings_file.h"

enum { REPORT_SIZE_MAX = 64 << 10 };

static bool has_terminal(void)
{
	autoclose int terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return terminal >= 0;
}

struct hangup hangup_init(void)
{
	return (struct hangup){ .had_terminal = has_terminal() };
}

enum hangup_answer hangup_handle(const struct hangup *hangup, struct settings *settings)
{
	autoclean(buf) struct buf report = BUF(REPORT_SIZE_MAX);
	autoclean(buf) struct buf errors = BUF(REPORT_SIZE_MAX);
	unsigned changed = 0;

	if (hangup->had_terminal && !has_terminal())
		return HANGUP_STOP;
	if (settings_reload(settings, &changed, &report, &errors)) {
		log_lines(LOG_LEVEL_ERROR, (struct str){ (char *)errors.bytes, errors.size });
		log_error("the settings stay as they were");
		return HANGUP_SAME;
	}
	log_set_level(settings->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (!settings->is_supervised) {
		log_lines(LOG_LEVEL_NOTICE, (struct str){ (char *)report.bytes, report.size });
		log_notice("the settings were read again, %u changed", changed);
	}
	return changed ? HANGUP_CHANGED : HANGUP_SAME;
}

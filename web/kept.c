/* SPDX-License-Identifier: Apache-2.0 */
#include "web/kept.h"

#include <stdio.h>

#include "base/log.h"
#include "store/records.h"
#include "web/connect.h"
#include "web/server.h"

bool kept_is_there(const struct server *server, struct reply *reply)
{
	if (!server->records)
		connect_error(reply, CONNECT_UNAVAILABLE,
			      "nothing is kept: the file records.db could not be opened");
	return server->records != NULL;
}

void kept_open(struct server *server)
{
	char path[SETTING_TEXT_SIZE + 16];
	bool is_damaged = false;
	int err;

	snprintf(path, sizeof(path), "%s/records.db", server->settings->data);
	err = records_open(path, &is_damaged, &server->records);
	if (err)
		log_warning_errno(err, "settings, rules and ad hoc profiles are not kept: '%s'",
				  path);
	else if (is_damaged)
		log_warning("'%s' was damaged, and set aside; settings, rules and ad hoc profiles "
			    "begin anew",
			    path);
}

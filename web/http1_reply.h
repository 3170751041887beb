/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "web/request.h"

/* An answer as HTTP/1.1 has it. */

/* "Not Found"; "Error" for a status that is none of ours. */
const char *http1_status_text(int status);

/*
 * Adds the status line and the headers, with the empty line at their end. What follows is the body,
 * unless the method was HEAD or the status is 304.
 */
void http1_write_head(const struct reply *reply, bool stays_open, struct buf *head);

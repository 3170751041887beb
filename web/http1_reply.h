/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "web/request.h"

/* An answer as HTTP/1.1 has it. */

/* "Not Found"; "Error" for a status that is none of ours. */
const char *http1_status_text(int status);

enum {
	/* Smaller answers go out with their head in one packet. */
	HTTP1_SMALL_SIZE_MAX = 16 << 10,
	/* Room for a head, of which ours take 1 kB, and a small body. */
	HTTP1_FIRST_SIZE_MAX = (16 << 10) + HTTP1_SMALL_SIZE_MAX,
};

/* Adds the status line and the headers, with the empty line at their end. */
void http1_write_head(const struct reply *reply, bool stays_open, struct buf *head);

/* Whether http1_write() writes all of it. There is no body when the method was HEAD. */
bool http1_is_small(const struct reply *reply, bool is_for_head);

/* Adds the head and, if it is a small one, the body; a larger one follows. */
void http1_write(const struct reply *reply, bool is_for_head, bool stays_open, struct buf *first);

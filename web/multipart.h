/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/*
 * The parts of a form with files, in place. https://www.rfc-editor.org/rfc/rfc7578
 */
struct multipart {
	struct str rest;
	struct str boundary;
	bool is_begun;
};

struct multipart_part {
	struct str name; /* of the field */
	bool is_file;	 /* it has a file's name */
	struct str bytes;
};

/* False when the content type is none of a form, or has no boundary that is fit to be one. */
bool multipart_begin(struct multipart *form, struct str content_type, struct str body);

/* 1, 0 behind the last part, -EBADMSG when it is cut short or has other ends. */
int multipart_next(struct multipart *form, struct multipart_part *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/reader.h"

/* What the parts of a reader share: reader*.c. */

static inline bool reader_in_range(const struct reader *reader, int64_t start_ms)
{
	const struct store_question *asked = reader->question->asked;

	return start_ms >= asked->from_unix_ms && start_ms <= asked->to_unix_ms;
}

/* Of all services. */
static const struct service_range reader_all_services = { .last = UINT32_MAX };

/* The occurrences of a settled segment that are asked for, of the reader's services. */
int reader_visit_details(struct reader *reader, const struct segment_row *segment);

/* What the question asks for in a finished segment, of the reader's services. */
int reader_visit_whole(struct reader *reader, const struct segment_row *row,
		       const struct reading *reading);

/* The same, of services one after the other, as many together as there is room for. */
int reader_visit_in_parts(struct reader *reader, const struct segment_row *row,
			  const struct reading *reading);

/* The segments of a span that share trees. */
int reader_visit_shared(struct reader *reader, const struct segment_rows *segments);

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"
#include "store/reader_private.h"

/*
 * Stacks of services one after the other, as many together as there is room for: of a span whose
 * segments share trees, of each all segments that are asked for; of a segment that has its own,
 * where the question can do with parts of it.
 */

static int visit_shared_parts(struct reader *reader, const struct segment_rows *segments)
{
	const struct reader_question *question = reader->question;
	int err = 0;

	for (uint32_t i = 0; !err && i < segments->rows.count; i++) {
		const struct segment_row *row = &segments->rows.items[i];
		bool is_inside = reader_in_range(reader, row->first_ms) &&
				 reader_in_range(reader, row->last_ms);

		if (row->number < reader->services.first_segment ||
		    row->number > reader->services.last_segment || !reader_asks(reader, row))
			continue;
		if (is_inside && question->whole)
			err = question->whole(question->context, reader, row);
		if (!err)
			err = reader_visit_details(reader, row);
		err = err < 0 ? err : reader_check_time(reader);
	}
	return err;
}

/* The segments for which the tree holds on which the row stands, up to the service's next one. */
static void take_segments(sqlite3_stmt *row, struct service_range *range)
{
	range->first_segment = (uint32_t)sqlite3_column_int64(row, 2);
	range->last_segment = sqlite3_column_type(row, 3) == SQLITE_NULL
				      ? READER_WHOLE_SPAN - 1
				      : (uint32_t)sqlite3_column_int64(row, 3) - 1;
}

/*
 * The next services that are read together. One with more nodes than these is alone, and so is one
 * with several trees, each of which comes in its turn.
 * 0: there are none; 1, and the row stands on the first one that is not among them, or 2: these
 * are the last.
 */
static int take_services(struct reader *reader, sqlite3_stmt *row, uint64_t most)
{
	const struct reader_question *question = reader->question;
	struct service_range *range = &reader->services;
	uint64_t sum = 0;
	uint32_t service = 0;
	bool has_any = false;
	int more = 1;

	do {
		uint64_t count = (uint64_t)sqlite3_column_int64(row, 1);
		struct service_range next = *range;

		if (!reader_text_column(reader, row, 0, &service))
			return -EBADMSG;
		if (question->wants_service &&
		    !question->wants_service(question->context, reader, service)) {
			range->is_part = true;
			continue;
		}
		take_segments(row, &next);
		if (has_any && (sum + count > most || next.first_segment != range->first_segment ||
				next.last_segment != range->last_segment))
			return 1;
		*range = next;
		range->first = has_any ? range->first : service;
		range->last = service;
		sum += count;
		has_any = true;
	} while ((more = database_step(row)) > 0);
	return more < 0 ? more : has_any ? 2 : 0;
}

/* How many of those are asked for that share the trees which are read now. */
static uint32_t count_asked(const struct reader *reader, const struct segment_rows *segments,
			    const struct service_range *range)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < segments->rows.count; i++) {
		const struct segment_row *row = &segments->rows.items[i];

		count += row->number >= range->first_segment &&
			 row->number <= range->last_segment && reader_asks(reader, row);
	}
	return count;
}

/*
 * Which of the segments in the question's times are left to be read, since no roll-up stands in for
 * them: this changes as they are rolled up. 0: all are.
 */
static uint64_t hash_left(const struct reader *reader, const struct segment_rows *segments)
{
	const struct store_question *asked = reader->question->asked;
	bool is_all = true;
	uint64_t hash = 1;

	for (uint32_t i = 0; i < segments->rows.count; i++) {
		const struct segment_row *row = &segments->rows.items[i];

		if (reader_asks(reader, row))
			hash = table_hash_bytes(&row->number, sizeof(row->number), hash);
		else if (row->first_ms <= asked->to_unix_ms && row->last_ms >= asked->from_unix_ms)
			is_all = false;
	}
	return is_all ? 0 : hash;
}

static int visit_services(struct reader *reader, const struct segment_rows *segments,
			  struct reading reading)
{
	const struct reader_question *question = reader->question;
	struct segment_row all = { .number = reading.number, .is_whole = true };
	int err;

	if (count_asked(reader, segments, &reader->services) == 0)
		return 0;
	reading.row = &all;
	reader->shared = reading.is_inside ? NULL : segments;
	err = question->segment(question->context, reader, &reading);
	if (err == 0)
		err = visit_shared_parts(reader, segments);
	if (err >= 0 && question->segment_end)
		err = question->segment_end(question->context, reader, &reading);
	reader->shared = NULL;
	reader_forget_nodes(reader);
	return err < 0 ? err : 0;
}

/* Stacks of a span whose segments share trees: what they hold is added up as one. */
int reader_visit_shared(struct reader *reader, const struct segment_rows *segments)
{
	autoclean(statement) sqlite3_stmt *trees = NULL;
	struct reading reading = { .number = READER_WHOLE_SPAN, .is_inside = true };
	const struct service_range everything = { .last_segment = UINT32_MAX };
	uint32_t asked_count = count_asked(reader, segments, &everything);
	const struct reader_question *question = reader->question;
	uint64_t most = reader_nodes_together(reader->store);
	int more = 1;
	int err;

	for (uint32_t i = 0; i < segments->rows.count; i++) {
		const struct segment_row *row = &segments->rows.items[i];

		reading.is_inside = reading.is_inside && reader_asks(reader, row) &&
				    reader_in_range(reader, row->first_ms) &&
				    reader_in_range(reader, row->last_ms);
	}
	if (asked_count == 0)
		return 0;
	reader->is_part = !reading.is_inside;
	reader->left = hash_left(reader, segments);
	reading.is_lasting = true;
	if (question->span) {
		err = question->span(question->context, reader, segments->rows.items,
				     segments->rows.count, true);
		if (err)
			return err < 0 ? err : 0;
	}
	/* Of a part about so many fewer nodes are unpacked. */
	if (!reading.is_inside)
		most = most * segments->rows.count / asked_count;
	err = database_prepare(reader->database,
			       "SELECT service, node_count, segment, lead(segment) OVER "
			       "(PARTITION BY service ORDER BY segment) FROM tree "
			       "ORDER BY service, segment",
			       &trees);
	if (!err)
		err = database_step(trees);
	while (err > 0 && more == 1) {
		more = take_services(reader, trees, most);
		err = more <= 0 ? more : visit_services(reader, segments, reading);
		if (!err)
			err = more;
		/* A file can't have so many that this runs out: a node is more than a byte. */
		reading.number += reading.number < UINT32_MAX;
	}
	reader->services = reader_all_services;
	return err < 0 ? err : 0;
}

int reader_visit_in_parts(struct reader *reader, const struct segment_row *row,
			  const struct reading *reading)
{
	const struct reader_question *question = reader->question;
	autoclean(statement) sqlite3_stmt *trees = NULL;
	struct reading part = *reading;
	uint64_t most = reader_nodes_together(reader->store);
	int more = 1;
	int err = question->parts ? question->parts(question->context, reader, reading) : 0;

	if (err)
		return err < 0 ? err : 0;
	part.is_part = true;
	err = database_prepare(reader->database,
			       "SELECT service, node_count, 0, NULL FROM tree "
			       "WHERE segment = ? ORDER BY service",
			       &trees);

	if (err)
		return err;
	sqlite3_bind_int64(trees, 1, row->number);
	err = database_step(trees);
	while (err > 0 && more == 1) {
		more = take_services(reader, trees, most);
		/* Not all that there are, neither now nor the next ones. */
		if (more == 1)
			reader->services.is_part = true;
		err = more <= 0 ? more : reader_visit_whole(reader, row, &part);
		if (!err)
			err = reader_check_time(reader);
		if (!err)
			err = more;
	}
	reader->services = reader_all_services;
	if (err >= 0 && question->parts_end)
		err = question->parts_end(question->context, reader, reading);
	return err < 0 ? err : 0;
}

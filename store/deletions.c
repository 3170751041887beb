/* SPDX-License-Identifier: Apache-2.0 */
#include "store/deletions.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/block_labels.h"
#include "store/records.h"
#include "store/selector.h"
#include "store/store_private.h"

enum {
	RECORD_VERSION = 1,
	RECORD_SIZE_MAX = 1 << 17,
	NUMBER_SIZE = 24,
};

/* ---- rules ----------------------------------------------------------------------------------- */

struct deletion_rules *deletion_rules_hold(struct deletion_rules *rules)
{
	if (rules)
		rules->references++;
	return rules;
}

struct deletion_rules *deletion_rules_release(struct deletion_rules *rules)
{
	if (rules && --rules->references == 0) {
		for (uint32_t i = 0; i < rules->count; i++)
			selector_free(rules->rules[i].selector);
		free(rules);
	}
	return NULL;
}

static struct deletion_rules *rules_new(void)
{
	struct deletion_rules *rules =
		calloc(1, sizeof(*rules) + DELETION_RULE_COUNT_MAX * sizeof(struct deletion_rule));

	if (rules)
		rules->references = 1;
	return rules;
}

static int add_rule(struct deletion_rules *rules, const struct store_deletion *deletion)
{
	char error[SELECTOR_ERROR_SIZE];
	struct deletion_rule rule = { .number = deletion->number,
				      .from_ms = deletion->from_unix_ms,
				      .to_ms = deletion->to_unix_ms };
	int err;

	if (rules->count >= DELETION_RULE_COUNT_MAX)
		return -EBUSY;
	err = selector_parse(deletion->selector, &rule.selector, error);
	if (err)
		return err;
	/* It would be everything, or nearly. */
	if (selector_matches_none(rule.selector)) {
		selector_free(rule.selector);
		return -EINVAL;
	}
	rule.is_by_block =
		block_knows_enough(&(struct store_question){ .selector = rule.selector });
	rules->rules[rules->count++] = rule;
	return 0;
}

/* ---- what of a file is hidden ---------------------------------------------------------------- */

void hiding_done(struct hiding *hiding)
{
	array_done(&hiding->blocks);
}

static bool rule_names(const struct deletion_rule *rule, const struct catalog *catalog,
		       uint32_t series)
{
	struct catalog_sample sample = { catalog, series, 0 };

	return selector_matches(rule->selector, catalog_lookup, &sample);
}

uint64_t hiding_of_series(const struct hiding *hiding, const struct catalog *catalog,
			  uint32_t series)
{
	uint64_t found = 0;

	for (uint64_t left = hiding->mask; left; left &= left - 1) {
		int i = __builtin_ctzll(left);

		if (rule_names(&hiding->rules->rules[i], catalog, series))
			found |= UINT64_C(1) << i;
	}
	return found;
}

static int note_block(struct hiding *hiding, uint32_t service, uint32_t type, uint64_t rules)
{
	for (uint32_t i = 0; i < hiding->blocks.count; i++) {
		struct hidden_block *block = &hiding->blocks.items[i];

		if (block->service == service && block->type == type) {
			block->rules |= rules;
			return 0;
		}
	}
	if (array_reserve(&hiding->blocks, 1) < 0)
		return -ENOMEM;
	hiding->blocks.items[hiding->blocks.count++] =
		(struct hidden_block){ service, type, rules };
	return 0;
}

int hiding_find(const struct deletion_rules *rules, uint64_t after, int64_t first_ms,
		int64_t last_ms, const struct catalog *catalog, struct hiding *ret)
{
	uint64_t named = 0;

	*ret = (struct hiding){ .rules = rules };
	for (uint32_t i = 0; rules && i < rules->count; i++)
		if (rules->rules[i].number > after && rules->rules[i].from_ms <= last_ms &&
		    rules->rules[i].to_ms >= first_ms)
			ret->mask |= UINT64_C(1) << i;
	for (uint32_t i = 1; ret->mask && i < catalog_count(catalog, CATALOG_SERIES); i++) {
		uint64_t found = hiding_of_series(ret, catalog, i);

		if (found && note_block(ret, catalog_service(catalog, i),
					catalog_series(catalog, i).type, found) < 0)
			return -ENOMEM;
		named |= found;
	}
	ret->mask = named;
	return 0;
}

uint64_t hiding_some_of(const struct hiding *hiding, uint64_t mask, int64_t first_ms,
			int64_t last_ms)
{
	uint64_t found = 0;

	for (uint64_t left = mask; left; left &= left - 1) {
		int i = __builtin_ctzll(left);

		if (hiding->rules->rules[i].from_ms <= last_ms &&
		    hiding->rules->rules[i].to_ms >= first_ms)
			found |= UINT64_C(1) << i;
	}
	return found;
}

uint64_t hiding_all_of(const struct hiding *hiding, uint64_t mask, int64_t first_ms,
		       int64_t last_ms)
{
	uint64_t found = 0;

	for (uint64_t left = mask; left; left &= left - 1) {
		int i = __builtin_ctzll(left);

		if (hiding->rules->rules[i].from_ms <= first_ms &&
		    hiding->rules->rules[i].to_ms >= last_ms)
			found |= UINT64_C(1) << i;
	}
	return found;
}

uint64_t hiding_at(const struct hiding *hiding, uint64_t mask, int64_t time_ms)
{
	return hiding_all_of(hiding, mask, time_ms, time_ms);
}

uint64_t hiding_of_block(const struct hiding *hiding, uint32_t service, uint32_t type)
{
	for (uint32_t i = 0; i < hiding->blocks.count; i++)
		if (hiding->blocks.items[i].service == service &&
		    hiding->blocks.items[i].type == type)
			return hiding->blocks.items[i].rules;
	return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static int put(struct store *store, const struct store_deletion *deletion)
{
	autoclean(buf) struct buf bytes = BUF(RECORD_SIZE_MAX);
	char name[NUMBER_SIZE];
	struct record record = { .time_ms = deletion->deleted_ms };

	/* By name is by number. */
	snprintf(name, sizeof(name), "%020" PRIu64, deletion->number);
	buf_add_u8(&bytes, RECORD_VERSION);
	buf_add_sized(&bytes, deletion->selector);
	buf_add_u64(&bytes, (uint64_t)deletion->from_unix_ms);
	buf_add_u64(&bytes, (uint64_t)deletion->to_unix_ms);
	buf_add_sized(&bytes, deletion->by);
	buf_add_u64(&bytes, deletion->series);
	buf_add_u64(&bytes, deletion->samples);
	buf_add_u8(&bytes, deletion->is_removed);
	buf_add_u64(&bytes, (uint64_t)deletion->removed_ms);
	if (bytes.error)
		return bytes.error;
	record.name = str_from(name);
	record.bytes = (struct str){ (const char *)bytes.bytes, bytes.size };
	return records_put(store->records, RECORD_DELETION, &record);
}

struct each {
	store_deletion_visit *visit;
	void *context;
};

static int visit_record(void *context, const struct record *record)
{
	const struct each *each = context;
	struct bytes bytes = bytes_from(record->bytes.text, record->bytes.size);
	struct store_deletion deletion = { .deleted_ms = record->time_ms };

	/* Of a later program. */
	if (bytes_u8(&bytes) != RECORD_VERSION)
		return 0;
	for (size_t i = 0; i < record->name.size; i++)
		deletion.number = deletion.number * 10 + (uint64_t)(record->name.text[i] - '0');
	deletion.selector = bytes_sized(&bytes);
	deletion.from_unix_ms = (int64_t)bytes_u64(&bytes);
	deletion.to_unix_ms = (int64_t)bytes_u64(&bytes);
	deletion.by = bytes_sized(&bytes);
	deletion.series = bytes_u64(&bytes);
	deletion.samples = bytes_u64(&bytes);
	deletion.is_removed = bytes_u8(&bytes) != 0;
	deletion.removed_ms = (int64_t)bytes_u64(&bytes);
	return bytes.error ? -EBADMSG : each->visit(each->context, &deletion);
}

int store_each_deletion(struct store *store, store_deletion_visit *visit, void *context)
{
	struct each each = { visit, context };
	struct records *records;

	pthread_mutex_lock(&store->lock);
	/* Once there it stays. */
	records = store->records;
	pthread_mutex_unlock(&store->lock);
	return records ? records_each(records, RECORD_DELETION, visit_record, &each) : 0;
}

/* ---- the writer's ---------------------------------------------------------------------------- */

/* In place of the list that questions take from now on. */
static void publish(struct store *store, struct deletion_rules *rules)
{
	struct deletion_rules *before;

	pthread_mutex_lock(&store->lock);
	before = store->rules;
	store->rules = rules;
	store->status.deletions_pending = rules ? rules->count : 0;
	pthread_mutex_unlock(&store->lock);
	deletion_rules_release(before);
}

struct reading_rules {
	struct store *store;
	struct deletion_rules *rules;
};

static int read_rule(void *context, const struct store_deletion *deletion)
{
	struct reading_rules *reading = context;

	if (deletion->number > reading->store->last_deletion)
		reading->store->last_deletion = deletion->number;
	reading->store->status.deletions++;
	return deletion->is_removed ? 0 : add_rule(reading->rules, deletion);
}

static int read_rules(struct store *store)
{
	struct reading_rules reading = { store, rules_new() };
	int err = reading.rules ? 0 : -ENOMEM;

	store->status.deletions = 0;
	if (!err)
		err = store_each_deletion(store, read_rule, &reading);
	if (!err)
		publish(store, deletion_rules_hold(reading.rules));
	deletion_rules_release(reading.rules);
	return err;
}

static int open_records(struct store *store)
{
	struct records *records = NULL;
	int err = store->records ? 0 : records_open(store->deletions_path, NULL, &records);

	if (!err && records) {
		pthread_mutex_lock(&store->lock);
		store->records = records;
		pthread_mutex_unlock(&store->lock);
	}
	return err;
}

int store_open_deletions(struct store *store)
{
	/* Most never have any. */
	if (access(store->deletions_path, F_OK))
		return errno == ENOENT ? 0 : -errno;

	int err = open_records(store);

	return err ? err : read_rules(store);
}

void store_close_deletions(struct store *store)
{
	store->rules = deletion_rules_release(store->rules);
	store->records = records_close(store->records);
	free(store->deletions_path);
}

uint64_t store_last_deletion(const struct store *store)
{
	return store->last_deletion;
}

bool store_may_hide(const struct store *store, const struct span *span)
{
	const struct deletion_rules *rules = store->rules;

	return rules && rules->count > 0 &&
	       rules->rules[rules->count - 1].number > span->clean_until;
}

void store_note_clean(struct store *store, struct span *span, uint64_t number)
{
	pthread_mutex_lock(&store->lock);
	if (number > span->clean_until)
		span->clean_until = number;
	pthread_mutex_unlock(&store->lock);
}

void store_note_removed(struct store *store, uint64_t samples)
{
	pthread_mutex_lock(&store->lock);
	store->status.removed_samples += samples;
	pthread_mutex_unlock(&store->lock);
}

/* The least of all files. */
static uint64_t clean_until(const struct store *store)
{
	const struct spans *lists[] = { &store->spans, &store->chronicles };
	uint64_t least = UINT64_MAX;

	for (unsigned k = 0; k < 2; k++)
		for (uint32_t i = 0; i < lists[k]->spans.count; i++)
			if (lists[k]->spans.items[i]->clean_until < least)
				least = lists[k]->spans.items[i]->clean_until;
	return least;
}

struct finishing {
	struct store_deletion deletion;
	uint64_t number;
	char selector[RECORD_SIZE_MAX / 2];
	char by[256];
};

static int find_record(void *context, const struct store_deletion *deletion)
{
	struct finishing *finishing = context;

	if (deletion->number != finishing->number)
		return 0;
	finishing->deletion = *deletion;
	snprintf(finishing->selector, sizeof(finishing->selector), "%.*s",
		 STR_PRINT(deletion->selector));
	snprintf(finishing->by, sizeof(finishing->by), "%.*s", STR_PRINT(deletion->by));
	finishing->deletion.selector = str_from(finishing->selector);
	finishing->deletion.by = str_from(finishing->by);
	return 0;
}

static int finish_one(struct store *store, uint64_t number)
{
	struct finishing *finishing = calloc(1, sizeof(*finishing));
	int err = finishing ? 0 : -ENOMEM;

	if (!err) {
		finishing->number = number;
		err = store_each_deletion(store, find_record, finishing);
	}
	if (!err && finishing->deletion.number) {
		finishing->deletion.is_removed = true;
		finishing->deletion.removed_ms = clock_unix_ms();
		err = put(store, &finishing->deletion);
	}
	free(finishing);
	return err;
}

bool store_has_finished_deletions(const struct store *store)
{
	const struct deletion_rules *rules = store->rules;

	return rules && rules->count > 0 && rules->rules[0].number <= clean_until(store);
}

int store_finish_deletions(struct store *store)
{
	const struct deletion_rules *rules = store->rules;
	uint64_t clean = clean_until(store);
	int err = 0;

	for (uint32_t i = 0; !err && i < rules->count && rules->rules[i].number <= clean; i++)
		err = finish_one(store, rules->rules[i].number);
	return err ? err : read_rules(store);
}

int store_delete(struct store *store, const struct store_deletion *wanted, uint64_t *ret)
{
	struct store_deletion deletion = *wanted;
	struct deletion_rules *trial = rules_new();
	int err = trial ? add_rule(trial, wanted) : -ENOMEM;

	deletion_rules_release(trial);
	if (!err && store->rules && store->rules->count >= DELETION_RULE_COUNT_MAX)
		err = -EBUSY;
	if (!err && !space_may_write(&store->space))
		err = -ENOSPC;
	if (err)
		return err;
	/* What it would have made knows nothing of this. */
	store_stop_compacting(store);
	err = store_close_spans(store);
	if (!err)
		err = store_seal_chronicles(store, false);
	if (!err)
		err = open_records(store);
	if (err)
		return err;
	deletion.number = store->last_deletion + 1;
	deletion.deleted_ms = clock_unix_ms();
	deletion.is_removed = false;
	err = put(store, &deletion);
	store_note_write(store, err);
	if (err)
		return err;
	*ret = deletion.number;
	store->last_deletion = deletion.number;
	return read_rules(store);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_senders.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/table.h"
#include "web/json_writer.h"

enum {
	HOST_SIZE = 48,
	AGENT_SIZE = 80,
	SENTENCE_SIZE = 240,
	/* Requests that are known again: those of a minute, of a host with a few senders. */
	RECENT_COUNT = 128,
	REASON_COUNT_MAX = 16, /* words that this program uses */
};

struct sender {
	char host[HOST_SIZE], agent[AGENT_SIZE], way[16];
	enum otlp_revision revision; /* of the last one that told */
	int64_t last_ms;
	uint64_t requests[OTLP_RESULT_COUNT];
	uint64_t bytes, profiles, samples, samples_refused, mended;
	char sentence[SENTENCE_SIZE]; /* what was wrong last */
	int64_t wrong_ms;
};

struct otlp_senders {
	pthread_mutex_t lock; /* guards what follows */
	struct sender items[OTLP_SENDER_COUNT_MAX];
	size_t count;
	uint64_t evicted;
	uint64_t requests[OTLP_REVISION_COUNT][OTLP_RESULT_COUNT];
	uint64_t samples[OTLP_REVISION_COUNT][OTLP_RESULT_COUNT];
	uint64_t profiles[OTLP_REVISION_COUNT][OTLP_RESULT_COUNT];
	uint64_t bytes, flaws[OTLP_FLAW_COUNT], repeated;
	struct {
		const char *word;
		uint64_t count;
	} reasons[REASON_COUNT_MAX];
	uint64_t recent[RECENT_COUNT]; /* hashes; 0: none */
	size_t recent_next;
};

int otlp_senders_new(struct otlp_senders **ret)
{
	struct otlp_senders *senders = calloc(1, sizeof(*senders));

	if (!senders)
		return -ENOMEM;
	(void)pthread_mutex_init(&senders->lock, NULL);
	*ret = senders;
	return 0;
}

struct otlp_senders *otlp_senders_free(struct otlp_senders *senders)
{
	if (!senders)
		return NULL;
	(void)pthread_mutex_destroy(&senders->lock);
	free(senders);
	return NULL;
}

/* ---- senders ----------------------------------------------------------------------------------
 */

/* A stranger's text, for logs and the page: printable, and no longer than it may be. */
static void copy_text(struct str text, char *copy, size_t size)
{
	size_t i = 0;

	for (; i < text.size && i + 1 < size; i++)
		copy[i] = text.text[i] >= ' ' && text.text[i] <= '~' ? text.text[i] : '?';
	copy[i] = '\0';
}

static struct sender *find(struct otlp_senders *senders, struct str host, struct str agent)
{
	char names[2][AGENT_SIZE];

	copy_text(host, names[0], HOST_SIZE);
	copy_text(agent, names[1], AGENT_SIZE);
	for (size_t i = 0; i < senders->count; i++)
		if (!strcmp(senders->items[i].host, names[0]) &&
		    !strcmp(senders->items[i].agent, names[1]))
			return &senders->items[i];
	return NULL;
}

/* The one that has been silent for the longest makes room. */
static struct sender *add(struct otlp_senders *senders, struct str host, struct str agent)
{
	struct sender *sender = &senders->items[0];

	if (senders->count < OTLP_SENDER_COUNT_MAX) {
		sender = &senders->items[senders->count++];
	} else {
		for (size_t i = 1; i < senders->count; i++)
			if (senders->items[i].last_ms < sender->last_ms)
				sender = &senders->items[i];
		senders->evicted++;
	}
	*sender = (struct sender){ 0 };
	copy_text(host, sender->host, sizeof(sender->host));
	copy_text(agent, sender->agent, sizeof(sender->agent));
	return sender;
}

static void count_reason(struct otlp_senders *senders, const char *word)
{
	size_t i = 0;

	while (i + 1 < REASON_COUNT_MAX && senders->reasons[i].word &&
	       strcmp(senders->reasons[i].word, word) != 0)
		i++;
	senders->reasons[i].word = word;
	senders->reasons[i].count++;
}

static void note_sender(struct sender *sender, const struct otlp_outcome *outcome)
{
	const struct otlp_report *report = outcome->report;
	bool is_accepted = outcome->result == OTLP_ACCEPTED;

	copy_text(outcome->way, sender->way, sizeof(sender->way));
	sender->last_ms = clock_unix_ms();
	sender->requests[outcome->result]++;
	sender->bytes += outcome->bytes;
	if (report->revision != OTLP_REVISION_NONE)
		sender->revision = report->revision;
	sender->profiles += is_accepted ? report->profiles - report->profiles_refused : 0;
	sender->samples += is_accepted ? report->samples - report->samples_skipped : 0;
	sender->samples_refused += is_accepted ? report->samples_skipped : report->samples;
	for (int flaw = 0; flaw < OTLP_FLAW_FIRST_SKIPPED; flaw++)
		sender->mended += report->flaws[flaw];
	if (outcome->sentence[0]) {
		copy_text(str_from(outcome->sentence), sender->sentence, sizeof(sender->sentence));
		sender->wrong_ms = sender->last_ms;
	}
}

static void count_all(struct otlp_senders *senders, const struct otlp_outcome *outcome)
{
	const struct otlp_report *report = outcome->report;
	enum otlp_revision revision = report->revision;

	senders->requests[revision][outcome->result]++;
	senders->bytes += outcome->bytes;
	if (outcome->result == OTLP_ACCEPTED) {
		senders->samples[revision][OTLP_ACCEPTED] +=
			report->samples - report->samples_skipped;
		senders->samples[revision][OTLP_REFUSED] += report->samples_skipped;
		senders->profiles[revision][OTLP_ACCEPTED] +=
			report->profiles - report->profiles_refused;
		senders->profiles[revision][OTLP_REFUSED] += report->profiles_refused;
	} else {
		senders->samples[revision][outcome->result] += report->samples;
		senders->profiles[revision][outcome->result] += report->profiles;
	}
	for (int flaw = 0; flaw < OTLP_FLAW_COUNT; flaw++)
		senders->flaws[flaw] += report->flaws[flaw];
	if (outcome->reason[0])
		count_reason(senders, outcome->reason);
}

void otlp_senders_note(struct otlp_senders *senders, const struct otlp_outcome *outcome)
{
	enum otlp_revision before = OTLP_REVISION_NONE;
	struct sender *sender;
	bool is_new = false;
	bool is_first_wrong;

	assert(outcome->report && outcome->result < OTLP_RESULT_COUNT);
	pthread_mutex_lock(&senders->lock);
	sender = find(senders, outcome->host, outcome->agent);
	if (!sender) {
		sender = add(senders, outcome->host, outcome->agent);
		is_new = true;
	}
	before = sender->revision;
	is_first_wrong = outcome->sentence[0] && sender->wrong_ms == 0;
	note_sender(sender, outcome);
	count_all(senders, outcome);
	/* Said once of each sender, since nothing else tells which revisions meet here. */
	if ((is_new || sender->revision != before) && sender->revision != OTLP_REVISION_NONE)
		log_info("OTLP: %s (%s) sends revision %s", sender->host, sender->agent,
			 otlp_revision_name(sender->revision));
	if (is_first_wrong)
		log_warning("OTLP: of what %s (%s) sent something was refused: %s", sender->host,
			    sender->agent, sender->sentence);
	pthread_mutex_unlock(&senders->lock);
}

enum otlp_revision otlp_senders_believed(struct otlp_senders *senders, struct str host,
					 struct str agent)
{
	enum otlp_revision revision = OTLP_REVISION_NONE;

	pthread_mutex_lock(&senders->lock);

	const struct sender *sender = find(senders, host, agent);

	if (sender)
		revision = sender->revision;
	pthread_mutex_unlock(&senders->lock);
	return revision;
}

/* ---- requests that come again -----------------------------------------------------------------
 */

bool otlp_senders_knows(struct otlp_senders *senders, uint64_t hash)
{
	bool is_known = false;

	assert(hash != 0);
	pthread_mutex_lock(&senders->lock);
	for (size_t i = 0; i < RECENT_COUNT && !is_known; i++)
		is_known = senders->recent[i] == hash;
	senders->repeated += is_known;
	pthread_mutex_unlock(&senders->lock);
	return is_known;
}

void otlp_senders_stored(struct otlp_senders *senders, uint64_t hash)
{
	assert(hash != 0);
	pthread_mutex_lock(&senders->lock);
	senders->recent[senders->recent_next] = hash;
	senders->recent_next = (senders->recent_next + 1) % RECENT_COUNT;
	pthread_mutex_unlock(&senders->lock);
}

/* ---- what is told -----------------------------------------------------------------------------
 */

static const char *const results[OTLP_RESULT_COUNT] = { "accepted", "refused", "failed" };

static void add_head(struct buf *buf, const char *name, const char *help)
{
	buf_printf(buf, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
}

static void add_table(struct buf *buf, const char *name, const char *help,
		      uint64_t counts[OTLP_REVISION_COUNT][OTLP_RESULT_COUNT])
{
	add_head(buf, name, help);
	for (int revision = 0; revision < OTLP_REVISION_COUNT; revision++)
		for (int result = 0; result < OTLP_RESULT_COUNT; result++)
			if (counts[revision][result] > 0)
				buf_printf(buf, "%s{revision=\"%s\",result=\"%s\"} %" PRIu64 "\n",
					   name, otlp_revision_name((enum otlp_revision)revision),
					   results[result], counts[revision][result]);
}

static void add_label(struct buf *buf, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_u8(buf, '\\');
		buf_add_u8(buf, (uint8_t)*text);
	}
}

static void add_senders(struct otlp_senders *senders, struct buf *buf)
{
	add_head(buf, "hearth_otlp_sender_samples_total", "Samples, by who sent them.");
	for (size_t i = 0; i < senders->count; i++) {
		const struct sender *sender = &senders->items[i];
		const uint64_t counts[] = { sender->samples, sender->samples_refused };

		for (size_t result = 0; result < 2; result++) {
			buf_printf(buf, "hearth_otlp_sender_samples_total{sender=\"");
			add_label(buf, sender->host);
			buf_printf(buf, "\",agent=\"");
			add_label(buf, sender->agent);
			buf_printf(buf, "\",revision=\"%s\",result=\"%s\"} %" PRIu64 "\n",
				   otlp_revision_name(sender->revision), results[result],
				   counts[result]);
		}
	}
}

void otlp_senders_write_metrics(struct otlp_senders *senders, struct buf *buf)
{
	pthread_mutex_lock(&senders->lock);
	add_table(buf, "hearth_otlp_requests_total",
		  "Requests of OpenTelemetry's profiles, by revision of the protocol.",
		  senders->requests);
	add_table(buf, "hearth_otlp_profiles_total", "Profiles in them.", senders->profiles);
	add_table(buf, "hearth_otlp_samples_total", "Samples in those.", senders->samples);
	add_head(buf, "hearth_otlp_bytes_total", "Bytes of all requests, unpacked.");
	buf_printf(buf, "hearth_otlp_bytes_total %" PRIu64 "\n", senders->bytes);
	add_head(buf, "hearth_otlp_repeated_total",
		 "Requests that were stored already, sent again by who did not hear so.");
	buf_printf(buf, "hearth_otlp_repeated_total %" PRIu64 "\n", senders->repeated);
	add_head(buf, "hearth_otlp_flaws_total",
		 "What was wrong in requests, and mended, skipped or refused.");
	for (int flaw = 0; flaw < OTLP_FLAW_COUNT; flaw++)
		buf_printf(buf, "hearth_otlp_flaws_total{kind=\"%s\"} %" PRIu64 "\n",
			   otlp_flaw_name((enum otlp_flaw)flaw), senders->flaws[flaw]);
	add_head(buf, "hearth_otlp_refused_total", "Requests that were refused or failed, by why.");
	for (size_t i = 0; i < REASON_COUNT_MAX && senders->reasons[i].word; i++)
		buf_printf(buf, "hearth_otlp_refused_total{reason=\"%s\"} %" PRIu64 "\n",
			   senders->reasons[i].word, senders->reasons[i].count);
	add_senders(senders, buf);
	pthread_mutex_unlock(&senders->lock);
}

static int compare_last(const void *a, const void *b)
{
	const struct sender *const *x = a;
	const struct sender *const *y = b;

	return ((*x)->last_ms < (*y)->last_ms) - ((*x)->last_ms > (*y)->last_ms);
}

static void write_sender(struct json_writer *json, const struct sender *sender)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "requests", sender->requests[OTLP_ACCEPTED] },
		{ "requests_refused", sender->requests[OTLP_REFUSED] },
		{ "requests_failed", sender->requests[OTLP_FAILED] },
		{ "bytes", sender->bytes },
		{ "profiles", sender->profiles },
		{ "samples", sender->samples },
		{ "samples_refused", sender->samples_refused },
		{ "mended", sender->mended },
	};

	json_begin_object(json);
	json_key(json, "host");
	json_text(json, str_from(sender->host));
	json_key(json, "agent");
	json_text(json, str_from(sender->agent));
	json_key(json, "way");
	json_text(json, str_from(sender->way));
	json_key(json, "revision");
	json_text(json, str_from(otlp_revision_name(sender->revision)));
	json_key(json, "last_ms");
	json_i64(json, sender->last_ms);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		json_key(json, numbers[i].name);
		json_u64(json, numbers[i].value);
	}
	json_key(json, "wrong");
	json_text(json, str_from(sender->sentence));
	json_key(json, "wrong_ms");
	json_i64(json, sender->wrong_ms);
	json_end_object(json);
}

void otlp_senders_write(struct otlp_senders *senders, struct json_writer *json)
{
	const struct sender *sorted[OTLP_SENDER_COUNT_MAX] = { NULL };

	pthread_mutex_lock(&senders->lock);
	for (size_t i = 0; i < senders->count; i++)
		sorted[i] = &senders->items[i];
	qsort(sorted, senders->count, sizeof(sorted[0]), compare_last);
	json_begin_array(json);
	for (size_t i = 0; i < senders->count; i++)
		write_sender(json, sorted[i]);
	json_end_array(json);
	pthread_mutex_unlock(&senders->lock);
}

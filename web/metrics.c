/* SPDX-License-Identifier: Apache-2.0 */
#include "web/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/verdict.h"
#include "store/gate.h"
#include "symbols/jit_processes.h"
#include "symbols/symbols.h"
#include "symbols/unwind_tables.h"
#include "version.h"
#include "web/json_writer.h"
#include "web/label_rules.h"
#include "web/request_counters.h"
#include "web/otlp_senders.h"
#include "web/server.h"
#include "web/slots.h"

const char *metrics_loss_name(enum loss_kind kind)
{
	static const char *const names[LOSS_KIND_COUNT] = {
		[LOSS_RING_FULL] = "ring_full",
		[LOSS_STACK_TABLE_FULL] = "stack_table_full",
		[LOSS_PROCESS_TABLE_FULL] = "process_table_full",
		[LOSS_SIDEBAND] = "sideband",
		[LOSS_BACKLOG_FULL] = "backlog_full",
		[LOSS_UNREADABLE] = "unreadable",
	};

	assert(kind < LOSS_KIND_COUNT && names[kind]);
	return names[kind];
}

const char *metrics_store_state(enum store_state state)
{
	static const char *const names[] = {
		[STORE_OK] = "ok",
		[STORE_SHEDDING] = "shedding",
		[STORE_READ_ONLY] = "read-only",
	};

	return names[state];
}

const char *metrics_store_class(enum store_class class)
{
	static const char *const names[STORE_CLASS_COUNT] = {
		[STORE_RAW] = "raw",
		[STORE_LATE] = "late",
		[STORE_ROLLED] = "rolled",
	};

	return names[class];
}

const char *metrics_drop_reason(enum store_drop_reason reason)
{
	static const char *const names[STORE_DROP_REASON_COUNT] = {
		[STORE_DROPPED_AGE] = "age",
		[STORE_DROPPED_SIZE] = "size",
		[STORE_DROPPED_ROOM] = "room",
	};

	return names[reason];
}

static void add_head(struct buf *buf, const char *name, const char *type, const char *help)
{
	buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_counter(struct buf *buf, const char *name, uint64_t value, const char *help)
{
	add_head(buf, name, "counter", help);
	buf_printf(buf, "%s %" PRIu64 "\n", name, value);
}

static void add_gauge(struct buf *buf, const char *name, double value, const char *help)
{
	add_head(buf, name, "gauge", help);
	buf_printf(buf, "%s %.17g\n", name, value);
}

static void add_collector(struct buf *buf, const struct server_counters *counters)
{
	int state = counters->collector_state;

	add_gauge(buf, "hearth_collector_sampling",
		  state == COLLECTOR_SAMPLING || state == COLLECTOR_REPLAY,
		  "Whether samples come in.");
	add_gauge(buf, "hearth_collector_frequency_hz", counters->frequency_hz,
		  "Samples taken a second on each CPU that works.");
	add_counter(buf, "hearth_windows_received_total", counters->windows_received,
		    "Windows that came over the link.");
	add_counter(buf, "hearth_windows_refused_total", counters->windows_refused,
		    "Windows that were no good.");
	add_counter(buf, "hearth_samples_received_total", counters->samples_received,
		    "Samples that came over the link.");
	add_head(buf, "hearth_lost_total", "counter",
		 "What was not recorded: samples, of kind sideband records of mappings.");
	for (int kind = 0; kind < LOSS_KIND_COUNT; kind++)
		buf_printf(buf, "hearth_lost_total{kind=\"%s\"} %" PRIu64 "\n",
			   metrics_loss_name((enum loss_kind)kind), counters->losses[kind]);
	add_head(buf, "hearth_stacks_total", "counter",
		 "Samples by how the walk of their stack ended: complete, or why not.");
	for (int verdict = 0; verdict < VERDICT_COUNT; verdict++)
		buf_printf(buf, "hearth_stacks_total{verdict=\"%s\"} %" PRIu64 "\n",
			   verdict_key((enum verdict)verdict), counters->verdicts[verdict]);
	add_counter(buf, "hearth_wishes_sent_total", counters->wishes_sent,
		    "Files that the collector was asked for.");
	add_counter(buf, "hearth_files_received_total", counters->files_received,
		    "Files that it opened for us.");
}

/* Of the walks in the kernel and in the collector. */
static void add_walks(struct buf *buf, const struct server_counters *counters)
{
	static const struct {
		const char *name, *help;
	} figures[WALK_FIGURE_COUNT] = {
		[WALK_CHECKED] = { "hearth_walks_checked_total",
				   "Stacks walked twice, as usual and without short cuts." },
		[WALK_DIFFERENT] = { "hearth_walks_different_total",
				     "Of these, with another outcome; anything but 0 is a mistake "
				     "of ours." },
		[WALK_LATE] = { "hearth_late_walks_total",
				"Stacks walked after their sample, when their tables were there." },
		[WALK_LATE_EXPIRED] = { "hearth_late_walks_expired_total",
					"Of these, without all that they waited for." },
		[WALK_LATE_CROWDED] = { "hearth_late_walks_crowded_total",
					"Of those, because too many waited." },
		[WALK_LATE_LEFT_OUT] = { "hearth_late_walks_left_out_total",
					 "Samples before their tables that could not bring their "
					 "stack." },
		[WALK_TABLES_ASKED] = { "hearth_unwind_tables_asked_total",
					"Unwind tables that the collector asked for." },
		[WALK_TABLES_PUT] = { "hearth_unwind_tables_put_total",
				      "Unwind tables that it put into the kernel." },
		[WALK_TABLES_EVICTED] = { "hearth_unwind_tables_evicted_total",
					  "Unwind tables that left the kernel for others." },
		[WALK_TABLES_NO_ROOM] = { "hearth_unwind_tables_no_room_total",
					  "Unwind tables that found no room there." },
		[WALK_PROCESSES_LEFT_OUT] = { "hearth_walk_processes_left_out_total",
					      "Mappings of processes that found no room there." },
		[WALK_TABLES_HELD] = { "hearth_unwind_tables_held",
				       "Unwind tables in the kernel." },
		[WALK_MEMORY_USED] = { "hearth_walk_memory_bytes",
				       "Unwind tables and mappings in the kernel." },
		[WALK_MAPPINGS_TOLD] = { "hearth_mappings_told_total",
					 "Records of mappings, told to the walk in the kernel." },
		[WALK_MAPPINGS_LATE] = { "hearth_mappings_told_late_total",
					 "Of these, those that took more than 2 ms." },
		[WALK_EXCLUDED] = { "hearth_samples_excluded_total",
				    "Samples of whom the settings exclude; they are not kept." },
		[WALK_MEMORY_MAX] = { "hearth_walk_memory_limit_bytes", "What they may take." },
		[WALK_BY_KERNEL] = { "hearth_walks_by_kernels_mappings_total",
				     "Stacks walked by mappings that only the kernel knew yet." },
		[WALK_MAPPINGS_LATE_FOUND] = { "hearth_mappings_told_late_found_total",
					       "Of mappings that were told late, those that walks "
					       "find without being told." },
	};

	for (unsigned i = 0; i < WALK_FIGURE_COUNT; i++)
		if (!figures[i].name)
			continue; /* of a histogram */
		else if (walk_figure_is_count(i))
			add_counter(buf, figures[i].name, counters->walk_figures[i],
				    figures[i].help);
		else
			add_gauge(buf, figures[i].name, (double)counters->walk_figures[i],
				  figures[i].help);
}

/* How soon mappings are told to the walk. */
static void add_telling(struct buf *buf, const struct server_counters *counters)
{
	static const char name[] = "hearth_mapping_telling_seconds";

	add_head(buf, name, "histogram",
		 "From the kernel's record of a mapping until the walk knew of it.");
	for (unsigned i = 0; i < WALK_TOLD_WITHIN_COUNT; i++)
		buf_printf(buf, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, walk_told_us(i) / 1e6,
			   counters->walk_figures[WALK_TOLD_WITHIN + i]);
	buf_printf(buf, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name,
		   counters->walk_figures[WALK_MAPPINGS_TOLD]);
	buf_printf(buf, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name,
		   (double)counters->walk_figures[WALK_TOLD_NS] / (double)CLOCK_NS_PER_S, name,
		   counters->walk_figures[WALK_MAPPINGS_TOLD]);
}

/* Requests of OTLP that are under way, and that wait. */
static void add_otlp_crowd(struct buf *buf, const struct server *server)
{
	unsigned received, waiting;
	uint64_t size, peak;

	slots_figures(server->otlp_places, &received, &waiting);
	gate_figures(server->otlp_gate, &size, &peak);
	add_gauge(buf, "hearth_otlp_receiving_requests", received,
		  "Requests of OpenTelemetry's profiles that are being received or stored.");
	add_gauge(buf, "hearth_otlp_waiting_requests", waiting,
		  "Others, whose bodies nobody reads until one of these has been answered.");
	add_gauge(buf, "hearth_otlp_reading_bytes", (double)size,
		  "Bytes of the bodies that are being read into the store.");
	add_gauge(buf, "hearth_otlp_reading_peak_bytes", (double)peak,
		  "The same at its highest since the start.");
}

static void add_questions(struct buf *buf, const struct server_counters *counters,
			  const struct store_status *status)
{
	add_counter(buf, "hearth_questions_total", counters->questions,
		    "Requests that asked the store.");
	add_counter(buf, "hearth_questions_cancelled_total", counters->questions_cancelled,
		    "Of them those that ended early, since whoever asked had gone away.");
	add_counter(buf, "hearth_question_spans_total", counters->question_spans,
		    "Span files that they looked into.");
	add_counter(buf, "hearth_question_pieces_total", counters->question_pieces,
		    "Blobs that they unpacked.");
	add_counter(buf, "hearth_question_bytes_total", counters->question_bytes,
		    "Bytes of these on disk.");
	add_head(buf, "hearth_question_seconds_total", "counter",
		 "Time that they took, waiting for their turn included.");
	buf_printf(buf, "hearth_question_seconds_total %.6f\n",
		   (double)counters->question_ns / (double)CLOCK_NS_PER_S);
	add_gauge(buf, "hearth_question_memory_bytes", (double)status->question_memory,
		  "What those that run now are estimated to take.");
	add_gauge(buf, "hearth_question_memory_peak_bytes", (double)status->question_memory_peak,
		  "The same at its highest since the start.");
	add_gauge(buf, "hearth_store_growing_bytes", (double)status->growing_memory,
		  "What files that are written to, and those that are made of them, take in "
		  "memory, about.");
	add_gauge(buf, "hearth_question_kept_bytes", (double)status->kept_memory,
		  "Memory and names that are kept for the next ones.");
	add_gauge(buf, "hearth_store_cache_bytes", (double)status->cache_memory,
		  "Memory that trees of finished segments are kept in.");
}

static void add_pushes(struct buf *buf, const struct server_counters *counters)
{
	add_counter(buf, "hearth_push_profiles_total", counters->push_profiles,
		    "Profiles that programs pushed, and that were taken.");
	add_counter(buf, "hearth_push_refused_total", counters->push_refused,
		    "Profiles, or series of them, that were no good.");
	add_counter(buf, "hearth_push_bytes_total", counters->push_bytes,
		    "Bytes of those that were taken, unpacked.");
	add_counter(buf, "hearth_push_stacks_total", counters->push_stacks, "Their stacks.");
	add_counter(buf, "hearth_push_stacks_skipped_total", counters->push_stacks_skipped,
		    "Stacks without a value, or with a negative one, that were left out.");
	add_head(buf, "hearth_push_repairs_total", "counter",
		 "What was mended of pushed profiles, rather than refused.");
	for (unsigned i = 0; i < PUSH_REPAIR_COUNT; i++)
		buf_printf(buf, "hearth_push_repairs_total{kind=\"%s\"} %" PRIu64 "\n",
			   push_repair_name(i), counters->push_repairs[i]);
}

static void add_limits(struct buf *buf, const struct server_counters *counters)
{
	add_head(buf, "hearth_limit_hits_total", "counter",
		 "Requests that were refused, or not answered, because of a limit.");
	for (int limit = LIMIT_NONE + 1; limit < LIMIT_COUNT; limit++)
		buf_printf(buf, "hearth_limit_hits_total{limit=\"%s\"} %" PRIu64 "\n",
			   limit_name((enum limit)limit), counters->limits_hit[limit]);
}

static void add_store(struct buf *buf, const struct store_status *status)
{
	add_gauge(buf, "hearth_store_spans", status->span_count, "Span files.");
	add_gauge(buf, "hearth_store_damaged_spans", status->damaged_count,
		  "Span files that were set aside.");
	add_gauge(buf, "hearth_store_failing_spans", status->failing_count,
		  "Sound span files that were left out, since questions fail on them.");
	add_counter(buf, "hearth_store_checked_spans_total", status->checked_spans,
		    "Sealed span files that were read through in idle time.");
	add_gauge(buf, "hearth_store_bytes", (double)status->bytes,
		  "Size of the store on disk, logs included.");
	add_gauge(buf, "hearth_store_samples", (double)status->samples, "Samples in all spans.");
	add_gauge(buf, "hearth_store_oldest_timestamp_seconds", (double)status->oldest_ms / 1000,
		  "Start of what is held; 0 for nothing.");
	add_gauge(buf, "hearth_store_newest_timestamp_seconds", (double)status->newest_ms / 1000,
		  "End of what is held; 0 for nothing.");
	add_counter(buf, "hearth_store_commits_total", status->commits, "Transactions synced.");
	add_counter(buf, "hearth_store_samples_appended_total", status->samples_appended,
		    "Samples taken in since the start.");
	add_counter(buf, "hearth_store_series_overflow_samples_total", status->series_overflowed,
		    "Samples of series beyond the limits, which went to an overflow series.");
	add_counter(buf, "hearth_store_duplicate_batches_total", status->duplicates,
		    "Batches that were there already.");
	add_head(buf, "hearth_store_dropped_spans_total", "counter",
		 "Span files that retention let go, by what for.");
	for (int reason = 0; reason < STORE_DROP_REASON_COUNT; reason++)
		buf_printf(buf, "hearth_store_dropped_spans_total{reason=\"%s\"} %" PRIu64 "\n",
			   metrics_drop_reason((enum store_drop_reason)reason),
			   status->dropped_spans[reason]);
	add_counter(buf, "hearth_store_deletions_total", status->deletions,
		    "Deletions that were asked for, ever.");
	add_gauge(buf, "hearth_store_deletions_pending", (double)status->deletions_pending,
		  "Deletions that are hidden, and not removed from every file yet.");
	add_counter(buf, "hearth_store_removed_samples_total", status->removed_samples,
		    "Samples that were removed from files since the start, being deleted.");
	add_head(buf, "hearth_store_class_bytes", "gauge", "Size on disk, by class of span file.");
	for (int class = 0; class < STORE_CLASS_COUNT; class ++)
		buf_printf(buf, "hearth_store_class_bytes{class=\"%s\"} %" PRIu64 "\n",
			   metrics_store_class((enum store_class) class),
			   status->classes[class].bytes);
	add_gauge(buf, "hearth_store_limit_bytes", (double)status->byte_limit,
		  "What all files may take; 0 for no limit.");
	add_gauge(buf, "hearth_store_state", status->state,
		  "What the disk lets the store do: 0 ok, 1 shedding, 2 read-only.");
	add_gauge(buf, "hearth_store_disk_free_bytes", (double)status->disk_free,
		  "Free on the store's file system.");
	add_gauge(buf, "hearth_store_disk_bytes", (double)status->disk_bytes,
		  "Size of the store's file system.");
	add_gauge(buf, "hearth_store_clock_jumped", status->clock_jumped,
		  "Whether the wall clock jumped a while ago, so that nothing is dropped for its "
		  "age.");
}

static void add_symbols(struct buf *buf, const struct symbols_stats *stats)
{
	add_gauge(buf, "hearth_symbols_modules", (double)stats->modules,
		  "Executables, libraries and kernels with a symbol file.");
	add_gauge(buf, "hearth_symbols_failed", (double)stats->failed,
		  "Files remembered as of no use.");
	add_gauge(buf, "hearth_symbols_waiting", (double)stats->waiting,
		  "Files brought and not read yet.");
	add_counter(buf, "hearth_symbols_readers_died_total", stats->died,
		    "Processes that read a file for its names and crashed over it.");
	add_counter(buf, "hearth_symbols_readers_overran_total", stats->overran,
		    "Processes that read a file for its names and were ended for their time.");
	add_counter(buf, "hearth_symbols_readers_unfiltered_total", stats->unfiltered,
		    "Of these, processes whose calls could not be filtered: no seccomp here.");
	add_counter(buf, "hearth_symbols_readers_cpu_ms_total",
		    stats->cpu_ns / (uint64_t)CLOCK_NS_PER_MS, "CPU time of all of them.");
	add_gauge(buf, "hearth_symbols_reader_peak_bytes", (double)stats->peak_bytes,
		  "Resident memory of the largest of them.");
	add_gauge(buf, "hearth_symbols_file_bytes", (double)stats->file_bytes,
		  "Size of all symbol files.");
}

static void add_unwind_tables(struct buf *buf, const struct unwind_tables_stats *stats)
{
	add_counter(buf, "hearth_unwind_tables_made_total", stats->made,
		    "Unwind tables made of files.");
	add_counter(buf, "hearth_unwind_tables_found_total", stats->found,
		    "Unwind tables found on disk.");
	add_counter(buf, "hearth_unwind_tables_without_total", stats->without,
		    "Files asked for that say nothing of their frames, or can't be read.");
	add_counter(buf, "hearth_unwind_rows_total", stats->rows, "Rows of the tables made.");
	add_counter(buf, "hearth_unwind_rows_unsupported_total", stats->unsupported,
		    "Of these, rows with a rule that can't be followed.");
	add_gauge(buf, "hearth_unwind_tables_waiting", (double)stats->waiting,
		  "Files that wait for their table.");
	add_gauge(buf, "hearth_unwind_tables_file_bytes", (double)stats->cache.bytes,
		  "Size of all unwind tables on disk.");
}

static void add_jit(struct buf *buf, const struct jit_processes_stats *stats)
{
	add_gauge(buf, "hearth_jit_processes", (double)stats->processes,
		  "Processes whose perf map or jitdump is followed.");
	add_gauge(buf, "hearth_jit_ranges", (double)stats->ranges, "Ranges of code in them.");
	add_counter(buf, "hearth_jit_refused_total", stats->refused,
		    "Perf maps and jitdumps that are none, or beyond a limit.");
	add_counter(buf, "hearth_jit_evicted_total", stats->evicted,
		    "Processes forgotten to make room for others.");
	add_gauge(buf, "hearth_jit_awaited", (double)stats->awaited,
		  "Addresses of samples whose names their processes may write yet.");
	add_counter(buf, "hearth_jit_late_total", stats->late,
		    "Of these, that got their name after the sample was stored.");
}

/* The second number of /proc/self/statm: resident pages (proc(5)). */
static uint64_t resident_bytes(void)
{
	char text[256] = "";
	uint64_t pages = 0;
	struct str part;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	(void)fclose(file);

	struct str rest = str_from(text);

	if (!parse_next(&rest, ' ', &part) || !parse_next(&rest, ' ', &part) ||
	    parse_u64(part, &pages))
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fd_count(void)
{
	uint64_t count = 0;
	DIR *folder = opendir("/proc/self/fd");

	if (!folder)
		return 0;
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
		count += entry->d_name[0] != '.';
	(void)closedir(folder);
	return count > 0 ? count - 1 : 0; /* without the folder's own */
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void add_process(struct buf *buf)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage); /* can't fail with these arguments */
	add_gauge(buf, "process_resident_memory_bytes", (double)resident_bytes(),
		  "Resident memory of the server.");

	/* Whether memory that grows is held, or lies between what is held. */
	struct mallinfo2 heap = mallinfo2();

	add_gauge(buf, "hearth_heap_used_bytes", (double)heap.uordblks + (double)heap.hblkhd,
		  "Memory of the server that something holds.");
	add_gauge(buf, "hearth_heap_free_bytes", (double)heap.fordblks,
		  "Memory that was given back to the heap, and not to the kernel.");
	add_head(buf, "process_cpu_seconds_total", "counter", "CPU time of the server.");
	buf_printf(buf, "process_cpu_seconds_total %.6f\n",
		   seconds(usage.ru_utime) + seconds(usage.ru_stime));
	add_gauge(buf, "process_open_fds", (double)open_fd_count(), "Open file descriptors.");
}

void metrics_answer(struct server *server, struct request *request, struct reply *reply)
{
	struct buf *buf = &reply->body;
	struct symbols_stats symbols = { 0 };
	struct unwind_tables_stats tables = { 0 };
	struct jit_processes_stats jit = { 0 };
	struct store_status store;

	(void)request;
	store_status(server->store, &store);
	if (server->symbols)
		symbols_stats(server->symbols, &symbols);
	if (server->unwind_tables)
		unwind_tables_stats(server->unwind_tables, &tables);
	if (server->jit)
		jit_processes_stats(server->jit, &jit);

	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	add_head(buf, "hearth_build_info", "gauge", "The version, as a label.");
	buf_printf(buf, "hearth_build_info{version=\"%s\"} 1\n", HEARTH_VERSION);
	add_gauge(buf, "hearth_start_time_seconds", (double)server->started_unix_ms / 1000,
		  "When the server started.");
	add_collector(buf, &server->counters);
	add_walks(buf, &server->counters);
	add_telling(buf, &server->counters);
	add_store(buf, &store);
	add_symbols(buf, &symbols);
	add_unwind_tables(buf, &tables);
	add_jit(buf, &jit);
	add_counter(buf, "hearth_http_requests_total", server->counters.requests, "HTTP requests.");
	add_counter(buf, "hearth_http_requests_refused_total", server->counters.requests_refused,
		    "HTTP requests refused for what they are, not for what they ask.");
	add_counter(buf, "hearth_http_tokens_refused_total", server->counters.tokens_refused,
		    "Requests with a token that is nobody's.");
	add_pushes(buf, &server->counters);
	if (server->label_rules)
		label_rules_write_metrics(server->label_rules, buf);
	if (server->otlp_places)
		add_otlp_crowd(buf, server);
	if (server->otlp_senders)
		otlp_senders_write_metrics(server->otlp_senders, buf);
	add_limits(buf, &server->counters);
	add_questions(buf, &server->counters, &store);
	if (server->request_counters)
		request_counters_write(server->request_counters, buf);
	add_process(buf);
}

void metrics_build(struct server *server, struct request *request, struct reply *reply)
{
	struct json_writer json = JSON_WRITER(&reply->body);

	(void)server;
	(void)request;
	json_begin_object(&json);
	json_key(&json, "status");
	json_text(&json, STR("success"));
	json_key(&json, "data");
	json_begin_object(&json);
	json_key(&json, "version");
	json_text(&json, STR(HEARTH_VERSION));
	json_end_object(&json);
	json_end_object(&json);
}

void metrics_ready(struct server *server, struct request *request, struct reply *reply)
{
	(void)request;
	reply->content_type = "text/plain; charset=utf-8";
	reply->status = server->store ? 200 : 503;
	buf_add_str(&reply->body, server->store ? STR("ready") : STR("starting"));
}

void metrics_readyz(struct server *server, struct request *request, struct reply *reply)
{
	static const char *const collector_reasons[] = {
		[COLLECTOR_ABSENT] = "no collector is connected",
		[COLLECTOR_SAMPLING] = NULL,
		[COLLECTOR_NO_RIGHTS] = "there are no rights to sample this host",
		[COLLECTOR_REPLAY] = NULL,
	};
	const char *of_collector = collector_reasons[server->counters.collector_state];
	struct json_writer json = JSON_WRITER(&reply->body);
	struct store_status store = { .state = STORE_READ_ONLY };

	(void)request;
	if (server->store)
		store_status(server->store, &store);

	bool can_write = store.state != STORE_READ_ONLY;

	reply->status = can_write && !of_collector ? 200 : 503;
	json_begin_object(&json);
	json_key(&json, "ready");
	json_boolean_value(&json, can_write && !of_collector);
	json_key(&json, "reasons");
	json_begin_array(&json);
	if (!can_write)
		json_text(&json, STR("the store can't be written to"));
	if (of_collector)
		json_text(&json, str_from(of_collector));
	json_end_array(&json);
	json_end_object(&json);
}

void metrics_healthz(struct server *server, struct request *request, struct reply *reply)
{
	(void)server;
	(void)request;
	reply->content_type = "text/plain; charset=utf-8";
	buf_add_str(&reply->body, STR("ok"));
}

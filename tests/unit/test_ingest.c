/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/selector.h"
#include "store/store.h"
#include "symbols/jit_processes.h"
#include "symbols/symbols.h"
#include "tests/support/generator.h"
#include "tests/support/small_server.h"
#include "web/ingest.h"

/* 2026-01-01 00:00:00 UTC: a whole number of everything that windows are aligned to. */
#define START_NS (INT64_C(1767225600) * CLOCK_NS_PER_S)
#define START_MS (START_NS / CLOCK_NS_PER_MS)

static const char cpu_type[] = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

struct scene {
	struct small_server small;
	struct ingest *ingest;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock: */
	uint64_t collector, sequence;
	unsigned commits, wishes, jit_wishes;
	int jit_fd; /* what is brought when it is wished for; 0: nobody can */
};

static void committed(void *context, uint64_t collector, uint64_t sequence)
{
	struct scene *scene = context;

	pthread_mutex_lock(&scene->lock);
	scene->collector = collector;
	scene->sequence = sequence;
	scene->commits++;
	pthread_cond_broadcast(&scene->changed);
	pthread_mutex_unlock(&scene->lock);
}

static void wish(void *context, const struct identity *identity)
{
	struct scene *scene = context;

	assert_int_equal(identity->kind, IDENTITY_GNU_BUILD_ID);
	pthread_mutex_lock(&scene->lock);
	scene->wishes++;
	pthread_mutex_unlock(&scene->lock);
}

/* Called on the writer's thread. */
static bool wish_jit(void *context, const struct process_key *process)
{
	struct scene *scene = context;

	pthread_mutex_lock(&scene->lock);
	scene->jit_wishes++;
	pthread_mutex_unlock(&scene->lock);
	if (scene->jit_fd == 0)
		return false;
	jit_processes_bring(scene->small.server.jit, process, JIT_FILE_JITDUMP, dup(scene->jit_fd));
	return true;
}

static void start(struct scene *scene)
{
	struct ingest_options options = { .server = &scene->small.server,
					  .committed = committed,
					  .wish = wish,
					  .wish_jit = wish_jit,
					  .context = scene };

	assert_int_equal(ingest_start(&options, &scene->ingest), 0);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	pthread_mutex_init(&scene->lock, NULL);
	pthread_cond_init(&scene->changed, NULL);
	small_server_open(&scene->small);
	start(scene);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	ingest_stop(scene->ingest);
	small_server_close(&scene->small);
	pthread_cond_destroy(&scene->changed);
	pthread_mutex_destroy(&scene->lock);
	free(scene);
	return 0;
}

/* What was pushed is in the store, and committed. */
static void finish(struct scene *scene)
{
	scene->ingest = ingest_stop(scene->ingest);
}

static void push(struct scene *scene, const struct window *window)
{
	assert_int_equal(ingest_push(scene->ingest, window_copy(window), 10000), 0);
}

static struct generator *busy_host(void)
{
	struct generator_options options = { .seed = 3,
					     .service_count = 5,
					     .process_count = 10,
					     .samples_per_window = 200,
					     .cpu_count = 2,
					     .frequency_hz = 100,
					     .start_unix_ns = START_NS };
	struct generator *generator = NULL;

	assert_int_equal(generator_new(&options, &generator), 0);
	return generator;
}

static struct store_question everything(void)
{
	return (struct store_question){ .type = str_from(cpu_type),
					.from_unix_ms = START_MS - 3600000,
					.to_unix_ms = START_MS + 7200000 };
}

static uint64_t stored_samples(struct scene *scene)
{
	struct store_status status;

	store_status(scene->small.server.store, &status);
	return status.samples;
}

static void puts_windows_into_the_store(void **state)
{
	struct scene *scene = *state;
	struct generator *generator = busy_host();
	struct store_question question = everything();
	struct store_rows rows = { 0 };
	struct str by = STR("host");

	for (unsigned i = 0; i < 3; i++)
		push(scene, generator_next(generator));
	finish(scene);
	assert_int_equal(scene->sequence, 3);
	assert_int_equal(scene->collector, 3);
	assert_int_equal(stored_samples(scene), 600);
	assert_int_equal(store_committed_sequence(scene->small.server.store, 3), 3);
	assert_int_equal(store_newest_ms(scene->small.server.store), START_MS + 3000);

	struct store_grid grid = { .first_ms = question.to_unix_ms,
				   .step_ms = question.to_unix_ms - question.from_unix_ms,
				   .point_count = 1 };

	assert_int_equal(store_series(scene->small.server.store, &question, &by, 1, &grid, &rows),
			 0);
	assert_int_equal(rows.count, 1);
	assert_true(str_equal(rows.rows[0].values[0], STR("box")));
	assert_int_equal(rows.rows[0].total, 600 * UINT64_C(10000000));
	store_rows_done(&rows);
	generator_free(generator);
}

static bool has_text(const struct store_texts *texts, struct str wanted)
{
	for (size_t i = 0; i < texts->count; i++)
		if (str_equal(texts->texts[i], wanted))
			return true;
	return false;
}

static void makes_labels_of_processes_and_threads(void **state)
{
	struct scene *scene = *state;
	struct generator *generator = busy_host();
	struct store_question question = everything();
	struct store *store = scene->small.server.store;
	static const struct {
		struct str name, value;
	} wanted[] = {
		{ STR("service_name"), STR("service0") },
		{ STR("systemd_unit"), STR("service0.service") },
		{ STR("process_name"), STR("service0") },
		{ STR("thread_name"), STR("service0") },
		{ STR("host"), STR("box") },
		{ STR("pid"), STR("1000") },
		{ STR("tid"), STR("1000") },
		{ STR("process"), STR("1000.5000.1") },
	};

	push(scene, generator_next(generator));
	finish(scene);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct store_texts texts = { 0 };

		assert_int_equal(store_label_values(store, &question, wanted[i].name, &texts), 0);
		if (!has_text(&texts, wanted[i].value))
			print_error("no %s\n", wanted[i].name.text);
		assert_true(has_text(&texts, wanted[i].value));
		store_texts_done(&texts);
	}
	generator_free(generator);
}

static void counts_once_what_is_sent_twice(void **state)
{
	struct scene *scene = *state;

	for (unsigned round = 0; round < 3; round++) {
		struct generator *generator = busy_host();

		/* The second time before the first is committed, the third after a restart. */
		for (unsigned i = 0; i < 3; i++) {
			const struct window *window = generator_next(generator);

			push(scene, window);
			push(scene, window);
		}
		generator_free(generator);
		finish(scene);
		assert_int_equal(scene->sequence, 3);
		assert_int_equal(stored_samples(scene), 600);
		small_server_restart(&scene->small);
		start(scene);
	}
}

static void tells_of_every_commit_and_in_order(void **state)
{
	struct scene *scene = *state;
	struct generator *generator = busy_host();

	/* Slots of data time of a second: the next window's begin commits the one before. */
	for (unsigned i = 0; i < 5; i++)
		push(scene, generator_next(generator));
	finish(scene);
	assert_int_equal(scene->commits, 5);
	assert_int_equal(scene->sequence, 5);
	generator_free(generator);
}

static void wishes_for_files_without_names(void **state)
{
	struct scene *scene = *state;
	struct generator *generator = busy_host();
	const struct window *window = generator_next(generator);
	unsigned files = window->file_count;

	push(scene, window);
	push(scene, generator_next(generator));
	finish(scene);
	/* Once each: the second window does not ask again. */
	assert_int_equal(scene->wishes, files);
	generator_free(generator);
}

/* ---- windows by hand ------------------------------------------------------------------------ */

/* One thread with one sample of one stack. */
struct tiny {
	struct window_process process;
	struct window_thread thread;
	struct window_file file;
	struct window_frame frames[3];
	struct window_stack stack;
	struct window_entry entry;
	uint16_t times_ms[1];
	struct window window;
};

static void make_tiny(struct tiny *tiny, uint64_t sequence, int64_t second)
{
	*tiny = (struct tiny){
		.process = { .key = { .pid = 7, .start_boot_ns = 1000 },
			     .executable_file = 0,
			     .name = STR("app") },
		.thread = { .tid = 7, .name = STR("app") },
		.file = { .identity = { .kind = IDENTITY_GNU_BUILD_ID,
					.size = 2,
					.bytes = { 1, 2 } },
			  .path = STR("/bin/app") },
		.frames = { { .kind = FRAME_FILE, .address = 0x1000, .position = FRAME_LEAF },
			    { .kind = FRAME_FILE, .address = 0x2000, .position = FRAME_RETURN },
			    { .kind = FRAME_FILE,
			      .address = 0x3000,
			      .position = FRAME_INTERRUPTED } },
		.stack = { .frame_count = 3 },
		.entry = { .event = EVENT_CPU, .count = 1, .weight = 10000000 },
		.times_ms = { 500 },
		.window = { .collector = 9,
			    .sequence = sequence,
			    .start_boot_ns = (uint64_t)(100 + second) * (uint64_t)CLOCK_NS_PER_S,
			    .end_boot_ns = (uint64_t)(101 + second) * (uint64_t)CLOCK_NS_PER_S,
			    .boot_to_unix_ns = START_NS - 100 * CLOCK_NS_PER_S,
			    .frequency_hz = 100,
			    .cpu_count = 1,
			    .sample_count = 1,
			    .process_count = 1,
			    .thread_count = 1,
			    .file_count = 1,
			    .frame_count = 3,
			    .stack_count = 1,
			    .entry_count = 1,
			    .time_count = 1 },
	};
	tiny->window.processes = &tiny->process;
	tiny->window.threads = &tiny->thread;
	tiny->window.files = &tiny->file;
	tiny->window.frames = tiny->frames;
	tiny->window.stacks = &tiny->stack;
	tiny->window.entries = &tiny->entry;
	tiny->window.times_ms = tiny->times_ms;
}

static bool flame_has(const struct flame *flame, enum flame_kind kind, const char *name)
{
	for (uint32_t i = 0; i < flame->node_count; i++)
		if (flame->nodes[i].kind == (uint8_t)kind &&
		    (!name || str_equal(flame->names[flame->nodes[i].name], str_from(name))))
			return true;
	return false;
}

static struct flame flame_of(struct scene *scene)
{
	struct store_question question = everything();
	struct flame_options options = { .node_count_max = 1000, .truncated_nodes = true };
	struct flame flame = { 0 };

	assert_int_equal(store_flame(scene->small.server.store, &question, &options, &flame), 0);
	return flame;
}

static void lowers_return_addresses_by_one(void **state)
{
	struct scene *scene = *state;
	struct tiny tiny;

	make_tiny(&tiny, 1, 0);
	push(scene, &tiny.window);
	finish(scene);

	struct flame flame = flame_of(scene);

	assert_true(flame_has(&flame, FLAME_UNNAMED, "app+0x1000"));
	assert_true(flame_has(&flame, FLAME_UNNAMED, "app+0x1fff"));
	assert_true(flame_has(&flame, FLAME_UNNAMED, "app+0x3000"));
	assert_false(flame_has(&flame, FLAME_TRUNCATED, NULL));
	assert_int_equal(flame.nodes[0].total, 10000000);
	flame_done(&flame);
}

static void shows_where_callers_are_missing(void **state)
{
	struct scene *scene = *state;
	struct tiny tiny;

	make_tiny(&tiny, 1, 0);
	tiny.stack.verdict = VERDICT_NO_RULE;
	push(scene, &tiny.window);
	finish(scene);

	struct flame flame = flame_of(scene);

	assert_true(flame_has(&flame, FLAME_TRUNCATED, "[truncated: no unwind information]"));
	assert_int_equal(flame.nodes[0].total, 10000000);
	flame_done(&flame);

	/* Who does not want to see it gets the stack as it is, and it is no function. */
	struct store_question question = everything();
	struct flame_options options = { .node_count_max = 1000 };

	assert_int_equal(store_flame(scene->small.server.store, &question, &options, &flame), 0);
	assert_false(flame_has(&flame, FLAME_TRUNCATED, NULL));
	assert_true(flame_has(&flame, FLAME_UNNAMED, "app+0x3000"));
	flame_done(&flame);

	struct functions functions = { 0 };

	assert_int_equal(
		store_functions(scene->small.server.store, &question,
				&(struct functions_options){ .by_total = true, .limit = 10 },
				&functions),
		0);
	assert_int_equal(functions.count, 3);
	functions_done(&functions);
}

static void takes_frames_of_every_kind(void **state)
{
	struct scene *scene = *state;
	struct window_name name = { .function = STR("handler"), .file = STR("a.py"), .line = 3 };
	struct window_frame frames[] = {
		{ .kind = FRAME_KERNEL, .address = UINT64_C(0xffffffff81000000) },
		{ .kind = FRAME_NAMED, .position = FRAME_INTERRUPTED },
		{ .kind = FRAME_RUNTIME, .reference = 4, .address = 5, .position = FRAME_RETURN },
		{ .kind = FRAME_ANONYMOUS, .address = 0x7f0000001000, .position = FRAME_RETURN },
		{ .kind = FRAME_UNMAPPED, .address = 0, .position = FRAME_RETURN },
	};
	struct tiny tiny;

	make_tiny(&tiny, 1, 0);
	tiny.window.names = &name;
	tiny.window.name_count = 1;
	tiny.window.frames = frames;
	tiny.window.frame_count = tiny.stack.frame_count = sizeof(frames) / sizeof(frames[0]);
	push(scene, &tiny.window);
	finish(scene);
	assert_int_equal(scene->sequence, 1);

	struct flame flame = flame_of(scene);

	assert_true(flame_has(&flame, FLAME_NAMED, "handler"));
	assert_int_equal(flame.nodes[0].total, 10000000);
	flame_done(&flame);
}

/* A jitdump in which one address means two things, from these times on. */
static void write_code(int fd, uint64_t address, uint64_t first_ns, uint64_t second_ns)
{
	const uint64_t times[] = { first_ns, second_ns };
	struct timespec boot;

	clock_gettime(CLOCK_BOOTTIME, &boot);

	/* Its clock stands still while the host sleeps. */
	uint64_t slept_ns = (uint64_t)boot.tv_sec * (uint64_t)CLOCK_NS_PER_S +
			    (uint64_t)boot.tv_nsec - clock_monotonic_ns();

	for (size_t i = 0; i < 2; i++) {
		autoclean(buf) struct buf record = BUF(256);

		buf_add_u32(&record, 0);
		buf_add_u32(&record, 16 + 40 + sizeof("before"));
		buf_add_u64(&record, times[i] - slept_ns);
		buf_add_u64(&record, 0);
		buf_add_u64(&record, address);
		buf_add_u64(&record, address);
		buf_add_u64(&record, 0x100);
		buf_add_u64(&record, i);
		buf_add(&record, i ? "behind" : "before", sizeof("before"));
		assert_int_equal(write(fd, record.bytes, record.size), record.size);
	}
}

/* One that tells nothing yet. */
static int make_empty_jitdump(void)
{
	static const uint32_t header[10] = { 0x4a695444, 1, 40, 62, 0, 7 };
	int fd = memfd_create("jitdump", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, header, sizeof(header)), sizeof(header));
	return fd;
}

static int make_jitdump(uint64_t address, uint64_t first_ns, uint64_t second_ns)
{
	int fd = make_empty_jitdump();

	write_code(fd, address, first_ns, second_ns);
	return fd;
}

static uint64_t flame_total_of(const struct flame *flame, const char *name)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < flame->node_count; i++)
		if (str_equal(flame->names[flame->nodes[i].name], str_from(name)))
			total += flame->nodes[i].total;
	return total;
}

static void names_code_by_what_it_was_when_it_ran(void **state)
{
	struct scene *scene = *state;
	const uint64_t address = 0x7f0000001000, start_ns = UINT64_C(100) * CLOCK_NS_PER_S;
	uint16_t times_ms[] = { 200, 300, 400, 600, 700 };
	struct tiny tiny;

	scene->jit_fd =
		make_jitdump(address, start_ns - 5000, start_ns + UINT64_C(500) * CLOCK_NS_PER_MS);
	make_tiny(&tiny, 1, 0);
	tiny.frames[0] = (struct window_frame){ .kind = FRAME_ANONYMOUS, .address = address };
	tiny.frames[1] = (struct window_frame){ .kind = FRAME_ANONYMOUS,
						.address = address + 0x100,
						.position = FRAME_RETURN };
	tiny.frames[2] = (struct window_frame){ .kind = FRAME_ANONYMOUS, .address = 0x1000 };
	tiny.window.times_ms = times_ms;
	tiny.window.time_count = 5;
	tiny.window.sample_count = tiny.entry.count = 5;
	tiny.entry.weight = 50000003;
	push(scene, &tiny.window);
	finish(scene);
	assert_int_equal(scene->jit_wishes, 1);
	close(scene->jit_fd);

	struct flame flame = flame_of(scene);

	/* Twice in each stack: the return address of a call at its very end, too. */
	assert_int_equal(flame_total_of(&flame, "before") + flame_total_of(&flame, "behind"),
			 2 * 50000003);
	assert_in_range(flame_total_of(&flame, "before"), 2 * 30000000, 2 * 30000003);
	assert_true(flame_has(&flame, FLAME_UNNAMED, "[anonymous]+0x1000"));
	assert_int_equal(flame.nodes[0].total, 50000003);
	flame_done(&flame);
}

/* V8 holds it back until 2 MB are full, or until it ends. */
static void names_code_that_is_told_of_later(void **state)
{
	struct scene *scene = *state;
	const uint64_t address = 0x7f0000001000, start_ns = UINT64_C(100) * CLOCK_NS_PER_S;
	uint16_t times_ms[] = { 200, 300, 400, 600, 700 };
	struct process_key key;
	struct tiny tiny;

	scene->jit_fd = make_empty_jitdump();
	make_tiny(&tiny, 1, 0);
	tiny.frames[0] = (struct window_frame){ .kind = FRAME_ANONYMOUS, .address = address };
	tiny.frames[1] = (struct window_frame){ .kind = FRAME_ANONYMOUS,
						.address = address + 0x100,
						.position = FRAME_RETURN };
	tiny.frames[2] = (struct window_frame){ .kind = FRAME_ANONYMOUS, .address = 0x1000 };
	tiny.window.times_ms = times_ms;
	tiny.window.time_count = 5;
	tiny.window.sample_count = tiny.entry.count = 5;
	tiny.entry.weight = 50000003;
	key = tiny.window.processes[0].key;
	push(scene, &tiny.window);
	finish(scene);

	struct flame flame = flame_of(scene);

	assert_int_equal(flame_total_of(&flame, "[anonymous]+0x7f0000001000"), 50000003);
	assert_int_equal(flame_total_of(&flame, "[anonymous]+0x7f00000010ff"), 50000003);
	flame_done(&flame);

	write_code(scene->jit_fd, address, start_ns - 5000,
		   start_ns + UINT64_C(500) * CLOCK_NS_PER_MS);
	jit_processes_refresh(scene->small.server.jit, &key, 1, 10000);
	assert_int_equal(symbols_settle(scene->small.server.symbols, 10000), 0);
	close(scene->jit_fd);

	flame = flame_of(scene);
	assert_in_range(flame_total_of(&flame, "before"), 2 * 30000000, 2 * 30000003);
	assert_int_equal(flame_total_of(&flame, "before") + flame_total_of(&flame, "behind"),
			 2 * 50000003);
	assert_true(flame_has(&flame, FLAME_NAMED, "before"));
	assert_true(flame_has(&flame, FLAME_UNNAMED, "[anonymous]+0x1000"));
	assert_int_equal(flame.nodes[0].total, 50000003);
	flame_done(&flame);

	/* Whatever process it was: one row for what such programs made. */
	struct store_question question = everything();
	struct modules modules = { 0 };

	assert_int_equal(store_modules(scene->small.server.store, &question, 10, &modules), 0);
	assert_int_equal(modules.count, 1);
	assert_int_equal(modules.rows[0].kind, BUILD_ANONYMOUS);
	assert_int_equal(modules.rows[0].identity.kind, IDENTITY_NONE);
	assert_int_equal(modules.rows[0].self, 50000003);
	assert_int_equal(modules.rows[0].named, 50000003);
	modules_done(&modules);

	/* What was told lies on disk. */
	small_server_restart(&scene->small);
	flame = flame_of(scene);
	assert_int_equal(flame_total_of(&flame, "before") + flame_total_of(&flame, "behind"),
			 2 * 50000003);
	flame_done(&flame);
}

static void code_that_nobody_names_is_stored_all_the_same(void **state)
{
	struct scene *scene = *state;
	struct tiny tiny;

	make_tiny(&tiny, 1, 0);
	tiny.frames[0] = (struct window_frame){ .kind = FRAME_ANONYMOUS, .address = 0x5000 };
	push(scene, &tiny.window);
	make_tiny(&tiny, 2, 1);
	tiny.frames[0] = (struct window_frame){ .kind = FRAME_ANONYMOUS, .address = 0x5000 };
	push(scene, &tiny.window);
	finish(scene);
	/* Not for each window. */
	assert_int_equal(scene->jit_wishes, 1);

	struct flame flame = flame_of(scene);

	assert_true(flame_has(&flame, FLAME_UNNAMED, "[anonymous]+0x5000"));
	assert_int_equal(flame.nodes[0].total, 20000000);
	flame_done(&flame);
}

static void assert_gap(struct scene *scene, int64_t from_s, int64_t to_s, enum gap_reason reason)
{
	struct store_gaps gaps = { 0 };

	assert_int_equal(
		store_gaps(scene->small.server.store, START_MS - 1000, START_MS + 3600000, &gaps),
		0);
	assert_int_equal(gaps.count, 1);
	assert_int_equal(gaps.gaps[0].from_unix_ms, START_MS + from_s * 1000);
	assert_int_equal(gaps.gaps[0].to_unix_ms, START_MS + to_s * 1000);
	assert_int_equal(gaps.gaps[0].reason, reason);
	store_gaps_done(&gaps);
}

static void says_why_there_is_nothing(void **state)
{
	struct scene *scene = *state;
	static const struct {
		enum gap_reason said, kept;
		bool is_new_boot;
	} cases[] = {
		{ GAP_NONE, GAP_NOT_RUNNING, false },
		{ GAP_SUSPENDED, GAP_SUSPENDED, false },
		{ GAP_GIVEN_UP, GAP_GIVEN_UP, false },
		{ GAP_NONE, GAP_HOST_OFF, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tiny tiny;

		make_tiny(&tiny, 1, 0);
		push(scene, &tiny.window);
		make_tiny(&tiny, 2, 60);
		tiny.window.gap = (uint8_t)cases[i].said;
		if (cases[i].is_new_boot) {
			tiny.window.boot_to_unix_ns +=
				tiny.window.start_boot_ns - 5 * (uint64_t)CLOCK_NS_PER_S;
			tiny.window.start_boot_ns = 5 * (uint64_t)CLOCK_NS_PER_S;
			tiny.window.end_boot_ns = 6 * (uint64_t)CLOCK_NS_PER_S;
		}
		push(scene, &tiny.window);
		finish(scene);
		assert_gap(scene, 1, 60, cases[i].kept);
		small_server_close(&scene->small);
		small_server_open(&scene->small);
		start(scene);
	}
}

static void makes_no_gap_of_a_moment(void **state)
{
	struct scene *scene = *state;
	struct store_gaps gaps = { 0 };
	struct tiny tiny;

	make_tiny(&tiny, 1, 0);
	push(scene, &tiny.window);
	make_tiny(&tiny, 2, 2);
	push(scene, &tiny.window);
	finish(scene);
	assert_int_equal(store_gaps(scene->small.server.store, START_MS, START_MS + 10000, &gaps),
			 0);
	assert_int_equal(gaps.count, 0);
	store_gaps_done(&gaps);
}

static void keeps_windows_while_the_disk_is_full(void **state)
{
	struct scene *scene = *state;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	struct rlimit before, none;
	struct generator *generator = busy_host();
	struct timespec deadline;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	for (unsigned i = 0; i < 4; i++)
		push(scene, generator_next(generator));

	/* Long enough for a commit to have been tried; none can have been told. */
	struct timespec moment = { .tv_nsec = 300000000 };

	(void)nanosleep(&moment, NULL);
	pthread_mutex_lock(&scene->lock);
	assert_int_equal(scene->commits, 0);
	pthread_mutex_unlock(&scene->lock);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);

	/* It goes on by itself. */
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 30;
	pthread_mutex_lock(&scene->lock);
	while (scene->sequence < 3)
		assert_int_equal(pthread_cond_timedwait(&scene->changed, &scene->lock, &deadline),
				 0);
	pthread_mutex_unlock(&scene->lock);
	finish(scene);
	assert_int_equal(scene->sequence, 4);
	assert_int_equal(stored_samples(scene), 800);
	generator_free(generator);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(puts_windows_into_the_store),
		SCENE_TEST(makes_labels_of_processes_and_threads),
		SCENE_TEST(counts_once_what_is_sent_twice),
		SCENE_TEST(tells_of_every_commit_and_in_order),
		SCENE_TEST(wishes_for_files_without_names),
		SCENE_TEST(lowers_return_addresses_by_one),
		SCENE_TEST(shows_where_callers_are_missing),
		SCENE_TEST(takes_frames_of_every_kind),
		SCENE_TEST(names_code_by_what_it_was_when_it_ran),
		SCENE_TEST(names_code_that_is_told_of_later),
		SCENE_TEST(code_that_nobody_names_is_stored_all_the_same),
		SCENE_TEST(says_why_there_is_nothing),
		SCENE_TEST(makes_no_gap_of_a_moment),
		SCENE_TEST(keeps_windows_while_the_disk_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

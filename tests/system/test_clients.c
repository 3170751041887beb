/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Others' clients against a real hearth that replays a recording with known contents: Go's, as it
 * is generated from Pyroscope's definitions, and questions whose answers a real Pyroscope server
 * gave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/window.h"
#include "tests/support/hearth.h"
#include "web/recording.h"

enum {
	WINDOW_COUNT = 10,
	SAMPLE_NS = 10000000, /* 100 a second */
	GO_MINOR_MIN = 26,    /* of tests/clients/go.mod */
};

#define START_MS INT64_C(1700000000000)

/* ---- the recording ----------------------------------------------------------------------------
 */

/* The stacks main;a three times, main;b;c five times, main;b twice and init once, each second. */
static struct window_name names[] = {
	{ .function = { "main", 4 } }, { .function = { "a", 1 } },    { .function = { "b", 1 } },
	{ .function = { "c", 1 } },    { .function = { "init", 4 } },
};

enum { MAIN, A, B, C, INIT };

#define NAMED(name, where)                                                                         \
	{                                                                                          \
		.reference = (name), .kind = FRAME_NAMED, .position = (where)                      \
	}

static struct window_frame frames[] = {
	NAMED(A, FRAME_LEAF),	   NAMED(MAIN, FRAME_RETURN), NAMED(C, FRAME_LEAF),
	NAMED(B, FRAME_RETURN),	   NAMED(MAIN, FRAME_RETURN), NAMED(B, FRAME_LEAF),
	NAMED(MAIN, FRAME_RETURN), NAMED(INIT, FRAME_LEAF),
};

static struct window_stack stacks[] = {
	{ .first_frame = 0, .frame_count = 2 },
	{ .first_frame = 2, .frame_count = 3 },
	{ .first_frame = 5, .frame_count = 2 },
	{ .first_frame = 7, .frame_count = 1 },
};

static struct window_process processes[] = {
	{ .key = { .pid = 101, .start_boot_ns = 5 },
	  .namespace_pid = 101,
	  .executable_file = WINDOW_NONE,
	  .name = { "alpha", 5 } },
	{ .key = { .pid = 202, .start_boot_ns = 7 },
	  .namespace_pid = 202,
	  .executable_file = WINDOW_NONE,
	  .name = { "beta", 4 } },
};

static struct window_thread threads[] = {
	{ .process = 0, .tid = 101, .name = { "alpha", 5 } },
	{ .process = 1, .tid = 202, .name = { "beta", 4 } },
};

static struct window_entry entries[] = {
	{ .thread = 0, .stack = 0, .event = EVENT_CPU, .count = 3, .first_time = 0 },
	{ .thread = 0, .stack = 1, .event = EVENT_CPU, .count = 5, .first_time = 3 },
	{ .thread = 0, .stack = 2, .event = EVENT_CPU, .count = 2, .first_time = 8 },
	{ .thread = 1, .stack = 3, .event = EVENT_CPU, .count = 1, .first_time = 10 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void add(struct recording *recording, uint8_t type, uint64_t sequence, const struct buf *buf)
{
	struct link_message message = { .type = type,
					.sequence = sequence,
					.payload = buf->bytes,
					.size = buf->size,
					.fds = { -1, -1 } };

	assert_int_equal(buf->error, 0);
	assert_int_equal(recording_add(recording, &message), 0);
}

static void add_window(struct recording *recording, uint64_t number)
{
	autoclean(buf) struct buf buf = BUF(1 << 20);
	uint16_t times_ms[11] = { 0 };
	struct window window = {
		.collector = 1,
		.sequence = number + 1,
		.boot_id = { 1 },
		.start_boot_ns = (number + 1) * CLOCK_NS_PER_S,
		.end_boot_ns = (number + 2) * CLOCK_NS_PER_S,
		.boot_to_unix_ns = (START_MS - CLOCK_MS_PER_S) * (int64_t)CLOCK_NS_PER_MS,
		.frequency_hz = 100,
		.cpu_count = 2,
		.sample_count = COUNT(times_ms),
		.processes = processes,
		.threads = threads,
		.names = names,
		.frames = frames,
		.stacks = stacks,
		.entries = entries,
		.times_ms = times_ms,
		.process_count = COUNT(processes),
		.thread_count = COUNT(threads),
		.name_count = COUNT(names),
		.frame_count = COUNT(frames),
		.stack_count = COUNT(stacks),
		.entry_count = COUNT(entries),
		.time_count = COUNT(times_ms),
	};

	for (size_t i = 0; i < COUNT(entries); i++)
		entries[i].weight = (uint64_t)entries[i].count * SAMPLE_NS;
	window_encode(&window, &buf);
	add(recording, LINK_WINDOW, window.sequence, &buf);
}

static void record(const char *path)
{
	autoclean(recording) struct recording *recording = NULL;
	autoclean(buf) struct buf buf = BUF(1 << 20);
	struct link_hello hello = { .collector = 1,
				    .boot_id = { 1 },
				    .kernel_release = STR("6.1.0-test") };

	assert_int_equal(recording_create(path, &recording), 0);
	link_encode_hello(&hello, &buf);
	add(recording, LINK_HELLO, 0, &buf);
	for (uint64_t i = 0; i < WINDOW_COUNT; i++)
		add_window(recording, i);
}

struct scene {
	char folder[64];
	struct hearth hearth;
	char address[64];
	char certificate[96];
};

static int start(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	char path[96], key[96], program[256], said[4096];
	/* What it replays is years old, and is to stay as it is. */
	const char *options[] = { "--replay",
				  path,
				  "--retention-age",
				  "off",
				  "--detail-age",
				  "off",
				  "--tls-certificate",
				  NULL,
				  "--tls-key",
				  key,
				  NULL };

	assert_non_null(scene);
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/hearth-clients-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	assert_int_equal(chmod(scene->folder, 0755), 0);
	snprintf(path, sizeof(path), "%s/recording", scene->folder);
	record(path);
	assert_int_equal(chmod(path, 0644), 0);
	snprintf(scene->certificate, sizeof(scene->certificate), "%s/tls.crt", scene->folder);
	options[7] = scene->certificate;
	snprintf(key, sizeof(key), "%s/tls.key", scene->folder);
	if (shell_output(said, sizeof(said), "%s tls self-signed --data %s 2>&1 && chmod 644 %s",
			 build_path("hearth", program, sizeof(program)), scene->folder, key))
		fail_msg("%s", said);
	hearth_start(&scene->hearth, "serve", options);
	assert_true(child_says(&scene->hearth.child, "the recording is read", 30));
	snprintf(scene->address, sizeof(scene->address), "http://127.0.0.1:%u", scene->hearth.port);

	/* What was read is on its way into the store. */
	double limit = now_seconds() + 20;
	double total = 0;

	while (total < 11.0 * WINDOW_COUNT * SAMPLE_NS && now_seconds() < limit) {
		json_t *flame = hearth_get(&scene->hearth, "/api/v1/flame?from=%lld&to=%lld",
					   (long long)START_MS, (long long)START_MS + 9999);

		total = json_number_value(json_object_get(flame, "total"));
		json_decref(flame);
		sleep_seconds(0.05);
	}
	if (total != 11.0 * WINDOW_COUNT * SAMPLE_NS)
		fail_msg("%.0f ns were replayed: %s", total, scene->hearth.child.said);
	*state = scene;
	return 0;
}

static int stop(void **state)
{
	struct scene *scene = *state;
	int code = hearth_stop(&scene->hearth);

	folder_remove(scene->folder);
	free(scene);
	return code;
}

/* ---- the clients ------------------------------------------------------------------------------
 */

/* The exit code; what it said is in child->said. */
static int run(struct child *child, double seconds, const char *command)
{
	const char *arguments[] = { "/bin/sh", "-c", command, NULL };

	memset(child, 0, sizeof(*child));
	child_start(child, arguments, 0);
	return child_wait(child, seconds);
}

static void skip_because(const char *reason)
{
	print_message("skipped: %s\n", reason);
	skip();
}

/* Go, new enough, and the modules: what the machine may not have. */
static void need_go(void)
{
	static struct child child;
	unsigned minor = 0;

	if (run(&child, 20, "go version >&2") != 0)
		skip_without("there is no Go on this machine (golang-go)", child.said);
	if (sscanf(child.said, "go version go1.%u", &minor) == 1 && minor < GO_MINOR_MIN)
		skip_without("this machine's Go is older than 1.26", child.said);
	if (run(&child, 200,
		"cd tests/clients && GOFLAGS=-mod=readonly GOTOOLCHAIN=local "
		"go mod download >&2") != 0)
		skip_without("the modules of Go's client could not be fetched", child.said);
}

/* Of TAP: what failed, and why. */
static void print_failures(const char *said)
{
	while (*said) {
		int size = (int)strcspn(said, "\n");

		if (said[0] == '#' || !strncmp(said, "not ok", 6))
			print_error("%.*s\n", size, said);
		said += size + (said[size] == '\n');
	}
}

static void go_clients_get_their_answers(void **state)
{
	static struct child child;
	struct scene *scene = *state;
	char program[256];
	char command[1024];

	need_go();
	(void)build_path("tests/clients/clients", program, sizeof(program));
	snprintf(
		command, sizeof(command),
		"top=$PWD; mkdir -p \"$(dirname '%s')\"; cd tests/clients && GOFLAGS=-mod=readonly "
		"GOTOOLCHAIN=local go build -o \"$top/%s\" . >&2",
		program, program);
	if (run(&child, 280, command) != 0)
		fail_msg("it does not build: %s", child.said);
	snprintf(command, sizeof(command), "'%s' %s %s >&2", program, scene->address,
		 scene->certificate);

	int code = run(&child, 90, command);

	print_failures(child.said);
	if (code != 0 || !strstr(child.said, "1..342"))
		fail_msg("exit code %d, or a test is missing", code);
}

/*
 * Questions of Pyroscope's clients that need no data of theirs: wrong ones, and those about
 * nothing. The answers were recorded from a real server; they lie beside the tree, where there are
 * any.
 */
static void answers_are_those_of_pyroscope(void **state)
{
	static const char *const cases[] = {
		"003-*", "005-*", "014-*", "015-*", "034-*", "035-*", "037-*", "062-*", "063-*",
		"064-*", "068-*", "075-*", "111-*", "113-*", "115-*", "116-*", "117-*", "118-*",
		"122-*", "141-*", "147-*", "149-*", "154-*", "165-*", "166-*", "167-*", "170-*",
		"172-*", "173-*", "174-*", "192-*", "195-*", "234-*",
	};
	static struct child child;
	struct scene *scene = *state;
	char command[1024];

	if (access("../shared/golden/manifest.json", R_OK) != 0)
		skip_because("there are no answers of Pyroscope in ../shared/golden");
	if (run(&child, 20, "python3 --version >&2") != 0)
		skip_because("there is no Python to compare them with");
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(command, sizeof(command),
			 "python3 ../shared/tools/golden/check.py --golden ../shared/golden "
			 "--url %s --only '%s' >&2",
			 scene->address, cases[i]);
		if (run(&child, 60, command) != 0)
			fail_msg("%s: %s", cases[i], child.said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(go_clients_get_their_answers),
		cmocka_unit_test(answers_are_those_of_pyroscope),
	};

	return cmocka_run_group_tests(tests, start, stop);
}

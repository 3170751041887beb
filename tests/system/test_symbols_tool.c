/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hearth symbols: a real program, stripped, whose samples are in a recording; its names are asked
 * for before and after its symbols are handed in. Nothing is started anew, nothing is sampled
 * again.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/limits.h"
#include "base/link.h"
#include "base/window.h"
#include "symbols/elf_file.h"
#include "tests/support/hearth.h"
#include "tests/support/script.h"
#include "web/recording.h"

#define RAW_NAME    "_ZN3net4workEi"
#define SOURCE_NAME "net::work(int)"

enum { OUTPUT_SIZE = 8192, HEX_SIZE = 2 * IDENTITY_SIZE_MAX + 1, NAMES_WITHIN_S = 30 };

struct scene {
	char folder[64];
	char output[OUTPUT_SIZE];
	char hex[HEX_SIZE];
	struct identity identity;
	uint64_t hidden_offset; /* of net::work(int) in the file */
	struct hearth hearth;
};

static const char build_script[] =
	"set -eu; cd \"$1\"\n"
	"cat > prog.c <<'END'\n"
	"static int hidden_work(int x) __asm__(\"_ZN3net4workEi\");\n"
	"__attribute__((noinline)) static int hidden_work(int x) { return x * 3 + 1; }\n"
	"__attribute__((noinline)) int shown_work(int x) { return hidden_work(x) + 5; }\n"
	"int main(int argc, char **argv) { (void)argv; return shown_work(argc); }\n"
	"END\n"
	"cc -O1 -g -fno-inline -Wl,--build-id -Wl,-E prog.c -o whole\n"
	"cp whole stripped; strip stripped\n"
	"objcopy --only-keep-debug whole whole.debug\n"
	"cc -O1 -Wl,--build-id=none prog.c -o nameless\n"
	"nm whole | awk '$3 == \"_ZN3net4workEi\" { print $1 }' > hidden\n";

static void run(struct scene *scene, int code, const char *command)
{
	FILE *output = popen(command, "r");

	assert_non_null(output);

	size_t size = fread(scene->output, 1, OUTPUT_SIZE - 1, output);
	int ended = pclose(output);

	scene->output[size] = '\0';
	if (WEXITSTATUS(ended) != code)
		fail_msg("'%s' ended with %d: %s", command, WEXITSTATUS(ended), scene->output);
}

/* hearth symbols WORDS, both streams. */
static void run_tool(struct scene *scene, int code, const char *words)
{
	char path[256], command[1024];

	snprintf(command, sizeof(command), "cd %s && %s%s symbols %s --http 127.0.0.1:%u 2>&1",
		 scene->folder,
		 build_path("hearth", path, sizeof(path))[0] == '/' ? "" : "$OLDPWD/", path, words,
		 scene->hearth.port);
	run(scene, code, command);
}

static int open_in(const struct scene *scene, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", scene->folder, name);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void learn(struct scene *scene)
{
	autoclose int fd = open_in(scene, "stripped");
	autoclean(elf_file) struct elf_file *elf = NULL;
	char path[128];
	unsigned long long vaddr = 0;
	size_t count;

	assert_int_equal(elf_file_open(fd, &elf), 0);
	scene->identity = elf_file_build_id(elf);
	for (size_t i = 0; i < scene->identity.size; i++)
		snprintf(scene->hex + 2 * i, 3, "%02x", scene->identity.bytes[i]);
	snprintf(path, sizeof(path), "%s/hidden", scene->folder);

	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llx", &vaddr), 1);
	fclose(file);

	const struct elf_segment *segments = elf_file_segments(elf, &count);

	scene->hidden_offset = vaddr - segments[0].vaddr + segments[0].offset;
}

/* A minute ago the program ran in its hidden function; and the collector passed its file. */
static void record(const struct scene *scene, const char *path)
{
	struct window_process process = { .key = { .pid = 7, .start_boot_ns = 1000 },
					  .name = STR("prog") };
	struct window_thread thread = { .tid = 7, .name = STR("prog") };
	struct window_file file = { .identity = scene->identity, .path = STR("/srv/prog") };
	struct window_frame frame = { .kind = FRAME_FILE, .address = scene->hidden_offset + 1 };
	struct window_stack stack = { .frame_count = 1 };
	struct window_entry entry = { .event = EVENT_CPU, .count = 1, .weight = 10000000 };
	uint16_t time_ms = 500;
	struct window window = { .collector = 9,
				 .sequence = 1,
				 .start_boot_ns = UINT64_C(100) * CLOCK_NS_PER_S,
				 .end_boot_ns = UINT64_C(101) * CLOCK_NS_PER_S,
				 .boot_to_unix_ns = clock_unix_ns() - 160 * CLOCK_NS_PER_S,
				 .frequency_hz = 100,
				 .cpu_count = 1,
				 .sample_count = 1,
				 .processes = &process,
				 .process_count = 1,
				 .threads = &thread,
				 .thread_count = 1,
				 .files = &file,
				 .file_count = 1,
				 .frames = &frame,
				 .frame_count = 1,
				 .stacks = &stack,
				 .stack_count = 1,
				 .entries = &entry,
				 .entry_count = 1,
				 .times_ms = &time_ms,
				 .time_count = 1 };
	struct link_hello hello = { .collector = 9, .kernel_release = STR("none") };
	autoclean(recording) struct recording *recording = NULL;
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);
	autoclose int fd = open_in(scene, "stripped");

	process.executable_file = 0;
	assert_int_equal(recording_create(path, &recording), 0);
	link_encode_hello(&hello, &payload);
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_HELLO,
									  .payload = payload.bytes,
									  .size = payload.size }),
			 0);
	buf_clear(&payload);
	window_encode(&window, &payload);
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_WINDOW,
									  .sequence = 1,
									  .payload = payload.bytes,
									  .size = payload.size }),
			 0);
	buf_clear(&payload);
	link_encode_file(&(struct link_file){ .identity = scene->identity }, &payload);
	assert_int_equal(recording_add(recording, &(struct link_message){ .type = LINK_FILE,
									  .payload = payload.bytes,
									  .size = payload.size,
									  .fds = { fd, -1 },
									  .fd_count = 1 }),
			 0);
}

static int set_up(void **state)
{
	static struct scene scene;
	char path[128], command[256];

	scene = (struct scene){ .folder = "/tmp/hearth-symbols-XXXXXX" };
	*state = &scene;
	assert_non_null(mkdtemp(scene.folder));
	assert_int_equal(script_run(scene.folder, "build.sh", build_script, ""), 0);
	learn(&scene);
	snprintf(path, sizeof(path), "%s/recording", scene.folder);
	record(&scene, path);

	snprintf(command, sizeof(command), "%s/debug", scene.folder);

	const char *options[] = {
		"--replay", path, "--upload-size", "1M", "--debug-folders", command, NULL,
	};

	hearth_start(&scene.hearth, "serve", options);
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;
	int code = hearth_stop(&scene->hearth);

	folder_remove(scene->folder);
	return code == 0 ? 0 : -1;
}

/* Asks until the sample is there by this name, or for so long; how many seconds it took. */
static double wait_for_name(const struct scene *scene, const char *name, double patience)
{
	double start = now_seconds();

	while (true) {
		json_t *flame = hearth_get(&scene->hearth, "/api/v1/flame?from=now-10m");
		double total = flame_total(flame, name);

		json_decref(flame);
		if (total > 0)
			return now_seconds() - start;
		if (now_seconds() - start > patience)
			fail_msg("no sample of %s after %g s", name, patience);
		sleep_seconds(0.2);
	}
}

/* The row of the program: how much of it has names, where they come from, and what would help. */
static void assert_module(const struct scene *scene, bool is_named, const char *sources,
			  const char *help)
{
	json_t *answer = hearth_get(&scene->hearth, "/api/v1/modules?from=now-10m");
	json_t *row = json_array_get(json_object_get(answer, "rows"), 0);

	assert_int_equal(json_integer_value(json_object_get(answer, "modules")), 1);
	assert_string_equal(json_string_value(json_object_get(row, "module")), "prog");
	assert_string_equal(json_string_value(json_object_get(row, "path")), "/srv/prog");
	assert_int_equal(json_integer_value(json_object_get(row, "self")), 10000000);
	assert_int_equal(json_integer_value(json_object_get(row, "named")),
			 is_named ? 10000000 : 0);
	assert_string_equal(json_string_value(json_object_get(row, "sources")), sources);
	assert_non_null(strstr(json_string_value(json_object_get(row, "help")), help));
	if (!help[0])
		assert_string_equal(json_string_value(json_object_get(row, "help")), "");
	json_decref(answer);
}

/* A debug file that was copied by half: by the list and by its API. */
static void says_what_is_wrong_with_a_file(void **state)
{
	static const char problem[] = "its debug file: damaged, or of another build";
	struct scene *scene = *state;
	char command[512];
	double end = now_seconds() + NAMES_WITHIN_S;

	wait_for_name(scene, "prog", 10);
	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p debug/.build-id/%.2s && head -c 3000 whole.debug > "
		 "debug/.build-id/%.2s/%s.debug",
		 scene->folder, scene->hex, scene->hex, scene->hex + 2);
	run(scene, 0, command);
	do {
		sleep_seconds(0.5);
		run_tool(scene, 0, "");
	} while (!strstr(scene->output, problem) && now_seconds() < end);
	assert_non_null(strstr(scene->output, problem));

	json_t *answer = hearth_get(&scene->hearth, "/api/v1/modules?from=now-10m");
	json_t *row = json_array_get(json_object_get(answer, "rows"), 0);

	assert_string_equal(json_string_value(json_object_get(row, "problem")), problem);
	json_decref(answer);
}

static void samples_gain_their_names_when_symbols_are_handed_in(void **state)
{
	struct scene *scene = *state;
	char words[128];
	json_t *flame;

	wait_for_name(scene, "prog", 10);
	flame = hearth_get(&scene->hearth, "/api/v1/flame?from=now-10m");
	assert_true(flame_total(flame, SOURCE_NAME) == 0);
	json_decref(flame);
	assert_module(scene, false, "the file", "hearth symbols upload");
	run_tool(scene, 0, "");
	assert_non_null(strstr(scene->output, "prog"));
	assert_non_null(strstr(scene->output, "0.0%"));

	run_tool(scene, 0, "upload whole");
	assert_non_null(strstr(scene->output, scene->hex));
	print_message("# named %.1f s after the upload\n",
		      wait_for_name(scene, SOURCE_NAME, NAMES_WITHIN_S));
	assert_module(scene, true, "the file, handed in", "");

	/* And as the compiler wrote it. */
	flame = hearth_get(&scene->hearth, "/api/v1/flame?from=now-10m&names=raw");
	assert_true(flame_total(flame, RAW_NAME) > 0);
	assert_true(flame_total(flame, SOURCE_NAME) == 0);
	json_decref(flame);

	char *said = NULL;

	assert_int_equal(http_ask(scene->hearth.port, "/api/v1/flame?names=all", NULL, &said), 400);
	assert_non_null(strstr(said, "names"));
	free(said);

	/* What is known is not sent again. */
	run_tool(scene, 0, "upload whole.debug");
	assert_non_null(strstr(scene->output, "already"));
	snprintf(words, sizeof(words), "remove %s", scene->hex);
	run_tool(scene, 0, words);
	assert_non_null(strstr(scene->output, "dropped"));
	run_tool(scene, 1, words);
	/* A debug file alone does as well. */
	run_tool(scene, 0, "upload whole.debug");
	run_tool(scene, 0, words);
}

static void code_is_not_sent(void **state)
{
	struct scene *scene = *state;
	char command[512], words[128];

	run_tool(scene, 0, "upload whole");
	snprintf(
		command, sizeof(command),
		"cd %s && f=$(find data/uploads %s/uploads -name '*.debug' 2>/dev/null | head -1); "
		"objcopy -O binary --only-section=.text \"$f\" kept && "
		"objcopy -O binary --only-section=.text whole sent && "
		"tr -d '\\0' < kept | wc -c && tr -d '\\0' < sent | wc -c",
		scene->folder, scene->hearth.folder);
	run(scene, 0, command);

	int kept = -1, sent = -1;

	assert_int_equal(sscanf(scene->output, "%d %d", &kept, &sent), 2);
	assert_int_equal(kept, 0);
	assert_true(sent > 100);
	snprintf(words, sizeof(words), "remove %s", scene->hex);
	run_tool(scene, 0, words);
}

static void what_is_of_no_use_is_told_apart(void **state)
{
	struct scene *scene = *state;
	char command[512];

	run_tool(scene, 66, "upload build.sh");
	assert_non_null(strstr(scene->output, "no ELF file"));
	run_tool(scene, 66, "upload nowhere");
	run_tool(scene, 66, "upload nameless");
	assert_non_null(strstr(scene->output, "--build-id"));
	run_tool(scene, 64, "upload");
	run_tool(scene, 64, "look whole");

	static const struct {
		const char *path, *body;
		int status;
	} puts[] = {
		{ "/symbols/abcd", "whole", 400 },
		{ "/symbols/xyz", "whole", 400 },
		{ "/symbols/abcd", "build.sh", 400 },
		/* All of the room there is, and more; random, so that it is no hole. */
		{ "/symbols/abcd", "large", 507 },
	};

	snprintf(command, sizeof(command), "head -c 3000000 /dev/urandom > %s/large",
		 scene->folder);
	assert_int_equal(system(command), 0);
	for (size_t i = 0; i < sizeof(puts) / sizeof(puts[0]); i++) {
		snprintf(command, sizeof(command),
			 "curl -s -o %s/said -w '%%{http_code}' -T %s/%s http://127.0.0.1:%u%s",
			 scene->folder, scene->folder, puts[i].body, scene->hearth.port,
			 puts[i].path);
		run(scene, 0, command);
		assert_string_equal(scene->output, puts[i].status == 400 ? "400" : "507");
	}
	snprintf(command, sizeof(command), "cat %s/said; find %s/uploads -type f | wc -l",
		 scene->folder, scene->hearth.folder);
	run(scene, 0, command);
	assert_non_null(strstr(scene->output, "--upload-size"));
	assert_non_null(strstr(scene->output, "}0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_is_wrong_with_a_file),
		cmocka_unit_test(samples_gain_their_names_when_symbols_are_handed_in),
		cmocka_unit_test(code_is_not_sent),
		cmocka_unit_test(what_is_of_no_use_is_told_apart),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

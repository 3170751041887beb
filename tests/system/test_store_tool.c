/* SPDX-License-Identifier: Apache-2.0 */
/* hearth store, export and import: on a store that a server uses, and on one that nobody does. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/limits.h"
#include "base/link.h"
#include "tests/support/generator.h"
#include "tests/support/hearth.h"
#include "web/recording.h"

enum { SECONDS = 60, SAMPLES = 100, OUTPUT_SIZE = 16384 };

struct tool_scene {
	char folder[32]; /* of what is not the store's */
	char recording[96];
	char backup[48];
	char output[OUTPUT_SIZE]; /* of the tool, both streams */
	struct hearth hearth;
};

static void record(const char *path)
{
	struct generator_options options = { .seed = 9,
					     .service_count = 6,
					     .process_count = 20,
					     .samples_per_window = SAMPLES,
					     .cpu_count = 2,
					     .frequency_hz = 99,
					     .start_unix_ns =
						     clock_unix_ns() - SECONDS * CLOCK_NS_PER_S };
	struct link_hello hello = { .collector = 9, .kernel_release = STR("generated") };
	struct generator *generator = NULL;
	struct recording *recording = NULL;
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);

	assert_int_equal(generator_new(&options, &generator), 0);
	assert_int_equal(recording_create(path, &recording), 0);
	link_encode_hello(&hello, &payload);
	for (int i = 0; i <= SECONDS; i++) {
		const struct window *window = i ? generator_next(generator) : NULL;

		if (window) {
			buf_clear(&payload);
			window_encode(window, &payload);
		}
		assert_int_equal(payload.error, 0);
		assert_int_equal(recording_add(recording,
					       &(struct link_message){
						       .type = window ? LINK_WINDOW : LINK_HELLO,
						       .sequence = window ? window->sequence : 0,
						       .payload = payload.bytes,
						       .size = payload.size,
						       .fds = { -1, -1 } }),
				 0);
	}
	recording_close(recording);
	generator_free(generator);
}

static int64_t stored(const struct hearth *hearth)
{
	json_t *status = hearth_get(hearth, "/api/v1/status");
	int64_t samples =
		json_integer_value(json_object_get(json_object_get(status, "store"), "samples"));

	json_decref(status);
	return samples;
}

static double total(const struct hearth *hearth)
{
	json_t *flame = hearth_get(hearth, "/api/v1/flame?from=now-1h");
	double value = json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	return value;
}

static void wait_for_samples(const struct hearth *hearth, int64_t samples)
{
	double end = now_seconds() + 30;

	while (stored(hearth) < samples && now_seconds() < end)
		sleep_seconds(0.1);
	assert_int_equal(stored(hearth), samples);
}

static int set_up(void **state)
{
	struct tool_scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/hearth-tool-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	snprintf(scene->recording, sizeof(scene->recording), "%s/recording", scene->folder);
	snprintf(scene->backup, sizeof(scene->backup), "%s/backup", scene->folder);
	record(scene->recording);

	const char *options[] = { "--replay", scene->recording, NULL };

	hearth_start(&scene->hearth, "serve", options);
	wait_for_samples(&scene->hearth, SECONDS * SAMPLES);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct tool_scene *scene = *state;

	folder_remove(scene->folder);
	free(scene);
	return 0;
}

/* hearth with these arguments; its output is kept. Returns the exit code. */
static int command(struct tool_scene *scene, const char *arguments, const char *folder)
{
	char program[256];

	return shell_output(scene->output, sizeof(scene->output),
			    "%s %s --data %s --http 127.0.0.1:%u 2>&1",
			    build_path("hearth", program, sizeof(program)), arguments, folder,
			    scene->hearth.port);
}

static int tool(struct tool_scene *scene, const char *arguments, const char *folder)
{
	char text[512];

	snprintf(text, sizeof(text), "store %s", arguments);
	return command(scene, text, folder);
}

static void says(const struct tool_scene *scene, const char *text)
{
	if (!strstr(scene->output, text))
		fail_msg("no '%s' in:\n%s", text, scene->output);
}

static void looks_at_a_store_in_use_and_one_that_is_not(void **state)
{
	struct tool_scene *scene = *state;
	char folder[64];

	assert_int_equal(tool(scene, "status", scene->hearth.folder), 0);
	says(scene, "in use by the server");
	says(scene, "samples   6000,");
	says(scene, "1 open");
	says(scene, "state     ok");
	assert_int_equal(tool(scene, "verify", scene->hearth.folder), 0);
	says(scene, "is being written, not read");
	says(scene, "1 files, 0 damaged");

	memcpy(folder, scene->hearth.folder, sizeof(folder));
	assert_int_equal(child_stop(&scene->hearth.child, 10), 0);
	assert_int_equal(tool(scene, "status", folder), 0);
	says(scene, "not in use");
	says(scene, "samples   6000,");
	assert_int_equal(tool(scene, "verify", folder), 0);
	says(scene, "sound");
	says(scene, "6000 samples");
	says(scene, "1 files, 0 damaged");
	folder_remove(folder);
}

#define SETTINGS "/settings.v1.SettingsService/"

static void keep_setting(const struct hearth *hearth)
{
	autofree char *body = NULL;

	assert_int_equal(http_ask(hearth->port, SETTINGS "Set",
				  "{\"setting\":{\"name\":\"kept\",\"value\":\"of mine\"}}", &body),
			 200);
}

static void assert_setting_is_kept(const struct hearth *hearth)
{
	autofree char *body = NULL;

	assert_int_equal(http_ask(hearth->port, SETTINGS "Get", "{}", &body), 200);
	assert_non_null(strstr(body, "of mine"));
}

static void a_backup_of_a_running_store_can_be_put_back(void **state)
{
	struct tool_scene *scene = *state;
	char arguments[128];
	double before = total(&scene->hearth);

	assert_true(before > 0);
	keep_setting(&scene->hearth);
	snprintf(arguments, sizeof(arguments), "backup %s", scene->backup);
	assert_int_equal(tool(scene, arguments, scene->hearth.folder), 0);
	says(scene, "are in");
	/* The server goes on. */
	assert_int_equal(stored(&scene->hearth), SECONDS * SAMPLES);
	assert_true(total(&scene->hearth) == before);

	/* It is not written over. */
	assert_int_equal(tool(scene, arguments, scene->hearth.folder), 73);
	says(scene, "is not empty");
	assert_int_equal(hearth_stop(&scene->hearth), 0);

	/* The backup is sound, and a data folder like any other. */
	assert_int_equal(tool(scene, "verify", scene->backup), 0);
	says(scene, "1 files, 0 damaged");
	snprintf(scene->hearth.folder, sizeof(scene->hearth.folder), "%s", scene->backup);
	hearth_start_again(&scene->hearth, "serve", (const char *[]){ NULL });
	assert_int_equal(stored(&scene->hearth), SECONDS * SAMPLES);
	assert_true(total(&scene->hearth) == before);
	assert_setting_is_kept(&scene->hearth);
	assert_int_equal(hearth_stop(&scene->hearth), 0);
}

static void a_stopped_store_is_backed_up_with_its_logs(void **state)
{
	struct tool_scene *scene = *state;
	char arguments[128], folder[64];
	double before = total(&scene->hearth);

	/* As a crash leaves it. */
	memcpy(folder, scene->hearth.folder, sizeof(folder));
	assert_int_equal(kill(scene->hearth.child.pid, SIGKILL), 0);
	(void)child_wait(&scene->hearth.child, 10);
	snprintf(arguments, sizeof(arguments), "backup %s", scene->backup);
	assert_int_equal(tool(scene, arguments, folder), 0);
	folder_remove(folder);
	snprintf(scene->hearth.folder, sizeof(scene->hearth.folder), "%s", scene->backup);
	hearth_start_again(&scene->hearth, "serve", (const char *[]){ NULL });
	/* The last seconds may not have been committed. */
	assert_true(total(&scene->hearth) > 0.8 * before);
	assert_int_equal(hearth_stop(&scene->hearth), 0);
}

static void damage_is_told_and_left_alone(void **state)
{
	struct tool_scene *scene = *state;
	char folder[64], path[512];
	struct dirent **entries = NULL;
	int count, fd;

	memcpy(folder, scene->hearth.folder, sizeof(folder));
	assert_int_equal(child_stop(&scene->hearth.child, 10), 0);
	snprintf(path, sizeof(path), "%s/data", folder);
	count = scandir(path, &entries, NULL, alphasort);
	assert_int_equal(count, 3);
	snprintf(path, sizeof(path), "%s/data/%s", folder, entries[2]->d_name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "no SQLite", 9, 0), 9);
	close(fd);
	assert_int_equal(tool(scene, "verify", folder), 1);
	says(scene, "SQLite finds it malformed");
	says(scene, "1 files, 1 damaged");
	assert_int_equal(access(path, F_OK), 0);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	folder_remove(folder);
}

static void says_what_it_wants(void **state)
{
	struct tool_scene *scene = *state;

	assert_int_equal(tool(scene, "", scene->hearth.folder), 64);
	says(scene, "status, verify or backup DIR");
	assert_int_equal(tool(scene, "backup", scene->hearth.folder), 64);
	assert_int_equal(tool(scene, "status", "/tmp/there-is-no-such-folder"), 66);
	says(scene, "there is no store in '/tmp/there-is-no-such-folder'");
	assert_int_equal(tool(scene, "--help", scene->hearth.folder), 0);
	says(scene, "usage: hearth store");
	/* A server that is not where it was said to be. */
	unsigned port = scene->hearth.port;

	scene->hearth.port = 1;
	assert_int_equal(tool(scene, "status", scene->hearth.folder), 69);
	says(scene, "does not answer at 127.0.0.1:1");
	scene->hearth.port = port;
	assert_int_equal(hearth_stop(&scene->hearth), 0);
}

static void export_to(struct tool_scene *scene, const char *options, const char *name,
		      const char *folder)
{
	char arguments[256];

	snprintf(arguments, sizeof(arguments), "export %s --output %s/%s", options, scene->folder,
		 name);
	assert_int_equal(command(scene, arguments, folder), 0);
	assert_string_equal(scene->output, "");
}

static int import_from(struct tool_scene *scene, const char *options, const char *name,
		       const char *folder)
{
	char arguments[256];

	snprintf(arguments, sizeof(arguments), "import %s/%s %s", scene->folder, name, options);
	return command(scene, arguments, folder);
}

static void assert_same_files(const struct tool_scene *scene, const char *one, const char *other)
{
	char line[256];

	snprintf(line, sizeof(line), "cmp %s/%s %s/%s", scene->folder, one, scene->folder, other);
	assert_int_equal(system(line), 0);
}

/* From a server that runs, and from its files when it does not; into another store, and back. */
/* Asks by the address alone, as one does of a server whose folder is nobody's business. */
static int import_by_address(struct tool_scene *scene, const char *name)
{
	char program[256];

	return shell_output(scene->output, sizeof(scene->output),
			    "%s import %s/%s --label host=farther --http 127.0.0.1:%u 2>&1",
			    build_path("hearth", program, sizeof(program)), scene->folder, name,
			    scene->hearth.port);
}

static void profiles_go_out_and_come_in(void **state)
{
	struct tool_scene *scene = *state;
	char folder[64], other[64];

	memcpy(folder, scene->hearth.folder, sizeof(folder));
	snprintf(other, sizeof(other), "%s/other", scene->folder);
	export_to(scene, "--from now-30m --format folded", "running.folded", folder);
	export_to(scene, "--from=now-30m", "running.pb.gz", folder);
	export_to(scene, "--from now-30m --format span", "running.hearth", folder);
	/* It is not written over. */
	assert_int_equal(command(scene, "export --output /dev/null", folder), 73);
	says(scene, "cannot make '/dev/null'");

	/* What came in is apart from what was recorded, and as large. */
	double before = total(&scene->hearth);

	assert_int_equal(import_from(scene, "--label host=far", "running.pb.gz", folder), 0);
	says(scene, " stacks, 20");
	assert_true(total(&scene->hearth) == 2 * before);
	assert_int_equal(import_from(scene, "--label=host=far", "running.pb.gz", folder), 0);
	says(scene, "was imported before");
	assert_true(total(&scene->hearth) == 2 * before);
	export_to(scene, "--from now-1h --format=folded --query '{host=\"far\"}'", "far.folded",
		  folder);
	assert_same_files(scene, "running.folded", "far.folded");
	assert_int_equal(import_from(scene, "", "recording", folder), 65);
	says(scene, "nothing was imported");
	assert_int_equal(import_by_address(scene, "running.pb.gz"), 0);
	says(scene, "see it at http://127.0.0.1:");
	assert_true(total(&scene->hearth) == 3 * before);
	assert_int_equal(hearth_stop(&scene->hearth), 0);
	assert_int_equal(import_by_address(scene, "running.pb.gz"), 69);
	says(scene, "no server answers at 127.0.0.1:");

	/* Without a server, into a store that is made for it. */
	assert_int_equal(import_from(scene, "--label host=far", "running.pb.gz", other), 0);
	export_to(scene, "--from now-1h --format folded", "other.folded", other);
	assert_same_files(scene, "running.folded", "other.folded");
	assert_int_equal(import_from(scene, "--label host=far", "running.pb.gz", other), 0);
	says(scene, "was imported before");
	snprintf(other, sizeof(other), "%s/third", scene->folder);
	assert_int_equal(import_from(scene, "--label host=far", "running.hearth", other), 0);
	says(scene, "6000 samples, 20");
	export_to(scene, "--from now-1h --format folded", "third.folded", other);
	assert_same_files(scene, "running.folded", "third.folded");
	assert_int_equal(import_from(scene, "--label far", "running.pb.gz", other), 64);
	says(scene, "NAME=VALUE");
	assert_int_equal(import_from(scene, "", "nothing", other), 66);
	says(scene, "No such file");
	assert_int_equal(command(scene, "import", other), 64);
	assert_int_equal(command(scene, "export --from", other), 64);
	assert_int_equal(command(scene, "export", "/tmp/there-is-no-such-folder"), 66);
	assert_int_equal(command(scene, "import --help", other), 0);
	says(scene, "usage: hearth import FILE");
}

/* It is older than what is kept of this host's own; sealed, it would be dropped by the next look,
 * which comes every second. */
static void an_import_of_last_month_stays(void **state)
{
	struct tool_scene *scene = *state;
	char path[256], options[128], folder[64];
	const char *none[] = { NULL };
	FILE *file;

	assert_int_equal(hearth_stop(&scene->hearth), 0);
	hearth_start(&scene->hearth, "serve", none);
	memcpy(folder, scene->hearth.folder, sizeof(folder));
	snprintf(path, sizeof(path), "%s/month.folded", scene->folder);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs("main;work 70\nmain;rest 30\n", file);
	assert_int_equal(fclose(file), 0);
	snprintf(options, sizeof(options), "--at %lld",
		 (long long)(clock_unix_ms() - INT64_C(30) * 86400 * CLOCK_MS_PER_S));
	assert_int_equal(import_from(scene, options, "month.folded", folder), 0);
	assert_int_equal(stored(&scene->hearth), 2);
	snprintf(options, sizeof(options), "backup %s", scene->backup);
	assert_int_equal(tool(scene, options, folder), 0);
	sleep_seconds(3);
	assert_int_equal(stored(&scene->hearth), 2);
	assert_int_equal(tool(scene, "status", folder), 0);
	says(scene, "0 open, 1 of late data");
	assert_int_equal(hearth_stop(&scene->hearth), 0);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(looks_at_a_store_in_use_and_one_that_is_not),
		SCENE_TEST(a_backup_of_a_running_store_can_be_put_back),
		SCENE_TEST(a_stopped_store_is_backed_up_with_its_logs),
		SCENE_TEST(damage_is_told_and_left_alone),
		SCENE_TEST(says_what_it_wants),
		SCENE_TEST(profiles_go_out_and_come_in),
		SCENE_TEST(an_import_of_last_month_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real clients push to a real hearth: a program without names, to which an agent brings symbols, so
 * that the page shows them; and clients that go midway, and come again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "symbols/elf_file.h"
#include "tests/support/elf_maker.h"
#include "tests/support/hearth.h"
#include "tests/support/pprof_maker.h"

#define START	UINT64_C(0x7f0000000000)
#define SERVICE "/debuginfo.v1alpha1.DebuginfoService/"
#define CPU	"process_cpu:cpu:nanoseconds:cpu:nanoseconds"
#define QUESTION                                                                                   \
	"/api/v1/flame?from=now-1h&to=now&type=" CPU "&query=%7Bservice_name%3D%22bare%22%7D"

enum { MEMORY = 1 << 20, OUTPUT_SIZE = 1 << 20, VALUE = 70000000 };

static char output[OUTPUT_SIZE];

struct scene {
	struct hearth hearth;
	char folder[64];
	char build_id[64];
};

static struct str str_of(const struct buf *buf)
{
	assert_int_equal(buf->error, 0);
	return (struct str){ (const char *)buf->bytes, buf->size };
}

static void write_file(const struct scene *scene, const char *name, const struct buf *buf)
{
	char path[128];
	FILE *file;

	assert_int_equal(buf->error, 0);
	snprintf(path, sizeof(path), "%s/%s", scene->folder, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(buf->bytes, 1, buf->size, file), buf->size);
	assert_int_equal(fclose(file), 0);
}

static void make_program(struct scene *scene)
{
	static const struct elf_maker_symbol symbols[] = {
		{ .name = "burn_bare",
		  .start = 0x10,
		  .size = 0x20,
		  .type = STT_FUNC,
		  .binding = STB_GLOBAL },
	};
	autoclean(buf) struct buf file = BUF(MEMORY);
	struct elf_file *elf = NULL;
	struct identity identity;
	autoclose int fd = -1;

	elf_maker_make(&file, symbols, 1);
	fd = elf_maker_memfd(file.bytes, file.size);
	assert_int_equal(elf_file_open(fd, &elf), 0);
	identity = elf_file_build_id(elf);
	elf_file_close(elf);
	for (size_t i = 0; i < identity.size; i++)
		snprintf(scene->build_id + 2 * i, 3, "%02x", identity.bytes[i]);
	write_file(scene, "program", &file);
}

static void add_message(struct buf *buf, unsigned field, const uint64_t *numbers, size_t count)
{
	autoclean(buf) struct buf part = BUF(MEMORY);

	for (size_t i = 0; i < count; i++)
		if (numbers[i])
			pprof_number(&part, (unsigned)i + 1, numbers[i]);
	pprof_sized(buf, field, str_of(&part));
}

/* One sample at an address of the program, which is all that is known of it. */
static void make_push(struct scene *scene)
{
	autoclean(buf) struct buf profile = BUF(MEMORY);
	autoclean(buf) struct buf sample = BUF(MEMORY);
	autoclean(buf) struct buf series = BUF(MEMORY);
	autoclean(buf) struct buf request = BUF(MEMORY);
	const char *texts[] = { "", "cpu", "nanoseconds", "/bin/bare", scene->build_id };
	static const char *const labels[][2] = { { "__name__", "process_cpu" },
						 { "service_name", "bare" } };

	add_message(&profile, 1, (uint64_t[]){ 1, 2 }, 2);
	add_message(&profile, 11, (uint64_t[]){ 1, 2 }, 2);
	add_message(&profile, 3, (uint64_t[]){ 1, START, START + 0x1000, 0x1000, 3, 4 }, 6);
	add_message(&profile, 4, (uint64_t[]){ 1, 1, START + 0x18 }, 3);
	add_message(&profile, 2, (uint64_t[]){ 1, VALUE }, 2);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		pprof_sized(&profile, 6, str_from(texts[i]));
	for (size_t i = 0; i < 2; i++) {
		autoclean(buf) struct buf label = BUF(MEMORY);

		pprof_sized(&label, 1, str_from(labels[i][0]));
		pprof_sized(&label, 2, str_from(labels[i][1]));
		pprof_sized(&series, 1, str_of(&label));
	}
	pprof_sized(&sample, 1, str_of(&profile));
	pprof_sized(&series, 2, str_of(&sample));
	pprof_sized(&request, 1, str_of(&series));
	write_file(scene, "push", &request);
}

/* The status and what was said, as "200 {…}". */
static void post(const struct scene *scene, const char *path, const char *type, const char *body)
{
	(void)shell_output(output, sizeof(output),
			   "curl -s -o %s/said -w '%%{http_code} ' -H 'Content-Type: %s' "
			   "--data-binary %s 'http://127.0.0.1:%u%s'; cat %s/said",
			   scene->folder, type, body, scene->hearth.port, path, scene->folder);
}

static void assert_said(const char *expected)
{
	if (strncmp(output, expected, strlen(expected)) != 0)
		fail_msg("'%s' for '%s'", output, expected);
}

/* The question with the build id in between. */
static void ask_of_symbols(const struct scene *scene, const char *method, const char *before,
			   const char *after)
{
	char path[128], body[256];

	snprintf(path, sizeof(path), SERVICE "%s", method);
	snprintf(body, sizeof(body), "'%s%s%s'", before, scene->build_id, after);
	post(scene, path, "application/json", body);
}

static void ask_whether_wanted(const struct scene *scene, const char *expected)
{
	ask_of_symbols(scene, "ShouldInitiateUpload", "{\"file\":{\"gnuBuildId\":\"", "\"}}");
	assert_said(expected);
}

#define OF_IT "{\"gnuBuildId\":\"", "\"}"

static double total_of(const struct scene *scene, const char *function)
{
	json_t *flame = hearth_get(&scene->hearth, "%s", QUESTION);
	double total = flame_total(flame, function);

	json_decref(flame);
	return total;
}

static void names_come_after_the_profile(void **state)
{
	static struct scene scene;
	const char *options[] = { NULL };
	char path[256], file[128];
	double limit;

	(void)state;
	if (shell_output(output, sizeof(output), "curl --version") != 0) {
		print_message("skipped: there is no curl\n");
		skip();
	}
	snprintf(scene.folder, sizeof(scene.folder), "/tmp/hearth-push-XXXXXX");
	assert_non_null(mkdtemp(scene.folder));
	make_program(&scene);
	make_push(&scene);
	hearth_start(&scene.hearth, "serve", options);

	snprintf(file, sizeof(file), "@%s/push", scene.folder);
	post(&scene, "/push.v1.PusherService/Push", "application/proto", file);
	assert_said("200 ");
	assert_true(total_of(&scene, "bare+0x1018") == VALUE);

	ask_whether_wanted(&scene, "200 {\"shouldInitiateUpload\":true,");
	ask_whether_wanted(&scene, "200 {\"reason\":\"somebody is bringing them\"}");
	snprintf(path, sizeof(path), SERVICE "Upload/%s", scene.build_id);
	snprintf(file, sizeof(file), "@%s/push", scene.folder);
	post(&scene, path, "application/octet-stream", file);
	assert_said("400 ");
	/* What was no good may be brought again, but is to be asked for. */
	snprintf(file, sizeof(file), "@%s/program", scene.folder);
	post(&scene, path, "application/octet-stream", file);
	assert_said("412 ");
	ask_of_symbols(&scene, "UploadFinished", OF_IT);
	assert_said("400 {\"code\":\"failed_precondition\"");
	ask_whether_wanted(&scene, "200 {\"shouldInitiateUpload\":true,");
	post(&scene, path, "application/octet-stream", file);
	assert_said("200 ");
	ask_of_symbols(&scene, "UploadFinished", OF_IT);
	assert_said("200 {}");
	ask_of_symbols(&scene, "ListDebuginfo", "{\"nobody\":\"", "\"}");
	if (!strstr(output, scene.build_id) || !strstr(output, "\"state\":\"STATE_UPLOADED\""))
		fail_msg("%s", output);
	ask_whether_wanted(&scene,
			   "200 {\"reason\":\"symbols of this build id are here already\"}");

	/* A worker reads it, and the next question has the name. */
	limit = now_seconds() + 30;
	while (total_of(&scene, "burn_bare") != VALUE && now_seconds() < limit)
		sleep_seconds(0.1);
	assert_true(total_of(&scene, "burn_bare") == VALUE);

	ask_of_symbols(&scene, "DeleteDebuginfo", OF_IT);
	assert_said("200 {}");
	ask_of_symbols(&scene, "DeleteDebuginfo", OF_IT);
	assert_said("404 ");
	ask_of_symbols(&scene, "DeleteDebuginfo", "{\"gnuBuildId\":\"xyz!", "\"}");
	assert_said("400 ");
	assert_int_equal(hearth_stop(&scene.hearth), 0);
	folder_remove(scene.folder);
}

/* ---- clients that go --------------------------------------------------------------------------
 */

enum { LINE_COUNT = 4000, TICK_NS = 10000000 };

#define INGEST "/ingest?name=leaver%d&from=%lld&until=%lld"

static void write_folded(const struct scene *scene)
{
	autoclean(buf) struct buf text = BUF(MEMORY);

	for (int i = 0; i < LINE_COUNT; i++)
		buf_printf(&text, "main;work_of_a_client_that_goes;function_%d 1\n", i);
	write_file(scene, "folded", &text);
}

static double samples_of(const struct scene *scene, int leaver)
{
	json_t *flame = hearth_get(&scene->hearth,
				   "/api/v1/flame?from=now-1h&to=now&type=" CPU
				   "&query=%%7Bservice_name%%3D%%22leaver%d%%22%%7D",
				   leaver);
	double total = json_number_value(json_object_get(flame, "total"));

	json_decref(flame);
	return total / TICK_NS;
}

/* Sends so many bytes of the request, and closes without a look at the answer, or waits for it. */
static void send_part(const struct scene *scene, const char *target, size_t part, bool waits)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)scene->hearth.port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	autoclean(buf) struct buf request = BUF(MEMORY);
	static char body[MEMORY];
	char path[128];
	size_t size;
	FILE *file;
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(path, sizeof(path), "%s/folded", scene->folder);
	file = fopen(path, "rb");
	assert_non_null(file);
	size = fread(body, 1, sizeof(body), file);
	assert_int_equal(fclose(file), 0);
	buf_printf(&request,
		   "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
		   "Content-Length: %zu\r\n\r\n",
		   target, size);
	buf_add(&request, body, size);
	assert_int_equal(request.error, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (part > request.size)
		part = request.size;
	assert_int_equal(send(fd, request.bytes, part, MSG_NOSIGNAL), part);
	assert_true(!waits || recv(fd, body, sizeof(body), 0) > 0);
}

static void post_folded(const struct scene *scene, const char *target)
{
	char file[128];

	snprintf(file, sizeof(file), "@%s/folded", scene->folder);
	post(scene, target, "text/plain", file);
	assert_said("200 ");
}

static void who_goes_midway_is_stored_once(void **state)
{
	static struct scene scene;
	const char *options[] = { NULL };
	const long long now = (long long)time(NULL) - 60;
	char target[128], other[128];

	(void)state;
	if (shell_output(output, sizeof(output), "curl --version") != 0) {
		print_message("skipped: there is no curl\n");
		skip();
	}
	snprintf(scene.folder, sizeof(scene.folder), "/tmp/hearth-push-XXXXXX");
	assert_non_null(mkdtemp(scene.folder));
	write_folded(&scene);
	hearth_start(&scene.hearth, "serve", options);

	/* Within the body. */
	snprintf(target, sizeof(target), INGEST, 1, now, now + 10);
	(void)shell_output(output, sizeof(output),
			   "timeout -s KILL 0.5 curl -s --limit-rate 64k -H 'Content-Type: "
			   "text/plain' --data-binary @%s/folded 'http://127.0.0.1:%u%s'",
			   scene.folder, scene.hearth.port, target);
	send_part(&scene, target, 100000, false);
	sleep_seconds(0.5);
	assert_true(samples_of(&scene, 1) == 0);
	post_folded(&scene, target);
	assert_true(samples_of(&scene, 1) == LINE_COUNT);

	/*
	 * When all of it was sent, and the server has stored it, or has not. What follows another
	 * push waits for the disk for some 50 ms: the client has gone before it could be answered.
	 */
	for (int leaver = 2; leaver < 22; leaver++) {
		snprintf(other, sizeof(other), INGEST, 0, now, now + 10);
		snprintf(target, sizeof(target), INGEST, leaver, now, now + 10);
		for (int again = 0; again < 3; again++) {
			send_part(&scene, other, MEMORY, true);
			send_part(&scene, target, MEMORY, false);
			sleep_seconds(0.005 * (leaver % 10) * again);
		}
		post_folded(&scene, target);
		sleep_seconds(0.1);
		if (samples_of(&scene, leaver) != LINE_COUNT)
			fail_msg("%d: %.0f samples", leaver, samples_of(&scene, leaver));
	}
	assert_int_equal(hearth_stop(&scene.hearth), 0);
	folder_remove(scene.folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_after_the_profile),
		cmocka_unit_test(who_goes_midway_is_stored_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* hearth decode: a request however it is wrapped, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/folder.h"
#include "tests/support/hearth.h"
#include "tests/support/otlp_maker.h"
#include "web/compression.h"

enum { SIZE_MAX_OF_TEXT = 1 << 20 };

struct scene {
	char folder[32];
	char output[SIZE_MAX_OF_TEXT];
};

static int start(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/hearth-decode-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	*state = scene;
	return 0;
}

static int stop(void **state)
{
	struct scene *scene = *state;

	folder_remove(scene->folder);
	free(scene);
	return 0;
}

/* Its exit code; what it says is in scene->output. */
static int decode(struct scene *scene, const struct buf *bytes)
{
	char path[64], program[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/request", scene->folder);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes->bytes, 1, bytes->size, file), bytes->size);
	assert_int_equal(fclose(file), 0);
	return shell_output(scene->output, sizeof(scene->output), "%s decode %s 2>&1",
			    build_path("hearth", program, sizeof(program)), path);
}

static void assert_says(const struct scene *scene, const char *words)
{
	if (!strstr(scene->output, words))
		fail_msg("'%s' is not in: %.2000s", words, scene->output);
}

static void add_size(struct buf *buf, size_t size)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_u8(buf, (uint8_t)(size >> shift));
}

static void a_request_is_told_whatever_is_around_it(void **state)
{
	struct scene *scene = *state;
	autoclean(buf) struct buf request = BUF(SIZE_MAX_OF_TEXT);
	autoclean(buf) struct buf packed = BUF(SIZE_MAX_OF_TEXT);
	autoclean(buf) struct buf framed = BUF(SIZE_MAX_OF_TEXT);
	autoclean(buf) struct buf file = BUF(SIZE_MAX_OF_TEXT);

	otlp_make(OTLP_R1_7, 0, &request);
	assert_int_equal(decode(scene, &request), 0);
	assert_says(scene, "revision 1.7\ntables: 32 texts, 9 attributes, 3 mappings, 6 functions");
	assert_says(scene, "    inner (work.h:22:7) <\n    work (work.c:30:0)");
	assert_says(scene, "revision 1.7: ");
	assert_says(scene, "3 resources, 9 profiles, 15 samples; 0 profiles refused, 0 samples "
			   "skipped\n");

	/* Packed, in a frame of gRPC. */
	buf_add(&packed, request.bytes, request.size);
	assert_int_equal(compression_gzip(&packed), 0);
	buf_add_u8(&framed, 1);
	add_size(&framed, packed.size);
	buf_add(&framed, packed.bytes, packed.size);
	assert_int_equal(decode(scene, &framed), 0);
	assert_says(scene, "a message of gRPC, packed\n");
	assert_says(scene, "packed by gzip\n");
	assert_says(scene, "9 profiles, 15 samples");

	/* Two of them, as the Collector writes files. */
	for (int i = 0; i < 2; i++) {
		add_size(&file, request.size);
		buf_add(&file, request.bytes, request.size);
	}
	assert_int_equal(decode(scene, &file), 0);
	assert_says(scene, "a file of the Collector's file exporter\n");
	assert_non_null(strstr(strstr(scene->output, "9 profiles, 15 samples") + 1,
			       "9 profiles, 15 samples"));
}

static void what_is_wrong_is_said(void **state)
{
	struct scene *scene = *state;
	autoclean(buf) struct buf request = BUF(SIZE_MAX_OF_TEXT);
	char program[256];

	otlp_make(OTLP_R1_10, OTLP_MAKER_UNPACKED, &request);
	assert_int_equal(decode(scene, &request), 0);
	assert_says(scene, ": numbers of lists that came one by one\n");
	request.size -= 3;
	assert_int_equal(decode(scene, &request), 65);
	assert_says(scene, "cut short");
	assert_int_equal(shell_output(scene->output, sizeof(scene->output), "%s decode /nowhere",
				      build_path("hearth", program, sizeof(program))),
			 66);
	assert_int_equal(shell_output(scene->output, sizeof(scene->output), "%s decode",
				      build_path("hearth", program, sizeof(program))),
			 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_is_told_whatever_is_around_it, start,
						stop),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_said, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

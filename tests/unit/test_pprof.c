/* SPDX-License-Identifier: Apache-2.0 */
/* A flame graph with inlined calls as a pprof profile, and what Go's own tool makes of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "store/store.h"
#include "web/message.h"
#include "web/pprof.h"

/* Numbers of the names below. */
enum { NONE, TOTAL, MAIN, OUTER, MIDDLE, INNER, LEAF, PROG, LIBM, SOURCE };

static struct str names[] = { STR(""),	    STR("total"), STR("main"), STR("outer"), STR("middle"),
			      STR("inner"), STR("leaf"),  STR("prog"), STR("libm"),  STR("a.c") };

/*
 * main calls outer, in which middle stands, in which inner stands, which calls leaf of another
 * binary; each but main ran itself. In that binary something claims to stand in what it can't.
 */
static struct flame_node nodes[] = {
	{ .total = 100, .name = TOTAL, .kind = FLAME_ROOT },
	{ .total = 100, .name = MAIN, .place = 1, .file = SOURCE, .line = 10 },
	{ .self = 1,
	  .total = 100,
	  .parent = 1,
	  .name = OUTER,
	  .place = 1,
	  .file = SOURCE,
	  .line = 20 },
	{ .self = 2,
	  .total = 99,
	  .parent = 2,
	  .name = MIDDLE,
	  .place = 1,
	  .file = SOURCE,
	  .line = 30,
	  .inlined = true },
	{ .self = 4,
	  .total = 97,
	  .parent = 3,
	  .name = INNER,
	  .place = 1,
	  .file = SOURCE,
	  .line = 40,
	  .inlined = true },
	{ .self = 93, .total = 93, .parent = 4, .name = LEAF, .place = 2, .inlined = true },
};

static struct flame_binary binaries[] = { { 0 }, { .path = PROG }, { .path = LIBM } };

static struct flame_place places[] = {
	{ .system_name = FLAME_OWN_NAME },
	{ .system_name = FLAME_OWN_NAME, .binary = 1 },
	{ .system_name = FLAME_OWN_NAME, .binary = 2 },
};

static const struct flame flame = { .nodes = nodes,
				    .names = names,
				    .places = places,
				    .binaries = binaries,
				    .place_count = sizeof(places) / sizeof(places[0]),
				    .binary_count = sizeof(binaries) / sizeof(binaries[0]),
				    .node_count = sizeof(nodes) / sizeof(nodes[0]),
				    .name_count = sizeof(names) / sizeof(names[0]) };

static Pprof__Profile *make(struct arena *arena)
{
	struct profile_type type;
	struct pprof_options options = {
		.type = &type, .time_ns = 1, .duration_ns = 2, .period = 3
	};

	assert_int_equal(profile_type_parse(PROFILE_TYPE_CPU, &type, NULL), 0);

	Pprof__Profile *profile = pprof_make(&flame, &options, arena);

	assert_non_null(profile);
	return profile;
}

/* "inner:40 middle:30 outer:20" of a location. */
static void write_location(const Pprof__Profile *profile, uint64_t id, char text[static 128])
{
	const Pprof__Location *location = profile->location[id - 1];
	size_t size = 0;

	assert_int_equal(location->id, id);
	text[0] = '\0';
	for (size_t i = 0; i < location->n_line; i++) {
		const Pprof__Function *function =
			profile->function[location->line[i]->function_id - 1];

		size += (size_t)snprintf(text + size, 128 - size, "%s%s:%lld", i ? " " : "",
					 profile->string_table[function->name],
					 (long long)location->line[i]->line);
	}
}

static void inlined_calls_are_lines_of_one_location(void **state)
{
	static const struct {
		int64_t value;
		const char *locations[3];
	} expected[] = {
		{ 1, { "outer:20", "main:10" } },
		{ 2, { "middle:30 outer:20", "main:10" } },
		{ 4, { "inner:40 middle:30 outer:20", "main:10" } },
		{ 93, { "leaf:0", "inner:40 middle:30 outer:20", "main:10" } },
	};
	autoclean(arena) struct arena arena = ARENA(ANSWER_MEMORY_MAX);
	const Pprof__Profile *profile = make(&arena);
	char text[128];

	(void)state;
	assert_int_equal(profile->n_sample, 4);
	for (size_t i = 0; i < 4; i++) {
		const Pprof__Sample *sample = profile->sample[i];

		assert_int_equal(sample->value[0], expected[i].value);
		for (size_t n = 0; n < sample->n_location_id; n++) {
			assert_true(n < 3 && expected[i].locations[n]);
			write_location(profile, sample->location_id[n], text);
			assert_string_equal(text, expected[i].locations[n]);
		}
		assert_true(sample->n_location_id == 3 ||
			    !expected[i].locations[sample->n_location_id]);
	}
	assert_int_equal(profile->n_function, 5);
	assert_int_equal(profile->n_location, 5);
	assert_int_equal(profile->n_mapping, 2);
	assert_true(profile->mapping[0]->has_inline_frames && profile->mapping[0]->has_filenames &&
		    profile->mapping[0]->has_line_numbers);
	assert_false(profile->mapping[1]->has_inline_frames || profile->mapping[1]->has_filenames);
}

/* Go's reader checks what it reads, and lists locations as it understands them. */
static void go_reads_it_so(void **state)
{
	static const char *const lines[] = { "inner a.c:40:0", "middle a.c:30:0",
					     "outer a.c:20:0" };
	autoclean(arena) struct arena arena = ARENA(ANSWER_MEMORY_MAX);
	autoclean(buf) struct buf bytes = BUF(1 << 20);
	char path[] = "/tmp/hearth-pprof-XXXXXX";
	char command[128];
	static char said[16384];

	(void)state;
	if (system("go version > /dev/null 2>&1")) {
		print_message("no go here\n");
		skip();
	}
	message_pack(&make(&arena)->base, &bytes);
	assert_int_equal(bytes.error, 0);

	autoclose int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.bytes, bytes.size), bytes.size);
	snprintf(command, sizeof(command), "HOME=/tmp go tool pprof -raw %s 2>&1", path);

	FILE *output = popen(command, "r");

	assert_non_null(output);
	said[fread(said, 1, sizeof(said) - 1, output)] = '\0';
	assert_int_equal(pclose(output), 0);
	assert_int_equal(unlink(path), 0);

	/* All three in a row, below one location. */
	const char *found = strstr(said, "inner a.c:40");

	if (!found)
		fail_msg("no inlined call in: %s", said);
	for (size_t i = 0; i < 3; i++) {
		if (strncmp(found, lines[i], strlen(lines[i]) - 2) != 0)
			fail_msg("no '%s' at: %s", lines[i], found);
		found = strchr(found, '\n') + 1;
		found += strspn(found, " ");
	}
	assert_non_null(strstr(said, "[FN][FL][LN][IN]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inlined_calls_are_lines_of_one_location),
		cmocka_unit_test(go_reads_it_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

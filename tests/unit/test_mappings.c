/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "collector/mappings.h"

static void add(struct mappings **mappings, uint64_t start, uint64_t end)
{
	struct mapping mapping = { .start = start, .end = end, .kind = MAPPING_ANONYMOUS };

	assert_int_equal(mappings_add(mappings, &mapping), 0);
}

static void finds_the_mapping_of_an_address(void **state)
{
	struct mappings *mappings = mappings_new();

	(void)state;
	assert_null(mappings_find(mappings, 0));
	add(&mappings, 0x3000, 0x4000);
	add(&mappings, 0x1000, 0x2000);
	assert_null(mappings_find(mappings, 0xfff));
	assert_int_equal(mappings_find(mappings, 0x1000)->start, 0x1000);
	assert_int_equal(mappings_find(mappings, 0x1fff)->start, 0x1000);
	assert_null(mappings_find(mappings, 0x2000));
	assert_int_equal(mappings_find(mappings, 0x3fff)->start, 0x3000);
	assert_null(mappings_find(mappings, UINT64_MAX));
	mappings_unref(mappings);
}

static void takes_out_what_a_new_mapping_overlaps(void **state)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 1 };
	struct file *file = file_new(&identity, STR("/x"), 0, 0);
	struct mapping mapping = {
		.start = 0x1000, .end = 0x2000, .file = file, .kind = MAPPING_FILE
	};
	struct mappings *mappings = mappings_new();

	(void)state;
	assert_int_equal(mappings_add(&mappings, &mapping), 0);
	assert_int_equal(file->users, 2);
	add(&mappings, 0x2000, 0x3000);
	add(&mappings, 0x5000, 0x6000);
	add(&mappings, 0x1800, 0x2800);
	assert_int_equal(file->users, 1);
	assert_int_equal(mappings->count, 2);
	assert_null(mappings_find(mappings, 0x1000));
	assert_int_equal(mappings_find(mappings, 0x2000)->start, 0x1800);
	mappings_unref(mappings);
	file_unref(file);
}

static void leaves_shared_ones_as_they_are(void **state)
{
	struct mappings *parent = mappings_new();

	(void)state;
	add(&parent, 0x1000, 0x2000);

	struct mappings *child = mappings_ref(parent);

	add(&child, 0x3000, 0x4000);
	assert_ptr_not_equal(parent, child);
	assert_null(mappings_find(parent, 0x3000));
	assert_non_null(mappings_find(child, 0x1000));
	mappings_unref(parent);
	mappings_unref(child);
}

static void keeps_no_more_than_its_limit(void **state)
{
	struct mappings *mappings = mappings_new();
	struct mapping mapping = { .start = UINT64_MAX - 1,
				   .end = UINT64_MAX,
				   .kind = MAPPING_ANONYMOUS };

	(void)state;
	for (uint64_t i = 0; i < MAPPING_COUNT_MAX; i++)
		add(&mappings, i * 0x1000, (i + 1) * 0x1000);
	assert_int_equal(mappings_add(&mappings, &mapping), -ENOSPC);
	/* What takes another's place still fits. */
	add(&mappings, 0x1000, 0x3000);
	assert_int_equal(mappings->count, MAPPING_COUNT_MAX - 1);
	mappings_unref(mappings);
}

/* Against a plain array that says of each page who has it. */
static void agrees_with_a_simple_model(void **state)
{
	enum { PAGE_COUNT = 64, STEP_COUNT = 2000 };
	unsigned seed = (unsigned)time(NULL);
	unsigned owner[PAGE_COUNT] = { 0 };
	uint64_t starts[STEP_COUNT + 1], ends[STEP_COUNT + 1];
	struct mappings *mappings = mappings_new();

	(void)state;
	for (unsigned i = 1; i <= STEP_COUNT; i++) {
		unsigned first = (unsigned)rand_r(&seed) % PAGE_COUNT;
		unsigned last = first + (unsigned)rand_r(&seed) % (PAGE_COUNT - first);

		starts[i] = first;
		ends[i] = last + 1;
		for (unsigned page = first; page <= last; page++) {
			unsigned old = owner[page];

			for (unsigned p = 0; old && p < PAGE_COUNT; p++)
				if (owner[p] == old)
					owner[p] = 0;
			owner[page] = i;
		}
		add(&mappings, starts[i], ends[i]);
		for (unsigned page = 0; page < PAGE_COUNT; page++) {
			const struct mapping *found = mappings_find(mappings, page);

			if (!found != !owner[page] ||
			    (found && (found->start != starts[owner[page]] ||
				       found->end != ends[owner[page]])))
				fail_msg("page %u after step %u, seed %u", page, i, seed);
		}
	}
	mappings_unref(mappings);
}

static void reads_lines_of_maps(void **state)
{
	struct maps_line line;

	(void)state;
	assert_true(maps_parse_line(STR("7f1c2a000000-7f1c2a1f0000 r-xp 00026000 fd:01 1234      "
					"/usr/lib/with space.so"),
				    &line));
	assert_int_equal(line.start, 0x7f1c2a000000);
	assert_int_equal(line.end, 0x7f1c2a1f0000);
	assert_int_equal(line.offset, 0x26000);
	assert_int_equal(line.inode, 1234);
	assert_true(line.is_executable);
	assert_true(str_equal(line.path, STR("/usr/lib/with space.so")));

	assert_true(maps_parse_line(STR("1000-2000 rw-p 00000000 00:00 0 "), &line));
	assert_false(line.is_executable);
	assert_int_equal(line.path.size, 0);
	assert_true(maps_parse_line(STR("1000-2000 rw-p 00000000 00:00 0"), &line));
}

static void refuses_other_lines(void **state)
{
	static const char *const lines[] = {
		"",
		"1000",
		"1000-",
		"1000-2000",
		"1000-2000 r-xp",
		"1000-2000 r-x 0 0:0 0",
		"2000-1000 r-xp 0 0:0 0",
		"1000-1000 r-xp 0 0:0 0",
		"x-2000 r-xp 0 0:0 0",
		"1000-2000 r-xp 0 0:0 x",
		"1000-2000 r-xp 0 123456789:0 0",
		"11111111111111111-22222222222222222 r-xp 0 0:0 0",
	};
	struct maps_line line;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (maps_parse_line(str_from(lines[i]), &line))
			fail_msg("\"%s\"", lines[i]);
}

static void tells_kinds_by_the_kernels_names(void **state)
{
	(void)state;
	assert_int_equal(mapping_kind_of(STR("/usr/bin/x")), MAPPING_FILE);
	assert_int_equal(mapping_kind_of(STR("/memfd:jit (deleted)")), MAPPING_FILE);
	assert_int_equal(mapping_kind_of(STR("[vdso]")), MAPPING_VDSO);
	assert_int_equal(mapping_kind_of(STR("[anon:v8]")), MAPPING_ANONYMOUS);
	assert_int_equal(mapping_kind_of(STR("//anon")), MAPPING_ANONYMOUS);
	assert_int_equal(mapping_kind_of((struct str){ 0 }), MAPPING_ANONYMOUS);
}

static void scans_a_living_process(void **state)
{
	struct mappings *mappings = NULL;
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(code, MAP_FAILED);
	assert_int_equal(mappings_scan((uint32_t)getpid(), &mappings), 0);
	assert_true(mappings->is_complete);

	const struct mapping *own =
		mappings_find(mappings, (uint64_t)(uintptr_t)scans_a_living_process);
	const struct mapping *anonymous = mappings_find(mappings, (uint64_t)(uintptr_t)code);

	assert_int_equal(own->kind, MAPPING_FILE);
	assert_true(str_ends_with(str_from(own->file->path), STR("test_mappings")));
	assert_true(own->file->identity.size > 0);
	assert_int_equal(anonymous->kind, MAPPING_ANONYMOUS);
	assert_null(mappings_find(mappings, (uint64_t)(uintptr_t)&mappings));
	mappings_unref(mappings);
	munmap(code, 4096);
}

static void says_that_a_process_is_gone(void **state)
{
	struct mappings *mappings = NULL;

	(void)state;
	assert_int_equal(mappings_scan(0x40000001, &mappings), -ESRCH);
	assert_null(mappings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_mapping_of_an_address),
		cmocka_unit_test(takes_out_what_a_new_mapping_overlaps),
		cmocka_unit_test(leaves_shared_ones_as_they_are),
		cmocka_unit_test(keeps_no_more_than_its_limit),
		cmocka_unit_test(agrees_with_a_simple_model),
		cmocka_unit_test(reads_lines_of_maps),
		cmocka_unit_test(refuses_other_lines),
		cmocka_unit_test(tells_kinds_by_the_kernels_names),
		cmocka_unit_test(scans_a_living_process),
		cmocka_unit_test(says_that_a_process_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

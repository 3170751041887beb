/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a host with more binaries than a question may hold at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/folder.h"
#include "store/catalog.h"
#include "store/naming.h"
#include "store/store.h"
#include "store/tree.h"
#include "symbols/symbols.h"
#include "tests/support/elf_maker.h"

enum {
	/* More than symbols keep open when nobody holds them. */
	MODULE_COUNT = 300,
	OPEN_COUNT_MAX = 256,
	FUNCTION_COUNT = 4,
	FUNCTION_BYTES = 64,
	TEXT_BYTES = 4096,
	ELF_SIZE_MAX = 64 << 10,
	SETTLE_MS = 30000,
};

struct host {
	char folder[64];
	struct symbols *symbols;
	struct catalog catalog;
	uint32_t builds[MODULE_COUNT];
};

static void name_function(uint32_t module, uint32_t function, char name[static 64])
{
	snprintf(name, 64, "function_%u_of_%u", function, module);
}

static void bring(struct host *host, uint32_t module)
{
	struct elf_maker_symbol symbols[FUNCTION_COUNT] = { 0 };
	struct identity identity = elf_maker_identity(module);
	struct catalog_build build = { .kind = BUILD_FILE, .identity = identity };
	char names[FUNCTION_COUNT][64];
	struct buf elf = BUF(ELF_SIZE_MAX);
	int64_t number = catalog_add(&host->catalog, CATALOG_BUILD, &build, sizeof(build));

	assert_true(number > 0);
	host->builds[module] = (uint32_t)number;
	for (uint32_t i = 0; i < FUNCTION_COUNT; i++) {
		name_function(module, i, names[i]);
		symbols[i] = (struct elf_maker_symbol){ .name = names[i],
							.start = (uint64_t)i * FUNCTION_BYTES,
							.size = FUNCTION_BYTES,
							.type = STT_FUNC,
							.binding = STB_GLOBAL };
	}
	elf_maker_make_large(&elf, identity.bytes, TEXT_BYTES, symbols, FUNCTION_COUNT);
	assert_int_equal(
		symbols_bring_file(host->symbols, &identity, elf_maker_memfd(elf.bytes, elf.size)),
		0);
	/* A queue holds some of them. */
	if (module % 16 == 15)
		assert_int_equal(symbols_settle(host->symbols, SETTLE_MS), 0);
	buf_done(&elf);
}

static int set_up(void **state)
{
	struct host *host = calloc(1, sizeof(*host));

	assert_non_null(host);
	snprintf(host->folder, sizeof(host->folder), "/tmp/test_naming.XXXXXX");
	assert_non_null(mkdtemp(host->folder));
	assert_int_equal(symbols_open(host->folder, "", &host->symbols), 0);
	assert_int_equal(catalog_init(&host->catalog), 0);
	for (uint32_t i = 0; i < MODULE_COUNT; i++)
		bring(host, i);
	assert_int_equal(symbols_settle(host->symbols, SETTLE_MS), 0);
	*state = host;
	return 0;
}

static int tear_down(void **state)
{
	struct host *host = *state;

	catalog_done(&host->catalog);
	symbols_close(host->symbols);
	folder_remove(host->folder);
	free(host);
	return 0;
}

static uint32_t open_files(const struct host *host)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];
	uint32_t count = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, host->folder) != NULL;
	fclose(maps);
	return count;
}

/* Of which pages are in memory. */
static uint32_t resident_files(const struct host *host)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[1024];
	unsigned long size;
	bool is_ours = false;
	uint32_t count = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "Rss: %lu", &size) == 1)
			count += is_ours && size > 0;
		else if (strchr("0123456789abcdef", line[0]))
			is_ours = strstr(line, host->folder) != NULL;
	}
	fclose(maps);
	return count;
}

/* In turn, so that each was given back before it is asked again. */
static void names_more_modules_than_it_holds(void **state)
{
	struct host *host = *state;
	struct naming *naming = NULL;
	uint32_t most = 0;

	assert_int_equal(naming_new(host->symbols, &naming), 0);
	for (uint32_t function = 0; function < FUNCTION_COUNT; function++)
		for (uint32_t module = 0; module < MODULE_COUNT; module++) {
			uint64_t address = ELF_MAKER_TEXT_OFFSET + function * FUNCTION_BYTES + 8;
			struct frame_names frames;
			struct str found;
			char name[64];

			assert_int_equal(naming_find(naming, &host->catalog, host->builds[module],
						     address, &frames),
					 0);
			assert_int_equal(frames.count, 1);
			name_function(module, function, name);
			found = naming_get(naming, naming_frame(naming, frames.first).name);
			if (!str_equal(found, str_from(name)))
				fail_msg("%.*s, not %s", STR_PRINT(found), name);
			if (module % 50 == 49 && open_files(host) > most)
				most = open_files(host);
		}
	assert_in_range(most, 32, OPEN_COUNT_MAX);
	(void)naming_rest(naming);
	naming_free(naming);
	symbols_tidy(host->symbols, UINT64_MAX);
	assert_int_equal(open_files(host), 0);
}

/* A leaf may be anywhere in its function: where no lines are known, all of it is one place. */
static void a_function_without_lines_is_one_place(void **state)
{
	struct host *host = *state;
	struct naming *naming = NULL;

	assert_int_equal(naming_new(host->symbols, &naming), 0);
	for (uint32_t function = 0; function < FUNCTION_COUNT; function++) {
		uint64_t start = ELF_MAKER_TEXT_OFFSET + function * FUNCTION_BYTES;

		/* From the last to the first: the start is not what is asked for first. */
		for (uint64_t at = FUNCTION_BYTES; at-- > 0;) {
			struct frame_names frames;

			assert_int_equal(naming_find(naming, &host->catalog, host->builds[0],
						     start + at, &frames),
					 0);
			assert_int_equal(frames.count, 1);
			assert_int_equal(frames.first, function);
		}
	}
	naming_free(naming);
}

/* As naming_find() would say, which keeps what it finds. */
static void knows_what_has_a_name_and_keeps_none(void **state)
{
	struct host *host = *state;
	struct catalog_line line = { .function = 0 };
	int64_t known = catalog_add(&host->catalog, CATALOG_NAME, &line, sizeof(line));
	struct naming *naming = NULL;
	uint32_t texts;
	bool has_name = false;

	assert_int_equal(naming_new(host->symbols, &naming), 0);
	assert_int_equal(naming_has_name(naming, &host->catalog, host->builds[0], 0, &has_name), 0);
	texts = naming_count(naming);
	for (uint64_t at = 0; at < TEXT_BYTES; at += 8) {
		assert_int_equal(naming_has_name(naming, &host->catalog, host->builds[0],
						 ELF_MAKER_TEXT_OFFSET + at, &has_name),
				 0);
		assert_int_equal(has_name, at < FUNCTION_COUNT * FUNCTION_BYTES);
	}
	assert_int_equal(naming_count(naming), texts);
	for (uint64_t at = 0; at < TEXT_BYTES; at += 8) {
		uint64_t address = ELF_MAKER_TEXT_OFFSET + at;
		struct frame_names frames;

		assert_int_equal(
			naming_find(naming, &host->catalog, host->builds[0], address, &frames), 0);
		assert_int_equal(naming_has_name(naming, &host->catalog, host->builds[0], address,
						 &has_name),
				 0);
		assert_int_equal(naming_frame(naming, frames.first).kind != FLAME_UNNAMED,
				 has_name);
	}

	/* What came with its name, and what did not come. */
	assert_int_equal(naming_has_name(naming, &host->catalog, TREE_BUILD_NAMED, (uint64_t)known,
					 &has_name),
			 0);
	assert_true(has_name);
	assert_int_equal(naming_has_name(naming, &host->catalog, TREE_BUILD_NAMED,
					 (uint64_t)known + 1, &has_name),
			 -EBADMSG);
	assert_int_equal(naming_has_name(naming, &host->catalog, TREE_BUILD_NAMED, 0, &has_name),
			 -EBADMSG);
	assert_int_equal(naming_has_name(naming, &host->catalog, host->builds[MODULE_COUNT - 1] + 1,
					 0, &has_name),
			 -EBADMSG);
	naming_free(naming);
}

/* Of binaries that are asked for one after the other a few are in memory. */
static void holds_few_when_told_so(void **state)
{
	struct host *host = *state;

	for (int few = 0; few < 2; few++) {
		struct naming *naming = NULL;

		assert_int_equal(naming_new(host->symbols, &naming), 0);
		if (few)
			naming_hold_few(naming);
		for (uint32_t module = 0; module < MODULE_COUNT; module++) {
			bool has_name = false;

			assert_int_equal(naming_has_name(naming, &host->catalog,
							 host->builds[module],
							 ELF_MAKER_TEXT_OFFSET, &has_name),
					 0);
			assert_true(has_name);
		}
		if (few)
			assert_in_range(resident_files(host), 1, 4);
		else
			assert_in_range(resident_files(host), 20, 32);
		(void)naming_rest(naming);
		naming_free(naming);
		symbols_tidy(host->symbols, UINT64_MAX);
	}
}

/* Which is done for all of a host's again and again. */
static void looking_for_debug_files_leaves_nothing_in_memory(void **state)
{
	struct host *host = *state;

	for (uint32_t module = 0; module < MODULE_COUNT; module++) {
		struct identity identity = elf_maker_identity(module);
		struct symbols_debug_wish wish;

		assert_true(symbols_wants_debug(host->symbols, &identity, &wish));
	}
	assert_in_range(open_files(host), 1, OPEN_COUNT_MAX);
	assert_int_equal(resident_files(host), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_more_modules_than_it_holds, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_function_without_lines_is_one_place, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(knows_what_has_a_name_and_keeps_none, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(holds_few_when_told_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(looking_for_debug_files_leaves_nothing_in_memory,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

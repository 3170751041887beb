/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_maker.h"
#include "symbols/symbols.h"
#include "symbols/unwind_tables.h"
#include "tests/support/descriptors.h"

enum { PATIENCE_MS = 20000 };

struct scene {
	char folder[64];
	struct unwind_tables *tables;
	int wakeup;
	unsigned descriptors;
};

static void wake(void *context)
{
	struct scene *scene = context;

	assert_int_equal(eventfd_write(scene->wakeup, 1), 0);
}

static void open_tables(struct scene *scene)
{
	assert_int_equal(unwind_tables_open(scene->folder, scene->folder, &scene->tables), 0);
	unwind_tables_on_answer(scene->tables, wake, scene);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->descriptors = open_descriptors();
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/test_unwind_tables.XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	scene->wakeup = eventfd(0, EFD_CLOEXEC);
	open_tables(scene);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	unwind_tables_close(scene->tables);
	close(scene->wakeup);
	folder_remove(scene->folder);
	assert_int_equal(open_descriptors(), scene->descriptors);
	free(scene);
	return 0;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct identity build_id_of(const char *path)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open_file(path);

	assert_int_equal(elf_file_open(fd, &elf), 0);
	return elf_file_build_id(elf);
}

static struct unwind_answer await_answer(struct scene *scene)
{
	struct pollfd wakeup = { .fd = scene->wakeup, .events = POLLIN };
	struct unwind_answer answer;

	while (!unwind_tables_take(scene->tables, &answer)) {
		eventfd_t count;

		assert_int_equal(poll(&wakeup, 1, PATIENCE_MS), 1);
		assert_int_equal(eventfd_read(scene->wakeup, &count), 0);
	}
	return answer;
}

static const char self[] = "/proc/self/exe";

static void assert_table_of_self(const struct unwind_answer *answer,
				 const struct identity *identity)
{
	struct unwind_table table;

	assert_int_equal(answer->error, 0);
	assert_int_equal(unwind_table_check(answer->table.bytes, answer->table.size, &table), 0);
	assert_true(identity_equal(&answer->identity, identity));
	assert_true(identity_equal(&table.header->identity, identity));
	assert_int_equal(table.header->function_count, 0);
	assert_true(table.header->row_count > 100);
}

static void a_table_is_made_once_and_found_afterwards(void **state)
{
	struct scene *scene = *state;
	struct identity identity = build_id_of(self);
	struct identity inode = { .kind = IDENTITY_INODE, .size = 40, .bytes = { 7 } };
	struct unwind_tables_stats stats;

	assert_int_equal(unwind_tables_ask(scene->tables, 17, &identity, open_file(self)), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct unwind_answer answer = await_answer(scene);

		assert_int_equal(answer.number, 17 + i);
		assert_table_of_self(&answer, i == 2 ? &inode : &identity);
		unwind_answer_cleanup(&answer);
		/* The second after a restart; the third by another identity of the same file. */
		if (i == 0) {
			scene->tables = unwind_tables_close(scene->tables);
			open_tables(scene);
		}
		if (i < 2)
			assert_int_equal(unwind_tables_ask(scene->tables, 18 + i,
							   i ? &inode : &identity, open_file(self)),
					 0);
	}
	unwind_tables_stats(scene->tables, &stats);
	assert_int_equal(stats.made, 0);
	assert_int_equal(stats.found, 2);
	assert_int_equal(stats.cache.table_count, 1);
}

/* The one file in the folder. */
static void find_cached(struct scene *scene, const struct identity *identity, char path[static 256])
{
	char text[IDENTITY_TEXT_SIZE];

	identity_text(identity, text);
	*strchr(text, ':') = '-';
	snprintf(path, 256, "%s/%02x/%s.unwind", scene->folder, identity->bytes[0], text);
	assert_int_equal(access(path, R_OK), 0);
}

static void a_damaged_table_is_made_anew(void **state)
{
	struct scene *scene = *state;
	struct identity identity = build_id_of(self);
	struct unwind_tables_stats stats;
	/* The magic, the version, a row, the last function, and half of it. */
	const off_t places[] = { 0, 16, 128 + 4, -3, 0 };
	char path[256];

	for (unsigned i = 0; i <= sizeof(places) / sizeof(places[0]); i++) {
		struct unwind_answer answer;

		assert_int_equal(unwind_tables_ask(scene->tables, i, &identity, open_file(self)),
				 0);
		answer = await_answer(scene);
		assert_table_of_self(&answer, &identity);
		unwind_tables_stats(scene->tables, &stats);
		assert_int_equal(stats.made, i + 1);
		find_cached(scene, &identity, path);

		autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
		struct stat status;
		uint8_t byte;

		assert_int_equal(fstat(fd, &status), 0);
		/* Packed, and with functions, it is smaller than without. */
		assert_true(status.st_size < (off_t)answer.table.size);
		unwind_answer_cleanup(&answer);
		if (i == sizeof(places) / sizeof(places[0]))
			break;

		off_t at = places[i] < 0 ? status.st_size + places[i] : places[i];

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		if (i == 4)
			assert_int_equal(ftruncate(fd, status.st_size / 2), 0);
	}
	assert_int_equal(stats.found, 0);
}

static void a_file_without_a_table_is_answered_with_the_reason(void **state)
{
	struct scene *scene = *state;
	struct identity right = build_id_of(self);
	struct identity wrong = right;
	struct unwind_answer answer;
	struct unwind_tables_stats stats;

	wrong.bytes[0] ^= 1;
	assert_int_equal(unwind_tables_ask(scene->tables, 1, &wrong, open_file(self)), 0);
	answer = await_answer(scene);
	assert_int_equal(answer.number, 1);
	assert_int_equal(answer.error, -ESTALE);
	assert_int_equal(unwind_tables_ask(scene->tables, 2, &right, open_file("/etc/passwd")), 0);
	answer = await_answer(scene);
	assert_int_equal(answer.number, 2);
	assert_int_equal(answer.error, -ENOEXEC);
	unwind_tables_stats(scene->tables, &stats);
	assert_int_equal(stats.without, 2);
	assert_int_equal(stats.made, 0);
}

static void questions_of_one_who_is_gone_are_forgotten(void **state)
{
	struct scene *scene = *state;
	struct identity identity = build_id_of(self);
	struct unwind_answer answer;
	unsigned asked_count = 0;
	int err = 0;

	/* More than wait at once, while nobody takes an answer. */
	while (!err && asked_count < 1000) {
		err = unwind_tables_ask(scene->tables, asked_count, &identity, open_file(self));
		asked_count += !err;
	}
	assert_int_equal(err, -EAGAIN);
	assert_true(asked_count >= UNWIND_TABLES_WAITING_COUNT_MAX);
	unwind_tables_forget(scene->tables);
	assert_false(unwind_tables_take(scene->tables, &answer));
	assert_int_equal(unwind_tables_ask(scene->tables, 5000, &identity, open_file(self)), 0);
	answer = await_answer(scene);
	assert_int_equal(answer.number, 5000);
	unwind_answer_cleanup(&answer);
}

/* Known by their addresses; not static, so that they stay as they are. */
int some_function(int a);
int some_function(int a)
{
	return a * 3 + (int)getpid();
}

int other_function(int a);
int other_function(int a)
{
	return some_function(a) * 5 + (int)getppid();
}

/* Where this program's code lies in its file. */
static uint64_t offset_of(const void *code)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t address = (uintptr_t)code;
	unsigned long start = 0, end = 0, offset = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 &&
		    address >= start && address < end)
			break;
	fclose(maps);
	assert_true(address < end);
	return offset + (address - start);
}

static void assert_start(struct scene *scene, const struct identity *identity, uint64_t offset,
			 uint64_t start)
{
	uint64_t found = 0;

	assert_true(unwind_tables_function_start(scene->tables, identity, offset, &found));
	assert_int_equal(found, start);
}

static void the_start_of_a_function_is_known(void **state)
{
	struct scene *scene = *state;
	struct identity identity = build_id_of(self);
	struct identity inode = { .kind = IDENTITY_INODE, .size = 40, .bytes = { 7 } };
	uint64_t start = offset_of((const void *)(uintptr_t)some_function);
	uint64_t other = offset_of((const void *)(uintptr_t)other_function);
	uint64_t unused;

	uint64_t generation = unwind_tables_generation(scene->tables);

	assert_false(unwind_tables_function_start(scene->tables, &inode, start, &unused));
	for (unsigned i = 0; i < 2; i++) {
		struct unwind_answer answer;

		/* By its device and inode, and then, the table being there, by its build id. */
		assert_int_equal(unwind_tables_ask(scene->tables, i, i ? &identity : &inode,
						   open_file(self)),
				 0);
		answer = await_answer(scene);
		unwind_answer_cleanup(&answer);
	}
	assert_start(scene, &inode, start, start);
	/* The second time there was one already. */
	assert_int_equal(unwind_tables_generation(scene->tables), generation + 1);
	assert_start(scene, &identity, start + 3, start);
	assert_start(scene, &identity, other + 9, other);
	assert_false(unwind_tables_function_start(scene->tables, &identity, 0, &unused));
	assert_false(unwind_tables_function_start(scene->tables, &identity, UINT64_MAX, &unused));
	/* More files than lists are kept. */
	for (uint8_t i = 0; i < 2 * UNWIND_TABLES_FUNCTIONS_COUNT_MAX; i++) {
		struct identity missing = { .kind = IDENTITY_GNU_BUILD_ID,
					    .size = 20,
					    .bytes = { i, 99 } };

		assert_false(unwind_tables_function_start(scene->tables, &missing, start, &unused));
	}
	assert_start(scene, &identity, start + 3, start);

	/* Who asks for names gets it from here. */
	char folder[96];
	struct symbols *symbols = NULL;
	uint64_t found = 0;

	snprintf(folder, sizeof(folder), "%s/symbols", scene->folder);
	assert_int_equal(symbols_open(folder, "", &symbols), 0);
	assert_false(symbols_function_start(symbols, &identity, start + 1, &found));
	assert_int_equal(symbols_generation(symbols), 0);
	symbols_use_unwind_tables(symbols, scene->tables);
	assert_int_equal(symbols_generation(symbols), generation + 1);
	assert_true(symbols_function_start(symbols, &identity, start + 1, &found));
	assert_int_equal(found, start);
	symbols_close(symbols);
}

/* ---- what was stripped off ----------------------------------------------------------------- */

/* The sources of a file's table, made anew; *ret_rows: how many rows it has. */
static unsigned sources_of(struct scene *scene, const char *path, const struct identity *identity,
			   uint32_t *ret_rows)
{
	static uint64_t number = 100;
	struct unwind_answer answer;
	struct unwind_table table;

	assert_int_equal(unwind_tables_ask(scene->tables, number++, identity, open_file(path)), 0);
	answer = await_answer(scene);
	assert_int_equal(answer.error, 0);
	assert_int_equal(unwind_table_check(answer.table.bytes, answer.table.size, &table), 0);

	unsigned sources = table.header->sources;

	*ret_rows = table.header->row_count;
	unwind_answer_cleanup(&answer);
	return sources;
}

static void make(const char *format, const char *folder)
{
	char command[1024];

	snprintf(command, sizeof(command), "f=%s; %s", folder, format);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void a_debug_file_has_the_frames_that_were_stripped_off(void **state)
{
	struct scene *scene = *state;
	struct identity inode = { .kind = IDENTITY_INODE, .size = 40, .bytes = { 3 } };
	char path[128];
	uint32_t rows, more;

	snprintf(path, sizeof(path), "%s/named", scene->folder);
	make("printf '#include <stdio.h>\\n__attribute__((noinline)) int work(int a) "
	     "{ char b[64]; return a > 1 ? work(a - 1) + snprintf(b, a, \"%%d\", a) : a; }\\n"
	     "int main(int c, char **v) { return (int)!v + work(c); }\\n' >$f/a.c; "
	     "gcc -g -O2 -fno-asynchronous-unwind-tables -fno-unwind-tables "
	     "-Wl,--build-id=none -o $f/named $f/a.c && cd $f && "
	     "objcopy --only-keep-debug named named.debug && "
	     "strip --strip-all named && objcopy --add-gnu-debuglink=named.debug named",
	     scene->folder);
	/* Of another build: what it says would be wrong. */
	make("cp $f/named.debug $f/right && printf x >>$f/named.debug", scene->folder);
	assert_false(sources_of(scene, path, &inode, &rows) & UNWIND_FROM_DEBUG_FRAME);
	make("mv $f/right $f/named.debug", scene->folder);
	inode.bytes[0]++;
	assert_true(sources_of(scene, path, &inode, &more) & UNWIND_FROM_DEBUG_FRAME);
	assert_true(more > rows + 2);

	snprintf(path, sizeof(path), "%s/by-id", scene->folder);
	make("gcc -g -O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -Wl,--build-id=0x"
	     "ab0123456789abcdef0123456789abcdef012345 -o $f/by-id $f/a.c && cd $f && "
	     "mkdir -p .build-id/ab && objcopy --only-keep-debug by-id "
	     ".build-id/ab/0123456789abcdef0123456789abcdef012345.debug && strip --strip-all by-id",
	     scene->folder);

	struct identity identity = build_id_of(path);

	assert_true(sources_of(scene, path, &identity, &more) & UNWIND_FROM_DEBUG_FRAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_table_is_made_once_and_found_afterwards, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_table_is_made_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_without_a_table_is_answered_with_the_reason,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(questions_of_one_who_is_gone_are_forgotten, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_start_of_a_function_is_known, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_debug_file_has_the_frames_that_were_stripped_off,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "symbols/jit_map.h"
#include "symbols/jit_processes.h"
#include "symbols/jit_reader.h"

enum { WAIT_MS = 10000 };

/* ---- a clock that is ahead of the machine's ----------------------------------------------------
 */

static atomic_uint_fast64_t ahead_s;
static atomic_uint look_count; /* how often somebody waited for long, while it is hasty */
static atomic_bool is_hasty;   /* then such a wait takes a moment */

uint64_t __real_clock_monotonic_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);

uint64_t __wrap_clock_monotonic_ns(void)
{
	return __real_clock_monotonic_ns() + atomic_load(&ahead_s) * (uint64_t)CLOCK_NS_PER_S;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until)
{
	struct timespec here = *until;

	here.tv_sec -= (time_t)atomic_load(&ahead_s);
	if (atomic_load(&is_hasty)) {
		here.tv_sec -= JIT_LOOK_S;
		atomic_fetch_add(&look_count, 1);
	}
	return __real_pthread_cond_timedwait(condition, lock, &here);
}

static void has(struct jit_map *map, uint64_t address, uint64_t at_ns, const char *wanted)
{
	struct str name = { "nothing", 7 };

	if (!jit_map_find(map, address, at_ns, &name))
		name = STR("nothing");
	if (!str_equal(name, str_from(wanted)))
		fail_msg("%lx at %lu is %.*s, not %s", (unsigned long)address, (unsigned long)at_ns,
			 STR_PRINT(name), wanted);
}

/* ---- the map ---- */

static void an_address_is_what_lay_there_then(void **state)
{
	autoclean(jit_map) struct jit_map *map = NULL;

	(void)state;
	assert_int_equal(jit_map_new(&map), 0);
	assert_int_equal(jit_map_add(map, 0x1000, 0x100, 10, STR("one")), 0);
	assert_int_equal(jit_map_add(map, 0x2000, 0x100, 10, STR("two")), 0);
	has(map, 0x0fff, 50, "nothing");
	has(map, 0x1000, 50, "one");
	has(map, 0x10ff, 50, "one");
	has(map, 0x1100, 50, "nothing");
	has(map, 0x1000, 9, "nothing");

	/* Over the middle of one, and over two and beyond. */
	assert_int_equal(jit_map_add(map, 0x1080, 0x10, 20, STR("three")), 0);
	assert_int_equal(jit_map_add(map, 0x1f00, 0x400, 30, STR("four")), 0);
	has(map, 0x1080, 19, "one");
	has(map, 0x1080, 20, "three");
	has(map, 0x1090, 20, "one");
	has(map, 0x2000, 29, "two");
	has(map, 0x2000, 30, "four");
	has(map, 0x22ff, 30, "four");
	assert_true(jit_map_changes(map, 19, 20));
	assert_false(jit_map_changes(map, 20, 29));
	assert_true(jit_map_changes(map, 0, 50));

	jit_map_end(map, 40);
	has(map, 0x2000, 39, "four");
	has(map, 0x2000, 40, "nothing");
	assert_int_equal(jit_map_add(map, 0x2000, 1, 40, STR("five")), 0);
	has(map, 0x2000, 41, "five");
	has(map, 0x2001, 41, "nothing");
	assert_int_equal(jit_map_count(map), 5);
}

static void what_is_no_range_is_left_out(void **state)
{
	autoclean(jit_map) struct jit_map *map = NULL;
	char name[JIT_NAME_SIZE_MAX + 10];
	struct str found;

	(void)state;
	assert_int_equal(jit_map_new(&map), 0);
	assert_int_equal(jit_map_add(map, 0x1000, 0, 0, STR("empty")), 0);
	assert_int_equal(jit_map_add(map, UINT64_MAX - 1, 0x10, 0, STR("beyond")), 0);
	assert_int_equal(jit_map_add(map, 0x1000, 0x10, 0, STR("")), 0);
	assert_int_equal(jit_map_count(map), 0);

	memset(name, 'x', sizeof(name));
	assert_int_equal(jit_map_add(map, 0x1000, 0x10, 0, (struct str){ name, sizeof(name) }), 0);
	assert_true(jit_map_find(map, 0x1000, 0, &found));
	assert_int_equal(found.size, JIT_NAME_SIZE_MAX);
}

static void a_map_that_is_full_says_so(void **state)
{
	autoclean(jit_map) struct jit_map *map = NULL;

	(void)state;
	assert_int_equal(jit_map_new(&map), 0);
	for (uint64_t i = 0; i < JIT_MAP_RANGE_COUNT_MAX; i++)
		assert_int_equal(jit_map_add(map, i * 0x10, 0x10, 0, STR("same")), 0);
	assert_int_equal(jit_map_add(map, 0, 0x10, 0, STR("same")), -EFBIG);
	has(map, 0x123450, 0, "same");
}

static void names_tell_where_in_the_source(void **state)
{
	static const struct {
		const char *text, *function, *file;
		uint32_t line;
	} names[] = {
		{ "JS:*work /srv/app.js:10:20", "JS:*work", "/srv/app.js", 10 },
		{ "LazyCompile:~ node:internal/x:1:2", "LazyCompile:~", "node:internal/x", 1 },
		{ "JS:*work /a b/c.js:3:4", "JS:*work", "/a b/c.js", 3 },
		{ "Builtin:Call", "Builtin:Call", "", 0 },
		{ "Ljava/lang/String;::hash", "Ljava/lang/String;::hash", "", 0 },
		{ "JS:*work /srv/app.js:10", "JS:*work", "/srv/app.js", 10 },
		{ "LazyCompile:*work /a b/c.js:3", "LazyCompile:*work", "/a b/c.js", 3 },
		{ "Function:^ node:internal/x:7", "Function:^", "node:internal/x", 7 },
		{ "Eval:~ :7", "Eval:~ :7", "", 0 },
		{ "std::find x:7", "std::find x:7", "", 0 },
		{ "a:b c:7", "a:b c:7", "", 0 },
		{ "py::work:/srv/app.py", "py::work:/srv/app.py", "", 0 },
		{ ":1:2", ":1:2", "", 0 },
		{ "", "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct jit_name name = jit_name_from(str_from(names[i].text));

		assert_true(str_equal(name.function, str_from(names[i].function)));
		assert_true(str_equal(name.file, str_from(names[i].file)));
		assert_int_equal(name.line, names[i].line);
	}
}

/* ---- perf maps ---- */

struct file {
	int fd;
	struct jit_reader reader;
	struct jit_map *map;
};

static void open_file(struct file *file, enum jit_file_kind kind)
{
	*file = (struct file){ .fd = memfd_create("jit", MFD_CLOEXEC) };
	assert_true(file->fd >= 0);
	file->reader = (struct jit_reader){ .fd = file->fd, .kind = kind };
	assert_int_equal(jit_map_new(&file->map), 0);
}

static void close_file(struct file *file)
{
	close(file->fd);
	jit_map_free(file->map);
}

static void append(const struct file *file, const void *bytes, size_t size)
{
	off_t end = lseek(file->fd, 0, SEEK_END);

	assert_int_equal(pwrite(file->fd, bytes, size, end), size);
}

static void append_text(const struct file *file, const char *text)
{
	append(file, text, strlen(text));
}

static void follows_a_perf_map_as_it_grows(void **state)
{
	struct file file;

	(void)state;
	open_file(&file, JIT_FILE_PERF_MAP);
	assert_int_equal(jit_reader_read(&file.reader, file.map, 100, 0), 0);
	append_text(&file, "1000 20 first name\nzz 10 no address\n0x2000 0x10 second\r\n3000 ");
	assert_int_equal(jit_reader_read(&file.reader, file.map, 200, 0), 0);
	/* What is new may be as old as the reading before. */
	has(file.map, 0x1010, 99, "nothing");
	has(file.map, 0x1010, 100, "first name");
	has(file.map, 0x2000, 150, "second");
	has(file.map, 0x3000, 150, "nothing");

	append_text(&file, "8 third\n1010 8 moved here\n");
	assert_int_equal(jit_reader_read(&file.reader, file.map, 300, 0), 0);
	has(file.map, 0x3007, 200, "third");
	has(file.map, 0x1010, 199, "first name");
	has(file.map, 0x1010, 200, "moved here");
	has(file.map, 0x1008, 250, "first name");
	assert_int_equal(jit_map_count(file.map), 4);
	close_file(&file);
}

static void a_perf_map_written_anew_is_read_anew(void **state)
{
	static const char *const texts[] = {
		/* Shorter, and longer than before. */
		"5000 10 fifth\n",
		"6000 10 sixth and its long name\n7000 10 seventh\n8000 10 eighth\n9000 10 ninth\n",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file file;

		open_file(&file, JIT_FILE_PERF_MAP);
		append_text(&file, "1000 10 first\n2000 10 second\n3000 10 third\n");
		assert_int_equal(jit_reader_read(&file.reader, file.map, 100, 0), 0);
		has(file.map, 0x1000, 50, "first");
		assert_int_equal(ftruncate(file.fd, 0), 0);
		append_text(&file, texts[i]);
		assert_int_equal(jit_reader_read(&file.reader, file.map, 200, 0), 0);
		has(file.map, 0x1000, 50, "first");
		has(file.map, 0x1000, 150, "nothing");
		has(file.map, i ? 0x7000 : 0x5000, 150, i ? "seventh" : "fifth");
		close_file(&file);
	}
}

static void reads_a_large_perf_map_in_pieces(void **state)
{
	autoclean(buf) struct buf buf = BUF(64 << 20);
	struct file file;
	unsigned pieces = 1;

	(void)state;
	open_file(&file, JIT_FILE_PERF_MAP);
	for (unsigned i = 0; i < 150000; i++)
		buf_printf(&buf,
			   "%x 40 JS:*function_%u /srv/a/rather/long/path/to/a/file.js:%u:1\n",
			   0x100000 + i * 0x40, i, i);
	assert_true(buf.size > JIT_READ_SIZE_MAX);
	append(&file, buf.bytes, buf.size);
	while (jit_reader_read(&file.reader, file.map, 100, 0) == -EAGAIN)
		pieces++;
	assert_true(pieces > 1);
	assert_int_equal(jit_map_count(file.map), 150000);
	has(file.map, 0x100000 + 149999 * 0x40, 0,
	    "JS:*function_149999 /srv/a/rather/long/path/to/a/file.js:149999:1");
	close_file(&file);
}

/* ---- jitdumps ---- */

static void append_header(const struct file *file, uint64_t flags)
{
	autoclean(buf) struct buf buf = BUF(1024);

	buf_add_u32(&buf, 0x4a695444);
	buf_add_u32(&buf, 1);
	buf_add_u32(&buf, 40);
	buf_add_u32(&buf, 62);
	buf_add_u32(&buf, 0);
	buf_add_u32(&buf, 1234);
	buf_add_u64(&buf, 1);
	buf_add_u64(&buf, flags);
	append(file, buf.bytes, buf.size);
}

static void make_load(struct buf *buf, uint64_t at_ns, uint64_t address, uint64_t size,
		      const char *name)
{
	buf_add_u32(buf, 0);
	buf_add_u32(buf, (uint32_t)(16 + 40 + strlen(name) + 1 + size));
	buf_add_u64(buf, at_ns);
	buf_add_u32(buf, 1234);
	buf_add_u32(buf, 1234);
	buf_add_u64(buf, address);
	buf_add_u64(buf, address);
	buf_add_u64(buf, size);
	buf_add_u64(buf, 1);
	buf_add(buf, name, strlen(name) + 1);
	for (uint64_t i = 0; i < size; i++)
		buf_add_u8(buf, 0x90);
}

static void append_load(const struct file *file, uint64_t at_ns, uint64_t address, uint64_t size,
			const char *name)
{
	autoclean(buf) struct buf buf = BUF(1 << 20);

	make_load(&buf, at_ns, address, size, name);
	append(file, buf.bytes, buf.size);
}

static void append_move(const struct file *file, uint64_t at_ns, uint64_t from, uint64_t to,
			uint64_t size)
{
	autoclean(buf) struct buf buf = BUF(1024);

	buf_add_u32(&buf, 1);
	buf_add_u32(&buf, 16 + 48);
	buf_add_u64(&buf, at_ns);
	buf_add_u32(&buf, 1234);
	buf_add_u32(&buf, 1234);
	buf_add_u64(&buf, to);
	buf_add_u64(&buf, from);
	buf_add_u64(&buf, to);
	buf_add_u64(&buf, size);
	buf_add_u64(&buf, 1);
	append(file, buf.bytes, buf.size);
}

static void a_jitdump_tells_when_code_was_where(void **state)
{
	static const uint8_t other[] = { 2, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0,
					 0, 0, 0, 0, 1,	 2, 3, 4, 5, 6, 7, 8 };
	struct file file;

	(void)state;
	open_file(&file, JIT_FILE_JITDUMP);
	/* Nothing at first. */
	assert_int_equal(jit_reader_read(&file.reader, file.map, 1000, 5), 0);
	append_header(&file, 0);
	append_load(&file, 100, 0x1000, 0x40, "first");
	append(&file, other, sizeof(other));
	append_load(&file, 200, 0x1000, 0x40, "second");
	append_move(&file, 300, 0x1000, 0x9000, 0x40);
	append_load(&file, 400, 0x1000, 0x4000, "third, larger");
	assert_int_equal(jit_reader_read(&file.reader, file.map, 2000, 5), 0);
	has(file.map, 0x1000, 104, "nothing");
	has(file.map, 0x1000, 105, "first");
	has(file.map, 0x103f, 204, "first");
	has(file.map, 0x1000, 205, "second");
	has(file.map, 0x9000, 304, "nothing");
	has(file.map, 0x9000, 305, "second");
	has(file.map, 0x1000, 405, "third, larger");
	has(file.map, 0x4fff, 405, "third, larger");
	close_file(&file);
}

static void a_record_that_is_not_whole_is_waited_for(void **state)
{
	autoclean(buf) struct buf buf = BUF(1 << 20);
	struct file file;

	(void)state;
	open_file(&file, JIT_FILE_JITDUMP);
	append_header(&file, 0);
	make_load(&buf, 100, 0x1000, 0x40, "first");
	for (size_t i = 0; i < buf.size; i++) {
		assert_int_equal(jit_reader_read(&file.reader, file.map, 1000, 0), 0);
		assert_int_equal(jit_map_count(file.map), 0);
		append(&file, buf.bytes + i, 1);
	}
	assert_int_equal(jit_reader_read(&file.reader, file.map, 1000, 0), 0);
	has(file.map, 0x1000, 100, "first");
	close_file(&file);
}

static void a_clock_that_is_not_ours_counts_by_readings(void **state)
{
	struct file file;

	(void)state;
	open_file(&file, JIT_FILE_JITDUMP);
	append_header(&file, 1);
	append_load(&file, UINT64_C(1) << 60, 0x1000, 0x40, "first");
	assert_int_equal(jit_reader_read(&file.reader, file.map, 1000, 0), 0);
	has(file.map, 0x1000, 1, "first");
	append_load(&file, 3, 0x1000, 0x40, "second");
	assert_int_equal(jit_reader_read(&file.reader, file.map, 2000, 0), 0);
	has(file.map, 0x1000, 999, "first");
	has(file.map, 0x1000, 1000, "second");
	close_file(&file);
}

static void what_is_no_jitdump_is_refused(void **state)
{
	static const uint8_t endless[16] = { 0 };
	struct file file;

	(void)state;
	open_file(&file, JIT_FILE_JITDUMP);
	append_text(&file, "1000 10 first, as a perf map of more than forty bytes has it\n");
	assert_int_equal(jit_reader_read(&file.reader, file.map, 1000, 0), -EBADMSG);
	close_file(&file);

	/* A record of no bytes would be read for ever. */
	open_file(&file, JIT_FILE_JITDUMP);
	append_header(&file, 0);
	append_load(&file, 100, 0x1000, 0x40, "first");
	append(&file, endless, sizeof(endless));
	assert_int_equal(jit_reader_read(&file.reader, file.map, 1000, 0), -EBADMSG);
	has(file.map, 0x1000, 100, "first");
	close_file(&file);
}

/* Node writes it in pieces of 2 MB, the last at its end. */
static void reads_what_node_writes(void **state)
{
	static const char script[] = "cd %s && printf 'function leafwork(n) { let s = 0; for (let "
				     "i = 0; i < n; i++) s += "
				     "i %%%% 7; return s }\\nfor (let i = 0; i < 1000; i++) "
				     "leafwork(20000);' > work.js && "
				     "node --perf-prof work.js && mv jit-*.dump dump";
	char folder[] = "/tmp/hearth-jit-XXXXXX";
	char command[1024];

	(void)state;
	if (system("command -v node >/dev/null") != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(command, sizeof(command), script, folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s/dump", folder);

	autoclean(jit_map) struct jit_map *map = NULL;
	autoclose int fd = open(command, O_RDONLY | O_CLOEXEC);
	struct jit_reader reader = { .fd = fd, .kind = JIT_FILE_JITDUMP };

	assert_true(fd >= 0);
	assert_int_equal(jit_map_new(&map), 0);
	assert_int_equal(jit_reader_read(&reader, map, 1, 0), 0);
	assert_int_equal(reader.offset, lseek(fd, 0, SEEK_END));
	print_message("# node named %zu ranges\n", jit_map_count(map));
	assert_true(jit_map_count(map) > 100);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

/* ---- processes ---- */

static void finds(struct jit_processes *jit, const struct process_key *key, uint64_t address,
		  const char *wanted)
{
	char text[JIT_NAME_SIZE_MAX];
	size_t size = 0;
	bool found = jit_processes_find(jit, key, address, UINT64_MAX, text, &size);

	assert_int_equal(found, wanted != NULL);
	if (wanted)
		assert_true(str_equal((struct str){ text, size }, str_from(wanted)));
}

static void names_belong_to_a_process(void **state)
{
	autoclean(jit_processes) struct jit_processes *jit = NULL;
	const struct process_key keys[] = { { 10, 1, 100 }, { 10, 2, 100 }, { 11, 1, 100 } };
	struct jit_processes_stats stats;
	struct file file;

	(void)state;
	assert_int_equal(jit_processes_new(&jit), 0);
	open_file(&file, JIT_FILE_PERF_MAP);
	append_text(&file, "1000 10 first\n");
	for (size_t i = 0; i < 3; i++) {
		assert_true(jit_processes_want(jit, &keys[i]));
		assert_false(jit_processes_want(jit, &keys[i]));
	}
	jit_processes_bring(jit, &keys[0], JIT_FILE_PERF_MAP, dup(file.fd));
	jit_processes_bring(jit, &keys[1], JIT_FILE_NONE, -1);
	jit_processes_bring(jit, &keys[2], (enum jit_file_kind)77, dup(file.fd));
	jit_processes_refresh(jit, keys, 3, WAIT_MS);
	finds(jit, &keys[0], 0x1000, "first");
	finds(jit, &keys[0], 0x1010, NULL);
	finds(jit, &keys[1], 0x1000, NULL);
	finds(jit, &keys[2], 0x1000, NULL);

	append_text(&file, "1010 10 second\n");
	jit_processes_refresh(jit, keys, 1, WAIT_MS);
	finds(jit, &keys[0], 0x1010, "second");
	jit_processes_stats(jit, &stats);
	assert_int_equal(stats.processes, 1);
	assert_int_equal(stats.ranges, 2);
	assert_int_equal(stats.refused, 0);
	close_file(&file);
}

static void a_file_that_is_no_good_is_counted_once(void **state)
{
	autoclean(jit_processes) struct jit_processes *jit = NULL;
	const struct process_key key = { 10, 1, 100 };
	struct jit_processes_stats stats;
	struct file file;
	int ends[2];

	(void)state;
	assert_int_equal(jit_processes_new(&jit), 0);
	open_file(&file, JIT_FILE_JITDUMP);
	append_text(&file, "1000 10 first, as a perf map of more than forty bytes has it\n");
	jit_processes_bring(jit, &key, JIT_FILE_JITDUMP, dup(file.fd));
	for (int i = 0; i < 3; i++)
		jit_processes_refresh(jit, &key, 1, WAIT_MS);
	jit_processes_stats(jit, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.processes, 0);

	/* A pipe would never end. */
	const struct process_key other = { 11, 1, 100 };

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	jit_processes_bring(jit, &other, JIT_FILE_PERF_MAP, ends[0]);
	jit_processes_refresh(jit, &other, 1, WAIT_MS);
	jit_processes_stats(jit, &stats);
	assert_int_equal(stats.refused, 2);
	close(ends[1]);
	close_file(&file);
}

static void more_processes_than_there_is_room_for_push_out_the_oldest(void **state)
{
	autoclean(jit_processes) struct jit_processes *jit = NULL;
	struct jit_processes_stats stats;
	struct file file;
	struct process_key key = { 0, 1, 100 };

	(void)state;
	assert_int_equal(jit_processes_new(&jit), 0);
	open_file(&file, JIT_FILE_PERF_MAP);
	append_text(&file, "1000 10 first\n");
	for (key.pid = 1; key.pid <= JIT_PROCESS_COUNT_MAX + 1; key.pid++) {
		jit_processes_bring(jit, &key, JIT_FILE_PERF_MAP, dup(file.fd));
		jit_processes_refresh(jit, &key, 1, WAIT_MS);
	}
	jit_processes_stats(jit, &stats);
	assert_int_equal(stats.processes, JIT_PROCESS_COUNT_MAX);
	assert_int_equal(stats.evicted, 1);
	key.pid = 1;
	finds(jit, &key, 0x1000, NULL);
	key.pid = 2;
	finds(jit, &key, 0x1000, "first");
	close_file(&file);
}

/* Until all that it does when it looks was done with the clock as it is. */
static uint64_t followed_after_a_look(struct jit_processes *jit)
{
	const struct timespec moment = { .tv_nsec = CLOCK_NS_PER_MS };
	unsigned enough = atomic_load(&look_count) + 3;
	uint64_t end_ns = __real_clock_monotonic_ns() + (uint64_t)WAIT_MS * CLOCK_NS_PER_MS;
	struct jit_processes_stats stats;

	while (atomic_load(&look_count) < enough && __real_clock_monotonic_ns() < end_ns)
		(void)nanosleep(&moment, NULL);
	assert_true(atomic_load(&look_count) >= enough);
	jit_processes_stats(jit, &stats);
	return stats.processes;
}

static void one_that_ended_is_forgotten_though_nobody_asks(void **state)
{
	const struct process_key keys[] = { { 10, 1, 100 }, { 11, 1, 100 } };
	struct jit_processes *jit = NULL;
	struct file file;
	int fds[2];

	(void)state;
	atomic_store(&is_hasty, true);
	assert_int_equal(jit_processes_new(&jit), 0);
	open_file(&file, JIT_FILE_PERF_MAP);
	append_text(&file, "1000 10 first\n");
	for (size_t i = 0; i < 2; i++) {
		fds[i] = dup(file.fd);
		assert_true(fds[i] >= 0);
		jit_processes_bring(jit, &keys[i], JIT_FILE_PERF_MAP, fds[i]);
		atomic_fetch_add(&ahead_s, JIT_IDLE_S / 3);
	}
	assert_int_equal(followed_after_a_look(jit), 2);
	assert_true(fcntl(fds[0], F_GETFD) >= 0);

	/* The first one's time is over, the second's not. */
	atomic_fetch_add(&ahead_s, JIT_IDLE_S / 2);
	assert_int_equal(followed_after_a_look(jit), 1);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_true(fcntl(fds[1], F_GETFD) >= 0);
	atomic_fetch_add(&ahead_s, JIT_IDLE_S);
	assert_int_equal(followed_after_a_look(jit), 0);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	close_file(&file);
	jit_processes_free(jit);
	atomic_store(&is_hasty, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_what_lay_there_then),
		cmocka_unit_test(what_is_no_range_is_left_out),
		cmocka_unit_test(a_map_that_is_full_says_so),
		cmocka_unit_test(names_tell_where_in_the_source),
		cmocka_unit_test(follows_a_perf_map_as_it_grows),
		cmocka_unit_test(a_perf_map_written_anew_is_read_anew),
		cmocka_unit_test(reads_a_large_perf_map_in_pieces),
		cmocka_unit_test(a_jitdump_tells_when_code_was_where),
		cmocka_unit_test(a_record_that_is_not_whole_is_waited_for),
		cmocka_unit_test(a_clock_that_is_not_ours_counts_by_readings),
		cmocka_unit_test(what_is_no_jitdump_is_refused),
		cmocka_unit_test(reads_what_node_writes),
		cmocka_unit_test(names_belong_to_a_process),
		cmocka_unit_test(a_file_that_is_no_good_is_counted_once),
		cmocka_unit_test(more_processes_than_there_is_room_for_push_out_the_oldest),
		cmocka_unit_test(one_that_ended_is_forgotten_though_nobody_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of the kernel as host code: this program's own stacks, in shapes that it knows, are
 * walked by tables made of the files that it maps, and must be what the C++ runtime's unwinder
 * (backtrace()) says, frame by frame up to the start of the process or thread.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/unwind_table.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_maker.h"

#define PLAIN __attribute__((noinline, noclone, optimize("O2", "omit-frame-pointer")))

enum { MAPPING_COUNT_MAX_HERE = 64, FRAME_MAX = 512, ALTERNATE_SIZE = 256 << 10 };

struct mapping {
	uint64_t start, end, offset;
	char path[256];
	struct buf table; /* of no size: none */
};

struct walk {
	uint64_t pcs[FRAME_MAX];
	int count;
	int outcome;
};

/* What was seen at the innermost place. */
struct capture {
	struct walk ours;
	void *theirs[FRAME_MAX];
	int their_count;
	bool done;
};

static struct mapping mappings[MAPPING_COUNT_MAX_HERE];
static unsigned mapping_count;
static struct capture capture;

/* ---- tables of what is mapped ---- */

static void make_table(struct mapping *mapping)
{
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = open(mapping->path, O_RDONLY | O_CLOEXEC);
	struct identity identity = { .kind = IDENTITY_INODE, .size = 1 };

	mapping->table = BUF(32 << 20);
	if (fd < 0 || elf_file_open(fd, &elf))
		return;
	assert_int_equal(unwind_maker_make(elf, NULL, &identity, &mapping->table), 0);
}

static int read_mappings(void **state)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		struct mapping *mapping = &mappings[mapping_count];
		unsigned long start, end, offset;
		char rights[8];

		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %255s", &start, &end, rights, &offset,
			   mapping->path) != 5 ||
		    rights[2] != 'x' || mapping->path[0] != '/')
			continue;
		assert_true(mapping_count < MAPPING_COUNT_MAX_HERE);
		mapping->start = start;
		mapping->end = end;
		mapping->offset = offset;
		make_table(mapping);
		mapping_count++;
	}
	return fclose(maps);
}

static int forget_mappings(void **state)
{
	(void)state;
	for (unsigned i = 0; i < mapping_count; i++)
		buf_done(&mappings[i].table);
	return 0;
}

/* ---- the walk ---- */

static uint64_t rule_at(uint64_t pc)
{
	for (unsigned i = 0; i < mapping_count; i++) {
		const struct mapping *mapping = &mappings[i];
		struct unwind_table table;

		if (pc < mapping->start || pc >= mapping->end || mapping->table.size == 0)
			continue;
		assert_int_equal(
			unwind_table_check(mapping->table.bytes, mapping->table.size, &table), 0);
		return unwind_table_find(&table, mapping->offset + (pc - mapping->start));
	}
	return 0;
}

/* Between variables, too, where a sanitizer sees nothing that may be read. */
__attribute__((no_sanitize("address"))) static int read_word(void *context, __u64 address,
							     __u64 *ret)
{
	(void)context;
	*ret = *(const volatile uint64_t *)(uintptr_t)address;
	return 0;
}

static void walk_from(const ucontext_t *start, struct walk *walk)
{
	struct unwind_frame frame = {
		.pc = (uint64_t)start->uc_mcontext.gregs[REG_RIP],
		.sp = (uint64_t)start->uc_mcontext.gregs[REG_RSP],
		.fp = (uint64_t)start->uc_mcontext.gregs[REG_RBP],
		/* getcontext() gives the registers as they are when it has returned. */
		.is_return = 1,
	};

	walk->count = 0;
	do {
		assert_true(walk->count < FRAME_MAX);
		walk->pcs[walk->count++] = frame.pc;
		walk->outcome = unwind_step(&frame, rule_at(frame.pc - frame.is_return), NULL,
					    read_word, NULL);
	} while (walk->outcome == UNWIND_NEXT);
}

enum { LOOK_SIZE_MAX = 4096 };

/* Address sanitizer's own backtrace() tells of itself first. */
static void forget_wrapper(uint64_t look)
{
	uint64_t first = (uintptr_t)capture.theirs[0];

	if (first >= look && first - look < LOOK_SIZE_MAX)
		return;
	capture.their_count--;
	memmove(capture.theirs, capture.theirs + 1,
		(size_t)capture.their_count * sizeof(capture.theirs[0]));
}

PLAIN static void look(void)
{
	ucontext_t here;

	assert_int_equal(getcontext(&here), 0);
	capture.their_count = backtrace(capture.theirs, FRAME_MAX);
	forget_wrapper((uintptr_t)look);
	walk_from(&here, &capture.ours);
	capture.done = true;
}

/* The first frame of each is this file's look(), at other instructions. */
static void assert_same(int count_min)
{
	assert_true(capture.done);
	capture.done = false;
	assert_int_equal(capture.ours.outcome, UNWIND_END);
	assert_int_equal(capture.ours.count, capture.their_count);
	assert_true(capture.ours.count >= count_min);
	for (int i = 1; i < capture.ours.count; i++)
		assert_int_equal(capture.ours.pcs[i], (uint64_t)(uintptr_t)capture.theirs[i]);
}

/* ---- stacks ---- */

static volatile int sink;

PLAIN static int descend(int depth)
{
	int result = depth > 0 ? descend(depth - 1) : (look(), 0);

	return result + sink;
}

static void recursion_without_frame_pointers(void **state)
{
	(void)state;
	for (int depth = 0; depth <= 300; depth = depth * 2 + 1) {
		descend(depth);
		assert_same(depth + 3);
	}
}

PLAIN static int compare(const void *left, const void *right)
{
	if (!capture.done)
		look();
	return *(const int *)left - *(const int *)right;
}

static void through_the_c_library_and_back(void **state)
{
	int numbers[] = { 3, 1, 2, 5, 4 };

	(void)state;
	qsort(numbers, sizeof(numbers) / sizeof(numbers[0]), sizeof(numbers[0]), compare);
	assert_same(5);
}

PLAIN static void take(char *bytes, size_t size)
{
	memset(bytes, sink, size);
	look();
	sink = bytes[size / 2];
}

PLAIN static void make_room(size_t size)
{
	char *bytes = __builtin_alloca(size);

	take(bytes, size);
	sink = bytes[0];
}

PLAIN static void make_much_room(void)
{
	char bytes[100 << 10];

	take(bytes, sizeof(bytes));
	sink = bytes[1];
}

static void frames_of_any_size(void **state)
{
	(void)state;
	for (size_t size = 1; size < 100000; size = size * 7 + 3) {
		make_room(size);
		assert_same(5);
	}
	make_much_room();
	assert_same(5);
}

static void *start_thread(void *argument)
{
	(void)argument;
	descend(5);
	return NULL;
}

static void up_to_the_start_of_a_thread(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, start_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_same(8);
}

static void handle(int number)
{
	(void)number;
	descend(3);
}

static void through_signal_handlers(void **state)
{
	static char alternate[ALTERNATE_SIZE];
	const stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct sigaction action = { .sa_handler = handle };

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_same(10);

	/* On a stack of its own, which lies below this one. */
	assert_int_equal(sigaltstack(&stack, NULL), 0);
	action.sa_flags = SA_ONSTACK;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_same(10);
	assert_int_equal(sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL), 0);
	assert_int_equal(signal(SIGUSR1, SIG_DFL) == SIG_ERR, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recursion_without_frame_pointers),
		cmocka_unit_test(through_the_c_library_and_back),
		cmocka_unit_test(frames_of_any_size),
		cmocka_unit_test(up_to_the_start_of_a_thread),
		cmocka_unit_test(through_signal_handlers),
	};
	void *unused[1];

	/* It loads libgcc when it is called first. */
	(void)backtrace(unused, 1);
	return cmocka_run_group_tests(tests, read_mappings, forget_mappings);
}

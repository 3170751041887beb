/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "symbols/cell.h"
#include "symbols/cell_lock.h"
#include "tests/support/descriptors.h"

/* What a cell of these tests is told to do: the first byte of its task. */
enum order {
	ORDER_ECHO = 'e',   /* the first file's first bytes become the answer, and go to the second
			     */
	ORDER_ASK = 'a',    /* opens what the rest of the task names, and answers with its bytes */
	ORDER_ESCAPE = 'x', /* tries everything, and answers with what went through */
	ORDER_LOOK = 'o',   /* the same, of what is on the disk */
	ORDER_EAT = 'm',    /* takes memory until there is none */
	ORDER_CRASH = 'c',
	ORDER_ABORT = 'b',
	ORDER_SPIN = 's',
	ORDER_SLEEP = 'z',
	ORDER_WRITE = 'w', /* more than a file may have */
};

static int echo(struct cell *cell)
{
	char bytes[16];
	ssize_t size = pread(cell->fds[0], bytes, sizeof(bytes), 0);

	if (size < 0 || pwrite(cell->fds[2], bytes, (size_t)size, 0) != size)
		return -errno;
	memcpy(cell->answer, bytes, (size_t)size);
	cell->answer_size = (size_t)size;
	return cell->fds[1] < 0 && cell->fds[3] < 0 ? 0 : -EINVAL;
}

static int ask(struct cell *cell)
{
	autoclose int fd = -1;
	int err = cell_ask(cell, (const char *)cell->task + 1, cell->task_size - 1, &fd);

	if (err)
		return err;
	cell->answer_size = (size_t)read(fd, cell->answer, 64);
	return 0;
}

static void tell(struct cell *cell, const char *what, bool went_through)
{
	size_t size = strlen(what);

	if (!went_through)
		return;
	memcpy((char *)cell->answer + cell->answer_size, what, size);
	cell->answer_size += size;
}

/* Whether there is anything on the disk. */
static int look_around(struct cell *cell)
{
	char buffer[8];

	tell(cell, "open", open("/etc/passwd", O_RDONLY) >= 0);
	tell(cell, "create", open("/tmp/test_cell.escaped", O_WRONLY | O_CREAT, 0600) >= 0);
	tell(cell, "stat", access("/etc/passwd", F_OK) == 0);
	tell(cell, "readlink", readlink("/proc/self/exe", buffer, sizeof(buffer)) >= 0);
	tell(cell, "exec", execl("/bin/true", "true", NULL) == 0);
	return 0;
}

static int escape(struct cell *cell)
{
	(void)look_around(cell);
	tell(cell, "socket", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	tell(cell, "internet", socket(AF_INET, SOCK_STREAM, 0) >= 0);
	tell(cell, "fork", syscall(SYS_fork) >= 0);
	tell(cell, "kill", kill(getppid(), 0) == 0);
	tell(cell, "code",
	     mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		     MAP_FAILED);
	tell(cell, "limit", setpriority(PRIO_PROCESS, 0, 0) == 0);
	for (int fd = 3; fd < 100; fd++)
		if (fd != cell->door && fd != cell->fds[0] && fcntl(fd, F_GETFD) >= 0)
			tell(cell, "descriptor", true);
	return 0;
}

static int eat(void)
{
	for (;;) {
		char *memory = malloc(1 << 20);

		if (!memory)
			return -ENOMEM;
		memset(memory, 1, 1 << 20);
	}
}

static int obey(struct cell *cell)
{
	static char much[1 << 20];
	volatile int *nowhere = (volatile int *)cell->context;

	switch (*(const char *)cell->task) {
	case ORDER_ECHO:
		return echo(cell);
	case ORDER_ASK:
		return ask(cell);
	case ORDER_ESCAPE:
		return escape(cell);
	case ORDER_LOOK:
		return look_around(cell);
	case ORDER_EAT:
		return eat();
	case ORDER_CRASH:
		*nowhere = 1;
		return 0;
	case ORDER_ABORT:
		abort();
	case ORDER_SPIN:
		for (;;)
			(*(volatile char *)much)++;
	case ORDER_SLEEP:
		/* It has no other way to wait than for an answer that nobody will send. */
		return (int)read(cell->door, much, 1);
	case ORDER_WRITE:
		for (;;)
			if (write(cell->fds[0], much, sizeof(much)) < 0)
				return -errno;
	default:
		return -EINVAL;
	}
}

static int open_asked(void *context, const void *question, size_t size, int *ret_fd)
{
	char path[64] = "";

	(*(int *)context)++;
	memcpy(path, question, size < sizeof(path) ? size : sizeof(path) - 1);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static struct cells *start(unsigned cpu_seconds, unsigned seconds)
{
	struct cells *cells = NULL;
	struct cell_limits limits = { .memory = 64 << 20,
				      .output = 4 << 20,
				      .cpu_seconds = cpu_seconds,
				      .seconds = seconds };

	assert_int_equal(cells_start(obey, NULL, &limits, &cells), 0);
	return cells;
}

static int file_with(const char *text)
{
	int fd = memfd_create("test_cell", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

/* The run must end, whatever becomes of the cell. */
static void run(struct cells *cells, struct cell_run *run, const char *task)
{
	run->task = task;
	run->task_size = strlen(task);
	assert_int_equal(cells_run(cells, run), 0);
}

#define NO_FILES .fds = { -1, -1, -1, -1 }

/* Whether a user's namespace can be had here. */
static bool can_hide(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) ? EXIT_FAILURE : EXIT_SUCCESS);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void works_with_what_it_is_given(void **state)
{
	autoclean(cells) struct cells *cells = start(10, 30);
	autoclose int from = file_with("some bytes");
	autoclose int to = file_with("");
	unsigned open_before = open_descriptors();

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct cell_run echoed = { .fds = { from, -1, to, -1 } };
		char bytes[16] = "";

		run(cells, &echoed, "e");
		assert_int_equal(echoed.fate, CELL_ENDED);
		assert_int_equal(echoed.error, 0);
		assert_int_equal(echoed.answer_size, 10);
		assert_memory_equal(echoed.answer, "some bytes", 10);
		assert_int_equal(pread(to, bytes, sizeof(bytes), 0), 10);
		assert_true(echoed.peak > 100 << 10);
	}
	assert_int_equal(open_descriptors(), open_before);
}

static void asks_for_more(void **state)
{
	autoclean(cells) struct cells *cells = start(10, 30);
	int asked = 0;
	struct cell_run good = { NO_FILES, .open = open_asked, .context = &asked };
	struct cell_run bad = { NO_FILES, .open = open_asked, .context = &asked };
	struct cell_run nobody = { NO_FILES };
	unsigned open_before = open_descriptors();

	(void)state;
	run(cells, &good, "a/proc/self/status");
	assert_int_equal(good.error, 0);
	assert_memory_equal(good.answer, "Name:", 5);
	run(cells, &bad, "a/nonexistent");
	assert_int_equal(bad.error, -ENOENT);
	run(cells, &nobody, "a/proc/self/status");
	assert_int_equal(nobody.error, -ENOENT);
	assert_int_equal(asked, 2);
	assert_int_equal(open_descriptors(), open_before);
}

static void has_no_way_out(void **state)
{
	autoclose int outside = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	autoclean(cells) struct cells *cells = start(10, 30);
	autoclose int from = file_with("x");
	struct cell_run tried = { .fds = { from, -1, -1, -1 } };

	(void)state;
	assert_true(outside >= 0);
	run(cells, &tried, "x");
	assert_int_equal(tried.fate, CELL_ENDED);
	assert_int_equal(tried.error, 0);
	assert_false(tried.is_unfiltered);
	tried.answer[tried.answer_size] = '\0';
	assert_string_equal((char *)tried.answer, "");
	assert_int_equal(access("/tmp/test_cell.escaped", F_OK), -1);
}

/* What a kernel without filters says, or a container that forbids them. */
static int forbid_filters(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err = filter ? 0 : -ENOMEM;

	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
				       SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

/* Runs where filters are forbidden: what went wrong, or NULL. */
static const char *try_without_filters(void)
{
	autoclean(cells) struct cells *cells = NULL;
	struct cell_limits limits = {
		.memory = 64 << 20, .output = 4 << 20, .cpu_seconds = 10, .seconds = 30
	};
	struct cell_run tried = { .task = "o", .task_size = 1, NO_FILES };
	struct cell_run asking = { .task = "a/proc/sys/kernel/ostype", .task_size = 24, NO_FILES };
	int asked = 0;

	if (forbid_filters() || cell_lock_probe() == 0)
		return "filters can be had";
	if (cells_start(obey, NULL, &limits, &cells))
		return "no cell";
	/* It works all the same. */
	asking.open = open_asked;
	asking.context = &asked;
	if (cells_run(cells, &asking) || asking.error || asking.answer_size != 6 ||
	    memcmp(asking.answer, "Linux\n", 6) != 0)
		return "it can't do its work";
	if (asking.fate != CELL_ENDED || !asking.is_unfiltered)
		return "it was not told that there is no filter";
	/* In a changed root nobody gets a namespace: nothing would keep it from becoming /bin/true.
	 */
	if (!can_hide())
		return NULL;
	if (cells_run(cells, &tried) || tried.fate != CELL_ENDED || tried.error)
		return "it ended when it looked around";
	if (tried.answer_size > 0)
		return "it got at files";
	return NULL;
}

static void does_without_filters_where_there_are_none(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		const char *problem = try_without_filters();

		if (problem)
			print_message("%s\n", problem);
		_exit(problem ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
	assert_int_equal(cell_lock_probe(), 0);
}

static void memory_ends_for_it_alone(void **state)
{
	autoclean(cells) struct cells *cells = start(10, 30);
	struct cell_run ate = { NO_FILES };

	(void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	run(cells, &ate, "m");
	assert_int_equal(ate.fate, CELL_ENDED);
	assert_int_equal(ate.error, -ENOMEM);
	assert_in_range(ate.peak, 16 << 20, 96 << 20);
#else
	(void)ate;
#endif
}

static void a_file_may_not_grow_without_end(void **state)
{
	autoclean(cells) struct cells *cells = start(10, 30);
	autoclose int to = file_with("");
	struct cell_run wrote = { .fds = { to, -1, -1, -1 } };

	(void)state;
	run(cells, &wrote, "w");
	assert_int_equal(wrote.fate, CELL_DIED);
	assert_int_equal(wrote.error, SIGXFSZ);
	assert_int_equal(lseek(to, 0, SEEK_END), 4 << 20);
}

static void dies_alone(void **state)
{
	autoclean(cells) struct cells *cells = start(10, 30);
	autoclose int from = file_with("y");
	autoclose int to = file_with("");

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct cell_run crashed = { NO_FILES };
		struct cell_run aborted = { NO_FILES };
		struct cell_run after = { .fds = { from, -1, to, -1 } };

		run(cells, &crashed, "c");
		run(cells, &aborted, "b");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		assert_int_equal(crashed.fate, CELL_DIED);
		assert_int_equal(crashed.error, SIGSEGV);
		assert_int_equal(aborted.fate, CELL_DIED);
		assert_int_equal(aborted.error, SIGABRT);
#endif
		run(cells, &after, "e");
		assert_int_equal(after.fate, CELL_ENDED);
		assert_int_equal(after.error, 0);
	}
}

static void its_time_ends(void **state)
{
	autoclean(cells) struct cells *cells = start(1, 2);
	struct cell_run spun = { NO_FILES };
	struct cell_run slept = { NO_FILES };
	struct cell_run after = { NO_FILES };

	(void)state;
	run(cells, &spun, "s");
	assert_int_equal(spun.fate, CELL_OVERRAN);
	run(cells, &slept, "z");
	assert_int_equal(slept.fate, CELL_OVERRAN);
	run(cells, &after, "?");
	assert_int_equal(after.fate, CELL_ENDED);
	assert_int_equal(after.error, -EINVAL);
}

static pid_t child_of_ours(void)
{
	char text[32] = "";
	autoclose int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	struct str rest = { text, 0 };
	struct str first;
	uint64_t pid = 0;

	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	rest.size = strlen(text);
	assert_true(parse_next(&rest, ' ', &first));
	assert_int_equal(parse_u64(first, &pid), 0);
	return (pid_t)pid;
}

static void another_warden_comes_when_one_is_gone(void **state)
{
	autoclean(cells) struct cells *cells = start(10, 30);
	struct cell_run lost = { NO_FILES, .task = "?", .task_size = 1 };
	struct cell_run after = { NO_FILES };
	pid_t warden = child_of_ours();

	(void)state;
	assert_int_equal(kill(warden, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)warden, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_true(cells_run(cells, &lost) < 0);
	run(cells, &after, "?");
	assert_int_equal(after.error, -EINVAL);
	assert_int_not_equal(child_of_ours(), warden);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(works_with_what_it_is_given),
		cmocka_unit_test(asks_for_more),
		cmocka_unit_test(has_no_way_out),
		cmocka_unit_test(does_without_filters_where_there_are_none),
		cmocka_unit_test(memory_ends_for_it_alone),
		cmocka_unit_test(a_file_may_not_grow_without_end),
		cmocka_unit_test(dies_alone),
		cmocka_unit_test(its_time_ends),
		cmocka_unit_test(another_warden_comes_when_one_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

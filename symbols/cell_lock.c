/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/cell_lock.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	/* As the threads that wait for its answer, symbols.c and unwind_tables.c. */
	CELL_NICE = 5,
	/* What a cell has, what comes by its door, and a file in memory that it makes. */
	UNFILTERED_FD_COUNT_MAX = 16,
};

int cell_lock_warden(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return syscall(SYS_capset, &header, none) ? -errno : 0;
}

static int limit(int resource, uint64_t value)
{
	struct rlimit limits;

	/* A lower one of the host's holds as well. */
	if (getrlimit((__rlimit_resource_t)resource, &limits))
		return -errno;
	if (limits.rlim_cur == RLIM_INFINITY || limits.rlim_cur > value)
		limits.rlim_cur = value;
	/* Time: at the first a signal that tells what happened, a second later one that kills. */
	value += resource == RLIMIT_CPU;
	if (limits.rlim_max == RLIM_INFINITY || limits.rlim_max > value)
		limits.rlim_max = value;
	return setrlimit((__rlimit_resource_t)resource, &limits) ? -errno : 0;
}

static int set_limits(const struct cell_limits *limits)
{
	int err = limit(RLIMIT_CORE, 0);

	/* The shadows of sanitizers are larger than any limit. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (!err)
		err = limit(RLIMIT_DATA, limits->memory);
#endif
	if (!err)
		err = limit(RLIMIT_FSIZE, limits->output);
	if (!err)
		err = limit(RLIMIT_CPU, limits->cpu_seconds);
	if (!err)
		err = limit(RLIMIT_NPROC, 0);
	return err;
}

/* Memory, the descriptors that are open, and the way out. */
static const int allowed[] = {
	SCMP_SYS(read),		SCMP_SYS(readv),	  SCMP_SYS(pread64),
	SCMP_SYS(write),	SCMP_SYS(writev),	  SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),	SCMP_SYS(fstat),	  SCMP_SYS(newfstatat),
	SCMP_SYS(fcntl),	SCMP_SYS(fsync),	  SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),	SCMP_SYS(memfd_create),	  SCMP_SYS(close),
	SCMP_SYS(sendmsg),	SCMP_SYS(recvmsg),	  SCMP_SYS(brk),
	SCMP_SYS(munmap),	SCMP_SYS(mremap),	  SCMP_SYS(madvise),
	SCMP_SYS(getrandom),	SCMP_SYS(clock_gettime),  SCMP_SYS(getrusage),
	SCMP_SYS(futex),	SCMP_SYS(getpid),	  SCMP_SYS(gettid),
	SCMP_SYS(tgkill),	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),	  SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int filter_calls(void)
{
	/* What is refused fails, so that a library which tries to open a file goes on without it.
	 */
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = filter ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

/*
 * Without a filter: nothing to be opened and nobody to be reached. A user's namespace gives the
 * rights for that, over nothing but what is in it; they go again at the end.
 */
static void hide(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", "/proc", "tmpfs", MS_RDONLY, "size=4k") == 0 && chdir("/proc") == 0)
		(void)!chroot(".");
	(void)syscall(SYS_capset, &header, none);
	/* The kernel may have forgotten it with the rights that changed. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)limit(RLIMIT_NOFILE, UNFILTERED_FD_COUNT_MAX);
}

int cell_lock_probe(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : filter_calls();

		_exit(-err & 0xff);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

int cell_lock(const struct cell_limits *limits, bool *ret_is_filtered)
{
	const struct sched_param no_priority = { .sched_priority = 0 };

	/* Courtesies to the host that may be refused. */
	(void)sched_setscheduler(0, SCHED_BATCH, &no_priority);
	(void)setpriority(PRIO_PROCESS, 0, CELL_NICE);

	int err = set_limits(limits);

	if (err)
		return err;
	err = filter_calls();
	*ret_is_filtered = err == 0;
	if (err && err != -ENOMEM)
		hide();
	return err == -ENOMEM ? err : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/run.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/hangup.h"
#include "base/log.h"
#include "base/parse.h"
#include "collector/collect.h"
#include "web/serve.h"

/* Which account the server gets; our own when we are not root and have nothing to give up. */
struct account {
	uid_t uid;
	gid_t gid;
	bool is_own;
	char name[64];
};

static void account_set(struct account *account, const struct passwd *entry)
{
	*account = (struct account){ .uid = entry->pw_uid, .gid = entry->pw_gid };
	snprintf(account->name, sizeof(account->name), "%s", entry->pw_name);
}

static struct account find_account(void)
{
	struct account account = { .uid = geteuid(), .gid = getegid(), .is_own = true };
	const char *sudo = getenv("SUDO_UID");
	const struct passwd *entry;
	uint64_t uid;

	if (account.uid != 0) {
		entry = getpwuid(account.uid);
		snprintf(account.name, sizeof(account.name), "%s", entry ? entry->pw_name : "we");
		return account;
	}

	entry = getpwnam("hearth");
	if (!entry && sudo && parse_u64(str_from(sudo), &uid) == 0 && uid > 0 && uid < UINT32_MAX)
		entry = getpwuid((uid_t)uid);
	if (!entry)
		entry = getpwnam("nobody");
	if (entry)
		account_set(&account, entry);
	else
		account = (struct account){ .uid = 65534, .gid = 65534, .name = "65534" };
	return account;
}

/* For good: also the saved ids, the groups, and any way to get rights back by an exec. */
static int become(const struct account *account)
{
	if (!account->is_own &&
	    (setgroups(0, NULL) || setresgid(account->gid, account->gid, account->gid) ||
	     setresuid(account->uid, account->uid, account->uid)))
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return 0;
}

/*
 * Tries each folder on the way as the account that will have to pass it. Speaks of the first that
 * it can't, since "permission denied" on the last one would send a person looking in the wrong
 * place.
 */
static int try_to_pass(const struct account *account, const char *folder)
{
	char path[PATH_MAX];

	if (!realpath(folder, path))
		return log_error_errno(-errno, "cannot find the data folder '%s'", folder);

	int err = become(account);

	if (err)
		return log_error_errno(err, "cannot become user '%s'", account->name);
	for (char *end = path + 1;; end++) {
		if (*end != '/' && *end != '\0')
			continue;

		char last = *end;

		*end = '\0';
		if (access(path, X_OK)) {
			log_error("user '%s' can't enter the folder '%s' on the way to the data "
				  "folder; choose another with --data DIR",
				  account->name, path);
			return -EACCES;
		}
		*end = last;
		if (last == '\0')
			break;
	}
	if (access(path, W_OK)) {
		log_error("user '%s' can't write to the data folder '%s'; choose another with "
			  "--data DIR",
			  account->name, path);
		return -EACCES;
	}
	return 0;
}

/* In a child, which becomes the account for good: ids that we change and change back would clear
 * our parent-death signal, and one that did not come back would leave us as nobody knows who. */
static int check_passable(const struct account *account, const char *folder)
{
	pid_t child = fork();
	int status = 0;

	if (child < 0)
		return log_error_errno(-errno, "cannot start a process");
	if (child == 0)
		_exit(try_to_pass(account, folder) ? 1 : 0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EACCES;
}

static int prepare_data_folder(const struct account *account, const char *path)
{
	bool made = false;
	int err = folder_make(path, 0700, &made);

	if (err)
		return log_error_errno(
			err, "cannot make the data folder '%s'; choose another with --data DIR",
			path);

	autoclose int folder = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;

	if (folder < 0 || fstat(folder, &status))
		return log_error_errno(-errno, "cannot open the data folder '%s'", path);
	/* One that is there and belongs to somebody else is not ours to take, unless it is root's
	 * and empty of use to anybody: root made it for us. */
	if (!account->is_own && (made || status.st_uid == 0) &&
	    fchown(folder, account->uid, account->gid))
		return log_error_errno(-errno, "cannot give the data folder '%s' to user '%s'",
				       path, account->name);
	/* Tokens that root made before there was anybody to give them to. */
	if (!account->is_own && (made || status.st_uid == 0) &&
	    fchownat(folder, "tokens", account->uid, account->gid, AT_SYMLINK_NOFOLLOW) &&
	    errno != ENOENT)
		return log_error_errno(-errno, "cannot give the tokens in '%s' to user '%s'", path,
				       account->name);
	return check_passable(account, path);
}

/*
 * Asks in a child whether BPF programs can be loaded, so that libbpf's memory is given back and a
 * failure in it harms nobody. 0, or negative with the reason.
 */
static int probe_rights(char *reason, size_t size)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;

	pid_t child = fork();

	if (child < 0) {
		int err = -errno;

		close(pipe_fds[0]);
		close(pipe_fds[1]);
		return err;
	}
	if (child == 0) {
		char text[COLLECT_ERROR_SIZE] = "";
		int err = collect_probe(text);

		if (err)
			dprintf(pipe_fds[1], "%s", text);
		_exit(err ? 1 : 0);
	}

	autoclose int from_child = pipe_fds[0];
	size_t used = 0;
	ssize_t got;

	close(pipe_fds[1]);
	while (used + 1 < size && (got = read(from_child, reason + used, size - 1 - used)) > 0)
		used += (size_t)got;
	reason[used] = '\0';

	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (used == 0)
		snprintf(reason, size, "the trial of loading a BPF program failed");
	return -EPERM;
}

enum { PROGRAM_COUNT = 2, RESTART_CODE = 75, DELAY_MS_MAX = 1000 };

struct program {
	const char *name; /* of the process */
	int (*main)(const struct settings *settings);
	const struct account *account; /* NULL: stays who we are */
	pid_t pid;		       /* 0 when it does not run */
	uint64_t started_ns;	       /* monotonic */
	uint64_t start_again_ns;       /* 0: not to be started again */
	unsigned deaths;	       /* soon after a start, one after the other */
};

static int start_program(struct program *program, const struct settings *settings,
			 const sigset_t *old_mask)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return log_error_errno(-errno, "cannot start %s", program->name);
	if (pid > 0) {
		program->pid = pid;
		program->started_ns = clock_monotonic_ns();
		program->start_again_ns = 0;
		return 0;
	}

	(void)sigprocmask(SIG_SETMASK, old_mask, NULL);
	(void)prctl(PR_SET_NAME, program->name, 0, 0, 0);
	if (program->account) {
		int err = become(program->account);

		if (err) {
			log_error_errno(err, "cannot become user '%s'", program->account->name);
			_exit(EX_NOPERM);
		}
	}
	/* After the change of user, which clears it. Nobody outlives the one who would restart it.
	 */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	exit(program->main(settings));
}

/* 200 ms after a first death, doubling to a second while it goes on dying within 10 s of its start.
 */
static void plan_restart(struct program *program)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t delay_ms = 200;

	program->deaths =
		now - program->started_ns > 10 * (uint64_t)CLOCK_NS_PER_S ? 0 : program->deaths + 1;
	for (unsigned i = 1; i < program->deaths && delay_ms < DELAY_MS_MAX; i++)
		delay_ms *= 2;
	program->start_again_ns =
		now + (delay_ms < DELAY_MS_MAX ? delay_ms : DELAY_MS_MAX) * CLOCK_NS_PER_MS;
}

/* What a death means: go on (-1), or end with this exit code. */
static int judge_death(struct program *program, int status, bool stopping)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	program->pid = 0;
	if (stopping)
		return -1;
	if (WIFSIGNALED(status)) {
		log_warning("%s was ended by signal %d, starting it again", program->name,
			    WTERMSIG(status));
		plan_restart(program);
		return -1;
	}
	if (code == RESTART_CODE) {
		plan_restart(program);
		return -1;
	}
	if (program->account || program->main == serve_main)
		return code; /* without the server there is nothing to run for */
	if (code != 0)
		log_notice("going on without profiling this host");
	return -1;
}

static void signal_programs(const struct program *programs, int number)
{
	for (size_t i = 0; i < PROGRAM_COUNT; i++)
		if (programs[i].pid > 0)
			(void)kill(programs[i].pid, number);
}

static bool any_runs(const struct program *programs)
{
	for (size_t i = 0; i < PROGRAM_COUNT; i++)
		if (programs[i].pid > 0)
			return true;
	return false;
}

static int time_until_next_start(const struct program *programs)
{
	uint64_t now = clock_monotonic_ns();
	int timeout_ms = -1;

	for (size_t i = 0; i < PROGRAM_COUNT; i++) {
		if (!programs[i].start_again_ns)
			continue;

		uint64_t left =
			programs[i].start_again_ns > now ? programs[i].start_again_ns - now : 0;
		int left_ms = (int)(left / CLOCK_NS_PER_MS) + 1;

		if (timeout_ms < 0 || left_ms < timeout_ms)
			timeout_ms = left_ms;
	}
	return timeout_ms;
}

static void start_due(struct program *programs, const struct settings *settings,
		      const sigset_t *old_mask)
{
	for (size_t i = 0; i < PROGRAM_COUNT; i++)
		if (programs[i].start_again_ns &&
		    programs[i].start_again_ns <= clock_monotonic_ns() &&
		    start_program(&programs[i], settings, old_mask))
			plan_restart(&programs[i]);
}

/* We read first, and what is started again has what we read; the programs then do the same. */
static enum hangup_answer reload(const struct program *programs, struct settings *settings,
				 const struct hangup *hangup)
{
	enum hangup_answer answer;

	settings->is_supervised = false;
	answer = hangup_handle(hangup, settings);
	settings->is_supervised = true;
	if (answer == HANGUP_CHANGED)
		signal_programs(programs, SIGHUP);
	return answer;
}

/* Returns the exit code when all is over. */
static int supervise(struct program *programs, struct settings *settings, int signals,
		     const sigset_t *old_mask)
{
	enum { STOP_TIME_S = 10 };
	struct hangup hangup = hangup_init();
	bool stopping = false;
	uint64_t stop_deadline_ns = 0;
	int exit_code = 0;

	while (any_runs(programs) || !stopping) {
		struct pollfd poll_set = { .fd = signals, .events = POLLIN };
		int timeout_ms = stopping ? 200 : time_until_next_start(programs);

		(void)poll(&poll_set, 1, timeout_ms);

		struct signalfd_siginfo signal;

		while (read(signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
			if (signal.ssi_signo == SIGCHLD)
				continue;
			if (signal.ssi_signo == SIGHUP && !stopping &&
			    reload(programs, settings, &hangup) != HANGUP_STOP)
				continue;
			signal_programs(programs, stopping ? SIGKILL : SIGTERM);
			if (!stopping)
				stop_deadline_ns = clock_monotonic_ns() +
						   STOP_TIME_S * (uint64_t)CLOCK_NS_PER_S;
			stopping = true;
		}

		int status;
		pid_t dead;

		while ((dead = waitpid(-1, &status, WNOHANG)) > 0) {
			for (size_t i = 0; i < PROGRAM_COUNT; i++) {
				if (programs[i].pid != dead)
					continue;

				int code = judge_death(&programs[i], status, stopping);

				if (code < 0)
					continue;
				exit_code = code;
				signal_programs(programs, SIGTERM);
				stop_deadline_ns = clock_monotonic_ns() +
						   STOP_TIME_S * (uint64_t)CLOCK_NS_PER_S;
				stopping = true;
			}
		}
		if (stopping && clock_monotonic_ns() > stop_deadline_ns)
			signal_programs(programs, SIGKILL);
		if (!stopping)
			start_due(programs, settings, old_mask);
	}
	return exit_code;
}

int run_main(const struct settings *caller_settings)
{
	static struct settings settings; /* not on the stack of what is forked */
	struct account account = find_account();

	settings = *caller_settings;
	settings.is_supervised = true;

	if (prepare_data_folder(&account, settings.data))
		return EX_CANTCREAT;

	sigset_t mask, old_mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &mask, &old_mask);

	autoclose int signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);

	if (signals < 0) {
		log_error_errno(-errno, "cannot wait for signals");
		return EX_OSERR;
	}

	bool may_collect =
		probe_rights(settings.collector_reason, sizeof(settings.collector_reason)) == 0;

	if (!may_collect)
		log_warning("this host is not profiled: %s; serving all the same",
			    settings.collector_reason);

	struct program programs[PROGRAM_COUNT] = {
		{ .name = "hearth-serve",
		  .main = serve_main,
		  .account = &account,
		  .start_again_ns = 1 },
		{ .name = "hearth-collect",
		  .main = collect_main,
		  .start_again_ns = may_collect ? 1 : 0 },
	};

	start_due(programs, &settings, &old_mask);
	return supervise(programs, &settings, signals, &old_mask);
}

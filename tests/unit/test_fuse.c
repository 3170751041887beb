/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/fuse.h"

static void other_files_are_told_apart(void **state)
{
	int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int process = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(folder >= 0 && process >= 0);
	assert_false(fuse_serves(folder));
	assert_false(fuse_serves(process));
	close(folder);
	close(process);
	/* Nothing tells. */
	assert_true(fuse_serves(-1));
}

enum { SERVED = 0, NOT_SERVED = 1, NO_MOUNT = 2 };

/* One that another user's program serves, which never answers: nobody else is let in. */
static int look_at_a_mount(void)
{
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[64];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=65534,group_id=65534",
		 device);
	if (device < 0 || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("test", "/tmp", "fuse", MS_NOSUID | MS_NODEV, options))
		return NO_MOUNT;

	int root = open("/tmp", O_PATH | O_CLOEXEC);

	return root >= 0 && fuse_serves(root) ? SERVED : NOT_SERVED;
}

static void a_programs_file_system_is_found_out(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(look_at_a_mount());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_MOUNT) {
		print_message("skipped: no file system can be mounted here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), SERVED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_files_are_told_apart),
		cmocka_unit_test(a_programs_file_system_is_found_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/notify.h"

/* A manager's end of the socket; an abstract one when the name begins with '@'. */
static int listen_as_manager(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, size);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_true(fd >= 0);
	assert_int_equal(
		bind(fd, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '/'))),
		0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void assert_told(int manager, const char *expected)
{
	char text[1024];
	ssize_t size = recv(manager, text, sizeof(text) - 1, 0);

	assert_true(size >= 0);
	text[size] = '\0';
	assert_string_equal(text, expected);
}

static void tells_a_manager_by_path_and_by_abstract_name(void **state)
{
	char path[64], name[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/hearth-notify-%d", (int)getpid());
	snprintf(name, sizeof(name), "@hearth-notify-%d", (int)getpid());

	autoclose int by_path = listen_as_manager(path);

	assert_int_equal(notify_manager("READY=1\nSTATUS=%s", "ready"), 0);
	assert_told(by_path, "READY=1\nSTATUS=ready");
	unlink(path);
	assert_int_equal(notify_manager("READY=1"), -ENOENT);

	autoclose int by_name = listen_as_manager(name);

	assert_int_equal(notify_manager("WATCHDOG=1"), 0);
	assert_told(by_name, "WATCHDOG=1");
}

static void says_nothing_when_nobody_asked(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_manager("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_manager("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "vsock:2:99", 1);
	assert_int_equal(notify_manager("READY=1"), -EAFNOSUPPORT);
}

static void never_waits_for_a_manager_that_does_not_read(void **state)
{
	char name[64];
	int err = 0;

	(void)state;
	snprintf(name, sizeof(name), "@hearth-notify-full-%d", (int)getpid());

	autoclose int manager = listen_as_manager(name);

	for (int i = 0; i < 100000 && !err; i++)
		err = notify_manager("WATCHDOG=1");
	assert_int_equal(err, -EAGAIN);
	assert_told(manager, "WATCHDOG=1");
}

static void cuts_what_is_too_long(void **state)
{
	char name[64], text[1024], expected[1024];

	(void)state;
	snprintf(name, sizeof(name), "@hearth-notify-long-%d", (int)getpid());
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';

	autoclose int manager = listen_as_manager(name);

	assert_int_equal(notify_manager("STATUS=%s", text), 0);
	snprintf(expected, sizeof(expected), "STATUS=%.504s", text);
	assert_told(manager, expected);
}

static void knows_whether_it_is_watched(void **state)
{
	char own[32];

	(void)state;
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(notify_watchdog_ns(), UINT64_C(30000000000));
	snprintf(own, sizeof(own), "%d", (int)getpid());
	setenv("WATCHDOG_PID", own, 1);
	assert_int_equal(notify_watchdog_ns(), UINT64_C(30000000000));
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_PID", own, 1);
	for (size_t i = 0; i < 3; i++) {
		setenv("WATCHDOG_USEC", ((const char *[]){ "", "soon", "18446744073709551615" })[i],
		       1);
		assert_int_equal(notify_watchdog_ns(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_a_manager_by_path_and_by_abstract_name),
		cmocka_unit_test(says_nothing_when_nobody_asked),
		cmocka_unit_test(never_waits_for_a_manager_that_does_not_read),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(knows_whether_it_is_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

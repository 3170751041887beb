/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
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
#include "base/folder.h"
#include "tests/support/hearth.h"

/* What the programs tell a service manager: we are one, at an abstract address. */
struct manager {
	int socket;
	char told[512]; /* the last that came */
};

static void manager_start(struct manager *manager, const char *watchdog_us)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[64];
	int size = snprintf(name, sizeof(name), "@hearth-test-%d", (int)getpid());

	memcpy(address.sun_path + 1, name + 1, (size_t)size - 1);
	manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(manager->socket >= 0);
	assert_int_equal(bind(manager->socket, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size)),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", watchdog_us, 1);
}

static void manager_stop(struct manager *manager)
{
	close(manager->socket);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
}

/* Waits for the next message that begins so; other ones are left out. */
static bool hears(struct manager *manager, const char *text, double seconds)
{
	double end = now_seconds() + seconds;

	while (now_seconds() < end) {
		struct pollfd ready = { .fd = manager->socket, .events = POLLIN };

		if (poll(&ready, 1, 50) != 1)
			continue;

		ssize_t size = recv(manager->socket, manager->told, sizeof(manager->told) - 1, 0);

		assert_true(size > 0);
		manager->told[size] = '\0';
		if (strncmp(manager->told, text, strlen(text)) == 0)
			return true;
	}
	return false;
}

static void the_server_tells_its_manager(void **state)
{
	struct manager manager;
	struct hearth hearth;
	char expected[128];

	(void)state;
	manager_start(&manager, "800000");
	hearth_start(&hearth, "serve", (const char *const[]){ NULL });
	assert_true(hears(&manager, "READY=1\n", 20));
	snprintf(expected, sizeof(expected), "READY=1\nSTATUS=ready at http://127.0.0.1:%u/",
		 hearth.port);
	assert_string_equal(manager.told, expected);
	/* Idle, it goes on telling. */
	for (int i = 0; i < 10; i++)
		assert_true(hears(&manager, "WATCHDOG=1", 20));
	assert_int_equal(kill(hearth.child.pid, SIGTERM), 0);
	assert_true(hears(&manager, "STOPPING=1\n", 20));
	/* A second signal would end it at once. */
	assert_int_equal(child_wait(&hearth.child, 20), 0);
	folder_remove(hearth.folder);
	manager_stop(&manager);
}

static void who_is_not_watched_tells_of_no_watchdog(void **state)
{
	struct manager manager;
	struct hearth hearth;

	(void)state;
	manager_start(&manager, "");
	hearth_start(&hearth, "serve", (const char *const[]){ NULL });
	assert_true(hears(&manager, "READY=1\n", 20));
	assert_false(hears(&manager, "WATCHDOG=1", 2));
	assert_int_equal(hearth_stop(&hearth), 0);
	manager_stop(&manager);
}

static void the_collector_tells_its_manager(void **state)
{
	struct manager manager;
	struct child collector;
	char program[4096], folder[] = "/tmp/hearth-service-XXXXXX";

	(void)state;
	need_bpf();
	assert_non_null(mkdtemp(folder));
	manager_start(&manager, "800000");
	/* No server is there, and none needs to be. */
	child_start(&collector,
		    (const char *const[]){ build_path("hearth", program, sizeof(program)),
					   "collect", "--data", folder, "--frequency", "19", NULL },
		    0);
	assert_true(hears(&manager, "READY=1\nSTATUS=sampling ", 20));
	assert_non_null(strstr(manager.told, " CPUs 19 times a second"));
	for (int i = 0; i < 10; i++)
		assert_true(hears(&manager, "WATCHDOG=1", 20));
	assert_int_equal(child_stop(&collector, 20), 0);
	manager_stop(&manager);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_tells_its_manager),
		cmocka_unit_test(who_is_not_watched_tells_of_no_watchdog),
		cmocka_unit_test(the_collector_tells_its_manager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

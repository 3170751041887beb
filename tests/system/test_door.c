/* SPDX-License-Identifier: Apache-2.0 */
/* The door as a person and other programs meet it: tokens made by the tool, addresses, refusals. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/descriptors.h"
#include "base/folder.h"
#include "tests/support/hearth.h"

enum { ANSWER_SIZE = 65536 };

struct door_scene {
	char folder[32];
	char program[512];
};

static int open_scene(void **state)
{
	struct door_scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	memcpy(scene->folder, "/tmp/hearth-door-XXXXXX", sizeof("/tmp/hearth-door-XXXXXX"));
	assert_non_null(mkdtemp(scene->folder));
	(void)build_path("hearth", scene->program, sizeof(scene->program));
	*state = scene;
	return 0;
}

static int close_scene(void **state)
{
	struct door_scene *scene = *state;

	folder_remove(scene->folder);
	free(scene);
	return 0;
}

/* What `hearth token …` prints to standard output; its exit code is asserted. */
static void token(const struct door_scene *scene, const char *words, int code, char *ret,
		  size_t size)
{
	char command[1024];

	snprintf(command, sizeof(command), "%s token %s --data %s 2>&1", scene->program, words,
		 scene->folder);

	FILE *pipe = popen(command, "re");
	size_t used = 0, got;

	assert_non_null(pipe);
	while ((got = fread(ret + used, 1, size - 1 - used, pipe)) > 0)
		used += got;
	ret[used] = '\0';
	assert_int_equal(pclose(pipe) >> 8, code);
}

static void start_serve(struct child *child, const struct door_scene *scene, const char *address)
{
	const char *arguments[] = { scene->program, "serve", "--data", scene->folder,
				    "--http",	    address, NULL };

	child_start(child, arguments, 0);
}

/* Of "ready at http://127.0.0.1:PORT/". */
static unsigned port_of(struct child *child)
{
	unsigned port = 0;

	assert_true(child_says(child, "ready at ", 20));
	assert_true(child_says(child, "/\n", 20));

	const char *ready = strstr(child->said, "ready at ");
	const char *colon = ready ? strstr(ready + 16, ":") : NULL;

	assert_non_null(colon);
	assert_int_equal(sscanf(colon, ":%u/", &port), 1);
	return port;
}

/* One request of a method and a path; the status. */
static int send_request(const char *host, unsigned port, const char *what,
			const char *authorization, char *answer)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char request[1024];
	size_t used = 0;
	ssize_t got;
	int status = 0;

	assert_int_equal(inet_pton(AF_INET, host, &to.sin_addr), 1);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);

	int size = snprintf(request, sizeof(request),
			    "%s HTTP/1.1\r\nHost: %s:%u\r\nContent-Length: 0\r\n"
			    "Connection: close\r\n%s%s%s\r\n",
			    what, host, port, authorization ? "Authorization: " : "",
			    authorization ? authorization : "", authorization ? "\r\n" : "");

	assert_int_equal(send(fd, request, (size_t)size, MSG_NOSIGNAL), size);
	while ((got = recv(fd, answer + used, ANSWER_SIZE - 1 - used, 0)) > 0)
		used += (size_t)got;
	answer[used] = '\0';
	assert_int_equal(sscanf(answer, "HTTP/1.1 %d", &status), 1);
	return status;
}

static int ask(const char *host, unsigned port, const char *authorization, char *answer)
{
	return send_request(host, port, "GET /api/v1/status", authorization, answer);
}

/* An address of this machine that is not loopback; false when it has none. */
static bool own_address(char ret[static INET_ADDRSTRLEN])
{
	struct ifaddrs *all = NULL;
	bool found = false;

	assert_int_equal(getifaddrs(&all), 0);
	for (struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
		if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET ||
		    (one->ifa_flags & IFF_LOOPBACK) || !(one->ifa_flags & IFF_UP))
			continue;
		found = inet_ntop(AF_INET, &((struct sockaddr_in *)one->ifa_addr)->sin_addr, ret,
				  INET_ADDRSTRLEN) != NULL;
	}
	freeifaddrs(all);
	return found;
}

static void tells_of_wrong_tokens(void **state)
{
	static const struct {
		const char *words;
		int code;
		const char *says;
	} cases[] = {
		{ "", EX_USAGE, "what shall be done?" },
		{ "list", 0, "" },
		{ "new", EX_USAGE, "what shall be done?" },
		{ "new a/b", EX_USAGE, "'a/b' is no name" },
		{ "new a --role root", EX_USAGE, "'root' is not read, write or admin" },
		{ "new a --ends soon", EX_USAGE, "'soon' is no time" },
		{ "new a --ends=1h --role=admin", 0, "hearth_" },
		{ "new a", EX_CANTCREAT, "there is a token 'a' already" },
		{ "list", 0, "a                        admin  made " },
		{ "revoke b", EX_USAGE, "there is no token 'b'" },
		{ "revoke a", 0, "" },
		{ "--help", 0, "usage: hearth token new NAME" },
	};
	char said[ANSWER_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		token(*state, cases[i].words, cases[i].code, said, sizeof(said));
		if (!strstr(said, cases[i].says))
			fail_msg("'%s' says '%s'", cases[i].words, said);
	}
}

static void listens_elsewhere_when_somebody_has_a_token(void **state)
{
	const struct door_scene *scene = *state;
	char secret[256], bearer[300], answer[ANSWER_SIZE], address[INET_ADDRSTRLEN];
	struct child child;

	start_serve(&child, scene, "0.0.0.0:0");
	assert_int_equal(child_wait(&child, 20), EX_CONFIG);
	assert_non_null(strstr(child.said, "hearth token new NAME --role read"));

	token(scene, "new grafana --ends 1d", 0, secret, sizeof(secret));
	secret[strcspn(secret, "\n")] = '\0';
	snprintf(bearer, sizeof(bearer), "Bearer %s", secret);
	start_serve(&child, scene, "0.0.0.0:0");

	unsigned port = port_of(&child);

	assert_int_equal(ask("127.0.0.1", port, NULL, answer), 200);
	assert_int_equal(ask("127.0.0.1", port, bearer, answer), 200);
	assert_int_equal(ask("127.0.0.1", port, "Bearer hearth_wrong", answer), 401);
	if (own_address(address)) {
		assert_int_equal(ask(address, port, NULL, answer), 401);
		assert_non_null(strstr(answer, "\r\nWWW-Authenticate: Basic realm=\"hearth\""));
		assert_int_equal(ask(address, port, bearer, answer), 200);
	}
	assert_true(child_says(&child,
			       "audit: a wrong token was refused: GET /api/v1/status from "
			       "127.0.0.1:",
			       20));

	/* Within a second or so. */
	token(scene, "revoke grafana", 0, secret, sizeof(secret));

	double end = now_seconds() + 20;
	int status;

	while ((status = ask("127.0.0.1", port, bearer, answer)) == 200 && now_seconds() < end)
		sleep_seconds(0.05);
	assert_int_equal(status, 401);
	assert_int_equal(child_stop(&child, 20), 0);
}

/* Few descriptors: accepting pauses, says so once, and goes on when some are back. */
static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	while ((text = strstr(text, what))) {
		count++;
		text += strlen(what);
	}
	return count;
}

/* Who changes something, or would have, stands in the log, with what came of it. */
static void writes_down_who_changes_something(void **state)
{
	static const struct {
		const char *what;
		bool is_admin;
		int status;
		const char *line; /* up to the port, or NULL: none */
	} cases[] = {
		{ "POST /api/v1/store/seal", true, 200,
		  "audit: POST /api/v1/store/seal by token boss from 127.0.0.1:" },
		{ "POST /api/v1/store/seal", false, 200,
		  "audit: POST /api/v1/store/seal by loopback from 127.0.0.1:" },
		{ "POST /api/v1/delete?query=%7Ba%3D%22b%22%7D", false, 403,
		  "audit: POST /api/v1/delete by loopback from 127.0.0.1:" },
		{ "POST /api/v1/delete", true, 400,
		  "audit: POST /api/v1/delete by token boss from 127.0.0.1:" },
		{ "PUT /symbols/%1b%5b31m%0aaudit:", true, 400,
		  "audit: PUT /symbols/?[31m?audit: by token boss from 127.0.0.1:" },
		{ "DELETE /symbols/00112233", true, 404,
		  "audit: DELETE /symbols/00112233 by token boss from 127.0.0.1:" },
		{ "GET /api/v1/status", true, 200, NULL },
	};
	const struct door_scene *scene = *state;
	char secret[256], bearer[300], answer[ANSWER_SIZE];
	const char *arguments[] = { scene->program, "serve",  "--data",
				    scene->folder,  "--http", "127.0.0.1:0",
				    "--access-log", "2",      NULL };
	struct child child;

	token(scene, "new boss --role admin", 0, secret, sizeof(secret));
	secret[strcspn(secret, "\n")] = '\0';
	snprintf(bearer, sizeof(bearer), "Bearer %s", secret);
	child_start(&child, arguments, 0);

	unsigned port = port_of(&child);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[256];
		int status = send_request("127.0.0.1", port, cases[i].what,
					  cases[i].is_admin ? bearer : NULL, answer);

		if (status != cases[i].status)
			fail_msg("%s: %d: %s", cases[i].what, status, answer);
		if (!cases[i].line)
			continue;
		assert_true(child_says(&child, cases[i].line, 20));
		snprintf(line, sizeof(line), "%s", strstr(child.said, cases[i].line));
		line[strcspn(line, "\n")] = '\0';
		snprintf(answer, sizeof(answer), ": %d", status);
		if (strcmp(line + strlen(line) - strlen(answer), answer) != 0)
			fail_msg("'%s' ends not with%s", line, answer);
	}
	for (int i = 0; i < 15; i++)
		assert_int_equal(ask("127.0.0.1", port, "Bearer hearth_wrong", answer), 401);
	assert_int_equal(child_stop(&child, 20), 0);
	/* Ten a minute are told; every other request of the 22 had a line of the access log. */
	assert_int_equal(count_of(child.said, "audit: a wrong token was refused: "), 10);
	assert_int_equal(count_of(child.said, "access: "), 11);
	assert_int_equal(count_of(child.said, "audit: GET "), 0);
	/* What is secret is not told, and what strangers write can't paint the terminal. */
	assert_null(strstr(child.said, secret));
	assert_null(strstr(child.said, "hearth_wrong"));
	assert_null(strchr(child.said, 0x1b));
}

static void goes_on_when_descriptors_run_out(void **state)
{
	enum { COUNT = 100 };
	const struct door_scene *scene = *state;
	char command[1024], answer[ANSWER_SIZE];
	const char *arguments[] = { "/bin/sh", "-c", command, NULL };
	struct child child;
	int fds[COUNT];

	snprintf(command, sizeof(command),
		 "ulimit -n 64; exec %s serve --data %s --http 127.0.0.1:0", scene->program,
		 scene->folder);
	child_start(&child, arguments, 0);

	unsigned port = port_of(&child);
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	/* Half a head each, so that none of them is idle. */
	for (int i = 0; i < COUNT; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
		(void)send(fds[i], "GET", 3, MSG_NOSIGNAL);
	}
	sleep_seconds(0.3);
	for (int i = 0; i < COUNT; i++)
		close(fds[i]);

	double end = now_seconds() + 20;
	int status = 0;

	while (status != 200 && now_seconds() < end) {
		char *body = NULL;

		status = http_ask(port, "/healthz", NULL, &body);
		free(body);
	}
	assert_int_equal(status, 200);
	assert_int_equal(ask("127.0.0.1", port, NULL, answer), 200);
	assert_int_equal(child_stop(&child, 20), 0);
}

/* A loopback connection that has sent half a head, so that it isn't idle. */
static int half_a_question(unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	(void)send(fd, "GET /healthz HTTP/1.1\r\n", 23, MSG_NOSIGNAL);
	return fd;
}

/* The usual limit, which a host may not let us raise: it is still good for a crowd. */
static void has_room_for_a_crowd_in_the_usual_limit(void **state)
{
	enum { COUNT = 700, BAR = 400 };
	const struct door_scene *scene = *state;
	char command[1024], answer[ANSWER_SIZE];
	const char *arguments[] = { "/bin/sh", "-c", command, NULL };
	struct child child;
	int fds[COUNT];
	unsigned answered = 0;

	assert_true(descriptors_raise(2 * COUNT) == 2 * COUNT);
	snprintf(command, sizeof(command),
		 "ulimit -n 1024; exec %s serve --data %s --http 127.0.0.1:0", scene->program,
		 scene->folder);
	child_start(&child, arguments, 0);

	unsigned port = port_of(&child);

	for (int i = 0; i < COUNT; i++)
		fds[i] = half_a_question(port);
	for (int i = 0; i < COUNT; i++) {
		const char rest[] = "Host: localhost\r\nConnection: close\r\n\r\n";

		(void)send(fds[i], rest, strlen(rest), MSG_NOSIGNAL);
	}
	for (int i = 0; i < COUNT; i++) {
		answered += recv(fds[i], answer, 15, MSG_WAITALL) == 15 &&
			    memcmp(answer, "HTTP/1.1 200 OK", 15) == 0;
		close(fds[i]);
	}
	printf("# %u of %d at once are answered with 1,024 descriptors\n", answered, COUNT);
	assert_in_range(answered, BAR, COUNT - 1);
	assert_int_equal(ask("127.0.0.1", port, NULL, answer), 200);
	assert_int_equal(child_stop(&child, 20), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_of_wrong_tokens),
		cmocka_unit_test(listens_elsewhere_when_somebody_has_a_token),
		cmocka_unit_test(writes_down_who_changes_something),
		cmocka_unit_test(goes_on_when_descriptors_run_out),
		cmocka_unit_test(has_room_for_a_crowd_in_the_usual_limit),
	};

	return cmocka_run_group_tests(tests, open_scene, close_scene);
}

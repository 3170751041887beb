/* SPDX-License-Identifier: Apache-2.0 */
/* The front: addresses, slow clients by the hundred, requests that are meant to confuse, stopping.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/settings.h"
#include "web/door.h"
#include "web/peers.h"
#include "web/server.h"

enum { ANSWER_SIZE_MAX = 8 << 20, PATIENCE_S = 20 };

struct fixture {
	char folder[64];
	struct settings settings;
	struct server server; /* without a store: nothing here gets as far as to ask one */
	struct door *door;
	uint16_t port;
};

static void open_door(struct fixture *fixture)
{
	char error[DOOR_ERROR_SIZE] = "";

	if (door_start(&fixture->server, &fixture->door, error))
		fail_msg("%s", error);
	fixture->port = door_port(fixture->door);
}

static int start(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	memcpy(fixture->folder, "/tmp/hearth-door-XXXXXX", sizeof("/tmp/hearth-door-XXXXXX"));
	assert_non_null(mkdtemp(fixture->folder));
	settings_defaults(&fixture->settings);
	fixture->server.settings = &fixture->settings;
	snprintf(fixture->settings.data, sizeof(fixture->settings.data), "%s", fixture->folder);
	snprintf(fixture->settings.http, sizeof(fixture->settings.http),
		 "127.0.0.1:0, [::1]:0, unix:%s/http.sock", fixture->folder);
	open_door(fixture);
	*state = fixture;
	return 0;
}

static int stop(void **state)
{
	struct fixture *fixture = *state;

	assert_null(door_stop(fixture->door));
	assert_int_equal(rmdir(fixture->folder), 0); /* the socket is gone */
	free(fixture);
	return 0;
}

/* ---- clients ----------------------------------------------------------------------------------
 */

static int dial_to(const struct sockaddr *address, socklen_t size, int receive_size)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (receive_size)
		assert_int_equal(
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_size, sizeof(receive_size)),
			0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, address, size), 0);
	return fd;
}

static int dial_small(const struct fixture *fixture, int receive_size)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(fixture->port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return dial_to((struct sockaddr *)&address, sizeof(address), receive_size);
}

static int dial(const struct fixture *fixture)
{
	return dial_small(fixture, 0);
}

static void say(int fd, const char *text)
{
	size_t size = strlen(text);

	assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void pause_ms(long ms)
{
	struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000 };

	(void)nanosleep(&pause, NULL);
}

/* One whole answer with a length; its status. */
static int hear(int fd, struct buf *answer)
{
	const char *end = NULL;
	size_t wanted = SIZE_MAX;
	int status = 0;

	buf_clear(answer);
	while (answer->size < wanted) {
		char piece[1];
		/* Byte by byte up to the head's end, so that the next answer is left alone. */
		size_t more = end ? wanted - answer->size : 1;
		void *room = buf_grow(answer, more);
		ssize_t count = recv(fd, end ? room : piece, more, end ? MSG_WAITALL : 0);

		if (count <= 0)
			return 0;
		if (!end)
			memcpy(room, piece, 1);
		answer->size -= more - (size_t)count;
		if (!end && answer->size >= 4 &&
		    memcmp(answer->bytes + answer->size - 4, "\r\n\r\n", 4) == 0) {
			size_t head_size = answer->size;
			unsigned long length = 0;

			buf_add_u8(answer, 0);
			answer->size--;
			end = (const char *)answer->bytes + head_size;

			const char *line = strstr((char *)answer->bytes, "\r\nContent-Length: ");

			if (line)
				assert_int_equal(sscanf(line + 18, "%lu", &length), 1);
			wanted = head_size + length;
		}
	}
	assert_int_equal(sscanf((char *)answer->bytes, "HTTP/1.1 %d", &status), 1);
	return status;
}

static int ask(int fd, const char *request)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

	say(fd, request);
	return hear(fd, &answer);
}

#define HOST   "Host: localhost\r\n"
#define HEALTH "GET /healthz HTTP/1.1\r\n" HOST "\r\n"
#define CALL   "POST /querier.v1.QuerierService/LabelValues HTTP/1.1\r\n" HOST
#define JSON   CALL "Content-Type: application/json\r\n"

static void assert_served(const struct fixture *fixture)
{
	autoclose int fd = dial(fixture);

	assert_int_equal(ask(fd, HEALTH), 200);
}

/* Nothing came, and the other end is still there. */
static bool is_waiting(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* ---- addresses --------------------------------------------------------------------------------
 */

static int dial_unix(const struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/http.sock", fixture->folder);
	return dial_to((struct sockaddr *)&address, sizeof(address), 0);
}

static void answers_on_every_address(void **state)
{
	struct fixture *fixture = *state;
	autoclean(buf) struct buf text = BUF(4096);
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct stat status;
	char path[96];
	unsigned four_port = 0, six_port = 0;

	door_describe(fixture->door, &text);
	buf_add_u8(&text, 0);
	assert_int_equal(sscanf((char *)text.bytes, "http://127.0.0.1:%u/\nhttp://[::1]:%u/\nunix:",
				&four_port, &six_port),
			 2);
	assert_int_equal(four_port, fixture->port);
	six.sin6_port = htons((uint16_t)six_port);

	autoclose int four_fd = dial(fixture);
	autoclose int six_fd = dial_to((struct sockaddr *)&six, sizeof(six), 0);
	autoclose int unix_fd = dial_unix(fixture);

	assert_int_equal(ask(four_fd, HEALTH), 200);
	assert_int_equal(ask(six_fd, "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n"), 200);
	/* There are no names on a unix socket. */
	assert_int_equal(ask(unix_fd, "GET /healthz HTTP/1.1\r\nHost: whatever\r\n\r\n"), 200);
	assert_int_equal(ask(four_fd, "GET /healthz HTTP/1.1\r\nHost: whatever\r\n\r\n"), 421);

	snprintf(path, sizeof(path), "%s/http.sock", fixture->folder);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
}

static void takes_the_place_of_a_dead_socket(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct settings settings = fixture->settings;
	struct server server = { .settings = &settings };
	struct door *second = NULL;
	char error[DOOR_ERROR_SIZE] = "";

	snprintf(settings.http, sizeof(settings.http), "unix:%s/http.sock", fixture->folder);
	assert_int_equal(door_start(&server, &second, error), -EADDRINUSE);
	assert_non_null(strstr(error, "/http.sock is taken"));
	assert_null(second);

	fixture->door = door_stop(fixture->door);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/http.sock", fixture->folder);

	int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
	close(dead);
	open_door(fixture);

	autoclose int fd = dial_unix(fixture);

	assert_int_equal(ask(fd, HEALTH), 200);
	snprintf(settings.http, sizeof(settings.http), "unix:%s/other.sock", fixture->folder);
	snprintf(settings.http_socket_group, sizeof(settings.http_socket_group), "no-such-group");
	server = (struct server){ .settings = &settings };
	assert_int_equal(door_start(&server, &second, error), -EINVAL);
	assert_non_null(strstr(error, "'no-such-group' of http-socket-group: there is none"));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/other.sock", fixture->folder);
	(void)unlink(address.sun_path);
}

/* ---- requests one behind the other ------------------------------------------------------------
 */

static void answers_in_their_order(void **state)
{
	const struct fixture *fixture = *state;
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	autoclose int fd = dial(fixture);

	for (int i = 0; i < 20; i++)
		say(fd, i % 2 ? HEALTH : JSON "Content-Length: 2\r\n\r\n{}");
	say(fd, JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n\r\n" HEALTH);
	/* The page's script is large enough to be under way for longer. */
	say(fd, "GET /page.js HTTP/1.1\r\n" HOST "\r\nHEAD /page.js HTTP/1.1\r\n" HOST "\r\n");
	for (int i = 0; i < 20; i++)
		assert_int_equal(hear(fd, &answer), i % 2 ? 200 : 400);
	assert_int_equal(hear(fd, &answer), 400);
	assert_non_null(memmem(answer.bytes, answer.size, "name is required", 16));
	assert_int_equal(hear(fd, &answer), 200);
	assert_int_equal(hear(fd, &answer), 200);
	assert_true(answer.size > 50000);

	/* A head alone. */
	char head[4096];
	ssize_t size = recv(fd, head, sizeof(head), 0);

	assert_true(size > 4);
	assert_memory_equal(head + size - 4, "\r\n\r\n", 4);
	assert_true(is_waiting(fd));
}

static void takes_requests_byte_by_byte(void **state)
{
	static const char text[] =
		HEALTH JSON "Content-Length: 2\r\n\r\n{}" JSON
			    "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n"
			    "0\r\n\r\n" HEALTH;
	static const int statuses[] = { 200, 400, 400, 200 };
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	autoclose int fd = dial(*state);

	for (const char *c = text; *c; c++)
		assert_int_equal(send(fd, c, 1, MSG_NOSIGNAL), 1);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		assert_int_equal(hear(fd, &answer), statuses[i]);
}

static void answers_whom_says_no_more(void **state)
{
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	autoclose int fd = dial(*state);
	autoclose int half = dial(*state);

	say(fd, HEALTH HEALTH);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(hear(fd, &answer), 200);
	assert_int_equal(hear(fd, &answer), 200);
	assert_int_equal(hear(fd, &answer), 0);

	say(half, JSON "Content-Length: 9\r\n\r\n{}");
	assert_int_equal(shutdown(half, SHUT_WR), 0);
	assert_int_equal(hear(half, &answer), 0);
}

/* More clients than threads, all of whom keep their connections. */
static void serves_more_clients_than_threads(void **state)
{
	enum { COUNT = 300 };
	int fds[COUNT];

	for (int i = 0; i < COUNT; i++)
		fds[i] = dial(*state);
	for (int round = 0; round < 3; round++) {
		autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

		for (int i = 0; i < COUNT; i++)
			say(fds[i], HEALTH);
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(hear(fds[i], &answer), 200);
	}
	for (int i = 0; i < COUNT; i++)
		close(fds[i]);
	assert_served(*state);
}

/* ---- slow clients -----------------------------------------------------------------------------
 */

/* What they say first; then they trickle. */
static const char *const slow_kinds[] = {
	"",
	HEALTH,
	"GET /healthz HTTP/1.1\r\nHost: lo",
	HEALTH "GET /healthz HTTP/1.1\r\nHost: lo",
	HEALTH HEALTH HEALTH "G",
	JSON "Content-Length: 100000\r\n\r\n{",
	JSON "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
	"GET /page.js HTTP/1.1\r\n" HOST "\r\nGET /page.js HTTP/1.1\r\n" HOST "\r\n",
};

enum { SLOW_KIND_COUNT = sizeof(slow_kinds) / sizeof(slow_kinds[0]), SLOW_COUNT = 64 };

/* Others are answered while all of them are still there: nobody was answered for another's end. */
static void serve_beside(const struct fixture *fixture, const int *kinds, size_t count)
{
	autofree int *fds = calloc(count, sizeof(*fds));
	size_t gone = 0;

	assert_non_null(fds);
	for (size_t i = 0; i < count; i++) {
		fds[i] = dial_small(fixture, kinds[i] == SLOW_KIND_COUNT - 1 ? 4096 : 0);
		say(fds[i], slow_kinds[kinds[i]]);
	}
	for (int round = 0; round < 5; round++) {
		assert_served(fixture);
		for (size_t i = 0; i < count; i++)
			if (kinds[i] >= 2 && kinds[i] < SLOW_KIND_COUNT - 1)
				(void)send(fds[i], "x", kinds[i] < 5 ? 1 : 0, MSG_NOSIGNAL);
	}
	for (size_t i = 0; i < count; i++) {
		struct pollfd hung = { .fd = fds[i], .events = POLLRDHUP };

		gone += poll(&hung, 1, 0) > 0;
		close(fds[i]);
	}
	assert_int_equal(gone, 0);
}

static void serves_beside_slow_clients(void **state)
{
	int kinds[SLOW_COUNT];

	for (int kind = 0; kind < SLOW_KIND_COUNT; kind++) {
		for (int i = 0; i < SLOW_COUNT; i++)
			kinds[i] = kind;
		serve_beside(*state, kinds, SLOW_COUNT);
	}
}

static void serves_beside_all_kinds_of_slow_clients(void **state)
{
	int kinds[208];

	for (int i = 0; i < 208; i++)
		kinds[i] = i % SLOW_KIND_COUNT;
	serve_beside(*state, kinds, 208);
}

/* Bodies of which so much is here that their threads have begun. */
static void serves_beside_long_bodies(void **state)
{
	enum { COUNT = 64, SIZE = 70000 };
	autofree char *spaces = malloc(SIZE);
	int fds[COUNT];

	memset(spaces, ' ', SIZE);
	for (int i = 0; i < COUNT; i++) {
		fds[i] = dial(*state);
		say(fds[i], JSON "Content-Length: 100000\r\n\r\n");
		assert_int_equal(send(fds[i], spaces, SIZE, MSG_NOSIGNAL), SIZE);
	}
	for (int i = 0; i < 5; i++)
		assert_served(*state);
	for (int i = 0; i < COUNT; i++)
		assert_true(is_waiting(fds[i]));
	/* And each gets its answer when the rest comes. */
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(send(fds[i], spaces, 100000 - SIZE, MSG_NOSIGNAL), 100000 - SIZE);
	for (int i = 0; i < COUNT; i++) {
		autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);

		int status = hear(fds[i], &answer);

		/* More of them at once than may ask are told to come again. */
		assert_true(status == 400 || status == 429);
		close(fds[i]);
	}
}

static void ends_heads_that_come_too_slowly(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = fixture->server.counters.limits_hit[LIMIT_HEAD_TIME];
	autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
	autoclose int fd = dial(fixture);

	say(fd, HEALTH "GET /healthz HTTP/1.1\r\n");
	assert_int_equal(hear(fd, &answer), 200);

	struct pollfd heard = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < 100 && poll(&heard, 1, 200) == 0; i++)
		say(fd, "X");
	assert_int_equal(hear(fd, &answer), 408);
	assert_non_null(memmem(answer.bytes, answer.size, "within 5 s", 10));
	assert_int_equal(fixture->server.counters.limits_hit[LIMIT_HEAD_TIME], before + 1);
}

/* ---- requests that are meant to confuse -------------------------------------------------------
 */

static void answers_exactly_what_was_asked(void **state)
{
	/* Statuses of all answers, and whether the connection is open behind them. */
	static const struct {
		const char *text;
		const char *statuses;
		bool is_open;
	} cases[] = {
		{ JSON "Content-Length: 2\r\n\r\n{}" HEALTH, "400 200", true },
		{ JSON "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HEALTH,
		  "400", false },
		{ JSON "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" HEALTH, "400", false },
		{ JSON "Content-Length : 3\r\n\r\nabc" HEALTH, "400", false },
		{ JSON "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n" HEALTH, "400",
		  false },
		{ JSON "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n" HEALTH, "400", false },
		{ JSON "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc" HEALTH, "400",
		  false },
		{ "GET /healthz HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n" HEALTH, "400", false },
		{ "GET /healthz HTTP/1.1\nHost: localhost\n\n" HEALTH, "400", false },
		{ "GET /healthz HTTP/1.1\r\n\r\n" HEALTH, "400", false },
		{ "GET /healthz HTTP/1.1\r\n" HOST HOST "\r\n" HEALTH, "400", false },
		{ "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n" HEALTH, "421 200", true },
		{ "GET http://localhost/healthz HTTP/1.1\r\n" HOST "\r\n", "400", false },
		{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "400", false },
		{ "GET /healthz HTTP/1.2\r\n" HOST "\r\n", "505", false },
		{ "GET /healthz HTTP/1.0\r\n" HOST "\r\n" HEALTH, "200", false },
		{ "PRIX /healthz HTTP/1.1\r\n" HOST "\r\n" HEALTH, "400", false },
		{ "GET /healthz HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n"
		  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
		  "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		  "200", true },
		{ "GET /healthz HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\n"
		  "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" HEALTH,
		  "200 200", true },
		{ "POST /healthz HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" HEALTH,
		  "405 200", true },
		{ "GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" HEALTH,
		  "200 200", true },
		{ "GET /../etc/passwd HTTP/1.1\r\n" HOST "\r\n", "404", true },
		{ "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" HOST "\r\n", "404", true },
		{ "GET /"
		  "/healthz HTTP/1.1\r\n" HOST "\r\n",
		  "404", true },
		{ "GET /healthz/ HTTP/1.1\r\n" HOST "\r\n", "404", true },
		{ "GET /healthz%00 HTTP/1.1\r\n" HOST "\r\n", "400", true },
		{ "\r\n" HEALTH, "200", true },
		{ "\x16\x03\x01 nonsense \r\n\r\n", "400", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		autoclose int fd = dial(*state);
		char statuses[64] = "";
		struct pollfd heard = { .fd = fd, .events = POLLIN };
		autoclean(buf) struct buf answer = BUF(ANSWER_SIZE_MAX);
		bool is_open = true;

		say(fd, cases[i].text);
		/* As many as are wanted, then whether another comes, or the end. */
		for (;;) {
			size_t used = strlen(statuses);
			bool wants_more = used < strlen(cases[i].statuses) || !cases[i].is_open;

			if (poll(&heard, 1, wants_more ? PATIENCE_S * 1000 : 30) <= 0)
				break;

			int status = hear(fd, &answer);

			is_open = status != 0;
			if (!is_open)
				break;
			snprintf(statuses + used, sizeof(statuses) - used, "%s%d", used ? " " : "",
				 status);
		}
		if (strcmp(statuses, cases[i].statuses) != 0 || is_open != cases[i].is_open)
			fail_msg("'%s', %s, instead of '%s' for %s", statuses,
				 is_open ? "open" : "closed", cases[i].statuses, cases[i].text);
	}
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void stops_with_everybody_there(void **state)
{
	struct fixture *fixture = *state;
	int fds[3 * SLOW_KIND_COUNT];

	for (int i = 0; i < 3 * SLOW_KIND_COUNT; i++) {
		fds[i] = dial_small(fixture, 4096);
		say(fds[i], slow_kinds[i % SLOW_KIND_COUNT]);
	}
	pause_ms(50);
	fixture->door = door_stop(fixture->door);
	for (int i = 0; i < 3 * SLOW_KIND_COUNT; i++)
		close(fds[i]);
	snprintf(fixture->settings.http, sizeof(fixture->settings.http), "127.0.0.1:%u",
		 fixture->port);
	open_door(fixture);
	assert_served(fixture);
}

/* ---- addresses that ask too often -------------------------------------------------------------
 */

static void counts_connections_and_requests_of_an_address(void **state)
{
	autoclean(peers) struct peers *peers = NULL;
	struct peer_entry *first;
	struct peer_entry *other;
	uint64_t now_ns = clock_monotonic_ns();

	(void)state;
	assert_int_equal(peers_new(3, &peers), 0);
	first = peers_enter(peers, "192.0.2.1");
	assert_ptr_equal(peers_enter(peers, "192.0.2.1"), first);
	other = peers_enter(peers, "192.0.2.2");
	assert_ptr_not_equal(other, first);
	assert_int_equal(peers_connections(first), 2);
	for (int i = 0; i < 6; i++)
		assert_true(peers_take_request(peers, first, now_ns));
	assert_false(peers_take_request(peers, first, now_ns));
	assert_true(peers_take_request(peers, other, now_ns));
	/* Coming again does not help, waiting does. */
	peers_leave(peers, first);
	peers_leave(peers, first);
	assert_ptr_equal(peers_enter(peers, "192.0.2.1"), first);
	assert_false(peers_take_request(peers, first, now_ns));
	now_ns += (uint64_t)CLOCK_NS_PER_S;
	for (int i = 0; i < 3; i++)
		assert_true(peers_take_request(peers, first, now_ns));
	assert_false(peers_take_request(peers, first, now_ns));
	peers_leave(peers, first);
	peers_leave(peers, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_on_every_address, start, stop),
		cmocka_unit_test_setup_teardown(takes_the_place_of_a_dead_socket, start, stop),
		cmocka_unit_test_setup_teardown(answers_in_their_order, start, stop),
		cmocka_unit_test_setup_teardown(takes_requests_byte_by_byte, start, stop),
		cmocka_unit_test_setup_teardown(answers_whom_says_no_more, start, stop),
		cmocka_unit_test_setup_teardown(serves_more_clients_than_threads, start, stop),
		cmocka_unit_test_setup_teardown(serves_beside_slow_clients, start, stop),
		cmocka_unit_test_setup_teardown(serves_beside_all_kinds_of_slow_clients, start,
						stop),
		cmocka_unit_test_setup_teardown(serves_beside_long_bodies, start, stop),
		cmocka_unit_test_setup_teardown(ends_heads_that_come_too_slowly, start, stop),
		cmocka_unit_test_setup_teardown(answers_exactly_what_was_asked, start, stop),
		cmocka_unit_test_setup_teardown(stops_with_everybody_there, start, stop),
		cmocka_unit_test(counts_connections_and_requests_of_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

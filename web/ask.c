/* SPDX-License-Identifier: Apache-2.0 */
#include "web/ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "web/listen_address.h"

enum {
	TIMEOUT_S = 30,
	LONG_TIMEOUT_S = 900, /* a file is made, or taken in */
	REQUEST_SIZE_MAX = 16384,
	CHUNK_SIZE = 16384,
};

/* The one of all where it is easiest to be let in: a unix socket, else the first. */
static int choose_address(const char *addresses, struct listen_address *ret)
{
	struct listen_addresses all;
	char reason[LISTEN_ERROR_SIZE];
	int err = listen_addresses_parse(addresses, &all, reason);

	if (err)
		return err;
	*ret = all.items[0];
	for (size_t i = all.count; i > 0; i--)
		if (all.items[i - 1].is_unix)
			*ret = all.items[i - 1];
	/* What listens on all addresses answers on loopback. */

	struct sockaddr_in *four = (struct sockaddr_in *)&ret->socket;

	if (ret->socket.ss_family == AF_INET && four->sin_addr.s_addr == htonl(INADDR_ANY))
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return ret->is_unix || listen_address_port(ret) > 0 ? 0 : -EINVAL;
}

static int send_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		text += sent;
		size -= (size_t)sent;
	}
	return 0;
}

/* To the end: we asked for the connection to be closed. */
static int receive_all(int fd, struct buf *ret)
{
	for (;;) {
		void *room = buf_grow(ret, CHUNK_SIZE);
		ssize_t got;

		if (!room)
			return ret->error;
		got = recv(fd, room, CHUNK_SIZE, 0);
		ret->size -= CHUNK_SIZE - (size_t)(got > 0 ? got : 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (got == 0)
			return 0;
	}
}

static int send_body(int fd, const struct ask_body *body)
{
	char chunk[CHUNK_SIZE];

	for (uint64_t offset = 0; offset < body->size;) {
		size_t size = body->size - offset < sizeof(chunk) ? (size_t)(body->size - offset)
								  : sizeof(chunk);
		int err = body->read(body->context, offset, chunk, size);

		if (!err)
			err = send_all(fd, chunk, size);
		/* It may have answered already, that it wants no more. */
		if (err == -EPIPE || err == -ECONNRESET)
			return 0;
		if (err)
			return err;
		offset += size;
	}
	return 0;
}

/* One that broke off is shorter than its head says. */
static bool is_whole(struct str head, size_t body_size)
{
	struct str name = STR("\r\nContent-Length: ");
	const char *found = memmem(head.text, head.size, name.text, name.size);
	const char *start = found ? found + name.size : NULL;
	const char *end =
		start ? memchr(start, '\r', (size_t)(head.text + head.size - start)) : NULL;
	uint64_t size = 0;

	return !end || parse_u64((struct str){ start, (size_t)(end - start) }, &size) ||
	       size == body_size;
}

static int take_answer(const struct buf *answer, int *ret_status, struct buf *ret)
{
	const char *end = memmem(answer->bytes, answer->size, "\r\n\r\n", 4);
	uint64_t status;

	/* "HTTP/1.1 200 …" */
	if (!end || answer->size < 12 || memcmp(answer->bytes, "HTTP/1.", 7) != 0 ||
	    parse_u64((struct str){ (const char *)answer->bytes + 9, 3 }, &status))
		return -EPROTO;
	*ret_status = (int)status;
	end += 4;
	if (!is_whole((struct str){ (const char *)answer->bytes,
				    (size_t)(end - (const char *)answer->bytes) },
		      answer->size - (size_t)(end - (const char *)answer->bytes)))
		return -EPROTO;
	buf_add(ret, end, answer->size - (size_t)(end - (const char *)answer->bytes));
	return ret->error;
}

static int ask_within(int timeout_s, const char *addresses, const char *method, const char *path,
		      const struct ask_body *body, int *ret_status, struct buf *ret)
{
	struct timeval timeout = { .tv_sec = timeout_s };
	struct listen_address where;
	char name[LISTEN_TEXT_SIZE];
	char request[REQUEST_SIZE_MAX];
	autoclean(buf) struct buf answer = BUF(ret->limit + REQUEST_SIZE_MAX);
	int err = choose_address(addresses, &where);

	if (err)
		return err;
	listen_address_print(&where, name);

	autoclose int fd = socket(where.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int size = snprintf(request, sizeof(request),
			    "%s %s HTTP/1.0\r\nHost: %s\r\nContent-Length: %llu\r\n"
			    "Connection: close\r\n\r\n",
			    method, path, where.is_unix ? "localhost" : name,
			    (unsigned long long)(body ? body->size : 0));

	if (fd < 0)
		return -errno;
	if ((size_t)size >= sizeof(request))
		return -ENAMETOOLONG;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&where.socket, where.size))
		return -errno;
	err = send_all(fd, request, (size_t)size);
	if (!err && body)
		err = send_body(fd, body);
	if (!err)
		err = receive_all(fd, &answer);
	return err ? err : take_answer(&answer, ret_status, ret);
}

int ask_server_with(const char *addresses, const char *method, const char *path,
		    const struct ask_body *body, int *ret_status, struct buf *ret)
{
	return ask_within(LONG_TIMEOUT_S, addresses, method, path, body, ret_status, ret);
}

int ask_server(const char *addresses, const char *method, const char *path, struct buf *ret)
{
	int status = 0;
	int err = ask_within(TIMEOUT_S, addresses, method, path, NULL, &status, ret);

	return !err && status != 200 ? -EPROTO : err;
}

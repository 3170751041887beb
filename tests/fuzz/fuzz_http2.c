/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of HTTP/2, given to a real door behind the preface. Nobody has the token that it wants, so
 * that no request gets further than to be refused.
 */
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/settings.h"
#include "web/door.h"
#include "web/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct settings settings;
static struct server server = { .settings = &settings };
static struct door *door;
static char folder[] = "/tmp/hearth-fuzz-XXXXXX";

static void close_door(void)
{
	door = door_stop(door);
	(void)rmdir(folder);
}

static void open_door(void)
{
	char error[DOOR_ERROR_SIZE] = "";
	const char *made = mkdtemp(folder);

	assert(made);
	log_set_level(LOG_LEVEL_ERROR);
	settings_defaults(&settings);
	snprintf(settings.data, sizeof(settings.data), "%s", folder);
	snprintf(settings.http, sizeof(settings.http), "127.0.0.1:0");
	settings.require_token = true;

	int err = door_start(&server, &door, error);

	if (err)
		fprintf(stderr, "%s\n", error);
	assert(!err);
	(void)atexit(close_door);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char piece[4096];

	if (!door)
		open_door();
	address.sin_port = htons(door_port(door));

	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return 0;
	(void)send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL);
	(void)send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);

	/* It answers what it can and ends; what waits for a handler is not waited for. */
	struct pollfd heard = { .fd = fd, .events = POLLIN };

	while (poll(&heard, 1, 20) > 0 && recv(fd, piece, sizeof(piece), 0) > 0)
		;
	return 0;
}

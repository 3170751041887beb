/* SPDX-License-Identifier: Apache-2.0 */
/* What door.mjs compares with: civetweb by itself, as a program would use it that has no door. */
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int answer(struct mg_connection *connection, void *context)
{
	static const char text[] = "ready\n";

	(void)context;
	(void)mg_printf(connection,
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
			"Content-Length: %zu\r\nCache-Control: no-store\r\n"
			"X-Content-Type-Options: nosniff\r\nConnection: keep-alive\r\n\r\n%s",
			strlen(text), text);
	return 200;
}

int main(void)
{
	const char *options[] = { "listening_ports",	"127.0.0.1:0", "num_threads", "32",
				  "enable_keep_alive",	"yes",	       "tcp_nodelay", "1",
				  "request_timeout_ms", "75000",       NULL };
	struct mg_server_port port;
	sigset_t ends;
	int which;

	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &ends, NULL);
	(void)mg_init_library(0);

	struct mg_context *server = mg_start(NULL, NULL, options);

	if (!server || mg_get_server_ports(server, 1, &port) != 1)
		return 1;
	mg_set_request_handler(server, "/ready", answer, NULL);
	fprintf(stderr, "ready at http://127.0.0.1:%d\n", port.port);
	(void)sigwait(&ends, &which);
	mg_stop(server);
	return 0;
}

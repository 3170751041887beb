/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http1.h"

#include <arpa/inet.h>
#include <assert.h>
#include <civetweb.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"
#include "web/access.h"
#include "web/guard.h"
#include "web/network.h"
#include "web/port_owner.h"
#include "web/reply.h"
#include "web/routes.h"
#include "web/server.h"

static_assert(MG_MAX_HEADERS == REQUEST_HEADER_COUNT_MAX + 1, "a full table may have lost some");

enum {
	HEAD_SIZE_MAX = 16384, /* of an answer; ours take 1 kB */
	/*
	 * civetweb's read returns when all that was asked for is there, and waits up to
	 * request_timeout_ms for each byte. Asking for few keeps our own clock in force.
	 */
	READ_SIZE = 8,
	/* Smaller answers go out with their head in one packet. */
	JOIN_SIZE_MAX = 65536,
};

struct http1 {
	struct mg_context *context;
	struct server *server;
	struct routes *routes;
	struct sockaddr_in address;
	bool uses_library;
};

/* ---- what must not get in ---------------------------------------------------------------------
 */

static bool is_named(const struct mg_header *header, const char *name)
{
	return strcasecmp(header->name, name) == 0;
}

/* As RFC 9110 5.1 wants it; a space before the colon among others hides a header from some readers.
 */
static bool is_header_name(const char *name)
{
	size_t size = strlen(name);

	return size > 0 && strcspn(name, " \t\r\n\"(),/:;<=>?@[\\]{}") == size;
}

static bool is_length(const char *text)
{
	size_t size = strspn(text, "0123456789");

	return size > 0 && size < 16 && !text[size];
}

/*
 * civetweb lets these through, and a proxy or the next request might read them in another way
 * (RFC 9112 6.3 and 3.2).
 */
static const char *objection(const struct mg_request_info *info)
{
	int hosts = 0;
	int lengths = 0;
	int encodings = 0;

	for (int i = 0; i < info->num_headers; i++) {
		const struct mg_header *header = &info->http_headers[i];

		if (!is_header_name(header->name) || strpbrk(header->value, "\r\n"))
			return "a header is malformed";
		if (is_named(header, "content-length") && !is_length(header->value))
			return "Content-Length is no number";
		if (is_named(header, "transfer-encoding") &&
		    strcasecmp(header->value, "chunked") != 0)
			return "this Transfer-Encoding is not known";
		hosts += is_named(header, "host");
		lengths += is_named(header, "content-length");
		encodings += is_named(header, "transfer-encoding");
	}
	if (lengths + encodings > 1)
		return "the body has two lengths";
	if (encodings && strcmp(info->http_version, "1.1") != 0)
		return "chunks are for HTTP/1.1";
	if (hosts != 1)
		return "there must be one Host";
	return NULL;
}

/* ---- one request ------------------------------------------------------------------------------
 */

struct exchange {
	struct mg_connection *connection;
	const struct mg_request_info *info;
	struct buf path; /* decoded */
	bool expects_continue;
	bool has_body;
	bool body_ended;
};

static const char *find_header(const struct mg_request_info *info, const char *name)
{
	for (int i = 0; i < info->num_headers; i++)
		if (is_named(&info->http_headers[i], name))
			return info->http_headers[i].value;
	return NULL;
}

static int64_t read_body(struct request *request, void *bytes, size_t size)
{
	struct exchange *exchange = request->body_context;

	assert(exchange->has_body || exchange->body_ended);

	if (exchange->body_ended || size == 0)
		return 0;
	if (exchange->expects_continue) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		exchange->expects_continue = false;
		if (mg_write(exchange->connection, go_on, sizeof(go_on) - 1) <= 0)
			return -ECONNRESET;
	}

	int count = mg_read(exchange->connection, bytes, size < READ_SIZE ? size : READ_SIZE);

	if (count < 0)
		return -ECONNRESET;
	exchange->body_ended = count == 0;
	return count;
}

/* Whether the client's next request may come on this connection. */
static bool stays_open(const struct exchange *exchange)
{
	const char *connection = find_header(exchange->info, "connection");

	if (exchange->has_body && !exchange->body_ended)
		return false;
	if (strcmp(exchange->info->http_version, "1.1") != 0)
		return false;
	return !connection || strcasecmp(connection, "close") != 0;
}

static void add_head(struct buf *head, const struct reply *reply, const char *status_text,
		     bool keep_open)
{
	char date[64] = "";
	time_t now = (time_t)(clock_unix_ms() / CLOCK_MS_PER_S);
	struct tm parts;

	if (gmtime_r(&now, &parts))
		(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
	buf_printf(head, "HTTP/1.1 %d %s\r\nDate: %s\r\n", reply->status, status_text, date);
	buf_add_str(head, STR(GUARD_HEADERS));
	/* Files of the page may be kept, and asked for by their tag; all else is of the moment. */
	buf_printf(head, "Cache-Control: %s\r\n", reply->may_be_cached ? "no-cache" : "no-store");
	if (reply->etag[0])
		buf_printf(head, "ETag: %s\r\n", reply->etag);
	if (reply->content_encoding)
		buf_printf(head, "Content-Encoding: %s\r\n", reply->content_encoding);
	for (size_t i = 0; i < reply->header_count; i++)
		buf_printf(head, "%.*s: %.*s\r\n", STR_PRINT(reply->headers[i].name),
			   STR_PRINT(reply->headers[i].value));
	if (!keep_open)
		buf_add_str(head, STR("Connection: close\r\n"));
	if (reply->status != 304)
		buf_printf(head, "Content-Type: %s\r\nContent-Length: %zu\r\n", reply->content_type,
			   reply->body.size);
	buf_add_str(head, STR("\r\n"));
}

/* A client that has gone away is nobody's failure. */
static void send_reply(struct mg_connection *connection, struct reply *reply, bool with_body,
		       bool keep_open)
{
	autoclean(buf) struct buf head = BUF(HEAD_SIZE_MAX + JOIN_SIZE_MAX);
	const struct buf *body = &reply->body;

	assert(reply->status >= 200 && reply->status < 600);
	assert(reply->status != 304 || body->size == 0);
	add_head(&head, reply, mg_get_response_code_text(connection, reply->status), keep_open);

	bool joined = with_body && body->size <= JOIN_SIZE_MAX;

	if (joined)
		buf_add(&head, body->bytes, body->size);
	if (!keep_open || head.error)
		mg_disable_connection_keep_alive(connection);
	if (head.error)
		return;
	if (mg_write(connection, head.bytes, head.size) > 0 && with_body && !joined)
		(void)mg_write(connection, body->bytes, body->size);
}

struct refusal {
	int status;
	enum limit limit; /* or LIMIT_NONE */
	const char *why;
};

static void refuse(struct mg_connection *connection, struct refusal refusal)
{
	struct http1 *http = mg_get_user_data(mg_get_context(connection));
	struct reply reply;

	assert(refusal.status >= 400 && refusal.status < 600);
	http->server->counters.requests_refused++;
	if (refusal.limit != LIMIT_NONE)
		http->server->counters.limits_hit[refusal.limit]++;
	reply_init(&reply);
	reply_error(&reply, refusal.status, NULL, "%s", refusal.why);
	send_reply(connection, &reply, true, false);
	reply_done(&reply);
}

static int fill_request(struct exchange *exchange, struct request *request)
{
	const struct mg_request_info *info = exchange->info;
	struct network_address address;

	assert(info->num_headers <= REQUEST_HEADER_COUNT_MAX); /* begin_request() saw to it */
	assert(request->header_count == 0);
	request->method = str_from(info->request_method);
	request->query = str_from(info->query_string);
	for (int i = 0; i < info->num_headers; i++)
		request->headers[request->header_count++] =
			(struct header){ str_from(info->http_headers[i].name),
					 str_from(info->http_headers[i].value) };
	snprintf(request->peer.address, sizeof(request->peer.address), "%.47s:%d",
		 info->remote_addr, info->remote_port);
	snprintf(request->peer.host, sizeof(request->peer.host), "%.47s", info->remote_addr);
	if (network_address_parse(str_from(request->peer.host), &address) &&
	    network_address_is_loopback(&address))
		request->peer.kind = PEER_LOOPBACK;
	request->read_body = read_body;
	request->body_context = exchange;
	if (!info->local_uri_raw)
		return -EBADMSG;

	int err = request_decode(str_from(info->local_uri_raw), false, &exchange->path);

	request->path = (struct str){ (const char *)exchange->path.bytes, exchange->path.size };
	return err;
}

static void answer(struct http1 *http, struct mg_connection *connection,
		   const struct mg_request_info *info)
{
	const char *expects = find_header(info, "expect");
	const char *length = find_header(info, "content-length");
	struct exchange exchange = {
		.connection = connection,
		.info = info,
		.path = BUF(REQUEST_HEAD_SIZE_MAX),
		.expects_continue = expects && strcasecmp(expects, "100-continue") == 0,
		.has_body = info->content_length > 0 ||
			    (!length && find_header(info, "transfer-encoding")),
	};
	struct request request = { 0 };
	struct reply reply;

	reply_init(&reply);
	exchange.body_ended = !exchange.has_body;
	if (fill_request(&exchange, &request))
		reply_error(&reply, 400, NULL, "the path is not percent-encoded as it should be");
	else
		routes_answer(http->routes, &request, &reply);
	send_reply(connection, &reply, strcmp(info->request_method, "HEAD") != 0,
		   stays_open(&exchange));
	reply_done(&reply);
	buf_done(&exchange.path);
}

/* ---- what civetweb calls ----------------------------------------------------------------------
 */

enum { ANSWERED = 200 }; /* any number above 0 tells civetweb that nothing is left to do */

/*
 * Without the spaces that may stand in it. civetweb can't say that a head did not fit its buffer,
 * so that one is larger than what we take.
 */
static size_t head_size(const struct mg_request_info *info)
{
	size_t size = strlen(info->request_method) + str_from(info->local_uri_raw).size +
		      str_from(info->query_string).size + strlen("  HTTP/1.1\r\n\r\n");

	for (int i = 0; i < info->num_headers; i++)
		size += strlen(info->http_headers[i].name) + strlen(info->http_headers[i].value) +
			strlen(": \r\n");
	return size;
}

static int begin_request(struct mg_connection *connection)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	struct http1 *http = mg_get_user_data(mg_get_context(connection));
	const char *why = objection(info);

	static_assert(REQUEST_HEADER_COUNT_MAX == 63 && REQUEST_HEAD_SIZE_MAX == 16384,
		      "the sentences say so");
	/* It keeps 64 and drops what follows, a Content-Length too: a full table may have lost
	 * some. */
	if (info->num_headers > REQUEST_HEADER_COUNT_MAX)
		refuse(connection, (struct refusal){ 431, LIMIT_HEADER_COUNT,
						     "there are more than 63 headers" });
	else if (head_size(info) > REQUEST_HEAD_SIZE_MAX)
		refuse(connection,
		       (struct refusal){ 431, LIMIT_HEAD_SIZE,
					 "request line and headers are longer than 16384 bytes" });
	else if (why)
		refuse(connection, (struct refusal){ .status = 400, .why = why });
	else
		answer(http, connection, info);
	return ANSWERED;
}

/* What civetweb itself does not understand is answered in our words and with our headers, too. */
static int http_error(struct mg_connection *connection, int status, const char *message)
{
	struct refusal refusal = {
		.status = status >= 400 && status <= 599 ? status : 500,
		.why = "this is no HTTP request that can be answered, or its line and headers are "
		       "longer than 16384 bytes",
	};

	(void)message;
	refuse(connection, refusal);
	return 0;
}

/* The program's top level logs, not its libraries. */
static int log_nothing(const struct mg_connection *connection, const char *message)
{
	(void)connection;
	(void)message;
	return 1;
}

/* ---- start and stop ---------------------------------------------------------------------------
 */

static int refuse_address(const char *address, char reterr[static HTTP1_ERROR_SIZE])
{
	snprintf(reterr, HTTP1_ERROR_SIZE,
		 "'%.80s' is not loopback, where anybody could ask, and nobody has a token: make "
		 "one "
		 "first with 'hearth token new NAME --role read', or listen on 127.0.0.1:4040 and "
		 "use "
		 "'ssh -L 4040:127.0.0.1:4040 HOST'",
		 address);
	return -EPERM;
}

static int parse_address(const char *address, struct sockaddr_in *ret,
			 char reterr[static HTTP1_ERROR_SIZE])
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_in result = { .sin_family = AF_INET };
	char host[64];
	uint64_t port;

	if (!colon || (size_t)(colon - address) >= sizeof(host) ||
	    parse_u64(str_from(colon + 1), &port) || port > UINT16_MAX) {
		snprintf(reterr, HTTP1_ERROR_SIZE,
			 "'%.100s' is not ADDRESS:PORT, as in 127.0.0.1:4040", address);
		return -EINVAL;
	}
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	if (strcmp(host, "[::1]") == 0) {
		snprintf(reterr, HTTP1_ERROR_SIZE,
			 "'%.100s': IPv6 is not listened on; write 127.0.0.1:%u", address,
			 (unsigned)port);
		return -EINVAL;
	}
	result.sin_port = htons((uint16_t)port);
	if (strcasecmp(host, "localhost") == 0) {
		result.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else if (inet_pton(AF_INET, host, &result.sin_addr) != 1) {
		snprintf(reterr, HTTP1_ERROR_SIZE,
			 "'%.100s' is no IP address and port, as in 127.0.0.1:4040", address);
		return -EINVAL;
	}
	*ret = result;
	return 0;
}

static bool is_loopback(const struct sockaddr_in *address)
{
	return ntohl(address->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

int http1_check(const struct settings *settings, char reterr[static HTTP1_ERROR_SIZE])
{
	autoclean(access) struct access *access = NULL;
	char reason[ACCESS_ERROR_SIZE] = "";
	struct sockaddr_in address;
	int err = parse_address(settings->http, &address, reterr);

	if (err)
		return err;
	err = access_new(settings, &access, reason);
	/* Whoever checks need not be the one who will read it. */
	if (err == -EACCES)
		return 0;
	if (err)
		snprintf(reterr, HTTP1_ERROR_SIZE, "%s", reason);
	else if (!is_loopback(&address) && !access_has_tokens(access))
		err = refuse_address(settings->http, reterr);
	return err;
}

/* Asks the kernel, since civetweb only says that it could not start. */
static int probe_address(const struct sockaddr_in *address, char reterr[static HTTP1_ERROR_SIZE])
{
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char host[INET_ADDRSTRLEN] = "";
	char owner[PORT_OWNER_TEXT_SIZE] = "";
	unsigned port = ntohs(address->sin_port);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address))) {
		int err = -errno;

		(void)inet_ntop(AF_INET, &address->sin_addr, host, sizeof(host));
		if (err == -EADDRINUSE && port_owner_describe((uint16_t)port, owner) == 0)
			snprintf(reterr, HTTP1_ERROR_SIZE,
				 "port %u is taken by %s; stop it, or choose another port with "
				 "--http %s:PORT",
				 port, owner, host);
		else if (err == -EADDRINUSE)
			snprintf(reterr, HTTP1_ERROR_SIZE,
				 "port %u is taken; choose another one with --http %s:PORT", port,
				 host);
		else
			snprintf(reterr, HTTP1_ERROR_SIZE, "cannot listen on %s:%u: %s", host, port,
				 strerror(-err));
		return err;
	}
	return 0;
}

static int start_civetweb(struct http1 *http, char reterr[static HTTP1_ERROR_SIZE])
{
	char host[INET_ADDRSTRLEN] = "";
	char where[INET_ADDRSTRLEN + 8];

	(void)inet_ntop(AF_INET, &http->address.sin_addr, host, sizeof(host));
	snprintf(where, sizeof(where), "%s:%u", host, (unsigned)ntohs(http->address.sin_port));

	/* clang-format off */
	const char *options[] = {
		"listening_ports", where,
		"num_threads", "32", /* routes.c counts on them */
		"max_request_size", "65536", /* see head_size() */
		"enable_keep_alive", "yes",
		"keep_alive_timeout_ms", "500", /* a thread is held as long as its connection is */
		"request_timeout_ms", "5000",
		"tcp_nodelay", "1",
		"connection_queue", "128",
		"listen_backlog", "256",
		"decode_url", "no", /* strictly, by ourselves */
		"decode_query_string", "no",
		"enable_directory_listing", "no",
		"enable_auth_domain_check", "no",
		NULL,
	};
	/* clang-format on */
	/*
	 * No document_root: what begin_request does not answer does not exist. No log_access: with
	 * it civetweb uses localtime, which is one for all its threads.
	 */
	struct mg_callbacks callbacks = {
		.begin_request = begin_request,
		.http_error = http_error,
		.log_message = log_nothing,
	};
	struct mg_server_port port = { 0 };

	(void)mg_init_library(MG_FEATURES_DEFAULT);
	http->uses_library = true;
	http->context = mg_start(&callbacks, http, options);
	if (!http->context || mg_get_server_ports(http->context, 1, &port) != 1) {
		snprintf(reterr, HTTP1_ERROR_SIZE, "cannot serve HTTP on %s", where);
		return -EIO;
	}
	assert(port.port > 0 && port.port <= UINT16_MAX);
	http->address.sin_port = htons((uint16_t)port.port);
	return 0;
}

int http1_start(const char *address, struct server *server, struct http1 **ret, uint16_t *ret_port,
		char reterr[static HTTP1_ERROR_SIZE])
{
	struct sockaddr_in where;
	int err = parse_address(address, &where, reterr);

	if (err)
		return err;

	autoclean(http1) struct http1 *http = calloc(1, sizeof(*http));
	char reason[ROUTES_ERROR_SIZE] = "out of memory";

	err = http ? routes_new(server, &http->routes, reason) : -ENOMEM;
	if (err) {
		snprintf(reterr, HTTP1_ERROR_SIZE, "cannot serve HTTP: %s", reason);
		return err;
	}
	if (!is_loopback(&where) && !routes_know_tokens(http->routes))
		return refuse_address(address, reterr);
	err = probe_address(&where, reterr);
	if (err)
		return err;
	http->address = where;
	http->server = server;
	err = start_civetweb(http, reterr);
	if (err)
		return err;

	*ret_port = ntohs(http->address.sin_port);
	*ret = TAKE(http);
	return 0;
}

/* civetweb's listening thread looks only every 2 s whether it should end, unless somebody comes. */
static void *come_by(void *context)
{
	const struct http1 *http = context;
	const struct timespec moment = { .tv_nsec = 20L * 1000 * 1000 };
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)nanosleep(&moment, NULL); /* mg_stop() has set its flag by then, else it takes 2 s */
	if (fd >= 0)
		(void)connect(fd, (const struct sockaddr *)&http->address, sizeof(http->address));
	return NULL;
}

struct http1 *http1_stop(struct http1 *http)
{
	pthread_t visitor;

	if (!http)
		return NULL;
	if (http->context) {
		bool visits = pthread_create(&visitor, NULL, come_by, http) == 0;

		mg_stop(http->context);
		if (visits)
			(void)pthread_join(visitor, NULL);
	}
	if (http->uses_library)
		(void)mg_exit_library();
	routes_free(http->routes);
	free(http);
	return NULL;
}

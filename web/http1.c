/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http1.h"

#include <arpa/inet.h>
#include <assert.h>
#include <civetweb.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "web/front.h"
#include "web/http1_reply.h"
#include "web/reply.h"
#include "web/routes.h"
#include "web/server.h"
#include "web/workers.h"

static_assert(MG_MAX_HEADERS == REQUEST_HEADER_COUNT_MAX + 1, "the front lets no more through");

enum {
	/*
	 * civetweb's read returns when all that was asked for is there. What is not here yet the
	 * front brings, or it ends the pair when its clock runs out.
	 */
	READ_SIZE = 16384,
	ANSWERED = 200, /* any number above 0 tells civetweb that nothing is left to do */
};

struct http1 {
	struct mg_context *context;
	struct pairs *pairs;
	struct server *server;
	struct routes *routes;
	struct workers *workers;
	bool uses_library;
};

struct pairs *http1_pairs(struct http1 *http)
{
	return http->pairs;
}

/* ---- one request ------------------------------------------------------------------------------
 */

struct exchange {
	struct mg_connection *connection;
	const struct mg_request_info *info;
	struct call *call;
	struct buf path;   /* decoded */
	int64_t body_left; /* -1: chunks, as many as come */
};

static int64_t read_body(struct request *request, void *bytes, size_t size)
{
	struct exchange *exchange = request->body_context;

	if (exchange->body_left == 0 || size == 0)
		return 0;
	if (size > READ_SIZE)
		size = READ_SIZE;
	if (exchange->body_left > 0 && (int64_t)size > exchange->body_left)
		size = (size_t)exchange->body_left;

	int count = mg_read(exchange->connection, bytes, size);

	/* An end that the front made is none of the body. */
	if (exchange->call->body_error)
		return exchange->call->body_error;
	if (count < 0 || (count == 0 && exchange->body_left > 0))
		return -ECONNRESET;
	if (count == 0)
		exchange->body_left = 0;
	else if (exchange->body_left > 0)
		exchange->body_left -= count;
	assert(exchange->body_left >= -1);
	return count;
}

static bool is_gone(const struct request *request)
{
	return call_is_abandoned(request->client);
}

static const char *find_header(const struct mg_request_info *info, const char *name)
{
	for (int i = 0; i < info->num_headers; i++)
		if (strcasecmp(info->http_headers[i].name, name) == 0)
			return info->http_headers[i].value;
	return NULL;
}

static int fill_request(struct exchange *exchange, struct request *request)
{
	const struct mg_request_info *info = exchange->info;

	if (!info->local_uri_raw || info->num_headers > REQUEST_HEADER_COUNT_MAX)
		return -EBADMSG;
	request->method = str_from(info->request_method);
	request->query = str_from(info->query_string);
	for (int i = 0; i < info->num_headers; i++)
		request->headers[request->header_count++] =
			(struct header){ str_from(info->http_headers[i].name),
					 str_from(info->http_headers[i].value) };
	request->peer = exchange->call->peer;
	request->read_body = read_body;
	request->body_context = exchange;
	request->is_gone = is_gone;
	request->client = exchange->call;

	int err = request_decode(str_from(info->local_uri_raw), false, &exchange->path);

	request->path = (struct str){ (const char *)exchange->path.bytes, exchange->path.size };
	return err;
}

/* The rest is the front's, and what can't be written so. */
static void send_small(struct call *call)
{
	autoclean(buf) struct buf whole = BUF(HTTP1_FIRST_SIZE_MAX);

	if (!call->may_send || !http1_is_small(&call->reply, call->is_for_head))
		return;
	http1_write(&call->reply, call->is_for_head, call->stays_open, &whole);
	if (!whole.error)
		call_send(call, &whole);
}

static void answer(struct http1 *http, struct mg_connection *connection,
		   const struct mg_request_info *info, struct call *call)
{
	struct exchange exchange = {
		.connection = connection,
		.info = info,
		.call = call,
		.path = BUF(REQUEST_HEAD_SIZE_MAX),
		.body_left = find_header(info, "transfer-encoding") ? -1
			     : info->content_length > 0		    ? info->content_length
								    : 0,
	};
	struct request request = { 0 };

	if (fill_request(&exchange, &request))
		reply_error(&call->reply, 400, NULL,
			    "the path is not percent-encoded as it should be");
	else
		routes_answer(http->routes, &request, &call->reply);
	buf_done(&exchange.path);
	send_small(call);
	front_return(call);
}

/* ---- what civetweb calls ----------------------------------------------------------------------
 */

static bool read_key(const struct mg_request_info *info, struct pair_key *ret)
{
	struct in_addr address;

	if (inet_pton(AF_INET, info->remote_addr, &address) != 1)
		return false;
	*ret = (struct pair_key){ .address = ntohl(address.s_addr),
				  .port = (uint16_t)info->remote_port };
	return true;
}

/*
 * civetweb's threads have stacks of 100 KiB, whatever one asks for: less than a question takes at
 * its deepest, and what is written beyond its end belongs to another thread. So a thread of ours
 * answers, while civetweb's waits.
 */
struct visit {
	struct job job;
	sem_t is_over;
	struct http1 *http;
	struct mg_connection *connection;
	const struct mg_request_info *info;
	struct call *call;
};

static_assert((int)HTTP1_THREAD_COUNT <= (int)WORKER_COUNT_MAX, "nobody waits for a thread");

static void answer_visit(struct job *job)
{
	struct visit *visit = (struct visit *)((char *)job - offsetof(struct visit, job));

	answer(visit->http, visit->connection, visit->info, visit->call);
	(void)sem_post(&visit->is_over);
}

static void answer_elsewhere(struct visit *visit)
{
	visit->job.run = answer_visit;
	(void)sem_init(&visit->is_over, 0, 0);
	workers_give(visit->http->workers, &visit->job);
	while (sem_wait(&visit->is_over))
		assert(errno == EINTR);
	(void)sem_destroy(&visit->is_over);
}

static int begin_request(struct mg_connection *connection)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	struct http1 *http = mg_get_user_data(mg_get_context(connection));
	struct pair_key key;
	struct call *call = read_key(info, &key) ? pairs_take_call(http->pairs, key) : NULL;

	struct visit visit = { .http = http, .connection = connection, .info = info, .call = call };

	if (call)
		answer_elsewhere(&visit);
	else
		mg_disable_connection_keep_alive(connection); /* the front has given it up */
	return ANSWERED;
}

/* What civetweb does not understand it says by ending the pair; the front has words for that. */
static int http_error(struct mg_connection *connection, int status, const char *message)
{
	(void)connection;
	(void)status;
	(void)message;
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

static int start_civetweb(struct http1 *http)
{
	static_assert(HTTP1_THREAD_COUNT == 32, "the option below says so");
	/* clang-format off */
	const char *options[] = {
		"listening_ports", "127.0.0.1:0", /* bound for a moment, and never listened on */
		"num_threads", "32",
		"max_request_size", "65536",
		"enable_keep_alive", "yes",
		"keep_alive_timeout_ms", "86400000", /* the clocks are the front's */
		"request_timeout_ms", "86400000",
		"tcp_nodelay", "0", /* it is no TCP */
		"connection_queue", "64",
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

	(void)mg_init_library(MG_FEATURES_DEFAULT);
	http->uses_library = true;
	pairs_begin(http->pairs);
	http->context = mg_start(&callbacks, http, options);

	int err = pairs_take_over(http->pairs);

	return http->context ? err : -EIO;
}

int http1_new(struct server *server, struct routes *routes, struct http1 **ret)
{
	autoclean(http1) struct http1 *http = calloc(1, sizeof(*http));

	if (!http)
		return -ENOMEM;
	http->server = server;
	http->routes = routes;

	int err = pairs_new(&http->pairs);

	if (!err)
		err = workers_new(WORKER_RESTING_NS, &http->workers);
	if (!err)
		err = start_civetweb(http);
	if (err)
		return err;
	*ret = TAKE(http);
	return 0;
}

/* civetweb's listening thread looks only every 2 s whether it should end, unless somebody comes. */
static void *come_by(void *context)
{
	const struct timespec moment = { .tv_nsec = 20L * 1000 * 1000 };
	struct http1 *http = context;

	(void)nanosleep(&moment, NULL); /* mg_stop() has set its flag by then, else it takes 2 s */
	pairs_nudge(http->pairs);
	return NULL;
}

struct http1 *http1_free(struct http1 *http)
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
	workers_free(http->workers); /* before the pairs, whose calls they answer */
	pairs_free(http->pairs);
	free(http);
	return NULL;
}

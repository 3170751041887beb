/* SPDX-License-Identifier: Apache-2.0 */
#include "web/front.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "symbols/symbols.h"
#include "web/front_inside.h"

enum {
	EVENT_COUNT = 128,
	ACCEPT_COUNT = 64, /* in a row, before others have their turn */
	/* For the store and the collector; for programs that make code, of which there are
	 * seldom more; for bodies that lie in a file. */
	DESCRIPTORS_KEPT = 64 + 64 + HTTP1_READING_MAX + WORKER_COUNT_MAX,
	/* Both ends of a pair, and the library's for as long as it takes to close it. */
	DESCRIPTORS_OF_PAIR = 3,
	CONNECTIONS_MIN = 8,
	STOP_SECONDS_MAX = 10,
};

#define TICK_NS	     ((uint64_t)100 * CLOCK_NS_PER_MS)
#define TICK_IDLE_NS ((uint64_t)5 * CLOCK_NS_PER_S)

/* ---- epoll ------------------------------------------------------------------------------------
 */

int front_add(struct front *front, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data = { .ptr = source } };

	assert(source->fd >= 0 && source->ready);
	source->wanted = events;
	return epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) ? -errno : 0;
}

void front_want(struct front *front, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data = { .ptr = source } };

	if (source->fd < 0 || source->wanted == events)
		return;

	int code = epoll_ctl(front->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);

	assert(code == 0);
	source->wanted = events;
}

void front_remove(struct source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

struct server *front_server(const struct front *front)
{
	return front->server;
}

const struct front_protocols *front_protocols_of(const struct front *front)
{
	return &front->protocols;
}

uint64_t front_now_ns(const struct front *front)
{
	return front->now_ns;
}

void front_tick_soon(struct front *front)
{
	uint64_t soon_ns = front->now_ns + TICK_NS;

	if (front->next_tick_ns > soon_ns)
		front->next_tick_ns = soon_ns;
}

void front_count_limit(struct front *front, enum limit limit)
{
	front->server->counters.limits_hit[limit]++;
}

void front_resume_accepting(struct front *front)
{
	if (!front->is_paused)
		return;
	front->is_paused = false;
	for (size_t i = 0; i < front->listener_count; i++)
		front_want(front, &front->listeners[i].source, EPOLLIN);
}

/* ---- letting in -------------------------------------------------------------------------------
 */

static void describe_peer(int fd, const struct sockaddr_storage *from, struct peer *peer)
{
	char host[INET6_ADDRSTRLEN] = "";
	struct ucred who;
	socklen_t size = sizeof(who);

	*peer = (struct peer){ .kind = PEER_REMOTE };
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *four = (const struct sockaddr_in *)from;

		(void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
		if (ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
			peer->kind = PEER_LOOPBACK;
		snprintf(peer->address, sizeof(peer->address), "%s:%u", host,
			 (unsigned)ntohs(four->sin_port));
	} else if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

		(void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
		if (IN6_IS_ADDR_LOOPBACK(&six->sin6_addr))
			peer->kind = PEER_LOOPBACK;
		snprintf(peer->address, sizeof(peer->address), "[%s]:%u", host,
			 (unsigned)ntohs(six->sin6_port));
	} else {
		bool is_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0;

		peer->kind = PEER_UNIX;
		peer->is_owner = is_known && (who.uid == 0 || who.uid == geteuid());
		snprintf(peer->address, sizeof(peer->address), "unix uid %d",
			 is_known ? (int)who.uid : -1);
	}
	snprintf(peer->host, sizeof(peer->host), "%s", host);
}

/* The connection that has been idle for the longest makes room. */
static bool end_oldest_idle(struct front *front)
{
	struct connection *oldest = NULL;

	for (struct connection *c = front->connections; c; c = c->next)
		if (c->clock == CLOCK_IDLE && connection_is_flushed(c) &&
		    (!oldest || c->clock_ns < oldest->clock_ns))
			oldest = c;
	if (oldest)
		connection_close(oldest);
	return oldest != NULL;
}

static int limit_peer(struct front *front, struct connection *connection)
{
	if (connection->peer.kind != PEER_REMOTE)
		return 0;
	connection->entry = peers_enter(front->peers, connection->peer.host);
	if (!connection->entry)
		return -ENOMEM;
	if (peers_connections(connection->entry) <= CONNECTION_PER_PEER_MAX)
		return 0;
	peers_leave(front->peers, connection->entry);
	front_count_limit(front, LIMIT_PEER_CONNECTIONS);
	return -EBUSY;
}

static void admit(struct front *front, int accepted, const struct sockaddr_storage *from)
{
	autoclose int fd = accepted;
	int on = 1;

	if (front->connection_count >= front->connection_max) {
		front_count_limit(front, LIMIT_CONNECTIONS);
		if (!end_oldest_idle(front))
			return;
	}

	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return;
	connection->front = front;
	connection->idle_seconds = CONNECTION_IDLE_SECONDS_MAX;
	connection->source = (struct source){ .fd = fd, .ready = connection_ready };
	describe_peer(fd, from, &connection->peer);
	if (connection->peer.kind != PEER_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (limit_peer(front, connection)) {
		free(connection);
		return;
	}
	if (front_add(front, &connection->source, EPOLLIN)) {
		if (connection->entry)
			peers_leave(front->peers, connection->entry);
		free(connection);
		return;
	}
	(void)TAKE_FD(fd);
	connection_set_clock(connection, CLOCK_IDLE);
	connection->next = front->connections;
	if (front->connections)
		front->connections->previous = connection;
	front->connections = connection;
	front->connection_count++;
}

/* No descriptor, or no memory, for another one. */
static void pause_accepting(struct front *front, int err)
{
	front_count_limit(front, LIMIT_CONNECTIONS);
	if (front->is_paused)
		return;
	log_warning("no connection can be accepted: %s; it is tried again", strerror(-err));
	front->is_paused = true;
	for (size_t i = 0; i < front->listener_count; i++)
		front_want(front, &front->listeners[i].source, 0);
	front_tick_soon(front);
	(void)end_oldest_idle(front);
}

static void listener_ready(struct source *source, uint32_t events)
{
	struct front *front = ((struct listener *)source)->front;

	(void)events;
	for (int i = 0; i < ACCEPT_COUNT; i++) {
		struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
		socklen_t size = sizeof(from);
		int fd = accept4(source->fd, (struct sockaddr *)&from, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(front, fd, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(front, -errno);
		return;
	}
}

bool front_take_request(struct connection *connection)
{
	struct front *front = connection->front;

	if (!connection->entry ||
	    peers_take_request(front->peers, connection->entry, front->now_ns))
		return true;
	front_count_limit(front, LIMIT_REQUEST_RATE);
	return false;
}

/* ---- calls that come back ---------------------------------------------------------------------
 */

static void wake(struct front *front)
{
	uint64_t one = 1;
	ssize_t count = write(front->wake.fd, &one, sizeof(one));

	assert(count == (ssize_t)sizeof(one) || errno == EAGAIN);
}

/* With the lock held. */
static void list_call(struct front *front, struct call *call)
{
	bool is_first = !front->returned;

	assert(!call->is_listed);
	call->is_listed = true;
	call->next = front->returned;
	front->returned = call;
	/* Inside, so that the front is not gone by the time it is woken. */
	if (is_first)
		wake(front);
}

void front_return(struct call *call)
{
	struct front *front = call->front;

	pthread_mutex_lock(&front->lock);

	bool was_listed = call->is_listed;

	assert(!call->is_returned);
	call->is_returned = true;
	if (!was_listed)
		list_call(front, call);
	pthread_mutex_unlock(&front->lock);
	if (was_listed)
		call_release(call); /* the list has one of its own */
}

void front_notice(struct call *call)
{
	struct front *front = call->front;

	pthread_mutex_lock(&front->lock);
	if (!call->is_listed)
		list_call(front, call_hold(call));
	pthread_mutex_unlock(&front->lock);
}

static struct call *take_returned(struct front *front, bool *ret_is_stopping)
{
	struct call *first = NULL;

	pthread_mutex_lock(&front->lock);
	/* In the order in which they came. */
	while (front->returned) {
		struct call *call = front->returned;

		front->returned = call->next;
		call->is_listed = false;
		call->was_returned = call->is_returned;
		call->taken = first; /* a worker may list it again at once */
		first = call;
	}
	*ret_is_stopping = front->is_stopping;
	pthread_mutex_unlock(&front->lock);
	return first;
}

static void begin_stop(struct front *front)
{
	front->stop_ns = front->now_ns + seconds_ns(STOP_SECONDS_MAX);
	for (size_t i = 0; i < front->listener_count; i++)
		front_remove(&front->listeners[i].source);
	for (struct connection *c = front->connections, *next; c; c = next) {
		next = c->next;
		connection_conclude(c, c->protocol ? c->protocol->stop(c) : -ESHUTDOWN);
	}
	front_tick_soon(front);
}

static void wake_ready(struct source *source, uint32_t events)
{
	struct front *front = (struct front *)((char *)source - offsetof(struct front, wake));
	bool is_stopping;

	(void)events;

	struct call *call = take_returned(front, &is_stopping);

	while (call) {
		struct call *next = call->taken;
		struct connection *connection = call->connection;

		if (connection && !connection->is_dead)
			connection_conclude(
				connection,
				call->was_returned
					? connection->protocol->answered(connection, call)
					: connection->protocol->noticed(connection, call));
		call_release(call);
		call = next;
	}
	if (is_stopping && !front->stop_ns)
		begin_stop(front);
}

/* ---- clocks -----------------------------------------------------------------------------------
 */

static int check_clocks(struct connection *connection, uint64_t now_ns)
{
	struct front *front = connection->front;
	uint64_t elapsed_ns = now_ns - connection->clock_ns;

	if (!connection_is_flushed(connection) &&
	    now_ns - connection->progress_ns > seconds_ns(ANSWER_STALL_SECONDS_MAX)) {
		front_count_limit(front, LIMIT_WRITE_TIME);
		return -ETIMEDOUT;
	}
	if (connection->clock == CLOCK_IDLE && connection_is_flushed(connection) &&
	    elapsed_ns > seconds_ns(connection->idle_seconds)) {
		front_count_limit(front, LIMIT_IDLE_TIME);
		return -ETIMEDOUT;
	}
	if (!connection->protocol && connection->clock == CLOCK_HEAD &&
	    elapsed_ns > seconds_ns(REQUEST_HEAD_SECONDS_MAX)) {
		front_count_limit(front, LIMIT_HEAD_TIME);
		return -ETIMEDOUT;
	}
	if (connection->clock == CLOCK_LINGER && elapsed_ns > seconds_ns(CONNECTION_LINGER_SECONDS))
		return -ETIMEDOUT;
	if (connection->protocol && connection->clock != CLOCK_LINGER)
		return connection->protocol->tick(connection, now_ns);
	return 0;
}

/* Over the budget, whoever has not read on for the longest is ended. */
static void keep_budget(struct front *front)
{
	while (front->unread_size > ANSWERS_UNREAD_SIZE_MAX) {
		struct connection *slowest = NULL;

		for (struct connection *c = front->connections; c; c = c->next)
			if (c->unread_size > 0 &&
			    (!slowest || c->progress_ns < slowest->progress_ns))
				slowest = c;
		assert(slowest);
		if (front->now_ns - slowest->progress_ns < (uint64_t)CLOCK_NS_PER_S)
			return;
		front_count_limit(front, LIMIT_UNREAD_ANSWERS);
		connection_close(slowest);
	}
}

static void tick(struct front *front)
{
	bool is_busy = false;

	for (struct connection *c = front->connections, *next; c; c = next) {
		next = c->next;

		int err = check_clocks(c, front->now_ns);

		connection_conclude(c, err);
		is_busy |= !c->is_dead && ((c->clock != CLOCK_IDLE && c->clock != CLOCK_WORK) ||
					   !connection_is_flushed(c));
	}
	keep_budget(front);
	front_resume_accepting(front);
	front->next_tick_ns = front->now_ns + (is_busy || front->stop_ns ? TICK_NS : TICK_IDLE_NS);
}

static int wait_ms(const struct front *front)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (front->connection_count == 0 && !front->is_paused && !front->stop_ns)
		return -1;
	if (front->next_tick_ns <= now_ns)
		return 0;
	return (int)((front->next_tick_ns - now_ns) / CLOCK_NS_PER_MS) + 1;
}

static bool is_done(const struct front *front)
{
	return front->stop_ns && (front->connection_count == 0 || front->now_ns > front->stop_ns);
}

static void *run(void *context)
{
	struct front *front = context;
	struct epoll_event events[EVENT_COUNT];

	front->now_ns = clock_monotonic_ns();
	while (!is_done(front)) {
		int count = epoll_wait(front->epoll_fd, events, EVENT_COUNT, wait_ms(front));

		front->now_ns = clock_monotonic_ns();
		front->turned_ns = front->now_ns;
		for (int i = 0; i < count; i++) {
			struct source *source = events[i].data.ptr;

			if (source->fd >= 0)
				source->ready(source, events[i].events);
		}
		if (front->now_ns >= front->next_tick_ns)
			tick(front);
		front_free_dead(front);
	}
	while (front->connections)
		connection_close(front->connections);
	front_free_dead(front);
	return NULL;
}

/* ---- start and stop ---------------------------------------------------------------------------
 */

/* How many connections there are descriptors for: one for each, when all else has its own. */
static size_t connections_possible(void)
{
	size_t others = DESCRIPTORS_KEPT + (size_t)DESCRIPTORS_OF_PAIR * HTTP1_THREAD_COUNT +
			symbols_descriptor_count_max();
	size_t count = descriptors_raise(others + CONNECTION_COUNT_MAX);

	return count > others + CONNECTIONS_MIN ? count - others : CONNECTIONS_MIN;
}

static int add_listener(struct front *front, const struct listen_address *address, int fd,
			char reterr[static FRONT_ERROR_SIZE])
{
	struct listener *listener = &front->listeners[front->listener_count++];
	int err;

	*listener = (struct listener){
		.source = { .fd = fd, .ready = listener_ready },
		.front = front,
		.address = *address,
	};
	err = front_add(front, &listener->source, EPOLLIN);
	if (err)
		snprintf(reterr, FRONT_ERROR_SIZE, "cannot wait for connections: %s",
			 strerror(-err));
	return err;
}

/* Whether hearth is of no use without this one: none of --http is open, and no other may be. */
static bool is_needed(const struct front *front, const struct listen_addresses *addresses, size_t i)
{
	/* Those that are optional stand behind. */
	return front->listener_count == 0 &&
	       (i + 1 == addresses->count || addresses->items[i + 1].is_optional);
}

/* What somebody else has is done without, and told, where something is left to be served. */
static int open_listeners(struct front *front, struct listen_addresses *addresses,
			  char reterr[static FRONT_ERROR_SIZE])
{
	static_assert((int)LISTEN_ERROR_SIZE <= (int)FRONT_ERROR_SIZE &&
			      (int)LISTEN_ERROR_SIZE <= (int)sizeof(front->server->address_missing),
		      "one fits into the other");

	for (size_t i = 0; i < addresses->count; i++) {
		struct listen_address *address = &addresses->items[i];
		int fd = -1;
		int err = listen_address_open(address, front->server->settings->http_socket_group,
					      &fd, reterr);

		if (err && (address->is_optional ||
			    (err == -EADDRINUSE && !is_needed(front, addresses, i)))) {
			log_warning("going on without one address: %s", reterr);
			snprintf(front->server->address_missing,
				 sizeof(front->server->address_missing), "%s", reterr);
			address->is_missing = true;
			continue;
		}
		if (!err)
			err = add_listener(front, address, fd, reterr);
		if (err)
			return err;
	}
	return 0;
}

int front_new(struct server *server, struct listen_addresses *addresses,
	      const struct front_protocols *protocols, struct front **ret,
	      char reterr[static FRONT_ERROR_SIZE])
{
	autoclean(front) struct front *front = calloc(1, sizeof(*front));
	int err = front ? 0 : -ENOMEM;

	if (front) {
		front->server = server;
		front->protocols = *protocols;
		front->connection_max = connections_possible();
		front->next_tick_ns = UINT64_MAX;
		front->turned_ns = clock_monotonic_ns();
		(void)pthread_mutex_init(&front->lock, NULL);
		front->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		front->wake = (struct source){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
					       .ready = wake_ready };
		if (front->epoll_fd < 0 || front->wake.fd < 0)
			err = -errno;
		if (!err)
			/* Each write is told once, so that the counter need not be read. */
			err = front_add(front, &front->wake, EPOLLIN | EPOLLET);
		if (!err)
			err = peers_new(server->settings->requests_per_second, &front->peers);
	}
	if (err) {
		snprintf(reterr, FRONT_ERROR_SIZE, "cannot serve HTTP: %s", strerror(-err));
		return err;
	}
	err = open_listeners(front, addresses, reterr);
	if (err)
		return err;
	*ret = TAKE(front);
	return 0;
}

int front_start(struct front *front)
{
	int code = pthread_create(&front->thread, NULL, run, front);

	front->is_started = code == 0;
	return -code;
}

uint64_t front_turned_ns(struct front *front)
{
	uint64_t turned_ns = front->turned_ns;

	wake(front);
	return turned_ns;
}

void front_stop(struct front *front)
{
	if (!front->is_started)
		return;
	pthread_mutex_lock(&front->lock);
	front->is_stopping = true;
	pthread_mutex_unlock(&front->lock);
	wake(front);
	(void)pthread_join(front->thread, NULL);
	front->is_started = false;
}

struct front *front_free(struct front *front)
{
	bool ignored;

	if (!front)
		return NULL;
	assert(!front->is_started && front->connection_count == 0);
	for (struct call *call = take_returned(front, &ignored), *next; call; call = next) {
		next = call->next;
		call_release(call);
	}
	for (size_t i = 0; i < front->listener_count; i++) {
		front_remove(&front->listeners[i].source);
		listen_address_forget(&front->listeners[i].address);
	}
	front_remove(&front->wake);
	if (front->epoll_fd >= 0)
		close(front->epoll_fd);
	peers_free(front->peers);
	(void)pthread_mutex_destroy(&front->lock);
	free(front);
	return NULL;
}

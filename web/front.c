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
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "web/listen_address.h"
#include "web/peers.h"
#include "web/server.h"

enum {
	EVENT_COUNT = 128,
	ACCEPT_COUNT = 64, /* in a row, before others have their turn */
	SCRATCH_SIZE = 64 << 10,
	DESCRIPTORS_KEPT = 64, /* for the store, files and the collector */
	DESCRIPTORS_EACH = 3,  /* the client's, and both ends of its pair */
	CONNECTIONS_MIN = 8,
	STOP_SECONDS_MAX = 10,
};

#define TICK_NS	      ((uint64_t)100 * CLOCK_NS_PER_MS)
#define TICK_IDLE_NS  ((uint64_t)5 * CLOCK_NS_PER_S)
#define seconds_ns(n) ((uint64_t)(n)*CLOCK_NS_PER_S)

struct listener {
	struct source source; /* first: epoll points here */
	struct front *front;
	struct listen_address address;
};

struct front {
	struct server *server;
	const struct protocol *http1;
	void *http1_context;
	int epoll_fd;
	struct source wake; /* an eventfd: calls came back, or it is time to stop */
	struct listener listeners[LISTEN_ADDRESS_COUNT_MAX];
	size_t listener_count;
	struct peers *peers;
	pthread_t thread;
	bool is_started;

	struct connection *connections;
	struct connection *dead; /* to be freed when the events at hand are done */
	size_t connection_count, connection_max;
	bool is_paused; /* no descriptors: nobody is let in */
	size_t unread_size;
	uint64_t now_ns, next_tick_ns, stop_ns;

	pthread_mutex_t lock; /* of what follows */
	struct call *returned;
	bool is_stopping;

	uint8_t scratch[SCRATCH_SIZE];
};

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

void *front_http1_context(const struct front *front)
{
	return front->http1_context;
}

static void tick_soon(struct front *front)
{
	uint64_t soon_ns = front->now_ns + TICK_NS;

	if (front->next_tick_ns > soon_ns)
		front->next_tick_ns = soon_ns;
}

static void count_limit(struct front *front, enum limit limit)
{
	front->server->counters.limits_hit[limit]++;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* How many went, 0 when nothing can now, negative when the connection is broken. */
static ssize_t put(struct connection *connection, const void *bytes, size_t size)
{
	ssize_t count = send(connection->source.fd, bytes, size, MSG_NOSIGNAL);

	if (count >= 0)
		return count;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static size_t large_left(const struct connection *connection)
{
	assert(connection->large_sent <= connection->large.size);
	return connection->large.size - connection->large_sent;
}

bool connection_is_flushed(const struct connection *connection)
{
	return connection->out.size == 0 && large_left(connection) == 0;
}

static void drop_large(struct connection *connection)
{
	struct front *front = connection->front;

	assert(front->unread_size >= large_left(connection));
	front->unread_size -= large_left(connection);
	buf_done(&connection->large);
	connection->large = BUF(0);
	connection->large_sent = 0;
}

/* Sends what waits, as far as the socket takes it. */
static int flush(struct connection *connection)
{
	struct front *front = connection->front;

	while (connection->out.size > 0) {
		ssize_t count = put(connection, fifo_bytes(&connection->out), connection->out.size);

		if (count <= 0)
			return (int)count;
		fifo_drop(&connection->out, (size_t)count);
		connection->progress_ns = front->now_ns;
	}
	while (large_left(connection) > 0) {
		ssize_t count = put(connection, connection->large.bytes + connection->large_sent,
				    large_left(connection));

		if (count <= 0)
			return (int)count;
		connection->large_sent += (size_t)count;
		front->unread_size -= (size_t)count;
		connection->progress_ns = front->now_ns;
	}
	if (connection->large.size > 0)
		drop_large(connection);
	return 0;
}

int connection_send(struct connection *connection, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;

	assert(large_left(connection) == 0);
	while (size > 0 && connection->out.size == 0) {
		ssize_t count = put(connection, next, size);

		if (count < 0)
			return (int)count;
		if (count == 0)
			break;
		next += count;
		size -= (size_t)count;
	}
	if (size == 0)
		return 0;
	if (connection->out.size == 0)
		connection->progress_ns = connection->front->now_ns;
	tick_soon(connection->front);
	return fifo_add(&connection->out, next, size);
}

int connection_send_large(struct connection *connection, struct buf *bytes)
{
	assert(large_left(connection) == 0 && !bytes->error);
	if (connection->out.size == 0)
		connection->progress_ns = connection->front->now_ns;
	connection->large = *bytes;
	connection->large_sent = 0;
	connection->front->unread_size += bytes->size;
	*bytes = BUF(bytes->limit);
	tick_soon(connection->front);
	return flush(connection);
}

/* ---- connections ------------------------------------------------------------------------------
 */

void connection_set_clock(struct connection *connection, enum front_clock clock)
{
	connection->clock = clock;
	connection->clock_ns = connection->front->now_ns;
	if (clock != CLOCK_IDLE && clock != CLOCK_WORK)
		tick_soon(connection->front);
}

static bool wants_input(const struct connection *connection)
{
	if (connection->has_ended)
		return false;
	if (connection->clock == CLOCK_LINGER || !connection->protocol)
		return true;
	return connection->protocol->wants_input(connection);
}

void connection_refresh(struct connection *connection)
{
	if (connection->is_dead)
		return;
	front_want(connection->front, &connection->source,
		   (wants_input(connection) ? (uint32_t)EPOLLIN : 0) |
			   (connection_is_flushed(connection) ? 0 : (uint32_t)EPOLLOUT));
}

static void resume_accepting(struct front *front)
{
	if (!front->is_paused)
		return;
	front->is_paused = false;
	for (size_t i = 0; i < front->listener_count; i++)
		front_want(front, &front->listeners[i].source, EPOLLIN);
}

static void close_connection(struct connection *connection)
{
	struct front *front = connection->front;

	if (connection->is_dead)
		return;
	connection->is_dead = true;
	if (connection->protocol)
		connection->protocol->close(connection);
	drop_large(connection);
	fifo_done(&connection->out);
	front_remove(&connection->source);
	if (connection->entry)
		peers_leave(front->peers, connection->entry);
	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		front->connections = connection->next;
	connection->next = front->dead;
	front->dead = connection;
	assert(front->connection_count > 0);
	front->connection_count--;
	resume_accepting(front);
}

static void free_dead(struct front *front)
{
	while (front->dead) {
		struct connection *connection = front->dead;

		front->dead = connection->next;
		free(connection->state);
		free(connection);
	}
}

/* What the steps of a connection return. */
void connection_conclude(struct connection *connection, int err)
{
	if (err < 0)
		close_connection(connection);
	else
		connection_refresh(connection);
}

int connection_finish(struct connection *connection)
{
	connection->is_last = true;
	if (!connection_is_flushed(connection)) {
		connection_refresh(connection);
		return 0;
	}
	if (connection->has_ended)
		return -ECONNRESET;
	/* Closing now would reset the connection when something is unread, and with it the answer
	 * that the client has not read yet. */
	if (connection->clock != CLOCK_LINGER) {
		(void)shutdown(connection->source.fd, SHUT_WR);
		connection_set_clock(connection, CLOCK_LINGER);
	}
	connection_refresh(connection);
	return 0;
}

static int start_protocol(struct connection *connection, const struct protocol *protocol)
{
	connection->protocol = protocol;
	return protocol->start(connection);
}

static int take_input(struct connection *connection, const uint8_t *bytes, size_t size)
{
	if (connection->clock == CLOCK_LINGER)
		return 0;
	if (!connection->protocol) {
		int err = start_protocol(connection, connection->front->http1);

		if (err)
			return err;
	}
	return connection->protocol->input(connection, bytes, size);
}

static int take_end(struct connection *connection)
{
	connection->has_ended = true;
	if (!connection->protocol || connection->clock == CLOCK_LINGER)
		return -ECONNRESET;
	return connection->protocol->input_ended(connection);
}

static int receive(struct connection *connection)
{
	struct front *front = connection->front;

	while (!connection->is_dead && wants_input(connection)) {
		ssize_t count = recv(connection->source.fd, front->scratch, SCRATCH_SIZE, 0);

		if (count < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;

		int err = count == 0 ? take_end(connection)
				     : take_input(connection, front->scratch, (size_t)count);

		if (err < 0 || connection->is_dead)
			return err;
		/* Saves the call that would say that there is nothing more. */
		if ((size_t)count < SCRATCH_SIZE)
			return 0;
	}
	return 0;
}

static int flushed(struct connection *connection)
{
	if (connection->is_last)
		return connection_finish(connection);
	if (connection->clock == CLOCK_IDLE)
		connection_set_clock(connection, CLOCK_IDLE); /* from now on */
	return connection->protocol ? connection->protocol->flushed(connection) : 0;
}

static void client_ready(struct source *source, uint32_t events)
{
	struct connection *connection = (struct connection *)source;
	int err = 0;

	if (connection->is_dead)
		return;
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && !connection_is_flushed(connection)) {
		err = flush(connection);
		if (!err && connection_is_flushed(connection))
			err = flushed(connection);
	}
	if (err >= 0)
		err = receive(connection);
	/* They are reported unasked, and would be for ever. */
	if (err >= 0 && connection->has_ended && (events & (EPOLLERR | EPOLLHUP)))
		err = -ECONNRESET;
	connection_conclude(connection, err);
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
		close_connection(oldest);
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
	count_limit(front, LIMIT_PEER_CONNECTIONS);
	return -EBUSY;
}

static void admit(struct front *front, int accepted, const struct sockaddr_storage *from)
{
	autoclose int fd = accepted;
	int on = 1;

	if (front->connection_count >= front->connection_max) {
		count_limit(front, LIMIT_CONNECTIONS);
		if (!end_oldest_idle(front))
			return;
	}

	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return;
	connection->front = front;
	connection->source = (struct source){ .fd = fd, .ready = client_ready };
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
	count_limit(front, LIMIT_CONNECTIONS);
	if (front->is_paused)
		return;
	log_warning("no connection can be accepted: %s; it is tried again", strerror(-err));
	front->is_paused = true;
	for (size_t i = 0; i < front->listener_count; i++)
		front_want(front, &front->listeners[i].source, 0);
	tick_soon(front);
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
	count_limit(front, LIMIT_REQUEST_RATE);
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

void front_return(struct call *call)
{
	struct front *front = call->front;

	pthread_mutex_lock(&front->lock);

	bool is_first = !front->returned;

	call->next = front->returned;
	front->returned = call;
	/* Inside, so that the front is not gone by the time it is woken. */
	if (is_first)
		wake(front);
	pthread_mutex_unlock(&front->lock);
}

static struct call *take_returned(struct front *front, bool *ret_is_stopping)
{
	pthread_mutex_lock(&front->lock);

	struct call *last = front->returned;

	front->returned = NULL;
	*ret_is_stopping = front->is_stopping;
	pthread_mutex_unlock(&front->lock);

	/* In the order in which they came. */
	struct call *first = NULL;

	while (last) {
		struct call *next = last->next;

		last->next = first;
		first = last;
		last = next;
	}
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
	tick_soon(front);
}

static void wake_ready(struct source *source, uint32_t events)
{
	struct front *front = (struct front *)((char *)source - offsetof(struct front, wake));
	uint64_t count;
	bool is_stopping;
	ssize_t got = read(source->fd, &count, sizeof(count));

	(void)events;
	assert(got == (ssize_t)sizeof(count) || errno == EAGAIN);

	struct call *call = take_returned(front, &is_stopping);

	while (call) {
		struct call *next = call->next;
		struct connection *connection = call->connection;

		if (connection && !connection->is_dead)
			connection_conclude(connection,
					    connection->protocol->answered(connection, call));
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
		count_limit(front, LIMIT_WRITE_TIME);
		return -ETIMEDOUT;
	}
	if (connection->clock == CLOCK_IDLE && connection_is_flushed(connection) &&
	    elapsed_ns > seconds_ns(CONNECTION_IDLE_SECONDS_MAX)) {
		count_limit(front, LIMIT_IDLE_TIME);
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
			if (large_left(c) > 0 &&
			    (!slowest || c->progress_ns < slowest->progress_ns))
				slowest = c;
		assert(slowest);
		if (front->now_ns - slowest->progress_ns < (uint64_t)CLOCK_NS_PER_S)
			return;
		count_limit(front, LIMIT_UNREAD_ANSWERS);
		close_connection(slowest);
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
	resume_accepting(front);
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
		for (int i = 0; i < count; i++) {
			struct source *source = events[i].data.ptr;

			if (source->fd >= 0)
				source->ready(source, events[i].events);
		}
		if (front->now_ns >= front->next_tick_ns)
			tick(front);
		free_dead(front);
	}
	while (front->connections)
		close_connection(front->connections);
	free_dead(front);
	return NULL;
}

/* ---- start and stop ---------------------------------------------------------------------------
 */

/* As many as there may be, and how many connections that is good for. */
static size_t raise_descriptors(void)
{
	struct rlimit limit = { .rlim_cur = 1024 };
	rlim_t wanted = DESCRIPTORS_KEPT + (rlim_t)DESCRIPTORS_EACH * CONNECTION_COUNT_MAX;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted)
		return CONNECTION_COUNT_MAX;
	if (limit.rlim_cur <= DESCRIPTORS_KEPT + DESCRIPTORS_EACH * CONNECTIONS_MIN)
		return CONNECTIONS_MIN;
	return (size_t)(limit.rlim_cur - DESCRIPTORS_KEPT) / DESCRIPTORS_EACH;
}

static int open_listeners(struct front *front, struct listen_addresses *addresses,
			  char reterr[static FRONT_ERROR_SIZE])
{
	static_assert((int)LISTEN_ERROR_SIZE <= (int)FRONT_ERROR_SIZE, "one fits into the other");

	for (size_t i = 0; i < addresses->count; i++) {
		struct listener *listener = &front->listeners[i];
		int fd = -1;
		int err = listen_address_open(&addresses->items[i],
					      front->server->settings->http_socket_group, &fd,
					      reterr);

		if (err)
			return err;
		*listener = (struct listener){
			.source = { .fd = fd, .ready = listener_ready },
			.front = front,
			.address = addresses->items[i],
		};
		front->listener_count++;
		err = front_add(front, &listener->source, EPOLLIN);
		if (err) {
			snprintf(reterr, FRONT_ERROR_SIZE, "cannot wait for connections: %s",
				 strerror(-err));
			return err;
		}
	}
	return 0;
}

int front_new(struct server *server, struct listen_addresses *addresses,
	      const struct protocol *http1, void *http1_context, struct front **ret,
	      char reterr[static FRONT_ERROR_SIZE])
{
	autoclean(front) struct front *front = calloc(1, sizeof(*front));
	int err = front ? 0 : -ENOMEM;

	if (front) {
		front->server = server;
		front->http1 = http1;
		front->http1_context = http1_context;
		front->connection_max = raise_descriptors();
		front->next_tick_ns = UINT64_MAX;
		(void)pthread_mutex_init(&front->lock, NULL);
		front->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		front->wake = (struct source){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
					       .ready = wake_ready };
		if (front->epoll_fd < 0 || front->wake.fd < 0)
			err = -errno;
		if (!err)
			err = front_add(front, &front->wake, EPOLLIN);
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

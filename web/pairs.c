/* SPDX-License-Identifier: Apache-2.0 */
#include "web/pairs.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum {
	/* One server; tests have a second one that comes to nothing. */
	INSTANCE_COUNT_MAX = 8,
	PAIR_COUNT = HTTP1_THREAD_COUNT,
	PORT_FIRST = 1,
};

struct pair {
	bool is_open;
	uint32_t address;
	struct call *call;
};

struct pairs {
	int listening_fd; /* the library's; it closes it */
	int event_fd;	  /* ours for the same counter */

	pthread_mutex_t lock;
	struct pair pairs[PAIR_COUNT];
	uint32_t address; /* of the last */
	/* What waits to be accepted. */
	struct {
		int fd;
		struct pair_key key;
	} waiting[PAIR_COUNT];
	size_t waiting_first, waiting_count;
};

/*
 * Whose listening sockets are meant: accept() has nothing but a number to go by. Variables of file
 * scope, since the functions are the process's.
 */
static pthread_mutex_t instances_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pairs *instances[INSTANCE_COUNT_MAX];
static _Thread_local struct pairs *learning;

/* ---- the C library's functions ----------------------------------------------------------------
 */

int listen(int fd, int backlog)
{
	if (!learning)
		return (int)syscall(SYS_listen, fd, backlog);
	learning->listening_fd = fd;
	return 0;
}

static struct pairs *find_instance(int fd)
{
	struct pairs *found = NULL;

	pthread_mutex_lock(&instances_lock);
	for (size_t i = 0; i < INSTANCE_COUNT_MAX; i++)
		if (instances[i] && instances[i]->listening_fd == fd)
			found = instances[i];
	pthread_mutex_unlock(&instances_lock);
	return found;
}

/* Takes the next one that waits; -1 with errno as accept() has it. */
static int take_waiting(struct pairs *pairs, struct pair_key *ret_key)
{
	uint64_t one;
	int fd = -1;

	if (read(pairs->listening_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return -1;
	pthread_mutex_lock(&pairs->lock);
	if (pairs->waiting_count > 0) {
		fd = pairs->waiting[pairs->waiting_first].fd;
		*ret_key = pairs->waiting[pairs->waiting_first].key;
		pairs->waiting_first = (pairs->waiting_first + 1) % PAIR_COUNT;
		pairs->waiting_count--;
	}
	pthread_mutex_unlock(&pairs->lock);
	if (fd < 0)
		errno = EAGAIN;
	return fd;
}

int accept(int fd, struct sockaddr *address, socklen_t *restrict size)
{
	struct pairs *pairs = find_instance(fd);
	struct pair_key key;

	if (!pairs)
		return (int)syscall(SYS_accept4, fd, address, size, 0);

	int taken = take_waiting(pairs, &key);

	if (taken >= 0 && address && size) {
		struct sockaddr_in made_up = { .sin_family = AF_INET,
					       .sin_port = htons(key.port),
					       .sin_addr = { .s_addr = htonl(key.address) } };

		memcpy(address, &made_up, *size < sizeof(made_up) ? *size : sizeof(made_up));
		*size = sizeof(made_up);
	}
	return taken;
}

/* ---- start and stop ---------------------------------------------------------------------------
 */

int pairs_new(struct pairs **ret)
{
	autoclean(pairs) struct pairs *pairs = calloc(1, sizeof(*pairs));
	bool has_place = false;

	if (!pairs)
		return -ENOMEM;
	pairs->listening_fd = -1;
	(void)pthread_mutex_init(&pairs->lock, NULL);
	pairs->event_fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	if (pairs->event_fd < 0)
		return -errno;
	pthread_mutex_lock(&instances_lock);
	for (size_t i = 0; i < INSTANCE_COUNT_MAX && !has_place; i++) {
		has_place = !instances[i];
		if (has_place)
			instances[i] = pairs;
	}
	pthread_mutex_unlock(&instances_lock);
	if (!has_place)
		return -EBUSY;
	*ret = TAKE(pairs);
	return 0;
}

struct pairs *pairs_free(struct pairs *pairs)
{
	if (!pairs)
		return NULL;
	pthread_mutex_lock(&instances_lock);
	for (size_t i = 0; i < INSTANCE_COUNT_MAX; i++)
		if (instances[i] == pairs)
			instances[i] = NULL;
	pthread_mutex_unlock(&instances_lock);
	for (; pairs->waiting_count > 0; pairs->waiting_count--) {
		close(pairs->waiting[pairs->waiting_first].fd);
		pairs->waiting_first = (pairs->waiting_first + 1) % PAIR_COUNT;
	}
	if (pairs->event_fd >= 0)
		close(pairs->event_fd);
	(void)pthread_mutex_destroy(&pairs->lock);
	free(pairs);
	return NULL;
}

void pairs_begin(struct pairs *pairs)
{
	assert(!learning && pairs->listening_fd < 0);
	learning = pairs;
}

int pairs_take_over(struct pairs *pairs)
{
	assert(learning == pairs);
	learning = NULL;
	if (pairs->listening_fd < 0)
		return -EIO;
	/* The library's poll() of a socket that does not listen returns at once and finds the
	 * counter the next time. */
	return dup3(pairs->event_fd, pairs->listening_fd, O_CLOEXEC) < 0 ? -errno : 0;
}

void pairs_nudge(struct pairs *pairs)
{
	uint64_t one = 1;
	ssize_t count = write(pairs->event_fd, &one, sizeof(one));

	assert(count == (ssize_t)sizeof(one) || errno == EAGAIN);
}

/* ---- pairs ------------------------------------------------------------------------------------
 */

static size_t free_place(const struct pairs *pairs)
{
	size_t place = 0;

	while (place < PAIR_COUNT && pairs->pairs[place].is_open)
		place++;
	return place;
}

int pairs_open(struct pairs *pairs, struct pair_key *ret_key)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
		return -errno;
	pthread_mutex_lock(&pairs->lock);

	size_t place = free_place(pairs);

	if (place == PAIR_COUNT || pairs->waiting_count == PAIR_COUNT) {
		pthread_mutex_unlock(&pairs->lock);
		close(ends[0]);
		close(ends[1]);
		return -EBUSY;
	}
	/* A worker may still be at a request of the one that had this place before. */
	if (++pairs->address == 0)
		pairs->address = 1;
	*ret_key = (struct pair_key){ .address = pairs->address,
				      .port = (uint16_t)(PORT_FIRST + place) };
	pairs->pairs[place] = (struct pair){ .is_open = true, .address = pairs->address };

	size_t end = (pairs->waiting_first + pairs->waiting_count) % PAIR_COUNT;

	pairs->waiting[end].fd = ends[1];
	pairs->waiting[end].key = *ret_key;
	pairs->waiting_count++;
	pthread_mutex_unlock(&pairs->lock);
	pairs_nudge(pairs);
	return ends[0];
}

/* With the lock held; NULL for a pair that is gone. */
static struct pair *find(struct pairs *pairs, struct pair_key key)
{
	if (key.port < PORT_FIRST || key.port >= PORT_FIRST + PAIR_COUNT)
		return NULL;

	struct pair *pair = &pairs->pairs[key.port - PORT_FIRST];

	return pair->is_open && pair->address == key.address ? pair : NULL;
}

void pairs_set_call(struct pairs *pairs, struct pair_key key, struct call *call)
{
	pthread_mutex_lock(&pairs->lock);

	struct pair *pair = find(pairs, key);

	assert(pair);
	pair->call = call;
	pthread_mutex_unlock(&pairs->lock);
}

void pairs_close(struct pairs *pairs, struct pair_key key)
{
	pthread_mutex_lock(&pairs->lock);

	struct pair *pair = find(pairs, key);

	assert(pair);
	*pair = (struct pair){ .is_open = false };
	pthread_mutex_unlock(&pairs->lock);
}

struct call *pairs_take_call(struct pairs *pairs, struct pair_key key)
{
	struct call *call = NULL;

	pthread_mutex_lock(&pairs->lock);

	struct pair *pair = find(pairs, key);

	if (pair && pair->call) {
		call = call_hold(pair->call);
		call->is_taken = true;
		pair->call = NULL;
	}
	pthread_mutex_unlock(&pairs->lock);
	return call;
}

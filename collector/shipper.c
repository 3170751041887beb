/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/shipper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/link.h"

/* One try a second while nobody listens. */
#define CONNECT_DELAY_NS ((uint64_t)CLOCK_NS_PER_S)

enum {
	MESSAGES_AT_ONCE_MAX = 256, /* read in one go, so that a talkative server can't hold us */
};

/* A window that is not acknowledged yet, in its place in the list. */
struct waiting {
	struct waiting *next;
	uint64_t sequence;
	uint64_t sample_count;
	size_t size;
	uint8_t bytes[];
};

struct shipper {
	struct shipper_options options;
	char *socket_path;
	int epoll;
	int socket;		  /* -1: not connected */
	bool is_welcome;	  /* the server has said what it has */
	bool waits_for_room;	  /* the socket was full */
	uint64_t next_connect_ns; /* monotonic */
	struct waiting *first, *last;
	struct waiting *next_to_send; /* all before it went out on this connection */
	struct buf buffer;
	/* An answer to a wish for which the socket had no room: no other is read before it went. */
	struct {
		bool is_there;
		uint8_t type; /* enum link_type */
		struct buf payload;
		int fd; /* or -1 */
	} held;
	struct shipper_stats stats;
};

int shipper_new(const struct shipper_options *options, struct shipper **ret)
{
	assert(options->socket_path && options->open_file && options->collector != 0);

	autoclean(shipper) struct shipper *shipper = calloc(1, sizeof(*shipper));

	if (!shipper)
		return -ENOMEM;
	shipper->options = *options;
	shipper->socket = -1;
	shipper->buffer = BUF(WINDOW_SIZE_MAX);
	shipper->held.payload = BUF(LINK_PACKET_SIZE_MAX);
	shipper->held.fd = -1;
	shipper->epoll = epoll_create1(EPOLL_CLOEXEC);
	shipper->socket_path = strdup(options->socket_path);
	if (shipper->epoll < 0)
		return -errno;
	if (!shipper->socket_path)
		return -ENOMEM;
	*ret = TAKE(shipper);
	return 0;
}

/* before: the one in front of it, NULL for the first. */
static void drop(struct shipper *shipper, struct waiting *waiting, struct waiting *before)
{
	assert(before ? before->next == waiting : shipper->first == waiting);

	if (before)
		before->next = waiting->next;
	else
		shipper->first = waiting->next;
	if (shipper->last == waiting)
		shipper->last = before;
	if (shipper->next_to_send == waiting)
		shipper->next_to_send = waiting->next;
	shipper->stats.backlog_size -= waiting->size;
	free(waiting);
}

static void drop_first(struct shipper *shipper)
{
	drop(shipper, shipper->first, NULL);
}

static void give_up(struct shipper *shipper, struct waiting *waiting, struct waiting *before)
{
	shipper->stats.given_up++;
	shipper->stats.given_up_samples += waiting->sample_count;
	drop(shipper, waiting, before);
}

static void drop_held(struct shipper *shipper)
{
	if (shipper->held.fd >= 0)
		close(shipper->held.fd);
	shipper->held.fd = -1;
	shipper->held.is_there = false;
	buf_clear(&shipper->held.payload);
}

struct shipper *shipper_free(struct shipper *shipper)
{
	if (!shipper)
		return NULL;

	while (shipper->first)
		drop_first(shipper);
	if (shipper->socket >= 0)
		close(shipper->socket);
	if (shipper->epoll >= 0)
		close(shipper->epoll);
	buf_done(&shipper->buffer);
	drop_held(shipper);
	buf_done(&shipper->held.payload);
	free(shipper->socket_path);
	free(shipper);
	return NULL;
}

int shipper_fd(const struct shipper *shipper)
{
	return shipper->epoll;
}

void shipper_stats(const struct shipper *shipper, struct shipper_stats *ret)
{
	*ret = shipper->stats;
}

int shipper_push(struct shipper *shipper, const struct window *window)
{
	buf_clear(&shipper->buffer);
	window_encode(window, &shipper->buffer);
	if (shipper->buffer.error)
		return shipper->buffer.error;

	size_t size = shipper->buffer.size;
	struct waiting *waiting = malloc(sizeof(*waiting) + size);

	if (!waiting)
		return -ENOMEM;
	*waiting = (struct waiting){ .sequence = window->sequence,
				     .sample_count = window->sample_count,
				     .size = size };
	memcpy(waiting->bytes, shipper->buffer.bytes, size);

	/* The newest tells what happens now; the oldest goes. */
	while (shipper->first &&
	       shipper->stats.backlog_size + size > shipper->options.backlog_size_max) {
		give_up(shipper, shipper->first, NULL);
	}
	if (shipper->last)
		shipper->last->next = waiting;
	else
		shipper->first = waiting;
	shipper->last = waiting;
	if (!shipper->next_to_send)
		shipper->next_to_send = waiting;
	shipper->stats.backlog_size += size;
	shipper->stats.pushed++;
	return 0;
}

static void disconnect(struct shipper *shipper, uint64_t now_ns)
{
	if (shipper->socket >= 0)
		close(shipper->socket); /* leaves the epoll set by itself */
	shipper->socket = -1;
	drop_held(shipper);
	shipper->is_welcome = false;
	shipper->waits_for_room = false;
	shipper->stats.connected = false;
	shipper->next_connect_ns = now_ns + CONNECT_DELAY_NS;
}

static int watch(struct shipper *shipper, int operation)
{
	struct epoll_event interest = {
		.events = EPOLLIN | (shipper->waits_for_room ? (uint32_t)EPOLLOUT : 0U),
	};

	return epoll_ctl(shipper->epoll, operation, shipper->socket, &interest) ? -errno : 0;
}

/* Root, ourselves, or whoever owns the folder that the socket lies in. */
static bool is_trusted(const struct shipper *shipper, int socket)
{
	struct str path = str_from(shipper->socket_path);
	struct str name = str_base_name(path);
	char folder[STORE_PATH_SIZE_MAX];
	struct stat status;
	uid_t uid;
	pid_t pid;
	size_t size = path.size - name.size;

	if (link_peer(socket, &uid, &pid))
		return false;
	if (uid == 0 || uid == geteuid())
		return true;
	if (size == 0 || size >= sizeof(folder))
		return false;
	memcpy(folder, path.text, size);
	folder[size] = '\0';
	return stat(folder, &status) == 0 && status.st_uid == uid;
}

static int send_hello(struct shipper *shipper)
{
	struct utsname name;
	struct link_hello hello = { .collector = shipper->options.collector };

	memcpy(hello.boot_id, shipper->options.boot_id, sizeof(hello.boot_id));
	if (uname(&name) == 0)
		hello.kernel_release = str_from(name.release);
	buf_clear(&shipper->buffer);
	link_encode_hello(&hello, &shipper->buffer);
	if (shipper->buffer.error)
		return shipper->buffer.error;
	return link_send(shipper->socket, &(struct link_message){ .type = LINK_HELLO,
								  .payload = shipper->buffer.bytes,
								  .size = shipper->buffer.size });
}

/* One opened by us shows addresses to its reader; the server could not open such a one. */
static int send_kernel(struct shipper *shipper)
{
	autoclose int symbols = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	autoclose int notes = open("/sys/kernel/notes", O_RDONLY | O_CLOEXEC);
	struct link_message message = { .type = LINK_KERNEL, .fds = { -1, -1 } };

	if (symbols < 0)
		return 0;
	message.fds[message.fd_count++] = symbols;
	if (notes >= 0)
		message.fds[message.fd_count++] = notes;
	return link_send(shipper->socket, &message);
}

int shipper_send_kernel(struct shipper *shipper)
{
	if (shipper->socket < 0 || !shipper->is_welcome)
		return -EAGAIN;
	return send_kernel(shipper) ? -EAGAIN : 0;
}

static int connect_to_server(struct shipper *shipper, uint64_t now_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct str path = str_from(shipper->socket_path);

	shipper->next_connect_ns = now_ns + CONNECT_DELAY_NS;
	if (path.size >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path.text, path.size);

	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	if (!is_trusted(shipper, fd))
		return -EPERM;
	shipper->socket = TAKE_FD(fd);

	int err = watch(shipper, EPOLL_CTL_ADD);

	if (!err)
		err = send_hello(shipper);
	if (!err)
		err = send_kernel(shipper);
	shipper->stats.connected = !err;
	return err;
}

static void forget_committed(struct shipper *shipper, uint64_t sequence)
{
	while (shipper->first && shipper->first->sequence <= sequence) {
		drop_first(shipper);
		shipper->stats.acknowledged++;
	}
}

/* Sent again it would be refused again. */
static void forget_refused(struct shipper *shipper, uint64_t sequence)
{
	struct waiting *before = NULL;

	for (struct waiting *waiting = shipper->first; waiting; waiting = waiting->next) {
		if (waiting->sequence == sequence) {
			shipper->stats.refused++;
			give_up(shipper, waiting, before);
			return;
		}
		before = waiting;
	}
}

/* -EAGAIN: there is no room yet. */
static int send_held(struct shipper *shipper)
{
	struct link_message message = { .type = shipper->held.type,
					.payload = shipper->held.payload.bytes,
					.size = shipper->held.payload.size,
					.fds = { shipper->held.fd, -1 },
					.fd_count = shipper->held.fd >= 0 ? 1 : 0 };

	if (!shipper->held.is_there)
		return 0;

	int err = link_send(shipper->socket, &message);

	if (err != -EAGAIN)
		drop_held(shipper);
	return err;
}

/* The file, or why there is none: what lies in the buffer. Takes the descriptor. */
static int send_answer(struct shipper *shipper, enum link_type type, int fd)
{
	autoclose int file = fd;

	assert(!shipper->held.is_there);
	if (shipper->buffer.error)
		return shipper->buffer.error;
	shipper->stats.files_passed += fd >= 0;
	buf_add(&shipper->held.payload, shipper->buffer.bytes, shipper->buffer.size);
	if (shipper->held.payload.error)
		return shipper->held.payload.error;
	shipper->held.type = (uint8_t)type;
	shipper->held.fd = TAKE_FD(file);
	shipper->held.is_there = true;

	int err = send_held(shipper);

	return err == -EAGAIN ? 0 : err;
}

static int send_file(struct shipper *shipper, enum link_type type, const struct link_file *file,
		     int fd)
{
	buf_clear(&shipper->buffer);
	link_encode_file(file, &shipper->buffer);
	return send_answer(shipper, type, fd);
}

static int grant_wish(struct shipper *shipper, const struct link_message *message)
{
	struct link_file file = { 0 };
	int err = link_decode_wish(message, &file.identity);
	autoclose int fd = -1;

	if (err)
		return err;
	shipper->stats.wishes++;
	file.error = shipper->options.open_file(shipper->options.context, &file.identity, &fd);
	return send_file(shipper, LINK_FILE, &file, TAKE_FD(fd));
}

static int grant_debug(struct shipper *shipper, const struct link_message *message)
{
	struct link_wish_debug wish;
	int err = link_decode_wish_debug(message, &wish);
	autoclose int fd = -1;

	if (err)
		return err;

	struct link_file file = { .identity = wish.wanted, .error = -ENOENT };

	shipper->stats.wishes++;
	if (shipper->options.open_debug)
		file.error = shipper->options.open_debug(shipper->options.context, &wish.identity,
							 &wish.wanted, wish.name, &fd);
	return send_file(shipper, LINK_DEBUG, &file, TAKE_FD(fd));
}

static int grant_jit(struct shipper *shipper, const struct link_message *message)
{
	struct link_jit jit = { .error = ENOENT };
	int err = link_decode_wish_jit(message, &jit.process);
	autoclose int fd = -1;

	if (err)
		return err;
	shipper->stats.wishes++;
	if (shipper->options.open_jit)
		jit.error = shipper->options.open_jit(shipper->options.context, &jit.process,
						      &jit.kind, &fd);
	buf_clear(&shipper->buffer);
	link_encode_jit(&jit, &shipper->buffer);
	return send_answer(shipper, LINK_JIT, TAKE_FD(fd));
}

int shipper_ask_table(struct shipper *shipper, uint64_t number, const struct identity *identity,
		      int fd)
{
	struct link_file file = { .identity = *identity };

	if (shipper->socket < 0 || !shipper->is_welcome)
		return -EAGAIN;
	buf_clear(&shipper->buffer);
	link_encode_file(&file, &shipper->buffer);
	if (shipper->buffer.error)
		return shipper->buffer.error;

	int err =
		link_send(shipper->socket, &(struct link_message){ .type = LINK_TABLE_WISH,
								   .sequence = number,
								   .payload = shipper->buffer.bytes,
								   .size = shipper->buffer.size,
								   .fds = { fd, -1 },
								   .fd_count = 1 });

	/* That the connection is over the next reading finds out. */
	return err ? -EAGAIN : 0;
}

static int take_refusal(struct shipper *shipper, const struct link_message *message)
{
	struct link_file file;
	int err = link_decode_file(message, &file);

	if (!err && shipper->options.no_table)
		shipper->options.no_table(shipper->options.context, message->sequence,
					  &file.identity, file.error);
	return err;
}

static int handle_message(struct shipper *shipper, const struct link_message *message)
{
	switch ((enum link_type)message->type) {
	case LINK_WELCOME:
		/* A server that started anew has what it committed, and is sent the rest once more.
		 */
		forget_committed(shipper, message->sequence);
		shipper->next_to_send = shipper->first;
		shipper->is_welcome = true;
		if (shipper->options.connected)
			shipper->options.connected(shipper->options.context);
		return 0;
	case LINK_ACK:
		forget_committed(shipper, message->sequence);
		return 0;
	case LINK_REFUSE_WINDOW:
		forget_refused(shipper, message->sequence);
		return 0;
	case LINK_WISH:
		return grant_wish(shipper, message);
	case LINK_WISH_JIT:
		return grant_jit(shipper, message);
	case LINK_WISH_DEBUG:
		return grant_debug(shipper, message);
	case LINK_REFUSE:
		return -ECONNREFUSED;
	case LINK_TABLE:
		if (shipper->options.table)
			shipper->options.table(shipper->options.context, message->sequence,
					       message->payload, message->size);
		return 0;
	case LINK_NO_TABLE:
		return take_refusal(shipper, message);
	case LINK_HELLO:
	case LINK_WINDOW:
	case LINK_FILE:
	case LINK_KERNEL:
	case LINK_TABLE_WISH:
	case LINK_JIT:
	case LINK_DEBUG:
	case LINK_TYPE_COUNT:
		break;
	}
	return -EBADMSG;
}

static int read_messages(struct shipper *shipper)
{
	for (unsigned i = 0; i < MESSAGES_AT_ONCE_MAX; i++) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };
		int err = send_held(shipper);

		if (!err)
			err = link_receive(shipper->socket, &message);
		if (err == -EAGAIN)
			return 0;
		if (!err)
			err = handle_message(shipper, &message);
		if (err)
			return err;
	}
	return 0;
}

static int send_windows(struct shipper *shipper)
{
	bool waited = shipper->waits_for_room;

	shipper->waits_for_room = shipper->held.is_there;
	while (shipper->is_welcome && shipper->next_to_send) {
		const struct waiting *waiting = shipper->next_to_send;
		int err = link_send(shipper->socket, &(struct link_message){
							     .type = LINK_WINDOW,
							     .sequence = waiting->sequence,
							     .payload = waiting->bytes,
							     .size = waiting->size,
						     });

		if (err == -EAGAIN) {
			shipper->waits_for_room = true;
			break;
		}
		if (err)
			return err;
		shipper->next_to_send = waiting->next;
	}
	return waited != shipper->waits_for_room ? watch(shipper, EPOLL_CTL_MOD) : 0;
}

int shipper_handle(struct shipper *shipper, uint64_t now_ns)
{
	int err = 0;

	if (shipper->socket < 0 && now_ns >= shipper->next_connect_ns)
		err = connect_to_server(shipper, now_ns);
	if (!err && shipper->socket >= 0)
		err = read_messages(shipper);
	if (!err && shipper->socket >= 0)
		err = send_windows(shipper);
	if (err)
		disconnect(shipper, now_ns);
	return err == -EPROTONOSUPPORT ? err : 0;
}

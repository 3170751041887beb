/* SPDX-License-Identifier: Apache-2.0 */
#include "web/receiver.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/link.h"
#include "base/log.h"
#include "base/window.h"
#include "store/store.h"
#include "symbols/jit_processes.h"
#include "symbols/symbols.h"
#include "symbols/unwind_tables.h"
#include "web/ingest.h"
#include "web/recording.h"
#include "web/server.h"
#include "web/wishes.h"

enum {
	MESSAGES_AT_ONCE_MAX = 64,
	PUSH_TIMEOUT_MS = 100,
	REPLAY_SETTLE_MS = 60000,
};

struct receiver {
	struct server *server;
	struct ingest *ingest;
	char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct recording *replay, *record;
	int listener, epoll, wakeup;
	pthread_t thread;
	bool has_thread;
	_Atomic bool stops;

	/* Of the connection; the thread's own. */
	int socket; /* -1: none */
	uint64_t collector;
	struct window *held; /* ingest had no room for it */
	struct unwind_answer answer;
	bool has_answer; /* the socket had no room for it */
	bool has_wishes; /* nor for these */
	bool watches_room;
	bool has_refused; /* a window, which was said */

	struct wishes *wishes;

	pthread_mutex_t lock;
	/* guarded by lock: */
	uint64_t committed_collector, committed_sequence;
	bool has_commit;
};

static void set_state(struct receiver *receiver, enum collector_state state)
{
	struct server_counters *counters = &receiver->server->counters;

	/* Why there was none is no longer so. */
	if (counters->collector_state != (int)state)
		counters->collector_since_ms = clock_unix_ms();
	counters->collector_state = (int)state;
}

/* Their numbers mean nothing to another collector. */
static void forget_tables(struct receiver *receiver)
{
	if (receiver->has_answer)
		unwind_answer_cleanup(&receiver->answer);
	receiver->has_answer = false;
	if (receiver->server->unwind_tables)
		unwind_tables_forget(receiver->server->unwind_tables);
}

static void disconnect(struct receiver *receiver, const char *why)
{
	if (receiver->socket < 0)
		return;
	log_notice("the collector is gone%s%s", why ? ": " : "", why ? why : "");
	close(receiver->socket);
	receiver->socket = -1;
	receiver->collector = 0;
	receiver->has_refused = false;
	receiver->held = window_free(receiver->held);
	forget_tables(receiver);
	set_state(receiver, COLLECTOR_ABSENT);
	if (receiver->server->jit)
		jit_processes_forget_wishes(receiver->server->jit);
}

static void wake(struct receiver *receiver)
{
	uint64_t one = 1;
	ssize_t ignored = write(receiver->wakeup, &one, sizeof(one));

	(void)ignored; /* it is awake already */
}

static void wake_for_answer(void *context)
{
	wake(context);
}

void receiver_committed(struct receiver *receiver, uint64_t collector, uint64_t sequence)
{
	pthread_mutex_lock(&receiver->lock);
	receiver->committed_collector = collector;
	receiver->committed_sequence = sequence;
	receiver->has_commit = true;
	pthread_mutex_unlock(&receiver->lock);
	wake(receiver);
}

void receiver_wish(struct receiver *receiver, const struct identity *identity)
{
	wishes_add_file(receiver->wishes, identity);
	wake(receiver);
}

void receiver_wish_debug(struct receiver *receiver, const struct symbols_debug_wish *wish)
{
	wishes_add_debug(receiver->wishes, wish);
	wake(receiver);
}

bool receiver_wish_jit(struct receiver *receiver, const struct process_key *process)
{
	if (receiver->server->counters.collector_state != COLLECTOR_SAMPLING)
		return false;

	bool is_sent = wishes_add_jit(receiver->wishes, process);

	wake(receiver);
	return is_sent;
}

/* ---- what the collector says --------------------------------------------------------------------
 */

static int handle_hello(struct receiver *receiver, const struct link_message *message)
{
	struct link_hello hello;
	int err = link_decode_hello(message, &hello);

	if (err)
		return err;
	receiver->collector = hello.collector;
	if (receiver->socket < 0)
		return 0;
	set_state(receiver, COLLECTOR_SAMPLING);
	log_info("a collector is connected");
	return link_send(receiver->socket,
			 &(struct link_message){
				 .type = LINK_WELCOME,
				 .sequence = store_committed_sequence(receiver->server->store,
								      hello.collector),
			 });
}

static int handle_kernel(struct receiver *receiver, struct link_message *message)
{
	int symbols_fd = message->fd_count > 0 ? message->fds[0] : -1;
	int notes_fd = message->fd_count > 1 ? message->fds[1] : -1;

	if (symbols_fd < 0)
		return -EBADMSG;
	message->fds[0] = message->fds[1] = -1;

	int err = symbols_bring_kernel(receiver->server->symbols, symbols_fd, notes_fd);

	if (err)
		log_warning_errno(err, "functions of the kernel will have no names");
	return 0;
}

static int handle_file(struct receiver *receiver, struct link_message *message)
{
	struct link_file file;
	int err = link_decode_file(message, &file);

	if (err)
		return err;
	if (file.error)
		return 0; /* it is wished for again when it is seen again, after a while */

	int fd = message->fds[0];

	message->fds[0] = -1;
	receiver->server->counters.files_received++;
	err = symbols_bring_file(receiver->server->symbols, &file.identity, fd);
	if (err && err != -EAGAIN) {
		char text[IDENTITY_TEXT_SIZE];

		log_debug("no names from %s: %s", identity_text(&file.identity, text),
			  strerror(-err));
	}
	return 0;
}

static int handle_debug(struct receiver *receiver, struct link_message *message)
{
	struct link_file file;
	int err = link_decode_file(message, &file);
	int fd = -1;

	if (err)
		return err;
	if (!file.error) {
		fd = message->fds[0];
		message->fds[0] = -1;
		receiver->server->counters.files_received++;
	}
	symbols_bring_debug(receiver->server->symbols, &file.identity, -file.error, fd);
	return 0;
}

static int handle_jit(struct receiver *receiver, struct link_message *message)
{
	struct link_jit jit;
	int err = link_decode_jit(message, &jit);
	int fd = -1;

	if (err)
		return err;
	if (!receiver->server->jit)
		return 0;
	if (!jit.error) {
		fd = message->fds[0];
		message->fds[0] = -1;
		receiver->server->counters.files_received++;
	}
	jit_processes_bring(receiver->server->jit, &jit.process, (enum jit_file_kind)jit.kind, fd);
	return 0;
}

static int send_no_table(struct receiver *receiver, uint64_t number,
			 const struct identity *identity, int err)
{
	autoclean(buf) struct buf payload = BUF(IDENTITY_SIZE_MAX + 32);

	link_encode_file(&(struct link_file){ .identity = *identity, .error = err }, &payload);
	if (payload.error)
		return payload.error;
	return link_send(receiver->socket, &(struct link_message){ .type = LINK_NO_TABLE,
								   .sequence = number,
								   .payload = payload.bytes,
								   .size = payload.size });
}

static int handle_table_wish(struct receiver *receiver, struct link_message *message)
{
	struct link_file file;
	int err = link_decode_file(message, &file);

	if (!err && file.error)
		err = -EBADMSG;
	if (err)
		return err;

	int fd = message->fds[0];

	message->fds[0] = -1;
	err = unwind_tables_ask(receiver->server->unwind_tables, message->sequence, &file.identity,
				fd);
	if (err)
		err = send_no_table(receiver, message->sequence, &file.identity, err);
	/* It asks more than it may, and reads nothing. */
	return err == -EAGAIN ? -EBADMSG : err;
}

static void count_window(struct receiver *receiver, const struct window *window)
{
	struct server_counters *counters = &receiver->server->counters;

	counters->windows_received++;
	counters->samples_received += window->sample_count;
	counters->frequency_hz = window->frequency_hz;
	counters->cpu_count = window->cpu_count;
	for (unsigned i = 0; i < LOSS_KIND_COUNT; i++)
		counters->losses[i] += window->losses[i];
	for (unsigned i = 0; i < WALK_FIGURE_COUNT; i++)
		counters->walk_figures[i] =
			window->walk_figures[i] +
			(walk_figure_is_count(i) ? counters->walk_figures[i] : 0);
	for (uint32_t i = 0; i < window->entry_count; i++)
		counters->verdicts[window->stacks[window->entries[i].stack].verdict] +=
			window->entries[i].count;
}

/* Keeps it when there is no room, and reads on only when there is. */
static void hand_over(struct receiver *receiver, struct window *window)
{
	int err = ingest_push(receiver->ingest, window, PUSH_TIMEOUT_MS);

	if (err == -ETIMEDOUT)
		receiver->held = window;
	else if (err)
		window_free(window);
}

/*
 * What is no good now will not be better when it is sent again, so the collector is to forget it.
 * The packets of the connection are whole, and what follows may be good.
 */
static int refuse_window(struct receiver *receiver, uint64_t sequence, int reason)
{
	if (!receiver->has_refused)
		log_warning_errno(reason, "the collector sent a window that is no good, refused; "
					  "more of them are only counted");
	receiver->has_refused = true;
	receiver->server->counters.windows_refused++;
	if (receiver->socket < 0)
		return 0;
	/* Without room for the answer it all begins anew. */
	return link_send(receiver->socket, &(struct link_message){ .type = LINK_REFUSE_WINDOW,
								   .sequence = sequence });
}

static int handle_window(struct receiver *receiver, const struct link_message *message)
{
	struct window *window = NULL;
	int err = window_decode(message->payload, message->size, &window);

	if (err == -ENOMEM)
		return err;
	if (!err && (window->collector != receiver->collector ||
		     (receiver->socket >= 0 && window->sequence != message->sequence)))
		err = -EBADMSG;
	if (err) {
		window_free(window);
		return refuse_window(receiver, message->sequence, err);
	}
	count_window(receiver, window);
	hand_over(receiver, window);
	return 0;
}

static int handle_message(struct receiver *receiver, struct link_message *message)
{
	if (receiver->record) {
		int err = recording_add(receiver->record, message);

		if (err) {
			log_error_errno(err, "the recording ends here");
			receiver->record = recording_close(receiver->record);
		}
	}
	/* Nothing before the greeting. */
	if (receiver->collector == 0 && message->type != LINK_HELLO)
		return -EBADMSG;
	switch ((enum link_type)message->type) {
	case LINK_HELLO:
		return handle_hello(receiver, message);
	case LINK_KERNEL:
		return handle_kernel(receiver, message);
	case LINK_FILE:
		return handle_file(receiver, message);
	case LINK_WINDOW:
		return handle_window(receiver, message);
	case LINK_JIT:
		return handle_jit(receiver, message);
	case LINK_DEBUG:
		return handle_debug(receiver, message);
	case LINK_TABLE_WISH:
		if (!receiver->server->unwind_tables || receiver->socket < 0)
			break;
		return handle_table_wish(receiver, message);
	case LINK_WELCOME:
	case LINK_ACK:
	case LINK_WISH:
	case LINK_REFUSE:
	case LINK_TABLE:
	case LINK_NO_TABLE:
	case LINK_REFUSE_WINDOW:
	case LINK_WISH_JIT:
	case LINK_WISH_DEBUG:
	case LINK_TYPE_COUNT:
		break;
	}
	return -EBADMSG;
}

static void read_messages(struct receiver *receiver)
{
	for (unsigned i = 0; i < MESSAGES_AT_ONCE_MAX && !receiver->held; i++) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };
		int err = link_receive(receiver->socket, &message);

		if (err == -EAGAIN)
			return;
		if (!err)
			err = handle_message(receiver, &message);
		if (!err)
			continue;
		if (err == -EPROTONOSUPPORT) {
			log_error("the collector is of another version of hearth; start both from "
				  "one");
			/* Its header tells the other end our version, whatever it can read of the
			 * rest. */
			(void)link_send(receiver->socket,
					&(struct link_message){ .type = LINK_REFUSE });
		}
		disconnect(receiver, err == -EPIPE ? NULL : strerror(-err));
		return;
	}
}

/* ---- what we say --------------------------------------------------------------------------------
 */

static int send_commit(struct receiver *receiver)
{
	pthread_mutex_lock(&receiver->lock);

	bool has_commit = receiver->has_commit;
	uint64_t collector = receiver->committed_collector;
	uint64_t sequence = receiver->committed_sequence;

	receiver->has_commit = false;
	pthread_mutex_unlock(&receiver->lock);
	if (!has_commit || collector != receiver->collector)
		return 0;

	int err = link_send(receiver->socket,
			    &(struct link_message){ .type = LINK_ACK, .sequence = sequence });

	/* The next acknowledgement speaks for this one, too. */
	return err == -EAGAIN ? 0 : err;
}

static int send_wishes(struct receiver *receiver)
{
	uint64_t sent = 0;
	int err = wishes_send(receiver->wishes, receiver->socket, &sent);

	receiver->server->counters.wishes_sent += sent;
	receiver->has_wishes = err == -EAGAIN;
	return err == -EAGAIN ? 0 : err;
}

static int send_answer(struct receiver *receiver, const struct unwind_answer *answer)
{
	if (answer->error)
		return send_no_table(receiver, answer->number, &answer->identity, answer->error);
	return link_send(receiver->socket, &(struct link_message){ .type = LINK_TABLE,
								   .sequence = answer->number,
								   .payload = answer->table.bytes,
								   .size = answer->table.size });
}

/* To be woken when the socket has room again for what waits. */
static void watch_room(struct receiver *receiver)
{
	bool watch = receiver->has_answer || receiver->has_wishes;
	struct epoll_event interest = { .events = EPOLLIN | (watch ? EPOLLOUT : 0U),
					.data.fd = receiver->socket };

	if (watch == receiver->watches_room)
		return;
	receiver->watches_room = watch;
	(void)epoll_ctl(receiver->epoll, EPOLL_CTL_MOD, receiver->socket, &interest);
}

static int send_tables(struct receiver *receiver)
{
	int err = 0;

	while (receiver->server->unwind_tables && !err) {
		if (!receiver->has_answer)
			receiver->has_answer = unwind_tables_take(receiver->server->unwind_tables,
								  &receiver->answer);
		if (!receiver->has_answer)
			break;
		err = send_answer(receiver, &receiver->answer);
		if (err)
			break;
		unwind_answer_cleanup(&receiver->answer);
		receiver->has_answer = false;
	}
	return err == -EAGAIN ? 0 : err;
}

static void say_what_waits(struct receiver *receiver)
{
	if (receiver->socket < 0)
		return;

	int err = send_commit(receiver);

	if (!err)
		err = send_wishes(receiver);
	if (!err)
		err = send_tables(receiver);
	if (!err)
		watch_room(receiver);
	if (err)
		disconnect(receiver, strerror(-err));
}

/* ---- the socket ---------------------------------------------------------------------------------
 */

/* Root, ourselves, or the account that a package makes for the collector. */
static bool is_trusted(int socket)
{
	uid_t uid;
	pid_t pid;

	if (link_peer(socket, &uid, &pid))
		return false;
	if (uid == 0 || uid == geteuid())
		return true;

	const struct passwd *collector = getpwnam("hearth-collector");

	return collector && collector->pw_uid == uid;
}

static void accept_collector(struct receiver *receiver)
{
	autoclose int socket =
		accept4(receiver->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (socket < 0)
		return;
	if (!is_trusted(socket)) {
		log_warning("somebody who is no collector connected to '%s', refused",
			    receiver->socket_path);
		return;
	}
	disconnect(receiver, "another took its place");

	struct epoll_event interest = { .events = EPOLLIN, .data.fd = socket };

	if (epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, socket, &interest) == 0)
		receiver->socket = TAKE_FD(socket);
	receiver->watches_room = receiver->has_wishes = false;
}

static bool answers(const struct sockaddr_un *address)
{
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
			   errno == EAGAIN);
}

static int listen_on(struct receiver *receiver)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, receiver->socket_path, sizeof(address.sun_path));
	if (fd < 0)
		return -errno;
	if (answers(&address))
		return -EADDRINUSE;
	/* One that nobody answers on was left behind. */
	if (unlink(receiver->socket_path) && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	/* The folder decides who may come near; a collector without CAP_DAC_OVERRIDE must get in.
	 */
	if (chmod(receiver->socket_path, 0666) || listen(fd, 8))
		return -errno;
	receiver->listener = TAKE_FD(fd);
	return 0;
}

/* ---- the thread ---------------------------------------------------------------------------------
 */

static void replay_all(struct receiver *receiver)
{
	int err = 0;

	set_state(receiver, COLLECTOR_REPLAY);
	while (!err && !receiver->stops) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };

		err = recording_next(receiver->replay, &message);
		if (!err)
			err = handle_message(receiver, &message);
		while (receiver->held && !receiver->stops) {
			struct window *held = TAKE(receiver->held);

			hand_over(receiver, held);
		}
	}
	if (err == -ENODATA) {
		(void)symbols_settle(receiver->server->symbols, REPLAY_SETTLE_MS);
		log_info("the recording is read");
	} else if (err) {
		log_error_errno(err, "the recording can't be read further");
	}
}

static void *run(void *context)
{
	struct receiver *receiver = context;

	(void)pthread_setname_np(pthread_self(), "receiver");
	if (receiver->replay)
		replay_all(receiver);
	while (!receiver->stops) {
		struct epoll_event ready[4];
		/* While ingest has no room, the socket is left alone and fills up: back pressure.
		 */
		int count = receiver->held ? 0 : epoll_wait(receiver->epoll, ready, 4, -1);

		if (receiver->held) {
			struct window *held = TAKE(receiver->held);

			hand_over(receiver, held);
		}
		for (int i = 0; i < count; i++) {
			uint64_t wakeups;

			if (ready[i].data.fd == receiver->wakeup) {
				ssize_t ignored = read(receiver->wakeup, &wakeups, sizeof(wakeups));

				(void)ignored;
			} else if (ready[i].data.fd == receiver->listener) {
				accept_collector(receiver);
			} else if (ready[i].data.fd == receiver->socket) {
				read_messages(receiver);
			}
		}
		say_what_waits(receiver);
	}
	return NULL;
}

struct receiver *receiver_free(struct receiver *receiver)
{
	if (!receiver)
		return NULL;

	receiver_stop(receiver);
	if (receiver->server->unwind_tables)
		unwind_tables_on_answer(receiver->server->unwind_tables, NULL, NULL);
	forget_tables(receiver);
	if (receiver->socket >= 0)
		close(receiver->socket);
	if (receiver->listener >= 0) {
		close(receiver->listener);
		(void)unlink(receiver->socket_path);
	}
	if (receiver->epoll >= 0)
		close(receiver->epoll);
	if (receiver->wakeup >= 0)
		close(receiver->wakeup);
	window_free(receiver->held);
	recording_close(receiver->replay);
	recording_close(receiver->record);
	wishes_free(receiver->wishes);
	pthread_mutex_destroy(&receiver->lock);
	free(receiver);
	return NULL;
}

static int set_up(struct receiver *receiver, const struct receiver_options *options)
{
	struct epoll_event interest = { .events = EPOLLIN };
	int err = 0;

	receiver->epoll = epoll_create1(EPOLL_CLOEXEC);
	receiver->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (receiver->epoll < 0 || receiver->wakeup < 0)
		return -errno;
	interest.data.fd = receiver->wakeup;
	if (epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, receiver->wakeup, &interest))
		return -errno;
	if (options->replay_path && options->replay_path[0])
		err = recording_open(options->replay_path, &receiver->replay);
	if (!err && options->record_path && options->record_path[0])
		err = recording_create(options->record_path, &receiver->record);
	if (err || !options->socket_path)
		return err;

	size_t size = strlen(options->socket_path);

	if (size >= sizeof(receiver->socket_path))
		return -ENAMETOOLONG;
	memcpy(receiver->socket_path, options->socket_path, size + 1);
	err = listen_on(receiver);
	if (err)
		return err;
	interest.data.fd = receiver->listener;
	return epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, receiver->listener, &interest) ? -errno
											: 0;
}

int receiver_new(const struct receiver_options *options, struct receiver **ret)
{
	assert(options->server);

	autoclean(receiver) struct receiver *receiver = calloc(1, sizeof(*receiver));

	if (!receiver)
		return -ENOMEM;
	receiver->server = options->server;
	receiver->socket = receiver->listener = receiver->epoll = receiver->wakeup = -1;
	pthread_mutex_init(&receiver->lock, NULL);

	int err = wishes_new(&receiver->wishes);

	if (!err)
		err = set_up(receiver, options);

	if (err)
		return err;
	if (receiver->server->unwind_tables)
		unwind_tables_on_answer(receiver->server->unwind_tables, wake_for_answer, receiver);
	*ret = TAKE(receiver);
	return 0;
}

int receiver_start(struct receiver *receiver, struct ingest *ingest)
{
	assert(!receiver->has_thread);

	receiver->ingest = ingest;

	int err = -pthread_create(&receiver->thread, NULL, run, receiver);

	receiver->has_thread = !err;
	return err;
}

void receiver_stop(struct receiver *receiver)
{
	if (!receiver->has_thread)
		return;
	receiver->stops = true;
	wake(receiver);
	pthread_join(receiver->thread, NULL);
	receiver->has_thread = false;
}

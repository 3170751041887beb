/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/cell.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "symbols/cell_lock.h"

enum {
	/* The door and the files. */
	PASSED_COUNT_MAX = CELL_FD_COUNT_MAX + 1,
	/* Beyond what the warden allows a cell, for the warden itself. */
	GRACE_S = 5,
	STANDARD_FD_COUNT = 3,
};

struct cells {
	int warden; /* its socket; -1: none runs */
	pid_t pid;
	cell_work *work;
	const void *context;
	struct cell_limits limits;
};

/* What crosses a door. */
enum packet_kind {
	PACKET_QUESTION = 1, /* from inside: bytes follow */
	PACKET_FILE,	     /* from outside, with a descriptor or without */
	PACKET_ANSWER,	     /* from inside: bytes follow */
};

struct packet {
	uint32_t kind;
	int32_t error;
	uint64_t is_filtered; /* of an answer; so wide that there is no padding */
	uint64_t peak;
	uint64_t cpu_ns;
	uint8_t bytes[];
};

/* What the warden says of a cell that ended. */
struct report {
	uint32_t fate;
	int32_t error;
};

/* ---- packets with descriptors ---- */

static int send_packet(int socket, struct iovec *parts, size_t part_count, const int *fds,
		       size_t fd_count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(PASSED_COUNT_MAX * sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = part_count };

	assert(fd_count <= PASSED_COUNT_MAX);
	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}

	ssize_t sent;

	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Its size; 0 when the other end is gone. The descriptors that did not come are -1. */
static ssize_t receive_packet(int socket, void *room, size_t size, int fds[static PASSED_COUNT_MAX])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(PASSED_COUNT_MAX * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = room, .iov_len = size };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t got;

	for (size_t i = 0; i < PASSED_COUNT_MAX; i++)
		fds[i] = -1;
	do
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? 0 : -errno;

	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	return got;
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* ---- inside a cell ---- */

int cell_ask(const struct cell *cell, const void *question, size_t size, int *ret_fd)
{
	struct packet packet = { .kind = PACKET_QUESTION };
	struct iovec parts[] = { { &packet, sizeof(packet) }, { (void *)question, size } };
	int fds[PASSED_COUNT_MAX];

	assert(size <= CELL_QUESTION_SIZE_MAX);

	int err = send_packet(cell->door, parts, 2, NULL, 0);
	if (err)
		return err;
	if (receive_packet(cell->door, &packet, sizeof(packet), fds) != sizeof(packet) ||
	    packet.kind != PACKET_FILE) {
		close_all(fds, PASSED_COUNT_MAX);
		return -EPIPE;
	}
	if (packet.error || fds[0] < 0)
		return packet.error ? packet.error : -ENOENT;
	*ret_fd = fds[0];
	return 0;
}

/* Only what the cell was given and where it may complain stay open. */
static int keep_descriptors(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int wanted = STANDARD_FD_COUNT + (int)i;

		if (fds[i] == wanted)
			continue;
		/* A later one of ours may lie where this one goes. */
		for (unsigned n = i + 1; n < count; n++)
			if (fds[n] == wanted && (fds[n] = dup(fds[n])) < 0)
				return -errno;
		if (dup2(fds[i], wanted) < 0)
			return -errno;
		close(fds[i]);
		fds[i] = wanted;
	}
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	return syscall(SYS_close_range, STANDARD_FD_COUNT + count, UINT32_MAX, 0) ? -errno : 0;
}

static uint64_t ns_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * (uint64_t)CLOCK_NS_PER_S + (uint64_t)time.tv_usec * 1000;
}

static void add_usage(struct packet *packet)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		return;
	packet->peak = (uint64_t)usage.ru_maxrss << 10;
	packet->cpu_ns = ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
}

/* Never returns. present: bit by bit, which of the files there are. */
static void run_cell(const struct cells *cells, const void *task, size_t size, uint64_t present,
		     int *fds)
{
	static _Alignas(8) uint8_t answer[CELL_MESSAGE_SIZE_MAX];
	struct cell cell = {
		.task = task,
		.task_size = size,
		.context = cells->context,
		.answer = answer,
	};
	unsigned count = 0;

	while (count < PASSED_COUNT_MAX && fds[count] >= 0)
		count++;
	if (count < 1 || keep_descriptors(fds, count) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		_exit(EXIT_FAILURE);

	unsigned next = 1;

	cell.door = fds[0];
	for (unsigned i = 0; i < CELL_FD_COUNT_MAX; i++)
		cell.fds[i] = present & UINT64_C(1) << i && next < count ? fds[next++] : -1;

	struct packet packet = { .kind = PACKET_ANSWER };

	bool is_filtered = false;

	packet.error = cell_lock(&cells->limits, &is_filtered);
	packet.is_filtered = is_filtered;
	if (!packet.error)
		packet.error = cells->work(&cell);
	add_usage(&packet);

	struct iovec parts[] = { { &packet, sizeof(packet) }, { answer, cell.answer_size } };

	_exit(send_packet(cell.door, parts, 2, NULL, 0) ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- the warden ---- */

/* Until it has ended, or its time is over: then it is ended. False when nobody waits for it. */
static bool wait_for_cell(const struct cells *cells, int socket, pid_t pid, struct report *report)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd polled[] = { { .fd = fd, .events = POLLIN },
				   { .fd = socket, .events = POLLRDHUP } };
	int status = 0;
	int ready = -1;

	if (fd >= 0)
		ready = poll(polled, 2, (int)cells->limits.seconds * 1000);

	bool is_alone = ready > 0 && polled[1].revents != 0;
	bool is_late = ready == 0 || is_alone;

	/* Without a descriptor of it, only waiting is left; its limit of CPU time ends it. */
	if (is_late)
		kill(pid, SIGKILL);
	if (fd >= 0)
		close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (is_late || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU))
		*report = (struct report){ .fate = CELL_OVERRAN };
	else if (WIFSIGNALED(status))
		*report = (struct report){ .fate = CELL_DIED, .error = WTERMSIG(status) };
	else
		*report = (struct report){ .fate = CELL_ENDED, .error = WEXITSTATUS(status) };
	return !is_alone;
}

/* Ends when the server does. */
static void run_warden(const struct cells *cells, int socket)
{
	static struct {
		uint64_t present; /* so wide that the task behind it is aligned for any type */
		uint8_t bytes[CELL_MESSAGE_SIZE_MAX];
	} task;
	int fds[PASSED_COUNT_MAX];

	for (;;) {
		ssize_t size = receive_packet(socket, &task, sizeof(task), fds);
		struct report report = { .fate = CELL_DIED };

		if (size < (ssize_t)sizeof(task.present))
			break;

		pid_t pid = fork();

		if (pid == 0)
			run_cell(cells, task.bytes, (size_t)size - sizeof(task.present),
				 task.present, fds);
		close_all(fds, PASSED_COUNT_MAX);
		if (pid > 0 && !wait_for_cell(cells, socket, pid, &report))
			break;
		if (pid < 0)
			report.error = -errno;
		if (send_packet(socket, &(struct iovec){ &report, sizeof(report) }, 1, NULL, 0))
			break;
	}
	_exit(EXIT_SUCCESS);
}

static void begin_warden(const struct cells *cells, int socket)
{
	sigset_t none;
	int fds[] = { socket };

	/* Handlers of the server's are none of a cell's. */
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	/* Who ends the server ends it; a signal to the whole group must not come before that. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "hearth-symbols");
	if (keep_descriptors(fds, 1) || cell_lock_warden())
		_exit(EXIT_FAILURE);
	run_warden(cells, fds[0]);
}

static int start_warden(struct cells *cells)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -errno;

	pid_t pid = fork();

	if (pid == 0)
		begin_warden(cells, sockets[1]);

	int err = pid < 0 ? -errno : 0;

	close(sockets[1]);
	if (err) {
		close(sockets[0]);
		return err;
	}
	cells->pid = pid;
	cells->warden = sockets[0];
	return 0;
}

static void stop_warden(struct cells *cells)
{
	if (cells->warden < 0)
		return;
	close(cells->warden);
	cells->warden = -1;
	while (waitpid(cells->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- outside ---- */

int cells_start(cell_work *work, const void *context, const struct cell_limits *limits,
		struct cells **ret)
{
	autoclean(cells) struct cells *cells = calloc(1, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	*cells =
		(struct cells){ .warden = -1, .work = work, .context = context, .limits = *limits };

	int err = start_warden(cells);
	if (err)
		return err;
	*ret = TAKE(cells);
	return 0;
}

struct cells *cells_stop(struct cells *cells)
{
	if (!cells)
		return NULL;
	stop_warden(cells);
	free(cells);
	return NULL;
}

static int answer_question(int door, struct cell_run *run, const struct packet *packet, size_t size)
{
	struct packet file = { .kind = PACKET_FILE, .error = -ENOENT };
	autoclose int fd = -1;

	if (size <= CELL_QUESTION_SIZE_MAX && run->open)
		file.error = run->open(run->context, packet->bytes, size, &fd);
	assert(file.error || fd >= 0);
	return send_packet(door, &(struct iovec){ &file, sizeof(file) }, 1, &fd, fd >= 0);
}

/* One packet of a cell; false when it is gone, or makes no sense. */
static bool serve_cell(int door, struct cell_run *run, bool *has_answer)
{
	/* As large as what a cell may say; the one thread that runs cells uses it. */
	_Alignas(struct packet) uint8_t room[sizeof(struct packet) + CELL_MESSAGE_SIZE_MAX];
	struct packet *packet = (void *)room;
	int fds[PASSED_COUNT_MAX];
	ssize_t size = receive_packet(door, room, sizeof(room), fds);

	/* A cell has nothing to pass. */
	close_all(fds, PASSED_COUNT_MAX);
	if (size < (ssize_t)sizeof(*packet))
		return false;
	size -= (ssize_t)sizeof(*packet);
	if (packet->kind == PACKET_QUESTION)
		return answer_question(door, run, packet, (size_t)size) == 0;
	if (packet->kind != PACKET_ANSWER || *has_answer)
		return false;
	*has_answer = true;
	run->error = packet->error;
	run->is_unfiltered = !packet->is_filtered;
	run->peak = packet->peak;
	run->cpu_ns = packet->cpu_ns;
	run->answer_size = (size_t)size;
	memcpy(run->answer, packet->bytes, run->answer_size);
	return true;
}

/* The warden's report; meanwhile the cell's questions are answered. */
static int follow(struct cells *cells, int door, struct cell_run *run)
{
	uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)(cells->limits.seconds + GRACE_S) *
							      (uint64_t)CLOCK_NS_PER_S;
	struct pollfd polled[] = { { .fd = door, .events = POLLIN },
				   { .fd = cells->warden, .events = POLLIN } };
	bool has_answer = false;
	struct report report;
	int fds[PASSED_COUNT_MAX];

	/* What the cell said comes before what is said of it. */
	while (polled[1].revents == 0 || polled[0].revents & POLLIN) {
		uint64_t now_ns = clock_monotonic_ns();

		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(polled, 2, (int)((deadline_ns - now_ns) / CLOCK_NS_PER_MS) + 1) < 0 &&
		    errno != EINTR)
			return -errno;
		if (polled[0].revents && !serve_cell(door, run, &has_answer))
			polled[0] = (struct pollfd){ .fd = -1 };
	}
	if (receive_packet(cells->warden, &report, sizeof(report), fds) != sizeof(report))
		return -ECHILD;
	if (report.fate == CELL_DIED && report.error < 0)
		return report.error;
	run->fate = report.fate;
	if (report.fate == CELL_ENDED && !has_answer)
		run->fate = CELL_DIED;
	if (run->fate != CELL_ENDED)
		run->error = report.error;
	return 0;
}

int cells_run(struct cells *cells, struct cell_run *run)
{
	int sockets[2];
	int fds[PASSED_COUNT_MAX];
	size_t fd_count = 1;
	uint64_t present = 0;
	struct iovec parts[] = { { &present, sizeof(present) },
				 { (void *)run->task, run->task_size } };

	assert(run->task_size <= CELL_MESSAGE_SIZE_MAX);
	if (cells->warden < 0) {
		int err = start_warden(cells);

		if (err)
			return err;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -errno;

	autoclose int door = sockets[0];

	fds[0] = sockets[1];
	for (unsigned i = 0; i < CELL_FD_COUNT_MAX; i++) {
		if (run->fds[i] < 0)
			continue;
		present |= UINT64_C(1) << i;
		fds[fd_count++] = run->fds[i];
	}

	int err = send_packet(cells->warden, parts, 2, fds, fd_count);

	close(sockets[1]);
	if (!err)
		err = follow(cells, door, run);
	/* What it would say of this cell would be taken for what it says of the next. */
	if (err)
		stop_warden(cells);
	return err;
}

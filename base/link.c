/* SPDX-License-Identifier: Apache-2.0 */
#include "base/link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define LINK_MAGIC 0x68747268U /* "hrth", little endian */

enum {
	PAYLOAD_IN_MEMORY_FD = 1, /* flag: the first descriptor holds the payload */
	SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
	TEXT_SIZE_MAX = 256,
};

/*
 * magic u32 · version u16 · type u8 · flags u8 · sequence u64 · size of the payload u64 · fds u32 ·
 * zero u32, little endian.
 */
static void encode_header(const struct link_message *message, uint8_t flags, struct buf *buf)
{
	buf_add_u32(buf, LINK_MAGIC);
	buf_add_u16(buf, LINK_VERSION);
	buf_add_u8(buf, message->type);
	buf_add_u8(buf, flags);
	buf_add_u64(buf, message->sequence);
	buf_add_u64(buf, message->size);
	buf_add_u32(buf, message->fd_count);
	buf_add_u32(buf, 0);
}

static int make_sealed_memory(const void *bytes, size_t size, int *ret_fd)
{
	autoclose int fd = memfd_create("hearth-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t written = 0;

	if (fd < 0)
		return -errno;
	while (written < size) {
		ssize_t count = write(fd, (const uint8_t *)bytes + written, size - written);

		if (count < 0)
			return -errno;
		written += (size_t)count;
	}
	if (fcntl(fd, F_ADD_SEALS, SEALS))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

union control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(sizeof(int) * (LINK_FD_COUNT_MAX + 1))];
};

int link_send(int socket, const struct link_message *message)
{
	assert(message->type > 0 && message->type < LINK_TYPE_COUNT);
	assert(message->fd_count <= LINK_FD_COUNT_MAX);
	assert(message->size <= WINDOW_SIZE_MAX);

	bool fits = message->size <= LINK_PACKET_SIZE_MAX - LINK_HEADER_SIZE;
	autoclean(buf) struct buf header = BUF(LINK_HEADER_SIZE);
	autoclose int memory = -1;
	int fds[LINK_FD_COUNT_MAX + 1];
	unsigned fd_count = 0;

	if (!fits) {
		int err = make_sealed_memory(message->payload, message->size, &memory);

		if (err)
			return err;
		fds[fd_count++] = memory;
	}
	for (unsigned i = 0; i < message->fd_count; i++)
		fds[fd_count++] = message->fds[i];
	encode_header(message, fits ? 0 : PAYLOAD_IN_MEMORY_FD, &header);
	if (header.error)
		return header.error;
	assert(header.size == LINK_HEADER_SIZE);

	struct iovec parts[2] = {
		{ .iov_base = header.bytes, .iov_len = header.size },
		{ .iov_base = (void *)message->payload, .iov_len = fits ? message->size : 0 },
	};
	union control control = { .bytes = { 0 } };
	struct msghdr packet = { .msg_iov = parts, .msg_iovlen = 2 };

	if (fd_count > 0) {
		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);

		struct cmsghdr *passed = CMSG_FIRSTHDR(&packet);

		passed->cmsg_level = SOL_SOCKET;
		passed->cmsg_type = SCM_RIGHTS;
		passed->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(passed), fds, sizeof(int) * fd_count);
	}
	if (sendmsg(socket, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == ENOBUFS || errno == ETOOMANYREFS ? -EAGAIN : -errno;
	return 0;
}

/* All descriptors of the packet, whatever becomes of it. */
static unsigned take_descriptors(struct msghdr *packet, int fds[static LINK_FD_COUNT_MAX + 1])
{
	unsigned count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c; c = CMSG_NXTHDR(packet, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;

		size_t passed = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < passed; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (count <= LINK_FD_COUNT_MAX)
				fds[count++] = fd;
			else
				close(fd);
		}
	}
	return count;
}

static void close_all(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

static int map_payload(int memory, size_t size, struct link_message *message)
{
	struct stat status;
	int seals = fcntl(memory, F_GET_SEALS);

	/* Without the seals its sender could change what was checked. */
	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EBADMSG;
	if (fstat(memory, &status) || status.st_size < 0 || (size_t)status.st_size != size ||
	    size == 0)
		return -EBADMSG;

	void *mapped = mmap(NULL, size, PROT_READ, MAP_PRIVATE, memory, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	message->mapped = mapped;
	message->payload = mapped;
	message->size = size;
	return 0;
}

static int decode(const uint8_t *packet, size_t packet_size, unsigned fd_count,
		  struct link_message *message)
{
	struct bytes bytes = bytes_from(packet, packet_size);
	uint32_t magic = bytes_u32(&bytes);
	uint16_t version = bytes_u16(&bytes);

	if (bytes.error || magic != LINK_MAGIC)
		return -EBADMSG;
	if (version != LINK_VERSION)
		return -EPROTONOSUPPORT;
	message->type = bytes_u8(&bytes);

	uint8_t flags = bytes_u8(&bytes);

	message->sequence = bytes_u64(&bytes);

	uint64_t size = bytes_u64(&bytes);
	uint32_t passed = bytes_u32(&bytes);

	(void)bytes_u32(&bytes);
	if (bytes.error || message->type == 0 || message->type >= LINK_TYPE_COUNT ||
	    flags > PAYLOAD_IN_MEMORY_FD || size > WINDOW_SIZE_MAX ||
	    passed + (flags ? 1U : 0U) != fd_count || passed > LINK_FD_COUNT_MAX)
		return -EBADMSG;
	if (flags) {
		int memory = message->fds[0];
		int err = bytes.left > 0 ? -EBADMSG : map_payload(memory, (size_t)size, message);

		if (err)
			return err;
		return 1;
	}
	if (size != bytes.left)
		return -EBADMSG;
	message->size = (size_t)size;
	message->payload = bytes.next;
	return 0;
}

int link_receive(int socket, struct link_message *ret)
{
	struct link_message message = { .fds = { -1, -1 } };
	int fds[LINK_FD_COUNT_MAX + 1] = { -1, -1, -1 };
	uint8_t *packet_bytes = malloc(LINK_PACKET_SIZE_MAX);
	union control control;
	struct iovec part = { .iov_base = packet_bytes, .iov_len = LINK_PACKET_SIZE_MAX };
	struct msghdr packet = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes) };

	if (!packet_bytes)
		return -ENOMEM;

	ssize_t size = recvmsg(socket, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (size < 0) {
		int err = -errno;

		free(packet_bytes);
		return err;
	}

	unsigned fd_count = take_descriptors(&packet, fds);

	/* The end, or a packet without a byte, which may bring descriptors all the same. */
	if (size == 0) {
		close_all(fds, fd_count);
		free(packet_bytes);
		return fd_count ? -EBADMSG : -EPIPE;
	}

	int first = 0;
	int err = -EBADMSG;

	message.copied = packet_bytes;
	message.fds[0] = fds[0];
	if (!(packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		err = decode(packet_bytes, (size_t)size, fd_count, &message);
	if (err == 1) {
		/* The first was the payload, and is mapped. */
		first = 1;
		err = 0;
	}
	message.fds[0] = -1;
	close_all(fds, err ? fd_count : (unsigned)first);
	if (err) {
		link_message_done(&message);
		return err;
	}
	message.fd_count = fd_count - (unsigned)first;
	for (unsigned i = 0; i < message.fd_count; i++)
		message.fds[i] = fds[(unsigned)first + i];
	*ret = message;
	return 0;
}

void link_message_done(struct link_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	if (message->mapped)
		munmap(message->mapped, message->size);
	free(message->copied);
	*message = (struct link_message){ .fds = { -1, -1 } };
}

int link_peer(int socket, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return -errno;
	*ret_uid = peer.uid;
	*ret_pid = peer.pid;
	return 0;
}

void link_encode_hello(const struct link_hello *hello, struct buf *buf)
{
	buf_add_u64(buf, hello->collector);
	buf_add(buf, hello->boot_id, sizeof(hello->boot_id));
	buf_add_sized(buf, hello->kernel_release);
}

int link_decode_hello(const struct link_message *message, struct link_hello *ret)
{
	struct bytes bytes = bytes_from(message->payload, message->size);
	struct link_hello hello = { .collector = bytes_u64(&bytes) };
	const void *boot_id = bytes_take(&bytes, sizeof(hello.boot_id));

	if (boot_id)
		memcpy(hello.boot_id, boot_id, sizeof(hello.boot_id));
	hello.kernel_release = bytes_sized(&bytes);
	if (bytes.error || bytes.left > 0 || hello.collector == 0 ||
	    hello.kernel_release.size > TEXT_SIZE_MAX)
		return -EBADMSG;
	*ret = hello;
	return 0;
}

static void encode_identity(const struct identity *identity, struct buf *buf)
{
	assert(identity->size <= IDENTITY_SIZE_MAX);
	buf_add_u8(buf, identity->kind);
	buf_add_sized(buf, (struct str){ (const char *)identity->bytes, identity->size });
}

static struct identity decode_identity(struct bytes *bytes)
{
	struct identity identity = { .kind = bytes_u8(bytes) };
	struct str id = bytes_sized(bytes);

	if (id.size == 0 || id.size > IDENTITY_SIZE_MAX || identity.kind == IDENTITY_NONE)
		bytes->error = -EBADMSG;
	if (bytes->error)
		return (struct identity){ 0 };
	identity.size = (uint8_t)id.size;
	memcpy(identity.bytes, id.text, id.size);
	return identity;
}

void link_encode_file(const struct link_file *file, struct buf *buf)
{
	encode_identity(&file->identity, buf);
	buf_add_varint(buf, (uint64_t)(file->error < 0 ? -file->error : file->error));
}

int link_decode_file(const struct link_message *message, struct link_file *ret)
{
	struct bytes bytes = bytes_from(message->payload, message->size);
	struct identity identity = decode_identity(&bytes);
	uint64_t error = bytes_varint(&bytes);

	if (bytes.error || bytes.left > 0 || error > INT16_MAX ||
	    message->fd_count != (error ? 0U : 1U))
		return -EBADMSG;
	*ret = (struct link_file){ .identity = identity, .error = (int)error };
	return 0;
}

void link_encode_wish(const struct identity *identity, struct buf *buf)
{
	encode_identity(identity, buf);
}

int link_decode_wish(const struct link_message *message, struct identity *ret)
{
	struct bytes bytes = bytes_from(message->payload, message->size);
	struct identity identity = decode_identity(&bytes);

	if (bytes.error || bytes.left > 0)
		return -EBADMSG;
	*ret = identity;
	return 0;
}

void link_encode_wish_debug(const struct link_wish_debug *wish, struct buf *buf)
{
	assert(wish->name.size <= LINK_DEBUG_NAME_SIZE_MAX);
	encode_identity(&wish->identity, buf);
	encode_identity(&wish->wanted, buf);
	buf_add_sized(buf, wish->name);
}

/* What may be put behind the name of a folder and stay in it. */
static bool is_file_name(struct str name)
{
	return name.size <= LINK_DEBUG_NAME_SIZE_MAX && !memchr(name.text, '/', name.size) &&
	       !memchr(name.text, '\0', name.size) && name.text[0] != '.';
}

int link_decode_wish_debug(const struct link_message *message, struct link_wish_debug *ret)
{
	struct bytes bytes = bytes_from(message->payload, message->size);
	struct link_wish_debug wish = { .identity = decode_identity(&bytes) };

	wish.wanted = decode_identity(&bytes);
	wish.name = bytes_sized(&bytes);
	if (bytes.error || bytes.left > 0 || (wish.name.size > 0 && !is_file_name(wish.name)))
		return -EBADMSG;
	*ret = wish;
	return 0;
}

static void encode_process(const struct process_key *process, struct buf *buf)
{
	buf_add_u32(buf, process->pid);
	buf_add_u32(buf, process->exec_generation);
	buf_add_u64(buf, process->start_boot_ns);
}

static struct process_key decode_process(struct bytes *bytes)
{
	struct process_key process = { .pid = bytes_u32(bytes) };

	process.exec_generation = bytes_u32(bytes);
	process.start_boot_ns = bytes_u64(bytes);
	return process;
}

void link_encode_jit(const struct link_jit *jit, struct buf *buf)
{
	encode_process(&jit->process, buf);
	buf_add_u8(buf, jit->kind);
	buf_add_varint(buf, (uint64_t)(jit->error < 0 ? -jit->error : jit->error));
}

int link_decode_jit(const struct link_message *message, struct link_jit *ret)
{
	struct bytes bytes = bytes_from(message->payload, message->size);
	struct process_key process = decode_process(&bytes);
	uint8_t kind = bytes_u8(&bytes);
	uint64_t error = bytes_varint(&bytes);

	if (bytes.error || bytes.left > 0 || error > INT16_MAX ||
	    message->fd_count != (error ? 0U : 1U))
		return -EBADMSG;
	*ret = (struct link_jit){ .process = process, .kind = kind, .error = (int)error };
	return 0;
}

void link_encode_wish_jit(const struct process_key *process, struct buf *buf)
{
	encode_process(process, buf);
}

int link_decode_wish_jit(const struct link_message *message, struct process_key *ret)
{
	struct bytes bytes = bytes_from(message->payload, message->size);
	struct process_key process = decode_process(&bytes);

	if (bytes.error || bytes.left > 0)
		return -EBADMSG;
	*ret = process;
	return 0;
}

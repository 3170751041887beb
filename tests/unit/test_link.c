/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/link.h"
#include "tests/support/descriptors.h"

enum {
	SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
	IN_MEMORY = 1, /* the flag of a payload that lies in the first descriptor */
};

struct pair {
	int ends[2];
	unsigned descriptors; /* open before, with the pair */
};

static int connect_pair(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair->ends), 0);
	pair->descriptors = open_descriptors();
	*state = pair;
	return 0;
}

/* Nothing that a test received may have been left open. */
static int close_pair(void **state)
{
	struct pair *pair = *state;
	unsigned descriptors = open_descriptors();

	for (unsigned i = 0; i < 2; i++)
		if (pair->ends[i] >= 0)
			close(pair->ends[i]);
	assert_int_equal(descriptors + (pair->ends[0] < 0), pair->descriptors);
	free(pair);
	return 0;
}

/* The fields of a header that a stranger may set as it likes. */
struct header {
	uint32_t magic;
	uint16_t version;
	uint8_t type, flags;
	uint64_t size;
	uint32_t fd_count;
};

static const struct header good = { .magic = 0x68747268,
				    .version = LINK_VERSION,
				    .type = LINK_WISH };

static void send_raw(int socket, const void *bytes, size_t size, const int *fds, unsigned fd_count)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = (void *)bytes, .iov_len = size };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd_count > 0) {
		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		CMSG_FIRSTHDR(&packet)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&packet)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&packet)->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&packet)), fds, sizeof(int) * fd_count);
	}
	assert_int_equal(sendmsg(socket, &packet, MSG_NOSIGNAL), size);
}

static void send_header(int socket, const struct header *header, struct str rest, const int *fds,
			unsigned fd_count)
{
	autoclean(buf) struct buf packet = BUF(LINK_PACKET_SIZE_MAX);

	buf_add_u32(&packet, header->magic);
	buf_add_u16(&packet, header->version);
	buf_add_u8(&packet, header->type);
	buf_add_u8(&packet, header->flags);
	buf_add_u64(&packet, 9);
	buf_add_u64(&packet, header->size);
	buf_add_u32(&packet, header->fd_count);
	buf_add_u32(&packet, 0);
	assert_int_equal(packet.size, LINK_HEADER_SIZE);
	buf_add_str(&packet, rest);
	assert_int_equal(packet.error, 0);
	send_raw(socket, packet.bytes, packet.size, fds, fd_count);
}

static int memory_of(size_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void passes_a_message_on(void **state)
{
	struct pair *pair = *state;
	struct link_message message;

	assert_int_equal(link_receive(pair->ends[1], &message), -EAGAIN);
	assert_int_equal(link_send(pair->ends[0], &(struct link_message){ .type = LINK_WINDOW,
									  .sequence = 77,
									  .payload = "hello",
									  .size = 5 }),
			 0);
	assert_int_equal(link_send(pair->ends[0], &(struct link_message){ .type = LINK_ACK }), 0);

	assert_int_equal(link_receive(pair->ends[1], &message), 0);
	assert_int_equal(message.type, LINK_WINDOW);
	assert_int_equal(message.sequence, 77);
	assert_int_equal(message.size, 5);
	assert_memory_equal(message.payload, "hello", 5);
	assert_int_equal(message.fd_count, 0);
	link_message_done(&message);
	link_message_done(&message); /* twice is once */

	assert_int_equal(link_receive(pair->ends[1], &message), 0);
	assert_int_equal(message.type, LINK_ACK);
	assert_int_equal(message.size, 0);
	link_message_done(&message);
	assert_int_equal(link_receive(pair->ends[1], &message), -EAGAIN);
}

/* Around the size from which on a payload goes by memory. */
static void passes_payloads_of_any_size(void **state)
{
	struct pair *pair = *state;
	static const size_t sizes[] = { 1,
					LINK_PACKET_SIZE_MAX - LINK_HEADER_SIZE - 1,
					LINK_PACKET_SIZE_MAX - LINK_HEADER_SIZE,
					LINK_PACKET_SIZE_MAX - LINK_HEADER_SIZE + 1,
					LINK_PACKET_SIZE_MAX,
					5000000,
					WINDOW_SIZE_MAX };
	autofree uint8_t *bytes = malloc(WINDOW_SIZE_MAX);

	assert_non_null(bytes);
	for (size_t i = 0; i < WINDOW_SIZE_MAX; i++)
		bytes[i] = (uint8_t)(i * 31 >> 3);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };

		assert_int_equal(
			link_send(pair->ends[0], &(struct link_message){ .type = LINK_WINDOW,
									 .payload = bytes,
									 .size = sizes[i] }),
			0);
		assert_int_equal(link_receive(pair->ends[1], &message), 0);
		assert_int_equal(message.size, sizes[i]);
		assert_int_equal(memcmp(message.payload, bytes, sizes[i]), 0);
		assert_int_equal(message.fd_count, 0);
	}
}

static void passes_descriptors_with_either_payload(void **state)
{
	struct pair *pair = *state;
	autofree uint8_t *bytes = calloc(1, 200000);

	assert_non_null(bytes);
	for (size_t size = 0; size <= 200000; size += 200000) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };
		int fds[2] = { memory_of(111, 0), memory_of(222, 0) };
		struct stat status;

		assert_int_equal(
			link_send(pair->ends[0], &(struct link_message){ .type = LINK_KERNEL,
									 .payload = bytes,
									 .size = size,
									 .fds = { fds[0], fds[1] },
									 .fd_count = 2 }),
			0);
		/* They stay the sender's. */
		assert_int_equal(close(fds[0]) + close(fds[1]), 0);
		assert_int_equal(link_receive(pair->ends[1], &message), 0);
		assert_int_equal(message.size, size);
		assert_int_equal(message.fd_count, 2);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(fstat(message.fds[i], &status), 0);
			assert_int_equal(status.st_size, i ? 222 : 111);
			assert_int_equal(fcntl(message.fds[i], F_GETFD), FD_CLOEXEC);
		}
		/* One is taken, the other goes with the message. */
		close(message.fds[0]);
		message.fds[0] = -1;
	}
}

static void tells_of_the_end(void **state)
{
	struct pair *pair = *state;
	struct link_message message;

	assert_int_equal(link_send(pair->ends[0], &(struct link_message){ .type = LINK_ACK }), 0);
	close(pair->ends[0]);
	pair->ends[0] = -1;
	assert_int_equal(link_receive(pair->ends[1], &message), 0);
	link_message_done(&message);
	assert_int_equal(link_receive(pair->ends[1], &message), -EPIPE);
	assert_int_equal(link_send(pair->ends[1], &(struct link_message){ .type = LINK_ACK }),
			 -EPIPE);
}

static void does_not_wait_for_a_peer_that_does_not_read(void **state)
{
	struct pair *pair = *state;
	static const uint8_t bytes[60000];
	struct link_message message;
	unsigned sent = 0;
	int err = 0;

	while (sent < 1000 && !err) {
		err = link_send(pair->ends[0], &(struct link_message){ .type = LINK_WINDOW,
								       .payload = bytes,
								       .size = sizeof(bytes) });
		sent += !err;
	}
	assert_int_equal(err, -EAGAIN);
	assert_true(sent >= 2);
	for (; sent > 0; sent--) {
		assert_int_equal(link_receive(pair->ends[1], &message), 0);
		link_message_done(&message);
	}
	assert_int_equal(link_receive(pair->ends[1], &message), -EAGAIN);
}

static void refuses_headers_that_no_end_of_ours_sends(void **state)
{
	struct pair *pair = *state;
	struct header bad[8];
	struct link_message message;

	for (unsigned i = 0; i < 8; i++)
		bad[i] = good;
	bad[0].magic++;
	bad[1].type = 0;
	bad[2].type = LINK_TYPE_COUNT;
	bad[3].flags = 2;
	bad[4].size = 1;
	bad[5].size = UINT64_MAX;
	bad[6].fd_count = 1;
	bad[7].flags = IN_MEMORY;
	for (unsigned i = 0; i < 8; i++) {
		send_header(pair->ends[0], &bad[i], (struct str){ 0 }, NULL, 0);
		assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
	}
	/* Of another version nothing else is known. */
	struct header other = bad[5];

	other.version++;
	send_header(pair->ends[0], &other, (struct str){ 0 }, NULL, 0);
	assert_int_equal(link_receive(pair->ends[1], &message), -EPROTONOSUPPORT);

	for (size_t size = 1; size < LINK_HEADER_SIZE; size++) {
		send_raw(pair->ends[0],
			 "hrth\5\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", size, NULL,
			 0);
		assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
	}
	send_header(pair->ends[0], &good, STR("x"), NULL, 0);
	assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
	send_header(pair->ends[0], &good, (struct str){ 0 }, NULL, 0);
	assert_int_equal(link_receive(pair->ends[1], &message), 0);
	link_message_done(&message);
}

static void refuses_a_packet_that_is_too_large(void **state)
{
	struct pair *pair = *state;
	autofree uint8_t *bytes = calloc(1, LINK_PACKET_SIZE_MAX + 1);
	struct link_message message;

	assert_non_null(bytes);
	memcpy(bytes, "hrth\5\0\5", 7);
	send_raw(pair->ends[0], bytes, LINK_PACKET_SIZE_MAX + 1, NULL, 0);
	assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
}

/* Whoever keeps the memory writable could change what was checked, or cut it off under the reader.
 */
static void refuses_memory_without_every_seal(void **state)
{
	struct pair *pair = *state;
	static const int seals[] = { 0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
				     F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL,
				     F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL,
				     F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW };
	struct header header = good;
	struct link_message message;

	header.flags = IN_MEMORY;
	header.size = 4096;
	for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
		int fd = memory_of(4096, seals[i]);

		send_header(pair->ends[0], &header, (struct str){ 0 }, &fd, 1);
		close(fd);
		assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
	}

	/* Not memory at all, of another size, with bytes besides. */
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int shorter = memory_of(4095, SEALS);
	int whole = memory_of(4096, SEALS);

	send_header(pair->ends[0], &header, (struct str){ 0 }, &file, 1);
	assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
	send_header(pair->ends[0], &header, (struct str){ 0 }, &shorter, 1);
	assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
	send_header(pair->ends[0], &header, STR("more"), &whole, 1);
	assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
	send_header(pair->ends[0], &header, (struct str){ 0 }, &whole, 1);
	assert_int_equal(link_receive(pair->ends[1], &message), 0);
	assert_int_equal(message.size, 4096);
	link_message_done(&message);
	close(file);
	close(shorter);
	close(whole);
}

static void closes_descriptors_that_nobody_asked_for(void **state)
{
	struct pair *pair = *state;
	struct link_message message;
	int fds[16];

	for (unsigned i = 0; i < 16; i++)
		fds[i] = STDERR_FILENO;
	for (unsigned count = 1; count <= 16; count++) {
		struct header header = good;

		/* With a header that does not name them, and with one that does. */
		send_header(pair->ends[0], &header, (struct str){ 0 }, fds, count);
		assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
		header.fd_count = count;
		send_header(pair->ends[0], &header, (struct str){ 0 }, fds, count);
		assert_int_equal(link_receive(pair->ends[1], &message),
				 count <= LINK_FD_COUNT_MAX ? 0 : -EBADMSG);
		if (count <= LINK_FD_COUNT_MAX)
			link_message_done(&message);
		/* Without a byte of a message. */
		send_raw(pair->ends[0], "", 0, fds, count);
		assert_int_equal(link_receive(pair->ends[1], &message), -EBADMSG);
		assert_int_equal(open_descriptors(), pair->descriptors);
	}
}

static void knows_its_peer(void **state)
{
	struct pair *pair = *state;
	uid_t uid = (uid_t)-1;
	pid_t pid = -1;
	int pipes[2];

	assert_int_equal(link_peer(pair->ends[0], &uid, &pid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(pid, getpid());
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(link_peer(pipes[0], &uid, &pid), -ENOTSOCK);
	close(pipes[0]);
	close(pipes[1]);
}

static const struct identity an_identity = { .kind = IDENTITY_GNU_BUILD_ID,
					     .size = 20,
					     .bytes = { 1, 2, 3 } };

static struct link_message with(const struct buf *payload, unsigned fd_count)
{
	return (struct link_message){ .payload = payload->bytes,
				      .size = payload->size,
				      .fds = { -1, -1 },
				      .fd_count = fd_count };
}

static void reads_payloads_back(void **state)
{
	(void)state;
	autoclean(buf) struct buf payload = BUF(1024);
	struct link_hello hello = { .collector = 5,
				    .boot_id = { 1, 2 },
				    .kernel_release = STR("6.1.0-hearth") };
	struct link_hello hello_again;
	struct link_file file_again;
	struct identity wish;

	link_encode_hello(&hello, &payload);

	struct link_message message = with(&payload, 0);

	assert_int_equal(link_decode_hello(&message, &hello_again), 0);
	assert_int_equal(hello_again.collector, 5);
	assert_memory_equal(hello_again.boot_id, hello.boot_id, sizeof(hello.boot_id));
	assert_true(str_equal(hello_again.kernel_release, hello.kernel_release));

	buf_clear(&payload);
	link_encode_wish(&an_identity, &payload);
	message = with(&payload, 0);
	assert_int_equal(link_decode_wish(&message, &wish), 0);
	assert_memory_equal(&wish, &an_identity, sizeof(wish));

	buf_clear(&payload);
	link_encode_file(&(struct link_file){ .identity = an_identity, .error = -EACCES },
			 &payload);
	message = with(&payload, 0);
	assert_int_equal(link_decode_file(&message, &file_again), 0);
	assert_int_equal(file_again.error, EACCES);
	assert_memory_equal(&file_again.identity, &an_identity, sizeof(an_identity));
	/* Why there is none, and one all the same; none, and no reason. */
	message = with(&payload, 1);
	assert_int_equal(link_decode_file(&message, &file_again), -EBADMSG);
	buf_clear(&payload);
	link_encode_file(&(struct link_file){ .identity = an_identity }, &payload);
	message = with(&payload, 1);
	assert_int_equal(link_decode_file(&message, &file_again), 0);
	message = with(&payload, 0);
	assert_int_equal(link_decode_file(&message, &file_again), -EBADMSG);
}

static void carries_wishes_for_debug_files(void **state)
{
	static const char *const bad[] = { "a/b", ".", "..", ".debug", "/etc/passwd" };
	autoclean(buf) struct buf payload = BUF(1024);
	const struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID,
					   .size = 2,
					   .bytes = "id" };
	const struct identity shared = { .kind = IDENTITY_GNU_BUILD_ID, .size = 3, .bytes = "dwz" };
	struct link_wish_debug wish = { .identity = identity,
					.wanted = shared,
					.name = STR("prog.debug") };
	struct link_message message;

	(void)state;
	link_encode_wish_debug(&wish, &payload);
	for (size_t size = 0; size <= payload.size; size++) {
		message = with(&payload, 0);
		message.size = size;
		wish = (struct link_wish_debug){ 0 };
		assert_int_equal(link_decode_wish_debug(&message, &wish),
				 size == payload.size ? 0 : -EBADMSG);
	}
	assert_memory_equal(&wish.identity, &identity, sizeof(identity));
	assert_memory_equal(&wish.wanted, &shared, sizeof(shared));
	assert_true(str_equal(wish.name, STR("prog.debug")));

	/* A name is none that leads elsewhere. */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_clear(&payload);
		wish.name = str_from(bad[i]);
		link_encode_wish_debug(&wish, &payload);
		message = with(&payload, 0);
		assert_int_equal(link_decode_wish_debug(&message, &wish), -EBADMSG);
	}
}

static void carries_what_processes_write_of_their_code(void **state)
{
	autoclean(buf) struct buf payload = BUF(1024);
	const struct process_key process = { 7, 3, UINT64_C(1) << 50 };
	struct link_jit jit = { .process = process, .kind = 2 };
	struct process_key wish = { 0 };
	struct link_message message;

	(void)state;
	link_encode_wish_jit(&process, &payload);
	for (size_t size = 0; size <= payload.size; size++) {
		message = with(&payload, 0);
		message.size = size;
		assert_int_equal(link_decode_wish_jit(&message, &wish),
				 size == payload.size ? 0 : -EBADMSG);
	}
	assert_memory_equal(&wish, &process, sizeof(wish));

	buf_clear(&payload);
	link_encode_jit(&jit, &payload);
	message = with(&payload, 1);
	jit = (struct link_jit){ 0 };
	assert_int_equal(link_decode_jit(&message, &jit), 0);
	assert_memory_equal(&jit.process, &process, sizeof(process));
	assert_int_equal(jit.kind, 2);
	assert_int_equal(jit.error, 0);
	/* No reason, and nothing; and the other way round. */
	message = with(&payload, 0);
	assert_int_equal(link_decode_jit(&message, &jit), -EBADMSG);
	buf_clear(&payload);
	link_encode_jit(&(struct link_jit){ .process = process, .error = -ENOENT }, &payload);
	message = with(&payload, 1);
	assert_int_equal(link_decode_jit(&message, &jit), -EBADMSG);
	message = with(&payload, 0);
	assert_int_equal(link_decode_jit(&message, &jit), 0);
	assert_int_equal(jit.error, ENOENT);
	message.size--;
	assert_int_equal(link_decode_jit(&message, &jit), -EBADMSG);
}

static void refuses_payloads_cut_or_longer(void **state)
{
	(void)state;
	struct link_hello hello;
	struct link_file file;
	struct identity wish;

	for (unsigned kind = 0; kind < 3; kind++) {
		autoclean(buf) struct buf payload = BUF(1024);

		if (kind == 0)
			link_encode_hello(&(struct link_hello){ .collector = 5,
								.kernel_release = STR("6.1") },
					  &payload);
		else if (kind == 1)
			link_encode_wish(&an_identity, &payload);
		else
			link_encode_file(&(struct link_file){ .identity = an_identity, .error = 1 },
					 &payload);

		size_t whole = payload.size;

		buf_add_u8(&payload, 0);
		for (size_t size = 0; size <= whole + 1; size++) {
			struct link_message message = with(&payload, 0);

			message.size = size;

			int err = kind == 0   ? link_decode_hello(&message, &hello)
				  : kind == 1 ? link_decode_wish(&message, &wish)
					      : link_decode_file(&message, &file);

			assert_int_equal(err, size == whole ? 0 : -EBADMSG);
		}
	}
}

#define PAIR_TEST(test) cmocka_unit_test_setup_teardown(test, connect_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(passes_a_message_on),
		PAIR_TEST(passes_payloads_of_any_size),
		PAIR_TEST(passes_descriptors_with_either_payload),
		PAIR_TEST(tells_of_the_end),
		PAIR_TEST(does_not_wait_for_a_peer_that_does_not_read),
		PAIR_TEST(refuses_headers_that_no_end_of_ours_sends),
		PAIR_TEST(refuses_a_packet_that_is_too_large),
		PAIR_TEST(refuses_memory_without_every_seal),
		PAIR_TEST(closes_descriptors_that_nobody_asked_for),
		PAIR_TEST(knows_its_peer),
		cmocka_unit_test(reads_payloads_back),
		cmocka_unit_test(carries_wishes_for_debug_files),
		cmocka_unit_test(carries_what_processes_write_of_their_code),
		cmocka_unit_test(refuses_payloads_cut_or_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

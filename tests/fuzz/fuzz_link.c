/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void decode(const struct link_message *message)
{
	struct link_hello hello;
	struct link_file file;
	struct identity identity;
	struct process_key process;
	struct link_jit jit;
	struct link_wish_debug wish;

	if (link_decode_hello(message, &hello) == 0)
		assert(hello.collector != 0);
	if (link_decode_file(message, &file) == 0)
		assert(file.identity.size > 0 && file.identity.size <= IDENTITY_SIZE_MAX);
	if (link_decode_jit(message, &jit) == 0)
		assert(jit.error >= 0 && jit.error <= INT16_MAX);
	(void)link_decode_wish_jit(message, &process);
	if (link_decode_wish_debug(message, &wish) == 0)
		assert(wish.name.size <= LINK_DEBUG_NAME_SIZE_MAX &&
		       (wish.name.size == 0 || !memchr(wish.name.text, '/', wish.name.size)));
	if (link_decode_wish(message, &identity) == 0)
		assert(identity.size > 0 && identity.size <= IDENTITY_SIZE_MAX);
}

/* The bytes as a payload, and as a packet. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct link_message message = { .payload = bytes, .size = size, .fds = { -1, -1 } };
	int ends[2];

	decode(&message);
	if (size == 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return 0;
	if (send(ends[0], bytes, size, MSG_DONTWAIT) == (ssize_t)size &&
	    link_receive(ends[1], &message) == 0) {
		decode(&message);
		link_message_done(&message);
	}
	close(ends[0]);
	close(ends[1]);
	return 0;
}

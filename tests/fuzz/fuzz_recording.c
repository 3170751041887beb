/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/link.h"
#include "base/window.h"
#include "web/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What is read out of a recording goes where messages of the link go: each is decoded as those are.
 */
static void decode(const struct link_message *message)
{
	autoclean(window) struct window *window = NULL;
	struct link_hello hello;
	struct link_file file;

	if (message->type == LINK_HELLO)
		(void)link_decode_hello(message, &hello);
	else if (message->type == LINK_FILE)
		(void)link_decode_file(message, &file);
	else if (message->type == LINK_WINDOW)
		(void)window_decode(message->payload, message->size, &window);
	else
		assert(message->type == LINK_KERNEL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclose int fd = memfd_create("fuzz", MFD_CLOEXEC);
	autoclean(recording) struct recording *recording = NULL;
	char path[64];
	int err = 0;

	assert(fd >= 0);
	if (write(fd, bytes, size) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (recording_open(path, &recording))
		return 0;
	while (!err) {
		autoclean(link_message) struct link_message message = { .fds = { -1, -1 } };

		err = recording_next(recording, &message);
		if (!err)
			decode(&message);
	}
	return 0;
}

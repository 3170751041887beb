/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

enum { MESSAGE_SIZE = 512 };

/* A path, or "@name" in the abstract namespace. */
static int make_address(const char *name, struct sockaddr_un *ret, socklen_t *ret_size)
{
	size_t size = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || size < 2)
		return -EAFNOSUPPORT;
	if (size >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, name, size);
	/* A path is sent with its NUL; an abstract name is as long as it says. */
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '/'));
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	return 0;
}

int notify_manager(const char *format, ...)
{
	const char *name = getenv("NOTIFY_SOCKET");
	char message[MESSAGE_SIZE];
	struct sockaddr_un address;
	socklen_t address_size;
	va_list args;

	if (!name || !name[0])
		return 0;

	int err = make_address(name, &address, &address_size);

	if (err)
		return err;
	va_start(args, format);

	int size = vsnprintf(message, sizeof(message), format, args);

	va_end(args);
	if (size < 0)
		return -EINVAL;
	if (size >= MESSAGE_SIZE)
		size = MESSAGE_SIZE - 1;

	/* Never waits: a manager that does not read must not hold up what it watches. */
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || sendto(fd, message, (size_t)size, MSG_NOSIGNAL,
			     (const struct sockaddr *)&address, address_size) < 0)
		return -errno;
	return 0;
}

uint64_t notify_watchdog_ns(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *time = getenv("WATCHDOG_USEC");
	uint64_t number;

	if (!time || (pid && (parse_u64(str_from(pid), &number) || number != (uint64_t)getpid())))
		return 0;
	if (parse_u64(str_from(time), &number) || number > UINT64_MAX / 1000)
		return 0;
	return number * 1000;
}

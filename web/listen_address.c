/* SPDX-License-Identifier: Apache-2.0 */
#include "web/listen_address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "web/port_owner.h"

enum { BACKLOG = 1024, SHOWN_MAX = 100 };

/* ---- texts ------------------------------------------------------------------------------------
 */

static int refuse(struct str item, const char *why, char reterr[static LISTEN_ERROR_SIZE])
{
	snprintf(reterr, LISTEN_ERROR_SIZE, "'%.*s' %s",
		 (int)(item.size < SHOWN_MAX ? item.size : SHOWN_MAX), item.text ? item.text : "",
		 why);
	return -EINVAL;
}

static int parse_unix(struct str item, struct str path, struct listen_address *ret,
		      char reterr[static LISTEN_ERROR_SIZE])
{
	struct sockaddr_un *where = (struct sockaddr_un *)&ret->socket;

	if (path.size == 0 || path.text[0] != '/' || path.size >= sizeof(where->sun_path))
		return refuse(item, "is no absolute path of 1 to 107 bytes", reterr);
	where->sun_family = AF_UNIX;
	memcpy(where->sun_path, path.text, path.size);
	ret->size = sizeof(*where);
	ret->is_unix = true;
	ret->is_loopback = true;
	return 0;
}

static int parse_six(const char *host, uint16_t port, struct listen_address *ret)
{
	struct sockaddr_in6 *where = (struct sockaddr_in6 *)&ret->socket;

	where->sin6_family = AF_INET6;
	where->sin6_port = htons(port);
	ret->size = sizeof(*where);
	if (inet_pton(AF_INET6, host, &where->sin6_addr) != 1)
		return -EINVAL;
	ret->is_loopback = IN6_IS_ADDR_LOOPBACK(&where->sin6_addr);
	return 0;
}

static int parse_four(const char *host, uint16_t port, struct listen_address *ret)
{
	struct sockaddr_in *where = (struct sockaddr_in *)&ret->socket;

	where->sin_family = AF_INET;
	where->sin_port = htons(port);
	ret->size = sizeof(*where);
	if (inet_pton(AF_INET, strcasecmp(host, "localhost") == 0 ? "127.0.0.1" : host,
		      &where->sin_addr) != 1)
		return -EINVAL;
	ret->is_loopback = ntohl(where->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return 0;
}

static int parse_one(struct str item, struct listen_address *ret,
		     char reterr[static LISTEN_ERROR_SIZE])
{
	size_t colon = item.size;
	char host[64];
	uint64_t port;

	*ret = (struct listen_address){ .size = 0 };
	if (str_starts_with(item, STR("unix:")))
		return parse_unix(item, (struct str){ item.text + 5, item.size - 5 }, ret, reterr);
	while (colon > 0 && item.text[colon - 1] != ':')
		colon--;
	if (colon == 0 || colon > sizeof(host) ||
	    parse_u64((struct str){ item.text + colon, item.size - colon }, &port) ||
	    port > UINT16_MAX)
		return refuse(item, "is not ADDRESS:PORT, as in 127.0.0.1:4040, nor unix:PATH",
			      reterr);
	memcpy(host, item.text, colon - 1);
	host[colon - 1] = '\0';

	int err;

	if (host[0] == '[' && colon >= 3 && host[colon - 2] == ']') {
		host[colon - 2] = '\0';
		err = parse_six(host + 1, (uint16_t)port, ret);
	} else {
		err = parse_four(host, (uint16_t)port, ret);
	}
	return err ? refuse(item, "is no IP address and port, as in 127.0.0.1:4040", reterr) : 0;
}

int listen_addresses_parse(const char *text, struct listen_addresses *ret,
			   char reterr[static LISTEN_ERROR_SIZE])
{
	struct str rest = str_from(text);
	struct str item;

	*ret = (struct listen_addresses){ .count = 0 };
	while (parse_next(&rest, ',', &item)) {
		while (item.size > 0 && item.text[0] == ' ')
			item = (struct str){ item.text + 1, item.size - 1 };
		while (item.size > 0 && item.text[item.size - 1] == ' ')
			item.size--;
		if (ret->count == LISTEN_ADDRESS_COUNT_MAX) {
			snprintf(reterr, LISTEN_ERROR_SIZE, "there are more than %d addresses",
				 LISTEN_ADDRESS_COUNT_MAX);
			return -EINVAL;
		}

		int err = parse_one(item, &ret->items[ret->count], reterr);

		if (err)
			return err;
		ret->count++;
	}
	return ret->count > 0 ? 0 : refuse(STR(""), "is not ADDRESS:PORT", reterr);
}

void listen_address_print(const struct listen_address *address, char ret[static LISTEN_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN] = "";

	if (address->is_unix) {
		snprintf(ret, LISTEN_TEXT_SIZE, "unix:%s",
			 ((const struct sockaddr_un *)&address->socket)->sun_path);
	} else if (address->socket.ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6,
				&((const struct sockaddr_in6 *)&address->socket)->sin6_addr, host,
				sizeof(host));
		snprintf(ret, LISTEN_TEXT_SIZE, "[%s]:%u", host, listen_address_port(address));
	} else {
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->socket)->sin_addr,
				host, sizeof(host));
		snprintf(ret, LISTEN_TEXT_SIZE, "%s:%u", host, listen_address_port(address));
	}
}

uint16_t listen_address_port(const struct listen_address *address)
{
	if (address->is_unix)
		return 0;
	if (address->socket.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&address->socket)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&address->socket)->sin_port);
}

/* ---- sockets ----------------------------------------------------------------------------------
 */

static int fail(const struct listen_address *address, int err,
		char reterr[static LISTEN_ERROR_SIZE])
{
	char owner[PORT_OWNER_TEXT_SIZE] = "";
	char where[LISTEN_TEXT_SIZE];
	uint16_t port = listen_address_port(address);

	assert(err < 0);
	listen_address_print(address, where);
	if (err == -EADDRINUSE && port && port_owner_describe(port, owner) == 0)
		snprintf(reterr, LISTEN_ERROR_SIZE,
			 "port %u is taken by %s; stop it, or choose another one with --http "
			 "ADDR:PORT instead of %s",
			 (unsigned)port, owner, where);
	else if (err == -EADDRINUSE)
		snprintf(reterr, LISTEN_ERROR_SIZE,
			 "%s is taken; choose another one with --http ADDR:PORT", where);
	else
		snprintf(reterr, LISTEN_ERROR_SIZE, "cannot listen on %s: %s", where,
			 strerror(-err));
	return err;
}

/* A socket that nobody answers at is left from one who died. */
static int remove_dead(const struct listen_address *address)
{
	const struct sockaddr_un *where = (const struct sockaddr_un *)&address->socket;
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (lstat(where->sun_path, &status))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)where, sizeof(*where)) == 0 ||
	    errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(where->sun_path) ? -errno : 0;
}

static int set_group(const char *path, const char *name)
{
	char space[4096];
	struct group entry;
	struct group *found = NULL;

	if (getgrnam_r(name, &entry, space, sizeof(space), &found) || !found)
		return -EINVAL;
	if (chown(path, (uid_t)-1, found->gr_gid))
		return -errno;
	return chmod(path, 0660) ? -errno : 0;
}

static int open_unix(const struct listen_address *address, const char *group, int fd,
		     char reterr[static LISTEN_ERROR_SIZE])
{
	const struct sockaddr_un *where = (const struct sockaddr_un *)&address->socket;
	int err = remove_dead(address);

	if (err)
		return fail(address, err, reterr);

	/* Nobody else's from the first moment on. Other threads make files with modes of their
	 * own, which this only narrows. */
	mode_t before = umask(0177);
	int code = bind(fd, (const struct sockaddr *)where, address->size);

	err = code ? -errno : 0;
	(void)umask(before);
	if (err)
		return fail(address, err, reterr);
	err = group[0] ? set_group(where->sun_path, group) : 0;
	if (err) {
		snprintf(reterr, LISTEN_ERROR_SIZE,
			 "cannot give '%s' to the group '%.60s' of http-socket-group: %s",
			 where->sun_path, group, err == -EINVAL ? "there is none" : strerror(-err));
		return err;
	}
	return 0;
}

static int open_tcp(struct listen_address *address, int fd, char reterr[static LISTEN_ERROR_SIZE])
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (address->socket.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) ||
	    bind(fd, (const struct sockaddr *)&address->socket, address->size))
		return fail(address, -errno, reterr);
	return 0;
}

int listen_address_open(struct listen_address *address, const char *group, int *ret_fd,
			char reterr[static LISTEN_ERROR_SIZE])
{
	autoclose int fd =
		socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fail(address, -errno, reterr);

	int err = address->is_unix ? open_unix(address, group, fd, reterr)
				   : open_tcp(address, fd, reterr);

	if (err)
		return err;
	if (listen(fd, BACKLOG))
		return fail(address, -errno, reterr);

	socklen_t size = sizeof(address->socket);

	if (!address->is_unix && getsockname(fd, (struct sockaddr *)&address->socket, &size))
		return fail(address, -errno, reterr);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void listen_address_forget(const struct listen_address *address)
{
	if (address->is_unix)
		(void)unlink(((const struct sockaddr_un *)&address->socket)->sun_path);
}

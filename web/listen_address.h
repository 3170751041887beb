/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/limits.h"
#include "base/str.h"

/*
 * Where to listen: "127.0.0.1:4040", "[::1]:4040", "localhost:4040", "unix:/run/hearth/http.sock",
 * several of them with commas. An IPv6 address is IPv6 alone: name both to have both.
 */
struct listen_address {
	struct sockaddr_storage socket;
	socklen_t size;
	bool is_loopback; /* a unix socket is, too */
	bool is_unix;
	bool is_optional; /* who can't have it goes on without */
	bool is_missing;  /* somebody else has it, and others are served */
};

struct listen_addresses {
	struct listen_address items[LISTEN_ADDRESS_COUNT_MAX];
	size_t count; /* at least one */
};

enum { LISTEN_ERROR_SIZE = 400, LISTEN_TEXT_SIZE = 128 };

/* -EINVAL with the item and what is wrong in reterr. */
int listen_addresses_parse(const char *text, struct listen_addresses *ret,
			   char reterr[static LISTEN_ERROR_SIZE]);

/* "127.0.0.1:4040", "[::1]:4040", "unix:/run/hearth/http.sock". */
void listen_address_print(const struct listen_address *address, char ret[static LISTEN_TEXT_SIZE]);

/* The port; 0 of a unix socket. */
uint16_t listen_address_port(const struct listen_address *address);

/*
 * A listening socket that does not block. Port 0 takes a free one, which is then in *address. A
 * unix socket is made anew where a dead one was, for its owner, and for the group when one is
 * named. -EADDRINUSE, with who has it where that can be told, -EACCES, -EINVAL for an unknown
 * group, and other errors, with a sentence in reterr.
 */
int listen_address_open(struct listen_address *address, const char *group, int *ret_fd,
			char reterr[static LISTEN_ERROR_SIZE]);

/* Takes the file of a unix socket away. */
void listen_address_forget(const struct listen_address *address);

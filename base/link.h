/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/identity.h"
#include "base/str.h"
#include "base/window.h"

/*
 * The messages between collector and server: packets on a SOCK_SEQPACKET unix socket, each with a
 * header of fixed size. A payload that does not fit a packet lies in a sealed memfd; opened files
 * are passed as descriptors. What arrives is checked before it is used, at both ends.
 */
enum {
	LINK_VERSION = 5,
	/* A packet, header included. With the kernel's default of 208 kB a socket
	 * (net.core.wmem_max) takes at least two. */
	LINK_PACKET_SIZE_MAX = 64 << 10,
	LINK_HEADER_SIZE = 32,
	LINK_FD_COUNT_MAX = 2,
	LINK_DEBUG_NAME_SIZE_MAX = 255,
};

enum link_type {
	LINK_HELLO = 1,	  /* collector → server: who it is */
	LINK_WELCOME = 2, /* server → collector: sequence is the last that is committed */
	LINK_WINDOW = 3,  /* collector → server: a window; sequence is its own */
	LINK_ACK = 4,	  /* server → collector: sequence and all before it are committed */
	LINK_WISH = 5,	  /* server → collector: an identity whose file would help */
	LINK_FILE = 6, /* collector → server: the identity and its file, or why there is none */
	LINK_KERNEL =
		7, /* collector → server: /proc/kallsyms and maybe /sys/kernel/notes, opened */
	LINK_REFUSE = 8, /* either: a reason; the connection ends */
	/* The unwind table of a file: base/unwind_table.h. sequence: the collector's number. */
	LINK_TABLE_WISH = 9, /* collector → server: as LINK_FILE without an error */
	LINK_TABLE = 10,     /* server → collector: struct unwind_table_header and what follows */
	LINK_NO_TABLE = 11,  /* server → collector: as LINK_FILE with an error */
	/* server → collector: the window of this sequence is no good and never will be; those
	 * before and after it are not spoken of. */
	LINK_REFUSE_WINDOW = 12,
	/* server → collector: a process that runs code of its own; collector → server: what it
	 * writes about that code, opened, or why there is nothing. */
	LINK_WISH_JIT = 13,
	LINK_JIT = 14,
	/* server → collector: a file whose debug file would help, should it lie in the root of a
	 * container; collector → server: as LINK_FILE. */
	LINK_WISH_DEBUG = 15,
	LINK_DEBUG = 16,
	LINK_TYPE_COUNT,
};

struct link_message {
	uint8_t type; /* enum link_type */
	uint64_t sequence;
	const void *payload;
	size_t size;
	int fds[LINK_FD_COUNT_MAX]; /* -1: none */
	unsigned fd_count;

	/* Of a received message; the rest is in here. */
	void *mapped;
	void *copied;
};

/*
 * Sends without waiting: -EAGAIN when the peer does not read. The descriptors stay the caller's.
 * -EPIPE, -ECONNRESET when it is gone.
 */
int link_send(int socket, const struct link_message *message);

/*
 * Receives one message without waiting: -EAGAIN when there is none, -EPIPE at the end of the
 * connection, -EPROTONOSUPPORT for another version, -EBADMSG for what no end of ours sends (too
 * large, not sealed, too many descriptors). Payload and descriptors belong to the message.
 */
int link_receive(int socket, struct link_message *ret);

/* Closes the descriptors that are left (set those that were taken to -1). */
void link_message_done(struct link_message *message);

/* Who is at the other end, as the kernel says. */
int link_peer(int socket, uid_t *ret_uid, pid_t *ret_pid);

/* ---- payloads -----------------------------------------------------------------------------------
 */

struct link_hello {
	uint64_t collector;
	uint8_t boot_id[16];
	struct str kernel_release; /* lies in the message */
};
void link_encode_hello(const struct link_hello *hello, struct buf *buf);
int link_decode_hello(const struct link_message *message, struct link_hello *ret);

/* error: 0, or the errno for which there is no descriptor. */
struct link_file {
	struct identity identity;
	int error;
};
void link_encode_file(const struct link_file *file, struct buf *buf);
int link_decode_file(const struct link_message *message, struct link_file *ret);

/* kind: enum jit_file_kind (symbols/jit_reader.h), 1 a perf map, 2 a jitdump. */
struct link_jit {
	struct process_key process;
	uint8_t kind;
	int error; /* 0, or the errno for which there is no descriptor */
};
void link_encode_jit(const struct link_jit *jit, struct buf *buf);
int link_decode_jit(const struct link_message *message, struct link_jit *ret);

void link_encode_wish_jit(const struct process_key *process, struct buf *buf);
int link_decode_wish_jit(const struct link_message *message, struct process_key *ret);

void link_encode_wish(const struct identity *identity, struct buf *buf);
int link_decode_wish(const struct link_message *message, struct identity *ret);

/*
 * Of a file that is mapped, for its debug file: wanted is the same; or for what that shares with
 * others by dwz: wanted is its build id. name: what it is called, without a '/'; or "". The answer
 * bears what was wanted.
 */
struct link_wish_debug {
	struct identity identity;
	struct identity wanted;
	struct str name; /* lies in the message */
};
void link_encode_wish_debug(const struct link_wish_debug *wish, struct buf *buf);
int link_decode_wish_debug(const struct link_message *message, struct link_wish_debug *ret);

static inline void link_message_cleanup(struct link_message *message)
{
	link_message_done(message);
}

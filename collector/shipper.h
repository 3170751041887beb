/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"
#include "base/window.h"

/*
 * The link's collector end. Keeps each window until the server says that it is committed, sends
 * again after a reconnect, and gives the oldest up, counted, when the backlog is full. Answers the
 * server's wishes for files. Used by the collector's one thread; never waits.
 */
struct shipper;

struct shipper_options {
	const char *socket_path;
	uint64_t collector; /* as in struct window */
	uint8_t boot_id[16];
	size_t backlog_size_max; /* bytes of encoded windows kept; 16 MiB */
	/* Opens the file of an identity for the server; -ENOENT when no living process maps it. */
	int (*open_file)(void *context, const struct identity *identity, int *ret_fd);
	/* Opens its debug file in the root of a container, or what that shares with others:
	 * debug_files_open(). NULL: nobody can. */
	int (*open_debug)(void *context, const struct identity *identity,
			  const struct identity *wanted, struct str name, int *ret_fd);
	/* Opens what a process writes of code that it made; kind as struct link_jit has it. -ENOENT
	 * when it writes nothing. NULL: nobody can. */
	int (*open_jit)(void *context, const struct process_key *process, uint8_t *ret_kind,
			int *ret_fd);
	/* A server said welcome: it knows of no question that was asked before. May be NULL. */
	void (*connected)(void *context);
	/* Answers to shipper_ask_table(). Bytes are valid during the call. NULL: there are none. */
	void (*table)(void *context, uint64_t number, const void *bytes, size_t size);
	void (*no_table)(void *context, uint64_t number, const struct identity *identity, int err);
	void *context;
};

int shipper_new(const struct shipper_options *options, struct shipper **ret);
struct shipper *shipper_free(struct shipper *shipper);

/* Readable when shipper_handle() has something to do: put it into the poll set. */
int shipper_fd(const struct shipper *shipper);

/*
 * Connects (again every second while nobody listens), greets, sends what waits, reads
 * acknowledgements and wishes. Call when shipper_fd() is readable, after shipper_push(), and at
 * least once a second. Errors of the connection are its own business and end in a reconnect;
 * -EPROTONOSUPPORT is returned once when the server speaks another version of the link.
 */
int shipper_handle(struct shipper *shipper, uint64_t now_monotonic_ns);

/*
 * Encodes the window and keeps it. What had to be given up to make room, or because the server
 * refused it for good, is counted in the stats and belongs into the next window's losses
 * (LOSS_BACKLOG_FULL) and gap.
 */
int shipper_push(struct shipper *shipper, const struct window *window);

/*
 * Asks for the unwind table of a file, whose descriptor stays the caller's. -EAGAIN when no server
 * is there, or it does not read; the answer comes with the same number.
 */
int shipper_ask_table(struct shipper *shipper, uint64_t number, const struct identity *identity,
		      int fd);

/* The kernel's symbols, once more: they are others now. -EAGAIN when no server is there, which will
 * get them with the connection, or it does not read. */
int shipper_send_kernel(struct shipper *shipper);

struct shipper_stats {
	bool connected;
	uint64_t pushed; /* windows */
	uint64_t acknowledged;
	uint64_t given_up; /* windows: no room for them, or refused by the server */
	uint64_t refused;  /* of these */
	uint64_t given_up_samples;
	uint64_t backlog_size; /* bytes waiting now */
	uint64_t wishes;
	uint64_t files_passed;
};
void shipper_stats(const struct shipper *shipper, struct shipper_stats *ret);

DEFINE_CLEANUP(struct shipper *, shipper, shipper_free)

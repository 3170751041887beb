/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"

struct ingest;
struct process_key;
struct recording;
struct server;

/*
 * The link's server end: one thread that takes windows, opened files and the kernel's symbol list
 * from the collector, and tells it what is committed and which files would help. One collector at a
 * time; a new one takes the place of the one before.
 */
struct receiver;

struct receiver_options {
	const char *socket_path; /* NULL: no socket, the recording alone */
	const char *replay_path; /* NULL or "": none */
	const char *record_path; /* NULL or "": none */
	struct server *server;
};

/* Listens. -EADDRINUSE when another server answers on the socket. */
int receiver_new(const struct receiver_options *options, struct receiver **ret);
struct receiver *receiver_free(struct receiver *receiver);

/* Starts the thread, which hands windows to ingest. */
int receiver_start(struct receiver *receiver, struct ingest *ingest);

/* Ends the thread, if there is one: no more windows are handed over when it has returned. */
void receiver_stop(struct receiver *receiver);

/* The thread that commits says up to which window of a collector it has. Any thread. */
void receiver_committed(struct receiver *receiver, uint64_t collector, uint64_t sequence);

/* Passes a wish on, when a collector is there. Any thread. */
void receiver_wish(struct receiver *receiver, const struct identity *identity);

/* The same for what symbols_wants_debug() told. */
struct symbols_debug_wish;
void receiver_wish_debug(struct receiver *receiver, const struct symbols_debug_wish *wish);

/* Asks for what a process writes of code that it made; false when there is nobody to ask. */
bool receiver_wish_jit(struct receiver *receiver, const struct process_key *process);

DEFINE_CLEANUP(struct receiver *, receiver, receiver_free)

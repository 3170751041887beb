/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * How many connections each address has, and how many requests it sends. Of one thread. An address
 * is forgotten when it has no connection and was quiet for long enough to have all its requests
 * back.
 */
struct peers;

/* requests_per_second: of one address, 0 for no limit; twice as many may come at once. */
int peers_new(uint64_t requests_per_second, struct peers **ret);
struct peers *peers_free(struct peers *peers);

struct peer_entry;

/* The address's, with one connection more; NULL without memory. host: "192.0.2.1". */
struct peer_entry *peers_enter(struct peers *peers, const char *host);
void peers_leave(struct peers *peers, struct peer_entry *entry);
size_t peers_connections(const struct peer_entry *entry);

/* Whether it may send another request now. */
bool peers_take_request(struct peers *peers, struct peer_entry *entry, uint64_t now_ns);

DEFINE_CLEANUP(struct peers *, peers, peers_free)

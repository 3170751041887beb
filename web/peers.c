/* SPDX-License-Identifier: Apache-2.0 */
#include "web/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
	CHAIN_COUNT = 1024, /* a power of two; there are 2,048 connections at most */
	HOST_SIZE = 48,
	BURST_SECONDS = 2,
};

struct peer_entry {
	struct peer_entry *next;
	char host[HOST_SIZE];
	size_t connections;
	double requests_left;
	uint64_t counted_ns;
};

struct peers {
	uint64_t per_second;
	struct peer_entry *chains[CHAIN_COUNT];
};

int peers_new(uint64_t requests_per_second, struct peers **ret)
{
	struct peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return -ENOMEM;
	peers->per_second = requests_per_second;
	*ret = peers;
	return 0;
}

struct peers *peers_free(struct peers *peers)
{
	if (!peers)
		return NULL;
	for (size_t i = 0; i < CHAIN_COUNT; i++) {
		while (peers->chains[i]) {
			struct peer_entry *entry = peers->chains[i];

			assert(entry->connections == 0);
			peers->chains[i] = entry->next;
			free(entry);
		}
	}
	free(peers);
	return NULL;
}

/* FNV-1a: whoever can choose among so many addresses has better ways to be a nuisance. */
static struct peer_entry **chain_of(struct peers *peers, const char *host)
{
	uint32_t hash = 2166136261U;

	for (const char *c = host; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return &peers->chains[hash & (CHAIN_COUNT - 1)];
}

static bool is_rested(const struct peers *peers, const struct peer_entry *entry, uint64_t now_ns)
{
	return entry->connections == 0 &&
	       (peers->per_second == 0 ||
		now_ns - entry->counted_ns >= BURST_SECONDS * (uint64_t)CLOCK_NS_PER_S);
}

struct peer_entry *peers_enter(struct peers *peers, const char *host)
{
	struct peer_entry **place = chain_of(peers, host);
	struct peer_entry *found = NULL;
	uint64_t now_ns = clock_monotonic_ns();

	assert(strlen(host) < HOST_SIZE);
	while (*place) {
		struct peer_entry *entry = *place;

		if (strcmp(entry->host, host) == 0)
			found = entry;
		if (entry != found && is_rested(peers, entry, now_ns)) {
			*place = entry->next;
			free(entry);
		} else {
			place = &entry->next;
		}
	}
	if (!found) {
		found = calloc(1, sizeof(*found));
		if (!found)
			return NULL;
		snprintf(found->host, sizeof(found->host), "%s", host);
		found->requests_left = (double)(peers->per_second * BURST_SECONDS);
		found->counted_ns = now_ns;
		*place = found;
	}
	found->connections++;
	return found;
}

void peers_leave(struct peers *peers, struct peer_entry *entry)
{
	assert(entry->connections > 0);
	entry->connections--;
	if (entry->connections > 0 || peers->per_second > 0)
		return;

	struct peer_entry **place = chain_of(peers, entry->host);

	while (*place != entry)
		place = &(*place)->next;
	*place = entry->next;
	free(entry);
}

size_t peers_connections(const struct peer_entry *entry)
{
	return entry->connections;
}

bool peers_take_request(struct peers *peers, struct peer_entry *entry, uint64_t now_ns)
{
	double burst = (double)(peers->per_second * BURST_SECONDS);

	if (peers->per_second == 0)
		return true;
	entry->requests_left += (double)(now_ns - entry->counted_ns) / (double)CLOCK_NS_PER_S *
				(double)peers->per_second;
	if (entry->requests_left > burst)
		entry->requests_left = burst;
	entry->counted_ns = now_ns;
	if (entry->requests_left < 1)
		return false;
	entry->requests_left -= 1;
	return true;
}

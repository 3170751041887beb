/* SPDX-License-Identifier: Apache-2.0 */
#include "store/connections.h"

#include <assert.h>
#include <string.h>

#include "store/database.h"

void connections_init(struct connections *connections)
{
	pthread_mutex_init(&connections->lock, NULL);
	pthread_cond_init(&connections->changed, NULL);
	connections->all_closed_ns = clock_monotonic_ns();
}

/* Of a file that is never written again nobody has a lock. */
static void note_closed(struct connections *connections)
{
	connections->left_descriptors = !connections->are_immutable &&
					connections->resting_count + connections->active_count > 0;
}

/* The first ones, which rest longest. */
static void close_resting(struct connections *connections, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		database_close(connections->resting[i].connection);
	connections->resting_count -= count;
	memmove(connections->resting, connections->resting + count,
		connections->resting_count * sizeof(connections->resting[0]));
	if (count > 0)
		note_closed(connections);
}

void connections_done(struct connections *connections)
{
	assert(connections->active_count == 0);
	close_resting(connections, connections->resting_count);
	pthread_cond_destroy(&connections->changed);
	pthread_mutex_destroy(&connections->lock);
}

int connections_acquire(struct connections *connections, sqlite3 **ret)
{
	sqlite3 *connection = NULL;

	pthread_mutex_lock(&connections->lock);
	while (connections->are_shut)
		pthread_cond_wait(&connections->changed, &connections->lock);
	connections->active_count++;
	/* The one that rested last, so that those which are not needed are seen to rest. */
	if (connections->resting_count > 0)
		connection = connections->resting[--connections->resting_count].connection;

	bool is_immutable = connections->are_immutable;

	pthread_mutex_unlock(&connections->lock);

	int err = connection ? 0
			     : database_open(connections->path,
					     is_immutable ? DATABASE_IMMUTABLE : DATABASE_READ,
					     &connection);

	if (err) {
		pthread_mutex_lock(&connections->lock);
		connections->active_count--;
		pthread_mutex_unlock(&connections->lock);
		return err;
	}
	*ret = connection;
	return 0;
}

void connections_release(struct connections *connections, sqlite3 *connection)
{
	if (!connection)
		return;

	bool may_rest = !sqlite3_next_stmt(connection, NULL);

	sqlite3_progress_handler(connection, 0, NULL, NULL);
	pthread_mutex_lock(&connections->lock);
	assert(connections->active_count > 0);
	connections->active_count--;
	/* A month of spans has 120 files: only those that are written to keep a page cache. */
	if (may_rest && !connections->are_immutable &&
	    connections->resting_count < CONNECTION_RESTING_MAX) {
		connections->resting[connections->resting_count++] =
			(struct resting_connection){ connection, clock_monotonic_ns() };
	} else {
		/* Under the lock: sealing wants no connection at all. */
		database_close(connection);
		note_closed(connections);
	}
	pthread_mutex_unlock(&connections->lock);
}

void connections_tidy(struct connections *connections, bool has_writer, uint64_t now_monotonic_ns)
{
	uint32_t count = 0;

	pthread_mutex_lock(&connections->lock);
	while (count < connections->resting_count &&
	       now_monotonic_ns > connections->resting[count].since_ns + CONNECTION_RESTING_NS)
		count++;
	close_resting(connections, count);
	if (connections->left_descriptors && connections->active_count == 0 && !has_writer &&
	    now_monotonic_ns > connections->all_closed_ns + CONNECTION_RESTING_NS) {
		close_resting(connections, connections->resting_count);
		connections->all_closed_ns = now_monotonic_ns;
	}
	pthread_mutex_unlock(&connections->lock);
}

bool connections_shut(struct connections *connections)
{
	pthread_mutex_lock(&connections->lock);

	bool can_shut = connections->active_count == 0;

	if (can_shut) {
		connections->are_shut = true;
		close_resting(connections, connections->resting_count);
	}
	pthread_mutex_unlock(&connections->lock);
	return can_shut;
}

void connections_open(struct connections *connections, bool are_immutable)
{
	pthread_mutex_lock(&connections->lock);
	connections->are_shut = false;
	connections->are_immutable = are_immutable;
	pthread_cond_broadcast(&connections->changed);
	pthread_mutex_unlock(&connections->lock);
}

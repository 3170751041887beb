/* SPDX-License-Identifier: Apache-2.0 */
#include "web/wishes.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/link.h"
#include "symbols/symbols.h"

enum { COUNT_MAX = WISHES_FILE_COUNT_MAX + WISHES_JIT_COUNT_MAX + WISHES_DEBUG_COUNT_MAX };

/* What one takes on the wire: two identities and a name, with their sizes. */
enum { WISH_SIZE_MAX = 2 * IDENTITY_SIZE_MAX + LINK_DEBUG_NAME_SIZE_MAX + 64 };

struct wish {
	uint8_t type; /* enum link_type */
	union {
		struct process_key process;
		struct identity identity;
	};
	struct identity wanted;
	char name[LINK_DEBUG_NAME_SIZE_MAX + 1];
};

struct wishes {
	pthread_mutex_t lock;
	/* guarded by lock: */
	struct wish items[COUNT_MAX];
	unsigned count;
	unsigned type_counts[LINK_TYPE_COUNT];
};

int wishes_new(struct wishes **ret)
{
	struct wishes *wishes = calloc(1, sizeof(*wishes));

	if (!wishes)
		return -ENOMEM;
	pthread_mutex_init(&wishes->lock, NULL);
	*ret = wishes;
	return 0;
}

struct wishes *wishes_free(struct wishes *wishes)
{
	if (!wishes)
		return NULL;
	pthread_mutex_destroy(&wishes->lock);
	free(wishes);
	return NULL;
}

static bool add(struct wishes *wishes, const struct wish *wish, unsigned count_max)
{
	bool has_room;

	pthread_mutex_lock(&wishes->lock);
	has_room = wishes->count < COUNT_MAX && wishes->type_counts[wish->type] < count_max;
	if (has_room) {
		wishes->items[wishes->count++] = *wish;
		wishes->type_counts[wish->type]++;
	}
	pthread_mutex_unlock(&wishes->lock);
	return has_room;
}

bool wishes_add_file(struct wishes *wishes, const struct identity *identity)
{
	return add(wishes, &(struct wish){ .type = LINK_WISH, .identity = *identity },
		   WISHES_FILE_COUNT_MAX);
}

bool wishes_add_jit(struct wishes *wishes, const struct process_key *process)
{
	return add(wishes, &(struct wish){ .type = LINK_WISH_JIT, .process = *process },
		   WISHES_JIT_COUNT_MAX);
}

bool wishes_add_debug(struct wishes *wishes, const struct symbols_debug_wish *debug)
{
	struct wish wish = { .type = LINK_WISH_DEBUG,
			     .identity = debug->identity,
			     .wanted = debug->wanted };

	static_assert(sizeof(wish.name) == sizeof(debug->name), "copied");
	memcpy(wish.name, debug->name, sizeof(wish.name));
	return add(wishes, &wish, WISHES_DEBUG_COUNT_MAX);
}

static bool take(struct wishes *wishes, struct wish *ret)
{
	bool has_wish;

	pthread_mutex_lock(&wishes->lock);
	has_wish = wishes->count > 0;
	if (has_wish) {
		*ret = wishes->items[--wishes->count];
		wishes->type_counts[ret->type]--;
	}
	pthread_mutex_unlock(&wishes->lock);
	return has_wish;
}

static int send_one(const struct wish *wish, int socket)
{
	autoclean(buf) struct buf payload = BUF(WISH_SIZE_MAX);
	struct link_wish_debug debug = { .identity = wish->identity,
					 .wanted = wish->wanted,
					 .name = str_from(wish->name) };

	if (wish->type == LINK_WISH)
		link_encode_wish(&wish->identity, &payload);
	else if (wish->type == LINK_WISH_JIT)
		link_encode_wish_jit(&wish->process, &payload);
	else
		link_encode_wish_debug(&debug, &payload);
	if (payload.error)
		return payload.error;
	return link_send(socket, &(struct link_message){ .type = wish->type,
							 .payload = payload.bytes,
							 .size = payload.size });
}

int wishes_send(struct wishes *wishes, int socket, uint64_t *sent)
{
	struct wish wish;
	int err = 0;

	while (!err && take(wishes, &wish)) {
		err = send_one(&wish, socket);
		*sent += !err;
	}
	/* Its room may have gone to another by now, and it is wished for again later. */
	if (err == -EAGAIN)
		(void)add(wishes, &wish, COUNT_MAX);
	return err;
}

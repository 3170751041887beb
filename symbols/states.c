/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/states.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

enum { FIRST_COUNT = 256 };
static_assert(STATES_COUNT_MAX % FIRST_COUNT == 0, "doubling meets it");

static bool state_is_of(const void *context, uint32_t number, const void *key)
{
	const struct states *states = context;

	return identity_equal(&states->items[number].identity, key);
}

static uint64_t identity_hash(const struct identity *identity)
{
	return table_hash_bytes(identity->bytes, identity->size, identity->kind);
}

void states_init(struct states *states)
{
	*states = (struct states){ .capacity = 0 };
	table_init(&states->by_identity, STATES_COUNT_MAX);
}

void states_done(struct states *states)
{
	free(states->items);
	table_done(&states->by_identity);
	states_init(states);
}

uint32_t states_find(const struct states *states, const struct identity *identity)
{
	return table_find(&states->by_identity, identity_hash(identity), identity, state_is_of,
			  states);
}

/* Keeps what is waiting or open. */
static void states_forget(struct states *states)
{
	uint32_t count = states->by_identity.count;
	uint32_t kept = 0;

	table_clear(&states->by_identity);
	for (uint32_t i = 0; i < count; i++) {
		struct state *state = &states->items[i];

		if (state->state != STATE_WAITING && !state->module)
			continue;
		states->items[kept] = *state;
		states->items[kept].alias_of = TABLE_NONE;
		/* The table has the room it had before, so this can't fail. */
		int err = table_add(&states->by_identity,
				    identity_hash(&states->items[kept].identity));
		assert(!err);
		kept++;
	}
}

struct state *states_get(struct states *states, const struct identity *identity)
{
	struct table *table = &states->by_identity;
	uint32_t number = states_find(states, identity);

	if (number != TABLE_NONE)
		return &states->items[number];
	if (table->count == STATES_COUNT_MAX)
		states_forget(states);
	if (table->count == states->capacity) {
		size_t capacity = states->capacity ? states->capacity * 2 : FIRST_COUNT;
		struct state *items =
			capacity > STATES_COUNT_MAX
				? NULL
				: reallocarray(states->items, capacity, sizeof(items[0]));

		if (!items)
			return NULL;
		states->items = items;
		states->capacity = capacity;
	}

	struct state *state = &states->items[table->count];

	*state = (struct state){ .identity = *identity, .alias_of = TABLE_NONE };
	return table_add(table, identity_hash(identity)) ? NULL : state;
}

void states_set(struct states *states, const struct identity *identity, enum module_state value)
{
	struct state *state = states_get(states, identity);

	/* Without memory it stays unknown and is found on disk, or wished for again. */
	if (!state)
		return;
	state->state = value;
	if (value == STATE_WISHED)
		state->wished_at_ns = clock_monotonic_ns();
}

void states_set_error(struct states *states, const struct identity *identity, int error)
{
	struct state *state = states_get(states, identity);

	if (state)
		state->error = error;
}

void states_forget_debug(struct states *states, const struct identity *identity)
{
	uint32_t number = states_find(states, identity);

	if (number == TABLE_NONE)
		return;
	states->items[number].debug = DEBUG_UNKNOWN;
	states->items[number].debug_due_ns = 0;
}

void state_settle(struct state *state, const struct symbol_folder *folder)
{
	if (state->state == STATE_UNKNOWN)
		state->state =
			symbol_folder_has(folder, &state->identity) ? STATE_PRESENT : STATE_ABSENT;
}

void states_doubt(struct states *states)
{
	for (uint32_t i = 0; i < states->by_identity.count; i++)
		if (states->items[i].state == STATE_PRESENT && !states->items[i].module)
			states->items[i].state = STATE_UNKNOWN;
}

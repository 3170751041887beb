/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "symbols/symbols_private.h"

/* Debug files in the roots of containers, which only the collector reaches, and what they share. */

static uint64_t in_seconds(unsigned seconds)
{
	return clock_monotonic_ns() + seconds * (uint64_t)CLOCK_NS_PER_S;
}

/* Its own state, if a debug file may help; takes note that it is being asked for. With the lock. */
static bool debug_is_due(struct symbols *symbols, const struct identity *identity)
{
	struct state *state = states_get(&symbols->states, identity);

	if (!state)
		return false;
	state_settle(state, symbols->folder);
	state = own_state(symbols, state);
	if ((state->state != STATE_PRESENT && state->state != STATE_FAILED) ||
	    (state->debug == DEBUG_PRESENT && !state->lacks_file) ||
	    clock_monotonic_ns() < state->debug_due_ns)
		return false;
	state->debug_due_ns = in_seconds(SYMBOLS_DEBUG_WISH_S);
	return true;
}

/* Whether there is one; what it is called. */
static bool has_debug(const struct symbol_module *module, char name[static DEBUG_LINK_NAME_SIZE])
{
	const struct debug_link *link = symbol_file_debug_link(module->file);

	if (link)
		memcpy(name, link->name, sizeof(link->name));
	return symbol_file_header(module->file)->sources & SYMBOL_FILE_FROM_DEBUG_FILE;
}

/* The file of dwz that its lines lack, if one does. */
static bool lacks_shared(const struct symbol_module *module, struct symbols_debug_wish *ret)
{
	const struct symbol_wish *missing = symbol_file_missing(module->file);

	if (!missing || missing->kind != SYMBOL_WISH_SHARED_FILE)
		return false;
	ret->wanted = missing->identity;
	/* As symbol_file_missing() has it, it is no longer. */
	memcpy(ret->name, missing->name, sizeof(ret->name));
	ret->name[sizeof(ret->name) - 1] = '\0';
	return true;
}

/* Takes turns with the debug file, where that is missing too. With the lock held. */
static bool wish_shared(struct symbols *symbols, struct state *state,
			const struct symbols_debug_wish *wish)
{
	uint64_t place = symbols->shared_wish_count % SHARED_WISH_COUNT_MAX;

	state->was_shared = !state->was_shared;
	if (!state->was_shared)
		return false;
	symbols->shared_wishes[place] = (struct shared_wish){ state->identity, wish->wanted };
	symbols->shared_wish_count++;
	return true;
}

/* With the lock held. */
static bool wish_debug(struct state *state, bool has_debug)
{
	/* Of lines that are asked for the file itself is needed, not what was made of it. */
	bool wants = !has_debug || state->lines == LINES_AWAITED;

	if (!wants)
		state->debug = DEBUG_PRESENT;
	else if (state->debug == DEBUG_UNKNOWN)
		state->debug = DEBUG_WISHED;
	return wants;
}

bool symbols_wants_debug(struct symbols *symbols, const struct identity *identity,
			 struct symbols_debug_wish *ret)
{
	struct symbols_debug_wish debug = { .identity = *identity, .wanted = *identity };
	struct symbols_debug_wish shared = debug;
	bool wants = false;

	if (!symbols_can_be_brought(identity))
		return false;
	pthread_mutex_lock(&symbols->lock);
	bool is_due = debug_is_due(symbols, identity);
	pthread_mutex_unlock(&symbols->lock);
	if (!is_due)
		return false;

	struct symbol_module *module = symbols_acquire(symbols, identity);
	bool has = module && has_debug(module, debug.name);
	bool lacks = module && lacks_shared(module, &shared);

	/* Nothing but its header was looked at, and of all modules of a host in turn. */
	symbols_leave(symbols, module);
	*ret = debug;
	pthread_mutex_lock(&symbols->lock);
	struct state *state = states_get(&symbols->states, identity);

	if (state) {
		state = own_state(symbols, state);
		wants = state->debug != DEBUG_PRESENT && wish_debug(state, has);
		/* By what would it be found? */
		wants = wants && (identity->kind == IDENTITY_GNU_BUILD_ID || debug.name[0]);
		if (lacks && state->lines != LINES_AWAITED && wish_shared(symbols, state, &shared))
			*ret = shared;
		else
			lacks = false;
	}
	pthread_mutex_unlock(&symbols->lock);
	return wants || lacks;
}

/* With the lock held. */
static void take_debug(struct symbols *symbols, struct state *state, int *fd)
{
	if (state->state == STATE_FAILED) {
		/* Without names of its own: with those of the debug file it is worth a wish. */
		file_keep_add(&symbols->debug, &state->identity, TAKE_FD(*fd));
		state->state = STATE_ABSENT;
	} else if (state->state == STATE_PRESENT && symbols->job_count < symbols->waiting_max) {
		symbols_push_job(symbols, &(struct job){ .identity = state->identity,
							 .fd = TAKE_FD(*fd),
							 .is_debug = true });
	} else {
		return; /* brought again after another wish */
	}
	state->debug_due_ns = in_seconds(SYMBOLS_DEBUG_REST_S);
}

/* The module for which a file of dwz was wished; or NULL. With the lock held. */
static struct state *wisher_of(struct symbols *symbols, const struct identity *wanted)
{
	for (unsigned i = 0; i < SHARED_WISH_COUNT_MAX; i++) {
		struct shared_wish *wish = &symbols->shared_wishes[i];
		uint32_t number;

		if (wish->wanted.kind == IDENTITY_NONE || !identity_equal(&wish->wanted, wanted))
			continue;
		number = states_find(&symbols->states, &wish->module);
		*wish = (struct shared_wish){ 0 };
		if (number != TABLE_NONE)
			return own_state(symbols, &symbols->states.items[number]);
	}
	return NULL;
}

/* With the lock held. */
static void take_shared(struct symbols *symbols, struct state *state, const struct identity *wanted,
			int *fd)
{
	if (!state->lacks_file || symbols->job_count >= symbols->waiting_max)
		return;
	symbols_push_job(symbols, &(struct job){ .identity = state->identity,
						 .fd = TAKE_FD(*fd),
						 .is_shared = true,
						 .wanted = *wanted });
	state->debug_due_ns = in_seconds(SYMBOLS_DEBUG_REST_S);
}

void symbols_bring_debug(struct symbols *symbols, const struct identity *wanted, int error, int fd)
{
	autoclose int file = fd;

	assert((error == 0) == (fd >= 0));
	pthread_mutex_lock(&symbols->lock);
	struct state *wisher = wisher_of(symbols, wanted);
	uint32_t number = states_find(&symbols->states, wanted);
	struct state *state = wisher;

	if (!wisher && number != TABLE_NONE)
		state = own_state(symbols, &symbols->states.items[number]);
	if (state && error == -EXDEV)
		state->debug_due_ns = in_seconds(SYMBOLS_DEBUG_REST_S);
	else if (wisher && !error)
		take_shared(symbols, wisher, wanted, &file);
	else if (state && !error && state->debug == DEBUG_WISHED)
		take_debug(symbols, state, &file);
	pthread_mutex_unlock(&symbols->lock);
}

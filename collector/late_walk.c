/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/late.h"

#include <string.h>

/* What bpf/walk.h asks for, here: the same memory, and a copy of the stack. */
struct walk_state;

struct walk {
	struct walk_state *state;
	struct event *event;
	const struct walk_memory *memory;
	const uint8_t *stack;
	uint64_t stack_at; /* its address in the process */
	uint64_t stack_size;
	uint32_t holes; /* of the stack; struct event_raw */
	bool ran_out;	/* what was brought of the stack ended before the stack did */
};

/* Whether these bytes of the stack are in a page that was not brought. */
static bool is_hole(const struct walk *walk, uint64_t at)
{
	uint64_t page = (walk->stack_at % EVENT_PAGE_SIZE + at) / EVENT_PAGE_SIZE;

	return page > 0 && (walk->holes >> (page - 1) & 1);
}

/* What lies further above than this is no stack that was cut. */
enum { STACK_SIZE_MAX = 8 << 20 };

static const void *walk_chunk(struct walk *walk, uint32_t line)
{
	return lines_chunk(walk->memory->lines, line);
}

static const struct walk_file *walk_file(struct walk *walk, uint32_t number)
{
	return number < WALK_FILE_COUNT_MAX ? &walk->memory->files[number] : NULL;
}

static uint64_t walk_rule(struct walk *walk, uint32_t number)
{
	return number < UNWIND_RULE_COUNT_MAX ? walk->memory->rules[number] : 0;
}

static int walk_read(struct walk *walk, uint64_t address, __u64 *ret)
{
	uint64_t at = address - walk->stack_at;

	if (at > walk->stack_size || walk->stack_size - at < sizeof(*ret)) {
		walk->ran_out |= at < STACK_SIZE_MAX;
		return -1;
	}
	if (is_hole(walk, at) || is_hole(walk, at + sizeof(*ret) - 1))
		return -1;
	memcpy(ret, walk->stack + at, sizeof(*ret));
	return 0;
}

static int walk_read_plainly(struct walk *walk, uint64_t address, __u64 *ret)
{
	return walk_read(walk, address, ret);
}

/* It may be gone by now. */
static bool walk_ask(struct walk *walk, uint64_t address)
{
	(void)walk;
	(void)address;
	return false;
}

/* Stacks that come early are few. */
struct walk_memo_line;

static struct walk_memo_line *walk_memo(struct walk *walk, uint32_t index)
{
	(void)walk;
	(void)index;
	return NULL;
}

#include "bpf/walk.h"

uint32_t late_walk(const struct walk_memory *memory, uint32_t space, const struct event *event,
		   struct event *ret, bool *ret_wants_more)
{
	const struct event_raw *raw = (const void *)((const uint8_t *)event + event_size(event));
	size_t head_size = EVENT_HEADER_SIZE + event->kernel_frame_count * sizeof(event->frames[0]);
	struct walk_state state = { .space = 0 };
	struct walk walk = {
		.state = &state,
		.event = ret,
		.memory = memory,
		.stack = (const uint8_t *)(raw + 1),
		.stack_at = raw->sp,
		.stack_size = event->raw_stack_size,
		.holes = raw->holes,
	};
	long is_over = 0;

	memcpy(ret, event, head_size);
	walk_begin(&state);
	walk_enter(&walk, walk_space_word(space, 0));
	state.kernel_frame_count = event->kernel_frame_count;
	state.frame.pc = raw->pc;
	state.frame.sp = raw->sp;
	state.frame.fp = raw->fp;
	state.frame.is_return = raw->is_return;
	memcpy(state.leaf, raw->registers, sizeof(state.leaf));
	for (uint32_t i = 0; i <= EVENT_USER_FRAME_COUNT_MAX && !is_over; i++)
		is_over = walk_step(&walk, WALK_AS_USUAL);
	ret->raw_stack_size = 0;
	ret->flags = event->flags | (uint16_t)state.flags;
	ret->verdict = (uint8_t)state.verdict;
	ret->user_frame_count = (uint16_t)state.frame_count;
	/* The one in the kernel saw all of the stack. */
	if (state.verdict != WALK_COMPLETE &&
	    (event->verdict == WALK_COMPLETE || event->user_frame_count > state.frame_count)) {
		memcpy(ret, event, event_size(event));
		ret->raw_stack_size = 0;
	}
	if (state.verdict == WALK_READ_FAULT && walk.ran_out && ret->verdict != WALK_COMPLETE)
		ret->verdict = WALK_CAME_EARLY;
	*ret_wants_more = state.wants_more;
	return state.missing_file;
}

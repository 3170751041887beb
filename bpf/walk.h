/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The walk of a user's stack, from the innermost frame to the start of the process or thread: by
 * unwind tables (bpf/unwind.h), by frame pointers where there is no rule, each such step checked.
 * It says how it ended (the verdict), and never takes a gap in the tables for an end.
 *
 * One text for two places: the program in the kernel, and the collector, which walks the first
 * samples of a program when its tables have come, and tests. Who includes this defines before the
 * functions are used:
 *
 *   struct walk                 at least: struct walk_state *state; struct event *event;
 *   walk_chunk(walk, line)      the chunk of memory that holds a line, or NULL
 *   walk_file(walk, number)     what is known of a file, or NULL
 *   walk_rule(walk, number)     a rule's word, 0 when there is none
 *   walk_read(walk, address, ret)  a word of the process's memory
 *   walk_read_plainly(…)        the same by another way, for walks that check the others
 *   walk_ask(walk, address)     whether there is a mapping that the space does not know: it becomes
 *                               the walk's (walk_use_mapping())
 *   walk_memo(walk, index)      a line of WALK_MEMO_LINE_COUNT, or NULL where nothing is remembered
 */
#include "bpf/events.h"
#include "bpf/unwind.h"
#include "bpf/walk_layout.h"

enum {
	/* Bytes of stack read at once. One read of 2 KiB costs as much as two of a word. */
	WALK_WINDOW_SIZE = 2048,
	/* What the next steps want lies mostly above, but for the saved frame pointer. */
	WALK_WINDOW_BELOW = 64,
};

/* A caller's frame further away than this is taken for a register that held something else. */
#define WALK_FP_STEP_SIZE_MAX (1UL << 20)

/* What was found out about an address. */
enum walk_place {
	WALK_IN_TABLE = 0,	/* a file whose table is here */
	WALK_IN_FILE = 1,	/* one that has none */
	WALK_IN_EXPECTED = 2,	/* one whose table is not here yet */
	WALK_IN_ANONYMOUS = 3,	/* anonymous executable memory */
	WALK_IN_NOTHING = 4,	/* no executable mapping */
	WALK_PLACE_UNKNOWN = 5, /* nothing is known of the process */
};

/*
 * A walk as usual takes short cuts: it remembers which rule it found at which address, tries the
 * mapping of the frame before, and reads the stack in pieces. One that goes plainly takes none, and
 * must come to the same frames.
 */
enum walk_way { WALK_AS_USUAL = 0, WALK_PLAINLY = 1 };

/*
 * Remembered rules. Real programs come by the same addresses again: a quarter to half less time at
 * 99 samples a second. An address has a choice of four places, all in one line of the cache: with
 * one place, and half as many of them, a third of the frames of a program of 600 addresses lost
 * theirs to others, and then cost three times as much. Twice as many as now gain nothing: they are
 * more lines that are cold when they are needed.
 */
enum {
	/* With what the kernel keeps before them they fit in 32 KiB: see the program's map. */
	WALK_MEMO_LINE_COUNT = 500,
	WALK_MEMO_LINE_SIZE = 4,
};

/*
 * The rule at an address in a space: a pure function of both, since a space never changes, its
 * generation is another's never, and a file's table says the same when it comes back. It is the
 * rule itself and not its number, so that no line of the rules is needed. What has no rule is not
 * remembered: a table may come. Two CPUs may write an entry at once; halves that don't belong
 * together fail the check.
 */
struct walk_memo {
	__u64 rule;  /* its word */
	__u64 check; /* the rule ^ walk_memo_hash() */
};

/* What came last is first, and what came first goes. */
struct walk_memo_line {
	struct walk_memo entries[WALK_MEMO_LINE_SIZE];
};

UNWIND_ASSERT(sizeof(struct walk_memo_line) == UNWIND_LINE_SIZE, "one line of the cache");

/* The verdicts of base/window.h, which is not for this side; sampler.c compares them. */
enum walk_verdict {
	WALK_COMPLETE = 0,
	WALK_TRUNCATED = 1,
	WALK_NO_MAPPING = 2,
	WALK_NO_RULE = 3,
	WALK_JIT_UNKNOWN = 4,
	WALK_UNSUPPORTED_RULE = 5,
	WALK_READ_FAULT = 6,
	WALK_NOT_PROGRESSING = 7,
	WALK_NO_USER_STACK = 8,
	WALK_CAME_EARLY = 9,
};

/* Kept in a map's value: the verifier does not follow what is in there. What each step needs stands
 * first, in two lines of the cache. */
struct walk_state {
	struct unwind_frame frame;
	__u64 window_at;
	__u32 window_size;
	__u32 frame_count;
	__u32 kernel_frame_count;
	__u32 generation; /* of the space; 0: not known */
	/* The mapping that the address before lay in, mostly the next one's, too. */
	__u64 start, end, offset;
	struct walk_file file;
	__u32 is_anonymous;
	__u32 space;   /* its first line; 0: nothing is known of the process */
	__u32 place;   /* enum walk_place, of the last address */
	__u32 verdict; /* enum walk_verdict */
	__u32 flags;   /* enum event_flags, of this walk */
	/* What was missing is on its way: walking later may come further. */
	__u32 wants_more;
	__u32 missing_file;	/* the first whose table was expected */
	__u32 file_number;	/* of the mapping above */
	__u32 expects_mappings; /* of the space */
	__u32 lacks_table;	/* came upon a file without one */
	/* Of a process that was not sampled yet: it may run another program by now than the one
	 * whose space this is. */
	__u32 is_space_guessed;
	__u32 kernel_answered; /* it had a mapping that the collector did not tell of */
	__u64 leaf[16];
	__u8 window[WALK_WINDOW_SIZE + 8];
};

/* Forgets all about the walk before. The frame and the leaf's registers are the caller's to set. */
UNWIND_INLINE void walk_begin(struct walk_state *s)
{
	s->start = 1;
	s->end = 0;
	s->is_anonymous = 0;
	s->file_number = 0;
	s->place = WALK_PLACE_UNKNOWN;
	s->frame_count = 0;
	s->verdict = WALK_TRUNCATED;
	s->flags = 0;
	s->wants_more = 0;
	s->missing_file = 0;
	s->generation = 0;
	s->lacks_table = 0;
	s->is_space_guessed = 0;
	s->kernel_answered = 0;
	s->window_at = 0;
	s->window_size = 0;
}

/* ---- the space --------------------------------------------------------------------------------*/

UNWIND_INLINE __u64 walk_word64(const void *chunk, __u32 at)
{
	return *(const __u64 *)((const char *)chunk + (at & (WALK_CHUNK_SIZE - 8)));
}

UNWIND_INLINE __u32 walk_word32(const void *chunk, __u32 at)
{
	return *(const __u32 *)((const char *)chunk + (at & (WALK_CHUNK_SIZE - 4)));
}

/* The last mapping of count that starts at or below the address, or the first. Without branches:
 * see unwind_if_negative(). */
UNWIND_INLINE __u32 walk_search(const void *chunk, __u32 starts, __u32 count, __u64 address)
{
	__u32 index = 0;

#define WALK_SEARCH_STEP(half)                                                                     \
	do {                                                                                       \
		__u32 next = index + (half);                                                       \
		__u32 there = unwind_if_negative((__s64)next - (__s64)count);                      \
		__u32 at = starts + (next & there) * 8;                                            \
		__u32 below = ~unwind_if_negative((__s64)address - (__s64)walk_word64(chunk, at)); \
		index += (half)&there & below;                                                     \
	} while (0)

	if (count > 64) {
		WALK_SEARCH_STEP(8192);
		WALK_SEARCH_STEP(4096);
		WALK_SEARCH_STEP(2048);
		WALK_SEARCH_STEP(1024);
		WALK_SEARCH_STEP(512);
		WALK_SEARCH_STEP(256);
		WALK_SEARCH_STEP(128);
		WALK_SEARCH_STEP(64);
	}
	WALK_SEARCH_STEP(32);
	WALK_SEARCH_STEP(16);
	WALK_SEARCH_STEP(8);
	WALK_SEARCH_STEP(4);
	WALK_SEARCH_STEP(2);
	WALK_SEARCH_STEP(1);
#undef WALK_SEARCH_STEP
	return index;
}

/* Bytes into the chunk that holds the line. */
UNWIND_INLINE __u32 walk_line_at(__u32 line)
{
	return (line & (WALK_CHUNK_LINE_COUNT - 1)) * UNWIND_LINE_SIZE;
}

/* The walk is in this space (walk_space_word()): 0 where nothing is known of the process. */
UNWIND_INLINE void walk_enter(struct walk *walk, __u64 space)
{
	struct walk_state *s = walk->state;

	s->space = (__u32)space;
	s->generation = space >> 32;
}

/* The mapping that holds the address becomes the walk's. */
UNWIND_INLINE void walk_use_mapping(struct walk_state *s, __u64 start, __u64 end, __u64 offset,
				    __u32 number, const struct walk_file *file)
{
	s->start = start;
	s->end = end;
	s->offset = offset;
	s->file_number = number;
	s->is_anonymous = number == WALK_FILE_NONE;
	s->file.state = WALK_FILE_WITHOUT_TABLE;
	if (file && number != WALK_FILE_NONE)
		s->file = *file;
}

/* Whether the space has one. */
UNWIND_INLINE bool walk_find_mapping(struct walk *walk, __u64 address)
{
	struct walk_state *s = walk->state;
	const void *chunk = s->space ? walk_chunk(walk, s->space) : NULL;

	if (!chunk) {
		s->place = WALK_PLACE_UNKNOWN;
		return false;
	}
	s->place = WALK_IN_NOTHING;

	__u32 at = walk_line_at(s->space);
	__u32 count = walk_word32(chunk, at);

	s->expects_mappings = walk_word32(chunk, at + 8);

	if (count == 0)
		return false;

	__u32 index = walk_search(chunk, at + sizeof(struct walk_space), count, address);

	at += walk_space_mappings_at(count) + index * (__u32)sizeof(struct walk_mapping);

	__u64 start = walk_word64(chunk, at), end = walk_word64(chunk, at + 8);

	if (address < start || address >= end)
		return false;

	__u32 number = walk_word32(chunk, at + 24);

	walk_use_mapping(s, start, end, walk_word64(chunk, at + 16), number,
			 walk_file(walk, number));
	return true;
}

/* ---- rules ------------------------------------------------------------------------------------*/

/* The number of the rule at an address in the walk's mapping, which holds it; 0: none. */
UNWIND_INLINE __u32 walk_look_up(struct walk *walk, __u64 address, enum walk_way way)
{
	struct walk_state *s = walk->state;
	__u64 offset = address - s->start + s->offset;
	__u64 page = (offset >> UNWIND_PAGE_SHIFT) - s->file.page_first;

	if (page >= s->file.page_count)
		return 0;

	const void *words = walk_chunk(walk, s->file.words);

	if (!words)
		return 0;

	__u32 word = walk_word32(words, walk_line_at(s->file.words) + (__u32)page * 4);

	if (!word)
		return 0;

	const void *lines = walk_chunk(walk, word >> UNWIND_PAGE_LINE_SHIFT);

	if (!lines)
		return 0;
	return way == WALK_PLAINLY
		       ? unwind_find_plainly(lines, WALK_CHUNK_LINE_COUNT - 1, word, offset)
		       : unwind_find(lines, WALK_CHUNK_LINE_COUNT - 1, word, offset);
}

/*
 * 64 bits for an address in a space: those of one space are all different, and two of different
 * spaces are alike as seldom as random numbers.
 */
UNWIND_INLINE __u64 walk_memo_hash(__u64 address, __u32 generation)
{
	return (address ^ generation * 0xff51afd7ed558ccdULL) * 0x9e3779b97f4a7c15ULL;
}

UNWIND_INLINE __u32 walk_memo_index(__u64 hash)
{
	return (hash >> 48) * WALK_MEMO_LINE_COUNT >> 16;
}

/* The rule that was found here before, or 0. */
UNWIND_INLINE __u64 walk_remember(struct walk *walk, __u64 hash)
{
	const struct walk_memo_line *line = walk_memo(walk, walk_memo_index(hash));

	if (!line)
		return 0;
#pragma GCC unroll 4
	for (int i = 0; i < WALK_MEMO_LINE_SIZE; i++) {
		__u64 rule = line->entries[i].rule;

		if ((line->entries[i].check ^ rule) == hash)
			return rule;
	}
	return 0;
}

UNWIND_INLINE void walk_note(struct walk *walk, __u64 hash, __u64 rule)
{
	struct walk_memo_line *line = walk_memo(walk, walk_memo_index(hash));

	if (!line)
		return;
#pragma GCC unroll 3
	for (int i = WALK_MEMO_LINE_SIZE - 1; i > 0; i--)
		line->entries[i] = line->entries[i - 1];
	line->entries[0].rule = rule;
	line->entries[0].check = rule ^ hash;
}

/* The rule at an address of the process, 0 where there is none; state->place says why. */
UNWIND_INLINE __u64 walk_find_rule(struct walk *walk, __u64 address, enum walk_way way)
{
	struct walk_state *s = walk->state;
	__u64 hash = walk_memo_hash(address, s->generation);
	__u64 rule = way == WALK_AS_USUAL ? walk_remember(walk, hash) : 0;

	if (rule) {
		s->place = WALK_IN_TABLE;
		return rule;
	}
	if ((way == WALK_PLAINLY || address < s->start || address >= s->end) &&
	    !walk_find_mapping(walk, address) && (way == WALK_AS_USUAL || !walk_ask(walk, address)))
		return 0;
	if (s->file.state != WALK_FILE_PRESENT) {
		s->place = s->is_anonymous			 ? WALK_IN_ANONYMOUS
			   : s->file.state == WALK_FILE_EXPECTED ? WALK_IN_EXPECTED
								 : WALK_IN_FILE;
		s->lacks_table |= !s->is_anonymous;
		return 0;
	}
	s->place = WALK_IN_TABLE;

	__u32 number = walk_look_up(walk, address, way);

	if (!number)
		return 0;
	rule = walk_rule(walk, number);
	if (way == WALK_AS_USUAL && rule)
		walk_note(walk, hash, rule);
	return rule;
}

/* ---- steps ------------------------------------------------------------------------------------*/

/* In the place of walk_read() where it takes a function. */
UNWIND_INLINE int walk_read_word(void *context, __u64 address, __u64 *ret)
{
	return walk_read((struct walk *)context, address, ret);
}

UNWIND_INLINE int walk_read_word_plainly(void *context, __u64 address, __u64 *ret)
{
	return walk_read_plainly((struct walk *)context, address, ret);
}

UNWIND_INLINE bool walk_add_frame(struct walk *walk)
{
	struct walk_state *s = walk->state;
	__u32 index = s->kernel_frame_count + s->frame_count;
	__u64 address = s->frame.pc;

	if (s->frame_count >= EVENT_USER_FRAME_COUNT_MAX || index >= EVENT_FRAME_COUNT_MAX)
		return false;
	if (s->frame_count > 0 && !s->frame.is_return)
		address |= EVENT_FRAME_INTERRUPTED;
	walk->event->frames[index] = address;
	s->frame_count++;
	return true;
}

/* Where no rule tells more: the frame pointer, if it looks like one. */
UNWIND_INLINE long walk_step_by_frame_pointer(struct walk *walk, unwind_read *read)
{
	struct walk_state *s = walk->state;
	__u64 fp = s->frame.fp, sp = s->frame.sp, caller_fp, return_address;
	__u32 refused = s->place == WALK_IN_ANONYMOUS ? WALK_JIT_UNKNOWN : WALK_NO_RULE;

	if (fp == 0 && s->frame_count > 1 &&
	    (s->place == WALK_IN_FILE || s->place == WALK_IN_EXPECTED ||
	     s->place == WALK_PLACE_UNKNOWN)) {
		/* Without a table that would know better: a start of thread or process clears it.
		 */
		s->verdict = WALK_COMPLETE;
		return 1;
	}
	s->verdict = refused;
	if (fp < sp || (fp & 7) || fp - sp > WALK_FP_STEP_SIZE_MAX)
		return 1;
	if (read(walk, fp, &caller_fp) || read(walk, fp + 8, &return_address)) {
		s->verdict = WALK_READ_FAULT;
		return 1;
	}
	if (return_address == 0) {
		s->verdict = WALK_COMPLETE;
		return 1;
	}
	s->flags |= EVENT_FRAME_POINTERS;
	s->frame.pc = return_address;
	s->frame.sp = fp + 16;
	s->frame.fp = caller_fp;
	s->frame.is_return = 2;
	return 0;
}

enum walk_simple { WALK_TAKEN = 0, WALK_ENDED = 1, WALK_NOT_SIMPLE = 2 };

/*
 * The step of nearly every frame, in a few lines of text: its rule is remembered, and is one of the
 * commonest. It is what walk_step() would do; where anything is out of the ordinary, nothing is
 * done, and walk_step() has the frame.
 */
UNWIND_INLINE enum walk_simple walk_step_simply(struct walk *walk)
{
	struct walk_state *s = walk->state;
	__u64 pc = s->frame.pc, sp = s->frame.sp, fp = s->frame.fp, caller = 0;
	__u32 count = s->frame_count, is_return = s->frame.is_return;
	bool is_last;

	/* A signal broke in. */
	if (!is_return && count > 0)
		return WALK_NOT_SIMPLE;

	__u64 rule = walk_remember(walk, walk_memo_hash(pc - (is_return ? 1 : 0), s->generation));

	if (!unwind_rule_is_simple(rule))
		return WALK_NOT_SIMPLE;
	is_last = unwind_rule_cfa(rule) == UNWIND_CFA_STOP;

	__u64 cfa =
		(unwind_rule_cfa(rule) == UNWIND_CFA_SP ? sp : fp) + unwind_rule_cfa_offset(rule);

	if (!is_last && (cfa <= sp || walk_read(walk, cfa - 8, &caller) || caller == 0 ||
			 (unwind_rule_fp(rule) == UNWIND_FP_SAVED &&
			  walk_read(walk, cfa + unwind_rule_fp_offset(rule), &fp))))
		return WALK_NOT_SIMPLE;

	/* Here and not above: the verifier of Linux 6.1 forgets what it knows of a number that was
	 * put aside before it was compared. */
	__u32 index = s->kernel_frame_count + count;

	if (count >= EVENT_USER_FRAME_COUNT_MAX || index >= EVENT_FRAME_COUNT_MAX)
		return WALK_NOT_SIMPLE;
	walk->event->frames[index] = pc;
	s->frame_count = count + 1;
	if (!is_last) {
		s->frame.pc = caller;
		s->frame.sp = cfa;
		s->frame.fp = fp;
		s->frame.is_return = 1;
		return WALK_TAKEN;
	}
	s->verdict = WALK_COMPLETE;
	return WALK_ENDED;
}

/* One frame and the way to its caller; 1 ends the walk. frame.is_return 2: by frame pointer. */
UNWIND_INLINE long walk_step(struct walk *walk, enum walk_way way)
{
	struct walk_state *s = walk->state;
	__u64 address = s->frame.pc - (s->frame.is_return ? 1 : 0);
	__u64 rule = walk_find_rule(walk, address, way);
	unwind_read *read = way == WALK_PLAINLY ? walk_read_word_plainly : walk_read_word;

	if (s->place == WALK_PLACE_UNKNOWN)
		s->wants_more = 1;
	if (s->place == WALK_IN_EXPECTED) {
		s->wants_more = 1;
		if (!s->missing_file)
			s->missing_file = s->file_number;
	}
	if (s->place == WALK_IN_NOTHING) {
		/* A frame pointer step that leads nowhere was none. */
		s->verdict = s->frame.is_return == 2 ? WALK_NO_RULE : WALK_NO_MAPPING;
		if (s->expects_mappings | s->is_space_guessed)
			s->wants_more = 1;
		if (s->frame_count == 0)
			walk_add_frame(walk);
		return 1;
	}
	if (!walk_add_frame(walk)) {
		s->verdict = WALK_TRUNCATED;
		return 1;
	}
	if (!rule)
		return walk_step_by_frame_pointer(walk, read);

	const __u64 *leaf = s->frame_count == 1 ? s->leaf : NULL;

	/* Whoever asks whether there is a leaf asks the pointer, so that the verifier sees it. */
	__asm__ volatile("" : "+r"(leaf));
	switch (unwind_step(&s->frame, rule, leaf, read, walk)) {
	case UNWIND_NEXT:
		return 0;
	case UNWIND_END:
		s->verdict = WALK_COMPLETE;
		return 1;
	case UNWIND_UNSUPPORTED:
		s->verdict = WALK_UNSUPPORTED_RULE;
		return 1;
	case UNWIND_READ_FAULT:
		s->verdict = WALK_READ_FAULT;
		return 1;
	case UNWIND_NOT_PROGRESSING:
		s->verdict = WALK_NOT_PROGRESSING;
		return 1;
	default:
		return walk_step_by_frame_pointer(walk, read);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/unwind_pushed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	REGISTER_COUNT = 15, /* all but sp */
	/* rbp is pushed as the fifth. */
	FP_PUSH = 5,
	FP_OFFSET = -8 * (FP_PUSH + 1), /* from the CFA */
	WORD_SIZE = 8,
	POP_RAX = 0x58,
	PREFIX = 0x41,	    /* of a push or pop of r8 to r15 */
	ROOM_CODE_SIZE = 4, /* sub $room, %rsp, and the same with add */
	/* Of one gap between functions; the two loops of libzstd have 2.3 kB together. */
	GAP_SIZE_MAX = 64 << 10,
	/* Of a file that has many gaps. */
	SEARCH_SIZE_MAX = 16 << 20,
};

/* push: rax rbx rcx rdx rbp rsi rdi, r8 to r15. */
static const uint8_t pushes[] = { 0x50, 0x53, 0x51, 0x52, 0x55, 0x56, 0x57, 0x41,
				  0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53, 0x41,
				  0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57 };
/* pop, the other way round; ret. */
static const uint8_t pops[] = { 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c,
				0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58,
				0x5f, 0x5e, 0x5d, 0x5a, 0x59, 0x5b, 0x58, 0xc3 };

/* What was found, as offsets in the bytes looked at. */
struct shape {
	size_t start, end;
	size_t pops;		 /* where they begin */
	size_t works, gives_up;	 /* from where to where the room is taken */
	uint32_t room;		 /* bytes */
	uint32_t more_pop_count; /* of what was pushed besides */
};

/* The last add $room, %rsp before the pops that is followed by a pop of what nobody wants. */
static bool find_end_of_room(const uint8_t *code, struct shape *shape)
{
	static const uint8_t add[] = { 0x48, 0x83, 0xc4 };
	size_t first = shape->start + sizeof(pushes);

	for (size_t i = shape->pops; i-- > first;) {
		if (shape->pops - i <= ROOM_CODE_SIZE || memcmp(code + i, add, sizeof(add)) != 0)
			continue;
		shape->gives_up = i;
		shape->room = code[i + sizeof(add)];
		shape->more_pop_count = 0;
		for (size_t n = i + ROOM_CODE_SIZE; n < shape->pops && code[n] == POP_RAX; n++)
			shape->more_pop_count++;
		return shape->more_pop_count > 0 && shape->room % WORD_SIZE == 0 &&
		       shape->room <= INT8_MAX;
	}
	return false;
}

/* The one sub that takes it. */
static bool find_start_of_room(const uint8_t *code, struct shape *shape)
{
	const uint8_t sub[ROOM_CODE_SIZE] = { 0x48, 0x83, 0xec, (uint8_t)shape->room };
	size_t first = shape->start + sizeof(pushes);
	const uint8_t *found = memmem(code + first, shape->gives_up - first, sub, sizeof(sub));

	if (!found)
		return false;
	shape->works = (size_t)(found - code) + sizeof(sub);
	/* A second one, and the depth is not known. */
	return !memmem(code + shape->works, shape->gives_up - shape->works, sub, sizeof(sub) - 1);
}

/* The next from *at on, which is moved behind what was looked at. */
static bool find_shape(const uint8_t *code, size_t size, size_t *at, struct shape *ret)
{
	const uint8_t *start = memmem(code + *at, size - *at, pushes, sizeof(pushes));
	const uint8_t *end =
		start ? memmem(start, size - (size_t)(start - code), pops, sizeof(pops)) : NULL;

	*at = size;
	if (!end)
		return false;
	*ret = (struct shape){ .start = (size_t)(start - code), .pops = (size_t)(end - code) };
	ret->end = ret->pops + sizeof(pops);
	*at = ret->end;
	return true;
}

static uint64_t rule(uint32_t depth, bool fp_is_saved)
{
	return unwind_rule(UNWIND_CFA_SP, 0, fp_is_saved ? UNWIND_FP_SAVED : UNWIND_FP_SAME,
			   UNWIND_RA_SAVED, fp_is_saved ? FP_OFFSET : 0, (int32_t)depth);
}

/* After each instruction of a list of pushes or pops what holds from there on. */
static int add_list(struct unwind_rows *rows, uint64_t vaddr, const uint8_t *list, bool is_pushes)
{
	int err = 0;

	for (uint32_t n = 1; !err && n <= REGISTER_COUNT; n++) {
		uint32_t held = is_pushes ? n : REGISTER_COUNT - n;
		uint32_t size = *list == PREFIX ? 2 : 1;

		list += size;
		vaddr += size;
		err = unwind_rows_add(rows, vaddr, rule((held + 1) * WORD_SIZE, held >= FP_PUSH));
	}
	return err;
}

static int add_function(struct unwind_rows *rows, uint64_t vaddr, const struct shape *shape)
{
	uint32_t depth = (REGISTER_COUNT + 1) * WORD_SIZE;
	uint32_t more = shape->more_pop_count;
	int err = unwind_rows_begin(rows, vaddr + shape->start, shape->end - shape->start);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = unwind_rows_add(rows, vaddr + shape->start, rule(WORD_SIZE, false));
	if (!err)
		err = add_list(rows, vaddr + shape->start, pushes, true);
	if (!err)
		err = unwind_rows_add(rows, vaddr + shape->start + sizeof(pushes),
				      UNWIND_RULE_NONE);
	if (!err)
		err = unwind_rows_add(rows, vaddr + shape->works,
				      rule(depth + more * WORD_SIZE + shape->room, true));
	for (uint32_t n = 0; !err && n <= more; n++)
		err = unwind_rows_add(rows, vaddr + shape->gives_up + ROOM_CODE_SIZE + n,
				      rule(depth + (more - n) * WORD_SIZE, true));
	if (!err)
		err = add_list(rows, vaddr + shape->pops, pops, false);
	return err;
}

static int look_through(const struct elf_file *elf, uint64_t vaddr, size_t size, uint8_t *code,
			struct unwind_rows *rows, uint16_t *sources)
{
	struct shape shape;
	int err = 0;

	if (elf_file_read(elf, vaddr, code, size))
		return 0;
	for (size_t at = 0; !err && at < size;) {
		if (!find_shape(code, size, &at, &shape) || !find_end_of_room(code, &shape) ||
		    !find_start_of_room(code, &shape))
			continue;
		err = add_function(rows, vaddr, &shape);
		*sources |= UNWIND_FROM_CODE;
	}
	return err;
}

int unwind_pushed_add(const struct elf_file *elf, struct unwind_rows *rows, uint16_t *sources)
{
	autofree uint8_t *code = malloc(GAP_SIZE_MAX);
	size_t searched = 0;
	int err = 0;

	if (!code)
		return -ENOMEM;
	unwind_rows_settle(rows);

	/* Those that are added stand behind. */
	size_t count = rows->function_count;

	for (size_t i = 1; !err && i < count && searched < SEARCH_SIZE_MAX; i++) {
		uint32_t start = rows->functions[i - 1].end;
		uint32_t size = rows->functions[i].start - start;
		uint64_t vaddr;

		if (size <= sizeof(pushes) + sizeof(pops) || size > GAP_SIZE_MAX ||
		    !unwind_rows_vaddr(rows, start, size, &vaddr))
			continue;
		searched += size;
		err = look_through(elf, vaddr, size, code, rows, sources);
	}
	return err;
}

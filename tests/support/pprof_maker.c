/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pprof_maker.h"

#include "base/cleanup.h"

enum { PART_SIZE_MAX = 65536 };

void pprof_number(struct buf *buf, unsigned field, uint64_t value)
{
	buf_add_varint(buf, (uint64_t)field << 3);
	buf_add_varint(buf, value);
}

void pprof_sized(struct buf *buf, unsigned field, struct str bytes)
{
	buf_add_varint(buf, (uint64_t)field << 3 | 2);
	buf_add_sized(buf, bytes);
}

static void add_part(struct buf *buf, unsigned field, const struct buf *part)
{
	if (part->error)
		buf->error = part->error;
	pprof_sized(buf, field, (struct str){ (const char *)part->bytes, part->size });
}

void pprof_list(struct buf *buf, unsigned field, const uint64_t *values, size_t count)
{
	autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

	for (size_t i = 0; i < count; i++)
		buf_add_varint(&part, values[i]);
	add_part(buf, field, &part);
}

/* A message of numbers: those of the fields 1, 2, … */
static void add_numbers(struct buf *buf, unsigned field, const uint64_t *values, size_t count)
{
	autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

	for (size_t i = 0; i < count; i++)
		if (values[i])
			pprof_number(&part, (unsigned)i + 1, values[i]);
	add_part(buf, field, &part);
}

static const char *const texts[] = {
	"",	     "samples",	    "count",
	"cpu",	     "nanoseconds", "main.main",
	"main.work", "main.burn",   "main.go",
	"work.go",   "/bin/prog",   "span",
	"x",	     "bytes",	    "0102030405060708090a0b0c0d0e0f1011121314",
};

enum {
	SAMPLES = 1,
	COUNT,
	CPU,
	NANOSECONDS,
	MAIN,
	WORK,
	BURN,
	MAIN_GO,
	WORK_GO,
	PROG,
	SPAN,
	X,
	BYTES,
	BUILD_ID,
};

static void add_location(struct buf *buf, uint64_t id, const uint64_t lines[][2], size_t count,
			 uint64_t address)
{
	autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

	pprof_number(&part, 1, id);
	pprof_number(&part, 2, 7);
	pprof_number(&part, 3, address);
	for (size_t i = 0; i < count; i++)
		add_numbers(&part, 4, lines[i], 2);
	add_part(buf, 4, &part);
}

static void add_sample(struct buf *buf, const uint64_t *locations, size_t count,
		       const uint64_t values[2], const uint64_t label[3], bool is_packed)
{
	autoclean(buf) struct buf part = BUF(PART_SIZE_MAX);

	if (is_packed)
		pprof_list(&part, 1, locations, count);
	for (size_t i = 0; !is_packed && i < count; i++)
		pprof_number(&part, 1, locations[i]);
	pprof_list(&part, 2, values, 2);
	if (label)
		add_numbers(&part, 3, label, 3);
	add_part(buf, 2, &part);
}

void pprof_example(struct buf *buf)
{
	static const uint64_t main_line[][2] = { { 1, 10 } };
	static const uint64_t burn_lines[][2] = { { 3, 22 }, { 2, 0 } };

	add_numbers(buf, 1, (uint64_t[]){ SAMPLES, COUNT }, 2);
	add_numbers(buf, 1, (uint64_t[]){ CPU, NANOSECONDS }, 2);
	/* Ids are anybody's choice. */
	add_sample(buf, (uint64_t[]){ 900, UINT64_MAX }, 2, (uint64_t[]){ 3, 30000000 },
		   (uint64_t[]){ SPAN, X, 0 }, true);
	add_sample(buf, (uint64_t[]){ 12, UINT64_MAX }, 2, (uint64_t[]){ 2, 20000000 },
		   (uint64_t[]){ BYTES, 0, 512 }, false);
	add_sample(buf, (uint64_t[]){ 12 }, 1, (uint64_t[]){ 0, 0 }, NULL, true);
	add_numbers(buf, 3, (uint64_t[]){ 7, 0x400000, 0x500000, 0x1000, PROG, BUILD_ID, 1 }, 7);
	add_location(buf, UINT64_MAX, main_line, 1, 0x401000);
	add_location(buf, 900, burn_lines, 2, 0x401100);
	add_location(buf, 12, NULL, 0, 0x401340);
	add_numbers(buf, 5, (uint64_t[]){ 1, MAIN, MAIN, MAIN_GO }, 4);
	add_numbers(buf, 5, (uint64_t[]){ 2, WORK, WORK, WORK_GO }, 4);
	add_numbers(buf, 5, (uint64_t[]){ 3, BURN, BURN, WORK_GO }, 4);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		pprof_sized(buf, 6, (struct str){ texts[i], strlen(texts[i]) });
	pprof_number(buf, 9, UINT64_C(1700000000000000000));
	pprof_number(buf, 10, UINT64_C(10000000000));
	add_numbers(buf, 11, (uint64_t[]){ CPU, NANOSECONDS }, 2);
	pprof_number(buf, 12, 10000000);
}

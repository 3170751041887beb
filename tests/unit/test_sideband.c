/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/perf_event.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "collector/sideband.h"

static void begin(struct buf *record, uint32_t type, uint16_t misc)
{
	buf_clear(record);
	buf_add_u32(record, type);
	buf_add_u16(record, misc);
	buf_add_u16(record, 0);
}

static bool parse(struct buf *record, struct sideband_record *ret, uint64_t *malformed)
{
	assert_int_equal(record->error, 0);
	return sideband_parse(record->bytes, record->size, ret, malformed);
}

static void add_text(struct buf *record, const char *text)
{
	static const char padding[8] = "";
	size_t size = strlen(text) + 1;

	buf_add(record, text, size);
	buf_add(record, padding, (8 - size % 8) % 8);
}

static void begin_mapping(struct buf *record, uint16_t misc)
{
	begin(record, PERF_RECORD_MMAP2, misc);
	buf_add_u32(record, 12);
	buf_add_u32(record, 13);
	buf_add_u64(record, 0x10000);
	buf_add_u64(record, 0x2000);
	buf_add_u64(record, 0x3000);
}

static void reads_a_mapping_with_a_build_id(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1024);
	struct sideband_record record;
	uint64_t malformed = 0;

	(void)state;
	begin_mapping(&bytes, PERF_RECORD_MISC_MMAP_BUILD_ID);
	buf_add_u32(&bytes, 20);
	buf_add(&bytes, "12345678901234567890", 20);
	buf_add_u64(&bytes, 0);
	add_text(&bytes, "/usr/bin/x");
	buf_add_u64(&bytes, 777);
	assert_true(parse(&bytes, &record, &malformed));
	assert_int_equal(record.kind, SIDEBAND_MAPPED);
	assert_int_equal(record.pid, 12);
	assert_int_equal(record.tid, 13);
	assert_int_equal(record.start, 0x10000);
	assert_int_equal(record.end, 0x12000);
	assert_int_equal(record.offset, 0x3000);
	assert_int_equal(record.identity.kind, IDENTITY_GNU_BUILD_ID);
	assert_int_equal(record.identity.size, 20);
	assert_memory_equal(record.identity.bytes, "12345678901234567890", 20);
	assert_true(str_equal(record.text, STR("/usr/bin/x")));
	assert_int_equal(record.boot_ns, 777);
	assert_int_equal(malformed, 0);
}

static void reads_a_mapping_with_an_inode(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1024);
	struct sideband_record record;
	uint64_t malformed = 0;

	(void)state;
	begin_mapping(&bytes, 0);
	buf_add_u32(&bytes, 8);
	buf_add_u32(&bytes, 1);
	buf_add_u64(&bytes, 4711);
	buf_add_u64(&bytes, 0);
	buf_add_u64(&bytes, 0);
	add_text(&bytes, "//anon");
	buf_add_u64(&bytes, 777);
	assert_true(parse(&bytes, &record, &malformed));
	assert_int_equal(record.identity.kind, IDENTITY_NONE);
	assert_int_equal(record.inode, 4711);
	assert_int_equal(record.device, makedev(8, 1));
}

static void refuses_impossible_mappings(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1024);
	struct sideband_record record = { .pid = 99 };
	uint64_t malformed = 0;

	(void)state;
	/* A build id of 21 bytes. */
	begin_mapping(&bytes, PERF_RECORD_MISC_MMAP_BUILD_ID);
	buf_add_u32(&bytes, 21);
	buf_add(&bytes, "12345678901234567890", 20);
	buf_add_u64(&bytes, 0);
	add_text(&bytes, "/x");
	buf_add_u64(&bytes, 777);
	assert_false(parse(&bytes, &record, &malformed));

	/* One that wraps around the end of memory. */
	begin(&bytes, PERF_RECORD_MMAP2, 0);
	buf_add_u64(&bytes, 1);
	buf_add_u64(&bytes, UINT64_MAX - 10);
	for (unsigned i = 0; i < 6; i++)
		buf_add_u64(&bytes, 0x1000);
	add_text(&bytes, "/x");
	buf_add_u64(&bytes, 777);
	assert_false(parse(&bytes, &record, &malformed));
	assert_int_equal(malformed, 2);
	assert_int_equal(record.pid, 99);
}

static void tells_an_exec_from_a_new_name(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1024);
	struct sideband_record record;
	uint64_t malformed = 0;

	(void)state;
	for (unsigned is_exec = 0; is_exec < 2; is_exec++) {
		begin(&bytes, PERF_RECORD_COMM, is_exec ? PERF_RECORD_MISC_COMM_EXEC : 0);
		buf_add_u32(&bytes, 12);
		buf_add_u32(&bytes, 12);
		add_text(&bytes, "name");
		buf_add_u64(&bytes, 5);
		assert_true(parse(&bytes, &record, &malformed));
		assert_int_equal(record.kind, is_exec ? SIDEBAND_EXEC : SIDEBAND_RENAMED);
		assert_true(str_equal(record.text, STR("name")));
	}
}

static void passes_over_the_comings_and_goings_of_threads(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1024);
	struct sideband_record record;
	uint64_t malformed = 0;

	(void)state;
	for (unsigned is_thread = 0; is_thread < 2; is_thread++) {
		begin(&bytes, PERF_RECORD_FORK, 0);
		buf_add_u32(&bytes, 12);
		buf_add_u32(&bytes, 7);
		buf_add_u32(&bytes, 12 + is_thread);
		buf_add_u32(&bytes, 7);
		buf_add_u64(&bytes, 5);
		buf_add_u64(&bytes, 6);
		assert_int_equal(parse(&bytes, &record, &malformed), !is_thread);
	}
	assert_int_equal(record.kind, SIDEBAND_FORKED);
	assert_int_equal(record.pid, 12);
	assert_int_equal(record.parent_pid, 7);
	assert_int_equal(record.boot_ns, 6);
	assert_int_equal(malformed, 0);
}

/* Whatever is cut off, what is read lies within what is left. */
static void tells_that_a_bpf_program_came_or_went(void **state)
{
	autoclean(buf) struct buf bytes = BUF(256);
	struct sideband_record record;
	uint64_t malformed = 0;

	(void)state;
	begin(&bytes, PERF_RECORD_KSYMBOL, 0);
	buf_add_u64(&bytes, 0xffffffffc0000000); /* where */
	buf_add_u32(&bytes, 4096);
	buf_add_u16(&bytes, 1); /* of BPF */
	buf_add_u16(&bytes, 0); /* it came */
	add_text(&bytes, "bpf_prog_0123456789abcdef_sample");
	assert_true(parse(&bytes, &record, &malformed));
	assert_int_equal(record.kind, SIDEBAND_KERNEL_SYMBOL);
	assert_int_equal(record.pid, 0);
	assert_int_equal(malformed, 0);
}

static void survives_being_cut_anywhere(void **state)
{
	autoclean(buf) struct buf bytes = BUF(1024);
	struct sideband_record record;
	uint64_t malformed = 0;

	(void)state;
	begin_mapping(&bytes, PERF_RECORD_MISC_MMAP_BUILD_ID);
	buf_add_u32(&bytes, 20);
	buf_add(&bytes, "12345678901234567890", 20);
	buf_add_u64(&bytes, 0);
	add_text(&bytes, "/usr/bin/x");
	buf_add_u64(&bytes, 777);
	for (size_t size = 0; size < bytes.size; size++) {
		if (!sideband_parse(bytes.bytes, size, &record, &malformed))
			continue;
		assert_true(record.text.size == 0 ||
			    record.text.text + record.text.size <=
				    (const char *)bytes.bytes + size - sizeof(uint64_t));
	}
	assert_true(malformed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_mapping_with_a_build_id),
		cmocka_unit_test(reads_a_mapping_with_an_inode),
		cmocka_unit_test(refuses_impossible_mappings),
		cmocka_unit_test(tells_an_exec_from_a_new_name),
		cmocka_unit_test(passes_over_the_comings_and_goings_of_threads),
		cmocka_unit_test(tells_that_a_bpf_program_came_or_went),
		cmocka_unit_test(survives_being_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

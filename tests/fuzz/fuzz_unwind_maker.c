/* SPDX-License-Identifier: Apache-2.0 */
/* An executable up to its unwind table: what its maker lays out is what its check wants. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unwind_table.h"
#include "symbols/unwind_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct identity identity = { .kind = IDENTITY_INODE, .size = 1 };
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(buf) struct buf buf = BUF(UNWIND_TABLE_SIZE_MAX);
	autoclose int fd = memfd_create("elf", MFD_CLOEXEC);
	struct unwind_table table;

	assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	if (elf_file_open(fd, &elf) || unwind_maker_make(elf, NULL, &identity, &buf))
		return 0;
	assert(unwind_table_check(buf.bytes, buf.size, &table) == 0);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Perf maps and jitdumps: the first byte says which, and after how many bytes it is read first. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbols/jit_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_all(struct jit_reader *reader, struct jit_map *map, uint64_t now_ns)
{
	for (int i = 0; i < 100 && jit_reader_read(reader, map, now_ns, 7) == -EAGAIN; i++)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	autoclean(jit_map) struct jit_map *map = NULL;
	autoclose int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct str name = { NULL, 0 };

	if (size < 1 || fd < 0 || jit_map_new(&map))
		return 0;

	struct jit_reader reader = { .fd = fd,
				     .kind = bytes[0] & 1 ? JIT_FILE_JITDUMP : JIT_FILE_PERF_MAP };
	size_t first = (size_t)bytes[0] * 4;

	bytes++;
	size--;
	if (first > size)
		first = size;
	if (pwrite(fd, bytes, first, 0) != (ssize_t)first)
		return 0;
	read_all(&reader, map, 100);
	if (pwrite(fd, bytes + first, size - first, (off_t)first) != (ssize_t)(size - first))
		return 0;
	read_all(&reader, map, 200);
	for (uint64_t address = 0x1000; address < 0x10000; address += 0x333)
		for (uint64_t at_ns = 0; at_ns < 400; at_ns += 50)
			if (jit_map_find(map, address, at_ns, &name)) {
				assert(name.size > 0 && name.size <= JIT_NAME_SIZE_MAX);
				(void)jit_name_from(name);
			}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/debug_link.h"

#include <errno.h>
#include <lzma.h>
#include <string.h>
#include <unistd.h>

enum { CRC_ALIGNMENT = 4, READ_SIZE = 64 << 10 };

int debug_link_read(struct elf_file *elf, struct debug_link *ret)
{
	struct elf_bytes section;
	struct debug_link link = { .name = "" };
	int err = elf_file_section(elf, STR(".gnu_debuglink"), DEBUG_LINK_NAME_SIZE + 8, &section);

	if (err)
		return -ENOENT;

	size_t size = strnlen((const char *)section.bytes, section.size);
	size_t crc_at = (size + CRC_ALIGNMENT) / CRC_ALIGNMENT * CRC_ALIGNMENT;

	if (size == 0 || size >= sizeof(link.name) || crc_at + sizeof(link.crc) > section.size ||
	    memchr(section.bytes, '/', size) || section.bytes[0] == '.')
		return -ENOENT;
	memcpy(link.name, section.bytes, size);
	memcpy(&link.crc, section.bytes + crc_at, sizeof(link.crc));
	*ret = link;
	return 0;
}

bool debug_link_fits(const struct debug_link *link, int fd)
{
	static uint8_t bytes[READ_SIZE];
	uint32_t crc = 0;
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, bytes, sizeof(bytes), at)) > 0) {
		crc = lzma_crc32(bytes, (size_t)got, crc);
		at += got;
	}
	return got == 0 && crc == link->crc;
}

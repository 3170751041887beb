/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "symbols/elf_file.h"

/*
 * The section .gnu_debuglink, by which a stripped file names its debug file: its base name, padded
 * with NULs to 4 bytes, and the CRC-32 of all of it (gdb's manual, "Separate Debug Files").
 */
enum { DEBUG_LINK_NAME_SIZE = 256 };

struct debug_link {
	char name[DEBUG_LINK_NAME_SIZE]; /* ends with a NUL; no '/' */
	uint32_t crc;
};

/* -ENOENT when the file has none, or one that makes no sense. */
int debug_link_read(struct elf_file *elf, struct debug_link *ret);

/* Whether this is the file that is meant: reads all of it. */
bool debug_link_fits(const struct debug_link *link, int fd);

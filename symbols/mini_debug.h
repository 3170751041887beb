/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * MiniDebugInfo: the symbols that stripping took away, as an ELF file of its own, packed by xz into
 * the section .gnu_debugdata. Fedora and RHEL ship their programs so.
 */
enum {
	/* Unpacked. The largest seen, of a web browser, has 12 MB. */
	MINI_DEBUG_SIZE_MAX = 64 << 20,
	/* Of the unpacking, for the dictionary: xz -9 asks for 65 MiB. */
	MINI_DEBUG_MEMORY_MAX = 80 << 20,
};

/*
 * Unpacks the section's bytes into a file in memory, open for reading from its start; the caller
 * closes it. -EBADMSG when it is damaged or cut off, -EFBIG beyond a limit above, -ENOMEM.
 */
int mini_debug_unpack(const uint8_t *bytes, size_t size, int *ret_fd);

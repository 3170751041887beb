/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "symbols/jit_map.h"

/*
 * Reads what a process writes about the code that it makes, while it is written, into a jit_map.
 * Every byte may be hostile, and the file may be cut or written anew meanwhile.
 *
 * A perf map (linux/tools/perf/Documentation/jit-interface.txt) is lines of start, size (both hex)
 * and name. It tells no times: what is found by a reading counts since the reading before, what is
 * found by the first since ever.
 *
 * A jitdump (jitdump-specification.txt beside it) is records with times: code loaded, code moved,
 * the code's own bytes, which are passed over, and others. Its clock is CLOCK_MONOTONIC; one with
 * the clock of the machine (a flag in its header) is read as a perf map is.
 */
enum jit_file_kind {
	JIT_FILE_NONE = 0,
	JIT_FILE_PERF_MAP = 1,
	JIT_FILE_JITDUMP = 2,
	JIT_FILE_KIND_COUNT,
};

enum {
	/* Of a perf map; it grows without end where a compiler works without end. */
	PERF_MAP_SIZE_MAX = 64 << 20,
	/* Of a jitdump, mostly code that is passed over. */
	JITDUMP_SIZE_MAX = 1 << 30,
	/* Read in one go; the rest next time. */
	JIT_READ_SIZE_MAX = 8 << 20,
	JIT_TAIL_SIZE = 64,
};

/* Held by the caller, zeroed but for fd and kind; fd stays the caller's. */
struct jit_reader {
	int fd;
	enum jit_file_kind kind;
	uint64_t offset;  /* read up to here */
	uint64_t read_ns; /* when that was; 0: not yet */
	bool has_machine_clock;
	/* What stood before offset: whether it is still the file that was read. */
	uint8_t tail[JIT_TAIL_SIZE];
	uint32_t tail_size;
};

/*
 * Reads what came since the last time. now_ns: since boot. monotonic_to_boot_ns: what to add to a
 * time of CLOCK_MONOTONIC. -EAGAIN when there is more than could be read in one go, -EBADMSG for a
 * jitdump that is none, -EFBIG beyond a limit, -ENOMEM, or what reading says. After an error other
 * than -EAGAIN nothing more will come of it; what was read stays.
 */
int jit_reader_read(struct jit_reader *reader, struct jit_map *map, uint64_t now_ns,
		    uint64_t monotonic_to_boot_ns);

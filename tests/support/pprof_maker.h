/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

/*
 * A pprof file of one's own, field by field, so that it may be wrong in any way. Errors are kept in
 * the buf. https://protobuf.dev/programming-guides/encoding/
 */
void pprof_number(struct buf *buf, unsigned field, uint64_t value);
void pprof_sized(struct buf *buf, unsigned field, struct str bytes);
/* A packed list. */
void pprof_list(struct buf *buf, unsigned field, const uint64_t *values, size_t count);

/*
 * Two CPU samples and one without a value, of a program as Go's has them: samples/count and
 * cpu/nanoseconds, period 10 ms, taken at 1700000000 s for 10 s. Texts and numbers are in the .c
 * file. Stacks, root first:
 *
 *   main.main (main.go:10); [inlined: main.work, main.burn (work.go:22)]    3 samples, 30 ms,
 * span=x main.main; prog+0x2340 (no name, build id 0102…14)                      2 samples, 20 ms
 */
void pprof_example(struct buf *buf);

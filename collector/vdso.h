/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * The functions of the vDSO, code of the kernel's that it maps into every process: the same image
 * in all of them, so that our own tells the names of all. Processes of 32 bits have another.
 */
enum {
	/* x86-64 has ten, aliases included. */
	VDSO_FUNCTION_COUNT_MAX = 32,
	VDSO_SIZE_MAX = 1 << 20,
};

struct vdso_function {
	uint64_t start, size; /* from the image's start */
	struct str name;      /* "__vdso_time", in our own image */
};

struct vdso {
	struct vdso_function functions[VDSO_FUNCTION_COUNT_MAX];
	size_t count;
};

/* Of our own process; without any functions when there is none. */
void vdso_read(struct vdso *vdso);

/* The number of the function at this distance from the image's start; SIZE_MAX for none. */
size_t vdso_find(const struct vdso *vdso, uint64_t offset);

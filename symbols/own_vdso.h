/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/identity.h"

/*
 * The vDSO, a library that the kernel maps into every process and that is no file. Ours is every
 * process's: as a file in memory, to be read like any other, with the build id by which other
 * profilers name it. -ENOENT where there is none, or it has no build id.
 */
int own_vdso_open(struct identity *ret_identity, int *ret_fd);

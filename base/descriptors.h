/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * How many descriptors this process may have open: so many as are wanted, or, where the host allows
 * fewer, those. What is allowed now is raised to that, and never lowered.
 */
size_t descriptors_raise(size_t wanted);

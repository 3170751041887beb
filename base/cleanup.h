/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

/*
 * What a scope acquires, the scope gives back.
 *
 * autoclean(thing) before a declaration calls thing_cleanup(&variable) on every way out of the
 * block. Initialise such a variable where it is declared. TAKE() hands its value on and leaves
 * the variable empty, so that the cleanup finds nothing to do.
 */
#define autoclean(name) __attribute__((__cleanup__(name##_cleanup)))

#define TAKE(pointer)                                                                              \
	({                                                                                         \
		__auto_type taken_ = (pointer);                                                    \
		(pointer) = NULL;                                                                  \
		taken_;                                                                            \
	})

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

/* Makes NAME_cleanup() for a pointer type whose destructor accepts NULL. */
#define DEFINE_CLEANUP(type, name, destroy)                                                        \
	static inline void name##_cleanup(type *pointer)                                           \
	{                                                                                          \
		destroy(*pointer);                                                                 \
	}

static inline void free_cleanup(void *pointer)
{
	free(*(void **)pointer);
}

static inline void fd_cleanup(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define autofree  autoclean(free)
#define autoclose autoclean(fd)

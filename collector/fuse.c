/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fuse.h"

#include <sys/vfs.h>

enum {
	FUSE_MAGIC = 0x65735546, /* FUSE_SUPER_MAGIC of linux/magic.h, since 5.16 there */
};

bool fuse_serves(int fd)
{
	struct statfs system;

	return fstatfs(fd, &system) != 0 || system.f_type == FUSE_MAGIC;
}

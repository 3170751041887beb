/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"

/*
 * The one path, of those that /proc/PID/cgroup lists (cgroups(7)), that says most about who a
 * process is: that with a container's id in it, else that of systemd's own hierarchy (v2, or
 * name=systemd), else the longest. A slice of text; "" when there is none.
 */
struct str cgroup_choose(struct str text);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/*
 * What the path of a cgroup tells: container engines and systemd name cgroups after what they run.
 * Everything is a slice of the path; absent where the path does not say.
 */
struct cgroup_path {
	struct str container;	 /* its whole id, or of LXC and nspawn its name */
	bool container_has_name; /* it is a name */
	struct str pod;		 /* Kubernetes' uid, still with '_' where systemd's driver put it */
	struct str unit;	 /* the service or scope inside the container, or on the host */
};

struct cgroup_path cgroup_path_parse(struct str path);

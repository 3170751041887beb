/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/window.h"
#include "store/batch.h"

/*
 * Who a process is to the user: service_name, process_name, container_id, pod, systemd_unit, host.
 *
 * service_name is the short id of its container, else its system unit's name without ".service",
 * else (login sessions, and neither) the base name of the script that it interprets, or of its
 * executable. process_name is always the base name of its executable. Threads of the kernel are the
 * service "kernel". Labels that a process has not are left out.
 */
enum { LABELS_MAX = 6 };

/* Values are slices of the process, of host_name, and of texts, to which made ones are added. */
int labels_of(const struct window_process *process, const char *host_name,
	      struct label labels[static LABELS_MAX], size_t *ret_count, struct buf *texts);

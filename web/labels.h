/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/window.h"
#include "store/batch.h"

/*
 * Who a process is to the user: service_name, process_name, container_id, pod, systemd_unit, host.
 *
 * service_name is the short id of its container (its name where the cgroup tells one), else the
 * name of its system unit without ".service", else (login sessions, and neither) the base name of
 * the script that it interprets, or of its executable. process_name is always the base name of its
 * executable. Threads of the kernel are the service "kernel". Labels that a process has not are
 * left out.
 */
enum { LABELS_MAX = 6 };

/*
 * Sorted by name, each value UTF-8 without control characters and of at most 256 bytes. Values are
 * slices of the process, of host_name, and of texts, to which made ones are added (its bytes may
 * move when it is used again).
 */
int labels_of(const struct window_process *process, const char *host_name,
	      struct label labels[static LABELS_MAX], size_t *ret_count, struct buf *texts);

/*
 * A value as text: UTF-8 without control characters, at most 256 bytes. The value itself where it
 * is that already, else made in texts, which must have room for 256 bytes more.
 */
struct str label_text(struct str value, struct buf *texts);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/window.h"
#include "collector/processes.h"

/*
 * Reads what /proc says of a living process. -ESRCH when it has ended, or the pid belongs to
 * another by now: its start time is not that of the key. The pid is that in its innermost pid
 * namespace.
 */
int proc_read(const struct process_key *key, struct process_texts **ret,
	      uint32_t *ret_namespace_pid);

/* The cgroup path alone, of whatever has this pid now; NULL when it can't be read. To be freed. */
char *proc_read_cgroup(uint32_t pid);

struct process_texts *process_texts_new(void);
struct process_texts *process_texts_ref(struct process_texts *texts);
struct process_texts *process_texts_unref(struct process_texts *texts);

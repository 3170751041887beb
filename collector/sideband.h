/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/str.h"

/*
 * What happens to processes, from the kernel's own records beside the samples: one dummy perf event
 * a CPU reports executable mappings (with build ids from 5.12 on), names, forks, execs and exits.
 * No polling and no BPF program. Records can be lost; a re-scan of /proc/PID/maps repairs that.
 *
 * The format of the records: perf_event_open(2), include/uapi/linux/perf_event.h.
 */
struct sideband;

enum sideband_kind {
	SIDEBAND_MAPPED = 1,
	SIDEBAND_EXEC = 2, /* another program; what was mapped is gone */
	SIDEBAND_RENAMED = 3,
	SIDEBAND_FORKED = 4,	    /* a new process, not a new thread */
	SIDEBAND_EXITED = 5,	    /* the main thread ended */
	SIDEBAND_KERNEL_SYMBOL = 6, /* a BPF program came or went; of no process */
};

struct sideband_record {
	uint64_t boot_ns;
	uint32_t kind; /* enum sideband_kind */
	uint32_t pid;
	uint32_t tid;
	uint32_t parent_pid; /* of SIDEBAND_FORKED */
	/* Of SIDEBAND_MAPPED: */
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file, bytes */
	uint64_t device; /* as in struct stat; 0 when a build id is there instead */
	uint64_t inode;
	struct identity identity; /* a build id, or IDENTITY_NONE */
	struct str text;	  /* path of the mapping, or the new name */
};

typedef void sideband_handler(void *context, const struct sideband_record *record);

int sideband_open(const uint32_t *cpus, uint32_t cpu_count, sideband_handler *handler,
		  void *context, struct sideband **ret);
struct sideband *sideband_close(struct sideband *sideband);

/* Readable (it is an epoll set) when there are records; not to be drained for each. */
int sideband_fd(const struct sideband *sideband);

/* Hands over what waits on all CPUs, in the order of time. */
void sideband_drain(struct sideband *sideband);

/* Records lost or not understood, since the start. */
uint64_t sideband_lost(const struct sideband *sideband);

/*
 * Reads one record of size bytes, header included, as the kernel wrote it: false when it is of no
 * interest, or (then *malformed is raised) not what it should be. For the above, and a fuzzer.
 */
bool sideband_parse(const void *bytes, size_t size, struct sideband_record *ret,
		    uint64_t *malformed);

DEFINE_CLEANUP(struct sideband *, sideband, sideband_close)

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than some headers. */
#ifndef CAP_BPF
#define CAP_BPF 39
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

static const uint64_t kept = UINT64_C(1) << CAP_BPF | UINT64_C(1) << CAP_SYS_PTRACE |
			     UINT64_C(1) << CAP_DAC_READ_SEARCH | UINT64_C(1) << CAP_SYSLOG |
			     UINT64_C(1) << CAP_CHECKPOINT_RESTORE;

int privileges_drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	if (syscall(SYS_capget, &header, sets))
		return -errno;
	for (unsigned word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
		uint32_t mask = (uint32_t)(kept >> (32 * word));

		sets[word].permitted &= mask;
		sets[word].effective = sets[word].permitted;
		sets[word].inheritable = 0;
	}
	return syscall(SYS_capset, &header, sets) ? -errno : 0;
}

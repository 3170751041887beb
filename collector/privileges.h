/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Gives up, for good, every right but those that a running collector needs: CAP_BPF,
 * CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYSLOG and CAP_CHECKPOINT_RESTORE, of those that it had.
 * Opened events, maps and programs go on. Nothing that it might start can have more.
 */
int privileges_drop(void);

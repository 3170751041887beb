/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Tells the service manager that started us how we are, as sd_notify(3) describes: one datagram to
 * the unix socket that $NOTIFY_SOCKET names. Our own forty lines instead of libsystemd, which would
 * bring three compression libraries into a process with rights.
 */

/* "READY=1\nSTATUS=…", printf-like. 0 also when nobody asked to be told; else a negative errno. */
int notify_manager(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * How long the manager waits for WATCHDOG=1 until it takes us for stuck; 0: it does not watch, or
 * watches another process ($WATCHDOG_USEC, $WATCHDOG_PID).
 */
uint64_t notify_watchdog_ns(void);

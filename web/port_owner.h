/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Who listens on a TCP port of this host, for a message that helps: looked up in /proc/net/tcp and
 * tcp6, then among the descriptors of all processes, of which an ordinary user sees only its own.
 */
enum { PORT_OWNER_TEXT_SIZE = 64 };

/* "pid 812 (grafana)". -ENOENT when nobody listens, or it can't be told who. */
int port_owner_describe(uint16_t port, char text[static PORT_OWNER_TEXT_SIZE]);

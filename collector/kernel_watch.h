/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether the kernel's list of symbols is another by now: a module came, went or lies elsewhere, or
 * a BPF program did. A list that is out of date would give what lies at an address now the name of
 * what lay there before.
 */
enum {
	/* A look at the list of modules, which takes some ten µs. */
	KERNEL_WATCH_LOOK_S = 1,
	/* Reading all symbols takes 100 ms here and there; BPF programs may come by the dozen. */
	KERNEL_WATCH_SEND_S = 10,
	KERNEL_WATCH_SIZE_MAX = 1 << 20,
};

/* Held by the caller, zeroed. */
struct kernel_watch {
	uint64_t modules; /* hash of the list when it was looked at last */
	bool has_looked;
	bool is_changed; /* and nobody was told */
	uint64_t next_look_ns, next_send_ns;
};

/* A BPF program came or went. */
void kernel_watch_note(struct kernel_watch *watch);

/* The symbols were sent with a connection. */
void kernel_watch_sent(struct kernel_watch *watch);

/*
 * Call once a window. modules: "/proc/modules". True when the symbols are to be read again. now_ns:
 * of one clock, whichever.
 */
bool kernel_watch_tick(struct kernel_watch *watch, const char *modules, uint64_t now_ns);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * That the calling thread runs soon after it was woken, also when all CPUs are busy, without a
 * priority that could keep others from running.
 *
 * Asks for a higher priority, and for short turns: a scheduler by deadlines (Linux 6.6) lets who
 * runs end its turn of three milliseconds, unless the one that was woken has a shorter turn, which
 * can be asked for since 6.12. Where the kernel shares CPUs between sessions, the process gets one
 * of its own, of that priority. Older kernels take no notice. What is not permitted is left out,
 * and so is all of it where an administrator has chosen another policy than the usual one.
 */
void promptness_ask(void);

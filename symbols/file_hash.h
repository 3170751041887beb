/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/identity.h"

/*
 * What OpenTelemetry's profiles call a file that has no build id, and their eBPF profiler calls
 * every file: process.executable.build_id.htlhash, of its head, its tail and its length
 * (https://opentelemetry.io/docs/specs/semconv/registry/attributes/process/).
 *
 * -errno when it can't be read; the descriptor stays where it is.
 */
int file_hash_of(int fd, struct identity *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/small_server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/limits.h"
#include "store/records.h"
#include "store/store.h"
#include "symbols/jit_processes.h"
#include "symbols/symbols.h"
#include "symbols/unwind_tables.h"
#include "web/kept.h"
#include "web/otlp_kits.h"

static void open_parts(struct small_server *small)
{
	char path[96];
	int size = snprintf(path, sizeof(path), "%s/symbols", small->folder);

	assert(size > 0 && (size_t)size < sizeof(path));

	int err = symbols_open(path, "", &small->server.symbols);

	assert(!err);
	size = snprintf(path, sizeof(path), "%s/unwind", small->folder);
	assert(size > 0 && (size_t)size < sizeof(path));
	err = unwind_tables_open(path, "", &small->server.unwind_tables);
	assert(!err);
	symbols_use_unwind_tables(small->server.symbols, small->server.unwind_tables);
	err = jit_processes_new(&small->server.jit);
	assert(!err);
	jit_processes_use_symbols(small->server.jit, small->server.symbols);

	struct store_options options = { .folder = small->folder,
					 .symbols = small->server.symbols,
					 .span_ms = INT64_C(6) * 3600 * CLOCK_MS_PER_S };

	err = store_open(&options, &small->server.store);
	assert(!err);
	kept_open(&small->server);
	assert(small->server.records);
}

void small_server_open(struct small_server *small)
{
	*small = (struct small_server){ .folder = "/tmp/hearth-server-XXXXXX" };

	const char *made = mkdtemp(small->folder);

	assert(made);
	memcpy(small->settings.data, small->folder, sizeof(small->folder));
	memcpy(small->settings.tls_client_role, "read", sizeof("read"));
	small->settings.window_ns = (uint64_t)CLOCK_NS_PER_S;
	small->server.settings = &small->settings;
	memcpy(small->server.host_name, "box", sizeof("box"));
	open_parts(small);

	int err = otlp_kits_new(&small->server.otlp_kits);

	assert(!err);
}

static void close_parts(struct small_server *small)
{
	small->server.store = store_close(small->server.store);
	small->server.records = records_close(small->server.records);
	small->server.jit = jit_processes_free(small->server.jit);
	small->server.symbols = symbols_close(small->server.symbols);
	small->server.unwind_tables = unwind_tables_close(small->server.unwind_tables);
}

void small_server_restart(struct small_server *small)
{
	close_parts(small);
	open_parts(small);
}

void small_server_close(struct small_server *small)
{
	close_parts(small);
	small->server.otlp_kits = otlp_kits_free(small->server.otlp_kits);
	folder_remove(small->folder);
}

struct window *window_copy(const struct window *window)
{
	autoclean(buf) struct buf buf = BUF(WINDOW_SIZE_MAX);
	struct window *copy = NULL;

	window_encode(window, &buf);
	assert(!buf.error);

	int err = window_decode(buf.bytes, buf.size, &copy);

	assert(!err);
	return copy;
}

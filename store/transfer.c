/* SPDX-License-Identifier: Apache-2.0 */
/* Span files that go to another host, and those that come from one. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/batch_private.h"
#include "store/extract.h"
#include "store/reader.h"
#include "store/scrub.h"
#include "store/store_private.h"

enum {
	BATCH_MEMORY_MAX = 128 << 20,
	/* Entries that wait for a commit: half of what a running window takes. */
	UNCOMMITTED_MAX = RUNNING_ENTRY_COUNT_MAX / 2,
	UNCOMMITTED_BATCH_MAX = 1024,
};

/* All of time is one span's. */
#define EXPORT_SPAN_MS (INT64_C(1) << 50)

/* ---- to another host --------------------------------------------------------------------------
 */

struct exporting {
	struct store *store; /* of its own, with one file */
	uint32_t uncommitted, uncommitted_batches;
};

static int append(void *context, struct batch *batch)
{
	struct exporting *exporting = context;
	int err = 0;

	if (exporting->uncommitted + batch->items.count > UNCOMMITTED_MAX ||
	    exporting->uncommitted_batches == UNCOMMITTED_BATCH_MAX) {
		err = store_commit(exporting->store);
		exporting->uncommitted = exporting->uncommitted_batches = 0;
	}
	if (!err)
		err = store_append(exporting->store, batch);
	exporting->uncommitted += batch->items.count;
	exporting->uncommitted_batches++;
	/* More texts, series or builds than a file holds. */
	if (!err && exporting->store->spans.spans.count > 1)
		err = -EFBIG;
	return err;
}

static int seal(struct store *store, char *path, size_t path_size)
{
	struct span *span = store->open ? store->open : store->late;
	int err;

	if (!span)
		return -ENODATA;
	err = store_close_span(store, store->open ? &store->open : &store->late);
	if (err)
		return err;
	/* Damage took it away; or it could not be sealed. */
	if (store->spans.spans.count != 1 || !store->spans.spans.items[0]->is_sealed)
		return -EIO;
	if ((size_t)snprintf(path, path_size, "%s", store->spans.spans.items[0]->path) >= path_size)
		return -ENAMETOOLONG;
	return 0;
}

int store_export(struct store *store, const struct store_question *question, const char *folder,
		 char *path, size_t path_size)
{
	const struct extract_options options = { .with_names = true };
	struct store_options own = { .folder = folder, .span_ms = EXPORT_SPAN_MS };
	autoclean(store) struct store *target = NULL;
	autoclean(batch) struct batch *batch = NULL;
	struct exporting exporting = { 0 };
	int err = store_open(&own, &target);

	if (!err)
		err = batch_new(BATCH_MEMORY_MAX, &batch);
	exporting.store = target;
	if (!err)
		err = store_extract(store, question, &options, batch, append, &exporting);
	if (!err)
		err = store_commit(target);
	return err ? err : seal(target, path, path_size);
}

/* ---- from another host ------------------------------------------------------------------------
 */

static int refuse(char reterr[static STORE_FILE_ERROR_SIZE], int err, const char *why)
{
	snprintf(reterr, STORE_FILE_ERROR_SIZE, "%s", why);
	return err;
}

/* Tables and their indices alone: what else there may be would run when a table is asked. */
static int check_schema(sqlite3 *database, char reterr[static STORE_FILE_ERROR_SIZE])
{
	int64_t others = 0;
	int err = database_number(database,
				  "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', "
				  "'index') OR sql LIKE 'CREATE VIRTUAL%'",
				  &others);

	if (err)
		return err;
	return others ? refuse(reterr, -EBADMSG,
			       "it holds views, triggers or virtual tables, which none of ours "
			       "does")
		      : 0;
}

static int check_file(struct span *span, char reterr[static STORE_FILE_ERROR_SIZE])
{
	char what[SCRUB_TEXT_SIZE] = "";
	sqlite3 *database = NULL;
	int err = connections_acquire(&span->connections, &database);

	if (err)
		return err;
	err = check_schema(database, reterr);
	if (!err)
		err = scrub_file(database, NULL, what);
	connections_release(&span->connections, database);
	if (error_is_damage(err) && !reterr[0])
		return refuse(reterr, -EBADMSG, what);
	return err;
}

static int open_span(struct store *store, const char *path, struct span **ret)
{
	struct str base = str_base_name(str_from(path));
	char folder[STORE_PATH_SIZE_MAX];
	size_t size = strlen(path) - base.size;

	if (size >= sizeof(folder))
		return -ENAMETOOLONG;
	snprintf(folder, sizeof(folder), "%.*s", size > 1 ? (int)size - 1 : (int)size,
		 size ? path : ".");
	return span_open(size ? folder : ".", base.text, &store->sources, ret);
}

static int find_sealed(const char *path, char reterr[static STORE_FILE_ERROR_SIZE])
{
	bool is_sealed = false;
	int err = span_file_is_sealed(path, &is_sealed);

	if (err == -EPROTONOSUPPORT)
		return refuse(
			reterr, err,
			"it was made by a later version of hearth, which this one can't read");
	if (error_is_damage(err))
		return refuse(reterr, -EBADMSG, "it is no span file of hearth's");
	if (!err && !is_sealed)
		return refuse(reterr, -EBUSY,
			      "it is a file that a store still writes; use hearth export");
	return err;
}

/* In the list of a store that has nothing else. */
static int open_alone(struct store *store, const char *path,
		      char reterr[static STORE_FILE_ERROR_SIZE])
{
	struct span *span = NULL;
	int err = find_sealed(path, reterr);

	if (!err)
		err = cache_new(STORE_CACHE_SIZE_MAX, &store->cache);
	if (!err && array_reserve(&store->spans.spans, 1) < 0)
		err = -ENOMEM;
	if (!err)
		err = open_span(store, path, &span);
	if (error_is_damage(err) && !reterr[0])
		return refuse(reterr, -EBADMSG, store_damage_text(err));
	if (err)
		return err;
	if (span->is_chronicle) {
		span_free(span);
		return refuse(reterr, -EBADMSG,
			      "it holds roll-ups: sums of what span files have, and no samples");
	}
	span->id = ++store->next_id;
	span->is_listed = true;
	store->spans.spans.items[store->spans.spans.count++] = span;
	return check_file(span, reterr);
}

int store_open_file(const char *path, struct store **ret, char reterr[static STORE_FILE_ERROR_SIZE])
{
	autoclean(store) struct store *store = calloc(1, sizeof(*store));

	reterr[0] = '\0';
	if (!store)
		return -ENOMEM;
	store_init(store);

	int err = open_alone(store, path, reterr);

	if (err)
		return err;
	*ret = TAKE(store);
	return 0;
}

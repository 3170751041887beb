/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of push.v1.PusherService/Push from HTTP on, as protobuf and JSON, packed and in frames
 * of gRPC: what is stored of it is in bounds, and said; and when the store fails in between, and
 * the same comes again, it is cut into the same numbered parts. The store is the linker's (--wrap).
 *
 * The first byte chooses the type (2 bits), the packing (2) and which part fails (3; 0: none).
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/table.h"
#include "store/batch_private.h"
#include "store/store.h"
#include "web/ingest.h"
#include "web/push.h"
#include "web/reply.h"
#include "web/retries.h"
#include "web/server.h"
#include "web/slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { TYPE_MASK = 3, CODING_SHIFT = 2, FAILS_SHIFT = 4, FAILS_MASK = 7, PART_COUNT_MAX = 64 };

/* What the writer was brought. */
static struct {
	uint64_t source, part_count;
	uint64_t fails_at;		 /* of the parts; 0: none does */
	uint64_t hashes[PART_COUNT_MAX]; /* of those that were stored */
	bool is_again;
} stored;

static bool is_open; /* --wrap knows no NULL */

int __wrap_ingest_add(struct ingest *ingest, struct batch *batch, bool commits);
int __wrap_ingest_commit_soon(struct ingest *ingest);
void __wrap_store_status(struct store *store, struct store_status *ret);
void __wrap_store_forget_source(struct store *store, uint64_t source);

/* All of it but the time, which may be that of its coming. */
static uint64_t hash_of(const struct batch *batch)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < batch->items.count; i++) {
		const struct batch_item *item = &batch->items.items[i];

		assert(item->series < pool_count(&batch->series));
		assert(item->labels < pool_count(&batch->label_sets));
		assert(item->stack < pool_count(&batch->stacks));
		assert(item->value > 0 && item->count > 0);
		hash = table_hash_bytes(item, sizeof(*item), hash);
	}
	for (uint32_t i = 0; i < pool_count(&batch->texts); i++) {
		struct str text = pool_get(&batch->texts, i);

		hash = table_hash_bytes(text.text, text.size, hash);
	}
	return hash;
}

int __wrap_ingest_add(struct ingest *ingest, struct batch *batch, bool commits)
{
	uint64_t number = batch->sequence;
	uint64_t hash = hash_of(batch);

	assert(ingest && !commits && batch->items.count > 0);
	assert(batch->time.start_unix_ms >= 0 &&
	       batch->time.end_unix_ms >= batch->time.start_unix_ms);
	assert(batch->source && (!stored.source || batch->source == stored.source));
	stored.source = batch->source;
	if (number <= stored.part_count) {
		assert(stored.is_again && number > 0);
		assert(number > PART_COUNT_MAX || stored.hashes[number - 1] == hash);
		return -EALREADY;
	}
	assert(number == stored.part_count + 1);
	if (number == stored.fails_at)
		return -ENOSPC;
	stored.part_count++;
	if (number <= PART_COUNT_MAX)
		stored.hashes[number - 1] = hash;
	return 0;
}

int __wrap_ingest_commit_soon(struct ingest *ingest)
{
	(void)ingest;
	return 0;
}

void __wrap_store_status(struct store *store, struct store_status *ret)
{
	(void)store;
	*ret = (struct store_status){ .state = STORE_OK };
}

void __wrap_store_forget_source(struct store *store, uint64_t source)
{
	(void)store;
	if (source == stored.source)
		stored.source = 0;
}

struct input {
	const uint8_t *next;
	size_t left;
};

static int64_t read_input(struct request *request, void *bytes, size_t size)
{
	struct input *input = request->body_context;

	if (size > input->left)
		size = input->left;
	if (size)
		memcpy(bytes, input->next, size);
	input->next += size;
	input->left -= size;
	return (int64_t)size;
}

/* Whether all of it was taken, or as much as will ever be. */
static int push(struct server *server, uint8_t choice, const uint8_t *bytes, size_t size)
{
	static const char *const types[] = { "application/proto", "application/json",
					     "application/grpc+proto",
					     "application/grpc-web+json" };
	static const char *const codings[] = { "identity", "gzip", "zstd", "snappy" };
	struct input input = { bytes, size };
	struct request request = {
		.version = HTTP_2,
		.headers = { { STR("content-type"), str_from(types[choice & TYPE_MASK]) },
			     { STR("content-encoding"),
			       str_from(codings[choice >> CODING_SHIFT & 3]) } },
		.header_count = 2,
		.read_body = read_input,
		.body_context = &input,
	};
	struct reply reply;
	int status;

	reply_init(&reply);
	push_profiles(server, &request, &reply);
	status = reply.status;
	/* What is refused is refused in words; and nothing else is said of what is taken. */
	assert(status == 200 ||
	       (reply.body.size > 2 && reply.body.bytes[reply.body.size - 1] == '}'));
	assert(status != 200 || reply.body.size <= 2);
	assert(!reply.body.error);
	reply_done(&reply);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct settings settings = { .data = "/tmp" };
	static struct server server = { .settings = &settings };
	int first, second;

	if (size == 0)
		return 0;
	if (!is_open) {
		log_set_level(LOG_LEVEL_ERROR);
		server.ingest = (struct ingest *)&is_open;
		if (slots_new(1, 1, &server.push_slots) || retries_new(NULL, &server.retries))
			abort();
		is_open = true;
	}
	memset(&stored, 0, sizeof(stored));
	stored.fails_at = bytes[0] >> FAILS_SHIFT & FAILS_MASK;
	first = push(&server, bytes[0], bytes + 1, size - 1);
	if (stored.fails_at == 0 || stored.source == 0)
		return 0;
	stored.fails_at = 0;
	stored.is_again = true;
	second = push(&server, bytes[0], bytes + 1, size - 1);
	assert(second == 200 || second == first || first == 503);
	return 0;
}

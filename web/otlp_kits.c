/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_kits.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "web/otlp_intake.h"
#include "web/otlp_reader.h"

struct otlp_kits {
	pthread_mutex_t lock;
	struct otlp_kit kits[OTLP_KIT_COUNT_MAX];
	struct buf bodies[OTLP_KIT_COUNT_MAX];
	size_t kit_count, body_count;
	size_t memory;
	uint64_t used_ns; /* monotonic */
};

static void kit_done(struct otlp_kit *kit)
{
	kit->reader = otlp_reader_free(kit->reader);
	kit->intake = otlp_intake_free(kit->intake);
}

static size_t kit_memory(const struct otlp_kit *kit)
{
	return (kit->reader ? otlp_reader_memory(kit->reader) : 0) +
	       (kit->intake ? otlp_intake_memory(kit->intake) : 0);
}

int otlp_kits_new(struct otlp_kits **ret)
{
	struct otlp_kits *kits = calloc(1, sizeof(*kits));

	if (!kits)
		return -ENOMEM;
	pthread_mutex_init(&kits->lock, NULL);
	*ret = kits;
	return 0;
}

static void let_go(struct otlp_kits *kits)
{
	while (kits->kit_count > 0)
		kit_done(&kits->kits[--kits->kit_count]);
	while (kits->body_count > 0)
		buf_done(&kits->bodies[--kits->body_count]);
	kits->memory = 0;
}

struct otlp_kits *otlp_kits_free(struct otlp_kits *kits)
{
	if (!kits)
		return NULL;
	let_go(kits);
	pthread_mutex_destroy(&kits->lock);
	free(kits);
	return NULL;
}

void otlp_kits_take(struct otlp_kits *kits, struct otlp_kit *ret)
{
	*ret = (struct otlp_kit){ 0 };
	if (!kits)
		return;
	pthread_mutex_lock(&kits->lock);
	if (kits->kit_count > 0) {
		*ret = kits->kits[--kits->kit_count];
		kits->memory -= kit_memory(ret);
	}
	pthread_mutex_unlock(&kits->lock);
}

void otlp_kits_give(struct otlp_kits *kits, struct otlp_kit *kit, uint64_t now_ns)
{
	size_t memory = kits ? kit_memory(kit) : 0;

	if (kits) {
		pthread_mutex_lock(&kits->lock);
		kits->used_ns = now_ns;
		if (memory <= OTLP_KIT_SIZE_MAX && kits->kit_count < OTLP_KIT_COUNT_MAX) {
			kits->kits[kits->kit_count++] = *kit;
			kits->memory += memory;
			*kit = (struct otlp_kit){ 0 };
		}
		pthread_mutex_unlock(&kits->lock);
	}
	kit_done(kit);
}

void otlp_kits_take_body(struct otlp_kits *kits, struct buf *ret)
{
	size_t limit = ret->limit;

	buf_done(ret);
	if (!kits)
		return;
	pthread_mutex_lock(&kits->lock);
	if (kits->body_count > 0) {
		*ret = kits->bodies[--kits->body_count];
		kits->memory -= ret->capacity;
		ret->limit = limit;
	}
	pthread_mutex_unlock(&kits->lock);
}

void otlp_kits_give_body(struct otlp_kits *kits, struct buf *body, uint64_t now_ns)
{
	size_t limit = body->limit;

	buf_clear(body);
	if (kits) {
		pthread_mutex_lock(&kits->lock);
		kits->used_ns = now_ns;
		if (body->capacity > 0 && body->capacity <= OTLP_BODY_MEMORY_MAX &&
		    kits->body_count < OTLP_KIT_COUNT_MAX) {
			kits->bodies[kits->body_count++] = *body;
			kits->memory += body->capacity;
			*body = BUF(limit);
		}
		pthread_mutex_unlock(&kits->lock);
	}
	buf_done(body);
}

void otlp_kits_tidy(struct otlp_kits *kits, uint64_t now_ns)
{
	const uint64_t idle_ns = (uint64_t)OTLP_KITS_IDLE_SECONDS * (uint64_t)CLOCK_NS_PER_S;

	if (!kits)
		return;
	pthread_mutex_lock(&kits->lock);
	if (now_ns > kits->used_ns + idle_ns)
		let_go(kits);
	pthread_mutex_unlock(&kits->lock);
}

size_t otlp_kits_memory(struct otlp_kits *kits)
{
	if (!kits)
		return 0;
	pthread_mutex_lock(&kits->lock);
	size_t memory = kits->memory;
	pthread_mutex_unlock(&kits->lock);
	return memory;
}

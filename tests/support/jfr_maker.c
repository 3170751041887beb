/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/jfr_maker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEADER_SIZE = 68,
	SIZE_SIZE = 4, /* of an event's size, which is known when it is over */
	TEXT_COUNT_MAX = 512,
	PACKED_BYTES = 9,
};

static void put_fixed(struct buf *buf, size_t place, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		buf->bytes[place + (size_t)i] = (uint8_t)(value >> (56 - 8 * i));
}

void jfr_make_number(struct jfr_maker *maker, uint64_t value)
{
	for (int i = 0; i < PACKED_BYTES - 1 && value >= 0x80; i++) {
		buf_add_u8(maker->buf, (uint8_t)(value | 0x80));
		value >>= 7;
	}
	buf_add_u8(maker->buf, (uint8_t)value);
}

void jfr_make_text(struct jfr_maker *maker, const char *text)
{
	enum { UTF8 = 3 };

	buf_add_u8(maker->buf, UTF8);
	jfr_make_number(maker, strlen(text));
	buf_add(maker->buf, text, strlen(text));
}

void jfr_make_chunk(struct jfr_maker *maker, struct buf *buf, int64_t start_ns,
		    uint64_t ticks_per_second)
{
	*maker = (struct jfr_maker){ .buf = buf, .chunk = buf->size };
	memset(buf_grow(buf, HEADER_SIZE), 0, HEADER_SIZE);
	memcpy(buf->bytes + maker->chunk, "FLR\0\0\2\0\1", 8);
	put_fixed(buf, maker->chunk + 8, 1 << 30);
	put_fixed(buf, maker->chunk + 32, (uint64_t)start_ns);
	put_fixed(buf, maker->chunk + 40, 1000000000);
	put_fixed(buf, maker->chunk + 56, ticks_per_second);
	buf->bytes[maker->chunk + 67] = 1;
}

void jfr_make_end(struct jfr_maker *maker)
{
	struct buf *buf = maker->buf;

	put_fixed(buf, maker->chunk + 8, buf->size - maker->chunk);
	put_fixed(buf, maker->chunk + 16, maker->constants ? maker->constants - maker->chunk : 1);
	put_fixed(buf, maker->chunk + 24, maker->metadata ? maker->metadata - maker->chunk : 1);
}

void jfr_make_event(struct jfr_maker *maker, uint64_t type)
{
	uint8_t *size;

	maker->event = maker->buf->size;
	size = buf_grow(maker->buf, SIZE_SIZE);
	if (size)
		memset(size, 0, SIZE_SIZE); /* as a JVM leaves it that comes no further */
	jfr_make_number(maker, type);
}

void jfr_make_event_end(struct jfr_maker *maker)
{
	size_t size = maker->buf->size - maker->event;

	for (unsigned i = 0; i < SIZE_SIZE; i++)
		maker->buf->bytes[maker->event + i] =
			(uint8_t)((size >> (7 * i) & 0x7f) | (i < SIZE_SIZE - 1 ? 0x80 : 0));
}

/* ---- metadata ---------------------------------------------------------------------------------
 */

struct texts {
	char texts[TEXT_COUNT_MAX][64];
	uint32_t count;
};

static uint32_t text_number(struct texts *texts, const char *text)
{
	for (uint32_t i = 0; i < texts->count; i++)
		if (strcmp(texts->texts[i], text) == 0)
			return i;
	assert(texts->count < TEXT_COUNT_MAX && strlen(text) < sizeof(texts->texts[0]));
	memcpy(texts->texts[texts->count], text, strlen(text) + 1);
	return texts->count++;
}

static uint64_t type_id(const struct jfr_made_type *types, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].id;
	return 0; /* which is no type's: somebody wants it so */
}

static void add_attribute(struct jfr_maker *maker, struct texts *texts, const char *name,
			  const char *value)
{
	jfr_make_number(maker, text_number(texts, name));
	jfr_make_number(maker, text_number(texts, value));
}

static void add_field(struct jfr_maker *maker, struct texts *texts,
		      const struct jfr_made_type *types, size_t count, const char *field)
{
	char name[64], type[64], first[16] = "", second[16] = "", id[24];
	int words = sscanf(field, "%63s %63s %15s %15s", name, type, first, second);
	bool is_pool = !strcmp(first, "pool") || !strcmp(second, "pool");
	bool is_array = !strcmp(first, "array") || !strcmp(second, "array");

	assert(words >= 2);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)type_id(types, count, type));
	jfr_make_number(maker, text_number(texts, "field"));
	jfr_make_number(maker, 2U + is_pool + is_array);
	add_attribute(maker, texts, "name", name);
	add_attribute(maker, texts, "class", id);
	if (is_pool)
		add_attribute(maker, texts, "constantPool", "true");
	if (is_array)
		add_attribute(maker, texts, "dimension", "1");
	jfr_make_number(maker, 0);
}

static void add_elements(struct jfr_maker *maker, struct texts *texts,
			 const struct jfr_made_type *types, size_t count)
{
	jfr_make_number(maker, text_number(texts, "root"));
	jfr_make_number(maker, 0);
	jfr_make_number(maker, 1);
	jfr_make_number(maker, text_number(texts, "metadata"));
	jfr_make_number(maker, 0);
	jfr_make_number(maker, count);
	for (size_t i = 0; i < count; i++) {
		uint64_t field_count = 0;
		char id[24];

		while (field_count < 16 && types[i].fields[field_count])
			field_count++;
		snprintf(id, sizeof(id), "%llu", (unsigned long long)types[i].id);
		jfr_make_number(maker, text_number(texts, "class"));
		jfr_make_number(maker, 2);
		add_attribute(maker, texts, "name", types[i].name);
		add_attribute(maker, texts, "id", id);
		jfr_make_number(maker, field_count);
		for (uint64_t j = 0; j < field_count; j++)
			add_field(maker, texts, types, count, types[i].fields[j]);
	}
}

void jfr_make_types(struct jfr_maker *maker, const struct jfr_made_type *types, size_t count)
{
	autofree struct texts *texts = calloc(1, sizeof(*texts));
	autoclean(buf) struct buf elements = BUF(1 << 20);
	struct jfr_maker other = { .buf = &elements };

	assert(texts);
	add_elements(&other, texts, types, count);
	maker->metadata = maker->buf->size;
	jfr_make_event(maker, 0);
	for (int i = 0; i < 3; i++) /* when, for how long, its id */
		jfr_make_number(maker, 1);
	jfr_make_number(maker, texts->count);
	for (uint32_t i = 0; i < texts->count; i++)
		jfr_make_text(maker, texts->texts[i]);
	buf_add(maker->buf, elements.bytes, elements.size);
	jfr_make_event_end(maker);
}

static const struct jfr_made_type all_types[] = {
	{ "long", MADE_LONG, { 0 } },
	{ "int", MADE_INT, { 0 } },
	{ "boolean", MADE_BOOLEAN, { 0 } },
	{ "java.lang.String", MADE_STRING, { 0 } },
	{ "java.lang.Thread",
	  MADE_THREAD,
	  { "osName java.lang.String", "osThreadId long", "javaName java.lang.String",
	    "javaThreadId long" } },
	{ "java.lang.Class", MADE_CLASS, { "name jdk.types.Symbol pool", "modifiers int" } },
	{ "jdk.types.Method",
	  MADE_METHOD,
	  { "type java.lang.Class pool", "name jdk.types.Symbol pool", "modifiers int",
	    "hidden boolean" } },
	{ "jdk.types.Symbol", MADE_SYMBOL, { "string java.lang.String" } },
	{ "jdk.types.StackTrace",
	  MADE_STACK_TRACE,
	  { "truncated boolean", "frames jdk.types.StackFrame array" } },
	{ "jdk.types.StackFrame",
	  MADE_STACK_FRAME,
	  { "method jdk.types.Method pool", "lineNumber int", "bytecodeIndex int",
	    "type jdk.types.FrameType pool" } },
	{ "jdk.types.FrameType", MADE_FRAME_TYPE, { "description java.lang.String" } },
	{ "jdk.types.ThreadState", MADE_THREAD_STATE, { "name java.lang.String" } },
	{ "jdk.ExecutionSample",
	  MADE_EXECUTION,
	  { "startTime long", "sampledThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "state jdk.types.ThreadState pool",
	    "contextId long", "spanId long", "spanName long" } },
	{ "jdk.NativeMethodSample",
	  MADE_NATIVE,
	  { "startTime long", "sampledThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "state jdk.types.ThreadState pool" } },
	{ "profiler.WallClockSample",
	  MADE_WALL,
	  { "startTime long", "sampledThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "state jdk.types.ThreadState pool",
	    "samples int", "timeSpan long" } },
	{ "jdk.ObjectAllocationInNewTLAB",
	  MADE_NEW_TLAB,
	  { "startTime long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "objectClass java.lang.Class pool",
	    "allocationSize long", "tlabSize long" } },
	{ "jdk.ObjectAllocationOutsideTLAB",
	  MADE_OUTSIDE_TLAB,
	  { "startTime long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "objectClass java.lang.Class pool",
	    "allocationSize long" } },
	{ "jdk.ObjectAllocationSample",
	  MADE_ALLOCATION,
	  { "startTime long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "objectClass java.lang.Class pool",
	    "weight long" } },
	{ "jdk.JavaMonitorEnter",
	  MADE_MONITOR,
	  { "startTime long", "duration long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "monitorClass java.lang.Class pool" } },
	{ "jdk.ThreadPark",
	  MADE_PARK,
	  { "startTime long", "duration long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool" } },
	{ "profiler.LiveObject",
	  MADE_LIVE,
	  { "startTime long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "allocationSize long" } },
	{ "profiler.Malloc",
	  MADE_MALLOC,
	  { "startTime long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "address long", "size long" } },
	{ "jdk.CPUTimeSample",
	  MADE_CPU_TIME,
	  { "startTime long", "eventThread java.lang.Thread pool",
	    "stackTrace jdk.types.StackTrace pool", "failed boolean", "samplingPeriod long",
	    "biased boolean" } },
	{ "jdk.ActiveSetting",
	  MADE_SETTING,
	  { "startTime long", "id long", "name java.lang.String", "value java.lang.String" } },
};

void jfr_make_metadata(struct jfr_maker *maker)
{
	jfr_make_types(maker, all_types, sizeof(all_types) / sizeof(all_types[0]));
}

/* ---- constants --------------------------------------------------------------------------------
 */

void jfr_make_constants(struct jfr_maker *maker, uint64_t pool_count)
{
	maker->constants = maker->buf->size;
	jfr_make_event(maker, 1);
	for (int i = 0; i < 3; i++) /* when, for how long, how far back the ones before are */
		jfr_make_number(maker, 0);
	buf_add_u8(maker->buf, 1);
	jfr_make_number(maker, pool_count);
}

void jfr_make_pool(struct jfr_maker *maker, uint64_t type, uint64_t constant_count)
{
	jfr_make_number(maker, type);
	jfr_make_number(maker, constant_count);
}

static void make_named(struct jfr_maker *maker, uint64_t type, const char *first,
		       const char *second)
{
	jfr_make_pool(maker, type, 2);
	jfr_make_number(maker, 1);
	jfr_make_text(maker, first);
	jfr_make_number(maker, 2);
	jfr_make_text(maker, second);
}

static void make_threads(struct jfr_maker *maker)
{
	jfr_make_pool(maker, MADE_THREAD, 2);
	jfr_make_number(maker, 1);
	jfr_make_text(maker, "main-os");
	jfr_make_number(maker, 100);
	jfr_make_text(maker, "main");
	jfr_make_number(maker, 1);
	jfr_make_number(maker, 2);
	jfr_make_text(maker, "worker");
	jfr_make_number(maker, 101);
	buf_add_u8(maker->buf, 0); /* no text */
	jfr_make_number(maker, 0);
}

static void make_methods(struct jfr_maker *maker, uint32_t method_count)
{
	jfr_make_pool(maker, MADE_SYMBOL, (uint64_t)method_count + 1);
	jfr_make_number(maker, 1);
	jfr_make_text(maker, "C");
	for (uint32_t i = 0; i < method_count; i++) {
		char name[24];

		snprintf(name, sizeof(name), "m%u", i);
		jfr_make_number(maker, i + 2);
		jfr_make_text(maker, name);
	}
	jfr_make_pool(maker, MADE_CLASS, 1);
	jfr_make_number(maker, 1);
	jfr_make_number(maker, 1);
	jfr_make_number(maker, 0);
	jfr_make_pool(maker, MADE_METHOD, method_count);
	for (uint32_t i = 0; i < method_count; i++) {
		jfr_make_number(maker, i + 1);
		jfr_make_number(maker, 1);
		jfr_make_number(maker, i + 2);
		jfr_make_number(maker, 0);
		buf_add_u8(maker->buf, 0);
	}
}

static void make_frame_types(struct jfr_maker *maker)
{
	static const char *const names[] = { [MADE_COMPILED] = "JIT compiled",
					     [MADE_KERNEL] = "Kernel",
					     [MADE_INLINED] = "Inlined",
					     [MADE_INTERPRETED] = "Interpreted",
					     [MADE_LIBRARY] = "C++" };

	jfr_make_pool(maker, MADE_FRAME_TYPE, MADE_LIBRARY);
	for (uint32_t i = MADE_COMPILED; i <= MADE_LIBRARY; i++) {
		jfr_make_number(maker, i);
		jfr_make_text(maker, names[i]);
	}
}

void jfr_make_pools(struct jfr_maker *maker, uint32_t method_count, uint32_t stack_count,
		    uint32_t (*frame)(uint32_t stack, uint32_t depth, uint32_t *ret_depth_count))
{
	jfr_make_constants(maker, 7);
	make_frame_types(maker);
	make_named(maker, MADE_THREAD_STATE, "STATE_RUNNABLE", "STATE_SLEEPING");
	make_threads(maker);
	make_methods(maker, method_count);
	jfr_make_pool(maker, MADE_STACK_TRACE, stack_count);
	for (uint32_t i = 0; i < stack_count; i++) {
		uint32_t count = 0;

		(void)frame(i, 0, &count);
		jfr_make_number(maker, i + 1);
		buf_add_u8(maker->buf, 0);
		jfr_make_number(maker, count);
		for (uint32_t depth = 0; depth < count; depth++) {
			jfr_make_number(maker, frame(i, depth, &count) + 1);
			jfr_make_number(maker, 10 + depth);
			jfr_make_number(maker, 3 * depth);
			jfr_make_number(maker,
					maker->type_of ? maker->type_of(i, depth) : MADE_COMPILED);
		}
	}
	jfr_make_event_end(maker);
}

void jfr_make_execution(struct jfr_maker *maker, uint64_t thread, uint64_t stack, uint64_t state)
{
	jfr_make_event(maker, MADE_EXECUTION);
	jfr_make_number(maker, 123456789);
	jfr_make_number(maker, thread);
	jfr_make_number(maker, stack);
	jfr_make_number(maker, state);
	for (int i = 0; i < 3; i++) /* context, span, its name */
		jfr_make_number(maker, 0);
	jfr_make_event_end(maker);
}

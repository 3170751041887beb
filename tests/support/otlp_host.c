/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/otlp_host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/array.h"
#include "store/pool.h"
#include "tests/support/generator.h"
#include "tests/support/pprof_maker.h"

enum {
	SERVICE_COUNT = 400,
	PROCESS_COUNT = 3000,
	CPU_COUNT = 64,
	FREQUENCY_HZ = 97,
	ENTRY_COUNT_MAX = 1 << 22,
	MESSAGE_SIZE_MAX = 64 << 10,
	REQUEST_SIZE_MAX = 256 << 20,
	DEPTH_MAX = 1024,
	KERNEL_FUNCTION_SIZE = 256, /* bytes that go by one name */
};

/* Tables of the dictionary, by their fields. */
enum {
	MAPPINGS = 1,
	LOCATIONS = 2,
	FUNCTIONS = 3,
	LINKS = 4,
	STRINGS = 5,
	ATTRIBUTES = 6,
	STACKS = 7,
	TABLE_COUNT,
};

struct sample_key {
	uint32_t process, stack, attributes[3];
};

struct event {
	uint32_t sample;
	uint32_t zero;
	uint64_t time_unix_ns;
};

struct otlp_host {
	struct generator *generator;
	struct pool tables[TABLE_COUNT]; /* of messages, or of strings */
	struct pool samples;		 /* struct sample_key */
	struct pool processes;		 /* resources */
	ARRAY(struct event) events;
	uint64_t frames;
};

int otlp_host_new(uint64_t seed, uint32_t samples_per_second, int64_t start_unix_ns,
		  struct otlp_host **ret)
{
	autoclean(otlp_host) struct otlp_host *host = calloc(1, sizeof(*host));
	struct generator_options options = { .seed = seed,
					     .service_count = SERVICE_COUNT,
					     .process_count = PROCESS_COUNT,
					     .samples_per_window = samples_per_second,
					     .cpu_count = CPU_COUNT,
					     .frequency_hz = FREQUENCY_HZ,
					     .start_unix_ns = start_unix_ns };
	int err;

	if (!host)
		return -ENOMEM;
	for (int i = 0; i < TABLE_COUNT; i++)
		pool_init(&host->tables[i], ENTRY_COUNT_MAX, NULL);
	pool_init(&host->samples, ENTRY_COUNT_MAX, NULL);
	pool_init(&host->processes, ENTRY_COUNT_MAX, NULL);
	err = generator_new(&options, &host->generator);
	if (err)
		return err;
	*ret = TAKE(host);
	return 0;
}

struct otlp_host *otlp_host_free(struct otlp_host *host)
{
	if (!host)
		return NULL;
	generator_free(host->generator);
	for (int i = 0; i < TABLE_COUNT; i++)
		pool_done(&host->tables[i]);
	pool_done(&host->samples);
	pool_done(&host->processes);
	array_done(&host->events);
	free(host);
	return NULL;
}

/* ---- the dictionary ---------------------------------------------------------------------------
 */

static uint32_t add(struct pool *pool, const void *bytes, size_t size)
{
	int64_t number = pool_add(pool, bytes, size);

	assert(number >= 0);
	return (uint32_t)number;
}

static uint32_t add_entry(struct otlp_host *host, int table, const struct buf *message)
{
	assert(message->error == 0);
	return add(&host->tables[table], message->size ? message->bytes : (const uint8_t *)"",
		   message->size);
}

static uint32_t add_text(struct otlp_host *host, const char *text)
{
	return add(&host->tables[STRINGS], text, strlen(text));
}

static void put(struct buf *buf, unsigned field, const struct buf *part)
{
	pprof_sized(buf, field, (struct str){ (const char *)part->bytes, part->size });
}

static uint32_t add_attribute(struct otlp_host *host, const char *key, const char *text,
			      uint64_t number)
{
	autoclean(buf) struct buf value = BUF(MESSAGE_SIZE_MAX);
	autoclean(buf) struct buf attribute = BUF(MESSAGE_SIZE_MAX);

	if (text)
		pprof_sized(&value, 1, str_from(text));
	else
		pprof_number(&value, 3, number);
	pprof_number(&attribute, 1, add_text(host, key));
	put(&attribute, 2, &value);
	return add_entry(host, ATTRIBUTES, &attribute);
}

/* Entry 0 of each table is nothing. */
static void begin(struct otlp_host *host)
{
	for (int i = MAPPINGS; i < TABLE_COUNT; i++) {
		pool_clear(&host->tables[i]);
		(void)add(&host->tables[i], "", 0);
	}
	pool_clear(&host->samples);
	pool_clear(&host->processes);
	host->events.count = 0;
	host->frames = 0;
}

static uint32_t add_mapping(struct otlp_host *host, const struct window_file *file)
{
	autoclean(buf) struct buf mapping = BUF(MESSAGE_SIZE_MAX);
	char path[512], id[2 * IDENTITY_SIZE_MAX + 1] = "";
	uint64_t attribute;

	for (unsigned i = 0; i < file->identity.size; i++)
		snprintf(id + 2 * i, 3, "%02x", file->identity.bytes[i]);
	snprintf(path, sizeof(path), "%.*s", STR_PRINT(str_base_name(file->path)));
	attribute = add_attribute(host, "process.executable.build_id.gnu", id, 0);
	pprof_number(&mapping, 2, UINT64_C(1) << 32);
	pprof_number(&mapping, 4, add_text(host, path));
	pprof_list(&mapping, 5, &attribute, 1);
	return add_entry(host, MAPPINGS, &mapping);
}

static uint32_t add_location(struct otlp_host *host, const struct window_frame *frame,
			     const uint32_t *mappings)
{
	autoclean(buf) struct buf location = BUF(MESSAGE_SIZE_MAX);
	bool is_kernel = frame->kind == FRAME_KERNEL;
	uint64_t attribute =
		add_attribute(host, "profile.frame.type", is_kernel ? "kernel" : "native", 0);

	if (is_kernel) {
		autoclean(buf) struct buf function = BUF(MESSAGE_SIZE_MAX);
		autoclean(buf) struct buf line = BUF(MESSAGE_SIZE_MAX);
		char name[64];

		snprintf(name, sizeof(name), "kernel_function_%llx",
			 (unsigned long long)(frame->address / KERNEL_FUNCTION_SIZE & 0xffffff));
		pprof_number(&function, 1, add_text(host, name));
		pprof_number(&line, 1, add_entry(host, FUNCTIONS, &function));
		put(&location, 3, &line);
	} else {
		assert(frame->kind == FRAME_FILE);
		pprof_number(&location, 1, mappings[frame->reference]);
	}
	pprof_number(&location, 2,
		     (frame->address & 0xffffffff) - (frame->position == FRAME_RETURN));
	pprof_list(&location, 4, &attribute, 1);
	return add_entry(host, LOCATIONS, &location);
}

static uint32_t add_stack(struct otlp_host *host, const struct window *window, uint32_t number,
			  const uint32_t *mappings)
{
	const struct window_stack *stack = &window->stacks[number];
	autoclean(buf) struct buf message = BUF(MESSAGE_SIZE_MAX);
	uint64_t places[DEPTH_MAX];
	uint32_t before = pool_count(&host->tables[STACKS]);
	uint32_t added;

	assert(stack->frame_count <= DEPTH_MAX);
	for (uint32_t i = 0; i < stack->frame_count; i++)
		places[i] = add_location(host, &window->frames[stack->first_frame + i], mappings);
	pprof_list(&message, 1, places, stack->frame_count);
	added = add_entry(host, STACKS, &message);
	if (added == before)
		host->frames += stack->frame_count;
	return added;
}

/* ---- samples ----------------------------------------------------------------------------------
 */

static void add_key_value(struct buf *resource, const char *key, struct str text, uint64_t number)
{
	autoclean(buf) struct buf value = BUF(MESSAGE_SIZE_MAX);
	autoclean(buf) struct buf pair = BUF(MESSAGE_SIZE_MAX);

	if (text.size > 0)
		pprof_sized(&value, 1, text);
	else
		pprof_number(&value, 3, number);
	pprof_sized(&pair, 1, str_from(key));
	put(&pair, 2, &value);
	put(resource, 1, &pair);
}

static uint32_t add_process(struct otlp_host *host, const struct window_process *process)
{
	autoclean(buf) struct buf resource = BUF(MESSAGE_SIZE_MAX);

	add_key_value(&resource, "process.pid", (struct str){ 0 }, process->key.pid);
	add_key_value(&resource, "process.executable.name", process->name, 0);
	return add(&host->processes, resource.bytes, resource.size);
}

static void add_window(struct otlp_host *host, const struct window *window)
{
	uint64_t start_ns = window->start_boot_ns + (uint64_t)window->boot_to_unix_ns;
	autofree uint32_t *mappings = calloc(window->file_count + 1, sizeof(mappings[0]));

	assert(mappings);
	for (uint32_t i = 0; i < window->file_count; i++)
		mappings[i] = add_mapping(host, &window->files[i]);
	for (uint32_t i = 0; i < window->entry_count; i++) {
		const struct window_entry *entry = &window->entries[i];
		const struct window_thread *thread = &window->threads[entry->thread];
		struct sample_key key = {
			.process = add_process(host, &window->processes[thread->process]),
			.stack = add_stack(host, window, entry->stack, mappings),
		};
		char name[64];

		snprintf(name, sizeof(name), "%.*s", STR_PRINT(thread->name));
		key.attributes[0] = add_attribute(host, "thread.name", name, 0);
		key.attributes[1] = add_attribute(host, "thread.id", NULL, thread->tid);
		key.attributes[2] =
			add_attribute(host, "cpu.logical_number", NULL, thread->tid % CPU_COUNT);
		for (uint32_t k = 0; k < entry->count; k++) {
			struct event event = {
				.sample = add(&host->samples, &key, sizeof(key)),
				.time_unix_ns = start_ns + window->times_ms[entry->first_time + k] *
								   (uint64_t)CLOCK_NS_PER_MS,
			};

			assert(array_reserve(&host->events, 1) >= 0);
			host->events.items[host->events.count++] = event;
		}
	}
}

static int compare_events(const void *a, const void *b, void *context)
{
	const struct pool *samples = context;
	const struct event *x = a, *y = b;
	struct sample_key of_x, of_y;

	memcpy(&of_x, pool_get(samples, x->sample).text, sizeof(of_x));
	memcpy(&of_y, pool_get(samples, y->sample).text, sizeof(of_y));
	if (of_x.process != of_y.process)
		return of_x.process < of_y.process ? -1 : 1;
	if (x->sample != y->sample)
		return x->sample < y->sample ? -1 : 1;
	return (x->time_unix_ns > y->time_unix_ns) - (x->time_unix_ns < y->time_unix_ns);
}

/* The events first … end are of one sample. */
static void put_sample(const struct otlp_host *host, uint32_t first, uint32_t end,
		       struct buf *profile)
{
	autoclean(buf) struct buf sample = BUF(REQUEST_SIZE_MAX);
	struct sample_key key;
	uint64_t attributes[3];

	memcpy(&key, pool_get(&host->samples, host->events.items[first].sample).text, sizeof(key));
	for (int i = 0; i < 3; i++)
		attributes[i] = key.attributes[i];
	pprof_number(&sample, 1, key.stack);
	pprof_list(&sample, 2, attributes, 3);
	buf_add_varint(&sample, 5 << 3 | 2);
	buf_add_varint(&sample, 8 * (uint64_t)(end - first));
	for (uint32_t i = first; i < end; i++)
		buf_add_u64(&sample, host->events.items[i].time_unix_ns);
	put(profile, 2, &sample);
}

static uint32_t process_of(const struct otlp_host *host, uint32_t event)
{
	struct sample_key key;

	memcpy(&key, pool_get(&host->samples, host->events.items[event].sample).text, sizeof(key));
	return key.process;
}

static void put_type(struct otlp_host *host, unsigned field, const char *type, const char *unit,
		     struct buf *profile)
{
	autoclean(buf) struct buf message = BUF(MESSAGE_SIZE_MAX);

	pprof_number(&message, 1, add_text(host, type));
	pprof_number(&message, 2, add_text(host, unit));
	put(profile, field, &message);
}

/* The events first … end are of one process. */
static void put_process(struct otlp_host *host, uint32_t first, uint32_t end, uint64_t start_ns,
			uint64_t duration_ns, struct buf *request)
{
	autoclean(buf) struct buf profile = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf scope = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf all = BUF(REQUEST_SIZE_MAX);
	autoclean(buf) struct buf name = BUF(MESSAGE_SIZE_MAX);
	struct str resource = pool_get(&host->processes, process_of(host, first));

	put_type(host, 1, "samples", "count", &profile);
	for (uint32_t i = first, k = first + 1; k <= end; k++)
		if (k == end || host->events.items[k].sample != host->events.items[i].sample) {
			put_sample(host, i, k, &profile);
			i = k;
		}
	buf_add_u8(&profile, 3 << 3 | 1);
	buf_add_u64(&profile, start_ns);
	pprof_number(&profile, 4, duration_ns);
	put_type(host, 5, "cpu", "nanoseconds", &profile);
	pprof_number(&profile, 6, CLOCK_NS_PER_S / FREQUENCY_HZ);
	pprof_sized(&name, 1, STR("go.opentelemetry.io/ebpf-profiler"));
	pprof_sized(&name, 2, STR("v0.0.0"));
	put(&scope, 1, &name);
	put(&scope, 2, &profile);
	pprof_sized(&scope, 3, STR("https://opentelemetry.io/schemas/1.37.0"));
	pprof_sized(&all, 1, resource);
	put(&all, 2, &scope);
	pprof_sized(&all, 3, STR("https://opentelemetry.io/schemas/1.37.0"));
	assert(all.error == 0);
	put(request, 1, &all);
}

static void put_dictionary(const struct otlp_host *host, struct buf *request)
{
	autoclean(buf) struct buf tables = BUF(REQUEST_SIZE_MAX);

	for (int table = MAPPINGS; table < TABLE_COUNT; table++)
		for (uint32_t i = 0; i < pool_count(&host->tables[table]); i++)
			pprof_sized(&tables, (unsigned)table, pool_get(&host->tables[table], i));
	assert(tables.error == 0);
	put(request, 2, &tables);
}

struct otlp_host_totals otlp_host_next(struct otlp_host *host, unsigned seconds,
				       struct buf *request)
{
	uint64_t start_ns = 0;

	begin(host);
	for (unsigned second = 0; second < seconds; second++) {
		const struct window *window = generator_next(host->generator);

		if (second == 0)
			start_ns = window->start_boot_ns + (uint64_t)window->boot_to_unix_ns;
		add_window(host, window);
	}
	qsort_r(host->events.items, host->events.count, sizeof(host->events.items[0]),
		compare_events, &host->samples);
	for (uint32_t i = 0, k = 1; i < host->events.count; k++)
		if (k == host->events.count || process_of(host, k) != process_of(host, i)) {
			put_process(host, i, k, start_ns, seconds * (uint64_t)CLOCK_NS_PER_S,
				    request);
			i = k;
		}
	put_dictionary(host, request);
	assert(request->error == 0);
	return (struct otlp_host_totals){ .samples = pool_count(&host->samples),
					  .events = host->events.count,
					  .stacks = pool_count(&host->tables[STACKS]),
					  .frames = host->frames };
}

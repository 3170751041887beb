/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/random_window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"

enum { TEXT_SIZE_MAX = 24, COUNT_MAX = 12, TEXTS_SIZE = 1 << 16 };

struct source {
	uint64_t random;
	char *texts;
	size_t text_size;
};

static uint64_t next_random(struct source *source)
{
	uint64_t x = source->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint32_t below(struct source *source, uint32_t count)
{
	return (uint32_t)(next_random(source) % count);
}

/* Small ones, large ones, and the ends of the range. */
static uint64_t any_u64(struct source *source)
{
	uint64_t value = next_random(source);

	return below(source, 8) == 0 ? UINT64_MAX : value >> below(source, 64);
}

static struct str any_text(struct source *source)
{
	size_t size = below(source, TEXT_SIZE_MAX + 1);
	char *text = source->texts + source->text_size;

	assert(source->text_size + size <= TEXTS_SIZE);
	for (size_t i = 0; i < size; i++)
		text[i] = (char)next_random(source);
	source->text_size += size;
	return size ? (struct str){ text, size } : (struct str){ 0 };
}

static void *array(uint32_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	assert(memory);
	return memory;
}

static void fill_processes(struct source *s, struct window *w)
{
	for (uint32_t i = 0; i < w->file_count; i++) {
		struct identity *identity = &w->files[i].identity;

		identity->kind = (uint8_t)(1 + below(s, IDENTITY_KERNEL_RELEASE));
		identity->size = (uint8_t)(1 + below(s, IDENTITY_SIZE_MAX));
		for (unsigned byte = 0; byte < identity->size; byte++)
			identity->bytes[byte] = (uint8_t)next_random(s);
		w->files[i].path = any_text(s);
	}
	for (uint32_t i = 0; i < w->process_count; i++)
		w->processes[i] = (struct window_process){
			.key = { .pid = (uint32_t)any_u64(s),
				 .exec_generation = (uint32_t)any_u64(s),
				 .start_boot_ns = any_u64(s) >> 8 },
			.namespace_pid = (uint32_t)any_u64(s),
			.executable_file = w->file_count && below(s, 2) ? below(s, w->file_count)
									: (uint32_t)WINDOW_NONE,
			.exit_boot_ns = any_u64(s) >> 8,
			.is_kernel_thread = below(s, 2),
			.name = any_text(s),
			.comm = any_text(s),
			.executable = any_text(s),
			.script = any_text(s),
			.cgroup = any_text(s),
		};
	for (uint32_t i = 0; i < w->thread_count; i++)
		w->threads[i] = (struct window_thread){ .process = below(s, w->process_count),
							.tid = (uint32_t)any_u64(s),
							.name = any_text(s) };
	for (uint32_t i = 0; i < w->name_count; i++)
		w->names[i] = (struct window_name){ .function = any_text(s),
						    .file = any_text(s),
						    .line = (uint32_t)any_u64(s) };
}

static struct window_frame any_frame(struct source *s, const struct window *w, bool in_kernel)
{
	struct window_frame frame = { .address = any_u64(s),
				      .kind = FRAME_KERNEL,
				      .position = (uint8_t)below(s, FRAME_INTERRUPTED + 1) };

	if (in_kernel)
		return frame;
	frame.kind = (uint8_t)(FRAME_FILE + below(s, FRAME_UNMAPPED - FRAME_KERNEL));
	if (frame.kind == FRAME_FILE && w->file_count)
		frame.reference = below(s, w->file_count);
	else if (frame.kind == FRAME_NAMED && w->name_count)
		frame.reference = below(s, w->name_count);
	else if (frame.kind == FRAME_RUNTIME)
		frame.reference = (uint32_t)any_u64(s);
	else
		frame.kind = FRAME_UNMAPPED;
	return frame;
}

static void fill_stacks(struct source *s, struct window *w, uint32_t frame_room)
{
	for (uint32_t i = 0; i < w->stack_count; i++) {
		uint32_t kernel_count = below(s, 4), user_count = below(s, 8);

		assert(w->frame_count + kernel_count + user_count <= frame_room);
		w->stacks[i] = (struct window_stack){ .first_frame = w->frame_count,
						      .frame_count = kernel_count + user_count,
						      .verdict = (uint8_t)below(s, VERDICT_COUNT),
						      .has_frame_pointer_steps = below(s, 2) };
		for (uint32_t k = 0; k < kernel_count + user_count; k++)
			w->frames[w->frame_count++] = any_frame(s, w, k < kernel_count);
	}
}

static void fill_entries(struct source *s, struct window *w)
{
	for (uint32_t i = 0; i < w->entry_count; i++) {
		struct window_entry *entry = &w->entries[i];
		uint16_t time_ms = 0;

		*entry = (struct window_entry){ .thread = below(s, w->thread_count),
						.stack = below(s, w->stack_count),
						.event = EVENT_CPU,
						.count = 1 + below(s, 5),
						.weight = any_u64(s) >> 16,
						.first_time = w->time_count };
		for (uint32_t k = 0; k < entry->count; k++) {
			time_ms = (uint16_t)(time_ms + below(s, 200));
			w->times_ms[w->time_count++] = time_ms;
		}
		w->sample_count += entry->count;
	}
}

struct window *random_window(uint64_t seed)
{
	struct source source = { .random = seed, .texts = array(TEXTS_SIZE, 1) };
	struct source *s = &source;
	struct window *w = array(1, sizeof(*w));

	w->memory = source.texts;
	w->collector = next_random(s) | 1;
	w->sequence = 1 + (any_u64(s) >> 1);
	for (unsigned i = 0; i < sizeof(w->boot_id); i++)
		w->boot_id[i] = (uint8_t)next_random(s);
	w->start_boot_ns = any_u64(s) >> 3;
	w->end_boot_ns = w->start_boot_ns + UINT64_C(1100) * CLOCK_NS_PER_MS;
	w->boot_to_unix_ns = (int64_t)(next_random(s) >> 2) * (below(s, 2) ? 1 : -1);
	w->frequency_hz = 1 + below(s, 20000);
	w->cpu_count = 1 + below(s, 1024);
	w->gap = (uint8_t)below(s, GAP_REASON_COUNT);
	for (unsigned i = 0; i < LOSS_KIND_COUNT; i++)
		w->losses[i] = any_u64(s);
	for (unsigned i = 0; i < WALK_FIGURE_COUNT; i++)
		w->walk_figures[i] = any_u64(s);

	w->file_count = below(s, COUNT_MAX);
	w->process_count = below(s, COUNT_MAX);
	w->thread_count = w->process_count ? below(s, COUNT_MAX) : 0;
	w->name_count = below(s, COUNT_MAX);
	w->stack_count = below(s, COUNT_MAX);
	w->entry_count = w->thread_count && w->stack_count ? below(s, 4 * COUNT_MAX) : 0;
	w->files = array(w->file_count, sizeof(w->files[0]));
	w->processes = array(w->process_count, sizeof(w->processes[0]));
	w->threads = array(w->thread_count, sizeof(w->threads[0]));
	w->names = array(w->name_count, sizeof(w->names[0]));
	w->stacks = array(w->stack_count, sizeof(w->stacks[0]));
	w->frames = array(w->stack_count * 16, sizeof(w->frames[0]));
	w->entries = array(w->entry_count, sizeof(w->entries[0]));
	w->times_ms = array(w->entry_count * 5, sizeof(w->times_ms[0]));
	fill_processes(s, w);
	fill_stacks(s, w, w->stack_count * 16);
	fill_entries(s, w);
	return w;
}

struct window *random_window_free(struct window *window)
{
	if (!window)
		return NULL;

	free(window->files);
	free(window->processes);
	free(window->threads);
	free(window->names);
	free(window->stacks);
	free(window->frames);
	free(window->entries);
	free(window->times_ms);
	free(window->memory);
	free(window);
	return NULL;
}

static bool same_processes(const struct window *a, const struct window *b)
{
	for (uint32_t i = 0; i < a->process_count; i++) {
		const struct window_process *p = &a->processes[i], *q = &b->processes[i];

		if (p->key.pid != q->key.pid || p->key.exec_generation != q->key.exec_generation ||
		    p->key.start_boot_ns != q->key.start_boot_ns ||
		    p->namespace_pid != q->namespace_pid ||
		    p->executable_file != q->executable_file ||
		    p->exit_boot_ns != q->exit_boot_ns ||
		    p->is_kernel_thread != q->is_kernel_thread || !str_equal(p->name, q->name) ||
		    !str_equal(p->comm, q->comm) || !str_equal(p->executable, q->executable) ||
		    !str_equal(p->script, q->script) || !str_equal(p->cgroup, q->cgroup))
			return false;
	}
	return true;
}

static bool same_texts(const struct window *a, const struct window *b)
{
	for (uint32_t i = 0; i < a->thread_count; i++)
		if (a->threads[i].process != b->threads[i].process ||
		    a->threads[i].tid != b->threads[i].tid ||
		    !str_equal(a->threads[i].name, b->threads[i].name))
			return false;
	for (uint32_t i = 0; i < a->file_count; i++)
		if (!identity_equal(&a->files[i].identity, &b->files[i].identity) ||
		    !str_equal(a->files[i].path, b->files[i].path))
			return false;
	for (uint32_t i = 0; i < a->name_count; i++)
		if (!str_equal(a->names[i].function, b->names[i].function) ||
		    !str_equal(a->names[i].file, b->names[i].file) ||
		    a->names[i].line != b->names[i].line)
			return false;
	return true;
}

static bool same_stacks(const struct window *a, const struct window *b)
{
	for (uint32_t i = 0; i < a->stack_count; i++) {
		const struct window_stack *p = &a->stacks[i], *q = &b->stacks[i];

		if (p->frame_count != q->frame_count || p->verdict != q->verdict ||
		    p->has_frame_pointer_steps != q->has_frame_pointer_steps)
			return false;
		for (uint32_t k = 0; k < p->frame_count; k++) {
			const struct window_frame *f = &a->frames[p->first_frame + k];
			const struct window_frame *g = &b->frames[q->first_frame + k];

			if (f->address != g->address || f->reference != g->reference ||
			    f->kind != g->kind || f->position != g->position)
				return false;
		}
	}
	return true;
}

static bool same_entries(const struct window *a, const struct window *b)
{
	for (uint32_t i = 0; i < a->entry_count; i++) {
		const struct window_entry *p = &a->entries[i], *q = &b->entries[i];

		if (p->thread != q->thread || p->stack != q->stack || p->event != q->event ||
		    p->count != q->count || p->weight != q->weight ||
		    memcmp(a->times_ms + p->first_time, b->times_ms + q->first_time,
			   p->count * sizeof(a->times_ms[0])) != 0)
			return false;
	}
	return true;
}

const char *window_difference(const struct window *a, const struct window *b)
{
	if (a->collector != b->collector || a->sequence != b->sequence ||
	    memcmp(a->boot_id, b->boot_id, sizeof(a->boot_id)) != 0 ||
	    a->start_boot_ns != b->start_boot_ns || a->end_boot_ns != b->end_boot_ns ||
	    a->boot_to_unix_ns != b->boot_to_unix_ns || a->frequency_hz != b->frequency_hz ||
	    a->cpu_count != b->cpu_count || a->gap != b->gap ||
	    a->sample_count != b->sample_count ||
	    memcmp(a->losses, b->losses, sizeof(a->losses)) != 0 ||
	    memcmp(a->walk_figures, b->walk_figures, sizeof(a->walk_figures)) != 0)
		return "head";
	if (a->process_count != b->process_count || a->thread_count != b->thread_count ||
	    a->file_count != b->file_count || a->name_count != b->name_count ||
	    a->stack_count != b->stack_count || a->entry_count != b->entry_count)
		return "counts";
	if (!same_processes(a, b))
		return "processes";
	if (!same_texts(a, b))
		return "threads, files or names";
	if (!same_stacks(a, b))
		return "stacks";
	return same_entries(a, b) ? NULL : "entries";
}

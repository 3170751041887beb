/* SPDX-License-Identifier: Apache-2.0 */
#include "base/window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

/*
 * The bytes: a version, fixed numbers, then each array with its count in front, in varints. Numbers
 * that grow are written as differences. Indexes that may be absent are written one higher, 0 for
 * none.
 */
enum { WINDOW_VERSION = 2, VERSION_WITHOUT_WALKS = 1 };

/* The least bytes that one item of each array takes: what a count is checked against. */
enum {
	PROCESS_SIZE_MIN = 12,
	THREAD_SIZE_MIN = 3,
	FILE_SIZE_MIN = 3,
	NAME_SIZE_MIN = 3,
	FRAME_SIZE_MIN = 2,
	STACK_SIZE_MIN = 2,
	ENTRY_SIZE_MIN = 5,
	TIME_SIZE_MIN = 1,
};

/* ---- to bytes -----------------------------------------------------------------------------------
 */

/* Cut rather than refused by the other end, and the window with it. */
static void encode_text(struct buf *buf, struct str text)
{
	if (text.size > WINDOW_TEXT_SIZE_MAX)
		text.size = WINDOW_TEXT_SIZE_MAX;
	buf_add_sized(buf, text);
}

static void encode_processes(const struct window *w, struct buf *buf)
{
	buf_add_varint(buf, w->process_count);
	for (uint32_t i = 0; i < w->process_count; i++) {
		const struct window_process *p = &w->processes[i];

		assert(p->executable_file == WINDOW_NONE || p->executable_file < w->file_count);
		buf_add_varint(buf, p->key.pid);
		buf_add_varint(buf, p->key.exec_generation);
		buf_add_varint(buf, p->key.start_boot_ns);
		buf_add_varint(buf, p->namespace_pid);
		buf_add_varint(buf, p->executable_file == WINDOW_NONE ? 0 : p->executable_file + 1);
		buf_add_varint(buf, p->exit_boot_ns);
		buf_add_u8(buf, p->is_kernel_thread);
		encode_text(buf, p->name);
		encode_text(buf, p->comm);
		encode_text(buf, p->executable);
		encode_text(buf, p->script);
		encode_text(buf, p->cgroup);
	}
}

static void encode_threads(const struct window *w, struct buf *buf)
{
	buf_add_varint(buf, w->thread_count);
	for (uint32_t i = 0; i < w->thread_count; i++) {
		assert(w->threads[i].process < w->process_count);
		buf_add_varint(buf, w->threads[i].process);
		buf_add_varint(buf, w->threads[i].tid);
		encode_text(buf, w->threads[i].name);
	}
}

static void encode_files(const struct window *w, struct buf *buf)
{
	buf_add_varint(buf, w->file_count);
	for (uint32_t i = 0; i < w->file_count; i++) {
		const struct identity *identity = &w->files[i].identity;

		assert(identity->size <= IDENTITY_SIZE_MAX);
		assert(identity->kind <= IDENTITY_KERNEL_RELEASE);
		buf_add_u8(buf, identity->kind);
		buf_add_sized(buf, (struct str){ (const char *)identity->bytes, identity->size });
		encode_text(buf, w->files[i].path);
	}
	buf_add_varint(buf, w->name_count);
	for (uint32_t i = 0; i < w->name_count; i++) {
		encode_text(buf, w->names[i].function);
		encode_text(buf, w->names[i].file);
		buf_add_varint(buf, w->names[i].line);
	}
}

/* The kernel's frames before the user's, and no more of each than there can be. */
static bool is_sane_stack(const struct window *w, const struct window_stack *stack)
{
	uint32_t kernel_count = 0;

	for (uint32_t i = 0; i < stack->frame_count; i++)
		if (w->frames[stack->first_frame + i].kind == FRAME_KERNEL && kernel_count++ != i)
			return false;
	return kernel_count <= KERNEL_FRAME_COUNT_MAX &&
	       stack->frame_count - kernel_count <= FRAME_COUNT_MAX;
}

static bool has_reference(uint8_t kind)
{
	return kind == FRAME_FILE || kind == FRAME_NAMED || kind == FRAME_RUNTIME;
}

static void encode_stacks(const struct window *w, struct buf *buf)
{
	uint64_t before = 0;

	buf_add_varint(buf, w->frame_count);
	for (uint32_t i = 0; i < w->frame_count; i++) {
		const struct window_frame *frame = &w->frames[i];

		assert(frame->kind >= FRAME_KERNEL && frame->kind <= FRAME_UNMAPPED);
		assert(frame->kind != FRAME_FILE || frame->reference < w->file_count);
		assert(frame->kind != FRAME_NAMED || frame->reference < w->name_count);
		buf_add_u8(buf, (uint8_t)(frame->kind << 2 | frame->position));
		if (has_reference(frame->kind))
			buf_add_varint(buf, frame->reference);
		/* Modulo 2^64, so that any two addresses have a difference. */
		buf_add_zigzag(buf, (int64_t)(frame->address - before));
		before = frame->address;
	}

	uint32_t next_frame = 0;

	buf_add_varint(buf, w->stack_count);
	for (uint32_t i = 0; i < w->stack_count; i++) {
		const struct window_stack *stack = &w->stacks[i];

		assert(stack->first_frame == next_frame);
		assert(stack->frame_count <= w->frame_count - next_frame);
		assert(is_sane_stack(w, stack));
		buf_add_varint(buf, stack->frame_count);
		buf_add_u8(buf, (uint8_t)(stack->verdict << 1 | stack->has_frame_pointer_steps));
		next_frame += stack->frame_count;
	}
	assert(next_frame == w->frame_count);
}

static void encode_entries(const struct window *w, struct buf *buf)
{
	uint32_t next_time = 0;

	buf_add_varint(buf, w->entry_count);
	for (uint32_t i = 0; i < w->entry_count; i++) {
		const struct window_entry *entry = &w->entries[i];
		uint16_t before = 0;

		assert(entry->thread < w->thread_count && entry->stack < w->stack_count);
		assert(entry->first_time == next_time);
		assert(entry->count > 0 && entry->count <= w->time_count - next_time);
		buf_add_varint(buf, entry->thread);
		buf_add_varint(buf, entry->stack);
		buf_add_u8(buf, entry->event);
		buf_add_varint(buf, entry->count);
		buf_add_varint(buf, entry->weight);
		for (uint32_t t = 0; t < entry->count; t++) {
			uint16_t time = w->times_ms[next_time + t];

			assert(time >= before);
			buf_add_varint(buf, (uint64_t)(time - before));
			before = time;
		}
		next_time += entry->count;
	}
	assert(next_time == w->time_count);
}

void window_encode(const struct window *w, struct buf *buf)
{
	assert(w->start_boot_ns <= w->end_boot_ns);
	assert(w->gap < GAP_REASON_COUNT);
	assert(w->collector != 0 && w->sequence != 0);
	assert(w->cpu_count > 0 && w->frequency_hz > 0);

	buf_add_u8(buf, WINDOW_VERSION);
	buf_add_u64(buf, w->collector);
	buf_add_varint(buf, w->sequence);
	buf_add(buf, w->boot_id, sizeof(w->boot_id));
	buf_add_varint(buf, w->start_boot_ns);
	buf_add_varint(buf, w->end_boot_ns - w->start_boot_ns);
	buf_add_zigzag(buf, w->boot_to_unix_ns);
	buf_add_varint(buf, w->frequency_hz);
	buf_add_varint(buf, w->cpu_count);
	buf_add_u8(buf, w->gap);
	buf_add_varint(buf, w->sample_count);
	buf_add_varint(buf, LOSS_KIND_COUNT);
	for (unsigned i = 0; i < LOSS_KIND_COUNT; i++)
		buf_add_varint(buf, w->losses[i]);
	buf_add_varint(buf, WALK_FIGURE_COUNT);
	for (unsigned i = 0; i < WALK_FIGURE_COUNT; i++)
		buf_add_varint(buf, w->walk_figures[i]);
	encode_files(w, buf);
	encode_processes(w, buf);
	encode_threads(w, buf);
	encode_stacks(w, buf);
	/* Counted once more in front, since entries bring their times along. */
	buf_add_varint(buf, w->time_count);
	encode_entries(w, buf);
}

/* ---- from bytes ---------------------------------------------------------------------------------
 */

/*
 * Arrays of a decoded window, and the bytes that its texts lie in. One allocation each would leave
 * a dozen ways to fail half-way; so they hang on one struct.
 */
struct decoded {
	struct window window;
	uint8_t bytes[];
};

static void *array(struct bytes *bytes, size_t count, size_t size)
{
	void *items = calloc(count ? count : 1, size);

	if (!items)
		bytes->error = -ENOMEM;
	return items;
}

static void refuse(struct bytes *bytes)
{
	if (!bytes->error)
		bytes->error = -EBADMSG;
	bytes->left = 0;
}

/* As bytes_count(), but what our limits forbid is told from what can't be. */
static uint32_t decode_count(struct bytes *bytes, size_t item_size_min, uint32_t count_max)
{
	struct bytes ahead = *bytes;
	uint64_t count = bytes_varint(&ahead);

	if (!bytes->error && !ahead.error && count > count_max) {
		bytes->error = -E2BIG;
		bytes->left = 0;
	}
	return (uint32_t)bytes_count(bytes, item_size_min, count_max);
}

static struct str decode_text(struct bytes *bytes)
{
	struct str text = bytes_sized(bytes);

	if (text.size > WINDOW_TEXT_SIZE_MAX)
		refuse(bytes);
	return text;
}

static uint32_t decode_u32(struct bytes *bytes)
{
	uint64_t value = bytes_varint(bytes);

	if (value > UINT32_MAX)
		refuse(bytes);
	return (uint32_t)value;
}

static uint32_t decode_index(struct bytes *bytes, uint32_t count)
{
	uint64_t index = bytes_varint(bytes);

	if (index >= count) {
		refuse(bytes);
		return 0;
	}
	return (uint32_t)index;
}

static void decode_files(struct window *w, struct bytes *bytes)
{
	w->file_count = decode_count(bytes, FILE_SIZE_MIN, WINDOW_FILE_COUNT_MAX);
	w->files = array(bytes, w->file_count, sizeof(w->files[0]));
	for (uint32_t i = 0; i < w->file_count && !bytes->error; i++) {
		struct identity *identity = &w->files[i].identity;

		identity->kind = bytes_u8(bytes);

		struct str id = bytes_sized(bytes);

		if (id.size > IDENTITY_SIZE_MAX) {
			refuse(bytes);
			return;
		}
		if (identity->kind > IDENTITY_KERNEL_RELEASE)
			refuse(bytes);
		identity->size = (uint8_t)id.size;
		if (id.size)
			memcpy(identity->bytes, id.text, id.size);
		w->files[i].path = decode_text(bytes);
	}
	w->name_count = decode_count(bytes, NAME_SIZE_MIN, WINDOW_NAME_COUNT_MAX);
	w->names = array(bytes, w->name_count, sizeof(w->names[0]));
	for (uint32_t i = 0; i < w->name_count && !bytes->error; i++) {
		w->names[i].function = decode_text(bytes);
		w->names[i].file = decode_text(bytes);
		w->names[i].line = decode_u32(bytes);
	}
}

static void decode_processes(struct window *w, struct bytes *bytes)
{
	w->process_count = decode_count(bytes, PROCESS_SIZE_MIN, WINDOW_PROCESS_COUNT_MAX);
	w->processes = array(bytes, w->process_count, sizeof(w->processes[0]));
	for (uint32_t i = 0; i < w->process_count && !bytes->error; i++) {
		struct window_process *p = &w->processes[i];

		p->key.pid = decode_u32(bytes);
		p->key.exec_generation = decode_u32(bytes);
		p->key.start_boot_ns = bytes_varint(bytes);
		p->namespace_pid = decode_u32(bytes);

		uint32_t file = decode_index(bytes, w->file_count + 1);

		p->executable_file = file ? file - 1 : WINDOW_NONE;
		p->exit_boot_ns = bytes_varint(bytes);

		uint8_t is_kernel_thread = bytes_u8(bytes);

		if (is_kernel_thread > 1)
			refuse(bytes);
		p->is_kernel_thread = is_kernel_thread;
		p->name = decode_text(bytes);
		p->comm = decode_text(bytes);
		p->executable = decode_text(bytes);
		p->script = decode_text(bytes);
		p->cgroup = decode_text(bytes);
	}
	w->thread_count = decode_count(bytes, THREAD_SIZE_MIN, WINDOW_THREAD_COUNT_MAX);
	w->threads = array(bytes, w->thread_count, sizeof(w->threads[0]));
	for (uint32_t i = 0; i < w->thread_count && !bytes->error; i++) {
		w->threads[i].process = decode_index(bytes, w->process_count);
		w->threads[i].tid = decode_u32(bytes);
		w->threads[i].name = decode_text(bytes);
	}
}

static void decode_frame(const struct window *w, struct bytes *bytes, uint64_t *before,
			 struct window_frame *frame)
{
	uint8_t kind = bytes_u8(bytes);

	frame->kind = kind >> 2;
	frame->position = kind & 3;
	if (frame->kind < FRAME_KERNEL || frame->kind > FRAME_UNMAPPED ||
	    frame->position > FRAME_INTERRUPTED) {
		refuse(bytes);
		return;
	}
	if (frame->kind == FRAME_FILE)
		frame->reference = decode_index(bytes, w->file_count);
	else if (frame->kind == FRAME_NAMED)
		frame->reference = decode_index(bytes, w->name_count);
	else if (has_reference(frame->kind))
		frame->reference = decode_u32(bytes);
	*before += (uint64_t)bytes_zigzag(bytes);
	frame->address = *before;
}

static void decode_stacks(struct window *w, struct bytes *bytes)
{
	uint64_t before = 0;

	w->frame_count = decode_count(bytes, FRAME_SIZE_MIN, WINDOW_FRAME_COUNT_MAX);
	w->frames = array(bytes, w->frame_count, sizeof(w->frames[0]));
	for (uint32_t i = 0; i < w->frame_count && !bytes->error; i++)
		decode_frame(w, bytes, &before, &w->frames[i]);

	uint32_t next_frame = 0;

	w->stack_count = decode_count(bytes, STACK_SIZE_MIN, WINDOW_STACK_COUNT_MAX);
	w->stacks = array(bytes, w->stack_count, sizeof(w->stacks[0]));
	for (uint32_t i = 0; i < w->stack_count && !bytes->error; i++) {
		struct window_stack *stack = &w->stacks[i];

		stack->first_frame = next_frame;
		stack->frame_count = decode_index(bytes, w->frame_count - next_frame + 1);

		uint8_t ending = bytes_u8(bytes);

		stack->verdict = ending >> 1;
		stack->has_frame_pointer_steps = ending & 1;
		if (stack->verdict >= VERDICT_COUNT || !is_sane_stack(w, stack))
			refuse(bytes);
		next_frame += stack->frame_count;
	}
	if (next_frame != w->frame_count)
		refuse(bytes);
}

static void decode_entries(struct window *w, struct bytes *bytes)
{
	uint64_t length_ms = (w->end_boot_ns - w->start_boot_ns) / 1000000;
	uint64_t samples = 0;
	uint32_t next_time = 0;

	w->time_count = decode_count(bytes, TIME_SIZE_MIN, WINDOW_TIME_COUNT_MAX);
	w->times_ms = array(bytes, w->time_count, sizeof(w->times_ms[0]));
	w->entry_count = decode_count(bytes, ENTRY_SIZE_MIN, WINDOW_ENTRY_COUNT_MAX);
	w->entries = array(bytes, w->entry_count, sizeof(w->entries[0]));
	for (uint32_t i = 0; i < w->entry_count && !bytes->error; i++) {
		struct window_entry *entry = &w->entries[i];
		uint64_t time = 0;

		entry->thread = decode_index(bytes, w->thread_count);
		entry->stack = decode_index(bytes, w->stack_count);
		entry->event = bytes_u8(bytes);
		entry->count = decode_index(bytes, w->time_count - next_time + 1);
		entry->weight = bytes_varint(bytes);
		entry->first_time = next_time;
		/* So that sums over a window, and over a month of them, have room. */
		if (entry->count == 0 || entry->event == 0 || entry->event >= EVENT_TYPE_COUNT ||
		    entry->weight >> 48)
			refuse(bytes);
		for (uint32_t t = 0; t < entry->count && !bytes->error; t++) {
			time += bytes_varint(bytes);
			if (time > length_ms || time > UINT16_MAX)
				refuse(bytes);
			w->times_ms[next_time + t] = (uint16_t)time;
		}
		next_time += entry->count;
		samples += entry->count;
	}
	if (next_time != w->time_count || samples != w->sample_count || bytes->left > 0)
		refuse(bytes);
}

static void decode_head(struct window *w, struct bytes *bytes)
{
	const void *boot_id;
	uint64_t length_ns;
	uint8_t version = bytes_u8(bytes);

	if (version != WINDOW_VERSION && version != VERSION_WITHOUT_WALKS)
		refuse(bytes);
	w->collector = bytes_u64(bytes);
	w->sequence = bytes_varint(bytes);
	boot_id = bytes_take(bytes, sizeof(w->boot_id));
	if (boot_id)
		memcpy(w->boot_id, boot_id, sizeof(w->boot_id));
	w->start_boot_ns = bytes_varint(bytes);
	length_ns = bytes_varint(bytes);
	if (__builtin_add_overflow(w->start_boot_ns, length_ns, &w->end_boot_ns) ||
	    w->end_boot_ns > INT64_MAX / 2)
		refuse(bytes);
	w->boot_to_unix_ns = bytes_zigzag(bytes);
	if (w->boot_to_unix_ns > INT64_MAX / 2 || w->boot_to_unix_ns < INT64_MIN / 2)
		refuse(bytes);
	w->frequency_hz = decode_u32(bytes);
	w->cpu_count = decode_u32(bytes);
	w->gap = bytes_u8(bytes);
	w->sample_count = bytes_varint(bytes);
	if (w->gap >= GAP_REASON_COUNT || w->collector == 0 || w->sequence == 0 ||
	    w->cpu_count == 0 || w->frequency_hz == 0)
		refuse(bytes);
	if (bytes_varint(bytes) != LOSS_KIND_COUNT)
		refuse(bytes);
	for (unsigned i = 0; i < LOSS_KIND_COUNT; i++)
		w->losses[i] = bytes_varint(bytes);
	if (version == VERSION_WITHOUT_WALKS)
		return;

	uint64_t figure_count = bytes_varint(bytes);

	if (figure_count > WALK_FIGURE_COUNT)
		refuse(bytes);
	for (unsigned i = 0; i < figure_count && !bytes->error; i++)
		w->walk_figures[i] = bytes_varint(bytes);
}

int window_decode(const void *data, size_t size, struct window **ret)
{
	if (size > WINDOW_SIZE_MAX)
		return -E2BIG;

	struct decoded *decoded = calloc(1, sizeof(*decoded) + size);

	if (!decoded)
		return -ENOMEM;
	if (size)
		memcpy(decoded->bytes, data, size);

	autoclean(window) struct window *w = &decoded->window;
	struct bytes bytes = bytes_from(decoded->bytes, size);

	w->memory = decoded;
	decode_head(w, &bytes);
	if (!bytes.error)
		decode_files(w, &bytes);
	if (!bytes.error)
		decode_processes(w, &bytes);
	if (!bytes.error)
		decode_stacks(w, &bytes);
	if (!bytes.error)
		decode_entries(w, &bytes);
	if (bytes.error)
		return bytes.error;
	*ret = TAKE(w);
	return 0;
}

struct window *window_free(struct window *w)
{
	if (!w)
		return NULL;
	assert(w->memory);
	free(w->processes);
	free(w->threads);
	free(w->files);
	free(w->names);
	free(w->frames);
	free(w->stacks);
	free(w->entries);
	free(w->times_ms);
	free(w->memory);
	return NULL;
}

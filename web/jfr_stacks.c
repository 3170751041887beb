/* SPDX-License-Identifier: Apache-2.0 */
/* Of the reader of Java flight recordings: stacks, and whose samples are. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "web/jfr_inside.h"
#include "web/jfr_names.h"
#include "web/label_split.h"
#include "web/utf8_mend.h"

enum {
	SPAN_TEXT_SIZE = 17,
	LINE_MAX = 0x7fffffff,
};

/* ---- stacks -----------------------------------------------------------------------------------
 */

/* A text that a batch takes: of a long one the end, which tells functions of a package apart. */
static int mend(struct jfr_input *input, struct str *text)
{
	if (text->size <= JFR_NAME_SIZE_MAX && utf8_is_valid(*text))
		return 0;
	buf_clear(&input->mended);
	utf8_mend(utf8_end(*text, JFR_NAME_SIZE_MAX), &input->mended);
	if (input->mended.error)
		return input->mended.error;
	*text = utf8_end((struct str){ (const char *)input->mended.bytes, input->mended.size },
			 JFR_NAME_SIZE_MAX);
	input->summary->repairs[PPROF_REPAIRED_TEXT]++;
	return 0;
}

static int name_method(struct jfr_input *input, const struct jfr_constant *method, struct str *ret)
{
	struct jfr_chunk *chunk = &input->chunk;
	const struct jfr_constant *class;
	struct jfr_value value;
	struct str class_name = { 0 };

	jfr_chunk_value(chunk, JFR_METHOD, method, &value);
	class = jfr_chunk_find(chunk, JFR_CLASS, value.numbers[JFR_METHOD_CLASS]);
	if (class) {
		struct jfr_value class_value;

		jfr_chunk_value(chunk, JFR_CLASS, class, &class_value);
		class_name =
			jfr_chunk_symbol(chunk, class_value.numbers[JFR_NAME], &input->other_text);
	}
	buf_clear(&input->name);
	jfr_names_add(&input->name, class_name,
		      jfr_chunk_symbol(chunk, value.numbers[JFR_METHOD_NAME], &input->text));
	if (input->name.error || input->text.error == -ENOMEM || input->other_text.error == -ENOMEM)
		return input->name.error == -EFBIG ? -E2BIG : -ENOMEM;
	*ret = (struct str){ (const char *)input->name.bytes, input->name.size };
	return mend(input, ret);
}

/* enum jfr_code of a frame's type. async-profiler has frames of the kernel and of libraries, too.
 */
static uint32_t code_of(struct jfr_input *input, uint64_t key)
{
	static const struct {
		struct str type;
		enum jfr_code code;
	} codes[] = {
		{ { "Inlined", 7 }, JFR_CODE_INLINED },
		{ { "Interpreted", 11 }, JFR_CODE_INTERPRETED },
		{ { "Kernel", 6 }, JFR_CODE_KERNEL },
		{ { "C++", 3 }, JFR_CODE_LIBRARY },
	};
	struct jfr_constant *type = jfr_chunk_find(&input->chunk, JFR_FRAME_TYPE, key);

	if (!type)
		return JFR_CODE_COMPILED;
	if (type->number == JFR_NO_NUMBER) {
		struct jfr_value value;
		struct str name;

		jfr_chunk_value(&input->chunk, JFR_FRAME_TYPE, type, &value);
		name = jfr_chunk_text(&input->chunk, &value, JFR_NAME, &input->text);
		type->number = JFR_CODE_COMPILED;
		for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
			if (str_equal(name, codes[i].type))
				type->number = codes[i].code;
		/* The JDK calls a Java method that is native so, too; a library's has no line. */
		if (str_equal(name, STR("Native")) && input->event[0])
			type->number = JFR_CODE_LIBRARY;
	}
	return type->number;
}

/* Names of a location's frames, of which the last has called the others. */
static int name_frames(struct jfr_input *input, const struct frame *frames, uint32_t count,
		       struct named_line *ret_lines)
{
	const struct jfr_constant *methods = input->chunk.pools[JFR_METHOD].items.items;
	const char *next;

	buf_clear(&input->chain_names);
	for (uint32_t i = 0; i < count; i++) {
		struct str name = { 0 };
		int err = 0;

		if (frames[i].method != JFR_NO_NUMBER)
			err = name_method(input, &methods[frames[i].method], &name);
		if (err)
			return err;
		if (name.size == 0)
			name = STR("[unknown]");
		buf_add_str(&input->chain_names, name);
		ret_lines[i] = (struct named_line){ .function = { NULL, name.size },
						    .line = frames[i].line };
	}
	if (input->chain_names.error)
		return input->chain_names.error;
	/* Only now they stay where they are. */
	next = (const char *)input->chain_names.bytes;
	for (uint32_t i = 0; i < count; i++) {
		ret_lines[i].function.text = next;
		next += ret_lines[i].function.size;
	}
	return 0;
}

static int64_t add_location(struct jfr_input *input, const struct frame *frames, uint32_t count)
{
	struct named_line lines[JFR_INLINED_COUNT_MAX + 1];
	struct named_binary java = { .path = STR(JFR_JAVA_MODULE), .flags = BINARY_INTERPRETED };
	int err = name_frames(input, frames, count, lines);

	if (err)
		return err;
	switch (frames[count - 1].code) {
	case JFR_CODE_LIBRARY:
		break;
	case JFR_CODE_INTERPRETED:
		return batch_add_named_place(input->batch, lines, NULL, count, &java);
	case JFR_CODE_KERNEL:
		lines[count++] = (struct named_line){ .file = STR("kernel") };
		break;
	default:
		lines[count++] = (struct named_line){ .file = STR(JFR_JAVA_MODULE) };
	}
	return batch_add_named_location(input->batch, lines, count);
}

struct chain_key {
	const struct frame *frames;
	uint32_t count;
};

static bool chain_equals(const void *context, uint32_t number, const void *key)
{
	const struct frames *frames = context;
	const struct frame_chain *chain = &frames->chains.items[number];
	const struct chain_key *other = key;

	return chain->count == other->count &&
	       memcmp(&frames->items.items[chain->first], other->frames,
		      other->count * sizeof(other->frames[0])) == 0;
}

/* What frames were found as is kept. */
static int64_t find_location(struct jfr_input *input, const struct frame *items, uint32_t count)
{
	struct frames *frames = &input->frames;
	struct chain_key key = { items, count };
	uint64_t hash = table_hash_bytes(items, count * sizeof(items[0]), 0);
	uint32_t number = table_find(&frames->table, hash, &key, chain_equals, frames);
	int64_t location;
	int err;

	if (number != TABLE_NONE)
		return frames->chains.items[number].location;
	location = add_location(input, items, count);
	if (location < 0)
		return location;
	if (array_reserve(&frames->chains, 1) < 0 || array_reserve(&frames->items, count) < 0)
		return -ENOMEM;
	err = table_add(&frames->table, hash);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	frames->chains.items[frames->chains.count++] = (struct frame_chain){
		.first = frames->items.count, .count = count, .location = (uint32_t)location
	};
	memcpy(&frames->items.items[frames->items.count], items, count * sizeof(items[0]));
	frames->items.count += count;
	return location;
}

static struct frame take_frame(struct jfr_input *input, struct jfr_bytes *bytes)
{
	struct jfr_chunk *chunk = &input->chunk;
	const struct jfr_constant *method;
	struct jfr_value value;
	struct frame frame = { .method = JFR_NO_NUMBER };

	memset(value.numbers, 0, sizeof(value.numbers));
	jfr_types_walk(&chunk->types, chunk->types.of_kind[JFR_STACK_FRAME], bytes, &value);
	assert(!bytes->bytes.error);
	method = jfr_chunk_find(chunk, JFR_METHOD, value.numbers[JFR_FRAME_METHOD]);
	frame.code = code_of(input, value.numbers[JFR_FRAME_KIND]);
	if (!method)
		return frame;
	frame.method = (uint32_t)(method - chunk->pools[JFR_METHOD].items.items);
	/* What is above are negative ones, which are none. */
	if (input->form->has_lines && (uint32_t)value.numbers[JFR_FRAME_LINE] <= LINE_MAX)
		frame.line = (uint32_t)value.numbers[JFR_FRAME_LINE];
	return frame;
}

/* Its frames' locations, depth frames of them: how many, or a negative errno. */
static int64_t find_locations(struct jfr_input *input, struct jfr_bytes *bytes, uint32_t depth)
{
	struct frame chain[JFR_INLINED_COUNT_MAX];
	uint32_t chain_count = 0;
	uint32_t count = 0;

	for (uint32_t i = 0; i < depth; i++) {
		struct frame frame = take_frame(input, bytes);
		bool is_caller = frame.code <= JFR_CODE_INLINED;
		int64_t location;

		/* Only compiled code has others' within it. */
		if (chain_count > 0 && !is_caller) {
			location = find_location(input, chain, chain_count);
			if (location < 0)
				return location;
			input->locations[count++] = (uint32_t)location;
			chain_count = 0;
		}
		chain[chain_count++] = frame;
		if (frame.code == JFR_CODE_INLINED && i + 1 < depth &&
		    chain_count < JFR_INLINED_COUNT_MAX)
			continue;
		location = find_location(input, chain, chain_count);
		if (location < 0)
			return location;
		input->locations[count++] = (uint32_t)location;
		chain_count = 0;
	}
	return count;
}

static int64_t add_stack(struct jfr_input *input, const struct jfr_constant *trace)
{
	struct jfr_chunk *chunk = &input->chunk;
	struct jfr_value value;
	struct jfr_bytes bytes;
	uint32_t depth;
	uint32_t frame_count;
	int64_t count;
	bool is_cut;

	jfr_chunk_value(chunk, JFR_STACK_TRACE, trace, &value);
	bytes = (struct jfr_bytes){ value.places[JFR_TRACE_FRAMES], chunk->types.is_packed };
	is_cut = jfr_fixed(&value.places[JFR_TRACE_TRUNCATED], 1) != 0 ||
		 value.numbers[JFR_TRACE_TRUNCATED] != 0;
	frame_count = bytes.bytes.next ? jfr_types_count(&bytes) : 0;
	if (frame_count == 0)
		return -ENODATA;
	depth = frame_count < PPROF_STACK_DEPTH_MAX ? frame_count : PPROF_STACK_DEPTH_MAX;
	count = find_locations(input, &bytes, depth);
	if (count < 0)
		return count;
	input->summary->repairs[PPROF_REPAIRED_DEPTH] += depth < frame_count;
	input->frame_count += depth;
	if (input->frame_count > JFR_FRAME_COUNT_MAX)
		return jfr_refuse(input, -E2BIG, "its stacks have more frames together than",
				  JFR_FRAME_COUNT_MAX);
	return batch_add_stack(input->batch, input->locations, (size_t)count,
			       is_cut || depth < frame_count ? STACK_TRUNCATED : 0);
}

int64_t jfr_find_stack(struct jfr_input *input, struct jfr_constant *trace)
{
	int64_t number = trace->number;

	if (trace->number != JFR_NO_NUMBER)
		return number;
	number = add_stack(input, trace);
	if (number >= 0)
		trace->number = (uint32_t)number;
	return number;
}

/* ---- owners -----------------------------------------------------------------------------------
 */

static bool owner_equals(const void *context, uint32_t number, const void *key)
{
	return memcmp(&((const struct owners *)context)->items.items[number].key, key,
		      sizeof(struct owner_key)) == 0;
}

static bool fits(struct label label)
{
	return label.name.size <= PUSH_LABEL_NAME_SIZE_MAX &&
	       label.value.size <= PUSH_LABEL_VALUE_SIZE_MAX &&
	       !str_starts_with(label.name, STR("__"));
}

/* What the agent says of an event: its context's labels, its span's number and name. */
static size_t labels_of(struct jfr_input *input, const struct owner_key *key, struct label *labels,
			char span[static SPAN_TEXT_SIZE])
{
	struct label all[PPROF_LABEL_COUNT_MAX + 2];
	size_t all_count = jfr_labels_of(&input->labels, key->context, all, PPROF_LABEL_COUNT_MAX);
	struct str span_name = jfr_labels_string(&input->labels, key->span_name);
	size_t count = 0;

	if (key->span) {
		snprintf(span, SPAN_TEXT_SIZE, "%016" PRIx64, key->span);
		all[all_count++] = (struct label){ STR("span_id"), str_from(span) };
	}
	if (key->span_name && span_name.size > 0)
		all[all_count++] = (struct label){ STR("span_name"), span_name };
	for (size_t i = 0; i < all_count; i++)
		if (fits(all[i]))
			labels[count++] = all[i];
		else
			input->summary->repairs[PPROF_REPAIRED_LABEL]++;
	return count;
}

static struct str thread_name(struct jfr_input *input, uint64_t key)
{
	struct jfr_chunk *chunk = &input->chunk;
	const struct jfr_constant *thread = jfr_chunk_find(chunk, JFR_THREAD, key);
	struct jfr_value value;
	struct str name;

	if (!thread)
		return (struct str){ 0 };
	jfr_chunk_value(chunk, JFR_THREAD, thread, &value);
	name = jfr_chunk_text(chunk, &value, JFR_NAME, &input->text);
	if (name.size == 0)
		name = jfr_chunk_text(chunk, &value, JFR_OTHER_NAME, &input->text);
	return name.size <= PUSH_LABEL_VALUE_SIZE_MAX && utf8_is_valid(name) ? name
									     : (struct str){ 0 };
}

static bool has_name(const struct label *labels, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(labels[i].name, name))
			return true;
	return false;
}

/* The first of two with one name is meant; batches have none twice. */
static size_t drop_repeated(struct label *labels, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!has_name(labels, kept, labels[i].name))
			labels[kept++] = labels[i];
	return kept;
}

static void add_label(struct label *labels, size_t *count, size_t count_max, struct label label)
{
	if (label.value.size > 0 && *count < count_max && !has_name(labels, *count, label.name))
		labels[(*count)++] = label;
}

int jfr_file_owner(struct jfr_input *input, struct owner *owner)
{
	const struct pprof_origin *origin = input->origin;
	struct label labels[PPROF_LABEL_COUNT_MAX + 2];
	struct label own[PPROF_LABEL_COUNT_MAX + 4];
	char span[SPAN_TEXT_SIZE];
	struct label_split split;
	size_t count = drop_repeated(labels, labels_of(input, &owner->key, labels, span));
	size_t own_count = 0;
	int64_t number;

	if (owner->is_filed)
		return 0;
	label_split(&split, origin->labels, origin->label_count, labels,
		    origin->splits_series ? count : 0);
	input->summary->repairs[PPROF_REPAIRED_LABEL] += split.left_out;
	add_label(split.series, &split.series_count, LABEL_SPLIT_COUNT_MAX,
		  (struct label){ STR("jfr_event"), str_from(input->event) });
	number = batch_add_labels(input->batch, split.series, split.series_count);
	if (number < 0)
		return (int)number;
	owner->series_labels = (uint32_t)number;

	const struct label *from = origin->splits_series ? split.trace : labels;

	count = origin->splits_series ? split.trace_count : count;
	for (size_t i = 0; i < count; i++)
		own[own_count++] = from[i];
	/* OpenTelemetry's name for it, as it has one, and Pyroscope no label at all. */
	add_label(own, &own_count, PPROF_LABEL_COUNT_MAX,
		  (struct label){ STR("thread.name"), thread_name(input, owner->key.thread) });
	number = batch_add_labels(input->batch, own, own_count);
	if (number < 0)
		return (int)number;
	owner->sample_labels = (uint32_t)number;
	owner->is_filed = true;
	return 0;
}

int64_t jfr_find_owner(struct jfr_input *input, const struct jfr_value *value)
{
	struct owners *owners = &input->owners;
	struct owner owner = {
		.key = { value->numbers[JFR_SAMPLE_CONTEXT], value->numbers[JFR_SAMPLE_SPAN],
			 value->numbers[JFR_SAMPLE_SPAN_NAME], value->numbers[JFR_SAMPLE_THREAD] }
	};
	uint64_t hash;
	uint32_t number;
	int err;

	/* Threads come in runs. */
	if (owners->items.count > 0 && owner_equals(owners, owners->items.count - 1, &owner.key))
		return owners->items.count - 1;
	hash = table_hash_bytes(&owner.key, sizeof(owner.key), 0);
	number = table_find(&owners->table, hash, &owner.key, owner_equals, owners);
	if (number != TABLE_NONE)
		return number;
	err = array_reserve(&owners->items, 1);
	if (!err)
		err = table_add(&owners->table, hash);
	if (err)
		return err == -ENOSPC ? -E2BIG : err;
	owners->items.items[owners->items.count++] = owner;
	return owners->items.count - 1;
}

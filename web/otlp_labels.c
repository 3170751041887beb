/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_labels.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/cleanup.h"
#include "base/script.h"
#include "web/labels.h"
#include "web/otlp_wire.h"

enum {
	TEXTS_SIZE_MAX = 64 << 10,
	PROCESS_TEXT_SIZE = 4096, /* of a file in /proc */
	SHORT_ID_SIZE = 12,	  /* of a container, as labels.h has it */
	ID_SIZE_MAX = 16,
	ATTRIBUTE_COUNT_MAX = 256, /* of one sample and all above it */
};

void otlp_labels_init(struct otlp_labels *labels, const char *host_name, bool is_local)
{
	*labels = (struct otlp_labels){ .host_name = host_name,
					.is_local = is_local,
					.texts = BUF(TEXTS_SIZE_MAX),
					.process_texts = BUF(TEXTS_SIZE_MAX) };
}

void otlp_labels_done(struct otlp_labels *labels)
{
	buf_done(&labels->texts);
	buf_done(&labels->process_texts);
}

/* ---- processes of this host -------------------------------------------------------------------
 */

static struct str read_text(const char *folder, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t count = -1;

	snprintf(path, sizeof(path), "%s/%s", folder, name);

	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		count = read(fd, text, size);
	return (struct str){ text, count > 0 ? (size_t)count : 0 };
}

static struct str keep(struct buf *texts, struct str value)
{
	char *made = buf_grow(texts, value.size);

	if (!made || value.size == 0)
		return (struct str){ 0 };
	memcpy(made, value.text, value.size);
	return (struct str){ made, value.size };
}

/*
 * What the collector would have called it: by its cgroup, or the script that it runs, or its
 * executable, whose name the sender knows and this process may not ask for. None when it is gone.
 */
static int find_process(struct otlp_labels *labels, uint64_t pid, struct str executable)
{
	char folder[32];
	char comm[64], cgroup[PROCESS_TEXT_SIZE], command[PROCESS_TEXT_SIZE];
	struct window_process process = { 0 };

	labels->process_pid = pid;
	labels->process_count = 0;
	buf_clear(&labels->process_texts);
	/* The texts below are kept in one piece, so that none moves. */
	if (!buf_grow(&labels->process_texts, TEXTS_SIZE_MAX / 2))
		return labels->process_texts.error;
	labels->process_texts.size = 0;
	snprintf(folder, sizeof(folder), "/proc/%u", (unsigned)pid);
	process.comm = read_text(folder, "comm", comm, sizeof(comm));
	if (process.comm.size == 0)
		return 0;
	if (process.comm.text[process.comm.size - 1] == '\n')
		process.comm.size--;
	process.name = executable.size > 0 ? str_base_name(executable) : process.comm;
	process.cgroup = cgroup_choose(read_text(folder, "cgroup", cgroup, sizeof(cgroup)));
	process.script =
		script_of(process.name, read_text(folder, "cmdline", command, sizeof(command)));
	process.comm = keep(&labels->process_texts, process.comm);
	process.name = keep(&labels->process_texts, process.name);
	process.cgroup = keep(&labels->process_texts, process.cgroup);
	process.script = keep(&labels->process_texts, process.script);
	static_assert(LABELS_MAX <= sizeof(labels->process) / sizeof(labels->process[0]),
		      "all find room");
	return labels_of(&process, labels->host_name, labels->process, &labels->process_count,
			 &labels->process_texts);
}

/* ---- attributes -------------------------------------------------------------------------------
 */

/* The attribute as it counts: of the sample, else of its profile, scope, or resource. */
static const struct otlp_attribute *find(const struct otlp_profile *profile,
					 const struct otlp_sample *sample, struct str key)
{
	const struct otlp_range lists[] = { sample->attributes, profile->attributes };
	const struct otlp_attribute *found = NULL;

	for (size_t list = 0; list < 2; list++)
		for (uint32_t i = 0; i < lists[list].count; i++) {
			uint32_t place = profile->indices[lists[list].first + i];

			found = &profile->tables->attributes.items[place];
			if (str_equal(found->key, key))
				return found;
		}
	found = otlp_find(profile->inlined, profile->inlined_count, key);
	if (!found)
		found = otlp_find(profile->scope, profile->scope_count, key);
	return found ? found : otlp_find(profile->resource, profile->resource_count, key);
}

/* Of a list with one text or number in it, that one. */
static void open_list(struct otlp_value *value)
{
	enum { VALUES = 1, TEXT = 1, INTEGER = 3 };
	struct otlp_wire list = otlp_wire_from(value->bytes);
	struct otlp_wire_field field;
	struct otlp_wire inner;

	*value = (struct otlp_value){ 0 };
	if (otlp_wire_next(&list, &field) <= 0 || field.number != VALUES ||
	    field.type != OTLP_WIRE_SIZED || list.next < list.end)
		return;
	inner = otlp_wire_from(field.bytes);
	if (otlp_wire_next(&inner, &field) <= 0)
		return;
	if (field.number == TEXT && field.type == OTLP_WIRE_SIZED)
		*value = (struct otlp_value){ .kind = OTLP_VALUE_TEXT, .bytes = field.bytes };
	else if (field.number == INTEGER && field.type == OTLP_WIRE_VARINT)
		*value = (struct otlp_value){ .kind = OTLP_VALUE_INTEGER,
					      .integer = (int64_t)field.value };
}

/* Texts and whole numbers can be labels; others are ranges, flags, or lists. "" for them. */
static struct str value_text(struct otlp_labels *labels, const struct otlp_attribute *attribute)
{
	struct otlp_value value = { 0 };
	char number[24];

	if (!attribute)
		return (struct str){ 0 };
	value = attribute->value;
	if (value.kind == OTLP_VALUE_ARRAY)
		open_list(&value);
	if (value.kind == OTLP_VALUE_INTEGER) {
		int size = snprintf(number, sizeof(number), "%lld", (long long)value.integer);

		return keep(&labels->texts, (struct str){ number, (size_t)size });
	}
	return value.kind == OTLP_VALUE_TEXT ? label_text(value.bytes, &labels->texts)
					     : (struct str){ 0 };
}

/* Letters, digits and '_': what a selector can name. */
static struct str label_name(struct otlp_labels *labels, struct str key)
{
	enum { NAME_SIZE_MAX = 128 };
	size_t size = key.size < NAME_SIZE_MAX ? key.size : NAME_SIZE_MAX;
	char *made = buf_grow(&labels->texts, size + 1);

	if (!made)
		return (struct str){ 0 };
	made[0] = '_';
	for (size_t i = 0; i < size; i++) {
		char c = key.text[i];
		bool is_letter =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		made[i + 1] = is_letter ? c : '_';
	}
	/* A digit does not come first. */
	return size > 0 && made[1] >= '0' && made[1] <= '9' ? (struct str){ made, size + 1 }
							    : (struct str){ made + 1, size };
}

static bool has_label(const struct label *items, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(items[i].name, name))
			return true;
	return false;
}

static void add_series(struct otlp_labels *labels, struct str name, struct str value)
{
	if (value.size == 0 || name.size == 0 ||
	    has_label(labels->series, labels->series_count, name))
		return;
	if (labels->series_count == OTLP_SERIES_LABEL_COUNT_MAX)
		labels->left_out++;
	else
		labels->series[labels->series_count++] = (struct label){ name, value };
}

static void add_sample(struct otlp_labels *labels, struct str name, struct str value)
{
	if (value.size == 0 || name.size == 0 ||
	    has_label(labels->sample, labels->sample_count, name))
		return;
	if (labels->sample_count == OTLP_SAMPLE_LABEL_COUNT_MAX)
		labels->left_out++;
	else
		labels->sample[labels->sample_count++] = (struct label){ name, value };
}

/* Those that have a place of their own; the rest goes by its name. */
static const struct {
	struct str key, name;
	bool is_of_samples;
} known[] = {
	{ { "service.name", 12 }, { "service_name", 12 }, false },
	{ { "process.executable.name", 23 }, { "process_name", 12 }, false },
	{ { "container.id", 12 }, { "container_id", 12 }, false },
	{ { "host.name", 9 }, { "host", 4 }, false },
	{ { "process.executable.path", 23 }, { NULL, 0 }, false },
	{ { "process.pid", 11 }, { "pid", 3 }, true },
	{ { "process.parent_pid", 18 }, { NULL, 0 }, true },
	{ { "thread.id", 9 }, { "tid", 3 }, true },
	{ { "thread.name", 11 }, { "thread_name", 11 }, true },
};

enum { KNOWN_COUNT = sizeof(known) / sizeof(known[0]) };

static size_t find_known(struct str key)
{
	size_t i = 0;

	while (i < KNOWN_COUNT && !str_equal(key, known[i].key))
		i++;
	return i;
}

static void add_owner(struct otlp_labels *labels, const struct otlp_attribute *attributes,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t place = find_known(attributes[i].key);

		if (place == KNOWN_COUNT)
			add_series(labels, label_name(labels, attributes[i].key),
				   value_text(labels, &attributes[i]));
		else if (known[place].is_of_samples && known[place].name.size > 0)
			add_sample(labels, known[place].name, value_text(labels, &attributes[i]));
	}
}

static void add_indexed(struct otlp_labels *labels, const struct otlp_profile *profile,
			struct otlp_range range, bool is_sample)
{
	for (uint32_t i = 0; i < range.count && i < ATTRIBUTE_COUNT_MAX; i++) {
		uint32_t index = profile->indices[range.first + i];
		const struct otlp_attribute *attribute = &profile->tables->attributes.items[index];
		size_t place = find_known(attribute->key);

		if (place < KNOWN_COUNT && known[place].is_of_samples)
			add_sample(labels, known[place].name, value_text(labels, attribute));
		else if (place < KNOWN_COUNT)
			continue;
		else if (is_sample)
			add_sample(labels, label_name(labels, attribute->key),
				   value_text(labels, attribute));
		else
			add_series(labels, label_name(labels, attribute->key),
				   value_text(labels, attribute));
	}
}

/* ---- whose ------------------------------------------------------------------------------------
 */

static struct str prefixed(struct otlp_labels *labels, struct str name)
{
	struct str prefix = STR("unknown_service:");
	char *made = buf_grow(&labels->texts, prefix.size + name.size);

	if (!made)
		return (struct str){ 0 };
	memcpy(made, prefix.text, prefix.size);
	memcpy(made + prefix.size, name.text, name.size);
	return (struct str){ made, prefix.size + name.size };
}

static int add_identity(struct otlp_labels *labels, const struct otlp_profile *profile,
			const struct otlp_sample *sample)
{
	const struct otlp_attribute *pid = find(profile, sample, STR("process.pid"));
	struct str service = value_text(labels, find(profile, sample, STR("service.name")));
	struct str container = value_text(labels, find(profile, sample, STR("container.id")));
	struct str name = value_text(labels, find(profile, sample, STR("process.executable.name")));
	struct str path = value_text(labels, find(profile, sample, STR("process.executable.path")));
	struct str executable = str_base_name(name.size > 0 ? name : path);

	add_series(labels, STR("service_name"), service);
	if (labels->is_local && pid && pid->value.kind == OTLP_VALUE_INTEGER &&
	    pid->value.integer > 0 && pid->value.integer <= INT32_MAX) {
		int err = 0;

		if ((uint64_t)pid->value.integer != labels->process_pid)
			err = find_process(labels, (uint64_t)pid->value.integer, executable);
		if (err)
			return err;
		for (size_t i = 0; i < labels->process_count; i++)
			add_series(labels, labels->process[i].name, labels->process[i].value);
	}
	add_series(labels, STR("container_id"), container);
	add_series(labels, STR("process_name"), executable);
	add_series(labels, STR("host"),
		   value_text(labels, find(profile, sample, STR("host.name"))));
	if (container.size > SHORT_ID_SIZE)
		container.size = SHORT_ID_SIZE;
	add_series(labels, STR("service_name"), container);
	if (executable.size > 0)
		add_series(labels, STR("service_name"), prefixed(labels, executable));
	add_series(labels, STR("service_name"), STR("unknown_service"));
	return 0;
}

static void add_id(struct otlp_labels *labels, struct str name, struct str id)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * ID_SIZE_MAX];

	assert(id.size <= ID_SIZE_MAX);
	for (size_t i = 0; i < id.size; i++) {
		text[2 * i] = digits[(uint8_t)id.text[i] >> 4];
		text[2 * i + 1] = digits[id.text[i] & 15];
	}
	add_sample(labels, name, keep(&labels->texts, (struct str){ text, 2 * id.size }));
}

int otlp_labels_find(struct otlp_labels *labels, const struct otlp_profile *profile,
		     const struct otlp_sample *sample)
{
	const struct otlp_tables *tables = profile->tables;
	int err;

	labels->series_count = labels->sample_count = 0;
	buf_clear(&labels->texts);
	/* In one piece, so that none moves. */
	if (!buf_grow(&labels->texts, TEXTS_SIZE_MAX))
		return labels->texts.error;
	labels->texts.size = 0;
	err = add_identity(labels, profile, sample);
	if (err)
		return err;
	add_series(labels, STR("__otel__"), STR("true"));
	if (sample->link > 0) {
		add_id(labels, STR("span_id"), tables->links.items[sample->link].span_id);
		add_id(labels, STR("trace_id"), tables->links.items[sample->link].trace_id);
	}
	add_indexed(labels, profile, sample->attributes, true);
	add_indexed(labels, profile, profile->attributes, false);
	add_owner(labels, profile->inlined, profile->inlined_count);
	add_owner(labels, profile->scope, profile->scope_count);
	add_owner(labels, profile->resource, profile->resource_count);
	assert(labels->series_count > 0);
	/* Beyond what texts there is room for, labels are left out. */
	labels->left_out += labels->texts.error == -EFBIG;
	return labels->texts.error == -ENOMEM ? -ENOMEM : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_labels.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/script.h"
#include "base/table.h"
#include "web/labels.h"
#include "web/otlp_wire.h"

enum {
	TEXTS_SIZE_MAX = 64 << 10,
	PROCESS_TEXT_SIZE = 4096, /* of a file in /proc */
	SHORT_ID_SIZE = 12,	  /* of a container, as labels.h has it */
	ID_SIZE_MAX = 16,
	ATTRIBUTE_COUNT_MAX = 256, /* of one sample and all above it */
};

void otlp_labels_init(struct otlp_labels *labels)
{
	*labels = (struct otlp_labels){ .texts = BUF(TEXTS_SIZE_MAX),
					.process_texts = BUF(TEXTS_SIZE_MAX) };
}

void otlp_labels_begin(struct otlp_labels *labels, const char *host_name, bool is_local,
		       int64_t now_ms)
{
	labels->host_name = host_name;
	labels->is_local = is_local;
	labels->second = (uint32_t)(now_ms / CLOCK_MS_PER_S);
	labels->left_out = 0;
	/* Its number may be another's by now. */
	labels->process_pid = labels->process_said = 0;
	labels->process_count = 0;
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

/* What a sender says of a process, besides its number. */
struct claim {
	struct str executable, container;
};

/* Either may be cut short: comm has 15 bytes, and "python3" is a name of python3.11. */
static bool fits(struct str name, struct str executable)
{
	size_t size = name.size < executable.size ? name.size : executable.size;

	return size > 0 && memcmp(name.text, executable.text, size) == 0;
}

static bool contains(struct str text, struct str part)
{
	return part.size > 0 && memmem(text.text, text.size, part.text, part.size) != NULL;
}

/* The name under which it was started. */
static struct str first_word(struct str command_line)
{
	return str_base_name(
		(struct str){ command_line.text, strnlen(command_line.text, command_line.size) });
}

/* Whether what lies below /proc can be the process of the claim. */
static bool is_credible(const struct claim *claim, const struct window_process *process,
			struct str cgroups, struct str command_line)
{
	struct str id = claim->container;

	/* Some say the short id. */
	if (id.size > SHORT_ID_SIZE)
		id.size = SHORT_ID_SIZE;
	if (id.size > 0 && !contains(cgroups, id))
		return false;
	return claim->executable.size == 0 || fits(process->comm, claim->executable) ||
	       fits(first_word(command_line), claim->executable);
}

/* Of another host's most do not: what nobody has need not be looked for. */
static bool exists(struct otlp_labels *labels, uint64_t pid)
{
	uint32_t hash = (uint32_t)pid * UINT32_C(0x9e3779b1);
	struct absent_process *absent = &labels->absent[(hash >> 16) % OTLP_ABSENT_PROCESS_COUNT];

	if (absent->pid == pid && absent->second == labels->second)
		return false;
	if (kill((pid_t)pid, 0) == 0 || errno != ESRCH)
		return true;
	*absent = (struct absent_process){ (uint32_t)pid, labels->second };
	return false;
}

/*
 * What the collector would have called it: by its cgroup, or the script that it runs, or its
 * executable, whose name the sender knows and this process may not ask for. None when it is gone,
 * or another one.
 */
static int find_process(struct otlp_labels *labels, uint64_t pid, const struct claim *claim)
{
	char folder[32];
	char comm[64], cgroup[PROCESS_TEXT_SIZE], command[PROCESS_TEXT_SIZE];
	struct window_process process = { 0 };
	struct str cgroups, command_line = STR("");

	labels->process_pid = pid;
	labels->process_count = 0;
	buf_clear(&labels->process_texts);
	/* The texts below are kept in one piece, so that none moves. */
	if (!buf_grow(&labels->process_texts, TEXTS_SIZE_MAX / 2))
		return labels->process_texts.error;
	labels->process_texts.size = 0;
	if (!exists(labels, pid))
		return 0;
	snprintf(folder, sizeof(folder), "/proc/%u", (unsigned)pid);
	process.comm = read_text(folder, "comm", comm, sizeof(comm));
	if (process.comm.size == 0)
		return 0;
	if (process.comm.text[process.comm.size - 1] == '\n')
		process.comm.size--;
	process.name = claim->executable.size > 0 ? claim->executable : process.comm;
	cgroups = read_text(folder, "cgroup", cgroup, sizeof(cgroup));
	/* A hundred processes a request: what is not needed is not opened. */
	if (script_is_interpreter(process.name) || !fits(process.comm, process.name))
		command_line = read_text(folder, "cmdline", command, sizeof(command));
	if (!is_credible(claim, &process, cgroups, command_line))
		return 0;
	process.cgroup = cgroup_choose(cgroups);
	process.script = script_of(process.name, command_line);
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

/* What tells whose a sample is: the attributes of these keys, or NULL. */
struct identity_attributes {
	const struct otlp_attribute *service, *container, *executable_name, *executable_path, *pid,
		*host_id, *host_name;
};

/* The place of this key, or NULL: nearly all are told by their size. */
static const struct otlp_attribute **place_in(struct identity_attributes *found, struct str key)
{
	switch (key.size) {
	case 7:
		return str_equal(key, STR("host.id")) ? &found->host_id : NULL;
	case 9:
		return str_equal(key, STR("host.name")) ? &found->host_name : NULL;
	case 11:
		return str_equal(key, STR("process.pid")) ? &found->pid : NULL;
	case 12:
		return str_equal(key, STR("service.name"))   ? &found->service
		       : str_equal(key, STR("container.id")) ? &found->container
							     : NULL;
	case 23:
		return str_equal(key, STR("process.executable.name"))	? &found->executable_name
		       : str_equal(key, STR("process.executable.path")) ? &found->executable_path
									: NULL;
	default:
		return NULL;
	}
}

static void note_identity(struct identity_attributes *found, const struct otlp_attribute *attribute)
{
	const struct otlp_attribute **place = place_in(found, attribute->key);

	if (place && !*place)
		*place = attribute;
}

static void note_identities(struct identity_attributes *found,
			    const struct otlp_attribute *attributes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		note_identity(found, &attributes[i]);
}

static void note_indexed(struct identity_attributes *found, const struct otlp_profile *profile,
			 struct otlp_range range)
{
	for (uint32_t i = 0; i < range.count; i++) {
		uint32_t place = profile->indices[range.first + i];

		note_identity(found, &profile->tables->attributes.items[place]);
	}
}

/* Attributes as they count: of the sample, else of its profile, scope, or resource. */
static struct identity_attributes find_identity(const struct otlp_profile *profile,
						const struct otlp_sample *sample)
{
	struct identity_attributes found = { 0 };

	note_indexed(&found, profile, sample->attributes);
	note_indexed(&found, profile, profile->attributes);
	note_identities(&found, profile->inlined, profile->inlined_count);
	note_identities(&found, profile->scope, profile->scope_count);
	note_identities(&found, profile->resource, profile->resource_count);
	return found;
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

enum { DECIMAL_SIZE = 20 };

/* Every thread has a number, and a busy host ten thousand threads. */
static struct str decimal(int64_t number, char text[static DECIMAL_SIZE])
{
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
	size_t start = DECIMAL_SIZE;

	do {
		text[--start] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (number < 0)
		text[--start] = '-';
	return (struct str){ text + start, DECIMAL_SIZE - start };
}

/* Texts and whole numbers can be labels; others are ranges, flags, or lists. "" for them. */
static struct str value_text(struct otlp_labels *labels, const struct otlp_attribute *attribute)
{
	struct otlp_value value = { 0 };
	char number[DECIMAL_SIZE];

	if (!attribute)
		return (struct str){ 0 };
	value = attribute->value;
	if (value.kind == OTLP_VALUE_ARRAY)
		open_list(&value);
	if (value.kind == OTLP_VALUE_INTEGER) {
		return keep(&labels->texts, decimal(value.integer, number));
	}
	return value.kind == OTLP_VALUE_TEXT ? label_text(value.bytes, &labels->texts)
					     : (struct str){ 0 };
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

enum place {
	OF_ITS_OWNER, /* a sample's is its own, all others' make a series */
	OF_SERIES,    /* what says which process, wherever it is said */
	OF_SAMPLES, /* what tells processes of one program and threads apart: too many for series */
	OF_NOBODY,
};

static enum place place_of(struct str key)
{
	static const struct {
		struct str key;
		enum place place;
	} known[] = {
		{ { "process.executable.name", 23 }, OF_SERIES },
		{ { "process.executable.path", 23 }, OF_SERIES },
		{ { "container.id", 12 }, OF_SERIES },
		{ { "host.name", 9 }, OF_SERIES },
		{ { "process.pid", 11 }, OF_SAMPLES },
		{ { "process.parent_pid", 18 }, OF_NOBODY },
		{ { "thread.id", 9 }, OF_SAMPLES },
		{ { "thread.name", 11 }, OF_SAMPLES },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_equal(key, known[i].key))
			return known[i].place;
	return OF_ITS_OWNER;
}

/* By the name that its sender gave it: others' dashboards ask for "k8s.pod.name". */
static void add_attribute(struct otlp_labels *labels, const struct otlp_attribute *attribute,
			  bool is_sample)
{
	enum place place = place_of(attribute->key);
	struct str name, value;

	/* A sample's service is the service, and no other label. */
	if (place == OF_NOBODY || (is_sample && str_equal(attribute->key, STR("service.name"))))
		return;
	name = label_text(attribute->key, &labels->texts);
	value = value_text(labels, attribute);
	if (place == OF_SAMPLES || (place == OF_ITS_OWNER && is_sample))
		add_sample(labels, name, value);
	else
		add_series(labels, name, value);
}

static void add_owner(struct otlp_labels *labels, const struct otlp_attribute *attributes,
		      size_t count)
{
	for (size_t i = 0; i < count; i++)
		add_attribute(labels, &attributes[i], false);
}

static void add_indexed(struct otlp_labels *labels, const struct otlp_profile *profile,
			struct otlp_range range, bool is_sample)
{
	for (uint32_t i = 0; i < range.count && i < ATTRIBUTE_COUNT_MAX; i++) {
		uint32_t index = profile->indices[range.first + i];

		add_attribute(labels, &profile->tables->attributes.items[index], is_sample);
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

static bool is_machine_id(struct str id)
{
	enum { MACHINE_ID_SIZE = 32 };

	for (size_t i = 0; i < id.size; i++)
		if (!((id.text[i] >= '0' && id.text[i] <= '9') ||
		      (id.text[i] >= 'a' && id.text[i] <= 'f')))
			return false;
	return id.size == MACHINE_ID_SIZE;
}

/* "web-1" is web-1.example.org; names of hosts know no case. */
static bool is_same_host(struct str name, struct str ours)
{
	size_t size = name.size < ours.size ? name.size : ours.size;
	struct str rest = name.size < ours.size ? ours : name;

	return strncasecmp(name.text, ours.text, size) == 0 &&
	       (rest.size == size || rest.text[size] == '.');
}

/* What is said of the host, if anything, must be said of ours. */
static bool is_of_this_host(struct otlp_labels *labels, const struct identity_attributes *identity)
{
	struct str id = value_text(labels, identity->host_id);
	struct str name = value_text(labels, identity->host_name);
	struct str ours = str_from(labels->host_name);
	char text[64];

	if (name.size > 0 && ours.size > 0 && !is_same_host(name, ours))
		return false;
	if (id.size == 0)
		return true;
	ours = read_text("/etc", "machine-id", text, sizeof(text));
	if (ours.size > 0 && ours.text[ours.size - 1] == '\n')
		ours.size--;
	/* Others are a cloud's, of which nothing is known here. */
	return !is_machine_id(id) || ours.size == 0 || str_equal(id, ours);
}

static bool is_pid(int64_t number)
{
	return number > 0 && number <= INT32_MAX;
}

/* The labels of the process, when the sender's number can be the one that /proc knows. */
static int add_process(struct otlp_labels *labels, const struct identity_attributes *identity,
		       const struct claim *claim)
{
	const struct otlp_attribute *pid = identity->pid;
	uint64_t said;
	int err = 0;

	if (!labels->is_local || !pid || pid->value.kind != OTLP_VALUE_INTEGER ||
	    !is_pid(pid->value.integer) || !is_of_this_host(labels, identity))
		return 0;
	said = table_hash_bytes(claim->executable.text, claim->executable.size, 0);
	said = table_hash_bytes(claim->container.text, claim->container.size, said);
	if ((uint64_t)pid->value.integer != labels->process_pid || said != labels->process_said)
		err = find_process(labels, (uint64_t)pid->value.integer, claim);
	if (err)
		return err;
	labels->process_said = said;
	for (size_t i = 0; i < labels->process_count; i++)
		add_series(labels, labels->process[i].name, labels->process[i].value);
	return 0;
}

static int add_identity(struct otlp_labels *labels, const struct otlp_profile *profile,
			const struct otlp_sample *sample)
{
	struct identity_attributes identity = find_identity(profile, sample);
	struct str service = value_text(labels, identity.service);
	struct str container = value_text(labels, identity.container);
	struct str name = value_text(labels, identity.executable_name);
	struct str path = value_text(labels, identity.executable_path);
	struct str executable = str_base_name(name.size > 0 ? name : path);
	int err;

	add_series(labels, STR("service_name"), service);
	err = add_process(labels, &identity, &(struct claim){ executable, container });
	if (err)
		return err;
	/* Which is in no attribute as it is here. */
	if (name.size == 0)
		add_series(labels, STR("process_name"), executable);
	if (container.size > SHORT_ID_SIZE)
		container.size = SHORT_ID_SIZE;
	add_series(labels, STR("service_name"), container);
	if (executable.size > 0)
		add_series(labels, STR("service_name"), prefixed(labels, executable));
	add_series(labels, STR("service_name"), STR("unknown_service"));
	return 0;
}

static struct str hexadecimal(struct otlp_labels *labels, struct str id)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * ID_SIZE_MAX];

	assert(id.size <= ID_SIZE_MAX);
	for (size_t i = 0; i < id.size; i++) {
		text[2 * i] = digits[(uint8_t)id.text[i] >> 4];
		text[2 * i + 1] = digits[id.text[i] & 15];
	}
	return keep(&labels->texts, (struct str){ text, 2 * id.size });
}

/* In one piece, so that none moves. */
static int clear_texts(struct otlp_labels *labels)
{
	buf_clear(&labels->texts);
	if (labels->texts.capacity < TEXTS_SIZE_MAX && !buf_grow(&labels->texts, TEXTS_SIZE_MAX))
		return labels->texts.error;
	labels->texts.size = 0;
	return 0;
}

bool otlp_labels_may_know(struct otlp_labels *labels, int64_t pid)
{
	return labels->is_local && is_pid(pid) && exists(labels, (uint64_t)pid);
}

int otlp_labels_of_pid(struct otlp_labels *labels, int64_t pid, struct str *ret_value)
{
	char number[DECIMAL_SIZE];
	int err = clear_texts(labels);

	*ret_value = err ? (struct str){ 0 } : keep(&labels->texts, decimal(pid, number));
	return err;
}

int otlp_labels_of_link(struct otlp_labels *labels, const struct otlp_link *link,
			struct label ret[static 2])
{
	int err = clear_texts(labels);

	if (err)
		return err;
	ret[0] = (struct label){ STR("span_id"), hexadecimal(labels, link->span_id) };
	ret[1] = (struct label){ STR("trace_id"), hexadecimal(labels, link->trace_id) };
	return 0;
}

int otlp_labels_of_key(struct otlp_labels *labels, struct str key, enum otlp_attribute_use *ret_use,
		       struct str *ret_name)
{
	/* What add_identity() asks for. */
	static const struct str of_identity[] = {
		{ "service.name", 12 },
		{ "container.id", 12 },
		{ "process.executable.name", 23 },
		{ "process.executable.path", 23 },
		{ "process.pid", 11 },
		{ "host.id", 7 },
		{ "host.name", 9 },
	};
	int err = clear_texts(labels);

	*ret_use = OTLP_ATTRIBUTE_OF_NOBODY;
	*ret_name = (struct str){ 0 };
	if (err || place_of(key) == OF_NOBODY)
		return err;
	for (size_t i = 0; i < sizeof(of_identity) / sizeof(of_identity[0]); i++)
		if (str_equal(key, of_identity[i]))
			*ret_use = OTLP_ATTRIBUTE_OF_SERIES;
	if (*ret_use == OTLP_ATTRIBUTE_OF_SERIES)
		return 0;
	*ret_name = label_text(key, &labels->texts);
	if (ret_name->size > 0)
		*ret_use = OTLP_ATTRIBUTE_OF_SAMPLE;
	return labels->texts.error == -ENOMEM ? -ENOMEM : 0;
}

int otlp_labels_of_value(struct otlp_labels *labels, const struct otlp_attribute *attribute,
			 struct str *ret)
{
	int err = clear_texts(labels);

	*ret = (struct str){ 0 };
	if (err)
		return err;
	*ret = value_text(labels, attribute);
	return labels->texts.error == -ENOMEM ? -ENOMEM : 0;
}

int otlp_labels_find(struct otlp_labels *labels, const struct otlp_profile *profile,
		     const struct otlp_sample *sample)
{
	int err = clear_texts(labels);

	labels->series_count = labels->sample_count = 0;
	if (!err)
		err = add_identity(labels, profile, sample);
	if (err)
		return err;
	add_series(labels, STR("__otel__"), STR("true"));
	if (sample->link > 0) {
		const struct otlp_link *link = &profile->tables->links.items[sample->link];

		add_sample(labels, STR("span_id"), hexadecimal(labels, link->span_id));
		add_sample(labels, STR("trace_id"), hexadecimal(labels, link->trace_id));
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

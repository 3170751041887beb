/* SPDX-License-Identifier: Apache-2.0 */
#include "web/labels.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "web/cgroup_path.h"

enum {
	/* NAME_MAX and one: what is a name anywhere on Linux fits. */
	VALUE_SIZE_MAX = 256,
	SHORT_ID_SIZE = 12, /* as docker ps and crictl ps show it */
};

/* How many bytes the character at the start takes; 0 for what is no UTF-8, or a control. */
static size_t character_size(const uint8_t *bytes, size_t left)
{
	uint8_t first = bytes[0];
	size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (first < 0x20 || first == 0x7f || (first >= 0x80 && first < 0xc2) || first > 0xf4 ||
	    size > left)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	/* Too long a form, surrogates, beyond U+10FFFF (RFC 3629, section 4); C1 controls. */
	if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
	    (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f) ||
	    (first == 0xc2 && bytes[1] < 0xa0))
		return 0;
	return size;
}

/* Whether there is a byte that is 0. */
static inline uint64_t has_zero(uint64_t word)
{
	return (word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080);
}

/*
 * How many bytes from the start on, eight at a time, are printable ASCII and no '_': nearly all of
 * nearly all texts.
 */
static size_t plain_size(const char *text, size_t size)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	size_t plain = 0;

	for (; plain + sizeof(uint64_t) <= size; plain += sizeof(uint64_t)) {
		uint64_t word;
		uint64_t controls;

		memcpy(&word, text + plain, sizeof(word));
		controls = (word - each * 0x20) & ~word & each * 0x80;
		if (controls || (word & each * 0x80) || has_zero(word ^ each * 0x7f) ||
		    has_zero(word ^ each * '_'))
			break;
	}
	return plain;
}

/*
 * Label values are text in every protocol that leaves us; a comm or a path may hold any bytes. What
 * is no text becomes '?'; where systemd had to write '_' for '-', that is undone.
 */
static struct str clean(struct str value, bool underscore_to_dash, struct buf *texts)
{
	size_t size = value.size < VALUE_SIZE_MAX ? value.size : VALUE_SIZE_MAX;
	char *made = NULL;

	for (size_t i = plain_size(value.text, size); i < size;) {
		size_t step = character_size((const uint8_t *)value.text + i, size - i);
		char other = step == 0					  ? '?'
			     : underscore_to_dash && value.text[i] == '_' ? '-'
									  : '\0';

		if (other && !made) {
			made = buf_grow(texts, size);
			if (!made)
				return (struct str){ 0 };
			memcpy(made, value.text, size);
		}
		if (other)
			made[i] = other;
		i += step ? step : 1;
	}
	return (struct str){ made ? made : value.text, size };
}

struct str label_text(struct str value, struct buf *texts)
{
	return clean(value, false, texts);
}

static struct str first_of(struct str a, struct str b)
{
	return a.size > 0 ? a : b;
}

static struct str service_of(const struct window_process *process, const struct cgroup_path *path,
			     struct str process_name)
{
	struct str suffix = STR(".service");

	if (process->is_kernel_thread)
		return STR("kernel");
	if (path->container.size > 0)
		return (struct str){ path->container.text,
				     path->container_has_name ||
						     path->container.size < SHORT_ID_SIZE
					     ? path->container.size
					     : SHORT_ID_SIZE };
	if (str_ends_with(path->unit, suffix))
		return (struct str){ path->unit.text, path->unit.size - suffix.size };
	return first_of(path->unit, first_of(process->script, process_name));
}

int labels_of(const struct window_process *process, const char *host_name,
	      struct label labels[static LABELS_MAX], size_t *ret_count, struct buf *texts)
{
	struct cgroup_path path = { 0 };
	struct str process_name = first_of(process->name, first_of(process->comm, STR("unknown")));

	/* Those that a driver starts on behalf of a process stand in its cgroup. */
	if (!process->is_kernel_thread)
		path = cgroup_path_parse(process->cgroup);

	/* In the order of names, as a label set is kept. */
	const struct label all[LABELS_MAX] = {
		{ STR("container_id"), path.container },
		{ STR("host"), str_from(host_name) },
		{ STR("pod"), path.pod },
		{ STR("process_name"), process_name },
		{ STR("service_name"), service_of(process, &path, process_name) },
		{ STR("systemd_unit"), path.unit },
	};
	size_t count = 0;

	/* Taken at once: a buf that grows moves, and with it what was made before. */
	if (!buf_grow(texts, (size_t)LABELS_MAX * VALUE_SIZE_MAX))
		return texts->error;
	texts->size -= (size_t)LABELS_MAX * VALUE_SIZE_MAX;
	for (size_t i = 0; i < LABELS_MAX; i++) {
		bool is_pod = str_equal(all[i].name, STR("pod"));

		assert(i == 0 || str_compare(all[i - 1].name, all[i].name) < 0);
		if (all[i].value.size > 0)
			labels[count++] =
				(struct label){ all[i].name, clean(all[i].value, is_pod, texts) };
	}
	assert(!texts->error);
	*ret_count = count;
	return 0;
}

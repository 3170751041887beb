/* SPDX-License-Identifier: Apache-2.0 */
#include "web/push_name.h"

#include <errno.h>
#include <stdio.h>

#include "base/parse.h"
#include "web/profile_type.h"

static const struct {
	const char *suffix;
	const char *type;
	bool is_time;
} types[] = {
	{ "cpu", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", true },
	{ "itimer", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", true },
	{ "wall", "wall:wall:nanoseconds:cpu:nanoseconds", true },
	{ "seconds", "wall:wall:nanoseconds:cpu:nanoseconds", true },
	{ "milliseconds", "wall:wall:nanoseconds:cpu:nanoseconds", true },
	{ "microseconds", "wall:wall:nanoseconds:cpu:nanoseconds", true },
	{ "nanoseconds", "wall:wall:nanoseconds:cpu:nanoseconds", true },
	{ "inuse_objects", "memory:inuse_objects:count::", false },
	{ "alloc_objects", "memory:alloc_objects:count::", false },
	{ "inuse_space", "memory:inuse_space:bytes::", false },
	{ "alloc_space", "memory:alloc_space:bytes::", false },
	{ "alloc_in_new_tlab_objects", "memory:alloc_in_new_tlab_objects:count::", false },
	{ "alloc_in_new_tlab_bytes", "memory:alloc_in_new_tlab_bytes:bytes::", false },
	{ "alloc_outside_tlab_objects", "memory:alloc_outside_tlab_objects:count::", false },
	{ "alloc_outside_tlab_bytes", "memory:alloc_outside_tlab_bytes:bytes::", false },
	{ "live", "memory:live:count::", false },
	{ "bytes", "memory:samples:bytes::", false },
	{ "goroutines", "goroutine:goroutines:count::", false },
	{ "mutex_count", "mutex:contentions:count::", false },
	{ "mutex_duration", "mutex:delay:nanoseconds::", false },
	{ "block_count", "block:contentions:count::", false },
	{ "lock_count", "block:contentions:count::", false },
	{ "block_duration", "block:delay:nanoseconds::", false },
	{ "lock_duration", "block:delay:nanoseconds::", false },
	{ "exceptions", "exceptions:samples:count::", false },
};

static struct str trimmed(struct str text)
{
	while (text.size > 0 && text.text[0] == ' ')
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 && text.text[text.size - 1] == ' ')
		text.size--;
	return text;
}

static void read_suffix(struct push_name *name)
{
	struct str full = name->full;
	size_t dot = full.size;

	name->application = full;
	name->type = PROFILE_TYPE_CPU;
	name->is_time = true;
	while (dot > 0 && full.text[dot - 1] != '.')
		dot--;
	if (dot < 2)
		return;

	struct str suffix = { full.text + dot, full.size - dot };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!str_equal(suffix, str_from(types[i].suffix)))
			continue;
		name->application.size = dot - 1;
		name->type = str_from(types[i].type);
		name->is_time = types[i].is_time;
	}
}

static int read_label(struct str text, struct push_name *name, struct push_labels *labels,
		      char reterr[static PUSH_LABELS_ERROR_SIZE])
{
	struct str value = text;
	struct str key = { 0 };

	if (!parse_next(&value, '=', &key) || trimmed(text).size == 0)
		return 0;
	key = trimmed(key);
	value = trimmed(value);
	if (str_starts_with(key, STR("__")))
		return 0;
	if (str_equal(key, STR("profile_id"))) {
		name->is_exemplar = value.size > 0;
		return 0;
	}
	name->is_named |= str_equal(key, STR("service_name")) && value.size > 0;
	return push_labels_add(labels, key, value, reterr);
}

int push_name_read(struct str text, struct push_name *ret, struct push_labels *labels,
		   char reterr[static PUSH_LABELS_ERROR_SIZE])
{
	struct push_name name = { 0 };
	struct str rest = text;
	struct str label;
	int err = 0;

	reterr[0] = '\0';
	(void)parse_next(&rest, '{', &name.full);
	name.full = trimmed(name.full);
	rest = trimmed(rest);
	if (rest.size > 0 && rest.text[rest.size - 1] == '}')
		rest.size--;
	read_suffix(&name);
	if (name.application.size == 0 || name.application.size > PUSH_LABEL_VALUE_SIZE_MAX) {
		snprintf(reterr, PUSH_LABELS_ERROR_SIZE,
			 "name: it must be the application's, of up to %d bytes, with labels in "
			 "braces, as in shop{region=eu}",
			 PUSH_LABEL_VALUE_SIZE_MAX);
		return -EINVAL;
	}
	while (!err && parse_next(&rest, ',', &label))
		err = read_label(label, &name, labels, reterr);
	if (!err)
		*ret = name;
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/push_labels.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "web/utf8_mend.h"

enum {
	/* A byte that is none becomes three. */
	TEXTS_SIZE_MAX = 3 * (PUSH_LABEL_COUNT_MAX + 2) *
			 (PUSH_LABEL_NAME_SIZE_MAX + PUSH_LABEL_VALUE_SIZE_MAX),
	SHOWN_SIZE = 40, /* of a name, in a sentence */
};

#define DELTA_PREFIX STR("godeltaprof_")

void push_labels_init(struct push_labels *labels)
{
	*labels = (struct push_labels){ .texts = BUF(TEXTS_SIZE_MAX) };
}

void push_labels_done(struct push_labels *labels)
{
	buf_done(&labels->texts);
}

__attribute__((format(printf, 2, 3))) static int refuse(char reterr[static PUSH_LABELS_ERROR_SIZE],
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reterr, PUSH_LABELS_ERROR_SIZE, format, args);
	va_end(args);
	return -EINVAL;
}

/* What the store makes itself, and what means something to a server only. */
static bool is_reserved(struct str name)
{
	static const char *const names[] = {
		"__delta__", "__order__",	"__session_id__",  "__profile_type__", "__type__",
		"__unit__",  "__period_type__", "__period_unit__", "__service_name__",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_equal(name, str_from(names[i])))
			return true;
	return false;
}

/* Bytes that are no character become U+FFFD. Texts are given room at once, so that none moves. */
static int mend_text(struct push_labels *labels, struct str *text)
{
	size_t start = labels->texts.size;

	if (utf8_is_valid(*text))
		return 0;
	if (labels->texts.capacity == 0) {
		if (!buf_grow(&labels->texts, TEXTS_SIZE_MAX))
			return labels->texts.error;
		labels->texts.size = 0;
	}
	utf8_mend(*text, &labels->texts);
	if (labels->texts.error)
		return labels->texts.error;
	*text = (struct str){ (const char *)labels->texts.bytes + start,
			      labels->texts.size - start };
	labels->repairs[PUSH_LABEL_TEXT]++;
	return 0;
}

static int check_sizes(struct str name, struct str value,
		       char reterr[static PUSH_LABELS_ERROR_SIZE])
{
	int shown = name.size < SHOWN_SIZE ? (int)name.size : SHOWN_SIZE;

	if (name.size == 0)
		return refuse(reterr, "a label has no name");
	if (name.size > PUSH_LABEL_NAME_SIZE_MAX)
		return refuse(reterr, "the label name '%.*s…' is longer than %d bytes", shown,
			      name.text, PUSH_LABEL_NAME_SIZE_MAX);
	if (value.size > PUSH_LABEL_VALUE_SIZE_MAX)
		return refuse(reterr, "the value of label '%.*s' is longer than %d bytes", shown,
			      name.text, PUSH_LABEL_VALUE_SIZE_MAX);
	return 0;
}

/* The same twice is once; of two services the later is meant, since agents add theirs at the end.
 */
static int take_duplicate(struct push_labels *labels, struct str *held, struct str name,
			  struct str value, char reterr[static PUSH_LABELS_ERROR_SIZE])
{
	if (!str_equal(*held, value) && !str_equal(name, STR("service_name")) &&
	    !str_equal(name, STR("app_name")))
		return refuse(reterr, "label '%.*s' is given twice, with two values",
			      name.size < SHOWN_SIZE ? (int)name.size : SHOWN_SIZE, name.text);
	*held = value;
	labels->repairs[PUSH_LABEL_DUPLICATE]++;
	return 0;
}

int push_labels_add(struct push_labels *labels, struct str name, struct str value,
		    char reterr[static PUSH_LABELS_ERROR_SIZE])
{
	int err = check_sizes(name, value, reterr);

	if (!err)
		err = mend_text(labels, &name);
	if (!err)
		err = mend_text(labels, &value);
	if (err == -EFBIG)
		return refuse(reterr, "too many of its labels are no UTF-8");
	if (err || value.size == 0 || is_reserved(name))
		return err;
	if (str_equal(name, STR("__name__"))) {
		if (labels->name.size > 0)
			return take_duplicate(labels, &labels->name, name, value, reterr);
		labels->name = value;
		return 0;
	}
	for (size_t i = 0; i < labels->count; i++)
		if (str_equal(labels->labels[i].name, name))
			return take_duplicate(labels, &labels->labels[i].value, name, value,
					      reterr);
	/* The name is one, too. */
	if (labels->count == PUSH_LABEL_COUNT_MAX - 1)
		return refuse(reterr, "it has more than %d labels", PUSH_LABEL_COUNT_MAX);
	labels->labels[labels->count++] = (struct label){ name, value };
	return 0;
}

static bool has_label(const struct push_labels *labels, struct str name)
{
	for (size_t i = 0; i < labels->count; i++)
		if (str_equal(labels->labels[i].name, name))
			return true;
	return false;
}

void push_labels_finish(struct push_labels *labels)
{
	struct str name = labels->name;

	assert(labels->count < PUSH_LABEL_COUNT_MAX);
	if (!has_label(labels, STR("service_name"))) {
		labels->labels[labels->count++] =
			(struct label){ STR("service_name"), STR("unknown_service") };
		labels->repairs[PUSH_LABEL_SERVICE]++;
	}
	if (str_starts_with(name, DELTA_PREFIX) && name.size > DELTA_PREFIX.size) {
		labels->name = (struct str){ name.text + DELTA_PREFIX.size,
					     name.size - DELTA_PREFIX.size };
		if (!has_label(labels, STR("__name_replaced__")))
			labels->labels[labels->count++] =
				(struct label){ STR("__name_replaced__"), name };
	}
	assert(labels->count <= sizeof(labels->labels) / sizeof(labels->labels[0]));
}

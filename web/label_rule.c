/* SPDX-License-Identifier: Apache-2.0 */
#include "web/label_rule.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/utf8.h"
#include "store/catalog.h"
#include "web/label_values.h"

static const struct {
	const char *name;
	const char *form;
	unsigned word_count; /* behind the name, before the selector */
	bool needs_selector;
} kinds[LABEL_RULE_KIND_COUNT] = {
	[LABEL_RULE_DROP] = { "drop", "drop {service_name=\"noisy\"}", 0, true },
	[LABEL_RULE_KEEP] = { "keep", "keep {env=\"prod\"}", 0, true },
	[LABEL_RULE_RENAME] = { "rename", "rename k8s.pod.name pod", 2, false },
	[LABEL_RULE_SET] = { "set", "set env \"prod\"", 2, false },
	[LABEL_RULE_REMOVE] = { "remove", "remove host_id", 1, false },
	[LABEL_RULE_SAMPLE] = { "sample", "sample 1/10 {env=\"test\"}", 1, false },
	[LABEL_RULE_LIMIT] = { "limit", "limit pod 200", 2, false },
};

/* ---- reading ----------------------------------------------------------------------------------
 */

struct parser {
	struct label_rule *rule;
	char *at; /* in its words, which end with a NUL */
	char *reterr;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct parser *parser, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(parser->reterr, LABEL_RULE_ERROR_SIZE, format, args);
	va_end(args);
	return -EINVAL;
}

static void skip_space(struct parser *parser)
{
	while (*parser->at == ' ' || *parser->at == '\t')
		parser->at++;
}

/* Takes quotes and backslashes out, where it stands. */
static int take_quoted(struct parser *parser, struct str *ret)
{
	char quote = *parser->at++;
	char *end = parser->at;

	ret->text = parser->at;
	for (; *parser->at != quote; parser->at++) {
		if (*parser->at == '\\' && quote != '`' && parser->at[1])
			parser->at++;
		if (!*parser->at)
			return refuse(parser, "a quoted text has no end");
		*end++ = *parser->at;
	}
	parser->at++;
	ret->size = (size_t)(end - ret->text);
	return 0;
}

/* A bare word, or a quoted text; empty at the end and before a selector. */
static int take_word(struct parser *parser, struct str *ret, bool *ret_is_quoted)
{
	skip_space(parser);
	*ret_is_quoted = *parser->at && strchr("\"'`", *parser->at);
	if (*ret_is_quoted)
		return take_quoted(parser, ret);
	ret->text = parser->at;
	while (*parser->at && !strchr(" \t{\"'`", *parser->at))
		parser->at++;
	ret->size = (size_t)(parser->at - ret->text);
	return 0;
}

static int find_kind(struct parser *parser, struct str word)
{
	char known[128];
	size_t size = 0;

	for (int i = 0; i < LABEL_RULE_KIND_COUNT; i++) {
		if (str_equal(word, str_from(kinds[i].name))) {
			parser->rule->kind = (enum label_rule_kind)i;
			return 0;
		}
		size += (size_t)snprintf(known + size, sizeof(known) - size, "%s%s",
					 i > 0 ? ", " : "", kinds[i].name);
	}
	return refuse(parser, "'%.*s' is nothing that a rule does; it is one of %s",
		      (int)(word.size < 60 ? word.size : 60), word.text, known);
}

/* What a label may be called: the store makes those with two underscores itself. */
static int check_label(struct parser *parser, struct str label)
{
	enum { SIZE_MAX_SHOWN = 60, NAME_SIZE_MAX = 200 };

	if (label.size == 0 || label.size > NAME_SIZE_MAX || !utf8_is_valid(label))
		return refuse(parser, "a label's name has 1 to %d bytes of UTF-8", NAME_SIZE_MAX);
	if (str_starts_with(label, STR("__")))
		return refuse(parser,
			      "'%.*s' is made of the profile's type, and no rule changes it",
			      (int)(label.size < SIZE_MAX_SHOWN ? label.size : SIZE_MAX_SHOWN),
			      label.text);
	return 0;
}

static int take_number(struct parser *parser, struct str word, uint64_t most)
{
	struct label_rule *rule = parser->rule;
	bool is_share = rule->kind == LABEL_RULE_SAMPLE;
	uint64_t least = is_share ? 2 : 1;

	if (is_share && str_starts_with(word, STR("1/"))) {
		word.text += 2;
		word.size -= 2;
	} else if (is_share) {
		word.size = 0;
	}
	if (parse_u64(word, &rule->number) || rule->number < least || rule->number > most)
		return refuse(parser, "%s takes %s%llu to %s%llu, as in '%s'",
			      kinds[rule->kind].name, is_share ? "1/" : "",
			      (unsigned long long)least, is_share ? "1/" : "",
			      (unsigned long long)most, kinds[rule->kind].form);
	return 0;
}

static int take_operands(struct parser *parser)
{
	struct label_rule *rule = parser->rule;
	struct str words[2] = { { 0 } };
	bool is_quoted = false;
	int err = 0;

	for (unsigned i = 0; !err && i < kinds[rule->kind].word_count; i++) {
		err = take_word(parser, &words[i], &is_quoted);
		if (!err && words[i].size == 0 && !is_quoted)
			err = refuse(parser, "%s lacks something; write it as in '%s'",
				     kinds[rule->kind].name, kinds[rule->kind].form);
	}
	if (err || kinds[rule->kind].word_count == 0)
		return err;
	if (rule->kind == LABEL_RULE_SAMPLE)
		return take_number(parser, words[0], LABEL_RULE_SAMPLE_MAX);
	rule->label = words[0];
	rule->value = words[1];
	err = check_label(parser, rule->label);
	if (!err && rule->kind == LABEL_RULE_RENAME)
		err = check_label(parser, rule->value);
	if (!err && rule->kind == LABEL_RULE_RENAME && str_equal(rule->label, rule->value))
		err = refuse(parser, "the new name is the old one");
	if (!err && rule->kind == LABEL_RULE_SET && rule->value.size == 0)
		err = refuse(parser, "a label without a value is none; write remove");
	if (!err && rule->kind == LABEL_RULE_SET && !utf8_is_valid(rule->value))
		err = refuse(parser, "the value is no UTF-8");
	if (!err && rule->kind == LABEL_RULE_LIMIT)
		err = take_number(parser, words[1], LABEL_RULE_LIMIT_MAX);
	return err;
}

static int take_selector(struct parser *parser)
{
	struct label_rule *rule = parser->rule;
	char reason[SELECTOR_ERROR_SIZE];
	int err = 0;

	skip_space(parser);
	rule->selector_text = str_from(parser->at);
	/* A bare word would be the name of a profile's type, and is a word too many. */
	if (rule->selector_text.size > 0 && !strchr(parser->at, '{'))
		return refuse(parser, "'%.120s' is no selector, which stands in braces, as in '%s'",
			      parser->at, "{env=\"prod\"}");
	if (rule->selector_text.size > 0)
		err = selector_parse(rule->selector_text, &rule->selector, reason);
	if (err == -EINVAL || err == -E2BIG)
		return refuse(parser, "in '%.120s': %.180s", parser->at, reason);
	if (err)
		return err;
	if (kinds[rule->kind].needs_selector &&
	    (!rule->selector || selector_count(rule->selector) == 0))
		return refuse(parser, "%s wants to know what, as in '%s'", kinds[rule->kind].name,
			      kinds[rule->kind].form);
	return 0;
}

static int parse(struct parser *parser)
{
	struct str word = { 0 };
	bool is_quoted = false;
	int err = take_word(parser, &word, &is_quoted);

	if (!err)
		err = find_kind(parser, word);
	if (!err)
		err = take_operands(parser);
	if (!err)
		err = take_selector(parser);
	if (!err && parser->rule->kind == LABEL_RULE_LIMIT)
		err = label_values_new((uint32_t)parser->rule->number, LABEL_RULE_FORGET_S,
				       &parser->rule->values);
	return err;
}

int label_rule_parse(struct str text, struct label_rule **ret,
		     char reterr[static LABEL_RULE_ERROR_SIZE])
{
	autoclean(label_rule) struct label_rule *rule = calloc(1, sizeof(*rule));
	struct parser parser = { .rule = rule, .reterr = reterr };
	int err;

	reterr[0] = '\0';
	if (!rule)
		return -ENOMEM;
	if (memchr(text.text ? text.text : "", '\0', text.size))
		return refuse(&parser, "there is a NUL byte in it");
	rule->text = strndup(text.text ? text.text : "", text.size);
	rule->words = strndup(text.text ? text.text : "", text.size);
	if (!rule->text || !rule->words)
		return -ENOMEM;
	parser.at = rule->words;
	err = parse(&parser);
	if (!err)
		*ret = TAKE(rule);
	return err;
}

struct label_rule *label_rule_free(struct label_rule *rule)
{
	if (!rule)
		return NULL;
	selector_free(rule->selector);
	label_values_free(rule->values);
	free(rule->text);
	free(rule->words);
	free(rule);
	return NULL;
}

/* ---- in words ---------------------------------------------------------------------------------
 */

static void explain_change(const struct label_rule *rule, struct buf *text)
{
	switch (rule->kind) {
	case LABEL_RULE_RENAME:
		buf_printf(text, "the label %.*s is stored as %.*s", STR_PRINT(rule->label),
			   STR_PRINT(rule->value));
		break;
	case LABEL_RULE_SET:
		buf_printf(text, "the label %.*s is stored as \"%.*s\", whatever it was",
			   STR_PRINT(rule->label), STR_PRINT(rule->value));
		break;
	case LABEL_RULE_REMOVE:
		buf_printf(text, "the label %.*s is not stored", STR_PRINT(rule->label));
		break;
	case LABEL_RULE_SAMPLE:
		buf_printf(text,
			   "one sample of %llu is stored and weighs as much as %llu, so that sums "
			   "stay as they are",
			   (unsigned long long)rule->number, (unsigned long long)rule->number);
		break;
	case LABEL_RULE_LIMIT:
		buf_printf(text,
			   "%llu values of the label %.*s are told apart, and further ones stored "
			   "as \"other\" until one of those did not come for an hour",
			   (unsigned long long)rule->number, STR_PRINT(rule->label));
		break;
	case LABEL_RULE_DROP:
	case LABEL_RULE_KEEP:
	case LABEL_RULE_KIND_COUNT:
		assert(false);
	}
}

void label_rule_explain(const struct label_rule *rule, struct buf *text)
{
	if (rule->kind == LABEL_RULE_DROP) {
		buf_printf(text, "samples of %.*s are not stored", STR_PRINT(rule->selector_text));
	} else if (rule->kind == LABEL_RULE_KEEP) {
		buf_printf(text, "samples of anything but %.*s are not stored",
			   STR_PRINT(rule->selector_text));
	} else {
		explain_change(rule, text);
		if (rule->selector_text.size > 0)
			buf_printf(text, "; of %.*s alone", STR_PRINT(rule->selector_text));
	}
}

/* ---- doing ------------------------------------------------------------------------------------
 */

/* Whether the label's name is this one, or what it is where names have letters and '_' alone. */
static bool is_called(struct str label, struct str name)
{
	if (label.size != name.size)
		return false;
	for (size_t i = 0; i < name.size; i++) {
		char c = name.text[i];
		bool is_plain =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (label.text[i] != c && (is_plain || label.text[i] != '_'))
			return false;
	}
	return true;
}

static struct label *find_in(struct label *labels, size_t count, struct str name)
{
	struct label *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (str_equal(labels[i].name, name))
			return &labels[i];
		if (!found && is_called(labels[i].name, name))
			found = &labels[i];
	}
	return found;
}

static struct label *find_named(struct relabelling *samples, struct str name)
{
	struct label *found = find_in(samples->series, samples->series_count, name);

	return found ? found : find_in(samples->sample, samples->sample_count, name);
}

/* As a question finds it: by our own collector's name, too. */
static struct label *find_label(struct relabelling *samples, struct str name)
{
	struct label *found = find_named(samples, name);
	struct str theirs = found ? (struct str){ 0 } : catalog_synonym(name);

	return theirs.size > 0 ? find_named(samples, theirs) : found;
}

static struct str generated(const struct relabelling *samples, struct str name)
{
	static const char *const parts[] = { "__name__", "__type__", "__unit__", "__period_type__",
					     "__period_unit__" };

	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (str_equal(name, str_from(parts[i])))
			return catalog_type_part(samples->type, i);
	return str_equal(name, STR("__profile_type__")) ? samples->type : (struct str){ 0 };
}

static struct str look_up(const void *context, struct str name)
{
	/* It finds them for others, who change them; here nobody does. */
	struct relabelling *samples = (struct relabelling *)(uintptr_t)context;
	const struct label *found = find_label(samples, name);

	if (found)
		return found->value;
	if (str_equal(name, STR("__service_name__"))) {
		found = find_label(samples, STR("service_name"));
		return found ? found->value : (struct str){ 0 };
	}
	return generated(samples, name);
}

static void remove_from(struct label *labels, size_t *count, const struct label *label)
{
	if (label >= labels && label < labels + *count)
		labels[label - labels] = labels[--*count];
}

static void remove_label(struct relabelling *samples, const struct label *label)
{
	remove_from(samples->series, &samples->series_count, label);
	remove_from(samples->sample, &samples->sample_count, label);
}

/* One that has the new name already gives way. */
static bool rename_label(const struct label_rule *rule, struct relabelling *samples)
{
	const struct label *label = find_label(samples, rule->label);
	const struct label *other;

	if (!label || str_equal(label->name, rule->value))
		return false;

	struct label renamed = { rule->value, label->value };
	bool is_of_series =
		label >= samples->series && label < samples->series + samples->series_count;

	remove_label(samples, label);
	while ((other = find_label(samples, rule->value)) != NULL)
		remove_label(samples, other);
	if (is_of_series)
		samples->series[samples->series_count++] = renamed;
	else
		samples->sample[samples->sample_count++] = renamed;
	return true;
}

static bool set_label(const struct label_rule *rule, struct relabelling *samples)
{
	struct label *label = find_label(samples, rule->label);

	if (label && str_equal(label->value, rule->value))
		return false;
	if (label)
		label->value = rule->value;
	else if (samples->series_count < RELABEL_COUNT_MAX)
		samples->series[samples->series_count++] =
			(struct label){ rule->label, rule->value };
	else
		return false;
	return true;
}

static bool limit_label(const struct label_rule *rule, struct relabelling *samples, uint64_t now_s)
{
	struct label *label = find_label(samples, rule->label);

	if (!label || str_equal(label->value, STR("other")) ||
	    label_values_admit(rule->values, label->value, now_s))
		return false;
	label->value = STR("other");
	return true;
}

static bool change(const struct label_rule *rule, struct relabelling *samples, uint64_t now_s)
{
	const struct label *label;

	switch (rule->kind) {
	case LABEL_RULE_RENAME:
		return rename_label(rule, samples);
	case LABEL_RULE_SET:
		return set_label(rule, samples);
	case LABEL_RULE_REMOVE:
		label = find_label(samples, rule->label);
		if (label)
			remove_label(samples, label);
		return label != NULL;
	case LABEL_RULE_LIMIT:
		return limit_label(rule, samples, now_s);
	case LABEL_RULE_DROP:
	case LABEL_RULE_KEEP:
	case LABEL_RULE_SAMPLE:
	case LABEL_RULE_KIND_COUNT:
		break;
	}
	return false;
}

bool label_rule_apply(struct label_rule *rule, struct relabelling *samples, uint64_t now_s)
{
	bool matches = !rule->selector || selector_matches(rule->selector, look_up, samples);
	bool acts = matches != (rule->kind == LABEL_RULE_KEEP);

	if (!acts)
		return false;
	if (rule->kind == LABEL_RULE_DROP || rule->kind == LABEL_RULE_KEEP) {
		samples->is_dropped = true;
	} else if (rule->kind == LABEL_RULE_SAMPLE) {
		if (__builtin_mul_overflow(samples->one_of, rule->number, &samples->one_of))
			samples->one_of = UINT64_MAX;
	} else {
		acts = change(rule, samples, now_s);
		samples->is_changed |= acts;
	}
	if (acts)
		rule->samples += samples->samples;
	return acts;
}

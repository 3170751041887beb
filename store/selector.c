/* SPDX-License-Identifier: Apache-2.0 */
#include "store/selector.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buf.h"
#include "store/array.h"

enum {
	TEXT_SIZE_MAX = 16 << 10,
	MATCHER_COUNT_MAX = 100,
	/* Grafana's longest lists of alternatives stay far below: 100,000 steps are about 2 ms. */
	MATCH_LIMIT = 100000,
	MATCH_DEPTH_MAX = 2000,
	MATCH_HEAP_KIB_MAX = 2048,
	PARENTHESES_DEPTH_MAX = 64,
	PROFILE_TYPE_COLONS = 4,
};

enum operation {
	EQUAL,
	NOT_EQUAL,
	MATCHES,
	NOT_MATCHES,
};

struct matcher {
	struct str name; /* both point into one allocation */
	struct str value;
	pcre2_code *regex;
	enum operation operation;
};

struct selector {
	ARRAY(struct matcher) matchers;
	pcre2_match_context *limits;
};

struct parser {
	struct selector *selector;
	const char *text;
	size_t size;
	size_t at;
	char *reterr;
};

static int __attribute__((format(printf, 3, 4)))
fail(struct parser *parser, size_t at, const char *format, ...)
{
	va_list args;
	int size = snprintf(parser->reterr, SELECTOR_ERROR_SIZE, "byte %zu: ", at);

	va_start(args, format);
	vsnprintf(parser->reterr + size, SELECTOR_ERROR_SIZE - (size_t)size, format, args);
	va_end(args);
	return -EINVAL;
}

static void skip_space(struct parser *parser)
{
	while (parser->at < parser->size && strchr(" \t\r\n", parser->text[parser->at]) &&
	       parser->text[parser->at])
		parser->at++;
}

/* The next byte, or -1 at the end. */
static int peek(const struct parser *parser)
{
	return parser->at < parser->size ? (unsigned char)parser->text[parser->at] : -1;
}

static bool is_letter(int byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

/* A name of letters, digits and '_', in metric names ':' as well; empty when there is none here. */
static struct str take_name(struct parser *parser, bool colons)
{
	size_t start = parser->at;

	while (is_letter(peek(parser)) || (colons && peek(parser) == ':') ||
	       (parser->at > start && peek(parser) >= '0' && peek(parser) <= '9'))
		parser->at++;
	return (struct str){ parser->text + start, parser->at - start };
}

static void add_utf8(struct buf *buf, uint32_t rune)
{
	if (rune < 0x80) {
		buf_add_u8(buf, (uint8_t)rune);
		return;
	}
	if (rune < 0x800) {
		buf_add_u8(buf, (uint8_t)(0xc0 | rune >> 6));
	} else {
		if (rune < 0x10000) {
			buf_add_u8(buf, (uint8_t)(0xe0 | rune >> 12));
		} else {
			buf_add_u8(buf, (uint8_t)(0xf0 | rune >> 18));
			buf_add_u8(buf, (uint8_t)(0x80 | (rune >> 12 & 0x3f)));
		}
		buf_add_u8(buf, (uint8_t)(0x80 | (rune >> 6 & 0x3f)));
	}
	buf_add_u8(buf, (uint8_t)(0x80 | (rune & 0x3f)));
}

static int digit_value(int byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return 16;
}

static int take_digits(struct parser *parser, unsigned base, unsigned count, uint32_t *ret)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned digit = (unsigned)digit_value(peek(parser));

		if (digit >= base)
			return fail(parser, parser->at, "expected %u digits of base %u", count,
				    base);
		value = value * base + digit;
		parser->at++;
	}
	*ret = value;
	return 0;
}

/* After the backslash: what Go's strings allow. */
static int take_escape(struct parser *parser, struct buf *buf)
{
	static const char letters[] = "abfnrtv\\'\"";
	static const char meanings[] = "\a\b\f\n\r\t\v\\'\"";
	size_t start = parser->at;
	int byte = peek(parser);
	uint32_t value = 0;

	if (byte > 0 && strchr(letters, byte)) {
		buf_add_u8(buf, (uint8_t)meanings[strchr(letters, byte) - letters]);
		parser->at++;
		return 0;
	}
	if (byte >= '0' && byte <= '7') {
		int err = take_digits(parser, 8, 3, &value);

		if (!err && value > UINT8_MAX)
			err = fail(parser, start, "an octal escape ends at \\377");
		if (!err)
			buf_add_u8(buf, (uint8_t)value);
		return err;
	}
	if (byte != 'x' && byte != 'u' && byte != 'U')
		return fail(parser, start,
			    "no such escape; known are \\\\ \\\" \\' \\n \\t \\xHH \\uHHHH");

	parser->at++;

	int err = take_digits(parser, 16, byte == 'x' ? 2 : byte == 'u' ? 4 : 8, &value);

	if (err)
		return err;
	if (byte == 'x')
		buf_add_u8(buf, (uint8_t)value);
	else if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return fail(parser, start, "no character has this number");
	else
		add_utf8(buf, value);
	return 0;
}

static bool at_quote(const struct parser *parser)
{
	int byte = peek(parser);

	return byte == '"' || byte == '\'' || byte == '`';
}

/* Appends the meaning of a quoted text to buf. */
static int take_quoted(struct parser *parser, struct buf *buf)
{
	size_t start = parser->at;
	int quote = peek(parser);

	assert(at_quote(parser));
	parser->at++;
	while (peek(parser) != quote) {
		int byte = peek(parser);

		if (byte < 0 || (byte == '\n' && quote != '`'))
			return fail(parser, start, "this quoted text has no end");
		parser->at++;
		if (byte == '\\' && quote != '`') {
			int err = take_escape(parser, buf);

			if (err)
				return err;
		} else {
			buf_add_u8(buf, (uint8_t)byte);
		}
	}
	parser->at++;
	return buf->error;
}

static void matcher_done(struct matcher *matcher)
{
	pcre2_code_free(matcher->regex);
	free((void *)matcher->name.text);
}

static int compile(struct parser *parser, size_t at, struct matcher *matcher)
{
	const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_ANCHORED |
				 PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY |
				 PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	int code = 0;
	size_t offset = 0;

	if (!context)
		return -ENOMEM;
	pcre2_set_parens_nest_limit(context, PARENTHESES_DEPTH_MAX);
	matcher->regex = pcre2_compile((PCRE2_SPTR)matcher->value.text, matcher->value.size,
				       options, &code, &offset, context);
	pcre2_compile_context_free(context);
	if (matcher->regex)
		return 0;
	if (code == PCRE2_ERROR_NOMEMORY)
		return -ENOMEM;

	PCRE2_UCHAR message[128];

	if (pcre2_get_error_message(code, message, sizeof(message)) < 0)
		message[0] = '\0';
	return fail(parser, at, "not a regular expression: %s (at its byte %zu)", (char *)message,
		    offset);
}

/* Takes over nothing: name and value are copied. at: where a wrong expression is reported. */
static int add_matcher(struct parser *parser, struct str name, enum operation operation,
		       struct str value, size_t at)
{
	struct selector *selector = parser->selector;

	if (selector->matchers.count >= MATCHER_COUNT_MAX) {
		snprintf(parser->reterr, SELECTOR_ERROR_SIZE, "byte %zu: more than %d matchers",
			 parser->at, MATCHER_COUNT_MAX);
		return -E2BIG;
	}
	if (array_reserve(&selector->matchers, 1) < 0)
		return -ENOMEM;

	char *texts = malloc(name.size + value.size + 1);

	if (!texts)
		return -ENOMEM;
	if (name.size)
		memcpy(texts, name.text, name.size);
	if (value.size)
		memcpy(texts + name.size, value.text, value.size);

	struct matcher matcher = {
		.name = { texts, name.size },
		.value = { texts + name.size, value.size },
		.operation = operation,
	};
	int err = operation >= MATCHES ? compile(parser, at, &matcher) : 0;

	if (err) {
		matcher_done(&matcher);
		return err;
	}
	selector->matchers.items[selector->matchers.count++] = matcher;
	return 0;
}

/*
 * A metric name is a profile's name; one with colons is what Grafana's variable editor and
 * /pyroscope/render send: a type id, of which a sixth part ("delta") does not count.
 */
static int add_metric_name(struct parser *parser, struct str name)
{
	size_t colons = 0;

	for (size_t i = 0; i < name.size; i++)
		if (name.text[i] == ':' && ++colons > PROFILE_TYPE_COLONS) {
			name.size = i;
			break;
		}
	return add_matcher(parser, colons ? STR("__profile_type__") : STR("__name__"), EQUAL, name,
			   parser->at);
}

static int take_operation(struct parser *parser, enum operation *ret)
{
	int first = peek(parser);
	int second = parser->at + 1 < parser->size ? parser->text[parser->at + 1] : -1;

	if (first == '=' && second == '~')
		*ret = MATCHES;
	else if (first == '!' && second == '~')
		*ret = NOT_MATCHES;
	else if (first == '!' && second == '=')
		*ret = NOT_EQUAL;
	else if (first == '=')
		*ret = EQUAL;
	else
		return fail(parser, parser->at, "expected =, !=, =~ or !~");
	parser->at += first == '=' && second != '~' ? 1 : 2;
	return 0;
}

/* One matcher, or a quoted metric name. */
static int take_matcher(struct parser *parser)
{
	autoclean(buf) struct buf name = BUF(TEXT_SIZE_MAX);
	autoclean(buf) struct buf value = BUF(TEXT_SIZE_MAX);
	bool quoted = at_quote(parser);
	enum operation operation = EQUAL;
	int err = 0;

	if (quoted) {
		err = take_quoted(parser, &name);
	} else {
		struct str bare = take_name(parser, false);

		if (bare.size == 0)
			return fail(parser, parser->at, "expected a label name or '}'");
		buf_add_str(&name, bare);
		err = name.error;
	}
	if (err)
		return err;

	struct str name_text = { (const char *)name.bytes, name.size };

	skip_space(parser);
	if (quoted && (peek(parser) == ',' || peek(parser) == '}'))
		return add_metric_name(parser, name_text);
	if (name.size == 0)
		return fail(parser, parser->at, "a label name can't be empty");
	err = take_operation(parser, &operation);
	if (err)
		return err;

	skip_space(parser);

	size_t at = parser->at;

	if (!at_quote(parser))
		return fail(parser, at, "expected a quoted value");
	err = take_quoted(parser, &value);
	if (err)
		return err;
	return add_matcher(parser, name_text, operation,
			   (struct str){ (const char *)value.bytes, value.size }, at);
}

static int take_matchers(struct parser *parser)
{
	assert(peek(parser) == '{');
	parser->at++;
	skip_space(parser);
	while (peek(parser) != '}') {
		int err = take_matcher(parser);

		if (err)
			return err;
		skip_space(parser);
		if (peek(parser) == ',')
			parser->at++;
		else if (peek(parser) != '}')
			return fail(parser, parser->at, "expected ',' or '}'");
		skip_space(parser);
	}
	parser->at++;
	return 0;
}

static int parse(struct parser *parser)
{
	skip_space(parser);

	struct str name = take_name(parser, true);
	int err = name.size ? add_metric_name(parser, name) : 0;

	if (err)
		return err;
	skip_space(parser);
	if (peek(parser) == '{')
		err = take_matchers(parser);
	if (err)
		return err;
	skip_space(parser);
	if (peek(parser) >= 0)
		return fail(parser, parser->at, "expected %s",
			    parser->at == 0 ? "'{' or a metric name" : "the end");
	return 0;
}

int selector_add(struct selector *selector, struct str text,
		 char reterr[static SELECTOR_ERROR_SIZE])
{
	reterr[0] = '\0';
	if (text.size > TEXT_SIZE_MAX) {
		snprintf(reterr, SELECTOR_ERROR_SIZE, "a selector of %zu bytes; at most %d",
			 text.size, TEXT_SIZE_MAX);
		return -E2BIG;
	}

	uint32_t count = selector->matchers.count;
	struct parser parser = {
		.selector = selector, .text = text.text, .size = text.size, .reterr = reterr
	};
	int err = parse(&parser);

	/* What a wrong text added before its mistake goes again. */
	while (err && selector->matchers.count > count)
		matcher_done(&selector->matchers.items[--selector->matchers.count]);
	if (err == -EFBIG)
		err = -E2BIG;
	if (err && !reterr[0])
		snprintf(reterr, SELECTOR_ERROR_SIZE, "%s", strerror(-err));
	return err;
}

int selector_parse(struct str text, struct selector **ret, char reterr[static SELECTOR_ERROR_SIZE])
{
	autoclean(selector) struct selector *selector = calloc(1, sizeof(*selector));

	reterr[0] = '\0';
	if (!selector)
		return -ENOMEM;
	selector->limits = pcre2_match_context_create(NULL);
	if (!selector->limits)
		return -ENOMEM;
	pcre2_set_match_limit(selector->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(selector->limits, MATCH_DEPTH_MAX);
	pcre2_set_heap_limit(selector->limits, MATCH_HEAP_KIB_MAX);

	int err = selector_add(selector, text, reterr);

	if (err)
		return err;
	*ret = TAKE(selector);
	return 0;
}

struct selector *selector_free(struct selector *selector)
{
	if (!selector)
		return NULL;
	for (uint32_t i = 0; i < selector->matchers.count; i++)
		matcher_done(&selector->matchers.items[i]);
	array_done(&selector->matchers);
	pcre2_match_context_free(selector->limits);
	free(selector);
	return NULL;
}

/* An expression that runs into a limit does not match. */
static bool regex_matches(const struct selector *selector, const struct matcher *matcher,
			  struct str value)
{
	pcre2_match_data *match = pcre2_match_data_create(1, NULL);

	if (!match)
		return false;

	int result = pcre2_match(matcher->regex, (PCRE2_SPTR)(value.text ? value.text : ""),
				 value.size, 0, 0, match, selector->limits);

	pcre2_match_data_free(match);
	return result >= 0;
}

static bool matcher_matches(const struct selector *selector, const struct matcher *matcher,
			    struct str value)
{
	bool matches = matcher->regex ? regex_matches(selector, matcher, value)
				      : str_equal(value, matcher->value);

	return matches != (matcher->operation == NOT_EQUAL || matcher->operation == NOT_MATCHES);
}

bool selector_matches(const struct selector *selector, selector_lookup *lookup, const void *context)
{
	for (uint32_t i = 0; i < selector->matchers.count; i++) {
		const struct matcher *matcher = &selector->matchers.items[i];

		if (!matcher_matches(selector, matcher, lookup(context, matcher->name)))
			return false;
	}
	return true;
}

static struct str lookup_none(const void *context, struct str name)
{
	(void)context;
	(void)name;
	return (struct str){ 0 };
}

bool selector_matches_none(const struct selector *selector)
{
	return selector_matches(selector, lookup_none, NULL);
}

static bool is_one_of(struct str name, const struct str *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(name, names[i]))
			return true;
	return false;
}

bool selector_may_match(const struct selector *selector, const struct str *names, size_t count,
			selector_lookup *lookup, const void *context)
{
	for (uint32_t i = 0; i < selector->matchers.count; i++) {
		const struct matcher *matcher = &selector->matchers.items[i];

		if (is_one_of(matcher->name, names, count) &&
		    !matcher_matches(selector, matcher, lookup(context, matcher->name)))
			return false;
	}
	return true;
}

size_t selector_count(const struct selector *selector)
{
	return selector->matchers.count;
}

bool selector_uses(const struct selector *selector, struct str name)
{
	for (uint32_t i = 0; i < selector->matchers.count; i++)
		if (str_equal(selector->matchers.items[i].name, name))
			return true;
	return false;
}

bool selector_uses_only(const struct selector *selector, const struct str *names, size_t count)
{
	for (uint32_t i = 0; i < selector->matchers.count; i++)
		if (!is_one_of(selector->matchers.items[i].name, names, count))
			return false;
	return true;
}

struct str selector_equal_value(const struct selector *selector, struct str name)
{
	struct str found = { 0 };
	size_t count = 0;

	for (uint32_t i = 0; i < selector->matchers.count; i++) {
		const struct matcher *matcher = &selector->matchers.items[i];

		if (!str_equal(matcher->name, name))
			continue;
		count++;
		if (matcher->operation == EQUAL)
			found = matcher->value;
	}
	return count == 1 ? found : (struct str){ 0 };
}

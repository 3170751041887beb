/* SPDX-License-Identifier: Apache-2.0 */
#include "web/multipart.h"

#include <assert.h>
#include <errno.h>

#include "base/parse.h"

enum { BOUNDARY_SIZE_MAX = 70 /* of RFC 2046 */ };

static struct str trimmed(struct str text)
{
	while (text.size > 0 && (text.text[0] == ' ' || text.text[0] == '\t'))
		text = (struct str){ text.text + 1, text.size - 1 };
	while (text.size > 0 &&
	       (text.text[text.size - 1] == ' ' || text.text[text.size - 1] == '\r' ||
		text.text[text.size - 1] == '\t'))
		text.size--;
	return text;
}

static bool equal_caseless(struct str a, struct str b)
{
	return a.size == b.size && (a.size == 0 || strncasecmp(a.text, b.text, a.size) == 0);
}

/* Of "form-data; name="a"; filename=b" the value of a parameter, without its quotes. */
static bool find_parameter(struct str header, struct str name, struct str *ret)
{
	struct str part;

	while (parse_next(&header, ';', &part)) {
		struct str key = { 0 };

		if (!parse_next(&part, '=', &key) || !equal_caseless(trimmed(key), name))
			continue;
		*ret = trimmed(part);
		if (ret->size >= 2 && ret->text[0] == '"' && ret->text[ret->size - 1] == '"')
			*ret = (struct str){ ret->text + 1, ret->size - 2 };
		return true;
	}
	return false;
}

bool multipart_begin(struct multipart *form, struct str content_type, struct str body)
{
	struct str rest = content_type;
	struct str type = { 0 };

	*form = (struct multipart){ .rest = body };
	if (!parse_next(&rest, ';', &type) ||
	    !equal_caseless(trimmed(type), STR("multipart/form-data")) ||
	    !find_parameter(rest, STR("boundary"), &form->boundary))
		return false;
	return form->boundary.size > 0 && form->boundary.size <= BOUNDARY_SIZE_MAX;
}

/* Where "--boundary" stands at the start of a line, or the size. */
static size_t find_boundary(const struct multipart *form)
{
	struct str rest = form->rest;
	size_t size = form->boundary.size + 2;

	for (size_t at = 0; at + size <= rest.size;) {
		const char *dash = memchr(rest.text + at, '-', rest.size - at - size + 1);

		if (!dash)
			break;
		at = (size_t)(dash - rest.text);
		if (dash[1] == '-' && memcmp(dash + 2, form->boundary.text, size - 2) == 0 &&
		    (at == 0 || rest.text[at - 1] == '\n'))
			return at;
		at++;
	}
	return rest.size;
}

static void skip(struct multipart *form, size_t size)
{
	assert(size <= form->rest.size);
	form->rest.text += size;
	form->rest.size -= size;
}

/* Up to the empty line; what is not about the field is nobody's business. */
static int read_head(struct multipart *form, struct multipart_part *part)
{
	struct str line;

	while (parse_next(&form->rest, '\n', &line)) {
		struct str key = { 0 };

		line = trimmed(line);
		if (line.size == 0)
			return 0;
		if (!parse_next(&line, ':', &key) ||
		    !equal_caseless(trimmed(key), STR("content-disposition")))
			continue;

		struct str file_name;

		(void)find_parameter(line, STR("name"), &part->name);
		part->is_file = find_parameter(line, STR("filename"), &file_name);
	}
	return -EBADMSG;
}

int multipart_next(struct multipart *form, struct multipart_part *ret)
{
	struct str line;
	size_t end;
	int err;

	*ret = (struct multipart_part){ 0 };
	if (!form->is_begun) {
		/* What stands before the first boundary means nothing. */
		end = find_boundary(form);
		if (end == form->rest.size)
			return -EBADMSG;
		skip(form, end);
		form->is_begun = true;
	}
	skip(form, form->boundary.size + 2);
	if (str_starts_with(form->rest, STR("--")))
		return 0;
	if (!parse_next(&form->rest, '\n', &line) || trimmed(line).size > 0)
		return -EBADMSG;
	err = read_head(form, ret);
	if (err)
		return err;
	end = find_boundary(form);
	if (end == form->rest.size)
		return -EBADMSG;
	ret->bytes = (struct str){ form->rest.text, end };
	/* The end of its last line belongs to the boundary. */
	if (ret->bytes.size > 0 && ret->bytes.text[ret->bytes.size - 1] == '\n')
		ret->bytes.size--;
	if (ret->bytes.size > 0 && ret->bytes.text[ret->bytes.size - 1] == '\r')
		ret->bytes.size--;
	skip(form, end);
	return 1;
}

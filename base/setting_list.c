/* SPDX-License-Identifier: Apache-2.0 */
#include "base/setting_list.h"

#include <errno.h>
#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Behind the quote that begins at start, or the end when it is not closed. */
static size_t skip_quoted(struct str text, size_t start, bool *ret_is_closed)
{
	char quote = text.text[start];

	for (size_t i = start + 1; i < text.size; i++) {
		if (text.text[i] == quote)
			return i + 1;
		if (text.text[i] == '\\' && quote != '`')
			i++;
	}
	*ret_is_closed = false;
	return text.size;
}

size_t setting_list_item_size(struct str text, bool *ret_is_closed)
{
	size_t i = 0;

	*ret_is_closed = true;
	while (i < text.size) {
		char c = text.text[i];

		if ((c == '#' || c == ';') && (i == 0 || is_space(text.text[i - 1])))
			return i;
		if (c == '"' || c == '\'' || c == '`')
			i = skip_quoted(text, i, ret_is_closed);
		else
			i++;
	}
	return text.size;
}

/* One that settings_show() can print as a line that is read as the same. */
static bool is_item(struct str item)
{
	bool is_closed = false;

	if (item.size >= SETTING_TEXT_SIZE || item.text[0] == '"' ||
	    setting_list_item_size(item, &is_closed) != item.size)
		return false;
	for (size_t i = 0; i < item.size; i++)
		if ((unsigned char)item.text[i] < ' ' && item.text[i] != '\t')
			return false;
	return is_closed;
}

int setting_list_add(struct setting_list *list, struct str item, struct setting_source source)
{
	while (item.size > 0 && is_space(item.text[0])) {
		item.text++;
		item.size--;
	}
	while (item.size > 0 && is_space(item.text[item.size - 1]))
		item.size--;
	if (item.size == 0) {
		list->count = 0;
		return 0;
	}
	if (!is_item(item))
		return -EINVAL;
	if (list->count == SETTINGS_LIST_COUNT_MAX)
		return -E2BIG;
	memcpy(list->items[list->count], item.text, item.size);
	list->items[list->count][item.size] = '\0';
	list->sources[list->count++] = source;
	return 0;
}

bool setting_list_equal(const struct setting_list *a, const struct setting_list *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

void setting_list_print(const struct setting_list *list, struct buf *text)
{
	if (list->count == 0)
		buf_printf(text, "none");
	for (uint32_t i = 0; i < list->count; i++)
		buf_printf(text, "%s[%s]", i > 0 ? ", " : "", list->items[i]);
}

void setting_list_yaml(const struct setting_list *list, struct buf *text)
{
	buf_printf(text, "[");
	for (uint32_t i = 0; i < list->count; i++) {
		buf_printf(text, i > 0 ? ", '" : "'");
		for (const char *c = list->items[i]; *c; c++) {
			if (*c == '\'')
				buf_add_u8(text, '\'');
			buf_add_u8(text, (uint8_t)*c);
		}
		buf_printf(text, "'");
	}
	buf_printf(text, "]");
}

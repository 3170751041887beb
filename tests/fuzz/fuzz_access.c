/* SPDX-License-Identifier: Apache-2.0 */
/* What decides who somebody is: lists of tokens, and what proxies say of the way. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "web/forwarded.h"
#include "web/token_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void try_tokens(struct str text)
{
	autofree struct token_list *list = calloc(1, sizeof(*list));
	autofree struct token_list *again = calloc(1, sizeof(*again));
	autoclean(buf) struct buf written = BUF(TOKEN_FILE_SIZE_MAX);
	char error[TOKEN_ERROR_SIZE];

	if (!list || !again || token_list_parse(list, text, error))
		return;
	token_list_write(list, &written);
	assert(!written.error);

	int err =
		token_list_parse(again, (struct str){ (char *)written.bytes, written.size }, error);

	assert(!err && again->count == list->count);
	(void)token_list_find(list, text, 0);
}

static void try_way(struct str value)
{
	static const struct str names[] = { { "Forwarded", 9 }, { "X-Forwarded-For", 15 } };
	struct network_ranges trusted;
	char error[NETWORK_ERROR_SIZE];

	if (network_ranges_parse(value, &trusted, error))
		(void)network_ranges_parse(STR("10.0.0.0/8"), &trusted, error);
	for (size_t i = 0; i < 2; i++) {
		struct request request = { .headers = { { names[i], value } }, .header_count = 1 };
		struct forwarded forwarded = forwarded_read(&request, &trusted);
		char text[NETWORK_TEXT_SIZE];
		struct network_address again;

		if (!forwarded.is_known)
			continue;
		network_address_print(&forwarded.client, text);
		assert(network_address_parse(str_from(text), &again));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str text = { (const char *)bytes, size };

	try_tokens(text);
	try_way(text);
	return 0;
}

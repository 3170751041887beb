/* SPDX-License-Identifier: Apache-2.0 */
#include "web/page_assets.h"

#include <assert.h>
#include <stdio.h>

#include "base/parse.h"
#include "web/compression.h"
#include "web/reply.h"

static const struct page_asset *find_path(struct str path)
{
	for (size_t i = 0; i < page_asset_count; i++)
		if (str_equal(path, str_from(page_assets[i].path)))
			return &page_assets[i];
	return NULL;
}

/* "/explore": one word, which only the page itself understands. */
static bool is_deep_path(struct str path)
{
	for (size_t i = 1; i < path.size; i++)
		if ((path.text[i] < 'a' || path.text[i] > 'z') && path.text[i] != '-')
			return false;
	return path.size > 1 && path.text[0] == '/';
}

const struct page_asset *page_assets_find(struct str path)
{
	assert(page_asset_count > 0);

	const struct page_asset *asset = find_path(path);

	return !asset && is_deep_path(path) ? find_path(STR("/")) : asset;
}

/* One of the tags that the browser has, which it lists with commas; a weak one will do. */
static bool has_it_already(const struct request *request, const char *etag)
{
	struct str rest = request_header(request, STR("if-none-match"));
	struct str part;

	while (parse_next(&rest, ',', &part)) {
		while (part.size > 0 && part.text[0] == ' ')
			part = (struct str){ part.text + 1, part.size - 1 };
		if (str_starts_with(part, STR("W/")))
			part = (struct str){ part.text + 2, part.size - 2 };
		if (str_equal(part, str_from(etag)))
			return true;
	}
	return false;
}

/* "v=" and the tag, without its quotes: what the first page asks for by name of its contents. */
static bool names_version(struct str query, const struct page_asset *asset)
{
	struct str tag = { asset->etag + 1, strlen(asset->etag) - 2 };

	return str_starts_with(query, STR("v=")) &&
	       str_equal((struct str){ query.text + 2, query.size - 2 }, tag);
}

void page_assets_answer(struct server *server, struct request *request, struct reply *reply)
{
	const struct page_asset *asset = page_assets_find(request->path);

	(void)server;
	if (!asset) {
		reply_error(reply, 404, NULL, "there is nothing here");
		return;
	}

	bool packed = compression_takes_gzip(request);
	const char *etag = packed ? asset->gzip_etag : asset->etag;

	reply->content_type = asset->content_type;
	reply->may_be_cached = true;
	reply->never_changes = names_version(request->query, asset);
	reply_add_header(reply, "Vary", "Accept-Encoding");
	assert(strlen(etag) < sizeof(reply->etag));
	snprintf(reply->etag, sizeof(reply->etag), "%s", etag);
	if (has_it_already(request, etag)) {
		reply->status = 304;
		return;
	}
	if (packed) {
		reply->content_encoding = "gzip";
		buf_add(&reply->body, asset->gzip_bytes, asset->gzip_size);
	} else {
		buf_add(&reply->body, asset->bytes, asset->size);
	}
}

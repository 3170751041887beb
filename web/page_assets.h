/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "web/request.h"

struct server;

/*
 * The page's files, which lie in the program itself: web/embed.sh makes the table from what the
 * page's build leaves in its folder.
 */
struct page_asset {
	const char *path; /* "/page.js"; the first page is "/" */
	const char *content_type;
	const char *etag; /* of the contents, in quotes, as is the next */
	const char *gzip_etag;
	const uint8_t *bytes;
	size_t size;
	const uint8_t *gzip_bytes; /* packed at build time */
	size_t gzip_size;
};

extern const struct page_asset page_assets[];
extern const size_t page_asset_count;

/* Whether a GET of this path gets a file: its own, or the first page for the page's deeper paths.
 */
const struct page_asset *page_assets_find(struct str path);

void page_assets_answer(struct server *server, struct request *request, struct reply *reply);

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/adhoc.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"
#include "proto/services.pb-c.h"
#include "store/batch_flame.h"
#include "store/records.h"
#include "web/base64.h"
#include "web/compression.h"
#include "web/connect.h"
#include "web/flamebearer.h"
#include "web/folded.h"
#include "web/import_format.h"
#include "web/kept.h"
#include "web/pprof_reader.h"
#include "web/server.h"
#include "web/stacks.h"

enum {
	/* A ULID: 48 bits of milliseconds and 80 by chance, five a letter. */
	ULID_SIZE = 26,
	ULID_RANDOM_SIZE = 10,
	NAME_SIZE_MAX = 200,
	ID_SIZE_MAX = ULID_SIZE + 1 + NAME_SIZE_MAX,
	LIST_COUNT_MAX = ADHOC_COUNT_MAX,
};

/* One of them, read. */
struct adhoc {
	struct batch *batch;
	struct store_texts types; /* of the batch */
	struct str type;	  /* the one that is looked at */
	struct flame flame;
};

static void adhoc_cleanup(struct adhoc *adhoc)
{
	flame_done(&adhoc->flame);
	store_texts_done(&adhoc->types);
	batch_free(adhoc->batch);
}

/* ---- names and ids ----------------------------------------------------------------------------
 */

/* Letters, digits, '.', '-' and '_'; others become '_'. */
static void clean_name(const char *name, char clean[static NAME_SIZE_MAX + 1])
{
	size_t size = 0;

	for (; size < NAME_SIZE_MAX && name[size]; size++) {
		unsigned char c = (unsigned char)name[size];

		clean[size] = c < 128 && (isalnum(c) || c == '.' || c == '-') ? (char)c : '_';
	}
	clean[size] = '\0';
}

/* https://github.com/ulid/spec: ids that sort by time. */
static int make_ulid(int64_t now_ms, char text[static ULID_SIZE + 1])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t random[ULID_RANDOM_SIZE];
	unsigned __int128 value = (uint64_t)now_ms & ((UINT64_C(1) << 48) - 1);

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		value = value << 8 | random[i];
	for (size_t i = ULID_SIZE; i > 0; i--) {
		text[i - 1] = digits[value & 31];
		value >>= 5;
	}
	text[ULID_SIZE] = '\0';
	assert(value == 0);
	return 0;
}

/* The name that stands behind the ULID of an id. */
static struct str name_in(struct str id)
{
	return id.size > ULID_SIZE + 1
		       ? (struct str){ id.text + ULID_SIZE + 1, id.size - ULID_SIZE - 1 }
		       : STR("");
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static int unpack(struct str bytes, struct buf *unpacked)
{
	if (compression_is_gzip(bytes))
		return compression_gunzip(bytes, unpacked);
	buf_add_str(unpacked, bytes);
	return unpacked->error == -EFBIG ? -E2BIG : unpacked->error;
}

/* An error leaves its sentence in reason. */
static int read_batch(struct str bytes, struct adhoc *adhoc, char reason[static PPROF_ERROR_SIZE])
{
	autoclean(buf) struct buf unpacked = BUF(ADHOC_UNPACKED_SIZE_MAX);
	const struct label service = { STR("service_name"), STR("ad hoc") };
	struct pprof_origin origin = { .labels = &service,
				       .label_count = 1,
				       .time_unix_ms = clock_unix_ms() };
	struct pprof_summary summary;
	int err = batch_new(IMPORT_BATCH_MEMORY_MAX, &adhoc->batch);

	snprintf(reason, PPROF_ERROR_SIZE, "it can't be unpacked, or is too large unpacked");
	if (!err)
		err = unpack(bytes, &unpacked);
	if (err)
		return err;

	struct str text = { (const char *)unpacked.bytes, unpacked.size };

	enum import_format format = import_format_guess(text);

	if (format == IMPORT_FORMAT_SPAN) {
		snprintf(reason, PPROF_ERROR_SIZE, "it is a span file of hearth's; import it");
		return -EBADMSG;
	}
	err = import_format_read(format, text, &origin,
				 format == IMPORT_FORMAT_FOLDED ? STR("folded:samples:count::")
								: (struct str){ 0 },
				 adhoc->batch, &summary, reason);
	if (!err)
		err = batch_types(adhoc->batch, &adhoc->types);
	if (!err && adhoc->types.count == 0) {
		snprintf(reason, PPROF_ERROR_SIZE, "there is no sample in it");
		err = -EBADMSG;
	}
	return err;
}

static struct str sample_type_of(struct str id)
{
	struct profile_type type;

	return profile_type_parse(id, &type, NULL) ? id : type.parts[PROFILE_TYPE_SAMPLE_TYPE];
}

/* The one that is asked for by its sample type; of those that are not there the first. */
static void choose_type(struct adhoc *adhoc, const char *wanted)
{
	adhoc->type = adhoc->types.texts[0];
	for (size_t i = 0; i < adhoc->types.count; i++)
		if (str_equal(sample_type_of(adhoc->types.texts[i]), str_from(wanted))) {
			adhoc->type = adhoc->types.texts[i];
			break;
		}
}

/* False when the reply tells what is wrong. */
static bool read_bytes(struct server *server, struct connect_call *call, struct str bytes,
		       const char *wanted_type, uint32_t node_count_max, struct adhoc *adhoc)
{
	char reason[PPROF_ERROR_SIZE] = "";
	int err = read_batch(bytes, adhoc, reason);

	if (err == -EBADMSG || err == -E2BIG) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT, "failed to parse profile: %s",
			      reason);
		return false;
	}
	if (!err) {
		choose_type(adhoc, wanted_type);
		err = batch_flame(adhoc->batch, server->symbols, adhoc->type, node_count_max,
				  &adhoc->flame);
	}
	if (err)
		connect_failure(call->reply, err);
	return err == 0;
}

/* The bytes of an upload, out of what is kept. */
static bool find_bytes(struct server *server, struct connect_call *call, const char *id,
		       int64_t *ret_time_ms, struct buf *bytes)
{
	int err = str_from(id).size > RECORD_NAME_SIZE_MAX
			  ? -ENOENT
			  : records_get(server->records, RECORD_AD_HOC, str_from(id), ret_time_ms,
					bytes);

	if (err == -ENOENT)
		connect_error(call->reply, CONNECT_NOT_FOUND, "profile %.100s not found", id);
	else if (err)
		connect_failure(call->reply, err);
	return err == 0;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static char **type_names(struct connect_call *call, const struct adhoc *adhoc)
{
	struct str *names = arena_take(&call->arena, adhoc->types.count, sizeof(names[0]));

	for (size_t i = 0; names && i < adhoc->types.count; i++)
		names[i] = sample_type_of(adhoc->types.texts[i]);
	return names ? querier_texts(call, names, adhoc->types.count) : NULL;
}

static char *write_flamebearer(struct connect_call *call, const struct adhoc *adhoc,
			       const struct flame_levels *levels, const struct flame_diff *diff)
{
	autoclean(buf) struct buf json = BUF(REPLY_SIZE_MAX);
	struct profile_type type;
	struct flamebearer flamebearer = { .levels = levels, .diff = diff };

	if (profile_type_parse(adhoc->type, &type, NULL) == 0) {
		flamebearer.sample_type = type.parts[PROFILE_TYPE_SAMPLE_TYPE];
		flamebearer.sample_unit = type.parts[PROFILE_TYPE_SAMPLE_UNIT];
	}
	flamebearer_write(&flamebearer, &json);
	if (json.error) {
		call->arena.error = json.error;
		return NULL;
	}
	return arena_text(&call->arena, (struct str){ (const char *)json.bytes, json.size });
}

static void answer(struct connect_call *call, const struct adhoc *adhoc, struct str id,
		   int64_t time_ms)
{
	Pyroscope__AdHocProfilesGetResponse found = PYROSCOPE__AD_HOC_PROFILES_GET_RESPONSE__INIT;
	autoclean(flame_levels) struct flame_levels levels = { 0 };
	int err = flame_levels_make(&adhoc->flame, &levels);

	if (err) {
		connect_failure(call->reply, err);
		return;
	}
	found.id = arena_text(&call->arena, id);
	found.name = arena_text(&call->arena, name_in(id));
	found.uploaded_at = time_ms;
	found.profile_type = arena_text(&call->arena, sample_type_of(adhoc->type));
	found.profile_types = type_names(call, adhoc);
	found.n_profile_types = adhoc->types.count;
	found.flamebearer_profile = write_flamebearer(call, adhoc, &levels, NULL);
	connect_answer(call, &found.base);
}

static bool read_node_count(struct connect_call *call, int64_t asked, uint32_t *ret)
{
	struct stacks_question question = { 0 };
	bool is_good = stacks_read_node_count(&question, call, asked, STACKS_NODE_COUNT_DEFAULT);

	*ret = question.options.node_count_max;
	return is_good;
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static int keep(struct server *server, const struct record *record)
{
	int err = records_put(server->records, RECORD_AD_HOC, record);

	return err ? err
		   : records_limit(server->records, RECORD_AD_HOC, ADHOC_COUNT_MAX, ADHOC_SIZE_MAX);
}

static bool decode(struct connect_call *call, const char *text, struct str *ret)
{
	struct str packed = str_from(text);
	uint8_t *bytes = arena_take(&call->arena, base64_room(packed.size), 1);
	size_t size = 0;

	if (!bytes) {
		connect_failure(call->reply, call->arena.error);
		return false;
	}
	if (base64_decode(packed, bytes, &size)) {
		connect_error(call->reply, CONNECT_INVALID_ARGUMENT,
			      "failed to parse profile: it is not base64");
		return false;
	}
	*ret = (struct str){ (const char *)bytes, size };
	return true;
}

void adhoc_upload(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(connect_call) struct connect_call call;
	autoclean(adhoc) struct adhoc adhoc = { 0 };
	char name[NAME_SIZE_MAX + 1];
	char ulid[ULID_SIZE + 1];
	char id[ID_SIZE_MAX + 1];
	uint32_t node_count = 0;
	struct record record = { .time_ms = clock_unix_ms() };
	const Pyroscope__AdHocProfilesUploadRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__ad_hoc_profiles_upload_request__descriptor);

	if (!asked || !kept_is_there(server, reply) ||
	    !read_node_count(&call, asked->max_nodes, &node_count) ||
	    !decode(&call, asked->profile, &record.bytes) ||
	    !read_bytes(server, &call, record.bytes, "", node_count, &adhoc))
		return;
	clean_name(asked->name, name);

	int err = make_ulid(record.time_ms, ulid);

	snprintf(id, sizeof(id), "%s-%s", ulid, name);
	record.name = str_from(id);
	if (!err)
		err = keep(server, &record);
	if (err)
		connect_failure(reply, err);
	else
		answer(&call, &adhoc, record.name, record.time_ms);
}

void adhoc_get(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(connect_call) struct connect_call call;
	autoclean(adhoc) struct adhoc adhoc = { 0 };
	autoclean(buf) struct buf bytes = BUF(ADHOC_SIZE_MAX);
	uint32_t node_count = 0;
	int64_t time_ms = 0;
	const Pyroscope__AdHocProfilesGetRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__ad_hoc_profiles_get_request__descriptor);

	if (!asked || !kept_is_there(server, reply) ||
	    !read_node_count(&call, asked->max_nodes, &node_count) ||
	    !find_bytes(server, &call, asked->id, &time_ms, &bytes) ||
	    !read_bytes(server, &call, (struct str){ (const char *)bytes.bytes, bytes.size },
			asked->profile_type, node_count, &adhoc))
		return;
	answer(&call, &adhoc, str_from(asked->id), time_ms);
}

struct listing {
	struct connect_call *call;
	Pyroscope__AdHocProfilesListResponse answer;
};

static int take_listed(void *context, const struct record *record)
{
	struct listing *listing = context;
	struct arena *arena = &listing->call->arena;
	Pyroscope__AdHocProfilesProfileMetadata *item = arena_take(arena, 1, sizeof(*item));

	if (!item || listing->answer.n_profiles >= LIST_COUNT_MAX)
		return item ? -E2BIG : arena->error;
	pyroscope__ad_hoc_profiles_profile_metadata__init(item);
	item->id = arena_text(arena, record->name);
	item->name = arena_text(arena, name_in(record->name));
	item->uploaded_at = record->time_ms;
	listing->answer.profiles[listing->answer.n_profiles++] = item;
	return arena->error;
}

/* The newest first; ids ascend with time. */
void adhoc_list(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(connect_call) struct connect_call call;
	struct listing listing = { .call = &call,
				   .answer = PYROSCOPE__AD_HOC_PROFILES_LIST_RESPONSE__INIT };

	if (!connect_begin(&call, request, reply, &pyroscope__nothing__descriptor) ||
	    !kept_is_there(server, reply))
		return;
	listing.answer.profiles =
		arena_take(&call.arena, LIST_COUNT_MAX, sizeof(listing.answer.profiles[0]));

	int err = call.arena.error;

	if (!err)
		err = records_each(server->records, RECORD_AD_HOC, take_listed, &listing);
	if (err) {
		connect_failure(reply, err);
		return;
	}
	for (size_t i = 0; i < listing.answer.n_profiles / 2; i++) {
		Pyroscope__AdHocProfilesProfileMetadata **items = listing.answer.profiles;
		size_t other = listing.answer.n_profiles - 1 - i;
		Pyroscope__AdHocProfilesProfileMetadata *item = items[i];

		items[i] = items[other];
		items[other] = item;
	}
	connect_answer(&call, &listing.answer.base);
}

static bool read_side(struct server *server, struct connect_call *call, const char *id,
		      const char *type, struct adhoc *side)
{
	autoclean(buf) struct buf bytes = BUF(ADHOC_SIZE_MAX);
	int64_t time_ms = 0;

	return find_bytes(server, call, id, &time_ms, &bytes) &&
	       read_bytes(server, call, (struct str){ (const char *)bytes.bytes, bytes.size }, type,
			  STACKS_NODE_COUNT_ALL, side);
}

void adhoc_diff(struct server *server, struct request *request, struct reply *reply)
{
	Pyroscope__AdHocProfilesDiffResponse found = PYROSCOPE__AD_HOC_PROFILES_DIFF_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	autoclean(adhoc) struct adhoc left = { 0 };
	autoclean(adhoc) struct adhoc right = { 0 };
	autoclean(flame_diff) struct flame_diff diff = { 0 };
	uint32_t node_count = 0;
	const Pyroscope__AdHocProfilesDiffRequest *asked = connect_begin(
		&call, request, reply, &pyroscope__ad_hoc_profiles_diff_request__descriptor);

	if (!asked || !kept_is_there(server, reply) ||
	    !read_node_count(&call, asked->max_nodes, &node_count) ||
	    !read_side(server, &call, asked->left_id, asked->profile_type, &left) ||
	    !read_side(server, &call, asked->right_id, asked->profile_type, &right))
		return;

	int err = flame_diff_make(&left.flame, &right.flame, node_count, &diff);

	if (err) {
		connect_failure(reply, err);
		return;
	}
	found.profile_types = type_names(&call, &left);
	found.n_profile_types = left.types.count;
	found.flamebearer_profile = write_flamebearer(&call, &left, NULL, &diff);
	connect_answer(&call, &found.base);
}

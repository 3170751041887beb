/* SPDX-License-Identifier: Apache-2.0 */
#include "web/debuginfo.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/debuginfo.pb-c.h"
#include "symbols/upload_store.h"
#include "web/connect.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/uploads.h"

enum {
	/* Files that agents were told to bring; what more they have, they ask for again. */
	PENDING_COUNT_MAX = 256,
	/* A gigabyte at 10 MB/s takes two minutes; Pyroscope waits for seven. */
	PENDING_SECONDS_MAX = 420,
	HEX_SIZE = 2 * IDENTITY_SIZE_MAX + 1,
};

static const char prefix[] = "/debuginfo.v1alpha1.DebuginfoService/Upload/";

struct pending {
	struct identity identity;
	uint64_t since_ns; /* monotonic; 0: free */
};

struct debuginfo {
	pthread_mutex_t lock;
	struct pending pending[PENDING_COUNT_MAX];
};

int debuginfo_new(struct debuginfo **ret)
{
	struct debuginfo *debuginfo = calloc(1, sizeof(*debuginfo));

	if (!debuginfo)
		return -ENOMEM;
	pthread_mutex_init(&debuginfo->lock, NULL);
	*ret = debuginfo;
	return 0;
}

struct debuginfo *debuginfo_free(struct debuginfo *debuginfo)
{
	if (!debuginfo)
		return NULL;
	pthread_mutex_destroy(&debuginfo->lock);
	free(debuginfo);
	return NULL;
}

/* ---- what is on its way -----------------------------------------------------------------------
 */

/* With the lock held: the one of this identity, or NULL; *ret_free, which may be NULL, a place. */
static struct pending *find_pending(struct debuginfo *debuginfo, const struct identity *identity,
				    struct pending **ret_free)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct pending *found = NULL;

	for (size_t i = 0; i < PENDING_COUNT_MAX; i++) {
		struct pending *pending = &debuginfo->pending[i];

		if (pending->since_ns &&
		    now_ns - pending->since_ns >
			    (uint64_t)PENDING_SECONDS_MAX * (uint64_t)CLOCK_NS_PER_S)
			pending->since_ns = 0;
		if (!pending->since_ns && ret_free)
			*ret_free = pending;
		else if (pending->since_ns && identity_equal(&pending->identity, identity))
			found = pending;
	}
	return found;
}

/* 0, -EALREADY when it is on its way, -EBUSY when too many are. */
static int begin_pending(struct debuginfo *debuginfo, const struct identity *identity)
{
	struct pending *place = NULL;
	int err = 0;

	pthread_mutex_lock(&debuginfo->lock);
	if (find_pending(debuginfo, identity, &place))
		err = -EALREADY;
	else if (!place)
		err = -EBUSY;
	else
		*place = (struct pending){ *identity, clock_monotonic_ns() };
	pthread_mutex_unlock(&debuginfo->lock);
	return err;
}

static bool is_pending(struct debuginfo *debuginfo, const struct identity *identity)
{
	bool is;

	pthread_mutex_lock(&debuginfo->lock);
	is = find_pending(debuginfo, identity, NULL) != NULL;
	pthread_mutex_unlock(&debuginfo->lock);
	return is;
}

static void end_pending(struct debuginfo *debuginfo, const struct identity *identity)
{
	struct pending *found;

	pthread_mutex_lock(&debuginfo->lock);
	found = find_pending(debuginfo, identity, NULL);
	if (found)
		found->since_ns = 0;
	pthread_mutex_unlock(&debuginfo->lock);
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static bool read_identity(struct server *server, const char *text, struct identity *ret,
			  struct reply *reply)
{
	if (!server->uploads) {
		connect_error(reply, CONNECT_UNAVAILABLE,
			      "symbols can't be handed in: see the log of hearth serve");
		return false;
	}
	if (upload_identity_from(str_from(text), ret))
		return true;
	connect_error(reply, CONNECT_INVALID_ARGUMENT,
		      "invalid gnu_build_id \"%.60s\": it is 2 to 20 bytes in hexadecimal", text);
	return false;
}

void debuginfo_should_initiate(struct server *server, struct request *request, struct reply *reply)
{
	Debuginfo__ShouldInitiateUploadResponse answer =
		DEBUGINFO__SHOULD_INITIATE_UPLOAD_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	const Debuginfo__ShouldInitiateUploadRequest *asked = connect_begin(
		&call, request, reply, &debuginfo__should_initiate_upload_request__descriptor);
	struct identity identity;
	struct upload_info info;
	int err;

	if (!asked)
		return;
	if (!asked->file) {
		connect_error(reply, CONNECT_INVALID_ARGUMENT, "file is required");
		return;
	}
	if (!read_identity(server, asked->file->gnu_build_id, &identity, reply))
		return;
	if (!upload_store_find(server->uploads, &identity, &info)) {
		answer.reason = (char *)"symbols of this build id are here already";
	} else {
		err = begin_pending(server->debuginfo, &identity);
		answer.should_initiate_upload = err == 0;
		answer.reason = (char *)(err == 0 ? "symbols of this build id are not here yet"
					 : err == -EALREADY ? "somebody is bringing them"
							    : "too many files are on their way");
	}
	connect_answer(&call, &answer.base);
}

/* Names are made of a file when it has come: there is nothing left to do but to see that it has. */
void debuginfo_finished(struct server *server, struct request *request, struct reply *reply)
{
	Debuginfo__UploadFinishedResponse answer = DEBUGINFO__UPLOAD_FINISHED_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	const Debuginfo__UploadFinishedRequest *asked = connect_begin(
		&call, request, reply, &debuginfo__upload_finished_request__descriptor);
	struct identity identity;
	struct upload_info info;

	if (!asked || !read_identity(server, asked->gnu_build_id, &identity, reply))
		return;
	end_pending(server->debuginfo, &identity);
	if (upload_store_find(server->uploads, &identity, &info))
		connect_error(reply, CONNECT_FAILED_PRECONDITION,
			      "no file of this build id has come");
	else
		connect_answer(&call, &answer.base);
}

void debuginfo_delete(struct server *server, struct request *request, struct reply *reply)
{
	Debuginfo__DeleteDebuginfoResponse answer = DEBUGINFO__DELETE_DEBUGINFO_RESPONSE__INIT;
	autoclean(connect_call) struct connect_call call;
	const Debuginfo__DeleteDebuginfoRequest *asked = connect_begin(
		&call, request, reply, &debuginfo__delete_debuginfo_request__descriptor);
	struct identity identity;
	int err;

	if (!asked || !read_identity(server, asked->gnu_build_id, &identity, reply))
		return;
	err = upload_store_remove(server->uploads, &identity);
	if (err == -ENOENT)
		connect_error(reply, CONNECT_NOT_FOUND, "no file of this build id is here");
	else if (err)
		connect_failure(reply, err);
	else
		connect_answer(&call, &answer.base);
}

/* ---- the list ---- */

struct listing {
	struct connect_call *call;
	Debuginfo__ListDebuginfoResponse answer;
	size_t capacity;
};

static void add_object(void *context, const struct upload_info *info)
{
	struct listing *listing = context;
	struct arena *arena = &listing->call->arena;
	Debuginfo__ObjectMetadata *object = arena_take(arena, 1, sizeof(*object));
	Debuginfo__FileMetadata *file = arena_take(arena, 1, sizeof(*file));
	char hex[HEX_SIZE] = "";

	if (!object || !file || listing->answer.n_object == listing->capacity)
		return;
	for (size_t i = 0; i < info->identity.size; i++)
		snprintf(hex + 2 * i, 3, "%02x", info->identity.bytes[i]);
	debuginfo__file_metadata__init(file);
	debuginfo__object_metadata__init(object);
	file->gnu_build_id = arena_text(arena, str_from(hex));
	object->file = file;
	object->state = DEBUGINFO__OBJECT_METADATA__STATE__STATE_UPLOADED;
	object->size_bytes = (int64_t)info->size;
	listing->answer.object[listing->answer.n_object++] = object;
}

void debuginfo_list(struct server *server, struct request *request, struct reply *reply)
{
	autoclean(connect_call) struct connect_call call;
	struct listing listing = { .call = &call };
	struct upload_stats stats = { 0 };

	debuginfo__list_debuginfo_response__init(&listing.answer);
	if (!connect_begin(&call, request, reply, &debuginfo__list_debuginfo_request__descriptor))
		return;
	if (server->uploads) {
		upload_store_stats(server->uploads, &stats);
		listing.capacity = stats.count;
		listing.answer.object =
			arena_take(&call.arena, stats.count + 1, sizeof(listing.answer.object[0]));
		if (listing.answer.object)
			upload_store_list(server->uploads, add_object, &listing);
	}
	connect_answer(&call, &listing.answer.base);
}

/* ---- the file ---- */

void debuginfo_upload(struct server *server, struct request *request, struct reply *reply)
{
	char text[HEX_SIZE + 1];
	struct str name = request->path;
	struct identity identity;

	assert(str_starts_with(name, STR(prefix)));
	name.text += sizeof(prefix) - 1;
	name.size -= sizeof(prefix) - 1;
	snprintf(text, sizeof(text), "%.*s", STR_PRINT(name));
	if (!read_identity(server, text, &identity, reply))
		return;
	if (!is_pending(server->debuginfo, &identity)) {
		reply_error(reply, 412, NULL,
			    "no upload of this build id is under way: ask ShouldInitiateUpload "
			    "first");
		return;
	}
	(void)uploads_take(server, &identity, request, reply);
	/* What is no good may be tried again. */
	if (reply->status != 200)
		end_pending(server->debuginfo, &identity);
	else
		reply->content_type = "text/plain";
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/str.h"
#include "web/arena.h"

/*
 * Messages of proto/, packed as protobuf does it. A message lives in an arena, all of it.
 *
 * What strangers send is looked through before protobuf-c sees it: it has no limit of depth, and
 * turns 4 MB into 185 MB. https://protobuf.dev/programming-guides/encoding/
 */
enum { MESSAGE_ERROR_SIZE = 160 };

/*
 * -EBADMSG with a sentence in reterr for what is no message of that kind, -E2BIG with one beyond
 * MESSAGE_DEPTH_MAX, MESSAGE_FIELD_COUNT_MAX or the arena; -ENOMEM.
 */
int message_unpack(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
		   struct arena *arena, const ProtobufCMessage **ret,
		   char reterr[static MESSAGE_ERROR_SIZE]);

/* What message_unpack() asks first. */
int message_check(const ProtobufCMessageDescriptor *descriptor, struct str bytes,
		  char reterr[static MESSAGE_ERROR_SIZE]);

/* Appends it; buf->error tells of lack of memory or room. */
void message_pack(const ProtobufCMessage *message, struct buf *buf);

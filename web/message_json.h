/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/json.h"
#include "web/json_writer.h"
#include "web/message.h"

/*
 * Messages of proto/ as JSON, as proto3 maps them, and as generous as the clients need: members by
 * their proto name or its lowerCamelCase, mixed; 64-bit integers as texts or numbers; null means
 * unset; unknown members are skipped. Written are lowerCamelCase names, 64-bit integers as texts,
 * and nothing that has its default value. https://protobuf.dev/programming-guides/json/
 */

/* -EBADMSG or, beyond a limit, -E2BIG with a sentence in reterr; -ENOMEM. */
int message_from_json(const ProtobufCMessageDescriptor *descriptor, const struct json_value *json,
		      struct arena *arena, const ProtobufCMessage **ret,
		      char reterr[static MESSAGE_ERROR_SIZE]);

void message_to_json(const ProtobufCMessage *message, struct json_writer *json);

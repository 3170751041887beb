/* SPDX-License-Identifier: Apache-2.0 */
/* Packed messages of strangers: what passes the guard is a message, in bounds, and stays the same.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proto/pyroscope.pb-c.h"
#include "web/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MEMORY_MAX = 16 << 20, PACKED_SIZE_MAX = 64 << 20 };

/* The first byte chooses the kind: questions, and a profile, which has everything. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const ProtobufCMessageDescriptor *const kinds[] = {
		&pyroscope__label_names_request__descriptor,
		&pyroscope__select_series_request__descriptor,
		&pyroscope__select_merge_stacktraces_request__descriptor,
		&pprof__profile__descriptor,
	};
	char error[MESSAGE_ERROR_SIZE] = "";
	const ProtobufCMessage *message = NULL;

	if (size == 0)
		return 0;

	const ProtobufCMessageDescriptor *kind = kinds[bytes[0] % 4];
	autoclean(arena) struct arena arena = ARENA(MEMORY_MAX);
	int err = message_unpack(kind, (struct str){ (const char *)bytes + 1, size - 1 }, &arena,
				 &message, error);

	assert(arena.size <= arena.limit);
	assert(err || message);
	if (err)
		return 0;

	/* Written and read again it is written the same. */
	autoclean(arena) struct arena again_arena = ARENA(MEMORY_MAX);
	autoclean(buf) struct buf first = BUF(PACKED_SIZE_MAX);
	autoclean(buf) struct buf second = BUF(PACKED_SIZE_MAX);
	const ProtobufCMessage *again = NULL;

	message_pack(message, &first);
	assert(first.error == 0);
	err = message_unpack(kind, (struct str){ (const char *)first.bytes, first.size },
			     &again_arena, &again, error);
	assert(err == 0);
	message_pack(again, &second);
	assert(second.size == first.size);
	assert(first.size == 0 || memcmp(first.bytes, second.bytes, first.size) == 0);
	return 0;
}

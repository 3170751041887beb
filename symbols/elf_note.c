/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/elf_note.h"

#include <assert.h>
#include <elf.h>
#include <string.h>

#include "base/buf.h"

#define BUILD_ID_SIZE_MAX 20
static_assert(BUILD_ID_SIZE_MAX <= (int)IDENTITY_SIZE_MAX, "a build id is an identity");

/* The next bytes and their padding, which may be missing at the very end. */
static const char *take_padded(struct bytes *bytes, size_t size, size_t alignment)
{
	const char *taken = bytes_take(bytes, size);
	size_t padding = (alignment - size % alignment) % alignment;

	if (taken)
		bytes_take(bytes, padding < bytes->left ? padding : bytes->left);
	return taken;
}

/* Ended by a NUL; Go's linker counts its padding, too. */
static bool is_name(struct str text, struct str name)
{
	if (text.size <= name.size || memcmp(text.text, name.text, name.size) != 0)
		return false;
	for (size_t i = name.size; i < text.size; i++)
		if (text.text[i] != '\0')
			return false;
	return true;
}

bool elf_note_find(const void *notes, size_t size, size_t alignment, struct str name, uint32_t type,
		   struct str *ret_descriptor)
{
	assert(alignment == 4 || alignment == 8);

	struct bytes bytes = bytes_from(notes, size);

	while (bytes.left >= sizeof(Elf64_Nhdr)) {
		uint32_t name_size = bytes_u32(&bytes);
		uint32_t descriptor_size = bytes_u32(&bytes);
		uint32_t note_type = bytes_u32(&bytes);
		/* The padding follows from where the descriptor begins, header included. */
		size_t name_end = sizeof(Elf64_Nhdr) + (size_t)name_size;
		size_t padding = (alignment - name_end % alignment) % alignment;
		const char *text = bytes_take(&bytes, name_size);

		bytes_take(&bytes, padding < bytes.left ? padding : bytes.left);

		const char *descriptor = take_padded(&bytes, descriptor_size, alignment);

		if (bytes.error)
			return false;
		if (note_type == type && is_name((struct str){ text, name_size }, name)) {
			*ret_descriptor = (struct str){ descriptor, descriptor_size };
			return true;
		}
	}
	return false;
}

bool elf_note_build_id(const void *notes, size_t size, size_t alignment, struct identity *ret)
{
	struct str id = { 0 };

	if (!elf_note_find(notes, size, alignment, STR("GNU"), NT_GNU_BUILD_ID, &id) || !id.text ||
	    id.size == 0 || id.size > BUILD_ID_SIZE_MAX)
		return false;

	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = (uint8_t)id.size };

	memcpy(identity.bytes, id.text, id.size);
	*ret = identity;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_wire.h"

/* Seven bits of each byte, moved together: of two, of four, of eight. */
static uint64_t join(uint64_t bytes)
{
	bytes = (bytes & UINT64_C(0x007f007f007f007f)) |
		(bytes & UINT64_C(0x7f007f007f007f00)) >> 1;
	bytes = (bytes & UINT64_C(0x00003fff00003fff)) |
		(bytes & UINT64_C(0x3fff00003fff0000)) >> 2;
	return (bytes & UINT64_C(0x0fffffff)) | (bytes & UINT64_C(0x0fffffff00000000)) >> 4;
}

/* Addresses, mostly. No end: it takes more than eight bytes, or they are not there. */
static struct otlp_wire_number take_word(const uint8_t *bytes, const uint8_t *end)
{
	uint64_t word, ends;

	if (end - bytes < (long)sizeof(word))
		return (struct otlp_wire_number){ 0 };
	memcpy(&word, bytes, sizeof(word));
	word = le64toh(word);
	ends = ~word & UINT64_C(0x8080808080808080);
	if (!ends)
		return (struct otlp_wire_number){ 0 };
	/* All below the bit that ends it. */
	return (struct otlp_wire_number){ join(word & (ends ^ (ends - 1))),
					  bytes + __builtin_ctzll(ends) / 8 + 1 };
}

struct otlp_wire_number otlp_wire_long_varint(const uint8_t *bytes, const uint8_t *end)
{
	struct otlp_wire_number number = take_word(bytes, end);

	if (number.end)
		return number;
	for (unsigned shift = 0; shift < 64 && bytes < end; shift += 7) {
		uint8_t byte = *bytes++;

		number.value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			number.end = shift < 63 || byte <= 1 ? bytes : NULL;
			return number;
		}
	}
	return number;
}

/* All but a group's inside. False for what is cut short, or of no type. */
static bool take_value(struct otlp_wire *wire, struct otlp_wire_field *field)
{
	switch (field->type) {
	case OTLP_WIRE_VARINT:
		return otlp_wire_varint(wire, &field->value);
	case OTLP_WIRE_64:
		return otlp_wire_u64(wire, &field->value);
	case OTLP_WIRE_SIZED:
		return otlp_wire_sized(wire, &field->bytes);
	case OTLP_WIRE_32:
		if (wire->end - wire->next < 4)
			return false;
		wire->next += 4;
		return true;
	case OTLP_WIRE_GROUP:
		return true;
	}
	return false;
}

/* To the end of a group that began, and of all within it. */
static bool skip_group(struct otlp_wire *wire, uint64_t number)
{
	enum { TYPE_END = 4 };
	uint64_t open[OTLP_GROUP_DEPTH_MAX] = { number };
	unsigned depth = 1;

	while (depth > 0) {
		struct otlp_wire_field field = { 0 };
		uint64_t tag;

		if (!otlp_wire_varint(wire, &tag) || tag >> 3 == 0)
			return false;
		if ((tag & 7) == TYPE_END) {
			if (tag >> 3 != open[--depth])
				return false;
			continue;
		}
		field.type = (enum otlp_wire_type)(tag & 7);
		if (!take_value(wire, &field))
			return false;
		if (field.type != OTLP_WIRE_GROUP)
			continue;
		if (depth == OTLP_GROUP_DEPTH_MAX)
			return false;
		open[depth++] = tag >> 3;
	}
	return true;
}

int otlp_wire_other(struct otlp_wire *wire, struct otlp_wire_field *field)
{
	if (!take_value(wire, field))
		return -EBADMSG;
	return field->type != OTLP_WIRE_GROUP || skip_group(wire, field->number) ? 1 : -EBADMSG;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/otlp_wire.h"

struct otlp_wire_number otlp_wire_long_varint(const uint8_t *bytes, const uint8_t *end)
{
	struct otlp_wire_number number = { 0 };

	/* Addresses, mostly. */
	if (end - bytes >= OTLP_WIRE_WORD_SIZE)
		number = otlp_wire_word(bytes);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/demangle.h"

#include <assert.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

enum {
	/* D's reader keeps its text on the heap and can't be stopped halfway. */
	D_SIZE_MAX = 512,
	RUST_OPTIONS = 0, /* not DMGL_VERBOSE, which shows the hash */
	/* With its own limit libiberty refuses whatever is longer than 1,024, as names of templates
	 * often are. Ours bounds the recursion: of 19 kinds of nested names of 4,090 bytes the
	 * deepest took 646 kB of stack. */
	CPP_OPTIONS = DMGL_PARAMS | DMGL_ANSI | DMGL_NO_RECURSE_LIMIT,
};

static const char ellipsis[] = "…";

struct writer {
	char *text;
	size_t size;
	bool is_full;
	jmp_buf full;
};

/*
 * libiberty has no way to stop a name that unfolds without end, but leaving. That is sound: in the
 * variants with a callback all that it has lies on the stack.
 */
static void write_piece(const char *piece, size_t size, void *context)
{
	struct writer *writer = context;
	size_t room = DEMANGLE_TEXT_SIZE_MAX - writer->size;

	assert(writer->size <= DEMANGLE_TEXT_SIZE_MAX);
	if (size == 0) /* then piece may be NULL */
		return;
	if (size > room) {
		memcpy(writer->text + writer->size, piece, room);
		writer->size += room;
		writer->is_full = true;
		longjmp(writer->full, 1);
	}
	memcpy(writer->text + writer->size, piece, size);
	writer->size += size;
}

/* Puts an ellipsis over the end, where no character is cut in two. */
static size_t cut(char *text, size_t size)
{
	size_t end = size - (sizeof(ellipsis) - 1);

	while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
		end--;
	memcpy(text + end, ellipsis, sizeof(ellipsis) - 1);
	return end + sizeof(ellipsis) - 1;
}

typedef int callback_variant(const char *mangled, int options, demangle_callbackref callback,
			     void *opaque);

/* What is left of the writer after a variant refused a name is nothing. */
static bool try(callback_variant *variant, const char *mangled, int options, struct writer *writer)
{
	writer->size = 0;
	if (setjmp(writer->full))
		return true;
	return variant(mangled, options, write_piece, writer) && writer->size > 0;
}

static bool try_d(const char *mangled, size_t size, struct writer *writer)
{
	if (size > D_SIZE_MAX)
		return false;

	char *text = dlang_demangle(mangled, 0);
	size_t length = text ? strlen(text) : 0;

	if (length > DEMANGLE_TEXT_SIZE_MAX) {
		length = DEMANGLE_TEXT_SIZE_MAX;
		writer->is_full = true;
	}
	if (text)
		memcpy(writer->text, text, length);
	writer->size = length;
	free(text);
	return length > 0;
}

/*
 * Go writes all types into the name of a generic function, whole structs among them; in tracebacks
 * it prints "[...]" from the first bracket to the last, and so do we.
 */
static struct str shorten_go(struct str name, char *text)
{
	static const struct str dots = STR("[...]");
	const char *first = memchr(name.text, '[', name.size);
	const char *last = memrchr(name.text, ']', name.size);

	if (!first || !last || last < first ||
	    !memmem(first, (size_t)(last - first), "[go.shape.", strlen("[go.shape.")))
		return name;

	size_t before = (size_t)(first - name.text);
	size_t after = name.size - (size_t)(last + 1 - name.text);

	/* The brackets held more than the dots do. */
	assert(before + dots.size + after < name.size);
	memcpy(text, name.text, before);
	memcpy(text + before, dots.text, dots.size);
	memcpy(text + before + dots.size, last + 1, after);
	return (struct str){ text, before + dots.size + after };
}

struct str demangle(struct str name, char text[static DEMANGLE_TEXT_SIZE_MAX])
{
	char mangled[DEMANGLE_MANGLED_SIZE_MAX + 1];
	struct writer writer = { .text = text };
	bool found;

	if (name.size < 3 || name.size > DEMANGLE_MANGLED_SIZE_MAX)
		return name;
	if (name.text[0] != '_')
		return shorten_go(name, text);
	memcpy(mangled, name.text, name.size);
	mangled[name.size] = '\0';

	switch (mangled[1]) {
	case 'Z': /* Rust's old names look like C++'s, with a hash */
		found = try(rust_demangle_callback, mangled, RUST_OPTIONS, &writer) ||
			try(cplus_demangle_v3_callback, mangled, CPP_OPTIONS, &writer);
		break;
	case 'G': /* _GLOBAL__sub_I_… */
		found = try(cplus_demangle_v3_callback, mangled, CPP_OPTIONS, &writer);
		break;
	case 'R':
		found = try(rust_demangle_callback, mangled, RUST_OPTIONS, &writer);
		break;
	case 'D':
		found = try_d(mangled, name.size, &writer);
		break;
	default:
		found = false;
	}
	if (!found)
		return name;
	return (struct str){ text, writer.is_full ? cut(text, writer.size) : writer.size };
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_problem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "symbols/symbol_file.h"
#include "symbols/symbols.h"

static void add(char text[static SYMBOL_PROBLEM_SIZE], const char *what, const char *why)
{
	size_t size = strlen(text);

	snprintf(text + size, SYMBOL_PROBLEM_SIZE - size, "%s%s%s", size ? "; " : "", what, why);
}

/* What is wrong with a file, whichever. */
static const char *why_not(int error)
{
	switch (error) {
	case -ENOEXEC:
		return "no ELF file";
	case -ENOTSUP:
		return "of 32 bits, another byte order or another type";
	case -EFBIG:
		return "reading it wants more memory than it may have";
	case -EBADMSG:
		return "damaged";
	case -ENODATA:
		return "stripped of all names";
	case -ESTALE:
		return "another file than the one that ran";
	case -ECANCELED:
		return "its reader crashed over it";
	case -ETIME:
		return "reading it took too long";
	case -EPROTO:
		return "what its reader made of it is no good";
	case -EAGAIN:
		return "no process to read it in could be had";
	default:
		return strerror(-error);
	}
}

static const char *why_no_debug(int error)
{
	return error == -EBADMSG || error == -ESTALE ? "damaged, or of another build"
						     : why_not(error);
}

static const char *why_no_lines(int error)
{
	switch (error) {
	case -ENOTSUP:
		return "packed by zstd, which the installed elfutils can't unpack";
	case -ENODATA:
		return "none";
	default:
		return why_no_debug(error);
	}
}

void symbol_problem(const struct symbols_description *about, char text[static SYMBOL_PROBLEM_SIZE])
{
	static const char left_out[] = "only its own symbols were read, over the rest ";

	text[0] = '\0';
	if (about->state != SYMBOLS_PRESENT && about->error)
		add(text, "", why_not(about->error));
	if (about->sources & SYMBOL_FILE_LACKS_BY_CRASH)
		add(text, left_out, "the reader crashed");
	if (about->sources & SYMBOL_FILE_LACKS_BY_TIME)
		add(text, left_out, "the reader took too long");
	if (about->sources & SYMBOL_FILE_LACKS_BY_SIZE)
		add(text, left_out, "the reader ran out of memory");
	if (about->debug_error)
		add(text, "its debug file: ", why_no_debug(about->debug_error));
	if (about->lines_error)
		add(text, "its lines: ", why_no_lines(about->lines_error));
	if (about->sources & SYMBOL_FILE_LACKS_SHARED)
		add(text, "", "names of inlined calls are in a file of dwz, which was not found");
	if (about->sources & SYMBOL_FILE_LACKS_SPLIT)
		add(text, "", "inlined calls are in .dwo files, which were not found");
}

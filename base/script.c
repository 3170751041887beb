/* SPDX-License-Identifier: Apache-2.0 */
#include "base/script.h"

#include <string.h>

#include "base/parse.h"

enum { OPTION_COUNT_MAX = 12 };

struct interpreter {
	const char *name; /* "python": also python3, python3.11, pythonw */
	/* Letters of options after which there is no script, alone or in a bundle like "-lc": its
	 * code is the next word, or comes through standard input, and words are its arguments. */
	const char *without_script;
	const char *without_script_long[OPTION_COUNT_MAX];
	/* Options whose value is what it runs, and those whose value is a word to be passed over.
	 */
	const char *names_script[OPTION_COUNT_MAX];
	const char *takes_value[OPTION_COUNT_MAX];
};

/* clang-format off */
static const struct interpreter interpreters[] = {
	{ "python", "c", { NULL }, { "-m" }, { "-W", "-X", "--check-hash-based-pycs" } },
	{ "pypy", "c", { NULL }, { "-m" }, { "-W", "-X" } },
	{ "perl", "eE", { NULL }, { NULL }, { "-I", "-M", "-m" } },
	{ "ruby", "e", { NULL }, { NULL }, { "-I", "-r", "-C", "-E" } },
	{ "node", "ep", { "--eval", "--print" }, { NULL },
	  { "-r", "--require", "--import", "-C", "--conditions", "--loader", "--title" } },
	{ "php", "rRBES", { "--run", "--server" }, { "-f", "--file" }, { "-c", "-d", "-z" } },
	{ "java", "", { NULL }, { "-jar", "-m", "--module" },
	  { "-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules", "--add-opens",
	    "--add-exports", "--add-reads" } },
	{ "lua", "e", { NULL }, { NULL }, { "-l" } },
	{ "bash", "cs", { NULL }, { NULL }, { "-o", "-O", "--rcfile", "--init-file" } },
	{ "dash", "cs", { NULL }, { NULL }, { "-o" } },
	{ "sh", "cs", { NULL }, { NULL }, { "-o", "-O", "--rcfile", "--init-file" } },
	{ "zsh", "cs", { NULL }, { NULL }, { "-o" } },
	{ "ksh", "cs", { NULL }, { NULL }, { "-o" } },
	{ "Rscript", "e", { NULL }, { NULL }, { NULL } },
};
/* clang-format on */

/* A script that comes through a pipe or a descriptor has no name. */
static struct str name_of(struct str path)
{
	if (str_starts_with(path, STR("/dev/fd/")) ||
	    str_starts_with(path, STR("/proc/self/fd/")) || str_equal(path, STR("/dev/stdin")))
		return (struct str){ 0 };
	return str_base_name(path);
}

static bool is_listed(struct str word, const char *const list[OPTION_COUNT_MAX])
{
	for (unsigned i = 0; i < OPTION_COUNT_MAX && list[i]; i++)
		if (str_equal(word, str_from(list[i])))
			return true;
	return false;
}

/* The rest of the name is a version: digits, dots and dashes. */
static const struct interpreter *find_interpreter(struct str name)
{
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(interpreters[0]); i++) {
		struct str known = str_from(interpreters[i].name);
		bool only_version = str_starts_with(name, known);

		for (size_t at = known.size; only_version && at < name.size; at++)
			only_version = (name.text[at] >= '0' && name.text[at] <= '9') ||
				       name.text[at] == '.' || name.text[at] == '-';
		if (only_version)
			return &interpreters[i];
	}
	return NULL;
}

enum option {
	OPTION_NONE,	       /* a word that is no option */
	OPTION_PASSED,	       /* stands for itself */
	OPTION_TAKES_VALUE,    /* the next word belongs to it */
	OPTION_NAMES_SCRIPT,   /* the next word is what runs */
	OPTION_WITHOUT_SCRIPT, /* nothing that follows is the name of a file */
};

/* "-lc", "-Wignore", "-euo": letters of options, up to one that takes the rest or the next word. */
static enum option read_bundle(const struct interpreter *interpreter, struct str word)
{
	for (size_t i = 1; i < word.size; i++) {
		char letter[] = { '-', word.text[i], '\0' };

		if (word.text[i] && strchr(interpreter->without_script, word.text[i]))
			return OPTION_WITHOUT_SCRIPT;
		if (is_listed(str_from(letter), interpreter->takes_value))
			return i + 1 == word.size ? OPTION_TAKES_VALUE : OPTION_PASSED;
	}
	return OPTION_PASSED;
}

static enum option read_option(const struct interpreter *interpreter, struct str word)
{
	if (word.size == 0 || word.text[0] != '-')
		return OPTION_NONE;
	/* "-" alone is standard input. */
	if (word.size == 1)
		return OPTION_WITHOUT_SCRIPT;
	if (is_listed(word, interpreter->names_script) || str_equal(word, STR("--")))
		return OPTION_NAMES_SCRIPT;
	if (is_listed(word, interpreter->takes_value))
		return OPTION_TAKES_VALUE;
	/* Java's options are words: -Dname, -Xmx1g. */
	if (word.text[1] != '-' && interpreter->without_script[0])
		return read_bundle(interpreter, word);

	struct str name;

	(void)parse_next(&word, '=', &name);
	return is_listed(name, interpreter->without_script_long) ? OPTION_WITHOUT_SCRIPT
								 : OPTION_PASSED;
}

bool script_is_interpreter(struct str name)
{
	return find_interpreter(name) != NULL;
}

struct str script_of(struct str name, struct str command_line)
{
	const struct interpreter *interpreter = find_interpreter(name);
	struct str word;
	const struct str nothing = { 0 };

	if (!interpreter || !parse_next(&command_line, '\0', &word))
		return nothing;

	while (parse_next(&command_line, '\0', &word)) {
		switch (read_option(interpreter, word)) {
		case OPTION_NONE:
			if (word.size > 0)
				return name_of(word);
			break;
		case OPTION_PASSED:
			break;
		case OPTION_TAKES_VALUE:
			(void)parse_next(&command_line, '\0', &word);
			break;
		case OPTION_NAMES_SCRIPT:
			return parse_next(&command_line, '\0', &word) ? str_base_name(word)
								      : nothing;
		case OPTION_WITHOUT_SCRIPT:
			return nothing;
		}
	}
	return nothing;
}

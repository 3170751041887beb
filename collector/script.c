/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/script.h"

#include "base/parse.h"

enum { OPTION_COUNT_MAX = 12 };

struct interpreter {
	const char *name; /* "python": also python3, python3.11, pythonw */
	/* Options after which there is no script, those whose value is what it runs, and those
	 * whose value is another word to be passed over. */
	const char *without_script[OPTION_COUNT_MAX];
	const char *names_script[OPTION_COUNT_MAX];
	const char *takes_value[OPTION_COUNT_MAX];
};

/* clang-format off */
static const struct interpreter interpreters[] = {
	{ "python", { "-c" }, { "-m" }, { "-W", "-X", "--check-hash-based-pycs" } },
	{ "pypy", { "-c" }, { "-m" }, { "-W", "-X" } },
	{ "perl", { "-e", "-E" }, { NULL }, { "-I", "-M", "-m" } },
	{ "ruby", { "-e" }, { NULL }, { "-I", "-r", "-C", "-E" } },
	{ "node", { "-e", "--eval", "-p", "--print" }, { NULL }, { "-r", "--require", "--import", "-C", "--loader" } },
	{ "php", { "-r", "-S" }, { "-f" }, { "-c", "-d", "-z" } },
	{ "java", { NULL }, { "-jar", "-m", "--module" },
	  { "-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules", "--add-opens",
	    "--add-exports", "--add-reads" } },
	{ "lua", { "-e" }, { NULL }, { "-l" } },
	{ "bash", { "-c" }, { NULL }, { "-o", "-O", "--rcfile", "--init-file" } },
	{ "dash", { "-c" }, { NULL }, { "-o" } },
	{ "sh", { "-c" }, { NULL }, { "-o" } },
	{ "zsh", { "-c" }, { NULL }, { "-o" } },
	{ "ksh", { "-c" }, { NULL }, { "-o" } },
	{ "Rscript", { "-e" }, { NULL }, { NULL } },
};
/* clang-format on */

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

/* A shell's "-lc" is a "-c" as well. */
static bool bundles_command(struct str word)
{
	if (word.size < 3 || word.text[0] != '-' || word.text[1] == '-')
		return false;
	return word.text[word.size - 1] == 'c' && word.size <= 5;
}

struct str script_of(struct str name, struct str command_line)
{
	const struct interpreter *interpreter = find_interpreter(name);
	struct str word;
	const struct str nothing = { 0 };

	if (!interpreter || !parse_next(&command_line, '\0', &word))
		return nothing;

	bool is_shell = str_ends_with(str_from(interpreter->name), STR("sh"));

	while (parse_next(&command_line, '\0', &word)) {
		if (is_listed(word, interpreter->without_script) ||
		    (is_shell && bundles_command(word)))
			return nothing;
		if (is_listed(word, interpreter->names_script) || str_equal(word, STR("--")))
			return parse_next(&command_line, '\0', &word) ? str_base_name(word)
								      : nothing;
		if (is_listed(word, interpreter->takes_value)) {
			(void)parse_next(&command_line, '\0', &word);
			continue;
		}
		if (word.size > 0 && word.text[0] != '-')
			return str_base_name(word);
	}
	return nothing;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: what ran in each, where its names come from, and what would bring those that are
 * missing. */
#include <stdio.h>
#include <string.h>

#include "symbols/package.h"
#include "symbols/symbol_file.h"
#include "symbols/symbol_problem.h"
#include "symbols/symbols.h"
#include "symbols/upload_store.h"
#include "web/json_writer.h"
#include "web/page.h"
#include "web/recorded_time.h"
#include "web/reply.h"
#include "web/server.h"

enum {
	SOURCES_SIZE = 128,
	/* Below a hundredth of what ran in it, what has no name is not worth a command. */
	UNNAMED_SHARE = 100,
	/* Files whose packages are looked for in one answer, the heaviest first; others have theirs
	 * in the next. */
	PACKAGE_LOOKS_MAX = 16,
};

/* ---- where names come from ---- */

static const char *kind_text(const struct module_row *row)
{
	switch (row->kind) {
	case BUILD_FILE:
		return "file";
	case BUILD_KERNEL:
		return "kernel";
	case BUILD_KERNEL_MODULE:
		return "kernel module";
	case BUILD_ANONYMOUS:
		return "made by its process";
	case BUILD_UNMAPPED:
		return "unmapped";
	default:
		return "named by its process";
	}
}

static bool can_be_described(const struct module_row *row)
{
	return row->kind == BUILD_FILE || row->kind == BUILD_KERNEL ||
	       row->kind == BUILD_KERNEL_MODULE;
}

static void add_word(char text[static SOURCES_SIZE], const char *word)
{
	size_t size = strlen(text);

	if (size + strlen(word) + 3 < SOURCES_SIZE)
		snprintf(text + size, SOURCES_SIZE - size, "%s%s", size ? ", " : "", word);
}

static void write_sources(const struct server *server, const struct module_row *row,
			  const struct symbols_description *about, char text[static SOURCES_SIZE])
{
	struct upload_info upload;
	bool is_uploaded =
		server->uploads && upload_store_find(server->uploads, &row->identity, &upload) == 0;

	text[0] = '\0';
	if (row->kind == 0)
		add_word(text, "its process");
	if (!can_be_described(row))
		return;
	if (about->state == SYMBOLS_WAITING)
		add_word(text, "being read");
	else if (about->state != SYMBOLS_PRESENT)
		add_word(text, "none");
	if (about->state != SYMBOLS_PRESENT)
		return;
	if (about->sources & SYMBOL_FILE_FROM_KALLSYMS)
		add_word(text, "kallsyms");
	if (about->sources & SYMBOL_FILE_FROM_ELF)
		add_word(text, "the file");
	if (about->sources & SYMBOL_FILE_FROM_PCLNTAB)
		add_word(text, "Go's table");
	if (about->sources & SYMBOL_FILE_FROM_MINI_DEBUG)
		add_word(text, "MiniDebugInfo");
	if (about->sources & SYMBOL_FILE_FROM_DEBUG_FILE)
		add_word(text, is_uploaded ? "handed in" : "debug file");
}

/* ---- what would help ---- */

/* By the name of the process: how it is made to say what it makes. */
static const char *help_for_own_code(struct str process)
{
	static const struct {
		struct str begins;
		const char *help;
	} known[] = {
		{ STR("node"), "node --perf-basic-prof" },
		{ STR("java"), "jcmd PID Compiler.perfmap" },
		{ STR("python"), "python3 -X perf" },
		{ STR("dotnet"), "DOTNET_PerfMapEnabled=1 dotnet" },
		{ STR("julia"), "ENABLE_JITPROFILING=1 julia" },
		{ STR("postgres"), "set jit_profiling_support = on" },
		{ STR("php"), "php -d opcache.jit_debug=0x10" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_starts_with(process, known[i].begins))
			return known[i].help;
	return "have it write /tmp/perf-PID.map";
}

static const char *help_for(const struct server *server, const struct module_row *row,
			    const struct symbols_description *about, unsigned *looks,
			    char text[static PACKAGE_COMMAND_SIZE])
{
	if ((row->self - row->named) * UNNAMED_SHARE < row->self || row->self == row->named ||
	    about->state == SYMBOLS_WAITING)
		return "";
	switch (row->kind) {
	case BUILD_ANONYMOUS:
		return help_for_own_code(row->path);
	case BUILD_KERNEL:
	case BUILD_KERNEL_MODULE:
		return about->state == SYMBOLS_PRESENT
			       ? ""
			       : "sysctl kernel.kptr_restrict=1, and hearth run as root";
	case BUILD_FILE:
		break;
	default:
		return "";
	}
	if (server->packages &&
	    packages_command(server->packages, row->path, &row->identity, looks, text))
		return text;
	return row->identity.kind == IDENTITY_GNU_BUILD_ID
		       ? "hearth symbols upload FILE"
		       : "link it with -Wl,--build-id, and leave its symbols";
}

/* ---- the answer ---- */

static void write_row(struct json_writer *json, const struct server *server,
		      const struct module_row *row, unsigned *looks)
{
	static const struct str nothing = STR("");
	struct symbols_description about = { .state = SYMBOLS_ABSENT };
	char sources[SOURCES_SIZE], help[PACKAGE_COMMAND_SIZE], identity[IDENTITY_TEXT_SIZE];
	char problem[SYMBOL_PROBLEM_SIZE];

	if (can_be_described(row) && server->symbols)
		symbols_describe(server->symbols, &row->identity, &about);
	write_sources(server, row, &about, sources);
	symbol_problem(&about, problem);
	json_begin_object(json);
	json_key(json, "module");
	json_text(json, row->kind == BUILD_FILE ? str_base_name(row->path) : row->path);
	json_key(json, "path");
	json_text(json, row->kind == BUILD_FILE ? row->path : nothing);
	json_key(json, "kind");
	json_text(json, str_from(kind_text(row)));
	json_key(json, "identity");
	json_text(json,
		  row->identity.size ? str_from(identity_text(&row->identity, identity)) : nothing);
	json_key(json, "self");
	json_u64(json, row->self);
	json_key(json, "named");
	json_u64(json, row->named);
	json_key(json, "sources");
	json_text(json, str_from(sources));
	json_key(json, "problem");
	json_text(json, str_from(problem));
	json_key(json, "help");
	json_text(json, str_from(help_for(server, row, &about, looks, help)));
	json_end_object(json);
}

void page_modules(struct server *server, struct request *request, struct reply *reply)
{
	static const struct page_number limits = { "limit", 200, 1, 2000 };
	autoclean(page_question) struct page_question question = { 0 };
	autoclean(recorded_time) struct recorded_time recorded = { 0 };
	struct json_writer json = JSON_WRITER(&reply->body);
	struct modules modules;
	uint64_t limit = 0;
	unsigned looks = PACKAGE_LOOKS_MAX;

	if (!page_question_read(&question, request, reply) ||
	    !page_read_number(&question, request, &limits, &limit, reply))
		return;

	int err = page_view_start(&question, server, &recorded);

	if (!err)
		err = store_modules(server->store, &question.question, (uint32_t)limit, &modules);
	if (err) {
		reply_failure(reply, err);
		return;
	}
	json_begin_object(&json);
	page_write_view(&json, &question, &recorded, page_cpu_count(server));
	json_key(&json, "total");
	json_u64(&json, modules.total);
	json_key(&json, "modules");
	json_u64(&json, modules.module_count);
	json_key(&json, "rows");
	json_begin_array(&json);
	for (uint32_t i = 0; i < modules.count; i++)
		write_row(&json, server, &modules.rows[i], &looks);
	json_end_array(&json);
	json_end_object(&json);
	modules_done(&modules);
}

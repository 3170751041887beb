/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/symbol_maker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "symbols/debug_folder.h"
#include "symbols/late_code.h"
#include "symbols/symbol_writer.h"

/* For one question's addresses; a later question asks for the rest. */
enum { LINES_RUN_COUNT_MAX = 32 };

/* Which of a cell's files is what. */
enum {
	FILE_INPUT = 0,
	FILE_SYMBOLS = 1, /* that there are already */
	FILE_OUTPUT = 2,
};

enum task_kind {
	TASK_ELF = 1,
	TASK_DEBUG = 2,
	TASK_LINES = 3,
};

struct task {
	uint32_t kind;
	uint32_t plain; /* as of struct symbol_writer */
	uint32_t offset_count;
	struct identity identity;
	uint8_t padding[2];
	uint64_t offsets[]; /* whose lines are asked for */
};
static_assert(sizeof(struct task) + SYMBOL_MAKER_OFFSET_COUNT_MAX * sizeof(uint64_t) <=
		      CELL_MESSAGE_SIZE_MAX,
	      "sent as one packet");

struct answer {
	struct identity identity;
	struct identity go; /* IDENTITY_NONE: nothing */
	bool has_more;
};

struct symbol_maker {
	struct symbol_folder *folder;
	const char *debug_folders;
	struct cells *cells;
	int input; /* the file that is read; or -1 */
	int debug; /* its debug file, if somebody brought it; or -1 */
	symbol_maker_find *find;
	void *find_context;
	struct symbol_maker_stats stats;
};

/* ---- inside ---- */

static int ask_outside(void *context, const struct symbol_wish *wish, int *ret_fd)
{
	return cell_ask(context, wish, sizeof(*wish), ret_fd);
}

static int work(struct cell *cell)
{
	const struct task *task = cell->task;
	struct answer answer = { 0 };
	struct symbol_writer writer = {
		.output = cell->fds[FILE_OUTPUT],
		.plain = task->plain,
		.open = ask_outside,
		.context = cell,
	};
	struct symbol_writer_lines lines = {
		.symbol_fd = cell->fds[FILE_SYMBOLS],
		.elf_fd = cell->fds[FILE_INPUT],
		.offsets = task->offsets,
		.offset_count = task->offset_count,
	};
	int err = -EINVAL;

	assert(cell->task_size == sizeof(*task) + task->offset_count * sizeof(task->offsets[0]));
	switch (task->kind) {
	case TASK_ELF:
		err = symbol_writer_elf(&writer, cell->fds[FILE_INPUT], &task->identity,
					&answer.identity, &answer.go);
		break;
	case TASK_DEBUG:
		err = symbol_writer_debug(&writer, cell->fds[FILE_SYMBOLS], &answer.identity);
		break;
	case TASK_LINES:
		err = symbol_writer_lines(&writer, &lines, &answer.identity, &answer.has_more);
		break;
	default:
		break;
	}
	memcpy(cell->answer, &answer, sizeof(answer));
	cell->answer_size = sizeof(answer);
	return err;
}

/* ---- outside ---- */

int symbol_maker_new(struct symbol_folder *folder, const char *debug_folders,
		     struct symbol_maker **ret)
{
	autoclean(symbol_maker) struct symbol_maker *maker = calloc(1, sizeof(*maker));

	if (!maker)
		return -ENOMEM;
	maker->folder = folder;
	maker->debug_folders = debug_folders;
	maker->input = -1;
	maker->debug = -1;

	int err = cells_start(work, NULL, &CELL_LIMITS_DEFAULT, &maker->cells);
	if (err)
		return err;
	*ret = TAKE(maker);
	return 0;
}

struct symbol_maker *symbol_maker_free(struct symbol_maker *maker)
{
	if (!maker)
		return NULL;
	cells_stop(maker->cells);
	free(maker);
	return NULL;
}

void symbol_maker_lend_debug(struct symbol_maker *maker, int fd)
{
	maker->debug = fd;
}

void symbol_maker_find_in(struct symbol_maker *maker, symbol_maker_find *find, void *context)
{
	maker->find = find;
	maker->find_context = context;
}

/* What was brought is of this very build id; what lies in folders may only bear the name. */
static int open_shared_file(const struct symbol_maker *maker, const struct symbol_wish *wish,
			    int *ret_fd)
{
	if (maker->find && maker->find(maker->find_context, &wish->identity, ret_fd) == 0)
		return 0;
	return debug_folder_open_shared(maker->debug_folders, &wish->identity, str_from(wish->name),
					ret_fd);
}

static int open_debug_file(const struct symbol_maker *maker, const struct identity *identity,
			   int *ret_fd)
{
	if (maker->debug < 0)
		return debug_folder_open(maker->debug_folders, identity, ret_fd);

	int fd = fcntl(maker->debug, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Whose name is what asks: foreign. That what is opened is the right one, the cell finds out. */
static int open_wished(void *context, const void *question, size_t size, int *ret_fd)
{
	const struct symbol_maker *maker = context;
	struct symbol_wish wish;

	if (size != sizeof(wish))
		return -EINVAL;
	memcpy(&wish, question, sizeof(wish));
	if (wish.kind != SYMBOL_WISH_SPLIT_FILE &&
	    (wish.identity.kind == IDENTITY_NONE || wish.identity.size == 0 ||
	     wish.identity.size > IDENTITY_SIZE_MAX))
		return -EINVAL;
	wish.name[sizeof(wish.name) - 1] = '\0';
	switch (wish.kind) {
	case SYMBOL_WISH_DEBUG_FILE:
		return open_debug_file(maker, &wish.identity, ret_fd);
	case SYMBOL_WISH_SHARED_FILE:
		return open_shared_file(maker, &wish, ret_fd);
	case SYMBOL_WISH_LINKED_FILE:
		return debug_folder_open_linked(maker->debug_folders, maker->input,
						str_from(wish.name), wish.place, ret_fd);
	case SYMBOL_WISH_SPLIT_FILE:
		return debug_folder_open_split(maker->debug_folders, maker->input,
					       str_from(wish.name), wish.place, ret_fd);
	case SYMBOL_WISH_KNOWN:
		return symbol_folder_has(maker->folder, &wish.identity) ? -EEXIST : -ENOENT;
	default:
		return -EINVAL;
	}
}

/* One that it could have read, its unused bytes zero. */
static bool take_identity(const uint8_t *bytes, struct identity *ret)
{
	memcpy(ret, bytes, sizeof(*ret));
	if (ret->size > IDENTITY_SIZE_MAX)
		return false;
	for (size_t i = ret->size; i < IDENTITY_SIZE_MAX; i++)
		if (ret->bytes[i] != 0)
			return false;
	return true;
}

/* What the run came to, and what the cell found. */
static int read_answer(struct symbol_maker *maker, const struct cell_run *run, struct answer *ret)
{
	if (run->peak > maker->stats.peak)
		maker->stats.peak = run->peak;
	maker->stats.cpu_ns += run->cpu_ns;
	maker->stats.unfiltered += run->is_unfiltered;
	maker->stats.died += run->fate == CELL_DIED;
	maker->stats.overran += run->fate == CELL_OVERRAN;
	if (run->fate != CELL_ENDED)
		return run->fate == CELL_DIED ? -ECANCELED : -ETIME;
	/* Its limit, which is the same the next time. */
	if (run->error == -ENOMEM)
		return -EFBIG;
	if (run->error && run->error != -EEXIST)
		return run->error < 0 ? run->error : -EPROTO;
	if (run->answer_size != sizeof(*ret))
		return -EPROTO;

	struct identity identity, go;

	if (!take_identity(run->answer + offsetof(struct answer, identity), &identity) ||
	    identity.size == 0 || !take_identity(run->answer + offsetof(struct answer, go), &go))
		return -EPROTO;
	ret->identity = identity;
	ret->go = go.kind == IDENTITY_GO_BUILD_ID && go.size > 0 ? go : (struct identity){ 0 };
	ret->has_more = run->answer[offsetof(struct answer, has_more)] != 0;
	return run->error;
}

/* Whatever the cell wrote becomes a symbol file only if it is one, and of what it says. */
static int keep_output(struct symbol_maker *maker, int output, const struct identity *identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	int err = symbol_file_open(output, &file);

	if (err)
		return err == -EBADMSG ? -EPROTO : err;
	if (!identity_equal(&symbol_file_header(file)->identity, identity))
		return -EPROTO;
	return symbol_folder_install(maker->folder, file);
}

/* Runs a task on these files and keeps what it made. */
static int run_task(struct symbol_maker *maker, const struct task *task, int input, int symbols,
		    struct answer *ret)
{
	struct cell_run run = {
		.task = task,
		.task_size = sizeof(*task) + task->offset_count * sizeof(task->offsets[0]),
		.open = open_wished,
		.context = maker,
	};
	autoclose int output = memfd_create("symbols", MFD_CLOEXEC);
	struct answer answer = { 0 };

	if (output < 0)
		return -errno;
	for (size_t i = 0; i < CELL_FD_COUNT_MAX; i++)
		run.fds[i] = -1;
	run.fds[FILE_INPUT] = input;
	run.fds[FILE_SYMBOLS] = symbols;
	run.fds[FILE_OUTPUT] = output;

	maker->input = input;

	int no_cell = cells_run(maker->cells, &run);

	maker->input = -1;
	/* Not the file's fault. */
	if (no_cell)
		return -EAGAIN;

	int err = read_answer(maker, &run, &answer);

	if (err && err != -EEXIST)
		return err;
	if (!identity_may_stand_for(&task->identity, &answer.identity))
		return -EPROTO;
	if (!err)
		err = keep_output(maker, output, &answer.identity);
	else
		err = symbol_folder_has(maker->folder, &answer.identity) ? 0 : -EPROTO;
	if (!err)
		*ret = answer;
	return err;
}

/* What the file is to be read without, if that is why it could not be read whole. */
static uint32_t lacks_by(int err)
{
	switch (err) {
	case -ECANCELED:
		return SYMBOL_FILE_LACKS_BY_CRASH;
	case -ETIME:
		return SYMBOL_FILE_LACKS_BY_TIME;
	case -EFBIG:
		return SYMBOL_FILE_LACKS_BY_SIZE;
	default:
		return 0;
	}
}

int symbol_maker_elf(struct symbol_maker *maker, int fd, const struct identity *wished,
		     struct identity *ret_identity, struct identity *ret_go)
{
	struct task task = { .kind = TASK_ELF, .identity = *wished };
	struct answer answer;
	int err = run_task(maker, &task, fd, -1, &answer);

	task.plain = lacks_by(err);
	if (task.plain && run_task(maker, &task, fd, -1, &answer) == 0)
		err = 0;
	if (!err && !identity_equal(&answer.identity, wished))
		err = symbol_folder_alias(maker->folder, wished, &answer.identity);
	if (!err && answer.go.kind != IDENTITY_NONE &&
	    !identity_equal(&answer.go, &answer.identity))
		err = symbol_folder_alias(maker->folder, &answer.go, &answer.identity);
	if (!err) {
		*ret_identity = answer.identity;
		*ret_go = answer.go;
	}
	return err;
}

int symbol_maker_debug(struct symbol_maker *maker, const struct identity *identity)
{
	struct task task = { .kind = TASK_DEBUG, .identity = *identity };
	autoclean(symbol_file) struct symbol_file *file = NULL;
	autoclose int symbols = -1;
	int err = symbol_folder_read(maker->folder, identity, &file);

	if (!err && symbol_file_header(file)->sources & SYMBOL_FILE_FROM_DEBUG_FILE)
		err = -EALREADY;
	if (!err)
		err = symbol_folder_open_file(maker->folder, identity, &symbols);
	return err ? err : run_task(maker, &task, -1, symbols, &(struct answer){ 0 });
}

int symbol_maker_lines(struct symbol_maker *maker, const struct identity *identity, int elf_fd,
		       const uint64_t *offsets, size_t offset_count)
{
	size_t size = sizeof(struct task) + offset_count * sizeof(offsets[0]);
	autofree struct task *task = calloc(1, size);
	struct answer answer = { .has_more = true };
	int err = 0;

	assert(offset_count <= SYMBOL_MAKER_OFFSET_COUNT_MAX);
	if (!task)
		return -ENOMEM;
	*task = (struct task){ .kind = TASK_LINES,
			       .offset_count = (uint32_t)offset_count,
			       .identity = *identity };
	memcpy(task->offsets, offsets, offset_count * sizeof(offsets[0]));
	/* Each run does what its memory allows, and begins where the last one ended. */
	for (unsigned i = 0; !err && answer.has_more && i < LINES_RUN_COUNT_MAX; i++) {
		autoclose int symbols = -1;

		err = symbol_folder_open_file(maker->folder, identity, &symbols);
		if (!err)
			err = run_task(maker, task, elf_fd, symbols, &answer);
	}
	return err;
}

int symbol_maker_forget_lines(struct symbol_maker *maker, const struct identity *identity)
{
	autoclean(symbol_file) struct symbol_file *file = NULL;
	struct symbol_table table;
	int err = symbol_folder_read(maker->folder, identity, &file);

	if (err)
		return err;

	struct symbol_file_contents contents = {
		.identity = symbol_file_header(file)->identity,
		.sources = symbol_file_header(file)->sources &
			   ~(uint32_t)(SYMBOL_FILE_LACKS_SHARED | SYMBOL_FILE_LACKS_SPLIT),
		.table = &table,
		.link = symbol_file_debug_link(file),
	};

	contents.segments = symbol_file_segments(file, &contents.segment_count);
	symbol_file_table(file, &table);
	return symbol_folder_write(maker->folder, &contents);
}

int symbol_maker_kernel_part(struct symbol_maker *maker, const struct kernel_symbols *kernel,
			     size_t number)
{
	const struct kernel_part *part = kernel_symbols_part(kernel, number);
	struct elf_segment segment = { .offset = 0, .vaddr = 0, .size = part->size };
	autoclean(symbol_table) struct symbol_table table;
	struct symbol_file_contents contents = {
		.identity = part->identity,
		.sources = SYMBOL_FILE_FROM_KALLSYMS,
		.segments = &segment,
		.segment_count = 1,
		.table = &table,
	};

	symbol_table_init(&table);

	int err = kernel_symbols_add_to(kernel, number, &table);
	if (!err)
		err = symbol_table_build(&table);
	return err ? err : symbol_folder_write(maker->folder, &contents);
}

int symbol_maker_names(struct symbol_maker *maker, const struct late_names *names)
{
	struct elf_segment segment = { .size = LATE_CODE_NUMBER_MAX + 1 };
	autoclean(symbol_file) struct symbol_file *before = NULL;
	autoclean(symbol_table) struct symbol_table table;
	struct symbol_file_contents contents = {
		.identity = names->identity,
		.sources = SYMBOL_FILE_FROM_PROCESS,
		.segments = &segment,
		.segment_count = 1,
		.table = &table,
	};
	const uint32_t *numbers = (const void *)names->numbers.bytes;
	const uint32_t *offsets = (const void *)names->text_offsets.bytes;
	int err = 0;

	symbol_table_init(&table);
	if (symbol_folder_read(maker->folder, &names->identity, &before) == 0)
		err = symbol_file_add_symbols(before, &table);
	for (size_t i = 0; i < names->count && !err; i++)
		err = symbol_table_add(
			&table, &(struct symbol){
					.start = numbers[i],
					.size = 1,
					.end_max = numbers[i] + 1,
					.name = (const char *)names->texts.bytes + offsets[i],
					.name_size_max = offsets[i + 1] - offsets[i],
				});
	if (!err)
		err = symbol_table_build(&table);
	return err ? err : symbol_folder_write(maker->folder, &contents);
}

struct symbol_maker_stats symbol_maker_stats(const struct symbol_maker *maker)
{
	return maker->stats;
}

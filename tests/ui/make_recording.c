/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_recording FILE: twelve minutes of an invented host, up to now, in which everything is known,
 * for `hearth serve --replay` under the tests of the page. Samples are taken 100 times a second, so
 * a sample a second is 0.01 cores. tests/ui/known.mjs says the same in numbers that the tests
 * expect.
 *
 *   db       1.20 cores, 3 of 10 in the kernel, two threads, all the time
 *   web      0.50 cores, two processes, all the time
 *   search   0.80 cores, in the last 4 minutes: what has changed
 *   calc     0.20 cores, a function that calls itself, named by its runtime
 *   legacy   0.10 cores, its stacks end where no caller is known
 *   closed   0.10 cores, a binary without symbols
 *   backup   0.60 cores, pid 777, from 10 to 8 minutes ago; it has ended
 *
 * and nothing for 30 s, from 7 minutes ago: the host was suspended.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/link.h"
#include "base/window.h"
#include "tests/support/elf_maker.h"
#include "web/recording.h"

enum {
	SECONDS = 720,
	GAP_FROM = 300, /* seconds since the start */
	GAP_TO = 330,
	FREQUENCY = 100,
	CPUS = 4,
	FRAMES_MAX = 12,
	SYMBOL_SIZE = 0x40,
};

#define START_BOOT_NS (UINT64_C(100000) * (uint64_t)CLOCK_NS_PER_S)
#define KERNEL_START  UINT64_C(0xffffffff81000000)

/* Functions of each binary stand one after another, SYMBOL_SIZE apart. */
struct binary {
	const char *name;
	const char *functions[10];
	bool is_stripped; /* no file is given for it */
};

enum { DB, WEB, SEARCH, CALC, LEGACY, CLOSED, BACKUP, KERNEL, BINARY_COUNT };

static const struct binary binaries[BINARY_COUNT] = {
	[DB] = { "dbserver",
		 { "main", "serve_client", "run_query", "scan_table", "hash_lookup",
		   "write_log" } },
	[WEB] = { "webserver",
		  { "main", "event_loop", "handle_request", "render_template", "send_reply" } },
	[SEARCH] = { "indexer",
		     { "main", "rebuild_index", "tokenize_document", "compress_postings" } },
	[CALC] = { "calc", { "evaluate_tree", "add_numbers" } },
	[LEGACY] = { "legacy", { "old_inner_loop" } },
	[CLOSED] = { "closed", { 0 }, .is_stripped = true },
	[BACKUP] = { "backup", { "main", "copy_files", "compress_block" } },
	[KERNEL] = { "vmlinux",
		     { "entry_SYSCALL_64", "do_syscall_64", "vfs_read", "vfs_write", "copy_page",
		       "net_rx_action" } },
};

struct known_process {
	const char *name, *cgroup;
	uint32_t pid, binary;
	uint32_t from_s, to_s; /* since the start; to_s below SECONDS: it ends then */
};

static const struct known_process processes[] = {
	{ "dbserver", "/system.slice/db.service", 200, DB, 0, SECONDS },
	{ "webserver", "/system.slice/web.service", 301, WEB, 0, SECONDS },
	{ "webserver", "/system.slice/web.service", 302, WEB, 0, SECONDS },
	{ "indexer", "/system.slice/search.service", 400, SEARCH, SECONDS - 240, SECONDS },
	{ "calc", "/system.slice/calc.service", 500, CALC, 0, SECONDS },
	{ "legacy", "/system.slice/legacy.service", 600, LEGACY, 0, SECONDS },
	{ "closed", "/system.slice/closed.service", 700, CLOSED, 0, SECONDS },
	{ "backup", "/system.slice/backup.service", 777, BACKUP, 120, 240 },
};
enum { PROCESS_COUNT = sizeof(processes) / sizeof(processes[0]) };

static const struct known_thread {
	uint32_t process, tid;
	const char *name;
} threads[] = {
	{ 0, 200, "db-main" },	 { 0, 201, "db-writer" }, { 1, 301, "webserver" },
	{ 2, 302, "webserver" }, { 3, 400, "indexer" },	  { 4, 500, "calc" },
	{ 5, 600, "legacy" },	 { 6, 700, "closed" },	  { 7, 777, "backup" },
};
enum { THREAD_COUNT = sizeof(threads) / sizeof(threads[0]) };

/* Each second; the path from the root, functions by their place in the binary, the kernel's after.
 */
static const struct known_stack {
	uint32_t thread, samples;
	int user[FRAMES_MAX];	/* -1 ends it */
	int kernel[FRAMES_MAX]; /* the same; from the entry inwards */
	enum verdict verdict;
} stacks[] = {
	{ 0, 50, { 0, 1, 2, 3, 4, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 0, 20, { 0, 1, 2, 3, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 0, 26, { 0, 1, 2, 3, -1 }, { 0, 1, 2, 4, -1 }, VERDICT_COMPLETE },
	{ 1, 14, { 0, 5, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 1, 10, { 0, 5, -1 }, { 0, 1, 3, 4, -1 }, VERDICT_COMPLETE },
	{ 2, 20, { 0, 1, 2, 3, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 2, 10, { 0, 1, 2, 4, -1 }, { 0, 1, 3, 5, -1 }, VERDICT_COMPLETE },
	{ 3, 20, { 0, 1, 2, 3, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 4, 50, { 0, 1, 2, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 4, 30, { 0, 1, 3, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 5, 15, { 0, 0, 0, 0, 1, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 5, 5, { 0, 0, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 6, 10, { 0, -1 }, { -1 }, VERDICT_NO_RULE },
	{ 7, 10, { 0, 1, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 8, 40, { 0, 1, 2, -1 }, { -1 }, VERDICT_COMPLETE },
	{ 8, 20, { 0, 1, -1 }, { 0, 1, 2, -1 }, VERDICT_COMPLETE },
};
enum { STACK_COUNT = sizeof(stacks) / sizeof(stacks[0]) };

static struct identity identity_of(uint32_t binary)
{
	struct identity identity = { .kind = IDENTITY_GNU_BUILD_ID, .size = 20 };

	memset(identity.bytes, (int)binary + 1, identity.size);
	return identity;
}

static int add(struct recording *recording, uint8_t type, uint64_t sequence, struct buf *payload,
	       int fd)
{
	struct link_message message = { .type = type,
					.sequence = sequence,
					.payload = payload->bytes,
					.size = payload->size,
					.fds = { fd, -1 },
					.fd_count = fd >= 0 };

	return payload->error ? payload->error : recording_add(recording, &message);
}

static int add_hello(struct recording *recording)
{
	struct link_hello hello = { .collector = 1, .kernel_release = STR("6.12.0-known") };
	autoclean(buf) struct buf payload = BUF(1024);

	link_encode_hello(&hello, &payload);
	return add(recording, LINK_HELLO, 0, &payload, -1);
}

static int add_kernel(struct recording *recording)
{
	autoclean(buf) struct buf payload = BUF(1024);
	autoclean(buf) struct buf list = BUF(4096);
	char line[128];

	for (uint32_t i = 0; i < 10 && binaries[KERNEL].functions[i]; i++) {
		int size = snprintf(line, sizeof(line), "%016llx T %s\n",
				    (unsigned long long)(KERNEL_START + i * SYMBOL_SIZE),
				    binaries[KERNEL].functions[i]);

		buf_add(&list, line, (size_t)size);
	}
	if (list.error)
		return list.error;

	int fd = elf_maker_memfd(list.bytes, list.size);
	int err = fd < 0 ? fd : add(recording, LINK_KERNEL, 0, &payload, fd);

	if (fd >= 0)
		(void)close(fd);
	return err;
}

/* All made files have one build id; here each needs its own. */
static void set_build_id(struct buf *elf, const struct identity *identity)
{
	static const char owner[4] = "GNU";
	uint8_t *at = memmem(elf->bytes, elf->size, owner, sizeof(owner));

	assert(at);
	memcpy(at + sizeof(owner), identity->bytes, identity->size);
}

static int add_binary(struct recording *recording, uint32_t number)
{
	const struct binary *binary = &binaries[number];
	struct elf_maker_symbol symbols[10] = { 0 };
	struct link_file file = { .identity = identity_of(number), .error = 0 };
	size_t count = 0;
	autoclean(buf) struct buf payload = BUF(1024);
	autoclean(buf) struct buf elf = BUF(64 << 10);

	for (; count < 10 && binary->functions[count]; count++)
		symbols[count] = (struct elf_maker_symbol){ .name = binary->functions[count],
							    .start = count * SYMBOL_SIZE,
							    .size = SYMBOL_SIZE,
							    .type = STT_FUNC,
							    .binding = STB_GLOBAL };
	elf_maker_make(&elf, symbols, count);
	if (elf.error)
		return elf.error;
	set_build_id(&elf, &file.identity);
	link_encode_file(&file, &payload);

	int fd = elf_maker_memfd(elf.bytes, elf.size);
	int err = fd < 0 ? fd : add(recording, LINK_FILE, 0, &payload, fd);

	if (fd >= 0)
		(void)close(fd);
	return err;
}

struct maker {
	struct window window;
	struct window_process processes[PROCESS_COUNT];
	struct window_thread threads[THREAD_COUNT];
	struct window_file files[BINARY_COUNT];
	struct window_name names[2];
	struct window_frame frames[STACK_COUNT * 2 * FRAMES_MAX];
	struct window_stack stacks[STACK_COUNT];
	struct window_entry entries[STACK_COUNT];
	uint16_t times_ms[1000];
	char paths[BINARY_COUNT][64];
};

/* What stays the same from second to second. */
static void prepare(struct maker *m, int64_t start_unix_ns)
{
	struct window *w = &m->window;

	*w = (struct window){ .collector = 1,
			      .boot_to_unix_ns = start_unix_ns - (int64_t)START_BOOT_NS,
			      .frequency_hz = FREQUENCY,
			      .cpu_count = CPUS,
			      .processes = m->processes,
			      .threads = m->threads,
			      .files = m->files,
			      .names = m->names,
			      .frames = m->frames,
			      .stacks = m->stacks,
			      .entries = m->entries,
			      .times_ms = m->times_ms,
			      .process_count = PROCESS_COUNT,
			      .thread_count = THREAD_COUNT,
			      .file_count = BINARY_COUNT,
			      .name_count = 2 };
	for (uint32_t i = 0; i < BINARY_COUNT; i++) {
		snprintf(m->paths[i], sizeof(m->paths[i]), "/usr/bin/%s", binaries[i].name);
		m->files[i] = (struct window_file){ .identity = identity_of(i),
						    .path = str_from(m->paths[i]) };
	}
	for (uint32_t i = 0; i < 2; i++)
		m->names[i] =
			(struct window_name){ .function = str_from(binaries[CALC].functions[i]),
					      .file = STR("calc.py"),
					      .line = 10 };
	for (uint32_t i = 0; i < PROCESS_COUNT; i++) {
		const struct known_process *p = &processes[i];

		m->processes[i] = (struct window_process){
			.key = { .pid = p->pid,
				 .exec_generation = 1,
				 .start_boot_ns =
					 START_BOOT_NS / 2 + i * (uint64_t)CLOCK_NS_PER_S },
			.namespace_pid = p->pid,
			.executable_file = p->binary,
			.exit_boot_ns = p->to_s < SECONDS
						? START_BOOT_NS + p->to_s * (uint64_t)CLOCK_NS_PER_S
						: 0,
			.name = str_from(p->name),
			.comm = str_from(p->name),
			.executable = str_from(m->paths[p->binary]),
			.cgroup = str_from(p->cgroup),
		};
	}
	for (uint32_t i = 0; i < THREAD_COUNT; i++)
		m->threads[i] = (struct window_thread){ .process = threads[i].process,
							.tid = threads[i].tid,
							.name = str_from(threads[i].name) };
}

static uint32_t depth_of(const int *path)
{
	uint32_t depth = 0;

	while (depth < FRAMES_MAX && path[depth] >= 0)
		depth++;
	return depth;
}

static void add_frame(struct window *w, uint8_t kind, uint32_t reference, uint64_t address,
		      bool is_leaf)
{
	w->frames[w->frame_count++] =
		(struct window_frame){ .kind = kind,
				       .reference = reference,
				       .address = address,
				       .position = is_leaf ? FRAME_LEAF : FRAME_RETURN };
}

/* The leaf first, the kernel's frames before the user's. */
static void add_stack(struct window *w, const struct known_stack *stack)
{
	uint32_t binary = processes[threads[stack->thread].process].binary;
	uint32_t first = w->frame_count;
	uint32_t kernel_depth = depth_of(stack->kernel);

	for (uint32_t i = kernel_depth; i > 0; i--)
		add_frame(w, FRAME_KERNEL, 0,
			  KERNEL_START + (uint64_t)stack->kernel[i - 1] * SYMBOL_SIZE + 8,
			  i == kernel_depth);
	for (uint32_t depth = depth_of(stack->user), i = depth; i > 0; i--) {
		uint32_t function = (uint32_t)stack->user[i - 1];
		bool is_leaf = i == depth && kernel_depth == 0;

		if (binary == CALC)
			add_frame(w, FRAME_NAMED, function, 0, is_leaf);
		else
			add_frame(w, FRAME_FILE, binary,
				  ELF_MAKER_TEXT_OFFSET + function * SYMBOL_SIZE + 8, is_leaf);
	}
	w->stacks[w->stack_count++] = (struct window_stack){ .first_frame = first,
							     .frame_count = w->frame_count - first,
							     .verdict = stack->verdict };
}

static void fill(struct maker *m, uint32_t second, uint64_t sequence)
{
	struct window *w = &m->window;

	w->sequence = sequence;
	w->start_boot_ns = START_BOOT_NS + second * (uint64_t)CLOCK_NS_PER_S;
	w->end_boot_ns = w->start_boot_ns + (uint64_t)CLOCK_NS_PER_S;
	w->gap = second == GAP_TO ? GAP_SUSPENDED : GAP_NONE;
	w->frame_count = w->stack_count = w->entry_count = w->time_count = 0;
	w->sample_count = 0;
	for (uint32_t i = 0; i < STACK_COUNT; i++) {
		const struct known_process *p = &processes[threads[stacks[i].thread].process];

		if (second < p->from_s || second >= p->to_s)
			continue;
		add_stack(w, &stacks[i]);
		w->entries[w->entry_count++] = (struct window_entry){
			.thread = stacks[i].thread,
			.stack = w->stack_count - 1,
			.event = EVENT_CPU,
			.count = stacks[i].samples,
			.weight = stacks[i].samples * (uint64_t)CLOCK_NS_PER_S / FREQUENCY,
			.first_time = w->time_count,
		};
		for (uint32_t sample = 0; sample < stacks[i].samples; sample++)
			w->times_ms[w->time_count++] =
				(uint16_t)(sample * 1000 / stacks[i].samples);
		w->sample_count += stacks[i].samples;
	}
	assert(w->time_count <= sizeof(m->times_ms) / sizeof(m->times_ms[0]));
}

static int make(struct recording *recording)
{
	static struct maker maker;
	uint64_t sequence = 0;
	autoclean(buf) struct buf payload = BUF(WINDOW_SIZE_MAX);
	int err = add_hello(recording);

	if (!err)
		err = add_kernel(recording);
	prepare(&maker, clock_unix_ns() - SECONDS * CLOCK_NS_PER_S);
	for (uint32_t second = 0; second < SECONDS && !err; second++) {
		if (second >= GAP_FROM && second < GAP_TO)
			continue;
		fill(&maker, second, ++sequence);
		buf_clear(&payload);
		window_encode(&maker.window, &payload);
		err = add(recording, LINK_WINDOW, sequence, &payload, -1);
		/* A server wishes for files once it has seen that they are needed. */
		for (uint32_t i = 0; second == 0 && i < BINARY_COUNT && !err; i++)
			if (!binaries[i].is_stripped && i != KERNEL && i != CALC)
				err = add_binary(recording, i);
	}
	return err;
}

int main(int argument_count, char **arguments)
{
	autoclean(recording) struct recording *recording = NULL;

	if (argument_count != 2) {
		fprintf(stderr, "usage: make_recording FILE\n");
		return 64;
	}

	int err = recording_create(arguments[1], &recording);

	if (!err)
		err = make(recording);
	if (err)
		fprintf(stderr, "make_recording: %s: %s\n", arguments[1], strerror(-err));
	return err ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/processes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "collector/proc.h"
#include "collector/sideband.h"
#include "collector/spaces.h"

enum {
	BUCKET_COUNT = 4096, /* a power of two */
	SWEEP_SHARE = 64,    /* of the buckets looked at for the silently gone, a window */
};

static_assert(BUCKET_COUNT % SWEEP_SHARE == 0, "each bucket has its turn");

/* Samples in flight when a process ends are drained within a window; then some. */
#define KEPT_AFTER_END_NS (UINT64_C(4) * (uint64_t)CLOCK_NS_PER_S)
/* An exec record comes before the kernel counts the exec: a sample in between is of the program
 * that was, with the new one's record behind it. */
#define EXEC_NS		  ((uint64_t)CLOCK_NS_PER_MS)
#define SCAN_DELAY_MIN_NS ((uint64_t)CLOCK_NS_PER_S)
#define SCAN_DELAY_MAX_NS (UINT64_C(60) * (uint64_t)CLOCK_NS_PER_S)

struct processes {
	struct process *buckets[BUCKET_COUNT]; /* by pid; newest first */
	size_t count;
	uint32_t swept; /* the next share of buckets */
	uint64_t refused;
	uint32_t followed_pid;	 /* 0: nobody in particular */
	struct spaces *spaces;	 /* NULL: nobody walks */
	struct process *changed; /* to be published */
};

int processes_new(struct spaces *spaces, struct processes **ret)
{
	struct processes *processes = calloc(1, sizeof(*processes));

	if (!processes)
		return -ENOMEM;
	processes->spaces = spaces;
	*ret = processes;
	return 0;
}

static void free_process(struct process *process)
{
	mappings_unref(process->mappings);
	process_texts_unref(process->texts);
	free(process);
}

struct processes *processes_free(struct processes *processes)
{
	if (!processes)
		return NULL;

	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		while (processes->buckets[i]) {
			struct process *process = processes->buckets[i];

			processes->buckets[i] = process->older;
			free_process(process);
		}
	}
	free(processes);
	return NULL;
}

size_t processes_count(const struct processes *processes)
{
	return processes->count;
}

static struct process **bucket_of(struct processes *processes, uint32_t pid)
{
	return &processes->buckets[pid % BUCKET_COUNT];
}

/* The image that the pid runs now, as far as we heard. */
static struct process *find_current(struct processes *processes, uint32_t pid)
{
	for (struct process *p = *bucket_of(processes, pid); p; p = p->older)
		if (p->key.pid == pid)
			return p->end_boot_ns || p->exit_boot_ns ? NULL : p;
	return NULL;
}

/*
 * Of the pid's images that began after this time, the first. A sample from before it is of an image
 * that we never heard of, and that has ended since.
 */
static struct process *find_next_image(struct processes *processes, uint32_t pid, uint64_t boot_ns)
{
	struct process *next = NULL;

	for (struct process *p = *bucket_of(processes, pid); p; p = p->older)
		if (p->key.pid == pid && p->begin_boot_ns > boot_ns)
			next = p;
	return next;
}

static void mark_changed(struct processes *processes, struct process *process)
{
	if (!processes->spaces || process->is_changed)
		return;
	process->is_changed = true;
	process->next_changed = processes->changed;
	processes->changed = process;
}

/* Enters it as the pid's current image, or as the one that ended when the image newer began. */
static struct process *add_process(struct processes *processes, uint32_t pid,
				   uint64_t begin_boot_ns, struct process *newer)
{
	struct process *process = NULL;
	struct process **link = newer ? &newer->older : bucket_of(processes, pid);

	assert(!newer || newer->key.pid == pid);

	if (processes->count < PROCESS_COUNT_MAX)
		process = calloc(1, sizeof(*process));
	if (!process) {
		processes->refused++;
		return NULL;
	}
	process->key.pid = pid;
	process->is_followed = pid == processes->followed_pid;
	/* Another image of what is followed; a fork says of itself whose child it is. */
	for (const struct process *p = *bucket_of(processes, pid); p; p = p->older)
		process->is_followed |= p->key.pid == pid && p->is_followed;
	process->begin_boot_ns = begin_boot_ns;
	process->end_boot_ns = newer ? newer->begin_boot_ns : 0;
	process->older = *link;
	*link = process;
	processes->count++;
	return process;
}

static void note_fork(struct processes *processes, const struct sideband_record *record)
{
	const struct process *parent = find_current(processes, record->parent_pid);
	struct process *former = find_current(processes, record->pid);

	/* The pid came again before we heard of its end. */
	if (former)
		former->exit_boot_ns = record->boot_ns;

	struct process *child = add_process(processes, record->pid, record->boot_ns, NULL);

	if (!child)
		return;
	child->parent_pid = record->parent_pid;
	child->is_followed = record->pid == processes->followed_pid ||
			     record->parent_pid == processes->followed_pid ||
			     (parent && parent->is_followed);
	if (parent && parent->mappings)
		child->mappings = mappings_ref(parent->mappings);
	mark_changed(processes, child);
	if (parent && parent->texts)
		child->texts = process_texts_ref(parent->texts);
}

/* What is known of a program from its exec record alone: its name; and whose cgroup it is in. */
static struct process_texts *texts_after_exec(const struct process *former, struct str comm)
{
	struct process_texts *texts = process_texts_new();

	if (!texts)
		return NULL;
	texts->comm = strndup(comm.text ? comm.text : "", comm.size);
	texts->name = strndup(comm.text ? comm.text : "", comm.size);
	if (former && former->texts) {
		texts->cgroup = former->texts->cgroup ? strdup(former->texts->cgroup) : NULL;
	}
	if (!texts->comm || !texts->name)
		return process_texts_unref(texts);
	return texts;
}

static void note_exec(struct processes *processes, const struct sideband_record *record)
{
	struct process *former = find_current(processes, record->pid);

	if (former)
		former->end_boot_ns = record->boot_ns;

	struct process *process = add_process(processes, record->pid, record->boot_ns, NULL);

	if (!process)
		return;
	if (former) {
		process->parent_pid = former->parent_pid;
		if (former->has_key) {
			process->key = former->key;
			process->key.exec_generation++;
			process->has_key = true;
		}
	}
	process->texts = texts_after_exec(former, record->text);
	process->mappings = mappings_new();
	if (process->mappings)
		process->mappings->is_complete = true;
	mark_changed(processes, process);
}

/* The first file that an image maps is the program itself, then its loader. */
static void note_first_mapping(struct process *process, struct str path)
{
	if (!process->texts || process->texts->executable || process->texts->users > 1)
		return;
	process->texts->executable = strndup(path.text, path.size);

	struct str base = str_base_name(path);
	char *name = strndup(base.text, base.size);

	if (name) {
		free(process->texts->name);
		process->texts->name = name;
	}
}

static void note_mapping(struct processes *processes, const struct sideband_record *record)
{
	struct process *process = find_current(processes, record->pid);

	/* Of a process that was not sampled yet all mappings are read when it is. */
	if (!process || !process->mappings)
		return;

	struct mapping mapping = { .start = record->start,
				   .end = record->end,
				   .offset = record->offset,
				   .kind = mapping_kind_of(record->text) };

	if (mapping.kind == MAPPING_FILE) {
		struct identity identity = record->identity;

		if (identity.kind == IDENTITY_NONE) {
			uint64_t words[5] = { record->device, record->inode };

			identity =
				(struct identity){ .kind = IDENTITY_INODE, .size = sizeof(words) };
			memcpy(identity.bytes, words, sizeof(words));
			/* Size and time are not in the record; a scan has them. */
			process->mappings->is_complete = false;
		}
		mapping.file = file_new(&identity, record->text, record->device, record->inode);
		if (!mapping.file)
			return;
		if (process->begin_boot_ns)
			note_first_mapping(process, record->text);
	}
	(void)mappings_add(&process->mappings, &mapping); /* what does not fit is unmapped to us */
	file_unref(mapping.file);
	mark_changed(processes, process);
}

static void note_rename(struct processes *processes, const struct sideband_record *record)
{
	struct process *process = find_current(processes, record->pid);

	/* Names of threads come with the samples. */
	if (!process || record->tid != record->pid || !process->texts || process->texts->users > 1)
		return;

	char *comm = strndup(record->text.text, record->text.size);

	if (!comm)
		return;
	free(process->texts->comm);
	process->texts->comm = comm;
}

void processes_follow(struct processes *processes, uint32_t pid)
{
	assert(pid > 0 && processes->followed_pid == 0);

	processes->followed_pid = pid;
}

void processes_note(struct processes *processes, const struct sideband_record *record)
{
	struct process *process;

	switch ((enum sideband_kind)record->kind) {
	case SIDEBAND_FORKED:
		note_fork(processes, record);
		break;
	case SIDEBAND_EXEC:
		note_exec(processes, record);
		break;
	case SIDEBAND_MAPPED:
		note_mapping(processes, record);
		break;
	case SIDEBAND_RENAMED:
		note_rename(processes, record);
		break;
	case SIDEBAND_KERNEL_SYMBOL:
		break;
	case SIDEBAND_EXITED:
		process = find_current(processes, record->pid);
		if (process)
			process->exit_boot_ns = record->boot_ns;
		break;
	}
}

static bool key_equal(const struct process_key *a, const struct process_key *b)
{
	return a->pid == b->pid && a->exec_generation == b->exec_generation &&
	       a->start_boot_ns == b->start_boot_ns;
}

static bool ran_at(const struct process *process, uint32_t pid, uint64_t boot_ns)
{
	return process->key.pid == pid && process->begin_boot_ns <= boot_ns &&
	       (!process->end_boot_ns || boot_ns < process->end_boot_ns);
}

/* Of those that were not sampled yet, the one that ran then. */
static struct process *find_nameless(struct processes *processes, uint32_t pid, uint64_t boot_ns)
{
	for (struct process *p = *bucket_of(processes, pid); p; p = p->older)
		if (!p->has_key && ran_at(p, pid, boot_ns))
			return p;
	return NULL;
}

/*
 * The image whose exec the kernel had not counted yet when it was sampled, now or the first time:
 * then it is known by the number of the one before.
 */
static struct process *find_uncounted(struct processes *processes, const struct process_key *key,
				      uint64_t boot_ns)
{
	for (struct process *p = *bucket_of(processes, key->pid); p; p = p->older) {
		if (!ran_at(p, key->pid, boot_ns) || !p->has_key || p->begin_boot_ns == 0 ||
		    p->key.start_boot_ns != key->start_boot_ns)
			continue;
		if (p->key.exec_generation == key->exec_generation + 1 &&
		    boot_ns - p->begin_boot_ns < EXEC_NS)
			return p;
		if (p->key.exec_generation + 1 == key->exec_generation &&
		    p->named_boot_ns - p->begin_boot_ns < EXEC_NS) {
			p->key.exec_generation = key->exec_generation;
			p->named_boot_ns = 0;
			mark_changed(processes, p);
			return p;
		}
	}
	return NULL;
}

/*
 * What a fork maps is what its parent maps, which we may not have known. Later it may be sampled
 * when it has ended, or runs another program; its parent is there mostly.
 */
static void take_from_parent(struct processes *processes, struct process *process)
{
	struct process *parent = find_current(processes, process->parent_pid);
	struct mappings *mappings = NULL;

	/* By now it runs another program, too. */
	if (parent && parent->begin_boot_ns > process->begin_boot_ns)
		return;
	if (parent && parent->mappings) {
		process->mappings = mappings_ref(parent->mappings);
	} else if (mappings_scan(process->parent_pid, &mappings) == 0) {
		process->mappings = mappings;
		if (parent)
			parent->mappings = mappings_ref(mappings);
	}
}

static void read_process(struct processes *processes, struct process *process)
{
	struct process_texts *texts = NULL;
	struct mappings *mappings = NULL;
	int err = 0;

	process->was_read = true;
	/* What /proc shows by now belongs to the image after this one. */
	if (!process->end_boot_ns)
		err = proc_read(&process->key, &texts, &process->namespace_pid);
	if (texts) {
		process_texts_unref(process->texts);
		process->texts = texts;
	}
	if (process->texts && !process->texts->cgroup && process->texts->users == 1 &&
	    process->parent_pid)
		process->texts->cgroup = proc_read_cgroup(process->parent_pid);

	/* Gone since the sample, or the pid is another's by now: its maps would be a stranger's. Of
	 * its end a record will tell. */
	if (err == -ESRCH)
		process->next_scan_boot_ns = UINT64_MAX;
	if ((err == -ESRCH || process->end_boot_ns) && !process->mappings && process->parent_pid)
		take_from_parent(processes, process);
	if (err || process->end_boot_ns || (process->mappings && process->mappings->is_complete) ||
	    (process->texts && process->texts->is_kernel_thread))
		return;
	if (mappings_scan(process->key.pid, &mappings) == 0) {
		mappings_unref(process->mappings);
		process->mappings = mappings;
	}
}

struct process *processes_resolve(struct processes *processes, const struct process_key *key,
				  uint64_t boot_ns)
{
	struct process *process = *bucket_of(processes, key->pid);

	while (process && !(process->has_key && key_equal(&process->key, key)))
		process = process->older;
	if (!process)
		process = find_uncounted(processes, key, boot_ns);
	if (!process) {
		process = find_nameless(processes, key->pid, boot_ns);
		if (!process)
			process = add_process(processes, key->pid, 0,
					      find_next_image(processes, key->pid, boot_ns));
		if (!process)
			return NULL;
		process->key = *key;
		process->has_key = true;
		process->named_boot_ns = boot_ns;
	}
	process->last_sampled_boot_ns = boot_ns;
	if (!process->was_read) {
		read_process(processes, process);
		mark_changed(processes, process);
	}
	return process;
}

bool processes_rescan(struct processes *processes, struct process *process, uint64_t now_boot_ns)
{
	struct mappings *mappings = NULL;

	if (process->end_boot_ns || process->exit_boot_ns ||
	    now_boot_ns < process->next_scan_boot_ns)
		return false;

	process->scan_delay_ns =
		process->scan_delay_ns ? process->scan_delay_ns * 2 : SCAN_DELAY_MIN_NS;
	if (process->scan_delay_ns > SCAN_DELAY_MAX_NS)
		process->scan_delay_ns = SCAN_DELAY_MAX_NS;
	process->next_scan_boot_ns = now_boot_ns + process->scan_delay_ns;
	if (mappings_scan(process->key.pid, &mappings))
		return false;
	mappings_unref(process->mappings);
	process->mappings = mappings;
	mark_changed(processes, process);
	return true;
}

/* ---- for the walk in the kernel -----------------------------------------------------------------
 */

/* A list of mappings as long as this is not made anew at each of many changes. */
enum { LONG_COUNT = 256 };
#define LONG_DELAY_NS (UINT64_C(100) * CLOCK_NS_PER_MS)

struct space *processes_space(struct processes *processes, struct process *process)
{
	struct mappings *mappings = process->mappings;
	struct space *space = NULL;

	if (!mappings || !processes->spaces)
		return NULL;
	if (!mappings->is_changed ||
	    (mappings->space && mappings->count > LONG_COUNT && !process->can_publish))
		return mappings->space;
	/* Without room for a new one, the one before is better than none. */
	if (space_make(processes->spaces, mappings, &space))
		return mappings->space;
	space_free(mappings->space);
	mappings->space = space;
	mappings->is_changed = false;
	return space;
}

/* Whether what is mapped in this pid, by what we heard last, is this image. */
static bool is_newest(struct processes *processes, const struct process *process)
{
	const struct process *newest = *bucket_of(processes, process->key.pid);

	while (newest->key.pid != process->key.pid)
		newest = newest->older;
	return newest == process && !process->end_boot_ns;
}

/* Files without a build id are told by size and time too, which records don't have. */
static void complete(struct process *process)
{
	struct mappings *mappings = NULL;

	if (!process->was_read || process->end_boot_ns || process->exit_boot_ns ||
	    mappings_scan(process->key.pid, &mappings))
		return;
	mappings_unref(process->mappings);
	process->mappings = mappings;
}

static void publish(struct processes *processes, struct process *process)
{
	if (process->mappings && !process->mappings->is_complete)
		complete(process);
	/* What is not all there yet is looked at when it is sampled. */
	if (!process->mappings || !process->mappings->is_complete || !is_newest(processes, process))
		return;

	const struct space *space = processes_space(processes, process);

	if (!space)
		return;
	spaces_enter(processes->spaces, process->key.pid,
		     process->has_key
			     ? walk_image(process->key.exec_generation, process->key.start_boot_ns)
			     : (uint32_t)WALK_ANY_IMAGE,
		     space);
}

void processes_publish(struct processes *processes, uint64_t now_boot_ns)
{
	struct process *process = TAKE(processes->changed);

	while (process) {
		struct process *next = process->next_changed;
		bool is_long = process->mappings && (process->mappings->count > LONG_COUNT ||
						     !process->mappings->is_complete);

		process->is_changed = false;
		process->can_publish = !is_long || now_boot_ns >= process->next_publish_boot_ns;
		if (process->can_publish) {
			process->next_publish_boot_ns = now_boot_ns + LONG_DELAY_NS;
			publish(processes, process);
			process->can_publish = false;
		} else {
			mark_changed(processes, process);
		}
		process = next;
	}
}

static bool is_over(const struct process *process, uint64_t now_boot_ns)
{
	uint64_t end = process->end_boot_ns ? process->end_boot_ns : process->exit_boot_ns;

	/* Threads may outlive the main thread, whose end is all that we hear of. */
	if (process->last_sampled_boot_ns > end)
		end = process->last_sampled_boot_ns;
	return (process->end_boot_ns || process->exit_boot_ns) &&
	       now_boot_ns > end + KEPT_AFTER_END_NS;
}

/* Records of its exit may have been lost. */
static bool is_gone(const struct process *process)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", process->key.pid);
	return access(path, F_OK) != 0;
}

void processes_sweep(struct processes *processes, uint64_t now_boot_ns)
{
	/* None of those that are freed stays in the list. */
	for (struct process *p = processes->changed; p; p = p->next_changed)
		p->next_publish_boot_ns = 0;
	processes_publish(processes, now_boot_ns);
	for (uint32_t i = 0; i < BUCKET_COUNT; i++) {
		bool looks_closely = i % SWEEP_SHARE == processes->swept;
		struct process **link = &processes->buckets[i];

		while (*link) {
			struct process *process = *link;

			if (looks_closely && !process->end_boot_ns && !process->exit_boot_ns &&
			    is_gone(process))
				process->exit_boot_ns = now_boot_ns;
			if (!is_over(process, now_boot_ns)) {
				link = &process->older;
				continue;
			}
			*link = process->older;
			if (processes->spaces && process->mappings && process->mappings->space)
				spaces_leave(processes->spaces, process->key.pid,
					     process->mappings->space);
			free_process(process);
			processes->count--;
		}
	}
	processes->swept = (processes->swept + 1) % SWEEP_SHARE;
}

/* Where a file may be found, the surest way first. */
enum route {
	ROUTE_MAPPING, /* what is mapped, deleted or not: a link of the kernel's own in map_files */
	ROUTE_ROOT,    /* by its path, as the process sees it */
	ROUTE_PARENT_ROOT, /* as its parent sees it: who mapped it has ended */
	ROUTE_OWN_ROOT,	   /* as we see it */
	ROUTE_COUNT,
};

/*
 * A path is the word of the process that mapped it, and may lead elsewhere by now. We may read
 * every file of the host and the server none, so nothing but an executable file leaves here.
 */
static int check_file(int fd, enum route route, const struct file *file)
{
	static const char elf_magic[] = { 0x7f, 'E', 'L', 'F' };
	char magic[sizeof(elf_magic)];
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENOENT;
	/* The kernel's own link needs no proof; and stat() tells another device than maps on btrfs
	 * and overlayfs. With a build id the server sees whether the file is the one. */
	if (route != ROUTE_MAPPING && file->inode &&
	    (status.st_ino != file->inode || status.st_dev != file->device))
		return -ENOENT;
	if (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
	    memcmp(magic, elf_magic, sizeof(magic)) != 0)
		return -ENOENT;
	return 0;
}

static int open_through(const struct process *process, const struct mapping *mapping,
			enum route route, int *ret_fd)
{
	enum { FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY };
	bool has_ended = process->end_boot_ns || process->exit_boot_ns;
	char path[WINDOW_TEXT_SIZE_MAX + 64];
	autoclose int fd = -1;

	if ((route == ROUTE_MAPPING || route == ROUTE_ROOT) && has_ended)
		return -ENOENT;
	if (route == ROUTE_PARENT_ROOT && (!has_ended || process->parent_pid == 0))
		return -ENOENT;
	if (route != ROUTE_MAPPING && mapping->file->path[0] != '/')
		return -ENOENT;
	switch (route) {
	case ROUTE_MAPPING:
		snprintf(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", process->key.pid,
			 (unsigned long long)mapping->start, (unsigned long long)mapping->end);
		fd = open(path, FLAGS);
		break;
	case ROUTE_ROOT:
	case ROUTE_PARENT_ROOT:
		snprintf(path, sizeof(path), "/proc/%u/root%s",
			 route == ROUTE_ROOT ? process->key.pid : process->parent_pid,
			 mapping->file->path);
		fd = open(path, FLAGS | O_NOFOLLOW);
		break;
	case ROUTE_OWN_ROOT:
		fd = open(mapping->file->path, FLAGS | O_NOFOLLOW);
		break;
	case ROUTE_COUNT:
		assert(!"a route");
	}
	if (fd < 0)
		return -errno;

	int err = check_file(fd, route, mapping->file);

	if (!err)
		*ret_fd = TAKE_FD(fd);
	return err;
}

static int open_by_route(const struct processes *processes, const struct identity *identity,
			 enum route route, int *ret_fd)
{
	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		for (const struct process *p = processes->buckets[i]; p; p = p->older) {
			uint32_t count = p->mappings ? p->mappings->count : 0;

			for (uint32_t m = 0; m < count; m++) {
				const struct mapping *mapping = &p->mappings->list[m];

				if (mapping->kind == MAPPING_FILE &&
				    identity_equal(&mapping->file->identity, identity) &&
				    open_through(p, mapping, route, ret_fd) == 0)
					return 0;
			}
		}
	}
	return -ENOENT;
}

int processes_open_file(struct processes *processes, const struct identity *identity, int *ret_fd)
{
	int err = -ENOENT;

	/* A surer way through one process goes before a doubtful one through another: a path of one
	 * container means another file on the host. */
	for (int route = 0; err && route < ROUTE_COUNT; route++)
		err = open_by_route(processes, identity, (enum route)route, ret_fd);
	return err;
}

int processes_open_mapped(const struct process *process, const struct mapping *mapping, int *ret_fd)
{
	int err = -ENOENT;

	for (int route = 0; err && route < ROUTE_COUNT; route++)
		err = open_through(process, mapping, (enum route)route, ret_fd);
	return err;
}

static const struct file *find_mapped(const struct process *process,
				      const struct identity *identity)
{
	uint32_t count = process->mappings ? process->mappings->count : 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct mapping *mapping = &process->mappings->list[i];

		if (mapping->kind == MAPPING_FILE &&
		    identity_equal(&mapping->file->identity, identity))
			return mapping->file;
	}
	return NULL;
}

int processes_visit_mappers(struct processes *processes, const struct identity *identity,
			    processes_visit *visit, void *context)
{
	int err = -ENOENT;

	for (size_t i = 0; err && i < BUCKET_COUNT; i++) {
		for (const struct process *p = processes->buckets[i]; p && err; p = p->older) {
			const struct file *file = NULL;

			if (!p->end_boot_ns && !p->exit_boot_ns)
				file = find_mapped(p, identity);
			if (file)
				err = visit(context, p, file);
		}
	}
	return err;
}

const struct process *processes_find(struct processes *processes, const struct process_key *key)
{
	for (const struct process *p = *bucket_of(processes, key->pid); p; p = p->older)
		if (p->has_key && memcmp(&p->key, key, sizeof(*key)) == 0)
			return p->end_boot_ns || p->exit_boot_ns ? NULL : p;
	return NULL;
}

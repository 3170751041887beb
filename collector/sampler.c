/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/sampler.h"

#include <assert.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "base/parse.h"
#include "collector/cpus.h"
#include "profiler.skel.h"

enum {
	/* A sample of 40 frames takes 430 bytes, so this holds two seconds of eight busy CPUs that
	   found their queues full. */
	RING_SIZE_PER_8_CPUS = 256 << 10,
	/* And some hundred stacks of 16 kB, or a few dozen of 64, when the programs of a host are
	   new to us. */
	RING_SIZE_MIN = 4 << 20,
};

struct sampler {
	struct profiler_bpf *program;
	struct ring_buffer *ring;
	int *events;
	struct bpf_link **links;
	uint32_t event_count;
	struct sampler_options options;
	struct sampler_memory memory;
	void *chunks[WALK_CHUNK_COUNT_MAX];
	/* What the program works with, by CPU; each begins with its queue. */
	void *memories;
	struct queues *queues;
};

static const size_t buckets_size = WALK_BUCKET_COUNT * sizeof(struct walk_bucket);
static const size_t files_size = WALK_FILE_COUNT_MAX * sizeof(struct walk_file);
static const size_t rules_size = UNWIND_RULE_COUNT_MAX * sizeof(uint64_t);
static const size_t known_size = WALK_KNOWN_BUCKET_COUNT * sizeof(struct walk_known_bucket);

/* libbpf's own words are for its developers; ours name what to do. */
static int stay_silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static int64_t read_sysctl(const char *path)
{
	char text[32] = "";
	FILE *file = fopen(path, "re");
	int64_t value = -1;

	if (!file)
		return -1;
	if (fgets(text, sizeof(text), file)) {
		text[strcspn(text, "\n")] = '\0';
		if (parse_i64(str_from(text), &value))
			value = -1;
	}
	(void)fclose(file);
	return value;
}

static int explain_load(int err, char reterr[static SAMPLER_ERROR_SIZE])
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		snprintf(reterr, SAMPLER_ERROR_SIZE,
			 "this kernel describes no types (no /sys/kernel/btf/vmlinux); it needs "
			 "CONFIG_DEBUG_INFO_BTF");
	else if (err == -EPERM)
		snprintf(reterr, SAMPLER_ERROR_SIZE,
			 "no right to load BPF programs; start it as root, or with CAP_BPF and "
			 "CAP_PERFMON");
	else if (err == -EACCES)
		snprintf(reterr, SAMPLER_ERROR_SIZE,
			 "this kernel's verifier, or a security module, refuses the BPF program "
			 "(%s); if the kernel is 5.17 or newer and nothing forbids BPF, this is an "
			 "error of hearth's: please report it with what 'hearth doctor' prints",
			 strerror(-err));
	else
		snprintf(reterr, SAMPLER_ERROR_SIZE,
			 "this kernel does not take the BPF program (%s); it must be 5.17 or newer",
			 strerror(-err));
	return err;
}

static int explain_attach(int err, uint32_t cpu, char reterr[static SAMPLER_ERROR_SIZE])
{
	int64_t paranoid = read_sysctl("/proc/sys/kernel/perf_event_paranoid");

	if ((err == -EPERM || err == -EACCES) && paranoid >= 3)
		snprintf(reterr, SAMPLER_ERROR_SIZE,
			 "kernel.perf_event_paranoid is %lld, which takes CAP_SYS_ADMIN to open "
			 "events; start it "
			 "as root",
			 (long long)paranoid);
	else if (err == -EPERM || err == -EACCES)
		snprintf(reterr, SAMPLER_ERROR_SIZE,
			 "no right to open perf events; start it as root, or with CAP_PERFMON");
	else
		snprintf(reterr, SAMPLER_ERROR_SIZE, "cannot open a clock event on CPU %u: %s", cpu,
			 strerror(-err));
	return err;
}

static int handle_record(void *context, void *bytes, size_t size)
{
	queues_add(((struct sampler *)context)->queues, bytes, size);
	return 0;
}

static uint32_t ring_size(void)
{
	int cpu_count = libbpf_num_possible_cpus();
	uint32_t wanted =
		((uint32_t)(cpu_count > 0 ? cpu_count : 1) + 7) / 8 * RING_SIZE_PER_8_CPUS;
	uint32_t size = RING_SIZE_MIN;

	while (size < wanted)
		size *= 2;
	return size;
}

static size_t memories_size(const struct sampler *sampler)
{
	const struct bpf_map *map = sampler->program->maps.memories;

	return (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
}

static int map_memory(struct sampler *sampler)
{
	struct {
		struct bpf_map *map;
		size_t size;
		void *memory;
	} parts[] = {
		{ sampler->program->maps.processes, buckets_size, NULL },
		{ sampler->program->maps.files, files_size, NULL },
		{ sampler->program->maps.rules, rules_size, NULL },
		{ sampler->program->maps.known, known_size, NULL },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		parts[i].memory = mmap(NULL, parts[i].size, PROT_READ | PROT_WRITE, MAP_SHARED,
				       bpf_map__fd(parts[i].map), 0);
		if (parts[i].memory == MAP_FAILED)
			parts[i].memory = NULL;
	}
	sampler->memory = (struct sampler_memory){ parts[0].memory, parts[1].memory,
						   parts[2].memory, parts[3].memory };
	sampler->memories = mmap(NULL, memories_size(sampler), PROT_READ | PROT_WRITE, MAP_SHARED,
				 bpf_map__fd(sampler->program->maps.memories), 0);
	if (sampler->memories == MAP_FAILED)
		sampler->memories = NULL;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!parts[i].memory)
			return -ENOMEM;
	return sampler->memories ? 0 : -ENOMEM;
}

void sampler_memory(struct sampler *sampler, struct sampler_memory *ret)
{
	*ret = sampler->memory;
}

void *sampler_add_chunk(void *context, uint32_t number)
{
	struct sampler *sampler = context;
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	autoclose int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "chunk", sizeof(uint32_t),
					   WALK_CHUNK_SIZE, 1, &options);
	void *memory;

	if (map < 0 || number >= WALK_CHUNK_COUNT_MAX || sampler->chunks[number])
		return NULL;
	memory = mmap(NULL, WALK_CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (memory == MAP_FAILED)
		return NULL;
	if (bpf_map_update_elem(bpf_map__fd(sampler->program->maps.chunks), &number, &map,
				BPF_ANY)) {
		munmap(memory, WALK_CHUNK_SIZE);
		return NULL;
	}
	sampler->chunks[number] = memory;
	return memory;
}

/*
 * In a container that has a pid namespace of its own, /proc, the records of perf_event_open() and
 * the program must speak of processes by the same numbers. The kernel's dev_t is not stat()'s.
 */
static int set_pid_space(struct profiler_bpf *program)
{
	enum { INODE_OF_HOST = 0xeffffffc, KERNEL_MINOR_BITS = 20 }; /* PROC_PID_INIT_INO */
	struct stat space;

	if (stat("/proc/self/ns/pid", &space))
		return -errno;
	if (space.st_ino == (ino_t)(unsigned)INODE_OF_HOST)
		return 0;
	program->rodata->pid_space_inode = space.st_ino;
	program->rodata->pid_space_device =
		(uint64_t)major(space.st_dev) << KERNEL_MINOR_BITS | minor(space.st_dev);
	return 0;
}

/* What only benchmarks need is not made. */
static int set_options(struct profiler_bpf *program, const struct sampler_options *options)
{
	uint32_t highest_cpu;
	int err = bpf_map__set_max_entries(program->maps.ring, ring_size());

	/* A virtual machine of two CPUs may have 240 that can be, 140 KiB each. */
	if (!err)
		err = cpus_highest_online(&highest_cpu);
	if (!err)
		err = bpf_map__set_max_entries(program->maps.memories, highest_cpu + 1);
	if (err)
		return err;
	err = set_pid_space(program);
	if (err)
		return err;
	program->rodata->ring_size = bpf_map__max_entries(program->maps.ring);
	program->rodata->page_size = (uint32_t)sysconf(_SC_PAGESIZE);
	if (options->check_period)
		program->rodata->check_period = options->check_period;
	program->rodata->measures = options->measures;
	if (options->measures)
		return 0;

	err = bpf_map__set_max_entries(program->maps.measured_processes, 1);
	return err ? err : bpf_map__set_max_entries(program->maps.measured, 1);
}

int sampler_load(const struct sampler_options *options, struct sampler **ret,
		 char reterr[static SAMPLER_ERROR_SIZE])
{
	assert(options->handler && ret);

	autoclean(sampler) struct sampler *sampler = calloc(1, sizeof(*sampler));
	int err;

	if (!sampler) {
		snprintf(reterr, SAMPLER_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	sampler->options = *options;
	libbpf_set_print(stay_silent);

	sampler->program = profiler_bpf__open();
	if (!sampler->program)
		return explain_load(-errno, reterr);

	err = set_options(sampler->program, options);
	if (!err)
		err = profiler_bpf__load(sampler->program);
	if (err)
		return explain_load(err, reterr);

	err = map_memory(sampler);
	if (!err)
		err = queues_new(sampler->memories,
				 bpf_map__value_size(sampler->program->maps.memories),
				 bpf_map__max_entries(sampler->program->maps.memories),
				 options->handler, options->context, &sampler->queues);
	if (err) {
		snprintf(reterr, SAMPLER_ERROR_SIZE, "cannot map the program's memory: %s",
			 strerror(-err));
		return err;
	}
	sampler->ring = ring_buffer__new(bpf_map__fd(sampler->program->maps.ring), handle_record,
					 sampler, NULL);
	if (!sampler->ring) {
		err = -errno;
		snprintf(reterr, SAMPLER_ERROR_SIZE, "cannot map the ring buffer: %s",
			 strerror(-err));
		return err;
	}
	*ret = TAKE(sampler);
	return 0;
}

int sampler_attach(struct sampler *sampler, uint64_t frequency_hz, const uint32_t *cpus,
		   uint32_t cpu_count, char reterr[static SAMPLER_ERROR_SIZE])
{
	assert(frequency_hz > 0 && cpu_count > 0);
	assert(!sampler->events);

	uint32_t cpu_end = bpf_map__max_entries(sampler->program->maps.memories);

	/* A fixed period, not freq=1: every sample then weighs the same CPU time. */
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = (uint64_t)CLOCK_NS_PER_S / frequency_hz,
	};

	sampler->events = calloc(cpu_count, sizeof(sampler->events[0]));
	sampler->links = calloc(cpu_count, sizeof(sampler->links[0]));
	if (!sampler->events || !sampler->links) {
		snprintf(reterr, SAMPLER_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < cpu_count; i++) {
		/* There is no memory for it: those online changed since the program was loaded. */
		if (cpus[i] >= cpu_end)
			return explain_attach(-ENODEV, cpus[i], reterr);

		int event = (int)syscall(SYS_perf_event_open, &attributes, -1, (int)cpus[i], -1,
					 PERF_FLAG_FD_CLOEXEC);

		if (event < 0)
			return explain_attach(-errno, cpus[i], reterr);
		sampler->events[sampler->event_count] = event;
		sampler->links[sampler->event_count] =
			bpf_program__attach_perf_event(sampler->program->progs.profile, event);
		if (!sampler->links[sampler->event_count]) {
			int err = -errno;

			close(event);
			return explain_attach(err, cpus[i], reterr);
		}
		/* The link owns the descriptor from here on. */
		sampler->event_count++;
	}
	return 0;
}

struct sampler *sampler_free(struct sampler *sampler)
{
	if (!sampler)
		return NULL;

	for (uint32_t i = 0; i < sampler->event_count; i++)
		bpf_link__destroy(sampler->links[i]);
	free(sampler->links);
	free(sampler->events);
	ring_buffer__free(sampler->ring);
	queues_free(sampler->queues);
	for (uint32_t i = 0; i < WALK_CHUNK_COUNT_MAX; i++)
		if (sampler->chunks[i])
			munmap(sampler->chunks[i], WALK_CHUNK_SIZE);
	if (sampler->memories)
		munmap(sampler->memories, memories_size(sampler));
	if (sampler->memory.buckets)
		munmap(sampler->memory.buckets, buckets_size);
	if (sampler->memory.files)
		munmap(sampler->memory.files, files_size);
	if (sampler->memory.rules)
		munmap(sampler->memory.rules, rules_size);
	if (sampler->memory.known)
		munmap(sampler->memory.known, known_size);
	profiler_bpf__destroy(sampler->program);
	free(sampler);
	return NULL;
}

int sampler_fd(const struct sampler *sampler)
{
	return ring_buffer__epoll_fd(sampler->ring);
}

int sampler_drain(struct sampler *sampler)
{
	queues_begin(sampler->queues);

	int err = ring_buffer__consume(sampler->ring);
	int handed_over = queues_finish(sampler->queues);

	return err < 0 ? err : handed_over;
}

void sampler_counters(const struct sampler *sampler, uint64_t ret[static COUNTER_COUNT])
{
	queues_counters(sampler->queues, ret);
}

int sampler_measure(struct sampler *sampler, uint32_t pid, uint32_t class)
{
	int map = bpf_map__fd(sampler->program->maps.measured_processes);

	assert(sampler->options.measures && class < MEASURE_CLASS_COUNT);
	return bpf_map_update_elem(map, &pid, &class, BPF_ANY) ? -errno : 0;
}

static void add_histogram(struct measure_histogram *sum, const struct measure_histogram *histogram)
{
	sum->count += histogram->count;
	sum->sum_ns += histogram->sum_ns;
	for (unsigned i = 0; i < MEASURE_BUCKET_COUNT; i++)
		sum->buckets[i] += histogram->buckets[i];
}

int sampler_measured(const struct sampler *sampler, uint32_t class, struct measure *ret)
{
	int cpu_count = libbpf_num_possible_cpus();
	int map = bpf_map__fd(sampler->program->maps.measured);

	assert(sampler->options.measures && class < MEASURE_CLASS_COUNT);
	if (cpu_count <= 0)
		return -EINVAL;

	autofree struct measure *values = calloc((size_t)cpu_count, sizeof(*values));

	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map, &class, values))
		return -errno;
	*ret = (struct measure){ 0 };
	for (int cpu = 0; cpu < cpu_count; cpu++) {
		add_histogram(&ret->walk, &values[cpu].walk);
		add_histogram(&ret->below_kernel, &values[cpu].below_kernel);
		add_histogram(&ret->kernel_stack, &values[cpu].kernel_stack);
		ret->user_frames += values[cpu].user_frames;
		ret->complete += values[cpu].complete;
		ret->early += values[cpu].early;
	}
	return 0;
}

unsigned sampler_programs(const struct sampler *sampler,
			  struct sampler_program ret[static SAMPLER_PROGRAM_COUNT_MAX])
{
	struct bpf_program *program;
	unsigned count = 0;

	bpf_object__for_each_program(program, sampler->program->obj)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (count == SAMPLER_PROGRAM_COUNT_MAX || bpf_program__fd(program) < 0 ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			continue;
		ret[count] = (struct sampler_program){ .verified = info.verified_insns,
						       .bpf_size = info.xlated_prog_len,
						       .machine_size = info.jited_prog_len };
		snprintf(ret[count].name, sizeof(ret[count].name), "%s",
			 bpf_program__name(program));
		count++;
	}
	return count;
}

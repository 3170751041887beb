/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sample costs in the kernel: from the program's first instruction until its record is in
 * the ring, by the program's own clock (bpf/measure.h), both CPUs busy. The kernel's stack is left
 * out and printed on its own. A clock costs 25 ns and is included.
 *
 * bench_walk [TEXT]: only the lines whose names have it. SECONDS_WALK is how long each is measured:
 * 60. To compare two versions of the program, build both and run them at the same time or in turn:
 * each measures its own processes, and neighbours hurt both alike; p10 is what they spoil least.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "collector/sampler.h"
#include "tests/support/hearth.h"
#include "tests/support/profiler.h"

enum { PROCESS_MAX = 4, ARGUMENT_MAX = 5, FUNCTION_COUNT = 512, NO_BAR = 0 };

enum { CLASS_MEASURED = 0, CLASS_SETTLING = 1, SETTLE_S_MAX = 120 };

/* What runs while a line is measured. Each is started again when it ends. */
struct load {
	const char *name;
	unsigned frequency_hz;
	double mean_max_us; /* the bar */
	struct {
		const char *program; /* below our folder, or a name to look up */
		const char *arguments[ARGUMENT_MAX];
	} processes[PROCESS_MAX];
};

static char folder[64];
static char source[128];

#define TWICE(...)                                                                                 \
	{                                                                                          \
		{ __VA_ARGS__ },                                                                   \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define FOR_EVER "1e9"

static const char python[] =
	"import json, re\nd = {str(i): [i] * 5 for i in range(2000)}\nwhile 1: "
	"t = json.dumps(d); json.loads(t); re.sub(r'[a-z]+(\\d)', r'\\1', t[:9999]); "
	"compile(t[:2000] + '}', 'x', 'eval') if t[1999] == ']' else sorted(d)";
static const char script[] =
	"while (true) { let a = []; for (let i = 0; i < 50000; i++) a.push({ k: i, v: "
	"'x' + i }); a.sort((p, q) => p.v < q.v ? -1 : 1); "
	"JSON.parse(JSON.stringify(a)); }";

/* recurse() and main() and what is around them: 40 and 126 frames. */
static const struct load loads[] = {
	{ "one function, 40 frames", 997, 2.5, TWICE("stacks", { "deep", FOR_EVER, "35" }) },
	{ "one function, 126 frames", 997, 5, TWICE("stacks", { "deep", FOR_EVER, "121" }) },
	{ "one function, 40 frames", 99, 5, TWICE("stacks", { "deep", FOR_EVER, "35" }) },
	{ "one function, 126 frames", 99, 8, TWICE("stacks", { "deep", FOR_EVER, "121" }) },
	{ "512 functions, 40 frames", 99, 12, TWICE("wide", { "calm", "36" }) },
	{ "512 functions, 126 frames", 99, NO_BAR, TWICE("wide", { "calm", "122" }) },
	{ "512 functions, over 64 MiB, 40", 99, 18, TWICE("wide", { "streaming", "36" }) },
	{ "python3, node, cc1",
	  99,
	  11,
	  { { "python3", { "-c", python } },
	    { "node", { "-e", script } },
	    { "cc1", { "-quiet", "-O2", "-o", "/dev/null", source } } } },
	{ "python3, node, cc1",
	  997,
	  NO_BAR,
	  { { "python3", { "-c", python } },
	    { "node", { "-e", script } },
	    { "cc1", { "-quiet", "-O2", "-o", "/dev/null", source } } } },
};

enum { LOAD_COUNT = sizeof(loads) / sizeof(loads[0]) };

/* ---- programs to be measured --------------------------------------------------------------------
 */

static void die(const char *what)
{
	(void)fprintf(stderr, "bench_walk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static FILE *create(const char *name, char *path, size_t size)
{
	FILE *file;

	snprintf(path, size, "%s/%s", folder, name);
	file = fopen(path, "we");
	if (!file)
		die(path);
	return file;
}

static void compile(const char *from, const char *name)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "${CC:-gcc} -std=gnu17 -O2 -fomit-frame-pointer -fno-optimize-sibling-calls %s -o "
		 "%s/%s -ldl -pthread",
		 from, folder, name);
	if (system(command) != 0)
		die(command);
}

/*
 * A function of its own for each frame: different sizes, frames and saved registers, spread over
 * 300 kB of text. A stack begins at one of 16 functions, and goes on in steps of its own. Its leaf
 * works in registers, or reads on in 64 MiB, a word in each line.
 */
static void make_wide(void)
{
	char path[128];
	FILE *file = create("wide.c", path, sizeof(path));

	(void)fprintf(file,
		      "#include <stdlib.h>\n"
		      "static unsigned long *memory, at;\n"
		      "static volatile unsigned long sink;\n"
		      "typedef unsigned long function(int, int, unsigned long);\n"
		      "static function *const table[%d];\n"
		      "static __attribute__((noinline)) unsigned long leaf(unsigned long x)\n"
		      "{ for (int i = 0; i < 300000; i++) { x = x * 31 + i;\n"
		      "if (memory) { at = (at + 8) & ((8 << 20) - 1); x += memory[at]; } }\n"
		      "return x; }\n",
		      FUNCTION_COUNT);
	for (int i = 0; i < FUNCTION_COUNT; i++) {
		(void)fprintf(
			file,
			"static __attribute__((noinline)) unsigned long f%d(int depth, int step, "
			"unsigned long x)\n{ unsigned long a[%d]; a[x %% %d] = x; "
			"__asm__ volatile(\"\" : : \"r\"(a) : \"memory\");\n",
			i, i % 13 + 1, i % 13 + 1);
		/* What is kept over the call takes registers, or room. */
		for (int k = 0; k < i % 7; k++)
			(void)fprintf(file, "unsigned long k%d = x * %d + a[%d];\n", k, i + k + 3,
				      k % (i % 13 + 1));
		for (int k = 0; k < i % 29 * 3; k++)
			(void)fprintf(file, "x ^= x << %d; x += %d;\n", k % 31 + 1, k * i + 7);
		(void)fprintf(
			file,
			"x += depth <= 1 ? leaf(x) : table[(%d + step) %% %d](depth - 1, step, "
			"x);\n",
			i, FUNCTION_COUNT);
		for (int k = 0; k < i % 7; k++)
			(void)fprintf(file, "x += k%d;\n", k);
		(void)fprintf(file, "return x + a[0]; }\n");
	}
	(void)fprintf(file, "static function *const table[%d] = {", FUNCTION_COUNT);
	for (int i = 0; i < FUNCTION_COUNT; i++)
		(void)fprintf(file, "f%d,", i);
	(void)fprintf(file, "};\nint main(int count, char **arguments) { (void)count;\n"
			    "if (arguments[1][0] == 's') { memory = malloc(64 << 20);\n"
			    "for (at = 0; at < 8 << 20; at += 512) memory[at] = at; at = 0; }\n"
			    "for (unsigned i = 0;; i++) sink += table[i %% 16 * "
			    "29]((int)strtod(arguments[2], NULL), "
			    "i %% 16 * 22 + 7, i); }\n");
	if (fclose(file))
		die(path);
	compile(path, "wide");
}

/* Work for a compiler. */
static void make_source(void)
{
	FILE *file = create("big.c", source, sizeof(source));

	for (int i = 0; i < 4000; i++)
		(void)fprintf(
			file,
			"int f%d(int a, int b, int *c) { int s = 0; for (int i = a; i < b; i++) { "
			"s "
			"+= i * %d ^ (s >> 3); c[i & 7] += s; if (s & 1) s -= f%d(b - 1, a, c); "
			"switch (s & 15) { case 1: s ^= %d; break; case 5: s *= c[1]; break; "
			"case 9: s += c[2] / (b | 1); } } return s; }\n",
			i, i, i ? i - 1 : 0, i * 7);
	if (fclose(file))
		die(source);
}

/* Those of ours that this one runs, once. */
static void make_programs(const struct load *load)
{
	const char *first = load->processes[0].program;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, first);
	if (strcmp(first, "stacks") == 0 && access(path, X_OK))
		compile("tests/live/targets/walk/stacks.c", "stacks");
	if (strcmp(first, "wide") == 0 && access(path, X_OK))
		make_wide();
	if (strcmp(first, "python3") == 0 && !source[0])
		make_source();
}

/* The path of a program that may be ours, or anybody's: false when it is not there. */
static bool find_program(const char *name, char *path, size_t size)
{
	char command[256];
	FILE *answer;

	snprintf(path, size, "%s/%s", folder, name);
	if (access(path, X_OK) == 0)
		return true;
	if (strcmp(name, "cc1") == 0)
		snprintf(command, sizeof(command), "gcc -print-prog-name=cc1");
	else if (strcmp(name, "python3") == 0)
		snprintf(command, sizeof(command),
			 "python3 -c 'import sys; print(sys.executable)'");
	else
		snprintf(command, sizeof(command), "command -v %s", name);
	answer = popen(command, "re");
	if (!answer || !fgets(path, (int)size, answer))
		path[0] = '\0';
	if (answer)
		(void)pclose(answer);
	path[strcspn(path, "\n")] = '\0';
	return path[0] == '/';
}

static pid_t start(const char *path, const char *const *arguments)
{
	const char *list[ARGUMENT_MAX + 2] = { path };
	pid_t pid;

	for (unsigned i = 0; i < ARGUMENT_MAX && arguments[i]; i++)
		list[i + 1] = arguments[i];
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		int nothing = open("/dev/null", O_RDWR);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(nothing, STDIN_FILENO);
		(void)dup2(nothing, STDOUT_FILENO);
		(void)dup2(nothing, STDERR_FILENO);
		execv(path, (char *const *)list);
		_exit(127);
	}
	return pid;
}

/* ---- measuring ----------------------------------------------------------------------------------
 */

static void ignore_event(void *context, const struct event *event)
{
	(void)context;
	(void)event;
}

/* The middle of the bucket that holds this share of all. */
static double percentile_us(const struct measure_histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)histogram->count), seen = 0;
	unsigned bucket = 0;

	for (; bucket < MEASURE_BUCKET_COUNT - 1; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen > wanted)
			break;
	}
	return ((double)bucket + 0.5) * (1 << MEASURE_BUCKET_SHIFT) / 1e3;
}

static double mean_us(const struct measure_histogram *histogram)
{
	return histogram->count ? (double)histogram->sum_ns / (double)histogram->count / 1e3 : 0;
}

static void print_part(const char *name, const struct measure_histogram *histogram)
{
	if (histogram->count >= 20)
		printf("%-40s %6.2f us mean, %6.2f p50, %6.2f p99; %llu samples\n", name,
		       mean_us(histogram), percentile_us(histogram, 0.5),
		       percentile_us(histogram, 0.99), (unsigned long long)histogram->count);
}

static void load_name(const struct load *load, char *name, size_t size)
{
	snprintf(name, size, "%s, %u Hz", load->name, load->frequency_hz);
}

static void print(const struct load *load, const char *name, const struct measure *measure)
{
	const struct measure_histogram *walk = &measure->walk;
	double mean = mean_us(walk), p99 = percentile_us(walk, 0.99);
	char bar[32] = "";

	if (walk->count == 0) {
		printf("%s: no samples\n", name);
		return;
	}
	if (load->mean_max_us > 0)
		snprintf(bar, sizeof(bar), " (bar: %.3g, 3 x)", load->mean_max_us);
	printf("%-40s %6.2f us mean, %6.2f p10, %6.2f p50, %6.2f p99 = %.1f x%s; %llu samples of "
	       "%.0f frames, %.2f %% complete, %llu early\n",
	       name, mean, percentile_us(walk, 0.1), percentile_us(walk, 0.5), p99, p99 / mean, bar,
	       (unsigned long long)walk->count, (double)measure->user_frames / (double)walk->count,
	       100.0 * (double)measure->complete / (double)walk->count,
	       (unsigned long long)measure->early);
	print_part("  of these, broke into the kernel", &measure->below_kernel);
	print_part("  their kernel stacks, aside", &measure->kernel_stack);
	(void)fflush(stdout);
}

struct scene {
	struct profiler profiler;
	const struct load *load;
	char paths[PROCESS_MAX][256];
	pid_t pids[PROCESS_MAX];
	uint32_t class;
};

static void start_process(struct scene *scene, unsigned number)
{
	pid_t pid = start(scene->paths[number], scene->load->processes[number].arguments);

	scene->pids[number] = pid;
	(void)sampler_measure(scene->profiler.sampler, (uint32_t)pid, scene->class);
}

static void run(struct scene *scene, double seconds)
{
	double end = now_seconds() + seconds;

	while (now_seconds() < end) {
		profiler_run(&scene->profiler, 100);
		for (unsigned i = 0; i < PROCESS_MAX; i++)
			if (scene->pids[i] > 0 && waitpid(scene->pids[i], NULL, WNOHANG) > 0)
				start_process(scene, i);
	}
}

static void use_class(struct scene *scene, uint32_t class)
{
	scene->class = class;
	for (unsigned i = 0; i < PROCESS_MAX; i++)
		if (scene->pids[i] > 0)
			(void)sampler_measure(scene->profiler.sampler, (uint32_t)scene->pids[i],
					      class);
}

/* Until the tables are there: two seconds in which samples came and none was early. */
static void settle(struct scene *scene)
{
	struct measure before = { 0 }, now = { 0 };

	use_class(scene, CLASS_SETTLING);
	run(scene, 2);
	for (unsigned i = 0; i < SETTLE_S_MAX / 2; i++) {
		run(scene, 2);
		before = now;
		if (sampler_measured(scene->profiler.sampler, CLASS_SETTLING, &now) == 0 &&
		    now.walk.count > before.walk.count && now.early == before.early)
			return;
	}
}

static void measure_load(const struct load *load, const char *name, double seconds)
{
	struct scene scene = { .load = load };
	struct profiler_options options = { .frequency_hz = load->frequency_hz,
					    .handler = ignore_event,
					    .measures = true };
	char reason[COLLECT_ERROR_SIZE] = "";
	struct measure measure;

	for (unsigned i = 0; i < PROCESS_MAX && load->processes[i].program; i++)
		if (!find_program(load->processes[i].program, scene.paths[i],
				  sizeof(scene.paths[i]))) {
			printf("%s: there is no %s\n", name, load->processes[i].program);
			return;
		}
	if (!profiler_start(&scene.profiler, &options, reason)) {
		(void)fprintf(stderr, "bench_walk: %s\n", reason);
		exit(1);
	}
	for (unsigned i = 0; i < PROCESS_MAX && scene.paths[i][0]; i++)
		start_process(&scene, i);
	settle(&scene);
	use_class(&scene, CLASS_MEASURED);
	run(&scene, seconds);
	if (sampler_measured(scene.profiler.sampler, CLASS_MEASURED, &measure) == 0)
		print(load, name, &measure);
	for (unsigned i = 0; i < PROCESS_MAX; i++) {
		if (scene.pids[i] <= 0)
			continue;
		(void)kill(scene.pids[i], SIGKILL);
		(void)waitpid(scene.pids[i], NULL, 0);
	}
	profiler_stop(&scene.profiler);
}

int main(int argument_count, char **arguments)
{
	const char *seconds = getenv("SECONDS_WALK");
	const char *wanted = argument_count > 1 ? arguments[1] : "";

	snprintf(folder, sizeof(folder), "/tmp/hearth-bench-XXXXXX");
	if (!mkdtemp(folder))
		die(folder);
	for (unsigned i = 0; i < LOAD_COUNT; i++) {
		char name[80];

		load_name(&loads[i], name, sizeof(name));
		if (!strstr(name, wanted))
			continue;
		make_programs(&loads[i]);
		measure_load(&loads[i], name, seconds ? strtod(seconds, NULL) : 60);
	}
	folder_remove(folder);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenTelemetry's own eBPF profiler beside our collector, both at 97 Hz, into one hearth: the same
 * busy program shows up from both, as the same service, with the same functions, and their shares
 * within five points. Built of its module, which takes minutes: once, and only in the long tests or
 * when HEARTH_REQUIRE_CLIENTS is 1. HEARTH_OTEL_PROFILER names one that is there already,
 * HEARTH_OTEL_SECONDS says how long they sample.
 */
#include <arpa/inet.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/support/hearth.h"
#include "tests/support/tier.h"

/* A rule tells who sampled what. */
#define OTEL "profiler%3D%22otel%22"
#define OURS "profiler%3D%22%22"
#define CPU  "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

enum {
	OUTPUT_SIZE = 1 << 16,
	SECONDS = 60,
	POINTS_MAX = 5,
	SHARE_LEAST = 3, /* of what is compared; less than that comes and goes */
	SAMPLES_LEAST = 300,
};

static char output[OUTPUT_SIZE];

static const struct built otel_profiler = {
	.what = "OpenTelemetry's profiler",
	.folder = "otel_profiler",
	.program = "ebpf-profiler",
	.variable = "HEARTH_OTEL_PROFILER",
	.command = "sh tests/clients/otel_profiler/build.sh \"$1\"",
};

/* One that nobody listens on now. */
static unsigned free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

/* It looks for tracepoints in a tracefs, which it gets in a mount namespace of its own. */
static void start_profiler(struct child *profiler, const char *program, unsigned port)
{
	char command[1024];
	const char *arguments[] = { "/usr/bin/unshare", "-m", "sh", "-c", command, NULL };

	snprintf(command, sizeof(command),
		 "mount -t tracefs nodev /sys/kernel/tracing; exec '%s' "
		 "-collection-agent=127.0.0.1:%u -disable-tls -samples-per-second 97 "
		 "-reporter-interval 1s",
		 program, port);
	child_start(profiler, arguments, 0);
	if (!child_says(profiler, "Attached sched monitor", 60))
		fail_msg("it does not sample: %s", profiler->said);
}

static json_t *functions_of(const struct hearth *hearth, const char *whose, pid_t pid)
{
	return hearth_get(hearth,
			  "/api/v1/functions?from=now-10m&type=" CPU
			  "&query=%%7Bpid%%3D%%22%d%%22%%2C%s%%7D",
			  (int)pid, whose);
}

/* Of a program's time, in percent; -1: there is no such function. */
static double share_of(json_t *functions, const char *name, const char *what)
{
	double all = json_number_value(json_object_get(functions, "total"));
	json_t *rows = json_object_get(functions, "rows");
	double share = -1;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);

		if (!strcmp(json_string_value(json_object_get(row, "name")), name))
			share = (share < 0 ? 0 : share) +
				100 * json_number_value(json_object_get(row, what)) / all;
	}
	return share;
}

/* What one has in plenty the other has as well. Kernel frames that interrupt for a moment are told
 * by each at another place; they weigh too little to be asked about. */
static void compare(json_t *one, json_t *other, const char *whose)
{
	static const char *const columns[] = { "self", "total" };
	json_t *rows = json_object_get(one, "rows");

	for (size_t i = 0; i < json_array_size(rows); i++) {
		const char *name =
			json_string_value(json_object_get(json_array_get(rows, i), "name"));

		for (size_t k = 0; k < 2; k++) {
			double share = share_of(one, name, columns[k]);
			double theirs = share_of(other, name, columns[k]);

			if (share < SHARE_LEAST)
				continue;
			print_message("# %-9s %-24.24s %-5s %5.1f %% %5.1f %%\n", whose, name,
				      columns[k], share, theirs);
			if (fabs(share - theirs) > POINTS_MAX)
				fail_msg("%s: %.1f %% of one are %.1f %% of the other", name, share,
					 theirs);
		}
	}
}

/* A process that lives is called as our collector calls it, whoever sampled it. */
static void is_service(const struct hearth *hearth, const char *whose, pid_t pid, const char *name)
{
	json_t *labels = hearth_get(hearth,
				    "/api/v1/labels?from=now-10m&name=service_name&type=" CPU
				    "&query=%%7Bpid%%3D%%22%d%%22%%2C%s%%7D",
				    (int)pid, whose);
	json_t *values = json_object_get(labels, "values");

	if (json_array_size(values) != 1 ||
	    strcmp(json_string_value(json_array_get(values, 0)), name) != 0)
		fail_msg("its services are %s", json_dumps(labels, JSON_COMPACT));
	json_decref(labels);
}

static void both_see_the_same(void **state)
{
	static struct hearth hearth;
	static struct child profiler, burn;
	char program[300], target[256], address[32];
	const char *burning[] = { build_path("tests/live/targets/burn", target, sizeof(target)),
				  "100000", NULL };
	const char *options[] = { "--frequency", "97",	  "--window", "1s",
				  "--otlp-grpc", address, "--rule",   "set profiler \"otel\"",
				  NULL };
	unsigned port = free_port();

	(void)state;
	need_bpf();
	if (shell_output(output, sizeof(output), "unshare -m true 2>&1"))
		skip_without("no mount namespace can be had", output);
	find_built(&otel_profiler, program, sizeof(program));
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	hearth_start(&hearth, "run", options);
	assert_true(child_says(&hearth.child, "a collector is connected", 20));
	start_profiler(&profiler, program, port);
	child_start(&burn, burning, 0);

	pid_t pid = burn.pid;

	sleep_seconds((double)tier_number("HEARTH_OTEL_SECONDS", SECONDS, SECONDS));

	json_t *otel = functions_of(&hearth, OTEL, pid);
	json_t *ours = functions_of(&hearth, OURS, pid);
	double otel_ns = json_number_value(json_object_get(otel, "total"));
	double ours_ns = json_number_value(json_object_get(ours, "total"));

	/* While it lives: what came of a process that is gone can't be asked whose it was. */
	print_message("# %.2f s of it by OpenTelemetry's profiler, %.2f s by ours\n",
		      otel_ns * 1e-9, ours_ns * 1e-9);
	(void)child_stop(&profiler, 20);
	if (ours_ns < SAMPLES_LEAST * 1e9 / 97 || otel_ns < SAMPLES_LEAST * 1e9 / 97)
		fail_msg("too little to compare; the profiler said %s", profiler.said);
	is_service(&hearth, OTEL, pid, "burn");
	is_service(&hearth, OURS, pid, "burn");
	compare(otel, ours, "otel/ours");
	compare(ours, otel, "ours/otel");
	assert_true(share_of(otel, "spend_seventy", "total") > 50);
	json_decref(otel);
	json_decref(ours);
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)child_wait(&burn, 5);
	assert_int_equal(hearth_stop(&hearth), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_see_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
